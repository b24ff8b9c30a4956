// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_state.h - the network "veilid", streams over calls of Veilid: what its
 * files share.  Nobody outside of src/net needs more than net_veilid.
 *
 * veilid.c is the backend and its clock, veilid_accept.c takes what comes and
 * keeps the limits, veilid_find.c looks for keys and connects, veilid_conn.c is
 * the connection itself, veilid_path.c the way to its other end.
 *
 * Owners are called from veilid_run() only, which is the timer's: what the node
 * tells is noted, and the timer set.  Connections are freed there too, at its
 * end, so that any of them may be given up at any time.
 */
#ifndef NET_VEILID_STATE_H
#define NET_VEILID_STATE_H

#include <sys/queue.h>

#include <uv.h>

#include "net/net.h"
#include "net/veilid.h"
#include "net/vfind.h"
#include "net/vnode.h"
#include "net/vpublish.h"
#include "net/vstream.h"

enum {
	VEILID_CALLS = 128,             /* in flight, of all streams: the rest of
					 * VAPI_CALLS_MAX is for answers and for
					 * what else is asked of the node */
	VEILID_NAME_MAX = 128,          /* an imported route's name, with NUL */
	VEILID_CALL_MAX = 64,           /* what names a call whose answer waits,
					 * with NUL; nodes count them */
	VEILID_AGAIN_MS = 1000,         /* to import what could not be */
	VEILID_HELD_MS = 200,           /* the node has too much to do */
	VEILID_CLOSE_MS = 5000,         /* to withdraw, in the end */
	VEILID_ENDED = 256,             /* streams remembered after their end */
	VEILID_IDS = 256                /* lists of streams, by their ids */
};

struct veilid;
struct vconn;
struct vfinder;

/* ---- lists of connections, each of which may be on one of each kind ---- */

enum vlist_kind {
	VLIST_ALL,
	VLIST_STAGE,    /* who may be dropped, and when */
	VLIST_DUE,      /* has something to do */
	VLIST_HELD,     /* waits for others' calls to end */
	VLIST_ID,       /* where its id is looked for */
	VLIST_KINDS
};

struct vlist {
	struct vconn *first, *last;
	size_t n;
};

/* Puts c at the end of list (NULL: of none), after taking it off the one of
 * that kind where it is. */
void vlist_move(struct vconn *c, enum vlist_kind kind, struct vlist *list);

/* ---- connections ---- */

/* A call that a stream has made. */
struct vslot_call {
	struct vconn *conn;
	unsigned slot;
	struct vapi_call *call;         /* NULL: none */
};

/* How the other end is reached. */
struct vpath {
	uint8_t *blob;                  /* its route; NULL: not known */
	size_t len;
	bool told;                      /* by itself, not by its record */
	char name[VEILID_NAME_MAX];     /* of the route at the node; "": it is
					 * not imported */
	struct vapi_call *import;       /* under way */
	uint64_t again;                 /* to be imported then, or calls made */
};

struct vconn {
	struct net_conn conn;           /* first: a vconn is a net_conn */
	struct veilid *veilid;
	struct {
		struct vlist *list;
		struct vconn *prev, *next;
	} links[VLIST_KINDS];
	uint8_t id[VSEGMENT_STREAM_LEN];
	bool opener;                    /* connected, not accepted */
	bool owned;                     /* somebody has it, and not given up */
	bool over;                      /* on_close was called, or would be */
	bool untold;                    /* or is to be, for this reason */
	struct err why;
	bool leaving;                   /* to be broken when its way is there */
	bool dead;                      /* to be freed */
	const char *dropped;            /* for this reason; NULL: it was not */
	uint64_t since;                 /* on its stage's list */
	uint64_t due;                   /* to be run */
	char place[PLACE_MAX];
	struct vfinder *finder;         /* of an opener */
	struct net_connect *connect;    /* until it is open */
	struct vstream *stream;         /* NULL: there is no way yet */
	struct vpath path;
	struct vslot_call calls[VSTREAM_CALLS];
	char answers[VEILID_CALL_MAX];  /* the call whose answer waits */
};

/* ---- the network ---- */

/* One who is looked for. */
struct vfinder {
	struct veilid *veilid;
	LIST_ENTRY(vfinder) entry;
	uint8_t key[KEY_LEN];
	struct vfind *find;
	unsigned users;
	uint64_t serial;                /* of what was found; 0: nothing yet */
};

struct net_resolve {
	LIST_ENTRY(net_resolve) entry;
	struct vfinder *finder;
	uint64_t told;                  /* finder's serial then */
	net_place_fn *found;
	void *owner;
};

struct net_connect {
	LIST_ENTRY(net_connect) entry;
	struct vconn *conn;
	uint64_t deadline;
	uint32_t timeout_ms;
	net_connected_fn *connected;
	void *owner;
	struct err why;                 /* what went wrong last, if anything */
};

struct veilid {
	struct net net;                 /* first */
	struct net_env env;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct vnode *node;

	bool has_seed;
	uint8_t seed[VRECORD_SEED_LEN], key[KEY_LEN];
	char place[PLACE_MAX];          /* ours, without a key "veilid" */
	struct vpublish *publish;
	bool announced, withdrawing, withdrawn;

	net_accept_fn *accepted;        /* NULL: nobody listens */
	void *accept_owner;
	uint64_t dropped;
	uint8_t ended[VEILID_ENDED][VSEGMENT_STREAM_LEN];
	size_t nended;                  /* counts on */

	LIST_HEAD(, vfinder) finders;
	LIST_HEAD(, net_resolve) resolves;
	LIST_HEAD(, net_connect) connects;

	struct vlist all, due, held;
	struct vlist unknown;           /* accepted, not marked */
	struct vlist known;             /* all others that are in use */
	struct vlist lingering;         /* given up, not over */
	struct vlist ids[VEILID_IDS];
	struct vconn *graves;           /* dead ones, by links[VLIST_ALL] */
	size_t ncalls;                  /* in flight */
	uint64_t stream_due;            /* some stream has to be run then */

	bool soon;                      /* the timer is to come at once */
	bool closing, ending;           /* ending: only the node is left */
	uint64_t close_due;
	net_closed_fn *closed;
	void *closed_owner;
};

static inline uint64_t
veilid_now(const struct veilid *v)
{
	return uv_now(v->loop);
}

/* ---- veilid.c ---- */

/* Sets the timer to what comes next. */
void veilid_arm(struct veilid *v);

/* Sets it to the next turn of the loop. */
void veilid_soon(struct veilid *v);

/* ---- veilid_accept.c ---- */

/* A call by our route. */
void veilid_called(struct veilid *v, const char *call, const uint8_t *bytes,
    size_t len);

/* The stream of c is over: what comes of it yet opens no other. */
void veilid_remember(struct veilid *v, const struct vconn *c);

/* How many are accepted now. */
size_t veilid_naccepted(const struct veilid *v);

/* Drops those who did not become known in time. */
void veilid_drop_late(struct veilid *v, uint64_t now);

/* ---- veilid_conn.c ---- */

/* A connection with an id, on no stage's list; NULL without memory. */
struct vconn *vconn_new(struct veilid *v, bool opener,
    const uint8_t id[static VSEGMENT_STREAM_LEN], const char *place,
    struct err *err);

/* Gives it its stream.  E_FATAL without memory. */
int vconn_begin(struct vconn *c, struct err *err);

/* Puts it on a list of its stage. */
void vconn_stage(struct vconn *c, struct vlist *stage);

/* What it has to do may have changed. */
void vconn_touch(struct vconn *c);

/* Does what is due. */
void vconn_run(struct vconn *c, uint64_t now);

/* Nobody has it any more: what is queued goes yet if flush. */
void vconn_leave(struct vconn *c, bool flush);

/* Ends the stream of one that was left: its other end is told, if it can be. */
void vconn_break(struct vconn *c);

/* Takes it off all lists, to be freed at the end of a run. */
void vconn_bury(struct vconn *c);
void vconn_free_buried(struct veilid *v);

/* The next one of those that wait for calls may make some. */
void veilid_wake(struct veilid *v);

/* ---- veilid_path.c ---- */

/* The other end is reached by this route, as it told itself, or its record. */
void vpath_set(struct vconn *c, const uint8_t *blob, size_t len, bool told);

/* Its record was read. */
void vpath_record(struct vconn *c, const struct vrecord *record);

/* Calls by it fail. */
void vpath_stale(struct vconn *c);

/* It is to be imported (again). */
void vpath_import(struct vconn *c);

/* Does what is due. */
void vpath_run(struct vconn *c, uint64_t now);

void vpath_clear(struct vpath *p);

/* ---- veilid_find.c ---- */

struct vfinder *vfinder_get(struct veilid *v,
    const uint8_t key[static KEY_LEN], struct err *err);
void vfinder_put(struct vfinder *f);

/* Reads "veilid:" and a key's 43 characters; false if it is none. */
bool veilid_place_read(const char *place, uint8_t key[static KEY_LEN]);
void veilid_place_write(const uint8_t key[static KEY_LEN],
    char out[static PLACE_MAX]);

int veilid_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err);
void veilid_resolve_stop(struct net_resolve *r);

int veilid_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err);
void veilid_connect_stop(struct net_connect *c);

/* c, which was to be connected, is open; or over. */
void veilid_connected(struct vconn *c);
void veilid_not_connected(struct vconn *c, const struct err *why);

/* Tells what was found. */
void veilid_tell_found(struct veilid *v);

/* Ends the connects whose time is over. */
void veilid_end_connects(struct veilid *v, uint64_t now);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * net.h - networks: how two nodes find each other, and byte streams between
 * them.
 *
 * A network is a backend: one const struct of functions at the end of its
 * file, listed in the table of net.c.  It knows keys only as names to look
 * for; it proves nothing about who is at the other end, encrypts nothing and
 * knows no messages.  That is the business of chan and sync.
 *
 * All calls and callbacks happen on one thread, that of the loop.  No
 * callback is called from inside a call into this header; each comes from the
 * loop (or, for "memory", from memnet_step()).  Any function may be called
 * from inside any callback.
 *
 * Argument order: object, inputs, outputs, callback and owner, err.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct uv_loop_s;
struct memnet;

/* Every bound of this layer. */
enum {
	NET_PORT = 4433,                /* first TCP port tried for listening */
	NET_PORT_TRIES = 100,           /* and how many after it */
	NET_LAN_PORT = 4434,            /* UDP port of LAN discovery */

	NET_SEND_MAX = 4 << 20,         /* bytes queued on one connection */
	NET_SEND_MAX_UNKNOWN = 64 << 10, /* same, before net_conn_mark() */
	NET_LOW_WATER = 256 << 10,      /* on_drain is called from here down */
	NET_READ_MAX = 64 << 10,        /* most bytes in one on_data */
	NET_LINGER_MS = 2000,           /* close() may flush that long */
	NET_LINGERING_MAX = 64,         /* that many do at a time */

	NET_UNKNOWN_PER_IP = 64,        /* accepted, not marked, one IPv4
					 * address or IPv6 /64 */
	NET_UNKNOWN_MAX = 256,          /* accepted, not marked, in all */
	NET_ACCEPTED_MAX = 1024,        /* accepted, marked or not */
	NET_UNKNOWN_MS = 15000,         /* time to become marked */

	NET_LISTEN_MAX = 16,            /* listening sockets of one network */
	NET_ADDRS_MAX = 8,              /* addresses tried for one host name */
	NET_ADDR_STAGGER_MS = 150,      /* between two of them */
	NET_PLACES_MAX = 16,            /* places tried by one dial */
	NET_PLACE_STAGGER_MS = 50,      /* between two of them */
	NET_FAR_MS = 1500,              /* a far one is not taken before that,
					 * while a near one is on its way, */
	NET_NEAR_MS = 300,              /* nor before that, as near ones may
					 * still be found */

	NET_LAN_TICK_MS = 60000,        /* announcements of an idle node */
	NET_LAN_KEYS_MAX = 16,          /* keys announced by one process */
	NET_LAN_SEARCHES_MAX = 256,     /* keys searched for at a time */
	NET_LAN_IFS_MAX = 32,           /* interface addresses used */
	NET_LAN_RATE = 400,             /* packets looked at in a second */
	NET_LAN_RATE_SOURCE = 40,       /* same, from one source address */
	NET_LAN_ANSWERS = 40,           /* answers sent in a second */
	NET_LAN_SKEW_MIN = 24 * 60      /* minutes a clock may be off */
};

/* The world.  loop is NULL for "memory".  now_ms is the time of day in
 * milliseconds since 1970; random fills out with unpredictable bytes, or
 * returns E_FATAL. */
struct net_env {
	struct uv_loop_s *loop;
	uint64_t (*now_ms)(void *self);
	int (*random)(void *self, void *out, size_t len);
	void *self;
};

/* The real world on this loop: system clock and system randomness. */
struct net_env net_env_system(struct uv_loop_s *loop);

/* ---- connections ---- */

struct net_conn;

/* What the owner of a connection hears.  len is 1 to NET_READ_MAX, and the
 * bytes are valid during the call only. */
struct net_conn_events {
	void (*on_data)(struct net_conn *conn, const uint8_t *bytes,
	    size_t len);
	/* queued() was above NET_LOW_WATER and no longer is */
	void (*on_drain)(struct net_conn *conn);
	/* The stream is over, why->code is 0 if the other side ended it in
	 * order.  Called at most once, and nothing after it.  The owner
	 * still has to call net_conn_close(), here or later. */
	void (*on_close)(struct net_conn *conn, const struct err *why);
};

struct net_conn_ops {
	int (*send)(struct net_conn *conn, const void *bytes, size_t len,
	    struct err *err);
	size_t (*queued)(const struct net_conn *conn);
	void (*read)(struct net_conn *conn, bool on);
	void (*mark)(struct net_conn *conn);
	void (*place)(const struct net_conn *conn, char out[static PLACE_MAX]);
	void (*close)(struct net_conn *conn, bool flush);
};

/* A byte stream.  The backend makes it and hands it to its owner in a
 * callback (accepted or connected); the owner sets events and owner there,
 * calls net_conn_read(conn, true) when it wants bytes, and ends it with
 * net_conn_close() or net_conn_abort(), after which conn is gone and no
 * callback comes. */
struct net_conn {
	const struct net_conn_ops *ops;
	const struct net_conn_events *events;
	void *owner;
	bool far;               /* of a network that is */
};

/* Copies or sends bytes.  E_HELD: the queue would pass its maximum, nothing
 * was taken, wait for on_drain.  E_UNREACHABLE: the stream is broken. */
int net_conn_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err);

/* Bytes that the transport has not yet taken. */
size_t net_conn_queued(const struct net_conn *conn);

/* Starts or stops on_data.  A connection is made stopped; while stopped, the
 * end of the stream may go unnoticed. */
void net_conn_read(struct net_conn *conn, bool on);

/* The owner knows who is at the other end: conn may queue more, and is no
 * longer among those that are dropped first.  Connections made by
 * connect() are born marked. */
void net_conn_mark(struct net_conn *conn);

/* The other end as HOST:PORT, for people. */
void net_conn_place(const struct net_conn *conn, char out[static PLACE_MAX]);

/* Gives conn up; what is queued still goes out, for NET_LINGER_MS at most, and
 * unless NET_LINGERING_MAX others do the same: enough for a last word. */
void net_conn_close(struct net_conn *conn);

/* Gives conn up at once. */
void net_conn_abort(struct net_conn *conn);

/* ---- networks ---- */

enum net_lan {
	NET_LAN_AUTO,  /* not on interfaces with public addresses */
	NET_LAN_OFF,
	NET_LAN_ALL
};

/* All zero is the default.  Copied by open(). */
struct net_options {
	uint16_t port;          /* direct: first port tried, 0 = NET_PORT */
	enum net_lan lan;       /* direct: where to use discovery */
	uint16_t lan_port;      /* direct: its port, 0 = NET_LAN_PORT */
	const char *lan_only;   /* direct: this interface only, NULL = all */
	struct memnet *memnet;  /* memory: the world it is part of */
	const uint8_t *key;     /* memory: the key of this endpoint */
	const char *veilid;     /* veilid: where its node listens, unix:PATH or
				 * HOST:PORT */
	bool veilid_trusted;    /* veilid: whoever listens there may learn the
				 * key that is announced */
	const uint8_t *seed;    /* veilid: the secret key (32 bytes) of what is
				 * announced, wiped at the end; NULL: nothing
				 * can be */
};

/* One use of an interface by LAN discovery. */
struct net_status_if {
	char name[32];
	char address[64];
	bool joined;
	char why[80];           /* if not, the reason */
};

/* For people: `doctor`. */
struct net_status {
	char listening[NET_LISTEN_MAX][PLACE_MAX];
	size_t nlistening;
	size_t accepted, unknown;       /* connections now */
	uint64_t dropped;               /* connections dropped so far */
	bool lan;                       /* discovery is in use */
	struct net_status_if ifs[NET_LAN_IFS_MAX];
	size_t nifs;
	uint64_t heard, recognised, limited; /* discovery packets */
	uint64_t skewed;                /* recognised, but clock too far off */
	int64_t skew_min;               /* the last of these, in minutes */
	struct {
		bool on;                /* it is such a network, or has one */
		bool connected;         /* with the node */
		bool ready;             /* the node can be used */
		bool routed;            /* we have a private route */
		char version[32];       /* of the node, "" if not known */
		char state[64];         /* of its attachment, as it says */
		bool announced;         /* a record is to be kept */
		uint64_t published_ms;  /* it was written, since 1970; 0: not */
		bool withdrawn;         /* withdraw() is done */
		size_t streams;         /* connections now */
		struct err why;         /* what is wrong; code 0: nothing */
	} veilid;
};

struct net {
	const struct net_backend *backend;
};

struct net_resolve;
struct net_connect;

/* A connection came in.  The callee owns conn; if it leaves events NULL, the
 * connection is refused. */
typedef void net_accept_fn(void *owner, struct net_conn *conn);

/* Somebody says that the key wanted is at place (not proven).  May be called
 * any number of times, also for the same place again. */
typedef void net_place_fn(void *owner, const char *place);

/* The end of a connect(): conn, which the callee owns, or NULL and why. */
typedef void net_connected_fn(void *owner, struct net_conn *conn,
    const struct err *why);

typedef void net_closed_fn(void *owner);

struct net_backend {
	const char *name;

	/* Slower than others: a dial takes its connection only where none of
	 * the others answers soon. */
	bool far;

	/* Whether place is one of this network's.  NULL: any is. */
	bool (*knows)(const char *place);

	/* Makes a network; env is copied. */
	int (*open)(const struct net_env *env, const struct net_options *opt,
	    struct net **out, struct err *err);

	/* Ends everything: connections, listening, resolving, connecting,
	 * announcing; pointers to them are invalid from now on.  Connections
	 * that were closed and still flush may do so.  closed, which may be
	 * NULL, is called when nothing of net is left on the loop. */
	void (*close)(struct net *net, net_closed_fn *closed, void *owner);

	/* Accepts connections at place (exactly there, or E_EXISTS if it is
	 * taken), or, if place is NULL, on all addresses at the first free
	 * port.  actual gets the place; may be called again for more places.
	 * A host name is looked up before the call returns. */
	int (*listen)(struct net *net, const char *place,
	    char actual[static PLACE_MAX], net_accept_fn *accepted,
	    void *owner, struct err *err);

	/* Looks for key until resolve_stop().  E_NOTFOUND: this network has
	 * no way to look for anybody (discovery is off). */
	int (*resolve)(struct net *net, const uint8_t key[static KEY_LEN],
	    net_place_fn *found, void *owner, struct net_resolve **out,
	    struct err *err);
	void (*resolve_stop)(struct net_resolve *resolve);

	/* Connects to place within timeout_ms.  connected is called once,
	 * unless connect_stop() comes first; *out is invalid after either. */
	int (*connect)(struct net *net, const char *place,
	    uint32_t timeout_ms, net_connected_fn *connected, void *owner,
	    struct net_connect **out, struct err *err);
	void (*connect_stop)(struct net_connect *connect);

	/* Lets those who know key find this node, which must be listening.
	 * Once more for the same key: says it again now. */
	int (*announce)(struct net *net, const uint8_t key[static KEY_LEN],
	    struct err *err);
	void (*withdraw)(struct net *net, const uint8_t key[static KEY_LEN]);

	/* There is something new where key is announced, for those who look
	 * for it and are not connected.  NULL: this network can't tell. */
	void (*changed)(struct net *net, const uint8_t key[static KEY_LEN]);

	void (*status)(const struct net *net, struct net_status *out);
};

/* The backend of that name, or NULL. */
const struct net_backend *net_find(const char *name);

/* The backends by number, from 0; NULL after the last. */
const struct net_backend *net_at(size_t i);

/* ---- dialling ---- */

/* Finds and connects to a key: tries the places given, and those that
 * resolve() finds, next to each other with a small delay between them. */
struct net_dial;

struct net_dial_events {
	/* A connection, which the callee owns.  Nothing further is started
	 * until net_dial_next().  named tells a place that was given from one
	 * that was found: a wrong key is an error at the former only. */
	void (*on_conn)(void *owner, struct net_conn *conn, const char *place,
	    bool named);
	/* Nobody could be reached in time.  The dial is gone. */
	void (*on_fail)(void *owner, const struct err *why);
};

/* Starts dialling on net, whose loop is env's; not for "memory".  places may
 * be none (n == 0).  The time limit covers everything up to net_dial_stop(),
 * but never touches a connection that was handed over. */
int net_dial(struct net *net, const struct net_env *env,
    const uint8_t key[static KEY_LEN], const char *const *places, size_t n,
    uint32_t timeout_ms, const struct net_dial_events *events, void *owner,
    struct net_dial **out, struct err *err);

/* The connection handed over last was not the right one: goes on. */
void net_dial_next(struct net_dial *dial);

/* Ends it, without callback. */
void net_dial_stop(struct net_dial *dial);

#endif

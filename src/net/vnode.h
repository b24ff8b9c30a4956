// SPDX-License-Identifier: MPL-2.0
/*
 * vnode.h - a Veilid node, as the network "veilid" needs it: whether it can be
 * used, a private route by which we are reached, calls by routes of others, and
 * what else is asked of it in our routing context.  Records are vpublish's and
 * vfind's business, streams vstream's.
 *
 * The node may be shared with other databases and programs: only what comes by
 * a route of ours is told.  Connection, context and route are made again by
 * themselves, whatever is lost: the node, the connection with it, the route.
 *
 * One thread, that of the loop.  No callback is called from inside a call into
 * this header; any function may be called from inside any callback.
 */
#ifndef NET_VNODE_H
#define NET_VNODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "net/net.h"
#include "net/vapi.h"

enum {
	VNODE_CALL_MS = 15000,          /* to wait for the end of a call; nodes
					 * give up themselves after 5 or 10 s */
	VNODE_AGAIN_MIN_MS = 200,       /* for a route that was not to be had,
					 * doubled ... */
	VNODE_AGAIN_MAX_MS = 10000,     /* ... up to this */
	VNODE_TEST_MS = 300000,         /* nothing came by our route for so long:
					 * we call ourselves by it */
	VNODE_TEST_AGAIN_MS = 10000,    /* that failed: once more after this */
	VNODE_TESTS = 2,                /* that many failed: another route */
	VNODE_ROUTE_MS = 60000          /* for a new route: one that comes later
					 * would be nobody's */
};

struct vnode;

struct vnode_events {
	/* It can be used from now on (connected, attached and in reach of
	 * others), or no more; why is NULL if it can. */
	void (*on_ready)(void *owner, const struct err *why);
	/* By which route we are reached from now on, valid during the call; len
	 * is 0 if by none at present. */
	void (*on_route)(void *owner, const uint8_t *blob, size_t len);
	/* A call by a route of ours.  It is to be answered by vnode_reply() with
	 * this text, before the caller gives it up, or not at all. */
	void (*on_call)(void *owner, const char *call, const uint8_t *bytes,
	    size_t len);
	/* That imported route is dead. */
	void (*on_dead)(void *owner, const char *route);
	/* A record has changed; all of update is valid during the call. */
	void (*on_value)(void *owner, const struct vupdate *update);
};

/* Begins; where and trusted are those of vapi_open(), as are the errors. */
int vnode_open(const struct net_env *env, const char *where, bool trusted,
    const struct vnode_events *events, void *owner, struct vnode **out,
    struct err *err);

/* Ends it: releases our route, if the node takes it in VNODE_END_MS, and drops
 * all that waits without a word, but for closed, which may be NULL. */
enum { VNODE_END_MS = 1000 };
void vnode_close(struct vnode *n, vapi_closed_fn *closed, void *owner);

bool vnode_ready(const struct vnode *n);

/* Our route, as on_route; NULL if there is none. */
const uint8_t *vnode_route(const struct vnode *n, size_t *len);

/* The node was just started. */
void vnode_hurry(struct vnode *n);

/* Why it can't be used, for people; code 0 if it can. */
void vnode_why(const struct vnode *n, struct err *out);

/* For people: the node's version, and how it is attached, as it says; "" while
 * that is not known. */
struct vnode_status {
	bool connected;                 /* with the node */
	char version[32], state[64];
};
void vnode_status(const struct vnode *n, struct vnode_status *out);

/* An operation outside of routing contexts ("GetDhtRecordKey"), or, with
 * "rc_op" in it, inside of ours: "op" and "rc_id" are put there.  Else as
 * vapi_call().  E_UNREACHABLE: not ready. */
int vnode_request(struct vnode *n, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, void *owner, struct vapi_call **out,
    struct err *err);

/* ---- routes of others ---- */

/* route is its name, valid during the call; or NULL and why. */
typedef void vnode_import_fn(void *owner, const char *route,
    enum vfault fault, const struct err *why);

/* Makes a route usable here; importing one again is allowed.  Nodes forget by
 * themselves what is imported and not used for some minutes (a call by it then
 * ends in VFAULT_NO_CONNECTION or _TARGET: it is to be imported again).  It is
 * not released: all programs of a node share what is imported, and where the
 * route is of the same node, that would end the route itself. */
int vnode_import(struct vnode *n, const uint8_t *blob, size_t len,
    vnode_import_fn *done, void *owner, struct vapi_call **out,
    struct err *err);

/* The end of a call; bytes are valid during it.  fault is VFAULT_NONE, or why
 * says what went wrong. */
typedef void vnode_called_fn(void *owner, const uint8_t *bytes, size_t len,
    enum vfault fault, const struct err *why);

/* Calls by an imported route with at most VSEGMENT_MAX bytes.  out is as
 * vapi_call()'s. */
int vnode_call(struct vnode *n, const char *route, const uint8_t *bytes,
    size_t len, vnode_called_fn *done, void *owner, struct vapi_call **out,
    struct err *err);

/* Answers one of on_call with at most VSEGMENT_MAX bytes; an error of it is
 * nobody's business, as the caller asks again. */
void vnode_reply(struct vnode *n, const char *call, const uint8_t *bytes,
    size_t len);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * vapi.h - a client of a Veilid node's JSON API: requests, each with its
 * answer, and updates.  What is asked, and what the network "veilid" makes of
 * it, is not its business.
 *
 * The connection is made, and made again, by itself: after an attempt that
 * failed, or a connection that broke, the next one waits, longer each time, up
 * to VAPI_RETRY_MAX_MS.  What a node gives a number (routing contexts) lives in
 * one connection; after on_up it has to be asked for anew.
 *
 * Any client of a node hears what is sent to all routes of that node, and
 * whoever publishes a record gives the node its key: the node has to be the
 * user's own.  See vlink.h for what is asked of where it listens.
 *
 * One thread, that of the loop.  No callback is called from inside a call into
 * this header; any function may be called from inside any callback.
 */
#ifndef NET_VAPI_H
#define NET_VAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "net/vmsg.h"

struct uv_loop_s;

enum {
	VAPI_CALLS_MAX = 256,           /* requests without an answer */
	VAPI_REQUEST_MAX = 1 << 20,     /* bytes of one */
	VAPI_GREET_MS = 10000,          /* to connect and learn the version */
	VAPI_RETRY_MIN_MS = 100,
	VAPI_RETRY_MAX_MS = 30000,
	VAPI_STEADY_MS = 10000          /* a connection that lived that long
					 * was a good one: no waiting longer */
};

/* The dialect that is known: 0.5, whatever comes after. */
enum { VAPI_MAJOR = 0, VAPI_MINOR = 5 };

struct vapi_version {
	uint32_t major, minor, patch;
};

struct vapi;
struct vapi_call;

struct vapi_events {
	/* Requests can be made from now on. */
	void (*on_up)(void *owner, const struct vapi_version *version);
	/* Connected no more, or not at all: an attempt failed.  E_UNREACHABLE,
	 * or E_REFUSED: another user's socket, an unknown dialect; or
	 * E_INTEGRITY: what came was no message.  Each request that waited was
	 * told before. */
	void (*on_down)(void *owner, const struct err *why);
	/* update and what it points to are valid during the call.  Kinds that
	 * are not known are not told. */
	void (*on_update)(void *owner, const struct vupdate *update);
};

/* The end of a request.  why is NULL and value the answer's (NULL if it has
 * none; json null is a value), valid during the call, or longer by
 * json_incref(); numbers in it are reals, for json_number_value().  Or
 * why->code is an error, and fault says which. */
typedef void vapi_done_fn(void *owner, const json_t *value,
    enum vfault fault, const struct err *why);

typedef void vapi_closed_fn(void *owner);

/* Begins to connect; where and trusted are vwhere_parse's, as are its errors.
 * The node need not be there yet. */
int vapi_open(struct uv_loop_s *loop, const char *where, bool trusted,
    const struct vapi_events *events, void *owner, struct vapi **out,
    struct err *err);

/* Ends it.  Requests that wait are dropped without a word, as is all else, but
 * for closed (which may be NULL): nothing is left on the loop. */
void vapi_close(struct vapi *api, vapi_closed_fn *closed, void *owner);

/* Whether requests can be made. */
bool vapi_up(const struct vapi *api);

/* The node was just started: an attempt that waits is made now, and the next
 * waits are short again. */
void vapi_hurry(struct vapi *api);

/* Makes a request: an object with "op" and what belongs to it, without "id".
 * The reference to it is taken, also on error.  done is called once, at the
 * latest after timeout_ms (VFAULT_TIMEOUT), unless vapi_forget() or
 * vapi_close() come first; *out (NULL if the caller won't forget it) is
 * invalid then.  E_UNREACHABLE: not up.  E_HELD: too many requests or bytes
 * wait; to be tried again when one has ended.  E_USAGE: request is NULL (which
 * is what json_pack() gives for bytes that are no UTF-8), or too long. */
int vapi_call(struct vapi *api, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, void *owner, struct vapi_call **out,
    struct err *err);

/* For a layer above that tells the end of a request in another form: shape is
 * called instead of done, with the owner that vapi_open() was given, and what
 * was given here. */
typedef void vapi_any_fn(void);
typedef void vapi_shape_fn(void *api_owner, vapi_any_fn *done, void *owner,
    const json_t *value, enum vfault fault, const struct err *why);
int vapi_call_as(struct vapi *api, json_t *request, uint32_t timeout_ms,
    vapi_shape_fn *shape, vapi_any_fn *done, void *owner,
    struct vapi_call **out, struct err *err);

/* The answer is not wanted any more.  The node may do what was asked. */
void vapi_forget(struct vapi_call *call);

#endif

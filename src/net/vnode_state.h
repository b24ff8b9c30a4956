// SPDX-License-Identifier: MPL-2.0
/*
 * vnode_state.h - what vnode.c (connection, readiness), vnode_call.c (requests) and
 * vnode_route.c (our own route) share.  For these three only.
 */
#ifndef NET_VNODE_STATE_H
#define NET_VNODE_STATE_H

#include <uv.h>

#include "net/vnode.h"

enum { VNODE_NAME_MAX = 128, VNODE_BLOB_MAX = 4096 };

#define VNODE_NEVER UINT64_MAX

/* A private route of ours. */
struct vnode_own {
	char id[VNODE_NAME_MAX];        /* "": there is none */
	char import[VNODE_NAME_MAX];    /* its name here, "" if not known */
	uint8_t blob[VNODE_BLOB_MAX];
	size_t len;
};

struct vnode {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct vapi *api;
	const struct vnode_events *events;
	void *owner;

	/* what is known of this connection */
	bool attached;                  /* the node is in reach of others */
	bool asked, heard;              /* for its state; of it meanwhile */
	long context;                   /* 0: none yet */
	bool asked_context;
	bool ready;                     /* as was told */
	struct vnode_status status;
	struct err why;

	struct vnode_own own;           /* as was told */
	struct vnode_own next;          /* being made */
	bool making;
	char old[2][VNODE_NAME_MAX];    /* of the connection before */
	struct vapi_call *test;
	bool came;                      /* a call, since the test began */
	unsigned failed;                /* tests of this route in a row */

	uint64_t ask_due;               /* state and context; these are
					 * VNODE_NEVER if nothing is */
	uint64_t route_due, test_due;
	uint32_t ask_wait, route_wait;  /* before the next attempt */

	bool closing;
	bool ended;                     /* the end waits for no answer now */
	unsigned ending;                /* answers that it waits for */
	vapi_done_fn *end_answer;       /* hears them */
	unsigned handles;               /* on the loop: the timer, vapi's */
	vapi_closed_fn *closed;
	void *closed_owner;
};

/* ---- vnode.c ---- */

/* After any change of a due time. */
void vnode_arm(struct vnode *n);

/* When to try again; *wait is longer the next time. */
uint64_t vnode_later(struct vnode *n, uint32_t *wait);

/* ---- vnode_call.c ---- */

/* A request that serves n itself, ready or not; done gets n, and is not called
 * any more once n is closed.  E_* as vapi_call(). */
int vnode_ask(struct vnode *n, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, struct vapi_call **out);

/* Hears the answer to what nobody waits for. */
void vnode_done_with(void *owner, const json_t *value, enum vfault fault,
    const struct err *why);

/* Bytes as base64url; NULL without memory. */
json_t *vnode_bytes_text(const uint8_t *bytes, size_t len);

/* ---- vnode_route.c ---- */

/* The node has become ready, or is so no more. */
void vnode_route_ready(struct vnode *n);

/* The connection is lost, and with it the route: whether there was one, which
 * is to be told. */
bool vnode_route_lost(struct vnode *n);

/* A new connection: ends what the last one may have left in the node. */
void vnode_route_up(struct vnode *n);

/* Does what is due. */
void vnode_route_run(struct vnode *n);

/* Updates: some routes of the node are dead; a call. */
void vnode_route_dead(struct vnode *n, const json_t *dead);
void vnode_route_called(struct vnode *n, const struct vupdate *update);

/* Asks the node to end our route; n->ending counts the answers that done is to
 * hear. */
void vnode_route_end(struct vnode *n, vapi_done_fn *done);

#endif

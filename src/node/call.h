// SPDX-License-Identifier: MPL-2.0
/*
 * call.h - one attempt to reach a remote: finds places, connects, and stays
 * until a session is open with the right key, or says why there is none.
 *
 * A wrong key at the place that the user named is the answer, at a place that
 * was found on the network it is somebody else's noise (R28).
 */
#ifndef NODE_CALL_H
#define NODE_CALL_H

#include <stdint.h>

#include "base/err.h"
#include "node/node.h"

struct call;
struct session;
struct store_remote;

/* s is open and released by the call (the callee may set itself up in
 * hub_options or by jobs), or NULL and why.  The call is gone. */
typedef void call_done_fn(void *owner, struct session *s,
    const struct err *why);

/* Calls remote, which is copied, within timeout_ms. */
int call_start(struct node *n, const struct store_remote *remote,
    uint32_t timeout_ms, call_done_fn *done, void *owner, struct call **out,
    struct err *err);

/* Ends it without callback. */
void call_stop(struct call *c);

/* A near session with that remote is open: a call that tries nobody yet, or
 * somebody over a far network, is stopped, and true returned.  Of two near ones
 * that crossed both ends decide alike which one stays (hub.c). */
bool call_yield(struct call *c);

/* Where it stands, for people: HOST:PORT that is being tried, or "". */
const char *call_place(const struct call *c);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * session.h - one connection: a stream of bytes, the channel on it, the
 * conversation in the channel, and what that asks of the store.
 *
 * Like the hub it belongs to, it knows no loop.  Callbacks come from the
 * stream's callbacks, from hub_tick() and hub_changed(), never from inside a
 * call into this header.
 */
#ifndef NODE_SESSION_H
#define NODE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "node/event.h"
#include "node/hub.h"

struct net_conn;
struct session;
struct store_remote;
struct store_want;

enum {
	SESSION_HANDSHAKE_MS = 10000,   /* until both said HELLO */
	SESSION_SLOW_MS = 60000,        /* more than NET_LOW_WATER waits, and
	                                   the peer does not read it */
	SESSION_PAGE_MAX = 256 << 10    /* asked of the store */
};

/* What the caller of a session hears until it lets go of it. */
struct session_events {
	void (*on_open)(void *owner, struct session *s);
	/* Gone, before or after on_open; s is invalid after the call. */
	void (*on_close)(void *owner, struct session *s,
	    const struct err *why);
};

/* Takes over conn, which leads to where that remote is said to be.  On
 * failure conn is closed. */
int session_call(struct hub *h, struct net_conn *conn,
    const struct store_remote *remote, const struct session_events *events,
    void *owner, struct session **out, struct err *err);

/* Takes over conn, by which somebody called; who it is comes out later, see
 * hub_options. */
int session_answer(struct hub *h, struct net_conn *conn, struct err *err);

/* Lets go: the session goes on, but its caller hears no more of it. */
void session_release(struct session *s);

/* Ends it without callback to its caller.  code and text go to the peer. */
void session_end(struct session *s, int code, const char *text);

/* ---- what it is ---- */

int64_t session_remote(const struct session *s);        /* its id */
const char *session_name(const struct session *s);      /* of the remote */
const uint8_t *session_key(const struct session *s);    /* of the peer */
const char *session_place(const struct session *s);
bool session_is_far(const struct session *s);   /* see net_backend.far */
bool session_is_caller(const struct session *s);        /* we called */
uint64_t session_since(const struct session *s);        /* open since */

/* ---- what it is asked to do ---- */

/* A request, a part of its owner's own structure.  At most one callback to
 * done; the request is not touched after it. */
struct job {
	enum exchange_verb verb;        /* anything but merge */
	struct store_want *want;        /* wait: for what; its owner's */
	void (*progress)(struct job *job, const struct exchange_progress *p);
	void (*done)(struct job *job, const struct exchange_result *r);
	void *owner;
	/* private */
	struct job *next;
	struct session *session;
	bool running;
	uint64_t transactions, rows, bytes;     /* by earlier tries */
};

/* Queues it. */
void session_do(struct session *s, struct job *job);

/* Takes it back, without callback; what goes on for it may be stopped. */
void session_undo(struct job *job);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * peers.h - keeps one connection to each remote while serving: whom to call,
 * when to call again, and what to do when the machine was asleep.
 */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "node/node.h"

enum {
	PEERS_CALL_MS = 10000,          /* one attempt */
	PEERS_AGAIN_MIN_MS = 500,       /* from one to the next, doubled ... */
	PEERS_AGAIN_MAX_MS = 60000,     /* ... up to this, and jitter */
	PEERS_NEARER_MS = 30000         /* connected over a far network: between
					 * two calls of who is heard on a near
					 * one */
};

struct peers;
struct store_remote;

struct peers_events {
	/* An attempt failed; again: as the one before it did. */
	void (*failed)(void *owner, const struct store_remote *remote,
	    bool again, const struct err *why);
	/* One brought a session, or found that there is one. */
	void (*reached)(void *owner, struct session *s);
};

/* Starts calling every remote of the store of n. */
int peers_open(struct node *n, const struct peers_events *events,
    void *owner, struct peers **out, struct err *err);

/* Ends all attempts; sessions stay.  p may be NULL. */
void peers_close(struct peers *p);

/* The list of remotes may have changed. */
void peers_reload(struct peers *p);

/* A session ended, or one was opened by the other side. */
void peers_closed(struct peers *p, struct session *s, const struct err *why);
void peers_opened(struct peers *p, struct session *s);

enum peers_plan {
	PEERS_CONNECTED,
	PEERS_CALLING,          /* an attempt goes on */
	PEERS_AGAIN,            /* in in_ms */
	PEERS_HEARS             /* when it calls, or announces itself */
};
/* What comes next with each remote. */
int peers_each(struct peers *p, int (*each)(void *self,
    const struct store_remote *remote, enum peers_plan plan, uint64_t in_ms),
    void *self);

/* Calls that remote now, whatever the clock says. */
void peers_call(struct peers *p, int64_t remote);

/* Calls all that are not connected: the machine was asleep, or moved. */
void peers_call_all(struct peers *p);

#endif

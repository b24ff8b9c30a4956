// SPDX-License-Identifier: MPL-2.0
/*
 * hub.h - one database and the sessions that share it: whose turn it is to
 * pull (hub_turn.c, R13), who must hear of a commit, who may come in.
 *
 * It knows no loop and no socket: time comes in by hub_tick(), bytes by
 * struct net_conn, so that a simulation drives the very same code.  How
 * connections come about is not its business (peers.h, call.h).
 */
#ifndef NODE_HUB_H
#define NODE_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "node/event.h"

struct chan_identity;
struct hub;
struct session;
struct store;

enum {
	HUB_SESSIONS_MAX = 1280,        /* all; more than the network accepts */
	HUB_KNOCKS_PER_MIN = 30         /* written down; the rest only refused */
};

#define HUB_NEVER UINT64_MAX

struct hub_env {
	uint64_t (*now_ms)(void *self);         /* never goes back */
	int64_t (*date_ms)(void *self);         /* since 1970 */
	/* hub_tick() is wanted at that time of now_ms(), which may have
	 * passed; replaces the time asked for before. */
	void (*wake)(void *self, uint64_t at_ms);
	void *self;
};

struct hub_options {
	/* Stay in touch: pull from each peer as soon as it is connected, and
	 * whenever it has something new. */
	bool follow;
	/* Else: what a session that we call is for, so that its first message
	 * can ask for it (EXCHANGE_FETCH or EXCHANGE_PULL). */
	bool eager;
	enum exchange_verb verb;
	node_event_fn *event;           /* may be NULL */
	/* Something was committed, here or by a merge.  May be NULL. */
	void (*news)(void *self);
	/* A session is open; one that was open is over.  May be NULL. */
	void (*opened)(void *self, struct session *s);
	void (*closed)(void *self, struct session *s, const struct err *why);
	void *self;
};

/* env and options are copied; the store must outlive the hub. */
int hub_new(struct store *store, const struct hub_env *env,
    const struct hub_options *options, struct hub **out, struct err *err);

/* Cuts all sessions, without callbacks. */
void hub_free(struct hub *h);

/* The time asked for by wake() has come. */
void hub_tick(struct hub *h);

/* Somebody may have committed: looks, and tells the peers.  *again: the
 * database was locked, ask once more in a moment. */
void hub_changed(struct hub *h, bool *again);

/* The machine was asleep, or has another address: are the peers still there? */
void hub_probe(struct hub *h);

/* The hints, rights or settings of remotes may have changed: sessions of who
 * is no remote any more end. */
void hub_remotes_changed(struct hub *h);

struct store *hub_store(struct hub *h);

/* The sessions that are open, one after the other; NULL begins, and ends. */
struct session *hub_next(struct hub *h, const struct session *after);

/* Why nobody can write now: another program holds the database's lock, since
 * *since_ms of now_ms().  NULL: it is not so. */
const struct err *hub_locked(const struct hub *h, uint64_t *since_ms);

/* The open session with that key, or NULL. */
struct session *hub_find(struct hub *h, const uint8_t *key);

#endif

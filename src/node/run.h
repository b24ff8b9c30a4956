// SPDX-License-Identifier: MPL-2.0
/*
 * run.h - one exchange (fetch, merge, pull, push, verify, wait) with one remote or
 * with all: who is done, who failed, who did not get further within the timeout.
 *
 * How a remote is reached is its owner's business: a single exchange makes a
 * call (once.h), a serve has its peers (peers.h).
 */
#ifndef NODE_RUN_H
#define NODE_RUN_H

#include "node/event.h"
#include "node/node.h"
#include "store/store.h"

struct run;

struct run_events {
	/* A session with this remote is wanted, see run_opened() and
	 * run_failed(), which may be called from inside. */
	void (*reach)(void *owner, const struct store_remote *remote);
	/* Nonzero ends the run with that value.  progress may be NULL. */
	int (*progress)(void *owner, const struct exchange_progress *p);
	int (*result)(void *owner, const struct exchange_result *r);
	/* The gravest code of all, and why where that is no remote's own
	 * trouble.  The run is gone. */
	void (*done)(void *owner, int code, const struct err *why);
	/* Whoever can't be reached is called again without being asked to. */
	bool calls_again;
};

/* Starts x, whose callbacks are not used.  E_NOTFOUND: no such remote, or
 * none at all.  All callbacks come from the loop. */
int run_start(struct node *n, const struct exchange *x,
    const struct run_events *events, void *owner, struct run **out,
    struct err *err);

/* Ends it without callback. */
void run_stop(struct run *r);

/* A session is open; nothing happens if the run did not wait for it. */
void run_opened(struct run *r, struct session *s);

/* That remote can't be reached. */
void run_failed(struct run *r, int64_t remote, const struct err *why);

#endif

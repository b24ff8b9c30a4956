// SPDX-License-Identifier: MPL-2.0
/*
 * serve.h - serving a database: listens, keeps in touch with its remotes,
 * tells them of each commit and takes theirs, and answers the control socket.
 */
#ifndef NODE_SERVE_H
#define NODE_SERVE_H

#include <stdbool.h>

#include "base/err.h"
#include "node/event.h"

struct serve;
struct store;

struct serve_options {
	const char *listen;     /* HOST:PORT; NULL: what is configured, else all
				 * addresses at the first free port */
	bool no_discovery;
	node_event_fn *event;   /* or NULL */
	void *self;
};

/* Starts; E_FATAL if another serve of this database runs.  The store must
 * outlive the serve and is used by it between the calls below. */
int serve_start(struct store *store, const struct serve_options *options,
    struct serve **out, struct err *err);

/* Readable when serve_step() has something to do. */
int serve_fd(const struct serve *s);

/* Milliseconds after which serve_step() wants to be called anyway, or -1. */
int serve_timeout(const struct serve *s);

/* Does what is due, without waiting.  E_FATAL, here and below, once the database
 * file or the state directory was removed or replaced. */
int serve_step(struct serve *s, struct err *err);

/* Until serve_stop(). */
int serve_run(struct serve *s, struct err *err);

/* Async-signal-safe. */
void serve_stop(struct serve *s);

/* Says good-bye to all and frees s, which may be NULL. */
void serve_close(struct serve *s);

#endif

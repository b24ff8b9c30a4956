// SPDX-License-Identifier: MPL-2.0
/*
 * follow.h - gives each change of a database as it is committed, to one who may
 * take his time: no transaction is open while he does.
 */
#ifndef NODE_FOLLOW_H
#define NODE_FOLLOW_H

#include "node/stop.h"
#include "store/past.h"

struct follow_options {
	const uint8_t *from;    /* STORE_CURSOR_LEN bytes; NULL: from now on */
	const char *table;      /* NULL: all */
	bool once;              /* end where nothing more is there */
	/* Changes in the order of the log, and the place behind them; at first none,
	 * and the place where it begins.  Nonzero ends it with that value. */
	int (*batch)(void *self, const struct store_change *change, size_t n,
	    const uint8_t place[static STORE_CURSOR_LEN]);
	void *self;
};

/* Runs until then, or stop is asked: E_INTERRUPTED.  E_NOTFOUND: no such table, or
 * `from` is of no place here; E_FATAL if the file is replaced. */
int follow_run(struct store *s, const struct follow_options *options,
    struct stop *stop, struct err *err);

#endif

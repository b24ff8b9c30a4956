// SPDX-License-Identifier: MPL-2.0
/*
 * history.h - random writes, as programs make them: inserts, updates, deletes,
 * re-inserts, REPLACE, changed keys, savepoints, failing statements,
 * rollbacks.  Knows nothing of replication.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>

#include "rng.h"

/* The tables that histories write to, and how they are made. */
enum { HISTORY_NTABLES = 5, HISTORY_NCOLUMNS = 3 };
extern const struct history_table {
	const char *name;
	const char *create;
	const char *key;        /* its columns, "p,q" */
	const char *column[HISTORY_NCOLUMNS];   /* the others, then NULL */
} history_tables[HISTORY_NTABLES];

/* What was done to the table "words" since: its column c is called d; it has
 * a column e more. */
struct history_shape {
	bool renamed, widened;
};

/* One transaction of one to six statements; *committed tells how it ended.
 * Statements that break a constraint are part of it; any other error is
 * returned. */
int history_transaction(sqlite3 *db, struct history_shape shape,
    struct rng *rng, bool *committed);

/* One statement that may change something in that table. */
int history_statement(sqlite3 *db, struct history_shape shape, int table,
    struct rng *rng);

#endif

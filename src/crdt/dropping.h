// SPDX-License-Identifier: MPL-2.0
/*
 * dropping.h - a replicated table that a statement is about to drop, in a transaction
 * that may make it anew (CREATE n; INSERT INTO n SELECT; DROP; RENAME).
 *
 * What waits for a fold goes by the rowids that rows have now, and is folded while they
 * are there.  Then a list of keys and rowids is made, as by crsql_begin_alter: by it the
 * next fold that sees a table of that name again knows which row is which (remap.h).
 */
#ifndef CRDT_DROPPING_H
#define CRDT_DROPPING_H

#include "crdt/engine.h"

/* A statement's savepoint begins, and is noted (capture_savepoint): if the statement is
 * such a DROP, does the above.  What is written is undone with the statement. */
int dropping_look(struct engine *e);

/* A statement has ended in a transaction with such a DROP, or within an alter: folds at
 * once, before anything is written to a table that was made anew. */
void dropping_statement_ended(struct engine *e);

/* Such a list becomes temp.crsql_alter_ID of t (remap_by_list). */
int dropping_load_list(struct engine *e, struct table *t, int list);

/* The transaction is over. */
void dropping_forget(struct engine *e);

#endif

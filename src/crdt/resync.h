// SPDX-License-Identifier: MPL-2.0
/*
 * resync.h - rows of a table that came or went while nobody was looking: a
 * table made anew by a program that does not know of its triggers.
 */
#ifndef CRDT_RESYNC_H
#define CRDT_RESYNC_H

#include "crdt/engine.h"

/* What was noted of its rows and is not folded yet. */
struct resync;

/* Reads it, before t's rows are compared; journal: and what is journalled.
 * resync_free frees it, after failure too. */
int resync_begin(struct engine *e, bool journal, struct resync **out);
void resync_free(struct resync *r);

/* *other if t can't be the table that the log knows: a row is gone, or is
 * another one, and no deletion of it is known.  Where the rowid is not the
 * key, the rowid of a row that was deleted looks like one that is gone. */
int resync_compare(struct resync *r, struct table *t, bool *other);

/* Rows of t that are not known are noted as new. */
int resync_table(struct resync *r, struct table *t);

#endif

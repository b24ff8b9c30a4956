// SPDX-License-Identifier: MPL-2.0
/*
 * before.h - what a merge wrote over: notes of old values, by which it can be shown
 * row by row, and taken back.
 *
 * Who merges asks for notes on his connection: SELECT crsql_keep_before(1).  Then
 * a merge that changes, deletes or brings back a row notes what there was before, in
 *
 *   crsql_old(dbv, pos, tbl, pk, m)  PRIMARY KEY(dbv, pos) WITHOUT ROWID
 *
 * in the order of writing: the first note of a row, or of a column, in a range of
 * db_versions is what was there before that range.  A row that was not known at
 * all costs nothing: what stands in the log under a db_version that was merged, and
 * has no note, was not there.
 *
 * NOTE (column m; numbers are varints)
 *   kind       enum before_kind
 *   oldest     the lowest db_version at which something of the row stood; 0: in a
 *              run of the log, which its key tells
 *   key        of the row, with its sign in the lowest bit
 *   to the end, each: cid, then the value as in a packed key
 * Of BEFORE_ABSENT there is the kind alone, of BEFORE_LARGE no value.
 *
 * Notes that a merge made one after the other of one db_version stand in one row:
 * tbl is then their number with a minus, pk is empty, pos is that of the last of
 * them, and m has of each: tbl, length of pk, pk, length of the note, the note.
 */
#ifndef CRDT_BEFORE_H
#define CRDT_BEFORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct engine;
struct merge_row;

/* Old values of one row that are more than this are not noted. */
enum { BEFORE_MAX_BYTES = 16 << 20 };

enum before_kind {
	BEFORE_NONE,            /* nothing is to be noted */
	BEFORE_CHANGED,         /* these columns were overwritten */
	BEFORE_DELETED,         /* the row was; all its columns */
	BEFORE_ABSENT,          /* it had been deleted, and was brought back */
	BEFORE_LARGE            /* more than BEFORE_MAX_BYTES: not known */
};

/* Notes that are not written yet, in the way they are. */
struct before_wait {
	int n;
	int64_t dbv;
	int64_t pos;            /* of the last one, and: */
	int table, npk;
	size_t pk, note;        /* where in bytes they begin */
	struct buf bytes;
};

struct before {             /* of a row in hand, until its note is written */
	enum before_kind kind;
	int64_t oldest;
	int64_t key;
	struct buf cells;
};

/* Where it stands, to take back what a write that was refused would have noted. */
struct before_mark {
	enum before_kind kind;
	size_t len;
};

void before_init(struct before *b);
void before_clear(struct before *b);

/* A row is opened. */
void before_begin(struct before *b);

/* Before a row is written: it comes to life; columns row->cols[0..n) change, or all
 * (n -1); it is deleted.  Nothing is done where nobody asked for notes. */
void before_life(struct engine *e, struct merge_row *row);
int before_change(struct engine *e, struct merge_row *row, int n);
int before_delete(struct engine *e, struct merge_row *row);

struct before_mark before_here(const struct before *b);
void before_back(struct before *b, struct before_mark at);

/* Ends the note, if there is one, under that db_version.  It waits; before_flush
 * writes what does, before_drop forgets it after a rollback. */
int before_write(struct engine *e, struct merge_row *row, int64_t dbv);
int before_flush(struct engine *e);
void before_drop(struct engine *e);

#endif

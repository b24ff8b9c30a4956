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
struct table;
struct val;

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

struct before_watch {           /* a row that is about to be written */
	struct merge_row *row;  /* NULL: none */
	const int *cols;        /* the old values of these n columns, or (NULL) of */
	int n;                  /* all */
	bool take;              /* come from the hook; else they were read */
	bool told;              /* the hook was: */
	int rc;                 /* what came of that */
	bool proven;            /* it told of a row of this import */
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

/* Adds the old value of a column; false if no more are noted.  Without memory
 * b->cells has failed. */
bool before_add(struct before *b, int cid, const struct val *v);

/* -- before_hook.c: how values come that are not read ----------------------------- */

/* Whether they come from the hook, for a row of t in this import. */
bool before_comes(const struct engine *e, const struct table *t);

/* The old values of cols[0..n), or (NULL) of all, are wanted of a row that is written
 * next; false: they have to be read. */
bool before_watch(struct engine *e, struct merge_row *row, const int *cols, int n);

/* It was written, with that result, or will not be: SQLITE_ERROR if nothing came. */
int before_written(struct engine *e, int rc);

/* The hook is told of a row while one is watched. */
void before_told(struct engine *e, int op, const char *schema, const char *name,
    int64_t key);

struct before_mark before_here(const struct before *b);
void before_back(struct before *b, struct before_mark at);

/* Ends the note, if there is one, under that db_version.  It waits; before_flush
 * writes what does, before_drop forgets it after a rollback. */
int before_write(struct engine *e, struct merge_row *row, int64_t dbv);
int before_flush(struct engine *e);
void before_drop(struct engine *e);

#endif

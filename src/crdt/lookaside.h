// SPDX-License-Identifier: MPL-2.0
/*
 * lookaside.h - keys for rows that have no rowid, or none that a statement can
 * name: of WITHOUT ROWID tables, and of those with columns called rowid,
 * _rowid_ and oid.
 *
 * The engine knows rows by an integer.  Such a table has another one beside it,
 *
 *     crsql_key_ID(k INTEGER PRIMARY KEY, p1, p2, ..., UNIQUE(p1, p2, ...))
 *
 * with a number for each primary key that was ever there, given once and kept
 * for good: it is another name of the key, as with an INTEGER PRIMARY KEY.
 * Plain programs never meet it: the hook and the journal note primary keys, and
 * a fold gives the numbers (fold_list.c).  It is named after the table's number
 * and not its name, so that a renaming is nothing to it.
 */
#ifndef CRDT_LOOKASIDE_H
#define CRDT_LOOKASIDE_H

#include "crdt/engine.h"

/* The names by which a rowid can be had. */
extern const char *const lookaside_rowids[3];

/* What resync.c notes of the key of a table that has a look-aside table: once
 * it has, its rows are known by that, also if it gets a rowid to be named by. */
enum { KEY_ASIDE = 2 };

/* Finds out how the keys of t are had: norowid, aside, rowid, from and where;
 * its columns are read.  shadowed tells which of the names are columns'. */
int lookaside_shape(struct engine *e, struct table *t, const bool shadowed[3]);
void lookaside_free_shape(struct table *t);

/* Makes the look-aside table of t if it needs one. */
int lookaside_make(struct engine *e, struct table *t);

/* That of table id goes, or is emptied, if there is one. */
int lookaside_drop(struct engine *e, int id);
int lookaside_empty(struct engine *e, int id);

/* Numbers all rows that have none; nothing for other tables. */
int lookaside_fill(struct engine *e, struct table *t);

/* The number of a packed primary key, be there a row or not: a new one if there
 * is none and create is set, else *key is 0. */
int lookaside_number(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, bool create, int64_t *key);

/* The packed primary key of a number, in b, which is emptied first; nothing if
 * the number is not known.  For an INTEGER PRIMARY KEY it is the number. */
int lookaside_pk(struct engine *e, struct table *t, int64_t key,
    struct buf *b);

/* Journals the deletion of the row with that number: before all that waits, or
 * behind it. */
int lookaside_journal(struct engine *e, const struct table *t, int64_t key,
    bool before);

/* True if keys of t are other names of primary keys. */
static inline bool
lookaside_names_pk(const struct table *t)
{
	return t->integer_key || t->aside;
}

/* The text of one of its statements; an expression for the number of a row in
 * a SELECT from the table, which is called t there. */
void lookaside_add_stmt(sqlite3_str *s, const struct table *t,
    enum table_stmt which);
void lookaside_add_key_of_row(sqlite3_str *s, const struct table *t);

#endif

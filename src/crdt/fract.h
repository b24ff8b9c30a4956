// SPDX-License-Identifier: MPL-2.0
/*
 * fract.h - the fractional index: keys between which there is always room for
 * another, by which rows of a list are ordered (doc/EXTENSION.md, "Ordered
 * lists").
 *
 * Keys are texts of digits ' ' (0) to '~' (94), compared by bytes: an integer
 * part, whose first character is a letter that tells its length, and a fraction
 * that does not end in a zero.
 */
#ifndef CRDT_FRACT_H
#define CRDT_FRACT_H

#include "base/buf.h"
#include "crdt/engine.h"

/* -- fract.c: the arithmetic, without a database --------------------------- */

enum { FRACT_KEY_MAX = 65536 };         /* bytes of a key */

struct fract_key {
	const char *text;       /* NULL: open */
	size_t len;
};

/* Appends a key between a and b to out, which is empty and has room for
 * FRACT_KEY_MAX; NULL, or what is wrong with them in a sentence. */
const char *fract_between(struct fract_key a, struct fract_key b,
    struct buf *out);

/* -- fract_sql.c: what stands in the schema -------------------------------- */

struct fract_column {
	char *name;
	int pk;                 /* place in the primary key, from 1 */
	bool generated;
	bool list;              /* rows equal in these are one list */
	char *preset;           /* its DEFAULT, where it is NOT NULL */
};

struct fract_order {            /* an ordered table */
	char *table;
	const char *rowid;      /* by which it can be had; NULL: by the key */
	struct fract_column *column;
	int n;
	int order;              /* the column of the keys */
};

enum fract_object {
	FRACT_PEND, FRACT_MOVE, FRACT_VIEW, FRACT_INSERT, FRACT_UPDATE, FRACT_SET,
	FRACT_OBJECTS,
	FRACT_LEAN = FRACT_OBJECTS      /* FRACT_MOVE while the table is altered:
	                                   it only names columns */
};

/* Name and SQL of object i of a table; sqlite3_malloc'ed, NULL on failure. */
char *fract_name(enum fract_object i, const char *table);
int fract_sql(const struct fract_order *o, enum fract_object i, char **out);

/* The next name of those that the text of a FRACT_MOVE begins with, the order's
 * column first, at *at, NULL to begin; sqlite3_malloc'ed, NULL at the end. */
int fract_next_name(const char *sql, const char **at, char **name);

/* True if that text is one of ours: cr-sqlite's triggers have the same names. */
bool fract_is_ours(const char *sql);

/* -- fract_order.c: making it, and keeping it as the schema changes --------- */

/* Makes what stands in the schema fit to what tables are ordered, and called,
 * now; at the end of a fold. */
int fract_follow(struct engine *e);

/* Takes off a table what would hinder an ALTER; fract_follow puts it back. */
int fract_take_off(struct engine *e, const char *table);

/* -- fract_func.c: crsql_fract_* -------------------------------------------- */

int fract_make(struct engine *e, const char *table, const char *const *column,
    int n);

#endif

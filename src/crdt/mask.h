// SPDX-License-Identifier: MPL-2.0
/*
 * mask.h - the columns of an update, by their numbers.
 *
 * In records and in the log: numbers below MASK_BITS are bits of an integer, and
 * most tables have no others.  Those that have go on in bytes, as pairs of
 * varints: how far the first number of a row of numbers is from the end of the
 * one before (zigzag; at first from MASK_BITS), and how many there are.
 *
 * In the journal, where SQL computes it: an integer if no column of the table
 * has a number above; else the text base:bits,base:bits..., bit i of the bits
 * standing for number base + i.
 */
#ifndef CRDT_MASK_H
#define CRDT_MASK_H

#include "crdt/engine.h"

enum { MASK_BITS = 63 };

struct mask {
	uint64_t bits;
	int first, n, end;      /* the row of numbers that is being added */
};

/* Of no column. */
static inline struct mask
mask_empty(void)
{
	return (struct mask){ .end = MASK_BITS };
}

/* Adds a column, in any order, its number to the bits or to the bytes of b. */
void mask_add_high(struct mask *m, struct buf *b, int cid);

static inline void
mask_add(struct mask *m, struct buf *b, int cid)
{
	if (cid < MASK_BITS)
		m->bits |= (uint64_t)1 << cid;
	else
		mask_add_high(m, b, cid);
}

/* All are added: the rest of the bytes. */
void mask_end(struct mask *m, struct buf *b);

/* Sets mark[i] for each column of t that the bytes name, false if they are none. */
bool mask_mark(const struct table *t, const uint8_t *high, size_t len,
    int *mark);

/* True if the bits and bytes name that column; false if they are none. */
bool mask_has(uint64_t bits, const uint8_t *high, size_t len, int cid);

/* -- the journal -------------------------------------------------------------- */

/* Adds what a text of the journal names; false if it is none. */
bool mask_read_text(struct mask *m, struct buf *b, const char *text);

/* The expression of the update triggers: columns of t that differ between old
 * and new.  NULL: all, where no column may be named. */
void mask_sql(sqlite3_str *s, const struct table *t);

/* *cid is the number by which the text of the update trigger knows a column, -1
 * if it does not: SQLite renames columns there too.  *at is where the column
 * before was found, NULL at first. */
int mask_sql_cid(struct engine *e, const char *sql, const char **at,
    const struct column *c, int *cid);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * look.h - what a range of db_versions did, row by row with what there was before:
 * of a merge that is only tried (look.c), of one that is to be taken back (undo.c).
 *
 * What the engine knows of the range, its notes of old values and what stands in
 * the log, is copied as it comes into a database of its own, a temporary one, so
 * that nobody waits for whoever reads it; there it is put together (look_row.c).
 */
#ifndef STORE_LOOK_H
#define STORE_LOOK_H

#include <sqlite3.h>

#include "store/author.h"
#include "store/rows.h"

struct look {
	struct store *s;
	sqlite3 *db;            /* where it is looked; not owned */
	sqlite3 *spool;         /* what was found */
	int64_t until_ms;       /* by ticks: nobody shall wait longer; 0: no end */
	bool late;              /* ... which was passed: nothing was found */
	sqlite3_stmt *row;      /* of the spool, in order */
	sqlite3_stmt *names, *keys;     /* see look_key */
	bool at_row;
	struct rows rows;       /* memory of the row at hand */
	struct authors authors;
};

struct look_cell {
	const char *column;
	bool was;               /* it had another value, or one of a row ... */
	struct store_value before;      /* ... that is gone */
	bool stands;            /* it has this one of the range */
	struct store_value after;
};

struct look_row {
	const char *table;
	const void *pk;         /* canonical, packed */
	size_t npk;
	bool noted;             /* something of it was overwritten or deleted */
	bool existed;           /* before the range */
	bool large;             /* what it had was too much to be noted */
	bool stands;            /* something of the range is current: it ... */
	bool dead;              /* ... was deleted there, or lives */
	struct look_cell *cell; /* in the table's order */
	size_t ncell;
	size_t nfacts;          /* that stand: cells, and the row itself */
	uint8_t site[STORE_SITE_LEN];   /* of what stands, the newest: by whom, */
	int64_t version, time_ms;       /* and when */
};

/* Copies what db knows of db_versions from `low` to `high`.  look_clear in any
 * case. */
int look_open(struct look *l, struct store *s, sqlite3 *db, int64_t low,
    int64_t high, int64_t until_ms, struct err *err);
void look_clear(struct look *l);

/* The same in parts: notes of all of the range, and what stands of some of it. */
int look_begin(struct look *l, struct store *s, sqlite3 *db, int64_t until_ms,
    struct err *err);
int look_notes(struct look *l, int64_t low, int64_t high, struct err *err);
int look_facts(struct look *l, int64_t low, int64_t high, struct err *err);

/* The first row is the next again. */
void look_rewind(struct look *l);

/* The next row, by table and key, valid until the next call; *found false: there
 * is none. */
int look_next(struct look *l, struct look_row *out, bool *found,
    struct err *err);

/* The key of a row as cells, in memory of the row at hand: by s->db. */
int look_key(struct look *l, const struct look_row *row,
    struct store_cell **key, size_t *nkey, struct err *err);

#endif

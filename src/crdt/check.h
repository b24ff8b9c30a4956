// SPDX-License-Identifier: MPL-2.0
/*
 * check.h - the parts of crsql_check: each reads one kind of the engine's rows,
 * and says of each what is wrong with it.  A part belongs to the database or to
 * each of its tables; what is read is a statement's rows, one at a time.
 */
#ifndef CRDT_CHECK_H
#define CRDT_CHECK_H

#include "crdt/log.h"
#include "crdt/meta.h"
#include "crdt/schema.h"

struct check;

struct check_part {
	bool by_table;          /* begun for each table; t is NULL otherwise */
	bool small;             /* of what is there without storage.c's large
	                           tables */
	const char *sql;        /* gives table, key and what is wrong; or */
	/* makes c->stmt (none: the part has no rows) */
	int (*begin)(struct check *c, struct table *t);
	/* and says what is wrong with the row at hand. */
	int (*look)(struct check *c, struct table *t);
	void (*end)(struct check *c);           /* NULL: nothing to free */
};

struct check {
	struct engine *e;
	bool journal;           /* what plain programs wrote waits for a fold */
	bool schema;            /* ... what they did to the schema does */
	sqlite3_stmt *stmt;     /* the part's */
	/* what is wrong, the first thing of a row */
	char *table;            /* NULL: of the database */
	sqlite3_value *key;     /* rowid or packed key, or another number; or NULL */
	char *what;             /* NULL: nothing */
	bool mended;            /* the next fold makes it right, nothing is lost */
	/* check_log.c: the log up to here */
	int64_t dbv;
	bool chained;           /* chain is that of dbv */
	uint8_t chain[CHAIN_LEN];
	int64_t swept;          /* up to here headers may be gone: horizon.h */
	int id;                 /* the table asked for last, -1: none */
	bool dropped;           /* it had columns that are gone */
	/* check_rows.c: of one table */
	struct meta meta;
	sqlite3_stmt *runs;     /* its runs by key */
	sqlite3_stmt *places;   /* a log row by its place */
	bool run;               /* runs has one: */
	int64_t first, last;    /* its keys */
	struct schema now;      /* for the triggers of all tables ... */
	bool read;              /* ... once it was */
};

/* Says that something is wrong with a row whose key is column `key` of stmt
 * (NULL: it has none); table may be NULL.  Only the first of a row counts. */
int check_say(struct check *c, const char *table, sqlite3_stmt *stmt, int key,
    const char *fmt, ...);

/* True for a code that says what is wrong with the database, and not with the
 * reading of it. */
bool check_is_damage(int rc);

/* -- check_log.c, check_rows.c ------------------------------------------------ */
extern const struct check_part check_log;
extern const struct check_part check_rows;      /* and their clocks */
extern const struct check_part check_clocks;    /* whose rows are gone */
extern const struct check_part check_missing;   /* rows that are gone */
extern const struct check_part check_numbers;   /* rows without a key */
extern const struct check_part check_dead;
extern const struct check_part check_births;
extern const struct check_part check_triggers;

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * source.h - what a walk reads of one table: the data rows of a range of keys
 * and the clock rows of the same keys.
 */
#ifndef CRDT_SOURCE_H
#define CRDT_SOURCE_H

#include "crdt/engine.h"
#include "crdt/meta.h"
#include "crdt/walk.h"

/* Statements of its own, or borrowed: others may write to the table while a
 * reader is at work. */
struct source {
	struct engine *e;
	struct table *table;
	uint32_t generation;    /* of the tables, when that was one */
	sqlite3_stmt *rows;     /* (rowid,) pk columns, columns */
	int first;              /* of rows: where pk columns begin */
	sqlite3_stmt *keys;     /* rowid, where rows have no room for it */
	sqlite3_stmt *clocks;   /* key, m; NULL: there are none */
	bool clock_row;         /* clocks has a row ... */
	int64_t clock_key;      /* ... of this key */
	struct meta meta;
	struct walk_cell *cell; /* room for every column and the sentinel */
	struct source *next;
};

int source_new(struct engine *e, struct table *t, struct source **out);
void source_free(struct source *s);

/* Begins to read the rows of keys lo to hi. */
int source_range(struct source *s, int64_t lo, int64_t hi);

/* The next of them: SQLITE_ROW with its key, SQLITE_DONE, or an error. */
int source_next(struct source *s, int64_t *key);

/* Sets s->meta to that of a key; keys rise within a range. */
int source_clock(struct engine *e, struct source *s, int64_t key);

#endif

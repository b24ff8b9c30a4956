// SPDX-License-Identifier: MPL-2.0
/*
 * pages.h - what a page says, read by what doc/EXTENSION.md says of its bytes and by
 * nothing else: the model learns from it what came to a database.
 */
#ifndef SIM_PAGES_H
#define SIM_PAGES_H

#include <sqlite3.h>
#include <stdint.h>
#include <stddef.h>

#include "history.h"

enum { SITE_LEN = 16, CELLS_MAX = HISTORY_NCOLUMNS + 1, PK_MAX = 64,
	VALUE_BYTES_MAX = 64, COLUMN_ROW = -1 };

struct value {
	int type;               /* SQLITE_INTEGER ... SQLITE_NULL */
	int64_t i;
	double r;
	int len;                /* of a text or blob */
	uint8_t data[VALUE_BYTES_MAX];
};

/* What one transaction did to a row. */
struct row_change {
	uint8_t site[SITE_LEN];
	int64_t version;        /* the site's */
	int table;              /* of history_tables */
	int npk;
	uint8_t pk[PK_MAX];
	int64_t cl;
	int ncell;              /* none where it was deleted */
	struct cell_change {
		int column;     /* of history_tables; COLUMN_ROW: the row itself */
		int64_t version;
		struct value value;
	} cell[CELLS_MAX];
};

/* Calls each for every row of a page, in order; 0, or -1 if it is malformed, or has
 * what no history makes. */
int pages_read(const uint8_t *page, size_t len,
    void (*each)(void *self, const struct row_change *row), void *self);

/* The same value as SQLite has it: false where it is too long. */
int value_of(struct value *out, sqlite3_stmt *stmt, int i);

/* Negative, zero, positive: by type, then by value. */
int value_compare(const struct value *a, const struct value *b);

void value_bind(sqlite3_stmt *stmt, int i, const struct value *v);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * rows.h - rows of crsql_history, put together from its values and kept in
 * memory: as many as fit at a time, so that no transaction is open while somebody
 * takes his time with them.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <sqlite3.h>

#include "store/author.h"

enum { ROWS_MAX = 256, ROWS_BYTES_MAX = 1 << 20 };

/* Which ones, in the order of the log. */
struct rows_wanted {
	uint8_t after[STORE_CURSOR_LEN];        /* behind this place */
	uint64_t db_version;    /* of this transaction only; 0: all */
	const char *table;      /* of this one only; NULL: all */
};

struct rows {
	struct store_change *change;
	size_t n;
	bool more;              /* there are more than fitted */
	uint64_t values;        /* of them */
	int64_t last_seq;       /* the highest */
	struct rows_block *blocks;      /* what changes point to */
};

/* The next ones.  The last one's cursor is where to go on if there are more; else
 * wanted->after, which is moved on, is the end of the log.  rows_clear frees, also
 * after failure.  E_NOTFOUND if `after` is of no place here. */
int rows_read(struct store *s, struct authors *a, struct rows_wanted *wanted,
    struct rows *out, struct err *err);
void rows_clear(struct rows *r);

/* Memory that its changes' texts and values take. */
size_t rows_bytes(const struct rows *r);

/* Memory that lasts until rows_clear or rows_again, which keeps some of it for
 * what comes next; a text, NULL for NULL; column i of a statement, false without
 * memory. */
void *rows_take(struct rows *r, size_t n);
char *rows_text(struct rows *r, const char *text);
bool rows_value(struct rows *r, sqlite3_stmt *stmt, int i,
    struct store_value *v);
/* The list of n things of that size with room for one more: it may have moved. */
void *rows_grow(struct rows *r, void *list, size_t n, size_t size);
/* The packed key of a row as cells: `names` gives its columns, `values` unpacks it;
 * both are reset, and may be NULL after a failure. */
int rows_key(struct rows *r, sqlite3_stmt *names, sqlite3_stmt *values,
    const void *pk, size_t npk, struct store_cell **key, size_t *nkey,
    struct err *err);
void rows_again(struct rows *r);

#endif

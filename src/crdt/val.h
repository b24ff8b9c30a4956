// SPDX-License-Identifier: MPL-2.0
/*
 * val.h - an SQLite value as a view, and the one encoding of values and
 * packed keys, used for pk columns, pages, parked rows.
 */
#ifndef CRDT_VAL_H
#define CRDT_VAL_H

#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdint.h>

SQLITE_EXTENSION_INIT3

#include "base/buf.h"
#include "base/rd.h"

enum {
	VAL_SCRATCH = 64,       /* a number in words */
	PACK_MAX_COLUMNS = 255, /* the count is one byte */
};

struct val {
	int type;               /* SQLITE_INTEGER ... SQLITE_NULL */
	int64_t i;
	double r;
	const uint8_t *data;    /* TEXT, BLOB; not owned */
	int len;
};

/* Views of SQLite's own values, valid as long as those. */
struct val val_of(sqlite3_value *v);
struct val val_of_column(sqlite3_stmt *stmt, int i);

/* The same without SQLite's copy of a text to end it with a NUL; only where
 * the database's encoding is UTF-8, and inside a function or method that
 * SQLite called. */
struct val val_of_raw(sqlite3_stmt *stmt, int i);

/* The same, only to tell whether two that are or will be stored in one database
 * are equal: a text is in that database's encoding. */
struct val val_of_stored(sqlite3_value *v);

/* Binds without copying: data must live until the statement is reset. */
int val_bind(sqlite3_stmt *stmt, int i, const struct val *v);

/* The same as the result of a function or of a column, which begins as NULL. */
void val_give(sqlite3_context *ctx, const struct val *v);

/* negative, zero, positive; types differ: NULL < BLOB < TEXT <
 * REAL < INTEGER. */
int val_compare(const struct val *a, const struct val *b);

/* Settles v as a column of that affinity ('A' to 'E' as in table.h) would
 * store it; text that becomes a number is read by db, so that the number is
 * the one SQLite would store, a number that becomes text is written to
 * scratch.  SQLite's code. */
int val_settle(sqlite3 *db, struct val *v, char affinity,
    char scratch[static VAL_SCRATCH]);

/* Makes the form in which a key column is compared (R5): an integral REAL
 * becomes an INTEGER. */
void val_canonical(struct val *v);

/* One value in the encoding of packed columns, without a count. */
void val_encode(struct buf *b, const struct val *v);

/* The same behind a small number of its own, as a varint. */
void val_encode_at(struct buf *b, int number, const struct val *v);

/* The same of val_of_stored(v), in one go; false, and nothing is added, if b had
 * more than max bytes then. */
bool val_encode_stored_at(struct buf *b, int number, sqlite3_value *v, size_t max);

/* Refuses unknown tags, too many bytes, truncation: r fails. */
void val_decode(struct rd *r, struct val *v);

/* Packs n values with their count: as cr-sqlite does, byte by byte.  Keys go
 * through pack_key, which makes the canonical form (R5).  SQLITE_NOMEM,
 * SQLITE_TOOBIG for more than PACK_MAX_COLUMNS. */
int pack_values(const struct val *v, int n, struct buf *out);
int pack_key(const struct val *v, int n, struct buf *out);

/* One number for a packed key, by FNV-1a. */
uint64_t pack_hash(const uint8_t *pk, int npk);

/* Reads a packed blob of exactly n values (n < 0: any number up to max);
 * returns their number or -1 if it is malformed.  Bytes that follow are
 * malformed too, but for n < 0, where they are left alone. */
int pack_read(const uint8_t *data, int len, int n, struct val *out, int max);

/* Reads past one packed blob of n values in r, and gives a view of it; r
 * fails if it is malformed or has another number of values. */
void pack_skip(struct rd *r, int n, const uint8_t **pk, int *npk);

/* Binds the values of a packed key from parameter `first` on; SQLITE_MISMATCH
 * if it is not well-formed or has not n values. */
int pack_bind(sqlite3_stmt *stmt, int first, const uint8_t *pk, int npk,
    int n);

#endif

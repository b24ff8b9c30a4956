// SPDX-License-Identifier: MPL-2.0
/*
 * digest_rows.c - rows as hashes: the same row gives the same hash whatever its
 * rowid, its clocks, the order of its columns and the file's encoding.
 *
 *   row   = table key value*           table: vint number; the common columns
 *   value = 1 number:u64 | 2 real:u64 | 3 text | 4 blob | 5 (NULL)
 *           text, blob: length and bytes; above BIG bytes 131, 132: length and
 *           their hash
 *
 * Keys are canonical (R5).  The hash is SipHash-2-4 with 128 bits, keyed: fast,
 * and nobody can choose rows beforehand that hide a difference.
 */
#include <string.h>

#include <sodium.h>

#include "store/digest.h"
#include "store/sql.h"

_Static_assert(DIGEST_KEY_LEN == crypto_shorthash_siphashx24_KEYBYTES &&
    DIGEST_HASH_LEN == crypto_shorthash_siphashx24_BYTES, "one hash");

enum { BIG = 1024, HASHED = 128 };

static const int64_t beyond = INT64_MIN;

/* A real that is an integer is that integer. */
static bool
as_integer(double r, int64_t *out)
{
	if (!(r >= (double)beyond && r < -(double)beyond))
		return false;
	*out = (int64_t)r;
	return (double)*out == r;
}

static size_t
put_bytes(struct buf *b, uint8_t type, const void *data, size_t len,
    bool whole, const uint8_t secret[static DIGEST_KEY_LEN])
{
	uint8_t hash[DIGEST_HASH_LEN];

	if (whole || len <= BIG) {
		buf_add_u8(b, type);
		buf_add_varint(b, len);
		buf_add(b, data, len);
		return len;
	}
	crypto_shorthash_siphashx24(hash, data, len, secret);
	buf_add_u8(b, type | HASHED);
	buf_add_varint(b, len);
	buf_add(b, hash, sizeof hash);
	return len;
}

size_t
digest_put_value(struct buf *b, sqlite3_stmt *stmt, int i, bool of_key,
    const uint8_t secret[static DIGEST_KEY_LEN])
{
	int type = sqlite3_column_type(stmt, i);
	const void *data;
	int64_t number;
	uint64_t bits;
	double real;

	switch (type) {
	case SQLITE_INTEGER:
		buf_add_u8(b, SQLITE_INTEGER);
		buf_add_u64(b, (uint64_t)sqlite3_column_int64(stmt, i));
		break;
	case SQLITE_FLOAT:
		real = sqlite3_column_double(stmt, i);
		memcpy(&bits, &real, sizeof bits);
		if (of_key && as_integer(real, &number)) {
			type = SQLITE_INTEGER;
			bits = (uint64_t)number;
		}
		buf_add_u8(b, (uint8_t)type);
		buf_add_u64(b, bits);
		break;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		data = type == SQLITE_TEXT ?
		    (const void *)sqlite3_column_text(stmt, i) :
		    sqlite3_column_blob(stmt, i);
		return put_bytes(b, (uint8_t)type, data,
		    (size_t)sqlite3_column_bytes(stmt, i), of_key, secret);
	default:
		buf_add_u8(b, SQLITE_NULL);
	}
	return 8;
}

void
digest_hash(const struct buf *b, const uint8_t secret[static DIGEST_KEY_LEN],
    struct digest_hash *out)
{
	crypto_shorthash_siphashx24(out->byte, b->data, b->len, secret);
}

uint64_t
digest_half(const struct digest_hash *h, int which)
{
	uint64_t half = 0;
	int i;

	for (i = 0; i < 8; i++)
		half = half << 8 | h->byte[8 * which + i];
	return half;
}

uint64_t
digest_bucket_of_half(uint64_t half, unsigned bits)
{
	return half >> (64 - DIGEST_BITS_MAX) >> (DIGEST_BITS_MAX - bits);
}

uint64_t
digest_bucket_of(const struct digest_hash *h, unsigned bits)
{
	uint64_t first = (uint64_t)h->byte[0] << 8 | h->byte[1];

	return first >> (DIGEST_BITS_MAX - bits);
}

void
digest_fold(struct digest_sums *s, unsigned bits)
{
	struct digest_bucket *b = s->bucket, both;
	size_t i;

	for (; s->bits > bits; s->bits--) {
		for (i = 0; i < (size_t)1 << (s->bits - 1); i++) {
			both = b[2 * i];
			both.lo += b[2 * i + 1].lo;
			both.hi += b[2 * i + 1].hi +
			    (both.lo < b[2 * i + 1].lo);
			both.n += b[2 * i + 1].n;
			b[i] = both;
		}
	}
}

/* -- reading a table ------------------------------------------------------------ */

int
digest_key_names(sqlite3_str *s, sqlite3 *db, const char *table,
    struct err *err)
{
	const char *separator = "";
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT name FROM pragma_table_info(?1) "
	    "WHERE pk > 0 ORDER BY pk", "t", table);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			sqlite3_str_appendf(s, "%s\"%w\"", separator,
			    sqlite3_column_text(stmt, 0));
		separator = ", ";
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* Its key in the key's order, then the columns of both. */
static int
select_text(sqlite3 *db, const struct digest_table *t, char **out,
    struct err *err)
{
	sqlite3_str *s = sqlite3_str_new(db);
	size_t i;
	int rc;

	sqlite3_str_appendall(s, "SELECT ");
	rc = digest_key_names(s, db, t->here.name, err);
	for (i = 0; i < t->common.n; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->common.name[i]);
	sqlite3_str_appendf(s, " FROM main.\"%w\" NOT INDEXED", t->here.name);
	*out = sqlite3_str_finish(s);
	return rc == 0 && *out == NULL ? err_nomem(err) : rc;
}

int
digest_scan_open(struct digest_scan *c, sqlite3 *db,
    const struct digest_table *t, size_t table, struct err *err)
{
	char *sql;
	int rc = select_text(db, t, &sql, err);

	memset(c, 0, sizeof *c);
	buf_init(&c->bytes, INT32_MAX);
	if (rc == 0)
		rc = sql_open(db, &c->stmt, err, sql, "");
	sqlite3_free(sql);
	c->table = table;
	c->nkey = t->here.nkey;
	c->ncolumns = t->common.n;
	return rc;
}

int
digest_scan_next(struct digest_scan *c, const uint8_t secret[static
    DIGEST_KEY_LEN], bool *row, struct err *err)
{
	struct buf *b = &c->bytes;
	size_t i;
	int rc = sql_next(c->stmt, row, err);

	if (rc != 0 || !*row)
		return rc;
	c->read = b->len = 0;
	buf_add_varint(b, c->table);
	c->key_at = b->len;
	for (i = 0; i < c->nkey; i++)
		c->read += digest_put_value(b, c->stmt, (int)i, true, secret);
	c->key_end = b->len;
	if (!b->failed)
		digest_hash(b, secret, &c->key);
	for (i = 0; i < c->ncolumns; i++)
		c->read += digest_put_value(b, c->stmt, (int)(c->nkey + i),
		    false, secret);
	if (b->failed || sqlite3_errcode(sqlite3_db_handle(c->stmt)) ==
	    SQLITE_NOMEM)
		return err_nomem(err);
	digest_hash(b, secret, &c->row);
	return 0;
}

void
digest_scan_close(struct digest_scan *c)
{
	sqlite3_finalize(c->stmt);
	buf_clear(&c->bytes);
	memset(c, 0, sizeof *c);
}

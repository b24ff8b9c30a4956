// SPDX-License-Identifier: MPL-2.0
/*
 * digest_flight.c - the keys of rows that are in flight: what a pull would
 * bring the other side now, what is parked here, and what plain programs wrote
 * and is not folded yet.  They are compared by nobody (R27).
 */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"
#include "store/sql.h"

/* -- the set ---------------------------------------------------------------- */

static int
too_many(struct err *err)
{
	return err_set(err, E_UNREACHABLE, "pull on both sides, then verify "
	    "again", "more than %d rows are in flight", (int)DIGEST_FLIGHT_MAX);
}

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_HASH_LEN);
}

/* Sorted, each once. */
void
digest_flight_sort(struct digest_flight *f)
{
	size_t i, n = 0;

	if (f->n > 0)
		qsort(f->hash, f->n, sizeof *f->hash, by_bytes);
	for (i = 0; i < f->n; i++)
		if (n == 0 || by_bytes(&f->hash[n - 1], &f->hash[i]) != 0)
			f->hash[n++] = f->hash[i];
	f->n = n;
	f->sorted = true;
}

/* The same key comes often: room for some more than may be left at the end. */
int
digest_flight_add(struct digest_flight *f, const struct digest_hash *h,
    struct err *err)
{
	struct digest_hash *more;
	size_t cap = f->cap == 0 ? 64 : 2 * f->cap;

	if (f->n == 2 * DIGEST_FLIGHT_MAX) {
		digest_flight_sort(f);
		if (f->n > DIGEST_FLIGHT_MAX)
			return too_many(err);
	}
	if (f->n == f->cap) {
		more = realloc(f->hash, cap * sizeof *more);
		if (more == NULL)
			return err_nomem(err);
		f->hash = more;
		f->cap = cap;
	}
	f->hash[f->n++] = *h;
	f->sorted = false;
	return 0;
}

bool
digest_flight_has(const struct digest_flight *f, const struct digest_hash *h)
{
	return f->n > 0 && bsearch(h, f->hash, f->n, sizeof *f->hash,
	    by_bytes) != NULL;
}

void
digest_flight_clear(struct digest_flight *f)
{
	free(f->hash);
	memset(f, 0, sizeof *f);
}

/* -- finding them --------------------------------------------------------------- */

struct finder {
	struct digest_flight *f;
	sqlite3 *db;
	const struct digest_table *table;
	size_t n;
	const uint8_t *secret;
	struct buf bytes;
	size_t last;            /* the table found last */
};

/* The number of a table here; n if it is none of those compared. */
static size_t
find_table(struct finder *f, const char *name)
{
	size_t i, k;

	for (i = 0; i < f->n; i++) {
		k = (f->last + i) % f->n;
		if (f->table[k].here.name != NULL && name != NULL &&
		    sqlite3_stricmp(f->table[k].here.name, name) == 0) {
			f->last = k;
			return k;
		}
	}
	return f->n;
}

static int
add_key(struct finder *f, struct err *err)
{
	struct digest_hash h;

	if (f->bytes.failed)
		return err_nomem(err);
	digest_hash(&f->bytes, f->secret, &h);
	return digest_flight_add(f->f, &h, err);
}

/* Rows of a query: table, then one row for each part of a key. */
static int
take_packed(struct finder *f, sqlite3_stmt *stmt, struct err *err)
{
	size_t t, i = 0;
	bool row = true;
	int rc = 0;

	while (rc == 0) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		t = find_table(f, (const char *)sqlite3_column_text(stmt, 0));
		if (t == f->n)
			continue;
		if (i == 0) {
			f->bytes.len = 0;
			buf_add_varint(&f->bytes, t);
		}
		digest_put_value(&f->bytes, stmt, 1, true, f->secret);
		if (++i < f->table[t].here.nkey)
			continue;
		i = 0;
		rc = add_key(f, err);
	}
	return rc;
}

int
digest_flight_page(struct digest_flight *flight, sqlite3 *db,
    const struct digest_table *table, size_t n, const uint8_t secret[static
    DIGEST_KEY_LEN], const uint8_t *page, size_t len, struct err *err)
{
	struct finder f = { .f = flight, .db = db, .table = table, .n = n,
		.secret = secret };
	sqlite3_stmt *stmt;
	int rc;

	buf_init(&f.bytes, INT32_MAX);
	rc = sql_open(db, &stmt, err, "SELECT k.\"table\", u.cell FROM "
	    "crsql_page_keys(?1) AS k CROSS JOIN crsql_unpack_columns AS u "
	    "WHERE u.package = k.pk", "b", page, len);
	if (rc == 0)
		rc = take_packed(&f, stmt, err);
	sqlite3_finalize(stmt);
	buf_clear(&f.bytes);
	return rc;
}

static int
find_parked(struct finder *f, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = sql_open(f->db, &stmt, err, "SELECT p.\"table\", u.cell FROM "
	    "crsql_parked AS p CROSS JOIN crsql_unpack_columns AS u "
	    "WHERE u.package = p.pk", "");
	if (rc == 0)
		rc = take_packed(f, stmt, err);
	sqlite3_finalize(stmt);
	return rc;
}

/* Rows of a query that are keys of table t. */
static int
take_keys(struct finder *f, size_t t, const char *sql, int64_t id,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	size_t i;
	int rc;

	rc = sql_open(f->db, &stmt, err, sql, "i", id);
	while (rc == 0) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		f->bytes.len = 0;
		buf_add_varint(&f->bytes, t);
		for (i = 0; i < f->table[t].here.nkey; i++)
			digest_put_value(&f->bytes, stmt, (int)i, true,
			    f->secret);
		rc = add_key(f, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* A name by which the rowid of a table can be read, or NULL. */
static const char *
rowid_name(sqlite3 *db, const char *table)
{
	static const char *const names[] = { "rowid", "_rowid_", "oid" };
	const char *name = NULL;
	int64_t taken;
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names && name == NULL; i++)
		if (sql_int(db, &taken, NULL, "SELECT (SELECT count(*) FROM "
		    "pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE) + "
		    "(SELECT wr FROM pragma_table_list WHERE schema = 'main' AND "
		    "name = ?1 COLLATE NOCASE)", "tt", table, names[i]) == 0 &&
		    taken == 0)
			name = names[i];
	return name;
}

/* The keys that stand in the journal itself. */
static int
find_noted(struct finder *f, size_t t, int64_t id, struct err *err)
{
	sqlite3_str *s = sqlite3_str_new(f->db);
	char *sql;
	size_t i;
	int rc;

	sqlite3_str_appendall(s, "SELECT pk");
	for (i = 1; i < f->table[t].here.nkey; i++)
		sqlite3_str_appendf(s, ", pk%d", (int)i + 1);
	sqlite3_str_appendall(s, " FROM crsql_j WHERE w >> 3 = ?1 AND "
	    "pk IS NOT NULL");
	sql = sqlite3_str_finish(s);
	rc = sql == NULL ? err_nomem(err) : take_keys(f, t, sql, id, err);
	sqlite3_free(sql);
	return rc;
}

/* An INTEGER PRIMARY KEY is the rowid, and nothing else is noted of it, nor of
 * the one it was before (kinds 5 and 6). */
static int
find_integers(struct finder *f, size_t t, int64_t id, struct err *err)
{
	int64_t is_rowid = 0;
	int rc;

	if (f->table[t].here.nkey != 1)
		return 0;
	rc = sql_int(f->db, &is_rowid, err, "SELECT count(*) FROM "
	    "pragma_table_info(?1) WHERE pk AND type = 'INTEGER' COLLATE NOCASE",
	    "t", f->table[t].here.name);
	if (rc != 0 || is_rowid == 0)
		return rc;
	return take_keys(f, t, "SELECT key FROM crsql_j WHERE w >> 3 = ?1 AND key "
	    "IS NOT NULL UNION SELECT mask FROM crsql_j WHERE w >> 3 = ?1 AND "
	    "w & 7 IN (5, 6)", id, err);
}

/* The keys of rows that are known by their rowids, as far as they are there. */
static int
find_by_rowid(struct finder *f, size_t t, int64_t id, struct err *err)
{
	const struct digest_table *table = &f->table[t];
	const char *rowid = rowid_name(f->db, table->here.name);
	sqlite3_str *s;
	char *sql;
	int rc = find_integers(f, t, id, err);

	if (rc != 0 || rowid == NULL)
		return rc;
	s = sqlite3_str_new(f->db);
	sqlite3_str_appendall(s, "SELECT ");
	rc = digest_key_names(s, f->db, table->here.name, err);
	sqlite3_str_appendf(s, " FROM main.\"%w\" WHERE %s IN (SELECT key FROM "
	    "crsql_j WHERE w >> 3 = ?1)", table->here.name, rowid);
	sql = sqlite3_str_finish(s);
	if (rc == 0)
		rc = sql == NULL ? err_nomem(err) :
		    take_keys(f, t, sql, id, err);
	sqlite3_free(sql);
	return rc;
}

static int
find_journalled(struct finder *f, size_t t, struct err *err)
{
	int64_t id = 0, n = 0;
	int rc;

	rc = sql_int(f->db, &id, err, "SELECT id FROM crsql_tbl WHERE name = ?1 "
	    "COLLATE NOCASE", "t", f->table[t].here.name);
	if (rc == 0)
		rc = sql_int(f->db, &n, err, "SELECT count(*) FROM crsql_j WHERE "
		    "w >> 3 = ?1", "i", id);
	if (rc == 0 && n > DIGEST_FLIGHT_MAX)
		return too_many(err);
	if (rc == 0 && n > 0)
		rc = find_noted(f, t, id, err);
	return rc == 0 && n > 0 ? find_by_rowid(f, t, id, err) : rc;
}

int
digest_flight_here(struct digest_flight *flight, sqlite3 *db,
    const struct digest_table *table, size_t n, const uint8_t secret[static
    DIGEST_KEY_LEN], struct err *err)
{
	struct finder f = { .f = flight, .db = db, .table = table, .n = n,
		.secret = secret };
	int64_t pending;
	size_t t;
	int rc;

	buf_init(&f.bytes, INT32_MAX);
	rc = find_parked(&f, err);
	if (rc == 0)
		rc = sql_int(db, &pending, err, "SELECT crsql_pending()", "");
	for (t = 0; t < n && rc == 0 && pending > 0; t++)
		if (table[t].here.name != NULL)
			rc = find_journalled(&f, t, err);
	buf_clear(&f.bytes);
	return rc;
}

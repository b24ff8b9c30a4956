// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_merge.c - changes with arbitrary values in each column of crsql_changes,
 * merged into tables of several shapes; two databases get the same.  Whatever
 * comes of them, both are whole, and show the same tables and changes; and what
 * packs and unpacks keys does so both ways.
 *
 * A change is nine values, each a byte that chooses and what follows it: one of
 * those that fit the column, or an integer, a real, a text or a blob of the input.
 * A byte before them chooses what is done between changes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include <sqlite3.h>

#include "crdt/crdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { DATABASES = 2, CHANGES_MAX = 64 };

static sqlite3 *db[DATABASES];
static sqlite3_stmt *insert[DATABASES], *pack, *unpack;

static void
fail(sqlite3 *d, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(d));
	abort();
}

static void
run(sqlite3 *d, const char *sql)
{
	if (sqlite3_exec(d, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(d, sql);
}

static sqlite3_stmt *
prepare(sqlite3 *d, const char *sql)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(d, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail(d, sql);
	return stmt;
}

/* Keys of all kinds, what refuses rows, and what has no rowid. */
static const char *const schema =
    "CREATE TABLE t(id TEXT PRIMARY KEY, a, b INTEGER CHECK(b <> 3));"
    "CREATE TABLE n(k INTEGER PRIMARY KEY NOT NULL, v REAL);"
    "CREATE TABLE c(x, y INTEGER, z TEXT NOT NULL DEFAULT '', PRIMARY KEY(x, y));"
    "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "CREATE TABLE o(id PRIMARY KEY);"
    "SELECT crsql_as_crr('t'), crsql_as_crr('n'), crsql_as_crr('c'), "
    "crsql_as_crr('w'), crsql_as_crr('o');"
    "INSERT INTO t VALUES('a', 1, 2), ('b', x'00', NULL);"
    "INSERT INTO n VALUES(1, 1.5), (7, 2);"
    "INSERT INTO c VALUES('k', 1, 'z'), (NULL, 2, 'y') ON CONFLICT DO NOTHING;"
    "INSERT INTO w VALUES('a', 1); INSERT INTO o VALUES(5);"
    "DELETE FROM t WHERE id = 'b'; UPDATE n SET v = 3 WHERE k = 1";

static void
open_all(void)
{
	char *why = NULL;
	int i;

	for (i = 0; i < DATABASES; i++) {
		if (sqlite3_open(":memory:", &db[i]) != SQLITE_OK ||
		    crdt_load(db[i], &why) != SQLITE_OK)
			abort();
		sqlite3_limit(db[i], SQLITE_LIMIT_LENGTH, 1 << 20);
		/* where own changes meet equal ones the site id decides */
		run(db[i], "SELECT crsql_identity(x'55555555555555555555555555555555',"
		    " zeroblob(32), zeroblob(8))");
		run(db[i], "CREATE TABLE IF NOT EXISTS plain(a)");
		if (sqlite3_exec(db[i], schema, NULL, NULL, NULL) != SQLITE_OK &&
		    sqlite3_errcode(db[i]) != SQLITE_CONSTRAINT)
			fail(db[i], schema);
		insert[i] = prepare(db[i], "INSERT INTO crsql_changes(\"table\", pk, "
		    "cid, val, col_version, db_version, site_id, cl, seq) VALUES(?, "
		    "?, ?, ?, ?, ?, ?, ?, ?)");
	}
	pack = prepare(db[0], "SELECT crsql_pack_columns(?1, ?2)");
	unpack = prepare(db[0], "SELECT cell FROM crsql_unpack_columns WHERE "
	    "package = ?1");
}

/* -- values from the input ------------------------------------------------------------- */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t
byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static const uint8_t *
bytes(struct input *in, size_t *n)
{
	const uint8_t *p = in->at;

	*n = byte(in);
	p = in->at;
	if (*n > in->left)
		*n = in->left;
	in->at += *n;
	in->left -= *n;
	return p;
}

static int64_t
number(struct input *in)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | byte(in);
	return (int64_t)v;
}

enum column { TABLE, PK, CID, VAL, COL_VERSION, DB_VERSION, SITE, CL, SEQ, COLUMNS };

static const char *const tables[] = { "t", "n", "c", "w", "o", "none", "plain",
	"T", "crsql_log" };
static const char *const cids[] = { "-1", "a", "b", "v", "x", "y", "z", "k", "id",
	"new", "\"-1\"", "A" };
static const int64_t numbers[] = { 0, 1, 2, 3, 4, 5, 100, -1, INT64_MAX, INT64_MIN,
	1LL << 53, (1LL << 53) + 1, (1LL << 53) - 1, 1LL << 31, (1LL << 50) + 1, 9 };
static const char *const keys[] = { "\x01\x0b\x01" "a", "\x01\x0b\x01" "b",
	"\x01\x09\x01", "\x01\x09\x07", "\x02\x0b\x01" "k\x09\x01", "\x01\x09\x05",
	"\x01\x0b\x01" "n", "\x02\x05\x09\x02", "\x01\x05", "\x01\x09\xff" };
static const uint8_t site[16] = { 1 };

#define COUNT(a) (sizeof (a) / sizeof *(a))

/* One that fits the column. */
static void
bind_fit(sqlite3_stmt *stmt, int i, uint8_t pick)
{
	uint8_t other[16] = { 0 };
	const char *text;

	switch (i) {
	case TABLE:
		sqlite3_bind_text(stmt, i + 1, tables[pick % COUNT(tables)], -1,
		    SQLITE_STATIC);
		break;
	case PK:
		text = keys[pick % COUNT(keys)];
		sqlite3_bind_blob(stmt, i + 1, text, (int)strlen(text),
		    SQLITE_STATIC);
		break;
	case CID:
		sqlite3_bind_text(stmt, i + 1, cids[pick % COUNT(cids)], -1,
		    SQLITE_STATIC);
		break;
	case SITE:
		memset(other, pick % 5 * 0x22, sizeof other);
		sqlite3_bind_blob(stmt, i + 1, pick % 5 ? other : site, 16,
		    SQLITE_TRANSIENT);
		break;
	default:
		sqlite3_bind_int64(stmt, i + 1, numbers[pick % COUNT(numbers)]);
	}
}

static void
bind_one(sqlite3_stmt *stmt, int i, struct input *in)
{
	uint8_t how = byte(in);
	const uint8_t *p;
	double real;
	int64_t v;
	size_t n;

	switch (how >> 4) {
	case 8:
		sqlite3_bind_null(stmt, i + 1);
		break;
	case 9:
		sqlite3_bind_int64(stmt, i + 1, number(in));
		break;
	case 10:
		v = number(in);
		memcpy(&real, &v, sizeof real);
		sqlite3_bind_double(stmt, i + 1, real);
		break;
	case 11:
	case 12:
		p = bytes(in, &n);
		sqlite3_bind_text(stmt, i + 1, (const char *)p, (int)n,
		    SQLITE_STATIC);
		break;
	case 13:
	case 14:
		p = bytes(in, &n);
		sqlite3_bind_blob(stmt, i + 1, p, (int)n, SQLITE_STATIC);
		break;
	case 15:
		sqlite3_bind_zeroblob(stmt, i + 1, how & 1 ? 70000 : how & 15);
		break;
	default:
		bind_fit(stmt, i, how & 0x7f);
	}
}

/* -- what must be true ------------------------------------------------------------------ */

/* All rows of a query as text. */
static char *
rows(sqlite3 *d, const char *sql)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt = prepare(d, sql);
	int i, rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(stmt); i++)
			sqlite3_str_appendf(s, "%d:%s|", sqlite3_column_type(stmt, i),
			    (const char *)sqlite3_column_text(stmt, i));
		sqlite3_str_appendall(s, "\n");
	}
	if (rc != SQLITE_DONE)
		fail(d, sql);
	sqlite3_finalize(stmt);
	sqlite3_str_appendall(s, ".");
	return sqlite3_str_finish(s);
}

static void
expect(sqlite3 *d, const char *want, const char *sql)
{
	char *got = rows(d, sql);

	if (strcmp(got, want) != 0) {
		fprintf(stderr, "%s: %s\n", sql, got);
		abort();
	}
	sqlite3_free(got);
}

static void
agree(const char *sql)
{
	char *a = rows(db[0], sql), *b = rows(db[1], sql);

	if (strcmp(a, b) != 0) {
		fprintf(stderr, "%s:\n%s\nand\n%s\n", sql, a, b);
		abort();
	}
	sqlite3_free(a);
	sqlite3_free(b);
}

static void
look(void)
{
	static const char *const all[] = { "SELECT quote(id), quote(a), quote(b) FROM "
		"t ORDER BY 1", "SELECT k, quote(v) FROM n ORDER BY 1", "SELECT "
		"quote(x), y, quote(z) FROM c ORDER BY 1, 2", "SELECT quote(k), "
		"quote(v) FROM w ORDER BY 1", "SELECT quote(id) FROM o ORDER BY 1",
		"SELECT \"table\", hex(pk), cid, quote(val), col_version, cl, "
		"quote(site_id) FROM crsql_changes ORDER BY 1, 2, 3" };
	size_t i;
	int k;

	for (k = 0; k < DATABASES; k++) {
		expect(db[k], ".", "SELECT * FROM crsql_check");
		expect(db[k], "3:ok|\n.", "PRAGMA integrity_check");
	}
	for (i = 0; i < COUNT(all); i++)
		agree(all[i]);
}

/* What unpacks packs to the same values. */
static void
pack_and_unpack(struct input in)
{
	sqlite3_value *v[2] = { NULL, NULL };
	char *before, *after;
	int i, n = 0;

	bind_one(pack, VAL, &in);
	sqlite3_reset(pack);
	sqlite3_clear_bindings(pack);
	sqlite3_bind_blob(unpack, 1, in.at, (int)in.left, SQLITE_STATIC);
	while (sqlite3_step(unpack) == SQLITE_ROW && n < 2)
		v[n++] = sqlite3_value_dup(sqlite3_column_value(unpack, 0));
	sqlite3_reset(unpack);
	for (i = 0; n == 2 && i < 2; i++)
		sqlite3_bind_value(pack, i + 1, v[i]);
	if (n == 2 && sqlite3_step(pack) == SQLITE_ROW) {
		sqlite3_bind_value(unpack, 1, sqlite3_column_value(pack, 0));
		for (i = 0; i < 2; i++) {
			if (sqlite3_step(unpack) != SQLITE_ROW)
				fail(db[0], "packed values");
			before = sqlite3_mprintf("%d:%d", sqlite3_value_type(v[i]),
			    sqlite3_value_bytes(v[i]));
			after = sqlite3_mprintf("%d:%d", sqlite3_column_type(unpack,
			    0), sqlite3_column_bytes(unpack, 0));
			if (strcmp(before, after) != 0)
				fail(db[0], "other values");
			sqlite3_free(before);
			sqlite3_free(after);
		}
	}
	sqlite3_reset(pack);
	sqlite3_reset(unpack);
	sqlite3_value_free(v[0]);
	sqlite3_value_free(v[1]);
}

/* The same change to both; whether it is taken they say alike. */
static void
merge(struct input *in)
{
	struct input again = *in;
	int i, k, rc[DATABASES];

	for (k = 0; k < DATABASES; k++) {
		*in = again;
		for (i = 0; i < COLUMNS; i++)
			bind_one(insert[k], i, in);
		sqlite3_step(insert[k]);
		rc[k] = sqlite3_reset(insert[k]);
		sqlite3_clear_bindings(insert[k]);
		if (sqlite3_get_autocommit(db[k]))
			fail(db[k], "the transaction is gone");
	}
	if (rc[0] != rc[1])
		fail(db[rc[0] == 0], "only one took it");
}

/* Between changes: the one database reads, begins anew, or folds where the other
 * does not; and both write themselves. */
static void
between(uint8_t what)
{
	static const char *const both[] = { "UPDATE t SET a = a || 'x'",
		"DELETE FROM n WHERE k = 7", "INSERT OR IGNORE INTO o VALUES(9)",
		"UPDATE w SET v = 2", "REPLACE INTO c VALUES('k', 1, 'r')" };
	int k;

	if (what % 8 == 1)
		run(db[0], "SELECT count(*) FROM crsql_changes");
	if (what % 8 == 2)
		run(db[0], "SELECT crsql_unpark()");
	for (k = 0; k < DATABASES && what % 8 == 3; k++)
		run(db[k], both[what / 8 % COUNT(both)]);
	for (k = 0; k < DATABASES && what % 8 == 4; k++)
		run(db[k], "RELEASE step; SAVEPOINT step");
	for (k = 0; k < DATABASES && what % 8 == 5; k++)
		run(db[k], "ROLLBACK TO step");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	int i, n;

	if (db[0] == NULL)
		open_all();
	pack_and_unpack(in);
	for (i = 0; i < DATABASES; i++)
		run(db[i], "BEGIN; SAVEPOINT step");
	for (n = 0; in.left > 0 && n < CHANGES_MAX; n++) {
		between(byte(&in));
		merge(&in);
	}
	look();
	for (i = 0; i < DATABASES; i++)
		run(db[i], "ROLLBACK");
	return 0;
}

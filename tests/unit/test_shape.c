// SPDX-License-Identifier: MPL-2.0
/*
 * test_shape.c - how tables are declared: described, written, read and made again
 * it is the same; what is no description is refused, and no name is SQL (R26).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "store/shape.h"

static const char declared[] =
    "CREATE TABLE \"a \"\"b\"(id TEXT PRIMARY KEY, v);"
    "CREATE TABLE wide(a INTEGER NOT NULL, b \"odd; type\" DEFAULT 'it''s -- x',"
    " c REAL DEFAULT -1.5, d BLOB DEFAULT x'00FF', e TEXT COLLATE nocase,"
    " f DATETIME NOT NULL DEFAULT current_timestamp, g INT DEFAULT +7,"
    " h decimal(10, -2) DEFAULT 1e300, i DEFAULT NULL, j DEFAULT \"text\","
    " k DEFAULT true, l TEXT COLLATE rtrim DEFAULT '', m DEFAULT 0.1,"
    " n DEFAULT 12345678901234567890, PRIMARY KEY(b, a)) WITHOUT ROWID;"
    "CREATE TABLE strict(id INTEGER PRIMARY KEY, v ANY, w INT NOT NULL DEFAULT 1)"
    " STRICT;"
    "CREATE TABLE both(x TEXT, y TEXT, PRIMARY KEY(y, x)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE down(i INTEGER PRIMARY KEY DESC NOT NULL, v);"
    "CREATE TABLE i(n INT PRIMARY KEY);"
    "CREATE INDEX wide_e ON wide(e DESC, c COLLATE nocase);"
    "CREATE INDEX \"strict \"\"w\" ON strict(w, id);";
static const char *const tables[] = { "a \"b", "wide", "strict", "both", "down",
	"i" };

enum { NTABLES = sizeof tables / sizeof *tables };

static sqlite3 *
open_with(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	return db;
}

static void
describe_all(sqlite3 *db, struct shape *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	for (i = 0; i < NTABLES; i++)
		assert_int_equal(shape_describe(db, tables[i], out, NULL), 0);
}

static void
there_and_back_it_is_the_same(void **state)
{
	sqlite3 *from = open_with(declared), *to = open_with("");
	struct shape here, read, made;
	struct buf b, c;
	size_t i;

	describe_all(from, &here);
	assert_int_equal(shape_describe_rest(from, &here, NULL), 0);
	assert_int_equal(here.nleft, 0);
	assert_int_equal(shape_encode(&here, &b, NULL), 0);
	assert_int_equal(shape_decode(b.data, b.len, &read, NULL), 0);
	assert_int_equal(read.ntables, NTABLES);
	for (i = 0; i < NTABLES; i++) {
		assert_true(shape_same_table(&here.table[i], &read.table[i]));
		assert_int_equal(shape_make(to, &read.table[i], NULL), 0);
		assert_int_equal(shape_make_indexes(to, &read.table[i], NULL),
		    0);
	}
	/* indexes included */
	describe_all(to, &made);
	assert_int_equal(shape_encode(&made, &c, NULL), 0);
	assert_int_equal(b.len, c.len);
	assert_memory_equal(b.data, c.data, b.len);
	buf_clear(&b);
	buf_clear(&c);
	shape_clear(&here);
	shape_clear(&read);
	shape_clear(&made);
	sqlite3_close(from);
	sqlite3_close(to);
}

static void
what_is_sql_is_only_named(void **state)
{
	static const enum shape_left_kind kinds[] = { SHAPE_LEFT_GENERATED,
		SHAPE_LEFT_DEFAULT, SHAPE_LEFT_DEFAULT, SHAPE_LEFT_INDEX,
		SHAPE_LEFT_INDEX, SHAPE_LEFT_INDEX, SHAPE_LEFT_CHECK,
		SHAPE_LEFT_TRIGGER };
	sqlite3 *db = open_with("CREATE TABLE t(id TEXT PRIMARY KEY, n CHECK(n > 0),"
	    " g AS (n + 1), r NOT NULL DEFAULT (random()), s DEFAULT (1 + 1));"
	    "CREATE INDEX i1 ON t(n) WHERE n > 1; CREATE INDEX i2 ON t(n + 1);"
	    "CREATE UNIQUE INDEX i3 ON t(n); CREATE TRIGGER tr AFTER INSERT ON t "
	    "BEGIN SELECT 1; END;"
	    /* words that are none */
	    "CREATE TABLE w(id TEXT PRIMARY KEY, \"check\" /* CHECK */ DEFAULT "
	    "'check (1)', [autoincrement]);");
	struct shape s = { .table = NULL };
	size_t i;

	assert_int_equal(shape_describe(db, "t", &s, NULL), 0);
	assert_int_equal(shape_describe(db, "w", &s, NULL), 0);
	assert_int_equal(shape_describe_rest(db, &s, NULL), 0);
	assert_int_equal(s.nleft, sizeof kinds / sizeof *kinds);
	for (i = 0; i < s.nleft; i++)
		assert_int_equal(s.left[i].kind, kinds[i]);
	assert_int_equal(s.table[0].ncolumns, 4);
	assert_false(s.table[0].column[2].not_null);
	assert_int_equal(s.table[0].nindexes, 0);
	shape_clear(&s);
	sqlite3_close(db);
}

/* ---- by strangers ---- */

/* A table of two columns, with that name and the type of the second. */
static int
make_named(sqlite3 *db, const char *name, const char *column,
    const char *type, struct err *err)
{
	char id[] = "id", text[] = "TEXT", *copy[] = { strdup(name),
		strdup(column), strdup(type) };
	struct shape_column c[2] = { { .name = id, .type = text },
		{ .name = copy[1], .type = copy[2] } };
	size_t key = 0, i;
	struct shape_table t = { .name = copy[0], .column = c, .ncolumns = 2,
		.key = &key, .nkey = 1 };
	int rc = shape_make(db, &t, err);

	for (i = 0; i < 3; i++)
		free(copy[i]);
	return rc;
}

static void
r26_names_and_types_are_no_sql(void **state)
{
	static const char *const hostile[] = { "x\"); DROP TABLE kept; --",
		"x' || 1", "x) STRICT; --", "`[x]`", "INT PRIMARY KEY",
		"text REFERENCES kept(id)", "GENERATED ALWAYS AS (1)", "/*", "--",
		"int) WITHOUT ROWID" };
	sqlite3 *db = open_with("CREATE TABLE kept(id TEXT PRIMARY KEY)");
	sqlite3_stmt *stmt;
	size_t i;

	for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		assert_int_equal(make_named(db, hostile[i], hostile[i],
		    hostile[i], NULL), 0);
		assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM "
		    "sqlite_schema WHERE type <> 'index'", -1, &stmt, NULL),
		    SQLITE_OK);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		assert_int_equal(sqlite3_column_int(stmt, 0), i + 2);
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

static void
what_cant_be_made_is_said(void **state)
{
	static const char *const reserved[] = { "sqlite_x", "crsql_log",
		"DDCP_meta", "x__crsql_meta" };
	sqlite3 *db = open_with("CREATE TABLE there(id TEXT PRIMARY KEY)");
	struct err err = { .code = 0 };
	size_t i;

	for (i = 0; i < sizeof reserved / sizeof *reserved; i++)
		assert_int_equal(make_named(db, reserved[i], "v", "", &err),
		    E_USAGE);
	assert_int_equal(make_named(db, "there", "v", "", &err), E_USAGE);
	assert_non_null(strstr(err.text, "already exists"));
	assert_int_equal(make_named(db, "twice", "ID", "", &err), E_USAGE);
	assert_non_null(strstr(err.text, "duplicate column"));
	sqlite3_close(db);
}

/* Each byte of a description set to each value, and each beginning of it. */
static void
any_bytes_are_taken_or_refused(void **state)
{
	sqlite3 *db = open_with(declared);
	struct shape s, again;
	struct buf b;
	uint8_t *copy;
	size_t i;
	int v;

	describe_all(db, &s);
	assert_int_equal(shape_encode(&s, &b, NULL), 0);
	for (i = 0; i < b.len; i++) {
		copy = malloc(i + 1);
		memcpy(copy, b.data, i);
		assert_int_equal(shape_decode(copy, i, &again, NULL),
		    E_INTEGRITY);
		shape_clear(&again);
		free(copy);
		for (v = 0; v < 256; v++) {
			uint8_t was = b.data[i];

			b.data[i] = (uint8_t)v;
			shape_decode(b.data, b.len, &again, NULL);
			shape_clear(&again);
			b.data[i] = was;
		}
	}
	buf_clear(&b);
	shape_clear(&s);
	sqlite3_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back_it_is_the_same),
		cmocka_unit_test(what_is_sql_is_only_named),
		cmocka_unit_test(r26_names_and_types_are_no_sql),
		cmocka_unit_test(what_cant_be_made_is_said),
		cmocka_unit_test(any_bytes_are_taken_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

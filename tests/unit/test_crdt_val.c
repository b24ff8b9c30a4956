// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_val.c - values of the engine: their order, how they settle, and
 * packed columns as C and as SQL see them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SQLITE_CORE 1   /* SQLite is linked, not met through routines */
#include "crdt/crdt.h"
#include "crdt/val.h"

static sqlite3 *db;

static int
open_db(void **state)
{
	char *why = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(crdt_load(db, &why), SQLITE_OK);
	return 0;
}

static int
close_db(void **state)
{
	return sqlite3_close(db);
}

/* The first column of the first row as text; "error: CODE" if it fails. */
static const char *
ask(const char *sql)
{
	static char out[1024];
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		sqlite3_snprintf(sizeof out, out, "%s",
		    sqlite3_column_type(stmt, 0) == SQLITE_NULL ? "NULL" :
		    (const char *)sqlite3_column_text(stmt, 0));
	else
		sqlite3_snprintf(sizeof out, out, "error: %d", rc);
	sqlite3_finalize(stmt);
	return out;
}

static struct val
integer(int64_t i)
{
	return (struct val){ .type = SQLITE_INTEGER, .i = i };
}

static struct val
real(double r)
{
	return (struct val){ .type = SQLITE_FLOAT, .r = r };
}

static struct val
text(const char *s)
{
	return (struct val){ .type = SQLITE_TEXT, .data = (const uint8_t *)s,
	    .len = (int)strlen(s) };
}

static struct val
blob(const char *s)
{
	struct val v = text(s);

	v.type = SQLITE_BLOB;
	return v;
}

static struct val
null(void)
{
	return (struct val){ .type = SQLITE_NULL };
}

/* -- order ------------------------------------------------------------------ */

static void
types_and_values_are_ordered(void **state)
{
	const struct val rising[] = { null(), blob(""), blob("a"), blob("ab"),
		blob("b"), text(""), text("A"), text("a"), text("a\xff"),
		real(-1e300), real(-0.5), real(0), real(1e301),
		integer(INT64_MIN), integer(-5), integer(1),
		integer(INT64_MAX) };
	int i, j, c, n = (int)(sizeof rising / sizeof *rising);

	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			c = val_compare(&rising[i], &rising[j]);
			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
		}
	}
}

static void
zeros_are_equal(void **state)
{
	struct val a = real(0.0), b = real(-0.0);

	assert_int_equal(val_compare(&a, &b), 0);
}

/* -- settling: what SQLite itself stores is right ------------------------------- */

static void
settling_is_what_a_column_does(void **state)
{
	static const struct { char affinity; const char *type; } columns[] = {
		{ 'A', "BLOB" }, { 'B', "TEXT" }, { 'C', "NUMERIC" },
		{ 'D', "INTEGER" }, { 'E', "REAL" } };
	const struct val values[] = { null(), integer(0), integer(8),
		integer(-1), integer(INT64_MAX), integer(INT64_MIN),
		integer(9007199254740993), real(0), real(-0.0), real(1),
		real(1.5), real(1e15), real(1e18), real(9.3e18), real(-9.3e18),
		real(1e300), real(0.1), real(9223372036854775807.0),
		real(-9223372036854775808.0), text(""), text("8"),
		text(" 8 "), text("8x"), text("0x10"), text("+8"), text("-"),
		text("."), text(".5"), text("5."), text("1e2"), text("1e"),
		text("1e+"), text("1.0e3"), text("9223372036854775807"),
		text("9223372036854775808"), text("0.1"), text("1e400"),
		text("\xc2\xa0" "8"), text("12345678901234567890.5"),
		text("3.14159265358979323846"), blob("8"), blob("") };
	char scratch[VAL_SCRATCH], sql[128];
	sqlite3_stmt *in, *out;
	struct val v, want;
	size_t c, i;

	for (c = 0; c < sizeof columns / sizeof *columns; c++) {
		sqlite3_snprintf(sizeof sql, sql, "CREATE TABLE c%d(x %s)",
		    (int)c, columns[c].type);
		assert_string_equal(ask(sql), "error: 101");
		sqlite3_snprintf(sizeof sql, sql,
		    "INSERT INTO c%d VALUES(?)", (int)c);
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &in, NULL), 0);
		sqlite3_snprintf(sizeof sql, sql, "SELECT x FROM c%d", (int)c);
		for (i = 0; i < sizeof values / sizeof *values; i++) {
			val_bind(in, 1, &values[i]);
			sqlite3_step(in);
			sqlite3_reset(in);
		}
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &out, NULL),
		    0);
		for (i = 0; i < sizeof values / sizeof *values; i++) {
			assert_int_equal(sqlite3_step(out), SQLITE_ROW);
			want = val_of_column(out, 0);
			v = values[i];
			assert_int_equal(val_settle(db, &v,
			    columns[c].affinity, scratch), SQLITE_OK);
			assert_int_equal(v.type, want.type);
			assert_int_equal(val_compare(&v, &want), 0);
		}
		sqlite3_finalize(in);
		sqlite3_finalize(out);
	}
}

static void
r05_integral_reals_become_integers_in_keys(void **state)
{
	const struct val v[] = { real(5), real(-0.0), real(5.5),
		real(9.3e18), real(-3) };
	const struct val want[] = { integer(5), integer(0), real(5.5),
		real(9.3e18), integer(-3) };
	struct buf a, b;

	buf_init(&a, 1000);
	buf_init(&b, 1000);
	assert_int_equal(pack_key(v, 5, &a), SQLITE_OK);
	assert_int_equal(pack_values(want, 5, &b), SQLITE_OK);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	buf_clear(&a);
	buf_clear(&b);
}

/* -- packed columns --------------------------------------------------------------- */

static void
packed_bytes_are_those_of_crsqlite(void **state)
{
	static const struct { const char *values, *hex; } row[] = {
		{ "", "00" }, { "0", "0101" }, { "1", "010901" },
		{ "127", "01097F" }, { "128", "010980" }, { "255", "0109FF" },
		{ "256", "01110100" }, { "65536", "0119010000" },
		{ "16777216", "012101000000" }, { "2147483648",
		"012180000000" }, { "4294967295", "0121FFFFFFFF" },
		{ "4294967296", "01290100000000" },
		{ "-1", "0141FFFFFFFFFFFFFFFF" },
		{ "1.5", "01023FF8000000000000" }, { "NULL", "0105" },
		{ "''", "0103" }, { "x''", "0104" }, { "'a'", "010B0161" },
		{ "char(233)", "010B02C3A9" }, { "x'0001'", "010C020001" },
		{ "1,'a',NULL,2.5,x'ff'",
		"0509010B0161050240040000000000000C01FF" } };
	char sql[256];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		sqlite3_snprintf(sizeof sql, sql,
		    "SELECT hex(crsql_pack_columns(%s))", row[i].values);
		assert_string_equal(ask(sql), row[i].hex);
	}
	assert_string_equal(ask("SELECT substr(hex(crsql_pack_columns("
	    "zeroblob(65536))), 1, 12)"), "011C01000000");
}

static void
unpacking_gives_the_cells_back(void **state)
{
	assert_string_equal(ask("SELECT group_concat(quote(cell)) FROM "
	    "crsql_unpack_columns(crsql_pack_columns(1, 'a', NULL, 2.5, "
	    "x'ff', '', x'', -1, 9223372036854775807))"),
	    "1,'a',NULL,2.5,X'FF','',X'',-1,9223372036854775807");
	assert_string_equal(ask("SELECT group_concat(cell) FROM "
	    "crsql_unpack_columns WHERE package = x'020901090200ff'"), "1,2");
	/* numbers are zero-extended, redundant forms are read */
	assert_string_equal(ask("SELECT cell FROM "
	    "crsql_unpack_columns(x'010980')"), "128");
	assert_string_equal(ask("SELECT cell FROM "
	    "crsql_unpack_columns(x'01410000000000000005')"), "5");
	assert_string_equal(ask("SELECT cell IS NULL FROM "
	    "crsql_unpack_columns(x'0145')"), "1");
	assert_string_equal(ask("SELECT count(*) FROM "
	    "crsql_unpack_columns(x'00')"), "0");
	assert_string_equal(ask("SELECT group_concat(rowid) FROM "
	    "crsql_unpack_columns(x'03050505')"), "0,1,2");
}

/* cr-sqlite ends the process for some of these. */
static void
bad_packages_are_errors(void **state)
{
	static const char *const bad[] = { "x''", "NULL", "x'01'", "x'0109'",
		"x'0149010203040506070809'", "x'0100'", "x'0106'", "x'0107'",
		"x'010B05'", "x'010C7F'", "x'0102'", "x'0143FFFFFFFFFFFFFFFF'",
		"'abc'" };
	char sql[256];
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		sqlite3_snprintf(sizeof sql, sql, "SELECT max(cell) FROM "
		    "crsql_unpack_columns(%s)", bad[i]);
		assert_string_equal(ask(sql), "error: 1");
	}
	assert_string_equal(ask("SELECT cell FROM crsql_unpack_columns"),
	    "error: 21");
	assert_string_equal(ask("SELECT package FROM "
	    "crsql_unpack_columns(x'0105')"), "error: 21");
	assert_string_equal(ask("SELECT cell FROM crsql_unpack_columns WHERE "
	    "cell = 1"), "error: 1");
}

static void
keys_are_read_exactly(void **state)
{
	static const uint8_t two[] = { 2, 9, 1, 11, 1, 'a' };
	static const uint8_t more[] = { 2, 9, 1, 11, 1, 'a', 0 };
	struct val v[4];
	int i;

	assert_int_equal(pack_read(two, sizeof two, 2, v, 4), 2);
	assert_int_equal(v[0].i, 1);
	assert_memory_equal(v[1].data, "a", 1);
	assert_int_equal(pack_read(two, sizeof two, 1, v, 4), -1);
	assert_int_equal(pack_read(two, sizeof two, -1, v, 1), -1);
	assert_int_equal(pack_read(more, sizeof more, 2, v, 4), -1);
	assert_int_equal(pack_read(more, sizeof more, -1, v, 4), 2);
	for (i = 0; i < (int)sizeof two; i++)
		assert_int_equal(pack_read(two, i, 2, v, 4), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_values_are_ordered),
		cmocka_unit_test(zeros_are_equal),
		cmocka_unit_test(settling_is_what_a_column_does),
		cmocka_unit_test(r05_integral_reals_become_integers_in_keys),
		cmocka_unit_test(packed_bytes_are_those_of_crsqlite),
		cmocka_unit_test(unpacking_gives_the_cells_back),
		cmocka_unit_test(bad_packages_are_errors),
		cmocka_unit_test(keys_are_read_exactly),
	};

	return cmocka_run_group_tests(tests, open_db, close_db);
}

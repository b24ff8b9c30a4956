// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_views.c - <t>__crsql_clock and <t>__crsql_pks, which programs
 * written for cr-sqlite look into.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct group group = { .count = 2, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y); "
	"CREATE TABLE i(id INTEGER PRIMARY KEY, v); SELECT "
	"crsql_as_crr('r'), crsql_as_crr('i')" };

#define CLOCK "SELECT key, col_name, col_version, db_version, site_id, seq FROM "

static void
a_clock_table_has_a_row_for_each_fact(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2), ('b', 3, 4); UPDATE r "
	    "SET y = 5 WHERE id = 'a'; INSERT INTO i VALUES(7, 1)");
	node_expect(&n[A], "1|'x'|1|1|0|0\n1|'y'|2|2|0|0\n2|'x'|1|1|0|2\n"
	    "2|'y'|1|1|0|3\n", CLOCK "r__crsql_clock ORDER BY key, col_name");
	node_expect(&n[A], "7|'v'|1|3|0|0\n", CLOCK "i__crsql_clock");
	node_expect(&n[A], "1|'a'\n2|'b'\n", "SELECT * FROM r__crsql_pks");
	node_expect(&n[A], "7|7\n", "SELECT __crsql_key, id FROM i__crsql_pks");
}

static void
a_site_goes_by_its_ordinal(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2)");
	assert_int_equal(node_change(&n[A], "r", "'a'", "y", "9", 4, 8, S1, 1, 6),
	    SQLITE_OK);
	node_expect(&n[A], "'x'|1|0\n'y'|4|1\n", "SELECT col_name, col_version, "
	    "site_id FROM r__crsql_clock ORDER BY 1");
	node_expect(&n[A], "11111111111111111111111111111111|8|6\n", "SELECT s.site_id, db_version, seq "
	    "FROM r__crsql_clock c JOIN crsql_site_id s ON s.ordinal = c.site_id "
	    "WHERE col_name = 'y'");
}

static void
a_deleted_row_keeps_a_key_and_its_primary_key(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2), ('b', 3, 4), ('c', 5, "
	    "6); INSERT INTO i VALUES(3, 1), (-4, 2); DELETE FROM r WHERE id <> "
	    "'b'; DELETE FROM i");
	node_expect(&n[A], "'a'|'-1'|2|3\n'b'|'x'|1|1\n'b'|'y'|1|1\n"
	    "'c'|'-1'|2|3\n", "SELECT id, col_name, col_version, db_version FROM "
	    "r__crsql_clock JOIN r__crsql_pks ON __crsql_key = key ORDER BY 1, 2");
	node_expect(&n[A], "2|2|1\n", "SELECT count(*), count(DISTINCT "
	    "__crsql_key), max(__crsql_key) < 0 FROM r__crsql_pks WHERE id <> 'b'");
	/* an integer key stays the key */
	node_expect(&n[A], "-4|-4\n3|3\n", "SELECT * FROM i__crsql_pks ORDER BY 1");
	node_expect(&n[A], "-4|'-1'|2\n3|'-1'|2\n", "SELECT key, col_name, "
	    "col_version FROM i__crsql_clock ORDER BY 1");
}

static void
a_row_that_lives_again_has_its_sentinel(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2); DELETE FROM r; INSERT "
	    "INTO r VALUES('a', 3, 4)");
	node_expect(&n[A], "'-1'|3\n'x'|1\n'y'|1\n", "SELECT col_name, col_version "
	    "FROM r__crsql_clock ORDER BY 1");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM r__crsql_pks");
}

/* What is asked of the columns that are narrowed by, and of those that are
 * not. */
static const char *const questions[] = {
	"key = 5", "key > 5", "key >= 5", "key < 5", "key <= 5", "key < 0",
	"key BETWEEN 3 AND 8", "key = 5.0", "key > 4.5", "key = '5'", "key = 'x'",
	"key IS NULL", "key = NULL", "key IN (1, 4, 9, 99)", "key <> 5",
	"key > 9223372036854775806", "key < -9223372036854775807",
	"key >= 9223372036854775807", "key <= -9223372036854775807 - 1",
	"db_version = 3", "db_version > 2", "db_version >= 2", "db_version < 3",
	"db_version <= 2", "db_version > 1 AND db_version < 4 AND key > 2",
	"db_version < -5", "db_version > 1e3", "db_version = '3'",
	"key = 2 OR db_version = 4", "key = 2 OR key = 3 OR col_name = '-1'",
	"site_id = 1", "seq = 0", "col_name = '-1'", "1",
};

static void
fill(struct node *at)
{
	node_exec(at, "BEGIN; INSERT INTO r VALUES('a', 1, 1), ('b', 2, 2), ('c', "
	    "3, 3), ('d', 4, 4), ('e', 5, 5), ('f', 6, 6), ('g', 7, 7); INSERT "
	    "INTO i SELECT id.value, 0 FROM json_each('[1,2,3,5,8,13,-5]') id; "
	    "COMMIT; UPDATE r SET x = 0 WHERE id > 'd'; DELETE FROM r WHERE id IN "
	    "('b', 'e', 'g'); DELETE FROM i WHERE id IN (5, 8, -5); INSERT INTO i "
	    "VALUES(6, 1), (9223372036854775807, 2); UPDATE i SET v = 8; INSERT "
	    "INTO r VALUES('e', 0, 0); DELETE FROM r WHERE id = 'f'");
	assert_int_equal(node_change(at, "i", "3", "v", "7", 9, 9, S1, 1, 0),
	    SQLITE_OK);
}

/* SQLite does the same with a table as with one of ours. */
static void
questions_are_answered_as_by_a_table(void **state)
{
	static const char *const tables[] = { "r", "i" };
	char *want, *got;
	size_t t, q;

	fill(&n[A]);
	for (t = 0; t < 2; t++) {
		node_exec(&n[A], "CREATE TEMP TABLE clock_%s AS SELECT * FROM "
		    "%s__crsql_clock; CREATE TEMP TABLE pks_%s AS SELECT * FROM "
		    "%s__crsql_pks", tables[t], tables[t], tables[t], tables[t]);
		for (q = 0; q < sizeof questions / sizeof *questions; q++) {
			want = node_rows(&n[A], CLOCK "clock_%s WHERE %s ORDER BY 1, 2",
			    tables[t], questions[q]);
			got = node_rows(&n[A], CLOCK "%s__crsql_clock WHERE %s ORDER BY "
			    "1, 2", tables[t], questions[q]);
			if (strcmp(want, got) != 0)
				fail_msg("%s, %s:\n%s\ninstead of\n%s", tables[t],
				    questions[q], got, want);
			sqlite3_free(want);
			sqlite3_free(got);
		}
	}
}

static void
keys_are_found(void **state)
{
	static const char *const tables[] = { "r", "i" };
	static const char *const what[] = { "__crsql_key = %s", "__crsql_key > %s",
		"__crsql_key <= %s", "id = %s", "id > %s", "id = %s COLLATE nocase",
		"id = CAST(%s AS TEXT)", "id = %s AND __crsql_key < 3",
		"id = 1.0 * %s" };
	static const char *const values[] = { "1", "3", "5", "-5", "99", "'a'",
		"'b'", "'B'", "'e'", "x'62'", "NULL", "1.5", "9223372036854775807",
		"(SELECT __crsql_key FROM pks_r WHERE id = 'b')" };
	/* long doubles decide it, of which valgrind makes doubles */
	static const char imprecise[] = "id = 1.0 * 9223372036854775807";
	char *want, *got, *where;
	size_t t, k, v;

	fill(&n[A]);
	node_exec(&n[A], "CREATE TEMP TABLE pks_r AS SELECT * FROM r__crsql_pks; "
	    "CREATE TEMP TABLE pks_i AS SELECT * FROM i__crsql_pks");
	node_expect(&n[A], "7|9\n", "SELECT (SELECT count(*) FROM pks_r), (SELECT "
	    "count(*) FROM pks_i)");
	for (t = 0; t < 2; t++)
		for (k = 0; k < sizeof what / sizeof *what; k++)
			for (v = 0; v < sizeof values / sizeof *values; v++) {
				where = sqlite3_mprintf(what[k], values[v]);
				if (strcmp(where, imprecise) == 0) {
					sqlite3_free(where);
					continue;
				}
				want = node_rows(&n[A], "SELECT * FROM pks_%s WHERE %s "
				    "ORDER BY 1", tables[t], where);
				got = node_rows(&n[A], "SELECT * FROM %s__crsql_pks "
				    "WHERE %s ORDER BY 1", tables[t], where);
				if (strcmp(want, got) != 0)
					fail_msg("%s, %s:\n%s\ninstead of\n%s",
					    tables[t], where, got, want);
				sqlite3_free(where);
				sqlite3_free(want);
				sqlite3_free(got);
			}
}

/* Each fact of crsql_changes is one of a clock table, and the other way. */
static void
it_says_what_crsql_changes_says(void **state)
{
	fill(&n[A]);
	node_pull_changes(&n[B], &n[A], false);
	node_exec(&n[B], "UPDATE r SET y = 11; DELETE FROM i WHERE id < 3");
	node_pull_changes(&n[A], &n[B], false);
	node_expect(&n[A], "0|0\n", "WITH told AS (SELECT \"table\" t, pk, cid, "
	    "col_version v, db_version d, site_id s, seq FROM crsql_changes), "
	    "seen AS (SELECT 'r' t, crsql_pack_columns(id) pk, col_name cid, "
	    "col_version v, db_version d, s.site_id s, seq FROM r__crsql_clock c "
	    "JOIN r__crsql_pks ON __crsql_key = key JOIN crsql_site_id s ON "
	    "s.ordinal = c.site_id UNION ALL SELECT 'i', crsql_pack_columns(id), "
	    "col_name, col_version, db_version, s.site_id, seq FROM "
	    "i__crsql_clock c JOIN i__crsql_pks ON __crsql_key = key JOIN "
	    "crsql_site_id s ON s.ordinal = c.site_id) SELECT (SELECT count(*) "
	    "FROM (SELECT * FROM told EXCEPT SELECT * FROM seen)), (SELECT "
	    "count(*) FROM (SELECT * FROM seen EXCEPT SELECT * FROM told))");
	node_expect(&n[A], "1\n", "SELECT (SELECT count(*) FROM r__crsql_clock) + "
	    "(SELECT count(*) FROM i__crsql_clock) = (SELECT count(*) FROM "
	    "crsql_changes)");
}

static void
a_transactions_own_writes_are_seen(void **state)
{
	node_exec(&n[A], "BEGIN; INSERT INTO r VALUES('a', 1, 2)");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM r__crsql_clock");
	node_exec(&n[A], "DELETE FROM r");
	node_expect(&n[A], "'a'\n", "SELECT id FROM r__crsql_clock JOIN "
	    "r__crsql_pks ON __crsql_key = key AND col_name = '-1'");
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "0|0\n", "SELECT (SELECT count(*) FROM r__crsql_clock), "
	    "(SELECT count(*) FROM r__crsql_pks)");
}

static void
they_follow_the_schema(void **state)
{
	assert_int_not_equal(node_try(&n[A], "SELECT * FROM s__crsql_pks"),
	    SQLITE_OK);
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2)");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM r__crsql_pks");
	node_exec(&n[A], "ALTER TABLE r RENAME TO s; ALTER TABLE s RENAME COLUMN "
	    "id TO \"the \"\"id\"; ALTER TABLE s ADD COLUMN z; UPDATE s SET z = 1");
	node_expect(&n[A], "1|'a'\n", "SELECT __crsql_key, \"the \"\"id\" FROM "
	    "s__crsql_pks");
	node_expect(&n[A], "'x'\n'y'\n'z'\n", "SELECT col_name FROM "
	    "s__crsql_clock ORDER BY 1");
	assert_int_not_equal(node_try(&n[A], "SELECT * FROM r__crsql_clock"),
	    SQLITE_OK);
	/* two that change names */
	node_exec(&n[A], "ALTER TABLE s RENAME TO t; ALTER TABLE i RENAME TO s; "
	    "ALTER TABLE t RENAME TO i; INSERT INTO s VALUES(5, 5)");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM s__crsql_pks WHERE id = 5");
	node_expect(&n[A], "1|'a'\n", "SELECT * FROM i__crsql_pks");
	/* gone, and another of that name */
	node_exec(&n[A], "DROP TABLE s; CREATE TABLE s(a, b, PRIMARY KEY(b, a)); "
	    "SELECT crsql_as_crr('s'); INSERT INTO s VALUES(1, 2)");
	node_expect(&n[A], "1|2|1\n", "SELECT __crsql_key, b, a FROM s__crsql_pks");
	node_expect(&n[A], "'-1'|1\n", "SELECT col_name, col_version FROM "
	    "s__crsql_clock");
	node_exec(&n[A], "SELECT crsql_as_table('s')");
	assert_int_not_equal(node_try(&n[A], "SELECT * FROM s__crsql_clock"),
	    SQLITE_OK);
}

/* The list of tables is read anew while one of them is read. */
static void
one_may_be_read_while_its_table_changes(void **state)
{
	sqlite3_stmt *stmt;
	int rc;

	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2), ('b', 1, 2)");
	assert_int_equal(sqlite3_prepare_v2(n[A].db, "SELECT * FROM "
	    "r__crsql_clock", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(node_try(&n[A], "CREATE TABLE s(id INTEGER PRIMARY KEY, "
	    "v); SELECT crsql_as_crr('s'); INSERT INTO r VALUES('c', 3, 3)"),
	    SQLITE_OK);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	assert_true(rc == SQLITE_DONE || rc == SQLITE_ABORT);
	sqlite3_reset(stmt);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_finalize(stmt);
	node_expect(&n[A], "6\n", "SELECT count(*) FROM r__crsql_clock");
	/* what was prepared says so when its table is gone */
	assert_int_equal(sqlite3_prepare_v2(n[A].db, "SELECT * FROM "
	    "r__crsql_pks", -1, &stmt, NULL), SQLITE_OK);
	node_exec(&n[A], "DROP TABLE r; INSERT INTO i VALUES(1, 1)");
	assert_int_equal(sqlite3_step(stmt), SQLITE_ERROR);
	sqlite3_finalize(stmt);
}

/* A function in the same row makes the list anew that the row is told by. */
static void
a_function_beside_may_change_the_schema(void **state)
{
	static const char *const tables[] = { "r__crsql_clock", "r__crsql_pks",
		"crsql_changes" };
	size_t k;
	int rc;

	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2), ('b', 1, 2); CREATE TABLE "
	    "s(id INTEGER PRIMARY KEY); CREATE TABLE t(id INTEGER PRIMARY KEY); "
	    "CREATE TABLE u(id INTEGER PRIMARY KEY)");
	for (k = 0; k < 3; k++) {
		rc = node_try(&n[A], "SELECT crsql_as_crr('%c'), * FROM %s",
		    "stu"[k], tables[k]);
		assert_true(rc == SQLITE_OK || rc == SQLITE_ABORT ||
		    rc == SQLITE_LOCKED);
	}
	node_expect(&n[A], "4|2\n", "SELECT (SELECT count(*) FROM "
	    "r__crsql_clock), (SELECT count(*) FROM r__crsql_pks)");
}

static void
any_name_will_do(void **state)
{
	node_exec(&n[A], "CREATE TABLE \"a \"\"b'%%s\"(\"__crsql_key\" PRIMARY KEY, "
	    "\"x hidden\"); SELECT crsql_as_crr('a \"b''%%s'); INSERT INTO "
	    "\"a \"\"b'%%s\" VALUES('k', 1)");
	node_expect(&n[A], "1|'x hidden'\n", "SELECT key, col_name FROM "
	    "\"a \"\"b'%%s__crsql_clock\"");
	node_expect(&n[A], "1|'k'\n", "SELECT __crsql_key, \"__crsql_key:1\" FROM "
	    "\"a \"\"b'%%s__crsql_pks\"");
}

static void
they_can_only_be_read_and_leave_no_trace(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2)");
	assert_int_not_equal(node_try(&n[A], "DELETE FROM r__crsql_clock"),
	    SQLITE_OK);
	assert_int_not_equal(node_try(&n[A], "DROP TABLE r__crsql_clock"),
	    SQLITE_OK);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM sqlite_schema WHERE name "
	    "LIKE '%%crsql_clock' OR name LIKE '%%crsql_pks'");
	/* a view over one, as one over a table */
	node_exec(&n[A], "PRAGMA trusted_schema = 0; CREATE VIEW v AS SELECT * FROM "
	    "r__crsql_clock JOIN r__crsql_pks ON __crsql_key = key");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM v");
	/* a table of that name comes first */
	node_exec(&n[A], "CREATE TABLE i__crsql_pks(mine)");
	node_expect(&n[A], "0\n", "SELECT count(mine) FROM i__crsql_pks");
}

/* Another connection makes a table; one that opens the file has all. */
static void
a_file_that_is_opened_has_them(void **state)
{
	char path[NODE_FILE];
	struct node one, two;

	node_file(path);
	node_open(&one, 0, path);
	node_open(&two, 1, path);
	node_exec(&one, "CREATE TABLE q(id INTEGER PRIMARY KEY, v); SELECT "
	    "crsql_as_crr('q'); INSERT INTO q VALUES(1, 2)");
	node_exec(&two, "SELECT count(*) FROM crsql_changes");
	node_expect(&two, "1\n", "SELECT count(*) FROM q__crsql_clock");
	node_close(&two);
	node_close(&one);
	node_plainly(path, "INSERT INTO q VALUES(2, 3)");
	node_open(&one, 0, path);
	node_expect(&one, "2|'v'|1\n", "SELECT key, col_name, col_version FROM "
	    "q__crsql_clock WHERE key > 1");
	node_close(&one);
	unlink(path);
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_clock_table_has_a_row_for_each_fact),
		TEST(a_site_goes_by_its_ordinal),
		TEST(a_deleted_row_keeps_a_key_and_its_primary_key),
		TEST(a_row_that_lives_again_has_its_sentinel),
		TEST(questions_are_answered_as_by_a_table),
		TEST(keys_are_found),
		TEST(it_says_what_crsql_changes_says),
		TEST(a_transactions_own_writes_are_seen),
		TEST(they_follow_the_schema),
		TEST(one_may_be_read_while_its_table_changes),
		TEST(a_function_beside_may_change_the_schema),
		TEST(any_name_will_do),
		TEST(they_can_only_be_read_and_leave_no_trace),
		TEST(a_file_that_is_opened_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_changes.c - cr-sqlite's rules of merging, by INSERT INTO
 * crsql_changes.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct group group = { .count = 3, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

/* INSERT INTO crsql_changes of table r. */
static int
change(int to, const char *pk, const char *cid, const char *val, int version,
    int dbv, const char *site, int cl, int seq)
{
	return node_change(&n[to], "r", pk, cid, val, version, dbv, site, cl,
	    seq);
}

static void
bad_keys_are_refused(void **state)
{
	static const struct { const char *pk; int rc; } bad[] = {
		{ "x''", SQLITE_ABORT }, { "NULL", SQLITE_ABORT },
		{ "x'01'", SQLITE_ABORT }, { "x'010B05'", SQLITE_ABORT },
		{ "x'0149010203040506070809'", SQLITE_ABORT },
		{ "x'0100'", SQLITE_MISUSE }, { "x'0106'", SQLITE_MISUSE },
		{ "x'0107'", SQLITE_MISUSE }, { "x'0209010901'",
		SQLITE_RANGE }, { "x'00'", SQLITE_MISMATCH },
		{ "x'0105'", SQLITE_CONSTRAINT } };
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes("
		    "\"table\", pk, cid, val, col_version, db_version, "
		    "site_id, cl, seq) VALUES('r', %s, 'x', 1, 1, 1, " S1
		    ", 1, 0)", bad[i].pk), bad[i].rc);
	}
	node_expect(&n[A], "0\n", "SELECT count(*) FROM r");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_site_id");
}

static void
the_example_of_the_readme(void **state)
{
	node_exec(&n[A], "CREATE TABLE foo(a PRIMARY KEY NOT NULL, b); "
	    "CREATE TABLE baz(a PRIMARY KEY NOT NULL, b, c, d); "
	    "SELECT crsql_as_crr('foo'); SELECT crsql_as_crr('baz'); "
	    "INSERT INTO foo(a, b) VALUES(1, 2); INSERT INTO baz VALUES('a', "
	    "'woo', 'doo', 'daa')");
	node_exec(&n[A], "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq) VALUES('foo', "
	    "x'010905', 'b', 'thing', 5, 5, "
	    "x'7096E2D505314699A59C95FABA14ABB5', 1, 0)");
	node_exec(&n[A], "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq) VALUES('baz', "
	    "x'010b0161', 'b', 123, 101, 233, "
	    "x'7096E2D505314699A59C95FABA14ABB5', 1, 0)");
	node_expect(&n[A], "1|2\n5|'thing'\n", "SELECT * FROM foo");
	node_expect(&n[A], "'a'|123|'doo'|'daa'\n", "SELECT * FROM baz");
	node_expect(&n[A],
	    "'foo'|010901|'b'|2|1|1|1|1|0\n"
	    "'baz'|010b0161|'c'|'doo'|1|2|1|1|1\n"
	    "'baz'|010b0161|'d'|'daa'|1|2|1|1|2\n"
	    "'foo'|010905|'b'|'thing'|5|5|0|1|0\n"
	    "'baz'|010b0161|'b'|123|101|233|0|1|0\n",
	    "SELECT \"table\", pk, cid, val, col_version, db_version, "
	    "site_id = crsql_site_id(), cl, seq FROM crsql_changes");
	node_expect(&n[A], "233\n", "SELECT crsql_db_version()");
}

static void
rows_impacted_counts_wins(void **state)
{
	node_exec(&n[A], "BEGIN");
	change(A, "'a'", "x", "1", 1, 1, S1, 1, 0);
	change(A, "'a'", "y", "1", 1, 1, S1, 1, 1);
	node_expect(&n[A], "2\n", "SELECT crsql_rows_impacted()");
	change(A, "'a'", "y", "1", 1, 1, S1, 1, 1);
	node_expect(&n[A], "2\n", "SELECT crsql_rows_impacted()");
	change(A, "'a'", "-1", "NULL", 2, 2, S1, 2, 0);
	node_expect(&n[A], "3\n", "SELECT crsql_rows_impacted()");
	change(A, "'a'", "x", "1", 1, 3, S1, 3, 1);
	node_expect(&n[A], "5\n", "SELECT crsql_rows_impacted()");
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "0\n", "SELECT crsql_rows_impacted()");
}

static void
what_was_merged_is_seen_at_once(void **state)
{
	node_exec(&n[A], "BEGIN");
	change(A, "'a'", "x", "1", 1, 1, S1, 1, 0);
	node_expect(&n[A], "'a'|1\n", "SELECT id, x FROM r");
	change(A, "'a'", "y", "2", 1, 1, S1, 1, 1);
	node_expect(&n[A], "'a'|1|2\n", "SELECT id, x, y FROM r");
	node_expect(&n[A], "'x'|1\n'y'|1\n",
	    "SELECT cid, col_version FROM crsql_changes ORDER BY cid");
	node_exec(&n[A], "SAVEPOINT s");
	change(A, "'a'", "y", "3", 2, 2, S1, 1, 0);
	change(A, "'b'", "y", "3", 1, 2, S1, 1, 1);
	node_exec(&n[A], "ROLLBACK TO s; RELEASE s");
	change(A, "'a'", "z", "4", 1, 2, S1, 1, 2);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "'a'|1|2|4\n", "SELECT * FROM r");
	node_expect(&n[A], "'x'|1|1\n'y'|1|1\n'z'|1|2\n", "SELECT cid, "
	    "col_version, db_version FROM crsql_changes ORDER BY cid");
	node_exec(&n[A], "BEGIN");
	change(A, "'a'", "z", "5", 9, 9, S1, 1, 0);
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "'a'|1|2|4\n", "SELECT * FROM r");
	node_expect(&n[A], "2\n", "SELECT max(db_version) FROM crsql_changes");
}

static void
a_refused_change_leaves_nothing(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v "
	    "CHECK(v > 0), w NOT NULL DEFAULT 1); SELECT crsql_as_crr('c')");
	node_exec(&n[A], "BEGIN");
	node_exec(&n[A], "INSERT INTO c VALUES(1, 1, 1)");
	assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'c', x'010901', 'v', -1, 3, 3, " S1 ", 3, 0)"),
	    SQLITE_CONSTRAINT);
	assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'c', x'010902', 'w', NULL, 1, 3, " S1 ", 1, 0)"),
	    SQLITE_CONSTRAINT);
	assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'c', x'010902', 'nope', 1, 1, 3, " S1 ", 1, 0)"), SQLITE_ERROR);
	assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'c', x'010B0161', 'v', 1, 1, 3, " S1 ", 1, 0)"),
	    SQLITE_MISMATCH);
	node_expect(&n[A], "0\n", "SELECT crsql_internal_sync_bit()");
	node_exec(&n[A], "INSERT INTO c VALUES(5, 5, 5); COMMIT");
	node_expect(&n[A], "1|1|1\n5|5|5\n", "SELECT * FROM c");
	node_expect(&n[A], "4|1|1\n", "SELECT count(*), max(db_version), "
	    "max(cl) FROM crsql_changes");
}

static void
values_settle_before_they_are_compared(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v "
	    "TEXT); SELECT crsql_as_crr('c')");
	static const char *const same = "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'c', x'010901', 'v', 8, 1, 1, " S1 ", 1, 0)";

	node_exec(&n[A], "%s", same);
	node_expect(&n[A], "'8'\n", "SELECT v FROM c");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "%s", same);
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
}

static void
merge_equal_values_lets_the_greater_site_win(void **state)
{
	node_exec(&n[A], "SELECT crsql_config_set('merge-equal-values', 1)");
	change(A, "'a'", "x", "1", 1, 1, S1, 1, 0);
	change(A, "'a'", "x", "1", 1, 1, S2, 1, 0);
	node_expect(&n[A], "22222222222222222222222222222222\n",
	    "SELECT site_id FROM crsql_changes");
	change(A, "'a'", "x", "1", 1, 1, S1, 1, 0);
	node_expect(&n[A], "22222222222222222222222222222222\n",
	    "SELECT site_id FROM crsql_changes");
}

static void
errors_have_cr_sqlites_words(void **state)
{
	assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) VALUES("
	    "'none', x'010901', 'v', 8, 1, 1, NULL, 1, 0)"), SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[A].db), "crsql - could not find "
	    "the schema information for table none");
	assert_int_equal(change(A, "'a'", "x", "1", 1, 1,
	    "zeroblob(17)", 1, 0), SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[A].db),
	    "crsql - site id exceeded max length");
	assert_int_equal(change(A, "'a'", "x", "1", 1, 1, "NULL", 1, 0),
	    SQLITE_OK);
	node_expect(&n[A], "1\n", "SELECT site_id = crsql_site_id() FROM "
	    "crsql_changes");
}

/* cr-sqlite takes them: they are 16 bytes here, as everywhere. */
static void
short_site_ids_are_filled_up(void **state)
{
	assert_int_equal(change(A, "'a'", "x", "1", 1, 1, "x'01'", 1, 0),
	    SQLITE_OK);
	assert_int_equal(change(A, "'b'", "x", "2", 1, 1, "'ab'", 1, 0),
	    SQLITE_OK);
	assert_int_equal(change(A, "'a'", "x", "3", 2, 2, "x'0100'", 1, 0),
	    SQLITE_OK);
	node_expect(&n[A], "'01000000000000000000000000000000'\n"
	    "'61620000000000000000000000000000'\n", "SELECT DISTINCT "
	    "hex(site_id) FROM crsql_changes ORDER BY 1");
	node_expect(&n[A], "3\n", "SELECT count(*) FROM crsql_site_id");
	node_well(&n[A]);
	node_pull_changes(&n[B], &n[A], true);
	nodes_agree(&n[A], &n[B], "SELECT pk, cid, val, site_id FROM crsql_changes "
	    "ORDER BY pk");
}

/* A row that is still at hand when a statement begins is not that one's: clocks
 * and log of it stay if the statement fails. */
static void
a_statement_that_fails_leaves_what_was_merged_before(void **state)
{
	int i;

	node_exec(&n[A], "CREATE TABLE u(a UNIQUE); INSERT INTO u VALUES(5); "
	    "INSERT INTO r(id, x) VALUES('own', 1), ('dead', 2)");
	for (i = 0; i < 3; i++) {
		node_exec(&n[A], "UPDATE r SET y = %d WHERE id = 'own'; BEGIN", i);
		assert_int_equal(change(A, "'a'", "x", "1", i + 1, 9, S1, 1, 0),
		    SQLITE_OK);
		assert_int_equal(change(A, i == 1 ? "'dead'" : "'b'", i == 1 ? "-1" :
		    "y", "2", 2 * (i + 1), 9, S2, i == 1 ? 2 : 1, 0), SQLITE_OK);
		assert_int_equal(node_try(&n[A], i == 2 ? "INSERT INTO r(id) "
		    "SELECT 'c' UNION ALL SELECT 'own'" :
		    "INSERT INTO u SELECT 4 UNION ALL SELECT 5"),
		    SQLITE_CONSTRAINT);
		node_exec(&n[A], "COMMIT");
		node_well(&n[A]);
	}
	node_expect(&n[A], "'a'|1\n'b'|NULL\n'own'|1\n",
	    "SELECT id, x FROM r ORDER BY 1");
	node_expect(&n[A], "3|6\n", "SELECT (SELECT col_version FROM crsql_changes "
	    "WHERE pk = crsql_pack_columns('a') AND cid = 'x'), (SELECT col_version "
	    "FROM crsql_changes WHERE pk = crsql_pack_columns('b') AND cid = 'y')");
}

/* A value that is known is compared as its column has it, whatever that is. */
static void
what_is_known_wins_nothing(void **state)
{
	static const char *const form[] = { "id TEXT PRIMARY KEY NOT NULL, %s)",
		"%s, id INTEGER PRIMARY KEY)",
		("id BLOB NOT NULL PRIMARY KEY, %s) WITHOUT ROWID") };
	static const char columns[] = "r REAL, i INTEGER, t TEXT COLLATE NOCASE, "
	    "n NUMERIC, b BLOB, \"odd \"\"name\", \"WHEN\" DEFAULT 7, "
	    "g AS (i + 1) STORED, \"CASE\" ANY";
	char *make, *was;
	size_t i;

	for (i = 0; i < sizeof form / sizeof *form; i++) {
		make = sqlite3_mprintf(form[i], columns);
		was = sqlite3_mprintf("CREATE TABLE v(%s; SELECT crsql_as_crr('v')",
		    make);
		nodes_exec(n, 3, was);
		sqlite3_free(make);
		sqlite3_free(was);
		node_exec(&n[A], "INSERT INTO v(id, r, i, t, n, b, \"odd \"\"name\", "
		    "\"CASE\") VALUES(1, 5, '6', 7, '8.0', 9, 10.0, x'0b'), (2, 1e300, "
		    "NULL, 'Aa', 'x', x'00', '', 0.5), (3, 4, 9e18, x'61', 3.0, NULL, "
		    "-0.0, 9223372036854775807)");
		node_pull_changes(&n[B], &n[A], false);
		nodes_agree(&n[A], &n[B], "SELECT * FROM v");
		was = node_rows(&n[A], "SELECT *, crsql_db_version() FROM crsql_changes");
		node_pull_changes(&n[A], &n[B], true);
		node_expect(&n[A], was, "SELECT *, crsql_db_version() FROM "
		    "crsql_changes");
		sqlite3_free(was);
		node_well(&n[A]);
		nodes_exec(n, 3, "DROP TABLE v; SELECT crsql_fold()");
	}
}

/* -- readers --------------------------------------------------------------------- */

static int looks;       /* at the log, by statements that are prepared */

static int
authorize(void *unused, int action, const char *table, const char *column,
    const char *schema, const char *by)
{
	looks += action == SQLITE_READ && strcmp(table, "crsql_log") == 0;
	looks += action == SQLITE_READ && strcmp(table, "r") == 0;
	return SQLITE_OK;
}

/* What it reads the log and a table by is there from the one before. */
static void
a_reader_prepares_nothing_anew(void **state)
{
	static const char all[] = "SELECT \"table\", pk, cid, val FROM crsql_changes";
	char *first, *second;

	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2); UPDATE r "
	    "SET y = 3 WHERE id = 'a'; INSERT INTO r(id, x) VALUES('c', 1)");
	assert_int_equal(sqlite3_set_authorizer(n[A].db, authorize, NULL), SQLITE_OK);
	first = node_rows(&n[A], all);
	assert_true(looks > 0);
	looks = 0;
	second = node_rows(&n[A], all);
	assert_int_equal(looks, 0);
	assert_string_equal(first, second);
	sqlite3_set_authorizer(n[A].db, NULL, NULL);
	sqlite3_free(first);
	sqlite3_free(second);
}

/* Each has its own meanwhile. */
static void
readers_at_once_do_not_meet(void **state)
{
	sqlite3_stmt *slow;
	int rows = 0, rc;

	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2); UPDATE r "
	    "SET y = 3 WHERE id = 'a'; DELETE FROM r WHERE id = 'b'");
	assert_int_equal(sqlite3_prepare_v2(n[A].db, "SELECT cid FROM crsql_changes",
	    -1, &slow, NULL), SQLITE_OK);
	while ((rc = sqlite3_step(slow)) == SQLITE_ROW) {
		rows++;
		node_expect(&n[A], "16\n", "SELECT count(*) FROM crsql_changes a, "
		    "crsql_changes b");
	}
	assert_int_equal(rc, SQLITE_DONE);
	assert_int_equal(rows, 4);
	assert_int_equal(sqlite3_finalize(slow), SQLITE_OK);
	node_well(&n[A]);
}

/* A table is another one while it is read: what was lent for it goes with it. */
static void
a_reader_outlives_its_table(void **state)
{
	sqlite3_stmt *slow;
	int i;

	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2)");
	for (i = 0; i < 3; i++) {
		assert_int_equal(sqlite3_prepare_v2(n[A].db, "SELECT cid FROM "
		    "crsql_changes", -1, &slow, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(slow), SQLITE_ROW);
		node_exec(&n[A], "ALTER TABLE r ADD COLUMN c%d; INSERT INTO r(id, c%d) "
		    "VALUES('c%d', 1)", i, i, i);
		assert_int_equal(sqlite3_step(slow), SQLITE_ABORT);
		assert_int_equal(sqlite3_finalize(slow), SQLITE_ABORT);
		node_well(&n[A]);
	}
	node_expect(&n[A], "3\n", "SELECT count(*) FROM crsql_changes WHERE cid "
	    "GLOB 'c*' AND val = 1");
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(bad_keys_are_refused),
		T(the_example_of_the_readme),
		T(rows_impacted_counts_wins),
		T(what_was_merged_is_seen_at_once),
		T(a_refused_change_leaves_nothing),
		T(values_settle_before_they_are_compared),
		T(merge_equal_values_lets_the_greater_site_win),
		T(errors_have_cr_sqlites_words),
		T(short_site_ids_are_filled_up),
		T(a_statement_that_fails_leaves_what_was_merged_before),
		T(what_is_known_wins_nothing),
		T(a_reader_prepares_nothing_anew),
		T(readers_at_once_do_not_meet),
		T(a_reader_outlives_its_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

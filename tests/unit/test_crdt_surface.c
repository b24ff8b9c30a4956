// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_surface.c - the numbers and texts that programs written for
 * cr-sqlite know, as they see them in SQL.  The merge rule cell by cell:
 * test_crdt_changes.c; packed columns: test_crdt_val.c.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FACTS "SELECT cid, val, col_version, db_version, " \
	"hex(substr(site_id, 1, 1)), cl, seq FROM crsql_changes"

static struct group group = { .count = 2, .sql =
	"CREATE TABLE t(id PRIMARY KEY NOT NULL, x, y); "
	"SELECT crsql_as_crr('t')" };

static void
change(const char *pk, const char *cid, const char *val, int version, int dbv,
    const char *site, int cl, int seq)
{
	assert_int_equal(node_change(&n[A], "t", pk, cid, val, version, dbv, site,
	    cl, seq), SQLITE_OK);
}

static void
refused(int rc, const char *text, const char *sql)
{
	int got = node_try(&n[A], "%s", sql);

	if (got != rc || strcmp(sqlite3_errmsg(n[A].db), text) != 0)
		fail_msg("%s: %d %s", sql, got, sqlite3_errmsg(n[A].db));
}

/* -- versions ------------------------------------------------------------------ */

static void
db_versions_rise_as_lamports_clock(void **state)
{
	/* 1 and 3 into an empty database, in one transaction */
	node_exec(&n[A], "BEGIN");
	change("1", "x", "1", 1, 1, S1, 1, 4);
	change("2", "x", "1", 1, 3, S1, 1, 7);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "1|4\n3|7\n", "SELECT db_version, seq FROM "
	    "crsql_changes");
	node_expect(&n[A], "3\n", "SELECT crsql_db_version()");
	/* an old version into a database that is further */
	change("3", "x", "1", 1, 1, S1, 1, 0);
	node_expect(&n[A], "4\n", "SELECT crsql_db_version()");
	/* each statement is a transaction */
	change("3", "y", "1", 1, 1, S1, 1, 1);
	node_expect(&n[A], "5\n", "SELECT crsql_db_version()");
	change("4", "y", "1", 1, 100, S1, 1, 1);
	node_expect(&n[A], "100\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "INSERT INTO t VALUES(5, 1, 1)");
	node_expect(&n[A], "101\n", "SELECT crsql_db_version()");
}

static void
the_next_db_version_is_kept_until_the_end(void **state)
{
	node_expect(&n[A], "1|1|5|5|5\n", "SELECT crsql_next_db_version(), "
	    "crsql_next_db_version(NULL), crsql_next_db_version(5), "
	    "crsql_next_db_version(2), crsql_next_db_version(9, 9)");
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES(1, 1, 1)");
	node_expect(&n[A], "0|5\n", "SELECT crsql_db_version(), "
	    "crsql_next_db_version()");
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "0|1\n", "SELECT crsql_db_version(), "
	    "crsql_next_db_version()");
	node_exec(&n[A], "SELECT crsql_next_db_version(10); INSERT INTO t "
	    "VALUES(1, 1, 1); INSERT INTO t VALUES(2, 2, 2)");
	node_expect(&n[A], "10\n11\n", "SELECT DISTINCT db_version FROM "
	    "crsql_changes");
}

/* A transaction counts from 0; a merge keeps the sender's. */
static void
seqs_count_in_a_transaction(void **state)
{
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES(1, 1, 1); INSERT INTO t "
	    "VALUES(2, 2, 2); UPDATE t SET y = 9 WHERE id = 1; COMMIT");
	node_expect(&n[A], "'x'|1|0\n'x'|2|2\n'y'|2|3\n'y'|9|4\n",
	    "SELECT cid, val, seq FROM crsql_changes");
	node_exec(&n[A], "DELETE FROM t WHERE id = 2; INSERT INTO t VALUES(2, 3, "
	    "4)");
	node_expect(&n[A], "'-1'|3|0\n'x'|1|1\n'y'|1|2\n", "SELECT cid, "
	    "col_version, seq FROM crsql_changes WHERE db_version = 3");
	node_expect(&n[A], "0|0|1\n", "SELECT crsql_get_seq(), "
	    "crsql_increment_and_get_seq(), crsql_get_seq()");
}

/* -- sites --------------------------------------------------------------------- */

static void
ordinals_are_given_by_the_first_win(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 5, 5)");
	change("1", "x", "1", 1, 1, S2, 1, 0);          /* loses */
	node_expect(&n[A], "0\n", "SELECT ordinal FROM crsql_site_id");
	change("1", "x", "9", 1, 1, S1, 1, 0);
	change("1", "y", "9", 1, 1, S2, 1, 0);
	change("1", "y", "10", 1, 1, S1, 1, 0);
	node_expect(&n[A], "1|'11'\n2|'22'\n", "SELECT ordinal, "
	    "hex(substr(site_id, 1, 1)) FROM crsql_site_id WHERE ordinal > 0 "
	    "ORDER BY ordinal");
}

static void
no_site_is_this_database(void **state)
{
	change("1", "x", "1", 1, 7, "NULL", 1, 3);
	change("1", "y", "1", 1, 7, "x''", 1, 4);
	node_expect(&n[A], "'x'|1|7|3\n'y'|1|8|4\n", "SELECT cid, site_id = "
	    "crsql_site_id(), db_version, seq FROM crsql_changes");
	node_expect(&n[A], "0|2\n", "SELECT sum(site_id IS NULL), count(*) FROM "
	    "crsql_changes WHERE site_id IS NOT NULL");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_site_id");
}

/* -- causal lengths ------------------------------------------------------------- */

static void
lives_and_deaths_by_causal_length(void **state)
{
	change("1", "x", "1", 5, 1, S1, 1, 0);
	node_expect(&n[A], "'x'|1|5|1|'11'|1|0\n", FACTS);      /* no '-1' */
	change("1", "-1", "NULL", 2, 2, S1, 2, 0);
	node_expect(&n[A], "'-1'|NULL|2|2|'11'|2|0\n", FACTS);
	change("1", "x", "9", 99, 3, S1, 1, 0);                 /* too late */
	node_expect(&n[A], "", "SELECT * FROM t");
	change("1", "x", "2", 1, 4, S2, 3, 5);
	node_expect(&n[A], "'-1'|NULL|3|'22'|3\n'x'|2|1|'22'|3\n", "SELECT cid, "
	    "val, col_version, hex(substr(site_id, 1, 1)), cl FROM crsql_changes "
	    "ORDER BY cid");
	/* an unknown row, dead from the first */
	change("2", "-1", "NULL", 4, 5, S1, 4, 0);
	node_expect(&n[A], "4|4\n", "SELECT col_version, cl FROM crsql_changes "
	    "WHERE pk = x'010902'");
	node_expect(&n[A], "1|2|NULL\n", "SELECT * FROM t");
}

/* The values stay, at version 0: whatever comes replaces them. */
static void
a_sentinel_brings_the_row_back(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 5, 6); UPDATE t SET x = 7");
	change("1", "-1", "NULL", 3, 9, S1, 3, 0);
	node_expect(&n[A], "1|7|6\n", "SELECT * FROM t");
	node_expect(&n[A], "'-1'|3|3\n'x'|0|3\n'y'|0|3\n", "SELECT cid, "
	    "col_version, cl FROM crsql_changes ORDER BY cid");
	change("1", "x", "0", 1, 9, S1, 3, 1);
	node_expect(&n[A], "1|0|6\n", "SELECT * FROM t");
}

/* -- statements ----------------------------------------------------------------- */

static void
inserts_into_crsql_changes_are_as_others(void **state)
{
	node_expect(&n[A], "'t'|010901|'x'|1|1|1|1|0|-1\n", "INSERT INTO "
	    "crsql_changes VALUES('t', x'010901', 'x', 1, 1, 1, " S1 ", 1, 0) "
	    "RETURNING \"table\", pk, cid, val, col_version, db_version, cl, seq, "
	    "rowid");
	node_exec(&n[A], "INSERT INTO crsql_changes VALUES('t', x'010901', 'x', 1, "
	    "1, 1, " S1 ", 1, 0), ('t', x'010902', 'x', 1, 1, 1, " S1 ", 1, 0)");
	node_expect(&n[A], "2\n", "SELECT changes()");
	node_expect(&n[A], "1|1|NULL\n2|1|NULL\n", "SELECT * FROM t");
	refused(SQLITE_ERROR, "crsql - could not find the schema information for "
	    "table T2", "INSERT OR IGNORE INTO crsql_changes VALUES('T2', "
	    "x'010901', 'x', 1, 1, 1, " S1 ", 1, 0)");
	/* what is no number is 0 */
	node_exec(&n[A], "INSERT INTO crsql_changes VALUES('t', x'010903', 'x', 1, "
	    "NULL, 'no', " S1 ", 1, NULL)");
	node_expect(&n[A], "0|0\n", "SELECT col_version, seq FROM crsql_changes "
	    "WHERE pk = x'010903'");
}

/* Only where they match a row. */
static void
it_takes_no_update_and_no_delete(void **state)
{
	static const char text[] = "Only INSERT and SELECT statements are allowed "
	    "against the crsql changes table";

	node_exec(&n[A], "DELETE FROM crsql_changes; UPDATE crsql_changes SET val "
	    "= 1; INSERT INTO t VALUES(1, 1, 1)");
	refused(SQLITE_MISUSE, text, "DELETE FROM crsql_changes");
	refused(SQLITE_MISUSE, text, "UPDATE crsql_changes SET val = 1");
	node_expect(&n[A], "1|1|1\n", "SELECT * FROM t");
}

static void
errors_of_merging(void **state)
{
	refused(SQLITE_ERROR, "crsql - table name exceeded max length", "INSERT "
	    "INTO crsql_changes VALUES(printf('%.*c', 2049, 'a'), x'010901', 'x', "
	    "1, 1, 1, NULL, 1, 0)");
	refused(SQLITE_ERROR, "crsql - column name exceeded max length", "INSERT "
	    "INTO crsql_changes VALUES('t', x'010901', printf('%.*c', 2049, 'a'), "
	    "1, 1, 1, NULL, 1, 0)");
	refused(SQLITE_ERROR, "crsql - site id exceeded max length", "INSERT "
	    "INTO crsql_changes VALUES('t', x'010901', 'x', 1, 1, 1, "
	    "zeroblob(17), 1, 0)");
	refused(SQLITE_ERROR, "Unknown setting name", "SELECT "
	    "crsql_config_set('nothing', 1)");
	refused(SQLITE_ERROR, "Unknown setting name", "SELECT "
	    "crsql_config_get('nothing')");
	assert_int_equal(node_try(&n[A], "SELECT cell FROM crsql_unpack_columns"),
	    SQLITE_MISUSE);
	assert_string_equal(sqlite3_errmsg(n[A].db), "Zero args passed to filter");
	node_expect(&n[A], "", FACTS);
}

static void
equal_values_by_setting(void **state)
{
	node_expect(&n[A], "0\n", "SELECT crsql_config_get('merge-equal-values')");
	change("1", "x", "1", 1, 1, S1, 1, 0);
	change("1", "x", "1", 1, 2, S2, 1, 0);
	node_expect(&n[A], "'x'|1|1|1|'11'|1|0\n", FACTS);
	/* 1 alone is on */
	node_expect(&n[A], "2|2\n", "SELECT crsql_config_set('merge-equal-values', "
	    "2), crsql_config_get('merge-equal-values')");
	change("1", "x", "1", 1, 2, S2, 1, 0);
	node_expect(&n[A], "'x'|1|1|1|'11'|1|0\n", FACTS);
	node_exec(&n[A], "SELECT crsql_config_set('merge-equal-values', 1)");
	change("1", "x", "1", 1, 2, S2, 1, 0);
	node_expect(&n[A], "'x'|1|1|2|'22'|1|0\n", FACTS);
	change("1", "x", "1", 1, 3, S1, 1, 0);
	node_expect(&n[A], "'x'|1|1|2|'22'|1|0\n", FACTS);
}

/* -- conditions on crsql_changes -------------------------------------------------- */

static void
conditions_on_the_table_are_sqls(void **state)
{
	node_exec(&n[A], "CREATE TABLE \"123\"(id PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('123'); INSERT INTO \"123\" VALUES(1, 1); "
	    "INSERT INTO t VALUES(1, 1, 1)");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 123");
	node_expect(&n[A], "3\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" IN (123, 't')");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 'T' COLLATE NOCASE");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 't   ' COLLATE RTRIM");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" IN ('T', 't ', x'74', NULL)");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 't' AND db_version > '1' AND db_version < 2.5");
}

static void
settings_of_the_connection_change_nothing(void **state)
{
	node_exec(&n[A], "PRAGMA case_sensitive_like = 1; CREATE TABLE a(id INTEGER "
	    "PRIMARY KEY AUTOINCREMENT NOT NULL, x)");
	assert_int_equal(node_try(&n[A], "SELECT crsql_as_crr('a')"),
	    SQLITE_ERROR);
	assert_non_null(strstr(sqlite3_errmsg(n[A].db), "auto-increment"));
	node_exec(&n[A], "PRAGMA reverse_unordered_selects = 1; PRAGMA "
	    "full_column_names = 1; PRAGMA short_column_names = 0; CREATE TABLE "
	    "b(id PRIMARY KEY NOT NULL, x); INSERT INTO b VALUES(1, 1), (2, 2); "
	    "SELECT crsql_as_crr('b'); UPDATE b SET x = 3; ALTER TABLE b RENAME "
	    "TO c; UPDATE c SET x = 4");
	node_expect(&n[A], "'c'|4|3\n'c'|4|3\n", "SELECT \"table\", val, "
	    "col_version FROM crsql_changes");
}

/* SQLite leaves the old name in the triggers, and no write is possible. */
static void
a_legacy_renaming_is_mended_by_a_read(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1); PRAGMA legacy_alter_table = "
	    "1; ALTER TABLE t RENAME TO u; SELECT count(*) FROM crsql_changes; "
	    "INSERT INTO u VALUES(2, 2, 2); UPDATE u SET x = 3 WHERE id = 1");
	node_expect(&n[A], "'u'|'x'|3\n'u'|'y'|1\n'u'|'x'|2\n'u'|'y'|2\n",
	    "SELECT \"table\", cid, val FROM crsql_changes ORDER BY pk, cid");
	node_exec(&n[A], "ALTER TABLE u RENAME TO v; SELECT crsql_fold(); "
	    "ALTER TABLE v RENAME COLUMN x TO z; UPDATE v SET z = 4");
	node_expect(&n[A], "'v'|'z'|4\n'v'|'z'|4\n", "SELECT \"table\", cid, val "
	    "FROM crsql_changes WHERE val = 4");
}

static void
a_table_of_another_schema_is_not_taken_for_mains(void **state)
{
	node_exec(&n[A], "ATTACH ':memory:' AS other; CREATE TABLE u(id PRIMARY KEY "
	    "NOT NULL, x); CREATE TABLE other.u(id PRIMARY KEY NOT NULL, x)");
	refused(SQLITE_ERROR, "Only tables of the main database can be replicated, "
	    "not those of Other: open that database itself",
	    "SELECT crsql_as_crr('Other', 'u')");
	refused(SQLITE_ERROR, "Only tables of the main database can be replicated, "
	    "not those of temp: open that database itself",
	    "SELECT crsql_as_crr('temp', 'u')");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM main.sqlite_schema WHERE "
	    "tbl_name = 'u' AND type = 'trigger'");
	node_expect(&n[A], "'OK'|'OK'\n", "SELECT crsql_as_crr('main', 'u'), "
	    "crsql_as_crr('zz', 'u')");
}

/* -- the second example of cr-sqlite's behaviour ------------------------------------ */

static int64_t
sync(int to, int from, const char *where)
{
	sqlite3_stmt *in, *out, *count;
	char *sql = sqlite3_mprintf("SELECT \"table\", pk, cid, val, col_version, "
	    "db_version, site_id, cl, seq FROM crsql_changes WHERE %s", where);
	int64_t impacted;
	int i;

	assert_int_equal(sqlite3_prepare_v2(n[from].db, sql, -1, &out, NULL), 0);
	assert_int_equal(sqlite3_prepare_v2(n[to].db, "INSERT INTO crsql_changes "
	    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &in, NULL), 0);
	node_exec(&n[to], "BEGIN");
	while (sqlite3_step(out) == SQLITE_ROW) {
		for (i = 0; i < 9; i++)
			sqlite3_bind_value(in, i + 1, sqlite3_column_value(out, i));
		assert_int_equal(sqlite3_step(in), SQLITE_DONE);
		sqlite3_reset(in);
	}
	sqlite3_prepare_v2(n[to].db, "SELECT crsql_rows_impacted()", -1, &count,
	    NULL);
	assert_int_equal(sqlite3_step(count), SQLITE_ROW);
	impacted = sqlite3_column_int64(count, 0);
	sqlite3_finalize(count);
	sqlite3_finalize(in);
	sqlite3_finalize(out);
	node_exec(&n[to], "COMMIT");
	sqlite3_free(sql);
	return impacted;
}

static void
two_databases_as_with_cr_sqlite(void **state)
{
	static const char facts[] = "SELECT pk, cid, val, col_version, db_version, "
	    "hex(substr(site_id, 1, 1)), cl, seq FROM crsql_changes";

	node_exec(&n[A], "SELECT crsql_identity("
	    "x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', zeroblob(32), zeroblob(8)); "
	    "BEGIN; INSERT INTO t VALUES(1, 'a1', 10); INSERT INTO t VALUES(2, "
	    "'a2', 20); COMMIT");
	node_exec(&n[B], "SELECT crsql_identity("
	    "x'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', zeroblob(32), zeroblob(8))");
	assert_int_equal(sync(B, A, "1"), 4);
	node_exec(&n[A], "UPDATE t SET x = 'from a' WHERE id = 1");
	node_exec(&n[B], "UPDATE t SET y = 99 WHERE id = 1; DELETE FROM t WHERE "
	    "id = 2");
	node_exec(&n[A], "UPDATE t SET x = 'lost' WHERE id = 2");
	assert_int_equal(sync(B, A, "db_version > 1"), 1);
	assert_int_equal(sync(A, B, "site_id IS NOT "
	    "x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"), 2);
	node_expect(&n[A], "1|'from a'|99\n", "SELECT * FROM t");
	node_expect(&n[B], "1|'from a'|99\n", "SELECT * FROM t");
	node_expect(&n[A], "010901|'x'|'from a'|2|2|'AA'|1|0\n"
	    "010901|'y'|99|2|4|'BB'|1|0\n010902|'-1'|NULL|2|4|'BB'|2|0\n", facts);
	node_expect(&n[B], "010901|'y'|99|2|2|'BB'|1|0\n"
	    "010902|'-1'|NULL|2|3|'BB'|2|0\n"
	    "010901|'x'|'from a'|2|4|'AA'|1|0\n", facts);
	node_exec(&n[B], "INSERT INTO t VALUES(2, 'again', 21)");
	assert_int_equal(sync(A, B, "db_version > 3"), 3);
	node_expect(&n[A], "1|'from a'|99\n2|'again'|21\n",
	    "SELECT * FROM t ORDER BY id");
	node_expect(&n[A], "'-1'|NULL|3|5|'BB'|3|0\n'x'|'again'|1|5|'BB'|3|1\n"
	    "'y'|21|1|5|'BB'|3|2\n", FACTS " WHERE pk = x'010902'");
	assert_int_equal(sync(A, B, "1"), 0);
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(db_versions_rise_as_lamports_clock),
		T(the_next_db_version_is_kept_until_the_end),
		T(seqs_count_in_a_transaction),
		T(ordinals_are_given_by_the_first_win),
		T(no_site_is_this_database),
		T(lives_and_deaths_by_causal_length),
		T(a_sentinel_brings_the_row_back),
		T(inserts_into_crsql_changes_are_as_others),
		T(it_takes_no_update_and_no_delete),
		T(errors_of_merging),
		T(equal_values_by_setting),
		T(conditions_on_the_table_are_sqls),
		T(settings_of_the_connection_change_nothing),
		T(a_legacy_renaming_is_mended_by_a_read),
		T(a_table_of_another_schema_is_not_taken_for_mains),
		T(two_databases_as_with_cr_sqlite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

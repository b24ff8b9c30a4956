// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_defects.c - one test for each defect of cr-sqlite, named after what
 * is right.  Its limits: test_crdt_limits.c.  What concerns crsql_begin_alter,
 * crsql_automigrate and crsql_fract_* is tested with these.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

static struct group group = { .count = 3, .sql =
	"CREATE TABLE t(id PRIMARY KEY NOT NULL, x, y); "
	"SELECT crsql_as_crr('t')" };

static int
change(int to, const char *pk, const char *cid, const char *val, int version,
    int dbv, int cl)
{
	return node_change(&n[to], "t", pk, cid, val, version, dbv, S1, cl, 0);
}

/* What programs do: only what is new, and not what came from here. */
static void
pull_others(int to, int from)
{
	sqlite3_stmt *in, *out;
	int i;

	assert_int_equal(sqlite3_prepare_v2(n[from].db, "SELECT \"table\", pk, "
	    "cid, val, col_version, db_version, site_id, cl, seq FROM "
	    "crsql_changes WHERE db_version > ? AND site_id IS NOT ?", -1, &out,
	    NULL), SQLITE_OK);
	sqlite3_bind_int64(out, 1, n[from].version[to]);
	sqlite3_bind_blob(out, 2, n[to].site, NODE_SITE, SQLITE_STATIC);
	assert_int_equal(sqlite3_prepare_v2(n[to].db, "INSERT INTO crsql_changes "
	    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &in, NULL), SQLITE_OK);
	node_exec(&n[to], "BEGIN");
	while (sqlite3_step(out) == SQLITE_ROW) {
		for (i = 0; i < 9; i++)
			sqlite3_bind_value(in, i + 1, sqlite3_column_value(out, i));
		n[from].version[to] = sqlite3_column_int64(out, 5);
		assert_int_equal(sqlite3_step(in), SQLITE_DONE);
		sqlite3_reset(in);
	}
	assert_int_equal(sqlite3_finalize(out), SQLITE_OK);
	sqlite3_finalize(in);
	node_exec(&n[to], "COMMIT");
}

/* 1. cr-sqlite leaves the columns at their old version: peers get NULLs. */
static void
pk_change_keeps_its_columns_on_peers(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 2, 3)");
	pull_others(B, A);
	node_exec(&n[A], "UPDATE t SET id = 5");
	pull_others(B, A);
	node_expect(&n[B], "5|2|3\n", "SELECT * FROM t");
	/* one that came from the reader himself */
	node_exec(&n[B], "INSERT INTO t VALUES(7, 8, 9)");
	pull_others(A, B);
	node_exec(&n[A], "UPDATE t SET id = 10 WHERE id = 7");
	pull_others(B, A);
	node_expect(&n[B], "5|2|3\n10|8|9\n", "SELECT * FROM t ORDER BY id");
	pull_others(C, B);
	nodes_agree(&n[A], &n[C], "SELECT * FROM t ORDER BY id");
}

/* 2. cr-sqlite's stays 1, and what is written from then on is not tracked. */
static void
a_failed_merge_leaves_the_sync_bit_off(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v "
	    "CHECK(v > 0), i NOT NULL DEFAULT 1); CREATE TABLE s(id INTEGER "
	    "PRIMARY KEY NOT NULL, v INTEGER) STRICT; SELECT crsql_as_crr('c'), "
	    "crsql_as_crr('s')");
	assert_int_equal(node_change(&n[A], "c", "1", "v", "-1", 1, 1, S1, 1, 0),
	    SQLITE_CONSTRAINT);
	node_expect(&n[A], "0\n", "SELECT crsql_internal_sync_bit()");
	assert_int_equal(node_change(&n[A], "c", "1", "i", "NULL", 1, 1, S1, 1,
	    0), SQLITE_CONSTRAINT);
	node_expect(&n[A], "0\n", "SELECT crsql_internal_sync_bit()");
	assert_int_equal(node_change(&n[A], "s", "1", "v", "'no'", 1, 1, S1, 1,
	    0), SQLITE_CONSTRAINT);
	node_expect(&n[A], "0\n", "SELECT crsql_internal_sync_bit()");
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	node_expect(&n[A], "'x'|1\n'y'|1\n", "SELECT cid, db_version FROM "
	    "crsql_changes");
}

/* 3. cr-sqlite leaves a key, or a row brought back to life with no clocks. */
static void
a_failed_merge_leaves_nothing_in_its_transaction(void **state)
{
	static const char all[] = "SELECT * FROM crsql_changes UNION ALL SELECT "
	    "'c', id, v, w, 0, 0, 0, 0, 0 FROM c";
	char *before;

	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v "
	    "CHECK(v > 0), w); SELECT crsql_as_crr('c'); INSERT INTO c VALUES("
	    "1, 1, 'old'), (2, 2, 'gone'); DELETE FROM c WHERE id = 2");
	node_exec(&n[A], "BEGIN");
	before = node_rows(&n[A], all);
	assert_int_equal(node_change(&n[A], "c", "1", "v", "-1", 9, 9, S1, 3, 0),
	    SQLITE_CONSTRAINT);
	assert_int_equal(node_change(&n[A], "c", "2", "v", "-1", 9, 9, S1, 3, 0),
	    SQLITE_CONSTRAINT);
	assert_int_equal(node_change(&n[A], "c", "3", "v", "-1", 9, 9, S1, 1, 0),
	    SQLITE_CONSTRAINT);
	node_expect(&n[A], before, all);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], before, all);
	sqlite3_free(before);
}

/* 4. cr-sqlite heeds the last term of an ORDER BY only. */
static void
order_by_is_what_was_asked(void **state)
{
	static const char *const order[] = { "db_version DESC, seq",
		"db_version, seq DESC", "db_version DESC, seq DESC",
		"cid DESC, pk, \"table\"", "col_version, cl DESC, pk DESC, cid",
		"site_id DESC, db_version DESC, seq DESC", "val, pk, cid",
		"db_version DESC, val, pk, cid", "rowid" };
	char *got, *want;
	size_t i;

	node_exec(&n[A], "INSERT INTO t VALUES(1, 5, 2), (2, 3, 9); INSERT INTO t "
	    "VALUES(3, 'c', NULL), (4, 1, 1); UPDATE t SET x = 8 WHERE id < 3; "
	    "DELETE FROM t WHERE id = 4");
	assert_int_equal(change(A, "9", "x", "1", 1, 1, 1), SQLITE_OK);
	node_exec(&n[A], "CREATE TEMP TABLE copy AS SELECT rowid AS r, * FROM "
	    "crsql_changes");
	for (i = 0; i < sizeof order / sizeof *order; i++) {
		got = node_rows(&n[A], "SELECT rowid, * FROM crsql_changes ORDER BY "
		    "%s", order[i]);
		want = node_rows(&n[A], "SELECT * FROM copy ORDER BY %s",
		    strcmp(order[i], "rowid") == 0 ? "r" : order[i]);
		assert_string_equal(got, want);
		sqlite3_free(got);
		sqlite3_free(want);
	}
}

/* 5. cr-sqlite reads its list of tables once: a reader never sees new ones, one
 * made in a transaction is not known in it, one undone breaks reads. */
static void
the_list_of_tables_is_never_stale(void **state)
{
	struct node reader = { .index = 9 }, writer;
	char path[NODE_FILE], *why = NULL;

	node_file(path);
	node_open(&writer, 8, path);
	assert_int_equal(sqlite3_open_v2(path, &reader.db, SQLITE_OPEN_READONLY,
	    NULL), SQLITE_OK);
	assert_int_equal(crdt_load(reader.db, &why), SQLITE_OK);
	node_expect(&reader, "0\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&writer, "CREATE TABLE t(id PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1)");
	node_expect(&reader, "'t'|'x'\n", "SELECT \"table\", cid FROM "
	    "crsql_changes");
	node_exec(&writer, "CREATE TABLE u(id PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('u'); INSERT INTO u VALUES(1, 1)");
	node_expect(&reader, "'t'|'x'\n'u'|'x'\n", "SELECT \"table\", cid FROM "
	    "crsql_changes");
	/* in the transaction that makes it, for writes, merges and reads */
	node_exec(&writer, "BEGIN; INSERT INTO t VALUES(2, 2); CREATE TABLE m(id "
	    "PRIMARY KEY NOT NULL, x); SELECT crsql_as_crr('m'); INSERT INTO m "
	    "VALUES(1, 1)");
	assert_int_equal(node_change(&writer, "m", "2", "x", "2", 1, 1, S1, 1, 0),
	    SQLITE_OK);
	node_expect(&writer, "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 'm'");
	node_exec(&writer, "ROLLBACK");
	node_expect(&writer, "2\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&writer, "INSERT INTO t VALUES(3, 3)");
	node_expect(&writer, "3\n", "SELECT count(*) FROM crsql_changes");
	node_expect(&reader, "3\n", "SELECT count(*) FROM crsql_changes");
	node_close(&reader);
	node_close(&writer);
	unlink(path);
}

/* 6. In cr-sqlite every read fails until a table of that name exists again. */
static void
a_dropped_table_breaks_no_read(void **state)
{
	node_exec(&n[A], "CREATE TABLE u(id PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('u'); INSERT INTO u VALUES(1, 1); INSERT INTO t "
	    "VALUES(1, 1, 1); DROP TABLE u");
	node_expect(&n[A], "'t'|2\n't'|2\n", "SELECT \"table\", db_version FROM "
	    "crsql_changes");
	node_exec(&n[A], "INSERT INTO t VALUES(2, 2, 2)");
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_changes");
	pull_others(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM t");
	/* in a transaction, and not in the end */
	node_exec(&n[A], "BEGIN; DROP TABLE t");
	node_expect(&n[A], "", "SELECT * FROM crsql_changes");
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_changes");
}

/* 7. cr-sqlite rolls all of it back. */
static void
a_refusal_leaves_the_callers_transaction(void **state)
{
	static const char *const refused[] = { "bad", "nothing", "v" };
	size_t i;

	node_exec(&n[A], "CREATE TABLE bad(a, b); CREATE VIEW v AS SELECT 1; "
	    "BEGIN; INSERT INTO t VALUES(1, 1, 1); SAVEPOINT s");
	for (i = 0; i < sizeof refused / sizeof *refused; i++) {
		assert_int_equal(node_try(&n[A], "SELECT crsql_as_crr(%Q)",
		    refused[i]), SQLITE_ERROR);
		assert_int_equal(sqlite3_get_autocommit(n[A].db), 0);
	}
	node_exec(&n[A], "RELEASE s; INSERT INTO t VALUES(2, 2, 2); COMMIT");
	node_expect(&n[A], "1\n2\n", "SELECT id FROM t");
	node_expect(&n[A], "4|1\n", "SELECT count(*), max(db_version) FROM "
	    "crsql_changes");
}

/* 9. By each of these cr-sqlite ends the process. */
static void
no_input_ends_the_process(void **state)
{
	static const char *const sql[] = {
		"INSERT INTO crsql_changes VALUES('t', x'', 'x', 1, 1, 1, NULL, 1, 0)",
		"INSERT INTO crsql_changes VALUES('t', NULL, 'x', 1, 1, 1, NULL, 1, "
		    "0)",
		"INSERT INTO crsql_changes VALUES('t', x'0149010203040506070809', "
		    "'x', 1, 1, 1, NULL, 1, 0)",
		"INSERT INTO crsql_changes VALUES(NULL, x'010901', 'x', 1, 1, 1, "
		    "NULL, 1, 0)",
		"INSERT INTO crsql_changes VALUES('t', x'010901', NULL, 1, 1, 1, "
		    "NULL, 1, 0)",
		"INSERT INTO crsql_changes VALUES(NULL, NULL, NULL, NULL, NULL, NULL, "
		    "NULL, NULL, NULL)",
		"SELECT cell FROM crsql_unpack_columns(x'')",
		"SELECT cell FROM crsql_unpack_columns(NULL)",
		"SELECT cell FROM crsql_unpack_columns(x'01490102030405060708')",
		"SELECT crsql_as_crr(NULL)",
		"SELECT crsql_as_crr(NULL, NULL)",
		"SELECT crsql_config_set(NULL, NULL)",
		"SELECT crsql_config_get(NULL)" };
	size_t i;

	for (i = 0; i < sizeof sql / sizeof *sql; i++) {
		if (node_try(&n[A], "%s", sql[i]) == SQLITE_OK)
			fail_msg("accepted: %s", sql[i]);
		assert_int_equal(sqlite3_get_autocommit(n[A].db), 1);
	}
	node_exec(&n[A], "SELECT crsql_as_table(NULL)");
	node_expect(&n[A], "", "SELECT * FROM t");
	node_expect(&n[A], "", "SELECT * FROM crsql_changes");
}

/* 10. cr-sqlite binds the value as the part of the key that is missing. */
static void
a_key_of_too_few_columns_is_refused(void **state)
{
	node_exec(&n[A], "CREATE TABLE p(a NOT NULL, b NOT NULL, v, PRIMARY KEY("
	    "a, b)); SELECT crsql_as_crr('p')");
	assert_int_not_equal(node_change(&n[A], "p", "1", "v", "7", 1, 1, S1, 1,
	    0), SQLITE_OK);
	assert_int_not_equal(node_change(&n[A], "p", "1", "-1", "NULL", 2, 1, S1,
	    2, 0), SQLITE_OK);
	node_expect(&n[A], "", "SELECT * FROM p");
	node_expect(&n[A], "", "SELECT * FROM crsql_changes");
	assert_int_equal(node_change(&n[A], "p", "1, 2", "v", "7", 1, 1, S1, 1, 0),
	    SQLITE_OK);
	node_expect(&n[A], "1|2|7\n", "SELECT * FROM p");
}

/* 11. cr-sqlite's crsql_rows_impacted() goes on after a rollback. */
static void
a_rollback_resets_rows_impacted(void **state)
{
	node_exec(&n[A], "BEGIN");
	assert_int_equal(change(A, "1", "x", "1", 1, 1, 1), SQLITE_OK);
	node_expect(&n[A], "1\n", "SELECT crsql_rows_impacted()");
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "0\n", "SELECT crsql_rows_impacted()");
	node_exec(&n[A], "BEGIN");
	assert_int_equal(change(A, "1", "x", "1", 1, 1, 1), SQLITE_OK);
	node_expect(&n[A], "1\n", "SELECT crsql_rows_impacted()");
	node_exec(&n[A], "COMMIT");
}

/* 11. cr-sqlite's rises by an update that changes nothing, falls back by the
 * next commit of another table, and to 0 with crsql_as_table. */
static void
the_db_version_never_goes_back(void **state)
{
	node_exec(&n[A], "CREATE TABLE plain(x); INSERT INTO t VALUES(1, 1, 1)");
	node_exec(&n[A], "UPDATE t SET x = x");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "INSERT INTO plain VALUES(1)");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "UPDATE t SET x = 2; DELETE FROM t");
	node_expect(&n[A], "3\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "SELECT crsql_as_table('t')");
	node_expect(&n[A], "3\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(2, 2, 2)");
	node_expect(&n[A], "4\n", "SELECT max(db_version) FROM crsql_changes");
}

static int
count_commit(void *calls)
{
	++*(int *)calls;
	return 0;
}

static void
count_rollback(void *calls)
{
	++*(int *)calls;
}

/* 13. By one, cr-sqlite's own is gone: two transactions get one version. */
static void
hooks_of_the_program_and_versions_do_not_meet(void **state)
{
	int commits = 0, rollbacks = 0;
	char *why = NULL;
	sqlite3 *db;
	struct node of = { .index = 9 };

	/* set before loading */
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	sqlite3_commit_hook(db, count_commit, &commits);
	sqlite3_rollback_hook(db, count_rollback, &rollbacks);
	assert_int_equal(crdt_load(db, &why), SQLITE_OK);
	of.db = db;
	node_exec(&of, "CREATE TABLE t(id PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('t')");
	commits = 0;
	node_exec(&of, "INSERT INTO t VALUES(1, 1); INSERT INTO t VALUES(2, 2); "
	    "BEGIN; INSERT INTO t VALUES(3, 3); ROLLBACK");
	assert_int_equal(commits, 2);
	assert_int_equal(rollbacks, 1);
	node_expect(&of, "1|0\n2|0\n", "SELECT db_version, seq FROM "
	    "crsql_changes");
	node_close(&of);
	/* and behind it */
	commits = rollbacks = 0;
	sqlite3_commit_hook(n[A].db, count_commit, &commits);
	sqlite3_rollback_hook(n[A].db, count_rollback, &rollbacks);
	node_exec(&n[A], "INSERT INTO t(id) VALUES(1); INSERT INTO t(id) "
	    "VALUES(2); BEGIN; INSERT INTO t(id) VALUES(3); ROLLBACK");
	assert_int_equal(commits, 2);
	assert_int_equal(rollbacks, 1);
	node_expect(&n[A], "1|2\n2|2\n", "SELECT db_version, count(*) FROM "
	    "crsql_changes GROUP BY 1");
	node_expect(&n[A], "2|0\n", "SELECT crsql_db_version(), crsql_get_seq()");
}

/* 14. cr-sqlite compares what is sent with what the column made of it: such a
 * change wins each time anew. */
static void
values_settle_by_the_type_of_their_column(void **state)
{
	int i;

	node_exec(&n[A], "CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, s TEXT, i "
	    "INTEGER, r REAL); SELECT crsql_as_crr('c')");
	for (i = 0; i < 3; i++) {
		node_change(&n[A], "c", "'k'", "s", "8", 1, 1, S1, 1, 0);
		node_change(&n[A], "c", "'k'", "i", "'7'", 1, 1, S1, 1, 1);
		node_change(&n[A], "c", "'k'", "r", "6", 1, 1, S1, 1, 2);
		node_expect(&n[A], "'8'|7|6.0\n", "SELECT s, i, r FROM c");
		node_expect(&n[A], "3\n", "SELECT crsql_db_version()");
	}
}

/* 14. In cr-sqlite they are two rows, which stand for one. */
static void
a_key_is_one_whatever_type_it_was_sent_as(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, s); "
	    "SELECT crsql_as_crr('c')");
	node_change(&n[A], "c", "1", "s", "'a'", 1, 1, S1, 1, 0);
	node_change(&n[A], "c", "'1'", "s", "'b'", 2, 2, S1, 1, 0);
	node_expect(&n[A], "'1'|'b'\n", "SELECT * FROM c");
	node_expect(&n[A], "010b0131|2\n", "SELECT pk, col_version FROM "
	    "crsql_changes");
	node_change(&n[A], "c", "1", "-1", "NULL", 2, 3, S1, 2, 0);
	node_expect(&n[A], "", "SELECT * FROM c");
	node_expect(&n[A], "010b0131|2\n", "SELECT pk, cl FROM crsql_changes");
}

/* 15. In cr-sqlite each keeps its own site for ever. */
static void
equal_deletes_converge(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2)");
	pull_others(B, A);
	pull_others(C, A);
	node_exec(&n[A], "DELETE FROM t");
	node_exec(&n[B], "DELETE FROM t");
	pull_others(B, A);
	pull_others(A, B);
	pull_others(B, A);
	nodes_agree(&n[A], &n[B], "SELECT pk, cid, cl, site_id FROM "
	    "crsql_changes ORDER BY pk, cid");
	pull_others(C, B);
	node_expect(&n[C], "", "SELECT * FROM t");
	nodes_agree(&n[A], &n[C], "SELECT pk, cid, cl, site_id FROM "
	    "crsql_changes ORDER BY pk, cid");
}

/* 16. cr-sqlite leaves the connection pointers into a library that is gone. */
static void
a_failed_load_can_be_closed(void **state)
{
	const char *extension = getenv("EXTENSION");
	char path[NODE_FILE], *why = NULL;
	sqlite3 *db;
	int i;

	if (extension == NULL)
		skip();
	node_file(path);
	for (i = 0; i < 3; i++) {
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1,
		    NULL);
		assert_int_equal(sqlite3_load_extension(db, extension,
		    "sqlite3_crsqlite_init", &why), i ? SQLITE_ERROR : SQLITE_OK);
		sqlite3_free(why);
		assert_int_equal(sqlite3_exec(db, i ? "SELECT count(*) FROM "
		    "crsql_master" : "UPDATE crsql_master SET value = 9999 WHERE "
		    "key = 'crsqlite_version'", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
	unlink(path);
}

/* 18. cr-sqlite leaves a row for the key in t__crsql_pks. */
static void
what_loses_leaves_nothing_behind(void **state)
{
	static const char all[] = "SELECT (SELECT count(*) FROM crsql_log), "
	    "(SELECT count(*) FROM crsql_site_id), (SELECT count(*) FROM "
	    "t__crsql_meta), (SELECT count(*) FROM t__crsql_dead), (SELECT "
	    "count(*) FROM crsql_master), (SELECT count(*) FROM crsql_col), "
	    "(SELECT count(*) FROM t), crsql_db_version()";
	char *before;

	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2); "
	    "DELETE FROM t WHERE id = 2");
	before = node_rows(&n[A], all);
	/* of an unknown row: never alive, or a column that is not here */
	assert_int_equal(change(A, "5", "x", "1", 1, 9, 0), SQLITE_OK);
	assert_int_equal(change(A, "5", "x", "1", 1, 9, -1), SQLITE_OK);
	assert_int_equal(change(A, "5", "nope", "1", 1, 9, 1), SQLITE_ERROR);
	assert_int_equal(change(A, "NULL", "x", "1", 1, 9, 1), SQLITE_CONSTRAINT);
	node_expect(&n[A], before, all);
	/* of one that is dead, and one that is newer here */
	assert_int_equal(change(A, "2", "x", "9", 9, 9, 1), SQLITE_OK);
	assert_int_equal(change(A, "2", "-1", "NULL", 1, 9, 1), SQLITE_OK);
	assert_int_equal(change(A, "1", "x", "0", 1, 9, 1), SQLITE_OK);
	node_expect(&n[A], before, all);
	sqlite3_free(before);
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(pk_change_keeps_its_columns_on_peers),
		T(a_failed_merge_leaves_the_sync_bit_off),
		T(a_failed_merge_leaves_nothing_in_its_transaction),
		T(order_by_is_what_was_asked),
		T(the_list_of_tables_is_never_stale),
		T(a_dropped_table_breaks_no_read),
		T(a_refusal_leaves_the_callers_transaction),
		T(no_input_ends_the_process),
		T(a_key_of_too_few_columns_is_refused),
		T(a_rollback_resets_rows_impacted),
		T(the_db_version_never_goes_back),
		T(hooks_of_the_program_and_versions_do_not_meet),
		T(values_settle_by_the_type_of_their_column),
		T(a_key_is_one_whatever_type_it_was_sent_as),
		T(equal_deletes_converge),
		T(a_failed_load_can_be_closed),
		T(what_loses_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_histories.c - what random histories (tests/diff) found: columns that
 * come while rows are written, folds in the midst of statements, settings
 * together, rowids that change.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A, B, COUNT };       /* two connections of one file */

static struct node n[COUNT];
static char path[NODE_FILE];

static int
open_all(void **state)
{
	node_file(path);
	node_open(&n[A], A, path);
	node_open(&n[B], B, path);
	return 0;
}

static int
close_all(void **state)
{
	node_expect(&n[A], "", "SELECT \"table\", key, what FROM crsql_check");
	nodes_close(n, COUNT);
	unlink(path);
	return 0;
}

static void
expect_told(const char *want)
{
	node_expect(&n[A], want, "SELECT cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY pk, cid");
}

/* -- columns ------------------------------------------------------------------ */

/* What one connection saw to be a new name the other has told since. */
static void
new_name_is_told_once(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a, b); SELECT "
	    "crsql_as_crr('t'); INSERT INTO t VALUES('x', 1, 2)");
	node_exec(&n[B], "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "ALTER TABLE t RENAME COLUMN a TO c; SELECT count(*) FROM "
	    "crsql_changes");
	node_exec(&n[B], "SELECT crsql_fold()");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "2\n", "SELECT crsql_db_version()");
	node_exec(&n[B], "ALTER TABLE t RENAME COLUMN b TO d; SELECT crsql_schema_pending()");
	node_exec(&n[A], "UPDATE t SET c = 3");
	node_exec(&n[B], "SELECT crsql_fold()");
	node_expect(&n[A], "3\n", "SELECT crsql_db_version()");
}

/* A column that was numbered in a savepoint is found again once that is undone,
 * as old as it was: rows inserted meanwhile are younger. */
static void
column_found_in_a_savepoint(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t')");
	node_plainly(path, "ALTER TABLE t ADD COLUMN b DEFAULT 7");
	node_exec(&n[A], "SELECT * FROM t; BEGIN; INSERT INTO t VALUES('x', 1, -1); "
	    "SAVEPOINT s; SELECT count(*) FROM crsql_changes; ROLLBACK TO s; COMMIT");
	expect_told("'a'|1|1|1\n'b'|-1|1|1\n");
}

/* ... and one that was undone itself leaves no birthday to its successor. */
static void
column_undone_and_added_again(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); BEGIN; SAVEPOINT s; "
	    "INSERT INTO t VALUES(5, 1); ALTER TABLE t ADD COLUMN b; "
	    "SELECT count(*) FROM crsql_changes; ROLLBACK TO s; "
	    "ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES(4, 1, 2); COMMIT");
	expect_told("'a'|1|1|1\n'b'|2|1|1\n");
}

/* Without triggers no change of the schema says that a column has a number now. */
static void
column_numbered_by_another(void **state)
{
	node_exec(&n[A], "SELECT crsql_config_set('plain-writers', 0); "
	    "CREATE TABLE t(id TEXT PRIMARY KEY, a); SELECT crsql_as_crr('t'); "
	    "ALTER TABLE t ADD COLUMN b; SELECT * FROM crsql_changes");
	node_exec(&n[B], "INSERT INTO t VALUES('x', 1, 2)");
	node_exec(&n[A], "INSERT INTO t VALUES('y', 3, 4)");
	expect_told("'a'|1|1|1\n'b'|2|1|1\n'a'|3|1|1\n'b'|4|1|1\n");
}

/* A row whose last columns are dropped is told by its sentinel, where one of them
 * was merged, too. */
static void
last_column_dropped_after_a_merge(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1, 2); "
	    "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN b; "
	    "SELECT crsql_commit_alter('t')");
	assert_int_equal(node_change(&n[A], "t", "1", "a", "'z'", 2, 9, S1, 1, 0),
	    SQLITE_OK);
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN "
	    "a; SELECT crsql_commit_alter('t')");
	expect_told("'-1'|NULL|1|1\n");
}

/* ... and where all that the row was inserted with was forgotten: nothing but that
 * column told of it. */
static void
last_column_dropped_after_gc(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1), (2, 2), (3, 3); "
	    "UPDATE t SET a = a + 1 WHERE id < 3; UPDATE t SET a = a + 5; "
	    "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || x'03' AS BLOB)); "
	    "INSERT INTO t VALUES(4, 4); UPDATE t SET a = 9 WHERE id = 4; "
	    "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN a; "
	    "SELECT crsql_commit_alter('t')");
	expect_told("'-1'|NULL|1|1\n'-1'|NULL|1|1\n'-1'|NULL|1|1\n'-1'|NULL|1|1\n");
}

/* A renamed key is noted by crsql_fold: the table that a tool makes anew then is
 * the same. */
static void
renamed_key_and_a_rebuild(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1), (2, 2); "
	    "UPDATE t SET a = 3 WHERE id = 1; DELETE FROM t WHERE id = 2");
	node_plainly(path, "ALTER TABLE t RENAME COLUMN id TO key");
	node_expect(&n[A], "1\n", "SELECT crsql_schema_pending()");
	node_expect(&n[A], "", "SELECT \"table\", key, what FROM crsql_check");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
	node_plainly(path, "BEGIN; CREATE TABLE u(key INTEGER PRIMARY KEY, a); "
	    "INSERT INTO u SELECT * FROM t; DROP TABLE t; "
	    "ALTER TABLE u RENAME TO t; COMMIT");
	node_exec(&n[A], "SELECT crsql_fold()");
	expect_told("'a'|3|2|1\n'-1'|NULL|2|2\n");
}

/* Its old value is looked for where the index of its key lacks it already. */
static void
key_set_to_itself_after_add_column(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(oid, rowid TEXT PRIMARY KEY, _rowid_); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 'x', 2); "
	    "ALTER TABLE t ADD COLUMN b DEFAULT 7; "
	    "BEGIN; UPDATE t SET rowid = 'x'; COMMIT; UPDATE t SET rowid = 'x', b = 8");
	expect_told("'_rowid_'|2|1|1\n'b'|8|1|1\n'oid'|1|1|1\n");
}

/* A column that the triggers do not know yet may have changed with each update of
 * a row: the others are told as ever, by programs with the extension, too. */
static void
update_before_triggers_know(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a, b); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1, 2)");
	node_plainly(path, "ALTER TABLE t ADD COLUMN c; UPDATE t SET b = 3");
	expect_told("'a'|1|1|1\n'b'|3|2|1\n'c'|NULL|1|1\n");
	node_exec(&n[A], "SELECT crsql_config_set('capture', 'journal'); "
	    "ALTER TABLE t ADD COLUMN d; UPDATE t SET a = 2, d = 4");
	expect_told("'a'|2|2|1\n'b'|3|2|1\n'c'|NULL|1|1\n'd'|4|1|1\n");
}

/* ... where the table was renamed meanwhile, too. */
static void
update_of_a_renamed_table(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a, b); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1, 2)");
	node_plainly(path, "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME COLUMN a "
	    "TO c; ALTER TABLE u RENAME COLUMN b TO a; ALTER TABLE u ADD COLUMN b; "
	    "UPDATE u SET a = 3");
	expect_told("'a'|3|2|1\n'b'|NULL|1|1\n'c'|1|1|1\n");
}

/* ... and crsql_fold() is enough for them to know. */
static void
fold_tells_triggers(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1)");
	node_plainly(path, "ALTER TABLE t ADD COLUMN b");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_plainly(path, "UPDATE t SET a = 2");
	expect_told("'a'|2|2|1\n");
}

/* What a savepoint's alter renamed is not told once it is undone. */
static void
alter_undone_in_a_savepoint(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); SAVEPOINT s; SELECT crsql_begin_alter('t'); "
	    "ALTER TABLE t RENAME COLUMN a TO b; SELECT crsql_commit_alter('t'); "
	    "ROLLBACK TO s; COMMIT");
	node_expect(&n[A], "0\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES('x', 1); SAVEPOINT s; "
	    "SELECT crsql_begin_alter('t'); ALTER TABLE t RENAME COLUMN a TO b; "
	    "SELECT crsql_commit_alter('t'); ROLLBACK TO s; COMMIT");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
}

/* -- rowids ------------------------------------------------------------------- */

/* The journal tells of a row that moved: what is remembered of rows is taken
 * anew before triggers are made, or an alter looks at it. */
static void
journalled_move(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1)");
	node_plainly(path, "UPDATE t SET rowid = 9");
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); ALTER TABLE t ADD COLUMN b; "
	    "SELECT crsql_commit_alter('t')");
	node_plainly(path, "ALTER TABLE t ADD COLUMN c; UPDATE t SET rowid = 3");
	node_exec(&n[A], "SELECT count(*) FROM crsql_changes; "
	    "ALTER TABLE t RENAME TO u; INSERT INTO u(id) VALUES('y')");
	node_expect(&n[A], "0\n", "SELECT crsql_repair()");
}

/* A row of a run keeps its seq where it moves, though the table has more columns
 * by now. */
static void
move_after_add_column(void **state)
{
	char *before, *after;

	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); "
	    "INSERT INTO t VALUES('w', 0), ('x', 1), ('y', 2); "
	    "ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES('z', 1, 2)");
	before = node_rows(&n[A], "SELECT pk, cid, db_version, seq FROM "
	    "crsql_changes ORDER BY 1, 2");
	node_exec(&n[A], "UPDATE t SET rowid = 50 WHERE id = 'x'");
	after = node_rows(&n[A], "SELECT pk, cid, db_version, seq FROM "
	    "crsql_changes ORDER BY 1, 2");
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
}

/* What a transaction writes after rows were remembered in it is told by its own
 * version: a tool that makes the table anew has changed nothing. */
static void
remembered_within_a_transaction(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); BEGIN; INSERT INTO t VALUES(1, 1), (2, 1); "
	    "SELECT count(*) FROM crsql_changes; UPDATE t SET a = 2; COMMIT; "
	    "SELECT crsql_begin_alter('t'); "
	    "CREATE TABLE u(id INTEGER PRIMARY KEY, a); "
	    "INSERT INTO u SELECT * FROM t; DROP TABLE t; "
	    "ALTER TABLE u RENAME TO t; SELECT crsql_commit_alter('t')");
	expect_told("'a'|2|2|1\n'a'|2|2|1\n");
}

/* A row that is written again once its delete is forgotten has not moved, whatever
 * rowid it had before. */
static void
written_again_after_gc(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1), ('y', 1), "
	    "('z', 1); DELETE FROM t WHERE id < 'z'; "
	    "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || x'02' AS BLOB)); "
	    "INSERT INTO t(rowid, id, a) VALUES(-5, 'x', 2)");
	node_exec(&n[A], "VACUUM");
	node_exec(&n[A], "UPDATE t SET a = 3 WHERE id = 'x'");
	expect_told("'a'|3|2|1\n'a'|1|1|1\n");
}

/* A table made anew is the same one though rows in the midst of a run are forgotten,
 * where the key names the row. */
static void
made_anew_after_gc(void **state)
{
	static const char *const options[] = { "", " WITHOUT ROWID" };
	char *before, *after;
	size_t i;

	for (i = 0; i < 2; i++) {
		node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)%s; "
		    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1, 2), "
		    "(2, 1, 2), (3, 1, 2), (4, 1, 2), (5, 1, 2), (6, 1, 2), "
		    "(7, 1, 2), (8, 1, 2)", options[i]);
		node_exec(&n[A], "DELETE FROM t WHERE id IN (1, 3, 4, 6, 8); "
		    "UPDATE t SET a = 2 WHERE id = 5");
		before = node_rows(&n[A], "SELECT pk, cid, val, col_version, "
		    "db_version, seq FROM crsql_changes WHERE cl = 1");
		node_exec(&n[A], "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || "
		    "char(crsql_db_version()) AS BLOB))");
		node_exec(&n[A], "BEGIN; CREATE TABLE u(id INTEGER PRIMARY KEY, a, b)%s; "
		    "INSERT INTO u SELECT * FROM t; DROP TABLE t; "
		    "ALTER TABLE u RENAME TO t; COMMIT; SELECT crsql_fold()",
		    options[i]);
		after = node_rows(&n[A], "SELECT pk, cid, val, col_version, "
		    "db_version, seq FROM crsql_changes");
		assert_string_equal(before, after);
		sqlite3_free(before);
		sqlite3_free(after);
		node_well(&n[A]);
		node_exec(&n[A], "DROP TABLE t; SELECT crsql_fold()");
	}
}

/* A row that has none of the columns it was born with keeps its sentinel where it
 * gets another rowid with its table made anew: it was told to nobody. */
static void
row_without_columns_and_a_rebuild(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1); "
	    "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN a; "
	    "SELECT crsql_commit_alter('t'); ALTER TABLE t ADD COLUMN b; "
	    "INSERT INTO t VALUES('y', 2); SELECT crsql_begin_alter('t'); "
	    "CREATE TABLE u(id TEXT PRIMARY KEY, b); "
	    "INSERT INTO u SELECT * FROM t ORDER BY id DESC; DROP TABLE t; "
	    "ALTER TABLE u RENAME TO t; SELECT crsql_commit_alter('t')");
	expect_told("'-1'|NULL|1|1\n'b'|2|1|1\n");
}

/* So does a column its version 0, where another life came without it. */
static void
version_zero_and_a_rebuild(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1), ('y', 2)");
	assert_int_equal(node_change(&n[A], "t", "'x'", "-1", "NULL", 3, 9, S1, 3, 0),
	    SQLITE_OK);
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); "
	    "CREATE TABLE u(id TEXT PRIMARY KEY, a); "
	    "INSERT INTO u SELECT * FROM t ORDER BY id DESC; DROP TABLE t; "
	    "ALTER TABLE u RENAME TO t; SELECT crsql_commit_alter('t')");
	expect_told("'-1'|NULL|3|3\n'a'|1|0|3\n'a'|2|1|1\n");
}

/* -- folds in the midst of a statement ------------------------------------------- */

/* ... which clear the journal on their way, and go on being unseen by the hook. */
static void
journal_folded_within(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY); "
	    "SELECT crsql_as_crr('t'); SELECT crsql_config_set('fold-at', 2); "
	    "INSERT INTO t VALUES('a')");
	node_plainly(path, "INSERT INTO t(rowid, id) VALUES(100, 'b')");
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES('c'); INSERT INTO t "
	    "VALUES('d'); DELETE FROM t WHERE id = 'a'; COMMIT");
	expect_told("'-1'|NULL|2|2\n'-1'|NULL|1|1\n'-1'|NULL|1|1\n"
	    "'-1'|NULL|1|1\n");
}

/* A key that a REPLACE is about to take from its row is in no index. */
static void
replaced_key_folded_within(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(oid, rowid TEXT PRIMARY KEY, _rowid_); "
	    "SELECT crsql_as_crr('t'); SELECT crsql_config_set('fold-at', 2); "
	    "BEGIN; INSERT INTO t VALUES(1, 'a', 1), (2, 'b', 2), (3, 'c', 3), "
	    "(4, 'd', 4); UPDATE OR REPLACE t SET rowid = 'z'; DELETE FROM t; COMMIT");
	node_expect(&n[A], "8\n", "SELECT cl FROM crsql_changes WHERE pk = "
	    "crsql_pack_columns('z')");
}

/* -- settings --------------------------------------------------------------- */

static void
no_plain_writers_and_capture_by_journal(void **state)
{
	node_exec(&n[A], "SELECT crsql_config_set('plain-writers', 0); "
	    "CREATE TABLE t(id TEXT PRIMARY KEY, a); SELECT crsql_as_crr('t'); "
	    "SELECT crsql_config_set('capture', 'journal'); "
	    "INSERT INTO t VALUES('x', 1)");
	expect_told("'a'|1|1|1\n");
	node_exec(&n[A], "SELECT crsql_config_set('capture', 0); "
	    "UPDATE t SET a = 2");
	expect_told("'a'|2|2|1\n");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
	const struct CMUnitTest tests[] = {
		TEST(new_name_is_told_once),
		TEST(column_found_in_a_savepoint),
		TEST(column_undone_and_added_again),
		TEST(column_numbered_by_another),
		TEST(last_column_dropped_after_a_merge),
		TEST(last_column_dropped_after_gc),
		TEST(renamed_key_and_a_rebuild),
		TEST(key_set_to_itself_after_add_column),
		TEST(update_before_triggers_know),
		TEST(update_of_a_renamed_table),
		TEST(fold_tells_triggers),
		TEST(alter_undone_in_a_savepoint),
		TEST(journalled_move),
		TEST(move_after_add_column),
		TEST(remembered_within_a_transaction),
		TEST(written_again_after_gc),
		TEST(made_anew_after_gc),
		TEST(row_without_columns_and_a_rebuild),
		TEST(version_zero_and_a_rebuild),
		TEST(journal_folded_within),
		TEST(replaced_key_folded_within),
		TEST(no_plain_writers_and_capture_by_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

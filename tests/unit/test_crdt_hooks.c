// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_hooks.c - other users of the one preupdate hook that a connection has:
 * SQLite's session extension, and a program that sets one, before us or after.
 */
#define SQLITE_ENABLE_SESSION 1
#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crdt/crdt.h"

static struct group group = { .count = 2, .file = true,
	.sql = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);"
	    "CREATE TABLE i(id INTEGER PRIMARY KEY NOT NULL, a);"
	    "CREATE TABLE w(k1, k2, a, PRIMARY KEY(k1, k2)) WITHOUT ROWID;"
	    "SELECT crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('w')" };

#define ALL "SELECT 't', id, a, b FROM t UNION ALL SELECT 'i', id, a, NULL FROM i " \
	"UNION ALL SELECT 'w', k1, k2, a FROM w ORDER BY 1, 2, 3"

static const char *const writes[] = {
	"INSERT INTO t VALUES('p', 1, 1), ('q', 2, 2), ('r', 3, 3)",
	"INSERT INTO i VALUES(1, 'x'), (2, 'y'); INSERT INTO w VALUES(1, 2, 3), (4, 5, 6)",
	"UPDATE t SET a = a + 1; UPDATE w SET a = 'new' WHERE k1 = 1",
	"UPDATE t SET id = 'z' WHERE id = 'q'; UPDATE i SET id = 9 WHERE id = 1",
	"REPLACE INTO t VALUES('p', 7, 7); REPLACE INTO w VALUES(4, 5, 'again')",
	"DELETE FROM t WHERE id = 'r'; DELETE FROM w WHERE k1 = 1",
	("BEGIN; INSERT INTO t VALUES('r', 'back', 0); SAVEPOINT s; DELETE FROM t; "
	    "ROLLBACK TO s; COMMIT"),
};

/* Each as a transaction of its own, and B learns of it. */
static void
write_all(void)
{
	size_t i;

	for (i = 0; i < sizeof writes / sizeof *writes; i++) {
		node_exec(&n[A], "%s", writes[i]);
		meet(ALL);
	}
}

/* -- another hook ------------------------------------------------------------ */

static int called;

static void
other_hook(void *self, sqlite3 *db, int op, const char *schema, const char *name,
    sqlite3_int64 old_key, sqlite3_int64 key)
{
	called++;
}

static void
a_hook_that_was_taken_from_us_is_noticed(void **state)
{
	called = 0;
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	write_all();
	assert_true(called > 0);
	node_expect(&n[A], "'x'\n", "SELECT a FROM i WHERE id = 9");
}

static void
one_that_is_taken_between_two_writes_is_noticed(void **state)
{
	write_all();
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "DELETE FROM t; DELETE FROM i; DELETE FROM w");
	meet(ALL);
	write_all();
}

#define ONCE_MORE "another hook took the place of the one that notes writes, and what " \
	"a REPLACE replaced may be missed: triggers note them now, run the statement " \
	"once more"

/* A write whose hook was taken is noted, or is refused once. */
static void
write_first(const char *sql)
{
	if (node_try(&n[A], "%s", sql) == SQLITE_OK)
		return;
	assert_string_equal(sqlite3_errmsg(n[A].db), ONCE_MORE);
	assert_non_null(strstr(sql, "REPLACE"));
	node_exec(&n[A], "%s", sql);
}

/* Each kind of write may be the first of a connection. */
static void
begin_with_any_write(bool taken)
{
	static const char *const first[] = {
		"REPLACE INTO t VALUES('p', 'first', 1)", "REPLACE INTO i VALUES(2, 'first')",
		"INSERT OR REPLACE INTO t SELECT id, 'first', 1 FROM t",
		"INSERT INTO t VALUES('p', 1, 2) ON CONFLICT DO UPDATE SET a = 'first'",
		"REPLACE INTO w VALUES(4, 5, 'first')", "UPDATE t SET a = 'first'",
		"UPDATE OR REPLACE t SET id = 'p' WHERE id = 'r'",
		"UPDATE OR REPLACE i SET id = 2 WHERE id = 9", "DELETE FROM t WHERE id = 'p'",
		("BEGIN; UPDATE t SET a = 1 WHERE id = 'p'; SAVEPOINT s; DELETE FROM i; "
		    "ROLLBACK TO s; UPDATE t SET b = 7 WHERE id = 'p'; COMMIT") };
	char path[NODE_FILE];
	size_t i;

	for (i = 0; i < sizeof first / sizeof *first; i++) {
		group_close();
		group_open(&group);
		write_all();
		snprintf(path, sizeof path, "%s", sqlite3_db_filename(n[A].db, "main"));
		plainly("UPDATE t SET b = 'plain'");
		node_close(&n[A]);
		node_open(&n[A], A, path);
		if (taken)
			sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
		write_first(first[i]);
		meet(ALL);
		node_exec(&n[A], "DELETE FROM t; DELETE FROM i; DELETE FROM w");
		write_all();
	}
}

static void
any_write_may_be_the_first(void **state)
{
	begin_with_any_write(true);
}

static void
so_where_the_hook_is_ours(void **state)
{
	begin_with_any_write(false);
}

/* Where nothing is taken, what IGNORE passes over is no sign of it. */
static void
rows_that_are_passed_over_are_no_sign(void **state)
{
	int i;

	write_all();
	for (i = 0; i < 3; i++)
		node_exec(&n[A], "INSERT OR IGNORE INTO t SELECT id, 'never', 'never' "
		    "FROM t; UPDATE OR IGNORE t SET id = 'p'; BEGIN; INSERT INTO i "
		    "VALUES(%d, 'z'); INSERT OR IGNORE INTO t SELECT id, 'never', "
		    "'never' FROM t; COMMIT", i + 100);
	node_expect(&n[A], "0\n", "SELECT crsql_pending()");
	node_expect(&n[A], "0\n", "SELECT crsql_config_get('capture')");
	meet(ALL);
}

/* What was written before, in the same transaction, is no sign that the hook is ours
 * still: nothing was told of it by a trigger, or it was undone, or is no row. */
static void
nothing_stale_is_a_sign(void **state)
{
	static const char *const before[] = {
		"DELETE FROM t WHERE id = 'z'", "INSERT INTO plain VALUES(1)",
		"UPDATE t SET a = 5; UPDATE t SET a = 6", "DELETE FROM i",
		"SAVEPOINT s; UPDATE t SET a = 5; ROLLBACK TO s; RELEASE s",
		"INSERT OR IGNORE INTO plain VALUES(1), (2)",
		("SELECT crsql_internal_sync_bit(1); INSERT INTO plain VALUES(3); "
		    "SELECT crsql_internal_sync_bit(0)") };
	static const char *const behind[] = {
		"DELETE FROM t WHERE id = 'p'", "INSERT INTO t VALUES('new', 1, 1)",
		"UPDATE t SET b = 'behind'", "UPDATE t SET id = 'other' WHERE id = 'p'" };
	size_t i, k;
	int open;

	for (i = 0; i < sizeof before / sizeof *before; i++)
		for (k = 0; k < 4 * 2; k++) {
			open = k / 4;
			print_message("# %s; %s, %d\n", before[i], behind[k % 4], open);
			group_close();
			group_open(&group);
			node_exec(&n[A], "CREATE TABLE plain(x UNIQUE)");
			write_all();
			node_exec(&n[A], "%s; %s", open ? "BEGIN" : "SELECT 1", before[i]);
			/* this one fails, half way */
			assert_int_not_equal(node_try(&n[A], "INSERT INTO t SELECT "
			    "'many' || value, 1, 1 FROM json_each('[1, 2, 1]')"), SQLITE_OK);
			sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
			node_exec(&n[A], "%s; %s", behind[k % 4], open ? "COMMIT" : "SELECT 1");
			meet(ALL);
		}
}

static void
a_blob_handle_is_no_sign(void **state)
{
	sqlite3_blob *blob;

	node_exec(&n[A], "INSERT INTO i VALUES(1, x'0000'), (2, 2); BEGIN; UPDATE i SET a = 3 "
	    "WHERE id = 2");
	assert_int_equal(sqlite3_blob_open(n[A].db, "main", "i", "a", 1, 1, &blob), SQLITE_OK);
	assert_int_equal(sqlite3_blob_write(blob, "x", 1, 0), SQLITE_OK);
	sqlite3_blob_close(blob);
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "UPDATE i SET a = 4 WHERE id = 2; COMMIT");
	meet(ALL);
}

/* Triggers that are younger than ours, and write, come before them. */
static void
others_triggers_are_no_sign(void **state)
{
	node_exec(&n[A], "CREATE TABLE audit(x); CREATE TRIGGER younger AFTER INSERT ON t BEGIN "
	    "INSERT INTO audit VALUES(new.id); INSERT INTO audit SELECT x FROM audit; END; "
	    "CREATE TRIGGER upd AFTER UPDATE ON t BEGIN UPDATE i SET a = new.a; END");
	write_all();
	node_expect(&n[A], "0\n", "SELECT crsql_pending()");
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "DELETE FROM t; DELETE FROM i; DELETE FROM w");
	meet(ALL);
	write_all();
}

/* An earlier build's triggers know char() alone; what they noted is read as it was
 * meant, and they are made anew. */
static void
triggers_of_earlier_builds_are_made_anew(void **state)
{
	write_all();
	plainly("PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, "
	    "'printf() IS NULL AND ', '') WHERE type = 'trigger'; CREATE TABLE x(y); DROP "
	    "TABLE x");
	plainly("INSERT INTO t VALUES('old', 1, 1); UPDATE t SET a = 'A' WHERE id = 'p'");
	node_exec(&n[B], "UPDATE t SET b = 'B' WHERE id = 'p'");
	node_exec(&n[A], "UPDATE i SET a = 'fold'");
	node_expect(&n[A], "4\n", "SELECT count(*) FROM sqlite_schema WHERE tbl_name = 't' AND "
	    "type = 'trigger' AND instr(sql, 'WHEN printf() IS NULL AND char()=')");
	meet(ALL);
	node_expect(&n[A], "'A'|'B'\n", "SELECT a, b FROM t WHERE id = 'p'");
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "DELETE FROM t");
	meet(ALL);
}

/* -- in bulk ------------------------------------------------------------------- */

static void
insert_many(int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		node_exec(&n[A], "INSERT INTO t VALUES('%05d', %d, 0)", i, i);
}

static void
one_that_is_taken_in_bulk_fails_the_commit(void **state)
{
	node_exec(&n[A], "BEGIN");
	insert_many(0, 200);
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	insert_many(200, 300);
	assert_int_equal(node_try(&n[A], "COMMIT"), SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[A].db), "another hook took the place of the "
	    "one that notes writes, in the midst of a transaction of many statements: "
	    "begin that anew, or set bulk to 0 (crsql_config_set)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM t");
	node_exec(&n[A], "BEGIN");
	insert_many(0, 300);
	node_exec(&n[A], "COMMIT");
	meet(ALL);
	node_expect(&n[B], "300\n", "SELECT count(*) FROM t");
}

static void
so_where_the_schema_ends_it(void **state)
{
	node_exec(&n[A], "BEGIN");
	insert_many(0, 200);
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	insert_many(200, 210);
	node_exec(&n[A], "CREATE TABLE late(x)");
	/* triggers are back, and ask */
	node_try(&n[A], "INSERT INTO t VALUES('x', 1, 1)");
	assert_int_not_equal(node_try(&n[A], "COMMIT"), SQLITE_OK);
	if (!sqlite3_get_autocommit(n[A].db))
		node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM t");
	write_all();
}

static void
one_that_was_taken_before_is_no_matter(void **state)
{
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "BEGIN");
	insert_many(0, 300);
	node_exec(&n[A], "COMMIT");
	meet(ALL);
	node_expect(&n[B], "300\n", "SELECT count(*) FROM t");
}

/* -- where no trigger asks ------------------------------------------------------- */

/* Triggers are off a table while it is altered: what another hook hid from ours is
 * not committed. */
static void
one_that_is_taken_while_a_table_is_altered(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES('p', 1, 1); SELECT crsql_begin_alter('t')");
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	node_exec(&n[A], "INSERT INTO t VALUES('q', 2, 2); UPDATE t SET a = 3");
	assert_int_equal(node_try(&n[A], "SELECT crsql_commit_alter('t')"), SQLITE_ERROR);
	assert_int_equal(node_try(&n[A], "COMMIT"), SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[A].db), "another hook took the place of the "
	    "one that notes writes, in the midst of a change of a table: roll back, and "
	    "begin that anew");
	node_expect(&n[A], "1|1\n", "SELECT count(*), a FROM t");
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); INSERT INTO t VALUES('q', 2, 2); "
	    "UPDATE t SET a = 3; SELECT crsql_commit_alter('t')");
	node_well(&n[A]);
	meet(ALL);
	node_expect(&n[B], "2|3\n", "SELECT count(*), a FROM t");
}

/* -- sessions ------------------------------------------------------------------ */

static sqlite3_session *
begin_session(sqlite3 *db)
{
	sqlite3_session *session;

	assert_int_equal(sqlite3session_create(db, "main", &session), SQLITE_OK);
	assert_int_equal(sqlite3session_attach(session, "t"), SQLITE_OK);
	return session;
}

/* It saw what write_all wrote. */
static void
end_session(sqlite3_session *session)
{
	sqlite3_changeset_iter *iter;
	void *changes;
	int len, rows = 0;

	assert_int_equal(sqlite3session_changeset(session, &len, &changes), SQLITE_OK);
	assert_int_equal(sqlite3changeset_start(&iter, len, changes), SQLITE_OK);
	while (sqlite3changeset_next(iter) == SQLITE_ROW)
		rows++;
	/* p, z and r, each inserted at last */
	assert_int_equal(rows, 3);
	sqlite3changeset_finalize(iter);
	sqlite3_free(changes);
	sqlite3session_delete(session);
}

static void
sessions_and_we_both_see_all(void **state)
{
	sqlite3_session *session;

	node_exec(&n[A], "SELECT crsql_config_set('capture', 'journal')");
	session = begin_session(n[A].db);
	write_all();
	end_session(session);
	node_exec(&n[A], "UPDATE t SET b = 'without'");
	meet(ALL);
}

/* Nothing is set for them. */
static void
so_where_one_comes_later(void **state)
{
	sqlite3_session *session = begin_session(n[A].db), *second;

	write_all();
	second = begin_session(n[A].db);
	node_exec(&n[A], "UPDATE t SET b = 'two of them'");
	meet(ALL);
	sqlite3session_delete(second);
	end_session(session);
	node_exec(&n[A], "UPDATE t SET b = 'without'; DELETE FROM t WHERE id = 'p'");
	meet(ALL);
	session = begin_session(n[A].db);
	node_exec(&n[A], "UPDATE t SET b = 'with one'");
	sqlite3session_delete(session);
	meet(ALL);
}

static void
so_where_one_was_there_before(void **state)
{
	char path[NODE_FILE], *why = NULL;
	sqlite3_session *session;

	snprintf(path, sizeof path, "%s", sqlite3_db_filename(n[A].db, "main"));
	sqlite3_close(n[A].db);
	assert_int_equal(sqlite3_open(path, &n[A].db), SQLITE_OK);
	session = begin_session(n[A].db);
	assert_int_equal(crdt_load(n[A].db, &why), SQLITE_OK);
	write_all();
	node_exec(&n[A], "SELECT crsql_config_set('capture', 0)");
	node_exec(&n[A], "UPDATE t SET b = 'journalled still'");
	meet(ALL);
	end_session(session);
	node_exec(&n[A], "UPDATE t SET b = 'without'; DELETE FROM t WHERE id = 'p'");
	meet(ALL);
}

/* So where another hook was there before. */
static void
nor_is_another_hook_replaced(void **state)
{
	char path[NODE_FILE], *why = NULL;

	snprintf(path, sizeof path, "%s", sqlite3_db_filename(n[A].db, "main"));
	sqlite3_close(n[A].db);
	assert_int_equal(sqlite3_open(path, &n[A].db), SQLITE_OK);
	sqlite3_preupdate_hook(n[A].db, other_hook, NULL);
	assert_int_equal(crdt_load(n[A].db, &why), SQLITE_OK);
	called = 0;
	write_all();
	assert_true(called > 0);
}

/* -- settings that make SQLite trust less ---------------------------------------- */

static void
distrust(sqlite3 *db)
{
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0,
	    NULL), SQLITE_OK);
}

static void
schemas_need_not_be_trusted(void **state)
{
	sqlite3 *db;
	size_t i;

	distrust(n[A].db);
	distrust(n[B].db);
	write_all();
	node_exec(&n[A], "DELETE FROM t; DELETE FROM i; DELETE FROM w; CREATE TABLE "
	    "late(id PRIMARY KEY NOT NULL); SELECT crsql_as_crr('late')");
	meet(ALL);
	assert_int_equal(sqlite3_open(sqlite3_db_filename(n[A].db, "main"), &db),
	    SQLITE_OK);
	distrust(db);
	for (i = 0; i < sizeof writes / sizeof *writes; i++) {
		assert_int_equal(sqlite3_exec(db, writes[i], NULL, NULL, NULL),
		    SQLITE_OK);
		meet(ALL);
	}
	sqlite3_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(a_hook_that_was_taken_from_us_is_noticed, group),
		GROUP_TEST(one_that_is_taken_between_two_writes_is_noticed, group),
		GROUP_TEST(any_write_may_be_the_first, group),
		GROUP_TEST(so_where_the_hook_is_ours, group),
		GROUP_TEST(rows_that_are_passed_over_are_no_sign, group),
		GROUP_TEST(nothing_stale_is_a_sign, group),
		GROUP_TEST(a_blob_handle_is_no_sign, group),
		GROUP_TEST(others_triggers_are_no_sign, group),
		GROUP_TEST(triggers_of_earlier_builds_are_made_anew, group),
		GROUP_TEST(one_that_is_taken_in_bulk_fails_the_commit, group),
		GROUP_TEST(so_where_the_schema_ends_it, group),
		GROUP_TEST(one_that_was_taken_before_is_no_matter, group),
		GROUP_TEST(one_that_is_taken_while_a_table_is_altered, group),
		GROUP_TEST(sessions_and_we_both_see_all, group),
		GROUP_TEST(so_where_one_comes_later, group),
		GROUP_TEST(so_where_one_was_there_before, group),
		GROUP_TEST(nor_is_another_hook_replaced, group),
		GROUP_TEST(schemas_need_not_be_trusted, group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

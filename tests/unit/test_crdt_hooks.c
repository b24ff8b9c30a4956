// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_hooks.c - other users of the one preupdate hook that a connection has:
 * SQLite's session extension, and a program that takes it after us.
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
		node_exec(&n[A], "%s", first[i]);
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

/* -- sessions ------------------------------------------------------------------ */

static void
sessions_and_we_both_see_all(void **state)
{
	sqlite3_session *session;
	sqlite3_changeset_iter *iter;
	void *changes;
	int len, rows = 0;

	node_exec(&n[A], "SELECT crsql_config_set('capture', 'journal')");
	assert_int_equal(sqlite3session_create(n[A].db, "main", &session), SQLITE_OK);
	assert_int_equal(sqlite3session_attach(session, "t"), SQLITE_OK);
	write_all();
	assert_int_equal(sqlite3session_changeset(session, &len, &changes), SQLITE_OK);
	assert_int_equal(sqlite3changeset_start(&iter, len, changes), SQLITE_OK);
	while (sqlite3changeset_next(iter) == SQLITE_ROW)
		rows++;
	/* p, z and r, each inserted at last */
	assert_int_equal(rows, 3);
	sqlite3changeset_finalize(iter);
	sqlite3_free(changes);
	sqlite3session_delete(session);
	node_exec(&n[A], "UPDATE t SET b = 'without'");
	meet(ALL);
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
		GROUP_TEST(sessions_and_we_both_see_all, group),
		GROUP_TEST(schemas_need_not_be_trusted, group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_bulk.c - from the 65th statement of a transaction on triggers are
 * off, and nobody may notice: what is captured is the same, triggers of the
 * user's run, and the connection is as before afterwards.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct node n;

static int
open_node(void **state)
{
	node_open(&n, 0, NULL);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('t'); CREATE TABLE log(what)");
	return 0;
}

static int
close_node(void **state)
{
	node_close(&n);
	return 0;
}

static bool
triggers_on(void)
{
	int on = -1;

	assert_int_equal(sqlite3_db_config(n.db,
	    SQLITE_DBCONFIG_ENABLE_TRIGGER, -1, &on), SQLITE_OK);
	return on == 1;
}

/* That many statements, from row number `from` on. */
static void
insert(int from, int count)
{
	int i;

	for (i = from; i < from + count; i++)
		node_exec(&n, "INSERT INTO t VALUES('%04d', %d)", i, i);
}

/* A transaction that is in bulk mode. */
static void
begin_bulk(void)
{
	node_exec(&n, "BEGIN");
	insert(0, 100);
	assert_false(triggers_on());
}

static void
triggers_are_off_for_the_rest_of_a_long_transaction(void **state)
{
	node_exec(&n, "BEGIN");
	insert(0, 63);
	assert_true(triggers_on());
	insert(63, 40);
	assert_false(triggers_on());
	node_exec(&n, "COMMIT");
	assert_true(triggers_on());
	insert(200, 100);               /* each a transaction of its own */
	assert_true(triggers_on());
	node_expect(&n, "203\n", "SELECT count(*) FROM crsql_changes");
	node_expect(&n, "0\n", "SELECT count(*) FROM crsql_j");
	node_exec(&n, "BEGIN");
	insert(400, 100);
	assert_false(triggers_on());
	node_exec(&n, "ROLLBACK");
	assert_true(triggers_on());
}

/* What is captured is what is captured without it. */
static void
changes_are_the_same(void **state)
{
	struct node other;
	int k, i;

	node_open(&other, 1, NULL);
	node_exec(&other, "CREATE TABLE t(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('t'); SELECT crsql_config_set('bulk', 0)");
	for (k = 0; k < 2; k++) {
		struct node *to = k == 0 ? &n : &other;

		node_exec(to, "BEGIN");
		for (i = 0; i < 300; i++) {
			node_exec(to, "INSERT INTO t VALUES(%d, %d)", i, i);
			if (i % 50 == 49)
				node_exec(to, "SAVEPOINT s; DELETE FROM t WHERE "
				    "id %% 3 = 0; INSERT OR REPLACE INTO t "
				    "VALUES(1, 'r'); ROLLBACK TO s; UPDATE t SET "
				    "x = x + 1 WHERE id %% 5 = 0; UPDATE t SET "
				    "id = 'k' || id WHERE id = %d; RELEASE s", i);
			if (i % 7 == 0)
				assert_int_equal(node_try(to, "INSERT INTO t "
				    "SELECT x + 1000, 1 FROM t WHERE x > %d "
				    "UNION ALL SELECT id, 2 FROM t", i - 3),
				    SQLITE_CONSTRAINT);
			if (i % 11 == 0)
				node_exec(to, "REPLACE INTO t VALUES(%d, 'again'); "
				    "DELETE FROM t WHERE id = %d", i, i - 1);
		}
		node_exec(to, "COMMIT");
	}
	nodes_agree(&n, &other, "SELECT \"table\", pk, cid, val, col_version, "
	    "db_version, cl, seq FROM crsql_changes");
	node_close(&other);
}

static void
a_trigger_of_the_user_keeps_triggers_on(void **state)
{
	static const char *const trigger[][2] = {
		{ "CREATE TRIGGER mine AFTER INSERT ON t BEGIN "
		    "INSERT INTO log VALUES(new.id); END", "DROP TRIGGER mine" },
		{ "CREATE TRIGGER mine AFTER INSERT ON log BEGIN SELECT 1; END",
		    "DROP TRIGGER mine" },
		{ "CREATE TEMP TABLE p(x); CREATE TEMP TRIGGER mine AFTER INSERT "
		    "ON p BEGIN SELECT 1; END", "DROP TABLE p" },
		{ "CREATE VIEW v AS SELECT * FROM t; CREATE TRIGGER mine "
		    "INSTEAD OF INSERT ON v BEGIN INSERT INTO log VALUES(1); END",
		    "DROP VIEW v" },
		{ "ATTACH ':memory:' AS z; CREATE TABLE z.p(x); CREATE TRIGGER "
		    "z.mine AFTER INSERT ON p BEGIN SELECT 1; END", "DETACH z" },
	};
	size_t i;

	for (i = 0; i < sizeof trigger / sizeof *trigger; i++) {
		node_exec(&n, "%s; BEGIN", trigger[i][0]);
		insert(1000 * (int)i, 200);
		assert_true(triggers_on());
		node_exec(&n, "COMMIT; %s", trigger[i][1]);
		node_exec(&n, "BEGIN");
		insert(1000 * (int)i + 300, 200);
		assert_false(triggers_on());
		node_exec(&n, "COMMIT");
	}
	node_expect(&n, "200\n", "SELECT count(*) FROM log");
}

/* What comes with a table or view of its own has the schema looked at. */
static void
a_migration_in_a_long_transaction(void **state)
{
	begin_bulk();
	node_exec(&n, "CREATE TABLE u(x); CREATE TRIGGER mine AFTER INSERT ON u "
	    "BEGIN INSERT INTO log VALUES(new.x); END; INSERT INTO u VALUES(1); "
	    "CREATE VIEW v AS SELECT * FROM u; CREATE TRIGGER through INSTEAD OF "
	    "INSERT ON v BEGIN INSERT INTO u VALUES(new.x); END; "
	    "INSERT INTO v VALUES(2)");
	assert_true(triggers_on());
	insert(500, 100);
	assert_true(triggers_on());
	node_exec(&n, "COMMIT");
	node_expect(&n, "1\n2\n", "SELECT what FROM log");
	node_expect(&n, "200\n", "SELECT count(*) FROM crsql_changes");
}

static void
temp_tables_made_meanwhile(void **state)
{
	begin_bulk();
	node_exec(&n, "CREATE TEMP TABLE p(x); CREATE TEMP TRIGGER mine AFTER "
	    "INSERT ON p BEGIN INSERT INTO log VALUES(new.x); END; "
	    "INSERT INTO p VALUES(7); COMMIT");
	node_expect(&n, "7\n", "SELECT what FROM log");
}

static void
a_trigger_that_may_be_missed_fails_the_commit(void **state)
{
	static const char make[] = "CREATE TRIGGER mine AFTER INSERT ON %s BEGIN "
	    "INSERT INTO log VALUES(new.id); END";

	begin_bulk();
	node_exec(&n, make, "t");
	insert(500, 1);
	assert_int_equal(node_try(&n, "COMMIT"), SQLITE_ERROR);
	assert_non_null(strstr(sqlite3_errmsg(n.db), "trigger on t"));
	assert_true(sqlite3_get_autocommit(n.db));
	assert_true(triggers_on());
	node_expect(&n, "0\n0\n", "SELECT count(*) FROM t UNION ALL "
	    "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'");
	/* In a transaction of its own. */
	node_exec(&n, make, "t");
	node_exec(&n, "BEGIN");
	insert(0, 100);
	node_exec(&n, "COMMIT");
	node_expect(&n, "100\n", "SELECT count(*) FROM log");
}

/* On a table that the transaction does not write meanwhile. */
static void
a_trigger_that_is_not_missed_does_not(void **state)
{
	node_exec(&n, "CREATE TABLE u(id)");
	begin_bulk();
	node_exec(&n, "CREATE TRIGGER mine AFTER INSERT ON u BEGIN "
	    "INSERT INTO log VALUES(new.id); END; COMMIT; "
	    "INSERT INTO u VALUES(3)");
	node_expect(&n, "3\n", "SELECT what FROM log");
	node_exec(&n, "DROP TRIGGER mine; DELETE FROM t");
	begin_bulk();
	node_exec(&n, "CREATE TRIGGER mine AFTER INSERT ON u BEGIN "
	    "INSERT INTO log VALUES(new.id); END; INSERT INTO u VALUES(4)");
	assert_int_equal(node_try(&n, "COMMIT"), SQLITE_ERROR);
}

static void
an_attached_database_with_triggers(void **state)
{
	char path[NODE_FILE];

	node_file(path);
	node_plainly(path, "CREATE TABLE p(x); CREATE TABLE q(x); CREATE TRIGGER "
	    "mine AFTER INSERT ON p BEGIN INSERT INTO q VALUES(new.x); END");
	begin_bulk();
	node_exec(&n, "ATTACH '%s' AS z; INSERT INTO z.p VALUES(1)", path);
	assert_int_equal(node_try(&n, "COMMIT"), SQLITE_ERROR);
	node_exec(&n, "INSERT INTO z.p VALUES(2)");
	node_expect(&n, "2\n", "SELECT x FROM z.q");
	unlink(path);
}

/* A reader that runs is not disturbed, neither at the beginning ... */
static void
a_reader_from_before(void **state)
{
	sqlite3_stmt *reader;
	int rows = 1;

	insert(0, 10);
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT id, (SELECT count(*) "
	    "FROM log) FROM t UNION ALL SELECT what, 1 FROM log", -1, &reader,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(reader), SQLITE_ROW);
	node_exec(&n, "BEGIN; INSERT INTO log VALUES('x')");
	insert(100, 200);
	assert_true(triggers_on());
	while (sqlite3_step(reader) == SQLITE_ROW)
		rows++;
	assert_int_equal(sqlite3_finalize(reader), SQLITE_OK);
	assert_in_range(rows, 11, 211);
	node_exec(&n, "COMMIT");
}

/* ... nor at the end, where triggers then come back with the next one. */
static void
a_reader_from_within(void **state)
{
	sqlite3_stmt *reader;
	int rows = 1;

	node_exec(&n, "INSERT INTO log VALUES('x')");
	begin_bulk();
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT id FROM t UNION ALL "
	    "SELECT what FROM log", -1, &reader, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(reader), SQLITE_ROW);
	node_exec(&n, "COMMIT");
	assert_false(triggers_on());
	while (sqlite3_step(reader) == SQLITE_ROW)
		rows++;
	assert_int_equal(rows, 101);
	assert_int_equal(sqlite3_finalize(reader), SQLITE_OK);
	insert(300, 1);
	assert_true(triggers_on());
	node_expect(&n, "101\n", "SELECT count(*) FROM crsql_changes");
}

/* As long as they are off for a reader's sake a trigger is not passed over. */
static void
a_trigger_made_while_a_reader_runs(void **state)
{
	sqlite3_stmt *reader;

	begin_bulk();
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT id FROM t", -1, &reader,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(reader), SQLITE_ROW);
	node_exec(&n, "COMMIT; CREATE TRIGGER mine AFTER INSERT ON t BEGIN "
	    "INSERT INTO log VALUES(new.id); END");
	assert_int_equal(node_try(&n, "INSERT INTO t VALUES('a', 1)"),
	    SQLITE_ERROR);
	node_exec(&n, "INSERT INTO t VALUES('b', 1)");
	node_expect(&n, "'b'\n", "SELECT what FROM log");
	sqlite3_finalize(reader);
}

/* ... of a table that is not replicated, neither. */
static void
a_trigger_of_a_plain_table_made_while_a_reader_runs(void **state)
{
	sqlite3_stmt *reader;

	node_exec(&n, "CREATE TABLE other(x)");
	begin_bulk();
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT id FROM t", -1, &reader,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(reader), SQLITE_ROW);
	node_exec(&n, "COMMIT; CREATE TRIGGER mine AFTER INSERT ON other BEGIN "
	    "INSERT INTO log VALUES(new.x); END");
	assert_int_equal(node_try(&n, "INSERT INTO other VALUES('a')"),
	    SQLITE_ERROR);
	node_exec(&n, "INSERT INTO other VALUES('b')");
	node_expect(&n, "'b'\n", "SELECT what FROM log");
	node_expect(&n, "'b'\n", "SELECT x FROM other");
	sqlite3_finalize(reader);
}

static void
other_ways_to_capture_want_triggers(void **state)
{
	begin_bulk();
	node_exec(&n, "SELECT crsql_config_set('capture', 'journal')");
	assert_true(triggers_on());
	insert(500, 100);
	node_exec(&n, "COMMIT");
	node_expect(&n, "200\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n, "SELECT crsql_config_set('capture', 0); BEGIN");
	insert(1000, 100);
	assert_false(triggers_on());
	node_exec(&n, "SELECT crsql_finalize()");
	assert_true(triggers_on());
	insert(2000, 1);
	node_exec(&n, "COMMIT; INSERT INTO t VALUES('late', 1)");
	node_expect(&n, "1\n", "SELECT count(*) FROM crsql_j");
}

static void
settings_are_honoured(void **state)
{
	int on = 1;

	node_exec(&n, "SELECT crsql_config_set('bulk', 0); BEGIN");
	insert(0, 200);
	assert_true(triggers_on());
	node_exec(&n, "COMMIT; SELECT crsql_config_set('bulk', 1)");
	/* Who switched them off himself finds them off. */
	sqlite3_db_config(n.db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &on);
	node_exec(&n, "BEGIN");
	insert(300, 200);
	node_exec(&n, "COMMIT");
	assert_false(triggers_on());
}

/* A merge inside a long transaction, and the other way round. */
static void
merges_in_a_long_transaction(void **state)
{
	int i;

	begin_bulk();
	for (i = 0; i < 100; i++)
		assert_int_equal(node_change(&n, "t", "'m' || 1", "x", "5", 1 + i,
		    7, S1, 1, i), SQLITE_OK);
	assert_false(triggers_on());
	node_exec(&n, "COMMIT");
	assert_true(triggers_on());
	node_expect(&n, "101|100\n", "SELECT count(*), max(col_version) "
	    "FROM crsql_changes");
	node_exec(&n, "BEGIN");
	for (i = 0; i < 200; i++)
		assert_int_equal(node_change(&n, "t", "'k' || 1", "x", "5", 1 + i,
		    9, S1, 1, i), SQLITE_OK);
	insert(700, 10);
	node_exec(&n, "COMMIT");
	assert_true(triggers_on());
	node_expect(&n, "112\n", "SELECT count(*) FROM crsql_changes");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_node, close_node)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(triggers_are_off_for_the_rest_of_a_long_transaction),
		TEST(changes_are_the_same),
		TEST(a_trigger_of_the_user_keeps_triggers_on),
		TEST(a_migration_in_a_long_transaction),
		TEST(temp_tables_made_meanwhile),
		TEST(a_trigger_that_may_be_missed_fails_the_commit),
		TEST(a_trigger_that_is_not_missed_does_not),
		TEST(an_attached_database_with_triggers),
		TEST(a_reader_from_before),
		TEST(a_reader_from_within),
		TEST(a_trigger_made_while_a_reader_runs),
		TEST(a_trigger_of_a_plain_table_made_while_a_reader_runs),
		TEST(other_ways_to_capture_want_triggers),
		TEST(settings_are_honoured),
		TEST(merges_in_a_long_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_batch.c - what the engine does for many rows at a time, or remembers
 * so as not to ask again: it is to come out as if it did not.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A, B, COUNT };

static struct node n[COUNT];

static const char schema[] = "CREATE TABLE t(id PRIMARY KEY NOT NULL, x, y); "
    "CREATE TABLE i(id INTEGER PRIMARY KEY NOT NULL, x, y); "
    "SELECT crsql_as_crr('t'), crsql_as_crr('i'); CREATE TABLE log(what)";

static int
open_nodes(void **state)
{
	nodes_open(n, COUNT, schema);
	return 0;
}

static int
close_nodes(void **state)
{
	nodes_close(n, COUNT);
	return 0;
}

static void
meet(void)
{
	const struct mishap plain = { .max_bytes = 1000 };

	assert_true(node_pull(&n[B], &n[A], &plain));
	nodes_agree(&n[A], &n[B], "SELECT * FROM t ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT * FROM i ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, col_version, cl "
	    "FROM crsql_changes ORDER BY 1, 2, 3");
	node_well(&n[A]);
	node_well(&n[B]);
}

/* -- more rows than fit into one statement -------------------------------------- */

#define NUMBERS "WITH RECURSIVE k(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM k " \
	"WHERE v < 1500) "

static void
fill(void)
{
	node_exec(&n[A], "INSERT INTO t " NUMBERS "SELECT 'k' || (v * 7919 %% 1500), v, "
	    "0 FROM k; INSERT INTO i " NUMBERS "SELECT v, v, 0 FROM k");
	meet();
}

static void
many_rows_in_one_transaction(void **state)
{
	fill();
	node_exec(&n[A], "BEGIN; UPDATE t SET x = x + 1 WHERE x %% 3 = 0; "
	    "UPDATE i SET y = 7; DELETE FROM t WHERE x %% 2 = 0; "
	    "UPDATE i SET x = 0 WHERE id %% 2 = 1; DELETE FROM i WHERE id %% 3 = 0; "
	    "UPDATE t SET x = 5, y = 6; COMMIT");
	meet();
	/* with tombstones and clocks there already */
	node_exec(&n[A], "BEGIN; INSERT OR IGNORE INTO t " NUMBERS "SELECT 'k' || v, "
	    "v, 1 FROM k; DELETE FROM t WHERE x %% 5 = 1; UPDATE i SET x = id; "
	    "DELETE FROM i WHERE id %% 5 = 1; COMMIT");
	meet();
	node_exec(&n[A], "DELETE FROM t; DELETE FROM i");
	meet();
	fill();
}

/* The same rows again and again: what was superseded leaves the log. */
static void
the_same_rows_again(void **state)
{
	int k;

	fill();
	node_exec(&n[A], "BEGIN");
	for (k = 0; k < 700; k++)
		node_exec(&n[A], "UPDATE i SET x = x + 1 WHERE id = %d; "
		    "UPDATE t SET y = y + 1 WHERE id = 'k%d'", k % 40 + 1, k % 30);
	node_exec(&n[A], "COMMIT");
	meet();
	node_expect(&n[A], "70\n", "SELECT count(*) FROM crsql_log WHERE n IS NULL");
}

static void
many_rows_replaced(void **state)
{
	int k;

	fill();
	node_exec(&n[A], "BEGIN; REPLACE INTO t SELECT id, x, 5 FROM t; REPLACE INTO "
	    "i SELECT id, 3, 3 FROM i WHERE id < 700; COMMIT");
	meet();
	node_exec(&n[A], "UPDATE i SET y = 4 WHERE id < 900; BEGIN");
	/* each several times, near each other and far */
	for (k = 0; k < 600; k++)
		node_exec(&n[A], "REPLACE INTO t VALUES('k%d', %d, 1); "
		    "REPLACE INTO t VALUES('k%d', %d, 2)", k % 290, k, k % 7, k);
	for (k = 0; k < 600; k++)
		node_exec(&n[A], "REPLACE INTO i VALUES(%d, %d, 1); "
		    "REPLACE INTO i VALUES(%d, %d, 2)", k % 290 + 1, k, k % 7 + 1, k);
	node_exec(&n[A], "COMMIT");
	meet();
	/* versions as if one came after the other */
	node_expect(&n[A], "91\n", "SELECT max(col_version) FROM crsql_changes WHERE "
	    "\"table\" = 't'");
}

/* What SQLite undoes with a statement is undone in what waits. */
static void
an_error_in_the_midst(void **state)
{
	fill();
	node_exec(&n[A], "CREATE TRIGGER no BEFORE DELETE ON i WHEN old.id = 1400 "
	    "BEGIN SELECT raise(ABORT, 'no'); END; "
	    "SELECT crsql_config_set('fold-at', 100); BEGIN; "
	    "DELETE FROM i WHERE id < 300");
	assert_int_equal(node_try(&n[A], "DELETE FROM i"), SQLITE_CONSTRAINT);
	node_exec(&n[A], "UPDATE i SET x = 1 WHERE id < 900; COMMIT");
	meet();
	node_expect(&n[A], "1201\n", "SELECT count(*) FROM i");
}

/* Only a fold sees what is in it. */
static void
the_table_is_empty_for_others(void **state)
{
	fill();
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_feed");
}

/* -- the newest chain ----------------------------------------------------------- */

static void
a_chain_that_was_rolled_back(void **state)
{
	node_exec(&n[A], "INSERT INTO i VALUES(1, 1, 1); BEGIN; "
	    "INSERT INTO t VALUES(1, 1, 1); SAVEPOINT s; "
	    "INSERT INTO i VALUES(2, 2, 2)");
	/* reading writes what waits */
	node_expect(&n[A], "6\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "ROLLBACK TO s; ROLLBACK; BEGIN; SAVEPOINT s; "
	    "INSERT INTO i VALUES(2, 2, 2)");
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "ROLLBACK TO s; SELECT crsql_next_db_version(50); "
	    "INSERT INTO i VALUES(3, 3, 3); COMMIT");
	node_expect(&n[A], "50\n", "SELECT crsql_db_version()");
	meet();
}

static void
a_chain_that_another_went_on_with(void **state)
{
	char path[NODE_FILE];
	struct node one, two;
	int k;

	node_file(path);
	node_open(&one, 0, path);
	node_exec(&one, "%s", schema);
	node_open(&two, 0, path);
	for (k = 0; k < 10; k++) {
		node_exec(&one, "INSERT INTO t VALUES(%d, 1, 1)", 3 * k);
		node_exec(&two, "INSERT INTO t VALUES(%d, 1, 1)", 3 * k + 1);
		node_plainly(path, "INSERT INTO i(x) VALUES(1)");
		node_well(k % 2 ? &one : &two);
	}
	node_close(&one);
	node_close(&two);
	unlink(path);
}

/* -- changes merged cell by cell --------------------------------------------------- */

static bool
triggers_on(struct node *at)
{
	int on = -1;

	assert_int_equal(sqlite3_db_config(at->db, SQLITE_DBCONFIG_ENABLE_TRIGGER,
	    -1, &on), SQLITE_OK);
	return on == 1;
}

/* Merges all that A has into B, in an open transaction. */
static void
merge_all(void)
{
	sqlite3_stmt *from, *to;
	int i;

	assert_int_equal(sqlite3_prepare_v2(n[A].db, "SELECT \"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq FROM crsql_changes", -1, &from,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(n[B].db, "INSERT INTO crsql_changes("
	    "\"table\", pk, cid, val, col_version, db_version, site_id, cl, seq) "
	    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &to, NULL), SQLITE_OK);
	while (sqlite3_step(from) == SQLITE_ROW) {
		for (i = 0; i < 9; i++)
			sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
		assert_int_equal(sqlite3_step(to), SQLITE_DONE);
		sqlite3_reset(to);
	}
	assert_int_equal(sqlite3_finalize(from), SQLITE_OK);
	assert_int_equal(sqlite3_finalize(to), SQLITE_OK);
}

static void
fill_few(void)
{
	node_exec(&n[A], "INSERT INTO i SELECT value, value, value FROM "
	    "json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,"
	    "24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]')");
}

static void
a_long_merge_has_triggers_off(void **state)
{
	fill_few();
	node_exec(&n[B], "BEGIN");
	merge_all();
	assert_false(triggers_on(&n[B]));
	node_exec(&n[B], "COMMIT");
	assert_true(triggers_on(&n[B]));
	meet();
}

static void
a_long_merge_where_somebody_has_triggers(void **state)
{
	fill_few();
	node_exec(&n[B], "CREATE TRIGGER mine AFTER INSERT ON i BEGIN "
	    "INSERT INTO log VALUES(new.id); END; BEGIN");
	merge_all();
	assert_true(triggers_on(&n[B]));
	node_exec(&n[B], "COMMIT");
	node_expect(&n[B], "40\n", "SELECT count(*) FROM log");
}

/* One that comes meanwhile may be missed: then nothing is committed. */
static void
a_trigger_made_in_a_long_merge(void **state)
{
	fill_few();
	node_exec(&n[B], "BEGIN");
	merge_all();
	node_exec(&n[B], "CREATE TRIGGER mine AFTER UPDATE ON i BEGIN "
	    "INSERT INTO log VALUES(new.id); END");
	node_exec(&n[A], "UPDATE i SET x = 0 WHERE id = 1");
	merge_all();
	assert_int_equal(node_try(&n[B], "COMMIT"), SQLITE_ERROR);
	node_expect(&n[B], "0\n", "SELECT count(*) FROM i");
}

/* Where the statement goes on with tables of its own they stay on. */
static void
a_merge_by_one_statement(void **state)
{
	fill_few();
	node_exec(&n[B], "BEGIN; CREATE TEMP TABLE c(a, b, c, d, e, f, g, h, i)");
	node_exec(&n[B], "INSERT INTO c SELECT 'i', crsql_pack_columns(value), 'x', 1, "
	    "1, 1, x'%s', 1, 0 FROM json_each('[1,2,3]')",
	    "0102030405060708090a0b0c0d0e0f10");
	node_exec(&n[B], "INSERT INTO c SELECT a, b, c, d, e, f + k.v, g, h, i FROM c, "
	    "(" NUMBERS "SELECT v FROM k LIMIT 100) k");
	node_exec(&n[B], "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq) SELECT * FROM c");
	assert_true(triggers_on(&n[B]));
	node_exec(&n[B], "COMMIT");
	node_expect(&n[B], "3\n", "SELECT count(*) FROM i");
}

/* Each cell of a table of many columns is a statement of its own. */
static void
more_columns_than_statements_were_kept(void **state)
{
	int k;

	nodes_exec(n, COUNT, "CREATE TABLE w(id INTEGER PRIMARY KEY NOT NULL, x1)");
	for (k = 2; k <= 90; k++) {
		node_exec(&n[A], "ALTER TABLE w ADD COLUMN x%d", k);
		node_exec(&n[B], "ALTER TABLE w ADD COLUMN x%d", k);
	}
	nodes_exec(n, COUNT, "SELECT crsql_as_crr('w'); INSERT INTO w(id) VALUES(1), (2)");
	for (k = 1; k <= 90; k++)
		node_exec(&n[A], "UPDATE w SET x%d = %d", k, k);
	node_exec(&n[B], "BEGIN");
	merge_all();
	merge_all();
	node_exec(&n[B], "COMMIT");
	nodes_agree(&n[A], &n[B], "SELECT * FROM w");
	node_well(&n[B]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_nodes, close_nodes)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_rows_in_one_transaction),
		TEST(the_same_rows_again),
		TEST(many_rows_replaced),
		TEST(an_error_in_the_midst),
		TEST(the_table_is_empty_for_others),
		TEST(a_chain_that_was_rolled_back),
		cmocka_unit_test(a_chain_that_another_went_on_with),
		TEST(a_long_merge_has_triggers_off),
		TEST(a_long_merge_where_somebody_has_triggers),
		TEST(a_trigger_made_in_a_long_merge),
		TEST(a_merge_by_one_statement),
		TEST(more_columns_than_statements_were_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_attached.c - a replicated database attached to another connection
 * with the extension: nothing written there may be lost without a word.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct node main_node, other;
static char path[NODE_FILE];

static int
open_all(void **state)
{
	node_file(path);
	node_open(&other, 0, path);
	node_exec(&other, "CREATE TABLE t(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('t'); CREATE TABLE plain(x); "
	    "INSERT INTO t VALUES('a', 1)");
	node_open(&main_node, 1, NULL);
	node_exec(&main_node, "ATTACH '%s' AS z", path);
	return 0;
}

static int
close_all(void **state)
{
	node_close(&main_node);
	node_close(&other);
	unlink(path);
	return 0;
}

static void
refused(const char *sql)
{
	assert_int_equal(node_try(&main_node, "%s", sql), SQLITE_ERROR);
	assert_non_null(strstr(sqlite3_errmsg(main_node.db), "attached"));
	node_expect(&other, "'a'|1\n", "SELECT * FROM t");
}

static void
p1_a_write_to_an_attached_database_is_refused(void **state)
{
	int i;

	for (i = 0; i < 2; i++) {
		refused("INSERT INTO z.t VALUES('b', 2)");
		refused("REPLACE INTO z.t VALUES('a', 2)");
		refused("UPDATE z.t SET x = 9");
		refused("UPDATE z.t SET id = 'c'");
		refused("DELETE FROM z.t");
		/* With a replicated table of its own, whose triggers ask first. */
		if (i == 0)
			node_exec(&main_node, "CREATE TABLE t(id TEXT PRIMARY KEY, "
			    "x); SELECT crsql_as_crr('t')");
		node_exec(&main_node, "INSERT OR REPLACE INTO t VALUES('m', 1); "
		    "SELECT char()");
	}
	node_expect(&other, "1\n", "SELECT count(*) FROM crsql_changes");
	node_expect(&main_node, "1\n", "SELECT count(*) FROM crsql_changes");
}

/* The transaction goes on, and the database itself can be written. */
static void
p1_nothing_else_is_hindered(void **state)
{
	node_exec(&main_node, "BEGIN; INSERT INTO z.plain VALUES(1), (2)");
	assert_int_equal(node_try(&main_node, "DELETE FROM z.t"), SQLITE_ERROR);
	node_exec(&main_node, "INSERT INTO z.plain SELECT x FROM z.t; COMMIT; "
	    "CREATE TEMP TABLE t(x); INSERT INTO temp.t VALUES(1)");
	node_expect(&other, "1\n1\n2\n", "SELECT x FROM plain ORDER BY 1");
	node_exec(&other, "INSERT INTO t VALUES('b', 2)");
	node_expect(&other, "2\n", "SELECT count(*) FROM crsql_changes");
}

/* A replicated one that was made plain is as any other. */
static void
p1_a_plain_table_again(void **state)
{
	node_exec(&other, "SELECT crsql_as_table('t')");
	node_exec(&main_node, "INSERT INTO z.t VALUES('b', 2)");
	node_expect(&other, "2\n", "SELECT count(*) FROM t");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(p1_a_write_to_an_attached_database_is_refused),
		TEST(p1_nothing_else_is_hindered),
		TEST(p1_a_plain_table_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_schema.c - databases whose schemas differ for a while: columns that
 * come, go and get other names, keys of other types, tables that are not here.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { A, B, C, COUNT };

static struct node n[COUNT];
static const struct mishap plain = { .max_bytes = 100000 };
static const uint8_t nothing[NODE_CURSOR];

static int
open_all(void **state)
{
	nodes_open(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	    "z DEFAULT 'dz'); SELECT crsql_as_crr('r')");
	return 0;
}

static int
close_all(void **state)
{
	nodes_close(n, COUNT);
	return 0;
}

static void
pull(int to, int from)
{
	assert_true(node_pull(&n[to], &n[from], &plain));
}

static void
r11_an_unknown_column_is_parked_and_comes_later(void **state)
{
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN due");
	node_exec(&n[A], "INSERT INTO r(id, x, due) VALUES('a', 1, 'mon')");
	node_exec(&n[A], "INSERT INTO r(id, x, due) VALUES('b', 2, 'tue')");
	pull(B, A);
	node_expect(&n[B], "'a'|1\n'b'|2\n", "SELECT id, x FROM r ORDER BY 1");
	node_expect(&n[B], "'r'|1|'table r has no column due here'\n"
	    "'r'|2|'table r has no column due here'\n",
	    "SELECT \"table\", version, reason FROM crsql_parked");
	/* a duplicate is parked once */
	memset(n[B].cursor[A], 0, NODE_CURSOR);
	n[B].has.n = 0;
	pull(B, A);
	node_expect(&n[B], "2\n", "SELECT count(*) FROM crsql_parked");
	/* it goes on to others, who may have the column */
	node_exec(&n[C], "ALTER TABLE r ADD COLUMN due");
	pull(C, B);
	nodes_agree(&n[A], &n[C], "SELECT * FROM r ORDER BY id");
	node_exec(&n[A], "DELETE FROM r WHERE id = 'b'");
	pull(B, A);
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN due");
	node_expect(&n[B], "1\n", "SELECT crsql_unpark()");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_parked");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, "
	    "col_version, cl FROM crsql_changes ORDER BY 1, 2, 3");
}

static void
r11_a_key_of_another_type_is_parked(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES('one', 5), "
	    "(2, 6)");
	node_exec(&n[B], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c')");
	pull(B, A);
	node_expect(&n[B], "2|6\n", "SELECT * FROM c");
	node_expect(&n[B], "'datatype mismatch'\n",
	    "SELECT reason FROM crsql_parked");
}

static void
r12_a_table_not_replicated_here_is_passed_over(void **state)
{
	struct buf plan;
	uint8_t *page;
	int64_t changes;
	int len;

	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES(1, 5); "
	    "INSERT INTO r(id, x) VALUES('a', 1)");
	/* not asked for, not sent */
	pull(B, A);
	node_expect(&n[B], "'a'\n", "SELECT id FROM r");
	/* sent all the same, not taken */
	node_plan(&n[A], nothing, NULL, &plan);
	node_export(&n[A], &plan, NULL, 100000, &page, &len);
	assert_int_equal(node_import(&n[C], page, len, &changes), SQLITE_OK);
	assert_int_equal(changes, 3);
	node_expect(&n[C], "'a'\n", "SELECT id FROM r");
	sqlite3_free(page);
	buf_clear(&plan);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(r11_an_unknown_column_is_parked_and_comes_later),
		T(r11_a_key_of_another_type_is_parked),
		T(r12_a_table_not_replicated_here_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_user.c - tables and triggers as users declare them: the odd ones
 * that SQLite takes too.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { A, B, COUNT };

static struct node n[COUNT];
static const struct mishap plain = { .max_bytes = 100000 };

static int
open_all(void **state)
{
	nodes_open(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('r')");
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

/* Only that spelling is no other name of the rowid. */
static void
an_integer_key_desc_is_not_the_rowid(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE d(id INTEGER PRIMARY KEY DESC, x); "
	    "SELECT crsql_as_crr('d')");
	node_exec(&n[A], "INSERT INTO d VALUES(100, 'a'), (7, 'b'), (1, 'c'); "
	    "UPDATE d SET x = 'z' WHERE id = 7");
	pull(B, A);
	node_exec(&n[B], "UPDATE d SET x = 'd' WHERE id = 7; "
	    "DELETE FROM d WHERE id = 100; INSERT INTO d VALUES(9, 'e')");
	pull(A, B);
	node_expect(&n[A], "1|'c'\n7|'d'\n9|'e'\n", "SELECT * FROM d ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT * FROM d ORDER BY id");
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_integer_key_desc_is_not_the_rowid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

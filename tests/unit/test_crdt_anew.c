// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_anew.c - a table that is written and made anew in one transaction, as tools
 * do that know nothing of crsql_begin_alter: what waits to be told speaks of rows as
 * they were before, and others are told of the right ones.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS "SELECT k, a, b FROM t ORDER BY k"

static const struct shape {
	const char *columns, *tail;
} shapes[] = {
	{ "k TEXT PRIMARY KEY NOT NULL, a, b", "" },
	{ "k NOT NULL, a, b, PRIMARY KEY(k)", "" },
	{ "k TEXT PRIMARY KEY NOT NULL, a, b", "WITHOUT ROWID" },
	{ "k INTEGER PRIMARY KEY NOT NULL, a, b", "" },
};

static const char *const ways[] = {
	"SELECT 1",
	"SELECT crsql_config_set('capture', 'journal')",
	"SELECT crsql_config_set('plain-writers', 0)",
	"SELECT crsql_config_set('fold-at', 2)",
};

enum { SHAPES = sizeof shapes / sizeof *shapes, WAYS = sizeof ways / sizeof *ways,
	JOURNAL = 1 };

/* Keys are 1 to 6; some rows have left the rowids they began with. */
static void
open_both(const struct shape *s, const char *way)
{
	nodes_open(n, 2, "SELECT 1");
	node_exec(&n[A], "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns,
	    s->tail);
	node_exec(&n[B], "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns,
	    s->tail);
	node_exec(&n[A], "%s", way);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), "
	    "(5, 5, 5); DELETE FROM t WHERE k = 1; INSERT INTO t VALUES(1, 10, 10), "
	    "(6, 6, 6); UPDATE t SET a = 33 WHERE k = 3; DELETE FROM t WHERE k = 5");
	meet(ROWS);
}

/* Others learn the same by pages and by crsql_changes. */
static void
compare_all(const struct shape *s)
{
	struct node *c = &n[C];

	meet(ROWS);
	node_open(c, C, NULL);
	node_exec(c, "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns, s->tail);
	node_pull_changes(c, &n[A], true);
	nodes_agree(&n[A], c, ROWS);
	node_close(c);
	/* rows go on being the ones they are */
	node_exec(&n[A], "UPDATE t SET b = 'on' WHERE k <> 4; DELETE FROM t WHERE k = 3");
	node_exec(&n[B], "UPDATE t SET a = 'B' WHERE k IN (2, 4, 6)");
	meet(ROWS);
}

/* Rows get other rowids; by the first one they keep their order. */
static const char *const orders[] = { "(SELECT 1)", "k DESC", "b, k", "k % 3, k" };
enum { ORDERS = sizeof orders / sizeof *orders };

/* Makes t anew: the new table is made first, or beforehand. */
static void
make_anew(const struct shape *s, const char *order, bool there)
{
	if (!there)
		node_exec(&n[A], "CREATE TABLE n(%s) %s", s->columns, s->tail);
	node_exec(&n[A], "INSERT INTO n SELECT k, a, b FROM t ORDER BY %s; DROP TABLE t; ALTER "
	    "TABLE n RENAME TO t", order);
}

static void
one_way(const struct shape *s, const char *way, const char *order, bool there,
    const char *before, const char *behind)
{
	print_message("# t(%s) %s: %s, ORDER BY %s%s\n", s->columns, s->tail, way, order,
	    there ? ", made before" : "");
	open_both(s, way);
	node_exec(&n[A], "BEGIN");
	if (there)
		node_exec(&n[A], "CREATE TABLE n(%s) %s", s->columns, s->tail);
	node_exec(&n[A], "%s", before);
	make_anew(s, order, there);
	node_exec(&n[A], "%s; COMMIT", behind);
	compare_all(s);
	nodes_close(n, 2);
}

static void
try_orders(int norders, const char *before, const char *behind)
{
	int i, step = how_many("EVERY", 1);  /* so many left out, but one */

	for (i = 0; i < SHAPES * WAYS * norders; i += step)
		one_way(&shapes[i % SHAPES], ways[i / SHAPES % WAYS],
		    orders[i / SHAPES / WAYS], (i / SHAPES + i / SHAPES / WAYS) % 2,
		    before, behind);
}

static void
try_with(const char *before, const char *behind)
{
	try_orders(ORDERS, before, behind);
}

static void
deleted_and_inserted_before(void **state)
{
	(void)state;
	try_with("DELETE FROM t WHERE k = 2; INSERT INTO t VALUES(2, 'again', 22)", "");
	try_with("DELETE FROM t WHERE k = 6; INSERT INTO t VALUES(5, 'again', 22), (9, 9, 9), "
	    "(0, 0, 0); DELETE FROM t WHERE k = 4", "");
}

static void
inserted_before(void **state)
{
	(void)state;
	try_with("INSERT INTO t VALUES(8, 8, 8), (7, 7, 7), (-1, 0, 0); UPDATE t SET a = "
	    "'x' WHERE k = 7", "");
	try_with("INSERT INTO t VALUES(5, 'again', 8), (7, 7, 7); DELETE FROM t WHERE k = 7", "");
}

static void
updated_before(void **state)
{
	(void)state;
	try_with("UPDATE t SET a = 'x' WHERE k IN (1, 3)", "");
	try_with("UPDATE t SET k = 8 WHERE k = 2; UPDATE t SET k = 5 WHERE k = 6", "");
	try_with("REPLACE INTO t VALUES(2, 'r', 'r'), (7, 'r', 'r')", "");
}

static void
deleted_before_and_inserted_behind(void **state)
{
	(void)state;
	try_with("DELETE FROM t WHERE k = 2", "INSERT INTO t VALUES(2, 'again', 22)");
	/* else few samples can't tell that the order is another one (remap.h) */
	try_orders(1, "INSERT INTO t VALUES(7, 7, 7)", "DELETE FROM t WHERE k = 7");
	try_with("DELETE FROM t WHERE k = 2; INSERT INTO t VALUES(2, 'again', 22)",
	    "DELETE FROM t WHERE k = 2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted_and_inserted_before),
		cmocka_unit_test(inserted_before),
		cmocka_unit_test(updated_before),
		cmocka_unit_test(deleted_before_and_inserted_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_rebuilt.c - a table whose key is no integer, made anew between
 * crsql_begin_alter and crsql_commit_alter: its rows have other rowids then, and
 * still the versions that they have where it was not made anew.  SEEDS=N for more,
 * EVERY=N for one of so many plays.
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

#include "rng.h"

enum { COUNT = 2 };         /* A makes it anew, B does all the rest */

#define FACTS "SELECT crsql_unpack_columns.cell, cid, val, col_version, cl FROM " \
	"crsql_changes, crsql_unpack_columns(pk) ORDER BY 1, 2"
#define ROWS "SELECT * FROM t ORDER BY id"

/* Rows come in another order, so that their rowids are other ones. */
static const char *const anew[] = {
	"CREATE TABLE new(%s, a, b); INSERT INTO new SELECT * FROM t ORDER BY id "
	    "DESC; DROP TABLE t; ALTER TABLE new RENAME TO t",
	"ALTER TABLE t RENAME TO old; CREATE TABLE t(%s, a, b); INSERT INTO t "
	    "SELECT * FROM old ORDER BY b, id DESC; DROP TABLE old",
};

static const char *const keys[] = { "id TEXT PRIMARY KEY NOT NULL",
	"id PRIMARY KEY NOT NULL" };
static const char *const ways[] = { "SELECT 1",
	"SELECT crsql_config_set('capture', 'journal')",
	"SELECT crsql_config_set('plain-writers', 0)",
	"SELECT crsql_config_set('fold-at', 2)" };
enum { KEYS = sizeof keys / sizeof *keys, WAYS = sizeof ways / sizeof *ways };

/* Both begin with the same rows, each on its own; some have left their rowids. */
static void
open_both(const char *key, const char *how)
{
	int i;

	nodes_open(n, COUNT, "SELECT 1");
	nodes_exec(n, COUNT, how);
	for (i = 0; i < COUNT; i++)
		node_exec(&n[i], "CREATE TABLE t(%s, a, b); SELECT "
		    "crsql_as_crr('t'); INSERT INTO t VALUES('1', 1, 1), ('2', 2, 2), "
		    "('3', 3, 3), ('4', 4, 4), ('5', 5, 5), ('6', 6, 6); UPDATE t SET "
		    "a = 11 WHERE id = '1'; DELETE FROM t WHERE id = '2'; REPLACE INTO "
		    "t VALUES('3', 33, 33); UPDATE t SET rowid = 40 WHERE id = '4'; "
		    "DELETE FROM t WHERE id = '6'; INSERT INTO t VALUES('6', 66, 66)",
		    key);
}

static void
both(const char *fmt, ...)
{
	char *sql;
	va_list ap;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	nodes_exec(n, COUNT, sql);
	sqlite3_free(sql);
}

static void
check(void)
{
	nodes_agree(&n[A], &n[B], ROWS);
	nodes_agree(&n[A], &n[B], FACTS);
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	/* and go on alike */
	both("UPDATE t SET b = 'on'; DELETE FROM t WHERE id = '3'; INSERT INTO t "
	    "VALUES('3', 'again', NULL); INSERT INTO t VALUES('9', 9, 9)");
	nodes_agree(&n[A], &n[B], FACTS);
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	assert_true(node_pull(&n[B], &n[A], &plain));
	assert_true(node_pull(&n[A], &n[B], &plain));
	nodes_agree(&n[A], &n[B], ROWS);
}

/* -- one thing each ---------------------------------------------------------------- */

/* before and behind are done inside, around the making anew. */
static void
try_with(const char *before, const char *behind)
{
	size_t k, w, i;

	for (k = 0; k < KEYS; k++)
		for (w = 0; w < WAYS; w++)
			for (i = 0; i < 2; i++) {
				/* the journal's triggers are gone from the new one */
				if ((w == 1 && *behind) || is_left_out())
					continue;
				print_message("# %s, %s, %zu\n", keys[k], ways[w], i);
				open_both(keys[k], ways[w]);
				both("SELECT crsql_begin_alter('t'); %s", before);
				node_exec(&n[A], anew[i], keys[k]);
				both("%s; SELECT crsql_commit_alter('t')", behind);
				check();
				nodes_close(n, COUNT);
			}
}

static void
nothing(void **state)
{
	(void)state;
	try_with("", "");
}

static void
replaced(void **state)
{
	(void)state;
	try_with("REPLACE INTO t VALUES('1', 'r', 'r'), ('3', 'r', 'r')", "");
	try_with("", "REPLACE INTO t VALUES('1', 'r', 'r'), ('3', 'r', 'r')");
}

static void
another_rowid(void **state)
{
	(void)state;
	try_with("UPDATE t SET rowid = rowid + 100 WHERE id < '4'", "");
	try_with("UPDATE t SET rowid = 3, a = 'x' WHERE id = '1'; "
	    "UPDATE t SET a = 'y' WHERE id = '1'", "");
	try_with("", "UPDATE t SET rowid = rowid + 100 WHERE id < '4'");
}

static void
deleted_and_inserted(void **state)
{
	(void)state;
	try_with("DELETE FROM t WHERE id IN ('1', '6'); "
	    "INSERT INTO t VALUES('6', 'again', 1), ('1', 'again', 1)", "");
	try_with("", "DELETE FROM t WHERE id IN ('1', '6'); "
	    "INSERT INTO t VALUES('6', 'again', 1), ('1', 'again', 1)");
	try_with("INSERT INTO t VALUES('2', 'again', 1)",
	    "DELETE FROM t WHERE id = '2'");
}

static void
inserted(void **state)
{
	(void)state;
	try_with("INSERT INTO t VALUES('7', 7, 7), ('8', 8, 8); "
	    "UPDATE t SET a = 'x' WHERE id = '8'", "");
	try_with("INSERT INTO t VALUES('7', 7, 7), ('8', 8, 8); DELETE FROM t WHERE "
	    "id = '7'", "INSERT INTO t VALUES('7', 7, 7)");
}

static void
another_key(void **state)
{
	(void)state;
	try_with("UPDATE t SET id = '1b' WHERE id = '1'; "
	    "UPDATE t SET id = '2' WHERE id = '6'", "");
	try_with("", "UPDATE t SET id = '1b' WHERE id = '1'");
}

/* -- anything ---------------------------------------------------------------------- */

static void
write_something(struct rng *r)
{
	unsigned id = below(r, 9), v = below(r, 90);

	switch (below(r, 8)) {
	case 0:
		both("INSERT OR IGNORE INTO t VALUES('%u', %u, %u)", id, v, v);
		break;
	case 1:
		both("DELETE FROM t WHERE id = '%u'", id);
		break;
	case 2:
		both("REPLACE INTO t VALUES('%u', %u, %u)", id, v, v);
		break;
	case 3:
		/* above all: where another row is differs between the two */
		both("UPDATE t SET rowid = (SELECT max(rowid) + 99 FROM t) WHERE id = "
		    "'%u'", id);
		break;
	case 4:
		both("UPDATE OR REPLACE t SET id = '%u', a = %u WHERE id = '%u'",
		    below(r, 9), v, id);
		break;
	case 5:
		both("SAVEPOINT x; UPDATE t SET b = %u; DELETE FROM t WHERE id = "
		    "'%u'; INSERT INTO t VALUES('%u', 1, 1); ROLLBACK TO x; RELEASE x",
		    v, id, id);
		break;
	default:
		both("UPDATE t SET %s = %u WHERE id >= '%u'", v % 2 ? "a" : "b", v,
		    id);
		break;
	}
}

static void
history(uint64_t seed)
{
	struct rng r = { seed * 0x9E3779B97F4A7C15u + 1 };
	unsigned k, way = below(&r, WAYS), anews = 0, count = 2 + below(&r, 12);
	const char *key = keys[below(&r, KEYS)];

	print_message("# seed %llu: %s\n", (unsigned long long)seed, ways[way]);
	open_both(key, ways[way]);
	both("SELECT crsql_begin_alter('t')");
	for (k = 0; k < count; k++) {
		write_something(&r);
		if (below(&r, 4) == 0)  /* all is folded */
			both("SELECT count(*) FROM crsql_changes");
		if (below(&r, 4) != 0)
			continue;
		/* a second time only if the first one was noticed */
		if (anews++ > 0 || way == 1)
			both("SELECT count(*) FROM crsql_changes");
		node_exec(&n[A], anew[below(&r, 2)], key);
		if (way == 1)
			both("SELECT count(*) FROM crsql_changes");
	}
	both("SELECT crsql_commit_alter('t')");
	check();
	nodes_close(n, COUNT);
}

static void
anything(void **state)
{
	int i, count = how_many("SEEDS", 60);

	(void)state;
	for (i = 1; i <= count; i++)
		history((uint64_t)i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(replaced),
		cmocka_unit_test(another_rowid),
		cmocka_unit_test(deleted_and_inserted),
		cmocka_unit_test(inserted),
		cmocka_unit_test(another_key),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

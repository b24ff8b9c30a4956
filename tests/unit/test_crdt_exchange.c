// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_exchange.c - replicated tables that exchange their names in one go: by
 * a program that loads nothing, by a connection with the extension, between
 * crsql_begin_alter and crsql_commit_alter.  Each stays what it is.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 2 };         /* A and B */

static char path[NODE_FILE];

#define FACTS "SELECT \"table\", pk, cid, val, col_version, cl FROM " \
	"crsql_changes ORDER BY 1, 2, 3"
#define TWO "ALTER TABLE p RENAME TO x; ALTER TABLE q RENAME TO p; " \
	"ALTER TABLE x RENAME TO q;"
#define THREE "ALTER TABLE p RENAME TO x; ALTER TABLE q RENAME TO p; " \
	"ALTER TABLE r RENAME TO q; ALTER TABLE x RENAME TO r;"

static const char *const keys[] = { "id INTEGER PRIMARY KEY NOT NULL",
	"id TEXT PRIMARY KEY NOT NULL", ("id TEXT PRIMARY KEY NOT NULL, rowid, "
	"oid, _rowid_") };
enum { KEYS = sizeof keys / sizeof *keys };

/* Three tables of one shape; a row of each was updated, and one deleted. */
static void
open_both(const char *key)
{
	static const char *const name[] = { "p", "q", "r" };
	size_t i;

	node_file(path);
	node_open(&n[A], A, path);
	node_open(&n[B], B, NULL);
	for (i = 0; i < 3; i++) {
		node_exec(&n[A], "CREATE TABLE %s(%s, a, b); SELECT crsql_as_crr("
		    "'%s'); INSERT INTO %s(id, a) VALUES(1, '%s1'), (2, '%s2'), (3, "
		    "'%s3'); UPDATE %s SET a = 'upd %s' WHERE id = 1; DELETE FROM %s "
		    "WHERE id = 3", name[i], key, name[i], name[i], name[i], name[i],
		    name[i], name[i], name[i], name[i]);
		node_exec(&n[B], "CREATE TABLE %s(%s, a, b); SELECT crsql_as_crr("
		    "'%s')", name[i], key, name[i]);
	}
	/* by it one is known from the others */
	node_exec(&n[A], "UPDATE p SET b = 1 WHERE id = 2; UPDATE p SET b = 2 WHERE "
	    "id = 2");
	assert_true(node_pull(&n[B], &n[A], &plain));
}

static void
close_both(void)
{
	nodes_close(n, COUNT);
	unlink(path);
}

static void
check(const char *exchange)
{
	static const char *const query[] = { "SELECT id, a, b FROM p ORDER BY id",
		"SELECT id, a, b FROM q ORDER BY id",
		"SELECT id, a, b FROM r ORDER BY id", FACTS };
	size_t i;

	/* the versions of each went with it */
	node_exec(&n[B], "BEGIN; %s COMMIT", exchange);
	assert_true(node_pull(&n[B], &n[A], &plain));
	assert_true(node_pull(&n[A], &n[B], &plain));
	for (i = 0; i < sizeof query / sizeof *query; i++)
		nodes_agree(&n[A], &n[B], query[i]);
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	node_expect(&n[B], "", "SELECT * FROM crsql_check");
	node_exec(&n[B], "UPDATE p SET b = 'late'; UPDATE q SET b = 'later'");
	assert_true(node_pull(&n[A], &n[B], &plain));
	for (i = 0; i < sizeof query / sizeof *query; i++)
		nodes_agree(&n[A], &n[B], query[i]);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_parked");
}

static void
by_a_plain_program(void **state)
{
	size_t k;

	(void)state;
	for (k = 0; k < KEYS; k++) {
		if (is_left_out())
			continue;
		open_both(keys[k]);
		node_plainly(path, "UPDATE p SET b = 'before'; " TWO
		    "INSERT INTO p(id, a) VALUES(5, 'was q'); UPDATE q SET b = "
		    "'behind' WHERE id = 1; DELETE FROM p WHERE id = 2");
		node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes WHERE "
		    "\"table\" = 'x'");
		node_expect(&n[A], "'behind'\n", "SELECT val FROM crsql_changes WHERE "
		    "\"table\" = 'q' AND val = 'behind'");
		node_expect(&n[A], "'was q'\n", "SELECT val FROM crsql_changes WHERE "
		    "\"table\" = 'p' AND val = 'was q'");
		check(TWO);
		close_both();
		open_both(keys[k]);
		node_plainly(path, THREE "INSERT INTO r(id, a) VALUES(5, 'was p')");
		check(THREE);
		close_both();
		/* noticed at an opening */
		open_both(keys[k]);
		node_close(&n[A]);
		node_plainly(path, "BEGIN; " TWO "UPDATE p SET a = 'x'; COMMIT");
		node_open(&n[A], A, path);
		check(TWO);
		close_both();
	}
}

static void
by_a_connection_with_the_extension(void **state)
{
	static const char *const begin[] = { "", "BEGIN; ",
		"BEGIN; UPDATE p SET b = 'before'; UPDATE q SET b = 'before'; " };
	size_t k, i;

	(void)state;
	for (k = 0; k < KEYS; k++)
		for (i = 0; i < 3; i++) {
			if (is_left_out())
				continue;
			open_both(keys[k]);
			node_exec(&n[A], "%s " TWO "INSERT INTO p(id, a) VALUES(5, "
			    "'was q'); UPDATE q SET b = 'behind' WHERE id = 1; DELETE "
			    "FROM p WHERE id = 2; %s", begin[i], i ? "COMMIT" : "");
			check(TWO);
			close_both();
			open_both(keys[k]);
			node_exec(&n[A], "%s " THREE "UPDATE q SET b = 'x' WHERE id = 1; "
			    "%s", begin[i], i ? "COMMIT" : "");
			check(THREE);
			close_both();
		}
}

/* Writes between the steps, each a transaction of its own, or all one. */
static void
with_writes_between(void **state)
{
	size_t k, i;

	(void)state;
	for (k = 0; k < KEYS; k++)
		for (i = 0; i < 2; i++) {
			if (is_left_out())
				continue;
			open_both(keys[k]);
			node_exec(&n[A], "%s ALTER TABLE p RENAME TO x; UPDATE x SET b = "
			    "'was p' WHERE id = 1; ALTER TABLE q RENAME TO p; INSERT INTO "
			    "p(id, a) VALUES(6, 'was q'); ALTER TABLE x RENAME TO q; "
			    "DELETE FROM q WHERE id = 2; %s", i ? "BEGIN;" : "",
			    i ? "COMMIT" : "");
			check(TWO);
			close_both();
		}
}

#define BEGIN "SELECT crsql_begin_alter('p'); SELECT crsql_begin_alter('q');"

static void
inside_an_alter(void **state)
{
	size_t k;

	(void)state;
	for (k = 0; k < KEYS; k++) {
		if (is_left_out())
			continue;
		open_both(keys[k]);
		node_exec(&n[A], BEGIN "UPDATE p SET b = 'before'; " TWO
		    "UPDATE q SET b = 'behind' WHERE id = 1;"
		    "ALTER TABLE p ADD COLUMN c; ALTER TABLE q ADD COLUMN c;"
		    "UPDATE p SET c = 'was q'; UPDATE q SET c = 'was p';"
		    "SELECT crsql_commit_alter('q'); SELECT crsql_commit_alter('p')");
		nodes_exec(&n[B], 1, "ALTER TABLE p ADD COLUMN c; "
		    "ALTER TABLE q ADD COLUMN c");
		check(TWO);
		node_expect(&n[B], "'was q'|'was p'\n", "SELECT (SELECT c FROM p WHERE "
		    "id = 1), (SELECT c FROM q WHERE id = 1)");
		close_both();
		/* and it is given up */
		open_both(keys[k]);
		node_exec(&n[A], "BEGIN; " BEGIN TWO "UPDATE p SET b = 'x'; ROLLBACK; "
		    "UPDATE p SET b = 'is p' WHERE id = 1");
		check("");
		close_both();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_a_plain_program),
		cmocka_unit_test(by_a_connection_with_the_extension),
		cmocka_unit_test(with_writes_between),
		cmocka_unit_test(inside_an_alter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

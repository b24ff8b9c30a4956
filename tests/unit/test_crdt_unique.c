// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_unique.c - unique indexes made on a table that is replicated
 * already: a plain program's REPLACE on one deletes rows with no trigger fired,
 * and another database must hear of it all the same (R6).
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .file = true };

static void
both(const char *sql)
{
	nodes_exec(n, COUNT, sql);
}

/* B has what A has, row for row. */
static void
bring(void)
{
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM t ORDER BY 1");
}

/* The schema is looked at; nothing else happens. */
static void
look(void)
{
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
}

#define TEXT_KEY "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); " \
	"SELECT crsql_as_crr('t')"
#define INTEGER_KEY "CREATE TABLE t(id INTEGER PRIMARY KEY, x, y); " \
	"SELECT crsql_as_crr('t')"
#define MARKS "SELECT count(*) FROM crsql_master WHERE key GLOB 'again.*'"

/* -- the triggers know the index --------------------------------------------------- */

static void
r06_replaced_by_a_later_unique_index(void **state)
{
	both(TEXT_KEY);
	node_exec(&n[A], "INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2), "
	    "('c', 3, 3), ('d', 4, 4)");
	bring();
	plainly("CREATE UNIQUE INDEX ux ON t(x)");
	node_expect(&n[A], "1\n", "SELECT crsql_schema_pending()");
	look();
	plainly("INSERT OR REPLACE INTO t VALUES('e', 1, 5)");
	bring();
	node_expect(&n[B], "'b'\n'c'\n'd'\n'e'\n", "SELECT id FROM t ORDER BY 1");
	plainly("UPDATE OR REPLACE t SET x = 2 WHERE id = 'c'");
	bring();
	node_expect(&n[B], "'c'|2\n'd'|4\n'e'|1\n",
	    "SELECT id, x FROM t ORDER BY 1");
	/* two at once: the row of the key and one of the index */
	plainly("REPLACE INTO t VALUES('d', 1, 9)");
	bring();
	node_expect(&n[B], "'c'|2|3\n'd'|1|9\n", "SELECT * FROM t ORDER BY 1");
	node_expect(&n[A], "0\n", MARKS);
}

/* A REPLACE of a row that pushes out another one as well is an update of it, by the
 * hook as by the triggers. */
static void
r06_replaced_beside_another(void **state)
{
	static const char *const key[] = { "TEXT PRIMARY KEY)",
		"INTEGER PRIMARY KEY)", "INTEGER PRIMARY KEY) WITHOUT ROWID" };
	size_t i;

	for (i = 0; i < sizeof key / sizeof *key; i++) {
		node_exec(&n[A], "CREATE TABLE t(x, y, z, id %s; "
		    "SELECT crsql_as_crr('t'); CREATE UNIQUE INDEX ux ON t(x); "
		    "CREATE UNIQUE INDEX uy ON t(y); INSERT INTO t(x, y, z, id) "
		    "VALUES(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)", key[i]);
		node_exec(&n[A], "REPLACE INTO t(x, y, z, id) VALUES(1, 2, 9, 3)");
		node_expect(&n[A], "'-1'|NULL|2|2\n'-1'|NULL|2|2\n'x'|1|2|1\n"
		    "'y'|2|2|1\n'z'|9|2|1\n", "SELECT cid, val, col_version, cl FROM "
		    "crsql_changes ORDER BY pk, cid");
		node_exec(&n[A], "DROP TABLE t; SELECT crsql_fold()");
	}
}

/* REPLACE gives a column that may not be NULL its default, of which no trigger
 * before it knows. */
static void
r06_replaced_by_a_default(void **state)
{
	both("CREATE TABLE t(id TEXT PRIMARY KEY, x INT NOT NULL DEFAULT 7, y TEXT NOT "
	    "NULL DEFAULT 'it''s'); SELECT crsql_as_crr('t')");
	node_exec(&n[A], "INSERT INTO t VALUES('a', 7, 1), ('b', 2, 'it''s')");
	bring();
	plainly("CREATE UNIQUE INDEX ux ON t(x); CREATE UNIQUE INDEX uy ON t(y || 1)");
	look();
	plainly("REPLACE INTO t VALUES('c', NULL, 3)");
	bring();
	node_expect(&n[B], "'b'\n'c'\n", "SELECT id FROM t ORDER BY 1");
	plainly("REPLACE INTO t VALUES('d', 4, NULL)");
	bring();
	node_expect(&n[B], "'c'\n'd'\n", "SELECT id FROM t ORDER BY 1");
}

/* One in brackets may be anything, and have a comment at its end. */
static void
r06_a_default_that_is_no_literal(void **state)
{
	both("CREATE TABLE t(id TEXT PRIMARY KEY, x INT NOT NULL DEFAULT (7 -- seven\n"
	    "), y INT NOT NULL DEFAULT (1 + abs(random())), z TEXT NOT NULL DEFAULT "
	    "('a' -- b'\n)); SELECT crsql_as_crr('t')");
	plainly("CREATE UNIQUE INDEX u ON t(x, y, z); CREATE UNIQUE INDEX v ON t(y || z)");
	look();
	plainly("REPLACE INTO t(id) VALUES('a'), ('b'); REPLACE INTO t VALUES('c', 1, 2, 3), "
	    "('d', 1, 2, 3)");
	bring();
	node_expect(&n[B], "'a'|7\n'b'|7\n'd'|1\n", "SELECT id, x FROM t ORDER BY 1");
}

static void
r06_what_lives_on_is_not_deleted(void **state)
{
	both(TEXT_KEY);
	node_exec(&n[A], "INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2)");
	plainly("CREATE UNIQUE INDEX ux ON t(x)");
	look();
	plainly("INSERT OR IGNORE INTO t VALUES('c', 1, 1); "
	    "UPDATE OR IGNORE t SET x = 1 WHERE id = 'b'; "
	    "INSERT INTO t VALUES('c', 1, 8) ON CONFLICT(x) DO UPDATE SET y = 7");
	bring();
	node_expect(&n[B], "'a'|1|7\n'b'|2|2\n", "SELECT * FROM t ORDER BY 1");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = '-1'");
}

/* Each index, two rows that it holds for one, and one that it does not. */
static void
r06_every_kind_of_unique_index(void **state)
{
	static const char *const index[] = {
		"t(x COLLATE NOCASE)", "t(x, y)", "t(x) WHERE y > 0",
		"t(lower(x))", "t(y + 1, lower(x) DESC) /* ), ( */",
		"\"t\"(/*,*/ x || ')' ASC, y) WHERE \"y\" > 0 -- it's",
		"t(g)", "t(g || 'x', \"odd \"\"name\") WHERE g <> ''",
	};
	size_t i;

	both("CREATE TABLE t(id TEXT PRIMARY KEY, x TEXT, y INT, \"odd \"\"name\", "
	    "g TEXT AS (upper(x)) VIRTUAL); SELECT crsql_as_crr('t')");
	for (i = 0; i < sizeof index / sizeof *index; i++) {
		node_exec(&n[A], "DELETE FROM t; CREATE UNIQUE INDEX ux ON %s",
		    index[i]);
		look();
		plainly("INSERT INTO t VALUES('a', 'one', 1, 5), ('b', 'two', 1, 5)");
		bring();
		plainly("REPLACE INTO t VALUES('c', 'one', 1, 5)");
		bring();
		node_expect(&n[B], "'b'\n'c'\n", "SELECT id FROM t ORDER BY 1");
		plainly("UPDATE OR REPLACE t SET x = 'two' WHERE id = 'c'");
		bring();
		node_expect(&n[B], "'c'\n", "SELECT id FROM t");
		plainly("DROP INDEX ux");
	}
	node_exec(&n[A], "DELETE FROM t");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key "
	    "GLOB 'unique.*'");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM sqlite_schema WHERE name IN "
	    "('t__crsql_btrig', 't__crsql_htrig') AND sql LIKE '%%odd%%'");
}

/* -- and before they do --------------------------------------------------------------- */

/* Rows of one run, one with a clock row, one whose key is used again, one that
 * was written before it went, and one deleted long ago. */
static void
r06_replaced_before_the_index_was_noticed(void **state)
{
	both(INTEGER_KEY);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3), "
	    "(4, 4, 4), (5, 5, 5), (6, 6, 6)");
	node_exec(&n[A], "UPDATE t SET y = 20 WHERE id = 2; DELETE FROM t WHERE "
	    "id = 6");
	bring();
	plainly("CREATE UNIQUE INDEX ux ON t(x); REPLACE INTO t VALUES(11, 1, 7), "
	    "(12, 2, 7), (13, 3, 7); INSERT INTO t VALUES(3, 33, 8); "
	    "UPDATE t SET y = 40 WHERE id = 4; "
	    "UPDATE OR REPLACE t SET x = 4 WHERE id = 5");
	bring();
	node_expect(&n[B], "3|33|8\n5|4|5\n11|1|7\n12|2|7\n13|3|7\n",
	    "SELECT * FROM t ORDER BY 1");
	node_expect(&n[A], "0\n", MARKS);
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_changes WHERE cid = "
	    "'-1' AND cl = 2");
	plainly("REPLACE INTO t VALUES(14, 1, 7)");
	bring();
}

/* The key of what went is not known: nobody may take the log for all there
 * was. */
static void
r06_replaced_with_its_key_unknown(void **state)
{
	both(TEXT_KEY);
	node_exec(&n[A], "INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2)");
	plainly("CREATE UNIQUE INDEX uy ON t(y)");
	look();
	plainly("CREATE UNIQUE INDEX ux ON t(x)");
	look();
	node_expect(&n[A], "0\n", MARKS);
	plainly("DROP INDEX ux; CREATE UNIQUE INDEX ux ON t(x, y); "
	    "INSERT INTO t VALUES('c', 3, 3)");
	look();
	node_expect(&n[A], "0\n", MARKS);
	plainly("DROP INDEX ux; CREATE UNIQUE INDEX ux ON t(x); "
	    "REPLACE INTO t VALUES('d', 1, 9)");
	look();
	node_expect(&n[A], "1\n", MARKS);
}

/* -- at random --------------------------------------------------------------------------- */

static unsigned int seed;

static int
below(int limit)
{
	return rand_r(&seed) % limit;
}

static void
write_something(void)
{
	static const char *const how[] = { "INSERT OR REPLACE", "INSERT OR IGNORE",
		"REPLACE", "UPDATE OR REPLACE", "UPDATE OR IGNORE", "DELETE" };
	int what = below(6), id = below(8), x = below(5), y = below(5);
	char *sql;

	if (what < 3)
		sql = sqlite3_mprintf("%s INTO t VALUES(%d, %d, %d)", how[what], id,
		    x, y);
	else if (what < 5)
		sql = sqlite3_mprintf("%s t SET %s = %d WHERE id = %d", how[what],
		    below(3) ? below(2) ? "x" : "y" : "id", x, id);
	else
		sql = sqlite3_mprintf("DELETE FROM t WHERE id = %d", id);
	plainly(sql);
	sqlite3_free(sql);
}

static void
play(const char *schema, int rounds)
{
	int i, writes;

	seed = (unsigned int)time(NULL);
	print_message("seed %u\n", seed);
	both(schema);
	node_exec(&n[A], "CREATE UNIQUE INDEX ux ON t(x); "
	    "CREATE UNIQUE INDEX uy ON t(y + 0) WHERE y > 1");
	look();
	for (i = 0; i < rounds; i++) {
		for (writes = below(8); writes > 0; writes--)
			write_something();
		bring();
	}
}

static void
r06_unique_indexes_at_random(void **state)
{
	play("CREATE TABLE t(id TEXT PRIMARY KEY, x INT, y INT); "
	    "SELECT crsql_as_crr('t')", 150);
}

static void
r06_unique_indexes_at_random_with_integer_keys(void **state)
{
	play(INTEGER_KEY, 150);
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r06_replaced_by_a_later_unique_index),
		TEST(r06_replaced_by_a_default),
		TEST(r06_a_default_that_is_no_literal),
		TEST(r06_replaced_beside_another),
		TEST(r06_what_lives_on_is_not_deleted),
		TEST(r06_every_kind_of_unique_index),
		TEST(r06_replaced_before_the_index_was_noticed),
		TEST(r06_replaced_with_its_key_unknown),
		TEST(r06_unique_indexes_at_random),
		TEST(r06_unique_indexes_at_random_with_integer_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

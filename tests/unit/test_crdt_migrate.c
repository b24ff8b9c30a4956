// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_migrate.c - crsql_automigrate and the module clset: what they make
 * of a schema, and what is left when they fail.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct node n[2];
static const struct mishap plain = { .max_bytes = 100000 };

#define MINE "FROM sqlite_schema WHERE name NOT LIKE 'crsql%%' AND name NOT " \
	"LIKE '%%\\_\\_crsql\\_%%' ESCAPE '\\' AND name NOT LIKE 'sqlite%%'"

/* Migrates; the schema may have quotes. */
static int
migrate(struct node *d, const char *schema)
{
	return node_try(d, "SELECT crsql_automigrate(%Q)", schema);
}

static void
migrates(struct node *d, const char *schema)
{
	node_expect(d, "'migration complete'\n", "SELECT crsql_automigrate(%Q)",
	    schema);
}

static void
fails(struct node *d, const char *sql, int code, const char *why)
{
	assert_int_equal(code, node_try(d, "%s", sql));
	assert_string_equal(why, sqlite3_errmsg(d->db));
}

static void
open_both(const char *sql)
{
	nodes_open(n, 2, sql);
}

/* -- crsql_automigrate --------------------------------------------------------------- */

static void
from_nothing(void **state)
{
	static const char schema[] = "CREATE TABLE IF NOT EXISTS t(id PRIMARY KEY "
	    "NOT NULL, a DEFAULT 'x;y'); CREATE INDEX IF NOT EXISTS i ON t(a);\n"
	    "-- crsql_as_crr comes behind\n"
	    "CREATE TABLE IF NOT EXISTS u(a);\nSELECT crsql_as_crr('t');";

	(void)state;
	nodes_open(n, 1, "SELECT 1");
	migrates(&n[0], schema);
	node_expect(&n[0], "'i'\n't'\n'u'\n", "SELECT name " MINE " ORDER BY 1");
	node_exec(&n[0], "INSERT INTO t(id) VALUES(1)");
	node_expect(&n[0], "'a'|'x;y'\n", "SELECT cid, val FROM crsql_changes");
	/* a comment that has the word is no call of it */
	node_exec(&n[0], "INSERT INTO u VALUES(1)");
	migrates(&n[0], schema);
	node_expect(&n[0], "1\n", "SELECT a FROM u");
	nodes_close(n, 1);
}

/* Columns come as they are written; indexes go if they are others. */
static void
columns_and_indexes(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id PRIMARY KEY NOT NULL, a, b, c);"
	    "CREATE TABLE gone(x); CREATE INDEX i ON t(a); CREATE INDEX j ON t(b);"
	    "CREATE INDEX k ON t(c);"
	    "INSERT INTO t VALUES(1, 2, 3, 4)");
	migrates(&n[0], "CREATE TABLE IF NOT EXISTS T(id PRIMARY KEY NOT NULL, A, "
	    "\"o'dd, )\" TEXT COLLATE NOCASE NOT NULL DEFAULT 'x,)' /* , */"
	    " CHECK(\"o'dd, )\" <> ''), c,\n"
	    "-- a generated one, too\n"
	    "g AS (a + 1) VIRTUAL, CHECK(c <> a));"
	    "CREATE INDEX IF NOT EXISTS i ON t(a DESC);"
	    "CREATE INDEX IF NOT EXISTS k ON t(c);");
	node_expect(&n[0], "'id'\n'a'\n'c'\n'o''dd, )'\n'g'\n",
	    "SELECT name FROM pragma_table_xinfo('t')");
	node_expect(&n[0], "1|2|4|'x,)'|3\n", "SELECT * FROM t");
	node_expect(&n[0], "1\n", "SELECT \"o'dd, )\" = 'X,)' FROM t");
	node_expect(&n[0], "'CREATE INDEX i ON t(a DESC)'\n"
	    "'CREATE INDEX k ON t(c)'\n", "SELECT sql " MINE
	    " AND type = 'index' ORDER BY name");
	node_expect(&n[0], "0\n", "SELECT count(*) " MINE " AND name = 'gone'");
	nodes_close(n, 1);
}

/* 13.1, 6: a replicated table that goes leaves nothing, and reads go on. */
static void
drops_replicated(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id PRIMARY KEY NOT NULL, a);"
	    "CREATE TABLE u(id PRIMARY KEY NOT NULL, a);"
	    "SELECT crsql_as_crr('t'); SELECT crsql_as_crr('u');"
	    "INSERT INTO t VALUES(1, 2); INSERT INTO u VALUES(3, 4)");
	migrates(&n[0], "CREATE TABLE IF NOT EXISTS u(id PRIMARY KEY NOT NULL, a);"
	    "SELECT crsql_as_crr('u')");
	node_expect(&n[0], "'u'|4\n", "SELECT \"table\", val FROM crsql_changes");
	node_expect(&n[0], "0\n", "SELECT count(*) FROM sqlite_schema WHERE "
	    "name LIKE 't\\_\\_crsql%%' ESCAPE '\\'");
	nodes_close(n, 1);
}

#define OLD "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b); " \
	"SELECT crsql_as_crr('t');"
#define NEW "CREATE TABLE IF NOT EXISTS t(id TEXT PRIMARY KEY NOT NULL, a, " \
	"c DEFAULT 1); SELECT crsql_as_crr('t');"

/* Versions stay; databases that migrate at different times go on. */
static void
keeps_versions(void **state)
{
	(void)state;
	open_both(OLD);
	node_exec(&n[0], "INSERT INTO t VALUES('k', 1, 2), ('l', 3, 4);"
	    "UPDATE t SET a = 5");
	assert_true(node_pull(&n[1], &n[0], &plain));
	migrates(&n[0], NEW);
	node_expect(&n[0], "2\n2\n", "SELECT col_version FROM crsql_changes");
	node_exec(&n[0], "UPDATE t SET c = 7 WHERE id = 'k'");
	assert_true(node_pull(&n[1], &n[0], &plain));
	migrates(&n[1], NEW);
	node_exec(&n[1], "DELETE FROM t WHERE id = 'l'");
	assert_true(node_pull(&n[1], &n[0], &plain));
	assert_true(node_pull(&n[0], &n[1], &plain));
	nodes_agree(&n[0], &n[1], "SELECT * FROM t");
	node_expect(&n[0], "'k'|5|7\n", "SELECT * FROM t");
	/* again: nothing is left to do */
	node_exec(&n[0], "CREATE TEMP TABLE before AS SELECT sql FROM "
	    "main.sqlite_schema");
	migrates(&n[0], NEW);
	node_expect(&n[0], "0\n", "SELECT count(*) FROM (SELECT sql FROM "
	    "main.sqlite_schema EXCEPT SELECT sql FROM before)");
	nodes_close(n, 2);
}

/* 13.1, 7: a failure takes nothing of the caller's along. */
static void
failures(void **state)
{
	static const char *const bad[] = {
		"CREATE TABLE t(id PRIMARY KEY NOT NULL, a, b); nonsense",
		/* is there already, when all is run at the end */
		"CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, c)",
		/* a key can't change so */
		"CREATE TABLE IF NOT EXISTS t(id, z PRIMARY KEY NOT NULL)",
		"BEGIN; CREATE TABLE IF NOT EXISTS t(id PRIMARY KEY NOT NULL)",
		"SAVEPOINT s; CREATE TABLE IF NOT EXISTS t(id PRIMARY KEY NOT NULL)",
		"CREATE TABLE IF NOT EXISTS t(id PRIMARY KEY NOT NULL, a, b); COMMIT",
		"", " -- nothing\n ", "SELECT 1",
	};
	size_t i;

	(void)state;
	nodes_open(n, 1, OLD "INSERT INTO t VALUES('k', 1, 2);"
	    "CREATE TABLE u(x)");
	node_exec(&n[0], "BEGIN; UPDATE t SET a = 3; INSERT INTO u VALUES(1)");
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(SQLITE_ERROR, migrate(&n[0], bad[i]));
		assert_false(sqlite3_get_autocommit(n[0].db));
		node_expect(&n[0], "'k'|3|2|1\n", "SELECT *, (SELECT count(*) FROM "
		    "u) FROM t");
	}
	fails(&n[0], "SELECT crsql_automigrate()", SQLITE_ERROR,
	    "Had no args. Expected a schema to migrate to");
	fails(&n[0], "SELECT crsql_automigrate(NULL)", SQLITE_ERROR,
	    "the schema to migrate to has no table: nothing is changed");
	fails(&n[0], "SELECT crsql_automigrate('CREATE TABLE t(id TEXT PRIMARY "
	    "KEY NOT NULL, a, b)')", SQLITE_ERROR,
	    "failed to apply the updated schema ERROR");
	fails(&n[0], "SELECT crsql_automigrate('nonsense')", SQLITE_ERROR,
	    "near \"nonsense\": syntax error");
	node_exec(&n[0], "COMMIT; UPDATE t SET b = 4");
	node_expect(&n[0], "'a'|3|2\n'b'|4|2\n", "SELECT cid, val, col_version "
	    "FROM crsql_changes");
	/* outside of a transaction none is left open */
	assert_int_equal(SQLITE_ERROR, migrate(&n[0], bad[1]));
	assert_true(sqlite3_get_autocommit(n[0].db));
	nodes_close(n, 1);
}

/* The second argument is run where the schema was built. */
/* What a virtual table keeps is its module's to shape. */
static void
virtual_tables_are_left_alone(void **state)
{
	(void)state;
	if (!sqlite3_compileoption_used("ENABLE_FTS5"))
		skip();
	nodes_open(n, 1, "CREATE VIRTUAL TABLE f USING fts5(a, b);"
	    "CREATE TABLE f_notes(x); INSERT INTO f VALUES('hello', 'x')");
	migrates(&n[0], "CREATE VIRTUAL TABLE IF NOT EXISTS f USING fts5(a, b, c); "
	    "CREATE TABLE IF NOT EXISTS f_notes(x, y)");
	node_exec(&n[0], "INSERT INTO f VALUES('again', 'y'); INSERT INTO f_notes(y) "
	    "VALUES(1)");
	migrates(&n[0], "CREATE VIRTUAL TABLE IF NOT EXISTS f USING fts5(a)");
	node_expect(&n[0], "'again'|'y'\n", "SELECT * FROM f WHERE f MATCH 'again'");
	node_expect(&n[0], "0\n", "SELECT count(*) FROM sqlite_schema WHERE name = "
	    "'f_notes'");
	migrates(&n[0], "CREATE TABLE IF NOT EXISTS g(x)");
	node_expect(&n[0], "'g'\n", "SELECT name " MINE);
	nodes_close(n, 1);
}

/* Letters in a text matter. */
static void
an_index_is_the_same_to_the_letter(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(a); CREATE INDEX i ON t(a) WHERE a > 'x'");
	migrates(&n[0], "CREATE TABLE IF NOT EXISTS t(a); CREATE INDEX IF NOT EXISTS "
	    "i ON t(a) WHERE a > 'X'");
	node_expect(&n[0], "1\n", "SELECT sql GLOB '*X*' FROM sqlite_schema WHERE "
	    "name = 'i'");
	nodes_close(n, 1);
}

static void
cleanup(void **state)
{
	(void)state;
	nodes_open(n, 1, OLD);
	node_expect(&n[0], "'migration complete'\n", "SELECT crsql_automigrate(%Q, "
	    "'SELECT crsql_finalize();')", NEW);
	node_exec(&n[0], "INSERT INTO t VALUES('k', 1, 2)");
	node_expect(&n[0], "1\n", "SELECT crsql_db_version()");
	fails(&n[0], "SELECT crsql_automigrate('CREATE TABLE IF NOT EXISTS t(id "
	    "TEXT PRIMARY KEY NOT NULL, a, c)', 'nonsense')", SQLITE_ERROR,
	    "near \"nonsense\": syntax error");
	nodes_close(n, 1);
}

/* -- clset ------------------------------------------------------------------------------- */

#define CLSET "CREATE VIRTUAL TABLE IF NOT EXISTS x_schema USING clset(" \
	"id TEXT PRIMARY KEY NOT NULL, a DEFAULT 'p, q', \"b \"\"c\" INTEGER)"

static void
makes_and_drops(void **state)
{
	(void)state;
	open_both(CLSET);
	nodes_exec(n, 2, CLSET);
	node_exec(&n[0], "INSERT INTO x(id, \"b \"\"c\") VALUES('k', '7')");
	node_expect(&n[0], "'a'|'p, q'\n'b \"c'|7\n", "SELECT cid, val FROM "
	    "crsql_changes");
	assert_true(node_pull(&n[1], &n[0], &plain));
	nodes_agree(&n[0], &n[1], "SELECT * FROM x");
	fails(&n[0], "SELECT * FROM x_schema", SQLITE_ERROR,
	    "no tables specified");
	fails(&n[0], "INSERT INTO x_schema(schema) VALUES('')", SQLITE_ERROR,
	    "table x_schema may not be modified");
	fails(&n[0], "ALTER TABLE x_schema RENAME TO y_schema", SQLITE_ERROR,
	    "a table of clset keeps its name: by it the table that it made is "
	    "known");
	node_exec(&n[0], "DROP TABLE x_schema");
	node_expect(&n[0], "0\n", "SELECT count(*) " MINE);
	node_expect(&n[0], "0\n", "SELECT count(*) FROM sqlite_schema WHERE "
	    "name LIKE 'x\\_\\_crsql%%' ESCAPE '\\'");
	node_expect(&n[0], "", "SELECT * FROM crsql_changes");
	/* made again it is another table */
	node_exec(&n[0], "BEGIN; " CLSET ";"
	    "INSERT INTO x(id) VALUES('l'); COMMIT");
	node_expect(&n[0], "2\n", "SELECT count(*) FROM crsql_changes");
	nodes_close(n, 2);
}

/* What a dropped table of that name left is in nobody's way. */
static void
makes_again(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE x(id PRIMARY KEY NOT NULL, a);"
	    "SELECT crsql_as_crr('x'); INSERT INTO x VALUES(1, 2);"
	    "DROP TABLE x");
	node_expect(&n[0], "2\n", "SELECT count(*) FROM sqlite_schema WHERE name "
	    "LIKE 'x\\_\\_crsql%%' ESCAPE '\\' AND type = 'table'");
	node_exec(&n[0], CLSET "; INSERT INTO x(id) VALUES('k')");
	node_expect(&n[0], "'a'|'p, q'\n'b \"c'|NULL\n", "SELECT cid, val FROM "
	    "crsql_changes");
	nodes_close(n, 1);
}

static void
is_undone(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id PRIMARY KEY NOT NULL, a);"
	    "SELECT crsql_as_crr('t')");
	node_exec(&n[0], "BEGIN; INSERT INTO t VALUES(1, 2);" CLSET ";"
	    "INSERT INTO x(id) VALUES('k'); ROLLBACK");
	node_expect(&n[0], "'t'\n", "SELECT name " MINE);
	node_exec(&n[0], CLSET "; INSERT INTO x(id) VALUES('k'); BEGIN;"
	    "DROP TABLE x_schema; ROLLBACK; UPDATE x SET a = 1");
	node_expect(&n[0], "2\n", "SELECT col_version FROM crsql_changes WHERE "
	    "cid = 'a'");
	nodes_close(n, 1);
}

/* What can't be made leaves nothing, and the caller's transaction goes on. */
static void
refuses(void **state)
{
	static const char *const bad[] = {
		"y_schema USING clset(id)",
		"y_schema USING clset(id PRIMARY KEY NOT NULL, a NOT NULL)",
		"y_schema USING clset(id PRIMARY KEY NOT NULL, a UNIQUE)",
		"y_schema USING clset()",
		"y_schema USING clset(nonsense(",
		"t_schema USING clset(id PRIMARY KEY NOT NULL)",
		"temp.y_schema USING clset(id PRIMARY KEY NOT NULL)",
		"_schema USING clset(id PRIMARY KEY NOT NULL)",
	};
	size_t i;

	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id PRIMARY KEY NOT NULL, a);"
	    "SELECT crsql_as_crr('t')");
	node_exec(&n[0], "BEGIN; INSERT INTO t VALUES(1, 2)");
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(SQLITE_ERROR, node_try(&n[0], "CREATE VIRTUAL TABLE "
		    "%s", bad[i]));
		assert_false(sqlite3_get_autocommit(n[0].db));
		node_expect(&n[0], "'t'\n", "SELECT name " MINE);
	}
	fails(&n[0], "CREATE VIRTUAL TABLE y USING clset(a)", SQLITE_ERROR,
	    "y MUST end with _schema. E.g., y_schema. Two tables will be created: "
	    "y_schema for managing the CRDT schemas and y for storing the data.");
	node_exec(&n[0], "COMMIT");
	node_expect(&n[0], "2\n", "SELECT val FROM crsql_changes");
	/* the same outside of a transaction */
	fails(&n[0], "CREATE VIRTUAL TABLE y_schema USING clset(a)", SQLITE_ERROR,
	    "Table y has no primary key or primary key is nullable. CRRs must "
	    "have a non nullable primary key");
	node_expect(&n[0], "'t'\n", "SELECT name " MINE);
	nodes_close(n, 1);
}

/* A schema of clset's tables is migrated, too. */
static void
clset_migrates(void **state)
{
	(void)state;
	nodes_open(n, 1, "SELECT 1");
	migrates(&n[0], CLSET);
	node_exec(&n[0], "INSERT INTO x(id) VALUES('k')");
	migrates(&n[0], "CREATE VIRTUAL TABLE IF NOT EXISTS x_schema USING clset("
	    "id TEXT PRIMARY KEY NOT NULL, a DEFAULT 'p, q', d DEFAULT 'dd')");
	node_expect(&n[0], "'k'|'p, q'|'dd'\n", "SELECT * FROM x");
	migrates(&n[0], "CREATE TABLE IF NOT EXISTS other(a)");
	node_expect(&n[0], "'other'\n", "SELECT name " MINE);
	nodes_close(n, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_nothing),
		cmocka_unit_test(columns_and_indexes),
		cmocka_unit_test(drops_replicated),
		cmocka_unit_test(keeps_versions),
		cmocka_unit_test(failures),
		cmocka_unit_test(virtual_tables_are_left_alone),
		cmocka_unit_test(an_index_is_the_same_to_the_letter),
		cmocka_unit_test(cleanup),
		cmocka_unit_test(makes_and_drops),
		cmocka_unit_test(makes_again),
		cmocka_unit_test(is_undone),
		cmocka_unit_test(refuses),
		cmocka_unit_test(clset_migrates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

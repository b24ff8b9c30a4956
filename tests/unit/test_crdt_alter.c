// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_alter.c - crsql_begin_alter and crsql_commit_alter: what is done
 * between them is noted like anything else, and a failure leaves the caller's
 * transaction.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A, B, COUNT };

static struct node n[COUNT];
static const struct mishap plain = { .max_bytes = 100000 };

#define FACTS "SELECT \"table\", pk, cid, val, col_version, cl FROM " \
	"crsql_changes ORDER BY 1, 2, 3"
#define ROWS "SELECT * FROM t ORDER BY id"
#define TRIGGERS "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' " \
	"AND tbl_name = 't'"
#define BEGIN "SELECT crsql_begin_alter('t');"
#define COMMIT "SELECT crsql_commit_alter('t');"

/* Three rows that both have; how says how writes are noted. */
static void
open_both(const char *key, const char *how)
{
	nodes_open(n, COUNT, "SELECT 1");
	nodes_exec(n, COUNT, how);
	node_exec(&n[A], "CREATE TABLE t(%s, a, b, c); SELECT crsql_as_crr('t')",
	    key);
	node_exec(&n[B], "CREATE TABLE t(%s, a, b, c); SELECT crsql_as_crr('t')",
	    key);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'a1', 'b1', 'c1'), "
	    "(2, 'a2', 'b2', 'c2'), (3, 'a3', 'b3', 'c3'); "
	    "UPDATE t SET a = 'A1' WHERE id = 1");
	assert_true(node_pull(&n[B], &n[A], &plain));
}

static void
converge(void)
{
	assert_true(node_pull(&n[B], &n[A], &plain));
	assert_true(node_pull(&n[A], &n[B], &plain));
	nodes_agree(&n[A], &n[B], ROWS);
	nodes_agree(&n[A], &n[B], FACTS);
}

static const char *const keys[] = { "id INTEGER PRIMARY KEY NOT NULL",
	"id TEXT PRIMARY KEY NOT NULL" };
static const char *const ways[] = { "SELECT 1",
	"SELECT crsql_config_set('capture', 'journal')",
	"SELECT crsql_config_set('plain-writers', 0)" };

/* Calls f with each kind of key, and each way in which writes are noted. */
static void
in_all_ways(void (*f)(void))
{
	size_t k, w;

	for (k = 0; k < sizeof keys / sizeof *keys; k++)
		for (w = 0; w < sizeof ways / sizeof *ways; w++) {
			open_both(keys[k], ways[w]);
			f();
			nodes_close(n, COUNT);
		}
}

/* -- what is done inside -------------------------------------------------------- */

static void
check_columns(void)
{
	node_expect(&n[A], "'OK'\n", "SELECT crsql_begin_alter('t')");
	node_exec(&n[A], "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t ADD COLUMN d DEFAULT 'dd';"
	    "ALTER TABLE t RENAME COLUMN a TO x");
	node_expect(&n[A], "NULL\n", "SELECT crsql_commit_alter('t')");
	/* a default is no change, a dropped column has none, and a renamed one
	 * keeps its versions */
	node_expect(&n[A], "'c'|1\n'x'|2\n", "SELECT DISTINCT cid, "
	    "max(col_version) FROM crsql_changes GROUP BY 1 ORDER BY 1");
	node_expect(&n[A], "1|'A1'|'c1'|'dd'\n2|'a2'|'c2'|'dd'\n"
	    "3|'a3'|'c3'|'dd'\n", "SELECT id + 0, x, c, d FROM t ORDER BY id");
	/* writes are noted as before */
	node_exec(&n[A], "UPDATE t SET d = 'new' WHERE id = 2");
	node_exec(&n[B], BEGIN "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t ADD COLUMN d DEFAULT 'dd';"
	    "ALTER TABLE t RENAME COLUMN a TO x;" COMMIT
	    "UPDATE t SET x = 'late' WHERE id = 3");
	converge();
	node_expect(&n[A], "'late'\n", "SELECT x FROM t WHERE id = 3");
	node_expect(&n[B], "'new'\n", "SELECT d FROM t WHERE id = 2");
}

static void
columns(void **state)
{
	(void)state;
	in_all_ways(check_columns);
}

/* 13.1, 12: rows deleted inside leave tombstones, what is updated has a new
 * version, and peers past the old db_version get all of it. */
static void
check_rows(void)
{
	node_exec(&n[A], BEGIN "ALTER TABLE t ADD COLUMN d;"
	    "UPDATE t SET d = a || '!', c = 'C1' WHERE id = 1;"
	    "DELETE FROM t WHERE id = 2;"
	    "ALTER TABLE t DROP COLUMN b;"
	    "INSERT INTO t(id, a, d) VALUES(4, 'a4', 'd4');" COMMIT);
	node_exec(&n[B], BEGIN "ALTER TABLE t ADD COLUMN d;"
	    "ALTER TABLE t DROP COLUMN b;" COMMIT);
	converge();
	node_expect(&n[B], "1|'A1'|'C1'|'A1!'\n3|'a3'|'c3'|NULL\n"
	    "4|'a4'|NULL|'d4'\n", "SELECT id + 0, a, c, d FROM t ORDER BY id");
	node_expect(&n[B], "2\n", "SELECT cl FROM crsql_changes WHERE cid = '-1'");
}

static void
rows(void **state)
{
	(void)state;
	in_all_ways(check_rows);
}

/* The last column goes, and another one comes: none was renamed. */
static void
check_not_renamed(void)
{
	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN c;"
	    "ALTER TABLE t ADD COLUMN d;" COMMIT);
	node_expect(&n[A], "'a'\n'b'\n", "SELECT DISTINCT cid FROM crsql_changes "
	    "ORDER BY 1");
	node_exec(&n[B], "UPDATE t SET c = 'is not d' WHERE id = 1");
	assert_true(node_pull(&n[A], &n[B], &plain));
	node_expect(&n[A], "0\n", "SELECT count(*) FROM t WHERE d IS NOT NULL");
}

static void
not_renamed(void **state)
{
	(void)state;
	in_all_ways(check_not_renamed);
}

/* The name of a dropped column is given to another one. */
static void
check_name_again(void)
{
	node_exec(&n[A], "UPDATE t SET c = 'c', c = 'cc' WHERE id = 1;" BEGIN
	    "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN c TO a;"
	    COMMIT);
	node_expect(&n[A], "'a'|2|'cc'\n'b'|1|'b1'\n", "SELECT cid, col_version, "
	    "val FROM crsql_changes WHERE pk = (SELECT crsql_pack_columns(id) FROM "
	    "t WHERE id = 1) ORDER BY 1");
}

static void
name_again(void **state)
{
	(void)state;
	in_all_ways(check_name_again);
}

/* Names of which nothing is usual. */
static void
odd_names(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE \"o'd\"\"d t\"(\"k\"\"\" TEXT PRIMARY KEY "
	    "NOT NULL, \"a\"\"\", \"b, \"\"c\"\"\", \"d' \", \"\xc3\xa9\"); "
	    "SELECT crsql_as_crr('o''d\"d t');"
	    "INSERT INTO \"o'd\"\"d t\" VALUES('k', 1, 2, 3, 4);"
	    "UPDATE \"o'd\"\"d t\" SET \"b, \"\"c\"\"\" = 5;"
	    "SELECT crsql_begin_alter('o''d\"d t');"
	    "ALTER TABLE \"o'd\"\"d t\" DROP COLUMN \"a\"\"\";"
	    "ALTER TABLE \"o'd\"\"d t\" RENAME COLUMN \"b, \"\"c\"\"\" TO "
	    "\"x\"\", \"\"y\";"
	    "ALTER TABLE \"o'd\"\"d t\" ADD COLUMN \"z'\";"
	    "SELECT crsql_commit_alter('o''d\"d t')");
	node_expect(&n[A], "'d'' '|1\n'x\", \"y'|2\n'\xc3\xa9'|1\n",
	    "SELECT cid, col_version FROM crsql_changes ORDER BY 1");
	nodes_close(n, 1);
}

/* A table of keys only gets its first column, and loses it. */
static void
keys_only(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL);"
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('k');"
	    BEGIN "ALTER TABLE t ADD COLUMN a;" COMMIT
	    "UPDATE t SET a = 1");
	node_expect(&n[A], "1\n", "SELECT val FROM crsql_changes WHERE cid = 'a'");
	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN a;"
	    "INSERT INTO t VALUES('l');" COMMIT);
	node_expect(&n[A], "010b016c\n", "SELECT pk FROM crsql_changes "
	    "ORDER BY db_version DESC LIMIT 1");
	nodes_close(n, 1);
}

/* Who comes later gets a row also when no column is left that it was born with;
 * log rows in which dropped columns stood go. */
static void
born_with_other_columns(void **state)
{
	struct node *late = &n[B];
	size_t k;

	(void)state;
	for (k = 0; k < sizeof keys / sizeof *keys; k++) {
		node_open(&n[A], A, NULL);
		node_exec(&n[A], "CREATE TABLE t(%s, a, b); CREATE TABLE u(%s);"
		    "SELECT crsql_as_crr('t'); SELECT crsql_as_crr('u');", keys[k],
		    keys[k]);
		/* a run; columns written again; reinserted; replaced; below the top */
		node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3), "
		    "(4, 4, 4), (9, 9, 9); UPDATE t SET a = 5 WHERE id = 2; UPDATE t "
		    "SET b = 6 WHERE id = 2; UPDATE t SET a = 7 WHERE id = 3; DELETE "
		    "FROM t WHERE id = 1; INSERT INTO t VALUES(1, 8, 8); REPLACE INTO "
		    "t VALUES(4, 1, 1); INSERT INTO t VALUES(7, 7, 7); UPDATE t SET "
		    "a = 9 WHERE id = 7; INSERT INTO u VALUES(1), (2); DELETE FROM u "
		    "WHERE id = 1; INSERT INTO u VALUES(1)");
		node_exec(&n[A], "ALTER TABLE t ADD COLUMN c DEFAULT 3; ALTER TABLE u "
		    "ADD COLUMN a; UPDATE t SET c = 4 WHERE id IN (3, 9)");
		node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN a;" COMMIT);
		node_expect(&n[A], "", "SELECT * FROM crsql_check");
		node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN b;" COMMIT);
		node_expect(&n[A], "", "SELECT * FROM crsql_check");
		node_open(late, B, NULL);
		node_exec(late, "CREATE TABLE t(%s, c DEFAULT 3); CREATE TABLE u(%s, "
		    "a); SELECT crsql_as_crr('t'); SELECT crsql_as_crr('u')", keys[k],
		    keys[k]);
		converge();
		nodes_agree(&n[A], late, "SELECT * FROM u ORDER BY id");
		node_expect(late, "6|2\n", "SELECT (SELECT count(*) FROM t), "
		    "(SELECT count(*) FROM u)");
		node_exec(&n[A], "UPDATE u SET a = 1; DROP TABLE u");
		node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN c;" COMMIT);
		node_exec(late, "DROP TABLE u;" BEGIN "ALTER TABLE t DROP COLUMN c;"
		    COMMIT "INSERT INTO t VALUES(20)");
		converge();
		node_close(late);
		node_open(late, B, NULL);
		node_exec(late, "CREATE TABLE t(%s); SELECT crsql_as_crr('t')",
		    keys[k]);
		node_pull_changes(late, &n[A], true);
		nodes_agree(&n[A], late, ROWS);
		nodes_agree(&n[A], late, FACTS);
		node_expect(&n[A], "", "SELECT * FROM crsql_check");
		node_expect(late, "", "SELECT * FROM crsql_check");
		nodes_close(n, COUNT);
	}
}

/* A log row in which nothing stands but a column that is dropped. */
static void
rows_of_the_log_go_with_a_column(void **state)
{
	(void)state;
	nodes_open(n, 1, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);"
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('k', 1, 1), "
	    "('l', 1, 1); UPDATE t SET a = 2 WHERE id = 'k'; UPDATE t SET a = 3, "
	    "b = 3 WHERE id = 'l'; BEGIN; UPDATE t SET b = 4 WHERE id = 'k'; "
	    "UPDATE t SET a = 4 WHERE id = 'k'; COMMIT");
	node_expect(&n[A], "2\n0\nNULL\nNULL\nNULL\n", "SELECT n FROM crsql_log "
	    "ORDER BY dbv, pos");
	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN a;" COMMIT);
	node_expect(&n[A], "2\n0\nNULL\nNULL\n", "SELECT n FROM crsql_log ORDER BY "
	    "dbv, pos");
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	nodes_close(n, 1);
}

/* -- a table made anew inside -------------------------------------------------- */

#define REBUILD "CREATE TABLE new(id INTEGER PRIMARY KEY NOT NULL, a, c, " \
	"d DEFAULT 'dd');" \
	"INSERT INTO new SELECT id, a, c, CASE id WHEN 1 THEN 'd1' ELSE 'dd' END " \
	"FROM t WHERE id <> 2; INSERT INTO new(id, a) VALUES(9, 'a9');" \
	"DROP TABLE t; ALTER TABLE new RENAME TO t;"

static void
check_rebuilt(void)
{
	node_exec(&n[A], BEGIN "UPDATE t SET a = 'A3' WHERE id = 3;" REBUILD
	    COMMIT "UPDATE t SET d = 'd3' WHERE id = 3");
	node_exec(&n[B], BEGIN "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t ADD COLUMN d DEFAULT 'dd';" COMMIT
	    "UPDATE t SET c = 'z3' WHERE id = 3");
	converge();
	node_expect(&n[B], "1|'A1'|'c1'|'d1'\n3|'A3'|'z3'|'d3'\n"
	    "9|'a9'|NULL|'dd'\n", ROWS);
	/* one is gone, and the others have the versions they had */
	node_expect(&n[A], "2\n", "SELECT cl FROM crsql_changes WHERE cid = '-1'");
	node_expect(&n[A], "2\n", "SELECT col_version FROM crsql_changes WHERE "
	    "val = 'A1'");
}

static void
rebuilt(void **state)
{
	size_t w;

	(void)state;
	for (w = 0; w < sizeof ways / sizeof *ways; w++) {
		open_both(keys[0], ways[w]);
		check_rebuilt();
		nodes_close(n, COUNT);
	}
}

/* A row that was gone from the copy comes again, and is written after it. */
static void
rebuilt_and_written(void **state)
{
	(void)state;
	open_both(keys[0], ways[0]);
	node_exec(&n[A], BEGIN "UPDATE t SET a = 'x' WHERE id = 2;" REBUILD
	    "INSERT INTO t(id, a) VALUES(2, 'again');"
	    "UPDATE t SET c = 'C1', d = 'D1' WHERE id = 1;"
	    "DELETE FROM t WHERE id = 3;" COMMIT);
	node_exec(&n[B], BEGIN "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t ADD COLUMN d DEFAULT 'dd';" COMMIT);
	converge();
	node_expect(&n[B], "1|'A1'|'C1'|'D1'\n2|'again'|NULL|'dd'\n"
	    "9|'a9'|NULL|'dd'\n", ROWS);
	node_expect(&n[A], "2|3\n3|2\n", "SELECT (SELECT cell FROM "
	    "crsql_unpack_columns(pk)), cl FROM crsql_changes WHERE cid = '-1' "
	    "ORDER BY 1");
	nodes_close(n, COUNT);
}

/* Made anew with its columns in another order, and written at once. */
static void
made_anew(void **state)
{
	(void)state;
	open_both(keys[0], ways[0]);
	node_exec(&n[A], BEGIN "UPDATE t SET b = 'x' WHERE id = 3; DROP TABLE t;"
	    "CREATE TABLE t(z, y, id INTEGER PRIMARY KEY NOT NULL, a, b, c);"
	    "INSERT INTO t(id, a) VALUES(1, 'new');"
	    "UPDATE t SET a = 'newer';" COMMIT);
	node_expect(&n[A], "'-1'|3\n'a'|2\n'b'|1\n'c'|1\n'y'|1\n'z'|1\n", "SELECT "
	    "cid, col_version FROM crsql_changes WHERE pk = crsql_pack_columns(1) "
	    "ORDER BY 1");
	node_expect(&n[A], "2\n2\n", "SELECT cl FROM crsql_changes WHERE pk <> "
	    "crsql_pack_columns(1)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM t__crsql_meta WHERE key "
	    "NOT IN (SELECT id FROM t)");
	nodes_close(n, COUNT);
}

/* Another column in the place of one that is gone is not that one. */
static void
other_column(void **state)
{
	(void)state;
	open_both(keys[0], ways[0]);
	node_exec(&n[A], "UPDATE t SET b = 'B1' WHERE id = 1;" BEGIN
	    "CREATE TABLE new(id INTEGER PRIMARY KEY NOT NULL, a, d, c);"
	    "INSERT INTO new SELECT id, a, iif(id = 1, 'd', NULL), c FROM t;"
	    "DROP TABLE t; ALTER TABLE new RENAME TO t;" COMMIT);
	node_expect(&n[A], "'d'|1\n", "SELECT cid, col_version FROM crsql_changes "
	    "WHERE cid NOT IN ('a', 'c')");
	nodes_close(n, COUNT);
}

/* 13.1, 12: another primary key: the rows stay, and are changes of a new
 * db_version. */
static void
other_key(void **state)
{
	(void)state;
	open_both(keys[0], ways[0]);
	nodes_exec(n, COUNT, BEGIN "CREATE TABLE new(a NOT NULL, b NOT NULL, id, c, "
	    "PRIMARY KEY(a, b)); INSERT INTO new SELECT a, b, id, c FROM t;"
	    "DROP TABLE t; ALTER TABLE new RENAME TO t;" COMMIT);
	node_expect(&n[A], "3|3|6\n", "SELECT min(db_version), max(db_version), "
	    "count(*) FROM crsql_changes");
	node_exec(&n[A], "UPDATE t SET c = 'new' WHERE id = 2");
	converge();
	node_expect(&n[B], "'new'\n", "SELECT c FROM t WHERE id = 2");
	nodes_close(n, COUNT);
}

/* -- transactions ----------------------------------------------------------------- */

/* Two tables in one transaction, and one inside the other. */
static void
several(void **state)
{
	(void)state;
	open_both(keys[1], ways[0]);
	nodes_exec(n, COUNT, "CREATE TABLE u(id PRIMARY KEY NOT NULL, a, b);"
	    "SELECT crsql_as_crr('u')");
	node_exec(&n[A], "BEGIN;" BEGIN "ALTER TABLE t DROP COLUMN a;" COMMIT
	    "SELECT crsql_begin_alter('u'); ALTER TABLE u DROP COLUMN a;"
	    "INSERT INTO u VALUES(1, 'ub');" BEGIN
	    "ALTER TABLE t DROP COLUMN b; UPDATE t SET c = 'x' WHERE id = 1;"
	    "SELECT crsql_commit_alter('u');"
	    "ALTER TABLE t ADD COLUMN d; UPDATE t SET d = 'y' WHERE id = 1;"
	    COMMIT "COMMIT");
	node_exec(&n[B], BEGIN "SELECT crsql_begin_alter('main', 'u');"
	    "ALTER TABLE t DROP COLUMN a; ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t ADD COLUMN d; ALTER TABLE u DROP COLUMN a;"
	    COMMIT "SELECT crsql_commit_alter('main', 'u')");
	converge();
	nodes_agree(&n[A], &n[B], "SELECT * FROM u");
	node_expect(&n[B], "'x'|'y'\n", "SELECT c, d FROM t WHERE id = 1");
	node_expect(&n[A], "1\n", "SELECT count(DISTINCT db_version) FROM "
	    "crsql_changes WHERE db_version > 2");
	nodes_close(n, COUNT);
}

/* It is given up: all is as it was, and noted as ever. */
static void
check_rolled_back(void)
{
	char *triggers = node_rows(&n[A], "SELECT group_concat(sql) FROM "
	    "sqlite_schema");

	node_exec(&n[A], "BEGIN; UPDATE t SET a = 'before' WHERE id = 3;" BEGIN
	    "ALTER TABLE t DROP COLUMN b; DELETE FROM t WHERE id = 2;"
	    "ROLLBACK TO alter_crr; RELEASE alter_crr;"
	    "UPDATE t SET b = 'behind' WHERE id = 3; COMMIT");
	node_expect(&n[A], triggers, "SELECT group_concat(sql) FROM "
	    "sqlite_schema");
	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN b; ROLLBACK");
	/* no alter is left, whose triggers would know no columns */
	node_exec(&n[A], BEGIN "ROLLBACK TO alter_crr; ALTER TABLE t ADD COLUMN z;"
	    "SELECT count(*) FROM crsql_changes");
	node_expect(&n[A], "0\n", TRIGGERS " AND name LIKE '%%ctrig'");
	node_exec(&n[A], "ROLLBACK");
	node_expect(&n[A], triggers, "SELECT group_concat(sql) FROM "
	    "sqlite_schema");
	sqlite3_free(triggers);
	converge();
	node_expect(&n[B], "3|'before'|'behind'|'c3'\n",
	    "SELECT id + 0, a, b, c FROM t WHERE id = 3");
	node_expect(&n[B], "3\n", "SELECT count(*) FROM t");
}

static void
rolled_back(void **state)
{
	(void)state;
	in_all_ways(check_rolled_back);
}

/* crsql_commit_alter is forgotten: the COMMIT does its work. */
static void
check_forgotten(void)
{
	char *triggers = node_rows(&n[A], TRIGGERS);

	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t RENAME COLUMN a TO x; DELETE FROM t WHERE id = 2;"
	    "COMMIT; UPDATE t SET x = 'then' WHERE id = 3");
	node_expect(&n[A], triggers, TRIGGERS);
	sqlite3_free(triggers);
	node_exec(&n[B], BEGIN "ALTER TABLE t DROP COLUMN b;"
	    "ALTER TABLE t RENAME COLUMN a TO x;" COMMIT);
	converge();
	node_expect(&n[B], "1|'A1'|'c1'\n3|'then'|'c3'\n",
	    "SELECT id + 0, x, c FROM t ORDER BY id");
}

static void
forgotten(void **state)
{
	(void)state;
	in_all_ways(check_forgotten);
}

/* A look at the changes in between does not end it. */
static void
check_look_between(void)
{
	char *triggers = node_rows(&n[A], TRIGGERS);

	node_exec(&n[A], BEGIN "ALTER TABLE t ADD COLUMN d;"
	    "UPDATE t SET d = 'd' WHERE id = 1");
	node_expect(&n[A], "'d'|1\n", "SELECT val, col_version FROM crsql_changes "
	    "WHERE cid = 'd'");
	node_exec(&n[A], "ALTER TABLE t DROP COLUMN a;"
	    "UPDATE t SET d = 'dd' WHERE id = 1");
	node_expect(&n[A], "'dd'|2\n", "SELECT val, col_version FROM crsql_changes "
	    "WHERE cid = 'd'");
	node_exec(&n[A], COMMIT);
	node_expect(&n[A], triggers, TRIGGERS);
	sqlite3_free(triggers);
}

static void
look_between(void **state)
{
	(void)state;
	in_all_ways(check_look_between);
}

/* A table that gets another name inside. */
static void
renamed(void **state)
{
	(void)state;
	open_both(keys[1], ways[0]);
	nodes_exec(n, COUNT, BEGIN "ALTER TABLE t RENAME TO t2;"
	    "ALTER TABLE t2 DROP COLUMN a;" COMMIT);
	node_exec(&n[A], "UPDATE t2 SET c = 'x' WHERE id = 1");
	assert_true(node_pull(&n[B], &n[A], &plain));
	nodes_agree(&n[A], &n[B], "SELECT * FROM t2 ORDER BY id");
	nodes_close(n, COUNT);
}

/* -- failures --------------------------------------------------------------------------- */

static void
fails(const char *sql, const char *why)
{
	assert_int_equal(SQLITE_ERROR, node_try(&n[A], "%s", sql));
	assert_string_equal(why, sqlite3_errmsg(n[A].db));
}

#define COMPACTING "failed compacting tables post alteration"

/* 13.1, 7: what the caller did before is still there. */
static void
failures(void **state)
{
	(void)state;
	open_both(keys[1], ways[0]);
	fails(COMMIT, COMPACTING);
	node_exec(&n[A], "CREATE TABLE u(a); BEGIN; INSERT INTO u VALUES(1)");
	fails(COMMIT, COMPACTING);
	fails("SELECT crsql_begin_alter()", "Wrong number of args. Provide the "
	    "schema name and table name or just the table name.");
	fails("SELECT crsql_commit_alter(NULL)",
	    "the name of a table is wanted, not NULL");
	/* no check of what it is: as cr-sqlite */
	node_expect(&n[A], "'OK'\n", "SELECT crsql_begin_alter('u')");
	fails("SELECT crsql_commit_alter('u')", COMPACTING);
	node_exec(&n[A], "ROLLBACK TO alter_crr");
	node_exec(&n[A], BEGIN "ALTER TABLE t ADD COLUMN r REFERENCES u(a);"
	    "UPDATE t SET b = 'kept' WHERE id = 1");
	fails(COMMIT, COMPACTING);
	/* it is still open: a look changes nothing */
	node_exec(&n[A], "SELECT count(*) FROM crsql_changes;"
	    "ALTER TABLE t DROP COLUMN r;" COMMIT);
	node_exec(&n[A], BEGIN "DROP TABLE t");
	fails(COMMIT, COMPACTING);
	node_exec(&n[A], "ROLLBACK TO alter_crr; RELEASE alter_crr; COMMIT");
	node_expect(&n[A], "1\n", "SELECT a FROM u");
	converge();
	node_expect(&n[B], "'kept'\n", "SELECT b FROM t WHERE id = 1");
	nodes_close(n, COUNT);
}

/* Both functions are for their user only, not for triggers and views. */
static void
direct_only(void **state)
{
	(void)state;
	open_both(keys[0], ways[0]);
	node_exec(&n[A], "CREATE VIEW v AS SELECT crsql_begin_alter('t')");
	fails("SELECT * FROM v", "unsafe use of crsql_begin_alter()");
	nodes_close(n, COUNT);
}

/* A program that loads nothing writes before and after. */
static void
beside_plain(void **state)
{
	char path[NODE_FILE];

	(void)state;
	node_file(path);
	node_open(&n[A], A, path);
	node_exec(&n[A], "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);"
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES('x', 1, 2)");
	node_plainly(path, "UPDATE t SET a = 3; INSERT INTO t VALUES('y', 4, 5)");
	node_exec(&n[A], BEGIN "ALTER TABLE t DROP COLUMN a;"
	    "ALTER TABLE t ADD COLUMN c;" COMMIT);
	node_plainly(path, "UPDATE t SET c = 6 WHERE id = 'x'");
	node_expect(&n[A], "'b'|2\n'b'|5\n'c'|6\n", "SELECT cid, val FROM "
	    "crsql_changes");
	node_close(&n[A]);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns),
		cmocka_unit_test(rows),
		cmocka_unit_test(not_renamed),
		cmocka_unit_test(name_again),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(keys_only),
		cmocka_unit_test(born_with_other_columns),
		cmocka_unit_test(rows_of_the_log_go_with_a_column),
		cmocka_unit_test(rebuilt),
		cmocka_unit_test(rebuilt_and_written),
		cmocka_unit_test(made_anew),
		cmocka_unit_test(other_column),
		cmocka_unit_test(other_key),
		cmocka_unit_test(several),
		cmocka_unit_test(rolled_back),
		cmocka_unit_test(forgotten),
		cmocka_unit_test(look_between),
		cmocka_unit_test(renamed),
		cmocka_unit_test(failures),
		cmocka_unit_test(direct_only),
		cmocka_unit_test(beside_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

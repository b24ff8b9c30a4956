// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_norowid.c - WITHOUT ROWID tables as replicated ones: every way in
 * which rows come, change, go and come back, by programs with and without the
 * extension.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The key's columns are not the first, and a virtual one stands before all. */
#define TABLE "CREATE TABLE t(g AS (x || 'g'), x, b REAL NOT NULL DEFAULT 1.5, " \
	"k2 INTEGER, y, k1 TEXT, PRIMARY KEY(k1, k2)) WITHOUT ROWID"
#define T TABLE "; SELECT crsql_as_crr('t')"
#define ROWS "INSERT INTO t(k1, k2, x, y) VALUES('a', 1, 'x1', 10), " \
	"('a', 2, 'x2', 20), ('b', 1, 'x3', 30), ('c', 7, NULL, NULL)"
#define ALL "SELECT k1, k2, x, y, b FROM t ORDER BY k1, k2"
#define NUMBERS "SELECT group_concat(name) FROM sqlite_schema WHERE " \
	"name LIKE 'crsql\\_key\\_%%' ESCAPE '\\' AND type = 'table'"

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .file = true };

/* -- writes ------------------------------------------------------------------------ */

static const char *const writes[] = {
	"INSERT INTO t(k1, k2) VALUES('d', 1)",
	"UPDATE t SET x = 'n', b = 2 WHERE k1 = 'a'",
	"UPDATE t SET y = y + 1",
	"UPDATE t SET b = 1.5",                         /* no change */
	"UPDATE t SET k1 = 'z' WHERE k2 = 7",
	"UPDATE t SET k2 = k2 + 10, y = 'moved'",
	"UPDATE OR REPLACE t SET k2 = 1 WHERE k1 = 'a' AND k2 = 2",
	"UPDATE OR REPLACE t SET k1 = 'a', k2 = 1",
	"INSERT OR REPLACE INTO t(k1, k2, x) VALUES('a', 1, 'again'), "
	    "('e', 1, 'new'), ('e', 1, 'newer')",
	"INSERT OR IGNORE INTO t(k1, k2, x) VALUES('a', 1, 'not'), ('f', 1, 'yes')",
	"INSERT INTO t(k1, k2, y) VALUES('a', 1, 5), ('g', 1, 6) ON CONFLICT(k1, k2) "
	    "DO UPDATE SET y = excluded.y",
	"INSERT INTO t(k1, k2, x) SELECT k1 || 'c', k2, x FROM t",
	"DELETE FROM t WHERE k1 = 'a'",
	"DELETE FROM t",
	"DELETE FROM t WHERE k1 = 'b'; INSERT INTO t(k1, k2, x) VALUES('b', 1, 'back')",
	"BEGIN; INSERT INTO t(k1, k2) VALUES('h', 1); SAVEPOINT s; INSERT INTO "
	    "t(k1, k2) VALUES('i', 1); DELETE FROM t WHERE k1 = 'a'; ROLLBACK TO s; "
	    "INSERT INTO t(k1, k2) VALUES('j', 1); RELEASE s; COMMIT",
	"BEGIN; DELETE FROM t; ROLLBACK; UPDATE t SET x = 1",
};
enum { NWRITES = sizeof writes / sizeof *writes };

/* Every other one with recursive_triggers, all with both where asked for. */
static void
play(bool outside)
{
	int i, times = getenv("WRITES") != NULL ? 2 * NWRITES : NWRITES;
	char sql[1000];

	nodes_exec(n, COUNT, T);
	for (i = 0; i < times; i++) {
		node_exec(&n[A], "DELETE FROM t; " ROWS);
		pull(B, A);
		sqlite3_snprintf(sizeof sql, sql, "PRAGMA recursive_triggers = %d; %s",
		    i % 2, writes[i % NWRITES]);
		if (outside)
			plainly(sql);
		else
			node_exec(&n[A], "%s", sql);
		meet(ALL);
	}
}

static void
what_a_program_with_the_extension_writes(void **state)
{
	play(false);
}

static void
what_a_plain_program_writes(void **state)
{
	play(true);
}

static void
what_the_journal_is_told_instead_of_the_hook(void **state)
{
	node_exec(&n[A], "SELECT crsql_config_set('capture', 'journal')");
	play(false);
}

/* Both ways say the same of it, version for version. */
static void
the_changes_are_those_of_any_table(void **state)
{
	static const char sql[] = "BEGIN; UPDATE t SET x = 'n' WHERE k2 = 1; "
	    "UPDATE t SET k2 = 5 WHERE k2 = 2; COMMIT";
	int i;

	for (i = 0; i < 2; i++) {
		node_exec(&n[A], "DROP TABLE IF EXISTS t");
		node_exec(&n[A], T);
		node_exec(&n[A], "INSERT INTO t(k1, k2, y) VALUES('a', 1, 1), "
		    "('a', 2, 2)");
		node_exec(&n[A], "CREATE TEMP TABLE IF NOT EXISTS was(v); DELETE FROM "
		    "was; INSERT INTO was SELECT crsql_db_version()");
		if (i == 0)
			node_exec(&n[A], "%s", sql);
		else
			plainly(sql);
		node_expect(&n[A], "'t'|5\n", "SELECT \"table\", count(*) FROM "
		    "crsql_changes WHERE db_version > (SELECT v FROM was)");
		node_expect(&n[A], "1|'x'|'n'|2|1\n1|'-1'|NULL|2|2\n5|'x'|NULL|1|1\n"
		    "5|'b'|1.5|1|1\n5|'y'|2|1|1\n", "SELECT CASE WHEN hex(pk) LIKE "
		    "'%%0905' THEN 5 ELSE 1 END, cid, val, col_version, cl FROM "
		    "crsql_changes WHERE db_version > (SELECT v FROM was) ORDER BY seq");
	}
}

/* A value that stays the same is no change, whatever SQLite shows of the old
 * one: it gives a REAL by the type of another column, and no default of a column
 * that came later. */
static void
what_is_the_same_is_no_change(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE t(r REAL, x, id INTEGER PRIMARY KEY, "
	    "q REAL) WITHOUT ROWID; SELECT crsql_as_crr('t'); "
	    "INSERT INTO t VALUES(1, 5, 3, 1)");
	nodes_exec(n, COUNT, "ALTER TABLE t ADD COLUMN late DEFAULT 7");
	node_exec(&n[A], "UPDATE t SET r = 1.0, x = 5, id = 3, q = 1, late = 7");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
	node_exec(&n[A], "UPDATE t SET x = 5.0");
	node_expect(&n[A], "'x'|5.0|2\n", "SELECT cid, val, col_version FROM "
	    "crsql_changes WHERE db_version = 2");
	node_exec(&n[A], "UPDATE t SET late = 8, id = 4");
	meet("SELECT * FROM t");
}

/* ... so that a large key may not be told at all: not without a word. */
/* By the time that the hook is called such an index lacks the row: it is the key's own
 * b-tree that has to be asked for what the row was. */
static void
the_key_is_set_and_has_another_index(void **state)
{
	node_exec(&n[A], "CREATE TABLE u(g AS (x || 'g'), x, id TEXT PRIMARY KEY, b "
	    "INTEGER DEFAULT 7) WITHOUT ROWID; SELECT crsql_as_crr('u'); CREATE "
	    "UNIQUE INDEX one ON u(id); INSERT INTO u(x, id, b) VALUES(-1, 'd', 1), "
	    "(2, 'e', NULL); UPDATE u SET id = id, x = x + 1.5, b = NULL");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM u WHERE b IS NULL AND x "
	    "IN (0.5, 3.5)");
	node_expect(&n[A], "'x'|2\n'b'|2\n'x'|2\n", "SELECT cid, col_version FROM "
	    "crsql_changes WHERE db_version = 2 ORDER BY seq");
}

static void
a_key_that_sqlite_rounds_is_refused(void **state)
{
	int rc;

	nodes_exec(n, COUNT, "CREATE TABLE t(r REAL, id INTEGER PRIMARY KEY) "
	    "WITHOUT ROWID; SELECT crsql_as_crr('t'); CREATE TABLE u(id INTEGER "
	    "PRIMARY KEY, r REAL) WITHOUT ROWID; SELECT crsql_as_crr('u'); "
	    "INSERT INTO t VALUES(1, 9007199254740993); "
	    "INSERT INTO u VALUES(9007199254740993, 1)");
	node_exec(&n[A], "DELETE FROM u");
	rc = node_try(&n[A], "DELETE FROM t");
	if (rc != SQLITE_OK)    /* by the versions that round */
		node_expect(&n[A], "9007199254740993\n", "SELECT id FROM t");
	plainly("DELETE FROM t");
	meet("SELECT id, 1 FROM t UNION ALL SELECT id, 2 FROM u");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM t");
}

static void
the_last_rowid_is_not_touched(void **state)
{
	nodes_exec(n, COUNT, T "; CREATE TABLE r(x)");
	node_exec(&n[A], "BEGIN; INSERT INTO r(rowid, x) VALUES(77, 1); " ROWS
	    "; COMMIT");
	node_expect(&n[A], "77\n", "SELECT last_insert_rowid()");
}

/* -- lives ------------------------------------------------------------------------- */

static void
deleted_and_back(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS);
	pull(B, A);
	node_exec(&n[A], "DELETE FROM t WHERE k1 = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'late'");
	meet(ALL);
	node_expect(&n[B], "'b'|1\n'c'|7\n", "SELECT k1, k2 FROM t");
	node_exec(&n[B], "INSERT INTO t(k1, k2, x) VALUES('a', 1, 'second')");
	plainly("INSERT INTO t(k1, k2, y) VALUES('a', 2, 'second')");
	meet(ALL);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = '-1' AND cl = 3");
	plainly("DELETE FROM t WHERE k1 = 'a'");
	meet(ALL);
	plainly("INSERT INTO t(k1, k2) VALUES('a', 1)");
	node_exec(&n[A], "INSERT INTO t(k1, k2) VALUES('a', 2)");
	meet(ALL);
	/* a number for each key that was ever there */
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_key_1");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = '-1' AND cl = 5");
}

/* Rows that are fresh one after the other cost one row of the log. */
static void
new_rows_are_one_run(void **state)
{
	static const char many[] = "WITH c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
	    "FROM c WHERE i < 50) INSERT INTO t(k1, k2) SELECT '%s', i FROM c";
	char sql[300];

	nodes_exec(n, COUNT, T);
	node_exec(&n[A], many, "hook");
	sqlite3_snprintf(sizeof sql, sql, many, "plain");
	plainly(sql);
	node_exec(&n[A], "SELECT crsql_fold()");
	pull(B, A);
	node_expect(&n[A], "50\n50\n", "SELECT n FROM crsql_log");
	node_expect(&n[B], "50\n50\n", "SELECT n FROM crsql_log");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM t__crsql_meta");
	meet(ALL);
}

static void
rows_that_are_there_already(void **state)
{
	node_exec(&n[A], "CREATE TABLE t(x, k1, k2, PRIMARY KEY(k1, k2)) WITHOUT "
	    "ROWID; INSERT INTO t VALUES(1, 'b', 1), (2, 'a', 2), (3, 5, 6)");
	node_exec(&n[B], "CREATE TABLE t(x, k1, k2, PRIMARY KEY(k1, k2)) WITHOUT "
	    "ROWID; SELECT crsql_as_crr('t')");
	node_exec(&n[A], "SELECT crsql_as_crr('t')");
	node_expect(&n[A], "3\n1\n", "SELECT n FROM crsql_log UNION ALL SELECT "
	    "crsql_db_version()");
	meet("SELECT k1, k2, x FROM t ORDER BY x");
	node_exec(&n[B], "DELETE FROM t WHERE k1 = 5 AND k2 = 6");
	meet("SELECT k1, k2, x FROM t ORDER BY x");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM t");
}

/* The number of a row in the one says nothing to the other. */
static void
one_has_rowids_and_the_other_not(void **state)
{
	node_exec(&n[A], T "; " ROWS);
	node_exec(&n[B], "CREATE TABLE t(k1 TEXT NOT NULL, k2 INTEGER NOT NULL, x, "
	    "y, b REAL DEFAULT 1.5, PRIMARY KEY(k1, k2)); SELECT crsql_as_crr('t'); "
	    "INSERT INTO t(rowid, k1, k2) VALUES(9, 'q', 9), (2, 'c', 7)");
	meet(ALL);
	node_exec(&n[B], "UPDATE t SET rowid = rowid + 100; DELETE FROM t WHERE "
	    "k1 = 'b'; UPDATE t SET k1 = 'p' WHERE k1 = 'q'");
	plainly("UPDATE t SET k1 = 'o' WHERE k1 = 'c'");
	meet(ALL);
}

static void
changes_written_as_cr_sqlite_does(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS);
	node_pull_changes(&n[B], &n[A], true);
	nodes_agree(&n[A], &n[B], ALL);
	assert_int_equal(node_change(&n[B], "t", "'a', 1", "-1", "NULL", 2, 5, S1,
	    2, 0), SQLITE_OK);
	assert_int_equal(node_change(&n[B], "t", "'a', 1", "x", "'third'", 1, 6, S1,
	    3, 0), SQLITE_OK);
	node_pull_changes(&n[A], &n[B], true);
	node_expect(&n[A], "'third'\n", "SELECT x FROM t WHERE k1 = 'a' AND k2 = 1");
	meet("SELECT k1, k2, x FROM t ORDER BY k1, k2");
}

/* A row that is refused gets no number, and one that a trigger of the user's
 * wrote while another was merged gets one when it is met (R24). */
static void
rows_refused_and_rows_of_triggers(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[B], "CREATE TRIGGER no BEFORE INSERT ON t WHEN new.k1 = 'a' "
	    "BEGIN SELECT RAISE(ABORT, 'no'); END; CREATE TRIGGER more AFTER INSERT "
	    "ON t WHEN new.k1 = 'b' BEGIN INSERT OR IGNORE INTO t(k1, k2, x) "
	    "VALUES('tr', 1, 'trigger'); END");
	node_exec(&n[A], ROWS);
	pull(B, A);
	node_expect(&n[B], "2|2\n", "SELECT (SELECT count(*) FROM crsql_parked), "
	    "(SELECT count(*) FROM crsql_key_1)");
	node_expect(&n[B], "'the log does not know the row'\n",
	    "SELECT what FROM crsql_check");
	node_exec(&n[A], "INSERT INTO t(k1, k2, x) VALUES('tr', 1, 'theirs')");
	node_exec(&n[B], "DROP TRIGGER no; SELECT crsql_unpark()");
	pull(B, A);
	node_exec(&n[A], "UPDATE t SET x = 'last' WHERE k1 = 'tr'");
	pull(B, A);
	nodes_agree(&n[A], &n[B], ALL);
}

/* -- the schema -------------------------------------------------------------------- */

static void
columns_come_and_go(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS);
	meet(ALL);
	plainly("ALTER TABLE t ADD COLUMN z DEFAULT 'dz'; "
	    "ALTER TABLE t RENAME COLUMN k1 TO key1; INSERT INTO t(key1, k2, z) "
	    "VALUES('n', 1, 'zz'); UPDATE t SET z = 2 WHERE key1 = 'a'");
	node_exec(&n[B], "ALTER TABLE t ADD COLUMN z DEFAULT 'dz'; "
	    "ALTER TABLE t RENAME COLUMN k1 TO key1");
	meet("SELECT key1, k2, x, y, z FROM t ORDER BY key1, k2");
	nodes_exec(n, COUNT, "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN "
	    "y; ALTER TABLE t RENAME COLUMN z TO zed; UPDATE t SET zed = 'in' WHERE "
	    "key1 = 'b'; SELECT crsql_commit_alter('t')");
	meet("SELECT key1, k2, x, zed FROM t ORDER BY key1, k2");
}

static void
renamed_dropped_and_made_plain(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS);
	plainly("ALTER TABLE t RENAME TO u; UPDATE u SET x = 'r' WHERE "
	    "k1 = 'a'");
	node_exec(&n[B], "ALTER TABLE t RENAME TO u");
	meet("SELECT k1, k2, x FROM u ORDER BY k1, k2");
	node_expect(&n[A], "'crsql_key_1'\n", NUMBERS);
	node_exec(&n[A], "SELECT crsql_as_table('u')");
	node_expect(&n[A], "NULL\n", NUMBERS);
	node_exec(&n[A], "SELECT crsql_as_crr('u')");
	node_expect(&n[A], "'crsql_key_2'\n", NUMBERS);
	node_exec(&n[A], "UPDATE u SET x = 'new' WHERE k1 = 'b'");
	node_well(&n[A]);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT k1, k2, x FROM u ORDER BY k1, k2");
	plainly("DROP TABLE u");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "NULL\n", NUMBERS);
	node_well(&n[A]);
}

#define COPY "CREATE TABLE new(k1 TEXT, k2 INTEGER, x, y, b REAL DEFAULT 1.5, " \
	"PRIMARY KEY(k1, k2)) WITHOUT ROWID; INSERT INTO new SELECT k1, k2, x, y, b " \
	"FROM t %s; DROP TABLE t; ALTER TABLE new RENAME TO t"

/* A tool makes the table anew, in another order: keys tell what is what. */
static void
rebuilt_by_a_tool(void **state)
{
	char sql[600];

	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS "; UPDATE t SET x = 'twice' WHERE k1 = 'a'; "
	    "DELETE FROM t WHERE k1 = 'b'");
	meet(ALL);
	sqlite3_snprintf(sizeof sql, sql, COPY, "ORDER BY k1 DESC; INSERT INTO "
	    "new(k1, k2, x) VALUES('came', 1, 1)");
	plainly(sql);
	node_expect(&n[A], "2|2\n", "SELECT count(*), max(col_version) FROM "
	    "crsql_changes WHERE cid = 'x' AND val = 'twice'");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key GLOB "
	    "'again.*'");
	meet(ALL);
	node_expect(&n[B], "1\n", "SELECT count(*) FROM t WHERE k1 = 'came'");
	/* with rows gone it is another table */
	sqlite3_snprintf(sizeof sql, sql, COPY, "WHERE k1 <> 'a'");
	plainly(sql);
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_master WHERE key GLOB "
	    "'again.*'");
	node_well(&n[A]);
}

/* Those that were there before it was replicated, too. */
static void
rows_from_before_are_rebuilt(void **state)
{
	char sql[600];
	int i;

	nodes_exec(n, COUNT, TABLE);
	node_exec(&n[A], ROWS);
	nodes_exec(n, COUNT, "SELECT crsql_as_crr('t')");
	node_exec(&n[A], "UPDATE t SET x = 'edited' WHERE k1 = 'a'");
	meet(ALL);
	for (i = 0; i < 2; i++) {
		sqlite3_snprintf(sizeof sql, sql, COPY, "ORDER BY k1 DESC");
		plainly(sql);
		node_exec(&n[A], "SELECT crsql_fold()");
		node_well(&n[A]);
	}
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key GLOB "
	    "'again.*'");
	meet(ALL);
}

/* Inside an alter rows that are gone are deleted, and it is the same table. */
static void
rebuilt_inside_an_alter(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS);
	meet(ALL);
	node_exec(&n[A], "BEGIN; SELECT crsql_begin_alter('t')");
	node_exec(&n[A], COPY, "WHERE k1 <> 'b'; ALTER TABLE new ADD COLUMN z "
	    "DEFAULT 1; UPDATE new SET z = 2 WHERE k1 = 'c'; INSERT INTO new(k1, k2) "
	    "VALUES('came', 1)");
	node_exec(&n[A], "SELECT crsql_commit_alter('t'); COMMIT");
	node_exec(&n[B], "ALTER TABLE t ADD COLUMN z DEFAULT 1");
	meet("SELECT k1, k2, x, y, z FROM t ORDER BY k1, k2");
	node_expect(&n[B], "'a'|1|1\n'a'|2|1\n'c'|7|2\n'came'|1|1\n",
	    "SELECT k1, k2, z FROM t ORDER BY k1, k2");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key GLOB "
	    "'again.*'");
}

/* Its keys stay known by their numbers, or it is another table from then on. */
static void
the_rowid_comes_and_goes(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE t(id TEXT PRIMARY KEY, x) WITHOUT ROWID; "
	    "SELECT crsql_as_crr('t')");
	node_exec(&n[A], "INSERT INTO t VALUES('a', 1), ('b', 2); UPDATE t SET x = 3");
	meet("SELECT * FROM t ORDER BY id");
	plainly("CREATE TABLE new(id TEXT PRIMARY KEY NOT NULL, x); "
	    "INSERT INTO new SELECT * FROM t ORDER BY id DESC; DROP TABLE t; "
	    "ALTER TABLE new RENAME TO t");
	node_exec(&n[A], "UPDATE t SET x = x + 1 WHERE id = 'a'");
	node_expect(&n[A], "'a'|3\n'b'|2\n", "SELECT id, (SELECT col_version FROM "
	    "crsql_changes WHERE pk = crsql_pack_columns(id)) FROM t");
	meet("SELECT * FROM t ORDER BY id");
	plainly("CREATE TABLE new(id TEXT PRIMARY KEY, x) WITHOUT ROWID; "
	    "INSERT INTO new SELECT * FROM t; DROP TABLE t; "
	    "ALTER TABLE new RENAME TO t");
	node_exec(&n[A], "UPDATE t SET x = x + 1 WHERE id = 'b'");
	meet("SELECT * FROM t ORDER BY id");
	/* and a table that never had numbers */
	nodes_exec(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1), ('b', 2)");
	meet("SELECT * FROM r ORDER BY id");
	plainly("CREATE TABLE new(id TEXT PRIMARY KEY, x) WITHOUT ROWID; "
	    "INSERT INTO new SELECT * FROM r; DROP TABLE r; "
	    "ALTER TABLE new RENAME TO r");
	node_exec(&n[A], "INSERT INTO r VALUES('c', 3)");
	node_exec(&n[A], "UPDATE r SET x = 5 WHERE id = 'a'");
	node_well(&n[A]);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
}

/* A plain program's REPLACE on an index that was made later (R6). */
static void
replaced_by_a_unique_index(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS "; CREATE UNIQUE INDEX u ON t(y)");
	node_exec(&n[A], "SELECT crsql_fold()");
	meet(ALL);
	plainly("INSERT OR REPLACE INTO t(k1, k2, y) VALUES('new', 1, 30)");
	plainly("UPDATE OR REPLACE t SET y = 20 WHERE k1 = 'a' AND k2 = 1");
	meet(ALL);
	node_expect(&n[B], "'a'|1\n'c'|7\n'new'|1\n", "SELECT k1, k2 FROM t ORDER BY "
	    "k1");
	/* before the next look at the schema */
	plainly("CREATE UNIQUE INDEX v ON t(x); INSERT INTO t(k1, k2, x) "
	    "VALUES('p', 1, 'same'); INSERT OR REPLACE INTO t(k1, k2, x) "
	    "VALUES('q', 1, 'same'); UPDATE t SET x = 'cx' WHERE k1 = 'c'; INSERT OR "
	    "REPLACE INTO t(k1, k2, x) VALUES('r', 1, 'cx')");
	meet(ALL);
	node_expect(&n[B], "'a'|1\n'new'|1\n'q'|1\n'r'|1\n", "SELECT k1, k2 FROM t "
	    "ORDER BY k1");
}

/* -- what is shown ----------------------------------------------------------------- */

static void
the_views_and_the_check(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], ROWS "; DELETE FROM t WHERE k1 = 'b'; UPDATE t SET x = 'v' "
	    "WHERE k1 = 'c'");
	node_expect(&n[A], "'a'|1|'x'|1\n'a'|2|'x'|1\n'b'|1|'-1'|2\n'c'|7|'x'|2\n",
	    "SELECT p.k1, p.k2, c.col_name, c.col_version FROM t__crsql_clock c JOIN "
	    "t__crsql_pks p ON p.__crsql_key = c.key WHERE c.col_name IN ('x', '-1') "
	    "ORDER BY 1, 2");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM t__crsql_pks WHERE k1 = 'a' "
	    "AND k2 = 2");
	node_well(&n[A]);
	node_exec(&n[A], "DELETE FROM crsql_key_1 WHERE p1 = 'a' AND p2 = 2");
	node_expect(&n[A], "'t'|1\n", "SELECT \"table\", key = "
	    "crsql_pack_columns('a', 2) FROM crsql_check");
	node_exec(&n[A], "DELETE FROM crsql_key_1");
	node_expect(&n[A], "3|1\n", "SELECT sum(what = 'the log does not know the "
	    "row'), sum(what LIKE 'a clock of a row that%%') FROM crsql_check");
}

static void
a_transaction_is_taken_back(void **state)
{
	nodes_exec(n, COUNT, T);
	node_exec(&n[A], "BEGIN; INSERT INTO t(k1, k2) VALUES('a', 1)");
	/* reading folds, and so gives a number */
	node_expect(&n[A], "3\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "SAVEPOINT s; INSERT INTO t(k1, k2) VALUES('b', 1)");
	node_expect(&n[A], "6\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "ROLLBACK TO s; INSERT INTO t(k1, k2) VALUES('c', 1)");
	node_expect(&n[A], "6\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "COMMIT; BEGIN; DELETE FROM t; INSERT INTO t(k1, k2) "
	    "VALUES('d', 1)");
	node_expect(&n[A], "5\n", "SELECT count(*) FROM crsql_changes");
	node_exec(&n[A], "ROLLBACK; INSERT INTO t(k1, k2) VALUES('e', 1)");
	node_expect(&n[A], "1|'a'\n2|'c'\n3|'e'\n", "SELECT k, p1 FROM crsql_key_1");
	meet(ALL);
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_program_with_the_extension_writes),
		TEST(what_a_plain_program_writes),
		TEST(what_the_journal_is_told_instead_of_the_hook),
		TEST(the_changes_are_those_of_any_table),
		TEST(what_is_the_same_is_no_change),
		TEST(the_key_is_set_and_has_another_index),
		TEST(a_key_that_sqlite_rounds_is_refused),
		TEST(the_last_rowid_is_not_touched),
		TEST(deleted_and_back),
		TEST(new_rows_are_one_run),
		TEST(rows_that_are_there_already),
		TEST(one_has_rowids_and_the_other_not),
		TEST(changes_written_as_cr_sqlite_does),
		TEST(rows_refused_and_rows_of_triggers),
		TEST(columns_come_and_go),
		TEST(renamed_dropped_and_made_plain),
		TEST(rebuilt_by_a_tool),
		TEST(rows_from_before_are_rebuilt),
		TEST(rebuilt_inside_an_alter),
		TEST(the_rowid_comes_and_goes),
		TEST(replaced_by_a_unique_index),
		TEST(the_views_and_the_check),
		TEST(a_transaction_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_odd.c - other tables than the plain ones: STRICT, generated columns,
 * columns called as the rowid is, names that need quotes, triggers and views of
 * the user's, recursive_triggers.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .file = true };

/* Once as a program that has the extension, once as one that has not. */
static void
both_ways(const char *with, const char *without, const char *query)
{
	node_exec(&n[A], "%s", with);
	meet(query);
	plainly(without);
	meet(query);
}

static void
strict(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE t(id TEXT PRIMARY KEY, i INTEGER, r REAL, "
	    "a ANY, b BLOB) STRICT; SELECT crsql_as_crr('t'); "
	    "CREATE TABLE w(id ANY PRIMARY KEY, v ANY) STRICT, WITHOUT ROWID; "
	    "SELECT crsql_as_crr('w')");
	both_ways("INSERT INTO t VALUES('a', '5', 2, '5', x'00'); "
	    "INSERT INTO w VALUES('5', '5'), (5, 5), (x'05', 5.0)",
	    "UPDATE t SET i = 6.0, a = 6.0; INSERT INTO t(id, a) VALUES('b', 1); "
	    "UPDATE w SET v = v || '' WHERE id = 5; DELETE FROM w WHERE id = '5'",
	    "SELECT typeof(a), t.* FROM t UNION ALL SELECT typeof(id), id, v, 0, 0, "
	    "typeof(v) FROM w ORDER BY 1, 2");
	node_expect(&n[B], "'a'|6|2.0|6.0|00\n'b'|NULL|NULL|1|NULL\n",
	    "SELECT * FROM t ORDER BY id");
	node_expect(&n[B], "'blob'|5.0\n'integer'|'5'\n", "SELECT typeof(id), v "
	    "FROM w ORDER BY 1");
	/* what the types refuse waits */
	assert_int_equal(node_change(&n[B], "t", "'c'", "i", "'text'", 1, 90, S1,
	    1, 0), SQLITE_CONSTRAINT);
	node_exec(&n[A], "DROP TABLE w");
	node_exec(&n[A], "CREATE TABLE p(id TEXT PRIMARY KEY, i); "
	    "SELECT crsql_as_crr('p'); INSERT INTO p VALUES('a', 'text'), ('b', 2)");
	node_exec(&n[B], "CREATE TABLE p(id TEXT PRIMARY KEY, i INTEGER) STRICT; "
	    "SELECT crsql_as_crr('p')");
	pull(B, A);
	node_expect(&n[B], "'b'|2|1\n", "SELECT *, (SELECT count(*) FROM "
	    "crsql_parked) FROM p");
}

/* They are not sent: each database makes them of what it has. */
static void
generated(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE t(v AS (a + b) VIRTUAL, a INTEGER, "
	    "s AS (a * 10) STORED, id TEXT PRIMARY KEY, b INTEGER DEFAULT 1); "
	    "CREATE INDEX tv ON t(v); SELECT crsql_as_crr('t'); "
	    "CREATE TABLE i(v AS (id || 'v'), id INTEGER PRIMARY KEY, "
	    "s AS (v || 's') STORED, x); SELECT crsql_as_crr('i')");
	both_ways("INSERT INTO t(id, a) VALUES('a', 1), ('b', 2); "
	    "INSERT INTO i(x) VALUES(1); UPDATE t SET b = 5 WHERE v = 2",
	    "UPDATE t SET a = 7 WHERE v = 3; INSERT OR REPLACE INTO i(id, x) "
	    "VALUES(1, 2); UPDATE t SET id = 'c' WHERE id = 'a'",
	    "SELECT * FROM t UNION ALL SELECT *, 0 FROM i ORDER BY 1");
	node_expect(&n[B], "6|1|10|'c'|5\n8|7|70|'b'|1\n", "SELECT * FROM t ORDER "
	    "BY v");
	node_expect(&n[B], "'a'\n'b'\n", "SELECT DISTINCT cid FROM crsql_changes "
	    "WHERE \"table\" = 't' AND cid <> '-1' ORDER BY 1");
	/* one that came later, and one that is gone */
	node_exec(&n[A], "ALTER TABLE t ADD COLUMN late AS (a - 1)");
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); DROP INDEX tv; ALTER TABLE t "
	    "DROP COLUMN v; SELECT crsql_commit_alter('t')");
	both_ways("UPDATE t SET a = 70 WHERE id = 'b'", "UPDATE t SET b = 50",
	    "SELECT id, a, s, b FROM t ORDER BY id");
}

/* The rowid goes by the name that is left; by none, keys are numbered. */
static void
columns_called_as_the_rowid(void **state)
{
	static const char *const columns[] = { "rowid", "_rowid_", "oid",
		"rowid, _rowid_", "\"OID\", rowid", "rowid, _rowid_, oid" };
	static const char *const kinds[] = { "id TEXT PRIMARY KEY",
		"id INTEGER PRIMARY KEY" };
	int i;

	for (i = 0; i < 12; i++) {
		char sql[300], more[300];

		sqlite3_snprintf(sizeof sql, sql, "CREATE TABLE t(x, %s, %s); "
		    "SELECT crsql_as_crr('t')", kinds[i / 6], columns[i % 6]);
		nodes_exec(n, COUNT, "DROP TABLE IF EXISTS t");
		nodes_exec(n, COUNT, sql);
		sqlite3_snprintf(sizeof sql, sql, "INSERT INTO t(id, x, %s) SELECT "
		    "value, value, value + 1%s%s FROM json_each('[5, 9, 3, 4]'); "
		    "UPDATE t SET %s = 77 WHERE id = 9", columns[i % 6],
		    i % 6 > 2 ? ", 2" : "", i % 6 > 4 ? ", 3" : "",
		    i % 6 == 4 ? "rowid" : i % 6 == 2 ? "oid" : "_rowid_");
		if (i % 6 == 0)
			strcpy(strstr(sql, "UPDATE"), "UPDATE t SET rowid = 77 WHERE "
			    "id = 9");
		sqlite3_snprintf(sizeof more, more, "INSERT OR REPLACE INTO t(id, x) "
		    "VALUES(5, 'again'); DELETE FROM t WHERE id = 3; UPDATE t SET "
		    "id = 2 WHERE id = 4; UPDATE t SET x = 'u'; INSERT INTO t(id, x) "
		    "VALUES(3, 'back')");
		both_ways(sql, more, "SELECT * FROM t ORDER BY id");
		node_expect(&n[B], "4|3\n", "SELECT count(*), sum(x = 'u') FROM t");
	}
	/* numbers stay, also when a name is free again; and no table loses its
	 * rowid unnoticed */
	nodes_exec(n, COUNT, "DROP TABLE t; CREATE TABLE t(id TEXT PRIMARY KEY, rowid, "
	    "_rowid_, oid); SELECT crsql_as_crr('t')");
	node_exec(&n[A], "INSERT INTO t VALUES('b', 1, 2, 3), ('a', 4, 5, 6)");
	nodes_exec(n, COUNT, "ALTER TABLE t RENAME COLUMN oid TO other");
	both_ways("UPDATE t SET rowid = 10 WHERE id = 'b'; UPDATE t SET oid = oid + 50",
	    "UPDATE t SET other = 11, oid = 60 WHERE id = 'a'",
	    "SELECT * FROM t ORDER BY id");
	node_expect(&n[B], "'a'|4|5|11\n'b'|10|2|3\n", "SELECT * FROM t ORDER BY id");
	nodes_exec(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY, rowid, _rowid_); "
	    "SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2), ('b', 3, 4); UPDATE r SET "
	    "rowid = 5");
	meet("SELECT * FROM r ORDER BY id");
	plainly("ALTER TABLE r ADD COLUMN oid");
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN oid");
	node_exec(&n[A], "INSERT INTO r(id, rowid, _rowid_, oid) VALUES('c', 7, 8, 9)");
	plainly("UPDATE r SET oid = 6 WHERE id = 'a'");
	meet("SELECT id FROM r ORDER BY id");
	node_expect(&n[B], "3\n", "SELECT count(*) FROM r");
}

static void
autoincrement(void **state)
{
	assert_int_equal(node_try(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY "
	    "AUTOINCREMENT NOT NULL, x); SELECT crsql_as_crr('t')"), SQLITE_ERROR);
	assert_non_null(strstr(sqlite3_errmsg(n[A].db),
	    "t has auto-increment primary keys"));
	/* and it stays an ordinary table */
	node_exec(&n[A], "INSERT INTO t(x) VALUES(1); DELETE FROM t; INSERT INTO t(x) "
	    "VALUES(2)");
	node_expect(&n[A], "2|2\n", "SELECT * FROM t");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes");
}

#define NAMES "SELECT * FROM \"sel\"\"ect it's\" ORDER BY 1"

static void
names_that_need_quotes(void **state)
{
	static const char *const tail[] = { "", " WITHOUT ROWID" };
	char sql[400];
	int i;

	for (i = 0; i < 2; i++) {
		nodes_exec(n, COUNT, "DROP TABLE IF EXISTS \"sel\"\"ect it's\"");
		sqlite3_snprintf(sizeof sql, sql, "CREATE TABLE \"sel\"\"ect it's\"("
		    "\"a b\" TEXT, [group] INT, `crsql key` , \"k\", \"p1\", \"new.x\", "
		    "PRIMARY KEY(\"a b\", [group]))%s; "
		    "SELECT crsql_as_crr('sel\"ect it''s')", tail[i]);
		nodes_exec(n, COUNT, sql);
		both_ways("INSERT INTO \"sel\"\"ect it's\" VALUES('x', 1, 2, 3, 4, 5), "
		    "('y', 1, 2, 3, 4, 5); UPDATE \"sel\"\"ect it's\" SET p1 = 9, "
		    "\"crsql key\" = 8, [group] = 2 WHERE \"a b\" = 'y'",
		    "UPDATE \"sel\"\"ect it's\" SET k = 7, \"new.x\" = 0; DELETE FROM "
		    "\"sel\"\"ect it's\" WHERE \"a b\" = 'x'; INSERT INTO "
		    "\"sel\"\"ect it's\" VALUES('x', 1, 'l', 'm', 'n', 'o')", NAMES);
		node_expect(&n[B], "'x'|1|'l'|'m'|'n'|'o'\n'y'|2|8|7|9|0\n", NAMES);
	}
}

/* What triggers write in replicated tables is told like any write, and what they
 * write elsewhere stays; views and their INSTEAD OF triggers write as well. */
static void
triggers_and_views_of_the_user(void **state)
{
	static const char *const tail[] = { "", " WITHOUT ROWID" };
	char sql[900];
	int i;

	for (i = 0; i < 2; i++) {
		nodes_exec(n, COUNT, "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS t; "
		    "DROP TABLE IF EXISTS u; DROP TABLE IF EXISTS log");
		sqlite3_snprintf(sizeof sql, sql, "CREATE TABLE t(id TEXT PRIMARY KEY "
		    "NOT NULL, x, at DEFAULT 0)%s; CREATE TABLE u(id TEXT PRIMARY KEY NOT "
		    "NULL, n)%s; CREATE TABLE log(what); SELECT crsql_as_crr('t'); "
		    "SELECT crsql_as_crr('u')", tail[i], tail[i]);
		nodes_exec(n, COUNT, sql);
		/* younger than ours, so that they fire before them */
		node_exec(&n[A], "CREATE TRIGGER a AFTER INSERT ON t BEGIN "
		    "UPDATE t SET at = at + 1 WHERE id = new.id; INSERT INTO u VALUES("
		    "new.id, 1) ON CONFLICT(id) DO UPDATE SET n = n + 1; INSERT INTO log "
		    "VALUES(new.id); END; CREATE TRIGGER d AFTER DELETE ON t BEGIN "
		    "DELETE FROM u WHERE id = old.id; END; CREATE TRIGGER g BEFORE INSERT "
		    "ON t WHEN new.id = 'gone' BEGIN DELETE FROM t WHERE id = 'a'; END; "
		    "CREATE VIEW v AS SELECT id, x FROM t; CREATE TRIGGER vi INSTEAD OF "
		    "INSERT ON v BEGIN INSERT INTO t(id, x) VALUES(new.id, new.x); END; "
		    "CREATE TRIGGER vd INSTEAD OF DELETE ON v BEGIN DELETE FROM t WHERE "
		    "id = old.id; END");
		both_ways("INSERT INTO t(id) VALUES('a'), ('b'); INSERT INTO v "
		    "VALUES('c', 1); DELETE FROM v WHERE id = 'b'",
		    "INSERT INTO t(id) VALUES('d'), ('gone'); INSERT INTO v VALUES('e', 1); "
		    "DELETE FROM v WHERE id = 'c'; INSERT OR REPLACE INTO t(id, x) "
		    "VALUES('d', 'again')",
		    "SELECT * FROM t, u USING(id) ORDER BY 1");
		node_expect(&n[B], "'d'|'again'|1|2\n'e'|1|1|1\n'gone'|NULL|1|1\n",
		    "SELECT * FROM t, u USING(id) ORDER BY id");
		node_expect(&n[B], "0\n", "SELECT count(*) FROM log");
	}
}

/* With it REPLACE fires triggers of DELETE: what is told is the same. */
static void
recursive_triggers(void **state)
{
	static const char *const keys[] = { "id TEXT PRIMARY KEY",
		"id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY, rowid, oid, _rowid_",
		"id TEXT PRIMARY KEY" };
	char with[300], without[300], sql[300];
	char *first[4] = { NULL }, *rows;
	int i;

	for (i = 0; i < 8; i++) {
		nodes_exec(n, COUNT, "DROP TABLE IF EXISTS t");
		sqlite3_snprintf(sizeof sql, sql, "CREATE TABLE t(%s, x, y)%s; "
		    "SELECT crsql_as_crr('t')", keys[i % 4],
		    i % 4 == 3 ? " WITHOUT ROWID" : "");
		nodes_exec(n, COUNT, sql);
		node_exec(&n[A], "INSERT INTO t(id, x, y) VALUES(1, 1, 1), (2, 2, 2), "
		    "(3, 3, 3); CREATE UNIQUE INDEX u ON t(y); SELECT crsql_fold()");
		sqlite3_snprintf(sizeof with, with, "PRAGMA recursive_triggers = %d; "
		    "REPLACE INTO t(id, x, y) VALUES(1, 'r', 1), (4, 'r', 2)", i / 4);
		sqlite3_snprintf(sizeof without, without, "PRAGMA recursive_triggers = "
		    "%d; REPLACE INTO t(id, x, y) VALUES(1, 's', 1), (5, 's', 3); "
		    "UPDATE OR REPLACE t SET id = 4 WHERE id = 5", i / 4);
		both_ways(with, without, "SELECT id, x, y FROM t ORDER BY 1");
		rows = node_rows(&n[B], "SELECT pk, cid, val, col_version, cl FROM "
		    "crsql_changes ORDER BY 1, 2");
		if (i >= 4)
			assert_string_equal(rows, first[i % 4]);
		sqlite3_free(first[i % 4]);
		first[i % 4] = i < 4 ? rows : NULL;
		if (i >= 4)
			sqlite3_free(rows);
	}
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strict),
		TEST(generated),
		TEST(columns_called_as_the_rowid),
		TEST(autoincrement),
		TEST(names_that_need_quotes),
		TEST(triggers_and_views_of_the_user),
		TEST(recursive_triggers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

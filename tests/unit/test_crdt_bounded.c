// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_bounded.c - a transaction of any size needs little memory: what was
 * captured is folded while a statement still runs, and nobody may notice.
 * ROWS in the environment is how many rows the transactions have whose memory is
 * measured (5,000); from a million on it is the memory of the whole process, with
 * the preset number of records, that is told and must stay below 64 MiB.
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 1000000, MEMORY = 240 << 10, FEW_KIB = 64 << 10,
       RECORDS = 3 << 20 };

#define FROM(n) "WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < " n ") "

/* What is done at once, in one transaction with a savepoint around it. */
static const char *const scripts[] = {
	"INSERT INTO t " FROM("90") "SELECT printf('%03d', n), n, 0 FROM c",
	"UPDATE t SET x = x + 1",
	"UPDATE t SET y = x WHERE x % 3 = 1; UPDATE t SET x = 7, y = 1 WHERE x % 2",
	"DELETE FROM t WHERE x % 4 = 0",
	"REPLACE INTO t " FROM("120") "SELECT printf('%03d', n), n, 5 FROM c",
	"UPDATE t SET id = 'k' || id WHERE y = 5",
	"UPDATE t SET rowid = rowid + 5000 WHERE x % 5 = 0",
	"DELETE FROM t; INSERT INTO t " FROM("30") "SELECT n, n, n FROM c; "
	    "DELETE FROM t WHERE x < 20; INSERT INTO t " FROM("25")
	    "SELECT 'again' || n, n, n FROM c",
	"INSERT INTO t " FROM("40") "SELECT n, n, n FROM c WHERE 1 ON CONFLICT(id) "
	    "DO UPDATE SET x = excluded.x + 1",
	"INSERT OR IGNORE INTO i " FROM("70") "SELECT n * 37 % 71, n, n FROM c",
	"UPDATE i SET x = -x WHERE id % 2; DELETE FROM i WHERE id BETWEEN 10 AND 40",
	"UPDATE i SET id = id + 1000; UPDATE OR REPLACE i SET id = id - id % 3",
	"INSERT INTO watched " FROM("40") "SELECT n, n FROM c",
	"UPDATE watched SET v = v + 1; DELETE FROM watched WHERE id > 12",
};

/* What fails half way, or in its last row. */
static const char *const failing[] = {
	"INSERT INTO t " FROM("90") "SELECT printf('%03d', 1 + (n + 10) % 91), n, 0 "
	    "FROM c UNION ALL SELECT 'last', 0, 'bad'",
	"UPDATE t SET x = x + 1, y = CASE WHEN id = (SELECT max(id) FROM t) THEN "
	    "'bad' ELSE 1 END",
	"UPDATE t SET x = abs(CASE WHEN id = (SELECT max(id) FROM t) THEN "
	    "-9223372036854775807 - 1 ELSE 3 END)",
	"DELETE FROM i WHERE abs(CASE WHEN id = (SELECT max(id) FROM i) THEN "
	    "-9223372036854775807 - 1 ELSE 1 END)",
	"REPLACE INTO t " FROM("90") "SELECT printf('%03d', n), 1, CASE n WHEN 90 "
	    "THEN 'bad' END FROM c",
	"UPDATE t SET id = 'z' || id, y = CASE WHEN id = (SELECT max(id) FROM t) "
	    "THEN 'bad' END",
	"INSERT OR FAIL INTO t " FROM("50") "SELECT 'f' || x'00' || n, n, CASE n "
	    "WHEN 44 THEN 'bad' END FROM c",
	"UPDATE i SET id = 5000 - id % 9",
	"INSERT INTO watched " FROM("60") "SELECT 100 + n, CASE n WHEN 60 THEN "
	    "NULL ELSE n END FROM c",
	"INSERT OR ROLLBACK INTO t " FROM("30") "SELECT 'r' || n, n, CASE n WHEN "
	    "30 THEN 'bad' END FROM c",
};

enum { NSCRIPTS = sizeof scripts / sizeof *scripts,
       NFAILING = sizeof failing / sizeof *failing };

static void
open_two(struct node *n)
{
	nodes_open(n, 2, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, x, y "
	    "CHECK(y IS NOT 'bad')); CREATE TABLE i(id INTEGER PRIMARY KEY, x, y); "
	    "CREATE TABLE watched(id INTEGER PRIMARY KEY, v NOT NULL DEFAULT 0); "
	    "SELECT crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('watched'); "
	    "CREATE TRIGGER w AFTER INSERT ON watched BEGIN INSERT OR REPLACE INTO i "
	    "VALUES(NEW.id % 7, NEW.v, 'w'); DELETE FROM t WHERE x = NEW.v; END; "
	    "CREATE TRIGGER v AFTER UPDATE ON watched BEGIN UPDATE i SET y = NEW.v "
	    "WHERE id < NEW.id % 5; END; INSERT INTO i VALUES(3, 3, 3), (9, 9, 9)");
	node_exec(&n[1], "SELECT crsql_config_set('fold-at', 7)");
}

/* All that is known of both is the same. */
static void
both_agree(struct node *n)
{
	int k;

	nodes_agree(&n[0], &n[1], "SELECT rowid, * FROM t");
	nodes_agree(&n[0], &n[1], "SELECT * FROM i");
	nodes_agree(&n[0], &n[1], "SELECT * FROM watched");
	nodes_agree(&n[0], &n[1], "SELECT \"table\", pk, cid, val, col_version, "
	    "db_version, cl FROM crsql_changes ORDER BY 6, 1, 2, 3");
	for (k = 0; k < 2; k++)
		node_expect(&n[k], "", "SELECT * FROM crsql_check");
}

/* Runs the same on both: they answer alike; want < 0: whatever that is. */
static void
on_both(struct node *n, const char *sql, int want)
{
	int a = node_try(&n[0], "%s", sql), b = node_try(&n[1], "%s", sql);

	if (a != b || (want >= 0 && a != want))
		fail_msg("%s: %d and %d", sql, a, b);
	assert_int_equal(sqlite3_get_autocommit(n[0].db),
	    sqlite3_get_autocommit(n[1].db));
	assert_int_equal(sqlite3_last_insert_rowid(n[0].db),
	    sqlite3_last_insert_rowid(n[1].db));
}

static void
it_changes_nothing(void **state)
{
	struct node n[2];
	int i;

	open_two(n);
	for (i = 0; i < NSCRIPTS; i++) {
		on_both(n, scripts[i], SQLITE_OK);
		both_agree(n);
	}
	on_both(n, "BEGIN", SQLITE_OK);
	for (i = NSCRIPTS - 1; i >= 0; i--)
		on_both(n, scripts[i], -1);     /* some rows are there already */
	on_both(n, "COMMIT", SQLITE_OK);
	both_agree(n);
	nodes_close(n, 2);
}

/* Each by itself, in a transaction, and in savepoints after some that worked. */
static void
what_fails_leaves_nothing(void **state)
{
	struct node n[2];
	int i, how;

	open_two(n);
	for (i = 0; i < NSCRIPTS; i++)
		on_both(n, scripts[i], SQLITE_OK);
	on_both(n, "INSERT INTO t " FROM("90") "SELECT printf('%03d', n), n, 0 "
	    "FROM c WHERE 1 ON CONFLICT DO NOTHING", SQLITE_OK);
	for (how = 0; how < 3; how++)
		for (i = 0; i < NFAILING; i++) {
			if (how > 0)
				on_both(n, "BEGIN; UPDATE t SET x = 'before'; "
				    "DELETE FROM i WHERE id % 11 = 3", SQLITE_OK);
			if (how > 1)
				on_both(n, "SAVEPOINT a; UPDATE i SET y = y || 1; "
				    "SAVEPOINT b; DELETE FROM t WHERE id > '7'",
				    SQLITE_OK);
			on_both(n, failing[i], strstr(failing[i], "abs(") != NULL ?
			    SQLITE_ERROR : SQLITE_CONSTRAINT);
			if (!sqlite3_get_autocommit(n[0].db) && how > 1)
				on_both(n, "UPDATE t SET y = 'b'; ROLLBACK TO b; "
				    "UPDATE i SET x = 'a'; RELEASE a; "
				    "INSERT INTO t VALUES(hex(random()), 1, 2) "
				    "ON CONFLICT DO NOTHING; DELETE FROM t WHERE "
				    "y = 2 AND x = 1", SQLITE_OK);
			if (!sqlite3_get_autocommit(n[0].db))
				on_both(n, i % 4 == 3 ? "ROLLBACK" : "COMMIT",
				    SQLITE_OK);
			nodes_agree(&n[0], &n[1], "SELECT * FROM i");
		}
	node_expect(&n[1], "", "SELECT * FROM crsql_check");
	nodes_close(n, 2);
}

/* A key that is set to itself is none that changes, whatever its rowid is called. */
static void
keys_set_to_themselves(void **state)
{
	static const char *const script[] = {
		"UPDATE w SET id = id",
		"UPDATE w SET id = id, x = x + 1, oid = oid",
		"UPDATE w SET id = id, x = 1 WHERE x % 2; UPDATE w SET id = id + 0",
		"UPDATE OR REPLACE w SET id = CASE WHEN x % 3 THEN id ELSE id + 1 END",
		("INSERT INTO w(id, x) SELECT id, 0 FROM w WHERE 1 ON CONFLICT DO UPDATE "
		    "SET id = id, x = x * 2; DELETE FROM w WHERE id % 5 = 0"),
	};
	static const char *const form[] = { ("id PRIMARY KEY NOT NULL, x, rowid, oid, "
		"_rowid_)"), "id PRIMARY KEY NOT NULL, x, oid) WITHOUT ROWID",
		"id TEXT, x, rowid, oid, _rowid_, PRIMARY KEY(id))" };
	struct node n[2];
	char make[200];
	size_t f, i;

	for (f = 0; f < 3; f++) {
		open_two(n);
		sqlite3_snprintf(sizeof make, make, "CREATE TABLE w(%s; SELECT "
		    "crsql_as_crr('w'); INSERT INTO w(id, x) " FROM("40") "SELECT n, n "
		    "FROM c", form[f]);
		for (i = 0; i < 2; i++) {
			node_exec(&n[i], "%s", make);
			/* that of a row of ours; the setting was one more */
			sqlite3_set_last_insert_rowid(n[i].db, 0);
		}
		for (i = 0; i < sizeof script / sizeof *script; i++) {
			on_both(n, script[i], SQLITE_OK);
			nodes_agree(&n[0], &n[1], "SELECT * FROM w");
			both_agree(n);
		}
		nodes_close(n, 2);
	}
}

/* A statement gives its rows while it is not yet at its end. */
static void
returning_gives_rows_meanwhile(void **state)
{
	struct node n[2];

	open_two(n);
	on_both(n, scripts[0], SQLITE_OK);
	nodes_agree(&n[0], &n[1], "UPDATE t SET x = x * 2 WHERE x % 2 RETURNING id, "
	    "x, (SELECT count(*) FROM t WHERE x > 50)");
	nodes_agree(&n[0], &n[1], "DELETE FROM t WHERE x > 20 RETURNING *");
	nodes_agree(&n[0], &n[1], "INSERT INTO t SELECT 'n' || id, x, y FROM t "
	    "RETURNING rowid, id");
	both_agree(n);
	nodes_close(n, 2);
}

/* What a reader of the log has before it does not grow under it. */
static void
changes_may_be_written_from_changes(void **state)
{
	struct node n[2];

	open_two(n);
	on_both(n, scripts[0], SQLITE_OK);
	on_both(n, "DELETE FROM t WHERE x < 5", SQLITE_OK);
	on_both(n, "BEGIN; INSERT INTO t SELECT hex(pk) || cid, seq, 'c' FROM "
	    "crsql_changes; COMMIT", SQLITE_OK);
	nodes_agree(&n[0], &n[1], "SELECT * FROM t");
	both_agree(n);
	nodes_close(n, 2);
}

/* -- memory ----------------------------------------------------------------------- */

static int
rows(void)
{
	return how_many("ROWS", 5000);
}

static long
resident(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_maxrss;
}

/* One transaction; what it adds to what was in use before. */
static void
measure(struct node *n, const char *what)
{
	sqlite3_int64 before, more;

	before = sqlite3_memory_used();
	sqlite3_memory_highwater(1);
	node_exec(n, "%s", what);
	more = sqlite3_memory_highwater(0) - before;
	if (rows() >= MANY)
		print_message("%.40s: %lld KiB, the process %ld KiB\n", what,
		    more >> 10, resident());
	else if (more > MEMORY)
		fail_msg("%s: %lld bytes more", what, more);
}

/* Triggers of ours are off: where they are on, SQLite itself keeps the rowids of
 * all rows that a DELETE is going to delete. */
static void
memory_is_bounded(void **state)
{
	char file[NODE_FILE], insert[300];
	struct node n;
	int i;

	node_file(file);
	node_open(&n, 0, file);
	node_exec(&n, "PRAGMA cache_size = -400; PRAGMA temp.cache_size = -40; CREATE TABLE t(id TEXT PRIMARY KEY "
	    "NOT NULL, x, y); SELECT crsql_as_crr('t'), "
	    "crsql_config_set('plain-writers', 0), crsql_config_set('fold-at', %d); "
	    "INSERT INTO t VALUES('gone', 0, 0); DELETE FROM t; "
	    "PRAGMA cache_spill = 1", rows() >= MANY ? 1 << 16 : 50);
	/* the cache is full before */
	sqlite3_snprintf(sizeof insert, insert, FROM("%d") "INSERT INTO t "
	    "SELECT printf('%%08x-%%08x', n * 2654435761 %% 4294967296, n), n, 0 "
	    "FROM c", rows());
	node_exec(&n, "%s; UPDATE t SET x = x; DELETE FROM t", insert);
	measure(&n, insert);
	measure(&n, "UPDATE t SET x = x + 1");
	measure(&n, "UPDATE t SET y = 1 WHERE rowid % 3 = 1; "
	    "UPDATE t SET x = x + rowid % 3, y = y + rowid % 2");
	measure(&n, "DELETE FROM t");
	node_exec(&n, "BEGIN");
	for (i = 0; i < rows() / 10; i++)
		node_exec(&n, "INSERT INTO t VALUES('%d-%d', 1, 1)", i * 7919 %
		    rows(), i);
	measure(&n, "UPDATE t SET x = 2 WHERE rowid % 2; COMMIT");
	/* migrate, then fill */
	node_exec(&n, "BEGIN; SELECT crsql_begin_alter('t'); ALTER TABLE t ADD COLUMN "
	    "z; UPDATE t SET z = 1; SELECT crsql_commit_alter('t')");
	measure(&n, "UPDATE t SET x = rowid % 3 + 5, y = y + rowid % 2; COMMIT");
	node_exec(&n, "DELETE FROM t; BEGIN; SELECT crsql_begin_alter('t')");
	sqlite3_snprintf(sizeof insert, insert, FROM("%d") "INSERT INTO t(id) "
	    "SELECT n * 7919 %% 1048573 FROM c", rows());
	measure(&n, insert);
	node_exec(&n, "SELECT crsql_commit_alter('t'); COMMIT; BEGIN; CREATE TABLE "
	    "u(id PRIMARY KEY NOT NULL, x, y, z); SELECT crsql_as_crr('u')");
	measure(&n, "INSERT INTO u SELECT * FROM t; UPDATE u SET x = rowid % 5");
	node_exec(&n, "COMMIT");
	if (rows() < MANY)
		node_expect(&n, "", "SELECT * FROM crsql_check");
	else
		assert_true(resident() < FEW_KIB);
	node_close(&n);
	unlink(file);
}

/* Of rows that a plain program deleted nothing is kept but their records. */
static void
deletes_of_others_are_read_with_little(void **state)
{
	sqlite3_int64 before, more;
	char file[NODE_FILE];
	struct node n;

	node_file(file);
	node_open(&n, 0, file);
	node_exec(&n, "CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('t'); " FROM("20000") "INSERT INTO t SELECT n, n FROM c");
	node_plainly(file, "DELETE FROM t WHERE x > 1");
	node_exec(&n, "PRAGMA cache_size = 10; SELECT x FROM t");
	before = sqlite3_memory_used();
	sqlite3_memory_highwater(1);
	node_exec(&n, "SELECT crsql_fold()");
	more = sqlite3_memory_highwater(0) - before;
	if (more > RECORDS)
		fail_msg("%lld bytes more", more);
	node_expect(&n, "19999\n", "SELECT count(*) FROM crsql_changes WHERE cl = 2");
	node_close(&n);
	unlink(file);
}

/* SQLite prepares what was kept anew then, and undoes what such a statement began:
 * the program's own, which stands in its table meanwhile, must not notice. */
static void
a_fold_behind_a_change_of_the_schema(void **state)
{
	struct node n[2];

	(void)state;
	nodes_open(n, 2, "CREATE TABLE t(k TEXT PRIMARY KEY NOT NULL, a, b); CREATE TABLE u("
	    "k INTEGER PRIMARY KEY NOT NULL, a); SELECT crsql_as_crr('t'), crsql_as_crr('u')");
	node_exec(&n[0], "SELECT crsql_config_set('fold-at', 2)");
	node_exec(&n[1], "INSERT INTO t VALUES(2, 91, 91)");
	node_exec(&n[0], "INSERT INTO t VALUES('x2', 1, 1); INSERT INTO t VALUES(8, 62, 62); "
	    "UPDATE t SET b = 60 WHERE k > 4; INSERT INTO t VALUES(6, 87, 87)");
	node_pull_changes(&n[1], &n[0], true);
	node_pull_changes(&n[0], &n[1], true);
	node_exec(&n[0], "BEGIN; INSERT INTO t VALUES('x3', 1, 1); UPDATE t SET b = 31 WHERE "
	    "k > 2; CREATE TABLE other(k)");
	node_exec(&n[0], "INSERT INTO u VALUES(6, 19) ON CONFLICT DO UPDATE SET a = "
	    "excluded.a; COMMIT");
	node_pull_changes(&n[1], &n[0], true);
	nodes_agree(&n[0], &n[1], "SELECT * FROM t ORDER BY k");
	node_expect(&n[1], "6|19\n", "SELECT * FROM u");
	nodes_close(n, 2);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(deletes_of_others_are_read_with_little),
		cmocka_unit_test(it_changes_nothing),
		cmocka_unit_test(what_fails_leaves_nothing),
		cmocka_unit_test(keys_set_to_themselves),
		cmocka_unit_test(returning_gives_rows_meanwhile),
		cmocka_unit_test(changes_may_be_written_from_changes),
		cmocka_unit_test(a_fold_behind_a_change_of_the_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

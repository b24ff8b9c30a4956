// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_young.c - a user's trigger that is younger than ours runs before them, and
 * may end the statement, or leave the row, before ours note it: the row stays, and
 * nothing tells of it.  So ours are made the youngest again, and what stayed is found.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct group group = { .count = 3, .file = true };

static const char *const keys[] = { "id TEXT PRIMARY KEY NOT NULL, x, y)",
	"id INTEGER PRIMARY KEY NOT NULL, x, y)",
	"id PRIMARY KEY NOT NULL, x, y) WITHOUT ROWID",
	"id TEXT PRIMARY KEY NOT NULL, x, y, rowid, oid, _rowid_)" };
enum { KEYS = sizeof keys / sizeof *keys };

#define ROWS "SELECT id, x, y FROM t ORDER BY id"

/* What ends the statement where x is 1: the row stays. */
static const char *const ends[] = {
	"INSERT INTO met VALUES(1)",
	"SELECT RAISE(FAIL, 'no')",
	"SELECT RAISE(IGNORE)",
};
enum { ENDS = sizeof ends / sizeof *ends };

static const char *const writes[] = {
	"INSERT OR FAIL INTO t(id, x, y) VALUES('5', 1, 'new')",
	"INSERT OR FAIL INTO t(id, x, y) VALUES('8', 0, 'told'), ('5', 1, 'new'), ('9', 0, 'never')",
	"INSERT OR FAIL INTO t(id, x, y) VALUES('77', 1, 'new')",
	"INSERT OR FAIL INTO t(id, x, y) VALUES('77', 1, 'new') ON CONFLICT DO UPDATE SET x = 2",
};
enum { WRITES = sizeof writes / sizeof *writes };

/* What comes behind: nothing, or the row is written once more. */
static const struct {
	bool plainly;
	const char *sql;
} then[] = {
	{ true, "SELECT 1" },
	{ true, "DELETE FROM t WHERE id IN ('5', '77')" },
	{ false, "DELETE FROM t WHERE id IN ('5', '77')" },
	{ true, "UPDATE t SET y = 'u' WHERE id IN ('5', '77')" },
	{ false, "UPDATE t SET y = 'u' WHERE id IN ('5', '77')" },
	{ true, "DELETE FROM t WHERE id IN ('5', '77'); INSERT INTO t(id, x, y) VALUES('5', 0, 'again')" },
	{ false, "REPLACE INTO t(id, x, y) VALUES('5', 0, 'r'), ('77', 0, 'r')" },
};
enum { THEN = sizeof then / sizeof *then };

/* Row 5 was deleted five times; C has not heard of the last. */
static void
begin(const char *key)
{
	char *sql = sqlite3_mprintf("CREATE TABLE t(%s; SELECT crsql_as_crr('t')", key);
	int i;

	nodes_exec(n, 3, sql);
	sqlite3_free(sql);
	node_exec(&n[A], "INSERT INTO t(id, x, y) VALUES('1', 7, 1), ('3', 7, 3), ('5', 7, 5), ('6', 7, 6)");
	for (i = 0; i < 5; i++) {
		node_exec(&n[A], "DELETE FROM t WHERE id IN ('5', '6')");
		if (i < 4)
			node_exec(&n[A], "INSERT INTO t(id, x, y) VALUES('5', 7, %d), ('6', 7, 6)", i);
		if (i == 3)
			pull(C, A);
	}
	pull(B, A);
}

static void
young(const char *kind, const char *deed)
{
	char *sql = sqlite3_mprintf("CREATE TABLE met(x UNIQUE); INSERT INTO met VALUES(1); "
	    "CREATE %s TRIGGER young AFTER INSERT ON t WHEN new.x = 1 BEGIN %s; END",
	    kind, deed);

	plainly(sql);
	sqlite3_free(sql);
}

static void
try_plainly(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(sqlite3_db_filename(n[A].db, "main"), &db), SQLITE_OK);
	sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
}

static void
try_with(int k, int e, int w, int i)
{
	print_message("# %s: %s, %s; %s %s\n", keys[k], ends[e], writes[w],
	    then[i].plainly ? "plainly" : "here", then[i].sql);
	group_open(&group);
	begin(keys[k]);
	young("", ends[e]);
	try_plainly(writes[w]);
	if (then[i].plainly)
		plainly(then[i].sql);
	else
		node_exec(&n[A], "%s", then[i].sql);
	meet(ROWS);
	/* from now on ours run first */
	try_plainly("INSERT OR FAIL INTO t(id, x, y) VALUES('10', 0, 'told'), ('20', 1, 'stays')");
	try_plainly("UPDATE OR FAIL t SET x = 1 WHERE id = '3'");
	meet(ROWS);
	node_expect(&n[B], "1\n", "SELECT count(*) FROM t WHERE id = '20'");
	pull(C, B);
	nodes_agree(&n[A], &n[C], ROWS);
	nodes_agree(&n[A], &n[C], "SELECT pk, cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY 1, 2");
	group_close();
}

/* Of so many plays one: one that fits evenly into none of the lists' lengths.  EVERY in
 * the environment says else. */
static int
step(int preset)
{
	return how_many("EVERY", preset);
}

static void
the_row_that_stays_is_told(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < KEYS * ENDS * WRITES * THEN; i += step(5))
		try_with(i % KEYS, i / KEYS % ENDS, i / KEYS / ENDS % WRITES,
		    i / KEYS / ENDS / WRITES);
}

/* With the journal a connection of ours writes as a plain program does. */
static void
with_the_journal_too(void **state)
{
	int k, e;

	(void)state;
	for (k = 0; k < KEYS; k++)
		for (e = 0; e < ENDS; e++) {
			if (is_left_out())
				continue;
			group_open(&group);
			begin(keys[k]);
			node_exec(&n[A], "SELECT crsql_config_set('capture', 'journal')");
			young("", ends[e]);
			node_try(&n[A], "INSERT OR FAIL INTO t(id, x, y) VALUES('5', 1, 'new')");
			node_try(&n[A], "INSERT OR FAIL INTO t(id, x, y) VALUES('8', 1, 'new')");
			meet(ROWS);
			node_expect(&n[B], "2\n", "SELECT count(*) FROM t WHERE x = 1");
			group_close();
		}
}

/* A delete that its trigger's RAISE(IGNORE) hides. */
static void
a_delete_is_told(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < KEYS * 2; i++) {
		k = i / 2;
		group_open(&group);
		begin(keys[k]);
		/* SQLite keeps the table's name as the trigger has it */
		plainly(i % 2 ? "CREATE TRIGGER young AFTER DELETE ON T BEGIN SELECT "
		    "RAISE(IGNORE); END" : "CREATE TRIGGER young AFTER DELETE ON t BEGIN "
		    "SELECT RAISE(IGNORE); END");
		plainly("DELETE FROM t WHERE id = '3'");
		node_exec(&n[A], "SELECT crsql_fold()");
		/* by a rowid which row it was is not known: peers are asked for it */
		node_expect(&n[A], k == 0 ? "1\n" : "0\n", "SELECT count(*) FROM "
		    "crsql_master WHERE key GLOB 'again.*'");
		if (k == 0)
			plainly("INSERT INTO t(id, x, y) VALUES('3', 0, 0); DELETE FROM t WHERE id = '3'");
		meet(ROWS);
		plainly("DELETE FROM t WHERE id = '1'");
		meet(ROWS);
		node_expect(&n[B], "0\n", "SELECT count(*) FROM t WHERE id = '1'");
		group_close();
	}
}

/* An update that gives a row another key, hidden: the row is not there twice. */
static void
another_key_is_told(void **state)
{
	int k;

	(void)state;
	for (k = 1; k < KEYS; k++) {
		group_open(&group);
		begin(keys[k]);
		plainly("CREATE TRIGGER young AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); "
		    "END; UPDATE t SET id = '2' WHERE id = '3'");
		meet(ROWS);
		node_expect(&n[B], "'1'|7\n'2'|7\n", "SELECT CAST(id AS TEXT), x FROM t "
		    "ORDER BY 1");
		group_close();
	}
}

/* What is compared by rowids is in the way of no note of an old value. */
static void
a_merge_that_finds_it_notes(void **state)
{
	static const struct mishap noted = { .max_bytes = 9999, .noted = true };
	int k;

	(void)state;
	for (k = 0; k < KEYS; k++) {
		group_open(&group);
		begin(keys[k]);
		young("", "SELECT RAISE(IGNORE)");
		plainly("INSERT INTO t(id, x, y) VALUES('77', 1, 'new')");
		node_exec(&n[B], "UPDATE t SET y = 'B' WHERE id = '3'");
		assert_true(node_pull(&n[A], &n[B], &noted));
		node_expect(&n[A], "'y'|1\n", "SELECT cid, val = 3 FROM crsql_before");
		node_expect(&n[A], "1\n", "SELECT crsql_forget_before(1e9)");
		node_expect(&n[A], "", "SELECT cid FROM crsql_before");
		meet(ROWS);
		group_close();
	}
}

/* A program's TEMP trigger runs before any other: what it leaves nobody knows of, but
 * a tombstone of it is never lowered. */
static void
a_tombstone_is_never_lowered(void **state)
{
	static const char *const deletes[] = { "DELETE FROM t WHERE id = '5'",
		"WITH RECURSIVE c(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM c WHERE "
		"i < 140) INSERT INTO t(id, x, y) SELECT i, 0, 0 FROM c; DELETE FROM t" };
	int k, d, here;

	(void)state;
	for (k = 0; k < KEYS; k++)
		for (d = 0; d < 2; d++)
			for (here = 0; here < 2; here++) {
				if (is_left_out())
					continue;
				group_open(&group);
				begin(keys[k]);
				try_plainly("CREATE TEMP TRIGGER young AFTER INSERT ON t BEGIN "
				    "SELECT RAISE(IGNORE); END; INSERT INTO t(id, x, y) VALUES('5', 1, 1)");
				if (here)
					node_exec(&n[A], "%s", deletes[d]);
				else
					plainly(deletes[d]);
				meet(ROWS);
				pull(C, A);
				nodes_agree(&n[A], &n[C], ROWS);
				group_close();
			}
}

/* A row comes, or changes, and goes in one statement. */
static const char *const gone[] = {
	"AFTER INSERT ON t WHEN new.x = 1 BEGIN DELETE FROM t WHERE id = new.id; END",
	"AFTER INSERT ON t WHEN new.x = 1 BEGIN DELETE FROM t WHERE id = new.id; "
	    "INSERT INTO t(id, x, y) VALUES(new.id, 0, 'again'); END",
	"AFTER UPDATE ON t WHEN new.x = 1 BEGIN DELETE FROM t WHERE id = new.id; END",
	"AFTER UPDATE ON t WHEN new.x = 1 BEGIN DELETE FROM t WHERE id = new.id; "
	    "INSERT INTO t(id, x, y) VALUES(new.id, 0, 'again'); END",
	"AFTER UPDATE ON t WHEN new.x = 1 BEGIN UPDATE t SET id = new.id || '0', x = 2 "
	    "WHERE id = new.id; END",
};
enum { GONE = sizeof gone / sizeof *gone };

static const char *const going[] = {
	"INSERT INTO t(id, x, y) VALUES('5', 1, 1), ('6', 1, 1), ('7', 0, 1)",
	"INSERT INTO t(id, x, y) VALUES('7', 0, 1), ('8', 1, 1), ('9', 1, 1)",
	"INSERT INTO t(id, x, y) VALUES('8', 1, 1); INSERT OR REPLACE INTO t(id, x, y) VALUES('8', 0, 1)",
	"REPLACE INTO t(id, x, y) VALUES('3', 1, 1), ('5', 1, 1), ('8', 0, 0)",
	"DELETE FROM t WHERE id = '3'; INSERT INTO t(id, x, y) VALUES('3', 1, 1)",
	"UPDATE t SET x = 1 WHERE id = '3'",
	("INSERT INTO t(id, x, y) VALUES('5', 0, 1), ('8', 0, 1); UPDATE t SET x = 1; "
	    "INSERT OR REPLACE INTO t(id, x, y) VALUES('3', 0, 3)"),
	"UPDATE t SET x = 1, id = '9' WHERE id = '3'; REPLACE INTO t(id, x, y) VALUES('9', 1, 1)",
};
enum { GOING = sizeof going / sizeof *going };

static void
a_new_row_is_gone_again(void **state)
{
	char *sql;
	int k, g, i, first;

	(void)state;
	for (k = 0; k < KEYS * GONE * GOING * 2; k += step(7)) {
		first = k % 2;
		i = k / 2 % GOING;
		g = k / 2 / GOING % GONE;
		print_message("# %s: %s; %s%s\n", keys[k / 2 / GOING / GONE], gone[g],
		    going[i], first ? ", ours first" : "");
		group_open(&group);
		begin(keys[k / 2 / GOING / GONE]);
		sql = sqlite3_mprintf("CREATE TRIGGER young %s", gone[g]);
		plainly(sql);
		sqlite3_free(sql);
		if (first)
			node_exec(&n[A], "SELECT crsql_fold()");
		plainly(going[i]);
		node_exec(&n[A], "SELECT crsql_fold()");
		node_well(&n[A]);
		meet(ROWS);
		pull(C, A);
		nodes_agree(&n[A], &n[C], ROWS);
		group_close();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_row_that_stays_is_told),
		cmocka_unit_test(with_the_journal_too),
		cmocka_unit_test(a_delete_is_told),
		cmocka_unit_test(another_key_is_told),
		cmocka_unit_test(a_merge_that_finds_it_notes),
		cmocka_unit_test(a_tombstone_is_never_lowered),
		cmocka_unit_test(a_new_row_is_gone_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

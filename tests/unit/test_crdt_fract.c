// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_fract.c - ordered lists: where rows are put, what a merge makes of
 * them, and what stands in the schema for them.  The keys: test_crdt_fract_keys.c.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TODO "CREATE TABLE todo(id INTEGER PRIMARY KEY NOT NULL, list, " \
	"pos TEXT, what TEXT, done INTEGER NOT NULL DEFAULT 0); "
#define ORDERED "SELECT crsql_fract_as_ordered('todo', 'pos', 'list'); "
#define LIST "SELECT list, group_concat(id, ' ') FROM (SELECT * FROM todo " \
	"ORDER BY list, pos, id) GROUP BY list"
#define OBJECTS "SELECT name, tbl_name FROM sqlite_schema WHERE name LIKE " \
	"'%%fractindex%%' ORDER BY replace(tbl_name, '_fractindex', ''), name"

static struct group group = { .count = 2, .sql =
	TODO "SELECT crsql_as_crr('todo'); " ORDERED };

static void
refused(const char *text, const char *sql)
{
	int rc = node_try(&n[A], "%s", sql);

	if (rc == SQLITE_OK || strcmp(sqlite3_errmsg(n[A].db), text) != 0)
		fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(n[A].db));
}

/* -- lists ------------------------------------------------------------------------- */

static void
one_is_the_end_and_minus_one_the_front(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), "
	    "(2, 'a', 1), (3, 'a', -1), (4, NULL, 1), (5, NULL, '-1'), (6, 7, 1)");
	node_expect(&n[A], "NULL|'5 4'\n7|'6'\n'a'|'3 1 2'\n", LIST);
	node_expect(&n[A], "'a '\n", "SELECT pos FROM todo WHERE id = 6");
	/* an UPDATE moves, to another list too */
	node_exec(&n[A], "UPDATE todo SET pos = -1 WHERE id = 2; "
	    "UPDATE todo SET pos = 1, list = 'a' WHERE id = 4");
	node_expect(&n[A], "NULL|'5'\n7|'6'\n'a'|'2 3 1 4'\n", LIST);
	node_exec(&n[A], "UPDATE todo SET pos = CASE WHEN id < 3 THEN 1 ELSE -1 "
	    "END WHERE list = 'a'");
	node_expect(&n[A], "NULL|'5'\n7|'6'\n'a'|'4 3 1 2'\n", LIST);
	/* what is a key already stays */
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(9, 'a', 'b00')");
	node_expect(&n[A], "'b00'\n", "SELECT pos FROM todo WHERE id = 9");
	node_well(&n[A]);
}

static void
a_row_is_put_behind_another(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), "
	    "(2, 'a', 1), (3, 'b', 1)");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, what, after_id) "
	    "VALUES(4, 'a', 'x', 1), (5, 'a', 'y', NULL), (6, 'a', 'z', 99), "
	    "(7, 'a', 'other list', 3), (8, 'a', 'last', 2)");
	node_expect(&n[A], "'a'|'7 6 5 1 4 2 8'\n'b'|'3'\n", LIST);
	node_expect(&n[A], "0|'x'\n", "SELECT done, what FROM todo WHERE id = 4");
	node_exec(&n[A], "UPDATE todo_fractindex SET after_id = 8 WHERE id = 7; "
	    "UPDATE todo_fractindex SET after_id = NULL WHERE id = 2; "
	    "UPDATE todo_fractindex SET after_id = 3, list = 'b', id = 50 WHERE "
	    "id = 5; UPDATE todo_fractindex SET pos = 1 WHERE id = 6");
	node_expect(&n[A], "'a'|'2 1 4 8 7 6'\n'b'|'3 50'\n", LIST);
	/* what says nothing of the place changes nothing of it */
	node_exec(&n[A], "UPDATE todo_fractindex SET what = 'w', done = 1 WHERE "
	    "list = 'a'");
	node_expect(&n[A], "'a'|'2 1 4 8 7 6'\n'b'|'3 50'\n", LIST);
	node_expect(&n[A], "6\n", "SELECT count(*) FROM todo_fractindex WHERE "
	    "what = 'w' AND done AND after_id IS NULL");
	node_well(&n[A]);
}

/* Two databases put rows at the same place at the same time. */
static void
rows_of_one_key_are_parted(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 'a0'), "
	    "(2, 'a', 'a1'), (3, 'a', 'a1'), (4, 'a', 'a1'), (5, 'a', 'a2')");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, after_id) "
	    "VALUES(6, 'a', 3)");
	node_expect(&n[A], "'a'|'1 3 6 2 4 5'\n", LIST);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM todo WHERE pos = 'a1'");
	node_exec(&n[A], "UPDATE todo_fractindex SET after_id = 4 WHERE id = 1");
	node_expect(&n[A], "'a'|'3 6 4 1 2 5'\n", LIST);
	node_exec(&n[A], "UPDATE todo SET pos = 'a ' WHERE id IN (3, 6); "
	    "INSERT INTO todo_fractindex(id, list, after_id) VALUES(7, 'a', 6)");
	node_expect(&n[A], "'a'|'6 7 3 4 1 2 5'\n", LIST);
	node_well(&n[A]);
}

static void
composite_keys_and_odd_names(void **state)
{
	node_exec(&n[A], "CREATE TABLE \"o \"\"x\"(rowid TEXT, k INTEGER, "
	    "\"group\", \"after\", s AS (k + 1), d TEXT NOT NULL DEFAULT bare, "
	    "PRIMARY KEY(rowid, k)); "
	    "SELECT crsql_fract_as_ordered('O \"X', 'AFTER', 'group'); "
	    "INSERT INTO \"o \"\"x\"(rowid, k, \"after\") VALUES('a', 1, 1), "
	    "('b', 1, 1), ('c', 1, -1), ('c', 2, 1); "
	    "INSERT INTO \"o \"\"x_fractindex\"(rowid, k, after_rowid, after_k) "
	    "VALUES('d', 1, 'a', 1), ('e', 1, 'a', 2); "
	    "UPDATE \"o \"\"x_fractindex\" SET after_rowid = 'b', after_k = 1 "
	    "WHERE rowid = 'c'");
	node_expect(&n[A], "'e1 a1 d1 b1 c2 c1'\n", "SELECT group_concat(rowid || k, "
	    "' ') FROM (SELECT * FROM \"o \"\"x\" ORDER BY \"after\")");
	node_expect(&n[A], "'bare'\n", "SELECT DISTINCT d FROM \"o \"\"x_fractindex\" "
	    "WHERE rowid IN ('d', 'e')");
	node_exec(&n[A], "CREATE TABLE w(a, b, o, PRIMARY KEY(a, b)) WITHOUT ROWID; "
	    "SELECT crsql_fract_as_ordered('w', 'o'); "
	    "INSERT INTO w VALUES(1, 1, 1), (1, 2, -1), (0, 0, 1); "
	    "INSERT INTO w_fractindex VALUES(5, 5, NULL, 1, 2)");
	node_expect(&n[A], "1|2\n5|5\n1|1\n0|0\n", "SELECT a, b FROM w ORDER BY o");
}

static void
cr_sqlites_triggers_find_their_function(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 'a0'), "
	    "(2, 'a', 'a1'), (3, 'a', 'a1'), (4, 'b', 'a0V')");
	node_expect(&n[A], "'a1'\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', 'list', -1, "
	    "'id', 3)");
	node_expect(&n[A], "'a0P'\n", "SELECT pos FROM todo WHERE id = 3");
	node_expect(&n[A], "'a0P'\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 'what', "
	    "3, NULL)");
	node_expect(&n[A], "'a08'\n", "SELECT pos FROM todo WHERE id = 3");
	node_expect(&n[A], "NULL\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 33)");
	refused("Too few arguments to fix_conflict_return_old_key", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id')");
	refused("Incorrect number of primary keys and values provided. Must have at "
	    "least 1 primary key.", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 1, 2)");
	refused("Failed fixing up ordering conflicts on insert", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('none', 'pos', -1, 'id', 1)");
	node_exec(&n[A], "UPDATE todo SET pos = 'x' WHERE id = 3");
	refused("Failed fixing up ordering conflicts on insert", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 3)");
	node_expect(&n[A], "'x'\n", "SELECT pos FROM todo WHERE id = 3");
}

/* -- capture and merge ------------------------------------------------------------------ */

#define WRITES "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), (2, 'a', 1); " \
	"INSERT INTO todo_fractindex(id, list, after_id) VALUES(3, 'a', 1); " \
	"UPDATE todo SET pos = -1 WHERE id = 2; " \
	"INSERT OR REPLACE INTO todo(id, list, pos) VALUES(1, 'a', 1); " \
	"REPLACE INTO todo_fractindex(id, list, after_id) VALUES(2, 'a', 3); "

static void
goes_over(struct node *from)
{
	from->index = A;
	n[A].index = B;
	assert_true(node_pull(&n[A], from, &plain));
	nodes_agree(&n[A], from, "SELECT * FROM todo ORDER BY id");
	node_expect(&n[A], "'a'|'3 2 1'\n", LIST);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM todo WHERE pos < 'A'");
	node_well(from);
	node_well(&n[A]);
}

static void
hook_and_journal_tell_the_keys(void **state)
{
	static const char *const how[] = { "SELECT 1",
		"SELECT crsql_config_set('capture', 'journal')",
		"SELECT crsql_config_set('plain-writers', 0)", NULL };
	char path[NODE_FILE];
	struct node c;
	int i;

	for (i = 0; i < 4; i++) {
		group_close();
		group_open(&group);
		node_file(path);
		node_open(&c, B, path);
		node_exec(&c, TODO "SELECT crsql_as_crr('todo'); " ORDERED);
		if (how[i] != NULL)
			node_exec(&c, "%s; " WRITES, how[i]);
		else
			node_plainly(path, WRITES);
		goes_over(&c);
		/* changes say the same, cell by cell */
		node_pull_changes(&n[B], &c, true);
		nodes_agree(&n[B], &c, "SELECT * FROM todo ORDER BY id");
		node_close(&c);
		unlink(path);
	}
}

/* What a merge brings is not put anywhere, however it comes. */
static void
a_merge_brings_keys_along(void **state)
{
	node_exec(&n[A], "DROP TRIGGER __crsql_todo_fractindex_ezmove; "
	    "DROP TRIGGER __crsql_todo_fractindex_pend_trig; "
	    "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), (2, 'a', -1), "
	    "(3, 'a', 'a0')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	node_exec(&n[A], "UPDATE todo SET pos = 1 WHERE id = 3");
	node_pull_changes(&n[B], &n[A], true);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	/* what waits so is no neighbour */
	node_exec(&n[B], "INSERT INTO todo(id, list, pos) VALUES(5, 'a', 1), "
	    "(6, 'a', -1)");
	node_expect(&n[B], "5|'a '\n6|'Z~'\n", "SELECT id, pos FROM todo WHERE "
	    "id > 4");
	/* where a program says that it merges, too */
	node_exec(&n[B], "SELECT crsql_internal_sync_bit(1); INSERT INTO todo(id, "
	    "pos) VALUES(7, 1); SELECT crsql_internal_sync_bit(0)");
	node_expect(&n[B], "'1'\n", "SELECT pos FROM todo WHERE id = 7");
}

static void
many_rows_in_one_transaction(void **state)
{
	int i;

	node_exec(&n[A], "BEGIN");
	for (i = 1; i <= 200; i++)
		node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(%d, 'a', 1)",
		    i);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "200|199\n", "SELECT count(DISTINCT pos), (SELECT count(*) "
	    "FROM todo x JOIN todo y ON y.id = x.id + 1 AND y.pos > x.pos) FROM todo");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	/* made in the midst of such a transaction, where triggers are off */
	node_exec(&n[B], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); DROP VIEW todo_fractindex; "
	    "DROP TRIGGER __crsql_todo_fractindex_pend_trig; "
	    "DROP TRIGGER __crsql_todo_fractindex_ezmove; BEGIN");
	for (i = 1; i <= 100; i++)
		node_exec(&n[B], "INSERT INTO u VALUES(%d, 'a0')", i);
	node_exec(&n[B], "SELECT crsql_fract_as_ordered('u', 'o')");
	node_exec(&n[B], "INSERT INTO u VALUES(101, 1); COMMIT");
	node_expect(&n[B], "'a1'\n", "SELECT o FROM u WHERE id = 101");
	node_well(&n[B]);
}

#define NO_KEY "a row of the list, beside which one is put, has no fractional " \
	"key: give it one first"

/* Whatever a peer writes there. */
static void
any_bytes_are_tolerated(void **state)
{
	static const char *const bad[] = { "'zzz'", "'b0'", "x'6130'", "x''",
		"'a0 '", "char(233)", "'a0' || char(0, 200)", "CAST(x'61FF' AS TEXT)",
		"CAST(x'FF' AS TEXT)", "'A                          '", "char(10)",
		"'a0' || hex(zeroblob(40000))", "CAST(x'00' AS TEXT)" };
	size_t i;
	int rc;

	node_exec(&n[B], "CREATE TABLE l(id INTEGER PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('l')");
	node_exec(&n[A], "CREATE TABLE l(id INTEGER PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('l'); SELECT crsql_fract_as_ordered('l', 'o')");
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		node_exec(&n[B], "INSERT OR REPLACE INTO l VALUES(1, %s)", bad[i]);
		pull(A, B);
		nodes_agree(&n[A], &n[B], "SELECT * FROM l");
		rc = node_try(&n[A], "INSERT INTO l VALUES(2, 1)");
		if (rc == SQLITE_OK || strcmp(sqlite3_errmsg(n[A].db), NO_KEY) != 0)
			fail_msg("%s: %s", bad[i], sqlite3_errmsg(n[A].db));
		refused(NO_KEY, "INSERT INTO l VALUES(2, -1)");
		refused(NO_KEY, "INSERT INTO l_fractindex(id, after_id) "
		    "VALUES(2, 1)");
		node_expect(&n[A], "1\n", "SELECT count(*) FROM l");
	}
	/* numbers stand before all texts, and NULL nowhere */
	node_exec(&n[B], "INSERT INTO l VALUES(3, 5), (4, 1e99), (5, NULL); "
	    "DELETE FROM l WHERE id = 1");
	pull(A, B);
	node_exec(&n[A], "INSERT INTO l VALUES(6, 1); "
	    "INSERT INTO l_fractindex(id, after_id) VALUES(7, 3)");
	node_expect(&n[A], "3\n4\n7\n6\n", "SELECT id FROM l WHERE o IS NOT NULL "
	    "ORDER BY o");
	/* full to the brim */
	node_exec(&n[B], "DELETE FROM l; INSERT INTO l VALUES(1, 'a0' || replace(hex("
	    "zeroblob(32767)), '0', '~')), (2, 'a1')");
	pull(A, B);
	node_exec(&n[A], "DELETE FROM l WHERE id > 2");
	refused("a fractional key may have at most 65536 bytes",
	    "INSERT INTO l_fractindex(id, after_id) VALUES(3, 1)");
	node_well(&n[A]);
}

/* -- the schema --------------------------------------------------------------------------- */

#define STANDING(t) "'__crsql_" t "_fractindex_ezmove'|'" t "'\n" \
	"'__crsql_" t "_fractindex_pend_trig'|'" t "'\n" \
	"'" t "_fractindex'|'" t "_fractindex'\n" \
	"'" t "_fractindex_insert_trig'|'" t "_fractindex'\n" \
	"'" t "_fractindex_set_trig'|'" t "_fractindex'\n" \
	"'" t "_fractindex_update_trig'|'" t "_fractindex'\n"

static void
it_follows_what_is_renamed(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1); "
	    "ALTER TABLE todo RENAME COLUMN pos TO \"the \"\"pos\"; "
	    "ALTER TABLE todo RENAME COLUMN list TO 'l i'; "
	    "ALTER TABLE todo RENAME COLUMN id TO key; "
	    "ALTER TABLE todo RENAME TO t; ALTER TABLE t ADD COLUMN more");
	/* before it is taken note of, it works under the old names */
	node_exec(&n[A], "INSERT INTO t(key, \"l i\", \"the \"\"pos\") "
	    "VALUES(2, 'a', -1); SELECT crsql_fold()");
	node_expect(&n[A], STANDING("t"), OBJECTS);
	node_exec(&n[A], "INSERT INTO t_fractindex(key, \"l i\", more, after_key) "
	    "VALUES(3, 'a', 'm', 2)");
	node_expect(&n[A], "2|NULL\n3|'m'\n1|NULL\n", "SELECT key, more FROM t "
	    "ORDER BY \"the \"\"pos\"");
	/* two tables that change names */
	node_exec(&n[A], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); SELECT crsql_fract_as_ordered('u', 'o'); "
	    "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; "
	    "ALTER TABLE x RENAME TO u; SELECT crsql_fold(); "
	    "INSERT INTO t VALUES(1, 1); INSERT INTO u_fractindex(key, \"l i\", "
	    "after_key) VALUES(4, 'a', 3)");
	node_expect(&n[A], STANDING("t") STANDING("u"), OBJECTS);
	node_expect(&n[A], "2\n3\n4\n1\n", "SELECT key FROM u ORDER BY "
	    "\"the \"\"pos\"");
	node_well(&n[A]);
}

/* Without DDL that SQLite keeps right. */
static void
legacy_renaming_is_mended(void **state)
{
	sqlite3_db_config(n[A].db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
	node_exec(&n[A], "ALTER TABLE todo RENAME TO t; SELECT crsql_fold(); "
	    "INSERT INTO t(id, pos) VALUES(1, 1); "
	    "INSERT INTO t_fractindex(id, after_id) VALUES(2, 1)");
	node_expect(&n[A], STANDING("t"), OBJECTS);
	node_well(&n[A]);
}

static void
it_goes_with_its_table(void **state)
{
	node_exec(&n[A], "DROP TABLE todo; SELECT crsql_fold()");
	node_expect(&n[A], "", OBJECTS);
	/* at a commit too, and without anybody's asking */
	node_exec(&n[B], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); BEGIN; DROP TABLE todo; "
	    "INSERT INTO u VALUES(1, 1); COMMIT");
	node_expect(&n[B], "", OBJECTS);
	node_exec(&n[B], "CREATE VIEW my_fractindex AS SELECT 1; "
	    "ALTER TABLE u RENAME TO v; SELECT crsql_fold()");
	node_expect(&n[B], "'my_fractindex'|'my_fractindex'\n", OBJECTS);
}

static void
columns_come_and_go_inside_an_alter(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1); "
	    "SELECT crsql_begin_alter('todo'); ALTER TABLE todo DROP COLUMN what; "
	    "ALTER TABLE todo RENAME COLUMN list TO l; "
	    "ALTER TABLE todo ADD COLUMN n DEFAULT 3; "
	    "SELECT crsql_commit_alter('todo')");
	node_expect(&n[A], STANDING("todo"), OBJECTS);
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, l, n, after_id) "
	    "VALUES(2, 'a', 4, 1); INSERT INTO todo(id, l, pos) VALUES(3, 'a', 1)");
	node_expect(&n[A], "1|3\n2|4\n3|3\n", "SELECT id, n FROM todo ORDER BY pos");
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "ROLLBACK TO alter_crr; RELEASE alter_crr");
	node_expect(&n[A], STANDING("todo"), OBJECTS);
	/* a column that it needs */
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "ALTER TABLE todo DROP COLUMN l; SELECT crsql_commit_alter('todo'); "
	    "INSERT INTO todo(id, pos) VALUES(4, 1)");
	node_expect(&n[A], "", OBJECTS);
	node_expect(&n[A], "'1'\n", "SELECT pos FROM todo WHERE id = 4");
	node_well(&n[A]);
}

static void
a_table_made_anew_leaves_nothing(void **state)
{
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "CREATE TABLE new(id INTEGER PRIMARY KEY NOT NULL, pos TEXT, list); "
	    "INSERT INTO new SELECT id, pos, list FROM todo; DROP TABLE todo; "
	    "ALTER TABLE new RENAME TO todo; SELECT crsql_commit_alter('todo')");
	node_expect(&n[A], "", OBJECTS);
	node_exec(&n[A], ORDERED "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1)");
	node_expect(&n[A], "'a '\n", "SELECT pos FROM todo");
	node_well(&n[A]);
	/* a plain table keeps its order, and a replicated one gets it */
	node_exec(&n[A], "SELECT crsql_as_table('todo'); INSERT INTO todo(id, list, "
	    "pos) VALUES(2, 'a', -1); SELECT crsql_as_crr('todo'); "
	    "INSERT INTO todo(id, list, pos) VALUES(3, 'a', -1)");
	node_expect(&n[A], "'a'|'3 2 1'\n", LIST);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT id, list, pos FROM todo ORDER BY id");
	node_well(&n[A]);
}

static void
ordered_again_by_other_columns(void **state)
{
	char *before, *after;

	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1)");
	before = node_rows(&n[A], "SELECT name, rowid FROM sqlite_schema");
	node_exec(&n[A], "SELECT crsql_fract_as_ordered('TODO', 'POS', 'LIST')");
	after = node_rows(&n[A], "SELECT name, rowid FROM sqlite_schema");
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
	node_exec(&n[A], "SELECT crsql_fract_as_ordered('todo', 'what', 'pos'); "
	    "INSERT INTO todo(id, pos, what) VALUES(2, 1, 1); "
	    "UPDATE todo SET pos = 1 WHERE id = 1");
	node_expect(&n[A], "1|'1'|NULL\n2|'1'|'a '\n", "SELECT id, pos, what FROM "
	    "todo ORDER BY id");
}

static void
a_migration_keeps_the_order(void **state)
{
	static const char schema[] = "SELECT crsql_automigrate('"
	    "CREATE TABLE IF NOT EXISTS todo(id INTEGER PRIMARY KEY NOT NULL, list, "
	    "pos TEXT, extra); SELECT crsql_as_crr(''todo''); "
	    "CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY, o%s); "
	    "SELECT crsql_fract_as_ordered(''todo'', ''pos'', ''list''); "
	    "SELECT crsql_fract_as_ordered(''p'', ''o'')')";

	node_exec(&n[A], schema, ", gone");
	node_expect(&n[A], STANDING("p") STANDING("todo"), OBJECTS);
	node_exec(&n[A], schema, ", came");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, extra, after_id) "
	    "VALUES(1, 'a', 2, NULL); INSERT INTO p_fractindex(id, came, after_id) "
	    "VALUES(1, 2, NULL), (2, 3, 1)");
	node_expect(&n[A], "1|3\n", "SELECT a.extra - 1, b.came FROM todo a, p b "
	    "WHERE b.id = 2");
	node_well(&n[A]);
}

static void
what_cannot_be_ordered(void **state)
{
	node_exec(&n[A], "CREATE TABLE k(o); CREATE TABLE c(id INTEGER PRIMARY KEY, "
	    "o COLLATE NOCASE, g AS (1)); CREATE TABLE a(id INTEGER PRIMARY KEY, o, "
	    "after_id); CREATE TABLE v(id INTEGER PRIMARY KEY, o); "
	    "CREATE VIEW v_fractindex AS SELECT 1; BEGIN; INSERT INTO v VALUES(1, 2)");
	refused("Must provide at least 2 arguments -- the table name and the column "
	    "to order by", "SELECT crsql_fract_as_ordered('todo')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('todo', 'no')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('todo', 'pos', NULL)");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('none', 'pos')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered(NULL, 'pos')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('v_fractindex', '1')");
	refused("Table todo can't be ordered by column id, which is part of its "
	    "primary key", "SELECT crsql_fract_as_ordered('todo', 'id')");
	refused("Table todo can't be ordered by column pos, which is also one that "
	    "tells lists apart", "SELECT crsql_fract_as_ordered('todo', 'pos', 'pos')");
	refused("Table c can't be ordered by column g, which is computed",
	    "SELECT crsql_fract_as_ordered('c', 'g')");
	refused("Table c can't be ordered by column g, which is computed",
	    "SELECT crsql_fract_as_ordered('c', 'o', 'g')");
	refused("Column o of table c has the collation NOCASE: fractional keys are "
	    "ordered by their bytes", "SELECT crsql_fract_as_ordered('c', 'o')");
	refused("Table k has no primary key: a row could not be named, behind which "
	    "another one is put", "SELECT crsql_fract_as_ordered('k', 'o')");
	refused("Table a has a column after_id, which a_fractindex needs the name of",
	    "SELECT crsql_fract_as_ordered('a', 'o')");
	refused("Table v can't be ordered: v_fractindex is there already",
	    "SELECT crsql_fract_as_ordered('v', 'o')");
	/* the caller's transaction goes on, and nothing is left */
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM v");
	node_expect(&n[A], STANDING("todo") "'v_fractindex'|'v_fractindex'\n", OBJECTS);
	/* nor does anybody's view keep others from committing */
	node_exec(&n[A], "CREATE VIEW w_fractindex AS SELECT 2; "
	    "ALTER TABLE todo RENAME TO w; SELECT crsql_fold(); "
	    "INSERT INTO w(id, pos) VALUES(1, 1)");
	node_expect(&n[A], "'v_fractindex'|'v_fractindex'\n"
	    "'w_fractindex'|'w_fractindex'\n", OBJECTS);
}

/* It has the names of ours, and is another's: nobody drops or replaces it. */
static void
a_users_own_view_stays(void **state)
{
	char *before;

	node_exec(&n[A], "CREATE TABLE mine(id INTEGER PRIMARY KEY, o); "
	    "CREATE VIEW \"mine_fractindex\" AS SELECT \"id\" FROM mine; "
	    "CREATE TRIGGER \"mine_fractindex_insert_trig\" INSTEAD OF INSERT ON "
	    "\"mine_fractindex\" BEGIN INSERT INTO mine(id) VALUES(new.id); END");
	before = node_rows(&n[A], OBJECTS);
	refused("Table mine can't be ordered: mine_fractindex is there already",
	    "SELECT crsql_fract_as_ordered('mine', 'o')");
	/* neither as the schema changes */
	node_exec(&n[A], "ALTER TABLE todo ADD COLUMN more; SELECT crsql_fold(); "
	    "INSERT INTO mine_fractindex VALUES(1)");
	node_expect(&n[A], before, OBJECTS);
	node_expect(&n[A], "1\n", "SELECT count(*) FROM mine");
	sqlite3_free(before);
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_is_the_end_and_minus_one_the_front),
		TEST(a_row_is_put_behind_another),
		TEST(rows_of_one_key_are_parted),
		TEST(composite_keys_and_odd_names),
		TEST(cr_sqlites_triggers_find_their_function),
		TEST(hook_and_journal_tell_the_keys),
		TEST(a_merge_brings_keys_along),
		TEST(many_rows_in_one_transaction),
		TEST(any_bytes_are_tolerated),
		TEST(it_follows_what_is_renamed),
		TEST(legacy_renaming_is_mended),
		TEST(it_goes_with_its_table),
		TEST(columns_come_and_go_inside_an_alter),
		TEST(a_table_made_anew_leaves_nothing),
		TEST(ordered_again_by_other_columns),
		TEST(a_migration_keeps_the_order),
		TEST(what_cannot_be_ordered),
		TEST(a_users_own_view_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

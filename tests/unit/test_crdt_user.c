// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_user.c - tables and triggers as users declare them: the odd ones
 * that SQLite takes too.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	"SELECT crsql_as_crr('r')" };

/* Only that spelling is no other name of the rowid. */
static void
an_integer_key_desc_is_not_the_rowid(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE d(id INTEGER PRIMARY KEY DESC, x); "
	    "SELECT crsql_as_crr('d')");
	node_exec(&n[A], "INSERT INTO d VALUES(100, 'a'), (7, 'b'), (1, 'c'); "
	    "UPDATE d SET x = 'z' WHERE id = 7");
	pull(B, A);
	node_exec(&n[B], "UPDATE d SET x = 'd' WHERE id = 7; "
	    "DELETE FROM d WHERE id = 100; INSERT INTO d VALUES(9, 'e')");
	pull(A, B);
	node_expect(&n[A], "1|'c'\n7|'d'\n9|'e'\n", "SELECT * FROM d ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT * FROM d ORDER BY id");
}

/* A row that leaves its run takes a place in the old transaction: one that was
 * free, and that the row which left it must not clear. */
static void
a_row_gets_another_rowid(void **state)
{
	node_exec(&n[A], "CREATE TABLE s(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('s'); INSERT INTO s(rowid, id) VALUES(9, 'high'); "
	    "BEGIN; INSERT INTO r VALUES('m', 1); "
	    "INSERT INTO s(rowid, id, x) VALUES(3, 'low', 1); COMMIT; "
	    "UPDATE s SET x = 2 WHERE id = 'low'; UPDATE r SET rowid = 50; "
	    "DELETE FROM s WHERE id = 'low'");
	node_well(&n[A]);
	pull(B, A);
	node_expect(&n[B], "'m'|1\n", "SELECT * FROM r");
}

static void
refuse_b(const char *kind, const char *event)
{
	node_exec(&n[B], "CREATE %s TRIGGER w AFTER %s ON r WHEN "
	    "%s.id = 'b' BEGIN SELECT RAISE(FAIL, 'no'); END", kind, event,
	    strcmp(event, "DELETE") == 0 ? "old" : "new");
}

/* RAISE(FAIL) leaves what the statement wrote: not of a parked change. */
static void
what_a_trigger_fails_is_not_written(void **state)
{
	static const char *const kind[] = { "", "TEMP" };
	static const char *const event[] = { "INSERT", "UPDATE", "DELETE" };
	static const char *const change[] = {
		"INSERT INTO r VALUES('a', 1), ('b', 2), ('c', 3)",
		"UPDATE r SET x = x + 10",
		"DELETE FROM r WHERE id <> 'c'" };
	char *before;
	int i;

	for (i = 0; i < 6; i++) {
		if (i == 3)
			nodes_exec(n, COUNT, "DELETE FROM r");
		before = node_rows(&n[B], "SELECT * FROM r WHERE id = 'b'");
		refuse_b(kind[i / 3], event[i % 3]);
		node_exec(&n[A], "%s", change[i % 3]);
		pull(B, A);
		node_expect(&n[B], before, "SELECT * FROM r WHERE id = 'b'");
		sqlite3_free(before);
		node_expect(&n[B], "1\n", "SELECT count(*) FROM crsql_parked");
		node_exec(&n[B], "DROP TRIGGER w; SELECT crsql_unpark()");
		nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	}
}

/* Inside an INSERT of crsql_changes there is no savepoint. */
static void
what_a_trigger_fails_is_not_committed(void **state)
{
	refuse_b("", "INSERT");
	node_exec(&n[B], "BEGIN");
	assert_int_not_equal(node_change(&n[B], "r", "'b'", "x", "1", 1, 1, S1,
	    1, 0), SQLITE_OK);
	assert_int_not_equal(node_try(&n[B], "COMMIT"), SQLITE_OK);
	node_try(&n[B], "ROLLBACK");
	node_expect(&n[B], "", "SELECT * FROM r");
	assert_int_equal(node_change(&n[B], "r", "'a'", "x", "1", 1, 1, S1,
	    1, 0), SQLITE_OK);
	node_expect(&n[B], "'a'|1\n", "SELECT * FROM r");
}

static void
replace_with(const char *body, const char *want)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1); CREATE TRIGGER f AFTER DELETE "
	    "ON r BEGIN %s; END; REPLACE INTO r VALUES('a', 2); DROP TRIGGER f", body);
	node_expect(&n[A], want, "SELECT cid, col_version, cl FROM crsql_changes WHERE "
	    "\"table\" = 'r' ORDER BY cid");
	node_well(&n[A]);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r, w");
	node_exec(&n[A], "SELECT crsql_as_table('r'); DELETE FROM r; "
	    "SELECT crsql_as_crr('r')");
}

/* A REPLACE is an update of all columns.  With recursive_triggers its delete fires
 * triggers: where one writes a row, be the table replicated or not, delete and insert
 * are two, as they are for cr-sqlite. */
static void
r06_replace_whose_delete_fires_a_write(void **state)
{
	static const char again[] = "'-1'|3|3\n'x'|1|3\n", updated[] = "'x'|2|1\n";

	nodes_exec(n, COUNT, "CREATE TABLE w(id INTEGER PRIMARY KEY NOT NULL); "
	    "SELECT crsql_as_crr('w'); CREATE TABLE plain(x); "
	    "PRAGMA recursive_triggers = 1");
	replace_with("INSERT INTO w VALUES(1)", again);
	replace_with("DELETE FROM w", again);
	replace_with("DELETE FROM w", updated);         /* nothing is there */
	replace_with("INSERT INTO plain VALUES(1)", again);
	replace_with("DELETE FROM plain", again);
	replace_with("DELETE FROM plain", updated);
}

#define T(f) GROUP_TEST(f, group)

/* Programs ask for it behind statements that insert nothing. */
static void
the_id_of_the_last_row_stays(void **state)
{
	static const char *const sql[] = {
		"UPDATE r SET x = 2", "UPDATE plain SET x = 2", "INSERT INTO w VALUES(1, 1)",
		"BEGIN; UPDATE r SET x = 3; COMMIT", "DELETE FROM r", "DELETE FROM plain",
	};
	size_t i;

	node_exec(&n[A], "CREATE TABLE w(id PRIMARY KEY NOT NULL, x) WITHOUT ROWID; "
	    "SELECT crsql_as_crr('w'); INSERT INTO r VALUES('a', 1); CREATE TABLE plain(x); "
	    "INSERT INTO plain VALUES(1), (2), (3)");
	for (i = 0; i < sizeof sql / sizeof *sql; i++) {
		node_exec(&n[A], "%s", sql[i]);
		assert_int_equal(3, sqlite3_last_insert_rowid(n[A].db));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_integer_key_desc_is_not_the_rowid),
		T(a_row_gets_another_rowid),
		T(the_id_of_the_last_row_stays),
		T(what_a_trigger_fails_is_not_written),
		T(what_a_trigger_fails_is_not_committed),
		T(r06_replace_whose_delete_fires_a_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_limits.c - limits of cr-sqlite that are none: many columns,
 * names of any kind; and numbers that a stranger may not send.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .file = true };

/* As many as SQLite allows of a table, unless COLUMNS_MAX says otherwise. */
static int
all_columns(void)
{
	const char *text = getenv("COLUMNS_MAX");
	int some = text != NULL ? atoi(text) : 0;

	return some >= 100 ? some : 2000;
}

/* CREATE TABLE w(id TYPE PRIMARY KEY NOT NULL, c1, c2 ...), replicated; some
 * of its columns have names. */
static void
make_wide(int at, const char *type, int columns)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	char *sql;
	int i;

	sqlite3_str_appendf(s, "CREATE TABLE w(id %s PRIMARY KEY NOT NULL, first",
	    type);
	for (i = 2; i < columns - 2; i++) {
		if (i == columns / 2)
			sqlite3_str_appendall(s, ", middle");
		else if (i == columns * 3 / 4)
			sqlite3_str_appendall(s, ", later");
		else
			sqlite3_str_appendf(s, ", c%d", i);
	}
	sqlite3_str_appendall(s, ", \"last but one\", last); "
	    "SELECT crsql_as_crr('w')");
	sql = sqlite3_str_finish(s);
	node_exec(&n[at], "%s", sql);
	sqlite3_free(sql);
}

static void
a_table_may_have_all_columns(const char *type, const char *key)
{
	const int columns = all_columns();

	make_wide(A, type, columns);
	make_wide(B, type, columns);
	node_exec(&n[A], "INSERT INTO w(id, first, last) VALUES(%s, 1, 2); UPDATE w "
	    "SET \"last but one\" = 3", key);
	node_expect(&n[A], "1\n", "SELECT count(*) = %d FROM crsql_changes",
	    columns - 1);
	node_expect(&n[A], "3|2\n", "SELECT val, col_version FROM crsql_changes "
	    "WHERE cid = 'last but one'");
	/* a program that loads nothing */
	plainly("UPDATE w SET middle = 4; INSERT INTO w(id, last) "
	    "VALUES(77, 7)");
	node_expect(&n[A], "4\n", "SELECT val FROM crsql_changes WHERE "
	    "col_version > 1 AND cid = 'middle'");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM w ORDER BY id");
	assert_int_equal(node_change(&n[B], "w", key, "later", "5", 9, 9, S1, 1,
	    0), SQLITE_OK);
	node_exec(&n[B], "DELETE FROM w WHERE id = 77; INSERT INTO w(id, later) "
	    "VALUES(78, 8)");
	pull(A, B);
	node_pull_changes(&n[A], &n[B], true);
	node_expect(&n[A], "1|4|5|3|2\nNULL|NULL|8|NULL|NULL\n",
	    "SELECT first, middle, later, \"last but one\", last FROM w ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT * FROM w ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT pk, cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY pk, cid");
}

static void
two_thousand_columns_with_an_integer_key(void **state)
{
	a_table_may_have_all_columns("INTEGER", "1");
}

static void
two_thousand_columns_with_another_key(void **state)
{
	a_table_may_have_all_columns("TEXT", "'1'");
}

/* PRIMARY KEY(k1, k2 ...) of that many columns. */
static char *
key_table(const char *name, int columns)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	sqlite3_str_appendf(s, "CREATE TABLE %s(v", name);
	for (i = 1; i <= columns; i++)
		sqlite3_str_appendf(s, ", k%d NOT NULL DEFAULT %d", i, i);
	for (i = 1; i <= columns; i++)
		sqlite3_str_appendf(s, "%s k%d", i > 1 ? "," : ", PRIMARY KEY(", i);
	sqlite3_str_appendall(s, "))");
	return sqlite3_str_finish(s);
}

/* The number of columns of a packed key is one byte. */
static void
a_key_has_at_most_255_columns(void **state)
{
	char *most = key_table("k", 255), *more = key_table("l", 256);
	char *again = key_table("k", 256);

	node_exec(&n[A], "%s; %s", most, more);
	assert_int_equal(node_try(&n[A], "SELECT crsql_as_crr('l')"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[A].db), "Table l has a key of more "
	    "than 255 columns: it can't be packed");
	node_exec(&n[B], "%s; SELECT crsql_as_crr('k')", most);
	node_exec(&n[A], "SELECT crsql_as_crr('k'); INSERT INTO k(v) VALUES(1); "
	    "UPDATE k SET v = 2; UPDATE k SET k255 = 0");
	plainly("UPDATE k SET k254 = 0; INSERT INTO k(k255) "
	    "VALUES('x')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM k ORDER BY k255");
	/* one that became wider behind our back is no replicated table any more */
	plainly("DROP TABLE k");
	plainly(again);
	node_exec(&n[A], "INSERT INTO k(v) VALUES(1); INSERT INTO l(v) VALUES(1)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM k");
	sqlite3_free(most);
	sqlite3_free(more);
	sqlite3_free(again);
}

/* Of tables, and of a column. */
static const char *const names[] = { "a b", "it's", "say \"x\"", "group",
	"select", "\xC3\xBC\xE8\xA1\xA8", "per%cent %s %d", "under_score", "[br]",
	"back`tick", "semi;colon", "-- comment", "new\nline", "*", "?1", ":a",
	"\\", ".", "\"", "\"\"", "'", "T__crsql_clock", "main", "old",
	"NULL", "-", "-1x", "0" };

/* How many of them are tried, from the first on: NAMES in the environment, all
 * unless it says otherwise. */
static size_t
name_count(void)
{
	const char *text = getenv("NAMES");
	size_t all = sizeof names / sizeof *names;
	size_t some = text != NULL ? (size_t)atoi(text) : 0;

	return some > 0 && some < all ? some : all;
}

static void
any_name_of_a_table(void **state)
{
	size_t count = name_count(), i;

	for (i = 0; i < count; i++) {
		node_exec(&n[A], "CREATE TABLE \"%w\"(id TEXT PRIMARY KEY NOT NULL, "
		    "\"%w\", x); SELECT crsql_as_crr(%Q)", names[i], names[i],
		    names[i]);
		node_exec(&n[B], "CREATE TABLE \"%w\"(id TEXT PRIMARY KEY NOT NULL, "
		    "\"%w\", x); SELECT crsql_as_crr(%Q)", names[i], names[i],
		    names[i]);
		node_exec(&n[A], "INSERT INTO \"%w\" VALUES('k', 1, 1), ('l', 2, 2), "
		    "('m', 3, 3); UPDATE \"%w\" SET \"%w\" = 9 WHERE id = 'l'; "
		    "DELETE FROM \"%w\" WHERE id = 'm'", names[i], names[i],
		    names[i], names[i]);
	}
	for (i = 0; i < count; i++) {
		char *sql = sqlite3_mprintf("INSERT INTO \"%w\" VALUES('p', 1, 1); "
		    "UPDATE \"%w\" SET \"%w\" = 5 WHERE id = 'k'; UPDATE \"%w\" SET "
		    "id = 'z' WHERE id = 'l'", names[i], names[i], names[i],
		    names[i]);

		plainly(sql);
		sqlite3_free(sql);
	}
	pull(B, A);
	node_pull_changes(&n[B], &n[A], true);
	for (i = 0; i < count; i++) {
		char *sql = sqlite3_mprintf("SELECT * FROM \"%w\" ORDER BY id",
		    names[i]);

		node_expect(&n[B], "'k'|5|1\n'p'|1|1\n'z'|9|2\n", "%s", sql);
		nodes_agree(&n[A], &n[B], sql);
		sqlite3_free(sql);
	}
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, col_version, "
	    "cl FROM crsql_changes ORDER BY 1, 2, 3");
}

/* Those that cr-sqlite takes for its own. */
static void
columns_called_minus_one_and_crsql_key(void **state)
{
	static const char make[] = "CREATE TABLE t(__crsql_key TEXT PRIMARY KEY "
	    "NOT NULL, \"-1\", \"\"\"-1\"\"\", \"\"\"\"\"-1\"\"\"\"\", "
	    "\"\"\"-1\", col_name); SELECT crsql_as_crr('t')";

	nodes_exec(n, COUNT, make);
	node_exec(&n[A], "INSERT INTO t VALUES('k', 1, 2, 3, 4, 5)");
	node_expect(&n[A], "'\"-1\"'|1\n'\"\"-1\"\"'|2\n'\"\"\"-1\"\"\"'|3\n"
	    "'\"-1'|4\n'col_name'|5\n", "SELECT cid, val FROM crsql_changes");
	node_pull_changes(&n[B], &n[A], false);
	nodes_agree(&n[A], &n[B], "SELECT * FROM t");
	plainly("UPDATE t SET \"-1\" = NULL, \"\"\"-1\"\"\" = 6");
	node_pull_changes(&n[B], &n[A], false);
	nodes_agree(&n[A], &n[B], "SELECT * FROM t");
	node_exec(&n[B], "DELETE FROM t");
	node_pull_changes(&n[A], &n[B], false);
	node_expect(&n[A], "'-1'|2\n", "SELECT cid, cl FROM crsql_changes");
	node_exec(&n[A], "INSERT INTO t VALUES('k', 7, 8, 9, 10, 11)");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM t");
	nodes_agree(&n[A], &n[B], "SELECT cid, val, col_version, cl FROM "
	    "crsql_changes");
}

/* R22: cr-sqlite takes any, and has no version left for its own. */
static void
numbers_of_strangers_are_bounded(void **state)
{
	static const char *const numbers[] = {  /* version, dbv, cl, seq */
		"9223372036854775807, 1, 1, 0", "-1, 1, 1, 0",
		"9007199254740993, 1, 1, 0", "1, 9223372036854775806, 1, 0",
		"1, -1, 1, 0", "1, 9007199254740993, 1, 0",
		"4294967300, 1, 1, 0", "1, 4294967300, 1, 0",
		"1, 1, 9223372036854775807, 0", "1, 1, 4294967301, 0",
		"1, 1, 1, -1", "1, 1, 1, 9223372036854775807" };
	size_t i;

	node_exec(&n[A], "CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('t'); INSERT INTO t VALUES(1, 1)");
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (node_try(&n[A], "INSERT INTO crsql_changes(\"table\", pk, cid, "
		    "val, site_id, col_version, db_version, cl, seq) VALUES('t', "
		    "x'010901', 'x', 9, " S1 ", %s)", numbers[i]) == SQLITE_OK)
			fail_msg("accepted: %s", numbers[i]);
	}
	node_exec(&n[A], "UPDATE t SET x = 2");
	node_expect(&n[A], "2|2|2|1\n", "SELECT val, col_version, db_version, cl "
	    "FROM crsql_changes");
	node_expect(&n[A], "3\n", "SELECT crsql_next_db_version("
	    "9223372036854775807)");
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(two_thousand_columns_with_an_integer_key),
		T(two_thousand_columns_with_another_key),
		T(a_key_has_at_most_255_columns),
		T(any_name_of_a_table),
		T(columns_called_minus_one_and_crsql_key),
		T(numbers_of_strangers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_at_once.c - crsql_as_crrs: what it leaves is what crsql_as_crr leaves,
 * table by table; it costs in proportion to their number; where the schema may not be
 * written it does the same one by one; and a failure leaves nothing.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[NODE_FILE], other_path[NODE_FILE];
static struct node n, other;

static int
make_file(void **state)
{
	node_file(path);
	node_file(other_path);
	node_open(&n, 0, path);
	node_open(&other, 1, other_path);
	return 0;
}

static int
remove_file(void **state)
{
	node_close(&n);
	node_close(&other);
	unlink(path);
	unlink(other_path);
	return 0;
}

/* Tables of all kinds, in other schemas' company. */
static void
create(struct node *node, int from, int to)
{
	static const char *const forms[] = {
		"id INTEGER PRIMARY KEY, a, b", "id TEXT PRIMARY KEY, a, b",
		"id, k, a DEFAULT 1, PRIMARY KEY(k, id)",
		"id TEXT PRIMARY KEY NOT NULL, a, b",
	};
	int i;

	node_exec(node, "BEGIN");
	for (i = from; i < to; i++)
		node_exec(node, "CREATE TABLE \"T %d\"(%s)%s; CREATE INDEX \"i %d\" ON "
		    "\"T %d\"(a); INSERT INTO \"T %d\" VALUES('1', '2', '3'), "
		    "('2', 3, 4)", i, forms[i % 4], i % 4 == 3 ? " WITHOUT ROWID" : "", i, i, i);
	node_exec(node, "COMMIT");
}

#define ALL "SELECT crsql_as_crrs(json_group_array(name)) FROM sqlite_schema " \
	"WHERE type = 'table' AND name GLOB 'T *' AND name NOT LIKE '%%crsql%%'"
#define SCHEMA "SELECT rowid, type, name, tbl_name, sql FROM main.sqlite_schema"
#define BY_NAME "SELECT type, name, tbl_name, sql FROM main.sqlite_schema " \
	"ORDER BY name"

static void
one_by_one(struct node *node, int from, int to)
{
	int i;

	node_exec(node, "BEGIN");
	for (i = from; i < to; i++)
		node_exec(node, "SELECT crsql_as_crr('T %d')", i);
	node_exec(node, "COMMIT");
}

static void
well(struct node *node)
{
	node_expect(node, "", "SELECT * FROM crsql_check");
	node_expect(node, "0\n", "SELECT crsql_schema_pending()");
	node_expect(node, "'ok'\n", "PRAGMA integrity_check");
}

/* Both say the same of tables, triggers, rows. */
static void
same(const char *schema)
{
	nodes_agree(&n, &other, schema);
	nodes_agree(&n, &other, "SELECT id, name, hw FROM crsql_tbl");
	nodes_agree(&n, &other, "SELECT * FROM crsql_col");
	nodes_agree(&n, &other, "SELECT key, value FROM crsql_master WHERE key NOT "
	    "IN ('log_id', 'looked') AND key NOT LIKE 'check.%' ORDER BY key");
	nodes_agree(&n, &other, "SELECT \"table\", pk, cid, val, col_version, cl "
	    "FROM crsql_changes ORDER BY 1, 2, 3");
	well(&n);
}

/* -- alike ---------------------------------------------------------------------- */

static void
it_leaves_what_one_by_one_leaves(void **state)
{
	create(&n, 0, 3);
	create(&other, 0, 3);
	node_expect(&n, "3\n", ALL);
	one_by_one(&other, 0, 3);
	same(SCHEMA " ORDER BY rowid");
	node_expect(&n, "1\n", "SELECT count(DISTINCT db_version) FROM crsql_changes");
	node_exec(&n, "UPDATE \"T 1\" SET b = 7");
	node_plainly(path, "UPDATE \"T 2\" SET a = 7; DELETE FROM \"T 0\"");
	well(&n);
	node_expect(&n, "0\n", ALL);
}

/* More than are known to SQLite at a time, some that have no rowids. */
static void
of_many_tables_too(void **state)
{
	create(&n, 0, 150);
	create(&other, 0, 150);
	node_expect(&n, "150\n", ALL);
	one_by_one(&other, 0, 150);
	same(BY_NAME);
	node_expect(&n, "0\n", "SELECT count(*) FROM (SELECT 1 FROM sqlite_schema "
	    "WHERE rootpage > 0 GROUP BY rootpage HAVING count(*) > 1)");
	node_close(&n);
	node_open(&n, 0, path);
	same(BY_NAME);
}

static int64_t steps;

static int
step(void *unused)
{
	steps++;
	return 0;
}

static int64_t
steps_for(int count)
{
	node_close(&n);
	unlink(path);
	node_open(&n, 0, path);
	create(&n, 0, count);
	steps = 0;
	sqlite3_progress_handler(n.db, 1, step, NULL);
	node_exec(&n, ALL);
	sqlite3_progress_handler(n.db, 0, NULL, NULL);
	return steps;
}

/* One by one four times as many take sixteen times as long. */
static void
it_grows_with_their_number(void **state)
{
	int64_t few = steps_for(64), many = steps_for(256);

	print_message("64 tables: %lld steps, 256: %lld\n", (long long)few,
	    (long long)many);
	assert_true(many < 5 * few);
}

/* -- who is there already -------------------------------------------------------- */

static void
names_are_found_as_crsql_as_crr_finds_them(void **state)
{
	create(&n, 0, 4);
	create(&other, 0, 4);
	node_exec(&n, "SELECT crsql_as_crr('T 2')");
	node_exec(&other, "SELECT crsql_as_crr('T 2')");
	node_expect(&n, "3\n", "SELECT crsql_as_crrs('[\"t 3\", \"T 0\", \"t 0\", "
	    "\"T 2\", \"T 1\"]')");
	node_exec(&other, "BEGIN; SELECT crsql_as_crr('T 3'), crsql_as_crr('T 0'), "
	    "crsql_as_crr('T 1'); COMMIT");
	same(BY_NAME);
	node_expect(&n, "0|0\n", "SELECT crsql_as_crrs('[]'), crsql_as_crrs(NULL)");
}

/* SQLite drops nothing while a statement reads the schema. */
#define NINE(last) "SELECT crsql_as_crrs('[\"T 0\", \"T 1\", \"T 2\", \"T 3\", " \
	"\"T 4\", \"T 5\"" AND_##last "]')"
#define AND_5 ""
#define AND_8 ", \"T 6\", \"T 7\", \"T 8\""

/* What we left there is used again, what is a user's is in the way. */
static void
names_that_are_taken(void **state)
{
	create(&n, 0, 3);
	node_exec(&n, ALL "; SELECT crsql_as_table('T 1'); CREATE TABLE "
	    "\"T 1__crsql_meta\"(key INTEGER PRIMARY KEY, m BLOB NOT NULL)");
	create(&n, 3, 6);
	node_expect(&n, "4\n", NINE(5));
	well(&n);
	create(&n, 6, 9);
	node_exec(&n, "CREATE TABLE \"T 7__crsql_dead\"(x)");
	assert_int_equal(node_try(&n, NINE(8)), SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n.db), "Table T 7 can't be replicated: "
	    "T 7__crsql_dead is needed for bookkeeping, and is there already");
	node_expect(&n, "6\n", "SELECT count(*) FROM crsql_tbl");
	node_exec(&n, "DROP TABLE \"T 7__crsql_dead\"; CREATE INDEX "
	    "\"t 7__CRSQL_meta\" ON \"T 3\"(b)");
	assert_int_equal(node_try(&n, NINE(8)), SQLITE_ERROR);
	node_exec(&n, "DROP INDEX \"t 7__CRSQL_meta\"; CREATE TRIGGER "
	    "\"T 8__crsql_btrig\" AFTER INSERT ON \"T 3\" BEGIN SELECT 1; END");
	node_try(&n, NINE(8));
	well(&n);
}

/* -- nothing is left ---------------------------------------------------------------- */

static void
a_failure_leaves_nothing(void **state)
{
	char *before, *after;

	create(&n, 0, 71);
	node_exec(&n, "CREATE TABLE bad(id TEXT PRIMARY KEY, x); "
	    "INSERT INTO bad VALUES(NULL, 1)");
	before = node_rows(&n, SCHEMA " WHERE name NOT LIKE 'crsql%%'");
	assert_int_equal(node_try(&n, "SELECT crsql_as_crrs(json_group_array(name)) "
	    "FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'crsql%%'"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n.db), "Table bad has a row whose key is "
	    "NULL: give it one first");
	assert_int_equal(node_try(&n, "SELECT crsql_as_crrs('[\"T 1\", \"none\"]')"),
	    SQLITE_ERROR);
	assert_int_equal(node_try(&n, "SELECT crsql_as_crrs('[\"T 1\", 7]')"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n.db), "crsql_as_crrs wants a JSON array "
	    "of the names of tables");
	assert_int_equal(node_try(&n, "SELECT crsql_as_crrs('T 1')"), SQLITE_ERROR);
	node_exec(&n, "BEGIN; SAVEPOINT s; " ALL "; UPDATE \"T 1\" SET b = 9; "
	    "ROLLBACK TO s");
	node_expect(&n, "0\n", "SELECT count(*) FROM sqlite_schema WHERE name LIKE "
	    "'T %%crsql%%'");
	node_exec(&n, ALL "; UPDATE \"T 2\" SET a = 9; ROLLBACK");
	after = node_rows(&n, SCHEMA " WHERE name NOT LIKE 'crsql%%'");
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
	node_exec(&n, "INSERT INTO \"T 0\" VALUES(7, 8, 9)");
	node_expect(&n, "71\n", ALL);
	well(&n);
}

static int left;

static int
stop(void *unused)
{
	return left > 0 && --left == 0;
}

/* Wherever it is interrupted. */
static void
so_does_an_interrupt(void **state)
{
	int at, rc = SQLITE_INTERRUPT, stopped = 0;
	char *before;

	create(&n, 0, 3);
	node_exec(&n, "CREATE TABLE a(id INTEGER PRIMARY KEY); SELECT "
	    "crsql_as_crr('a')");
	before = node_rows(&n, SCHEMA);
	for (at = 1; rc == SQLITE_INTERRUPT; at += 1 + at / 8) {
		left = at;
		sqlite3_progress_handler(n.db, 20, stop, NULL);
		rc = node_try(&n, ALL);
		sqlite3_progress_handler(n.db, 0, NULL, NULL);
		stopped += rc == SQLITE_INTERRUPT;
		if (rc != SQLITE_OK)
			node_expect(&n, before, SCHEMA);
		node_exec(&n, "INSERT INTO a VALUES(NULL); INSERT OR REPLACE INTO "
		    "\"T 0\" VALUES(%d, 1, 1)", at);
	}
	sqlite3_free(before);
	assert_int_equal(rc, SQLITE_OK);
	assert_true(stopped > 10);
	well(&n);
}

/* -- where it may not be done so ---------------------------------------------------- */

/* What one by one leaves, whatever is in the way of the other. */
static void
compare(void)
{
	one_by_one(&other, 0, 3);
	same(SCHEMA " ORDER BY rowid");
}

static void
a_schema_that_is_defended(void **state)
{
	int on;

	create(&n, 0, 3);
	create(&other, 0, 3);
	sqlite3_db_config(n.db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
	node_expect(&n, "3\n", ALL);
	compare();
}

static int denied;

static int
deny(void *unused, int action, const char *a, const char *b, const char *c,
    const char *d)
{
	if (action != SQLITE_PRAGMA || strcmp(a, "writable_schema") != 0)
		return SQLITE_OK;
	denied++;
	return SQLITE_DENY;
}

static void
an_authorizer_that_minds(void **state)
{
	create(&n, 0, 3);
	create(&other, 0, 3);
	sqlite3_set_authorizer(n.db, deny, NULL);
	node_expect(&n, "3\n", ALL);
	sqlite3_set_authorizer(n.db, NULL, NULL);
	assert_true(denied > 0);
	compare();
}

static int
hide(void *column, int action, const char *a, const char *b, const char *c,
    const char *d)
{
	if (action != SQLITE_READ || sqlite3_strnicmp(a, "sqlite_", 7) != 0 ||
	    strcmp(b, column) != 0)
		return SQLITE_OK;
	denied++;
	return SQLITE_IGNORE;
}

/* What reads as NULL is not written as that. */
static void
an_authorizer_that_hides(void **state)
{
	static char column[] = "rootpage";

	create(&n, 0, 3);
	create(&other, 0, 3);
	denied = 0;
	sqlite3_set_authorizer(n.db, hide, column);
	node_expect(&n, "3\n", ALL);
	sqlite3_set_authorizer(n.db, NULL, NULL);
	assert_true(denied > 0);
	compare();
}

/* A statement that opens another table when all is done goes on. */
static void
others_that_run(void **state)
{
	sqlite3_stmt *stmt;

	create(&n, 0, 3);
	create(&other, 0, 3);
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT (SELECT count(*) FROM "
	    "\"T 1\" WHERE a > x.a) FROM \"T 0\" x", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	node_expect(&n, "3|2\n", "SELECT crsql_as_crrs('[\"T 0\", \"T 1\", "
	    "\"T 2\"]'), (SELECT count(*) FROM \"T 2\")");
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	compare();
}

static void
a_virtual_table_beside_them(void **state)
{
	create(&n, 0, 3);
	node_exec(&n, "CREATE VIRTUAL TABLE v USING fts5(x); BEGIN; INSERT INTO v "
	    "VALUES('milk'); " ALL "; INSERT INTO v VALUES('tea'); COMMIT");
	node_expect(&n, "'milk'\n'tea'\n", "SELECT x FROM v WHERE v MATCH "
	    "'milk OR tea'");
	well(&n);
}

/* -- beside others -------------------------------------------------------------------- */

/* Another connection, and one's own setting. */
static void
others_notice(void **state)
{
	struct node second;
	int on = 0;

	create(&n, 0, 70);
	node_open(&second, 2, path);
	node_expect(&second, "70\n", "SELECT count(*) FROM sqlite_schema WHERE "
	    "type = 'table' AND name GLOB 'T *'");
	sqlite3_db_config(n.db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, &on);
	node_exec(&n, "CREATE TEMP TRIGGER temporary AFTER INSERT ON main.\"T 3\" "
	    "BEGIN SELECT 1; END; CREATE TEMP TABLE \"T 5\"(x); " ALL);
	sqlite3_db_config(n.db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, -1, &on);
	assert_int_equal(on, 1);
	sqlite3_db_config(n.db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0, &on);
	node_expect(&n, "'temporary'\n'T 5'\n", "SELECT name FROM "
	    "temp.sqlite_schema WHERE name NOT LIKE 'crsql%%'");
	node_exec(&second, "UPDATE \"T 4\" SET b = 11");
	node_expect(&n, "11\n11\n", "SELECT val FROM crsql_changes WHERE cid = 'b' "
	    "AND \"table\" = 'T 4'");
	node_close(&second);
	well(&n);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_file, remove_file)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_leaves_what_one_by_one_leaves),
		TEST(of_many_tables_too),
		TEST(it_grows_with_their_number),
		TEST(names_are_found_as_crsql_as_crr_finds_them),
		TEST(names_that_are_taken),
		TEST(a_failure_leaves_nothing),
		TEST(so_does_an_interrupt),
		TEST(a_schema_that_is_defended),
		TEST(an_authorizer_that_minds),
		TEST(an_authorizer_that_hides),
		TEST(others_that_run),
		TEST(a_virtual_table_beside_them),
		TEST(others_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

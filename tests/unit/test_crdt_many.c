// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_many.c - databases of very many tables: what is done for all of them
 * costs in proportion to their number, what is done for one does not count them.
 * And a table that stayed as it was is not looked at again, one that did not is.
 *
 * Costs are steps of SQLite's machine, which are the same on every run.  TABLES
 * sets how many tables there are.
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[NODE_FILE];
static struct node n;

static int
make_file(void **state)
{
	node_file(path);
	return 0;
}

static int
remove_file(void **state)
{
	node_close(&n);
	unlink(path);
	return 0;
}

static int
tables(void)
{
	return how_many("TABLES", 60);
}

/* -- steps ----------------------------------------------------------------------- */

static int64_t steps;

static int
step(void *unused)
{
	steps++;
	return 0;
}

static void
count_steps(void)
{
	steps = 0;
	sqlite3_progress_handler(n.db, 1, step, NULL);
}

static int64_t
counted(void)
{
	sqlite3_progress_handler(n.db, 0, NULL, NULL);
	return steps;
}

static int64_t
steps_of(const char *sql)
{
	count_steps();
	node_exec(&n, "%s", sql);
	return counted();
}

/* -- many tables ------------------------------------------------------------------ */

static void
create(int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		node_exec(&n, "CREATE TABLE t%d(id %s, a, b DEFAULT 1)", i, i % 2 ?
		    "INTEGER PRIMARY KEY" : "TEXT PRIMARY KEY NOT NULL");
}

static void
track(int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		node_exec(&n, "SELECT crsql_as_crr('t%d')", i);
}

/* A file with that many tables, all replicated, on a new connection. */
static void
open_many(int count)
{
	int have = 0;
	char *rows;

	node_open(&n, 0, path);
	rows = node_rows(&n, "SELECT count(*) FROM sqlite_schema WHERE "
	    "name GLOB '*__crsql_meta'");
	have = atoi(rows);
	sqlite3_free(rows);
	node_exec(&n, "BEGIN");
	create(have, count);
	track(have, count);
	node_exec(&n, "COMMIT");
	node_close(&n);
	node_open(&n, 0, path);
}

/* What SQLite alone takes for the tables and triggers that are ours: it reads the
 * whole schema for each. */
static int64_t
steps_of_ddl(void)
{
	sqlite3_stmt *stmt;
	sqlite3 *plain;

	assert_int_equal(sqlite3_open(":memory:", &plain), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(n.db, "SELECT sql, name GLOB "
	    "'*__crsql_*' FROM sqlite_schema WHERE sql IS NOT NULL", -1, &stmt,
	    NULL), SQLITE_OK);
	steps = 0;
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		sqlite3_progress_handler(plain, sqlite3_column_int(stmt, 1), step,
		    NULL);
		assert_int_equal(sqlite3_exec(plain, (const char *)
		    sqlite3_column_text(stmt, 0), NULL, NULL, NULL), SQLITE_OK);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(plain);
	return steps;
}

/* What we do for a table, beside what SQLite does, which reads the schema some
 * ten times: half as much at most, as often where each is made just before, and
 * something that does not grow. */
enum { ONCE = 2000 };

static void
tracking_costs_no_more_than_sqlite_does(void **state)
{
	int count = tables();
	int64_t took;

	node_open(&n, 0, path);
	create(0, count);
	count_steps();
	node_exec(&n, "BEGIN");
	track(0, count);
	node_exec(&n, "COMMIT");
	took = counted();
	print_message("%d tables: %lld steps, SQLite alone %lld\n", count,
	    (long long)took, (long long)steps_of_ddl());
	assert_true(took < steps_of_ddl() * 3 / 2 + count * ONCE);
	node_expect(&n, "", "SELECT * FROM crsql_check");
	node_expect(&n, "0\n", "SELECT crsql_schema_pending()");
}

/* Each in a transaction of its own, with a table made before each. */
static void
tracking_each_when_it_is_made(void **state)
{
	int count = tables() / 2, i;
	int64_t took = 0;

	node_open(&n, 0, path);
	for (i = 0; i < count; i++) {
		create(i, i + 1);
		count_steps();
		track(i, i + 1);
		took += counted();
	}
	print_message("%d tables: %lld steps, SQLite alone %lld\n", count,
	    (long long)took, (long long)steps_of_ddl());
	assert_true(took < 2 * steps_of_ddl() + count * ONCE);
	node_expect(&n, "", "SELECT * FROM crsql_check");
}

/* The first write of a connection looks at all tables, the next ones at none but
 * theirs. */
static void
the_first_write_grows_with_the_tables(void **state)
{
	int64_t first[2], second[2], altered[2];
	int i, count = tables() / 2;

	for (i = 0; i < 2; i++) {
		open_many(count * (i + 1));
		first[i] = steps_of(i == 0 ? "INSERT INTO t1 VALUES(1, 2, 3)" :
		    "INSERT INTO t7 VALUES(1, 2, 3)");
		second[i] = steps_of(i == 0 ? "INSERT INTO t3 VALUES(1, 2, 3)" :
		    "INSERT INTO t9 VALUES(1, 2, 3)");
		altered[i] = steps_of(i == 0 ? "ALTER TABLE t5 ADD COLUMN c; "
		    "INSERT INTO t5 VALUES(1, 2, 3, 4)" : "ALTER TABLE t11 ADD "
		    "COLUMN c; INSERT INTO t11 VALUES(1, 2, 3, 4)");
		node_expect(&n, i == 0 ? "3\n" : "6\n", "SELECT "
		    "count(DISTINCT \"table\") FROM crsql_changes");
		node_close(&n);
	}
	node_open(&n, 0, path);
	print_message("first write %lld, %lld; second %lld, %lld; after ALTER "
	    "%lld, %lld\n", (long long)first[0], (long long)first[1],
	    (long long)second[0], (long long)second[1],
	    (long long)altered[0], (long long)altered[1]);
	assert_true(first[1] < first[0] * 5 / 2);
	assert_true(second[1] < second[0] + 50);
	assert_true(altered[1] < altered[0] * 5 / 2);
}

#define MANY_ROWS "WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < " \
	"60) INSERT "

/* Also what looks at all of them: the self-check, and what folds in the midst of a
 * statement, once for a connection. */
static void
what_looks_at_all_grows_with_the_tables(void **state)
{
	int64_t checked[2], early[2];
	int i, count = tables() / 2;

	for (i = 0; i < 2; i++) {
		open_many(count * (i + 1));
		node_exec(&n, "SELECT crsql_config_set('fold-at', 20)");
		node_close(&n);
		node_open(&n, 0, path);
		early[i] = steps_of(i == 0 ? MANY_ROWS "INTO t1 SELECT n, 1, 2 FROM c" :
		    MANY_ROWS "INTO t3 SELECT n, 1, 2 FROM c");
		checked[i] = steps_of("SELECT * FROM crsql_check");
		node_close(&n);
	}
	node_open(&n, 0, path);
	print_message("early fold %lld, %lld; check %lld, %lld\n",
	    (long long)early[0], (long long)early[1], (long long)checked[0],
	    (long long)checked[1]);
	assert_true(early[1] < early[0] * 5 / 2);
	assert_true(checked[1] < checked[0] * 5 / 2);
}

/* -- what changes is noticed -------------------------------------------------------- */

static void
check(void)
{
	node_exec(&n, "SELECT crsql_fold()");
	node_expect(&n, "", "SELECT * FROM crsql_check");
	node_expect(&n, "0\n", "SELECT crsql_schema_pending()");
}

static void
begin_six(void)
{
	node_open(&n, 0, path);
	create(0, 6);
	track(0, 6);
	node_exec(&n, "INSERT INTO t1 VALUES(1, 'x', 'y'); "
	    "INSERT INTO t2 VALUES('k', 'x', 'y')");
}

/* Another program changes several at once; this connection has the list. */
static void
changes_of_others_are_noticed(void **state)
{
	begin_six();
	node_plainly(path, "ALTER TABLE t1 RENAME COLUMN a TO c; "
	    "ALTER TABLE t2 ADD COLUMN d; DROP TABLE t3; "
	    "ALTER TABLE t4 RENAME TO u4; ALTER TABLE t5 RENAME TO t3; "
	    "UPDATE t1 SET c = 'z'; UPDATE t2 SET d = 'w'; "
	    "INSERT INTO u4 VALUES('k', 1, 2); INSERT INTO t3 VALUES(5, 6, 7)");
	check();
	node_expect(&n, "'t1'|'b'|'y'\n't1'|'c'|'z'\n't2'|'a'|'x'\n't2'|'b'|'y'\n"
	    "'t2'|'d'|'w'\n't3'|'a'|6\n't3'|'b'|7\n'u4'|'a'|1\n'u4'|'b'|2\n",
	    "SELECT \"table\", cid, val FROM crsql_changes ORDER BY 1, 2");
	node_exec(&n, "INSERT INTO t3 VALUES(6, 7, 8); UPDATE u4 SET a = 3");
	check();
	node_expect(&n, "'a'|2\n'b'|1\n", "SELECT cid, col_version FROM "
	    "crsql_changes WHERE \"table\" = 'u4' ORDER BY 1");
}

/* The place of one that was dropped is taken by another one at once. */
static void
a_name_goes_over_to_another(void **state)
{
	begin_six();
	node_plainly(path, "DROP TABLE t1; ALTER TABLE t2 RENAME TO t1; "
	    "UPDATE t1 SET a = 'z'");
	check();
	node_exec(&n, "UPDATE t1 SET b = 'w'");
	check();
	node_expect(&n, "'t1'|'a'|'z'|2\n't1'|'b'|'w'|2\n", "SELECT \"table\", cid, "
	    "val, col_version FROM crsql_changes ORDER BY 1, 2");
}

/* What a rollback undid is looked at again, though the schema is as it was. */
static void
what_is_rolled_back_is_forgotten(void **state)
{
	begin_six();
	node_exec(&n, "BEGIN; ALTER TABLE t1 ADD COLUMN c; "
	    "UPDATE t1 SET c = 1; SELECT count(*) FROM crsql_changes; "
	    "SAVEPOINT s; ALTER TABLE t2 RENAME COLUMN a TO e; "
	    "CREATE TABLE t6(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t6'); INSERT INTO t6 VALUES(1, 2); "
	    "UPDATE t2 SET e = 3; SELECT count(*) FROM crsql_changes; "
	    "ROLLBACK TO s; UPDATE t2 SET a = 4; RELEASE s; "
	    "SELECT count(*) FROM crsql_changes");
	node_expect(&n, "'c'|1\n", "SELECT cid, val FROM crsql_changes WHERE "
	    "\"table\" = 't1' AND cid = 'c'");
	node_expect(&n, "4\n", "SELECT val FROM crsql_changes WHERE \"table\" = 't2' "
	    "AND cid = 'a'");
	node_exec(&n, "ROLLBACK; UPDATE t1 SET b = 5; "
	    "CREATE TABLE t7(id INTEGER PRIMARY KEY, z); "
	    "SELECT crsql_as_crr('t7'); INSERT INTO t7 VALUES(1, 2); "
	    "ALTER TABLE t1 ADD COLUMN d; UPDATE t1 SET d = 6");
	check();
	node_expect(&n, "'t1'|'a'|'x'\n't1'|'b'|5\n't1'|'d'|6\n't2'|'a'|'x'\n"
	    "'t2'|'b'|'y'\n't7'|'z'|2\n", "SELECT \"table\", cid, val FROM "
	    "crsql_changes ORDER BY 1, 2");
}

/* With plain-writers 0 no text in the schema changes with a column's number. */
static void
so_is_what_only_the_bookkeeping_had(void **state)
{
	begin_six();
	node_exec(&n, "SELECT crsql_config_set('plain-writers', 0); "
	    "ALTER TABLE t1 ADD COLUMN c; BEGIN; UPDATE t1 SET c = 1; "
	    "SELECT count(*) FROM crsql_changes; ROLLBACK; UPDATE t1 SET c = 2");
	check();
	node_expect(&n, "2\n", "SELECT val FROM crsql_changes WHERE "
	    "\"table\" = 't1' AND cid = 'c'");
	node_exec(&n, "BEGIN; ALTER TABLE t1 RENAME COLUMN c TO d; "
	    "UPDATE t1 SET d = 3; SELECT count(*) FROM crsql_changes; ROLLBACK; "
	    "UPDATE t1 SET c = 4");
	check();
	node_expect(&n, "4\n", "SELECT val FROM crsql_changes WHERE "
	    "\"table\" = 't1' AND cid = 'c'");
}

/* Another connection gives a column of the same name and place another number. */
static void
so_is_what_another_wrote_there(void **state)
{
	struct node other;

	begin_six();
	node_exec(&n, "SELECT crsql_config_set('plain-writers', 0); "
	    "UPDATE t1 SET b = 1");
	node_open(&other, 1, path);
	node_exec(&other, "SELECT crsql_begin_alter('t1'); "
	    "ALTER TABLE t1 DROP COLUMN b; SELECT crsql_commit_alter('t1'); "
	    "ALTER TABLE t1 ADD COLUMN b DEFAULT 1; UPDATE t1 SET a = 4");
	node_close(&other);
	node_exec(&n, "UPDATE t1 SET b = 5");
	/* by a number that others know */
	node_close(&n);
	node_open(&n, 0, path);
	check();
	node_expect(&n, "'a'|4\n'b'|5\n", "SELECT cid, val FROM crsql_changes "
	    "WHERE \"table\" = 't1' ORDER BY 1");
}

static void
tables_become_plain_one_by_one(void **state)
{
	begin_six();
	node_exec(&n, "BEGIN; SELECT crsql_as_table('t1'); UPDATE t1 SET a = 2; "
	    "UPDATE t2 SET a = 3; SELECT crsql_as_table('t4'); "
	    "SELECT crsql_as_crr('t1'); UPDATE t1 SET a = 3; COMMIT");
	check();
	node_expect(&n, "'t1'|'a'|3|2\n't1'|'b'|'y'|1\n't2'|'a'|3|2\n"
	    "'t2'|'b'|'y'|1\n", "SELECT \"table\", cid, val, col_version FROM "
	    "crsql_changes ORDER BY 1, 2");
}

/* -- names ------------------------------------------------------------------------------ */

/* In a trigger these are names of the row that is written. */
static void
tables_called_new_and_old(void **state)
{
	static const char *const names[] = { "new", "OLD" };
	static const char *const keys[] = { "INTEGER PRIMARY KEY",
		"TEXT PRIMARY KEY NOT NULL" };
	const char *t;
	char *sql;
	int i;

	node_open(&n, 0, path);
	for (i = 0; i < 4; i++) {
		t = names[i % 2];
		node_exec(&n, "CREATE TABLE \"%s\"(id %s, x); "
		    "SELECT crsql_as_crr('%s'); INSERT INTO \"%s\" VALUES "
		    "('1', 'a'), ('2', 'b'), ('3', 'c')", t, keys[i / 2], t, t);
		sql = sqlite3_mprintf("INSERT INTO \"%s\" VALUES('4', 'd')", t);
		node_plainly(path, sql);
		sqlite3_free(sql);
		/* nothing was in the way */
		node_expect(&n, "0\n", "SELECT count(*) FROM crsql_j WHERE "
		    "w & 7 = 4");
		sql = sqlite3_mprintf("REPLACE INTO \"%s\" VALUES('2', 'e'); "
		    "UPDATE OR REPLACE \"%s\" SET id = '1' WHERE id = '3'; "
		    "DELETE FROM \"%s\" WHERE id = '4'", t, t, t);
		node_plainly(path, sql);
		sqlite3_free(sql);
		check();
		node_expect(&n, "1|'c'\n2|'e'\n", "SELECT CAST(id AS INTEGER), x "
		    "FROM \"%s\" ORDER BY 1", t);
		node_expect(&n, "2|2\n", "SELECT sum(cl = 1 OR cl = 3), "
		    "sum(cl = 2) FROM (SELECT max(cl) AS cl FROM crsql_changes WHERE "
		    "\"table\" = '%s' GROUP BY pk)", t);
		node_exec(&n, "DROP TABLE \"%s\"; SELECT crsql_fold()", t);
	}
}

/* The same with a unique index that came later. */
static void
and_with_a_unique_index(void **state)
{
	node_open(&n, 0, path);
	node_exec(&n, "CREATE TABLE \"new\"(id TEXT PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('new'); CREATE UNIQUE INDEX u ON new(x, "
	    "lower(x)) WHERE x > ''; INSERT INTO new VALUES('1', 'a'), ('2', 'b')");
	node_plainly(path, "REPLACE INTO new VALUES('3', 'b')");
	node_expect(&n, "1\n", "SELECT count(*) FROM crsql_j WHERE w & 7 = 4");
	check();
	node_expect(&n, "1\n", "SELECT count(*) FROM crsql_changes WHERE cl = 2");
}

/* A TEMP table hides that of the main database from SQL without "main". */
static void
a_temp_table_of_the_same_name(void **state)
{
	node_open(&n, 0, path);
	node_exec(&n, "CREATE TABLE u(id INTEGER PRIMARY KEY, x); "
	    "INSERT INTO u VALUES(1, 2); CREATE TEMP TABLE u(y); "
	    "SELECT crsql_as_crr('main', 'u')");
	node_expect(&n, "0\n", "SELECT count(*) FROM temp.sqlite_schema WHERE "
	    "type = 'trigger'");
	node_expect(&n, "6\n", "SELECT count(*) FROM main.sqlite_schema WHERE "
	    "type = 'trigger'");
	node_exec(&n, "INSERT INTO u VALUES(7); UPDATE main.u SET x = 3; "
	    "INSERT INTO main.u VALUES(2, 4)");
	check();
	node_plainly(path, "UPDATE u SET x = 8 WHERE id = 1; "
	    "ALTER TABLE u RENAME TO v");
	check();
	node_exec(&n, "CREATE TEMP TABLE v(y); INSERT INTO main.v VALUES(3, 6)");
	check();
	node_expect(&n, "1|'x'|8|3\n2|'x'|4|1\n3|'x'|6|1\n", "SELECT v.id, "
	    "cid, val, col_version FROM main.v JOIN crsql_changes c ON "
	    "c.pk = crsql_pack_columns(v.id) ORDER BY 1, 2");
	node_exec(&n, "SELECT crsql_as_table('v')");
	node_expect(&n, "0\n", "SELECT count(*) FROM main.sqlite_schema WHERE "
	    "type = 'trigger'");
}

static void
begin_alter_of_another_database(void **state)
{
	node_open(&n, 0, path);
	node_exec(&n, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('t'); ATTACH ':memory:' AS aux; "
	    "CREATE TABLE aux.t(id INTEGER PRIMARY KEY, x)");
	assert_int_equal(node_try(&n, "SELECT crsql_begin_alter('aux', 't')"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n.db), "Only tables of the main database "
	    "can be replicated, not those of aux: open that database itself");
	assert_int_equal(sqlite3_get_autocommit(n.db), 1);
	node_exec(&n, "SELECT crsql_begin_alter('main', 't'); "
	    "ALTER TABLE main.t DROP COLUMN x");
	assert_int_equal(node_try(&n, "SELECT crsql_commit_alter('AUX', 't')"),
	    SQLITE_ERROR);
	node_exec(&n, "SELECT crsql_commit_alter('any', 't')");
	check();
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_file, remove_file)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tracking_costs_no_more_than_sqlite_does),
		TEST(tracking_each_when_it_is_made),
		TEST(the_first_write_grows_with_the_tables),
		TEST(what_looks_at_all_grows_with_the_tables),
		TEST(changes_of_others_are_noticed),
		TEST(a_name_goes_over_to_another),
		TEST(what_is_rolled_back_is_forgotten),
		TEST(so_is_what_only_the_bookkeeping_had),
		TEST(so_is_what_another_wrote_there),
		TEST(tables_become_plain_one_by_one),
		TEST(tables_called_new_and_old),
		TEST(and_with_a_unique_index),
		TEST(a_temp_table_of_the_same_name),
		TEST(begin_alter_of_another_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

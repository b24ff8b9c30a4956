// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_interrupt.c - the engine's own statements fail at every place they
 * can, as by sqlite3_interrupt or for want of memory: what fails has done
 * nothing, and done again it does all (no failure is taken for an end).
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char base[NODE_FILE];
static char work[sizeof base + 8];
static int left;                /* until it is stopped; < 0: not at all */

static int
make_files(void **state)
{
	node_file(base);
	snprintf(work, sizeof work, "%s.work", base);
	return 0;
}

static int
remove_files(void **state)
{
	unlink(base);
	unlink(work);
	return 0;
}

/* Places at the beginning where each is tried, and the share of those behind:
 * STOPS in the environment, 40 unless it says otherwise. */
static int
stops(void)
{
	return how_many("STOPS", 40);
}

/* As a program that loads nothing. */
static void
plainly(const char *sql)
{
	node_plainly(base, sql);
}

static void
copy(void)
{
	char bytes[65536];
	size_t n;
	FILE *from = fopen(base, "rb"), *to = fopen(work, "wb");

	assert_non_null(from);
	assert_non_null(to);
	while ((n = fread(bytes, 1, sizeof bytes, from)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, to), n);
	fclose(from);
	assert_int_equal(fclose(to), 0);
}

static int
stop(void *unused)
{
	return left >= 0 && left-- == 0;
}

/* As another thread would: it lasts until no statement runs. */
static int
interrupt(void *db)
{
	if (left >= 0 && left-- == 0)
		sqlite3_interrupt(db);
	return 0;
}

/* A function that writes is interrupted at each place: the connection is in no
 * transaction afterwards, nothing of it is there, and done again it is whole. */
static void
interrupt_everywhere(const char *sql, const char *look)
{
	char *before, *want, *got;
	struct node n;
	int at = 0, times = 0;
	bool done;

	copy();
	node_open(&n, 0, work);
	before = node_rows(&n, "%s", look);
	node_exec(&n, "%s", sql);
	want = node_rows(&n, "%s", look);
	node_close(&n);
	do {
		copy();
		node_open(&n, 0, work);
		left = at;
		sqlite3_progress_handler(n.db, 1, interrupt, n.db);
		done = node_try(&n, "%s", sql) == SQLITE_OK;
		done &= left >= 0;
		left = -1;
		sqlite3_progress_handler(n.db, 0, NULL, NULL);
		if (!sqlite3_get_autocommit(n.db))
			fail_msg("interrupted at %d, a transaction is left", at);
		got = node_rows(&n, "%s", look);
		if (strcmp(got, want) != 0 && strcmp(got, before) != 0)
			fail_msg("interrupted at %d:\n%s\ninstead of\n%s", at, got,
			    before);
		sqlite3_free(got);
		node_exec(&n, "%s", sql);
		node_expect(&n, want, "%s", look);
		node_expect(&n, "", "SELECT * FROM crsql_check");
		node_close(&n);
		at += 1 + at / stops();
		times++;
	} while (!done);
	sqlite3_free(before);
	sqlite3_free(want);
	assert_true(times > stops());
}

#define SHAPE "SELECT (SELECT group_concat(sql, char(10)) FROM sqlite_schema " \
	"WHERE name NOT LIKE '%crsql%'), (SELECT count(*) FROM sqlite_schema)"

static void
r07_migrations_are_interrupted(void **state)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE "
	    "u(id INTEGER PRIMARY KEY, x, y); SELECT crsql_as_crr('t'); "
	    "INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2); UPDATE t SET x = 5");
	node_close(&n);
	interrupt_everywhere("SELECT crsql_automigrate('CREATE TABLE IF NOT EXISTS "
	    "t(id TEXT PRIMARY KEY, x, z DEFAULT 5); CREATE TABLE IF NOT EXISTS "
	    "v(id PRIMARY KEY NOT NULL); SELECT crsql_as_crr(''v'')')", SHAPE);
	interrupt_everywhere("SELECT crsql_as_crr('u')", SHAPE);
}

#define LOG "SELECT \"table\", pk, cid, val, col_version, cl, seq FROM " \
	"crsql_changes ORDER BY db_version, seq"

/* Whether sql ran to its end, stopped at a place. */
static bool
run_stopped(const char *sql, int at, char **log)
{
	struct node n;
	bool done;

	copy();
	node_open(&n, 0, work);
	left = at;
	sqlite3_progress_handler(n.db, 1, stop, NULL);
	done = node_try(&n, "%s", sql) == SQLITE_OK;
	done &= left >= 0 || at < 0;
	left = -1;
	sqlite3_progress_handler(n.db, 0, NULL, NULL);
	if (!done)
		node_exec(&n, "%s", sql);
	*log = node_rows(&n, LOG);
	node_close(&n);
	return done;
}

/* The same comes of sql wherever it is stopped before. */
static void
stop_everywhere(const char *sql)
{
	char *want, *got;
	bool done;
	int at = 0, times = 0;

	assert_true(run_stopped(sql, -1, &want));
	do {
		done = run_stopped(sql, at, &got);
		if (strcmp(got, want) != 0)
			fail_msg("stopped at %d:\n%s\ninstead of\n%s", at, got, want);
		sqlite3_free(got);
		at += 1 + at / stops();
		times++;
	} while (!done);
	sqlite3_free(want);
	print_message("stopped %d times\n", times);
	assert_true(times > 5 * stops() / 2);
}

/* No trigger stands there that could fail the statement instead of the hook. */
static void
r07_a_write_of_one_row_that_is_stopped(void **state)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE i(id INTEGER PRIMARY KEY, x, y); SELECT "
	    "crsql_as_crr('i'); SELECT crsql_config_set('plain-writers', 0); "
	    "INSERT INTO i VALUES(1, 1, 1)");
	node_close(&n);
	stop_everywhere("UPDATE i SET x = 9 WHERE id = 1");
}

static void
r07_a_fold_that_is_stopped(void **state)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE "
	    "i(id INTEGER PRIMARY KEY, x, y); SELECT crsql_as_crr('t'), "
	    "crsql_as_crr('i'); INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2), "
	    "('c', 3, 3); INSERT INTO i SELECT * FROM (VALUES(1, 1, 1), "
	    "(2, 2, 2), (5, 5, 5)); DELETE FROM t WHERE id = 'b'");
	node_close(&n);
	plainly("INSERT INTO t VALUES('b', 4, 4), ('d', 5, 5); UPDATE t SET x = 9; "
	    "REPLACE INTO t VALUES('a', 7, 7); DELETE FROM t WHERE id = 'c'; "
	    "INSERT INTO i VALUES(9, 1, 1), (10, 1, 1); UPDATE i SET y = 8; "
	    "UPDATE i SET id = 3 WHERE id = 2; INSERT INTO t VALUES('e', 1, 1)");
	stop_everywhere("SELECT crsql_fold()");
}

static void
r07_following_a_schema_is_stopped(void **state)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE "
	    "i(id INTEGER PRIMARY KEY, x, y); SELECT crsql_as_crr('t'), "
	    "crsql_as_crr('i'); INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2); "
	    "INSERT INTO i VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3); "
	    "UPDATE i SET x = 5 WHERE id = 2");
	node_close(&n);
	plainly("ALTER TABLE t ADD COLUMN z DEFAULT 3; ALTER TABLE t RENAME COLUMN "
	    "y TO w; UPDATE t SET w = 4 WHERE id = 'a'; CREATE UNIQUE INDEX u ON "
	    "i(y); REPLACE INTO i VALUES(4, 4, 2), (5, 5, 3)");
	stop_everywhere("SELECT crsql_fold()");
}

static void
r07_writes_that_are_stopped(void **state)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); SELECT "
	    "crsql_as_crr('t'); INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2)");
	node_close(&n);
	plainly("INSERT INTO t VALUES('c', 3, 3); ALTER TABLE t ADD COLUMN z "
	    "DEFAULT 3; UPDATE t SET y = 6 WHERE id = 'b'");
	stop_everywhere("UPDATE t SET x = 8 WHERE id <> 'c'");
}

#define WRITES "DELETE FROM t WHERE id = 'a'; UPDATE t SET x = 5; UPDATE i SET " \
	"y = 7 WHERE id > 1; REPLACE INTO t VALUES('b', 8, 8), ('n', 1, 1)"

/* A read inside the transaction folds; stopped there, the transaction either is
 * committed as if it had not been, or not at all. */
static bool
read_stopped(int at, char **log, bool *committed)
{
	struct node n;
	bool done;

	copy();
	node_open(&n, 0, work);
	node_exec(&n, "BEGIN; " WRITES);
	left = at;
	sqlite3_progress_handler(n.db, 1, stop, NULL);
	done = node_try(&n, "SAVEPOINT s; SELECT count(*) FROM crsql_changes") ==
	    SQLITE_OK;
	left = -1;
	sqlite3_progress_handler(n.db, 0, NULL, NULL);
	/* some failures roll all back at once */
	*committed = !sqlite3_get_autocommit(n.db) && node_try(&n, "SAVEPOINT s2; "
	    "INSERT INTO other VALUES(1); ROLLBACK TO s2; COMMIT") == SQLITE_OK;
	if (!*committed) {
		assert_true(sqlite3_get_autocommit(n.db));
		node_exec(&n, "BEGIN; " WRITES "; COMMIT");
	}
	*log = node_rows(&n, LOG);
	node_close(&n);
	return done;
}

static void
r07_a_fold_stopped_half_way_is_not_done_again(void **state)
{
	int at = 0, failed = 0;
	char *want, *got;
	bool done, committed;
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE "
	    "i(id INTEGER PRIMARY KEY, x, y); CREATE TABLE other(a); SELECT "
	    "crsql_as_crr('t'), crsql_as_crr('i'); INSERT INTO t VALUES('a', 1, 1), "
	    "('b', 2, 2), ('c', 3, 3); INSERT INTO i VALUES(1, 1, 1), (2, 2, 2), "
	    "(3, 3, 3); DELETE FROM t WHERE id = 'a'; INSERT INTO t "
	    "VALUES('a', 2, 2)");
	node_close(&n);
	assert_true(read_stopped(-1, &want, &committed) && committed);
	do {
		done = read_stopped(at, &got, &committed);
		if (strcmp(got, want) != 0)
			fail_msg("stopped at %d:\n%s\ninstead of\n%s", at, got, want);
		sqlite3_free(got);
		failed += !committed;
		at += 1 + at / stops();
	} while (!done);
	sqlite3_free(want);
	print_message("%d times not committed\n", failed);
	assert_true(failed > stops() / 4);
}

/* -- a COMMIT that a reader hinders ------------------------------------------------ */

/* Nothing of ours is open: a plain program writes as soon as the reader ends. */
static void
nothing_is_open(struct node *n, sqlite3 *reader)
{
	assert_true(sqlite3_get_autocommit(n->db));
	assert_int_equal(sqlite3_txn_state(n->db, NULL), SQLITE_TXN_NONE);
	assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL),
	    SQLITE_OK);
	plainly("INSERT INTO o VALUES(1)");
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM o", NULL, NULL,
	    NULL), SQLITE_OK);
}

static void
r08_a_reader_hinders_the_commit(void **state)
{
	sqlite3 *reader;
	struct node n;

	plainly("CREATE TABLE t(id TEXT PRIMARY KEY, x); CREATE TABLE o(a)");
	node_open(&n, 0, base);
	assert_int_equal(sqlite3_open(base, &reader), SQLITE_OK);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM o", NULL, NULL,
	    NULL), SQLITE_OK);
	assert_int_equal(node_try(&n, "SELECT crsql_as_crr('t')"), SQLITE_BUSY);
	nothing_is_open(&n, reader);
	node_expect(&n, "0\n", "SELECT count(*) FROM sqlite_schema WHERE name "
	    "LIKE 't\\_\\_crsql%%' ESCAPE '\\'");
	sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL);
	node_exec(&n, "SELECT crsql_as_crr('t')");
	plainly("INSERT INTO t VALUES('a', 1)");
	sqlite3_exec(reader, "BEGIN; SELECT * FROM o", NULL, NULL, NULL);
	node_expect(&n, "0\n", "SELECT count(*) FROM crsql_changes");
	nothing_is_open(&n, reader);
	sqlite3_close(reader);
	node_expect(&n, "1\n", "SELECT count(*) FROM crsql_changes");
	node_close(&n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_files, remove_files)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r07_a_write_of_one_row_that_is_stopped),
		TEST(r07_a_fold_that_is_stopped),
		TEST(r07_following_a_schema_is_stopped),
		TEST(r07_writes_that_are_stopped),
		TEST(r07_migrations_are_interrupted),
		TEST(r07_a_fold_stopped_half_way_is_not_done_again),
		TEST(r08_a_reader_hinders_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

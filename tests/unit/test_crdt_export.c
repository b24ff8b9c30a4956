// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_export.c - crsql_export where no transaction is open, beside another
 * connection that commits at any moment of it: what a page leaves out lies behind its
 * cursor.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS "SELECT id, a FROM t ORDER BY id"

enum { DONE = 1 };          /* a page's flag: nothing is behind it */

/* Steps between the moments that are tried: EVERY in the environment times as many. */
static int
apart(void)
{
	return 4 * how_many("EVERY", 1);
}

/* Everybody has that version of A, which is below 128. */
#define FORGET(version) "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || x'" version \
	"' AS BLOB))"

static char path[NODE_FILE];
static struct node other;   /* the same file as A */

/* B has nothing yet; A has changes of each kind. */
static void
open_all(void)
{
	node_file(path);
	node_open(&n[A], A, path);
	node_exec(&n[A], "PRAGMA journal_mode = WAL; CREATE TABLE t(id TEXT PRIMARY KEY "
	    "NOT NULL, a); SELECT crsql_as_crr('t'); INSERT INTO t VALUES('1', 1), "
	    "('2', 2), ('3', 3); UPDATE t SET a = 11 WHERE id = '1'; DELETE FROM t "
	    "WHERE id = '2'");
	node_open(&other, C, path);
	node_open(&n[B], B, NULL);
	node_exec(&n[B], "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a); SELECT "
	    "crsql_as_crr('t')");
}

static void
close_all(void)
{
	node_close(&other);
	nodes_close(n, 2);
	unlink(path);
}

struct moment {
	int left;               /* steps of SQLite's until it comes; 0: it came */
	const char *sql;
};

static int
step(void *self)
{
	struct moment *m = self;

	if (m->left > 0 && --m->left == 0)
		node_exec(&other, "%s", m->sql);
	return 0;
}

/* A page from the cursor on, in the midst of which another connection writes. */
static void
export_beside(const uint8_t *cursor, struct moment *m, uint8_t **page, int *len)
{
	const struct vector nothing = { 0 };
	struct buf plan;

	node_plan(&n[B], cursor, &nothing, &plan);
	if (m != NULL)
		sqlite3_progress_handler(n[A].db, 1, step, m);
	assert_int_equal(node_export(&n[A], &plan, NULL, 0, page, len), SQLITE_OK);
	sqlite3_progress_handler(n[A].db, 0, NULL, NULL);
	buf_clear(&plan);
}

/* True if it came so late that all was exported before. */
static bool
try_moment(int steps, const char *sql)
{
	struct moment m = { steps, sql };
	uint8_t cursor[NODE_CURSOR] = { 0 }, *page;
	int64_t changes;
	int len, pages;
	bool done = false;

	open_all();
	for (pages = 0; !done || pages < 2; pages++) {
		export_beside(cursor, pages == 0 ? &m : NULL, &page, &len);
		assert_int_equal(node_import(&n[B], page, len, &changes), SQLITE_OK);
		memcpy(cursor, page + 4, NODE_CURSOR);
		done = page_flags_of(page) & DONE;
		sqlite3_free(page);
	}
	if (m.left == 0)
		nodes_agree(&n[A], &n[B], ROWS);
	close_all();
	return m.left > 0;
}

static void
at_each_moment(const char *sql)
{
	int steps = 1;

	while (!try_moment(steps, sql))
		steps += apart();
	print_message("# %d moments\n", steps);
	assert_true(steps > 50);
}

static void
a_commit_beside_it_is_not_passed_over(void **state)
{
	(void)state;
	at_each_moment("INSERT INTO t VALUES('9', 9)");
	at_each_moment("UPDATE t SET a = 'late'; DELETE FROM t WHERE id = '3'");
}

static void
nor_is_one_that_changes_the_table(void **state)
{
	(void)state;
	at_each_moment("ALTER TABLE t ADD COLUMN b DEFAULT 1; INSERT INTO t VALUES('9', 9, 9)");
}

/* The horizon is read anew then. */
static void
things_may_be_forgotten_beside_it(void **state)
{
	struct moment m = { 0, "INSERT INTO t VALUES('9', 9); DELETE FROM t WHERE id = '3'; "
	    FORGET("05") };
	uint8_t *page;
	int64_t changes;
	int len, steps;

	(void)state;
	for (steps = 1; m.left == 0; steps += apart()) {
		open_all();
		node_exec(&n[A], FORGET("02"));
		m.left = steps;
		export_beside((const uint8_t[NODE_CURSOR]){ 0 }, &m, &page, &len);
		assert_int_equal(node_import(&n[B], page, len, &changes), SQLITE_OK);
		sqlite3_free(page);
		node_well(&n[A]);
		close_all();
	}
	print_message("# %d moments\n", steps);
	assert_true(steps > 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_beside_it_is_not_passed_over),
		cmocka_unit_test(nor_is_one_that_changes_the_table),
		cmocka_unit_test(things_may_be_forgotten_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

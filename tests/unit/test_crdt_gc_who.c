// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_gc_who.c - who may read and who is heard where things were forgotten,
 * table by table: nobody by whom a row could come back, and everybody else.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { A, B, C, D, COUNT, HORIZON = 18433, DONE = 1 };

static const char *const schema =
    "CREATE TABLE t(id PRIMARY KEY NOT NULL, a); SELECT crsql_as_crr('t');"
    "CREATE TABLE u(id PRIMARY KEY NOT NULL, a); SELECT crsql_as_crr('u');";

static const char *const rows = "SELECT 't', * FROM t UNION ALL SELECT 'u', * FROM u "
    "ORDER BY 1, 2";

static struct node n[COUNT];
static const struct mishap whole = { .max_bytes = 100000, .may_lose = true };
static const struct mishap refused = { .max_bytes = 100000, .may_lose = true,
	.may_refuse = true };

/* With names by which A is the least and D the greatest. */
static int
open_all(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		node_open(&n[i], i, NULL);
		node_exec(&n[i], "SELECT crsql_identity(x'%032d', x'%064d', "
		    "x'%016d')", i + 1, i + 1, 0);
		node_exec(&n[i], "%s", schema);
	}
	return 0;
}

static int
close_all(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < COUNT; i++)
		node_expect(&n[i], "", "SELECT * FROM crsql_check");
	nodes_close(n, COUNT);
	return 0;
}

static void
pull(int to, int from)
{
	assert_true(node_pull(&n[to], &n[from], &whole));
}

static void
pull_is_refused(int to, int from)
{
	bool came = node_pull(&n[to], &n[from], &refused);

	assert_false(came);
}

/* At one what another made, up to now: versions are small. */
static void
forget(int at, int of)
{
	char *entry = node_rows(&n[of], "SELECT hex(substr(crsql_own(), 1, 16)) || "
	    "hex(substr(crsql_own(), 24, 1))");

	node_exec(&n[at], "SELECT crsql_gc(x'01%.34s')", entry + 1);
	sqlite3_free(entry);
}

/* Asks for one table only, with a cursor of nothing and no vector. */
static void
pull_table(int to, int from, const char *table)
{
	uint8_t *page = NULL, position[NODE_CURSOR];
	struct buf plan;
	int64_t won;
	bool done = false;
	int len, pages;

	buf_init(&plan, 1 << 10);
	buf_add(&plan, "\1\1\1", 3);
	buf_add(&plan, table, 1);
	memset(position, 0, sizeof position);
	buf_add(&plan, position, sizeof position);
	buf_add_u8(&plan, 0);
	for (pages = 0; !done; pages++) {
		assert_int_equal(node_export(&n[from], &plan, pages > 0 ? position :
		    NULL, 100000, &page, &len), SQLITE_OK);
		assert_int_equal(node_import(&n[to], page, len, &won), SQLITE_OK);
		memcpy(position, page + 4, NODE_CURSOR);
		done = page_flags_of(page) & DONE;
		sqlite3_free(page);
	}
	buf_clear(&plan);
}

/* Row 'old' of t is at A, B and C; A deletes it, B knows, and A forgets. */
static void
leave_c_behind(void)
{
	node_exec(&n[A], "INSERT INTO t VALUES('old', 1), ('kept', 1); INSERT INTO u "
	    "VALUES('one', 1)");
	pull(B, A);
	pull_table(C, A, "t");
	node_exec(&n[A], "DELETE FROM t WHERE id = 'old'");
	pull(B, A);
	forget(A, A);
}

/* C has a table that is new to him, and one in which he is behind: that is his
 * affair, and he is heard of the one and not of the other. */
static void
r20_one_table_shows_nothing_of_another(void **state)
{
	leave_c_behind();
	pull_table(C, A, "u");
	node_expect(&n[C], "0|1\n", "SELECT length(crsql_horizon('t')) > 1, "
	    "length(crsql_horizon('u')) > 1");
	node_exec(&n[C], "UPDATE t SET a = 2 WHERE id = 'old'");
	pull(B, A);
	pull_is_refused(A, C);
	pull_is_refused(B, C);
	node_expect(&n[A], "'kept'|1\n", "SELECT * FROM t");
	/* a table made anew is as good as any */
	node_exec(&n[C], "SELECT crsql_as_table('t'); DELETE FROM t; SELECT "
	    "crsql_as_crr('t')");
	pull_table(C, A, "t");
	node_exec(&n[C], "INSERT INTO t VALUES('new', 1)");
	pull(A, C);
	node_expect(&n[A], "'kept'|1\n'new'|1\n", "SELECT * FROM t ORDER BY id");
}

/* The first page that C asks D for. */
static int
ask(int reader, int server)
{
	uint8_t *page;
	struct buf plan;
	int len, rc;

	node_plan(&n[reader], n[reader].cursor[server], &n[reader].has, &plan);
	rc = node_export(&n[server], &plan, NULL, 100000, &page, &len);
	sqlite3_free(page);
	buf_clear(&plan);
	return rc;
}

/* D is new and gets what A has now.  C has a cursor of D's from before that, by
 * which he would be told nothing of the delete. */
static void
r20_a_cursor_from_before_a_newcomer_is_none(void **state)
{
	node_exec(&n[D], "INSERT INTO u VALUES('of D', 1)");
	pull(C, D);
	leave_c_behind();
	assert_int_equal(ask(C, D), SQLITE_OK);
	pull(D, A);
	assert_int_not_equal(ask(C, D), SQLITE_OK);
	assert_int_equal(sqlite3_extended_errcode(n[D].db), HORIZON);
	node_expect(&n[D], "'kept'|1\n", "SELECT * FROM t");
}

/* Neither horizon covers the other, and both have everything. */
static void
r20_two_horizons_meet(void **state)
{
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1), (2, 2)");
	pull(B, A);
	node_exec(&n[B], "DELETE FROM t WHERE id = 1");
	node_exec(&n[A], "DELETE FROM t WHERE id = 2");
	pull(B, A);
	pull(A, B);
	forget(A, A);
	forget(B, B);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'A')");
	node_exec(&n[B], "INSERT INTO t VALUES(2, 'B')");
	/* one refuses what the other made, and has his horizon from then on */
	pull_is_refused(A, B);
	pull(B, A);
	pull(A, B);
	nodes_agree(&n[A], &n[B], rows);
	node_expect(&n[A], "1|'A'\n2|'B'\n", "SELECT * FROM t ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT crsql_horizon('t')");
}

/* Of a site with two pasts no version proves anything: who has the horizon reads
 * all again, and is not refused. */
static void
r20_who_has_the_horizon_needs_no_vector(void **state)
{
	leave_c_behind();
	pull(B, A);
	n[B].has.n = 0;
	memset(n[B].cursor, 0, sizeof n[B].cursor);
	node_exec(&n[A], "INSERT INTO t VALUES('new', 1)");
	pull(B, A);
	nodes_agree(&n[A], &n[B], rows);
}

/* Two delete a row, and one of them does not know of the other: the row made again
 * by who forgot lives. */
static void
r20_a_delete_on_its_way_spares_the_next_life(void **state)
{
	static const char a[] = "00000000000000000000000000000001";
	static const char d[] = "00000000000000000000000000000004";

	node_exec(&n[A], "INSERT INTO t VALUES('old', 1)");
	pull(D, A);
	node_exec(&n[A], "DELETE FROM t");
	node_exec(&n[D], "DELETE FROM t");
	pull(D, A);
	/* A has heard from D that it has all of A's, and made one itself */
	node_expect(&n[A], "0\n", "SELECT crsql_gc(x'01%s02', x'02%s02%s02')", a, a,
	    d);
	node_exec(&n[A], "INSERT INTO t VALUES('old', 2)");
	pull(A, D);
	node_expect(&n[A], "2\n", "SELECT a FROM t");
	pull(D, A);
	node_expect(&n[D], "2\n", "SELECT a FROM t");
	node_exec(&n[D], "DELETE FROM t");
	pull(A, D);
	/* it waits for what was there then, no more */
	node_exec(&n[A], "SELECT crsql_gc(x'02%s02%s02', x'02%s04%s05')", a, d, a, d);
	node_expect(&n[A], "1\n", "SELECT crsql_horizon('t') = x'01%s02'", a);
}

/* R22, and a version that this database does not have. */
static void
r22_a_horizon_has_bounds(void **state)
{
	static const char d[] = "00000000000000000000000000000004";

	node_exec(&n[A], "INSERT INTO t VALUES('old', 1)");
	assert_int_not_equal(node_try(&n[A], "SELECT crsql_gc(x'01%s808080808080"
	    "01')", d), SQLITE_OK);
	assert_non_null(strstr(sqlite3_errmsg(n[A].db), "out of range"));
	/* no version is no entry, and names no site */
	node_exec(&n[A], "SELECT crsql_gc(x'01%s00')", "000000000000000000000000000000ff");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_site_id WHERE site_id = "
	    "x'000000000000000000000000000000ff'");
	node_expect(&n[A], "00\n", "SELECT crsql_horizon('t')");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r20_one_table_shows_nothing_of_another),
		TEST(r20_a_cursor_from_before_a_newcomer_is_none),
		TEST(r20_two_horizons_meet),
		TEST(r20_who_has_the_horizon_needs_no_vector),
		TEST(r20_a_delete_on_its_way_spares_the_next_life),
		TEST(r22_a_horizon_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_hostile.c - pages that a known peer made up: whoever took one goes
 * on with everybody else, and so does whoever gets it from there (R11, R22).
 * Damaged pages: test_crdt_sync.c; steps: test_crdt_steps.c.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static struct group group = { .count = 3, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

static void
put_text(struct buf *b, const char *text)
{
	buf_add_varint(b, strlen(text));
	buf_add(b, text, strlen(text));
}

/* One cell: column (0 the sentinel), version, the integer 1. */
static void
put_cell(struct buf *rows, int column, int64_t version, int dseq)
{
	buf_add_varint(rows, (uint64_t)column);
	buf_add_varint(rows, (uint64_t)version);
	buf_add_zigzag(rows, dseq);
	if (column > 0)
		buf_add(rows, "\x09\x01", 2);
}

static void
begin_cells(struct buf *rows, char key, int64_t cl, int ncell)
{
	buf_add_u8(rows, 1);
	buf_add_varint(rows, 0);
	buf_add_u8(rows, 3);
	buf_add_varint(rows, (uint64_t)cl);
	buf_add(rows, "\x01\x0B\x01", 3);
	buf_add_u8(rows, (uint8_t)key);
	buf_add_varint(rows, (uint64_t)ncell);
}

/* Gives a page of one row of two columns, a transaction of a site that nobody
 * is, and frees the row. */
static int
give(int to, const char *one, const char *two, int64_t sver,
    struct buf *rows)
{
	static const uint8_t zero[48];
	int64_t changes;
	struct buf tx, page;
	int rc;

	buf_init(&tx, 1 << 24);
	buf_init(&page, 1 << 24);
	buf_add_varint(&tx, 0);
	buf_add_varint(&tx, (uint64_t)sver);
	buf_add_u8(&tx, 3);
	buf_add(&tx, zero, 6);
	buf_add_u64(&tx, (uint64_t)sver * 77);
	buf_add_varint(&tx, 0);
	buf_add_u32(&tx, 1);
	buf_add_u32(&tx, (uint32_t)rows->len);
	buf_add(&tx, rows->data, rows->len);
	buf_add(&page, "DP\1\1", 4);
	buf_add(&page, zero, 40);
	buf_add_varint(&page, 1);
	put_text(&page, "r");
	buf_add_varint(&page, 1);
	buf_add_varint(&page, 2);
	put_text(&page, one);
	put_text(&page, two);
	buf_add_varint(&page, 0);
	buf_add_varint(&page, 1);
	buf_add(&page, "\x77\x77\x77\x77\x77\x77\x77\x77\x77\x77\x77\x77\x77"
	    "\x77\x77\x77", 16);
	buf_add_u8(&page, 0);
	buf_add_varint(&page, tx.len);
	buf_add(&page, tx.data, tx.len);
	rc = node_import(&n[to], page.data, (int)page.len, &changes);
	buf_clear(&tx);
	buf_clear(&page);
	buf_clear(rows);
	return rc;
}

/* One cell of column one, or of the one named so, at a version. */
static int
give_cell(int to, const char *one, int64_t version, int64_t sver)
{
	struct buf rows;

	buf_init(&rows, 1 << 20);
	begin_cells(&rows, 'a', 1, 1);
	put_cell(&rows, 1, version, 0);
	return give(to, one, "y", sver, &rows);
}

/* What A writes now comes to B, and what C writes to A. */
static void
all_goes_on(void)
{
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('mine', 1)");
	node_exec(&n[C], "INSERT INTO r(id, x) VALUES('hers', 1)");
	pull(A, C);
	pull(B, A);
	pull(B, A);
	node_expect(&n[B], "'hers'\n'mine'\n", "SELECT id FROM r WHERE id <> "
	    "'a' ORDER BY id");
}

/* What is parked would stand twice under one name: no import could try it
 * again. */
static void
names_that_nobody_has_stand_once_in_a_page(void **state)
{
	struct buf rows;

	buf_init(&rows, 1 << 20);
	begin_cells(&rows, 'a', 1, 2);
	put_cell(&rows, 1, 1, 0);
	put_cell(&rows, 2, 1, 0);
	assert_int_equal(give(A, "new", "new", 1, &rows), SQLITE_ERROR);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN w");
	all_goes_on();
}

/* No name means the sentinel where a row is parked. */
static void
a_column_has_a_name(void **state)
{
	struct buf rows;

	node_exec(&n[A], "CREATE TRIGGER no BEFORE INSERT ON r WHEN new.id = "
	    "'a' BEGIN SELECT RAISE(ABORT, 'no'); END");
	buf_init(&rows, 1 << 20);
	begin_cells(&rows, 'a', 1, 3);
	put_cell(&rows, 0, 1, 0);
	put_cell(&rows, 1, 1, 0);
	put_cell(&rows, 2, 1, 0);
	assert_int_equal(give(A, "", "x", 1, &rows), SQLITE_ERROR);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN w");
	all_goes_on();
}

/* A took it in two steps; for B it is one too far, and waits. */
static void
r22_a_number_that_leaps_holds_back_nobody_else(void **state)
{
	assert_int_equal(give_cell(A, "x", (int64_t)1 << 32, 1), SQLITE_OK);
	assert_int_equal(give_cell(A, "x", (int64_t)1 << 33, 2), SQLITE_OK);
	node_expect(&n[A], "8589934592\n", "SELECT max(col_version) FROM "
	    "crsql_changes");
	all_goes_on();
	node_expect(&n[B], "'the column version 8589934592 is out of range: "
	    "refused'\n", "SELECT reason FROM crsql_parked");
}

/* A has no such column and only keeps it. */
static void
r22_a_number_that_waited_holds_back_nobody_else(void **state)
{
	assert_int_equal(give_cell(A, "new", (int64_t)1 << 50, 1), SQLITE_OK);
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN new");
	all_goes_on();
	node_expect(&n[B], "1\n", "SELECT count(*) FROM crsql_parked");
}

/* Who is near a site's version takes it, and so must who is far. */
static void
r22_a_site_version_holds_back_nobody(void **state)
{
	int i;

	for (i = 0; i < 100; i++)
		node_exec(&n[A], "INSERT OR REPLACE INTO r(id, x) "
		    "VALUES('mine', %d)", i);
	assert_int_equal(give_cell(A, "x", 1, ((int64_t)1 << 32) + 100),
	    SQLITE_OK);
	node_exec(&n[A], "DELETE FROM r WHERE id = 'mine'; BEGIN; SELECT "
	    "crsql_next_db_version(5000000000); INSERT INTO r(id) VALUES('b'); "
	    "DELETE FROM r WHERE id = 'b'; COMMIT");
	all_goes_on();
	node_expect(&n[B], "1\n", "SELECT x FROM r WHERE id = 'a'");
}

/* -- tables ------------------------------------------------------------------ */

/* Each time all of its horizon would be looked at. */
static void
a_page_names_a_table_once(void **state)
{
	static const uint8_t zero[41];
	int64_t changes;
	struct buf page;
	int i, twice;

	for (twice = 0; twice < 2; twice++) {
		buf_init(&page, 1 << 20);
		buf_add(&page, "DP\1\1", 4);
		buf_add(&page, zero, 40);
		buf_add_varint(&page, 1 + (uint64_t)twice);
		for (i = 0; i <= twice; i++) {
			put_text(&page, i == 0 ? "r" : "R");
			buf_add(&page, "\1\0\0", 3);
		}
		buf_add(&page, zero, 2);
		assert_int_equal(node_import(&n[A], page.data, (int)page.len,
		    &changes), twice ? SQLITE_ERROR : SQLITE_OK);
		buf_clear(&page);
	}
	all_goes_on();
}

int
main(void)
{
#define T(name) GROUP_TEST(name, group)
	static const struct CMUnitTest tests[] = {
		T(names_that_nobody_has_stand_once_in_a_page),
		T(a_column_has_a_name),
		T(r22_a_number_that_leaps_holds_back_nobody_else),
		T(r22_a_number_that_waited_holds_back_nobody_else),
		T(r22_a_site_version_holds_back_nobody),
		T(a_page_names_a_table_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

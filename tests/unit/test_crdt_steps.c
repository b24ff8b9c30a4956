// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_steps.c - what others had seen when (R18), told by a known peer in pages
 * that it made up: there is a bound to what is sent of it, taken and kept, and what
 * is beyond holds back nothing.  Millions of them: too much for valgrind.
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
	"CREATE TABLE r(id TEXT PRIMARY KEY, x); SELECT crsql_as_crr('r')" };

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

enum { MANY = 40000 };

/* Site ids of this test's: a letter and a number. */
static void
put_site(struct buf *b, char letter, int i)
{
	uint8_t id[16] = { (uint8_t)letter, (uint8_t)(i >> 16),
	    (uint8_t)(i >> 8), (uint8_t)i };

	buf_add(b, id, sizeof id);
	buf_add_u8(b, 0);
}

/* Gives a page of a transaction without rows of site 'x': at its version it had
 * seen `count` sites of a letter up to `upto`. */
static void
give_steps(int to, char letter, int count, int64_t sver, int64_t version,
    int64_t upto)
{
	static const uint8_t zero[48];
	struct buf tx, page;
	int64_t changes;
	int i;

	buf_init(&tx, 1 << 24);
	buf_init(&page, 1 << 24);
	buf_add_varint(&tx, 0);
	buf_add_varint(&tx, (uint64_t)sver);
	buf_add(&tx, zero, 15);
	buf_add_varint(&tx, (uint64_t)count);
	for (i = 1; i <= count; i++) {
		buf_add_varint(&tx, (uint64_t)i);
		buf_add_varint(&tx, (uint64_t)upto);
		buf_add_varint(&tx, (uint64_t)version);
	}
	buf_add(&tx, zero, 8);
	buf_add(&page, "DP\1\1", 4);
	buf_add(&page, zero, 41);
	buf_add_varint(&page, (uint64_t)count + 1);
	put_site(&page, 'x', 0);
	for (i = 1; i <= count; i++)
		put_site(&page, letter, i);
	buf_add_varint(&page, tx.len);
	buf_add(&page, tx.data, tx.len);
	assert_int_equal(node_import(&n[to], page.data, (int)page.len,
	    &changes), SQLITE_OK);
	buf_clear(&tx);
	buf_clear(&page);
}

/* Together they are more than a page may name. */
static void
r18_steps_of_a_stranger_hold_back_nobody(void **state)
{
	give_steps(A, 'a', MANY, 0, 1, 1);
	give_steps(A, 'b', MANY, 0, 1, 1);
	node_expect(&n[A], "8192\n", "SELECT count(*) FROM crsql_site_id");
	/* of those that are known steps go on coming */
	give_steps(A, 'a', 5, 0, 2, 2);
	node_expect(&n[A], "5\n", "SELECT count(*) FROM crsql_seen WHERE "
	    "upto = 2");
	all_goes_on();
	node_expect(&n[B], "1\n", "SELECT count(*) > 8000 FROM crsql_seen");
}

/* As they stand where somebody took them before there was a bound. */
static void
r18_a_page_tells_of_so_many_sites(void **state)
{
	node_exec(&n[A], "WITH i(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM i "
	    "WHERE n < 81000) INSERT INTO crsql_site_id(site_id, ordinal) SELECT "
	    "CAST(printf('%%016d', n) AS BLOB), n FROM i; INSERT INTO crsql_seen "
	    "SELECT 1000, 1, ordinal, 1 FROM crsql_site_id WHERE ordinal > 1000");
	all_goes_on();
	/* each site has seen one: none is left for them */
	node_exec(&n[A], "UPDATE OR IGNORE crsql_seen SET site = other, other = 0");
	node_exec(&n[A], "UPDATE r SET x = 2");
	pull(C, A);
	node_expect(&n[C], "2\n", "SELECT DISTINCT x FROM r");
}

/* Few sites, and many steps of each. */
static void
r18_a_page_tells_of_so_many_steps(void **state)
{
	node_exec(&n[A], "WITH i(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM i "
	    "WHERE n < 1600) INSERT INTO crsql_site_id(site_id, ordinal) SELECT "
	    "CAST(printf('%%016d', n) AS BLOB), n FROM i; INSERT INTO crsql_seen "
	    "SELECT a.ordinal, 1, b.ordinal, 1 FROM crsql_site_id a, "
	    "crsql_site_id b WHERE a.ordinal >= 1000 AND b.ordinal >= 1000 AND "
	    "a.ordinal <> b.ordinal");
	all_goes_on();
	node_expect(&n[B], "65536\n", "SELECT count(*) FROM crsql_seen");
}

static void
r18_so_many_steps_are_kept(void **state)
{
	node_exec(&n[A], "WITH i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i "
	    "WHERE n < %d) INSERT INTO crsql_seen SELECT 0, n, 0, n FROM i",
	    (1 << 22) - 2);
	give_steps(A, 'a', 5, 0, 1, 1);
	node_expect(&n[A], "4194304\n", "SELECT count(*) FROM crsql_seen");
	node_exec(&n[A], "DELETE FROM crsql_seen WHERE sver > 10");
	give_steps(A, 'b', 5, 0, 1, 1);
	node_expect(&n[A], "17\n", "SELECT count(*) FROM crsql_seen");
}

/* What can't be so is passed over, and holds back nothing. */
static void
r22_a_step_that_leaps_is_passed_over(void **state)
{
	int64_t far = ((int64_t)1 << 32) + 1;

	give_steps(A, 'a', 1, 0, far, 1);
	give_steps(A, 'b', 1, 0, 1, far);
	give_steps(A, 'c', 1, 6, 7, 1); /* above its transaction */
	give_steps(A, 'x', 0, 0, 0, 0);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_seen");
	give_steps(A, 'd', 1, 6, 6, far - 1);
	node_expect(&n[A], "6|4294967296\n", "SELECT sver, upto FROM "
	    "crsql_seen");
	all_goes_on();
}

int
main(void)
{
#define T(name) GROUP_TEST(name, group)
	static const struct CMUnitTest tests[] = {
		T(r18_steps_of_a_stranger_hold_back_nobody),
		T(r18_a_page_tells_of_so_many_sites),
		T(r18_a_page_tells_of_so_many_steps),
		T(r18_so_many_steps_are_kept),
		T(r22_a_step_that_leaps_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

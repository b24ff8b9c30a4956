// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_news.c - what NOTIFY names though no version of a site rose: what
 * came by INSERT INTO crsql_changes.
 */
#include "test_store_site.h"

enum { NEWS_MAX = 8, ROUNDS_MAX = 4 };

#define FOREIGN "x'00112233445566778899aabbccddeeff'"

static void
two_sites(struct site *a, struct site *b)
{
	site_make(a, "alice");
	site_make(b, "bob");
	introduce(a, b);
}

static size_t
look(struct site *s, struct store_entry *out, size_t max)
{
	struct err err;
	bool changed;
	size_t n;

	must(store_changed(s->store, &changed, out, max, &n, &err));
	return n;
}

static size_t
news(struct site *s, struct store_entry out[static NEWS_MAX])
{
	return look(s, out, NEWS_MAX);
}

static bool
covers(struct site *s, const struct store_entry *e, size_t n)
{
	struct err err;
	bool covered;

	must(store_covers(s->store, e, n, &covered, &err));
	return covered;
}

/* As an application that brings changes from elsewhere: row, value, version of
 * the cell, causal length. */
static void
bring(struct site *s, const char *id, int value, int version, int cl)
{
	sql(s, "INSERT INTO crsql_changes(\"table\", pk, cid, val, col_version, "
	    "db_version, site_id, cl, seq) VALUES('t', crsql_pack_columns(%Q), "
	    "%Q, %d, %d, 1, " FOREIGN ", %d, 0)", id, cl % 2 == 0 ? "-1" : "v",
	    value, version, cl);
}

/* Each tells the other, who asks if it does not hold that, until none has
 * anything to tell; how often somebody asked. */
static int
settle(struct site *a, struct site *b)
{
	struct site *from, *to;
	struct store_entry e[NEWS_MAX];
	int quiet, asked = 0;
	size_t n;

	for (quiet = 0, from = a; quiet < 2 && asked <= ROUNDS_MAX; from = to) {
		to = from == a ? b : a;
		n = news(from, e);
		if (n == 0 || covers(to, e, n)) {
			quiet++;
			continue;
		}
		quiet = 0;
		asked++;
		pull(to, from);
	}
	return asked;
}

static void
r13_what_has_no_version_is_news(void **state)
{
	struct store_entry e[NEWS_MAX];
	struct site a, b, c;

	two_sites(&a, &b);
	site_make(&c, "carol");
	introduce(&b, &c);
	assert_int_equal(news(&a, e), 0);
	bring(&a, "x", 5, 1, 1);
	assert_int_equal(news(&a, e), 1);
	assert_memory_equal(e[0].token, (uint8_t[STORE_TOKEN_LEN]){ 0 },
	    STORE_TOKEN_LEN);
	assert_false(covers(&b, e, 1));
	/* Once. */
	assert_int_equal(news(&a, e), 0);
	assert_int_equal(pull(&b, &a).rows, 1);
	/* For the next in the chain it is news too. */
	assert_int_equal(news(&b, e), 1);
	assert_false(covers(&c, e, 1));
	pull(&c, &b);
	expect(&c, "SELECT id, v FROM t", "x|5\n");
	/* Who had it finds nothing new, and tells nothing. */
	pull(&a, &b);
	assert_int_equal(news(&a, e), 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* Also where everything else is held already, and beside other news. */
static void
r13_it_is_news_after_others(void **state)
{
	struct store_entry e[NEWS_MAX];
	struct site a, b;

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1)");
	sql(&b, "INSERT INTO t VALUES('2', 1, 1)");
	settle(&a, &b);
	bring(&a, "x", 5, 1, 1);
	assert_int_equal(settle(&a, &b), 2);
	expect(&b, "SELECT v FROM t WHERE id = 'x'", "5\n");
	assert_same(&a, &b);
	sql(&a, "INSERT INTO t VALUES('3', 1, 1)");
	bring(&a, "y", 5, 1, 1);
	/* What does not fit in is told with the next. */
	assert_int_equal(look(&a, e, 1), 1);
	assert_true(e[0].version > 1);
	assert_int_equal(look(&a, e, 1), 1);
	assert_memory_equal(e[0].token, (uint8_t[STORE_TOKEN_LEN]){ 0 },
	    STORE_TOKEN_LEN);
	assert_int_equal(look(&a, e, 1), 0);
	site_close(&a);
	site_close(&b);
}

/* Two that bring other changes of one row, one after the other and both at a
 * time, come to rest, and are the same. */
static void
r13_telling_ends(void **state)
{
	struct site a, b;
	int i;

	two_sites(&a, &b);
	settle(&a, &b);
	for (i = 1; i <= 3; i++) {
		bring(&a, "x", i, i, 1);
		bring(&b, "x", 10 + i, i, 1);
		assert_in_range(settle(&a, &b), 2, ROUNDS_MAX);
		assert_same(&a, &b);
	}
	/* Deleted, and back to life with what it had. */
	bring(&b, "x", 0, 2, 2);
	assert_in_range(settle(&a, &b), 1, ROUNDS_MAX);
	expect(&a, "SELECT count(*) FROM t", "0\n");
	bring(&a, "x", 7, 1, 3);
	assert_in_range(settle(&a, &b), 1, ROUNDS_MAX);
	expect(&b, "SELECT v FROM t", "7\n");
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* What lay in the log before we began to look is told by HELLO and PULL. */
static void
r13_it_is_not_told_again_later(void **state)
{
	struct store_entry e[NEWS_MAX];
	struct site a;

	site_make(&a, "alice");
	bring(&a, "x", 5, 1, 1);
	site_close(&a);
	site_open(&a);
	assert_int_equal(news(&a, e), 0);
	plain_sql(&a, "CREATE TABLE other(x)");
	assert_int_equal(news(&a, e), 0);
	site_close(&a);
}

/* Rows that a table had before it was replicated are own changes. */
static void
r13_rows_adopted_are_news(void **state)
{
	static const char made[] = "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, "
	    "v); SELECT crsql_as_crr('u')";
	struct store_entry e[NEWS_MAX];
	struct site a, b;

	two_sites(&a, &b);
	sql(&b, "%s", made);
	settle(&a, &b);
	plain_sql(&a, "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, v);"
	    "INSERT INTO u VALUES('1', 1), ('2', 2)");
	assert_int_equal(news(&a, e), 0);
	sql(&a, "SELECT crsql_as_crr('u')");
	assert_int_equal(news(&a, e), 1);
	assert_false(covers(&b, e, 1));
	pull(&b, &a);
	expect(&b, "SELECT count(*) FROM u", "2\n");
	assert_true(covers(&b, e, 1));
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r13_what_has_no_version_is_news),
		TEST(r13_it_is_news_after_others),
		TEST(r13_telling_ends),
		TEST(r13_it_is_not_told_again_later),
		TEST(r13_rows_adopted_are_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_again.c - tables that lose their log and are replicated again, and
 * tables replaced by another of their name (R12, R16): what this database says
 * it holds of its own changes is no longer true of them, so it goes on as a new
 * incarnation, and all meet again.
 */
#include "test_store_site.h"

static int64_t
incarnations(const struct site *s)
{
	return number(s, "SELECT count(*) FROM ddcp_own") + 1;
}

static void
untrack(struct site *s, const char *table)
{
	struct err err;

	must(store_untrack(s->store, table, &err));
}

static void
track(struct site *s, const char *table)
{
	struct err err;
	bool already;

	must(store_track(s->store, table, &already, &err));
	assert_false(already);
}

/* A second table, whose place nothing of this may move. */
static void
make_second(struct site *s)
{
	sql(s, "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('u');");
}

static void
two_sites(struct site *a, struct site *b)
{
	site_make(a, "alice");
	site_make(b, "bob");
	make_second(a);
	make_second(b);
	introduce(a, b);
}

/* All meet until nothing is new; nobody begins an incarnation any more. */
static void
settle(struct site *const *all, size_t n)
{
	static int more;
	int64_t before[4];
	size_t i, j;
	int round;

	for (round = 0; round < 3; round++)
		for (i = 0; i < n; i++)
			for (j = 0; j < i; j++)
				assert_int_equal(meet(all[i], all[j]), 0);
	for (i = 0; i < n; i++)
		before[i] = incarnations(all[i]);
	for (round = 0; round < meetings(); round++) {
		sql(all[round % n], "INSERT INTO t VALUES('more-%d', %d, 1)",
		    more++, round);
		for (i = 0; i < n; i++)
			for (j = 0; j < i; j++)
				assert_int_equal(meet(all[i], all[j]), 0);
	}
	for (i = 0; i < n; i++) {
		assert_int_equal(incarnations(all[i]), before[i]);
		assert_alike(all[0], all[i]);
		assert_same_answer(all[0], all[i], "SELECT * FROM u ORDER BY id");
		for (j = 0; j < n; j++)
			if (i != j)
				assert_int_equal(pull(all[i], all[j]).rows, 0);
	}
}

static const char marks[] = "SELECT count(*) FROM crsql_master WHERE "
    "key LIKE 'again.%' OR key LIKE 'gone.%'";

/* -- own rows and others' -------------------------------------------------------- */

static void
r16_own_rows_of_a_table_tracked_again(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1);"
	    "INSERT INTO u VALUES('u', 1)");
	pull(&b, &a);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t WHERE id = '1'; UPDATE t SET v = 2 WHERE id = '2'");
	track(&a, "t");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	expect(&a, "SELECT id, v FROM t ORDER BY 1", "1|1\n2|2\n");
	assert_int_equal(incarnations(&a), 2);
	assert_int_equal(number(&a, marks), 0);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	assert_int_equal(incarnations(&b), 1);
	site_close(&a);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	site_close(&a);
	site_close(&b);
}

/* He who pulls from us first believes what we say we hold. */
static void
r16_newcomer_after_tracking_again(void **state)
{
	struct site a, b, c, *all[] = { &a, &b, &c };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	sql(&b, "INSERT INTO t VALUES('3', 1, 1), ('4', 1, 1)");
	pull(&b, &a);
	pull(&a, &b);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t WHERE id IN ('1', '3')");
	track(&a, "t");
	site_make(&c, "carol");
	make_second(&c);
	introduce(&c, &a);
	introduce(&c, &b);
	pull(&c, &a);
	expect(&c, "SELECT id FROM t ORDER BY 1", "2\n4\n");
	pull(&c, &b);
	expect(&c, "SELECT id FROM t ORDER BY 1", "1\n2\n3\n4\n");
	settle(all, 3);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* The rows that we lost come by another's hands only. */
static void
r16_tracked_again_in_a_chain(void **state)
{
	struct site a, b, c, d, *all[] = { &a, &b, &c, &d };

	two_sites(&a, &b);
	site_make(&c, "carol");
	make_second(&c);
	introduce(&b, &c);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	pull(&b, &a);
	pull(&c, &b);
	sql(&c, "UPDATE t SET w = 'c' WHERE id = '1'");
	sql(&a, "INSERT INTO t VALUES('5', 1, 1)");
	untrack(&a, "t");
	sql(&a, "DELETE FROM t WHERE id = '2'; UPDATE t SET v = 'a'");
	track(&a, "t");
	pull(&b, &a);
	pull(&b, &c);
	pull(&a, &b);
	pull(&c, &b);
	assert_alike(&a, &b);
	assert_alike(&a, &c);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 3);
	site_make(&d, "dave");
	make_second(&d);
	introduce(&d, &a);
	introduce(&d, &b);
	introduce(&d, &c);
	introduce(&a, &c);
	settle(all, 4);
	site_close(&a);
	site_close(&b);
	site_close(&c);
	site_close(&d);
}

/* -- without a look of ours in between -------------------------------------------- */

static void
r16_again_by_sql_in_one_transaction(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	sql(&b, "INSERT INTO t VALUES('3', 1, 1)");
	pull(&b, &a);
	pull(&a, &b);
	sql(&a, "BEGIN; INSERT INTO u VALUES('before', 1);"
	    "INSERT INTO t VALUES('new', 1, 1);"
	    "SELECT crsql_as_table('t'); DELETE FROM t WHERE id IN ('1', '3');"
	    "UPDATE t SET v = 7; SELECT crsql_as_crr('t');"
	    "INSERT INTO u VALUES('after', 1); COMMIT;");
	sql(&a, "INSERT INTO u VALUES('later', 1)");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	expect(&b, "SELECT id, v FROM t ORDER BY 1",
	    "1|1\n2|7\n3|1\nnew|7\n");
	expect(&b, "SELECT id FROM u ORDER BY 1", "after\nbefore\nlater\n");
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
}

/* Twice, with a transaction between that nobody saw; and two tables. */
static void
r16_again_twice(void **state)
{
	struct site a, b, *all[] = { &a, &b };
	int i;

	two_sites(&a, &b);
	for (i = 0; i < 3; i++) {
		sql(&a, "INSERT INTO t VALUES('t%d', 1, 1)", i);
		sql(&a, "INSERT INTO u VALUES('u%d', 1)", i);
	}
	pull(&b, &a);
	sql(&a, "SELECT crsql_as_table('t'); DELETE FROM t WHERE id = 't0';"
	    "SELECT crsql_as_crr('t');");
	sql(&a, "INSERT INTO u VALUES('between', 1)");
	sql(&a, "SELECT crsql_as_table('t'); DELETE FROM t WHERE id = 't1';"
	    "SELECT crsql_as_crr('t');");
	sql(&a, "INSERT INTO t VALUES('last', 1, 1)");
	sql(&a, "SELECT crsql_as_table('u'); DELETE FROM u WHERE id = 'u1';"
	    "SELECT crsql_as_crr('u');");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 4);
	assert_int_equal(number(&a, "SELECT count(*) FROM u"), 4);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	/* And once more, seen this time. */
	untrack(&a, "t");
	sql(&a, "DELETE FROM t");
	track(&a, "t");
	sql(&a, "INSERT INTO t VALUES('own', 1, 1)");
	settle(all, 2);
	assert_int_equal(incarnations(&a), 3);
	site_close(&a);
	site_close(&b);
}

/* Others' changes alone need no new incarnation. */
static void
r16_no_incarnation_without_own_changes(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&b, "INSERT INTO t VALUES('1', 1, 1)");
	pull(&a, &b);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t");
	track(&a, "t");
	pull(&a, &b);
	expect(&a, "SELECT id FROM t", "1\n");
	assert_int_equal(incarnations(&a), 1);
	assert_int_equal(number(&a, marks), 0);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 1);
	site_close(&a);
	site_close(&b);
}

/* The last own transaction lies far back in the log. */
static void
r16_own_changes_behind_many_of_others(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('own', 1, 1)");
	pull(&b, &a);
	sql(&b, "BEGIN; WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
	    "FROM s LIMIT 3000) INSERT INTO t SELECT 'b' || i, i, 1 FROM s;"
	    "UPDATE t SET w = id WHERE id <> 'own'; COMMIT");
	sql_times(&b, 3, "UPDATE t SET v = %d WHERE id LIKE 'b%%'");
	pull(&a, &b);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t WHERE id = 'own'");
	track(&a, "t");
	pull(&a, &b);
	expect(&a, "SELECT id FROM t WHERE id = 'own'", "own\n");
	assert_int_equal(incarnations(&a), 2);
	settle(all, 2);
	site_close(&a);
	site_close(&b);
}

/* -- between the look and what is told -------------------------------------------- */

static int
make_again(void *self, int page)
{
	if (page == 2)
		sql(self, "SELECT crsql_as_table('t'); DELETE FROM t WHERE "
		    "v < 100; SELECT crsql_as_crr('t');");
	return 0;
}

/* In the midst of a pull, from us and by us. */
static void
r16_again_between_the_pages(void **state)
{
	struct pull p = { .page = 500, .between = make_again, .pause = true };
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql_times(&a, 200, "INSERT INTO t VALUES('r%d', %d, 1)");
	p.self = &a;
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(p.pages > 2);
	assert_int_equal(incarnations(&a), 2);
	settle(all, 2);
	sql_times(&b, 200, "INSERT INTO t VALUES('s%d', %d, 1)");
	assert_int_equal(pull_with(&a, &b, &p), 0);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 3);
	/* What bob had is not lost, whatever was deleted unseen. */
	assert_int_equal(number(&a, "SELECT count(*) FROM t WHERE "
	    "id LIKE 's%'"), 200);
	site_close(&a);
	site_close(&b);
}

/* Another process began the new incarnation: this one hears of it. */
static void
r16_again_seen_by_another_process(void **state)
{
	struct site a, b, other, *all[] = { &a, &b };
	struct store_hello hello;
	struct err err;

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	pull(&b, &a);
	other = a;
	site_open(&other);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t WHERE id = '1'");
	track(&a, "t");
	must(store_hello(other.store, b.key, &hello, &err));
	assert_int_equal(hello.nown, 2);
	site_close(&other);
	pull(&b, &a);
	pull(&a, &b);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
}

/* Who can only read says so instead of telling what is not true. */
static void
r16_again_read_only(void **state)
{
	struct store_open how = { .busy_ms = 100, .readonly = true };
	struct store_reading *reading;
	struct store_pull *p;
	struct store_plan plan;
	struct site a, b;
	struct store *s;
	struct err err;
	bool whole;

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1)");
	pull(&b, &a);
	sql(&a, "SELECT crsql_as_table('t'); SELECT crsql_as_crr('t');");
	how.db_file = a.file;
	must(store_open(&how, &s, &err));
	must(store_pull_begin(b.store, remote_id(&b, &a), false, &p, &plan,
	    &err));
	assert_int_equal(store_serve(s, remote_id(&a, &b), &plan, &whole,
	    &reading, &err), E_INTEGRITY);
	assert_null(reading);
	store_pull_close(p, NULL);
	store_plan_clear(&plan);
	store_close(s);
	pull(&b, &a);
	site_close(&a);
	site_close(&b);
}

/* NOTIFY tells of the new incarnation, once. */
static void
r16_again_is_told(void **state)
{
	struct store_entry entry[8];
	struct site a, b;
	struct err err;
	bool changed;
	size_t n;

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1)");
	must(store_changed(a.store, &changed, entry, 8, &n, &err));
	sql(&a, "SELECT crsql_as_table('t'); UPDATE t SET v = 2;"
	    "SELECT crsql_as_crr('t');");
	must(store_changed(a.store, &changed, entry, 8, &n, &err));
	assert_true(changed);
	assert_int_equal(incarnations(&a), 2);
	assert_true(n >= 1);
	must(store_changed(a.store, &changed, entry, 8, &n, &err));
	must(store_changed(a.store, &changed, entry, 8, &n, &err));
	assert_false(changed);
	assert_int_equal(n, 0);
	site_close(&a);
	site_close(&b);
}

static size_t
news(struct site *s, struct store_entry entry[static 8])
{
	struct err err;
	bool changed;
	size_t n;

	must(store_changed(s->store, &changed, entry, 8, &n, &err));
	return n;
}

/* Also where another table can never hold what this one has by now. */
static void
r13_it_is_news_beside_a_table_that_can_not(void **state)
{
	struct store_entry entry[8];
	struct site a, b;

	two_sites(&a, &b);
	sql(&a, "CREATE TABLE w(id TEXT PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('w')");
	sql(&b, "INSERT INTO t VALUES('1', 1, 1)");
	pull(&a, &b);
	assert_true(news(&a, entry) > 0);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t");
	track(&a, "t");
	news(&a, entry);
	pull(&a, &b);
	assert_int_equal(news(&a, entry), 1);
	assert_int_equal(news(&a, entry), 0);
	site_close(&a);
	site_close(&b);
}

/* He who asked us while the table was empty hears when it is not any more,
 * though no site's newest change is another one. */
static void
r13_a_table_that_caught_up_is_news(void **state)
{
	struct store_entry entry[8];
	struct site a, b, c;
	struct err err;
	bool covered;
	size_t n;

	two_sites(&a, &b);
	site_make(&c, "carol");
	make_second(&c);
	introduce(&a, &c);
	sql(&b, "INSERT INTO t VALUES('1', 1, 1); INSERT INTO u VALUES('1', 1)");
	pull(&a, &b);
	assert_true(news(&a, entry) > 0);
	untrack(&a, "t");
	sql(&a, "DELETE FROM t");
	track(&a, "t");
	news(&a, entry);
	pull(&c, &a);
	expect(&c, "SELECT count(*) FROM t", "0\n");
	pull(&a, &b);
	n = news(&a, entry);
	assert_int_equal(n, 1);
	must(store_covers(c.store, entry, n, &covered, &err));
	assert_false(covered);
	pull(&c, &a);
	must(store_covers(c.store, entry, n, &covered, &err));
	assert_true(covered);
	assert_int_equal(news(&a, entry), 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* Of tables asked for together the end of a pull claims what holds for all of
 * them; what was merged is news all the same. */
static void
r13_what_no_vector_tells_is_news(void **state)
{
	struct store_entry entry[8];
	struct site a, b, c, *all[] = { &a, &b, &c };

	two_sites(&a, &b);
	site_make(&c, "carol");
	make_second(&c);
	introduce(&b, &c);
	sql(&a, "INSERT INTO u VALUES('1', 1)");
	pull(&b, &a);
	pull(&c, &b);
	sql(&a, "INSERT INTO u VALUES('2', 2)");
	sql(&a, "SELECT crsql_as_table('t'); SELECT crsql_as_crr('t');");
	news(&b, entry);
	pull(&b, &a);
	assert_int_equal(news(&b, entry), 1);
	pull(&c, &b);
	expect(&c, "SELECT id FROM u ORDER BY 1", "1\n2\n");
	introduce(&a, &c);
	settle(all, 3);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* Who serves asks all again when one of his tables is another one. */
static void
r12_tables_are_told_apart(void **state)
{
	uint64_t first, second, third;
	struct store_entry entry[8];
	struct site a, b;
	struct err err;
	size_t n;

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1)");
	must(store_tables(a.store, &n, &first, &err));
	assert_int_equal(n, 2);
	sql(&a, "SELECT crsql_as_table('t'); SELECT crsql_as_crr('t');");
	must(store_tables(a.store, &n, &second, &err));
	assert_int_equal(n, 2);
	assert_true(first != second);
	plain_sql(&a, "DROP TABLE t;"
	    "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w);");
	news(&a, entry);
	must(store_tables(a.store, &n, &third, &err));
	assert_int_equal(n, 2);
	assert_true(second != third);
	site_close(&a);
	site_close(&b);
}

/* With an old copy restored at the same time. */
static void
r16_again_in_an_old_copy(void **state)
{
	struct site a, b, *all[] = { &a, &b };
	char old[SITE_PATH_MAX];

	two_sites(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	sql_times(&a, 4, "INSERT INTO t VALUES('lost-%d', 1, 1)");
	pull(&b, &a);
	restore(&a, old, NULL);
	sql(&a, "SELECT crsql_as_table('t'); DELETE FROM t WHERE id = 'common-1';"
	    "SELECT crsql_as_crr('t'); INSERT INTO u VALUES('second', 1)");
	site_open(&a);
	assert_true(store_was_forked(a.store));
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 7 + meetings());
	site_close(&a);
	site_close(&b);
}

/* -- another table of the same name ------------------------------------------------ */

#define NEW_T "DROP TABLE t; CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w);"

static void
replace_plainly(bool journal)
{
	struct site a, b, c, *all[] = { &a, &b, &c };

	two_sites(&a, &b);
	site_make(&c, "carol");
	make_second(&c);
	introduce(&c, &a);
	introduce(&c, &b);
	if (!journal)
		sql(&a, "SELECT crsql_config_set('plain-writers', 0)");
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	sql(&b, "INSERT INTO t VALUES('3', 1, 1)");
	pull(&b, &a);
	pull(&a, &b);
	plain_sql(&a, NEW_T "INSERT INTO t VALUES('2', 5, 5), ('9', 9, 9)");
	pull(&c, &a);
	expect(&c, "SELECT id, v FROM t ORDER BY 1", "2|5\n9|9\n");
	pull(&b, &a);
	pull(&a, &b);
	expect(&a, "SELECT id, v FROM t ORDER BY 1", "1|1\n2|5\n3|1\n9|9\n");
	assert_alike(&a, &b);
	settle(all, 3);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

static void
r12_replaced_by_a_plain_program(void **state)
{
	replace_plainly(true);
}

static void
r12_replaced_where_plain_programs_may_not_write(void **state)
{
	replace_plainly(false);
}

/* By the handle that serves, and by one with the extension. */
static void
r12_replaced_with_the_extension(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	pull(&b, &a);
	exec(store_handle(a.store), "BEGIN;" NEW_T
	    "INSERT INTO t VALUES('2', 5, 5); COMMIT");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	expect(&a, "SELECT id, v FROM t ORDER BY 1", "1|1\n2|5\n");
	sql(&a, "BEGIN;" NEW_T "SELECT crsql_as_crr('t');"
	    "INSERT INTO t VALUES('8', 8, 8); COMMIT");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 3);
	site_close(&a);
	site_close(&b);
}

/* A tool that copies, drops and renames: the same table still. */
static void
r12_rebuilt_needs_no_incarnation(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	pull(&b, &a);
	plain_sql(&a, "CREATE TABLE x(id TEXT PRIMARY KEY NOT NULL, v, w);"
	    "INSERT INTO x SELECT * FROM t; DROP TABLE t;"
	    "ALTER TABLE x RENAME TO t; INSERT INTO t VALUES('3', 1, 1)");
	pull(&b, &a);
	assert_alike(&a, &b);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 1);
	site_close(&a);
	site_close(&b);
}

/* A new row may have the rowid of another one of before: none is missing, and
 * yet it is another table. */
static void
r12_replaced_under_the_same_rowids(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1)");
	sql(&a, "UPDATE t SET v = 2 WHERE id = '1'");
	pull(&b, &a);
	plain_sql(&a, NEW_T "INSERT INTO t VALUES('8', 8, 8), ('9', 9, 9)");
	pull(&b, &a);
	pull(&a, &b);
	assert_alike(&a, &b);
	expect(&a, "SELECT id, v FROM t ORDER BY 1", "1|2\n2|1\n8|8\n9|9\n");
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
}

/* A row pushed out by a REPLACE that nobody saw, with a key that nobody knows:
 * it comes back from where it lives, or says why it can't. */
static void
r06_replaced_with_its_key_unknown(void **state)
{
	struct site a, b, *all[] = { &a, &b };

	two_sites(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 2, 1)");
	pull(&b, &a);
	plain_sql(&a, "CREATE UNIQUE INDEX ux ON t(v); REPLACE INTO t "
	    "VALUES('3', 1, 1), ('4', 2, 1)");
	pull(&b, &a);
	pull(&a, &b);
	expect(&a, "SELECT id, v FROM t ORDER BY 1", "3|1\n4|2\n");
	expect(&b, "SELECT id, v FROM t ORDER BY 1", "1|1\n2|2\n3|1\n4|2\n");
	assert_true(number(&a, "SELECT count(*) FROM crsql_parked") > 0);
	plain_sql(&a, "DROP INDEX ux");
	sql(&b, "UPDATE t SET w = 6 WHERE id = '1'");
	pull(&a, &b);
	assert_alike(&a, &b);
	assert_int_equal(number(&a, "SELECT count(*) FROM crsql_parked"), 0);
	settle(all, 2);
	assert_int_equal(incarnations(&a), 2);
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r16_own_rows_of_a_table_tracked_again),
		TEST(r16_newcomer_after_tracking_again),
		TEST(r16_tracked_again_in_a_chain),
		TEST(r16_again_by_sql_in_one_transaction),
		TEST(r16_again_twice),
		TEST(r16_no_incarnation_without_own_changes),
		TEST(r16_own_changes_behind_many_of_others),
		TEST(r16_again_between_the_pages),
		TEST(r16_again_seen_by_another_process),
		TEST(r16_again_read_only),
		TEST(r16_again_is_told),
		TEST(r13_it_is_news_beside_a_table_that_can_not),
		TEST(r13_a_table_that_caught_up_is_news),
		TEST(r13_what_no_vector_tells_is_news),
		TEST(r12_tables_are_told_apart),
		TEST(r16_again_in_an_old_copy),
		TEST(r12_replaced_by_a_plain_program),
		TEST(r12_replaced_where_plain_programs_may_not_write),
		TEST(r12_replaced_with_the_extension),
		TEST(r12_rebuilt_needs_no_incarnation),
		TEST(r12_replaced_under_the_same_rowids),
		TEST(r06_replaced_with_its_key_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

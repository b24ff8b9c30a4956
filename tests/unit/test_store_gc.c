// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_gc.c - what a database forgot, met by synchronisation: who took part
 * goes on, who was away is told so by a code and a sentence of its own.
 */
#include "test_store_site.h"

/* Forgets what is there of a site's own: versions are small. */
static void
forget(struct site *s, const struct site *of)
{
	sqlite3 *db = open_handle(of->file, true);
	char *own = text_of(db, "SELECT hex(substr(crsql_own(), 1, 16)) || "
	    "hex(substr(crsql_own(), 24, 1))");

	close_handle(db);
	sql(s, "SELECT crsql_gc(x'01%.34s')", own);
	sqlite3_free(own);
}

static void
assert_behind(struct site *to, struct site *from)
{
	struct pull p = { .page = 0 };

	assert_int_equal(pull_with(to, from, &p), E_HORIZON);
	assert_non_null(strstr(p.err.text, "behind the horizon"));
}

/* Alice and bob go on; carol has a row that both have deleted. */
static void
three_sites(struct site *a, struct site *b, struct site *c)
{
	site_make(a, "alice");
	site_make(b, "bob");
	site_make(c, "carol");
	introduce(a, b);
	introduce(a, c);
	introduce(b, c);
	sql(a, "INSERT INTO t VALUES('old', 1, 1), ('kept', 1, 1)");
	meet(a, b);
	meet(a, c);
	sql(a, "DELETE FROM t WHERE id = 'old'");
	meet(a, b);
}

static void
r20_who_was_away_is_told_so(void **state)
{
	struct site a, b, c;

	three_sites(&a, &b, &c);
	forget(&a, &a);
	expect(&a, "SELECT count(*) FROM t__crsql_dead", "0\n");
	assert_behind(&c, &a);
	/* carol's edit of the row would make it anew */
	sql(&c, "UPDATE t SET v = 2 WHERE id = 'old'");
	assert_behind(&a, &c);
	expect(&a, "SELECT id FROM t", "kept\n");
	expect(&a, "SELECT * FROM crsql_check", "");
	/* bob takes the horizon over with the next pull, and both go on */
	sql(&b, "INSERT INTO t VALUES('new', 1, 1)");
	assert_behind(&a, &b);
	meet(&b, &a);
	expect(&b, "SELECT count(*) FROM t__crsql_dead", "0\n");
	assert_same(&a, &b);
	assert_behind(&b, &c);
	assert_behind(&c, &b);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* What was fetched before is thrown away, not tried for ever. */
static void
r20_what_waits_in_the_inbox_is_not_merged(void **state)
{
	struct pull fetch = { .fetch_only = true };
	struct store_result result;
	struct site a, b, c;
	struct err err;

	three_sites(&a, &b, &c);
	sql(&c, "UPDATE t SET v = 2");
	assert_int_equal(pull_with(&b, &c, &fetch), 0);
	forget(&a, &a);
	pull(&b, &a);
	assert_int_equal(store_merge_inbox(b.store, remote_id(&b, &c), &result,
	    &err), E_HORIZON);
	must(store_merge_inbox(b.store, remote_id(&b, &c), &result, &err));
	expect(&b, "SELECT id, v FROM t", "kept|1\n");
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* A table that one who took part replicates late is new to him, and he is not. */
static void
r20_a_table_may_come_late(void **state)
{
	static const char *const late = "CREATE TABLE u(id INTEGER PRIMARY KEY NOT "
	    "NULL, v); SELECT crsql_as_crr('u')";
	struct site a, b, c;

	three_sites(&a, &b, &c);
	sql(&b, "INSERT INTO t VALUES('bob', 1, 1)");
	meet(&a, &b);
	forget(&a, &a);
	forget(&a, &b);
	sql(&a, "%s; INSERT INTO u VALUES(1, 2)", late);
	pull(&b, &a);
	sql(&b, "%s", late);
	meet(&b, &a);
	expect(&b, "SELECT * FROM u", "1|2\n");
	expect(&b, "SELECT * FROM crsql_check", "");
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(r20_who_was_away_is_told_so,
		    scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(r20_a_table_may_come_late,
		    scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(
		    r20_what_waits_in_the_inbox_is_not_merged, scratch_make,
		    scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

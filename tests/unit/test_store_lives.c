// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_lives.c - a database that came back with its state directory has
 * told of its second life before anybody claimed the first (R16): wherever the
 * two lives meet, nothing of either is passed over.
 */
#include "test_store_site.h"

enum { TRIO = 3 };

static void
make_trio(struct site s[TRIO])
{
	static const char *const names[TRIO] = { "alice", "bob", "carol" };
	int i, k;

	for (i = 0; i < TRIO; i++) {
		site_make(&s[i], names[i]);
		for (k = 0; k < i; k++)
			introduce(&s[i], &s[k]);
	}
	sql(&s[0], "INSERT INTO t VALUES('common', 1, 1)");
	pull(&s[1], &s[0]);
	pull(&s[2], &s[0]);
}

static void
close_trio(struct site s[TRIO])
{
	int i;

	for (i = 0; i < TRIO; i++)
		site_close(&s[i]);
}

/* All meet all; then nobody is asked for anything any more. */
static void
settle(struct site s[TRIO])
{
	int round, i, k;

	for (round = 0; round < 4; round++)
		for (i = 0; i < TRIO; i++)
			for (k = 0; k < i; k++)
				meet(&s[i], &s[k]);
	for (i = 0; i < TRIO; i++)
		for (k = 0; k < i; k++) {
			assert_alike(&s[i], &s[k]);
			assert_int_equal(meet(&s[i], &s[k]), 0);
			assert_int_equal(pull(&s[i], &s[k]).rows, 0);
		}
}

/* Alice came back with her state.  Her first life is known to bob, her second
 * to carol, under a number that the first does not have with bob any more. */
static void
live_twice(struct site s[TRIO])
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];

	make_trio(s);
	keep(&s[0], old);
	keep_state(&s[0], note);
	sql(&s[0], "INSERT INTO t VALUES('lost', 1, 1)");
	sql(&s[0], "INSERT INTO t VALUES('lost-2', 1, 1)");
	sql(&s[0], "UPDATE t SET v = 2, w = 2 WHERE id = 'lost-2'");
	pull(&s[1], &s[0]);
	restore(&s[0], old, note);
	site_open(&s[0]);
	assert_false(store_was_forked(s[0].store));
	sql(&s[2], "INSERT INTO t VALUES('carol', 1, 1)");
	pull(&s[0], &s[2]);
	sql(&s[0], "INSERT INTO t VALUES('second', 1, 1)");
	pull(&s[2], &s[0]);
}

static void
meet_bob_first(int who)
{
	struct site s[TRIO];

	live_twice(s);
	meet(&s[who], &s[1]);
	settle(s);
	expect(&s[2], "SELECT id FROM t ORDER BY 1",
	    "carol\ncommon\nlost\nlost-2\nsecond\n");
	close_trio(s);
}

static void
r16_second_life_met_by_its_maker(void **state)
{
	meet_bob_first(0);
}

static void
r16_second_life_met_by_a_reader(void **state)
{
	meet_bob_first(2);
}

static struct site *hub;        /* of r16_two_pasts_noticed_during_a_pull */

static int
notice(void *self, int page)
{
	if (page == 1)
		pull(self, hub);
	return 0;
}

/* Bob's pull has named what he holds of alice, and carol passed over what she
 * has of the other life; then carol's own pull shows him that there are two. */
static void
r16_two_pasts_noticed_during_a_pull(void **state)
{
	struct pull p = { .between = notice };
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site s[TRIO];

	make_trio(s);
	keep(&s[0], old);
	keep_state(&s[0], note);
	sql_times(&s[0], 5, "INSERT INTO t VALUES('one-%d', 1, 1)");
	pull(&s[1], &s[0]);
	restore(&s[0], old, note);
	site_open(&s[0]);
	sql_times(&s[0], 2, "INSERT INTO t VALUES('two-%d', 1, 1)");
	pull(&s[2], &s[0]);
	hub = &s[1];
	p.self = &s[2];
	assert_int_equal(pull_with(&s[1], &s[2], &p), 0);
	pull(&s[1], &s[2]);
	assert_alike(&s[1], &s[2]);
	assert_int_equal(number(&s[1], "SELECT count(*) FROM t"), 8);
	settle(s);
	close_trio(s);
}

/* Who learns of two pasts tells those who are connected, because their vectors
 * hide what they miss; then there is nothing to tell until something comes. */
static void
r13_two_pasts_are_news(void **state)
{
	static const uint8_t none[STORE_TOKEN_LEN];
	struct store_entry news[8];
	struct site s[TRIO];
	struct err err;
	bool changed, covered;
	size_t i, n;

	live_twice(s);
	must(store_changed(s[2].store, &changed, news, 8, &n, &err));
	meet(&s[0], &s[1]);
	pull(&s[2], &s[0]);
	must(store_changed(s[2].store, &changed, news, 8, &n, &err));
	for (i = 0; i < n && memcmp(news[i].token, none, sizeof none) != 0; i++)
		;
	assert_in_range(i, 0, n - 1);
	must(store_covers(s[1].store, &news[i], 1, &covered, &err));
	assert_false(covered);
	must(store_changed(s[2].store, &changed, news, 8, &n, &err));
	assert_int_equal(n, 0);
	settle(s);
	must(store_changed(s[2].store, &changed, news, 8, &n, &err));
	assert_int_equal(pull(&s[2], &s[0]).rows, 0);
	must(store_changed(s[2].store, &changed, news, 8, &n, &err));
	assert_int_equal(n, 0);
	close_trio(s);
}

/* A table is replicated again before anybody claims anything: that begins a new
 * incarnation too, but the peer's vector covers what the second life wrote.  Of
 * the first life the peer has but one header, so that no token gives it away. */
static void
again_before_the_claim(bool sent)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site s[TRIO];
	int i;

	make_trio(s);
	for (i = 0; i < TRIO; i++)
		sql(&s[i], "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, v);"
		    "SELECT crsql_as_crr('u')");
	sql(&s[0], "INSERT INTO u VALUES('u', 1)");
	pull(&s[1], &s[0]);
	keep(&s[0], old);
	keep_state(&s[0], note);
	sql_times(&s[0], 5, "INSERT INTO t VALUES('lost', 1, %d) ON CONFLICT "
	    "DO UPDATE SET v = v + 1, w = excluded.w");
	pull(&s[1], &s[0]);
	restore(&s[0], old, note);
	site_open(&s[0]);
	sql(&s[0], "INSERT INTO t VALUES('second', 1, 1)");
	if (sent)
		pull(&s[2], &s[0]);
	sql(&s[0], "INSERT INTO t VALUES('third', 1, 1)");
	sql(&s[0], "SELECT crsql_as_table('u'); SELECT crsql_as_crr('u')");
	meet(&s[0], &s[2]);
	settle(s);
	assert_int_equal(number(&s[1], "SELECT count(*) FROM t"), 4);
	assert_same_answer(&s[0], &s[1], "SELECT * FROM u");
	close_trio(s);
}

static void
r16_again_before_the_claim(void **state)
{
	again_before_the_claim(false);
}

static void
r16_again_before_the_claim_but_after_sending(void **state)
{
	again_before_the_claim(true);
}

/* Back twice, each time with its state, and each life met another peer. */
static void
r16_three_lives(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site s[TRIO];
	int life, i;

	make_trio(s);
	keep(&s[0], old);
	keep_state(&s[0], note);
	for (life = 1; life < TRIO; life++) {
		for (i = 0; i < 5 - 2 * life; i++)
			sql(&s[0], "INSERT INTO t VALUES('life-%d-%d', 1, 1)",
			    life, i);
		sql(&s[0], "UPDATE t SET v = 2, w = 2 WHERE id = 'life-%d-0'",
		    life);
		pull(&s[life], &s[0]);
		restore(&s[0], old, note);
		site_open(&s[0]);
	}
	sql(&s[0], "INSERT INTO t VALUES('last', 1, 1)");
	settle(s);
	assert_int_equal(number(&s[1], "SELECT count(*) FROM t"), 1 + 3 + 1 + 1);
	close_trio(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r16_second_life_met_by_its_maker),
		TEST(r16_second_life_met_by_a_reader),
		TEST(r16_two_pasts_noticed_during_a_pull),
		TEST(r13_two_pasts_are_news),
		TEST(r16_again_before_the_claim),
		TEST(r16_again_before_the_claim_but_after_sending),
		TEST(r16_three_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

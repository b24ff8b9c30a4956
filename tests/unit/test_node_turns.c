// SPDX-License-Identifier: MPL-2.0
/*
 * test_node_turns.c - whose turn it is to pull.  Some peers say all the time that
 * they are there and send their pages late, or never.
 */
#include "test_node_peers.h"

enum { MINUTE = 60000 };

/* Of hub_turn.c, session_pull.c. */
enum { PULLS_MAX = 4, LOOK_MS = 3000, SILENT_MS = 60000, SHARE_MS = 600000 };

static void
the_next_begins_beside_a_mute_one(void **state)
{
	struct peer *mute, *good;

	begin();
	mute = peer("mute", true);
	good = peer("good", false);
	call(mute);
	assert_int_equal(mute->pulls, 1);
	sql(&good->site, "INSERT INTO t VALUES('1', 1, 1)");
	call(good);
	assert_in_range(wait_for(pulls_from("good"), 1, MINUTE), LOOK_MS - 500,
	    LOOK_MS + 500);
	assert_true(mute->asked);
	/* From then on it waits for nobody. */
	write_and_tell(good, "2");
	assert_in_range(wait_for(pulls_from("good"), 2, MINUTE), 0, 100);
	assert_int_equal(mute->pulls, 1);
	end();
}

/* It is told once, shown, asked again later, and later still. */
static void
a_mute_one_is_given_up(void **state)
{
	static const uint64_t rest[] = { 1, 2, 4, 8, 16, 16 };
	struct peer *mute;
	size_t i;

	begin();
	mute = peer("mute", true);
	call(mute);
	assert_in_range(wait_for(&us.troubles, 1, 2 * MINUTE), SILENT_MS - 500,
	    SILENT_MS + LOOK_MS);
	assert_non_null(strstr(us.trouble, "nothing of what was asked for"));
	assert_string_equal(us.who, "mute");
	pass(10);
	assert_non_null(strstr(last_error(mute), "nothing of what"));
	assert_false(mute->asked);
	/* The connection stays. */
	assert_non_null(hub_find(us.hub, mute->site.key));
	for (i = 0; i < sizeof rest / sizeof *rest; i++) {
		/* What it says itself is no reason to come earlier. */
		write_and_tell(mute, (const char[]){ (char)('a' + i), 0 });
		assert_in_range(wait_for(&mute->pulls, (int)i + 2, 30 * MINUTE),
		    rest[i] * MINUTE - 1000, rest[i] * MINUTE + 1000);
		wait_for(&us.troubles, (int)i + 2, 2 * MINUTE);
	}
	/* It comes to its senses. */
	mute->mute = false;
	wait_for(pulls_from("mute"), 1, 20 * MINUTE);
	assert_string_equal(last_error(mute), "");
	write_and_tell(mute, "z");
	assert_in_range(wait_for(pulls_from("mute"), 2, MINUTE), 0, 100);
	assert_alike(&us.site, &mute->site);
	end();
}

/* Also where there are more of them than pulls at once: until one is given up. */
static void
many_mute_ones_keep_nobody_out(void **state)
{
	static const char *const names[] = { "m1", "m2", "m3", "m4", "m5",
		"m6" };
	struct peer *mute[6], *good;
	size_t i;

	begin();
	for (i = 0; i < 6; i++)
		mute[i] = peer(names[i], true);
	good = peer("good", false);
	sql(&good->site, "INSERT INTO t VALUES('1', 1, 1)");
	for (i = 0; i < 5; i++)
		call(mute[i]);
	call(good);
	call(mute[5]);
	assert_in_range(wait_for(pulls_from("good"), 1, 10 * MINUTE), 0,
	    SILENT_MS + 2 * LOOK_MS);
	/* In the order in which they came. */
	assert_int_equal(mute[4]->pulls, 1);
	assert_int_equal(mute[5]->pulls, 0);
	wait_for(&mute[5]->pulls, 1, MINUTE);
	pass(30 * MINUTE);
	assert_int_equal(most_at_once, PULLS_MAX);
	for (i = 0; i < 6; i++)
		assert_true(mute[i]->pulls > 2);
	write_and_tell(good, "2");
	wait_for(pulls_from("good"), 2, SILENT_MS + 2 * LOOK_MS);
	end();
}

/* Each in a transaction of its own, so that none comes twice. */
static void
write_rows(const struct site *s, int n)
{
	sqlite3 *db = open_handle(s->file, true);
	char text[64];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof text, "INSERT INTO t VALUES('%s.%d', 1, "
		    "1)", s->name, i);
		exec(db, text);
	}
	close_handle(db);
}

/* One who sends a little all the time is not given up, but gives way where all
 * are like that; what he sent is not asked for again. */
static void
slow_ones_take_turns(void **state)
{
	static const char *const names[] = { "s1", "s2", "s3", "s4" };
	enum { ROWS = 400 };
	struct peer *slow[4], *good;
	size_t i;

	begin();
	for (i = 0; i < 4; i++) {
		slow[i] = peer(names[i], false);
		slow[i]->delay_ms = 2000;
		slow[i]->page_max = 1;
		write_rows(&slow[i]->site, ROWS);
	}
	good = peer("good", false);
	sql(&good->site, "INSERT INTO t VALUES('good', 1, 1)");
	for (i = 0; i < 4; i++)
		call(slow[i]);
	call(good);
	assert_in_range(wait_for(pulls_from("good"), 1, 20 * MINUTE),
	    SHARE_MS - MINUTE, SHARE_MS + LOOK_MS);
	assert_int_equal(us.troubles, 0);
	assert_false(slow[0]->asked);
	pass(60 * MINUTE);
	assert_int_equal(most_at_once, PULLS_MAX);
	for (i = 0; i < 4; i++) {
		assert_false(slow[i]->asked);
		assert_in_range(slow[i]->rows_sent, ROWS, ROWS + 4);
	}
	assert_int_equal(number(&us.site, "SELECT count(*) FROM t"),
	    4 * ROWS + 1);
	assert_int_equal(us.troubles, 0);
	end();
}

/* Two that have the same, in part, and each something else of it: how many were
 * pulled from at once. */
static size_t
pull_from_two(uint64_t delay_ms)
{
	struct peer *a, *b;
	size_t at_once;

	begin();
	a = peer("a", false);
	b = peer("b", false);
	introduce(&a->site, &b->site);
	sql(&a->site, "INSERT INTO t VALUES('1', 1, 1), ('2', 1, 1), "
	    "('3', 1, 1)");
	pull(&b->site, &a->site);
	sql(&b->site, "UPDATE t SET v = 'b'; INSERT INTO t VALUES('4', 1, 1);"
	    "DELETE FROM t WHERE id = '3'");
	sql(&a->site, "UPDATE t SET w = 'a'; INSERT INTO t VALUES('4', 2, 2);"
	    "UPDATE t SET w = 'a again'");
	a->delay_ms = b->delay_ms = delay_ms;
	a->page_max = b->page_max = 1;
	call(a);
	call(b);
	wait_for(pulls_from("b"), 1, 2 * MINUTE);
	pass(MINUTE);
	assert_int_equal(*pulls_from("a"), 1);
	at_once = most_at_once;
	pull(&a->site, &b->site);
	pull(&b->site, &a->site);
	assert_same(&a->site, &us.site);
	assert_same(&b->site, &us.site);
	end();
	return at_once;
}

static void
r13_one_pull_at_a_time(void **state)
{
	assert_int_equal(pull_from_two(2), 1);
}

/* Also where it takes its time: who comes forward keeps his turn. */
static void
r13_a_long_pull_keeps_its_turn(void **state)
{
	struct peer *big, *good;

	begin();
	big = peer("big", false);
	good = peer("good", false);
	big->delay_ms = LOOK_MS / 3;
	sql(&big->site, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT "
	    "i + 1 FROM n WHERE i < 40) INSERT INTO t SELECT i, "
	    "randomblob(200000), 1 FROM n");
	sql(&good->site, "INSERT INTO t VALUES('good', 1, 1)");
	call(big);
	call(good);
	assert_true(wait_for(pulls_from("good"), 1, MINUTE) > 3 * LOOK_MS);
	assert_int_equal(*pulls_from("big"), 1);
	assert_int_equal(most_at_once, 1);
	end();
}

static void
two_slow_ones_at_once_are_right(void **state)
{
	assert_int_equal(pull_from_two(1000), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_next_begins_beside_a_mute_one),
		TEST(a_mute_one_is_given_up),
		TEST(many_mute_ones_keep_nobody_out),
		TEST(slow_ones_take_turns),
		TEST(r13_one_pull_at_a_time),
		TEST(r13_a_long_pull_keeps_its_turn),
		TEST(two_slow_ones_at_once_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_copies.c - copies, old backups and power cuts (R2, R15, R16): two
 * lives of one database meet the same peer, and nothing is lost.
 */
#include "test_store_site.h"

static void
more_meetings(struct site *a, struct site *b)
{
	int i;

	for (i = 0; i < meetings(); i++) {
		sql(a, "INSERT INTO t VALUES('%s-more-%d', 1, 1)", a->name, i);
		if (i % 3 == 0)
			sql(b, "UPDATE t SET w = %d WHERE id LIKE '%%-more-%d'",
			    i, i);
		assert_int_equal(meet(a, b), 0);
		assert_alike(a, b);
	}
}

static int64_t
own_sites(const struct site *s)
{
	return number(s, "SELECT count(*) FROM ddcp_own") + 1;
}

/* -- R2 -------------------------------------------------------------------- */

/* A file copied back under a valid log id, with its note, and edited past the
 * reader's cursor: the cursor's header has another token. */
static void
r02_cursor_of_another_past(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 10, "INSERT INTO t VALUES('first-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	sql_times(&a, 10, "INSERT INTO t VALUES('lost-%d', 1, 1)");
	pull(&b, &a);
	restore(&a, old, note);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	sql_times(&a, 25, "INSERT INTO t VALUES('again-%d', 1, 1)");
	assert_int_equal(meet(&a, &b), 1);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 45);
	site_close(&a);
	site_close(&b);
}

/* Copied back with its state, and what others made comes again to the same
 * place as before, under the token that it brought along: what stands before
 * is another thing, though. */
static void
r02_cursor_of_another_past_with_the_same_token(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site a, b, c, d;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	site_make(&d, "dave");
	introduce(&a, &b);
	introduce(&a, &c);
	introduce(&a, &d);
	sql(&a, "INSERT INTO t VALUES('a', 1, 1)");
	sql(&b, "INSERT INTO t VALUES('b', 1, 1)");
	sql(&c, "INSERT INTO t VALUES('c', 1, 1)");
	keep(&a, old);
	keep_state(&a, note);
	pull(&a, &c);
	pull(&a, &b);
	pull(&d, &a);
	restore(&a, old, note);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	sql(&a, "INSERT INTO t VALUES('instead', 1, 1)");
	pull(&a, &b);
	pull(&d, &a);
	expect(&d, "SELECT id FROM t ORDER BY 1", "a\nb\nc\ninstead\n");
	pull(&a, &d);
	assert_alike(&a, &d);
	site_close(&a);
	site_close(&b);
	site_close(&c);
	site_close(&d);
}

/* -- R15, R16 -------------------------------------------------------------------------- */

static struct store_own_site
own_now(struct site *s)
{
	static const uint8_t nobody[KEY_LEN];
	struct store_hello hello;
	struct err err;

	must(store_hello(s->store, nobody, &hello, &err));
	return hello.own[hello.nown - 1];
}

/* The own entry is the newest own transaction, whatever was merged since. */
static void
r15_own_entry_is_own(void **state)
{
	struct store_own_site before, after;
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&b, "INSERT INTO t VALUES('b', 1, 1)");
	before = own_now(&b);
	sql_times(&a, 20, "INSERT INTO t VALUES('a%d', 1, 1)");
	pull(&b, &a);
	after = own_now(&b);
	assert_int_equal(before.version, after.version);
	assert_memory_equal(before.token, after.token, STORE_TOKEN_LEN);
	sql(&b, "INSERT INTO t VALUES('b2', 1, 1)");
	assert_true(own_now(&b).version > after.version);
	pull(&a, &b);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* The database is copied back, its state directory is not: the note tells. */
static void
r16_backup_without_state(void **state)
{
	char old[SITE_PATH_MAX];
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	sql_times(&a, 4, "INSERT INTO t VALUES('lost-%d', 1, 1)");
	pull(&b, &a);
	restore(&a, old, NULL);
	/* Edited by a program before ddcp sees it. */
	sql(&a, "INSERT INTO t VALUES('second-life', 1, 1)");
	site_open(&a);
	assert_true(store_was_forked(a.store));
	assert_int_equal(own_sites(&a), 2);
	meet(&a, &b);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 8);
	more_meetings(&a, &b);
	assert_int_equal(own_sites(&a), 2);
	site_close(&a);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	site_close(&a);
	site_close(&b);
}

/* Both are copied back: only the peer can tell. */
static void
r16_backup_with_state(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	sql_times(&a, 4, "INSERT INTO t VALUES('lost-%d', 1, 1)");
	pull(&b, &a);
	restore(&a, old, note);
	sql_times(&a, 9, "INSERT INTO t VALUES('second-%d', 1, 1)");
	site_open(&a);
	assert_false(store_was_forked(a.store));
	assert_int_equal(meet(&a, &b), 1);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 16);
	more_meetings(&a, &b);
	assert_int_equal(own_sites(&a), 2);
	site_close(&a);
	site_close(&b);
}

/* The peer learns of the first life from somebody else when it has said its
 * HELLO: nothing of that may become our own. */
static void
r16_another_life_comes_in_pages(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct pull p = { .page = 0 };
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('common', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	sql_times(&a, 4, "INSERT INTO t VALUES('lost-%d', 1, 1)");
	pull(&b, &a);
	restore(&a, old, note);
	sql(&a, "INSERT INTO t VALUES('second', 1, 1)");
	site_open(&a);
	assert_int_equal(pull_with(&a, &b, &p), E_UNREACHABLE);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 2);
	assert_int_equal(meet(&a, &b), 1);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 6);
	more_meetings(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* Two lives of one database write past each other's head offline, and both
 * meet the same peer. */
static void
r16_two_lives(void **state)
{
	struct site a, b, twin;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	memset(&twin, 0, sizeof twin);
	twin.name = "twin";
	snprintf(twin.file, sizeof twin.file, "%s/twin.db", scratch);
	snprintf(twin.state, sizeof twin.state, "%s/twin-state", scratch);
	copy_database(a.file, twin.file);
	copy_state(store_state_dir(a.store), twin.state);
	site_open(&twin);
	sql_times(&a, 12, "INSERT INTO t VALUES('one-%d', 1, 1)");
	sql_times(&twin, 7, "INSERT INTO t VALUES('two-%d', 1, 1);"
	    "UPDATE t SET v = 'two' WHERE id = 'common-1'");
	assert_int_equal(meet(&a, &b), 0);
	assert_int_equal(meet(&twin, &b), 1);
	/* the name that both went by proves nothing from now on */
	assert_int_equal(meet(&a, &b), 1);
	assert_int_equal(meet(&twin, &b), 0);
	assert_alike(&a, &b);
	assert_alike(&twin, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 22);
	more_meetings(&a, &b);
	more_meetings(&twin, &b);
	assert_int_equal(meet(&a, &b), 0);
	assert_alike(&a, &twin);
	site_close(&a);
	site_close(&b);
	site_close(&twin);
}

/* A copy of c, with its state: two lives of one site. */
static void
make_twin(struct site *c, struct site *twin)
{
	memset(twin, 0, sizeof *twin);
	twin->name = "twin";
	snprintf(twin->file, sizeof twin->file, "%s/twin.db", scratch);
	snprintf(twin->state, sizeof twin->state, "%s/twin-state", scratch);
	copy_database(c->file, twin->file);
	copy_state(store_state_dir(c->store), twin->state);
	site_open(twin);
}

/* Alice met the one life of carol, bob the other; n rows of each. */
static void
two_pasts(struct site *a, struct site *b, struct site *c, struct site *twin,
    int one, int two)
{

	site_make(a, "alice");
	site_make(b, "bob");
	site_make(c, "carol");
	introduce(a, b);
	introduce(a, c);
	introduce(b, c);
	sql_times(c, 5, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(a, c);
	pull(b, c);
	make_twin(c, twin);
	sql_times(c, one, "INSERT INTO t VALUES('one-%d', 1, 1)");
	sql_times(twin, two, "INSERT INTO t VALUES('two-%d', 1, 1)");
	pull(a, c);
	pull(b, twin);
}

/* Both lives end there.  Those who met them tell each other everything, and a
 * newcomer too, from whoever he hears first. */
static void
r16_a_foreign_site_with_two_pasts(void **state)
{
	static const int rows[][2] = { { 5, 7 }, { 7, 5 }, { 4, 4 } };
	const size_t n = sizeof rows / sizeof *rows;
	struct site a, b, c, twin, d;
	size_t i;
	int k;

	for (i = 0; i < 2 * n; i++) {
		two_pasts(&a, &b, &c, &twin, rows[i % n][0], rows[i % n][1]);
		site_close(&c);
		site_close(&twin);
		for (k = 0; k < 2; k++) {
			pull(&a, &b);
			pull(&b, &a);
		}
		assert_alike(&a, &b);
		assert_int_equal(number(&a, "SELECT count(*) FROM t"),
		    5 + rows[i % n][0] + rows[i % n][1]);
		site_make(&d, "dave");
		introduce(&d, &a);
		introduce(&d, &b);
		pull(&d, i < n ? &a : &b);
		pull(&d, i < n ? &b : &a);
		assert_alike(&a, &d);
		assert_int_equal(pull(&a, &b).rows, 0);
		assert_int_equal(pull(&b, &a).rows, 0);
		assert_int_equal(pull(&d, &b).rows, 0);
		site_close(&a);
		site_close(&b);
		site_close(&d);
		scratch_remove(NULL);
		assert_int_equal(scratch_make(NULL), 0);
	}
}

/* Only one asks the other, and there is one who met only the one life. */
static void
r16_two_pasts_are_told_on(void **state)
{
	struct site a, b, c, twin, d, e;
	int k;

	two_pasts(&a, &b, &c, &twin, 5, 7);
	site_make(&d, "dave");
	site_make(&e, "eve");
	introduce(&d, &a);
	introduce(&e, &b);
	introduce(&d, &e);
	pull(&d, &a);
	pull(&e, &b);
	for (k = 0; k < 2; k++)
		pull(&b, &a);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 17);
	for (k = 0; k < 2; k++)
		pull(&e, &b);
	assert_alike(&e, &b);
	for (k = 0; k < 2; k++)
		pull(&d, &e);
	assert_alike(&d, &b);
	for (k = 0; k < 2; k++)
		pull(&a, &d);
	assert_alike(&a, &b);
	site_close(&a);
	site_close(&b);
	site_close(&c);
	site_close(&twin);
	site_close(&d);
	site_close(&e);
}

/* And the lives come back: each becomes a site of its own, once. */
static void
r16_two_pasts_come_back(void **state)
{
	struct site a, b, c, twin;
	int forks = 0, k;

	two_pasts(&a, &b, &c, &twin, 5, 7);
	for (k = 0; k < 2; k++)
		meet(&a, &b);
	for (k = 0; k < 3; k++) {
		sql(&c, "INSERT INTO t VALUES('c-%d', 1, 1)", k);
		sql(&twin, "UPDATE t SET v = 'twin-%d' WHERE id = 'common-1'",
		    k);
		forks += meet(&a, &c);
		forks += meet(&b, &twin);
		forks += meet(&a, &twin);
		forks += meet(&a, &b);
		forks += meet(&b, &c);
		forks += meet(&a, &c);
		forks += meet(&b, &twin);
	}
	assert_in_range(forks, 1, 2);
	assert_alike(&a, &b);
	assert_alike(&a, &c);
	assert_alike(&a, &twin);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 20);
	more_meetings(&a, &b);
	more_meetings(&c, &b);
	site_close(&a);
	site_close(&b);
	site_close(&c);
	site_close(&twin);
}

/* One backup is restored twice, without and with its state. */
static void
r16_one_backup_twice(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site a, b;
	int i, life;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	for (life = 0; life < 4; life++) {
		for (i = 0; i < 3 + life; i++)
			sql(&a, "INSERT INTO t VALUES('life-%d-%d', 1, 1)",
			    life, i);
		meet(&a, &b);
		assert_alike(&a, &b);
		restore(&a, old, life % 2 == 0 ? note : NULL);
		sql(&a, "INSERT INTO t VALUES('offline-%d', 1, 1)", life);
		site_open(&a);
	}
	meet(&a, &b);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"),
	    3 + 3 + 4 + 5 + 6 + 4);
	more_meetings(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* The note is of a life that the copy never had: one new life is enough, however
 * often the database is opened before it says a word. */
static void
r16_one_life_a_copy(void **state)
{
	static const char lives[] = "SELECT count(*) FROM ddcp_own";
	char old[SITE_PATH_MAX];
	struct site a, b;
	int64_t begun;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('common-%d', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	for (i = 0; i < 2; i++) {
		sql(&a, "INSERT INTO t VALUES('life-%d', 1, 1)", i);
		meet(&a, &b);
		restore(&a, old, NULL);
		site_open(&a);
	}
	begun = number(&a, lives);
	for (i = 0; i < 3; i++) {
		site_close(&a);
		site_open(&a);
		assert_int_equal(number(&a, lives), begun);
	}
	meet(&a, &b);
	assert_alike(&a, &b);
	more_meetings(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* The power goes after sending: what was committed last is lost, the note is
 * not. */
static void
r16_power_cut_after_sending(void **state)
{
	char old[SITE_PATH_MAX];
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('common', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	sql(&a, "UPDATE t SET v = 'sent' WHERE id = 'common'");
	pull(&b, &a);
	restore(&a, old, NULL);
	site_open(&a);
	assert_true(store_was_forked(a.store));
	sql(&a, "UPDATE t SET w = 'again' WHERE id = 'common'");
	meet(&a, &b);
	assert_alike(&a, &b);
	expect(&a, "SELECT * FROM t", "common|sent|again\n");
	site_close(&a);
	site_close(&b);
}

/* Merged changes are lost by a restore, own ones are not: the head tells. */
static void
r16_backup_before_a_merge(void **state)
{
	char old[SITE_PATH_MAX];
	struct site a, b, c;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&a, &c);
	sql(&a, "INSERT INTO t VALUES('a', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	sql_times(&c, 5, "INSERT INTO t VALUES('c%d', 1, 1)");
	pull(&a, &c);
	pull(&b, &a);
	restore(&a, old, NULL);
	site_open(&a);
	assert_true(store_was_forked(a.store));
	sql(&a, "INSERT INTO t VALUES('a2', 1, 1)");
	meet(&a, &b);
	assert_alike(&a, &b);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 7);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* Copied without its state directory: refused, then a new identity; what the
 * copy wrote under the old one is not lost. */
static void
r16_copy_without_state(void **state)
{
	struct store_init how = { .busy_ms = 2000, .new_identity = true };
	struct store_open open = { .busy_ms = 2000 };
	struct site a, b, copy;
	struct store *s;
	struct err err;
	bool already;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('common', 1, 1)");
	pull(&b, &a);
	pull(&a, &b);
	memset(&copy, 0, sizeof copy);
	copy.name = "copy";
	snprintf(copy.file, sizeof copy.file, "%s/copy.db", scratch);
	copy_database(a.file, copy.file);
	sql(&copy, "INSERT INTO t VALUES('by-the-copy', 1, 1)");
	sql_times(&a, 5, "INSERT INTO t VALUES('by-alice-%d', 1, 1)");
	pull(&b, &a);
	open.db_file = how.db_file = copy.file;
	assert_int_equal(store_open(&open, &s, &err), E_NOTFOUND);
	assert_non_null(strstr(err.text, "alice.db"));
	assert_non_null(strstr(err.hint, "--new-identity"));
	must(store_init(&how, &already, &err));
	assert_false(already);
	site_open(&copy);
	assert_memory_not_equal(copy.key, a.key, KEY_LEN);
	must(store_remote_add(b.store, "copy", copy.key, "", &already, &err));
	pull(&b, &copy);
	pull(&copy, &b);
	pull(&a, &b);
	assert_alike(&a, &b);
	assert_alike(&copy, &b);
	assert_int_equal(number(&a, "SELECT count(*) FROM t"), 7);
	site_close(&a);
	site_close(&b);
	site_close(&copy);
}

/* A database with a history of its own keeps it, and its site. */
static void
r16_init_with_history(void **state)
{
	struct site a, b;
	int64_t old;

	memset(&a, 0, sizeof a);
	a.name = "alice";
	snprintf(a.file, sizeof a.file, "%s/alice.db", scratch);
	sql(&a, "%s", schema);
	sql(&a, "INSERT INTO t VALUES('before', 1, 1)");
	old = number(&a, "SELECT count(*) FROM crsql_changes WHERE site_id = "
	    "crsql_site_id()");
	assert_int_equal(old, 2);
	struct store_init how = { .db_file = a.file, .busy_ms = 2000 };
	struct err err;
	bool already;
	must(store_init(&how, &already, &err));
	site_open(&a);
	sql(&a, "INSERT INTO t VALUES('after', 1, 1)");
	expect(&a, "SELECT count(DISTINCT site_id) FROM crsql_changes", "2\n");
	expect(&a, "SELECT count(*) FROM crsql_changes WHERE site_id = "
	    "crsql_site_id()", "2\n");
	site_make(&b, "bob");
	introduce(&a, &b);
	assert_int_equal(meet(&a, &b), 0);
	assert_alike(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* A second claim on the same day is not believed. */
static void
r16_one_incarnation_a_day(void **state)
{
	struct site a, b;
	struct err err;
	int64_t now = 1800000000000;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	must(store_fork(a.store, remote_id(&a, &b), now, 0, &err));
	assert_int_equal(store_fork(a.store, remote_id(&a, &b), now + 1000, 0,
	    &err), E_INTEGRITY);
	must(store_fork(a.store, remote_id(&a, &b), now + 90000000, 0, &err));
	pull(&b, &a);
	assert_alike(&a, &b);
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r02_cursor_of_another_past),
		TEST(r02_cursor_of_another_past_with_the_same_token),
		TEST(r15_own_entry_is_own),
		TEST(r16_backup_without_state),
		TEST(r16_backup_with_state),
		TEST(r16_another_life_comes_in_pages),
		TEST(r16_two_lives),
		TEST(r16_one_backup_twice),
		TEST(r16_one_life_a_copy),
		TEST(r16_a_foreign_site_with_two_pasts),
		TEST(r16_two_pasts_are_told_on),
		TEST(r16_two_pasts_come_back),
		TEST(r16_power_cut_after_sending),
		TEST(r16_backup_before_a_merge),
		TEST(r16_copy_without_state),
		TEST(r16_init_with_history),
		TEST(r16_one_incarnation_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

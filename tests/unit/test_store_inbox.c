// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_inbox.c - pages that wait in the state directory: what is lost or
 * damaged there is fetched again, and their space comes back.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "test_store_site.h"

static void
fill(struct site *s, const char *prefix, int n)
{
	sql(s, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
	    "i < %d) INSERT INTO t SELECT '%s-' || i, hex(randomblob(20)), i "
	    "FROM n", n, prefix);
}

static void
hold_little(struct site *s)
{
	struct err err;

	must(store_config_set(s->store, "merge.max-bytes", "4000", &err));
}

static void
pages_file(const struct site *s, char path[SITE_PATH_MAX])
{
	snprintf(path, SITE_PATH_MAX, "%s/inbox.pages",
	    store_state_dir(s->store));
}

static off_t
spooled(const struct site *s)
{
	char path[SITE_PATH_MAX];
	struct stat st;

	pages_file(s, path);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void
cut_file(const struct site *s, off_t at)
{
	char path[SITE_PATH_MAX];

	pages_file(s, path);
	assert_int_equal(truncate(path, at), 0);
}

static void
change_byte(const struct site *s, off_t at)
{
	char path[SITE_PATH_MAX];
	uint8_t byte;
	FILE *f;

	pages_file(s, path);
	f = fopen(path, "r+b");
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fread(&byte, 1, 1, f), 1);
	byte ^= 1;
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fwrite(&byte, 1, 1, f), 1);
	fclose(f);
}

static void
two(struct site *a, struct site *b)
{
	site_make(a, "alice");
	site_make(b, "bob");
	introduce(a, b);
}

/* -- lost, damaged ----------------------------------------------------------- */

/* After a power cut the end of the file is not there. */
static void
r23_fetched_pages_that_are_gone(void **state)
{
	struct pull fetch = { .fetch_only = true, .page = 500 };
	struct store_result result;
	struct site a, b;
	struct err err;

	two(&a, &b);
	fill(&a, "one", 40);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_true(spooled(&b) > 1000);
	cut_file(&b, spooled(&b) - 10);
	must(store_merge_inbox(b.store, remote_id(&b, &a), &result, &err));
	assert_int_equal(result.rows, 0);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 0);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	cut_file(&b, 0);
	pull(&b, &a);
	assert_same(&a, &b);
	assert_int_equal(spooled(&b), 0);
	site_close(&a);
	site_close(&b);
}

/* A page that is not the one that came is not merged. */
static void
r23_fetched_page_that_is_damaged(void **state)
{
	struct pull fetch = { .fetch_only = true, .page = 500 };
	struct store_result result;
	struct site a, b;
	struct err err;

	two(&a, &b);
	fill(&a, "one", 40);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	/* In a value, which says nothing of itself. */
	change_byte(&b, spooled(&b) - 20);
	assert_int_equal(store_merge_inbox(b.store, remote_id(&b, &a),
	    &result, &err), E_INTEGRITY);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 0);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static int
lose_pages(void *self, int page)
{
	if (page == 8)
		cut_file(self, 0);
	return 0;
}

static int
become_another(void *self, int page)
{
	struct site *s = self;
	struct err err;

	if (page == 8)
		must(store_fork(s->store, number(s, "SELECT id FROM "
		    "ddcp_remote"), 1790000000000, 0, &err));
	return 0;
}

/* The cursor must not pass over what can't be merged any more. */
static void
large_transaction_that(int (*happens)(void *self, int page))
{
	struct pull p = { .page = 1000, .between = happens };
	struct site a, b;

	two(&a, &b);
	hold_little(&b);
	fill(&b, "mine", 3);
	pull(&a, &b);
	fill(&a, "big", 400);
	sql(&a, "INSERT INTO t VALUES('after', 1, 1)");
	p.self = &b;
	assert_int_equal(pull_with(&b, &a, &p), E_INTEGRITY);
	assert_true(p.pages > 8);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 3);
	pull(&b, &a);
	assert_same_answer(&a, &b, "SELECT * FROM t ORDER BY 1");
	site_close(&a);
	site_close(&b);
}

static void
a_large_transaction_that_is_lost_while_it_comes(void **state)
{
	large_transaction_that(lose_pages);
}

static void
a_large_transaction_for_another_database(void **state)
{
	large_transaction_that(become_another);
}

/* -- space --------------------------------------------------------------------- */

static void
the_space_comes_back(void **state)
{
	struct pull p = { .page = 1000 };
	struct site a, b, c;
	uint64_t pages, bytes;
	struct err err;
	off_t kept;

	two(&a, &b);
	site_make(&c, "carol");
	introduce(&c, &b);
	hold_little(&b);
	fill(&c, "other", 40);
	p.fetch_only = true;
	assert_int_equal(pull_with(&b, &c, &p), 0);
	kept = spooled(&b);
	assert_true(kept > 0);
	/* By way of the inbox, behind what waits there. */
	fill(&a, "big", 400);
	p.fetch_only = false;
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_int_equal(spooled(&b), kept);
	p.fetch_only = true;
	fill(&a, "more", 40);
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(spooled(&b) > kept);
	must(store_cleanup(b.store, &pages, &bytes, &err));
	assert_true(bytes > (uint64_t)kept);
	assert_int_equal(spooled(&b), 0);
	pull(&b, &a);
	pull(&b, &c);
	pull(&a, &b);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* A pull that needs no inbox makes none. */
static void
no_file_for_nothing(void **state)
{
	char path[SITE_PATH_MAX];
	struct site a, b;

	two(&a, &b);
	fill(&a, "one", 5);
	pull(&b, &a);
	snprintf(path, sizeof path, "%s/inbox.db", store_state_dir(b.store));
	assert_int_not_equal(access(path, F_OK), 0);
	pages_file(&b, path);
	assert_int_not_equal(access(path, F_OK), 0);
	site_close(&a);
	site_close(&b);
}

static int
clean_up(void *self, int page)
{
	uint64_t pages, bytes;
	struct site *s = self;
	struct err err;

	if (page == 8) {
		must(store_cleanup(s->store, &pages, &bytes, &err));
		assert_true(pages > 0);
	}
	return 0;
}

/* `ddcp cleanup` while a transaction that is too large for memory comes in: the
 * pull fails, the next one brings it. */
static void
r23_cleanup_during_a_pull(void **state)
{
	struct pull p = { .page = 20000, .between = clean_up };
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	must(store_config_set(b.store, "merge.max-bytes", "50000", &err));
	sql(&a, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 3000) INSERT INTO t SELECT 'k' || i, "
	    "hex(randomblob(50)), i FROM n");
	p.self = &b;
	assert_int_equal(pull_with(&b, &a, &p), E_INTEGRITY);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 0);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static int
bar_inbox(void *self, int page)
{
	const struct site *s = self;
	char path[SITE_PATH_MAX + 16];

	snprintf(path, sizeof path, "%s/inbox.db", store_state_dir(s->store));
	if (page == 1)
		assert_int_equal(symlink("nowhere", path), 0);
	return 0;
}

/* What is held can't be put into the inbox: nothing that came behind it may be merged,
 * else it would never come again. */
static void
what_can_not_be_held_comes_again(void **state)
{
	struct pull p = { .page = 300, .between = bar_inbox };
	char path[SITE_PATH_MAX + 16];
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "old", 30);
	pull(&b, &a);
	must(store_config_set(b.store, "merge.max-delete", "5,1%", &err));
	sql(&a, "DELETE FROM t WHERE w <= 6");
	sql_times(&a, 60, "INSERT INTO t VALUES('new-%d', 'something', %d)");
	p.self = &b;
	assert_int_equal(pull_with(&b, &a, &p), E_FATAL);
	assert_true(p.pages > 3);
	snprintf(path, sizeof path, "%s/inbox.db", store_state_dir(b.store));
	assert_int_equal(unlink(path), 0);
	store_allow_delete(b.store, true);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r23_cleanup_during_a_pull),
		TEST(r23_fetched_pages_that_are_gone),
		TEST(r23_fetched_page_that_is_damaged),
		TEST(a_large_transaction_that_is_lost_while_it_comes),
		TEST(a_large_transaction_for_another_database),
		TEST(the_space_comes_back),
		TEST(no_file_for_nothing),
		TEST(what_can_not_be_held_comes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

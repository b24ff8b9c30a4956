// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_pull.c - pulls: cut at every page, killed between pages, fetched
 * and merged later, with transactions too large for memory, along a chain, and
 * at random.  Rows too large for a frame: test_store_pieces.c.
 */
#include "test_store_site.h"

static void
fill(struct site *s, const char *prefix, int n)
{
	int i;

	for (i = 0; i < n; i++)
		sql(s, "INSERT INTO t VALUES('%s-%d', hex(randomblob(20)), %d)",
		    prefix, i, i);
}

static void
reopen(struct site *s)
{
	site_close(s);
	site_open(s);
}

static void
set_batch(struct site *s, const char *rows, const char *bytes)
{
	struct err err;

	must(store_config_set(s->store, "merge.max-rows", rows, &err));
	must(store_config_set(s->store, "merge.max-bytes", bytes, &err));
}

/* -- cuts ------------------------------------------------------------------------ */

/* Each pull is cut after so many pages, each time one more; each goes on where
 * the one before stopped. */
static void
cut_at_every_page(void **state)
{
	struct pull p = { .page = 500 };
	struct site a, b;
	uint64_t rows = 0;
	int cuts = 0;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "first", 60);
	sql(&a, "INSERT INTO t SELECT 'big-' || id, v, w FROM t");
	fill(&a, "last", 40);
	for (p.cut_after = 1; pull_with(&b, &a, &p) != 0; p.cut_after++) {
		assert_int_equal(p.rc, E_INTERRUPTED);
		rows += p.result.rows;
		reopen(&b);
		cuts++;
	}
	rows += p.result.rows;
	assert_same(&a, &b);
	assert_true(cuts > 3);
	/* Only a transaction that was begun is sent twice. */
	assert_in_range(rows, 160, 160);
	print_message("# %d cuts\n", cuts);
	site_close(&a);
	site_close(&b);
}

struct killer {
	struct site *victim;
	int n;
};

static int
take_picture(void *self, int page)
{
	struct killer *k = self;
	char file[SITE_PATH_MAX], dir[SITE_PATH_MAX];

	snprintf(file, sizeof file, "%s/killed-%d.db", scratch, page);
	snprintf(dir, sizeof dir, "%s/killed-%d-state", scratch, page);
	copy_database(k->victim->file, file);
	copy_state(store_state_dir(k->victim->store), dir);
	k->n = page;
	return 0;
}

static void
go_on_from_picture(struct site *a, const struct killer *k, int page)
{
	struct site b;

	memset(&b, 0, sizeof b);
	b.name = "killed";
	snprintf(b.file, sizeof b.file, "%s/killed-%d.db", scratch, page);
	snprintf(b.state, sizeof b.state, "%s/killed-%d-state", scratch,
	    page);
	site_open(&b);
	assert_false(store_was_forked(b.store));
	/* A transaction is there whole, or not at all. */
	assert_true(number(&b, "SELECT count(*) FROM t WHERE id LIKE 'big-%'")
	    % 30 == 0);
	pull(&b, a);
	assert_same(a, &b);
	site_close(&b);
}

static void
killed_between_pages(void **state)
{
	struct site a, b;
	struct killer k = { .victim = &b };
	struct pull p = { .page = 500, .between = take_picture, .self = &k };
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	set_batch(&b, "10", "1000");
	fill(&a, "first", 30);
	sql(&a, "INSERT INTO t SELECT 'big-' || id, v, w FROM t");
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(k.n > 5);
	for (i = 1; i <= k.n; i++)
		go_on_from_picture(&a, &k, i);
	print_message("# %d places\n", k.n);
	site_close(&a);
	site_close(&b);
}

/* -- fetch and merge --------------------------------------------------------------- */

static struct store_result
merge(struct site *s, struct site *from)
{
	struct store_result r;
	struct err err;

	must(store_merge_inbox(s->store, remote_id(s, from), &r, &err));
	return r;
}

static void
fetched_then_merged(void **state)
{
	struct pull fetch = { .fetch_only = true };
	struct store_remote_status status;
	struct store_result r;
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "one", 5);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(fetch.result.rows, 5);
	assert_int_equal(fetch.result.held, 5);
	expect(&b, "SELECT count(*) FROM t", "0\n");
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(fetch.result.rows, 0);
	assert_int_equal(fetch.result.held, 5);
	fill(&a, "two", 3);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(fetch.result.rows, 3);
	assert_int_equal(fetch.result.held, 8);
	must(store_remote_status(b.store, remote_id(&b, &a), &status, &err));
	assert_int_equal(status.held_rows, 8);
	reopen(&b);
	r = merge(&b, &a);
	assert_int_equal(r.transactions, 8);
	assert_int_equal(r.held, 0);
	assert_same(&a, &b);
	assert_int_equal(merge(&b, &a).transactions, 0);
	assert_int_equal(pull(&b, &a).rows, 0);
	site_close(&a);
	site_close(&b);
}

static void
a_pull_merges_what_was_fetched(void **state)
{
	struct pull fetch = { .fetch_only = true };
	struct store_result r;
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "one", 5);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	fill(&a, "two", 3);
	r = pull(&b, &a);
	assert_int_equal(r.rows, 8);
	assert_int_equal(r.held, 0);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* A fetch that is cut goes on; what is whole of it can be merged. */
static void
a_fetch_that_is_cut(void **state)
{
	struct pull fetch = { .fetch_only = true, .page = 500 };
	struct site a, b;
	uint64_t rows = 0;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "one", 40);
	for (fetch.cut_after = 1; pull_with(&b, &a, &fetch) != 0;
	    fetch.cut_after++) {
		rows += fetch.result.rows;
		reopen(&b);
		if (fetch.cut_after == 2)
			assert_true(merge(&b, &a).rows > 0);
	}
	rows += fetch.result.rows;
	assert_int_equal(rows, 40);
	merge(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static void
cleanup_says_what(void **state)
{
	struct pull fetch = { .fetch_only = true };
	uint64_t pages, bytes;
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	must(store_cleanup(b.store, &pages, &bytes, &err));
	assert_int_equal(pages, 0);
	fill(&a, "one", 5);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	must(store_cleanup(b.store, &pages, &bytes, &err));
	assert_int_equal(pages, 1);
	assert_true(bytes > 100);
	assert_int_equal(merge(&b, &a).rows, 0);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* An inbox that is no database is no reason to fail. */
static void
a_damaged_inbox(void **state)
{
	struct pull fetch = { .fetch_only = true };
	char file[SITE_PATH_MAX];
	struct site a, b;
	FILE *f;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "one", 5);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	snprintf(file, sizeof file, "%s/inbox.db",
	    store_state_dir(b.store));
	site_close(&b);
	f = fopen(file, "wb");
	fprintf(f, "%500s", "no database");
	fclose(f);
	site_open(&b);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(fetch.result.rows, 5);
	merge(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* -- large transactions ---------------------------------------------------------------- */

static int
nothing_is_seen(void *self, int page)
{
	struct site *b = self;

	assert_true(number(b, "SELECT count(*) FROM t WHERE id LIKE 'big-%'")
	    % 400 == 0);
	return 0;
}

/* One that is larger than memory allows waits in the inbox, and is there at
 * once or not at all; cut, it is not sent again from its begin. */
static void
a_transaction_larger_than_memory(void **state)
{
	struct site a, b;
	struct pull p = { .page = 1000, .between = nothing_is_seen,
		.self = &b };
	int pages = 0, whole;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	set_batch(&b, "100000", "4000");
	fill(&a, "small", 3);
	sql(&a, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
	    "i < 400) INSERT INTO t SELECT 'big-' || i, "
	    "hex(randomblob(20)), i FROM n");
	fill(&a, "after", 3);
	for (p.cut_after = 12; pull_with(&b, &a, &p) != 0;) {
		assert_int_equal(p.rc, E_INTERRUPTED);
		pages += p.pages;
		reopen(&b);
	}
	pages += p.pages;
	assert_same(&a, &b);
	site_close(&b);
	site_make(&b, "bob2");
	introduce(&a, &b);
	p.cut_after = 0;
	assert_int_equal(pull_with(&b, &a, &p), 0);
	whole = p.pages;
	assert_same(&a, &b);
	print_message("# %d pages with cuts, %d without\n", pages, whole);
	assert_in_range(pages, whole, whole + 3);
	site_close(&a);
	site_close(&b);
}

/* While it waits half, it is changed at the server. */
static int
change_and_look(void *self, int page)
{
	struct site *site = self;       /* two of them: server, reader */

	sql(&site[0], "UPDATE t SET v = 'changed-%d' WHERE id = 'big-%d'",
	    page, 400 - page);
	return 0;
}

static void
a_large_transaction_that_changes_meanwhile(void **state)
{
	struct site s[2];
	struct pull p = { .page = 1000, .between = change_and_look,
		.self = s, .pause = true, .cut_after = 12 };

	site_make(&s[0], "alice");
	site_make(&s[1], "bob");
	introduce(&s[0], &s[1]);
	set_batch(&s[1], "100000", "4000");
	sql(&s[0], "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
	    "i < 400) INSERT INTO t SELECT 'big-' || i, "
	    "hex(randomblob(20)), i FROM n");
	while (pull_with(&s[1], &s[0], &p) != 0)
		reopen(&s[1]);
	pull(&s[1], &s[0]);
	assert_same(&s[0], &s[1]);
	site_close(&s[0]);
	site_close(&s[1]);
}

/* -- when it can't be applied ------------------------------------------------ */

static void
the_disk_is_full(void **state)
{
	struct pull p = { .page = 2000 };
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "x", 30);
	sql(&a, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
	    "i < 3000) INSERT INTO t SELECT 'big-' || i, "
	    "hex(randomblob(50)), i FROM n");
	exec(store_handle(b.store), "PRAGMA max_page_count = 60");
	assert_int_equal(pull_with(&b, &a, &p), E_FATAL);
	assert_non_null(strstr(p.err.text, "full"));
	assert_int_equal(number(&b, "SELECT count(*) FROM t") % 3000 % 31, 0);
	exec(store_handle(b.store), "PRAGMA max_page_count = 100000");
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* A program's open transaction on our handle is not ended for it. */
static void
a_transaction_is_open_on_the_handle(void **state)
{
	struct pull p = { .page = 0 };
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "x", 3);
	exec(store_handle(b.store), "BEGIN; INSERT INTO t VALUES('mine', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &p), E_USAGE);
	exec(store_handle(b.store), "COMMIT");
	expect(&b, "SELECT id FROM t", "mine\n");
	pull(&b, &a);
	pull(&a, &b);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static void
locked_while_a_page_comes(void **state)
{
	struct store_open how = { .busy_ms = 30 };
	struct pull p = { .page = 0 };
	struct site a, b;
	struct err err;
	sqlite3 *other;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	fill(&a, "x", 3);
	site_close(&b);
	how.db_file = b.file;
	must(store_open(&how, &b.store, &err));
	other = open_handle(b.file, false);
	exec(other, "BEGIN IMMEDIATE");
	assert_int_equal(pull_with(&b, &a, &p), E_UNREACHABLE);
	assert_false(store_lock_is_free(b.store));
	assert_int_equal(store_patience(b.store, 0), 30);
	assert_int_equal(store_config_set(b.store, "network.discovery", "no",
	    &err), E_UNREACHABLE);
	assert_true(err.locked);
	exec(other, "ROLLBACK");
	assert_true(store_lock_is_free(b.store));
	pull(&b, &a);
	assert_same(&a, &b);
	sqlite3_close(other);
	site_close(&a);
	site_close(&b);
}

/* -- several --------------------------------------------------------------------------------- */

static void
a_chain(void **state)
{
	struct site a, b, c;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&b, &c);
	for (i = 0; i < 5; i++) {
		sql(&a, "INSERT INTO t VALUES('a%d', 1, 1)", i);
		sql(&c, "INSERT INTO t VALUES('c%d', 2, 2);"
		    "UPDATE t SET v = v + 1 WHERE id = 'a0'", i);
		pull(&b, &a);
		pull(&b, &c);
		pull(&a, &b);
		pull(&c, &b);
	}
	assert_same(&a, &b);
	assert_same(&c, &b);
	/* Another way to the same changes brings none of them again. */
	introduce(&a, &c);
	assert_int_equal(pull(&c, &a).rows, 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* -- at random -------------------------------------------------------------------------------- */

enum { SITES = 4, STEPS = 120 };

static uint64_t random_state;

static unsigned
draw(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 11) % n;
}

static void
write_at_random(struct site *s)
{
	int id = (int)draw(30), i, n = 1 + (int)draw(3);
	char text[600] = "BEGIN;";

	for (i = 0; i < n; i++, id = (int)draw(30)) {
		char one[150];

		switch (draw(5)) {
		case 0:
		case 1:
			snprintf(one, sizeof one, "INSERT INTO t VALUES('r%d', "
			    "%d, '%s') ON CONFLICT DO UPDATE SET v = %d;", id,
			    (int)draw(1000), s->name, (int)draw(1000));
			break;
		case 2:
			snprintf(one, sizeof one, "UPDATE t SET w = '%s%d' "
			    "WHERE id = 'r%d';", s->name, (int)draw(1000), id);
			break;
		case 3:
			snprintf(one, sizeof one,
			    "DELETE FROM t WHERE id = 'r%d';", id);
			break;
		default:
			snprintf(one, sizeof one, "REPLACE INTO t VALUES('r%d', "
			    "%d, 0);", id, (int)draw(1000));
			break;
		}
		strcat(text, one);
	}
	strcat(text, "COMMIT;");
	if (draw(3) == 0)
		plain_sql(s, "%s", text);
	else
		sql(s, "%s", text);
}

static void
pull_at_random(struct site *to, struct site *from, int *cuts)
{
	struct pull p = { .page = draw(2) ? 200 + draw(2000) : 0,
		.fetch_only = draw(4) == 0, .pause = draw(3) == 0,
		.cut_after = draw(3) == 0 ? 1 + (int)draw(4) : 0 };

	if (pull_with(to, from, &p) == E_INTERRUPTED)
		++*cuts;
	else if (p.rc != 0)
		fail_msg("%s from %s: %s", to->name, from->name, p.err.text);
	if (draw(4) == 0)
		merge(to, from);
	if (draw(8) == 0)
		reopen(to);
}

static void
one_history(uint64_t seed, int *cuts)
{
	static const char *const names[SITES] = { "a", "b", "c", "d" };
	struct site s[SITES];
	int i, k;

	random_state = seed * 0x9E3779B97F4A7C15 + 1;
	for (i = 0; i < SITES; i++) {
		site_make(&s[i], names[i]);
		if (draw(2))
			set_batch(&s[i], "5", "600");
	}
	for (i = 1; i < SITES; i++)     /* a ring */
		introduce(&s[i - 1], &s[i]);
	introduce(&s[0], &s[SITES - 1]);
	for (i = 0; i < STEPS; i++) {
		k = (int)draw(SITES);
		if (draw(2))
			write_at_random(&s[k]);
		else
			pull_at_random(&s[k], &s[(k + 1 + 2 * draw(2)) % SITES],
			    cuts);
	}
	for (i = 0; i < SITES * 3; i++) {
		k = i % SITES;
		merge(&s[k], &s[(k + 1) % SITES]);
		pull(&s[k], &s[(k + 1) % SITES]);
		pull(&s[k], &s[(k + 3) % SITES]);
	}
	for (i = 1; i < SITES; i++)
		assert_alike(&s[0], &s[i]);
	for (i = 0; i < SITES; i++)
		assert_int_equal(pull(&s[i], &s[(i + 1) % SITES]).rows, 0);
	for (i = 0; i < SITES; i++)
		site_close(&s[i]);
}

static void
random_histories(void **state)
{
	const char *count = getenv("STORE_SEEDS");
	const char *first = getenv("STORE_SEED");
	uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
	int n = count != NULL ? atoi(count) : 12, cuts = 0;
	char keep[sizeof scratch];

	memcpy(keep, scratch, sizeof keep);
	for (; n > 0; n--, seed++) {
		print_message("# seed %llu\n", (unsigned long long)seed);
		assert_int_equal(scratch_make(NULL), 0);
		one_history(seed, &cuts);
		scratch_remove(NULL);
	}
	memcpy(scratch, keep, sizeof keep);
	print_message("# %d pulls were cut\n", cuts);
	assert_true(cuts > 0 || first != NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cut_at_every_page),
		TEST(killed_between_pages),
		TEST(fetched_then_merged),
		TEST(a_pull_merges_what_was_fetched),
		TEST(a_fetch_that_is_cut),
		TEST(cleanup_says_what),
		TEST(a_damaged_inbox),
		TEST(a_transaction_larger_than_memory),
		TEST(a_large_transaction_that_changes_meanwhile),
		TEST(the_disk_is_full),
		TEST(a_transaction_is_open_on_the_handle),
		TEST(locked_while_a_page_comes),
		TEST(a_chain),
		TEST(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

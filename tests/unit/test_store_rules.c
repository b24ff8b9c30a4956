// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_rules.c - the rules of replication that the store keeps: each
 * test is the history that loses or diverges without its rule.  R2, R15 and
 * R16 are in test_store_copies.c, R14 in test_store_durable.c.
 */
#include "test_store_site.h"

/* -- R10, R11 ------------------------------------------------------------------ */

static int
overwrite(void *self, int page)
{
	sql(self, "UPDATE t SET v = 'new-%d' WHERE id = 'r%d'", page,
	    page * 7 % 200);
	return 0;
}

/* Commits between pages overwrite what was not sent yet, the snapshot is given
 * up after each page, and the pull is cut: nothing is claimed. */
static void
r10_vectors_only_from_end(void **state)
{
	struct pull p = { .page = 600, .between = overwrite, .pause = true,
		.cut_after = 5 };
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 200, "INSERT INTO t VALUES('r%d', 'old', %d)");
	p.self = &a;
	assert_int_equal(pull_with(&b, &a, &p), E_INTERRUPTED);
	assert_int_equal(number(&b, "SELECT count(*) FROM ddcp_vector"), 0);
	assert_true(number(&b, "SELECT count(*) FROM t") > 0);
	p.cut_after = 0;
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(p.pages > 10);
	assert_true(number(&b, "SELECT count(*) FROM ddcp_vector") > 0);
	pull(&b, &a);   /* the last commit came after the last page */
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* What can't be applied is stored, counts as held, and is handed on. */
static void
r11_parked_counts_as_held(void **state)
{
	struct store_result r;
	struct store_status status;
	struct site a, b, c;
	struct err err;

	site_make(&a, "alice");
	site_init(&b, "bob");
	sql(&b, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, "
	    "v CHECK(v < 100), w); SELECT crsql_as_crr('t');");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&b, &c);
	sql(&a, "INSERT INTO t VALUES('big', 200, 1)");
	sql(&a, "INSERT INTO t VALUES('small', 2, 1)");
	r = pull(&b, &a);
	assert_int_equal(r.parked, 1);
	expect(&b, "SELECT id FROM t", "small\n");
	must(store_status(b.store, &status, &err));
	assert_int_equal(status.parked, 1);
	/* Held: nothing of it is sent again. */
	r = pull(&b, &a);
	assert_int_equal(r.rows, 0);
	pull(&c, &b);
	expect(&c, "SELECT id FROM t ORDER BY 1", "big\nsmall\n");
	/* A change that makes it fit frees it. */
	sql(&a, "UPDATE t SET v = 20 WHERE id = 'big'");
	pull(&b, &a);
	expect(&b, "SELECT id, v FROM t ORDER BY 1", "big|20\nsmall|2\n");
	must(store_status(b.store, &status, &err));
	assert_int_equal(status.parked, 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* A parked change is taken as soon as its column is there, whoever made it and
 * without another change: when a program's commit is looked at, or at the next
 * pull, though it brings nothing. */
static void
r11_parked_is_taken_when_the_schema_fits(void **state)
{
	struct store_entry e[8];
	struct site a, b, c;
	struct err err;
	bool changed;
	size_t n;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&a, &c);
	sql(&a, "ALTER TABLE t ADD COLUMN more");
	sql(&a, "INSERT INTO t VALUES('new', 1, 1, 'word')");
	assert_int_equal(pull(&b, &a).parked, 1);
	assert_int_equal(pull(&c, &a).parked, 1);
	sql(&b, "ALTER TABLE t ADD COLUMN more");
	must(store_changed(b.store, &changed, e, 8, &n, &err));
	expect(&b, "SELECT id, more FROM t", "new|word\n");
	assert_same(&a, &b);
	sql(&c, "ALTER TABLE t ADD COLUMN more");
	assert_int_equal(pull(&c, &a).rows, 0);
	expect(&c, "SELECT id, more FROM t", "new|word\n");
	assert_same(&a, &c);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* -- R12, R13 ------------------------------------------------------------------------ */

static size_t
groups_asked(struct site *to, struct site *from)
{
	struct store_pull *p;
	struct store_plan plan;
	struct err err;
	size_t n;

	must(store_pull_begin(to->store, remote_id(to, from), false, &p, &plan,
	    &err));
	n = plan.ngroups;
	store_plan_clear(&plan);
	store_pull_close(p, NULL);
	return n;
}

static const char second_table[] =
    "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, v);"
    "SELECT crsql_as_crr('u');";

/* A table tracked late starts at nothing, and only it. */
static void
r12_table_tracked_late(void **state)
{
	struct store_result r;
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "%s", second_table);
	sql(&a, "INSERT INTO u VALUES('u1', 1); INSERT INTO t VALUES('t1', 1, 1)");
	r = pull(&b, &a);
	assert_int_equal(r.rows, 1);
	sql(&b, "%s", second_table);
	assert_int_equal(groups_asked(&b, &a), 2);
	r = pull(&b, &a);
	assert_int_equal(r.rows, 1);
	expect(&b, "SELECT * FROM u", "u1|1\n");
	/* United by having become equal. */
	assert_int_equal(groups_asked(&b, &a), 1);
	assert_int_equal(pull(&b, &a).rows, 0);
	site_close(&a);
	site_close(&b);
}

/* A table that the server has not, then has: its rows come. */
static void
r12_table_absent_at_the_server(void **state)
{
	struct site a, b, c;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&b, &c);
	sql(&a, "%s", second_table);
	sql(&c, "%s", second_table);
	sql(&a, "INSERT INTO u VALUES('u1', 1); INSERT INTO t VALUES('t1', 1, 1)");
	pull(&b, &a);
	pull(&c, &b);
	expect(&c, "SELECT * FROM u", "");
	sql(&b, "%s", second_table);
	pull(&b, &a);
	pull(&c, &b);
	expect(&c, "SELECT * FROM u", "u1|1\n");
	assert_int_equal(pull(&c, &b).rows, 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* Dropped and made again under its name, the table is another one. */
static void
r12_table_dropped_and_made_again(void **state)
{
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "%s", second_table);
	sql(&b, "%s", second_table);
	sql(&a, "INSERT INTO u VALUES('u1', 1), ('u2', 2)");
	pull(&b, &a);
	sql(&b, "DROP TABLE u");
	pull(&b, &a);
	sql(&b, "%s", second_table);
	pull(&b, &a);
	expect(&b, "SELECT * FROM u ORDER BY 1", "u1|1\nu2|2\n");
	site_close(&a);
	site_close(&b);
}

/* Untracking one table leaves the place of the others. */
static void
r12_untracked_and_tracked_again(void **state)
{
	struct store_result r;
	struct site a, b;
	struct err err;
	bool already;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "%s", second_table);
	sql(&b, "%s", second_table);
	sql(&a, "INSERT INTO u VALUES('u1', 1); INSERT INTO t VALUES('t1', 1, 1)");
	pull(&b, &a);
	must(store_untrack(b.store, "u", &err));
	sql(&b, "DELETE FROM u");
	assert_int_equal(pull(&b, &a).rows, 0);
	must(store_track(b.store, "u", &already, &err));
	assert_false(already);
	r = pull(&b, &a);
	assert_int_equal(r.rows, 1);
	expect(&b, "SELECT * FROM u", "u1|1\n");
	site_close(&a);
	site_close(&b);
}

/* The server knows what a reader had by its hash, until it forgets. */
static void
r13_vectors_by_hash(void **state)
{
	struct pull p = { .by_hash = true };
	struct site a, b, c;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&b, &c);
	sql(&a, "INSERT INTO t VALUES('a', 1, 1)");
	sql(&c, "INSERT INTO t VALUES('c', 1, 1)");
	pull(&b, &a);
	sql(&a, "INSERT INTO t VALUES('a2', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_false(p.asked_whole);
	assert_int_equal(p.result.rows, 1);
	/* What came from carol, alice can't know of. */
	pull(&b, &c);
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(p.asked_whole);
	pull(&b, &a);
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_false(p.asked_whole);
	/* Nor after a restart. */
	site_close(&a);
	site_open(&a);
	assert_int_equal(pull_with(&b, &a, &p), 0);
	assert_true(p.asked_whole);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* -- R17, R18 ---------------------------------------------------------------------------- */

static void
r17_site_ids_belong_to_keys(void **state)
{
	struct store_reading *reading;
	struct store_pull *pull;
	struct store_plan plan;
	const uint8_t *page;
	uint8_t *forged, *at;
	struct site a, b;
	struct err err;
	bool whole, last;
	size_t len;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	must(store_pull_begin(b.store, remote_id(&b, &a), false, &pull, &plan,
	    &err));
	must(store_serve(a.store, remote_id(&a, &b), &plan, &whole, &reading,
	    &err));
	must(store_serve_page(reading, 1000, &page, &len, &last, &err));
	forged = malloc(len);
	assert_non_null(forged);
	memcpy(forged, page, len);
	at = memmem(forged, len, a.key, KEY_LEN);
	assert_non_null(at);
	memcpy(at, b.key, KEY_LEN);
	assert_int_equal(store_pull_page(pull, forged, len, &err),
	    E_INTEGRITY);
	free(forged);
	store_pull_close(pull, NULL);
	store_plan_clear(&plan);
	store_serve_close(reading);
	expect(&b, "SELECT count(*) FROM t", "0\n");
	pull_with(&b, &a, &(struct pull){ .page = 0 });
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* What was seen is noted at END, not before. */
static void
r18_seen_at_end(void **state)
{
	static const char seen[] = "SELECT count(*) FROM crsql_seen AS s JOIN "
	    "crsql_site_id AS o ON o.ordinal = s.other WHERE o.public_key = "
	    "(SELECT key FROM ddcp_remote)";
	struct pull p = { .page = 300, .cut_after = 2 };
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 50, "INSERT INTO t VALUES('r%d', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &p), E_INTERRUPTED);
	assert_int_equal(number(&b, seen), 0);
	pull(&b, &a);
	assert_int_equal(number(&b, seen), 1);
	site_close(&a);
	site_close(&b);
}

/* -- R23 ----------------------------------------------------------------------------------- */

static struct store_result
merge(struct site *s, struct site *from)
{
	struct store_result r;
	struct err err;

	must(store_merge_inbox(s->store, remote_id(s, from), &r, &err));
	return r;
}

static void
r23_old_database_with_a_newer_inbox(void **state)
{
	struct pull fetch = { .fetch_only = true };
	char old[SITE_PATH_MAX];
	struct store_result r;
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	keep(&b, old);
	sql(&b, "INSERT INTO t VALUES('own', 1, 1)");
	pull(&b, &a);
	sql(&a, "INSERT INTO t VALUES('y', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(fetch.result.held, 1);
	/* The fetched rows begin behind x, which is not here any more. */
	restore(&b, old, NULL);
	site_open(&b);
	r = merge(&b, &a);
	assert_int_equal(r.rows, 0);
	assert_int_equal(r.held, 0);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static void
r23_merging_twice_is_harmless(void **state)
{
	struct pull fetch = { .fetch_only = true };
	char note[SITE_PATH_MAX], inbox[SITE_PATH_MAX + 16];
	struct site a, b;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	keep_state(&b, note);
	assert_int_equal(merge(&b, &a).rows, 1);
	sql(&b, "UPDATE t SET v = 'mine'");
	/* Killed before the inbox knew that it was merged. */
	snprintf(inbox, sizeof inbox, "%s", store_state_dir(b.store));
	site_close(&b);
	copy_state(note, inbox);
	site_open(&b);
	merge(&b, &a);
	expect(&b, "SELECT * FROM t", "x|mine|1\n");
	pull(&a, &b);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* Acknowledged is what is merged, not what is fetched. */
static void
r23_fetched_is_not_acknowledged(void **state)
{
	struct pull fetch = { .fetch_only = true };
	struct store_remote_status status;
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	must(store_remote_status(a.store, remote_id(&a, &b), &status, &err));
	assert_int_equal(status.ahead, 1);
	merge(&b, &a);
	pull(&b, &a);
	must(store_remote_status(a.store, remote_id(&a, &b), &status, &err));
	assert_int_equal(status.ahead, 0);
	site_close(&a);
	site_close(&b);
}

/* -- R30 ------------------------------------------------------------------------------------- */

static mode_t
mode_of(const char *dir, const char *name)
{
	char path[SITE_PATH_MAX + 64];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void
r30_state_directory_is_private(void **state)
{
	struct store_open how = { .busy_ms = 100 };
	char dir[SITE_PATH_MAX], moved[SITE_PATH_MAX], key[SITE_PATH_MAX + 8];
	struct store *s;
	struct site a;
	struct err err;

	umask(0);
	site_make(&a, "alice");
	umask(022);
	snprintf(dir, sizeof dir, "%s", store_state_dir(a.store));
	snprintf(key, sizeof key, "%s/key", dir);
	assert_int_equal(mode_of(dir, "."), 0700);
	assert_int_equal(mode_of(dir, ".."), 0700);
	assert_int_equal(mode_of(dir, "key"), 0600);
	assert_int_equal(mode_of(dir, ".gitignore"), 0600);
	site_close(&a);
	how.db_file = a.file;
	chmod(dir, 0755);
	assert_int_equal(store_open(&how, &s, &err), E_FATAL);
	assert_non_null(strstr(err.hint, "0700"));
	chmod(dir, 0700);
	chmod(key, 0644);
	assert_int_equal(store_open(&how, &s, &err), E_FATAL);
	assert_non_null(strstr(err.hint, "0600"));
	chmod(key, 0600);
	snprintf(moved, sizeof moved, "%s/moved", scratch);
	assert_int_equal(rename(dir, moved), 0);
	assert_int_equal(symlink(moved, dir), 0);
	assert_int_equal(store_open(&how, &s, &err), E_FATAL);
	remove(dir);
	assert_int_equal(store_open(&how, &s, &err), E_NOTFOUND);
	assert_non_null(strstr(err.text, dir));
	how.state_dir = moved;
	must(store_open(&how, &s, &err));
	store_close(s);
}

static void
r30_two_names_of_one_file(void **state)
{
	char link_name[SITE_PATH_MAX];
	struct store_open how = { .busy_ms = 100 };
	struct store *by_link, *elsewhere;
	struct site a;
	struct err err;

	site_make(&a, "alice");
	snprintf(link_name, sizeof link_name, "%s/link.db", scratch);
	assert_int_equal(symlink(a.file, link_name), 0);
	how.db_file = link_name;
	must(store_open(&how, &by_link, &err));
	assert_string_equal(store_db_file(by_link), store_db_file(a.store));
	must(store_serve_lock(a.store, &err));
	assert_int_equal(store_serve_lock(by_link, &err), E_FATAL);
	store_close(by_link);
	/* With another state directory it is still the same file. */
	snprintf(a.state, sizeof a.state, "%s/state", scratch);
	copy_state(store_state_dir(a.store), a.state);
	how.state_dir = a.state;
	must(store_open(&how, &elsewhere, &err));
	assert_int_equal(store_serve_lock(elsewhere, &err), E_FATAL);
	store_serve_unlock(a.store);
	must(store_serve_lock(elsewhere, &err));
	store_close(elsewhere);
	must(store_serve_lock(a.store, &err));
	site_close(&a);
}

static void
r30_state_of_another_database(void **state)
{
	struct store_open how = { .busy_ms = 100 };
	struct site a, b;
	struct store *s;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	how.db_file = a.file;
	how.state_dir = store_state_dir(b.store);
	assert_int_equal(store_open(&how, &s, &err), E_FATAL);
	assert_non_null(strstr(err.text, "another database"));
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r10_vectors_only_from_end),
		TEST(r11_parked_counts_as_held),
		TEST(r11_parked_is_taken_when_the_schema_fits),
		TEST(r12_table_tracked_late),
		TEST(r12_table_absent_at_the_server),
		TEST(r12_table_dropped_and_made_again),
		TEST(r12_untracked_and_tracked_again),
		TEST(r13_vectors_by_hash),
		TEST(r17_site_ids_belong_to_keys),
		TEST(r18_seen_at_end),
		TEST(r23_old_database_with_a_newer_inbox),
		TEST(r23_merging_twice_is_harmless),
		TEST(r23_fetched_is_not_acknowledged),
		TEST(r30_state_directory_is_private),
		TEST(r30_two_names_of_one_file),
		TEST(r30_state_of_another_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_rules.c - the rules of replication that the store keeps: each
 * test is the history that loses or diverges without its rule.
 */
#include "test_store_site.h"

/* -- what two databases do when they meet ------------------------------------- */

/* `to` hears what `from` says it holds of it, and continues as a new
 * incarnation where that is not known to it (R16). */
static bool
hear_claims(struct site *to, struct site *from, int64_t now_ms)
{
	struct store_hello hello;
	struct store_entry token[64];
	uint64_t common;
	struct err err;
	bool fork;
	size_t n;

	must(store_hello(from->store, to->key, &hello, &err));
	must(store_check_claims(to->store, hello.yours, hello.nyours, &fork,
	    &err));
	if (!fork)
		return false;
	must(store_own_tokens(to->store, 0, UINT64_MAX, token, 64, &n, &err));
	must(store_common(from->store, token, n, &common, &err));
	must(store_fork(to->store, remote_id(to, from), now_ms, common,
	    &err));
	return true;
}

static int64_t meeting_ms = 1000;

/* HELLO both ways, then a pull each; the number of new incarnations. */
static int
meet(struct site *a, struct site *b)
{
	int forks;

	meeting_ms += 90000000;     /* another day */
	forks = hear_claims(a, b, meeting_ms);
	forks += hear_claims(b, a, meeting_ms);
	pull(a, b);
	pull(b, a);
	pull(a, b);
	return forks;
}

static void
ten_more_meetings(struct site *a, struct site *b)
{
	int i;

	for (i = 0; i < 10; i++) {
		sql(a, "INSERT INTO t VALUES('%s-more-%d', 1, 1)", a->name, i);
		if (i % 3 == 0)
			sql(b, "UPDATE t SET w = %d WHERE id LIKE '%%-more-%d'",
			    i, i);
		assert_int_equal(meet(a, b), 0);
		assert_alike(a, b);
	}
}

static void
keep(const struct site *s, char copy[SITE_PATH_MAX])
{
	snprintf(copy, SITE_PATH_MAX, "%s/%s-backup", scratch, s->name);
	copy_database(s->file, copy);
}

static void
keep_state(const struct site *s, char copy[SITE_PATH_MAX])
{
	snprintf(copy, SITE_PATH_MAX, "%s/%s-backup-state", scratch, s->name);
	copy_state(store_state_dir(s->store), copy);
}

/* Puts an old copy in place; state NULL: of the database only. */
static void
restore(struct site *s, const char *copy, const char *state)
{
	char dir[SITE_PATH_MAX];

	snprintf(dir, sizeof dir, "%s", store_state_dir(s->store));
	site_close(s);
	copy_database(copy, s->file);
	if (state != NULL)
		copy_state(state, dir);
}

static int64_t
own_sites(const struct site *s)
{
	return number(s, "SELECT count(*) FROM ddcp_own") + 1;
}

/* -- R2, R10, R11 ------------------------------------------------------------------ */

/* A file copied back under a valid log id, with its note, and edited past the
 * reader's cursor: the cursor's header has another token. */
static void
r02_cursor_of_another_past(void **state)
{
	char old[SITE_PATH_MAX], note[SITE_PATH_MAX];
	struct site a, b;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 10; i++)
		sql(&a, "INSERT INTO t VALUES('first-%d', 1, 1)", i);
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	for (i = 0; i < 10; i++)
		sql(&a, "INSERT INTO t VALUES('lost-%d', 1, 1)", i);
	pull(&b, &a);
	restore(&a, old, note);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	for (i = 0; i < 25; i++)
		sql(&a, "INSERT INTO t VALUES('again-%d', 1, 1)", i);
	assert_int_equal(meet(&a, &b), 1);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 45);
	site_close(&a);
	site_close(&b);
}

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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 200; i++)
		sql(&a, "INSERT INTO t VALUES('r%d', 'old', %d)", i, i);
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

/* -- R14: a VFS that tells what is not on the disk yet ----------------------------- */

struct spy_file {
	sqlite3_file base;
	sqlite3_file *real;
	bool *dirty;            /* NULL: of no interest */
};

static sqlite3_vfs spy;
static sqlite3_vfs *real_vfs;
static bool dirty_db, dirty_wal;

static int spy_close(sqlite3_file *f)
{
	struct spy_file *s = (struct spy_file *)f;
	int rc = s->real->pMethods->xClose(s->real);

	sqlite3_free(s->real);
	return rc;
}

#define REAL(f) (((struct spy_file *)(f))->real)

static int spy_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}

static int spy_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (((struct spy_file *)f)->dirty != NULL)
		*((struct spy_file *)f)->dirty = true;
	return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}

static int spy_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	return REAL(f)->pMethods->xTruncate(REAL(f), n);
}

static int spy_sync(sqlite3_file *f, int flags)
{
	if (((struct spy_file *)f)->dirty != NULL)
		*((struct spy_file *)f)->dirty = false;
	return REAL(f)->pMethods->xSync(REAL(f), flags);
}

static int spy_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), n);
}

static int spy_lock(sqlite3_file *f, int lock)
{
	return REAL(f)->pMethods->xLock(REAL(f), lock);
}

static int spy_unlock(sqlite3_file *f, int lock)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), lock);
}

static int spy_reserved(sqlite3_file *f, int *out)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}

static int spy_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int spy_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int spy_device(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int spy_map(sqlite3_file *f, int page, int size, int extend,
    void volatile **out)
{
	return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out);
}

static int spy_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void spy_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int spy_unmap(sqlite3_file *f, int remove)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static const sqlite3_io_methods spy_methods = {
	2, spy_close, spy_read, spy_write, spy_truncate, spy_sync, spy_size,
	spy_lock, spy_unlock, spy_reserved, spy_control, spy_sector,
	spy_device, spy_map, spy_shm_lock, spy_barrier, spy_unmap
};

static int
spy_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
    int *out)
{
	struct spy_file *s = (struct spy_file *)f;
	size_t len = name != NULL ? strlen(name) : 0;
	int rc;

	memset(s, 0, sizeof *s);
	s->real = sqlite3_malloc(real_vfs->szOsFile);
	rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out);
	if (rc != SQLITE_OK) {
		sqlite3_free(s->real);
		return rc;
	}
	s->base.pMethods = &spy_methods;
	if (len > 8 && strcmp(name + len - 8, "alice.db") == 0)
		s->dirty = &dirty_db;
	if (len > 12 && strcmp(name + len - 12, "alice.db-wal") == 0)
		s->dirty = &dirty_wal;
	return rc;
}

static int
spy_on(void **state)
{
	real_vfs = sqlite3_vfs_find(NULL);
	spy = *real_vfs;
	spy.zName = "spy";
	spy.szOsFile = sizeof(struct spy_file);
	spy.xOpen = spy_open;
	sqlite3_vfs_register(&spy, 1);
	return scratch_make(state);
}

static int
spy_off(void **state)
{
	sqlite3_vfs_unregister(&spy);
	return scratch_remove(state);
}

static void
serve_and_look(struct site *a, struct site *b)
{
	struct store_reading *reading;
	struct store_pull *pull;
	struct store_plan plan;
	const uint8_t *page;
	struct err err;
	bool whole, last;
	size_t len;

	must(store_pull_begin(b->store, remote_id(b, a), false, &pull, &plan,
	    &err));
	must(store_serve(a->store, remote_id(a, b), &plan, &whole, &reading,
	    &err));
	must(store_serve_page(reading, 1000, &page, &len, &last, &err));
	assert_false(dirty_wal);
	assert_false(dirty_db);
	/* A new snapshot has what was committed since. */
	store_serve_pause(reading);
	sql(a, "PRAGMA synchronous = OFF; UPDATE t SET v = v + 1");
	assert_true(dirty_wal || dirty_db);
	must(store_serve_page(reading, 1000, &page, &len, &last, &err));
	assert_false(dirty_wal);
	assert_false(dirty_db);
	store_serve_close(reading);
	store_plan_clear(&plan);
	store_pull_close(pull, NULL);
}

static void
r14_durable_before_sent(void **state)
{
	struct site a, b;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 50; i++)
		sql(&a, "PRAGMA synchronous = OFF;"
		    "INSERT INTO t VALUES('r%d', 1, 1)", i);
	assert_true(dirty_wal || dirty_db);
	serve_and_look(&a, &b);
	site_close(&a);
	site_close(&b);
}

static void
r14_durable_with_rollback_journal(void **state)
{
	struct store_init how = { .keep_journal_mode = true, .busy_ms = 2000 };
	struct site a, b;
	struct err err;
	bool already;
	int i;

	memset(&a, 0, sizeof a);
	a.name = "alice";
	snprintf(a.file, sizeof a.file, "%s/alice.db", scratch);
	how.db_file = a.file;
	must(store_init(&how, &already, &err));
	expect(&a, "PRAGMA journal_mode", "delete\n");
	site_open(&a);
	sql(&a, "%s", schema);
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 50; i++)
		sql(&a, "PRAGMA synchronous = OFF;"
		    "INSERT INTO t VALUES('r%d', 1, 1)", i);
	assert_true(dirty_db);
	serve_and_look(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* An acknowledgement is of what is on the disk. */
static void
r14_durable_before_acknowledged(void **state)
{
	struct site a, b;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 50; i++)
		sql(&b, "INSERT INTO t VALUES('r%d', 1, 1)", i);
	dirty_wal = dirty_db = false;
	pull(&a, &b);
	assert_false(dirty_wal);
	assert_false(dirty_db);
	site_close(&a);
	site_close(&b);
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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&b, "INSERT INTO t VALUES('b', 1, 1)");
	before = own_now(&b);
	for (i = 0; i < 20; i++)
		sql(&a, "INSERT INTO t VALUES('a%d', 1, 1)", i);
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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 3; i++)
		sql(&a, "INSERT INTO t VALUES('common-%d', 1, 1)", i);
	pull(&b, &a);
	keep(&a, old);
	for (i = 0; i < 4; i++)
		sql(&a, "INSERT INTO t VALUES('lost-%d', 1, 1)", i);
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
	ten_more_meetings(&a, &b);
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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 3; i++)
		sql(&a, "INSERT INTO t VALUES('common-%d', 1, 1)", i);
	pull(&b, &a);
	keep(&a, old);
	keep_state(&a, note);
	for (i = 0; i < 4; i++)
		sql(&a, "INSERT INTO t VALUES('lost-%d', 1, 1)", i);
	pull(&b, &a);
	restore(&a, old, note);
	for (i = 0; i < 9; i++)
		sql(&a, "INSERT INTO t VALUES('second-%d', 1, 1)", i);
	site_open(&a);
	assert_false(store_was_forked(a.store));
	assert_int_equal(meet(&a, &b), 1);
	assert_alike(&a, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 16);
	ten_more_meetings(&a, &b);
	assert_int_equal(own_sites(&a), 2);
	site_close(&a);
	site_close(&b);
}

/* Two lives of one database write past each other's head offline, and both
 * meet the same peer. */
static void
r16_two_lives(void **state)
{
	struct site a, b, twin;
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 3; i++)
		sql(&a, "INSERT INTO t VALUES('common-%d', 1, 1)", i);
	pull(&b, &a);
	memset(&twin, 0, sizeof twin);
	twin.name = "twin";
	snprintf(twin.file, sizeof twin.file, "%s/twin.db", scratch);
	snprintf(twin.state, sizeof twin.state, "%s/twin-state", scratch);
	copy_database(a.file, twin.file);
	copy_state(store_state_dir(a.store), twin.state);
	site_open(&twin);
	for (i = 0; i < 12; i++)
		sql(&a, "INSERT INTO t VALUES('one-%d', 1, 1)", i);
	for (i = 0; i < 7; i++)
		sql(&twin, "INSERT INTO t VALUES('two-%d', 1, 1);"
		    "UPDATE t SET v = 'two' WHERE id = 'common-1'", i);
	assert_int_equal(meet(&a, &b), 0);
	assert_int_equal(meet(&twin, &b), 1);
	assert_int_equal(meet(&a, &b), 0);
	assert_int_equal(meet(&twin, &b), 0);
	assert_alike(&a, &b);
	assert_alike(&twin, &b);
	assert_int_equal(number(&b, "SELECT count(*) FROM t"), 22);
	ten_more_meetings(&a, &b);
	ten_more_meetings(&twin, &b);
	assert_int_equal(meet(&a, &b), 0);
	assert_alike(&a, &twin);
	site_close(&a);
	site_close(&b);
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
	for (i = 0; i < 3; i++)
		sql(&a, "INSERT INTO t VALUES('common-%d', 1, 1)", i);
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
	ten_more_meetings(&a, &b);
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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&a, &c);
	sql(&a, "INSERT INTO t VALUES('a', 1, 1)");
	pull(&b, &a);
	keep(&a, old);
	for (i = 0; i < 5; i++)
		sql(&c, "INSERT INTO t VALUES('c%d', 1, 1)", i);
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
	int i;

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
	for (i = 0; i < 5; i++)
		sql(&a, "INSERT INTO t VALUES('by-alice-%d', 1, 1)", i);
	pull(&b, &a);
	open.db_file = how.db_file = copy.file;
	assert_int_equal(store_open(&open, &s, &err), E_REFUSED);
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
	int i;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	for (i = 0; i < 50; i++)
		sql(&a, "INSERT INTO t VALUES('r%d', 1, 1)", i);
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
	char dir[SITE_PATH_MAX], moved[SITE_PATH_MAX];
	struct store *s;
	struct site a;
	struct err err;

	umask(0);
	site_make(&a, "alice");
	umask(022);
	snprintf(dir, sizeof dir, "%s", store_state_dir(a.store));
	assert_int_equal(mode_of(dir, "."), 0700);
	assert_int_equal(mode_of(dir, ".."), 0700);
	assert_int_equal(mode_of(dir, "key"), 0600);
	assert_int_equal(mode_of(dir, ".gitignore"), 0600);
	site_close(&a);
	how.db_file = a.file;
	chmod(dir, 0755);
	assert_int_equal(store_open(&how, &s, &err), E_REFUSED);
	chmod(dir, 0700);
	snprintf(moved, sizeof moved, "%s/moved", scratch);
	assert_int_equal(rename(dir, moved), 0);
	assert_int_equal(symlink(moved, dir), 0);
	assert_int_equal(store_open(&how, &s, &err), E_REFUSED);
	remove(dir);
	assert_int_equal(store_open(&how, &s, &err), E_REFUSED);
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
	assert_int_equal(store_open(&how, &s, &err), E_REFUSED);
	assert_non_null(strstr(err.text, "another database"));
	site_close(&a);
	site_close(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make, \
	scratch_remove)
#define SPIED(f) cmocka_unit_test_setup_teardown(f, spy_on, spy_off)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r02_cursor_of_another_past),
		TEST(r10_vectors_only_from_end),
		TEST(r11_parked_counts_as_held),
		TEST(r12_table_tracked_late),
		TEST(r12_table_absent_at_the_server),
		TEST(r12_table_dropped_and_made_again),
		TEST(r12_untracked_and_tracked_again),
		TEST(r13_vectors_by_hash),
		SPIED(r14_durable_before_sent),
		SPIED(r14_durable_with_rollback_journal),
		SPIED(r14_durable_before_acknowledged),
		TEST(r15_own_entry_is_own),
		TEST(r16_backup_without_state),
		TEST(r16_backup_with_state),
		TEST(r16_two_lives),
		TEST(r16_one_backup_twice),
		TEST(r16_power_cut_after_sending),
		TEST(r16_backup_before_a_merge),
		TEST(r16_copy_without_state),
		TEST(r16_init_with_history),
		TEST(r16_one_incarnation_a_day),
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

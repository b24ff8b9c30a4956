// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_durable.c - what is sent or acknowledged is on the disk before
 * (R14): a VFS between SQLite and the files tells what is not.
 */
#include "test_store_site.h"

#include "../vfs_pass.h"

struct spy_file {
	struct vfs_pass pass;
	bool *dirty;            /* NULL: of no interest */
};

static sqlite3_vfs spy;
static sqlite3_vfs *real_vfs;
static sqlite3_io_methods methods;
static bool dirty_db, dirty_wal;

static void
mark(sqlite3_file *f, bool dirty)
{
	struct spy_file *s = (struct spy_file *)f;

	if (s->dirty != NULL)
		*s->dirty = dirty;
}

static int
spy_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	mark(f, true);
	return VFS_CALL(f, xWrite, p, n, at);
}

static int
spy_sync(sqlite3_file *f, int flags)
{
	mark(f, false);
	return VFS_CALL(f, xSync, flags);
}

static int
spy_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
    int *out)
{
	struct spy_file *s = (struct spy_file *)f;
	size_t len = name != NULL ? strlen(name) : 0;

	(void)vfs;
	if (vfs_pass_open(real_vfs, name, f, sizeof *s, &methods, flags, out) !=
	    SQLITE_OK)
		return SQLITE_CANTOPEN;
	if (len > 8 && strcmp(name + len - 8, "alice.db") == 0)
		s->dirty = &dirty_db;
	if (len > 12 && strcmp(name + len - 12, "alice.db-wal") == 0)
		s->dirty = &dirty_wal;
	return SQLITE_OK;
}

static int
spy_on(void **state)
{
	methods = vfs_pass_methods;
	methods.xWrite = spy_write;
	methods.xSync = spy_sync;
	real_vfs = vfs_pass_register(&spy, "spy", sizeof(struct spy_file), 1);
	spy.xOpen = spy_open;
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

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 50, "PRAGMA synchronous = OFF;"
	    "INSERT INTO t VALUES('r%d', 1, 1)");
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
	sql_times(&a, 50, "PRAGMA synchronous = OFF;"
	    "INSERT INTO t VALUES('r%d', 1, 1)");
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

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&b, 50, "INSERT INTO t VALUES('r%d', 1, 1)");
	dirty_wal = dirty_db = false;
	pull(&a, &b);
	assert_false(dirty_wal);
	assert_false(dirty_db);
	site_close(&a);
	site_close(&b);
}

#define SPIED(f) cmocka_unit_test_setup_teardown(f, spy_on, spy_off)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPIED(r14_durable_before_sent),
		SPIED(r14_durable_with_rollback_journal),
		SPIED(r14_durable_before_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_durable.c - what is sent or acknowledged is on the disk before
 * (R14): a VFS between SQLite and the files tells what is not.
 */
#include "test_store_site.h"

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

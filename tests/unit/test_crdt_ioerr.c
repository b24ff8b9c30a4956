// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_ioerr.c - each access to the files fails in turn, alone and with all
 * that follow: reading, writing, syncing, opening, with a rollback journal and
 * with a WAL; or the disk is full; or another one has the lock that is asked for.
 * See crdt_faults.h.
 */
#include "crdt_faults.h"

#include "../vfs_pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static long left = -1;          /* accesses until one fails; < 0: none does */
static bool for_good;           /* and all that follow */
static bool failed;

/* What fails of an access. */
static enum kind { ACCESS = 1, SPACE = 2, LOCK = 4 } failing = ACCESS;

static bool
fails(enum kind kind)
{
	if (left < 0 || !(kind & failing) || left-- > 0)
		return false;
	failed = true;
	if (for_good)
		left = 0;
	return true;
}

/* -- a file of the system's, behind one that fails ----------------------------------- */

static int
file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return fails(ACCESS) ? SQLITE_IOERR_READ : VFS_CALL(f, xRead, p, n, at);
}

static int
file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (fails(ACCESS | SPACE))
		return failing == SPACE ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return VFS_CALL(f, xWrite, p, n, at);
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return fails(ACCESS) ? SQLITE_IOERR_TRUNCATE : VFS_CALL(f, xTruncate, size);
}

static int
file_sync(sqlite3_file *f, int flags)
{
	return fails(ACCESS) ? SQLITE_IOERR_FSYNC : VFS_CALL(f, xSync, flags);
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return fails(ACCESS) ? SQLITE_IOERR_FSTAT : VFS_CALL(f, xFileSize, size);
}

static int
file_lock(sqlite3_file *f, int level)
{
	if (fails(ACCESS | LOCK))
		return failing == LOCK ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
	return VFS_CALL(f, xLock, level);
}

static int
file_shm_map(sqlite3_file *f, int page, int size, int extend,
    void volatile **out)
{
	if (fails(extend ? ACCESS | SPACE : ACCESS))
		return failing == SPACE ? SQLITE_FULL : SQLITE_IOERR_SHMMAP;
	return VFS_CALL(f, xShmMap, page, size, extend, out);
}

static int
file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	if ((flags & SQLITE_SHM_LOCK) && fails(LOCK))
		return SQLITE_BUSY;
	return VFS_CALL(f, xShmLock, at, n, flags);
}

/* -- the file system --------------------------------------------------------------- */

static sqlite3_vfs *system_vfs, failing_vfs;
static sqlite3_io_methods methods;

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
    int *out_flags)
{
	f->pMethods = NULL;
	if (fails(flags & SQLITE_OPEN_CREATE ? ACCESS | SPACE : ACCESS))
		return failing == SPACE ? SQLITE_FULL : SQLITE_CANTOPEN;
	return vfs_pass_open(system_vfs, name, f, sizeof(struct vfs_pass), &methods,
	    flags, out_flags);
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	return fails(ACCESS) ? SQLITE_IOERR_DELETE :
	    system_vfs->xDelete(system_vfs, name, sync);
}

static int
vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	return fails(ACCESS) ? SQLITE_IOERR_ACCESS :
	    system_vfs->xAccess(system_vfs, name, flags, out);
}

/* SQLite waits for others between its tries; there are none. */
static int
vfs_sleep(sqlite3_vfs *vfs, int us)
{
	return us;
}

static void
register_vfs(void)
{
	methods = vfs_pass_methods;
	methods.xRead = file_read;
	methods.xWrite = file_write;
	methods.xTruncate = file_truncate;
	methods.xSync = file_sync;
	methods.xFileSize = file_size;
	methods.xLock = file_lock;
	methods.xShmMap = file_shm_map;
	methods.xShmLock = file_shm_lock;
	system_vfs = vfs_pass_register(&failing_vfs, "failing",
	    sizeof(struct vfs_pass), 0);
	failing_vfs.xOpen = vfs_open;
	failing_vfs.xDelete = vfs_delete;
	failing_vfs.xAccess = vfs_access;
	failing_vfs.xSleep = vfs_sleep;
}

/* -- what crdt_faults.h asks for ------------------------------------------------------- */

static char work[NODE_FILE];

static void
arm(long at, bool all)
{
	left = at;
	for_good = all;
	failed = false;
}

static bool
disarm(void)
{
	left = -1;
	return failed;
}

static bool
excuses(int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_CORRUPT:    /* of a statement that what failed in the midst of it,
	                         * in the hook, had rolled back */
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
	case SQLITE_ABORT:
		return failing != LOCK;
	case SQLITE_BUSY:
	case SQLITE_PROTOCOL:
	case SQLITE_ERROR:      /* of a fold at a commit, which must not go on */
		return failing == LOCK;
	default:
		return false;
	}
}

static void
remove_files(void)
{
	char other[NODE_FILE + 16];
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	size_t i;

	for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(other, sizeof other, "%s%s", work, suffixes[i]);
		unlink(other);
	}
}

static void
open_work(struct node *n, const void *image, size_t len)
{
	FILE *f;

	remove_files();
	f = fopen(work, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(image, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	memset(n, 0, sizeof *n);
	assert_int_equal(sqlite3_open_v2(work, &n->db, SQLITE_OPEN_READWRITE,
	    "failing"), SQLITE_OK);
	/* a small cache reads and spills */
	node_exec(n, "PRAGMA cache_size = 10");
}

static void
close_work(struct node *n)
{
	assert_int_equal(sqlite3_close(n->db), SQLITE_OK);
	remove_files();
}

/* test_crdt_ioerr ioerr|full|busy delete|wal: what fails, and the journal mode. */
int
main(int argc, char **argv)
{
	struct fault fault = { .open = open_work, .close = close_work, .arm = arm,
		.disarm = disarm, .excuses = excuses,
		.begin = "PRAGMA journal_mode = delete", .least = 10 };
	int bad;

	assert_int_equal(argc, 3);
	if (strcmp(argv[1], "full") == 0) {
		failing = SPACE;
	} else if (strcmp(argv[1], "busy") == 0) {
		failing = LOCK;
		fault.locks_out = true;
		fault.least = 2;
	}
	if (strcmp(argv[2], "wal") == 0)
		fault.begin = "PRAGMA journal_mode = wal";
	register_vfs();
	node_file(work);
	bad = faults_run(argv[1], &fault);
	remove_files();
	return bad;
}

// SPDX-License-Identifier: MPL-2.0
#include "vfs_fail.h"

#include "../vfs_pass.h"
#include "fault_count.h"

/* -- a file of the system's, behind one that fails ----------------------------------- */

static int
file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_READ :
	    VFS_CALL(f, xRead, p, n, at);
}

static int
file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (fault_is_due(FAULT_ACCESS | FAULT_SPACE))
		return fault_armed() == FAULT_SPACE ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return VFS_CALL(f, xWrite, p, n, at);
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_TRUNCATE :
	    VFS_CALL(f, xTruncate, size);
}

static int
file_sync(sqlite3_file *f, int flags)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_FSYNC :
	    VFS_CALL(f, xSync, flags);
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_FSTAT :
	    VFS_CALL(f, xFileSize, size);
}

static int
file_lock(sqlite3_file *f, int level)
{
	if (fault_is_due(FAULT_ACCESS | FAULT_LOCK))
		return fault_armed() == FAULT_LOCK ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
	return VFS_CALL(f, xLock, level);
}

static int
file_shm_map(sqlite3_file *f, int page, int size, int extend,
    void volatile **out)
{
	if (fault_is_due(extend ? FAULT_ACCESS | FAULT_SPACE : FAULT_ACCESS))
		return fault_armed() == FAULT_SPACE ? SQLITE_FULL : SQLITE_IOERR_SHMMAP;
	return VFS_CALL(f, xShmMap, page, size, extend, out);
}

static int
file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	if ((flags & SQLITE_SHM_LOCK) && fault_is_due(FAULT_LOCK))
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
	if (fault_is_due(flags & SQLITE_OPEN_CREATE ? FAULT_ACCESS | FAULT_SPACE :
	    FAULT_ACCESS))
		return fault_armed() == FAULT_SPACE ? SQLITE_FULL : SQLITE_CANTOPEN;
	return vfs_pass_open(system_vfs, name, f, sizeof(struct vfs_pass), &methods,
	    flags, out_flags);
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_DELETE :
	    system_vfs->xDelete(system_vfs, name, sync);
}

static int
vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	return fault_is_due(FAULT_ACCESS) ? SQLITE_IOERR_ACCESS :
	    system_vfs->xAccess(system_vfs, name, flags, out);
}

/* SQLite waits for others between its tries; there are none. */
static int
vfs_sleep(sqlite3_vfs *vfs, int us)
{
	return us;
}

void
vfs_fail_register(bool by_default)
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
	    sizeof(struct vfs_pass), by_default);
	failing_vfs.xOpen = vfs_open;
	failing_vfs.xDelete = vfs_delete;
	failing_vfs.xAccess = vfs_access;
	failing_vfs.xSleep = vfs_sleep;
}

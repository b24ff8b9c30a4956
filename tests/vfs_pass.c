// SPDX-License-Identifier: MPL-2.0
#include "vfs_pass.h"

#include <stdlib.h>
#include <string.h>

static int
pass_close(sqlite3_file *f)
{
	return VFS_CALL(f, xClose);
}

static int
pass_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return VFS_CALL(f, xRead, p, n, at);
}

static int
pass_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	return VFS_CALL(f, xWrite, p, n, at);
}

static int
pass_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return VFS_CALL(f, xTruncate, size);
}

static int
pass_sync(sqlite3_file *f, int flags)
{
	return VFS_CALL(f, xSync, flags);
}

static int
pass_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return VFS_CALL(f, xFileSize, size);
}

static int
pass_lock(sqlite3_file *f, int level)
{
	return VFS_CALL(f, xLock, level);
}

static int
pass_unlock(sqlite3_file *f, int level)
{
	return VFS_CALL(f, xUnlock, level);
}

static int
pass_reserved(sqlite3_file *f, int *held)
{
	return VFS_CALL(f, xCheckReservedLock, held);
}

static int
pass_control(sqlite3_file *f, int op, void *arg)
{
	return VFS_CALL(f, xFileControl, op, arg);
}

static int
pass_sector(sqlite3_file *f)
{
	return VFS_CALL(f, xSectorSize);
}

static int
pass_traits(sqlite3_file *f)
{
	return VFS_CALL(f, xDeviceCharacteristics);
}

static int
pass_shm_map(sqlite3_file *f, int page, int size, int extend,
    void volatile **out)
{
	return VFS_CALL(f, xShmMap, page, size, extend, out);
}

static int
pass_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return VFS_CALL(f, xShmLock, at, n, flags);
}

static void
pass_shm_barrier(sqlite3_file *f)
{
	VFS_CALL(f, xShmBarrier);
}

static int
pass_shm_unmap(sqlite3_file *f, int remove)
{
	return VFS_CALL(f, xShmUnmap, remove);
}

const sqlite3_io_methods vfs_pass_methods = {
	.iVersion = 2,
	.xClose = pass_close,
	.xRead = pass_read,
	.xWrite = pass_write,
	.xTruncate = pass_truncate,
	.xSync = pass_sync,
	.xFileSize = pass_size,
	.xLock = pass_lock,
	.xUnlock = pass_unlock,
	.xCheckReservedLock = pass_reserved,
	.xFileControl = pass_control,
	.xSectorSize = pass_sector,
	.xDeviceCharacteristics = pass_traits,
	.xShmMap = pass_shm_map,
	.xShmLock = pass_shm_lock,
	.xShmBarrier = pass_shm_barrier,
	.xShmUnmap = pass_shm_unmap,
};

sqlite3_vfs *
vfs_pass_register(sqlite3_vfs *vfs, const char *name, size_t size,
    int by_default)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	*vfs = *real;
	vfs->zName = name;
	vfs->pNext = NULL;
	vfs->szOsFile = (int)size + real->szOsFile;
	if (sqlite3_vfs_register(vfs, by_default) != SQLITE_OK)
		abort();
	return real;
}

int
vfs_pass_open(sqlite3_vfs *real, const char *path, sqlite3_file *f,
    size_t size, const sqlite3_io_methods *methods, int flags, int *out_flags)
{
	int rc;

	memset(f, 0, size);
	VFS_REAL(f) = (sqlite3_file *)((char *)f + size);
	rc = real->xOpen(real, path, VFS_REAL(f), flags, out_flags);
	if (VFS_REAL(f)->pMethods != NULL)
		f->pMethods = methods;
	return rc;
}

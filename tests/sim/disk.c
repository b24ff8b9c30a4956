// SPDX-License-Identifier: MPL-2.0
#include "disk.h"

#include "../vfs_pass.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a write replaced: `len` bytes at `at` (fewer where the file ended), in
 * a file that was `size` long. */
struct undo {
	sqlite3_int64 at, size;
	int len;
	unsigned char *data;
};

/* A file by its path, whoever has it open. */
struct disk_file {
	char *path;
	struct undo *undo;
	size_t n, cap;
	bool cut;               /* PATH.cut is there */
	struct disk_file *next;
};

struct handle {
	struct vfs_pass pass;
	struct disk_file *file; /* NULL: of no interest */
};

static sqlite3_vfs *under;
static sqlite3_vfs disk;
static struct disk_file *files;
static bool watching;

static void
out_of_memory(void)
{
	fputs("simulation: out of memory\n", stderr);
	abort();
}

/* -- what is remembered ---------------------------------------------------- */

static struct disk_file *
file_of(const char *path)
{
	struct disk_file *f;

	for (f = files; f != NULL; f = f->next)
		if (strcmp(f->path, path) == 0)
			return f;
	f = calloc(1, sizeof *f);
	if (f == NULL || (f->path = strdup(path)) == NULL)
		out_of_memory();
	f->next = files;
	files = f;
	return f;
}

static void
forget(struct disk_file *f)
{
	while (f->n > 0)
		free(f->undo[--f->n].data);
}

static void
remember(struct handle *h, sqlite3_int64 at, sqlite3_int64 len)
{
	struct disk_file *f = h->file;
	struct undo *u;

	if (!watching || f == NULL)
		return;
	if (f->n == f->cap) {
		f->cap = f->cap * 2 + 16;
		f->undo = realloc(f->undo, f->cap * sizeof *f->undo);
		if (f->undo == NULL)
			out_of_memory();
	}
	u = &f->undo[f->n++];
	*u = (struct undo){ .at = at };
	if (VFS_CALL(h, xFileSize, &u->size) != SQLITE_OK)
		u->size = 0;
	if (at < u->size)
		u->len = (int)(u->size - at < len ? u->size - at : len);
	if (u->len == 0)
		return;
	u->data = malloc((size_t)u->len);
	if (u->data == NULL)
		out_of_memory();
	if (VFS_CALL(h, xRead, u->data, u->len, at) != SQLITE_OK)
		abort();
}

/* -- the methods of a file -------------------------------------------------- */

static int
disk_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
	remember((struct handle *)f, at, n);
	return VFS_CALL(f, xWrite, data, n, at);
}

static int
disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	remember((struct handle *)f, size, INT32_MAX);
	return VFS_CALL(f, xTruncate, size);
}

/* A sync of the real disk would only take time. */
static int
disk_sync(sqlite3_file *f, int flags)
{
	struct handle *h = (struct handle *)f;

	(void)flags;
	if (h->file != NULL)
		forget(h->file);
	return SQLITE_OK;
}

/* -- the VFS -------------------------------------------------------------------- */

static sqlite3_io_methods methods;

static int
disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags,
    int *out_flags)
{
	struct handle *h = (struct handle *)f;
	int rc;

	(void)vfs;
	rc = vfs_pass_open(under, path, f, sizeof *h, &methods, flags, out_flags);
	if (path != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL |
	    SQLITE_OPEN_MAIN_JOURNAL)) != 0)
		h->file = file_of(path);
	return rc;
}

static int
disk_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
	(void)vfs;
	(void)sync_directory;
	forget(file_of(path));
	return under->xDelete(under, path, 0);
}

void
disk_register(void)
{
	methods = vfs_pass_methods;
	methods.xWrite = disk_write;
	methods.xTruncate = disk_truncate;
	methods.xSync = disk_sync;
	under = vfs_pass_register(&disk, "simdisk", sizeof(struct handle), 1);
	disk.xOpen = disk_open;
	disk.xDelete = disk_delete;
}

void
disk_watch(bool on)
{
	watching = on;
}

/* -- power cuts -------------------------------------------------------------------- */

static int
must(int rc, const char *path)
{
	if (rc < 0) {
		perror(path);
		abort();
	}
	return rc;
}

static void
copy_bytes(int from, int to, const char *path)
{
	char chunk[65536];
	ssize_t n;

	while ((n = must((int)read(from, chunk, sizeof chunk), path)) > 0)
		if (write(to, chunk, (size_t)n) != n)
			abort();
}

/* A copy of the file with the last writes taken back. */
static unsigned
write_cut(struct disk_file *f, size_t arrived)
{
	char cut[512];
	size_t i;
	int from, to;

	snprintf(cut, sizeof cut, "%s.cut", f->path);
	from = open(f->path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return 0;       /* deleted meanwhile */
	to = must(open(cut, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), cut);
	copy_bytes(from, to, f->path);
	for (i = f->n; i > arrived; i--) {
		struct undo *u = &f->undo[i - 1];

		if (u->len > 0 && pwrite(to, u->data, (size_t)u->len, u->at) !=
		    u->len)
			abort();
		must(ftruncate(to, u->size), cut);
	}
	close(from);
	close(to);
	f->cut = true;
	return (unsigned)(f->n - arrived);
}

unsigned
disk_power_cut(const char *prefix, struct rng *rng)
{
	struct disk_file *f;
	unsigned lost = 0;

	for (f = files; f != NULL; f = f->next)
		if (strncmp(f->path, prefix, strlen(prefix)) == 0)
			lost += write_cut(f, rng_below(rng, (uint32_t)f->n + 1));
	return lost;
}

void
disk_power_back(const char *prefix)
{
	char path[512];
	struct disk_file *f;

	for (f = files; f != NULL; f = f->next) {
		if (strncmp(f->path, prefix, strlen(prefix)) != 0)
			continue;
		forget(f);
		snprintf(path, sizeof path, "%s-shm", f->path);
		unlink(path);
		snprintf(path, sizeof path, "%s.cut", f->path);
		if (f->cut)
			must(rename(path, f->path), path);
		else
			unlink(f->path);
		f->cut = false;
	}
}

void
disk_clear(void)
{
	struct disk_file *f;

	while ((f = files) != NULL) {
		files = f->next;
		forget(f);
		free(f->undo);
		free(f->path);
		free(f);
	}
}

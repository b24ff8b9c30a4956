// SPDX-License-Identifier: MPL-2.0
#include "vfs_kill.h"

#include "../vfs_pass.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that is not synced: bytes at a place, or data NULL: a new size. */
struct change {
	sqlite3_int64 at;
	size_t len;
	unsigned char *data;
};

/* By its path, whoever has it open. */
struct disk_file {
	char *path;
	unsigned char *synced;  /* what it is certain to hold */
	size_t size;
	struct change *change;
	size_t n, room;
	struct disk_file *next;
};

struct handle {
	struct vfs_pass pass;
	struct disk_file *file; /* NULL: of no interest */
};

static sqlite3_vfs *under, kill_vfs;
static struct disk_file *files;
static long left, count;
static bool power;
bool vfs_kill_lies;
static uint64_t random_state;

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static unsigned
random_below(unsigned n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % n;
}

/* -- what is synced ----------------------------------------------------------------- */

static struct disk_file *
file_of(const char *path)
{
	struct disk_file *f;

	for (f = files; f != NULL; f = f->next)
		if (strcmp(f->path, path) == 0)
			return f;
	f = must(calloc(1, sizeof *f));
	f->path = must(strdup(path));
	f->next = files;
	files = f;
	return f;
}

static void
forget(struct disk_file *f)
{
	while (f->n > 0)
		free(f->change[--f->n].data);
}

/* What the file holds now is synced. */
static void
take(struct disk_file *f)
{
	FILE *in = fopen(f->path, "rb");
	struct stat st;
	long size;

	forget(f);
	free(f->synced);
	f->synced = NULL;
	f->size = 0;
	if (in == NULL || fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode)) {
		if (in != NULL)
			fclose(in);
		return;
	}
	if (fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0)
		abort();
	rewind(in);
	f->synced = must(malloc((size_t)size + 1));
	f->size = fread(f->synced, 1, (size_t)size, in);
	fclose(in);
}

static void
note(struct disk_file *f, sqlite3_int64 at, const void *data, size_t len)
{
	struct change *c;

	if (!power || f == NULL)
		return;
	if (f->n == f->room) {
		f->room = f->room * 2 + 16;
		f->change = must(realloc(f->change, f->room * sizeof *f->change));
	}
	c = &f->change[f->n++];
	*c = (struct change){ .at = at, .len = len };
	if (data != NULL) {
		c->data = must(malloc(len));
		memcpy(c->data, data, len);
	}
}

/* -- the end -------------------------------------------------------------------------- */

/* Writes the file as it was when synced, with some of what came after. */
static void
cut(struct disk_file *f)
{
	int fd = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	unsigned part = 1 + random_below(4);
	struct change *c;
	size_t i;

	if (fd < 0)
		return;         /* deleted meanwhile */
	if (pwrite(fd, f->synced, f->size, 0) != (ssize_t)f->size)
		abort();
	for (i = 0; i < f->n; i++) {
		c = &f->change[i];
		if (random_below(part) != 0)
			continue;
		if (c->data == NULL ? ftruncate(fd, c->at) != 0 :
		    pwrite(fd, c->data, c->len, c->at) != (ssize_t)c->len)
			abort();
	}
	close(fd);
}

static void
die(void)
{
	struct disk_file *f;

	for (f = files; f != NULL && power; f = f->next)
		cut(f);
	_exit(VFS_KILL_DIED);
}

static bool
is_due(void)
{
	count++;
	return left >= 0 && left-- == 0;
}

/* -- files ------------------------------------------------------------------------------ */

#define FILE_OF(f) (((struct handle *)(f))->file)

static int
kill_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int half = n / 2;

	if (FILE_OF(f) != NULL && is_due()) {
		if (half > 0 && random_below(2) == 0) {
			note(FILE_OF(f), at, p, (size_t)half);
			VFS_CALL(f, xWrite, p, half, at);
		}
		die();
	}
	note(FILE_OF(f), at, p, (size_t)n);
	return VFS_CALL(f, xWrite, p, n, at);
}

static int
kill_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (FILE_OF(f) != NULL && is_due())
		die();
	note(FILE_OF(f), size, NULL, 0);
	return VFS_CALL(f, xTruncate, size);
}

/* A sync of the real disk would only take time. */
static int
kill_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	if (FILE_OF(f) != NULL && is_due())
		die();
	if (power && FILE_OF(f) != NULL && !vfs_kill_lies)
		take(FILE_OF(f));
	return SQLITE_OK;
}

static int
kill_traits(sqlite3_file *f)
{
	(void)f;
	return 0;
}

static sqlite3_io_methods methods;

static int
kill_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags,
    int *out_flags)
{
	struct handle *h = (struct handle *)f;
	int rc;

	(void)vfs;
	rc = vfs_pass_open(under, path, f, sizeof *h, &methods, flags, out_flags);
	if (path != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL |
	    SQLITE_OPEN_MAIN_JOURNAL)) != 0)
		h->file = file_of(path);
	/* what is found is there; by whom it was left does not matter */
	if (rc == SQLITE_OK && power && h->file != NULL && h->file->n == 0)
		take(h->file);
	return rc;
}

static int
kill_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	(void)vfs;
	if (is_due())
		die();
	forget(file_of(path));
	return under->xDelete(under, path, sync);
}

void
vfs_kill_register(long at, bool cuts_power, unsigned seed, bool by_default)
{
	left = at;
	power = cuts_power;
	random_state = seed;
	methods = vfs_pass_methods;
	methods.xWrite = kill_write;
	methods.xTruncate = kill_truncate;
	methods.xSync = kill_sync;
	methods.xDeviceCharacteristics = kill_traits;
	under = vfs_pass_register(&kill_vfs, "kill", sizeof(struct handle),
	    by_default);
	kill_vfs.xOpen = kill_open;
	kill_vfs.xDelete = kill_delete;
}

/* -- files of others ------------------------------------------------------------------- */

long
vfs_kill_count(void)
{
	return count;
}

void
vfs_kill_here(void)
{
	if (is_due())
		die();
}

void
vfs_kill_opened(const char *path)
{
	struct disk_file *f = file_of(path);

	if (power && f->n == 0)
		take(f);
}

void
vfs_kill_wrote(const char *path, const void *data, size_t len, long at)
{
	note(file_of(path), at, data, len);
}

void
vfs_kill_cut(const char *path, long size)
{
	note(file_of(path), size, NULL, 0);
}

void
vfs_kill_synced(const char *path)
{
	if (power && !vfs_kill_lies)
		take(file_of(path));
}

/* What was there before is gone, whatever it held. */
void
vfs_kill_renamed(const char *from, const char *to)
{
	struct disk_file *f = file_of(from), *old = file_of(to);
	char *path = old->path;

	forget(old);
	old->path = f->path;
	f->path = path;
}

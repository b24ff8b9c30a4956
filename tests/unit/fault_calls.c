// SPDX-License-Identifier: MPL-2.0
#include "fault_calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <fcntl.h>

#define SQLITE_CORE 1
#include <sqlite3.h>

#include <sodium.h>

#include "fault_count.h"

const struct fault_calls_watch *fault_calls_watch;
static long unfreed;

/* -- memory ------------------------------------------------------------------------ */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__real_realpath(const char *path, char *out);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
char *__wrap_realpath(const char *path, char *out);
int __wrap_asprintf(char **out, const char *fmt, ...);
void __wrap_free(void *p);

static bool
no_memory(void)
{
	if (!fault_is_due(FAULT_MEMORY))
		return false;
	errno = ENOMEM;
	return true;
}

static void *
taken(void *p)
{
	unfreed += p != NULL;
	return p;
}

void *
__wrap_malloc(size_t n)
{
	return no_memory() ? NULL : taken(__real_malloc(n));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : taken(__real_calloc(n, size));
}

void *
__wrap_realloc(void *p, size_t n)
{
	void *q = no_memory() ? NULL : __real_realloc(p, n);

	unfreed += p == NULL && q != NULL;
	return q;
}

char *
__wrap_strdup(const char *s)
{
	return no_memory() ? NULL : taken(__real_strdup(s));
}

char *
__wrap_strndup(const char *s, size_t n)
{
	return no_memory() ? NULL : taken(__real_strndup(s, n));
}

/* One who wants no memory has given it. */
char *
__wrap_realpath(const char *path, char *out)
{
	char *p = no_memory() ? NULL : __real_realpath(path, out);

	return out == NULL ? taken(p) : p;
}

/* What it gives in *out when it fails is not said. */
int
__wrap_asprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = no_memory() ? -1 : vasprintf(out, fmt, ap);
	va_end(ap);
	if (n < 0)
		*out = (char *)1;
	else
		taken(*out);
	return n;
}

void
__wrap_free(void *p)
{
	unfreed -= p != NULL;
	__real_free(p);
}

long
fault_calls_unfreed(void)
{
	return unfreed;
}

static sqlite3_mem_methods memory;      /* SQLite's own */

static void *
sqlite_malloc(int n)
{
	return no_memory() ? NULL : memory.xMalloc(n);
}

static void *
sqlite_realloc(void *p, int n)
{
	return no_memory() ? NULL : memory.xRealloc(p, n);
}

void
fault_calls_sqlite(void)
{
	sqlite3_mem_methods mine;

	/* every small piece goes through it too */
	if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK)
		abort();
	mine = memory;
	mine.xMalloc = sqlite_malloc;
	mine.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) != SQLITE_OK)
		abort();
}

/* -- files ----------------------------------------------------------------------------- */

int __real_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fsync(int fd);
int __real_ftruncate(int fd, off_t size);
int __real_renameat(int dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *path, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_renameat(int dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_mkdir(const char *path, mode_t mode);

static bool
no_access(unsigned kinds)
{
	enum fault_kind why = fault_armed();

	if (!fault_is_due(kinds))
		return false;
	errno = why == FAULT_SPACE ? ENOSPC : EIO;
	return true;
}

static void
change(void)
{
	if (fault_calls_watch != NULL)
		fault_calls_watch->before();
}

static mode_t
mode_of(int flags, va_list ap)
{
	return flags & O_CREAT ? va_arg(ap, mode_t) : 0;
}

static bool
may_open(int flags)
{
	if (flags & (O_CREAT | O_TRUNC))
		change();
	return !no_access(flags & O_CREAT ? FAULT_ACCESS | FAULT_SPACE :
	    FAULT_ACCESS);
}

/* Tells of what was done, if it was. */
#define WATCH(done, what, ...) \
	((done) && fault_calls_watch != NULL ? \
	    fault_calls_watch->what(__VA_ARGS__) : (void)0)

int
__wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	fd = may_open(flags) ? __real_open(path, flags, mode) : -1;
	WATCH(fd >= 0, opened, fd);
	return fd;
}

int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	fd = may_open(flags) ? __real_openat(dir, path, flags, mode) : -1;
	WATCH(fd >= 0, opened, fd);
	return fd;
}

ssize_t
__wrap_read(int fd, void *p, size_t n)
{
	return no_access(FAULT_ACCESS) ? -1 : __real_read(fd, p, n);
}

ssize_t
__wrap_pread(int fd, void *p, size_t n, off_t at)
{
	return no_access(FAULT_ACCESS) ? -1 : __real_pread(fd, p, n, at);
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	ssize_t done;

	change();
	done = no_access(FAULT_ACCESS | FAULT_SPACE) ? -1 :
	    __real_write(fd, p, n);
	WATCH(done > 0, wrote, fd, p, (size_t)done,
	    lseek(fd, 0, SEEK_CUR) - done);
	return done;
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t done;

	change();
	done = no_access(FAULT_ACCESS | FAULT_SPACE) ? -1 :
	    __real_pwrite(fd, p, n, at);
	WATCH(done > 0, wrote, fd, p, (size_t)done, at);
	return done;
}

int
__wrap_fsync(int fd)
{
	int rc;

	change();
	rc = no_access(FAULT_ACCESS) ? -1 : __real_fsync(fd);
	WATCH(rc == 0, synced, fd);
	return rc;
}

int
__wrap_ftruncate(int fd, off_t size)
{
	int rc;

	change();
	rc = no_access(FAULT_ACCESS) ? -1 : __real_ftruncate(fd, size);
	WATCH(rc == 0, cut, fd, size);
	return rc;
}

int
__wrap_renameat(int dir, const char *from, int to_dir, const char *to)
{
	int rc;

	change();
	rc = no_access(FAULT_ACCESS | FAULT_SPACE) ? -1 :
	    __real_renameat(dir, from, to_dir, to);
	WATCH(rc == 0, renamed, dir, from, to_dir, to);
	return rc;
}

int
__wrap_unlinkat(int dir, const char *path, int flags)
{
	change();
	return no_access(FAULT_ACCESS) ? -1 : __real_unlinkat(dir, path, flags);
}

int
__wrap_mkdir(const char *path, mode_t mode)
{
	change();
	return no_access(FAULT_ACCESS | FAULT_SPACE) ? -1 :
	    __real_mkdir(path, mode);
}

/* -- what would take too long ------------------------------------------------------------ */

int __wrap_crypto_pwhash(unsigned char *out, unsigned long long len,
    const char *pass, unsigned long long passlen, const unsigned char *salt,
    unsigned long long ops, size_t memory_limit, int alg);

int
__wrap_crypto_pwhash(unsigned char *out, unsigned long long len,
    const char *pass, unsigned long long passlen, const unsigned char *salt,
    unsigned long long ops, size_t memory_limit, int alg)
{
	(void)salt;
	(void)ops;
	(void)memory_limit;
	(void)alg;
	if (no_memory())
		return -1;
	return crypto_generichash(out, (size_t)len, (const unsigned char *)pass,
	    passlen, NULL, 0);
}

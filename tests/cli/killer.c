// SPDX-License-Identifier: MPL-2.0
/*
 * killer.c - preloaded into a program, it ends the program by SIGKILL at the
 * n-th write that it does, to a file or to a peer: before the write, or in the
 * middle of it, or just after.  KILLER_AT is n (0: never), KILLER_COUNT a file
 * that gets the number of writes when the program ends by itself.
 */
/* pwrite and pwrite64 are two names here, and both are to be seen. */
#undef _FILE_OFFSET_BITS
#pragma GCC visibility push(default)

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long writes;
static long kill_at;

__attribute__((constructor)) static void
begin(void)
{
	const char *at = getenv("KILLER_AT");

	kill_at = at ? atol(at) : 0;
}

__attribute__((destructor)) static void
end(void)
{
	const char *path = getenv("KILLER_COUNT");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (f == NULL)
		return;
	fprintf(f, "%ld\n", atomic_load(&writes));
	fclose(f);
}

/* True if this is the write in which to die. */
static int
mine(void)
{
	return atomic_fetch_add(&writes, 1) + 1 == kill_at;
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t
pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	if (mine()) {
		REAL(pwrite64)(fd, data, kill_at % 3 ? n / 2 : n, at);
		die();
	}
	return REAL(pwrite64)(fd, data, n, at);
}

ssize_t
pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

ssize_t
write(int fd, const void *data, size_t n)
{
	if (mine()) {
		if (kill_at % 2 && REAL(write)(fd, data, n / 2) < 0)
			die();
		die();
	}
	return REAL(write)(fd, data, n);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	if (mine())
		die();
	return REAL(writev)(fd, v, n);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (mine())
		die();
	return REAL(sendmsg)(fd, m, flags);
}

int
fdatasync(int fd)
{
	if (mine())
		die();
	return REAL(fdatasync)(fd);
}

int
fsync(int fd)
{
	if (mine())
		die();
	return REAL(fsync)(fd);
}

int
ftruncate64(int fd, off64_t n)
{
	if (mine())
		die();
	return REAL(ftruncate64)(fd, n);
}

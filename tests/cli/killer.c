// SPDX-License-Identifier: MPL-2.0
/*
 * killer.c - preloaded into a program, it ends the program by SIGKILL at a
 * write that it does, to a file or to a peer: before the write, or in the
 * middle of it, or just after.
 *
 *   KILLER_AFTER   writes are counted from when more than so many bytes came
 *                  or went over TCP (0): those before that are the beginning
 *                  of the conversation, not of what it is for
 *   KILLER_AT      the number of the write in which to die (0: never)
 *   KILLER_NOTE    a file that gets a line in the moment of death
 *   KILLER_COUNT   a file that gets the same line when the program ends by
 *                  itself: writes counted, bytes that came, bytes that went
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

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long writes, came, went;
static long kill_at, after;

static long
number(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 0;
}

__attribute__((constructor)) static void
begin(void)
{
	kill_at = number("KILLER_AT");
	after = number("KILLER_AFTER");
}

/* Without a write that would be counted. */
static void
note(const char *name)
{
	const char *path = getenv(name);
	char line[80];
	int n, fd;

	if (path == NULL)
		return;
	n = snprintf(line, sizeof line, "%ld %ld %ld\n", atomic_load(&writes),
	    atomic_load(&came), atomic_load(&went));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (REAL(write)(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

__attribute__((destructor)) static void
end(void)
{
	note("KILLER_COUNT");
}

static void
die(void)
{
	note("KILLER_NOTE");
	kill(getpid(), SIGKILL);
}

/* True if this is the write in which to die. */
static int
mine(void)
{
	if (atomic_load(&came) + atomic_load(&went) <= after)
		return 0;
	return atomic_fetch_add(&writes, 1) + 1 == kill_at;
}

static ssize_t
traffic(atomic_long *sum, int fd, ssize_t n)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (n > 0 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0
	    && (peer.ss_family == AF_INET || peer.ss_family == AF_INET6))
		atomic_fetch_add(sum, n);
	return n;
}

/* ---- what comes ---- */

ssize_t
read(int fd, void *to, size_t n)
{
	return traffic(&came, fd, REAL(read)(fd, to, n));
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	return traffic(&came, fd, REAL(recvmsg)(fd, m, flags));
}

/* ---- writes ---- */

ssize_t
pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	if (mine()) {
		if (REAL(pwrite64)(fd, data, kill_at % 3 ? n / 2 : n, at) < 0)
			die();
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
	return traffic(&went, fd, REAL(write)(fd, data, n));
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	if (mine())
		die();
	return traffic(&went, fd, REAL(writev)(fd, v, n));
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (mine())
		die();
	return traffic(&went, fd, REAL(sendmsg)(fd, m, flags));
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

// SPDX-License-Identifier: MPL-2.0
/*
 * test_veilid_program.c - the Veilid node that is started where none runs, while
 * each allocation fails in turn, each file, each call of the system, once or for
 * good.  Whatever fails, it is said, nobody is started beside one that listens,
 * all goes well when it fails no more, and in the end nothing is left: no
 * process, no open file, no memory.
 *
 * The program is this one, called by the name that a node is started by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "fault_calls.h"
#include "fault_count.h"
#include "node/veilid_node.h"
#include "temp.h"

enum {
	A_MINUTE = 60000,
	PATIENCE = 60000,       /* real ms, for what a process is to do where
				 * others have the processors */
	ORPHAN = 600,           /* s, for one whose test was killed */
	PLACES_MAX = 400        /* at which something can fail */
};

/* ---- the program ---- */

static int
say(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0;
}

static bool
is_fifo(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* It has what it was to be given, and nothing else. */
static bool
is_begun_well(int argc, char **argv)
{
	struct stat st;
	int fd;

	for (fd = 3; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return false;
	return argc == 6 && strcmp(argv[1], "--api") == 0
	    && strcmp(argv[3], "--state") == 0
	    && strcmp(argv[5], "--until-eof") == 0 && is_fifo(0) && is_fifo(1)
	    && fstat(2, &st) == 0 && (S_ISREG(st.st_mode)
	    || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
}

/* A node: how says what becomes of it. */
static int
be_node(int argc, char **argv)
{
	const char *how = getenv("NODE_HOW"), *wrong = getenv("NODE_WRONG");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char lock[200], byte;
	int fd;

	alarm(ORPHAN);
	if (!is_begun_well(argc, argv)) {
		close(open(wrong, O_WRONLY | O_CREAT, 0600));
		return 1;
	}
	if (strcmp(how, "dies") == 0)
		return say(2, "first line\nthere is no room\n\n"), 1;
	if (strcmp(how, "ends") == 0)
		return say(1, "listening\n"), 0;
	mkdir(argv[4], 0700);
	snprintf(lock, sizeof lock, "%s/lock", argv[4]);
	if (flock(open(lock, O_WRONLY | O_CREAT, 0600), LOCK_EX | LOCK_NB) != 0)
		return say(2, "another node has the lock\n"), 1;
	snprintf(at.sun_path, sizeof at.sun_path, "%s", argv[2]);
	unlink(at.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0
	    || listen(fd, 8) != 0)
		return say(2, "cannot listen\n"), 1;
	say(1, "listening\n");
	while (read(0, &byte, 1) > 0)
		;
	while (strcmp(how, "stays") == 0)
		pause();
	unlink(at.sun_path);
	return 0;
}

/* ---- what can fail, beside fault_calls.c ---- */

static struct {
	uv_loop_t loop;
	struct veilid_node *node;
	char dir[TEMP_MAX], run[TEMP_MAX + 8], wrong[TEMP_MAX + 8];
	char log[TEMP_MAX + 40];
	char socket[VEILID_NODE_PATH_MAX];
	pid_t child;            /* 0: none */
	int started;
} w;

/* One call that fails, or does what it does. */
#define WRAP(kinds, error, type, name, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		if (fault_is_due(kinds)) { \
			errno = (error); \
			return (type)-1; \
		} \
		return __real_##name args; \
	}

WRAP(FAULT_ACCESS, EIO, int, stat, (const char *path, struct stat *st),
    (path, st))
WRAP(FAULT_ACCESS, EIO, int, lstat, (const char *path, struct stat *st),
    (path, st))
WRAP(FAULT_ACCESS, EIO, ssize_t, readlink, (const char *path, char *out,
    size_t size), (path, out, size))
WRAP(FAULT_ACCESS | FAULT_SPACE, ENOSPC, int, rename, (const char *from,
    const char *to), (from, to))
WRAP(FAULT_ACCESS, EIO, int, truncate, (const char *path, off_t size),
    (path, size))
WRAP(FAULT_ACCESS, EIO, off_t, lseek, (int fd, off_t at, int whence),
    (fd, at, whence))
WRAP(FAULT_ACCESS, EMFILE, int, pipe2, (int fd[2], int flags), (fd, flags))
WRAP(FAULT_ACCESS, EMFILE, int, socket, (int family, int type, int protocol),
    (family, type, protocol))
WRAP(FAULT_ACCESS, EACCES, int, connect, (int fd, const struct sockaddr *at,
    socklen_t len), (fd, at, len))

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

/* One that is installed on this machine is not for this test. */
int
__wrap_access(const char *path, int mode)
{
	bool foreign = strncmp(path, w.dir, strlen(w.dir)) != 0;

	if (foreign || fault_is_due(FAULT_ACCESS)) {
		errno = foreign ? ENOENT : EIO;
		return -1;
	}
	return __real_access(path, mode);
}

/* These return the error. */
#define WRAP_RETURNS(kinds, error, name, params, args) \
	int __real_##name params; \
	int __wrap_##name params; \
	int __wrap_##name params \
	{ \
		return fault_is_due(kinds) ? (error) : __real_##name args; \
	}

WRAP_RETURNS(FAULT_MEMORY, ENOMEM, posix_spawn_file_actions_init,
    (posix_spawn_file_actions_t *files), (files))
WRAP_RETURNS(FAULT_MEMORY, ENOMEM, posix_spawn_file_actions_adddup2,
    (posix_spawn_file_actions_t *files, int from, int to), (files, from, to))
WRAP_RETURNS(FAULT_MEMORY, ENOMEM, posix_spawnattr_init,
    (posix_spawnattr_t *attr), (attr))
WRAP_RETURNS(FAULT_ACCESS, UV_EMFILE, uv_pipe_open, (uv_pipe_t *pipe,
    uv_file fd), (pipe, fd))
WRAP_RETURNS(FAULT_MEMORY, UV_ENOMEM, uv_read_start, (uv_stream_t *stream,
    uv_alloc_cb alloc, uv_read_cb read), (stream, alloc, read))

int __real_posix_spawnp(pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
    char *const argv[], char *const envp[]);
int __wrap_posix_spawnp(pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
    char *const argv[], char *const envp[]);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);

int
__wrap_posix_spawnp(pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
    char *const argv[], char *const envp[])
{
	int rc;

	assert_int_equal(w.child, 0);   /* one at a time */
	if (fault_is_due(FAULT_ACCESS | FAULT_MEMORY)) {
		*pid = 1;               /* not said what it is then */
		return EAGAIN;
	}
	rc = __real_posix_spawnp(pid, file, files, attr, argv, envp);
	if (rc == 0) {
		w.child = *pid;
		w.started++;
	}
	return rc;
}

/* A signal comes first. */
pid_t
__wrap_waitpid(pid_t pid, int *status, int options)
{
	static bool twice;
	pid_t rc;

	assert_true(pid > 0 && pid == w.child);
	twice = !twice;
	if (twice && fault_is_due(FAULT_ACCESS) && options == 0) {
		errno = EINTR;
		return -1;
	}
	rc = __real_waitpid(pid, status, options);
	if (rc == pid)
		w.child = 0;
	return rc;
}

int
__wrap_kill(pid_t pid, int sig)
{
	assert_true(pid < 0 && -pid == w.child);
	return __real_kill(pid, sig);
}

/* ---- time ---- */

static uint64_t skipped;        /* ms */

/* Time goes on by itself, and where nothing else can happen, to the next timer. */
__attribute__((visibility("default"))) int
clock_gettime(clockid_t id, struct timespec *out)
{
	int rc = (int)syscall(SYS_clock_gettime, id, out);

	out->tv_sec += (time_t)(skipped / 1000);
	out->tv_nsec += (long)(skipped % 1000) * 1000000;
	if (out->tv_nsec >= 1000000000) {
		out->tv_nsec -= 1000000000;
		out->tv_sec++;
	}
	return rc;
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A process may do something for so long (real ms), if there is one. */
static void
turn(int patience)
{
	struct pollfd fd = { .fd = uv_backend_fd(&w.loop), .events = POLLIN };
	int next;

	uv_run(&w.loop, UV_RUN_NOWAIT);
	if (w.child != 0 && poll(&fd, 1, patience) > 0)
		return;
	next = uv_backend_timeout(&w.loop);
	if (next > 0)
		skipped += (uint64_t)next;
}

/* ---- the story ---- */

static bool
listens(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
	    | SOCK_NONBLOCK, 0);
	bool yes;

	strcpy(at.sun_path, w.socket);
	/* nobody accepts, so its queue may be full */
	yes = __real_connect(fd, (const struct sockaddr *)&at, sizeof at) == 0
	    || errno == EAGAIN;
	close(fd);
	return yes;
}

static int
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	return remove(path);
}

struct story {
	const char *name, *how; /* what the program does */
	bool there;             /* somebody else listens, at first */
	bool talks;             /* the log is large */
	bool no_run;            /* there is no XDG_RUNTIME_DIR */
	bool missing;           /* the program */
	const char *why;        /* part of what is said where nothing fails */
};

/* One run of a story. */
struct run {
	const struct story *s;
	enum fault_kind kind;
	bool all;               /* that and whatever follows */
	bool at_end;            /* only what fails when it is closed */
	long at;
};

static void
make_files(const struct story *s)
{
	char bin[TEMP_MAX + 8], program[TEMP_MAX + 40], self[500];
	ssize_t n = __real_readlink("/proc/self/exe", self, sizeof self - 1);

	assert_true(n > 0);
	self[n] = '\0';
	temp_name(w.dir, "p");
	assert_non_null(mkdtemp(w.dir));
	snprintf(w.run, sizeof w.run, "%s/run", w.dir);
	snprintf(w.wrong, sizeof w.wrong, "%s/wrong", w.dir);
	snprintf(w.log, sizeof w.log, "%s/.local/state/ddcp/veilid/log", w.dir);
	snprintf(bin, sizeof bin, "%s/bin", w.dir);
	snprintf(program, sizeof program, "%s/veilid-node", bin);
	assert_int_equal(mkdir(w.run, 0700), 0);
	assert_int_equal(mkdir(bin, 0700), 0);
	if (!s->missing)
		assert_int_equal(symlink(self, program), 0);
	setenv("PATH", bin, 1);
	setenv("HOME", w.dir, 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	if (!s->no_run)
		setenv("XDG_RUNTIME_DIR", w.run, 1);
	setenv("NODE_HOW", s->how, 1);
	setenv("NODE_WRONG", w.wrong, 1);
}

static int
begin(struct err *err)
{
	int rc = veilid_node_socket(w.socket, err);

	if (rc == 0)
		rc = veilid_node_open(&w.loop, w.socket, "", 0, &w.node, err);
	return rc;
}

static int
be_there(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, w.socket);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1000), 0);
	return fd;
}

static void
make_long_log(void)
{
	int fd = open(w.log, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, VEILID_NODE_LOG_MAX * 3 / 4), 0);
	close(fd);
}

static void
pass(uint64_t ms)
{
	uint64_t end = now() + ms;

	while (now() < end)
		turn(listens() ? 0 : 20);
}

/* One that is beginning, or ending, may do so on a busy machine. */
static void
settle(void)
{
	int i;

	for (i = 0; i < PATIENCE / 20 && w.child != 0 && !listens(); i++)
		turn(20);
}

/* What is said while it fails, or while the program does what it does. */
static void
check_why(const struct run *r, bool failed)
{
	struct err why;

	veilid_node_why(w.node, &why);
	if (r->s->there)
		assert_int_equal(w.started, 0);
	if (listens())
		return;
	assert_true(why.code < 0 && why.text[0] != '\0');
	if (!failed && r->s->why != NULL && strstr(why.text, r->s->why) == NULL)
		fail_msg("%s", why.text);
}

/* Nothing fails any more. */
static void
come_right(const struct run *r)
{
	uint64_t end = now() + 24 * 60 * A_MINUTE;
	struct err why;

	if (strcmp(r->s->how, "stays") != 0)
		setenv("NODE_HOW", "lives", 1);
	do {
		turn(20);
		veilid_node_why(w.node, &why);
		if (now() > end)
			fail_msg("it never comes: %s", why.text);
	} while ((!listens() || why.code != 0) && !r->s->missing);
	pass(30000);
	veilid_node_why(w.node, &why);
	assert_int_equal(listens() && why.code == 0, !r->s->missing);
}

/* Whether something failed. */
static bool
let_it_run(const struct run *r)
{
	int other = r->s->there ? be_there() : -1;
	bool failed;

	pass(A_MINUTE);
	settle();
	failed = fault_disarm();
	check_why(r, failed);
	if (other >= 0) {
		close(other);
		unlink(w.socket);
	}
	if (r->s->talks && w.child != 0)
		assert_int_equal(truncate(w.log, 2 * VEILID_NODE_LOG_MAX), 0);
	come_right(r);
	return failed;
}

static bool
end_it(const struct run *r)
{
	int patience = strcmp(r->s->how, "stays") == 0 ? 20 : PATIENCE;
	bool failed;

	fault_arm(r->kind, r->at_end ? r->at : -1, r->all);
	veilid_node_close(w.node);
	while (uv_loop_alive(&w.loop))
		turn(patience);
	failed = fault_disarm();
	assert_int_equal(w.child, 0);
	assert_int_equal(__real_waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	if (patience == PATIENCE)
		assert_int_not_equal(access(w.socket, F_OK), 0);
	return failed;
}

static bool
begin_to_run(const struct run *r)
{
	struct err err = { .code = 0 };
	int rc = 0;

	if (r->s->talks) {
		assert_int_equal(begin(&err), 0);
		make_long_log();
	}
	fault_arm(r->kind, r->at_end ? -1 : r->at, r->all);
	if (!r->s->talks)
		rc = begin(&err);
	if (rc == 0)
		return false;
	assert_true(fault_disarm());
	assert_true(rc < 0 && err.code == rc && err.text[0] != '\0');
	assert_int_equal(begin(&err), 0);
	return true;
}

/* Whether something failed. */
static bool
run_once(const struct run *r)
{
	long unfreed = fault_calls_unfreed();
	int files = open_files();
	bool failed;

	if (getenv("TRACE") != NULL)
		fprintf(stderr, "kind %d%s%s: place %ld\n", r->kind,
		    r->all ? " for good" : "", r->at_end ? " in the end" : "",
		    r->at);
	w.child = w.started = 0;
	make_files(r->s);
	assert_int_equal(uv_loop_init(&w.loop), 0);
	failed = begin_to_run(r);
	failed |= let_it_run(r);
	failed |= end_it(r);
	assert_int_not_equal(access(w.wrong, F_OK), 0);
	assert_int_equal(fault_calls_unfreed(), unfreed);
	assert_int_equal(nftw(w.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	assert_int_equal(open_files(), files);
	return failed;
}

/* ---- all of it ---- */

static const struct story stories[] = {
	{ "it lives", "lives" },
	{ "there is no directory for sockets", "lives", .no_run = true },
	{ "it says much", "lives", .talks = true },
	{ "it does not end when told", "stays" },
	{ "it dies", "dies", .why = "ended: there is no room; its log is" },
	{ "it ends by itself", "ends", .why = "the Veilid node ended; its log" },
	{ "somebody else listens", "lives", .there = true },
	{ "there is no program", "lives", .missing = true,
	  .why = "there is no program veilid-node to be the Veilid node" },
};

static void
fail_in_turn(struct run *r)
{
	bool failed = true;

	for (r->at = 0; failed; r->at++) {
		assert_true(r->at < PLACES_MAX);
		failed = run_once(r);
	}
	/* something did, but for what is not asked in the end */
	assert_true(r->at > 1 || r->at_end || r->kind == FAULT_SPACE);
}

static void
play(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_MEMORY, FAULT_ACCESS,
		FAULT_SPACE };
	struct run r = { .s = *state, .at = -1 };
	size_t i;
	int how;

	assert_false(run_once(&r));
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (how = 0; how < 4; how++) {
			r.kind = kinds[i];
			r.all = how & 1;
			r.at_end = how & 2;
			fail_in_turn(&r);
		}
}

int
main(int argc, char **argv)
{
	enum { STORIES = sizeof stories / sizeof *stories };
	struct CMUnitTest tests[STORIES];
	const char *only = getenv("ONLY");
	size_t i, n = 0;

	if (strcmp(argv[0], "veilid-node") == 0)
		_exit(be_node(argc, argv));
	/* what this one was given by others is not for a node to have */
	for (i = 3; i < 64; i++)
		fcntl((int)i, F_SETFD, FD_CLOEXEC);
	memset(tests, 0, sizeof tests);
	for (i = 0; i < STORIES; i++)
		if (only == NULL || strcmp(only, stories[i].name) == 0)
			tests[n++] = (struct CMUnitTest){
				.name = stories[i].name, .test_func = play,
				.initial_state = (void *)(uintptr_t)&stories[i] };
	signal(SIGPIPE, SIG_IGN);
	/* what libuv opens once and for all */
	uv_loop_init(&w.loop);
	uv_loop_close(&w.loop);
	return _cmocka_run_group_tests("program", tests, n, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_kill.c - the process ends at each change of a file in turn, of the
 * databases, the inbox and the state directory, as by SIGKILL or by a power cut
 * (vfs_kill.h), in the midst of the scripts of store_scripts.c: what is found then
 * opens, is well, and is what some step left, or a part of one that may be done in
 * parts; the rest of the steps do the rest.  By SIGKILL nothing that was done is
 * lost.  PLACES in the environment: so many places of each script (4); 0: all.
 */
#include "store_faults.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "fault_calls.h"
#include "vfs_kill.h"

static bool power;
static struct world w;
static char *want[STORE_STEPS_MAX + 1]; /* after so many steps */
static int steps;
static bool is_kept;                    /* it is a database of ours all the time */
static struct {
	int acknowledged;       /* steps that are done */
	long places;            /* at which it could have ended */
} *shared;              /* with the child */

/* -- the files that are not SQLite's -------------------------------------------------- */

static char *
path_of(int fd, char out[SITE_PATH_MAX])
{
	char name[40];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, out, SITE_PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

static void
opened(int fd)
{
	char path[SITE_PATH_MAX];

	vfs_kill_opened(path_of(fd, path));
}

static void
wrote(int fd, const void *data, size_t len, off_t at)
{
	char path[SITE_PATH_MAX];

	vfs_kill_wrote(path_of(fd, path), data, len, (long)at);
}

static void
cut(int fd, off_t size)
{
	char path[SITE_PATH_MAX];

	vfs_kill_cut(path_of(fd, path), (long)size);
}

static void
synced(int fd)
{
	char path[SITE_PATH_MAX];

	vfs_kill_synced(path_of(fd, path));
}

static void
renamed(int dir, const char *from, int to_dir, const char *to)
{
	char a[SITE_PATH_MAX], b[SITE_PATH_MAX], x[600], y[600];

	snprintf(x, sizeof x, "%s/%s", path_of(dir, a), from);
	snprintf(y, sizeof y, "%s/%s", path_of(to_dir, b), to);
	vfs_kill_renamed(x, y);
}

static const struct fault_calls_watch watch = { vfs_kill_here, opened, wrote, cut,
	synced, renamed };

/* -- the child --------------------------------------------------------------------------- */

static void
do_steps(const struct store_script *s)
{
	struct err err;
	int n;

	if (!s->closed)
		world_open(&w);
	for (n = 0; s->step[n].run != NULL; n++) {
		memset(&err, 0, sizeof err);
		if (s->step[n].run(&w, &err) != 0) {
			fprintf(stderr, "step %d: %s\n", n, err.text);
			_exit(1);
		}
		shared->acknowledged = n + 1;
	}
	world_close(&w);
	shared->places = vfs_kill_count();
	_exit(0);
}

static bool
child_dies(const struct store_script *s, long at)
{
	int status;
	pid_t pid;

	shared->acknowledged = 0;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		vfs_kill_register(at, power, (unsigned)at, true);
		fault_calls_watch = &watch;
		do_steps(s);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		assert_int_equal(WEXITSTATUS(status), VFS_KILL_DIED);
	return WEXITSTATUS(status) != 0;
}

/* -- what it left -------------------------------------------------------------------------- */

/* What was in one process is opened again by the other. */
static void
open_again(const struct store_script *s)
{
	if (!s->closed)
		world_open(&w);
}

/* Which step is next, by what stands there: the first that fits, for a step may do
 * what does not stand there.  -1: none fits. */
static int
next_step(const struct store_script *s, const char *now)
{
	int n = power || s->closed ? 0 : shared->acknowledged;

	for (; n <= steps && n <= shared->acknowledged + 1; n++)
		if (strcmp(now, want[n]) == 0)
			return n;
	return -1;
}

/* What may be done in parts is done again. */
static int
begun_step(const struct store_script *s)
{
	int n = shared->acknowledged < steps ? shared->acknowledged : steps - 1;

	while (n >= 0 && !s->step[n].in_parts)
		n--;
	return power || n == shared->acknowledged ? n : -1;
}

static void
go_on(const struct store_script *s, long at)
{
	struct err err;
	char *now;
	int n;

	if (is_kept && !world_is_ours(&w))
		fail_msg("ended at %ld, after %d steps: it can't be opened", at,
		    shared->acknowledged);
	world_is_well(&w);
	open_again(s);
	now = world_state(&w);
	n = next_step(s, now);
	if (n < 0 && (n = begun_step(s)) < 0)
		fail_msg("ended at %ld, after %d steps:\n%s\ninstead of\n%s", at,
		    shared->acknowledged, now, want[shared->acknowledged]);
	sqlite3_free(now);
	for (; s->step[n].run != NULL; n++) {
		memset(&err, 0, sizeof err);
		if (s->step[n].run(&w, &err) != 0)
			fail_msg("ended at %ld, after %d steps, step %d: %s", at,
			    shared->acknowledged, n, err.text);
	}
	world_close(&w);
	world_is_well(&w);
	now = world_state(&w);
	if (strcmp(now, want[steps]) != 0)
		fail_msg("ended at %ld, after %d steps, at the end:\n%s\ninstead "
		    "of\n%s", at, shared->acknowledged, now, want[steps]);
	sqlite3_free(now);
}

/* -- the tests ----------------------------------------------------------------------------- */

static void
make_states(const struct store_script *s)
{
	struct err err;
	int n;

	store_faults_restore(&w);
	is_kept = world_is_ours(&w);
	open_again(s);
	want[0] = world_state(&w);
	for (n = 0; s->step[n].run != NULL; n++) {
		must(s->step[n].run(&w, &err));
		want[n + 1] = world_state(&w);
	}
	steps = n;
	world_close(&w);
	is_kept = is_kept && world_is_ours(&w);
}

static void
die_everywhere(void **state)
{
	const struct store_script *s = *state;
	const char *text = getenv("PLACES");
	long places = text != NULL ? atol(text) : 4, at, died = 0, step, count;

	store_faults_begin(s, &w, false);
	make_states(s);
	store_faults_restore(&w);
	assert_false(child_dies(s, -1));
	count = shared->places;
	step = places > 0 ? count / places + 1 : 1;
	for (at = (s - store_scripts) % step; at < count; at += step) {
		store_faults_restore(&w);
		if (child_dies(s, at)) {
			go_on(s, at);
			died++;
		}
	}
	print_message("%ld places, ended at %ld\n", count, died);
}

static int
clean_up(void **state)
{
	int i;

	for (i = 0; i <= STORE_STEPS_MAX; i++) {
		sqlite3_free(want[i]);
		want[i] = NULL;
	}
	store_faults_end();
	return 0;
}

/* test_store_kill kill|power */
int
main(int argc, char **argv)
{
	struct CMUnitTest *tests = calloc((size_t)nstore_scripts, sizeof *tests);
	union {
		const struct store_script *in;
		void *out;
	} state;
	int i, bad;

	assert_int_equal(argc, 2);
	assert_non_null(tests);
	power = world_loses_inbox = strcmp(argv[1], "power") == 0;
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	for (i = 0; i < nstore_scripts; i++) {
		state.in = &store_scripts[i];
		tests[i] = (struct CMUnitTest){ store_scripts[i].name,
			die_everywhere, NULL, clean_up, state.out };
	}
	cmocka_set_test_filter(getenv("ONLY"));
	bad = _cmocka_run_group_tests(argv[1], tests, (size_t)nstore_scripts, NULL,
	    NULL);
	free(tests);
	munmap(shared, sizeof *shared);
	return bad;
}

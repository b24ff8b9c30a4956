// SPDX-License-Identifier: MPL-2.0
/* The parts of a node that need no peer: control socket, watch, stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "node/control.h"
#include "node/control_call.h"
#include "node/stop.h"
#include "node/watch.h"
#include "temp.h"

enum { PATIENCE_MS = 10000 };

static char dir[1024];

static int
set_up(void **state)
{
	temp_name(dir, "test_node");
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	char command[1100];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

static void
on_patience(uv_timer_t *timer)
{
	fail_msg("nothing happened for %d ms", PATIENCE_MS);
}

static uv_loop_t *running;

/* Counts what was waited for; timers run before the loop waits for events, so
 * it has to be told that it need not. */
static void
happened(int *count)
{
	++*count;
	if (running != NULL)
		uv_stop(running);
}

/* Runs the loop until *flag reaches n. */
static void
run_until(uv_loop_t *loop, const int *flag, int n)
{
	static uv_timer_t timer;

	running = loop;
	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, on_patience, PATIENCE_MS, 0);
	while (*flag < n)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	running = NULL;
	uv_run(loop, UV_RUN_NOWAIT);
}

static void
finish_loop(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

/* ---- control ---- */

struct server {
	int requests, gone;
	bool keep;              /* answers nothing */
	bool flood;             /* answers more than anybody reads */
	struct control_client *client;
};

static void
on_request(void *owner, struct control_client *client, const json_t *request)
{
	struct server *s = owner;
	struct err why = { .code = 0 };
	int i;

	happened(&s->requests);
	s->client = client;
	if (s->keep)
		return;
	for (i = 0; i < control_number(request, "lines"); i++)
		control_send(client, json_pack("{s:i}", "n", i));
	if (control_number(request, "code") != 0)
		err_set(&why, (int)control_number(request, "code"), "a hint",
		    "a sentence");
	control_end(client, &why);
}

static void
on_gone(void *owner, struct control_client *client)
{
	struct server *s = owner;

	happened(&s->gone);
}

static const struct control_events control_events = { on_request, on_gone };

static int
count_line(void *self, const json_t *line)
{
	int *n = self;

	return control_number(line, "n") == *n ? (++*n, 0) : 99;
}

/* In a child: asks, and exits with 0 if all is as expected. */
static pid_t
ask_in_child(const char *where, int lines, int code)
{
	struct err err = { .code = 0 };
	pid_t pid = fork();
	int n = 0, rc;
	bool ran;

	if (pid != 0)
		return pid;
	rc = control_call(where, json_pack("{s:i, s:i}", "lines", lines, "code",
	    code), count_line, &n, NULL, &ran, &err);
	if (!ran || rc != code || n != lines)
		_exit(1);
	if (code != 0 && (strcmp(err.text, "a sentence") != 0
	    || strcmp(err.hint, "a hint") != 0))
		_exit(2);
	_exit(0);
}

static int
exit_code(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void
serves_and_answers_at(const char *where)
{
	struct server s = { 0 };
	struct control *c;
	struct stat st;
	uv_loop_t loop;
	char path[1200];
	pid_t a, b;

	uv_loop_init(&loop);
	assert_false(control_is_served(where));
	assert_int_equal(control_open(&loop, where, &control_events, &s, &c,
	    NULL), 0);
	snprintf(path, sizeof path, "%s/control", where);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	a = ask_in_child(where, 3, 0);
	b = ask_in_child(where, 500, -5);
	run_until(&loop, &s.requests, 2);
	control_close(c);
	/* What was answered still goes out. */
	finish_loop(&loop);
	assert_int_equal(exit_code(a), 0);
	assert_int_equal(exit_code(b), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_false(control_is_served(where));
}

static void
control_answers(void **state)
{
	serves_and_answers_at(dir);
}

static void
control_works_below_a_long_path(void **state)
{
	char where[600];
	int i;

	strcpy(where, dir);
	for (i = 0; i < 5; i++) {
		strcat(where, "/a-directory-with-a-name-that-is-quite-long-to-"
		    "pass-the-length-of-addresses");
		assert_int_equal(mkdir(where, 0700), 0);
	}
	assert_true(strlen(where) > 200);
	serves_and_answers_at(where);
}

static void
control_replaces_what_a_killed_serve_left(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control",
	    dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address),
	    0);
	close(fd);
	serves_and_answers_at(dir);
}

static void
control_tells_that_the_client_went(void **state)
{
	struct server s = { .keep = true };
	struct control *c;
	uv_loop_t loop;
	pid_t pid;

	uv_loop_init(&loop);
	assert_int_equal(control_open(&loop, dir, &control_events, &s, &c,
	    NULL), 0);
	pid = ask_in_child(dir, 0, 0);
	run_until(&loop, &s.requests, 1);
	kill(pid, SIGKILL);
	run_until(&loop, &s.gone, 1);
	exit_code(pid);
	control_close(c);
	finish_loop(&loop);
}

static int
raw_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control",
	    dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&address,
	    sizeof address), 0);
	return fd;
}

/* Reads until the other end is over; how many bytes there were. */
static size_t
drain(uv_loop_t *loop, int fd)
{
	char bytes[4096];
	size_t total = 0;
	ssize_t n;
	int turns = 0;

	for (;;) {
		n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return total;
		if (n > 0)
			total += (size_t)n;
		else if (++turns > 100000)
			fail_msg("the client was not dropped");
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

static void
control_bounds_what_it_reads(void **state)
{
	struct server s = { 0 };
	struct control *c;
	uv_loop_t loop;
	char junk[CONTROL_LINE_MAX + 4096];
	int fd;

	uv_loop_init(&loop);
	assert_int_equal(control_open(&loop, dir, &control_events, &s, &c,
	    NULL), 0);
	fd = raw_client();
	memset(junk, 'x', sizeof junk);
	assert_true(send(fd, junk, sizeof junk, MSG_NOSIGNAL) > 0);
	assert_int_equal(drain(&loop, fd), 0);
	close(fd);
	/* Not JSON: refused in words, and the owner is not bothered. */
	fd = raw_client();
	assert_int_equal(send(fd, "hello\n", 6, MSG_NOSIGNAL), 6);
	assert_true(drain(&loop, fd) > 0);
	assert_int_equal(s.requests, 0);
	close(fd);
	control_close(c);
	finish_loop(&loop);
}

static void
control_bounds_its_clients(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 1], i;
	struct server s = { .keep = true };
	struct control *c;
	uv_loop_t loop;
	char byte;

	uv_loop_init(&loop);
	assert_int_equal(control_open(&loop, dir, &control_events, &s, &c,
	    NULL), 0);
	for (i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
		fd[i] = raw_client();
		assert_int_equal(send(fd[i], "{}\n", 3, MSG_NOSIGNAL), 3);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	run_until(&loop, &s.requests, CONTROL_CLIENTS_MAX);
	drain(&loop, fd[CONTROL_CLIENTS_MAX]);
	assert_int_equal(s.requests, CONTROL_CLIENTS_MAX);
	assert_int_equal(recv(fd[0], &byte, 1, MSG_DONTWAIT), -1);
	for (i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fd[i]);
	control_close(c);
	finish_loop(&loop);
}

static void
a_call_can_be_stopped(void **state)
{
	struct server s = { .keep = true };
	struct control *c;
	struct stop stop;
	uv_loop_t loop;
	bool ran;
	pid_t pid;

	uv_loop_init(&loop);
	assert_int_equal(control_open(&loop, dir, &control_events, &s, &c,
	    NULL), 0);
	pid = fork();
	if (pid == 0) {
		stop_init(&stop, NULL);
		stop_ask(&stop);
		_exit(-control_call(dir, json_object(), count_line, NULL, &stop,
		    &ran, NULL));
	}
	run_until(&loop, &s.gone, 1);
	assert_int_equal(exit_code(pid), -E_INTERRUPTED);
	control_close(c);
	finish_loop(&loop);
}

/* ---- watch ---- */

static void
on_changed(void *owner)
{
	happened(owner);
}

struct waiting {
	int timers;
	uint64_t ms;
};

/* Makes a timer due now, and counts how long it would have been. */
static void
hurry(uv_handle_t *handle, void *self)
{
	struct waiting *waiting = self;
	uv_timer_t *timer = (uv_timer_t *)handle;

	if (handle->type != UV_TIMER || !uv_is_active(handle))
		return;
	waiting->timers++;
	waiting->ms += uv_timer_get_due_in(timer);
	uv_timer_start(timer, timer->timer_cb, 0, 0);
}

/* Lets happen what was waiting to, timers included, and tells after how many
 * milliseconds the last of them would have come.  A turn that does not wait
 * runs what was due as it began and nothing that was started in it, however
 * slow the machine is. */
static uint64_t
finish_looks(uv_loop_t *loop)
{
	struct waiting waiting = { 0 };
	int before;

	uv_run(loop, UV_RUN_NOWAIT);
	do {
		before = waiting.timers;
		uv_walk(loop, hurry, &waiting);
		if (waiting.timers > before)
			uv_run(loop, UV_RUN_NOWAIT);
	} while (waiting.timers > before);
	return waiting.ms;
}

static void
sql(sqlite3 *db, const char *text)
{
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
}

static void
watch_commits(const char *mode)
{
	char file[1100], wal[1110], other[1100], pragma[64];
	struct watch *w;
	uv_loop_t loop;
	sqlite3 *db, *elsewhere;
	int changes = 0, i, before;

	snprintf(file, sizeof file, "%s/w.db", dir);
	snprintf(wal, sizeof wal, "%s/w.db%s", dir,
	    strcmp(mode, "wal") == 0 ? "-wal" : "");
	snprintf(other, sizeof other, "%s/other.db", dir);
	snprintf(pragma, sizeof pragma, "PRAGMA journal_mode=%s", mode);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_open(other, &elsewhere), SQLITE_OK);
	sql(db, pragma);
	sql(db, "CREATE TABLE t(x)");
	sql(elsewhere, "CREATE TABLE t(x)");
	uv_loop_init(&loop);
	assert_int_equal(watch_open(&loop, file, wal, on_changed, &changes, &w,
	    NULL), 0);
	for (i = 0; i < 5; i++) {
		before = changes;
		sql(db, "INSERT INTO t VALUES(1)");
		run_until(&loop, &changes, before + 1);
		/* Some looks in four seconds, and then none. */
		before = changes;
		assert_in_range(finish_looks(&loop), 4000, 5000);
		assert_in_range(changes - before, 5, 30);
	}
	/* The kernel tells of a write before the write returns. */
	before = changes;
	sql(elsewhere, "INSERT INTO t VALUES(1)");
	assert_int_equal(finish_looks(&loop), 0);
	assert_int_equal(changes, before);
	watch_again(w, 0);
	run_until(&loop, &changes, before + 1);
	sqlite3_close(db);
	sqlite3_close(elsewhere);
	watch_close(w);
	finish_loop(&loop);
}

static void
watch_sees_commits_in_wal_mode(void **state)
{
	watch_commits("wal");
}

static void
watch_sees_commits_in_rollback_mode(void **state)
{
	watch_commits("delete");
}

static void
watch_sees_the_wal_come_and_go(void **state)
{
	char file[1100], wal[1110];
	struct watch *w;
	uv_loop_t loop;
	sqlite3 *db;
	int changes = 0, round, before;

	snprintf(file, sizeof file, "%s/w.db", dir);
	snprintf(wal, sizeof wal, "%s/w.db-wal", dir);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sql(db, "PRAGMA journal_mode=wal; CREATE TABLE t(x)");
	sqlite3_close(db);
	assert_int_not_equal(access(wal, F_OK), 0);
	uv_loop_init(&loop);
	assert_int_equal(watch_open(&loop, file, wal, on_changed, &changes, &w,
	    NULL), 0);
	for (round = 0; round < 3; round++) {
		assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
		before = changes;
		sql(db, "INSERT INTO t VALUES(1)");
		run_until(&loop, &changes, before + 1);
		finish_looks(&loop);
		/* The WAL is there now: a commit is seen through it. */
		before = changes;
		sql(db, "INSERT INTO t VALUES(2)");
		run_until(&loop, &changes, before + 1);
		sqlite3_close(db);
	}
	watch_close(w);
	finish_loop(&loop);
}

/* ---- stop ---- */

static struct stop handler_stop;

static void
on_signal(int number)
{
	stop_ask(&handler_stop);
}

static void
stop_in_a_handler(void **state)
{
	int i;

	assert_int_equal(stop_init(&handler_stop, NULL), 0);
	signal(SIGUSR1, on_signal);
	for (i = 0; i < 100000; i++)
		stop_ask(&handler_stop);        /* never blocks */
	stop_reset(&handler_stop);
	assert_int_equal(handler_stop.asked, 0);
	raise(SIGUSR1);
	assert_int_equal(handler_stop.asked, 1);
	signal(SIGUSR1, SIG_DFL);
	stop_clear(&handler_stop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(control_answers, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    control_works_below_a_long_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    control_replaces_what_a_killed_serve_left, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    control_tells_that_the_client_went, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_bounds_what_it_reads,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_bounds_its_clients,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_call_can_be_stopped, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(watch_sees_commits_in_wal_mode,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    watch_sees_commits_in_rollback_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(watch_sees_the_wal_come_and_go,
		    set_up, tear_down),
		cmocka_unit_test(stop_in_a_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

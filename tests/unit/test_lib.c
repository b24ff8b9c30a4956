// SPDX-License-Identifier: MPL-2.0
/*
 * The library, end to end: databases in a scratch directory, each served by a
 * process of its own, seen through nothing but ddcp.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <ddcp.h>

#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "temp.h"

enum { PATIENCE_MS = 20000, LINE = 1024 };

static char dir[TEMP_MAX];

/* ---- a database, and perhaps a process that serves it ---- */

struct person {
	char file[128];
	char address[DDCP_ADDRESS_MAX];
	pid_t pid;              /* 0: nobody serves */
	int events;             /* lines from the serving process */
	char buffered[8 * LINE];
	size_t nbuffered;
	char place[256];        /* where it listens */
};

static void
check(int rc, const ddcp_error *e, const char *what)
{
	if (rc != 0)
		fail_msg("%s: %d %s (%s)", what, rc, e->text, e->hint);
}

static ddcp *
open_db(const struct person *p)
{
	ddcp_options options = { .db_file = p->file };
	ddcp_error e = { 0 };
	ddcp *d;

	check(ddcp_open(&options, &d, &e), &e, "open");
	return d;
}

static void
sql(const struct person *p, const char *text)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, PATIENCE_MS);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(db);
}

/* The text of a single value. */
static void
ask(const struct person *p, const char *text, char out[LINE])
{
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(p->file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, PATIENCE_MS);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	snprintf(out, LINE, "%s", sqlite3_column_type(stmt, 0) == SQLITE_NULL
	    ? "NULL" : (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

static void
expect(const struct person *p, const char *text, const char *want)
{
	char got[LINE];

	ask(p, text, got);
	assert_string_equal(got, want);
}

static void
make(struct person *p, const char *name)
{
	ddcp_init_options options = { .open = { .db_file = p->file } };
	ddcp_error e = { 0 };
	bool already;
	ddcp *d;

	memset(p, 0, sizeof *p);
	snprintf(p->file, sizeof p->file, "%s/%s.db", dir, name);
	check(ddcp_init(&options, &already, &e), &e, "init");
	assert_false(already);
	sql(p, "CREATE TABLE t(id TEXT PRIMARY KEY, v)");
	d = open_db(p);
	check(ddcp_track(d, "t", &already, &e), &e, "track");
	ddcp_address(d, p->address);
	ddcp_close(d);
}

static void
name(const struct person *who, const char *as, const struct person *whom,
    bool with_place)
{
	char address[DDCP_ADDRESS_MAX + 300];
	ddcp_error e = { 0 };
	bool already;
	ddcp *d = open_db(who);

	snprintf(address, sizeof address, with_place ? "%s@%s" : "%s",
	    whom->address, whom->place);
	check(ddcp_remote_add(d, as, address, &already, &e), &e, "remote add");
	ddcp_close(d);
}

/* ---- serving ---- */

static ddcp_server *child_server;

static void
child_stop(int number)
{
	ddcp_serve_stop(child_server);
}

static void
child_event(void *self, const ddcp_event *e)
{
	static const char *const names[] = { "listening", "connected",
		"disconnected", "changed", "pulled", "fetched", "sent", "knock",
		"tables", "trouble", "locked", "unlocked" };

	dprintf(*(int *)self, "%s remote=%s place=%s address=%s t=%llu r=%llu "
	    "text=%s\n", names[e->kind], e->remote, e->place, e->address,
	    (unsigned long long)e->transactions, (unsigned long long)e->rows,
	    e->text);
}

static int
child(const struct person *p, int out, const char *listen)
{
	ddcp_serve_options options = { .listen = listen,
		.event = child_event, .self = &out };
	ddcp_error e = { 0 };
	ddcp *d = open_db(p);

	if (ddcp_serve_start(d, &options, &child_server, &e) != 0) {
		dprintf(out, "failed %d %s\n", e.code, e.text);
		return 1;
	}
	signal(SIGTERM, child_stop);
	dprintf(out, "ready\n");
	if (ddcp_serve_run(child_server, &e) != 0)
		return 1;
	ddcp_serve_close(child_server);
	ddcp_close(d);
	return 0;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The next line of the serving process, or false. */
static bool
next_line(struct person *p, char out[LINE], int64_t until)
{
	struct pollfd polled = { .fd = p->events, .events = POLLIN };
	char *end;
	ssize_t n;
	int64_t left;

	while ((end = memchr(p->buffered, '\n', p->nbuffered)) == NULL) {
		left = until - now_ms();
		if (left <= 0 || poll(&polled, 1, (int)left) <= 0)
			return false;
		n = read(p->events, p->buffered + p->nbuffered,
		    sizeof p->buffered - p->nbuffered);
		if (n <= 0)
			return false;
		p->nbuffered += (size_t)n;
	}
	n = end - p->buffered;
	snprintf(out, LINE, "%.*s", (int)n, p->buffered);
	p->nbuffered -= (size_t)n + 1;
	memmove(p->buffered, end + 1, p->nbuffered);
	return true;
}

/* Until there is a line that begins so; out may be NULL. */
static void
wait_event(struct person *p, const char *begin, char *out)
{
	char line[LINE], seen[4 * LINE] = "";
	int64_t until = now_ms() + PATIENCE_MS;

	while (next_line(p, line, until)) {
		if (strncmp(line, begin, strlen(begin)) == 0) {
			if (out != NULL)
				strcpy(out, line);
			return;
		}
		strncat(seen, line, sizeof seen - strlen(seen) - 2);
		strcat(seen, "|");
	}
	fail_msg("no '%s' at %s; but: %s", begin, p->file, seen);
}

/* Until the query answers so, looked at again at each event. */
static void
wait_for(struct person *p, const char *text, const char *want)
{
	char got[LINE], line[LINE];
	int64_t until = now_ms() + PATIENCE_MS;

	for (;;) {
		ask(p, text, got);
		if (strcmp(got, want) == 0)
			return;
		if (!next_line(p, line, until))
			fail_msg("%s: '%s' is '%s', not '%s'", p->file, text,
			    got, want);
	}
}

static void
serve(struct person *p, const char *listen)
{
	char line[LINE];
	char *at;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	p->pid = fork();
	if (p->pid == 0) {
		close(fd[0]);
		_exit(child(p, fd[1], listen));
	}
	close(fd[1]);
	p->events = fd[0];
	p->nbuffered = 0;
	wait_event(p, "listening", line);
	at = strstr(line, "place=") + strlen("place=");
	at[strcspn(at, " ")] = '\0';
	snprintf(p->place, sizeof p->place, "%s", at);
	wait_event(p, "ready", NULL);
}

static void
stop(struct person *p)
{
	int status;

	if (p->pid == 0)
		return;
	kill(p->pid, SIGTERM);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	close(p->events);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- exchanges ---- */

struct answer {
	int n, code;
	ddcp_result last;
	char error[512], hint[256];
};

static int
take(void *self, const ddcp_result *r)
{
	struct answer *a = self;

	a->n++;
	a->last = *r;
	a->code = r->code;
	snprintf(a->error, sizeof a->error, "%s", r->error);
	snprintf(a->hint, sizeof a->hint, "%s", r->hint);
	return 0;
}

typedef int exchange_fn(ddcp *, const ddcp_exchange *, ddcp_error *);

static int
exchange(const struct person *p, exchange_fn *verb, const char *remote,
    int timeout_ms, struct answer *a)
{
	ddcp_exchange x = { .remote = remote, .timeout_ms = timeout_ms,
		.result = take, .self = a };
	ddcp_error e = { 0 };
	ddcp *d = open_db(p);
	int rc;

	memset(a, 0, sizeof *a);
	rc = verb(d, &x, &e);
	ddcp_close(d);
	if (a->n == 0)
		snprintf(a->error, sizeof a->error, "%s", e.text);
	return rc;
}

static void
must(const struct person *p, exchange_fn *verb, const char *remote,
    struct answer *a)
{
	int rc = exchange(p, verb, remote, 0, a);

	if (rc != 0)
		fail_msg("%s: %d %s (%s)", p->file, rc, a->error, a->hint);
	assert_int_equal(a->n, 1);
}

/* ---- set-up ---- */

static struct person alice, bob, carol;

static int
set_up(void **state)
{
	temp_name(dir, "test_lib");
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	struct person *all[] = { &alice, &bob, &carol };
	char command[TEMP_MAX + 32];
	size_t i;

	for (i = 0; i < 3; i++) {
		if (all[i]->pid != 0) {
			kill(all[i]->pid, SIGKILL);
			waitpid(all[i]->pid, NULL, 0);
			close(all[i]->events);
		}
		all[i]->pid = 0;
	}
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

/* A port of this process, so that several runs don't meet; below those that the
 * system gives to connections. */
static const char *
local(int n)
{
	static char place[3][32];

	snprintf(place[n], sizeof place[n], "127.0.0.1:%d",
	    10000 + getpid() % 7000 * 3 + n);
	return place[n];
}

/* ---- the story ---- */

static int
first_knock(void *self, const ddcp_knock *k)
{
	snprintf(self, DDCP_ADDRESS_MAX, "%s", k->address);
	return 0;
}

static void
knock_accept_pull_notify(void **state)
{
	char knocked[DDCP_ADDRESS_MAX] = "", line[LINE];
	ddcp_error e = { 0 };
	struct answer a;
	bool already;
	ddcp *d;

	make(&alice, "alice");
	make(&bob, "bob");
	sql(&alice, "INSERT INTO t VALUES('a', 1), ('b', 2)");
	serve(&alice, NULL);
	name(&bob, "alice", &alice, false);

	assert_int_equal(exchange(&bob, ddcp_pull, "alice", 0, &a),
	    DDCP_EREFUSED);
	assert_non_null(strstr(a.error, "does not know you yet"));
	assert_non_null(strstr(a.hint, "remote accept"));
	wait_event(&alice, "knock", line);
	assert_non_null(strstr(line, bob.address));

	d = open_db(&alice);
	check(ddcp_knock_each(d, first_knock, knocked, &e), &e, "knocks");
	assert_string_equal(knocked, bob.address);
	check(ddcp_remote_accept(d, "bob", knocked, &already, &e), &e,
	    "accept");
	knocked[0] = '\0';
	check(ddcp_knock_each(d, first_knock, knocked, &e), &e, "knocks");
	assert_string_equal(knocked, "");
	ddcp_close(d);

	must(&bob, ddcp_pull, "alice", &a);
	assert_int_equal(a.last.rows, 2);
	expect(&bob, "SELECT group_concat(id || v) FROM t", "a1,b2");
	must(&bob, ddcp_pull, NULL, &a);
	assert_int_equal(a.last.rows, 0);

	serve(&bob, NULL);
	wait_event(&bob, "connected remote=alice", NULL);
	sql(&alice, "UPDATE t SET v = 10 WHERE id = 'a'");
	wait_event(&bob, "pulled remote=alice", NULL);
	wait_for(&bob, "SELECT v FROM t WHERE id = 'a'", "10");
	sql(&bob, "INSERT INTO t VALUES('c', 3)");
	wait_for(&alice, "SELECT count(*) FROM t", "3");
	stop(&bob);
	stop(&alice);
}

static void
push_and_fetch_and_merge(void **state)
{
	struct answer a;

	make(&alice, "alice");
	make(&bob, "bob");
	serve(&alice, NULL);
	name(&alice, "bob", &bob, false);
	name(&bob, "alice", &alice, true);
	sql(&bob, "INSERT INTO t VALUES('b', 1)");
	must(&bob, ddcp_push, "alice", &a);
	expect(&alice, "SELECT group_concat(id || v) FROM t", "b1");
	sql(&alice, "INSERT INTO t VALUES('a', 2)");
	assert_int_equal(exchange(&bob, ddcp_fetch, "alice", 0, &a),
	    DDCP_EHELD);
	assert_int_equal(a.last.held, 1);
	expect(&bob, "SELECT count(*) FROM t", "1");
	stop(&alice);
	must(&bob, ddcp_merge, "alice", &a);
	assert_int_equal(a.last.rows, 1);
	expect(&bob, "SELECT count(*) FROM t", "2");
}

static int
collect_place(void *self, const char *address)
{
	snprintf(self, LINE, "%s", address);
	return 0;
}

static int
count_finding(void *self, const ddcp_finding *f)
{
	++*(int *)self;
	assert_true(f->subject[0] != '\0' && f->text[0] != '\0');
	return 0;
}

static void
verbs_go_through_the_running_serve(void **state)
{
	char place[LINE] = "", want[LINE];
	ddcp_server *second;
	ddcp_error e = { 0 };
	ddcp_state st;
	struct answer a;
	int findings = 0;
	ddcp *d;

	make(&alice, "alice");
	make(&bob, "bob");
	name(&alice, "bob", &bob, false);
	serve(&alice, local(0));
	name(&bob, "alice", &alice, true);
	serve(&bob, local(1));
	wait_event(&bob, "connected remote=alice", NULL);
	sql(&alice, "INSERT INTO t VALUES('a', 1)");
	must(&bob, ddcp_pull, "alice", &a);
	expect(&bob, "SELECT count(*) FROM t", "1");
	sql(&bob, "INSERT INTO t VALUES('b', 1)");
	must(&bob, ddcp_push, "alice", &a);
	expect(&alice, "SELECT count(*) FROM t", "2");

	d = open_db(&bob);
	check(ddcp_status(d, &st, &e), &e, "status");
	assert_true(st.serving);
	check(ddcp_full_addresses(d, collect_place, place, &e), &e, "places");
	snprintf(want, sizeof want, "%.60s@%s", bob.address, local(1));
	assert_string_equal(place, want);
	assert_int_equal(ddcp_serve_start(d, NULL, &second, &e), DDCP_EFATAL);
	check(ddcp_doctor(d, NULL, 3000, count_finding, &findings, &e), &e,
	    "doctor");
	assert_true(findings >= 3);
	ddcp_close(d);
	assert_int_equal(exchange(&bob, ddcp_pull, "nobody", 0, &a),
	    DDCP_ENOTFOUND);
	stop(&bob);
	stop(&alice);
}

static void
nobody_there_within_the_timeout(void **state)
{
	ddcp_exchange x = { .timeout_ms = 300 };
	struct answer a;
	int64_t begun;
	ddcp_error e;
	ddcp *d;

	make(&alice, "alice");
	make(&bob, "bob");
	name(&bob, "alice", &alice, false);
	begun = now_ms();
	assert_int_equal(exchange(&bob, ddcp_pull, NULL, 700, &a),
	    DDCP_EUNREACHABLE);
	assert_true(now_ms() - begun < 3000);
	assert_int_equal(a.n, 1);
	assert_true(a.hint[0] != '\0');
	assert_int_equal(exchange(&bob, ddcp_push, NULL, 300, &a),
	    DDCP_EUNREACHABLE);
	/* who wants no results hears why all the same */
	d = open_db(&bob);
	assert_int_equal(ddcp_pull(d, &x, &e), DDCP_EUNREACHABLE);
	assert_true(strncmp(e.text, "alice: ", 7) == 0 && e.hint[0] != '\0');
	ddcp_close(d);
}

static void
a_wrong_key_at_an_explicit_place(void **state)
{
	struct answer a;

	make(&alice, "alice");
	make(&bob, "bob");
	make(&carol, "carol");
	serve(&alice, local(2));
	strcpy(carol.place, alice.place);
	name(&bob, "carol", &carol, true);
	assert_int_equal(exchange(&bob, ddcp_pull, NULL, 2000, &a),
	    DDCP_EINTEGRITY);
	stop(&alice);
}

/* A program with a loop of its own. */
static void
served_by_steps(void **state)
{
	ddcp_error e = { 0 };
	struct answer a;
	ddcp_server *server;
	struct pollfd polled;
	int status = 0, rc;
	pid_t pid;
	ddcp *d;

	make(&alice, "alice");
	make(&bob, "bob");
	name(&alice, "bob", &bob, false);
	name(&bob, "alice", &alice, false);
	sql(&alice, "INSERT INTO t VALUES('a', 1)");
	d = open_db(&alice);
	check(ddcp_serve_start(d, NULL, &server, &e), &e, "serve");
	pid = fork();
	if (pid == 0) {
		rc = exchange(&bob, ddcp_pull, NULL, 0, &a);
		_exit(rc == 0 && a.last.rows == 1 ? 0 : 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		polled = (struct pollfd){ .fd = ddcp_serve_fd(server),
			.events = POLLIN };
		rc = ddcp_serve_timeout(server);
		poll(&polled, 1, rc < 0 || rc > 100 ? 100 : rc);
		check(ddcp_serve_step(server, &e), &e, "step");
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	ddcp_serve_close(server);
	ddcp_close(d);
	expect(&bob, "SELECT count(*) FROM t", "1");
}

static int
no_address(void *self, const char *address)
{
	return 0;
}

static int
no_finding(void *self, const ddcp_finding *finding)
{
	return 0;
}

/* None of them waits for the loop that only this thread turns. */
static void
a_handle_that_serves_asks_no_serve(void **state)
{
	ddcp_server *server, *second;
	ddcp_error e;
	ddcp *d;

	make(&alice, "alice");
	d = open_db(&alice);
	check(ddcp_serve_start(d, NULL, &server, &e), &e, "serve");
	alarm(PATIENCE_MS / 1000);
	assert_int_equal(ddcp_pull(d, NULL, &e), DDCP_EUSAGE);
	assert_string_equal(e.text, "this handle serves its database, or "
	    "exchanges");
	assert_int_equal(ddcp_doctor(d, NULL, 0, no_finding, NULL, &e),
	    DDCP_EUSAGE);
	assert_int_equal(ddcp_cleanup(d, NULL, &e), DDCP_EUSAGE);
	assert_int_equal(ddcp_full_addresses(d, no_address, NULL, &e),
	    DDCP_EUSAGE);
	alarm(0);
	assert_int_equal(ddcp_serve_start(d, NULL, &second, &e), DDCP_EUSAGE);
	assert_null(second);
	ddcp_serve_close(server);
	assert_int_equal(ddcp_pull(d, NULL, &e), DDCP_ENOTFOUND);
	ddcp_close(d);
}

static int
pull_inside(void *self, const ddcp_result *result)
{
	ddcp_error e;

	assert_int_equal(ddcp_pull(self, NULL, &e), DDCP_EUSAGE);
	return 0;
}

static void
one_exchange_of_a_handle_at_a_time(void **state)
{
	ddcp_exchange x = { .timeout_ms = 300, .result = pull_inside };
	ddcp_server *server;
	ddcp_error e;

	make(&alice, "alice");
	make(&bob, "bob");
	name(&bob, "alice", &alice, false);
	x.self = open_db(&bob);
	assert_int_equal(ddcp_pull(x.self, &x, &e), DDCP_EUNREACHABLE);
	assert_int_equal(sqlite3_exec(ddcp_sqlite(x.self), "BEGIN", NULL, NULL,
	    NULL), SQLITE_OK);
	assert_int_equal(ddcp_pull(x.self, &x, &e), DDCP_EUSAGE);
	assert_string_equal(e.text, "a transaction is open on this handle");
	assert_int_equal(ddcp_serve_start(x.self, NULL, &server, &e),
	    DDCP_EUSAGE);
	assert_int_equal(sqlite3_exec(ddcp_sqlite(x.self), "COMMIT", NULL, NULL,
	    NULL), SQLITE_OK);
	assert_int_equal(ddcp_pull(x.self, &x, &e), DDCP_EUNREACHABLE);
	ddcp_close(x.self);
}

static void
versions(void **state)
{
	ddcp_versions v;

	ddcp_get_versions(&v);
	assert_string_equal(v.library, DDCP_VERSION);
	assert_string_equal(v.sqlite, sqlite3_libversion());
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(knock_accept_pull_notify),
		STORY(push_and_fetch_and_merge),
		STORY(verbs_go_through_the_running_serve),
		STORY(nobody_there_within_the_timeout),
		STORY(a_wrong_key_at_an_explicit_place),
		STORY(served_by_steps),
		STORY(a_handle_that_serves_asks_no_serve),
		STORY(one_exchange_of_a_handle_at_a_time),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

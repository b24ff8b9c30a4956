// SPDX-License-Identifier: MPL-2.0
/* The network "direct" over loopback: streams, limits, dialling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "net/net.h"

enum { BIG = 32 << 20, IDLE = 1000, SIDES_MAX = 1200 };

/* When a side gives its connection up. */
enum giving_up { NEVER, IN_DATA, IN_DRAIN, IN_CLOSE };

struct side {
	struct net_conn *conn;
	bool accepted, greeted;
	size_t received, sent, to_send;
	size_t queued_max;
	enum giving_up when;
	bool closed;            /* by us */
	int why;                /* of on_close; 1: it was not called */
};

static struct {
	uv_loop_t loop;
	struct net_env env;
	struct net *net;
	char place[PLACE_MAX];
	struct side sides[SIDES_MAX];
	size_t n, done, failed, accepted;
	size_t to_send;         /* by each new side */
	enum giving_up when;    /* of each new side that was accepted */
	bool keep_silent;       /* accepted sides do not read */
	bool closed;
	struct err err;
} w;

/* Ten ports for this process, so that several runs don't meet. */
static uint16_t
port_of(int n)
{
	return (uint16_t)(20000 + getpid() % 1200 * 10 + n);
}

/* HOST with the nth of them; valid until the next call with this n. */
static const char *
at(const char *host, int n)
{
	static char places[10][PLACE_MAX];

	snprintf(places[n], PLACE_MAX, "%s:%u", host, port_of(n));
	return places[n];
}

static void
give_up(struct side *s)
{
	assert_false(s->closed);
	s->closed = true;
	net_conn_close(s->conn);
	w.done++;
}

static void
send_more(struct side *s)
{
	static uint8_t bytes[100000];
	size_t i, n;

	while (!s->closed && s->sent < s->to_send) {
		n = s->to_send - s->sent < sizeof bytes
		    ? s->to_send - s->sent : sizeof bytes;
		for (i = 0; i < n; i++)
			bytes[i] = (uint8_t)((s->sent + i) * 11);
		if (net_conn_send(s->conn, bytes, n, &w.err) != 0) {
			assert_int_equal(w.err.code, E_HELD);
			return;
		}
		s->sent += n;
		n = net_conn_queued(s->conn);
		if (n > s->queued_max)
			s->queued_max = n;
	}
}

/* The caller ends it, when all has come and gone. */
static void
end_if_done(struct side *s)
{
	if (!s->accepted && s->received == BIG && s->sent == s->to_send)
		give_up(s);
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct side *s = conn->owner;
	size_t i;

	assert_false(s->closed);
	for (i = 0; i < len; i += 997)
		assert_int_equal(bytes[i],
		    (uint8_t)((s->received + i) * 11));
	s->received += len;
	if (s->when == IN_DATA)
		give_up(s);
	else
		end_if_done(s);
}

static void
on_drain(struct net_conn *conn)
{
	struct side *s = conn->owner;

	assert_false(s->closed);
	assert_true(net_conn_queued(conn) <= NET_LOW_WATER);
	if (s->when == IN_DRAIN)
		give_up(s);
	else
		send_more(s);
	if (!s->closed)
		end_if_done(s);
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	struct side *s = conn->owner;

	assert_false(s->closed);
	s->why = why->code;
	give_up(s);
}

static const struct net_conn_events events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

static struct side *
own(struct net_conn *conn, bool accepted)
{
	struct side *s = &w.sides[w.n++];

	assert_true(w.n <= SIDES_MAX);
	*s = (struct side){ .conn = conn, .accepted = accepted, .why = 1,
		.to_send = w.to_send, .when = accepted ? w.when : NEVER };
	conn->events = &events;
	conn->owner = s;
	if (!accepted || !w.keep_silent)
		net_conn_read(conn, true);
	return s;
}

static void
accepted(void *owner, struct net_conn *conn)
{
	struct side *s = own(conn, true);

	w.accepted++;
	if (w.to_send > 0) {
		net_conn_mark(conn);
		send_more(s);
	}
}

static void
connected(void *owner, struct net_conn *conn, const struct err *why)
{
	if (conn == NULL) {
		w.err = *why;
		w.failed++;
		return;
	}
	send_more(own(conn, false));
}

static void
have_closed(void *owner)
{
	w.closed = true;
}

static size_t
open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static size_t files_before;

/* What libuv opens once and keeps is not to be counted. */
static int
warm_up(void **state)
{
	uv_loop_t loop;

	uv_loop_init(&loop);
	return uv_loop_close(&loop);
}

static int
open_world(void **state)
{
	struct net_options opt = { .lan = NET_LAN_OFF, .port = port_of(0) };

	memset(&w, 0, sizeof w);
	files_before = open_files();
	uv_loop_init(&w.loop);
	w.env = net_env_system(&w.loop);
	return net_find("direct")->open(&w.env, &opt, &w.net, &w.err);
}

static int
close_world(void **state)
{
	net_find("direct")->close(w.net, have_closed, NULL);
	while (!w.closed)
		uv_run(&w.loop, UV_RUN_ONCE);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	assert_int_equal(open_files(), files_before);
	return 0;
}

static int
listen_at(const char *place)
{
	return w.net->backend->listen(w.net, place, w.place, accepted, NULL,
	    &w.err);
}

static struct net_connect *
connect_to(const char *place)
{
	struct net_connect *c;

	assert_int_equal(w.net->backend->connect(w.net, place, 5000,
	    connected, NULL, &c, &w.err), 0);
	return c;
}

#define run_until(condition) \
	do { \
		int more_ = 1; \
		while (!(condition)) { \
			assert_true(more_ != 0); \
			more_ = uv_run(&w.loop, UV_RUN_ONCE); \
		} \
	} while (0)

static const char *
own_port(const char *host, char out[static PLACE_MAX])
{
	snprintf(out, PLACE_MAX, "%s%s", host, strrchr(w.place, ':'));
	return out;
}

static void
both_families_reach_the_default(void **state)
{
	static const char *hosts[] = { "127.0.0.1", "[::1]", "localhost" };
	char place[PLACE_MAX], peer[PLACE_MAX];
	size_t i;

	assert_int_equal(listen_at(NULL), 0);
	for (i = 0; i < 3; i++) {
		connect_to(own_port(hosts[i], place));
		run_until(w.n == 2 * (i + 1));
		assert_int_equal(w.failed, 0);
	}
	for (i = 0; i < w.n; i++) {
		net_conn_place(w.sides[i].conn, peer);
		if (!w.sides[i].accepted && i < 2)
			assert_string_equal(peer,
			    own_port("127.0.0.1", place));
		if (w.sides[i].accepted && i < 2)
			assert_memory_equal(peer, "127.0.0.1:", 10);
	}
}

static void
a_taken_port_means_the_next(void **state)
{
	char first[PLACE_MAX];

	assert_int_equal(listen_at(NULL), 0);
	strcpy(first, w.place);
	assert_int_equal(listen_at(NULL), 0);
	assert_string_not_equal(first, w.place);
	assert_true(atoi(strrchr(w.place, ':') + 1)
	    > atoi(strrchr(first, ':') + 1));
}

static void
a_named_port_is_that_or_an_error(void **state)
{
	char place[PLACE_MAX];

	assert_int_equal(listen_at(at("127.0.0.1", 9)), 0);
	assert_string_equal(w.place, at("127.0.0.1", 9));
	assert_int_equal(listen_at(at("127.0.0.1", 9)), E_EXISTS);
	assert_non_null(strstr(w.err.text, at("127.0.0.1", 9)));
	assert_non_null(strstr(w.err.text, "is taken by another program"));
	assert_true(w.err.hint[0] != '\0');
	assert_int_equal(listen_at(at("localhost", 9)), E_EXISTS);
	assert_int_equal(listen_at(at("203.0.113.9", 9)), E_NOTFOUND);
	assert_int_equal(listen_at(at("no..host", 9)), E_NOTFOUND);
	assert_int_equal(listen_at("127.0.0.1"), E_USAGE);
	assert_int_equal(listen_at(at("localhost", 8)), 0);
	connect_to(own_port("localhost", place));
	run_until(w.n == 2);
}

static void
nobody_there_is_an_error(void **state)
{
	connect_to("127.0.0.1:1");
	run_until(w.failed == 1);
	assert_int_equal(w.err.code, E_UNREACHABLE);
	assert_non_null(strstr(w.err.text, "127.0.0.1:1"));
	connect_to("no..host:4433");
	run_until(w.failed == 2);
	assert_int_equal(w.err.code, E_UNREACHABLE);
}

static void
silence_ends_at_the_deadline(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0), fill[2];
	struct net_connect *c;
	char place[PLACE_MAX];
	size_t i;

	/* A listener whose queue is full does not answer. */
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(listen(fd, 0), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	for (i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&addr, len);
	}
	snprintf(place, sizeof place, "127.0.0.1:%u", ntohs(addr.sin_port));
	assert_int_equal(w.net->backend->connect(w.net, place, 300,
	    connected, NULL, &c, &w.err), 0);
	run_until(w.failed == 1);
	assert_non_null(strstr(w.err.text, "within 0.3 s"));
	/* And one that is stopped says nothing. */
	c = connect_to(place);
	uv_run(&w.loop, UV_RUN_NOWAIT);
	w.net->backend->connect_stop(c);
	assert_int_equal(w.failed, 1);
	close(fd);
	close(fill[0]);
	close(fill[1]);
}

static void
much_goes_both_ways(void **state)
{
	char place[PLACE_MAX];
	struct side *a, *b;

	w.to_send = BIG;
	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	a = &w.sides[0];
	b = &w.sides[1];
	run_until(w.done == 2);
	assert_int_equal(a->sent, BIG);
	assert_int_equal(b->sent, BIG);
	assert_int_equal(a->received, BIG);
	assert_int_equal(b->received, BIG);
	assert_true(a->queued_max <= NET_SEND_MAX);
	assert_true(b->queued_max <= NET_SEND_MAX);
	assert_int_equal((a->accepted ? a : b)->why, 0);
}

static void
a_slow_reader_costs_little(void **state)
{
	char place[PLACE_MAX];
	struct side *caller, *called;
	size_t before;

	w.keep_silent = true;
	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	caller = &w.sides[w.sides[0].accepted];
	called = &w.sides[!w.sides[0].accepted];
	caller->to_send = BIG;
	do {
		before = caller->sent;
		send_more(caller);
		uv_run(&w.loop, UV_RUN_NOWAIT);
	} while (caller->sent != before);
	assert_true(caller->sent < BIG);
	assert_true(caller->queued_max <= NET_SEND_MAX);
	/* It reads at last, and gets everything. */
	net_conn_read(called->conn, true);
	run_until(called->received == BIG);
	/* Unknown callers get a small queue. */
	net_conn_read(caller->conn, false);
	called->to_send = BIG;
	do {
		before = called->sent;
		send_more(called);
		uv_run(&w.loop, UV_RUN_NOWAIT);
	} while (called->sent != before);
	assert_true(called->queued_max <= NET_SEND_MAX_UNKNOWN);
}

static void
close_flushes_what_is_queued(void **state)
{
	char place[PLACE_MAX];
	struct side *caller, *called;

	w.keep_silent = true;
	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	caller = &w.sides[w.sides[0].accepted];
	called = &w.sides[!w.sides[0].accepted];
	caller->to_send = 3 << 20;
	/* Bytes that nobody reads must not turn the end into a reset. */
	assert_int_equal(net_conn_send(called->conn, "unread", 6, NULL), 0);
	send_more(caller);
	assert_int_equal(caller->sent, 3 << 20);
	give_up(caller);
	net_conn_read(called->conn, true);
	run_until(called->closed);
	assert_int_equal(called->received, 3 << 20);
	assert_int_equal(called->why, 0);
}

static void
a_connection_ends_in_any_callback(void **state)
{
	static const enum giving_up all[] = { IN_DATA, IN_DRAIN, IN_CLOSE };
	char place[PLACE_MAX];
	size_t i, sides;

	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	for (i = 0; i < 3; i++) {
		sides = w.n;
		w.when = all[i];
		w.to_send = 8 << 20;
		connect_to(own_port("127.0.0.1", place));
		run_until(w.n == sides + 2);
		if (all[i] == IN_CLOSE)
			give_up(&w.sides[sides + w.sides[sides].accepted]);
		run_until(w.done == sides + 2);
	}
}

static void
abort_in_each_state(void **state)
{
	char place[PLACE_MAX];

	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	w.sides[0].closed = true;
	net_conn_abort(w.sides[0].conn);
	run_until(w.sides[1].closed);
	/* Left open: closing the network ends them. */
	connect_to(place);
	run_until(w.n == 4);
	connect_to(place);
}

static int
raw_client(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)!connect(fd, (struct sockaddr *)&addr, sizeof addr);
	return fd;
}

/* -- without memory ---- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static int callocs_that_fail, callocs_failed;

void *
__wrap_calloc(size_t n, size_t size)
{
	if (callocs_that_fail == 0)
		return __real_calloc(n, size);
	callocs_that_fail--;
	callocs_failed++;
	return NULL;
}

/* Who comes when there is none is accepted when there is some again. */
static void
a_listener_goes_on_without_memory(void **state)
{
	int first, second;

	assert_int_equal(listen_at(at("127.0.0.1", 8)), 0);
	callocs_that_fail = 2;
	first = raw_client(port_of(8));
	run_until(callocs_failed == 1);
	second = raw_client(port_of(8));
	run_until(w.accepted == 2);
	assert_int_equal(callocs_failed, 2);
	close(first);
	close(second);
	run_until(w.done == 2 || w.failed > 0);
}

static void
r29_idle_connections_keep_nobody_out(void **state)
{
	static int idle[IDLE];
	struct net_status status;
	struct rusage before, after;
	struct side *caller = NULL;
	char place[PLACE_MAX];
	size_t i, seen, sides;

	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	/* One that is known stays, however many come. */
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	net_conn_mark(w.sides[w.sides[0].accepted ? 0 : 1].conn);
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < IDLE; i++) {
		idle[i] = raw_client(port_of(1));
		seen = w.accepted;
		run_until(w.accepted > seen);
		if (i == IDLE / 2) {
			/* In the middle, an honest transfer begins. */
			sides = w.n;
			w.to_send = BIG;
			connect_to(place);
			run_until(w.n == sides + 2);
			w.to_send = 0;
			caller = &w.sides[sides + w.sides[sides].accepted];
		}
	}
	run_until(caller->closed);
	assert_int_equal(caller->received, BIG);
	w.net->backend->status(w.net, &status);
	assert_int_equal(status.unknown, NET_UNKNOWN_PER_IP);
	assert_int_equal(status.dropped, IDLE - NET_UNKNOWN_PER_IP);
	assert_false(w.sides[0].closed);
	assert_false(w.sides[1].closed);
	getrusage(RUSAGE_SELF, &after);
	print_message("# 1000 idle connections: %ld KiB more\n",
	    after.ru_maxrss - before.ru_maxrss);
#ifndef __SANITIZE_ADDRESS__
	assert_true(after.ru_maxrss - before.ru_maxrss < 32 << 10);
#endif
	for (i = 0; i < IDLE; i++)
		close(idle[i]);
}

/* Another of loopback's addresses, each of which is one IP to the limits. */
static int
raw_client_from(unsigned host, uint16_t port)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	(void)!connect(fd, (struct sockaddr *)&to, sizeof to);
	return fd;
}

static bool
is_cut(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void
r29_the_oldest_stranger_of_all_goes_first(void **state)
{
	enum { EACH = NET_UNKNOWN_PER_IP, HOSTS = NET_UNKNOWN_MAX / EACH + 1 };
	static int idle[HOSTS * EACH];
	struct net_status status;
	char place[PLACE_MAX];
	size_t i, seen;

	assert_int_equal(listen_at(at("127.0.0.1", 1)), 0);
	connect_to(own_port("127.0.0.1", place));
	run_until(w.n == 2);
	net_conn_mark(w.sides[w.sides[0].accepted ? 0 : 1].conn);
	w.keep_silent = true;
	for (i = 0; i < HOSTS * EACH; i++) {
		idle[i] = raw_client_from(1 + (unsigned)(i / EACH), port_of(1));
		seen = w.accepted;
		run_until(w.accepted > seen);
	}
	w.net->backend->status(w.net, &status);
	assert_int_equal(status.unknown, NET_UNKNOWN_MAX);
	assert_int_equal(status.dropped, EACH);
	/* Those that came first were cut, no later one, and who is known not. */
	for (i = 0; i < HOSTS * EACH; i++)
		assert_int_equal(is_cut(idle[i]), i < EACH);
	assert_false(w.sides[0].closed);
	assert_false(w.sides[1].closed);
	for (i = 0; i < HOSTS * EACH; i++)
		close(idle[i]);
}

/* ---- dialling ---- */

static struct net_dial *dial;
static char dialled[PLACE_MAX];
static size_t handed_over;

static void
on_conn(void *owner, struct net_conn *conn, const char *place, bool named)
{
	own(conn, false);
	assert_true(named);
	strcpy(dialled, place);
	handed_over++;
}

static void
on_fail(void *owner, const struct err *why)
{
	w.err = *why;
	w.failed++;
}

static const struct net_dial_events dial_events = {
	.on_conn = on_conn,
	.on_fail = on_fail,
};

static void
a_dial_goes_through_its_places(void **state)
{
	static const uint8_t key[KEY_LEN];
	const char *places[3] = { "127.0.0.1:1", NULL, NULL };
	char a[PLACE_MAX], b[PLACE_MAX];

	handed_over = 0;
	assert_int_equal(listen_at(at("127.0.0.1", 2)), 0);
	places[1] = own_port("127.0.0.1", a);
	assert_int_equal(listen_at(at("127.0.0.1", 3)), 0);
	places[2] = own_port("127.0.0.1", b);
	assert_int_equal(net_dial(w.net, &w.env, key, places, 3, 5000,
	    &dial_events, NULL, &dial, &w.err), 0);
	run_until(handed_over == 1);
	assert_string_equal(dialled, a);
	/* The first was not the right one. */
	net_dial_next(dial);
	run_until(handed_over == 2);
	assert_string_equal(dialled, b);
	net_dial_next(dial);
	run_until(w.failed == 1);
	assert_int_equal(w.err.code, E_UNREACHABLE);
	assert_non_null(strstr(w.err.text, "127.0.0.1:1:"));
	/* Stopped: nothing comes. */
	assert_int_equal(net_dial(w.net, &w.env, key, places, 3, 5000,
	    &dial_events, NULL, &dial, &w.err), 0);
	net_dial_stop(dial);
	/* With discovery off and no place there is nothing to try. */
	assert_int_equal(net_dial(w.net, &w.env, key, NULL, 0, 5000,
	    &dial_events, NULL, &dial, &w.err), E_NOTFOUND);
	places[0] = "nonsense";
	assert_int_equal(net_dial(w.net, &w.env, key, places, 3, 5000,
	    &dial_events, NULL, &dial, &w.err), E_USAGE);
}

static void
backends_have_names(void **state)
{
	assert_string_equal(net_at(0)->name, "direct");
	assert_ptr_equal(net_find("direct"), net_at(0));
	assert_null(net_find("pigeon"));
}

#define world_test(f) \
	cmocka_unit_test_setup_teardown(f, open_world, close_world)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, since it measures the largest size ever reached. */
		world_test(r29_idle_connections_keep_nobody_out),
		world_test(r29_the_oldest_stranger_of_all_goes_first),
		world_test(both_families_reach_the_default),
		world_test(a_taken_port_means_the_next),
		world_test(a_named_port_is_that_or_an_error),
		world_test(nobody_there_is_an_error),
		world_test(silence_ends_at_the_deadline),
		world_test(much_goes_both_ways),
		world_test(a_slow_reader_costs_little),
		world_test(close_flushes_what_is_queued),
		world_test(a_connection_ends_in_any_callback),
		world_test(abort_in_each_state),
		world_test(a_dial_goes_through_its_places),
		world_test(backends_have_names),
		world_test(a_listener_goes_on_without_memory),
	};

	return cmocka_run_group_tests(tests, warm_up, NULL);
}

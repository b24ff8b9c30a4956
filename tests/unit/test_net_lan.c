// SPDX-License-Identifier: MPL-2.0
/* LAN discovery on loopback: who knows the address finds it, nobody else. */
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
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "net/lan_if.h"
#include "net/lan_packet.h"
#include "net/net.h"

enum { NODES = 4 };

struct node {
	struct net_env env;
	struct net *net;
	char place[PLACE_MAX];
	int64_t clock_off_ms;
	bool closed;
};

struct search {
	struct net_resolve *resolve;
	size_t found;
	char place[PLACE_MAX];
};

/* A port of this test's own, so that several runs don't meet. */
static uint16_t lan_port;

static uv_loop_t loop;
static struct node nodes[NODES];
static struct err err;
static const uint8_t key_a[KEY_LEN] = "alice", key_b[KEY_LEN] = "bob";

static uint64_t
now_ms(void *self)
{
	struct node *node = self;

	return net_env_system(NULL).now_ms(NULL)
	    + (uint64_t)node->clock_off_ms;
}

static void
open_node(size_t i, int64_t clock_off_ms)
{
	struct net_options opt = { .port = lan_port, .lan = NET_LAN_ALL,
		.lan_port = lan_port, .lan_only = "lo" };
	struct node *node = &nodes[i];

	memset(node, 0, sizeof *node);
	node->clock_off_ms = clock_off_ms;
	node->env = net_env_system(&loop);
	node->env.now_ms = now_ms;
	node->env.self = node;
	assert_int_equal(net_find("direct")->open(&node->env, &opt,
	    &node->net, &err), 0);
}

static void
accepted(void *owner, struct net_conn *conn)
{
}

static void
serve(size_t i, const uint8_t *key)
{
	struct net *net = nodes[i].net;

	if (nodes[i].place[0] == '\0')
		assert_int_equal(net->backend->listen(net, NULL,
		    nodes[i].place, accepted, NULL, &err), 0);
	assert_int_equal(net->backend->announce(net, key, &err), 0);
}

static void
have_found(void *owner, const char *place)
{
	struct search *s = owner;

	s->found++;
	snprintf(s->place, sizeof s->place, "%s", place);
}

static void
search(size_t i, const uint8_t *key, struct search *out)
{
	struct net *net = nodes[i].net;

	memset(out, 0, sizeof *out);
	assert_int_equal(net->backend->resolve(net, key, have_found, out,
	    &out->resolve, &err), 0);
}

static struct net_status
status(size_t i)
{
	static struct net_status st;

	nodes[i].net->backend->status(nodes[i].net, &st);
	return st;
}

#define run_until(condition) \
	do { \
		int more_ = 1; \
		while (!(condition)) { \
			assert_true(more_ != 0); \
			more_ = uv_run(&loop, UV_RUN_ONCE); \
		} \
	} while (0)

static const char *
loopback(size_t i, char out[static PLACE_MAX])
{
	snprintf(out, PLACE_MAX, "127.0.0.1%s",
	    strrchr(nodes[i].place, ':'));
	return out;
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

static int
warm_up(void **state)
{
	uv_loop_init(&loop);
	return uv_loop_close(&loop);
}

static int
open_world(void **state)
{
	memset(nodes, 0, sizeof nodes);
	files_before = open_files();
	return uv_loop_init(&loop);
}

static void
have_closed(void *owner)
{
	((struct node *)owner)->closed = true;
}

static int
close_world(void **state)
{
	size_t i;

	for (i = 0; i < NODES; i++)
		if (nodes[i].net != NULL)
			nodes[i].net->backend->close(nodes[i].net,
			    have_closed, &nodes[i]);
	uv_run(&loop, UV_RUN_DEFAULT);
	for (i = 0; i < NODES; i++)
		assert_true(nodes[i].net == NULL || nodes[i].closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(open_files(), files_before);
	return 0;
}

static void
who_asks_is_answered_at_once(void **state)
{
	struct search s;
	char place[PLACE_MAX];
	uint64_t before;

	open_node(0, 0);
	open_node(1, 0);
	serve(0, key_a);
	before = uv_hrtime();
	search(1, key_a, &s);
	run_until(s.found > 0);
	print_message("# found in %.2f ms\n",
	    (double)(uv_hrtime() - before) / 1e6);
	assert_string_equal(s.place, loopback(0, place));
	assert_true(status(1).recognised > 0);
	assert_true(status(0).recognised > 0);
}

static void
who_starts_later_is_heard(void **state)
{
	struct search s;
	char place[PLACE_MAX];

	open_node(0, 0);
	open_node(1, 0);
	search(1, key_a, &s);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(s.found, 0);
	serve(0, key_a);
	run_until(s.found > 0);
	assert_string_equal(s.place, loopback(0, place));
}

static void
r28_another_address_finds_nothing(void **state)
{
	struct search wrong, right;

	open_node(0, 0);
	open_node(1, 0);
	serve(0, key_a);
	search(1, key_b, &wrong);
	search(1, key_a, &right);
	/* The answer to the later query is the end of the earlier. */
	run_until(right.found > 0);
	assert_int_equal(wrong.found, 0);
	nodes[1].net->backend->resolve_stop(right.resolve);
	right.found = 0;
	/* Withdrawn: the answers of another show that there is none. */
	nodes[0].net->backend->withdraw(nodes[0].net, key_a);
	serve(0, key_b);
	search(1, key_a, &right);
	run_until(wrong.found > 1);
	assert_int_equal(right.found, 0);
}

static void
r28_clocks_may_be_off_by_a_day(void **state)
{
	struct search s;

	open_node(0, (int64_t)23 * 3600 * 1000);
	open_node(1, 0);
	open_node(2, (int64_t)-49 * 3600 * 1000);
	search(1, key_b, &s);
	serve(2, key_b);
	run_until(status(1).skewed > 0);
	assert_int_equal(s.found, 0);
	assert_in_range(-status(1).skew_min, 49 * 60 - 1, 49 * 60 + 1);
	nodes[1].net->backend->resolve_stop(s.resolve);
	search(1, key_a, &s);
	serve(0, key_a);
	run_until(s.found > 0);
}

static void
parent_is_done(uv_poll_t *poll, int rc, int events)
{
	uv_stop(&loop);
}

/* Another process that announces key_b until the pipe is closed. */
static pid_t
other_process(int *ready, int *end)
{
	int to[2], from[2];
	uv_poll_t parent;
	pid_t pid;

	assert_int_equal(pipe(to) | pipe(from), 0);
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		uv_loop_init(&loop);
		open_node(3, 0);
		serve(3, key_b);
		(void)!write(from[1], "r", 1);
		uv_poll_init(&loop, &parent, to[0]);
		uv_poll_start(&parent, UV_READABLE | UV_DISCONNECT,
		    parent_is_done);
		uv_run(&loop, UV_RUN_DEFAULT);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	*ready = from[0];
	*end = to[1];
	return pid;
}

static void
processes_share_the_port(void **state)
{
	struct search a, b;
	int ready, end, code;
	pid_t pid;
	char c;

	uv_loop_close(&loop);
	pid = other_process(&ready, &end);
	uv_loop_init(&loop);
	assert_int_equal(read(ready, &c, 1), 1);
	open_node(0, 0);
	open_node(1, 0);
	serve(0, key_a);
	search(1, key_a, &a);
	search(1, key_b, &b);
	run_until(a.found > 0 && b.found > 0);
	assert_string_not_equal(a.place, b.place);
	close(end);
	close(ready);
	assert_int_equal(waitpid(pid, &code, 0), pid);
	assert_int_equal(code, 0);
}

/* A socket of somebody who knows how to send packets. */
static int
stranger(struct sockaddr_in *to)
{
	struct sockaddr_in own = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
	*to = own;
	to->sin_port = htons(lan_port);
	return fd;
}

static void
send_to(int fd, const struct sockaddr_in *to, const void *bytes, size_t len)
{
	assert_int_equal(sendto(fd, bytes, len, 0,
	    (const struct sockaddr *)to, sizeof *to), len);
}

static void
garbage_does_nothing(void **state)
{
	unsigned seed = (unsigned)getpid();
	struct sockaddr_in to;
	uint8_t bytes[600];
	struct search s;
	size_t i, j, len;
	int fd;

	print_message("# seed %u\n", seed);
	srand(seed);
	open_node(0, 0);
	serve(0, key_a);
	fd = stranger(&to);
	for (i = 0; i < 2000; i++) {
		len = i % 3 ? LAN_PACKET_LEN : (size_t)rand() % sizeof bytes;
		for (j = 0; j < len; j++)
			bytes[j] = (uint8_t)rand();
		bytes[0] = i % 2 ? 1 : 2;
		if (i % 4 == 0)
			bytes[57] = bytes[58] = 0;
		send_to(fd, &to, bytes, len);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	run_until(status(0).heard >= 2000);
	assert_int_equal(status(0).recognised, 0);
	assert_true(status(0).limited > 0);
	assert_true(recv(fd, bytes, sizeof bytes, 0) < 0);
	close(fd);
	/* One who floods does not keep others out: they are counted by
	 * source, and this search waits for the next second at worst. */
	open_node(1, 0);
	search(1, key_a, &s);
	run_until(s.found > 0);
}

static void
r28_a_recorded_query_is_not_answered_again(void **state)
{
	uint8_t query[LAN_PACKET_LEN], other[LAN_PACKET_LEN];
	uint8_t nonce[LAN_NONCE_LEN] = "a nonce";
	struct lan_secret secret;
	struct lan_packet p;
	struct sockaddr_in to;
	size_t answers = 0;
	int fd;

	open_node(0, 0);
	serve(0, key_a);
	fd = stranger(&to);
	assert_int_equal(lan_secret(key_a, &secret, &err), 0);
	assert_int_equal(lan_packet_encode(LAN_QUERY, &secret,
	    now_ms(&nodes[0]) / 60000, nonce, 0, query, &err), 0);
	nonce[0]++;
	assert_int_equal(lan_packet_encode(LAN_QUERY, &secret,
	    now_ms(&nodes[0]) / 60000, nonce, 0, other, &err), 0);
	send_to(fd, &to, query, sizeof query);
	send_to(fd, &to, query, sizeof query);
	send_to(fd, &to, other, sizeof other);
	run_until(status(0).recognised >= 3);
	while (recv(fd, query, sizeof query, 0) == LAN_PACKET_LEN) {
		assert_true(lan_packet_decode(query, sizeof query, &p));
		assert_int_equal(p.kind, LAN_ANNOUNCE);
		assert_true(lan_packet_proven(&p, &secret));
		answers++;
	}
	assert_int_equal(answers, 2);
	close(fd);
}

static void
r28_every_bit_of_a_packet_counts(void **state)
{
	static const uint8_t nonce[LAN_NONCE_LEN] = "nonce";
	struct lan_secret a, b;
	uint8_t bytes[LAN_PACKET_LEN];
	struct lan_packet p;
	size_t i, len;

	lan_secret(key_a, &a, &err);
	lan_secret(key_b, &b, &err);
	assert_int_equal(lan_packet_encode(LAN_ANNOUNCE, &a, 12345, nonce,
	    4433, bytes, &err), 0);
	assert_true(lan_packet_decode(bytes, sizeof bytes, &p));
	assert_true(p.minute == 12345 && p.port == 4433);
	assert_true(lan_packet_proven(&p, &a));
	assert_false(lan_packet_proven(&p, &b));
	/* All but the port are proven. */
	for (i = 0; i < (LAN_PACKET_LEN - 2) * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(lan_packet_decode(bytes, sizeof bytes, &p)
		    && lan_packet_proven(&p, &a));
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (len = 0; len < LAN_PACKET_LEN; len++)
		assert_false(lan_packet_decode(bytes, len, &p));
	/* No announcement of a key looks like a query for it. */
	bytes[0] = LAN_QUERY;
	bytes[57] = bytes[58] = 0;
	assert_true(lan_packet_decode(bytes, sizeof bytes, &p));
	assert_false(lan_packet_proven(&p, &a));
}

static void
r28_public_addresses_are_known(void **state)
{
	static const struct {
		const char *host;
		bool is_public;
	} list[] = {
		{ "8.8.4.4", true }, { "172.15.0.1", true },
		{ "172.16.0.1", false }, { "172.31.255.1", false },
		{ "172.32.0.1", true }, { "192.168.1.1", false },
		{ "192.169.1.1", true }, { "10.1.2.3", false },
		{ "127.0.0.1", false }, { "169.254.3.4", false },
		{ "100.64.0.1", false }, { "100.128.0.1", true },
		{ "fe80::1", false }, { "fd00::2", false }, { "::1", false },
		{ "2001:db8::1", true }, { "2a00::1", true },
	};
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	size_t i;

	for (i = 0; i < sizeof list / sizeof *list; i++) {
		if (uv_ip4_addr(list[i].host, 1, &addr.in) < 0)
			assert_int_equal(uv_ip6_addr(list[i].host, 1,
			    &addr.in6), 0);
		assert_int_equal(lan_if_is_public(&addr.any),
		    list[i].is_public);
	}
}

static void
the_status_names_interfaces(void **state)
{
	struct search s;
	struct net_status st;
	size_t i;
	bool ok = false;

	open_node(0, 0);
	search(0, key_a, &s);
	st = status(0);
	assert_true(st.lan);
	for (i = 0; i < st.nifs; i++) {
		assert_string_equal(st.ifs[i].name, "lo");
		if (strcmp(st.ifs[i].address, "127.0.0.1") == 0)
			ok = st.ifs[i].joined;
		assert_true(st.ifs[i].joined || st.ifs[i].why[0] != '\0');
	}
	assert_true(ok);
}

/* Dialling a key with no place named. */
static struct net_conn *dialled;

static void
on_close(struct net_conn *conn, const struct err *why)
{
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
}

static const struct net_conn_events conn_events = {
	.on_data = on_data, .on_drain = NULL, .on_close = on_close,
};

static size_t failed;

static void
on_conn(void *owner, struct net_conn *conn, const char *place, bool named)
{
	assert_false(named);
	conn->events = &conn_events;
	dialled = conn;
}

static void
on_fail(void *owner, const struct err *why)
{
	err = *why;
	failed++;
}

static void
a_dial_finds_a_key(void **state)
{
	static const struct net_dial_events events = {
		.on_conn = on_conn, .on_fail = on_fail };
	struct net_dial *dial;
	char place[PLACE_MAX], want[PLACE_MAX];

	open_node(0, 0);
	open_node(1, 0);
	serve(0, key_a);
	assert_int_equal(net_dial(nodes[1].net, &nodes[1].env, key_a, NULL, 0,
	    5000, &events, NULL, &dial, &err), 0);
	run_until(dialled != NULL);
	net_dial_stop(dial);
	net_conn_place(dialled, place);
	assert_string_equal(place, loopback(0, want));
	net_conn_close(dialled);
	assert_int_equal(net_dial(nodes[1].net, &nodes[1].env, key_b, NULL, 0,
	    300, &events, NULL, &dial, &err), 0);
	run_until(failed > 0);
	assert_int_equal(err.code, E_UNREACHABLE);
	assert_non_null(strstr(err.text, "local network"));
}

#define world_test(f) \
	cmocka_unit_test_setup_teardown(f, open_world, close_world)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r28_every_bit_of_a_packet_counts),
		cmocka_unit_test(r28_public_addresses_are_known),
		world_test(who_asks_is_answered_at_once),
		world_test(who_starts_later_is_heard),
		world_test(r28_another_address_finds_nothing),
		world_test(r28_clocks_may_be_off_by_a_day),
		world_test(processes_share_the_port),
		world_test(garbage_does_nothing),
		world_test(r28_a_recorded_query_is_not_answered_again),
		world_test(the_status_names_interfaces),
		world_test(a_dial_finds_a_key),
	};

	lan_port = (uint16_t)(20000 + getpid() % 12000);
	return cmocka_run_group_tests(tests, warm_up, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* The network in memory: same seed, same events; order kept; faults real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/memory.h"

enum { NODES = 3, TRACE = 1 << 16 };

static const struct memnet_faults bad = { .latency_min_ms = 1,
	.latency_max_ms = 40, .loss = 50000, .split = 300000, .cut = 4000,
	.refuse = 50000 };

/* A node sends a counted stream on each connection that it makes, and checks
 * that what comes in is one without gap. */
struct node {
	struct world *world;
	struct net *net;
	uint8_t key[KEY_LEN];
};

struct stream {
	struct world *world;
	struct node *node;
	struct net_conn *conn;
	uint32_t received, sent, to_send;
	bool closed;
	int why;
};

struct world {
	struct memnet *m;
	struct node nodes[NODES];
	struct stream streams[400];
	size_t n;
	uint64_t hash;          /* over all that happened, and when */
	uint64_t drained, closed_in_order, broken, failed;
};

static void
note(struct world *w, uint64_t what)
{
	w->hash = (w->hash ^ what ^ memnet_now(w->m) << 20)
	    * UINT64_C(1099511628211);
}

static void
send_more(struct stream *s)
{
	uint8_t bytes[5000];
	size_t i, n;

	while (s->sent < s->to_send) {
		n = s->to_send - s->sent < sizeof bytes
		    ? s->to_send - s->sent : sizeof bytes;
		for (i = 0; i < n; i++)
			bytes[i] = (uint8_t)((s->sent + i) * 7);
		if (net_conn_send(s->conn, bytes, n, NULL) != 0)
			return;
		s->sent += (uint32_t)n;
		if (net_conn_queued(s->conn) > NET_LOW_WATER)
			return;
	}
	if (!s->closed) {
		s->closed = true;
		net_conn_close(s->conn);
	}
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct stream *s = conn->owner;
	size_t i;

	assert_false(s->closed);
	for (i = 0; i < len; i++)
		assert_int_equal(bytes[i],
		    (uint8_t)((s->received + i) * 7));
	s->received += (uint32_t)len;
	note(s->world, len);
}

static void
on_drain(struct net_conn *conn)
{
	struct stream *s = conn->owner;

	assert_true(net_conn_queued(conn) <= NET_LOW_WATER);
	s->world->drained++;
	send_more(s);
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	struct stream *s = conn->owner;

	assert_false(s->closed);
	s->closed = true;
	s->why = why->code;
	if (why->code == 0)
		s->world->closed_in_order++;
	else
		s->world->broken++;
	note(s->world, (uint64_t)-why->code);
	net_conn_close(conn);
}

static const struct net_conn_events events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

static struct stream *
own(struct world *w, struct node *node, struct net_conn *conn)
{
	struct stream *s = &w->streams[w->n++];

	assert_true(w->n <= sizeof w->streams / sizeof *w->streams);
	memset(s, 0, sizeof *s);
	s->world = w;
	s->node = node;
	s->conn = conn;
	conn->events = &events;
	conn->owner = s;
	net_conn_read(conn, true);
	return s;
}

static void
accepted(void *owner, struct net_conn *conn)
{
	struct node *node = owner;

	own(node->world, node, conn);
}

static void
connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct node *node = owner;
	struct stream *s;

	note(node->world, conn != NULL);
	if (conn == NULL) {
		assert_int_equal(why->code, E_UNREACHABLE);
		node->world->failed++;
		return;
	}
	s = own(node->world, node, conn);
	s->to_send = (uint32_t)memnet_below(node->world->m, 600000);
	send_more(s);
}

static void
open_node(struct world *w, struct node *node)
{
	struct net_env env = memnet_env(w->m);
	struct net_options opt = { .memnet = w->m, .key = node->key };
	char place[PLACE_MAX];
	struct err err;

	assert_int_equal(net_find("memory")->open(&env, &opt, &node->net,
	    &err), 0);
	assert_int_equal(node->net->backend->listen(node->net, NULL, place,
	    accepted, node, &err), 0);
}

static void
call(struct node *from, struct node *to)
{
	struct net_connect *c;
	char place[ADDR_TEXT_LEN + 1];
	struct err err;

	addr_format(to->key, place);
	assert_int_equal(from->net->backend->connect(from->net, place, 1000,
	    connected, from, &c, &err), 0);
}

static void
open_world(struct world *w, uint64_t seed, const struct memnet_faults *faults)
{
	size_t i;

	memset(w, 0, sizeof *w);
	w->m = memnet_new(seed, faults);
	assert_non_null(w->m);
	for (i = 0; i < NODES; i++) {
		w->nodes[i].world = w;
		memset(w->nodes[i].key, (int)i + 1, KEY_LEN);
		open_node(w, &w->nodes[i]);
	}
}

/* Some calls, crashes and cuts; returns the hash over all that happened. */
static uint64_t
play(uint64_t seed, struct memnet_counts *counts, uint64_t *drained)
{
	static struct world w;
	struct node *node;
	uint64_t hash;
	int round, i;

	open_world(&w, seed, &bad);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 5; i++)
			call(&w.nodes[memnet_below(w.m, NODES)],
			    &w.nodes[memnet_below(w.m, NODES)]);
		for (i = 0; i < 60 && memnet_step(w.m); i++)
			;
		if (round % 7 == 3) {
			node = &w.nodes[memnet_below(w.m, NODES)];
			memnet_crash(node->net);
			for (i = 0; i < (int)w.n; i++)
				if (w.streams[i].node == node)
					w.streams[i].closed = true;
			open_node(&w, node);
		}
		if (round % 7 == 5)
			memnet_cut_all(w.m);
	}
	while (memnet_step(w.m))
		;
	*counts = *memnet_counts(w.m);
	*drained += w.drained;
	hash = w.hash ^ w.closed_in_order << 1 ^ w.broken << 20;
	memnet_free(w.m);
	return hash;
}

static void
a_seed_gives_one_history(void **state)
{
	struct memnet_counts a, b, sum = { 0 };
	uint64_t seed, first = 0, drained = 0;
	bool differ = false;

	for (seed = 1; seed <= 20; seed++) {
		uint64_t hash = play(seed, &a, &drained);

		assert_true(hash == play(seed, &b, &drained));
		assert_memory_equal(&a, &b, sizeof a);
		differ |= seed > 1 && hash != first;
		first = hash;
		sum.cuts += a.cuts;
		sum.lost += a.lost;
		sum.split += a.split;
		sum.refused += a.refused;
		sum.restarts += a.restarts;
		sum.reordered += a.reordered;
		sum.connects += a.connects;
	}
	print_message("# seeds 1-20: %llu connects, %llu cuts, %llu lost, "
	    "%llu split, %llu refused, %llu restarts, %llu reordered\n",
	    (unsigned long long)sum.connects, (unsigned long long)sum.cuts,
	    (unsigned long long)sum.lost, (unsigned long long)sum.split,
	    (unsigned long long)sum.refused,
	    (unsigned long long)sum.restarts,
	    (unsigned long long)sum.reordered);
	assert_true(differ);
	assert_true(drained > 0);
	assert_true(sum.cuts > 0 && sum.lost > 0 && sum.split > 0);
	assert_true(sum.refused > 0 && sum.restarts > 0 && sum.reordered > 0);
}

static void
a_perfect_network_loses_nothing(void **state)
{
	static struct world w;
	uint32_t sent = 0, received = 0;
	size_t i;

	open_world(&w, 5, NULL);
	for (i = 0; i < 30; i++)
		call(&w.nodes[i % NODES], &w.nodes[(i + 1) % NODES]);
	while (memnet_step(w.m))
		;
	for (i = 0; i < w.n; i++) {
		sent += w.streams[i].sent;
		received += w.streams[i].received;
		assert_int_equal(w.streams[i].sent, w.streams[i].to_send);
	}
	assert_int_equal(sent, received);
	assert_true(sent > 1000000);
	assert_int_equal(w.closed_in_order, 30);
	assert_int_equal(w.broken, 0);
	assert_int_equal(memnet_now(w.m), 0);
	memnet_free(w.m);
}

static void
a_queue_is_bounded(void **state)
{
	static const uint8_t zeros[100000];
	static struct world w;
	struct stream *from, *to;
	size_t sent = 0;

	open_world(&w, 6, NULL);
	call(&w.nodes[0], &w.nodes[1]);
	while (w.n < 2)
		assert_true(memnet_step(w.m));
	to = &w.streams[0];
	from = &w.streams[1];
	assert_ptr_equal(to->node, &w.nodes[1]);
	while (memnet_step(w.m))
		;
	/* It has sent its part and closed; a second one is ours to drive. */
	assert_true(to->closed && from->closed);
	w.n = 0;
	call(&w.nodes[0], &w.nodes[1]);
	while (w.n < 1)
		assert_true(memnet_step(w.m));
	to = &w.streams[0];
	net_conn_read(to->conn, false);
	/* The called one is not marked yet: it may queue little. */
	while (net_conn_send(to->conn, zeros, 10000, NULL) == 0)
		sent += 10000;
	assert_true(sent >= NET_SEND_MAX_UNKNOWN - 10000
	    && sent <= 2 * NET_SEND_MAX_UNKNOWN);
	net_conn_mark(to->conn);
	while (net_conn_send(to->conn, zeros, sizeof zeros, NULL) == 0)
		sent += sizeof zeros;
	assert_true(sent > NET_SEND_MAX - sizeof zeros
	    && sent <= NET_SEND_MAX + NET_SEND_MAX_UNKNOWN);
	assert_int_equal(net_conn_send(to->conn, zeros, sizeof zeros, NULL),
	    E_HELD);
	memnet_free(w.m);
}

static void
count_place(void *owner, const char *place)
{
	uint8_t key[KEY_LEN];
	char rest[PLACE_MAX];

	assert_int_equal(addr_parse(place, key, rest, NULL), 0);
	assert_int_equal(key[0], 2);
	++*(int *)owner;
}

static void
who_is_announced_is_found(void **state)
{
	static struct world w;
	struct net_resolve *r;
	struct net *net;
	struct err err;
	int found = 0;

	open_world(&w, 7, &bad);
	net = w.nodes[0].net;
	assert_int_equal(net->backend->resolve(net, w.nodes[1].key,
	    count_place, &found, &r, &err), 0);
	while (memnet_step(w.m))
		;
	assert_int_equal(found, 0);
	net->backend->announce(w.nodes[1].net, w.nodes[1].key, &err);
	while (memnet_step(w.m))
		;
	assert_int_equal(found, 1);
	net->backend->withdraw(w.nodes[1].net, w.nodes[1].key);
	net->backend->resolve_stop(r);
	assert_int_equal(net->backend->resolve(net, w.nodes[1].key,
	    count_place, &found, &r, &err), 0);
	while (memnet_step(w.m))
		;
	assert_int_equal(found, 1);
	memnet_free(w.m);
}

static void
parted_nodes_do_not_reach_each_other(void **state)
{
	static struct world w;

	open_world(&w, 8, NULL);
	memnet_part(w.m, w.nodes[0].key, w.nodes[1].key);
	call(&w.nodes[0], &w.nodes[1]);
	call(&w.nodes[0], &w.nodes[2]);
	while (memnet_step(w.m))
		;
	assert_int_equal(w.failed, 1);
	assert_int_equal(w.n, 2);
	assert_int_equal(memnet_now(w.m), 1000);
	memnet_join(w.m, w.nodes[0].key, w.nodes[1].key);
	call(&w.nodes[0], &w.nodes[1]);
	while (memnet_step(w.m))
		;
	assert_int_equal(w.failed, 1);
	assert_int_equal(w.n, 4);
	memnet_free(w.m);
}

static void
closing_calls_nothing_more(void **state)
{
	static struct world w;
	struct net_connect *c;
	char place[ADDR_TEXT_LEN + 1];
	struct err err;
	struct net *net;

	open_world(&w, 9, &bad);
	net = w.nodes[0].net;
	addr_format(w.nodes[1].key, place);
	assert_int_equal(net->backend->connect(net, place, 1000, connected,
	    &w.nodes[0], &c, &err), 0);
	net->backend->connect_stop(c);
	assert_int_equal(net->backend->connect(net, place, 1000, connected,
	    &w.nodes[0], &c, &err), 0);
	assert_true(memnet_step(w.m));
	net->backend->close(net, NULL, NULL);
	while (memnet_step(w.m))
		;
	assert_int_equal(w.failed, 0);
	memnet_free(w.m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_one_history),
		cmocka_unit_test(a_perfect_network_loses_nothing),
		cmocka_unit_test(a_queue_is_bounded),
		cmocka_unit_test(who_is_announced_is_found),
		cmocka_unit_test(parted_nodes_do_not_reach_each_other),
		cmocka_unit_test(closing_calls_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

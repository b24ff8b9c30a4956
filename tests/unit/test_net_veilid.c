// SPDX-License-Identifier: MPL-2.0
/* The network "veilid" over nodes that the test plays: the contract of net.h, and
 * what a network of nodes may do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>

#include <uv.h>

#include "base/base64.h"
#include "net/net.h"
#include "net/vsegment.h"
#include "net/vstream.h"
#include "veilid_world.h"

enum { BIG = 1 << 20, SIDES_MAX = 400, NETS = 4, PATIENCE = 60000 };

/* When a side gives its connection up. */
enum giving_up { NEVER, IN_DATA, IN_DRAIN, IN_CLOSE };

struct side {
	struct net_conn *conn;
	bool accepted;
	size_t received, sent, to_send, to_receive, queued_max;
	enum giving_up when;
	bool closed;            /* by us */
	int why;                /* of on_close; 1: it was not called */
};

struct peer {
	struct net *net;
	uint8_t key[KEY_LEN];
	char place[PLACE_MAX];
	size_t found;
	char last[PLACE_MAX];
	bool closed;
};

static struct {
	uv_loop_t loop;
	uv_timer_t patience;
	struct net_env env;
	struct world world;
	struct peer peers[NETS];
	struct side sides[SIDES_MAX];
	size_t n, done, failed, accepted;
	size_t to_send;         /* by each new side */
	enum giving_up when;    /* of each new side that was accepted */
	bool silent;            /* accepted sides do not read */
	bool unmarked;          /* nor become known */
	bool refuse;            /* nor are taken */
	bool echo;              /* accepted ones send as much as came */
	bool keep;              /* dialled ones have no owner yet, but this */
	struct net_conn *kept;
	bool inside;            /* of a call into net.h */
	struct err err;
} w;

/* A call into the network, from which no callback may come. */
#define INSIDE(call) do { \
	bool was_ = w.inside; \
	w.inside = true; \
	call; \
	w.inside = was_; \
} while (0)

static void
enter(void)
{
	assert_false(w.inside);
}

static void
too_late(uv_timer_t *timer)
{
	fail_msg("nothing goes on");
}

#define run_until(condition) do { \
	uv_timer_start(&w.patience, too_late, PATIENCE, 0); \
	while (!(condition)) \
		uv_run(&w.loop, UV_RUN_ONCE); \
	uv_timer_stop(&w.patience); \
} while (0)

static void
have_waited(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void
wait_ms(unsigned ms)
{
	uv_timer_t timer;
	bool waited = false;

	uv_timer_init(&w.loop, &timer);
	timer.data = &waited;
	uv_timer_start(&timer, have_waited, ms, 0);
	run_until(waited);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w.loop, UV_RUN_NOWAIT);
}

/* ---- sides ---- */

static uint8_t
byte_at(const struct side *s, bool from_accepted, size_t i)
{
	return (uint8_t)(i * 11 + (i >> 8) * 7 + (i >> 16) + from_accepted);
}

static void
give_up(struct side *s)
{
	assert_false(s->closed);
	s->closed = true;
	INSIDE(net_conn_close(s->conn));
	w.done++;
}

static void
send_more(struct side *s)
{
	static uint8_t bytes[100000];
	size_t i, n;
	int rc;

	while (!s->closed && s->sent < s->to_send) {
		n = s->to_send - s->sent < sizeof bytes
		    ? s->to_send - s->sent : sizeof bytes;
		for (i = 0; i < n; i++)
			bytes[i] = byte_at(s, s->accepted, s->sent + i);
		INSIDE(rc = net_conn_send(s->conn, bytes, n, &w.err));
		if (rc != 0) {
			assert_true(rc == E_HELD || s->why != 1);
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
	if (!s->accepted && s->to_receive > 0 && s->received == s->to_receive
	    && s->sent == s->to_send)
		give_up(s);
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct side *s = conn->owner;
	size_t i;

	enter();
	assert_false(s->closed);
	assert_true(len > 0 && len <= NET_READ_MAX);
	for (i = 0; i < len; i++)
		if (bytes[i] != byte_at(s, !s->accepted, s->received + i))
			fail_msg("byte %zu is another one", s->received + i);
	s->received += len;
	if (w.echo && s->accepted) {
		s->to_send += len;
		send_more(s);
	}
	if (s->when == IN_DATA)
		give_up(s);
	else
		end_if_done(s);
}

static void
on_drain(struct net_conn *conn)
{
	struct side *s = conn->owner;

	enter();
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

	enter();
	assert_false(s->closed);
	assert_int_equal(s->why, 1);
	s->why = why->code;
	if (why->code != 0)
		w.err = *why;
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
		.to_send = w.to_send, .to_receive = w.to_send,
		.when = accepted ? w.when : NEVER };
	conn->events = &events;
	conn->owner = s;
	if (!accepted || !w.silent)
		INSIDE(net_conn_read(conn, true));
	return s;
}

static void
accepted(void *owner, struct net_conn *conn)
{
	struct side *s;

	enter();
	w.accepted++;
	if (w.refuse)
		return;
	s = own(conn, true);
	if (!w.unmarked)
		INSIDE(net_conn_mark(conn));
	send_more(s);
}

static void
connected(void *owner, struct net_conn *conn, const struct err *why)
{
	enter();
	if (conn == NULL) {
		assert_true(why->code != 0);
		w.err = *why;
		w.failed++;
		return;
	}
	assert_int_equal(why->code, 0);
	if (w.keep)
		w.kept = conn;
	else
		send_more(own(conn, false));
}

static void
found(void *owner, const char *place)
{
	struct peer *p = owner;

	enter();
	p->found++;
	strcpy(p->last, place);
}

static void
have_closed(void *owner)
{
	enter();
	((struct peer *)owner)->closed = true;
}

/* ---- nets ---- */

static struct peer *
open_net(int i, int node, bool seeded)
{
	struct peer *p = &w.peers[i];
	uint8_t seed[32];
	struct net_options opt = { .veilid = w.world.nodes[node].where,
		.seed = seeded ? seed : NULL };
	int rc;

	memset(p, 0, sizeof *p);
	memset(seed, i + 1, sizeof seed);
	INSIDE(rc = net_find("veilid")->open(&w.env, &opt, &p->net, &w.err));
	assert_int_equal(rc, 0);
	return p;
}

static void
close_net(struct peer *p)
{
	INSIDE(p->net->backend->close(p->net, have_closed, p));
	run_until(p->closed);
	p->net = NULL;
}

static struct net_status
status(const struct peer *p)
{
	struct net_status s;

	p->net->backend->status(p->net, &s);
	return s;
}

static void
listen_there(struct peer *p)
{
	int rc;

	INSIDE(rc = p->net->backend->listen(p->net, NULL, p->place, accepted,
	    p, &w.err));
	assert_int_equal(rc, 0);
	assert_true(base64_decode(p->place + 7, 43, p->key));
}

/* One that is there for all, before the call returns. */
static struct peer *
serve(int i, int node)
{
	struct peer *p = open_net(i, node, true);

	listen_there(p);
	INSIDE(p->net->backend->announce(p->net, p->key, &w.err));
	run_until(status(p).veilid.published_ms > 0);
	return p;
}

static struct net_connect *
dial_in(struct peer *from, const char *place, uint32_t timeout_ms)
{
	struct net_connect *c;
	int rc;

	INSIDE(rc = from->net->backend->connect(from->net, place, timeout_ms,
	    connected, from, &c, &w.err));
	assert_int_equal(rc, 0);
	return c;
}

static struct net_connect *
dial(struct peer *from, const struct peer *to)
{
	return dial_in(from, to->place, 20000);
}

static struct net_resolve *
look_for(struct peer *from, const struct peer *who)
{
	struct net_resolve *r;
	int rc;

	INSIDE(rc = from->net->backend->resolve(from->net, who->key, found,
	    from, &r, &w.err));
	assert_int_equal(rc, 0);
	return r;
}

static struct side *
side(bool accepted)
{
	size_t i = w.n;

	while (i-- > 0)
		if (w.sides[i].accepted == accepted)
			return &w.sides[i];
	return NULL;
}

static int
set_up(void **state)
{
	memset(&w, 0, sizeof w);
	uv_loop_init(&w.loop);
	uv_timer_init(&w.loop, &w.patience);
	w.env = net_env_system(&w.loop);
	world_init(&w.world, &w.loop);
	return 0;
}

/* Nothing is left: no route at any node, nothing on the loop. */
static int
tear_down(void **state)
{
	size_t i;

	w.world.lost = w.world.answers_lost = w.world.repeated = 0;
	w.world.cut_at = 0;
	for (i = 0; i < NETS; i++)
		if (w.peers[i].net != NULL)
			close_net(&w.peers[i]);
	run_until(world_gone(&w.world));
	assert_int_equal(world_routes(&w.world), 0);
	world_clear(&w.world);
	uv_close((uv_handle_t *)&w.patience, NULL);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	return 0;
}

/* ---- the contract ---- */

static void
what_is_asked_has_to_be_true(void **state)
{
	const struct net_backend *b = net_find("veilid");
	struct net_options opt = { .port = 0 };
	struct net *net;
	struct net_connect *c;
	struct peer *p, *q;
	uint8_t key[KEY_LEN] = { 1 };

	assert_true(b->far);
	assert_int_equal(b->open(&w.env, NULL, &net, &w.err), E_USAGE);
	assert_int_equal(b->open(&w.env, &opt, &net, &w.err), E_USAGE);
	opt.veilid = "127.0.0.1:5959";
	assert_int_equal(b->open(&w.env, &opt, &net, &w.err), E_REFUSED);
	opt.veilid = "nonsense";
	assert_int_equal(b->open(&w.env, &opt, &net, &w.err), E_USAGE);
	p = open_net(0, 0, true);
	assert_int_equal(b->announce(p->net, key, &w.err), E_USAGE);
	listen_there(p);
	assert_int_equal(b->announce(p->net, key, &w.err), E_USAGE);
	assert_int_equal(b->listen(p->net, NULL, p->place, accepted, p,
	    &w.err), E_EXISTS);
	assert_true(b->knows(p->place));
	assert_false(b->knows("veilid:4433"));
	assert_false(b->knows("example.org:4433"));
	assert_false(b->knows("veilid:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
	assert_int_equal(b->connect(p->net, "example.org:4433", 1000,
	    connected, p, &c, &w.err), E_USAGE);
	assert_int_equal(b->connect(p->net, "veilid:", 1000, connected, p, &c,
	    &w.err), E_USAGE);
	q = open_net(1, 1, false);
	assert_int_equal(b->listen(q->net, p->place, q->place, accepted, q,
	    &w.err), E_USAGE);
	assert_int_equal(b->listen(q->net, NULL, q->place, accepted, q,
	    &w.err), 0);
	assert_int_equal(b->announce(q->net, p->key, &w.err), E_USAGE);
	b->withdraw(q->net, p->key);
	b->changed(q->net, p->key);
}

static void
who_is_announced_is_found(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct net_resolve *r = look_for(b, a), *s;
	size_t sets;

	run_until(b->found == 1);
	assert_string_equal(b->last, a->place);
	/* who comes later hears it too */
	s = look_for(b, a);
	run_until(b->found == 2);
	/* a change is told to both */
	a->net->backend->changed(a->net, a->key);
	run_until(b->found == 4);
	INSIDE(b->net->backend->resolve_stop(r));
	a->net->backend->changed(a->net, a->key);
	run_until(b->found == 5);
	/* once more is no news */
	sets = w.world.sets;
	assert_int_equal(a->net->backend->announce(a->net, a->key, &w.err), 0);
	/* who has gone is not found any more */
	INSIDE(a->net->backend->withdraw(a->net, a->key));
	run_until(status(a).veilid.withdrawn);
	assert_false(status(a).veilid.announced);
	assert_true(w.world.sets > sets);
	wait_ms(300);
	assert_int_equal(b->found, 5);
	/* and comes back */
	assert_int_equal(a->net->backend->announce(a->net, a->key, &w.err), 0);
	run_until(b->found == 6);
	assert_false(status(a).veilid.withdrawn);
	b->net->backend->resolve_stop(s);
}

static void
who_comes_later_is_found_too(void **state)
{
	struct peer *b = open_net(1, 1, false), *a = open_net(0, 0, true);

	listen_there(a);
	look_for(b, a);
	wait_ms(500);
	assert_int_equal(b->found, 0);
	a->net->backend->announce(a->net, a->key, &w.err);
	run_until(b->found == 1);
}

/* A key that nobody has takes its time, and nobody else's. */
static void
one_that_is_not_there_keeps_nobody_waiting(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false), none;
	uint64_t begin;

	w.world.not_found = 4000;
	memset(&none, 7, sizeof none);
	look_for(b, &none);
	run_until(status(b).veilid.ready);
	wait_ms(100);
	begin = uv_now(&w.loop);
	look_for(b, a);
	run_until(b->found == 1);
	dial(b, a);
	run_until(w.n == 2);
	assert_true(uv_now(&w.loop) - begin < 2000);
}

static void
both_sides(struct peer *a, struct peer *b)
{
	size_t before = w.n;

	dial(b, a);
	run_until(w.n == before + 2 || w.failed > 0);
	if (w.failed > 0)
		fail_msg("%s", w.err.text);
}

/* Sends as much both ways, and sees it come. */
static void
exchange(struct peer *a, struct peer *b, size_t bytes)
{
	struct side *x, *y;

	w.to_send = bytes;
	both_sides(a, b);
	x = side(false);
	y = side(true);
	run_until(x->closed && y->closed);
	if (x->received != bytes || y->received != bytes || y->why != 0)
		fail_msg("%zu and %zu of %zu: %d, %d (%s)", x->received,
		    y->received, bytes, x->why, y->why, w.err.text);
	assert_true(x->queued_max <= NET_SEND_MAX);
}

static void
much_goes_both_ways(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct net_status s;

	exchange(a, b, 4 * BIG);
	s = status(a);
	assert_string_equal(s.listening[0], a->place);
	assert_true(s.veilid.on && s.veilid.connected && s.veilid.ready
	    && s.veilid.routed && s.veilid.announced);
	assert_string_equal(s.veilid.version, "0.5.8");
	assert_string_equal(s.veilid.state, "AttachedGood");
	assert_int_equal(s.veilid.why.code, 0);
}

/* A question and what is said to it are one call, not one of each side. */
static void
a_dialogue_is_one_call_each_time(void **state)
{
	enum { TRIPS = 50, CALL_MS = 20 };
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *x;
	size_t before, i;
	uint64_t begin;

	w.echo = true;
	both_sides(a, b);
	x = side(false);
	wait_ms(300);
	w.world.pace = CALL_MS;
	before = w.world.calls_made;
	begin = uv_hrtime();
	for (i = 1; i <= TRIPS; i++) {
		x->to_send += 10;
		send_more(x);
		run_until(x->received == 10 * i);
	}
	print_message("# %.1f ms each\n", (double)(uv_hrtime() - begin) / 1e6
	    / TRIPS);
	/* A machine that has too much to do may be too late for some. */
	assert_in_range(w.world.calls_made - before, TRIPS, TRIPS + TRIPS / 2);
	wait_ms(VSTREAM_ACK_MS + 300);
	before = w.world.calls_made;
	wait_ms(300);
	assert_int_equal(w.world.calls_made, before);
}

static void
places_are_for_people(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	char place[PLACE_MAX];

	both_sides(a, b);
	net_conn_place(side(false)->conn, place);
	assert_string_equal(place, a->place);
	net_conn_place(side(true)->conn, place);
	assert_string_equal(place, "veilid");
	assert_int_equal(status(a).accepted, 1);
	assert_int_equal(status(a).veilid.streams, 1);
	assert_int_equal(status(b).accepted, 0);
	assert_int_equal(status(b).veilid.streams, 1);
}

static void
turns_until_it_stands(size_t *what)
{
	size_t before;

	do {
		before = *what;
		send_more(side(false));
		send_more(side(true));
		wait_ms(100);
	} while (*what != before);
}

static void
a_slow_reader_costs_little(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *x, *y;

	w.silent = w.unmarked = true;
	both_sides(a, b);
	x = side(false);
	y = side(true);
	x->to_send = 8 * BIG;
	turns_until_it_stands(&x->sent);
	assert_true(x->sent < 8 * BIG);
	assert_true(x->queued_max <= NET_SEND_MAX);
	INSIDE(net_conn_read(y->conn, true));
	run_until(y->received == 8 * BIG);
	/* Unknown callers get a small queue. */
	INSIDE(net_conn_read(x->conn, false));
	y->to_send = 8 * BIG;
	turns_until_it_stands(&y->sent);
	assert_true(y->queued_max <= NET_SEND_MAX_UNKNOWN);
	net_conn_mark(y->conn);
	net_conn_read(x->conn, true);
	x->to_receive = 8 * BIG;
	send_more(y);
	run_until(y->closed);
	assert_int_equal(x->received, 8 * BIG);
}

static void
close_flushes_what_is_queued(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *x, *y;

	w.silent = true;
	both_sides(a, b);
	x = side(false);
	y = side(true);
	x->to_send = 300000;
	/* What nobody reads must not turn the end into a break. */
	assert_int_equal(net_conn_send(y->conn, "unread", 6, NULL), 0);
	send_more(x);
	assert_int_equal(x->sent, 300000);
	INSIDE(net_conn_read(x->conn, false));
	give_up(x);
	/* The last words come although the whole network is given up. */
	close_net(b);
	net_conn_read(y->conn, true);
	run_until(y->closed);
	assert_int_equal(y->received, 300000);
	assert_int_equal(y->why, 0);
}

static void
a_connection_ends_in_any_callback(void **state)
{
	static const enum giving_up all[] = { IN_DATA, IN_DRAIN, IN_CLOSE };
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	size_t i, sides;

	for (i = 0; i < 3; i++) {
		sides = w.n;
		w.when = all[i];
		w.to_send = 2 * BIG;
		both_sides(a, b);
		if (all[i] == IN_CLOSE)
			give_up(side(false));
		run_until(w.done == sides + 2);
	}
}

/* Who dials keeps one until it is known whether another is nearer. */
static void
one_that_ends_before_it_has_an_owner(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *s;

	w.keep = true;
	dial(b, a);
	run_until(w.kept != NULL && w.n == 1);
	s = side(true);
	s->closed = true;
	INSIDE(net_conn_abort(s->conn));
	run_until(status(a).veilid.streams == 0
	    && status(b).veilid.streams == 0);
	assert_int_equal(net_conn_send(w.kept, "x", 1, &w.err),
	    E_UNREACHABLE);
	s = own(w.kept, false);
	run_until(s->closed);
	assert_int_equal(s->why, E_UNREACHABLE);
	/* or is given up */
	w.kept = NULL;
	dial(b, a);
	run_until(w.kept != NULL && w.n == 3);
	s = side(true);
	s->closed = true;
	INSIDE(net_conn_abort(s->conn));
	run_until(status(b).veilid.streams == 0);
	INSIDE(net_conn_abort(w.kept));
}

static void
abort_in_each_state(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *x, *y;

	both_sides(a, b);
	x = side(false);
	y = side(true);
	x->closed = true;
	INSIDE(net_conn_abort(x->conn));
	run_until(y->closed);
	assert_int_equal(y->why, E_UNREACHABLE);
	/* refused at once */
	w.refuse = true;
	dial(b, a);
	run_until(w.accepted == 2);
	run_until(w.n == 3 || w.failed == 1);
	if (w.n == 3)
		run_until(w.sides[2].closed);
	w.refuse = false;
	/* stopped: nothing comes */
	INSIDE(b->net->backend->connect_stop(dial(b, a)));
	/* Left open: closing the network ends them. */
	w.to_send = BIG;
	both_sides(a, b);
	dial(b, a);
	look_for(b, a);
}

/* The network is closed after so many turns of the loop. */
static void
it_can_be_closed_at_any_time(void **state)
{
	struct peer *a, *b;
	int turns, i, ended = 0;

	for (turns = 0; ended < 3; turns++) {
		size_t sides = w.n;

		a = serve(0, 0);
		b = open_net(1, 1, true);
		listen_there(b);
		b->net->backend->announce(b->net, b->key, &w.err);
		look_for(b, a);
		w.to_send = 100000;
		dial(b, a);
		for (i = 0; i < turns * 3; i++)
			uv_run(&w.loop, UV_RUN_NOWAIT);
		ended += w.n >= sides + 2 && w.sides[sides].closed
		    && w.sides[sides + 1].closed;
		close_net(turns % 2 ? a : b);
		close_net(turns % 2 ? b : a);
		w.n = 0;
		assert_int_equal(world_routes(&w.world), 0);
	}
}

static void
what_is_withdrawn_in_the_end_is_withdrawn(void **state)
{
	struct peer *a = serve(0, 0), *b;

	INSIDE(a->net->backend->withdraw(a->net, a->key));
	close_net(a);
	b = open_net(1, 1, false);
	dial_in(b, a->place, 1000);
	run_until(w.failed == 1);
	assert_non_null(strstr(w.err.text, "not to be reached"));
	/* of an earlier run as well */
	a = serve(0, 0);
	close_net(a);
	a = open_net(0, 0, true);
	listen_there(a);
	a->net->backend->withdraw(a->net, a->key);
	run_until(status(a).veilid.withdrawn);
	dial_in(b, a->place, 1000);
	run_until(w.failed == 2);
	assert_non_null(strstr(w.err.text, "not to be reached"));
}

/* ---- what is missing is said ---- */

static void
says(const char *what)
{
	assert_int_equal(w.err.code, E_UNREACHABLE);
	if (strstr(w.err.text, what) == NULL)
		fail_msg("'%s' does not say '%s'", w.err.text, what);
}

static void
what_is_missing_is_said(void **state)
{
	struct peer *a = serve(0, 0), *b, none = { .found = 0 };

	world_kill(&w.world, 1);
	b = open_net(1, 1, false);
	dial_in(b, a->place, 500);
	run_until(w.failed == 1);
	says("no Veilid node");
	world_start(&w.world, 1);
	w.world.nodes[1].detached = true;
	run_until(status(b).veilid.connected);
	dial_in(b, a->place, 500);
	run_until(w.failed == 2);
	says("not in reach of others");
	w.world.nodes[1].routeless = true;
	world_attach(&w.world, 1, true);
	dial_in(b, a->place, 1000);
	run_until(w.failed == 3);
	says("no private route");
	w.world.nodes[1].routeless = false;
	run_until(status(b).veilid.routed);
	strcpy(none.place, "veilid:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	dial_in(b, none.place, 1000);
	run_until(w.failed == 4);
	says(none.place);
	says("record");
	world_kill(&w.world, 0);
	dial_in(b, a->place, 1500);
	run_until(w.failed == 5);
	says("no answer from");
	/* and all of it passes */
	w.failed = 0;
	world_start(&w.world, 0);
	both_sides(a, b);
}

/* ---- faults ---- */

static void
calls_may_do_anything(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);

	w.world.timeout = 200;
	w.world.lost = 10;
	w.world.answers_lost = 10;
	w.world.repeated = 10;
	w.world.delay = 20;
	exchange(a, b, BIG);
}

static void
calls_come_in_any_order(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);

	w.world.timeout = 1000;
	w.world.repeated = 30;
	w.world.delay = 60;
	exchange(a, b, BIG);
}

/* Where little goes through, what is too much for it does not make it less. */
static void
calls_are_fewer_where_they_take_too_long(void **state)
{
	enum { BYTES = 20 * 32000 };
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	size_t made;

	both_sides(a, b);
	w.world.timeout = 500;
	w.world.pace = 100;
	made = w.world.calls_made;
	side(false)->to_send = BYTES;
	send_more(side(false));
	run_until(side(true)->received == BYTES);
	print_message("# 20 pieces, %zu calls\n", w.world.calls_made - made);
	assert_true(w.world.calls_made - made < 45);
}

/* Half of it is sent, then something happens. */
static void
exchange_and(struct peer *a, struct peer *b, size_t bytes,
    void (*happening)(void))
{
	struct side *x, *y;

	w.to_send = bytes;
	both_sides(a, b);
	x = side(false);
	y = side(true);
	run_until(x->received > bytes / 2);
	happening();
	run_until(x->closed && y->closed);
	if (x->received != bytes || y->received != bytes)
		fail_msg("%zu and %zu of %zu: %s", x->received, y->received,
		    bytes, w.err.text);
}

static void
hang_up_both(void)
{
	world_hang_up(&w.world, 0);
	world_hang_up(&w.world, 1);
}

static void
restart_first(void)
{
	world_kill(&w.world, 0);
	world_start(&w.world, 0);
}

static void
restart_second(void)
{
	world_kill(&w.world, 1);
	world_start(&w.world, 1);
}

static void
restart_both(void)
{
	restart_first();
	restart_second();
}

static void
end_routes_aloud(void)
{
	world_end_routes(&w.world, 0, true);
	world_end_routes(&w.world, 1, true);
}

static void
forget_imports(void)
{
	world_forget(&w.world, 0);
	world_forget(&w.world, 1);
}

static void
detach_for_a_while(void)
{
	world_attach(&w.world, 0, false);
	wait_ms(300);
	world_attach(&w.world, 0, true);
}

static void
a_stream_survives_its_nodes(void **state)
{
	static void (*const all[])(void) = { hang_up_both, restart_first,
		restart_second, restart_both, end_routes_aloud,
		forget_imports, detach_for_a_while };
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++) {
		uint64_t begin = uv_now(&w.loop);

		exchange_and(a, b, BIG, all[i]);
		print_message("# %zu: %u ms\n", i,
		    (unsigned)(uv_now(&w.loop) - begin));
	}
}

/* The connection with a node ends at each request in turn, before it is done or
 * after. */
static void
a_connection_with_a_node_ends_at_any_point(void **state)
{
	const char *every = getenv("EVERY");
	size_t step = every != NULL ? strtoul(every, NULL, 10) : 3;
	size_t at, cut;
	struct peer *a, *b;

	for (at = 1;; at += step) {
		cut = w.world.cut_ended;
		w.world.requests = 0;
		w.world.cut_at = at;
		w.world.cut_after = at / step % 2;
		w.n = 0;
		a = serve(0, 0);
		b = open_net(1, 1, false);
		exchange(a, b, 100000);
		close_net(a);
		close_net(b);
		/* what its connection could not end any more */
		world_end_routes(&w.world, 0, false);
		world_end_routes(&w.world, 1, false);
		if (w.world.cut_ended == cut)
			break;
	}
	print_message("# %zu points\n", at);
	assert_true(at > 30);
}

/* ---- several on one node ---- */

static void
two_databases_share_a_node(void **state)
{
	struct peer *a = serve(0, 0), *b = serve(1, 0), *c = open_net(2, 1,
	    false);

	exchange(a, c, 100000);
	exchange(b, c, 100000);
	exchange(a, b, 100000);
	exchange(b, a, 100000);
	/* the end of one is not the other's */
	close_net(a);
	exchange(b, c, 100000);
}

static void
one_that_dials_itself_hears_itself(void **state)
{
	struct peer *a = serve(0, 0);

	exchange(a, a, 100000);
}

static void
many_streams_share_what_a_node_takes(void **state)
{
	enum { MANY = 20 };
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	size_t i;

	w.world.timeout = 5000;
	w.to_send = BIG / 4;
	for (i = 0; i < MANY; i++)
		dial(b, a);
	run_until(w.done == 2 * MANY || w.failed > 0);
	assert_int_equal(w.failed, 0);
	for (i = 0; i < w.n; i++)
		assert_int_equal(w.sides[i].received, BIG / 4);
}

/* ---- strangers ---- */

static struct world_route *
route_of(int node)
{
	size_t i = w.world.nroutes;

	while (i-- > 0)
		if (w.world.routes[i].alive
		    && w.world.routes[i].node == node)
			break;
	return &w.world.routes[i];
}

static void
stranger(uint32_t number, unsigned flags, const void *payload, size_t len)
{
	struct vsegment s = { .flags = flags, .window = 65536, .epoch = 1,
		.route = (const uint8_t *)"no route", .route_len = 8,
		.payload = payload, .len = len };
	struct buf bytes;

	memcpy(s.stream, &number, sizeof number);
	buf_init(&bytes, VSEGMENT_MAX);
	assert_int_equal(vsegment_encode(&s, &bytes, NULL), 0);
	world_call(&w.world, route_of(0), bytes.data, bytes.len);
	buf_clear(&bytes);
}

static void
r29_idle_strangers_keep_nobody_out(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	struct side *known;
	struct net_status s;
	uint32_t i;

	both_sides(a, b);
	known = side(false);
	w.silent = w.unmarked = true;
	for (i = 0; i < NET_UNKNOWN_MAX + 50; i++) {
		stranger(i, VSEGMENT_OPENER | VSEGMENT_ROUTE, "abc", 3);
		run_until(w.accepted == i + 2);
	}
	wait_ms(100);
	s = status(a);
	assert_int_equal(s.unknown, NET_UNKNOWN_MAX);
	assert_int_equal(s.dropped, 50);
	assert_int_equal(w.done, 50);
	assert_int_equal(w.err.code, E_REFUSED);
	assert_false(known->closed);
	/* the oldest went, and do not come back by what was late */
	for (i = 0; i < 50; i++)
		assert_true(w.sides[2 + i].closed);
	stranger(3, VSEGMENT_OPENER | VSEGMENT_ROUTE, "abc", 3);
	wait_ms(100);
	assert_int_equal(w.accepted, 1 + NET_UNKNOWN_MAX + 50);
	w.silent = w.unmarked = false;
	exchange(a, b, 100000);
}

static void
what_is_no_segment_does_nothing(void **state)
{
	struct peer *a = serve(0, 0), *b = open_net(1, 1, false);
	uint8_t bytes[200];
	uint32_t i;
	size_t k;

	both_sides(a, b);
	stranger(1, 0, NULL, 0);
	stranger(2, VSEGMENT_OPENER, NULL, 0);
	stranger(3, VSEGMENT_OPENER | VSEGMENT_ROUTE | VSEGMENT_RESET, NULL,
	    0);
	for (i = 0; i < 3000; i++) {
		for (k = 0; k < sizeof bytes; k++)
			bytes[k] = (uint8_t)rand();
		bytes[0] = i % 8 == 0 ? (uint8_t)i : 1;
		bytes[1] &= 6;
		world_call(&w.world, route_of(0), bytes, i % sizeof bytes);
		if (i % 50 == 0)
			uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	wait_ms(200);
	assert_int_equal(w.accepted, 1);
	exchange(a, b, 100000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_asked_has_to_be_true),
		TEST(who_is_announced_is_found),
		TEST(who_comes_later_is_found_too),
		TEST(one_that_is_not_there_keeps_nobody_waiting),
		TEST(much_goes_both_ways),
		TEST(a_dialogue_is_one_call_each_time),
		TEST(places_are_for_people),
		TEST(a_slow_reader_costs_little),
		TEST(close_flushes_what_is_queued),
		TEST(a_connection_ends_in_any_callback),
		TEST(one_that_ends_before_it_has_an_owner),
		TEST(abort_in_each_state),
		TEST(it_can_be_closed_at_any_time),
		TEST(what_is_withdrawn_in_the_end_is_withdrawn),
		TEST(what_is_missing_is_said),
		TEST(calls_may_do_anything),
		TEST(calls_come_in_any_order),
		TEST(calls_are_fewer_where_they_take_too_long),
		TEST(a_stream_survives_its_nodes),
		TEST(a_connection_with_a_node_ends_at_any_point),
		TEST(two_databases_share_a_node),
		TEST(one_that_dials_itself_hears_itself),
		TEST(many_streams_share_what_a_node_takes),
		TEST(r29_idle_strangers_keep_nobody_out),
		TEST(what_is_no_segment_does_nothing),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

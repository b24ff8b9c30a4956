// SPDX-License-Identifier: MPL-2.0
/*
 * test_node_peers.h - a hub, "us", and its peers in virtual time, on a network in
 * memory: for the tests of whose turn it is.  A peer has a database and serves it;
 * it may send each page late, or answer no PULL at all.
 */
#ifndef TEST_NODE_PEERS_H
#define TEST_NODE_PEERS_H

#include "test_store_site.h"

#include "chan/chan.h"
#include "net/memory.h"
#include "node/convert.h"
#include "node/hub.h"
#include "node/session.h"
#include "sync/sync.h"

enum { PEERS_MAX = 8, ASKED_MAX = 16, QUEUE_MAX = 16 };

static struct memnet *memnet;
static struct peer *peers[PEERS_MAX];
static size_t npeers;
static size_t most_at_once;     /* pulls of us that went on */

/* What an event of the network points to stays until the end: the network does
 * not tell which of them never happened. */
struct owned {
	struct owned *next;
	union {
		uint64_t at;            /* of an alarm */
		struct {                /* a page that is due, of that pull */
			struct peer *p;
			int pull;
		} late;
	};
};

static struct owned *owned;

static struct owned *
own(void)
{
	struct owned *o = calloc(1, sizeof *o);

	assert_non_null(o);
	o->next = owned;
	owned = o;
	return o;
}

/* ---- the hub under test ---- */

static struct {
	struct site site;
	struct hub *hub;
	struct net *net;
	uint64_t wake_at;
	struct { char name[16]; int pulls; } from[PEERS_MAX + 1];
	int troubles;
	char trouble[ERR_TEXT_MAX], who[16];
} us;

static uint64_t
env_now(void *self)
{
	return memnet_now(memnet);
}

static int64_t
env_date(void *self)
{
	return 1800000000000 + (int64_t)memnet_now(memnet);
}

static void
on_alarm(void *owner)
{
	const struct owned *o = owner;

	if (o->at != us.wake_at || us.hub == NULL)
		return;
	us.wake_at = HUB_NEVER;
	hub_tick(us.hub);
}

static void
env_wake(void *self, uint64_t at)
{
	uint64_t now = memnet_now(memnet);
	struct owned *o;

	if (at == us.wake_at)
		return;
	us.wake_at = at;
	if (at == HUB_NEVER)
		return;
	o = own();
	o->at = at;
	assert_int_equal(memnet_after(memnet, at > now ? at - now : 0, on_alarm,
	    o), 0);
}

static int *
pulls_from(const char *name)
{
	size_t i = 0;

	while (us.from[i].name[0] != '\0' && strcmp(us.from[i].name, name) != 0)
		i++;
	assert_in_range(i, 0, PEERS_MAX);
	snprintf(us.from[i].name, sizeof us.from[i].name, "%s", name);
	return &us.from[i].pulls;
}

static void
on_event(void *self, const struct node_event *e)
{
	if (e->kind == NODE_PULLED)
		++*pulls_from(e->remote);
	if (e->kind != NODE_TROUBLE)
		return;
	us.troubles++;
	snprintf(us.trouble, sizeof us.trouble, "%s", e->text);
	snprintf(us.who, sizeof us.who, "%s", e->remote);
}

static struct net *
endpoint(const uint8_t *key)
{
	struct net_env env = memnet_env(memnet);
	struct net_options options = { .memnet = memnet, .key = key };
	struct net *net;
	struct err err;

	must(net_memory.open(&env, &options, &net, &err));
	return net;
}

static void
begin(void)
{
	static const struct memnet_faults none;
	struct hub_env env = { env_now, env_date, env_wake, NULL };
	struct hub_options options = { .follow = true, .event = on_event };
	struct err err;

	memset(&us, 0, sizeof us);
	npeers = most_at_once = 0;
	us.wake_at = HUB_NEVER;
	memnet = memnet_new(1, &none);
	assert_non_null(memnet);
	site_make(&us.site, "us");
	us.net = endpoint(us.site.key);
	must(hub_new(us.site.store, &env, &options, &us.hub, &err));
}

/* ---- peers ---- */

struct peer {
	struct site site;
	struct net *net;
	struct net_conn *conn;
	struct chan_identity *identity;
	struct chan *chan;
	struct sync *sync;
	struct sync_actions todo;
	bool started;
	bool mute;              /* answers no PULL */
	uint64_t delay_ms;      /* of each page */
	size_t page_max;
	struct store_reading *reading;
	struct store_end end;
	struct wire_end said;
	bool asked;             /* a PULL goes on */
	int pulls;              /* that were asked for */
	uint64_t pull_ms[ASKED_MAX];
	int rows_sent;
	enum sync_event_kind queue[QUEUE_MAX];
	size_t nqueue;
};

/* In a moment, when what was said at the same time has arrived. */
static void
count_at_once(void *owner)
{
	size_t i, n = 0;

	for (i = 0; i < npeers; i++)
		n += peers[i]->asked;
	if (n > most_at_once)
		most_at_once = n;
}

static void step(struct peer *p, struct sync_event *event);

static void
answer(struct peer *p, enum sync_event_kind kind)
{
	assert_true(p->nqueue < QUEUE_MAX);
	p->queue[p->nqueue++] = kind;
}

static void
serve_begin(struct peer *p, const struct wire_pull *pull)
{
	struct store_plan plan;
	bool whole;
	struct err err;

	assert_true(p->pulls < ASKED_MAX);
	p->pull_ms[p->pulls++] = memnet_now(memnet);
	p->asked = true;
	assert_int_equal(memnet_after(memnet, 1, count_at_once, NULL), 0);
	if (p->mute)
		return;
	must(convert_plan_in(pull, &plan, &err));
	must(store_serve(p->site.store, remote_id(&p->site, &us.site), &plan,
	    &whole, &p->reading, &err));
	store_plan_clear(&plan);
	answer(p, whole ? SYNC_ON_SERVE_WHOLE : SYNC_ON_SERVING);
}

static void
serve_end(struct peer *p)
{
	uint64_t transactions, rows;

	if (p->reading != NULL) {
		store_serve_counts(p->reading, &transactions, &rows);
		p->rows_sent += (int)rows;
		store_serve_close(p->reading);
	}
	p->reading = NULL;
	p->asked = false;
	store_end_clear(&p->end);
	convert_end_clear(&p->said);
}

static void
on_late(void *owner)
{
	struct sync_event event = { .kind = SYNC_ON_PAGE };
	const struct owned *o = owner;
	struct peer *p = o->late.p;

	if (p->reading != NULL && p->pulls == o->late.pull)
		step(p, &event);
}

static void
page_later(struct peer *p)
{
	struct owned *o = own();

	o->late.p = p;
	o->late.pull = p->pulls;
	assert_int_equal(memnet_after(memnet, p->delay_ms, on_late, o), 0);
}

static void
act(struct peer *p, const struct sync_action *a)
{
	switch (a->kind) {
	case SYNC_DO_CHECK_CLAIMS:
		answer(p, SYNC_ON_CLAIMS);
		break;
	case SYNC_DO_WANT_ROOM:
		answer(p, SYNC_ON_ROOM);
		break;
	case SYNC_DO_SERVE_BEGIN:
		serve_begin(p, a->pull);
		break;
	case SYNC_DO_NEED_PAGE:
		page_later(p);
		break;
	case SYNC_DO_NEED_END:
		answer(p, SYNC_ON_END);
		break;
	case SYNC_DO_SERVE_END:
		serve_end(p);
		break;
	case SYNC_DO_CLOSE:
		fail_msg("%s: %s", p->site.name, a->why->text);
		break;
	default:
		break;
	}
}

/* What the event needs besides its kind. */
static void
fill(struct peer *p, struct sync_event *event)
{
	struct err err;

	event->now_ms = memnet_now(memnet);
	if (event->kind == SYNC_ON_PAGE) {
		must(store_serve_page(p->reading, p->page_max, &event->data,
		    &event->len, &event->last, &err));
	} else if (event->kind == SYNC_ON_END) {
		must(store_serve_end(p->reading, &p->end, &err));
		must(convert_end_out(&p->end, &p->said, &err));
		event->end = &p->said;
	}
}

static void
flush(struct peer *p)
{
	const uint8_t *bytes;
	struct err err;
	size_t len;

	while ((bytes = chan_output(p->chan, &len), len > 0)) {
		must(net_conn_send(p->conn, bytes, len, &err));
		chan_output_taken(p->chan, len);
	}
}

/* One event, and the answers to what it asks for. */
static void
step(struct peer *p, struct sync_event *event)
{
	struct sync_event next;
	struct err err;
	size_t i, used;

	fill(p, event);
	must(sync_step(p->sync, event, &p->todo, &err));
	used = p->todo.used;
	if (p->todo.send.len > 0)
		must(chan_write(p->chan, p->todo.send.data, p->todo.send.len,
		    &err));
	for (i = 0; i < p->todo.n; i++)
		act(p, &p->todo.action[i]);
	flush(p);
	while (p->nqueue > 0) {
		next = (struct sync_event){ .kind = p->queue[0] };
		memmove(p->queue, p->queue + 1, --p->nqueue *
		    sizeof *p->queue);
		step(p, &next);
	}
	event->len = used;
}

static void
say_hello(struct peer *p)
{
	struct store_hello *hello = malloc(sizeof *hello);
	struct convert_hello *out = malloc(sizeof *out);
	struct sync_event event = { .kind = SYNC_ON_START };
	struct err err;

	assert_true(hello != NULL && out != NULL);
	must(store_hello(p->site.store, us.site.key, hello, &err));
	convert_hello(hello, out);
	event.hello = &out->hello;
	p->started = true;
	step(p, &event);
	free(hello);
	free(out);
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct peer *p = conn->owner;
	struct sync_event event;
	struct err err;
	size_t n;

	must(chan_feed(p->chan, bytes, len, &err));
	flush(p);
	if (!p->started && chan_state(p->chan) == CHAN_OPEN)
		say_hello(p);
	while (p->started) {
		event = (struct sync_event){ .kind = SYNC_ON_BYTES };
		event.data = chan_input(p->chan, &event.len);
		n = event.len;
		if (n > 0)
			step(p, &event);
		if (n == 0 || event.len == 0)
			break;
		must(chan_input_taken(p->chan, event.len, &err));
	}
}

static void
on_drain(struct net_conn *conn)
{
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	struct peer *p = conn->owner;

	net_conn_close(conn);
	p->conn = NULL;
}

static const struct net_conn_events conn_events = {
	.on_data = on_data, .on_drain = on_drain, .on_close = on_close };

static void
on_accept(void *owner, struct net_conn *conn)
{
	const struct chan_identity *ids[1];
	struct peer *p = owner;
	struct err err;

	ids[0] = p->identity;
	must(chan_new_server(ids, 1, &p->chan, &err));
	must(sync_new(&(struct sync_config){ .frame_max = 0 }, &p->sync, &err));
	sync_actions_init(&p->todo);
	p->conn = conn;
	conn->events = &conn_events;
	conn->owner = p;
	net_conn_mark(conn);
	net_conn_read(conn, true);
}

/* A peer with a database of its own, not yet connected. */
static struct peer *
peer(const char *name, bool mute)
{
	struct peer *p = calloc(1, sizeof *p);
	uint8_t seed[CHAN_SEED_LEN];
	char place[PLACE_MAX];
	struct err err;

	assert_non_null(p);
	site_make(&p->site, name);
	introduce(&us.site, &p->site);
	store_secret_seed(p->site.store, seed);
	must(chan_identity_new(seed, &p->identity, &err));
	p->mute = mute;
	p->page_max = SESSION_PAGE_MAX;
	p->net = endpoint(p->site.key);
	must(p->net->backend->listen(p->net, NULL, place, on_accept, p, &err));
	assert_true(npeers < PEERS_MAX);
	peers[npeers++] = p;
	return p;
}

static void
on_connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct peer *p = owner;
	struct store_remote remote;
	struct session *s;
	struct err err;

	assert_non_null(conn);
	must(store_remote_by_key(us.site.store, p->site.key, &remote, &err));
	must(session_call(us.hub, conn, &remote, NULL, NULL, &s, &err));
}

/* ---- time ---- */

/* Lets things happen until *n is at least that, at most so long; how long that
 * took. */
static uint64_t
wait_for(const int *n, int least, uint64_t ms)
{
	uint64_t began = memnet_now(memnet);

	while (*n < least) {
		if (memnet_now(memnet) - began > ms || !memnet_step(memnet))
			fail_msg("%d of %d after %llu ms", *n, least,
			    (unsigned long long)ms);
	}
	return memnet_now(memnet) - began;
}

static void
on_pass(void *owner)
{
	++*(int *)owner;
}

static void
pass(uint64_t ms)
{
	int over = 0;

	assert_int_equal(memnet_after(memnet, ms, on_pass, &over), 0);
	wait_for(&over, 1, ms + 1);
}

/* Calls a peer, and waits until it is connected: peers called one after the
 * other want to pull in that order. */
static void
call(struct peer *p)
{
	char place[ADDR_TEXT_LEN + 1];
	struct net_connect *connect;
	struct err err;

	addr_format(p->site.key, place);
	must(us.net->backend->connect(us.net, place, 5000, on_connected, p,
	    &connect, &err));
	while (hub_find(us.hub, p->site.key) == NULL)
		assert_true(memnet_step(memnet));
	pass(10);
}

/* The peer has something new, and says so. */
static void
write_and_tell(struct peer *p, const char *id)
{
	struct sync_event event = { .kind = SYNC_ON_CHANGED };
	struct wire_entry *news;
	struct store_entry e[8];
	struct err err;
	bool changed;
	size_t n;

	sql(&p->site, "INSERT INTO t VALUES(%Q, 1, 1)", id);
	must(store_changed(p->site.store, &changed, e, 8, &n, &err));
	news = convert_entries_out(e, n);
	event.entry = news;
	event.nentries = n;
	step(p, &event);
	free(news);
}

static void
end(void)
{
	struct owned *o;
	size_t i;

	hub_free(us.hub);
	us.hub = NULL;
	memnet_free(memnet);
	while ((o = owned) != NULL) {
		owned = o->next;
		free(o);
	}
	for (i = 0; i < npeers; i++) {
		serve_end(peers[i]);
		sync_free(peers[i]->sync);
		sync_actions_clear(&peers[i]->todo);
		chan_free(peers[i]->chan);
		chan_identity_free(peers[i]->identity);
		site_close(&peers[i]->site);
		free(peers[i]);
	}
	site_close(&us.site);
}

static const char *
last_error(const struct peer *p)
{
	static struct store_remote r;
	struct err err;

	must(store_remote_by_key(us.site.store, p->site.key, &r, &err));
	return r.last_error;
}

#endif

// SPDX-License-Identifier: MPL-2.0
/* A serve calls a peer over a far network, which takes its time, when the peer
 * calls over a near one.  Both are real nodes on this machine, but for the far
 * network, which is made up. */
#include "test_store_site.h"

#include <poll.h>
#include <time.h>

#include "net/several.h"
#include "node/call.h"
#include "node/peers.h"
#include "node/session.h"

enum { SOON_MS = 3000 };        /* much sooner than PEERS_CALL_MS */

/* ---- the far network ---- */

static struct {
	struct net net;
	struct net_conn conn;
	uv_timer_t finding, connecting;
	bool answers;           /* there is a connection, on which nothing comes */
	net_place_fn *found;
	net_connected_fn *connected;
	void *find_owner, *connect_owner;
	int called, stopped, handed, ended;
} far;

static int
conn_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err)
{
	return 0;
}

static size_t
conn_queued(const struct net_conn *conn)
{
	return 0;
}

static void
conn_read(struct net_conn *conn, bool on)
{
}

static void
conn_place(const struct net_conn *conn, char out[static PLACE_MAX])
{
	strcpy(out, "far:x");
}

static void
conn_close(struct net_conn *conn, bool flush)
{
	far.ended++;
}

static const struct net_conn_ops conn_ops = { .send = conn_send,
	.queued = conn_queued, .read = conn_read, .place = conn_place,
	.close = conn_close };

static void
far_close(struct net *net, net_closed_fn *closed, void *owner)
{
	uv_close((uv_handle_t *)&far.finding, NULL);
	uv_close((uv_handle_t *)&far.connecting, NULL);
	closed(owner);
}

static void
on_find(uv_timer_t *timer)
{
	far.found(far.find_owner, "far:x");
}

static int
far_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	far.found = found;
	far.find_owner = owner;
	uv_timer_start(&far.finding, on_find, 0, 0);
	*out = (struct net_resolve *)&far;
	return 0;
}

static void
far_resolve_stop(struct net_resolve *resolve)
{
	uv_timer_stop(&far.finding);
}

static void
on_connect(uv_timer_t *timer)
{
	const struct err none = { .code = 0 };

	far.handed++;
	far.conn = (struct net_conn){ .ops = &conn_ops, .far = true };
	far.connected(far.connect_owner, &far.conn, &none);
}

static int
far_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	far.called++;
	far.connected = connected;
	far.connect_owner = owner;
	if (far.answers)
		uv_timer_start(&far.connecting, on_connect, 0, 0);
	*out = (struct net_connect *)&far;
	return 0;
}

static void
far_connect_stop(struct net_connect *connect)
{
	far.stopped++;
}

static bool
far_knows(const char *place)
{
	return strncmp(place, "far:", 4) == 0;
}

static const struct net_backend far_backend = { .name = "far", .far = true,
	.knows = far_knows, .close = far_close, .resolve = far_resolve,
	.resolve_stop = far_resolve_stop, .connect = far_connect,
	.connect_stop = far_connect_stop };

/* ---- both sides ---- */

static struct side {
	struct site site;
	struct node node;
	struct peers *peers;
	struct call *call;
	char place[PLACE_MAX];
} a, b;

static void
on_opened(void *self, struct session *session)
{
	struct side *s = self;

	if (s->peers != NULL)
		peers_opened(s->peers, session);
}

static void
on_failed(void *owner, const struct store_remote *remote, bool again,
    const struct err *why)
{
}

static void
on_reached(void *owner, struct session *s)
{
}

static void
on_accept(void *owner, struct net_conn *conn)
{
	struct side *s = owner;

	session_answer(s->node.hub, conn, NULL);
}

static void
on_called(void *owner, struct session *s, const struct err *why)
{
	((struct side *)owner)->call = NULL;
}

static void
open_side(struct side *s, const char *name)
{
	struct node_options options = { .no_discovery = true, .hub = {
		.follow = true, .opened = on_opened, .self = s } };
	struct err err;

	memset(s, 0, sizeof *s);
	site_make(&s->site, name);
	must(node_open(&s->node, s->site.store, &options, &err));
}

static void
close_side(struct side *s)
{
	if (s->call != NULL)
		call_stop(s->call);
	peers_close(s->peers);
	node_close(&s->node);
	site_close(&s->site);
}

static void
begin(const char *name_a, const char *name_b)
{
	static const struct peers_events events = { on_failed, on_reached };
	struct net *child[2];
	struct err err;

	memset(&far, 0, sizeof far);
	open_side(&a, name_a);
	open_side(&b, name_b);
	introduce(&a.site, &b.site);
	far.net.backend = &far_backend;
	uv_timer_init(&a.node.loop, &far.finding);
	uv_timer_init(&a.node.loop, &far.connecting);
	must(a.node.net->backend->listen(a.node.net, NULL, a.place, on_accept,
	    &a, &err));
	child[0] = a.node.net;
	child[1] = &far.net;
	must(several_new(child, 2, &a.node.net, &err));
	must(peers_open(&a.node, &events, &a, &a.peers, &err));
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Until something befalls one of them, or its time comes. */
static void
wait_for_either(void)
{
	uv_loop_t *loop[] = { &a.node.loop, &b.node.loop };
	struct pollfd fd[2];
	int i, ms, least = SOON_MS;

	for (i = 0; i < 2; i++) {
		fd[i] = (struct pollfd){ uv_backend_fd(loop[i]), POLLIN, 0 };
		ms = uv_backend_timeout(loop[i]);
		if (ms >= 0 && ms < least)
			least = ms;
	}
	poll(fd, 2, least);
}

#define soon(condition) do { \
	uint64_t end_ = now() + SOON_MS; \
	while (!(condition)) { \
		node_turn(&a.node, UV_RUN_NOWAIT); \
		node_turn(&b.node, UV_RUN_NOWAIT); \
		wait_for_either(); \
		if (now() > end_) \
			fail_msg("not soon: %s", #condition); \
	} \
} while (0)

static void
b_calls_over_the_near_network(void)
{
	struct store_remote remote;
	const char *port = strrchr(a.place, ':');
	struct err err;

	must(store_remote_by_key(b.site.store, a.site.key, &remote, &err));
	snprintf(remote.place, sizeof remote.place, "127.0.0.1%s", port);
	must(call_start(&b.node, &remote, 5000, on_called, &b, &b.call, &err));
	soon(hub_find(a.node.hub, b.site.key) != NULL
	    && hub_find(b.node.hub, a.site.key) != NULL);
}

static void
a_far_call_ends_when_a_near_session_opens(void **state)
{
	begin("a0", "b0");
	soon(far.called == 1);
	b_calls_over_the_near_network();
	soon(far.stopped == 1);
	assert_false(session_is_far(hub_find(a.node.hub, b.site.key)));
	close_side(&b);
	close_side(&a);
}

static void
a_far_session_is_not_tried_any_more_when_a_near_one_opens(void **state)
{
	begin("a1", "b1");
	far.answers = true;
	soon(far.handed == 1);
	assert_int_equal(far.ended, 0);
	/* it is tried, some time later */
	soon(far.conn.events != NULL);
	b_calls_over_the_near_network();
	soon(far.ended == 1);
	assert_false(session_is_far(hub_find(a.node.hub, b.site.key)));
	close_side(&b);
	close_side(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_far_call_ends_when_a_near_session_opens),
		TEST(a_far_session_is_not_tried_any_more_when_a_near_one_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

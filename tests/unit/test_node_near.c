// SPDX-License-Identifier: MPL-2.0
/* Two databases that are connected over a near and a far network: which of both
 * connections stays.  In virtual time, on a network in memory. */
#include "test_store_site.h"

#include "net/memory.h"
#include "node/hub.h"
#include "node/session.h"

enum { SIDES = 2 };

static struct side {
	struct site site;
	struct hub *hub;
	struct net *net;
	uint64_t wake_at;
} side[SIDES];

static struct memnet *memnet;
static bool far_now;            /* what is connected now is far */

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

/* Each alarm looks whether it is due: those taken back ring as well. */
static void
on_alarm(void *owner)
{
	struct side *s = owner;

	if (s->hub == NULL || memnet_now(memnet) < s->wake_at)
		return;
	s->wake_at = HUB_NEVER;
	hub_tick(s->hub);
}

static void
env_wake(void *self, uint64_t at)
{
	struct side *s = self;
	uint64_t now = memnet_now(memnet);

	s->wake_at = at;
	if (at != HUB_NEVER)
		assert_int_equal(memnet_after(memnet, at > now ? at - now : 0,
		    on_alarm, s), 0);
}

static void
on_accept(void *owner, struct net_conn *conn)
{
	struct side *s = owner;
	struct err err;

	conn->far = far_now;
	must(session_answer(s->hub, conn, &err));
}

static void
begin(void)
{
	static const struct memnet_faults none;
	static char names[SIDES][16];
	static int times;
	struct hub_options options = { .follow = true };
	struct net_options net = { .lan = NET_LAN_OFF };
	char place[PLACE_MAX];
	struct net_env env;
	struct err err;
	int i;

	memset(side, 0, sizeof side);
	memnet = memnet_new(1, &none);
	assert_non_null(memnet);
	env = memnet_env(memnet);
	for (i = 0; i < SIDES; i++) {
		struct side *s = &side[i];
		struct hub_env henv = { env_now, env_date, env_wake, s };

		snprintf(names[i], sizeof names[i], "%c%d", "ab"[i], times);
		site_make(&s->site, names[i]);
		s->wake_at = HUB_NEVER;
		net.memnet = memnet;
		net.key = s->site.key;
		must(net_memory.open(&env, &net, &s->net, &err));
		must(s->net->backend->listen(s->net, NULL, place, on_accept, s,
		    &err));
		must(hub_new(s->site.store, &henv, &options, &s->hub, &err));
	}
	introduce(&side[0].site, &side[1].site);
	times++;
}

static void
on_pass(void *owner)
{
	*(bool *)owner = true;
}

static void
pass(uint64_t ms)
{
	bool over = false;

	assert_int_equal(memnet_after(memnet, ms, on_pass, &over), 0);
	while (!over)
		assert_true(memnet_step(memnet));
}

static void
on_connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct side *s = owner;
	const struct side *other = &side[s == side];
	struct store_remote remote;
	struct session *session;
	struct err err;

	assert_non_null(conn);
	conn->far = far_now;
	must(store_remote_by_key(s->site.store, other->site.key, &remote,
	    &err));
	must(session_call(s->hub, conn, &remote, NULL, NULL, &session, &err));
}

/* That side calls the other one. */
static void
call(int who, bool far)
{
	struct side *s = &side[who];
	char place[ADDR_TEXT_LEN + 1];
	struct net_connect *connect;
	struct err err;

	far_now = far;
	addr_format(side[!who].site.key, place);
	must(s->net->backend->connect(s->net, place, 5000, on_connected, s,
	    &connect, &err));
	pass(200);
}

/* Both have one session, and it is that. */
static void
have(bool far)
{
	const struct session *s;
	int i;

	for (i = 0; i < SIDES; i++) {
		s = hub_find(side[i].hub, side[!i].site.key);
		assert_non_null(s);
		assert_int_equal(session_is_far(s), far);
		assert_null(hub_next(side[i].hub, s));
	}
}

static void
end(void)
{
	int i;

	for (i = 0; i < SIDES; i++) {
		hub_free(side[i].hub);
		side[i].hub = NULL;
	}
	memnet_free(memnet);
	for (i = 0; i < SIDES; i++)
		site_close(&side[i].site);
}

static void
a_near_one_replaces_a_far_one(void **state)
{
	int caller;

	for (caller = 0; caller < SIDES; caller++) {
		begin();
		call(0, true);
		have(true);
		call(caller, false);
		have(false);
		end();
		begin();
		call(0, true);
		pass(60000);
		call(caller, false);
		have(false);
		end();
	}
}

static void
a_far_one_that_comes_at_the_same_time_is_not_taken(void **state)
{
	int caller;

	for (caller = 0; caller < SIDES; caller++) {
		begin();
		call(0, false);
		call(caller, true);
		have(false);
		end();
	}
}

static void
a_far_one_that_comes_later_tells_that_the_near_one_is_lost(void **state)
{
	begin();
	call(0, false);
	pass(10000);
	call(1, true);
	have(true);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_near_one_replaces_a_far_one),
		TEST(a_far_one_that_comes_at_the_same_time_is_not_taken),
		TEST(a_far_one_that_comes_later_tells_that_the_near_one_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

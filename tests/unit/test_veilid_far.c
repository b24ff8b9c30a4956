// SPDX-License-Identifier: MPL-2.0
/*
 * The parts of the network "veilid" at real nodes: VEILID_APIS names the sockets
 * of three of one network, which can be used.  Says how long things take.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <cmocka.h>

#include <uv.h>

#include "base/ticks.h"
#include "veilid_party.h"

enum { PATIENCE = 90000 };

static uv_loop_t loop;
static struct party parties[4];
static char where[3][300];
static int64_t from;

static void
alarm_fired(uv_timer_t *timer)
{
}

/* Waits; what is how long that took. */
#define until(what, condition) do { \
	from = ticks_ms(); \
	while (!(condition) && ticks_ms() - from < PATIENCE) \
		uv_run(&loop, UV_RUN_ONCE); \
	if (!(condition)) \
		fail_msg("not in %d s: %s", PATIENCE / 1000, #condition); \
	if (what != NULL) \
		printf("# %-40s %6lld ms\n", (const char *)what, \
		    (long long)(ticks_ms() - from)); \
} while (0)

static void
pass(int ms)
{
	from = ticks_ms();
	while (ticks_ms() - from < ms)
		uv_run(&loop, UV_RUN_ONCE);
}

static uint8_t
fresh_seed(void)
{
	uint8_t seed;

	uv_random(NULL, NULL, &seed, 1, 0, NULL);
	return seed;
}

static void
databases_find_each_other(void **state)
{
	struct party *a = &parties[0], *b = &parties[1], *c = &parties[2],
	    *d = &parties[3];
	size_t len, n, calls;
	const uint8_t *own;
	int i;

	/* a and d are at the first node */
	for (i = 0; i < 4; i++)
		party_open(&parties[i], &loop, where[i % 3],
		    (uint8_t)(fresh_seed() ^ i));
	until("ready, all", a->ready && b->ready && c->ready && d->ready);
	until("routes, all", a->routed && b->routed && c->routed && d->routed);

	/* we call ourselves, as the test of a route does */
	own = vnode_route(a->node, &len);
	printf("# blob of %zu bytes\n", len);
	party_import(a, own, len);
	until("import of our own", a->ended);
	assert_int_equal(a->fault, VFAULT_NONE);
	party_call(a, "x", 1);
	until("a call of ourselves", a->ended);
	assert_int_equal(a->fault, VFAULT_NONE);

	party_find(b, 0, a->key);
	pass(3000);
	party_publish(a);
	until("published", vpublish_when(a->publish, &a->why) > 0);
	until("found by who looked before", b->finds[0].found == 1);
	party_find(c, 0, a->key);
	until("found by who looked after", c->finds[0].found == 1);
	party_find(d, 0, a->key);
	until("found at the same node", d->finds[0].found == 1);
	party_import(b, b->finds[0].route, b->finds[0].route_len);
	until("imported", b->ended);
	for (i = 0; i < 3; i++) {
		party_call(b, "abc", 3);
		until("called", b->ended);
		assert_int_equal(b->fault, VFAULT_NONE);
		assert_memory_equal(b->answer, "cba", 3);
	}
	party_import(d, d->finds[0].route, d->finds[0].route_len);
	until("imported at the same node", d->ended);
	party_call(d, "abc", 3);
	until("called at the same node", d->ended);
	assert_int_equal(d->fault, VFAULT_NONE);
	assert_int_equal(a->calls, 4);
	assert_int_equal(d->calls, 0);

	for (n = 2; n < 5; n++) {
		vpublish_changed(a->publish);
		until("change heard by one", b->finds[0].found == n);
		until("and by the other", c->finds[0].found == n);
		until("and at the same node", d->finds[0].found == n);
	}
	/* one of a node's two, who looks for it too, ends */
	party_find(b, 1, a->key);
	until("found again", b->finds[1].found == 1);
	vfind_close(b->finds[1].find);
	b->finds[1].find = NULL;
	vpublish_changed(a->publish);
	until("change heard after one has ended", b->finds[0].found == n);

	/* its route ends without a word to others, and another is published */
	calls = a->calls;
	party_close(a);
	until("closed", a->closed);
	party_call(b, "abc", 3);
	until("a call by a route that ended", b->ended);
	printf("# which is fault %d\n", (int)b->fault);
	assert_int_not_equal(b->fault, VFAULT_NONE);
	{
		uint8_t seed = a->seed[0];

		party_open(a, &loop, where[0], seed);
	}
	until("ready again", a->ready && a->routed);
	party_publish(a);
	until("published again", vpublish_when(a->publish, &a->why) > 0);
	until("its new route heard", b->finds[0].found == n + 1);
	party_import(b, b->finds[0].route, b->finds[0].route_len);
	until(NULL, b->ended);
	party_call(b, "abc", 3);
	until("called again", b->ended);
	assert_int_equal(b->fault, VFAULT_NONE);
	(void)calls;

	party_withdraw(a);
	until("withdrawn", a->withdrawn);
	until("which is heard", b->finds[0].route_len == 0);
	for (i = 0; i < 4; i++)
		party_close(&parties[i]);
	until("all closed", a->closed && b->closed && c->closed && d->closed);
}

/* Nobody has such a key. */
static void
nobody_is_found(void **state)
{
	struct party *a = &parties[0];
	struct err why;

	party_open(a, &loop, where[0], 7);
	until(NULL, a->ready && a->routed);
	party_find(a, 0, a->key);
	until("told that there is no record",
	    (vfind_why(a->finds[0].find, &why), why.code == E_NOTFOUND));
	party_close(a);
	until(NULL, a->closed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(databases_find_each_other),
		cmocka_unit_test(nobody_is_found),
	};
	const char *apis = getenv("VEILID_APIS");
	uv_timer_t alarm;
	int failed;

	if (apis == NULL || sscanf(apis, "%290s %290s %290s", where[0] + 5,
	    where[1] + 5, where[2] + 5) != 3) {
		printf("1..0 # SKIP no Veilid nodes: VEILID_APIS names the "
		    "sockets of three\n");
		return 0;
	}
	memcpy(where[0], "unix:", 5);
	memcpy(where[1], "unix:", 5);
	memcpy(where[2], "unix:", 5);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &alarm);
	uv_timer_start(&alarm, alarm_fired, 100, 100);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	uv_close((uv_handle_t *)&alarm, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return failed;
}

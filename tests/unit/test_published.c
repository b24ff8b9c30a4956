// SPDX-License-Identifier: MPL-2.0
/* What a serve tells of Veilid's network, and how often.  In a time of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "node/node.h"
#include "node/published.h"

static struct {
	struct node node;
	struct published *p;
	struct err why;         /* what the network says */
	bool on, published;
	uint64_t passed;        /* ms */
	int told, troubles;
	char last[ERR_TEXT_MAX];
} w;

__attribute__((visibility("default"))) int
clock_gettime(clockid_t id, struct timespec *out)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, out);
	out->tv_sec = (time_t)(1000 + w.passed / 1000);
	out->tv_nsec = (long)(w.passed % 1000) * 1000000;
	return 0;
}

void __wrap_node_status(const struct node *n, struct net_status *out);

void
__wrap_node_status(const struct node *n, struct net_status *out)
{
	memset(out, 0, sizeof *out);
	out->veilid.on = w.on;
	out->veilid.why = w.why;
	out->veilid.published_ms = w.published;
	strcpy(out->veilid.version, "0.5.8");
}

static void
on_event(void *self, const struct node_event *e)
{
	if (e->kind == NODE_PUBLISHED)
		w.told++;
	else
		w.troubles++;
	snprintf(w.last, sizeof w.last, "%s", e->text);
}

static void
begin(void)
{
	memset(&w, 0, sizeof w);
	w.on = true;
	assert_int_equal(uv_loop_init(&w.node.loop), 0);
	assert_int_equal(published_open(&w.node, on_event, NULL, &w.p, NULL),
	    0);
}

static void
end(void)
{
	published_close(w.p);
	assert_int_equal(uv_run(&w.node.loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&w.node.loop), 0);
}

static void
pass(uint64_t ms)
{
	uint64_t until = w.passed + ms;
	int next;

	for (;;) {
		uv_run(&w.node.loop, UV_RUN_NOWAIT);
		next = uv_backend_timeout(&w.node.loop);
		if (w.passed >= until)
			return;
		if (next < 0 || (uint64_t)next > until - w.passed)
			next = (int)(until - w.passed);
		w.passed += (uint64_t)next;
	}
}

static void
be(int code, const char *text)
{
	err_clear(&w.why);
	if (code != 0)
		err_set(&w.why, code, NULL, "%s", text);
}

static void
one_that_is_published_is_told_of_once(void **state)
{
	begin();
	pass(1000);
	assert_int_equal(w.told + w.troubles, 0);
	w.published = true;
	pass(500);
	assert_int_equal(w.told, 1);
	assert_string_equal(w.last, "0.5.8");
	pass(3600000);
	assert_int_equal(w.told, 1);
	end();
}

static void
what_may_pass_has_time_to(void **state)
{
	begin();
	be(E_UNREACHABLE, "not yet");
	pass(PUBLISHED_PATIENCE_MS);
	assert_int_equal(w.troubles, 0);
	pass(1000);
	assert_int_equal(w.troubles, 1);
	pass(3600000);
	assert_int_equal(w.troubles, 1);
	be(E_REFUSED, "never");
	pass(PUBLISHED_LATER_MS);
	assert_int_equal(w.troubles, 2);
	assert_string_equal(w.last, "never");
	be(0, NULL);
	w.published = true;
	pass(PUBLISHED_LATER_MS);
	assert_int_equal(w.told, 1);
	end();
}

/* Each is told, and then ever more rarely. */
static void
troubles_in_turn_are_told_ever_more_rarely(void **state)
{
	int i;

	begin();
	for (i = 0; i < 86400; i += 5) {
		be(E_REFUSED, i % 10 == 0 ? "one" : "other");
		pass(5000);
		if (i == 5)
			assert_int_equal(w.troubles, 2);
	}
	assert_in_range(w.troubles, 20, 40);
	end();
}

/* Those that come after a time without any are told at once. */
static void
a_trouble_after_a_good_time_is_told_at_once(void **state)
{
	int i;

	begin();
	for (i = 0; i < 3600; i += 5) {
		be(E_REFUSED, i % 10 == 0 ? "one" : "other");
		pass(5000);
	}
	i = w.troubles;
	be(0, NULL);
	w.published = true;
	pass(10 * 3600000);
	be(E_REFUSED, "third");
	pass(PUBLISHED_LATER_MS);
	be(E_REFUSED, "fourth");
	pass(2 * PUBLISHED_LATER_MS);
	assert_int_equal(w.troubles, i + 2);
	end();
}

/* One that comes and goes is told as rarely, and so is that it went. */
static void
a_trouble_that_comes_and_goes_is_told_ever_more_rarely(void **state)
{
	int i;

	begin();
	w.published = true;
	for (i = 0; i < 86400; i += 10) {
		be(E_REFUSED, "no");
		pass(5000);
		be(0, NULL);
		pass(5000);
	}
	assert_in_range(w.troubles, 10, 60);
	assert_in_range(w.told, 10, 60);
	end();
}

static void
without_veilid_nothing_is_told(void **state)
{
	memset(&w, 0, sizeof w);
	assert_int_equal(uv_loop_init(&w.node.loop), 0);
	assert_int_equal(published_open(&w.node, on_event, NULL, &w.p, NULL),
	    0);
	assert_null(w.p);
	end();
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_is_published_is_told_of_once),
		TEST(what_may_pass_has_time_to),
		TEST(troubles_in_turn_are_told_ever_more_rarely),
		TEST(a_trouble_after_a_good_time_is_told_at_once),
		TEST(a_trouble_that_comes_and_goes_is_told_ever_more_rarely),
		TEST(without_veilid_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

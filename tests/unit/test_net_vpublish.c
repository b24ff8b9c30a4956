// SPDX-License-Identifier: MPL-2.0
/* Our record in Veilid's DHT: written in order, and again whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <cmocka.h>

#include "veilid_script.h"

#define P (&s.party)

static struct vrecord last;
static uint8_t *last_bytes;

/* What stands in the node, which has to be ours. */
static const struct vrecord *
written(void)
{
	size_t len;

	free(last_bytes);
	last_bytes = NULL;
	assert_int_equal(vmsg_bytes(s.data, VRECORD_MAX, &last_bytes, &len,
	    NULL), 0);
	assert_int_equal(vrecord_decode(last_bytes, len, P->key, &last, NULL),
	    0);
	assert_false(s.encrypted);
	return &last;
}

static uint64_t
now_ms(void)
{
	return P->env.now_ms(P);
}

static void
publish(void)
{
	script_until(P->ready && P->routed);
	s.log[0] = '\0';
	party_publish(P);
}

/* Until it was written n times. */
static void
sets(size_t n)
{
	script_until(s.sets == n && vpublish_when(P->publish, &P->why) > 0
	    && P->why.code == 0);
}

static void
it_is_made_and_opened_in_the_clear(void **state)
{
	char pair[100], address[ADDR_TEXT_LEN + 1];

	publish();
	sets(1);
	assert_string_equal(s.log, "place make close open set ");
	assert_int_equal(written()->route_len, 13);
	assert_memory_equal(last.route, "blob of own 1", 13);
	assert_in_range(last.expires, now_ms() / 1000 + 7000,
	    now_ms() / 1000 + 7200);
	addr_format(P->key, address);
	/* the seed is 32 bytes of 1 */
	snprintf(pair, sizeof pair,
	    "%s:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", address);
	assert_string_equal(s.writer, pair);
}

static void
one_that_exists_is_opened(void **state)
{
	s.exists = true;
	publish();
	sets(1);
	assert_string_equal(s.log, "place make open set ");
	/* and after the connection was lost, it is not made again */
	s.log[0] = '\0';
	stand_in_hang_up(&s.at);
	sets(2);
	assert_null(strstr(s.log, "make"));
	assert_memory_equal(written()->route, "blob of own 2", 13);
}

static void
anything_may_go_wrong(void **state)
{
	static const char *const steps[] = { "GetDhtRecordKey",
		"CreateDhtRecord", "CloseDhtRecord", "OpenDhtRecord",
		"SetDhtValue", "GetDhtValue" };
	static const char *const kinds[] = { "Timeout", "TryAgain",
		"NoConnection", "KeyNotFound", "Shutdown", "Generic",
		"Internal", "InvalidArgument", "Novelty" };
	size_t i, f, k, times, n = 0;

	for (i = 0; i < 6; i++)
	for (f = SCRIPT_ERROR; f < SCRIPT_FAULTS; f++)
	for (k = 0; k < sizeof kinds / sizeof *kinds; k++)
	for (times = 1; times <= 3; times++) {
		if (f != SCRIPT_ERROR && k > 0)
			continue;
		script_clear();
		script_init();
		s.op = steps[i];
		s.fault = (enum script_fault)f;
		s.kind = kinds[k];
		s.times = times;
		publish();
		script_pass(100000);
		script_until(P->ready && P->routed);
		vpublish_changed(P->publish);
		script_pass(130000);
		assert_true(vpublish_when(P->publish, &P->why) > 0);
		assert_int_equal(P->why.code, 0);
		assert_true(written()->route_len > 0);
		n++;
	}
	assert_true(n > 200);
}

static void
the_connection_may_end_anywhere(void **state)
{
	size_t cut;

	for (cut = 600; cut < 1300; cut += 3) {
		script_clear();
		script_init();
		s.at.cut = cut;
		script_until(P->routes > 0 || P->unreadies > 0);
		party_publish(P);
		script_pass(1000);
		s.at.cut = SIZE_MAX;
		script_pass(100000);
		assert_true(vpublish_when(P->publish, &P->why) > 0);
		assert_true(written()->route_len > 0);
	}
}

static void
what_is_newer_there_is_passed(void **state)
{
	s.newer = 3;
	publish();
	sets(4);
	assert_true(written()->route_len > 0);
	/* somebody who always was there later is given time */
	s.newer = 20;
	vpublish_changed(P->publish);
	script_pass(3000);
	assert_true(s.sets < 4 + 14);
	vpublish_when(P->publish, &P->why);
	assert_int_equal(P->why.code, E_UNREACHABLE);
	script_pass(700000);
	vpublish_when(P->publish, &P->why);
	assert_int_equal(P->why.code, 0);
}

static void
changes_in_a_row_are_one(void **state)
{
	uint8_t token[VRECORD_TOKEN_LEN];
	int i;

	publish();
	sets(1);
	memcpy(token, written()->token, sizeof token);
	for (i = 0; i < 10; i++)
		vpublish_changed(P->publish);
	sets(2);
	assert_memory_not_equal(written()->token, token, sizeof token);
	script_pass(10000);
	assert_int_equal(s.sets, 2);
	/* one that comes while it is written is not lost */
	s.op = "SetDhtValue";
	s.fault = SCRIPT_LATE;
	s.times = 1;
	vpublish_changed(P->publish);
	script_until(s.late != 0);
	memcpy(token, written()->token, sizeof token);
	vpublish_changed(P->publish);
	script_calls("own 1", "YWJj");          /* its answer is later */
	sets(4);
	assert_memory_not_equal(written()->token, token, sizeof token);
}

static void
it_is_written_before_it_expires(void **state)
{
	uint64_t expires;
	size_t n;

	publish();
	sets(1);
	expires = written()->expires;
	script_pass(VPUBLISH_LIFE_MS / 2 - 400000);
	assert_int_equal(s.sets, 1);
	script_pass(800000);
	assert_int_equal(s.sets, 2);
	assert_true(written()->expires > expires);
	/* the machine slept, or its clock was set */
	P->ahead_ms += 5 * 3600 * 1000;
	script_pass(400000);
	assert_int_equal(s.sets, 3);
	expires = written()->expires;
	P->ahead_ms -= 20 * 3600 * 1000;
	script_pass(400000);
	assert_int_equal(s.sets, 4);
	assert_true(written()->expires > expires);
	/* for long it is written each hour, or so */
	n = s.sets;
	script_pass(10ull * 3600 * 1000);
	assert_in_range(s.sets, n + 8, n + 11);
}

static void
routes_come_and_go(void **state)
{
	publish();
	sets(1);
	vpublish_route(P->publish, NULL, 0);
	vpublish_changed(P->publish);
	script_pass(20000);
	assert_int_equal(s.sets, 1);
	vpublish_route(P->publish, (const uint8_t *)"another", 7);
	sets(2);
	assert_int_equal(written()->route_len, 7);
}

/* One that goes while the record is being opened, too: one without a route would
 * say that it is withdrawn. */
static void
a_route_may_go_before_the_value(void **state)
{
	s.op = "OpenDhtRecord";
	s.fault = SCRIPT_LATE;
	s.times = 1;
	publish();
	script_until(s.late != 0);
	vpublish_route(P->publish, NULL, 0);
	script_calls("own 1", "YWJj");          /* its answer is later */
	script_pass(200000);
	assert_int_equal(s.sets, 0);
	vpublish_route(P->publish, (const uint8_t *)"another", 7);
	sets(1);
	assert_int_equal(written()->route_len, 7);
}

/* And while somebody else's value is gone beyond. */
static void
a_route_may_go_between_two_values(void **state)
{
	publish();
	sets(1);
	s.newer = 1;
	s.op = "SetDhtValue";
	s.fault = SCRIPT_LATE;
	s.times = 1;
	vpublish_changed(P->publish);
	script_until(s.late != 0);
	vpublish_route(P->publish, NULL, 0);
	script_calls("own 1", "YWJj");
	script_pass(200000);
	assert_true(written()->route_len > 0);
}

static void
it_is_withdrawn(void **state)
{
	publish();
	sets(1);
	vpublish_changed(P->publish);
	party_withdraw(P);
	script_until(P->withdrawn);
	assert_int_equal(written()->route_len, 0);
	/* nothing after that */
	vpublish_changed(P->publish);
	vpublish_route(P->publish, (const uint8_t *)"x", 1);
	script_pass(24ull * 3600 * 1000);
	assert_int_equal(s.sets, 2);
	/* not in reach, it waits until it is */
	script_clear();
	script_init();
	publish();
	s.op = "SetDhtValue";
	s.fault = SCRIPT_HANG_UP;
	s.times = 2;
	party_withdraw(P);
	script_until(P->withdrawn);
	assert_int_equal(written()->route_len, 0);
}

/* A value that nobody announces, of the same number: a write that was split. */
static void
another_there_is_written_over(void **state)
{
	char other[8192];

	publish();
	sets(1);
	script_record(1, now_ms() / 1000 + 9000, 7, 13, other);
	strcpy(s.data, other);
	script_pass(3000);
	assert_int_equal(s.sets, 2);
	assert_memory_equal(written()->route, "blob of own 1", 13);
	assert_int_equal(s.gets, 1);
	assert_int_equal(s.fresh, 1);
	script_pass(3600000 / 4);
	assert_int_equal(s.sets, 2);
	/* long after it was written, and what is no record */
	strcpy(s.data, "AAAA");
	script_pass(310000);
	assert_int_equal(s.sets, 3);
	assert_true(written()->route_len > 0);
	/* it is looked at often at first, then each five minutes */
	vpublish_changed(P->publish);
	sets(4);
	s.gets = 0;
	script_pass(3600000 / 2);
	assert_in_range(s.gets, 8, 10);
	assert_int_equal(s.sets, 4);
}

/* Somebody who writes another one each time is not raced with. */
static void
another_each_time_costs_little(void **state)
{
	publish();
	sets(1);
	s.op = "GetDhtValue";
	s.fault = SCRIPT_ODD;
	s.times = SIZE_MAX;
	script_pass(1800000);
	assert_in_range(s.sets, 8, 12);
}

/* A write that is said to be done and is not. */
static void
a_silent_write_is_noticed(void **state)
{
	s.op = "SetDhtValue";
	s.fault = SCRIPT_NULL;
	s.times = 2;
	publish();
	script_pass(20000);
	assert_int_equal(s.times, 0);
	assert_int_equal(s.sets, 1);
	assert_true(written()->route_len > 0);
}

/* What there is to write waits for no look at what stands there. */
static void
a_change_goes_before_a_look(void **state)
{
	publish();
	sets(1);
	s.op = "GetDhtValue";
	s.fault = SCRIPT_SILENCE;
	s.times = 1;
	script_until(s.times == 0);
	vpublish_changed(P->publish);
	script_pass(100);
	assert_int_equal(s.sets, 2);
}

/* The node has one opening for all its programs. */
static void
others_may_close_it(void **state)
{
	publish();
	sets(1);
	s.open = false;
	vpublish_changed(P->publish);
	sets(2);
	assert_non_null(strstr(s.log, "set set open set"));
}

static int
tear_down(void **state)
{
	script_clear();
	free(last_bytes);
	last_bytes = NULL;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_made_and_opened_in_the_clear),
		TEST(one_that_exists_is_opened),
		TEST(anything_may_go_wrong),
		TEST(the_connection_may_end_anywhere),
		TEST(what_is_newer_there_is_passed),
		TEST(changes_in_a_row_are_one),
		TEST(it_is_written_before_it_expires),
		TEST(routes_come_and_go),
		TEST(a_route_may_go_before_the_value),
		TEST(a_route_may_go_between_two_values),
		TEST(it_is_withdrawn),
		TEST(another_there_is_written_over),
		TEST(another_each_time_costs_little),
		TEST(a_silent_write_is_noticed),
		TEST(a_change_goes_before_a_look),
		TEST(others_may_close_it),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* The record of somebody in Veilid's DHT: found, watched, read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <cmocka.h>

#include "veilid_script.h"

#define P (&s.party)
#define F (&s.party.finds[0])

/* The key is that of the seed 1, which is the party's, too: it does not know. */
static void
there_is(uint64_t expires, uint8_t token, size_t route_len)
{
	s.exists = true;
	script_record(1, SCRIPT_EPOCH + script_ms() / 1000 + expires, token,
	    route_len, s.data);
}

static void
look(void)
{
	script_until(P->ready && P->routed);
	s.log[0] = '\0';
	party_find(P, 0, P->key);
}

static void
founds(size_t n)
{
	script_until(F->found == n);
}

static void
tell(const char *key, const char *subkeys, unsigned count, const char *data)
{
	if (data != NULL)
		script_update("\"ValueChange\",\"key\":\"%s\",\"subkeys\":%s,"
		    "\"count\":%u,\"value\":{\"seq\":1,\"data\":\"%s\","
		    "\"writer\":\"W\"}", key, subkeys, count, data);
	else
		script_update("\"ValueChange\",\"key\":\"%s\",\"subkeys\":%s,"
		    "\"count\":%u,\"value\":null", key, subkeys, count);
}

static void
it_is_found_and_watched(void **state)
{
	struct err why;

	there_is(7200, 1, 100);
	look();
	assert_null(vfind_record(F->find));
	vfind_why(F->find, &why);
	assert_int_not_equal(why.code, 0);
	founds(1);
	assert_string_equal(s.log, "place open watch get ");
	assert_int_equal(F->route_len, 100);
	assert_true(F->alive);
	assert_int_equal(F->token[0], 1);
	assert_int_equal(vfind_record(F->find)->route_len, 100);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, 0);
	/* the watch ends some time after nobody asks for it */
	assert_in_range(s.until / 1000, P->env.now_ms(P) + 5 * VFIND_POLL_MS,
	    P->env.now_ms(P) + 18 * VFIND_POLL_MS);
}

static void
anything_may_go_wrong(void **state)
{
	static const char *const steps[] = { "GetDhtRecordKey",
		"OpenDhtRecord", "WatchDhtValues", "GetDhtValue" };
	static const char *const kinds[] = { "Timeout", "TryAgain",
		"NoConnection", "KeyNotFound", "Shutdown", "Generic",
		"Internal", "InvalidArgument", "Novelty" };
	size_t i, f, k, times, n = 0;

	for (i = 0; i < 4; i++)
	for (f = SCRIPT_ERROR; f < SCRIPT_FAULTS; f++)
	for (k = 0; k < sizeof kinds / sizeof *kinds; k++)
	for (times = 1; times <= 3; times++) {
		if (f != SCRIPT_ERROR && k > 0)
			continue;
		script_clear();
		script_init();
		there_is(7200, 1, 100);
		s.op = steps[i];
		s.fault = (enum script_fault)f;
		s.kind = kinds[k];
		s.times = times;
		look();
		founds(1);
		s.times = 0;
		there_is(7300, 2, 50);
		script_pass(VFIND_POLL_MS + 100000);
		assert_int_equal(F->found, 2);
		assert_true(s.watched);
		n++;
	}
	assert_true(n > 150);
}

static void
the_connection_may_end_anywhere(void **state)
{
	size_t cut;

	for (cut = 600; cut < 1500; cut += 3) {
		script_clear();
		script_init();
		there_is(7200, 1, 100);
		s.at.cut = cut;
		script_until(P->routes > 0 || P->unreadies > 0);
		party_find(P, 0, P->key);
		script_pass(1000);
		s.at.cut = SIZE_MAX;
		founds(1);
		script_pass(100000);
		assert_int_equal(F->found, 1);
	}
}

static void
changes_are_heard(void **state)
{
	char value[8192];
	size_t gets;

	there_is(7200, 1, 100);
	look();
	founds(1);
	gets = s.gets;
	/* with the value in it */
	there_is(7300, 2, 100);
	strcpy(value, s.data);
	tell(SCRIPT_PLACE, "[[0,0]]", 9, value);
	founds(2);
	assert_int_equal(s.gets, gets);
	/* twice is once */
	tell(SCRIPT_PLACE, "[[0,0]]", 9, value);
	script_pass(1000);
	assert_int_equal(F->found, 2);
	/* without it */
	there_is(7400, 3, 0);
	tell(SCRIPT_PLACE, "[[0,0]]", 9, NULL);
	founds(3);
	assert_false(F->alive);
	/* one that is not its own: what it is, is asked for */
	there_is(7500, 4, 100);
	tell(SCRIPT_PLACE ":EEEE", "[[0,0]]", 9, "AAAA");
	founds(4);
	/* somebody else's */
	gets = s.gets;
	tell(SCRIPT_PLACE "x", "[[0,0]]", 9, value);
	tell("", "[[0,0]]", 9, value);
	script_pass(1000);
	assert_int_equal(F->found, 4);
	assert_int_equal(s.gets, gets);
}

static void
a_watch_that_is_over_is_made_again(void **state)
{
	char value[8192];
	size_t n;

	there_is(7200, 1, 100);
	look();
	founds(1);
	n = s.watches;
	tell(SCRIPT_PLACE, "[]", 0, NULL);
	script_until(s.watches == n + 1);
	there_is(7300, 2, 100);
	strcpy(value, s.data);
	tell(SCRIPT_PLACE, "[[0,0]]", 0, value);
	script_until(s.watches == n + 2);
	assert_int_equal(F->found, 2);
	/* and with each poll, whoever else may have ended it */
	script_pass(VFIND_POLL_MS + 1000);
	assert_int_equal(s.watches, n + 3);
}

static void
it_is_polled(void **state)
{
	size_t fresh;

	there_is(7200, 1, 100);
	look();
	founds(1);
	fresh = s.fresh;
	/* what the node holds costs nothing */
	there_is(7300, 2, 100);
	script_pass(40000);
	assert_int_equal(F->found, 2);
	assert_int_equal(s.fresh, fresh);
	script_pass(VFIND_POLL_MS);
	assert_int_equal(s.fresh, fresh + 1);
	script_pass(10 * VFIND_POLL_MS);
	assert_in_range(s.fresh, fresh + 10, fresh + 11);
	assert_int_equal(F->found, 2);
}

static void
what_is_not_its_own_is_passed_over(void **state)
{
	struct err why;

	s.exists = true;
	strcpy(s.data, "AAAA");                 /* another version */
	look();
	script_pass(5000);
	assert_int_equal(F->found, 0);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, E_REFUSED);
	script_record(2, SCRIPT_EPOCH + 1000000, 1, 100, s.data);
	script_pass(60000);
	assert_int_equal(F->found, 0);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, E_INTEGRITY);
	strcpy(s.data, "?");
	script_pass(60000);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, E_INTEGRITY);
	there_is(7200, 1, 100);
	founds(1);
	/* an older one, from whoever kept it */
	there_is(7000, 2, 100);
	script_pass(VFIND_POLL_MS);
	assert_int_equal(F->found, 1);
	assert_int_equal(vfind_record(F->find)->token[0], 1);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, 0);
	/* its clock was wrong by a month once: that is over some time */
	there_is(30 * 86400, 3, 100);
	founds(2);
	there_is(7200, 4, 100);
	founds(3);
}

static void
what_is_not_there_is_asked_for_with_patience(void **state)
{
	struct err why;
	size_t opens;

	look();
	script_pass(300000);
	assert_in_range(s.opens, 8, 12);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, E_NOTFOUND);
	/* nobody makes it faster */
	opens = s.opens;
	vfind_again(F->find);
	vfind_again(F->find);
	script_pass(5000);
	assert_in_range(s.opens, opens, opens + 1);
	/* made, but nothing in it */
	s.exists = true;
	script_pass(100000);
	vfind_why(F->find, &why);
	assert_int_equal(why.code, E_NOTFOUND);
	there_is(7200, 1, 100);
	founds(1);
}

static void
it_is_read_again_where_it_does_not_work(void **state)
{
	uint64_t from;
	size_t fresh;

	there_is(7200, 1, 100);
	look();
	founds(1);
	there_is(7300, 2, 100);
	fresh = s.fresh;
	from = script_ms();
	vfind_again(F->find);
	vfind_again(F->find);
	founds(2);
	assert_in_range(script_ms() - from, 0, 2 * VFIND_REST_MS);
	assert_int_equal(s.fresh, fresh + 1);
	/* asked for while it is read: once more after it */
	s.op = "GetDhtValue";
	s.fault = SCRIPT_LATE;
	s.times = 1;
	vfind_again(F->find);
	script_until(s.late != 0);
	vfind_again(F->find);
	there_is(7400, 3, 100);
	script_calls("own 1", "YWJj");          /* its answer is later */
	founds(3);
}

static void
others_may_close_it(void **state)
{
	there_is(7200, 1, 100);
	look();
	founds(1);
	s.open = s.watched = false;
	there_is(7300, 2, 100);
	script_pass(40000);
	assert_int_equal(F->found, 2);
	assert_true(s.watched);
	assert_true(s.open);
}

/* A node that can't watch is read all the same. */
static void
it_works_without_a_watch(void **state)
{
	there_is(7200, 1, 100);
	s.op = "WatchDhtValues";
	s.fault = SCRIPT_ERROR;
	s.kind = "Generic";
	s.times = SIZE_MAX;
	look();
	founds(1);
	there_is(7300, 2, 100);
	founds(2);
	/* and watched as soon as it can be */
	s.times = 0;
	script_pass(40000);
	assert_true(s.watched);
}

/* Two look for the same, and one ends. */
static void
one_of_two_may_end(void **state)
{
	there_is(7200, 1, 100);
	look();
	party_find(P, 1, P->key);
	script_until(F->found == 1 && P->finds[1].found == 1);
	vfind_close(P->finds[1].find);
	P->finds[1].find = NULL;
	script_pass(1000);
	assert_true(s.open);
	assert_true(s.watched);
	assert_null(strstr(s.log, "close"));
}

static int
set_up(void **state)
{
	script_init();
	return 0;
}

static int
tear_down(void **state)
{
	script_clear();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_found_and_watched),
		TEST(anything_may_go_wrong),
		TEST(the_connection_may_end_anywhere),
		TEST(changes_are_heard),
		TEST(a_watch_that_is_over_is_made_again),
		TEST(it_is_polled),
		TEST(what_is_not_its_own_is_passed_over),
		TEST(what_is_not_there_is_asked_for_with_patience),
		TEST(it_is_read_again_where_it_does_not_work),
		TEST(others_may_close_it),
		TEST(it_works_without_a_watch),
		TEST(one_of_two_may_end),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* A Veilid node as a network uses it: ready, reached, called; whatever it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <cmocka.h>

#include "veilid_script.h"

#define P (&s.party)

static const char *const kinds[] = { "Timeout", "TryAgain", "NoConnection",
	"InvalidTarget", "KeyNotFound", "Shutdown", "NotInitialized", "Generic",
	"Internal", "Novelty" };

static void
be_reached(void)
{
	script_until(P->ready && P->routed);
}

static bool
own_route_is(const char *blob)
{
	size_t len;
	const uint8_t *is = vnode_route(P->node, &len);

	return len == strlen(blob) && memcmp(is, blob, len) == 0;
}

static void
it_is_ready_when_in_reach(void **state)
{
	struct vnode_status st;
	struct err why;

	s.attached = false;
	vnode_why(P->node, &why);
	assert_int_equal(why.code, E_UNREACHABLE);
	assert_int_equal(vnode_request(P->node, json_pack("{s:s}", "op", "X"),
	    1, NULL, NULL, NULL, NULL), E_UNREACHABLE);
	script_pass(5000);
	assert_false(P->ready);
	vnode_status(P->node, &st);
	assert_true(st.connected);
	assert_string_equal(st.version, "0.5.8");
	assert_string_equal(st.state, "Attaching");
	vnode_why(P->node, &why);
	assert_non_null(strstr(why.text, "Attaching"));
	assert_int_equal(s.routes, 0);
	script_update("\"Attachment\",\"state\":\"AttachedGood\","
	    "\"public_internet_ready\":true");
	be_reached();
	vnode_why(P->node, &why);
	assert_int_equal(why.code, 0);
	assert_true(own_route_is("blob of own 1"));
	/* not in reach for a while: the route is kept */
	script_update("\"Attachment\",\"state\":\"Detached\","
	    "\"public_internet_ready\":false");
	script_until(!P->ready);
	assert_true(P->routed);
	script_update("\"Attachment\",\"state\":\"AttachedGood\","
	    "\"public_internet_ready\":true");
	script_until(P->ready);
	script_pass(20000);
	assert_int_equal(P->routes, 1);
	assert_int_equal(s.routes, 1);
}

/* An update comes while the state is asked for: which is newer is not known. */
static void
a_state_that_crosses_an_update_is_asked_for_again(void **state)
{
	s.crosses = true;
	be_reached();
	assert_non_null(strstr(s.log, "state context state"));
	assert_int_equal(P->unreadies, 0);
}

static void
a_route_is_tried_for_with_patience(void **state)
{
	uint64_t from;

	s.op = "NewPrivateRoute";
	s.fault = SCRIPT_ERROR;
	s.kind = "TryAgain";
	s.times = 6;
	script_until(P->ready);
	from = script_ms();
	be_reached();
	/* 200, 400 ... */
	assert_in_range(script_ms() - from, 200 * 62, 200 * 64);
	assert_int_equal(P->routes, 1);
}

/* Whatever goes wrong at any step, some times: in the end it is reached. */
static void
anything_may_go_wrong(void **state)
{
	static const char *const steps[] = { "GetState", "NewRoutingContext",
		"NewPrivateRoute", "ImportRemotePrivateRoute" };
	size_t i, f, k, times, calls, n = 0;
	char route[32];

	for (i = 0; i < 4; i++)
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
		be_reached();
		assert_int_equal(P->readies, P->unreadies + 1);
		assert_int_equal(P->routes, P->unroutes + 1);
		/* it hears its calls */
		s.times = 0;
		script_pass(1000);
		calls = P->calls;
		snprintf(route, sizeof route, "own %zu", s.routes);
		script_calls(route, "YWJj");
		script_until(P->calls == calls + 1);
		n++;
	}
	assert_true(n > 200);
}

/* The connection ends after each byte that the node says. */
static void
the_connection_may_end_anywhere(void **state)
{
	size_t cut, n, i;

	for (cut = 0; cut < 700; cut++) {
		script_clear();
		script_init();
		s.at.cut = cut;
		script_until(s.at.connections > 0 && !s.at.connected);
		s.at.cut = SIZE_MAX;
		be_reached();
		assert_int_equal(P->readies, P->unreadies + 1);
		assert_int_equal(P->routes, P->unroutes + 1);
	}
	/* and any number of times once it is there; the last one's route, which
	 * the node may have kept, is ended */
	for (n = 1; n < 5; n++) {
		s.released = 0;
		i = P->routes;
		stand_in_hang_up(&s.at);
		script_until(P->routes == i + 1);
		assert_int_equal(P->readies, P->unreadies + 1);
		assert_int_equal(P->routes, P->unroutes + 1);
		assert_int_equal(P->why.code, E_UNREACHABLE);
		assert_int_equal(s.released, 2);
	}
}

/* The node was not there for many attempts, but is the same one. */
static void
what_is_left_in_a_node_is_ended_however_late(void **state)
{
	size_t i;

	be_reached();
	s.released = 0;
	i = P->routes;
	stand_in_stop(&s.at);
	script_pass(5000);
	stand_in_start(&s.at);
	script_until(P->routes == i + 1);
	assert_int_equal(s.released, 2);
}

/* What can't be told to others is no route of ours, and is not left at the node. */
static void
a_route_that_is_too_long_is_given_back(void **state)
{
	s.long_routes = 2;
	be_reached();
	assert_int_equal(s.routes, 3);
	assert_int_equal(P->routes, 1);
	assert_true(own_route_is("blob of own 3"));
	assert_int_equal(s.released, 4);
}

static void
only_calls_by_our_route_are_heard(void **state)
{
	static char much[(VSEGMENT_MAX + 3) / 3 * 4 + 1];
	int other;

	for (other = 0; other < 2; other++) {
		script_clear();
		script_init();
		s.other_names = other;
		be_reached();
		script_calls("own 2", "YWJj");
		script_calls("", "YWJj");
		script_calls("peer", "YWJj");
		script_calls("own 1-imports", "YWJj");
		script_calls("own 1", "YWJ");           /* no base64 */
		script_calls("own 1", "YWJj=");
		memset(much, 'A', sizeof much - 1);     /* too long */
		script_calls("own 1", much);
		script_pass(1000);
		assert_int_equal(P->calls, 0);
		assert_int_equal(s.replies, 0);
		script_calls("own 1", "YWJj");
		script_calls(other ? "own 1-import" : "own 1", "YWJj");
		script_until(s.replies == 2);
		assert_int_equal(P->calls, 2);
		assert_string_equal(s.reply, "Y2Jh");
		/* a test of ours, or anybody's */
		script_calls("own 1", "AA");
		script_until(s.replies == 3);
		assert_string_equal(s.reply, "AA");
		assert_int_equal(P->calls, 2);
		/* nothing at all is one, too */
		script_calls("own 1", "");
		script_until(s.replies == 4);
		assert_int_equal(P->calls, 3);
	}
}

static void
imports_and_calls_end_as_they_do(void **state)
{
	size_t i, f;

	be_reached();
	party_import(P, (const uint8_t *)"blob of peer", 12);
	script_until(P->ended);
	assert_string_equal(P->import, "peer");
	party_call(P, "xyz", 3);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_NONE);
	assert_int_equal(P->answer_len, 3);
	assert_memory_equal(P->answer, "abc", 3);
	script_update("\"RouteChange\",\"dead_routes\":[],"
	    "\"dead_remote_routes\":[\"x\",5,\"peer\"]");
	script_until(P->deads == 2);
	assert_string_equal(P->import, "");
	party_call(P, "xyz", 3);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_NO_CONNECTION);
	party_import(P, (const uint8_t *)"nonsense", 8);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_REFUSED);
	for (i = 0; i < 2; i++)
		for (f = SCRIPT_NULL; f <= SCRIPT_SILENCE; f++) {
			strcpy(P->import, "peer");
			s.op = i == 0 ? "AppCall" : "ImportRemotePrivateRoute";
			s.fault = (enum script_fault)f;
			s.times = 1;
			if (i == 0)
				party_call(P, "xyz", 3);
			else
				party_import(P, (const uint8_t *)
				    "blob of peer", 12);
			script_until(P->ended);
			assert_int_equal(P->fault, f == SCRIPT_SILENCE
			    ? VFAULT_TIMEOUT : VFAULT_REFUSED);
		}
	strcpy(P->import, "peer");
	s.fault = SCRIPT_HANG_UP;
	s.op = "AppCall";
	s.times = 1;
	party_call(P, "xyz", 3);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_CLOSED);
}

static void
a_dead_route_is_replaced(void **state)
{
	be_reached();
	script_update("\"RouteChange\",\"dead_routes\":[\"own 7\",\"\"],"
	    "\"dead_remote_routes\":[\"own 1\"]");
	script_pass(1000);
	assert_int_equal(P->unroutes, 0);
	script_update("\"RouteChange\",\"dead_routes\":[\"own 7\",\"own 1\"],"
	    "\"dead_remote_routes\":[]");
	script_until(P->routes == 2);
	assert_int_equal(P->unroutes, 1);
	assert_true(own_route_is("blob of own 2"));
	/* the old one is nobody's now */
	script_calls("own 1", "YWJj");
	script_pass(1000);
	assert_int_equal(P->calls, 0);
}

/* Where nothing comes we call ourselves; what does not come back is replaced. */
static void
a_route_that_died_in_silence_is_found(void **state)
{
	size_t imports;

	be_reached();
	imports = s.imports;
	script_pass(VNODE_TEST_MS - 10);
	assert_int_equal(s.imports, imports);
	script_pass(1000);
	assert_int_equal(s.imports, imports + 1);
	assert_int_equal(s.replies, 1);
	assert_int_equal(P->calls, 0);
	/* calls of others tell as much */
	script_pass(VNODE_TEST_MS / 2);
	script_calls("own 1", "YWJj");
	script_pass(VNODE_TEST_MS - 10);
	assert_int_equal(s.imports, imports + 1);
	/* a test that fails once is made again */
	s.hides = true;
	script_pass(1000 + VNODE_CALL_MS);
	assert_int_equal(s.imports, imports + 2);
	s.hides = false;
	script_pass(VNODE_TEST_AGAIN_MS + 1000);
	assert_int_equal(s.imports, imports + 3);
	assert_int_equal(s.routes, 1);
	/* and then there is another; the old one stays until it is there */
	s.hides = true;
	s.op = "NewPrivateRoute";
	s.fault = SCRIPT_ERROR;
	s.kind = "TryAgain";
	s.times = 3;
	script_until(s.routes == 2);
	s.hides = false;
	be_reached();
	script_pass(1000);
	assert_int_equal(P->unroutes, 0);
	assert_int_equal(P->routes, 2);
	assert_true(own_route_is("blob of own 2"));
	assert_int_equal(s.released, 2);
}

/* It died while nobody could be reached, in the middle of a test. */
static void
a_route_is_tested_when_others_are_in_reach_again(void **state)
{
	be_reached();
	s.hides = true;
	script_pass(VNODE_TEST_MS + VNODE_CALL_MS + VNODE_TEST_AGAIN_MS + 5000);
	assert_int_equal(s.routes, 1);
	script_update("\"Attachment\",\"state\":\"Detached\","
	    "\"public_internet_ready\":false");
	script_pass(100000);
	assert_int_equal(s.routes, 1);
	script_update("\"Attachment\",\"state\":\"AttachedGood\","
	    "\"public_internet_ready\":true");
	script_pass(60000);
	assert_true(s.routes >= 2);
}

static void
a_context_that_is_lost_is_made_again(void **state)
{
	be_reached();
	strcpy(P->import, "peer");
	s.op = "AppCall";
	s.fault = SCRIPT_INVALID_ID;
	s.times = 1;
	party_call(P, "xyz", 3);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_HANDLE);
	script_until(P->unreadies == 1 && P->ready);
	assert_int_equal(s.contexts, 2);
	assert_int_equal(P->unroutes, 0);
	party_call(P, "xyz", 3);
	script_until(P->ended);
	assert_int_equal(P->fault, VFAULT_NONE);
}

/* It may be closed whenever that is; a route that is there or comes is ended. */
static void
it_may_be_closed_at_any_time(void **state)
{
	size_t turns, i;

	for (turns = 0; turns < 60; turns++) {
		script_clear();
		script_init();
		for (i = 0; i < turns; i++)
			uv_run(&s.loop, UV_RUN_NOWAIT);
		party_close(P);
		script_until(P->closed);
		assert_int_equal(s.released, 2 * s.routes);
	}
	assert_int_equal(s.routes, 1);
}

static void
the_end_does_not_wait_for_long(void **state)
{
	uint64_t from;

	be_reached();
	strcpy(P->import, "peer");
	s.op = "AppCall";
	s.fault = SCRIPT_SILENCE;
	s.times = 1;
	party_call(P, "xyz", 3);
	script_until(s.times == 0);
	s.op = "ReleasePrivateRoute";
	s.times = 2;
	from = script_ms();
	party_close(P);
	script_until(P->closed);
	assert_in_range(script_ms() - from, 1, VNODE_END_MS + 1000);
	assert_false(P->ended);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, \
    script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_ready_when_in_reach),
		TEST(a_state_that_crosses_an_update_is_asked_for_again),
		TEST(a_route_is_tried_for_with_patience),
		TEST(anything_may_go_wrong),
		TEST(the_connection_may_end_anywhere),
		TEST(what_is_left_in_a_node_is_ended_however_late),
		TEST(a_route_that_is_too_long_is_given_back),
		TEST(only_calls_by_our_route_are_heard),
		TEST(imports_and_calls_end_as_they_do),
		TEST(a_dead_route_is_replaced),
		TEST(a_route_that_died_in_silence_is_found),
		TEST(a_route_is_tested_when_others_are_in_reach_again),
		TEST(a_context_that_is_lost_is_made_again),
		TEST(it_may_be_closed_at_any_time),
		TEST(the_end_does_not_wait_for_long),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* The client of a Veilid node's JSON API, against a stand-in for the node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "net/vapi.h"
#include "veilid_stand_in.h"

enum { CALLS = 300, LONG = 60000 };

/* One request, and what became of it. */
struct asked {
	struct vapi_call *call;
	int ended;              /* times */
	int code;
	enum vfault fault;
	char value[100];        /* as JSON */
};

static struct {
	uv_loop_t loop;
	struct stand_in node;
	struct vapi *api;
	struct asked asked[CALLS];
	size_t n, ended;
	size_t ups, downs, updates, closed;
	struct err why;         /* of the last on_down */
	struct vapi_version version;
	char call[100];         /* of the last update */
	bool hurry;             /* after each on_down */
	uint64_t down_at[8];
	size_t close_in;        /* callback of that number, from 1, closes */
	size_t callbacks;
} w;

static void
have_closed(void *owner)
{
	w.closed++;
}

static void
close_api(void)
{
	vapi_close(w.api, have_closed, NULL);
	w.api = NULL;
}

/* Each callback counts: with close_in set one of them gives all up. */
static void
tick(void)
{
	assert_non_null(w.api);
	if (++w.callbacks == w.close_in)
		close_api();
}

static void
on_up(void *owner, const struct vapi_version *version)
{
	w.ups++;
	w.version = *version;
	tick();
}

static void
on_down(void *owner, const struct err *why)
{
	if (w.downs < 8)
		w.down_at[w.downs] = uv_now(&w.loop);
	w.downs++;
	w.why = *why;
	assert_false(vapi_up(w.api));
	if (w.hurry)
		vapi_hurry(w.api);
	tick();
}

static void
on_update(void *owner, const struct vupdate *u)
{
	w.updates++;
	snprintf(w.call, sizeof w.call, "%s",
	    u->call != NULL ? u->call : "");
	tick();
}

static const struct vapi_events events = {
	.on_up = on_up,
	.on_down = on_down,
	.on_update = on_update,
};

static void
done(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct asked *a = owner;
	char *text;

	assert_true((why == NULL) == (fault == VFAULT_NONE));
	a->ended++;
	a->fault = fault;
	a->code = why != NULL ? why->code : 0;
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	snprintf(a->value, sizeof a->value, "%s", text != NULL ? text : "");
	free(text);
	w.ended++;
	tick();
}

static void
done_and_again(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	done(owner, value, fault, why);
	assert_int_equal(vapi_call(w.api, json_pack("{s:s}", "op", "X"), LONG,
	    done, NULL, NULL, NULL), E_UNREACHABLE);
}

static int
ask_for(const char *op, uint32_t ms, vapi_done_fn *fn)
{
	struct asked *a = &w.asked[w.n];
	struct err err;
	int rc;

	assert_in_range(w.n, 0, CALLS - 1);
	rc = vapi_call(w.api, json_pack("{s:s}", "op", op), ms, fn, a,
	    &a->call, &err);
	if (rc == 0)
		w.n++;
	return rc;
}

static int
ask(const char *op)
{
	return ask_for(op, LONG, done);
}

/* A test that hangs is ended by the runner. */
#define run_until(condition) do { \
	while (!(condition)) \
		uv_run(&w.loop, UV_RUN_ONCE); \
} while (0)

/* ---- what the stand-in does ---- */

static const char *
op_of(const json_t *request)
{
	return json_string_value(json_object_get(request, "op"));
}

static long
id_of(const json_t *request)
{
	return (long)json_integer_value(json_object_get(request, "id"));
}

static bool
greet(struct stand_in *s, const json_t *request, const char *version)
{
	if (strcmp(op_of(request), "VeilidVersion") != 0)
		return false;
	stand_in_sayf(s, "{\"type\":\"Response\",\"id\":%ld,\"op\":"
	    "\"VeilidVersion\",%s}\n", id_of(request), version);
	return true;
}

static bool
greet_well(struct stand_in *s, const json_t *request)
{
	return greet(s, request, "\"major\":0,\"minor\":5,\"patch\":8");
}

static void
answer(struct stand_in *s, long id, const char *value)
{
	stand_in_sayf(s, "{\"type\":\"Response\",\"id\":%ld,\"value\":%s}\n", id,
	    value);
}

/* The value is the operation's name. */
static void
echo(struct stand_in *s, const json_t *request)
{
	char value[100];

	if (greet_well(s, request))
		return;
	snprintf(value, sizeof value, "\"%s\"", op_of(request));
	answer(s, id_of(request), value);
}

static void
silent(struct stand_in *s, const json_t *request)
{
	greet_well(s, request);
}

static void
mute(struct stand_in *s, const json_t *request)
{
}

/* Answers three requests together, the last first. */
static void
backwards(struct stand_in *s, const json_t *request)
{
	static long ids[3];
	static size_t n;
	char value[30];

	if (greet_well(s, request))
		return;
	ids[n++] = id_of(request);
	if (n < 3)
		return;
	while (n > 0) {
		n--;
		snprintf(value, sizeof value, "\"%zu\"", n);
		answer(s, ids[n], value);
	}
}

/* ---- the tests ---- */

static void
open_api(void)
{
	assert_int_equal(vapi_open(&w.loop, w.node.where, false, &events,
	    NULL, &w.api, NULL), 0);
}

static void
come_up(void)
{
	open_api();
	run_until(w.ups == 1);
}

static void
versions_are_told(void **state)
{
	w.node.on_request = echo;
	open_api();
	assert_false(vapi_up(w.api));
	assert_int_equal(ask("Early"), E_UNREACHABLE);
	run_until(w.ups == 1);
	assert_true(vapi_up(w.api));
	assert_int_equal(w.version.minor, 5);
	assert_int_equal(w.version.patch, 8);
	assert_int_equal(w.downs, 0);
}

static const char *told;

static void
tell(struct stand_in *s, const json_t *request)
{
	greet(s, request, told);
}

static void
another_dialect_is_refused(void **state)
{
	static const char *const all[] = {
		"\"major\":0,\"minor\":6,\"patch\":0",
		"\"major\":1,\"minor\":5,\"patch\":0",
		"\"major\":0,\"minor\":4,\"patch\":8",
		"\"major\":\"0\",\"minor\":5,\"patch\":8",
		"\"minor\":5,\"patch\":8",
		"\"major\":-0.5,\"minor\":5,\"patch\":8",
		"\"error\":{\"kind\":\"Unimplemented\"}", "\"value\":\"0.5.8\"" };
	size_t i;

	w.node.on_request = tell;
	w.hurry = true;
	for (i = 0; i < sizeof all / sizeof *all; i++) {
		told = all[i];
		if (i == 0)
			open_api();
		run_until(w.downs == i + 1);
		assert_int_equal(w.why.code, E_REFUSED);
		if (i == 0)
			assert_non_null(strstr(w.why.text, "0.6.0"));
	}
	assert_int_equal(w.ups, 0);
	/* it was upgraded meanwhile */
	told = "\"major\":0,\"minor\":5,\"patch\":99";
	run_until(w.ups == 1);
}

static void
answers_find_their_request(void **state)
{
	w.node.on_request = backwards;
	come_up();
	assert_int_equal(ask("A"), 0);
	assert_int_equal(ask("B"), 0);
	assert_int_equal(ask("C"), 0);
	run_until(w.ended == 3);
	assert_string_equal(w.asked[0].value, "\"0\"");
	assert_string_equal(w.asked[1].value, "\"1\"");
	assert_string_equal(w.asked[2].value, "\"2\"");
	assert_int_equal(w.asked[0].code, 0);
}

/* An answer like all others amid what is new, other clients', or long over. */
static void
chatter(struct stand_in *s, const json_t *request)
{
	if (!greet_well(s, request)) {
		stand_in_sayf(s, "\n{\"type\":\"Update\",\"kind\":\"Network\","
		    "\"peers\":[{\"n\":1.5}],\"big\":99999999999999999999}\n"
		    "{\"type\":\"Update\",\"kind\":\"Novelty\"}\r\n"
		    "{\"type\":\"Novelty\"}\n"
		    "{\"type\":\"Response\",\"id\":77777,\"value\":1}\n"
		    "{\"type\":\"Update\",\"kind\":\"AppCall\",\"new\":{},"
		    "\"route_id\":\"R\",\"message\":\"\",\"call_id\":\"5\"}\n");
		answer(s, id_of(request), "{\"new\":null}");
	}
}

static void
what_is_unknown_is_ignored(void **state)
{
	w.node.on_request = chatter;
	come_up();
	ask("A");
	run_until(w.ended == 1);
	assert_string_equal(w.asked[0].value, "{\"new\":null}");
	assert_int_equal(w.updates, 1);
	assert_string_equal(w.call, "5");
	assert_int_equal(w.downs, 0);
}

static const char *error_kind;

static void
err_so(struct stand_in *s, const json_t *request)
{
	if (!greet_well(s, request))
		stand_in_sayf(s, "{\"type\":\"Response\",\"id\":%ld,\"error\":"
		    "{\"kind\":\"%s\",\"message\":\"m\"}}\n", id_of(request),
		    error_kind);
}

static void
errors_are_told_by_kind(void **state)
{
	w.node.on_request = err_so;
	come_up();
	error_kind = "TryAgain";
	ask("A");
	run_until(w.ended == 1);
	assert_int_equal(w.asked[0].fault, VFAULT_TRY_AGAIN);
	assert_int_equal(w.asked[0].code, E_UNREACHABLE);
	error_kind = "Novelty";
	ask("A");
	run_until(w.ended == 2);
	assert_int_equal(w.asked[1].fault, VFAULT_REFUSED);
	assert_int_equal(w.downs, 0);
}

static const char *nonsense;
static size_t nonsense_len;

static void
babble(struct stand_in *s, const json_t *request)
{
	if (!greet_well(s, request))
		stand_in_say(s, nonsense, nonsense_len);
}

static void
nonsense_ends_the_connection(void **state)
{
	static char much[VMSG_LINE_MAX + 100];
	static const char *const all[] = { "garbage\n", "{\"type\":\n", "[]\n",
		"\x16\x03\x01\xff\n", "{\"type\":\"Response\"}\n",
		"HTTP/1.1 400 Bad Request\r\n" };
	size_t n = sizeof all / sizeof *all, i;

	w.node.on_request = babble;
	w.hurry = true;
	open_api();
	for (i = 0; i < n + 2; i++) {
		/* a line without end, and one that is too deep */
		memset(much, i == n ? 'x' : '[', sizeof much);
		nonsense = i < n ? all[i] : much;
		nonsense_len = i < n ? strlen(all[i]) : sizeof much;
		if (i > n)
			much[1000] = '\n';
		run_until(w.ups == i + 1);
		assert_int_equal(ask_for("A", LONG, done_and_again), 0);
		run_until(w.downs == i + 1);
		assert_int_equal(w.why.code, E_INTEGRITY);
		assert_int_equal(w.asked[i].ended, 1);
		assert_int_equal(w.asked[i].fault, VFAULT_CLOSED);
		assert_int_equal(w.asked[i].code, E_UNREACHABLE);
	}
}

/* All that it says comes in pieces of one byte. */
static void
stutter(struct stand_in *s, const json_t *request)
{
	static const char update[] = "{\"type\":\"Update\",\"kind\":\"AppCall\","
	    "\"message\":\"\",\"call_id\":\"9\"}\n";
	char text[200];
	size_t i;

	if (greet_well(s, request))
		return;
	for (i = 0; i < sizeof update - 1; i++)
		stand_in_say(s, update + i, 1);
	snprintf(text, sizeof text,
	    "{\"type\":\"Response\",\"id\":%ld,\"value\":7}\n", id_of(request));
	for (i = 0; text[i] != '\0'; i++)
		stand_in_say(s, text + i, 1);
	if (s->cut != SIZE_MAX)
		stand_in_hang_up(s);
}

/* The node dies after each byte in turn: each request hears of it, once, and
 * the next connection works. */
static void
a_connection_may_end_anywhere(void **state)
{
	size_t cut, ups, ended = 0, answered = 0;

	w.node.on_request = stutter;
	w.node.cut = 0;
	w.hurry = true;
	open_api();
	for (cut = 0; answered < 4 && cut < 1000; cut++) {
		w.node.cut = cut;
		ups = w.ups;
		run_until(w.downs > cut || w.ups > ups);
		/* one dialogue at each cut */
		if (w.ups > ups && vapi_up(w.api)) {
			w.n = 0;
			w.asked[0].ended = 0;
			assert_int_equal(ask_for("A", LONG, done), 0);
			run_until(w.downs == cut + 1);
			assert_int_equal(w.asked[0].ended, 1);
			ended++;
			answered += w.asked[0].fault == VFAULT_NONE;
		} else {
			run_until(w.downs == cut + 1);
		}
		assert_false(vapi_up(w.api));
	}
	assert_true(ended > 100 && answered == 4 && w.updates > 4);
	w.node.cut = SIZE_MAX;
	ups = w.ups;
	run_until(w.ups > ups);
	w.n = 0;
	ask("A");
	run_until(w.ended == ended + 1);
	assert_string_equal(w.asked[0].value, "7.0");
}

static void
requests_are_bounded(void **state)
{
	char *much = malloc(VAPI_REQUEST_MAX + 1);
	size_t i;

	memset(much, 'x', VAPI_REQUEST_MAX);
	much[VAPI_REQUEST_MAX] = '\0';
	w.node.on_request = silent;
	come_up();
	assert_int_equal(ask(much), E_USAGE);
	assert_int_equal(ask("\xff"), E_USAGE);
	for (i = 0; i < VAPI_CALLS_MAX; i++)
		assert_int_equal(ask("A"), 0);
	assert_int_equal(ask("A"), E_HELD);
	vapi_forget(w.asked[7].call);
	assert_int_equal(ask("A"), 0);
	assert_int_equal(ask("A"), E_HELD);
	stand_in_hang_up(&w.node);
	run_until(w.downs == 1);
	assert_int_equal(w.ended, VAPI_CALLS_MAX);
	assert_int_equal(w.asked[7].ended, 0);
	free(much);
}

static size_t big_taken;

/* From its second request on it reads no more. */
static void
go_deaf(struct stand_in *s, const json_t *request)
{
	if (!greet_well(s, request))
		uv_read_stop((uv_stream_t *)s->conn);
}

static void
bytes_are_bounded(void **state)
{
	char *much = malloc(VAPI_REQUEST_MAX / 2 + 1);
	int rc;

	memset(much, 'x', VAPI_REQUEST_MAX / 2);
	much[VAPI_REQUEST_MAX / 2] = '\0';
	w.node.on_request = go_deaf;
	come_up();
	ask("A");
	run_until(w.node.requests == 2);
	for (big_taken = 0; (rc = ask(much)) == 0; big_taken++)
		assert_in_range(big_taken, 0, 20);
	assert_int_equal(rc, E_HELD);
	assert_true(big_taken >= 7);
	free(much);
}

static long late_id;

static void
be_late(struct stand_in *s, const json_t *request)
{
	if (greet_well(s, request))
		return;
	if (strcmp(op_of(request), "Late") == 0) {
		late_id = id_of(request);
		return;
	}
	answer(s, late_id, "\"late\"");
	answer(s, id_of(request), "\"early\"");
}

static void
a_request_has_its_time(void **state)
{
	w.node.on_request = be_late;
	come_up();
	ask_for("Late", 20, done);
	ask_for("Late", LONG, done);
	run_until(w.ended == 1);
	assert_int_equal(w.asked[0].fault, VFAULT_TIMEOUT);
	assert_int_equal(w.asked[0].code, E_UNREACHABLE);
	vapi_forget(w.asked[1].call);
	/* its answer is for nobody now */
	ask("B");
	run_until(w.ended == 2);
	assert_string_equal(w.asked[2].value, "\"early\"");
	assert_int_equal(w.asked[0].ended, 1);
	assert_int_equal(w.asked[1].ended, 0);
	assert_int_equal(w.downs, 0);
}

/* Waits that grow, until somebody says that the node is there. */
static void
it_waits_for_the_node(void **state)
{
	w.node.on_request = echo;
	stand_in_stop(&w.node);
	open_api();
	run_until(w.downs == 4);
	assert_int_equal(w.why.code, E_UNREACHABLE);
	assert_true(w.down_at[1] - w.down_at[0] >= 1 * VAPI_RETRY_MIN_MS);
	assert_true(w.down_at[2] - w.down_at[1] >= 2 * VAPI_RETRY_MIN_MS);
	assert_true(w.down_at[3] - w.down_at[2] >= 4 * VAPI_RETRY_MIN_MS);
	stand_in_start(&w.node);
	vapi_hurry(w.api);
	run_until(w.ups == 1);
	assert_int_equal(w.downs, 4);
	ask("A");
	run_until(w.ended == 1);
	/* and it is started anew */
	stand_in_stop(&w.node);
	run_until(w.downs == 5);
	stand_in_start(&w.node);
	vapi_hurry(w.api);
	run_until(w.ups == 2);
	ask("B");
	run_until(w.ended == 2);
	assert_string_equal(w.asked[1].value, "\"B\"");
}

/* Updates before the version is known, an answer, an update, an end. */
static void
all_kinds(struct stand_in *s, const json_t *request)
{
	static const char update[] = "{\"type\":\"Update\",\"kind\":\"AppCall\","
	    "\"message\":\"\",\"call_id\":\"9\"}\n";

	stand_in_say(s, update, sizeof update - 1);
	if (greet_well(s, request))
		return;
	answer(s, id_of(request), "1");
	stand_in_hang_up(s);
}

/* Whatever callback it is in which the owner gives up: it is the last. */
static void
it_may_be_closed_in_any_callback(void **state)
{
	size_t at, n, i, ended;

	/* up, update, answer, another's end, down */
	for (at = 1; at <= 5; at++) {
		w.node.on_request = all_kinds;
		w.callbacks = w.ended = w.n = 0;
		w.close_in = at;
		n = w.ups;
		open_api();
		run_until(w.ups > n);
		if (w.api != NULL) {
			memset(w.asked, 0, sizeof w.asked);
			ask("A");
			ask("B");
			run_until(w.api == NULL);
		}
		run_until(w.closed == at);
		assert_int_equal(w.callbacks, at);
		ended = 0;
		for (i = 0; i < w.n; i++)
			ended += (size_t)w.asked[i].ended;
		assert_int_equal(ended, w.ended);
	}
	assert_true(w.downs > 0);
}

/* Closed at once, while it connects, and while it waits for the version. */
static void
it_may_be_closed_at_any_time(void **state)
{
	int i;

	w.node.on_request = mute;
	for (i = 0; i < 5; i++) {
		open_api();
		for (int turn = 0; turn < i; turn++)
			uv_run(&w.loop, UV_RUN_NOWAIT);
		close_api();
		run_until(w.closed == (size_t)i + 1);
	}
	open_api();
	run_until(w.node.requests > 0);
	close_api();
	run_until(w.closed == 6);
	assert_int_equal(w.callbacks, 0);
}

/* Where all may write, somebody else may have put the socket. */
static void
another_users_socket_is_refused(void **state)
{
	uv_os_fd_t fd;

	if (geteuid() != 0) {
		fprintf(stderr, "# SKIP: another user's socket takes root\n");
		return;
	}
	w.node.on_request = echo;
	/* whose it is, is that of who listens */
	assert_int_equal(uv_fileno((uv_handle_t *)w.node.server, &fd), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(seteuid(0), 0);
	open_api();
	run_until(w.downs == 1);
	assert_int_equal(w.why.code, E_REFUSED);
	close_api();
	run_until(w.closed == 1);
	/* the user agreed */
	assert_int_equal(vapi_open(&w.loop, w.node.where, true, &events,
	    NULL, &w.api, NULL), 0);
	run_until(w.ups == 1);
}

/* A place of TCP, and nobody there. */
static void
a_port_of_this_machine_will_do(void **state)
{
	static uv_tcp_t taken;  /* closed only when the loop has run */
	struct sockaddr_in addr;
	char place[40];
	int len = sizeof addr;

	/* bound and not listening: nobody else can be there */
	uv_tcp_init(&w.loop, &taken);
	uv_ip4_addr("127.0.0.1", 0, &addr);
	assert_int_equal(uv_tcp_bind(&taken, (struct sockaddr *)&addr, 0), 0);
	uv_tcp_getsockname(&taken, (struct sockaddr *)&addr, &len);
	snprintf(place, sizeof place, "127.0.0.1:%u", ntohs(addr.sin_port));
	assert_int_equal(vapi_open(&w.loop, place, false, &events, NULL,
	    &w.api, NULL), E_REFUSED);
	assert_int_equal(vapi_open(&w.loop, "10.0.0.1:1", true, &events, NULL,
	    &w.api, NULL), E_USAGE);
	assert_int_equal(vapi_open(&w.loop, place, true, &events, NULL,
	    &w.api, NULL), 0);
	run_until(w.downs == 1);
	assert_int_equal(w.why.code, E_UNREACHABLE);
	uv_close((uv_handle_t *)&taken, NULL);
}

static int
set_up(void **state)
{
	memset(&w, 0, sizeof w);
	uv_loop_init(&w.loop);
	stand_in_init(&w.node, &w.loop);
	return 0;
}

static int
tear_down(void **state)
{
	size_t closed = w.closed;

	w.close_in = 0;
	if (w.api != NULL) {
		close_api();
		run_until(w.closed > closed);
	}
	stand_in_clear(&w.node);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&w.loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions_are_told),
		TEST(another_dialect_is_refused),
		TEST(answers_find_their_request),
		TEST(what_is_unknown_is_ignored),
		TEST(errors_are_told_by_kind),
		TEST(nonsense_ends_the_connection),
		TEST(a_connection_may_end_anywhere),
		TEST(requests_are_bounded),
		TEST(bytes_are_bounded),
		TEST(a_request_has_its_time),
		TEST(it_waits_for_the_node),
		TEST(it_may_be_closed_in_any_callback),
		TEST(it_may_be_closed_at_any_time),
		TEST(another_users_socket_is_refused),
		TEST(a_port_of_this_machine_will_do),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

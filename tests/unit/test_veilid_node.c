// SPDX-License-Identifier: MPL-2.0
/*
 * The client of Veilid's JSON API and our own node, built with the simulated
 * network (tools/veilid-node DIR simulation): VEILID_NODE names it.  What is
 * shown is that both speak the same dialect, and how the node ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "net/vapi.h"
#include "temp.h"
#include "veilid_party.h"

enum { NODES = 2, PATIENCE = 20000 };

struct client {
	struct vapi *api;
	bool up, ended;
	char call[64], route[64], bytes[64], key[128];
	bool changed;
	/* of the last request */
	json_t *value;
	enum vfault fault;
	int code;
};

static struct {
	uv_loop_t loop;
	char dir[TEMP_MAX], prefix[TEMP_MAX + 10];
	struct {
		uv_process_t process;
		uv_pipe_t input;
	} runs[3], *run;        /* the last is under way */
	bool exited;
	int64_t exit_code;
	int signal;
	struct client clients[NODES];
	size_t closed;
} w;

#define run_until(condition) do { \
	while (!(condition)) \
		uv_run(&w.loop, UV_RUN_ONCE); \
} while (0)

static void
on_up(void *owner, const struct vapi_version *version)
{
	((struct client *)owner)->up = true;
}

static void
on_down(void *owner, const struct err *why)
{
	((struct client *)owner)->up = false;
}

static void
keep(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text != NULL ? text : "");
}

static void
on_update(void *owner, const struct vupdate *u)
{
	struct client *c = owner;

	if (u->kind == VUPDATE_CALL) {
		keep(c->call, sizeof c->call, u->call);
		keep(c->route, sizeof c->route, u->route);
		keep(c->bytes, sizeof c->bytes, u->bytes);
	} else if (u->kind == VUPDATE_VALUE) {
		keep(c->key, sizeof c->key, u->key);
		c->changed = true;
	}
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
	struct client *c = owner;

	c->value = value != NULL ? json_deep_copy(value) : NULL;
	c->fault = fault;
	c->code = why != NULL ? why->code : 0;
	c->ended = true;
}

static void
begin(struct client *c, json_t *request)
{
	json_decref(c->value);
	c->value = NULL;
	c->ended = false;
	assert_int_equal(vapi_call(c->api, request, PATIENCE, done, c, NULL,
	    NULL), 0);
}

/* One request and its answer, which lasts until the next. */
static const json_t *
ask(struct client *c, json_t *request)
{
	begin(c, request);
	run_until(c->ended);
	return c->value;
}

static const char *
text(const json_t *v, const char *name)
{
	const char *t = json_string_value(json_object_get(v, name));

	assert_non_null(t);
	return t;
}

static void
have_exited(uv_process_t *process, int64_t code, int sig)
{
	w.exited = true;
	w.exit_code = code;
	w.signal = sig;
	uv_close((uv_handle_t *)process, NULL);
}

static void
start_nodes(void)
{
	char path[TEMP_MAX + 10];
	char *args[] = { getenv("VEILID_NODE"), (char[]){ "--api" }, path,
		(char[]){ "--simulate" }, (char[]){ "2" },
		(char[]){ "--until-eof" }, NULL };
	uv_stdio_container_t stdio[3] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE,
		  .data.stream = (uv_stream_t *)&w.run->input },
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
	};
	uv_process_options_t opt = { .file = args[0], .args = args,
		.exit_cb = have_exited, .stdio_count = 3, .stdio = stdio };

	strcpy(path, w.prefix);
	uv_pipe_init(&w.loop, &w.run->input, 0);
	assert_int_equal(uv_spawn(&w.loop, &w.run->process, &opt), 0);
}

static void
start_again(void)
{
	uv_close((uv_handle_t *)&w.run->input, NULL);
	w.exited = false;
	w.run++;
	start_nodes();
}

static void
connect_all(void)
{
	char where[TEMP_MAX + 40];
	int i;

	for (i = 0; i < NODES; i++) {
		snprintf(where, sizeof where, "unix:%s.%d", w.prefix, i + 1);
		assert_int_equal(vapi_open(&w.loop, where, false, &events,
		    &w.clients[i], &w.clients[i].api, NULL), 0);
	}
	for (i = 0; i < NODES; i++)
		run_until(w.clients[i].up);
}

static int
new_context(struct client *c)
{
	return (int)json_number_value(ask(c, json_pack("{s:s}", "op",
	    "NewRoutingContext")));
}

/* A record is written by one, watched and read by the other. */
static void
a_record_goes_from_node_to_node(void **state)
{
	struct client *a = &w.clients[0], *b = &w.clients[1];
	const json_t *v;
	int ca, cb;
	char key[128];

	connect_all();
	ca = new_context(a);
	cb = new_context(b);
	v = ask(a, json_pack("{s:s s:i s:s s:s s:{s:s s:i} s:n}", "op",
	    "RoutingContext", "rc_id", ca, "rc_op", "CreateDhtRecord", "kind",
	    "VLD0", "schema", "kind", "DFLT", "o_cnt", 1, "owner"));
	keep(key, sizeof key, text(v, "key"));
	ask(a, json_pack("{s:s s:i s:s s:s s:i s:s s:n}", "op",
	    "RoutingContext", "rc_id", ca, "rc_op", "SetDhtValue", "key", key,
	    "subkey", 0, "data", "aGVsbG8gMQ", "options"));
	assert_int_equal(a->code, 0);
	ask(b, json_pack("{s:s s:i s:s s:s s:n}", "op", "RoutingContext",
	    "rc_id", cb, "rc_op", "OpenDhtRecord", "key", key, "writer"));
	assert_int_equal(b->code, 0);
	ask(b, json_pack("{s:s s:i s:s s:s s:[[i,i]] s:n s:n}", "op",
	    "RoutingContext", "rc_id", cb, "rc_op", "WatchDhtValues", "key",
	    key, "subkeys", 0, 0, "expiration", "count"));
	assert_int_equal(b->code, 0);
	ask(a, json_pack("{s:s s:i s:s s:s s:i s:s s:n}", "op",
	    "RoutingContext", "rc_id", ca, "rc_op", "SetDhtValue", "key", key,
	    "subkey", 0, "data", "aGVsbG8gMg", "options"));
	run_until(b->changed);
	assert_string_equal(b->key, key);
	v = ask(b, json_pack("{s:s s:i s:s s:s s:i s:b}", "op",
	    "RoutingContext", "rc_id", cb, "rc_op", "GetDhtValue", "key", key,
	    "subkey", 0, "force_refresh", 1));
	assert_string_equal(text(v, "data"), "aGVsbG8gMg");
}

/* A call by a private route, and its answer. */
static void
a_call_goes_by_a_route(void **state)
{
	struct client *a = &w.clients[0], *b = &w.clients[1];
	const json_t *v;
	char route[64];
	int cb;

	connect_all();
	cb = new_context(b);
	v = ask(a, json_pack("{s:s}", "op", "NewPrivateRoute"));
	v = ask(b, json_pack("{s:s s:s}", "op", "ImportRemotePrivateRoute",
	    "blob", text(v, "blob")));
	assert_int_equal(b->code, 0);
	keep(route, sizeof route, json_string_value(v));
	begin(b, json_pack("{s:s s:i s:s s:{s:s} s:s}", "op",
	    "RoutingContext", "rc_id", cb, "rc_op", "AppCall", "target",
	    "RouteId", route, "message", "cXVlc3Rpb24"));
	run_until(a->call[0] != '\0');
	/* the simulation names it as the caller does */
	assert_string_equal(a->route, route);
	assert_string_equal(a->bytes, "cXVlc3Rpb24");
	ask(a, json_pack("{s:s s:s s:s}", "op", "AppCallReply", "call_id",
	    a->call, "message", "YW5zd2Vy"));
	assert_int_equal(a->code, 0);
	run_until(b->ended);
	assert_string_equal(json_string_value(b->value), "YW5zd2Vy");
}

/* What a network would do comes from the simulation, if it is asked to. */
static void
errors_have_their_kind(void **state)
{
	static const struct {
		const char *mode;
		enum vfault fault;
	} all[] = {
		{ "try_again", VFAULT_TRY_AGAIN },
		{ "timeout", VFAULT_TIMEOUT },
		{ "generic", VFAULT_REFUSED },
	};
	struct client *a = &w.clients[0];
	char command[64];
	size_t i;
	int ca;

	connect_all();
	ca = new_context(a);
	for (i = 0; i < sizeof all / sizeof *all; i++) {
		snprintf(command, sizeof command,
		    "fault arm create %s --count 1", all[i].mode);
		ask(a, json_pack("{s:s s:s}", "op", "Debug", "command",
		    command));
		assert_int_equal(a->code, 0);
		ask(a, json_pack("{s:s s:i s:s s:s s:{s:s s:i} s:n}", "op",
		    "RoutingContext", "rc_id", ca, "rc_op", "CreateDhtRecord",
		    "kind", "VLD0", "schema", "kind", "DFLT", "o_cnt", 1,
		    "owner"));
		assert_int_equal(a->fault, all[i].fault);
	}
	ask(a, json_pack("{s:s s:i s:s}", "op", "RoutingContext", "rc_id", 99,
	    "rc_op", "Release"));
	assert_int_equal(a->fault, VFAULT_HANDLE);
	/* what it does not know ends the connection, not the node */
	begin(a, json_pack("{s:s}", "op", "Nonsense"));
	run_until(a->ended);
	assert_int_equal(a->fault, VFAULT_CLOSED);
	run_until(a->up);
}

/* A route ends with who had it made, however that ended. */
static void
routes_end_with_their_client(void **state)
{
	struct client *a = &w.clients[0], *b = &w.clients[1];
	char blob[128];

	connect_all();
	keep(blob, sizeof blob, text(ask(a, json_pack("{s:s}", "op",
	    "NewPrivateRoute")), "blob"));
	ask(b, json_pack("{s:s s:s}", "op", "ImportRemotePrivateRoute", "blob",
	    blob));
	assert_int_equal(b->code, 0);
	/* nonsense ends the connection */
	begin(a, json_pack("{s:s}", "op", "Nonsense"));
	run_until(a->ended);
	run_until(a->up);
	do
		ask(b, json_pack("{s:s s:s}", "op", "ImportRemotePrivateRoute",
		    "blob", blob));
	while (b->code == 0);
	assert_int_equal(b->fault, VFAULT_REFUSED);
}

/* ---- the parts of the network "veilid", at such nodes ---- */

static struct party parties[3];

/* The first two are at the first node. */
static void
come_together(void)
{
	char where[TEMP_MAX + 40];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(where, sizeof where, "unix:%s.%d", w.prefix,
		    i < 2 ? 1 : 2);
		party_open(&parties[i], &w.loop, where, (uint8_t)(i + 1));
	}
	for (i = 0; i < 3; i++)
		run_until(parties[i].ready && parties[i].routed);
}

static void
part(void)
{
	int i;

	for (i = 0; i < 3; i++)
		party_close(&parties[i]);
	for (i = 0; i < 3; i++)
		run_until(parties[i].closed);
}

/* One's record is found by others, at the same node and at another one; a call
 * by the route in it comes to that one only; changes are heard. */
static void
databases_find_each_other(void **state)
{
	struct party *a = &parties[0], *b = &parties[1], *c = &parties[2];
	uint8_t token[VRECORD_TOKEN_LEN];
	size_t n;

	come_together();
	party_find(c, 0, a->key);
	party_publish(a);
	party_find(b, 0, a->key);
	party_find(c, 1, a->key);
	run_until(b->finds[0].found && c->finds[0].found && c->finds[1].found);
	party_import(c, c->finds[0].route, c->finds[0].route_len);
	run_until(c->ended);
	assert_int_equal(c->fault, VFAULT_NONE);
	party_call(c, "abc", 3);
	run_until(c->ended);
	assert_int_equal(c->fault, VFAULT_NONE);
	assert_int_equal(c->answer_len, 3);
	assert_memory_equal(c->answer, "cba", 3);
	assert_int_equal(a->calls, 1);
	assert_int_equal(b->calls, 0);
	/* a byte is a test, and no call */
	party_call(c, "x", 1);
	run_until(c->ended);
	assert_int_equal(c->answer_len, 1);
	assert_int_equal(a->calls, 1);
	/* changes */
	for (n = 2; n < 5; n++) {
		memcpy(token, c->finds[0].token, sizeof token);
		vpublish_changed(a->publish);
		run_until(b->finds[0].found == n && c->finds[0].found == n
		    && c->finds[1].found == n);
		assert_memory_not_equal(c->finds[0].token, token,
		    sizeof token);
	}
	/* one of two that look ends */
	vfind_close(c->finds[1].find);
	c->finds[1].find = NULL;
	vpublish_changed(a->publish);
	run_until(c->finds[0].found == 5);
	party_withdraw(a);
	run_until(a->withdrawn && c->finds[0].found == 6);
	assert_int_equal(c->finds[0].route_len, 0);
	part();
}

/* The nodes are killed, and know nothing when they are back. */
static void
all_is_made_again(void **state)
{
	struct party *a = &parties[0], *c = &parties[2];

	come_together();
	party_publish(a);
	party_find(c, 0, a->key);
	run_until(c->finds[0].found == 1);
	uv_process_kill(&w.run->process, SIGKILL);
	run_until(w.exited && !a->ready && !a->routed && !c->ready);
	start_again();
	vnode_hurry(a->node);
	vnode_hurry(c->node);
	run_until(a->routes == 2 && c->finds[0].found == 2);
	party_import(c, c->finds[0].route, c->finds[0].route_len);
	run_until(c->ended);
	party_call(c, "abc", 3);
	run_until(c->ended);
	assert_int_equal(c->fault, VFAULT_NONE);
	part();
}

/* Its directory and its socket are this user's alone; it ends with whoever
 * started it, and its socket with it. */
static void
it_is_ours_alone_and_ends_with_us(void **state)
{
	char path[TEMP_MAX + 20];
	struct stat st;

	connect_all();
	snprintf(path, sizeof path, "%s.1", w.prefix);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	uv_close((uv_handle_t *)&w.run->input, NULL);
	run_until(w.exited);
	assert_int_equal(w.exit_code, 0);
	assert_int_equal(w.signal, 0);
	assert_int_not_equal(stat(path, &st), 0);
	run_until(!w.clients[0].up && !w.clients[1].up);
}

static void
it_ends_when_told(void **state)
{
	connect_all();
	uv_process_kill(&w.run->process, SIGTERM);
	run_until(w.exited);
	assert_int_equal(w.exit_code, 0);
	assert_int_equal(w.signal, 0);
}

/* Another would see what is sent, so it is not begun there. */
static void
it_wants_a_directory_of_its_own(void **state)
{
	connect_all();
	uv_process_kill(&w.run->process, SIGKILL);
	run_until(w.exited);
	/* what the killed one left is no hindrance, an open directory is */
	start_again();
	run_until(!w.clients[0].up);
	run_until(w.clients[0].up);
	uv_process_kill(&w.run->process, SIGTERM);
	run_until(w.exited);
	assert_int_equal(chmod(w.dir, 0755), 0);
	start_again();
	run_until(w.exited);
	assert_int_equal(w.exit_code, 1);
}

static int
set_up(void **state)
{
	memset(&w, 0, sizeof w);
	uv_loop_init(&w.loop);
	temp_name(w.dir, "veilid-node");
	if (mkdtemp(w.dir) == NULL)
		return -1;
	snprintf(w.prefix, sizeof w.prefix, "%s/api", w.dir);
	w.run = w.runs;
	start_nodes();
	return 0;
}

static void
have_closed(void *owner)
{
	w.closed++;
}

static int
tear_down(void **state)
{
	char path[TEMP_MAX + 20];
	int i;

	for (i = 0; i < NODES; i++) {
		json_decref(w.clients[i].value);
		w.closed += w.clients[i].api == NULL;
		if (w.clients[i].api != NULL)
			vapi_close(w.clients[i].api, have_closed, NULL);
	}
	if (!uv_is_closing((uv_handle_t *)&w.run->input))
		uv_close((uv_handle_t *)&w.run->input, NULL);
	run_until(w.closed == NODES && w.exited);
	for (i = 0; i < NODES; i++) {
		snprintf(path, sizeof path, "%s.%d", w.prefix, i + 1);
		unlink(path);
	}
	rmdir(w.dir);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&w.loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_goes_from_node_to_node),
		TEST(a_call_goes_by_a_route),
		TEST(errors_have_their_kind),
		TEST(routes_end_with_their_client),
		TEST(databases_find_each_other),
		TEST(all_is_made_again),
		TEST(it_is_ours_alone_and_ends_with_us),
		TEST(it_ends_when_told),
		TEST(it_wants_a_directory_of_its_own),
	};
	const char *node = getenv("VEILID_NODE");

	if (node == NULL || access(node, X_OK) != 0) {
		printf("1..0 # SKIP no Veilid node: tools/veilid-node DIR "
		    "simulation builds one, VEILID_NODE names it\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

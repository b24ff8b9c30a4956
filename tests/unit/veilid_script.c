// SPDX-License-Identifier: MPL-2.0
#include "veilid_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"

struct script s;

/* ---- time ---- */

static uint64_t passed;         /* in ms */

/* The clock of this program, libuv's and the parties'. */
__attribute__((visibility("default"))) int
clock_gettime(clockid_t id, struct timespec *out)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE
	    && id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, out);
	out->tv_sec = (time_t)((id == CLOCK_REALTIME ? SCRIPT_EPOCH : 1000)
	    + passed / 1000);
	out->tv_nsec = (long)(passed % 1000) * 1000000;
	return 0;
}

uint64_t
script_ms(void)
{
	return passed;
}

/* All that is to come through a socket has come after some turns. */
static void
settle(void)
{
	int i;

	for (i = 0; i < 8; i++)
		uv_run(&s.loop, UV_RUN_NOWAIT);
}

static void
go_on(uint64_t most)
{
	int next;

	settle();
	next = uv_backend_timeout(&s.loop);
	passed += next < 0 || (uint64_t)next > most ? most : (uint64_t)next;
}

void
script_turn(void)
{
	go_on(1000);
	settle();
}

void
script_pass(uint64_t ms)
{
	uint64_t end = passed + ms;

	while (passed < end)
		go_on(end - passed);
	settle();
}

/* ---- answers ---- */

static const char *
text_at(const json_t *in, const char *name)
{
	const char *t = json_string_value(json_object_get(in, name));

	return t != NULL ? t : "";
}

static void
say_answer(long id, const char *value)
{
	stand_in_sayf(&s.at, "{\"type\":\"Response\",\"id\":%ld,\"op\":\"X\","
	    "\"value\":", id);
	stand_in_say(&s.at, value, strlen(value));
	stand_in_say(&s.at, "}\n", 2);
}

static void
say_late(void)
{
	long id = s.late;

	s.late = 0;
	if (id != 0)
		say_answer(id, s.late_value);
}

static void
answer(long id, const char *value)
{
	say_answer(id, value);
	say_late();
}

static void
say_error(long id, const char *kind)
{
	stand_in_sayf(&s.at, "{\"type\":\"Response\",\"id\":%ld,\"op\":\"X\","
	    "\"error\":{\"kind\":\"%s\",\"message\":\"no\"}}\n", id, kind);
}

void
script_update(const char *fmt, ...)
{
	static char text[100000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	stand_in_sayf(&s.at, "{\"type\":\"Update\",\"kind\":");
	stand_in_say(&s.at, text, strlen(text));
	stand_in_say(&s.at, "}\n", 2);
}

void
script_calls(const char *route, const char *bytes)
{
	script_update("\"AppCall\",\"sender\":null,\"route_id\":\"%s\","
	    "\"message\":\"%s\",\"call_id\":\"77\"", route, bytes);
}

/* Whether the plan has it that this answer is wrong; says it. */
static bool
went_wrong(const char *op, long id, const char *value)
{
	if (s.op == NULL || strcmp(op, s.op) != 0 || s.times == 0
	    || s.fault == SCRIPT_NONE)
		return false;
	if (s.skip > 0) {
		s.skip--;
		return false;
	}
	s.times--;
	switch (s.fault) {
	case SCRIPT_ERROR:
		say_error(id, s.kind);
		break;
	case SCRIPT_NULL:
		answer(id, "null");
		break;
	case SCRIPT_ODD:
		answer(id, "[7]");
		break;
	case SCRIPT_LACKS:
		answer(id, "{\"x\":1}");
		break;
	case SCRIPT_LATE:
		s.late = id;
		strcpy(s.late_value, value);
		break;
	case SCRIPT_NONSENSE:
		stand_in_sayf(&s.at, "what?\n");
		break;
	case SCRIPT_HANG_UP:
		stand_in_hang_up(&s.at);
		break;
	case SCRIPT_HALF:
		stand_in_sayf(&s.at, "{\"type\":\"Response\",\"id\":%ld,\"va",
		    id);
		stand_in_hang_up(&s.at);
		break;
	case SCRIPT_INVALID_ID:
		stand_in_sayf(&s.at, "{\"type\":\"Response\",\"id\":%ld,"
		    "\"op\":\"RoutingContext\",\"rc_id\":1,\"rc_op\":"
		    "\"InvalidId\"}\n", id);
		break;
	default:
		break;
	}
	return true;
}

/* ---- operations: each makes a value, or names the error ---- */

static const char *
op_state(const json_t *r, char *value, size_t size)
{
	if (s.crosses)
		script_update("\"Attachment\",\"state\":\"Attaching\","
		    "\"public_internet_ready\":false");
	s.crosses = false;
	snprintf(value, size, "{\"attachment\":{\"state\":\"%s\","
	    "\"public_internet_ready\":%s,\"local_network_ready\":false},"
	    "\"network\":{\"started\":true,\"peers\":[]}}",
	    s.attached ? "AttachedFull" : "Attaching",
	    s.attached ? "true" : "false");
	return NULL;
}

static const char *
op_context(const json_t *r, char *value, size_t size)
{
	snprintf(value, size, "%zu", ++s.contexts);
	return NULL;
}

static const char *
op_new_route(const json_t *r, char *value, size_t size)
{
	char blob[VRECORD_ROUTE_MAX + 1] = "", text[8000];
	size_t n, len;

	s.routes++;
	len = (size_t)snprintf(blob, sizeof blob, "blob of own %zu", s.routes);
	if (s.long_routes > 0) {
		s.long_routes--;
		len = sizeof blob;
	}
	n = base64_encode(blob, len, text);
	snprintf(value, size, "{\"route_id\":\"own %zu\",\"blob\":\"%.*s\"}",
	    s.routes, (int)n, text);
	return NULL;
}

static const char *
op_import(const json_t *r, char *value, size_t size)
{
	const char *text = text_at(r, "blob");
	char blob[64] = "";

	s.imports++;
	if (base64_bytes(strlen(text)) >= sizeof blob
	    || !base64_decode(text, strlen(text), (uint8_t *)blob))
		return "ParseError";
	if (strncmp(blob, "blob of ", 8) != 0)
		return "ParseError";
	snprintf(value, size, "\"%s%s\"", blob + 8,
	    s.other_names ? "-import" : "");
	return NULL;
}

static const char *
op_release(const json_t *r, char *value, size_t size)
{
	s.released++;
	strcpy(value, "null");
	return NULL;
}

static const char *
op_call(const json_t *r, char *value, size_t size)
{
	const char *route = text_at(json_object_get(r, "target"), "RouteId");

	if (strncmp(route, "own", 3) == 0) {
		s.call = (long)json_integer_value(json_object_get(r, "id"));
		if (!s.hides)
			script_calls(route, text_at(r, "message"));
		return "";
	}
	if (strcmp(route, "peer") != 0)
		return "NoConnection";
	strcpy(value, "\"YWJj\"");
	return NULL;
}

static const char *
op_reply(const json_t *r, char *value, size_t size)
{
	char text[100];

	s.replies++;
	snprintf(s.reply, sizeof s.reply, "%s", text_at(r, "message"));
	if (s.call != 0) {
		snprintf(text, sizeof text, "\"%s\"", s.reply);
		say_answer(s.call, text);
	}
	s.call = 0;
	strcpy(value, "null");
	return NULL;
}

static const char *
op_place(const json_t *r, char *value, size_t size)
{
	strcpy(value, "\"" SCRIPT_PLACE "\"");
	return NULL;
}

static const char *
op_make(const json_t *r, char *value, size_t size)
{
	s.makes++;
	if (s.exists)
		return "Internal";
	s.exists = s.open = s.encrypted = true;
	strcpy(value, "{\"key\":\"" SCRIPT_PLACE ":EEEE\"}");
	return NULL;
}

static const char *
op_close(const json_t *r, char *value, size_t size)
{
	s.open = s.watched = false;
	strcpy(value, "null");
	return NULL;
}

static const char *
op_open(const json_t *r, char *value, size_t size)
{
	s.opens++;
	if (!s.exists)
		return "KeyNotFound";
	s.open = true;
	s.encrypted = strcmp(text_at(r, "key"), SCRIPT_PLACE) != 0;
	strcpy(value, "{\"key\":\"" SCRIPT_PLACE "\"}");
	return NULL;
}

static const char *
op_set(const json_t *r, char *value, size_t size)
{
	if (!s.open)
		return "InvalidArgument";
	s.sets++;
	if (s.newer > 0) {
		s.newer--;
		strcpy(value, "{\"seq\":9,\"data\":\"AAAA\",\"writer\":\"W\"}");
		return NULL;
	}
	snprintf(s.data, sizeof s.data, "%s", text_at(r, "data"));
	snprintf(s.writer, sizeof s.writer, "%s",
	    text_at(json_object_get(r, "options"), "writer"));
	strcpy(value, "null");
	return NULL;
}

static const char *
op_get(const json_t *r, char *value, size_t size)
{
	if (!s.open)
		return "InvalidArgument";
	s.gets++;
	s.fresh += json_is_true(json_object_get(r, "force_refresh"));
	if (s.data[0] == '\0')
		strcpy(value, "null");
	else
		snprintf(value, size, "{\"seq\":1,\"data\":\"%s\","
		    "\"writer\":\"W\"}", s.data);
	return NULL;
}

static const char *
op_watch(const json_t *r, char *value, size_t size)
{
	if (!s.open)
		return "InvalidArgument";
	s.watches++;
	s.watched = true;
	s.until = strtoull(text_at(r, "expiration"), NULL, 10);
	strcpy(value, "true");
	return NULL;
}

static const struct {
	const char *name, *in_log;
	const char *(*run)(const json_t *r, char *value, size_t size);
} ops[] = {
	{ "GetState", "state ", op_state },
	{ "NewRoutingContext", "context ", op_context },
	{ "NewPrivateRoute", "route ", op_new_route },
	{ "ImportRemotePrivateRoute", "import ", op_import },
	{ "ReleasePrivateRoute", "release ", op_release },
	{ "AppCall", "call ", op_call },
	{ "AppCallReply", "reply ", op_reply },
	{ "GetDhtRecordKey", "place ", op_place },
	{ "CreateDhtRecord", "make ", op_make },
	{ "CloseDhtRecord", "close ", op_close },
	{ "OpenDhtRecord", "open ", op_open },
	{ "SetDhtValue", "set ", op_set },
	{ "GetDhtValue", "get ", op_get },
	{ "WatchDhtValues", "watch ", op_watch },
};

static void
note(const char *what)
{
	size_t len = strlen(s.log);

	if (len + strlen(what) + 1 > sizeof s.log)
		len = 0;
	strcpy(s.log + len, what);
}

static void
on_request(struct stand_in *at, const json_t *r)
{
	const char *op = text_at(r, "op"), *error;
	long id = (long)json_integer_value(json_object_get(r, "id"));
	char value[9000] = "null";
	size_t i;

	if (strcmp(op, "VeilidVersion") == 0) {
		stand_in_sayf(at, "{\"type\":\"Response\",\"id\":%ld,\"op\":"
		    "\"VeilidVersion\",\"major\":0,\"minor\":5,\"patch\":8}\n",
		    id);
		return;
	}
	if (strcmp(op, "RoutingContext") == 0) {
		op = text_at(r, "rc_op");
		assert_int_equal(json_integer_value(json_object_get(r,
		    "rc_id")), s.contexts);
	}
	for (i = 0; strcmp(ops[i].name, op) != 0; i++)
		assert_true(i + 1 < sizeof ops / sizeof *ops);
	note(ops[i].in_log);
	/* what goes wrong is not done, but for what is lost after it */
	if (s.fault != SCRIPT_LATE && s.fault != SCRIPT_HALF
	    && went_wrong(op, id, value))
		return;
	error = ops[i].run(r, value, sizeof value);
	if (went_wrong(op, id, value))
		return;
	if (error == NULL)
		answer(id, value);
	else if (*error != '\0')
		say_error(id, error);
}

/* ---- begin and end ---- */

void
script_record(uint8_t seed, uint64_t expires, uint8_t token, size_t route_len,
    char out[static 8192])
{
	uint8_t secret[VRECORD_SEED_LEN], route[VRECORD_ROUTE_MAX];
	struct vrecord r = { .expires = expires, .route = route,
	    .route_len = route_len };
	struct buf b;

	memset(secret, seed, sizeof secret);
	memset(route, 'r', sizeof route);
	memset(r.token, token, sizeof r.token);
	buf_init(&b, VRECORD_MAX);
	assert_int_equal(vrecord_encode(&r, secret, &b, NULL), 0);
	out[base64_encode(b.data, b.len, out)] = '\0';
	buf_clear(&b);
}

void
script_init(void)
{
	memset(&s, 0, sizeof s);
	uv_loop_init(&s.loop);
	stand_in_init(&s.at, &s.loop);
	s.at.on_request = on_request;
	s.attached = true;
	party_open(&s.party, &s.loop, s.at.where, 1);
}

void
script_clear(void)
{
	party_close(&s.party);
	script_until(s.party.closed);
	stand_in_clear(&s.at);
	settle();
	assert_int_equal(uv_loop_close(&s.loop), 0);
}

int
script_set_up(void **state)
{
	script_init();
	return 0;
}

int
script_tear_down(void **state)
{
	script_clear();
	return 0;
}

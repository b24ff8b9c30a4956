// SPDX-License-Identifier: MPL-2.0
/* What a Veilid node says, line by line; and where it may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"
#include "net/vlink.h"
#include "net/vmsg.h"

static int
parse(const char *text, struct vmsg *m)
{
	return vmsg_parse(text, strlen(text), m, NULL);
}

static void
bytes_have_one_text(void **state)
{
	static const char *const bad[] = { "A", "AAAAA", "A=", "AB+A", "AB/A",
		"AB", "ABC", "A A", "\xc3\xa4" };
	uint8_t bytes[200], back[200];
	char text[300];
	size_t i, n;

	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (n = 0; n <= sizeof bytes; n++) {
		assert_int_equal(base64_encode(bytes, n, text),
		    base64_chars(n));
		assert_int_equal(base64_bytes(base64_chars(n)), n);
		assert_true(base64_decode(text, base64_chars(n), back));
		assert_memory_equal(back, bytes, n);
	}
	assert_int_equal(base64_encode("\xfb\xff", 2, text), 3);
	assert_memory_equal(text, "-_8", 3);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(base64_decode(bad[i], strlen(bad[i]), back));
}

static void
lines_come_in_any_pieces(void **state)
{
	static const char all[] = "one\n\ntwo\nthe third\n";
	static const char *const want[] = { "one", "", "two", "the third" };
	struct vlines l;
	const char *line;
	size_t step, at, n, len;

	for (step = 1; step < sizeof all; step++) {
		vlines_init(&l);
		n = 0;
		for (at = 0; at < sizeof all - 1; at += step) {
			assert_int_equal(vlines_add(&l, all + at,
			    at + step < sizeof all - 1 ? step
			    : sizeof all - 1 - at, NULL), 0);
			while (vlines_next(&l, &line, &len, NULL) == 1) {
				assert_int_equal(len, strlen(want[n]));
				assert_memory_equal(line, want[n], len);
				n++;
			}
		}
		assert_int_equal(n, 4);
		vlines_clear(&l);
	}
}

static void
a_line_has_a_maximum(void **state)
{
	char *much = malloc(VMSG_LINE_MAX + 2);
	struct vlines l;
	struct err err;
	const char *line;
	size_t len;

	memset(much, 'x', VMSG_LINE_MAX + 2);
	vlines_init(&l);
	/* as long as it may be */
	assert_int_equal(vlines_add(&l, much, VMSG_LINE_MAX, NULL), 0);
	assert_int_equal(vlines_next(&l, &line, &len, NULL), 0);
	assert_int_equal(vlines_add(&l, "\n", 1, NULL), 0);
	assert_int_equal(vlines_next(&l, &line, &len, NULL), 1);
	assert_int_equal(len, VMSG_LINE_MAX);
	/* one more, with its end or without */
	assert_int_equal(vlines_add(&l, much, VMSG_LINE_MAX + 1, NULL), 0);
	assert_int_equal(vlines_next(&l, &line, &len, &err), E_INTEGRITY);
	assert_int_equal(vlines_add(&l, "\n", 1, NULL), 0);
	assert_int_equal(vlines_next(&l, &line, &len, &err), E_INTEGRITY);
	vlines_clear(&l);
	free(much);
}

/* front, n times piece, and back */
static int
parse_many(const char *front, const char *piece, size_t n, const char *back)
{
	size_t each = strlen(piece), i;
	char *text = malloc(strlen(front) + n * each + strlen(back) + 1), *at;
	struct vmsg m;
	int rc;

	at = stpcpy(text, front);
	for (i = 0; i < n; i++)
		at = stpcpy(at, piece);
	strcpy(at, back);
	rc = parse(text, &m);
	vmsg_clear(&m);
	free(text);
	return rc;
}

static void
messages_are_bounded(void **state)
{
	static const char front[] = "{\"type\":\"Update\",\"kind\":\"X\",\"a\":";
	char back[100];

	memset(back, ']', sizeof back);
	back[VMSG_DEPTH_MAX - 1] = '}';
	back[VMSG_DEPTH_MAX] = '\0';
	assert_int_equal(parse_many(front, "[", VMSG_DEPTH_MAX - 1, back), 0);
	assert_int_equal(parse_many(front, "[", VMSG_DEPTH_MAX, back),
	    E_INTEGRITY);
	assert_int_equal(parse_many(front, "[", 1 << 20, ""), E_INTEGRITY);
	assert_int_equal(parse_many(front, "{\"a\":", 1 << 19, ""),
	    E_INTEGRITY);
	assert_int_equal(parse_many("{\"type\":\"Update\",\"kind\":\"X\",\"a\":[0",
	    ",0", VMSG_VALUES_MAX / 2, "]}"), 0);
	assert_int_equal(parse_many("{\"type\":\"Update\",\"kind\":\"X\",\"a\":[0",
	    ",0", VMSG_VALUES_MAX, "]}"), E_INTEGRITY);
	/* in a string it is text */
	assert_int_equal(parse_many("{\"type\":\"Update\",\"kind\":\"\\\"", "[{,",
	    VMSG_VALUES_MAX, "\"}"), 0);
}

static void
what_is_no_message_is_told(void **state)
{
	static const char *const bad[] = { "{", "}", "null", "[]", "1", "x",
		"{}", "{\"type\":1}", "{\"type\":\"Response\"}",
		"{\"type\":\"Response\",\"id\":\"1\"}",
		"{\"type\":\"Response\",\"id\":-1}",
		"{\"type\":\"Response\",\"id\":1.5}",
		"{\"type\":\"Response\",\"id\":4294967296}",
		"{\"type\":\"Response\",\"id\":1,\"id\":2}",
		"{\"type\":\"Update\"}", "{\"type\":\"Update\",\"kind\":null}",
		"{\"type\":\"Update\",\"kind\":\"a\\u0000b\"}",
		"{\"type\":\"Update\",\"kind\":\"\xff\"}",
		"{\"type\":\"Update\",\"kind\":\"X\"} x",
		"{\"type\":\"Update\",\"kind\":\"X\",\"n\":1e999}" };
	struct vmsg m;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(parse(bad[i], &m), E_INTEGRITY);
		assert_null(m.root);
	}
	assert_int_equal(vmsg_parse("{}\0", 3, &m, NULL), E_INTEGRITY);
}

static void
what_is_not_known_is_ignored(void **state)
{
	struct vupdate u;
	struct vmsg m;

	assert_int_equal(parse(" \t\r", &m), 0);
	assert_int_equal(m.type, VMSG_OTHER);
	assert_int_equal(parse("{\"type\":\"Novelty\",\"id\":7}", &m), 0);
	assert_int_equal(m.type, VMSG_OTHER);
	vmsg_clear(&m);
	assert_int_equal(parse("{\"type\":\"Update\",\"kind\":\"Novelty\","
	    "\"n\":18446744073709551615999}", &m), 0);
	assert_int_equal(m.type, VMSG_UPDATE);
	vmsg_update(&m, &u);
	assert_int_equal(u.kind, VUPDATE_OTHER);
	vmsg_clear(&m);
}

static void
answers_have_a_value_or_an_error(void **state)
{
	static const struct {
		const char *error;
		enum vfault fault;
		int code;
	} all[] = {
		{ "{\"kind\":\"Timeout\"}", VFAULT_TIMEOUT, E_UNREACHABLE },
		{ "{\"kind\":\"TryAgain\",\"message\":\"m\"}", VFAULT_TRY_AGAIN,
			E_UNREACHABLE },
		{ "{\"kind\":\"NoConnection\",\"message\":\"m\"}",
			VFAULT_NO_CONNECTION, E_UNREACHABLE },
		{ "{\"kind\":\"InvalidTarget\",\"message\":\"m\"}",
			VFAULT_TARGET, E_UNREACHABLE },
		{ "{\"kind\":\"KeyNotFound\",\"key\":\"k\"}", VFAULT_NOT_FOUND,
			E_NOTFOUND },
		{ "{\"kind\":\"Shutdown\"}", VFAULT_DOWN, E_UNREACHABLE },
		{ "{\"kind\":\"NotInitialized\"}", VFAULT_DOWN, E_UNREACHABLE },
		{ "{\"kind\":\"Generic\",\"message\":\"Timeout\"}",
			VFAULT_REFUSED, E_REFUSED },
		{ "{\"kind\":\"Novelty\",\"x\":[]}", VFAULT_REFUSED, E_REFUSED },
		{ "{\"kind\":5}", VFAULT_REFUSED, E_INTEGRITY },
		{ "\"text\"", VFAULT_REFUSED, E_INTEGRITY },
	};
	const json_t *value;
	enum vfault fault;
	char text[300];
	struct vmsg m;
	struct err err;
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++) {
		snprintf(text, sizeof text, "{\"type\":\"Response\",\"id\":9,"
		    "\"op\":\"X\",\"error\":%s}", all[i].error);
		assert_int_equal(parse(text, &m), 0);
		assert_int_equal(m.id, 9);
		err.code = vmsg_value(&m, &value, &fault, &err);
		assert_int_equal(err.code, all[i].code);
		assert_int_equal(fault, all[i].fault);
		assert_null(value);
		vmsg_clear(&m);
	}
	parse("{\"type\":\"Response\",\"id\":4294967295,\"op\":\"RoutingContext\","
	    "\"rc_id\":9,\"rc_op\":\"InvalidId\"}", &m);
	assert_int_equal(m.id, UINT32_MAX);
	assert_int_equal(vmsg_value(&m, &value, &fault, &err), E_REFUSED);
	assert_int_equal(fault, VFAULT_HANDLE);
	vmsg_clear(&m);
	parse("{\"type\":\"Response\",\"id\":0,\"error\":null,\"value\":\"v\"}", &m);
	assert_int_equal(vmsg_value(&m, &value, &fault, &err), 0);
	assert_string_equal(json_string_value(value), "v");
	vmsg_clear(&m);
	/* the node's words go to people on one line, and not at any length */
	parse("{\"type\":\"Response\",\"id\":0,\"error\":{\"kind\":\"Generic\","
	    "\"message\":\"a\\nb\\u001b[1m\"}}", &m);
	assert_int_equal(vmsg_value(&m, &value, &fault, &err), E_REFUSED);
	assert_string_equal(err.text,
	    "the Veilid node says Generic: a b [1m");
	vmsg_clear(&m);
}

static enum vupdate_kind
update(const char *rest, struct vmsg *m, struct vupdate *u)
{
	char text[500];

	snprintf(text, sizeof text, "{\"type\":\"Update\",%s}", rest);
	assert_int_equal(parse(text, m), 0);
	vmsg_update(m, u);
	return u->kind;
}

static void
updates_are_read(void **state)
{
	static const char *const lacking[] = {
		"\"kind\":\"AppCall\",\"message\":\"\"",
		"\"kind\":\"AppCall\",\"call_id\":\"1\"",
		"\"kind\":\"AppCall\",\"call_id\":1,\"message\":\"\"",
		"\"kind\":\"AppMessage\"", "\"kind\":\"ValueChange\"",
		"\"kind\":\"ValueChange\",\"key\":\"k\",\"subkeys\":{}",
		"\"kind\":\"RouteChange\",\"dead_routes\":[]",
		"\"kind\":\"Attachment\",\"state\":\"Attached\"" };
	struct vupdate u;
	struct vmsg m;
	size_t i;

	assert_int_equal(update("\"kind\":\"AppCall\",\"sender\":null,"
	    "\"route_id\":\"R\",\"message\":\"cXE\",\"call_id\":\"16464488141352365864\"",
	    &m, &u), VUPDATE_CALL);
	assert_string_equal(u.route, "R");
	assert_string_equal(u.call, "16464488141352365864");
	assert_string_equal(u.bytes, "cXE");
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"AppMessage\",\"route_id\":null,"
	    "\"message\":\"bQ\"", &m, &u), VUPDATE_MESSAGE);
	assert_string_equal(u.route, "");
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"ValueChange\",\"key\":\"K\","
	    "\"subkeys\":[[0,0]],\"count\":4294967294,"
	    "\"value\":{\"seq\":1,\"data\":\"aGk\",\"writer\":\"W\"}", &m, &u),
	    VUPDATE_VALUE);
	assert_string_equal(u.key, "K");
	assert_string_equal(u.bytes, "aGk");
	assert_false(u.over);
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"ValueChange\",\"key\":\"K\","
	    "\"subkeys\":[],\"value\":null", &m, &u), VUPDATE_VALUE);
	assert_null(u.bytes);
	assert_true(u.over);
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"ValueChange\",\"key\":\"K\","
	    "\"subkeys\":[[0,0]],\"count\":0,\"value\":null", &m, &u),
	    VUPDATE_VALUE);
	assert_true(u.over);
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"RouteChange\",\"dead_routes\":"
	    "[\"a\",7,\"b\"],\"dead_remote_routes\":[]", &m, &u), VUPDATE_ROUTES);
	assert_true(vmsg_has(u.dead, "b"));
	assert_false(vmsg_has(u.dead, "c"));
	assert_false(vmsg_has(u.dead_remote, "b"));
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"Attachment\",\"state\":\"AttachedFull\","
	    "\"public_internet_ready\":true", &m, &u), VUPDATE_ATTACHMENT);
	assert_true(u.ready);
	vmsg_clear(&m);
	assert_int_equal(update("\"kind\":\"Shutdown\"", &m, &u),
	    VUPDATE_SHUTDOWN);
	vmsg_clear(&m);
	for (i = 0; i < sizeof lacking / sizeof *lacking; i++) {
		assert_int_equal(update(lacking[i], &m, &u), VUPDATE_OTHER);
		vmsg_clear(&m);
	}
}

static void
bytes_are_bounded(void **state)
{
	uint8_t *bytes;
	size_t len;

	assert_int_equal(vmsg_bytes("aGVsbG8", 5, &bytes, &len, NULL), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(bytes, "hello", 5);
	free(bytes);
	assert_int_equal(vmsg_bytes("", 0, &bytes, &len, NULL), 0);
	assert_int_equal(len, 0);
	free(bytes);
	assert_int_equal(vmsg_bytes("aGVsbG8", 4, &bytes, &len, NULL),
	    E_INTEGRITY);
	assert_int_equal(vmsg_bytes("aGVsb=8", 5, &bytes, &len, NULL),
	    E_INTEGRITY);
}

static void
a_node_is_on_this_machine(void **state)
{
	static const char *const usage[] = { "", "unix:", "/path", "x", "x:1",
		"10.0.0.1:5959", "[2001:db8::1]:5959", "0.0.0.0:5959",
		"127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536" };
	static const char *const tcp[] = { "127.0.0.1:5959", "127.9.9.9:1",
		"[::1]:5959", "localhost:5959" };
	struct vwhere w;
	char path[300] = "unix:";
	size_t i;

	for (i = 0; i < sizeof usage / sizeof *usage; i++)
		assert_int_equal(vwhere_parse(usage[i], true, &w, NULL),
		    E_USAGE);
	for (i = 0; i < sizeof tcp / sizeof *tcp; i++) {
		assert_int_equal(vwhere_parse(tcp[i], true, &w, NULL), 0);
		assert_false(w.local);
		assert_int_equal(vwhere_parse(tcp[i], false, &w, NULL),
		    E_REFUSED);
	}
	assert_int_equal(vwhere_parse("unix:/run/x", false, &w, NULL), 0);
	assert_true(w.local);
	assert_string_equal(w.path, "/run/x");
	memset(path + 5, 'p', sizeof w.path - 1);
	assert_int_equal(vwhere_parse(path, false, &w, NULL), 0);
	path[5 + sizeof w.path - 1] = 'p';
	assert_int_equal(vwhere_parse(path, false, &w, NULL), E_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_have_one_text),
		cmocka_unit_test(lines_come_in_any_pieces),
		cmocka_unit_test(a_line_has_a_maximum),
		cmocka_unit_test(messages_are_bounded),
		cmocka_unit_test(what_is_no_message_is_told),
		cmocka_unit_test(what_is_not_known_is_ignored),
		cmocka_unit_test(answers_have_a_value_or_an_error),
		cmocka_unit_test(updates_are_read),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(a_node_is_on_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* What one call of Veilid carries, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/vsegment.h"

static const uint8_t bytes[VSEGMENT_MAX] = "bytes";

static struct vsegment
plain(void)
{
	struct vsegment s = { .flags = VSEGMENT_OPENER, .offset = 5,
		.ack = 0x0102030405060708, .window = 65536,
		.payload = bytes, .len = 5 };

	memset(s.stream, 9, sizeof s.stream);
	return s;
}

static void
encode(const struct vsegment *s, struct buf *out)
{
	buf_init(out, 2 * VSEGMENT_MAX);
	assert_int_equal(vsegment_encode(s, out, NULL), 0);
}

static void
assert_refused(const struct buf *b, int code)
{
	struct vsegment s;
	struct err err = { .code = 0 };

	assert_int_equal(vsegment_decode(b->data, b->len, &s, &err), code);
	assert_int_equal(err.code, code);
	assert_null(s.payload);
}

static void
it_has_this_form(void **state)
{
	static const uint8_t form[] =
	    "\1\1\11\11\11\11\11\11\11\11\11\11\11\11\11\11\11\11"
	    "\0\0\0\0\0\0\0\5" "\1\2\3\4\5\6\7\10" "\0\1\0\0" "bytes";
	struct vsegment s = plain();
	struct buf b;

	encode(&s, &b);
	assert_int_equal(b.len, sizeof form - 1);
	assert_memory_equal(b.data, form, b.len);
	buf_clear(&b);
}

static void
it_comes_back_as_it_was(void **state)
{
	static const unsigned flags[] = { 0, VSEGMENT_OPENER,
		VSEGMENT_OPENER | VSEGMENT_FIN, VSEGMENT_RESET,
		VSEGMENT_ROUTE, VSEGMENT_ROUTE | VSEGMENT_FIN,
		VSEGMENT_ALONE };
	struct vsegment s, back;
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof flags / sizeof *flags; i++) {
		s = plain();
		s.flags = flags[i];
		if (s.flags & VSEGMENT_ROUTE) {
			s.epoch = 7;
			s.route = bytes;
			s.route_len = VSEGMENT_ROUTE_MAX - i;
		}
		encode(&s, &b);
		assert_int_equal(vsegment_decode(b.data, b.len, &back, NULL),
		    0);
		assert_int_equal(back.flags, s.flags);
		assert_memory_equal(back.stream, s.stream, sizeof s.stream);
		assert_int_equal(back.offset, s.offset);
		assert_int_equal(back.ack, s.ack);
		assert_int_equal(back.window, s.window);
		assert_int_equal(back.epoch, s.epoch);
		assert_int_equal(back.route_len, s.route_len);
		assert_int_equal(back.len, 5);
		assert_memory_equal(back.payload, "bytes", 5);
		buf_clear(&b);
	}
}

static void
it_may_be_as_long_as_a_call_and_no_longer(void **state)
{
	struct vsegment s = plain(), back;
	struct buf b;

	s.len = VSEGMENT_MAX - VSEGMENT_HEAD_LEN;
	encode(&s, &b);
	assert_int_equal(b.len, VSEGMENT_MAX);
	assert_int_equal(vsegment_decode(b.data, b.len, &back, NULL), 0);
	assert_int_equal(back.len, s.len);
	buf_add_u8(&b, 0);
	assert_refused(&b, E_INTEGRITY);
	buf_clear(&b);
}

static void
what_is_cut_is_none(void **state)
{
	struct vsegment s = plain();
	struct buf b, cut;
	size_t n, whole;

	s.flags |= VSEGMENT_ROUTE;
	s.route = bytes;
	s.route_len = 10;
	s.len = 0;
	encode(&s, &b);
	whole = b.len;
	for (n = 0; n < whole; n++) {
		buf_init(&cut, VSEGMENT_MAX);
		buf_add(&cut, b.data, n);
		assert_refused(&cut, E_INTEGRITY);
		buf_clear(&cut);
	}
	buf_clear(&b);
}

static void
other_versions_are_told_apart(void **state)
{
	struct vsegment s = plain();
	struct buf b;

	encode(&s, &b);
	b.data[0] = 2;
	assert_refused(&b, E_REFUSED);
	b.len = 1;
	assert_refused(&b, E_REFUSED);
	buf_clear(&b);
}

static void
unknown_flags_make_it_none(void **state)
{
	struct vsegment s = plain();
	struct buf b;
	int bit;

	for (bit = 5; bit < 8; bit++) {
		encode(&s, &b);
		b.data[1] |= (uint8_t)(1 << bit);
		assert_refused(&b, E_INTEGRITY);
		buf_clear(&b);
	}
}

static void
a_route_is_bounded_and_not_empty(void **state)
{
	struct vsegment s = plain();
	struct buf b;

	s.flags |= VSEGMENT_ROUTE;
	s.route = bytes;
	s.route_len = VSEGMENT_ROUTE_MAX + 1;
	encode(&s, &b);
	assert_refused(&b, E_INTEGRITY);
	buf_clear(&b);
	s.route_len = 0;
	encode(&s, &b);
	assert_refused(&b, E_INTEGRITY);
	buf_clear(&b);
}

static void
nothing_ends_above_2_to_63(void **state)
{
	static const uint64_t none[] = { ((uint64_t)1 << 63) - 4,
		(uint64_t)1 << 63, UINT64_MAX };
	struct vsegment s = plain(), back;
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof none / sizeof *none; i++) {
		s.offset = none[i];
		encode(&s, &b);
		assert_refused(&b, E_INTEGRITY);
		buf_clear(&b);
	}
	s.offset = ((uint64_t)1 << 63) - 5;
	encode(&s, &b);
	assert_int_equal(vsegment_decode(b.data, b.len, &back, NULL), 0);
	buf_clear(&b);
}

static void
answers_come_back(void **state)
{
	struct vsegment_answer a, back;
	uint8_t out[VSEGMENT_ANSWER_HEAD_LEN];
	size_t len, n;
	unsigned status;

	for (status = VSEGMENT_OK; status <= VSEGMENT_OTHER; status++) {
		a = (struct vsegment_answer){ .status = status,
			.ack = 0x1122334455667788, .window = 0x99aabbcc };
		vsegment_answer_encode(&a, out, &len);
		assert_int_equal(len, status == VSEGMENT_OK ? 14 : 2);
		for (n = 0; n < len; n++)
			assert_int_equal(vsegment_answer_decode(out, n, &back,
			    NULL), E_INTEGRITY);
		assert_int_equal(vsegment_answer_decode(out, len, &back,
		    NULL), 0);
		assert_int_equal(back.status, status);
		assert_int_equal(back.ack, status == 0 ? a.ack : 0);
		assert_int_equal(back.window, status == 0 ? a.window : 0);
		assert_int_equal(back.len, 0);
		assert_null(back.payload);
	}
}

static void
an_answer_has_this_form_with_bytes(void **state)
{
	static const uint8_t form[] = "\1\0" "\1\2\3\4\5\6\7\10" "\0\1\0\0"
	    "\0\0\0\0\0\0\2\1" "bytes";
	struct vsegment_answer a = { .status = VSEGMENT_OK,
		.ack = 0x0102030405060708, .window = 65536, .offset = 513,
		.len = 5 }, back;
	uint8_t out[VSEGMENT_ANSWER_HEAD_LEN];
	size_t len, n;

	vsegment_answer_encode(&a, out, &len);
	assert_int_equal(len, sizeof form - 1 - 5);
	assert_memory_equal(out, form, len);
	assert_int_equal(vsegment_answer_decode(form, sizeof form - 1, &back,
	    NULL), 0);
	assert_int_equal(back.ack, a.ack);
	assert_int_equal(back.window, a.window);
	assert_int_equal(back.offset, 513);
	assert_int_equal(back.len, 5);
	assert_memory_equal(back.payload, "bytes", 5);
	/* an offset and no bytes is none */
	for (n = VSEGMENT_ANSWER_LEN + 1; n <= len; n++) {
		assert_int_equal(vsegment_answer_decode(form, n, &back, NULL),
		    E_INTEGRITY);
		assert_null(back.payload);
		assert_int_equal(back.len, 0);
	}
	assert_int_equal(vsegment_answer_decode(form, len + 1, &back, NULL),
	    0);
	assert_int_equal(back.len, 1);
}

static void
answers_are_bounded(void **state)
{
	static const uint64_t none[] = { ((uint64_t)1 << 63) - 9,
		(uint64_t)1 << 63, UINT64_MAX };
	static uint8_t out[VSEGMENT_MAX + 1];
	struct vsegment_answer a = { .status = VSEGMENT_OK, .len = 10 }, back;
	size_t len, i;

	vsegment_answer_encode(&a, out, &len);
	assert_int_equal(vsegment_answer_decode(out, VSEGMENT_MAX, &back,
	    NULL), 0);
	assert_int_equal(back.len, VSEGMENT_MAX - VSEGMENT_ANSWER_HEAD_LEN);
	assert_int_equal(vsegment_answer_decode(out, VSEGMENT_MAX + 1, &back,
	    NULL), E_INTEGRITY);
	for (i = 0; i < sizeof none / sizeof *none; i++) {
		a.offset = none[i];
		vsegment_answer_encode(&a, out, &len);
		assert_int_equal(vsegment_answer_decode(out, len + 10, &back,
		    NULL), E_INTEGRITY);
	}
	a.offset = ((uint64_t)1 << 63) - 10;
	vsegment_answer_encode(&a, out, &len);
	assert_int_equal(vsegment_answer_decode(out, len + 10, &back, NULL),
	    0);
}

static void
answers_are_looked_at(void **state)
{
	struct vsegment_answer a;
	struct err err = { .code = 0 };

	assert_int_equal(vsegment_answer_decode("\1\4", 2, &a, NULL),
	    E_INTEGRITY);
	assert_int_equal(vsegment_answer_decode("\1\1\0", 3, &a, NULL),
	    E_INTEGRITY);
	assert_int_equal(vsegment_answer_decode(
	    "\1\0" "12345678" "1234" "5", 15, &a, NULL), E_INTEGRITY);
	/* only what is well has bytes */
	assert_int_equal(vsegment_answer_decode(
	    "\1\1" "12345678" "1234" "\0\0\0\0\0\0\0\0" "5", 23, &a, NULL),
	    E_INTEGRITY);
	assert_int_equal(vsegment_answer_decode("\2\0", 2, &a, &err),
	    E_REFUSED);
	assert_non_null(strstr(err.text, "version 2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_this_form),
		cmocka_unit_test(it_comes_back_as_it_was),
		cmocka_unit_test(it_may_be_as_long_as_a_call_and_no_longer),
		cmocka_unit_test(what_is_cut_is_none),
		cmocka_unit_test(other_versions_are_told_apart),
		cmocka_unit_test(unknown_flags_make_it_none),
		cmocka_unit_test(a_route_is_bounded_and_not_empty),
		cmocka_unit_test(nothing_ends_above_2_to_63),
		cmocka_unit_test(answers_come_back),
		cmocka_unit_test(an_answer_has_this_form_with_bytes),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(answers_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

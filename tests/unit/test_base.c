// SPDX-License-Identifier: MPL-2.0
/* The base layer: buffers, readers, errors, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rd.h"
#include "base/utf8.h"

static void
numbers_survive_a_round_trip(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 127, 128, 16383, 16384,
		UINT32_MAX, (uint64_t)1 << 53, INT64_MAX, UINT64_MAX };
	struct buf b;
	struct rd r;
	size_t i;

	buf_init(&b, 1 << 16);
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buf_add_varint(&b, numbers[i]);
		buf_add_zigzag(&b, (int64_t)numbers[i]);
		buf_add_u64(&b, numbers[i]);
		buf_add_u32(&b, (uint32_t)numbers[i]);
		buf_add_u16(&b, (uint16_t)numbers[i]);
		buf_add_u8(&b, (uint8_t)numbers[i]);
	}
	assert_false(b.failed);
	rd_init(&r, b.data, b.len);
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		assert_true(rd_varint(&r, UINT64_MAX) == numbers[i]);
		assert_true(rd_zigzag(&r) == (int64_t)numbers[i]);
		assert_true(rd_u64(&r) == numbers[i]);
		assert_int_equal(rd_u32(&r), (uint32_t)numbers[i]);
		assert_int_equal(rd_u16(&r), (uint16_t)numbers[i]);
		assert_int_equal(rd_u8(&r), (uint8_t)numbers[i]);
	}
	assert_true(rd_done(&r));
	buf_clear(&b);
}

static void
a_buffer_stops_at_its_maximum(void **state)
{
	struct buf b;

	buf_init(&b, 10);
	buf_add(&b, "0123456789", 10);
	assert_false(b.failed);
	buf_add_u8(&b, 0);
	assert_true(b.failed);
	assert_int_equal(b.len, 10);
	buf_add(&b, "", 0);
	assert_true(b.failed);
	buf_clear(&b);
	assert_false(b.failed);
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_clear(&b);
}

static void
the_first_read_error_sticks(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	struct rd r, inner;

	rd_init(&r, bytes, sizeof bytes);
	assert_int_equal(rd_u8(&r), 1);
	assert_null(rd_bytes(&r, 3));
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_left(&r), 0);
	assert_false(rd_done(&r));
	rd_init(&r, bytes, sizeof bytes);
	inner = rd_slice(&r, 2);
	assert_int_equal(rd_u16(&inner), 0x0102);
	assert_true(rd_done(&inner));
	assert_int_equal(rd_left(&r), 1);
	rd_init(&r, NULL, 0);
	assert_non_null(rd_bytes(&r, 0));
	assert_true(rd_done(&r));
}

static void
a_varint_is_bounded(void **state)
{
	static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x80, 0x80, 0x80, 0x01 };
	static const uint8_t too_big[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
		0xFF, 0xFF, 0xFF, 0x02 };
	struct rd r;

	rd_init(&r, eleven, sizeof eleven);
	rd_varint(&r, UINT64_MAX);
	assert_true(rd_failed(&r));
	rd_init(&r, too_big, sizeof too_big);
	rd_varint(&r, UINT64_MAX);
	assert_true(rd_failed(&r));
	rd_init(&r, "\x05", 1);
	assert_int_equal(rd_varint(&r, 4), 0);
	assert_true(rd_failed(&r));
}

static void
a_count_is_bounded_by_what_is_left(void **state)
{
	static const uint8_t six[] = { 3, 0, 0, 0, 0, 0, 0 };
	struct rd r;

	rd_init(&r, six, sizeof six);
	assert_int_equal(rd_count(&r, 3, 2), 3);
	assert_int_equal(rd_left(&r), 6);
	rd_init(&r, six, sizeof six - 1);
	assert_int_equal(rd_count(&r, 3, 2), 0);
	assert_true(rd_failed(&r));
	rd_init(&r, six, sizeof six);
	assert_int_equal(rd_count(&r, 2, 2), 0);
	assert_true(rd_failed(&r));
	rd_init(&r, "", 1);
	assert_int_equal(rd_count(&r, 9, 100), 0);
	assert_true(rd_done(&r));
}

static void
addresses_have_one_text(void **state)
{
	uint8_t key[KEY_LEN], back[KEY_LEN];
	char text[ADDR_TEXT_LEN + 1], place[PLACE_MAX], full[400];
	struct err err;
	size_t i;

	for (i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(i * 37 + 200);
	addr_format(key, text);
	assert_int_equal(strlen(text), ADDR_TEXT_LEN);
	assert_int_equal(addr_parse(text, back, place, &err), 0);
	assert_memory_equal(key, back, sizeof key);
	assert_int_equal(addr_parse(text + 5, back, place, &err), 0);
	snprintf(full, sizeof full, "%s@[fe80::1]:4433", text);
	assert_int_equal(addr_parse(full, back, place, &err), 0);
	assert_string_equal(place, "[fe80::1]:4433");
	text[ADDR_TEXT_LEN - 1]++;
	assert_int_equal(addr_parse(text, back, place, &err), E_USAGE);
	text[ADDR_TEXT_LEN - 1] = '\0';
	assert_int_equal(addr_parse(text, back, place, &err), E_USAGE);
	assert_int_equal(addr_parse("", back, place, &err), E_USAGE);
}

static void
places_are_checked(void **state)
{
	static const char *const bad[] = { "", ":", "a", "a:", ":1", "a:0",
		"a:65536", "a:1x", "::1:80", "[]:80", "[::1]", "a:-1", "a:000001",
		"a\nb:80", " a:80", "\xFF:80", "\x1B[m:80", "[::1%\t]:80" };
	char host[256];
	uint16_t port;
	struct err err;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(addr_split_place(bad[i], host, &port, &err),
		    E_USAGE);
	assert_int_equal(addr_split_place("[::1]:80", host, &port, &err), 0);
	assert_string_equal(host, "::1");
	assert_int_equal(port, 80);
}

static void
errors_are_cut_at_a_character(void **state)
{
	char long_text[ERR_TEXT_MAX + 10];
	struct err err;
	size_t i;

	for (i = 0; i + 1 < sizeof long_text; i += 2)
		memcpy(long_text + i, "\xC3\xA9", 2);
	long_text[sizeof long_text - 2] = '\0';
	assert_int_equal(err_set(&err, E_REFUSED, NULL, "x%s", long_text),
	    E_REFUSED);
	assert_int_equal(strlen(err.text) % 2, 1);
	assert_string_equal(err.hint, "");
	assert_int_equal(err_gravest(E_HELD, E_INTEGRITY), E_INTEGRITY);
	assert_int_equal(err_gravest(0, E_HELD), E_HELD);
	assert_int_equal(err_gravest(0, 0), 0);
}

static void
errors_are_utf8(void **state)
{
	/* a stray byte, a surrogate, an overlong one, one that is cut */
	static const char *const pairs[][2] = { { "a\xff" "b", "a?b" },
		{ "\xed\xa0\x80", "???" }, { "\xc0\xaf", "??" },
		{ "\xe2\x82", "??" }, { "\xe2\x82\xac\x80", "\xe2\x82\xac?" },
		{ "\xf4\x90\x80\x80", "????" }, { "", "" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" } };
	struct err err;
	size_t i;

	for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		err_set(&err, E_FATAL, pairs[i][0], "%s", pairs[i][0]);
		assert_string_equal(err.text, pairs[i][1]);
		assert_string_equal(err.hint, pairs[i][1]);
	}
	assert_int_equal(utf8_len((const uint8_t *)"\xe2\x82\xac", 2), 0);
	assert_int_equal(utf8_len((const uint8_t *)"\xe2\x82\xac", 3), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_survive_a_round_trip),
		cmocka_unit_test(a_buffer_stops_at_its_maximum),
		cmocka_unit_test(the_first_read_error_sticks),
		cmocka_unit_test(a_varint_is_bounded),
		cmocka_unit_test(a_count_is_bounded_by_what_is_left),
		cmocka_unit_test(addresses_have_one_text),
		cmocka_unit_test(places_are_checked),
		cmocka_unit_test(errors_are_cut_at_a_character),
		cmocka_unit_test(errors_are_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

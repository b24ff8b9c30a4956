// SPDX-License-Identifier: MPL-2.0
/*
 * test_wire.c - messages there and back, what is malformed, what is too much,
 * frames in any pieces, and pages compressed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/msg.h"
#include "wire/zip.h"

/* ---- one of each ---- */

static uint8_t bytes[] = "a page, and not a long one";
static struct wire_entry entries[] = {
	{ "site number one", 1, "token 1" },
	{ "site number two", UINT64_C(1) << 53, "token 2" },
};
static struct wire_own owned[] = {
	{ "first", 0, "token 1" }, { "second", 300, "token 2" },
};
static struct wire_view names[] = {
	{ (const uint8_t *)"tasks", 5 }, { (const uint8_t *)"caf\xc3\xa9", 5 },
};
static struct wire_group groups[] = {
	{ .table = names, .ntables = 2, .cursor = "a cursor",
	  .vector_hash = "a hash", .whole = true, .entry = entries,
	  .nentries = 2 },
	{ .cursor = "another", .vector_hash = "another hash" },
};
static uint32_t absent[] = { 0, 300 };
static struct wire_end_group ends[] = {
	{ .complete = true, .vector_hash = "a hash", .entry = entries,
	  .nentries = 1 },
	{ .absent = absent, .nabsent = 2 },
};

/* The struct of each message, with something in every field. */
static const struct wire_msg samples[] = {
	{ .type = WIRE_HELLO, .hello = { 1, 3, 65536, "head", "schema",
	    owned, 2, entries, 2 } },
	{ .type = WIRE_PULL, .pull = { 7, true, "page", 12, "merged",
	    groups, 2 } },
	{ .type = WIRE_PAGE, .page = { 7, false, true, "hash",
	    sizeof bytes + 9, sizeof bytes + 9, 9,
	    { bytes, sizeof bytes } } },
	{ .type = WIRE_END, .end = { 7, "cursor", ends, 2, names, 2 } },
	{ .type = WIRE_NOTIFY, .notify = { entries, 2 } },
	{ .type = WIRE_PUSH, .push = { 8 } },
	{ .type = WIRE_PUSHED, .pushed = { 8, 10, 3, UINT64_MAX,
	    { (const uint8_t *)"held \xe2\x82\xac", 8 } } },
	{ .type = WIRE_WHOLE, .whole = { UINT32_MAX } },
	{ .type = WIRE_ERROR, .error = { 0, 7,
	    { (const uint8_t *)"why", 3 } } },
	{ .type = WIRE_PING, .ping = { 1 } },
	{ .type = WIRE_PONG, .pong = { 2 } },
	{ .type = WIRE_TOKENS, .tokens = { 1, entries, 1 } },
	{ .type = WIRE_COMMON, .common = { 1, 300 } },
	{ .type = WIRE_STOP, .stop = { 9 } },
	{ .type = WIRE_SCHEMA, .digest = { .id = 2, .asks = true,
	    .bytes = { bytes, 1 } } },
	{ .type = WIRE_SCHEMA, .digest = { .id = 2, .code = 5,
	    .text = { bytes, 6 } } },
	{ .type = WIRE_DIGEST, .digest = { .id = 3, .asks = true,
	    .bytes = { (const uint8_t *)"words", 5 } } },
	{ .type = WIRE_DIGEST, .digest = { .id = 3, .code = 7,
	    .text = { (const uint8_t *)"why", 3 } } },
};

enum { NSAMPLES = sizeof samples / sizeof *samples };

static void
encode(const struct wire_msg *m, struct buf *out)
{
	struct err err;

	buf_init(out, 8 << 20);
	assert_int_equal(wire_encode(m, WIRE_FRAME_MAX, out, &err), 0);
}

static void
every_message_comes_back_the_same(void **state)
{
	struct buf there, again;
	struct wire_msg m;
	bool seen[256] = { false };
	struct err err;
	size_t i;

	for (i = 0; i < NSAMPLES; i++) {
		seen[samples[i].type] = true;
		encode(&samples[i], &there);
		assert_int_equal(there.data[4], samples[i].type);
		assert_int_equal(wire_decode(samples[i].type, there.data + 5,
		    there.len - 5, &m, &err), 0);
		encode(&m, &again);
		assert_int_equal(there.len, again.len);
		assert_memory_equal(there.data, again.data, there.len);
		wire_msg_clear(&m);
		buf_clear(&there);
		buf_clear(&again);
	}
	for (i = 0; i < 256; i++)
		assert_int_equal(wire_known((uint8_t)i), seen[i]);
}

static void
fields_come_back(void **state)
{
	struct wire_msg m;
	struct buf b;

	encode(&samples[1], &b);
	assert_int_equal(wire_decode(WIRE_PULL, b.data + 5, b.len - 5, &m,
	    NULL), 0);
	assert_int_equal(m.pull.id, 7);
	assert_true(m.pull.fetch_only);
	assert_int_equal(m.pull.resume_at, 12);
	assert_string_equal((const char *)m.pull.merged, "merged");
	assert_int_equal(m.pull.ngroups, 2);
	assert_int_equal(m.pull.group[0].ntables, 2);
	assert_memory_equal(m.pull.group[0].table[1].data, "caf\xc3\xa9", 5);
	assert_true(m.pull.group[0].whole);
	assert_int_equal(m.pull.group[0].entry[1].version, UINT64_C(1) << 53);
	assert_memory_equal(m.pull.group[0].entry[1].site, "site number two",
	    16);
	assert_false(m.pull.group[1].whole);
	wire_msg_clear(&m);
	buf_clear(&b);
}

/* In a block of exactly its size, so that reading past it is noticed. */
static int
decode_exactly(uint8_t type, const uint8_t *body, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct wire_msg m;
	struct err err;
	int rc;

	memcpy(copy, body, len);
	rc = wire_decode(type, copy, len, &m, &err);
	wire_msg_clear(&m);
	free(copy);
	return rc;
}

static void
cut_or_longer_messages_are_malformed(void **state)
{
	struct buf b;
	size_t i, n, len;
	bool closed;

	for (i = 0; i < NSAMPLES; i++) {
		encode(&samples[i], &b);
		/* Words of a DIGEST end where it does. */
		closed = (samples[i].type != WIRE_DIGEST
		    && samples[i].type != WIRE_SCHEMA)
		    || samples[i].digest.code != 0;
		len = closed ? b.len - 5 : 8;
		for (n = 0; n < len; n++)
			assert_int_equal(decode_exactly(samples[i].type,
			    b.data + 5, n), E_INTEGRITY);
		buf_add_u8(&b, 0);
		/* A later version may say more in HELLO. */
		assert_int_equal(decode_exactly(samples[i].type, b.data + 5,
		    b.len - 5),
		    samples[i].type == WIRE_HELLO || !closed ? 0 : E_INTEGRITY);
		buf_clear(&b);
	}
	assert_int_equal(decode_exactly(14, bytes, 4), E_INTEGRITY);
}

/* Each byte of each message set to each value: taken or malformed, nothing
 * else, and what is taken can be written again. */
static void
changed_messages_do_no_harm(void **state)
{
	struct wire_msg m;
	struct buf b, again;
	uint8_t was;
	size_t i, at;
	int v;

	for (i = 0; i < NSAMPLES; i++) {
		encode(&samples[i], &b);
		for (at = 5; at < b.len; at++)
			for (was = b.data[at], v = 0; v < 256; v++) {
				b.data[at] = v < 255 ? (uint8_t)v : was;
				if (wire_decode(b.data[4], b.data + 5,
				    b.len - 5, &m, NULL) == 0) {
					encode(&m, &again);
					buf_clear(&again);
				}
				wire_msg_clear(&m);
			}
		buf_clear(&b);
	}
}

/* ---- what is wrong in itself ---- */

static int
decode_again(const struct wire_msg *m)
{
	struct buf b;
	int rc;

	encode(m, &b);
	rc = decode_exactly(m->type, b.data + 5, b.len - 5);
	buf_clear(&b);
	return rc;
}

static void
senseless_values_are_malformed(void **state)
{
	struct wire_view name = { (const uint8_t *)"a\0b", 3 };
	struct wire_group group = { .table = &name, .ntables = 1 };
	struct wire_entry late = { .version = (UINT64_C(1) << 53) + 1 };
	struct wire_msg m = samples[0];

	m.hello.min_version = 4;
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m = samples[0];
	m.hello.frame_max = WIRE_FRAME_MIN - 1;
	assert_int_equal(decode_again(&m), E_INTEGRITY);

	m = samples[1];
	m.pull.group = &group;
	m.pull.ngroups = 1;
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	name.len = 1;
	assert_int_equal(decode_again(&m), 0);
	name.len = 0;
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m = samples[1];
	m.pull.id = 0;
	assert_int_equal(decode_again(&m), E_INTEGRITY);

	m = samples[4];
	m.notify.entry = &late;
	m.notify.nentries = 1;
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	late.version--;
	assert_int_equal(decode_again(&m), 0);

	m = samples[8];
	m.error.text = (struct wire_view){ (const uint8_t *)"\xc0\xaf", 2 };
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m.error.text = (struct wire_view){ (const uint8_t *)"\xed\xa0\x80", 3 };
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m.error.text = (struct wire_view){ (const uint8_t *)"\xe2\x82", 2 };
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m.error.text = (struct wire_view){ (const uint8_t *)"", 1 };
	assert_int_equal(decode_again(&m), E_INTEGRITY);
	m.error.text = (struct wire_view){
	    (const uint8_t *)"\xf0\x9f\x90\xa2", 4 };
	assert_int_equal(decode_again(&m), 0);
}

/* What no writer of ours can be made to write. */
static void
idle_fields_are_malformed(void **state)
{
	uint8_t pull[4 + 1 + 16 + 8 + 40 + 1 + 1 + 40 + 16 + 1 + 1 + 25];
	uint8_t end[4 + 40 + 1 + 1 + 1 + 16 + 1 + 1];

	/* form 0, and an entry all the same */
	memset(pull, 0, sizeof pull);
	pull[3] = pull[69] = pull[128] = 1;
	assert_int_equal(decode_exactly(WIRE_PULL, pull, sizeof pull),
	    E_INTEGRITY);
	pull[127] = 1;
	assert_int_equal(decode_exactly(WIRE_PULL, pull, sizeof pull), 0);
	pull[127] = 2;
	assert_int_equal(decode_exactly(WIRE_PULL, pull, sizeof pull),
	    E_INTEGRITY);

	/* tables are absent, but none is named */
	memset(end, 0, sizeof end);
	end[44] = 1;
	end[45] = 2;
	assert_int_equal(decode_exactly(WIRE_END, end, sizeof end),
	    E_INTEGRITY);
	end[45] = 0;
	assert_int_equal(decode_exactly(WIRE_END, end, sizeof end - 1), 0);
}

static int
decode_page(uint64_t total, uint64_t raw, uint64_t offset, bool zipped,
    bool last)
{
	struct wire_msg m = samples[2];

	m.page.total = total;
	m.page.raw = raw;
	m.page.offset = offset;
	m.page.zipped = zipped;
	m.page.last = last;
	return decode_again(&m);
}

static void
pages_are_bounded(void **state)
{
	const uint64_t n = sizeof bytes, max = WIRE_PAGE_MAX;

	assert_int_equal(decode_page(n, n, 0, false, true), 0);
	assert_int_equal(decode_page(n, n + 1, 0, false, true), E_INTEGRITY);
	assert_int_equal(decode_page(n, n, 0, false, false), E_INTEGRITY);
	assert_int_equal(decode_page(n + 1, n + 1, 0, false, true),
	    E_INTEGRITY);
	assert_int_equal(decode_page(n - 1, n - 1, 0, false, true),
	    E_INTEGRITY);
	assert_int_equal(decode_page(n, n, UINT64_MAX, false, false),
	    E_INTEGRITY);
	assert_int_equal(decode_page(max, max, max - n, false, true), 0);
	assert_int_equal(decode_page(max + 1, max + 1, 0, false, false),
	    E_INTEGRITY);
	assert_int_equal(decode_page(n, 1 << 20, 0, true, true), 0);
	assert_int_equal(decode_page(n, (1 << 20) + 1, 0, true, true),
	    E_INTEGRITY);
	assert_int_equal(decode_page(1 << 20, 1 << 26, 0, true, false), 0);
	assert_int_equal(decode_page(1 << 20, (1 << 26) + 1, 0, true, false),
	    E_INTEGRITY);
	assert_int_equal(decode_page(n, 0, 0, true, true), E_INTEGRITY);
	assert_int_equal(decode_page(max, max + 1, 0, true, false),
	    E_INTEGRITY);
}

/* A count that is allowed, but more than what follows can hold. */
static void
counts_are_bounded(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_add_varint(&b, 65536);
	buf_add(&b, entries, sizeof entries);
	assert_int_equal(decode_exactly(WIRE_NOTIFY, b.data, b.len),
	    E_INTEGRITY);
	buf_clear(&b);
	buf_add_varint(&b, UINT64_MAX);
	buf_add(&b, entries, sizeof entries);
	assert_int_equal(decode_exactly(WIRE_NOTIFY, b.data, b.len),
	    E_INTEGRITY);
	buf_clear(&b);
}

static void
too_much_is_not_written(void **state)
{
	struct wire_entry *many = calloc(WIRE_ENTRIES_MAX + 1, sizeof *many);
	struct wire_group two[2] = {
		{ .whole = true, .entry = many, .nentries = WIRE_ENTRIES_MAX },
		{ .whole = true, .entry = many, .nentries = 1 },
	};
	struct wire_msg m = samples[4];
	struct err err;
	struct buf b;

	buf_init(&b, 8 << 20);
	m.notify.entry = many;
	m.notify.nentries = WIRE_ENTRIES_MAX;
	assert_int_equal(wire_encode(&m, WIRE_FRAME_MAX, &b, &err), 0);
	m.notify.nentries++;
	assert_int_equal(wire_encode(&m, WIRE_FRAME_MAX, &b, &err), E_FATAL);
	buf_clear(&b);
	m = samples[1];
	m.pull.group = two;
	assert_int_equal(wire_encode(&m, WIRE_FRAME_MAX, &b, &err), E_FATAL);
	buf_clear(&b);
	m = samples[8];
	m.error.text = (struct wire_view){ (const uint8_t *)many,
		WIRE_TEXT_MAX + 1 };
	assert_int_equal(wire_encode(&m, WIRE_FRAME_MAX, &b, &err), E_FATAL);
	buf_clear(&b);
	m = samples[11];
	m.tokens.nentries = 0;
	assert_int_equal(wire_encode(&m, WIRE_FRAME_MAX, &b, &err), E_FATAL);
	buf_clear(&b);
	free(many);
}

/* ---- frames ---- */

/* Reads all of b, given so many bytes at a time, and compares with the
 * samples. */
static void
read_stream(const struct buf *b, size_t step, size_t frame_max)
{
	const uint8_t *data;
	struct frames f;
	struct frame frame;
	struct wire_msg m;
	size_t at = 0, len, i = 0;
	struct buf one;
	int rc;

	frames_init(&f, frame_max);
	frames_allow(&f, frame_max, true);
	while (at < b->len) {
		data = b->data + at;
		len = b->len - at < step ? b->len - at : step;
		at += len;
		while ((rc = frames_next(&f, &data, &len, &frame, NULL)) == 1) {
			encode(&samples[i], &one);
			assert_int_equal(frame.type, samples[i].type);
			assert_int_equal(frame.len, one.len - 5);
			assert_memory_equal(frame.body, one.data + 5,
			    frame.len);
			assert_int_equal(wire_decode(frame.type, frame.body,
			    frame.len, &m, NULL), 0);
			wire_msg_clear(&m);
			buf_clear(&one);
			i++;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(len, 0);
	}
	assert_int_equal(i, NSAMPLES);
	assert_int_equal(frames_held(&f), 0);
	frames_clear(&f);
}

static void
frames_come_in_any_pieces(void **state)
{
	static const size_t max[] = { 1 << 20, 2, 16, 40 };
	struct buf b;
	size_t i, j, step;

	for (j = 0; j < sizeof max / sizeof *max; j++) {
		buf_init(&b, 1 << 20);
		for (i = 0; i < NSAMPLES; i++)
			assert_int_equal(wire_encode(&samples[i], max[j], &b,
			    NULL), 0);
		for (step = 1; step < 70; step++)
			read_stream(&b, step, max[j]);
		read_stream(&b, SIZE_MAX, max[j]);
		buf_clear(&b);
	}
}

static void
whole_frame_is_not_copied(void **state)
{
	const uint8_t *data;
	struct frames f;
	struct frame frame;
	struct buf b;
	size_t len;

	encode(&samples[2], &b);
	data = b.data;
	len = b.len;
	frames_init(&f, WIRE_FRAME_MAX);
	assert_int_equal(frames_next(&f, &data, &len, &frame, NULL), 1);
	assert_ptr_equal(frame.body, b.data + 5);
	assert_int_equal(len, 0);
	frames_clear(&f);
	buf_clear(&b);
}

/* Only the length of it has come. */
static void
long_frames_are_refused_at_once(void **state)
{
	static const uint8_t zero[] = { 0, 0, 0, 0 };
	static const uint8_t longer[] = { 0, 0, 4, 1 };
	static const uint8_t part[] = { 0, 0, 0, 2, WIRE_PART, 1 };
	static const uint8_t void_part[] = { 0, 0, 0, 1, WIRE_PART };
	static const struct {
		const uint8_t *bytes;
		size_t len;
		bool parts;
	} bad[] = {
		{ zero, 4, true }, { longer, 4, true },
		{ part, sizeof part, false }, { void_part, 5, true },
	};
	const uint8_t *data;
	struct frame frame;
	struct frames f;
	struct err err;
	size_t i, len, step;

	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		for (step = 0; step < 2; step++) {
			frames_init(&f, 1024);
			frames_allow(&f, 1024, bad[i].parts);
			data = bad[i].bytes;
			len = step == 1 ? 2 : bad[i].len;
			if (step == 1) {
				assert_int_equal(frames_next(&f, &data, &len,
				    &frame, &err), 0);
				len = bad[i].len - 2;
			}
			assert_int_equal(frames_next(&f, &data, &len, &frame,
			    &err), E_INTEGRITY);
			frames_clear(&f);
		}
}

static void
parts_without_end_are_refused(void **state)
{
	uint8_t part[5 + 65536] = { 0, 1, 0, 1, WIRE_PART };
	const uint8_t *data;
	struct frame frame;
	struct frames f;
	struct err err;
	size_t len, total = 0;
	int rc;

	frames_init(&f, WIRE_FRAME_MAX);
	frames_allow(&f, WIRE_FRAME_MAX, true);
	do {
		data = part;
		len = sizeof part;
		rc = frames_next(&f, &data, &len, &frame, &err);
		total += 65536;
		assert_in_range(frames_held(&f), 0, WIRE_MESSAGE_MAX);
	} while (rc == 0);
	assert_int_equal(rc, E_INTEGRITY);
	assert_int_equal(total, WIRE_MESSAGE_MAX + 65536);
	frames_clear(&f);
}

static void
what_is_begun_is_known(void **state)
{
	static const uint8_t stream[] = { 0, 0, 0, 3, WIRE_PART, 'a', 'b',
		0, 0, 0, 2, WIRE_PAGE, 'c' };
	static const uint8_t type[] = { 0, 0, 0, 0, WIRE_PART, WIRE_PART,
		WIRE_PART, WIRE_PART, WIRE_PART, WIRE_PART, WIRE_PART,
		WIRE_PAGE, 0 };
	const uint8_t *data;
	struct frame frame;
	struct frames f;
	struct err err;
	size_t i, len;

	frames_init(&f, 1024);
	frames_allow(&f, 1024, true);
	assert_int_equal(frames_begun(&f), 0);
	for (i = 0; i < sizeof stream; i++) {
		data = &stream[i];
		len = 1;
		assert_int_equal(frames_next(&f, &data, &len, &frame, &err),
		    i == sizeof stream - 1);
		assert_int_equal(frames_begun(&f), type[i]);
	}
	frames_clear(&f);
}

/* ---- pages ---- */

static void
pages_are_compressed_where_it_helps(void **state)
{
	struct zip z = { NULL, NULL };
	uint8_t *page = malloc(WIRE_PAGE_WANTED);
	struct buf packed, back;
	uint32_t x = 1;
	bool helped;
	size_t i;

	buf_init(&packed, WIRE_PAGE_MEMORY);
	buf_init(&back, WIRE_PAGE_MEMORY);
	for (i = 0; i < WIRE_PAGE_WANTED; i++)
		page[i] = "the same words again, "[i % 22] ^ (i % 991 == 0);
	assert_int_equal(zip_pack(&z, page, WIRE_PAGE_WANTED, &packed, &helped,
	    NULL), 0);
	assert_true(helped);
	assert_in_range(packed.len, 1, WIRE_PAGE_WANTED / 8);
	assert_int_equal(zip_unpack(&z, packed.data, packed.len,
	    WIRE_PAGE_WANTED, &back, NULL), 0);
	assert_memory_equal(back.data, page, WIRE_PAGE_WANTED);

	/* Another length than it is said to have; bytes that are changed. */
	assert_int_equal(zip_unpack(&z, packed.data, packed.len,
	    WIRE_PAGE_WANTED - 1, &back, NULL), E_INTEGRITY);
	assert_int_equal(zip_unpack(&z, packed.data, packed.len,
	    WIRE_PAGE_WANTED + 1, &back, NULL), E_INTEGRITY);
	assert_int_equal(zip_unpack(&z, packed.data, packed.len - 1,
	    WIRE_PAGE_WANTED, &back, NULL), E_INTEGRITY);

	for (i = 0; i < WIRE_PAGE_WANTED; i++)
		page[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	assert_int_equal(zip_pack(&z, page, WIRE_PAGE_WANTED, &packed, &helped,
	    NULL), 0);
	assert_false(helped);

	/* So much of nothing would be taken for an attack: it goes as it is. */
	page = realloc(page, WIRE_PAGE_MEMORY);
	memset(page, 0, WIRE_PAGE_MEMORY);
	assert_int_equal(zip_pack(&z, page, WIRE_PAGE_MEMORY, &packed, &helped,
	    NULL), 0);
	assert_false(helped);
	assert_false(zip_may_expand(UINT64_MAX, WIRE_PAGE_MAX + UINT64_C(1)));
	assert_false(zip_may_expand(0, 1));
	assert_int_equal(zip_unpack(&z, page, 10, (1 << 20) + 1, &back, NULL),
	    E_INTEGRITY);
	assert_int_equal(back.cap, 0);
	buf_clear(&packed);
	buf_clear(&back);
	zip_clear(&z);
	free(page);
}

static void
hash_is_half_of_sha256(void **state)
{
	static const uint8_t expected[WIRE_HASH_LEN] = { 0xba, 0x78, 0x16,
		0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d,
		0xae, 0x22, 0x23 };
	uint8_t hash[WIRE_HASH_LEN];

	assert_int_equal(zip_hash((const uint8_t *)"abc", 3, hash, NULL), 0);
	assert_memory_equal(hash, expected, sizeof hash);
}

static void
codes_are_those_of_the_table(void **state)
{
	static const struct {
		uint16_t code;
		int error;
	} table[] = {
		{ 0, 0 }, { 1, E_REFUSED }, { 2, E_INTEGRITY },
		{ 3, E_REFUSED }, { 4, E_REFUSED }, { 5, E_UNREACHABLE },
		{ 6, E_HORIZON }, { 7, E_UNREACHABLE }, { 8, E_INTEGRITY },
		{ 9, E_UNREACHABLE }, { 10, E_HELD }, { 11, E_UNREACHABLE },
	};
	size_t i;

	for (i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(wire_code_error(table[i].code),
		    table[i].error);
	assert_int_equal(wire_code_of(E_FATAL), WIRE_E_INTERNAL);
	assert_int_equal(wire_code_of(E_REFUSED), WIRE_E_DENIED);
	assert_int_equal(wire_code_of(E_UNREACHABLE), WIRE_E_BUSY);
	assert_int_equal(wire_code_of(0), WIRE_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back_the_same),
		cmocka_unit_test(fields_come_back),
		cmocka_unit_test(cut_or_longer_messages_are_malformed),
		cmocka_unit_test(changed_messages_do_no_harm),
		cmocka_unit_test(senseless_values_are_malformed),
		cmocka_unit_test(idle_fields_are_malformed),
		cmocka_unit_test(pages_are_bounded),
		cmocka_unit_test(counts_are_bounded),
		cmocka_unit_test(too_much_is_not_written),
		cmocka_unit_test(frames_come_in_any_pieces),
		cmocka_unit_test(whole_frame_is_not_copied),
		cmocka_unit_test(long_frames_are_refused_at_once),
		cmocka_unit_test(what_is_begun_is_known),
		cmocka_unit_test(parts_without_end_are_refused),
		cmocka_unit_test(pages_are_compressed_where_it_helps),
		cmocka_unit_test(hash_is_half_of_sha256),
		cmocka_unit_test(codes_are_those_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

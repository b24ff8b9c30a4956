// SPDX-License-Identifier: MPL-2.0
/*
 * test_sync_hostile.c - the conversation with a peer that says what it may not:
 * wrong answers, unknown messages, frames that are too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync_peers.h"

enum mood { WAITS, PULLS, RESUMES, SERVES };

/* What is asked for in its middle, of a page of twice as many bytes. */
static uint8_t half[] = "ten bytes";
static uint8_t half_hash[WIRE_HASH_LEN] = "the hash of it";

/* Gives m to A, which is in that mood; it has to end the connection. */
static void
expect_end(const struct wire_msg *m, enum mood mood, int times)
{
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	if (mood == RESUMES) {
		buf_add(&p.a.partial, half, sizeof half);
		memcpy(p.a.partial_hash, half_hash, WIRE_HASH_LEN);
	}
	if (mood == PULLS || mood == RESUMES)
		peer_pull(&p.a, false);
	if (mood == SERVES) {
		peer_pull(&p.b, false);
		peer_receive(&p.a, SIZE_MAX);
	}
	while (times-- > 0)
		peer_hear(&p.a, m);
	while (peer_receive(&p.a, SIZE_MAX) > 0)
		;
	if (!p.a.closed)
		fail_msg("%s was taken", wire_name(m->type));
	assert_int_equal(p.a.closed_why.code, E_INTEGRITY);
	pair_close(&p);
}

static void
wrong_answers_end_the_connection(void **state)
{
	static uint32_t absent[] = { 1 };
	static uint8_t bytes[] = "some bytes";
	struct wire_end_group group = { .absent = absent, .nabsent = 1 };
	struct wire_msg m;

#define MESSAGE(kind) memset(&m, 0, sizeof m); m.type = kind
	MESSAGE(WIRE_HELLO);
	m.hello.min_version = m.hello.max_version = 1;
	m.hello.frame_max = 65536;
	expect_end(&m, WAITS, 1);

	MESSAGE(WIRE_END);
	m.end.id = 1;
	expect_end(&m, WAITS, 1);
	expect_end(&m, PULLS, 1);               /* no groups */
	m.end.ngroups = 1;
	m.end.group = &group;
	expect_end(&m, PULLS, 1);               /* no such table */
	m.end.id = 2;
	expect_end(&m, PULLS, 1);

	MESSAGE(WIRE_WHOLE);
	m.whole.id = 1;
	expect_end(&m, WAITS, 1);
	expect_end(&m, PULLS, 2);

	MESSAGE(WIRE_ERROR);
	m.error.id = 9;
	expect_end(&m, PULLS, 1);

	MESSAGE(WIRE_COMMON);
	expect_end(&m, WAITS, 1);

	MESSAGE(WIRE_PUSHED);
	expect_end(&m, WAITS, 1);

	MESSAGE(WIRE_PULL);
	m.pull.id = 1;
	expect_end(&m, SERVES, 1);              /* the number comes again */

	MESSAGE(WIRE_PAGE);
	m.page.id = 1;
	m.page.total = m.page.raw = 2 * sizeof bytes;
	m.page.bytes = (struct wire_view){ bytes, sizeof bytes };
	expect_end(&m, WAITS, 1);
	expect_end(&m, PULLS, 2);               /* the same piece twice */
	m.page.offset = sizeof bytes;
	m.page.last = true;
	expect_end(&m, PULLS, 1);               /* begins in its middle */
	m.page.offset = 0;
	m.page.total = m.page.raw = sizeof bytes;
	expect_end(&m, PULLS, 1);               /* another hash */

	MESSAGE(WIRE_PAGE);                     /* in the middle of another */
	m.page.id = 1;
	m.page.total = m.page.raw = 2 * sizeof half;
	m.page.offset = sizeof half;
	m.page.last = true;
	m.page.bytes = (struct wire_view){ half, sizeof half };
	memcpy(m.page.hash, "another hash", 12);
	expect_end(&m, RESUMES, 1);

	MESSAGE(WIRE_PING);
	expect_end(&m, WAITS, SYNC_CHEAP_MAX + 1);
	MESSAGE(WIRE_PUSH);
	expect_end(&m, WAITS, SYNC_CHEAP_MAX + 2);
#undef MESSAGE
}

static void
end_does_not_come_in_the_middle_of_a_page(void **state)
{
	struct wire_msg m = { .type = WIRE_PAGE };
	struct wire_end_group group = { .complete = true };
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	peer_pull(&p.a, false);
	m.page.id = 1;
	m.page.total = m.page.raw = 2 * sizeof half;
	m.page.bytes = (struct wire_view){ half, sizeof half };
	peer_hear(&p.a, &m);
	memset(&m, 0, sizeof m);
	m.type = WIRE_END;
	m.end.id = 1;
	m.end.group = &group;
	m.end.ngroups = 1;
	peer_hear(&p.a, &m);
	while (peer_receive(&p.a, SIZE_MAX) > 0)
		;
	assert_true(p.a.closed);
	assert_int_equal(p.a.pull_why.code, E_INTEGRITY);
	pair_close(&p);
}

static void
stale_answers_are_passed_over(void **state)
{
	static const struct err why = { E_INTERRUPTED, "stopped", "" };
	struct sync_event stop = { .kind = SYNC_ON_PULL_STOP, .why = &why };
	struct pair p;

	pair_meet(&p, 0);
	peer_write(&p.b, 10);
	peer_pull(&p.a, false);
	peer_receive(&p.b, SIZE_MAX);
	peer_answer(&p.b);
	peer_room(&p.b);
	peer_answer(&p.b);
	assert_int_equal(peer_step(&p.a, &stop), 0);
	pair_run(&p);
	expect_trace(&p, "A event PULL\nA send PULL 1 whole\n"
	    "B do SERVE_BEGIN 1\nB send PAGE 1\nA send STOP 1\n"
	    "A do PULL_OVER -130\nB do SERVE_END\n");
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_true(peers_equal(&p));
	pair_close(&p);
}

static void
unknown_messages_matter_from_128_on(void **state)
{
	static const uint8_t low[] = { 0, 0, 0, 3, 127, 1, 2 };
	static const uint8_t high[] = { 0, 0, 0, 1, 128 };
	struct pair p;

	pair_meet(&p, 0);
	peer_hear_bytes(&p.a, low, sizeof low);
	pair_run(&p);
	expect_trace(&p, "");
	peer_hear_bytes(&p.a, high, sizeof high);
	pair_run(&p);
	expect_trace(&p, "A send ERROR 0 code 2\nA do CLOSE -7\n"
	    "B do CLOSE -7 by peer\n");
	pair_close(&p);
}

static void
frames_are_bounded(void **state)
{
	static const uint8_t empty[] = { 0, 0, 0, 0 };
	static const uint8_t first[] = { 0, 1, 0, 1, 1 };       /* 65,537 */
	static const uint8_t large[] = { 0, 0x11, 0, 1, 1 };    /* 1,114,113 */
	static const uint8_t part[] = { 0, 0, 0, 2, WIRE_PART, 1 };
	static const struct {
		const uint8_t *bytes;
		size_t len;
		bool opened;
	} bad[] = {
		{ empty, sizeof empty, true }, { empty, sizeof empty, false },
		{ large, sizeof large, true }, { first, sizeof first, false },
		{ part, sizeof part, false },
	};
	struct pair p;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		pair_open(&p, 0);
		p.quiet = true;
		assert_int_equal(peer_start(&p.a), 0);
		if (bad[i].opened) {
			peer_start(&p.b);
			pair_run(&p);
		}
		peer_hear_bytes(&p.a, bad[i].bytes, bad[i].len);
		peer_receive(&p.a, SIZE_MAX);
		assert_true(p.a.closed);
		pair_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_answers_end_the_connection),
		cmocka_unit_test(end_does_not_come_in_the_middle_of_a_page),
		cmocka_unit_test(stale_answers_are_passed_over),
		cmocka_unit_test(unknown_messages_matter_from_128_on),
		cmocka_unit_test(frames_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

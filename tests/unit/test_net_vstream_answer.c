// SPDX-License-Identifier: MPL-2.0
/* Bytes of a stream that go with the answer to a call of its other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vstream_pair.h"

enum { FULL = VSEGMENT_MAX - VSEGMENT_HEAD_LEN };

#define A_SIDE (&p.sides[A])
#define B_SIDE (&p.sides[B])

static size_t reply_len;

static void
reply(struct vside *s)
{
	pair_write(s->pair, s->me, reply_len);
}

/* Both know each other, and B replies to all that it hears. */
static void
begin(struct vpair *p)
{
	pair_init(p);
	pair_open(p);
	p->may_wait = true;
	p->sides[B].on_data = reply;
	reply_len = 10;
}

/* A writes; its call arrives, and B has its turn. */
static size_t
ask(struct vpair *p, size_t len)
{
	size_t call = p->ncalls;

	pair_write(p, A, len);
	pair_run(p);
	assert_int_equal(p->ncalls, call + 1);
	pair_arrive(p, call);
	pair_run(p);
	return call;
}

/* As begin(), but B replies to nothing: the answer to a call of A waits. */
static size_t
begin_waiting(struct vpair *p)
{
	size_t call;

	begin(p);
	p->sides[B].on_data = NULL;
	call = ask(p, 10);
	assert_int_equal(p->sides[B].waits, call);
	return call;
}

static void
assert_idle(struct vpair *p)
{
	size_t n = p->ncalls;

	pair_wait(p, VSTREAM_PROBE_MS / 2);
	assert_int_equal(p->ncalls, n);
}

/* ---- what goes with an answer ---- */

static void
a_dialogue_takes_one_call_for_both_ways(void **state)
{
	struct vpair p;
	size_t i, n;

	begin(&p);
	n = p.ncalls;
	for (i = 0; i < 20; i++) {
		pair_write(&p, A, 10);
		pair_pass(&p);
		assert_int_equal(p.ncalls, n + i + 1);
		assert_int_equal(A_SIDE->got, 10 * (i + 1));
		assert_true(p.calls[n + i].s.flags & VSEGMENT_ALONE);
		assert_int_equal(p.calls[n + i].s.ack, 10 * i);
	}
	pair_clear(&p);
}

static void
the_last_bytes_are_acknowledged_soon(void **state)
{
	struct vpair p;
	size_t n;

	begin(&p);
	pair_write(&p, A, 10);
	pair_pass(&p);
	n = p.ncalls;
	pair_wait(&p, VSTREAM_ACK_MS - 1);
	assert_int_equal(p.ncalls, n);
	pair_wait(&p, 1);
	assert_int_equal(p.ncalls, n + 1);
	assert_int_equal(p.calls[n].s.len, 0);
	assert_int_equal(p.calls[n].s.flags, VSEGMENT_OPENER);
	assert_int_equal(p.calls[n].s.ack, 10);
	/* that is not worth to wait for */
	pair_arrive(&p, n);
	assert_int_equal(B_SIDE->waits, -1);
	pair_answer(&p, n);
	assert_idle(&p);
	pair_clear(&p);
}

static void
what_opens_it_is_answered_with_bytes(void **state)
{
	struct vpair p;

	pair_init(&p);
	p.may_wait = true;
	reply_len = 10;
	pair_write(&p, A, 5);
	pair_run(&p);
	pair_arrive(&p, 0);
	B_SIDE->on_data = reply;
	pair_pass(&p);
	assert_int_equal(p.ncalls, 1);
	assert_int_equal(A_SIDE->opens, 1);
	assert_int_equal(B_SIDE->opens, 1);
	assert_int_equal(A_SIDE->got, 10);
	pair_clear(&p);
}

static void
what_does_not_fit_goes_by_calls(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	reply_len = 60000;
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.offset, 0);
	assert_int_equal(p.calls[call].answer.len, FULL);
	assert_int_equal(p.ncalls, call + 2);
	assert_int_equal(p.calls[call + 1].from, B);
	assert_int_equal(p.calls[call + 1].s.offset, FULL);
	/* in any order */
	pair_arrive(&p, call + 1);
	pair_answer(&p, call + 1);
	pair_answer(&p, call);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 60000);
	assert_int_equal(vstream_queued(B_SIDE->v), 0);
	pair_clear(&p);
}

static void
no_more_goes_than_the_window_takes(void **state)
{
	struct vpair p;
	size_t call, n = 0;

	begin(&p);
	vstream_mark(B_SIDE->v, p.now);
	pair_pass(&p);
	vstream_read(A_SIDE->v, false, p.now);
	pair_write(&p, B, VSTREAM_WINDOW - 100);
	pair_pass(&p);
	reply_len = 1000;
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.len, 100);
	vstream_read(A_SIDE->v, true, p.now);
	for (n = 0; n < 30; n++) {
		pair_pass(&p);
		pair_wait(&p, 100);
	}
	assert_int_equal(A_SIDE->got, VSTREAM_WINDOW + 900);
	pair_clear(&p);
}

/* ---- how long ---- */

static void
an_answer_waits_not_long(void **state)
{
	struct vpair p;
	size_t call;

	call = begin_waiting(&p);
	pair_wait(&p, VSTREAM_ANSWER_MS - 1);
	assert_int_equal(B_SIDE->waits, call);
	pair_wait(&p, 1);
	assert_int_equal(B_SIDE->waits, -1);
	assert_int_equal(p.calls[call].answer.ack, 10);
	assert_int_equal(p.calls[call].answer.len, 0);
	/* too late */
	pair_write(&p, B, 10);
	pair_answer(&p, call);
	pair_pass(&p);
	assert_int_equal(p.ncalls, call + 2);
	assert_int_equal(A_SIDE->got, 10);
	assert_idle(&p);
	pair_clear(&p);
}

static void
what_is_written_meanwhile_goes_at_once(void **state)
{
	struct vpair p;
	size_t call;

	call = begin_waiting(&p);
	pair_wait(&p, VSTREAM_ANSWER_MS / 2);
	pair_write(&p, B, 10);
	pair_run(&p);
	assert_int_equal(B_SIDE->waits, -1);
	assert_int_equal(p.calls[call].answer.len, 10);
	assert_int_equal(p.ncalls, call + 1);
	pair_clear(&p);
}

static void
a_call_among_others_is_answered_at_once(void **state)
{
	struct vpair p;
	size_t first, n;

	begin(&p);
	B_SIDE->on_data = NULL;
	vstream_mark(B_SIDE->v, p.now);
	pair_pass(&p);
	first = p.ncalls;
	pair_write(&p, A, 200000);
	pair_run(&p);
	for (n = first; n < p.ncalls; n++) {
		assert_false(p.calls[n].s.flags & VSEGMENT_ALONE);
		pair_arrive(&p, n);
		assert_int_equal(B_SIDE->waits, -1);
		pair_answer(&p, n);
	}
	/* nor is one that follows another */
	first = ask(&p, 10);
	assert_int_equal(B_SIDE->waits, first);
	n = ask(&p, 10);
	assert_int_equal(B_SIDE->waits, first);
	assert_false(p.calls[n].s.flags & VSEGMENT_ALONE);
	/* whose reply may go with the one before */
	pair_write(&p, B, 10);
	pair_run(&p);
	assert_int_equal(p.calls[first].answer.len, 10);
	pair_clear(&p);
}

static void
the_same_again_is_answered_at_once(void **state)
{
	struct vpair p;
	size_t call;
	struct vsegment_answer answer;

	call = begin_waiting(&p);
	assert_true(vstream_message(B_SIDE->v, &p.calls[call].s, true, p.now,
	    &answer));
	assert_int_equal(answer.ack, 10);
	pair_wait(&p, VSTREAM_ANSWER_MS);
	assert_true(vstream_message(B_SIDE->v, &p.calls[call].s, true, p.now,
	    &answer));
	pair_clear(&p);
}

static void
the_owner_may_have_no_room_for_it(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	p.may_wait = false;
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.ack, 10);
	pair_pass(&p);
	assert_int_equal(p.ncalls, call + 2);
	assert_int_equal(A_SIDE->got, 10);
	pair_clear(&p);
}

/* ---- what goes wrong ---- */

static void
bytes_of_a_lost_answer_are_sent_by_a_call(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.len, 10);
	pair_wait(&p, 5000);
	/* by both: neither knows what the other has */
	assert_true(p.ncalls >= call + 3);
	pair_fail(&p, call, VFAULT_TIMEOUT);
	assert_int_equal(A_SIDE->got, 0);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 10);
	assert_int_equal(B_SIDE->got, 10);
	assert_idle(&p);
	pair_clear(&p);
}

static void
a_full_answer_that_was_lost_fits_into_a_call(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	reply_len = 40000;
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.len, FULL);
	pair_fail(&p, call, VFAULT_TIMEOUT);
	pair_pass(&p);
	pair_wait(&p, 5000);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 40000);
	pair_clear(&p);
}

static void
an_answer_may_come_behind_what_was_sent_again(void **state)
{
	struct vpair p;
	size_t call, n;

	begin(&p);
	call = ask(&p, 10);
	pair_wait(&p, 4000);
	for (n = call + 1; n < p.ncalls; n++) {
		if (p.calls[n].arrived == 0)
			pair_arrive(&p, n);
		while (A_SIDE->waits == (long)n)
			pair_wait(&p, 1);
		if (p.calls[n].live)
			pair_answer(&p, n);
		pair_run(&p);
	}
	assert_int_equal(A_SIDE->got, 10);
	pair_answer(&p, call);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 10);
	assert_int_equal(B_SIDE->got, 10);
	pair_wait(&p, 1000);
	pair_pass(&p);
	assert_idle(&p);
	pair_clear(&p);
}

static void
another_way_to_the_peer_makes_no_difference(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	call = ask(&p, 10);
	vstream_route_known(B_SIDE->v, p.now);
	pair_run(&p);
	assert_int_equal(p.ncalls, call + 1);
	pair_clear(&p);
}

static void
no_way_to_the_peer_is_needed(void **state)
{
	struct vpair p;

	begin(&p);
	B_SIDE->node = false;
	ask(&p, 10);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 10);
	pair_clear(&p);
}

static void
without_memory_it_goes_by_a_call(void **state)
{
	struct vpair p;
	size_t call;

	call = begin_waiting(&p);
	pair_write(&p, B, 10);
	pair_nomem = 1000;
	pair_run_one(&p, B);
	pair_nomem = 0;
	assert_int_equal(B_SIDE->waits, -1);
	assert_int_equal(p.calls[call].answer.len, 0);
	pair_wait(&p, 1000);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 10);
	pair_clear(&p);
}

/* ---- ends ---- */

static void
reply_and_end(struct vside *s)
{
	reply(s);
	vstream_end(s->v, true, s->pair->now);
}

static void
the_last_bytes_go_with_the_end(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	B_SIDE->on_data = reply_and_end;
	call = ask(&p, 10);
	assert_int_equal(p.calls[call].answer.len, 0);
	assert_true(p.calls[call + 1].s.flags & VSEGMENT_FIN);
	assert_int_equal(p.calls[call + 1].s.len, 10);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 10);
	assert_int_equal(A_SIDE->overs, 1);
	assert_int_equal(A_SIDE->why.code, 0);
	assert_int_equal(B_SIDE->overs, 1);
	assert_int_equal(B_SIDE->why.code, 0);
	pair_clear(&p);
}

static void
the_end_comes_before_the_answer(void **state)
{
	struct vpair p;
	size_t call;

	begin(&p);
	call = ask(&p, 10);
	vstream_end(B_SIDE->v, true, p.now);
	pair_run(&p);
	assert_int_equal(p.ncalls, call + 2);
	pair_arrive(&p, call + 1);
	pair_answer(&p, call + 1);
	pair_run(&p);
	assert_int_equal(A_SIDE->overs, 0);
	pair_answer(&p, call);
	pair_run(&p);
	assert_int_equal(A_SIDE->got, 10);
	assert_int_equal(A_SIDE->overs, 1);
	/* it has said so */
	pair_arrive(&p, call + 2);
	pair_run(&p);
	assert_int_equal(B_SIDE->overs, 1);
	assert_int_equal(B_SIDE->why.code, 0);
	pair_clear(&p);
}

static void
one_that_is_over_answers_yet(void **state)
{
	struct vpair p;

	begin_waiting(&p);
	vstream_end(B_SIDE->v, false, p.now);
	assert_int_equal(vstream_due(B_SIDE->v), 0);
	pair_run(&p);
	assert_int_equal(B_SIDE->waits, -1);
	assert_int_equal(B_SIDE->overs, 1);
	pair_clear(&p);
}

static void
an_end_is_not_waited_with(void **state)
{
	struct vpair p;

	begin(&p);
	pair_write(&p, A, 10);
	vstream_end(A_SIDE->v, true, p.now);
	pair_run(&p);
	pair_arrive(&p, p.ncalls - 1);
	assert_int_equal(B_SIDE->waits, -1);
	pair_pass(&p);
	assert_int_equal(A_SIDE->overs, 1);
	assert_int_equal(A_SIDE->why.code, 0);
	pair_clear(&p);
}

/* ---- strangers ---- */

/* The answer to a new call of A has these bytes; before it there is this one of
 * B (NULL: none). */
static void
told(struct vpair *p, const struct vsegment *before, uint64_t offset,
    const uint8_t *bytes, size_t len)
{
	size_t call = p->ncalls;
	struct vsegment_answer answer;

	pair_write(p, A, 1);
	pair_run(p);
	if (before != NULL)
		vstream_message(p->sides[A].v, before, false, p->now,
		    &answer);
	p->calls[call].arrived = 1;
	p->calls[call].answer = (struct vsegment_answer){
		.ack = p->sides[A].written, .window = 1000,
		.offset = offset, .payload = bytes, .len = len };
	pair_answer(p, call);
	pair_run(p);
}

static void
bytes_beyond_the_window(void **state)
{
	static uint8_t bytes[FULL];
	static const uint64_t places[] = { VSTREAM_WINDOW - FULL + 1,
		VSTREAM_WINDOW, VSTREAM_WINDOW + 1,
		((uint64_t)1 << 63) - FULL };
	struct vpair p;
	size_t i;

	begin(&p);
	for (i = 0; i < sizeof places / sizeof *places; i++)
		told(&p, NULL, places[i], bytes, FULL);
	assert_int_equal(A_SIDE->got, 0);
	assert_int_equal(A_SIDE->overs, 0);
	/* What was not taken leaves nothing behind. */
	pair_write(&p, B, 1000);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 1000);
	pair_clear(&p);
}

static void
bytes_behind_the_end(void **state)
{
	const struct vsegment end = { .offset = 5, .flags = VSEGMENT_FIN };
	uint8_t byte = 0;
	struct vpair p;

	begin(&p);
	told(&p, &end, 5, &byte, 1);
	assert_int_equal(A_SIDE->overs, 1);
	assert_int_equal(A_SIDE->why.code, E_INTEGRITY);
	pair_clear(&p);
}

/* One whose every answer has a byte is acknowledged as often as it may, and no
 * more. */
static void
bytes_in_every_answer(void **state)
{
	struct vpair p;
	uint8_t byte;
	size_t n;
	int i;

	begin(&p);
	n = p.ncalls;
	for (i = 0; i < 1000; i++) {
		long call = pair_last(&p, A);

		byte = pair_byte(B, A_SIDE->got);
		if (call < 0) {
			if (i == 0)
				told(&p, NULL, 0, &byte, 1);
		} else {
			p.calls[call].arrived = 1;
			p.calls[call].answer = (struct vsegment_answer){
				.ack = A_SIDE->written, .window = 1000,
				.offset = A_SIDE->got, .payload = &byte,
				.len = 1 };
			pair_answer(&p, (size_t)call);
		}
		pair_wait(&p, 10);
	}
	assert_in_range(p.ncalls - n, 2, 10000 / VSTREAM_ACK_MS + 2);
	pair_clear(&p);
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dialogue_takes_one_call_for_both_ways),
		TEST(the_last_bytes_are_acknowledged_soon),
		TEST(what_opens_it_is_answered_with_bytes),
		TEST(what_does_not_fit_goes_by_calls),
		TEST(no_more_goes_than_the_window_takes),
		TEST(an_answer_waits_not_long),
		TEST(what_is_written_meanwhile_goes_at_once),
		TEST(a_call_among_others_is_answered_at_once),
		TEST(the_same_again_is_answered_at_once),
		TEST(the_owner_may_have_no_room_for_it),
		TEST(bytes_of_a_lost_answer_are_sent_by_a_call),
		TEST(a_full_answer_that_was_lost_fits_into_a_call),
		TEST(an_answer_may_come_behind_what_was_sent_again),
		TEST(another_way_to_the_peer_makes_no_difference),
		TEST(no_way_to_the_peer_is_needed),
		TEST(without_memory_it_goes_by_a_call),
		TEST(the_last_bytes_go_with_the_end),
		TEST(the_end_comes_before_the_answer),
		TEST(one_that_is_over_answers_yet),
		TEST(an_end_is_not_waited_with),
		TEST(bytes_beyond_the_window),
		TEST(bytes_behind_the_end),
		TEST(bytes_in_every_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* A stream over calls: each thing that can happen to one, by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rng.h"
#include "vstream_pair.h"

enum { FULL = VSEGMENT_MAX - VSEGMENT_HEAD_LEN };

#define A_SIDE (&p.sides[A])
#define B_SIDE (&p.sides[B])

static void
assert_over(const struct vside *s, int code)
{
	assert_int_equal(s->overs, 1);
	assert_int_equal(s->why.code, code);
	assert_true(code == 0 || s->why.text[0] != '\0');
	assert_true(vstream_due(s->v) == VSTREAM_NEVER);
}

/* All calls of a side that are live fail. */
static void
fail_all(struct vpair *p, int side, enum vfault fault)
{
	long call;

	while ((call = pair_last(p, side)) >= 0)
		pair_fail(p, (size_t)call, fault);
}

/* ---- it opens ---- */

static void
the_first_call_opens_it_and_has_bytes(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_write(&p, A, 5);
	pair_run(&p);
	assert_int_equal(p.ncalls, 1);
	assert_int_equal(p.calls[0].s.flags, VSEGMENT_OPENER | VSEGMENT_ROUTE
	    | VSEGMENT_ALONE);
	assert_int_equal(p.calls[0].s.offset, 0);
	assert_int_equal(p.calls[0].s.len, 5);
	/* until it is answered, nothing goes that names it */
	pair_write(&p, A, 5);
	pair_run(&p);
	assert_int_equal(p.ncalls, 1);
	pair_open(&p);
	assert_string_equal(B_SIDE->route, "to A");
	assert_int_equal(B_SIDE->got, 10);
	pair_clear(&p);
}

static void
it_opens_without_bytes(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	assert_int_equal(p.ncalls, 1);
	pair_write(&p, B, 100);
	pair_pass(&p);
	assert_int_equal(p.calls[1].s.flags, VSEGMENT_ALONE);
	assert_int_equal(A_SIDE->got, 100);
	pair_clear(&p);
}

static bool
no_call(void *owner, unsigned slot, const uint8_t *bytes, size_t len)
{
	fail();
	return false;
}

static void
hear_over(void *owner, const struct err *why)
{
	*(int *)owner = why->code;
}

static void
it_waits_for_a_route_of_ours(void **state)
{
	static const struct vstream_events events = { .call = no_call,
		.over = hear_over };
	int code = 1;
	struct vstream *v = vstream_new((const uint8_t *)"sixteen random b",
	    true, 0, &events, &code);

	assert_int_equal(vstream_write(v, "x", 1, 0, NULL), 0);
	vstream_run(v, 0);
	assert_int_equal(vstream_due(v), VSTREAM_DEAD_MS);
	vstream_run(v, VSTREAM_DEAD_MS);
	assert_int_equal(code, E_UNREACHABLE);
	vstream_free(v);
}

static void
what_opens_it_is_sent_again(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_run(&p);
	pair_fail(&p, 0, VFAULT_NO_CONNECTION);
	pair_wait(&p, VSTREAM_AGAIN_MIN_MS);
	assert_int_equal(A_SIDE->stales, 1);
	assert_int_equal(p.ncalls, 2);
	pair_open(&p);
	pair_clear(&p);
}

static void
a_late_answer_does_not_hold_the_opening_up(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_wait(&p, 3000);
	assert_int_equal(p.ncalls, 2);
	pair_arrive(&p, 1);
	pair_answer(&p, 1);
	pair_run(&p);
	assert_int_equal(A_SIDE->opens, 1);
	pair_arrive(&p, 0);
	pair_answer(&p, 0);
	pair_run(&p);
	assert_int_equal(A_SIDE->opens, 1);
	assert_int_equal(B_SIDE->opens, 1);
	pair_clear(&p);
}

/* ---- calls ---- */

static void
eight_full_calls_are_on_the_way(void **state)
{
	struct vpair p;
	size_t i;

	pair_init(&p);
	pair_open(&p);
	vstream_mark(B_SIDE->v, p.now);
	pair_pass(&p);
	pair_write(&p, A, 1 << 20);
	i = p.ncalls;
	pair_run(&p);
	assert_int_equal(pair_live(&p, A), VSTREAM_CALLS);
	for (; i < p.ncalls; i++)
		assert_int_equal(p.calls[i].len, VSEGMENT_MAX);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1 << 20);
	assert_int_equal(vstream_queued(A_SIDE->v), 0);
	/* in no more calls than it needs */
	assert_int_equal(p.ncalls, 2 + ((1 << 20) + FULL - 1) / FULL);
	pair_clear(&p);
}

static void
small_writes_go_at_once_and_together_when_all_slots_are_busy(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	for (i = 0; i < 28; i++) {
		pair_write(&p, A, 10);
		pair_run(&p);
	}
	assert_int_equal(pair_live(&p, A), VSTREAM_CALLS);
	assert_int_equal(p.calls[p.ncalls - 1].s.len, 10);
	assert_int_equal(vstream_queued(A_SIDE->v), 200);
	pair_arrive(&p, 1);
	pair_answer(&p, 1);
	pair_run(&p);
	assert_int_equal(p.calls[p.ncalls - 1].s.len, 200);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 280);
	pair_clear(&p);
}

static void
done_although_it_failed(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 1000);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, 1000);
	pair_fail(&p, 1, VFAULT_TIMEOUT);
	pair_wait(&p, VSTREAM_AGAIN_MIN_MS);
	assert_int_equal(p.ncalls, 3);
	assert_int_equal(p.calls[2].s.len, 1000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1000);
	assert_int_equal(pair_live(&p, A), 0);
	pair_clear(&p);
}

static void
done_twice(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 1000);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_arrive(&p, 1);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1000);
	pair_write(&p, A, 1000);
	pair_pass(&p);
	pair_arrive(&p, 1);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 2000);
	pair_clear(&p);
}

static void
shuffle(struct rng *r, size_t *order, size_t n)
{
	size_t i, j, kept;

	for (i = n - 1; i > 0; i--) {
		j = below(r, (uint32_t)i + 1);
		kept = order[i];
		order[i] = order[j];
		order[j] = kept;
	}
}

static void
in_any_order(void **state)
{
	struct rng rng = { .s = 4711 };
	size_t order[VSTREAM_CALLS], i;
	struct vpair p;
	int round;

	for (round = 0; round < 300; round++) {
		pair_init(&p);
		pair_open(&p);
		for (i = 0; i < VSTREAM_CALLS; i++) {
			order[i] = 1 + i;
			pair_write(&p, A, 100 + i);
			pair_run(&p);
		}
		vstream_end(A_SIDE->v, true, p.now);
		shuffle(&rng, order, VSTREAM_CALLS);
		for (i = 0; i < VSTREAM_CALLS; i++) {
			pair_arrive(&p, order[i]);
			pair_run(&p);
		}
		shuffle(&rng, order, VSTREAM_CALLS);
		for (i = 0; i < VSTREAM_CALLS; i++) {
			pair_answer(&p, order[i]);
			pair_run(&p);
		}
		/* the end, which had no slot, and nothing again */
		assert_int_equal(p.ncalls, 1 + VSTREAM_CALLS + 1);
		pair_pass(&p);
		assert_int_equal(B_SIDE->got, A_SIDE->written);
		assert_over(A_SIDE, 0);
		assert_over(B_SIDE, 0);
		pair_clear(&p);
	}
}

static void
a_late_call_is_made_again_beside_it(void **state)
{
	struct vpair p;
	size_t i, n;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 100);
	pair_wait(&p, 900);
	n = p.ncalls;
	pair_wait(&p, 100);
	assert_int_equal(p.ncalls, n + 1);
	assert_int_equal(p.calls[n].s.offset, 0);
	assert_int_equal(p.calls[n].s.len, 100);
	/* twice at most */
	pair_wait(&p, 20000);
	assert_int_equal(pair_live(&p, A), 3);
	for (i = n - 1; i < p.ncalls; i++)
		pair_arrive(&p, i);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 100);
	assert_int_equal(A_SIDE->stales, 0);
	pair_clear(&p);
}

static void
calls_that_fail_are_made_again_more_and_more_seldom(void **state)
{
	static const unsigned waits[] = { 100, 200, 400, 800, 1600, 3200, 5000,
		5000, 5000 };
	struct vpair p;
	size_t i, n;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 6 * FULL);
	pair_run(&p);
	for (i = 0; i < sizeof waits / sizeof *waits; i++) {
		fail_all(&p, A, VFAULT_NO_CONNECTION);
		n = p.ncalls;
		pair_wait(&p, waits[i] - 1);
		assert_int_equal(p.ncalls, n);
		pair_wait(&p, 1);
		assert_true(p.ncalls > n);
	}
	/* but at once as soon as they work */
	fail_all(&p, A, VFAULT_NO_CONNECTION);
	vstream_route_known(A_SIDE->v, p.now);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 6 * FULL);
	pair_clear(&p);
}

/* No room for calls: what is under way does not go again. */
static void
what_waited_for_room_goes_on_from_there(void **state)
{
	struct vpair p;
	size_t n;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, FULL);
	pair_run(&p);
	A_SIDE->node = false;
	pair_write(&p, A, FULL);
	pair_run(&p);
	n = p.ncalls;
	assert_int_equal(pair_live(&p, A), 1);
	A_SIDE->node = true;
	pair_run(&p);
	assert_int_equal(p.ncalls, n);
	vstream_resume(A_SIDE->v, p.now);
	pair_run(&p);
	assert_int_equal(p.ncalls, n + 1);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 2 * FULL);
	pair_clear(&p);
}

static void
routes_are_stale_where_all_calls_fail_and_once_a_second(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	/* the first got lost, a later one did not */
	pair_write(&p, A, 10);
	pair_run(&p);
	pair_write(&p, A, 10);
	pair_run(&p);
	pair_arrive(&p, 2);
	pair_answer(&p, 2);
	pair_fail(&p, 1, VFAULT_TIMEOUT);
	pair_pass(&p);
	assert_int_equal(A_SIDE->stales, 0);
	assert_int_equal(B_SIDE->got, 20);
	/* the node is to blame */
	pair_write(&p, A, 10);
	pair_run(&p);
	fail_all(&p, A, VFAULT_DOWN);
	pair_wait(&p, 100);
	fail_all(&p, A, VFAULT_CLOSED);
	pair_wait(&p, 200);
	assert_int_equal(A_SIDE->stales, 0);
	for (i = 0; i < 30; i++) {
		fail_all(&p, A, VFAULT_TARGET);
		vstream_route_known(A_SIDE->v, p.now);
		pair_wait(&p, 100);
	}
	assert_int_equal(A_SIDE->stales, 4);
	pair_clear(&p);
}

static void
what_got_lost_goes_as_soon_as_calls_work(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	pair_run(&p);
	pair_write(&p, A, 10);
	pair_run(&p);
	pair_fail(&p, 2, VFAULT_TIMEOUT);
	pair_run(&p);
	assert_int_equal(p.ncalls, 3);
	pair_arrive(&p, 1);
	pair_answer(&p, 1);
	pair_run(&p);
	assert_int_equal(p.ncalls, 4);
	pair_clear(&p);
}

static void
a_part_is_taken(void **state)
{
	struct vpair p;

	/* Ours take all or nothing; others may do as they like. */
	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 100);
	pair_run(&p);
	p.calls[1].arrived = 1;
	p.calls[1].answer = (struct vsegment_answer){ .ack = 30,
		.window = 1000 };
	pair_answer(&p, 1);
	pair_wait(&p, 100);
	assert_int_equal(p.ncalls, 3);
	assert_int_equal(p.calls[2].s.offset, 30);
	assert_int_equal(p.calls[2].s.len, 70);
	assert_int_equal(p.calls[2].s.payload[0], pair_byte(A, 30));
	pair_clear(&p);
}

/* ---- ends ---- */

static void
the_end_comes_behind_all_bytes(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 3 * FULL / 2);
	vstream_end(A_SIDE->v, true, p.now);
	assert_int_equal(pair_write(&p, A, 1), E_UNREACHABLE);
	pair_run(&p);
	assert_int_equal(pair_live(&p, A), 2);
	assert_int_equal(p.calls[2].s.flags, VSEGMENT_OPENER | VSEGMENT_FIN);
	pair_arrive(&p, 2);
	pair_answer(&p, 2);
	pair_run(&p);
	assert_int_equal(A_SIDE->overs + B_SIDE->overs, 0);
	pair_arrive(&p, 1);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, 3 * FULL / 2);
	assert_over(B_SIDE, 0);
	assert_int_equal(A_SIDE->overs, 0);
	pair_answer(&p, 1);
	pair_run(&p);
	assert_over(A_SIDE, 0);
	pair_clear(&p);
}

static void
the_end_waits_until_all_is_handed_out(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	vstream_read(B_SIDE->v, false, p.now);
	pair_write(&p, A, 1000);
	vstream_end(A_SIDE->v, true, p.now);
	pair_write(&p, B, 50000);
	pair_pass(&p);
	assert_over(A_SIDE, 0);
	pair_free(&p, A);
	/* The peer is gone, and that does no harm. */
	pair_wait(&p, 200000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->overs, 0);
	assert_int_equal(pair_write(&p, B, 100), 0);
	assert_int_equal(vstream_queued(B_SIDE->v), 0);
	vstream_read(B_SIDE->v, true, p.now);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, 1000);
	assert_over(B_SIDE, 0);
	pair_clear(&p);
}

static void
both_end_at_once(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 1000);
	pair_write(&p, B, 1000);
	vstream_end(A_SIDE->v, true, p.now);
	vstream_end(B_SIDE->v, true, p.now);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_arrive(&p, 2);
	pair_run(&p);
	pair_pass(&p);
	assert_over(A_SIDE, 0);
	assert_over(B_SIDE, 0);
	assert_int_equal(A_SIDE->got + B_SIDE->got, 0);
	pair_clear(&p);
}

static void
both_end_and_the_answers_get_lost(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 1000);
	vstream_end(A_SIDE->v, true, p.now);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, 1000);
	assert_over(B_SIDE, 0);
	pair_free(&p, B);
	pair_fail(&p, 1, VFAULT_TIMEOUT);
	pair_wait(&p, 100);
	pair_pass(&p);
	assert_int_equal(A_SIDE->overs, 1);
	pair_clear(&p);
}

static void
the_end_alone_is_lost_and_made_up(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 1000);
	pair_pass(&p);
	vstream_end(A_SIDE->v, true, p.now);
	pair_run(&p);
	pair_arrive(&p, p.ncalls - 1);
	pair_fail(&p, p.ncalls - 1, VFAULT_TIMEOUT);
	pair_run(&p);
	assert_over(B_SIDE, 0);
	pair_free(&p, B);
	pair_wait(&p, 100);
	pair_pass(&p);
	/* unknown there, but all had been taken */
	assert_over(A_SIDE, 0);
	pair_clear(&p);
}

static void
flushing_has_a_time(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	vstream_read(B_SIDE->v, false, p.now);
	pair_write(&p, A, 100000);
	vstream_end(A_SIDE->v, true, p.now);
	pair_pass(&p);
	pair_wait(&p, NET_LINGER_MS - 1);
	pair_pass(&p);
	assert_int_equal(A_SIDE->overs, 0);
	pair_wait(&p, 1);
	assert_over(A_SIDE, E_UNREACHABLE);
	pair_arrive(&p, p.ncalls - 1);
	pair_run(&p);
	assert_over(B_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

static void
a_reset_is_said_once(void **state)
{
	struct vpair p;
	struct vsegment_answer answer;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	pair_run(&p);
	vstream_end(A_SIDE->v, false, p.now);
	pair_run(&p);
	assert_over(A_SIDE, E_UNREACHABLE);
	assert_int_equal(p.ncalls, 3);
	assert_int_equal(p.calls[2].s.flags, VSEGMENT_OPENER | VSEGMENT_RESET);
	pair_arrive(&p, 2);
	pair_run(&p);
	assert_over(B_SIDE, E_UNREACHABLE);
	assert_int_equal(B_SIDE->got, 0);
	/* what comes later is of no stream */
	vstream_message(B_SIDE->v, &p.calls[1].s, false, p.now, &answer);
	assert_int_equal(answer.status, VSEGMENT_UNKNOWN);
	assert_int_equal(pair_write(&p, B, 1), E_UNREACHABLE);
	pair_wait(&p, 1000000);
	assert_int_equal(p.ncalls, 3);
	pair_clear(&p);
}

static void
a_reset_waits_for_a_slot_but_not_long(void **state)
{
	struct vpair p;
	int i;

	for (i = 0; i < 2; i++) {
		pair_init(&p);
		pair_open(&p);
		while (pair_live(&p, A) < VSTREAM_CALLS) {
			pair_write(&p, A, 10);
			pair_run(&p);
		}
		vstream_end(A_SIDE->v, false, p.now);
		pair_wait(&p, NET_LINGER_MS - 1);
		assert_int_equal(A_SIDE->overs, 0);
		if (i == 0) {
			pair_fail(&p, 1, VFAULT_TIMEOUT);
			pair_run(&p);
			assert_int_equal(p.calls[p.ncalls - 1].s.flags,
			    VSEGMENT_OPENER | VSEGMENT_RESET);
		} else {
			pair_wait(&p, 1);
		}
		assert_over(A_SIDE, E_UNREACHABLE);
		pair_clear(&p);
	}
}

static void
one_that_nobody_knows_ends_without_a_word(void **state)
{
	struct vpair p;
	int flush;

	for (flush = 0; flush < 2; flush++) {
		pair_init(&p);
		A_SIDE->node = false;
		pair_run(&p);
		A_SIDE->node = true;
		vstream_route_known(A_SIDE->v, p.now);
		vstream_end(A_SIDE->v, flush, p.now);
		pair_run(&p);
		assert_over(A_SIDE, flush ? 0 : E_UNREACHABLE);
		assert_int_equal(p.ncalls, 0);
		pair_clear(&p);
	}
}

static void
an_end_goes_with_what_opens_it(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_write(&p, A, 10);
	vstream_end(A_SIDE->v, true, p.now);
	pair_pass(&p);
	assert_int_equal(p.ncalls, 1);
	assert_over(A_SIDE, 0);
	assert_over(B_SIDE, 0);
	assert_int_equal(B_SIDE->got, 10);
	pair_clear(&p);
}

static void
nothing_is_handed_out_after_the_end_here(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 100);
	pair_run(&p);
	pair_write(&p, B, 100);
	pair_run(&p);
	vstream_end(A_SIDE->v, true, p.now);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, 0);
	assert_int_equal(B_SIDE->got, 100);
	assert_over(A_SIDE, 0);
	assert_over(B_SIDE, 0);
	pair_clear(&p);
}

/* ---- the peer is not what it was ---- */

static void
answered(struct vpair *p, enum vsegment_status status)
{
	pair_init(p);
	pair_open(p);
	pair_write(p, A, 10);
	pair_run(p);
	pair_arrive(p, 1);
	p->calls[1].answer = (struct vsegment_answer){ .status = status };
	pair_answer(p, 1);
	pair_run(p);
}

static void
an_unknown_stream_is_over_at_once(void **state)
{
	struct vpair p;

	answered(&p, VSEGMENT_UNKNOWN);
	assert_over(A_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

static void
a_peer_without_room(void **state)
{
	struct vpair p;

	answered(&p, VSEGMENT_BUSY);
	assert_over(A_SIDE, E_UNREACHABLE);
	assert_non_null(strstr(A_SIDE->why.text, "too many"));
	pair_clear(&p);
}

static void
a_peer_of_another_version(void **state)
{
	struct vpair p;

	answered(&p, VSEGMENT_OTHER);
	assert_over(A_SIDE, E_REFUSED);
	assert_non_null(strstr(A_SIDE->why.text, "version"));
	pair_clear(&p);
}

static void
a_peer_that_was_restarted(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_free(&p, B);
	pair_write(&p, A, 10);
	pair_pass(&p);
	assert_over(A_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

static void
a_peer_that_forgot_what_it_said(void **state)
{
	struct vpair p;

	/* What it gets looks like the first bytes of a stream that is new. */
	pair_init(&p);
	pair_open(&p);
	pair_write(&p, B, 10);
	pair_pass(&p);
	pair_free(&p, B);
	p.made_b = false;
	pair_write(&p, A, 10);
	pair_pass(&p);
	assert_int_equal(p.calls[2].s.offset, 0);
	assert_over(A_SIDE, E_UNREACHABLE);
	assert_over(B_SIDE, E_INTEGRITY);
	pair_clear(&p);
}

static void
a_node_that_is_down_for_a_while(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	A_SIDE->node = false;
	pair_write(&p, A, 100000);
	pair_run(&p);
	assert_int_equal(p.ncalls, 1);
	pair_wait(&p, 30000);
	assert_int_equal(p.ncalls, 1);
	A_SIDE->node = true;
	vstream_route_known(A_SIDE->v, p.now);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 100000);
	assert_int_equal(A_SIDE->overs, 0);
	pair_clear(&p);
}

static void
a_node_that_stays_down(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	A_SIDE->node = false;
	pair_write(&p, A, 100000);
	pair_wait(&p, VSTREAM_DEAD_MS - 1);
	assert_int_equal(A_SIDE->overs, 0);
	pair_wait(&p, 1);
	assert_over(A_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

static void
a_minute_without_an_answer(void **state)
{
	struct vpair p;
	uint64_t began;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	began = p.now;
	while (A_SIDE->overs == 0) {
		pair_wait(&p, 4000);
		fail_all(&p, A, VFAULT_TIMEOUT);
	}
	assert_int_equal(p.now - began, VSTREAM_DEAD_MS);
	assert_over(A_SIDE, E_UNREACHABLE);
	assert_in_range(A_SIDE->stales, 10, 20);
	pair_clear(&p);
}

static void
what_the_peer_says_does_not_replace_answers(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	for (i = 0; i < 60; i++) {
		pair_wait(&p, 1000);
		fail_all(&p, A, VFAULT_NO_CONNECTION);
		if (A_SIDE->overs > 0)
			break;
		pair_write(&p, B, 10);
		pair_run(&p);
		pair_arrive(&p, (size_t)pair_last(&p, B));
		pair_answer(&p, (size_t)pair_last(&p, B));
	}
	assert_over(A_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

static void
what_the_peer_acknowledges_with_its_own_calls_counts(void **state)
{
	struct vpair p;
	long call;
	int i;

	pair_init(&p);
	pair_open(&p);
	for (i = 0; i < 100; i++) {
		pair_write(&p, A, 10);
		pair_wait(&p, 1000);
		while ((call = pair_last(&p, A)) >= 0) {
			pair_arrive(&p, (size_t)call);
			pair_fail(&p, (size_t)call, VFAULT_TIMEOUT);
		}
		pair_write(&p, B, 10);
		pair_run(&p);
		while ((call = pair_last(&p, B)) >= 0) {
			pair_arrive(&p, (size_t)call);
			pair_answer(&p, (size_t)call);
		}
	}
	pair_run(&p);
	assert_int_equal(A_SIDE->overs + B_SIDE->overs, 0);
	pair_clear(&p);
}

/* ---- idle ---- */

static void
an_idle_stream_sends_one_call_a_minute(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	for (i = 0; i < 10; i++) {
		pair_wait(&p, VSTREAM_PROBE_MS - 1);
		assert_int_equal(p.ncalls, 1 + i);
		pair_wait(&p, 1);
		assert_int_equal(p.ncalls, 2 + i);
		assert_int_equal(p.calls[1 + i].s.len, 0);
		assert_int_equal(p.calls[1 + i].len, VSEGMENT_HEAD_LEN);
		pair_pass(&p);
	}
	pair_clear(&p);
}

static void
both_notice_within_minutes_that_the_other_is_gone(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	A_SIDE->node = B_SIDE->node = false;
	pair_wait(&p, 2 * VSTREAM_PROBE_MS + 10000);
	assert_over(A_SIDE, E_UNREACHABLE);
	assert_over(B_SIDE, E_UNREACHABLE);
	pair_clear(&p);
}

/* ---- windows ---- */

/* B does not read, and A has sent all it may. */
static void
close_window(struct vpair *p)
{
	pair_init(p);
	pair_open(p);
	vstream_read(p->sides[B].v, false, p->now);
	pair_write(p, A, 1 << 20);
	pair_pass(p);
	assert_int_equal(p->sides[B].got, 0);
	assert_int_equal(vstream_queued(p->sides[A].v),
	    (1 << 20) - VSTREAM_WINDOW_UNKNOWN);
}

static void
a_window_closes_and_opens(void **state)
{
	struct vpair p;
	size_t n;

	close_window(&p);
	n = p.ncalls;
	vstream_read(B_SIDE->v, true, p.now);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, VSTREAM_WINDOW_UNKNOWN);
	assert_int_equal(p.ncalls, n + 1);
	assert_int_equal(p.calls[n].from, B);
	assert_int_equal(p.calls[n].s.len, 0);
	assert_int_equal(p.calls[n].s.window, VSTREAM_WINDOW_UNKNOWN);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1 << 20);
	pair_clear(&p);
}

static void
a_closed_window_is_asked_more_and_more_seldom(void **state)
{
	struct vpair p;
	size_t n;
	int i;

	close_window(&p);
	n = p.ncalls;
	for (i = 0; i < 600; i++) {
		pair_wait(&p, 1000);
		pair_pass(&p);
	}
	assert_in_range(p.ncalls - n, 10, 16);
	assert_int_equal(A_SIDE->overs + B_SIDE->overs, 0);
	pair_clear(&p);
}

static void
a_window_opens_and_that_gets_lost(void **state)
{
	struct vpair p;

	close_window(&p);
	B_SIDE->node = false;
	vstream_read(B_SIDE->v, true, p.now);
	pair_run(&p);
	assert_int_equal(B_SIDE->got, VSTREAM_WINDOW_UNKNOWN);
	pair_wait(&p, 2000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1 << 20);
	pair_clear(&p);
}

static void
a_marked_peer_takes_more(void **state)
{
	struct vpair p;

	close_window(&p);
	vstream_mark(B_SIDE->v, p.now);
	pair_pass(&p);
	assert_int_equal(vstream_queued(A_SIDE->v),
	    (1 << 20) - VSTREAM_WINDOW);
	vstream_read(B_SIDE->v, true, p.now);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 1 << 20);
	assert_int_equal(B_SIDE->largest, NET_READ_MAX);
	pair_clear(&p);
}

static void
read_no_more(struct vside *s)
{
	vstream_read(s->v, false, s->pair->now);
}

static void
reading_can_stop_in_the_middle(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	vstream_mark(B_SIDE->v, p.now);
	B_SIDE->on_data = read_no_more;
	pair_write(&p, A, 8 * NET_READ_MAX);
	pair_run(&p);
	for (i = 1; pair_last(&p, A) >= 0; i++) {
		pair_pass(&p);
		vstream_read(B_SIDE->v, true, p.now);
		pair_run(&p);
		assert_true(B_SIDE->got <= (uint64_t)(i + 1) * NET_READ_MAX);
	}
	for (i = 0; i < 20; i++) {
		vstream_read(B_SIDE->v, true, p.now);
		pair_pass(&p);
	}
	assert_int_equal(B_SIDE->got, 8 * NET_READ_MAX);
	pair_clear(&p);
}

static void
queues_have_a_maximum(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	assert_int_equal(pair_write(&p, B, NET_SEND_MAX_UNKNOWN + 1), E_HELD);
	assert_int_equal(pair_write(&p, B, NET_SEND_MAX_UNKNOWN), 0);
	assert_int_equal(pair_write(&p, B, 1), E_HELD);
	assert_int_equal(pair_write(&p, A, NET_SEND_MAX), 0);
	assert_int_equal(pair_write(&p, A, 1), E_HELD);
	pair_pass(&p);
	assert_int_equal(A_SIDE->drains, 1);
	assert_int_equal(B_SIDE->drains, 0);
	assert_int_equal(B_SIDE->got, NET_SEND_MAX);
	assert_int_equal(A_SIDE->got, NET_SEND_MAX_UNKNOWN);
	pair_clear(&p);
}

/* ---- routes ---- */

static void
set_route(struct vpair *p, int side, const char *route)
{
	assert_int_equal(vstream_set_route(p->sides[side].v,
	    (const uint8_t *)route, strlen(route), p->now, NULL), 0);
}

static void
a_new_route_is_told_until_it_is_acknowledged(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	set_route(&p, A, "new to A");
	pair_run(&p);
	assert_int_equal(p.ncalls, 2);
	pair_fail(&p, 1, VFAULT_TIMEOUT);
	pair_wait(&p, 100);
	assert_int_equal(p.ncalls, 3);
	pair_pass(&p);
	assert_string_equal(B_SIDE->route, "new to A");
	assert_int_equal(B_SIDE->routes, 2);
	pair_write(&p, A, 1);
	set_route(&p, A, "new to A");
	pair_pass(&p);
	assert_int_equal(p.ncalls, 4);
	assert_int_equal(p.calls[3].s.flags, VSEGMENT_OPENER
	    | VSEGMENT_ALONE);
	assert_int_equal(B_SIDE->routes, 2);
	pair_clear(&p);
}

static void
what_was_told_by_an_old_route_is_told_again(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	set_route(&p, A, "new to A");
	pair_write(&p, A, 10);
	pair_run(&p);
	assert_int_equal(p.ncalls, 2);
	vstream_route_known(A_SIDE->v, p.now);
	pair_run(&p);
	assert_int_equal(p.ncalls, 3);
	assert_true(p.calls[2].s.flags & VSEGMENT_ROUTE);
	assert_int_equal(p.calls[2].s.len, 10);
	pair_clear(&p);

	pair_init(&p);
	pair_open(&p);
	set_route(&p, A, "new to A");
	pair_run(&p);
	assert_int_equal(p.ncalls, 2);
	vstream_route_known(A_SIDE->v, p.now);
	pair_run(&p);
	assert_int_equal(p.ncalls, 3);
	assert_true(p.calls[2].s.flags & VSEGMENT_ROUTE);
	pair_clear(&p);
}

static void
routes_change_on_both_sides_at_once(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 40000);
	pair_write(&p, B, 40000);
	pair_run(&p);
	set_route(&p, A, "2nd to A");
	set_route(&p, B, "2nd to B");
	fail_all(&p, A, VFAULT_TIMEOUT);
	fail_all(&p, B, VFAULT_TIMEOUT);
	pair_run(&p);
	assert_int_equal(A_SIDE->stales, 1);
	assert_int_equal(B_SIDE->stales, 1);
	vstream_route_known(A_SIDE->v, p.now);
	vstream_route_known(B_SIDE->v, p.now);
	pair_pass(&p);
	assert_string_equal(A_SIDE->route, "2nd to B");
	assert_string_equal(B_SIDE->route, "2nd to A");
	assert_int_equal(A_SIDE->got, 40000);
	assert_int_equal(B_SIDE->got, 40000);
	pair_clear(&p);
}

static void
an_old_route_that_comes_late_is_none(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	set_route(&p, A, "2nd");
	pair_run(&p);
	set_route(&p, A, "3rd");
	pair_run(&p);
	assert_int_equal(p.ncalls, 3);
	pair_arrive(&p, 2);
	pair_run(&p);
	pair_arrive(&p, 1);
	pair_arrive(&p, 0);
	pair_pass(&p);
	assert_string_equal(B_SIDE->route, "3rd");
	assert_int_equal(B_SIDE->routes, 2);
	pair_clear(&p);
}

static void
a_piece_that_leaves_no_room_goes_without_the_route(void **state)
{
	struct vpair p;
	char route[61];

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, FULL);
	pair_run(&p);
	memset(route, 'r', 60);
	route[60] = '\0';
	set_route(&p, A, route);
	pair_fail(&p, 1, VFAULT_TIMEOUT);
	pair_wait(&p, 100);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, FULL);
	assert_string_equal(B_SIDE->route, route);
	pair_clear(&p);
}

/* ---- strangers ---- */

/* What B answers to a segment that A would not send. */
static enum vsegment_status
told(struct vpair *p, struct vsegment s)
{
	struct vsegment_answer answer;

	s.flags |= VSEGMENT_OPENER;
	vstream_message(p->sides[B].v, &s, false, p->now, &answer);
	return answer.status;
}

static void
more_is_acknowledged_than_was_sent(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, B, 10);
	pair_run(&p);
	assert_int_equal(told(&p, (struct vsegment){ .ack = 11 }),
	    VSEGMENT_UNKNOWN);
	pair_run(&p);
	assert_over(B_SIDE, E_INTEGRITY);
	pair_clear(&p);

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	pair_run(&p);
	pair_arrive(&p, 1);
	p.calls[1].answer.ack = UINT64_MAX;
	pair_answer(&p, 1);
	pair_run(&p);
	assert_over(A_SIDE, E_INTEGRITY);
	pair_clear(&p);
}

static void
bytes_beyond_the_window(void **state)
{
	static uint8_t bytes[VSEGMENT_MAX];
	static const uint64_t places[] = { VSTREAM_WINDOW_UNKNOWN - 9,
		VSTREAM_WINDOW_UNKNOWN + 1, (uint64_t)1 << 32,
		((uint64_t)1 << 63) - 10 };
	struct vpair p;
	size_t i;

	pair_init(&p);
	pair_open(&p);
	for (i = 0; i < sizeof places / sizeof *places; i++) {
		told(&p, (struct vsegment){ .offset = places[i],
		    .payload = bytes, .len = 10 });
		told(&p, (struct vsegment){ .offset = places[i],
		    .payload = bytes, .len = 10, .flags = VSEGMENT_FIN });
	}
	pair_write(&p, A, 200000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 200000);
	assert_int_equal(B_SIDE->overs, 0);
	pair_clear(&p);
}

static void
absurd_windows(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	told(&p, (struct vsegment){ .window = UINT32_MAX });
	told(&p, (struct vsegment){ .window = 0 });
	pair_write(&p, B, NET_SEND_MAX_UNKNOWN);
	pair_run(&p);
	assert_in_range(pair_live(&p, B), 1, VSTREAM_CALLS);
	pair_pass(&p);
	assert_int_equal(A_SIDE->got, NET_SEND_MAX_UNKNOWN);
	pair_clear(&p);
}

static void
overlapping_bytes_that_differ(void **state)
{
	static uint8_t bytes[1000];
	struct vpair p;
	size_t i;

	pair_init(&p);
	pair_open(&p);
	memset(bytes, 0, sizeof bytes);
	vstream_read(B_SIDE->v, false, p.now);
	for (i = 0; i < 500; i++) {
		memset(bytes, (int)i, sizeof bytes);
		assert_int_equal(told(&p, (struct vsegment){
		    .offset = 1 + i * 3 % 400, .payload = bytes,
		    .len = 600 - i }), VSEGMENT_OK);
	}
	bytes[0] = pair_byte(A, 0);
	told(&p, (struct vsegment){ .payload = bytes, .len = 1 });
	pair_run(&p);
	assert_int_equal(B_SIDE->overs, 0);
	pair_clear(&p);
}

static void
it_ends_at_two_places(void **state)
{
	static const struct {
		uint64_t at, len;
		unsigned flags;
	} second[] = {
		{ 10, 5, VSEGMENT_FIN },        /* sooner */
		{ 10, 11, VSEGMENT_FIN },       /* later */
		{ 10, 11, 0 },                  /* there is more */
	};
	static uint8_t bytes[100];
	struct vpair p;
	size_t i;

	for (i = 0; i < sizeof second / sizeof *second; i++) {
		pair_init(&p);
		pair_open(&p);
		assert_int_equal(told(&p, (struct vsegment){ .offset = 10,
		    .len = 10, .payload = bytes, .flags = VSEGMENT_FIN }), 0);
		assert_int_equal(told(&p, (struct vsegment){
		    .offset = second[i].at, .len = second[i].len,
		    .payload = bytes, .flags = second[i].flags }),
		    VSEGMENT_UNKNOWN);
		pair_run(&p);
		assert_over(B_SIDE, E_INTEGRITY);
		pair_clear(&p);
	}
	/* before what came already */
	pair_init(&p);
	pair_open(&p);
	told(&p, (struct vsegment){ .offset = 50, .len = 10,
	    .payload = bytes });
	assert_int_equal(told(&p, (struct vsegment){ .offset = 10, .len = 10,
	    .payload = bytes, .flags = VSEGMENT_FIN }), VSEGMENT_UNKNOWN);
	pair_clear(&p);
}

static void
thousands_of_tiny_pieces(void **state)
{
	struct vpair p;
	uint64_t at;
	uint8_t byte;

	pair_init(&p);
	pair_open(&p);
	for (at = VSTREAM_WINDOW_UNKNOWN - 2; at > 0; at -= 2) {
		byte = pair_byte(A, at);
		assert_int_equal(told(&p, (struct vsegment){ .offset = at,
		    .len = 1, .payload = &byte }), VSEGMENT_OK);
	}
	/* What was not taken is sent again. */
	pair_write(&p, A, 300000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 300000);
	pair_clear(&p);
}

static void
our_own_segments_are_not_the_peers(void **state)
{
	struct vpair p;
	struct vsegment_answer answer;

	pair_init(&p);
	pair_open(&p);
	vstream_message(A_SIDE->v, &p.calls[0].s, false, p.now, &answer);
	assert_int_equal(answer.status, VSEGMENT_UNKNOWN);
	pair_run(&p);
	assert_int_equal(A_SIDE->overs, 0);
	pair_clear(&p);
}

static void
a_peer_that_answers_and_takes_nothing(void **state)
{
	struct vpair p;
	long call;
	size_t n;
	int i;

	pair_init(&p);
	pair_open(&p);
	pair_write(&p, A, 10);
	n = p.ncalls;
	for (i = 0; i < 60000; i++) {
		pair_wait(&p, 1);
		while ((call = pair_last(&p, A)) >= 0) {
			p.calls[call].arrived = 1;
			p.calls[call].answer = (struct vsegment_answer){
				.window = 1000 };
			pair_answer(&p, (size_t)call);
		}
	}
	assert_in_range(p.ncalls - n, 10, 30);
	pair_clear(&p);
}

/* ---- from inside of callbacks ---- */

static void
end_it(struct vside *s)
{
	vstream_end(s->v, true, s->pair->now);
}

static void
break_it(struct vside *s)
{
	vstream_end(s->v, false, s->pair->now);
}

static void
it_ends_while_it_hands_out(void **state)
{
	struct vpair p;
	int i;

	for (i = 0; i < 2; i++) {
		pair_init(&p);
		pair_open(&p);
		B_SIDE->on_data = i ? end_it : break_it;
		vstream_mark(B_SIDE->v, p.now);
		pair_write(&p, A, 3 * NET_READ_MAX);
		pair_pass(&p);
		assert_true(B_SIDE->got <= NET_READ_MAX);
		assert_int_equal(A_SIDE->overs, 1);
		assert_int_equal(B_SIDE->overs, 1);
		assert_int_equal(A_SIDE->why.code, i ? 0 : E_UNREACHABLE);
		pair_clear(&p);
	}
}

static void
answer_it(struct vside *s)
{
	pair_write(s->pair, s->me, 10);
	vstream_mark(s->v, s->pair->now);
}

static void
hear_more(struct vside *s)
{
	struct vpair *p = s->pair;
	size_t i;

	for (i = 0; i < p->ncalls; i++)
		if (p->calls[i].live && p->calls[i].from != s->me
		    && p->calls[i].arrived == 0)
			pair_arrive(p, i);
}

static void
it_writes_while_it_hands_out(void **state)
{
	struct vpair p;

	pair_init(&p);
	pair_open(&p);
	B_SIDE->on_data = answer_it;
	pair_write(&p, A, 300000);
	pair_pass(&p);
	assert_int_equal(B_SIDE->got, 300000);
	assert_int_equal(A_SIDE->got, B_SIDE->written);
	pair_clear(&p);
}

static void
it_hears_more_while_it_hands_out(void **state)
{
	struct vpair p;
	int i;

	pair_init(&p);
	pair_open(&p);
	B_SIDE->on_data = hear_more;
	pair_write(&p, A, 300000);
	for (i = 0; i < 100; i++) {
		pair_pass(&p);
		pair_wait(&p, 100);
	}
	assert_int_equal(B_SIDE->got, 300000);
	pair_clear(&p);
}

static void
answer_at_once(struct vpair *p, size_t call)
{
	pair_arrive(p, call);
	pair_answer(p, call);
}

static void
fail_at_once(struct vpair *p, size_t call)
{
	pair_fail(p, call, VFAULT_TARGET);
}

static void
calls_may_end_while_they_are_made(void **state)
{
	struct vpair p;

	pair_init(&p);
	p.on_call = fail_at_once;
	pair_write(&p, A, 300000);
	pair_wait(&p, 20000);
	assert_in_range(p.ncalls, 5, 20);
	p.on_call = answer_at_once;
	pair_wait(&p, 6000);
	assert_int_equal(B_SIDE->got, 300000);
	pair_clear(&p);
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_call_opens_it_and_has_bytes),
		TEST(it_opens_without_bytes),
		TEST(it_waits_for_a_route_of_ours),
		TEST(what_opens_it_is_sent_again),
		TEST(a_late_answer_does_not_hold_the_opening_up),
		TEST(eight_full_calls_are_on_the_way),
		TEST(small_writes_go_at_once_and_together_when_all_slots_are_busy),
		TEST(done_although_it_failed),
		TEST(done_twice),
		TEST(in_any_order),
		TEST(a_late_call_is_made_again_beside_it),
		TEST(calls_that_fail_are_made_again_more_and_more_seldom),
		TEST(what_waited_for_room_goes_on_from_there),
		TEST(routes_are_stale_where_all_calls_fail_and_once_a_second),
		TEST(what_got_lost_goes_as_soon_as_calls_work),
		TEST(a_part_is_taken),
		TEST(the_end_comes_behind_all_bytes),
		TEST(the_end_waits_until_all_is_handed_out),
		TEST(both_end_at_once),
		TEST(both_end_and_the_answers_get_lost),
		TEST(the_end_alone_is_lost_and_made_up),
		TEST(flushing_has_a_time),
		TEST(a_reset_is_said_once),
		TEST(a_reset_waits_for_a_slot_but_not_long),
		TEST(one_that_nobody_knows_ends_without_a_word),
		TEST(an_end_goes_with_what_opens_it),
		TEST(nothing_is_handed_out_after_the_end_here),
		TEST(an_unknown_stream_is_over_at_once),
		TEST(a_peer_without_room),
		TEST(a_peer_of_another_version),
		TEST(a_peer_that_was_restarted),
		TEST(a_peer_that_forgot_what_it_said),
		TEST(a_node_that_is_down_for_a_while),
		TEST(a_node_that_stays_down),
		TEST(a_minute_without_an_answer),
		TEST(what_the_peer_says_does_not_replace_answers),
		TEST(what_the_peer_acknowledges_with_its_own_calls_counts),
		TEST(an_idle_stream_sends_one_call_a_minute),
		TEST(both_notice_within_minutes_that_the_other_is_gone),
		TEST(a_window_closes_and_opens),
		TEST(a_closed_window_is_asked_more_and_more_seldom),
		TEST(a_window_opens_and_that_gets_lost),
		TEST(a_marked_peer_takes_more),
		TEST(reading_can_stop_in_the_middle),
		TEST(queues_have_a_maximum),
		TEST(a_new_route_is_told_until_it_is_acknowledged),
		TEST(what_was_told_by_an_old_route_is_told_again),
		TEST(routes_change_on_both_sides_at_once),
		TEST(an_old_route_that_comes_late_is_none),
		TEST(a_piece_that_leaves_no_room_goes_without_the_route),
		TEST(more_is_acknowledged_than_was_sent),
		TEST(bytes_beyond_the_window),
		TEST(absurd_windows),
		TEST(overlapping_bytes_that_differ),
		TEST(it_ends_at_two_places),
		TEST(thousands_of_tiny_pieces),
		TEST(our_own_segments_are_not_the_peers),
		TEST(a_peer_that_answers_and_takes_nothing),
		TEST(it_ends_while_it_hands_out),
		TEST(it_writes_while_it_hands_out),
		TEST(it_hears_more_while_it_hands_out),
		TEST(calls_may_end_while_they_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

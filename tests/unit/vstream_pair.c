// SPDX-License-Identifier: MPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rng.h"
#include "vstream_pair.h"

static const uint8_t stream[VSEGMENT_STREAM_LEN] = "sixteen random b";

/* ---- memory ---- */

unsigned pair_nomem;
static bool in_stream;
static struct rng luck;

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool
no_memory(void)
{
	return in_stream && pair_nomem > 0 && below(&luck, 1000) < pair_nomem;
}

void *
__wrap_malloc(size_t n)
{
	return no_memory() ? NULL : __real_malloc(n);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return no_memory() ? NULL : __real_realloc(p, n);
}

/* ---- callbacks ---- */

uint8_t
pair_byte(int side, uint64_t at)
{
	return (uint8_t)(at * 7 ^ (at >> 8) * 31 ^ (at >> 16) * 57
	    ^ (unsigned)side * 0x55);
}

static bool
on_call(void *owner, unsigned slot, const uint8_t *bytes, size_t len)
{
	struct vside *s = owner;
	struct vpair *p = s->pair;
	struct pcall *c;

	assert_int_equal(s->overs, 0);
	assert_true(slot < VSTREAM_CALLS);
	assert_false(s->busy[slot]);
	assert_true(len <= VSEGMENT_MAX);
	if (!s->node)
		return false;
	assert_true(p->ncalls < PAIR_CALLS_MAX);
	c = &p->calls[p->ncalls];
	*c = (struct pcall){ .from = s->me, .slot = slot, .len = len,
		.bytes = __real_malloc(len), .live = true, .made = p->now };
	memcpy(c->bytes, bytes, len);
	assert_int_equal(vsegment_decode(c->bytes, len, &c->s, NULL), 0);
	assert_memory_equal(c->s.stream, stream, sizeof stream);
	s->busy[slot] = true;
	p->ncalls++;
	if (p->on_call != NULL)
		p->on_call(p, p->ncalls - 1);
	return true;
}

static void
on_answer(void *owner, const uint8_t *bytes, size_t len)
{
	struct vside *s = owner;
	struct vpair *p = s->pair;
	struct pcall *c;
	size_t call = (size_t)s->waits;

	assert_true(s->waits >= 0);
	assert_int_equal(s->overs, 0);
	assert_true(len <= VSEGMENT_MAX);
	s->waits = -1;
	c = &p->calls[call];
	free(c->payload);
	c->payload = __real_malloc(len);
	memcpy(c->payload, bytes, len);
	assert_int_equal(vsegment_answer_decode(c->payload, len, &c->answer,
	    NULL), 0);
	if (p->on_answer != NULL)
		p->on_answer(p, call);
}

static void
on_stale(void *owner)
{
	struct vside *s = owner;

	assert_int_equal(s->overs, 0);
	if (s->stales++ > 0)
		assert_true(s->pair->now - s->stale_at >= 1000);
	s->stale_at = s->pair->now;
}

static void
on_route(void *owner, const uint8_t *blob, size_t len)
{
	struct vside *s = owner;

	assert_int_equal(s->overs, 0);
	assert_true(len < sizeof s->route);
	memcpy(s->route, blob, len);
	s->route[len] = '\0';
	s->routes++;
}

static void
on_open(void *owner)
{
	struct vside *s = owner;

	assert_int_equal(s->opens++, 0);
	assert_int_equal(s->overs, 0);
}

static void
look_at(const struct vside *s, const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] != pair_byte(!s->me, s->got + i))
			fail_msg("byte %llu of %d is another one",
			    (unsigned long long)(s->got + i), !s->me);
}

static void
on_data(void *owner, const uint8_t *bytes, size_t len)
{
	struct vside *s = owner;

	assert_int_equal(s->overs, 0);
	assert_in_range(len, 1, NET_READ_MAX);
	look_at(s, bytes, len);
	s->got += len;
	if (len > s->largest)
		s->largest = len;
	if (s->on_data == NULL)
		return;
	s->on_data(s);
	s->got -= len;
	look_at(s, bytes, len);
	s->got += len;
}

static void
on_drain(void *owner)
{
	struct vside *s = owner;

	assert_int_equal(s->overs, 0);
	assert_true(vstream_queued(s->v) <= NET_LOW_WATER);
	s->drains++;
}

static void
on_over(void *owner, const struct err *why)
{
	struct vside *s = owner;

	assert_int_equal(s->overs++, 0);
	s->why = *why;
}

static const struct vstream_events events = {
	.call = on_call, .answer = on_answer, .stale = on_stale, .route = on_route,
	.open = on_open, .data = on_data, .drain = on_drain, .over = on_over,
};

/* ---- ends ---- */

static void
make(struct vpair *p, int side)
{
	struct vside *s = &p->sides[side];

	s->v = vstream_new(stream, side == A, p->now, &events, s);
	assert_non_null(s->v);
	vstream_read(s->v, true, p->now);
}

void
pair_init(struct vpair *p)
{
	int side;

	luck.s = 1;
	memset(p, 0, sizeof *p);
	p->now = 1000000;
	p->calls = calloc(PAIR_CALLS_MAX, sizeof *p->calls);
	assert_non_null(p->calls);
	for (side = 0; side < 2; side++) {
		p->sides[side].pair = p;
		p->sides[side].me = side;
		p->sides[side].node = true;
		p->sides[side].waits = -1;
	}
	make(p, A);
	assert_int_equal(vstream_set_route(p->sides[A].v,
	    (const uint8_t *)"to A", 4, p->now, NULL), 0);
}

void
pair_free(struct vpair *p, int side)
{
	struct vside *s = &p->sides[side];
	size_t i;

	vstream_free(s->v);
	s->v = NULL;
	s->waits = -1;
	for (i = 0; i < p->ncalls; i++)
		if (p->calls[i].from == side)
			p->calls[i].live = false;
	memset(s->busy, 0, sizeof s->busy);
}

void
pair_clear(struct vpair *p)
{
	size_t i;

	pair_free(p, A);
	pair_free(p, B);
	for (i = 0; i < p->ncalls; i++) {
		free(p->calls[i].bytes);
		free(p->calls[i].payload);
	}
	free(p->calls);
}

int
pair_write(struct vpair *p, int side, size_t len)
{
	struct vside *s = &p->sides[side];
	uint8_t *bytes = malloc(len + 1);
	size_t i;
	int rc;

	assert_non_null(bytes);
	for (i = 0; i < len; i++)
		bytes[i] = pair_byte(side, s->written + i);
	in_stream = true;
	rc = vstream_write(s->v, bytes, len, p->now, NULL);
	in_stream = false;
	if (rc == 0)
		s->written += len;
	free(bytes);
	return rc;
}

/* ---- time ---- */

static bool
is_due(const struct vpair *p, int side)
{
	const struct vside *s = &p->sides[side];

	return s->v != NULL && vstream_due(s->v) <= p->now;
}

void
pair_run_one(struct vpair *p, int side)
{
	in_stream = true;
	vstream_run(p->sides[side].v, p->now);
	in_stream = false;
}

void
pair_run(struct vpair *p)
{
	int side, rounds = 0;

	while (is_due(p, side = A) || is_due(p, side = B)) {
		pair_run_one(p, side);
		assert_true(++rounds < 1000);
	}
}

void
pair_wait(struct vpair *p, uint64_t ms)
{
	uint64_t until = p->now + ms, next, due;
	int side, rounds = 0;

	for (;;) {
		pair_run(p);
		next = until;
		for (side = 0; side < 2; side++) {
			due = p->sides[side].v == NULL ? VSTREAM_NEVER
			    : vstream_due(p->sides[side].v);
			if (due < next)
				next = due;
		}
		if (p->now == until)
			break;
		p->now = next;
		assert_true(++rounds < 100000);
	}
}

/* ---- calls ---- */

void
pair_arrive(struct vpair *p, size_t call)
{
	struct pcall *c = &p->calls[call];
	struct vside *to = &p->sides[!c->from];

	if (to->v == NULL && !p->made_b && !c->from && c->s.offset == 0
	    && !(c->s.flags & VSEGMENT_RESET)) {
		p->made_b = true;
		make(p, B);
	}
	c->arrived++;
	c->answer = (struct vsegment_answer){ .status = VSEGMENT_UNKNOWN };
	in_stream = true;
	if (to->v != NULL && !vstream_message(to->v, &c->s, p->may_wait,
	    p->now, &c->answer)) {
		assert_true(p->may_wait);
		assert_int_equal(to->waits, -1);
		to->waits = (long)call;
	}
	in_stream = false;
}

static struct vstream *
end_call(struct vpair *p, size_t call)
{
	struct pcall *c = &p->calls[call];
	struct vside *from = &p->sides[c->from];

	assert_true(c->live);
	c->live = false;
	from->busy[c->slot] = false;
	return from->v;
}

void
pair_answer(struct vpair *p, size_t call)
{
	struct vstream *v = end_call(p, call);

	assert_true(p->calls[call].arrived > 0);
	assert_true(p->sides[!p->calls[call].from].waits != (long)call);
	vstream_answered(v, p->calls[call].slot, &p->calls[call].answer,
	    p->now);
}

void
pair_fail(struct vpair *p, size_t call, enum vfault fault)
{
	struct vstream *v = end_call(p, call);

	vstream_failed(v, p->calls[call].slot, fault, p->now);
}

void
pair_pass(struct vpair *p)
{
	size_t i;

	pair_run(p);
	for (i = 0; i < p->ncalls; i++) {
		if (!p->calls[i].live)
			continue;
		if (p->calls[i].arrived == 0) {
			pair_arrive(p, i);
			pair_run(p);
		}
		while (p->sides[!p->calls[i].from].waits == (long)i)
			pair_wait(p, 1);
		if (p->calls[i].live) {
			pair_answer(p, i);
			pair_run(p);
		}
	}
}

long
pair_last(const struct vpair *p, int side)
{
	size_t i;

	for (i = p->ncalls; i-- > 0; )
		if (p->calls[i].from == side && p->calls[i].live)
			return (long)i;
	return -1;
}

size_t
pair_live(const struct vpair *p, int side)
{
	size_t i, n = 0;

	for (i = 0; i < p->ncalls; i++)
		n += p->calls[i].from == side && p->calls[i].live;
	return n;
}

void
pair_open(struct vpair *p)
{
	pair_pass(p);
	assert_non_null(p->sides[B].v);
	assert_int_equal(p->sides[A].opens, 1);
	assert_int_equal(p->sides[B].opens, 1);
	assert_int_equal(pair_live(p, A) + pair_live(p, B), 0);
}

// SPDX-License-Identifier: MPL-2.0
/* A stream over calls that get lost, come twice, late, in any order, or are done
 * although they failed, while routes change and nodes go down: all bytes arrive
 * in order and once, or both ends hear that it is over.  SEEDS says how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <cmocka.h>

#include "how_many.h"
#include "rng.h"
#include "vstream_pair.h"

enum { EVENTS_MAX = 4096, TIMEOUT_MS = 5000 };

enum what { ARRIVES, ANSWERED, FAILS, ROUTE_FOUND, NODE_BACK };

struct event {
	uint64_t at;
	enum what what;
	size_t call;
	int side;
	bool answers;           /* this arrival's answer counts */
	int route;              /* ROUTE_FOUND */
};

struct world {
	struct vpair pair;
	struct rng rng;
	struct event events[EVENTS_MAX];
	size_t nevents;
	unsigned loss, unanswered, twice;       /* of 1000 */
	unsigned latency;                       /* ms at most */
	int route[2];           /* by which each is reached */
	int known[2];           /* by which each calls */
	uint64_t wanted[2];     /* bytes that are to be written */
	bool chat;              /* each writes when the other one has written ... */
	int turn;               /* ... this one now */
	bool ends[2];           /* it ends when all is written */
	bool ended[2];          /* ... or has been, however */
	unsigned stales[2];
	unsigned downs;         /* of nodes */
	unsigned with_bytes, with_bytes_lost;   /* answers */
};

static bool
chance(struct world *w, unsigned of_1000)
{
	return below(&w->rng, 1000) < of_1000;
}

static void
add(struct world *w, struct event e)
{
	assert_true(w->nevents < EVENTS_MAX);
	w->events[w->nevents++] = e;
}

static uint64_t
later(struct world *w)
{
	return w->pair.now + 1 + below(&w->rng, w->latency);
}

static void
call_made(struct vpair *p, size_t call)
{
	struct world *w = p->owner;
	int from = p->calls[call].from;
	struct event e = { .call = call, .side = from };

	if (chance(w, w->loss) || w->known[from] != w->route[!from]) {
		e.what = FAILS;
		e.at = p->now + (chance(w, 200) ? 2 : TIMEOUT_MS);
		add(w, e);
		return;
	}
	e.what = ARRIVES;
	e.answers = true;
	e.at = later(w);
	add(w, e);
	if (chance(w, w->twice)) {
		e.answers = false;
		e.at = later(w) + (chance(w, 100) ? 20000 : 0);
		add(w, e);
	}
}

/* The answer to a call is given, and comes or gets lost on its way. */
static void
answer_given(struct vpair *p, size_t call)
{
	struct world *w = p->owner;
	struct event e = { .call = call, .side = p->calls[call].from };

	e.what = chance(w, w->unanswered) ? FAILS : ANSWERED;
	e.at = e.what == ANSWERED ? later(w) : p->now + TIMEOUT_MS;
	add(w, e);
	if (p->calls[call].answer.len == 0)
		return;
	w->with_bytes++;
	w->with_bytes_lost += e.what == FAILS;
}

static void
say_route(struct world *w, int side)
{
	struct vside *s = &w->pair.sides[side];
	char blob[64];
	int n = snprintf(blob, sizeof blob, "%d", w->route[side]);

	if (s->v != NULL)
		vstream_set_route(s->v, (uint8_t *)blob, (size_t)n,
		    w->pair.now, NULL);
}

static void
knows_route(struct world *w, int side, int route)
{
	struct vside *s = &w->pair.sides[side];

	w->known[side] = route;
	if (s->v != NULL)
		vstream_route_known(s->v, w->pair.now);
}

static void
play(struct world *w, struct event e)
{
	struct vpair *p = &w->pair;
	struct pcall *c = &p->calls[e.call];

	switch (e.what) {
	case ARRIVES:
		pair_arrive(p, e.call);
		/* answers that wait are given later, to all arrivals */
		if (e.answers && p->sides[!e.side].waits != (long)e.call)
			answer_given(p, e.call);
		break;
	case ANSWERED:
		/* or it waits once more, for who came twice */
		if (c->live && p->sides[!e.side].waits != (long)e.call)
			pair_answer(p, e.call);
		break;
	case FAILS:
		if (c->live)
			pair_fail(p, e.call, below(&w->rng, 3) ? VFAULT_TIMEOUT
			    : 1 + below(&w->rng, VFAULT_REFUSED));
		break;
	case ROUTE_FOUND:
		knows_route(w, e.side, w->route[!e.side]);
		break;
	case NODE_BACK:
		p->sides[e.side].node = true;
		if (p->sides[e.side].v != NULL)
			vstream_route_known(p->sides[e.side].v, p->now);
		break;
	}
}

static bool
has_turn(const struct world *w, int side)
{
	const struct vside *s = w->pair.sides;

	if (!w->chat || s[!side].v == NULL)
		return true;
	if (s[!side].written == w->wanted[!side])
		return true;
	return w->turn == side && s[side].got == s[!side].written;
}

/* What owners do. */
static void
tend(struct world *w, int side)
{
	struct vside *s = &w->pair.sides[side];
	uint64_t n;

	if (s->stales > w->stales[side]) {
		w->stales[side] = s->stales;
		add(w, (struct event){ .what = ROUTE_FOUND, .side = side,
		    .at = w->pair.now + 300 });
	}
	if (s->routes > 0) {
		s->routes = 0;
		if (strcmp(s->route, "to A") != 0)
			knows_route(w, side, atoi(s->route));
	}
	if (s->v == NULL)
		return;
	if (s->overs > 0) {
		pair_free(&w->pair, side);
		return;
	}
	n = w->wanted[side] - s->written;
	if (n > 0 && !has_turn(w, side))
		return;
	if (n > 0 && vstream_queued(s->v) < NET_LOW_WATER) {
		if (n > 40000)
			n = 1 + below(&w->rng, 40000);
		if (w->chat && below(&w->rng, 2))
			n = 1 + below(&w->rng, n < 300 ? (unsigned)n : 300);
		if (pair_write(&w->pair, side, n) == 0)
			w->turn = !side;
	} else if (n == 0 && w->ends[side]) {
		vstream_end(s->v, true, w->pair.now);
		w->ends[side] = false;
		w->ended[side] = true;
	}
}

static void
mischief(struct world *w)
{
	int side = below(&w->rng, 2);
	struct vside *s = &w->pair.sides[side];

	switch (below(&w->rng, 8)) {
	case 0:
		w->route[side]++;
		say_route(w, side);
		break;
	case 1:
		w->route[A]++;
		w->route[B]++;
		say_route(w, A);
		say_route(w, B);
		break;
	case 2:
		/* Two of them may be more than a stream has to bear. */
		if (w->downs++ > 0)
			break;
		s->node = false;
		add(w, (struct event){ .what = NODE_BACK, .side = side,
		    .at = w->pair.now + 1 + below(&w->rng, 30000) });
		break;
	case 3:
	case 4:
		if (s->v != NULL)
			vstream_read(s->v, below(&w->rng, 2), w->pair.now);
		break;
	case 5:
		if (s->v != NULL)
			vstream_mark(s->v, w->pair.now);
		break;
	}
}

/* The next thing that happens, until then. */
static bool
step(struct world *w, uint64_t until)
{
	struct vpair *p = &w->pair;
	uint64_t at = until;
	size_t first = w->nevents, i;
	struct event e;
	int side;

	for (i = 0; i < w->nevents; i++)
		if (w->events[i].at < at) {
			at = w->events[i].at;
			first = i;
		}
	for (side = 0; side < 2; side++)
		if (p->sides[side].v != NULL
		    && vstream_due(p->sides[side].v) < at) {
			at = vstream_due(p->sides[side].v);
			first = w->nevents;
		}
	if (at > p->now)
		p->now = at;
	if (first < w->nevents) {
		e = w->events[first];
		w->events[first] = w->events[--w->nevents];
		play(w, e);
	}
	for (side = 0; side < 2; side++)
		if (p->sides[side].v != NULL
		    && vstream_due(p->sides[side].v) <= p->now)
			pair_run_one(p, side);
	tend(w, A);
	tend(w, B);
	return p->now < until;
}

static void
pass_time(struct world *w, uint64_t ms)
{
	uint64_t until = w->pair.now + ms;
	unsigned steps = 0;

	while (step(w, until))
		assert_true(++steps < 1000000);
}

static void
assert_never_stuck(const struct world *w, int side)
{
	const struct vside *s = &w->pair.sides[side];

	if (s->v != NULL && s->written > w->pair.sides[!side].got)
		assert_true(vstream_due(s->v) != VSTREAM_NEVER
		    || s->overs > 0);
}

static void
begin(struct world *w, int seed)
{
	memset(w, 0, sizeof *w);
	w->rng.s = (uint64_t)seed * 0x9e3779b97f4a7c15 + 1;
	pair_init(&w->pair);
	w->pair.owner = w;
	w->pair.on_call = call_made;
	w->loss = below(&w->rng, 2) ? below(&w->rng, 300) : 0;
	w->unanswered = below(&w->rng, 2) ? below(&w->rng, 200) : 0;
	w->twice = below(&w->rng, 2) ? below(&w->rng, 500) : 0;
	w->latency = 1 + below(&w->rng, below(&w->rng, 2) ? 500 : 20);
	w->wanted[A] = 1 + below(&w->rng, 3) * below(&w->rng, 1000000);
	w->wanted[B] = below(&w->rng, 3) * below(&w->rng, 1000000);
	w->pair.may_wait = below(&w->rng, 4) != 0;
	w->pair.on_answer = answer_given;
	w->chat = below(&w->rng, 2);
	if (w->chat) {
		w->wanted[A] = 1 + w->wanted[A] % 400000;
		w->wanted[B] %= 400000;
	}
}

/* All that was to be written arrives. */
static void
everything_arrives(struct world *w, int seed)
{
	struct vside *s = w->pair.sides;
	int i;

	for (i = 0; i < 100; i++) {
		pass_time(w, 1 + below(&w->rng, 1000));
		assert_never_stuck(w, A);
		assert_never_stuck(w, B);
		if (i < 60)
			mischief(w);
	}
	/* All is well from here. */
	w->loss = w->unanswered = w->twice = 0;
	pass_time(w, 40000);
	for (i = 0; i < 2; i++) {
		if (s[i].v == NULL)
			fail_msg("seed %d: it ended (%s; %s)", seed,
			    s[A].why.text, s[B].why.text);
		vstream_read(s[i].v, true, w->pair.now);
		vstream_mark(s[i].v, w->pair.now);
	}
	pass_time(w, 120000);
	for (i = 0; i < 2; i++)
		if (s[i].v == NULL || s[i].got != w->wanted[!i]
		    || vstream_queued(s[i].v) != 0)
			fail_msg("seed %d: %d has %llu of %llu, due %llu at "
			    "%llu", seed, i, (unsigned long long)s[i].got,
			    (unsigned long long)w->wanted[!i],
			    s[i].v == NULL ? 0ull
			    : (unsigned long long)vstream_due(s[i].v),
			    (unsigned long long)w->pair.now);
}

static void
all_arrives_in_order_and_once(void **state)
{
	struct world *w = malloc(sizeof *w);
	int seed, seeds = how_many("SEEDS", 100);
	unsigned with_bytes = 0, lost = 0;
	size_t before;

	for (seed = 1; seed <= seeds; seed++) {
		begin(w, seed);
		everything_arrives(w, seed);
		/* An idle stream is silent, but for one call a minute. */
		pass_time(w, 60000);
		before = w->pair.ncalls;
		pass_time(w, 600000);
		assert_in_range(w->pair.ncalls - before, 9, 11);
		with_bytes += w->with_bytes;
		lost += w->with_bytes_lost;
		pair_clear(&w->pair);
	}
	print_message("%u answers with bytes, %u of them lost\n", with_bytes,
	    lost);
	assert_true(seeds < 50 || (lost > 0 && with_bytes > lost));
	free(w);
}

/* What is true however it ended. */
static void
look_at_ends(struct world *w, int seed)
{
	struct vside *s = w->pair.sides;
	int i;

	for (i = 0; i < 2; i++) {
		/* one end alone does not stay */
		if ((s[i].v == NULL) != (s[!i].v == NULL) && w->pair.made_b)
			fail_msg("seed %d: only %d is over (%d)", seed,
			    s[A].v == NULL ? A : B, s[s[B].v == NULL].why.code);
		/* over in order, by the other side: all of it was there */
		if (s[i].overs > 0 && s[i].why.code == 0 && !w->ended[i]
		    && s[i].got != s[!i].written)
			fail_msg("seed %d: %d ended with %llu of %llu", seed,
			    i, (unsigned long long)s[i].got,
			    (unsigned long long)s[!i].written);
		/* over in order, here: all of it is there */
		if (s[i].overs > 0 && s[i].why.code == 0 && !w->ended[!i]
		    && s[!i].got != s[i].written)
			fail_msg("seed %d: %d was told that %llu of %llu are "
			    "there", seed, i, (unsigned long long)s[!i].got,
			    (unsigned long long)s[i].written);
		if (s[i].overs > 0 && s[i].why.code != 0
		    && s[i].why.code != E_UNREACHABLE)
			fail_msg("seed %d: %s", seed, s[i].why.text);
	}
}

static void
ends_are_heard_of_on_both_sides(void **state)
{
	struct world *w = malloc(sizeof *w);
	int seed, seeds = how_many("SEEDS", 300), i, side;

	for (seed = 1; seed <= seeds; seed++) {
		begin(w, seed + 100000);
		side = below(&w->rng, 2);
		w->ends[side] = true;
		w->ends[!side] = below(&w->rng, 4) == 0;
		for (i = below(&w->rng, 40); i > 0; i--) {
			pass_time(w, 1 + below(&w->rng, 1000));
			if (below(&w->rng, 2))
				mischief(w);
		}
		side = below(&w->rng, 2);
		if (w->pair.sides[side].v != NULL && below(&w->rng, 2)) {
			vstream_end(w->pair.sides[side].v,
			    below(&w->rng, 2), w->pair.now);
			w->ended[side] = true;
			w->wanted[side] = w->pair.sides[side].written;
			w->ends[side] = false;
		}
		for (i = 0; i < 60; i++) {
			pass_time(w, 1 + below(&w->rng, 1000));
			if (below(&w->rng, 2))
				mischief(w);
		}
		for (i = 0; i < 2; i++)
			if (w->pair.sides[i].v != NULL)
				vstream_read(w->pair.sides[i].v, true,
				    w->pair.now);
		pass_time(w, 300000);
		look_at_ends(w, seed);
		pair_clear(&w->pair);
	}
	free(w);
}

static void
memory_is_short(void **state)
{
	struct world *w = malloc(sizeof *w);
	int seed, seeds = how_many("SEEDS", 50), i;

	for (seed = 1; seed <= seeds; seed++) {
		begin(w, seed + 200000);
		pair_nomem = 1 + below(&w->rng, 500);
		for (i = 0; i < 60; i++)
			pass_time(w, 1 + below(&w->rng, 1000));
		pair_nomem = 0;
		/* Else this and what comes next are more than a minute. */
		pass_time(w, 10000);
		everything_arrives(w, seed);
		pair_clear(&w->pair);
	}
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_arrives_in_order_and_once),
		cmocka_unit_test(ends_are_heard_of_on_both_sides),
		cmocka_unit_test(memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_sync_random.c - two nodes, and chance: which of them writes, pulls,
 * stops, is answered, hears how many bytes, and when the connection breaks.
 * In the end both hold the same.
 *
 * test_sync_random [FIRST-SEED [SEEDS]]; SYNC_SEEDS is their number, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sync_peers.h"

enum { SEEDS = 300, MOVES = 400 };

static struct {
	uint64_t pulls, failed, cuts, pieces, stops, news, items;
} count;

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static uint32_t
below(uint64_t *x, uint32_t n)
{
	return (uint32_t)(next(x) >> 11) % n;
}

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

/* What its owner may do at any time; that it is too early is an answer too. */
static void
own_will(struct peer *p, uint64_t *x)
{
	static const struct err why = { E_INTERRUPTED, "stopped", "" };
	struct sync_event stop = { .kind = SYNC_ON_PULL_STOP, .why = &why };
	int rc = 0;

	switch (below(x, 12)) {
	case 0: case 1:
		peer_write(p, below(x, 40) == 0 ? 5 << 20 : below(x, 500));
		count.items++;
		break;
	case 2: case 3: case 4: case 5:
		rc = peer_pull(p, below(x, 4) == 0);
		break;
	case 6:
		rc = peer_step(p, &stop);
		count.stops += rc == 0;
		break;
	case 7:
		rc = peer_changed(p);
		count.news++;
		break;
	case 8:
		rc = peer_event(p, SYNC_ON_PUSH);
		break;
	case 9:
		p->no_room = !p->no_room;
		break;
	case 10:
		p->pair->now_ms += below(x, 1000);
		rc = peer_event(p, SYNC_ON_TIME);
		break;
	case 11:
		p->page_max = 1 + below(x, 2000);
		break;
	}
	must(rc == 0 || rc == E_USAGE, "an event failed");
}

static void
move(struct pair *pair, uint64_t *x)
{
	struct peer *p = below(x, 2) == 0 ? &pair->a : &pair->b;

	switch (below(x, 8)) {
	case 0:
		own_will(p, x);
		break;
	case 1: case 2:
		peer_answer(p);
		break;
	case 3: case 4:
		peer_room(p);
		break;
	case 5:
		peer_receive(p, 1 + below(x, 100));
		break;
	default:
		peer_receive(p, 1 + below(x, 2 << 20));
	}
	must(!p->closed, p->closed_why.text);
	if (below(x, 150) == 0) {
		pair_cut(pair);
		pair_start(pair);
		count.cuts++;
	}
}

static void
run(uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	struct pair p;
	int i;

	pair_open(&p, seed % 3 == 0 ? WIRE_FRAME_MESSAGE : 0);
	p.quiet = true;
	pair_start(&p);
	for (i = 0; i < MOVES; i++)
		move(&p, &x);
	p.a.no_room = p.b.no_room = false;
	pair_run(&p);
	must(peer_pull(&p.a, false) == 0, "no pull is left over");
	pair_run(&p);
	must(peer_pull(&p.b, false) == 0, "no pull is left over");
	pair_run(&p);
	must(peers_equal(&p), "both hold the same");
	must(p.a.upto[0] == p.b.upto[0] && p.a.upto[1] == p.b.upto[1],
	    "both know that they do");
	count.pulls += (uint64_t)(p.a.pulls_ended + p.b.pulls_ended);
	count.failed += (uint64_t)(p.a.pulls_failed + p.b.pulls_failed);
	count.pieces += p.a.pieces_taken + p.b.pieces_taken;
	pair_close(&p);
}

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const char *seeds = argc > 2 ? argv[2] : getenv("SYNC_SEEDS");
	uint64_t n = seeds != NULL ? strtoull(seeds, NULL, 10) : SEEDS, i;

	for (i = 0; i < n; i++) {
		printf("# seed %" PRIu64 "\n", first + i);
		fflush(stdout);
		run(first + i);
	}
	printf("# %" PRIu64 " pulls, %" PRIu64 " that failed, %" PRIu64
	    " cuts, %" PRIu64 " stops, %" PRIu64 " pieces, %" PRIu64
	    " items, %" PRIu64 " times news\n", count.pulls, count.failed,
	    count.cuts, count.stops, count.pieces, count.items, count.news);
	printf("%sok 1 - both hold the same, whatever happens between\n1..1\n",
	    n >= 20 && (!count.cuts || !count.stops || !count.pieces
	    || !count.failed) ? "not " : "");
	return 0;
}

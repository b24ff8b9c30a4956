// SPDX-License-Identifier: MPL-2.0
/*
 * sim.c - random histories on 3 to 8 databases that exchange them over a bad
 * network: loss, delay, cuts, parted networks, restarts, clocks that jump.
 * When the network is whole again every seed must converge to equal tables,
 * equal to what a naive model makes of the same changes, with equal clocks.
 *
 *   sim [--seeds N] [--from S] [--verbose 1]
 *
 * Speaks TAP; each seed prints how much really went wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "model.h"
#include "world.h"

enum { ACTIONS = 60, SETTLE_MS = 2000, SETTLE_TRIES = 60 };

struct totals {
	uint64_t conflicts, cuts, restarts;
};

/* A transaction at s, by a program with or without the extension. */
static void
write_at(struct site *s, struct rng *rng, struct model *m)
{
	bool plain = rng_chance(rng, 30);
	bool committed;
	int rc = history_transaction(plain ? s->plain : s->app, rng, &committed);

	if (rc != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", s->name,
		    sqlite3_errmsg(plain ? s->plain : s->app));
		abort();
	}
	if (s->world->verbose)
		printf("# %8llu %s: %s transaction %s\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name,
		    plain ? "plain" : "own", committed ? "" : "rolled back");
	world_take(s, m);
	world_wrote(s);
}

static void
trouble(struct world *w, struct rng *rng)
{
	struct site *a = &w->site[rng_below(rng, (uint32_t)w->nsites)];
	struct site *b = &w->site[rng_below(rng, (uint32_t)w->nsites)];

	switch (rng_below(rng, 5)) {
	case 0: memnet_cut_all(w->memnet); break;
	case 1: world_restart(a); break;
	case 2:
		if (a != b)
			memnet_part(w->memnet, a->key, b->key);
		break;
	case 3:
		if (a != b)
			memnet_join(w->memnet, a->key, b->key);
		break;
	default:
		a->clock_offset_ms += (int64_t)rng_below(rng, 7200000) - 3600000;
		break;
	}
}

static void
heal(struct world *w)
{
	static const struct memnet_faults none = { .latency_min_ms = 1,
		.latency_max_ms = 20 };
	int i, j;

	memnet_set_faults(w->memnet, &none);
	for (i = 0; i < w->nsites; i++)
		for (j = 0; j < i; j++)
			memnet_join(w->memnet, w->site[i].key, w->site[j].key);
}

/* Waits, in virtual time, until all equal the model; the differences of the
 * last look. */
static int
settle(struct world *w, struct model *m)
{
	int i, tries, n = 1;

	for (tries = 0; tries < SETTLE_TRIES && n > 0; tries++) {
		world_run(w, SETTLE_MS);
		for (n = 0, i = 0; i < w->nsites && n == 0; i++)
			n += model_compare(m, w->site[i].app, NULL);
	}
	for (n = 0, i = 0; i < w->nsites; i++)
		n += model_compare(m, w->site[i].app, w->site[i].name);
	return n;
}

static bool
play(uint64_t seed, int number, bool verbose, struct totals *totals)
{
	struct rng rng = { seed };
	int nsites = 3 + (int)rng_below(&rng, 6);
	const struct memnet_counts *counts;
	struct model *m = model_new();
	struct world w;
	int action, i, conflicts, n;

	world_open(&w, seed, nsites, verbose);
	for (action = 0; action < ACTIONS; action++) {
		write_at(&w.site[rng_below(&rng, (uint32_t)nsites)], &rng, m);
		if (rng_chance(&rng, 15))
			trouble(&w, &rng);
		if (rng_chance(&rng, 60))
			world_run(&w, rng_below(&rng, 1500));
	}
	heal(&w);
	for (i = 0; i < nsites; i++)
		world_take(&w.site[i], m);
	n = settle(&w, m);
	counts = memnet_counts(w.memnet);
	conflicts = model_conflicts(m);
	totals->conflicts += (uint64_t)conflicts;
	totals->cuts += counts->cuts;
	totals->restarts += counts->restarts;
	printf("%s %d - seed %llu: %d sites, %d same-cell conflicts, %llu cuts, "
	    "%llu restarts\n", n == 0 ? "ok" : "not ok", number,
	    (unsigned long long)seed, nsites, conflicts,
	    (unsigned long long)counts->cuts,
	    (unsigned long long)counts->restarts);
	fflush(stdout);
	world_close(&w);
	model_free(m);
	return n == 0;
}

int
main(int argc, char **argv)
{
	struct totals totals = { 0 };
	long seeds = 20, from = 1, i;
	bool verbose = false, ok = true;
	int a;

	for (a = 1; a + 1 < argc; a += 2) {
		if (strcmp(argv[a], "--seeds") == 0)
			seeds = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--from") == 0)
			from = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--verbose") == 0)
			verbose = atoi(argv[a + 1]) != 0;
	}
	for (i = 0; i < seeds; i++)
		ok &= play((uint64_t)(from + i), (int)i + 1, verbose, &totals);
	/* A run in which nothing went wrong proves nothing. */
	if (seeds >= 20 && (totals.conflicts == 0 || totals.cuts == 0 ||
	    totals.restarts == 0)) {
		printf("# no conflict, cut or restart in %ld seeds\n", seeds);
		ok = false;
	}
	printf("1..%ld\n# %llu conflicts, %llu cuts, %llu restarts in all\n",
	    seeds, (unsigned long long)totals.conflicts,
	    (unsigned long long)totals.cuts,
	    (unsigned long long)totals.restarts);
	return ok ? 0 : 1;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * sim.c - random histories on 3 to 8 databases that exchange them over a bad
 * network: loss, delay, cuts, parted networks, restarts, clocks that jump; in
 * some of them also what events.h has.  When the network is whole again every
 * seed must converge to equal tables, equal to what a naive model makes of the
 * same changes, with equal clocks, and the ledger of each has the conflicts that the
 * model met (conflicts.h).  People look at merges before they do them, take them
 * back, settle conflicts, repair and forget (acts.h).  At any time sites verify that
 * what both hold is equal, and at the end bits that were turned are found.
 *
 *   sim [--seeds N] [--from S] [--jobs J] [--events A,B...] [--verbose 1]
 *       [--quick 1] [--acts 0] [--actions N]
 *
 * Speaks TAP; each seed prints how much really went wrong.  It runs in a process
 * of its own, J at a time; with --jobs 0 in this one.  Of one that fails, --from S
 * --seeds 1 --verbose 1 tells all, and --actions the fewest that it needs, if tried.
 * With --acts 0 nobody looks, takes back or forgets (acts.h): a seed has the history
 * that it had before there was that.  With --quick SQL is parsed once for all (quick.h).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acts.h"
#include "away.h"
#include "bits.h"
#include "disk.h"
#include "events.h"
#include "history.h"
#include "model.h"
#include "quick.h"
#include "cells.h"
#include "store/peer.h"
#include "verify.h"
#include "world.h"

enum { ACTIONS = 60,  /* of a history */
	BITS = 3, MANY = 160, SETTLE_MS = 2000, SETTLE_TRIES = 60,
	/* A seed takes less than a second, or some where all is slow. */
	SECONDS_A_SEED = 300, JOBS_MAX = 64 };

struct totals {
	uint64_t conflicts, cuts, restarts, event[EVENTS_MAX];
	uint64_t compared, bits, checked, act[ACTS_MAX];
};

struct options {
	long seeds, from, jobs, actions;
	const char *events;     /* in every history; NULL: some are drawn */
	bool verbose, acts;
};

/* A transaction at s, by a program with or without the extension. */
static void
write_at(struct site *s, struct rng *rng, struct acts *acts)
{
	bool plain = rng_chance(rng, 30);
	bool committed;
	int rc = history_transaction(plain ? s->plain : s->app,
	    s->schema.shape, rng, &committed);

	if (rc != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", s->name,
		    sqlite3_errmsg(plain ? s->plain : s->app));
		abort();
	}
	if (s->world->verbose)
		printf("# %8llu %s: %s transaction %s\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name,
		    plain ? "plain" : "own", committed ? "" : "rolled back");
	acts_wrote(acts, s);
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

/* The differences of all sites, printed or not. */
static int
compare(struct world *w, struct model *m, bool print)
{
	int i, n = 0;

	for (i = 0; i < w->nsites && (n == 0 || print); i++)
		n += model_compare(m, w->site[i].app, w->site[i].schema.shape,
		    i == 0, print ? w->site[i].name : NULL);
	return n;
}

/* Waits, in virtual time, until all equal the model; the differences of the
 * last look. */
static int
settle(struct world *w, struct model *m)
{
	int tries, n = 1;

	for (tries = 0; tries < SETTLE_TRIES && n > 0; tries++) {
		world_run(w, SETTLE_MS);
		n = compare(w, m, false);
	}
	return n == 0 ? 0 : compare(w, m, true);
}

/* Who is said to be identical is. */
static void
check_equal(struct acts *acts, struct site *a, struct site *b)
{
	cells_read(acts->db, "before", a->app, a->schema.shape);
	cells_read(acts->db, "after", b->app, b->schema.shape);
	if (cells_differ(acts->db, a->name, "SELECT tbl, hex(pk), cid, quote(val) FROM "
	    "before", "SELECT tbl, hex(pk), cid, quote(val) FROM after") > 0)
		acts_wrong(acts, a, "verify takes %s for identical", b->name);
	acts->count[ACT_EQUAL]++;
}

/* Two sites in the midst of it: rows of which both have the same changes are
 * equal, and all are where nothing is under way. */
static uint64_t
verify_some(struct world *w, struct rng *rng, struct acts *acts)
{
	struct site *a = &w->site[rng_below(rng, (uint32_t)w->nsites)];
	struct site *b = &w->site[rng_below(rng, (uint32_t)w->nsites)];
	struct store_compared c = { .rows = 0 };
	uint64_t n;

	if (a == b || !verify_with(a, b, false, &c, NULL, NULL))
		return 0;
	n = c.differ + c.here + c.there;
	if (n == 0 && c.in_flight == 0 && c.others == 0 && acts->exact)
		check_equal(acts, a, b);
	return n == 0 ? 0 : verify_pair(a, b, true);
}

/* All are equal, and say so, until one is not. */
static uint64_t
verify_end(struct world *w)
{
	uint64_t n = verify_all(w, false);

	if (n > 0)
		return verify_all(w, true);
	if (!verify_spoil(&w->site[0]))
		return 0;
	n = verify_all(w, false);
	if (n == 0)
		printf("# a spoilt row was not found\n");
	return n == 0;
}

static int
on_fault(void *self, const struct store_fault *f)
{
	struct site *s = self;

	if (f->wrong)
		printf("# %s: fsck: %s: %s: %s\n", s->name, f->part, f->rule,
		    f->text);
	return 0;
}

/* Each database agrees with itself. */
static uint64_t
check_all(struct world *w)
{
	struct store_health health;
	struct err err = { .code = 0 };
	uint64_t faults = 0;
	int i, rc;

	for (i = 0; i < w->nsites; i++) {
		rc = store_fsck(w->site[i].store, on_fault, &w->site[i], &health,
		    &err);
		if (rc != 0)
			printf("# %s: fsck: %s\n", w->site[i].name, err.text);
		faults += rc != 0 || health.faults > 0;
	}
	return faults;
}

/* The ledger of each has what the model met, no more and no less. */
static uint64_t
compare_conflicts(struct acts *acts, uint64_t *compared)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < acts->w->nsites && acts->conflicts != NULL; i++)
		n += (uint64_t)conflicts_compare(acts->conflicts,
		    &acts->w->site[i], true, compared);
	return n;
}

static void
print_counts(const struct totals *t)
{
	int i;

	printf("%llu same-cell conflicts, %llu cuts, %llu restarts",
	    (unsigned long long)t->conflicts, (unsigned long long)t->cuts,
	    (unsigned long long)t->restarts);
	for (i = 0; events_name(i) != NULL; i++)
		if (t->event[i] > 0)
			printf(", %llu %s", (unsigned long long)t->event[i],
			    events_name(i));
	for (i = 0; acts_name(i) != NULL; i++)
		if (t->act[i] > 0)
			printf(", %llu %s", (unsigned long long)t->act[i],
			    acts_name(i));
	printf(", %llu conflicts predicted, %llu bits found, %llu checked",
	    (unsigned long long)t->compared, (unsigned long long)t->bits,
	    (unsigned long long)t->checked);
	putchar('\n');
	fflush(stdout);
}

/* What befalls everybody, action by action; how much verify found that is none. */
static uint64_t
play_actions(const struct options *o, struct acts *acts, struct events *events,
    struct rng *rng, struct rng *other)
{
	struct world *w = acts->w;
	uint64_t wrong = 0;
	long action;

	for (action = 0; action < o->actions; action++) {
		write_at(&w->site[rng_below(rng, (uint32_t)w->nsites)], rng, acts);
		if (rng_chance(rng, 15))
			trouble(w, rng);
		events_happen(events, w, rng, acts->m);
		if (rng_chance(rng, 60))
			world_run(w, rng_below(rng, 1500));
		if (rng_chance(other, 25))
			wrong += verify_some(w, other, acts);
		if (o->acts)
			acts_happen(acts);
	}
	return wrong;
}

/* All that must be so once nothing more comes. */
static uint64_t
play_end(struct acts *acts, struct events *events, struct rng *other,
    struct totals *t)
{
	struct world *w = acts->w;
	uint64_t wrong = 0;
	int i;

	heal(w);
	events_heal(w, acts->m);
	for (i = 0; i < w->nsites; i++)
		world_take(&w->site[i], acts->m);
	wrong += (uint64_t)settle(w, acts->m);
	wrong += check_all(w) + compare_conflicts(acts, &t->compared);
	t->checked = (uint64_t)w->nsites;
	if (wrong == 0 && acts->forgets)
		acts->count[ACT_AWAY] += away_play(acts);
	if (wrong == 0 && rng_chance(other, 30))
		t->bits = bits_turn(w, other, BITS, &wrong);
	return wrong > 0 ? wrong : verify_end(w);
}

static bool
play(const struct options *o, long number, struct totals *t)
{
	uint64_t seed = (uint64_t)(o->from + number), wrong;
	struct rng rng = { seed }, other = { ~seed };
	int nsites = 3 + (int)rng_below(&rng, 6);
	const struct memnet_counts *counts;
	struct model *m = model_new();
	struct events events = { 0 };
	struct acts acts = { .w = NULL };
	struct world w;

	if (o->events != NULL)
		events.kinds = events_parse(o->events);
	else
		events_draw(&events, &rng);
	disk_watch(events.kinds != 0);
	world_open(&w, seed, nsites, o->verbose);
	acts.exact = events.kinds == 0;
	acts_begin(&acts, &w, m, seed);
	acts.forgets &= o->acts;
	wrong = play_actions(o, &acts, &events, &rng, &other);
	wrong += play_end(&acts, &events, &other, t);
	wrong += acts.wrong;
	counts = memnet_counts(w.memnet);
	t->conflicts = (uint64_t)model_conflicts(m);
	t->cuts = counts->cuts;
	t->restarts = counts->restarts;
	memcpy(t->event, events.count, sizeof t->event);
	memcpy(t->act, acts.count, sizeof t->act);
	printf("%s %ld - seed %llu: %d sites, ", wrong == 0 ? "ok" : "not ok",
	    number + 1, (unsigned long long)seed, nsites);
	print_counts(t);
	acts_end(&acts);
	world_close(&w);
	model_free(m);
	return wrong == 0;
}

/* -- many seeds ------------------------------------------------------------- */

struct job {
	pid_t pid;
	long number;
	struct totals *totals;  /* shared with the process */
};

static void
begin_job(const struct options *o, struct job *j, long number)
{
	j->number = number;
	memset(j->totals, 0, sizeof *j->totals);
	fflush(stdout);
	j->pid = fork();
	if (j->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (j->pid == 0) {
		alarm(SECONDS_A_SEED);
		exit(play(o, number, j->totals) ? 0 : 1);
	}
}

static void
add_totals(struct totals *to, const struct totals *from)
{
	int i;

	to->conflicts += from->conflicts;
	to->cuts += from->cuts;
	to->restarts += from->restarts;
	to->compared += from->compared;
	to->bits += from->bits;
	to->checked += from->checked;
	for (i = 0; i < EVENTS_MAX; i++)
		to->event[i] += from->event[i];
	for (i = 0; i < ACTS_MAX; i++)
		to->act[i] += from->act[i];
}

/* Waits until one of the processes ends; whether it was well. */
static bool
end_job(const struct options *o, struct job *jobs, struct totals *totals)
{
	int status, i;
	pid_t pid = wait(&status);

	for (i = 0; i < JOBS_MAX; i++)
		if (jobs[i].pid == pid && pid > 0)
			break;
	if (i == JOBS_MAX)
		return false;
	jobs[i].pid = 0;
	add_totals(totals, jobs[i].totals);
	if (WIFSIGNALED(status))
		printf("not ok %ld - seed %ld: signal %d\n", jobs[i].number + 1,
		    o->from + jobs[i].number, WTERMSIG(status));
	return status == 0;
}

static long
play_all(const struct options *o, struct totals *totals)
{
	struct totals *shared = mmap(NULL, JOBS_MAX * sizeof *shared,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct job jobs[JOBS_MAX] = { { 0 } };
	long begun = 0, running = 0, failed = 0;
	int i;

	if (shared == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	for (i = 0; i < JOBS_MAX; i++)
		jobs[i].totals = &shared[i];
	while (begun < o->seeds || running > 0) {
		for (i = 0; i < o->jobs && begun < o->seeds; i++)
			if (jobs[i].pid == 0) {
				begin_job(o, &jobs[i], begun++);
				running++;
			}
		failed += !end_job(o, jobs, totals);
		running--;
	}
	munmap(shared, JOBS_MAX * sizeof *shared);
	return failed;
}

static long
play_here(const struct options *o, struct totals *totals)
{
	struct totals t;
	long i, failed = 0;

	for (i = 0; i < o->seeds; i++) {
		memset(&t, 0, sizeof t);
		failed += !play(o, i, &t);
		add_totals(totals, &t);
	}
	return failed;
}

/* A run in which something never went wrong proves nothing about it. */
static bool
all_happened(const struct options *o, const struct totals *t)
{
	bool all = t->conflicts > 0 && t->cuts > 0 && t->restarts > 0;
	int i;

	for (i = 0; events_name(i) != NULL; i++)
		all &= o->seeds < MANY || o->events != NULL || t->event[i] > 0;
	for (i = 0; acts_name(i) != NULL; i++)
		all &= o->seeds < MANY || !o->acts || t->act[i] > 0;
	all &= o->seeds < MANY || (t->compared > 0 && t->bits > 0);
	return all || o->seeds < 20;
}

int
main(int argc, char **argv)
{
	struct options o = { .seeds = 20, .from = 1, .jobs = 1,
		.actions = ACTIONS,
		.events = getenv("SIM_EVENTS"), .acts = true };
	struct totals totals = { 0 };
	bool all;
	long failed;
	int a;

	for (a = 1; a + 1 < argc; a += 2) {
		if (strcmp(argv[a], "--seeds") == 0)
			o.seeds = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--from") == 0)
			o.from = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--jobs") == 0)
			o.jobs = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--events") == 0)
			o.events = argv[a + 1];
		else if (strcmp(argv[a], "--verbose") == 0)
			o.verbose = atoi(argv[a + 1]) != 0;
		else if (strcmp(argv[a], "--actions") == 0)
			o.actions = atol(argv[a + 1]);
		else if (strcmp(argv[a], "--acts") == 0)
			o.acts = atoi(argv[a + 1]) != 0;
		else if (strcmp(argv[a], "--quick") == 0)
			quick_on(atoi(argv[a + 1]) != 0);
		else
			break;
	}
	if (a < argc) {
		fprintf(stderr, "sim: %s is no option, or lacks its value; "
		    "there are --seeds --from --jobs --events --verbose "
		    "--quick --acts --actions\n", argv[a]);
		return 2;
	}
	if (o.jobs > JOBS_MAX)
		o.jobs = JOBS_MAX;
	disk_register();
	/* Whole lines, also of one that dies. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	printf("1..%ld\n", o.seeds);
	world_begin();
	failed = o.jobs == 0 ? play_here(&o, &totals) : play_all(&o, &totals);
	world_end();
	all = all_happened(&o, &totals);
	printf("# %ld failed; in all ", failed);
	print_counts(&totals);
	if (!all)
		printf("# something of it never happened in %ld seeds\n",
		    o.seeds);
	return failed == 0 && all ? 0 : 1;
}

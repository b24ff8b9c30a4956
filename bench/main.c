// SPDX-License-Identifier: MPL-2.0
/*
 * main.c - runs the works and prints their figures, each with its target and
 * whether that is met.
 *
 *   bench-engine [--rows N] [--runs R] [--dir DIR] [--so FILE]... [--only ROW]
 *   bench-engine --once WORK SHAPE WAY [--rows N] [--dir DIR]
 *       one measurement in this process, for a profiler: what is measured is
 *       what measured() does
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX = 25 };

struct bench {
	int64_t rows;
	int runs, only;
	const char *dir;
	struct way way[BENCH_WAYS_MAX];
	int nways;
	int met, missed;
};

struct result {
	double seconds, value;
	int64_t units;
};

static const struct work *const all_works[] = { write_works, read_works,
	merge_works, store_works };
enum { NLISTS = sizeof all_works / sizeof *all_works };

void measured(const struct work *work, struct job *job);

/* A profiler knows by its name where to begin and to end. */
__attribute__((noinline)) void
measured(const struct work *work, struct job *job)
{
	work->run(job);
	__asm__ volatile("");   /* no tail call: it ends here */
}

/* -- one measurement --------------------------------------------------------------- */

static int64_t
rows_of(const struct bench *b, const struct work *work,
    const struct shape *shape)
{
	return b->rows * (work->times ? work->times : 1) /
	    (work->less ? work->less : 1) / shape->part;
}

static struct result
once(const struct bench *b, const struct work *work, const struct shape *shape,
    const struct way *way)
{
	struct job job = { .shape = shape, .way = way, .dir = b->dir,
		.rows = rows_of(b, work, shape) };
	double begun;

	job.units = job.rows;
	work->prepare(&job);
	begun = now();
	measured(work, &job);
	begun = now() - begun;
	if (work->end != NULL)
		work->end(&job);
	return (struct result){ begun, job.value, job.units };
}

struct asked {
	const struct bench *bench;
	const struct work *work;
	const struct shape *shape;
	const struct way *way;
};

static void
do_asked(void *arg, void *out)
{
	const struct asked *a = arg;
	struct result r = once(a->bench, a->work, a->shape, a->way);

	memcpy(out, &r, sizeof r);
}

static struct result
in_child(const struct bench *b, const struct work *work,
    const struct shape *shape, const struct way *way)
{
	struct asked asked = { b, work, shape, way };
	struct result r = { 0 };

	if (!apart(do_asked, &asked, &r, sizeof r)) {
		fprintf(stderr, "error: %s %s %s was not measured\n", work->name,
		    shape->name, way->name);
		/* another's may not have what is asked for; ours has */
		if (way->mode != OTHER)
			exit(1);
		r = (struct result){ 0 };
	}
	return r;
}

/* -- figures ------------------------------------------------------------------------ */

static double
figure(enum unit unit, const struct result *r, const struct result *plain)
{
	switch (unit) {
	case RATIO: return r->seconds / plain->seconds;
	case MICROSECONDS: return r->seconds * 1e6 / (double)r->units;
	case MILLISECONDS: return r->seconds * 1e3 / (double)r->units;
	case SECONDS: return r->seconds;
	case BYTES: return (r->value - plain->value) / (double)r->units;
	case MEBIBYTES: return r->value;
	}
	return 0;
}

static const char *const unit_names[] = { "x", "us", "ms", "s", "B", "MiB" };

static bool
takes_part(const struct work *work, const struct way *way)
{
	if (way->mode == PLAIN)
		return work->unit == RATIO || work->unit == BYTES;
	return work->ways >> way->mode & 1;
}

static void
print_figure(struct bench *b, double v, enum unit unit, double target)
{
	char text[32];
	int digits = v >= 100 ? 0 : v >= 10 ? 1 : 2;

	snprintf(text, sizeof text, "%.*f%s", digits, v, unit_names[unit]);
	printf(" %8s", text);
	if (target == 0) {
		printf("%14s", "");
		return;
	}
	/* as printed, two digits */
	if (v < target + 0.005) {
		printf(" (%5.4g met)  ", target);
		b->met++;
	} else {
		printf(" (%5.4g MISSED)", target);
		b->missed++;
	}
}

static double
target_of(const struct work *work, const struct way *way, int shape)
{
	return way->mode == OFF ? work->off[shape] :
	    way->mode == PRESET ? work->preset[shape] : 0;
}

static void
print_row(struct bench *b, const struct work *work, int shape,
    struct result r[BENCH_WAYS_MAX][RUNS_MAX], int runs)
{
	double v[RUNS_MAX];
	int w, k;

	printf("%2d %-40s %-5s", work->row, work->name, shapes[shape].name);
	for (k = 0; k < runs; k++)
		v[k] = r[0][k].seconds * 1e3;
	if (takes_part(work, &b->way[0]))
		printf("%8.1f ms", median(v, runs));
	else
		printf("%11s", "");
	for (w = 1; w < b->nways; w++) {
		if (!takes_part(work, &b->way[w])) {
			printf(" %8s%14s", "-", "");
			continue;
		}
		if (r[w][0].units == 0) {
			printf(" %8s%14s", "failed", "");
			continue;
		}
		for (k = 0; k < runs; k++)
			v[k] = figure(work->unit, &r[w][k], &r[0][k]);
		print_figure(b, median(v, runs), work->unit,
		    target_of(work, &b->way[w], shape));
	}
	printf("\n");
	fflush(stdout);
}

static void
measure(struct bench *b, const struct work *work, int shape)
{
	static struct result r[BENCH_WAYS_MAX][RUNS_MAX];
	static int runs;
	int run, w;

	if (!work->same)
		runs = work->runs != 0 ? work->runs : b->runs;
	for (run = 0; run < runs && !work->same; run++)
		for (w = 0; w < b->nways; w++)
			if (takes_part(work, &b->way[w]))
				r[w][run] = in_child(b, work, &shapes[shape],
				    &b->way[w]);
	print_row(b, work, shape, r, runs);
}

static void
measure_all(struct bench *b)
{
	const struct work *work;
	int i, shape, w;

	printf("%lld rows (wide: a quarter), medians of %d, WAL, synchronous=NORMAL, "
	    "SQLite %s\n", (long long)b->rows, b->runs, sqlite3_libversion());
	printf("%-49s%11s", "", "plain");
	for (w = 1; w < b->nways; w++)
		printf(" %8s%14s", b->way[w].name, "");
	printf("\n");
	for (i = 0; i < NLISTS; i++)
		for (work = all_works[i]; work->name != NULL; work++)
			for (shape = 0; shape < NSHAPES; shape++)
				if ((work->shapes >> shape & 1) && (b->only == 0 ||
				    b->only == work->row))
					measure(b, work, shape);
	printf("%d targets met, %d missed\n", b->met, b->missed);
}

/* -- arguments ------------------------------------------------------------------------ */

static int
usage(void)
{
	fprintf(stderr, "usage: bench-engine [--rows N] [--runs R] [--dir DIR] "
	    "[--so FILE]... [--only ROW]\n"
	    "       bench-engine --once WORK SHAPE WAY [--rows N] [--dir DIR]\n");
	return 129;
}

static void
add_way(struct bench *b, enum mode mode, const char *name, const char *so)
{
	if (b->nways < BENCH_WAYS_MAX)
		b->way[b->nways++] = (struct way){ mode, name, so };
}

/* By the name of the file, without directory. */
static void
add_so(struct bench *b, const char *so)
{
	const char *slash = strrchr(so, '/');

	add_way(b, OTHER, slash ? slash + 1 : so, so);
}

static int
run_once(const struct bench *b, char **name)
{
	const struct work *work, *found = NULL;
	const struct shape *shape = NULL;
	const struct way *way = NULL;
	struct result r;
	int i;

	for (i = 0; i < NLISTS; i++)
		for (work = all_works[i]; work->name != NULL; work++)
			if (strcmp(work->id, name[0]) == 0 && !work->same)
				found = work;
	for (i = 0; i < NSHAPES; i++)
		if (strcmp(shapes[i].name, name[1]) == 0)
			shape = &shapes[i];
	for (i = 0; i < b->nways; i++)
		if (strcmp(b->way[i].name, name[2]) == 0)
			way = &b->way[i];
	if (found == NULL || shape == NULL || way == NULL)
		return usage();
	r = once(b, found, shape, way);
	printf("%lld\n", (long long)r.units);
	return 0;
}

int
main(int argc, char **argv)
{
	struct bench b = { .rows = 200000, .runs = 5, .dir = "/tmp" };
	char **names = NULL;
	int i;

	add_way(&b, PLAIN, "plain", NULL);
	add_way(&b, OFF, "off", NULL);
	add_way(&b, PRESET, "default", NULL);
	add_way(&b, JOURNAL, "journal", NULL);
	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rows") == 0)
			b.rows = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--runs") == 0)
			b.runs = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--dir") == 0)
			b.dir = argv[i + 1];
		else if (strcmp(argv[i], "--so") == 0)
			add_so(&b, argv[i + 1]);
		else if (strcmp(argv[i], "--only") == 0)
			b.only = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--once") == 0 && i + 3 < argc) {
			names = argv + i + 1;
			i += 2;
		} else
			return usage();
	}
	if (i != argc || b.rows < 1000 || b.runs < 1 || b.runs > RUNS_MAX)
		return usage();
	if (names != NULL)
		return run_once(&b, names);
	measure_all(&b);
	return 0;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * notes.c - what it costs that a merge notes what it writes over, and keeps a
 * ledger of conflicts: the same pages imported with both and without, in one run,
 * alternating, as medians.
 *
 *   bench-notes [--rows N] [--runs R] [--dir DIR] [--only WORK]
 *   bench-notes --once WORK SHAPE on|notes|ledger|off [--rows N] [--dir DIR]
 *       one import in this process, for a profiler: what is measured is what
 *       measured() does
 *
 * Without a ledger is a database whose table for it is gone, as those of earlier
 * builds are.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX = 25, PULLS = 200, WAYS = 4 };

static const double GOAL = 1.15;

enum { NOTES = 1, LEDGER = 2 };

static const struct choice {
	const char *name;
	int what;
} choices[WAYS] = { { "off", 0 }, { "notes", NOTES }, { "ledger", LEDGER },
	{ "on", NOTES | LEDGER } };

struct import {
	const char *id, *name;
	int rows;               /* a pull; 0: all in one */
	bool singly;            /* rows were inserted one a transaction */
	void (*change)(struct job *);
};

static void
insert_more(struct job *job)
{
	run_sql(job->db, "BEGIN");
	insert_rows(job, job->db, job->rows, job->rows);
	run_sql(job->db, "COMMIT");
}

/* In no order. */
static void
for_each(struct job *job, const char *sql, int64_t from, int64_t n, bool update)
{
	sqlite3_stmt *stmt = prepare(job->db, sql);
	int64_t i;

	run_sql(job->db, "BEGIN");
	for (i = from; i < from + n; i++) {
		if (update)
			sqlite3_bind_int64(stmt, 2, 1000 + i);
		bind_key(job, stmt, 1, job->order[i]);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
	run_sql(job->db, "COMMIT");
}

static void
update_part(struct job *job, int64_t from, int64_t n)
{
	char *sql = sqlite3_mprintf("UPDATE t SET %s = ?2 WHERE id = ?1",
	    job->shape->updated);

	for_each(job, sql, from, n, true);
	sqlite3_free(sql);
}

static void
update_all(struct job *job)
{
	update_part(job, 0, job->rows);
}

static void
delete_all(struct job *job)
{
	for_each(job, "DELETE FROM t WHERE id = ?1", 0, job->rows, false);
}

static const struct import imports[] = {
	{ "insert", "inserts", .change = insert_more },
	{ "update", "1-column updates", .change = update_all },
	{ "update-singly", "the same, rows inserted singly", .singly = true,
	    .change = update_all },
	{ "delete", "deletes", .change = delete_all },
	{ "few-1", "pulls of 1 changed row", .rows = 1 },
	{ "few-10", "pulls of 10", .rows = 10 },
	{ "few-100", "pulls of 100", .rows = 100 },
};
enum { IMPORTS = sizeof imports / sizeof *imports };

/* -- databases --------------------------------------------------------------------- */

static sqlite3 *
fill_singly(struct job *job)
{
	sqlite3 *db = open_empty(job, "bench");
	int64_t i;

	for (i = 0; i < job->rows; i++)
		insert_rows(job, db, i, 1);
	return db;
}

static char *
head_of(struct job *job)
{
	sqlite3_stmt *stmt = prepare(job->db, "SELECT hex(crsql_head())");
	char *cursor;

	check(job->db, sqlite3_step(stmt), "head");
	cursor = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return cursor;
}

/* The pages of changes that are made now. */
static void
take_change(struct job *job, const struct import *im)
{
	int64_t i, n = im->rows != 0 ? PULLS : 1;
	char *cursor;

	job->tape = tape_read(job->db, "SELECT 1 WHERE 0");
	for (i = 0; i < n; i++) {
		cursor = head_of(job);
		if (im->rows != 0)
			update_part(job, i * im->rows % (job->rows - im->rows),
			    im->rows);
		else
			im->change(job);
		export_behind(job, cursor);
		sqlite3_free(cursor);
	}
	job->units = im->rows != 0 ? n : job->rows;
}

static void
make_ready(struct job *job, const struct import *im, int what)
{
	shuffle(job);
	job->db = im->singly ? fill_singly(job) : open_filled(job, job->rows);
	job->tape = tape_read(job->db, "SELECT 1 WHERE 0");
	export_behind(job, NOTHING);
	job->to = open_empty(job, "to");
	tape_play(job->tape, job->to, prepare(job->to, "SELECT crsql_import(?, 1)"));
	if (!(what & LEDGER))
		run_sql(job->to, "DROP TABLE crsql_ledger; "
		    "DROP TABLE crsql_ledger_cell");
	/* the table of notes is made once */
	if (what & NOTES)
		run_sql(job->to, "BEGIN; SELECT crsql_keep_before(1); COMMIT");
	/* who has seen that the schema changed */
	ask(job->to, "SELECT count(*) FROM crsql_changes WHERE db_version = 1 AND "
	    "\"table\" = 't'");
	take_change(job, im);
}

/* -- what is measured -------------------------------------------------------------- */

void measured(struct job *job, const struct import *im, const char *first);

__attribute__((noinline)) void
measured(struct job *job, const struct import *im, const char *first)
{
	sqlite3_stmt *stmt = prepare(job->to, "SELECT crsql_import(?, 1)");

	if (im->rows != 0)
		tape_play_each(job->tape, job->to, first, stmt);
	else
		tape_play_after(job->tape, job->to, first, stmt);
	__asm__ volatile("");   /* no tail call: it ends here */
}

/* Seconds a row, or a pull. */
static double
once(struct job *job, const struct import *im, int what)
{
	double begun;

	make_ready(job, im, what);
	begun = now();
	measured(job, im, what & NOTES ? "SELECT crsql_keep_before(1)" : "");
	begun = now() - begun;
	close_db(job, job->db);
	close_db(job, job->to);
	return begun / (double)job->units;
}

struct asked {
	struct job *job;
	const struct import *im;
	int what;
};

static void
do_asked(void *arg, void *out)
{
	const struct asked *a = arg;
	double seconds = once(a->job, a->im, a->what);

	memcpy(out, &seconds, sizeof seconds);
}

static double
in_child(struct job *job, const struct import *im, int what)
{
	struct asked asked = { job, im, what };
	double seconds;

	if (!apart(do_asked, &asked, &seconds, sizeof seconds)) {
		fprintf(stderr, "error: %s %s was not measured\n", im->name,
		    job->shape->name);
		exit(1);
	}
	return seconds;
}

/* -- figures ----------------------------------------------------------------------- */

static void
measure(struct job *job, const struct import *im, int runs)
{
	double seconds[WAYS][RUNS_MAX], ratio[RUNS_MAX], m;
	int run, w;

	for (run = 0; run < runs; run++)
		for (w = 0; w < WAYS; w++)
			seconds[w][run] = in_child(job, im, choices[w].what);
	printf("%-32s %-5s", im->name, job->shape->name);
	for (w = 1; w < WAYS; w++) {
		for (run = 0; run < runs; run++)
			ratio[run] = seconds[w][run] / seconds[0][run];
		m = median(ratio, runs);
		if (w + 1 < WAYS)
			printf(" %7.2fx", m);
		else
			printf(" %7.2fx (%.2f %s)", m, GOAL, m < GOAL + 0.005 ?
			    "met" : "MISSED");
	}
	printf(" %9.2f us\n", median(seconds[0], runs) * 1e6);
	fflush(stdout);
}

static int
usage(void)
{
	fprintf(stderr, "usage: bench-notes [--rows N] [--runs R] [--dir DIR] "
	    "[--only WORK]\n"
	    "       bench-notes --once WORK SHAPE on|notes|ledger|off [--rows N] "
	    "[--dir DIR]\n");
	return 129;
}

static int
run_once(struct job *job, char **name)
{
	const struct import *im = NULL;
	int i, what = -1;

	for (i = 0; i < IMPORTS; i++)
		if (strcmp(imports[i].id, name[0]) == 0)
			im = &imports[i];
	job->shape = NULL;
	for (i = 0; i < NSHAPES; i++)
		if (strcmp(shapes[i].name, name[1]) == 0)
			job->shape = &shapes[i];
	for (i = 0; i < WAYS; i++)
		if (strcmp(choices[i].name, name[2]) == 0)
			what = choices[i].what;
	if (im == NULL || job->shape == NULL || what < 0)
		return usage();
	once(job, im, what);
	printf("%lld\n", (long long)job->units);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct way way = { PRESET, "default", NULL };
	struct job job = { .way = &way, .dir = "/tmp", .rows = 20000 };
	int i, k, runs = 5;
	char **names = NULL;
	const char *only = NULL;

	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rows") == 0)
			job.rows = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--runs") == 0)
			runs = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--dir") == 0)
			job.dir = argv[i + 1];
		else if (strcmp(argv[i], "--only") == 0)
			only = argv[i + 1];
		else if (strcmp(argv[i], "--once") == 0 && i + 3 < argc) {
			names = argv + i + 1;
			i += 2;
		} else
			return usage();
	}
	if (i != argc || job.rows < 1000 || runs < 1 || runs > RUNS_MAX)
		return usage();
	if (names != NULL)
		return run_once(&job, names);
	printf("%-38s %8s %8s %8s\n", "import of pages, against neither:", "notes",
	    "ledger", "both");
	for (i = 0; i < IMPORTS; i++)
		for (k = 0; k < NSHAPES; k++) {
			if (only != NULL && strcmp(only, imports[i].id) != 0)
				continue;
			job.shape = &shapes[k];
			measure(&job, &imports[i], runs);
		}
	return 0;
}

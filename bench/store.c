// SPDX-License-Identifier: MPL-2.0
/* store.c - rows 13 to 15: bytes in the file, transactions with very many rows,
 * and the fold of what plain programs wrote. */
#include "bench.h"

#include <stdio.h>
#include <sys/resource.h>

enum { FEW = 20 };

static void
close_bench(struct job *job)
{
	close_db(job, job->db);
}

/* -- bytes ------------------------------------------------------------------------ */

static double
bytes_used(sqlite3 *db)
{
	return (double)(ask(db, "PRAGMA page_count") -
	    ask(db, "PRAGMA freelist_count")) *
	    (double)ask(db, "PRAGMA page_size");
}

static void
on_empty(struct job *job)
{
	job->db = open_empty(job, "bench");
	job->value = -bytes_used(job->db);
}

static void
on_filled(struct job *job)
{
	job->db = open_filled(job, job->rows);
	job->value = -bytes_used(job->db);
	shuffle(job);
}

static void
insert_bulk(struct job *job)
{
	run_sql(job->db, "BEGIN");
	insert_rows(job, job->db, 0, job->rows);
	run_sql(job->db, "COMMIT");
	job->value += bytes_used(job->db);
}

static void
insert_single(struct job *job)
{
	job->units = job->rows / FEW;
	insert_rows(job, job->db, 0, job->units);
	job->value += bytes_used(job->db);
}

static void
in_no_order(struct job *job, const char *sql)
{
	sqlite3_stmt *stmt = prepare(job->db, sql);
	int64_t k;

	for (k = 0; k < job->rows; k++) {
		bind_key(job, stmt, 1, job->order[k]);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
}

/* To a value of the same size. */
static void
update_rows(struct job *job)
{
	char sql[128];

	snprintf(sql, sizeof sql, "UPDATE t SET %s = (%s + 1) %% 100 WHERE id = ?",
	    job->shape->updated, job->shape->updated);
	run_sql(job->db, "BEGIN");
	in_no_order(job, sql);
}

static void
update_random(struct job *job)
{
	update_rows(job);
	run_sql(job->db, "COMMIT");
	job->value += bytes_used(job->db);
}

/* What plain SQLite keeps of a row goes: what is more than nothing is ours. */
static void
delete_random(struct job *job)
{
	run_sql(job->db, "BEGIN");
	in_no_order(job, "DELETE FROM t WHERE id = ?");
	run_sql(job->db, "COMMIT");
	job->value += bytes_used(job->db);
}

/* -- large transactions ------------------------------------------------------------- */

static void
peak(struct job *job)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	job->value = (double)used.ru_maxrss / 1024;
	close_bench(job);
}

static void
on_captured(struct job *job)
{
	on_filled(job);
	update_rows(job);
	job->units = 1;
}

static void
commit(struct job *job)
{
	run_sql(job->db, "COMMIT");
}

static void
insert_very_many(struct job *job)
{
	insert_bulk(job);
	job->units = 1;
}

/* -- the journal --------------------------------------------------------------------- */

static void
journal(struct job *job)
{
	struct way plain = { JOURNAL, job->way->name, NULL };
	struct job writer = *job;

	writer.way = &plain;
	close_db(job, open_empty(job, "bench"));
	job->db = open_file(&writer, "bench");
	insert_bulk(job);
	sqlite3_close(job->db);
	job->db = open_file(job, "bench");
	if (ask(job->db, "SELECT crsql_pending()") != job->rows)
		check(job->db, SQLITE_ERROR, "writes of the journal are missing");
}

static void
fold(struct job *job)
{
	run_sql(job->db, "SELECT crsql_fold()");
}

#define EACH(x) { x, x, x }
#define SIZE .ways = READ_WAYS, .unit = BYTES, .runs = 1, .end = close_bench

const struct work store_works[] = {
	{ 13, "bytes a row: fresh, one transaction", "bytes-fresh", SIZE,
	    .shapes = ALL_SHAPES, .off = EACH(1), .preset = EACH(1),
	    .prepare = on_empty, .run = insert_bulk },
	{ 13, "bytes a row: a transaction each", "bytes-single", SIZE,
	    .shapes = ALL_SHAPES, .off = EACH(40), .preset = EACH(40),
	    .prepare = on_empty, .run = insert_single },
	{ 13, "bytes a row: updated", "bytes-updated", SIZE, .shapes = ALL_SHAPES,
	    .off = EACH(45), .preset = EACH(45),
	    .prepare = on_filled, .run = update_random },
	{ 13, "bytes a row: deleted", "bytes-deleted", SIZE, .shapes = ALL_SHAPES,
	    .off = EACH(110), .preset = EACH(110),
	    .prepare = on_filled, .run = delete_random },
	{ 14, "commit after 5N updates of single rows", "commit", .ways = READ_WAYS,
	    .shapes = BIT(INT), .unit = SECONDS, .off = EACH(2), .preset = EACH(2),
	    .times = 5, .prepare = on_captured, .run = commit, .end = peak },
	{ 14, "  memory at its peak", "commit", .ways = READ_WAYS,
	    .shapes = BIT(INT), .unit = MEBIBYTES, .off = EACH(64),
	    .preset = EACH(64), .same = true },
	{ 14, "insert of 50N rows in one transaction", "insert-many",
	    .ways = READ_WAYS, .shapes = BIT(INT), .runs = 1, .times = 50,
	    .prepare = on_empty, .run = insert_very_many, .end = peak },
	{ 14, "  memory at its peak", "insert-many", .ways = READ_WAYS,
	    .shapes = BIT(INT), .unit = MEBIBYTES, .off = EACH(64),
	    .preset = EACH(64), .same = true },
	{ 15, "fold of plain inserts, a row", "fold", .ways = BIT(PRESET),
	    .shapes = BIT(UUID) | BIT(INT), .unit = MICROSECONDS,
	    .preset = EACH(0.3), .prepare = journal, .run = fold,
	    .end = close_bench },
	{ .name = NULL }
};

// SPDX-License-Identifier: MPL-2.0
/* write.c - rows 1 to 7: what replication costs the programs that write. */
#include "bench.h"

#include <stdio.h>

enum { FEW = 20 };      /* a part of the rows, where each is a transaction */

static void
on_empty(struct job *job)
{
	job->db = open_empty(job, "bench");
}

static void
on_filled(struct job *job)
{
	job->db = open_filled(job, job->rows);
	shuffle(job);
}

static void
close_bench(struct job *job)
{
	close_db(job, job->db);
}

static void
insert_bulk(struct job *job)
{
	run_sql(job->db, "BEGIN");
	insert_rows(job, job->db, 0, job->rows);
	run_sql(job->db, "COMMIT");
}

static void
insert_single(struct job *job)
{
	job->units = job->rows / FEW;
	insert_rows(job, job->db, 0, job->units);
}

/* Sets those columns, of n rows in the order that is no order. */
static void
update_rows(struct job *job, const char *set, int ncol, int64_t n)
{
	sqlite3_stmt *stmt;
	char *sql = sqlite3_mprintf("UPDATE t SET %s WHERE id = ?", set);
	int64_t k;

	stmt = prepare(job->db, sql);
	for (k = 0; k < n; k++) {
		if (ncol == 1)
			sqlite3_bind_int64(stmt, 1, 1000 + k);
		else
			bind_columns(job, stmt, 1, job->order[k] + 3 * job->rows);
		bind_key(job, stmt, ncol + 1, job->order[k]);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
	sqlite3_free(sql);
}

static void
update_one_column(struct job *job, int64_t n)
{
	char set[32];

	snprintf(set, sizeof set, "%s = ?", job->shape->updated);
	update_rows(job, set, 1, n);
}

static void
update_random(struct job *job)
{
	run_sql(job->db, "BEGIN");
	update_one_column(job, job->rows);
	run_sql(job->db, "COMMIT");
}

static void
update_all_columns(struct job *job)
{
	char *set = all_columns(job->shape, "?");

	run_sql(job->db, "BEGIN");
	update_rows(job, set, job->shape->ncol, job->rows);
	run_sql(job->db, "COMMIT");
	sqlite3_free(set);
}

static void
update_single(struct job *job)
{
	job->units = job->rows / FEW;
	update_one_column(job, job->units);
}

static void
update_set(struct job *job)
{
	char sql[64];

	snprintf(sql, sizeof sql, "UPDATE t SET %s = %s + 1", job->shape->updated,
	    job->shape->updated);
	run_sql(job->db, sql);
}

static void
delete_random(struct job *job)
{
	sqlite3_stmt *stmt = prepare(job->db, "DELETE FROM t WHERE id = ?");
	int64_t k;

	run_sql(job->db, "BEGIN");
	for (k = 0; k < job->rows; k++) {
		bind_key(job, stmt, 1, job->order[k]);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
	run_sql(job->db, "COMMIT");
}

/* With a condition: without one plain SQLite empties the b-tree as a whole. */
static void
delete_set(struct job *job)
{
	run_sql(job->db, "DELETE FROM t WHERE id IS NOT NULL");
}

/* Puts a quarter of the rows again, with other values. */
static void
put_again(struct job *job, sqlite3_stmt *stmt)
{
	int64_t k;

	job->units = job->rows / 4;
	run_sql(job->db, "BEGIN");
	for (k = 0; k < job->units; k++) {
		bind_key(job, stmt, 1, job->order[k]);
		bind_columns(job, stmt, 2, job->order[k] + 5 * job->rows);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
	run_sql(job->db, "COMMIT");
}

static void
replace(struct job *job)
{
	put_again(job, prepare_insert(job, job->db, "INSERT OR REPLACE", ""));
}

static void
upsert(struct job *job)
{
	char *set = all_columns(job->shape, "excluded.%s");
	char *more = sqlite3_mprintf(" ON CONFLICT DO UPDATE SET %s", set);

	put_again(job, prepare_insert(job, job->db, "INSERT", more));
	sqlite3_free(more);
	sqlite3_free(set);
}

#define EACH(x) { x, x, x }
#define WRITES .shapes = ALL_SHAPES, .ways = WRITE_WAYS, .end = close_bench

const struct work write_works[] = {
	{ 1, "insert, one transaction", "insert", WRITES,
	    .off = { 1.10, 1.30, 1.10 }, .preset = { 1.15, 1.40, 1.15 },
	    .prepare = on_empty, .run = insert_bulk },
	{ 2, "insert, a row a transaction", "insert-single", WRITES,
	    .off = EACH(1.4), .preset = EACH(1.5),
	    .prepare = on_empty, .run = insert_single },
	{ 3, "update 1 column, random", "update", WRITES,
	    .off = EACH(1.4), .preset = EACH(1.45),
	    .prepare = on_filled, .run = update_random },
	{ 3, "update all columns, random", "update-columns", WRITES,
	    .off = EACH(1.5), .preset = EACH(1.55),
	    .prepare = on_filled, .run = update_all_columns },
	{ 4, "update, a row a transaction", "update-single", WRITES,
	    .off = EACH(2.2), .preset = EACH(2.3),
	    .prepare = on_filled, .run = update_single },
	{ 5, "update 1 column of all rows", "update-set", WRITES,
	    .off = { 3.3, 12 }, .preset = { 4, 13 },
	    .prepare = on_filled, .run = update_set },
	{ 6, "delete, random", "delete", WRITES,
	    .off = EACH(1.6), .preset = EACH(1.7),
	    .prepare = on_filled, .run = delete_random },
	{ 6, "delete all rows", "delete-set", WRITES,
	    .off = EACH(2.3), .preset = EACH(2.8),
	    .prepare = on_filled, .run = delete_set },
	{ 7, "REPLACE of rows there", "replace", WRITES,
	    .off = EACH(1.6), .preset = EACH(1.7),
	    .prepare = on_filled, .run = replace },
	{ 7, "upsert of rows there", "upsert", WRITES,
	    .off = EACH(1.5), .preset = EACH(1.6),
	    .prepare = on_filled, .run = upsert },
	{ .name = NULL }
};

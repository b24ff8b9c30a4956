// SPDX-License-Identifier: MPL-2.0
/* read.c - rows 8 and 9: what reading changes costs, and whether it depends on
 * how much there is. */
#include "bench.h"

#define CHANGES "SELECT \"table\", pk, cid, val, col_version, db_version, " \
	"site_id, cl, seq FROM crsql_changes"

enum { NEWEST = 10, TIMES = 200 };

static void
on_filled(struct job *job)
{
	job->db = open_filled(job, job->rows);
}

/* As one that was opened for writing, and knows its tables. */
static void
on_known(struct job *job)
{
	on_filled(job);
	insert_rows(job, job->db, job->rows, NEWEST);
}

static void
close_bench(struct job *job)
{
	close_db(job, job->db);
}

/* Steps through all, looking at each value. */
static int64_t
drain(struct job *job, sqlite3_stmt *stmt)
{
	int i, n = sqlite3_column_count(stmt), rc;
	int64_t rows = 0;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (i = 0; i < n; i++)
			sqlite3_column_bytes(stmt, i);
		rows++;
	}
	check(job->db, rc, sqlite3_sql(stmt));
	sqlite3_finalize(stmt);
	return rows;
}

static void
read_all(struct job *job)
{
	job->units = drain(job, prepare(job->db, CHANGES));
}

static void
first_change(struct job *job)
{
	sqlite3_stmt *stmt = prepare(job->db, CHANGES " WHERE db_version > 0");

	job->units = 1;
	check(job->db, sqlite3_step(stmt), "first change");
	sqlite3_finalize(stmt);
}

static void
newest_changes(struct job *job)
{
	sqlite3_stmt *stmt;
	int i;

	for (i = 0; i < TIMES; i++) {
		stmt = prepare(job->db, CHANGES " WHERE db_version > ?");
		sqlite3_bind_int64(stmt, 1, 1); /* the rows before are one */
		if (drain(job, stmt) != NEWEST * job->shape->ncol)
			check(job->db, SQLITE_ERROR, "changes are missing");
	}
	job->units = TIMES;
}

#define EACH(x) { x, x, x }
#define READS .ways = READ_WAYS, .end = close_bench

const struct work read_works[] = {
	{ 8, "read all changes, each", "read", READS, .shapes = ALL_SHAPES,
	    .unit = MICROSECONDS, .off = EACH(0.45), .preset = EACH(0.45),
	    .prepare = on_filled, .run = read_all },
	{ 8, "the same of a tenth of the rows", "read-tenth", READS,
	    .shapes = BIT(INT), .unit = MICROSECONDS,
	    .off = EACH(0.45), .preset = EACH(0.45), .less = 10,
	    .prepare = on_filled, .run = read_all },
	{ 8, "the same of five times the rows", "read-five", READS,
	    .shapes = BIT(INT), .unit = MICROSECONDS,
	    .off = EACH(0.45), .preset = EACH(0.45), .times = 5,
	    .prepare = on_filled, .run = read_all },
	{ 9, "first change, of a tenth of the rows", "first-tenth", READS,
	    .shapes = BIT(INT), .unit = MILLISECONDS,
	    .off = EACH(0.3), .preset = EACH(0.3), .less = 10,
	    .prepare = on_known, .run = first_change },
	{ 9, "first change, of five times the rows", "first", READS,
	    .shapes = BIT(UUID) | BIT(INT), .unit = MILLISECONDS,
	    .off = EACH(0.3), .preset = EACH(0.3), .times = 5,
	    .prepare = on_known, .run = first_change },
	{ 9, "changes of the 10 newest transactions", "newest", READS,
	    .shapes = BIT(UUID) | BIT(INT), .unit = MICROSECONDS,
	    .off = EACH(50), .preset = EACH(50), .times = 5,
	    .prepare = on_known, .run = newest_changes },
	{ .name = NULL }
};

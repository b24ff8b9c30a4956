// SPDX-License-Identifier: MPL-2.0
/*
 * merge.c - rows 10 to 12: what it costs to bring rows from one database into
 * another, by crsql_changes and by pages, against plain inserts and updates of
 * the same values from memory.
 */
#include "bench.h"

#define COLUMNS "\"table\", pk, cid, val, col_version, db_version, site_id, cl, seq"
#define CHANGES "SELECT " COLUMNS " FROM crsql_changes"
#define MERGE "INSERT INTO crsql_changes(" COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, " \
	"?, ?, ?)"

static bool
is_plain(const struct job *job)
{
	return job->way->mode == PLAIN;
}

static void
close_both(struct job *job)
{
	close_db(job, job->db);
	if (job->to != NULL)
		close_db(job, job->to);
}

/* -- by crsql_changes ----------------------------------------------------------- */

static void
take_changes(struct job *job)
{
	job->db = open_filled(job, job->rows);
	job->to = open_empty(job, "to");
	job->tape = tape_read(job->db, is_plain(job) ? "SELECT * FROM t" : CHANGES);
}

static void
merge(struct job *job)
{
	tape_play(job->tape, job->to, is_plain(job) ? prepare_insert(job, job->to,
	    "INSERT", "") : prepare(job->to, MERGE));
}

static void
take_known(struct job *job)
{
	take_changes(job);
	merge(job);
}

/* Plain: as an upsert, which writes what is there already. */
static void
merge_known(struct job *job)
{
	char *set = all_columns(job->shape, "excluded.%s");
	char *more = sqlite3_mprintf(" ON CONFLICT DO UPDATE SET %s", set);

	if (is_plain(job))
		tape_play(job->tape, job->to, prepare_insert(job, job->to, "INSERT",
		    more));
	else
		merge(job);
	sqlite3_free(more);
	sqlite3_free(set);
}

/* A column of each row is updated, in no order; for plain rows the tape has it. */
static void
update_each(struct job *job)
{
	char *set = sqlite3_mprintf("UPDATE t SET %s = ? WHERE id = ?",
	    job->shape->updated), *news;
	sqlite3_stmt *stmt;
	int64_t k;

	shuffle(job);
	stmt = prepare(job->db, set);
	run_sql(job->db, "BEGIN");
	for (k = 0; k < job->rows; k++) {
		sqlite3_bind_int64(stmt, 1, 1000 + k);
		bind_key(job, stmt, 2, job->order[k]);
		step(job->db, stmt);
	}
	sqlite3_finalize(stmt);
	run_sql(job->db, "COMMIT");
	news = sqlite3_mprintf("SELECT %s, id FROM t ORDER BY %s",
	    job->shape->updated, job->shape->updated);
	if (is_plain(job))
		job->tape = tape_read(job->db, news);
	sqlite3_free(news);
	sqlite3_free(set);
}

static void
take_updates(struct job *job)
{
	char *news;
	int64_t before;

	take_known(job);
	before = is_plain(job) ? 0 : ask(job->db, "SELECT crsql_db_version()");
	update_each(job);
	if (is_plain(job))
		return;
	news = sqlite3_mprintf(CHANGES " WHERE db_version > %lld",
	    (long long)before);
	job->tape = tape_read(job->db, news);
	sqlite3_free(news);
}

static void
merge_updates(struct job *job)
{
	char *set = sqlite3_mprintf("UPDATE t SET %s = ? WHERE id = ?",
	    job->shape->updated);

	tape_play(job->tape, job->to, prepare(job->to, is_plain(job) ? set : MERGE));
	sqlite3_free(set);
}

/* -- by pages ---------------------------------------------------------------------- */

static void
on_filled(struct job *job)
{
	job->db = open_filled(job, job->rows);
	job->tape = tape_read(job->db, "SELECT 1 WHERE 0");
}

static void
export(struct job *job)
{
	export_behind(job, NOTHING);
}

static void
take_pages(struct job *job)
{
	on_filled(job);
	if (is_plain(job))
		job->tape = tape_read(job->db, "SELECT * FROM t");
	else
		export(job);
	job->to = open_empty(job, "to");
}

static void
import(struct job *job)
{
	tape_play(job->tape, job->to, is_plain(job) ? prepare_insert(job, job->to,
	    "INSERT", "") : prepare(job->to, "SELECT crsql_import(?, 1)"));
}

/* A column of each row is updated once all is there. */
static void
take_page_updates(struct job *job)
{
	sqlite3_stmt *head;
	char *cursor;

	take_pages(job);
	import(job);
	if (is_plain(job)) {
		update_each(job);
		return;
	}
	head = prepare(job->db, "SELECT hex(crsql_head())");
	check(job->db, sqlite3_step(head), "head");
	cursor = sqlite3_mprintf("%s", sqlite3_column_text(head, 0));
	sqlite3_finalize(head);
	update_each(job);
	job->tape = tape_read(job->db, "SELECT 1 WHERE 0");
	export_behind(job, cursor);
	sqlite3_free(cursor);
}

static void
import_updates(struct job *job)
{
	if (is_plain(job))
		merge_updates(job);
	else
		import(job);
}

/* A program that merges asks for notes inside its transaction; here there is one
 * with a statement of ours before. */
static void
import_noted(struct job *job)
{
	if (is_plain(job))
		merge_updates(job);
	else
		tape_play_after(job->tape, job->to, "SELECT crsql_keep_before(1)",
		    prepare(job->to, "SELECT crsql_import(?, 1)"));
}

/* Nothing that was to come may be missing. */
static void
compare(struct job *job)
{
	if (ask(job->to, "SELECT count(*) FROM t") != job->rows)
		check(job->to, SQLITE_ERROR, "rows are missing");
	close_both(job);
}

#define EACH(x) { x, x, x }
#define MERGES .shapes = ALL_SHAPES, .end = compare

const struct work merge_works[] = {
	{ 10, "merge into empty by crsql_changes", "merge",
	    .shapes = BIT(UUID) | BIT(WIDE), .end = compare,
	    .ways = READ_WAYS, .off = { 2.2, 0, 4.6 }, .preset = { 2.2, 0, 4.6 },
	    .prepare = take_changes, .run = merge },
	{ 11, "export of pages, a row", "export", .shapes = ALL_SHAPES,
	    .ways = OUR_WAYS, .unit = MICROSECONDS,
	    .off = EACH(0.5), .preset = EACH(0.5),
	    .prepare = on_filled, .run = export, .end = close_both },
	{ 11, "import of pages", "import", MERGES, .ways = OUR_WAYS,
	    .off = EACH(1.1), .preset = EACH(1.1),
	    .prepare = take_pages, .run = import },
	{ 12, "merge of what is known, N/4 rows", "merge-known", MERGES,
	    .less = 4, .ways = READ_WAYS, .off = EACH(2.5), .preset = EACH(2.5),
	    .prepare = take_known, .run = merge_known },
	{ 12, "merge of 1-column updates, N/4 rows", "merge-updates", MERGES,
	    .less = 4, .ways = READ_WAYS, .off = EACH(2.0), .preset = EACH(2.0),
	    .prepare = take_updates, .run = merge_updates },
	{ 16, "import of pages of 1-column updates, N/4 rows", "import-updates",
	    MERGES, .less = 4, .ways = OUR_WAYS,
	    .prepare = take_page_updates, .run = import_updates },
	{ 16, "the same, and what was there is noted", "import-noted", MERGES,
	    .less = 4, .ways = OUR_WAYS,
	    .prepare = take_page_updates, .run = import_noted },
	{ .name = NULL }
};

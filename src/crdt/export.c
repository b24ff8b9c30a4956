// SPDX-License-Identifier: MPL-2.0
/*
 * export.c - crsql_export(plan, position, max_bytes): the next page of what a
 * reader lacks.  The log is walked from a cursor on; what the plan does not
 * want is passed over; rows go into the page, grouped by transaction, until
 * it is full.  Reads only, in one snapshot: the caller's, or one of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "crdt/columns.h"
#include "crdt/log.h"
#include "crdt/page.h"
#include "crdt/plan.h"
#include "crdt/seen.h"
#include "crdt/storage.h"
#include "crdt/walk.h"

enum {
	PAGE_BYTES = 262144,    /* of a page, unless asked otherwise */
	ROW_OVERHEAD = 48,      /* about what stands around values */
	CELL_OVERHEAD = 12,
	VALUE_OVERHEAD = 3,
};

struct export {
	struct engine *e;
	struct plan plan;
	struct cursor start;
	size_t max_bytes;
	struct page_writer out;
	int flags;
	int rc;                 /* of the filter, which can't fail */
	struct val (*read)(sqlite3_stmt *stmt, int i);
	struct page_cell *cell; /* of the row being written */
	struct val *value;
	int room;
	bool first;             /* page of the pull */
	bool open;              /* a transaction of the page is: */
	int64_t dbv, site, sver;
	struct cursor last;     /* the row written last */
	struct seen_sent sent;  /* which steps were sent */
};

/* -- the filter ------------------------------------------------------------ */

static bool
skip_log_row(void *arg, int table, int64_t dbv, int64_t pos, int64_t site,
    int64_t sver)
{
	struct export *x = arg;
	bool skip = true;
	int rc;

	rc = plan_skips(x->e, &x->plan, table, dbv, pos, site, sver, &skip);
	if (rc != SQLITE_OK)
		x->rc = rc;
	return skip;
}

/* A group's cursor may stand inside the run that is being walked. */
static bool
skip_key(const struct export *x, const struct walk_row *row)
{
	const struct cursor *c;

	if (!row->in_run)
		return false;
	c = &x->plan.group[x->plan.group_of[row->table->id]].cursor;
	return row->dbv == c->dbv && row->pos == c->pos && row->key <= c->key;
}

static int
next_row(struct export *x, struct walk *w, struct walk_row *row)
{
	int rc;

	do {
		rc = walk_next(w, row);
		if (rc != SQLITE_ROW)
			return x->rc != SQLITE_OK ? x->rc : rc;
	} while (row->kind == WALK_HEADER || skip_key(x, row));
	return x->rc != SQLITE_OK ? x->rc : SQLITE_ROW;
}

/* -- transactions ------------------------------------------------------------- */

static int
end_tx(struct export *x, bool whole)
{
	if (x->open)
		page_end_tx(&x->out, whole ? PAGE_TX_ENDS : 0);
	x->open = false;
	return x->out.rc;
}

static int
begin_tx(struct export *x, const struct walk_row *row)
{
	uint8_t header[HEADER_LEN] = { 0 };
	struct seen_steps steps = { NULL, 0 };
	bool found, inside = row->dbv == x->start.dbv;
	int site, rc;

	rc = end_tx(x, row->dbv != x->dbv);
	if (rc == SQLITE_OK)
		rc = log_header(x->e, row->dbv, &found, header);
	if (rc == SQLITE_OK)
		rc = page_put_site(x->e, &x->out, row->site, &site);
	if (rc == SQLITE_OK && row->sver > 0)
		rc = seen_steps(x->e, &x->sent, &x->plan, &x->out, row->site,
		    row->sver, &steps);
	if (rc != SQLITE_OK) {
		sqlite3_free(steps.step);
		return rc;
	}
	if (x->out.nrow == 0 && inside)
		x->flags |= PAGE_BEGINS_INSIDE;
	page_begin_tx(&x->out, site, row->sver, row->dbv != x->dbv && !inside ?
	    PAGE_TX_BEGINS : 0, header, steps.step, steps.n);
	sqlite3_free(steps.step);
	x->open = true;
	x->dbv = row->dbv;
	x->site = row->site;
	x->sver = row->sver;
	return SQLITE_OK;
}

/* -- rows ---------------------------------------------------------------------- */

static int
make_room(struct export *x, int ncol)
{
	size_t n = (size_t)ncol + 1;

	if (ncol < x->room)
		return SQLITE_OK;
	sqlite3_free(x->cell);
	sqlite3_free(x->value);
	x->cell = sqlite3_malloc64(n * sizeof *x->cell);
	x->value = sqlite3_malloc64(n * sizeof *x->value);
	x->room = ncol + 1;
	return x->cell != NULL && x->value != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Collects the values of a row; returns about how many bytes it will take. */
static size_t
read_values(struct export *x, const struct walk_row *row)
{
	size_t bytes = (size_t)row->npk + (size_t)row->nbytes + ROW_OVERHEAD;
	int i, n = row->table->ncol;

	if (row->kind == WALK_FRESH) {
		for (i = 0; i < n; i++) {
			x->value[i] = x->read(row->values,
			    row->first_value + i);
			bytes += (size_t)x->value[i].len + VALUE_OVERHEAD;
		}
	} else if (row->kind == WALK_CELLS) {
		for (i = 0; i < row->ncell; i++) {
			const struct walk_cell *c = &row->cell[i];

			x->cell[i] = (struct page_cell){ .col = c->col,
			    .version = c->version, .seq = c->seq };
			if (c->col >= 0)
				x->cell[i].value = x->read(row->values,
				    row->first_value + c->col);
			bytes += (size_t)x->cell[i].value.len + CELL_OVERHEAD;
		}
	}
	return bytes;
}

static void
put_row(struct export *x, const struct walk_row *row)
{
	struct page_writer *out = &x->out;

	switch (row->kind) {
	case WALK_FRESH:
		page_put_fresh(out, row->table, row->pk, row->npk,
		    row->ncell > 0 ? row->cell[0].seq : 0, x->value);
		break;
	case WALK_CELLS:
		page_put_cells(out, row->table, row->pk, row->npk, row->cl,
		    row->ncell, x->cell);
		break;
	case WALK_DEAD:
		page_put_dead(out, row->table, row->pk, row->npk, row->cl,
		    row->ncell > 0 ? row->cell[0].seq : 0);
		break;
	case WALK_PARKED:
		page_put_parked(out, row->table, row->pk, row->npk,
		    row->bytes, row->nbytes);
		break;
	case WALK_HEADER:
		break;
	}
}

/* Writes one row unless the page is full with it: *full then.  The first row
 * of a page is never too large. */
static int
add_row(struct export *x, const struct walk_row *row, bool *full)
{
	size_t bytes;
	int rc;

	rc = make_room(x, row->table->ncol);
	if (rc != SQLITE_OK)
		return rc;
	bytes = read_values(x, row);
	*full = x->out.nrow > 0 && (page_size(&x->out) + bytes > x->max_bytes ||
	    x->out.nsite >= PAGE_MAX_SITES);
	if (*full)
		return SQLITE_OK;
	if (!x->open || row->dbv != x->dbv || row->site != x->site ||
	    row->sver != x->sver)
		rc = begin_tx(x, row);
	if (rc != SQLITE_OK)
		return rc;
	put_row(x, row);
	if (x->out.body.failed)
		return SQLITE_TOOBIG;
	x->last.dbv = row->dbv;
	x->last.pos = row->pos;
	x->last.key = row->in_run ? row->key : CURSOR_WHOLE;
	return x->out.rc;
}

static int
fill(struct export *x, struct walk *w)
{
	struct walk_row row;
	bool full = false;
	int rc;

	while ((rc = next_row(x, w, &row)) == SQLITE_ROW) {
		rc = add_row(x, &row, &full);
		if (rc != SQLITE_OK)
			return rc;
		if (!full)
			continue;
		if (row.dbv == x->dbv)
			x->flags |= PAGE_ENDS_INSIDE;
		return end_tx(x, row.dbv != x->dbv);
	}
	if (rc != SQLITE_DONE)
		return rc;
	x->flags |= PAGE_DONE;
	return end_tx(x, true);
}

/* -- the function ---------------------------------------------------------------- */

static int
find_start(struct export *x, sqlite3_value *position)
{
	struct cursor c;
	bool known = false;
	int rc = SQLITE_OK;

	x->start = plan_start(&x->plan);
	x->first = sqlite3_value_type(position) == SQLITE_NULL;
	if (x->plan.lost)
		x->flags |= PAGE_LOST;
	if (x->first)
		return SQLITE_OK;
	if (sqlite3_value_bytes(position) != CURSOR_LEN)
		return engine_fail(x->e, SQLITE_ERROR,
		    "the position is not a cursor of %d bytes", CURSOR_LEN);
	cursor_read(sqlite3_value_blob(position), &c);
	rc = plan_check_cursor(x->e, &c, &known);
	if (rc != SQLITE_OK)
		return rc;
	if (!known)
		x->flags |= PAGE_LOST;
	else if (cursor_compare(&c, &x->start) > 0)
		x->start = c;
	return SQLITE_OK;
}

/* Names that columns had are news even where no row is (columns.h). */
static void
put_names(struct export *x)
{
	struct cursor start = plan_start(&x->plan);
	const struct table *t = x->e->tables.table;
	int i;

	for (i = 0; i < x->e->tables.n && start.dbv < x->last.dbv; i++)
		if (t[i].id <= x->plan.max_table &&
		    x->plan.group_of[t[i].id] >= 0 && columns_have_old(&t[i]))
			page_put_table(&x->out, &t[i]);
}

/* Horizons are news, too, of tables of which no row is.  They go ahead: what the
 * reader may refuse comes in a later page, and he keeps them. */
static void
put_horizons(struct export *x)
{
	const struct table *t = x->e->tables.table;
	const struct horizon_entry *entry;
	int i;

	for (i = 0; i < x->e->tables.n; i++)
		if (t[i].id <= x->plan.max_table &&
		    x->plan.group_of[t[i].id] >= 0 &&
		    horizon_of(x->out.horizon, t[i].id, &entry) > 0)
			page_put_table(&x->out, &t[i]);
}

static int
fill_or_lead(struct export *x, struct walk *w)
{
	struct walk_row row;
	int rc;

	if (x->out.horizon == NULL || !x->first)
		return fill(x, w);
	put_horizons(x);
	rc = next_row(x, w, &row);
	if (rc == SQLITE_DONE)
		x->flags |= PAGE_DONE;
	else if (rc == SQLITE_ROW)
		x->last = x->start;
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
export_page(struct export *x, uint8_t **out, size_t *len)
{
	struct walk_from from = { .dbv = x->start.dbv, .pos = x->start.pos,
	    .in_run = x->start.key != CURSOR_WHOLE, .key = x->start.key,
	    .last_dbv = INT64_MAX, .skip = skip_log_row, .arg = x };
	struct walk *w = NULL;
	int rc;

	if (x->start.dbv == 0)
		from.pos = -1;
	if (x->start.dbv == INT64_MAX) {
		x->flags |= PAGE_DONE;  /* a plan without groups */
		rc = SQLITE_OK;
	} else {
		rc = walk_open(x->e, &from, false, &w);
		if (rc == SQLITE_OK)
			rc = fill_or_lead(x, w);
		walk_close(w);
	}
	if (rc == SQLITE_OK && (x->flags & PAGE_DONE))
		rc = cursor_head(x->e, &x->last);
	else if (rc == SQLITE_OK)
		rc = cursor_sign(x->e, &x->last);
	if (rc == SQLITE_OK && (x->flags & PAGE_DONE))
		rc = seen_rest(x->e, &x->sent, &x->plan, &x->out);
	if (rc == SQLITE_OK && (x->flags & PAGE_DONE))
		put_names(x);
	if (rc == SQLITE_OK)
		rc = page_finish(&x->out, x->flags, &x->last, out, len);
	return rc;
}

/* Texts can be taken as they lie where the database is in UTF-8. */
static int
choose_reader(struct export *x)
{
	int rc = storage_read_encoding(x->e);

	x->read = x->e->encoding == ENCODING_UTF8 ? val_of_raw : val_of_column;
	return rc;
}

/* What was forgotten here decides who may read, and is told. */
static int
take_horizon(struct export *x)
{
	const struct horizon *h;
	int rc = plan_admit(x->e, &x->plan);

	if (rc == SQLITE_OK)
		rc = horizon_get(x->e, &h);
	if (rc != SQLITE_OK || !x->plan.has_horizon)
		return rc;
	x->out.horizon = h;
	x->out.unproven = x->plan.unproven;
	x->flags |= PAGE_HORIZON;
	return SQLITE_OK;
}

static void
export_clear(struct export *x)
{
	plan_clear(&x->plan);
	page_writer_clear(&x->out);
	seen_sent_clear(&x->sent);
	sqlite3_free(x->cell);
	sqlite3_free(x->value);
}

static void
crsql_export(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	struct export x = { .e = e };
	int limit = sqlite3_limit(e->db, SQLITE_LIMIT_LENGTH, -1);
	sqlite3_int64 max = sqlite3_value_int64(argv[2]);
	sqlite3_stmt *hold;
	uint8_t *page = NULL;
	size_t len = 0;
	int rc;

	page_writer_init(&x.out, (size_t)limit);
	x.max_bytes = max <= 0 ? PAGE_BYTES : max > limit ? (size_t)limit :
	    (size_t)max;
	rc = tx_begin_snapshot(e, &hold);
	if (rc == SQLITE_OK)
		rc = plan_read(e, sqlite3_value_blob(argv[0]),
		    (size_t)sqlite3_value_bytes(argv[0]), &x.plan);
	if (rc == SQLITE_OK)
		rc = take_horizon(&x);
	if (rc == SQLITE_OK)
		rc = choose_reader(&x);
	if (rc == SQLITE_OK)
		rc = find_start(&x, argv[1]);
	if (rc == SQLITE_OK)
		rc = export_page(&x, &page, &len);
	if (rc == SQLITE_OK)
		sqlite3_result_blob64(ctx, page, len, free);
	else
		engine_result_error(e, ctx, rc);
	sqlite3_finalize(hold);
	export_clear(&x);
}

int
export_register(struct engine *e)
{
	int rc;

	rc = sqlite3_create_function(e->db, "crsql_export", 3,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_export, NULL, NULL);
	return rc == SQLITE_OK ? pageinfo_register(e) : rc;
}

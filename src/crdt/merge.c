// SPDX-License-Identifier: MPL-2.0
/*
 * merge.c - decides what of an incoming row wins.  Writing it to the user's
 * table is rows.c's, clocks and log are place.c's.
 */
#include "crdt/merge.h"

#include <string.h>

#include "crdt/horizon.h"
#include "crdt/ledger.h"
#include "crdt/lookaside.h"

bool
merge_refused(int rc)
{
	return (rc & 0xFF) == SQLITE_CONSTRAINT ||
	    (rc & 0xFF) == SQLITE_MISMATCH;
}

int
merge_check_number(struct engine *e, const char *what, int64_t v, int64_t here)
{
	if (v > VERSION_MAX || v - here > VERSION_LEAP_MAX)
		return engine_fail(e, SQLITE_TOOBIG,
		    "%s %lld is out of range: refused", what, (long long)v);
	return SQLITE_OK;
}

/* A site that goes on under another name, or none of whose versions is told, may
 * tell what it had when it was behind.  What was found of the site asked for last
 * holds until the horizon is read anew, which is in each transaction. */
static int
is_another_life(struct engine *e, int64_t site, bool *is)
{
	struct horizon *h = e->horizon;
	int64_t n = 0;
	int rc = SQLITE_OK;

	if (h->asked != site + 1) {
		rc = engine_int(e, &n, "SELECT EXISTS(SELECT 1 FROM crsql_site_id a "
		    "JOIN crsql_site_id b ON b.public_key = a.public_key JOIN "
		    "crsql_horizon h ON h.site = b.ordinal WHERE a.ordinal = "
		    "%lld)", (long long)site);
		h->another_life = n != 0;
		h->asked = rc == SQLITE_OK ? site + 1 : 0;
	}
	*is = h->another_life;
	return rc;
}

int
merge_behind(struct engine *e, const struct merge_origin *o, const struct table *t,
    enum merge_behind *out)
{
	const uint8_t *id = o->nid > 0 ? o->id : e->site_id;
	const struct horizon_entry *entry;
	const struct horizon *h;
	int64_t version, site;
	bool is = false;
	int rc = horizon_get(e, &h);

	*out = BEHIND_NOT;
	if (rc != SQLITE_OK || h->n == 0 || horizon_of(h, t->id, &entry) == 0)
		return rc;
	version = horizon_version(h, t->id, id);
	if (version > 0 && o->sver <= version)
		*out = o->sver > 0 ? BEHIND_YES : BEHIND_UNTOLD;
	else if (version == 0) {
		rc = site_ordinal(e, id, SITE_ID_LEN, false, &site);
		if (rc == SQLITE_OK && site >= 0 && site != e->me)
			rc = is_another_life(e, site, &is);
	}
	if (is)
		*out = BEHIND_UNTOLD;
	return rc;
}

int
merge_check_behind(struct engine *e, const struct merge_origin *o,
    const struct table *t, bool life)
{
	if (o->behind == BEHIND_NOT || (o->behind == BEHIND_UNTOLD && !life))
		return SQLITE_OK;
	return horizon_refuse_change(e, t->name, o->behind == BEHIND_SENDER);
}

/* -- keys ------------------------------------------------------------------- */

/* Unknown types have a code of their own in cr-sqlite. */
static int
malformed_key(struct engine *e, const struct rd *at)
{
	int type = at->p < at->end ? *at->p & 7 : SQLITE_NULL;

	if (type < SQLITE_INTEGER || type > SQLITE_NULL)
		return engine_fail(e, SQLITE_MISUSE,
		    "bad parameter or other API misuse");
	return engine_fail(e, SQLITE_ABORT, "query aborted");
}

static int
read_key(struct engine *e, const struct table *t, const uint8_t *pk, int npk,
    struct incoming *in)
{
	struct rd r, at;
	int i, n;

	rd_init(&r, pk, npk > 0 ? (size_t)npk : 0);
	n = rd_u8(&r);
	if (rd_failed(&r))
		return engine_fail(e, SQLITE_ABORT, "query aborted");
	for (i = 0; i < n; i++) {
		at = r;
		val_decode(&r, &in->pk_value[i]);
		if (rd_failed(&r))
			return malformed_key(e, &at);
	}
	if (n > t->npk)
		return engine_fail(e, SQLITE_RANGE,
		    "column index out of range");
	if (n < t->npk)
		return engine_fail(e, SQLITE_MISMATCH,
		    "the key of table %s has %d columns here, not %d",
		    t->name, t->npk, n);
	return SQLITE_OK;
}

int
merge_key(struct engine *e, const struct table *t, const uint8_t *pk, int npk,
    bool same)
{
	struct incoming *in = incoming_of(e);
	char scratch[VAL_SCRATCH];
	struct val *v, given;
	int i, rc;

	if (in == NULL)
		return SQLITE_NOMEM;
	rc = read_key(e, t, pk, npk, in);
	if (rc != SQLITE_OK)
		return rc;
	in->pk.len = 0;
	buf_add_u8(&in->pk, (uint8_t)t->npk);
	for (i = 0; i < t->npk; i++) {
		v = &in->pk_value[i];
		given = *v;
		val_canonical(&given);
		rc = val_settle(e->db, v, t->pk[i].affinity, scratch);
		if (rc != SQLITE_OK)
			return rc;
		if (v->type == SQLITE_NULL)
			return engine_fail(e, SQLITE_CONSTRAINT,
			    "NOT NULL constraint failed: %s.%s", t->name,
			    t->pk[i].name);
		val_canonical(v);
		/* two keys there might be one here, and none of them known
		 * again when it goes back */
		if (same && (v->type != given.type || val_compare(v, &given) != 0))
			return engine_fail(e, SQLITE_MISMATCH, "the key of table %s "
			    "is of another type here", t->name);
		if (t->integer_key && v->type != SQLITE_INTEGER)
			return engine_fail(e, SQLITE_MISMATCH,
			    "datatype mismatch");
		val_encode(&in->pk, v);
	}
	if (in->pk.failed)
		return SQLITE_NOMEM;
	pack_read(in->pk.data, (int)in->pk.len, t->npk, in->pk_value,
	    PACK_MAX_COLUMNS);
	return SQLITE_OK;
}

/* -- the row in hand ---------------------------------------------------------- */

void
merge_row_init(struct merge_row *row)
{
	memset(row, 0, sizeof *row);
	row->room = -1;
	before_init(&row->before);
}

void
merge_row_free(struct merge_row *row)
{
	if (row->room >= 0)
		meta_free(&row->meta);
	sqlite3_free(row->win);
	sqlite3_free(row->pick);
	sqlite3_free(row->cols);
	before_clear(&row->before);
	merge_row_init(row);
}

static int
make_room(struct merge_row *row, const struct table *t)
{
	size_t n = (size_t)t->ncol + 1;

	int64_t wanted = row->wanted;

	if (row->room == t->ncol)
		return SQLITE_OK;
	merge_row_free(row);
	row->wanted = wanted;
	if (meta_init(&row->meta, t) != SQLITE_OK)
		return SQLITE_NOMEM;
	row->room = t->ncol;
	row->win = sqlite3_malloc64(n * sizeof *row->win);
	row->pick = sqlite3_malloc64(n * sizeof *row->pick);
	row->cols = sqlite3_malloc64(n * sizeof *row->cols);
	if (row->win == NULL || row->pick == NULL || row->cols == NULL) {
		merge_row_free(row);
		return SQLITE_NOMEM;
	}
	memset(row->win, 0, n * sizeof *row->win);
	return SQLITE_OK;
}

/* Nothing waits any more. */
static void
forget_wins(struct merge_row *row)
{
	if (row->nwon > 0)
		memset(row->win, 0, (size_t)row->room * sizeof *row->win);
	row->nwon = 0;
	row->sentinel = false;
	row->kept = false;
	row->pending = false;
}

int
merge_let_go(struct merge_row *row)
{
	sqlite3_stmt *stmt = row->here;

	row->here = NULL;
	return stmt != NULL ? table_end_row(stmt) : SQLITE_OK;
}

int
merge_read(struct engine *e, struct merge_row *row, sqlite3_stmt **out,
    int *first)
{
	*out = row->here;
	*first = row->first;
	if (row->here != NULL)
		return SQLITE_OK;
	*first = row->table->npk;
	return rows_get(e, row, out);
}

int
merge_read_end(struct merge_row *row, sqlite3_stmt *stmt, int rc)
{
	return stmt == row->here ? rc : engine_reset(stmt, rc);
}

/* One who opens a row by crsql_changes lets it lie between two statements. */
static int
find_row(struct engine *e, struct merge_row *row)
{
	int rc;

	if (!e->tx.keep_before || row->origin->via != MERGE_IMPORT ||
	    before_comes(e, row->table))
		return table_find_key(e, row->table, row->pk, row->npk, &row->live,
		    &row->key);
	rc = table_find_row(e, row->table, row->pk, row->npk, row->wanted,
	    &row->here, &row->key);
	row->first = 1;
	row->live = row->here != NULL;
	return rc;
}

enum { UNASKED_MAX = 4 };       /* rows before it pays to ask */

/* Where a table has no clocks, or no tombstones, none is looked for. */
static int
find_flags(struct engine *e, struct table *t)
{
	if ((t->has_meta >= 0 && t->has_dead >= 0) || e->incoming->unasked++ <
	    UNASKED_MAX)
		return SQLITE_OK;
	e->incoming->unasked = 0;
	return table_load_flags(e, t);
}

int
merge_open(struct engine *e, struct merge_origin *origin, struct table *t,
    const uint8_t *pk, int npk, struct merge_row *row)
{
	struct dead tomb;
	bool found;
	int rc;

	rc = make_room(row, t);
	if (rc == SQLITE_OK)
		rc = find_flags(e, t);
	if (rc != SQLITE_OK)
		return rc;
	forget_wins(row);
	before_begin(&row->before);
	row->origin = origin;
	row->table = t;
	row->pk = pk;
	row->npk = npk;
	row->cl = 0;
	row->was_dead = row->inserted = row->above = row->compared = false;
	row->meta.has_left = false;
	row->changes = 0;
	ledger_begin_row(e);
	rc = find_row(e, row);
	/* a row of a trigger of the user's, which nobody captured (R24) */
	if (rc == SQLITE_OK && row->live && t->aside && row->key == 0)
		rc = lookaside_number(e, t, pk, npk, true, &row->key);
	if (rc != SQLITE_OK)
		return rc;
	if (row->live) {
		rc = meta_get(e, t, row->key, &row->meta);
		row->cl = row->meta.cl;
		return rc;
	}
	rc = dead_get(e, t, pk, npk, &found, &tomb);
	if (rc == SQLITE_OK && found) {
		row->was_dead = true;
		row->cl = tomb.cl;
		row->meta.has_left = tomb.has_left;
		row->meta.left = tomb.left;
	}
	return rc;
}

/* -- the decision ------------------------------------------------------------------ */

/* An import that brings more than one column that is known stands at the row from
 * the second on. */
static int
stand(struct engine *e, struct merge_row *row)
{
	bool again = row->compared;

	row->compared = true;
	if (row->here != NULL || !again || row->origin->via != MERGE_IMPORT)
		return SQLITE_OK;
	row->first = row->table->npk;
	return rows_get(e, row, &row->here);
}

/* One value of the row that is here, as column *i of *out; to be ended by
 * merge_read_end. */
static int
read_value(struct engine *e, struct merge_row *row, int col, sqlite3_stmt **out,
    int *i)
{
	int rc = stand(e, row);

	*out = row->here;
	*i = row->first + col;
	if (rc != SQLITE_OK || row->here != NULL)
		return rc;
	*i = 0;
	rc = table_stmt(e, row->table, TS_VALUE, out);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(*out, 1, row->key);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(*out, 2, col);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(*out);
	if (rc == SQLITE_ROW)
		return SQLITE_OK;
	sqlite3_reset(*out);
	return rc != SQLITE_DONE ? rc : engine_fail(e, SQLITE_ERROR,
	    "could not find row to merge with for tbl %s", row->table->name);
}

/* Equal versions: the greater value wins, as the column would store it. */
static int
value_wins(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, bool *wins)
{
	struct val given = cell->value, here;
	char scratch[VAL_SCRATCH];
	sqlite3_stmt *stmt;
	int c, i, rc;

	rc = val_settle(e->db, &given, row->table->col[cell->col].affinity,
	    scratch);
	if (rc == SQLITE_OK)
		rc = read_value(e, row, cell->col, &stmt, &i);
	if (rc != SQLITE_OK)
		return rc;
	here = val_of_column(stmt, i);
	c = val_compare(&given, &here);
	rc = merge_read_end(row, stmt, rc);
	*wins = c > 0;
	if (rc == SQLITE_OK && c == 0 && e->merge_equal_values)
		rc = place_greater_site(e, row, cell->col, wins);
	return rc;
}

static int
cell_wins(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, bool *wins)
{
	const struct merge_win *win = &row->win[cell->col];
	int64_t here;
	bool clock;
	int rc;

	if (win->won) {
		here = win->version;
		clock = true;
	} else {
		here = meta_version(row->table, &row->meta, row->key,
		    cell->col);
		clock = here != 0 || row->meta.col[cell->col].dbv != 0;
	}
	rc = merge_check_number(e, "the column version", cell->version, here);
	*wins = !clock || cell->version > here;
	if (rc == SQLITE_OK && clock && cell->version == here)
		rc = value_wins(e, row, cell, wins);
	return rc;
}

/* Adds a winner, columns rising, so that equal sets share a statement. */
static void
add_winner(struct merge_row *row, int n, int cell, int col)
{
	int i = n;

	for (; i > 0 && row->cols[i - 1] > col; i--) {
		row->cols[i] = row->cols[i - 1];
		row->pick[i] = row->pick[i - 1];
	}
	row->cols[i] = col;
	row->pick[i] = cell;
}

/* Fills row->pick and row->cols with the winners; tells of the sentinel. */
static int
pick_winners(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int ncell, int *n, int *sentinel)
{
	bool wins;
	int i, rc;

	*n = 0;
	*sentinel = -1;
	for (i = 0; i < ncell; i++) {
		if (cell[i].col < 0) {
			*sentinel = i;
			continue;
		}
		wins = cl > row->cl;
		rc = wins ? merge_check_number(e, "the column version",
		    cell[i].version, 0) : cell_wins(e, row, &cell[i], &wins);
		if (rc == SQLITE_OK && row->live && cl == row->cl)
			rc = ledger_cell(e, row, &cell[i], wins);
		if (rc != SQLITE_OK)
			return rc;
		if (wins)
			add_winner(row, (*n)++, i, cell[i].col);
	}
	return SQLITE_OK;
}

/* A live row takes a new life: by import its clocks are forgotten (R19), by
 * crsql_changes they stay, at version 0 and the new place (and seq). */
static int
new_life(struct engine *e, struct merge_row *row, int64_t seq)
{
	struct meta *m = &row->meta;
	int i, rc;

	if (row->origin->via == MERGE_CHANGES) {
		for (i = 0; i < row->room; i++) {
			if (!row->win[i].won && m->col[i].dbv == 0 &&
			    meta_version(row->table, m, row->key, i) == 0)
				continue;
			if (!row->win[i].won)
				row->nwon++;
			row->win[i] = (struct merge_win){ .won = true,
			    .seq = seq };
			row->kept = true;
		}
		return SQLITE_OK;
	}
	rc = meta_sweep(e, m);
	place_blank(row);
	return rc;
}

static void
note_winners(struct merge_row *row, const struct merge_cell *cell, int n)
{
	struct merge_win *win;
	int i;

	for (i = 0; i < n; i++) {
		win = &row->win[row->cols[i]];
		if (!win->won)
			row->nwon++;
		win->won = true;
		win->version = cell[row->pick[i]].version;
		win->seq = cell[row->pick[i]].seq;
	}
}

/* What is known of the row once its new state stands in the table. */
static int
note_write(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int n, int sentinel)
{
	bool higher = cl > row->cl;
	int64_t seq = cell[sentinel >= 0 ? sentinel : 0].seq;
	int rc = SQLITE_OK;

	if (!row->live)
		place_blank(row);
	else if (higher)
		rc = new_life(e, row, seq);
	if (higher && (row->cl != 0 || cl > 1 || sentinel >= 0)) {
		row->sentinel = true;
		row->sentinel_seq = seq;
		row->changes++;
		e->tx.rows_impacted++;
	}
	note_winners(row, cell, n);
	row->live = true;
	row->cl = row->meta.cl = cl;
	row->pending = true;
	row->changes += n;
	e->tx.rows_impacted += n;
	return rc;
}

/* Writes what won to the table, and notes what was there. */
static int
write_cells(struct engine *e, struct merge_row *row, bool higher,
    const struct merge_cell *cell, int n)
{
	struct before_mark mark = before_here(&row->before);
	bool reset = higher && row->origin->via == MERGE_IMPORT;
	int rc = SQLITE_OK;

	if (!row->live)
		before_life(e, row);
	else
		rc = before_change(e, row, higher ? -1 : n);
	if (rc == SQLITE_OK)
		rc = merge_let_go(row);
	if (rc != SQLITE_OK)
		return before_written(e, rc);
	if (!row->live)
		rc = rows_insert(e, row, cell, n);
	else if (reset)
		rc = rows_reset(e, row, cell, n);
	else
		rc = rows_update(e, row, cell, n);
	rc = before_written(e, rc);
	if (rc != SQLITE_OK)
		before_back(&row->before, mark);
	return rc;
}

int
merge_cells(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int ncell)
{
	bool higher = cl > row->cl;
	int n, sentinel, rc;

	rc = merge_check_number(e, "the causal length", cl, row->cl);
	if (rc != SQLITE_OK || cl < row->cl || cl < 1)
		return rc;
	rc = pick_winners(e, row, cl, cell, ncell, &n, &sentinel);
	if (rc != SQLITE_OK || (!higher && n == 0))
		return rc;
	rc = merge_check_behind(e, row->origin, row->table, higher);
	if (rc == SQLITE_OK && higher)
		rc = ledger_ended(e, row, cl, cell, ncell);
	if (rc != SQLITE_OK)
		return rc;
	rc = write_cells(e, row, higher, cell, n);
	if (rc == SQLITE_OK)
		rc = note_write(e, row, cl, cell, n, sentinel);
	return rc;
}

static int
delete_row(struct engine *e, struct merge_row *row)
{
	struct before_mark mark = before_here(&row->before);
	int rc = before_delete(e, row);

	if (rc == SQLITE_OK)
		rc = merge_let_go(row);
	if (rc != SQLITE_OK)
		return before_written(e, rc);
	rc = before_written(e, rows_delete(e, row));
	if (rc != SQLITE_OK)
		before_back(&row->before, mark);
	if (rc == SQLITE_OK)
		rc = meta_sweep(e, &row->meta);
	if (rc == SQLITE_OK && row->meta.stored)
		rc = meta_del(e, row->table, row->key);
	return rc;
}

int
merge_delete(struct engine *e, struct merge_row *row, int64_t cl, int64_t seq)
{
	bool wins = cl > row->cl;
	int rc;

	rc = merge_check_number(e, "the causal length", cl, row->cl);
	if (rc != SQLITE_OK || cl < row->cl || cl < 2 ||
	    row->origin->behind == BEHIND_YES)
		return rc;
	if (!wins) {
		rc = place_greater_death(e, row, &wins);
		if (rc != SQLITE_OK || !wins)
			return rc;
		rc = merge_check_behind(e, row->origin, row->table, false);
		if (rc != SQLITE_OK)
			return rc;
	} else {
		rc = merge_check_behind(e, row->origin, row->table, false);
		if (rc == SQLITE_OK && row->live)
			rc = ledger_ended(e, row, cl, NULL, 0);
		if (rc == SQLITE_OK && row->live)
			rc = delete_row(e, row);
		if (rc != SQLITE_OK)
			return rc;
		e->tx.rows_impacted++;
	}
	forget_wins(row);
	if (row->live)
		meta_leave(&row->meta, row->key);
	row->live = row->inserted = false;
	row->was_dead = true;
	row->cl = cl;
	row->changes++;
	return place_dead(e, row, cl, seq);
}

/* -- whole new rows ------------------------------------------------------------- */

static bool
key_taken(int rc)
{
	return rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
	    rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_ROWID;
}

int
merge_fresh(struct engine *e, struct merge_origin *origin, struct table *t,
    int64_t seq, const struct val *value, bool *done)
{
	const struct buf *pk = &e->incoming->pk;
	struct dead tomb;
	int64_t key;
	bool found = false;
	int rc;

	*done = false;
	rc = table_load_flags(e, t);
	if (rc == SQLITE_OK && t->has_dead)
		rc = dead_get(e, t, pk->data, (int)pk->len, &found, &tomb);
	if (rc != SQLITE_OK || found)
		return rc;
	rc = rows_insert_all(e, t, value, &key, done);
	if (key_taken(rc))
		return SQLITE_OK;
	if (rc != SQLITE_OK || !*done)
		return rc;
	e->tx.rows_impacted += t->ncol > 0 ? t->ncol : 1;
	return place_fresh(e, origin, t, key, seq);
}

// SPDX-License-Identifier: MPL-2.0
/* ledger.c - the conflicts that a merge meets; see ledger.h. */
#include "crdt/ledger.h"

#include "base/clock.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

/* One that is to be noted. */
struct conflict {
	int cid;                /* of the column; -1: the row */
	enum ledger_rule rule;
	struct fact winner, loser;
	int64_t lost_version;   /* of the column, or the loser's causal length: tells
	                           those of no known version apart */
};

/* -- noting ------------------------------------------------------------------------ */

/* A file that an earlier build made has no ledger. */
static int
find_ledger(struct engine *e)
{
	int rc = SQLITE_OK;

	if (e->tx.ledger == LEDGER_UNKNOWN)
		rc = storage_optional(e);
	if (rc == SQLITE_OK && e->tx.ledger == LEDGER_UNKNOWN)
		e->tx.ledger = e->optional.ledger ? LEDGER_THERE : LEDGER_NONE;
	return rc;
}

/* Asked at the first conflict of a transaction: one that began while there was room
 * ends, so that something is merged whenever there is room. */
static int
find_room(struct engine *e)
{
	int64_t max = LEDGER_MAX, n = 0;
	int rc;

	if (e->tx.ledger != LEDGER_THERE)
		return SQLITE_OK;
	rc = storage_setting(e, "conflicts-max", &max);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &n, "SELECT count(*) FROM (SELECT 1 FROM "
		    "crsql_ledger WHERE reviewed IS NULL LIMIT %lld)", (long long)max);
	if (rc == SQLITE_OK && n >= max)
		return engine_fail(e, CRDT_LEDGER_FULL, "conflicts not reviewed: "
		    "%lld, and no room for more", (long long)n);
	if (rc == SQLITE_OK)
		e->tx.ledger = LEDGER_ROOM;
	return rc;
}

static int
insert(struct engine *e, const struct merge_row *row, const struct conflict *c)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_LEDGER, "INSERT INTO crsql_ledger(tbl, pk, "
	    "cid, rule, wsite, wsver, lsite, lsver, lver, time) VALUES(?1, ?2, ?3, "
	    "?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, row->table->id);
	sqlite3_bind_blob(stmt, 2, row->pk, row->npk, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 3, c->cid);
	sqlite3_bind_int(stmt, 4, c->rule);
	sqlite3_bind_int64(stmt, 5, c->winner.site);
	sqlite3_bind_int64(stmt, 6, c->winner.sver);
	sqlite3_bind_int64(stmt, 7, c->loser.site);
	sqlite3_bind_int64(stmt, 8, c->loser.sver);
	sqlite3_bind_int64(stmt, 9, c->lost_version);
	sqlite3_bind_int64(stmt, 10, clock_ms());
	rc = engine_run(e, stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

/* *id is 0 if it is noted already. */
static int
note(struct engine *e, struct merge_row *row, struct conflict *c, int64_t *id)
{
	struct fact *come = c->winner.site < 0 ? &c->winner : &c->loser;
	int64_t rowid = sqlite3_last_insert_rowid(e->db);
	int rc = find_room(e);  /* begin() found the ledger */

	*id = 0;
	if (rc != SQLITE_OK)
		return rc;
	/* one of whom nothing has won yet gets its number now */
	if (come->site < 0) {
		rc = place_site(e, row->origin);
		come->site = row->origin->site;
	}
	if (rc == SQLITE_OK)
		rc = insert(e, row, c);
	if (rc == SQLITE_OK && sqlite3_changes(e->db) > 0)
		*id = sqlite3_last_insert_rowid(e->db);
	sqlite3_set_last_insert_rowid(e->db, rowid);
	if (*id != 0 && e->ledger->first == 0)
		e->ledger->first = *id;
	return rc;
}

/* The beginning of a long one. */
static struct val
shorten(const struct val *winner)
{
	struct val v = *winner;

	if ((v.type != SQLITE_TEXT && v.type != SQLITE_BLOB) ||
	    v.len <= LEDGER_WINNER_BYTES)
		return v;
	v.len = LEDGER_WINNER_BYTES;
	while (v.type == SQLITE_TEXT && v.len > 0 && (v.data[v.len] & 0xC0) == 0x80)
		v.len--;
	return v;
}

/* One value, or two; NULL is none. */
static int
note_values(struct engine *e, int64_t id, int cid, const struct val *winner,
    const struct val *loser)
{
	sqlite3_stmt *stmt;
	struct val kept;
	int rc = engine_cached(e, SLOT_LEDGER_CELL, "INSERT INTO "
	    "crsql_ledger_cell(id, cid, winner, loser) VALUES(?1, ?2, ?3, ?4)",
	    &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int(stmt, 2, cid);
	if (winner != NULL) {
		kept = shorten(winner);
		rc = val_bind(stmt, 3, &kept);
	}
	if (rc == SQLITE_OK && loser != NULL)
		rc = val_bind(stmt, 4, loser);
	if (rc == SQLITE_OK)
		rc = engine_run(e, stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

/* The row that is here; ended by the caller. */
static int
read_row(struct engine *e, struct merge_row *row, sqlite3_stmt **out, int *first)
{
	int rc = merge_read(e, row, out, first);

	return rc != SQLITE_OK || *out != NULL ? rc : engine_fail(e, SQLITE_CORRUPT,
	    "a row of table %s is not there", row->table->name);
}

/* -- deciding ---------------------------------------------------------------------- */

/* Who sent it: site -1 is one that nothing here is of. */
static int
come_from(struct engine *e, const struct merge_row *row, struct fact *out)
{
	const struct merge_origin *o = row->origin;
	int rc = SQLITE_OK;

	*out = (struct fact){ .known = true, .site = o->site, .sver = o->sver };
	e->ledger->dbv = o->dbv;
	if (o->site < 0)
		rc = site_ordinal(e, o->id, o->nid, false, &out->site);
	return rc;
}

/* Begins to look at a change; false by crsql_changes, and where there is no
 * ledger. */
static int
begin(struct engine *e, const struct merge_row *row, struct fact *come,
    bool *noted)
{
	int rc = SQLITE_OK;

	*noted = row->origin->via == MERGE_IMPORT;
	if (*noted)
		rc = find_ledger(e);
	*noted = *noted && e->tx.ledger != LEDGER_NONE;
	if (rc != SQLITE_OK || !*noted)
		return rc;
	return ledger_of(e) != NULL ? come_from(e, row, come) : SQLITE_NOMEM;
}

static int
note_cell(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, struct conflict *c, bool wins)
{
	const struct column *column = &row->table->col[cell->col];
	struct val given = cell->value, here;
	char scratch[VAL_SCRATCH];
	sqlite3_stmt *stmt;
	int64_t id = 0;
	int first, rc = val_settle(e->db, &given, column->affinity, scratch);

	if (rc == SQLITE_OK)
		rc = read_row(e, row, &stmt, &first);
	if (rc != SQLITE_OK)
		return rc;
	here = val_of_column(stmt, first + cell->col);
	if (val_compare(&given, &here) != 0)
		rc = note(e, row, c, &id);
	if (rc == SQLITE_OK && id != 0)
		rc = note_values(e, id, c->cid, wins ? &given : &here,
		    wins ? &here : &given);
	return merge_read_end(row, stmt, rc);
}

int
ledger_cell(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, bool wins)
{
	struct conflict c = { .rule = LEDGER_VERSION };
	struct fact come, here = { .known = false };
	bool is = false;
	int64_t version;
	int rc = begin(e, row, &come, &is);

	if (rc == SQLITE_OK && is)
		rc = ledger_fact(e, row, cell->col, &here);
	is = here.known;
	if (rc == SQLITE_OK && is)
		rc = ledger_concurrent(e, &come, &here, &is);
	if (rc != SQLITE_OK || !is)
		return rc;
	version = meta_version(row->table, &row->meta, row->key, cell->col);
	if (version == cell->version)
		c.rule = LEDGER_VALUE;
	c.cid = row->table->col[cell->col].cid;
	c.winner = wins ? come : here;
	c.loser = wins ? here : come;
	c.lost_version = wins ? version : cell->version;
	return note_cell(e, row, cell, &c, wins);
}

/* The newest fact of a live row that was not seen by whom the change is of. */
static int
newest_unseen(struct engine *e, struct merge_row *row, const struct fact *come,
    struct fact *out)
{
	struct fact f;
	bool is, based = false;
	int i, rc = SQLITE_OK;

	out->known = false;
	for (i = -1; i < row->room && rc == SQLITE_OK; i++) {
		/* columns without clocks are of one fact, and so are all where the row
		 * has no clock row */
		if (based && !row->meta.stored)
			break;
		if (based && row->meta.col[i].dbv == 0)
			continue;
		rc = ledger_fact(e, row, i, &f);
		based |= i >= 0 && f.known && row->meta.col[i].dbv == 0;
		is = f.known && (!out->known || f.dbv > out->dbv);
		if (rc == SQLITE_OK && is)
			rc = ledger_concurrent(e, come, &f, &is);
		if (rc == SQLITE_OK && is)
			*out = f;
	}
	return rc;
}

static const struct val *
value_given(const struct merge_cell *cell, int n, int col)
{
	int i;

	for (i = 0; i < n; i++)
		if (cell[i].col == col)
			return &cell[i].value;
	return NULL;
}

/* The row as it is here, and what comes instead. */
static int
note_row(struct engine *e, struct merge_row *row, struct conflict *c,
    const struct merge_cell *cell, int ncell)
{
	sqlite3_stmt *stmt;
	struct val here;
	int64_t id = 0;
	int i, first, rc = read_row(e, row, &stmt, &first);

	if (rc != SQLITE_OK)
		return rc;
	rc = note(e, row, c, &id);
	for (i = 0; i < row->room && rc == SQLITE_OK && id != 0; i++) {
		here = val_of_column(stmt, first + i);
		rc = note_values(e, id, row->table->col[i].cid,
		    value_given(cell, ncell, i), &here);
	}
	return merge_read_end(row, stmt, rc);
}

/* The delete that is here. */
static int
fact_of_death(struct engine *e, struct merge_row *row, struct fact *out)
{
	struct dead tomb;
	bool found;
	int rc = dead_get(e, row->table, row->pk, row->npk, &found, &tomb);

	out->known = false;
	return rc == SQLITE_OK && found ? ledger_fact_at(e, tomb.dbv, tomb.pos,
	    out) : rc;
}

int
ledger_ended(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int ncell)
{
	struct conflict c = { .cid = -1, .lost_version = row->cl,
		.rule = cl % 2 == 0 ? LEDGER_DELETE : LEDGER_LIFE };
	struct fact here = { .known = false };
	int64_t id;
	bool is;
	int rc = begin(e, row, &c.winner, &is);

	if (rc != SQLITE_OK || !is || (!row->live && cl % 2 == 0))
		return rc;
	if (row->live)
		rc = newest_unseen(e, row, &c.winner, &here);
	else if (row->was_dead)
		rc = fact_of_death(e, row, &here);
	is = here.known;
	if (rc == SQLITE_OK && is && !row->live)
		rc = ledger_concurrent(e, &c.winner, &here, &is);
	if (rc != SQLITE_OK || !is)
		return rc;
	c.loser = here;
	return row->live ? note_row(e, row, &c, cell, ncell) :
	    note(e, row, &c, &id);
}

/* What is lost of the change; no column of it may be known here. */
static int
note_given(struct engine *e, struct merge_row *row, int64_t id,
    const struct apply_cell *cell, int ncell)
{
	char scratch[VAL_SCRATCH];
	const struct column *c;
	struct val v;
	int i, rc = SQLITE_OK;

	for (i = 0; i < ncell && rc == SQLITE_OK; i++) {
		if (cell[i].cell.col < 0)
			continue;
		c = &row->table->col[cell[i].cell.col];
		v = cell[i].cell.value;
		rc = val_settle(e->db, &v, c->affinity, scratch);
		if (rc == SQLITE_OK)
			rc = note_values(e, id, c->cid, NULL, &v);
	}
	return rc;
}

int
ledger_over(struct engine *e, struct merge_row *row, int64_t cl,
    const struct apply_cell *cell, int ncell)
{
	struct conflict c = { .cid = -1, .lost_version = cl,
		.rule = row->live ? LEDGER_LIFE : LEDGER_DELETE };
	int64_t id = 0;
	bool is;
	int rc = begin(e, row, &c.loser, &is);

	if (rc != SQLITE_OK || !is || (!row->live && cl % 2 == 0) || cl < 1)
		return rc;
	rc = row->live ? ledger_fact(e, row, -1, &c.winner) :
	    fact_of_death(e, row, &c.winner);
	is = c.winner.known;
	if (rc == SQLITE_OK && is)
		rc = ledger_concurrent(e, &c.loser, &c.winner, &is);
	if (rc == SQLITE_OK && is)
		rc = note(e, row, &c, &id);
	return rc == SQLITE_OK && id != 0 && cl % 2 != 0 ?
	    note_given(e, row, id, cell, ncell) : rc;
}

/* -- what is refused --------------------------------------------------------------- */

void
ledger_begin_row(struct engine *e)
{
	if (e->ledger != NULL)
		e->ledger->first = 0;
}

int
ledger_take_back(struct engine *e)
{
	int64_t first = e->ledger != NULL ? e->ledger->first : 0;

	ledger_begin_row(e);
	return first == 0 ? SQLITE_OK : engine_exec(e, "DELETE FROM "
	    "crsql_ledger_cell WHERE id >= %lld; DELETE FROM crsql_ledger WHERE "
	    "id >= %lld", (long long)first, (long long)first);
}

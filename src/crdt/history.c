// SPDX-License-Identifier: MPL-2.0
/*
 * history.c - the table crsql_history: what the log still knows of who set what,
 * and when, a row for each value.  Values set by one transaction in one row follow
 * each other.
 *
 *     SELECT * FROM crsql_history WHERE after = ?;        what came since
 *     SELECT * FROM crsql_history WHERE db_version = 7;   one transaction
 *     SELECT * FROM crsql_history
 *     WHERE "table" = 't' AND pk = crsql_pack_columns(1); one row
 *
 * The first two walk the log in its order, from a place on: `cursor` is the place
 * behind a row, so that a reader stops and goes on anywhere.  The third reads the
 * places that the row's clock names (history_row.c).
 */
#include "crdt/history.h"

#include <string.h>

#include "crdt/log.h"
#include "crdt/page.h"
#include "crdt/plan.h"
#include "crdt/views.h"
#include "crdt/walk.h"

enum { COL_TABLE, COL_PK, COL_KIND, COL_CID, COL_VAL, COL_VERSION, COL_CL,
	COL_DBV, COL_SITE, COL_SVER, COL_TIME, COL_SEQ, COL_CURSOR, COL_AFTER,
	COL_CANONICAL };

enum {                          /* idxNum: in order of arguments, then db_version */
	BY_TABLE = 1, BY_PK = 2, BY_AFTER = 4, DBV_SHIFT = 8
};

struct history_cursor {
	sqlite3_vtab_cursor base;
	struct engine *e;
	uint32_t generation;    /* of the tables */
	struct walk *walk;
	struct walk_from from;
	struct history_place *place;    /* of one row: one walk for each */
	int nplace, next_place;
	struct walk_row row;    /* the walk's */
	int cell;               /* of row */
	bool eof;
	uint8_t site[SITE_ID_LEN];      /* of row */
	int64_t time;
	int64_t rowid;
};

/* val has no type: ANY would be a number where SQLite keeps rows in between. */
static int
history_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(\"table\" TEXT NOT NULL, "
	    "pk BLOB NOT NULL, kind TEXT NOT NULL, cid TEXT, val, "
	    "col_version INTEGER NOT NULL, cl INTEGER NOT NULL, "
	    "db_version INTEGER NOT NULL, site_id BLOB NOT NULL, "
	    "site_version INTEGER NOT NULL, time INTEGER NOT NULL, "
	    "seq INTEGER NOT NULL, cursor BLOB, after BLOB HIDDEN, canonical BLOB HIDDEN)",
	    sizeof(struct vtab), out);
}

/* -- planning ------------------------------------------------------------------------ */

/* The number of the constraint `column =`, -1 if there is none that can be used. */
static int
equals(const sqlite3_index_info *info, int column)
{
	int i;

	for (i = 0; i < info->nConstraint; i++)
		if (info->aConstraint[i].usable &&
		    info->aConstraint[i].iColumn == column &&
		    info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ)
			return i;
	return -1;
}

static bool
is_wanted(const sqlite3_index_info *info, int column)
{
	int i;

	for (i = 0; i < info->nConstraint; i++)
		if (info->aConstraint[i].iColumn == column)
			return true;
	return false;
}

/* A key is compared as the table's columns do it, and `after` is no column:
 * SQLite does not look at them again. */
static int
history_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	int table = equals(info, COL_TABLE), pk = equals(info, COL_PK);
	int after = equals(info, COL_AFTER), n = 0, used = 0;

	if (after < 0 && is_wanted(info, COL_AFTER))
		return SQLITE_CONSTRAINT;
	if (table >= 0) {
		info->aConstraintUsage[table].argvIndex = ++n;
		used |= BY_TABLE;
	}
	if (table >= 0 && pk >= 0) {
		info->aConstraintUsage[pk].argvIndex = ++n;
		info->aConstraintUsage[pk].omit = 1;
		used |= BY_PK;
	}
	if (after >= 0) {
		info->aConstraintUsage[after].argvIndex = ++n;
		info->aConstraintUsage[after].omit = 1;
		used |= BY_AFTER;
	}
	used |= view_use(info, COL_DBV, &n) << DBV_SHIFT;
	info->idxNum = used;
	info->estimatedRows = used & BY_PK ? 10 : used & ~BY_TABLE ? 1000 : 1000000;
	info->estimatedCost = used & BY_PK ? 1000 : (double)info->estimatedRows;
	if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COL_DBV &&
	    !info->aOrderBy[0].desc)
		info->orderByConsumed = 1;
	return SQLITE_OK;
}

/* -- reading ------------------------------------------------------------------------- */

static int
history_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	int rc = vtab_open(sizeof(struct history_cursor), out);

	if (rc == SQLITE_OK)
		((struct history_cursor *)*out)->e = ((struct vtab *)vtab)->e;
	return rc;
}

static int
history_close(sqlite3_vtab_cursor *cursor)
{
	struct history_cursor *c = (struct history_cursor *)cursor;

	walk_close(c->walk);
	sqlite3_free(c->place);
	sqlite3_free(c);
	return SQLITE_OK;
}

/* Goes to the row's next place: *found false if there is none. */
static int
open_place(struct history_cursor *c, bool *found)
{
	const struct history_place *at = &c->place[c->next_place];

	walk_close(c->walk);
	c->walk = NULL;
	*found = c->next_place < c->nplace;
	if (!*found)
		return SQLITE_OK;
	c->next_place++;
	if (at->dbv <= c->from.dbv || at->dbv > c->from.last_dbv)
		return SQLITE_OK;
	return walk_open(c->e, &(struct walk_from){ .dbv = at->dbv,
	    .pos = at->pos - 1, .last_dbv = at->dbv, .table = c->from.table,
	    .lo = c->from.lo, .hi = c->from.hi }, false, &c->walk);
}

/* The next row of the log that has facts: of a row asked for by key, what stands
 * at its places only. */
static int
walk_on(struct history_cursor *c)
{
	bool found = true;
	int rc;

	for (;;) {
		rc = c->walk != NULL ? walk_next(c->walk, &c->row) : SQLITE_DONE;
		if (rc == SQLITE_ROW && c->nplace > 0 &&
		    c->row.pos != c->place[c->next_place - 1].pos)
			rc = SQLITE_DONE;
		if (rc == SQLITE_ROW && (c->row.kind == WALK_PARKED ||
		    c->row.ncell == 0))
			continue;
		if (rc != SQLITE_DONE || c->nplace == 0)
			return rc;
		rc = open_place(c, &found);
		if (rc != SQLITE_OK || !found)
			return rc == SQLITE_OK ? SQLITE_DONE : rc;
	}
}

static int
next_row(struct history_cursor *c)
{
	uint8_t header[HEADER_LEN];
	int64_t dbv = c->row.dbv;
	bool found, has_key;
	int rc = walk_on(c);

	c->eof = rc != SQLITE_ROW;
	c->cell = 0;
	if (c->eof)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = site_by_ordinal(c->e, c->row.site, c->site, NULL, NULL, &has_key);
	if (rc != SQLITE_OK || c->row.dbv == dbv)
		return rc;
	rc = log_header(c->e, c->row.dbv, &found, header);
	c->time = found ? log_time(header) : 0;
	return rc;
}

/* Begins behind a cursor that was given for this log. */
static int
begin_after(struct history_cursor *c, sqlite3_value *v)
{
	struct cursor at;
	bool known = false;
	int rc = SQLITE_OK;

	if (sqlite3_value_type(v) == SQLITE_NULL)
		return SQLITE_OK;
	if (sqlite3_value_bytes(v) == CURSOR_LEN) {
		cursor_read(sqlite3_value_blob(v), &at);
		rc = plan_check_cursor(c->e, &at, &known);
	}
	if (rc == SQLITE_OK && !known)
		return engine_fail(c->e, SQLITE_NOTFOUND,
		    "the cursor is of no place in this log");
	if (rc != SQLITE_OK || at.dbv <= c->from.dbv)
		return rc;
	c->from.dbv = at.dbv;
	c->from.pos = at.pos;
	c->from.in_run = at.key != CURSOR_WHOLE;
	c->from.key = at.key;
	return SQLITE_OK;
}

/* A place in the log to begin at, or the places of a row. */
static int
begin(struct history_cursor *c, int used, sqlite3_value **argv)
{
	struct view_range dbv = { 1, INT64_MAX };
	sqlite3_value *table = used & BY_TABLE ? *argv++ : NULL;
	sqlite3_value *pk = used & BY_PK ? *argv++ : NULL;
	sqlite3_value *after = used & BY_AFTER ? *argv++ : NULL;
	const char *name = table != NULL ?
	    (const char *)sqlite3_value_text(table) : NULL;
	struct table *t = name != NULL ? table_find(c->e, name) : NULL;
	int rc;

	view_narrow(&dbv, used >> DBV_SHIFT, argv);
	if (table != NULL && t == NULL)
		return SQLITE_OK;
	c->from = (struct walk_from){ .dbv = dbv.lo - 1, .pos = INT64_MAX,
	    .last_dbv = dbv.hi, .table = t != NULL ? t->id : 0, .lo = INT64_MIN,
	    .hi = INT64_MAX };
	rc = after != NULL ? begin_after(c, after) : SQLITE_OK;
	if (rc != SQLITE_OK)
		return rc;
	if (pk == NULL)
		return walk_open(c->e, &c->from, false, &c->walk);
	rc = history_places(c->e, t, sqlite3_value_blob(pk),
	    sqlite3_value_bytes(pk), &c->place, &c->nplace, &c->from.lo);
	c->from.hi = c->from.lo;
	return rc;
}

static int
history_filter(sqlite3_vtab_cursor *cursor, int used, const char *str,
    int argc, sqlite3_value **argv)
{
	struct history_cursor *c = (struct history_cursor *)cursor;
	int rc;

	walk_close(c->walk);
	sqlite3_free(c->place);
	c->walk = NULL;
	c->place = NULL;
	c->nplace = c->next_place = 0;
	c->row.dbv = c->rowid = 0;
	c->eof = true;
	rc = tx_begin_read(c->e);
	c->generation = c->e->tables.generation;
	if (rc == SQLITE_OK && c->e->has_storage)
		rc = begin(c, used, argv);
	if (rc == SQLITE_OK && (c->walk != NULL || c->nplace > 0))
		rc = next_row(c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

/* The row at hand may be of a table whose description is gone. */
static int
check_tables(struct history_cursor *c)
{
	return c->e->tables.generation == c->generation ? SQLITE_OK :
	    engine_fail(c->e, SQLITE_ABORT,
	    "the schema changed while crsql_history was read");
}

static int
history_next(sqlite3_vtab_cursor *cursor)
{
	struct history_cursor *c = (struct history_cursor *)cursor;
	int rc = check_tables(c);

	c->rowid++;
	if (rc == SQLITE_OK && ++c->cell >= c->row.ncell)
		rc = next_row(c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
history_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct history_cursor *)cursor)->eof;
}

/* -- a row --------------------------------------------------------------------------- */

static const char *
kind_of(const struct walk_row *row)
{
	int i;

	if (row->kind == WALK_DEAD)
		return "delete";
	for (i = 0; i < row->ncell; i++)
		if (row->cell[i].col < 0 || (row->cell[i].version == 1 &&
		    row->cl == 1 && row->key > row->table->col[row->cell[i].col].born))
			return "insert";
	return "update";
}

static int
give_cursor(struct history_cursor *c, sqlite3_context *ctx)
{
	struct cursor at = { .dbv = c->row.dbv, .pos = c->row.pos,
	    .key = c->row.in_run ? c->row.key : CURSOR_WHOLE };
	uint8_t bytes[CURSOR_LEN];
	int rc = cursor_sign(c->e, &at);

	cursor_write(&at, bytes);
	if (rc == SQLITE_OK)
		sqlite3_result_blob(ctx, bytes, CURSOR_LEN, SQLITE_TRANSIENT);
	return rc;
}

static int
history_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct history_cursor *c = (struct history_cursor *)cursor;
	const struct walk_row *row = &c->row;
	const struct walk_cell *cell = &row->cell[c->cell];
	int rc = check_tables(c);

	if (rc != SQLITE_OK)
		return vtab_fail(cursor->pVtab, rc);
	switch (i) {
	case COL_TABLE:
		sqlite3_result_text(ctx, row->table->name, -1, SQLITE_TRANSIENT);
		break;
	case COL_PK:
		sqlite3_result_blob(ctx, row->stored_pk, row->nstored_pk,
		    SQLITE_TRANSIENT);
		break;
	case COL_KIND:
		sqlite3_result_text(ctx, kind_of(row), -1, SQLITE_STATIC);
		break;
	case COL_CID:
		if (cell->col >= 0)
			sqlite3_result_text(ctx, row->table->col[cell->col].name, -1,
			    SQLITE_TRANSIENT);
		break;
	case COL_VAL:
		if (cell->col >= 0 && row->values != NULL)
			sqlite3_result_value(ctx, sqlite3_column_value(row->values,
			    row->first_value + cell->col));
		break;
	case COL_VERSION:
		sqlite3_result_int64(ctx, cell->version);
		break;
	case COL_CL:
		sqlite3_result_int64(ctx, row->cl);
		break;
	case COL_DBV:
		sqlite3_result_int64(ctx, row->dbv);
		break;
	case COL_SITE:
		sqlite3_result_blob(ctx, c->site, SITE_ID_LEN, SQLITE_TRANSIENT);
		break;
	case COL_SVER:
		sqlite3_result_int64(ctx, row->sver);
		break;
	case COL_TIME:
		sqlite3_result_int64(ctx, c->time);
		break;
	case COL_SEQ:
		sqlite3_result_int64(ctx, cell->seq);
		break;
	case COL_CANONICAL:
		sqlite3_result_blob(ctx, row->pk, row->npk, SQLITE_TRANSIENT);
		break;
	case COL_CURSOR:
		rc = give_cursor(c, ctx);
		break;
	}
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
history_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct history_cursor *)cursor)->rowid;
	return SQLITE_OK;
}

static const sqlite3_module history_module = {
	.xConnect = history_connect,
	.xBestIndex = history_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = history_open,
	.xClose = history_close,
	.xFilter = history_filter,
	.xNext = history_next,
	.xEof = history_eof,
	.xColumn = history_column,
	.xRowid = history_rowid,
};

int
history_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_history", &history_module, e);
}

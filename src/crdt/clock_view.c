// SPDX-License-Identifier: MPL-2.0
/*
 * clock_view.c - <t>__crsql_clock: what crsql_changes says of one table, by our
 * keys and ordinals.
 *
 *     SELECT * FROM t__crsql_clock WHERE db_version > 7;
 *
 * It is read in the log's order, and what is asked of key and db_version is
 * known before data is read.  The module's list is views.c's.
 */
#include "crdt/views.h"
#include "crdt/walk.h"

SQLITE_EXTENSION_INIT3

enum { COL_KEY, COL_NAME, COL_VERSION, COL_DBV, COL_SITE, COL_SEQ };

enum { DBV_SHIFT = 8, USED_MASK = 0xFF };       /* idxNum: key, db_version */

struct clock_cursor {
	sqlite3_vtab_cursor base;
	uint32_t generation;    /* of the tables: row points to one */
	struct walk *walk;
	struct walk_row row;    /* the walk's */
	int cell;               /* of row */
	int64_t key;
	bool eof;
};

static int
clock_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	struct view *v = aux;
	int rc;

	/* views over it may be read as those over a table */
	sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	rc = vtab_connect(db, v->e, "CREATE TABLE x(key INTEGER NOT NULL, "
	    "col_name TEXT NOT NULL, col_version INTEGER NOT NULL, "
	    "db_version INTEGER NOT NULL, site_id INTEGER NOT NULL, "
	    "seq INTEGER NOT NULL)", sizeof(struct view_vtab), out);

	if (rc == SQLITE_OK)
		((struct view_vtab *)*out)->id = v->id;
	return rc;
}

static int
clock_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	int n = 0;
	int key = view_use(info, COL_KEY, &n);
	int dbv = view_use(info, COL_DBV, &n);

	info->idxNum = key | dbv << DBV_SHIFT;
	info->estimatedCost = dbv != 0 ? 1000 : key != 0 ? 10000 : 1000000;
	info->estimatedRows = key != 0 ? 10 : dbv != 0 ? 1000 : 1000000;
	if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COL_DBV &&
	    !info->aOrderBy[0].desc)
		info->orderByConsumed = 1;
	return SQLITE_OK;
}

static int
clock_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct clock_cursor), out);
}

static int
clock_close(sqlite3_vtab_cursor *cursor)
{
	walk_close(((struct clock_cursor *)cursor)->walk);
	sqlite3_free(cursor);
	return SQLITE_OK;
}

/* The next row that has facts. */
static int
next_row(struct clock_cursor *c)
{
	int rc;

	do {
		rc = walk_next(c->walk, &c->row);
	} while (rc == SQLITE_ROW && (c->row.kind == WALK_PARKED ||
	    c->row.ncell == 0));
	c->eof = rc != SQLITE_ROW;
	c->cell = 0;
	if (c->eof)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	c->key = c->row.kind != WALK_DEAD ? c->row.key :
	    view_dead_key(c->row.table, c->row.pk, c->row.npk);
	return SQLITE_OK;
}

static int
clock_filter(sqlite3_vtab_cursor *cursor, int used, const char *str, int argc,
    sqlite3_value **argv)
{
	struct clock_cursor *c = (struct clock_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	struct view_range key = { INT64_MIN, INT64_MAX };
	struct view_range dbv = { 1, INT64_MAX };
	struct walk_from from = { .pos = INT64_MAX };
	struct table *t;
	int rc;

	walk_close(c->walk);
	c->walk = NULL;
	c->eof = true;
	argv = view_narrow(&key, used & USED_MASK, argv);
	view_narrow(&dbv, used >> DBV_SHIFT, argv);
	rc = tx_begin_read(e);
	t = view_table(cursor->pVtab);
	if (rc == SQLITE_OK && t != NULL) {
		from.table = t->id;
		from.lo = key.lo;
		from.hi = key.hi;
		from.dbv = dbv.lo - 1;
		from.last_dbv = dbv.hi;
		c->generation = e->tables.generation;
		rc = walk_open(e, &from, false, &c->walk);
		if (rc == SQLITE_OK)
			rc = next_row(c);
	}
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

/* The row at hand may be of a table whose description is gone. */
static int
check_tables(struct clock_cursor *c)
{
	struct engine *e = ((struct vtab *)c->base.pVtab)->e;

	return e->tables.generation == c->generation ? SQLITE_OK :
	    engine_fail(e, SQLITE_ABORT,
	    "the schema changed while clocks were read");
}

static int
clock_next(sqlite3_vtab_cursor *cursor)
{
	struct clock_cursor *c = (struct clock_cursor *)cursor;
	int rc = check_tables(c);

	if (rc == SQLITE_OK && ++c->cell >= c->row.ncell)
		rc = next_row(c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
clock_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct clock_cursor *)cursor)->eof;
}

static int
clock_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct clock_cursor *c = (struct clock_cursor *)cursor;
	const struct walk_cell *cell = &c->row.cell[c->cell];
	int rc = check_tables(c);

	if (rc != SQLITE_OK)
		return vtab_fail(cursor->pVtab, rc);
	switch (i) {
	case COL_KEY:
		sqlite3_result_int64(ctx, c->key);
		break;
	case COL_NAME:
		sqlite3_result_text(ctx, cell->col < 0 ? "-1" :
		    c->row.table->col[cell->col].name, -1, SQLITE_TRANSIENT);
		break;
	case COL_VERSION:
		sqlite3_result_int64(ctx, cell->version);
		break;
	case COL_DBV:
		sqlite3_result_int64(ctx, c->row.dbv);
		break;
	case COL_SITE:
		sqlite3_result_int64(ctx, c->row.site);
		break;
	case COL_SEQ:
		sqlite3_result_int64(ctx, cell->seq);
		break;
	}
	return SQLITE_OK;
}

/* SQLite joins the parts of an OR by it: one number for each fact. */
static int
clock_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	struct clock_cursor *c = (struct clock_cursor *)cursor;
	uint64_t h = (uint64_t)c->key * 0x9E3779B97F4A7C15u;

	h += (uint64_t)(c->row.cell[c->cell].col + 1);
	*out = (int64_t)((h ^ h >> 29) & INT64_MAX);
	return SQLITE_OK;
}

const sqlite3_module clock_view_module = {
	.xConnect = clock_connect,
	.xBestIndex = clock_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = clock_open,
	.xClose = clock_close,
	.xFilter = clock_filter,
	.xNext = clock_next,
	.xEof = clock_eof,
	.xColumn = clock_column,
	.xRowid = clock_rowid,
};

// SPDX-License-Identifier: MPL-2.0
/*
 * conflicts.c - what SQL sees of the ledger: the table crsql_conflicts, and the
 * functions crsql_reviewed and crsql_forget_reviewed; and what goes with a table or
 * a column.
 *
 *     SELECT * FROM crsql_conflicts WHERE reviewed IS NULL;
 *     SELECT crsql_reviewed(7);
 *
 * A row for each value that lost; those of one id are of one row of a table, which
 * lost as a whole.
 */
#include "crdt/ledger.h"

#include "base/clock.h"
#include "crdt/storage.h"
#include "crdt/vtab.h"

SQLITE_EXTENSION_INIT3

int
ledger_is_there(struct engine *e, bool *has)
{
	return storage_has_table(e, "crsql_ledger", has);
}

/* -- what goes --------------------------------------------------------------------- */

int
ledger_forget_table(struct engine *e, int id)
{
	bool has = false;
	int rc = ledger_is_there(e, &has);

	return rc != SQLITE_OK || !has ? rc : engine_exec(e, "DELETE FROM "
	    "crsql_ledger_cell WHERE id IN (SELECT id FROM crsql_ledger WHERE "
	    "tbl = %d); DELETE FROM crsql_ledger WHERE tbl = %d", id, id);
}

int
ledger_forget_gone(struct engine *e, int id)
{
	bool has = false;
	int rc = ledger_is_there(e, &has);

	return rc != SQLITE_OK || !has ? rc : engine_exec(e, "DELETE FROM "
	    "crsql_ledger_cell WHERE id IN (SELECT id FROM crsql_ledger WHERE tbl = "
	    "%d) AND cid IN (SELECT cid FROM crsql_col WHERE tbl = %d AND name = '');"
	    "DELETE FROM crsql_ledger WHERE tbl = %d AND cid IN (SELECT cid FROM "
	    "crsql_col WHERE tbl = %d AND name = '')", id, id, id, id);
}

static int
forget_before(struct engine *e, const void *arg)
{
	int64_t time = *(const int64_t *)arg;

	return engine_exec(e, "DELETE FROM crsql_ledger_cell WHERE id IN (SELECT id "
	    "FROM crsql_ledger WHERE reviewed < %lld); DELETE FROM crsql_ledger "
	    "WHERE reviewed < %lld", (long long)time, (long long)time);
}

static void
crsql_forget_reviewed(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int64_t before = sqlite3_value_int64(argv[0]), n = 0;
	bool has = false;
	int rc = ledger_is_there(e, &has);

	if (rc == SQLITE_OK && has)
		rc = engine_int(e, &n, "SELECT count(*) FROM crsql_ledger WHERE "
		    "reviewed < %lld", (long long)before);
	if (rc == SQLITE_OK && n > 0)
		rc = engine_atomically(e, forget_before, &before);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, n);
	else
		engine_result_error(e, ctx, rc);
}

/* -- what is reviewed -------------------------------------------------------------- */

/* id 0: all. */
static int
review(struct engine *e, int64_t id, int64_t *n)
{
	bool has = false;
	int rc = ledger_is_there(e, &has);

	if (rc == SQLITE_OK && has)
		rc = engine_exec(e, id != 0 ? "UPDATE crsql_ledger SET reviewed = %lld "
		    "WHERE reviewed IS NULL AND id = %lld" : "UPDATE crsql_ledger SET "
		    "reviewed = %lld WHERE reviewed IS NULL", (long long)clock_ms(),
		    (long long)id);
	*n = rc == SQLITE_OK && has ? sqlite3_changes(e->db) : 0;
	return rc;
}

static void
crsql_reviewed(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int64_t id = argc > 0 ? sqlite3_value_int64(argv[0]) : 0, n = 0;
	int rc = SQLITE_OK;

	/* NULL, and what is no number, names none */
	if (argc == 0 || id > 0)
		rc = review(e, id, &n);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, n);
	else
		engine_result_error(e, ctx, rc);
}

/* -- crsql_conflicts --------------------------------------------------------------- */

struct conflicts_cursor {
	sqlite3_vtab_cursor base;
	sqlite3_stmt *stmt;
	const char *table, *column;     /* of the row at hand, as they are called
	                                 * now; NULL: it lost as a whole */
	bool eof;
	int64_t row;
};

enum { COL_ID, COL_TABLE, COL_PK, COL_CID, COL_WSITE, COL_WVERSION, COL_WINNER,
	COL_LSITE, COL_LVERSION, COL_LOSER, COL_RULE, COL_TIME, COL_REVIEWED };

enum { BY_ID = 1, OPEN = 2 };   /* idxNum */

static const char *const rules[] = { [LEDGER_VERSION] = "version",
	[LEDGER_VALUE] = "value", [LEDGER_DELETE] = "delete",
	[LEDGER_LIFE] = "life" };

static int
conflicts_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(id INTEGER NOT NULL, \"table\" "
	    "TEXT NOT NULL, pk BLOB NOT NULL, cid TEXT, winner_site BLOB NOT NULL, "
	    "winner_version INTEGER NOT NULL, winner, loser_site BLOB NOT NULL, "
	    "loser_version INTEGER NOT NULL, loser, rule TEXT NOT NULL, time INTEGER "
	    "NOT NULL, reviewed INTEGER)", sizeof(struct vtab), out);
}

/* SQLite checks every constraint again: what is used here only narrows. */
static int
conflicts_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	const struct sqlite3_index_constraint *c;
	int i;

	for (i = 0; i < info->nConstraint; i++) {
		c = &info->aConstraint[i];
		if (!c->usable)
			continue;
		if (c->iColumn == COL_ID && c->op == SQLITE_INDEX_CONSTRAINT_EQ &&
		    !(info->idxNum & BY_ID)) {
			info->aConstraintUsage[i].argvIndex = 1;
			info->idxNum |= BY_ID;
		} else if (c->iColumn == COL_REVIEWED &&
		    c->op == SQLITE_INDEX_CONSTRAINT_ISNULL) {
			info->idxNum |= OPEN;
		}
	}
	info->estimatedRows = info->idxNum & BY_ID ? 1 : 10000;
	info->estimatedCost = 10 * (double)info->estimatedRows;
	if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COL_ID &&
	    !info->aOrderBy[0].desc)
		info->orderByConsumed = 1;
	return SQLITE_OK;
}

static int
conflicts_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct conflicts_cursor), out);
}

static int
conflicts_close(sqlite3_vtab_cursor *cursor)
{
	sqlite3_finalize(((struct conflicts_cursor *)cursor)->stmt);
	sqlite3_free(cursor);
	return SQLITE_OK;
}

/* False for a row of a table or column that is gone: what was noted of it goes when
 * that is taken note of. */
static bool
name_row(struct engine *e, struct conflicts_cursor *c)
{
	const struct table *t = table_by_id(e,
	    sqlite3_column_int(c->stmt, COL_TABLE));
	int col = -1;

	c->table = t != NULL ? t->name : NULL;
	c->column = NULL;
	if (t == NULL || sqlite3_column_type(c->stmt, COL_CID) == SQLITE_NULL)
		return t != NULL;
	col = table_column_by_cid(t, sqlite3_column_int(c->stmt, COL_CID));
	if (col >= 0)
		c->column = t->col[col].name;
	return col >= 0;
}

static int
conflicts_next(sqlite3_vtab_cursor *cursor)
{
	struct conflicts_cursor *c = (struct conflicts_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	int rc;

	do {
		rc = sqlite3_step(c->stmt);
	} while (rc == SQLITE_ROW && !name_row(e, c));
	c->row++;
	c->eof = rc != SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
prepare(struct engine *e, int used, sqlite3_stmt **out)
{
	return engine_prepare(e, out, "SELECT l.id, l.tbl, l.pk, v.cid, w.site_id, "
	    "l.wsver, v.winner, s.site_id, l.lsver, v.loser, l.rule, l.time, "
	    "l.reviewed FROM crsql_ledger AS l JOIN crsql_site_id AS w ON w.ordinal = "
	    "l.wsite JOIN crsql_site_id AS s ON s.ordinal = l.lsite LEFT JOIN "
	    "crsql_ledger_cell AS v ON v.id = l.id WHERE %s AND %s ORDER BY l.id, "
	    "v.cid", used & BY_ID ? "l.id = ?1" : "1",
	    used & OPEN ? "l.reviewed IS NULL" : "1");
}

static int
conflicts_filter(sqlite3_vtab_cursor *cursor, int used, const char *str,
    int argc, sqlite3_value **argv)
{
	struct conflicts_cursor *c = (struct conflicts_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	bool has = false;
	int rc = tx_begin_read(e);

	sqlite3_finalize(c->stmt);
	c->stmt = NULL;
	c->row = 0;
	c->eof = true;
	if (rc == SQLITE_OK)
		rc = ledger_is_there(e, &has);
	if (rc == SQLITE_OK && has)
		rc = prepare(e, used, &c->stmt);
	if (rc == SQLITE_OK && has && argc > 0)
		rc = sqlite3_bind_value(c->stmt, 1, argv[0]);
	if (rc == SQLITE_OK && has)
		rc = conflicts_next(cursor);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
conflicts_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct conflicts_cursor *)cursor)->eof;
}

static int
conflicts_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct conflicts_cursor *c = (struct conflicts_cursor *)cursor;
	const char *text = NULL;
	int rule = sqlite3_column_int(c->stmt, COL_RULE);

	/* another function of the query may have read the tables anew */
	if (i == COL_TABLE || i == COL_CID)
		name_row(((struct vtab *)cursor->pVtab)->e, c);
	switch (i) {
	case COL_TABLE:
		text = c->table;
		break;
	case COL_CID:
		text = c->column;
		break;
	case COL_RULE:
		if (rule >= LEDGER_VERSION && rule <= LEDGER_LIFE)
			text = rules[rule];
		break;
	default:
		sqlite3_result_value(ctx, sqlite3_column_value(c->stmt, i));
		return SQLITE_OK;
	}
	if (text != NULL)
		sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
	return SQLITE_OK;
}

static int
conflicts_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct conflicts_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module conflicts_module = {
	.xConnect = conflicts_connect,
	.xBestIndex = conflicts_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = conflicts_open,
	.xClose = conflicts_close,
	.xFilter = conflicts_filter,
	.xNext = conflicts_next,
	.xEof = conflicts_eof,
	.xColumn = conflicts_column,
	.xRowid = conflicts_rowid,
};

int
conflicts_register(struct engine *e)
{
	int n, rc = SQLITE_OK;

	for (n = 0; n <= 1 && rc == SQLITE_OK; n++)
		rc = sqlite3_create_function(e->db, "crsql_reviewed", n,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_reviewed, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_forget_reviewed", 1,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_forget_reviewed, NULL,
		    NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_module(e->db, "crsql_conflicts",
		    &conflicts_module, e);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * tally.c - the table crsql_transaction_tables: how much of each table one
 * transaction inserted, changed and deleted, as far as the log still tells.
 *
 *     SELECT "table", inserted FROM crsql_transaction_tables
 *     WHERE db_version = 7;
 *
 * Runs are counted as they were logged, without reading their rows: also what was
 * changed since counts.  A row that has a log row of its own counts while
 * something of it is current; its clock row tells whether it came to life there.
 */
#include <string.h>

#include "crdt/history.h"
#include "crdt/log.h"
#include "crdt/vtab.h"

enum { COL_DBV, COL_TABLE, COL_INSERTED, COL_CHANGED, COL_DELETED, COL_PARKED };

struct tally {
	struct table *table;
	int64_t n[COL_PARKED + 1];      /* by column */
};

struct tally_cursor {
	sqlite3_vtab_cursor base;
	uint32_t generation;    /* of the tables */
	int64_t dbv;
	struct tally *tally;    /* by table number */
	int n, room, row;
};

static int
tally_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(db_version INTEGER NOT NULL, "
	    "\"table\" TEXT NOT NULL, inserted INTEGER NOT NULL, "
	    "changed INTEGER NOT NULL, deleted INTEGER NOT NULL, "
	    "parked INTEGER NOT NULL)", sizeof(struct vtab), out);
}

/* SQLite checks names again: other tables are only spared the counting. */
static int
tally_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	const struct sqlite3_index_constraint *c;
	int i, dbv = -1, table = -1;

	for (i = 0; i < info->nConstraint; i++) {
		c = &info->aConstraint[i];
		if (!c->usable || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
			continue;
		if (c->iColumn == COL_DBV)
			dbv = i;
		else if (c->iColumn == COL_TABLE)
			table = i;
	}
	if (dbv < 0)
		return SQLITE_CONSTRAINT;
	info->aConstraintUsage[dbv].argvIndex = 1;
	if (table >= 0)
		info->aConstraintUsage[table].argvIndex = 2;
	info->estimatedCost = 100;
	info->estimatedRows = 2;
	return SQLITE_OK;
}

static int
tally_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct tally_cursor), out);
}

static int
tally_close(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(((struct tally_cursor *)cursor)->tally);
	sqlite3_free(cursor);
	return SQLITE_OK;
}

/* The tally of a table, made if it is new; NULL without memory.  Most rows are of
 * the table of the row before. */
static struct tally *
tally_of(struct tally_cursor *c, struct table *t)
{
	struct tally *p;
	int i = c->n;

	while (i > 0 && c->tally[i - 1].table->id > t->id)
		i--;
	if (i > 0 && c->tally[i - 1].table == t)
		return &c->tally[i - 1];
	if (c->n == c->room) {
		p = sqlite3_realloc64(c->tally,
		    ((size_t)c->room + 16) * sizeof *p);
		if (p == NULL)
			return NULL;
		c->tally = p;
		c->room += 16;
	}
	p = &c->tally[i];
	memmove(p + 1, p, (size_t)(c->n++ - i) * sizeof *p);
	memset(p, 0, sizeof *p);
	p->table = t;
	return p;
}

/* What a log row of one row of its own says. */
static int
count_row(struct engine *e, struct meta *meta, struct table *t, int64_t key,
    int64_t dbv, int64_t pos, struct tally *out)
{
	int rc = meta_get(e, t, key, meta);

	if (rc == SQLITE_OK)
		out->n[history_came(t, meta, key, dbv, pos) ? COL_INSERTED :
		    COL_CHANGED]++;
	return rc;
}

/* One row of the log: pos, tbl, key, n, whether it has a mask. */
static int
count_log_row(struct engine *e, struct tally_cursor *c, sqlite3_stmt *stmt,
    struct meta *meta)
{
	int64_t n = sqlite3_column_type(stmt, 3) == SQLITE_NULL ? LOG_ROW :
	    sqlite3_column_int64(stmt, 3);
	struct table *t = table_by_id(e, sqlite3_column_int(stmt, 1));
	struct tally *p;
	int rc;

	if (t == NULL || n == LOG_HEADER)
		return SQLITE_OK;
	p = tally_of(c, t);
	if (p == NULL)
		return SQLITE_NOMEM;
	if (n > 0)
		p->n[sqlite3_column_int(stmt, 4) ? COL_CHANGED : COL_INSERTED] += n;
	else if (n == LOG_DEAD)
		p->n[COL_DELETED]++;
	else if (n == LOG_PARKED)
		p->n[COL_PARKED]++;
	else {
		rc = meta_init(meta, t);
		if (rc == SQLITE_OK)
			rc = count_row(e, meta, t, sqlite3_column_int64(stmt, 2),
			    c->dbv, sqlite3_column_int64(stmt, 0), p);
		meta_free(meta);
		return rc;
	}
	return SQLITE_OK;
}

static int
count_all(struct engine *e, struct tally_cursor *c, const struct table *only)
{
	struct meta meta;
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT pos, tbl, key, n, "
	    "mask IS NOT NULL FROM crsql_log WHERE dbv = ?1%s",
	    only != NULL ? " AND tbl = ?2" : "");

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, c->dbv);
	if (only != NULL)
		sqlite3_bind_int(stmt, 2, only->id);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = count_log_row(e, c, stmt, &meta);
	return engine_finalize(stmt, rc);
}

static int
tally_filter(sqlite3_vtab_cursor *cursor, int num, const char *str, int argc,
    sqlite3_value **argv)
{
	struct tally_cursor *c = (struct tally_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	const char *name;
	int rc = tx_begin_read(e);

	c->n = c->row = 0;
	c->generation = e->tables.generation;
	c->dbv = sqlite3_value_int64(argv[0]);
	name = argc > 1 ? (const char *)sqlite3_value_text(argv[1]) : NULL;
	if (rc == SQLITE_OK && e->has_storage &&
	    sqlite3_value_type(argv[0]) == SQLITE_INTEGER)
		rc = count_all(e, c, name != NULL ? table_find(e, name) : NULL);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
tally_next(sqlite3_vtab_cursor *cursor)
{
	((struct tally_cursor *)cursor)->row++;
	return SQLITE_OK;
}

static int
tally_eof(sqlite3_vtab_cursor *cursor)
{
	const struct tally_cursor *c = (struct tally_cursor *)cursor;

	return c->row >= c->n;
}

static int
tally_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	const struct tally_cursor *c = (struct tally_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	const struct tally *p = &c->tally[c->row];

	/* a function beside it may have changed the schema */
	if (e->tables.generation != c->generation)
		return vtab_fail(cursor->pVtab, engine_fail(e, SQLITE_ABORT,
		    "the schema changed while transactions were read"));
	if (i == COL_DBV)
		sqlite3_result_int64(ctx, c->dbv);
	else if (i == COL_TABLE)
		sqlite3_result_text(ctx, p->table->name, -1, SQLITE_TRANSIENT);
	else
		sqlite3_result_int64(ctx, p->n[i]);
	return SQLITE_OK;
}

static int
tally_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct tally_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module tally_module = {
	.xConnect = tally_connect,
	.xBestIndex = tally_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = tally_open,
	.xClose = tally_close,
	.xFilter = tally_filter,
	.xNext = tally_next,
	.xEof = tally_eof,
	.xColumn = tally_column,
	.xRowid = tally_rowid,
};

int
tally_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_transaction_tables",
	    &tally_module, e);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * before_table.c - the table crsql_before: the notes of old values, a row for each
 * value, in the order in which they were written.
 *
 *     SELECT "table", pk, existed, cid, val FROM crsql_before
 *     WHERE db_version BETWEEN 7 AND 9;
 *
 * A row may have come to life within the db_versions that are asked for, and been
 * changed in them again.  The log tells: by the run over its key, or by the
 * db_version that its note names.
 */
#include "crdt/before.h"

#include <stdlib.h>

#include "base/rd.h"
#include "crdt/log.h"
#include "crdt/storage.h"
#include "crdt/val.h"
#include "crdt/views.h"

enum { COL_TABLE, COL_PK, COL_KIND, COL_EXISTED, COL_CID, COL_VAL, COL_DBV,
	COL_PLACE };

struct run {                    /* rows that were merged as new ones */
	int table;
	int64_t key, n;
};

struct before_cursor {
	sqlite3_vtab_cursor base;
	uint32_t generation;    /* of the tables */
	struct view_range dbv;
	sqlite3_stmt *stmt;     /* rows of crsql_old */
	struct rd together;     /* notes of the row at hand that are left, ... */
	int64_t left;           /* ... so many */
	struct run *run;        /* in order; read when they are needed */
	int nrun;
	bool has_runs;
	bool eof;
	/* the note at hand */
	struct table *table;
	const uint8_t *pk;
	int npk;
	int kind;
	bool existed;
	struct rd rest;         /* values that are left */
	int col;                /* index of the one at hand; -1: none */
	struct val value;
	int64_t rowid;
	int64_t asked;          /* a db_version ... */
	bool own;               /* ... of which this was found */
};

static const char *const kind_name[] = { "none", "update", "delete", "insert",
	"large" };

static int
before_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(\"table\" TEXT NOT NULL, "
	    "pk BLOB NOT NULL, kind TEXT NOT NULL, existed INTEGER NOT NULL, "
	    "cid TEXT, val, db_version INTEGER NOT NULL, place INTEGER NOT NULL)",
	    sizeof(struct vtab), out);
}

static int
before_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	int n = 0;

	info->idxNum = view_use(info, COL_DBV, &n);
	info->estimatedRows = info->idxNum != 0 ? 1000 : 1000000;
	info->estimatedCost = (double)info->estimatedRows;
	return SQLITE_OK;
}

static int
before_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct before_cursor), out);
}

static void
clear(struct before_cursor *c)
{
	sqlite3_finalize(c->stmt);
	sqlite3_free(c->run);
	c->stmt = NULL;
	c->run = NULL;
	c->nrun = 0;
	c->has_runs = false;
}

static int
before_close(sqlite3_vtab_cursor *cursor)
{
	clear((struct before_cursor *)cursor);
	sqlite3_free(cursor);
	return SQLITE_OK;
}

/* -- was it there? -------------------------------------------------------------- */

static int
load_runs(struct engine *e, struct before_cursor *c)
{
	sqlite3_stmt *stmt;
	struct run *p;
	int room = 0, rc;

	c->has_runs = true;
	rc = engine_prepare(e, &stmt, "SELECT tbl, key, n FROM crsql_log WHERE "
	    "dbv BETWEEN ?1 AND ?2 AND n > 0 AND mask IS NULL AND site IS NOT NULL "
	    "ORDER BY tbl, key");
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, c->dbv.lo);
	sqlite3_bind_int64(stmt, 2, c->dbv.hi);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		if (c->nrun == room) {
			room = room > 0 ? 2 * room : 64;
			p = sqlite3_realloc64(c->run, (size_t)room * sizeof *p);
			if (p == NULL) {
				rc = SQLITE_NOMEM;
				break;
			}
			c->run = p;
		}
		c->run[c->nrun++] = (struct run){ sqlite3_column_int(stmt, 0),
			sqlite3_column_int64(stmt, 1),
			sqlite3_column_int64(stmt, 2) };
	}
	return engine_finalize(stmt, rc);
}

static int
by_place(const void *key, const void *element)
{
	const struct run *k = key, *r = element;

	if (k->table != r->table)
		return k->table < r->table ? -1 : 1;
	if (k->key < r->key)
		return -1;
	return (uint64_t)k->key - (uint64_t)r->key >= (uint64_t)r->n;
}

static int
in_a_run(struct engine *e, struct before_cursor *c, int64_t key, bool *is)
{
	struct run wanted = { .table = c->table->id, .key = key };
	int rc = c->has_runs ? SQLITE_OK : load_runs(e, c);

	*is = rc == SQLITE_OK && c->nrun > 0 && bsearch(&wanted, c->run,
	    (size_t)c->nrun, sizeof wanted, by_place) != NULL;
	return rc;
}

/* What this database wrote itself is noted nowhere: it can't be told from a row
 * that was there. */
static int
is_own(struct engine *e, struct before_cursor *c, int64_t dbv, bool *is)
{
	int64_t own = 1;
	int rc = SQLITE_OK;

	if (c->asked != dbv) {
		rc = engine_int(e, &own, "SELECT site IS NULL FROM crsql_log WHERE "
		    "dbv = %lld AND pos = 0", (long long)dbv);
		c->asked = rc == SQLITE_OK ? dbv : 0;
		c->own = own != 0;
	}
	*is = c->own;
	return rc;
}

static int
find_existed(struct engine *e, struct before_cursor *c, int64_t oldest,
    int64_t key)
{
	bool is = false;
	int rc = SQLITE_OK;

	c->existed = c->kind != BEFORE_ABSENT;
	if (!c->existed)
		return rc;
	if (oldest == 0) {
		rc = in_a_run(e, c, key, &is);
	} else if (oldest >= c->dbv.lo) {
		rc = is_own(e, c, oldest, &is);
		is = !is;
	}
	c->existed = !is;
	return rc;
}

/* -- notes ------------------------------------------------------------------------ */

static int
damaged(struct engine *e)
{
	return engine_fail(e, SQLITE_CORRUPT, "a note of old values is damaged");
}

/* The next value of a column that is still there. */
static int
next_value(struct engine *e, struct before_cursor *c, bool *found)
{
	*found = false;
	c->col = -1;
	while (!*found && rd_left(&c->rest) > 0) {
		c->col = table_column_by_cid(c->table,
		    (int)rd_varint(&c->rest, INT32_MAX));
		val_decode(&c->rest, &c->value);
		*found = c->col >= 0;
	}
	return rd_failed(&c->rest) ? damaged(e) : SQLITE_OK;
}

/* Begins the note in c->rest: *skip where its table is gone. */
static int
begin_note(struct engine *e, struct before_cursor *c, int table, bool *skip)
{
	int64_t oldest = 0, key = 0;
	bool found;
	int rc;

	c->table = table_by_id(e, table);
	*skip = c->table == NULL;
	if (*skip)
		return SQLITE_OK;
	c->kind = (int)rd_varint(&c->rest, BEFORE_LARGE);
	if (c->kind != BEFORE_ABSENT) {
		oldest = (int64_t)rd_varint(&c->rest, INT64_MAX);
		key = rd_zigzag(&c->rest);
	}
	if (rd_failed(&c->rest) || c->kind == BEFORE_NONE)
		return damaged(e);
	rc = find_existed(e, c, oldest, key);
	return rc == SQLITE_OK ? next_value(e, c, &found) : rc;
}

/* The next of several that stand in one row. */
static int
next_together(struct engine *e, struct before_cursor *c, bool *skip)
{
	struct rd *r = &c->together;
	int table = (int)rd_varint(r, INT32_MAX);

	c->npk = (int)rd_varint(r, INT32_MAX);
	c->pk = rd_bytes(r, (size_t)c->npk);
	c->rest = rd_slice(r, (size_t)rd_varint(r, INT32_MAX));
	c->left--;
	if (rd_failed(r) || (c->left == 0 && !rd_done(r)))
		return damaged(e);
	return begin_note(e, c, table, skip);
}

/* Begins the row that stmt stands at. */
static int
begin_row(struct engine *e, struct before_cursor *c, bool *skip)
{
	int64_t table = sqlite3_column_int64(c->stmt, 2);
	const void *m = sqlite3_column_blob(c->stmt, 4);
	size_t len = (size_t)sqlite3_column_bytes(c->stmt, 4);

	/* as many as there are bytes for */
	c->left = table < 0 && table >= -(int64_t)len ? -table : table < 0;
	if (table < 0) {
		rd_init(&c->together, m, len);
		return next_together(e, c, skip);
	}
	c->pk = sqlite3_column_blob(c->stmt, 3);
	c->npk = sqlite3_column_bytes(c->stmt, 3);
	rd_init(&c->rest, m, len);
	return begin_note(e, c, table > INT32_MAX ? 0 : (int)table, skip);
}

static int
next_note(struct engine *e, struct before_cursor *c)
{
	bool skip = true;
	int rc = SQLITE_OK;

	while (rc == SQLITE_OK && skip) {
		if (c->left > 0) {
			rc = next_together(e, c, &skip);
			continue;
		}
		rc = sqlite3_step(c->stmt);
		c->eof = rc != SQLITE_ROW;
		if (c->eof)
			return rc == SQLITE_DONE ? SQLITE_OK : rc;
		rc = begin_row(e, c, &skip);
	}
	return rc;
}

static int
before_filter(sqlite3_vtab_cursor *cursor, int used, const char *str, int argc,
    sqlite3_value **argv)
{
	struct before_cursor *c = (struct before_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	bool has = false;
	int rc;

	clear(c);
	c->dbv = (struct view_range){ 1, INT64_MAX };
	c->rowid = c->asked = c->left = 0;
	c->eof = true;
	view_narrow(&c->dbv, used, argv);
	rc = tx_begin_read(e);
	c->generation = e->tables.generation;
	if (rc == SQLITE_OK && e->has_storage)
		rc = storage_has_table(e, "crsql_old", &has);
	if (rc == SQLITE_OK && has)
		rc = engine_prepare(e, &c->stmt, "SELECT dbv, pos, tbl, pk, m FROM "
		    "main.crsql_old WHERE dbv BETWEEN ?1 AND ?2 ORDER BY dbv, pos");
	if (rc == SQLITE_OK && has) {
		sqlite3_bind_int64(c->stmt, 1, c->dbv.lo);
		sqlite3_bind_int64(c->stmt, 2, c->dbv.hi);
		rc = next_note(e, c);
	}
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

/* The table at hand may be one whose description is gone. */
static int
check_tables(struct engine *e, const struct before_cursor *c)
{
	return e->tables.generation == c->generation ? SQLITE_OK :
	    engine_fail(e, SQLITE_ABORT,
	    "the schema changed while crsql_before was read");
}

static int
before_next(sqlite3_vtab_cursor *cursor)
{
	struct before_cursor *c = (struct before_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	bool found = false;
	int rc = check_tables(e, c);

	c->rowid++;
	if (rc == SQLITE_OK && c->col >= 0)
		rc = next_value(e, c, &found);
	if (rc == SQLITE_OK && !found)
		rc = next_note(e, c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
before_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct before_cursor *)cursor)->eof;
}

static int
before_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct before_cursor *c = (struct before_cursor *)cursor;
	int rc = check_tables(((struct vtab *)cursor->pVtab)->e, c);

	if (rc != SQLITE_OK)
		return vtab_fail(cursor->pVtab, rc);
	switch (i) {
	case COL_TABLE:
		sqlite3_result_text(ctx, c->table->name, -1, SQLITE_TRANSIENT);
		break;
	case COL_PK:
		sqlite3_result_blob(ctx, c->pk, c->npk, SQLITE_TRANSIENT);
		break;
	case COL_KIND:
		sqlite3_result_text(ctx, kind_name[c->kind], -1, SQLITE_STATIC);
		break;
	case COL_EXISTED:
		sqlite3_result_int(ctx, c->existed);
		break;
	case COL_CID:
		if (c->col >= 0)
			sqlite3_result_text(ctx, c->table->col[c->col].name, -1,
			    SQLITE_TRANSIENT);
		break;
	case COL_VAL:
		if (c->col >= 0)
			val_give(ctx, &c->value);
		break;
	case COL_DBV:
		sqlite3_result_value(ctx, sqlite3_column_value(c->stmt, 0));
		break;
	case COL_PLACE:
		/* the row's is that of the last one in it */
		sqlite3_result_int64(ctx, (int64_t)((uint64_t)
		    sqlite3_column_int64(c->stmt, 1) - (uint64_t)c->left));
		break;
	}
	return SQLITE_OK;
}

static int
before_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct before_cursor *)cursor)->rowid;
	return SQLITE_OK;
}

static const sqlite3_module before_module = {
	.xConnect = before_connect,
	.xBestIndex = before_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = before_open,
	.xClose = before_close,
	.xFilter = before_filter,
	.xNext = before_next,
	.xEof = before_eof,
	.xColumn = before_column,
	.xRowid = before_rowid,
};

int
before_table_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_before", &before_module, e);
}

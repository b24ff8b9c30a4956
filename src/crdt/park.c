// SPDX-License-Identifier: MPL-2.0
/*
 * park.c - what SQL sees of parked changes: the table crsql_parked and the
 * function crsql_unpark().  Parking itself is apply.c's.
 *
 *     SELECT "table", reason FROM crsql_parked;
 */
#include <string.h>

#include "crdt/apply.h"
#include "crdt/vtab.h"

static int
unpark(struct engine *e, int64_t *changes)
{
	struct apply_scope scope;
	struct apply a;
	int rc;

	rc = apply_begin(e, false, &scope);
	if (rc == SQLITE_OK) {
		rc = apply_init(e, &a);
		e->merging++;
		if (rc == SQLITE_OK)
			rc = apply_retry(&a, NULL);
		e->merging--;
		*changes = a.changes;
		apply_clear(&a);
	}
	return apply_end(e, &scope, rc);
}

static void
crsql_unpark(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int64_t changes = 0;
	int rc = unpark(e, &changes);

	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, changes);
	else
		engine_result_error(e, ctx, rc);
}

/* -- crsql_parked ----------------------------------------------------------- */

struct parked_cursor {
	sqlite3_vtab_cursor base;
	sqlite3_stmt *stmt;
	bool eof;
	int64_t row;
};

enum { COL_TABLE, COL_PK, COL_SITE, COL_VERSION, COL_DBV, COL_POS,
	COL_REASON };

static int
parked_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(\"table\" TEXT, "
	    "pk BLOB, site_id BLOB, version INTEGER, db_version INTEGER, "
	    "pos INTEGER, reason TEXT)", sizeof(struct vtab), out);
}

static int
parked_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	info->estimatedCost = 1000;
	return SQLITE_OK;
}

static int
parked_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct parked_cursor), out);
}

static int
parked_close(sqlite3_vtab_cursor *cursor)
{
	struct parked_cursor *c = (struct parked_cursor *)cursor;

	sqlite3_finalize(c->stmt);
	sqlite3_free(c);
	return SQLITE_OK;
}

static int
parked_next(sqlite3_vtab_cursor *cursor)
{
	struct parked_cursor *c = (struct parked_cursor *)cursor;
	int rc = sqlite3_step(c->stmt);

	c->row++;
	c->eof = rc != SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
parked_filter(sqlite3_vtab_cursor *cursor, int num, const char *str, int argc,
    sqlite3_value **argv)
{
	struct parked_cursor *c = (struct parked_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	int rc;

	sqlite3_finalize(c->stmt);
	c->stmt = NULL;
	c->row = 0;
	c->eof = true;
	if (!e->has_storage)
		return SQLITE_OK;
	rc = engine_prepare(e, &c->stmt, "SELECT t.name, l.key, "
	    "coalesce(s.site_id, crsql_site_id()), coalesce(l.sver, l.dbv), "
	    "l.dbv, l.pos, l.mask FROM crsql_log AS l JOIN crsql_tbl AS t ON "
	    "t.id = l.tbl LEFT JOIN crsql_site_id AS s ON s.ordinal = l.site "
	    "WHERE l.n = -4 ORDER BY l.dbv, l.pos");
	return rc == SQLITE_OK ? parked_next(cursor) : rc;
}

static int
parked_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct parked_cursor *)cursor)->eof;
}

static int
parked_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct parked_cursor *c = (struct parked_cursor *)cursor;
	const char *text;
	int len;

	if (i != COL_REASON)
		sqlite3_result_value(ctx, sqlite3_column_value(c->stmt, i));
	else if (apply_reason(sqlite3_column_blob(c->stmt, i),
	    sqlite3_column_bytes(c->stmt, i), &text, &len))
		sqlite3_result_text(ctx, text, len, SQLITE_TRANSIENT);
	return SQLITE_OK;
}

static int
parked_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct parked_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module parked_module = {
	.xConnect = parked_connect,
	.xBestIndex = parked_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = parked_open,
	.xClose = parked_close,
	.xFilter = parked_filter,
	.xNext = parked_next,
	.xEof = parked_eof,
	.xColumn = parked_column,
	.xRowid = parked_rowid,
};

int
park_register(struct engine *e)
{
	int rc;

	rc = sqlite3_create_function(e->db, "crsql_unpark", 0,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_unpark, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_module(e->db, "crsql_parked",
		    &parked_module, e);
	return rc;
}

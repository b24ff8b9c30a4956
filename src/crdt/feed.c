// SPDX-License-Identifier: MPL-2.0
/* feed.c - see feed.h. */
#include "crdt/feed.h"

#include "crdt/vtab.h"

SQLITE_EXTENSION_INIT3

struct feed_cursor {
	sqlite3_vtab_cursor base;
	int at;
};

static struct engine *
engine_of(sqlite3_vtab_cursor *c)
{
	return ((struct vtab *)c->pVtab)->e;
}

static int
feed_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(a, b)", sizeof(struct vtab),
	    out);
}

static int
feed_best_index(sqlite3_vtab *v, sqlite3_index_info *info)
{
	info->estimatedCost = 1;
	return SQLITE_OK;
}

static int
feed_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct feed_cursor), out);
}

static int
feed_close(sqlite3_vtab_cursor *c)
{
	sqlite3_free(c);
	return SQLITE_OK;
}

static int
feed_filter(sqlite3_vtab_cursor *c, int n, const char *s, int argc,
    sqlite3_value **argv)
{
	((struct feed_cursor *)c)->at = 0;
	return SQLITE_OK;
}

static int
feed_next(sqlite3_vtab_cursor *c)
{
	((struct feed_cursor *)c)->at++;
	return SQLITE_OK;
}

static int
feed_eof(sqlite3_vtab_cursor *c)
{
	return ((struct feed_cursor *)c)->at >= engine_of(c)->feed.n;
}

static int
feed_column(sqlite3_vtab_cursor *c, sqlite3_context *ctx, int i)
{
	const struct feed_row *row = &engine_of(c)->feed.row[
	    ((struct feed_cursor *)c)->at];
	const struct feed_value *v = i == 0 ? &row->a : &row->b;

	if (v->data == NULL)
		sqlite3_result_int64(ctx, v->i);
	else
		sqlite3_result_blob(ctx, v->data, (int)v->i, SQLITE_STATIC);
	return SQLITE_OK;
}

static int
feed_rowid(sqlite3_vtab_cursor *c, sqlite3_int64 *out)
{
	*out = ((struct feed_cursor *)c)->at;
	return SQLITE_OK;
}

int
feed_run(struct engine *e, sqlite3_stmt *stmt, const struct feed_row *row,
    int n)
{
	int rc;

	e->feed.row = row;
	e->feed.n = n;
	rc = engine_run(e, stmt);
	e->feed.row = NULL;
	e->feed.n = 0;
	return rc;
}

int
feed_register(struct engine *e)
{
	static const sqlite3_module module = {
		.xConnect = feed_connect, .xBestIndex = feed_best_index,
		.xDisconnect = vtab_disconnect, .xOpen = feed_open,
		.xClose = feed_close, .xFilter = feed_filter, .xNext = feed_next,
		.xEof = feed_eof, .xColumn = feed_column, .xRowid = feed_rowid,
	};

	return sqlite3_create_module(e->db, "crsql_feed", &module, e);
}

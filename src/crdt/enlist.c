// SPDX-License-Identifier: MPL-2.0
/*
 * enlist.c - the virtual table by which the engine takes part in a
 * transaction: SQLite calls its xSync, xCommit, xRollback and those of
 * savepoints.  It has no rows; tx_begin enlists it by an INSERT.  What they do
 * to versions is tx.c's.
 */
#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/dropping.h"
#include "crdt/merge.h"
#include "crdt/sample.h"
#include "crdt/vtab.h"

SQLITE_EXTENSION_INIT3

static struct engine *
engine_of(sqlite3_vtab *v)
{
	return ((struct vtab *)v)->e;
}

static int
enlist_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	int rc = vtab_connect(db, aux, "CREATE TABLE x(unused)",
	    sizeof(struct vtab), out);

	if (rc == SQLITE_OK)
		sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	return rc;
}

static int
enlist_best_index(sqlite3_vtab *v, sqlite3_index_info *info)
{
	info->estimatedCost = 1;
	return SQLITE_OK;
}

static int
enlist_open(sqlite3_vtab *v, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof **out, out);
}

static int
enlist_close(sqlite3_vtab_cursor *c)
{
	sqlite3_free(c);
	return SQLITE_OK;
}

static int
enlist_filter(sqlite3_vtab_cursor *c, int n, const char *s, int argc,
    sqlite3_value **argv)
{
	return SQLITE_OK;
}

static int
enlist_next(sqlite3_vtab_cursor *c)
{
	return SQLITE_OK;
}

static int
enlist_eof(sqlite3_vtab_cursor *c)
{
	return 1;
}

static int
enlist_column(sqlite3_vtab_cursor *c, sqlite3_context *ctx, int i)
{
	return SQLITE_OK;
}

static int
enlist_rowid(sqlite3_vtab_cursor *c, sqlite3_int64 *out)
{
	*out = 0;
	return SQLITE_OK;
}

/* SQLite gives the id to last_insert_rowid(), where the caller's own is to stay. */
static int
enlist_update(sqlite3_vtab *v, int argc, sqlite3_value **argv, sqlite3_int64 *id)
{
	*id = sqlite3_last_insert_rowid(engine_of(v)->db);
	return SQLITE_OK;
}

static int
enlist_nothing(sqlite3_vtab *v)
{
	return SQLITE_OK;
}

static int
fail(sqlite3_vtab *v, int rc)
{
	/* neither BUSY nor SCHEMA: these would keep or rerun the COMMIT */
	return vtab_fail(v, rc == SQLITE_NOMEM || rc == SQLITE_FULL ||
	    rc == SQLITE_PROTOCOL || (rc & 0xFF) == SQLITE_CANTOPEN ||
	    (rc & 0xFF) == SQLITE_IOERR ? rc : SQLITE_ERROR);
}

static int
enlist_sync(sqlite3_vtab *v)
{
	struct engine *e = engine_of(v);
	int rc = bulk_check(e);

	if (rc == SQLITE_OK)
		rc = alter_check(e);
	alter_end_all(e);
	e->tx.ending = true;
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	if (rc == SQLITE_OK)
		rc = tx_fold(e);
	if (rc == SQLITE_OK)
		rc = columns_tell(e);
	if (rc == SQLITE_OK)
		rc = sample_follow(e);
	e->tx.ending = false;
	return rc == SQLITE_OK ? SQLITE_OK : fail(v, rc);
}

static int
enlist_commit(sqlite3_vtab *v)
{
	tx_committed(engine_of(v));
	return SQLITE_OK;
}

static int
enlist_rollback(sqlite3_vtab *v)
{
	tx_rolled_back(engine_of(v));
	return SQLITE_OK;
}

static int
enlist_savepoint(sqlite3_vtab *v, int id)
{
	struct engine *e = engine_of(v);
	int rc;

	/* those of statements of a merge or a fold are no business of ours */
	if (!e->tx.open || e->merging > 0)
		return SQLITE_OK;
	e->capture->look_at_schema = true;
	rc = incoming_flush(e);
	if (rc == SQLITE_OK)
		rc = capture_savepoint(e, id);
	/* a table is made anew from one that was filled before */
	if (rc == SQLITE_OK && (e->capture->others || e->capture->by_journal))
		rc = dropping_look(e);
	return rc == SQLITE_OK ? SQLITE_OK : fail(v, rc);
}

static int
enlist_release(sqlite3_vtab *v, int id)
{
	struct engine *e = engine_of(v);
	bool open = e->tx.open;

	if (e->merging == 0) {
		e->capture->look_at_schema = true;
		capture_release(e, id);
		bulk_statement_ended(e);
		if (e->tx.open && e->tx.alters > 0)
			dropping_statement_ended(e);
	}
	/* SQLite rolls all back where one of ours fails for a file's sake: the
	 * statement that ends here has not succeeded then */
	return open && !e->tx.open ? fail(v, SQLITE_IOERR) : SQLITE_OK;
}

static int
enlist_rollback_to(sqlite3_vtab *v, int id)
{
	struct engine *e = engine_of(v);

	e->newest.dbv = 0;
	if (e->merging > 0)
		return SQLITE_OK;
	incoming_drop(e);
	capture_rollback_to(e, id);
	e->capture->look_at_schema = true;
	table_doubt(e);
	return SQLITE_OK;
}

int
enlist_register(struct engine *e)
{
	static const sqlite3_module module = {
		.iVersion = 2, .xConnect = enlist_connect, .xBestIndex = enlist_best_index,
		.xDisconnect = vtab_disconnect, .xOpen = enlist_open, .xClose = enlist_close,
		.xFilter = enlist_filter, .xNext = enlist_next, .xEof = enlist_eof,
		.xColumn = enlist_column, .xRowid = enlist_rowid, .xUpdate = enlist_update,
		.xBegin = enlist_nothing, .xSync = enlist_sync, .xCommit = enlist_commit,
		.xRollback = enlist_rollback, .xSavepoint = enlist_savepoint,
		.xRelease = enlist_release, .xRollbackTo = enlist_rollback_to,
	};

	return sqlite3_create_module(e->db, "crsql_tx", &module, e);
}

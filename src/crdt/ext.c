// SPDX-License-Identifier: MPL-2.0
/*
 * ext.c - the entry point: puts the engine on a connection, and takes it off
 * when the connection closes.
 */
#include "crdt/engine.h"

#include <dlfcn.h>
#include <string.h>

#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/horizon.h"
#include "crdt/ledger.h"
#include "crdt/merge.h"
#include "crdt/views.h"

SQLITE_EXTENSION_INIT1

int sqlite3_crsqlite_init(sqlite3 *db, char **why,
    const sqlite3_api_routines *api);

/* -- the end of a connection ------------------------------------------------
 *
 * sqlite3_close first disconnects virtual tables, then looks for statements
 * that are still there.  So a virtual table that no statement of ours names
 * gives back what the engine keeps, and nobody has to call crsql_finalize. */

struct watch {
	sqlite3_vtab base;
	struct engine *engine;
};

static int
watch_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **why)
{
	struct watch *w = sqlite3_malloc(sizeof *w);

	if (w == NULL)
		return SQLITE_NOMEM;
	memset(w, 0, sizeof *w);
	w->engine = aux;
	w->engine->watched = true;
	*out = &w->base;
	return sqlite3_declare_vtab(db, "CREATE TABLE x(unused)");
}

static int
watch_disconnect(sqlite3_vtab *v)
{
	struct engine *e = ((struct watch *)v)->engine;

	e->watched = false;
	engine_drop_statements(e);
	sqlite3_free(v);
	return SQLITE_OK;
}

/* It has no rows to read, and no cursor: no plan is ever found. */
static int
watch_best_index(sqlite3_vtab *v, sqlite3_index_info *info)
{
	return SQLITE_CONSTRAINT;
}

static void
engine_free(void *self)
{
	struct engine *e = self;

	engine_drop_statements(e);
	incoming_free(e);
	capture_free(e);
	views_free(e);
	alter_free(e);
	horizon_forget(e);
	ledger_free(e);
	buf_clear(&e->scratch);
	sqlite3_free(e->error);
	sqlite3_free(e);
}

int
ext_watch(struct engine *e)
{
	int64_t n = 0;

	return e->watched ? SQLITE_OK : engine_int(e, &n,
	    "SELECT count(*) FROM pragma_table_xinfo('crsql_watch')");
}

static int
watch_register(struct engine *e)
{
	static const sqlite3_module module = {
		.xConnect = watch_connect, .xBestIndex = watch_best_index,
		.xDisconnect = watch_disconnect,
	};

	/* on failure too, e is freed by this call */
	return sqlite3_create_module_v2(e->db, "crsql_watch", &module, e,
	    engine_free);
}

/* -- the beginning ------------------------------------------------------------ */

static int
register_all(struct engine *e)
{
	static int (*const registers[])(struct engine *) = {
		enlist_register, feed_register, capture_register, storage_register, crr_register,
		alter_register, clset_register, automigrate_register,
		changes_register, transactions_register, tally_register,
		history_register, before_register, pack_register, export_register, import_register,
		park_register, seen_register, adopt_register, check_register,
		repair_register, fract_register, gc_register, conflicts_register, views_load,
		settings_register, funcs_register,
	};
	size_t i;
	int rc = SQLITE_OK;

	for (i = 0; i < sizeof registers / sizeof *registers; i++)
		if (rc == SQLITE_OK)
			rc = registers[i](e);
	return rc;
}

/* What was registered before a failure stays on the connection: the code has
 * to stay, too. */
static void
keep_library(void)
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)sqlite3_crsqlite_init, &info) &&
	    info.dli_fname != NULL)
		dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* What is on the connection: *begun if anything, *whole if all. */
static int
look_for_engine(sqlite3 *db, bool *begun, bool *whole)
{
	sqlite3_stmt *stmt;
	int rc;

	*begun = *whole = false;
	rc = sqlite3_prepare_v2(db, "SELECT 1 FROM "
	    "pragma_table_xinfo('crsql_watch')", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		*begun = sqlite3_step(stmt) == SQLITE_ROW;
	rc = engine_finalize(stmt, rc);
	if (rc != SQLITE_OK || !*begun)
		return rc;
	/* what is registered last */
	rc = sqlite3_prepare_v2(db, "SELECT crsql_fold()", -1, &stmt, NULL);
	*whole = rc == SQLITE_OK;
	sqlite3_finalize(stmt);
	return rc == SQLITE_ERROR ? SQLITE_OK : rc;
}

/* A table that a tool made anew has lost its triggers, and what programs that load
 * nothing write to it is noted by nobody until it has them again.  What is in the
 * way of that now is told to who reads or writes. */
static void
mend_rebuilt(struct engine *e)
{
	int64_t lost = 0;
	int rc = !e->has_storage ? SQLITE_OK : engine_int(e, &lost, "SELECT (SELECT "
	    "count(*) FROM crsql_tbl) <> (SELECT count(*) FROM main.sqlite_schema "
	    "WHERE type = 'trigger' AND name GLOB '*__crsql_itrig')");

	if (rc == SQLITE_OK && lost)
		tx_begin_read(e);
}

static int
fail(struct engine *e, int rc, char **why)
{
	if (why != NULL)
		*why = sqlite3_mprintf("%s", engine_error(e));
	return rc;
}

__attribute__((visibility("default"))) int
sqlite3_crsqlite_init(sqlite3 *db, char **why,
    const sqlite3_api_routines *api)
{
	struct engine *e;
	bool begun, whole;
	int rc;

	SQLITE_EXTENSION_INIT2(api);
	rc = look_for_engine(db, &begun, &whole);
	if (rc == SQLITE_OK && begun && !whole) {
		rc = SQLITE_ERROR;
		if (why != NULL)
			*why = sqlite3_mprintf("loading failed before on this "
			    "connection: open another one");
	}
	if (rc != SQLITE_OK || begun)
		return rc;
	e = sqlite3_malloc(sizeof *e);
	if (e == NULL)
		return SQLITE_NOMEM;
	memset(e, 0, sizeof *e);
	e->db = db;
	e->tables.schema_version = e->tables.mended = -1;
	e->tables.looked = e->tables.rows_looked = -1;
	e->tx.head = -1;
	buf_init(&e->scratch, INT32_MAX);
	rc = storage_load(e);
	if (rc != SQLITE_OK) {
		fail(e, rc, why);
		engine_free(e);
		return rc;
	}
	rc = watch_register(e);
	if (rc != SQLITE_OK)
		return rc;
	rc = register_all(e);
	if (rc == SQLITE_OK)
		rc = ext_watch(e);
	if (rc != SQLITE_OK) {
		keep_library();
		/* where nothing watches for the end of the connection yet */
		engine_drop_statements(e);
		return fail(e, rc, why);
	}
	mend_rebuilt(e);
	return SQLITE_OK;
}

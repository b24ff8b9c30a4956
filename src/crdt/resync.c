// SPDX-License-Identifier: MPL-2.0
/* resync.c - see resync.h. */
#include "crdt/resync.h"

#include "crdt/capture.h"
#include "crdt/meta.h"

SQLITE_EXTENSION_INIT3

/* Clocks of rows that are no more.  Their keys are not known any more, but
 * for integer keys: no tombstone can be made of them. */
static int
forget_gone(struct engine *e, struct table *t)
{
	struct meta m = { 0 };
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT key, m FROM "
	    "main.\"%w__crsql_meta\" WHERE NOT EXISTS(SELECT 1 FROM main.\"%w\" x "
	    "WHERE x.%s = key)", t->noted, t->name, t->rowid);

	if (rc == SQLITE_OK)
		rc = meta_init(&m, t);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = meta_decode(t, sqlite3_column_blob(stmt, 1),
		    sqlite3_column_bytes(stmt, 1), &m);
		if (rc == SQLITE_OK)
			rc = meta_sweep(e, &m);
	}
	sqlite3_finalize(stmt);
	meta_free(&m);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DELETE FROM main.\"%w__crsql_meta\" WHERE NOT "
		    "EXISTS(SELECT 1 FROM main.\"%w\" x WHERE x.%s = key)", t->noted,
		    t->name, t->rowid);
	return rc;
}

/* Runs of the log in order of their keys; they do not overlap. */
struct runs {
	sqlite3_stmt *stmt;
	int64_t from, to;       /* the one at hand; from > to: none left */
};

static void
next_run(struct runs *r)
{
	r->from = INT64_MAX;
	r->to = INT64_MIN;
	if (r->stmt != NULL && sqlite3_step(r->stmt) == SQLITE_ROW) {
		r->from = sqlite3_column_int64(r->stmt, 0);
		r->to = r->from + sqlite3_column_int64(r->stmt, 1) - 1;
	}
}

static bool
in_run(struct runs *r, int64_t key)
{
	while (r->from <= r->to && r->to < key)
		next_run(r);
	return r->from <= key && key <= r->to;
}

static int
note_new(struct engine *e, struct table *t)
{
	struct runs runs = { NULL, 0, 0 };
	sqlite3_stmt *stmt = NULL;
	int64_t key;
	int rc = engine_prepare(e, &runs.stmt, "SELECT key, n FROM crsql_log WHERE "
	    "tbl = %d AND n > 0 AND mask IS NULL ORDER BY key", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &stmt, "SELECT x.%s FROM main.\"%w\" x WHERE NOT "
		    "EXISTS(SELECT 1 FROM main.\"%w__crsql_meta\" WHERE key = x.%s) "
		    "ORDER BY 1", t->rowid, t->name, t->noted, t->rowid);
	next_run(&runs);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (!in_run(&runs, key) && record_add(&e->capture->list,
		    RECORD_INSERT, t->id, key) == NULL)
			rc = SQLITE_NOMEM;
	}
	sqlite3_finalize(stmt);
	sqlite3_finalize(runs.stmt);
	return rc;
}

int
resync_table(struct engine *e, struct table *t)
{
	int rc = forget_gone(e, t);

	t->has_meta = -1;
	return rc == SQLITE_OK ? note_new(e, t) : rc;
}

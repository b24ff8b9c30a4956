// SPDX-License-Identifier: MPL-2.0
/*
 * rebuilt.c - tables that a tool made anew, and copies of the database as text: what
 * is to be repaired, by repair.c; crsql_repair.  See repair.h.
 */
#include "crdt/repair.h"

#include "crdt/apply.h"
#include "crdt/capture.h"
#include "crdt/copied.h"
#include "crdt/log.h"
#include "crdt/lookaside.h"

SQLITE_EXTENSION_INIT3

/* -- a table that a tool made anew ------------------------------------------------- */

/* Columns that were changed in all rows are told as updated by one. */
static int
note_changed(struct engine *e, struct table *t, uint64_t columns)
{
	struct record *r = NULL;
	sqlite3_stmt *stmt;
	int64_t key, dbv;
	int rc = engine_prepare(e, &stmt, "SELECT %s FROM main.\"%w\" ORDER BY 1",
	    t->rowid, t->name);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (r != NULL && log_goes_on(r->key, r->n, key)) {
			r->n++;
			continue;
		}
		r = record_add(&e->capture->list, RECORD_UPDATE, t->id, key);
		if (r == NULL) {
			rc = SQLITE_NOMEM;
			break;
		}
		r->n = 1;
		r->mask = columns;
	}
	rc = engine_finalize(stmt, rc);
	/* what the samples have is told by these */
	if (rc == SQLITE_OK)
		rc = tx_own_dbv(e, &dbv);
	return rc == SQLITE_OK ? sample_take(e, t, true) : rc;
}

/* Where sampled rows are that no waiting record speaks of. */
static int
look(struct engine *e, struct table *t, struct samples *s)
{
	struct compare *pending;
	int rc = compare_new(e, false, &pending);

	if (rc == SQLITE_OK)
		rc = sample_look(e, t, pending, s);
	compare_free(pending);
	return rc;
}

int
repair_values(struct engine *e, struct table *t)
{
	struct samples s;
	uint64_t changed = 0;
	int rc;

	if (t->aside)
		return SQLITE_OK;       /* it has no samples */
	rc = look(e, t, &s);
	if (rc != SQLITE_OK)
		return rc;
	rc = sample_changed(e, t, &s, &changed);
	sample_free(&s);
	return rc == SQLITE_OK && changed != 0 ? note_changed(e, t, changed) : rc;
}

static int
rebuild(struct engine *e, struct table *t, bool by_list, struct samples *s)
{
	struct remap r;
	uint64_t changed;
	int64_t lost = 0;
	int rc = by_list ? remap_by_list(e, t, s, &r)
	    : remap_by_samples(e, t, s, false, &r);

	if (rc == SQLITE_OK)
		rc = sample_changed(e, t, s, &changed);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &lost, "SELECT EXISTS(SELECT 1 FROM "
		    "temp.crsql_lost)");
	if (rc == SQLITE_OK && (r.moved > 0 || r.doubt || lost))
		rc = repair_write(e, t, &r, changed);
	else if (rc == SQLITE_OK && changed != 0)
		rc = note_changed(e, t, changed);
	return rc == SQLITE_OK ? remap_clear(e) : rc;
}

int
repair_rebuilt(struct engine *e, struct table *t, bool by_list)
{
	struct samples s;
	int rc = look(e, t, &s);

	if (rc != SQLITE_OK)
		return rc;
	rc = rebuild(e, t, by_list, &s);
	sample_free(&s);
	return rc;
}

/* -- crsql_repair -------------------------------------------------------------------- */

static int
repair_table(struct engine *e, struct table *t, bool copied)
{
	uint64_t changed = 0;
	struct samples s;
	struct remap r;
	int rc = sample_look(e, t, NULL, &s);

	if (rc != SQLITE_OK)
		return rc;
	if (copied || s.moved > 0) {
		rc = remap_by_samples(e, t, &s, copied, &r);
		if (rc == SQLITE_OK && !copied)
			rc = sample_changed(e, t, &s, &changed);
		if (rc == SQLITE_OK && r.moved > 0)
			rc = repair_write(e, t, &r, changed);
		if (rc == SQLITE_OK)
			rc = remap_clear(e);
	}
	sample_free(&s);
	return rc;
}

/* Other connections know when their columns were born, and look at it anew only
 * where the schema is another one than it was. */
static int
tell_others(struct engine *e)
{
	int rc = e->repaired == 0 ? SQLITE_OK : engine_exec(e, "CREATE TRIGGER "
	    "main.crsql_repaired AFTER DELETE ON crsql_tbl BEGIN SELECT 1; END; "
	    "DROP TRIGGER main.crsql_repaired");

	return rc == SQLITE_OK && e->repaired > 0 ? table_refresh(e) : rc;
}

/* A copy is repaired as a whole: all its tables were numbered anew. */
static int
repair_tables(struct engine *e, const char *name)
{
	struct table *moved = NULL, *t;
	bool copied;
	int i, rc = copied_look(e, &copied);

	if (rc == SQLITE_OK && name != NULL && table_find(e, name) == NULL)
		return engine_fail(e, SQLITE_ERROR, "table %s is not replicated", name);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!lookaside_names_pk(t) && (copied || name == NULL ||
		    sqlite3_stricmp(t->name, name) == 0))
			rc = repair_table(e, t, copied);
	}
	if (rc == SQLITE_OK)
		rc = tell_others(e);
	if (rc == SQLITE_OK && copied)
		rc = copied_begin_life(e);
	if (rc == SQLITE_OK)
		rc = copied_find_moved(e, &moved);
	if (rc == SQLITE_OK && moved == NULL)
		return copied_note(e);
	e->tables.half = true;  /* the next transaction is told of that one */
	return rc;
}

static int
repair(struct engine *e, const char *name)
{
	struct apply_scope scope;
	int rc;

	e->repairing = true;
	e->repaired = 0;
	rc = apply_begin(e, false, &scope);
	e->merging++;           /* what is written is not captured */
	if (rc == SQLITE_OK && e->has_storage)
		rc = repair_tables(e, name);
	e->merging--;
	rc = apply_end(e, &scope, rc);
	e->repairing = false;
	if (rc != SQLITE_OK) {
		table_doubt(e);
		e->tables.rows_looked = -1;
	}
	return rc;
}

static void
repair_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc = argc > 1 ? engine_fail(e, SQLITE_ERROR, "crsql_repair wants the name "
	    "of a table, or nothing") : repair(e, argc == 1 ?
	    (const char *)sqlite3_value_text(argv[0]) : NULL);

	if (rc == SQLITE_OK)
		sqlite3_result_int(ctx, e->repaired);
	else
		engine_result_error(e, ctx, rc);
}

int
repair_register(struct engine *e)
{
	return sqlite3_create_function(e->db, "crsql_repair", -1, SQLITE_UTF8 |
	    SQLITE_DIRECTONLY, e, repair_function, NULL, NULL);
}

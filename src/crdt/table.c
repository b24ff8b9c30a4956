// SPDX-License-Identifier: MPL-2.0
/*
 * table.c - look-ups in the list of replicated tables, and what is known of the
 * rows of one.  table_list.c reads the list.
 */
#include "crdt/table.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/horizon.h"
#include "crdt/lookaside.h"
#include "crdt/sample.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* -- memory ------------------------------------------------------------------ */

void
table_free(struct table *t)
{
	int i;

	for (i = 0; i < TS_COUNT; i++)
		sqlite3_finalize(t->stmt[i]);
	for (i = 0; i < t->nmasked; i++)
		sqlite3_finalize(t->masked[i].stmt);
	sqlite3_free(t->masked);
	columns_free(t->pk, t->npk);
	columns_free(t->col, t->ncol);
	columns_free_names(t);
	sqlite3_free(t->name);
	sqlite3_free(t->noted);
	lookaside_free_shape(t);
}

void
table_drop_statements(struct table *t)
{
	int i, n = 0;

	for (i = 0; i < TS_COUNT; i++)
		if (!sqlite3_stmt_busy(t->stmt[i])) {
			sqlite3_finalize(t->stmt[i]);
			t->stmt[i] = NULL;
		}
	for (i = 0; i < t->nmasked; i++)
		if (sqlite3_stmt_busy(t->masked[i].stmt))
			t->masked[n++] = t->masked[i];
		else
			sqlite3_finalize(t->masked[i].stmt);
	t->nmasked = n;
}

bool
table_any_bare(const struct table_list *l)
{
	int i;

	for (i = 0; i < l->n && !l->table[i].bare; i++)
		;
	return i < l->n;
}

bool
table_born_with_any(const struct table *t, int64_t key)
{
	int i;

	for (i = 0; i < t->ncol && key <= t->col[i].born; i++)
		;
	return i < t->ncol;
}

void
table_free_list(struct table_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		table_free(&l->table[i]);
	sqlite3_free(l->table);
	namemap_clear(&l->names);
	l->table = NULL;
	l->n = l->room = 0;
}

void
table_forget_all(struct engine *e)
{
	table_free_list(&e->tables);
	e->tables.schema_version = -1;
	e->tables.generation++;
}

/* -- look-ups ------------------------------------------------------------------ */

struct table *
table_find(struct engine *e, const char *name)
{
	int i = namemap_get(&e->tables.names, name);

	return i >= 0 ? &e->tables.table[i] : NULL;
}

int
table_column(const struct table *t, const char *name, int len)
{
	int i;

	for (i = 0; i < t->ncol; i++)
		if (columns_same(t->col[i].name, name, len))
			return i;
	return -1;
}

int
table_column_by_cid(const struct table *t, int cid)
{
	int i;

	if (cid >= 0 && cid < t->ncol && t->col[cid].cid == cid)
		return cid;
	for (i = 0; i < t->ncol && cid >= 0; i++)
		if (t->col[i].cid == cid)
			return i;
	return -1;
}

int64_t
table_stride(const struct table *t, int64_t key)
{
	int i, n = 0;

	for (i = 0; i < t->ncol; i++)
		n += t->col[i].born < key;
	return n > 0 ? n : 1;
}

int
table_find_key(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, bool *found, int64_t *key)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, t, TS_FIND, &stmt);

	*found = false;
	if (rc == SQLITE_OK)
		rc = pack_bind(stmt, 1, pk, npk, t->npk);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		*found = true;
		*key = sqlite3_column_int64(stmt, 0);
	}
	rc = sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

int
table_find_row(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    int64_t wanted, sqlite3_stmt **row, int64_t *key)
{
	sqlite3_stmt *stmt;
	bool all = wanted == TABLE_WANT_ALL;
	int rc = table_stmt(e, t, all ? TS_FIND_ALL : TS_FIND_ROW, &stmt);

	*row = NULL;
	if (rc == SQLITE_OK)
		rc = pack_bind(stmt, 1, pk, npk, t->npk);
	if (rc == SQLITE_OK && !all && t->ncol > 0)
		rc = sqlite3_bind_int64(stmt, t->npk + 1, wanted);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) != SQLITE_ROW)
		return engine_reset(stmt, rc);
	*key = sqlite3_column_int64(stmt, 0);
	*row = stmt;
	return rc;
}

int
table_end_row(sqlite3_stmt *row)
{
	int rc = sqlite3_reset(row);

	sqlite3_clear_bindings(row);
	return rc;
}

int
table_pk_of_key(struct engine *e, struct table *t, int64_t key,
    uint8_t **pk, int *npk)
{
	struct val v[PACK_MAX_COLUMNS];
	sqlite3_stmt *stmt;
	struct buf b;
	int i, rc = table_stmt(e, t, TS_ROW, &stmt);

	*pk = NULL;
	*npk = 0;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, key);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		buf_init(&b, INT32_MAX);
		for (i = 0; i < t->npk; i++)
			v[i] = val_of_column(stmt, i);
		rc = pack_key(v, t->npk, &b);
		*pk = rc == SQLITE_OK ? sqlite3_malloc64(b.len + 1) : NULL;
		if (*pk != NULL) {
			memcpy(*pk, b.data, b.len);
			*npk = (int)b.len;
		} else if (rc == SQLITE_OK) {
			rc = SQLITE_NOMEM;
		}
		buf_clear(&b);
	}
	return engine_reset(stmt, rc);
}

/* -- highest key, flags ------------------------------------------------------------ */

int
table_max_key(struct engine *e, struct table *t, int64_t below, int64_t *out)
{
	sqlite3_stmt *stmt;
	int rc;

	*out = 0;
	if (t->aside && !t->numbered)
		return SQLITE_OK;
	rc = table_stmt(e, t, TS_MAX_KEY, &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, below);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	return sqlite3_reset(stmt);
}

int
table_load_hw(struct engine *e, struct table *t)
{
	int64_t stored = 0, top;
	sqlite3_stmt *stmt;
	int rc;

	if (t->hw >= 0)
		return SQLITE_OK;
	rc = engine_prepare(e, &stmt, "SELECT hw, (SELECT value FROM crsql_master "
	    "WHERE key = 'check.%d') FROM crsql_tbl WHERE id = %d", t->id, t->id);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		stored = sqlite3_column_int64(stmt, 0);
		sample_note(t, sqlite3_column_blob(stmt, 1),
		    sqlite3_column_bytes(stmt, 1));
	}
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK)
		rc = table_max_key(e, t, INT64_MAX, &top);
	if (rc == SQLITE_OK) {
		t->hw = stored > top ? stored : top;
		top = e->capture ? capture_top_key(e->capture, t->id) : 0;
		if (t->hw < top)
			t->hw = top;
	}
	return rc;
}

int
table_save_hw(struct engine *e, struct table *t)
{
	int64_t top;
	int rc;

	if (t->hw < 0)
		return SQLITE_OK;
	rc = table_max_key(e, t, INT64_MAX, &top);
	if (rc == SQLITE_OK && top < t->hw)
		rc = engine_exec(e, "UPDATE crsql_tbl SET hw = %lld WHERE id = %d "
		    "AND coalesce(hw, 0) < %lld", t->hw, t->id, t->hw);
	return rc;
}

int
table_load_flags(struct engine *e, struct table *t)
{
	int64_t any = 0;
	int rc = SQLITE_OK;

	if (t->has_dead < 0) {
		rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM "
		    "main.\"%w__crsql_dead\")", t->noted);
		t->has_dead = rc == SQLITE_OK ? any != 0 : -1;
	}
	if (rc == SQLITE_OK && t->has_meta < 0) {
		rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM "
		    "main.\"%w__crsql_meta\")", t->noted);
		t->has_meta = rc == SQLITE_OK ? any != 0 : -1;
	}
	return rc;
}

void
table_forget_state(struct engine *e)
{
	int i;

	horizon_forget(e);
	for (i = 0; i < e->tables.n; i++) {
		e->tables.table[i].hw = -1;
		e->tables.table[i].has_dead = -1;
		e->tables.table[i].has_meta = -1;
		e->tables.table[i].alone = -1;
	}
}

void
table_forget_births(struct engine *e)
{
	struct table *t;
	int i, j;

	for (i = 0; i < e->tables.n; i++) {
		t = &e->tables.table[i];
		for (j = 0; j < t->ncol; j++) {
			if (!t->col[j].unsaved && t->epoch != e->tables.epoch)
				continue;
			t->col[j].unsaved = false;
			t->col[j].born = INT64_MAX;
			t->print = 0;           /* to be read anew */
		}
	}
}

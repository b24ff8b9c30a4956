// SPDX-License-Identifier: MPL-2.0
/*
 * table.c - reading the schema of replicated tables and noticing what changed
 * in it.
 */
#include "crdt/table.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/copied.h"
#include "crdt/lost.h"
#include "crdt/merge.h"
#include "crdt/resync.h"
#include "crdt/sample.h"
#include "crdt/triggers.h"
#include "crdt/unique.h"
#include "crdt/views.h"

SQLITE_EXTENSION_INIT3

enum { VIRTUAL = 2 };   /* pragma_table_xinfo: generated when read */

/* -- memory ------------------------------------------------------------------ */

static void
free_table(struct table *t)
{
	int i;

	for (i = 0; i < TS_COUNT; i++)
		sqlite3_finalize(t->stmt[i]);
	for (i = 0; i < t->nmasked; i++)
		sqlite3_finalize(t->masked[i].stmt);
	columns_free(t->pk, t->npk);
	columns_free(t->col, t->ncol);
	columns_free_names(t);
	sqlite3_free(t->name);
	sqlite3_free(t->noted);
}

static void
free_list(struct table_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		free_table(&l->table[i]);
	sqlite3_free(l->table);
	l->table = NULL;
	l->n = 0;
}

void
table_forget_all(struct engine *e)
{
	free_list(&e->tables);
	e->tables.schema_version = -1;
	e->tables.generation++;
}

/* -- look-ups ------------------------------------------------------------------ */

struct table *
table_find(struct engine *e, const char *name)
{
	int i;

	for (i = 0; i < e->tables.n; i++)
		if (sqlite3_stricmp(e->tables.table[i].name, name) == 0)
			return &e->tables.table[i];
	return NULL;
}

struct table *
table_by_id(struct engine *e, int id)
{
	int i;

	for (i = 0; i < e->tables.n; i++)
		if (e->tables.table[i].id == id)
			return &e->tables.table[i];
	return NULL;
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
	int rc = table_stmt(e, t, TS_MAX_KEY, &stmt);

	*out = 0;
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

	for (i = 0; i < e->tables.n; i++) {
		e->tables.table[i].hw = -1;
		e->tables.table[i].has_dead = -1;
		e->tables.table[i].has_meta = -1;
	}
}

/* -- reading the schema ---------------------------------------------------------------- */

/* SQLite's rules of affinity (datatype3.html, section 3.1). */
static char
affinity_of(const char *type)
{
	static const struct { const char *like; char affinity; } rules[] = {
		{ "%INT%", 'D' }, { "%CHAR%", 'B' }, { "%CLOB%", 'B' },
		{ "%TEXT%", 'B' }, { "", 'A' }, { "%BLOB%", 'A' },
		{ "ANY", 'A' }, { "%REAL%", 'E' }, { "%FLOA%", 'E' },
		{ "%DOUB%", 'E' }, { "%", 'C' },
	};
	size_t i = 0;

	while (sqlite3_strlike(rules[i].like, type, 0) != 0)
		i++;            /* the last is like all */
	return rules[i].affinity;
}

static int
add_column(struct column **list, int *n, int at, int stored, sqlite3_stmt *stmt)
{
	struct column *c = sqlite3_realloc64(*list,
	    sizeof *c * (uint64_t)(*n > at ? *n + 1 : at + 1));
	int rc = SQLITE_OK;

	if (c == NULL)
		return SQLITE_NOMEM;
	*list = c;
	for (; *n <= at; (*n)++)
		memset(&c[*n], 0, sizeof *c);
	c[at].position = sqlite3_column_int(stmt, 0);
	c[at].stored = stored;
	c[at].affinity = affinity_of(engine_column(stmt, 2, &rc));
	c[at].has_default = sqlite3_column_type(stmt, 6) != SQLITE_NULL;
	c[at].cid = -1;
	return rc == SQLITE_OK ? engine_copy(stmt, 1, &c[at].name) : rc;
}

/* The first of rowid's names that is not a column's. */
static void
choose_rowid(struct table *t, bool shadowed[3])
{
	static const char *const names[] = { "rowid", "_rowid_", "oid" };
	int i;

	t->rowid = NULL;
	for (i = 2; i >= 0; i--)
		if (!shadowed[i])
			t->rowid = names[i];
	if (t->integer_key)
		t->rowid = t->rowid ? t->rowid : "rowid";
}

/* What the hook's functions count by differs where a virtual column stands
 * before others. */
static int
choose_positions(struct engine *e, struct table *t)
{
	bool by_stored = false, differ = false;
	int i, rc;

	for (i = 0; i < t->npk; i++)
		differ |= t->pk[i].position != t->pk[i].stored;
	for (i = 0; i < t->ncol; i++)
		differ |= t->col[i].position != t->col[i].stored;
	if (!differ)
		return SQLITE_OK;
	rc = capture_counts_stored(e, &by_stored);
	for (i = 0; i < t->npk && by_stored; i++)
		t->pk[i].position = t->pk[i].stored;
	for (i = 0; i < t->ncol && by_stored; i++)
		t->col[i].position = t->col[i].stored;
	return rc;
}

/* INTEGER PRIMARY KEY DESC alone has an index: it is no other name of the rowid
 * (lang_createtable.html, section 5). */
static int
is_rowid(struct engine *e, const struct table *t, bool *rowid)
{
	int64_t index = 0;
	int rc = engine_int(e, &index, "SELECT EXISTS(SELECT 1 FROM "
	    "pragma_index_list(%Q, 'main') WHERE origin = 'pk')", t->name);

	*rowid = index == 0;
	return rc;
}

int
table_read_shape(struct engine *e, struct table *t)
{
	static const char *const names[] = { "rowid", "_rowid_", "oid" };
	bool shadowed[3] = { false, false, false };
	const char *name, *type = "";
	bool integer = false;
	sqlite3_stmt *stmt;
	int i, pk, hidden, stored = 0;
	int rc = engine_prepare(e, &stmt, "SELECT cid, name, type, pk, hidden, "
	    "\"notnull\", dflt_value FROM pragma_table_xinfo(%Q, 'main') WHERE "
	    "hidden <> 1 ORDER BY cid",
	    t->name);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 1, &rc);
		for (i = 0; i < 3; i++)
			shadowed[i] |= sqlite3_stricmp(name, names[i]) == 0;
		hidden = sqlite3_column_int(stmt, 4);
		if (hidden != VIRTUAL)
			stored++;
		if (hidden != 0)
			continue;       /* generated */
		pk = sqlite3_column_int(stmt, 3);
		type = engine_column(stmt, 2, &rc);
		if (pk > 0 && sqlite3_stricmp(type, "INTEGER") == 0)
			integer = true;
		if (pk > 0 && sqlite3_column_int(stmt, 5) == 0)
			t->nullable_key = true;
		if (rc == SQLITE_OK)
			rc = pk > 0 ? add_column(&t->pk, &t->npk, pk - 1,
			    stored - 1, stmt) : add_column(&t->col, &t->ncol,
			    t->ncol, stored - 1, stmt);
	}
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK && t->npk == 1 && integer)
		rc = is_rowid(e, t, &t->integer_key);
	if (t->integer_key)
		t->nullable_key = false;
	choose_rowid(t, shadowed);
	return rc == SQLITE_OK ? choose_positions(e, t) : rc;
}

static int
read_table(struct engine *e, int id, const char *name, const char *noted)
{
	struct table *list = sqlite3_realloc64(e->tables.table,
	    sizeof *list * (uint64_t)(e->tables.n + 1));
	struct table *t;
	int rc;

	if (list == NULL)
		return SQLITE_NOMEM;
	e->tables.table = list;
	t = &list[e->tables.n++];
	memset(t, 0, sizeof *t);
	t->id = id;
	t->hw = t->has_dead = t->has_meta = -1;
	t->lean = alter_is_lean(e, id);
	t->name = sqlite3_mprintf("%s", name);
	t->noted = sqlite3_mprintf("%s", noted);
	rc = t->name && t->noted ? table_read_shape(e, t) : SQLITE_NOMEM;
	/* another table in its place, which mending forgets */
	if (rc == SQLITE_OK && (t->npk == 0 || t->npk > PACK_MAX_COLUMNS)) {
		free_table(t);
		e->tables.n--;
		return SQLITE_OK;
	}
	if (rc == SQLITE_OK && t->rowid == NULL)
		rc = engine_fail(e, SQLITE_ERROR, "Table %s has columns called rowid, "
		    "_rowid_ and oid: its rowids can't be reached", name);
	if (rc == SQLITE_OK)
		rc = columns_read(e, t);
	return rc;
}

/* A renamed table is known by its triggers: SQLite takes them along under
 * their old names.  Another may have its name by now. */
static int
read_tables(struct engine *e)
{
	const char *now, *name;
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT id, now, name FROM (SELECT t.id, "
	    "t.name, coalesce((SELECT g.tbl_name FROM main.sqlite_schema g WHERE "
	    "g.type = 'trigger' AND g.name = t.name || '__crsql_itrig'), (SELECT "
	    "s.name FROM main.sqlite_schema s WHERE s.type = 'table' AND s.name = "
	    "t.name)) AS now FROM crsql_tbl t) WHERE now IS NOT NULL "
	    "ORDER BY id");

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		now = engine_column(stmt, 1, &rc);
		name = engine_column(stmt, 2, &rc);
		if (rc == SQLITE_OK)
			rc = read_table(e, sqlite3_column_int(stmt, 0), now,
			    name);
	}
	return engine_finalize(stmt, rc);
}

/* A column found before in this transaction was born then, not now. */
static void
keep_births(struct engine *e, const struct table_list *old)
{
	struct table *t;
	int i;

	for (i = 0; i < old->n; i++) {
		t = table_by_id(e, old->table[i].id);
		if (t != NULL)
			columns_keep_births(t, &old->table[i]);
	}
}

void
table_forget_births(struct engine *e)
{
	int i, j;

	for (i = 0; i < e->tables.n; i++)
		for (j = 0; j < e->tables.table[i].ncol; j++)
			e->tables.table[i].col[j].unsaved = false;
}

static void
find_youngest(struct engine *e)
{
	struct table *t;
	int i, j;

	for (i = 0; i < e->tables.n; i++) {
		t = &e->tables.table[i];
		t->youngest = INT64_MIN;
		for (j = 0; j < t->ncol; j++)
			if (t->col[j].born > t->youngest)
				t->youngest = t->col[j].born;
	}
}

static int
schema_version(struct engine *e, int64_t *out)
{
	*out = 0;
	return engine_cached_int(e, SLOT_SCHEMA, "PRAGMA main.schema_version", out);
}

/* What was captured up to when a table was first seen to be made anew goes by
 * the rowids that its rows had before. */
static int
note_rebuilt(struct engine *e)
{
	int64_t rebuilt = 0;
	int rc = engine_int(e, &rebuilt, "SELECT EXISTS(SELECT 1 FROM crsql_tbl WHERE "
	    "name || '__crsql_itrig' NOT IN (SELECT name FROM main.sqlite_schema "
	    "WHERE type = 'trigger'))");

	if (!e->tables.rebuilt && e->capture != NULL)
		e->capture->before_change = e->capture->list.n;
	e->tables.rebuilt = rebuilt != 0;
	return rc;
}

/* Reads all anew; old is what was known before. */
static int
read_all(struct engine *e, const struct table_list *old)
{
	int64_t has = 0;
	int i, rc = engine_int(e, &has, "SELECT count(*) FROM main.sqlite_schema "
	    "WHERE name = 'crsql_log'");

	if (rc == SQLITE_OK)
		e->has_storage = has > 0;
	if (rc == SQLITE_OK && e->has_storage)
		rc = read_tables(e);
	if (rc != SQLITE_OK)
		return rc;
	keep_births(e, old);
	find_youngest(e);
	rc = triggers_look_for_fail(e);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = triggers_look(e, &e->tables.table[i]);
	if (rc == SQLITE_OK && e->has_storage)
		rc = note_rebuilt(e);
	return rc;
}

int
table_refresh(struct engine *e)
{
	struct table_list old;
	int64_t version;
	int rc = schema_version(e, &version);

	if (rc == SQLITE_OK && version == e->tables.schema_version)
		return SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	if (rc == SQLITE_OK)
		rc = ext_watch(e);
	if (rc != SQLITE_OK)
		return rc;
	old = e->tables;
	e->tables.table = NULL;
	e->tables.n = 0;
	engine_drop_statements(e);
	rc = read_all(e, &old);
	if (rc == SQLITE_OK)
		rc = views_follow(e);
	/* what was found before in this transaction is not to be found again */
	if (rc != SQLITE_OK) {
		free_list(&e->tables);
		e->tables.table = old.table;
		e->tables.n = old.n;
	} else {
		free_list(&old);
	}
	e->tables.schema_version = rc == SQLITE_OK ? version : -1;
	return rc;
}

/* -- what follows from a change of the schema ------------------------------------------ */

int
table_mend(struct engine *e)
{
	int i, rc = table_refresh(e);

	if (rc != SQLITE_OK || !e->has_storage ||
	    e->tables.mended == e->tables.schema_version)
		return rc;
	rc = copied_check(e);
	if (rc == SQLITE_OK)
		rc = lost_follow(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = columns_save(e, &e->tables.table[i]);
	return rc == SQLITE_OK ? resync_tables(e) : rc;
}

int
table_mend_triggers(struct engine *e)
{
	int i, rc = SQLITE_OK;

	if (!e->has_storage || e->tables.mended == e->tables.schema_version)
		return SQLITE_OK;
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = triggers_make(e, &e->tables.table[i]);
	if (rc == SQLITE_OK)
		rc = unique_note(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	if (rc == SQLITE_OK && !e->repairing)
		rc = copied_note(e);
	e->tables.mended = rc == SQLITE_OK ? e->tables.schema_version : -1;
	return rc;
}

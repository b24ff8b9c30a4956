// SPDX-License-Identifier: MPL-2.0
/* lookaside.c - see lookaside.h. */
#include "crdt/lookaside.h"

#include "crdt/journal.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

#define LOOKASIDE "main.crsql_key_%d"

const char *const lookaside_rowids[3] = { "rowid", "_rowid_", "oid" };

/* -- texts ---------------------------------------------------------------------- */

/* A number before each of p1, p2 ... */
static void
add_list(sqlite3_str *s, const struct table *t, const char *before,
    const char *comma)
{
	int i;

	for (i = 1; i <= t->npk; i++)
		sqlite3_str_appendf(s, "%s%s%d", i > 1 ? comma : "", before, i);
}

/* p1 = ?1 AND p2 = ?2 ..., or of the row that is called t: its columns without
 * their affinity, by which the index could not be used. */
static void
add_terms(sqlite3_str *s, const struct table *t, bool row)
{
	int i;

	for (i = 0; i < t->npk; i++) {
		sqlite3_str_appendf(s, "%sp%d = ", i ? " AND " : "", i + 1);
		if (row)
			sqlite3_str_appendf(s, "+t.\"%w\"", t->pk[i].name);
		else
			sqlite3_str_appendf(s, "?%d", i + 1);
	}
}

void
lookaside_add_key_of_row(sqlite3_str *s, const struct table *t)
{
	sqlite3_str_appendf(s, "(SELECT k FROM " LOOKASIDE " WHERE ", t->id);
	add_terms(s, t, true);
	sqlite3_str_appendall(s, ")");
}

void
lookaside_add_stmt(sqlite3_str *s, const struct table *t, enum table_stmt which)
{
	switch (which) {
	case TS_KEY_GET:
		sqlite3_str_appendf(s, "SELECT k FROM " LOOKASIDE " WHERE ", t->id);
		add_terms(s, t, false);
		break;
	case TS_KEY_PUT:
		sqlite3_str_appendf(s, "INSERT INTO " LOOKASIDE "(", t->id);
		add_list(s, t, "p", ", ");
		sqlite3_str_appendall(s, ") VALUES(");
		add_list(s, t, "?", ", ");
		sqlite3_str_appendall(s, ")");
		break;
	case TS_KEY_PK:
		sqlite3_str_appendall(s, "SELECT ");
		add_list(s, t, "p", ", ");
		sqlite3_str_appendf(s, " FROM " LOOKASIDE " WHERE k = ?1", t->id);
		break;
	default:        /* TS_MAX_KEY */
		sqlite3_str_appendf(s, "SELECT k FROM " LOOKASIDE " WHERE k < ?1 "
		    "ORDER BY k DESC LIMIT 1", t->id);
		break;
	}
}

/* -- how keys are had ----------------------------------------------------------- */

void
lookaside_free_shape(struct table *t)
{
	sqlite3_free(t->rowid);
	sqlite3_free(t->from);
	sqlite3_free(t->where);
	t->rowid = t->from = t->where = NULL;
}

/* A name for keys that no column has. */
static char *
free_name(const struct table *t)
{
	char *name = sqlite3_mprintf("crsql key"), *longer;
	int i = 0;

	while (name != NULL && i < t->npk + t->ncol) {
		const struct column *c = i < t->npk ? &t->pk[i] :
		    &t->col[i - t->npk];

		i++;
		if (sqlite3_stricmp(c->name, name) != 0)
			continue;
		longer = sqlite3_mprintf("%s_", name);
		sqlite3_free(name);
		name = longer;
		i = 0;
	}
	longer = name ? sqlite3_mprintf("\"%w\"", name) : NULL;
	sqlite3_free(name);
	return longer;
}

/* Numbers in order, and for each the row that has its key: an outer loop over
 * the one and a look-up in the other. */
static int
aside_texts(struct engine *e, struct table *t)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int i, rc;

	t->rowid = free_name(t);
	sqlite3_str_appendf(s, "(SELECT k.k AS %s, t.* FROM " LOOKASIDE " k CROSS "
	    "JOIN main.\"%w\" t ON ", t->rowid ? t->rowid : "", t->id, t->name);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%st.\"%w\" = k.p%d", i ? " AND " : "",
		    t->pk[i].name, i + 1);
	sqlite3_str_appendall(s, ")");
	rc = engine_text(s, t->rowid ? SQLITE_OK : SQLITE_NOMEM, &t->from);
	if (rc != SQLITE_OK)
		return rc;
	s = sqlite3_str_new(e->db);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\" = (SELECT p%d FROM " LOOKASIDE
		    " WHERE k = ?1)", i ? " AND " : "", t->pk[i].name, i + 1,
		    t->id);
	return engine_text(s, SQLITE_OK, &t->where);
}

/* The first of rowid's names that is not a column's; if there is none, the key is
 * another one. */
static int
rowid_texts(struct table *t, const bool shadowed[3])
{
	int i;

	for (i = 0; i < 3 && shadowed[i]; i++)
		;
	t->rowid = i < 3 ? sqlite3_mprintf("%s", lookaside_rowids[i]) :
	    sqlite3_mprintf("\"%w\"", t->pk[0].name);
	t->from = sqlite3_mprintf("main.\"%w\"", t->name);
	if (t->rowid != NULL)
		t->where = sqlite3_mprintf("%s = ?1", t->rowid);
	return t->from && t->where ? SQLITE_OK : SQLITE_NOMEM;
}

/* The index of a key that is the table itself has no rowid at its end.  Who has
 * numbers keeps them.  Who has none and needs them by now is another table. */
static int
find_form(struct engine *e, struct table *t, bool nameless)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_KEY_FORM, "SELECT EXISTS(SELECT 1 FROM "
	    "pragma_index_list(?1, 'main') l WHERE l.origin = 'pk' AND NOT "
	    "EXISTS(SELECT 1 FROM pragma_index_xinfo(l.name, 'main') WHERE "
	    "cid = -1)), (SELECT substr(value, 2, 1) FROM main.crsql_master WHERE "
	    "key = 'key.' || ?2)", &stmt);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, t->name, -1, SQLITE_TRANSIENT);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(stmt, 2, t->id);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		t->norowid = sqlite3_column_int(stmt, 0) != 0;
		t->aside = t->norowid || nameless ||
		    sqlite3_column_int(stmt, 1) == KEY_ASIDE;
	}
	return engine_reset(stmt, rc);
}

static int
is_there(struct engine *e, int id, int64_t *there)
{
	return engine_int(e, there, "SELECT 1 FROM main.sqlite_schema WHERE "
	    "type = 'table' AND name = 'crsql_key_%d'", id);
}

int
lookaside_shape(struct engine *e, struct table *t, const bool shadowed[3])
{
	int64_t there = 0;
	int rc = SQLITE_OK;

	t->norowid = t->aside = false;
	lookaside_free_shape(t);
	if (!t->integer_key && t->npk > 0)
		rc = find_form(e, t, shadowed[0] && shadowed[1] && shadowed[2]);
	if (rc == SQLITE_OK && t->aside)
		rc = is_there(e, t->id, &there);
	t->numbered = there != 0;
	if (rc != SQLITE_OK)
		return rc;
	return t->aside ? aside_texts(e, t) : rowid_texts(t, shadowed);
}

/* -- the table ------------------------------------------------------------------ */

/* Those of tables that are none any more and could not be dropped then; nor now,
 * perhaps. */
static int
drop_stray(struct engine *e)
{
	int rc = engine_drop_each(e, "TABLE", "SELECT name FROM "
	    "main.sqlite_schema WHERE type = 'table' AND name GLOB "
	    "'crsql_key_[0-9]*' AND name NOT IN (SELECT 'crsql_key_' || id FROM "
	    "crsql_tbl)");

	return rc == SQLITE_LOCKED ? SQLITE_OK : rc;
}

int
lookaside_make(struct engine *e, struct table *t)
{
	sqlite3_str *s;
	char *columns;
	int rc;

	if (!t->aside)
		return SQLITE_OK;
	rc = drop_stray(e);
	if (rc != SQLITE_OK)
		return rc;
	s = sqlite3_str_new(e->db);
	add_list(s, t, "p", ", ");
	rc = engine_text(s, SQLITE_OK, &columns);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "CREATE TABLE IF NOT EXISTS " LOOKASIDE
		    "(k INTEGER PRIMARY KEY, %s, UNIQUE(%s))", t->id, columns,
		    columns);
	t->numbered = rc == SQLITE_OK;
	sqlite3_free(columns);
	return rc;
}

int
lookaside_drop(struct engine *e, int id)
{
	return engine_exec(e, "DROP TABLE IF EXISTS " LOOKASIDE, id);
}

int
lookaside_empty(struct engine *e, int id)
{
	int64_t there = 0;
	int rc = is_there(e, id, &there);

	return rc == SQLITE_OK && there ? engine_exec(e, "DELETE FROM " LOOKASIDE,
	    id) : rc;
}

/* -- numbers -------------------------------------------------------------------- */

int
lookaside_fill(struct engine *e, struct table *t)
{
	int64_t last = sqlite3_last_insert_rowid(e->db);
	sqlite3_str *s;
	char *sql;
	int i, rc;

	if (!t->aside)
		return SQLITE_OK;
	/* what was the highest before is not to be told by what is new */
	rc = table_load_hw(e, t);
	if (rc != SQLITE_OK)
		return rc;
	s = sqlite3_str_new(e->db);
	sqlite3_str_appendf(s, "INSERT INTO " LOOKASIDE "(", t->id);
	add_list(s, t, "p", ", ");
	sqlite3_str_appendall(s, ") SELECT ");
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i ? ", " : "", t->pk[i].name);
	sqlite3_str_appendf(s, " FROM main.\"%w\" t WHERE NOT EXISTS", t->name);
	lookaside_add_key_of_row(s, t);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i ? ", " : " ORDER BY ",
		    t->pk[i].name);
	rc = engine_text(s, SQLITE_OK, &sql);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	sqlite3_set_last_insert_rowid(e->db, last);
	return rc;
}

static int
give_number(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    int64_t *key)
{
	int64_t last = sqlite3_last_insert_rowid(e->db);
	sqlite3_stmt *stmt;
	int rc = table_load_hw(e, t);

	if (rc == SQLITE_OK)
		rc = table_stmt(e, t, TS_KEY_PUT, &stmt);
	if (rc == SQLITE_OK)
		rc = pack_bind(stmt, 1, pk, npk, t->npk);
	if (rc == SQLITE_OK)
		rc = engine_run(e, stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_clear_bindings(stmt);
	*key = sqlite3_last_insert_rowid(e->db);
	sqlite3_set_last_insert_rowid(e->db, last);
	return SQLITE_OK;
}

int
lookaside_number(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    bool create, int64_t *key)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, t, TS_KEY_GET, &stmt);

	*key = 0;
	if (rc == SQLITE_OK)
		rc = pack_bind(stmt, 1, pk, npk, t->npk);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*key = sqlite3_column_int64(stmt, 0);
	rc = engine_reset(stmt, rc);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_OK && *key == 0 && create ?
	    give_number(e, t, pk, npk, key) : rc;
}

int
lookaside_pk(struct engine *e, struct table *t, int64_t key, struct buf *b)
{
	struct val v[PACK_MAX_COLUMNS];
	sqlite3_stmt *stmt;
	int i, rc;

	b->len = 0;
	if (t->integer_key) {
		v[0] = (struct val){ .type = SQLITE_INTEGER, .i = key };
		return pack_key(v, 1, b);
	}
	rc = table_stmt(e, t, TS_KEY_PK, &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, key);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		for (i = 0; i < t->npk; i++)
			v[i] = val_of_column(stmt, i);
		rc = pack_key(v, t->npk, b);
	}
	return engine_reset(stmt, rc);
}

int
lookaside_journal(struct engine *e, const struct table *t, int64_t key,
    bool before)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	char *sql;
	int i, rc;

	sqlite3_str_appendall(s, "INSERT INTO main.crsql_j(id, w, pk");
	for (i = 2; i <= t->npk; i++)
		sqlite3_str_appendf(s, ", pk%d", i);
	sqlite3_str_appendf(s, ") SELECT (SELECT %s FROM main.crsql_j), %d, ",
	    before ? "min(id) - 1" : "max(id) + 1", 8 * t->id + JOURNAL_DELETE);
	add_list(s, t, "p", ", ");
	sqlite3_str_appendf(s, " FROM " LOOKASIDE " WHERE k = %lld", t->id,
	    (long long)key);
	rc = engine_text(s, SQLITE_OK, &sql);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * rows.c - what a merge writes to the user's table: inserts, updates, deletes
 * of one row, and the new life of one (R19).
 */
#include <string.h>

#include "crdt/lookaside.h"
#include "crdt/merge.h"
#include "crdt/sqltext.h"

/* Refused also if a trigger ignored it. */
static int
step(struct engine *e, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_DONE) {
		rc = sqlite3_reset(stmt);
		if (rc == SQLITE_OK && sqlite3_changes(e->db) == 0)
			rc = engine_fail(e, SQLITE_CONSTRAINT,
			    "constraint failed: a trigger ignored the row");
	} else {
		rc = sqlite3_extended_errcode(e->db);
		engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
		sqlite3_reset(stmt);
	}
	return rc;
}

/* What RAISE(FAIL) of a trigger refuses stays written.  Where no savepoint can
 * be had, in an INSERT of crsql_changes, it is not to be committed. */
static int
step_wholly(struct engine *e, sqlite3_stmt *stmt)
{
	bool marked = sqlite3_exec(e->db, "SAVEPOINT crsql_row", NULL, NULL,
	    NULL) == SQLITE_OK;
	int rc = step(e, stmt), rc2;

	if (rc != SQLITE_OK && !marked)
		e->incoming->broken = true;
	/* a trigger's RAISE(ROLLBACK) took the savepoint along */
	if (!marked || sqlite3_get_autocommit(e->db))
		return rc;
	rc2 = sqlite3_exec(e->db, rc == SQLITE_OK ? "RELEASE crsql_row" :
	    "ROLLBACK TO crsql_row; RELEASE crsql_row", NULL, NULL, NULL);
	return rc2 == SQLITE_OK ? rc : engine_fail(e, rc2, "%s",
	    sqlite3_errmsg(e->db));
}

/* Runs one write of a base table: not captured, and told by
 * crsql_internal_sync_bit(). */
static int
rows_write(struct engine *e, sqlite3_stmt *stmt)
{
	int rc;

	e->merging++;
	rc = e->tables.may_fail || e->temp_may_fail ? step_wholly(e, stmt) :
	    step(e, stmt);
	e->merging--;
	return rc;
}

/* The number that its pk has, or none yet: what is refused gets none. */
static int
known_number(struct engine *e, struct table *t, int64_t *key, bool *above)
{
	const struct buf *pk = &e->incoming->pk;
	int rc = lookaside_number(e, t, pk->data, (int)pk->len, false, key);

	*above = *key == 0 || *key > t->hw;
	return rc;
}

/* The key for a row that is not here: the pk itself, or one never used. */
static int
new_key(struct engine *e, struct table *t, int64_t *key, bool *above)
{
	int rc = table_load_hw(e, t);

	if (rc != SQLITE_OK)
		return rc;
	if (t->aside)
		return known_number(e, t, key, above);
	if (t->integer_key) {
		*key = e->incoming->pk_value[0].i;
		*above = *key > t->hw;
		return SQLITE_OK;
	}
	if (t->hw == INT64_MAX)
		return engine_fail(e, SQLITE_FULL,
		    "table %s has used its last rowid", t->name);
	*key = t->hw + 1;
	*above = true;
	return SQLITE_OK;
}

/* Binds key and pk of an INSERT; *next is the first parameter behind. */
static int
bind_key(struct engine *e, const struct table *t, sqlite3_stmt *stmt,
    int64_t key, int *next)
{
	int i, rc;

	rc = sqlite3_bind_int64(stmt, 1, key);
	*next = 2;
	for (i = 0; i < t->npk && !t->integer_key && rc == SQLITE_OK; i++)
		rc = val_bind(stmt, (*next)++, &e->incoming->pk_value[i]);
	return rc;
}

/* Writes a new row at *key.  A row of a trigger of the user's, which nobody
 * captured (R24), may lie there: then behind it. */
static int
write_new(struct engine *e, struct table *t, sqlite3_stmt *stmt, int64_t *key)
{
	int64_t top;
	const struct buf *pk = &e->incoming->pk;
	int rc = rows_write(e, stmt), rc2;

	if (rc == SQLITE_OK && t->aside && *key == 0)
		return lookaside_number(e, t, pk->data, (int)pk->len, true, key);
	if (rc != SQLITE_CONSTRAINT_ROWID || lookaside_names_pk(t))
		return rc;
	rc2 = table_max_key(e, t, INT64_MAX, &top);
	if (rc2 != SQLITE_OK || top < *key)
		return rc2 != SQLITE_OK ? rc2 : rc;
	*key = top + 1;
	rc = sqlite3_bind_int64(stmt, 1, *key);
	return rc == SQLITE_OK ? rows_write(e, stmt) : rc;
}

int
rows_insert(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n)
{
	struct table *t = row->table;
	sqlite3_stmt *stmt;
	int64_t key = 0;
	bool above = false;
	int i, next, rc;

	rc = new_key(e, t, &key, &above);
	if (rc == SQLITE_OK)
		rc = table_stmt_for(e, t, true, row->cols, n, &stmt);
	if (rc == SQLITE_OK)
		rc = bind_key(e, t, stmt, key, &next);
	for (i = 0; i < n && rc == SQLITE_OK; i++)
		rc = val_bind(stmt, next + i, &cell[row->pick[i]].value);
	if (rc == SQLITE_OK)
		rc = write_new(e, t, stmt, &key);
	if (rc != SQLITE_OK)
		return rc;
	row->key = key;
	row->above = above;
	row->inserted = !row->was_dead;
	if (key > t->hw)
		t->hw = key;
	return SQLITE_OK;
}

static int
bind_update(struct merge_row *row, const struct merge_cell *cell, int n,
    sqlite3_stmt *stmt)
{
	int i, rc;

	rc = sqlite3_bind_int64(stmt, 1, row->key);
	for (i = 0; i < n && rc == SQLITE_OK; i++)
		rc = val_bind(stmt, 2 + i, &cell[row->pick[i]].value);
	return rc;
}

int
rows_update(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n)
{
	sqlite3_stmt *stmt;
	int rc;

	if (n == 0)
		return SQLITE_OK;
	rc = table_stmt_for(e, row->table, false, row->cols, n, &stmt);
	if (rc == SQLITE_OK)
		rc = bind_update(row, cell, n, stmt);
	return rc == SQLITE_OK ? rows_write(e, stmt) : rc;
}

/* The SET part of an UPDATE that gives the n columns of row->cols new values
 * and all others their DEFAULT. */
static int
reset_sql(struct engine *e, struct merge_row *row, int n, char **out)
{
	struct table *t = row->table;
	sqlite3_str *s = sqlite3_str_new(e->db);
	sqlite3_stmt *stmt;
	const char *name, *comma = "";
	int c, i, rc;

	rc = engine_prepare(e, &stmt, "SELECT name, coalesce(dflt_value, '') "
	    "FROM pragma_table_xinfo(%Q, 'main')", t->name);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 0, &rc);
		c = table_column(t, name, (int)strlen(name));
		if (c < 0)
			continue;
		sqlite3_str_appendf(s, "%s\"%w\"=", comma, name);
		comma = ",";
		for (i = 0; i < n && row->cols[i] != c; i++)
			;
		if (i < n)
			sqlite3_str_appendf(s, "?%d", i + 2);
		else
			sqltext_add_default(s, engine_column(stmt, 1, &rc));
	}
	return engine_text(s, engine_finalize(stmt, rc), out);
}

/* R19: the row begins a new life with what it was given, and defaults.  One
 * statement, so that a refusal leaves nothing. */
int
rows_reset(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n)
{
	struct table *t = row->table;
	sqlite3_stmt *stmt = NULL;
	char *set = NULL;
	int rc;

	if (t->ncol == 0)
		return SQLITE_OK;
	rc = reset_sql(e, row, n, &set);
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &stmt,
		    "UPDATE OR ABORT main.\"%w\" SET %s WHERE %s", t->name, set,
		    t->where);
	if (rc == SQLITE_OK)
		rc = bind_update(row, cell, n, stmt);
	if (rc == SQLITE_OK)
		rc = rows_write(e, stmt);
	sqlite3_finalize(stmt);
	sqlite3_free(set);
	return rc;
}

int
rows_delete(struct engine *e, struct merge_row *row)
{
	struct table *t = row->table;
	sqlite3_stmt *stmt;
	int rc;

	rc = table_load_hw(e, t);
	if (rc == SQLITE_OK)
		rc = table_stmt(e, t, TS_DELETE_ROW, &stmt);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 1, row->key);
	if (rc == SQLITE_OK)
		rc = rows_write(e, stmt);
	if (rc == SQLITE_OK && row->key == t->hw)
		rc = table_save_hw(e, t);
	return rc;
}

int
rows_get(struct engine *e, const struct merge_row *row, sqlite3_stmt **out)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, row->table, TS_ROW, &stmt);

	*out = NULL;
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 1, row->key);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*out = stmt;
		return SQLITE_OK;
	}
	return engine_reset(stmt, rc == SQLITE_DONE ? SQLITE_OK : rc);
}

int
rows_insert_all(struct engine *e, struct table *t, const struct val *value,
    int64_t *key, bool *done)
{
	sqlite3_stmt *stmt;
	bool above = false;
	int i, next, rc;

	*done = false;
	rc = new_key(e, t, key, &above);
	if (rc != SQLITE_OK || !above)
		return rc;
	rc = table_stmt(e, t, TS_INSERT_ALL, &stmt);
	if (rc == SQLITE_OK)
		rc = bind_key(e, t, stmt, *key, &next);
	for (i = 0; i < t->ncol && rc == SQLITE_OK; i++)
		rc = val_bind(stmt, next + i, &value[i]);
	if (rc == SQLITE_OK)
		rc = write_new(e, t, stmt, key);
	if (rc == SQLITE_OK) {
		t->hw = *key;
		*done = true;
	}
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/* source.c - data rows and clock rows, read side by side; see source.h. */
#include "crdt/source.h"

#include <string.h>

/* A result may have no more columns than a table: where the rowid is one too
 * many, it is read by a statement of its own. */
static int
prepare_rows(struct engine *e, struct source *s)
{
	struct table *t = s->table;
	const char *comma = "";
	sqlite3_str *text;
	int i, rc;

	s->first = 1 + t->npk + t->ncol <=
	    sqlite3_limit(e->db, SQLITE_LIMIT_COLUMN, -1);
	if (s->first)
		return table_borrow(e, t, TS_ROW_RANGE, &s->rows);
	text = sqlite3_str_new(e->db);
	sqlite3_str_appendall(text, "SELECT ");
	for (i = 0; i < t->npk; i++, comma = ", ")
		sqlite3_str_appendf(text, "%s\"%w\"", comma, t->pk[i].name);
	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(text, ", \"%w\"", t->col[i].name);
	sqlite3_str_appendf(text, " FROM %s WHERE %s BETWEEN ?1 AND ?2 "
	    "ORDER BY %s", t->from, t->rowid, t->rowid);
	rc = engine_prepare_built(e, text, &s->rows);
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &s->keys, "SELECT %s FROM %s WHERE "
		    "%s BETWEEN ?1 AND ?2 ORDER BY 1", t->rowid, t->from, t->rowid);
	return rc;
}

/* What is kept of a table is some kilobytes: not where there are very many. */
static struct table *
keeps(const struct source *s)
{
	enum { FEW = 256 };
	const struct table_list *l = &s->e->tables;

	return s->generation == l->generation && l->n <= FEW ? s->table : NULL;
}

void
source_free(struct source *s)
{
	struct table *t = keeps(s);

	if (t != NULL && s->first)
		table_give_back(t, TS_ROW_RANGE, s->rows);
	else
		sqlite3_finalize(s->rows);
	sqlite3_finalize(s->keys);
	if (t != NULL)
		table_give_back(t, TS_META_RANGE, s->clocks);
	else
		sqlite3_finalize(s->clocks);
	meta_free(&s->meta);
	sqlite3_free(s->cell);
	sqlite3_free(s);
}

int
source_new(struct engine *e, struct table *t, struct source **out)
{
	struct source *s = sqlite3_malloc64(sizeof *s);
	int rc;

	*out = s;
	if (s == NULL)
		return SQLITE_NOMEM;
	memset(s, 0, sizeof *s);
	s->e = e;
	s->table = t;
	s->generation = e->tables.generation;
	rc = meta_init(&s->meta, t);
	s->cell = sqlite3_malloc64(((size_t)t->ncol + 1) * sizeof *s->cell);
	if (rc == SQLITE_OK && s->cell == NULL)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = table_load_flags(e, t);
	if (rc == SQLITE_OK)
		rc = prepare_rows(e, s);
	if (rc == SQLITE_OK && t->has_meta)
		rc = table_borrow(e, t, TS_META_RANGE, &s->clocks);
	if (rc != SQLITE_OK) {
		source_free(s);
		*out = NULL;
	}
	return rc;
}

static int
next_clock(struct source *s)
{
	int rc = sqlite3_step(s->clocks);

	s->clock_row = rc == SQLITE_ROW;
	if (s->clock_row)
		s->clock_key = sqlite3_column_int64(s->clocks, 0);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void
begin_range(sqlite3_stmt *stmt, int64_t lo, int64_t hi)
{
	sqlite3_reset(stmt);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, lo);
		sqlite3_bind_int64(stmt, 2, hi);
	}
}

int
source_range(struct source *s, int64_t lo, int64_t hi)
{
	begin_range(s->rows, lo, hi);
	begin_range(s->keys, lo, hi);
	begin_range(s->clocks, lo, hi);
	s->clock_row = false;
	return s->clocks != NULL ? next_clock(s) : SQLITE_OK;
}

int
source_next(struct source *s, int64_t *key)
{
	sqlite3_stmt *keys = s->keys != NULL ? s->keys : s->rows;
	int rc = sqlite3_step(s->rows);

	/* in step: nobody writes between the two */
	if (rc == SQLITE_ROW && s->keys != NULL)
		rc = sqlite3_step(s->keys);
	if (rc == SQLITE_ROW)
		*key = sqlite3_column_int64(keys, 0);
	return rc;
}

int
source_clock(struct engine *e, struct source *s, int64_t key)
{
	int rc = SQLITE_OK;

	while (s->clock_row && s->clock_key < key && rc == SQLITE_OK)
		rc = next_clock(s);
	if (rc != SQLITE_OK)
		return rc;
	if (!s->clock_row || s->clock_key != key) {
		if (s->meta.stored)
			meta_fresh(&s->meta);
		return SQLITE_OK;
	}
	rc = meta_decode(s->table, sqlite3_column_blob(s->clocks, 1),
	    sqlite3_column_bytes(s->clocks, 1), &s->meta);
	return rc == SQLITE_OK ? rc : engine_fail(e, rc,
	    "a clock row of table %s is damaged", s->table->name);
}

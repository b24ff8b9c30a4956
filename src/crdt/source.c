// SPDX-License-Identifier: MPL-2.0
/* source.c - data rows and clock rows, read side by side; see source.h. */
#include "crdt/source.h"

#include <string.h>

static int
prepare_rows(struct engine *e, const struct table *t, sqlite3_stmt **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	char *sql;
	int i, rc;

	sqlite3_str_appendf(s, "SELECT %s", t->rowid);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->pk[i].name);
	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->col[i].name);
	sqlite3_str_appendf(s, " FROM main.\"%w\" WHERE %s BETWEEN ?1 AND ?2 "
	    "ORDER BY %s", t->name, t->rowid, t->rowid);
	sql = sqlite3_str_finish(s);
	if (sql == NULL)
		return SQLITE_NOMEM;
	rc = engine_prepare(e, out, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

void
source_free(struct source *s)
{
	sqlite3_finalize(s->rows);
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
	s->table = t;
	rc = meta_init(&s->meta, t);
	s->cell = sqlite3_malloc64(((size_t)t->ncol + 1) * sizeof *s->cell);
	if (rc == SQLITE_OK && s->cell == NULL)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = table_load_flags(e, t);
	if (rc == SQLITE_OK)
		rc = prepare_rows(e, t, &s->rows);
	if (rc == SQLITE_OK && t->has_meta)
		rc = engine_prepare(e, &s->clocks, "SELECT key, m FROM "
		    "main.\"%w__crsql_meta\" WHERE key BETWEEN ?1 AND ?2 "
		    "ORDER BY key", t->noted);
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

int
source_range(struct source *s, int64_t lo, int64_t hi)
{
	sqlite3_reset(s->rows);
	sqlite3_bind_int64(s->rows, 1, lo);
	sqlite3_bind_int64(s->rows, 2, hi);
	s->clock_row = false;
	if (s->clocks == NULL)
		return SQLITE_OK;
	sqlite3_reset(s->clocks);
	sqlite3_bind_int64(s->clocks, 1, lo);
	sqlite3_bind_int64(s->clocks, 2, hi);
	return next_clock(s);
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

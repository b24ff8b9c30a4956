// SPDX-License-Identifier: MPL-2.0
/* write.c - see write.h. */
#include "store/write.h"

#include "store/history.h"

/* The key's parameters come first, then the cells'. */
static void
add_where(sqlite3_str *s, const struct store_diff_row *r)
{
	size_t i;

	for (i = 0; i < r->nkey; i++)
		sqlite3_str_appendf(s, "%s \"%w\" = ?%d", i > 0 ? " AND" : " WHERE",
		    r->key[i].column, (int)i + 1);
}

static void
add_insert(sqlite3_str *s, const struct store_diff_row *r)
{
	size_t i, n = r->nkey + r->ncell;

	for (i = 0; i < n; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i > 0 ? ", " : "(",
		    i < r->nkey ? r->key[i].column : r->cell[i - r->nkey].column);
	sqlite3_str_appendall(s, ") VALUES");
	for (i = 0; i < n; i++)
		sqlite3_str_appendf(s, "%s?%d", i > 0 ? ", " : "(", (int)i + 1);
	sqlite3_str_appendall(s, ")");
}

static char *
sql_of(const struct store_diff_row *r, const char *or_what)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	size_t i;

	if (r->kind == STORE_DELETED) {
		sqlite3_str_appendf(s, "DELETE FROM main.\"%w\"", r->table);
		add_where(s, r);
	} else if (r->kind == STORE_CHANGED) {
		sqlite3_str_appendf(s, "UPDATE%s main.\"%w\" SET", or_what, r->table);
		for (i = 0; i < r->ncell; i++)
			sqlite3_str_appendf(s, "%s \"%w\" = ?%d", i > 0 ? "," : "",
			    r->cell[i].column, (int)(r->nkey + i) + 1);
		add_where(s, r);
	} else {
		sqlite3_str_appendf(s, "INSERT%s INTO main.\"%w\"", or_what, r->table);
		add_insert(s, r);
	}
	return sqlite3_str_finish(s);
}

int
write_row(sqlite3 *db, const struct store_diff_row *r, const char *or_what,
    int *changed)
{
	char *sql = sql_of(r, or_what);
	sqlite3_stmt *stmt = NULL;
	size_t i;
	int rc;

	/* without a key it would be every row */
	if (r->nkey == 0)
		rc = SQLITE_MISMATCH;
	else
		rc = sql != NULL ? sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) :
		    SQLITE_NOMEM;
	for (i = 0; i < r->nkey && rc == SQLITE_OK; i++)
		rc = history_bind(stmt, (int)i + 1, &r->key[i].value);
	for (i = 0; i < r->ncell && rc == SQLITE_OK && r->kind != STORE_DELETED; i++)
		rc = history_bind(stmt, (int)(r->nkey + i) + 1, &r->cell[i].after);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	*changed = rc == SQLITE_DONE ? sqlite3_changes(db) : 0;
	sqlite3_finalize(stmt);
	sqlite3_free(sql);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

// SPDX-License-Identifier: MPL-2.0
/* column_names.c - the names of columns, and those that they had; see columns.h. */
#include "crdt/columns.h"

#include <stdlib.h>
#include <string.h>

#include "crdt/engine.h"

SQLITE_EXTENSION_INIT3

enum { OTHERS = -1 };           /* instead of a number in crsql_was: the name is
                                   a column's that is not here */

void
columns_free_names(struct table *t)
{
	int i;

	for (i = 0; i < t->nold; i++)
		sqlite3_free(t->old[i].name);
	sqlite3_free(t->old);
	t->old = NULL;
	t->nold = 0;
}

int
columns_keep_name(struct table *t, const char *name, int len, int cid)
{
	struct old_name *list = sqlite3_realloc64(t->old,
	    sizeof *list * (uint64_t)(t->nold + 1));

	if (list == NULL)
		return SQLITE_NOMEM;
	t->old = list;
	list[t->nold].cid = cid;
	list[t->nold].name = sqlite3_mprintf("%.*s", len, name);
	if (list[t->nold].name == NULL)
		return SQLITE_NOMEM;
	t->nold++;
	return SQLITE_OK;
}

int
columns_names_of(struct engine *e, struct table *t)
{
	sqlite3_stmt *stmt;
	const char *name;
	int rc = engine_cached(e, SLOT_OLD_NAMES, "SELECT name, cid FROM crsql_was "
	    "WHERE tbl = ?1", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 0, &rc);
		if (rc == SQLITE_OK)
			rc = columns_keep_name(t, name, sqlite3_column_bytes(stmt, 0),
			    sqlite3_column_int(stmt, 1));
	}
	return engine_reset(stmt, rc);
}

int
columns_read_names(struct engine *e, const struct table_list *l)
{
	int64_t any = 0;
	int i, rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM crsql_was)");

	for (i = 0; i < l->n && rc == SQLITE_OK; i++) {
		if (l->table[i].nold > 0)
			columns_free_names(&l->table[i]);
		if (any)
			rc = columns_names_of(e, &l->table[i]);
	}
	return rc;
}

bool
columns_same(const char *ours, const char *name, int len)
{
	return (int)strlen(ours) == len &&
	    sqlite3_strnicmp(ours, name, len) == 0;
}

int
columns_quotes(const char *name, int len)
{
	int i, n = 0;

	while (n < len && name[n] == '"')
		n++;
	if (len != 2 * n + 2 || memcmp(name + n, "-1", 2) != 0)
		return -1;
	for (i = n + 2; i < len && name[i] == '"'; i++)
		;
	return i == len ? n : -1;
}

static int
by_name(const void *a, const void *b)
{
	const struct column_name *x = a, *y = b;

	return x->len != y->len ? x->len - y->len :
	    memcmp(x->text, y->text, (size_t)x->len);
}

bool
columns_differ(struct column_name *name, int n)
{
	int i;

	qsort(name, (size_t)n, sizeof *name, by_name);
	for (i = 1; i < n && by_name(&name[i - 1], &name[i]) != 0; i++)
		;
	return i >= n;
}

/* The last one is the newest, where two columns had a name. */
static int
find_name(const struct table *t, const char *name, int len)
{
	int i;

	for (i = t->nold - 1; i >= 0; i--)
		if (columns_same(t->old[i].name, name, len))
			break;
	return i;
}

int
columns_find(const struct table *t, const char *name, int len)
{
	int i = table_column(t, name, len);

	if (i >= 0 || t->nold == 0)
		return i;
	i = find_name(t, name, len);
	return i >= 0 ? table_column_by_cid(t, t->old[i].cid) : -1;
}

bool
columns_knows(const struct table *t, const char *name, int len)
{
	return table_column(t, name, len) >= 0 || find_name(t, name, len) >= 0;
}

bool
columns_is_old(const struct table *t, int i)
{
	const struct old_name *o = &t->old[i];
	int len = (int)strlen(o->name);

	return find_name(t, o->name, len) == i &&
	    table_column(t, o->name, len) < 0 &&
	    table_column_by_cid(t, o->cid) >= 0;
}

bool
columns_have_old(const struct table *t)
{
	int i;

	for (i = 0; i < t->nold; i++)
		if (columns_is_old(t, i))
			return true;
	return false;
}

int
columns_add_name(struct engine *e, struct table *t, const char *name, int len,
    int col)
{
	int cid = t->col[col].cid, rc = columns_keep_name(t, name, len, cid);

	e->tables.names_changed = true;
	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_was VALUES(%d, '%.*q', %d)", t->id, len, name, cid);
}

int
columns_forget_name(struct engine *e, struct table *t, const char *name,
    int len)
{
	int i;

	for (i = 0; i < t->nold; i++)
		if (columns_same(t->old[i].name, name, len))
			t->old[i].cid = OTHERS;
	return engine_exec(e, "UPDATE crsql_was SET cid = %d WHERE tbl = %d AND "
	    "name = '%.*q' COLLATE NOCASE", OTHERS, t->id, len, name);
}

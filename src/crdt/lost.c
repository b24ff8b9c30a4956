// SPDX-License-Identifier: MPL-2.0
/* lost.c - see lost.h. */
#include "crdt/lost.h"

#include <string.h>

#include "crdt/columns.h"
#include "crdt/ledger.h"
#include "crdt/lookaside.h"
#include "crdt/resync.h"
#include "crdt/schema.h"
#include "crdt/triggers.h"
#include "crdt/unique.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* Log rows of a table that is none any more; headers stay. */
static int
forget_log(struct engine *e, int id, const char *name)
{
	int rc = engine_exec(e, "UPDATE crsql_log SET tbl = NULL, key = NULL, "
	    "n = 0, seq_stride = NULL, mask = NULL WHERE tbl = %d AND pos = 0;"
	    "DELETE FROM crsql_log WHERE tbl = %d;"
	    "DELETE FROM crsql_j WHERE w >> 3 = %d;"
	    "DELETE FROM crsql_col WHERE tbl = %d;"
	    "DELETE FROM crsql_was WHERE tbl = %d;"
	    "DELETE FROM crsql_horizon WHERE tbl = %d;"
	    "DELETE FROM crsql_tbl WHERE id = %d", id, id, id, id, id, id, id);

	ledger_forget_runs(e);
	if (rc == SQLITE_OK)
		rc = ledger_forget_table(e, id);
	return rc != SQLITE_OK ? rc : engine_exec(e, "DELETE FROM crsql_master "
	    "WHERE key IN ('again.%d', 'key.%d', 'unique.%d', 'check.%d', 'alone.%d', 'left.%d');"
	    "INSERT OR IGNORE INTO crsql_master VALUES('gone.%q', 1)", id, id,
	    id, id, id, id, name);
}

int
lost_drop_metadata(struct engine *e, const char *name)
{
	return engine_exec(e, "DROP TABLE IF EXISTS main.\"%w__crsql_meta\";"
	    "DROP TABLE IF EXISTS main.\"%w__crsql_dead\"", name, name);
}

int
lost_empty(struct engine *e, int id, const char *name)
{
	int rc = engine_exec(e, "DELETE FROM main.\"%w__crsql_meta\";"
	    "DELETE FROM main.\"%w__crsql_dead\"", name, name);

	if (rc == SQLITE_OK)
		rc = lookaside_empty(e, id);
	return rc == SQLITE_OK ? forget_log(e, id, name) : rc;
}

int
lost_forget(struct engine *e, int id, const char *name)
{
	int rc = lost_drop_metadata(e, name);

	if (rc == SQLITE_OK)
		rc = lookaside_drop(e, id);
	/* SQLite drops nothing while a statement runs, and COMMIT is one: they
	 * stay, empty, until a table of that name is replicated again */
	if (rc == SQLITE_LOCKED)
		return lost_empty(e, id, name);
	return rc == SQLITE_OK ? forget_log(e, id, name) : rc;
}

/* There is an index for bytes alone. */
#define GONE "key >= 'gone.' AND key < 'gone/' AND "

int
lost_again(struct engine *e, int64_t id, const char *name)
{
	int64_t head;
	int rc = tx_head(e, &head);

	/* what this transaction has logged so far nobody has seen */
	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_master SELECT 'again.%lld', %lld FROM crsql_master WHERE "
	    GONE "key = 'gone.%q' COLLATE NOCASE;"
	    "DELETE FROM crsql_master WHERE " GONE "key = 'gone.%q' COLLATE "
	    "NOCASE", id, head, name, name);
}

int
lost_doubt(struct engine *e, int id)
{
	int64_t head;
	int rc = tx_head(e, &head);

	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_master VALUES('again.%d', %lld)", id, head);
}

int
lost_pending(struct engine *e, int64_t *n)
{
	int64_t lost = 0, keys = 0;
	int rc = table_refresh(e);

	*n = 0;
	if (rc == SQLITE_OK)
		rc = unique_pending(e, n);
	if (rc == SQLITE_OK && e->has_storage)
		rc = engine_int(e, &lost, "SELECT count(*) FROM crsql_tbl "
		    "WHERE name NOT IN (SELECT tbl_name FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND name = tbl_name || "
		    "'__crsql_itrig')");
	if (rc == SQLITE_OK && e->has_storage)
		rc = resync_keys_pending(e, &keys);
	*n += lost + keys + columns_pending(e);
	return rc;
}

/* Whether the fold of a table may go on before table_mend. */
static int
is_as_noted(struct engine *e, struct table *t, const struct schema *s,
    bool *same)
{
	const char *differs = NULL;
	bool gone;
	int i, rc;

	*same = t->mended;
	if (*same)
		return SQLITE_OK;
	*same = strcmp(t->name, t->noted) == 0;
	for (i = 0; i < t->ncol; i++)
		*same = *same && !t->col[i].unsaved && !t->col[i].renamed;
	if (!*same)
		return SQLITE_OK;
	rc = triggers_differ(e, t, s, &differs, &gone);
	*same = differs == NULL;
	return rc;
}

static int
are_as_noted(struct engine *e, bool *same)
{
	struct table_list *l = &e->tables;
	struct schema s;
	int i, rc = schema_read(e, NULL, SCHEMA_TEXTS, &s);

	*same = true;
	for (i = 0; i < l->n && *same && rc == SQLITE_OK; i++)
		rc = is_as_noted(e, &l->table[i], &s, same);
	schema_clear(&s);
	return rc;
}

int
lost_nothing(struct engine *e, bool *nothing)
{
	struct table_list *l = &e->tables;
	int64_t pending = 0;
	bool same = true, looked = l->looked == l->schema_version;
	int rc = looked ? SQLITE_OK : are_as_noted(e, &same);

	if (rc == SQLITE_OK && !looked)
		rc = lost_pending(e, &pending);
	if (rc == SQLITE_OK && !looked) {
		l->looked = l->schema_version;
		l->nothing = same && pending == 0;
	}
	*nothing = l->mended == l->schema_version || l->nothing;
	return rc;
}

/* -- dropped and renamed ------------------------------------------------------- */

/* A name for what has none for a moment: no table that is replicated has it. */
#define ASIDE "crsql_aside"

static int
rename_metadata(struct engine *e, int id, const char *from, const char *to)
{
	int rc = SQLITE_OK;

	/* In another case it is the same name, which SQLite would not give. */
	if (sqlite3_stricmp(from, to) != 0)
		rc = engine_exec(e, "ALTER TABLE main.\"%w__crsql_meta\" RENAME TO "
		    "\"%w__crsql_meta\"; ALTER TABLE main.\"%w__crsql_dead\" "
		    "RENAME TO \"%w__crsql_dead\";", from, to, from, to);
	return rc == SQLITE_OK ? engine_exec(e, "UPDATE crsql_tbl SET name = %Q "
	    "WHERE id = %d", to, id) : rc;
}

/* The trigger by which its name is known gets the new one at once: another table
 * may be called as it was.  Its text is made with those of the others. */
static int
rename_noted(struct engine *e, int id, const char *from, const char *to)
{
	int rc = engine_exec(e, "DROP TRIGGER IF EXISTS "
	    "main.\"%w__crsql_itrig\"", from);

	if (rc == SQLITE_OK && strcmp(to, ASIDE) != 0)
		rc = engine_exec(e, "CREATE TRIGGER main.\"%w__crsql_itrig\" AFTER "
		    "INSERT ON \"%w\" WHEN 0 BEGIN SELECT 1; END", to, to);
	if (rc == SQLITE_OK)
		rc = rename_metadata(e, id, from, to);
	return rc == SQLITE_OK ? lost_again(e, id, to) : rc;
}

struct noted {              /* a row of crsql_tbl */
	int id;
	char *name;
	const char *to;         /* its new name; NULL: nothing is to be done */
	bool there;             /* a table has the noted name */
};

struct noted_list {
	struct noted *at;
	int n, room;
};

static void
noted_clear(struct noted_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		sqlite3_free(l->at[i].name);
	sqlite3_free(l->at);
}

static int
noted_read(struct engine *e, struct noted_list *l)
{
	struct noted *list;
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT id, name FROM crsql_tbl");

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		if (l->n == l->room) {
			l->room = l->room * 2 + 16;
			list = sqlite3_realloc64(l->at,
			    sizeof *list * (uint64_t)l->room);
			if (list == NULL) {
				rc = SQLITE_NOMEM;
				break;
			}
			l->at = list;
		}
		list = &l->at[l->n++];
		*list = (struct noted){ .id = sqlite3_column_int(stmt, 0) };
		rc = engine_copy(stmt, 1, &list->name);
	}
	return engine_finalize(stmt, rc);
}

/* *there if a table of that name is, with a key. */
static int
look_for(struct engine *e, const struct schema *s, const char *name,
    bool *there)
{
	const struct schema_table *in = schema_find(s, name);
	int64_t has = 0;
	int rc;

	*there = false;
	if (in == NULL || !in->there || strcmp(in->name, name) != 0)
		return SQLITE_OK;
	*there = table_find(e, name) != NULL;   /* which has one */
	if (*there)
		return SQLITE_OK;
	rc = engine_int(e, &has, "SELECT max(pk) BETWEEN 1 AND %d FROM "
	    "pragma_table_info(%Q, 'main')", PACK_MAX_COLUMNS, name);
	*there = has != 0;
	return rc;
}

static int
forget(struct engine *e, struct noted *n)
{
	int rc = lost_forget(e, n->id, n->name);

	sqlite3_free(n->name);
	n->name = NULL;         /* free for another */
	return rc;
}

/* Forgets those whose name another one bears: they were dropped before. */
static int
forget_replaced(struct engine *e, struct noted_list *l)
{
	struct noted *n;
	int i, k, rc = SQLITE_OK;

	for (i = 0; i < l->n && rc == SQLITE_OK; i++) {
		n = &l->at[i];
		if (n->to == NULL || sqlite3_stricmp(n->to, n->name) == 0)
			continue;
		for (k = 0; k < l->n && rc == SQLITE_OK; k++)
			if (l->at[k].to == NULL && l->at[k].name != NULL &&
			    sqlite3_stricmp(l->at[k].name, n->to) == 0)
				rc = forget(e, &l->at[k]);
	}
	return rc;
}

/* Forgets those that are gone, and notes how the others are called. */
static int
follow_lost(struct engine *e, const struct schema *s, struct noted_list *l)
{
	struct noted *n;
	int i, rc = SQLITE_OK;

	for (i = 0; i < l->n && rc == SQLITE_OK; i++) {
		n = &l->at[i];
		n->to = schema_bearer(s, n->name);
		rc = look_for(e, s, n->name, &n->there);
		if (rc != SQLITE_OK || n->to != NULL || n->there)
			continue;
		rc = forget(e, n);
	}
	return rc == SQLITE_OK ? forget_replaced(e, l) : rc;
}

static bool
is_taken(const struct noted_list *l, const char *name)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].name != NULL && strcmp(l->at[i].name, name) == 0)
			return true;
	return false;
}

/* One whose new name is free first: another may be about to get its own.  Where
 * all that are left exchange theirs, one steps *aside.  NULL if none is left. */
static struct noted *
next_renamed(const struct noted_list *l, bool *aside)
{
	struct noted *n, *any = NULL;
	int i;

	*aside = false;
	for (i = 0; i < l->n; i++) {
		n = &l->at[i];
		if (n->to == NULL || (n->there &&
		    sqlite3_stricmp(n->to, n->name) == 0))
			continue;
		if (!is_taken(l, n->to))
			return n;
		any = n;
	}
	*aside = any != NULL && sqlite3_stricmp(any->to, any->name) != 0;
	return any;
}

static int
rename_next(struct engine *e, struct noted *n, bool aside)
{
	const char *to = aside ? ASIDE : n->to;
	int rc = rename_noted(e, n->id, n->name, to);

	sqlite3_free(n->name);
	n->name = sqlite3_mprintf("%s", to);
	if (!aside)
		n->to = NULL;
	return rc == SQLITE_OK && n->name == NULL ? SQLITE_NOMEM : rc;
}

/* SQLite takes triggers along when a table is renamed, under their old
 * names: by that the new name is known, also where another table has the old
 * one by now. */
int
lost_follow(struct engine *e)
{
	struct noted_list l = { NULL, 0, 0 };
	struct noted *n = NULL;
	struct schema s;
	bool aside;
	int rc = schema_read(e, NULL, SCHEMA_PRINTS, &s);

	if (rc == SQLITE_OK)
		rc = noted_read(e, &l);
	if (rc == SQLITE_OK)
		rc = follow_lost(e, &s, &l);
	while (rc == SQLITE_OK && (n = next_renamed(&l, &aside)) != NULL)
		rc = rename_next(e, n, aside);
	noted_clear(&l);
	schema_clear(&s);
	return rc;
}

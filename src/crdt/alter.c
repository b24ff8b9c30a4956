// SPDX-License-Identifier: MPL-2.0
/* alter.c - see alter.h; what follows from a new shape is table_mend's. */
#include "crdt/alter.h"

#include "crdt/crr.h"
#include "crdt/dropping.h"
#include "crdt/fract.h"
#include "crdt/hook.h"
#include "crdt/lookaside.h"
#include "crdt/remap.h"
#include "crdt/triggers.h"

SQLITE_EXTENSION_INIT3

#define FAILED "failed compacting tables post alteration"

struct alter {
	int table;              /* id */
	enum {
		CLOSED, LEAN, ENDING,
		LISTED,         /* its rows are, as it is dropped: dropping.h */
		REMADE,         /* it is back, and its list over: lean until the end of
		                   the transaction, which may alter it still */
		UNLISTED        /* the list before this is over */
	} state;
	bool fits;              /* it could be replicated when this began */
	int first_new;          /* columns have numbers below it */
	int list;               /* LISTED: which (dropping.h) */
};

static struct alter *
find_open(const struct engine *e, int id)
{
	int i;

	for (i = e->tx.alters - 1; i >= 0; i--)
		if (e->alter[i].table == id && (e->alter[i].state == LEAN ||
		    e->alter[i].state == ENDING))
			return &e->alter[i];
	return NULL;
}

int
alter_list_of(const struct engine *e, int id)
{
	int i;

	for (i = e->tx.alters - 1; i >= 0; i--)
		if (e->alter[i].table == id && e->alter[i].state >= LISTED)
			return e->alter[i].state == LISTED ? e->alter[i].list : -1;
	return -1;
}

bool
alter_is_listed(const struct engine *e, int id)
{
	return alter_list_of(e, id) >= 0;
}

/* A fold would take it that those are gone for good. */
static bool
all_are_back(struct engine *e)
{
	int i;

	for (i = 0; i < e->tx.alters; i++)
		if (alter_is_listed(e, e->alter[i].table) &&
		    table_by_id(e, e->alter[i].table) == NULL)
			return false;
	return true;
}

bool
alter_any_rebuilt(struct engine *e)
{
	const struct table *t = e->tables.table;
	int i;

	if (!all_are_back(e))
		return false;
	for (i = 0; i < e->tables.n; i++)
		if (t[i].bare && (alter_is_listed(e, t[i].id) ||
		    alter_is_lean(e, t[i].id)))
			return true;
	return false;
}

static bool
is_lean(const struct alter *a)
{
	return a->state == LEAN || a->state == REMADE;
}

bool
alter_is_lean(const struct engine *e, int id)
{
	int i;

	for (i = 0; i < e->tx.alters; i++)
		if (e->alter[i].table == id && is_lean(&e->alter[i]))
			return true;
	return false;
}

bool
alter_is_open(const struct engine *e, int id)
{
	return find_open(e, id) != NULL;
}

bool
alter_lists_rows(const struct engine *e, const struct table *t)
{
	const struct alter *a = find_open(e, t->id);

	/* at its end only one that was made anew needs it */
	return a != NULL && !lookaside_names_pk(t) &&
	    (a->state == LEAN || t->bare);
}

bool
alter_is_new(const struct engine *e, const struct table *t, int i)
{
	const struct alter *a = find_open(e, t->id);

	return t->col[i].came || (a != NULL && t->col[i].cid >= a->first_new);
}

/* Its triggers are made again by the next fold. */
static void
end(struct engine *e, struct alter *a)
{
	struct table *t = table_by_id(e, a->table);

	a->state = a->state == LEAN ? ENDING : UNLISTED;
	if (t != NULL) {
		t->lean = alter_is_lean(e, t->id);
		t->mended = false;
	}
	e->tables.mended = -1;
}

int
alter_check(struct engine *e)
{
	int i;

	for (i = 0; i < e->tx.alters; i++)
		if (is_lean(&e->alter[i]))
			return hook_keep(e, "a change of a table: roll back, and begin "
			    "that anew");
	return SQLITE_OK;
}

void
alter_end_all(struct engine *e)
{
	int i;

	for (i = 0; i < e->tx.alters; i++)
		if (is_lean(&e->alter[i]))
			end(e, &e->alter[i]);
}

void
alter_free(struct engine *e)
{
	sqlite3_free(e->alter);
	e->alter = NULL;
	dropping_forget(e);
}

/* -- the beginning --------------------------------------------------------------- */

static int
add(struct engine *e, const struct alter *a)
{
	struct alter *list = e->alter;
	int room = e->alter_room ? e->alter_room * 2 : 4;

	if (e->tx.alters == e->alter_room) {
		list = sqlite3_realloc64(list, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		e->alter = list;
		e->alter_room = room;
	}
	list[e->tx.alters++] = *a;
	return SQLITE_OK;
}

/* SQLITE_OK if it is known whether t can be replicated. */
static int
check(struct engine *e, struct table *t, bool *fits)
{
	int rc = crr_check(e, t);

	*fits = rc == SQLITE_OK;
	if (rc == SQLITE_ERROR) {
		sqlite3_free(e->error);
		e->error = NULL;
		rc = SQLITE_OK;
	}
	return rc;
}

/* The rowids of all rows: they may be other ones at the end. */
static int
make_list(struct engine *e, struct table *t)
{
	int rc;

	e->merging++;           /* what is written is not captured */
	rc = remap_make_list(e, t);
	e->merging--;
	return rc;
}

int
alter_add_list(struct engine *e, int id, int list)
{
	return add(e, &(struct alter){ id, LISTED, .list = list });
}

/* Noted behind the other, which a rollback brings back. */
static int
forget_list(struct engine *e, int id, bool is_back)
{
	int rc = remap_drop_list(e, id);

	return rc == SQLITE_OK ? add(e, &(struct alter){ id, is_back ? REMADE : UNLISTED,
	    .list = 0 }) : rc;
}

int
alter_remade(struct engine *e, struct table *t)
{
	int rc = forget_list(e, t->id, true);

	t->lean = t->lean || rc == SQLITE_OK;
	return rc;
}

int
alter_forget_lists(struct engine *e)
{
	int i, rc = SQLITE_OK;

	for (i = e->tx.alters - 1; i >= 0 && rc == SQLITE_OK; i--)
		if (alter_is_listed(e, e->alter[i].table))
			rc = forget_list(e, e->alter[i].table, false);
	return rc;
}

static int
begin(struct engine *e, const void *name)
{
	struct table *t = NULL;
	int64_t first_new = 0;
	bool fits = true;
	int rc = table_refresh(e);

	if (rc != SQLITE_OK || table_find(e, name) == NULL)
		return rc;
	rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = tx_fold(e);
	if (rc == SQLITE_OK)
		rc = hook_check(e);     /* its triggers will not ask for it */
	/* it may have turned out to be another one by now */
	t = rc == SQLITE_OK ? table_find(e, name) : NULL;
	if (t == NULL || alter_is_open(e, t->id))
		return rc;
	rc = check(e, t, &fits);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &first_new, "SELECT coalesce(max(cid), -1) + 1 "
		    "FROM crsql_col WHERE tbl = %d", t->id);
	if (rc == SQLITE_OK)
		rc = add(e, &(struct alter){ t->id, LEAN, fits, (int)first_new, 0 });
	if (rc != SQLITE_OK)
		return rc;
	t->lean = true;
	if (!lookaside_names_pk(t))
		rc = make_list(e, t);
	if (rc == SQLITE_OK)
		rc = triggers_make(e, t, NULL);
	if (rc == SQLITE_OK)
		rc = fract_take_off(e, t->name);
	/* all is seen to: until an ALTER, statements fold as they go on */
	return rc == SQLITE_OK ? tx_fold(e) : rc;
}

int
alter_begin(struct engine *e, const char *name)
{
	struct undo u;
	char *why;
	int rc = engine_savepoint(e, "alter_crr", &u);

	if (rc != SQLITE_OK)
		return rc;
	rc = engine_atomically(e, begin, name);
	if (rc == SQLITE_OK) {
		engine_end_undo(e, &u);
		return rc;
	}
	table_doubt(e);
	why = sqlite3_mprintf("%s", engine_error(e));
	engine_undo(e, &u);
	engine_fail(e, rc, "%s", why ? why : "");
	sqlite3_free(why);
	return rc;
}

/* -- the end ----------------------------------------------------------------------- */

/* By its name, or by the one that it had at the beginning. */
static struct table *
find(struct engine *e, const char *name)
{
	struct table *t = table_find(e, name);
	int i;

	for (i = 0; i < e->tables.n && t == NULL; i++)
		if (sqlite3_stricmp(e->tables.table[i].noted, name) == 0)
			t = &e->tables.table[i];
	return t;
}

static int
commit(struct engine *e, const void *name)
{
	struct table *t;
	struct alter *a;
	int rc = table_refresh(e);

	t = rc == SQLITE_OK ? find(e, name) : NULL;
	if (rc == SQLITE_OK && t == NULL)
		rc = engine_fail(e, SQLITE_ERROR, "table %s is not replicated",
		    (const char *)name);
	if (rc == SQLITE_OK)
		rc = alter_check(e);
	if (rc != SQLITE_OK)
		return rc;
	a = find_open(e, t->id);
	if (a != NULL && a->fits)
		rc = crr_check(e, t);
	if (rc == SQLITE_OK && a != NULL)
		end(e, a);
	if (rc == SQLITE_OK)
		rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = tx_fold(e);
	if (a != NULL)
		a->state = rc == SQLITE_OK ? CLOSED : LEAN;
	if (rc == SQLITE_OK && a != NULL) {
		e->merging++;
		rc = remap_drop_list(e, a->table);
		e->merging--;
	}
	return rc;
}

/* Of a savepoint that nobody began SQLite says so. */
int
alter_commit(struct engine *e, const char *name)
{
	int rc = sqlite3_get_autocommit(e->db) ? engine_fail(e, SQLITE_ERROR,
	    "no such savepoint: alter_crr") : engine_atomically(e, commit, name);

	if (rc == SQLITE_OK)
		rc = engine_exec(e, "RELEASE alter_crr");
	else
		table_doubt(e);
	return rc;
}

/* -- SQL ------------------------------------------------------------------------------ */

/* [schema,] table. */
static const char *
table_name(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	const char *name = argc == 0 ? NULL :
	    (const char *)sqlite3_value_text(argv[argc == 2 ? 1 : 0]);

	if (name == NULL)
		sqlite3_result_error(ctx, argc == 0 ? "Wrong number of args. Provide "
		    "the schema name and table name or just the table name." :
		    "the name of a table is wanted, not NULL", -1);
	return name;
}

static void
begin_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *name = table_name(ctx, argc, argv);
	int rc;

	if (name == NULL)
		return;
	rc = argc == 2 ? crr_check_schema(e, argv[0]) : SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = alter_begin(e, name);
	if (rc == SQLITE_OK)
		sqlite3_result_text(ctx, "OK", 2, SQLITE_STATIC);
	else
		engine_result_error(e, ctx, rc);
}

/* The reason is told by SQLite's log: cr-sqlite has one sentence for all. */
static void
commit_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *name = table_name(ctx, argc, argv);
	int rc;

	if (name == NULL)
		return;
	rc = argc == 2 ? crr_check_schema(e, argv[0]) : SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = alter_commit(e, name);
	if (rc == SQLITE_OK)
		return;
	sqlite3_log(rc, FAILED ": %s: %s", name, engine_error(e));
	engine_fail(e, rc, FAILED);
	engine_result_error(e, ctx, rc);
}

int
alter_register(struct engine *e)
{
	int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
	int rc = sqlite3_create_function(e->db, "crsql_begin_alter", -1, flags, e,
	    begin_function, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_commit_alter", -1, flags,
		    e, commit_function, NULL, NULL);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * table_list.c - the list of replicated tables: read from the schema, kept in
 * step with it.  What follows from its changes is table_mend.c's.
 *
 * A table whose rows in sqlite_schema are what they were is not read again, and
 * nothing follows for it: with n tables a change of one costs a reading of the
 * schema, not n readings of tables.
 */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/copied.h"
#include "crdt/merge.h"
#include "crdt/schema.h"
#include "crdt/triggers.h"
#include "crdt/views.h"

SQLITE_EXTENSION_INIT3

struct found {              /* a row of crsql_tbl whose table is there */
	int id;
	char *name;             /* now */
	char *noted;
	uint64_t print;         /* of what is read of it */
	struct table *old;      /* it is as it was; NULL: to be read */
};

struct found_list {
	struct found *at;
	int n, room;
	int changed;            /* those to be read */
	int noted;              /* rows of crsql_tbl */
};

/* -- which there are ------------------------------------------------------------ */

static void
found_clear(struct found_list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		sqlite3_free(l->at[i].name);
		sqlite3_free(l->at[i].noted);
	}
	sqlite3_free(l->at);
}

static struct table *
list_find(const struct table_list *l, int id)
{
	int lo = 0, hi = l->n, at;

	while (lo < hi) {
		at = lo + (hi - lo) / 2;
		if (l->table[at].id < id)
			lo = at + 1;
		else
			hi = at;
	}
	return lo < l->n && l->table[lo].id == id ? &l->table[lo] : NULL;
}

struct table *
table_by_id(struct engine *e, int id)
{
	return list_find(&e->tables, id);
}

/* True if nothing that t was read from can have changed. */
static bool
is_same(struct engine *e, const struct table_list *old, const struct table *t,
    const struct found *f)
{
	int i;

	if (t->print != f->print || strcmp(t->name, f->name) != 0 ||
	    strcmp(t->noted, f->noted) != 0 || t->gone ||
	    (old->undone && t->epoch == old->epoch) ||
	    t->lean != alter_is_lean(e, t->id))
		return false;
	for (i = 0; i < t->ncol; i++)
		if (t->col[i].unsaved || t->col[i].renamed)
			return false;
	return true;
}

static int
print_of(struct engine *e, int id, const struct schema_table *in,
    uint64_t *print)
{
	*print = in != NULL ? in->print : 0;
	return columns_print(e, id, print);
}

static int
add_found(struct engine *e, struct found_list *l, const struct schema *s,
    const struct table_list *old, sqlite3_stmt *stmt)
{
	struct found *list = l->at, *f;
	int rc = SQLITE_OK, room;
	const char *noted = engine_column(stmt, 1, &rc);
	const char *now = schema_name_now(s, noted);

	l->noted++;
	if (rc != SQLITE_OK || now == NULL)
		return rc;
	if (l->n == l->room) {
		room = l->room ? l->room * 2 : 8;
		list = sqlite3_realloc64(list, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		l->at = list;
		l->room = room;
	}
	f = &list[l->n++];
	f->id = sqlite3_column_int(stmt, 0);
	f->name = sqlite3_mprintf("%s", now);
	f->noted = sqlite3_mprintf("%s", noted);
	f->old = list_find(old, f->id);
	if (f->name == NULL || f->noted == NULL)
		return SQLITE_NOMEM;
	rc = print_of(e, f->id, schema_find(s, f->name), &f->print);
	if (f->old != NULL && !is_same(e, old, f->old, f))
		f->old = NULL;
	l->changed += f->old == NULL;
	return rc;
}

static int
find_all(struct engine *e, const struct schema *s,
    const struct table_list *old, struct found_list *l)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT id, name FROM crsql_tbl "
	    "ORDER BY id");

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = add_found(e, l, s, old, stmt);
	return engine_finalize(stmt, rc);
}

/* -- reading them ------------------------------------------------------------------ */

static int
make_room(struct table_list *l, int room)
{
	struct table *list;

	if (room <= l->room)
		return SQLITE_OK;
	list = sqlite3_realloc64(l->table, sizeof *list * (uint64_t)room);
	if (list == NULL)
		return SQLITE_NOMEM;
	l->table = list;
	l->room = room;
	return SQLITE_OK;
}

/* Whether it has triggers of ours, and may have unique indexes besides its key:
 * of those that SQLite makes itself one is the key's. */
static void
look_at_rows(struct table *t, const struct schema_table *in)
{
	const struct schema_row *r;
	int own = t->integer_key ? 1 : 0;

	t->bare = true;
	t->unique = false;
	t->overtaken = triggers_are_overtaken(in);
	for (r = in != NULL ? in->row : NULL; r != NULL; r = r->next) {
		if (r->kind == SCHEMA_TRIGGER && schema_trigger_of(r->name) >= 0 &&
		    sqlite3_stricmp(strrchr(r->name, '_'), "_itrig") == 0)
			t->bare = false;
		if (r->kind == SCHEMA_INDEX && r->sql == NULL)
			t->unique = t->unique || ++own > 1;
		else if (r->kind == SCHEMA_INDEX)
			t->unique = t->unique ||
			    sqlite3_strnicmp(r->sql, "CREATE UNIQUE ", 14) == 0;
	}
}

/* Reads one, at the end of the list; in has its texts. */
static int
read_table(struct engine *e, int id, const char *name, const char *noted,
    const struct schema_table *in)
{
	struct table *t = &e->tables.table[e->tables.n++];
	int rc;

	memset(t, 0, sizeof *t);
	t->id = id;
	t->hw = t->has_dead = t->has_meta = t->alone = -1;
	t->lean = alter_is_lean(e, id);
	t->epoch = e->tables.epoch;
	t->name = sqlite3_mprintf("%s", name);
	t->noted = sqlite3_mprintf("%s", noted);
	rc = t->name && t->noted ? table_read_shape(e, t) : SQLITE_NOMEM;
	/* another table in its place, which mending forgets */
	if (rc == SQLITE_OK && (t->npk == 0 || t->npk > PACK_MAX_COLUMNS)) {
		table_free(t);
		e->tables.n--;
		return SQLITE_OK;
	}
	look_at_rows(t, in);
	return rc == SQLITE_OK ? columns_read(e, t, in) : rc;
}

static int
read_tables(struct engine *e, const struct found_list *l,
    const struct schema *s)
{
	const struct found *f;
	struct table *t;
	int i, rc = make_room(&e->tables, l->n);

	for (i = 0; i < l->n && rc == SQLITE_OK; i++) {
		f = &l->at[i];
		t = &e->tables.table[e->tables.n];
		memset(t, 0, sizeof *t);
		t->id = f->id;
		/* else its place, until all has gone well */
		if (f->old == NULL)
			rc = read_table(e, f->id, f->name, f->noted,
			    schema_find(s, f->name));
		else
			e->tables.n++;
		t->print = f->print;
	}
	return rc;
}

/* What else is known of one that was read anew; before is what was known. */
static int
complete(struct engine *e, struct table *t, const struct table *before,
    const struct schema *s)
{
	int i;

	/* a column found before in this transaction was born then, not now */
	if (before != NULL)
		columns_keep_births(t, before);
	t->youngest = INT64_MIN;
	for (i = 0; i < t->ncol; i++)
		if (t->col[i].born > t->youngest)
			t->youngest = t->col[i].born;
	return triggers_look(e, t, schema_find(s, t->name));
}

/* Those that are as they were take their places, but for their statements. */
static void
move(struct table_list *from, struct table_list *to)
{
	struct table *t, *old;
	int i;

	for (i = 0; i < to->n; i++) {
		t = &to->table[i];
		if (t->name != NULL)
			continue;
		old = list_find(from, t->id);
		*t = *old;
		table_drop_statements(t);
		t->hw = t->has_dead = t->has_meta = t->alone = -1;
		memset(old, 0, sizeof *old);
		old->id = t->id;        /* by which the others are found */
	}
}

static int
name_all(struct table_list *l)
{
	int i, rc = SQLITE_OK;

	namemap_clear(&l->names);
	l->any_aside = false;
	for (i = l->n - 1; i >= 0 && rc == SQLITE_OK; i--) {
		l->any_aside |= l->table[i].aside;
		rc = namemap_set(&l->names, l->table[i].name, i);
	}
	return rc;
}

/* Texts of those that are to be read, if s has none. */
static int
read_texts(struct engine *e, const struct found_list *l, struct schema *s)
{
	int i;

	for (i = 0; i < l->n && l->at[i].old != NULL; i++)
		;
	if (i == l->n)
		return SQLITE_OK;
	schema_clear(s);
	return schema_read(e, l->changed == 1 ? l->at[i].name : NULL,
	    SCHEMA_TEXTS, s);
}

/* Reads what has changed into an empty list; old is what was known before. */
static int
read_all(struct engine *e, const struct table_list *old)
{
	struct found_list l = { NULL, 0, 0, 0, 0 };
	const struct schema_table *log;
	struct table *t;
	struct schema s;
	int i, rc = schema_read(e, NULL, old->n > 0 ? SCHEMA_PRINTS : SCHEMA_TEXTS,
	    &s);

	if (rc == SQLITE_OK) {
		log = schema_find(&s, "crsql_log");
		e->has_storage = log != NULL && log->there;
		e->tables.may_fail = s.may_fail;
		e->tables.ordered = s.ordered;
	}
	if (rc == SQLITE_OK && e->has_storage)
		rc = find_all(e, &s, old, &l);
	e->tables.noted = l.noted;
	if (rc == SQLITE_OK && old->n > 0)
		rc = read_texts(e, &l, &s);
	if (rc == SQLITE_OK)
		rc = read_tables(e, &l, &s);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (t->name != NULL)
			rc = complete(e, t, list_find(old, t->id), &s);
	}
	schema_clear(&s);
	found_clear(&l);
	return rc;
}

/* What was captured up to when a table was first seen to be made anew goes by
 * the rowids that its rows had before. */
static void
note_rebuilt(struct engine *e)
{
	const struct table_list *l = &e->tables;
	bool rebuilt = l->noted > l->n || table_any_bare(l);

	if (!l->rebuilt && e->capture != NULL)
		e->capture->before_change = e->capture->list.n;
	e->tables.rebuilt = rebuilt;
}

static int
schema_version(struct engine *e, int64_t *out)
{
	*out = 0;
	return engine_cached_int(e, SLOT_SCHEMA, "PRAGMA main.schema_version", out);
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
	e->tables.n = e->tables.room = 0;
	memset(&e->tables.names, 0, sizeof e->tables.names);
	engine_drop_statements(e);
	rc = read_all(e, &old);
	if (rc == SQLITE_OK && old.n > 0 && e->has_storage)
		rc = columns_read_names(e, &old);
	/* what was found before in this transaction is not to be found again */
	if (rc != SQLITE_OK) {
		table_free_list(&e->tables);
		e->tables.table = old.table;
		e->tables.n = old.n;
		e->tables.room = old.room;
		e->tables.names = old.names;
		e->tables.schema_version = -1;
		return rc;
	}
	move(&old, &e->tables);
	table_free_list(&old);
	e->tables.undone = false;
	if (e->has_storage)
		note_rebuilt(e);
	rc = name_all(&e->tables);
	if (rc == SQLITE_OK)
		rc = views_follow(e);
	e->tables.schema_version = rc == SQLITE_OK ? version : -1;
	return rc;
}

void
table_doubt(struct engine *e)
{
	e->tables.schema_version = -1;
	e->tables.undone = true;
}

/* -- one more ---------------------------------------------------------------------- */

int
table_add(struct engine *e, int id, const char *name, struct schema *s,
    struct table **out)
{
	struct table *t = NULL;
	int n = e->tables.n, rc = schema_read(e, name, SCHEMA_TEXTS, s);

	*out = NULL;
	if (rc == SQLITE_OK && n == e->tables.room)
		rc = make_room(&e->tables, n * 2 + 8);
	e->tables.generation++;         /* the others may have moved */
	if (rc == SQLITE_OK)
		rc = read_table(e, id, name, name, schema_find(s, name));
	e->tables.noted++;
	if (rc != SQLITE_OK || e->tables.n == n)
		return rc;
	t = &e->tables.table[n];
	e->tables.any_aside |= t->aside;
	rc = complete(e, t, NULL, s);
	if (rc == SQLITE_OK)
		rc = namemap_set(&e->tables.names, t->name, n);
	if (rc == SQLITE_OK)
		rc = views_add(e, t);
	*out = t;
	return rc;
}

int
table_added(struct engine *e, struct table *t, struct schema *s)
{
	bool mended = e->tables.mended == e->tables.schema_version;
	const struct schema_table *in;
	int rc;

	/* triggers left from before may have gone */
	if (s->ours) {
		schema_clear(s);
		rc = schema_read(e, t->name, SCHEMA_TEXTS, s);
	} else
		rc = schema_read_on(e, t->name, SCHEMA_TEXTS, s);
	in = schema_find(s, t->name);
	if (rc == SQLITE_OK)
		rc = print_of(e, t->id, in, &t->print);
	if (rc == SQLITE_OK) {
		t->mended = true;
		look_at_rows(t, in);
		rc = triggers_look(e, t, in);
	}
	if (rc == SQLITE_OK)
		rc = schema_version(e, &e->tables.schema_version);
	if (rc != SQLITE_OK || !mended)
		return rc;
	e->tables.mended = e->tables.schema_version;
	return copied_note(e);
}

// SPDX-License-Identifier: MPL-2.0
/* views.c - which modules there are, and what they share; see views.h. */
#include "crdt/views.h"

#include <string.h>

#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* -- modules ------------------------------------------------------------------ */

static void
release(void *arg)
{
	struct view *v = arg;

	if (--v->users > 0)
		return;
	sqlite3_free(v->name);
	sqlite3_free(v->declared);
	sqlite3_free(v);
}

/* module NULL takes one away. */
static int
set_module(struct engine *e, const char *table, const char *kind,
    const sqlite3_module *module, struct view *v)
{
	char *name = sqlite3_mprintf("%s__crsql_%s", table, kind);
	int rc = SQLITE_NOMEM;

	if (v != NULL)
		v->users++;
	if (name != NULL)
		rc = sqlite3_create_module_v2(e->db, name, module, v,
		    v != NULL ? release : NULL);
	else if (v != NULL)
		release(v);
	sqlite3_free(name);
	return rc;
}

static int
set_modules(struct engine *e, const char *table, struct view *v)
{
	int rc = set_module(e, table, "clock", v ? &clock_view_module : NULL, v);

	return rc != SQLITE_OK ? rc : set_module(e, table, "pks",
	    v ? &pks_view_module : NULL, v);
}

/* Takes the modules away; what is reading them goes on. */
static int
view_end(struct engine *e, struct view *v)
{
	int rc = set_modules(e, v->name, NULL);

	release(v);
	return rc;
}

static int
view_new(struct engine *e, int id, const char *name, struct view **out)
{
	struct view *v = sqlite3_malloc(sizeof *v);
	int rc = SQLITE_NOMEM;

	*out = NULL;
	if (v == NULL)
		return rc;
	*v = (struct view){ .e = e, .users = 1, .id = id };
	v->name = sqlite3_mprintf("%s", name);
	if (v->name != NULL)
		rc = set_modules(e, name, v);
	if (rc == SQLITE_OK)
		*out = v;
	else if (v->name != NULL)
		view_end(e, v);
	else
		release(v);
	return rc;
}

/* -- the list ------------------------------------------------------------------ */

static int
same_key(const struct view *v, const struct table *t, bool *same)
{
	const char **pk;
	char *now;
	int i;

	*same = true;
	if (v->declared == NULL)
		return SQLITE_OK;
	pk = sqlite3_malloc64(sizeof *pk * (uint64_t)t->npk);
	for (i = 0; pk != NULL && i < t->npk; i++)
		pk[i] = t->pk[i].name;
	now = pk != NULL ? pks_view_declare(pk, t->npk) : NULL;
	*same = now != NULL && strcmp(now, v->declared) == 0;
	sqlite3_free(pk);
	sqlite3_free(now);
	return now != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Puts those that stay in place[i] for table i; the others end.  Both lists
 * are in order of id. */
static int
keep_views(struct engine *e, struct view **place)
{
	struct table *t;
	struct view *v;
	bool same;
	int i, k = 0, rc = SQLITE_OK, end;

	for (i = 0; i < e->nviews; i++) {
		v = e->views[i];
		while (k < e->tables.n && e->tables.table[k].id < v->id)
			k++;
		t = k < e->tables.n ? &e->tables.table[k] : NULL;
		same = t != NULL && t->id == v->id &&
		    strcmp(t->name, v->name) == 0;
		if (same && rc == SQLITE_OK)
			rc = same_key(v, t, &same);
		if (same) {
			place[k] = v;
			continue;
		}
		end = view_end(e, v);
		rc = rc == SQLITE_OK ? end : rc;
	}
	return rc;
}

int
views_follow(struct engine *e)
{
	size_t size = sizeof(struct view *) * (size_t)(e->tables.n + 1);
	struct view **place;
	int i, rc;

	/* while the engine loads it may yet fail, and modules would stay */
	if (!e->has_views)
		return SQLITE_OK;
	place = sqlite3_malloc64(size);
	if (place == NULL)
		return SQLITE_NOMEM;
	memset(place, 0, size);
	rc = keep_views(e, place);
	/* all that end have ended: names may be another's now */
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		if (place[i] == NULL)
			rc = view_new(e, e->tables.table[i].id,
			    e->tables.table[i].name, &place[i]);
	sqlite3_free(e->views);
	e->views = place;
	e->view_room = e->tables.n + 1;
	e->nviews = 0;
	for (i = 0; i < e->tables.n; i++)
		if (place[i] != NULL)
			place[e->nviews++] = place[i];
	return rc;
}

/* At the end of the list: numbers only grow. */
static int
append(struct engine *e, int id, const char *name)
{
	struct view **list;
	int rc, room = e->view_room * 2 + 16;

	if (e->nviews == e->view_room) {
		list = sqlite3_realloc64(e->views, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		e->views = list;
		e->view_room = room;
	}
	rc = view_new(e, id, name, &e->views[e->nviews]);
	e->nviews += rc == SQLITE_OK;
	return rc;
}

int
views_add(struct engine *e, const struct table *t)
{
	return e->has_views ? append(e, t->id, t->name) : SQLITE_OK;
}

/* SQLite looks through its modules the longer the more there are: of so many
 * tables all would take as long as what else is done at load.  Where there are
 * more it waits until the list of tables is read, which takes longer. */
enum { LOAD_MAX = 1000 };

/* Names alone: nobody may ever read them. */
int
views_load(struct engine *e)
{
	const char *name;
	sqlite3_stmt *stmt;
	int rc;

	e->has_views = true;
	if (!e->has_storage)
		return SQLITE_OK;
	rc = engine_prepare(e, &stmt, "SELECT id, name FROM crsql_tbl WHERE (SELECT "
	    "count(*) FROM crsql_tbl) <= %d ORDER BY id", LOAD_MAX);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 1, &rc);
		if (rc == SQLITE_OK)
			rc = append(e, sqlite3_column_int(stmt, 0), name);
	}
	return engine_finalize(stmt, rc);
}

/* Modules end with the connection, before this or after. */
void
views_free(struct engine *e)
{
	int i;

	for (i = 0; i < e->nviews; i++)
		release(e->views[i]);
	sqlite3_free(e->views);
	e->views = NULL;
	e->nviews = e->view_room = 0;
}

/* -- what both kinds need -------------------------------------------------------- */

struct table *
view_table(sqlite3_vtab *v)
{
	struct view_vtab *self = (struct view_vtab *)v;

	return table_by_id(self->vtab.e, self->id);
}

int64_t
view_dead_key(const struct table *t, const uint8_t *pk, int npk)
{
	struct val v;

	if (t->integer_key && pack_read(pk, npk, 1, &v, 1) == 1 &&
	    v.type == SQLITE_INTEGER)
		return v.i;
	return (int64_t)(pack_hash(pk, npk) | (uint64_t)1 << 63);
}

static const int operators[] = {
	SQLITE_INDEX_CONSTRAINT_EQ, SQLITE_INDEX_CONSTRAINT_GE,
	SQLITE_INDEX_CONSTRAINT_GT, SQLITE_INDEX_CONSTRAINT_LE,
	SQLITE_INDEX_CONSTRAINT_LT,
};
enum { EQ, GE, GT, LE, LT, NOPERATORS };

int
view_use(sqlite3_index_info *info, int column, int *n)
{
	int i, op, used = 0;

	for (op = 0; op < NOPERATORS; op++)
		for (i = 0; i < info->nConstraint && !(used & 1 << op); i++) {
			if (!info->aConstraint[i].usable ||
			    info->aConstraint[i].iColumn != column ||
			    info->aConstraint[i].op != operators[op])
				continue;
			info->aConstraintUsage[i].argvIndex = ++*n;
			used |= 1 << op;
		}
	return used;
}

/* Values that are no integers are left to SQLite. */
sqlite3_value **
view_narrow(struct view_range *r, int used, sqlite3_value **argv)
{
	int64_t v;
	int op;

	for (op = 0; op < NOPERATORS; op++) {
		if (!(used & 1 << op))
			continue;
		v = sqlite3_value_int64(*argv);
		if (sqlite3_value_type(*argv++) != SQLITE_INTEGER)
			continue;
		if (op == GT && v < INT64_MAX)
			v++;
		if (op == LT && v > INT64_MIN)
			v--;
		if ((op == EQ || op == GE || op == GT) && v > r->lo)
			r->lo = v;
		if ((op == EQ || op == LE || op == LT) && v < r->hi)
			r->hi = v;
	}
	return argv;
}

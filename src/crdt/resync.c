// SPDX-License-Identifier: MPL-2.0
/* resync.c - see resync.h. */
#include "crdt/resync.h"

#include "crdt/capture.h"
#include "crdt/crr.h"
#include "crdt/fold_list.h"
#include "crdt/journal.h"
#include "crdt/keymap.h"
#include "crdt/lost.h"
#include "crdt/meta.h"
#include "crdt/triggers.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

enum { LEFT = 1, CAME };        /* what happened to a key first */

/* What was noted of rows and is not folded yet. */
struct resync {
	struct engine *e;
	struct keymap first;    /* by table and key */
	bool any;               /* something is in it */
	struct buf pk;
};

/* -- what is noted and not folded ---------------------------------------------- */

static void
note(struct resync *r, int table, int64_t key, int what)
{
	r->any = true;
	if (keymap_get(&r->first, table, key) < 0)
		keymap_set(&r->first, table, key, what);
}

static void
note_record(struct resync *r, const struct record *c)
{
	int64_t k;

	switch (c->op) {
	case RECORD_RUN:
		for (k = 0; k < c->n; k++)
			note(r, c->table, c->key + k, CAME);
		break;
	case RECORD_INSERT:
		note(r, c->table, c->key, CAME);
		break;
	case RECORD_DELETE:
		note(r, c->table, c->key, LEFT);
		break;
	case RECORD_REPLACE:
	case RECORD_MOVE:
		note(r, c->table, c->n, LEFT);
		note(r, c->table, c->key, CAME);
		break;
	case RECORD_UPDATE:
		break;
	}
}

static int
count_keys(const struct fold_list *l)
{
	int64_t n = 0;
	int i;

	for (i = l->from; i < l->to; i++)
		n += l->list->record[i].op == RECORD_RUN ?
		    l->list->record[i].n : 2;
	return n < INT32_MAX / 4 ? (int)n : -1;
}

static int
begin(struct engine *e, bool journal, struct resync **out)
{
	struct resync *r = sqlite3_malloc64(sizeof *r);
	struct fold_list list;
	int i, n, rc;

	*out = r;
	if (r == NULL)
		return SQLITE_NOMEM;
	r->e = e;
	r->any = false;
	r->first.slot = NULL;
	buf_init(&r->pk, INT32_MAX);
	rc = fold_list_make(e, journal, &list);
	n = count_keys(&list);
	if (rc == SQLITE_OK)
		rc = n < 0 ? SQLITE_NOMEM : keymap_init(&r->first, n);
	for (i = list.from; i < list.to && rc == SQLITE_OK; i++)
		note_record(r, &list.list->record[i]);
	fold_list_clear(&list);
	return rc;
}

static void
free_resync(struct resync *r)
{
	if (r == NULL)
		return;
	keymap_free(&r->first);
	buf_clear(&r->pk);
	sqlite3_free(r);
}

/* -- rows that are gone -------------------------------------------------------- */

/* True if the row of an integer key is known to be deleted. */
static int
is_dead(struct resync *r, struct table *t, int64_t key, bool *dead)
{
	struct val v = { .type = SQLITE_INTEGER, .i = key };
	struct dead d;
	int rc;

	*dead = false;
	if (!t->integer_key)
		return SQLITE_OK;
	r->pk.len = 0;
	rc = pack_key(&v, 1, &r->pk);
	return rc != SQLITE_OK ? rc : dead_get(r->e, t, r->pk.data,
	    (int)r->pk.len, dead, &d);
}

/* A key that the log knows, and whether a row is there. */
static int
check_key(struct resync *r, struct table *t, int64_t key, bool there,
    bool *other)
{
	int what = keymap_get(&r->first, t->id, key);
	bool dead;
	int rc;

	if (what == LEFT || (there && what < 0))
		return SQLITE_OK;
	rc = is_dead(r, t, key, &dead);
	if (rc == SQLITE_OK && !dead)
		*other = true;
	return rc;
}

/* Every key of one run; rows steps through those that are there. */
static int
check_run(struct resync *r, struct table *t, sqlite3_stmt *rows,
    int64_t from, int64_t to, bool *other)
{
	int64_t key, expected = from;
	bool more = true, there;
	int step, rc = SQLITE_OK;

	sqlite3_bind_int64(rows, 1, from);
	sqlite3_bind_int64(rows, 2, to);
	while (rc == SQLITE_OK && !*other && more) {
		step = sqlite3_step(rows);
		there = step == SQLITE_ROW;
		if (!there && step != SQLITE_DONE) {
			rc = step;
			break;
		}
		key = there ? sqlite3_column_int64(rows, 0) : to;
		for (; expected < key && rc == SQLITE_OK && !*other; expected++)
			rc = check_key(r, t, expected, false, other);
		if (rc == SQLITE_OK && !*other)
			rc = check_key(r, t, key, there, other);
		more = key < to;
		if (more)
			expected = key + 1;
	}
	sqlite3_reset(rows);
	return rc;
}

static int
check_runs(struct resync *r, struct table *t, bool *other)
{
	sqlite3_stmt *runs, *rows = NULL;
	int64_t from;
	int rc = engine_prepare(r->e, &runs, "SELECT key, n FROM crsql_log "
	    "WHERE tbl = %d AND n > 0 AND mask IS NULL", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(r->e, &rows, "SELECT %s FROM main.\"%w\" WHERE "
		    "%s BETWEEN ?1 AND ?2 ORDER BY 1", t->rowid, t->name, t->rowid);
	while (rc == SQLITE_OK && !*other && sqlite3_step(runs) == SQLITE_ROW) {
		from = sqlite3_column_int64(runs, 0);
		rc = check_run(r, t, rows, from,
		    from + sqlite3_column_int64(runs, 1) - 1, other);
	}
	rc = engine_finalize(rows, rc);
	sqlite3_finalize(runs);
	return rc;
}

/* Rows with a clock row of their own. */
static int
check_clocks(struct resync *r, struct table *t, bool *other)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(r->e, &stmt, "SELECT key, EXISTS(SELECT 1 FROM "
	    "main.\"%w\" x WHERE x.%s = m.key) AS there FROM "
	    "main.\"%w__crsql_meta\" m WHERE NOT there OR %d", t->name, t->rowid,
	    t->noted, r->any);

	while (rc == SQLITE_OK && !*other && sqlite3_step(stmt) == SQLITE_ROW)
		rc = check_key(r, t, sqlite3_column_int64(stmt, 0),
		    sqlite3_column_int(stmt, 1) != 0, other);
	rc = engine_finalize(stmt, rc);
	return rc;
}

/* *other if t can't be the table that the log knows: a row is gone, or is
 * another one, and no deletion of it is known.  Where the rowid is not the
 * key, the rowid of a row that was deleted looks like one that is gone. */
static int
compare(struct resync *r, struct table *t, bool *other)
{
	int rc;

	*other = false;
	rc = check_clocks(r, t, other);
	return rc == SQLITE_OK && !*other ? check_runs(r, t, other) : rc;
}

/* -- rows that came ------------------------------------------------------------ */

/* Runs of the log in order of their keys; they do not overlap. */
struct runs {
	sqlite3_stmt *stmt;
	int64_t from, to;       /* the one at hand; from > to: none left */
};

static void
next_run(struct runs *r)
{
	r->from = INT64_MAX;
	r->to = INT64_MIN;
	if (r->stmt != NULL && sqlite3_step(r->stmt) == SQLITE_ROW) {
		r->from = sqlite3_column_int64(r->stmt, 0);
		r->to = r->from + sqlite3_column_int64(r->stmt, 1) - 1;
	}
}

static bool
in_run(struct runs *r, int64_t key)
{
	while (r->from <= r->to && r->to < key)
		next_run(r);
	return r->from <= key && key <= r->to;
}

static int
add_row(struct resync *r, const struct table *t, int64_t key)
{
	return record_add(&r->e->capture->list, RECORD_INSERT, t->id, key)
	    ? SQLITE_OK : SQLITE_NOMEM;
}

static int
note_new(struct resync *r, struct table *t)
{
	struct runs runs = { NULL, 0, 0 };
	sqlite3_stmt *stmt = NULL;
	int64_t key;
	int rc = engine_prepare(r->e, &runs.stmt, "SELECT key, n FROM crsql_log "
	    "WHERE tbl = %d AND n > 0 AND mask IS NULL ORDER BY key", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(r->e, &stmt, "SELECT x.%s FROM main.\"%w\" x "
		    "WHERE NOT EXISTS(SELECT 1 FROM main.\"%w__crsql_meta\" WHERE "
		    "key = x.%s) ORDER BY 1", t->rowid, t->name, t->noted, t->rowid);
	next_run(&runs);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (!in_run(&runs, key) && keymap_get(&r->first, t->id, key) < 0)
			rc = add_row(r, t, key);
	}
	rc = engine_finalize(stmt, rc);
	sqlite3_finalize(runs.stmt);
	return rc;
}

/* True if the log knows the row there: by its clock row or a run. */
static int
is_known(struct resync *r, struct table *t, int64_t key, int64_t *known)
{
	*known = 0;
	return engine_int(r->e, known, "SELECT EXISTS(SELECT 1 FROM "
	    "main.\"%w__crsql_meta\" WHERE key = %lld) OR EXISTS(SELECT 1 FROM "
	    "crsql_log WHERE tbl = %d AND n > 0 AND mask IS NULL AND key <= %lld "
	    "AND key + n > %lld)", t->noted, key, t->id, key, key);
}

/* Rows that were deleted and are there again, at a key that is known. */
static int
note_living_dead(struct resync *r, struct table *t)
{
	sqlite3_stmt *stmt;
	int64_t key, known;
	bool lives;
	int rc = engine_prepare(r->e, &stmt, "SELECT pk FROM "
	    "main.\"%w__crsql_dead\"", t->noted);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = table_find_key(r->e, t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), &lives, &key);
		if (rc != SQLITE_OK || !lives ||
		    keymap_get(&r->first, t->id, key) >= 0)
			continue;
		rc = is_known(r, t, key, &known);
		if (rc == SQLITE_OK && known)
			rc = add_row(r, t, key);
	}
	rc = engine_finalize(stmt, rc);
	return rc;
}

/* Rows of t that are not known are noted as new. */
static int
add_new(struct resync *r, struct table *t)
{
	int rc = note_new(r, t);

	return rc == SQLITE_OK ? note_living_dead(r, t) : rc;
}

/* -- the key ------------------------------------------------------------------- */

/* The key's columns, with what else decides how rows are named. */
static char *
key_shape(const struct table *t)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%c%d%Q", t->pk[i].affinity,
		    t->integer_key, t->pk[i].name);
	return sqlite3_str_finish(s);
}

int
resync_note_key(struct engine *e, const struct table *t)
{
	char *key = key_shape(t);
	int64_t same = 0;
	int rc = key ? engine_int(e, &same, "SELECT value = %Q FROM "
	    "crsql_master WHERE key = 'key.%d'", key, t->id) : SQLITE_NOMEM;

	if (rc == SQLITE_OK && !same)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_master "
		    "VALUES('key.%d', %Q)", t->id, key);
	sqlite3_free(key);
	return rc;
}

static int
key_has_changed(struct engine *e, const struct table *t, bool *changed)
{
	char *key = key_shape(t);
	int64_t n = 0;
	int rc = key ? engine_int(e, &n, "SELECT value <> %Q FROM crsql_master "
	    "WHERE key = 'key.%d'", key, t->id) : SQLITE_NOMEM;

	*changed = n != 0;
	sqlite3_free(key);
	return rc;
}

/* -- tables without their triggers ----------------------------------------------- */

/* Another table of that name took the place of t: nothing that was known holds
 * for it.  One that can't be replicated is a plain one from now on. */
static int
replace(struct engine *e, struct table *t)
{
	char *name = sqlite3_mprintf("%s", t->name);
	int id = t->id, fits, rc;

	if (name == NULL)
		return SQLITE_NOMEM;
	fits = crr_check(e, t);
	sqlite3_log(SQLITE_WARNING, fits == SQLITE_OK ? "table %s was dropped and "
	    "made anew: it is taken for another table, and its rows are new ones"
	    : "table %s was dropped and made anew, and is not replicated any more: "
	    "%s", name, engine_error(e));
	rc = fits == SQLITE_OK || fits == SQLITE_ERROR ?
	    lost_empty(e, id, t->noted) : fits;
	e->tables.schema_version = -1;
	if (rc == SQLITE_OK)
		rc = fits == SQLITE_OK ? crr_enter(e, name) : table_refresh(e);
	sqlite3_free(name);
	return rc;
}

/* Those whose key is another one come first: what is noted of their rows can't
 * be read any more. */
static int
replace_rekeyed(struct engine *e, bool *lost)
{
	bool this, changed = false;
	int i, rc = SQLITE_OK;

	*lost = false;
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		rc = triggers_lost(e, &e->tables.table[i], &this);
		if (rc == SQLITE_OK && this)
			rc = key_has_changed(e, &e->tables.table[i], &changed);
		*lost |= this && !changed;
		if (rc != SQLITE_OK || !this || !changed)
			continue;
		rc = replace(e, &e->tables.table[i--]);
	}
	return rc;
}

/* True if a table of that name was made where another had been.  A trigger that
 * is left says that it is the same.  One that a tool copied the rows to and
 * renamed has its name in quotes, by SQLite: of it, rows tell. */
static int
made_anew(struct engine *e, const struct table *t, bool *anew)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT sql NOT LIKE 'CREATE TABLE \"%%' AND "
	    "NOT EXISTS(SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' "
	    "AND tbl_name = %Q AND name GLOB '*__crsql_*') FROM "
	    "main.sqlite_schema WHERE type = 'table' AND name = %Q", t->name,
	    t->name);

	*anew = n != 0;
	return rc;
}

static int
mend_rebuilt(struct engine *e, struct resync *r)
{
	struct table *t;
	bool lost, other = false;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		rc = triggers_lost(e, t, &lost);
		if (rc != SQLITE_OK || !lost)
			continue;
		rc = made_anew(e, t, &other);
		if (rc == SQLITE_OK && !other)
			rc = compare(r, t, &other);
		if (rc == SQLITE_OK && other) {
			rc = replace(e, &e->tables.table[i--]);
			continue;
		}
		sqlite3_log(SQLITE_WARNING, "table %s had lost its triggers: rows "
		    "are compared by key, changes of values since then are not "
		    "known", t->name);
		if (rc == SQLITE_OK)
			rc = add_new(r, t);
	}
	return rc;
}

int
resync_tables(struct engine *e)
{
	struct resync *r = NULL;
	bool lost, journal;
	int rc = replace_rekeyed(e, &lost);

	if (rc != SQLITE_OK || !lost)
		return rc;
	rc = journal_any(e, &journal);
	if (rc == SQLITE_OK)
		rc = begin(e, journal, &r);
	if (rc == SQLITE_OK)
		rc = mend_rebuilt(e, r);
	free_resync(r);
	return rc;
}

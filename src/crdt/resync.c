// SPDX-License-Identifier: MPL-2.0
/* resync.c - see resync.h. */
#include "crdt/resync.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/compare.h"
#include "crdt/crr.h"
#include "crdt/dropping.h"
#include "crdt/fold.h"
#include "crdt/journal.h"
#include "crdt/lookaside.h"
#include "crdt/lost.h"
#include "crdt/meta.h"
#include "crdt/remap.h"
#include "crdt/repair.h"
#include "crdt/triggers.h"
#include "crdt/unique.h"

SQLITE_EXTENSION_INIT3

/* -- the key ------------------------------------------------------------------- */

/* The key's columns, with what else decides how rows are named. */
static char *
key_shape(const struct table *t)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%c%d%Q", t->pk[i].affinity,
		    t->aside ? KEY_ASIDE : t->integer_key, t->pk[i].name);
	return sqlite3_str_finish(s);
}

static int
is_noted(struct engine *e, const struct table *t, const char *key, bool *same)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_KEY_NOTE, "SELECT value FROM crsql_master "
	    "WHERE key = 'key.' || ?1", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*same = strcmp(engine_column(stmt, 0, &rc), key) == 0;
	return engine_reset(stmt, rc);
}

int
resync_note_key(struct engine *e, const struct table *t)
{
	char *key = key_shape(t);
	bool same = false;
	int rc = key ? is_noted(e, t, key, &same) : SQLITE_NOMEM;

	if (rc == SQLITE_OK && !same)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_master "
		    "VALUES('key.%d', %Q)", t->id, key);
	sqlite3_free(key);
	return rc;
}

int
resync_keys_pending(struct engine *e, int64_t *n)
{
	const struct table *t;
	bool same;
	char *key;
	int i, rc = SQLITE_OK;

	*n = 0;
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (t->mended || t->bare)
			continue;
		same = false;
		key = key_shape(t);
		rc = key ? is_noted(e, t, key, &same) : SQLITE_NOMEM;
		sqlite3_free(key);
		*n += !same;
	}
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
	bool listed = alter_is_listed(e, t->id);
	int id = t->id, fits, rc;

	if (name == NULL)
		return SQLITE_NOMEM;
	fits = crr_check(e, t);
	if (fits != SQLITE_OK && fits != SQLITE_ERROR) {
		sqlite3_free(name);
		return fits;            /* not known */
	}
	sqlite3_log(SQLITE_WARNING, fits == SQLITE_OK ? "table %s was dropped and "
	    "made anew: it is taken for another table, and its rows are new ones"
	    : "table %s was dropped and made anew, and is not replicated any more: "
	    "%s", name, engine_error(e));
	rc = lost_empty(e, id, t->noted);
	e->tables.schema_version = -1;
	if (rc == SQLITE_OK)
		rc = fits == SQLITE_OK ? crr_enter(e, name) : table_refresh(e);
	t = rc == SQLITE_OK && listed ? table_find(e, name) : NULL;
	if (t != NULL) {
		t->mended = false;
		rc = alter_remade(e, t);
	}
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
		this = e->tables.table[i].bare;
		if (this)
			rc = key_has_changed(e, &e->tables.table[i], &changed);
		/* a tool may have made its triggers anew as well */
		if (e->tables.table[i].aside && !e->tables.table[i].numbered)
			this = changed = true;
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

/* Rows in which a new column has no version and not its default: what made the
 * table anew wrote it. */
static int
note_column(struct engine *e, struct table *t, int i, struct meta *m)
{
	struct column *c = &t->col[i];
	sqlite3_stmt *stmt = NULL;
	char *preset;
	int64_t key;
	int rc = columns_preset(e, t, i, &preset);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &stmt, "SELECT %s FROM %s WHERE \"%w\" "
		    "COLLATE BINARY IS NOT (%s)", t->rowid, t->from, c->name, preset);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		rc = meta_get(e, t, key, m);
		if (rc != SQLITE_OK || meta_version(t, m, key, i) > 0)
			continue;
		rc = record_add_column(&e->capture->list, t->id, key, c->cid);
	}
	sqlite3_free(preset);
	return engine_finalize(stmt, rc);
}

static int
note_new_columns(struct engine *e, struct table *t)
{
	struct meta m = { 0 };
	int i, rc = meta_init(&m, t);

	if (rc == SQLITE_OK)
		rc = table_load_flags(e, t);
	for (i = 0; i < t->ncol && rc == SQLITE_OK; i++)
		if (alter_is_new(e, t, i))
			rc = note_column(e, t, i, &m);
	meta_free(&m);
	return rc;
}

/* The user has said that it is the same table, and the key names its rows. */
static int
mend_altered(struct engine *e, struct compare *c, struct table *t)
{
	int rc = compare_tell_gone(c, t, true);

	/* a row that came has all its columns by that: behind this */
	if (rc == SQLITE_OK)
		rc = note_new_columns(e, t);
	return rc == SQLITE_OK ? compare_add_new(c, t) : rc;
}

/* What is to be done when all that waits is folded. */
enum remedy { NOTHING, BY_LIST, BY_SAMPLES, VALUES };

/* The rowids of a table with another key may have changed: then its samples tell
 * whether it is the same one. */
static int
look_at_rows(struct engine *e, struct compare *c, struct table *t, bool *other,
    enum remedy *remedy)
{
	struct samples s;
	bool gone;
	int rc = compare_gone(c, t, &gone);

	*remedy = VALUES;
	*other = gone;
	if (rc != SQLITE_OK || lookaside_names_pk(t))
		return rc;
	rc = sample_look(e, t, c, &s);
	if (rc != SQLITE_OK)
		return rc;
	if (s.moved > 0 || (gone && s.same > 0)) {
		*remedy = BY_SAMPLES;
		*other = false;
	}
	sample_free(&s);
	return rc;
}

static int
mend_rows(struct engine *e, struct compare *c, struct table *t, bool *other,
    enum remedy *remedy)
{
	int rc = made_anew(e, t, other);

	if (rc == SQLITE_OK && !*other)
		rc = look_at_rows(e, c, t, other, remedy);
	if (rc != SQLITE_OK || *other)
		return rc;
	if (*remedy == VALUES)
		rc = note_new_columns(e, t);
	if (rc == SQLITE_OK && *remedy == VALUES)
		rc = compare_add_new(c, t);
	if (rc == SQLITE_OK)
		sqlite3_log(SQLITE_WARNING, "table %s had lost its triggers: rows are "
		    "compared by key, %s", t->name, *remedy == VALUES ? "changes of "
		    "single values since then are not known" : "as their rowids are "
		    "other ones");
	return rc;
}

/* It was dropped here, in this transaction, after all that waited was folded: its rows
 * were those that the log knows, and those that are gone were left out. */
static int
mend_listed(struct engine *e, struct compare *c, struct table *t, bool *other,
    enum remedy *remedy)
{
	int rc = made_anew(e, t, other);

	*remedy = lookaside_names_pk(t) ? VALUES : BY_LIST;
	if (rc != SQLITE_OK || *other)
		return rc;
	return *remedy == VALUES ? mend_altered(e, c, t) :
	    dropping_load_list(e, t, alter_list_of(e, t->id));
}

struct rest {
	struct {
		int table;      /* id */
		enum remedy remedy;
	} *at;
	int n;
};

static int
add_rest(struct rest *r, int id, enum remedy remedy)
{
	void *more = sqlite3_realloc64(r->at, sizeof *r->at * (uint64_t)(r->n + 1));

	if (more == NULL)
		return SQLITE_NOMEM;
	r->at = more;
	r->at[r->n].table = id;
	r->at[r->n++].remedy = remedy;
	return SQLITE_OK;
}

static int
do_rest(struct engine *e, bool journal, const struct rest *r)
{
	struct table *t;
	int i, rc = r->n > 0 ? fold_before_change(e, journal) : SQLITE_OK;

	for (i = 0; i < r->n && rc == SQLITE_OK; i++) {
		t = table_by_id(e, r->at[i].table);
		if (t != NULL)
			rc = r->at[i].remedy == VALUES ? repair_values(e, t) :
			    repair_rebuilt(e, t, r->at[i].remedy == BY_LIST);
		if (rc == SQLITE_OK && t != NULL && alter_is_listed(e, t->id))
			rc = alter_remade(e, t);
	}
	return rc;
}

static int
mend_rebuilt(struct engine *e, struct compare *c, struct rest *rest)
{
	enum remedy remedy;
	struct table *t;
	bool other = false;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->bare)
			continue;
		other = false;
		remedy = alter_is_open(e, t->id) ? lookaside_names_pk(t) ? VALUES :
		    BY_LIST : NOTHING;
		if (remedy == VALUES)
			rc = mend_altered(e, c, t);
		else if (remedy == NOTHING && alter_is_listed(e, t->id))
			rc = mend_listed(e, c, t, &other, &remedy);
		else if (remedy == NOTHING)
			rc = mend_rows(e, c, t, &other, &remedy);
		if (rc == SQLITE_OK && !other)
			rc = add_rest(rest, t->id, remedy);
		else if (rc == SQLITE_OK)
			rc = replace(e, &e->tables.table[i--]);
	}
	return rc;
}

/* -- tables with a unique index that their triggers don't know -------------------- */

/* A plain program wrote since the index was made: what its REPLACE pushed out
 * no trigger has told.  By an integer key it is found; the others' are not known
 * any more: peers, where such a row lives, are asked for it. */
static int
find_pushed_out(struct engine *e, struct compare *c, struct table *t)
{
	int64_t wrote = 0;
	bool gone = false;
	int rc = engine_int(e, &wrote, "SELECT 1 FROM main.crsql_j WHERE w >> 3 = "
	    "%d AND w & 7 IN (%d, %d, %d, %d) LIMIT 1", t->id, JOURNAL_INSERT,
	    JOURNAL_UPDATE, JOURNAL_REKEY, JOURNAL_MOVE);

	if (rc != SQLITE_OK || !wrote)
		return rc;
	if (lookaside_names_pk(t))
		return compare_tell_gone(c, t, false);
	rc = compare_gone(c, t, &gone);
	if (rc != SQLITE_OK || !gone)
		return rc;
	sqlite3_log(SQLITE_WARNING, "table %s got a unique index, and rows may be "
	    "gone by a REPLACE that nobody saw: peers are asked for them", t->name);
	return lost_doubt(e, t->id);
}

static int
mend_unique(struct engine *e, struct compare *c)
{
	struct table *t;
	bool fresh;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->unique || t->mended || t->bare)
			continue;
		rc = unique_is_fresh(e, t, &fresh);
		if (rc == SQLITE_OK && fresh)
			rc = find_pushed_out(e, c, t);
	}
	return rc;
}

/* -- tables of which a trigger of the user's is younger than ours ------------------ */

static bool
is_overtaken(const struct engine *e, const struct table *t)
{
	return t->overtaken && !t->mended && !t->bare && (e->tables.others ||
	    e->capture->by_journal);
}

/* True if a delete may have been hidden by RAISE(IGNORE), or, where keys tell which row
 * is gone, that one got another key. */
static int
may_hide_deletes(struct engine *e, const struct table *t, bool *may)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT EXISTS(SELECT 1 FROM main.sqlite_schema WHERE "
	    "type = 'trigger' AND tbl_name = %Q COLLATE NOCASE AND name NOT GLOB "
	    "'*__crsql_[a-z]trig' AND (sql LIKE '%%after%%delete%%raise%%ignore%%' OR (%d AND "
	    "sql LIKE '%%after%%update%%')))", t->name, lookaside_names_pk(t));

	*may = n != 0;
	return rc;
}

/* Where the key does not tell which row is gone, peers are asked for it. */
static int
find_hidden_deletes(struct engine *e, struct compare *c, struct table *t)
{
	bool gone = false;
	int rc = may_hide_deletes(e, t, &gone);

	if (rc != SQLITE_OK || !gone)
		return rc;
	if (lookaside_names_pk(t))
		return compare_tell_gone(c, t, true);
	rc = compare_gone_by_rowid(c, t, &gone);
	if (rc != SQLITE_OK || !gone)
		return rc;
	sqlite3_log(SQLITE_WARNING, "table %s has a trigger that may have hidden deletes: "
	    "peers are asked for what is gone", t->name);
	return lost_doubt(e, t->id);
}

/* Rows that stayed although such a trigger ended what wrote them, before ours told of
 * them. */
static int
mend_overtaken(struct engine *e, struct compare *c)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!is_overtaken(e, t))
			continue;
		rc = find_hidden_deletes(e, c, t);
		if (rc == SQLITE_OK)
			rc = compare_add_stayed(c, t);
		if (rc == SQLITE_OK && !lookaside_names_pk(t))
			rc = remap_clear(e);
	}
	return rc;
}

static bool
any_overtaken(const struct engine *e)
{
	int i;

	for (i = 0; i < e->tables.n && !is_overtaken(e, &e->tables.table[i]); i++)
		;
	return i < e->tables.n;
}

/* What triggers told of a table while SQLite dropped it (is_being_dropped in capture.c):
 * what they had told before was folded then, and it has none since. */
static int
forget_drops(struct engine *e)
{
	const struct table *t = e->tables.table;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK && e->capture->by_journal; i++)
		if (t[i].bare && alter_is_listed(e, t[i].id))
			rc = engine_exec(e, "DELETE FROM main.crsql_j WHERE w >> 3 = %d",
			    t[i].id);
	return rc;
}

int
resync_tables(struct engine *e)
{
	struct compare *c = NULL;
	struct rest rest = { NULL, 0 };
	bool lost = false, overtaken, journal = false;
	int64_t fresh = 0;
	int rc = forget_drops(e);

	if (rc == SQLITE_OK)
		rc = replace_rekeyed(e, &lost);
	if (rc == SQLITE_OK)
		rc = unique_pending(e, &fresh);
	if (rc == SQLITE_OK)
		rc = journal_any(e, &journal);
	overtaken = any_overtaken(e);
	if (rc != SQLITE_OK || (!lost && !overtaken && !(fresh && journal)))
		return rc;
	rc = compare_new(e, journal, &c);
	if (rc == SQLITE_OK && lost)
		rc = mend_rebuilt(e, c, &rest);
	if (rc == SQLITE_OK && fresh && journal)
		rc = mend_unique(e, c);
	if (rc == SQLITE_OK && overtaken)
		rc = mend_overtaken(e, c);
	compare_free(c);
	if (rc == SQLITE_OK)
		rc = do_rest(e, journal, &rest);
	sqlite3_free(rest.at);
	return rc;
}

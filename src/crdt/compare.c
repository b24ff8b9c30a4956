// SPDX-License-Identifier: MPL-2.0
/* compare.c - see compare.h. */
#include "crdt/compare.h"

#include "crdt/capture.h"
#include "crdt/fold_list.h"
#include "crdt/journal.h"
#include "crdt/keymap.h"
#include "crdt/lookaside.h"
#include "crdt/meta.h"
#include "crdt/remap.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* What happened to a key first; and last, times LAST. */
enum { LEFT = 1, CAME, LAST = 4 };

/* What was noted of rows and is not folded yet. */
struct compare {
	struct engine *e;
	struct keymap what;     /* by table and key */
	struct left {           /* keys that a row left */
		int table;
		int64_t key;
	} *left;
	int nleft, left_room;
	struct {
		int table;
		int64_t key, n;
	} *wrote;               /* rows that are updated */
	int nwrote;
	bool any;               /* something is in it */
	bool tell;              /* what is gone is journalled as deleted */
	bool late;              /* ... behind all that waits */
	bool clocks_told;       /* ... and rows with a clock row are already */
	bool listed;            /* the rowids that the log knows are in crsql_old */
	struct buf pk;
};

/* -- what is noted and not folded ---------------------------------------------- */

static int
first_of(const struct compare *c, const struct table *t, int64_t key)
{
	int what = keymap_get(&c->what, t->id, key);

	return what < 0 ? what : what % LAST;
}

static int
note_left(struct compare *c, int table, int64_t key)
{
	int room = c->left_room ? c->left_room * 2 : 64;
	struct left *list;

	if (c->nleft == c->left_room) {
		list = sqlite3_realloc64(c->left, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		c->left = list;
		c->left_room = room;
	}
	c->left[c->nleft++] = (struct left){ table, key };
	return SQLITE_OK;
}

static int
note(struct compare *c, int table, int64_t key, int what)
{
	int before = keymap_get(&c->what, table, key);

	c->any = true;
	keymap_set(&c->what, table, key, (before < 0 ? what : before % LAST) +
	    LAST * what);
	return what == LEFT ? note_left(c, table, key) : SQLITE_OK;
}

static int
note_update(struct compare *c, const struct record *r)
{
	void *more = c->wrote;

	if (c->nwrote % 64 == 0)
		more = sqlite3_realloc64(more, sizeof *c->wrote *
		    ((uint64_t)c->nwrote + 64));
	if (more == NULL)
		return SQLITE_NOMEM;
	c->wrote = more;
	c->wrote[c->nwrote].table = r->table;
	c->wrote[c->nwrote].key = r->key;
	c->wrote[c->nwrote++].n = r->n;
	return SQLITE_OK;
}

static int
note_record(struct compare *c, const struct record *r)
{
	int64_t k;
	int rc = SQLITE_OK;

	switch (r->op) {
	case RECORD_RUN:
		for (k = 0; k < r->n && rc == SQLITE_OK; k++)
			rc = note(c, r->table, r->key + k, CAME);
		return rc;
	case RECORD_INSERT:
		return note(c, r->table, r->key, CAME);
	case RECORD_DELETE:
		return note(c, r->table, r->key, LEFT);
	case RECORD_REPLACE:
	case RECORD_MOVE:
		rc = note(c, r->table, r->n, LEFT);
		return rc == SQLITE_OK ? note(c, r->table, r->key, CAME) : rc;
	case RECORD_UPDATE:
		return note_update(c, r);
	}
	return rc;
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

int
compare_new(struct engine *e, bool journal, struct compare **out)
{
	struct compare *c = sqlite3_malloc64(sizeof *c);
	struct fold_list list;
	int i, n, rc;

	*out = c;
	if (c == NULL)
		return SQLITE_NOMEM;
	c->e = e;
	c->any = c->tell = c->late = c->clocks_told = c->listed = false;
	c->what.slot = NULL;
	c->left = NULL;
	c->wrote = NULL;
	c->nleft = c->left_room = c->nwrote = 0;
	buf_init(&c->pk, INT32_MAX);
	rc = fold_list_make(e, journal, &list);
	n = rc == SQLITE_OK ? count_keys(&list) : 0;
	if (rc == SQLITE_OK)
		rc = n < 0 ? SQLITE_NOMEM : keymap_init(&c->what, n);
	for (i = list.from; i < list.to && rc == SQLITE_OK; i++)
		rc = note_record(c, &list.list->record[i]);
	fold_list_clear(&list);
	return rc;
}

void
compare_free(struct compare *c)
{
	if (c == NULL)
		return;
	keymap_free(&c->what);
	sqlite3_free(c->left);
	sqlite3_free(c->wrote);
	buf_clear(&c->pk);
	sqlite3_free(c);
}

bool
compare_touched(const struct compare *c, const struct table *t, int64_t key)
{
	return first_of(c, t, key) >= 0;
}

bool
compare_wrote(const struct compare *c, const struct table *t, int64_t key)
{
	int i;

	for (i = 0; i < c->nwrote; i++)
		if (c->wrote[i].table == t->id && key >= c->wrote[i].key &&
		    (uint64_t)key - (uint64_t)c->wrote[i].key <
		    (uint64_t)c->wrote[i].n)
			return true;
	return false;
}

/* -- rows that are gone -------------------------------------------------------- */

/* True if the row of a key that is another name of the pk is known to be
 * deleted. */
static int
is_dead(struct compare *c, struct table *t, int64_t key, bool *dead)
{
	struct dead d;
	int rc;

	*dead = false;
	if (!lookaside_names_pk(t))
		return SQLITE_OK;
	rc = lookaside_pk(c->e, t, key, &c->pk);
	return rc != SQLITE_OK ? rc : dead_get(c->e, t, c->pk.data,
	    (int)c->pk.len, dead, &d);
}

static int
note_gone(struct compare *c, struct table *t, int64_t key)
{
	struct capture *own = c->e->capture;
	struct record *r = record_add(&own->list, RECORD_DELETE, t->id, key);
	int rc = r != NULL ? lookaside_pk(c->e, t, key, &c->pk) : SQLITE_NOMEM;

	own->ndeletes++;
	own->deleted = true;
	return rc != SQLITE_OK ? rc :
	    record_set_pk(&own->list, r, c->pk.data, c->pk.len);
}

/* The deletion of a row that is gone is journalled: behind all that was written
 * to it, or before all if another row came to its key since. */
static int
tell(struct compare *c, struct table *t, int64_t key, bool came)
{
	int64_t told = 0;
	int rc = SQLITE_OK;

	if (c->clocks_told)
		rc = engine_int(c->e, &told, "SELECT 1 FROM "
		    "main.\"%w__crsql_meta\" WHERE key = %lld", t->noted, key);
	if (rc != SQLITE_OK || told)
		return rc;
	if (c->late && !came)
		return note_gone(c, t, key);
	c->e->tx.plain_pending = true;
	if (t->aside)
		return lookaside_journal(c->e, t, key, came);
	return engine_exec(c->e, "INSERT INTO main.crsql_j(id, w, key) SELECT "
	    "CASE WHEN %d THEN min(id) - 1 ELSE max(id) + 1 END, %d, %lld FROM "
	    "main.crsql_j", came, 8 * t->id + JOURNAL_DELETE, key);
}

/* A key that the log knows, and whether a row is there. */
static int
check_key(struct compare *c, struct table *t, int64_t key, bool there,
    bool *gone)
{
	int what = first_of(c, t, key);
	bool dead;
	int rc;

	if (what == LEFT || (there && what < 0))
		return SQLITE_OK;
	rc = is_dead(c, t, key, &dead);
	if (rc != SQLITE_OK || dead)
		return rc;
	if (c->tell)
		return tell(c, t, key, what == CAME);
	*gone = true;
	return SQLITE_OK;
}

/* Every key of one run; rows steps through those that are there. */
static int
check_run(struct compare *c, struct table *t, sqlite3_stmt *rows,
    int64_t from, int64_t to, bool *gone)
{
	int64_t key, expected = from;
	bool more = true, there;
	int step, rc = SQLITE_OK;

	sqlite3_bind_int64(rows, 1, from);
	sqlite3_bind_int64(rows, 2, to);
	while (rc == SQLITE_OK && !*gone && more) {
		step = sqlite3_step(rows);
		there = step == SQLITE_ROW;
		if (!there && step != SQLITE_DONE) {
			rc = step;
			break;
		}
		key = there ? sqlite3_column_int64(rows, 0) : to;
		for (; expected < key && rc == SQLITE_OK && !*gone; expected++)
			rc = check_key(c, t, expected, false, gone);
		if (rc == SQLITE_OK && !*gone)
			rc = check_key(c, t, key, there, gone);
		more = key < to;
		if (more)
			expected = key + 1;
	}
	sqlite3_reset(rows);
	return rc;
}

static int
check_runs(struct compare *c, struct table *t, bool *gone)
{
	sqlite3_stmt *runs, *rows = NULL;
	int64_t from;
	int rc = engine_prepare(c->e, &runs, "SELECT key, n FROM crsql_log "
	    "WHERE tbl = %d AND n > 0 AND mask IS NULL", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(c->e, &rows, "SELECT %s FROM %s WHERE "
		    "%s BETWEEN ?1 AND ?2 ORDER BY 1", t->rowid, t->from, t->rowid);
	while (rc == SQLITE_OK && !*gone && sqlite3_step(runs) == SQLITE_ROW) {
		from = sqlite3_column_int64(runs, 0);
		rc = check_run(c, t, rows, from,
		    from + sqlite3_column_int64(runs, 1) - 1, gone);
	}
	rc = engine_finalize(runs, rc);
	sqlite3_finalize(rows);
	return rc;
}

/* Rows with a clock row of their own. */
static int
check_clocks(struct compare *c, struct table *t, bool *gone)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(c->e, &stmt, "SELECT key, EXISTS(SELECT 1 FROM "
	    "%s x WHERE x.%s = m.key) AS there FROM "
	    "main.\"%w__crsql_meta\" m WHERE NOT there OR %d", t->from, t->rowid,
	    t->noted, c->any);

	while (rc == SQLITE_OK && !*gone && sqlite3_step(stmt) == SQLITE_ROW)
		rc = check_key(c, t, sqlite3_column_int64(stmt, 0),
		    sqlite3_column_int(stmt, 1) != 0, gone);
	rc = engine_finalize(stmt, rc);
	return rc;
}

int
compare_gone(struct compare *c, struct table *t, bool *gone)
{
	int rc;

	*gone = false;
	c->tell = false;
	rc = check_clocks(c, t, gone);
	return rc == SQLITE_OK && !*gone ? check_runs(c, t, gone) : rc;
}

int
compare_tell_gone(struct compare *c, struct table *t, bool late)
{
	bool gone = false;
	int rc;

	c->tell = true;
	c->late = late;
	rc = check_clocks(c, t, &gone);
	c->clocks_told = true;
	if (rc == SQLITE_OK)
		rc = check_runs(c, t, &gone);
	c->clocks_told = false;
	return rc;
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
add_row(struct compare *c, const struct table *t, int64_t key)
{
	return record_add(&c->e->capture->list, RECORD_INSERT, t->id, key)
	    ? SQLITE_OK : SQLITE_NOMEM;
}

static int
note_new(struct compare *c, struct table *t)
{
	struct runs runs = { NULL, 0, 0 };
	sqlite3_stmt *stmt = NULL;
	int64_t key;
	int rc = engine_prepare(c->e, &runs.stmt, "SELECT key, n FROM crsql_log "
	    "WHERE tbl = %d AND n > 0 AND mask IS NULL ORDER BY key", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(c->e, &stmt, "SELECT x.%s FROM %s x "
		    "WHERE NOT EXISTS(SELECT 1 FROM main.\"%w__crsql_meta\" WHERE "
		    "key = x.%s) ORDER BY 1", t->rowid, t->from, t->noted, t->rowid);
	next_run(&runs);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (!in_run(&runs, key) && first_of(c, t, key) < 0)
			rc = add_row(c, t, key);
	}
	rc = engine_finalize(stmt, rc);
	return engine_finalize(runs.stmt, rc);
}

/* True if the log knows the row there: by its clock row or a run. */
static int
is_known(struct compare *c, struct table *t, int64_t key, int64_t *known)
{
	*known = 0;
	if (c->listed)
		return engine_int(c->e, known, "SELECT 1 FROM temp.crsql_old WHERE key "
		    "= %lld", key);
	return engine_int(c->e, known, "SELECT EXISTS(SELECT 1 FROM "
	    "main.\"%w__crsql_meta\" WHERE key = %lld) OR EXISTS(SELECT 1 FROM "
	    "crsql_log WHERE tbl = %d AND n > 0 AND mask IS NULL AND key <= %lld "
	    "AND key + n > %lld)", t->noted, key, t->id, key, key);
}

/* Rows that were deleted and are there again, at a key that is known. */
static int
note_living_dead(struct compare *c, struct table *t)
{
	sqlite3_stmt *stmt;
	int64_t key, known;
	bool lives;
	int rc = engine_prepare(c->e, &stmt, "SELECT pk FROM "
	    "main.\"%w__crsql_dead\"", t->noted);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = table_find_key(c->e, t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), &lives, &key);
		if (rc != SQLITE_OK || !lives ||
		    first_of(c, t, key) >= 0)
			continue;
		rc = is_known(c, t, key, &known);
		if (rc == SQLITE_OK && known)
			rc = add_row(c, t, key);
	}
	rc = engine_finalize(stmt, rc);
	return rc;
}

/* Rows that are there, though the last that is noted of their key is that a row
 * left it: they came since, with no trigger to tell of it. */
static int
note_returned(struct compare *c, struct table *t)
{
	const struct left *l;
	sqlite3_stmt *stmt;
	int i, rc = engine_prepare(c->e, &stmt, "SELECT 1 FROM %s WHERE %s = ?1",
	    t->from, t->rowid);

	for (i = 0; i < c->nleft && rc == SQLITE_OK; i++) {
		l = &c->left[i];
		if (l->table != t->id ||
		    keymap_get(&c->what, l->table, l->key) / LAST != LEFT)
			continue;
		sqlite3_bind_int64(stmt, 1, l->key);
		if (sqlite3_step(stmt) == SQLITE_ROW)
			rc = note(c, l->table, l->key, CAME);
		if (rc == SQLITE_OK && keymap_get(&c->what, l->table, l->key) /
		    LAST == CAME)
			rc = add_row(c, t, l->key);
		rc = engine_reset(stmt, rc);
	}
	return engine_finalize(stmt, rc);
}

/* Rows at rowids that the log does not know. */
static int
note_unlisted(struct compare *c, struct table *t)
{
	sqlite3_stmt *stmt;
	int64_t key;
	int rc = engine_prepare(c->e, &stmt, "SELECT x.%s FROM %s x WHERE NOT EXISTS("
	    "SELECT 1 FROM temp.crsql_old WHERE key = x.%s) ORDER BY 1", t->rowid,
	    t->from, t->rowid);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (first_of(c, t, key) < 0)
			rc = add_row(c, t, key);
	}
	return engine_finalize(stmt, rc);
}

int
compare_add_stayed(struct compare *c, struct table *t)
{
	int rc;

	if (lookaside_names_pk(t))
		return compare_add_new(c, t);
	rc = remap_list_old(c->e, t);
	c->listed = true;
	if (rc == SQLITE_OK)
		rc = note_unlisted(c, t);
	if (rc == SQLITE_OK)
		rc = note_returned(c, t);
	if (rc == SQLITE_OK)
		rc = note_living_dead(c, t);
	c->listed = false;
	return rc;
}

int
compare_gone_by_rowid(struct compare *c, struct table *t, bool *gone)
{
	sqlite3_stmt *stmt;
	int rc = remap_list_old(c->e, t);

	*gone = false;
	c->tell = false;
	if (rc == SQLITE_OK)
		rc = engine_prepare(c->e, &stmt, "SELECT key FROM temp.crsql_old WHERE "
		    "NOT EXISTS(SELECT 1 FROM %s x WHERE x.%s = key)", t->from, t->rowid);
	if (rc != SQLITE_OK)
		return rc;
	while (rc == SQLITE_OK && !*gone && sqlite3_step(stmt) == SQLITE_ROW)
		rc = check_key(c, t, sqlite3_column_int64(stmt, 0), false, gone);
	return engine_finalize(stmt, rc);
}

int
compare_add_new(struct compare *c, struct table *t)
{
	int rc = lookaside_fill(c->e, t);

	if (rc == SQLITE_OK)
		rc = note_new(c, t);
	if (rc == SQLITE_OK && lookaside_names_pk(t))
		rc = note_returned(c, t);
	return rc == SQLITE_OK ? note_living_dead(c, t) : rc;
}

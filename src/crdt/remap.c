// SPDX-License-Identifier: MPL-2.0
/* remap.c - see remap.h. */
#include "crdt/remap.h"

#include <string.h>

#include "crdt/keymap.h"
#include "crdt/meta.h"

SQLITE_EXTENSION_INIT3

/* -- the two lists ------------------------------------------------------------- */

int
remap_clear(struct engine *e)
{
	return engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_row("
	    "key INTEGER PRIMARY KEY, old INTEGER, part INTEGER);"
	    "CREATE TEMP TABLE IF NOT EXISTS crsql_old(key INTEGER PRIMARY KEY);"
	    "CREATE TEMP TABLE IF NOT EXISTS crsql_lost(key INTEGER PRIMARY KEY, "
	    "pk BLOB);"
	    "DELETE FROM temp.crsql_row; DELETE FROM temp.crsql_old;"
	    "DELETE FROM temp.crsql_lost");
}

/* A row that a waiting record brought is told by it; one that it took away was
 * there. */
static int
undo(struct engine *e, struct keymap *seen, int64_t key, bool came)
{
	if (keymap_get(seen, 1, key) >= 0)
		return SQLITE_OK;
	keymap_set(seen, 1, key, 0);
	return engine_exec(e, came ? "DELETE FROM temp.crsql_row WHERE key = %lld"
	    : "INSERT OR IGNORE INTO temp.crsql_row(key) VALUES(%lld)", key);
}

static int
undo_record(struct engine *e, struct keymap *seen, const struct record *r)
{
	int64_t k;
	int rc = SQLITE_OK;

	switch (r->op) {
	case RECORD_RUN:
		for (k = 0; k < r->n && rc == SQLITE_OK; k++)
			rc = undo(e, seen, r->key + k, true);
		break;
	case RECORD_INSERT:
		rc = undo(e, seen, r->key, true);
		break;
	case RECORD_DELETE:
		rc = undo(e, seen, r->key, false);
		break;
	case RECORD_REPLACE:
	case RECORD_MOVE:
		rc = undo(e, seen, r->n, false);
		if (rc == SQLITE_OK)
			rc = undo(e, seen, r->key, true);
		break;
	case RECORD_UPDATE:
		break;
	}
	return rc;
}

/* Rows as they were before what waits for a fold. */
static int
list_rows(struct engine *e, struct table *t)
{
	const struct capture *c = e->capture;
	struct keymap seen;
	int64_t n = 0;
	int i, rc = engine_exec(e, "INSERT INTO temp.crsql_row(key) SELECT %s FROM "
	    "main.\"%w\" ORDER BY 1", t->rowid, t->name);

	for (i = c->folded; i < c->list.n; i++)
		if (c->list.record[i].table == t->id)
			n += c->list.record[i].op == RECORD_RUN ?
			    c->list.record[i].n : 2;
	if (rc != SQLITE_OK || n == 0)
		return rc;
	rc = n < INT32_MAX / 4 ? keymap_init(&seen, (int)n) : SQLITE_NOMEM;
	if (rc != SQLITE_OK)
		return rc;
	for (i = c->folded; i < c->list.n && rc == SQLITE_OK; i++)
		if (c->list.record[i].table == t->id)
			rc = undo_record(e, &seen, &c->list.record[i]);
	keymap_free(&seen);
	return rc;
}

static int
list_runs(struct engine *e, struct table *t)
{
	sqlite3_stmt *runs, *put = NULL;
	int64_t key, n;
	int rc = engine_prepare(e, &runs, "SELECT key, n FROM crsql_log WHERE "
	    "tbl = %d AND n > 0 AND mask IS NULL", t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &put, "INSERT OR IGNORE INTO temp.crsql_old "
		    "VALUES(?1)");
	while (rc == SQLITE_OK && sqlite3_step(runs) == SQLITE_ROW) {
		key = sqlite3_column_int64(runs, 0);
		n = sqlite3_column_int64(runs, 1);
		for (; n > 0 && rc == SQLITE_OK; n--, key++) {
			sqlite3_bind_int64(put, 1, key);
			rc = engine_run(e, put);
		}
	}
	rc = engine_finalize(runs, rc);
	sqlite3_finalize(put);
	return rc;
}

/* What was left by a row that is gone, or has another rowid since, unless
 * another row came there. */
static int
drop_left(struct engine *e, sqlite3_stmt *del, int64_t left)
{
	sqlite3_bind_int64(del, 1, left);
	return engine_run(e, del);
}

static int
drop_left_by_dead(struct engine *e, struct table *t, sqlite3_stmt *del)
{
	sqlite3_stmt *stmt;
	struct dead d;
	bool found;
	int rc = engine_prepare(e, &stmt, "SELECT pk FROM main.\"%w__crsql_dead\"",
	    t->noted);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = dead_get(e, t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), &found, &d);
		if (rc == SQLITE_OK && found && d.has_left)
			rc = drop_left(e, del, d.left);
	}
	return engine_finalize(stmt, rc);
}

static int
drop_left_by_clocks(struct engine *e, struct table *t, sqlite3_stmt *del)
{
	sqlite3_stmt *stmt;
	struct meta m = { 0 };
	int rc = engine_prepare(e, &stmt, "SELECT m FROM main.\"%w__crsql_meta\"",
	    t->noted);

	if (rc == SQLITE_OK)
		rc = meta_init(&m, t);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = meta_decode(t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), &m);
		if (rc == SQLITE_OK && m.has_left)
			rc = drop_left(e, del, m.left);
	}
	meta_free(&m);
	return engine_finalize(stmt, rc);
}

static int
drop_all_left(struct engine *e, struct table *t)
{
	sqlite3_stmt *del;
	int rc = engine_prepare(e, &del, "DELETE FROM temp.crsql_old WHERE "
	    "key = ?1 AND NOT EXISTS(SELECT 1 FROM main.\"%w__crsql_meta\" WHERE "
	    "key = ?1)", t->noted);

	if (rc == SQLITE_OK)
		rc = drop_left_by_dead(e, t, del);
	if (rc == SQLITE_OK)
		rc = drop_left_by_clocks(e, t, del);
	sqlite3_finalize(del);
	return rc;
}

/* Samples of which a query, made of their first rowid and that of now, does not say
 * 1 say nothing. */
static int
set_aside(struct engine *e, struct samples *s, const char *query)
{
	int64_t holds;
	char *sql;
	int i, rc = SQLITE_OK;

	for (i = 0; i < s->n && rc == SQLITE_OK; i++) {
		holds = 0;
		if (s->row[i].state == SAMPLE_GONE)
			continue;
		sql = sqlite3_mprintf(query, s->row[i].key, s->row[i].now);
		rc = sql ? engine_int(e, &holds, "%s", sql) : SQLITE_NOMEM;
		sqlite3_free(sql);
		if (holds)
			continue;
		s->same -= s->row[i].state == SAMPLE_SAME;
		s->moved -= s->row[i].state == SAMPLE_MOVED;
		s->row[i].state = SAMPLE_GONE;
	}
	return rc;
}

int
remap_list_old(struct engine *e, struct table *t)
{
	int rc = remap_clear(e);

	if (rc == SQLITE_OK)
		rc = list_runs(e, t);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT OR IGNORE INTO temp.crsql_old SELECT key "
		    "FROM main.\"%w__crsql_meta\"", t->noted);
	return rc == SQLITE_OK ? drop_all_left(e, t) : rc;
}

static int
make_lists(struct engine *e, struct table *t, struct samples *s)
{
	int rc = remap_list_old(e, t);

	if (rc == SQLITE_OK)
		rc = list_rows(e, t);
	/* one that was deleted and inserted again left its first rowid */
	return rc == SQLITE_OK ? set_aside(e, s, "SELECT EXISTS(SELECT 1 FROM "
	    "temp.crsql_old WHERE key = %lld)") : rc;
}

/* -- by samples ------------------------------------------------------------------ */

/* Rows and old rowids between two neighbouring samples, these left out. */
struct stretch {
	int64_t from, to;               /* present rowids */
	int64_t old_from, old_to;
	bool open_below, open_above;    /* the table's end is there, no sample */
	bool forgot;            /* what looks like an old rowid may be one that a
	                           forgotten row left (gc_sweep.c) */
};

static int
count(struct engine *e, const char *list, int64_t from, int64_t to, int64_t *n)
{
	*n = 0;
	return from > to ? SQLITE_OK : engine_int(e, n, "SELECT count(*) FROM "
	    "temp.%s WHERE key BETWEEN %lld AND %lld", list, from, to);
}

/* True if every row is still where an old one was, and the ends are too: rows
 * that were counted closer together would not be. */
static int
is_unmoved(struct engine *e, const struct stretch *s, bool *unmoved)
{
	int64_t n = 0;
	int rc;

	*unmoved = false;
	if ((!s->open_below && s->from != s->old_from) ||
	    (!s->open_above && s->to != s->old_to))
		return SQLITE_OK;
	rc = engine_int(e, &n, "SELECT (NOT %d OR (SELECT min(key) FROM "
	    "temp.crsql_row) IS (SELECT min(key) FROM temp.crsql_old)) AND (NOT %d OR "
	    "(SELECT max(key) FROM temp.crsql_row) IS (SELECT max(key) FROM "
	    "temp.crsql_old)) AND NOT EXISTS(SELECT 1 FROM temp.crsql_row WHERE key "
	    "BETWEEN %lld AND %lld AND key NOT IN temp.crsql_old)", s->open_below,
	    s->open_above, s->from, s->to);
	*unmoved = n != 0;
	return rc;
}

/* The first row with the first old rowid, and so on. */
static int
pair(struct engine *e, const struct stretch *s)
{
	sqlite3_stmt *rows, *old = NULL, *set = NULL;
	int rc = engine_prepare(e, &rows, "SELECT key FROM temp.crsql_row WHERE "
	    "key BETWEEN %lld AND %lld ORDER BY key", s->from, s->to);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &old, "SELECT key FROM temp.crsql_old WHERE "
		    "key BETWEEN %lld AND %lld ORDER BY key", s->old_from, s->old_to);
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &set, "UPDATE temp.crsql_row SET old = ?2 "
		    "WHERE key = ?1");
	while (rc == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW &&
	    sqlite3_step(old) == SQLITE_ROW) {
		sqlite3_bind_int64(set, 1, sqlite3_column_int64(rows, 0));
		sqlite3_bind_int64(set, 2, sqlite3_column_int64(old, 0));
		rc = engine_run(e, set);
	}
	rc = engine_finalize(rows, rc);
	sqlite3_finalize(old);
	sqlite3_finalize(set);
	return rc;
}

static int
doubt(struct engine *e, struct table *t, const struct stretch *s, bool as_many,
    struct remap *out)
{
	struct remap_part *p = &out->part[out->nparts];
	int64_t clocks = 0;
	int rc = engine_exec(e, "UPDATE temp.crsql_row SET part = %d WHERE key "
	    "BETWEEN %lld AND %lld AND old IS NULL", out->nparts, s->from, s->to);

	p->old_from = s->old_from;
	p->old_to = s->old_to;
	out->nparts++;
	/* of rows that are all fresh it is all the same which is which */
	if (rc == SQLITE_OK)
		rc = engine_int(e, &clocks, "SELECT EXISTS(SELECT 1 FROM "
		    "main.\"%w__crsql_meta\" WHERE key BETWEEN %lld AND %lld)",
		    t->noted, s->old_from, s->old_to);
	out->doubt |= clocks || !as_many;
	return rc;
}

static int
match(struct engine *e, struct table *t, const struct stretch *s,
    struct remap *out)
{
	int64_t rows, old;
	bool unmoved;
	int rc = count(e, "crsql_row", s->from, s->to, &rows);

	if (rc == SQLITE_OK)
		rc = count(e, "crsql_old", s->old_from, s->old_to, &old);
	if (rc == SQLITE_OK)
		rc = is_unmoved(e, s, &unmoved);
	if (rc != SQLITE_OK || (rows == 0 && old == 0))
		return rc;
	/* rowids of forgotten rows may make up for new rows: at the table's end the
	 * numbers then prove nothing, and elsewhere only that rows stayed */
	if (s->forgot && (!unmoved || s->open_above))
		return doubt(e, t, s, rows == old, out);
	if (unmoved)
		return engine_exec(e, "UPDATE temp.crsql_row SET old = key WHERE key "
		    "BETWEEN %lld AND %lld", s->from, s->to);
	/* the last rows are those that came since */
	if (rows == old || (s->open_above && rows > old))
		return pair(e, s);
	return doubt(e, t, s, false, out);
}

/* Sampled rows have their old rowids in order; few of them are no proof. */
static bool
kept_order(const struct samples *s)
{
	const struct sample *before = NULL;
	int i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->row[i].state == SAMPLE_GONE)
			continue;
		if (before != NULL && s->row[i].now <= before->now)
			return false;
		before = &s->row[i];
		n++;
	}
	return n >= 4;
}

static int
set_samples(struct engine *e, const struct samples *s)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < s->n && rc == SQLITE_OK; i++)
		if (s->row[i].state != SAMPLE_GONE)
			rc = engine_exec(e, "UPDATE temp.crsql_row SET old = %lld WHERE "
			    "key = %lld", s->row[i].key, s->row[i].now);
	return rc;
}

static int
match_stretches(struct engine *e, struct table *t, const struct samples *s,
    struct remap *out)
{
	struct stretch x = { .from = INT64_MIN, .old_from = INT64_MIN,
		.open_below = true };
	int64_t forgot = 0;
	int i, rc = engine_int(e, &forgot, "SELECT EXISTS(SELECT 1 FROM "
	    "crsql_master WHERE key = 'left.%d')", t->id);

	x.forgot = forgot != 0;
	for (i = 0; i <= s->n && rc == SQLITE_OK; i++) {
		if (i < s->n && s->row[i].state == SAMPLE_GONE)
			continue;
		x.open_above = i == s->n;
		x.to = i == s->n ? INT64_MAX : s->row[i].now - 1;
		x.old_to = i == s->n ? INT64_MAX : s->row[i].key - 1;
		rc = match(e, t, &x, out);
		if (i == s->n || s->row[i].now == INT64_MAX ||
		    s->row[i].key == INT64_MAX)
			break;
		x.from = s->row[i].now + 1;
		x.old_from = s->row[i].key + 1;
		x.open_below = false;
	}
	return rc;
}

static int
count_moved(struct engine *e, struct remap *out)
{
	return engine_int(e, &out->moved, "SELECT count(*) FROM temp.crsql_row "
	    "WHERE old IS NOT key");
}

int
remap_by_samples(struct engine *e, struct table *t, struct samples *s,
    bool ordered, struct remap *out)
{
	const struct stretch whole = { .from = INT64_MIN, .to = INT64_MAX,
		.old_from = INT64_MIN, .old_to = INT64_MAX };
	int64_t rows = 0, old = 0;
	int rc = make_lists(e, t, s);

	memset(out, 0, sizeof *out);
	if (rc == SQLITE_OK)
		rc = set_samples(e, s);
	if (rc == SQLITE_OK && (ordered || kept_order(s)))
		rc = match_stretches(e, t, s, out);
	else if (rc == SQLITE_OK) {
		rc = count(e, "crsql_row", INT64_MIN, INT64_MAX, &rows);
		if (rc == SQLITE_OK)
			rc = count(e, "crsql_old", INT64_MIN, INT64_MAX, &old);
		if (rc == SQLITE_OK && rows > s->same + s->moved)
			rc = doubt(e, t, &whole, rows == old, out);
		out->doubt |= rows != old;
	}
	return rc == SQLITE_OK ? count_moved(e, out) : rc;
}

/* -- by a list ------------------------------------------------------------------- */

/* The list of before is crsql_before, that of now in its place. */
static int
renew_list(struct engine *e, struct table *t)
{
	int rc = engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_before("
	    "pk BLOB PRIMARY KEY, key INTEGER) WITHOUT ROWID; "
	    "DELETE FROM temp.crsql_before; INSERT INTO temp.crsql_before SELECT pk, key "
	    "FROM temp.crsql_alter_%d", t->id);

	return rc == SQLITE_OK ? remap_make_list(e, t) : rc;
}

int
remap_by_list(struct engine *e, struct table *t, struct samples *s,
    struct remap *out)
{
	int rc = make_lists(e, t, s);

	memset(out, 0, sizeof *out);
	if (rc == SQLITE_OK)
		rc = renew_list(e, t);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "UPDATE temp.crsql_row AS r SET old = (SELECT "
		    "w.key FROM temp.crsql_alter_%d n JOIN temp.crsql_before w ON w.pk = "
		    "n.pk WHERE n.key = r.key); DELETE FROM temp.crsql_before WHERE pk IN "
		    "(SELECT pk FROM temp.crsql_alter_%d); INSERT INTO temp.crsql_lost "
		    "SELECT key, pk FROM temp.crsql_before; DELETE FROM temp.crsql_before",
		    t->id, t->id);
	/* ... or another row came there since */
	if (rc == SQLITE_OK)
		rc = set_aside(e, s, "SELECT EXISTS(SELECT 1 FROM temp.crsql_row "
		    "WHERE old = %lld AND key = %lld)");
	return rc == SQLITE_OK ? count_moved(e, out) : rc;
}

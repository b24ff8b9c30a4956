// SPDX-License-Identifier: MPL-2.0
/*
 * ledger_runs.c - the run over a key.  The log has no index by key: a few are
 * searched for, and if more are wanted, or one is not soon found, those of the table
 * are read once, in order of keys.
 *
 * The list is kept for the next transaction, as a pull of one row would read all of
 * the log for it.  Whoever else writes makes the engine forget it (tx.c), and so does
 * what changes the log otherwise than at its end, a rollback, and another schema.  What
 * was added is read when a transaction first asks, and a run that is found there is
 * looked up at its place.
 */
#include "crdt/ledger.h"

#include <limits.h>
#include <stdlib.h>

enum {
	FEW = 16,               /* so many are searched for, and as many as ... */
	SHARE = 256,            /* ... that part of the log's transactions */
	MANY = 1 << 18,         /* runs are not listed, ... */
	KEPT = 1 << 14,         /* ... and so many not kept */
	NEAR = 16               /* db_versions, for which halving is of no use */
};

void
ledger_forget_runs(struct engine *e)
{
	struct ledger_runs *l = e->ledger != NULL ? &e->ledger->runs : NULL;

	if (l == NULL)
		return;
	sqlite3_free(l->run);
	*l = (struct ledger_runs){ .table = -1, .upto = -1 };
}

void
ledger_keep_runs(struct engine *e)
{
	struct ledger_runs *l = &e->ledger->runs;

	if (l->n > KEPT || l->many)
		ledger_forget_runs(e);
	else if (!l->kept) {
		l->turn++;
		l->kept = true;
	}
}

/* Nothing up to there is written any more but by who calls ledger_forget_runs: what
 * is noted now goes to tx.current or, if that is 0, behind the head. */
static int64_t
whole_upto(const struct engine *e)
{
	return e->tx.current > 0 ? e->tx.current - 1 : e->tx.head;
}

/* -- the list ------------------------------------------------------------------------ */

static int
by_key(const void *a, const void *b)
{
	const struct ledger_run *x = a, *y = b;

	return (x->run.key > y->run.key) - (x->run.key < y->run.key);
}

static int
add_run(struct ledger_runs *l, sqlite3_stmt *stmt)
{
	struct ledger_run *more;

	if (l->n % 1024 == 0) {
		more = sqlite3_realloc64(l->run, ((size_t)l->n + 1024) *
		    sizeof *more);
		if (more == NULL)
			return SQLITE_NOMEM;
		l->run = more;
	}
	l->run[l->n++] = (struct ledger_run){ .run = {
	    sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
	    sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3) },
	    .site = sqlite3_column_int64(stmt, 4),
	    .sver = sqlite3_column_int64(stmt, 5) };
	return SQLITE_OK;
}

/* Those from i on are new.  They mostly have keys behind the others'. */
static void
sort_runs(struct ledger_runs *l, int i)
{
	int64_t last;
	bool behind = true;
	int k;

	for (k = i > 0 ? i : 1; k < l->n && behind; k++)
		behind = by_key(&l->run[k - 1], &l->run[k]) <= 0;
	if (!behind) {
		qsort(l->run, (size_t)l->n, sizeof *l->run, by_key);
		i = 0;
	}
	for (; i < l->n; i++) {
		last = l->run[i].run.key + (l->run[i].run.n - 1);
		l->run[i].reach = i > 0 && l->run[i - 1].reach > last ?
		    l->run[i - 1].reach : last;
	}
}

static void
start(struct engine *e, const struct table *t)
{
	struct ledger_runs *l = &e->ledger->runs;

	ledger_forget_runs(e);
	l->table = t->id;
	l->schema = e->tables.schema_version;
}

static int
few(const struct engine *e)
{
	return FEW + (e->tx.head / SHARE < MANY ? (int)(e->tx.head / SHARE) : MANY);
}

/* What the log has behind the list.  More than MANY are not listed. */
static int
read_on(struct engine *e, const struct table *t)
{
	struct ledger_runs *l = &e->ledger->runs;
	int64_t upto = whole_upto(e);
	sqlite3_stmt *stmt;
	int n = l->n, rc;

	l->missed = 0;
	if (l->many || upto <= l->upto)
		return SQLITE_OK;
	rc = engine_cached(e, SLOT_RUN_ALL, "SELECT dbv, pos, key, n, coalesce(site, "
	    "-1), sver FROM crsql_log WHERE dbv > ?2 AND dbv <= ?3 AND n > 0 AND "
	    "tbl = ?1 AND mask IS NULL", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	sqlite3_bind_int64(stmt, 2, l->upto);
	sqlite3_bind_int64(stmt, 3, upto);
	while (rc == SQLITE_OK && l->n < MANY && sqlite3_step(stmt) == SQLITE_ROW)
		rc = add_run(l, stmt);
	rc = engine_reset(stmt, rc);
	if (rc == SQLITE_OK && l->n < MANY) {
		sort_runs(l, n);
		l->upto = upto;
		return rc;
	}
	start(e, t);
	l->many = rc == SQLITE_OK;
	l->due = l->many ? INT_MAX : few(e);
	return rc;
}

/* A transaction asks for the first time, or for another table. */
static int
begin(struct engine *e, struct ledger_runs *l, const struct table *t)
{
	bool same = l->table == t->id && l->schema == e->tables.schema_version;

	if (same && !l->kept)
		return SQLITE_OK;
	if (!same)
		start(e, t);
	l->kept = false;
	l->due = few(e);
	return l->upto >= 0 ? read_on(e, t) : SQLITE_OK;
}

/* Newer runs may lie over parts of older ones. */
static struct ledger_run *
find(const struct ledger_runs *l, int64_t key)
{
	struct ledger_run *found = NULL;
	int lo = 0, hi = l->n, mid, i;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (l->run[mid].run.key <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (i = lo - 1; i >= 0 && l->run[i].reach >= key; i--)
		if (history_covers(l->run[i].run.key, l->run[i].run.n, key) &&
		    (found == NULL || l->run[i].run.dbv > found->run.dbv))
			found = &l->run[i];
	return found;
}

/* Whether a run of the list stands in the log as it did. */
static int
is_there(struct engine *e, const struct table *t, struct ledger_run *r, bool *is)
{
	sqlite3_stmt *stmt;
	int rc;

	*is = r->there == e->ledger->runs.turn;
	if (*is)
		return SQLITE_OK;
	rc = engine_cached(e, SLOT_RUN_THERE, "SELECT 1 FROM crsql_log WHERE dbv = ?1 "
	    "AND pos = ?2 AND tbl = ?3 AND key = ?4 AND n = ?5 AND mask IS NULL AND "
	    "coalesce(site, -1) = ?6 AND coalesce(sver, 0) = ?7", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, r->run.dbv);
	sqlite3_bind_int64(stmt, 2, r->run.pos);
	sqlite3_bind_int(stmt, 3, t->id);
	sqlite3_bind_int64(stmt, 4, r->run.key);
	sqlite3_bind_int64(stmt, 5, r->run.n);
	sqlite3_bind_int64(stmt, 6, r->site);
	sqlite3_bind_int64(stmt, 7, r->sver);
	*is = sqlite3_step(stmt) == SQLITE_ROW;
	rc = engine_reset(stmt, rc);
	if (rc == SQLITE_OK && *is)
		r->there = e->ledger->runs.turn;
	return rc;
}

/* -- asking -------------------------------------------------------------------------- */

/* The one in the list, if there is.  Where that is not what the log has, it is read
 * anew. */
static int
find_listed(struct engine *e, const struct table *t, int64_t key,
    const struct ledger_run **out)
{
	struct ledger_runs *l = &e->ledger->runs;
	struct ledger_run *found;
	bool there = true;
	int rc = begin(e, l, t);

	found = rc == SQLITE_OK ? find(l, key) : NULL;
	if (found != NULL)
		rc = is_there(e, t, found, &there);
	if (rc == SQLITE_OK && !there) {
		ledger_forget_runs(e);
		rc = begin(e, l, t);
		if (rc == SQLITE_OK)
			rc = read_on(e, t);
		found = rc == SQLITE_OK ? find(l, key) : NULL;
	}
	*out = rc == SQLITE_OK ? found : NULL;
	return rc;
}

/* One that is not in the list: *found if it is after that, else *out. */
static int
search(struct engine *e, const struct table *t, int64_t key,
    const struct ledger_run **found, struct history_run *out)
{
	struct ledger_runs *l = &e->ledger->runs;
	int64_t below = e->ledger->dbv > 0 ? e->ledger->dbv : INT64_MAX;
	bool due = ++l->missed >= l->due, read = l->upto >= 0;
	int rc = SQLITE_OK;

	if (!due && (!read || below - l->upto > NEAR))
		rc = history_find_near(e, t, key, l->upto, below, out);
	if (rc != SQLITE_OK || out->n != 0)
		return rc;
	/* all of the log is to be read: so are the others' then, but once */
	if (due || !read) {
		l->due = l->due <= MANY ? 2 * l->due : l->due;
		rc = read_on(e, t);
		*found = rc == SQLITE_OK ? find(l, key) : NULL;
	}
	return rc == SQLITE_OK && *found == NULL && l->upto + 1 < below ?
	    history_find_after(e, t, key, l->upto, below, out) : rc;
}

int
ledger_find_run(struct engine *e, const struct table *t, int64_t key,
    struct history_run *out, struct fact *by)
{
	const struct ledger_run *found;
	int rc = find_listed(e, t, key, &found);

	out->n = 0;
	if (rc == SQLITE_OK && found == NULL)
		rc = search(e, t, key, &found, out);
	if (found != NULL)
		*out = found->run;
	if (rc != SQLITE_OK || out->n == 0)
		return rc;
	/* own ones are of whom this database was then */
	if (found == NULL || found->site < 0)
		return ledger_fact_at(e, out->dbv, out->pos, by);
	*by = (struct fact){ true, out->dbv, out->pos, found->site, found->sver };
	return rc;
}

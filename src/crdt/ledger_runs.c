// SPDX-License-Identifier: MPL-2.0
/*
 * ledger_runs.c - the run over a key.  The log has no index by key: a few are
 * searched for, and if more are wanted, or one is not soon found, those of the table
 * are read once, in order of keys.  Runs that are logged later have keys that none
 * had: they are not in the list, which is read anew where many are missed.
 */
#include "crdt/ledger.h"

#include <stdlib.h>

enum {
	FEW = 16,               /* so many are searched for, and as many as ... */
	SHARE = 256,            /* ... that part of the log's transactions */
	MANY = 1 << 18          /* runs are not kept */
};

void
ledger_forget_runs(struct ledger *l)
{
	sqlite3_free(l->runs.run);
	l->runs.run = NULL;
	l->runs.n = l->runs.missed = 0;
	l->runs.table = -1;
}

static int
begin(struct engine *e, struct ledger_runs *l, const struct table *t)
{
	int64_t head;
	int rc = tx_head(e, &head);

	if (rc != SQLITE_OK || l->table == t->id)
		return rc;
	ledger_forget_runs(e->ledger);
	l->table = t->id;
	l->due = FEW + (head / SHARE < MANY ? (int)(head / SHARE) : MANY);
	return rc;
}

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

static void
sort_runs(struct ledger_runs *l)
{
	int64_t last;
	int i;

	if (l->n > 0)
		qsort(l->run, (size_t)l->n, sizeof *l->run, by_key);
	for (i = 0; i < l->n; i++) {
		last = l->run[i].run.key + (l->run[i].run.n - 1);
		l->run[i].reach = i > 0 && l->run[i - 1].reach > last ?
		    l->run[i - 1].reach : last;
	}
}

/* More than MANY are not kept: the list is empty then. */
static int
read_runs(struct engine *e, struct ledger *l, const struct table *t)
{
	struct ledger_runs *runs = &l->runs;
	sqlite3_stmt *stmt;
	int due = runs->due, rc;

	ledger_forget_runs(l);
	rc = engine_cached(e, SLOT_RUN_ALL, "SELECT dbv, pos, key, n, coalesce(site, "
	    "-1), sver FROM crsql_log WHERE n > 0 AND tbl = ?1 AND mask IS NULL",
	    &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	while (rc == SQLITE_OK && runs->n < MANY && sqlite3_step(stmt) == SQLITE_ROW)
		rc = add_run(runs, stmt);
	rc = engine_reset(stmt, rc);
	if (rc != SQLITE_OK || runs->n == MANY)
		ledger_forget_runs(l);
	sort_runs(runs);
	runs->table = t->id;
	runs->due = due <= MANY ? 2 * due : due;
	return rc;
}

/* Newer runs may lie over parts of older ones. */
static const struct ledger_run *
find(const struct ledger_runs *l, int64_t key)
{
	const struct ledger_run *found = NULL;
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

/* One that is not in the list: *found if it is after that, else *out. */
static int
search(struct engine *e, const struct table *t, int64_t key,
    const struct ledger_run **found, struct history_run *out)
{
	struct ledger *l = e->ledger;
	int64_t below = l->dbv > 0 ? l->dbv : INT64_MAX;
	bool due = ++l->runs.missed >= l->runs.due;
	int rc = SQLITE_OK;

	out->n = 0;
	if (!due)
		rc = history_find_near(e, t, key, below, out);
	if (rc != SQLITE_OK || out->n != 0)
		return rc;
	/* all of the log is to be read: so are the others' then, but once */
	if (due || l->runs.run == NULL) {
		rc = read_runs(e, l, t);
		*found = rc == SQLITE_OK ? find(&l->runs, key) : NULL;
	}
	return rc == SQLITE_OK && *found == NULL ?
	    history_find_run(e, t, key, below, out) : rc;
}

int
ledger_find_run(struct engine *e, const struct table *t, int64_t key,
    struct history_run *out, struct fact *by)
{
	struct ledger *l = e->ledger;
	const struct ledger_run *found;
	int rc = begin(e, &l->runs, t);

	found = rc == SQLITE_OK ? find(&l->runs, key) : NULL;
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

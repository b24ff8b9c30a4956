// SPDX-License-Identifier: MPL-2.0
/*
 * ledger_origin.c - who made what is here, and who had seen it.  Both are asked
 * for each cell that a merge meets: the last answers are remembered.
 */
#include "crdt/ledger.h"

#include <string.h>

#include "crdt/log.h"

struct ledger *
ledger_of(struct engine *e)
{
	struct ledger *l = e->ledger;

	if (l != NULL)
		return l;
	l = sqlite3_malloc(sizeof *l);
	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof *l);
	e->ledger = l;
	ledger_forget(e);
	return l;
}

void
ledger_forget_steps(struct engine *e)
{
	if (e->ledger == NULL)
		return;
	e->ledger->reach[0].site = -1;
	e->ledger->reach[1].site = -1;
}

static void
forget_facts(struct ledger *l)
{
	l->asked_dbv = l->asked = 0;
	l->uniform = l->fact.known = false;
	l->run.table = -1;
}

void
ledger_forget(struct engine *e)
{
	if (e->ledger == NULL)
		return;
	forget_facts(e->ledger);
	ledger_forget_runs(e);
	ledger_forget_steps(e);
}

void
ledger_rest(struct engine *e)
{
	if (e->ledger == NULL)
		return;
	forget_facts(e->ledger);
	ledger_keep_runs(e);
	ledger_forget_steps(e);
}

void
ledger_free(struct engine *e)
{
	ledger_forget_runs(e);
	sqlite3_free(e->ledger);
	e->ledger = NULL;
}

/* -- places ------------------------------------------------------------------------ */

enum { UNIFORM_FROM = 16 };     /* facts of a dbv: then all of it is looked at */

/* Whether all of a dbv is of the origin that one of its facts has.  What is
 * imported has a dbv for each origin, what crsql_changes was given need not. */
static int
look_uniform(struct engine *e, struct ledger *l)
{
	int64_t other = 1;
	int rc = engine_int(e, &other, "SELECT EXISTS(SELECT 1 FROM crsql_log a, "
	    "crsql_log b WHERE a.dbv = %lld AND a.pos = %lld AND b.dbv = a.dbv AND "
	    "(b.site IS NOT a.site OR b.sver IS NOT a.sver))",
	    (long long)l->fact.dbv, (long long)l->fact.pos);

	l->uniform = rc == SQLITE_OK && other == 0;
	return rc;
}

int
ledger_fact_at(struct engine *e, int64_t dbv, int64_t pos, struct fact *out)
{
	struct ledger *l = e->ledger;
	int rc = SQLITE_OK;

	if (l->fact.known && l->fact.dbv == dbv &&
	    (l->uniform || l->fact.pos == pos)) {
		*out = l->fact;
		return rc;
	}
	if (dbv != l->asked_dbv) {
		l->asked_dbv = dbv;
		l->asked = 0;
		l->uniform = false;
	}
	l->fact = (struct fact){ .known = true, .dbv = dbv, .pos = pos };
	rc = log_origin(e, dbv, pos, &l->fact.site, &l->fact.sver);
	if (rc == SQLITE_OK && ++l->asked == UNIFORM_FROM)
		rc = look_uniform(e, l);
	l->fact.known = rc == SQLITE_OK;
	*out = l->fact;
	return rc;
}

/* -- runs -------------------------------------------------------------------------- */

/* The one that waits to be logged. */
static bool
waits(const struct engine *e, const struct table *t, int64_t key,
    struct fact *out)
{
	const struct merge_run *run = &e->incoming->run;

	if (run->table != t || !history_covers(run->key, run->n, key))
		return false;
	*out = (struct fact){ .known = true, .dbv = run->dbv, .site = run->site,
	    .sver = run->sver };
	return true;
}

static int
find_run(struct engine *e, const struct table *t, int64_t key)
{
	struct ledger *l = e->ledger;
	struct history_run run;
	int rc;

	l->run.table = -1;
	rc = ledger_find_run(e, t, key, &run, &l->run.fact);
	if (rc != SQLITE_OK || run.n == 0)
		return rc;
	l->run.table = t->id;
	l->run.key = run.key;
	l->run.n = run.n;
	return rc;
}

static int
fact_of_run(struct engine *e, const struct table *t, int64_t key,
    struct fact *out)
{
	struct ledger *l = e->ledger;
	int rc = SQLITE_OK;

	if (waits(e, t, key, out))
		return rc;
	if (l->run.table != t->id ||
	    !history_covers(l->run.key, l->run.n, key))
		rc = find_run(e, t, key);
	*out = l->run.fact;
	out->known = rc == SQLITE_OK && l->run.table == t->id;
	return rc;
}

int
ledger_fact(struct engine *e, struct merge_row *row, int i, struct fact *out)
{
	const struct meta *m = &row->meta;
	const struct stamp *s = i < 0 ? &m->sentinel : &m->col[i];
	bool base = i < 0 ? !m->has_sentinel : s->dbv == 0;

	out->known = false;
	if (!base)
		return ledger_fact_at(e, s->dbv, s->pos, out);
	/* a column that is younger than the row has no clock; without a sentinel a
	 * row is told by its columns, if there are any */
	if (i >= 0 ? meta_version(row->table, m, row->key, i) == 0 : row->room > 0)
		return SQLITE_OK;
	if (m->base == BASE_AT)
		return ledger_fact_at(e, m->base_at.dbv, m->base_at.pos, out);
	return m->base == BASE_RUN ? fact_of_run(e, row->table, row->key, out) :
	    SQLITE_OK;
}

/* -- steps ------------------------------------------------------------------------- */

/* Up to which version of `other` the site had seen at its version. */
static int
reach(struct engine *e, const struct fact *site, int64_t other, int which,
    int64_t *upto)
{
	struct ledger *l = e->ledger;
	sqlite3_stmt *stmt;
	int rc;

	*upto = 0;
	/* one of whom nothing is known here, nor what he knows */
	if (site->site < 0 || other < 0)
		return SQLITE_OK;
	if (l->reach[which].site == site->site && l->reach[which].sver ==
	    site->sver && l->reach[which].other == other) {
		*upto = l->reach[which].upto;
		return SQLITE_OK;
	}
	rc = engine_cached(e, SLOT_SEEN_REACH, "SELECT upto FROM crsql_seen WHERE "
	    "site = ?1 AND other = ?3 AND sver <= ?2 ORDER BY sver DESC LIMIT 1",
	    &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, site->site);
	sqlite3_bind_int64(stmt, 2, site->sver);
	sqlite3_bind_int64(stmt, 3, other);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*upto = sqlite3_column_int64(stmt, 0);
	rc = engine_reset(stmt, rc);
	l->reach[which].site = rc == SQLITE_OK ? site->site : -1;
	l->reach[which].sver = site->sver;
	l->reach[which].other = other;
	l->reach[which].upto = *upto;
	return rc;
}

int
ledger_concurrent(struct engine *e, const struct fact *a, const struct fact *b,
    bool *is)
{
	int64_t upto;
	int rc = SQLITE_OK;

	*is = a->site != b->site;
	if (*is && a->sver > 0 && b->sver > 0) {
		rc = reach(e, a, b->site, 0, &upto);
		*is = upto < b->sver;
	}
	if (rc == SQLITE_OK && *is && a->sver > 0 && b->sver > 0) {
		rc = reach(e, b, a->site, 1, &upto);
		*is = upto < a->sver;
	}
	return rc;
}

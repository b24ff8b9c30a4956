// SPDX-License-Identifier: MPL-2.0
/*
 * place.c - where merged facts stand: the db_version of an origin, its log
 * rows and runs, and the clocks of a row that was merged.
 */
#include <string.h>

#include "crdt/horizon.h"
#include "crdt/log.h"
#include "crdt/merge.h"

enum { STRIDE_MAX = 4095 };     /* of a run, log.h */

/* -- origins ----------------------------------------------------------------- */

int
place_site(struct engine *e, struct merge_origin *o)
{
	int rc;

	if (o->site >= 0)
		return SQLITE_OK;
	rc = site_ordinal(e, o->nid > 0 ? o->id : NULL, o->nid, true,
	    &o->site);
	return rc == SQLITE_OK && o->key != NULL ?
	    site_learn_key(e, o->site, o->key, o->incarnation) : rc;
}

int
place_origin(struct engine *e, struct merge_origin *o, int64_t *dbv)
{
	int rc = place_site(e, o);

	if (rc != SQLITE_OK)
		return rc;
	if (o->via == MERGE_IMPORT) {
		if (o->dbv == 0) {
			rc = place_flush(e);
			if (rc == SQLITE_OK)
				rc = tx_import_dbv(e, &o->dbv);
		}
		*dbv = o->dbv;
		return rc;
	}
	if (e->tx.current == 0 || o->sender_dbv > e->tx.current)
		rc = place_flush(e);
	return rc == SQLITE_OK ? tx_changes_dbv(e, o->sender_dbv, dbv) : rc;
}

int
place_append(struct engine *e, struct merge_origin *o, struct log_row *row)
{
	int rc = place_origin(e, o, &row->dbv);

	if (rc == SQLITE_OK)
		rc = place_flush(e);
	if (rc != SQLITE_OK)
		return rc;
	row->own = false;
	row->site = o->site;
	row->sver = o->sver;
	row->header = o->header;
	return log_append(e, row);
}

/* -- the run ------------------------------------------------------------------- */

static bool
goes_on(const struct merge_run *run, const struct merge_origin *o,
    const struct table *t, int64_t dbv, int64_t key, int64_t seq)
{
	int64_t stride = run->n == 1 ? seq - run->seq : run->stride;

	return run->table == t && run->dbv == dbv && run->site == o->site &&
	    run->sver == o->sver && log_goes_on(run->key, run->n, key) &&
	    stride >= (t->ncol > 0 ? t->ncol : 1) && stride <= STRIDE_MAX &&
	    seq == run->seq + run->n * stride;
}

int
place_fresh(struct engine *e, struct merge_origin *o, struct table *t,
    int64_t key, int64_t seq)
{
	struct incoming *in = e->incoming;
	struct merge_run *run = &in->run;
	int64_t dbv;
	int rc = place_origin(e, o, &dbv);

	if (rc == SQLITE_OK && t->alone != 0)
		rc = horizon_end_alone(e, t);
	if (rc != SQLITE_OK)
		return rc;
	if (goes_on(run, o, t, dbv, key, seq)) {
		if (run->n++ == 1)
			run->stride = seq - run->seq;
		return SQLITE_OK;
	}
	rc = place_flush(e);
	if (rc != SQLITE_OK)
		return rc;
	*run = (struct merge_run){ .table = t, .site = o->site,
	    .sver = o->sver, .dbv = dbv, .key = key, .n = 1, .seq = seq };
	if (o->header != NULL) {
		memcpy(in->run_header, o->header, HEADER_LEN);
		run->header = in->run_header;
	}
	return SQLITE_OK;
}

int
place_flush(struct engine *e)
{
	struct merge_run *run = &e->incoming->run;
	struct table *t = run->table;
	struct log_row row;

	if (t == NULL)
		return SQLITE_OK;
	run->table = NULL;
	row = (struct log_row){ .dbv = run->dbv, .table = t->id,
	    .key = run->key, .n = run->n, .seq = run->seq,
	    .stride = run->n > 1 ? run->stride : t->ncol > 0 ? t->ncol : 1,
	    .site = run->site, .sver = run->sver, .header = run->header };
	return log_append(e, &row);
}

/* -- clocks -------------------------------------------------------------------- */

void
place_blank(struct merge_row *row)
{
	struct meta *m = &row->meta;

	m->stored = false;
	m->cl = 0;
	m->has_sentinel = false;
	m->base = BASE_NONE;
	memset(m->col, 0, (size_t)m->ncol * sizeof *m->col);
}

/* True if what was won is a whole fresh row: all columns at version 1 with
 * consecutive seqs, nothing else known of it. */
static bool
is_fresh(const struct merge_row *row)
{
	int i, n = row->table->ncol;

	if (!row->inserted || row->cl != 1 || row->meta.stored)
		return false;
	if (n == 0)
		return row->sentinel;
	if (row->sentinel || row->nwon != n)
		return false;
	for (i = 0; i < n; i++) {
		if (row->win[i].version != 1 ||
		    row->win[i].seq != row->win[0].seq + i)
			return false;
	}
	return true;
}

/* The place in dbv where a fact of this row and origin stands already: one
 * log row per origin and row (R1). */
static int
known_place(struct engine *e, const struct merge_row *row, int64_t dbv,
    int64_t *pos)
{
	const struct meta *m = &row->meta;
	int64_t site, sver;
	int i, rc = SQLITE_OK;

	*pos = -1;
	for (i = -1; i < m->ncol && *pos < 0 && rc == SQLITE_OK; i++) {
		const struct stamp *s = i < 0 ? &m->sentinel : &m->col[i];

		if (s->dbv != dbv || (i < 0 && !m->has_sentinel))
			continue;
		rc = log_origin(e, dbv, s->pos, &site, &sver);
		if (site == row->origin->site && sver == row->origin->sver)
			*pos = s->pos;
	}
	return rc;
}

/* Sets the clocks of what was won to (dbv, pos). */
static int
set_clocks(struct engine *e, struct merge_row *row, int64_t dbv, int64_t pos)
{
	struct meta *m = &row->meta;
	struct stamp at = { .dbv = dbv, .pos = pos };
	int i, rc = SQLITE_OK;

	if (row->sentinel) {
		at.version = row->cl;
		at.seq = row->sentinel_seq;
		rc = meta_set_sentinel(e, m, row->cl, &at);
	}
	/* not below a birthday: the base says nothing of that column (R3) */
	if (row->room > 0 && row->key > row->table->youngest &&
	    is_fresh(row)) {
		m->base = BASE_AT;
		m->base_at = (struct stamp){ .version = 1, .dbv = dbv,
		    .pos = pos, .seq = row->win[0].seq };
		return rc;
	}
	for (i = 0; i < row->room && rc == SQLITE_OK; i++) {
		if (!row->win[i].won)
			continue;
		at.version = row->win[i].version;
		at.seq = row->win[i].seq;
		rc = meta_set_column(e, row->table, m, i, &at);
	}
	return rc;
}

static int
close_stored(struct engine *e, struct merge_row *row)
{
	struct log_row log = { .table = row->table->id, .key = row->key,
	    .n = LOG_ROW };
	int64_t dbv, pos;
	int rc;

	rc = place_origin(e, row->origin, &dbv);
	if (rc == SQLITE_OK)
		rc = before_write(e, row, dbv);
	if (rc == SQLITE_OK)
		rc = known_place(e, row, dbv, &pos);
	if (rc == SQLITE_OK && pos < 0) {
		rc = place_append(e, row->origin, &log);
		pos = log.pos;
	}
	row->meta.cl = row->cl;
	if (rc == SQLITE_OK && row->table->alone != 0)
		rc = horizon_end_alone(e, row->table);
	if (rc == SQLITE_OK)
		rc = set_clocks(e, row, dbv, pos);
	if (rc == SQLITE_OK)
		rc = meta_put(e, row->table, row->key, &row->meta);
	if (rc == SQLITE_OK && row->was_dead)
		rc = dead_del(e, row->table, row->pk, row->npk);
	row->was_dead = false;
	row->meta.stored = true;
	return rc;
}

/* Old values that a resurrection keeps are not the origin's: with them the
 * row is told as of no version, so that no vector passes them over (R1). */
int
merge_close(struct engine *e, struct merge_row *row)
{
	int64_t sver = row->origin->sver;
	int rc;

	if (!row->pending)
		return SQLITE_OK;
	if (row->kept)
		row->origin->sver = 0;
	if (row->above && is_fresh(row)) {
		rc = place_fresh(e, row->origin, row->table, row->key,
		    row->room > 0 ? row->win[0].seq : row->sentinel_seq);
		meta_fresh(&row->meta);
	} else {
		rc = close_stored(e, row);
	}
	row->origin->sver = sver;
	row->pending = row->sentinel = row->inserted = row->kept = false;
	if (row->nwon > 0)
		memset(row->win, 0, (size_t)row->room * sizeof *row->win);
	row->nwon = 0;
	return rc;
}

int
place_dead(struct engine *e, struct merge_row *row, int64_t cl, int64_t seq)
{
	struct log_row log = { .table = row->table->id, .pk = row->pk,
	    .npk = row->npk, .n = LOG_DEAD };
	struct dead tomb;
	int rc;

	rc = place_append(e, row->origin, &log);
	if (rc == SQLITE_OK)
		rc = before_write(e, row, log.dbv);
	if (rc == SQLITE_OK && row->table->alone != 0)
		rc = horizon_end_alone(e, row->table);
	tomb = (struct dead){ .cl = cl, .dbv = log.dbv, .pos = log.pos,
	    .seq = seq, .has_left = row->meta.has_left, .left = row->meta.left };
	if (rc == SQLITE_OK)
		rc = dead_put(e, row->table, row->pk, row->npk, &tomb);
	return rc;
}

/* -- who is greater --------------------------------------------------------------- */

/* Compares the incoming site id with that of an ordinal here. */
static int
site_greater(struct engine *e, const struct merge_origin *o, int64_t ordinal,
    bool *greater)
{
	uint8_t here[SITE_ID_LEN], given[SITE_ID_LEN] = { 0 };
	bool has_key;
	int rc;

	rc = site_by_ordinal(e, ordinal, here, NULL, NULL, &has_key);
	if (o->nid > 0)
		memcpy(given, o->id, (size_t)o->nid);
	else
		memcpy(given, e->site_id, SITE_ID_LEN);
	*greater = rc == SQLITE_OK && memcmp(given, here, SITE_ID_LEN) > 0;
	return rc;
}

/* The site of the run over a key.  The log has no index for this question;
 * only merge-equal-values asks it. */
static int
run_site(struct engine *e, const struct merge_row *row, int64_t *site)
{
	int64_t dbv = 0, pos = 0, sver;
	int rc;

	rc = place_flush(e);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &dbv, "SELECT dbv FROM crsql_log WHERE "
		    "tbl = %d AND n > 0 AND mask IS NULL AND key <= %lld "
		    "AND key + n > %lld ORDER BY dbv DESC LIMIT 1",
		    row->table->id, (long long)row->key, (long long)row->key);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &pos, "SELECT pos FROM crsql_log WHERE "
		    "dbv = %lld AND tbl = %d AND n > 0 AND mask IS NULL AND "
		    "key <= %lld AND key + n > %lld LIMIT 1",
		    (long long)dbv, row->table->id, (long long)row->key,
		    (long long)row->key);
	return rc == SQLITE_OK ? log_origin(e, dbv, pos, site, &sver) : rc;
}

int
place_greater_site(struct engine *e, struct merge_row *row, int i,
    bool *greater)
{
	const struct meta *m = &row->meta;
	int64_t site = -1, sver;
	int rc = SQLITE_OK;

	if (row->win[i].won)
		site = row->origin->site;
	else if (m->col[i].dbv != 0)
		rc = log_origin(e, m->col[i].dbv, m->col[i].pos, &site,
		    &sver);
	else if (m->base == BASE_AT)
		rc = log_origin(e, m->base_at.dbv, m->base_at.pos, &site,
		    &sver);
	else
		rc = run_site(e, row, &site);
	*greater = false;
	if (rc == SQLITE_OK && site >= 0)
		rc = site_greater(e, row->origin, site, greater);
	return rc;
}

int
place_greater_death(struct engine *e, struct merge_row *row, bool *greater)
{
	int64_t site, sver;
	struct dead tomb;
	bool found;
	int rc;

	*greater = false;
	rc = dead_get(e, row->table, row->pk, row->npk, &found, &tomb);
	if (rc == SQLITE_OK && found)
		rc = log_origin(e, tomb.dbv, tomb.pos, &site, &sver);
	if (rc == SQLITE_OK && found)
		rc = site_greater(e, row->origin, site, greater);
	return rc;
}

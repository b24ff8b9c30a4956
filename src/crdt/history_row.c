// SPDX-License-Identifier: MPL-2.0
/*
 * history_row.c - where the facts of one row stand.  Its clock row names places;
 * what it does not name, a fresh row has from the run over its key, which has to
 * be searched: the log has no index by key.
 */
#include "crdt/history.h"

#include <stdlib.h>
#include <string.h>

#include "crdt/log.h"
#include "crdt/val.h"

bool
history_came(const struct table *t, const struct meta *m, int64_t key,
    int64_t dbv, int64_t pos)
{
	int i;

	if (m->has_sentinel && m->sentinel.dbv == dbv && m->sentinel.pos == pos)
		return true;
	if (m->cl != 1)
		return false;
	if (m->base == BASE_AT && m->base_at.dbv == dbv && m->base_at.pos == pos)
		return true;
	for (i = 0; i < m->ncol; i++)
		if (m->col[i].dbv == dbv && m->col[i].pos == pos &&
		    m->col[i].version == 1 && key > t->col[i].born)
			return true;
	return false;
}

/* -- keys ------------------------------------------------------------------------- */

/* The canonical key (R5) of a packed one; *ok false if it can't be one here. */
static int
settle_key(struct engine *e, const struct table *t, const uint8_t *pk, int npk,
    struct buf *out, bool *ok)
{
	struct val v[PACK_MAX_COLUMNS];
	char scratch[VAL_SCRATCH];
	int i, rc = SQLITE_OK;

	*ok = pack_read(pk, npk, t->npk, v, PACK_MAX_COLUMNS) == t->npk;
	if (*ok)
		buf_add_u8(out, (uint8_t)t->npk);
	for (i = 0; i < t->npk && *ok && rc == SQLITE_OK; i++) {
		rc = val_settle(e->db, &v[i], t->pk[i].affinity, scratch);
		val_canonical(&v[i]);
		*ok = v[i].type != SQLITE_NULL &&
		    (!t->integer_key || v[i].type == SQLITE_INTEGER);
		val_encode(out, &v[i]);
	}
	return rc == SQLITE_OK && out->failed ? SQLITE_NOMEM : rc;
}

/* -- places ------------------------------------------------------------------------ */

struct places {
	struct history_place *at;
	int n, room;
};

static int
add_place(struct places *p, int64_t dbv, int64_t pos)
{
	struct history_place *at;

	if (dbv == 0)
		return SQLITE_OK;
	if (p->n == p->room) {
		at = sqlite3_realloc64(p->at, ((size_t)p->room + 16) * sizeof *at);
		if (at == NULL)
			return SQLITE_NOMEM;
		p->at = at;
		p->room += 16;
	}
	p->at[p->n++] = (struct history_place){ dbv, pos };
	return SQLITE_OK;
}

static int
by_place(const void *a, const void *b)
{
	const struct history_place *x = a, *y = b;

	if (x->dbv != y->dbv)
		return x->dbv < y->dbv ? -1 : 1;
	return (x->pos > y->pos) - (x->pos < y->pos);
}

static void
sort_places(struct places *p)
{
	int i, n = 0;

	if (p->n > 0)
		qsort(p->at, (size_t)p->n, sizeof *p->at, by_place);
	for (i = 0; i < p->n; i++)
		if (n == 0 || by_place(&p->at[n - 1], &p->at[i]) != 0)
			p->at[n++] = p->at[i];
	p->n = n;
}

/* -- the run over a key ------------------------------------------------------------ */

/* Runs of a table mostly follow each other by key as they do in the log, since
 * rowids rise: so the run is looked for by halving, and where that does not find
 * it, in all of the log. */
struct search {
	struct engine *e;
	int table;
	int64_t key;
	int64_t below;          /* of no interest from this db_version on */
	int64_t lo, hi;         /* db_versions that are left */
	sqlite3_stmt *probe;
};

enum { PROBE_ROWS = 24, FEW_VERSIONS = 16 };

/* Steps to the first run of the table from a db_version on; *found false if there
 * is none up to hi, *far true if it is too many log rows away. */
static int
probe(struct search *s, int64_t dbv, bool *found, bool *far)
{
	int rows = 0, rc;

	*found = *far = false;
	sqlite3_bind_int64(s->probe, 1, dbv);
	sqlite3_bind_int64(s->probe, 2, s->hi);
	do {
		rc = sqlite3_step(s->probe);
		if (rc != SQLITE_ROW)
			return rc == SQLITE_DONE ? SQLITE_OK : rc;
		*found = sqlite3_column_int(s->probe, 3) == s->table &&
		    sqlite3_column_int64(s->probe, 2) > 0;
		*far = !*found && ++rows == PROBE_ROWS;
	} while (!*found && !*far);
	return SQLITE_OK;
}

static int
find_head(struct search *s)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(s->e, SLOT_RUN_HEAD, "SELECT max(dbv) FROM crsql_log "
	    "WHERE dbv < ?1", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, s->below);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		s->hi = sqlite3_column_int64(stmt, 0);
	return engine_reset(stmt, rc);
}

/* Halves what is left until it is little, or nothing more can be said. */
static int
halve(struct search *s)
{
	bool found, far = false;
	int64_t mid;
	int rc = find_head(s);

	if (rc == SQLITE_OK)
		rc = engine_cached(s->e, SLOT_RUN_PROBE, "SELECT dbv, key, CASE WHEN "
		    "mask IS NULL THEN n END, tbl FROM crsql_log WHERE dbv BETWEEN ?1 "
		    "AND ?2 ORDER BY dbv, pos", &s->probe);
	while (rc == SQLITE_OK && !far && s->hi - s->lo > FEW_VERSIONS) {
		mid = s->lo + (s->hi - s->lo) / 2 + 1;
		rc = probe(s, mid, &found, &far);
		if (rc == SQLITE_OK && found &&
		    sqlite3_column_int64(s->probe, 1) <= s->key)
			s->lo = sqlite3_column_int64(s->probe, 0);
		else if (!far)
			s->hi = mid - 1;
		sqlite3_reset(s->probe);
	}
	return rc;
}

/* Finds the run in that part of the log, if it is there. */
static int
find_within(struct search *s, int64_t lo, int64_t hi, struct history_run *out)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = engine_cached(s->e, SLOT_RUN_FIND, "SELECT dbv, pos, key, n FROM "
	    "crsql_log WHERE dbv BETWEEN ?3 AND ?4 AND tbl = ?1 AND n > 0 AND mask IS "
	    "NULL AND key <= ?2 AND ?2 - key < n ORDER BY dbv DESC, pos DESC LIMIT 1",
	    &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, s->table);
	sqlite3_bind_int64(stmt, 2, s->key);
	sqlite3_bind_int64(stmt, 3, lo);
	sqlite3_bind_int64(stmt, 4, hi);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out = (struct history_run){ sqlite3_column_int64(stmt, 0),
		    sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2),
		    sqlite3_column_int64(stmt, 3) };
	return engine_reset(stmt, rc);
}

/* Where halving ended early nothing is known of what is left. */
int
history_find_near(struct engine *e, const struct table *t, int64_t key,
    int64_t after, int64_t below, struct history_run *out)
{
	struct search s = { .e = e, .table = t->id, .key = key, .lo = after,
	    .below = below };
	int rc = halve(&s);

	memset(out, 0, sizeof *out);
	return rc == SQLITE_OK && s.hi - s.lo <= FEW_VERSIONS ?
	    find_within(&s, s.lo, s.hi, out) : rc;
}

int
history_find_after(struct engine *e, const struct table *t, int64_t key,
    int64_t after, int64_t below, struct history_run *out)
{
	struct search s = { .e = e, .table = t->id, .key = key };

	memset(out, 0, sizeof *out);
	return find_within(&s, after + 1, below - 1, out);
}

int
history_find_run(struct engine *e, const struct table *t, int64_t key,
    int64_t below, struct history_run *out)
{
	int rc = history_find_near(e, t, key, 0, below, out);

	return rc == SQLITE_OK && out->n == 0 ?
	    history_find_after(e, t, key, 0, below, out) : rc;
}

static int
add_run(struct engine *e, const struct table *t, int64_t key, struct places *p)
{
	struct history_run run;
	int rc = history_find_run(e, t, key, INT64_MAX, &run);

	return rc == SQLITE_OK ? add_place(p, run.dbv, run.pos) : rc;
}

/* -- a row ------------------------------------------------------------------------- */

static int
live_places(struct engine *e, struct table *t, int64_t key, struct places *p)
{
	struct meta m;
	int i, rc = meta_init(&m, t);

	if (rc == SQLITE_OK)
		rc = meta_get(e, t, key, &m);
	if (rc == SQLITE_OK && m.has_sentinel)
		rc = add_place(p, m.sentinel.dbv, m.sentinel.pos);
	if (rc == SQLITE_OK && m.base == BASE_AT)
		rc = add_place(p, m.base_at.dbv, m.base_at.pos);
	for (i = 0; i < m.ncol && rc == SQLITE_OK; i++)
		rc = add_place(p, m.col[i].dbv, m.col[i].pos);
	if (rc == SQLITE_OK && m.base == BASE_RUN)
		rc = add_run(e, t, key, p);
	meta_free(&m);
	return rc;
}

int
history_places(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    struct history_place **out, int *n, int64_t *key)
{
	struct places p = { NULL, 0, 0 };
	struct dead tomb = { .dbv = 0 };
	bool ok, found = false;
	struct buf b;
	int rc;

	buf_init(&b, INT32_MAX);
	rc = settle_key(e, t, pk, npk, &b, &ok);
	if (rc == SQLITE_OK && ok)
		rc = table_find_key(e, t, b.data, (int)b.len, &found, key);
	if (rc == SQLITE_OK && found)
		rc = live_places(e, t, *key, &p);
	else if (rc == SQLITE_OK && ok)
		rc = dead_get(e, t, b.data, (int)b.len, &found, &tomb);
	if (rc == SQLITE_OK && tomb.dbv > 0 && found)
		rc = add_place(&p, tomb.dbv, tomb.pos);
	sort_places(&p);
	buf_clear(&b);
	*out = p.at;
	*n = p.n;
	return rc;
}

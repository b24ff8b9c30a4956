// SPDX-License-Identifier: MPL-2.0
/* meta.c - clock rows: see the format in meta.h. */
#include "crdt/meta.h"

#include <string.h>

#include "base/buf.h"
#include "base/rd.h"
#include "crdt/log.h"
#include "crdt/lookaside.h"

SQLITE_EXTENSION_INIT3

enum { HAS_SENTINEL = 1, BASE_SHIFT = 1, BASE_MASK = 3, HAS_LEFT = 8 };
enum { META_MAX_BYTES = 1 << 20 };

int
meta_init(struct meta *m, const struct table *t)
{
	memset(m, 0, sizeof *m);
	m->ncol = t->ncol;
	m->col = sqlite3_malloc64(sizeof *m->col * (uint64_t)(t->ncol + 1));
	if (m->col == NULL)
		return SQLITE_NOMEM;
	meta_fresh(m);
	return SQLITE_OK;
}

void
meta_free(struct meta *m)
{
	sqlite3_free(m->col);
	m->col = NULL;
}

void
meta_fresh(struct meta *m)
{
	m->stored = false;
	m->cl = 1;
	m->has_sentinel = m->has_left = false;
	m->base = BASE_RUN;
	memset(&m->sentinel, 0, sizeof m->sentinel);
	memset(&m->base_at, 0, sizeof m->base_at);
	memset(m->col, 0, sizeof *m->col * (size_t)m->ncol);
}

/* -- codec ------------------------------------------------------------------ */

static void
add_place(struct buf *b, const struct stamp *s)
{
	buf_add_varint(b, (uint64_t)s->dbv);
	buf_add_varint(b, (uint64_t)s->pos);
	buf_add_varint(b, (uint64_t)s->seq);
}

/* True if column j goes on where a group of n columns begun by first stands. */
static bool
same_group(const struct stamp *first, const struct stamp *s, int n)
{
	return s->dbv == first->dbv && s->pos == first->pos &&
	    s->version == first->version && s->seq == first->seq + n;
}

static void
add_groups(struct buf *b, const struct table *t, const struct meta *m)
{
	int i, j, n, cid;

	for (i = 0; i < m->ncol; i = j) {
		j = i + 1;
		if (m->col[i].dbv == 0)
			continue;
		for (n = 1; j < m->ncol && same_group(&m->col[i], &m->col[j], n) &&
		    t->col[j].cid > t->col[j - 1].cid; j++)
			n++;
		add_place(b, &m->col[i]);
		buf_add_varint(b, (uint64_t)m->col[i].version);
		buf_add_varint(b, (uint64_t)n);
		cid = t->col[i].cid;
		buf_add_varint(b, (uint64_t)cid);
		for (i++; n > 1; n--, i++) {
			buf_add_varint(b, (uint64_t)(t->col[i].cid - cid - 1));
			cid = t->col[i].cid;
		}
	}
}

void
meta_add(struct buf *b, const struct table *t, const struct meta *m)
{
	bool left = m->has_left && !lookaside_names_pk(t);

	buf_add_u8(b, (uint8_t)((m->has_sentinel ? HAS_SENTINEL : 0) |
	    (left ? HAS_LEFT : 0) | (int)m->base << BASE_SHIFT));
	buf_add_varint(b, (uint64_t)m->cl);
	if (left)
		buf_add_zigzag(b, m->left);
	if (m->has_sentinel)
		add_place(b, &m->sentinel);
	if (m->base == BASE_AT)
		add_place(b, &m->base_at);
	add_groups(b, t, m);
}

int
meta_encode(const struct table *t, const struct meta *m, uint8_t **out,
    int *len)
{
	struct buf b;
	int rc = SQLITE_NOMEM;

	buf_init(&b, META_MAX_BYTES);
	meta_add(&b, t, m);
	*out = b.failed ? NULL : sqlite3_malloc64(b.len + 1);
	if (*out != NULL) {
		memcpy(*out, b.data, b.len);
		*len = (int)b.len;
		rc = SQLITE_OK;
	}
	buf_clear(&b);
	return rc;
}

static void
read_place(struct rd *r, struct stamp *s)
{
	s->dbv = (int64_t)rd_varint(r, INT64_MAX);
	s->pos = (int64_t)rd_varint(r, INT64_MAX);
	s->seq = (int64_t)rd_varint(r, INT64_MAX);
}

/* Places where columns stood that are not there any more. */
struct gone {
	struct stamp *at;
	int n, room;
	int rc;
};

static void
add_gone(struct gone *g, const struct stamp *s)
{
	int room = g->room ? g->room * 2 : 16;
	struct stamp *at = g->at;

	if (g->n == g->room) {
		at = sqlite3_realloc64(at, sizeof *at * (uint64_t)room);
		if (at == NULL) {
			g->rc = SQLITE_NOMEM;
			return;
		}
		g->at = at;
		g->room = room;
	}
	at[g->n++] = *s;
}

/* g, if there is one, gets what is of no column. */
static void
read_group(struct rd *r, const struct table *t, struct meta *m, struct gone *g)
{
	struct stamp s;
	uint64_t n, cid = 0, k;
	int i;

	read_place(r, &s);
	s.version = (int64_t)rd_varint(r, INT64_MAX);
	n = rd_varint(r, rd_left(r));
	for (k = 0; k < n && !rd_failed(r); k++, s.seq++) {
		cid += rd_varint(r, INT32_MAX) + (k > 0);
		if (cid > INT32_MAX)
			rd_fail(r);
		i = rd_failed(r) ? -1 : table_column_by_cid(t, (int)cid);
		if (i >= 0)
			m->col[i] = s;
		else if (g != NULL && !rd_failed(r))
			add_gone(g, &s);
	}
}

static int
decode(const struct table *t, const uint8_t *data, int len, struct meta *m,
    struct gone *g)
{
	struct rd r;
	uint8_t flags;

	meta_fresh(m);
	rd_init(&r, data, (size_t)len);
	flags = rd_u8(&r);
	m->has_sentinel = flags & HAS_SENTINEL;
	m->base = (enum meta_base)(flags >> BASE_SHIFT & BASE_MASK);
	m->cl = (int64_t)rd_varint(&r, INT64_MAX);
	m->has_left = flags & HAS_LEFT;
	m->left = m->has_left ? rd_zigzag(&r) : 0;
	if (m->has_sentinel)
		read_place(&r, &m->sentinel);
	m->sentinel.version = m->cl;
	if (m->base == BASE_AT)
		read_place(&r, &m->base_at);
	m->base_at.version = 1;
	while (!rd_failed(&r) && rd_left(&r) > 0)
		read_group(&r, t, m, g);
	m->stored = true;
	return rd_done(&r) && m->base <= BASE_AT ? SQLITE_OK : SQLITE_CORRUPT;
}

int
meta_decode(const struct table *t, const uint8_t *data, int len,
    struct meta *m)
{
	return decode(t, data, len, m, NULL);
}

/* -- rows ----------------------------------------------------------------------- */

int
meta_get(struct engine *e, struct table *t, int64_t key, struct meta *m)
{
	sqlite3_stmt *stmt;
	int rc = t->has_meta == 0 ? SQLITE_OK
	    : table_stmt(e, t, TS_META_GET, &stmt);

	meta_fresh(m);
	if (rc != SQLITE_OK || t->has_meta == 0)
		return rc;
	sqlite3_bind_int64(stmt, 1, key);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		rc = meta_decode(t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), m);
		if (rc != SQLITE_OK)
			engine_fail(e, rc, "a clock row of %s is damaged", t->name);
	}
	return engine_reset(stmt, rc);
}

int
meta_put(struct engine *e, struct table *t, int64_t key,
    const struct meta *m)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, t, TS_META_PUT, &stmt);

	if (rc != SQLITE_OK)
		return rc;
	e->scratch.len = 0;
	e->scratch.failed = false;
	meta_add(&e->scratch, t, m);
	if (e->scratch.failed)
		return SQLITE_NOMEM;
	sqlite3_bind_int64(stmt, 1, key);
	sqlite3_bind_blob(stmt, 2, e->scratch.data, (int)e->scratch.len,
	    SQLITE_STATIC);
	t->has_meta = 1;
	return engine_run(e, stmt);
}

int
meta_del(struct engine *e, struct table *t, int64_t key)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, t, TS_META_DEL, &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, key);
	return engine_run(e, stmt);
}

/* -- facts ------------------------------------------------------------------------- */

int64_t
meta_version(const struct table *t, const struct meta *m, int64_t key, int i)
{
	if (m->col[i].dbv != 0)
		return m->col[i].version;
	if (m->base == BASE_NONE || key <= t->col[i].born)
		return 0;
	return 1;
}

bool
meta_needs_run(const struct table *t, const struct meta *m, int64_t key)
{
	int i;

	if (m->base != BASE_RUN)
		return false;
	for (i = 0; i < t->ncol; i++)
		if (m->col[i].dbv == 0 && key > t->col[i].born)
			return true;
	return !m->has_sentinel && !table_born_with_any(t, key);
}

bool
meta_stands_at(const struct meta *m, int64_t dbv, int64_t pos)
{
	int i, own = 0;

	if (m->has_sentinel && m->sentinel.dbv == dbv && m->sentinel.pos == pos)
		return true;
	for (i = 0; i < m->ncol; i++) {
		own += m->col[i].dbv != 0;
		if (m->col[i].dbv == dbv && m->col[i].pos == pos)
			return true;
	}
	return m->base == BASE_AT && m->base_at.dbv == dbv &&
	    m->base_at.pos == pos && own < m->ncol;
}

static int
sweep_if_left(struct engine *e, const struct meta *m, const struct stamp *old)
{
	if (old->dbv == 0 || meta_stands_at(m, old->dbv, old->pos))
		return SQLITE_OK;
	return log_sweep(e, old->dbv, old->pos);
}

int
meta_set_column(struct engine *e, struct table *t, struct meta *m, int i,
    const struct stamp *to)
{
	struct stamp old = m->col[i];

	(void)t;
	if (old.dbv == 0 && m->base == BASE_AT)
		old = m->base_at;
	m->col[i] = *to;
	/* another row may get its place */
	if (m->base == BASE_AT && !meta_stands_at(m, m->base_at.dbv, m->base_at.pos))
		m->base = BASE_NONE;
	return sweep_if_left(e, m, &old);
}

int
meta_set_sentinel(struct engine *e, struct meta *m, int64_t cl,
    const struct stamp *to)
{
	struct stamp old = { 0 };

	if (m->has_sentinel)
		old = m->sentinel;
	m->cl = cl;
	m->has_sentinel = true;
	m->sentinel = *to;
	m->sentinel.version = cl;
	return sweep_if_left(e, m, &old);
}

int
meta_sweep(struct engine *e, const struct meta *m)
{
	int i, rc = SQLITE_OK;

	if (m->has_sentinel)
		rc = log_sweep(e, m->sentinel.dbv, m->sentinel.pos);
	/* a base that no column stands by was swept, and its place may be that of
	 * another row by now (move.c) */
	if (rc == SQLITE_OK && m->base == BASE_AT &&
	    meta_stands_at(m, m->base_at.dbv, m->base_at.pos))
		rc = log_sweep(e, m->base_at.dbv, m->base_at.pos);
	/* a place swept twice is silent */
	for (i = 0; i < m->ncol && rc == SQLITE_OK; i++)
		if (m->col[i].dbv != 0 && (i == 0 ||
		    m->col[i].dbv != m->col[i - 1].dbv ||
		    m->col[i].pos != m->col[i - 1].pos))
			rc = log_sweep(e, m->col[i].dbv, m->col[i].pos);
	return rc;
}

/* -- columns that are dropped ------------------------------------------------------- */

/* The columns that stand where the row was inserted. */
static int
count_at_base(const struct table *t, const struct meta *m, int64_t key)
{
	int i, n = 0;

	for (i = 0; i < m->ncol && m->base != BASE_NONE; i++)
		n += m->col[i].dbv == 0 && key > t->col[i].born;
	return n;
}

static int
count_explicit(const struct meta *m)
{
	int i, n = m->has_sentinel;

	for (i = 0; i < m->ncol; i++)
		n += m->col[i].dbv != 0;
	return n;
}

/* The table's runs by key, read as far as they were asked for. */
struct runs {
	sqlite3_stmt *stmt;
	int64_t first, last;
	bool any;
};

/* Whether there is a run over that key, which is greater than the one before: gc
 * dropped those of which nothing was told any more. */
static int
find_run(struct engine *e, const struct table *t, struct runs *r, int64_t key,
    bool *found)
{
	int rc = SQLITE_ROW;

	if (r->stmt == NULL) {
		rc = engine_prepare(e, &r->stmt, "SELECT key, n FROM crsql_log WHERE "
		    "tbl = %d AND n > 0 AND mask IS NULL ORDER BY key", t->id);
		r->any = rc == SQLITE_OK;
		rc = rc == SQLITE_OK ? SQLITE_ROW : rc;
		r->first = r->last = INT64_MIN;
	}
	while (rc == SQLITE_ROW && r->any && r->last < key) {
		rc = sqlite3_step(r->stmt);
		r->any = rc == SQLITE_ROW;
		r->first = r->any ? sqlite3_column_int64(r->stmt, 0) : 0;
		r->last = r->any ? r->first +
		    (sqlite3_column_int64(r->stmt, 1) - 1) : 0;
	}
	*found = r->any && r->first <= key;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The row of m, of whose columns some stood at the places of g. */
static int
forget_gone(struct engine *e, struct table *t, int64_t key, struct meta *m,
    struct gone *g, struct runs *runs)
{
	bool found = true;
	int i, rc = g->rc;

	if (rc == SQLITE_OK && g->n > 0 && meta_needs_run(t, m, key))
		rc = find_run(e, t, runs, key, &found);
	if (!found)
		m->base = BASE_NONE;
	if (m->base == BASE_AT && count_at_base(t, m, key) == 0) {
		add_gone(g, &m->base_at);
		m->base = BASE_NONE;
	}
	rc = rc == SQLITE_OK ? g->rc : rc;
	if (rc != SQLITE_OK || g->n == 0)
		return rc;
	/* of a row of a run the walk knows that it has nothing else; the base comes
	 * last, and may be one that was left before */
	if (m->base == BASE_NONE && count_explicit(m) == 0) {
		m->has_sentinel = true;
		m->sentinel = g->at[0];
		m->sentinel.version = m->cl;
	}
	for (i = 0; i < g->n && rc == SQLITE_OK; i++)
		rc = sweep_if_left(e, m, &g->at[i]);
	if (rc == SQLITE_OK && m->base == BASE_RUN && m->cl == 1 &&
	    count_explicit(m) == 0)
		return meta_del(e, t, key);     /* fresh again */
	return rc == SQLITE_OK ? meta_put(e, t, key, m) : rc;
}

int
meta_forget_gone(struct engine *e, struct table *t)
{
	struct gone g = { NULL, 0, 0, SQLITE_OK };
	struct runs runs = { NULL };
	sqlite3_stmt *stmt = NULL;
	struct meta m;
	int64_t key;
	int rc = meta_init(&m, t);

	if (rc == SQLITE_OK)
		rc = table_stmt(e, t, TS_META_RANGE, &stmt);
	if (rc == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, INT64_MIN);
		sqlite3_bind_int64(stmt, 2, INT64_MAX);
	}
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		g.n = 0;
		/* one that is damaged is told by who needs it */
		if (decode(t, sqlite3_column_blob(stmt, 1),
		    sqlite3_column_bytes(stmt, 1), &m, &g) == SQLITE_OK)
			rc = forget_gone(e, t, key, &m, &g, &runs);
	}
	if (stmt != NULL)
		rc = engine_reset(stmt, rc);
	rc = engine_finalize(runs.stmt, rc);
	sqlite3_free(g.at);
	meta_free(&m);
	return rc;
}

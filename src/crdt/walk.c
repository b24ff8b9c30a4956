// SPDX-License-Identifier: MPL-2.0
/*
 * walk.c - reads the log in order; see walk.h.  A log row names a range of
 * keys (one key, or a run), which source.c reads; what stands at the log row's place is given.
 */
#include "crdt/walk.h"

#include <string.h>

#include "base/buf.h"
#include "crdt/log.h"
#include "crdt/source.h"
#include "crdt/val.h"

enum { SEQ_UNIT = 4096 };       /* seq_stride = seq * SEQ_UNIT + stride */

enum { LOG_DBV, LOG_POS, LOG_TBL, LOG_KEY, LOG_N, LOG_SEQ_STRIDE, LOG_SITE,
	LOG_SVER, LOG_MASK };

struct walk {
	struct engine *e;
	sqlite3_stmt *log;
	struct source *sources;
	uint32_t generation;    /* of the tables */
	bool want_headers;
	bool (*skip)(void *arg, int table, int64_t dbv, int64_t pos,
	    int64_t site, int64_t sver);
	void *arg;
	bool resume;            /* a log row goes on behind a key, if it is still */
	int64_t resume_dbv, resume_pos, resume_key;     /* there: the first */
	bool narrow;            /* of one table only, ... */
	int64_t lo, hi;         /* ... and these keys */
	/* the log row at hand */
	int64_t dbv, pos, site, sver;
	struct source *range;   /* NULL: none */
	bool run;               /* of fresh rows */
	bool by_key;            /* a run or an update run */
	bool gave;              /* a row came of it */
	int64_t first_key, seq, stride;
	struct walk_cell dead_cell;
	struct buf pk, stored_pk;
	int64_t own_dbv, own_site;      /* site_of_local's last answer */
};

static int
source_of(struct walk *w, struct table *t, struct source **out)
{
	struct source *s;
	int rc;

	for (s = w->sources; s != NULL; s = s->next) {
		if (s->table == t) {
			*out = s;
			return SQLITE_OK;
		}
	}
	rc = source_new(w->e, t, &s);
	*out = s;
	if (rc != SQLITE_OK)
		return rc;
	s->next = w->sources;
	w->sources = s;
	return SQLITE_OK;
}

/* -- facts ------------------------------------------------------------------------ */

/* Adds a cell in seq order. */
static void
add_cell(struct source *s, int *n, int col, int64_t version, int64_t seq)
{
	int i = (*n)++;

	for (; i > 0 && s->cell[i - 1].seq > seq; i--)
		s->cell[i] = s->cell[i - 1];
	s->cell[i] = (struct walk_cell){ .col = col, .version = version,
	    .seq = seq };
}

/* Facts of a run's row: what was not changed since.  One that has none of the
 * columns it was born with, or had none, is told by its sentinel. */
static int
run_facts(const struct walk *w, struct source *s, int64_t key, bool *fresh)
{
	const struct table *t = s->table;
	const struct meta *m = &s->meta;
	int64_t seq = w->seq + (key - w->first_key) * w->stride;
	int i, n = 0;

	*fresh = false;
	if (m->base != BASE_RUN)
		return 0;
	for (i = 0; i < t->ncol; i++) {
		if (m->col[i].dbv == 0 && key > t->col[i].born)
			add_cell(s, &n, i, 1, seq + i);
	}
	*fresh = !m->stored && n == t->ncol;
	if (n == 0 && !m->has_sentinel && !table_born_with_any(t, key))
		add_cell(s, &n, -1, 1, seq);
	return n;
}

/* Facts that the clock row places at the log row. */
static int
clock_facts(const struct walk *w, struct source *s, int64_t key, bool *fresh)
{
	const struct table *t = s->table;
	const struct meta *m = &s->meta;
	bool at = m->base == BASE_AT && m->base_at.dbv == w->dbv &&
	    m->base_at.pos == w->pos;
	int i, n = 0, explicit = 0;

	if (m->has_sentinel && m->sentinel.dbv == w->dbv &&
	    m->sentinel.pos == w->pos)
		add_cell(s, &n, -1, m->cl, m->sentinel.seq);
	for (i = 0; i < t->ncol; i++) {
		const struct stamp *c = &m->col[i];

		explicit += c->dbv != 0;
		if (c->dbv == w->dbv && c->pos == w->pos)
			add_cell(s, &n, i, c->version, c->seq);
		else if (c->dbv == 0 && at && key > t->col[i].born)
			add_cell(s, &n, i, 1, m->base_at.seq + i);
	}
	*fresh = at && explicit == 0 && !m->has_sentinel && m->cl == 1 &&
	    n == t->ncol && n > 0;
	return n;
}

/* Packs the key of the data row: canonical, and as it is stored. */
static int
pack_pk(struct walk *w, const struct source *s, struct walk_row *row)
{
	bool other = false;
	struct val v;
	int i;

	w->pk.len = w->stored_pk.len = 0;
	buf_add_u8(&w->pk, (uint8_t)s->table->npk);
	for (i = 0; i < s->table->npk; i++) {
		v = val_of_column(s->rows, s->first + i);
		other = other || v.type == SQLITE_FLOAT;
		val_canonical(&v);
		val_encode(&w->pk, &v);
	}
	row->pk = row->stored_pk = w->pk.data;
	row->npk = row->nstored_pk = (int)w->pk.len;
	if (other) {
		buf_add_u8(&w->stored_pk, (uint8_t)s->table->npk);
		for (i = 0; i < s->table->npk; i++) {
			v = val_of_column(s->rows, s->first + i);
			val_encode(&w->stored_pk, &v);
		}
		row->stored_pk = w->stored_pk.data;
		row->nstored_pk = (int)w->stored_pk.len;
	}
	return w->pk.failed || w->stored_pk.failed ? SQLITE_NOMEM : SQLITE_OK;
}

static void
fill_row(const struct walk *w, struct walk_row *row, enum walk_kind kind,
    struct table *t)
{
	memset(row, 0, sizeof *row);
	row->kind = kind;
	row->table = t;
	row->dbv = w->dbv;
	row->pos = w->pos;
	row->site = w->site;
	row->sver = w->sver;
}

/* The next row of the range that has facts here; DONE at its end. */
static int
next_of_range(struct walk *w, struct walk_row *row)
{
	struct source *s = w->range;
	bool fresh;
	int64_t key;
	int n, rc;

	while ((rc = source_next(s, &key)) == SQLITE_ROW) {
		rc = source_clock(w->e, s, key);
		if (rc != SQLITE_OK)
			return rc;
		n = w->run ? run_facts(w, s, key, &fresh) :
		    clock_facts(w, s, key, &fresh);
		if (n == 0)
			continue;
		fill_row(w, row, fresh ? WALK_FRESH : WALK_CELLS, s->table);
		row->in_run = w->by_key;
		row->key = key;
		row->cl = s->meta.cl;
		row->ncell = n;
		row->cell = s->cell;
		row->values = s->rows;
		row->first_value = s->first + s->table->npk;
		rc = pack_pk(w, s, row);
		return rc == SQLITE_OK ? SQLITE_ROW : rc;
	}
	w->range = NULL;
	return rc;
}

/* -- log rows -------------------------------------------------------------------------- */

static int
read_origin(struct walk *w)
{
	int rc = SQLITE_OK;

	w->dbv = sqlite3_column_int64(w->log, LOG_DBV);
	w->pos = sqlite3_column_int64(w->log, LOG_POS);
	if (sqlite3_column_type(w->log, LOG_SITE) != SQLITE_NULL) {
		w->site = sqlite3_column_int64(w->log, LOG_SITE);
		w->sver = sqlite3_column_int64(w->log, LOG_SVER);
		return SQLITE_OK;
	}
	if (w->own_dbv != w->dbv) {
		rc = site_of_local(w->e, w->dbv, &w->own_site);
		w->own_dbv = w->dbv;
	}
	w->site = w->own_site;
	w->sver = w->dbv;
	return rc;
}

/* Opens the range of a log row for rows: one key or n of them. */
static int
open_range(struct walk *w, struct table *t)
{
	int64_t key = sqlite3_column_int64(w->log, LOG_KEY), lo = key, n = 1, hi;
	int64_t packed = sqlite3_column_int64(w->log, LOG_SEQ_STRIDE);
	int rc;

	rc = source_of(w, t, &w->range);
	if (rc != SQLITE_OK)
		return rc;
	w->by_key = sqlite3_column_int64(w->log, LOG_N) > 0;
	w->run = w->by_key &&
	    sqlite3_column_type(w->log, LOG_MASK) == SQLITE_NULL;
	if (w->by_key)
		n = sqlite3_column_int64(w->log, LOG_N);
	w->first_key = key;
	if (sqlite3_column_type(w->log, LOG_SEQ_STRIDE) == SQLITE_NULL) {
		w->seq = 0;
		w->stride = table_stride(t, key);
	} else {
		w->seq = packed / SEQ_UNIT;
		w->stride = packed % SEQ_UNIT;
	}
	hi = key + (n - 1);
	if (w->resume && w->resume_key >= hi)
		return source_range(w->range, 1, 0);    /* nothing is left */
	if (w->resume && w->resume_key >= lo)
		lo = w->resume_key + 1;
	lo = w->lo > lo ? w->lo : lo;
	hi = w->hi < hi ? w->hi : hi;
	return source_range(w->range, lo, hi);
}

static int
give_dead(struct walk *w, struct table *t, struct walk_row *row, bool *given)
{
	struct dead tomb;
	bool found;
	int rc;

	fill_row(w, row, WALK_DEAD, t);
	row->pk = row->stored_pk = sqlite3_column_blob(w->log, LOG_KEY);
	row->npk = row->nstored_pk = sqlite3_column_bytes(w->log, LOG_KEY);
	rc = dead_get(w->e, t, row->pk, row->npk, &found, &tomb);
	*given = rc == SQLITE_OK && found && tomb.dbv == w->dbv &&
	    tomb.pos == w->pos;
	if (!*given)
		return rc;
	w->dead_cell = (struct walk_cell){ .col = -1, .version = tomb.cl,
	    .seq = tomb.seq };
	row->cl = tomb.cl;
	row->ncell = 1;
	row->cell = &w->dead_cell;
	return rc;
}

static void
give_parked(struct walk *w, struct table *t, struct walk_row *row)
{
	fill_row(w, row, WALK_PARKED, t);
	row->pk = row->stored_pk = sqlite3_column_blob(w->log, LOG_KEY);
	row->npk = row->nstored_pk = sqlite3_column_bytes(w->log, LOG_KEY);
	row->bytes = sqlite3_column_blob(w->log, LOG_MASK);
	row->nbytes = sqlite3_column_bytes(w->log, LOG_MASK);
}

/* Looks at the log row just read: opens its range, or gives its row. */
static int
take_log_row(struct walk *w, struct walk_row *row, bool *given)
{
	int64_t n = sqlite3_column_type(w->log, LOG_N) == SQLITE_NULL ?
	    LOG_ROW : sqlite3_column_int64(w->log, LOG_N);
	struct table *t;
	int id = sqlite3_column_int(w->log, LOG_TBL), rc;

	*given = false;
	rc = read_origin(w);
	w->resume = w->resume && w->dbv == w->resume_dbv &&
	    w->pos == w->resume_pos;
	if (rc != SQLITE_OK || n == LOG_HEADER)
		return rc;
	t = table_by_id(w->e, id);
	if (t == NULL || (w->skip != NULL &&
	    w->skip(w->arg, id, w->dbv, w->pos, w->site, w->sver)))
		return SQLITE_OK;
	if (n == LOG_DEAD)
		return give_dead(w, t, row, given);
	if (n == LOG_PARKED) {
		give_parked(w, t, row);
		*given = true;
		return SQLITE_OK;
	}
	return open_range(w, t);
}

/* A header whose facts are gone, where those were asked for. */
static bool
give_header(struct walk *w, struct walk_row *row)
{
	if (!w->want_headers || w->pos != 0 || w->gave)
		return false;
	fill_row(w, row, WALK_HEADER, NULL);
	w->gave = true;
	return true;
}

int
walk_next(struct walk *w, struct walk_row *row)
{
	bool given, at_row = w->range != NULL;
	int rc;

	if (w->e->tables.generation != w->generation)
		return engine_fail(w->e, SQLITE_ABORT,
		    "the schema changed while the log was read");
	for (;;) {
		if (w->range != NULL) {
			rc = next_of_range(w, row);
			w->gave = w->gave || rc == SQLITE_ROW;
			if (rc != SQLITE_DONE)
				return rc;
		}
		if (at_row && give_header(w, row))
			return SQLITE_ROW;
		rc = sqlite3_step(w->log);
		if (rc != SQLITE_ROW)
			return rc;
		at_row = true;
		rc = take_log_row(w, row, &given);
		w->resume = false;
		w->gave = given;
		if (rc != SQLITE_OK || given)
			return rc == SQLITE_OK ? SQLITE_ROW : rc;
	}
}

#define LOG_COLUMNS "SELECT dbv, pos, tbl, key, n, seq_stride, site, sver, mask " \
	"FROM crsql_log WHERE (dbv, pos) > (?1, ?2) AND dbv <= ?3 "

/* The log has no index by key: what is not wanted is left out by SQLite, before
 * any data is read for it. */
static int
prepare_log(struct engine *e, const struct walk_from *from, sqlite3_stmt **out)
{
	if (from->table == 0)
		return engine_borrow(e, SLOT_WALK, LOG_COLUMNS "ORDER BY dbv, pos",
		    out);
	return engine_prepare(e, out, LOG_COLUMNS "AND tbl = ?4 AND (n = -2 OR "
	    "(key <= ?6 AND ?5 - key < coalesce(n, 1))) ORDER BY dbv, pos");
}

int
walk_open(struct engine *e, const struct walk_from *from, bool want_headers,
    struct walk **out)
{
	struct walk *w = sqlite3_malloc64(sizeof *w);
	int rc;

	*out = w;
	if (w == NULL)
		return SQLITE_NOMEM;
	memset(w, 0, sizeof *w);
	w->e = e;
	e->walks++;
	w->want_headers = want_headers;
	w->generation = e->tables.generation;
	w->skip = from->skip;
	w->arg = from->arg;
	w->resume = from->in_run;
	w->resume_dbv = from->dbv;
	w->resume_pos = from->pos;
	w->resume_key = from->key;
	w->narrow = from->table != 0;
	w->lo = from->table != 0 ? from->lo : INT64_MIN;
	w->hi = from->table != 0 ? from->hi : INT64_MAX;
	buf_init(&w->pk, INT32_MAX);
	buf_init(&w->stored_pk, INT32_MAX);
	rc = prepare_log(e, from, &w->log);
	if (rc != SQLITE_OK) {
		walk_close(w);
		*out = NULL;
		return rc;
	}
	sqlite3_bind_int64(w->log, 1, from->dbv);
	sqlite3_bind_int64(w->log, 2, from->pos - from->in_run);
	sqlite3_bind_int64(w->log, 3, from->last_dbv);
	if (from->table != 0) {
		sqlite3_bind_int(w->log, 4, from->table);
		sqlite3_bind_int64(w->log, 5, from->lo);
		sqlite3_bind_int64(w->log, 6, from->hi);
	}
	return SQLITE_OK;
}

void
walk_close(struct walk *w)
{
	struct source *s;

	if (w == NULL)
		return;
	while ((s = w->sources) != NULL) {
		w->sources = s->next;
		source_free(s);
	}
	if (w->narrow)
		sqlite3_finalize(w->log);
	else
		engine_give_back(w->e, SLOT_WALK, w->log);
	w->e->walks--;
	buf_clear(&w->pk);
	buf_clear(&w->stored_pk);
	sqlite3_free(w);
}

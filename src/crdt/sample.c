// SPDX-License-Identifier: MPL-2.0
/* sample.c - see sample.h. */
#include "crdt/sample.h"

#include <string.h>

#include "base/rd.h"
#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/meta.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

enum {
	PK_MAX = 1024,          /* rows with a longer key are no samples */
	VALUE_MAX = 1024,       /* of a longer value only the beginning counts */
	BYTES_MAX = 1 << 20
};

/* -- taking them ------------------------------------------------------------- */

/* 16 bits of a value. */
static unsigned
bits_of(const struct val *v, struct buf *scratch)
{
	struct val part = *v;
	uint64_t h;

	if (part.len > VALUE_MAX)
		part.len = VALUE_MAX;
	scratch->len = 0;
	val_encode(scratch, &part);
	h = pack_hash(scratch->data, (int)scratch->len) ^ (uint64_t)v->len;
	return (unsigned)((h ^ h >> 16 ^ h >> 32 ^ h >> 48) & 0xFFFF);
}

/* The first row at or above each place, ?1. */
static int
prepare(struct engine *e, const struct table *t, sqlite3_stmt **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int i;

	sqlite3_str_appendf(s, "SELECT %s", t->rowid);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->pk[i].name);
	for (i = 0; i < t->ncol; i++)
		if (sample_bit(t->col[i].cid) != 0)
			sqlite3_str_appendf(s, ", \"%w\"", t->col[i].name);
	sqlite3_str_appendf(s, " FROM main.\"%w\" WHERE %s >= ?1 ORDER BY %s "
	    "LIMIT 1", t->name, t->rowid, t->rowid);
	return engine_prepare_built(e, s, out);
}

/* Appends the row that stmt is at; *taken false if its key is too long. */
static int
add_row(const struct table *t, sqlite3_stmt *stmt, struct buf *out,
    struct buf *scratch, bool *taken)
{
	struct val v[PACK_MAX_COLUMNS], value;
	int i, n = 0, at = 1 + t->npk, rc;

	for (i = 0; i < t->npk; i++)
		v[i] = val_of_column(stmt, 1 + i);
	scratch->len = 0;
	rc = pack_key(v, t->npk, scratch);
	*taken = rc == SQLITE_OK && scratch->len <= PK_MAX;
	if (!*taken)
		return rc;
	buf_add_zigzag(out, sqlite3_column_int64(stmt, 0));
	buf_add_varint(out, scratch->len);
	buf_add(out, scratch->data, scratch->len);
	for (i = 0; i < t->ncol; i++)
		n += sample_bit(t->col[i].cid) != 0;
	buf_add_varint(out, (uint64_t)n);
	for (i = 0; i < t->ncol; i++) {
		if (sample_bit(t->col[i].cid) == 0)
			continue;
		value = val_of_column(stmt, at++);
		buf_add_varint(out, (uint64_t)t->col[i].cid);
		buf_add_u16(out, (uint16_t)bits_of(&value, scratch));
	}
	return out->failed || scratch->failed ? SQLITE_NOMEM : SQLITE_OK;
}

/* The rows at even distances between the lowest key and the highest. */
static int
add_rows(const struct table *t, sqlite3_stmt *stmt, struct buf *out, int64_t *low,
    int64_t top)
{
	uint64_t step = 0;
	struct buf scratch;
	int64_t key, next = INT64_MIN;
	bool taken;
	int i, rc = SQLITE_OK;

	buf_init(&scratch, INT32_MAX);
	*low = top;
	for (i = 0; i < SAMPLE_ROWS && rc == SQLITE_OK; i++) {
		sqlite3_bind_int64(stmt, 1, next);
		if (sqlite3_step(stmt) != SQLITE_ROW) {
			rc = sqlite3_reset(stmt);
			break;
		}
		key = sqlite3_column_int64(stmt, 0);
		if (i == 0) {
			*low = key;
			step = ((uint64_t)top - (uint64_t)key) / (SAMPLE_ROWS - 1);
		}
		rc = add_row(t, stmt, out, &scratch, &taken);
		rc = engine_reset(stmt, rc);
		if (key >= top)
			break;
		next = i == SAMPLE_ROWS - 2 ? top : (int64_t)((uint64_t)*low +
		    step * (uint64_t)(i + 1));
		if (next <= key)
			next = key + 1;
	}
	buf_clear(&scratch);
	return rc;
}

static int64_t
due_after(int64_t low, int64_t top)
{
	uint64_t more = ((uint64_t)top - (uint64_t)low) / 2;

	if (more < SAMPLE_ROWS / 2)
		more = 0;               /* all rows of a small table are samples */
	return more > (uint64_t)INT64_MAX - (uint64_t)top && top >= 0 ? INT64_MAX
	    : (int64_t)((uint64_t)top + more);
}

static int
write_down(struct engine *e, struct table *t, const struct buf *b)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "INSERT OR REPLACE INTO crsql_master "
	    "VALUES('check.%d', ?1)", t->id);

	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, b->data, (int)b->len, SQLITE_STATIC);
		rc = engine_run(e, stmt);
	}
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK)
		sample_note(t, b->data, (int)b->len);
	return rc;
}

/* The newest db_version of what the samples show: what is still to be written in an
 * alter has the version of now. */
static int64_t
newest(struct engine *e, const struct table *t, bool whole)
{
	if (whole && e->tx.current > e->tx.head && !alter_is_open(e, t->id))
		return e->tx.current;
	return e->tx.head > 0 ? e->tx.head : 0;
}

int
sample_take(struct engine *e, struct table *t, bool whole)
{
	sqlite3_stmt *stmt = NULL;
	struct buf rows, b;
	int64_t low = 0, top;
	int rc;

	/* numbers of primary keys are no rowids that could be others */
	if (t->aside)
		return SQLITE_OK;
	rc = table_max_key(e, t, INT64_MAX, &top);
	buf_init(&rows, BYTES_MAX);
	buf_init(&b, BYTES_MAX);
	if (rc == SQLITE_OK)
		rc = prepare(e, t, &stmt);
	if (rc == SQLITE_OK)
		rc = add_rows(t, stmt, &rows, &low, top);
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK && rows.failed)
		rows.len = 0;           /* too wide: none */
	if (t->hw > top)
		top = t->hw;
	buf_add_zigzag(&b, due_after(low, top));
	buf_add_varint(&b, (uint64_t)newest(e, t, whole));
	buf_add(&b, rows.data, rows.len);
	if (rc == SQLITE_OK && b.failed)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = write_down(e, t, &b);
	buf_clear(&rows);
	buf_clear(&b);
	return rc;
}

/* Nobody is to notice. */
static int
take_aside(struct engine *e, struct table *t)
{
	sqlite3_int64 rowid = sqlite3_last_insert_rowid(e->db);
	int rc;

	e->merging++;
	rc = sample_take(e, t, e->tx.ending);
	e->merging--;
	sqlite3_set_last_insert_rowid(e->db, rowid);
	return rc;
}

int
sample_follow(struct engine *e)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->aside && t->hw >= 0 && t->hw > t->sample_due)
			rc = take_aside(e, t);
	}
	return rc;
}

/* -- reading them ------------------------------------------------------------ */

static bool
read_row(struct rd *r, struct sample *s)
{
	int i;

	if (rd_left(r) == 0)
		return false;
	memset(s, 0, sizeof *s);
	s->key = rd_zigzag(r);
	s->npk = (int)rd_varint(r, PK_MAX);
	s->pk = rd_bytes(r, (size_t)s->npk);
	s->nvalues = (int)rd_varint(r, MASK_BITS);
	s->values = r->p;
	for (i = 0; i < s->nvalues; i++) {
		rd_varint(r, MASK_BITS);
		rd_u16(r);
	}
	s->nbytes = (size_t)(r->p - s->values);
	return !rd_failed(r);
}

void
sample_note(struct table *t, const void *bytes, int len)
{
	struct sample s;
	struct rd r;

	rd_init(&r, bytes != NULL ? bytes : "", bytes != NULL ? (size_t)len : 0);
	t->sample_due = rd_zigzag(&r);
	rd_varint(&r, INT64_MAX);
	t->nsampled = 0;
	while (t->nsampled < SAMPLE_ROWS && read_row(&r, &s))
		t->sampled[t->nsampled++] = s.key;
	if (rd_failed(&r))
		t->sample_due = INT64_MIN;
}

static int
load(struct engine *e, const struct table *t, struct samples *out)
{
	sqlite3_stmt *stmt;
	struct rd r = { NULL, NULL, true };
	int n = 0, rc = engine_prepare(e, &stmt, "SELECT value FROM crsql_master "
	    "WHERE key = 'check.%d'", t->id);

	memset(out, 0, sizeof *out);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		n = sqlite3_column_bytes(stmt, 0);
		out->bytes = sqlite3_malloc64((uint64_t)n + 1);
		if (out->bytes == NULL)
			rc = SQLITE_NOMEM;
		else if (n > 0)
			memcpy(out->bytes, sqlite3_column_blob(stmt, 0), (size_t)n);
		if (rc == SQLITE_OK)
			rd_init(&r, out->bytes, (size_t)n);
	}
	rc = engine_finalize(stmt, rc);
	if (rc != SQLITE_OK || out->bytes == NULL)
		return rc;
	rd_zigzag(&r);
	out->dbv = (int64_t)rd_varint(&r, INT64_MAX);
	while (out->n < SAMPLE_ROWS && read_row(&r, &out->row[out->n]))
		out->n++;
	return SQLITE_OK;
}

/* Where the row is.  One that was deleted and inserted again may be anywhere. */
static int
look_at(struct engine *e, struct table *t, const struct compare *pending,
    struct meta *m, struct sample *s)
{
	bool found, dead = false;
	struct dead d;
	int rc = table_find_key(e, t, s->pk, s->npk, &found, &s->now);

	s->state = SAMPLE_GONE;
	if (rc == SQLITE_MISMATCH)
		return SQLITE_OK;       /* another key by now */
	if (rc != SQLITE_OK || !found || (pending != NULL &&
	    (compare_touched(pending, t, s->key) ||
	    compare_touched(pending, t, s->now))))
		return rc;
	s->wrote = pending != NULL && compare_wrote(pending, t, s->now);
	s->state = s->now == s->key ? SAMPLE_SAME : SAMPLE_MOVED;
	if (s->state == SAMPLE_MOVED)
		rc = meta_get(e, t, s->now, m);
	if (s->state == SAMPLE_MOVED && m->cl > 1)
		s->state = SAMPLE_GONE;
	/* or again, and nobody noted that */
	if (rc == SQLITE_OK && s->state == SAMPLE_MOVED)
		rc = dead_get(e, t, s->pk, s->npk, &dead, &d);
	if (dead)
		s->state = SAMPLE_GONE;
	return rc;
}

int
sample_look(struct engine *e, struct table *t, const struct compare *pending,
    struct samples *out)
{
	struct meta m = { 0 };
	int i, rc = load(e, t, out);

	if (rc == SQLITE_OK)
		rc = meta_init(&m, t);
	for (i = 0; i < out->n && rc == SQLITE_OK; i++) {
		rc = look_at(e, t, pending, &m, &out->row[i]);
		out->same += out->row[i].state == SAMPLE_SAME;
		out->moved += out->row[i].state == SAMPLE_MOVED;
	}
	meta_free(&m);
	if (rc != SQLITE_OK)
		sample_free(out);
	return rc;
}

void
sample_free(struct samples *s)
{
	sqlite3_free(s->bytes);
	memset(s, 0, sizeof *s);
}

/* -- values ------------------------------------------------------------------ */

/* True if the value of column i was written since the samples were taken. */
static bool
written_since(const struct meta *m, int i, int64_t dbv)
{
	return m->col[i].dbv > dbv || (m->col[i].dbv == 0 &&
	    m->base == BASE_AT && m->base_at.dbv > dbv);
}

static int
compare_values(const struct table *t, const struct samples *all,
    const struct sample *s, const struct meta *m, sqlite3_stmt *row,
    uint64_t *columns)
{
	struct val value;
	struct buf scratch;
	struct rd r;
	unsigned bits;
	int i, k, rc;

	buf_init(&scratch, INT32_MAX);
	rd_init(&r, s->values, s->nbytes);
	for (k = 0; k < s->nvalues; k++) {
		i = table_column_by_cid(t, (int)rd_varint(&r, MASK_BITS));
		bits = rd_u16(&r);
		if (i < 0 || written_since(m, i, all->dbv))
			continue;
		value = val_of_column(row, t->npk + i);
		if (bits_of(&value, &scratch) != bits)
			*columns |= sample_bit(t->col[i].cid);
	}
	rc = scratch.failed ? SQLITE_NOMEM : SQLITE_OK;
	buf_clear(&scratch);
	return rc;
}

int
sample_changed(struct engine *e, struct table *t, const struct samples *s,
    uint64_t *columns)
{
	sqlite3_stmt *row;
	struct meta m = { 0 };
	int i, rc = meta_init(&m, t);

	*columns = 0;
	for (i = 0; i < s->n && rc == SQLITE_OK; i++) {
		if (s->row[i].state == SAMPLE_GONE || s->row[i].wrote)
			continue;
		rc = meta_get(e, t, s->row[i].key, &m);
		if (rc == SQLITE_OK)
			rc = table_stmt(e, t, TS_ROW, &row);
		if (rc != SQLITE_OK)
			break;
		sqlite3_bind_int64(row, 1, s->row[i].now);
		if (sqlite3_step(row) == SQLITE_ROW)
			rc = compare_values(t, s, &s->row[i], &m, row, columns);
		rc = engine_reset(row, rc);
	}
	meta_free(&m);
	return rc;
}

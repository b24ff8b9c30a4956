// SPDX-License-Identifier: MPL-2.0
/*
 * digest_msg.c - what the two sides of a verification say, as bytes
 * (doc/PROTOCOL.md, section 3.5).  A count is bounded by what is left to read
 * before anything is allocated for it; a hostile peer gets no more memory
 * than a few times the bytes it sent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf8.h"
#include "store/digest.h"
#include "store/vector.h"

enum {
	NAME_LEAST = 2,                         /* bytes each takes at least */
	SHAPE_LEAST = NAME_LEAST + 2,
	GROUP_LEAST = 1 + STORE_CURSOR_LEN + 1,
	ENTRY_LEAST = STORE_SITE_LEN + 1 + STORE_TOKEN_LEN,
	WANT_LEAST = 3,
	ROW_LEAST = 1 + 2 * 8 + 1,
};

/* -- writing ---------------------------------------------------------------- */

static void
put_text(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	if (len > DIGEST_NAME_MAX)
		b->failed = true;
	buf_add_varint(b, len);
	buf_add(b, text, len);
}

static void
put_shape(struct buf *b, const struct digest_shape *s)
{
	size_t i;

	put_text(b, s->name);
	buf_add_varint(b, s->nkey);
	buf_add_varint(b, s->columns.n);
	for (i = 0; i < s->columns.n; i++)
		put_text(b, s->columns.name[i]);
}

static void
put_plan(struct buf *b, const struct digest_msg *m)
{
	const struct digest_shape *shape = m->shape;
	const struct store_entry *e;
	size_t i, k;

	buf_add_varint(b, m->plan.ngroups);
	for (i = 0; i < m->plan.ngroups; i++) {
		const struct store_group *g = &m->plan.group[i];

		buf_add_varint(b, g->ntables);
		for (k = 0; k < g->ntables; k++)
			put_shape(b, shape++);
		buf_add(b, g->cursor, STORE_CURSOR_LEN);
		buf_add_varint(b, g->vector.n);
		for (k = 0; k < g->vector.n; k++) {
			e = &g->vector.entry[k];
			buf_add(b, e->site, STORE_SITE_LEN);
			buf_add_varint(b, e->version);
			buf_add(b, e->token, STORE_TOKEN_LEN);
		}
	}
}

static void
put_flight(struct buf *b, const struct digest_msg *m)
{
	buf_add_varint(b, m->nflight);
	if (m->nflight > 0)
		buf_add(b, m->flight, m->nflight * sizeof *m->flight);
}

static void
put_sums(struct buf *b, const struct digest_msg *m)
{
	const struct digest_bucket *bucket;
	size_t i, k;

	buf_add_varint(b, m->nsums);
	for (i = 0; i < m->nsums; i++) {
		buf_add_u8(b, (uint8_t)m->sums[i].bits);
		for (k = 0; k < (size_t)1 << m->sums[i].bits; k++) {
			bucket = &m->sums[i].bucket[k];
			buf_add_varint(b, bucket->n);
			if (bucket->n == 0)
				continue;
			buf_add_u64(b, bucket->hi);
			buf_add_u64(b, bucket->lo);
		}
	}
}

static void
put_wants(struct buf *b, const struct digest_msg *m)
{
	size_t i;

	buf_add_varint(b, m->nwant);
	for (i = 0; i < m->nwant; i++) {
		buf_add_varint(b, m->want[i].table);
		buf_add_u8(b, (uint8_t)m->want[i].bits);
		buf_add_varint(b, m->want[i].bucket);
	}
}

static void
put_rows(struct buf *b, const struct digest_msg *m)
{
	const struct digest_row *r;
	size_t i;

	buf_add_varint(b, m->nrows);
	for (i = 0; i < m->nrows; i++) {
		r = &m->row[i];
		buf_add_varint(b, r->table);
		buf_add_u64(b, r->key);
		buf_add_u64(b, r->row);
		buf_add_varint(b, r->pk != NULL ? r->npk : 0);
		if (r->pk != NULL)
			buf_add(b, r->pk, r->npk);
	}
}

int
digest_encode(const struct digest_msg *m, struct buf *out, struct err *err)
{
	buf_init(out, DIGEST_MESSAGE_MAX);
	buf_add_u8(out, (uint8_t)m->said);
	if (m->said == DIGEST_ASK)
		buf_add(out, m->key, DIGEST_KEY_LEN);
	if (m->said == DIGEST_ASK || m->said == DIGEST_HAVE)
		put_plan(out, m);
	if (m->said == DIGEST_HAVE || m->said == DIGEST_FLIGHT)
		put_flight(out, m);
	if (m->said == DIGEST_SUMS)
		put_sums(out, m);
	if (m->said == DIGEST_WANT)
		put_wants(out, m);
	if (m->said == DIGEST_ROWS)
		put_rows(out, m);
	if (out->failed)
		return err_set(err, E_FATAL, NULL, "the tables are too many, or "
		    "memory too short, to compare them");
	return 0;
}

/* -- reading ------------------------------------------------------------------ */

struct reader {
	struct rd rd;
	struct digest_msg *m;
	size_t tables, names, entries;  /* so far */
	bool nomem;
};

/* n zeroed things, or NULL. */
static void *
get_room(struct reader *r, size_t n, size_t size)
{
	void *p = NULL;

	if (rd_failed(&r->rd) || n == 0)
		return NULL;
	p = calloc(n, size);
	if (p == NULL) {
		r->nomem = true;
		rd_fail(&r->rd);
	}
	return p;
}

static bool
is_name(const uint8_t *data, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n)
		if ((n = utf8_len(data + i, len - i)) == 0)
			return false;
	return len > 0;
}

static char *
get_text(struct reader *r)
{
	size_t len = rd_count(&r->rd, DIGEST_NAME_MAX, 1);
	const uint8_t *data = rd_bytes(&r->rd, len);
	char *text;

	if (data == NULL || !is_name(data, len)) {
		rd_fail(&r->rd);
		return NULL;
	}
	text = get_room(r, len + 1, 1);
	if (text != NULL)
		memcpy(text, data, len);
	return text;
}

static void
get_shape(struct reader *r, struct digest_shape *s)
{
	struct digest_names *c = &s->columns;
	size_t i, n;

	s->name = get_text(r);
	s->nkey = (size_t)rd_varint(&r->rd, DIGEST_KEYS_MAX);
	n = rd_count(&r->rd, DIGEST_COLUMNS_MAX, NAME_LEAST);
	r->names += n + 1;
	if (s->nkey == 0 || r->names > DIGEST_NAMES_MAX)
		rd_fail(&r->rd);
	c->name = get_room(r, n, sizeof *c->name);
	for (i = 0; i < n && !rd_failed(&r->rd); i++) {
		c->name[i] = get_text(r);
		c->n = i + 1;
	}
}

static void
get_vector(struct reader *r, struct store_vector *v)
{
	size_t i, n = rd_count(&r->rd, VECTOR_MAX - r->entries, ENTRY_LEAST);

	r->entries += n;
	v->entry = get_room(r, n, sizeof *v->entry);
	if (v->entry == NULL)
		return;
	v->n = v->cap = n;
	for (i = 0; i < n; i++) {
		rd_copy(&r->rd, STORE_SITE_LEN, v->entry[i].site);
		v->entry[i].version = rd_varint(&r->rd, UINT64_C(1) << 53);
		rd_copy(&r->rd, STORE_TOKEN_LEN, v->entry[i].token);
	}
}

/* The list of shapes grows by n. */
static bool
more_shapes(struct reader *r, size_t n)
{
	struct digest_msg *m = r->m;
	struct digest_shape *more;

	if (n == 0 || rd_failed(&r->rd))
		return false;
	more = realloc(m->shape, (m->nshapes + n) * sizeof *more);
	if (more == NULL) {
		r->nomem = true;
		rd_fail(&r->rd);
		return false;
	}
	m->shape = more;
	memset(more + m->nshapes, 0, n * sizeof *more);
	return true;
}

static void
get_group(struct reader *r, struct store_group *g)
{
	size_t i, n = rd_count(&r->rd, DIGEST_TABLES_MAX - r->tables, SHAPE_LEAST);
	struct digest_shape *s;

	r->tables += n;
	g->vector_known = true;
	g->table = get_room(r, n, sizeof *g->table);
	if (g->table != NULL && !more_shapes(r, n))
		rd_fail(&r->rd);
	for (i = 0; i < n && !rd_failed(&r->rd); i++) {
		s = &r->m->shape[r->m->nshapes++];
		get_shape(r, s);
		if (s->name == NULL)
			break;
		g->table[i] = strdup(s->name);
		if (g->table[i] == NULL) {
			r->nomem = true;
			rd_fail(&r->rd);
			break;
		}
		g->ntables = i + 1;
	}
	rd_copy(&r->rd, STORE_CURSOR_LEN, g->cursor);
	get_vector(r, &g->vector);
}

static void
get_plan(struct reader *r)
{
	struct store_plan *p = &r->m->plan;
	size_t n = rd_count(&r->rd, DIGEST_GROUPS_MAX, GROUP_LEAST);

	p->group = get_room(r, n, sizeof *p->group);
	while (p->ngroups < n && !rd_failed(&r->rd))
		get_group(r, &p->group[p->ngroups++]);
}

static void
get_flight(struct reader *r)
{
	struct digest_msg *m = r->m;
	size_t n = rd_count(&r->rd, DIGEST_FLIGHT_MAX, DIGEST_HASH_LEN);

	m->flight = get_room(r, n, sizeof *m->flight);
	if (m->flight == NULL)
		return;
	m->nflight = n;
	rd_copy(&r->rd, n * sizeof *m->flight, m->flight);
}

static void
get_buckets(struct reader *r, struct digest_sums *s)
{
	struct digest_bucket *b;
	size_t i, n = (size_t)1 << s->bits;

	s->bucket = get_room(r, n, sizeof *s->bucket);
	for (i = 0; i < n && !rd_failed(&r->rd); i++) {
		b = &s->bucket[i];
		b->n = rd_varint(&r->rd, INT64_MAX >> DIGEST_BITS_MAX);
		if (b->n == 0)
			continue;
		b->hi = rd_u64(&r->rd);
		b->lo = rd_u64(&r->rd);
	}
}

static void
get_sums(struct reader *r)
{
	struct digest_msg *m = r->m;
	size_t i, buckets = 0, n = rd_count(&r->rd, DIGEST_TABLES_MAX, 2);

	m->sums = get_room(r, n, sizeof *m->sums);
	for (i = 0; i < n && !rd_failed(&r->rd); i++) {
		m->sums[i].bits = rd_u8(&r->rd);
		if (m->sums[i].bits > DIGEST_BITS_MAX ||
		    rd_left(&r->rd) < (size_t)1 << m->sums[i].bits) {
			rd_fail(&r->rd);
			break;
		}
		buckets += (size_t)1 << m->sums[i].bits;
		if (buckets > DIGEST_BUCKETS_MAX)
			rd_fail(&r->rd);
		m->nsums = i + 1;
		get_buckets(r, &m->sums[i]);
	}
}

static void
get_wants(struct reader *r)
{
	struct digest_msg *m = r->m;
	size_t i, n = rd_count(&r->rd, DIGEST_BUCKETS_MAX, WANT_LEAST);

	m->want = get_room(r, n, sizeof *m->want);
	if (m->want == NULL)
		return;
	m->nwant = n;
	for (i = 0; i < n; i++) {
		m->want[i].table = rd_varint(&r->rd, DIGEST_TABLES_MAX);
		m->want[i].bits = rd_u8(&r->rd);
		m->want[i].bucket = rd_varint(&r->rd, DIGEST_BUCKETS_MAX);
		if (m->want[i].bits > DIGEST_BITS_MAX ||
		    m->want[i].bucket >> m->want[i].bits != 0)
			rd_fail(&r->rd);
	}
}

static void
get_rows(struct reader *r)
{
	struct digest_msg *m = r->m;
	size_t i, n = rd_count(&r->rd, DIGEST_ROWS_MAX, ROW_LEAST);
	struct digest_row *row;

	m->row = get_room(r, n, sizeof *m->row);
	if (m->row == NULL)
		return;
	m->nrows = n;
	for (i = 0; i < n; i++) {
		row = &m->row[i];
		row->table = rd_varint(&r->rd, DIGEST_TABLES_MAX);
		row->key = rd_u64(&r->rd);
		row->row = rd_u64(&r->rd);
		row->npk = (size_t)rd_varint(&r->rd, DIGEST_PK_MAX);
		row->pk = row->npk > 0 ? rd_bytes(&r->rd, row->npk) : NULL;
	}
}

int
digest_decode(const uint8_t *data, size_t len, struct digest_msg *m,
    struct err *err)
{
	struct reader r = { .m = m };

	memset(m, 0, sizeof *m);
	rd_init(&r.rd, data, len);
	m->said = (enum digest_said)rd_u8(&r.rd);
	if (m->said == DIGEST_ASK)
		rd_copy(&r.rd, DIGEST_KEY_LEN, m->key);
	if (m->said == DIGEST_ASK || m->said == DIGEST_HAVE)
		get_plan(&r);
	if (m->said == DIGEST_HAVE || m->said == DIGEST_FLIGHT)
		get_flight(&r);
	if (m->said == DIGEST_SUMS)
		get_sums(&r);
	if (m->said == DIGEST_WANT)
		get_wants(&r);
	if (m->said == DIGEST_ROWS)
		get_rows(&r);
	if (r.nomem)
		return err_nomem(err);
	if (m->said < DIGEST_ASK || m->said > DIGEST_ROWS || !rd_done(&r.rd))
		return err_set(err, E_INTEGRITY, NULL, "a malformed DIGEST");
	return 0;
}

/* -- clearing ------------------------------------------------------------------- */

void
digest_names_clear(struct digest_names *n)
{
	size_t i;

	for (i = 0; i < n->n; i++)
		free(n->name[i]);
	free(n->name);
	memset(n, 0, sizeof *n);
}

void
digest_shape_clear(struct digest_shape *s)
{
	free(s->name);
	digest_names_clear(&s->columns);
	memset(s, 0, sizeof *s);
}

void
digest_msg_clear(struct digest_msg *m)
{
	size_t i;

	store_plan_clear(&m->plan);
	for (i = 0; i < m->nshapes; i++)
		digest_shape_clear(&m->shape[i]);
	for (i = 0; i < m->nsums; i++)
		free(m->sums[i].bucket);
	free(m->shape);
	free(m->flight);
	free(m->sums);
	free(m->want);
	free(m->row);
	memset(m, 0, sizeof *m);
}

// SPDX-License-Identifier: MPL-2.0
#include "wire/msg.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/codec.h"
#include "wire/frame.h"

/* ---- codes ---- */

static const struct {
	uint16_t code;
	int error;
} codes[] = {           /* for an error told: the first line that has it */
	{ WIRE_OK, 0 },
	{ WIRE_E_DENIED, E_REFUSED },
	{ WIRE_E_VERSION, E_REFUSED },
	{ WIRE_E_UNKNOWN, E_REFUSED },
	{ WIRE_E_BUSY, E_UNREACHABLE },
	{ WIRE_E_HORIZON, E_HORIZON },
	{ WIRE_E_ENDED, E_EXISTS },
	{ WIRE_E_ENDED, E_INTERRUPTED },
	{ WIRE_E_HELD, E_HELD },
	{ WIRE_E_IDENTITY, E_INTEGRITY },
	{ WIRE_E_MALFORMED, E_INTEGRITY },
};

int
wire_code_error(uint16_t code)
{
	size_t i;

	for (i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].code == code && code != WIRE_E_ENDED)
			return codes[i].error;
	return E_UNREACHABLE;
}

uint16_t
wire_code_of(int error)
{
	size_t i;

	for (i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].error == error)
			return codes[i].code;
	return WIRE_E_INTERNAL;
}

/* ---- parts of messages ---- */

void
wire_put_count(struct buf *b, size_t n, size_t max)
{
	if (n > max)
		b->failed = true;
	buf_add_varint(b, n);
}

void
wire_put_text(struct buf *b, const struct wire_view *v, size_t max)
{
	wire_put_count(b, v->len, max);
	buf_add(b, v->data, v->len);
}

void
wire_put_entries(struct buf *b, const struct wire_entry *e, size_t n,
    size_t max)
{
	size_t i;

	wire_put_count(b, n, max);
	for (i = 0; i < n; i++) {
		buf_add(b, e[i].site, WIRE_SITE_LEN);
		buf_add_varint(b, e[i].version);
		buf_add(b, e[i].token, WIRE_TOKEN_LEN);
	}
}

/* Makes the list of what a message owns longer by one. */
static bool
own(struct wire_msg *m, void *p)
{
	size_t cap = m->owned_cap == 0 ? 8 : 2 * m->owned_cap;
	void **owned = m->owned;

	if (m->nowned == m->owned_cap) {
		owned = realloc(owned, cap * sizeof *owned);
		if (owned == NULL)
			return false;
		m->owned = owned;
		m->owned_cap = cap;
	}
	m->owned[m->nowned++] = p;
	return true;
}

void *
wire_get_room(struct decoder *d, size_t n, size_t size)
{
	void *p;

	if (n == 0 || rd_failed(&d->rd))
		return NULL;
	p = calloc(n, size);
	if (p == NULL || !own(d->m, p)) {
		free(p);
		d->nomem = true;
		rd_fail(&d->rd);
		return NULL;
	}
	return p;
}

struct wire_view
wire_get_bytes(struct decoder *d, size_t n)
{
	const uint8_t *p = rd_bytes(&d->rd, n);

	return (struct wire_view){ p, p != NULL ? n : 0 };
}

struct wire_entry *
wire_get_entries(struct decoder *d, size_t max, size_t *n)
{
	struct wire_entry *e;
	size_t i;

	*n = rd_count(&d->rd, max, WIRE_SITE_LEN + 1 + WIRE_TOKEN_LEN);
	e = wire_get_room(d, *n, sizeof *e);
	if (e == NULL)
		*n = 0;
	for (i = 0; i < *n; i++) {
		rd_copy(&d->rd, WIRE_SITE_LEN, e[i].site);
		e[i].version = rd_varint(&d->rd, WIRE_NUMBER_MAX);
		rd_copy(&d->rd, WIRE_TOKEN_LEN, e[i].token);
	}
	return e;
}

/* A sentence for people. */
static struct wire_view
get_sentence(struct decoder *d)
{
	struct wire_view v;
	size_t i, n;

	v = wire_get_bytes(d, rd_count(&d->rd, WIRE_TEXT_MAX, 1));
	for (i = 0; i < v.len; i += n)
		if ((n = utf8_len(v.data + i, v.len - i)) == 0) {
			rd_fail(&d->rd);
			break;
		}
	return v;
}

/* ---- the messages ---- */

static void
write_hello(struct buf *b, const struct wire_msg *m)
{
	const struct wire_hello *h = &m->hello;
	size_t i;

	buf_add_u8(b, h->min_version);
	buf_add_u8(b, h->max_version);
	buf_add_u32(b, h->frame_max);
	buf_add(b, h->head, sizeof h->head);
	buf_add(b, h->schema, sizeof h->schema);
	wire_put_count(b, h->nown, WIRE_SITES_MAX);
	for (i = 0; i < h->nown; i++) {
		buf_add(b, h->own[i].incarnation, WIRE_INCARNATION_LEN);
		buf_add_varint(b, h->own[i].version);
		buf_add(b, h->own[i].token, WIRE_TOKEN_LEN);
	}
	wire_put_entries(b, h->yours, h->nyours, WIRE_SITES_MAX);
}

/* What follows is of a later version, and no business of ours. */
static void
read_hello(struct decoder *d)
{
	struct wire_hello *h = &d->m->hello;
	struct rd *r = &d->rd;
	size_t i;

	h->min_version = rd_u8(r);
	h->max_version = rd_u8(r);
	h->frame_max = rd_u32(r);
	rd_copy(r, sizeof h->head, h->head);
	rd_copy(r, sizeof h->schema, h->schema);
	h->nown = rd_count(&d->rd, WIRE_SITES_MAX,
	    WIRE_INCARNATION_LEN + 1 + WIRE_TOKEN_LEN);
	h->own = wire_get_room(d, h->nown, sizeof *h->own);
	if (h->own == NULL)
		h->nown = 0;
	for (i = 0; i < h->nown; i++) {
		rd_copy(r, WIRE_INCARNATION_LEN, h->own[i].incarnation);
		h->own[i].version = rd_varint(r, WIRE_NUMBER_MAX);
		rd_copy(r, WIRE_TOKEN_LEN, h->own[i].token);
	}
	h->yours = wire_get_entries(d, WIRE_SITES_MAX, &h->nyours);
	if (h->min_version > h->max_version || h->frame_max < WIRE_FRAME_MIN)
		rd_fail(r);
	rd_bytes(r, rd_left(r));
}

static void
write_notify(struct buf *b, const struct wire_msg *m)
{
	wire_put_entries(b, m->notify.entry, m->notify.nentries,
	    WIRE_ENTRIES_MAX);
}

static void
read_notify(struct decoder *d)
{
	d->m->notify.entry = wire_get_entries(d, WIRE_ENTRIES_MAX,
	    &d->m->notify.nentries);
}

/* A message that is one number: PUSH, WHOLE, STOP, PING, PONG. */
static void
write_number(struct buf *b, const struct wire_msg *m)
{
	buf_add_u32(b, m->push.id);
}

static void
read_number(struct decoder *d)
{
	d->m->push.id = rd_u32(&d->rd);
}

static void
write_pushed(struct buf *b, const struct wire_msg *m)
{
	buf_add_u32(b, m->pushed.id);
	buf_add_u16(b, m->pushed.code);
	buf_add_varint(b, m->pushed.transactions);
	buf_add_varint(b, m->pushed.rows);
	wire_put_text(b, &m->pushed.text, WIRE_TEXT_MAX);
}

static void
read_pushed(struct decoder *d)
{
	struct wire_pushed *p = &d->m->pushed;

	p->id = rd_u32(&d->rd);
	p->code = rd_u16(&d->rd);
	p->transactions = rd_varint(&d->rd, UINT64_MAX);
	p->rows = rd_varint(&d->rd, UINT64_MAX);
	p->text = get_sentence(d);
}

static void
write_error(struct buf *b, const struct wire_msg *m)
{
	buf_add_u32(b, m->error.id);
	buf_add_u16(b, m->error.code);
	wire_put_text(b, &m->error.text, WIRE_TEXT_MAX);
}

static void
read_error(struct decoder *d)
{
	d->m->error.id = rd_u32(&d->rd);
	d->m->error.code = rd_u16(&d->rd);
	d->m->error.text = get_sentence(d);
}

static void
write_tokens(struct buf *b, const struct wire_msg *m)
{
	const struct wire_tokens *t = &m->tokens;
	size_t i;

	if (t->nentries == 0) {
		b->failed = true;
		return;
	}
	buf_add_u32(b, t->id);
	buf_add(b, t->entry[0].site, WIRE_SITE_LEN);
	wire_put_count(b, t->nentries, WIRE_TOKENS_MAX);
	for (i = 0; i < t->nentries; i++) {
		buf_add_varint(b, t->entry[i].version);
		buf_add(b, t->entry[i].token, WIRE_TOKEN_LEN);
	}
}

static void
read_tokens(struct decoder *d)
{
	struct wire_tokens *t = &d->m->tokens;
	uint8_t site[WIRE_SITE_LEN];
	size_t i;

	t->id = rd_u32(&d->rd);
	rd_copy(&d->rd, sizeof site, site);
	t->nentries = rd_count(&d->rd, WIRE_TOKENS_MAX, 1 + WIRE_TOKEN_LEN);
	t->entry = wire_get_room(d, t->nentries, sizeof *t->entry);
	if (t->entry == NULL) {
		rd_fail(&d->rd);
		return;
	}
	for (i = 0; i < t->nentries; i++) {
		memcpy(t->entry[i].site, site, sizeof site);
		t->entry[i].version = rd_varint(&d->rd, WIRE_NUMBER_MAX);
		rd_copy(&d->rd, WIRE_TOKEN_LEN, t->entry[i].token);
	}
}

static void
write_common(struct buf *b, const struct wire_msg *m)
{
	buf_add_u32(b, m->common.id);
	buf_add_varint(b, m->common.version);
}

static void
read_common(struct decoder *d)
{
	d->m->common.id = rd_u32(&d->rd);
	d->m->common.version = rd_varint(&d->rd, WIRE_NUMBER_MAX);
}

enum { DIGEST_ASKS = 1 };

static void
write_digest(struct buf *b, const struct wire_msg *m)
{
	const struct wire_digest *d = &m->digest;

	buf_add_u32(b, d->id);
	buf_add_u8(b, d->asks ? DIGEST_ASKS : 0);
	buf_add_u16(b, d->code);
	if (d->code != 0)
		wire_put_text(b, &d->text, WIRE_TEXT_MAX);
	else if (d->bytes.len > 0)
		buf_add(b, d->bytes.data, d->bytes.len);
}

static void
read_digest(struct decoder *d)
{
	struct wire_digest *g = &d->m->digest;
	uint8_t flags;

	g->id = rd_u32(&d->rd);
	flags = rd_u8(&d->rd);
	g->asks = flags & DIGEST_ASKS;
	g->code = rd_u16(&d->rd);
	if (g->code != 0)
		g->text = get_sentence(d);
	else
		g->bytes = wire_get_bytes(d, rd_left(&d->rd));
	if (g->id == 0 || flags & ~DIGEST_ASKS
	    || (g->asks && g->code == 0 && g->bytes.len == 0))
		rd_fail(&d->rd);
}

/* ---- the table ---- */

static const struct kind {
	const char *name;
	void (*write)(struct buf *b, const struct wire_msg *m);
	void (*read)(struct decoder *d);
} kinds[] = {
	[WIRE_HELLO] = { "HELLO", write_hello, read_hello },
	[WIRE_PULL] = { "PULL", wire_write_pull, wire_read_pull },
	[WIRE_PAGE] = { "PAGE", wire_write_page, wire_read_page },
	[WIRE_END] = { "END", wire_write_end, wire_read_end },
	[WIRE_NOTIFY] = { "NOTIFY", write_notify, read_notify },
	[WIRE_PUSH] = { "PUSH", write_number, read_number },
	[WIRE_PUSHED] = { "PUSHED", write_pushed, read_pushed },
	[WIRE_WHOLE] = { "WHOLE", write_number, read_number },
	[WIRE_ERROR] = { "ERROR", write_error, read_error },
	[WIRE_PING] = { "PING", write_number, read_number },
	[WIRE_PONG] = { "PONG", write_number, read_number },
	[WIRE_TOKENS] = { "TOKENS", write_tokens, read_tokens },
	[WIRE_COMMON] = { "COMMON", write_common, read_common },
	[WIRE_DIGEST] = { "DIGEST", write_digest, read_digest },
	[WIRE_STOP] = { "STOP", write_number, read_number },
	[WIRE_SCHEMA] = { "SCHEMA", write_digest, read_digest },
};

static const struct kind *
kind_of(uint8_t type)
{
	if (type >= sizeof kinds / sizeof *kinds || kinds[type].name == NULL)
		return NULL;
	return &kinds[type];
}

bool
wire_known(uint8_t type)
{
	return kind_of(type) != NULL;
}

const char *
wire_name(uint8_t type)
{
	const struct kind *k = kind_of(type);

	return k != NULL ? k->name : "unknown";
}

static void
put_head(struct buf *b, size_t body, uint8_t type)
{
	buf_add_u32(b, (uint32_t)body + 1);
	buf_add_u8(b, type);
}

/* Writes out anew, in frames of at most frame_max, what stands in it as one
 * frame from start on. */
static int
split(struct buf *out, size_t start, uint8_t type, size_t frame_max,
    struct err *err)
{
	size_t len = out->len - start - WIRE_FRAME_HEAD, max = frame_max - 1;
	uint8_t *body = malloc(len), *p = body;

	if (body == NULL)
		return err_nomem(err);
	memcpy(body, out->data + start + WIRE_FRAME_HEAD, len);
	out->len = start;
	for (; len > max; p += max, len -= max) {
		put_head(out, max, WIRE_PART);
		buf_add(out, p, max);
	}
	put_head(out, len, type);
	buf_add(out, p, len);
	free(body);
	return 0;
}

int
wire_encode(const struct wire_msg *m, size_t frame_max, struct buf *out,
    struct err *err)
{
	const struct kind *k = kind_of(m->type);
	size_t start = out->len, body;
	uint8_t *p;
	int rc = 0;

	put_head(out, 0, m->type);
	if (k != NULL)
		k->write(out, m);
	if (k != NULL && !out->failed) {
		body = out->len - start - WIRE_FRAME_HEAD;
		p = out->data + start;
		p[0] = (uint8_t)((body + 1) >> 24);
		p[1] = (uint8_t)((body + 1) >> 16);
		p[2] = (uint8_t)((body + 1) >> 8);
		p[3] = (uint8_t)(body + 1);
		if (body > WIRE_MESSAGE_MAX)
			out->failed = true;
		else if (body + 1 > frame_max)
			rc = split(out, start, m->type, frame_max, err);
	}
	if (rc != 0)
		return rc;
	if (k == NULL || out->failed)
		return err_set(err, E_FATAL, NULL,
		    "a %s is beyond the limits of the protocol, or of memory",
		    wire_name(m->type));
	return 0;
}

int
wire_decode(uint8_t type, const uint8_t *body, size_t len,
    struct wire_msg *m, struct err *err)
{
	const struct kind *k = kind_of(type);
	struct decoder d = { .m = m };

	memset(m, 0, sizeof *m);
	m->type = type;
	rd_init(&d.rd, body, len);
	if (k != NULL)
		k->read(&d);
	if (k != NULL && rd_done(&d.rd))
		return 0;
	wire_msg_clear(m);
	if (d.nomem)
		return err_nomem(err);
	return err_set(err, E_INTEGRITY, NULL, "a malformed %s",
	    wire_name(type));
}

void
wire_msg_clear(struct wire_msg *m)
{
	size_t i;

	for (i = 0; i < m->nowned; i++)
		free(m->owned[i]);
	free(m->owned);
	memset(m, 0, sizeof *m);
}

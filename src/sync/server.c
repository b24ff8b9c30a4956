// SPDX-License-Identifier: MPL-2.0
/*
 * server.c - the peer's pull from us.
 *
 * A page is asked of the store only when the transport has room, and a large
 * one is sent a bounded number of bytes at a time: so much waits for a slow
 * reader, and no more.  The bytes of a page stay the store's where they are
 * not compressed.
 */
#include <string.h>

#include "sync/state.h"

enum {
	BURST = WIRE_PAGE_WANTED,       /* sent of a page in one step */
	PAGE_HEAD = 1 + 4 + 1 + WIRE_HASH_LEN + 3 * 8,  /* type and fields */
};

void
sync_server_clear(struct server *v)
{
	buf_clear(&v->held);
	buf_clear(&v->zipped);
	zip_clear(&v->zip);
}

void
sync_server_over(struct sync *s, bool complete)
{
	struct server *v = &s->server;
	bool begun = v->state != SERVER_IDLE && v->state != SERVER_HELD
	    && v->state != SERVER_WHOLE;

	v->state = SERVER_IDLE;
	sync_server_clear(v);
	if (begun)
		sync_do(s, SYNC_DO_SERVE_END)->complete = complete;
}

/* Gives it up and tells the peer. */
static int
fail(struct sync *s, uint16_t code, const char *text)
{
	sync_server_over(s, false);
	return sync_send_error(s, s->server.id, code, text);
}

/* ---- PULL ---- */

static int
begin(struct sync *s)
{
	struct server *v = &s->server;
	const struct wire_pull *p = &s->msg.pull;

	v->ngroups = p->ngroups;
	memcpy(v->resume_page, p->resume_page, WIRE_HASH_LEN);
	v->resume_at = p->resume_at;
	v->last_page = false;
	v->state = SERVER_OPENING;
	sync_do(s, SYNC_DO_SERVE_BEGIN)->pull = p;
	return 0;
}

/* Decodes a PULL into s->msg; *ok is false if the peer was ended for it. */
static int
decode_pull(struct sync *s, const uint8_t *body, size_t len, bool *ok)
{
	struct err why;
	int rc;

	wire_msg_clear(&s->msg);
	rc = wire_decode(WIRE_PULL, body, len, &s->msg, &why);
	*ok = rc == 0;
	if (rc == E_INTEGRITY)
		return sync_bad(s, "%s", why.text);
	return rc != 0 ? err_nomem(s->err) : 0;
}

static bool
is_whole(const struct wire_pull *p)
{
	size_t i;

	for (i = 0; i < p->ngroups; i++)
		if (!p->group[i].whole)
			return false;
	return true;
}

/* The number of a PULL rises, but for the one that answers WHOLE. */
int
sync_got_pull(struct sync *s, const struct frame *f)
{
	struct server *v = &s->server;
	const struct wire_pull *p = &s->msg.pull;
	bool again, ok;
	int rc;

	if ((rc = decode_pull(s, f->body, f->len, &ok)) != 0 || !ok)
		return rc;
	again = v->state == SERVER_WHOLE && p->id == v->id;
	if (again ? !is_whole(p) : p->id <= v->id)
		return sync_bad(s, "PULL %u comes again", p->id);
	if (v->state != SERVER_IDLE && v->state != SERVER_WHOLE) {
		if (!sync_is_cheap(s))
			return 0;
		return sync_send_error(s, p->id, WIRE_E_BUSY,
		    "another pull is under way");
	}
	v->id = p->id;
	v->whole = again;
	if (s->phase != PHASE_FORK)
		return begin(s);
	buf_add(&v->held, f->body, f->len);
	v->state = SERVER_HELD;
	return v->held.failed ? err_nomem(s->err) : 0;
}

int
sync_server_go_on(struct sync *s)
{
	struct server *v = &s->server;
	bool ok;
	int rc;

	if (v->state != SERVER_HELD)
		return 0;
	rc = decode_pull(s, v->held.data, v->held.len, &ok);
	return rc != 0 || !ok ? rc : begin(s);
}

int
sync_got_stop(struct sync *s)
{
	/* What has ended meanwhile can't be stopped. */
	if (s->msg.stop.id == s->server.id)
		sync_server_over(s, false);
	return 0;
}

int
sync_on_serving(struct sync *s, const struct sync_event *ev)
{
	struct server *v = &s->server;

	if (v->state != SERVER_OPENING)
		return sync_misused(s, ev);
	buf_clear(&v->held);
	v->state = SERVER_READY;
	sync_want_room(s);
	return 0;
}

int
sync_on_serve_whole(struct sync *s, const struct sync_event *ev)
{
	struct server *v = &s->server;
	struct wire_msg m = { .type = WIRE_WHOLE };

	if (v->state != SERVER_OPENING || v->whole)
		return sync_misused(s, ev);
	buf_clear(&v->held);
	v->state = SERVER_WHOLE;
	m.whole.id = v->id;
	return sync_send(s, &m);
}

int
sync_on_serve_failed(struct sync *s, const struct sync_event *ev)
{
	struct server *v = &s->server;

	if (v->state != SERVER_OPENING && v->state != SERVER_READING
	    && v->state != SERVER_ENDING)
		return sync_misused(s, ev);
	return fail(s, wire_code_of(ev->why->code), ev->why->text);
}

/* ---- pages ---- */

static void
need_end(struct sync *s)
{
	s->server.state = SERVER_ENDING;
	sync_do(s, SYNC_DO_NEED_END);
}

/* Sends of the page in hand what may be sent now; then asks for room for what
 * comes next.  The end is so short that it needs none. */
static int
send_pieces(struct sync *s)
{
	struct server *v = &s->server;
	struct wire_msg m = { .type = WIRE_PAGE };
	size_t max = s->send_max - PAGE_HEAD, sent = 0;
	int rc;

	m.page = v->page;
	while (v->page.bytes.len > 0 && sent < BURST) {
		m.page.offset = v->page.offset;
		m.page.bytes = v->page.bytes;
		if (m.page.bytes.len > max)
			m.page.bytes.len = max;
		m.page.last = m.page.bytes.len == v->page.bytes.len;
		if ((rc = sync_send(s, &m)) != 0)
			return rc;
		v->page.offset += m.page.bytes.len;
		v->page.bytes.data += m.page.bytes.len;
		v->page.bytes.len -= m.page.bytes.len;
		sent += m.page.bytes.len;
	}
	v->state = v->page.bytes.len > 0 ? SERVER_SENDING : SERVER_READY;
	if (v->state == SERVER_READY && v->last_page)
		need_end(s);
	else
		sync_want_room(s);
	return 0;
}

int
sync_server_room(struct sync *s)
{
	struct server *v = &s->server;

	if (v->state == SERVER_SENDING) {
		/* A transport that drains has somebody at its other end. */
		s->heard_ms = s->now_ms;
		return send_pieces(s);
	}
	if (v->state != SERVER_READY)
		return 0;
	s->heard_ms = s->now_ms;
	v->state = SERVER_READING;
	sync_do(s, SYNC_DO_NEED_PAGE)->max = WIRE_PAGE_WANTED;
	return 0;
}

/* Names the page and compresses it where that is of use. */
static int
prepare(struct sync *s, const uint8_t *data, size_t len)
{
	struct server *v = &s->server;
	struct wire_page *p = &v->page;
	bool helped = false;
	int rc = 0;

	if (len <= WIRE_PAGE_MEMORY)
		rc = zip_pack(&v->zip, data, len, &v->zipped, &helped, s->err);
	if (rc != 0)
		return rc;
	memset(p, 0, sizeof *p);
	p->id = v->id;
	p->zipped = helped;
	p->bytes.data = helped ? v->zipped.data : data;
	p->bytes.len = helped ? v->zipped.len : len;
	p->total = p->bytes.len;
	p->raw = len;
	return zip_hash(p->bytes.data, p->bytes.len, p->hash, s->err);
}

int
sync_on_page(struct sync *s, const struct sync_event *ev)
{
	struct server *v = &s->server;
	struct wire_page *p = &v->page;
	int rc;

	if (v->state != SERVER_READING || (ev->len == 0 && !ev->last))
		return sync_misused(s, ev);
	if (ev->len > WIRE_PAGE_MAX)
		return fail(s, WIRE_E_INTERNAL, "a row is too large");
	v->last_page = ev->last;
	if (ev->len == 0) {
		need_end(s);
		return 0;
	}
	if ((rc = prepare(s, ev->data, ev->len)) != 0)
		return rc;
	if (v->resume_at != 0 && v->resume_at < p->total
	    && memcmp(v->resume_page, p->hash, WIRE_HASH_LEN) == 0) {
		p->offset = v->resume_at;
		p->bytes.data += v->resume_at;
		p->bytes.len -= v->resume_at;
	}
	v->resume_at = 0;
	return send_pieces(s);
}

int
sync_on_end(struct sync *s, const struct sync_event *ev)
{
	struct server *v = &s->server;
	struct wire_msg m = { .type = WIRE_END };
	int rc;

	if (v->state != SERVER_ENDING || ev->end->ngroups != v->ngroups)
		return sync_misused(s, ev);
	m.end = *ev->end;
	m.end.id = v->id;
	if ((rc = sync_send(s, &m)) != 0)
		return rc;
	sync_server_over(s, true);
	return 0;
}

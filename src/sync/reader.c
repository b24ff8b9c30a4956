// SPDX-License-Identifier: MPL-2.0
/*
 * reader.c - our pull from the peer.
 *
 * A page is put together in memory where it is small; a larger one goes to
 * the store in pieces, which is what makes it possible to go on in its
 * middle.  One thing at a time is in the store's hands; until it is taken no
 * message is read.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/state.h"

/* A vector that is not longer travels whole: naming it saves nothing, and
 * may cost a round trip. */
enum { SMALL_VECTOR = 8 };

void
sync_reader_clear(struct reader *r)
{
	free(r->ntables);
	r->ntables = NULL;
	r->ngroups = 0;
	r->got = 0;
	buf_clear(&r->bytes);
	buf_clear(&r->expanded);
	zip_clear(&r->zip);
}

void
sync_reader_over(struct sync *s, const struct err *why)
{
	struct reader *r = &s->reader;

	if (r->state == READER_IDLE)
		return;
	r->state = READER_IDLE;
	r->taking = false;
	sync_reader_clear(r);
	s->pull_why = *why;
	sync_do(s, SYNC_DO_PULL_OVER)->why = &s->pull_why;
}

/* ---- asking ---- */

static int
remember_plan(struct reader *r, const struct wire_pull *plan, struct err *err)
{
	size_t i;

	sync_reader_clear(r);
	r->ntables = calloc(plan->ngroups + 1, sizeof *r->ntables);
	if (r->ntables == NULL)
		return err_nomem(err);
	r->ngroups = plan->ngroups;
	for (i = 0; i < plan->ngroups; i++)
		r->ntables[i] = (uint32_t)plan->group[i].ntables;
	memcpy(r->resume_page, plan->resume_page, WIRE_HASH_LEN);
	r->resume_at = plan->resume_at;
	return 0;
}

static int
send_pull(struct sync *s, const struct wire_pull *plan)
{
	struct reader *r = &s->reader;
	struct wire_msg m = { .type = WIRE_PULL };
	size_t i, size = (plan->ngroups + 1) * sizeof *m.pull.group;
	int rc;

	if ((rc = remember_plan(r, plan, s->err)) != 0)
		return rc;
	m.pull = *plan;
	m.pull.id = r->id;
	m.pull.fetch_only = r->fetch_only;
	m.pull.group = malloc(size);
	if (m.pull.group == NULL)
		return err_nomem(s->err);
	for (i = 0; i < plan->ngroups; i++) {
		m.pull.group[i] = plan->group[i];
		m.pull.group[i].whole = r->whole
		    || plan->group[i].nentries <= SMALL_VECTOR;
	}
	rc = sync_send(s, &m);
	free(m.pull.group);
	r->sent = true;
	r->state = READER_WAITING;
	return rc;
}

/* The next pull has a number of its own. */
static void
number(struct reader *r)
{
	r->id++;
	r->sent = r->whole = false;
}

int
sync_on_pull(struct sync *s, const struct sync_event *ev)
{
	struct reader *r = &s->reader;

	if (s->phase == PHASE_NEW || r->state != READER_IDLE)
		return sync_misused(s, ev);
	r->fetch_only = ev->plan->fetch_only;
	if (s->phase == PHASE_CLAIMS || s->phase == PHASE_FORK) {
		r->state = READER_WANTED;
		return 0;
	}
	number(r);
	return send_pull(s, ev->plan);
}

static void
need_plan(struct sync *s, bool anew)
{
	s->reader.state = READER_PLANNING;
	sync_do(s, SYNC_DO_NEED_PLAN)->anew = anew;
}

int
sync_on_plan(struct sync *s, const struct sync_event *ev)
{
	if (s->reader.state != READER_PLANNING)
		return sync_misused(s, ev);
	return send_pull(s, ev->plan);
}

/* ---- not asking any more ---- */

/* What still comes for the pull is stale. */
static int
send_stop(struct sync *s)
{
	struct wire_msg m = { .type = WIRE_STOP };
	struct reader *r = &s->reader;

	if (!r->sent)
		return 0;
	r->stopped = r->id;
	m.stop.id = r->id;
	return sync_send(s, &m);
}

int
sync_on_pull_stop(struct sync *s, const struct sync_event *ev)
{
	struct reader *r = &s->reader;
	int rc = 0;

	if (r->state == READER_IDLE)
		return sync_misused(s, ev);
	/* After END the server has nothing to stop. */
	if (r->state != READER_ENDING)
		rc = send_stop(s);
	sync_reader_over(s, ev->why);
	return rc;
}

int
sync_reader_hold(struct sync *s)
{
	struct reader *r = &s->reader;
	int rc;

	if (r->state == READER_IDLE)
		return 0;
	rc = send_stop(s);
	r->state = READER_WANTED;
	return rc;
}

void
sync_reader_go_on(struct sync *s)
{
	if (s->reader.state != READER_WANTED)
		return;
	number(&s->reader);
	need_plan(s, true);
}

/* ---- what the server says ---- */

enum answer { ANSWER_OURS, ANSWER_STALE, ANSWER_WRONG };

static enum answer
answer_to(const struct sync *s, uint32_t id)
{
	const struct reader *r = &s->reader;

	if (r->state == READER_WAITING && id == r->id)
		return ANSWER_OURS;
	return id <= r->stopped ? ANSWER_STALE : ANSWER_WRONG;
}

static int
not_asked(struct sync *s, enum answer answer)
{
	if (answer == ANSWER_STALE)
		return 0;
	return sync_bad(s, "%s answers nothing that was asked",
	    wire_name(s->msg.type));
}

int
sync_got_whole(struct sync *s)
{
	enum answer answer = answer_to(s, s->msg.whole.id);

	if (answer != ANSWER_OURS)
		return not_asked(s, answer);
	if (s->reader.whole)
		return sync_bad(s, "WHOLE was answered already");
	s->reader.whole = true;
	need_plan(s, false);
	return 0;
}

int
sync_got_pull_error(struct sync *s)
{
	enum answer answer = answer_to(s, s->msg.error.id);
	struct err why;

	if (answer != ANSWER_OURS)
		return not_asked(s, answer);
	sync_peer_err(s->msg.error.code, &s->msg.error.text, &why);
	if (why.code == 0)
		why.code = E_UNREACHABLE;
	sync_reader_over(s, &why);
	return 0;
}

/* ---- pages ---- */

/* A page begins: at its first byte, or where we wanted to go on. */
static int
begin_page(struct sync *s, const struct wire_page *p)
{
	struct reader *r = &s->reader;

	if (p->offset != 0 && (p->offset != r->resume_at
	    || memcmp(p->hash, r->resume_page, WIRE_HASH_LEN) != 0))
		return sync_bad(s, "a page begins in its middle");
	r->resume_at = 0;
	r->page = *p;
	r->in_pieces = p->offset != 0 || p->total > WIRE_PAGE_MEMORY
	    || p->raw > WIRE_PAGE_MEMORY;
	r->got = p->offset;
	buf_clear(&r->bytes);
	buf_clear(&r->expanded);
	return 0;
}

static bool
goes_on(const struct reader *r, const struct wire_page *p)
{
	return p->offset == r->got && p->total == r->page.total
	    && p->raw == r->page.raw && p->zipped == r->page.zipped
	    && memcmp(p->hash, r->page.hash, WIRE_HASH_LEN) == 0;
}

static int
take_page(struct sync *s, const uint8_t *data, size_t len)
{
	struct reader *r = &s->reader;
	uint8_t hash[WIRE_HASH_LEN];
	struct sync_action *a;
	struct err why;
	int rc;

	if ((rc = zip_hash(data, len, hash, s->err)) != 0)
		return rc;
	if (memcmp(hash, r->page.hash, sizeof hash) != 0)
		return sync_bad(s, "a page has another hash than it should");
	if (r->page.zipped) {
		rc = zip_unpack(&r->zip, data, len, r->page.raw, &r->expanded,
		    &why);
		if (rc == E_INTEGRITY)
			return sync_bad(s, "%s", why.text);
		if (rc != 0)
			return err_nomem(s->err);
	}
	r->taking = true;
	a = sync_do(s, SYNC_DO_TAKE_PAGE);
	a->data = r->page.zipped ? r->expanded.data : data;
	a->len = r->page.zipped ? r->expanded.len : len;
	a->transferred = len;
	return 0;
}

static int
take_piece(struct sync *s)
{
	struct sync_action *a = sync_do(s, SYNC_DO_TAKE_PIECE);

	s->reader.taking = true;
	a->piece = &s->msg.page;
	a->transferred = s->msg.page.bytes.len;
	return 0;
}

int
sync_got_page(struct sync *s)
{
	const struct wire_page *p = &s->msg.page;
	struct reader *r = &s->reader;
	enum answer answer = answer_to(s, p->id);
	int rc;

	if (answer != ANSWER_OURS)
		return not_asked(s, answer);
	if (r->got == 0 && (rc = begin_page(s, p)) != 0)
		return rc;
	if (s->phase == PHASE_OVER)
		return 0;
	if (!goes_on(r, p))
		return sync_bad(s, "a page does not go on where it stopped");
	r->came += p->bytes.len;
	r->got = p->last ? 0 : r->got + p->bytes.len;
	if (r->in_pieces)
		return take_piece(s);
	if (p->offset == 0 && p->last)
		return take_page(s, p->bytes.data, p->bytes.len);
	buf_add(&r->bytes, p->bytes.data, p->bytes.len);
	if (r->bytes.failed)
		return err_nomem(s->err);
	return p->last ? take_page(s, r->bytes.data, r->bytes.len) : 0;
}

/* ---- END ---- */

/* Same groups as asked for, and no table that is none of theirs. */
static bool
fits_plan(const struct reader *r, const struct wire_end *end)
{
	const struct wire_end_group *g;
	size_t i, j;

	if (end->ngroups != r->ngroups)
		return false;
	for (i = 0; i < r->ngroups; i++) {
		g = &end->group[i];
		for (j = 0; j < g->nabsent; j++)
			if (g->absent[j] >= r->ntables[i])
				return false;
	}
	return true;
}

int
sync_got_end(struct sync *s)
{
	struct reader *r = &s->reader;
	enum answer answer = answer_to(s, s->msg.end.id);

	if (answer != ANSWER_OURS)
		return not_asked(s, answer);
	if (r->got != 0)
		return sync_bad(s, "END in the middle of a page");
	if (!fits_plan(r, &s->msg.end))
		return sync_bad(s, "END does not fit its PULL");
	r->state = READER_ENDING;
	r->taking = true;
	sync_do(s, SYNC_DO_TAKE_END)->end = &s->msg.end;
	return 0;
}

int
sync_on_taken(struct sync *s, const struct sync_event *ev)
{
	struct err none = { .code = 0 };

	if (!s->reader.taking)
		return sync_misused(s, ev);
	s->reader.taking = false;
	if (s->reader.state == READER_ENDING)
		sync_reader_over(s, &none);
	return 0;
}

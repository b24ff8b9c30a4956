// SPDX-License-Identifier: MPL-2.0
/*
 * digest.c - verifying: words of two stores, carried to and fro.  One asks and
 * the other answers, in turn; each direction has one such talk at most.
 */
#include <string.h>

#include "sync/state.h"

static int
send(struct sync *s, bool asks, uint16_t code, const void *data, size_t len)
{
	return sync_send_words(s, WIRE_DIGEST, asks ? s->digests.ask_id :
	    s->digests.asked_id, asks, code, data, len);
}

/* ---- ours ---- */

int
sync_on_digest_say(struct sync *s, const struct sync_event *ev)
{
	struct digests *d = &s->digests;

	if (s->phase != PHASE_OPEN || d->waiting || ev->len == 0)
		return sync_misused(s, ev);
	if (!d->asking)
		d->ask_id++;
	d->asking = d->waiting = true;
	return send(s, true, 0, ev->data, ev->len);
}

int
sync_on_digest_stop(struct sync *s, const struct sync_event *ev)
{
	struct digests *d = &s->digests;

	if (!d->asking)
		return 0;
	d->asking = d->waiting = false;
	return send(s, true, WIRE_E_ENDED, "", 0);
}

static void
over(struct sync *s, const struct err *why)
{
	struct digests *d = &s->digests;

	if (!d->asking)
		return;
	d->asking = d->waiting = false;
	s->digest_why = *why;
	sync_do(s, SYNC_DO_DIGEST_OVER)->why = &s->digest_why;
}

/* What is said of one that was stopped was on its way. */
static int
got_answer(struct sync *s, const struct wire_digest *m)
{
	struct digests *d = &s->digests;
	struct sync_action *a;
	struct err why;

	if (m->id < d->ask_id || (m->id == d->ask_id && !d->asking))
		return 0;
	if (m->id != d->ask_id || (!d->waiting && m->code == 0))
		return sync_bad(s, "DIGEST answers nothing that was asked");
	if (m->code != 0) {
		sync_peer_err(m->code, &m->text, &why);
		if (why.code == 0)
			why.code = E_UNREACHABLE;
		over(s, &why);
		return 0;
	}
	d->waiting = m->bytes.len == 0;
	a = sync_do(s, SYNC_DO_DIGEST_HEARD);
	a->data = m->bytes.data;
	a->len = m->bytes.len;
	return 0;
}

/* ---- the peer's ---- */

static void
end(struct sync *s)
{
	struct digests *d = &s->digests;

	if (d->answering)
		sync_do(s, SYNC_DO_DIGEST_END);
	d->answering = d->working = false;
}

static int
got_question(struct sync *s, const struct wire_digest *m)
{
	static const char busy[] = "something else has to be settled first";
	struct digests *d = &s->digests;
	bool anew = m->id > d->asked_id;
	struct sync_action *a;

	if (m->id < d->asked_id || (!anew && m->code == 0 &&
	    (!d->answering || d->working)))
		return sync_bad(s, "DIGEST %u comes again", m->id);
	if (m->code != 0 || anew)
		end(s);
	if (m->code != 0)
		return 0;
	d->asked_id = m->id;
	if (anew && !sync_is_cheap(s))
		return 0;
	if (s->phase != PHASE_OPEN)
		return send(s, false, WIRE_E_BUSY, busy, strlen(busy));
	d->answering = d->working = true;
	a = sync_do(s, SYNC_DO_DIGEST_ASKED);
	a->anew = anew;
	a->data = m->bytes.data;
	a->len = m->bytes.len;
	return 0;
}

int
sync_on_digest_answer(struct sync *s, const struct sync_event *ev)
{
	struct digests *d = &s->digests;

	if (!d->working)
		return sync_misused(s, ev);
	d->working = ev->len == 0;
	return send(s, false, 0, ev->data, ev->len);
}

int
sync_on_digest_failed(struct sync *s, const struct sync_event *ev)
{
	struct digests *d = &s->digests;

	if (!d->answering)
		return sync_misused(s, ev);
	d->answering = d->working = false;
	return send(s, false, wire_code_of(ev->why->code), ev->why->text,
	    strlen(ev->why->text));
}

/* ---- both ---- */

int
sync_got_digest(struct sync *s)
{
	const struct wire_digest *m = &s->msg.digest;

	return m->asks ? got_question(s, m) : got_answer(s, m);
}

void
sync_digest_over(struct sync *s, const struct err *why)
{
	over(s, why);
	end(s);
}

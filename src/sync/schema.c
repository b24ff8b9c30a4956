// SPDX-License-Identifier: MPL-2.0
/*
 * schema.c - how the tables are declared: a question and an answer, carried from
 * store to store.  Who clones asks once; more than a few times on one connection
 * is no clone.
 */
#include <string.h>

#include "sync/state.h"

enum { ASKED_MAX = 4 };

static int
send(struct sync *s, bool asks, uint16_t code, const void *data, size_t len)
{
	return sync_send_words(s, WIRE_SCHEMA, asks ? s->schemas.ask_id :
	    s->schemas.asked_id, asks, code, data, len);
}

/* ---- ours ---- */

int
sync_on_schema_ask(struct sync *s, const struct sync_event *ev)
{
	static const uint8_t format = WIRE_SCHEMA_FORMAT;

	if (s->phase != PHASE_OPEN || s->schemas.asking)
		return sync_misused(s, ev);
	s->schemas.asking = true;
	s->schemas.ask_id++;
	return send(s, true, 0, &format, 1);
}

static void
over(struct sync *s, const struct err *why)
{
	if (!s->schemas.asking)
		return;
	s->schemas.asking = false;
	s->schema_why = *why;
	sync_do(s, SYNC_DO_SCHEMA)->why = &s->schema_why;
}

static int
got_answer(struct sync *s, const struct wire_digest *m)
{
	struct sync_action *a;
	struct err why;

	if (!s->schemas.asking || m->id != s->schemas.ask_id)
		return sync_bad(s, "SCHEMA answers nothing that was asked");
	sync_peer_err(m->code, &m->text, &why);
	if (m->code != 0) {
		if (why.code == 0)
			why.code = E_UNREACHABLE;
		over(s, &why);
		return 0;
	}
	s->schemas.asking = false;
	s->schema_why = why;
	a = sync_do(s, SYNC_DO_SCHEMA);
	a->why = &s->schema_why;
	a->data = m->bytes.data;
	a->len = m->bytes.len;
	return 0;
}

/* ---- the peer's ---- */

static int
got_question(struct sync *s, const struct wire_digest *m)
{
	static const char busy[] = "something else has to be settled first";

	if (s->schemas.answering || ++s->schemas.asked > ASKED_MAX)
		return sync_bad(s, "SCHEMA is asked for again and again");
	s->schemas.asked_id = m->id;
	if (s->phase != PHASE_OPEN)
		return send(s, false, WIRE_E_BUSY, busy, strlen(busy));
	s->schemas.answering = true;
	sync_do(s, SYNC_DO_SCHEMA_ASKED);
	return 0;
}

int
sync_on_schema(struct sync *s, const struct sync_event *ev)
{
	if (!s->schemas.answering)
		return sync_misused(s, ev);
	s->schemas.answering = false;
	if (ev->why != NULL)
		return send(s, false, wire_code_of(ev->why->code),
		    ev->why->text, strlen(ev->why->text));
	return send(s, false, 0, ev->data, ev->len);
}

/* ---- both ---- */

int
sync_got_schema(struct sync *s)
{
	const struct wire_digest *m = &s->msg.digest;

	return m->asks ? got_question(s, m) : got_answer(s, m);
}

void
sync_schema_over(struct sync *s, const struct err *why)
{
	over(s, why);
}

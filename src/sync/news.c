// SPDX-License-Identifier: MPL-2.0
/*
 * news.c - NOTIFY, and PUSH, which asks the peer to pull.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/state.h"

/* ---- NOTIFY ---- */

/* One without a token makes the peer ask whatever it holds. */
static bool
asks_anyway(const struct wire_entry *e)
{
	static const uint8_t none[WIRE_TOKEN_LEN];

	return memcmp(e->token, none, sizeof none) == 0;
}

/* Where the entry of that site is or goes; NULL without memory.  Where too
 * many wait the last one gives way: any one that is new there makes the peer
 * ask, and it then gets all. */
static struct wire_entry *
place_of(struct news *n, const struct wire_entry *e)
{
	size_t i, cap = n->cap == 0 ? 16 : 2 * n->cap;
	struct wire_entry *p;

	for (i = 0; i < n->n; i++)
		if (memcmp(n->entry[i].site, e->site, WIRE_SITE_LEN) == 0)
			return &n->entry[i];
	if (n->n == SYNC_NEWS_MAX)
		return &n->entry[n->n - 1];
	if (n->n == n->cap) {
		p = realloc(n->entry, cap * sizeof *p);
		if (p == NULL)
			return NULL;
		n->entry = p;
		n->cap = cap;
	}
	n->entry[n->n] = *e;
	return &n->entry[n->n++];
}

int
sync_on_changed(struct sync *s, const struct sync_event *ev)
{
	struct wire_entry *e;
	bool anyway;
	size_t i;

	if (s->phase != PHASE_OPEN)
		return 0;
	for (i = 0; i < ev->nentries; i++) {
		e = place_of(&s->news, &ev->entry[i]);
		if (e == NULL)
			return err_nomem(s->err);
		anyway = asks_anyway(e);
		*e = ev->entry[i];
		if (anyway)
			memset(e->token, 0, sizeof e->token);
	}
	if (s->news.n > 0)
		sync_want_room(s);
	return 0;
}

int
sync_news_room(struct sync *s)
{
	struct wire_msg m = { .type = WIRE_NOTIFY };
	struct news *n = &s->news;

	if (n->n == 0)
		return 0;
	m.notify.entry = n->entry;
	m.notify.nentries = n->n;
	n->n = 0;
	return sync_send(s, &m);
}

int
sync_got_notify(struct sync *s)
{
	struct sync_action *a;

	if (s->msg.notify.nentries == 0)
		return 0;
	a = sync_do(s, SYNC_DO_NOTIFIED);
	a->entry = s->msg.notify.entry;
	a->nentries = s->msg.notify.nentries;
	return 0;
}

/* ---- our PUSH ---- */

static int
send_push(struct sync *s)
{
	struct wire_msg m = { .type = WIRE_PUSH };

	s->news.push_sent = true;
	m.push.id = ++s->news.push_id;
	return sync_send(s, &m);
}

static void
push_over(struct sync *s, const struct err *why,
    const struct wire_pushed *pushed)
{
	struct sync_action *a = sync_do(s, SYNC_DO_PUSHED);

	s->news.push_wanted = s->news.push_sent = false;
	s->push_why = *why;
	a->why = &s->push_why;
	a->pushed = pushed;
}

int
sync_on_push(struct sync *s, const struct sync_event *ev)
{
	if (s->phase == PHASE_NEW || s->news.push_wanted)
		return sync_misused(s, ev);
	s->news.push_wanted = true;
	return s->phase == PHASE_OPEN ? send_push(s) : 0;
}

int
sync_news_go_on(struct sync *s)
{
	return s->news.push_wanted ? send_push(s) : 0;
}

void
sync_news_over(struct sync *s)
{
	if (s->news.push_wanted)
		push_over(s, &s->why, NULL);
}

int
sync_got_pushed(struct sync *s)
{
	const struct wire_pushed *p = &s->msg.pushed;
	struct err why;

	if (!s->news.push_sent || p->id != s->news.push_id)
		return sync_bad(s, "PUSHED answers nothing that was asked");
	sync_peer_err(p->code, &p->text, &why);
	push_over(s, &why, p);
	return 0;
}

/* ---- the peer's PUSH ---- */

static int
send_pushed(struct sync *s, const struct wire_pushed *pushed, uint32_t id)
{
	struct wire_msg m = { .type = WIRE_PUSHED };

	m.pushed = *pushed;
	m.pushed.id = id;
	return sync_send(s, &m);
}

int
sync_got_push(struct sync *s)
{
	struct wire_pushed busy = { .code = WIRE_E_BUSY };

	if (s->news.push_asked) {
		if (!sync_is_cheap(s))
			return 0;
		busy.text.data = (const uint8_t *)"another push is under way";
		busy.text.len = 25;
		return send_pushed(s, &busy, s->msg.push.id);
	}
	s->news.push_asked = true;
	s->news.asked_id = s->msg.push.id;
	sync_do(s, SYNC_DO_PUSH_ASKED);
	return 0;
}

int
sync_on_push_done(struct sync *s, const struct sync_event *ev)
{
	if (!s->news.push_asked)
		return sync_misused(s, ev);
	s->news.push_asked = false;
	return send_pushed(s, ev->pushed, s->news.asked_id);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * session_talk.c - drives the conversation: gives events to sync and does what
 * it asks for.  Questions to the store are answered at once, so an event ends
 * when no answer is left.
 *
 * What is done for an action may lead to wishes for other events (a request of
 * the owner, news for peers).  They wait for session_tick(), since a step must
 * not begin inside of another one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/convert.h"
#include "node/session_state.h"

enum {
	PAGES_IN_A_ROW = 8      /* then others get a look in */
};

static const char not_known[] = "this address is not known here";

struct sync_event *
talk_answer(struct talk *t, enum sync_event_kind kind, const struct err *why)
{
	struct talk_answer *a = &t->spare;

	t->full |= t->n == TALK_ANSWERS_MAX;
	if (!t->full)
		a = &t->answer[t->n++];
	memset(&a->event, 0, sizeof a->event);
	a->event.kind = kind;
	if (why != NULL) {
		a->why = *why;
		a->event.why = &a->why;
	}
	return &a->event;
}

/* ---- identity ---- */

static int
own_hello(struct session *s, struct convert_hello *out, struct err *err)
{
	struct store_hello *hello = malloc(sizeof *hello);
	int rc;

	if (hello == NULL)
		return err_nomem(err);
	rc = store_hello(s->hub->store, s->key, hello, err);
	if (rc == 0)
		convert_hello(hello, out);
	free(hello);
	return rc;
}

static void
stop_for(struct talk *t, const struct err *err)
{
	talk_answer(t, SYNC_ON_STOP, err);
}

static void
check_claims(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct store_entry *claim = convert_entries_in(a->entry, a->nentries);
	struct err err = { .code = 0 };
	bool fork = false;
	int rc;

	if (claim == NULL)
		rc = err_nomem(&err);
	else
		rc = store_check_claims(s->hub->store, claim, a->nentries, &fork,
		    &err);
	if (rc == 0 && !fork)
		store_heard(s->hub->store, s->remote.id, claim, a->nentries);
	free(claim);
	if (rc != 0)
		stop_for(t, &err);
	else
		talk_answer(t, SYNC_ON_CLAIMS, NULL)->fork = fork;
}

static void
find_tokens(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct store_entry own[WIRE_TOKENS_MAX];
	struct sync_event *answer;
	struct err err = { .code = 0 };
	size_t n = 0;

	if (store_own_tokens(s->hub->store, a->after, a->before, own,
	    WIRE_TOKENS_MAX, &n, &err) != 0) {
		stop_for(t, &err);
		return;
	}
	free(s->tokens);
	s->tokens = convert_entries_out(own, n);
	if (s->tokens == NULL) {
		err_nomem(&err);
		stop_for(t, &err);
		return;
	}
	answer = talk_answer(t, SYNC_ON_TOKENS, NULL);
	answer->entry = s->tokens;
	answer->nentries = n;
}

static void
find_common(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct store_entry *in = convert_entries_in(a->entry, a->nentries);
	struct err err = { .code = 0 };
	uint64_t version = 0;
	int rc;

	if (in == NULL)
		rc = err_nomem(&err);
	else
		rc = store_common(s->hub->store, in, a->nentries, &version,
		    &err);
	free(in);
	if (rc != 0)
		stop_for(t, &err);
	else
		talk_answer(t, SYNC_ON_COMMON, NULL)->version = version;
}

static void
become_another(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct node_event event = { .kind = NODE_TROUBLE,
		.remote = s->remote.name,
		.text = "this database is a copy, or lost something it had sent: "
		    "it goes on under a new site" };
	struct err err = { .code = 0 };
	int rc = store_fork(s->hub->store, s->remote.id, hub_date(s->hub),
	    a->version, &err);

	if (rc == 0 && s->hello == NULL)
		s->hello = malloc(sizeof *s->hello);
	if (rc == 0 && s->hello == NULL)
		rc = err_nomem(&err);
	if (rc == 0)
		rc = own_hello(s, s->hello, &err);
	if (rc != 0) {
		stop_for(t, &err);
		return;
	}
	hub_emit(s->hub, &event);
	talk_answer(t, SYNC_ON_FORKED, NULL)->hello = &s->hello->hello;
}

/* ---- actions ---- */

static void
want_room(struct session *s, struct talk *t)
{
	if (session_has_room(s) && ++s->serving.in_a_row < PAGES_IN_A_ROW) {
		talk_answer(t, SYNC_ON_ROOM, NULL);
		return;
	}
	s->serving.in_a_row = 0;
	s->wants_room = true;
	if (session_has_room(s))
		session_wake(s, hub_now(s->hub));
	else
		serve_wait(s);
}

/* What the peer's last words mean to people here. */
static void
explain(const struct session *s, const struct sync_action *a,
    struct err *out)
{
	char address[ADDR_TEXT_LEN + 1];
	uint8_t own[KEY_LEN];

	*out = *a->why;
	if (!a->by_peer || s->open || out->code != E_REFUSED
	    || strstr(out->text, not_known) == NULL)
		return;
	chan_identity_key(s->hub->identity, own);
	addr_format(own, address);
	err_set(out, E_REFUSED, NULL, "%s does not know you yet",
	    s->remote.name);
	snprintf(out->hint, sizeof out->hint,
	    "there, somebody has to let you in: ddcp remote accept NAME %s",
	    address);
}

static void
act(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct err why;

	switch (a->kind) {
	case SYNC_DO_OPENED:
		session_opened(s);
		break;
	case SYNC_DO_TIMER:
		s->talk_ms = a->at_ms;
		session_wake(s, a->at_ms);
		break;
	case SYNC_DO_WANT_ROOM:
		want_room(s, t);
		break;
	case SYNC_DO_CLOSE:
		explain(s, a, &why);
		session_over(s, &why);
		break;
	case SYNC_DO_NEED_PLAN:
		pull_need_plan(s, a->anew, t);
		break;
	case SYNC_DO_TAKE_PAGE:
		pull_take_page(s, a, t);
		break;
	case SYNC_DO_TAKE_PIECE:
		pull_take_piece(s, a, t);
		break;
	case SYNC_DO_TAKE_END:
		pull_take_end(s, a, t);
		break;
	case SYNC_DO_PULL_OVER:
		pull_over(s, a->why);
		break;
	case SYNC_DO_SERVE_BEGIN:
		serve_begin(s, a->pull, t);
		break;
	case SYNC_DO_NEED_PAGE:
		serve_page(s, a->max, t);
		break;
	case SYNC_DO_NEED_END:
		serve_end_info(s, t);
		break;
	case SYNC_DO_SERVE_END:
		serve_over(s, a->complete);
		break;
	case SYNC_DO_NOTIFIED:
		pull_notified(s, a->entry, a->nentries);
		break;
	case SYNC_DO_PUSH_ASKED:
		pull_push_asked(s, t);
		break;
	case SYNC_DO_PUSHED:
		jobs_pushed(s, a->why, a->pushed);
		break;
	case SYNC_DO_DIGEST_HEARD:
		digest_heard(s, a, t);
		break;
	case SYNC_DO_DIGEST_OVER:
		digest_over(s, a->why);
		break;
	case SYNC_DO_DIGEST_ASKED:
		digest_asked(s, a, t);
		break;
	case SYNC_DO_DIGEST_END:
		digest_end(s);
		break;
	case SYNC_DO_SCHEMA:
		schema_came(s, a);
		break;
	case SYNC_DO_SCHEMA_ASKED:
		schema_asked(s, t);
		break;
	case SYNC_DO_CHECK_CLAIMS:
		check_claims(s, a, t);
		break;
	case SYNC_DO_NEED_TOKENS:
		find_tokens(s, a, t);
		break;
	case SYNC_DO_FIND_COMMON:
		find_common(s, a, t);
		break;
	case SYNC_DO_FORK:
		become_another(s, a, t);
		break;
	}
}

/* One step; its answers are added to t. */
static size_t
step(struct session *s, const struct sync_event *event, struct talk *t)
{
	struct sync_event whole = *event;
	struct sync_actions *todo = &s->actions;
	struct err err = { .code = 0 };
	size_t i;
	int rc;

	whole.now_ms = hub_now(s->hub);
	rc = sync_step(s->sync, &whole, todo, &err);
	if (rc != 0) {
		session_over(s, &err);
		return 0;
	}
	session_send(s, todo->send.data, todo->send.len);
	for (i = 0; i < todo->n && !s->dead; i++)
		act(s, &todo->action[i], t);
	return todo->used;
}

/* Event and answers, and answers to what the answers lead to. */
static size_t
converse(struct session *s, const struct sync_event *event)
{
	struct talk now, next;
	struct err err = { .code = 0 };
	size_t used, i;

	s->talking = true;
	now.n = 0;
	now.full = false;
	used = step(s, event, &now);
	while (now.n > 0 && !s->dead && !now.full) {
		next.n = 0;
		next.full = false;
		for (i = 0; i < now.n && !s->dead; i++)
			step(s, &now.answer[i].event, &next);
		now = next;
		for (i = 0; i < now.n; i++)
			if (now.answer[i].event.why != NULL)
				now.answer[i].event.why = &now.answer[i].why;
	}
	s->talking = false;
	if (now.full) {
		err_set(&err, E_FATAL, NULL, "too much to answer at once");
		session_over(s, &err);
	}
	return used;
}

void
talk(struct session *s, const struct sync_event *event)
{
	if (s->dead)
		return;
	converse(s, event);
	/* Bytes may have waited for what was answered now. */
	session_pump(s);
}

size_t
talk_bytes(struct session *s, const uint8_t *bytes, size_t len)
{
	struct sync_event event = { .kind = SYNC_ON_BYTES, .data = bytes,
		.len = len };

	return converse(s, &event);
}

void
talk_start(struct session *s)
{
	struct convert_hello *hello = malloc(sizeof *hello);
	struct sync_event event = { .kind = SYNC_ON_START };
	struct hub *h = s->hub;
	struct err err = { .code = 0 };
	int rc;

	if (hello == NULL)
		rc = err_nomem(&err);
	else
		rc = own_hello(s, hello, &err);
	if (rc != 0) {
		free(hello);
		session_over(s, &err);
		return;
	}
	event.hello = &hello->hello;
	talk(s, &event);
	free(hello);
	if (h->options.follow)
		session_follow(s);
	else if (h->options.eager && s->caller)
		s->wish = h->options.verb == EXCHANGE_PULL ? WISH_PULL
		    : WISH_FETCH;
	/* HELLO and the first PULL go in one flight. */
	if (!s->dead && s->wish != WISH_NONE && hub_may_pull(h))
		hub_take_turn(h, s);
}

void
talk_refuse(struct session *s)
{
	const struct err why = { .code = E_REFUSED };
	struct sync_event event = { .kind = SYNC_ON_REFUSE };
	struct err said = why;

	err_set(&said, E_REFUSED, NULL, "%s", not_known);
	event.why = &said;
	talk(s, &event);
	session_over(s, &said);
}

void
talk_end(struct session *s, const struct err *why)
{
	struct sync_event event = { .kind = SYNC_ON_STOP, .why = why };

	if (s->known)
		talk(s, &event);
}

void
talk_time(struct session *s, uint64_t now_ms)
{
	struct sync_event event = { .kind = SYNC_ON_TIME };

	if (s->wants_room && session_has_room(s)) {
		s->wants_room = false;
		event.kind = SYNC_ON_ROOM;
		talk(s, &event);
	}
	serve_time(s, now_ms);
	if (s->probe) {
		s->probe = false;
		event.kind = SYNC_ON_PROBE;
		talk(s, &event);
	}
	if (s->push_ready && !s->dead) {
		s->push_ready = false;
		event.kind = SYNC_ON_PUSH_DONE;
		event.pushed = &s->push_said;
		talk(s, &event);
	}
	if (now_ms >= s->talk_ms) {
		s->talk_ms = HUB_NEVER;
		event.kind = SYNC_ON_TIME;
		talk(s, &event);
	}
	if (now_ms >= s->again_ms) {
		s->again_ms = HUB_NEVER;
		session_follow(s);
	}
	pull_time(s, now_ms);
	if (!s->dead && s->open)
		jobs_push(s);
	schema_time(s);
	digest_time(s, now_ms);
}

void
session_notify(struct session *s, const struct store_entry *entry, size_t n)
{
	struct sync_event event = { .kind = SYNC_ON_CHANGED };
	struct wire_entry *news = convert_entries_out(entry, n);

	if (news == NULL)
		return;
	event.entry = news;
	event.nentries = n;
	talk(s, &event);
	free(news);
}

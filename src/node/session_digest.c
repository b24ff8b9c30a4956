// SPDX-License-Identifier: MPL-2.0
/*
 * session_digest.c - verifying: ours with the peer, and the peer's with us.
 * Reading whole tables takes long, so it is done in slices, between which the
 * loop does other things.
 */
#include <stdio.h>

#include "node/session_state.h"

enum {
	SLICE_ROWS = 4096,
	STILL_MS = 2000,        /* then the peer hears that we are at it */
	IDLE_MS = 300000        /* of a peer that says nothing, in all: a snapshot
	                           that is held makes the WAL grow */
};

static void
close_digest(struct digesting *g)
{
	store_digest_close(g->digest);
	*g = (struct digesting){ .digest = NULL };
}

static void
go_on(struct session *s, struct digesting *g)
{
	g->works = true;
	session_wake(s, hub_now(s->hub));
}

/* A slice of work; *says if there is something for the peer. */
static int
work(struct session *s, struct digesting *g, enum store_digest_state *state,
    struct sync_event *event, struct err *err)
{
	int rc = store_digest_step(g->digest, SLICE_ROWS, state, &event->data,
	    &event->len, err);

	g->works = rc == 0 && (*state == STORE_DIGEST_WORKS ||
	    *state == STORE_DIGEST_SAYS);
	if (g->works)
		session_wake(s, hub_now(s->hub));
	return rc;
}

/* ---- ours ---- */

/* Ends it; the peer is told, unless it said so itself. */
static void
stop(struct session *s)
{
	struct sync_event event = { .kind = SYNC_ON_DIGEST_STOP };

	close_digest(&s->asking);
	talk(s, &event);
	/* another may wait for its time */
	session_wake(s, hub_now(s->hub));
}

static void
show(struct session *s, uint64_t now_ms)
{
	struct exchange_progress p = { .remote = s->remote.name,
		.stage = "Comparing",
		.elapsed_ms = (int64_t)(now_ms - s->asking.started_ms) };
	struct store_compared c;

	store_digest_result(s->asking.digest, &c);
	p.rows = c.read;
	jobs_compared(s, &p);
}

static void
finish(struct session *s, const struct err *why)
{
	const struct err fine = { .code = 0 };
	struct store_compared c;

	store_digest_result(s->asking.digest, &c);
	jobs_verified(s, why != NULL ? why : &fine, why != NULL ? NULL : &c);
	stop(s);
}

static void
begin(struct session *s, uint64_t now_ms)
{
	struct err err = { .code = 0 };

	if (!jobs_verify(s))
		return;
	if (store_digest_ask(s->hub->store, s->remote.id, &s->asking.digest,
	    &err) != 0) {
		jobs_verified(s, &err, NULL);
		return;
	}
	s->asking.started_ms = now_ms;
	go_on(s, &s->asking);
}

static void
ask(struct session *s, uint64_t now_ms)
{
	struct sync_event event = { .kind = SYNC_ON_DIGEST_SAY };
	enum store_digest_state state;
	struct err err = { .code = 0 };

	if (!jobs_verifying(s)) {
		stop(s);
		return;
	}
	if (!s->asking.works)
		return;
	if (work(s, &s->asking, &state, &event, &err) != 0) {
		finish(s, &err);
		return;
	}
	if (state == STORE_DIGEST_DONE) {
		finish(s, NULL);
		return;
	}
	show(s, now_ms);
	if (s->asking.digest != NULL && state == STORE_DIGEST_SAYS)
		talk(s, &event);
}

void
digest_heard(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct err err = { .code = 0 };

	if (s->asking.digest == NULL)
		return;
	if (a->len == 0) {
		show(s, hub_now(s->hub));
	} else if (store_digest_take(s->asking.digest, a->data, a->len,
	    &err) == 0) {
		go_on(s, &s->asking);
	} else {
		close_digest(&s->asking);
		talk_answer(t, SYNC_ON_DIGEST_STOP, NULL);
		jobs_verified(s, &err, NULL);
	}
}

void
digest_over(struct session *s, const struct err *why)
{
	struct err said = *why;

	if (s->asking.digest == NULL)
		return;
	/* Hints do not travel. */
	if (said.code == E_UNREACHABLE && said.hint[0] == '\0')
		snprintf(said.hint, sizeof said.hint,
		    "pull on both sides, then verify again");
	close_digest(&s->asking);
	jobs_verified(s, &said, NULL);
}

/* ---- the peer's ---- */

static void
give_up(struct session *s, const struct err *why)
{
	struct sync_event event = { .kind = SYNC_ON_DIGEST_FAILED, .why = why };

	close_digest(&s->answering);
	talk(s, &event);
}

/* When it has been silent for too long, now that it is its turn. */
static uint64_t
idle_due(const struct digesting *g)
{
	return g->told_ms + (g->silent_ms < IDLE_MS ? IDLE_MS - g->silent_ms : 0);
}

static void
look_idle(struct session *s, uint64_t now_ms)
{
	uint64_t due = idle_due(&s->answering);
	struct err why = { .code = 0 };

	if (now_ms < due) {
		session_wake(s, due);
		return;
	}
	err_set(&why, E_INTERRUPTED, NULL, "nothing was said for too long");
	give_up(s, &why);
}

static void
answer(struct session *s, uint64_t now_ms)
{
	struct sync_event event = { .kind = SYNC_ON_DIGEST_ANSWER };
	struct digesting *g = &s->answering;
	enum store_digest_state state;
	struct err err = { .code = 0 };

	if (work(s, g, &state, &event, &err) != 0) {
		give_up(s, &err);
	} else if (state == STORE_DIGEST_SAYS) {
		g->works = false;
		g->told_ms = now_ms;
		session_wake(s, idle_due(g));
		talk(s, &event);
	} else if (state == STORE_DIGEST_WORKS
	    && now_ms >= g->told_ms + STILL_MS) {
		g->told_ms = now_ms;
		event.len = 0;
		talk(s, &event);
	}
}

void
digest_asked(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct digesting *g = &s->answering;
	struct err err = { .code = 0 };
	int rc = 0;

	if (a->anew) {
		close_digest(g);
		rc = store_digest_answer(s->hub->store, s->remote.id,
		    &g->digest, &err);
	}
	if (rc == 0)
		rc = store_digest_take(g->digest, a->data, a->len, &err);
	if (rc != 0) {
		close_digest(g);
		talk_answer(t, SYNC_ON_DIGEST_FAILED, &err);
		return;
	}
	g->silent_ms += a->anew ? 0 : hub_now(s->hub) - g->told_ms;
	g->told_ms = hub_now(s->hub);
	go_on(s, g);
}

void
digest_end(struct session *s)
{
	close_digest(&s->answering);
}

/* ---- both ---- */

void
digest_time(struct session *s, uint64_t now_ms)
{
	if (!s->dead && s->open && s->asking.digest == NULL)
		begin(s, now_ms);
	else if (!s->dead && s->asking.digest != NULL)
		ask(s, now_ms);
	if (!s->dead && s->answering.works)
		answer(s, now_ms);
	else if (!s->dead && s->answering.digest != NULL)
		look_idle(s, now_ms);
}

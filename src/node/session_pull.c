// SPDX-License-Identifier: MPL-2.0
/* session_pull.c - pulling from the peer: when, what is asked, what came. */
#include <stdlib.h>
#include <string.h>

#include "node/convert.h"
#include "node/session_state.h"
#include "store/past.h"

enum {
	PULL_AGAIN_MS = 1000,
	PULL_HELD_MS = 600000,  /* unless some were reviewed before: hub_changed */
	PUSH_LOCKED_MS = 5000,  /* who pushes is told then that it is locked */
	LOOK_MS = 3000,         /* how a pull comes forward is looked at */
	TURN_BYTES = 256 << 10, /* less in that time, and the turn is lost */
	SILENT_MS = 60000,      /* nothing in that time: it is given up */
	REST_MIN_MS = 60000,    /* then this one is left alone, each time twice */
	REST_MAX_MS = 960000    /* as long as the last */
};

void
session_follow(struct session *s)
{
	s->wish = s->remote.automerge ? WISH_PULL : WISH_FETCH;
	hub_wake(s->hub, hub_now(s->hub));
}

/* What was asked of it last was not answered. */
static bool
is_resting(const struct session *s)
{
	return hub_now(s->hub) < s->rest_ms;
}

bool
session_wants_turn(const struct session *s)
{
	return !s->pulling.on && ((s->wish != WISH_NONE && !is_resting(s))
	    || jobs_want(s, EXCHANGE_PULL) || jobs_want(s, EXCHANGE_FETCH));
}

/* Opens the pull in the store, and what is to be said of it. */
static int
begin(struct session *s, struct err *err)
{
	struct pulling *p = &s->pulling;
	uint64_t n;
	int rc = store_conflict_news(s->hub->store, &s->hub->conflict, &n, err);

	/* which merges what lies in the inbox */
	if (rc == 0)
		rc = store_pull_begin(s->hub->store, s->remote.id, p->fetch_only,
		    &p->pull, &p->plan, err);
	if (rc == 0)
		rc = convert_plan_out(&p->plan, &p->asked, err);
	if (rc == 0)
		rc = store_pull_partial(p->pull, p->asked.resume_page,
		    &p->asked.resume_at, err);
	p->asked.fetch_only = p->fetch_only;
	return rc;
}

/* Gives up what the store holds of it; what was taken stays. */
static void
end(struct session *s)
{
	struct pulling *p = &s->pulling;
	struct store_result so_far = { .rows = 0 };

	if (p->pull != NULL)
		store_pull_close(p->pull, &so_far);
	if (!p->ended)
		p->got = so_far;
	p->pull = NULL;
	store_plan_clear(&p->plan);
	convert_pull_clear(&p->asked);
}

void
session_take_turn(struct session *s)
{
	struct pulling *p = &s->pulling;
	struct sync_event event = { .kind = SYNC_ON_PULL };
	struct err err = { .code = 0 };

	memset(p, 0, sizeof *p);
	p->on = true;
	p->fetch_only = s->wish != WISH_PULL && !jobs_want(s, EXCHANGE_PULL);
	p->started_ms = p->came_ms = hub_now(s->hub);
	p->look_ms = p->started_ms + LOOK_MS;
	p->seen_bytes = sync_pull_bytes(s->sync);
	session_wake(s, p->look_ms);
	p->for_push = s->push_asked;
	s->again_ms = HUB_NEVER;
	s->push_asked = false;
	s->wish = WISH_NONE;
	jobs_start(s, p->fetch_only);
	if (begin(s, &err) != 0) {
		pull_over(s, &err);
		return;
	}
	event.plan = &p->asked;
	talk(s, &event);
}

void
pull_need_plan(struct session *s, bool anew, struct talk *t)
{
	struct err err = { .code = 0 };

	if (anew) {
		end(s);
		if (begin(s, &err) != 0) {
			talk_answer(t, SYNC_ON_PULL_STOP, &err);
			return;
		}
	}
	talk_answer(t, SYNC_ON_PLAN, NULL)->plan = &s->pulling.asked;
}

static void
taken(struct session *s, int rc, const struct err *err, struct talk *t)
{
	talk_answer(t, rc == 0 ? SYNC_ON_TAKEN : SYNC_ON_PULL_STOP,
	    rc == 0 ? NULL : err);
}

static void
show(struct session *s, const char *stage)
{
	struct exchange_progress shown = { .remote = s->remote.name,
		.stage = stage, .bytes = s->pulling.bytes,
		.elapsed_ms = (int64_t)(hub_now(s->hub)
		    - s->pulling.started_ms) };
	struct store_result so_far;

	if (s->jobs == NULL)
		return;
	store_pull_progress(s->pulling.pull, &so_far);
	shown.rows = so_far.rows;
	shown.transactions = so_far.transactions;
	jobs_progress(s, &shown);
}

void
pull_take_page(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct err err = { .code = 0 };
	int rc = store_pull_page(s->pulling.pull, a->data, a->len, &err);

	s->pulling.bytes += a->transferred;
	show(s, "Receiving changes");
	taken(s, rc, &err, t);
}

void
pull_take_piece(struct session *s, const struct sync_action *a,
    struct talk *t)
{
	const struct wire_page *p = a->piece;
	struct err err = { .code = 0 };
	uint64_t have = 0;
	int rc = store_pull_piece(s->pulling.pull, p->hash, p->total, p->raw,
	    p->zipped, p->offset, p->bytes.data, p->bytes.len, &have, &err);

	if (rc == 0 && p->last)
		rc = store_pull_pieced(s->pulling.pull, &err);
	s->pulling.bytes += p->bytes.len;
	show(s, "Receiving changes");
	taken(s, rc, &err, t);
}

void
pull_take_end(struct session *s, const struct sync_action *a, struct talk *t)
{
	struct pulling *p = &s->pulling;
	struct store_end last;
	struct err err = { .code = 0 };
	int rc;

	show(s, "Merging");
	memset(&last, 0, sizeof last);
	rc = convert_end_in(a->end, &last, &err);
	if (rc == 0) {
		rc = store_pull_end(p->pull, &last, &p->got, &err);
		store_end_clear(&last);
	}
	/* it deletes too much, or makes too many conflicts: it lies in the inbox */
	p->fetch_only = p->fetch_only || p->got.why[0] != '\0';
	p->ended = rc == 0;
	taken(s, rc, &err, t);
}

/* To the peer, who had asked us to pull. */
static void
tell_pusher(struct session *s, const struct err *why)
{
	struct wire_pushed said = {
		.code = why->code != 0 ? wire_code_of(why->code)
		    : s->pulling.fetch_only && s->pulling.got.held > 0
		    ? WIRE_E_HELD : WIRE_OK,
		.transactions = s->pulling.got.transactions,
		.rows = s->pulling.got.rows };

	s->push_why = *why;
	s->push_said = said;
	s->push_said.text.data = (const uint8_t *)s->push_why.text;
	s->push_said.text.len = strlen(s->push_why.text);
	s->push_ready = true;
	session_wake(s, hub_now(s->hub));
}

static void
tell_conflicts(struct session *s)
{
	struct node_event event = { .kind = NODE_CONFLICTS,
		.remote = s->remote.name };

	if (store_conflict_news(s->hub->store, &s->hub->conflict, &event.rows,
	    NULL) == 0 && event.rows > 0)
		hub_emit(s->hub, &event);
}

static void
tell(struct session *s, const struct err *why)
{
	const struct pulling *p = &s->pulling;
	struct node_event event = {
		.kind = p->fetch_only ? NODE_FETCHED : NODE_PULLED,
		.remote = s->remote.name, .place = s->place,
		.transactions = p->got.transactions, .rows = p->got.rows,
		.bytes = p->bytes,
		.elapsed_ms = (int64_t)(hub_now(s->hub) - p->started_ms) };
	struct node_event trouble = { .kind = NODE_TROUBLE,
		.remote = s->remote.name, .text = why->text,
		.hint = why->hint };
	struct node_event held = { .kind = NODE_TROUBLE,
		.remote = s->remote.name, .text = p->got.why,
		.hint = p->got.hint };

	if (p->got.transactions > 0 || p->got.rows > 0)
		hub_emit(s->hub, &event);
	if (p->got.why[0] != '\0')
		hub_emit(s->hub, &held);
	if (p->got.rows > 0 && !p->fetch_only)
		tell_conflicts(s);
	/* What keeps a session from opening is told by who called. */
	if (why->code != 0 && (why->code != E_UNREACHABLE || p->silent)
	    && s->open && !s->dead)
		hub_emit(s->hub, &trouble);
}

/* All of it waits for its turn again. */
static void
wait_for_turn(struct session *s)
{
	if (s->hub->options.follow)
		session_follow(s);
	else if (s->wish != WISH_PULL)
		s->wish = s->pulling.fetch_only ? WISH_FETCH : WISH_PULL;
	jobs_again(s);
}

/* The database is locked. */
static void
wait_for_lock(struct session *s, const struct err *why)
{
	struct hub *h = s->hub;

	hub_lock_found(h, why);
	if (s->pulling.for_push
	    && hub_now(h) - h->lock.since_ms < PUSH_LOCKED_MS)
		s->push_asked = true;
	else if (s->pulling.for_push)
		tell_pusher(s, why);
	wait_for_turn(s);
}

/* The peer is there, and does not do what it is asked: it is left alone for a
 * while, unless somebody wants it. */
static void
rest(struct session *s, const struct err *why)
{
	uint64_t ms = (uint64_t)REST_MIN_MS << s->silent;

	if (ms < REST_MAX_MS)
		s->silent++;
	s->rest_ms = hub_now(s->hub) + (ms < REST_MAX_MS ? ms : REST_MAX_MS);
	if (s->hub->options.follow) {
		s->again_ms = s->rest_ms;
		session_wake(s, s->again_ms);
	}
	store_remote_note(s->hub->store, s->remote.id, hub_date(s->hub), NULL,
	    why->text, NULL);
}

/* It answers again. */
static void
rest_over(struct session *s)
{
	if (s->rest_ms != 0)
		store_remote_note(s->hub->store, s->remote.id,
		    hub_date(s->hub), s->place, NULL, NULL);
	s->silent = 0;
	s->rest_ms = 0;
}

/* It ended, well or badly. */
static void
settle(struct session *s, const struct err *why)
{
	if (why->code == 0) {
		hub_lock_over(s->hub);
		rest_over(s);
	}
	if (s->pulling.for_push && !s->dead)
		tell_pusher(s, why);
	jobs_pulled(s, why);
}

void
pull_over(struct session *s, const struct err *why)
{
	struct pulling *p = &s->pulling;
	bool locked = why->locked && !s->dead, room = true;

	if (!p->on)
		return;
	p->on = false;
	s->held = p->got.why[0] != '\0' &&
	    store_conflict_room(s->hub->store, &room, NULL) == 0 && !room;
	end(s);
	/* Whatever was merged is news to the others, also if it ended badly. */
	s->hub->look = true;
	tell(s, why);
	if (locked) {
		wait_for_lock(s, why);
	} else if (p->put_back && !s->dead) {
		s->push_asked |= p->for_push;
		wait_for_turn(s);
	} else {
		settle(s, why);
	}
	/* Only HELLO finds out where the two lives part. */
	if (why->code != 0 && store_is_behind(s->hub->store) && !s->dead) {
		if (!s->talking)
			talk_end(s, why);
		session_over(s, why);
	}
	if (p->silent && !s->dead) {
		rest(s, why);
	} else if ((why->code == E_UNREACHABLE || why->code == E_HORIZON ||
	    s->held) && !locked && !p->put_back && s->hub->options.follow &&
	    !s->dead) {
		/* The peer was busy, one of us lacks what the other has forgotten
		 * and may get it from a third, or there is no room for conflicts:
		 * later. */
		s->again_ms = hub_now(s->hub) + (why->code == E_UNREACHABLE &&
		    !s->held ? PULL_AGAIN_MS : PULL_HELD_MS);
		session_wake(s, s->again_ms);
	}
	hub_wake(s->hub, hub_now(s->hub));
}

static void
stop(struct session *s, const struct err *why)
{
	struct sync_event event = { .kind = SYNC_ON_PULL_STOP, .why = why };

	talk(s, &event);
}

static void
give_up(struct session *s)
{
	struct err why = { .code = 0 };

	s->pulling.silent = true;
	err_set(&why, E_UNREACHABLE, "it is asked again later; is its disk slow, "
	    "or its database kept busy?", "the other side is there, but sent "
	    "nothing of what was asked for within %d s", SILENT_MS / 1000);
	stop(s, &why);
}

void
pull_put_back(struct session *s)
{
	struct err why = { .code = 0 };

	s->pulling.put_back = true;
	s->turn = ++s->hub->last_turn;
	err_set(&why, E_UNREACHABLE, NULL, "others wait for their turn");
	stop(s, &why);
}

/* Bytes of pages and of END count, also of what is only half here: what else a
 * peer says is no answer.  Where we come late, the fault may be ours. */
void
pull_time(struct session *s, uint64_t now_ms)
{
	struct pulling *p = &s->pulling;
	uint64_t bytes;
	bool late;

	if (s->dead || !p->on || now_ms < p->look_ms)
		return;
	late = now_ms > p->look_ms + SYNC_LATE_MS;
	bytes = sync_pull_bytes(s->sync);
	/* What we say may still be on its way, see check_slow(). */
	if (late || s->blocked || bytes != p->seen_bytes)
		p->came_ms = now_ms;
	if (!late && bytes < p->seen_bytes + TURN_BYTES)
		p->beside = true;
	p->seen_bytes = bytes;
	p->look_ms = now_ms + LOOK_MS;
	if (now_ms - p->came_ms >= SILENT_MS)
		give_up(s);
}

void
pull_notified(struct session *s, const struct wire_entry *entry, size_t n)
{
	struct store_entry *news;
	bool covered = false;
	int rc;

	news = convert_entries_in(entry, n);
	if (news == NULL)
		return;
	store_heard(s->hub->store, s->remote.id, news, n);
	rc = store_covers(s->hub->store, news, n, &covered, NULL);
	jobs_heard(s, news, n);
	free(news);
	if (s->hub->options.follow && (rc != 0 || !covered))
		session_follow(s);
}

void
pull_push_asked(struct session *s, struct talk *t)
{
	static const struct wire_pushed busy = { .code = WIRE_E_BUSY };

	if (!s->hub->options.follow || is_resting(s)) {
		talk_answer(t, SYNC_ON_PUSH_DONE, NULL)->pushed = &busy;
		return;
	}
	s->push_asked = true;
	session_follow(s);
}

// SPDX-License-Identifier: MPL-2.0
#include "node/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/session.h"
#include "store/peer.h"

enum {
	SLACK_MS = 500,         /* who reaches has the better reason to give */
	PROGRESS_MS = 100,      /* shown at most so often */
	LOCKED_AGAIN_MS = 100,  /* after the database was found locked */
	TRIES_MAX = 4,          /* connections that are lost */
	CALL_AGAIN_MIN_MS = 250,        /* who waits: from one to the next, doubled */
	CALL_AGAIN_MAX_MS = 4000
};

enum target_state { FRESH, LATER, REACHING, ASKED, OVER };

struct target {
	struct job job;
	struct run *run;
	struct store_remote remote;
	enum target_state state;
	uint64_t seen_ms;       /* of the last progress */
	uint64_t later_ms;
	uint64_t bytes;         /* most that one try has brought */
	struct store_result merged;     /* by earlier tries */
	unsigned tries;
	uint32_t wait_ms;       /* after the last call that failed */
	struct store_want *want;        /* WAIT */
};

struct run {
	struct node *node;
	uv_timer_t timer;
	enum exchange_verb verb;
	uint32_t timeout_ms;
	const struct run_events *events;
	void *owner;
	uint64_t started_ms, shown_ms;
	struct target *target;
	size_t n, over;
	int code;               /* gravest so far */
	bool ended;
	bool allow_delete;
};

static void on_timer(uv_timer_t *timer);

static uint64_t
now(const struct run *r)
{
	return uv_now(&r->node->loop);
}

static void
free_run(struct run *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		store_want_free(r->target[i].want);
	free(r->target);
	free(r);
}

static void
timer_closed(uv_handle_t *handle)
{
	struct run *r = handle->data;

	free_run(r);
}

void
run_stop(struct run *r)
{
	size_t i;

	if (r->ended)
		return;
	r->ended = true;
	for (i = 0; i < r->n; i++)
		if (r->target[i].state == ASKED)
			session_undo(&r->target[i].job);
	uv_close((uv_handle_t *)&r->timer, timer_closed);
}

static void
end(struct run *r, int code, const struct err *why)
{
	const struct run_events *events = r->events;
	void *owner = r->owner;

	if (r->ended)
		return;
	run_stop(r);
	events->done(owner, code, why);
}

static void
finish(struct target *t, const struct exchange_result *result)
{
	struct run *r = t->run;
	int rc;

	t->state = OVER;
	r->over++;
	r->code = err_gravest(r->code, result->code);
	rc = r->events->result(r->owner, result);
	if (rc != 0)
		end(r, rc, NULL);
	else if (r->over == r->n)
		end(r, r->code, NULL);
}

static void
fail(struct target *t, const struct err *why)
{
	struct exchange_result result = { .remote = t->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = "" };
	const struct net_env *env = &t->run->node->net_env;

	/* that it has not merged yet is no trouble of its */
	if (t->run->verb != EXCHANGE_WAIT || t->state != ASKED)
		store_remote_note(t->run->node->store, t->remote.id,
		    (int64_t)env->now_ms(env->self), NULL, why->text, NULL);
	finish(t, &result);
}

static void arm(struct run *r);

/* The database was found locked.  False if there is no time for another try. */
static bool
try_later(struct target *t, const struct err *why)
{
	struct run *r = t->run;

	if (!why->locked
	    || now(r) + LOCKED_AGAIN_MS >= t->seen_ms + r->timeout_ms)
		return false;
	t->state = LATER;
	t->later_ms = now(r) + LOCKED_AGAIN_MS;
	arm(r);
	return true;
}

static void
on_job_progress(struct job *job, const struct exchange_progress *p)
{
	struct target *t = job->owner;
	struct run *r = t->run;
	struct exchange_progress shown = *p;
	uint64_t since;
	int rc;

	/* What comes again, because it could not be merged, is none. */
	if (p->bytes > t->bytes || hub_locked(r->node->hub, &since) == NULL)
		t->seen_ms = now(r);
	if (p->bytes > t->bytes)
		t->bytes = p->bytes;
	if (r->events->progress == NULL || now(r) - r->shown_ms < PROGRESS_MS)
		return;
	r->shown_ms = now(r);
	shown.elapsed_ms = (int64_t)(now(r) - r->started_ms);
	rc = r->events->progress(r->owner, &shown);
	if (rc != 0)
		end(r, rc, NULL);
}

static void reach(struct target *t);

static bool
waits(const struct target *t)
{
	return t->run->verb == EXCHANGE_WAIT;
}

/* Who waits calls again, unless it is no use. */
static bool
call_again(struct target *t, const struct err *why)
{
	struct run *r = t->run;

	if (!waits(t) || (why->code != E_UNREACHABLE &&
	    !(why->code == E_NOTFOUND && r->events->calls_again)))
		return false;
	if (r->events->calls_again)
		return true;
	t->wait_ms = t->wait_ms == 0 ? CALL_AGAIN_MIN_MS : 2 * t->wait_ms;
	if (t->wait_ms > CALL_AGAIN_MAX_MS)
		t->wait_ms = CALL_AGAIN_MAX_MS;
	t->state = LATER;
	t->later_ms = now(r) + t->wait_ms;
	arm(r);
	return true;
}

static void
on_job_done(struct job *job, const struct exchange_result *result)
{
	struct target *t = job->owner;

	/* What has arrived stays, so another connection goes on from there;
	 * there may be one already, if the two sides called each other. */
	if (result->lost && (waits(t) || ++t->tries < TRIES_MAX))
		reach(t);
	else
		finish(t, result);
}

static void
ask(struct target *t, struct session *s)
{
	t->state = ASKED;
	t->seen_ms = now(t->run);
	t->bytes = 0;
	t->job = (struct job){ .verb = t->run->verb,
		.want = t->want, .progress = on_job_progress,
		.done = on_job_done, .owner = t };
	t->wait_ms = 0;
	session_do(s, &t->job);
}

void
run_opened(struct run *r, struct session *s)
{
	size_t i;

	for (i = 0; i < r->n && !r->ended; i++)
		if (r->target[i].state == REACHING
		    && r->target[i].remote.id == session_remote(s))
			ask(&r->target[i], s);
}

void
run_failed(struct run *r, int64_t remote, const struct err *why)
{
	size_t i;

	for (i = 0; i < r->n && !r->ended; i++)
		if (r->target[i].state == REACHING
		    && r->target[i].remote.id == remote) {
			if (!call_again(&r->target[i], why)
			    && !try_later(&r->target[i], why))
				fail(&r->target[i], why);
			return;
		}
}

static void
merge(struct target *t)
{
	struct exchange_result result = { .remote = t->remote.name,
		.error = "", .hint = "", .path = "" };
	struct store_result got = { .rows = 0 };
	struct err err = { .code = 0 };
	bool again;

	store_allow_delete(t->run->node->store, t->run->allow_delete);
	result.code = store_merge_inbox(t->run->node->store, t->remote.id, &got,
	    &err);
	store_allow_delete(t->run->node->store, false);
	if (got.rows > 0)
		t->seen_ms = now(t->run);
	got.transactions += t->merged.transactions;
	got.rows += t->merged.rows;
	got.bytes += t->merged.bytes;
	t->merged = got;
	if (try_later(t, &err))
		return;
	if (result.code != 0) {
		result.error = err.text;
		result.hint = err.hint;
	} else if (got.parked > 0 || got.why[0] != '\0') {
		result.code = E_HELD;
		result.error = got.why;
		result.hint = got.hint;
	}
	result.transactions = got.transactions;
	result.rows = got.rows;
	result.bytes = got.bytes;
	result.parked = got.parked;
	result.held = got.held;
	hub_changed(t->run->node->hub, &again);
	finish(t, &result);
}

/* It may have said before that it has all of it. */
static bool
has_it(struct target *t)
{
	struct exchange_result result = { .remote = t->remote.name,
		.error = "", .hint = "", .path = "", .peer_merges = true };
	bool met = false;

	if (!waits(t) || store_want_met(t->want, &met, NULL) != 0 || !met)
		return false;
	finish(t, &result);
	return true;
}

static void
start_target(struct target *t)
{
	if (t->state == FRESH)
		t->seen_ms = now(t->run);
	if (has_it(t))
		return;
	if (t->run->verb == EXCHANGE_MERGE)
		merge(t);
	else
		reach(t);
}

static void
reach(struct target *t)
{
	struct run *r = t->run;
	struct session *s;

	t->state = REACHING;
	s = hub_find(r->node->hub, t->remote.key);
	if (s != NULL)
		ask(t, s);
	else
		r->events->reach(r->owner, &t->remote);
}

/* What comes here waits for a lock of this database; nothing else does. */
static const struct err *
why_locked(const struct run *r, uint64_t *since_ms)
{
	const struct err *why = hub_locked(r->node->hub, since_ms);

	return r->verb == EXCHANGE_FETCH || r->verb == EXCHANGE_PULL ||
	    r->verb == EXCHANGE_MERGE ? why : NULL;
}

/* When waiting is over, whatever happens. */
static uint64_t
deadline(const struct run *r)
{
	return r->timeout_ms == 0 ? UINT64_MAX : r->started_ms + r->timeout_ms;
}

/* When it is to be tried, or given up. */
static uint64_t
due_of(const struct target *t)
{
	const struct run *r = t->run;
	uint64_t since, seen = t->seen_ms;
	bool locked = why_locked(r, &since) != NULL;

	if (waits(t) && (t->state == REACHING || t->state == ASKED))
		return deadline(r);
	switch (t->state) {
	case FRESH:
		return now(r);
	case LATER:
		return waits(t) && t->later_ms > deadline(r) ? deadline(r) :
		    t->later_ms;
	case REACHING:
		return seen + r->timeout_ms + SLACK_MS;
	case ASKED:
		/* Who waits for his turn is not slow; but for a lock everybody
		 * waits as long as he said. */
		if (locked)
			seen = since > seen ? since : seen;
		else if (!t->job.running)
			seen = now(r);
		return seen + r->timeout_ms;
	case OVER:
		break;
	}
	return UINT64_MAX;
}

static void
give_up(struct target *t)
{
	struct run *r = t->run;
	struct err why = { .code = 0 };
	uint64_t since;
	const struct err *locked = why_locked(r, &since);

	if (t->state == ASKED)
		session_undo(&t->job);
	if (t->state == ASKED && locked != NULL)
		why = *locked;
	else if (t->state == ASKED && waits(t))
		err_set(&why, E_UNREACHABLE, "it is connected; its owner may have "
		    "to merge, or it is busy", "what is here was not all merged "
		    "there within %.3g s", r->timeout_ms / 1000.0);
	else
		err_set(&why, E_UNREACHABLE, t->state == ASKED
		    ? "what has arrived stays; try again, or with a longer "
		    "--timeout" : "is `ddcp serve` running there? else name the "
		    "place: KEY@HOST:PORT", t->state == ASKED
		    ? "the other side did nothing for %.3g s"
		    : "nobody with this address answered within %.3g s",
		    r->timeout_ms / 1000.0);
	fail(t, &why);
}

static void
arm(struct run *r)
{
	uint64_t due = UINT64_MAX, at;
	const struct target *t;

	if (r->ended)
		return;
	for (t = r->target; t < r->target + r->n; t++) {
		at = due_of(t);
		due = at < due ? at : due;
	}
	if (due != UINT64_MAX)
		uv_timer_start(&r->timer, on_timer,
		    due > now(r) ? due - now(r) : 0, 0);
}

static void
on_timer(uv_timer_t *timer)
{
	struct run *r = timer->data;
	struct target *t;

	for (t = r->target; t < r->target + r->n && !r->ended; t++)
		if (now(r) < due_of(t))
			continue;
		else if (t->state == FRESH || t->state == LATER)
			start_target(t);
		else
			give_up(t);
	arm(r);
}

static int
add_target(void *self, const struct store_remote *remote)
{
	struct run *r = self;
	struct target *more = realloc(r->target, (r->n + 1) * sizeof *more);

	if (more == NULL)
		return E_FATAL;
	r->target = more;
	more[r->n++] = (struct target){ .remote = *remote };
	return 0;
}

static int
find_targets(struct run *r, const char *name, struct err *err)
{
	struct store_remote one;
	size_t i;
	int rc;

	if (name != NULL) {
		rc = store_remote_by_name(r->node->store, name, &one, err);
		if (rc == 0 && add_target(r, &one) != 0)
			rc = err_nomem(err);
	} else {
		rc = store_remote_each(r->node->store, add_target, r, err);
		if (rc == 0 && r->n == 0)
			rc = err_set(err, E_NOTFOUND,
			    "ddcp remote add NAME KEY names one",
			    "no remote is named here");
	}
	/* Now that the array stays where it is. */
	for (i = 0; i < r->n; i++) {
		r->target[i].run = r;
		if (rc == 0 && r->verb == EXCHANGE_WAIT)
			rc = store_want_new(r->node->store,
			    r->target[i].remote.id, &r->target[i].want, err);
	}
	return rc;
}

int
run_start(struct node *n, const struct exchange *x,
    const struct run_events *events, void *owner, struct run **out,
    struct err *err)
{
	struct run *r = calloc(1, sizeof *r);
	int rc;

	if (r == NULL)
		return err_nomem(err);
	r->node = n;
	r->verb = x->verb;
	r->timeout_ms = x->timeout_ms;
	r->allow_delete = x->allow_delete;
	r->events = events;
	r->owner = owner;
	rc = find_targets(r, x->remote, err);
	if (rc != 0) {
		free_run(r);
		return rc;
	}
	uv_timer_init(&n->loop, &r->timer);
	r->timer.data = r;
	uv_update_time(&n->loop);
	r->started_ms = now(r);
	uv_timer_start(&r->timer, on_timer, 0, 0);
	*out = r;
	return 0;
}

// SPDX-License-Identifier: MPL-2.0
/* session_job.c - what the owner of a node asked a session to do. */
#include <stdio.h>
#include <string.h>

#include "node/session_state.h"

static void
unlink_job(struct job *job)
{
	struct job **at = &job->session->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	job->session = NULL;
}

void
session_do(struct session *s, struct job *job)
{
	struct job **at = &s->jobs;
	bool pulls = job->verb == EXCHANGE_PULL || job->verb == EXCHANGE_FETCH;

	while (*at != NULL)
		at = &(*at)->next;
	job->session = s;
	job->next = NULL;
	/* The one that our first message asked for is this one. */
	job->running = pulls && s->pulling.on && !s->hub->options.follow
	    && s->pulling.fetch_only == (job->verb == EXCHANGE_FETCH);
	*at = job;
	session_wake(s, hub_now(s->hub));
}

void
session_undo(struct job *job)
{
	if (job->session != NULL)
		unlink_job(job);
}

bool
jobs_want(const struct session *s, enum exchange_verb verb)
{
	const struct job *job;

	for (job = s->jobs; job != NULL; job = job->next)
		if (!job->running && job->verb == verb)
			return true;
	return false;
}

void
jobs_start(struct session *s, bool fetch_only)
{
	struct job *job;

	for (job = s->jobs; job != NULL; job = job->next)
		if (job->verb == (fetch_only ? EXCHANGE_FETCH : EXCHANGE_PULL))
			job->running = true;
}

/* What a job is answered by. */
enum answer_kind { BY_PULL, BY_PUSH, BY_DIGEST, BY_WORD, BY_SCHEMA };

static enum answer_kind
kind_of(const struct job *job)
{
	switch (job->verb) {
	case EXCHANGE_PUSH:
		return BY_PUSH;
	case EXCHANGE_VERIFY:
		return BY_DIGEST;
	case EXCHANGE_WAIT:
		return BY_WORD;
	case EXCHANGE_SCHEMA:
		return BY_SCHEMA;
	default:
		return BY_PULL;
	}
}

/* The next running job of that kind after a change of the list. */
static struct job *
find_running(const struct session *s, enum answer_kind kind)
{
	struct job *job;

	for (job = s->jobs; job != NULL; job = job->next)
		if (job->running && kind_of(job) == kind)
			return job;
	return NULL;
}

static void
show_progress(struct session *s, enum answer_kind kind,
    const struct exchange_progress *p)
{
	struct job *job, *next;

	for (job = s->jobs; job != NULL; job = next) {
		next = job->next;
		if (job->running && kind_of(job) == kind
		    && job->progress != NULL)
			job->progress(job, p);
	}
}

void
jobs_progress(struct session *s, const struct exchange_progress *p)
{
	show_progress(s, BY_PULL, p);
}

void
jobs_compared(struct session *s, const struct exchange_progress *p)
{
	show_progress(s, BY_DIGEST, p);
}

static void
finish(struct job *job, const struct exchange_result *r)
{
	unlink_job(job);
	job->done(job, r);
}

/* The connection is over, or about to be: what was asked is not answered, but
 * lost, see jobs_over(). */
static bool
is_ending(const struct session *s)
{
	return s->dead || (s->open && !sync_is_open(s->sync));
}

void
jobs_pulled(struct session *s, const struct err *why)
{
	const struct store_result *got = &s->pulling.got;
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = s->place, .transactions = got->transactions,
		.rows = got->rows, .bytes = s->pulling.bytes,
		.parked = got->parked, .held = got->held };
	struct exchange_result sum;
	struct job *job;

	if (is_ending(s))
		return;
	if (r.code == 0 && got->why[0] != '\0') {
		r.error = got->why;
		r.hint = got->hint;
	}
	if (r.code == 0 && (got->parked > 0 || got->held > 0))
		r.code = E_HELD;
	while ((job = find_running(s, BY_PULL)) != NULL) {
		sum = r;
		sum.transactions += job->transactions;
		sum.rows += job->rows;
		sum.bytes += job->bytes;
		finish(job, &sum);
	}
}

void
jobs_again(struct session *s)
{
	const struct store_result *got = &s->pulling.got;
	struct job *job;

	while ((job = find_running(s, BY_PULL)) != NULL) {
		job->running = false;
		job->transactions += got->transactions;
		job->rows += got->rows;
		job->bytes += s->pulling.bytes;
	}
}

void
jobs_push(struct session *s)
{
	struct sync_event event = { .kind = SYNC_ON_PUSH };
	struct job *job;

	if (s->pushing || (!jobs_want(s, EXCHANGE_PUSH)
	    && !jobs_want(s, EXCHANGE_WAIT)))
		return;
	s->pushing = true;
	for (job = s->jobs; job != NULL; job = job->next)
		if (kind_of(job) == BY_PUSH || kind_of(job) == BY_WORD)
			job->running = true;
	talk(s, &event);
}

/* ---- waiting until the peer has merged what was here ---- */

static void
has_it(struct session *s, struct job *job, const struct err *why)
{
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = s->place, .peer_merges = why->code == 0 };

	finish(job, &r);
}

/* The peer has pulled now, or says why not.  That it was busy, or leaves merging
 * to its owner, is no end of waiting: it says so when it has merged. */
static void
waiters_pushed(struct session *s, const struct err *why)
{
	struct job *job, *next;

	if (why->code == E_UNREACHABLE || why->code == E_HELD)
		return;
	for (job = s->jobs; job != NULL; job = next) {
		next = job->next;
		if (job->running && kind_of(job) == BY_WORD)
			has_it(s, job, why);
	}
}

void
jobs_heard(struct session *s, const struct store_entry *entry, size_t n)
{
	const struct err fine = { .code = 0 };
	struct job *job, *next;
	bool met = false;

	for (job = s->jobs; job != NULL; job = next) {
		next = job->next;
		if (kind_of(job) != BY_WORD)
			continue;
		store_want_told(job->want, entry, n);
		if (store_want_met(job->want, &met, NULL) == 0 && met) {
			has_it(s, job, &fine);
			continue;
		}
		/* It merged something: is it all? */
		if (n > 0)
			job->running = false;
	}
	session_wake(s, hub_now(s->hub));
}

void
jobs_pushed(struct session *s, const struct err *why,
    const struct wire_pushed *pushed)
{
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = s->place };
	struct job *job;

	s->pushing = false;
	if (is_ending(s))
		return;
	if (pushed != NULL) {
		r.transactions = pushed->transactions;
		r.rows = pushed->rows;
	}
	r.peer_merges = r.code == 0;
	waiters_pushed(s, why);
	/* Fetched there and not merged: that is its owner's decision. */
	if (r.code == E_HELD)
		r.code = 0;
	while ((job = find_running(s, BY_PUSH)) != NULL)
		finish(job, &r);
	session_wake(s, hub_now(s->hub));
}

bool
jobs_verify(struct session *s)
{
	struct job *job;

	for (job = s->jobs; job != NULL; job = job->next)
		if (job->verb == EXCHANGE_VERIFY)
			job->running = true;
	return jobs_verifying(s);
}

bool
jobs_verifying(const struct session *s)
{
	return find_running(s, BY_DIGEST) != NULL;
}

void
jobs_verified(struct session *s, const struct err *why,
    const struct store_compared *compared)
{
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = s->place, .compared = compared };
	struct job *job;

	if (is_ending(s))
		return;
	if (compared != NULL)
		r.rows = compared->rows;
	if (compared != NULL && compared->differ + compared->here +
	    compared->there + compared->others > 0)
		r.code = E_DIFFERENT;
	while ((job = find_running(s, BY_DIGEST)) != NULL)
		finish(job, &r);
}

bool
jobs_schema(struct session *s)
{
	struct job *job;

	for (job = s->jobs; job != NULL; job = job->next)
		if (job->verb == EXCHANGE_SCHEMA)
			job->running = true;
	return find_running(s, BY_SCHEMA) != NULL;
}

void
jobs_described(struct session *s, const struct err *why, const uint8_t *data,
    size_t len)
{
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code, .error = why->text, .hint = why->hint,
		.path = s->place, .schema = data, .schema_len = len };
	struct job *job;

	if (is_ending(s))
		return;
	while ((job = find_running(s, BY_SCHEMA)) != NULL)
		finish(job, &r);
}

void
jobs_over(struct session *s, const struct err *why)
{
	struct exchange_result r = { .remote = s->remote.name,
		.code = why->code != 0 ? why->code : E_UNREACHABLE,
		.error = why->text, .hint = why->hint, .path = s->place,
		.lost = true };

	while (s->jobs != NULL)
		finish(s->jobs, &r);
}

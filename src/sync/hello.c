// SPDX-License-Identifier: MPL-2.0
/*
 * hello.c - who is who: HELLO, what the peer claims to hold of us, and the
 * search for the last common version where one of us is a copy (R16).
 */
#include <string.h>

#include "sync/state.h"

/* Nothing of ours goes out before this. */
static int
open_up(struct sync *s)
{
	int rc;

	s->phase = PHASE_OPEN;
	sync_do(s, SYNC_DO_OPENED)->hello = &s->hello.hello;
	s->opened_told = true;
	sync_reader_go_on(s);
	if ((rc = sync_server_go_on(s)) != 0)
		return rc;
	return sync_news_go_on(s);
}

int
sync_on_start(struct sync *s, const struct sync_event *ev)
{
	struct wire_msg m = { .type = WIRE_HELLO };

	if (s->phase != PHASE_NEW)
		return sync_misused(s, ev);
	m.hello = *ev->hello;
	m.hello.min_version = WIRE_VERSION_MIN;
	m.hello.max_version = WIRE_VERSION_MAX;
	m.hello.frame_max = (uint32_t)s->frame_max;
	s->phase = PHASE_HELLO;
	s->start_ms = s->heard_ms = s->now_ms;
	return sync_send(s, &m);
}

/* The ranges stand first in every version of HELLO. */
static bool
version_fits(const struct frame *f)
{
	return f->len < 2 || (f->body[0] <= WIRE_VERSION_MAX
	    && f->body[1] >= WIRE_VERSION_MIN);
}

int
sync_got_hello(struct sync *s, const struct frame *f)
{
	struct err why = { .code = 0 };
	struct sync_action *a;
	int rc;

	if (!version_fits(f)) {
		err_set(&why, E_REFUSED, "one of the two is too old: update it",
		    "no common protocol version: %u to %u there, %u to %u here",
		    f->body[0], f->body[1], WIRE_VERSION_MIN,
		    WIRE_VERSION_MAX);
		return sync_end(s, WIRE_E_VERSION, &why);
	}
	buf_add(&s->hello_bytes, f->body, f->len);
	if (s->hello_bytes.failed)
		return err_nomem(s->err);
	rc = wire_decode(WIRE_HELLO, s->hello_bytes.data, f->len, &s->hello,
	    &why);
	if (rc == E_INTEGRITY)
		return sync_bad(s, "%s", why.text);
	if (rc != 0)
		return err_nomem(s->err);
	s->send_max = s->hello.hello.frame_max;
	if (s->send_max > s->frame_max)
		s->send_max = s->frame_max;
	frames_allow(&s->in, s->frame_max, true);
	if (s->hello.hello.nyours == 0)
		return open_up(s);
	s->phase = PHASE_CLAIMS;
	a = sync_do(s, SYNC_DO_CHECK_CLAIMS);
	a->entry = s->hello.hello.yours;
	a->nentries = s->hello.hello.nyours;
	return 0;
}

/* ---- the search for the last common version ---- */

static void
need_tokens(struct sync *s)
{
	struct sync_action *a = sync_do(s, SYNC_DO_NEED_TOKENS);

	a->after = s->fork.after;
	a->before = s->fork.before;
	s->fork.state = FORK_LISTING;
}

static void
make_fork(struct sync *s)
{
	sync_do(s, SYNC_DO_FORK)->version = s->fork.after;
	s->fork.state = FORK_MAKING;
}

int
sync_on_claims(struct sync *s, const struct sync_event *ev)
{
	if (s->phase != PHASE_CLAIMS)
		return sync_misused(s, ev);
	if (!ev->fork)
		return open_up(s);
	s->phase = PHASE_FORK;
	s->fork.after = 0;
	s->fork.before = WIRE_NUMBER_MAX + 1;
	need_tokens(s);
	return sync_reader_hold(s);
}

int
sync_on_tokens(struct sync *s, const struct sync_event *ev)
{
	struct wire_entry asked[WIRE_TOKENS_MAX];
	struct wire_msg m = { .type = WIRE_TOKENS };
	struct fork *f = &s->fork;
	size_t i;

	if (f->state != FORK_LISTING)
		return sync_misused(s, ev);
	f->nlisted = 0;
	for (i = 0; i < ev->nentries && f->nlisted < WIRE_TOKENS_MAX; i++) {
		if (ev->entry[i].version <= f->after
		    || ev->entry[i].version >= f->before)
			continue;
		asked[f->nlisted] = ev->entry[i];
		f->listed[f->nlisted++] = ev->entry[i].version;
	}
	if (f->nlisted == 0) {
		make_fork(s);
		return 0;
	}
	m.tokens.id = ++f->id;
	m.tokens.entry = asked;
	m.tokens.nentries = f->nlisted;
	f->state = FORK_ASKED;
	return sync_send(s, &m);
}

/* The next question lies between the highest that is common and the lowest
 * above it that is not; each makes the gap smaller, so there is a last. */
int
sync_got_common(struct sync *s)
{
	uint64_t version = s->msg.common.version;
	struct fork *f = &s->fork;
	bool listed = version == 0;
	size_t i;

	if (f->state != FORK_ASKED || s->msg.common.id != f->id)
		return sync_bad(s, "COMMON was not asked for");
	for (i = 0; i < f->nlisted; i++) {
		listed |= f->listed[i] == version;
		if (f->listed[i] > version && f->listed[i] < f->before)
			f->before = f->listed[i];
	}
	if (!listed)
		return sync_bad(s, "COMMON names what was not asked for");
	if (version != 0)
		f->after = version;
	if (f->before - f->after > 1)
		need_tokens(s);
	else
		make_fork(s);
	return 0;
}

int
sync_on_forked(struct sync *s, const struct sync_event *ev)
{
	if (s->fork.state != FORK_MAKING)
		return sync_misused(s, ev);
	s->fork.state = FORK_NONE;
	return open_up(s);
}

/* ---- the peer's search ---- */

int
sync_got_tokens(struct sync *s)
{
	struct sync_action *a;

	if (!sync_is_cheap(s))
		return 0;
	s->common_asked = true;
	s->common_id = s->msg.tokens.id;
	a = sync_do(s, SYNC_DO_FIND_COMMON);
	a->entry = s->msg.tokens.entry;
	a->nentries = s->msg.tokens.nentries;
	return 0;
}

int
sync_on_common(struct sync *s, const struct sync_event *ev)
{
	struct wire_msg m = { .type = WIRE_COMMON };

	if (!s->common_asked)
		return sync_misused(s, ev);
	s->common_asked = false;
	m.common.id = s->common_id;
	m.common.version = ev->version;
	return sync_send(s, &m);
}

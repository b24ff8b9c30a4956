// SPDX-License-Identifier: MPL-2.0
/*
 * time.c - is the peer there: a PING where it is silent, and the end where it stays
 * so.
 */
#include "sync/state.h"

static int
send_ping(struct sync *s)
{
	struct wire_msg m = { .type = WIRE_PING };

	s->pinged = true;
	m.ping.token = (uint32_t)s->now_ms;
	return sync_send(s, &m);
}

/* When the peer is given up if it stays silent. */
static uint64_t
dead_at(const struct sync *s)
{
	if (s->phase == PHASE_HELLO)
		return s->start_ms + SYNC_HELLO_MS;
	if (s->probe_ms != 0)
		return s->probe_ms + SYNC_PROBE_MS;
	return s->heard_ms + SYNC_DEAD_MS;
}

static uint64_t
due_at(const struct sync *s)
{
	uint64_t dead = dead_at(s), ask = s->heard_ms + SYNC_KEEPALIVE_MS;

	return s->phase == PHASE_HELLO || s->pinged || dead < ask ? dead : ask;
}

/* We were asleep or busy, so the silence may be ours: the peer gets another
 * chance. */
static int
listen_again(struct sync *s)
{
	if (s->phase == PHASE_HELLO) {
		s->start_ms = s->now_ms;
		return 0;
	}
	s->probe_ms = s->now_ms;
	return send_ping(s);
}

int
sync_on_time(struct sync *s, const struct sync_event *ev)
{
	struct err why = { .code = 0 };
	bool late = s->timer_ms != 0
	    && s->now_ms > s->timer_ms + SYNC_LATE_MS;

	if (s->phase == PHASE_NEW)
		return 0;
	s->cheap = 0;
	s->timer_ms = 0;
	if (s->now_ms >= dead_at(s)) {
		if (late)
			return listen_again(s);
		err_set(&why, E_UNREACHABLE, NULL, "the peer %s",
		    s->phase == PHASE_HELLO ? "did not answer in time"
		    : "is silent");
		return sync_end(s, WIRE_E_ENDED, &why);
	}
	if (s->phase != PHASE_HELLO && !s->pinged && s->now_ms >= due_at(s))
		return send_ping(s);
	return 0;
}

int
sync_on_probe(struct sync *s, const struct sync_event *ev)
{
	if (s->phase <= PHASE_HELLO || s->probe_ms != 0)
		return 0;
	s->probe_ms = s->now_ms > 0 ? s->now_ms : 1;
	return send_ping(s);
}

/* A timer that comes too early asks again, so hearing the peer need not move
 * it. */
void
sync_set_timer(struct sync *s)
{
	uint64_t due;

	if (s->phase == PHASE_NEW || s->phase == PHASE_OVER)
		return;
	due = due_at(s);
	if (s->timer_ms != 0 && due >= s->timer_ms)
		return;
	s->timer_ms = due;
	sync_do(s, SYNC_DO_TIMER)->at_ms = due;
}

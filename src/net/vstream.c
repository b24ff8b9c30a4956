// SPDX-License-Identifier: MPL-2.0
#include "net/vstream.h"

#include <stdlib.h>
#include <string.h>

#include "net/vstream_state.h"

/* ---- how it ends ---- */

void
vstream_break(struct vstream *v, int code, const char *text)
{
	if (vstream_dead(v))
		return;
	v->broken = true;
	if (code != 0)
		err_set(&v->why, code, NULL, "%s", text);
}

void
vstream_violated(struct vstream *v)
{
	vstream_break(v, E_INTEGRITY,
	    "what the other side sent over Veilid contradicts itself");
}

void
vstream_gone(struct vstream *v, int code, const char *text)
{
	/* It said how its stream ends, and all of it is here. */
	if (vstream_complete(v))
		return;
	if (v->ending != VSTREAM_LIVES && v->una >= v->end)
		vstream_break(v, 0, NULL);
	else
		vstream_break(v, code, text);
}

void
vstream_end(struct vstream *v, bool flush, uint64_t now)
{
	if (v->ending == VSTREAM_BREAKS
	    || (flush && v->ending == VSTREAM_FLUSHES))
		return;
	v->ending = flush ? VSTREAM_FLUSHES : VSTREAM_BREAKS;
	v->linger = now + NET_LINGER_MS;
	vstream_settle(v, now);
}

/* Time is up, or all is done. */
static void
check_end(struct vstream *v, uint64_t now)
{
	if (v->waits && now >= v->waits_since
	    && now - v->waits_since >= VSTREAM_DEAD_MS)
		vstream_break(v, E_UNREACHABLE,
		    "the other side has not answered for a minute");
	if (v->ending == VSTREAM_FLUSHES && vstream_flushed(v))
		vstream_break(v, 0, NULL);
	if (v->ending == VSTREAM_FLUSHES && now >= v->linger) {
		v->ending = VSTREAM_BREAKS;
		v->linger = now;
	}
	if (v->ending == VSTREAM_BREAKS && !vstream_dead(v)
	    && (vstream_send_reset(v, now) || now >= v->linger))
		vstream_break(v, E_UNREACHABLE,
		    "the connection was given up on this side");
	if (v->reading && v->taken == v->fin)
		vstream_break(v, 0, NULL);
}

/* ---- life ---- */

struct vstream *
vstream_new(const uint8_t id[static VSEGMENT_STREAM_LEN], bool opener,
    uint64_t now, const struct vstream_events *events, void *owner)
{
	struct vstream *v = calloc(1, sizeof *v);

	if (v == NULL)
		return NULL;
	memcpy(v->id, id, sizeof v->id);
	v->events = events;
	v->owner = owner;
	v->opener = v->marked = opener;
	v->routed = true;
	v->fin = VSTREAM_NEVER;
	v->limit = VSTREAM_CALLS;
	v->again_ms = VSTREAM_AGAIN_MIN_MS;
	v->heard = now;
	v->told = vstream_edge(v);
	/* What any peer takes, so that the first call has bytes. */
	v->edge = opener ? VSTREAM_WINDOW_UNKNOWN : 0;
	vstream_settle(v, now);
	return v;
}

void
vstream_free(struct vstream *v)
{
	if (v == NULL)
		return;
	vring_clear(&v->in);
	vring_clear(&v->out);
	free(v->route);
	free(v);
}

void
vstream_settle(struct vstream *v, uint64_t now)
{
	bool waits = vstream_wants(v), closed = vstream_blocked(v);

	if (waits && !v->waits)
		v->waits_since = now;
	v->waits = waits;
	if (closed && !v->closed) {
		v->closed_ms = VSTREAM_CLOSED_MS;
		v->closed_at = now + v->closed_ms;
	}
	v->closed = closed;
}

uint64_t
vstream_due(const struct vstream *v)
{
	uint64_t at, probe, answer;

	if (v->over)
		return VSTREAM_NEVER;
	if (v->broken || v->tell_open || v->tell_route || v->tell_drain
	    || vstream_deliverable(v) || (v->reading && v->taken == v->fin)
	    || (v->ending == VSTREAM_FLUSHES && vstream_flushed(v)))
		return 0;
	at = vstream_call_due(v);
	probe = vstream_probe_due(v);
	if (probe < at)
		at = probe;
	answer = vstream_answer_due(v);
	if (answer < at)
		at = answer;
	if (v->tell_stale && v->stale_next < at)
		at = v->stale_next;
	if (v->waits && v->waits_since + VSTREAM_DEAD_MS < at)
		at = v->waits_since + VSTREAM_DEAD_MS;
	if (v->ending == VSTREAM_BREAKS && v->nbusy < VSTREAM_CALLS)
		at = 0;
	if (v->ending != VSTREAM_LIVES && v->linger < at)
		at = v->linger;
	return at;
}

/* ---- callbacks ---- */

static void
tell(struct vstream *v, bool *what, void (*event)(void *owner))
{
	if (!*what || vstream_dead(v))
		return;
	*what = false;
	event(v->owner);
}

static void
tell_all(struct vstream *v, uint64_t now)
{
	tell(v, &v->tell_open, v->events->open);
	if (v->tell_route && !vstream_dead(v)) {
		v->tell_route = false;
		v->events->route(v->owner, v->peer_route, v->peer_route_len);
	}
	vstream_deliver(v);
	tell(v, &v->tell_drain, v->events->drain);
	if (now >= v->stale_next && v->tell_stale) {
		v->stale_next = now + VSTREAM_STALE_MS;
		tell(v, &v->tell_stale, v->events->stale);
	}
}

void
vstream_run(struct vstream *v, uint64_t now)
{
	if (v->over)
		return;
	tell_all(v, now);
	/* First: it takes the bytes that would need a call. */
	vstream_answer(v, now);
	vstream_probe(v, now);
	vstream_send(v, now);
	tell_all(v, now);
	check_end(v, now);
	vstream_answer(v, now);
	if (v->broken) {
		v->over = true;
		vring_clear(&v->in);
		vring_clear(&v->out);
		v->events->over(v->owner, &v->why);
	}
}

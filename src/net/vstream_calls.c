// SPDX-License-Identifier: MPL-2.0
/* vstream_calls.c - how the calls of a stream end. */
#include "net/vstream_state.h"

/* No call again before a while; the calls that were under way already when the
 * last one failed say nothing new. */
void
vstream_back_off(struct vstream *v, uint64_t now)
{
	v->again = now + v->again_ms;
	v->again_ms = v->again_ms < VSTREAM_AGAIN_MAX_MS / 2 ? 2 * v->again_ms
	    : VSTREAM_AGAIN_MAX_MS;
}

static struct vrange *
range_of(struct vstream *v, const struct vslot *slot)
{
	size_t i;

	for (i = 0; i < v->nranges; i++)
		if (slot->range != 0 && v->ranges[i].id == slot->range)
			return &v->ranges[i];
	return NULL;
}

/* The slot is free again.  False: it was, or it no longer matters. */
static bool
take_slot(struct vstream *v, unsigned at, struct vslot *out)
{
	struct vrange *r;

	if (at >= VSTREAM_CALLS || !v->slots[at].busy)
		return false;
	v->slots[at].busy = false;
	v->nbusy--;
	*out = v->slots[at];
	r = range_of(v, out);
	if (r != NULL)
		r->calls--;
	return !vstream_dead(v);
}

/* ---- answers ---- */

static void
measure(struct vstream *v, uint64_t ms)
{
	v->rtt -= v->rtt / 8;
	if (v->rtt <= ms)
		v->rtt = ms + 1;
}

/* Nodes give a call up after some seconds, whether it got lost or there was too
 * much before it on its way.  Of the latter there must be less, or all of it is
 * sent again and again, and nothing comes in time. */
static void
narrow(struct vstream *v, const struct vslot *slot)
{
	if (slot->seq <= v->seq_cut)
		return;
	v->limit = v->limit / 2 > VSTREAM_LIMIT_MIN ? v->limit / 2
	    : VSTREAM_LIMIT_MIN;
	v->earned = 0;
	v->seq_cut = v->seq;
}

static void
widen(struct vstream *v)
{
	if (v->limit == VSTREAM_CALLS || ++v->earned < v->limit)
		return;
	v->limit++;
	v->earned = 0;
}

/* The peer answers: calls work. */
static void
works(struct vstream *v, const struct vslot *slot, uint64_t now)
{
	measure(v, now - slot->sent);
	widen(v);
	if (slot->seq > v->seq_good)
		v->seq_good = slot->seq;
	if (slot->edge > v->told)
		v->told = slot->edge;
	if (slot->epoch > v->epoch_told)
		v->epoch_told = slot->epoch;
	if (!v->opened)
		v->opened = v->tell_open = true;
	v->probe = v->tell_stale = false;
	v->heard = v->waits_since = now;
	v->again = 0;
}

static void
answered_well(struct vstream *v, const struct vslot *slot,
    const struct vsegment_answer *answer, uint64_t now)
{
	struct vrange *r;

	works(v, slot, now);
	r = range_of(v, slot);
	if (r == NULL)
		v->again_ms = VSTREAM_AGAIN_MIN_MS;
	else if (answer->ack < r->to) {
		r->held = true;
		r->lost = false;
	}
	if (!vstream_acked(v, answer->ack, answer->window, now))
		vstream_violated(v);
	else
		vstream_take_answer(v, answer, now);
}

void
vstream_answered(struct vstream *v, unsigned at,
    const struct vsegment_answer *answer, uint64_t now)
{
	struct vslot slot;

	if (!take_slot(v, at, &slot))
		return;
	switch (answer->status) {
	case VSEGMENT_OK:
		answered_well(v, &slot, answer, now);
		break;
	case VSEGMENT_UNKNOWN:
		vstream_gone(v, E_UNREACHABLE,
		    "the other side no longer knows the connection");
		break;
	case VSEGMENT_BUSY:
		vstream_gone(v, E_UNREACHABLE,
		    "the other side has too many connections");
		break;
	case VSEGMENT_OTHER:
		vstream_gone(v, E_REFUSED,
		    "the other side speaks another version of what goes over "
		    "Veilid than this program");
		break;
	}
	vstream_settle(v, now);
}

/* ---- failures ---- */

/* Whether the peer's route may be to blame, rather than our node. */
static bool
blames_route(enum vfault fault)
{
	switch (fault) {
	case VFAULT_TRY_AGAIN:
	case VFAULT_DOWN:
	case VFAULT_HANDLE:
	case VFAULT_CLOSED:
		return false;
	default:
		return true;
	}
}

void
vstream_failed(struct vstream *v, unsigned at, enum vfault fault,
    uint64_t now)
{
	struct vslot slot;
	struct vrange *r;

	if (!take_slot(v, at, &slot))
		return;
	r = range_of(v, &slot);
	if (r != NULL && r->calls == 0 && !r->held)
		r->lost = true;
	if (fault == VFAULT_TIMEOUT)
		narrow(v, &slot);
	/* One that was lost among others that came says nothing. */
	if (slot.seq > v->seq_good) {
		v->tell_stale |= blames_route(fault);
		if (slot.seq > v->seq_failed) {
			v->seq_failed = v->seq;
			vstream_back_off(v, now);
		}
	}
	vstream_settle(v, now);
}

void
vstream_resume(struct vstream *v, uint64_t now)
{
	v->routed = true;
	vstream_settle(v, now);
}

void
vstream_route_known(struct vstream *v, uint64_t now)
{
	unsigned i;
	size_t n;

	v->routed = true;
	v->again = 0;
	v->again_ms = VSTREAM_AGAIN_MIN_MS;
	/* What is under way by the old one is not to be relied upon; answers
	 * went by the peer's way. */
	for (i = 0; i < VSTREAM_CALLS; i++) {
		v->slots[i].edge = 0;
		v->slots[i].epoch = 0;
	}
	for (n = 0; n < v->nranges; n++)
		if (!v->ranges[n].held && v->ranges[n].calls > 0
		    && v->ranges[n].calls < VSTREAM_SAME)
			v->ranges[n].lost = true;
	vstream_settle(v, now);
}

// SPDX-License-Identifier: MPL-2.0
/* vstream_receive.c - what came of a stream, until it is handed out. */
#include <string.h>

#include "net/vstream_state.h"

uint64_t
vstream_edge(const struct vstream *v)
{
	return v->taken
	    + (v->marked ? VSTREAM_WINDOW : VSTREAM_WINDOW_UNKNOWN);
}

bool
vstream_complete(const struct vstream *v)
{
	return v->next == v->fin;
}

uint64_t
vstream_have(const struct vstream *v)
{
	return v->next + vstream_complete(v);
}

/* ---- pieces ---- */

/* Those that begin at or before next are no longer behind a gap. */
static void
close_gap(struct vstream *v)
{
	size_t n;

	for (n = 0; n < v->nspans && v->spans[n].from <= v->next; n++)
		if (v->spans[n].to > v->next)
			v->next = v->spans[n].to;
	v->nspans -= n;
	memmove(v->spans, v->spans + n, v->nspans * sizeof *v->spans);
}

/* Adds a piece behind a gap.  False: there are too many of them. */
static bool
add_span(struct vstream *v, uint64_t from, uint64_t to)
{
	struct vspan *s = v->spans;
	size_t i, n;

	for (i = 0; i < v->nspans && s[i].to < from; i++)
		;
	for (n = i; n < v->nspans && s[n].from <= to; n++) {
		if (s[n].from < from)
			from = s[n].from;
		if (s[n].to > to)
			to = s[n].to;
	}
	if (n == i) {
		if (v->nspans == VSTREAM_SPANS)
			return false;
		memmove(s + i + 1, s + i, (v->nspans - i) * sizeof *s);
		v->nspans++;
	} else {
		memmove(s + i + 1, s + n, (v->nspans - n) * sizeof *s);
		v->nspans -= n - i - 1;
	}
	s[i] = (struct vspan){ .from = from, .to = to };
	return true;
}

/* Whether all of it has come before. */
static bool
known(const struct vstream *v, uint64_t from, uint64_t to)
{
	size_t i;

	if (to <= v->next)
		return true;
	for (i = 0; i < v->nspans; i++)
		if (v->spans[i].from <= from && to <= v->spans[i].to)
			return true;
	return false;
}

/* Takes the bytes from from to to, of which some may have come before; which
 * ones are then handed out is the sender's affair, if they differ. */
static bool
take(struct vstream *v, uint64_t from, uint64_t to, const uint8_t *bytes)
{
	uint64_t kept = v->high > to ? v->high : to;

	if (known(v, from, to))
		return true;
	if (from < v->next) {
		bytes += v->next - from;
		from = v->next;
	}
	/* The owner's bytes stay where they are; the peer sends it again. */
	if (v->lent && kept - v->taken > v->in.cap)
		return false;
	if (!vring_fit(&v->in, v->taken, v->high, kept))
		return false;
	if (from > v->next && !add_span(v, from, to))
		return false;
	vring_put(&v->in, from, bytes, (size_t)(to - from));
	v->high = kept;
	if (from == v->next) {
		v->next = to;
		close_gap(v);
	}
	return true;
}

/* ---- segments ---- */

/* Whether what is said of the end, if anything, fits to what was said. */
static bool
end_is_true(const struct vstream *v, const struct vsegment *s)
{
	uint64_t to = s->offset + s->len;

	if (v->fin != VSTREAM_NEVER && to > v->fin)
		return false;
	if (s->flags & VSEGMENT_FIN)
		return v->fin == VSTREAM_NEVER ? to >= v->high : to == v->fin;
	return true;
}

static void
take_payload(struct vstream *v, const struct vsegment *s)
{
	uint64_t edge = vstream_edge(v);

	if (s->offset > edge || s->len > edge - s->offset)
		return;
	if (s->len > 0 && !take(v, s->offset, s->offset + s->len, s->payload))
		return;
	if (s->flags & VSEGMENT_FIN) {
		v->fin = s->offset + s->len;
		vstream_deafen(v);
	}
}

static void
take_route(struct vstream *v, const struct vsegment *s)
{
	if (!(s->flags & VSEGMENT_ROUTE) || s->epoch <= v->peer_epoch
	    || s->route_len > sizeof v->peer_route)
		return;
	memcpy(v->peer_route, s->route, s->route_len);
	v->peer_route_len = s->route_len;
	v->peer_epoch = s->epoch;
	v->tell_route = true;
}

bool
vstream_message(struct vstream *v, const struct vsegment *s, bool may_wait,
    uint64_t now, struct vsegment_answer *out)
{
	uint64_t had = v->next;
	bool waits = false;

	*out = (struct vsegment_answer){ .status = VSEGMENT_UNKNOWN };
	/* One of our own that came back is none of the peer's. */
	if (vstream_dead(v)
	    || ((s->flags & VSEGMENT_OPENER) != 0) == v->opener)
		return true;
	if (s->flags & VSEGMENT_RESET) {
		vstream_gone(v, E_UNREACHABLE,
		    "the other side broke the connection");
	} else if (!end_is_true(v, s)
	    || !vstream_acked(v, s->ack, s->window, now)) {
		vstream_violated(v);
		return true;
	} else {
		take_route(v, s);
		take_payload(v, s);
		if (!v->opened)
			v->opened = v->tell_open = true;
		v->heard = now;
		waits = may_wait && v->next > had
		    && vstream_answer_waits(v, s, now);
	}
	if (!waits)
		*out = vstream_plain_answer(v);
	vstream_settle(v, now);
	return !waits;
}

void
vstream_take_answer(struct vstream *v, const struct vsegment_answer *a,
    uint64_t now)
{
	struct vsegment s = { .offset = a->offset, .payload = a->payload,
		.len = a->len };

	if (a->len == 0)
		return;
	if (!end_is_true(v, &s)) {
		vstream_violated(v);
		return;
	}
	take_payload(v, &s);
	/* Even if it came before: the peer does not know. */
	if (!v->owes)
		v->owes_at = now + VSTREAM_ACK_MS;
	v->owes = true;
}

/* ---- handing out ---- */

bool
vstream_deliverable(const struct vstream *v)
{
	return v->next > v->taken && (v->reading || v->ending != VSTREAM_LIVES);
}

void
vstream_deliver(struct vstream *v)
{
	const uint8_t *bytes;
	size_t n;

	while (!vstream_dead(v) && vstream_deliverable(v)) {
		if (v->ending != VSTREAM_LIVES) {
			v->taken = v->next;
			break;
		}
		n = v->next - v->taken < NET_READ_MAX
		    ? (size_t)(v->next - v->taken) : NET_READ_MAX;
		bytes = vring_at(&v->in, v->taken, &n);
		v->lent = true;
		v->events->data(v->owner, bytes, n);
		v->lent = false;
		v->taken += n;
	}
}

void
vstream_read(struct vstream *v, bool on, uint64_t now)
{
	v->reading = on;
	vstream_settle(v, now);
}

void
vstream_mark(struct vstream *v, uint64_t now)
{
	v->marked = true;
	vstream_settle(v, now);
}

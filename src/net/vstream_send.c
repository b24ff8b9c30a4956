// SPDX-License-Identifier: MPL-2.0
/* vstream_send.c - what of a stream is to go, and when: pieces that were not
 * acknowledged, what was not sent, and calls that carry nothing. */
#include <string.h>

#include "net/vstream_state.h"

enum pick_kind {
	PICK_NONE,
	PICK_RANGE,     /* one that was sent before */
	PICK_NEW,
	PICK_EMPTY,
	PICK_RESET
};

/* The next call, and when it is due. */
struct pick {
	enum pick_kind kind;
	size_t range;
	uint64_t at;
};

/* ---- what was acknowledged ---- */

/* The first piece came and is the next one of the peer's, who has not taken it
 * then: it goes again, but not at once. */
static void
check_refused(struct vstream *v, uint64_t now)
{
	struct vrange *r = v->ranges;

	if (v->nranges == 0 || !r->held || r->from != v->una)
		return;
	r->held = false;
	r->lost = true;
	vstream_back_off(v, now);
}

bool
vstream_acked(struct vstream *v, uint64_t ack, uint32_t window, uint64_t now)
{
	size_t n;

	if (ack > v->nxt)
		return false;
	if (ack + window > v->edge)
		v->edge = ack + window;
	if (ack > v->una) {
		v->una = ack;
		for (n = 0; n < v->nranges && v->ranges[n].to <= ack; n++)
			;
		v->nranges -= n;
		memmove(v->ranges, v->ranges + n,
		    v->nranges * sizeof *v->ranges);
		if (v->nranges > 0 && v->ranges[0].from < ack)
			v->ranges[0].from = ack;
		v->again_ms = VSTREAM_AGAIN_MIN_MS;
		v->waits_since = now;
	}
	check_refused(v, now);
	return true;
}

void
vstream_deafen(struct vstream *v)
{
	v->deaf = true;
	/* What it acknowledges yet is still true. */
	if (v->nxt < v->end)
		v->nxt = v->end;
	v->una = v->nxt;
	v->nranges = 0;
	v->tell_drain |= v->above;
	v->above = false;
}

/* Where the stream ends for the peer, and one more if it is to be told. */
static uint64_t
last(const struct vstream *v)
{
	return v->end + (v->ending == VSTREAM_FLUSHES);
}

bool
vstream_flushed(const struct vstream *v)
{
	/* A peer that never heard of it needs no end. */
	return v->deaf || v->una == v->end + 1
	    || (v->opener && v->seq == 0 && v->end == 0);
}

/* ---- what is to go ---- */

/* Whether there is something new that the peer takes. */
static bool
has_new(const struct vstream *v)
{
	if (v->deaf || v->nranges == VSTREAM_RANGES || v->nxt >= last(v))
		return false;
	return v->nxt >= v->end || v->nxt < v->edge;
}

bool
vstream_blocked(const struct vstream *v)
{
	return !v->deaf && v->nranges == 0 && v->nxt < v->end
	    && v->nxt >= v->edge;
}

/* Whether our route, or how far we take, is to be told and on no call's way. */
static bool
has_news(const struct vstream *v)
{
	uint64_t told = v->told, edge = vstream_edge(v);
	uint32_t epoch = v->epoch_told;
	unsigned i;

	if (v->answering)
		told = edge;    /* the answer tells it */
	for (i = 0; i < VSTREAM_CALLS; i++)
		if (v->slots[i].busy) {
			if (v->slots[i].edge > told)
				told = v->slots[i].edge;
			if (v->slots[i].epoch > epoch)
				epoch = v->slots[i].epoch;
		}
	if (v->epoch > epoch)
		return true;
	/* A peer that can go on for a while learns it by answers. */
	return v->fin == VSTREAM_NEVER && edge > told
	    && edge - told >= (edge - v->taken) / 4
	    && (told <= v->next
		|| told - v->next < (edge - v->taken) / 2);
}

bool
vstream_wants(const struct vstream *v)
{
	if (vstream_complete(v))
		return false;
	return (v->opener && !v->opened) || v->nranges > 0 || v->nbusy > 0
	    || v->probe || has_new(v) || has_news(v);
}

/* ---- probes ---- */

uint64_t
vstream_probe_due(const struct vstream *v)
{
	uint64_t at = v->heard + VSTREAM_PROBE_MS;

	if (v->probe || v->nbusy > 0 || (v->opener && !v->opened)
	    || vstream_complete(v))
		return VSTREAM_NEVER;
	/* Where the opener asks, the other side need not. */
	if (!v->opener)
		at += VSTREAM_PROBE_OTHER_MS;
	return v->closed && v->closed_at < at ? v->closed_at : at;
}

void
vstream_probe(struct vstream *v, uint64_t now)
{
	if (vstream_probe_due(v) > now)
		return;
	v->probe = true;
	v->closed_at = now + v->closed_ms;
	v->closed_ms = v->closed_ms < VSTREAM_PROBE_MS / 2
	    ? 2 * v->closed_ms : VSTREAM_PROBE_MS;
	/* One that idles gives its memory back. */
	if (v->una >= v->end)
		vring_clear(&v->out);
	if (v->high == v->taken)
		vring_clear(&v->in);
	vstream_settle(v, now);
}

/* ---- when ---- */

static uint64_t
late(const struct vstream *v, unsigned calls)
{
	uint64_t ms = v->rtt == 0 ? VSTREAM_LATE_FIRST_MS
	    : 2 * v->rtt + VSTREAM_LATE_MORE_MS;

	if (ms < VSTREAM_LATE_MIN_MS)
		ms = VSTREAM_LATE_MIN_MS;
	return (ms < VSTREAM_LATE_MAX_MS ? ms : VSTREAM_LATE_MAX_MS)
	    << (calls - 1);
}

/* The sooner one of both, and p of them that are as soon. */
static void
consider(struct pick *p, enum pick_kind kind, size_t range, uint64_t at,
    uint64_t again)
{
	if (at < again)
		at = again;
	if (at < p->at)
		*p = (struct pick){ .kind = kind, .range = range, .at = at };
}

/* Pieces that got lost, or seem so: nodes say it after 5 seconds and more. */
static void
consider_ranges(const struct vstream *v, struct pick *p)
{
	const struct vrange *r = v->ranges;
	size_t i;

	for (i = 0; i < v->nranges; i++, r++)
		if (r->lost)
			consider(p, PICK_RANGE, i, 0, v->again);
		else if (!r->held && r->calls < VSTREAM_SAME)
			consider(p, PICK_RANGE, i, r->sent
			    + late(v, r->calls > 0 ? r->calls : 1), v->again);
}

/* Until the peer has it, one that opens the stream goes alone: another one would
 * name a stream that is not known there. */
static void
consider_opening(const struct vstream *v, struct pick *p)
{
	uint64_t sent = 0;
	unsigned i;

	if (v->route == NULL || v->nbusy == VSTREAM_SAME)
		return;
	for (i = 0; i < VSTREAM_CALLS; i++)
		if (v->slots[i].busy && v->slots[i].sent > sent)
			sent = v->slots[i].sent;
	consider(p, v->nranges > 0 ? PICK_RANGE : has_new(v) ? PICK_NEW
	    : PICK_EMPTY, 0, v->nbusy > 0 ? sent + late(v, v->nbusy) : 0,
	    v->again);
}

static struct pick
pick(const struct vstream *v)
{
	struct pick p = { .kind = PICK_NONE, .at = VSTREAM_NEVER };

	if (!v->routed || v->nbusy >= v->limit
	    || v->ending == VSTREAM_BREAKS
	    || (v->ending == VSTREAM_FLUSHES && vstream_flushed(v)))
		return p;
	if (vstream_complete(v)) {
		/* All came, but the peer does not know. */
		if (v->owes)
			consider(&p, PICK_EMPTY, 0, 0, v->again);
		return p;
	}
	if (v->opener && !v->opened) {
		consider_opening(v, &p);
		return p;
	}
	consider_ranges(v, &p);
	if (has_new(v))
		consider(&p, PICK_NEW, 0, 0, v->again);
	if (has_news(v))
		consider(&p, PICK_EMPTY, 0, 0, v->again);
	if (v->probe && v->nbusy == 0)
		consider(&p, PICK_EMPTY, 0, 0, v->again);
	if (v->owes)
		consider(&p, PICK_EMPTY, 0, v->owes_at, v->again);
	return p;
}

uint64_t
vstream_call_due(const struct vstream *v)
{
	return pick(v).at;
}

/* ---- calls ---- */

static size_t
route_room(const struct vstream *v)
{
	return v->epoch > v->epoch_told ? 4 + 2 + v->route_len : 0;
}

size_t
vstream_fresh(const struct vstream *v, size_t room)
{
	uint64_t to = v->end < v->edge ? v->end : v->edge;

	if (!has_new(v) || v->nxt >= to)
		return 0;
	return to - v->nxt < room ? (size_t)(to - v->nxt) : room;
}

struct vrange *
vstream_cut(struct vstream *v, size_t len)
{
	struct vrange *r = &v->ranges[v->nranges++];

	if (++v->last_id == 0)
		v->last_id = 1;
	*r = (struct vrange){ .from = v->nxt, .to = v->nxt + len,
		.id = v->last_id };
	if (r->to == v->end)
		r->to = last(v);
	v->nxt = r->to;
	if (v->above && vstream_queued(v) <= NET_LOW_WATER) {
		v->above = false;
		v->tell_drain = true;
	}
	return r;
}

/* Whether nothing but range is under way, or to go. */
static bool
is_alone(const struct vstream *v, const struct vrange *range)
{
	size_t i;

	for (i = 0; i < v->nranges; i++)
		if (&v->ranges[i] != range && v->ranges[i].calls > 0)
			return false;
	return v->nxt >= v->end;
}

/* The segment of range (NULL: none), without its payload. */
static struct vsegment
segment(const struct vstream *v, const struct vrange *range)
{
	uint64_t end = v->nxt < v->end ? v->nxt : v->end;
	struct vsegment s = {
		.flags = v->opener ? VSEGMENT_OPENER : 0,
		.offset = end,
		.ack = vstream_have(v),
		.window = (uint32_t)(vstream_edge(v) - v->next),
	};

	memcpy(s.stream, v->id, sizeof s.stream);
	if (range != NULL) {
		s.offset = range->from < v->end ? range->from : v->end;
		s.len = (size_t)((range->to < v->end ? range->to : v->end)
		    - s.offset);
		if (range->to > v->end)
			s.flags |= VSEGMENT_FIN;
		else if (is_alone(v, range))
			s.flags |= VSEGMENT_ALONE;
	}
	/* A piece that was cut without it may leave no room for it. */
	if (v->epoch > v->epoch_told && VSEGMENT_HEAD_LEN + route_room(v)
	    + s.len <= VSEGMENT_MAX) {
		s.flags |= VSEGMENT_ROUTE;
		s.epoch = v->epoch;
		s.route = v->route;
		s.route_len = v->route_len;
	}
	return s;
}

/* The bytes of a segment, with its payload. */
static int
encode(const struct vstream *v, const struct vsegment *s, struct buf *out)
{
	struct vsegment head = *s;
	uint8_t *payload;

	head.len = 0;
	if (vsegment_encode(&head, out, NULL) < 0)
		return E_FATAL;
	payload = buf_reserve(out, s->len);
	if (payload == NULL)
		return E_FATAL;
	vring_get(&v->out, s->offset, payload, s->len);
	out->len += s->len;
	return 0;
}

static unsigned
free_slot(const struct vstream *v)
{
	unsigned i;

	for (i = 0; v->slots[i].busy; i++)
		;
	return i;
}

/* The call could not be made. */
static void
take_back(struct vstream *v, struct vslot *slot, struct vrange *r)
{
	if (!slot->busy)
		return;
	slot->busy = false;
	v->nbusy--;
	v->seq--;
	if (r != NULL)
		r->calls--;
}

/* Makes a call of s, which tells of range (NULL: none).  All is noted before,
 * as it may end inside of the call. */
static bool
call(struct vstream *v, const struct vsegment *s, struct vrange *range,
    uint64_t now)
{
	unsigned at = free_slot(v);
	struct vslot *slot = &v->slots[at];
	uint32_t id = range != NULL ? range->id : 0;
	bool owes = v->owes;
	struct buf bytes;
	size_t i;
	bool made;

	buf_init(&bytes, VSEGMENT_MAX);
	if (encode(v, s, &bytes) < 0) {
		if (range != NULL && range->calls == 0)
			range->lost = true;
		vstream_back_off(v, now);
		buf_clear(&bytes);
		return false;
	}
	*slot = (struct vslot){ .busy = true, .seq = ++v->seq, .sent = now,
		.range = id, .edge = vstream_edge(v), .epoch = s->epoch };
	v->nbusy++;
	v->owes = false;
	if (range != NULL) {
		range->calls++;
		range->lost = range->held = false;
		range->sent = now;
	}
	made = v->events->call(v->owner, at, bytes.data, bytes.len);
	buf_clear(&bytes);
	if (made)
		return true;
	v->routed = false;
	v->owes |= owes;
	for (i = 0; i < v->nranges && v->ranges[i].id != id; i++)
		;
	take_back(v, slot, i < v->nranges ? &v->ranges[i] : NULL);
	if (i < v->nranges)
		v->ranges[i].lost = v->ranges[i].calls == 0;
	return false;
}

static bool
send_one(struct vstream *v, const struct pick *p, uint64_t now)
{
	size_t room = VSEGMENT_MAX - VSEGMENT_HEAD_LEN - route_room(v);
	struct vrange *range = p->kind == PICK_RANGE ? &v->ranges[p->range]
	    : p->kind == PICK_NEW ? vstream_cut(v, vstream_fresh(v, room))
	    : NULL;
	struct vsegment s = segment(v, range);

	return call(v, &s, range, now);
}

void
vstream_send(struct vstream *v, uint64_t now)
{
	struct pick p;

	while (!vstream_dead(v)) {
		p = pick(v);
		if (p.at > now || p.kind == PICK_NONE
		    || !send_one(v, &p, now))
			break;
	}
	vstream_settle(v, now);
}

bool
vstream_send_reset(struct vstream *v, uint64_t now)
{
	struct vsegment s;

	if (!v->routed || vstream_complete(v) || (v->opener && v->seq == 0))
		return true;
	if (v->nbusy == VSTREAM_CALLS)
		return false;
	s = segment(v, NULL);
	s.flags = (s.flags & VSEGMENT_OPENER) | VSEGMENT_RESET;
	call(v, &s, NULL, now);
	return true;
}

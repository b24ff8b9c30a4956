// SPDX-License-Identifier: MPL-2.0
/* vstream_answer.c - what is answered to calls of the peer, and when: at once, or
 * a little later with bytes of ours. */
#include "net/vstream_state.h"

struct vsegment_answer
vstream_plain_answer(struct vstream *v)
{
	v->told = vstream_edge(v);
	v->owes = false;
	return (struct vsegment_answer){ .status = VSEGMENT_OK,
		.ack = vstream_have(v),
		.window = (uint32_t)(vstream_edge(v) - v->next) };
}

/* Where much is under way in either direction, calls are there for it, and the
 * peer waits for answers to make the next ones. */
bool
vstream_answer_waits(struct vstream *v, const struct vsegment *s, uint64_t now)
{
	if (v->answering || !(s->flags & VSEGMENT_ALONE)
	    || (s->flags & VSEGMENT_FIN) || v->nranges > 0
	    || v->ending != VSTREAM_LIVES)
		return false;
	v->answering = true;
	v->answer_at = now + VSTREAM_ANSWER_MS;
	return true;
}

/* The bytes that can go with it: no more than a call can have, by which they may
 * go again.  One that ends says so by a call, with its last bytes. */
static size_t
bytes_to_go(const struct vstream *v)
{
	if (vstream_dead(v) || v->ending != VSTREAM_LIVES)
		return 0;
	return vstream_fresh(v, VSEGMENT_MAX - VSEGMENT_HEAD_LEN);
}

uint64_t
vstream_answer_due(const struct vstream *v)
{
	if (!v->answering)
		return VSTREAM_NEVER;
	if (vstream_dead(v) || v->ending != VSTREAM_LIVES
	    || bytes_to_go(v) > 0)
		return 0;
	return v->answer_at;
}

/* The answer with len bytes of ours.  False without memory. */
static bool
encode(struct vstream *v, const struct vsegment_answer *a, struct buf *out)
{
	uint8_t head[VSEGMENT_ANSWER_HEAD_LEN], *payload;
	size_t len;

	vsegment_answer_encode(a, head, &len);
	buf_add(out, head, len);
	payload = buf_reserve(out, a->len);
	if (payload == NULL)
		return false;
	vring_get(&v->out, a->offset, payload, a->len);
	out->len += a->len;
	return true;
}

void
vstream_answer(struct vstream *v, uint64_t now)
{
	uint8_t plain[VSEGMENT_ANSWER_HEAD_LEN];
	struct vsegment_answer a;
	struct buf bytes;
	size_t len;

	if (vstream_answer_due(v) > now)
		return;
	v->answering = false;
	a = vstream_plain_answer(v);
	vsegment_answer_encode(&a, plain, &len);
	a.offset = v->nxt;
	a.len = bytes_to_go(v);
	buf_init(&bytes, VSEGMENT_MAX);
	if (a.len > 0 && encode(v, &a, &bytes)) {
		vstream_cut(v, a.len)->sent = now;
		v->events->answer(v->owner, bytes.data, bytes.len);
	} else {
		v->events->answer(v->owner, plain, len);
	}
	buf_clear(&bytes);
	vstream_settle(v, now);
}

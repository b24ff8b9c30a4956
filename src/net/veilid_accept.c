// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_accept.c - takes the calls that come by our route, and keeps the limits
 * on streams whose other end is not known yet (R29).
 *
 * A new stream is always let in, at the cost of the oldest unknown one.  There is
 * nothing by which those of one caller could be told from others: hiding that is
 * what routes are for.
 */
#include "net/veilid_state.h"

#include <string.h>

void
veilid_remember(struct veilid *v, const struct vconn *c)
{
	if (!c->opener)
		memcpy(v->ended[v->nended++ % VEILID_ENDED], c->id,
		    sizeof c->id);
}

/* Calls are made again, and come late: those of a stream that is over are not to
 * open it once more. */
static bool
has_ended(const struct veilid *v, const uint8_t *id)
{
	size_t i, n = v->nended < VEILID_ENDED ? v->nended : VEILID_ENDED;

	for (i = 0; i < n; i++)
		if (memcmp(v->ended[i], id, VSEGMENT_STREAM_LEN) == 0)
			return true;
	return false;
}

/* The stream of that id whose other end is its opener, or is not: where both ends
 * are here, there are two. */
static struct vconn *
find(const struct veilid *v, const struct vsegment *s)
{
	bool opener = !(s->flags & VSEGMENT_OPENER);
	struct vconn *c = v->ids[s->stream[0] % VEILID_IDS].first;

	while (c != NULL && (c->opener != opener || c->stream == NULL
	    || memcmp(c->id, s->stream, sizeof c->id) != 0))
		c = c->links[VLIST_ID].next;
	return c;
}

static void
drop(struct vconn *c, const char *reason)
{
	struct veilid *v = c->veilid;

	c->dropped = reason;
	v->dropped++;
	vconn_stage(c, NULL);
	vstream_end(c->stream, false, veilid_now(v));
	vconn_touch(c);
}

size_t
veilid_naccepted(const struct veilid *v)
{
	const struct vconn *c;
	size_t n = v->unknown.n;

	for (c = v->known.first; c != NULL; c = c->links[VLIST_STAGE].next)
		n += !c->opener;
	return n;
}

/* Makes room for one more; false if there is none. */
static bool
make_room(struct veilid *v)
{
	if (v->unknown.n >= NET_UNKNOWN_MAX)
		drop(v->unknown.first, "too many did not say who they are");
	if (veilid_naccepted(v) < NET_ACCEPTED_MAX)
		return true;
	if (v->unknown.first == NULL)
		return false;
	drop(v->unknown.first, "too many connections");
	return true;
}

/* A stream for its first segment; NULL: there is none, answer says why. */
static struct vconn *
accept_stream(struct veilid *v, const struct vsegment *s,
    enum vsegment_status *status)
{
	struct vconn *c;

	*status = VSEGMENT_UNKNOWN;
	if (v->accepted == NULL || !(s->flags & VSEGMENT_OPENER)
	    || !(s->flags & VSEGMENT_ROUTE) || (s->flags & VSEGMENT_RESET)
	    || has_ended(v, s->stream))
		return NULL;
	*status = VSEGMENT_BUSY;
	if (!make_room(v)) {
		v->dropped++;
		return NULL;
	}
	c = vconn_new(v, false, s->stream, "veilid", NULL);
	if (c == NULL)
		return NULL;
	if (vconn_begin(c, NULL) < 0) {
		vconn_bury(c);
		return NULL;
	}
	vconn_stage(c, &v->unknown);
	return c;
}

/* What is to be answered; false: nothing, or not yet. */
static bool
take(struct veilid *v, const char *call, const uint8_t *bytes, size_t len,
    struct vsegment_answer *out)
{
	bool fits = strlen(call) < VEILID_CALL_MAX, now;
	struct vsegment s;
	struct vconn *c;
	int rc = vsegment_decode(bytes, len, &s, NULL);

	*out = (struct vsegment_answer){ .status = VSEGMENT_OTHER };
	if (rc < 0)
		return rc == E_REFUSED;
	c = find(v, &s);
	if (c == NULL)
		c = accept_stream(v, &s, &out->status);
	if (c == NULL)
		return true;
	now = vstream_message(c->stream, &s, fits, veilid_now(v), out);
	if (!now)
		strcpy(c->answers, call);
	vconn_touch(c);
	return now;
}

void
veilid_called(struct veilid *v, const char *call, const uint8_t *bytes,
    size_t len)
{
	struct vsegment_answer answer;
	uint8_t text[VSEGMENT_ANSWER_HEAD_LEN];
	size_t n;

	if (!take(v, call, bytes, len, &answer))
		return;
	vsegment_answer_encode(&answer, text, &n);
	vnode_reply(v->node, call, text, n);
}

void
veilid_drop_late(struct veilid *v, uint64_t now)
{
	struct vconn *c;

	while ((c = v->unknown.first) != NULL
	    && now - c->since >= NET_UNKNOWN_MS)
		drop(c, "it did not say in time who it is");
}

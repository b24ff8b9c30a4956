// SPDX-License-Identifier: MPL-2.0
/* A stream whose peer, whose calls and whose owner do what the bytes say: it
 * never takes more than its windows, works off what is due, and is silent
 * once it is over. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "net/vstream_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t id[VSEGMENT_STREAM_LEN] = "sixteen random b";

struct owner {
	struct vstream *v;
	bool busy[VSTREAM_CALLS], over, calls;
	bool waits;             /* an answer */
	uint64_t got, now;
};

static void
must(bool good)
{
	if (!good)
		abort();
}

/* ---- callbacks ---- */

static bool
on_call(void *owner, unsigned slot, const uint8_t *bytes, size_t len)
{
	struct owner *o = owner;
	struct vsegment s;

	must(!o->over && slot < VSTREAM_CALLS && !o->busy[slot]
	    && vsegment_decode(bytes, len, &s, NULL) == 0);
	o->busy[slot] = o->calls;
	return o->calls;
}

static void
on_answer(void *owner, const uint8_t *bytes, size_t len)
{
	struct owner *o = owner;
	struct vsegment_answer a;

	must(!o->over && o->waits && len <= VSEGMENT_MAX
	    && vsegment_answer_decode(bytes, len, &a, NULL) == 0
	    && a.status == VSEGMENT_OK
	    && a.offset + a.len <= o->v->end);
	o->waits = false;
}

static void
on_event(void *owner)
{
	must(!((struct owner *)owner)->over);
}

static void
on_route(void *owner, const uint8_t *blob, size_t len)
{
	on_event(owner);
	must(len > 0 && len <= VSEGMENT_ROUTE_MAX);
}

static void
on_data(void *owner, const uint8_t *bytes, size_t len)
{
	struct owner *o = owner;

	on_event(owner);
	must(len > 0 && len <= NET_READ_MAX);
	if (bytes[0] == 'a')
		vstream_write(o->v, bytes, len, o->now, NULL);
	o->got += len;
	if (bytes[0] == 'p')
		vstream_read(o->v, false, o->now);
}

static void
on_over(void *owner, const struct err *why)
{
	on_event(owner);
	must(!((struct owner *)owner)->waits);
	((struct owner *)owner)->over = true;
}

static const struct vstream_events events = {
	.call = on_call, .answer = on_answer, .stale = on_event, .route = on_route,
	.open = on_event, .data = on_data, .drain = on_event,
	.over = on_over,
};

/* ---- what happens ---- */

/* Numbers that are small, or near to what the stream has, or any. */
static uint64_t
number(struct rd *r, uint64_t near)
{
	uint8_t kind = rd_u8(r);

	switch (kind % 4) {
	case 0:
		return kind / 4;
	case 1:
		return rd_u16(r);
	case 2:
		return near + kind / 4 - 32;
	default:
		return rd_u64(r);
	}
}

static uint8_t bytes_of_peer[VSEGMENT_MAX];

static void
hear(struct owner *o, struct rd *r)
{
	uint8_t *bytes = bytes_of_peer;
	struct vsegment s = { .payload = bytes, .route = bytes };
	struct vsegment_answer answer;
	bool may_wait;

	s.flags = rd_u8(r) & (VSEGMENT_FIN | VSEGMENT_RESET | VSEGMENT_ROUTE
	    | VSEGMENT_OPENER | VSEGMENT_ALONE);
	/* mostly the right direction, and no sudden end */
	if (rd_u8(r) % 8 != 0)
		s.flags = (s.flags & (VSEGMENT_FIN | VSEGMENT_ROUTE
		    | VSEGMENT_ALONE))
		    | (o->v->opener ? 0 : VSEGMENT_OPENER);
	s.offset = number(r, o->v->next) & (UINT64_MAX >> 1);
	s.ack = number(r, o->v->nxt);
	s.window = (uint32_t)number(r, 1 << 16);
	s.epoch = rd_u8(r);
	s.route_len = 1 + rd_u8(r);
	s.len = rd_u16(r) % VSEGMENT_MAX;
	bytes[0] = rd_u8(r);
	if (s.len > ((uint64_t)1 << 63) - s.offset)
		s.len = 0;
	may_wait = s.len % 4 != 0;
	if (vstream_message(o->v, &s, may_wait, o->now, &answer)) {
		must(!o->over || answer.status == VSEGMENT_UNKNOWN);
	} else {
		must(may_wait && !o->over && !o->waits);
		o->waits = true;
	}
}

static void
end_call(struct owner *o, struct rd *r)
{
	unsigned slot = rd_u8(r);
	struct vsegment_answer answer = { .status = VSEGMENT_OK };

	if (slot % 2)
		answer.status = rd_u8(r) % 16 < 4 ? rd_u8(r) % 4 : 0;
	slot = slot / 2 % (VSTREAM_CALLS + 1);
	if (slot < VSTREAM_CALLS)
		o->busy[slot] = false;
	if (rd_u8(r) % 4 == 0) {
		vstream_failed(o->v, slot, rd_u8(r) % (VFAULT_REFUSED + 1),
		    o->now);
		return;
	}
	answer.ack = number(r, o->v->nxt);
	answer.window = (uint32_t)number(r, 1 << 16);
	if (rd_u8(r) % 2) {
		answer.payload = bytes_of_peer;
		answer.offset = number(r, o->v->next) & (UINT64_MAX >> 1);
		answer.len = 1 + rd_u16(r)
		    % (VSEGMENT_MAX - VSEGMENT_ANSWER_HEAD_LEN);
		if (answer.len > ((uint64_t)1 << 63) - answer.offset)
			answer.len = 0;
	}
	vstream_answered(o->v, slot, &answer, o->now);
}

static void
own(struct owner *o, struct rd *r)
{
	static const uint8_t bytes[NET_SEND_MAX_UNKNOWN];
	uint8_t what = rd_u8(r);

	switch (what % 8) {
	case 0:
	case 1:
		vstream_write(o->v, bytes, rd_u16(r), o->now, NULL);
		break;
	case 2:
		vstream_read(o->v, what / 8 % 4 != 0, o->now);
		break;
	case 3:
		vstream_mark(o->v, o->now);
		break;
	case 4:
		if (what > 200)
			vstream_end(o->v, what % 16 == 4, o->now);
		break;
	case 5:
		o->calls = what / 8 % 4 != 0;
		if (o->calls)
			vstream_route_known(o->v, o->now);
		break;
	case 6:
		vstream_set_route(o->v, bytes, 1 + rd_u8(r), o->now, NULL);
		break;
	default:
		o->now += number(r, 60000) % 100000;
	}
}

static void
look(struct owner *o)
{
	const struct vstream *v = o->v;
	int rounds = 0;

	while (vstream_due(v) <= o->now) {
		vstream_run(o->v, o->now);
		must(++rounds < 100);
	}
	must(v->nspans <= VSTREAM_SPANS && v->nranges <= VSTREAM_RANGES
	    && v->in.cap <= (v->marked ? VSTREAM_WINDOW
		: VSTREAM_WINDOW_UNKNOWN)
	    && v->taken <= v->next && v->next <= v->high
	    && v->high <= vstream_edge(v) && v->una <= v->nxt
	    && v->nxt <= v->end + 1);
	must(v->answering == o->waits);
	/* Whatever is not acknowledged, something will happen. */
	must(v->over || vstream_complete(v) || v->una >= v->end
	    || vstream_due(v) != VSTREAM_NEVER);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct owner o = { .calls = true, .now = 1000 };
	struct rd r;

	rd_init(&r, data, size);
	o.v = vstream_new(id, rd_u8(&r) % 2, o.now, &events, &o);
	must(o.v != NULL);
	vstream_read(o.v, true, o.now);
	while (rd_left(&r) > 0) {
		switch (rd_u8(&r) % 4) {
		case 0:
			own(&o, &r);
			break;
		case 1:
			end_call(&o, &r);
			break;
		default:
			hear(&o, &r);
		}
		look(&o);
	}
	/* In the end it is over, or has nothing to wait for. */
	vstream_end(o.v, true, o.now);
	o.now += 2 * VSTREAM_DEAD_MS;
	look(&o);
	must(o.over);
	vstream_free(o.v);
	return 0;
}

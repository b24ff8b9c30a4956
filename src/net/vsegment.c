// SPDX-License-Identifier: MPL-2.0
#include "net/vsegment.h"

#include <string.h>

#include "base/be64.h"
#include "base/rd.h"

#define ALL_FLAGS (VSEGMENT_OPENER | VSEGMENT_FIN | VSEGMENT_RESET \
    | VSEGMENT_ROUTE | VSEGMENT_ALONE)

/* No offset is above this, so that sums of one and a length or a window don't
 * overflow. */
#define OFFSET_MAX ((uint64_t)1 << 63)

static int
other_version(unsigned version, struct err *err)
{
	return err_set(err, E_REFUSED, NULL,
	    "the other side speaks version %u of what goes over Veilid, this "
	    "program version %d", version, VSEGMENT_VERSION);
}

int
vsegment_encode(const struct vsegment *s, struct buf *out, struct err *err)
{
	buf_add_u8(out, VSEGMENT_VERSION);
	buf_add_u8(out, (uint8_t)s->flags);
	buf_add(out, s->stream, sizeof s->stream);
	buf_add_u64(out, s->offset);
	buf_add_u64(out, s->ack);
	buf_add_u32(out, s->window);
	if (s->flags & VSEGMENT_ROUTE) {
		buf_add_u32(out, s->epoch);
		buf_add_u16(out, (uint16_t)s->route_len);
		buf_add(out, s->route, s->route_len);
	}
	buf_add(out, s->payload, s->len);
	return out->failed ? err_nomem(err) : 0;
}

static void
read_route(struct rd *r, struct vsegment *out)
{
	out->epoch = rd_u32(r);
	out->route_len = rd_u16(r);
	if (out->route_len == 0 || out->route_len > VSEGMENT_ROUTE_MAX)
		rd_fail(r);
	out->route = rd_bytes(r, out->route_len);
}

int
vsegment_decode(const void *bytes, size_t len, struct vsegment *out,
    struct err *err)
{
	uint8_t version;
	struct rd r;

	*out = (struct vsegment){ .flags = 0 };
	rd_init(&r, bytes, len);
	version = rd_u8(&r);
	if (!rd_failed(&r) && version != VSEGMENT_VERSION)
		return other_version(version, err);
	out->flags = rd_u8(&r);
	rd_copy(&r, sizeof out->stream, out->stream);
	out->offset = rd_u64(&r);
	out->ack = rd_u64(&r);
	out->window = rd_u32(&r);
	if (len > VSEGMENT_MAX || (out->flags & ~(unsigned)ALL_FLAGS) != 0)
		rd_fail(&r);
	if (out->flags & VSEGMENT_ROUTE)
		read_route(&r, out);
	out->len = rd_left(&r);
	out->payload = rd_bytes(&r, out->len);
	if (rd_done(&r) && out->offset <= OFFSET_MAX
	    && out->len <= OFFSET_MAX - out->offset)
		return 0;
	*out = (struct vsegment){ .flags = 0 };
	return err_set(err, E_INTEGRITY, NULL,
	    "what came over Veilid is no piece of a connection");
}

void
vsegment_answer_encode(const struct vsegment_answer *a,
    uint8_t out[static VSEGMENT_ANSWER_HEAD_LEN], size_t *len)
{
	size_t i;

	out[0] = VSEGMENT_VERSION;
	out[1] = (uint8_t)a->status;
	*len = 2;
	if (a->status != VSEGMENT_OK)
		return;
	be64_put(out + 2, a->ack);
	for (i = 0; i < 4; i++)
		out[10 + i] = (uint8_t)(a->window >> 8 * (3 - i));
	*len = VSEGMENT_ANSWER_LEN;
	if (a->len == 0)
		return;
	be64_put(out + VSEGMENT_ANSWER_LEN, a->offset);
	*len = VSEGMENT_ANSWER_HEAD_LEN;
}

/* The bytes that an answer may have; those of none are none. */
static void
read_payload(struct rd *r, struct vsegment_answer *out)
{
	if (rd_left(r) == 0)
		return;
	out->offset = rd_u64(r);
	out->len = rd_left(r);
	out->payload = rd_bytes(r, out->len);
	if (out->len == 0 || out->offset > OFFSET_MAX
	    || out->len > OFFSET_MAX - out->offset)
		rd_fail(r);
}

int
vsegment_answer_decode(const void *bytes, size_t len,
    struct vsegment_answer *out, struct err *err)
{
	uint8_t version, status;
	struct rd r;

	*out = (struct vsegment_answer){ .status = VSEGMENT_UNKNOWN };
	rd_init(&r, bytes, len);
	version = rd_u8(&r);
	if (!rd_failed(&r) && version != VSEGMENT_VERSION)
		return other_version(version, err);
	status = rd_u8(&r);
	if (len > VSEGMENT_MAX || status > VSEGMENT_OTHER)
		rd_fail(&r);
	if (status == VSEGMENT_OK) {
		out->ack = rd_u64(&r);
		out->window = rd_u32(&r);
		read_payload(&r, out);
	}
	if (!rd_done(&r)) {
		*out = (struct vsegment_answer){ .status = VSEGMENT_UNKNOWN };
		return err_set(err, E_INTEGRITY, NULL,
		    "what came over Veilid is no answer to a piece of a "
		    "connection");
	}
	out->status = status;
	return 0;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * vsegment.h - what one call of Veilid carries: a piece of a stream, and what
 * is answered.  When to send which is vstream's business.
 *
 * A message, numbers with the highest byte first:
 *
 *   version   1 byte     VSEGMENT_VERSION
 *   flags     1 byte     VSEGMENT_OPENER and others; unknown ones: no segment
 *   stream   16 bytes    chosen at random by who opens it
 *   offset    8 bytes    where the payload begins in its sender's stream
 *   ack       8 bytes    what the sender has received, all in order; the end
 *                        of the stream counts as one more
 *   window    4 bytes    what it takes beyond ack
 *   with VSEGMENT_ROUTE: by which private route the sender is reached
 *     epoch   4 bytes    counts them; the highest is the one in use
 *     length  2 bytes    at least 1
 *     blob    that many bytes
 *   payload   the rest, may be none
 *
 * An answer:
 *
 *   version   1 byte
 *   status    1 byte     enum vsegment_status; all but OK end here
 *   ack       8 bytes
 *   window    4 bytes
 *   with bytes of the other direction, at least 1:
 *     offset    8 bytes
 *     payload   the rest
 *
 * Nobody trusts a segment: the channel in the stream proves who is there, and
 * one who knows the 16 bytes can break the stream, no more.
 */
#ifndef NET_VSEGMENT_H
#define NET_VSEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	VSEGMENT_VERSION = 1,
	VSEGMENT_STREAM_LEN = 16,
	VSEGMENT_MAX = 32768,           /* of a call and of an answer */
	VSEGMENT_HEAD_LEN = 1 + 1 + VSEGMENT_STREAM_LEN + 8 + 8 + 4,
	VSEGMENT_ANSWER_LEN = 1 + 1 + 8 + 4, /* without a payload */
	VSEGMENT_ANSWER_HEAD_LEN = VSEGMENT_ANSWER_LEN + 8,
	VSEGMENT_ROUTE_MAX = 4096       /* of a blob */
};

enum vsegment_flag {
	VSEGMENT_OPENER = 1,    /* sent by who opened the stream */
	VSEGMENT_FIN = 2,       /* the stream ends behind the payload */
	VSEGMENT_RESET = 4,     /* it is over at once, whatever was sent */
	VSEGMENT_ROUTE = 8,     /* there is a route */
	VSEGMENT_ALONE = 16     /* its sender has nothing else under way or to
				 * send: the answer may come a little later, if
				 * there is something that can go with it */
};

enum vsegment_status {
	VSEGMENT_OK,
	VSEGMENT_UNKNOWN,       /* no such stream: it is over */
	VSEGMENT_BUSY,          /* no room for another stream */
	VSEGMENT_OTHER          /* a version that is not known here */
};

struct vsegment {
	unsigned flags;
	uint8_t stream[VSEGMENT_STREAM_LEN];
	uint64_t offset, ack;
	uint32_t window;
	uint32_t epoch;                 /* with a route */
	const uint8_t *route;
	size_t route_len;
	const uint8_t *payload;
	size_t len;
};

struct vsegment_answer {
	enum vsegment_status status;
	uint64_t ack;
	uint32_t window;
	uint64_t offset;                /* with a payload */
	const uint8_t *payload;
	size_t len;
};

/* Appends s, which must not pass VSEGMENT_MAX.  E_FATAL without memory. */
int vsegment_encode(const struct vsegment *s, struct buf *out,
    struct err *err);

/* Reads a message; out points into bytes.  E_REFUSED: another version.
 * E_INTEGRITY: it is none, or its payload would end above 2^63. */
int vsegment_decode(const void *bytes, size_t len, struct vsegment *out,
    struct err *err);

/* Writes what of an answer comes before its payload (a->len bytes, of which none
 * is looked at), which belongs to VSEGMENT_OK only. */
void vsegment_answer_encode(const struct vsegment_answer *a,
    uint8_t out[static VSEGMENT_ANSWER_HEAD_LEN], size_t *len);

/* Same errors as vsegment_decode(), out points into bytes too; unknown statuses
 * are E_INTEGRITY. */
int vsegment_answer_decode(const void *bytes, size_t len,
    struct vsegment_answer *out, struct err *err);

#endif

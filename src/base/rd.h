// SPDX-License-Identifier: MPL-2.0
/*
 * rd.h - reads bytes that may come from a stranger.
 *
 * A struct rd is a view of bytes and a place in it.  The first error (not
 * enough bytes, a number that is out of range) sticks: later reads give zero
 * and empty views, and the caller asks rd_done() or rd_failed() once, at the
 * end, before any value is used.  Encodings are those of buf.h.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};

void rd_init(struct rd *r, const void *data, size_t len);

bool rd_failed(const struct rd *r);

/* True if every byte was read and nothing failed. */
bool rd_done(const struct rd *r);

/* Bytes not yet read; 0 after a failure. */
size_t rd_left(const struct rd *r);

/* Makes r fail. */
void rd_fail(struct rd *r);

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);

/* Fails on more than 10 bytes, on more than 64 bits, and above max. */
uint64_t rd_varint(struct rd *r, uint64_t max);
int64_t rd_zigzag(struct rd *r);

/* How many things of at least `least` bytes each follow.  Fails above max, and on
 * more than the bytes left could hold, so that memory may be taken for them. */
size_t rd_count(struct rd *r, size_t max, size_t least);

/* A view of the next n bytes, or NULL (with r failed) if there are fewer.
 * Never NULL on success, also for n == 0. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

/* Copies the next n bytes to out; zeroes out on failure. */
void rd_copy(struct rd *r, size_t n, void *out);

/* The next n bytes as a reader of their own. */
struct rd rd_slice(struct rd *r, size_t n);

#endif

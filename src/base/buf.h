// SPDX-License-Identifier: MPL-2.0
/*
 * buf.h - a growing byte buffer that never passes its maximum.
 *
 * The first failure (no memory, or over the maximum) sticks: later calls do
 * nothing, and the caller asks once, at the end.  Encodings live elsewhere.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;
	bool failed;
};

/* An empty buffer of at most max bytes; allocates nothing. */
void buf_init(struct buf *b, size_t max);

/* Frees the bytes and makes b empty again, with the same maximum. */
void buf_clear(struct buf *b);

/* Same, after wiping every byte that was ever in use: for secrets. */
void buf_wipe(struct buf *b);

/* Makes room for n more bytes and returns where they go, or NULL after a
 * failure; the caller writes them and adds to len. */
uint8_t *buf_reserve(struct buf *b, size_t n);

/* Appends len bytes. */
void buf_add(struct buf *b, const void *data, size_t len);

/* Appends one byte; a 16-, 32- or 64-bit number, big-endian; an unsigned
 * number in 7-bit groups, least significant first (1 to 10 bytes). */
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u16(struct buf *b, uint16_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_varint(struct buf *b, uint64_t v);

/* Appends a signed number as a varint with the sign in the lowest bit. */
void buf_add_zigzag(struct buf *b, int64_t v);

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* Hands the bytes over to the caller, who frees them; b is empty then. */
uint8_t *buf_take(struct buf *b, size_t *len);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * put.h - small pieces into a buffer, many at a time: whoever encodes a row would
 * spend more on calls of buf.h than on bytes.  It makes room once, writes, and adds
 * to len.
 */
#ifndef BASE_PUT_H
#define BASE_PUT_H

#include "base/buf.h"

enum { VARINT_MAX = 10 };

/* As buf_reserve, with no call where there is room. */
static inline uint8_t *
buf_room(struct buf *b, size_t n)
{
	return !b->failed && n < b->cap - b->len ? b->data + b->len :
	    buf_reserve(b, n);
}

/* An unsigned number as buf_add_varint has it, of at most VARINT_MAX bytes;
 * returns their end. */
static inline uint8_t *
varint_put(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* A signed one, as buf_add_zigzag has it. */
static inline uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

#endif

// SPDX-License-Identifier: MPL-2.0
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/put.h"

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof *b);
	b->max = max;
}

void
buf_clear(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_clear(b);
}

/* Doubles up to a megabyte at a time, so that large buffers waste little. */
static size_t
grown(const struct buf *b, size_t need)
{
	size_t step = b->cap < 256 ? 256 : b->cap;
	size_t cap;

	if (step > 1 << 20)
		step = 1 << 20;
	cap = b->cap > b->max - step ? b->max : b->cap + step;
	return cap < need ? need : cap;
}

uint8_t *
buf_reserve(struct buf *b, size_t n)
{
	uint8_t *data;
	size_t cap;

	if (b->failed)
		return NULL;
	if (b->len > b->max || n > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	if (n > b->cap - b->len) {
		cap = b->max < 256 ? b->max : grown(b, b->len + n);
		data = realloc(b->data, cap);
		if (data == NULL) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	if (b->data == NULL) {
		/* n == 0 on an empty buffer: give a pointer that is valid */
		static uint8_t nothing[1];
		return nothing;
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	uint8_t *p = buf_reserve(b, len);

	if (p == NULL || len == 0)
		return;
	memcpy(p, data, len);
	b->len += len;
}

void
buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

static void
add_big_endian(struct buf *b, uint64_t v, size_t n)
{
	uint8_t *p = buf_reserve(b, n);
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
	b->len += n;
}

void
buf_add_u16(struct buf *b, uint16_t v)
{
	add_big_endian(b, v, 2);
}

void
buf_add_u32(struct buf *b, uint32_t v)
{
	add_big_endian(b, v, 4);
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	add_big_endian(b, v, 8);
}

void
buf_add_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_room(b, VARINT_MAX);

	if (p != NULL)
		b->len += (size_t)(varint_put(p, v) - p);
}

void
buf_add_zigzag(struct buf *b, int64_t v)
{
	buf_add_varint(b, zigzag(v));
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	b->len -= n;
	if (b->len > 0 && n > 0)
		memmove(b->data, b->data + n, b->len);
}

uint8_t *
buf_take(struct buf *b, size_t *len)
{
	uint8_t *data = b->data;

	*len = b->len;
	b->data = NULL;
	buf_clear(b);
	return data;
}

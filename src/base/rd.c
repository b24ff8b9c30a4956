// SPDX-License-Identifier: MPL-2.0
#include "base/rd.h"

#include <string.h>

void
rd_init(struct rd *r, const void *data, size_t len)
{
	static const uint8_t nothing[1];

	r->p = len > 0 ? data : nothing;
	r->end = r->p + len;
	r->failed = false;
}

bool
rd_failed(const struct rd *r)
{
	return r->failed;
}

bool
rd_done(const struct rd *r)
{
	return !r->failed && r->p == r->end;
}

size_t
rd_left(const struct rd *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->p);
}

void
rd_fail(struct rd *r)
{
	r->failed = true;
}

const uint8_t *
rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || n > (size_t)(r->end - r->p)) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static uint64_t
big_endian(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	uint64_t v = 0;
	size_t i;

	if (p == NULL)
		return 0;
	for (i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t
rd_u8(struct rd *r)
{
	return (uint8_t)big_endian(r, 1);
}

uint16_t
rd_u16(struct rd *r)
{
	return (uint16_t)big_endian(r, 2);
}

uint32_t
rd_u32(struct rd *r)
{
	return (uint32_t)big_endian(r, 4);
}

uint64_t
rd_u64(struct rd *r)
{
	return big_endian(r, 8);
}

uint64_t
rd_varint(struct rd *r, uint64_t max)
{
	uint64_t v = 0;
	int shift;
	uint8_t c;

	for (shift = 0; shift < 70; shift += 7) {
		c = rd_u8(r);
		if (r->failed)
			return 0;
		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7F) << shift;
		if (c < 0x80) {
			if (v > max)
				break;
			return v;
		}
	}
	r->failed = true;
	return 0;
}

int64_t
rd_zigzag(struct rd *r)
{
	uint64_t v = rd_varint(r, UINT64_MAX);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

size_t
rd_count(struct rd *r, size_t max, size_t least)
{
	uint64_t n = rd_varint(r, max);

	if (n > rd_left(r) / least)
		rd_fail(r);
	return r->failed ? 0 : (size_t)n;
}

void
rd_copy(struct rd *r, size_t n, void *out)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p == NULL)
		memset(out, 0, n);
	else
		memcpy(out, p, n);
}

struct rd
rd_slice(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	struct rd inner;

	rd_init(&inner, p, p != NULL ? n : 0);
	inner.failed = p == NULL;
	return inner;
}

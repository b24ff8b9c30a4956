// SPDX-License-Identifier: MPL-2.0
#include "net/vring.h"

#include <stdlib.h>
#include <string.h>

static size_t
place(const struct vring *r, uint64_t at)
{
	return (size_t)(at & (r->cap - 1));
}

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

const uint8_t *
vring_at(const struct vring *r, uint64_t at, size_t *len)
{
	size_t begin = place(r, at);

	*len = smaller(*len, r->cap - begin);
	return r->data + begin;
}

void
vring_put(struct vring *r, uint64_t at, const uint8_t *bytes, size_t len)
{
	size_t begin, n;

	if (len == 0)
		return;
	begin = place(r, at);
	n = smaller(len, r->cap - begin);
	memcpy(r->data + begin, bytes, n);
	memcpy(r->data, bytes + n, len - n);
}

void
vring_get(const struct vring *r, uint64_t at, uint8_t *out, size_t len)
{
	size_t begin, n;

	if (len == 0)
		return;
	begin = place(r, at);
	n = smaller(len, r->cap - begin);
	memcpy(out, r->data + begin, n);
	memcpy(out + n, r->data, len - n);
}

bool
vring_fit(struct vring *r, uint64_t from, uint64_t used, uint64_t to)
{
	struct vring wide = { .cap = r->cap > 0 ? r->cap : VRING_MIN };
	const uint8_t *piece;
	size_t n;

	if (to - from <= r->cap)
		return true;
	while (wide.cap < to - from)
		wide.cap *= 2;
	wide.data = malloc(wide.cap);
	if (wide.data == NULL)
		return false;
	for (; from < used; from += n) {
		n = (size_t)(used - from);
		piece = vring_at(r, from, &n);
		vring_put(&wide, from, piece, n);
	}
	free(r->data);
	*r = wide;
	return true;
}

void
vring_clear(struct vring *r)
{
	free(r->data);
	*r = (struct vring){ .cap = 0 };
}

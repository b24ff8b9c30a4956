// SPDX-License-Identifier: MPL-2.0
/*
 * vring.h - some bytes of a stream, each kept under its offset in the stream.
 * Which of them count is known by whoever has the ring.
 */
#ifndef NET_VRING_H
#define NET_VRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VRING_MIN = 4096 };

/* All zero is an empty one. */
struct vring {
	uint8_t *data;
	size_t cap;             /* a power of two, or 0 */
};

/* Makes room for the bytes from from to to, of which those before used are
 * kept.  False without memory; nothing has changed then. */
bool vring_fit(struct vring *r, uint64_t from, uint64_t used, uint64_t to);

/* Puts bytes at an offset; there is room. */
void vring_put(struct vring *r, uint64_t at, const uint8_t *bytes,
    size_t len);

/* Copies len bytes from there. */
void vring_get(const struct vring *r, uint64_t at, uint8_t *out, size_t len);

/* The bytes from there on, *len of them at most: *len says how many lie in one
 * piece. */
const uint8_t *vring_at(const struct vring *r, uint64_t at, size_t *len);

/* Frees the memory. */
void vring_clear(struct vring *r);

#endif

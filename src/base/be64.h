// SPDX-License-Identifier: MPL-2.0
/*
 * be64.h - a 64-bit number as 8 bytes, the highest first, where there is room
 * for them already; what grows is written by buf.h, what a stranger sent is read
 * by rd.h.
 */
#ifndef BASE_BE64_H
#define BASE_BE64_H

#include <stdint.h>

static inline void
be64_put(uint8_t out[static 8], uint64_t v)
{
	int i;

	for (i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> 8 * (7 - i));
}

static inline uint64_t
be64_get(const uint8_t in[static 8])
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | in[i];
	return v;
}

#endif

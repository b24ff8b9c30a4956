// SPDX-License-Identifier: MPL-2.0
/* rng.h - numbers for random histories, the same ones from the same seed. */
#ifndef TESTS_RNG_H
#define TESTS_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s;             /* the seed; not 0 */
};

static inline uint32_t
below(struct rng *r, uint32_t n)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return (uint32_t)(r->s >> 33) % n;
}

#endif

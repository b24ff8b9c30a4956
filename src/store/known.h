// SPDX-License-Identifier: MPL-2.0
/*
 * known.h - vectors that readers are known to have, by remote and hash, so
 * that they need not send them again (R13).  In memory: what is forgotten
 * costs the reader one round trip.
 */
#ifndef STORE_KNOWN_H
#define STORE_KNOWN_H

#include "store/peer.h"

enum {
	KNOWN_PER_REMOTE = 8,
	KNOWN_MAX = 256,
	KNOWN_ENTRIES_MAX = 1 << 18     /* in all: 8 MiB */
};

struct known {
	struct known_vector {
		int64_t remote;
		struct store_vector vector;
	} *list;                /* oldest first */
	size_t n;
	size_t entries;
};

/* Remembers a copy, with its hash computed; forgets old ones. */
int known_add(struct known *k, int64_t remote, const struct store_vector *v,
    struct err *err);

/* The vector of that hash, or NULL; valid until the next known_add. */
const struct store_vector *known_find(const struct known *k, int64_t remote,
    const uint8_t hash[static STORE_HASH_LEN]);

void known_clear(struct known *k);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * vrecord.h - what a database says of itself in Veilid's DHT: by which private
 * route it is reached, and whether anything has changed.  Putting it there and
 * getting it is not its business.
 *
 *   version   1 byte     VRECORD_VERSION
 *   expires   8 bytes    seconds since 1970, the highest byte first
 *   token    16 bytes    another one after each change; it counts nothing
 *   route     2 bytes    length, 0: not to be reached (withdrawn)
 *             that many  the route's blob, as the node gave it
 *   signature 64 bytes   Ed25519, by the database's key, over the text
 *                        "ddcp veilid record", a zero byte, the public key and
 *                        all of the above
 *
 * The record is not secret: its place follows from the database's address, so
 * that those who know the address find it, and those who keep it for Veilid's
 * network learn the address.  It hides what changed and how much, not when.
 */
#ifndef NET_VRECORD_H
#define NET_VRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	VRECORD_VERSION = 1,
	VRECORD_TOKEN_LEN = 16,
	VRECORD_ROUTE_MAX = 4096,
	VRECORD_SEED_LEN = 32,          /* a secret key, as Veilid has it */
	VRECORD_SIGNATURE_LEN = 64,
	VRECORD_MAX = 1 + 8 + VRECORD_TOKEN_LEN + 2 + VRECORD_ROUTE_MAX
	    + VRECORD_SIGNATURE_LEN
};

struct vrecord {
	uint64_t expires;               /* seconds since 1970 */
	uint8_t token[VRECORD_TOKEN_LEN];
	const uint8_t *route;
	size_t route_len;               /* 0: withdrawn */
};

/* Appends the record, signed by the key that seed makes.  E_USAGE: route_len is
 * above VRECORD_ROUTE_MAX. */
int vrecord_encode(const struct vrecord *r,
    const uint8_t seed[static VRECORD_SEED_LEN], struct buf *out,
    struct err *err);

/* Reads a record of key; out->route points into data.  E_REFUSED: it is of
 * another version, and nothing else was looked at.  E_INTEGRITY: it is no
 * record, or none that key has signed.  Whether it has expired is left to
 * vrecord_alive(). */
int vrecord_decode(const void *data, size_t len,
    const uint8_t key[static KEY_LEN], struct vrecord *out,
    struct err *err);

/* Whether there is a route, and its time is not over. */
bool vrecord_alive(const struct vrecord *r, uint64_t now_ms);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * proof.h - the server name of a ClientHello, by which the caller proves that
 * he knows the address (doc/PROTOCOL.md 1.2): hex of a nonce, a dot, hex of
 * its HMAC under a key made from the address.
 */
#ifndef CHAN_PROOF_H
#define CHAN_PROOF_H

#include <stdbool.h>
#include <stddef.h>

#include "chan/chan.h"

enum {
	PROOF_NONCE_LEN = 16,
	PROOF_MAC_LEN = 16,
	PROOF_NAME_LEN = 2 * (PROOF_NONCE_LEN + PROOF_MAC_LEN) + 1,
	PROOF_SEEN_MAX = 1024   /* nonces remembered: the newest */
};

/* Names that were used; zero is none.  Only who knows the address can make one
 * that gets here, so nobody else can have older ones forgotten. */
struct proof_seen {
	uint8_t nonce[PROOF_SEEN_MAX][PROOF_NONCE_LEN];
	size_t n;               /* ever */
};

/* Makes a name for the address with a fresh nonce; false without randomness. */
bool proof_make(const uint8_t address[static KEY_LEN],
    char name[static PROOF_NAME_LEN + 1]);

/* True if the name (not ended by NUL) is one for that address. */
bool proof_check(const uint8_t address[static KEY_LEN], const char *name,
    size_t len);

/* True if that name, which passed proof_check(), was not used before; from now
 * on it was. */
bool proof_first_use(struct proof_seen *seen,
    const char name[static PROOF_NAME_LEN]);

#endif

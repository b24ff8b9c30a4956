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
	PROOF_NAME_LEN = 2 * (PROOF_NONCE_LEN + PROOF_MAC_LEN) + 1
};

/* Makes a name for the address with a fresh nonce; false without randomness. */
bool proof_make(const uint8_t address[static KEY_LEN],
    char name[static PROOF_NAME_LEN + 1]);

/* True if the name (not ended by NUL) is one for that address. */
bool proof_check(const uint8_t address[static KEY_LEN], const char *name,
    size_t len);

#endif

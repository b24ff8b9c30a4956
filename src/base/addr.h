// SPDX-License-Identifier: MPL-2.0
/*
 * addr.h - addresses: the text form of a public key, and of a place.
 *
 * An address is "VLD0:" and the 32 bytes of an Ed25519 public key in 43
 * characters of base64url without padding (RFC 4648, section 5).  The full
 * form adds a place: ADDRESS@HOST:PORT, IPv6 hosts in brackets.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	KEY_LEN = 32,       /* a public key */
	ADDR_TEXT_LEN = 48, /* "VLD0:" and 43 characters, without the NUL */
	PLACE_MAX = 262,    /* longest HOST:PORT, with the NUL */
};

/* Writes the address of key to out. */
void addr_format(const uint8_t key[static KEY_LEN],
    char out[static ADDR_TEXT_LEN + 1]);

/* Reads an address, with or without prefix and with or without a place.
 * place gets "HOST:PORT" or "".  E_USAGE for anything that is not exactly
 * that (a last character with unused bits set is refused, so that a key has
 * one text only). */
int addr_parse(const char *text, uint8_t key[static KEY_LEN],
    char place[static PLACE_MAX], struct err *err);

/* Splits "HOST:PORT" or "[V6]:PORT"; host gets no brackets.  E_USAGE if it
 * is not of that form or the port is not 1 to 65535. */
int addr_split_place(const char *place, char host[static 256],
    uint16_t *port, struct err *err);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * sha256.h - SHA-256 of a few bytes, for where the engine has to agree with
 * others on a number: crsqlite.so has no cryptographic library.  Not for
 * secrets, nor for much data.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SHORT_MAX = 55, SHA256_BYTES = 32 };

/* The hash of up to SHA256_SHORT_MAX bytes (one block). */
void sha256_short(const void *data, size_t len, uint8_t out[SHA256_BYTES]);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * base64.h - bytes as base64url without padding (RFC 4648, section 5).  Bytes
 * have one text only: one that sets bits which stand for nothing is refused.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many characters n bytes are (n at most SIZE_MAX / 2), and how many bytes
 * that number of characters. */
size_t base64_chars(size_t n);
size_t base64_bytes(size_t chars);

/* Writes base64_chars(n) characters, without a NUL, and returns how many. */
size_t base64_encode(const void *bytes, size_t n, char *out);

/* Reads exactly that many characters into base64_bytes(chars) bytes; false if
 * they are no text that base64_encode writes.  out is used in either case. */
bool base64_decode(const char *text, size_t chars, uint8_t *out);

#endif

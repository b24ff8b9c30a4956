// SPDX-License-Identifier: MPL-2.0
/* utf8.h - what is UTF-8 (RFC 3629), and making other bytes so. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at p, where `left` bytes are (1 or more);
 * 0 if there is none, or it is a NUL. */
size_t utf8_len(const uint8_t *p, size_t left);

/* Puts '?' in place of each byte of a string that is in no character. */
void utf8_repair(char *s);

#endif

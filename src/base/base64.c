// SPDX-License-Identifier: MPL-2.0
#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t
base64_chars(size_t n)
{
	return n / 3 * 4 + (n % 3 > 0 ? n % 3 + 1 : 0);
}

size_t
base64_bytes(size_t chars)
{
	return chars / 4 * 3 + (chars % 4 > 0 ? chars % 4 - 1 : 0);
}

size_t
base64_encode(const void *bytes, size_t n, char *out)
{
	const uint8_t *from = bytes;
	uint32_t bits = 0;
	int nbits = 0;
	char *p = out;
	size_t i;

	for (i = 0; i < n; i++) {
		bits = bits << 8 | from[i];
		for (nbits += 8; nbits >= 6; nbits -= 6)
			*p++ = alphabet[bits >> (nbits - 6) & 63];
	}
	if (nbits > 0)
		*p++ = alphabet[bits << (6 - nbits) & 63];
	return (size_t)(p - out);
}

/* What a character stands for, or -1. */
static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool
base64_decode(const char *text, size_t chars, uint8_t *out)
{
	uint32_t bits = 0;
	int nbits = 0;
	size_t i;
	int v;

	if (chars % 4 == 1)
		return false;
	for (i = 0; i < chars; i++) {
		v = value_of(text[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		nbits += 6;
		if (nbits >= 8) {
			nbits -= 8;
			*out++ = (uint8_t)(bits >> nbits);
		}
	}
	return (bits & ((1u << nbits) - 1)) == 0;
}

// SPDX-License-Identifier: MPL-2.0
#include "base/utf8.h"

#include <string.h>

size_t
utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = { 1, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t n, i;

	if (c < 0x80)
		return c != 0;
	n = c < 0xC0 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF8 ? 3 : 0;
	if (n == 0 || n >= left)
		return 0;
	c &= 0x3Fu >> n;
	for (i = 1; i <= n; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3F);
	}
	if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return 0;
	return n + 1;
}

void
utf8_repair(char *s)
{
	size_t left = strlen(s), n;

	for (; left > 0; s += n, left -= n) {
		n = utf8_len((uint8_t *)s, left);
		if (n == 0) {
			*s = '?';
			n = 1;
		}
	}
}

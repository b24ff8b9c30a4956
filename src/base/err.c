// SPDX-License-Identifier: MPL-2.0
#include "base/err.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Ends s, which snprintf may have cut, at a whole UTF-8 character, and makes it
 * UTF-8: names of files are any bytes. */
static void
make_text(char *s, size_t max, int wanted)
{
	size_t n;

	if (wanted < 0)
		s[0] = '\0';
	if (wanted >= 0 && (size_t)wanted >= max) {
		n = max - 1;
		while (n > 0 && ((unsigned char)s[n - 1] & 0xC0) == 0x80)
			n--;
		if (n > 0 && ((unsigned char)s[n - 1] & 0xC0) == 0xC0)
			n--;
		s[n] = '\0';
	}
	utf8_repair(s);
}

int
err_set(struct err *err, int code, const char *hint, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	err->locked = false;
	va_start(ap, fmt);
	make_text(err->text, sizeof err->text,
	    vsnprintf(err->text, sizeof err->text, fmt, ap));
	va_end(ap);
	make_text(err->hint, sizeof err->hint,
	    snprintf(err->hint, sizeof err->hint, "%s", hint ? hint : ""));
	return code;
}

int
err_nomem(struct err *err)
{
	return err_set(err, E_FATAL, NULL, "out of memory");
}

void
err_clear(struct err *err)
{
	memset(err, 0, sizeof *err);
}

int
err_gravest(int a, int b)
{
	static const int order[] = { E_FATAL, E_INTERRUPTED, E_INTEGRITY,
		E_HORIZON, E_REFUSED, E_UNREACHABLE, E_HELD };
	size_t i;

	for (i = 0; i < sizeof order / sizeof *order; i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a ? a : b;
}

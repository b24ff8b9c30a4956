// SPDX-License-Identifier: MPL-2.0
#include "base/addr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"

static const char prefix[] = "VLD0:";
static const char address_hint[] =
    "an address is 43 characters, with or without VLD0: in front";

enum { KEY_CHARS = 43 };

void
addr_format(const uint8_t key[static KEY_LEN],
    char out[static ADDR_TEXT_LEN + 1])
{
	memcpy(out, prefix, sizeof prefix - 1);
	base64_encode(key, KEY_LEN, out + sizeof prefix - 1);
	out[ADDR_TEXT_LEN] = '\0';
}

int
addr_parse(const char *text, uint8_t key[static KEY_LEN],
    char place[static PLACE_MAX], struct err *err)
{
	char host[256];
	uint16_t port;
	const char *at, *chars = text;
	size_t len;

	place[0] = '\0';
	if (strncasecmp(chars, prefix, sizeof prefix - 1) == 0)
		chars += sizeof prefix - 1;
	at = strchr(chars, '@');
	len = at ? (size_t)(at - chars) : strlen(chars);
	if (len != KEY_CHARS || !base64_decode(chars, len, key))
		return err_set(err, E_USAGE, address_hint,
		    "'%.80s' is not an address", text);
	if (at == NULL)
		return 0;
	if (strlen(at + 1) >= PLACE_MAX)
		return err_set(err, E_USAGE, NULL, "the place after @ is too long");
	strcpy(place, at + 1);
	return addr_split_place(place, host, &port, err);
}

int
addr_split_place(const char *place, char host[static 256],
    uint16_t *port, struct err *err)
{
	static const char hint[] = "a place is HOST:PORT, or [HOST]:PORT for IPv6";
	const char *colon = strrchr(place, ':');
	const char *from = place, *to = colon, *at;
	size_t digits;
	long n;

	if (colon == NULL || colon == place)
		goto bad;
	if (place[0] == '[') {
		from++;
		if (*--to != ']' || to == from)
			goto bad;
	} else if (memchr(place, ':', (size_t)(colon - place)) != NULL) {
		goto bad;
	}
	if ((size_t)(to - from) > 255)
		goto bad;
	/* no blank, no control, nothing that is not shown as it is: places stand in
	 * lines */
	for (at = from; at < to; at++)
		if (*at <= ' ' || *at > '~')
			goto bad;
	digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
		goto bad;
	n = strtol(colon + 1, NULL, 10);
	if (n < 1 || n > 65535)
		goto bad;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	*port = (uint16_t)n;
	return 0;
bad:
	return err_set(err, E_USAGE, hint, "'%.80s' is not a place", place);
}

// SPDX-License-Identifier: MPL-2.0
#include "net/place.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

void
place_format(const struct sockaddr *addr, char out[static PLACE_MAX])
{
	char host[INET6_ADDRSTRLEN + 1] = "", scope[IF_NAMESIZE + 1] = "";
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const uint8_t *ip;

	if (addr->sa_family == AF_INET) {
		uv_ip4_name(in, host, sizeof host);
		snprintf(out, PLACE_MAX, "%s:%u", host, ntohs(in->sin_port));
		return;
	}
	ip = in6->sin6_addr.s6_addr;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		snprintf(out, PLACE_MAX, "%u.%u.%u.%u:%u", ip[12], ip[13],
		    ip[14], ip[15], ntohs(in6->sin6_port));
		return;
	}
	uv_ip6_name(in6, host, sizeof host);
	if (in6->sin6_scope_id != 0) {
		scope[0] = '%';
		if (if_indextoname(in6->sin6_scope_id, scope + 1) == NULL)
			scope[0] = '\0';
	}
	snprintf(out, PLACE_MAX, "[%s%s]:%u", host, scope,
	    ntohs(in6->sin6_port));
}

int
place_numeric(const char *host, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof *out);
	if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0
	    || uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0)
		return 0;
	return -1;
}

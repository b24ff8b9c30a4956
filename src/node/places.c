// SPDX-License-Identifier: MPL-2.0
#include "node/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

struct telling {
	char address[ADDR_TEXT_LEN + 1];
	int (*each)(void *self, const char *address);
	void *self;
};

static int
tell(const struct telling *t, const char *host, uint16_t port)
{
	char full[ADDR_TEXT_LEN + 1 + PLACE_MAX + 2];
	bool v6 = strchr(host, ':') != NULL;

	snprintf(full, sizeof full, v6 ? "%s@[%s]:%u" : "%s@%s:%u", t->address,
	    host, (unsigned)port);
	return t->each(t->self, full);
}

static bool
is_link_local(const uv_interface_address_t *i)
{
	const uint8_t *v6 = i->address.address6.sin6_addr.s6_addr;

	return i->address.address4.sin_family == AF_INET6
	    && v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80;
}

/* Addresses of this machine: those of loopback, or the others. */
static int
tell_interfaces(const struct telling *t, bool loopback, bool v4_only,
    uint16_t port, size_t *told)
{
	uv_interface_address_t *list;
	char host[64];
	int i, n, rc = 0;

	*told = 0;
	if (uv_interface_addresses(&list, &n) != 0)
		return 0;
	for (i = 0; i < n && rc == 0; i++) {
		bool v6 = list[i].address.address4.sin_family == AF_INET6;

		if (!!list[i].is_internal != loopback || (v6 && v4_only)
		    || is_link_local(&list[i]))
			continue;
		if (v6)
			uv_ip6_name(&list[i].address.address6, host,
			    sizeof host);
		else
			uv_ip4_name(&list[i].address.address4, host,
			    sizeof host);
		rc = tell(t, host, port);
		++*told;
	}
	uv_free_interface_addresses(list, n);
	return rc;
}

static int
tell_place(const struct telling *t, const char *place)
{
	char host[256];
	uint16_t port;
	bool any4;
	size_t told;
	int rc;

	if (addr_split_place(place, host, &port, NULL) != 0)
		return 0;
	any4 = strcmp(host, "0.0.0.0") == 0;
	if (!any4 && strcmp(host, "::") != 0)
		return tell(t, host, port);
	rc = tell_interfaces(t, false, any4, port, &told);
	if (rc == 0 && told == 0)
		rc = tell_interfaces(t, true, any4, port, &told);
	return rc;
}

int
places_each(struct node *n, int (*each)(void *self, const char *address),
    void *self)
{
	struct net_status *s = calloc(1, sizeof *s);
	struct telling t = { .each = each, .self = self };
	uint8_t key[KEY_LEN];
	size_t i;
	int rc = 0;

	if (s == NULL)
		return E_FATAL;
	store_public_key(n->store, key);
	addr_format(key, t.address);
	n->net->backend->status(n->net, s);
	for (i = 0; i < s->nlistening && rc == 0; i++)
		rc = tell_place(&t, s->listening[i]);
	free(s);
	return rc;
}

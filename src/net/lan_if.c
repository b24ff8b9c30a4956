// SPDX-License-Identifier: MPL-2.0
#include "net/lan_if.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

#include <uv.h>

/* What is not public in IPv4: private, shared, link-local, loopback, tests
 * and documentation, multicast and above. */
static const struct {
	uint32_t net;
	int bits;
} private4[] = {
	{ 0x00000000, 8 }, { 0x0A000000, 8 }, { 0x64400000, 10 },
	{ 0x7F000000, 8 }, { 0xA9FE0000, 16 }, { 0xAC100000, 12 },
	{ 0xC0000200, 24 }, { 0xC0A80000, 16 }, { 0xC6120000, 15 },
	{ 0xC6336400, 24 }, { 0xCB007100, 24 }, { 0xE0000000, 3 },
};

bool
lan_if_is_public(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;
	uint32_t ip;
	size_t i;

	if (addr->sa_family == AF_INET6)
		return (in6->sin6_addr.s6_addr[0] & 0xE0) == 0x20;
	ip = ntohl(in->sin_addr.s_addr);
	for (i = 0; i < sizeof private4 / sizeof *private4; i++)
		if ((ip ^ private4[i].net) >> (32 - private4[i].bits) == 0)
			return false;
	return true;
}

static void
fill(struct lan_if *out, const uv_interface_address_t *from)
{
	const struct sockaddr_in *in = &from->address.address4;
	const struct sockaddr_in *mask = &from->netmask.netmask4;

	memset(out, 0, sizeof *out);
	snprintf(out->name, sizeof out->name, "%s", from->name);
	out->index = if_nametoindex(from->name);
	if (in->sin_family == AF_INET6) {
		memcpy(&out->addr, &from->address.address6,
		    sizeof from->address.address6);
		memcpy(&out->mask, &from->netmask.netmask6,
		    sizeof from->netmask.netmask6);
		return;
	}
	memcpy(&out->addr, in, sizeof *in);
	memcpy(&out->mask, mask, sizeof *mask);
	/* Networks of one or two addresses have no broadcast. */
	if ((ntohl(mask->sin_addr.s_addr) & 3) != 0)
		return;
	out->broadcast = *in;
	out->broadcast.sin_addr.s_addr |= ~mask->sin_addr.s_addr;
}

/* An interface counts as public by its IPv4 address, if it has one: nearly
 * every home network has public IPv6 addresses too. */
static bool
interface_is_public(const uv_interface_address_t *all, int n,
    const char *name)
{
	const struct sockaddr *addr;
	bool has4 = false, public4 = false, public6 = false;
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(all[i].name, name) != 0)
			continue;
		addr = (const struct sockaddr *)&all[i].address;
		if (addr->sa_family == AF_INET) {
			has4 = true;
			public4 |= lan_if_is_public(addr);
		} else {
			public6 |= lan_if_is_public(addr);
		}
	}
	return has4 ? public4 : public6;
}

int
lan_if_list(enum net_lan mode, const char *only,
    struct lan_if out[static NET_LAN_IFS_MAX], size_t *n)
{
	uv_interface_address_t *all;
	const struct sockaddr *addr;
	int count, i;

	*n = 0;
	if (uv_interface_addresses(&all, &count) < 0)
		return E_FATAL;
	for (i = 0; i < count && *n < NET_LAN_IFS_MAX; i++) {
		addr = (const struct sockaddr *)&all[i].address;
		if (only != NULL && strcmp(all[i].name, only) != 0)
			continue;
		if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
			continue;
		fill(&out[*n], &all[i]);
		if (mode == NET_LAN_AUTO) {
			if (interface_is_public(all, count, all[i].name))
				out[*n].why_not =
				    "off here: the interface is public";
			else if (lan_if_is_public(addr))
				continue;
		}
		++*n;
	}
	uv_free_interface_addresses(all, count);
	return 0;
}

bool
lan_if_equal(const struct lan_if *a, const struct lan_if *b)
{
	return strcmp(a->name, b->name) == 0 && a->index == b->index
	    && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0
	    && memcmp(&a->mask, &b->mask, sizeof a->mask) == 0
	    && (a->why_not != NULL) == (b->why_not != NULL);
}

bool
lan_if_covers(const struct lan_if *i, const struct sockaddr *addr)
{
	const struct sockaddr *own = (const struct sockaddr *)&i->addr;
	const uint8_t *a, *b, *m;
	size_t len, k;

	if (own->sa_family != addr->sa_family)
		return false;
	if (addr->sa_family == AF_INET) {
		a = (const void *)&((const struct sockaddr_in *)addr)->sin_addr;
		b = (const void *)&((const struct sockaddr_in *)own)->sin_addr;
		m = (const void *)
		    &((const struct sockaddr_in *)&i->mask)->sin_addr;
		len = 4;
	} else {
		a = ((const struct sockaddr_in6 *)addr)->sin6_addr.s6_addr;
		b = ((const struct sockaddr_in6 *)own)->sin6_addr.s6_addr;
		m = ((const struct sockaddr_in6 *)&i->mask)->sin6_addr.s6_addr;
		len = 16;
	}
	for (k = 0; k < len; k++)
		if (((a[k] ^ b[k]) & m[k]) != 0)
			return false;
	return true;
}

#ifdef __linux__

int
lan_if_watch(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR
		    | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    NETLINK_ROUTE);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Wireless cards report their scans as link messages that change nothing. */
static bool
changes(struct nlmsghdr *m)
{
	const struct ifinfomsg *link;

	if (m->nlmsg_type == RTM_NEWADDR || m->nlmsg_type == RTM_DELADDR
	    || m->nlmsg_type == RTM_DELLINK)
		return true;
	if (m->nlmsg_type != RTM_NEWLINK
	    || m->nlmsg_len < NLMSG_LENGTH(sizeof *link))
		return false;
	link = NLMSG_DATA(m);
	return link->ifi_change != 0;
}

bool
lan_if_watch_read(int fd)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[16384];
	} buf;
	struct nlmsghdr *m;
	bool changed = false;
	ssize_t len;
	size_t left;

	while ((len = recv(fd, &buf, sizeof buf, 0)) > 0) {
		left = (size_t)len;
		for (m = &buf.header; NLMSG_OK(m, left);
		    m = NLMSG_NEXT(m, left))
			changed |= changes(m);
	}
	/* Messages were lost: something did happen. */
	return changed || (len < 0 && errno == ENOBUFS);
}

#else

int
lan_if_watch(void)
{
	return -1;
}

bool
lan_if_watch_read(int fd)
{
	return false;
}

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * lan_if.h - the interface addresses of this machine, as LAN discovery sees
 * them.
 */
#ifndef NET_LAN_IF_H
#define NET_LAN_IF_H

#include <netinet/in.h>

#include "net/net.h"

struct lan_if {
	char name[32];
	unsigned index;
	struct sockaddr_storage addr;   /* port 0 */
	struct sockaddr_in broadcast;   /* family 0 if there is none */
	struct sockaddr_storage mask;
	const char *why_not;            /* NULL if it is to be used */
};

/* Lists addresses of interfaces that are up, at most NET_LAN_IFS_MAX; only
 * (or NULL) is the one interface wanted.  0, or E_FATAL. */
int lan_if_list(enum net_lan mode, const char *only,
    struct lan_if out[static NET_LAN_IFS_MAX], size_t *n);

bool lan_if_equal(const struct lan_if *a, const struct lan_if *b);

/* True if addr is on the network of i. */
bool lan_if_covers(const struct lan_if *i, const struct sockaddr *addr);

/* True for an address that others anywhere in the Internet can reach. */
bool lan_if_is_public(const struct sockaddr *addr);

/* A descriptor that becomes readable when addresses or links change, or -1
 * on systems that have no such thing. */
int lan_if_watch(void);

/* Reads what is there; true if addresses or links did change. */
bool lan_if_watch_read(int fd);

#endif

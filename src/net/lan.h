// SPDX-License-Identifier: MPL-2.0
/*
 * lan.h - discovery on the local network: says where a key listens to those
 * who know the key, and asks where a key is (R28).
 *
 * It only finds places.  Connections are not its business.
 */
#ifndef NET_LAN_H
#define NET_LAN_H

#include <sys/socket.h>

#include "net/net.h"

struct lan;

/* A TCP socket that listens; dual: an IPv6 one that takes IPv4 too. */
struct lan_endpoint {
	struct sockaddr_storage addr;
	bool dual;
};

/* Opens nothing yet: sockets come with the first search or announcement, so
 * that a node that needs neither says nothing on the network. */
int lan_open(const struct net_env *env, const struct net_options *opt,
    struct lan **out, struct err *err);

/* Ends all searches and announcements; closed is called from the loop. */
void lan_close(struct lan *lan, net_closed_fn *closed, void *owner);

/* Announces key as listening at ends, now, at each tick, and to who asks;
 * replaces what was said of key before. */
int lan_announce(struct lan *lan, const uint8_t key[static KEY_LEN],
    const struct lan_endpoint *ends, size_t n, struct err *err);

void lan_withdraw(struct lan *lan, const uint8_t key[static KEY_LEN]);

/* Looks for key until lan_search_stop(). */
int lan_search(struct lan *lan, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err);

void lan_search_stop(struct net_resolve *search);

/* Fills the fields of discovery in out. */
void lan_status(const struct lan *lan, struct net_status *out);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * lan_sock.h - the UDP sockets of LAN discovery, and what has to be set on
 * them.  Functions return 0 or a negated errno.
 *
 * Packets are received on one socket per family, bound to the discovery port,
 * which all processes of a machine share; they are sent from one socket per
 * interface address, with a port of its own, so that an answer reaches the
 * process that asked and no other.
 */
#ifndef NET_LAN_SOCK_H
#define NET_LAN_SOCK_H

#include "net/lan_if.h"

/* A socket that receives on port. */
int lan_sock_receiver(int family, uint16_t port, int *fd);

/* Lets a receiver hear the group on the interface of i. */
int lan_sock_join(int fd, const struct lan_if *i);

/* A socket that sends from the address of i, to its own network only. */
int lan_sock_sender(const struct lan_if *i, int *fd);

/* Sends to the group, to the broadcast address of i, or to one address. */
int lan_sock_multicast(int fd, const struct lan_if *i, uint16_t port,
    const uint8_t *bytes, size_t len);
int lan_sock_broadcast(int fd, const struct lan_if *i, uint16_t port,
    const uint8_t *bytes, size_t len);
int lan_sock_send(int fd, const struct sockaddr *to, const uint8_t *bytes,
    size_t len);

/* The next packet, its sender, and the index of the interface it came in by
 * (0 on a sender).  Its length, which is cut at max, or a negated errno. */
ssize_t lan_sock_receive(int fd, uint8_t *bytes, size_t max,
    struct sockaddr_storage *from, unsigned *index);

#endif

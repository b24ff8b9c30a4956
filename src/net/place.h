// SPDX-License-Identifier: MPL-2.0
/*
 * place.h - socket addresses as HOST:PORT and back.  Names are not looked up
 * here.
 */
#ifndef NET_PLACE_H
#define NET_PLACE_H

#include <sys/socket.h>

#include "base/addr.h"

/* IPv4 in IPv6 is shown as IPv4; link-local IPv6 with its interface. */
void place_format(const struct sockaddr *addr, char out[static PLACE_MAX]);

/* Reads host if it is an address: 0, or -1 if it is something else. */
int place_numeric(const char *host, uint16_t port,
    struct sockaddr_storage *out);

#endif

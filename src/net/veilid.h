// SPDX-License-Identifier: MPL-2.0
/* veilid.h - the network "veilid": streams over the calls of a Veilid node, found
 * by records in its DHT. */
#ifndef NET_VEILID_H
#define NET_VEILID_H

#include "net/net.h"

extern const struct net_backend net_veilid;

#endif

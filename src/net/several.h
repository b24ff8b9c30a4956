// SPDX-License-Identifier: MPL-2.0
/*
 * several.h - one network made of several: all of them listen, look and
 * announce, and a place is called by the one that knows it.  It is not in
 * net.c's table, since it is made of networks that are open already.
 */
#ifndef NET_SEVERAL_H
#define NET_SEVERAL_H

#include "net/net.h"

enum { SEVERAL_MAX = 4 };

/* Makes one of the n (1 to SEVERAL_MAX) children, which are its own from now
 * on; on failure they stay the caller's.  E_FATAL.
 *
 * What is particular in it:
 *   listen    near ones listen at the place, far ones where they can; an error
 *             of a near one is the error, the first one of a far one is told in
 *             net_status.veilid.why, and nowhere where there is no near one
 *             (then it is the error)
 *   resolve, announce   E_NOTFOUND only if none of them can
 *   connect   E_USAGE where none knows the place
 *   status    what its children say */
int several_new(struct net *const *children, size_t n, struct net **out,
    struct err *err);

/* The one of net that knows place: net itself where it is no such network.
 * NULL: none. */
struct net *several_for(struct net *net, const char *place);

/* The first of net that is far, or near; net itself where it is that and no
 * such network.  NULL: none. */
struct net *several_part(struct net *net, bool far);

#endif

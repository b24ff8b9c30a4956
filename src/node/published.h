// SPDX-License-Identifier: MPL-2.0
/*
 * published.h - tells a serving node's owner what becomes of it in Veilid's
 * network: that others can find it, or why not.  The network only answers when
 * it is asked (net_status), so it is asked, often at first, later every few
 * seconds.
 */
#ifndef NODE_PUBLISHED_H
#define NODE_PUBLISHED_H

#include "node/event.h"
#include "node/node.h"

enum {
	PUBLISHED_SOON_MS = 250,        /* between two looks, at first, ... */
	PUBLISHED_LATER_MS = 5000,      /* ... and once it is known */
	PUBLISHED_PATIENCE_MS = 20000,  /* a node may need so long to be ready */
	PUBLISHED_AGAIN_MIN_MS = 5000,  /* between two troubles, doubled ... */
	PUBLISHED_AGAIN_MAX_MS = 3600000        /* ... up to this */
};

struct published;

/* Begins; *out is NULL where the node is not on that network. */
int published_open(struct node *n, node_event_fn *event, void *self,
    struct published **out, struct err *err);

/* p may be NULL. */
void published_close(struct published *p);

#endif

// SPDX-License-Identifier: MPL-2.0
/* places.h - full addresses at which a node can be called. */
#ifndef NODE_PLACES_H
#define NODE_PLACES_H

#include "node/node.h"

/* ADDRESS@HOST:PORT for each place at which n listens; "all addresses" is
 * told one by one, with those of loopback only where there is no other.
 * A callback that returns nonzero ends it. */
int places_each(struct node *n,
    int (*each)(void *self, const char *address), void *self);

#endif

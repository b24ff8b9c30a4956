// SPDX-License-Identifier: MPL-2.0
/*
 * networks.h - which networks a node is on, by the settings of its database.
 */
#ifndef NODE_NETWORKS_H
#define NODE_NETWORKS_H

#include "node/node.h"

/* Opens n->net, and what belongs to it.  Where one network of two can't be
 * opened, n->no_veilid tells why.  E_USAGE: all are off. */
int networks_open(struct node *n, const struct node_options *options,
    struct err *err);

void networks_close(struct node *n);

#endif

// SPDX-License-Identifier: MPL-2.0
/* withdraw.h - takes back what a database has said of itself to Veilid's
 * network. */
#ifndef NODE_WITHDRAW_H
#define NODE_WITHDRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct stop;
struct store;

/* Writes the record without a route; blocks, for timeout_ms at most.  *on: the
 * database is on that network.  E_UNREACHABLE: no node was ready in time, and the
 * record ends by itself. */
int withdraw_run(struct store *store, uint32_t timeout_ms, bool *on,
    struct stop *stop, struct err *err);

#endif

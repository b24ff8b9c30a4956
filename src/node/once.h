// SPDX-License-Identifier: MPL-2.0
/* once.h - one exchange by connections of its own, where no serve runs. */
#ifndef NODE_ONCE_H
#define NODE_ONCE_H

#include "node/event.h"
#include "node/stop.h"
#include "store/store.h"

/* Runs x to its end and returns the gravest code of all remotes; blocks.
 * E_INTERRUPTED once stop is asked.  At once E_UNREACHABLE, err->locked, where
 * another process exchanges for this database, or serves it. */
int once_run(struct store *store, const struct exchange *x,
    struct stop *stop, struct err *err);

#endif

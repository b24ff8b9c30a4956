// SPDX-License-Identifier: MPL-2.0
/* exchange.h - a site fetches from another by direct calls, as a program does whose
 * database no node serves. */
#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include "base/err.h"
#include "world.h"

/* The number of a remote; 0 where they don't know each other. */
int64_t exchange_remote(struct site *s, const struct site *other);

/* A site that s knows; NULL where there is none. */
struct site *exchange_other(struct site *s, struct rng *rng);

/* Everything that `from` has and `to` has not into the inbox of `to`. */
int exchange_fetch(struct site *to, struct site *from, struct err *err);

#endif

// SPDX-License-Identifier: MPL-2.0
/* verify.h - sites ask each other whether their rows are the same, as the verb
 * does, but for the network. */
#ifndef SIM_VERIFY_H
#define SIM_VERIFY_H

#include "world.h"

struct store_compared;
struct store_difference;

/* What it finds goes to each, NULL or not, and the sum to *c; false if they can't be
 * compared now. */
bool verify_with(struct site *a, struct site *b, bool print,
    struct store_compared *c, void (*each)(void *self,
    const struct store_difference *d), void *self);

/* How many rows differ between two sites that know each other, in any state they
 * are in: 0, or verify is wrong.  What keeps them from comparing now counts as
 * 0.  With print they are named. */
uint64_t verify_pair(struct site *a, struct site *b, bool print);

/* The same for all that know each other. */
uint64_t verify_all(struct world *w, bool print);

/* Changes a cell of a site past its engine; whether there was one. */
bool verify_spoil(struct site *s);

#endif

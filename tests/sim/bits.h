// SPDX-License-Identifier: MPL-2.0
/* bits.h - a cell changes, or a row goes, and no engine has been told. */
#ifndef SIM_BITS_H
#define SIM_BITS_H

#include "rng.h"
#include "world.h"

/* Changes n cells or rows, one after the other: those who know the site find each,
 * and name its row and no other, and find nothing once it is as it was.  How many
 * there were; *wrong counts what is not so. */
uint64_t bits_turn(struct world *w, struct rng *rng, int n, uint64_t *wrong);

#endif

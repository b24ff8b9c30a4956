// SPDX-License-Identifier: MPL-2.0
/*
 * conflicts.h - the conflicts that each database must have met (R18): for each of
 * them the model keeps which rows it holds and who set what, takes in what its
 * programs wrote and every page that it merged, as its store's statements show it,
 * and notes what lost to a change whose author did not know of it.  Who knew what is
 * what he held when he wrote.
 *
 * Exact where nothing was lost, forgotten or can't be applied.
 */
#ifndef SIM_CONFLICTS_H
#define SIM_CONFLICTS_H

#include "world.h"

struct conflicts;

/* Watches the stores of the world from now on, before anything is written. */
struct conflicts *conflicts_new(struct world *w);
void conflicts_free(struct conflicts *c);

/* A program of the site wrote: after each transaction, before world_take(). */
void conflicts_wrote(struct conflicts *c, struct site *s);

/* How many conflicts of the site's ledger the model has not, and the other way
 * round; each printed with print.  *compared counts those there are. */
int conflicts_compare(struct conflicts *c, struct site *s, bool print,
    uint64_t *compared);

#endif

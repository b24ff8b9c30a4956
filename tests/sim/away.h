// SPDX-License-Identifier: MPL-2.0
/*
 * away.h - somebody was away while the others forgot (R20): he is refused with a code
 * of its own, nothing that was deleted comes back by him, and he begins his tables
 * anew, as doc/EXTENSION.md says, and has what all have.
 */
#ifndef SIM_AWAY_H
#define SIM_AWAY_H

#include "acts.h"

/* Plays it where all sites are equal and the network is whole; they are equal again
 * afterwards.  False where nobody can be away, because others hear of each other
 * through him only, or there is no row to delete. */
bool away_play(struct acts *a);

#endif

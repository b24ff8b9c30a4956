// SPDX-License-Identifier: MPL-2.0
/*
 * resync.h - rows of a table that came or went while nobody was looking: a
 * table made anew by a tool that does not know of its triggers.
 */
#ifndef CRDT_RESYNC_H
#define CRDT_RESYNC_H

#include "crdt/engine.h"

/* Compares the rows of t by key with what is known of them.  Rows not known
 * are new; of those that are gone the clocks go. */
int resync_table(struct engine *e, struct table *t);

#endif

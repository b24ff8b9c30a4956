// SPDX-License-Identifier: MPL-2.0
/*
 * gc.h - forgetting what lies below a horizon (R20): tombstones, runs of which
 * nothing is current, headers without rows, and steps.  What is remembered
 * instead: horizon.h.
 */
#ifndef CRDT_GC_H
#define CRDT_GC_H

#include "crdt/horizon.h"

/* Joins given into the horizon and drops what lies below; *dropped (may be NULL)
 * is the number of rows.  newcomer: this database is to hold no change of any
 * site in it, else CRDT_HORIZON.  Inside a merge (apply_begin). */
int gc_join(struct engine *e, const struct horizon_given *given, bool newcomer,
    int64_t *dropped);

#endif

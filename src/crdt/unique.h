// SPDX-License-Identifier: MPL-2.0
/*
 * unique.h - unique indexes of a replicated table besides its key.  A table
 * that has one is refused; one made later is not, and a REPLACE on it deletes
 * a row with no trigger fired (R6).
 */
#ifndef CRDT_UNIQUE_H
#define CRDT_UNIQUE_H

#include "crdt/engine.h"

/* For a trigger on t: the condition that a row of t stands in the way of the
 * one to be written, by any of these indexes; true also of some that do not.
 * sqlite3_malloc'ed; "" if there is no such index. */
int unique_condition(struct engine *e, const struct table *t, char **out);

/* Notes of all tables which they have: their triggers know them now. */
int unique_note(struct engine *e);

/* *fresh if t has others than are noted. */
int unique_is_fresh(struct engine *e, const struct table *t, bool *fresh);

/* How many tables have such. */
int unique_pending(struct engine *e, int64_t *n);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * repair.h - a table's clocks and log written anew, where its rowids are other
 * ones than they were.
 *
 * Each row is told once more, in one own transaction, with the versions it had:
 * peers that have it find nothing new.  Rows in doubt (remap.h) get the highest
 * version that this database itself has given to any of the rows they may be, so
 * that none of its own changes is lost; those of others come back from peers, who
 * are asked again.  Tombstones and what is parked stay.
 */
#ifndef CRDT_REPAIR_H
#define CRDT_REPAIR_H

#include "crdt/remap.h"

/* Writes the clocks of t as remap found them; changed has the columns
 * (sample_bit) whose values were changed in all rows. */
int repair_write(struct engine *e, struct table *t, const struct remap *r,
    uint64_t changed);

/* A table that was made anew and did not keep its rowids: by its samples, or by
 * the list of its rows that crsql_begin_alter made.  What was journalled before
 * is folded. */
int repair_rebuilt(struct engine *e, struct table *t, bool by_list);

/* One that kept them: values that its samples show to be other ones in all rows
 * are noted as changed. */
int repair_values(struct engine *e, struct table *t);

#endif

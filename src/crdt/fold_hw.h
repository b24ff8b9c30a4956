// SPDX-License-Identifier: MPL-2.0
/*
 * fold_hw.h - the highest keys of the tables as they were before the journal:
 * at the fold its rows are in the tables already.
 */
#ifndef CRDT_FOLD_HW_H
#define CRDT_FOLD_HW_H

#include "crdt/fold_list.h"

/* Sets hw of the tables that l has inserts of. */
int fold_lower_hw(struct engine *e, const struct fold_list *l);

#endif

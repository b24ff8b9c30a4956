// SPDX-License-Identifier: MPL-2.0
/*
 * fold_early.h - journalled records that stand before the one they follow.
 *
 * SQLite runs the youngest trigger first.  A user's that is younger than ours gives
 * a new row another rowid, or another key, or deletes it, before ours tells that it
 * came: the journal says that a row left its key, and then that one came there, or
 * changed.  If none is there, and no record says why, that is the row that left.
 */
#ifndef CRDT_FOLD_EARLY_H
#define CRDT_FOLD_EARLY_H

#include "crdt/capture.h"

/* Puts the records of rows that came before those of their leaving, among the first
 * `journalled` of l; those behind were captured, in their order. */
int fold_early(struct engine *e, struct record_list *l, int journalled);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * fold.h - turns records (capture.h), those of the journal first, into clocks,
 * tombstones and log rows: the only place where own changes get versions.
 */
#ifndef CRDT_FOLD_H
#define CRDT_FOLD_H

#include "crdt/engine.h"

/* Folds the journal (if with_journal) and what was captured and not folded
 * yet.  A transaction is open. */
int fold_all(struct engine *e, bool with_journal);

/* Of it the journal and what was captured before tables were made anew: rows by
 * the rowids that they had. */
int fold_before_change(struct engine *e, bool with_journal);

#endif

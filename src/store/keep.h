// SPDX-License-Identifier: MPL-2.0
/*
 * keep.h - what is kept of a merge, so that it can be taken back (undo.c), and whether
 * it deletes so much that somebody should look first.
 *
 * ddcp_merge(first, last, time_ms, remote, pull, bytes): a row for each transaction
 * that merged something, with the db_versions that it took, by our clock, and how
 * much the engine noted of what it wrote over.  Those of one pull, or of one merge
 * of the inbox, have one number.
 */
#ifndef STORE_KEEP_H
#define STORE_KEEP_H

#include "store/merge.h"

/* The newest db_version of the log, this transaction's included. */
int keep_newest(sqlite3 *db, int64_t *out, struct err *err);

/* In the transaction, before anything is merged. */
int keep_begin(struct merge *m, struct err *err);

/* Before it is committed.  E_HELD: it deletes more than merge.max-delete says, with
 * what was merged before by the same pull; nobody has allowed that. */
int keep_end(struct merge *m, struct err *err);

/* Another pull begins, or another merge of the inbox: one that goes on with what was
 * held, if some of that was merged before. */
int keep_next(struct store *s, int64_t remote, struct err *err);

/* The pull is held; what is merged of it later counts with what was. */
int keep_held(struct store *s, int64_t remote, struct err *err);

/* Nothing is held any more. */
int keep_over(struct store *s, int64_t remote, struct err *err);

#endif

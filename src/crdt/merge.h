// SPDX-License-Identifier: MPL-2.0
/*
 * merge.h - the merge rule, applied to one row of a table at a time.
 *
 * CRSQL section 7.2 and 7.3 in plain words: more lives win; within one life
 * the higher column version wins, equal versions are decided by the value.
 * Resurrection by import forgets columns it does not carry (R19).
 */
#ifndef CRDT_MERGE_H
#define CRDT_MERGE_H

#include "crdt/engine.h"
#include "crdt/val.h"

struct merge_cell {
	int col;                /* index, -1 for the sentinel */
	int64_t version;
	int64_t seq;
	int64_t cl;
	struct val value;
};

enum merge_via { MERGE_IMPORT, MERGE_CHANGES };

struct merge_row {
	struct table *table;
	const uint8_t *pk;      /* packed, canonical */
	int npk;
	enum merge_via via;
	int64_t site;           /* ordinal of the origin */
	int64_t sver;           /* 0: unknown (R1) */
	const uint8_t *header;  /* of the origin's transaction, or NULL */
	int64_t sender_dbv;     /* MERGE_CHANGES: the change's db_version */
	bool fresh;             /* a whole new row: every column, version 1, cl 1,
	                           consecutive seqs from cell[0].seq */
	int ncell;
	const struct merge_cell *cell;
};

/* Applies what wins of in.  *changed tells whether anything did.  A row that
 * the table refuses (constraint, type, trigger) leaves nothing behind:
 * SQLITE_CONSTRAINT or SQLITE_MISMATCH, with the reason in engine_error(); the
 * caller parks it or fails.  tx_begin_merge has been called. */
int merge_apply(struct engine *e, const struct merge_row *in, bool *changed);

/* INSERT INTO crsql_changes (incoming.c): argv as xUpdate gets it after the
 * two rowids, the nine columns and the hidden ones. */
int incoming_add(struct engine *e, int argc, sqlite3_value **argv);

/* Applies the row collected so far, if any; called before anything that reads
 * or commits. */
int incoming_flush(struct engine *e);
void incoming_drop(struct engine *e);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * apply.h - one change of a row as it came in a page or was parked: what this
 * table can take is merged, the rest is parked (R11).
 *
 * PARKED BYTES (column mask of a log row with n = -4)
 *   reason  cl  ncells  (name  version  seq  value)*
 *   reason and name are texts, numbers are varints; the sentinel has an empty
 *   name and the value NULL; an even cl is a delete and has the sentinel only.
 */
#ifndef CRDT_APPLY_H
#define CRDT_APPLY_H

#include "crdt/merge.h"

struct apply_cell {
	const char *name;       /* not terminated; "" for the sentinel */
	int nname;
	struct merge_cell cell;
};

struct apply {
	struct engine *e;
	struct merge_row row;
	int room;               /* cells in the two arrays */
	struct apply_cell *given;
	struct merge_cell *known;
	struct buf parked;
	bool has_parked;        /* some change is parked in this database */
	int64_t changes;        /* facts that changed */
};

int apply_init(struct engine *e, struct apply *a);
void apply_clear(struct apply *a);

/* Room for n cells in a->given, to be filled by the caller. */
int apply_room(struct apply *a, int n);

/* Merges a->given[0..n) of the row whose key merge_key made.  A refused
 * change, or what of it has no column here, is parked. */
int apply_change(struct apply *a, struct merge_origin *origin,
    struct table *t, int64_t cl, int n);

/* The same for parked bytes that came in a page. */
int apply_parked(struct apply *a, struct merge_origin *origin,
    struct table *t, const uint8_t *bytes, int nbytes);

/* Parks a->given[0..n) under pk for that reason. */
int apply_park(struct apply *a, struct merge_origin *origin,
    struct table *t, const uint8_t *pk, int npk, int64_t cl, int n,
    const char *reason);

/* Tries what is parked for the row of merge_key again, or (t NULL) all; never
 * between two rows of a transaction, as that takes db_versions. */
int apply_retry(struct apply *a, struct table *t);

/* -- retry.c: rows that changed while something of them is parked ------------ */

/* Notes the row of merge_key, if something of it is parked. */
int retry_note(struct apply *a, const struct table *t);

/* Tries what is parked of the rows noted; not in the midst of a transaction. */
int retry_due(struct apply *a);

/* -- apply.c ------------------------------------------------------------------- */

/* The reason in parked bytes. */
bool apply_reason(const uint8_t *bytes, int nbytes, const char **text,
    int *len);

/* -- apply_scope.c ------------------------------------------------------------ */

/* A savepoint around what merges many rows: begin, then end with the code so
 * far; a failure leaves nothing behind.  In batch there is none, where the
 * caller has a transaction: after a failure that one can't be committed. */
struct apply_scope {
	bool outer;
	bool inner;
	bool batch;
	struct undo undo;       /* where there is one of the savepoints */
	struct tx tx;
};
int apply_begin(struct engine *e, bool batch, struct apply_scope *s);
int apply_end(struct engine *e, struct apply_scope *s, int rc);

#endif

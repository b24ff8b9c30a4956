// SPDX-License-Identifier: MPL-2.0
/*
 * gc.h - forgetting what lies below a horizon (R20): tombstones, runs of which
 * nothing is current, headers without rows, and steps.  What is remembered
 * instead: horizon.h.
 */
#ifndef CRDT_GC_H
#define CRDT_GC_H

#include "crdt/horizon.h"

/* What the horizon of a table is joined with. */
struct gc_raise {
	struct table *table;
	const struct horizon_given *given;
	bool newcomer;          /* the table is to be alone (horizon.h), else
	                           CRDT_HORIZON */
};

/* Raises the horizons of n tables and drops what lies below those of all tables;
 * *dropped (may be NULL) is the number of rows.  Inside a merge (apply_begin). */
int gc_join(struct engine *e, const struct gc_raise *raise, int n,
    int64_t *dropped);

/* SQL: the site of log row `l`. */
#define GC_SITE_OF(l) "coalesce(" l ".site, (SELECT m.ordinal FROM crsql_me m " \
	"WHERE m.first_dbv <= " l ".dbv ORDER BY m.first_dbv DESC LIMIT 1))"

/* -- gc_settle.c -------------------------------------------------------------- */

/* What all have now, and what anybody has: *settled is what all had at such a call
 * before, if all have by now what anybody had then; else it has no entries.  It
 * points into note, which is the caller's. */
int gc_settle(struct engine *e, const struct horizon_given *least,
    const struct horizon_given *most, struct buf *note,
    struct horizon_given *settled);

/* -- gc_sweep.c --------------------------------------------------------------- */

struct gc_sweep {
	int64_t dead_dbv, dead_pos;     /* the newest tombstone dropped, or what */
	int64_t swept;                  /* was given; header (struct horizon) */
	bool forgot;            /* a tombstone was dropped */
	int64_t dropped;        /* rows */
};

/* Drops what lies below the horizons. */
int gc_sweep(struct engine *e, struct gc_sweep *out);

/* -- gc_runs.c ---------------------------------------------------------------- */

/* Notes a row of t that is forgotten, whose keys are names of rows, by the statement
 * that begin has made and the caller finalizes; takes all that were noted out of the
 * runs over them. */
int gc_runs_begin(struct engine *e, struct sqlite3_stmt **note);
int gc_runs_note(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    struct sqlite3_stmt *note);
int gc_runs_part(struct engine *e);

#endif

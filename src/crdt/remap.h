// SPDX-License-Identifier: MPL-2.0
/*
 * remap.h - which clock belongs to which row of a table whose rowids were given
 * out anew.
 *
 * What the log knows goes by old rowids: runs and clock rows, without those that
 * tombstones name.  Sampled rows (sample.h) tell of some where they are now.  If
 * they kept their order, so did all: copies and rebuilds read a table from its
 * first row to its last.  Between two neighbouring samples rows and old rowids
 * then go together one by one, if there are as many of the one as of the other.
 * Where nothing tells, rows stay without: they are *in doubt*.
 *
 * The answer stands in temp tables, until remap_clear:
 *   crsql_row(key, old, part)  rows by their present rowid; the old one, NULL if
 *                              it is not known; then the number of the part
 *   crsql_old(key)             old rowids of rows that were there
 *   crsql_lost(key, pk)        those of rows that are known to be gone
 */
#ifndef CRDT_REMAP_H
#define CRDT_REMAP_H

#include "crdt/fold_list.h"
#include "crdt/sample.h"

enum { REMAP_PARTS = SAMPLE_ROWS + 1 };

struct remap {
	int nparts;
	struct remap_part {     /* rows in doubt */
		int64_t old_from, old_to;       /* their old rowids are there */
	} part[REMAP_PARTS];
	int64_t moved;          /* rows that have another rowid, or are in doubt */
	bool doubt;             /* a row may be gone, or have any of several
	                           clocks */
};

/* Finds them by samples.  ordered: it is known that rows kept their order. */
int remap_by_samples(struct engine *e, struct table *t, struct samples *s,
    bool ordered, struct remap *out);

/* By a list of all rows as they were, temp.crsql_alter_ID(key, pk), which becomes
 * that of now.  Both set aside samples whose rows had left their rowids before. */
int remap_by_list(struct engine *e, struct table *t, struct samples *s,
    struct remap *out);

/* Makes such a list, of rows as they were before what waits for a fold. */
int remap_make_list(struct engine *e, struct table *t);

/* Runs put for each row of t, with its rowid as ?2 and its packed key as ?3. */
int remap_each_row(struct engine *e, struct table *t, sqlite3_stmt *put);

/* Brings the lists in step with what was folded. */
int remap_follow(struct engine *e, const struct fold_list *l);
int remap_drop_list(struct engine *e, int id);

/* Makes crsql_old alone: the rowids of rows that the log knows. */
int remap_list_old(struct engine *e, struct table *t);

int remap_clear(struct engine *e);

#endif

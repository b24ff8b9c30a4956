// SPDX-License-Identifier: MPL-2.0
/*
 * adopt.h - taking over a file that cr-sqlite 0.15 or 0.16 made: its metadata
 * is read and checked, then dropped, then written as ours, in one transaction.
 *
 *   adopt.c        what such a file is; the order of the steps; crsql_adopt
 *   adopt_read.c   its clock tables become rows of a scratch table
 *   adopt_write.c  the scratch table becomes log, clocks and tombstones
 *
 * The scratch table, temp.crsql_adopting, has a row for each log row to be:
 *   tbl      number of the table in struct adopt, from 0
 *   old_key  the row's number in cr-sqlite's metadata
 *   key      its rowid; NULL if it is deleted: then pk is its packed key
 *   dbv, site   where its facts stand; foreign 0 if they are own changes
 *   seq      the least of theirs; of a base, what its column 0 has or had
 *   base     columns of version 1, column i with seq + i, which are all that
 *            facts below do not name
 *   cl       causal length
 *   facts    otherwise: (column + 1, version, seq)*, varints; 0 the sentinel
 *   pos      the place in the log that the row got
 */
#ifndef CRDT_ADOPT_H
#define CRDT_ADOPT_H

#include "crdt/engine.h"

/* How each refusal begins. */
#define ADOPT_REFUSED "cr-sqlite's metadata can't be taken over: "

struct adopt {
	struct engine *e;
	struct adopt_table {
		struct table shape;     /* name and columns, no more */
		bool by_pk;             /* as in 0.15: no table of keys */
	} *table;
	int n;
	int64_t head;           /* the highest db_version met so far */
};

/* Fills the scratch table with what a's tables say, and raises a->head.
 * SQLITE_ERROR, with a sentence, for what cr-sqlite can't have meant. */
int adopt_read(struct adopt *a);

/* Writes the scratch table as log, clocks and tombstones; a's tables are
 * replicated ones by now. */
int adopt_write(struct adopt *a);

#endif

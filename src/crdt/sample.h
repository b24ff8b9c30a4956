// SPDX-License-Identifier: MPL-2.0
/*
 * sample.h - the check value of a table: some rows by rowid, with their key and
 * a few bits of each value.
 *
 * Clocks and the log name rows by rowid, which a text copy of the database and a
 * table made anew by a tool give out again.  By the samples it is seen.  They are
 * taken at even distances when the table has grown by half, and when one of them
 * was given another rowid by REPLACE or an UPDATE of the rowid; deletes need
 * nothing, as they leave a tombstone.
 *
 * BYTES (value of `check.ID` in crsql_master; varints, those marked z zigzag)
 *   due z   the highest key above which they are taken anew
 *   dbv     newest db_version of what they show
 *   rows    each: key z, length and bytes of its packed key, number of values,
 *           each: cid, 16 bits
 */
#ifndef CRDT_SAMPLE_H
#define CRDT_SAMPLE_H

#include "crdt/compare.h"
#include "crdt/mask.h"

/* Columns whose bit in a mask says that their value is looked at. */
static inline uint64_t
sample_bit(int cid)
{
	return cid < MASK_BITS ? (uint64_t)1 << cid : 0;
}

struct sample {
	int64_t key;            /* its rowid then */
	const uint8_t *pk;
	int npk;
	const uint8_t *values;  /* nvalues of them */
	size_t nbytes;
	int nvalues;
	enum {
		SAMPLE_GONE,    /* no such row, or it has another life: says
		                   nothing */
		SAMPLE_SAME,    /* it is where it was */
		SAMPLE_MOVED    /* it is elsewhere, and nothing explains it */
	} state;
	int64_t now;            /* its rowid, if it is there */
	bool wrote;             /* an update of it waits: its values are not those
	                           of its clocks */
};

struct samples {
	uint8_t *bytes;
	int64_t dbv;
	int n, same, moved;
	struct sample row[SAMPLE_ROWS];
};

/* Takes the samples of t anew and writes them down; all that is written is
 * folded.  whole: what has the transaction's db_version is in them, and counts as
 * not written since. */
int sample_take(struct engine *e, struct table *t, bool whole);

/* At the end of a commit: of the tables that grew. */
int sample_follow(struct engine *e);

/* Reads those of t from bytes for t->sampled and t->sample_due. */
void sample_note(struct table *t, const void *bytes, int len);

/* The row at key is given another rowid by a program. */
static inline void
sample_leaves(struct table *t, int64_t key)
{
	int i;

	for (i = 0; i < t->nsampled; i++)
		if (t->sampled[i] == key)
			t->sample_due = INT64_MIN;
}

/* Reads the samples of t and looks where their rows are now.  Of keys that
 * `pending` has touched nothing is said; it may be NULL.  sample_free frees. */
int sample_look(struct engine *e, struct table *t,
    const struct compare *pending, struct samples *out);
void sample_free(struct samples *s);

/* The columns (sample_bit) whose value is another one in a sampled row without
 * a version to tell of it; rows go by the clocks of their old rowids.  Nothing
 * waits for a fold. */
int sample_changed(struct engine *e, struct table *t,
    const struct samples *s, uint64_t *columns);

#endif

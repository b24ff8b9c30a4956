// SPDX-License-Identifier: MPL-2.0
/* fold_part.h - what the parts of a fold have in common. */
#ifndef CRDT_FOLD_PART_H
#define CRDT_FOLD_PART_H

#include "crdt/batch.h"
#include "crdt/fold_list.h"
#include "crdt/log.h"
#include "crdt/meta.h"

struct fold {
	struct engine *e;
	struct fold_list list;
	struct table *table;    /* the one of `meta` */
	struct meta meta, other;
	struct buf pk;
	bool deletes;           /* a row was deleted in this fold */
	bool journal;           /* it began with journalled records */
	struct batch *batch;    /* empty between records; fold_batch() */
};

/* Where rows are gathered; NULL without memory. */
struct batch *fold_batch(struct fold *f);

/* Appends a row of f->table to the log; *at is where it stands, of version 1. */
int fold_append_row(struct fold *f, struct log_row *row, struct stamp *at);

/* The same, of all columns or none: those that the clock row names. */
int fold_append(struct fold *f, int64_t key, int64_t n, int64_t seq,
    int64_t stride, struct stamp *at);

/* The first of the next n seqs. */
int64_t fold_take_seqs(struct fold *f, int64_t n);

/* Makes m, which is f->meta or f->other, fit for f->table. */
int fold_make_meta(struct fold *f, struct meta *m);

static inline void
fold_raise_hw(struct table *t, int64_t key)
{
	if (key > t->hw)
		t->hw = key;
}

/* Record i, a REPLACE, and those behind it that are folded with it: *taken. */
int fold_replaces(struct fold *f, int i, int *taken);

/* Record i, an update, and those behind it that are folded with it: *taken. */
int fold_updates(struct fold *f, int i, int *taken);

#endif

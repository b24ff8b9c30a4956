// SPDX-License-Identifier: MPL-2.0
/*
 * batch.h - clock rows, tombstones and log rows of a fold that are written many
 * at a time (feed.h).  What is added is in the database after batch_write at
 * the latest: until then nobody may ask for it.
 */
#ifndef CRDT_BATCH_H
#define CRDT_BATCH_H

#include "crdt/feed.h"
#include "crdt/log.h"
#include "crdt/meta.h"

enum batch_kind { BATCH_NONE, BATCH_META, BATCH_DEAD, BATCH_LOG };

enum { BATCH_ROWS = 256 };

/* Begins as zeros, and buf_init(&b->bytes, ...). */
struct batch {
	enum batch_kind kind;   /* of what waits */
	struct table *table;
	int n;
	struct feed_row row[BATCH_ROWS];
	struct buf bytes;       /* of those that were encoded here */
	/* BATCH_DEAD: what row i says */
	struct dead dead[BATCH_ROWS];
	/* BATCH_LOG: in common */
	int64_t dbv;
	int64_t log_kind;       /* enum log_kind */
};

/* The clock row of key, once each. */
int batch_meta(struct engine *e, struct batch *b, struct table *t, int64_t key,
    const struct meta *m);

/* Whether a clock row of that key waits. */
bool batch_has(const struct batch *b, int64_t key);

/* As dead_put; pk must stay. */
int batch_dead(struct engine *e, struct batch *b, struct table *t,
    const uint8_t *pk, int npk, const struct dead *d);

/* As log_append for a row of t; its pk must stay. */
int batch_log(struct engine *e, struct batch *b, struct table *t,
    struct log_row *row);

int batch_write(struct engine *e, struct batch *b);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * meta.h - clock rows and tombstones.
 *
 * A live row without a clock row is *fresh*: causal length 1, every column
 * version 1 (but for columns born later, R3), its log position known by the
 * run that covers its key.  The clock row of any other row says where its
 * columns stand; columns it does not name take the `base`.
 *
 * CLOCK ROW FORMAT (column m of <t>__crsql_meta; numbers are varints)
 *   flags      bit 0: sentinel follows; bits 1-2: base (enum meta_base);
 *              bit 3: the rowid that was left follows, unless it is the key
 *   cl         causal length
 *   [left]     with its sign in the lowest bit
 *   [dbv pos seq]            the sentinel's, if bit 0
 *   [dbv pos seq]            the base's, if base is BASE_AT
 *   groups to the end, each: columns that share version, dbv, pos and have
 *   consecutive seqs in the order given:
 *     dbv pos seq version n  then n column numbers (cid), the first as it is,
 *     the others as distance to the one before, less 1
 * TOMBSTONE FORMAT (column m of <t>__crsql_dead): cl dbv pos seq [left]
 */
#ifndef CRDT_META_H
#define CRDT_META_H

#include <stdbool.h>
#include <stdint.h>

#include "crdt/engine.h"

struct stamp {          /* where a fact stands */
	int64_t version;    /* col_version; a sentinel's is the cl */
	int64_t dbv;        /* 0: no clock here */
	int64_t pos;
	int64_t seq;
};

enum meta_base {
	BASE_NONE,          /* columns without entry have no clock */
	BASE_RUN,           /* they are fresh, from the run over the key */
	BASE_AT             /* they are version 1 at base: column i has seq
	                       base.seq + i */
};

struct meta {
	bool stored;            /* there is a clock row */
	int64_t cl;
	bool has_left;          /* the row had another rowid when it was fresh: */
	int64_t left;           /* no fresh row is there any more */
	bool has_sentinel;
	struct stamp sentinel;
	enum meta_base base;
	struct stamp base_at;
	int ncol;
	struct stamp *col;      /* ncol of them, by column index */
};

struct dead {
	int64_t cl;
	int64_t dbv;
	int64_t pos;
	int64_t seq;
	bool has_left;  /* as in struct meta */
	int64_t left;
};

/* Room for t's columns; meta_free frees it.  meta_fresh sets it to fresh. */
int meta_init(struct meta *m, const struct table *t);
void meta_free(struct meta *m);
void meta_fresh(struct meta *m);

/* The row is not at key any more. */
static inline void
meta_leave(struct meta *m, int64_t key)
{
	if (!m->has_left)
		m->left = key;
	m->has_left = true;
}

/* Reads the clock row of key, or sets fresh. */
int meta_get(struct engine *e, struct table *t, int64_t key, struct meta *m);

/* Writes it; deletes it. */
int meta_put(struct engine *e, struct table *t, int64_t key,
    const struct meta *m);
int meta_del(struct engine *e, struct table *t, int64_t key);

/* Codec. Decoding refuses what meta_encode can't have written
 * (SQLITE_CORRUPT).  The encoding is sqlite3_malloc'ed. */
int meta_encode(const struct table *t, const struct meta *m, uint8_t **out,
    int *len);
int meta_decode(const struct table *t, const uint8_t *data, int len,
    struct meta *m);
/* Encodes at the end of b, which is failed without memory. */
void meta_add(struct buf *b, const struct table *t, const struct meta *m);

/* The version of column i now: 0 if it has no clock. `key` for birthdays. */
int64_t meta_version(const struct table *t, const struct meta *m,
    int64_t key, int i);

/* True if something of the row stands at (dbv, pos) by its own clock row. */
bool meta_stands_at(const struct meta *m, int64_t dbv, int64_t pos);

/* True if something of the row is told by the run over its key alone. */
bool meta_needs_run(const struct table *t, const struct meta *m, int64_t key);

/* Moves column i, or the sentinel, to a new place and sweeps the log row it
 * stood in if nothing of this row stands there any more. */
int meta_set_column(struct engine *e, struct table *t, struct meta *m, int i,
    const struct stamp *to);
int meta_set_sentinel(struct engine *e, struct meta *m, int64_t cl,
    const struct stamp *to);

/* Sweeps every log row that this row's clocks stand in (before a delete). */
int meta_sweep(struct engine *e, const struct meta *m);

/* After columns were dropped: takes what was said of them out of all clock rows,
 * and sweeps log rows where nothing else stands.  A row of which nothing would be
 * told any more is told by its sentinel. */
int meta_forget_gone(struct engine *e, struct table *t);

/* Tombstones; get tells found.  put replaces and sweeps the log row of the
 * one before; del sweeps too. */
int dead_get(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    bool *found, struct dead *out);
int dead_put(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d);
/* The same for a row that died here: where there is one already, the row had come
 * again and nobody noted it, so that this death is a later one (d->cl may be less).
 * The other is for where there is one. */
int dead_bury(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d);
int dead_again(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d);
/* Encodes it at the end of b, which is failed without memory. */
void dead_add(struct buf *b, const struct table *t, const struct dead *d);
int dead_del(struct engine *e, struct table *t, const uint8_t *pk, int npk);

/* Rowids are other ones by now: the tombstone d names none. */
int dead_forget_left(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, const struct dead *d);

#endif

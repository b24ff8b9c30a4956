// SPDX-License-Identifier: MPL-2.0
/*
 * serve.h - a pull that a peer makes: pages of one snapshot, then END, on a
 * connection of their own that never writes.  What was asked is of serve_plan.c,
 * END of serve_end.c, the rest of serve.c.
 */
#ifndef STORE_SERVE_H
#define STORE_SERVE_H

#include <sqlite3.h>

#include "base/buf.h"
#include "store/split.h"
#include "store/store_private.h"
#include "store/vector.h"

struct serving_group {
	char **table;
	size_t ntables;
	struct store_vector asked;      /* what the reader has */
	struct store_vector denied;     /* of that: what proves nothing */
};

struct store_reading {
	struct store *s;
	sqlite3 *db;
	int64_t remote;
	struct serving_group *group;
	size_t ngroups;
	struct split split;     /* sites with two pasts, known and found */
	struct buf plan;        /* for crsql_export */
	sqlite3_stmt *export;
	bool begun;             /* a page was given: position is its end */
	uint8_t position[STORE_CURSOR_LEN];
	bool snapshot;          /* open */
	bool last;              /* the last page was given */
	bool looks;             /* for a digest: nothing is written */
	uint64_t transactions, rows;    /* in the pages so far */
};

/* Copies what p names; *need_whole: it has a vector by a hash that is not known,
 * and nothing can be done before it is there. */
int serve_take_plan(struct store_reading *r, const struct store_plan *p,
    bool *need_whole, struct err *err);

/* Then, in the snapshot: r->plan. */
int serve_encode_plan(struct store_reading *r, const struct store_plan *p,
    struct err *err);

/* A snapshot that is only looked at: nothing is folded, noted or acknowledged,
 * nor made durable.  E_UNREACHABLE while a table waits to be taken note of. */
int serve_look(struct store *s, int64_t remote, struct store_reading **out,
    struct err *err);
/* Then: what its pages are to hold; p has its vectors whole. */
int serve_look_for(struct store_reading *r, const struct store_plan *p,
    struct err *err);
sqlite3 *serve_handle(const struct store_reading *r);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * merge.h - one SQLite transaction of a pull: pages, the cursor behind them,
 * and after END the vectors, all of it or nothing.
 */
#ifndef STORE_MERGE_H
#define STORE_MERGE_H

#include <sqlite3.h>

#include "store/arrival.h"
#include "store/asked.h"
#include "store/held.h"
#include "store/split.h"
#include "store/store.h"

/* How much one transaction takes, from the settings merge.*. */
struct merge_limits {
	uint64_t rows, bytes, ms;
};
int merge_limits(struct store *s, struct merge_limits *out, struct err *err);

struct merge {
	struct store *s;
	int64_t remote;
	struct asked *asked;
	struct held held;
	struct split split;     /* sites with two pasts */
	bool anew;              /* the remote is to be read from the beginning */
	struct store_vector newest;
	sqlite3_stmt *import;
	uint64_t rows, bytes;
	int64_t started_ms;
	int64_t head;           /* db_version before it: keep.h */
	bool done;              /* the pull is complete with this */
};

/* Waits for the write lock. */
int merge_begin(struct merge *m, struct store *s, int64_t remote,
    struct asked *asked, struct err *err);

/* Applies a page. */
int merge_page(struct merge *m, const uint8_t *page, size_t len,
    const struct arrival *a, struct err *err);

/* True if it is time to commit, once the last page ended a transaction. */
bool merge_full(const struct merge *m, const struct merge_limits *l);

/* The pull is complete: joins vectors, notes what was seen (R10, R12, R18). */
int merge_complete(struct merge *m, const struct store_end *end,
    struct err *err);

/* Commits if rc is 0, else rolls back; returns rc or the failure to commit. */
int merge_end(struct merge *m, int rc, struct err *err);

/* True if merge_complete would change anything. */
int merge_has_news(struct store *s, int64_t remote, const struct asked *asked,
    const struct store_end *end, bool *news, struct err *err);

/* Checks an END that came from outside against what was asked, and sorts its
 * vectors.  E_INTEGRITY. */
int merge_check_end(const struct asked *asked, const struct store_end *end,
    struct err *err);

/* Number of changes parked here. */
int merge_parked(sqlite3 *db, uint64_t *out, struct err *err);

#endif

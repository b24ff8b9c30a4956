// SPDX-License-Identifier: MPL-2.0
/* pull.h - the state of a pull, for pull.c, pull_take.c, pieces.c and fetched.c. */
#ifndef STORE_PULL_H
#define STORE_PULL_H

#include "store/arrival.h"
#include "store/asked.h"
#include "store/merge.h"
#include "store/store.h"

enum { PULL_LARGE_PAGE = 1 << 20 };     /* one of that size is not copied to wait */

struct waiting_page {
	uint8_t *data;          /* owned, or NULL: borrowed below */
	const uint8_t *bytes;
	size_t len;
	struct arrival arrival;
};

struct store_pull {
	struct store *s;
	int64_t remote;
	uint8_t key[KEY_LEN];
	bool fetch_only;
	struct asked asked;
	struct merge_limits limits;
	struct waiting_page *wait;      /* in memory, in order */
	size_t nwait, wait_room;
	size_t nwhole;          /* of them: up to the last that ends outside */
	uint64_t wait_bytes, wait_rows;
	int64_t run;            /* of the inbox; 0: nothing of this pull there */
	bool inside;            /* the last page ended inside a transaction */
	bool failed;            /* what waits can't be merged */
	uint64_t parked_before;
	struct store_result result;
};

/* Takes over a page that was pieced together; frees it. */
int pull_take(struct store_pull *p, uint8_t *page, size_t len,
    struct err *err);

/* Makes the database's (or inbox's) cursor stand behind every page that came,
 * so that a cut does not lose the place. */
int pull_secure(struct store_pull *p, struct err *err);

/* Merges the whole transactions that wait, then END (NULL: it did not come). */
int pull_merge_waiting(struct store_pull *p, const struct store_end *end,
    struct err *err);

/* Merging would delete too much, or make too many conflicts: from here on the pull
 * is one that only fetches, what waits and what is still to come lies in the
 * inbox.  The other merges, and does this where it has to. */
int pull_hold(struct store_pull *p, struct err *err);
int pull_merge_or_hold(struct store_pull *p, const struct store_end *end,
    struct err *err);

/* Forgets the waiting pages from that one on. */
void pull_drop_waiting(struct store_pull *p, size_t from);

#endif

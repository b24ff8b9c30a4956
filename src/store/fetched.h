// SPDX-License-Identifier: MPL-2.0
/*
 * fetched.h - what lies in the inbox and whether it may still be merged (R23);
 * merging it.
 */
#ifndef STORE_FETCHED_H
#define STORE_FETCHED_H

#include "store/inbox.h"
#include "store/merge.h"
#include "store/store.h"

/* Drops runs of that remote that don't fit the database any more; *last is
 * the newest that does, its id 0 if there is none. */
int fetched_check(struct store *s, int64_t remote,
    const uint8_t key[static KEY_LEN], struct run *last, struct err *err);

/* True if that run goes on from what is merged here, or will be when `before` is;
 * NULL: nothing lies before it. */
int fetched_fits(struct store *s, int64_t remote, const struct run *r,
    const struct asked *before, bool *fits, struct err *err);

/* Merges all whole transactions that lie there.  *left is a run without END
 * of which some pages remain, inside a transaction (id 0: none); its dropped
 * tells that something did not fit and was removed, or that nothing was there.  Adds to result what was
 * merged. */
int fetched_merge(struct store *s, int64_t remote,
    const uint8_t key[static KEY_LEN], const struct merge_limits *limits,
    struct run *left, struct store_result *result, struct err *err);

/* It stays in the inbox, as merge_end said: that is no failure, but in the result. */
int fetched_held(struct store *s, int64_t remote, struct store_result *result,
    struct err *err);

#endif

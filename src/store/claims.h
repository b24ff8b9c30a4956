// SPDX-License-Identifier: MPL-2.0
/*
 * claims.h - own transactions by number and token, and what peers claim to hold
 * of them (R15, R16).  What follows of a claim that is not true is fork.h's
 * business, and split.h's.
 */
#ifndef STORE_CLAIMS_H
#define STORE_CLAIMS_H

#include <sqlite3.h>

#include "store/peer.h"

/* The first db_version that the current incarnation may have made. */
int claims_first_own(sqlite3 *db, int64_t *out, struct err *err);

/* The newest own transaction from first on and below before, if any. */
int claims_newest_own(sqlite3 *db, int64_t first, uint64_t before,
    struct store_entry *out, bool *found, struct err *err);

/* store_own_tokens, as db sees it; max is at least 1. */
int claims_own_tokens(sqlite3 *db, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err);

/* True if that transaction of that site is here with that token. */
int claims_is_here(sqlite3 *db, const struct store_entry *e, bool *here,
    struct err *err);

#endif

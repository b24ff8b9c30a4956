// SPDX-License-Identifier: MPL-2.0
/*
 * split.h - sites of others that have two pasts (R16): a copy or an old backup
 * went on under the same identity, and some of us met the one life, some the
 * other.  Version numbers of such a site prove nothing: from when that is
 * noticed, it is in no vector of ours, and nothing is passed over because of
 * it.  Who is told so by a peer notices it too.
 */
#ifndef STORE_SPLIT_H
#define STORE_SPLIT_H

#include <sqlite3.h>

#include "store/peer.h"

struct split {
	struct split_site {
		uint8_t id[STORE_SITE_LEN];
		uint64_t came;  /* merges that brought something of it */
	} *site;
	size_t n;
};

/* Reads which are known, as db sees it.  split_clear also after failure. */
int split_load(sqlite3 *db, struct split *s, struct err *err);
void split_clear(struct split *s);
bool split_has(const struct split *s,
    const uint8_t site[static STORE_SITE_LEN]);

/* Adds one to what was read, if it is not there; drops their entries from a
 * vector. */
int split_add(struct split *s, const uint8_t site[static STORE_SITE_LEN],
    struct err *err);
void split_drop(const struct split *s, struct store_vector *v);

/* Notes one, in the caller's transaction: it is held no more, and all remotes
 * are read from the beginning again. */
int split_note(sqlite3 *db, const uint8_t site[static STORE_SITE_LEN],
    struct err *err);

/* Notes those from the given index on in a transaction of its own, if that is
 * possible now: else they will be found again. */
void split_keep(struct store *s, const struct split *found, size_t from);

/* Counts a merge that brought something of that site, if it is one of them. */
int split_came(sqlite3 *db, const uint8_t site[static STORE_SITE_LEN],
    struct err *err);

/* Adds the sites of which one of nv vectors names a transaction that is another
 * one here; own is not looked at.  One that lies far back is not found. */
int split_find(sqlite3 *db, struct split *s, const struct store_vector *const v[],
    size_t nv, const uint8_t own[static STORE_SITE_LEN], struct err *err);

/* Gives an entry the token that no transaction has: what is told of such a
 * site.  split_told: true if an entry has it. */
void split_answer(struct store_entry *e);
bool split_told(const struct store_entry *e);

#endif

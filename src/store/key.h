// SPDX-License-Identifier: MPL-2.0
/*
 * key.h - the key that the database names, in its state directory, and how another
 * one takes its place: it is put beside the old one, the database names it, it is
 * moved over the old one.  Whoever finds the last step missing makes it, so that at
 * each moment the key that is named is there.
 */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include <sqlite3.h>

#include "store/identity.h"

enum key_state {
	KEY_MISSING,
	KEY_OTHER,              /* one that is there is not named */
	KEY_FITS
};

/* Looks for it; out is what was found, if any.  readonly: nothing is moved.  A
 * damaged key file is E_INTEGRITY, if no other one fits. */
int key_find(sqlite3 *db, int state_dir, bool readonly, struct identity *out,
    enum key_state *state, struct err *err);

/* Ends the transaction of db in which it was made to name id, if rc is 0 so far,
 * else rolls it back; id has taken its place in the state directory, or is not
 * there.  What was told under the old key is forgotten with it. */
int key_commit(sqlite3 *db, int state_dir, const struct identity *id, int rc,
    struct err *err);

#endif

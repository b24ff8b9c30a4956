// SPDX-License-Identifier: MPL-2.0
/*
 * again.h - tables that lost their log and are replicated again, as the engine
 * has noted them (crsql_master): until a new incarnation begins, what this
 * database says it holds of its own changes is not true of them.
 */
#ifndef STORE_AGAIN_H
#define STORE_AGAIN_H

#include <sqlite3.h>

#include "store/store.h"

struct again {
	int64_t since;          /* own versions above it are known of all */
	int64_t *tbl;           /* the engine's numbers */
	size_t n;
};

/* Reads, as db sees it.  again_clear also after failure. */
int again_load(sqlite3 *db, struct again *a, struct err *err);
void again_clear(struct again *a);

bool again_has(const struct again *a, int64_t tbl);

/* A new incarnation has begun: the notes go. */
int again_forget(sqlite3 *db, struct err *err);

/* True if there is none, and no table was dropped or replaced that the engine
 * has not taken note of. */
int again_is_settled(sqlite3 *db, bool *settled, struct err *err);

#endif

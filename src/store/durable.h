// SPDX-License-Identifier: MPL-2.0
/*
 * durable.h - what a peer is going to hear of must survive a power cut (R14).
 */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include <sqlite3.h>

#include "base/err.h"

struct store;

/* Syncs everything committed that db, which must have read since, can see:
 * WAL or rollback journal, database, and once their directory.  Through
 * SQLite's own handles: a descriptor of ours on the same file would drop
 * SQLite's locks when it is closed. */
int durable_sync(struct store *s, sqlite3 *db, struct err *err);

#endif

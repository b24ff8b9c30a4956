// SPDX-License-Identifier: MPL-2.0
/*
 * schema.h - the tables ddcp_* in the user's database, and their small facts
 * in ddcp_meta.
 *
 *   ddcp_meta          schema (number), database (id), public_key, state_dir,
 *                      log_id (the log that vectors and cursors belong to),
 *                      own (own vector entry when ddcp wrote last), held-N
 *                      (number of the pull from remote N that is held: keep.h),
 *                      network-N (by which network remote N is called: remote.c)
 *   ddcp_own           own incarnations that are over: where they ended; lost:
 *                      others may have more of it
 *   ddcp_config        settings that are not the default
 *   ddcp_remote        peers by name; acked: up to where they have merged us
 *   ddcp_knock         strangers who called
 *   ddcp_table         replicated tables that have a vector: tbl is the
 *                      engine's number, so that a table of the same name
 *                      which was made later is told from it
 *   ddcp_vector        site -> version, shared by tables with equal ones
 *   ddcp_cursor        places in the logs of remotes, shared likewise
 *   ddcp_cursor_table  which table stands where at which remote
 *   ddcp_site          newest transaction of each site that was merged
 *   ddcp_split         sites with two pasts; came: merges that brought
 *                      something of it
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SCHEMA_NUMBER = 1 };

/* *number 0: db is not initialised.  E_FATAL if it is newer than we know. */
int schema_number(sqlite3 *db, int *number, struct err *err);

/* Makes the tables, in the caller's transaction. */
int schema_create(sqlite3 *db, struct err *err);

/* Drops them and all of the engine's, on a connection without it. */
int schema_drop(sqlite3 *db, struct err *err);

int schema_get(sqlite3 *db, const char *key, void *out, size_t len,
    bool *found, struct err *err);
int schema_get_text(sqlite3 *db, const char *key, char **out,
    struct err *err);
int schema_set(sqlite3 *db, const char *key, const void *data, size_t len,
    struct err *err);
int schema_forget(sqlite3 *db, const char *key, struct err *err);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * sql.h - a few calls that make SQLite's API short to use: one line to
 * prepare and bind, SQLite's codes turned into our errors, transactions.
 * Nothing here knows what the statements are about.
 *
 * Values to bind are given by a string of types and as many arguments:
 *   i  int64_t       t  const char * (NULL: NULL)
 *   b  const void *, size_t; the bytes must stay until the statement ends
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The engine's extended code for what the horizon refuses (doc/EXTENSION.md). */
enum { SQL_HORIZON = 18433 };

/* ... and for a merge for whose conflicts there is no room. */
enum { SQL_FULL_OF_CONFLICTS = 18689 };

/* Notes what SQLite's code means for a user and returns our code. */
int sql_fail(sqlite3 *db, int rc, struct err *err);

/* Prepares and binds; sqlite3_finalize by the caller, also after failure. */
int sql_open(sqlite3 *db, sqlite3_stmt **out, struct err *err,
    const char *sql, const char *types, ...);

/* Steps: *row tells if there is a row. */
int sql_next(sqlite3_stmt *stmt, bool *row, struct err *err);

/* Runs a statement to its end; rows are passed over. */
int sql_do(sqlite3 *db, struct err *err, const char *sql, const char *types,
    ...);

/* True if the database has a table of that name. */
int sql_has_table(sqlite3 *db, const char *name, bool *has, struct err *err);

/* The first column of the first row; 0 if there is none or it is NULL. */
int sql_int(sqlite3 *db, int64_t *out, struct err *err, const char *sql,
    const char *types, ...);

/* Same for bytes: exactly len of them, else zeroes and *found false. */
int sql_bytes(sqlite3 *db, void *out, size_t len, bool *found,
    struct err *err, const char *sql, const char *types, ...);

/* Column i as exactly len bytes; false, and zeroes, if it is not that. */
bool sql_column(sqlite3_stmt *stmt, int i, void *out, size_t len);

/* Column i as text cut to max - 1 bytes. */
void sql_column_text(sqlite3_stmt *stmt, int i, char *out, size_t max);

/* BEGIN IMMEDIATE, or BEGIN; E_USAGE if a transaction is open on this handle.  The
 * way back is prepared: it needs no memory. */
int sql_begin(sqlite3 *db, struct err *err);
int sql_begin_reading(sqlite3 *db, struct err *err);

/* Ends what sql_begin began: commits if rc is 0, else rolls back.  Returns rc
 * or what went wrong at the commit. */
int sql_end(sqlite3 *db, int rc, struct err *err);

/* Ends it without a commit, if it has not ended by itself. */
void sql_rollback(sqlite3 *db);

#endif

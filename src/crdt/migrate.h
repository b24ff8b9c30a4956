// SPDX-License-Identifier: MPL-2.0
/*
 * migrate.h - brings the tables of a database to the shape that they have in
 * another one: tables, columns and indexes that are not there are dropped, and
 * columns added.  New tables and indexes are left to who calls.  Types, defaults
 * and constraints of a column that is there stay as they are; triggers and
 * views, too.
 */
#ifndef CRDT_MIGRATE_H
#define CRDT_MIGRATE_H

#include "crdt/engine.h"

/* The number of tables of a user's in the database db. */
int migrate_count(sqlite3 *db, int64_t *n);

/* To the shape of db.  Called in a savepoint. */
int migrate_tables(struct engine *e, sqlite3 *db);

#endif

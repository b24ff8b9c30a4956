// SPDX-License-Identifier: MPL-2.0
/*
 * crdt.h - the only C door to the engine: putting it on a handle.  All else
 * goes by SQL (doc/EXTENSION.md).
 */
#ifndef CRDT_CRDT_H
#define CRDT_CRDT_H

struct sqlite3;

/* Does on db what loading crsqlite.so would do.  Returns SQLite's code; *why
 * is a sentence to be freed with sqlite3_free, or NULL. */
int crdt_load(struct sqlite3 *db, char **why);

#endif

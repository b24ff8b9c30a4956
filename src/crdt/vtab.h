// SPDX-License-Identifier: MPL-2.0
/*
 * vtab.h - what the engine's virtual tables have in common: one object each,
 * which knows the engine, and cursors that begin as zeros.
 */
#ifndef CRDT_VTAB_H
#define CRDT_VTAB_H

#include "crdt/engine.h"

struct vtab {               /* the beginning of every table's object */
	sqlite3_vtab base;
	struct engine *e;
};

/* Declares a table and makes its object, of that size; *out NULL on failure. */
int vtab_connect(sqlite3 *db, struct engine *e, const char *schema,
    size_t size, sqlite3_vtab **out);
int vtab_disconnect(sqlite3_vtab *v);

/* A cursor's object, of that size. */
int vtab_open(size_t size, sqlite3_vtab_cursor **out);

/* Returns rc, with the engine's sentence in v. */
int vtab_fail(sqlite3_vtab *v, int rc);

#endif

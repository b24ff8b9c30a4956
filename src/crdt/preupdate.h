// SPDX-License-Identifier: MPL-2.0
/* preupdate.h - the functions of SQLite's preupdate hook, where they are there. */
#ifndef CRDT_PREUPDATE_H
#define CRDT_PREUPDATE_H

#include "crdt/engine.h"

/* The hook's functions are not in the table that extensions are given, and
 * not in every SQLite: they are looked for in the library in use. */
struct preupdate {
	void *(*hook)(sqlite3 *, void (*)(void *, sqlite3 *, int, char const *,
	    char const *, sqlite3_int64, sqlite3_int64), void *);
	int (*old_value)(sqlite3 *, int, sqlite3_value **);
	int (*new_value)(sqlite3 *, int, sqlite3_value **);
	int (*blobwrite)(sqlite3 *);
};

/* NULL: this SQLite has none. */
const struct preupdate *preupdate_find(void);

#endif

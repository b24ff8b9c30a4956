// SPDX-License-Identifier: MPL-2.0
/*
 * copied.h - copies of the database as text (`.dump | sqlite3`), and tables whose
 * rowids were given out anew although their triggers stand.
 *
 * crsql_master, a table with rowids of no meaning, has a row at a rowid that is
 * also its value: a copy as text numbers it anew.  Until crsql_repair() such a
 * database is neither written nor read by way of the engine.
 */
#ifndef CRDT_COPIED_H
#define CRDT_COPIED_H

#include "crdt/engine.h"

/* The statement that puts the mark there, if there is none. */
#define COPIED_MARK "INSERT OR IGNORE INTO crsql_master(rowid, key, value) " \
	"VALUES(-1, 'rowid', -1)"

/* *copied if the mark has another rowid. */
int copied_look(struct engine *e, bool *copied);

/* The first table whose samples are elsewhere than their clocks, NULL if there
 * is none.  Looks at nothing if the schema is the one that was looked at. */
int copied_find_moved(struct engine *e, struct table **out);

/* SQLITE_ERROR, with a sentence that names crsql_repair(), if the database is a
 * copy or has such a table, unless that is what repairs it.  For writers. */
int copied_check(struct engine *e);

/* The schema as it is now was looked at: written down. */
int copied_note(struct engine *e);

/* For readers, once per schema; a table that a writer would mend is one, too. */
int copied_check_reader(struct engine *e);

/* The mark is put right, and what is written from now on is another site's:
 * this is a second life of it.  One that has a public key is begun by whoever
 * keeps that (`again.0`). */
int copied_begin_life(struct engine *e);

#endif

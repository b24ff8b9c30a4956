// SPDX-License-Identifier: MPL-2.0
/*
 * resync.h - tables made anew by a program that does not know of their
 * triggers: rows came or went while nobody was looking, or it is another table.
 * Tables that got a unique index: a REPLACE on it fires no trigger.  And those with a
 * trigger of the user's that is younger than ours (triggers.h).
 */
#ifndef CRDT_RESYNC_H
#define CRDT_RESYNC_H

#include "crdt/engine.h"

/* Looks for tables whose triggers are gone.  One with another key, or that
 * lacks rows which the log knows, is another table: its log is forgotten, and
 * it is made a replicated one again, or a plain one if it can't be that.  Else
 * rows are compared by key with what is known; new ones are noted.  Where rows
 * are not known by their keys, samples tell whether it is the same table, and
 * it is repaired if they are at other rowids.  All of it is said in SQLite's error log.  Of a table whose unique index is new it looks
 * for rows that are gone with no record of it, and of one whose triggers are overtaken
 * for rows that stayed. */
int resync_tables(struct engine *e);

/* Notes the key of t, which another one is told from. */
int resync_note_key(struct engine *e, const struct table *t);

/* How many tables have a key that is not noted yet: its columns were renamed.
 * Unless it is noted before the table is made anew, that is another table. */
int resync_keys_pending(struct engine *e, int64_t *n);

#endif

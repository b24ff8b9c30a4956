// SPDX-License-Identifier: MPL-2.0
/*
 * lost.h - tables whose log is lost: dropped, made plain ones, or replaced by
 * another of the same name.
 *
 * What a database says it holds of its own changes holds for every table.  It
 * is no longer true of a table that lost its log and is replicated again, so
 * two notes are kept in crsql_master:
 *   gone.NAME   a table of that name lost its log
 *   again.ID    table ID is replicated under such a name; the value is the
 *               last db_version from before: of those up to it, this table's
 *               own changes are not known any more
 * Whoever synchronises begins a new incarnation (R16) and removes `again`.
 */
#ifndef CRDT_LOST_H
#define CRDT_LOST_H

#include "crdt/engine.h"

/* Forgets log, clocks and columns of table id. */
int lost_forget(struct engine *e, int id, const char *name);

/* The same, but its metadata's tables stay, empty. */
int lost_empty(struct engine *e, int id, const char *name);

/* The tables of a table's metadata go. */
int lost_drop_metadata(struct engine *e, const char *name);

/* Table id bears that name from now on: notes it if it is one that was lost.
 * To be called before a change of it is logged. */
int lost_again(struct engine *e, int64_t id, const char *name);

/* Tables that were renamed or dropped: renames or forgets their metadata. */
int lost_follow(struct engine *e);

/* Rows of table id may be gone whose keys nobody knows: what its log says is
 * in doubt up to now, and peers are asked for all of it again. */
int lost_doubt(struct engine *e, int id);

/* How many replicated tables were dropped, renamed or made anew, or got a
 * unique index, which the next fold takes note of. */
int lost_pending(struct engine *e, int64_t *n);

/* *nothing if nothing at all follows from the schema (table_mend): only reads. */
int lost_nothing(struct engine *e, bool *nothing);

#endif

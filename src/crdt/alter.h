// SPDX-License-Identifier: MPL-2.0
/*
 * alter.h - tables between crsql_begin_alter and crsql_commit_alter.
 *
 * Meanwhile triggers that name columns are off the table (marker.h), so that
 * every ALTER is possible; what is written is noted as ever.  The end is
 * crsql_commit_alter, or that of the transaction, whichever is first.
 */
#ifndef CRDT_ALTER_H
#define CRDT_ALTER_H

#include "crdt/engine.h"

/* crsql_begin_alter and crsql_commit_alter. */
int alter_begin(struct engine *e, const char *name);
int alter_commit(struct engine *e, const char *name);

/* True if the triggers of table id may name no column but the key's. */
bool alter_is_lean(const struct engine *e, int id);

/* True until all is written down that was done to the table: one column is
 * another's new name only if it is known by the marker. */
bool alter_is_open(const struct engine *e, int id);

/* True if remap.c keeps a list of the rows of t, whose rowids may be other ones at
 * the end. */
bool alter_lists_rows(const struct engine *e, const struct table *t);

/* Table id is about to be dropped, and its rows are in that list (dropping.h); which it
 * is, -1: none; t is there again, all is seen to, and it is lean until the end of the
 * transaction; those that are left are done with. */
int alter_add_list(struct engine *e, int id, int list);
int alter_list_of(const struct engine *e, int id);
bool alter_is_listed(const struct engine *e, int id);
int alter_remade(struct engine *e, struct table *t);
int alter_forget_lists(struct engine *e);

/* True if a table that was so dropped, or is being altered, is there again without its
 * triggers: what is written to it now goes by rowids that the log does not know.  Not
 * before all that were dropped are back, or a fold would take it that one is gone. */
bool alter_any_rebuilt(struct engine *e);

/* True if column i of t came with the change of the schema that is being mended,
 * or inside an alter. */
bool alter_is_new(const struct engine *e, const struct table *t, int i);

/* SQLITE_ERROR, with a sentence, if what was written to a table that is being altered
 * may be noted by nobody: another hook took the place of ours. */
int alter_check(struct engine *e);

/* The transaction is about to be committed. */
void alter_end_all(struct engine *e);

void alter_free(struct engine *e);

#endif

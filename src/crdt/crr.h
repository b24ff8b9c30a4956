// SPDX-License-Identifier: MPL-2.0
/*
 * crr.h - making a table replicated and undoing it, and keeping that in step
 * with what programs do to the schema.
 */
#ifndef CRDT_CRR_H
#define CRDT_CRR_H

#include "crdt/engine.h"

/* Sets t->old_triggers; only reads. */
int crr_look_at_triggers(struct engine *e, struct table *t);

/* Tables whose triggers are gone were made anew by a program without the
 * extension.  One with another key, or that lacks rows which the log knows, is
 * another table: its log is forgotten, and it is made a replicated one again.
 * Else rows are compared by key with what is known (CAPTURE section 8).  Both
 * are said in SQLite's error log. */
int crr_mend_rebuilt(struct engine *e);

/* Makes the triggers of t what they must be. */
int crr_make_triggers(struct engine *e, struct table *t);

/* Makes or drops the triggers of all tables, as the setting plain-writers
 * says now. */
int crr_renew_triggers(struct engine *e);

/* Tables that were renamed or dropped: renames or forgets their metadata. */
int crr_follow_schema(struct engine *e);

/* crsql_as_crr and crsql_as_table. */
int crr_make(struct engine *e, const char *name);
int crr_unmake(struct engine *e, const char *name);

#endif

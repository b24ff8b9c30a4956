// SPDX-License-Identifier: MPL-2.0
/*
 * crr.h - making a table replicated and undoing it, and keeping that in step
 * with what programs do to the schema.
 */
#ifndef CRDT_CRR_H
#define CRDT_CRR_H

#include "crdt/engine.h"

/* Makes the triggers of t what they must be; *changed schema is noticed by the
 * next table_refresh. */
int crr_check_triggers(struct engine *e, struct table *t);

/* Tables that were renamed or dropped since the last look: renames or forgets
 * their metadata. */
int crr_follow_schema(struct engine *e);

/* crsql_as_crr and crsql_as_table. */
int crr_make(struct engine *e, const char *name);
int crr_unmake(struct engine *e, const char *name);

#endif

// SPDX-License-Identifier: MPL-2.0
/* crr.h - making a table replicated and undoing it. */
#ifndef CRDT_CRR_H
#define CRDT_CRR_H

#include "crdt/engine.h"

/* crsql_as_crr and crsql_as_table. */
int crr_make(struct engine *e, const char *name);
int crr_unmake(struct engine *e, const char *name);

/* crr_many.c: those of a JSON array of names; *made is how many were none yet. */
int crr_make_many(struct engine *e, const char *names, int64_t *made);

/* Parts of crr_make: the table gets a number, and its columns theirs; CREATEs of its
 * metadata; what is known of the rows it has. */
int crr_number(struct engine *e, const char *name, int64_t *id);
char *crr_metadata_sql(const char *name);
int crr_fill(struct engine *e, struct table *t);

/* The same inside a statement that writes: without a savepoint. */
int crr_make_inside(struct engine *e, const char *name);
int crr_unmake_inside(struct engine *e, const char *name);

/* SQLITE_ERROR, with the reason, if t as it is now can't be replicated: for its
 * form, of which the name is enough to know, or as a row's key is NULL. */
int crr_check(struct engine *e, struct table *t);
int crr_check_name(struct engine *e, const char *name);
int crr_check_keys(struct engine *e, struct table *t);

/* SQLITE_ERROR, with the reason, if the schema of that name can have no
 * replicated tables: cr-sqlite takes any and never looks at it, but one that is
 * there and is another one is not taken for main. */
int crr_check_schema(struct engine *e, sqlite3_value *value);

/* The part of it that cr-sqlite does not ask for. */
int crr_check_form(struct engine *e, const char *name);

/* A table of cr-sqlite's becomes one of ours, whose clocks are to be written. */
int crr_take_over(struct engine *e, const char *name);

/* The table becomes a replicated one, and its rows new changes; the tables of
 * its metadata are there and empty. */
int crr_enter(struct engine *e, const char *name);

/* Makes or drops the triggers of all tables, as the setting plain-writers
 * says now. */
int crr_renew_triggers(struct engine *e);

#endif

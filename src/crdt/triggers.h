// SPDX-License-Identifier: MPL-2.0
/*
 * triggers.h - the triggers that stand on a replicated table, kept as the
 * setting plain-writers and the table's columns want them.
 */
#ifndef CRDT_TRIGGERS_H
#define CRDT_TRIGGERS_H

#include "crdt/engine.h"

struct schema;
struct schema_table;

/* Makes the triggers of t what they must be, and notes its key.  s is what the
 * schema says, with texts, of it or of all; NULL: it is looked up. */
int triggers_make(struct engine *e, struct table *t, struct schema *s);

/* *suffix is that of the first trigger of t that is not what it must be, NULL if
 * there is none; *gone if it is not there at all; s is what the schema says of all,
 * with texts.  Only reads. */
int triggers_differ(struct engine *e, struct table *t, const struct schema *s,
    const char **suffix, bool *gone);

/* Adds to s the CREATEs of all that t must have, where it has none; each is ended by
 * a semicolon. */
int triggers_add_sql(struct engine *e, const struct table *t, sqlite3_str *s);

/* True if a trigger of the user's is younger than one of those that note a row behind
 * it, and may end the statement before; in has texts, and may be NULL.  Made anew,
 * ours are the youngest: SQLite runs these first. */
bool triggers_are_overtaken(const struct schema_table *in);

/* Drops those of the table of that name. */
int triggers_drop(struct engine *e, const char *name);

/* Sets t->old_triggers by what the schema says of it; only reads. */
int triggers_look(struct engine *e, struct table *t,
    const struct schema_table *in);

/* Sets e->temp_may_fail: a TEMP trigger may say RAISE(FAIL), by which what its
 * statement wrote stays. */
int triggers_look_for_temp_fail(struct engine *e);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * triggers.h - the triggers that stand on a replicated table, kept as the
 * setting plain-writers and the table's columns want them.
 */
#ifndef CRDT_TRIGGERS_H
#define CRDT_TRIGGERS_H

#include "crdt/engine.h"

/* Makes the triggers of t what they must be, and notes its key. */
int triggers_make(struct engine *e, struct table *t);

/* *suffix is that of the first trigger of t that is not what it must be, NULL if
 * there is none; only reads. */
int triggers_differ(struct engine *e, struct table *t, const char **suffix);

/* Drops those of the table of that name. */
int triggers_drop(struct engine *e, const char *name);

/* Sets t->old_triggers; only reads. */
int triggers_look(struct engine *e, struct table *t);

/* *lost if t has none: it was made anew by a program without the extension. */
int triggers_lost(struct engine *e, const struct table *t, bool *lost);

/* Set e->tables.may_fail and e->temp_may_fail: a trigger there may say
 * RAISE(FAIL), by which what its statement wrote stays. */
int triggers_look_for_fail(struct engine *e);
int triggers_look_for_temp_fail(struct engine *e);

#endif

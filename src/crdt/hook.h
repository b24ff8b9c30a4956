// SPDX-License-Identifier: MPL-2.0
/*
 * hook.h - whose the preupdate hook of the connection is.  There is one, SQLite tells
 * nobody when another takes its place, and whoever sets one can't give back what was
 * there before: so nothing is set where one is, and one that was taken from us is left
 * to who has it.  Writes go through the journal then (capture.h).
 *
 * HOW IT IS SEEN.  A trigger behind each row asks (journal_sql.c), and of that row our hook
 * must have been told in the same statement.  Where that can't be said, as others'
 * triggers wrote in between, a write that changes nothing proves it.
 */
#ifndef CRDT_HOOK_H
#define CRDT_HOOK_H

#include "crdt/engine.h"

/* What the hook is given.  SQLite's session extension takes what another hook was
 * given for a session of its own, to which it passes on what it is told: one of
 * zeros is switched off, and the last of its list. */
struct hook {
	uint8_t as_session[1024];
	struct engine *e;
	unsigned calls;         /* of the hook */
	bool called;            /* in a transaction of ours ... */
	int changes;            /* ... at this count of sqlite3_total_changes() */
};

/* True if a hook is there; ours is not. */
bool hook_is_taken(struct engine *e);

/* *ours if ours is still in its place.  It is written to the database. */
int hook_is_ours(struct engine *e, bool *ours);

/* If it is another's by now, triggers note what follows; nothing waits. */
int hook_check(struct engine *e);

/* SQLITE_ERROR, with a sentence, if it is another's by now: in the midst of what no
 * trigger asked for it. */
int hook_keep(struct engine *e, const char *midst);

/* Asked behind a row that was written: if the hook is another's by now, triggers note
 * this row and what follows.  SQLITE_ERROR, with a sentence, if a row of the statement
 * may have been missed: it does not happen again. */
int hook_ask(struct engine *e);

#endif

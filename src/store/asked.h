// SPDX-License-Identifier: MPL-2.0
/*
 * asked.h - what a pull asks for: groups of tables that stand at one place in
 * the remote's log and hold the same (R12), and how far it came.
 */
#ifndef STORE_ASKED_H
#define STORE_ASKED_H

#include <sqlite3.h>

#include "store/peer.h"

struct asked {
	struct asked_group {
		char **name;            /* tables */
		int64_t *tbl;           /* their numbers in the engine */
		size_t n;
		uint8_t start[STORE_CURSOR_LEN];        /* as asked */
		uint8_t cursor[STORE_CURSOR_LEN];       /* merged up to */
		uint8_t next[STORE_CURSOR_LEN];         /* being merged */
		struct store_vector vector;     /* as asked: own entry too */
		int64_t row;            /* ddcp_cursor.id; 0: not written */
	} *group;
	size_t n;
};

/* What the database, as db sees it, would ask of that remote; tables that `fetched` (may
 * be empty) names go on from the cursor there. */
int asked_load(sqlite3 *db, int64_t remote, const struct asked *fetched,
    struct asked *a, struct err *err);
void asked_clear(struct asked *a);

/* As bytes for the inbox, and back (all of start, cursor, vector). */
int asked_encode(const struct asked *a, struct buf *out, struct err *err);
int asked_decode(const uint8_t *data, size_t len, struct asked *a,
    struct err *err);

/* The plan to send; merged is the lowest cursor. */
int asked_plan(const struct asked *a, struct store_plan *out,
    struct err *err);

/* Everything up to that place was read (one page, or END: all then stand at
 * exactly that place).  Moves `next`. */
void asked_advance(struct asked *a, const uint8_t end[STORE_CURSOR_LEN]);
void asked_arrive(struct asked *a, const uint8_t end[STORE_CURSOR_LEN]);
/* Makes `next` the cursor, or forgets it. */
void asked_settle(struct asked *a, bool done);

/* Writes `next` of all groups, in the caller's transaction. */
int asked_write(struct asked *a, sqlite3 *db, int64_t remote,
    struct err *err);

/* True if a is at or before b: in one log, or a is nothing yet. */
bool asked_not_after(const uint8_t a[STORE_CURSOR_LEN],
    const uint8_t b[STORE_CURSOR_LEN]);

#endif

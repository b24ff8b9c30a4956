// SPDX-License-Identifier: MPL-2.0
/*
 * journal.h - writes of programs that load nothing: six triggers per table
 * append records to crsql_j (CAPTURE form G), which fold.c reads as the head
 * of its list.
 */
#ifndef CRDT_JOURNAL_H
#define CRDT_JOURNAL_H

#include "crdt/engine.h"

/* Six of the journal, two that refuse a NULL key where the declaration allows
 * one, and while a table is altered one that names its columns (marker.h). */
enum journal_trigger {
	JOURNAL_BEFORE_TRIGGER,         /* of an insert: what it may replace */
	JOURNAL_INSERT_TRIGGER,
	JOURNAL_UPDATE_TRIGGER,
	JOURNAL_DELETE_TRIGGER,
	JOURNAL_HINT_TRIGGER,           /* before an update of the key: the same */
	JOURNAL_KEY_TRIGGER,            /* behind it */
	JOURNAL_NULL_TRIGGER,           /* inserted, and the next: updated */
	JOURNAL_NULL_UPDATE_TRIGGER,
	JOURNAL_COLUMNS_TRIGGER,
	JOURNAL_NTRIGGERS
};

enum journal_op {       /* w = 8 * table + op */
	JOURNAL_INSERT = 1,     /* key */
	JOURNAL_UPDATE = 2,     /* key, mask: of columns (mask.h), NULL: all */
	JOURNAL_DELETE = 3,     /* key, pk unless the key is it */
	JOURNAL_HINT = 4,       /* key, pk: may be about to be replaced */
	JOURNAL_REKEY = 5,      /* key; mask: old key; pk: old one */
	JOURNAL_MOVE = 6        /* the same, and the pk stayed */
};                              /* with a look-aside table: the first four, with
                                   pk and no key */

/* The name (without table) and SQL of trigger i of t; sqlite3_malloc'ed; "" if
 * t needs it not, NULL on failure. */
const char *journal_trigger_suffix(int i);
int journal_trigger_sql(struct engine *e, const struct table *t, int i,
    char **out);

/* The same where plain programs may not write: in place of the trigger of
 * inserts one that does nothing, by which a table is known again under another
 * name, and one made anew is told. */
int journal_marker_sql(const struct table *t, int i, char **out);

/* Adds the pk columns to crsql_j that a key of npk columns needs. */
int journal_ensure_columns(struct engine *e, int npk);

/* True if anything is journalled. */
int journal_any(struct engine *e, bool *any);

/* A record as read; pk points to packed bytes valid until the next. */
struct journal_record {
	enum journal_op op;
	int table;
	int64_t key;
	int64_t mask;
	const char *text;       /* mask was one: valid until the next */
	bool all;               /* mask was NULL, or nothing that is one */
	const uint8_t *pk;
	int npk;
};

/* Calls f for each record in order. */
int journal_read(struct engine *e, int (*f)(void *self,
    const struct journal_record *r), void *self);

/* Empties it. */
int journal_clear(struct engine *e);

#endif

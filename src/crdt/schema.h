// SPDX-License-Identifier: MPL-2.0
/*
 * schema.h - sqlite_schema of the main database, read in one go.
 *
 * SQLite keeps no index on it: who asks it once for each of n tables reads all of
 * it n times.  So it is read as a whole, and kept by the names of tables for as
 * long as one look lasts; what a table's rows there say is told by a fingerprint,
 * so that a later look can pass over those that stayed as they were.  The rowids of
 * the rows are in it: one that was dropped and made with the same text stands behind
 * what came since, its metadata at least.
 */
#ifndef CRDT_SCHEMA_H
#define CRDT_SCHEMA_H

#include "crdt/engine.h"
#include "crdt/namemap.h"

enum schema_kind { SCHEMA_TABLE, SCHEMA_VIEW, SCHEMA_INDEX, SCHEMA_TRIGGER };

struct schema_row {             /* with texts only */
	struct schema_row *next;        /* of the same table, in their order */
	enum schema_kind kind;
	const char *name;
	const char *sql;        /* NULL: SQLite made it itself */
};

struct schema_table {           /* all that has its name as tbl_name */
	char *name;             /* of the table itself, if it is there */
	bool there;             /* its own row is */
	bool marked;            /* NAME__crsql_itrig stands on it */
	uint64_t print;         /* of its rows */
	struct schema_row *row, **last;
};

/* A trigger that has a name of ours, and stands on a table of another one. */
struct schema_stray {
	char *name;
	char *table;
};

struct schema {
	struct schema_table *table;
	int n, room;
	struct schema_stray *stray;
	int nstray;
	bool may_fail;          /* a trigger may say RAISE(FAIL) */
	bool ordered;           /* something of fract.h stands there */
	bool ours;              /* a trigger has a name of ours */
	int64_t last;           /* of one table: the last rowid there was */
	struct namemap names;
};

enum schema_depth { SCHEMA_PRINTS, SCHEMA_TEXTS };

/* Reads it: of one table, and of what is named after it, or of all if that is
 * NULL.  schema_clear frees it, on failure too. */
int schema_read(struct engine *e, const char *of, enum schema_depth depth,
    struct schema *out);
void schema_clear(struct schema *s);

/* Adds to that of one table what has come since: all that was read is there still.
 * Rows of others before are not read. */
int schema_read_on(struct engine *e, const char *of, enum schema_depth depth,
    struct schema *s);

/* What there is by a table's name, in any case of letters, or NULL. */
const struct schema_table *schema_find(const struct schema *s,
    const char *name);

/* One row of a table, by its name to the byte; NULL.  t may be NULL. */
const struct schema_row *schema_row(const struct schema_table *t,
    enum schema_kind kind, const char *name);

/* The trigger of ours with that suffix: of the name that is noted of the table, or,
 * where it has just been renamed, of any; NULL.  t may be NULL. */
const struct schema_row *schema_own_trigger(const struct schema_table *t,
    const char *noted, const char *suffix);

/* By what name a table goes now that was noted as that: SQLite takes triggers
 * along when a table is renamed, under their old names.  Else the name itself, if
 * there is such a table; NULL if it is gone. */
const char *schema_name_now(const struct schema *s, const char *noted);

/* The table on which the trigger NOTED__crsql_itrig stands; NULL. */
const char *schema_bearer(const struct schema *s, const char *noted);

/* A fingerprint with more bytes in it. */
uint64_t schema_mix(uint64_t print, const void *bytes, int len);

/* Stray trigger number i was dropped. */
void schema_remove_stray(struct schema *s, int i);

/* If that is the name of a trigger of ours: how many bytes that of its table has,
 * else -1. */
int schema_trigger_of(const char *name);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * table.h - what the engine knows of a replicated table.
 *
 * Rows are known by `key`, the rowid of the data table (for an INTEGER
 * PRIMARY KEY it is the key itself; without a rowid a number, lookaside.h), and
 * named to others by `pk`, the packed primary key (pack.h).  Columns that are
 * replicated and not part of the key have a stable number `cid`, kept in
 * crsql_col and never used twice in a table, which clock rows are written with;
 * inside C they go by index into `col`.
 */
#ifndef CRDT_TABLE_H
#define CRDT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "crdt/namemap.h"

struct engine;
struct schema;
struct sqlite3_stmt;

enum { SAMPLE_ROWS = 17 };  /* of a table, sample.h */

struct column {
	char *name;
	int position;       /* by which the preupdate hook's functions count */
	int updated;        /* ... the new values of an UPDATE */
	int stored;         /* in the stored row: virtual columns are not */
	int cid;            /* stable number in clock rows; key columns: -1 */
	int64_t born;       /* table's highest key when it was added (R3); a
	                       fresh row with key <= born has no clock for it */
	bool unsaved;       /* found now: number and birthday are not yet in
	                       crsql_col */
	bool came;          /* it was unsaved when the table was mended */
	bool has_default;   /* that is not NULL */
	bool renamed;       /* crsql_col has it by another name still */
	bool untold;        /* the journal's update trigger does not know it */
	char affinity;      /* 'A' blob/none 'B' text 'C' numeric 'D' integer
	                       'E' real: how values settle */
};

struct old_name {       /* a name that a column had */
	char *name;
	int cid;            /* -1: it is no column's here, but one's elsewhere */
};

enum table_stmt {       /* statements kept per table, made by table_stmt() */
	TS_META_GET, TS_META_PUT, TS_META_FEED, TS_META_DEL, TS_META_RANGE,
	TS_DEAD_GET, TS_DEAD_ADD, TS_DEAD_FEED, TS_DEAD_PUT,
	TS_DEAD_DEL,
	TS_FIND,            /* pk columns -> key */
	TS_FIND_ROW,        /* pk columns, bits -> key, columns with their bit set */
	TS_FIND_ALL,        /* pk columns -> key, columns */
	TS_ROW,             /* key -> pk columns, then columns */
	TS_VALUE,           /* key, index of a column -> its value */
	TS_ROW_RANGE,       /* keys lo..hi -> key, pk columns, columns */
	TS_MAX_KEY, TS_INSERT_ALL, TS_DELETE_ROW,
	TS_ROW_OF_PK,       /* pk columns -> as TS_ROW */
	TS_ROW_OF_PK_SCAN,  /* the same without the key's index */
	TS_KEY_GET, TS_KEY_PUT, TS_KEY_PK,      /* lookaside.c */
	TS_COUNT
};

struct table {
	char *name;
	char *noted;        /* its name in crsql_tbl and in those of its metadata:
	                       another one from a renaming to the next fold */
	int id;             /* crsql_tbl.id */
	int npk;
	struct column *pk;  /* in primary key order */
	int ncol;
	struct column *col; /* in declaration order */
	int nold;
	struct old_name *old;   /* columns.h */
	bool integer_key;   /* INTEGER PRIMARY KEY: key is the pk */
	bool norowid;       /* it is a WITHOUT ROWID table */
	bool aside;         /* keys are numbers of the look-aside table ... */
	bool numbered;      /* ... which is there: else it is about to be made, or
	                       another table is in this one's place */
	char *rowid;        /* SQL: the key, in ... */
	char *from;         /* ... FROM this, which may be given a name; */
	char *where;        /* the row with key ?1, in an UPDATE or DELETE */
	bool mistyped;      /* the hook may give an old value the type of another
	                       column */
	bool nullable_key;  /* the declaration allows a NULL key: we don't */
	int64_t hw;         /* highest key ever used; -1: not loaded */
	int64_t sample_due; /* sample.h: taken anew when hw is above; and with */
	int64_t sampled[SAMPLE_ROWS];   /* hw: their keys */
	int nsampled;
	int has_dead;       /* any tombstones? -1: not known */
	int has_meta;       /* any clock rows? -1: not known */
	int alone;          /* horizon.h: 0, or it is to be looked */
	int64_t youngest;   /* the latest birthday of its columns */
	bool old_triggers;  /* the journal's may not know all columns */
	bool bare;          /* none of them is there: made anew by a program
	                       that does not know of them */
	bool overtaken;     /* triggers.h: a younger one runs before they note a row */
	bool unique;        /* it may have unique indexes besides the key's */
	bool forgot;        /* gc_sweep.c: tombstones of it were dropped */
	bool gone;          /* crsql_col has a column that is not there */
	bool mended;        /* all is written down that follows from its shape */
	uint64_t print;     /* of what it was read from: schema, crsql_col */
	uint32_t epoch;     /* the list's, when it was read or mended */
	bool lean;          /* alter.h: they may name no column but the key's */
	bool trigger_merge_off; /* R24: triggers off when merged */
	struct sqlite3_stmt *stmt[TS_COUNT];
	struct table_mask_stmt { /* UPDATE of some columns, INSERT of some */
		uint64_t mask;
		bool insert;
		struct sqlite3_stmt *stmt;
	} *masked;
	int nmasked, masked_room;
};

struct table_list {
	struct table *table;    /* in order of id */
	int n, room;
	struct namemap names;   /* to indexes */
	int noted;              /* rows of crsql_tbl: more than n if some are gone */
	uint32_t epoch;         /* raised by a commit */
	bool undone;            /* what was read in this epoch may not be so any
	                           more */
	int64_t schema_version; /* PRAGMA schema_version it was read at; -1 */
	int64_t mended;         /* ... and the one table_mend has seen */
	int64_t looked;         /* ... and lost_nothing has seen: ... */
	bool nothing;           /* what it found */
	int64_t rows_looked;    /* ... and the one a reader has (copied.h) */
	bool rebuilt;           /* some table has lost its triggers */
	bool others;            /* others may have written since it was mended */
	bool half;              /* crsql_repair has left one to be repaired */
	bool names_changed;     /* columns.h: to be told at the commit */
	bool ordered;           /* one may be an ordered one: fract.h */
	bool any_aside;         /* a table has a look-aside table */
	bool may_fail;          /* a trigger may say RAISE(FAIL), by which what
	                           its statement wrote stays */
	uint32_t generation;    /* raised when the list is forgotten: pointers
	                           to its tables end */
};

/* At the end of a transaction: of all tables it is to be found anew what follows
 * from their shape. */
void table_unmend(struct engine *e);

/* Brings e->tables up to date with the schema: new, dropped and altered tables
 * are noticed by schema_version.  Pointers to struct table and statements from
 * before are invalid after a change.  Only reads: the hook calls it. */
int table_refresh(struct engine *e);

/* The same, and writes down what follows from a change of the schema: new and
 * dropped columns, renamed, dropped and rebuilt tables; at the beginning of a
 * fold.  At its end the journal's triggers are made what they must be: until
 * then what they wrote is read by what they were.  A transaction is open,
 * capture is off. */
int table_mend(struct engine *e);
int table_mend_triggers(struct engine *e);

/* Of table_mend what writes down columns that are new, renamed or gone. */
int table_save_columns(struct engine *e);

/* The list is to be read again; what was read or written down in this
 * transaction may have been undone. */
void table_doubt(struct engine *e);

/* Adds a table that has just become number id, where nothing else has changed
 * since the list was read but by us; *out NULL if it can't be one.  s becomes what
 * the schema says of it, to be cleared on failure too.  Its triggers being made,
 * table_added() brings the list up to date. */
int table_add(struct engine *e, int id, const char *name, struct schema *s,
    struct table **out);
int table_added(struct engine *e, struct table *t, struct schema *s);

/* True if one of them is overtaken. */
bool table_any_overtaken(const struct table_list *l);

/* Follows tables that were renamed or dropped, if there are any. */
int table_follow(struct engine *e);

/* The table of that name, in any case of letters, or NULL. */
struct table *table_find(struct engine *e, const char *name);
struct table *table_by_id(struct engine *e, int id);

/* The index of a column by name, by number; -1 if there is none. */
int table_column(const struct table *t, const char *name, int len);
int table_column_by_cid(const struct table *t, int cid);

/* The stride of a run at key where none is stored: the number of columns that
 * there were. */
int64_t table_stride(const struct table *t, int64_t key);

/* A statement of the table, reset; *out NULL on failure. */
int table_stmt(struct engine *e, struct table *t, enum table_stmt which,
    struct sqlite3_stmt **out);

/* The same for readers, of which several may be at work at once: it is the
 * caller's until table_give_back, which keeps one for the next.  Where the list of
 * tables was forgotten meanwhile (generation), it is to be finalised instead. */
int table_borrow(struct engine *e, struct table *t, enum table_stmt which,
    struct sqlite3_stmt **out);
void table_give_back(struct table *t, enum table_stmt which,
    struct sqlite3_stmt *stmt);

/* INSERT of the pk columns and those in cols[0..n), or UPDATE of those by
 * key (?1 = key, then values in order).  For INSERT: ?1.. = pk, then values. */
int table_stmt_for(struct engine *e, struct table *t, bool insert,
    const int *cols, int n, struct sqlite3_stmt **out);

/* The key of the row with that packed pk; *found false if there is none.  It is
 * 0 for a row that has no number yet, where the table has a look-aside table. */
int table_find_key(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, bool *found, int64_t *key);

/* The same with what the row has: *row stands at it, its key in column 0 and its
 * columns from 1 on, until table_end_row, which is to come before the table is
 * written to.  NULL if there is none.  Of the first TABLE_WANT_BITS columns only
 * those whose bit is wanted are read, the others are NULL; of TABLE_WANT_ALL all. */
enum { TABLE_WANT_BITS = 62 };
#define TABLE_WANT_ALL INT64_MAX
int table_find_row(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    int64_t wanted, struct sqlite3_stmt **row, int64_t *key);
int table_end_row(struct sqlite3_stmt *row);    /* fails if a value had no memory */

/* The packed pk of a live row (sqlite3_malloc'ed); *pk NULL if there is no
 * such row. */
int table_pk_of_key(struct engine *e, struct table *t, int64_t key,
    uint8_t **pk, int *npk);

/* Highest key ever used: loads it; raises it and writes it down where the top
 * row may have gone. */
int table_load_hw(struct engine *e, struct table *t);
int table_save_hw(struct engine *e, struct table *t);

/* Loads has_dead and has_meta if they are not known. */
int table_load_flags(struct engine *e, struct table *t);

/* The highest key below that one, 0 if there is none. */
int table_max_key(struct engine *e, struct table *t, int64_t below,
    int64_t *out);

/* Forgets hw and flags of all tables: after another's commit or a rollback. */
void table_forget_state(struct engine *e);

/* Forgets birthdays that were not written down: after a rollback. */
void table_forget_births(struct engine *e);

/* Reads columns and key of t->name. */
int table_read_shape(struct engine *e, struct table *t);

/* Free what one, or a list, holds. */
void table_free(struct table *t);

/* True if the row with that key began with a column that is there now: else it is
 * told by its sentinel (R3). */
bool table_born_with_any(const struct table *t, int64_t key);
void table_free_list(struct table_list *l);

/* True if records of rows that come or move say their pk too: by the key, which is
 * not it, they may not be found when they are folded, as keys are still to be given
 * (lookaside.h) or may be given anew before (alter.h). */
static inline bool
table_is_named(const struct table *t)
{
	return t->aside || (t->lean && !t->integer_key);
}

/* True if one of them is bare. */
bool table_any_bare(const struct table_list *l);

/* Finalises the statements kept for it, but those that run.  After a change of the
 * schema SQLite begins one that is kept, finds that it is to be prepared anew, and
 * undoes what it began: within a hook that takes the place of the program's own
 * statement in its table away, which then fails as if the file were damaged. */
void table_drop_statements(struct table *t);

/* Frees what e->tables holds. */
void table_forget_all(struct engine *e);

#endif

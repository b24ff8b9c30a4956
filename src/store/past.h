// SPDX-License-Identifier: MPL-2.0
/*
 * past.h - what happened to rows: who set what when, what lost to what, what a merge
 * would do, and taking one back.
 */
#ifndef STORE_PAST_H
#define STORE_PAST_H

#include "store/store.h"

/* -- rows and their past ---------------------------------------------------------- */

enum store_type {
	STORE_NULL, STORE_INTEGER, STORE_REAL, STORE_TEXT, STORE_BLOB
};

struct store_value {
	enum store_type type;
	int64_t integer;
	double real;
	const void *data;           /* TEXT in UTF-8, BLOB; never NULL for these */
	size_t size;
};

struct store_cell {
	const char *column;
	struct store_value value;
};

struct store_author {
	char name[STORE_NAME_MAX];  /* me, a remote, VLD0:8chars, site:8digits */
	char address[ADDR_TEXT_LEN + 1];        /* or "" */
	uint8_t site[STORE_SITE_LEN];
};

struct store_tally {            /* what a transaction did to a table, as far as
				     * the log tells */
	char *table;
	uint64_t inserted, changed, deleted, parked;
};

struct store_transaction {
	struct store_author author;
	uint64_t version;           /* the author's own number; 0: not known */
	uint64_t db_version;        /* ours */
	int64_t time_ms;            /* 0: not known */
	uint8_t token[STORE_TOKEN_LEN];
	struct store_tally *tally;
	size_t ntally;
};

struct store_log {
	const char *table;          /* those that touch it; NULL: all */
	const char *author;         /* those by him; NULL: all */
	uint64_t limit;             /* at most so many; 0: all */
};

/* Transactions, the newest first.  No transaction of ours is open while `each`
 * runs.  E_NOTFOUND: no such table or author. */
int store_log_each(struct store *s, const struct store_log *which,
    int (*each)(void *self, const struct store_transaction *t), void *self,
    struct err *err);

enum store_change_kind { STORE_INSERTED, STORE_CHANGED, STORE_DELETED };

struct store_change {           /* of one row, by one transaction */
	enum store_change_kind kind;
	const char *table;
	struct store_cell *key;     /* columns of the primary key */
	size_t nkey;
	struct store_cell *cell;    /* what is still current of what it set */
	size_t ncell;
	struct store_author author;
	uint64_t version, db_version;
	int64_t time_ms;
	uint8_t cursor[STORE_CURSOR_LEN];       /* the place behind it */
};

struct store_show {
	int (*transaction)(void *self, const struct store_transaction *t);
	int (*change)(void *self, const struct store_change *c);
	/* kept: values of it that are current; lost: at least so many more were
	 * overwritten since, or are of tables that are not here. */
	int (*end)(void *self, uint64_t kept, uint64_t lost);
	void *self;
};

/* What AUTHOR@VERSION did, or, by "@N", our own db_version N: each transaction of
 * that name, for one that came in parts is several.  E_NOTFOUND. */
int store_show(struct store *s, const char *name,
    const struct store_show *calls, struct err *err);

struct store_blamed {
	enum store_change_kind kind;
	const char *column;         /* "": the row itself was deleted, or came back */
	struct store_value value;
	bool known;                 /* false: nobody wrote it since the column was
				     * added, it shows its default */
	struct store_author author;
	uint64_t version, db_version;
	int64_t time_ms;
};

/* Who set each column of a row, in the table's order.  E_NOTFOUND: no such table,
 * or no such row ever; E_USAGE: another number of key columns. */
int store_blame(struct store *s, const char *table,
    const struct store_value *key, size_t nkey,
    int (*each)(void *self, const struct store_blamed *b), void *self,
    struct err *err);

/* -- conflicts: what lost to a change whose author did not know of it ------------- */

struct store_lost {
	const char *column;
	struct store_value winner, loser;
};

struct store_conflict {
	uint64_t id;
	const char *table, *rule;   /* version, value, delete, life */
	bool row;                   /* it lost as a whole: by the last two */
	struct store_cell *key;
	size_t nkey;
	struct store_author winner, loser;
	uint64_t winner_version, loser_version;
	int64_t time_ms, reviewed_ms;   /* 0: not reviewed */
	const struct store_lost *lost;  /* one; of a row all; none of a delete */
	size_t nlost;
};

struct store_conflicts {
	const char *const *table;   /* of these; all if there are none */
	size_t ntables;
	bool all;                   /* reviewed ones too */
};

/* In the order in which they were met; no statement is open meanwhile.
 * E_NOTFOUND: no such table. */
int store_conflict_each(struct store *s, const struct store_conflicts *which,
    int (*each)(void *self, const struct store_conflict *c), void *self,
    struct err *err);

/* Those that nobody reviewed. */
int store_conflict_count(struct store *s, uint64_t *out, struct err *err);

/* How many were noted since the one of number *newest, which becomes the newest. */
int store_conflict_news(struct store *s, uint64_t *newest, uint64_t *n,
    struct err *err);

/* Whether there is room for more. */
int store_conflict_room(struct store *s, bool *room, struct err *err);

enum store_choice { STORE_OURS, STORE_THEIRS, STORE_WINNER, STORE_LOSER,
	STORE_GIVEN };

/* Settles one: what lost, or the value that is given (else NULL), is written; what
 * won is left as it is by now.  E_NOTFOUND: no such conflict, or its row is gone;
 * E_USAGE: it is not told which side is ours; E_REFUSED: the table does not take
 * it. */
int store_resolve(struct store *s, uint64_t id, enum store_choice choice,
    const struct store_value *value, struct err *err);

/* All that there are count as reviewed, as they are; *n were not. */
int store_review_all(struct store *s, uint64_t *n, struct err *err);

/* Forgets those that were reviewed longer ago than the setting says. */
int store_forget_reviewed(struct store *s, struct err *err);

struct store_follow;        /* reads the log as it grows */

/* From a place on, a cursor that was given for a change (NULL: from its end as it
 * is now), of a table or (NULL) of all.  E_NOTFOUND: no such table. */
int store_follow_begin(struct store *s, const uint8_t *from,
    const char *table, struct store_follow **out, struct err *err);
/* The next changes, valid until the next call; *n 0: none now.  *again: somebody
 * writes, so that what plain programs wrote could not be taken in.  E_NOTFOUND if
 * the place is none in this log. */
int store_follow_next(struct store_follow *f, const struct store_change **out,
    size_t *n, bool *again, struct err *err);
/* The place behind what was given. */
void store_follow_place(const struct store_follow *f,
    uint8_t place[static STORE_CURSOR_LEN]);
void store_follow_end(struct store_follow *f);

/* -- looking before merging ----------------------------------------------------- */

struct store_diff_cell {
	const char *column;
	bool was_known;             /* before is what it has here now */
	struct store_value before, after;
};

struct store_diff_row {         /* what a merge would change */
	enum store_change_kind kind;
	const char *table;
	struct store_cell *key;
	size_t nkey;
	struct store_diff_cell *cell;   /* inserted: after counts; deleted: before */
	size_t ncell;
	struct store_author author; /* of the last that changed it, ... */
	uint64_t version;           /* and his number; 0: not known */
	int64_t time_ms;            /* 0: not known */
};

struct store_diff {
	const char *remote;         /* NULL: all, in the order of their names */
	const char *const *table;   /* these only; none: all */
	size_t ntables;
	bool (*stop)(void *arg);    /* true: enough; or NULL */
	void *arg;
};

struct store_diff_sum {
	uint64_t transactions, rows;    /* that were fetched and not merged */
	uint64_t parked;            /* of them: they can't be applied here */
};

/* What merging what was fetched would change, row by row, as the database is now,
 * which is the same afterwards (R9).  Nobody waits while `each` runs.  E_NOTFOUND:
 * no such remote or table; E_INTERRUPTED. */
int store_diff(struct store *s, const struct store_diff *what,
    int (*each)(void *self, const struct store_diff_row *row), void *self,
    struct store_diff_sum *out, struct err *err);

/* Forgets a part of what is kept to take merges back, where it is too old or too
 * much; *more: there is more of it. */
int store_forget(struct store *s, bool *more, struct err *err);

struct store_undo {
	const char *name;           /* AUTHOR@VERSION, @N; NULL: the last merge */
	bool dry_run;               /* only find out */
};

struct store_undone {           /* what was done to a row */
	struct store_diff_row row;  /* inserted: it is back; deleted: it had come
				     * with the merge.  Who and when: of the change
				     * that is taken back */
	size_t nleft;               /* columns that somebody set since, left */
	const char *why;            /* nothing was done: why; else NULL */
};

struct store_undo_sum {
	uint64_t done, partly, left;    /* rows; partly: with nleft */
};

/* Takes back what a transaction of somebody else's, or all of the last merge, wrote:
 * what there was before is written as changes of our own.  What was changed since is
 * left as it is.  All of it or nothing; `each` runs afterwards.  E_NOTFOUND: there
 * is no such one, or what it wrote over is not kept. */
int store_undo(struct store *s, const struct store_undo *what,
    int (*each)(void *self, const struct store_undone *row), void *self,
    struct store_undo_sum *out, struct err *err);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * ledger.h - the conflicts: what lost to a change that was made without knowing of
 * it (R18), noted as an import meets it, until somebody has reviewed it.
 *
 * Two changes are concurrent if neither site had seen the other's.  Of the same
 * site's, the order tells; those of no known version (R1) are concurrent with all
 * others.  What is not known of who saw what makes a conflict too many, never one
 * too few.
 *
 *   cell      of two values of a column one was kept, because of its version or,
 *             at equal versions, because it is greater
 *   row       a delete ended a row that was changed meanwhile, a change came to a
 *             row that was deleted meanwhile, or either to one that has begun
 *             another life: one entry, with the values that are lost
 *
 * Tables: crsql_ledger, one row each, known by number, key, and both origins, so
 * that what comes again is noted once; crsql_ledger_cell has their values.
 */
#ifndef CRDT_LEDGER_H
#define CRDT_LEDGER_H

#include "crdt/apply.h"
#include "crdt/history.h"

/* The code of a merge for whose conflicts there is no room: 18689. */
#define CRDT_LEDGER_FULL (SQLITE_ERROR | 73 << 8)

enum {
	LEDGER_MAX = 100000,    /* not reviewed ones, unless a setting says else */
	LEDGER_WINNER_BYTES = 256       /* of a text or blob that won: it stands in its
	                           row, and small losers of a large one could fill the
	                           disk with it */
};

enum ledger_rule { LEDGER_VERSION = 1, LEDGER_VALUE, LEDGER_DELETE, LEDGER_LIFE };

/* -- what merge.c and apply.c tell; by crsql_changes they do nothing ------------- */

/* A cell comes to a live row of the same life; wins is what was decided. */
int ledger_cell(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, bool wins);

/* What comes ends the life of the row, or the death, that is here: cl is greater.
 * Before anything of it is written. */
int ledger_ended(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int ncell);

/* What comes is of a life that is over: nothing of it is applied. */
int ledger_over(struct engine *e, struct merge_row *row, int64_t cl,
    const struct apply_cell *cell, int ncell);

/* A row is taken in hand; what was noted of it since is forgotten, as the change
 * was refused. */
void ledger_begin_row(struct engine *e);
int ledger_take_back(struct engine *e);

/* -- who knows what ----------------------------------------------------------------- */

/* What is remembered may be so no more: numbers were given out anew, steps came. */
void ledger_forget(struct engine *e);
void ledger_forget_steps(struct engine *e);

/* The same behind a merge, which keeps runs; and only these, where somebody else
 * wrote, or the log is written otherwise than at its end. */
void ledger_rest(struct engine *e);
void ledger_forget_runs(struct engine *e);
void ledger_free(struct engine *e);

/* -- conflicts.c -------------------------------------------------------------------- */

/* False in a file that an earlier build made: nothing is noted there. */
int ledger_is_there(struct engine *e, bool *has);

/* What was noted of a table that is replicated no more; of its columns that are
 * gone. */
int ledger_forget_table(struct engine *e, int id);
int ledger_forget_gone(struct engine *e, int id);

/* -- ledger_origin.c: who made what is here ---------------------------------------- */

struct fact {
	bool known;             /* there is one */
	int64_t dbv, pos;
	int64_t site, sver;
};

struct ledger_runs {            /* of one table */
	int table;              /* -1: none */
	struct ledger_run {
		struct history_run run;
		int64_t reach;  /* the last key of those up to this one */
		int64_t site, sver;     /* -1: own */
		int64_t there;  /* the turn in which it was last seen in the log */
	} *run;                 /* in order of keys */
	int n;
	int64_t upto;           /* all up to that db_version; -1: it was not read */
	bool many;              /* too many for a list */
	int missed, due;        /* keys that were not found; when it is read on */
	int64_t schema;         /* its version when it was begun */
	bool kept;              /* of a transaction before */
	int64_t turn;           /* so many of them */
};

struct ledger {
	int64_t dbv;            /* of what comes, 0: none yet.  No fact there is of
	                         * another */
	int64_t first;          /* number of the first one noted of the row, or 0 */
	int64_t asked_dbv, asked;       /* origins asked for in a row of one dbv ... */
	bool uniform;           /* ... all of whose facts are of one origin */
	struct fact fact;       /* the last one asked for */
	struct {                /* the run that was found last */
		int table;      /* -1: none */
		int64_t key, n;
		struct fact fact;
	} run;
	struct ledger_runs runs;
	struct {                /* the last steps asked for, of either side */
		int64_t site;   /* -1: none */
		int64_t sver, other, upto;
	} reach[2];
};

/* The state of e, made if need be; NULL is SQLITE_NOMEM. */
struct ledger *ledger_of(struct engine *e);

/* The fact that column i of a live row here is, col -1 its sentinel. */
int ledger_fact(struct engine *e, struct merge_row *row, int i,
    struct fact *out);

/* The one at a place of the log. */
int ledger_fact_at(struct engine *e, int64_t dbv, int64_t pos,
    struct fact *out);

/* Whether neither had seen the other. */
int ledger_concurrent(struct engine *e, const struct fact *a,
    const struct fact *b, bool *is);

/* -- ledger_runs.c ------------------------------------------------------------------- */

/* The run over a key, and whose it is; n is 0 if there is none. */
int ledger_find_run(struct engine *e, const struct table *t, int64_t key,
    struct history_run *out, struct fact *by);
void ledger_keep_runs(struct engine *e);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * quiet.h - triggers switched off on this connection for a while.  Our
 * journal's do nothing here, but SQLite pays for them at each row (CAPTURE
 * section 2): so it is done where much is written, a large page imported or
 * many statements in one transaction, and only if it is certain that nobody
 * misses them.
 */
#ifndef CRDT_QUIET_H
#define CRDT_QUIET_H

#include "base/buf.h"
#include "crdt/engine.h"

/* -- quiet.c: while a page is imported ------------------------------------ */

/* Switches triggers off if no table that is merged has one of its user's and
 * nothing runs that would suffer; on again. */
int quiet_begin(struct engine *e, bool *quiet);
void quiet_end(struct engine *e, bool quiet);

enum { QUIET_ASK = -1 };

/* Triggers on (1), off (0) or as they are; *on tells how they are then. */
int quiet_switch(struct engine *e, int to, bool *on);

/* How many statements of the connection run now, the caller's included.  A
 * switch ends those that open another table later. */
int quiet_running(struct engine *e);

/* True if no statement runs but the one that called us, which has one SELECT and no
 * more; *only is that one, NULL if none runs. */
bool quiet_runs_alone(struct engine *e, sqlite3_stmt **only);

/* How often a word stands in the text of a statement, be it in part of another. */
int quiet_count_word(const char *text, const char *word);

/* Conditions on a trigger in main.sqlite_schema: it has a name of ours; its table
 * is replicated. */
#define QUIET_OUR_NAME \
	"substr(name, 1, length(tbl_name)) = tbl_name COLLATE NOCASE AND " \
	"substr(name, length(tbl_name) + 1) GLOB '__crsql_[a-z]trig'"
#define QUIET_REPLICATED \
	"tbl_name COLLATE NOCASE IN (SELECT name FROM crsql_tbl)"

/* -- bulk.c: from the 65th statement of a transaction on ------------------- */

struct bulk {
	bool wanted;            /* setting bulk */
	bool on;                /* triggers are off, by us */
	int statements;         /* of this transaction so far */
	/* what the schemas were when triggers were looked at last */
	int64_t main, temp, databases;
	bool only_ours;         /* and no trigger but ours was found */
	struct buf written;     /* names of tables written since, each with its
	                           zero byte; failed: any may be */
	const char *last;       /* the last of them, as SQLite keeps it */
};

/* Settings and memory: begin and end of a connection. */
void bulk_init(struct engine *e, bool wanted);
void bulk_free(struct engine *e);

/* A statement for which SQLite keeps a journal of its own has ended. */
void bulk_statement_ended(struct engine *e);

/* A change was merged by a statement that has none. */
void bulk_change_merged(struct engine *e);

/* A row of that table is being written while triggers are off. */
void bulk_wrote(struct engine *e, const char *name);

/* Before a commit: fails if a trigger may have been missed. */
int bulk_check(struct engine *e);

/* The transaction is over, or its schema changed.  Where another statement runs,
 * which a switch might end, triggers stay off, and the next end switches them
 * on. */
void bulk_end(struct engine *e);

/* Triggers are needed from now on, whatever runs. */
void bulk_stop(struct engine *e);

#endif

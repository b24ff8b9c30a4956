// SPDX-License-Identifier: MPL-2.0
/*
 * shelf.h - CREATEs for many tables at once, in time that grows with their number.
 *
 * For each CREATE SQLite reads all of sqlite_schema and goes through all tables it
 * knows: n tables cost n².  So the rows of sqlite_schema are put aside, and put back
 * a few tables at a time; SQLite is told to read its schema anew, knows no other
 * tables then, and makes what is asked for beside these.  At the end all rows are
 * back as they were, byte for byte and by the same rowids, with those that SQLite
 * has written behind them, as if each had been made by itself.  No row is made up.
 *
 * All that is one savepoint of the caller's: others see nothing of it before the
 * commit, by which a count of rows must be right.  What fails in between is undone
 * as a whole; the number by which SQLite knows a schema is another one from before
 * the first row is taken, so that nothing known from in between can outlive that.
 */
#ifndef CRDT_SHELF_H
#define CRDT_SHELF_H

#include "crdt/engine.h"

struct shelf_job {
	const char *table;      /* as sqlite_schema has it; each once */
	char *sql;              /* CREATEs of tables and triggers, ended by ";" each;
	                           no name in them is taken, in the whole schema */
};

/* Whether it may be done here and now.  Not where the connection defends its schema
 * (SQLITE_DBCONFIG_DEFENSIVE); nor where another statement runs, or ours has
 * subqueries: it may open a table later, which the change of a setting ends; nor
 * where a virtual table may have taken part in the transaction already. */
int shelf_may(struct engine *e, bool *may);

/* Runs them, in a savepoint that the caller undoes if it fails: SQLITE_AUTH if an
 * authorizer is against it.  Afterwards the list of tables is to be read again. */
int shelf_run(struct engine *e, const struct shelf_job *job, int n);

#endif

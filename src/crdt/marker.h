// SPDX-License-Identifier: MPL-2.0
/*
 * marker.h - the trigger that names the columns of a table while it is altered.
 *
 * It stands in place of those that would hinder DROP COLUMN: SQLite does not
 * look whether the columns of an UPDATE OF are there, but renames them with the
 * columns.  So it tells afterwards which column is which.  It does nothing.
 */
#ifndef CRDT_MARKER_H
#define CRDT_MARKER_H

#include "crdt/engine.h"

/* Its text; sqlite3_malloc'ed, NULL on failure. */
int marker_sql(const struct table *t, char **out);

/* Goes through the columns that it names. */
struct marker {
	const char *name;       /* the next name, in double quotes */
	const char *cid;        /* its number */
};

/* Begins; noted is the name that the table had.  False: sql is none. */
bool marker_begin(struct marker *m, const char *sql, const char *noted);

/* The next one, valid as long as sql; false at the end. */
struct marker_column {
	const char *quoted;
	int cid;
};
bool marker_next(struct marker *m, struct marker_column *out);

/* True if that is the name. */
bool marker_is(const struct marker_column *c, const char *name);

#endif

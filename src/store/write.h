// SPDX-License-Identifier: MPL-2.0
/* write.h - a row of a user's table that is written as a change of our own: what was
 * taken back (undo.c), what was settled (resolve.c). */
#ifndef STORE_WRITE_H
#define STORE_WRITE_H

#include <sqlite3.h>

#include "store/past.h"

/* Writes what r says: of its cells what comes after.  or_what is " OR ABORT", by
 * which a row is refused whatever the table's own clauses say, or "".  *changed
 * counts rows.  A code of SQLite, as of the step; sqlite3_errmsg has its words. */
int write_row(sqlite3 *db, const struct store_diff_row *r, const char *or_what,
    int *changed);

#endif

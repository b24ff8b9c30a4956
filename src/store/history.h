// SPDX-License-Identifier: MPL-2.0
/* history.h - what files that look at the past share. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <sqlite3.h>

#include "store/store.h"

/* Column i, until the statement moves on. */
struct store_value history_value(sqlite3_stmt *stmt, int i);

/* The other way: without copying. */
int history_bind(sqlite3_stmt *stmt, int i, const struct store_value *v);

/* The name of the replicated table that is called so in any case of letters, to be
 * freed; E_NOTFOUND. */
int history_table(struct store *s, const char *name, char **out,
    struct err *err);

#endif

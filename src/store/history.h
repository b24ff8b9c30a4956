// SPDX-License-Identifier: MPL-2.0
/* history.h - what files that look at the past share. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <sqlite3.h>

#include "store/past.h"

/* Column i, until the statement moves on. */
struct store_value history_value(sqlite3_stmt *stmt, int i);

/* The other way: without copying. */
int history_bind(sqlite3_stmt *stmt, int i, const struct store_value *v);

/* The name of the replicated table that is called so in any case of letters, to be
 * freed; E_NOTFOUND. */
int history_table(struct store *s, const char *name, char **out,
    struct err *err);

/* The db_versions here of the transactions that are called so, as store_show takes a
 * name, to be freed; E_NOTFOUND, E_USAGE. */
int history_find(struct store *s, const char *name, int64_t **out, size_t *n,
    struct err *err);

#endif

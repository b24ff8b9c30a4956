// SPDX-License-Identifier: MPL-2.0
/*
 * cells.h - rows of databases in tables of one in memory, where they are compared.
 * What stands in the tables of a site is (tbl, pk, cid, val): a row for each cell,
 * under the name that its column had at first; of a table without columns one with
 * cid '-1'.
 */
#ifndef SIM_CELLS_H
#define SIM_CELLS_H

#include <sqlite3.h>
#include <stdint.h>

#include "history.h"

/* Runs it, with the formats of sqlite3_mprintf(), or aborts with SQLite's sentence. */
void cells_exec(sqlite3 *db, const char *fmt, ...);
void cells_must(sqlite3 *db, int rc);

/* The first integer of a query. */
int64_t cells_int(sqlite3 *db, const char *query);

/* What a query gives is put into db by a statement, each row with its columns as
 * parameters; ?1 of the query is parameter.  SQLite's code; a sentence is printed. */
int cells_copy(sqlite3 *db, sqlite3 *from, const char *query, int64_t parameter,
    const char *insert);

/* The tables of a site into one of db, which is emptied first. */
int cells_read(sqlite3 *db, const char *into, sqlite3 *site,
    struct history_shape shape);

/* Rows of one query that the other has not, both ways: how many, each printed with
 * name in front unless that is NULL. */
int cells_differ(sqlite3 *db, const char *name, const char *want,
    const char *have);

#endif

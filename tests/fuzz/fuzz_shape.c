// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_shape.c - how tables are declared, said by a stranger: what can be read can
 * be written as the same bytes' meaning; what SQLite makes of it is what was asked
 * for, and nothing else.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "store/shape.h"

enum { TABLES_MADE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long
count(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	long n;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK
	    || sqlite3_step(stmt) != SQLITE_ROW)
		abort();
	n = (long)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

/* One table more, or nothing. */
static void
make(sqlite3 *db, const struct shape_table *t)
{
	static const char tables[] = "SELECT count(*) FROM sqlite_schema WHERE "
	    "type = 'table'", others[] = "SELECT count(*) FROM sqlite_schema "
	    "WHERE type NOT IN ('table', 'index')";
	struct err err = { .code = 0 };
	long before = count(db, tables);

	sqlite3_exec(db, "SAVEPOINT one", NULL, NULL, NULL);
	if (shape_make(db, t, &err) == 0) {
		if (count(db, tables) != before + 1)
			abort();
		shape_make_indexes(db, t, &err);
	} else {
		sqlite3_exec(db, "ROLLBACK TO one", NULL, NULL, NULL);
	}
	sqlite3_exec(db, "RELEASE one", NULL, NULL, NULL);
	if (count(db, others) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shape s, again;
	struct buf b = { .data = NULL };
	sqlite3 *db;
	size_t i;

	if (shape_decode(data, size, &s, NULL) == 0) {
		if (shape_encode(&s, &b, NULL) != 0
		    || shape_decode(b.data, b.len, &again, NULL) != 0
		    || s.ntables != again.ntables || s.nleft != again.nleft)
			abort();
		if (sqlite3_open(":memory:", &db) != SQLITE_OK)
			abort();
		for (i = 0; i < s.ntables; i++) {
			if (!shape_same_table(&s.table[i], &again.table[i]))
				abort();
			if (i < TABLES_MADE)
				make(db, &s.table[i]);
		}
		sqlite3_close(db);
		shape_clear(&again);
		buf_clear(&b);
	}
	shape_clear(&s);
	return 0;
}

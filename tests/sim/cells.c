// SPDX-License-Identifier: MPL-2.0
#include "cells.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
cells_must(sqlite3 *db, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return;
	fprintf(stderr, "model: %s\n", sqlite3_errmsg(db));
	abort();
}

void
cells_exec(sqlite3 *db, const char *fmt, ...)
{
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	cells_must(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
	sqlite3_free(sql);
}

int64_t
cells_int(sqlite3 *db, const char *query)
{
	sqlite3_stmt *stmt;
	int64_t n;

	cells_must(db, sqlite3_prepare_v2(db, query, -1, &stmt, NULL));
	cells_must(db, sqlite3_step(stmt));
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

int
cells_copy(sqlite3 *db, sqlite3 *from, const char *query, int64_t parameter,
    const char *insert)
{
	sqlite3_stmt *read, *write;
	int i, rc;

	rc = sqlite3_prepare_v2(from, query, -1, &read, NULL);
	if (rc != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", query, sqlite3_errmsg(from));
		return rc;
	}
	sqlite3_bind_int64(read, 1, parameter);
	cells_must(db, sqlite3_prepare_v2(db, insert, -1, &write, NULL));
	while ((rc = sqlite3_step(read)) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(read); i++)
			sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i));
		cells_must(db, sqlite3_step(write));
		sqlite3_reset(write);
	}
	sqlite3_finalize(write);
	sqlite3_finalize(read);
	if (rc != SQLITE_DONE)
		fprintf(stderr, "%s: %s\n", query, sqlite3_errmsg(from));
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
cells_read(sqlite3 *db, const char *into, sqlite3 *site,
    struct history_shape shape)
{
	const char *const queries[HISTORY_NTABLES + 1] = {
		shape.renamed ?
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM words) "
		"SELECT 'words', pk, 'a', a FROM k UNION ALL "
		"SELECT 'words', pk, 'b', b FROM k UNION ALL "
		"SELECT 'words', pk, 'c', d FROM k" :
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM words) "
		"SELECT 'words', pk, 'a', a FROM k UNION ALL "
		"SELECT 'words', pk, 'b', b FROM k UNION ALL "
		"SELECT 'words', pk, 'c', c FROM k",
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM numbers) "
		"SELECT 'numbers', pk, 'x', x FROM k UNION ALL "
		"SELECT 'numbers', pk, 'y', y FROM k",
		"WITH k AS (SELECT crsql_pack_columns(p, q) AS pk, * FROM pairs) "
		"SELECT 'pairs', pk, 'r', r FROM k UNION ALL "
		"SELECT 'pairs', pk, 's', s FROM k",
		"SELECT 'marks', crsql_pack_columns(id), '-1', NULL FROM marks",
		"SELECT 'tags', crsql_pack_columns(p, q), 'v', v FROM tags",
		"SELECT 'words', crsql_pack_columns(id), 'e', e FROM words",
	};
	int i, n = HISTORY_NTABLES + (shape.widened ? 1 : 0), rc = SQLITE_OK;
	char *insert = sqlite3_mprintf("INSERT INTO %s(tbl, pk, cid, val) "
	    "VALUES(?1, ?2, ?3, ?4)", into);

	cells_exec(db, "DELETE FROM %s", into);
	for (i = 0; i < n && rc == SQLITE_OK; i++)
		rc = cells_copy(db, site, queries[i], 0, insert);
	sqlite3_free(insert);
	return rc;
}

static int
print_difference(void *self, int n, char **text, char **names)
{
	printf("# %s: %s", (const char *)self, text[0]);
	for (n--; n > 0; n--)
		printf(" | %s", text[n] ? text[n] : "NULL");
	putchar('\n');
	return 0;
}

int
cells_differ(sqlite3 *db, const char *name, const char *want, const char *have)
{
	char *sql = sqlite3_mprintf("WITH w AS (%s), h AS (%s) "
	    "SELECT 'missing', * FROM (SELECT * FROM w EXCEPT SELECT * FROM h) "
	    "UNION ALL "
	    "SELECT 'too much', * FROM (SELECT * FROM h EXCEPT SELECT * FROM w)",
	    want, have);
	char *count = sqlite3_mprintf("SELECT count(*) FROM (%s)", sql);
	int n = (int)cells_int(db, count);

	if (n > 0 && name != NULL)
		sqlite3_exec(db, sql, print_difference, (void *)(uintptr_t)name,
		    NULL);
	sqlite3_free(count);
	sqlite3_free(sql);
	return n;
}

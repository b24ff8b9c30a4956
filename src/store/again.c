// SPDX-License-Identifier: MPL-2.0
#include "store/again.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

#define NOTES "crsql_master WHERE key >= 'again.' AND key < 'again/'"

int
again_load(sqlite3 *db, struct again *a, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t *list, since;
	bool row = true;
	int rc;

	memset(a, 0, sizeof *a);
	a->since = INT64_MAX;
	rc = sql_open(db, &stmt, err, "SELECT CAST(substr(key, 7) AS INTEGER), "
	    "value FROM " NOTES, "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		list = realloc(a->tbl, (a->n + 1) * sizeof *list);
		if (list == NULL) {
			rc = err_nomem(err);
			break;
		}
		a->tbl = list;
		a->tbl[a->n++] = sqlite3_column_int64(stmt, 0);
		since = sqlite3_column_int64(stmt, 1);
		if (since < a->since)
			a->since = since;
	}
	sqlite3_finalize(stmt);
	return rc;
}

void
again_clear(struct again *a)
{
	free(a->tbl);
	memset(a, 0, sizeof *a);
}

bool
again_has(const struct again *a, int64_t tbl)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->tbl[i] == tbl)
			return true;
	return false;
}

int
again_forget(sqlite3 *db, struct err *err)
{
	return sql_do(db, err, "DELETE FROM " NOTES, "");
}

int
again_is_settled(sqlite3 *db, bool *settled, struct err *err)
{
	int64_t n;
	int rc = sql_int(db, &n, err, "SELECT crsql_schema_pending() + "
	    "(SELECT count(*) FROM " NOTES ")", "");

	*settled = rc == 0 && n == 0;
	return rc;
}

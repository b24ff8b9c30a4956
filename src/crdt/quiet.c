// SPDX-License-Identifier: MPL-2.0
/*
 * quiet.c - our journal's triggers do nothing on this connection, but SQLite
 * still pays for them at each row (CAPTURE section 2).  While a large page is
 * imported, triggers are switched off altogether, if it is certain that nobody
 * misses them: no table merged has a trigger of its user's, nothing else runs.
 */
#include <string.h>

#include "crdt/apply.h"

enum { ASK = -1 };

static int
set_triggers(struct engine *e, int to, bool *on)
{
	int now = 0;
	int rc = sqlite3_db_config(e->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, to,
	    &now);

	*on = now != 0;
	return rc;
}

static int
count_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	int n = 0;

	for (; *text != '\0'; text++)
		n += sqlite3_strnicmp(text, word, (int)len) == 0;
	return n;
}

/* A switch ends statements that open another table later.  The only one that
 * runs may be the SELECT that called us, without FROM and subqueries. */
static bool
is_alone(struct engine *e)
{
	sqlite3_stmt *stmt = NULL;
	const char *sql;
	int busy = 0;

	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL) {
		if (!sqlite3_stmt_busy(stmt))
			continue;
		sql = sqlite3_sql(stmt);
		if (++busy > 1 || sql == NULL ||
		    count_word(sql, "select") != 1 ||
		    count_word(sql, "from") != 0)
			return false;
	}
	return true;
}

/* Whether every trigger that could fire is one of our own. */
static int
only_ours(struct engine *e, bool *only)
{
	int64_t others = 1;
	int rc;

	rc = engine_int(e, &others, "SELECT "
	    "EXISTS(SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger') OR "
	    "EXISTS(SELECT 1 FROM main.sqlite_schema AS s WHERE "
	    "s.type = 'trigger' AND s.tbl_name IN (SELECT name FROM crsql_tbl) "
	    "AND s.name NOT LIKE replace(replace(s.tbl_name, '\\', '\\\\'), "
	    "'_', '\\_') || '\\_\\_crsql\\__trig' ESCAPE '\\')");
	*only = others == 0;
	return rc;
}

int
quiet_begin(struct engine *e, bool *quiet)
{
	bool on, only;
	int rc;

	*quiet = false;
	rc = set_triggers(e, ASK, &on);
	if (rc != SQLITE_OK || !on || !is_alone(e))
		return rc;
	rc = only_ours(e, &only);
	if (rc == SQLITE_OK && only) {
		rc = set_triggers(e, 0, &on);
		*quiet = rc == SQLITE_OK;
	}
	return rc;
}

void
quiet_end(struct engine *e, bool quiet)
{
	bool on;

	if (quiet)
		set_triggers(e, 1, &on);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * quiet.c - triggers off while a large page is imported (quiet.h), and the
 * switch itself.
 */
#include "crdt/quiet.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

int
quiet_switch(struct engine *e, int to, bool *on)
{
	int now = 0;
	int rc = sqlite3_db_config(e->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, to,
	    &now);

	*on = now != 0;
	if (to != QUIET_ASK)
		engine_renew_undo(e);
	return rc;
}

int
quiet_running(struct engine *e)
{
	sqlite3_stmt *stmt = NULL;
	int n = 0;

	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL)
		n += sqlite3_stmt_busy(stmt) != 0;
	return n;
}

int
quiet_count_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	int n = 0;

	for (; *text != '\0'; text++)
		n += sqlite3_strnicmp(text, word, (int)len) == 0;
	return n;
}

bool
quiet_runs_alone(struct engine *e, sqlite3_stmt **only)
{
	sqlite3_stmt *stmt = NULL;
	const char *sql;

	*only = NULL;
	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL) {
		if (!sqlite3_stmt_busy(stmt))
			continue;
		sql = sqlite3_sql(stmt);
		if (*only != NULL || sql == NULL ||
		    quiet_count_word(sql, "select") != 1)
			return false;
		*only = stmt;
	}
	return true;
}

/* A switch ends statements that open another table later.  The only one that
 * runs may be the SELECT that called us, without FROM and subqueries. */
static bool
is_alone(struct engine *e)
{
	sqlite3_stmt *only;

	return quiet_runs_alone(e, &only) && (only == NULL ||
	    quiet_count_word(sqlite3_sql(only), "from") == 0);
}

/* Whether every trigger that could fire is one of our own. */
static int
only_ours(struct engine *e, bool *only)
{
	int64_t others = 1;
	int rc;

	rc = engine_int(e, &others, "SELECT "
	    "EXISTS(SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger') OR "
	    "EXISTS(SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND "
	    QUIET_REPLICATED " AND NOT (" QUIET_OUR_NAME "))");
	*only = others == 0;
	return rc;
}

int
quiet_begin(struct engine *e, bool *quiet)
{
	bool on, only;
	int rc;

	*quiet = false;
	rc = quiet_switch(e, QUIET_ASK, &on);
	if (rc != SQLITE_OK || !on || !is_alone(e))
		return rc;
	rc = only_ours(e, &only);
	if (rc == SQLITE_OK && only) {
		rc = quiet_switch(e, 0, &on);
		*quiet = rc == SQLITE_OK;
	}
	return rc;
}

void
quiet_end(struct engine *e, bool quiet)
{
	bool on;

	if (quiet)
		quiet_switch(e, 1, &on);
}

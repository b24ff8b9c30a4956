// SPDX-License-Identifier: MPL-2.0
/* hook.c - see hook.h. */
#include "crdt/hook.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/quiet.h"

SQLITE_EXTENSION_INIT3

/* With a hook SQLite empties a table row by row, which is decided when the statement
 * is made. */
bool
hook_is_taken(struct engine *e)
{
	sqlite3_stmt *stmt;
	bool at_once = false;
	int rc = engine_prepare(e, &stmt, "EXPLAIN DELETE FROM main.crsql_master");

	while (rc == SQLITE_OK && !at_once && sqlite3_step(stmt) == SQLITE_ROW)
		at_once = strcmp(engine_column(stmt, 1, &rc), "Clear") == 0;
	return engine_finalize(stmt, rc) == SQLITE_OK && !at_once;
}

/* A row is given the value that it has: SQLite tells of that, and changes no page. */
int
hook_is_ours(struct engine *e, bool *ours)
{
	unsigned calls = e->capture->hook.calls;
	sqlite3_stmt *stmt;
	int rc;

	*ours = true;
	if (!e->has_storage)
		return SQLITE_OK;
	e->merging++;           /* it is not captured */
	rc = engine_cached(e, SLOT_PROBE, "UPDATE main.crsql_tbl SET hw = hw WHERE "
	    "id = (SELECT min(id) FROM main.crsql_tbl)", &stmt);
	if (rc == SQLITE_OK)
		rc = engine_run(e, stmt);
	e->merging--;
	/* without a table there is nothing to be told of */
	*ours = sqlite3_changes(e->db) == 0 || e->capture->hook.calls != calls;
	return rc;
}

/* Rows that a REPLACE pushes out are told of by a trigger before the row, which did
 * not work yet. */
static int
may_replace(struct engine *e, bool *may)
{
	sqlite3_stmt *stmt = NULL;
	int64_t any = 0;
	int rc;

	*may = false;
	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL)
		if (sqlite3_stmt_busy(stmt) && sqlite3_sql(stmt) != NULL)
			*may |= quiet_count_word(sqlite3_sql(stmt), "replace") > 0;
	rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM main.sqlite_schema WHERE "
	    "sql LIKE '%%replace%%' UNION ALL SELECT 1 FROM temp.sqlite_schema WHERE "
	    "sql LIKE '%%replace%%')");
	*may |= any != 0;
	return rc;
}

#define TAKEN "another hook took the place of the one that notes writes"

/* What waits goes before what is journalled. */
static int
fold_before_journal(struct engine *e)
{
	struct capture *c = e->capture;
	int rc;

	if (c->list.n == c->folded)
		return SQLITE_OK;
	rc = table_refresh(e);
	if (rc == SQLITE_OK && e->walks == 0)
		rc = tx_fold_within(e);
	if (rc == SQLITE_OK && c->list.n > c->folded)
		rc = engine_fail(e, SQLITE_ERROR, TAKEN ": commit or roll back before "
		    "more is written");
	return rc;
}

static void
turn_to_journal(struct engine *e)
{
	e->capture->installed = false;
	e->capture->by_journal = true;
	sqlite3_log(SQLITE_WARNING, TAKEN ": triggers note them now");
}

int
hook_check(struct engine *e)
{
	bool ours = true;
	int rc = e->capture->installed && e->capture->paused == 0 ?
	    hook_is_ours(e, &ours) : SQLITE_OK;

	if (rc == SQLITE_OK && !ours)
		turn_to_journal(e);
	return rc;
}

int
hook_keep(struct engine *e, const char *midst)
{
	bool ours = true;
	int rc = e->capture->installed ? hook_is_ours(e, &ours) : SQLITE_OK;

	return rc == SQLITE_OK && !ours ? engine_fail(e, SQLITE_ERROR, TAKEN ", in the "
	    "midst of %s", midst) : rc;
}

static int
was_taken(struct engine *e)
{
	bool may = false;
	int rc = fold_before_journal(e);

	if (rc != SQLITE_OK)
		return rc;
	turn_to_journal(e);
	rc = may_replace(e, &may);
	return rc == SQLITE_OK && may ? engine_fail(e, SQLITE_ERROR, TAKEN ", and what a "
	    "REPLACE replaced may be missed: triggers note them now, run the statement "
	    "once more") : rc;
}

int
hook_ask(struct engine *e)
{
	struct capture *c = e->capture;
	bool ours = true;
	int rc;

	if ((c->hook.called && c->hook.changes == sqlite3_total_changes(e->db)) ||
	    c->rc != SQLITE_OK || e->merging > 0 || e->sync_bit != 0 || e->finalized)
		return SQLITE_OK;
	if (c->by_journal)
		return e->tx.open ? fold_before_journal(e) : SQLITE_OK;
	if (!c->installed)
		return SQLITE_OK;
	rc = e->has_storage ? SQLITE_OK : tx_look(e);
	if (rc == SQLITE_OK)
		rc = hook_is_ours(e, &ours);
	return rc == SQLITE_OK && !ours ? was_taken(e) : rc;
}

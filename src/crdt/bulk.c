// SPDX-License-Identifier: MPL-2.0
/*
 * bulk.c - a transaction of many statements, with triggers off from the 65th on
 * (quiet.h): each pays for a statement journal that SQLite keeps because of our
 * triggers, which do nothing here.
 *
 * Triggers go off between two statements, or while one merges a change, if all there are, in every schema, are
 * ours, and come back with the end of the transaction.  A statement that
 * changes the schema has a journal of its own, by which its end is heard of:
 * triggers come back at once.  CREATE TRIGGER and ATTACH have none, so that the
 * triggers that stand there at the end are compared with what was written: where
 * one may have been missed the transaction fails.
 */
#include "crdt/quiet.h"

#include <string.h>

#include "crdt/capture.h"

SQLITE_EXTENSION_INIT3

enum { BULK_AFTER = 64, WRITTEN_MAX = 1 << 20, MAIN_AND_TEMP = 2 };

static struct bulk *
bulk_of(struct engine *e)
{
	return &e->capture->bulk;
}

void
bulk_init(struct engine *e, bool wanted)
{
	struct bulk *b = bulk_of(e);

	b->wanted = wanted;
	b->main = b->temp = -1;
	buf_init(&b->written, WRITTEN_MAX);
}

void
bulk_free(struct engine *e)
{
	buf_clear(&bulk_of(e)->written);
}

/* -- which triggers there are ------------------------------------------------ */

/* *same if the schemas are those that were looked at; notes them. */
static int
same_schemas(struct engine *e, bool *same)
{
	struct bulk *b = bulk_of(e);
	int64_t main = 0, temp = 0;
	int rc = engine_cached_int(e, SLOT_SCHEMA, "PRAGMA main.schema_version",
	    &main);

	if (rc == SQLITE_OK)
		rc = engine_cached_int(e, SLOT_TEMP_SCHEMA,
		    "PRAGMA temp.schema_version", &temp);
	*same = rc == SQLITE_OK && main == b->main && temp == b->temp;
	b->main = main;
	b->temp = temp;
	return rc;
}

static int
count_databases(struct engine *e, int64_t *n)
{
	return engine_int(e, n, "SELECT count(*) FROM pragma_database_list");
}

/* Calls f with the table of each trigger of a schema that is not ours. */
static int
each_foreign(struct engine *e, const char *schema,
    void (*f)(struct engine *e, const char *table, bool *hit), bool *hit)
{
	sqlite3_stmt *stmt;
	bool main = strcmp(schema, "main") == 0;
	int rc;

	rc = engine_prepare(e, &stmt, "SELECT tbl_name FROM \"%w\".sqlite_schema "
	    "WHERE type = 'trigger' %s", schema, !main ? "" : "AND NOT ("
	    QUIET_OUR_NAME " AND " QUIET_REPLICATED ")");
	while (rc == SQLITE_OK && !*hit && sqlite3_step(stmt) == SQLITE_ROW)
		f(e, engine_column(stmt, 0, &rc), hit);
	return engine_finalize(stmt, rc);
}

static int
each_foreign_everywhere(struct engine *e,
    void (*f)(struct engine *e, const char *table, bool *hit), bool *hit)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT name FROM pragma_database_list");

	while (rc == SQLITE_OK && !*hit && sqlite3_step(stmt) == SQLITE_ROW)
		rc = each_foreign(e, engine_column(stmt, 0, &rc), f, hit);
	return engine_finalize(stmt, rc);
}

static void
is_there(struct engine *e, const char *table, bool *hit)
{
	*hit = true;
}

/* *same if no trigger can have come since they were looked at.  Attached
 * databases have no version here: they are looked at anew. */
static int
same_triggers(struct engine *e, bool *same)
{
	struct bulk *b = bulk_of(e);
	int64_t databases = 0;
	int rc = same_schemas(e, same);

	if (rc == SQLITE_OK)
		rc = count_databases(e, &databases);
	*same = *same && databases == b->databases && databases <= MAIN_AND_TEMP;
	b->databases = databases;
	return rc;
}

/* *only if every trigger of the connection is one of ours. */
static int
only_ours(struct engine *e, bool *only)
{
	struct bulk *b = bulk_of(e);
	bool same, foreign = false;
	int rc = same_triggers(e, &same);

	if (rc == SQLITE_OK && !same) {
		rc = each_foreign_everywhere(e, is_there, &foreign);
		b->only_ours = rc == SQLITE_OK && !foreign;
	}
	*only = b->only_ours;
	return rc;
}

/* -- begin and end --------------------------------------------------------------- */

static void
bulk_begin(struct engine *e)
{
	struct bulk *b = bulk_of(e);
	bool on = false, only = false;

	/* what runs is the statement that is about to end */
	if (quiet_running(e) > 1 ||
	    quiet_switch(e, QUIET_ASK, &on) != SQLITE_OK || !on ||
	    only_ours(e, &only) != SQLITE_OK || !only)
		return;
	b->on = quiet_switch(e, 0, &on) == SQLITE_OK;
	buf_clear(&b->written);
	b->last = NULL;
}

void
bulk_stop(struct engine *e)
{
	bool on;

	if (bulk_of(e)->on)
		quiet_switch(e, 1, &on);
	bulk_of(e)->on = false;
}

void
bulk_end(struct engine *e)
{
	bulk_of(e)->statements = 0;
	if (bulk_of(e)->on && quiet_running(e) <= 1)
		bulk_stop(e);
}

/* No trigger asks for the hook meanwhile. */
static int
ask_for_hook(struct engine *e)
{
	return hook_keep(e, "a transaction of many statements: begin that anew, or set "
	    "bulk to 0 (crsql_config_set)");
}

void
bulk_statement_ended(struct engine *e)
{
	struct bulk *b = bulk_of(e);
	bool same;
	int rc;

	if (b->on) {
		if (same_schemas(e, &same) == SQLITE_OK && same)
			return;
		rc = ask_for_hook(e);
		if (rc != SQLITE_OK)
			e->capture->rc = rc;
		bulk_end(e);
	} else if (b->wanted && e->tx.open && !e->capture->by_journal &&
	    ++b->statements % BULK_AFTER == 0) {
		bulk_begin(e);
	}
}

/* True if all that runs is one INSERT of one row of VALUES: it opens no table any
 * more once it has come to us. */
static bool
runs_of_values(struct engine *e)
{
	sqlite3_stmt *stmt = NULL;
	const char *sql = NULL;

	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL)
		if (sqlite3_stmt_busy(stmt))
			sql = sqlite3_sql(stmt);
	if (sql == NULL || quiet_running(e) != 1 ||
	    quiet_count_word(sql, "select") != 0)
		return false;
	sql = strcasestr(sql, "values");
	return sql != NULL && quiet_count_word(sql, "(") == 1;
}

void
bulk_change_merged(struct engine *e)
{
	struct bulk *b = bulk_of(e);

	if (!b->on && b->wanted && e->tx.open && !e->capture->by_journal &&
	    ++b->statements % BULK_AFTER == 0 && runs_of_values(e))
		bulk_begin(e);
}

/* -- what was written meanwhile ---------------------------------------------------- */

static bool
was_written(const struct bulk *b, const char *name)
{
	const char *at = (const char *)b->written.data;
	const char *end = at + b->written.len;

	for (; at < end; at += strlen(at) + 1)
		if (sqlite3_stricmp(at, name) == 0)
			return true;
	return b->written.failed;
}

void
bulk_wrote(struct engine *e, const char *name)
{
	struct bulk *b = bulk_of(e);

	if (name == b->last)
		return;
	b->last = name;
	if (!was_written(b, name))
		buf_add(&b->written, name, strlen(name) + 1);
}

static void
may_be_missed(struct engine *e, const char *table, bool *hit)
{
	if (!was_written(bulk_of(e), table))
		return;
	*hit = true;
	engine_fail(e, SQLITE_ERROR, "a trigger on %s came in the midst of a "
	    "transaction that writes to it, and may not have run: make it in a "
	    "transaction of its own, or set bulk to 0 (crsql_config_set)", table);
}

int
bulk_check(struct engine *e)
{
	struct bulk *b = bulk_of(e);
	bool same, missed = false;
	int rc;

	if (!b->on)
		return SQLITE_OK;
	rc = ask_for_hook(e);
	if (rc == SQLITE_OK)
		rc = same_triggers(e, &same);
	if (rc == SQLITE_OK && !same) {
		b->main = -1;   /* looked at for what was written only */
		rc = each_foreign_everywhere(e, may_be_missed, &missed);
	}
	if (rc == SQLITE_OK && !missed)
		return rc;
	/* what runs would go on without the trigger */
	bulk_stop(e);
	return rc == SQLITE_OK ? SQLITE_ERROR : rc;
}

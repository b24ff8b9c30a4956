// SPDX-License-Identifier: MPL-2.0
/* triggers.c - see triggers.h; their text is in journal.c. */
#include "crdt/triggers.h"

#include "crdt/capture.h"
#include "crdt/journal.h"
#include "crdt/marker.h"
#include "crdt/resync.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

/* True if plain programs may write: their triggers are wanted. */
static int
plain_writers(struct engine *e, bool *wanted)
{
	int64_t on = 1;
	int rc = storage_setting(e, "plain-writers", &on);

	*wanted = on != 0;
	return rc;
}

/* The text of trigger i, "" if it is not wanted.  Of a table that is altered
 * the hook notes writes, if there is one. */
static int
text_of(struct engine *e, const struct table *t, int i, bool plain, char **out)
{
	bool hooked = t->lean && !e->capture->by_journal;

	if (i == JOURNAL_COLUMNS_TRIGGER && t->lean)
		return marker_sql(t, out);
	if (i == JOURNAL_COLUMNS_TRIGGER || !plain ||
	    (hooked && i < JOURNAL_NULL_TRIGGER))
		return journal_marker_sql(t, i, out);
	return journal_trigger_sql(e, t, i, out);
}

/* The text that trigger i must have, and whether one is there and has it. */
static int
look_at_trigger(struct engine *e, struct table *t, int i, bool plain,
    char **sql, int64_t *there, int64_t *same)
{
	const char *suffix = journal_trigger_suffix(i);
	int rc = text_of(e, t, i, plain, sql);

	*there = *same = 0;
	if (rc == SQLITE_OK)
		rc = engine_int(e, there, "SELECT 1 FROM main.sqlite_schema WHERE "
		    "type = 'trigger' AND name = '%q__crsql_%q'", t->name, suffix);
	if (rc == SQLITE_OK && *there)
		rc = engine_int(e, same, "SELECT sql = %Q FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND name = '%q__crsql_%q'", *sql, t->name,
		    suffix);
	return rc;
}

static int
check_trigger(struct engine *e, struct table *t, int i, bool plain)
{
	char *sql = NULL;
	int64_t same, there;
	int rc = look_at_trigger(e, t, i, plain, &sql, &there, &same);

	if (rc == SQLITE_OK && there && !same)
		rc = engine_exec(e, "DROP TRIGGER main.\"%w__crsql_%w\"", t->name,
		    journal_trigger_suffix(i));
	if (rc == SQLITE_OK && !same && *sql != '\0')
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

int
triggers_differ(struct engine *e, struct table *t, const char **suffix)
{
	int64_t same, there;
	bool wanted;
	char *sql;
	int i, rc = plain_writers(e, &wanted);

	*suffix = NULL;
	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK &&
	    *suffix == NULL; i++) {
		sql = NULL;
		rc = look_at_trigger(e, t, i, wanted, &sql, &there, &same);
		if (rc == SQLITE_OK && there != (*sql != '\0'))
			*suffix = journal_trigger_suffix(i);
		if (rc == SQLITE_OK && there && !same)
			*suffix = journal_trigger_suffix(i);
		sqlite3_free(sql);
	}
	return rc;
}

/* After a renaming triggers of ours go by the old name. */
static int
drop_misnamed(struct engine *e, const struct table *t)
{
	return engine_drop_each(e, "TRIGGER", "SELECT name FROM "
	    "main.sqlite_schema WHERE type = 'trigger' AND tbl_name = %Q AND "
	    "name LIKE '%%\\_\\_crsql\\__trig' ESCAPE '\\' AND "
	    "substr(name, 1, length(name) - 5) <> '%q__crsql_'", t->name, t->name);
}

int
triggers_make(struct engine *e, struct table *t)
{
	bool wanted;
	int i, rc = plain_writers(e, &wanted);

	if (rc == SQLITE_OK)
		rc = drop_misnamed(e, t);
	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK; i++)
		rc = check_trigger(e, t, i, wanted);
	return rc == SQLITE_OK ? resync_note_key(e, t) : rc;
}

int
triggers_lost(struct engine *e, const struct table *t, bool *lost)
{
	int64_t there = 0;
	int rc = engine_int(e, &there, "SELECT count(*) FROM main.sqlite_schema "
	    "WHERE type = 'trigger' AND tbl_name = %Q AND "
	    "name LIKE '%%\\_\\_crsql\\_itrig' ESCAPE '\\'", t->name);

	*lost = there == 0;
	return rc;
}

int
triggers_look(struct engine *e, struct table *t)
{
	char *sql;
	int64_t old = 0;
	int i, rc = journal_trigger_sql(e, t, JOURNAL_UPDATE_TRIGGER, &sql);

	if (rc == SQLITE_OK)
		rc = engine_int(e, &old, "SELECT sql <> %Q FROM "
		    "main.sqlite_schema WHERE type = 'trigger' AND "
		    "name = '%q__crsql_%q'", sql, t->noted,
		    journal_trigger_suffix(JOURNAL_UPDATE_TRIGGER));
	for (i = 0; i < t->ncol; i++)
		old |= t->col[i].unsaved;
	t->old_triggers = old != 0;
	sqlite3_free(sql);
	return rc;
}

int
triggers_look_for_fail(struct engine *e)
{
	int64_t any = 0;
	int rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM "
	    "main.sqlite_schema WHERE type = 'trigger' AND instr(lower(sql), 'fail'))");

	e->tables.may_fail = any != 0;
	return rc;
}

int
triggers_look_for_temp_fail(struct engine *e)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_TEMP_TRIGGERS, "SELECT 1 FROM "
	    "temp.sqlite_schema WHERE type = 'trigger' AND instr(lower(sql), 'fail')",
	    &stmt);

	if (rc != SQLITE_OK)
		return rc;
	e->temp_may_fail = sqlite3_step(stmt) == SQLITE_ROW;
	return engine_reset(stmt, rc);
}

int
triggers_drop(struct engine *e, const char *name)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK; i++)
		rc = engine_exec(e, "DROP TRIGGER IF EXISTS main.\"%w__crsql_%w\"", name,
		    journal_trigger_suffix(i));
	return rc;
}

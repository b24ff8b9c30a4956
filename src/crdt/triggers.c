// SPDX-License-Identifier: MPL-2.0
/* triggers.c - see triggers.h; their text is in journal_sql.c. */
#include "crdt/triggers.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/journal.h"
#include "crdt/marker.h"
#include "crdt/mask.h"
#include "crdt/resync.h"
#include "crdt/schema.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

/* True if plain programs may write, or others' writes are noted as theirs are:
 * their triggers are wanted. */
static int
journal_wanted(struct engine *e, bool *wanted)
{
	int64_t plain = 1, journal = 0;
	int rc = storage_setting(e, "plain-writers", &plain);

	if (rc == SQLITE_OK && plain == 0)
		rc = storage_setting(e, "capture", &journal);
	*wanted = plain != 0 || journal != 0;
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

/* The text that trigger i must have, and that which it has, NULL if it is not
 * there; valid as long as in. */
static int
look_at_trigger(struct engine *e, const struct table *t, int i, bool plain,
    const struct schema_table *in, char **sql, const char **now)
{
	char *name = sqlite3_mprintf("%s__crsql_%s", t->name,
	    journal_trigger_suffix(i));
	const struct schema_row *r;
	int rc = name ? text_of(e, t, i, plain, sql) : SQLITE_NOMEM;

	r = rc == SQLITE_OK ? schema_row(in, SCHEMA_TRIGGER, name) : NULL;
	*now = r != NULL ? r->sql : NULL;
	sqlite3_free(name);
	return rc;
}

/* A TEMP table of the same name is not meant: it would be without "main". */
static int
make_trigger(struct engine *e, const char *sql)
{
	static const char create[] = "CREATE TRIGGER ";

	return engine_exec(e, "%smain.%s", create, sql + strlen(create));
}

static int
check_trigger(struct engine *e, const struct table *t, int i, bool plain,
    const struct schema_table *in)
{
	char *sql = NULL;
	const char *now;
	int rc = look_at_trigger(e, t, i, plain, in, &sql, &now);
	bool same = rc == SQLITE_OK && now != NULL && strcmp(now, sql) == 0;

	if (rc == SQLITE_OK && now != NULL && !same)
		rc = engine_exec(e, "DROP TRIGGER main.\"%w__crsql_%w\"", t->name,
		    journal_trigger_suffix(i));
	if (rc == SQLITE_OK && !same && *sql != '\0')
		rc = make_trigger(e, sql);
	sqlite3_free(sql);
	return rc;
}

int
triggers_differ(struct engine *e, struct table *t, const struct schema *s,
    const char **suffix, bool *gone)
{
	const struct schema_table *in = schema_find(s, t->name);
	const char *now;
	bool wanted;
	char *sql;
	int i, rc = journal_wanted(e, &wanted);

	*suffix = NULL;
	*gone = false;
	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK &&
	    *suffix == NULL; i++) {
		sql = NULL;
		rc = look_at_trigger(e, t, i, wanted, in, &sql, &now);
		if (rc == SQLITE_OK && strcmp(now ? now : "", sql) != 0) {
			*suffix = journal_trigger_suffix(i);
			*gone = now == NULL;
		}
		sqlite3_free(sql);
	}
	return rc;
}

/* After a renaming triggers of ours go by the old name; that of another table
 * may be what t is called now. */
static int
drop_misnamed(struct engine *e, const struct table *t, struct schema *s)
{
	size_t len = strlen(t->name);
	const char *name;
	int i = 0, rc = SQLITE_OK;

	while (i < s->nstray && rc == SQLITE_OK) {
		name = s->stray[i].name;
		if (strcmp(s->stray[i].table, t->name) != 0 &&
		    ((size_t)schema_trigger_of(name) != len ||
		    strncmp(name, t->name, len) != 0)) {
			i++;
			continue;
		}
		rc = engine_exec(e, "DROP TRIGGER IF EXISTS main.\"%w\"", name);
		/* one that gets the name now is in its place */
		schema_remove_stray(s, i);
	}
	return rc;
}

static int
make_all(struct engine *e, struct table *t, struct schema *s)
{
	const struct schema_table *in = schema_find(s, t->name);
	bool wanted;
	int i, rc = journal_wanted(e, &wanted);

	if (rc == SQLITE_OK)
		rc = drop_misnamed(e, t, s);
	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK; i++)
		rc = check_trigger(e, t, i, wanted, in);
	if (rc == SQLITE_OK)
		t->bare = false;
	return rc == SQLITE_OK ? resync_note_key(e, t) : rc;
}

int
triggers_make(struct engine *e, struct table *t, struct schema *s)
{
	struct schema own;
	int rc;

	if (s != NULL)
		return make_all(e, t, s);
	rc = schema_read(e, t->name, SCHEMA_TEXTS, &own);
	if (rc == SQLITE_OK)
		rc = make_all(e, t, &own);
	schema_clear(&own);
	return rc;
}

/* Of its columns those that the update trigger's text does not name. */
static int
find_untold(struct engine *e, struct table *t, const char *sql)
{
	const char *at = NULL;
	int i, cid, rc = SQLITE_OK;

	for (i = 0; i < t->ncol && rc == SQLITE_OK; i++) {
		rc = mask_sql_cid(e, sql, &at, &t->col[i], &cid);
		t->col[i].untold = cid != t->col[i].cid;
	}
	return rc;
}

/* What a trigger does, which names columns; when it does is another build's matter. */
static bool
same_body(const char *a, const char *b)
{
	a = strstr(a, " BEGIN ");
	b = strstr(b, " BEGIN ");
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

int
triggers_look(struct engine *e, struct table *t, const struct schema_table *in)
{
	const struct schema_row *r = schema_own_trigger(in, t->noted,
	    journal_trigger_suffix(JOURNAL_UPDATE_TRIGGER));
	char *sql = NULL;
	int i, rc = journal_trigger_sql(e, t, JOURNAL_UPDATE_TRIGGER, &sql);

	if (rc == SQLITE_OK) {
		t->old_triggers = r != NULL && r->sql != NULL &&
		    !same_body(r->sql, sql);
		if (t->old_triggers)
			rc = find_untold(e, t, r->sql);
	}
	for (i = 0; i < t->ncol; i++)
		t->old_triggers = t->old_triggers || t->col[i].unsaved;
	sqlite3_free(sql);
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

// SPDX-License-Identifier: MPL-2.0
#include "crdt/crr.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/journal.h"
#include "crdt/log.h"
#include "crdt/lost.h"
#include "crdt/resync.h"

SQLITE_EXTENSION_INIT3

/* -- what a table must be (CRSQL 3.1) ------------------------------------------ */

static int
count(struct engine *e, int64_t *n, const char *what, const char *name)
{
	char *sql = sqlite3_mprintf(what, name);
	int rc;

	*n = 0;
	rc = sql ? engine_int(e, n, "%s", sql) : SQLITE_NOMEM;
	sqlite3_free(sql);
	return rc;
}

struct check {
	const char *query;      /* %Q is the table; the number of offences */
	const char *text;       /* %s is the table */
};

static const struct check checks[] = {
	{ "SELECT count(*) FROM pragma_index_list(%Q, 'main') "
	    "WHERE \"unique\" AND origin <> 'pk'",
	    "Table %s has unique indices besides"
	    "the primary key. This is not allowed for CRRs" },
	{ "SELECT count(*) = 0 FROM pragma_table_info(%Q, 'main') WHERE pk",
	    "Table %s has no primary key or primary key is nullable. CRRs must "
	    "have a non nullable primary key" },
	{ "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND "
	    "name = %Q AND sql LIKE '%%autoincrement%%'",
	    "%s has auto-increment primary keys. This is likely a mistake as two "
	    "concurrent nodes will assign unrelated rows the same primary key. "
	    "Either use a primary key that represents the identity of your row or "
	    "use a database friendly UUID such as UUIDv7" },
	{ "SELECT count(*) FROM pragma_foreign_key_list(%Q, 'main')",
	    "Table %s has checked foreign key constraints. CRRs may have foreign "
	    "keys but must not have checked foreign key constraints as they can be "
	    "violated by row level security or replication." },
	{ "SELECT count(*) FROM pragma_table_info(%Q, 'main') WHERE NOT pk AND "
	    "\"notnull\" AND dflt_value IS NULL",
	    "Table %s has a NOT NULL column without a DEFAULT VALUE. This is not "
	    "allowed as it prevents forwards and backwards compatibility between "
	    "schema versions. Make the column nullable or assign a default value "
	    "to it." },
	{ "SELECT count(*) FROM pragma_table_list(%Q) WHERE schema = 'main' AND wr",
	    "Table %s is WITHOUT ROWID: such tables can't be replicated" },
	{ "SELECT count(*) FROM pragma_index_list(%Q, 'main') l, "
	    "pragma_index_xinfo(l.name, 'main') x WHERE l.origin = 'pk' AND x.key "
	    "AND x.coll <> 'BINARY'",
	    "Table %s has a key column whose collation is not BINARY: rows could "
	    "not be told apart by their bytes" },
};

static int
check_table(struct engine *e, const char *name)
{
	char *text;
	int64_t n;
	size_t i;
	int rc = SQLITE_OK;

	if (sqlite3_strnicmp(name, "crsql_", 6) == 0 ||
	    sqlite3_strnicmp(name, "ddcp_", 5) == 0 ||
	    sqlite3_strnicmp(name, "sqlite_", 7) == 0)
		return engine_fail(e, SQLITE_ERROR, "Table %s is not replicated: names "
		    "that begin with crsql_, ddcp_ or sqlite_ are kept for bookkeeping",
		    name);

	for (i = 0; i < sizeof checks / sizeof *checks; i++) {
		rc = count(e, &n, checks[i].query, name);
		if (rc != SQLITE_OK)
			return rc;
		if (n == 0)
			continue;
		text = sqlite3_mprintf(checks[i].text, name);
		rc = engine_fail(e, SQLITE_ERROR, "%s", text ? text : "");
		sqlite3_free(text);
		return rc;
	}
	return SQLITE_OK;
}

/* -- triggers ---------------------------------------------------------------------- */

/* True if plain programs may write: their triggers are wanted. */
static int
plain_writers(struct engine *e, bool *wanted)
{
	int64_t on = 1;
	int rc = engine_int(e, &on, "SELECT value FROM crsql_master WHERE "
	    "key = 'config.plain-writers'");

	*wanted = on != 0;
	return rc;
}

static int
check_trigger(struct engine *e, struct table *t, int i, bool wanted)
{
	char *sql = wanted ? journal_trigger_sql(e, t, i)
	    : journal_marker_sql(t, i);
	const char *suffix = journal_trigger_suffix(i);
	int64_t same = 0, there = 0;
	int rc = sql ? SQLITE_OK : SQLITE_NOMEM;

	if (rc == SQLITE_OK)
		rc = engine_int(e, &there, "SELECT 1 FROM main.sqlite_schema WHERE "
		    "type = 'trigger' AND name = '%q__crsql_%q'", t->name, suffix);
	if (rc == SQLITE_OK && there)
		rc = engine_int(e, &same, "SELECT sql = %Q FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND name = '%q__crsql_%q'", sql, t->name,
		    suffix);
	if (rc == SQLITE_OK && there && !same)
		rc = engine_exec(e, "DROP TRIGGER main.\"%w__crsql_%w\"", t->name,
		    suffix);
	if (rc == SQLITE_OK && !same && *sql != '\0')
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

/* After a renaming triggers of ours go by the old name. */
static int
drop_misnamed(struct engine *e, const struct table *t)
{
	sqlite3_stmt *stmt;
	char *name;
	int rc;

	do {
		name = NULL;
		rc = engine_prepare(e, &stmt, "SELECT name FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND tbl_name = %Q AND "
		    "name LIKE '%%\\_\\_crsql\\__trig' ESCAPE '\\' AND "
		    "substr(name, 1, length(name) - 5) <> '%q__crsql_'", t->name,
		    t->name);
		if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
			name = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
		sqlite3_finalize(stmt);
		if (name != NULL)
			rc = engine_exec(e, "DROP TRIGGER main.\"%w\"", name);
		sqlite3_free(name);
	} while (name != NULL && rc == SQLITE_OK);
	return rc;
}

/* The key's columns, with what else decides how rows are named. */
static char *
key_shape(const struct table *t)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%c%d%Q", t->pk[i].affinity,
		    t->integer_key, t->pk[i].name);
	return sqlite3_str_finish(s);
}

static int
note_key(struct engine *e, const struct table *t)
{
	char *key = key_shape(t);
	int64_t same = 0;
	int rc = key ? engine_int(e, &same, "SELECT value = %Q FROM "
	    "crsql_master WHERE key = 'key.%d'", key, t->id) : SQLITE_NOMEM;

	if (rc == SQLITE_OK && !same)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_master "
		    "VALUES('key.%d', %Q)", t->id, key);
	sqlite3_free(key);
	return rc;
}

int
crr_make_triggers(struct engine *e, struct table *t)
{
	bool wanted;
	int i, rc = plain_writers(e, &wanted);

	if (rc == SQLITE_OK)
		rc = drop_misnamed(e, t);

	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK; i++)
		rc = check_trigger(e, t, i, wanted);
	return rc == SQLITE_OK ? note_key(e, t) : rc;
}

static int
has_lost_triggers(struct engine *e, const struct table *t, bool *lost)
{
	int64_t there = 0;
	int rc = engine_int(e, &there, "SELECT count(*) FROM main.sqlite_schema "
	    "WHERE type = 'trigger' AND tbl_name = %Q AND "
	    "name LIKE '%%\\_\\_crsql\\_itrig' ESCAPE '\\'", t->name);

	*lost = there == 0;
	return rc;
}

int
crr_look_at_triggers(struct engine *e, struct table *t)
{
	char *sql = journal_trigger_sql(e, t, JOURNAL_UPDATE_TRIGGER);
	int64_t old = 0;
	int i, rc = sql ? engine_int(e, &old, "SELECT sql <> %Q FROM "
	    "main.sqlite_schema WHERE type = 'trigger' AND name = '%q__crsql_%q'",
	    sql, t->noted, journal_trigger_suffix(JOURNAL_UPDATE_TRIGGER))
	    : SQLITE_NOMEM;

	for (i = 0; i < t->ncol; i++)
		old |= t->col[i].unsaved;
	t->old_triggers = old != 0;
	sqlite3_free(sql);
	return rc;
}

static int
drop_triggers(struct engine *e, const char *name)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < JOURNAL_NTRIGGERS && rc == SQLITE_OK; i++)
		rc = engine_exec(e, "DROP TRIGGER IF EXISTS main.\"%w__crsql_%w\"", name,
		    journal_trigger_suffix(i));
	return rc;
}

/* -- metadata ------------------------------------------------------------------------ */

static int
rename_metadata(struct engine *e, int id, const char *from, const char *to)
{
	int rc = engine_exec(e, "ALTER TABLE main.\"%w__crsql_meta\" RENAME TO "
	    "\"%w__crsql_meta\"; ALTER TABLE main.\"%w__crsql_dead\" RENAME TO "
	    "\"%w__crsql_dead\"; UPDATE crsql_tbl SET name = %Q WHERE id = %d",
	    from, to, from, to, to, id);

	return rc == SQLITE_OK ? lost_again(e, id, to) : rc;
}

/* SQLite takes triggers along when a table is renamed, under their old
 * names: by that the new name is known. */
int
crr_follow_schema(struct engine *e)
{
	sqlite3_stmt *stmt;
	char *name, *to;
	int id, rc;

	do {
		name = to = NULL;
		rc = engine_prepare(e, &stmt, "SELECT t.id, t.name, (SELECT g.tbl_name "
		    "FROM main.sqlite_schema g WHERE g.type = 'trigger' AND g.name = "
		    "t.name || '__crsql_itrig') FROM crsql_tbl t WHERE NOT EXISTS("
		    "SELECT 1 FROM main.sqlite_schema s WHERE s.type = 'table' AND "
		    "s.name = t.name AND EXISTS(SELECT 1 FROM "
		    "pragma_table_info(s.name, 'main') WHERE pk)) LIMIT 1");
		if (rc != SQLITE_OK)
			return rc;
		if (sqlite3_step(stmt) == SQLITE_ROW) {
			id = sqlite3_column_int(stmt, 0);
			name = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 1));
			if (sqlite3_column_type(stmt, 2) != SQLITE_NULL)
				to = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 2));
		}
		sqlite3_finalize(stmt);
		if (name != NULL)
			rc = to ? rename_metadata(e, id, name, to)
			    : lost_forget(e, id, name);
		sqlite3_free(to);
		sqlite3_free(name);
	} while (name != NULL && rc == SQLITE_OK);
	return rc;
}

/* -- making and unmaking ----------------------------------------------------------------- */

/* Rows that are there already are new changes of one transaction. */
static int
backfill(struct engine *e, struct table *t)
{
	struct log_row row = { .table = t->id, .own = true,
		.stride = t->ncol > 0 ? t->ncol : 1 };
	sqlite3_stmt *stmt;
	int64_t key, taken = 0;
	int rc = engine_prepare(e, &stmt, "SELECT %s FROM main.\"%w\" ORDER BY %s",
	    t->rowid, t->name, t->rowid);

	row.seq = e->tx.seq;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (row.n > 0 && key != row.key + row.n) {
			rc = log_append(e, &row);
			row.n = 0;
		}
		if (row.n == 0) {
			if (rc == SQLITE_OK)
				rc = tx_own_dbv(e, &row.dbv);
			row.key = key;
			row.seq = e->tx.seq + taken;
		}
		row.n++;
		taken += row.stride;
	}
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK && row.n > 0)
		rc = log_append(e, &row);
	e->tx.seq += taken;
	return rc;
}

static int
check_keys(struct engine *e, struct table *t)
{
	int64_t nulls = 0;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->npk && rc == SQLITE_OK && !t->integer_key; i++) {
		rc = engine_int(e, &nulls, "SELECT EXISTS(SELECT 1 FROM main.\"%w\" "
		    "WHERE \"%w\" IS NULL)", t->name, t->pk[i].name);
		if (rc == SQLITE_OK && nulls)
			rc = engine_fail(e, SQLITE_ERROR, "Table %s has a row whose key is "
			    "NULL: give it one first", t->name);
	}
	return rc;
}

/* The table becomes a replicated one; its metadata's tables are there. */
static int
enter(struct engine *e, const char *name)
{
	struct table *t;
	int64_t id = 0;
	/* numbers are not used twice: a table made again is another one */
	int rc = engine_exec(e, "INSERT INTO crsql_tbl(id, name) SELECT 1 + max("
	    "(SELECT coalesce(max(id), 0) FROM crsql_tbl), coalesce((SELECT "
	    "value FROM crsql_master WHERE key = 'last_table'), 0)), %Q;"
	    "INSERT OR REPLACE INTO crsql_master SELECT 'last_table', "
	    "max(id) FROM crsql_tbl", name);

	if (rc == SQLITE_OK)
		rc = engine_int(e, &id, "SELECT id FROM crsql_tbl WHERE name = %Q", name);
	if (rc == SQLITE_OK)
		rc = lost_again(e, id, name);
	/* columns that a table begins with have no birthday */
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT INTO crsql_col SELECT %lld, row_number() "
		    "OVER (ORDER BY cid) - 1, name, -9223372036854775807 - 1 FROM "
		    "pragma_table_xinfo(%Q, 'main') WHERE hidden = 0 AND NOT pk", id,
		    name);
	e->tables.schema_version = -1;
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	t = rc == SQLITE_OK ? table_find(e, name) : NULL;
	if (rc == SQLITE_OK && t == NULL)
		rc = engine_fail(e, SQLITE_ERROR, "table %s can't be replicated", name);
	if (rc == SQLITE_OK)
		rc = check_keys(e, t);
	if (rc == SQLITE_OK)
		rc = journal_ensure_columns(e, t->npk);
	if (rc == SQLITE_OK)
		rc = crr_make_triggers(e, t);
	return rc == SQLITE_OK ? backfill(e, t) : rc;
}

static int
make(struct engine *e, const char *name)
{
	bool lost;
	int rc = table_refresh(e);

	if (rc == SQLITE_OK && table_find(e, name) != NULL) {
		rc = has_lost_triggers(e, table_find(e, name), &lost);
		if (rc == SQLITE_OK && lost)
			rc = tx_begin_merge(e);
		return rc == SQLITE_OK && lost ? tx_fold(e) : rc;
	}
	if (rc == SQLITE_OK)
		rc = check_table(e, name);
	if (rc == SQLITE_OK)
		rc = storage_ensure(e);
	if (rc == SQLITE_OK)
		rc = tx_begin_merge(e);
	/* a table of that name that is gone, and was not yet missed */
	if (rc == SQLITE_OK)
		rc = crr_follow_schema(e);
	if (rc == SQLITE_OK)
		rc = lost_drop_metadata(e, name);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "CREATE TABLE main.\"%w__crsql_meta\"("
		    "key INTEGER PRIMARY KEY, m BLOB NOT NULL);"
		    "CREATE TABLE main.\"%w__crsql_dead\"(pk BLOB PRIMARY KEY, "
		    "m BLOB NOT NULL) WITHOUT ROWID;", name, name);
	return rc == SQLITE_OK ? enter(e, name) : rc;
}

/* Runs f in a savepoint: on failure nothing is left, and the caller's
 * transaction goes on. */
static int
in_savepoint(struct engine *e, int (*f)(struct engine *, const char *),
    const char *name)
{
	char *why;
	int rc = engine_exec(e, "SAVEPOINT crsql_crr");

	if (rc != SQLITE_OK)
		return rc;
	rc = f(e, name);
	if (rc == SQLITE_OK)
		return engine_exec(e, "RELEASE crsql_crr");
	why = sqlite3_mprintf("%s", engine_error(e));
	e->tables.schema_version = -1;
	engine_exec(e, "ROLLBACK TO crsql_crr");
	engine_exec(e, "RELEASE crsql_crr");
	engine_fail(e, rc, "%s", why ? why : "");
	sqlite3_free(why);
	return rc;
}

static int
renew(struct engine *e, const char *unused)
{
	int i, rc = tx_begin_merge(e);

	(void)unused;
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = crr_make_triggers(e, &e->tables.table[i]);
	return rc;
}

int
crr_renew_triggers(struct engine *e)
{
	return in_savepoint(e, renew, NULL);
}

int
crr_make(struct engine *e, const char *name)
{
	return in_savepoint(e, make, name);
}

static int
unmake(struct engine *e, const char *name)
{
	struct table *t;
	int id, rc = tx_begin_merge(e);

	t = rc == SQLITE_OK ? table_find(e, name) : NULL;
	if (t == NULL)
		return rc;
	id = t->id;
	rc = drop_triggers(e, name);
	engine_drop_statements(e);
	return rc == SQLITE_OK ? lost_forget(e, id, name) : rc;
}

int
crr_unmake(struct engine *e, const char *name)
{
	return in_savepoint(e, unmake, name);
}

/* -- tables made anew unseen ----------------------------------------------------------------- */

static int
key_has_changed(struct engine *e, const struct table *t, bool *changed)
{
	char *key = key_shape(t);
	int64_t n = 0;
	int rc = key ? engine_int(e, &n, "SELECT value <> %Q FROM crsql_master "
	    "WHERE key = 'key.%d'", key, t->id) : SQLITE_NOMEM;

	*changed = n != 0;
	sqlite3_free(key);
	return rc;
}

/* Another table of that name took the place of t: nothing that was known holds
 * for it.  One that can't be replicated is a plain one from now on. */
static int
replace(struct engine *e, struct table *t)
{
	char *name = sqlite3_mprintf("%s", t->name);
	int id = t->id, fits, rc;

	if (name == NULL)
		return SQLITE_NOMEM;
	fits = check_table(e, name);
	if (fits == SQLITE_OK)
		fits = check_keys(e, t);
	sqlite3_log(SQLITE_WARNING, fits == SQLITE_OK ? "table %s was dropped and "
	    "made anew: it is taken for another table, and its rows are new ones"
	    : "table %s was dropped and made anew, and is not replicated any more: "
	    "%s", name, engine_error(e));
	rc = fits == SQLITE_OK || fits == SQLITE_ERROR ?
	    lost_empty(e, id, t->noted) : fits;
	e->tables.schema_version = -1;
	if (rc == SQLITE_OK)
		rc = fits == SQLITE_OK ? enter(e, name) : table_refresh(e);
	sqlite3_free(name);
	return rc;
}

/* Those whose key is another one come first: what is noted of their rows can't
 * be read any more. */
static int
replace_rekeyed(struct engine *e, bool *lost)
{
	bool this, changed = false;
	int i, rc = SQLITE_OK;

	*lost = false;
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		rc = has_lost_triggers(e, &e->tables.table[i], &this);
		if (rc == SQLITE_OK && this)
			rc = key_has_changed(e, &e->tables.table[i], &changed);
		*lost |= this && !changed;
		if (rc != SQLITE_OK || !this || !changed)
			continue;
		rc = replace(e, &e->tables.table[i--]);
	}
	return rc;
}

static int
mend_rebuilt(struct engine *e, struct resync *r)
{
	struct table *t;
	bool lost, other = false;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		rc = has_lost_triggers(e, t, &lost);
		if (rc != SQLITE_OK || !lost)
			continue;
		rc = resync_compare(r, t, &other);
		if (rc == SQLITE_OK && other) {
			rc = replace(e, &e->tables.table[i--]);
			continue;
		}
		sqlite3_log(SQLITE_WARNING, "table %s had lost its triggers: rows "
		    "are compared by key, changes of values since then are not "
		    "known", t->name);
		if (rc == SQLITE_OK)
			rc = resync_table(r, t);
	}
	return rc;
}

int
crr_mend_rebuilt(struct engine *e)
{
	struct resync *r = NULL;
	bool lost, journal;
	int rc = replace_rekeyed(e, &lost);

	if (rc != SQLITE_OK || !lost)
		return rc;
	rc = journal_any(e, &journal);
	if (rc == SQLITE_OK)
		rc = resync_begin(e, journal, &r);
	if (rc == SQLITE_OK)
		rc = mend_rebuilt(e, r);
	resync_free(r);
	return rc;
}

/* -- SQL ------------------------------------------------------------------------------------ */

/* The name as the schema has it, sqlite3_malloc'ed; as given if it is not
 * there. */
static char *
real_name(struct engine *e, const char *given)
{
	sqlite3_stmt *stmt;
	char *name = NULL;

	if (engine_prepare(e, &stmt, "SELECT name FROM main.sqlite_schema WHERE "
	    "type = 'table' AND name = %Q COLLATE NOCASE", given) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		name = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return name ? name : sqlite3_mprintf("%s", given);
}

static void
as_crr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *given;
	char *name;
	int rc;

	if (argc == 0) {
		sqlite3_result_error(ctx, "Wrong number of args provided to "
		    "crsql_as_crr. Provide the schema \n          name and table name "
		    "or just the table name.", -1);
		return;
	}
	given = (const char *)sqlite3_value_text(argv[argc == 2 ? 1 : 0]);
	name = real_name(e, given ? given : "");
	rc = name ? crr_make(e, name) : SQLITE_NOMEM;
	sqlite3_free(name);
	if (rc == SQLITE_OK)
		sqlite3_result_text(ctx, "OK", 2, SQLITE_STATIC);
	else
		engine_result_error(e, ctx, rc);
}

static void
as_table(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *given = (const char *)sqlite3_value_text(argv[0]);
	char *name = real_name(e, given ? given : "");
	int rc = name ? crr_unmake(e, name) : SQLITE_NOMEM;

	(void)argc;
	sqlite3_free(name);
	if (rc != SQLITE_OK)
		engine_result_error(e, ctx, rc);
}

int
crr_register(struct engine *e)
{
	int rc = sqlite3_create_function(e->db, "crsql_as_crr", -1, SQLITE_UTF8, e,
	    as_crr, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_as_table", 1, SQLITE_UTF8, e,
		    as_table, NULL, NULL);
	return rc;
}

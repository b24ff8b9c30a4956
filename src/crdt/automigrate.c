// SPDX-License-Identifier: MPL-2.0
/*
 * automigrate.c - crsql_automigrate: the schema is built in an empty database in
 * memory, ours is brought to its shape (migrate.c), and then all of it is run
 * here, for what is new.
 */
#include <string.h>

#include "crdt/migrate.h"

SQLITE_EXTENSION_INIT3

int sqlite3_crsqlite_init(sqlite3 *db, char **why,
    const sqlite3_api_routines *api);

struct migration {
	const char *schema;     /* SQL */
	const char *cleanup;    /* SQL for the database in memory, or NULL */
};

/* -- the database in memory ------------------------------------------------------ */

/* With the extension, for a schema that uses its functions and modules. */
static int
open_empty(struct engine *e, sqlite3 **out)
{
	char *why = NULL;
	int rc = sqlite3_open_v2(":memory:", out, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_crsqlite_init(*out, &why, sqlite3_api);
	if (rc != SQLITE_OK)
		engine_fail(e, rc, "no database in memory: %s", why != NULL ? why :
		    sqlite3_errmsg(*out));
	sqlite3_free(why);
	return rc;
}

/* True if text, up to end, has the word, in either case. */
static bool
has_word(const char *text, const char *end, const char *word)
{
	int len = (int)strlen(word);

	for (; end - text >= len; text++)
		if (sqlite3_strnicmp(text, word, len) == 0)
			return true;
	return false;
}

/* What makes tables replicated has no part in their shape. */
static bool
is_left_out(sqlite3_stmt *stmt, const char *text, const char *end)
{
	return sqlite3_stmt_readonly(stmt) &&
	    (has_word(text, end, "crsql_as_crr") ||
	    has_word(text, end, "crsql_fract_as_ordered"));
}

static int
run(sqlite3_stmt *stmt)
{
	while (sqlite3_step(stmt) == SQLITE_ROW)
		;
	return sqlite3_reset(stmt);
}

/* Its statements one by one, as SQLite tells them apart. */
static int
build(struct engine *e, sqlite3 *db, const char *schema)
{
	sqlite3_stmt *stmt = NULL;
	const char *tail;
	int rc = SQLITE_OK;

	for (; rc == SQLITE_OK && *schema != '\0'; schema = tail) {
		tail = schema;
		rc = sqlite3_prepare_v2(db, schema, -1, &stmt, &tail);
		if (rc == SQLITE_OK && stmt != NULL &&
		    !is_left_out(stmt, schema, tail))
			rc = run(stmt);
		if (rc != SQLITE_OK)
			engine_fail(e, rc, "%s", sqlite3_errmsg(db));
		sqlite3_finalize(stmt);
		stmt = NULL;
		/* a COMMIT here would be one of the caller's transaction */
		if (rc == SQLITE_OK && !sqlite3_get_autocommit(db))
			rc = engine_fail(e, SQLITE_ERROR, "a schema to migrate to may "
			    "not begin a transaction");
	}
	return rc;
}

static int
check(struct engine *e, sqlite3 *db)
{
	int64_t n = 0;
	int rc = migrate_count(db, &n);

	/* taken at its word it would drop all */
	return rc == SQLITE_OK && n == 0 ? engine_fail(e, SQLITE_ERROR, "the "
	    "schema to migrate to has no table: nothing is changed") : rc;
}

static int
clean_up(struct engine *e, sqlite3 *db, const char *sql)
{
	int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_OK;

	return rc == SQLITE_OK ? rc :
	    engine_fail(e, rc, "%s", sqlite3_errmsg(db));
}

/* -- the migration ----------------------------------------------------------------- */

static const char *
name_of(int rc)
{
	static const char *const names[] = { "OK", "ERROR", "INTERNAL", "PERM",
		"ABORT", "BUSY", "LOCKED", "NOMEM", "READONLY", "INTERRUPT", "IOERR",
		"CORRUPT", "NOTFOUND", "FULL", "CANTOPEN", "PROTOCOL", "EMPTY",
		"SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "MISUSE", "NOLFS",
		"AUTH", "FORMAT", "RANGE", "NOTADB" };
	size_t i = (size_t)(rc & 0xFF);

	return i < sizeof names / sizeof *names ? names[i] : "ERROR";
}

/* The reason is told by SQLite's log: cr-sqlite's sentence has none. */
static int
apply(struct engine *e, const char *schema)
{
	int rc = sqlite3_exec(e->db, schema, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return engine_renew_undo(e);
	sqlite3_log(rc, "failed to apply the updated schema: %s",
	    sqlite3_errmsg(e->db));
	return engine_fail(e, rc, "failed to apply the updated schema %s",
	    name_of(rc));
}

static int
migrate(struct engine *e, const void *arg)
{
	const struct migration *m = arg;
	sqlite3 *db = NULL;
	int rc = open_empty(e, &db);

	if (rc == SQLITE_OK)
		rc = build(e, db, m->schema);
	if (rc == SQLITE_OK)
		rc = check(e, db);
	if (rc == SQLITE_OK)
		rc = migrate_tables(e, db);
	if (rc == SQLITE_OK)
		rc = clean_up(e, db, m->cleanup);
	sqlite3_close(db);
	return rc == SQLITE_OK ? apply(e, m->schema) : rc;
}

static void
automigrate(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	struct migration m = { "", NULL };
	int rc;

	if (argc == 0) {
		sqlite3_result_error(ctx, "Had no args. Expected a schema to migrate "
		    "to", -1);
		return;
	}
	if (sqlite3_value_type(argv[0]) != SQLITE_NULL)
		m.schema = (const char *)sqlite3_value_text(argv[0]);
	if (argc > 1)
		m.cleanup = (const char *)sqlite3_value_text(argv[1]);
	rc = m.schema ? engine_atomically(e, migrate, &m) : SQLITE_NOMEM;
	if (rc == SQLITE_OK) {
		sqlite3_result_text(ctx, "migration complete", -1, SQLITE_STATIC);
		return;
	}
	table_doubt(e);
	engine_result_error(e, ctx, rc);
}

int
automigrate_register(struct engine *e)
{
	return sqlite3_create_function(e->db, "crsql_automigrate", -1, SQLITE_UTF8 |
	    SQLITE_DIRECTONLY, e, automigrate, NULL, NULL);
}

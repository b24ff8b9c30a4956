// SPDX-License-Identifier: MPL-2.0
#include "store/schema.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

static const char tables[] =
    "CREATE TABLE ddcp_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE ddcp_own(n INTEGER PRIMARY KEY, site BLOB NOT NULL,"
    " incarnation BLOB NOT NULL, version INTEGER NOT NULL,"
    " token BLOB NOT NULL, lost INTEGER NOT NULL);"
    "CREATE TABLE ddcp_config(key TEXT PRIMARY KEY, value TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE ddcp_remote(id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE, key BLOB NOT NULL UNIQUE,"
    " place TEXT NOT NULL DEFAULT '', automerge INTEGER NOT NULL DEFAULT 1,"
    " contact_ms INTEGER NOT NULL DEFAULT 0, path TEXT NOT NULL DEFAULT '',"
    " error TEXT NOT NULL DEFAULT '', error_ms INTEGER NOT NULL DEFAULT 0,"
    " pulled INTEGER NOT NULL DEFAULT 0,"
    " fork_ms INTEGER NOT NULL DEFAULT 0, acked BLOB, holds BLOB);"
    "CREATE TABLE ddcp_knock(key BLOB PRIMARY KEY, place TEXT NOT NULL,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " count INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ddcp_table(name TEXT PRIMARY KEY, tbl INTEGER NOT NULL,"
    " vector INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ddcp_vector(id INTEGER NOT NULL, site BLOB NOT NULL,"
    " version INTEGER NOT NULL, token BLOB NOT NULL,"
    " PRIMARY KEY(id, site)) WITHOUT ROWID;"
    "CREATE TABLE ddcp_cursor(id INTEGER PRIMARY KEY,"
    " remote INTEGER NOT NULL, cursor BLOB NOT NULL);"
    "CREATE TABLE ddcp_cursor_table(remote INTEGER NOT NULL,"
    " name TEXT NOT NULL, tbl INTEGER NOT NULL, cursor INTEGER NOT NULL,"
    " PRIMARY KEY(remote, name)) WITHOUT ROWID;"
    "CREATE TABLE ddcp_site(site BLOB PRIMARY KEY, version INTEGER NOT NULL,"
    " token BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ddcp_split(site BLOB PRIMARY KEY, came INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE ddcp_other(remote INTEGER NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY(remote, name)) WITHOUT ROWID;"
    "INSERT INTO ddcp_meta VALUES('schema', 1);";

static int
exec(sqlite3 *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(db, rc, err);
}

int
schema_number(sqlite3 *db, int *number, struct err *err)
{
	int64_t n;
	bool any;
	int rc;

	*number = 0;
	rc = sql_has_table(db, "ddcp_meta", &any, err);
	if (rc != 0 || !any)
		return rc;
	rc = sql_int(db, &n, err,
	    "SELECT value FROM ddcp_meta WHERE key = 'schema'", "");
	if (rc != 0)
		return rc;
	if (n > SCHEMA_NUMBER)
		return err_set(err, E_FATAL, "use the newer ddcp", "the database "
		    "was written by a newer ddcp: its format is %d, this one "
		    "knows %d", (int)n, (int)SCHEMA_NUMBER);
	*number = (int)n;
	return 0;
}

int
schema_create(sqlite3 *db, struct err *err)
{
	return exec(db, tables, err);
}

/* One DROP statement a call, until nothing is left: triggers and views before
 * tables. */
static int
drop_next(sqlite3 *db, bool *more, struct err *err)
{
	sqlite3_stmt *stmt;
	char *sql = NULL;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT type, name FROM sqlite_schema "
	    "AS s WHERE type IN ('trigger', 'view', 'table') AND "
	    "(name LIKE 'ddcp\\_%' ESCAPE '\\' OR "
	    "name LIKE 'crsql\\_%' ESCAPE '\\' OR "
	    "name LIKE '%\\_\\_crsql\\_%' ESCAPE '\\' OR "
	    /* of an ordered table */
	    "(type = 'view' AND name LIKE '%\\_fractindex' ESCAPE '\\' AND EXISTS("
	    "SELECT 1 FROM sqlite_schema AS g WHERE g.type = 'trigger' AND "
	    "g.tbl_name = s.name AND g.name = s.name || '_insert_trig'))) "
	    "ORDER BY type = 'table', type = 'view', name LIMIT 1", "");
	if (rc == 0)
		rc = sql_next(stmt, more, err);
	if (rc == 0 && *more) {
		sql = sqlite3_mprintf("DROP %s \"%w\"",
		    sqlite3_column_text(stmt, 0), sqlite3_column_text(stmt, 1));
		rc = sql != NULL ? 0 : err_nomem(err);
	}
	sqlite3_finalize(stmt);
	if (sql != NULL)
		rc = exec(db, sql, err);
	sqlite3_free(sql);
	return rc;
}

int
schema_drop(sqlite3 *db, struct err *err)
{
	bool more = true;
	int rc = 0;

	while (rc == 0 && more)
		rc = drop_next(db, &more, err);
	return rc;
}

int
schema_get(sqlite3 *db, const char *key, void *out, size_t len, bool *found,
    struct err *err)
{
	return sql_bytes(db, out, len, found, err,
	    "SELECT value FROM ddcp_meta WHERE key = ?1", "t", key);
}

int
schema_get_text(sqlite3 *db, const char *key, char **out, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	*out = NULL;
	rc = sql_open(db, &stmt, err,
	    "SELECT CAST(value AS TEXT) FROM ddcp_meta WHERE key = ?1", "t", key);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0) {
		*out = strdup(row && sqlite3_column_text(stmt, 0) != NULL ?
		    (const char *)sqlite3_column_text(stmt, 0) : "");
		rc = *out != NULL ? 0 : err_nomem(err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
schema_set(sqlite3 *db, const char *key, const void *data, size_t len,
    struct err *err)
{
	return sql_do(db, err, "INSERT INTO ddcp_meta VALUES(?1, ?2) "
	    "ON CONFLICT(key) DO UPDATE SET value = excluded.value", "tb", key,
	    data, len);
}

int
schema_forget(sqlite3 *db, const char *key, struct err *err)
{
	return sql_do(db, err, "DELETE FROM ddcp_meta WHERE key = ?1", "t", key);
}

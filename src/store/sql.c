// SPDX-License-Identifier: MPL-2.0
#include "store/sql.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static int
disk_is_full(struct err *err)
{
	return err_set(err, E_FATAL, "free some space and try again; nothing was "
	    "lost", "the disk is full");
}

static int
is_locked(struct err *err)
{
	err_set(err, E_UNREACHABLE, "try again, or wait longer with --timeout",
	    "the database is locked by another program");
	if (err != NULL)
		err->locked = true;
	return E_UNREACHABLE;
}

/* SQLite calls it I/O errors where a file beside the database can't grow. */
static bool
lacks_space(sqlite3 *db)
{
	int system;

	if (db == NULL)
		return false;
	system = sqlite3_system_errno(db);
	return system == ENOSPC || system == EDQUOT
	    || sqlite3_extended_errcode(db) == SQLITE_IOERR_SHMSIZE;
}

int
sql_fail(sqlite3 *db, int rc, struct err *err)
{
	const char *text = db != NULL ? sqlite3_errmsg(db) :
	    sqlite3_errstr(rc);

	switch (rc & 0xFF) {
	case SQLITE_NOMEM:
		return err_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:   /* of a WAL, for longer than SQLite tries */
		return is_locked(err);
	case SQLITE_NOTADB:
		return err_set(err, E_FATAL, "name the file of a database, or one "
		    "that is still to be made",
		    "the file is no database");
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return err_set(err, E_FATAL, "check the permissions of the file "
		    "and of its directory", "the database can't be written: it "
		    "is read-only");
	case SQLITE_FULL:
		return disk_is_full(err);
	case SQLITE_CORRUPT:
		return err_set(err, E_FATAL, "look with PRAGMA integrity_check, "
		    "and restore a backup", "the database is damaged: %s", text);
	case SQLITE_CANTOPEN:
		return err_set(err, E_FATAL, "check the permissions of the file "
		    "and of its directory", "the database can't be opened");
	case SQLITE_IOERR:
		if (lacks_space(db))
			return disk_is_full(err);
		return err_set(err, E_FATAL, "check the disk",
		    "reading or writing the database failed: %s", text);
	default:
		if (db != NULL && sqlite3_extended_errcode(db) == SQL_HORIZON)
			return err_set(err, E_HORIZON, "who did not take part in "
			    "all of it needs a fresh copy", "%s", text);
		if (db != NULL && sqlite3_extended_errcode(db) ==
		    SQL_FULL_OF_CONFLICTS)
			return err_set(err, E_HELD, "look at them with \"ddcp "
			    "conflicts\", settle them with \"ddcp resolve\"; \"ddcp "
			    "resolve --all --winner\" leaves all as they are", "%s",
			    text);
		return err_set(err, E_FATAL, NULL, "%s", text);
	}
}

static int
bind_all(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	const void *data;
	int i, rc = SQLITE_OK;

	for (i = 1; *types != '\0' && rc == SQLITE_OK; types++, i++) {
		switch (*types) {
		case 'i':
			rc = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
			break;
		case 't':
			rc = sqlite3_bind_text(stmt, i,
			    va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		default:
			data = va_arg(ap, const void *);
			rc = sqlite3_bind_blob64(stmt, i, data,
			    va_arg(ap, size_t), SQLITE_STATIC);
			break;
		}
	}
	return rc;
}

static int
open_list(sqlite3 *db, sqlite3_stmt **out, struct err *err, const char *sql,
    const char *types, va_list ap)
{
	int rc;

	*out = NULL;
	rc = sqlite3_prepare_v2(db, sql, -1, out, NULL);
	if (rc == SQLITE_OK)
		rc = bind_all(*out, types, ap);
	return rc == SQLITE_OK ? 0 : sql_fail(db, rc, err);
}

int
sql_open(sqlite3 *db, sqlite3_stmt **out, struct err *err, const char *sql,
    const char *types, ...)
{
	va_list ap;
	int rc;

	va_start(ap, types);
	rc = open_list(db, out, err, sql, types, ap);
	va_end(ap);
	return rc;
}

int
sql_next(sqlite3_stmt *stmt, bool *row, struct err *err)
{
	int rc = sqlite3_step(stmt);

	*row = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return 0;
	return sql_fail(sqlite3_db_handle(stmt), rc, err);
}

int
sql_do(sqlite3 *db, struct err *err, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt;
	bool row = true;
	va_list ap;
	int rc;

	va_start(ap, types);
	rc = open_list(db, &stmt, err, sql, types, ap);
	va_end(ap);
	while (rc == 0 && row)
		rc = sql_next(stmt, &row, err);
	sqlite3_finalize(stmt);
	return rc;
}

int
sql_int(sqlite3 *db, int64_t *out, struct err *err, const char *sql,
    const char *types, ...)
{
	sqlite3_stmt *stmt;
	bool row = false;
	va_list ap;
	int rc;

	*out = 0;
	va_start(ap, types);
	rc = open_list(db, &stmt, err, sql, types, ap);
	va_end(ap);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row)
		*out = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc;
}

/* Asked often: by no statement, which would have to be parsed. */
int
sql_has_table(sqlite3 *db, const char *name, bool *has, struct err *err)
{
	int rc = sqlite3_table_column_metadata(db, "main", name, NULL, NULL,
	    NULL, NULL, NULL, NULL);

	*has = rc == SQLITE_OK;
	/* SQLITE_ERROR is its answer where there is none, or a view */
	return rc == SQLITE_OK || rc == SQLITE_ERROR ? 0 : sql_fail(db, rc, err);
}

int
sql_bytes(sqlite3 *db, void *out, size_t len, bool *found, struct err *err,
    const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt;
	bool row = false;
	va_list ap;
	int rc;

	memset(out, 0, len);
	va_start(ap, types);
	rc = open_list(db, &stmt, err, sql, types, ap);
	va_end(ap);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	*found = row && sql_column(stmt, 0, out, len);
	sqlite3_finalize(stmt);
	return rc;
}

bool
sql_column(sqlite3_stmt *stmt, int i, void *out, size_t len)
{
	/* in a UTF-16 database the bytes of a text are not UTF-8 */
	const void *data = sqlite3_column_type(stmt, i) == SQLITE_TEXT ?
	    sqlite3_column_text(stmt, i) : sqlite3_column_blob(stmt, i);

	if (data == NULL || (size_t)sqlite3_column_bytes(stmt, i) != len) {
		memset(out, 0, len);
		return false;
	}
	memcpy(out, data, len);
	return true;
}

void
sql_column_text(sqlite3_stmt *stmt, int i, char *out, size_t max)
{
	const void *data = sqlite3_column_text(stmt, i);
	size_t len = data != NULL ? strnlen(data, max - 1) : 0;

	if (len > 0)
		memcpy(out, data, len);
	out[len] = '\0';
}

/* Without memory there is no saying ROLLBACK: it is said beforehand. */
static const char kept_rollback[] = "ROLLBACK -- kept";

static sqlite3_stmt *
find_kept(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	const char *sql;

	while ((stmt = sqlite3_next_stmt(db, stmt)) != NULL) {
		/* an open BLOB, as FTS5 and R-Tree have them, has no text */
		sql = sqlite3_sql(stmt);
		if (sql != NULL && strcmp(sql, kept_rollback) == 0)
			break;
	}
	return stmt;
}

static int
begin(sqlite3 *db, const char *sql, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	if (!sqlite3_get_autocommit(db))
		return err_set(err, E_USAGE, "end it first", "a transaction is "
		    "open on this handle");
	rc = sql_open(db, &stmt, err, kept_rollback, "");
	if (rc == 0)
		rc = sql_do(db, err, sql, "");
	if (rc != 0)
		sqlite3_finalize(stmt);
	return rc;
}

int
sql_begin(sqlite3 *db, struct err *err)
{
	return begin(db, "BEGIN IMMEDIATE", err);
}

int
sql_begin_reading(sqlite3 *db, struct err *err)
{
	return begin(db, "BEGIN", err);
}

/* Some failures have rolled back by themselves. */
void
sql_rollback(sqlite3 *db)
{
	sqlite3_stmt *kept = find_kept(db);

	if (!sqlite3_get_autocommit(db) && kept != NULL)
		sqlite3_step(kept);
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_finalize(kept);
}

int
sql_end(sqlite3 *db, int rc, struct err *err)
{
	if (rc == 0)
		rc = sql_do(db, err, "COMMIT", "");
	sql_rollback(db);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/* engine.c - statements, errors: what every file of the engine needs. */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/capture.h"

SQLITE_EXTENSION_INIT3

int
engine_fail(struct engine *e, int rc, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	sqlite3_free(e->error);
	e->error = text;
	return rc;
}

const char *
engine_error(struct engine *e)
{
	return e->error != NULL ? e->error : sqlite3_errmsg(e->db);
}

void
engine_result_error(struct engine *e, sqlite3_context *ctx, int rc)
{
	sqlite3_result_error(ctx, engine_error(e), -1);
	sqlite3_result_error_code(ctx, rc);
	sqlite3_free(e->error);
	e->error = NULL;
}

static int
prepare_text(struct engine *e, sqlite3_stmt **out, const char *sql)
{
	int rc;

	*out = NULL;
	if (sql == NULL)
		return SQLITE_NOMEM;
	rc = sqlite3_prepare_v3(e->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out,
	    NULL);
	if (rc != SQLITE_OK)
		engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
	return rc;
}

int
engine_prepare(struct engine *e, sqlite3_stmt **out, const char *fmt, ...)
{
	va_list ap;
	char *sql;
	int rc;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rc = prepare_text(e, out, sql);
	sqlite3_free(sql);
	return rc;
}

/* Some of those that change a schema end what is prepared. */
static bool
may_end_undo(const char *sql)
{
	return sqlite3_strnicmp(sql, "CREATE", 6) == 0 ||
	    sqlite3_strnicmp(sql, "DROP", 4) == 0 ||
	    sqlite3_strnicmp(sql, "ALTER", 5) == 0;
}

/* The first statement; *rest is what stands behind it. */
static int
exec_one(struct engine *e, const char *sql, const char **rest)
{
	sqlite3_stmt *stmt;
	int rc;

	while (*sql == ' ')
		sql++;
	rc = sqlite3_prepare_v2(e->db, sql, -1, &stmt, rest);
	if (rc == SQLITE_OK) {
		while (sqlite3_step(stmt) == SQLITE_ROW)
			;
		rc = sqlite3_finalize(stmt);
	}
	if (rc != SQLITE_OK)
		return engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
	if (e->undo != NULL && may_end_undo(sql))
		rc = engine_renew_undo(e);
	return rc;
}

int
engine_exec(struct engine *e, const char *fmt, ...)
{
	const char *at;
	va_list ap;
	char *sql;
	int rc;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rc = sql != NULL ? SQLITE_OK : engine_fail(e, SQLITE_NOMEM,
	    "out of memory");
	for (at = sql; rc == SQLITE_OK && *at != '\0'; )
		rc = exec_one(e, at, &at);
	sqlite3_free(sql);
	return rc;
}

/* The first name that is left, NULL if there is none. */
static int
first_name(struct engine *e, const char *sql, char **name)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "%s", sql);

	*name = NULL;
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = engine_copy(stmt, 0, name);
	return engine_finalize(stmt, rc);
}

int
engine_drop_each(struct engine *e, const char *type, const char *fmt, ...)
{
	va_list ap;
	char *sql, *name;
	int rc;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rc = sql ? SQLITE_OK : SQLITE_NOMEM;
	do {
		name = NULL;
		if (rc == SQLITE_OK)
			rc = first_name(e, sql, &name);
		if (rc == SQLITE_OK && name != NULL)
			rc = engine_exec(e, "DROP %s main.\"%w\"", type, name);
		sqlite3_free(name);
	} while (name != NULL && rc == SQLITE_OK);
	sqlite3_free(sql);
	return rc;
}

int
engine_run(struct engine *e, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		sqlite3_reset(stmt);
		return SQLITE_OK;
	}
	engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
	rc = sqlite3_reset(stmt);
	return rc != SQLITE_OK ? rc : SQLITE_ERROR;
}

/* FNV-1a. */
static uint32_t
hash_text(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

/* What a PRAGMA answers may be fixed when it is prepared. */
static bool
may_be_kept(const struct engine *e, const char *sql)
{
	return e->watched && strncmp(sql, "SELECT", 6) == 0;
}

/* The kept statement of that text, made if there is none.  If it can't be kept,
 * or another one runs in its place, *own is true: it is the caller's to
 * finalise. */
static int
by_text(struct engine *e, const char *sql, sqlite3_stmt **out, bool *own)
{
	const size_t places = sizeof e->cache.by_text / sizeof *e->cache.by_text;
	sqlite3_stmt **kept;
	int rc = SQLITE_OK;

	*out = NULL;
	*own = false;
	if (sql == NULL)
		return SQLITE_NOMEM;
	kept = &e->cache.by_text[hash_text(sql) % places];
	*own = !may_be_kept(e, sql) || sqlite3_stmt_busy(*kept);
	if (*own)
		return prepare_text(e, out, sql);
	if (*kept == NULL || strcmp(sqlite3_sql(*kept), sql) != 0) {
		sqlite3_finalize(*kept);
		rc = prepare_text(e, kept, sql);
	}
	*out = *kept;
	return rc;
}

int
engine_int(struct engine *e, int64_t *out, const char *fmt, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;
	char *sql;
	bool own;
	int rc;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rc = by_text(e, sql, &stmt, &own);
	sqlite3_free(sql);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW)
			*out = sqlite3_column_int64(stmt, 0);
		else if (rc != SQLITE_DONE)
			engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
		rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
	}
	if (own)
		sqlite3_finalize(stmt);
	else
		sqlite3_reset(stmt);
	return rc;
}

int
engine_text(sqlite3_str *s, int rc, char **out)
{
	if (rc == SQLITE_OK)
		rc = sqlite3_str_errcode(s);
	*out = sqlite3_str_finish(s);
	if (rc == SQLITE_OK && *out == NULL)
		*out = sqlite3_mprintf("");
	if (rc != SQLITE_OK) {
		sqlite3_free(*out);
		*out = NULL;
	}
	return rc == SQLITE_OK && *out == NULL ? SQLITE_NOMEM : rc;
}

int
engine_prepare_built(struct engine *e, sqlite3_str *s, sqlite3_stmt **out)
{
	char *sql;
	int rc = engine_text(s, SQLITE_OK, &sql);

	*out = NULL;
	if (rc == SQLITE_OK)
		rc = prepare_text(e, out, sql);
	sqlite3_free(sql);
	return rc;
}

const char *
engine_column(sqlite3_stmt *stmt, int i, int *rc)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	if (text == NULL)
		*rc = SQLITE_NOMEM;
	return text != NULL ? text : "";
}

int
engine_copy(sqlite3_stmt *stmt, int i, char **out)
{
	int rc = SQLITE_OK;
	const char *text = engine_column(stmt, i, &rc);

	*out = rc == SQLITE_OK ? sqlite3_mprintf("%s", text) : NULL;
	return *out != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

int
engine_finalize(sqlite3_stmt *stmt, int rc)
{
	int last = sqlite3_finalize(stmt);

	return rc == SQLITE_OK ? last : rc;
}

int
engine_reset(sqlite3_stmt *stmt, int rc)
{
	int last = sqlite3_reset(stmt);

	return rc == SQLITE_OK ? last : rc;
}

int
engine_cached(struct engine *e, enum engine_slot slot, const char *sql,
    sqlite3_stmt **out)
{
	sqlite3_stmt **kept = &e->cache.stmt[slot];
	int rc = SQLITE_OK;

	if (*kept == NULL)
		rc = prepare_text(e, kept, sql);
	else
		sqlite3_reset(*kept);
	*out = *kept;
	return rc;
}

int
engine_borrow(struct engine *e, enum engine_slot slot, const char *sql,
    sqlite3_stmt **out)
{
	int rc = engine_cached(e, slot, sql, out);

	e->cache.stmt[slot] = NULL;
	return rc;
}

void
engine_keep(sqlite3_stmt **place, sqlite3_stmt *stmt)
{
	if (*place != NULL || stmt == NULL) {
		sqlite3_finalize(stmt);
		return;
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	*place = stmt;
}

void
engine_give_back(struct engine *e, enum engine_slot slot, sqlite3_stmt *stmt)
{
	engine_keep(&e->cache.stmt[slot], stmt);
}

int
engine_cached_int(struct engine *e, enum engine_slot slot, const char *sql,
    int64_t *out)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, slot, sql, &stmt);

	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	return engine_reset(stmt, rc);
}

void
engine_drop_cached(struct engine *e)
{
	size_t i;

	for (i = 0; i < sizeof e->cache.stmt / sizeof *e->cache.stmt; i++) {
		sqlite3_finalize(e->cache.stmt[i]);
		e->cache.stmt[i] = NULL;
	}
	for (i = 0; i < sizeof e->cache.by_text / sizeof *e->cache.by_text; i++) {
		/* one that runs asked for what dropped them */
		if (sqlite3_stmt_busy(e->cache.by_text[i]))
			continue;
		sqlite3_finalize(e->cache.by_text[i]);
		e->cache.by_text[i] = NULL;
	}
}

void
engine_drop_statements(struct engine *e)
{
	engine_drop_cached(e);
	table_forget_all(e);
}

int
engine_writable(struct engine *e, bool *writable)
{
	int64_t query_only = 0;
	int rc = SQLITE_OK;

	*writable = !e->readonly && sqlite3_db_readonly(e->db, "main") == 0;
	if (*writable)
		rc = engine_int(e, &query_only, "PRAGMA query_only");
	*writable = *writable && rc == SQLITE_OK && query_only == 0;
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * check.c - crsql_check: reads all that the engine keeps and says what is wrong
 * with it.
 *
 *     SELECT "table", key, what FROM crsql_check;         -- no rows: all is well
 *
 * Only reads, but for the fold that every reader begins with, and keeps nothing
 * but the row at hand.  What waits for a fold is nobody's fault: while anything
 * does, rows are not held against the log.  What SQLite itself keeps (order,
 * uniqueness) is PRAGMA integrity_check's.
 */
#include "crdt/check.h"

#include <stdarg.h>
#include <string.h>

#include "crdt/journal.h"
#include "crdt/lost.h"
#include "crdt/storage.h"
#include "crdt/vtab.h"

SQLITE_EXTENSION_INIT3

bool
check_is_damage(int rc)
{
	int code = rc & 0xFF;

	return code == SQLITE_ERROR || code == SQLITE_CORRUPT ||
	    code == SQLITE_NOTADB || code == SQLITE_MISMATCH ||
	    code == SQLITE_CONSTRAINT;
}

static void
forget(struct check *c)
{
	sqlite3_free(c->table);
	sqlite3_free(c->what);
	sqlite3_value_free(c->key);
	c->table = c->what = NULL;
	c->key = NULL;
	c->mended = false;
}

int
check_say(struct check *c, const char *table, sqlite3_stmt *stmt, int key,
    const char *fmt, ...)
{
	va_list ap;

	if (c->what != NULL)
		return SQLITE_OK;
	va_start(ap, fmt);
	c->what = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	if (table != NULL)
		c->table = sqlite3_mprintf("%s", table);
	if (stmt != NULL)
		c->key = sqlite3_value_dup(sqlite3_column_value(stmt, key));
	return c->what == NULL || (table != NULL && c->table == NULL) ||
	    (stmt != NULL && c->key == NULL) ? SQLITE_NOMEM : SQLITE_OK;
}

/* -- parts that are a query: table, key, what ---------------------------------- */

static const char sites[] =
    "SELECT NULL, ordinal, 'a site''s id, key or incarnation has another length' "
    "FROM crsql_site_id WHERE typeof(site_id) <> 'blob' OR length(site_id) <> 16 "
    "OR NOT (public_key IS NULL OR (typeof(public_key) = 'blob' AND "
    "length(public_key) = 32)) OR NOT (incarnation IS NULL OR "
    "(typeof(incarnation) = 'blob' AND length(incarnation) = 8)) "
    "UNION ALL SELECT NULL, 0, 'crsql_site_id has no site 0' WHERE NOT EXISTS("
    "SELECT 1 FROM crsql_site_id WHERE ordinal = 0)";

static const char settings[] =
    "SELECT NULL, NULL, 'crsql_master has no log_id of 8 bytes' WHERE NOT EXISTS("
    "SELECT 1 FROM crsql_master WHERE key = 'log_id' AND typeof(value) = 'blob' "
    "AND length(value) = 8)";

/* The newest own transaction is at the head, or noted (R15). */
static const char own[] =
    "SELECT NULL, first_dbv, 'crsql_me names a site that is not there' FROM "
    "crsql_me WHERE ordinal NOT IN (SELECT ordinal FROM crsql_site_id) "
    "UNION ALL SELECT NULL, first_dbv, 'crsql_me has a version without its token' "
    "FROM crsql_me WHERE (sver IS NULL) <> (token IS NULL) OR "
    "(token IS NOT NULL AND (typeof(token) <> 'blob' OR length(token) <> 8)) "
    "UNION ALL SELECT NULL, m.first_dbv, 'crsql_me has another token than the "
    "log' FROM crsql_me m JOIN crsql_log l ON l.dbv = m.sver AND l.pos = 0 AND "
    "l.site IS NULL WHERE substr(l.hdr, 7, 8) IS NOT m.token "
    "UNION ALL SELECT NULL, first_dbv, 'crsql_me does not have the newest own "
    "version' FROM crsql_me m WHERE first_dbv = (SELECT max(first_dbv) FROM "
    "crsql_me) AND (SELECT site IS NOT NULL FROM crsql_log WHERE pos = 0 ORDER BY "
    "dbv DESC LIMIT 1) AND (SELECT dbv FROM crsql_log WHERE pos = 0 AND site IS "
    "NULL ORDER BY dbv DESC LIMIT 1) > max(coalesce(sver, 0), first_dbv - 1) "
    "UNION ALL SELECT NULL, NULL, 'crsql_me has no site for the log''s first own "
    "transaction' WHERE (SELECT min(dbv) FROM crsql_log WHERE site IS NULL) < "
    "coalesce((SELECT min(first_dbv) FROM crsql_me), 9223372036854775807)";

static const char seen[] =
    "SELECT NULL, site, 'crsql_seen names a site that is not there' FROM "
    "crsql_seen WHERE site NOT IN (SELECT ordinal FROM crsql_site_id) OR other "
    "NOT IN (SELECT ordinal FROM crsql_site_id) "
    "UNION ALL SELECT NULL, site, 'crsql_seen has a version that is none' FROM "
    "crsql_seen WHERE typeof(sver) <> 'integer' OR typeof(upto) <> 'integer' OR "
    "sver < 0 OR upto < 0";

static const char tables[] =
    "SELECT name, id, 'the table''s number is above the last one given' FROM "
    "crsql_tbl WHERE id > coalesce((SELECT value FROM crsql_master WHERE key = "
    "'last_table'), 0) "
    "UNION ALL SELECT name, id, 'the table''s highest key is no key' FROM "
    "crsql_tbl WHERE hw IS NOT NULL AND typeof(hw) <> 'integer' "
    "UNION ALL SELECT NULL, tbl, 'a column of a table that is not there' FROM "
    "crsql_col WHERE tbl NOT IN (SELECT id FROM crsql_tbl) "
    "UNION ALL SELECT NULL, tbl, 'a column''s old name of a table that is not "
    "there' FROM crsql_was WHERE tbl NOT IN (SELECT id FROM crsql_tbl)";

static const char journal[] =
    "SELECT (SELECT name FROM crsql_tbl t WHERE t.id = w >> 3), j.id, "
    "'the journal has a write that can''t be read' FROM crsql_j j WHERE "
    "typeof(w) <> 'integer' OR w & 7 NOT BETWEEN 1 AND 6 OR NOT(typeof(key) = "
    "'integer' OR (key IS NULL AND pk IS NOT NULL AND w & 7 < 5)) OR (mask IS NOT NULL AND typeof(mask) <> 'integer' AND NOT (w & 7 "
    "= 2 AND typeof(mask) = 'text')) OR "
    "(w & 7 IN (5, 6) AND mask IS NULL) OR w >> 3 NOT IN (SELECT id FROM "
    "crsql_tbl)";

static const char forgotten[] =
    "SELECT NULL, site, 'crsql_horizon names a site that is not there' FROM "
    "crsql_horizon WHERE site NOT IN (SELECT ordinal FROM crsql_site_id) "
    "UNION ALL SELECT NULL, site, 'crsql_horizon has a version that is none' FROM "
    "crsql_horizon WHERE typeof(version) <> 'integer' OR version < 1 "
    "UNION ALL SELECT NULL, tbl, 'crsql_horizon names a table that is not there' "
    "FROM crsql_horizon WHERE tbl NOT IN (SELECT id FROM crsql_tbl) "
    "UNION ALL SELECT NULL, NULL, 'crsql_master has no note of what was forgotten' "
    "WHERE EXISTS(SELECT 1 FROM crsql_horizon) AND NOT EXISTS(SELECT 1 FROM "
    "crsql_master WHERE key = 'gc' AND typeof(value) = 'blob' AND length(value) = "
    "32)";

static const char conflicts[] =
    "SELECT NULL, id, 'crsql_ledger names a table that is not there' FROM "
    "crsql_ledger WHERE tbl NOT IN (SELECT id FROM crsql_tbl) "
    "UNION ALL SELECT NULL, id, 'crsql_ledger names a site that is not there' FROM "
    "crsql_ledger WHERE wsite NOT IN (SELECT ordinal FROM crsql_site_id) OR lsite "
    "NOT IN (SELECT ordinal FROM crsql_site_id) "
    "UNION ALL SELECT NULL, id, 'crsql_ledger has an entry that can''t be read' FROM "
    "crsql_ledger WHERE rule NOT BETWEEN 1 AND 4 OR typeof(rule) <> 'integer' OR "
    "(rule < 3) <> (cid >= 0) OR typeof(pk) <> 'blob' OR typeof(time) <> 'integer' "
    "UNION ALL SELECT NULL, id, 'crsql_ledger lacks the values of a column' FROM "
    "crsql_ledger l WHERE cid >= 0 AND NOT EXISTS(SELECT 1 FROM crsql_ledger_cell c "
    "WHERE c.id = l.id AND c.cid = l.cid) "
    "UNION ALL SELECT NULL, id, 'crsql_ledger_cell has values of no entry' FROM "
    "crsql_ledger_cell WHERE id NOT IN (SELECT id FROM crsql_ledger)";

/* A database of an earlier build may lack the table. */
static int
begin_if_there(struct check *c, const char *table, const char *sql)
{
	bool has = false;
	int rc = storage_has_table(c->e, table, &has);

	return rc == SQLITE_OK && has ? engine_prepare(c->e, &c->stmt, "%s", sql) :
	    rc;
}

static int
begin_forgotten(struct check *c, struct table *t)
{
	return begin_if_there(c, "crsql_horizon", forgotten);
}

static int
begin_conflicts(struct check *c, struct table *t)
{
	return begin_if_there(c, "crsql_ledger", conflicts);
}

static int
look_said(struct check *c, struct table *t)
{
	const char *table = (const char *)sqlite3_column_text(c->stmt, 0);
	const char *what = (const char *)sqlite3_column_text(c->stmt, 2);

	return what == NULL ? SQLITE_NOMEM : check_say(c, table, c->stmt, 1, "%s",
	    what);
}

static const struct check_part check_forgotten = { .begin = begin_forgotten,
	.look = look_said };
static const struct check_part check_conflicts = { .begin = begin_conflicts,
	.look = look_said };
static const struct check_part check_sites = { .small = true, .sql = sites };
static const struct check_part check_settings = { .small = true,
	.sql = settings };
static const struct check_part check_own = { .sql = own };
static const struct check_part check_seen = { .sql = seen };
static const struct check_part check_tables = { .sql = tables };
static const struct check_part check_journal = { .sql = journal };

static const struct check_part *const parts[] = {
	&check_sites, &check_settings, &check_own, &check_seen, &check_tables,
	&check_journal, &check_forgotten, &check_conflicts, &check_log, &check_births,
	&check_clocks, &check_rows, &check_missing, &check_numbers, &check_dead,
	&check_triggers,
};
enum { NPARTS = sizeof parts / sizeof *parts };

/* -- the table ------------------------------------------------------------------- */

struct check_cursor {
	sqlite3_vtab_cursor base;
	struct check check;
	uint32_t generation;    /* of the tables */
	int part;
	int table;
	bool begun;             /* the part, for that table */
	int64_t row;
};

enum { COL_TABLE, COL_KEY, COL_WHAT, COL_MENDED };

static int
check_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(\"table\" TEXT, key, "
	    "what TEXT NOT NULL, mended HIDDEN)", sizeof(struct vtab), out);
}

static int
check_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	info->estimatedCost = 1000000;
	return SQLITE_OK;
}

static int
check_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	int rc = vtab_open(sizeof(struct check_cursor), out);

	if (rc == SQLITE_OK)
		((struct check_cursor *)*out)->check.e = ((struct vtab *)vtab)->e;
	return rc;
}

static void
end_part(struct check_cursor *c)
{
	if (c->begun && parts[c->part]->end != NULL)
		parts[c->part]->end(&c->check);
	sqlite3_finalize(c->check.stmt);
	c->check.stmt = NULL;
	c->begun = false;
}

static int
check_close(sqlite3_vtab_cursor *cursor)
{
	struct check_cursor *c = (struct check_cursor *)cursor;

	end_part(c);
	forget(&c->check);
	schema_clear(&c->check.now);
	sqlite3_free(c);
	return SQLITE_OK;
}

static struct table *
table_at(const struct check_cursor *c)
{
	return parts[c->part]->by_table ? &c->check.e->tables.table[c->table]
	    : NULL;
}

/* To the next part, or the same one of the next table. */
static void
next_part(struct check_cursor *c)
{
	end_part(c);
	if (parts[c->part]->by_table && c->table + 1 < c->check.e->tables.n) {
		c->table++;
		return;
	}
	c->table = 0;
	do {
		c->part++;
	} while (c->part < NPARTS && ((parts[c->part]->by_table &&
	    c->check.e->tables.n == 0) || (!parts[c->part]->small &&
	    !c->check.e->has_storage)));
}

/* What can't be read is wrong, and said; another failure is one. */
static int
say_damage(struct check_cursor *c, int rc)
{
	struct table *t = table_at(c);
	char *why;

	if (!check_is_damage(rc))
		return rc;
	why = sqlite3_mprintf("%s", engine_error(c->check.e));
	rc = why != NULL ? check_say(&c->check, t != NULL ? t->name : NULL, NULL,
	    0, "can't be read: %s", why) : SQLITE_NOMEM;
	sqlite3_free(why);
	return rc;
}

static int
begin_part(struct check_cursor *c, bool *more)
{
	const struct check_part *p = parts[c->part];
	int rc;

	c->begun = true;
	rc = p->sql == NULL ? p->begin(&c->check, table_at(c))
	    : engine_prepare(c->check.e, &c->check.stmt, "%s", p->sql);
	*more = rc == SQLITE_OK && c->check.stmt != NULL;
	return rc;
}

/* The next row of the part; damage that its looking meets is of that row. */
static int
next_of_part(struct check_cursor *c, bool *more)
{
	const struct check_part *p = parts[c->part];
	int rc = sqlite3_step(c->check.stmt);

	*more = rc == SQLITE_ROW;
	if (*more)
		return p->sql == NULL ? p->look(&c->check, table_at(c))
		    : look_said(&c->check, table_at(c));
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
step(struct check_cursor *c)
{
	bool more;
	int rc;

	/* what is said is of now */
	sqlite3_free(c->check.e->error);
	c->check.e->error = NULL;
	rc = c->begun ? next_of_part(c, &more) : begin_part(c, &more);
	if (rc != SQLITE_OK)
		rc = say_damage(c, rc);
	if (!more)
		next_part(c);
	return rc;
}

static int
advance(struct check_cursor *c)
{
	int rc = SQLITE_OK;

	forget(&c->check);
	c->row++;
	while (rc == SQLITE_OK && c->check.what == NULL && c->part < NPARTS)
		rc = c->generation == c->check.e->tables.generation ? step(c) :
		    engine_fail(c->check.e, SQLITE_ABORT,
		    "the schema changed while crsql_check was read");
	return rc;
}

static int
check_next(sqlite3_vtab_cursor *cursor)
{
	int rc = advance((struct check_cursor *)cursor);

	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

/* What waits for a fold. */
static int
look_at_waiting(struct check *c)
{
	int64_t n = 0;
	int rc = SQLITE_OK;

	c->journal = c->schema = false;
	if (!c->e->has_storage)
		return rc;
	rc = journal_any(c->e, &c->journal);
	if (rc == SQLITE_OK)
		rc = lost_pending(c->e, &n);
	c->schema = n > 0;
	return rc;
}

static int
check_filter(sqlite3_vtab_cursor *cursor, int num, const char *str, int argc,
    sqlite3_value **argv)
{
	struct check_cursor *c = (struct check_cursor *)cursor;
	int rc;

	if (c->part < NPARTS)
		end_part(c);
	forget(&c->check);
	schema_clear(&c->check.now);
	c->check.read = false;
	c->part = c->table = 0;
	c->row = 0;
	c->check.id = -1;
	c->check.dbv = 0;
	c->check.chained = false;
	rc = tx_begin_read(c->check.e);
	if (!c->check.e->tx.open)
		table_forget_state(c->check.e);         /* it may be wrong, too */
	if (rc == SQLITE_OK)
		rc = look_at_waiting(&c->check);
	if (rc != SQLITE_OK) {
		c->check.journal = c->check.schema = true;
		rc = say_damage(c, rc);
	}
	c->generation = c->check.e->tables.generation;
	if (rc == SQLITE_OK && c->check.what == NULL)
		rc = advance(c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
check_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct check_cursor *)cursor)->check.what == NULL;
}

static int
check_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct check *c = &((struct check_cursor *)cursor)->check;

	if (i == COL_TABLE && c->table != NULL)
		sqlite3_result_text(ctx, c->table, -1, SQLITE_TRANSIENT);
	else if (i == COL_KEY && c->key != NULL)
		sqlite3_result_value(ctx, c->key);
	else if (i == COL_WHAT)
		sqlite3_result_text(ctx, c->what, -1, SQLITE_TRANSIENT);
	else if (i == COL_MENDED)
		sqlite3_result_int(ctx, c->mended);
	return SQLITE_OK;
}

static int
check_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct check_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module check_module = {
	.xConnect = check_connect,
	.xBestIndex = check_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = check_open,
	.xClose = check_close,
	.xFilter = check_filter,
	.xNext = check_next,
	.xEof = check_eof,
	.xColumn = check_column,
	.xRowid = check_rowid,
};

int
check_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_check", &check_module, e);
}

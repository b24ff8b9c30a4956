// SPDX-License-Identifier: MPL-2.0
#include "crdt/crr.h"

#include <string.h>

#include "crdt/horizon.h"
#include "crdt/journal.h"
#include "crdt/log.h"
#include "crdt/lookaside.h"
#include "crdt/lost.h"
#include "crdt/sample.h"
#include "crdt/schema.h"
#include "crdt/triggers.h"

SQLITE_EXTENSION_INIT3

/* -- making and unmaking ---------------------------------------------------------- */

/* Rows that are there already are new changes of one transaction. */
static int
backfill(struct engine *e, struct table *t)
{
	struct log_row row = { .table = t->id, .own = true,
		.stride = t->ncol > 0 ? t->ncol : 1 };
	sqlite3_stmt *stmt;
	int64_t key, taken = 0;
	int rc = lookaside_fill(e, t);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &stmt, "SELECT %s FROM %s ORDER BY %s",
		    t->rowid, t->from, t->rowid);
	if (rc != SQLITE_OK)
		return rc;
	row.seq = e->tx.seq;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (row.n > 0 && !log_goes_on(row.key, row.n, key)) {
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
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK && row.n > 0)
		rc = log_append(e, &row);
	e->tx.seq += taken;
	return rc;
}

int
crr_number(struct engine *e, const char *name, int64_t *id)
{
	/* numbers are not used twice: a table made again is another one */
	int rc = engine_exec(e, "INSERT INTO crsql_tbl(id, name) SELECT 1 + max("
	    "(SELECT coalesce(max(id), 0) FROM crsql_tbl), coalesce((SELECT "
	    "value FROM crsql_master WHERE key = 'last_table'), 0)), %Q;"
	    "INSERT OR REPLACE INTO crsql_master SELECT 'last_table', "
	    "max(id) FROM crsql_tbl", name);

	if (rc == SQLITE_OK)
		rc = engine_int(e, id, "SELECT id FROM crsql_tbl WHERE name = %Q", name);
	if (rc == SQLITE_OK)
		rc = lost_again(e, *id, name);
	if (rc == SQLITE_OK)
		rc = horizon_begin_alone(e, (int)*id);
	/* columns that a table begins with have no birthday */
	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT INTO crsql_col SELECT "
	    "%lld, row_number() OVER (ORDER BY cid) - 1, name, "
	    "-9223372036854775807 - 1 FROM pragma_table_xinfo(%Q, 'main') WHERE "
	    "hidden = 0 AND NOT pk", *id, name);
}

int
crr_fill(struct engine *e, struct table *t)
{
	int rc = backfill(e, t);

	return rc == SQLITE_OK ? sample_take(e, t, false) : rc;
}

/* Its triggers; s is what the schema says of it, or NULL. */
static int
make_writable(struct engine *e, const char *name, struct table *t,
    struct schema *s)
{
	int rc;

	if (t == NULL)
		return engine_fail(e, SQLITE_ERROR, "table %s can't be replicated",
		    name);
	rc = crr_check_keys(e, t);
	if (rc == SQLITE_OK)
		rc = lookaside_make(e, t);
	if (rc == SQLITE_OK)
		rc = journal_ensure_columns(e, t->npk);
	return rc == SQLITE_OK ? triggers_make(e, t, s) : rc;
}

/* The table is a replicated one, whose rows no change is known of. */
static int
enter(struct engine *e, const char *name, struct table **out)
{
	int64_t id = 0;
	int rc = crr_number(e, name, &id);

	e->tables.schema_version = -1;
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	if (rc != SQLITE_OK)
		return rc;
	*out = table_find(e, name);
	return make_writable(e, name, *out, NULL);
}

/* The same where nothing else has changed since the list was read: it is not
 * read again. */
static int
enter_alone(struct engine *e, const char *name)
{
	struct table *t = NULL;
	struct schema s = { .n = 0 };
	int64_t id = 0;
	int rc = crr_number(e, name, &id);

	if (rc == SQLITE_OK)
		rc = table_add(e, (int)id, name, &s, &t);
	if (rc == SQLITE_OK)
		rc = make_writable(e, name, t, &s);
	if (rc == SQLITE_OK)
		rc = table_added(e, t, &s);
	schema_clear(&s);
	return rc == SQLITE_OK ? crr_fill(e, t) : rc;
}

int
crr_enter(struct engine *e, const char *name)
{
	struct table *t;
	int rc = enter(e, name, &t);

	return rc == SQLITE_OK ? crr_fill(e, t) : rc;
}

/* True if a name that we need beside the table is a user's.  What we left there
 * ourselves is empty, and made as below. */
static int
name_taken(struct engine *e, const char *name, const char *suffix,
    const char *columns, bool *taken)
{
	int64_t there = 0, ours = 0, rows = 0;
	int rc = engine_int(e, &there, "SELECT count(*) FROM main.sqlite_schema "
	    "WHERE name = '%q__crsql_%q' COLLATE NOCASE", name, suffix);

	if (rc == SQLITE_OK && there)
		rc = engine_int(e, &ours, "SELECT type = 'table' AND (SELECT "
		    "group_concat(name) FROM pragma_table_info(s.name, 'main')) = %Q "
		    "FROM main.sqlite_schema s WHERE name = '%q__crsql_%q' COLLATE "
		    "NOCASE", columns, name, suffix);
	if (rc == SQLITE_OK && ours)
		rc = engine_int(e, &rows, "SELECT EXISTS(SELECT 1 FROM "
		    "main.\"%w__crsql_%w\")", name, suffix);
	*taken = there && (!ours || rows);
	return rc;
}

/* Whether a table or a view has that name, without reading the schema. */
static int
is_there(struct engine *e, const char *name, const char *suffix, bool *there)
{
	int64_t any = 0;
	int rc = engine_int(e, &any, "SELECT count(*) FROM pragma_table_xinfo("
	    "'%q__crsql_%q', 'main')", name, suffix);

	*there = *there || any;
	return rc;
}

static int
check_names(struct engine *e, const char *name)
{
	bool meta = false, dead = false, any = false;
	int rc = is_there(e, name, "meta", &any);

	if (rc == SQLITE_OK)
		rc = is_there(e, name, "dead", &any);
	if (rc != SQLITE_OK || !any)
		return rc;
	rc = name_taken(e, name, "meta", "key,m", &meta);
	if (rc == SQLITE_OK)
		rc = name_taken(e, name, "dead", "pk,m", &dead);
	if (rc == SQLITE_OK && (meta || dead))
		rc = engine_fail(e, SQLITE_ERROR, "Table %s can't be replicated: "
		    "%s__crsql_%s is needed for bookkeeping, and is there already",
		    name, name, meta ? "meta" : "dead");
	return rc;
}

char *
crr_metadata_sql(const char *name)
{
	return sqlite3_mprintf(
	    "CREATE TABLE main.\"%w__crsql_meta\"("
	    "key INTEGER PRIMARY KEY, m BLOB NOT NULL);"
	    "CREATE TABLE main.\"%w__crsql_dead\"(pk BLOB PRIMARY KEY, "
	    "m BLOB NOT NULL) WITHOUT ROWID;", name, name);
}

static int
make_metadata(struct engine *e, const char *name)
{
	char *sql = crr_metadata_sql(name);
	int rc = sql ? check_names(e, name) : SQLITE_NOMEM;

	if (rc == SQLITE_OK)
		rc = lost_drop_metadata(e, name);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

int
crr_take_over(struct engine *e, const char *name)
{
	struct table *t;
	int rc = make_metadata(e, name);

	if (rc == SQLITE_OK)
		rc = enter(e, name, &t);
	return rc == SQLITE_OK ? lookaside_fill(e, t) : rc;
}

static int
make(struct engine *e, const void *name)
{
	bool lost;
	int rc = table_refresh(e);

	if (rc == SQLITE_OK && table_find(e, name) != NULL) {
		lost = table_find(e, name)->bare;
		if (lost)
			rc = tx_begin_merge(e);
		if (rc == SQLITE_OK && lost)
			rc = tx_fold(e);
		/* it may have turned out to be another one by now */
		if (rc != SQLITE_OK || table_find(e, name) != NULL)
			return rc;
	}
	if (rc == SQLITE_OK)
		rc = crr_check_name(e, name);
	if (rc == SQLITE_OK)
		rc = storage_ensure(e);
	if (rc == SQLITE_OK)
		rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	/* a table of that name that is gone, and was not yet missed */
	if (rc == SQLITE_OK)
		rc = table_follow(e);
	if (rc == SQLITE_OK)
		rc = make_metadata(e, name);
	return rc == SQLITE_OK ? enter_alone(e, name) : rc;
}

/* What SQLite undid is not known any more. */
static int
forget_on_failure(struct engine *e, int rc)
{
	if (rc != SQLITE_OK)
		table_doubt(e);
	return rc;
}

static int
in_savepoint(struct engine *e, int (*f)(struct engine *, const void *),
    const char *name)
{
	return forget_on_failure(e, engine_atomically(e, f, name));
}

static int
renew(struct engine *e, const void *unused)
{
	struct schema s = { .n = 0 };
	int i, rc = tx_begin_merge(e);

	(void)unused;
	if (rc == SQLITE_OK)
		rc = schema_read(e, NULL, SCHEMA_TEXTS, &s);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = triggers_make(e, &e->tables.table[i], &s);
	schema_clear(&s);
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
unmake(struct engine *e, const void *name)
{
	struct table *t;
	int id, rc = tx_begin_merge(e);

	t = rc == SQLITE_OK ? table_find(e, name) : NULL;
	if (t == NULL)
		return rc;
	id = t->id;
	rc = triggers_drop(e, name);
	engine_drop_cached(e);
	e->tables.schema_version = -1;
	return rc == SQLITE_OK ? lost_forget(e, id, name) : rc;
}

int
crr_unmake(struct engine *e, const char *name)
{
	return in_savepoint(e, unmake, name);
}

int
crr_make_inside(struct engine *e, const char *name)
{
	return forget_on_failure(e, make(e, name));
}

int
crr_unmake_inside(struct engine *e, const char *name)
{
	return forget_on_failure(e, unmake(e, name));
}

/* -- SQL ------------------------------------------------------------------------------------ */

/* Calls f with the name as the schema has it; as given if it is not there. */
static int
with_real_name(struct engine *e, int (*f)(struct engine *, const char *),
    sqlite3_value *value)
{
	const char *given = (const char *)sqlite3_value_text(value);
	sqlite3_stmt *stmt;
	char *name = NULL;
	int rc = engine_prepare(e, &stmt, "SELECT name FROM main.sqlite_schema "
	    "WHERE type = 'table' AND name = %Q COLLATE NOCASE", given);

	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = engine_copy(stmt, 0, &name);
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK)
		rc = f(e, name != NULL ? name : given != NULL ? given : "");
	sqlite3_free(name);
	return rc;
}

int
crr_check_schema(struct engine *e, sqlite3_value *value)
{
	const char *name = (const char *)sqlite3_value_text(value);
	int64_t other = 0;
	int rc = engine_int(e, &other, "SELECT %Q = 'temp' COLLATE NOCASE OR "
	    "EXISTS(SELECT 1 FROM pragma_database_list WHERE seq > 0 AND "
	    "name = %Q COLLATE NOCASE)", name, name);

	return rc != SQLITE_OK || !other ? rc : engine_fail(e, SQLITE_ERROR,
	    "Only tables of the main database can be replicated, not those of "
	    "%s: open that database itself", name);
}

static void
as_crr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc = SQLITE_OK;

	if (argc == 0) {
		sqlite3_result_error(ctx, "Wrong number of args provided to "
		    "crsql_as_crr. Provide the schema \n          name and table name "
		    "or just the table name.", -1);
		return;
	}
	if (argc == 2)
		rc = crr_check_schema(e, argv[0]);
	if (rc == SQLITE_OK)
		rc = with_real_name(e, crr_make, argv[argc == 2 ? 1 : 0]);
	if (rc == SQLITE_OK)
		sqlite3_result_text(ctx, "OK", 2, SQLITE_STATIC);
	else
		engine_result_error(e, ctx, rc);
}

static void
as_crrs(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *names = (const char *)sqlite3_value_text(argv[0]);
	int64_t made = 0;
	int rc = SQLITE_OK;

	(void)argc;
	if (names != NULL)
		rc = crr_make_many(e, names, &made);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, made);
	else
		engine_result_error(e, ctx, rc);
}

static void
as_table(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc = with_real_name(e, crr_unmake, argv[0]);

	(void)argc;
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
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_as_crrs", 1,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, as_crrs, NULL, NULL);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * adopt.c - files of cr-sqlite: what is one, which tables it has, and the order
 * in which it is taken over; see adopt.h.
 *
 * Everything that can be wrong with such a file is looked for before anything
 * in it is changed.
 */
#include "crdt/adopt.h"

#include <string.h>

#include "crdt/columns.h"
#include "crdt/crr.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

enum { CR_SQLITE_MIN = 150000 };        /* crsqlite_version of 0.15 */

/* -- what is there ------------------------------------------------------------- */

/* A file that we have written has a log id; one of cr-sqlite has its number, or
 * lost that and still has its triggers. */
int
adopt_look(struct engine *e, bool *foreign)
{
	int64_t number = 0, ours = 0, triggers = 0;
	bool master;
	int rc = storage_has_table(e, "crsql_master", &master);

	*foreign = false;
	if (rc == SQLITE_OK && master)
		rc = engine_int(e, &number, "SELECT value FROM crsql_master WHERE "
		    "key = 'crsqlite_version'");
	if (rc == SQLITE_OK && master)
		rc = engine_int(e, &ours, "SELECT 1 FROM crsql_master WHERE "
		    "key = 'log_id'");
	if (rc == SQLITE_OK && !ours)
		rc = engine_int(e, &triggers, "SELECT EXISTS(SELECT 1 FROM "
		    "main.sqlite_schema WHERE type = 'trigger' AND "
		    "name LIKE '%%\\_\\_crsql\\_itrig' ESCAPE '\\')");
	*foreign = number >= CR_SQLITE_MIN || (number == 0 && triggers);
	return rc;
}

/* -- checks -------------------------------------------------------------------- */

/* Each answers a sentence where something is wrong. */
static const char *const checks[] = {
	"SELECT 'crsql_master says no version of cr-sqlite' WHERE NOT EXISTS("
	    "SELECT 1 FROM crsql_master WHERE key = 'crsqlite_version' AND "
	    "typeof(value) = 'integer')",
	"SELECT 'there is a crsql_log already' FROM main.sqlite_schema WHERE "
	    "name = 'crsql_log'",
	"SELECT 'pre_compact_dbversion is no db_version' FROM crsql_master WHERE "
	    "key = 'pre_compact_dbversion' AND (typeof(value) <> 'integer' OR "
	    "value NOT BETWEEN 0 AND 9007199254740992)",
	"SELECT 'crsql_site_id has no row for this database' WHERE NOT EXISTS("
	    "SELECT 1 FROM crsql_site_id WHERE ordinal = 0)",
	"SELECT 'site ' || ordinal || ' has an id that is not 16 bytes' FROM "
	    "crsql_site_id WHERE typeof(site_id) <> 'blob' OR "
	    "length(site_id) <> 16",
	"SELECT 'two sites have one id' FROM crsql_site_id GROUP BY site_id "
	    "HAVING count(*) > 1",
	"SELECT 'a site has a negative ordinal' FROM crsql_site_id WHERE "
	    "ordinal < 0",
	/* tables whose parts do not belong together */
	"WITH t AS (SELECT type, tbl_name, name, CASE WHEN type = 'table' THEN 1 "
	    "END AS tab FROM main.sqlite_schema) SELECT name || ' is there, and ' "
	    "|| substr(name, 1, length(name) - 11) || '__crsql_clock is not' "
	    "FROM t WHERE tab AND name LIKE '%\\_\\_crsql\\_pks' ESCAPE '\\' AND "
	    "NOT EXISTS(SELECT 1 FROM t c WHERE c.tab AND c.name = substr(t.name, "
	    "1, length(t.name) - 11) || '__crsql_clock' COLLATE NOCASE)",
	"WITH t AS (SELECT type, tbl_name, name FROM main.sqlite_schema) SELECT "
	    "'table ' || tbl_name || ' has the trigger ' || name || ', and ' || "
	    "substr(name, 1, length(name) - 13) || '__crsql_clock is not there' "
	    "FROM t WHERE type = 'trigger' AND name LIKE '%\\_\\_crsql\\_itrig' "
	    "ESCAPE '\\' AND NOT EXISTS(SELECT 1 FROM t c WHERE c.type = 'table' "
	    "AND c.name = substr(t.name, 1, length(t.name) - 13) || "
	    "'__crsql_clock' COLLATE NOCASE)",
	"WITH t AS (SELECT type, tbl_name, name FROM main.sqlite_schema) SELECT "
	    "'table ' || substr(name, 1, length(name) - 13) || ' was renamed to ' "
	    "|| tbl_name || ', which cr-sqlite did not notice: rename it back' "
	    "FROM t WHERE type = 'trigger' AND name LIKE '%\\_\\_crsql\\_itrig' "
	    "ESCAPE '\\' AND tbl_name <> substr(name, 1, length(name) - 13) "
	    "COLLATE NOCASE",
};

/* Fails with the first sentence that the query answers. */
static int
refuse_if(struct engine *e, const char *query)
{
	sqlite3_stmt *stmt;
	const char *what;
	int rc = engine_prepare(e, &stmt, "%s", query);

	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		what = engine_column(stmt, 0, &rc);
		if (rc == SQLITE_OK)
			rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED "%s", what);
	}
	return engine_finalize(stmt, rc);
}

static int
check_file(struct engine *e)
{
	bool has;
	size_t i;
	int rc = storage_has_table(e, "crsql_site_id", &has);

	if (rc == SQLITE_OK && !has)
		rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED
		    "crsql_site_id is missing");
	for (i = 0; i < sizeof checks / sizeof *checks && rc == SQLITE_OK; i++)
		rc = refuse_if(e, checks[i]);
	return rc;
}

/* Of n columns, how many a table has. */
static int
count_columns(struct engine *e, const char *table, const char *suffix,
    const char *list, int64_t *n)
{
	*n = 0;
	return engine_int(e, n, "SELECT count(*) FROM "
	    "pragma_table_info('%q__crsql_%q', 'main') WHERE name IN (%s)",
	    table, suffix, list);
}

static int
check_pks(struct engine *e, const struct table *t, const char *suffix)
{
	int64_t has = 1;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->npk && rc == SQLITE_OK && has; i++)
		rc = engine_int(e, &has, "SELECT count(*) FROM "
		    "pragma_table_info('%q__crsql_%q', 'main') WHERE name = %Q "
		    "COLLATE NOCASE", t->name, suffix, t->pk[i].name);
	return rc != SQLITE_OK || has ? rc : engine_fail(e, SQLITE_ERROR,
	    ADOPT_REFUSED "%s__crsql_%s does not have the key of %s", t->name,
	    suffix, t->name);
}

/* Tells 0.16 from 0.15, by the columns. */
static int
check_layout(struct engine *e, struct adopt_table *t)
{
	const char *name = t->shape.name;
	int64_t new, old = 0, key = 0;
	int rc = count_columns(e, name, "clock", "'key', 'col_name', "
	    "'col_version', 'db_version', 'site_id', 'seq'", &new);

	if (rc == SQLITE_OK && new < 6)
		rc = count_columns(e, name, "clock", "'__crsql_col_name', "
		    "'__crsql_col_version', '__crsql_db_version', "
		    "'__crsql_site_id', '__crsql_seq'", &old);
	if (rc == SQLITE_OK)
		rc = count_columns(e, name, "pks", "'__crsql_key'", &key);
	t->by_pk = old == 5;
	if (rc == SQLITE_OK && new < 6 && old < 5)
		rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED "%s__crsql_clock "
		    "does not have the columns of 0.16 nor of 0.15", name);
	else if (rc == SQLITE_OK && !t->by_pk && key == 0)
		rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED
		    "%s__crsql_pks is missing", name);
	return rc == SQLITE_OK ? check_pks(e, &t->shape,
	    t->by_pk ? "clock" : "pks") : rc;
}

static int
check_table(struct engine *e, struct adopt_table *t)
{
	struct table *s = &t->shape;
	int64_t tracked = 0;
	int rc = table_read_shape(e, s);

	if (rc == SQLITE_OK && s->npk == 0)
		rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED "table %s has no "
		    "primary key", s->name);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &tracked, "SELECT 1 FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND name = '%q__crsql_itrig' COLLATE "
		    "NOCASE", s->name);
	if (rc == SQLITE_OK && !tracked)
		rc = engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED "table %s has "
		    "%s__crsql_clock and no triggers: its rows may have changed "
		    "unseen", s->name, s->name);
	if (rc == SQLITE_OK)
		rc = check_layout(e, t);
	if (rc != SQLITE_OK)
		return rc;
	rc = crr_check_form(e, s->name);
	return rc == SQLITE_ERROR ? engine_fail(e, rc, ADOPT_REFUSED "%s",
	    engine_error(e)) : rc;
}

/* -- the tables ------------------------------------------------------------------ */

static int
add_table(struct adopt *a, const char *name)
{
	struct adopt_table *t = sqlite3_realloc64(a->table,
	    sizeof *t * (uint64_t)(a->n + 1));

	if (t == NULL)
		return SQLITE_NOMEM;
	a->table = t;
	t += a->n++;
	memset(t, 0, sizeof *t);
	t->shape.name = sqlite3_mprintf("%s", name);
	return t->shape.name ? check_table(a->e, t) : SQLITE_NOMEM;
}

/* cr-sqlite counts the clocks of a dropped table still. */
static int
count_dropped(struct adopt *a, const char *name)
{
	int64_t head = 0, old = 0;
	int rc = count_columns(a->e, name, "clock", "'__crsql_db_version'", &old);

	if (rc == SQLITE_OK)
		rc = engine_int(a->e, &head, "SELECT max(%s) FROM "
		    "main.\"%w__crsql_clock\"", old ? "__crsql_db_version" :
		    "db_version", name);
	if (rc == SQLITE_OK && (head < 0 || head > VERSION_MAX))
		rc = engine_fail(a->e, SQLITE_ERROR, ADOPT_REFUSED
		    "%s__crsql_clock has a db_version out of range", name);
	if (head > a->head)
		a->head = head;
	sqlite3_log(SQLITE_WARNING, "table %s is not there any more: what "
	    "cr-sqlite knew of it is forgotten", name);
	return rc;
}

static int
list_tables(struct adopt *a)
{
	sqlite3_stmt *stmt;
	const char *name;
	int rc = engine_prepare(a->e, &stmt, "SELECT n, (SELECT s.name FROM "
	    "main.sqlite_schema s WHERE s.type = 'table' AND s.name = n COLLATE "
	    "NOCASE) FROM (SELECT rowid AS r, substr(name, 1, length(name) - 13) "
	    "AS n FROM main.sqlite_schema WHERE type = 'table' AND "
	    "name LIKE '%%\\_\\_crsql\\_clock' ESCAPE '\\') ORDER BY r");

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		bool dropped = sqlite3_column_type(stmt, 1) == SQLITE_NULL;

		name = engine_column(stmt, dropped ? 0 : 1, &rc);
		if (rc == SQLITE_OK)
			rc = dropped ? count_dropped(a, name) : add_table(a, name);
	}
	return engine_finalize(stmt, rc);
}

static void
free_tables(struct adopt *a)
{
	int i;

	for (i = 0; i < a->n; i++)
		table_free(&a->table[i].shape);
	sqlite3_free(a->table);
}

/* Drops what cr-sqlite keeps per table. */
static int
drop_all(struct engine *e, const char *type, const char *like)
{
	return engine_drop_each(e, type, "SELECT name FROM main.sqlite_schema "
	    "WHERE type = %Q AND name LIKE %Q ESCAPE '\\'", type, like);
}

/* -- the steps --------------------------------------------------------------------- */

static int
convert(struct adopt *a)
{
	struct engine *e = a->e;
	int i, rc = drop_all(e, "trigger", "%\\_\\_crsql\\__trig");

	if (rc == SQLITE_OK)
		rc = drop_all(e, "table", "%\\_\\_crsql\\_clock");
	if (rc == SQLITE_OK)
		rc = drop_all(e, "table", "%\\_\\_crsql\\_pks");
	if (rc == SQLITE_OK)
		rc = storage_take_over(e);
	e->tx.head = -1;
	for (i = 0; i < a->n && rc == SQLITE_OK; i++)
		rc = crr_take_over(e, a->table[i].shape.name);
	return rc == SQLITE_OK ? adopt_write(a) : rc;
}

static int
read_compacted(struct adopt *a)
{
	return engine_int(a->e, &a->head, "SELECT value FROM crsql_master WHERE "
	    "key = 'pre_compact_dbversion'");
}

static int
take_over(struct engine *e, const void *arg)
{
	struct adopt *a = *(struct adopt *const *)arg;
	bool foreign = false;
	/* a write first, so that the snapshot is the newest */
	int rc = engine_exec(e, "DELETE FROM crsql_master WHERE key = ''");

	if (rc == SQLITE_OK)
		rc = adopt_look(e, &foreign);
	if (rc != SQLITE_OK || !foreign)
		return rc;              /* somebody else did it */
	rc = check_file(e);
	if (rc == SQLITE_OK)
		rc = read_compacted(a);
	if (rc == SQLITE_OK)
		rc = list_tables(a);
	if (rc == SQLITE_OK)
		rc = adopt_read(a);
	if (rc == SQLITE_OK)
		rc = convert(a);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DROP TABLE temp.crsql_adopting");
	return rc;
}

int
adopt_file(struct engine *e, int *tables)
{
	struct adopt a = { .e = e }, *arg = &a;
	int64_t query_only = 0;
	bool master;
	int rc = storage_has_table(e, "crsql_master", &master);

	*tables = 0;
	if (rc == SQLITE_OK)
		rc = engine_int(e, &query_only, "PRAGMA query_only");
	if (rc != SQLITE_OK)
		return rc;
	if (!master)
		return engine_fail(e, SQLITE_ERROR, ADOPT_REFUSED
		    "crsql_master is missing");
	if (query_only || sqlite3_db_readonly(e->db, "main") != 0)
		return engine_fail(e, SQLITE_READONLY, "this database was made by "
		    "cr-sqlite and can't be written here: its tables can be read "
		    "without this extension; open it for writing once, and its "
		    "metadata is taken over");
	if (!sqlite3_get_autocommit(e->db))
		return engine_fail(e, SQLITE_ERROR, "this database was made by "
		    "cr-sqlite: its metadata can't be taken over inside a "
		    "transaction");
	e->merging++;
	rc = engine_atomically(e, take_over, &arg);
	e->merging--;
	*tables = a.n;
	free_tables(&a);
	/* all is read anew, by whatever name it goes now */
	engine_drop_statements(e);
	e->tx.head = -1;
	e->tx.current = e->tx.next_pos = 0;
	e->tx.wrote = false;
	if (rc != SQLITE_OK)
		e->has_storage = false;
	return rc;
}

/* -- SQL ----------------------------------------------------------------------------- */

static void
crsql_adopt(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	bool foreign;
	int tables = 0, rc = adopt_look(e, &foreign);

	(void)argc;
	(void)argv;
	if (rc == SQLITE_OK && foreign)
		rc = adopt_file(e, &tables);
	if (rc == SQLITE_OK)
		sqlite3_result_int(ctx, tables);
	else
		engine_result_error(e, ctx, rc);
}

int
adopt_register(struct engine *e)
{
	return sqlite3_create_function(e->db, "crsql_adopt", 0,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_adopt, NULL, NULL);
}

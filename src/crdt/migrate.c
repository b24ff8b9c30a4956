// SPDX-License-Identifier: MPL-2.0
/* migrate.c - see migrate.h. */
#include "crdt/migrate.h"

#include "crdt/alter.h"
#include "crdt/crr.h"
#include "crdt/fract.h"
#include "crdt/sqltext.h"

SQLITE_EXTENSION_INIT3

/* Tables that are their user's, virtual ones first: others may go with them. */
#define USERS "FROM main.sqlite_schema WHERE type = 'table' " \
	"AND name NOT LIKE 'sqlite\\_%%' ESCAPE '\\' " \
	"AND name NOT LIKE 'crsql\\_%%' ESCAPE '\\' " \
	"AND name NOT LIKE 'ddcp\\_%%' ESCAPE '\\' " \
	"AND name NOT LIKE '%%\\_\\_crsql\\_%%' ESCAPE '\\' " \
	"ORDER BY sql LIKE 'CREATE VIRTUAL %%' DESC, name"

/* -- lists of names ---------------------------------------------------------------- */

struct names {
	char **at;
	int n;
};

static void
names_free(struct names *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		sqlite3_free(l->at[i]);
	sqlite3_free(l->at);
}

static int
prepare(sqlite3 *db, sqlite3_stmt **out, const char *fmt, va_list ap)
{
	char *sql = sqlite3_vmprintf(fmt, ap);
	int rc = sql ? sqlite3_prepare_v2(db, sql, -1, out, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

/* The first column of a query made by sqlite3_mprintf. */
static int
names_read(sqlite3 *db, struct names *l, const char *fmt, ...)
{
	sqlite3_stmt *stmt = NULL;
	char **at;
	va_list ap;
	int rc;

	*l = (struct names){ NULL, 0 };
	va_start(ap, fmt);
	rc = prepare(db, &stmt, fmt, ap);
	va_end(ap);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		at = sqlite3_realloc64(l->at, sizeof *at * (uint64_t)(l->n + 1));
		if (at == NULL) {
			rc = SQLITE_NOMEM;
			break;
		}
		l->at = at;
		rc = engine_copy(stmt, 0, &at[l->n]);
		l->n += rc == SQLITE_OK;
	}
	return engine_finalize(stmt, rc);
}

/* The place of a name, as SQLite compares them; -1. */
static int
names_find(const struct names *l, const char *name)
{
	int i;

	for (i = l->n - 1; i >= 0; i--)
		if (sqlite3_stricmp(l->at[i], name) == 0)
			break;
	return i;
}

int
migrate_count(sqlite3 *db, int64_t *n)
{
	struct names l;
	int rc = names_read(db, &l, "SELECT name " USERS);

	*n = l.n;
	names_free(&l);
	return rc;
}

/* -- one table ---------------------------------------------------------------------- */

static int
drop_table(struct engine *e, const char *name)
{
	int rc = table_refresh(e);

	if (rc == SQLITE_OK && table_find(e, name) != NULL)
		rc = crr_unmake(e, name);
	return rc != SQLITE_OK ? rc :
	    engine_exec(e, "DROP TABLE IF EXISTS main.\"%w\"", name);
}

/* Indexes that are not the same there go: they may hinder the dropping of a
 * column.  The text tells, which is as it was typed behind CREATE INDEX. */
static int
drop_indexes(struct engine *e, sqlite3 *db, const char *table)
{
	static const char query[] = "SELECT %s FROM main.sqlite_schema WHERE "
	    "type = 'index' AND tbl_name = %Q COLLATE NOCASE AND sql IS NOT NULL "
	    "ORDER BY name";
	struct names sql, there, name = { NULL, 0 };
	int i, rc = names_read(db, &there, query, "sql", table);
	int rc2 = names_read(e->db, &sql, query, "sql", table);

	rc = rc == SQLITE_OK ? rc2 : rc;
	if (rc == SQLITE_OK)
		rc = names_read(e->db, &name, query, "name", table);
	for (i = 0; i < name.n && rc == SQLITE_OK; i++)
		if (names_find(&there, sql.at[i]) < 0)
			rc = engine_exec(e, "DROP INDEX main.\"%w\"", name.at[i]);
	names_free(&there);
	names_free(&sql);
	names_free(&name);
	return rc;
}

/* Columns of a table, in the order in which they stand in its CREATE. */
static int
read_columns(sqlite3 *db, const char *table, struct names *l)
{
	return names_read(db, l, "SELECT name FROM pragma_table_xinfo(%Q, 'main') "
	    "WHERE hidden <> 1 ORDER BY cid", table);
}

static int
add_column(struct engine *e, const char *table, const char *sql, int i)
{
	const char *from, *to;

	if (!sqltext_item(sql, i, &from, &to))
		return engine_fail(e, SQLITE_ERROR, "a column of table %s is not "
		    "found in the new schema", table);
	return engine_exec(e, "ALTER TABLE main.\"%w\" ADD COLUMN %.*s", table,
	    (int)(to - from), from);
}

struct shape {              /* columns, here and as they are wanted */
	struct names here, there;
	struct names sql;       /* its CREATE there */
};

static bool
differs(const struct shape *s)
{
	int i;
	bool other = s->here.n != s->there.n;

	for (i = 0; i < s->here.n && !other; i++)
		other = names_find(&s->there, s->here.at[i]) < 0;
	return other;
}

/* New ones first: a table can't be without any. */
static int
change_columns(struct engine *e, const char *table, const struct shape *s)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < s->there.n && rc == SQLITE_OK; i++)
		if (names_find(&s->here, s->there.at[i]) < 0)
			rc = add_column(e, table, s->sql.at[0], i);
	for (i = 0; i < s->here.n && rc == SQLITE_OK; i++)
		if (names_find(&s->there, s->here.at[i]) < 0)
			rc = engine_exec(e, "ALTER TABLE main.\"%w\" DROP COLUMN "
			    "\"%w\"", table, s->here.at[i]);
	return rc;
}

static int
reshape(struct engine *e, const char *table, const struct shape *s)
{
	bool replicated;
	int rc = table_refresh(e);

	replicated = rc == SQLITE_OK && table_find(e, table) != NULL;
	if (replicated)
		rc = alter_begin(e, table);
	else if (rc == SQLITE_OK)
		rc = fract_take_off(e, table);
	if (rc == SQLITE_OK)
		rc = change_columns(e, table, s);
	if (rc == SQLITE_OK)
		rc = replicated ? alter_commit(e, table) : fract_follow(e);
	return rc;
}

static int
migrate_table(struct engine *e, sqlite3 *db, const char *table)
{
	struct shape s = { .here = { NULL, 0 } };
	int rc = drop_indexes(e, db, table);

	if (rc == SQLITE_OK)
		rc = read_columns(e->db, table, &s.here);
	if (rc == SQLITE_OK)
		rc = read_columns(db, table, &s.there);
	if (rc == SQLITE_OK)
		rc = names_read(db, &s.sql, "SELECT sql FROM main.sqlite_schema "
		    "WHERE type = 'table' AND name = %Q COLLATE NOCASE", table);
	if (rc == SQLITE_OK && s.sql.n == 1 && differs(&s))
		rc = reshape(e, table, &s);
	names_free(&s.here);
	names_free(&s.there);
	names_free(&s.sql);
	return rc;
}

/* -- all of them ---------------------------------------------------------------------- */

/* Of a virtual table its module knows the columns. */
static int
migrate_ordinary(struct engine *e, sqlite3 *db, const char *name)
{
	int64_t ordinary = 0;
	int rc = engine_int(e, &ordinary, "SELECT sql NOT LIKE 'CREATE VIRTUAL %%' "
	    "FROM main.sqlite_schema WHERE type = 'table' AND name = %Q", name);

	return rc == SQLITE_OK && ordinary ? migrate_table(e, db, name) : rc;
}

int
migrate_tables(struct engine *e, sqlite3 *db)
{
	struct names here, there;
	int i, rc = names_read(db, &there, "SELECT name " USERS);
	int rc2 = names_read(e->db, &here, "SELECT name " USERS);

	rc = rc == SQLITE_OK ? rc2 : rc;
	for (i = 0; i < here.n && rc == SQLITE_OK; i++)
		if (names_find(&there, here.at[i]) < 0)
			rc = drop_table(e, here.at[i]);
	for (i = 0; i < here.n && rc == SQLITE_OK; i++)
		if (names_find(&there, here.at[i]) >= 0)
			rc = migrate_ordinary(e, db, here.at[i]);
	names_free(&here);
	names_free(&there);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/* dropping.c - see dropping.h. */
#include "crdt/dropping.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/capture.h"
#include "crdt/lookaside.h"
#include "crdt/remap.h"
#include "crdt/sqltext.h"

SQLITE_EXTENSION_INIT3

enum { MANY = 8 };      /* statements before the mark, at which it is moved */

/* -- which table ------------------------------------------------------------------- */

/* Behind the word, if it is next; else NULL. */
static const char *
skip_word(const char *p, const char *word)
{
	const char *end;

	p = sqltext_blank(p);
	end = sqltext_token(p);
	return sqltext_is(p, end, word) ? end : NULL;
}

/* True if the name at *p, bare or quoted in any way, is that one; *p is moved behind
 * it. */
static bool
skip_name(const char **p, const char *name)
{
	const char *at = sqltext_blank(*p), *end = sqltext_token(at);
	char close = *at == '[' ? ']' : *at;
	bool same = true;
	size_t i;

	*p = end;
	if (*at == '\0' || strchr("'\"`[", *at) == NULL)
		return sqltext_is(at, end, name);
	for (i = 0, at++; *at != '\0'; at++) {
		if (*at == close && (close == ']' || *++at != close))
			break;
		same = same && name[i] != '\0' && sqlite3_strnicmp(at, &name[i], 1) == 0;
		i += same;
	}
	while (*p < at)
		*p = sqltext_token(*p);         /* a doubled quote is one more token */
	return same && name[i] == '\0';
}

/* Where the name begins, if that is DROP TABLE; else NULL. */
static const char *
name_dropped(const char *sql)
{
	const char *p = skip_word(sql, "drop"), *more;

	p = p != NULL ? skip_word(p, "table") : NULL;
	more = p != NULL ? skip_word(p, "if") : NULL;
	more = more != NULL ? skip_word(more, "exists") : NULL;
	return more != NULL ? more : p;
}

/* Without the name of a database. */
static bool
names_alone(const char *p, const struct table *t)
{
	return skip_name(&p, t->name) && *sqltext_blank(p) != '.';
}

static bool
names(const char *p, const struct table *t)
{
	const char *of = p, *dot;

	if (names_alone(p, t))
		return true;
	if (!skip_name(&of, "main"))
		return false;
	dot = sqltext_blank(of);
	of = dot + 1;
	return *dot == '.' && skip_name(&of, t->name);
}

/* By a name alone SQLite takes a TEMP table first. */
static int
is_temp(struct engine *e, const char *p, const struct table *t, bool *temp)
{
	int rc = !names_alone(p, t) ? SQLITE_ERROR : sqlite3_table_column_metadata(e->db,
	    "temp", t->name, NULL, NULL, NULL, NULL, NULL, NULL);

	*temp = rc == SQLITE_OK;
	return rc == SQLITE_ERROR ? SQLITE_OK : rc;
}

/* -- which statement --------------------------------------------------------------- */

/* Where the name begins, if that one is DROP TABLE; else NULL. */
static const char *
of_drop(sqlite3_stmt *stmt)
{
	const char *sql = sqlite3_sql(stmt);

	return sql != NULL && !sqlite3_stmt_readonly(stmt) ? name_dropped(sql) : NULL;
}

/* SQLite puts each statement that is prepared before all others of the connection, and
 * leaves it there: before ours are those that are younger, and few.  Behind it no new one
 * can come, so what they are is noted once. */
static int
move_mark(struct engine *e)
{
	sqlite3_stmt **kept = &e->cache.stmt[SLOT_MARK], *stmt;
	int rc;

	sqlite3_finalize(*kept);
	*kept = NULL;
	rc = engine_cached(e, SLOT_MARK, "SELECT 'younger'", &stmt);
	e->drop_is_old = false;
	while (stmt != NULL && (stmt = sqlite3_next_stmt(e->db, stmt)) != NULL)
		e->drop_is_old = e->drop_is_old || of_drop(stmt) != NULL;
	return rc;
}

/* What the statement says that runs, if it is a DROP: in *out, else NULL.  A program may
 * keep many statements, and this is asked for each that writes. */
static int
running_drop(struct engine *e, const char **out)
{
	const sqlite3_stmt *mark = e->cache.stmt[SLOT_MARK];
	sqlite3_stmt *stmt = NULL;
	int n = 0;

	*out = NULL;
	while ((stmt = sqlite3_next_stmt(e->db, stmt)) != NULL && (stmt != mark ||
	    e->drop_is_old)) {
		if (sqlite3_stmt_busy(stmt) && (*out = of_drop(stmt)) != NULL)
			return SQLITE_OK;
		n++;
	}
	return mark == NULL || (n > MANY && !e->drop_is_old) ? move_mark(e) : SQLITE_OK;
}

static struct table *
find(struct engine *e, const char *p)
{
	int i;

	for (i = 0; i < e->tables.n; i++)
		if (names(p, &e->tables.table[i]))
			return &e->tables.table[i];
	return NULL;
}

/* -- what is to be done -------------------------------------------------------------- */

/* SQLite begins its own savepoint for the statement behind us: it would be in the midst
 * of what we write, if a statement of ours had one within.  One that writes nothing and
 * has one makes SQLite begin both first. */
static int
begin_savepoint(struct engine *e)
{
	return engine_exec(e, "INSERT INTO crsql_master SELECT '', 0 WHERE 0");
}

void
dropping_forget(struct engine *e)
{
	sqlite3_close(e->lists);
	e->lists = NULL;
}

/* In a database of its own, as a TEMP table made in the midst of a statement aborts that;
 * SQLite keeps what is too much for memory in a file that has no name. */
static int
open_lists(struct engine *e)
{
	int rc = e->lists != NULL ? SQLITE_OK : sqlite3_open_v2("", &e->lists,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (rc != SQLITE_OK)
		dropping_forget(e);     /* one that is not open */
	return rc == SQLITE_OK ? sqlite3_exec(e->lists, "CREATE TABLE IF NOT EXISTS list("
	    "n, key, pk, PRIMARY KEY(n, key)) WITHOUT ROWID; BEGIN", NULL, NULL, NULL) :
	    rc;
}

static int
put_rows(struct engine *e, struct table *t, int list)
{
	sqlite3_stmt *put = NULL;
	int end, rc = sqlite3_prepare_v2(e->lists, "INSERT INTO list VALUES(?1, ?2, ?3)", -1,
	    &put, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(put, 1, list);
	if (rc == SQLITE_OK)
		rc = remap_each_row(e, t, put);
	end = sqlite3_finalize(put);
	return rc == SQLITE_OK ? end : rc;
}

static int
make_list(struct engine *e, struct table *t)
{
	int list = e->nlists++;
	int rc = open_lists(e);

	if (rc == SQLITE_OK && !lookaside_names_pk(t))
		rc = put_rows(e, t, list);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(e->lists, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK && e->lists != NULL && !sqlite3_get_autocommit(e->lists))
		sqlite3_exec(e->lists, "ROLLBACK", NULL, NULL, NULL);
	return rc == SQLITE_OK ? alter_add_list(e, t->id, list) : rc;
}

int
dropping_load_list(struct engine *e, struct table *t, int list)
{
	sqlite3_stmt *rows = NULL, *put = NULL;
	int end, rc = engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_alter_%d("
	    "key INTEGER PRIMARY KEY, pk BLOB); DELETE FROM temp.crsql_alter_%d", t->id,
	    t->id);

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &put, "INSERT INTO temp.crsql_alter_%d VALUES(?1, ?2)",
		    t->id);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(e->lists, "SELECT key, pk FROM list WHERE n = ?1 "
		    "ORDER BY key", -1, &rows, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(rows, 1, list);
	while (rc == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
		sqlite3_bind_value(put, 1, sqlite3_column_value(rows, 0));
		sqlite3_bind_value(put, 2, sqlite3_column_value(rows, 1));
		rc = engine_run(e, put);
	}
	end = sqlite3_finalize(rows);
	sqlite3_finalize(put);
	return rc == SQLITE_OK ? end : rc;
}

static int
prepare(struct engine *e, const char *p)
{
	struct table *t;
	int rc = begin_savepoint(e);

	if (rc == SQLITE_OK)
		rc = tx_fold_before_drop(e);
	t = find(e, p);         /* the list of tables may be another one by now */
	if (rc == SQLITE_OK && t != NULL && !alter_is_open(e, t->id))
		rc = make_list(e, t);
	return rc;
}

int
dropping_look(struct engine *e)
{
	const struct table *t;
	bool temp = false;
	const char *p;
	int rc = running_drop(e, &p);

	/* where somebody reads the log SQLite drops nothing */
	if (rc != SQLITE_OK || p == NULL || e->walks > 0 || e->tx.folding)
		return rc;
	rc = table_refresh(e);
	t = rc == SQLITE_OK ? find(e, p) : NULL;
	if (t == NULL || table_any_bare(&e->tables))
		return rc;
	rc = is_temp(e, p, t, &temp);
	if (rc != SQLITE_OK || temp)
		return rc;
	e->merging++;           /* what is written is not captured */
	rc = prepare(e, p);
	e->merging--;
	return rc;
}

void
dropping_statement_ended(struct engine *e)
{
	int rc;

	/* else the next statement or fold sees to it */
	if (table_refresh(e) != SQLITE_OK || !alter_any_rebuilt(e) || e->walks > 0)
		return;
	rc = tx_fold(e);
	/* SQLite would roll all back if that were said here: the commit fails.  Some
	 * failures have done so already */
	if (rc != SQLITE_OK && e->tx.open && e->capture->rc == SQLITE_OK)
		e->capture->rc = rc;
}

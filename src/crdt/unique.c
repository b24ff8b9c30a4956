// SPDX-License-Identifier: MPL-2.0
/*
 * unique.c - see unique.h.  What SQLite tells of an index by pragma is enough
 * for one of plain columns; expressions and the WHERE of a partial one are
 * taken out of its CREATE INDEX.
 */
#include "crdt/unique.h"

#include <string.h>

#include "crdt/sqltext.h"

SQLITE_EXTENSION_INIT3

enum { EXPRESSION = -2 };       /* pragma_index_xinfo.cid */

/* -- the text of CREATE INDEX ------------------------------------------------------ */

struct text {
	const char *from, *to;  /* NULL: none */
};

/* One column or expression of the list, behind '(' or ','; what ends it is at
 * the place returned. */
static const char *
read_term(const char *p, struct text *term)
{
	const char *next;
	int depth = 0;

	p = sqltext_blank(p);
	term->from = term->to = p;
	while (*p != '\0' && (depth > 0 || (*p != ',' && *p != ')'))) {
		next = sqltext_token(p);
		depth += (*p == '(') - (*p == ')');
		if (depth > 0 || !(sqltext_is(p, next, "ASC") ||
		    sqltext_is(p, next, "DESC")))
			term->to = next;
		p = sqltext_blank(next);
	}
	return p;
}

/* Term number n, from 0, of an index, and what is behind its WHERE. */
static void
find_texts(const char *sql, int n, struct text *term, struct text *where)
{
	struct text t;
	int i;

	term->from = where->from = NULL;
	while (*sql != '\0' && *sql != '(')
		sql = sqltext_blank(sqltext_token(sql));
	for (i = 0; *sql != '\0' && *sql != ')'; i++) {
		sql = read_term(sql + 1, &t);
		if (i == n)
			*term = t;
	}
	sql = *sql != '\0' ? sqltext_blank(sql + 1) : sql;
	if (sqltext_is(sql, sqltext_token(sql), "WHERE")) {
		where->from = sqltext_token(sql);
		where->to = sql + strlen(sql);
	}
}

/* -- the condition ----------------------------------------------------------------- */

/* Whether it is a number, a text or a blob, and nothing else: brackets may have an
 * expression in them, which is another value each time, and a comment. */
static bool
is_literal(const char *sql)
{
	const char *p = sql + (*sql == '-' || *sql == '+');

	if (*p >= '0' && *p <= '9') {
		p += strspn(p, "0123456789abcdefABCDEFxX.");
		p += (*p == '-' || *p == '+') && (p[-1] == 'e' || p[-1] == 'E');
		return p[strspn(p, "0123456789")] == '\0';
	}
	p = sql + ((*sql == 'x' || *sql == 'X') && sql[1] == '\'');
	if (*p != '\'')
		return false;
	for (p++; *p != '\0' && (*p != '\'' || p[1] == '\''); p++)
		p += *p == '\'';
	return *p == '\'' && p[1] == '\0';
}

/* The value of a column that is to be written.  One that may not be NULL gets its
 * default instead by REPLACE, which a trigger before does not see: preset, of which
 * only a literal is safe to be read there. */
static void
add_new_value(sqlite3_str *s, const char *name, const char *preset)
{
	if (preset != NULL && is_literal(preset))
		sqlite3_str_appendf(s, "coalesce(new.\"%w\", %s)", name, preset);
	else
		sqlite3_str_appendf(s, "new.\"%w\"", name);
}

/* (SELECT new."a" AS "a", ...) AS "t": there an expression means the row that
 * is to be written. */
static int
add_new_row(struct engine *e, sqlite3_str *s, const struct table *t)
{
	const char *name, *comma = "";
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT name, CASE WHEN \"notnull\" THEN "
	    "dflt_value END FROM pragma_table_xinfo(%Q, 'main') WHERE hidden <> 1",
	    t->name);

	sqlite3_str_appendall(s, "(SELECT ");
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 0, &rc);
		sqlite3_str_appendall(s, comma);
		if (rc == SQLITE_OK)
			add_new_value(s, name, (const char *)
			    sqlite3_column_text(stmt, 1));
		sqlite3_str_appendf(s, " AS \"%w\"", name);
		comma = ", ";
	}
	sqlite3_str_appendf(s, ") AS \"%w\"", t->name);
	return engine_finalize(stmt, rc);
}

/* A line feed behind a piece ends a comment in it. */
static int
add_expression(struct engine *e, sqlite3_str *s, const struct table *t,
    struct text term, const char *collation)
{
	int rc, n = (int)(term.to - term.from);

	sqlite3_str_appendf(s, "(%.*s\n) = (SELECT %.*s\n FROM ", n, term.from, n,
	    term.from);
	rc = add_new_row(e, s, t);
	sqlite3_str_appendf(s, ") COLLATE \"%w\"", collation);
	return rc;
}

/* One index: the columns are equal.  Where an expression can't be found in its
 * text, what is left is true of more rows than need be. */
static int
add_index(struct engine *e, sqlite3_str *s, const struct table *t,
    const char *index, const char *sql)
{
	struct text term, where = { NULL, NULL };
	const char *name, *collation, *and = "";
	sqlite3_stmt *stmt;
	int column, i, rc = engine_prepare(e, &stmt, "SELECT i.cid, i.name, i.coll, "
	    "CASE WHEN x.\"notnull\" THEN x.dflt_value END FROM "
	    "pragma_index_xinfo(%Q, 'main') i LEFT JOIN pragma_table_xinfo(%Q, 'main') "
	    "x ON x.cid = i.cid WHERE i.key ORDER BY i.seqno", index, t->name);

	sqlite3_str_appendall(s, "(");
	for (i = 0; rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW; i++) {
		column = sqlite3_column_int(stmt, 0);
		name = column >= 0 ? engine_column(stmt, 1, &rc) :
		    t->integer_key ? t->pk[0].name : t->rowid;
		collation = engine_column(stmt, 2, &rc);
		if (sql != NULL)
			find_texts(sql, i, &term, &where);
		if (rc == SQLITE_OK && column != EXPRESSION) {
			sqlite3_str_appendf(s, "%s\"%w\" = ", and, name);
			add_new_value(s, name, (const char *)
			    sqlite3_column_text(stmt, 3));
			sqlite3_str_appendf(s, " COLLATE \"%w\"", collation);
		} else if (rc == SQLITE_OK && sql != NULL && term.from != NULL) {
			sqlite3_str_appendall(s, and);
			rc = add_expression(e, s, t, term, collation);
		} else {
			continue;
		}
		and = " AND ";
	}
	if (where.from != NULL)
		sqlite3_str_appendf(s, "%s(%.*s\n)", and,
		    (int)(where.to - where.from), where.from);
	else if (*and == '\0')
		sqlite3_str_appendall(s, "1");
	sqlite3_str_appendall(s, ")");
	return engine_finalize(stmt, rc);
}

int
unique_condition(struct engine *e, const struct table *t, char **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	const char *or = "", *name, *sql;
	sqlite3_stmt *stmt;
	int rc;

	if (!t->unique)
		return engine_text(s, SQLITE_OK, out);
	rc = engine_prepare(e, &stmt, "SELECT l.name, (SELECT sql FROM "
	    "main.sqlite_schema WHERE type = 'index' AND name = l.name) FROM "
	    "pragma_index_list(%Q, 'main') l WHERE l.\"unique\" AND "
	    "l.origin <> 'pk' ORDER BY l.name", t->name);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		sqlite3_str_appendall(s, or);
		name = engine_column(stmt, 0, &rc);
		/* that of a UNIQUE in CREATE TABLE has none */
		sql = sqlite3_column_type(stmt, 1) == SQLITE_NULL ? NULL :
		    engine_column(stmt, 1, &rc);
		if (rc == SQLITE_OK)
			rc = add_index(e, s, t, name, sql);
		or = " OR ";
	}
	return engine_text(s, engine_finalize(stmt, rc), out);
}

/* -- which were known --------------------------------------------------------------- */

/* What is noted of a table in crsql_master, as `unique.ID`: the text of all,
 * by which SQLite itself knows them.  Those of a UNIQUE in CREATE TABLE have
 * none, and can't be added to a table that is there. */
#define NOW "SELECT t.id AS id, 'unique.' || t.id AS note, " \
	"group_concat(s.sql, ';') AS list FROM (SELECT tbl_name, sql FROM " \
	"main.sqlite_schema WHERE type = 'index' AND sql LIKE " \
	"'CREATE UNIQUE %%' ORDER BY tbl_name, name) s JOIN crsql_tbl t ON " \
	"t.name = s.tbl_name GROUP BY t.id"
#define UNKNOWN "FROM (" NOW ") n WHERE NOT EXISTS(SELECT 1 FROM " \
	"crsql_master WHERE key = n.note AND value = n.list)"

int
unique_note(struct engine *e)
{
	return engine_exec(e, "DELETE FROM crsql_master WHERE key >= 'unique.' AND "
	    "key < 'unique/' AND NOT EXISTS(SELECT 1 FROM (" NOW ") n WHERE "
	    "n.note = key AND n.list = value);"
	    "INSERT OR IGNORE INTO crsql_master SELECT note, list FROM (" NOW ")");
}

int
unique_is_fresh(struct engine *e, const struct table *t, bool *fresh)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT EXISTS(SELECT 1 " UNKNOWN " AND "
	    "n.id = %d)", t->id);

	*fresh = n != 0;
	return rc;
}

int
unique_pending(struct engine *e, int64_t *n)
{
	*n = 0;
	return e->has_storage ? engine_int(e, n, "SELECT count(*) " UNKNOWN) :
	    SQLITE_OK;
}

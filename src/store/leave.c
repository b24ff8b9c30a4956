// SPDX-License-Identifier: MPL-2.0
/*
 * leave.c - what of tables is no part of their shape, since it is SQL: it is named,
 * so that people know.  SQLite's pragmas don't tell of a CHECK or of AUTOINCREMENT:
 * these are looked for in the text of a CREATE TABLE.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "store/shape.h"
#include "store/sql.h"

int
shape_leave(struct shape *s, enum shape_left_kind kind, const char *table,
    const char *name, struct err *err)
{
	struct shape_left *l;

	if (s->nleft == SHAPE_LEFT_MAX) {
		s->more_left = true;
		return 0;
	}
	l = realloc(s->left, (s->nleft + 1) * sizeof *l);
	if (l == NULL)
		return err_nomem(err);
	s->left = l;
	l = &s->left[s->nleft++];
	l->kind = kind;
	l->table = strdup(table);
	l->name = strdup(name != NULL ? name : "");
	return l->table == NULL || l->name == NULL ? err_nomem(err) : 0;
}

/* Past a string, a quoted name or a comment that begins at p; p if none does. */
static const char *
skip_quoted(const char *p)
{
	const char *end;
	char close = *p == '[' ? ']' : *p;

	if (strncmp(p, "--", 2) == 0)
		return p + strcspn(p, "\n");
	if (strncmp(p, "/*", 2) == 0) {
		end = strstr(p + 2, "*/");
		return end != NULL ? end + 2 : p + strlen(p);
	}
	if (*p == '\0' || strchr("'\"`[", *p) == NULL)
		return p;
	end = strchr(p + 1, close);
	return end != NULL ? end + 1 : p + strlen(p);
}

/* Whether that keyword stands in an SQL text. */
static bool
has_word(const char *sql, const char *word)
{
	const char *next;
	size_t n;

	while (*sql != '\0') {
		next = skip_quoted(sql);
		if (next != sql) {
			sql = next;
			continue;
		}
		for (n = 0; isalnum((unsigned char)sql[n]) || sql[n] == '_' ||
		    (unsigned char)sql[n] >= 0x80; n++)
			continue;
		if (n == strlen(word) && sqlite3_strnicmp(sql, word,
		    (int)n) == 0)
			return true;
		sql += n > 0 ? n : 1;
	}
	return false;
}

static int
leave_words(struct shape *s, const char *table, const char *sql,
    struct err *err)
{
	int rc = 0;

	if (has_word(sql, "CHECK"))
		rc = shape_leave(s, SHAPE_LEFT_CHECK, table, NULL, err);
	if (rc == 0 && has_word(sql, "AUTOINCREMENT"))
		rc = shape_leave(s, SHAPE_LEFT_AUTOINCREMENT, table, NULL, err);
	return rc;
}

static int
leave_foreign(sqlite3 *db, struct shape *s, const char *table,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT DISTINCT \"table\" FROM "
	    "pragma_foreign_key_list(?1, 'main')", "t", table);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = shape_leave(s, SHAPE_LEFT_FOREIGN, table, (const char *)
			    sqlite3_column_text(stmt, 0), err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static bool
has_table(const struct shape *s, const char *name)
{
	size_t i = 0;

	while (i < s->ntables && sqlite3_stricmp(s->table[i].name, name) != 0)
		i++;
	return i < s->ntables;
}

/* Of an ordered table there is the view NAME_fractindex: its order. */
static int
leave_view(struct shape *s, const char *view, struct err *err)
{
	static const char end[] = "_fractindex";
	size_t n = strlen(view);
	char *table;
	int rc = 0;

	if (n < sizeof end || strcmp(view + n - (sizeof end - 1), end) != 0)
		return 0;
	table = strndup(view, n - (sizeof end - 1));
	if (table == NULL)
		return err_nomem(err);
	if (has_table(s, table))
		rc = shape_leave(s, SHAPE_LEFT_ORDER, table, view, err);
	free(table);
	return rc;
}

/* A row of the schema: type, tbl_name, name, sql. */
static int
leave_object(struct shape *s, sqlite3_stmt *stmt, struct err *err)
{
	const char *type = (const char *)sqlite3_column_text(stmt, 0);
	const char *table = (const char *)sqlite3_column_text(stmt, 1);
	const char *name = (const char *)sqlite3_column_text(stmt, 2);
	const char *sql = (const char *)sqlite3_column_text(stmt, 3);

	if (type == NULL || table == NULL || name == NULL || sql == NULL)
		return 0;
	if (type[0] == 'v')
		return leave_view(s, name, err);
	if (!has_table(s, table))
		return 0;
	return strcmp(type, "table") == 0 ? leave_words(s, table, sql, err) :
	    shape_leave(s, SHAPE_LEFT_TRIGGER, table, name, err);
}

/* The schema is read once, whatever the number of tables. */
int
shape_describe_rest(sqlite3 *db, struct shape *s, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	size_t i;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT type, tbl_name, name, sql FROM "
	    "sqlite_schema WHERE type IN ('table', 'trigger', 'view') AND name "
	    "NOT LIKE '%\\_\\_crsql\\_%' ESCAPE '\\'", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = leave_object(s, stmt, err);
	}
	sqlite3_finalize(stmt);
	for (i = 0; i < s->ntables && rc == 0; i++)
		rc = leave_foreign(db, s, s->table[i].name, err);
	return rc;
}

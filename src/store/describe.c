// SPDX-License-Identifier: MPL-2.0
/*
 * describe.c - the shape of tables that are here, from SQLite's own pragmas.  What
 * has no place in a shape is only named: leave.c.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/shape.h"
#include "store/sql.h"

/* One more at the end of an array; NULL, with err noted, without memory. */
static void *
grow(void *array, size_t n, size_t size, struct err *err)
{
	void *more = realloc(array, (n + 1) * size);

	if (more == NULL)
		err_nomem(err);
	else
		memset((char *)more + n * size, 0, size);
	return more;
}

static char *
text_of(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return strdup(text != NULL ? text : "");
}

/* ---- defaults ---- */

static const struct {
	const char *word;
	enum shape_kind kind;
	int64_t integer;
} words[] = {
	{ "NULL", SHAPE_NULL, 0 }, { "TRUE", SHAPE_INTEGER, 1 },
	{ "FALSE", SHAPE_INTEGER, 0 }, { "CURRENT_TIME", SHAPE_TIME, 0 },
	{ "CURRENT_DATE", SHAPE_DATE, 0 },
	{ "CURRENT_TIMESTAMP", SHAPE_TIMESTAMP, 0 },
};

/* 'text' or "text", with its quotes doubled inside, to the end. */
static bool
read_quoted(const char *text, struct shape_value *v)
{
	char quote = text[0], *to;

	v->data = to = malloc(strlen(text) + 1);
	if (to == NULL)
		return false;
	for (text++; *text != '\0'; text++) {
		if (*text == quote && *++text != quote)
			break;
		*to++ = *text;
	}
	*to = '\0';
	v->len = (size_t)(to - v->data);
	v->kind = SHAPE_TEXT;
	return *text == '\0' && text[-1] == quote;
}

static int
hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	    isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static bool
read_blob(const char *text, struct shape_value *v)
{
	const char *p = text + 2;
	int hi, lo;

	v->data = malloc(strlen(text) + 1);
	if (v->data == NULL)
		return false;
	while ((hi = hex_digit(p[0])) >= 0 && (lo = hex_digit(p[1])) >= 0) {
		v->data[v->len++] = (char)(hi << 4 | lo);
		p += 2;
	}
	v->data[v->len] = '\0';
	v->kind = SHAPE_BLOB;
	return strcmp(p, "'") == 0;
}

static bool
read_number(const char *text, struct shape_value *v)
{
	bool minus = text[0] == '-';
	unsigned long long whole;
	char *end;

	if (text[0] == '+' || text[0] == '-')
		text++;
	while (isspace((unsigned char)*text))
		text++;
	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return false;
	if (text[strspn(text, "0123456789")] == '\0') {
		errno = 0;
		whole = strtoull(text, &end, 10);
		v->kind = SHAPE_INTEGER;
		v->integer = minus ? (int64_t)(0 - whole) : (int64_t)whole;
		if (errno == 0 && whole <= (uint64_t)INT64_MAX + minus)
			return true;
		v->integer = 0;
	}
	/* strtod() knows more forms than SQLite; they are no numbers there */
	if (text[strspn(text, "0123456789.eE+-")] != '\0')
		return false;
	v->real = strtod(text, &end);
	v->kind = SHAPE_REAL;
	v->real = minus ? -v->real : v->real;
	return *end == '\0' && isfinite(v->real);
}

/* The text of a DEFAULT as a value; false if it is an expression, or too much. */
static bool
read_default(const char *text, struct shape_value *v)
{
	size_t i;
	bool is;

	memset(v, 0, sizeof *v);
	for (i = 0; i < sizeof words / sizeof *words; i++)
		if (sqlite3_stricmp(text, words[i].word) == 0) {
			v->kind = words[i].kind;
			v->integer = words[i].integer;
			return true;
		}
	if (text[0] == '\'' || text[0] == '"')
		is = read_quoted(text, v);
	else if ((text[0] | 0x20) == 'x' && text[1] == '\'')
		is = read_blob(text, v);
	else
		is = read_number(text, v);
	if (is && v->len <= SHAPE_VALUE_MAX)
		return true;
	free(v->data);
	memset(v, 0, sizeof *v);
	return false;
}

/* ---- columns ---- */

struct key_part {
	int64_t place;
	size_t column;
};

static int
add_collation(sqlite3 *db, struct shape *s, struct shape_table *t,
    struct shape_column *c, struct err *err)
{
	const char *name = NULL;
	int rc = sqlite3_table_column_metadata(db, "main", t->name, c->name, NULL,
	    &name, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return sql_fail(db, rc, err);
	c->collation = shape_collation_of(name);
	if (c->collation != SHAPE_COLLATIONS)
		return 0;
	c->collation = SHAPE_BINARY;
	return shape_leave(s, SHAPE_LEFT_COLLATION, t->name, c->name, err);
}

/* A row of table_xinfo: name, type, notnull, dflt_value, pk, hidden. */
static int
add_column(sqlite3 *db, struct shape *s, struct shape_table *t,
    sqlite3_stmt *stmt, struct key_part *key, struct err *err)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 0);
	const char *value = (const char *)sqlite3_column_text(stmt, 3);
	int64_t place = sqlite3_column_int64(stmt, 4);
	struct shape_column *c;
	int rc = 0;

	if (name == NULL)
		return err_nomem(err);
	if (sqlite3_column_int(stmt, 5) != 0)
		return shape_leave(s, SHAPE_LEFT_GENERATED, t->name, name, err);
	c = grow(t->column, t->ncolumns, sizeof *c, err);
	if (c == NULL)
		return E_FATAL;
	t->column = c;
	c = &t->column[t->ncolumns++];
	c->name = strdup(name);
	c->type = text_of(stmt, 1);
	c->not_null = sqlite3_column_int(stmt, 2) != 0;
	if (c->name == NULL || c->type == NULL)
		return err_nomem(err);
	if (value != NULL && !read_default(value, &c->value)) {
		/* it could not be replicated there with NOT NULL alone */
		c->not_null = c->not_null && place > 0;
		rc = shape_leave(s, SHAPE_LEFT_DEFAULT, t->name, name, err);
	}
	if (place > 0 && place <= SHAPE_COLUMNS_MAX) {
		key[place - 1].column = t->ncolumns - 1;
		key[place - 1].place = place;
		t->nkey++;
	}
	return rc == 0 ? add_collation(db, s, t, c, err) : rc;
}

static int
add_columns(sqlite3 *db, struct shape *s, struct shape_table *t,
    struct err *err)
{
	struct key_part *key = calloc(SHAPE_COLUMNS_MAX, sizeof *key);
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	size_t i;
	int rc;

	if (key == NULL)
		return err_nomem(err);
	rc = sql_open(db, &stmt, err, "SELECT name, type, \"notnull\", "
	    "dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main')", "t",
	    t->name);
	while (rc == 0 && row && t->ncolumns < SHAPE_COLUMNS_MAX) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = add_column(db, s, t, stmt, key, err);
	}
	sqlite3_finalize(stmt);
	t->key = calloc(t->nkey + 1, sizeof *t->key);
	if (rc == 0 && t->key == NULL)
		rc = err_nomem(err);
	for (i = 0; rc == 0 && i < t->nkey; i++) {
		if (key[i].place == 0)
			rc = err_set(err, E_USAGE, NULL, "a column of the key of "
			    "%s is computed", t->name);
		t->key[i] = key[i].column;
	}
	free(key);
	return rc;
}

/* ---- indexes ---- */

static size_t
find_column(const struct shape_table *t, const char *name)
{
	size_t i = 0;

	while (i < t->ncolumns && (name == NULL ||
	    sqlite3_stricmp(t->column[i].name, name) != 0))
		i++;
	return i;
}

/* *plain if all its columns are, else x is of no use. */
static int
add_parts(sqlite3 *db, const struct shape_table *t, struct shape_index *x,
    bool *plain, struct err *err)
{
	struct shape_part *p;
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	*plain = true;
	rc = sql_open(db, &stmt, err, "SELECT name, \"desc\", coll FROM "
	    "pragma_index_xinfo(?1, 'main') WHERE key", "t", x->name);
	while (rc == 0 && *plain) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		p = grow(x->part, x->nparts, sizeof *p, err);
		if (p == NULL) {
			rc = E_FATAL;
			break;
		}
		x->part = p;
		p = &x->part[x->nparts++];
		p->column = find_column(t,
		    (const char *)sqlite3_column_text(stmt, 0));
		p->descends = sqlite3_column_int(stmt, 1) != 0;
		p->collation = shape_collation_of(
		    (const char *)sqlite3_column_text(stmt, 2));
		*plain = p->column < t->ncolumns &&
		    p->collation != SHAPE_COLLATIONS &&
		    x->nparts <= SHAPE_PARTS_MAX;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* A row of index_list: name, unique, origin, partial. */
static int
add_index(sqlite3 *db, struct shape *s, struct shape_table *t,
    sqlite3_stmt *stmt, struct err *err)
{
	const char *origin = (const char *)sqlite3_column_text(stmt, 2);
	struct shape_index *x;
	bool plain = false;
	int rc = 0;

	if (origin == NULL || strcmp(origin, "pk") == 0) {
		t->no_alias = !t->without_rowid && t->nkey == 1 &&
		    strcmp(t->column[t->key[0]].type, "INTEGER") == 0;
		return 0;
	}
	x = grow(t->index, t->nindexes, sizeof *x, err);
	if (x == NULL)
		return E_FATAL;
	t->index = x;
	x = &t->index[t->nindexes];
	x->name = text_of(stmt, 0);
	if (x->name == NULL)
		rc = err_nomem(err);
	else if (strcmp(origin, "c") == 0 && sqlite3_column_int(stmt, 1) == 0 &&
	    sqlite3_column_int(stmt, 3) == 0 && t->nindexes < SHAPE_INDEXES_MAX)
		rc = add_parts(db, t, x, &plain, err);
	if (rc == 0 && plain) {
		t->nindexes++;
		return 0;
	}
	if (rc == 0)
		rc = shape_leave(s, SHAPE_LEFT_INDEX, t->name, x->name, err);
	free(x->name);
	free(x->part);
	return rc;
}

static int
add_indexes(sqlite3 *db, struct shape *s, struct shape_table *t,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT name, \"unique\", origin, partial "
	    "FROM pragma_index_list(?1, 'main') ORDER BY name", "t", t->name);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = add_index(db, s, t, stmt, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- tables ---- */

int
shape_describe(sqlite3 *db, const char *table, struct shape *out,
    struct err *err)
{
	struct shape_table *t = grow(out->table, out->ntables, sizeof *t, err);
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int rc;

	if (t == NULL)
		return E_FATAL;
	out->table = t;
	t = &out->table[out->ntables++];
	t->name = strdup(table);
	if (t->name == NULL)
		return err_nomem(err);
	rc = sql_open(db, &stmt, err, "SELECT wr, strict FROM pragma_table_list(?1) "
	    "WHERE schema = 'main'", "t", table);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		t->without_rowid = sqlite3_column_int(stmt, 0) != 0;
		t->strict = sqlite3_column_int(stmt, 1) != 0;
	}
	sqlite3_finalize(stmt);
	if (rc == 0)
		rc = add_columns(db, out, t, err);
	return rc == 0 ? add_indexes(db, out, t, err) : rc;
}

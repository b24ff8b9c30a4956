// SPDX-License-Identifier: MPL-2.0
/*
 * make.c - tables made of a shape that somebody else gave.  The SQL is written
 * here: names and types are quoted, values are literals, and when SQLite has made
 * the table it is described again, and must be what was asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/shape.h"
#include "store/sql.h"
#include "store/store_private.h"

/* ---- statements ---- */

static void
put_value(sqlite3_str *s, const struct shape_value *v)
{
	char real[40];
	size_t i;

	switch (v->kind) {
	case SHAPE_INTEGER:
		sqlite3_str_appendf(s, " DEFAULT %lld", (long long)v->integer);
		break;
	case SHAPE_REAL:
		snprintf(real, sizeof real, "%.17g", v->real);
		sqlite3_str_appendf(s, " DEFAULT %s%s", real,
		    strpbrk(real, ".e") != NULL ? "" : ".0");
		break;
	case SHAPE_TEXT:
		sqlite3_str_appendf(s, " DEFAULT %Q", v->data);
		break;
	case SHAPE_BLOB:
		sqlite3_str_appendall(s, " DEFAULT x'");
		for (i = 0; i < v->len; i++)
			sqlite3_str_appendf(s, "%02x",
			    (unsigned)(uint8_t)v->data[i]);
		sqlite3_str_appendall(s, "'");
		break;
	case SHAPE_NULL:
		sqlite3_str_appendall(s, " DEFAULT NULL");
		break;
	case SHAPE_TIME:
		sqlite3_str_appendall(s, " DEFAULT CURRENT_TIME");
		break;
	case SHAPE_DATE:
		sqlite3_str_appendall(s, " DEFAULT CURRENT_DATE");
		break;
	case SHAPE_TIMESTAMP:
		sqlite3_str_appendall(s, " DEFAULT CURRENT_TIMESTAMP");
		break;
	case SHAPE_NONE:
	case SHAPE_KINDS:
		break;
	}
}

/* As words those types that SQLite must know as such, by which an integer key is
 * the rowid; any other is a quoted name to it, whatever stands there. */
static void
put_type(sqlite3_str *s, const char *type)
{
	static const char *const known[] = { "ANY", "BLOB", "INT", "INTEGER",
		"REAL", "TEXT" };
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(type, known[i]) == 0) {
			sqlite3_str_appendf(s, " %s", type);
			return;
		}
	if (type[0] != '\0')
		sqlite3_str_appendf(s, " \"%w\"", type);
}

static void
put_key(sqlite3_str *s, const struct shape_table *t)
{
	size_t i;

	sqlite3_str_appendall(s, ", PRIMARY KEY(");
	for (i = 0; i < t->nkey; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i > 0 ? ", " : "",
		    t->column[t->key[i]].name);
	sqlite3_str_appendall(s, ")");
}

char *
shape_ddl(const struct shape_table *t)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	const char *options = t->strict && t->without_rowid ?
	    " STRICT, WITHOUT ROWID" : t->strict ? " STRICT" :
	    t->without_rowid ? " WITHOUT ROWID" : "";
	const struct shape_column *c;
	size_t i;

	sqlite3_str_appendf(s, "CREATE TABLE main.\"%w\"(", t->name);
	for (i = 0; i < t->ncolumns; i++) {
		c = &t->column[i];
		sqlite3_str_appendf(s, "%s\"%w\"", i > 0 ? ", " : "", c->name);
		put_type(s, c->type);
		/* the one way to have an INTEGER key that is not the rowid */
		if (t->no_alias && t->nkey == 1 && t->key[0] == i)
			sqlite3_str_appendall(s, " PRIMARY KEY DESC");
		if (c->collation != SHAPE_BINARY)
			sqlite3_str_appendf(s, " COLLATE %s",
			    shape_collation_name(c->collation));
		if (c->not_null)
			sqlite3_str_appendall(s, " NOT NULL");
		put_value(s, &c->value);
	}
	if (!t->no_alias)
		put_key(s, t);
	sqlite3_str_appendf(s, ")%s", options);
	return sqlite3_str_finish(s);
}

static char *
index_ddl(const struct shape_table *t, const struct shape_index *x)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	const struct shape_part *p;
	size_t i;

	sqlite3_str_appendf(s, "CREATE INDEX IF NOT EXISTS main.\"%w\" ON "
	    "\"%w\"(", x->name, t->name);
	for (i = 0; i < x->nparts; i++) {
		p = &x->part[i];
		sqlite3_str_appendf(s, "%s\"%w\" COLLATE %s%s",
		    i > 0 ? ", " : "", t->column[p->column].name,
		    shape_collation_name(p->collation),
		    p->descends ? " DESC" : "");
	}
	sqlite3_str_appendall(s, ")");
	return sqlite3_str_finish(s);
}

/* ---- making ---- */

/* Runs and frees it.  What SQLite refuses is the shape's fault. */
static int
run(sqlite3 *db, char *sql, const char *what, struct err *err)
{
	int rc;

	if (sql == NULL)
		return err_nomem(err);
	rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_free(sql);
	if (rc == SQLITE_OK)
		return 0;
	if ((rc & 0xFF) != SQLITE_ERROR && (rc & 0xFF) != SQLITE_TOOBIG)
		return sql_fail(db, rc, err);
	return err_set(err, E_USAGE, "make its tables yourself, then use init, "
	    "track, remote add and pull", "%s can't be made here as it is there: "
	    "%s", what, sqlite3_errmsg(db));
}

static bool
is_reserved(const char *name)
{
	return sqlite3_strnicmp(name, "sqlite_", 7) == 0 ||
	    sqlite3_strnicmp(name, "crsql_", 6) == 0 ||
	    sqlite3_strnicmp(name, "ddcp_", 5) == 0 ||
	    sqlite3_strlike("%\\_\\_crsql\\_%", name, '\\') == 0;
}

int
shape_make(sqlite3 *db, const struct shape_table *t, struct err *err)
{
	struct shape made = { .table = NULL };
	int rc;

	if (is_reserved(t->name))
		return err_set(err, E_USAGE, NULL, "a table that is named %.80s is "
		    "never replicated", t->name);
	rc = run(db, shape_ddl(t), t->name, err);
	if (rc == 0)
		rc = shape_describe(db, t->name, &made, err);
	if (rc == 0 && !shape_same_table(t, &made.table[0]))
		rc = err_set(err, E_USAGE, "make its tables yourself, then use init, "
		    "track, remote add and pull", "%.80s can't be made here as it "
		    "is there: this SQLite takes its declaration otherwise",
		    t->name);
	shape_clear(&made);
	return rc;
}

int
shape_make_indexes(sqlite3 *db, const struct shape_table *t, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < t->nindexes && rc == 0; i++)
		if (!is_reserved(t->index[i].name))
			rc = run(db, index_ddl(t, &t->index[i]),
			    t->index[i].name, err);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * fract_order.c - makes tables ordered, and keeps what stands in the schema for
 * that fit to it.  How a table is ordered is told by its trigger of updates alone,
 * whose columns SQLite renames with the table's.
 */
#include <string.h>

#include "crdt/fract.h"
#include "crdt/lookaside.h"
#include "crdt/sqltext.h"

SQLITE_EXTENSION_INIT3

#define MISSING "all columns are not present in the base table"

/* -- what is known of a table ---------------------------------------------------- */

static void
order_free(struct fract_order *o)
{
	int i;

	for (i = 0; i < o->n; i++) {
		sqlite3_free(o->column[i].name);
		sqlite3_free(o->column[i].preset);
	}
	sqlite3_free(o->column);
	sqlite3_free(o->table);
	memset(o, 0, sizeof *o);
}

static int
add_column(struct fract_order *o, sqlite3_stmt *stmt)
{
	struct fract_column *c = sqlite3_realloc64(o->column,
	    sizeof *c * (uint64_t)(o->n + 1));
	sqlite3_str *s;
	int rc;

	if (c == NULL)
		return SQLITE_NOMEM;
	o->column = c;
	c += o->n++;
	memset(c, 0, sizeof *c);
	c->pk = sqlite3_column_int(stmt, 1);
	c->generated = sqlite3_column_int(stmt, 2) != 0;
	rc = engine_copy(stmt, 0, &c->name);
	if (rc == SQLITE_OK && sqlite3_column_int(stmt, 3)) {
		s = sqlite3_str_new(NULL);
		sqltext_add_default(s, engine_column(stmt, 4, &rc));
		rc = engine_text(s, rc, &c->preset);
	}
	return rc;
}

static int
find_column(const struct fract_order *o, const char *name)
{
	int i;

	for (i = o->n - 1; i >= 0; i--)
		if (sqlite3_stricmp(o->column[i].name, name) == 0)
			break;
	return i;
}

/* The first name of the rowid that is no column's. */
static const char *
rowid_name(const struct fract_order *o)
{
	int i;

	for (i = 0; i < 3; i++)
		if (find_column(o, lookaside_rowids[i]) < 0)
			return lookaside_rowids[i];
	return NULL;
}

/* Columns of the table of that name; none if there is no such table. */
static int
order_read(struct engine *e, const char *table, struct fract_order *o)
{
	sqlite3_stmt *stmt;
	int64_t rowid = 0;
	int rc = engine_int(e, &rowid, "SELECT NOT wr FROM pragma_table_list(%Q) "
	    "WHERE schema = 'main' AND type = 'table'", table);

	memset(o, 0, sizeof *o);
	o->order = -1;
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &stmt, "SELECT x.name, pk, hidden, "
		    "\"notnull\" AND dflt_value IS NOT NULL, dflt_value, s.name FROM "
		    "main.sqlite_schema s, pragma_table_xinfo(s.name, 'main') x "
		    "WHERE s.type = 'table' AND s.name = %Q COLLATE NOCASE AND s.sql "
		    "NOT LIKE 'CREATE VIRTUAL %%' ORDER BY cid", table);
	if (rc != SQLITE_OK)
		return rc;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = add_column(o, stmt);
		if (rc == SQLITE_OK && o->table == NULL)
			rc = engine_copy(stmt, 5, &o->table);
	}
	rc = engine_finalize(stmt, rc);
	o->rowid = rowid ? rowid_name(o) : NULL;
	return rc;
}

/* The first is that of the keys, the others tell lists apart. */
static int
choose(struct engine *e, struct fract_order *o, const char *name)
{
	int i = find_column(o, name);

	if (i < 0)
		return engine_fail(e, SQLITE_ERROR, MISSING);
	if (o->order < 0)
		o->order = i;
	else
		o->column[i].list = true;
	return SQLITE_OK;
}

/* As the text of its trigger says; SQLITE_ERROR: such columns are not there. */
static int
choose_all(struct engine *e, struct fract_order *o, const char *sql)
{
	const char *at = NULL;
	char *name;
	int rc;

	do {
		rc = fract_next_name(sql, &at, &name);
		if (rc == SQLITE_OK && name != NULL)
			rc = choose(e, o, name);
		sqlite3_free(name);
	} while (rc == SQLITE_OK && name != NULL);
	return rc == SQLITE_OK && o->order < 0 ? engine_fail(e, SQLITE_ERROR,
	    MISSING) : rc;
}

/* -- what it must be ---------------------------------------------------------------- */

static int
check_collation(struct engine *e, const struct fract_order *o)
{
	const char *name = o->column[o->order].name, *collation = NULL;
	int rc = sqlite3_table_column_metadata(e->db, "main", o->table, name, NULL,
	    &collation, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return engine_fail(e, rc, "%s", sqlite3_errmsg(e->db));
	return sqlite3_stricmp(collation, "BINARY") == 0 ? SQLITE_OK :
	    engine_fail(e, SQLITE_ERROR, "Column %s of table %s has the collation "
	    "%s: fractional keys are ordered by their bytes", name, o->table,
	    collation);
}

static int
check_columns(struct engine *e, const struct fract_order *o)
{
	const struct fract_column *c = &o->column[o->order];
	char *after;
	int i, same, keys = 0;

	if (c->pk > 0 || c->generated || c->list)
		return engine_fail(e, SQLITE_ERROR, "Table %s can't be ordered by "
		    "column %s, which is %s", o->table, c->name, c->pk > 0 ?
		    "part of its primary key" : c->list ?
		    "also one that tells lists apart" : "computed");
	for (i = 0; i < o->n; i++) {
		/* an INSERT of the view has no value of it yet */
		if (o->column[i].list && o->column[i].generated)
			return engine_fail(e, SQLITE_ERROR, "Table %s can't be ordered "
			    "by column %s, which is computed", o->table,
			    o->column[i].name);
		if (o->column[i].pk == 0)
			continue;
		keys++;
		after = sqlite3_mprintf("after_%s", o->column[i].name);
		same = after ? find_column(o, after) : -1;
		sqlite3_free(after);
		if (same >= 0)
			return engine_fail(e, SQLITE_ERROR, "Table %s has a column "
			    "%s, which %s_fractindex needs the name of", o->table,
			    o->column[same].name, o->table);
	}
	return keys > 0 ? check_collation(e, o) : engine_fail(e, SQLITE_ERROR,
	    "Table %s has no primary key: a row could not be named, behind which "
	    "another one is put", o->table);
}

/* The view has that trigger, whose text says so. */
#define HAS_TRIGGER(which, says) "EXISTS(SELECT 1 FROM main.sqlite_schema g WHERE " \
	"g.type = 'trigger' AND g.tbl_name = v.name AND g.name = v.name || '_" which \
	"_trig' AND " says ")"
#define QUOTED(tail) "'\"' || replace(v.name, '\"', '\"\"') || '" tail "\"'"
#define BEGINS(which, event) "instr(g.sql, 'CREATE TRIGGER ' || " QUOTED("_" which \
	"_trig") " || ' INSTEAD OF " event "') = 1"

/* The view is ours, by how its text and those of its three triggers begin, or
 * cr-sqlite's, whose trigger calls our functions: a user's own is neither. */
#define OUR_VIEW "type = 'view' AND ((instr(v.sql, 'CREATE VIEW ' || " QUOTED("") \
	" || ' AS SELECT \"') = 1 AND " HAS_TRIGGER("insert", BEGINS("insert", \
	"INSERT ON ' || " QUOTED("") " || ' BEGIN ")) " AND " HAS_TRIGGER("update", \
	BEGINS("update", "UPDATE OF \"after_")) " AND " HAS_TRIGGER("set", \
	BEGINS("set", "UPDATE OF \"")) ") OR " HAS_TRIGGER("insert", \
	"instr(g.sql, 'crsql_fract_') > 0") ")"

static int
check_name(struct engine *e, const struct fract_order *o)
{
	int64_t taken = 0;
	int rc = engine_int(e, &taken, "SELECT NOT (" OUR_VIEW ") FROM "
	    "main.sqlite_schema v WHERE name = '%q_fractindex' COLLATE NOCASE",
	    o->table);

	return rc != SQLITE_OK || !taken ? rc : engine_fail(e, SQLITE_ERROR,
	    "Table %s can't be ordered: %s_fractindex is there already", o->table,
	    o->table);
}

static int
order_check(struct engine *e, const struct fract_order *o)
{
	int rc = check_columns(e, o);

	return rc == SQLITE_OK ? check_name(e, o) : rc;
}

/* -- what stands in the schema ---------------------------------------------------------- */

static const char *
type_of(enum fract_object i)
{
	return i == FRACT_VIEW ? "VIEW" : "TRIGGER";
}

/* Object i is to be written so. */
static int
put(struct engine *e, const struct fract_order *o, enum fract_object i,
    const char *sql)
{
	char *name = fract_name(i, o->table);
	int64_t there = 0, same = 0;
	int rc = name ? SQLITE_OK : SQLITE_NOMEM;

	if (rc == SQLITE_OK)
		rc = engine_int(e, &there, "SELECT count(*) FROM main.sqlite_schema "
		    "WHERE name = %Q COLLATE NOCASE", name);
	if (rc == SQLITE_OK && there)
		rc = engine_int(e, &same, "SELECT sql = %Q FROM main.sqlite_schema "
		    "WHERE name = %Q COLLATE NOCASE", sql, name);
	if (rc == SQLITE_OK && there && !same)
		rc = engine_exec(e, "DROP %s main.\"%w\"", type_of(i), name);
	if (rc == SQLITE_OK && !same)
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(name);
	return rc;
}

static int
order_put(struct engine *e, const struct fract_order *o)
{
	enum fract_object i;
	char *sql;
	int rc = SQLITE_OK;

	for (i = 0; i < FRACT_OBJECTS && rc == SQLITE_OK; i++) {
		rc = fract_sql(o, i, &sql);
		if (rc == SQLITE_OK)
			rc = put(e, o, i, sql);
		sqlite3_free(sql);
	}
	return rc;
}

/* The triggers and the view that were made under that name. */
static int
drop_view(struct engine *e, const char *table)
{
	return engine_drop_each(e, "VIEW", "SELECT name FROM main.sqlite_schema v "
	    "WHERE name = '%q_fractindex' COLLATE NOCASE AND " OUR_VIEW, table);
}

static int
order_drop(struct engine *e, const char *table)
{
	int rc = drop_view(e, table);

	return rc != SQLITE_OK ? rc : engine_exec(e, "DROP TRIGGER IF EXISTS "
	    "main.\"__crsql_%w_fractindex_pend_trig\"; DROP TRIGGER IF EXISTS "
	    "main.\"__crsql_%w_fractindex_ezmove\"", table, table);
}

struct wanted {
	const char *table;
	const char *const *column;
	int n;
};

static int
make(struct engine *e, const void *arg)
{
	const struct wanted *w = arg;
	struct fract_order o;
	int i, rc = order_read(e, w->table, &o);

	if (rc == SQLITE_OK && o.n == 0)
		rc = engine_fail(e, SQLITE_ERROR, MISSING);
	for (i = 0; i < w->n && rc == SQLITE_OK; i++)
		rc = choose(e, &o, w->column[i]);
	if (rc == SQLITE_OK)
		rc = order_check(e, &o);
	if (rc == SQLITE_OK)
		rc = order_put(e, &o);
	order_free(&o);
	return rc;
}

int
fract_make(struct engine *e, const char *table, const char *const *column, int n)
{
	struct wanted w = { table, column, n };
	int rc = engine_atomically(e, make, &w);

	if (rc != SQLITE_OK)
		e->tables.schema_version = -1;
	return rc;
}

/* -- as the schema changes ------------------------------------------------------------- */

struct found {                  /* a trigger that tells of an order */
	char *noted;            /* the table's name when it was made */
	struct fract_order order;
	bool lost;              /* such columns are not there any more */
};

struct found_list {
	struct found *at;
	int n;
};

static void
found_free(struct found_list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		sqlite3_free(l->at[i].noted);
		order_free(&l->at[i].order);
	}
	sqlite3_free(l->at);
}

static bool
is_lean(struct engine *e, const char *table)
{
	const struct table *t = table_find(e, table);

	return t != NULL && t->lean;
}

static int
forgive(struct engine *e)
{
	sqlite3_free(e->error);
	e->error = NULL;
	return SQLITE_OK;
}

/* What its columns say; what they no longer fit is a loss, no failure. */
static int
read_found(struct engine *e, struct found *f, const char *table,
    const char *sql)
{
	int rc = order_read(e, table, &f->order);

	if (rc == SQLITE_OK)
		rc = choose_all(e, &f->order, sql);
	if (rc == SQLITE_OK)
		rc = check_columns(e, &f->order);
	if (rc != SQLITE_ERROR)
		return rc;
	f->lost = true;
	sqlite3_log(SQLITE_WARNING, "table %s is not ordered any more: %s", table,
	    engine_error(e));
	return forgive(e);
}

static int
add_found(struct engine *e, struct found_list *l, sqlite3_stmt *stmt)
{
	struct found *list;
	int rc = SQLITE_OK;
	const char *table = engine_column(stmt, 1, &rc);
	const char *sql = engine_column(stmt, 2, &rc);

	if (rc != SQLITE_OK || !fract_is_ours(sql))
		return rc;
	list = sqlite3_realloc64(l->at, sizeof *list * (uint64_t)(l->n + 1));
	if (list == NULL)
		return SQLITE_NOMEM;
	l->at = list;
	memset(&list[l->n], 0, sizeof *list);
	rc = engine_copy(stmt, 0, &list[l->n].noted);
	return rc == SQLITE_OK ? read_found(e, &list[l->n++], table, sql) : rc;
}

#define MOVES "SELECT substr(name, 9, length(name) - 26), tbl_name, sql FROM " \
	"main.sqlite_schema WHERE type = 'trigger' AND " \
	"name GLOB '__crsql_*_fractindex_ezmove'"

static int
find_all(struct engine *e, struct found_list *l)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, MOVES);

	memset(l, 0, sizeof *l);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = add_found(e, l, stmt);
	return engine_finalize(stmt, rc);
}

/* A view whose table was dropped, or made anew without its triggers, would hinder
 * every ALTER TABLE RENAME. */
static int
drop_orphans(struct engine *e)
{
	return engine_drop_each(e, "VIEW", "SELECT name FROM main.sqlite_schema v "
	    "WHERE name LIKE '%%\\_fractindex' ESCAPE '\\' AND " OUR_VIEW " AND NOT "
	    "EXISTS(SELECT 1 FROM main.sqlite_schema g WHERE g.type = 'trigger' AND "
	    "g.name IN ('__crsql_' || v.name || '_ezmove', "
	    "'__crsql_' || v.name || '_pend_trig'))");
}

/* Another's view may have the name that ours would get. */
static int
put_again(struct engine *e, const struct fract_order *o)
{
	int rc = check_name(e, o);

	if (rc != SQLITE_ERROR)
		return rc == SQLITE_OK ? order_put(e, o) : rc;
	sqlite3_log(SQLITE_WARNING, "%s", engine_error(e));
	forgive(e);
	return order_drop(e, o->table);
}

int
fract_follow(struct engine *e)
{
	struct found_list l;
	struct found *f;
	int i, rc = find_all(e, &l);

	/* of two tables one may have the other's name by now */
	for (i = 0; i < l.n && rc == SQLITE_OK; i++) {
		f = &l.at[i];
		if (f->lost || strcmp(f->noted, f->order.table) != 0)
			rc = order_drop(e, f->noted);
	}
	for (i = 0; i < l.n && rc == SQLITE_OK; i++) {
		f = &l.at[i];
		if (!f->lost && !is_lean(e, f->order.table))
			rc = put_again(e, &f->order);
	}
	found_free(&l);
	return rc == SQLITE_OK ? drop_orphans(e) : rc;
}

/* The columns that the trigger names in front hinder nothing. */
static int
take_off(struct engine *e, const struct found *f)
{
	char *sql = NULL;
	int rc = order_drop(e, f->noted);

	if (rc == SQLITE_OK && !f->lost)
		rc = fract_sql(&f->order, FRACT_LEAN, &sql);
	if (rc == SQLITE_OK && !f->lost)
		rc = put(e, &f->order, FRACT_MOVE, sql);
	sqlite3_free(sql);
	return rc;
}

int
fract_take_off(struct engine *e, const char *table)
{
	struct found_list l;
	int i, rc = find_all(e, &l);

	for (i = 0; i < l.n && rc == SQLITE_OK; i++)
		if (l.at[i].order.table != NULL &&
		    sqlite3_stricmp(l.at[i].order.table, table) == 0)
			rc = take_off(e, &l.at[i]);
	found_free(&l);
	return rc;
}

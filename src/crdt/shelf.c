// SPDX-License-Identifier: MPL-2.0
/* shelf.c - see shelf.h. */
#include "crdt/shelf.h"

#include <string.h>

#include "crdt/namemap.h"
#include "crdt/quiet.h"

SQLITE_EXTENSION_INIT3

enum {
	VALUES = 5,             /* type, name, tbl_name, rootpage, sql */
	AT_ONCE = 64            /* tables that SQLite knows at a time */
};

struct shelf_row {
	int64_t rowid;
	sqlite3_value *value[VALUES];
	struct shelf_row *next;         /* of the same job; NULL */
};

struct shelf {
	struct engine *e;
	struct shelf_row **row;         /* in order of their rowids */
	int n, room;
	const struct shelf_job *job;
	int njobs;
	struct shelf_row **of;          /* by job: the rows that it needs */
	struct namemap names;           /* of jobs */
};

static void
clear(struct shelf *s)
{
	int i, k;

	for (i = 0; i < s->n; i++) {
		for (k = 0; k < VALUES; k++)
			sqlite3_value_free(s->row[i]->value[k]);
		sqlite3_free(s->row[i]);
	}
	sqlite3_free(s->row);
	sqlite3_free(s->of);
	namemap_clear(&s->names);
}

/* -- the setting ---------------------------------------------------------------- */

/* Rows of sqlite_schema may be written, or not. */
static int
set_writable(struct engine *e, int to, bool *was)
{
	int now = 0, rc = sqlite3_db_config(e->db,
	    SQLITE_DBCONFIG_WRITABLE_SCHEMA, -1, &now);

	if (was != NULL)
		*was = now != 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(e->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, to,
		    &now);
	return rc == SQLITE_OK ? engine_renew_undo(e) : rc;
}

/* Another number of the schema: by it SQLite knows that what it has read is not so
 * any more, and that a rollback is to make it read again. */
static int
change_number(struct engine *e)
{
	int64_t number = 0;
	int rc = engine_int(e, &number, "PRAGMA main.schema_version");

	return rc != SQLITE_OK ? rc : engine_exec(e,
	    "PRAGMA main.schema_version = %lld", (number & 0x3FFFFFFF) + 1);
}

/* What stands there is what SQLite knows from now on. */
static int
read_anew(struct engine *e)
{
	int rc = engine_exec(e, "PRAGMA writable_schema = RESET");

	if (rc == SQLITE_OK)
		rc = engine_renew_undo(e);
	return rc == SQLITE_OK ? change_number(e) : rc;
}

/* The only statement that runs is the one that called us, which reads, and has
 * opened all tables it names. */
static bool
is_alone(struct engine *e)
{
	sqlite3_stmt *only;

	return quiet_runs_alone(e, &only) && (only == NULL ||
	    sqlite3_stmt_readonly(only));
}

int
shelf_may(struct engine *e, bool *may)
{
	int64_t virtual = 0;
	int defends = 0, rc = sqlite3_db_config(e->db, SQLITE_DBCONFIG_DEFENSIVE,
	    -1, &defends);

	*may = rc == SQLITE_OK && !defends && is_alone(e);
	if (rc == SQLITE_OK && *may)
		rc = engine_int(e, &virtual, "SELECT EXISTS(SELECT 1 FROM "
		    "main.sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL %%' UNION ALL "
		    "SELECT 1 FROM temp.sqlite_schema WHERE sql LIKE "
		    "'CREATE VIRTUAL %%')");
	*may = *may && !virtual;
	return rc;
}

/* -- rows -------------------------------------------------------------------------- */

static int
add_row(struct shelf *s, int64_t rowid, struct shelf_row **out)
{
	struct shelf_row **list = s->row, *r;
	int room = s->room ? s->room * 2 : 256;

	if (s->n == s->room) {
		list = sqlite3_realloc64(list, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		s->row = list;
		s->room = room;
	}
	*out = r = sqlite3_malloc(sizeof *r);
	if (r == NULL)
		return SQLITE_NOMEM;
	memset(r, 0, sizeof *r);
	r->rowid = rowid;
	s->row[s->n++] = r;
	return SQLITE_OK;
}

/* Of a table of a job, not its triggers: these need not be known. */
static void
assign(struct shelf *s, struct shelf_row *r)
{
	const char *type = (const char *)sqlite3_value_text(r->value[0]);
	const char *table = (const char *)sqlite3_value_text(r->value[2]);
	struct shelf_row **at;
	int job = table != NULL ? namemap_get(&s->names, table) : -1;

	if (job < 0 || type == NULL || strcmp(type, "trigger") == 0)
		return;
	for (at = &s->of[job]; *at != NULL; at = &(*at)->next)
		;
	*at = r;
}

/* An authorizer that answers SQLITE_IGNORE has NULL read for what is there; only an
 * index that SQLite made itself has no text. */
static bool
is_hidden(sqlite3_stmt *stmt)
{
	const char *type = (const char *)sqlite3_column_text(stmt, 1);
	int i = 0;

	while (i < VALUES && sqlite3_column_type(stmt, i) != SQLITE_NULL)
		i++;
	return i < VALUES || (sqlite3_column_type(stmt, VALUES) == SQLITE_NULL &&
	    (type == NULL || strcmp(type, "index") != 0));
}

/* Takes those behind a place; they get rowids behind all if new. */
static int
take(struct shelf *s, int64_t after, bool new)
{
	struct shelf_row *r = NULL;
	sqlite3_stmt *stmt;
	int64_t rowid;
	int k, rc = engine_prepare(s->e, &stmt, "SELECT rowid, type, name, tbl_name, "
	    "rootpage, sql FROM main.sqlite_schema WHERE rowid > %lld "
	    "ORDER BY rowid", after);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rowid = !new ? sqlite3_column_int64(stmt, 0) :
		    s->n > 0 ? s->row[s->n - 1]->rowid + 1 : 1;
		rc = is_hidden(stmt) ? engine_fail(s->e, SQLITE_AUTH, "the schema "
		    "may not be read") : add_row(s, rowid, &r);
		for (k = 0; k < VALUES && rc == SQLITE_OK; k++) {
			r->value[k] = sqlite3_value_dup(sqlite3_column_value(stmt,
			    k + 1));
			if (r->value[k] == NULL)
				rc = SQLITE_NOMEM;
		}
		if (rc == SQLITE_OK && !new)
			assign(s, r);
	}
	return engine_finalize(stmt, rc);
}

static int
prepare_put(struct engine *e, sqlite3_stmt **out)
{
	return engine_prepare(e, out, "INSERT INTO main.sqlite_schema(rowid, type, "
	    "name, tbl_name, rootpage, sql) VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
}

static int
put(struct engine *e, sqlite3_stmt *stmt, const struct shelf_row *r)
{
	int k, rc = sqlite3_bind_int64(stmt, 1, r->rowid);

	for (k = 0; k < VALUES && rc == SQLITE_OK; k++)
		rc = sqlite3_bind_value(stmt, k + 2, r->value[k]);
	return rc == SQLITE_OK ? engine_run(e, stmt) : rc;
}

/* -- jobs ------------------------------------------------------------------------ */

/* Only their tables stand there, and are known; *top is the last rowid. */
static int
lay_out(struct shelf *s, int from, int to, int64_t *top)
{
	const struct shelf_row *r;
	sqlite3_stmt *stmt = NULL;
	int i, rc = set_writable(s->e, 1, NULL);

	*top = 0;
	if (rc == SQLITE_OK)
		rc = engine_exec(s->e, "DELETE FROM main.sqlite_schema");
	if (rc == SQLITE_OK)
		rc = prepare_put(s->e, &stmt);
	for (i = from; i < to && rc == SQLITE_OK; i++) {
		if (s->of[i] == NULL)
			rc = engine_fail(s->e, SQLITE_ERROR, "no such table: %s",
			    s->job[i].table);
		for (r = s->of[i]; r != NULL && rc == SQLITE_OK; r = r->next) {
			*top = r->rowid > *top ? r->rowid : *top;
			rc = put(s->e, stmt, r);
		}
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? read_anew(s->e) : rc;
}

static int
run_some(struct shelf *s, int from, int to)
{
	int64_t top;
	int i, rc = lay_out(s, from, to, &top);

	for (i = from; i < to && rc == SQLITE_OK; i++)
		rc = engine_exec(s->e, "%s", s->job[i].sql);
	return rc == SQLITE_OK ? take(s, top, true) : rc;
}

static int
put_back(struct shelf *s)
{
	int64_t there = 0;
	sqlite3_stmt *stmt = NULL;
	int i, rc = set_writable(s->e, 1, NULL);

	if (rc == SQLITE_OK)
		rc = engine_exec(s->e, "DELETE FROM main.sqlite_schema");
	if (rc == SQLITE_OK)
		rc = prepare_put(s->e, &stmt);
	for (i = 0; i < s->n && rc == SQLITE_OK; i++)
		rc = put(s->e, stmt, s->row[i]);
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK)
		rc = engine_int(s->e, &there, "SELECT count(*) FROM "
		    "main.sqlite_schema");
	if (rc == SQLITE_OK && there != s->n)
		rc = engine_fail(s->e, SQLITE_CORRUPT, "rows of the schema were "
		    "lost: nothing is changed");
	return rc == SQLITE_OK ? read_anew(s->e) : rc;
}

static int
begin(struct shelf *s)
{
	int i, rc = SQLITE_OK;

	s->of = sqlite3_malloc64(sizeof *s->of * (uint64_t)(s->njobs + 1));
	if (s->of == NULL)
		return SQLITE_NOMEM;
	memset(s->of, 0, sizeof *s->of * (size_t)(s->njobs + 1));
	for (i = 0; i < s->njobs && rc == SQLITE_OK; i++)
		rc = namemap_set(&s->names, s->job[i].table, i);
	if (rc == SQLITE_OK)
		rc = take(s, INT64_MIN, false);
	return rc == SQLITE_OK ? change_number(s->e) : rc;
}

int
shelf_run(struct engine *e, const struct shelf_job *job, int n)
{
	sqlite3_int64 last = sqlite3_last_insert_rowid(e->db);
	struct shelf s = { .e = e, .job = job, .njobs = n };
	bool was = false;
	int i, rc, end;

	e->merging++;           /* what is written is not captured */
	rc = set_writable(e, 0, &was);
	if (rc == SQLITE_OK)
		rc = begin(&s);
	for (i = 0; i < n && rc == SQLITE_OK; i += AT_ONCE)
		rc = run_some(&s, i, i + AT_ONCE < n ? i + AT_ONCE : n);
	if (rc == SQLITE_OK)
		rc = put_back(&s);
	end = set_writable(e, was, NULL);
	sqlite3_set_last_insert_rowid(e->db, last);
	e->tables.schema_version = -1;
	e->merging--;
	clear(&s);
	return rc == SQLITE_OK ? end : rc;
}

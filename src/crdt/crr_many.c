// SPDX-License-Identifier: MPL-2.0
/*
 * crr_many.c - crsql_as_crrs: many tables made replicated at once.  What crr.c does
 * for one table after the other is done here step by step for all, so that SQLite
 * reads its schema a few times, not eight times for each (shelf.h).
 */
#include "crdt/crr.h"

#include <string.h>

#include "crdt/journal.h"
#include "crdt/lookaside.h"
#include "crdt/namemap.h"
#include "crdt/resync.h"
#include "crdt/schema.h"
#include "crdt/shelf.h"
#include "crdt/triggers.h"

SQLITE_EXTENSION_INIT3

enum { LEAST = 2 };             /* tables for which it is worth while, in a small
                                   schema; */
enum { ROWS_A_TABLE = 256 };    /* in a large one, a table for so many rows of it */

struct many {
	const char *list;       /* as given */
	bool shelf;             /* may be used */
	char **name;            /* as the schema has them, each once */
	int n, room;
	bool *alone;            /* one that is made by itself */
	struct namemap names;
	struct shelf_job *job;
	int njobs;
	int64_t made;
};

static void
clear(struct many *m)
{
	int i;

	for (i = 0; i < m->n; i++)
		sqlite3_free(m->name[i]);
	for (i = 0; i < m->njobs; i++)
		sqlite3_free(m->job[i].sql);
	sqlite3_free(m->name);
	sqlite3_free(m->alone);
	sqlite3_free(m->job);
	namemap_clear(&m->names);
}

/* -- names ------------------------------------------------------------------------- */

static int
add_name(struct many *m, const char *name)
{
	char **list = m->name;
	int room = m->room ? m->room * 2 : 16;

	if (namemap_get(&m->names, name) >= 0)
		return SQLITE_OK;
	if (m->n == m->room) {
		list = sqlite3_realloc64(list, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		m->name = list;
		m->room = room;
	}
	list[m->n] = sqlite3_mprintf("%s", name);
	if (list[m->n] == NULL)
		return SQLITE_NOMEM;
	m->n++;
	return namemap_set(&m->names, list[m->n - 1], m->n - 1);
}

/* Those that are to be made: not yet replicated, or without their triggers. */
static int
take_name(struct engine *e, struct many *m, const struct schema *s,
    sqlite3_stmt *stmt)
{
	const struct schema_table *in;
	const struct table *t;
	const char *name;
	int rc = SQLITE_OK;

	if (sqlite3_column_type(stmt, 0) != SQLITE_TEXT)
		return engine_fail(e, SQLITE_ERROR, "crsql_as_crrs wants a JSON "
		    "array of the names of tables");
	name = engine_column(stmt, 0, &rc);
	if (rc != SQLITE_OK)
		return rc;
	t = table_find(e, name);
	if (t != NULL && !t->bare)
		return SQLITE_OK;
	in = schema_find(s, name);
	return add_name(m, in != NULL && in->there ? in->name : name);
}

static int
take_names(struct engine *e, struct many *m, const struct schema *s)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT value FROM json_each(%Q)",
	    m->list);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = take_name(e, m, s, stmt);
	return engine_finalize(stmt, rc);
}

/* -- which of them alone --------------------------------------------------------- */

/* Who has something of a name that we need is made by itself: there it is found out
 * what that is. */
static void
look_at_name(struct many *m, const char *name)
{
	char base[NAME_MAX_BYTES + 1];
	const char *at = name;
	size_t len;
	int i;

	for (; (at = strcasestr(at, "__crsql_")) != NULL; at++) {
		len = (size_t)(at - name);
		if (len > NAME_MAX_BYTES)
			return;
		memcpy(base, name, len);
		base[len] = '\0';
		i = namemap_get(&m->names, base);
		if (i >= 0)
			m->alone[i] = true;
	}
}

/* *rows is how many the schema has. */
static void
look_at_names(struct engine *e, struct many *m, const struct schema *s,
    int *rows)
{
	const struct schema_row *r;
	const struct table *t;
	int i;

	*rows = 0;
	for (i = 0; i < s->n; i++)
		for (r = s->table[i].row; r != NULL; r = r->next) {
			look_at_name(m, r->name);
			++*rows;
		}
	for (i = 0; i < m->n; i++) {
		t = table_find(e, m->name[i]);
		m->alone[i] = m->alone[i] || t != NULL;
	}
}

/* Whether what is left is worth while and allowed; else each is made by itself. */
static int
choose(struct engine *e, struct many *m, const struct schema *s)
{
	bool may = false;
	int i, rows, n = 0, rc = SQLITE_OK;

	m->alone = sqlite3_malloc64(sizeof *m->alone * (uint64_t)(m->n + 1));
	if (m->alone == NULL)
		return SQLITE_NOMEM;
	memset(m->alone, 0, sizeof *m->alone * (size_t)(m->n + 1));
	look_at_names(e, m, s, &rows);
	for (i = 0; i < m->n; i++)
		n += !m->alone[i];
	if (m->shelf && n >= LEAST && n >= rows / ROWS_A_TABLE)
		rc = shelf_may(e, &may);
	for (i = 0; i < m->n && !may; i++)
		m->alone[i] = true;
	return rc;
}

/* -- making them -------------------------------------------------------------------- */

static int
prepare_all(struct engine *e, struct many *m)
{
	int64_t id;
	int i, rc = storage_ensure(e);

	if (rc == SQLITE_OK)
		rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	if (rc == SQLITE_OK)
		rc = table_follow(e);
	for (i = 0; i < m->n && rc == SQLITE_OK; i++) {
		if (m->alone[i])
			continue;
		rc = crr_check_name(e, m->name[i]);
		if (rc == SQLITE_OK)
			rc = crr_number(e, m->name[i], &id);
	}
	e->tables.schema_version = -1;
	return rc == SQLITE_OK ? table_refresh(e) : rc;
}

static struct table *
find(struct engine *e, const char *name, int *rc)
{
	struct table *t = table_find(e, name);

	if (t == NULL)
		*rc = engine_fail(e, SQLITE_ERROR, "table %s can't be replicated",
		    name);
	return t;
}

static int
write_sql(struct engine *e, struct table *t, char **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	char *metadata = crr_metadata_sql(t->name);
	int rc = metadata ? SQLITE_OK : SQLITE_NOMEM;

	if (rc == SQLITE_OK) {
		sqlite3_str_appendall(s, metadata);
		rc = triggers_add_sql(e, t, s);
	}
	sqlite3_free(metadata);
	return engine_text(s, rc, out);
}

static int
add_job(struct engine *e, struct many *m, const char *name)
{
	int rc = SQLITE_OK;
	struct table *t = find(e, name, &rc);

	if (rc == SQLITE_OK)
		rc = crr_check_keys(e, t);
	if (rc == SQLITE_OK)
		rc = lookaside_make(e, t);
	if (rc == SQLITE_OK)
		rc = journal_ensure_columns(e, t->npk);
	if (rc != SQLITE_OK)
		return rc;
	m->job[m->njobs].table = name;
	return write_sql(e, t, &m->job[m->njobs++].sql);
}

static int
write_jobs(struct engine *e, struct many *m)
{
	int i, rc = SQLITE_OK;

	m->job = sqlite3_malloc64(sizeof *m->job * (uint64_t)(m->n + 1));
	if (m->job == NULL)
		return SQLITE_NOMEM;
	memset(m->job, 0, sizeof *m->job * (size_t)(m->n + 1));
	for (i = 0; i < m->n && rc == SQLITE_OK; i++)
		if (!m->alone[i])
			rc = add_job(e, m, m->name[i]);
	return rc;
}

/* The triggers are there: what was to be known of the rows. */
static int
finish(struct engine *e, struct many *m)
{
	struct table *t;
	int i, rc = table_refresh(e);

	for (i = 0; i < m->njobs && rc == SQLITE_OK; i++) {
		t = find(e, m->job[i].table, &rc);
		if (rc == SQLITE_OK)
			rc = resync_note_key(e, t);
		if (rc == SQLITE_OK)
			rc = crr_fill(e, t);
	}
	m->made += m->njobs;
	return rc;
}

static int
make_together(struct engine *e, struct many *m)
{
	int i, n = 0, rc;

	for (i = 0; i < m->n; i++)
		n += !m->alone[i];
	if (n == 0)
		return SQLITE_OK;
	rc = prepare_all(e, m);
	if (rc == SQLITE_OK)
		rc = write_jobs(e, m);
	if (rc == SQLITE_OK)
		rc = shelf_run(e, m->job, m->njobs);
	return rc == SQLITE_OK ? finish(e, m) : rc;
}

static int
make_alone(struct engine *e, struct many *m)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < m->n && rc == SQLITE_OK; i++) {
		if (!m->alone[i])
			continue;
		rc = crr_make_inside(e, m->name[i]);
		m->made += rc == SQLITE_OK;
	}
	return rc;
}

static int
make(struct engine *e, const void *arg)
{
	struct many *m = *(struct many *const *)arg;
	struct schema s = { .n = 0 };
	int rc = table_refresh(e);

	if (rc == SQLITE_OK)
		rc = schema_read(e, NULL, SCHEMA_TEXTS, &s);
	if (rc == SQLITE_OK)
		rc = take_names(e, m, &s);
	if (rc == SQLITE_OK)
		rc = choose(e, m, &s);
	schema_clear(&s);
	if (rc == SQLITE_OK)
		rc = make_together(e, m);
	return rc == SQLITE_OK ? make_alone(e, m) : rc;
}

static int
try(struct engine *e, const char *names, bool shelf, int64_t *made)
{
	struct many m = { .list = names, .shelf = shelf }, *of = &m;
	int rc = engine_atomically(e, make, &of);

	*made = m.made;
	clear(&m);
	if (rc != SQLITE_OK)
		table_doubt(e);         /* what SQLite undid is not known any more */
	return rc;
}

int
crr_make_many(struct engine *e, const char *names, int64_t *made)
{
	int rc = try(e, names, true, made);

	/* an authorizer that minds may not mind the same one by one */
	return (rc & 0xFF) == SQLITE_AUTH ? try(e, names, false, made) : rc;
}

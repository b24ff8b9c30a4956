// SPDX-License-Identifier: MPL-2.0
/* track.c - which tables are replicated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/held.h"
#include "store/schema.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"

static int
is_tracked(struct store *s, const char *table, bool *tracked, struct err *err)
{
	struct held h;
	int rc = held_load(s->db, &h, err);

	*tracked = rc == 0 && held_find(&h, table) != NULL;
	held_clear(&h);
	return rc;
}

static int
check_exists(struct store *s, const char *table, struct err *err)
{
	int64_t n;
	int rc;

	rc = sql_int(s->db, &n, err, "SELECT count(*) FROM sqlite_schema "
	    "WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE", "t",
	    table);
	if (rc == 0 && n == 0)
		rc = err_set(err, E_NOTFOUND, "make it first; \"ddcp track\" "
		    "lists those there are", "there is no table %s", table);
	return rc;
}

struct reason {
	char text[256];
	bool found;
};

static int
take_reason(void *self, const char *table, enum store_lint_grade grade,
    const char *rule, const char *text)
{
	struct reason *r = self;

	if (grade == LINT_REFUSAL && !r->found) {
		r->found = true;
		snprintf(r->text, sizeof r->text, "%s", text);
	}
	return 0;
}

/* Why the engine does not take a table: in the words of `check`, where it
 * knows the reason, else in the engine's. */
static int
refused(struct store *s, const char *table, int rc, struct err *err)
{
	struct reason r = { "", false };
	char hint[128];

	if (rc != E_FATAL || (sqlite3_errcode(s->db) & 0xFF) != SQLITE_ERROR)
		return rc;
	snprintf(r.text, sizeof r.text, "%s", sqlite3_errmsg(s->db));
	store_check(s, table, take_reason, &r, NULL);
	snprintf(hint, sizeof hint, "\"ddcp check %.80s\" names all that is in "
	    "the way", table);
	return err_set(err, E_USAGE, hint, "%s can't be replicated: %s", table,
	    r.text);
}

int
store_track(struct store *s, const char *table, bool *already,
    struct err *err)
{
	int rc;

	*already = false;
	rc = store_writable(s, err);
	if (rc == 0)
		rc = check_exists(s, table, err);
	if (rc == 0 && (sqlite3_strnicmp(table, "ddcp_", 5) == 0 ||
	    sqlite3_strnicmp(table, "crsql_", 6) == 0 ||
	    sqlite3_strnicmp(table, "sqlite_", 7) == 0))
		rc = err_set(err, E_USAGE, "choose another name",
		    "tables of that name are never replicated: %s", table);
	if (rc == 0)
		rc = is_tracked(s, table, already, err);
	if (rc != 0 || *already)
		return rc;
	rc = sql_do(s->db, err, "SELECT crsql_as_crr(?1)", "t", table);
	return refused(s, table, rc, err);
}

/* A JSON array of the names; NULL without memory. */
static char *
list_names(const char *const *table, size_t n)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	const char *p;
	size_t i;

	sqlite3_str_appendchar(s, 1, '[');
	for (i = 0; i < n; i++) {
		sqlite3_str_appendf(s, "%s\"", i > 0 ? "," : "");
		for (p = table[i]; *p != '\0'; p++)
			if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
				sqlite3_str_appendf(s, "\\u%04x",
				    (unsigned)(unsigned char)*p);
			else
				sqlite3_str_appendchar(s, 1, *p);
		sqlite3_str_appendchar(s, 1, '"');
	}
	sqlite3_str_appendchar(s, 1, ']');
	return sqlite3_str_finish(s);
}

/* The engine may put rows of the schema aside meanwhile: this connection defends it
 * against SQL that somebody else has a say in, of which there is none here. */
int
store_track_many(struct store *s, const char *const *table, size_t n,
    struct err *err)
{
	char *names;
	int rc;

	rc = store_writable(s, err);
	if (rc != 0)
		return rc;
	names = list_names(table, n);
	if (names == NULL)
		return err_nomem(err);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	rc = sql_do(s->db, err, "SELECT crsql_as_crrs(?1)", "t", names);
	if (rc == E_FATAL && (sqlite3_errcode(s->db) & 0xFF) == SQLITE_ERROR)
		rc = err_set(err, E_USAGE, NULL, "tables can't be replicated: %s",
		    sqlite3_errmsg(s->db));
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_free(names);
	return rc;
}

/* The other tables keep their vectors and cursors, though the log gets another
 * id: only this table's changes left it. */
static int
untrack(struct store *s, const char *table, struct err *err)
{
	struct held before, after;
	int rc;

	rc = held_load(s->db, &before, err);
	if (rc == 0)
		rc = held_settle(&before, s->db, err);
	held_clear(&before);
	if (rc == 0)
		rc = sql_do(s->db, err, "SELECT crsql_as_table(?1)", "t", table);
	if (rc == 0)
		rc = held_load(s->db, &after, err);
	else
		return rc;
	if (rc == 0)
		rc = schema_set(s->db, "log_id", after.log_id,
		    sizeof after.log_id, err);
	held_clear(&after);
	if (rc == 0)
		rc = sql_do(s->db, err, "DELETE FROM ddcp_table WHERE name = ?1 "
		    "COLLATE NOCASE", "t", table);
	if (rc == 0)
		rc = sql_do(s->db, err, "DELETE FROM ddcp_cursor_table "
		    "WHERE name = ?1 COLLATE NOCASE", "t", table);
	return rc;
}

int
store_untrack(struct store *s, const char *table, struct err *err)
{
	bool tracked = false;
	int rc;

	rc = store_writable(s, err);
	if (rc == 0)
		rc = check_exists(s, table, err);
	if (rc == 0)
		rc = is_tracked(s, table, &tracked, err);
	if (rc == 0 && !tracked)
		rc = err_set(err, E_NOTFOUND, "\"ddcp track\" lists those that "
		    "are", "%s is not replicated", table);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	return rc != 0 ? rc : sql_end(s->db, untrack(s, table, err), err);
}

/* FNV-1a. */
static uint64_t
add_bytes(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 0; len--)
		hash = (hash ^ *p++) * 1099511628211u;
	return hash;
}

int
store_tables(struct store *s, size_t *n, uint64_t *which, struct err *err)
{
	struct split split = { .n = 0 };
	struct held h;
	size_t i;
	int rc = held_load(s->db, &h, err);

	if (rc == 0)
		rc = split_load(s->db, &split, err);
	*n = rc == 0 ? h.ntables : 0;
	*which = 14695981039346656037u;
	for (i = 0; i < *n; i++) {
		*which = add_bytes(*which, h.table[i].name,
		    strlen(h.table[i].name) + 1);
		*which = add_bytes(*which, &h.table[i].tbl,
		    sizeof h.table[i].tbl);
	}
	*which = add_bytes(*which, &split.n, sizeof split.n);
	split_clear(&split);
	held_clear(&h);
	return rc;
}

int
store_table_each(struct store *s, int (*each)(void *self, const char *table,
    bool tracked), void *self, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	struct held h;
	bool row = true;
	int rc;

	rc = held_load(s->db, &h, err);
	if (rc == 0)
		rc = sql_open(s->db, &stmt, err, "SELECT name FROM sqlite_schema "
		    "WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE "
		    "'\\' AND name NOT LIKE 'ddcp\\_%' ESCAPE '\\' AND "
		    "name NOT LIKE 'crsql\\_%' ESCAPE '\\' AND "
		    "name NOT LIKE '%\\_\\_crsql\\_%' ESCAPE '\\' ORDER BY name",
		    "");
	while (rc == 0 && row) {
		const char *name;

		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		name = (const char *)sqlite3_column_text(stmt, 0);
		rc = each(self, name, held_find(&h, name) != NULL);
	}
	sqlite3_finalize(stmt);
	held_clear(&h);
	return rc;
}

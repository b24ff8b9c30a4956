// SPDX-License-Identifier: MPL-2.0
/* schema.c - see schema.h. */
#include "crdt/schema.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

void
schema_clear(struct schema *s)
{
	struct schema_row *r;
	int i;

	for (i = 0; i < s->n; i++) {
		while ((r = s->table[i].row) != NULL) {
			s->table[i].row = r->next;
			sqlite3_free(r);
		}
		sqlite3_free(s->table[i].name);
	}
	for (i = 0; i < s->nstray; i++) {
		sqlite3_free(s->stray[i].name);
		sqlite3_free(s->stray[i].table);
	}
	sqlite3_free(s->table);
	sqlite3_free(s->stray);
	namemap_clear(&s->names);
	memset(s, 0, sizeof *s);
}

void
schema_remove_stray(struct schema *s, int i)
{
	sqlite3_free(s->stray[i].name);
	sqlite3_free(s->stray[i].table);
	s->stray[i] = s->stray[--s->nstray];
}

/* -- look-ups ------------------------------------------------------------------ */

const struct schema_table *
schema_find(const struct schema *s, const char *name)
{
	int i = namemap_get(&s->names, name);

	return i >= 0 ? &s->table[i] : NULL;
}

const struct schema_row *
schema_row(const struct schema_table *t, enum schema_kind kind,
    const char *name)
{
	const struct schema_row *r = t != NULL ? t->row : NULL;

	while (r != NULL && (r->kind != kind || strcmp(r->name, name) != 0))
		r = r->next;
	return r;
}

/* "__crsql_", one letter, "trig". */
int
schema_trigger_of(const char *name)
{
	int len = (int)strlen(name) - (int)strlen("__crsql_itrig");

	return len >= 0 && sqlite3_strnicmp(name + len, "__crsql_", 8) == 0 &&
	    sqlite3_stricmp(name + len + 9, "trig") == 0 ? len : -1;
}

const struct schema_row *
schema_own_trigger(const struct schema_table *t, const char *noted,
    const char *suffix)
{
	const struct schema_row *r, *any = NULL;
	int len;

	for (r = t != NULL ? t->row : NULL; r != NULL; r = r->next) {
		len = r->kind == SCHEMA_TRIGGER ? schema_trigger_of(r->name) : -1;
		if (len < 0 || strcmp(r->name + len + 8, suffix) != 0)
			continue;
		any = r;
		if (strncmp(r->name, noted, (size_t)len) == 0 &&
		    (int)strlen(noted) == len)
			break;
	}
	return r != NULL ? r : any;
}

const char *
schema_bearer(const struct schema *s, const char *noted)
{
	const struct schema_table *t = schema_find(s, noted);
	size_t len = strlen(noted);
	int i;

	if (t != NULL && t->marked && strcmp(t->name, noted) == 0)
		return t->name;
	for (i = 0; i < s->nstray; i++)
		if (strncmp(s->stray[i].name, noted, len) == 0 &&
		    strcmp(s->stray[i].name + len, "__crsql_itrig") == 0)
			return s->stray[i].table;
	return NULL;
}

const char *
schema_name_now(const struct schema *s, const char *noted)
{
	const char *bearer = schema_bearer(s, noted);
	const struct schema_table *t = schema_find(s, noted);

	if (bearer != NULL)
		return bearer;
	return t != NULL && t->there && strcmp(t->name, noted) == 0 ? t->name :
	    NULL;
}

/* -- reading ------------------------------------------------------------------- */

/* Eight at a time: there may be many megabytes. */
uint64_t
schema_mix(uint64_t h, const void *bytes, int len)
{
	const char *data = bytes;
	uint64_t word;
	int n;

	h ^= (uint64_t)len;
	for (; len > 0; data += n, len -= n) {
		n = len < 8 ? len : 8;
		word = 0;
		memcpy(&word, data, (size_t)n);
		h = (h ^ word) * 0x9E3779B97F4A7C15u;
		h ^= h >> 29;
	}
	return h;
}

static bool
says_fail(const char *sql)
{
	for (; (sql = strpbrk(sql, "fF")) != NULL; sql++)
		if (sqlite3_strnicmp(sql, "fail", 4) == 0)
			return true;
	return false;
}

/* A view of an ordered table, or a trigger of one. */
static bool
tells_of_order(enum schema_kind kind, const char *name)
{
	return (kind == SCHEMA_VIEW || kind == SCHEMA_TRIGGER) &&
	    sqlite3_strlike("%\\_fractindex%", name, '\\') == 0;
}

static enum schema_kind
kind_of(const char *type)
{
	if (type[0] == 'i')
		return SCHEMA_INDEX;
	if (type[0] == 'v')
		return SCHEMA_VIEW;
	return type[0] == 't' && type[1] == 'r' ? SCHEMA_TRIGGER : SCHEMA_TABLE;
}

static int
enter_table(struct schema *s, const char *name, struct schema_table **out)
{
	int i = namemap_get(&s->names, name), room, rc;
	struct schema_table *list = s->table, *t;

	*out = i >= 0 ? &list[i] : NULL;
	if (i >= 0)
		return SQLITE_OK;
	if (s->n == s->room) {
		room = s->room ? s->room * 2 : 32;
		list = sqlite3_realloc64(list, sizeof *list * (uint64_t)room);
		if (list == NULL)
			return SQLITE_NOMEM;
		s->table = list;
		s->room = room;
	}
	t = &list[s->n];
	memset(t, 0, sizeof *t);
	t->name = sqlite3_mprintf("%s", name);
	if (t->name == NULL)
		return SQLITE_NOMEM;
	rc = namemap_set(&s->names, t->name, s->n++);
	*out = t;
	return rc;
}

static int
add_stray(struct schema *s, const char *name, const char *table)
{
	struct schema_stray *list = sqlite3_realloc64(s->stray,
	    sizeof *list * (uint64_t)(s->nstray + 1));

	if (list == NULL)
		return SQLITE_NOMEM;
	s->stray = list;
	list += s->nstray++;
	list->name = sqlite3_mprintf("%s", name);
	list->table = sqlite3_mprintf("%s", table);
	return list->name != NULL && list->table != NULL ? SQLITE_OK :
	    SQLITE_NOMEM;
}

static int
add_text(struct schema_table *t, enum schema_kind kind, const char *name,
    const char *sql)
{
	size_t nname = strlen(name) + 1, nsql = sql != NULL ? strlen(sql) + 1 : 0;
	struct schema_row *r = sqlite3_malloc64(sizeof *r + nname + nsql);
	char *p = (char *)(r + 1);

	if (r == NULL)
		return SQLITE_NOMEM;
	*r = (struct schema_row){ NULL, kind, p, nsql ? p + nname : NULL };
	memcpy(p, name, nname);
	if (nsql > 0)
		memcpy(p + nname, sql, nsql);
	*(t->row == NULL ? &t->row : t->last) = r;
	t->last = &r->next;
	return SQLITE_OK;
}

/* What made a table or trigger; NULL: SQLite itself did. */
static const char *
sql_of(sqlite3_stmt *stmt, int *rc)
{
	return sqlite3_column_type(stmt, 3) == SQLITE_NULL ? NULL :
	    engine_column(stmt, 3, rc);
}

/* What a trigger says of its table, and of all. */
static int
look_at_trigger(struct schema *s, struct schema_table *t, const char *name,
    const char *table, const char *sql)
{
	int len = schema_trigger_of(name);

	s->may_fail = s->may_fail || says_fail(sql);
	if (len < 0)
		return SQLITE_OK;
	s->ours = true;
	if ((int)strlen(table) != len || strncmp(name, table, (size_t)len) != 0 ||
	    strcmp(t->name, table) != 0)
		return add_stray(s, name, table);
	t->marked = t->marked || strcmp(name + len, "__crsql_itrig") == 0;
	return SQLITE_OK;
}

static int
take_row(struct schema *s, sqlite3_stmt *stmt, enum schema_depth depth)
{
	int rc = SQLITE_OK;
	enum schema_kind kind = kind_of(engine_column(stmt, 0, &rc));
	const char *name = engine_column(stmt, 1, &rc);
	const char *table = engine_column(stmt, 2, &rc);
	const char *sql = sql_of(stmt, &rc);
	int64_t place[3] = { kind, sqlite3_column_int64(stmt, 4),
		sqlite3_column_int64(stmt, 5) };
	struct schema_table *t;

	if (rc == SQLITE_OK)
		rc = enter_table(s, table, &t);
	if (rc != SQLITE_OK)
		return rc;
	t->print = schema_mix(t->print, place, sizeof place);
	t->print = schema_mix(t->print, name, sqlite3_column_bytes(stmt, 1));
	t->print = schema_mix(t->print, sql, sqlite3_column_bytes(stmt, 3));
	/* in the same case of letters, but for one that was just renamed */
	if (kind == SCHEMA_TABLE && sqlite3_stricmp(name, t->name) == 0) {
		t->there = true;
		memcpy(t->name, name, strlen(t->name));
	}
	s->ordered = s->ordered || tells_of_order(kind, name);
	if (kind == SCHEMA_TRIGGER)
		rc = look_at_trigger(s, t, name, table, sql ? sql : "");
	return rc == SQLITE_OK && depth == SCHEMA_TEXTS ?
	    add_text(t, kind, name, sql) : rc;
}

#define ALL "SELECT type, name, tbl_name, sql, rootpage, rowid FROM " \
	"main.sqlite_schema "

/* Rows of one table behind a place. */
static int
read_one(struct engine *e, const char *of, enum schema_depth depth,
    int64_t after, struct schema *s)
{
	sqlite3_stmt *stmt;
	int rc = engine_int(e, &s->last, "SELECT max(rowid) FROM "
	    "main.sqlite_schema");

	if (rc != SQLITE_OK)
		return rc;
	rc = engine_prepare(e, &stmt, ALL "WHERE rowid > %lld AND (tbl_name = %Q "
	    "COLLATE NOCASE OR (type = 'trigger' AND name >= '%q__crsql_' AND "
	    "name < '%q__crsql`'))", after, of, of, of);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = take_row(s, stmt, depth);
	return engine_finalize(stmt, rc);
}

int
schema_read(struct engine *e, const char *of, enum schema_depth depth,
    struct schema *out)
{
	sqlite3_stmt *stmt;
	int rc;

	memset(out, 0, sizeof *out);
	if (of != NULL)
		return read_one(e, of, depth, INT64_MIN, out);
	rc = engine_prepare(e, &stmt, ALL);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = take_row(out, stmt, depth);
	return engine_finalize(stmt, rc);
}

int
schema_read_on(struct engine *e, const char *of, enum schema_depth depth,
    struct schema *s)
{
	return read_one(e, of, depth, s->last, s);
}

// SPDX-License-Identifier: MPL-2.0
/* table_stmt.c - the statements kept for a replicated table. */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/lookaside.h"

SQLITE_EXTENSION_INIT3

/* A list of names, each quoted and with `before` in front, appended to s. */
static void
add_names(sqlite3_str *s, const struct column *c, int n, const char *before,
    const char *after)
{
	int i;

	for (i = 0; i < n; i++)
		sqlite3_str_appendf(s, "%s\"%w\"%s", before, c[i].name, after);
}

/* "pk1" = ?1 AND "pk2" = ?2 ... */
static void
add_pk_terms(sqlite3_str *s, const struct table *t)
{
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\" = ?%d", i ? " AND " : "",
		    t->pk[i].name, i + 1);
}

/* OR ABORT: a conflict clause of the user's table would put the row in the
 * place of another one, or end the transaction, before anything is decided. */
static void
add_insert(sqlite3_str *s, const struct table *t, const int *cols, int n)
{
	int i, nparam = 1 + n + (t->integer_key ? 0 : t->npk);
	const char *comma = ", ";

	sqlite3_str_appendf(s, "INSERT OR ABORT INTO main.\"%w\"(", t->name);
	if (t->integer_key)
		sqlite3_str_appendf(s, "\"%w\"", t->pk[0].name);
	else if (!t->aside)
		sqlite3_str_appendall(s, t->rowid);
	else
		comma = "";
	for (i = 0; i < t->npk && !t->integer_key; i++, comma = ", ")
		add_names(s, &t->pk[i], 1, comma, "");
	for (i = 0; i < n; i++)
		add_names(s, &t->col[cols[i]], 1, ", ", "");
	/* ?1 is the key */
	sqlite3_str_appendall(s, t->aside ? ") VALUES(?2" : ") VALUES(?");
	for (i = t->aside ? 2 : 1; i < nparam; i++)
		sqlite3_str_appendall(s, ", ?");
	sqlite3_str_appendall(s, ")");
}

static void
add_update(sqlite3_str *s, const struct table *t, const int *cols, int n)
{
	int i;

	sqlite3_str_appendf(s, "UPDATE OR ABORT main.\"%w\" SET ", t->name);
	for (i = 0; i < n; i++)
		sqlite3_str_appendf(s, "%s\"%w\" = ?%d", i ? ", " : "",
		    t->col[cols[i]].name, i + 2);
	sqlite3_str_appendf(s, " WHERE %s", t->where);
}

#define META "main.\"%w__crsql_meta\""
#define DEAD "main.\"%w__crsql_dead\""

/* SELECT [key,] pk columns, columns. */
static void
add_columns(sqlite3_str *s, const struct table *t, bool with_key)
{
	sqlite3_str_appendf(s, "SELECT %s%s", with_key ? t->rowid : "",
	    with_key ? ", " : "");
	add_names(s, t->pk, 1, "", "");
	add_names(s, t->pk + 1, t->npk - 1, ", ", "");
	add_names(s, t->col, t->ncol, ", ", "");
}

/* The same FROM the table. */
static void
add_row(sqlite3_str *s, const struct table *t, bool with_key)
{
	add_columns(s, t, with_key);
	sqlite3_str_appendf(s, " FROM %s", t->from);
}

/* One of the columns, none of the others being copied. */
static void
add_value(sqlite3_str *s, const struct table *t)
{
	int i;

	sqlite3_str_appendall(s, "SELECT CASE ?2");
	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(s, " WHEN %d THEN \"%w\"", i, t->col[i].name);
	sqlite3_str_appendf(s, " END FROM %s WHERE %s = ?1", t->from, t->rowid);
}

/* Column i, if the parameter behind the key has its bit: what is not wanted is not
 * copied out of the page. */
static void
add_wanted(sqlite3_str *s, const struct table *t, int i)
{
	if (i < TABLE_WANT_BITS)
		sqlite3_str_appendf(s, ", CASE WHEN ?%d & %lld THEN \"%w\" END",
		    t->npk + 1, 1LL << i, t->col[i].name);
	else
		add_names(s, &t->col[i], 1, ", ", "");
}

static void
add_text(sqlite3_str *s, const struct table *t, enum table_stmt which)
{
	int i, *all;

	switch (which) {
	case TS_META_GET:
		sqlite3_str_appendf(s, "SELECT m FROM " META " WHERE key = ?1", t->noted);
		break;
	case TS_META_PUT:
		sqlite3_str_appendf(s, "INSERT OR REPLACE INTO " META
		    " VALUES(?1, ?2)", t->noted);
		break;
	case TS_META_FEED:
		sqlite3_str_appendf(s, "INSERT OR REPLACE INTO " META
		    " SELECT a, b FROM crsql_feed", t->noted);
		break;
	case TS_META_DEL:
		sqlite3_str_appendf(s, "DELETE FROM " META " WHERE key = ?1", t->noted);
		break;
	case TS_META_RANGE:
		sqlite3_str_appendf(s, "SELECT key, m FROM " META " WHERE key "
		    "BETWEEN ?1 AND ?2 ORDER BY key", t->noted);
		break;
	case TS_DEAD_GET:
		sqlite3_str_appendf(s, "SELECT m FROM " DEAD " WHERE pk = ?1", t->noted);
		break;
	case TS_DEAD_ADD:
		sqlite3_str_appendf(s, "INSERT OR IGNORE INTO " DEAD
		    " VALUES(?1, ?2)", t->noted);
		break;
	case TS_DEAD_FEED:
		sqlite3_str_appendf(s, "INSERT OR IGNORE INTO " DEAD
		    " SELECT a, b FROM crsql_feed", t->noted);
		break;
	case TS_DEAD_PUT:
		sqlite3_str_appendf(s, "INSERT OR REPLACE INTO " DEAD
		    " VALUES(?1, ?2)", t->noted);
		break;
	case TS_DEAD_DEL:
		sqlite3_str_appendf(s, "DELETE FROM " DEAD " WHERE pk = ?1", t->noted);
		break;
	case TS_FIND:
	case TS_FIND_ROW:
	case TS_FIND_ALL:
		sqlite3_str_appendall(s, "SELECT ");
		if (t->aside)
			lookaside_add_key_of_row(s, t);
		else
			sqlite3_str_appendall(s, t->rowid);
		for (i = 0; which == TS_FIND_ROW && i < t->ncol; i++)
			add_wanted(s, t, i);
		if (which == TS_FIND_ALL)
			add_names(s, t->col, t->ncol, ", ", "");
		sqlite3_str_appendf(s, " FROM main.\"%w\" t WHERE ", t->name);
		add_pk_terms(s, t);
		break;
	case TS_ROW:
		add_row(s, t, false);
		sqlite3_str_appendf(s, " WHERE %s = ?1", t->rowid);
		break;
	case TS_VALUE:
		add_value(s, t);
		break;
	case TS_ROW_RANGE:
		add_row(s, t, true);
		sqlite3_str_appendf(s, " WHERE %s BETWEEN ?1 AND ?2 ORDER BY %s",
		    t->rowid, t->rowid);
		break;
	case TS_MAX_KEY:
		if (t->aside)
			lookaside_add_stmt(s, t, which);
		else
			sqlite3_str_appendf(s, "SELECT %s FROM main.\"%w\" WHERE %s "
			    "< ?1 ORDER BY %s DESC LIMIT 1", t->rowid, t->name,
			    t->rowid, t->rowid);
		break;
	case TS_INSERT_ALL:
		all = sqlite3_malloc64(sizeof *all * (uint64_t)(t->ncol + 1));
		for (i = 0; all != NULL && i < t->ncol; i++)
			all[i] = i;
		if (all != NULL)
			add_insert(s, t, all, t->ncol);
		sqlite3_free(all);
		break;
	case TS_DELETE_ROW:
		sqlite3_str_appendf(s, "DELETE FROM main.\"%w\" WHERE %s",
		    t->name, t->where);
		break;
	case TS_ROW_OF_PK:
	case TS_ROW_OF_PK_SCAN:
		add_columns(s, t, false);
		/* WITHOUT ROWID that is the key itself, and no other index of it */
		sqlite3_str_appendf(s, " FROM main.\"%w\"%s WHERE ", t->name,
		    which == TS_ROW_OF_PK && !t->norowid ? "" : " NOT INDEXED");
		add_pk_terms(s, t);
		break;
	case TS_KEY_GET:
	case TS_KEY_PUT:
	case TS_KEY_PK:
		lookaside_add_stmt(s, t, which);
		break;
	case TS_COUNT: break;
	}
}

static int
prepare(struct engine *e, sqlite3_str *s, sqlite3_stmt **out)
{
	char *sql = sqlite3_str_finish(s);
	int rc = sql ? engine_prepare(e, out, "%s", sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

int
table_stmt(struct engine *e, struct table *t, enum table_stmt which,
    sqlite3_stmt **out)
{
	sqlite3_str *s;
	int rc;

	*out = t->stmt[which];
	if (*out != NULL) {
		sqlite3_reset(*out);
		return SQLITE_OK;
	}
	s = sqlite3_str_new(e->db);
	add_text(s, t, which);
	rc = prepare(e, s, out);
	t->stmt[which] = *out;
	return rc;
}

int
table_borrow(struct engine *e, struct table *t, enum table_stmt which,
    sqlite3_stmt **out)
{
	int rc = table_stmt(e, t, which, out);

	t->stmt[which] = NULL;
	return rc;
}

void
table_give_back(struct table *t, enum table_stmt which, sqlite3_stmt *stmt)
{
	engine_keep(&t->stmt[which], stmt);
}

/* Room for a statement more: one for each column, as a merge cell by cell needs,
 * and some for columns that come together.  Else the last goes. */
static int
make_room(struct table *t)
{
	enum { TOGETHER = 16 };
	int room = t->masked_room ? t->masked_room * 2 : TOGETHER;
	int most = (t->ncol < 64 ? t->ncol : 64) + TOGETHER;
	void *masked;

	if (t->nmasked < t->masked_room)
		return SQLITE_OK;
	if (t->masked_room >= most) {
		sqlite3_finalize(t->masked[--t->nmasked].stmt);
		return SQLITE_OK;
	}
	room = room < most ? room : most;
	masked = sqlite3_realloc64(t->masked, sizeof *t->masked * (uint64_t)room);
	if (masked == NULL)
		return SQLITE_NOMEM;
	t->masked = masked;
	t->masked_room = room;
	return SQLITE_OK;
}

/* A statement for those columns is kept by their bit mask; more than 64 columns
 * are prepared each time anew. */
int
table_stmt_for(struct engine *e, struct table *t, bool insert,
    const int *cols, int n, sqlite3_stmt **out)
{
	uint64_t mask = 0;
	sqlite3_str *s;
	bool small = true;
	int i, rc;

	for (i = 0; i < n; i++) {
		small = small && cols[i] < 64 && (i == 0 || cols[i] > cols[i - 1]);
		mask |= small ? (uint64_t)1 << cols[i] : 0;
	}
	for (i = 0; small && i < t->nmasked; i++)
		if (t->masked[i].mask == mask && t->masked[i].insert == insert) {
			*out = t->masked[i].stmt;
			sqlite3_reset(*out);
			return SQLITE_OK;
		}
	*out = NULL;
	s = sqlite3_str_new(e->db);
	if (insert)
		add_insert(s, t, cols, n);
	else
		add_update(s, t, cols, n);
	rc = prepare(e, s, out);
	if (rc == SQLITE_OK)
		rc = make_room(t);
	if (rc != SQLITE_OK) {
		sqlite3_finalize(*out);
		*out = NULL;
		return rc;
	}
	/* what does not fit into 64 bits: a mask that nobody asks for */
	t->masked[t->nmasked].mask = small ? mask : 0;
	t->masked[t->nmasked].insert = small && insert;
	t->masked[t->nmasked++].stmt = *out;
	return SQLITE_OK;
}

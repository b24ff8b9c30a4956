// SPDX-License-Identifier: MPL-2.0
#include "store/asked.h"

#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "store/held.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum {
	LOG_ID_LEN = 8,
	ORDER_LEN = 24,         /* of a cursor: what comes after the log id */
	NAME_MAX_BYTES = 2048,
	GROUPS_MAX = 1024,
	TABLES_MAX = 10000,
	ENCODED_MAX = 64 << 20
};

static const uint8_t nothing[STORE_CURSOR_LEN];

/* -- cursors --------------------------------------------------------------- */

bool
asked_not_after(const uint8_t a[STORE_CURSOR_LEN],
    const uint8_t b[STORE_CURSOR_LEN])
{
	if (memcmp(a, nothing, STORE_CURSOR_LEN) == 0)
		return true;
	return memcmp(a, b, LOG_ID_LEN) == 0 &&
	    memcmp(a + LOG_ID_LEN, b + LOG_ID_LEN, ORDER_LEN) <= 0;
}

void
asked_advance(struct asked *a, const uint8_t end[STORE_CURSOR_LEN])
{
	size_t i;

	/* A group that stands further on in the same log stays there. */
	for (i = 0; i < a->n; i++)
		if (asked_not_after(a->group[i].next, end) ||
		    memcmp(a->group[i].next, end, LOG_ID_LEN) != 0)
			memcpy(a->group[i].next, end, STORE_CURSOR_LEN);
}

void
asked_arrive(struct asked *a, const uint8_t end[STORE_CURSOR_LEN])
{
	size_t i;

	for (i = 0; i < a->n; i++)
		memcpy(a->group[i].next, end, STORE_CURSOR_LEN);
}

void
asked_settle(struct asked *a, bool done)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		struct asked_group *g = &a->group[i];

		if (done)
			memcpy(g->cursor, g->next, STORE_CURSOR_LEN);
		else
			memcpy(g->next, g->cursor, STORE_CURSOR_LEN);
	}
}

/* -- building ------------------------------------------------------------------ */

static struct asked_group *
add_group(struct asked *a, const uint8_t cursor[STORE_CURSOR_LEN])
{
	struct asked_group *g;

	g = realloc(a->group, (a->n + 1) * sizeof *g);
	if (g == NULL)
		return NULL;
	a->group = g;
	g = &a->group[a->n++];
	memset(g, 0, sizeof *g);
	memcpy(g->start, cursor, STORE_CURSOR_LEN);
	memcpy(g->cursor, cursor, STORE_CURSOR_LEN);
	memcpy(g->next, cursor, STORE_CURSOR_LEN);
	return g;
}

static int
add_table(struct asked_group *g, const char *name, size_t len, int64_t tbl,
    struct err *err)
{
	char **names;
	int64_t *tbls;

	if (g->n % 16 == 0) {
		names = realloc(g->name, (g->n + 16) * sizeof *names);
		if (names == NULL)
			return err_nomem(err);
		g->name = names;
		tbls = realloc(g->tbl, (g->n + 16) * sizeof *tbls);
		if (tbls == NULL)
			return err_nomem(err);
		g->tbl = tbls;
	}
	g->name[g->n] = strndup(name, len);
	if (g->name[g->n] == NULL)
		return err_nomem(err);
	g->tbl[g->n++] = tbl;
	return 0;
}

void
asked_clear(struct asked *a)
{
	size_t i, k;

	for (i = 0; i < a->n; i++) {
		struct asked_group *g = &a->group[i];

		for (k = 0; k < g->n; k++)
			free(g->name[k]);
		free(g->name);
		free(g->tbl);
		store_vector_clear(&g->vector);
	}
	free(a->group);
	memset(a, 0, sizeof *a);
}

/* Puts a table to the group of its cursor and vector. */
static int
place_table(struct asked *a, size_t *vector_of, const struct held *h,
    const struct held_table *t, const uint8_t cursor[STORE_CURSOR_LEN],
    struct err *err)
{
	struct asked_group *g = NULL;
	size_t i;
	int rc = 0;

	for (i = 0; i < a->n && g == NULL; i++)
		if (vector_of[i] == t->vector &&
		    memcmp(a->group[i].cursor, cursor, STORE_CURSOR_LEN) == 0)
			g = &a->group[i];
	/* Past the limit they start anew with the last group: slower, no
	 * more. */
	if (g == NULL && a->n == GROUPS_MAX) {
		g = &a->group[a->n - 1];
		memcpy(g->start, nothing, sizeof g->start);
		memcpy(g->cursor, nothing, sizeof g->cursor);
		memcpy(g->next, nothing, sizeof g->next);
		vector_meet(&g->vector, &h->vector[t->vector].v);
		vector_of[a->n - 1] = SIZE_MAX;
	} else if (g == NULL) {
		g = add_group(a, cursor);
		if (g == NULL)
			return err_nomem(err);
		vector_of[a->n - 1] = t->vector;
		rc = vector_copy(&h->vector[t->vector].v, &g->vector, err);
	}
	return rc == 0 ? add_table(g, t->name, strlen(t->name), t->tbl, err) :
	    rc;
}

/* The cursor of a table in another asked, or NULL. */
static const uint8_t *
cursor_in(const struct asked *a, const char *name, int64_t tbl)
{
	size_t i, k;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < a->group[i].n; k++)
			if (a->group[i].tbl[k] == tbl &&
			    strcmp(a->group[i].name[k], name) == 0)
				return a->group[i].cursor;
	return NULL;
}

static int
load_tables(struct asked *a, sqlite3 *db, int64_t remote,
    const struct held *h, const struct asked *fetched, struct err *err)
{
	size_t *vector_of = calloc(GROUPS_MAX, sizeof *vector_of);
	uint8_t cursor[STORE_CURSOR_LEN];
	const struct held_table *t;
	const uint8_t *further;
	sqlite3_stmt *stmt = NULL;
	bool row;
	size_t i;
	int rc;

	if (vector_of == NULL)
		return err_nomem(err);
	rc = sql_open(db, &stmt, err, "SELECT c.cursor FROM ddcp_cursor_table "
	    "AS t JOIN ddcp_cursor AS c ON c.id = t.cursor WHERE t.remote = ?1 "
	    "AND t.name = ?2 AND t.tbl = ?3", "i", remote);
	for (i = 0; i < h->ntables && i < TABLES_MAX && rc == 0; i++) {
		t = &h->table[i];
		sqlite3_bind_text(stmt, 2, t->name, -1, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 3, t->tbl);
		rc = sql_next(stmt, &row, err);
		memset(cursor, 0, sizeof cursor);
		if (rc == 0 && row && !h->stale)
			sql_column(stmt, 0, cursor, sizeof cursor);
		sqlite3_reset(stmt);
		further = cursor_in(fetched, t->name, t->tbl);
		if (further != NULL)
			memcpy(cursor, further, sizeof cursor);
		if (rc == 0)
			rc = place_table(a, vector_of, h, t, cursor, err);
	}
	sqlite3_finalize(stmt);
	free(vector_of);
	return rc;
}

int
asked_load(sqlite3 *db, int64_t remote, const struct asked *fetched,
    struct asked *a, struct err *err)
{
	struct store_entry own;
	struct held h;
	size_t i;
	int rc;

	memset(a, 0, sizeof *a);
	rc = held_load(db, &h, err);
	if (rc == 0)
		rc = load_tables(a, db, remote, &h, fetched, err);
	if (rc == 0)
		rc = store_own_entry(db, &own, err);
	for (i = 0; i < a->n && rc == 0; i++) {
		rc = vector_set(&a->group[i].vector, &own, err);
		vector_rehash(&a->group[i].vector);
	}
	held_clear(&h);
	return rc;
}

/* -- as bytes -------------------------------------------------------------------- */

int
asked_encode(const struct asked *a, struct buf *out, struct err *err)
{
	size_t i, k;

	buf_init(out, ENCODED_MAX);
	buf_add_varint(out, a->n);
	for (i = 0; i < a->n; i++) {
		const struct asked_group *g = &a->group[i];

		buf_add_varint(out, g->n);
		for (k = 0; k < g->n; k++) {
			buf_add_varint(out, strlen(g->name[k]));
			buf_add(out, g->name[k], strlen(g->name[k]));
			buf_add_varint(out, (uint64_t)g->tbl[k]);
		}
		buf_add(out, g->start, STORE_CURSOR_LEN);
		buf_add(out, g->cursor, STORE_CURSOR_LEN);
		vector_encode(&g->vector, out);
	}
	return out->failed ? err_nomem(err) : 0;
}

static int
decode_group(struct asked *a, struct rd *r, struct err *err)
{
	uint64_t k, n = rd_varint(r, TABLES_MAX), len, tbl;
	struct asked_group *g = add_group(a, nothing);
	const uint8_t *name;
	int rc = 0;

	if (g == NULL)
		return err_nomem(err);
	for (k = 0; k < n && rc == 0 && !rd_failed(r); k++) {
		len = rd_varint(r, NAME_MAX_BYTES);
		name = rd_bytes(r, len);
		tbl = rd_varint(r, INT64_MAX);
		if (name != NULL)
			rc = add_table(g, (const char *)name, len,
			    (int64_t)tbl, err);
	}
	rd_copy(r, STORE_CURSOR_LEN, g->start);
	rd_copy(r, STORE_CURSOR_LEN, g->cursor);
	memcpy(g->next, g->cursor, STORE_CURSOR_LEN);
	return rc == 0 ? vector_decode(r, &g->vector, err) : rc;
}

int
asked_decode(const uint8_t *data, size_t len, struct asked *a,
    struct err *err)
{
	struct rd r;
	uint64_t i, n;
	int rc = 0;

	memset(a, 0, sizeof *a);
	rd_init(&r, data, len);
	n = rd_varint(&r, GROUPS_MAX);
	for (i = 0; i < n && rc == 0 && !rd_failed(&r); i++)
		rc = decode_group(a, &r, err);
	if (rc == 0 && !rd_done(&r))
		rc = err_set(err, E_INTEGRITY, NULL, "the inbox is damaged");
	return rc;
}

/* -- the plan ---------------------------------------------------------------------- */

void
store_plan_clear(struct store_plan *p)
{
	size_t i, k;

	for (i = 0; i < p->ngroups; i++) {
		struct store_group *g = &p->group[i];

		for (k = 0; k < g->ntables; k++)
			free(g->table[k]);
		free(g->table);
		store_vector_clear(&g->vector);
	}
	free(p->group);
	memset(p, 0, sizeof *p);
}

static int
plan_group(const struct asked_group *from, struct store_group *to,
    struct err *err)
{
	int rc;

	to->table = calloc(from->n, sizeof *to->table);
	if (to->table == NULL)
		return err_nomem(err);
	for (; to->ntables < from->n; to->ntables++) {
		to->table[to->ntables] = strdup(from->name[to->ntables]);
		if (to->table[to->ntables] == NULL)
			return err_nomem(err);
	}
	memcpy(to->cursor, from->cursor, STORE_CURSOR_LEN);
	to->vector_known = true;
	rc = vector_copy(&from->vector, &to->vector, err);
	vector_rehash(&to->vector);
	return rc;
}

int
asked_plan(const struct asked *a, struct store_plan *out, struct err *err)
{
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof *out);
	if (a->n == 0)
		return 0;
	out->group = calloc(a->n, sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	for (i = 0; i < a->n && rc == 0; i++) {
		out->ngroups++;
		rc = plan_group(&a->group[i], &out->group[i], err);
		if (i == 0 || asked_not_after(a->group[i].cursor, out->merged))
			memcpy(out->merged, a->group[i].cursor,
			    STORE_CURSOR_LEN);
		else if (memcmp(a->group[i].cursor, out->merged,
		    LOG_ID_LEN) != 0)
			memset(out->merged, 0, sizeof out->merged);
	}
	return rc;
}

/* -- cursors in the database --------------------------------------------------------- */

/* New rows for all groups.  Tables that were not asked for keep theirs. */
static int
write_all(struct asked *a, sqlite3 *db, int64_t remote, struct err *err)
{
	size_t i, k;
	int rc = 0;

	for (i = 0; i < a->n && rc == 0; i++) {
		struct asked_group *g = &a->group[i];

		/* Random, so that a number is never met again in another
		 * meaning by one who remembers it. */
		rc = sql_do(db, err, "INSERT INTO ddcp_cursor VALUES("
		    "random() & 0x7FFFFFFFFFFFFFFF, ?1, ?2)", "ib", remote,
		    g->next, (size_t)STORE_CURSOR_LEN);
		g->row = sqlite3_last_insert_rowid(db);
		for (k = 0; k < g->n && rc == 0; k++)
			rc = sql_do(db, err, "INSERT INTO ddcp_cursor_table "
			    "VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
			    "tbl = excluded.tbl, cursor = excluded.cursor",
			    "itii", remote, g->name[k], g->tbl[k], g->row);
	}
	if (rc == 0)
		rc = sql_do(db, err, "DELETE FROM ddcp_cursor WHERE remote = ?1 "
		    "AND id NOT IN (SELECT cursor FROM ddcp_cursor_table "
		    "WHERE remote = ?1)", "i", remote);
	return rc;
}

int
asked_write(struct asked *a, sqlite3 *db, int64_t remote, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < a->n; i++)
		if (a->group[i].row == 0)
			return write_all(a, db, remote, err);
	for (i = 0; i < a->n && rc == 0; i++) {
		struct asked_group *g = &a->group[i];

		rc = sql_do(db, err, "UPDATE ddcp_cursor SET cursor = ?2 "
		    "WHERE id = ?1 AND remote = ?3", "ibi", g->row, g->next,
		    (size_t)STORE_CURSOR_LEN, remote);
		/* Somebody else pulled in between and numbered anew. */
		if (rc == 0 && sqlite3_changes(db) == 0)
			return write_all(a, db, remote, err);
	}
	return rc;
}

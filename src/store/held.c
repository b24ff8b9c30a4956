// SPDX-License-Identifier: MPL-2.0
#include "store/held.h"

#include <stdlib.h>
#include <string.h>

#include "store/schema.h"
#include "store/sql.h"
#include "store/vector.h"

/* -- reading -------------------------------------------------------------- */

static int
read_log_id(struct held *h, sqlite3 *db, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN], stored[sizeof h->log_id];
	bool found;
	int rc;

	rc = sql_bytes(db, head, sizeof head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc == 0)
		rc = schema_get(db, "log_id", stored, sizeof stored, &found,
		    err);
	memcpy(h->log_id, head, sizeof h->log_id);
	h->stale = memcmp(stored, h->log_id, sizeof stored) != 0;
	return rc;
}

static int
add_vector(struct held *h, int64_t id, struct err *err)
{
	struct held_vector *list;

	list = realloc(h->vector, (h->nvectors + 1) * sizeof *list);
	if (list == NULL)
		return err_nomem(err);
	h->vector = list;
	memset(&list[h->nvectors], 0, sizeof *list);
	list[h->nvectors++].id = id;
	return 0;
}

static int
read_vectors(struct held *h, sqlite3 *db, struct err *err)
{
	struct store_entry entry;
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	int rc;

	rc = add_vector(h, 0, err);
	if (rc == 0 && !h->stale)
		rc = sql_open(db, &stmt, err, "SELECT id, site, version, token "
		    "FROM ddcp_vector ORDER BY id, site", "");
	while (rc == 0 && stmt != NULL && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		if (sqlite3_column_int64(stmt, 0) !=
		    h->vector[h->nvectors - 1].id)
			rc = add_vector(h, sqlite3_column_int64(stmt, 0), err);
		sql_column(stmt, 1, entry.site, sizeof entry.site);
		entry.version = (uint64_t)sqlite3_column_int64(stmt, 2);
		sql_column(stmt, 3, entry.token, sizeof entry.token);
		if (rc == 0)
			rc = vector_set(&h->vector[h->nvectors - 1].v, &entry,
			    err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
add_table(struct held *h, sqlite3_stmt *stmt, struct err *err)
{
	int64_t id = h->stale ? 0 : sqlite3_column_int64(stmt, 2);
	struct held_table *t;
	size_t i;

	if (h->ntables % 16 == 0) {
		t = realloc(h->table, (h->ntables + 16) * sizeof *t);
		if (t == NULL)
			return err_nomem(err);
		h->table = t;
	}
	t = &h->table[h->ntables];
	t->name = strdup((const char *)sqlite3_column_text(stmt, 0));
	if (t->name == NULL)
		return err_nomem(err);
	h->ntables++;
	t->tbl = sqlite3_column_int64(stmt, 1);
	t->vector = 0;
	for (i = 0; i < h->nvectors; i++)
		if (h->vector[i].id == id)
			t->vector = i;
	return 0;
}

static int
read_tables(struct held *h, sqlite3 *db, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	bool any;
	int rc;

	/* The engine makes its tables with the first replicated one. */
	rc = sql_has_table(db, "crsql_tbl", &any, err);
	if (rc != 0 || !any)
		return rc;
	rc = sql_open(db, &stmt, err, "SELECT t.name, t.id, d.vector "
	    "FROM crsql_tbl AS t JOIN sqlite_schema AS m ON m.type = 'table' "
	    "AND m.name = t.name LEFT JOIN ddcp_table AS d ON "
	    "d.name = t.name AND d.tbl = t.id ORDER BY t.name COLLATE NOCASE", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = add_table(h, stmt, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
held_load(sqlite3 *db, struct held *h, struct err *err)
{
	int rc;

	memset(h, 0, sizeof *h);
	rc = read_log_id(h, db, err);
	if (rc == 0)
		rc = read_vectors(h, db, err);
	if (rc == 0)
		rc = read_tables(h, db, err);
	return rc;
}

void
held_clear(struct held *h)
{
	size_t i;

	for (i = 0; i < h->ntables; i++)
		free(h->table[i].name);
	for (i = 0; i < h->nvectors; i++)
		store_vector_clear(&h->vector[i].v);
	free(h->table);
	free(h->vector);
	memset(h, 0, sizeof *h);
}

const struct held_table *
held_find(const struct held *h, const char *name)
{
	size_t lo = 0, hi = h->ntables, mid;
	int order;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = sqlite3_stricmp(h->table[mid].name, name);
		if (order == 0)
			return &h->table[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* -- writing ----------------------------------------------------------------- */

int
held_settle(const struct held *h, sqlite3 *db, struct err *err)
{
	static const char *const all[] = { "DELETE FROM ddcp_table",
		"DELETE FROM ddcp_vector", "DELETE FROM ddcp_cursor_table",
		"DELETE FROM ddcp_cursor" };
	size_t i;
	int rc = 0;

	if (h->stale) {
		for (i = 0; i < sizeof all / sizeof *all && rc == 0; i++)
			rc = sql_do(db, err, all[i], "");
		if (rc == 0)
			rc = schema_set(db, "log_id", h->log_id,
			    sizeof h->log_id, err);
		return rc;
	}
	if (h->ntables == 0)
		return sql_do(db, err, "DELETE FROM ddcp_table", "");
	rc = sql_do(db, err, "DELETE FROM ddcp_table WHERE "
	    "(name, tbl) NOT IN (SELECT name, id FROM crsql_tbl)", "");
	return rc != 0 ? rc : sql_do(db, err, "DELETE FROM ddcp_cursor_table "
	    "WHERE (name, tbl) NOT IN (SELECT name, id FROM crsql_tbl)", "");
}

static int
write_entry(sqlite3 *db, int64_t id, const struct store_entry *e,
    struct err *err)
{
	return sql_do(db, err, "INSERT INTO ddcp_vector VALUES(?1, ?2, ?3, ?4) "
	    "ON CONFLICT DO UPDATE SET version = excluded.version, "
	    "token = excluded.token", "ibib", id, e->site,
	    (size_t)STORE_SITE_LEN, (int64_t)e->version, e->token,
	    (size_t)STORE_TOKEN_LEN);
}

static int
write_table(sqlite3 *db, const struct held_table *t, int64_t id,
    struct err *err)
{
	return sql_do(db, err, "INSERT INTO ddcp_table VALUES(?1, ?2, ?3) "
	    "ON CONFLICT DO UPDATE SET tbl = excluded.tbl, "
	    "vector = excluded.vector", "tii", t->name, t->tbl, id);
}

/* The tables of vector k that take names get a vector of their own: a copy,
 * whose index goes to *out. */
static int
split(struct held *h, sqlite3 *db, size_t k, const bool *take, size_t *out,
    struct err *err)
{
	int64_t id;
	size_t i, n;
	int rc;

	rc = sql_int(db, &id, err, "SELECT max(id) FROM ddcp_vector", "");
	for (i = 0; i < h->nvectors; i++)
		if (h->vector[i].id > id)
			id = h->vector[i].id;
	if (rc == 0)
		rc = add_vector(h, id + 1, err);
	if (rc != 0)
		return rc;
	n = h->nvectors - 1;
	rc = vector_copy(&h->vector[k].v, &h->vector[n].v, err);
	for (i = 0; i < h->vector[n].v.n && rc == 0; i++)
		rc = write_entry(db, id + 1, &h->vector[n].v.entry[i], err);
	for (i = 0; i < h->ntables && rc == 0; i++) {
		if (!take[i] || h->table[i].vector != k)
			continue;
		h->table[i].vector = n;
		rc = write_table(db, &h->table[i], id + 1, err);
	}
	*out = n;
	return rc;
}

static int
raise(struct held *h, sqlite3 *db, size_t k, const struct store_vector *v,
    struct err *err)
{
	bool rose;
	size_t i;
	int rc = 0;

	for (i = 0; i < v->n && rc == 0; i++) {
		rc = vector_raise(&h->vector[k].v, &v->entry[i], &rose, err);
		if (rc == 0 && rose)
			rc = write_entry(db, h->vector[k].id, &v->entry[i],
			    err);
	}
	return rc;
}

/* Tables of vector `from` go over to the equal vector `to`. */
static int
unite(struct held *h, sqlite3 *db, size_t from, size_t to, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < h->ntables && rc == 0; i++) {
		if (h->table[i].vector != from)
			continue;
		h->table[i].vector = to;
		rc = write_table(db, &h->table[i], h->vector[to].id, err);
	}
	return rc;
}

static int
unite_equals(struct held *h, sqlite3 *db, struct err *err)
{
	size_t a, b;
	int rc = 0;

	for (a = 1; a < h->nvectors; a++) {
		for (b = a + 1; b < h->nvectors && rc == 0; b++)
			if (vector_equal(&h->vector[a].v, &h->vector[b].v))
				rc = unite(h, db, b, a, err);
	}
	if (rc == 0 && h->nvectors > 2)
		rc = sql_do(db, err, "DELETE FROM ddcp_vector WHERE id NOT IN "
		    "(SELECT vector FROM ddcp_table)", "");
	return rc;
}

int
held_join(struct held *h, sqlite3 *db, const bool *take,
    const struct store_vector *v, struct err *err)
{
	size_t n = h->nvectors, k, i, taken, left;
	int rc = 0;

	for (k = 0; k < n && rc == 0; k++) {
		taken = left = 0;
		for (i = 0; i < h->ntables; i++) {
			if (h->table[i].vector != k)
				continue;
			if (take[i])
				taken++;
			else
				left++;
		}
		if (taken == 0 || vector_covers(&h->vector[k].v, v))
			continue;
		i = k;
		if (left > 0 || k == 0)
			rc = split(h, db, k, take, &i, err);
		if (rc == 0)
			rc = raise(h, db, i, v, err);
	}
	return rc == 0 ? unite_equals(h, db, err) : rc;
}

/* -- over all tables ------------------------------------------------------------ */

int
held_by_all(const struct held *h, struct store_vector *out, struct err *err)
{
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof *out);
	for (i = 0; i < h->ntables && rc == 0; i++) {
		if (i == 0)
			rc = vector_copy(&h->vector[h->table[i].vector].v, out,
			    err);
		else if (h->table[i].vector != h->table[i - 1].vector)
			vector_meet(out, &h->vector[h->table[i].vector].v);
	}
	return rc;
}

int
held_by_any(const struct held *h, struct store_vector *out, struct err *err)
{
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof *out);
	for (i = 0; i < h->nvectors && rc == 0; i++)
		rc = vector_join(out, &h->vector[i].v, err);
	return rc;
}

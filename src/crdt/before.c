// SPDX-License-Identifier: MPL-2.0
/*
 * before.c - notes of what a merge writes over, and the functions that ask for them
 * and forget them; see before.h.  How values come is before_hook.c's, too, writing
 * notes before_write.c's, reading them before_table.c's.
 */
#include "crdt/before.h"

#include "crdt/merge.h"
#include "crdt/storage.h"

void
before_init(struct before *b)
{
	b->kind = BEFORE_NONE;
	buf_init(&b->cells, INT32_MAX);
}

void
before_clear(struct before *b)
{
	buf_clear(&b->cells);
	b->kind = BEFORE_NONE;
}

void
before_begin(struct before *b)
{
	b->kind = BEFORE_NONE;
	b->cells.len = 0;
	b->cells.failed = false;
}

struct before_mark
before_here(const struct before *b)
{
	return (struct before_mark){ b->kind, b->cells.len };
}

void
before_back(struct before *b, struct before_mark at)
{
	b->kind = at.kind;
	b->cells.len = at.len;
}

/* -- what there is ------------------------------------------------------------- */

void
before_life(struct engine *e, struct merge_row *row)
{
	if (e->tx.keep_before && row->was_dead && row->before.kind == BEFORE_NONE)
		row->before.kind = BEFORE_ABSENT;
}

/* The lowest db_version of what is known of a row. */
static int64_t
oldest_of(const struct meta *m)
{
	int64_t low = m->has_sentinel ? m->sentinel.dbv : INT64_MAX;
	int i;

	if (m->base == BASE_RUN)
		return 0;
	if (m->base == BASE_AT && m->base_at.dbv < low)
		low = m->base_at.dbv;
	for (i = 0; i < m->ncol; i++)
		if (m->col[i].dbv != 0 && m->col[i].dbv < low)
			low = m->col[i].dbv;
	return low == INT64_MAX ? 0 : low;
}

static void
begin_note(struct merge_row *row, enum before_kind kind)
{
	struct before *b = &row->before;

	if (b->kind == BEFORE_NONE) {
		b->oldest = oldest_of(&row->meta);
		b->key = row->key;
	}
	b->kind = kind;
}

/* We are inside a function of SQL's, so that nobody else uses the connection: the
 * value itself is asked, for which SQLite locks nothing.  No memory: the end of the
 * statement tells. */
static struct val
value_of(sqlite3_stmt *stmt, int i)
{
	struct val v = val_of(sqlite3_column_value(stmt, i));

	if (v.data == NULL)
		v.len = 0;
	return v;
}

bool
before_add(struct before *b, int cid, const struct val *v)
{
	if (b->cells.len + (size_t)v->len > BEFORE_MAX_BYTES) {
		b->kind = BEFORE_LARGE;
		return false;
	}
	val_encode_at(&b->cells, cid, v);
	return true;
}

/* Adds columns cols[0..n), or all, of the row as it stands in its table. */
static int
add_cells(struct merge_row *row, sqlite3_stmt *stmt, int first, const int *cols,
    int n)
{
	const struct table *t = row->table;
	struct val v;
	int i, c;

	for (i = 0; i < (cols != NULL ? n : t->ncol); i++) {
		c = cols != NULL ? cols[i] : i;
		if (row->win[c].won)
			continue;       /* the old one was noted */
		v = value_of(stmt, first + c);
		if (!before_add(&row->before, t->col[c].cid, &v))
			break;
	}
	return row->before.cells.failed ? SQLITE_NOMEM : SQLITE_OK;
}

static int
note(struct engine *e, struct merge_row *row, enum before_kind kind,
    const int *cols, int n)
{
	sqlite3_stmt *stmt;
	int first, rc;

	if (row->inserted || row->before.kind == BEFORE_ABSENT ||
	    row->before.kind == BEFORE_LARGE)
		return SQLITE_OK;
	begin_note(row, kind);
	if (before_watch(e, row, cols, n))
		return SQLITE_OK;
	rc = merge_read(e, row, &stmt, &first);
	if (rc == SQLITE_OK && stmt != NULL)
		rc = add_cells(row, stmt, first, cols, n);
	return merge_read_end(row, stmt, rc);
}

int
before_change(struct engine *e, struct merge_row *row, int n)
{
	if (!e->tx.keep_before || n == 0)
		return SQLITE_OK;
	return note(e, row, BEFORE_CHANGED, n < 0 ? NULL : row->cols, n);
}

int
before_delete(struct engine *e, struct merge_row *row)
{
	return e->tx.keep_before ? note(e, row, BEFORE_DELETED, NULL, 0) : SQLITE_OK;
}

/* -- the functions ----------------------------------------------------------------- */

static int
make_table(struct engine *e)
{
	int rc = storage_ensure(e);

	if (rc == SQLITE_OK)
		rc = storage_optional(e);
	if (rc != SQLITE_OK || e->optional.old)
		return rc;
	return engine_exec(e, "CREATE TABLE main.crsql_old(dbv INTEGER NOT NULL, "
	    "pos INTEGER NOT NULL, tbl INTEGER NOT NULL, pk BLOB NOT NULL, "
	    "m BLOB NOT NULL, PRIMARY KEY(dbv, pos)) WITHOUT ROWID");
}

/* What others and this connection wrote is folded first: what is merged then has
 * db_versions above all of that. */
static int
keep(struct engine *e, bool on)
{
	int rc = SQLITE_OK;

	if (sqlite3_get_autocommit(e->db))
		return engine_fail(e, SQLITE_ERROR, "crsql_keep_before() is for the "
		    "rest of a transaction: begin one");
	if (on && !e->tx.keep_before)
		rc = make_table(e);
	if (rc == SQLITE_OK && on)
		rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		e->tx.keep_before = on;
	return rc;
}

/* crsql_keep_before(on): the bytes that this transaction has noted so far. */
static void
crsql_keep_before(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc = keep(e, sqlite3_value_int(argv[0]) != 0);

	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, e->tx.before_bytes);
	else
		engine_result_error(e, ctx, rc);
}

/* The place up to which there are about `most` notes, the oldest first: what stands
 * in one row goes as a whole. */
static int
find_end(struct engine *e, sqlite3_value *dbv, int64_t most, int64_t *to,
    int64_t *pos, int64_t *n)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT dbv, pos, max(-tbl, 1) FROM "
	    "main.crsql_old WHERE dbv <= ?1 ORDER BY dbv, pos");

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_value(stmt, 1, dbv);
	while (rc == SQLITE_OK && *n < most && sqlite3_step(stmt) == SQLITE_ROW) {
		*to = sqlite3_column_int64(stmt, 0);
		*pos = sqlite3_column_int64(stmt, 1);
		*n += sqlite3_column_int64(stmt, 2);
	}
	return engine_finalize(stmt, rc);
}

/* crsql_forget_before(dbv[, most]): notes up to there go, the oldest first. */
static void
crsql_forget_before(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int64_t most = argc > 1 ? sqlite3_value_int64(argv[1]) : INT64_MAX;
	int64_t dbv = 0, pos = 0, n = 0;
	bool has = false;
	int rc = incoming_flush(e);

	if (rc == SQLITE_OK)
		rc = storage_has_table(e, "crsql_old", &has);
	if (rc == SQLITE_OK && has)
		rc = find_end(e, argv[0], most, &dbv, &pos, &n);
	if (rc == SQLITE_OK && n > 0)
		rc = engine_exec(e, "DELETE FROM main.crsql_old WHERE (dbv, pos) <= "
		    "(%lld, %lld)", (long long)dbv, (long long)pos);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, n);
	else
		engine_result_error(e, ctx, rc);
}

int
before_register(struct engine *e)
{
	int n, rc = sqlite3_create_function(e->db, "crsql_keep_before", 1,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_keep_before, NULL, NULL);

	for (n = 1; n <= 2 && rc == SQLITE_OK; n++)
		rc = sqlite3_create_function(e->db, "crsql_forget_before", n,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_forget_before, NULL,
		    NULL);
	return rc == SQLITE_OK ? before_table_register(e) : rc;
}

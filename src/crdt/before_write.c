// SPDX-License-Identifier: MPL-2.0
/*
 * before_write.c - where notes of old values are written.  A statement for each
 * would cost a merge of updates a tenth of its time: those of one db_version wait in
 * struct incoming, and are written together, as one row.
 */
#include "crdt/merge.h"

enum {
	TOGETHER = 256,         /* notes in one row, ... */
	TOGETHER_BYTES = 8192   /* ... which is full from so many bytes on */
};

/* The place for the next note of dbv.  Those of one that a savepoint took back are
 * gone, of another one that goes on they are not. */
static int
next_place(struct engine *e, int64_t dbv, int64_t *pos)
{
	struct incoming *in = e->incoming;
	sqlite3_stmt *stmt;
	int rc = SQLITE_OK;

	if (in->before_dbv != dbv) {
		rc = engine_cached(e, SLOT_OLD_PLACE, "SELECT coalesce(max(pos) + 1, "
		    "0) FROM main.crsql_old WHERE dbv = ?1", &stmt);
		if (rc != SQLITE_OK)
			return rc;
		sqlite3_bind_int64(stmt, 1, dbv);
		if (sqlite3_step(stmt) == SQLITE_ROW)
			in->before_pos = sqlite3_column_int64(stmt, 0);
		rc = engine_reset(stmt, rc);
		in->before_dbv = rc == SQLITE_OK ? dbv : 0;
	}
	*pos = in->before_pos++;
	return rc;
}

static void
encode(struct buf *out, const struct before *b)
{
	out->len = 0;
	out->failed = false;
	buf_add_varint(out, b->kind);
	if (b->kind == BEFORE_ABSENT)
		return;
	buf_add_varint(out, (uint64_t)b->oldest);
	buf_add_zigzag(out, b->key);
	if (b->kind != BEFORE_LARGE)
		buf_add(out, b->cells.data, b->cells.len);
}

/* One that is alone has its table and key in columns, of several they stand before
 * each. */
static int
write_row(struct engine *e, const struct before_wait *w)
{
	const uint8_t *at = w->bytes.data;
	bool alone = w->n == 1;
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_OLD_INSERT, "INSERT INTO main.crsql_old "
	    "VALUES(?1, ?2, ?3, ?4, ?5)", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, w->dbv);
	sqlite3_bind_int64(stmt, 2, w->pos);
	sqlite3_bind_int(stmt, 3, alone ? w->table : -w->n);
	sqlite3_bind_blob(stmt, 4, alone ? at + w->pk : (const void *)"",
	    alone ? w->npk : 0, SQLITE_STATIC);
	at += alone ? w->note : 0;
	sqlite3_bind_blob(stmt, 5, at, (int)(w->bytes.data + w->bytes.len - at),
	    SQLITE_STATIC);
	rc = engine_run(e, stmt);
	sqlite3_bind_null(stmt, 4);
	sqlite3_bind_null(stmt, 5);
	return rc;
}

int
before_flush(struct engine *e)
{
	struct before_wait *w = &e->incoming->before;
	int rc;

	if (w->n == 0)
		return SQLITE_OK;
	rc = w->bytes.failed ? SQLITE_NOMEM : write_row(e, w);
	if (rc == SQLITE_OK)
		before_drop(e);
	return rc;
}

void
before_drop(struct engine *e)
{
	struct before_wait *w = &e->incoming->before;

	w->n = 0;
	w->bytes.len = 0;
	w->bytes.failed = false;
}

static int
add(struct before_wait *w, const struct merge_row *row, const struct buf *note)
{
	buf_add_varint(&w->bytes, (uint64_t)row->table->id);
	buf_add_varint(&w->bytes, (uint64_t)row->npk);
	w->pk = w->bytes.len;
	w->npk = row->npk;
	buf_add(&w->bytes, row->pk, (size_t)row->npk);
	buf_add_varint(&w->bytes, note->len);
	w->note = w->bytes.len;
	buf_add(&w->bytes, note->data, note->len);
	w->table = row->table->id;
	w->n++;
	return w->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;
}

int
before_write(struct engine *e, struct merge_row *row, int64_t dbv)
{
	struct before_wait *w = &e->incoming->before;
	struct buf *note = &e->scratch;
	int rc = SQLITE_OK;

	if (row->before.kind == BEFORE_NONE)
		return rc;
	encode(note, &row->before);
	before_begin(&row->before);
	if (note->failed)
		return SQLITE_NOMEM;
	if (w->n > 0 && (w->dbv != dbv || w->bytes.len + note->len >
	    TOGETHER_BYTES))
		rc = before_flush(e);
	w->dbv = dbv;
	if (rc == SQLITE_OK)
		rc = next_place(e, dbv, &w->pos);
	if (rc == SQLITE_OK)
		rc = add(w, row, note);
	if (rc != SQLITE_OK)
		return rc;
	e->tx.before_bytes += row->npk + (int64_t)note->len;
	return w->n == TOGETHER || w->bytes.len >= TOGETHER_BYTES ?
	    before_flush(e) : rc;
}

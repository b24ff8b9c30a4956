// SPDX-License-Identifier: MPL-2.0
/*
 * before_write.c - where notes of old values are written.  A statement for each
 * would cost a merge of updates a tenth of its time: those of one db_version wait in
 * struct incoming, and are written together, as one row.
 */
#include "crdt/merge.h"

#include <string.h>

#include "base/put.h"

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

enum { HEAD_MAX = 3 * VARINT_MAX };

/* What stands in a note before its values. */
static size_t
put_head(const struct before *b, uint8_t head[static HEAD_MAX])
{
	uint8_t *p = varint_put(head, b->kind);

	if (b->kind != BEFORE_ABSENT) {
		p = varint_put(p, (uint64_t)b->oldest);
		p = varint_put(p, zigzag(b->key));
	}
	return (size_t)(p - head);
}

static uint8_t *
put_bytes(uint8_t *p, const void *bytes, size_t n)
{
	if (n > 0)
		memcpy(p, bytes, n);
	return p + n;
}

static int
add(struct before_wait *w, const struct merge_row *row, const uint8_t *head,
    size_t nhead, size_t ncells)
{
	uint8_t *p = buf_room(&w->bytes, 3 * VARINT_MAX + (size_t)row->npk + nhead +
	    ncells);

	if (p == NULL)
		return SQLITE_NOMEM;
	p = varint_put(p, (uint64_t)row->table->id);
	p = varint_put(p, (uint64_t)row->npk);
	w->pk = (size_t)(p - w->bytes.data);
	w->npk = row->npk;
	p = put_bytes(p, row->pk, (size_t)row->npk);
	p = varint_put(p, nhead + ncells);
	w->note = (size_t)(p - w->bytes.data);
	p = put_bytes(p, head, nhead);
	p = put_bytes(p, row->before.cells.data, ncells);
	w->bytes.len = (size_t)(p - w->bytes.data);
	w->table = row->table->id;
	w->n++;
	return SQLITE_OK;
}

int
before_write(struct engine *e, struct merge_row *row, int64_t dbv)
{
	struct before_wait *w = &e->incoming->before;
	struct before *b = &row->before;
	uint8_t head[HEAD_MAX];
	size_t nhead, ncells;
	int rc = SQLITE_OK;

	if (b->kind == BEFORE_NONE)
		return rc;
	nhead = put_head(b, head);
	ncells = b->kind == BEFORE_CHANGED || b->kind == BEFORE_DELETED ?
	    b->cells.len : 0;
	if (w->n > 0 && (w->dbv != dbv || w->bytes.len + nhead + ncells >
	    TOGETHER_BYTES))
		rc = before_flush(e);
	w->dbv = dbv;
	if (rc == SQLITE_OK)
		rc = next_place(e, dbv, &w->pos);
	if (rc == SQLITE_OK)
		rc = add(w, row, head, nhead, ncells);
	before_begin(b);
	if (rc != SQLITE_OK)
		return rc;
	e->tx.before_bytes += row->npk + (int64_t)(nhead + ncells);
	return w->n == TOGETHER || w->bytes.len >= TOGETHER_BYTES ?
	    before_flush(e) : rc;
}

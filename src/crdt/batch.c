// SPDX-License-Identifier: MPL-2.0
/* batch.c - see batch.h. */
#include "crdt/batch.h"

SQLITE_EXTENSION_INIT3

/* -- writing ----------------------------------------------------------------- */

static int
write_meta(struct engine *e, struct batch *b)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, b->table, TS_META_FEED, &stmt);

	b->table->has_meta = 1;
	return rc == SQLITE_OK ? feed_run(e, stmt, b->row, b->n) : rc;
}

/* Those that are there already, which are few, were passed over: each is looked
 * for. */
static int
replace_dead(struct engine *e, struct batch *b)
{
	const struct feed_row *r;
	struct dead there;
	bool found;
	int i, rc = SQLITE_OK;

	for (i = 0; i < b->n && rc == SQLITE_OK; i++) {
		r = &b->row[i];
		rc = dead_get(e, b->table, r->a.data, (int)r->a.i, &found, &there);
		if (rc == SQLITE_OK && found && (there.dbv != b->dead[i].dbv ||
		    there.pos != b->dead[i].pos))
			rc = dead_again(e, b->table, r->a.data, (int)r->a.i,
			    &b->dead[i]);
	}
	return rc;
}

static int
write_dead(struct engine *e, struct batch *b)
{
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, b->table, TS_DEAD_FEED, &stmt);

	if (rc == SQLITE_OK)
		rc = feed_run(e, stmt, b->row, b->n);
	if (rc == SQLITE_OK && sqlite3_changes(e->db) != b->n)
		rc = replace_dead(e, b);
	b->table->has_dead = 1;
	return rc;
}

/* OR FAIL: a place that is taken, which can't be, fails the transaction; OR
 * ABORT would make SQLite keep a journal of the statement. */
static int
write_log(struct engine *e, struct batch *b)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_LOG_FEED, "INSERT OR FAIL INTO "
	    "crsql_log(dbv, pos, tbl, key, n) SELECT ?1, a, ?2, b, ?3 FROM "
	    "crsql_feed", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, b->dbv);
	sqlite3_bind_int(stmt, 2, b->table->id);
	if (b->log_kind == LOG_ROW)
		sqlite3_bind_null(stmt, 3);
	else
		sqlite3_bind_int64(stmt, 3, b->log_kind);
	return feed_run(e, stmt, b->row, b->n);
}

/* Bytes may have moved while there came more: blobs are where b->bytes has
 * them, one behind the other. */
static void
point_to_bytes(struct batch *b)
{
	size_t at = 0;
	int i;

	for (i = 0; i < b->n; i++) {
		b->row[i].b.data = b->bytes.data + at;
		at += (size_t)b->row[i].b.i;
	}
}

int
batch_write(struct engine *e, struct batch *b)
{
	int rc = b->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;

	if (b->n == 0)
		return rc;
	if (b->kind != BATCH_LOG)
		point_to_bytes(b);
	if (rc == SQLITE_OK && b->kind == BATCH_META)
		rc = write_meta(e, b);
	else if (rc == SQLITE_OK && b->kind == BATCH_DEAD)
		rc = write_dead(e, b);
	else if (rc == SQLITE_OK)
		rc = write_log(e, b);
	b->n = 0;
	b->bytes.len = 0;
	return rc;
}

/* -- adding ------------------------------------------------------------------ */

/* Room for one more of that kind. */
static int
make_room(struct engine *e, struct batch *b, enum batch_kind kind,
    struct table *t)
{
	int rc = SQLITE_OK;

	if (b->kind != kind || b->table != t || b->n == BATCH_ROWS)
		rc = batch_write(e, b);
	b->kind = kind;
	b->table = t;
	return rc;
}

int
batch_meta(struct engine *e, struct batch *b, struct table *t, int64_t key,
    const struct meta *m)
{
	int rc = make_room(e, b, BATCH_META, t);
	size_t before = b->bytes.len;

	if (rc != SQLITE_OK)
		return rc;
	meta_add(&b->bytes, t, m);
	b->row[b->n].a = (struct feed_value){ NULL, key };
	b->row[b->n++].b = (struct feed_value){ NULL,
		(int64_t)(b->bytes.len - before) };
	return b->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;
}

bool
batch_has(const struct batch *b, int64_t key)
{
	int i;

	for (i = 0; i < b->n && b->row[i].a.i != key; i++)
		;
	return b->kind == BATCH_META && i < b->n;
}

int
batch_dead(struct engine *e, struct batch *b, struct table *t,
    const uint8_t *pk, int npk, const struct dead *d)
{
	int rc = make_room(e, b, BATCH_DEAD, t);
	size_t before = b->bytes.len;

	if (rc != SQLITE_OK)
		return rc;
	dead_add(&b->bytes, t, d);
	b->dead[b->n] = *d;
	b->row[b->n].a = (struct feed_value){ pk, npk };
	b->row[b->n++].b = (struct feed_value){ NULL,
		(int64_t)(b->bytes.len - before) };
	return b->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;
}

int
batch_log(struct engine *e, struct batch *b, struct table *t,
    struct log_row *row)
{
	bool first = e->tx.next_pos == 0;
	int rc = SQLITE_OK;

	row->table = t->id;
	row->own = true;
	if (first || b->dbv != row->dbv || b->log_kind != row->n)
		rc = batch_write(e, b);
	if (rc == SQLITE_OK)
		rc = make_room(e, b, BATCH_LOG, t);
	if (rc == SQLITE_OK && first)
		return log_append(e, row);      /* with a header */
	if (rc != SQLITE_OK)
		return rc;
	b->dbv = row->dbv;
	b->log_kind = row->n;
	row->pos = log_take_pos(e);
	b->row[b->n].a = (struct feed_value){ NULL, row->pos };
	b->row[b->n++].b = row->pk != NULL ?
	    (struct feed_value){ row->pk, row->npk } :
	    (struct feed_value){ NULL, row->key };
	return SQLITE_OK;
}

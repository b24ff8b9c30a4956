// SPDX-License-Identifier: MPL-2.0
/* dead.c - tombstones. */
#include "crdt/meta.h"
#include "crdt/log.h"
#include "crdt/lookaside.h"

#include "base/buf.h"
#include "base/rd.h"

SQLITE_EXTENSION_INIT3

int
dead_get(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    bool *found, struct dead *out)
{
	sqlite3_stmt *stmt;
	struct rd r;
	int rc = t->has_dead == 0 ? SQLITE_OK :
	    table_stmt(e, t, TS_DEAD_GET, &stmt);

	*found = out->has_left = false;
	if (rc != SQLITE_OK || t->has_dead == 0)
		return rc;
	sqlite3_bind_blob(stmt, 1, pk, npk, SQLITE_STATIC);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		rd_init(&r, sqlite3_column_blob(stmt, 0),
		    (size_t)sqlite3_column_bytes(stmt, 0));
		out->cl = (int64_t)rd_varint(&r, INT64_MAX);
		out->dbv = (int64_t)rd_varint(&r, INT64_MAX);
		out->pos = (int64_t)rd_varint(&r, INT64_MAX);
		out->seq = (int64_t)rd_varint(&r, INT64_MAX);
		out->has_left = rd_left(&r) > 0;
		out->left = out->has_left ? rd_zigzag(&r) : 0;
		*found = rd_done(&r);
		if (!*found)
			rc = engine_fail(e, SQLITE_CORRUPT,
			    "a tombstone of %s is damaged", t->name);
	}
	rc = engine_reset(stmt, rc);
	sqlite3_clear_bindings(stmt);
	return rc;
}

/* Sweeps the log row of the tombstone that is there, if any. */
static int
sweep_old(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    struct dead *old)
{
	bool found;
	int rc = dead_get(e, t, pk, npk, &found, old);

	if (rc == SQLITE_OK && found)
		rc = log_sweep(e, old->dbv, old->pos);
	return rc;
}

void
dead_add(struct buf *b, const struct table *t, const struct dead *d)
{
	buf_add_varint(b, (uint64_t)d->cl);
	buf_add_varint(b, (uint64_t)d->dbv);
	buf_add_varint(b, (uint64_t)d->pos);
	buf_add_varint(b, (uint64_t)d->seq);
	if (d->has_left && !lookaside_names_pk(t))
		buf_add_zigzag(b, d->left);
}

static int
put(struct engine *e, struct table *t, enum table_stmt which,
    const uint8_t *pk, int npk, const struct dead *d)
{
	struct buf *m = &e->scratch;
	sqlite3_stmt *stmt;
	int rc = table_stmt(e, t, which, &stmt);

	if (rc != SQLITE_OK)
		return rc;
	m->len = 0;
	m->failed = false;
	dead_add(m, t, d);
	if (m->failed)
		return SQLITE_NOMEM;
	sqlite3_bind_blob(stmt, 1, pk, npk, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 2, m->data, (int)m->len, SQLITE_STATIC);
	rc = engine_run(e, stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

static int
replace(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d, bool again)
{
	struct dead old = { .has_left = false }, new = *d;
	int rc = sweep_old(e, t, pk, npk, &old);

	if (again && new.cl <= old.cl)
		new.cl = old.cl + 2;
	if (!new.has_left) {
		new.has_left = old.has_left;
		new.left = old.left;
	}
	return rc == SQLITE_OK ? put(e, t, TS_DEAD_PUT, pk, npk, &new) : rc;
}

int
dead_again(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d)
{
	return replace(e, t, pk, npk, d, true);
}

/* Few rows that die have a tombstone already: it is looked for only where there
 * is one in the way. */
static int
add_or_replace(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d, bool again)
{
	int rc = put(e, t, TS_DEAD_ADD, pk, npk, d);

	if (rc == SQLITE_OK && sqlite3_changes(e->db) == 0)
		rc = replace(e, t, pk, npk, d, again);
	t->has_dead = 1;
	return rc;
}

int
dead_put(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d)
{
	return add_or_replace(e, t, pk, npk, d, false);
}

int
dead_bury(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    const struct dead *d)
{
	return add_or_replace(e, t, pk, npk, d, true);
}

int
dead_forget_left(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, const struct dead *d)
{
	struct dead new = *d;

	new.has_left = false;
	return put(e, t, TS_DEAD_PUT, pk, npk, &new);
}

int
dead_del(struct engine *e, struct table *t, const uint8_t *pk, int npk)
{
	sqlite3_stmt *stmt;
	struct dead old;
	int rc = sweep_old(e, t, pk, npk, &old);

	if (rc == SQLITE_OK)
		rc = table_stmt(e, t, TS_DEAD_DEL, &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(stmt, 1, pk, npk, SQLITE_STATIC);
	rc = engine_run(e, stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

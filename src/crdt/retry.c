// SPDX-License-Identifier: MPL-2.0
/*
 * retry.c - rows that an import changed while something of them is parked: it
 * is tried again behind the transaction, once for each row.  In the midst of it
 * would be wrong: what is tried takes a db_version of its own, and the rest of
 * the transaction would stand before it.
 */
#include <stdlib.h>
#include <string.h>

#include "crdt/apply.h"

/* in->due has these: the table's id, the length of the key, the key. */
struct due {
	int table;
	int npk;
	const uint8_t *pk;
};

static int
is_parked(struct engine *e, const struct table *t, const struct buf *pk,
    bool *found)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_PARK_ROW, "SELECT 1 FROM crsql_log WHERE "
	    "n = -4 AND tbl = ?1 AND key = ?2 LIMIT 1", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	sqlite3_bind_blob(stmt, 2, pk->data, (int)pk->len, SQLITE_STATIC);
	*found = sqlite3_step(stmt) == SQLITE_ROW;
	rc = sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

int
retry_note(struct apply *a, const struct table *t)
{
	struct incoming *in = a->e->incoming;
	bool found = false;
	int rc;

	if (!a->has_parked)
		return SQLITE_OK;
	rc = is_parked(a->e, t, &in->pk, &found);
	if (rc != SQLITE_OK || !found)
		return rc;
	buf_add_u32(&in->due, (uint32_t)t->id);
	buf_add_u32(&in->due, (uint32_t)in->pk.len);
	buf_add(&in->due, in->pk.data, in->pk.len);
	in->ndue++;
	return in->due.failed ? SQLITE_NOMEM : SQLITE_OK;
}

static int
by_row(const void *a, const void *b)
{
	const struct due *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->npk != y->npk ? x->npk - y->npk :
	    memcmp(x->pk, y->pk, (size_t)x->npk);
}

static int
retry_rows(struct apply *a, const struct due *d, int n)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	for (i = 0; i < n && rc == SQLITE_OK; i++) {
		t = i > 0 && by_row(&d[i - 1], &d[i]) == 0 ? NULL :
		    table_by_id(a->e, d[i].table);
		if (t == NULL)
			continue;
		rc = merge_key(a->e, t, d[i].pk, d[i].npk, true);
		if (rc == SQLITE_OK)
			rc = apply_retry(a, t);
	}
	return rc;
}

int
retry_due(struct apply *a)
{
	struct incoming *in = a->e->incoming;
	struct due *d;
	struct rd r;
	int i, rc;

	if (in->ndue == 0)
		return SQLITE_OK;
	d = sqlite3_malloc64((size_t)in->ndue * sizeof *d);
	if (d == NULL)
		return SQLITE_NOMEM;
	rd_init(&r, in->due.data, in->due.len);
	for (i = 0; i < in->ndue; i++) {
		d[i].table = (int)rd_u32(&r);
		d[i].npk = (int)rd_u32(&r);
		d[i].pk = rd_bytes(&r, (size_t)d[i].npk);
	}
	qsort(d, (size_t)in->ndue, sizeof *d, by_row);
	rc = retry_rows(a, d, in->ndue);
	sqlite3_free(d);
	in->ndue = 0;
	in->due.len = 0;
	return rc;
}

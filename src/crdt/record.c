// SPDX-License-Identifier: MPL-2.0
/*
 * record.c - the records of a transaction that wait for a fold, and what
 * savepoints do to them.
 */
#include "crdt/capture.h"

#include <string.h>

#include "crdt/mask.h"

SQLITE_EXTENSION_INIT3

struct record *
record_add(struct record_list *l, enum record_op op, int table, int64_t key)
{
	struct record *r;
	int room = l->room ? l->room * 2 : 256;

	if (l->n == l->room) {
		r = sqlite3_realloc64(l->record, sizeof *r * (uint64_t)room);
		if (r == NULL)
			return NULL;
		l->record = r;
		l->room = room;
	}
	r = &l->record[l->n++];
	memset(r, 0, sizeof *r);
	r->op = op;
	r->table = table;
	r->key = key;
	return r;
}

int
record_add_column(struct record_list *l, int table, int64_t key, int cid)
{
	struct record *r = record_add(l, RECORD_UPDATE, table, key);
	struct mask m = mask_empty();

	if (r == NULL)
		return SQLITE_NOMEM;
	r->n = 1;
	r->pk = (uint32_t)l->bytes.len;
	mask_add(&m, &l->bytes, cid);
	mask_end(&m, &l->bytes);
	r->mask = m.bits;
	r->npk = (uint32_t)(l->bytes.len - r->pk);
	return l->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;
}

int
record_set_pk(struct record_list *l, struct record *r, const void *pk,
    size_t npk)
{
	r->pk = (uint32_t)l->bytes.len;
	r->npk = (uint32_t)npk;
	buf_add(&l->bytes, pk, npk);
	return l->bytes.failed ? SQLITE_NOMEM : SQLITE_OK;
}

const uint8_t *
record_pk(const struct record_list *l, const struct record *r)
{
	return l->bytes.data + r->pk;
}

const uint8_t *
record_name(const struct record_list *l, const struct record *r, int *len)
{
	*len = (int)(r->op == RECORD_UPDATE ? r->nname : r->npk);
	return record_pk(l, r) - r->nname;
}

int64_t
capture_top_key(const struct capture *c, int table)
{
	const struct record *r;
	int64_t top = 0, last;
	int i;

	for (i = 0; i < c->list.n; i++) {
		r = &c->list.record[i];
		if (r->table != table)
			continue;
		last = r->op == RECORD_RUN ? r->key + (r->n - 1) : r->key;
		if ((r->op == RECORD_MOVE || r->op == RECORD_REPLACE) && r->n > last)
			last = r->n;
		if (last > top)
			top = last;
	}
	return top;
}

/* -- savepoints ----------------------------------------------------------------------- */

static void
forget_marks(struct capture *c, int id)
{
	while (c->nmark > 0 && c->mark[c->nmark - 1].id >= id)
		c->nmark--;
}

int
capture_savepoint(struct engine *e, int id)
{
	struct capture *c = e->capture;
	struct mark *m;
	int room;

	forget_marks(c, id);
	/* Nothing is folded here: a statement of ours that has a journal of its
	 * own would begin SQLite's for this savepoint in the midst of it. */
	if (c->nmark == c->mark_room) {
		room = c->mark_room ? c->mark_room * 2 : 16;
		m = sqlite3_realloc64(c->mark, sizeof *m * (uint64_t)room);
		if (m == NULL)
			return SQLITE_NOMEM;
		c->mark = m;
		c->mark_room = room;
	}
	m = &c->mark[c->nmark++];
	m->id = id;
	m->n = c->list.n;
	m->last_n = c->list.n > 0 ? c->list.record[c->list.n - 1].n : 0;
	m->bytes = c->list.bytes.len;
	m->folded = c->folded;
	m->folded_bytes = c->folded_bytes;
	m->ndeletes = c->ndeletes;
	m->rc = c->rc;
	m->tx = e->tx;
	m->tx.mended = e->tables.mended;
	m->tx.names_changed = e->tables.names_changed;
	return SQLITE_OK;
}

void
capture_release(struct engine *e, int id)
{
	struct capture *c = e->capture;

	forget_marks(c, id);
	if (c->folded == c->list.n)
		capture_folded(c);
}

bool
capture_is_full(const struct capture *c)
{
	return c->list.n - c->folded >= c->fold_at ||
	    c->list.bytes.len - c->folded_bytes >= CAPTURE_FOLD_BYTES;
}

/* Those that were there when the innermost savepoint began are waiting again if
 * it is rolled back to. */
void
capture_folded(struct capture *c)
{
	const struct mark *m = c->nmark > 0 ? &c->mark[c->nmark - 1] : NULL;

	c->list.n = c->folded = m != NULL ? m->n : 0;
	c->list.bytes.len = c->folded_bytes = m != NULL ? m->bytes : 0;
	if (c->before_change > c->list.n)
		c->before_change = c->list.n;
	c->ndeletes = 0;
}

void
capture_rollback_to(struct engine *e, int id)
{
	struct capture *c = e->capture;
	/* without a mark nothing is known to be folded, the journal neither */
	struct mark m = { .id = id, .tx = { .plain_pending = true,
	    .mended = e->tx.mended } };
	bool found = false;

	while (c->nmark > 0 && c->mark[c->nmark - 1].id >= id) {
		found = c->mark[--c->nmark].id == id;
		if (found)
			m = c->mark[c->nmark];
	}
	if (!found && c->nmark > 0)
		return;
	/* without a mark of its own the savepoint is older than all records (the
	 * one that began the transaction has id -1) */
	c->list.n = m.n;
	c->list.bytes.len = m.bytes;
	c->folded = m.folded;
	c->folded_bytes = m.folded_bytes;
	c->ndeletes = m.ndeletes;
	/* the last record may have grown since, unless it was folded longer */
	if (m.n > 0)
		c->list.record[m.n - 1].n = m.last_n;
	c->rc = m.rc;
	c->hook.called = false;
	tx_restore(e, &m.tx);
	table_forget_state(e);
	if (found)
		capture_savepoint(e, id);
}

void
capture_clear(struct engine *e)
{
	e->capture->nmark = 0;
	capture_folded(e->capture);
	e->capture->rc = SQLITE_OK;
	e->capture->deleted = e->capture->others = false;
	e->capture->hook.called = false;
}

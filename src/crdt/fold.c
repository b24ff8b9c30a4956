// SPDX-License-Identifier: MPL-2.0
#include "crdt/fold.h"

#include <stdlib.h>
#include <string.h>

#include "crdt/fold_hw.h"
#include "crdt/fold_part.h"
#include "crdt/journal.h"
#include "crdt/log.h"
#include "crdt/move.h"
#include "crdt/remap.h"
#include "crdt/sample.h"

SQLITE_EXTENSION_INIT3

static int
use_table(struct fold *f, struct table *t)
{
	int rc;

	if (f->table == t)
		return SQLITE_OK;
	meta_free(&f->meta);
	meta_free(&f->other);
	f->table = t;
	rc = table_load_hw(f->e, t);
	return rc == SQLITE_OK ? table_load_flags(f->e, t) : rc;
}

int
fold_make_meta(struct fold *f, struct meta *m)
{
	return m->col != NULL ? SQLITE_OK : meta_init(m, f->table);
}

/* It is large, and most folds need none. */
struct batch *
fold_batch(struct fold *f)
{
	struct batch *b = f->batch;

	if (b != NULL)
		return b;
	b = f->batch = sqlite3_malloc(sizeof *b);
	if (b != NULL) {
		memset(b, 0, sizeof *b);
		buf_init(&b->bytes, INT32_MAX);
	}
	return b;
}

int
fold_append_row(struct fold *f, struct log_row *row, struct stamp *at)
{
	int rc = tx_own_dbv(f->e, &row->dbv);

	row->table = f->table->id;
	row->own = true;
	if (rc == SQLITE_OK)
		rc = log_append(f->e, row);
	at->version = 1;
	at->dbv = row->dbv;
	at->pos = row->pos;
	at->seq = row->seq;
	return rc;
}

int
fold_append(struct fold *f, int64_t key, int64_t n, int64_t seq, int64_t stride,
    struct stamp *at)
{
	struct log_row row = { .key = key, .n = n, .seq = seq, .stride = stride };

	return fold_append_row(f, &row, at);
}

int64_t
fold_take_seqs(struct fold *f, int64_t n)
{
	int64_t first = f->e->tx.seq;

	f->e->tx.seq += n;
	return first;
}

/* -- each kind of record --------------------------------------------------------- */

static int
fold_run(struct fold *f, int64_t key, int64_t n)
{
	struct table *t = f->table;
	int64_t stride = t->ncol > 0 ? t->ncol : 1;
	struct stamp at = { 0 };

	fold_raise_hw(t, key + (n - 1));
	return fold_append(f, key, n, fold_take_seqs(f, n * stride), stride, &at);
}

/* A new row with an entry of its own: a key at or below one used before, or
 * another life of a deleted row (cl > 1), of which `before` is the tombstone. */
static int
fold_single(struct fold *f, int64_t key, const struct dead *before)
{
	struct table *t = f->table;
	struct meta *m = &f->meta;
	int64_t cl = before != NULL ? before->cl + 1 : 1;
	bool sentinel = cl > 1 || t->ncol == 0;
	int64_t seq = fold_take_seqs(f, t->ncol + (sentinel ? 1 : 0));
	struct stamp at = { 0 };
	int i, rc = fold_append(f, key, LOG_ROW, seq, 0, &at);

	sample_leaves(t, key);          /* another row came there */
	if (rc == SQLITE_OK)
		rc = meta_get(f->e, t, key, m);
	if (rc == SQLITE_OK && m->stored)
		rc = meta_sweep(f->e, m);       /* of a row long gone */
	meta_fresh(m);
	m->cl = cl;
	m->has_left = before != NULL && before->has_left;
	m->left = m->has_left ? before->left : 0;
	m->has_sentinel = sentinel;
	m->sentinel = at;
	m->base = BASE_AT;
	m->base_at = at;
	m->base_at.seq = at.seq + (sentinel ? 1 : 0);
	/* columns younger than the key have no clock by the base (R3) */
	for (i = 0; i < t->ncol; i++)
		if (key <= t->col[i].born) {
			m->col[i] = m->base_at;
			m->col[i].seq += i;
		}
	fold_raise_hw(t, key);
	return rc == SQLITE_OK ? meta_put(f->e, t, key, m) : rc;
}

static int
fold_insert(struct fold *f, int i, const struct record *r)
{
	struct table *t = f->table;
	struct dead d = { 0 };
	bool found = false, dead = false;
	int rc = SQLITE_OK;

	if (t->has_dead != 0) {
		rc = fold_list_pk(f->e, &f->list, i, &f->pk, &found);
		if (rc == SQLITE_OK && !found)
			return SQLITE_OK;       /* gone without a record */
		if (rc == SQLITE_OK)
			rc = dead_get(f->e, t, f->pk.data, (int)f->pk.len, &dead, &d);
	}
	if (rc == SQLITE_OK && dead)
		rc = dead_del(f->e, t, f->pk.data, (int)f->pk.len);
	if (rc != SQLITE_OK)
		return rc;
	if (!dead && r->key > t->hw && r->key > t->youngest)
		return fold_run(f, r->key, 1);
	return fold_single(f, r->key, dead ? &d : NULL);
}

/* Consecutive inserts above the highest key, none of a deleted row, or runs of one
 * row: one run.  The number of records taken; 0 if i does not begin one. */
static int
run_length(struct fold *f, int i)
{
	const struct record *r = &f->list.list->record[i];
	struct table *t = f->table;
	int n;

	if (r->op == RECORD_INSERT && (t->has_dead != 0 || r->key <= t->hw ||
	    r->key <= t->youngest))
		return 0;
	for (n = 1; i + n < f->list.to && r[n].op == r->op && r[n].n <= 1 &&
	    r[n].table == r->table && log_goes_on(r->key, n, r[n].key); n++)
		;
	return n;
}

/* -- rows that leave ---------------------------------------------------------------- */

struct grave {
	const uint8_t *pk;
	int npk;
	struct dead dead;
};

/* All that a delete changes but the tombstone, which is to be put.  batch: for the
 * log row, if there is one. */
static int
bury(struct fold *f, const struct record *r, struct batch *batch,
    struct grave *g)
{
	const uint8_t *pk = record_pk(f->list.list, r);
	struct table *t = f->table;
	struct meta *m = &f->meta;
	struct log_row row = { .table = t->id, .pk = pk, .npk = (int)r->npk,
		.n = LOG_DEAD, .own = true };
	int rc = meta_get(f->e, t, r->key, m);

	*g = (struct grave){ .pk = pk, .npk = (int)r->npk };
	if (rc == SQLITE_OK && m->stored)
		rc = meta_sweep(f->e, m);
	if (rc == SQLITE_OK && m->stored)
		rc = meta_del(f->e, t, r->key);
	if (rc == SQLITE_OK)
		rc = tx_own_dbv(f->e, &row.dbv);
	if (rc == SQLITE_OK)
		rc = batch != NULL ? batch_log(f->e, batch, t, &row) :
		    log_append(f->e, &row);
	g->dead.cl = m->cl + 1;
	g->dead.dbv = row.dbv;
	g->dead.pos = row.pos;
	g->dead.seq = fold_take_seqs(f, 1);
	meta_leave(m, r->key);
	g->dead.has_left = m->has_left;
	g->dead.left = m->left;
	fold_raise_hw(t, r->key);
	f->deletes = true;
	return rc;
}

static int
compare_graves(const void *a, const void *b)
{
	const struct grave *x = a, *y = b;
	int n = memcmp(x->pk, y->pk, (size_t)(x->npk < y->npk ? x->npk : y->npk));

	if (n != 0 || x->npk != y->npk)
		return n != 0 ? n : x->npk - y->npk;
	return x->dead.pos < y->dead.pos ? -1 : 1;
}

/* Tombstones of many rows are put in the order of their keys, so that each page is
 * met once. */
enum { GRAVES_MIN = 16, GRAVES_MAX = 1 << 16 };

static int
count_deletes(const struct fold *f, int i)
{
	const struct record *r = &f->list.list->record[i];
	int n, max = f->journal ? 1 : f->list.to - i;

	for (n = 1; n < max && n < GRAVES_MAX; n++)
		if (r[n].op != RECORD_DELETE || r[n].table != r->table)
			break;
	return n < GRAVES_MIN ? 1 : n;
}

static int
fold_delete(struct fold *f, const struct record *r)
{
	struct grave g;
	int rc = bury(f, r, NULL, &g);

	return rc == SQLITE_OK ? dead_bury(f->e, f->table, g.pk, g.npk, &g.dead) : rc;
}

static int
fold_deletes(struct fold *f, const struct record *r, int n)
{
	struct grave *g = sqlite3_malloc64(sizeof *g * (uint64_t)n);
	struct batch *b = fold_batch(f);
	int k, rc = g && b ? SQLITE_OK : SQLITE_NOMEM;

	for (k = 0; k < n && rc == SQLITE_OK; k++)
		rc = bury(f, &r[k], b, &g[k]);
	if (rc == SQLITE_OK)
		qsort(g, (size_t)n, sizeof *g, compare_graves);
	for (k = 0; k < n && rc == SQLITE_OK; k++)
		rc = batch_dead(f->e, b, f->table, g[k].pk, g[k].npk, &g[k].dead);
	if (rc == SQLITE_OK)
		rc = batch_write(f->e, b);
	sqlite3_free(g);
	return rc;
}

/* The row has another rowid and nothing else is new. */
static int
fold_move(struct fold *f, const struct record *r)
{
	struct table *t = f->table;
	int rc = meta_get(f->e, t, r->n, &f->meta);

	fold_raise_hw(t, r->key);
	fold_raise_hw(t, r->n);
	sample_leaves(t, r->n);
	f->deletes = true;
	return rc == SQLITE_OK ? move_row(f->e, t, &f->meta, r->n, r->key) : rc;
}

/* -- the walk ----------------------------------------------------------------------- */

static int
fold_record(struct fold *f, int i, int *taken)
{
	const struct record *r = &f->list.list->record[i];
	struct table *t = table_by_id(f->e, r->table);
	int rc = t != NULL ? use_table(f, t) : SQLITE_OK;

	*taken = 1;
	if (t != NULL && rc == SQLITE_OK && r->op != RECORD_RUN)
		rc = fold_make_meta(f, &f->meta);
	if (t == NULL || rc != SQLITE_OK)
		return rc;              /* dropped since: nothing to keep */
	switch (r->op) {
	case RECORD_RUN:
		*taken = r->n == 1 ? run_length(f, i) : 1;
		return fold_run(f, r->key, r->n == 1 ? *taken : r->n);
	case RECORD_INSERT:
		*taken = run_length(f, i);
		if (*taken > 0)
			return fold_run(f, r->key, *taken);
		*taken = 1;
		return fold_insert(f, i, r);
	case RECORD_UPDATE: return fold_updates(f, i, taken);
	case RECORD_DELETE:
		*taken = count_deletes(f, i);
		return *taken > 1 ? fold_deletes(f, r, *taken) : fold_delete(f, r);
	case RECORD_REPLACE: return fold_replaces(f, i, taken);
	case RECORD_MOVE: return fold_move(f, r);
	}
	return SQLITE_OK;
}

static int
work(struct fold *f)
{
	int i, taken, rc = f->journal ? fold_lower_hw(f->e, &f->list)
	    : SQLITE_OK;

	for (i = f->list.from; i < f->list.to && rc == SQLITE_OK; i += taken)
		rc = fold_record(f, i, &taken);
	if (rc == SQLITE_OK && f->journal)
		rc = journal_clear(f->e);
	return rc;
}

static int
save_highest(struct engine *e)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		rc = table_save_hw(e, &e->tables.table[i]);
	return rc;
}

/* What was captured up to c->list.n. */
static int
fold_part(struct engine *e, bool with_journal)
{
	struct fold f = { .e = e, .journal = with_journal };
	struct capture *c = e->capture;
	bool begun;
	int rc;

	buf_init(&f.pk, INT32_MAX);
	rc = fold_list_make(e, with_journal, &f.list);
	begun = rc == SQLITE_OK;
	if (begun)
		rc = work(&f);
	if (rc == SQLITE_OK)
		c->folded = c->list.n;
	if (rc == SQLITE_OK && e->tx.alters > 0)
		rc = remap_follow(e, &f.list);
	if (rc == SQLITE_OK && (f.deletes || c->deleted || with_journal))
		rc = save_highest(e);
	/* Done again, it would take its own traces for older ones.  Some failures
	 * have rolled all back already. */
	if (begun && rc != SQLITE_OK && e->tx.open)
		c->rc = rc;
	fold_list_clear(&f.list);
	meta_free(&f.meta);
	meta_free(&f.other);
	if (f.batch != NULL)
		buf_clear(&f.batch->bytes);
	sqlite3_free(f.batch);
	buf_clear(&f.pk);
	return rc;
}

int
fold_all(struct engine *e, bool with_journal)
{
	struct capture *c = e->capture;
	int rc = c->rc;

	if (rc != SQLITE_OK)
		return rc;      /* its sentence is noted */
	if (!with_journal && c->folded == c->list.n)
		return SQLITE_OK;
	rc = fold_part(e, with_journal);
	if (rc == SQLITE_OK)
		capture_folded(c);
	return rc;
}

int
fold_before_change(struct engine *e, bool with_journal)
{
	struct capture *c = e->capture;
	int rc = c->rc, n = c->list.n;

	if (rc != SQLITE_OK)
		return rc;
	c->list.n = c->before_change < n ? c->before_change : n;
	if (c->list.n < c->folded)
		c->list.n = c->folded;
	if (with_journal || c->folded < c->list.n)
		rc = fold_part(e, with_journal);
	c->list.n = n;
	return rc;
}

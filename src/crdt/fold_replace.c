// SPDX-License-Identifier: MPL-2.0
/*
 * fold_replace.c - the part of a fold that is about rows replaced under the same
 * key (R6): an update of all their columns; one seq belongs to the sentinel, be
 * there one or not.
 */
#include "crdt/fold_part.h"

#include "crdt/sample.h"

SQLITE_EXTENSION_INIT3

enum { REPLACES_MIN = 16, REPLACES_MAX = 4096 };

/* f->meta is that of a row without a clock.  If it has a tombstone nobody noted that
 * it came again: it has lived since, in the life behind that. */
static int
live_again(struct fold *f, const struct record *r)
{
	const uint8_t *pk = record_pk(f->list.list, r);
	struct dead d;
	bool dead;
	int rc = dead_get(f->e, f->table, pk, (int)r->npk, &dead, &d);

	if (rc != SQLITE_OK || !dead)
		return rc;
	f->meta.cl = d.cl - 1;
	f->meta.has_sentinel = true;
	f->meta.has_left = d.has_left;
	f->meta.left = d.has_left ? d.left : 0;
	return dead_del(f->e, f->table, pk, (int)r->npk);
}

/* Its log row stands at `at`: f->other becomes its clock row.  What it had before
 * goes. */
static int
renew(struct fold *f, const struct record *r, const struct stamp *at)
{
	struct table *t = f->table;
	struct meta *m = &f->meta, *new = &f->other;
	int i, rc = meta_get(f->e, t, r->n, m);

	if (rc == SQLITE_OK && !m->stored && t->has_dead != 0)
		rc = live_again(f, r);
	meta_fresh(new);
	if (r->n != r->key)
		meta_leave(m, r->n);
	new->has_left = m->has_left;
	new->left = m->left;
	new->base = BASE_NONE;
	new->has_sentinel = m->has_sentinel || t->ncol == 0;
	new->cl = new->has_sentinel ? m->cl + 2 : m->cl;
	new->sentinel = *at;
	for (i = 0; i < t->ncol; i++) {
		new->col[i] = *at;
		new->col[i].version = meta_version(t, m, r->n, i) + 1;
		new->col[i].seq = at->seq + 1 + i;
	}
	if (rc == SQLITE_OK && m->stored)
		rc = meta_sweep(f->e, m);
	if (rc == SQLITE_OK && m->stored && r->n != r->key)
		rc = meta_del(f->e, t, r->n);
	fold_raise_hw(t, r->key);
	fold_raise_hw(t, r->n);
	if (r->n != r->key)
		sample_leaves(t, r->n);
	f->deletes = true;
	return rc;
}

static int
fold_replace(struct fold *f, const struct record *r)
{
	struct stamp at = { 0 };
	int rc = fold_append(f, r->key, LOG_ROW, fold_take_seqs(f,
	    1 + f->table->ncol), 0, &at);

	if (rc == SQLITE_OK)
		rc = renew(f, r, &at);
	return rc == SQLITE_OK ? meta_put(f->e, f->table, r->key, &f->other) : rc;
}

/* -- many of them ---------------------------------------------------------------- */

static int
log_all(struct fold *f, struct batch *b, const struct record *r, int n,
    struct stamp *at)
{
	struct log_row row = { .n = LOG_ROW };
	int k, rc = tx_own_dbv(f->e, &row.dbv);

	for (k = 0; k < n && rc == SQLITE_OK; k++) {
		row.key = r[k].key;
		rc = batch_log(f->e, b, f->table, &row);
		at[k] = (struct stamp){ .version = 1, .dbv = row.dbv,
			.pos = row.pos, .seq = fold_take_seqs(f, 1 + f->table->ncol) };
	}
	return rc == SQLITE_OK ? batch_write(f->e, b) : rc;
}

static int
renew_all(struct fold *f, struct batch *b, const struct record *r, int n,
    const struct stamp *at)
{
	int k, rc = SQLITE_OK;

	for (k = 0; k < n && rc == SQLITE_OK; k++) {
		if (batch_has(b, r[k].n))       /* replaced once more */
			rc = batch_write(f->e, b);
		if (rc == SQLITE_OK)
			rc = renew(f, &r[k], &at[k]);
		if (rc == SQLITE_OK)
			rc = batch_meta(f->e, b, f->table, r[k].key, &f->other);
	}
	return rc == SQLITE_OK ? batch_write(f->e, b) : rc;
}

static int
count_replaces(const struct fold *f, int i)
{
	const struct record *r = &f->list.list->record[i];
	int n, max = f->list.to - i;

	for (n = 1; n < max && n < REPLACES_MAX; n++)
		if (r[n].op != RECORD_REPLACE || r[n].table != r->table)
			break;
	return n < REPLACES_MIN ? 1 : n;
}

int
fold_replaces(struct fold *f, int i, int *taken)
{
	const struct record *r = &f->list.list->record[i];
	int n = *taken = count_replaces(f, i);
	int rc = fold_make_meta(f, &f->other);
	struct batch *b;
	struct stamp *at;

	if (rc != SQLITE_OK || n == 1)
		return rc == SQLITE_OK ? fold_replace(f, r) : rc;
	b = fold_batch(f);
	at = sqlite3_malloc64(sizeof *at * (uint64_t)n);
	rc = b && at ? log_all(f, b, r, n, at) : SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = renew_all(f, b, r, n, at);
	sqlite3_free(at);
	return rc;
}

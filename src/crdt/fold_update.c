// SPDX-License-Identifier: MPL-2.0
/*
 * fold_update.c - the part of a fold that is about columns of rows which are there
 * before and after: runs of them, single ones, and many scattered ones.
 */
#include <stdlib.h>
#include <string.h>

#include "crdt/fold_part.h"
#include "crdt/mask.h"

SQLITE_EXTENSION_INIT3

/* Columns of the row of f->meta stand at `at` from now on, seq after seq. */
static int
set_columns(struct fold *f, int64_t key, const int *cols, int n,
    struct stamp *at)
{
	struct table *t = f->table;
	struct meta *m = &f->meta;
	int i, rc = SQLITE_OK;

	for (i = 0; i < n && rc == SQLITE_OK; i++, at->seq++) {
		at->version = meta_version(t, m, key, cols[i]) + 1;
		rc = meta_set_column(f->e, t, m, cols[i], at);
	}
	return rc;
}

static int
fold_columns(struct fold *f, int64_t key, const int *cols, int n)
{
	struct table *t = f->table;
	struct meta *m = &f->meta;
	struct stamp at = { 0 };
	int rc = meta_get(f->e, t, key, m);

	if (rc == SQLITE_OK)
		rc = fold_append(f, key, LOG_ROW, fold_take_seqs(f, n), 0, &at);
	if (rc == SQLITE_OK)
		rc = set_columns(f, key, cols, n, &at);
	return rc == SQLITE_OK ? meta_put(f->e, t, key, m) : rc;
}

/* The same columns in rows key to key + n - 1: one log row. */
static int
fold_update_run(struct fold *f, const struct record *r, const int *cols,
    int n)
{
	struct table *t = f->table;
	struct meta *m = &f->meta;
	struct log_row row = { .key = r->key, .n = r->n, .stride = n,
		.mask = r->mask };
	struct buf *mask = &f->e->scratch;
	struct batch *b = fold_batch(f);
	struct stamp at = { 0 };
	bool fresh = t->has_meta == 0;  /* and each row comes once */
	int64_t k, at_row;
	int rc;

	if (b == NULL)
		return SQLITE_NOMEM;
	if (r->npk > 0) {
		mask->len = 0;
		mask->failed = false;
		buf_add_varint(mask, r->mask);
		buf_add(mask, record_pk(f->list.list, r), r->npk);
		if (mask->failed)
			return SQLITE_NOMEM;
		row.bytes = mask->data;
		row.nbytes = (int)mask->len;
	}
	row.seq = fold_take_seqs(f, n * r->n);
	rc = fold_append_row(f, &row, &at);
	for (at_row = 0; at_row < r->n && rc == SQLITE_OK; at_row++) {
		k = r->key + at_row;
		if (fresh)
			meta_fresh(m);
		else
			rc = meta_get(f->e, t, k, m);
		if (rc == SQLITE_OK)
			rc = set_columns(f, k, cols, n, &at);
		if (rc == SQLITE_OK)
			rc = batch_meta(f->e, b, t, k, m);
	}
	return rc == SQLITE_OK ? batch_write(f->e, b) : rc;
}

/* The columns that were updated, by index; how many. */
static int
columns_of(const struct fold *f, const struct record *r, int *cols)
{
	const struct table *t = f->table;
	bool all = r->mask == 0 && r->npk == 0;
	int i, n = 0;

	if (r->npk > 0) {
		memset(cols, 0, sizeof *cols * (size_t)t->ncol);
		mask_mark(t, record_pk(f->list.list, r), r->npk, cols);
	}
	for (i = 0; i < t->ncol; i++)
		if (all || (t->col[i].cid < MASK_BITS ? r->mask >> t->col[i].cid & 1
		    : r->npk > 0 && cols[i] != 0))
			cols[n++] = i;
	return n;
}

static int
fold_update(struct fold *f, const struct record *r)
{
	struct table *t = f->table;
	int *cols = sqlite3_malloc64(sizeof *cols * (uint64_t)(t->ncol + 1));
	bool all = r->mask == 0 && r->npk == 0;
	int64_t k;
	int n = 0, rc = SQLITE_OK;

	if (cols == NULL)
		return SQLITE_NOMEM;
	n = columns_of(f, r, cols);
	if (n == 0)
		rc = SQLITE_OK;
	else if (r->n > 1 && !all)
		rc = fold_update_run(f, r, cols, n);
	else
		for (k = 0; k < r->n && rc == SQLITE_OK; k++)
			rc = fold_columns(f, r->key + k, cols, n);
	sqlite3_free(cols);
	return rc;
}

/* -- updates of scattered rows ------------------------------------------------------ */

/* Many updates of single rows, one after the other: their log rows are written in
 * the order of the updates, then their clock rows in the order of keys, so that
 * each page is met once. */
enum { SCATTERED_MIN = 16, SCATTERED_MAX = 1 << 16 };

struct place {
	int64_t key, pos, seq;
	const struct record *record;
};

static int
compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->pos < y->pos ? -1 : 1;
}

/* How many records from i on are such updates. */
static int
count_scattered(const struct fold *f, int i)
{
	const struct record *r = &f->list.list->record[i];
	int n, max = f->list.to - i;

	for (n = 0; n < max && n < SCATTERED_MAX; n++)
		if (r[n].op != RECORD_UPDATE || r[n].table != r->table ||
		    r[n].n != 1)
			break;
	return n;
}

/* Those that are of columns still there; *n becomes their number. */
static int
log_scattered(struct fold *f, const struct record *r, int *n,
    struct place *place, int *cols)
{
	const struct record *end = r + *n;
	struct log_row row = { .n = LOG_ROW };
	int ncols, rc = tx_own_dbv(f->e, &row.dbv);

	for (*n = 0; r < end && rc == SQLITE_OK; r++) {
		ncols = columns_of(f, r, cols);
		if (ncols == 0)
			continue;
		row.key = r->key;
		rc = batch_log(f->e, f->batch, f->table, &row);
		place[(*n)++] = (struct place){ .key = r->key, .pos = row.pos,
			.seq = fold_take_seqs(f, ncols), .record = r };
	}
	return rc == SQLITE_OK ? batch_write(f->e, f->batch) : rc;
}

static int
put_scattered(struct fold *f, const struct place *p, int n, int *cols)
{
	struct table *t = f->table;
	struct meta *m = &f->meta;
	struct stamp at = { 0 };
	bool fresh = t->has_meta == 0;
	int k, rc = tx_own_dbv(f->e, &at.dbv);

	for (k = 0; k < n && rc == SQLITE_OK; k++) {
		if (k > 0 && p[k].key == p[k - 1].key)
			;               /* it is at hand */
		else if (fresh)
			meta_fresh(m);
		else
			rc = meta_get(f->e, t, p[k].key, m);
		at.pos = p[k].pos;
		at.seq = p[k].seq;
		if (rc == SQLITE_OK)
			rc = set_columns(f, p[k].key, cols,
			    columns_of(f, p[k].record, cols), &at);
		if (rc == SQLITE_OK && (k + 1 == n || p[k + 1].key != p[k].key))
			rc = batch_meta(f->e, f->batch, t, p[k].key, m);
	}
	return rc == SQLITE_OK ? batch_write(f->e, f->batch) : rc;
}

static int
fold_scattered(struct fold *f, const struct record *r, int n)
{
	struct table *t = f->table;
	int *cols = sqlite3_malloc64(sizeof *cols * (uint64_t)(t->ncol + 1));
	struct place *place = sqlite3_malloc64(sizeof *place * (uint64_t)n);
	int rc = cols && place && fold_batch(f) ? SQLITE_OK : SQLITE_NOMEM;

	if (rc == SQLITE_OK)
		rc = log_scattered(f, r, &n, place, cols);
	if (rc == SQLITE_OK) {
		qsort(place, (size_t)n, sizeof *place, compare_places);
		rc = put_scattered(f, place, n, cols);
	}
	sqlite3_free(place);
	sqlite3_free(cols);
	return rc;
}

int
fold_updates(struct fold *f, int i, int *taken)
{
	const struct record *r = &f->list.list->record[i];
	int n = count_scattered(f, i);

	*taken = n < SCATTERED_MIN ? 1 : n;
	return n < SCATTERED_MIN ? fold_update(f, r) : fold_scattered(f, r, n);
}

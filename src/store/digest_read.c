// SPDX-License-Identifier: MPL-2.0
/*
 * digest_read.c - reads the tables of a verification, some rows at a time: for
 * the sums of all rows, or for the rows of the buckets that are wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"
#include "store/store_private.h"

enum {
	TABLE_COST = 512,       /* in rows: to begin with one */
	ROW_BYTES = 1024,       /* what many more than that cost more */
};

static bool
is_read(const struct store_digest *d, const struct digest_table *t)
{
	return t->compared && (d->work == DIGEST_WORK_SUM || t->wanted != NULL);
}

int
digest_begin_reading(struct store_digest *d, enum digest_work work, struct err *err)
{
	d->work = work;
	d->at = 0;
	if (d->fine.bucket == NULL)
		d->fine.bucket = malloc(sizeof *d->fine.bucket <<
		    DIGEST_BITS_MAX);
	if (d->pks == NULL)
		d->pks = malloc(DIGEST_PKS_MAX);
	return d->fine.bucket == NULL || d->pks == NULL ? err_nomem(err) : 0;
}

static void
add_to_sum(struct store_digest *d)
{
	struct digest_bucket *b = &d->fine.bucket[digest_bucket_of(
	    &d->scan.key, DIGEST_BITS_MAX)];
	uint64_t lo = digest_half(&d->scan.row, 1);

	b->lo += lo;
	b->hi += digest_half(&d->scan.row, 0) + (b->lo < lo);
	b->n++;
}

static bool
is_wanted(const struct store_digest *d)
{
	const struct digest_table *t = &d->table[d->at];
	uint64_t bucket = digest_bucket_of(&d->scan.key, t->wanted_bits);

	return (t->wanted[bucket / 8] >> bucket % 8 & 1) != 0;
}

/* The key's bytes as far as there is room: it is named by them. */
static int
add_row(struct store_digest *d, struct err *err)
{
	size_t len = d->scan.key_end - d->scan.key_at;
	struct digest_row *more, *row;

	if (d->rows.nrows == DIGEST_ROWS_MAX)
		return err_set(err, E_INTEGRITY, NULL,
		    "too many rows were asked for at once");
	if (d->rows.nrows == d->rows_cap) {
		d->rows_cap = d->rows_cap == 0 ? 1024 : 2 * d->rows_cap;
		more = realloc(d->rows.row, d->rows_cap * sizeof *more);
		if (more == NULL)
			return err_nomem(err);
		d->rows.row = more;
	}
	row = &d->rows.row[d->rows.nrows++];
	*row = (struct digest_row){ .key = digest_half(&d->scan.key, 0),
		.row = digest_half(&d->scan.row, 0), .table = d->at };
	if (len == 0 || len > DIGEST_PK_MAX ||
	    len > DIGEST_PKS_MAX - d->pks_len)
		return 0;
	memcpy(d->pks + d->pks_len, d->scan.bytes.data + d->scan.key_at, len);
	row->pk = d->pks + d->pks_len;
	row->npk = len;
	d->pks_len += len;
	return 0;
}

/* The sums of the table that was read, coarser. */
static int
keep_sums(struct store_digest *d, struct err *err)
{
	struct digest_table *t = &d->table[d->at];
	struct digest_sums *s = &t->ours;
	size_t i, size;

	for (i = 0; i < (size_t)1 << DIGEST_BITS_MAX; i++)
		t->rows += d->fine.bucket[i].n;
	digest_fold(&d->fine, digest_bits_for(t->rows, d->per_bucket));
	size = sizeof *s->bucket << d->fine.bits;
	s->bucket = malloc(size);
	if (s->bucket == NULL)
		return err_nomem(err);
	memcpy(s->bucket, d->fine.bucket, size);
	s->bits = d->fine.bits;
	digest_spread(d, d->at + 1);
	d->result.tables++;
	d->result.rows += t->rows;
	return 0;
}

static int
open_table(struct store_digest *d, struct err *err)
{
	memset(d->fine.bucket, 0, sizeof *d->fine.bucket << DIGEST_BITS_MAX);
	d->fine.bits = DIGEST_BITS_MAX;
	return digest_scan_open(&d->scan, digest_db(d), &d->table[d->at], d->at,
	    err);
}

static int
end_table(struct store_digest *d, struct err *err)
{
	digest_scan_close(&d->scan);
	return d->work == DIGEST_WORK_SUM ? keep_sums(d, err) : 0;
}

/* Up to max rows; *done after the last table. */
int
digest_read_some(struct store_digest *d, size_t max, bool *done, struct err *err)
{
	size_t cost;
	bool row;
	int rc = 0;

	*done = false;
	while (rc == 0 && max > 0 && d->at < d->n) {
		if (!is_read(d, &d->table[d->at])) {
			d->at++;
			continue;
		}
		if (d->scan.stmt == NULL) {
			rc = open_table(d, err);
			max -= max > TABLE_COST ? TABLE_COST : max - 1;
		}
		if (rc == 0)
			rc = digest_scan_next(&d->scan, d->secret, &row, err);
		if (rc != 0)
			break;
		max--;
		if (!row) {
			rc = end_table(d, err);
			d->at++;
			continue;
		}
		d->result.read++;
		cost = d->scan.read / ROW_BYTES;
		max -= cost < max ? cost : max;
		if (digest_flight_has(&d->flight, &d->scan.key))
			continue;
		if (d->work == DIGEST_WORK_SUM)
			add_to_sum(d);
		else if (is_wanted(d))
			rc = add_row(d, err);
	}
	*done = rc == 0 && d->at == d->n;
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * digest_compare.c - sums of both sides beside each other: how fine they are, which
 * buckets differ, and of which the rows are wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"

void
digest_forget_rows(struct store_digest *d)
{
	size_t t;

	for (t = 0; t < d->n; t++) {
		free(d->table[t].wanted);
		d->table[t].wanted = NULL;
	}
	d->rows.nrows = 0;
	d->pks_len = 0;
}

/* -- buckets ---------------------------------------------------------------- */

unsigned
digest_bits_for(uint64_t rows, uint64_t per_bucket)
{
	unsigned bits = 0;

	while (bits < DIGEST_BITS_MAX && rows >> (bits + 1) >= per_bucket)
		bits++;
	return bits;
}

/* A table that is not compared has one bucket, too. */
static size_t
count_buckets(const struct store_digest *d)
{
	size_t t, n = 0;

	for (t = 0; t < d->n; t++)
		n += (size_t)1 << d->table[t].ours.bits;
	return n;
}

static void
coarsen(struct digest_sums *s, unsigned bits)
{
	struct digest_bucket *less;

	if (s->bucket == NULL || s->bits <= bits)
		return;
	digest_fold(s, bits);
	less = realloc(s->bucket, sizeof *less << bits);
	if (less != NULL)
		s->bucket = less;
}

void
digest_spread(struct store_digest *d, size_t end)
{
	size_t t;

	while (count_buckets(d) > DIGEST_BUCKETS_MAX) {
		d->per_bucket *= 2;
		for (t = 0; t < end; t++)
			coarsen(&d->table[t].ours, digest_bits_for(
			    d->table[t].rows, d->per_bucket));
	}
}

/* -- which differ ----------------------------------------------------------- */

static int
add_suspect(struct store_digest *d, size_t table, uint64_t bucket, uint64_t n,
    struct err *err)
{
	struct digest_suspect *more;

	if (d->nsuspects % 1024 == 0) {
		more = realloc(d->suspect, (d->nsuspects + 1024) *
		    sizeof *more);
		if (more == NULL)
			return err_nomem(err);
		d->suspect = more;
	}
	d->suspect[d->nsuspects++] = (struct digest_suspect){ table,
	    d->table[table].ours.bits, bucket, n };
	return 0;
}

static bool
is_equal(const struct digest_bucket *a, const struct digest_bucket *b)
{
	return a->n == b->n && a->hi == b->hi && a->lo == b->lo;
}

/* That there is a difference is all that can be told, and who has more. */
static void
count_only(struct digest_found *f, uint64_t here, uint64_t there)
{
	if (here == there)
		f->differ++;
	else if (here > there)
		f->here += here - there;
	else
		f->there += there - here;
}

int
digest_compare(struct store_digest *d, size_t t, struct err *err)
{
	struct digest_sums *a = &d->table[t].ours, *b = &d->table[t].theirs;
	uint64_t here, there, more;
	size_t i;
	int rc = 0;

	if (!d->table[t].compared)
		return 0;
	digest_fold(a, b->bits);
	digest_fold(b, a->bits);
	for (i = 0; i < (size_t)1 << a->bits && rc == 0; i++) {
		here = a->bucket[i].n;
		there = b->bucket[i].n;
		more = here > there ? here : there;
		if (is_equal(&a->bucket[i], &b->bucket[i]))
			continue;
		if (more > DIGEST_ROWS_WANTED)
			count_only(&d->found, here, there);
		else
			rc = add_suspect(d, t, i, more, err);
	}
	return rc;
}

/* -- rows that are wanted --------------------------------------------------- */

static int
begin_wanting(struct digest_table *t, unsigned bits, struct err *err)
{
	size_t size = ((size_t)1 << bits) / 8 + 1;

	t->wanted_bits = bits;
	if (t->wanted == NULL)
		t->wanted = calloc(size, 1);
	if (t->given == NULL)
		t->given = calloc(size, 1);
	return t->wanted == NULL || t->given == NULL ? err_nomem(err) : 0;
}

int
digest_want_bucket(struct store_digest *d, const struct digest_want *w,
    struct err *err)
{
	struct digest_table *t = w->table < d->n ? &d->table[w->table] : NULL;
	uint8_t bit = (uint8_t)(1 << w->bucket % 8);
	int rc;

	if (t == NULL || !t->compared || w->bits > t->ours.bits ||
	    (t->given != NULL && t->wanted_bits != w->bits))
		return err_set(err, E_INTEGRITY, NULL,
		    "a DIGEST wants what can't be");
	rc = begin_wanting(t, w->bits, err);
	if (rc != 0)
		return rc;
	if (t->given[w->bucket / 8] & bit)
		return err_set(err, E_INTEGRITY, NULL,
		    "a DIGEST wants the same again");
	t->wanted[w->bucket / 8] |= bit;
	t->given[w->bucket / 8] |= bit;
	return 0;
}

/* Their sums count down to nothing. */
int
digest_check_rows(struct store_digest *d, const struct digest_msg *m,
    struct err *err)
{
	const struct digest_row *row = m->row;
	const struct digest_table *t;
	uint64_t bucket, left = 0;
	size_t i;

	for (i = 0; i < m->nrows; i++, row++) {
		t = row->table < d->n ? &d->table[row->table] : NULL;
		bucket = t != NULL && t->wanted != NULL ?
		    digest_bucket_of_half(row->key, t->wanted_bits) : 0;
		if (t == NULL || t->wanted == NULL || !(t->wanted[bucket / 8] >>
		    bucket % 8 & 1) || t->theirs.bucket[bucket].n-- == 0)
			return err_set(err, E_INTEGRITY, NULL,
			    "a DIGEST has rows that were not wanted");
	}
	for (i = d->answered; i < d->asked; i++)
		left += d->table[d->suspect[i].table].theirs.bucket[
		    d->suspect[i].bucket].n;
	return left == 0 ? 0 : err_set(err, E_INTEGRITY, NULL,
	    "a DIGEST has fewer rows than it said");
}

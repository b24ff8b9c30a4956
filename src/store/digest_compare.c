// SPDX-License-Identifier: MPL-2.0
/*
 * digest_compare.c - sums of both sides beside each other: which buckets differ,
 * and of which the rows are wanted.
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

int
digest_compare(struct store_digest *d, size_t t, struct err *err)
{
	struct digest_sums *a = &d->table[t].ours, *b = &d->table[t].theirs;
	size_t i;
	int rc = 0;

	if (!d->table[t].compared)
		return 0;
	digest_fold(a, b->bits);
	digest_fold(b, a->bits);
	for (i = 0; i < (size_t)1 << a->bits && rc == 0; i++)
		if (a->bucket[i].n != b->bucket[i].n ||
		    a->bucket[i].hi != b->bucket[i].hi ||
		    a->bucket[i].lo != b->bucket[i].lo)
			rc = add_suspect(d, t, i,
			    a->bucket[i].n > b->bucket[i].n ?
			    a->bucket[i].n : b->bucket[i].n, err);
	return rc;
}

int
digest_want_bucket(struct store_digest *d, const struct digest_want *w,
    struct err *err)
{
	struct digest_table *t = w->table < d->n ? &d->table[w->table] : NULL;

	if (t == NULL || !t->compared ||
	    (t->wanted != NULL && t->wanted_bits != w->bits))
		return err_set(err, E_INTEGRITY, NULL,
		    "a DIGEST wants what can't be");
	if (t->wanted == NULL)
		t->wanted = calloc(((size_t)1 << w->bits) / 8 + 1, 1);
	if (t->wanted == NULL)
		return err_nomem(err);
	t->wanted_bits = w->bits;
	t->wanted[w->bucket / 8] |= (uint8_t)(1 << w->bucket % 8);
	return 0;
}

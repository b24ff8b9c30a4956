// SPDX-License-Identifier: MPL-2.0
#include "store/vector.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

void
store_vector_clear(struct store_vector *v)
{
	free(v->entry);
	memset(v, 0, sizeof *v);
}

/* Where the site is, or would be put. */
static size_t
place_of(const struct store_vector *v,
    const uint8_t site[static STORE_SITE_LEN], bool *found)
{
	size_t lo = 0, hi = v->n, mid;
	int order;

	*found = false;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = memcmp(v->entry[mid].site, site, STORE_SITE_LEN);
		if (order == 0) {
			*found = true;
			return mid;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct store_entry *
vector_find(const struct store_vector *v,
    const uint8_t site[static STORE_SITE_LEN])
{
	bool found;
	size_t i = place_of(v, site, &found);

	return found ? &v->entry[i] : NULL;
}

static int
make_room(struct store_vector *v, struct err *err)
{
	size_t cap = v->cap < 4 ? 4 : v->cap * 2;
	struct store_entry *entry;

	if (v->n >= VECTOR_MAX)
		return err_set(err, E_INTEGRITY, NULL,
		    "a vector has more than %d sites", (int)VECTOR_MAX);
	if (v->n < v->cap)
		return 0;
	if (cap <= v->n)
		cap = v->n + 4;
	entry = realloc(v->entry, cap * sizeof *entry);
	if (entry == NULL)
		return err_nomem(err);
	v->entry = entry;
	v->cap = cap;
	return 0;
}

int
vector_set(struct store_vector *v, const struct store_entry *entry,
    struct err *err)
{
	bool found;
	size_t i = place_of(v, entry->site, &found);
	int rc;

	if (entry->version == 0) {
		if (found) {
			v->n--;
			memmove(&v->entry[i], &v->entry[i + 1],
			    (v->n - i) * sizeof *v->entry);
		}
		return 0;
	}
	if (!found) {
		rc = make_room(v, err);
		if (rc != 0)
			return rc;
		memmove(&v->entry[i + 1], &v->entry[i],
		    (v->n - i) * sizeof *v->entry);
		v->n++;
	}
	v->entry[i] = *entry;
	return 0;
}

int
vector_raise(struct store_vector *v, const struct store_entry *entry,
    bool *rose, struct err *err)
{
	const struct store_entry *here = vector_find(v, entry->site);
	bool higher = entry->version > (here != NULL ? here->version : 0);

	if (rose != NULL)
		*rose = higher;
	return higher ? vector_set(v, entry, err) : 0;
}

int
vector_join(struct store_vector *v, const struct store_vector *other,
    struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < other->n && rc == 0; i++)
		rc = vector_raise(v, &other->entry[i], NULL, err);
	return rc;
}

void
vector_meet(struct store_vector *v, const struct store_vector *other)
{
	const struct store_entry *there;
	size_t i, n = 0;

	for (i = 0; i < v->n; i++) {
		there = vector_find(other, v->entry[i].site);
		if (there == NULL)
			continue;
		v->entry[n] = v->entry[i];
		if (there->version < v->entry[n].version)
			v->entry[n] = *there;
		n++;
	}
	v->n = n;
}

bool
vector_covers(const struct store_vector *v, const struct store_vector *other)
{
	const struct store_entry *here;
	size_t i;

	for (i = 0; i < other->n; i++) {
		here = vector_find(v, other->entry[i].site);
		if (here == NULL || here->version < other->entry[i].version)
			return false;
	}
	return true;
}

bool
vector_equal(const struct store_vector *a, const struct store_vector *b)
{
	return a->n == b->n && (a->n == 0 ||
	    memcmp(a->entry, b->entry, a->n * sizeof *a->entry) == 0);
}

int
vector_copy(const struct store_vector *v, struct store_vector *out,
    struct err *err)
{
	store_vector_clear(out);
	if (v->n == 0)
		return 0;
	out->entry = malloc(v->n * sizeof *out->entry);
	if (out->entry == NULL)
		return err_nomem(err);
	memcpy(out->entry, v->entry, v->n * sizeof *v->entry);
	out->n = out->cap = v->n;
	memcpy(out->hash, v->hash, sizeof out->hash);
	return 0;
}

void
vector_rehash(struct store_vector *v)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 }, version[8];
	size_t i, k;

	/* Out of memory leaves zeroes, a hash that no peer knows. */
	if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) {
		for (i = 0; i < v->n; i++) {
			for (k = 0; k < sizeof version; k++)
				version[k] = (uint8_t)(v->entry[i].version >>
				    8 * (7 - k));
			EVP_DigestUpdate(ctx, v->entry[i].site,
			    STORE_SITE_LEN);
			EVP_DigestUpdate(ctx, version, sizeof version);
			EVP_DigestUpdate(ctx, v->entry[i].token,
			    STORE_TOKEN_LEN);
		}
		EVP_DigestFinal_ex(ctx, digest, NULL);
	}
	EVP_MD_CTX_free(ctx);
	memcpy(v->hash, digest, STORE_HASH_LEN);
}

static int
by_site(const void *a, const void *b)
{
	return memcmp(((const struct store_entry *)a)->site,
	    ((const struct store_entry *)b)->site, STORE_SITE_LEN);
}

int
vector_sort(struct store_vector *v, struct err *err)
{
	size_t i;

	if (v->n > VECTOR_MAX)
		return err_set(err, E_INTEGRITY, NULL,
		    "a vector has more than %d sites", (int)VECTOR_MAX);
	if (v->n > 1)
		qsort(v->entry, v->n, sizeof *v->entry, by_site);
	for (i = 1; i < v->n; i++)
		if (by_site(&v->entry[i - 1], &v->entry[i]) == 0)
			return err_set(err, E_INTEGRITY, NULL,
			    "a vector names a site twice");
	return 0;
}

void
vector_encode(const struct store_vector *v, struct buf *out)
{
	size_t i;

	buf_add_varint(out, v->n);
	for (i = 0; i < v->n; i++) {
		buf_add(out, v->entry[i].site, STORE_SITE_LEN);
		buf_add_varint(out, v->entry[i].version);
		buf_add(out, v->entry[i].token, STORE_TOKEN_LEN);
	}
}

int
vector_decode(struct rd *r, struct store_vector *v, struct err *err)
{
	uint64_t i, n = rd_varint(r, VECTOR_MAX);
	struct store_entry e;
	int rc = 0;

	for (i = 0; i < n && rc == 0 && !rd_failed(r); i++) {
		rd_copy(r, sizeof e.site, e.site);
		e.version = rd_varint(r, INT64_MAX);
		rd_copy(r, sizeof e.token, e.token);
		rc = vector_set(v, &e, err);
	}
	return rc;
}

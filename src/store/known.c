// SPDX-License-Identifier: MPL-2.0
#include "store/known.h"

#include <stdlib.h>
#include <string.h>

#include "store/vector.h"

static void
forget(struct known *k, size_t i)
{
	k->entries -= k->list[i].vector.n;
	store_vector_clear(&k->list[i].vector);
	k->n--;
	memmove(&k->list[i], &k->list[i + 1], (k->n - i) * sizeof *k->list);
}

static size_t
index_of(const struct known *k, int64_t remote,
    const uint8_t hash[static STORE_HASH_LEN])
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->list[i].remote == remote &&
		    memcmp(k->list[i].vector.hash, hash, STORE_HASH_LEN) == 0)
			break;
	return i;
}

/* Forgets the oldest ones, those of this remote first if it has many. */
static void
make_room(struct known *k, int64_t remote, size_t entries)
{
	size_t i, of_remote = 0, oldest = k->n;

	for (i = k->n; i-- > 0;) {
		if (k->list[i].remote == remote) {
			of_remote++;
			oldest = i;
		}
	}
	if (of_remote >= KNOWN_PER_REMOTE)
		forget(k, oldest);
	while (k->n > 0 && (k->n >= KNOWN_MAX ||
	    k->entries + entries > KNOWN_ENTRIES_MAX))
		forget(k, 0);
}

int
known_add(struct known *k, int64_t remote, const struct store_vector *v,
    struct err *err)
{
	struct known_vector new = { .remote = remote };
	size_t i;
	int rc;

	if (k->list == NULL) {
		k->list = malloc(KNOWN_MAX * sizeof *k->list);
		if (k->list == NULL)
			return err_nomem(err);
	}
	rc = vector_copy(v, &new.vector, err);
	if (rc != 0)
		return rc;
	vector_rehash(&new.vector);
	i = index_of(k, remote, new.vector.hash);
	if (i < k->n)
		forget(k, i);
	make_room(k, remote, new.vector.n);
	k->list[k->n++] = new;
	k->entries += new.vector.n;
	return 0;
}

const struct store_vector *
known_find(const struct known *k, int64_t remote,
    const uint8_t hash[static STORE_HASH_LEN])
{
	size_t i = index_of(k, remote, hash);

	return i < k->n ? &k->list[i].vector : NULL;
}

void
known_clear(struct known *k)
{
	while (k->n > 0)
		forget(k, k->n - 1);
	free(k->list);
	memset(k, 0, sizeof *k);
}

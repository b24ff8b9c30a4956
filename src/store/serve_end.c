// SPDX-License-Identifier: MPL-2.0
/* serve_end.c - END: what a peer has once it has the pages; see serve.h. */
#include "store/serve.h"

#include <stdlib.h>
#include <string.h>

#include "store/held.h"

/* What is held of exactly these tables. */
static int
end_group(struct store_reading *r, const struct held *h,
    const struct store_entry *own, const struct serving_group *g,
    struct store_end_group *out, struct err *err)
{
	const struct held_table *t;
	bool any = false;
	size_t i;
	int rc = 0;

	out->complete = true;
	out->absent = calloc(g->ntables + 1, sizeof *out->absent);
	if (out->absent == NULL)
		return err_nomem(err);
	for (i = 0; i < g->ntables && rc == 0; i++) {
		t = held_find(h, g->table[i]);
		if (t == NULL)
			out->absent[out->nabsent++] = i;
		else if (any)
			vector_meet(&out->vector, &h->vector[t->vector].v);
		else
			rc = vector_copy(&h->vector[t->vector].v, &out->vector,
			    err);
		any = any || t != NULL;
	}
	if (rc == 0 && any)
		rc = vector_set(&out->vector, own, err);
	/* The reader hears it, too. */
	split_drop(&r->split, &out->vector);
	for (i = 0; i < g->denied.n && rc == 0 && any; i++)
		rc = vector_set(&out->vector, &g->denied.entry[i], err);
	vector_rehash(&out->vector);
	return rc;
}

/* The reader will have what it had and what it is told now: next time it may
 * name that by its hash. */
static int
remember(struct store_reading *r, const struct serving_group *g,
    const struct store_end_group *end, struct err *err)
{
	struct store_vector v = { .n = 0 };
	int rc;

	rc = vector_copy(&g->asked, &v, err);
	if (rc == 0)
		rc = vector_join(&v, &end->vector, err);
	if (rc == 0)
		rc = known_add(&r->s->known, r->remote, &v, err);
	store_vector_clear(&v);
	return rc;
}

static bool
was_asked(void *self, const char *name)
{
	const struct store_reading *r = self;
	size_t i, k;

	for (i = 0; i < r->ngroups; i++)
		for (k = 0; k < r->group[i].ntables; k++)
			if (sqlite3_stricmp(r->group[i].table[k], name) == 0)
				return true;
	return false;
}

int
store_serve_end(struct store_reading *r, struct store_end *out,
    struct err *err)
{
	struct store_entry own;
	struct held h;
	size_t i;
	int rc;

	memset(out, 0, sizeof *out);
	if (!r->last)
		return err_set(err, E_FATAL, NULL, "the last page was not read");
	memcpy(out->cursor, r->position, sizeof out->cursor);
	out->group = calloc(r->ngroups + 1, sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	rc = held_load(r->db, &h, err);
	if (rc == 0)
		rc = store_own_entry(r->db, &own, err);
	for (i = 0; i < r->ngroups && rc == 0; i++) {
		out->ngroups++;
		rc = end_group(r, &h, &own, &r->group[i], &out->group[i], err);
		if (rc == 0)
			rc = remember(r, &r->group[i], &out->group[i], err);
	}
	if (rc == 0)
		rc = other_find(&h, was_asked, r, out, err);
	held_clear(&h);
	return rc;
}

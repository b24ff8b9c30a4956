// SPDX-License-Identifier: MPL-2.0
/*
 * serve_plan.c - what a peer asks for, as the engine takes it: what its vectors
 * name covers what they prove, and no more (R15); see serve.h.
 */
#include "store/serve.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

enum { PLAN_MAX = 64 << 20 };

/* An entry of the own site whose token is not that of our transaction of that
 * version is of another history: it covers nothing here (R15). */
static int
check_own(struct store_reading *r, const struct store_entry *own,
    struct store_entry *e, struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	bool found = true;
	int rc = 0;

	memcpy(token, own->token, sizeof token);
	if (e->version > own->version) {
		e->version = 0;         /* not ours any more */
		found = false;
	} else if (e->version < own->version) {
		rc = sql_bytes(r->db, token, sizeof token, &found, err,
		    "SELECT crsql_token(?1, ?2)", "bi", e->site,
		    (size_t)STORE_SITE_LEN, (int64_t)e->version);
	}
	if (rc == 0 && found && memcmp(token, e->token, sizeof token) != 0)
		e->version = 0;
	return rc;
}

/* Makes an entry cover nothing where it proves nothing. */
static int
check_entry(struct store_reading *r, const struct store_entry *own,
    struct serving_group *mine, struct store_entry *e, struct err *err)
{
	struct store_entry denied = *e;

	if (memcmp(own->site, e->site, STORE_SITE_LEN) == 0)
		return check_own(r, own, e, err);
	if (!split_has(&r->split, e->site))
		return 0;
	split_answer(&denied);
	e->version = 0;
	return vector_set(&mine->denied, &denied, err);
}

static int
encode_group(struct store_reading *r, const struct store_group *g,
    const struct store_entry *own, struct serving_group *mine, struct err *err)
{
	struct buf *b = &r->plan;
	struct store_entry e;
	size_t i, n = mine->asked.n;
	int rc = 0;

	buf_add_varint(b, g->ntables);
	for (i = 0; i < g->ntables; i++) {
		buf_add_varint(b, strlen(g->table[i]));
		buf_add(b, g->table[i], strlen(g->table[i]));
	}
	buf_add(b, g->cursor, STORE_CURSOR_LEN);
	buf_add_varint(b, n);
	for (i = 0; i < n && rc == 0; i++) {
		e = mine->asked.entry[i];
		rc = check_entry(r, own, mine, &e, err);
		buf_add(b, e.site, STORE_SITE_LEN);
		buf_add_varint(b, e.version);
	}
	return rc;
}

static int
copy_tables(const struct store_group *g, struct serving_group *mine,
    struct err *err)
{
	mine->table = calloc(g->ntables + 1, sizeof *mine->table);
	if (mine->table == NULL)
		return err_nomem(err);
	for (; mine->ntables < g->ntables; mine->ntables++) {
		mine->table[mine->ntables] = strdup(g->table[mine->ntables]);
		if (mine->table[mine->ntables] == NULL)
			return err_nomem(err);
	}
	return 0;
}

/* The vector of a group: whole, or known from before by its hash. */
static int
find_vector(struct store_reading *r, const struct store_group *g,
    struct serving_group *mine, bool *missing, struct err *err)
{
	const struct store_vector *known;
	struct store_vector none = { .n = 0 };
	int rc;

	*missing = false;
	if (g->vector_known) {
		rc = vector_copy(&g->vector, &mine->asked, err);
		if (rc == 0)
			rc = vector_sort(&mine->asked, err);
		return rc != 0 ? rc :
		    known_add(&r->s->known, r->remote, &mine->asked, err);
	}
	vector_rehash(&none);
	if (memcmp(none.hash, g->vector.hash, STORE_HASH_LEN) == 0)
		return 0;
	known = known_find(&r->s->known, r->remote, g->vector.hash);
	*missing = known == NULL;
	return known != NULL ? vector_copy(known, &mine->asked, err) : 0;
}

int
serve_take_plan(struct store_reading *r, const struct store_plan *p,
    bool *need_whole, struct err *err)
{
	bool missing;
	size_t i;
	int rc = 0;

	r->group = calloc(p->ngroups + 1, sizeof *r->group);
	if (r->group == NULL)
		return err_nomem(err);
	for (i = 0; i < p->ngroups && rc == 0; i++) {
		r->ngroups++;
		rc = copy_tables(&p->group[i], &r->group[i], err);
		if (rc == 0)
			rc = find_vector(r, &p->group[i], &r->group[i],
			    &missing, err);
		if (rc == 0 && missing)
			*need_whole = true;
	}
	return rc;
}

/* Sites with two pasts that the reader's vectors show. */
static int
find_splits(struct store_reading *r, const struct store_entry *own,
    struct err *err)
{
	const struct store_vector **v = calloc(r->ngroups + 1, sizeof *v);
	size_t i, known;
	int rc;

	if (v == NULL)
		return err_nomem(err);
	for (i = 0; i < r->ngroups; i++)
		v[i] = &r->group[i].asked;
	rc = split_load(r->db, &r->split, err);
	known = r->split.n;
	if (rc == 0)
		rc = split_find(r->db, &r->split, v, r->ngroups, own->site,
		    err);
	if (rc == 0 && !r->looks)
		split_keep(r->s, &r->split, known);
	free(v);
	return rc;
}

int
serve_encode_plan(struct store_reading *r, const struct store_plan *p,
    struct err *err)
{
	struct store_entry own;
	size_t i;
	int rc;

	rc = store_own_entry(r->db, &own, err);
	if (rc == 0)
		rc = find_splits(r, &own, err);
	buf_init(&r->plan, PLAN_MAX);
	buf_add_varint(&r->plan, p->ngroups);
	for (i = 0; i < p->ngroups && rc == 0; i++)
		rc = encode_group(r, &p->group[i], &own, &r->group[i], err);
	if (rc == 0 && r->plan.failed)
		rc = err_nomem(err);
	return rc;
}

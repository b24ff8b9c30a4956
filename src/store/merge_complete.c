// SPDX-License-Identifier: MPL-2.0
/* merge_complete.c - what is held once a pull is complete, by what END says; the pages
 * before it are merge.c's. */
#include "store/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/be64.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* Versions above it are refused (R22). */
#define VERSION_MAX ((uint64_t)1 << 53)

int
merge_check_end(const struct asked *asked, const struct store_end *end,
    struct err *err)
{
	size_t i, k;
	int rc = 0;

	if (end->ngroups != asked->n)
		return err_set(err, E_INTEGRITY, NULL, "the end of the pull "
		    "answers %zu groups, not the %zu that were asked for",
		    end->ngroups, asked->n);
	for (i = 0; i < end->ngroups && rc == 0; i++) {
		struct store_end_group *g = &end->group[i];

		rc = vector_sort(&g->vector, err);
		for (k = 0; k < g->vector.n && rc == 0; k++)
			if (g->vector.entry[k].version > VERSION_MAX)
				rc = err_set(err, E_INTEGRITY, NULL,
				    "a version number is out of range");
		for (k = 0; k < g->nabsent && rc == 0; k++)
			if (g->absent[k] >= asked->group[i].n)
				rc = err_set(err, E_INTEGRITY, NULL,
				    "the end of the pull names a table that was "
				    "not asked for");
	}
	return rc;
}

/* What the server holds, without ourselves: of our current incarnation we know
 * best. */
static int
without_own(const struct store *s, const struct store_vector *v,
    struct store_vector *out, struct err *err)
{
	struct store_entry own = { .version = 0 };
	int rc = vector_copy(v, out, err);

	memcpy(own.site, s->site, STORE_SITE_LEN);
	return rc == 0 ? vector_set(out, &own, err) : rc;
}

/* Which tables of the group are still the same ones here, and are there. */
static void
mark_tables(const struct held *h, const struct asked_group *g,
    const struct store_end_group *e, bool *take)
{
	const struct held_table *t;
	size_t i, k;

	memset(take, 0, h->ntables * sizeof *take);
	for (i = 0; i < g->n; i++) {
		for (k = 0; k < e->nabsent && e->absent[k] != i; k++)
			;
		t = k == e->nabsent ? held_find(h, g->name[i]) : NULL;
		if (t != NULL && t->tbl == g->tbl[i])
			take[t - h->table] = true;
	}
}

static int
join_group(struct merge *m, const struct asked_group *g,
    const struct store_end_group *e, bool *take, struct err *err)
{
	struct store_vector v = { 0 };
	int rc;

	if (!e->complete)
		return 0;
	mark_tables(&m->held, g, e, take);
	rc = without_own(m->s, &e->vector, &v, err);
	split_drop(&m->split, &v);
	if (rc == 0)
		rc = held_join(&m->held, m->s->db, take, &v, err);
	store_vector_clear(&v);
	return rc;
}

/* True if the server knows another past of a site than what we asked with. */
static bool
is_denied(const struct store_vector *asked, const struct store_entry *e)
{
	const struct store_entry *mine = vector_find(asked, e->site);

	return mine != NULL && mine->version == e->version &&
	    memcmp(mine->token, e->token, STORE_TOKEN_LEN) != 0;
}

/* Adds the sites of which an entry of v is denied. */
static int
find_denied(struct split *s, const struct store_vector *asked,
    const struct store_vector *v, const uint8_t own[static STORE_SITE_LEN],
    struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < v->n && rc == 0; i++)
		if (is_denied(asked, &v->entry[i]) &&
		    memcmp(v->entry[i].site, own, STORE_SITE_LEN) != 0)
			rc = split_add(s, v->entry[i].site, err);
	return rc;
}

static int
note_split(struct merge *m, const uint8_t site[static STORE_SITE_LEN],
    struct err *err)
{
	struct store_entry none = { .version = 0 };
	size_t k;
	int rc;

	m->anew = true;
	rc = split_note(m->s->db, site, err);
	memcpy(none.site, site, STORE_SITE_LEN);
	for (k = 0; k < m->held.nvectors && rc == 0; k++)
		rc = vector_set(&m->held.vector[k].v, &none, err);
	return rc;
}

/* Sites of which the server knows another past (R16): because of one that was
 * not known all is read anew. */
static int
find_splits(struct merge *m, const struct store_end *end, struct err *err)
{
	const struct store_vector **v = calloc(end->ngroups + 1, sizeof *v);
	size_t i, known;
	int rc;

	if (v == NULL)
		return err_nomem(err);
	rc = split_load(m->s->db, &m->split, err);
	known = m->split.n;
	for (i = 0; i < end->ngroups && rc == 0; i++) {
		v[i] = &end->group[i].vector;
		rc = find_denied(&m->split, &m->asked->group[i].vector, v[i],
		    m->s->site, err);
	}
	if (rc == 0)
		rc = split_find(m->s->db, &m->split, v, end->ngroups,
		    m->s->site, err);
	for (i = known; i < m->split.n && rc == 0; i++)
		rc = note_split(m, m->split.site[i].id, err);
	free(v);
	return rc;
}

/* R18: what is held of all tables now and was not before. */
static int
note_seen(struct merge *m, const struct store_vector *before,
    struct err *err)
{
	struct store_vector after = { 0 };
	const struct store_entry *was;
	size_t i;
	int rc;

	rc = held_by_all(&m->held, &after, err);
	for (i = 0; i < after.n && rc == 0; i++) {
		was = vector_find(before, after.entry[i].site);
		if (was != NULL && was->version >= after.entry[i].version)
			continue;
		rc = sql_do(m->s->db, err, "SELECT crsql_saw(?1, ?2)", "bi",
		    after.entry[i].site, (size_t)STORE_SITE_LEN,
		    (int64_t)after.entry[i].version);
	}
	store_vector_clear(&after);
	return rc;
}

/* For programs that look there, as with cr-sqlite: event 0 is "received". */
static int
note_tracked_peer(struct merge *m, const uint8_t end[STORE_CURSOR_LEN],
    struct err *err)
{
	int64_t version = (int64_t)be64_get(end + 8);
	int64_t position = (int64_t)be64_get(end + 16);

	return sql_do(m->s->db, err, "INSERT INTO crsql_tracked_peers(site_id, "
	    "version, seq, tag, event) SELECT site_id, ?2, ?3, 0, 0 FROM "
	    "crsql_site_id WHERE public_key = (SELECT key FROM ddcp_remote "
	    "WHERE id = ?1) ORDER BY ordinal DESC LIMIT 1 ON CONFLICT DO UPDATE "
	    "SET version = excluded.version, seq = excluded.seq", "iii",
	    m->remote, version, position);
}

int
merge_complete(struct merge *m, const struct store_end *end, struct err *err)
{
	struct store_vector before = { 0 };
	bool *take = NULL;
	uint64_t parked;
	size_t i;
	int rc;

	take = calloc(m->held.ntables + 1, sizeof *take);
	if (take == NULL)
		return err_nomem(err);
	rc = find_splits(m, end, err);
	if (rc == 0)
		rc = held_by_all(&m->held, &before, err);
	for (i = 0; i < end->ngroups && rc == 0; i++)
		rc = join_group(m, &m->asked->group[i], &end->group[i], take,
		    err);
	if (rc == 0)
		rc = merge_parked(m->s->db, &parked, err);
	if (rc == 0 && parked > 0)
		rc = sql_do(m->s->db, err, "SELECT crsql_unpark()", "");
	if (rc == 0)
		rc = note_seen(m, &before, err);
	if (rc == 0)
		rc = note_tracked_peer(m, end->cursor, err);
	if (rc == 0)
		rc = sql_do(m->s->db, err, "UPDATE ddcp_remote SET pulled = 1 "
		    "WHERE id = ?1 AND pulled = 0", "i", m->remote);
	asked_arrive(m->asked, end->cursor);
	m->done = true;
	store_vector_clear(&before);
	free(take);
	return rc;
}

int
merge_has_news(struct store *s, int64_t remote, const struct asked *asked,
    const struct store_end *end, bool *news, struct err *err)
{
	struct store_vector v = { 0 };
	struct held h;
	bool *take = NULL;
	int64_t pulled;
	size_t i, k;
	int rc;

	rc = sql_int(s->db, &pulled, err,
	    "SELECT pulled FROM ddcp_remote WHERE id = ?1", "i", remote);
	*news = pulled == 0;
	for (i = 0; i < asked->n; i++)
		if (memcmp(asked->group[i].cursor, end->cursor,
		    STORE_CURSOR_LEN) != 0)
			*news = true;
	if (rc != 0 || *news)
		return rc;
	rc = held_load(s->db, &h, err);
	take = rc == 0 ? calloc(h.ntables + 1, sizeof *take) : NULL;
	if (rc == 0 && take == NULL)
		rc = err_nomem(err);
	for (i = 0; i < end->ngroups && rc == 0 && !*news; i++) {
		if (!end->group[i].complete)
			continue;
		mark_tables(&h, &asked->group[i], &end->group[i], take);
		rc = without_own(s, &end->group[i].vector, &v, err);
		for (k = 0; k < v.n && rc == 0; k++)
			if (is_denied(&asked->group[i].vector, &v.entry[k]))
				*news = true;
		for (k = 0; k < h.ntables && rc == 0; k++)
			if (take[k] && !vector_covers(
			    &h.vector[h.table[k].vector].v, &v))
				*news = true;
	}
	store_vector_clear(&v);
	free(take);
	held_clear(&h);
	return rc;
}

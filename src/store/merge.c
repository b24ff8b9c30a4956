// SPDX-License-Identifier: MPL-2.0
#include "store/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/be64.h"
#include "base/ticks.h"
#include "store/config.h"
#include "store/keep.h"
#include "store/schema.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* Versions above it are refused (R22). */
#define VERSION_MAX ((uint64_t)1 << 53)

int
merge_limits(struct store *s, struct merge_limits *out, struct err *err)
{
	int rc = config_number(s, "merge.max-rows", &out->rows, err);

	if (rc == 0)
		rc = config_number(s, "merge.max-bytes", &out->bytes, err);
	if (rc == 0)
		rc = config_number(s, "merge.max-ms", &out->ms, err);
	return rc;
}

int
merge_parked(sqlite3 *db, uint64_t *out, struct err *err)
{
	int64_t n = 0;
	bool any;
	int rc;

	*out = 0;
	rc = sql_has_table(db, "crsql_log", &any, err);
	/* By the index of what is parked: crsql_parked reads the whole log. */
	if (rc == 0 && any)
		rc = sql_int(db, &n, err,
		    "SELECT count(*) FROM crsql_log WHERE n = -4", "");
	*out = rc == 0 ? (uint64_t)n : 0;
	return rc;
}

/* -- pages ------------------------------------------------------------------ */

static int
check_remote(struct merge *m, struct err *err)
{
	int64_t n;
	int rc = sql_int(m->s->db, &n, err,
	    "SELECT count(*) FROM ddcp_remote WHERE id = ?1", "i", m->remote);

	if (rc == 0 && n == 0)
		rc = err_set(err, E_NOTFOUND, NULL,
		    "the remote was removed meanwhile");
	return rc;
}

/* True if v names something that is not held, of a site that is not the current
 * one of ours. */
static bool
names_more(const struct merge *m, const struct store_vector *v,
    const struct store_vector *held)
{
	const struct store_entry *e, *here;
	size_t i;

	for (i = 0; i < v->n; i++) {
		e = &v->entry[i];
		here = vector_find(held, e->site);
		if ((here == NULL || here->version < e->version) &&
		    memcmp(e->site, m->s->site, STORE_SITE_LEN) != 0)
			return true;
	}
	return false;
}

/* True if the pull named what is not held any more (R23): two pasts of a site
 * were noticed since, or an older state came back.  The server passed over what
 * it should not. */
static bool
named_more(const struct merge *m)
{
	const struct asked_group *g;
	const struct held_table *t;
	size_t i, k, last;

	for (i = 0; i < m->asked->n; i++) {
		g = &m->asked->group[i];
		for (k = 0, last = SIZE_MAX; k < g->n; k++) {
			t = held_find(&m->held, g->name[k]);
			if (t == NULL || t->tbl != g->tbl[k] ||
			    t->vector == last)
				continue;
			last = t->vector;
			if (names_more(m, &g->vector, &m->held.vector[last].v))
				return true;
		}
	}
	return false;
}

/* The engine has a setting of its own, for which ours is written where it is another
 * one. */
static int
set_conflicts_max(struct store *s, struct err *err)
{
	uint64_t max;
	int64_t now = 0;
	int rc = config_number(s, "conflicts.max", &max, err);

	if (rc == 0)
		rc = sql_int(s->db, &now, err, "SELECT "
		    "crsql_config_get('conflicts-max')", "");
	return rc == 0 && (uint64_t)now != max ? sql_do(s->db, err, "SELECT "
	    "crsql_config_set('conflicts-max', ?1)", "i", (int64_t)max) : rc;
}

int
merge_begin(struct merge *m, struct store *s, int64_t remote,
    struct asked *asked, struct err *err)
{
	int rc;

	memset(m, 0, sizeof *m);
	m->s = s;
	m->remote = remote;
	m->asked = asked;
	rc = sql_begin(s->db, err);
	if (rc != 0)
		return rc;
	/* how long writers have been waiting */
	m->started_ms = ticks_ms();
	rc = check_remote(m, err);
	if (rc == 0)
		rc = held_load(s->db, &m->held, err);
	if (rc == 0)
		rc = held_settle(&m->held, s->db, err);
	m->anew = rc == 0 && named_more(m);
	if (rc == 0)
		rc = keep_begin(m, err);
	if (rc == 0)
		rc = set_conflicts_max(s, err);
	if (rc == 0)
		rc = sql_open(s->db, &m->import, err,
		    "SELECT crsql_import(?1, 1)", "");
	return rc == 0 ? 0 : merge_end(m, rc, err);
}

/* What the engine refuses is the sender's fault; the rest is ours. */
static int
import_failed(struct merge *m, int rc, struct err *err)
{
	sqlite3 *db = m->s->db;

	if ((rc & 0xFF) != SQLITE_ERROR ||
	    sqlite3_extended_errcode(db) == SQL_HORIZON ||
	    sqlite3_extended_errcode(db) == SQL_FULL_OF_CONFLICTS)
		return sql_fail(db, rc, err);
	return err_set(err, E_INTEGRITY, "nothing of it was applied",
	    "a page can't be applied: %s", sqlite3_errmsg(db));
}

int
merge_page(struct merge *m, const uint8_t *page, size_t len,
    const struct arrival *a, struct err *err)
{
	int rc;

	rc = sqlite3_bind_blob64(m->import, 1, page, len, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(m->import);
	if (rc != SQLITE_ROW) {
		rc = import_failed(m, rc, err);
		sqlite3_reset(m->import);
		return rc;
	}
	sqlite3_reset(m->import);
	sqlite3_clear_bindings(m->import);
	m->rows += a->rows;
	m->bytes += len;
	if (!a->ends_inside)
		asked_advance(m->asked, a->end);
	return vector_join(&m->newest, &a->newest, err);
}

bool
merge_full(const struct merge *m, const struct merge_limits *l)
{
	return m->rows >= l->rows || m->bytes >= l->bytes ||
	    (uint64_t)(ticks_ms() - m->started_ms) >= l->ms;
}

/* -- END ---------------------------------------------------------------------- */

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

/* -- the end of the transaction ------------------------------------------------- */

/* The newest transaction of each site, so that HELLO can name it (R16). */
static int
write_newest(struct merge *m, struct err *err)
{
	const struct store_entry *e;
	size_t i;
	int rc = 0;

	for (i = 0; i < m->newest.n && rc == 0; i++) {
		e = &m->newest.entry[i];
		if (memcmp(e->site, m->s->site, STORE_SITE_LEN) == 0)
			continue;
		rc = sql_do(m->s->db, err, "INSERT INTO ddcp_site VALUES(?1, "
		    "?2, ?3) ON CONFLICT DO UPDATE SET version = "
		    "excluded.version, token = excluded.token WHERE "
		    "excluded.version > version", "bib", e->site,
		    (size_t)STORE_SITE_LEN, (int64_t)e->version, e->token,
		    (size_t)STORE_TOKEN_LEN);
		if (rc == 0)
			rc = split_came(m->s->db, e->site, err);
	}
	return rc;
}

/* Everything that must stand beside the rows. */
static int
write_facts(struct merge *m, struct err *err)
{
	static const uint8_t nothing[STORE_CURSOR_LEN];
	uint8_t own[OWN_LEN];
	bool found;
	int rc;

	if (m->anew)
		asked_arrive(m->asked, nothing);
	rc = write_newest(m, err);
	if (rc == 0)
		rc = asked_write(m->asked, m->s->db, m->remote, err);
	if (rc == 0)
		rc = sql_bytes(m->s->db, own, sizeof own, &found, err,
		    "SELECT crsql_own()", "");
	if (rc == 0)
		rc = schema_set(m->s->db, "own", own, sizeof own, err);
	return rc;
}

int
merge_end(struct merge *m, int rc, struct err *err)
{
	sqlite3_finalize(m->import);
	if (rc == 0)
		rc = keep_end(m, err);
	if (rc == 0)
		rc = write_facts(m, err);
	rc = sql_end(m->s->db, rc, err);
	asked_settle(m->asked, rc == 0);
	if (rc == 0)
		m->s->merges++;
	held_clear(&m->held);
	split_clear(&m->split);
	store_vector_clear(&m->newest);
	return rc;
}

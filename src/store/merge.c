// SPDX-License-Identifier: MPL-2.0
/* merge.c - see merge.h: pages in one transaction; END is merge_complete.c's. */
#include "store/merge.h"

#include <string.h>

#include "base/ticks.h"
#include "store/config.h"
#include "store/keep.h"
#include "store/schema.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

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

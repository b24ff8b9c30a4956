// SPDX-License-Identifier: MPL-2.0
/* seen.c - the steps of sites, and crsql_saw(); see seen.h. */
#include "crdt/seen.h"

#include <string.h>

#include "crdt/ledger.h"
#include "crdt/log.h"

void
seen_sent_clear(struct seen_sent *sent)
{
	sqlite3_free(sent->site);
	memset(sent, 0, sizeof *sent);
}

/* -- sending --------------------------------------------------------------- */

/* What the reader has of a site's steps.  Who holds a site's transactions up to
 * one, be it of any tables, was given its steps up to there. */
static int
find_sent(struct engine *e, struct seen_sent *sent, struct plan *plan,
    int64_t site, struct seen_upto **out)
{
	struct seen_upto *p;
	int64_t held = 0, version;
	int i, rc = SQLITE_OK;

	for (i = sent->n - 1; i >= 0; i--) {
		*out = &sent->site[i];
		if (sent->site[i].site == site)
			return SQLITE_OK;
	}
	for (i = 0; i < plan->ngroup && rc == SQLITE_OK; i++) {
		rc = plan_version(e, plan, i, site, &version);
		held = rc == SQLITE_OK && version > held ? version : held;
	}
	p = rc == SQLITE_OK ? sqlite3_realloc64(sent->site,
	    ((size_t)sent->n + 1) * sizeof *p) : NULL;
	if (p == NULL)
		return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
	sent->site = p;
	*out = &p[sent->n++];
	**out = (struct seen_upto){ .site = site, .sver = held };
	return SQLITE_OK;
}

static int
add_step(struct seen_steps *l, const struct page_step *step)
{
	struct page_step *more;

	if (l->n % 64 == 0) {
		more = sqlite3_realloc64(l->step, ((size_t)l->n + 64) *
		    sizeof *more);
		if (more == NULL)
			return SQLITE_NOMEM;
		l->step = more;
	}
	l->step[l->n++] = *step;
	return SQLITE_OK;
}

/* Of each other site the newest step in (above, upto]: it says what those before
 * it say. */
static int
steps_between(struct engine *e, struct page_writer *out, int64_t site,
    int64_t above, int64_t upto, struct seen_steps *l)
{
	struct page_step s;
	sqlite3_stmt *stmt;
	int rc;

	rc = engine_cached(e, SLOT_SEEN_READ, "SELECT max(sver), other, upto "
	    "FROM crsql_seen WHERE site = ?1 AND sver > ?2 AND sver <= ?3 "
	    "GROUP BY other LIMIT ?4", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, site);
	sqlite3_bind_int64(stmt, 2, above);
	sqlite3_bind_int64(stmt, 3, upto);
	sqlite3_bind_int(stmt, 4, PAGE_MAX_STEPS - out->nstep);
	while (rc == SQLITE_OK && out->nsite < SEEN_MAX_SITES &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		s.version = sqlite3_column_int64(stmt, 0);
		s.upto = sqlite3_column_int64(stmt, 2);
		rc = page_put_site(e, out, sqlite3_column_int64(stmt, 1),
		    &s.other);
		if (rc == SQLITE_OK)
			rc = add_step(l, &s);
	}
	return engine_reset(stmt, rc);
}

/* Whether there are steps at all. */
static int
ask(struct engine *e, struct seen_sent *sent)
{
	int64_t any = 0;
	int rc;

	if (sent->known != 0)
		return SQLITE_OK;
	rc = engine_int(e, &any, "SELECT EXISTS(SELECT 1 FROM crsql_seen)");
	if (rc == SQLITE_OK)
		sent->known = any ? 2 : 1;
	return rc;
}

int
seen_steps(struct engine *e, struct seen_sent *sent, struct plan *plan,
    struct page_writer *out, int64_t site, int64_t sver, struct seen_steps *l)
{
	struct seen_upto *upto;
	int rc = ask(e, sent);

	*l = (struct seen_steps){ NULL, 0 };
	if (rc != SQLITE_OK || sent->known == 1)
		return rc;
	rc = find_sent(e, sent, plan, site, &upto);
	if (rc != SQLITE_OK || sver <= upto->sver)
		return rc;
	rc = steps_between(e, out, site, upto->sver, sver, l);
	upto->sver = sver;
	return rc;
}

/* The newest own transaction: at the head, or the one noted in crsql_me. */
static int
newest_own(struct engine *e, int64_t *out)
{
	int64_t head, site, sver;
	int rc;

	*out = 0;
	if (e->tx.current != 0 && e->tx.current_own) {
		*out = e->tx.current;
		return SQLITE_OK;
	}
	rc = engine_int(e, out, "SELECT max(sver) FROM crsql_me");
	if (rc == SQLITE_OK)
		rc = tx_head(e, &head);
	if (rc == SQLITE_OK && head > 0)
		rc = log_origin(e, head, 0, &site, &sver);
	if (rc == SQLITE_OK && head > 0 && site == e->me && sver == head)
		*out = head;
	return rc;
}

/* A transaction of no known version, without rows. */
static int
put_rest(struct engine *e, struct seen_sent *sent, struct plan *plan,
    struct page_writer *out, int64_t site, int64_t sver)
{
	static const uint8_t header[HEADER_LEN];
	struct seen_steps l;
	int index = 0, rc = seen_steps(e, sent, plan, out, site, sver, &l);

	if (rc == SQLITE_OK && l.n > 0)
		rc = page_put_site(e, out, site, &index);
	if (rc == SQLITE_OK && l.n > 0) {
		page_begin_tx(out, index, 0, 0, header, l.step, l.n);
		page_end_tx(out, 0);
	}
	sqlite3_free(l.step);
	return rc;
}

int
seen_rest(struct engine *e, struct seen_sent *sent, struct plan *plan,
    struct page_writer *out)
{
	sqlite3_stmt *stmt;
	int64_t site, sver, own;
	int rc = ask(e, sent);

	if (rc == SQLITE_OK)
		rc = newest_own(e, &own);
	if (rc != SQLITE_OK || sent->known == 1 || plan->ngroup == 0)
		return rc;
	/* one seek for each site, however many steps it has made */
	rc = engine_prepare(e, &stmt, "WITH RECURSIVE s(site) AS (SELECT "
		    "min(site) FROM crsql_seen UNION ALL SELECT (SELECT min(n.site) "
		    "FROM crsql_seen n WHERE n.site > s.site) FROM s WHERE s.site IS "
		    "NOT NULL) SELECT site, (SELECT max(n.sver) FROM crsql_seen n "
		    "WHERE n.site = s.site) FROM s WHERE site IS NOT NULL");
	while (rc == SQLITE_OK && out->nsite < SEEN_MAX_SITES &&
	    out->nstep < PAGE_MAX_STEPS && sqlite3_step(stmt) == SQLITE_ROW) {
		site = sqlite3_column_int64(stmt, 0);
		sver = sqlite3_column_int64(stmt, 1);
		rc = put_rest(e, sent, plan, out, site,
		    site == e->me && sver > own ? own : sver);
	}
	return engine_finalize(stmt, rc);
}

/* -- receiving ------------------------------------------------------------- */

/* They are counted once, and then only when so many came that it matters. */
static int
count_steps(struct engine *e)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT count(*) FROM (SELECT 1 FROM "
	    "crsql_seen LIMIT %d)", SEEN_MAX_STEPS);

	if (rc == SQLITE_OK)
		e->incoming->step_room = SEEN_MAX_STEPS - n;
	return rc;
}

int
seen_open(struct engine *e, struct seen_room *room)
{
	int64_t top = 0;
	int rc;

	if (room->known)
		return SQLITE_OK;
	rc = tx_head(e, &room->head);
	if (rc == SQLITE_OK && e->tx.current > room->head)
		room->head = e->tx.current;
	if (rc == SQLITE_OK)
		rc = engine_int(e, &top, "SELECT max(ordinal) FROM crsql_site_id");
	if (rc == SQLITE_OK && e->incoming->step_room <= 0)
		rc = count_steps(e);
	room->sites = top < SEEN_MAX_SITES ? SEEN_MAX_SITES - 1 - top : 0;
	room->known = rc == SQLITE_OK;
	return rc;
}

bool
seen_takes(const struct engine *e, const struct seen_room *room,
    const struct page_tx *tx, const struct page_step *step)
{
	int64_t most = room->head + VERSION_LEAP_MAX;

	return e->incoming->step_room > 0 && step->version <= most &&
	    step->upto <= most && step->other != tx->site &&
	    (tx->sver == 0 || step->version <= tx->sver);
}

int
seen_store(struct engine *e, int64_t site, int64_t sver, int64_t other,
    int64_t upto)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = engine_cached(e, SLOT_SEEN_WRITE, "INSERT INTO crsql_seen"
	    "(site, sver, other, upto) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO "
	    "UPDATE SET upto = max(upto, excluded.upto)", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, site);
	sqlite3_bind_int64(stmt, 2, sver);
	sqlite3_bind_int64(stmt, 3, other);
	sqlite3_bind_int64(stmt, 4, upto);
	ledger_forget_steps(e);
	return engine_run(e, stmt);
}

/* -- crsql_saw() ------------------------------------------------------------ */

/* What a step made now is numbered: the merge's db_version, and above every
 * own transaction that was made before it. */
static int
step_version(struct engine *e, int64_t *out)
{
	int64_t head;
	int rc = tx_head(e, &head);

	if (e->tx.current == 0)
		*out = head + 1;
	else
		*out = e->tx.current + e->tx.current_own;
	return rc;
}

static int
saw(struct engine *e, int64_t other, int64_t upto)
{
	int64_t version, own, last = -1, had = 0;
	int rc;

	rc = step_version(e, &version);
	if (rc == SQLITE_OK)
		rc = newest_own(e, &own);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &last, "SELECT max(sver) FROM crsql_seen "
		    "WHERE site = %lld AND other = %lld", (long long)e->me,
		    (long long)other);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &had, "SELECT max(upto) FROM crsql_seen "
		    "WHERE site = %lld AND other = %lld", (long long)e->me,
		    (long long)other);
	if (rc != SQLITE_OK || upto <= had)
		return rc;
	/* A step that no own transaction has used is replaced. */
	if (last > 0 && own < last)
		rc = engine_exec(e, "DELETE FROM crsql_seen WHERE site = %lld "
		    "AND sver = %lld AND other = %lld", (long long)e->me,
		    (long long)last, (long long)other);
	return rc == SQLITE_OK ?
	    seen_store(e, e->me, version, other, upto) : rc;
}

/* What is parked here was not seen: the version before it is the last. */
static int
below_parked(struct engine *e, int64_t other, int64_t *upto)
{
	int64_t parked = 0;
	int rc = engine_int(e, &parked, "SELECT min(sver) FROM crsql_log "
	    "WHERE n = -4 AND site = %lld AND sver > 0", (long long)other);

	if (parked > 0 && *upto >= parked)
		*upto = parked - 1;
	return rc;
}

static void
crsql_saw(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int64_t upto = sqlite3_value_int64(argv[1]), other = -1;
	struct apply_scope scope;
	int rc;

	if (sqlite3_value_bytes(argv[0]) != SITE_ID_LEN || upto < 0 ||
	    upto > VERSION_MAX) {
		sqlite3_result_error(ctx, "crsql_saw takes a site id of 16 "
		    "bytes and a version", -1);
		return;
	}
	rc = apply_begin(e, false, &scope);
	if (rc == SQLITE_OK)
		rc = site_ordinal(e, sqlite3_value_blob(argv[0]), SITE_ID_LEN,
		    true, &other);
	if (rc == SQLITE_OK)
		rc = below_parked(e, other, &upto);
	if (rc == SQLITE_OK && other != e->me)
		rc = saw(e, other, upto);
	rc = apply_end(e, &scope, rc);
	if (rc != SQLITE_OK)
		engine_result_error(e, ctx, rc);
}

int
seen_register(struct engine *e)
{
	return sqlite3_create_function(e->db, "crsql_saw", 2,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_saw, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/* seen.c - the steps of sites, and crsql_saw(); see seen.h. */
#include "crdt/seen.h"

#include <string.h>

#include "crdt/apply.h"
#include "crdt/log.h"

enum {
	STEPS_MAX = 1024,       /* sent with one transaction: the newest */
	LOOK_BACK = 64,         /* transactions searched for a site's last */
};

void
seen_sent_clear(struct seen_sent *sent)
{
	sqlite3_free(sent->site);
	memset(sent, 0, sizeof *sent);
}

static int
find_sent(struct seen_sent *sent, int64_t site, struct seen_upto **out)
{
	struct seen_upto *p;
	int i;

	*out = NULL;
	for (i = sent->n - 1; i >= 0; i--) {
		if (sent->site[i].site == site) {
			*out = &sent->site[i];
			return SQLITE_OK;
		}
	}
	p = sqlite3_realloc64(sent->site, ((size_t)sent->n + 1) * sizeof *p);
	if (p == NULL)
		return SQLITE_NOMEM;
	sent->site = p;
	*out = &p[sent->n++];
	**out = (struct seen_upto){ .site = site, .sver = -1 };
	return SQLITE_OK;
}

/* The site's newest transaction among the last few before or at dbv: the
 * reader got its steps with it. */
static int
look_back(struct engine *e, int64_t site, int64_t dbv, int64_t *sver)
{
	sqlite3_stmt *stmt;
	int64_t origin, v;
	int i, rc;

	rc = engine_prepare(e, &stmt, "SELECT dbv FROM crsql_log "
	    "WHERE dbv <= ?1 ORDER BY dbv DESC LIMIT 1");
	for (i = 0; i < LOOK_BACK && dbv > 0 && rc == SQLITE_OK; i++) {
		sqlite3_bind_int64(stmt, 1, dbv);
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW) {
			rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
			break;
		}
		dbv = sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
		rc = log_origin(e, dbv, 0, &origin, &v);
		if (rc == SQLITE_OK && origin == site) {
			*sver = v > *sver ? v : *sver;
			break;
		}
		dbv--;
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
read_steps(struct engine *e, struct page_writer *out, sqlite3_stmt *stmt,
    struct page_step *step, int *nstep)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct page_step *s = &step[*nstep];

		s->version = sqlite3_column_int64(stmt, 0);
		s->upto = sqlite3_column_int64(stmt, 2);
		rc = page_put_site(e, out, sqlite3_column_int64(stmt, 1),
		    &s->other);
		if (rc != SQLITE_OK)
			return rc;
		(*nstep)++;
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
steps_between(struct engine *e, struct page_writer *out, int64_t site,
    int64_t above, int64_t upto, struct page_step **step, int *nstep)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = engine_cached(e, SLOT_SEEN_READ, "SELECT sver, other, upto "
	    "FROM crsql_seen WHERE site = ?1 AND sver > ?2 AND sver <= ?3 "
	    "ORDER BY sver DESC LIMIT ?4", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	*step = sqlite3_malloc64(STEPS_MAX * sizeof **step);
	if (*step == NULL)
		return SQLITE_NOMEM;
	sqlite3_bind_int64(stmt, 1, site);
	sqlite3_bind_int64(stmt, 2, above);
	sqlite3_bind_int64(stmt, 3, upto);
	sqlite3_bind_int(stmt, 4, STEPS_MAX);
	rc = read_steps(e, out, stmt, *step, nstep);
	sqlite3_reset(stmt);
	return rc;
}

int
seen_steps(struct engine *e, struct seen_sent *sent, struct page_writer *out,
    int64_t site, int64_t sver, int64_t held, int64_t start_dbv,
    struct page_step **step, int *nstep)
{
	struct seen_upto *upto;
	int64_t any = 0;
	int rc = SQLITE_OK;

	*nstep = 0;
	*step = NULL;
	if (sent->known == 0) {
		rc = engine_int(e, &any,
		    "SELECT EXISTS(SELECT 1 FROM crsql_seen)");
		sent->known = any ? 2 : 1;
	}
	if (rc != SQLITE_OK || sent->known == 1)
		return rc;
	rc = find_sent(sent, site, &upto);
	if (rc == SQLITE_OK && upto->sver < 0) {
		upto->sver = held;
		rc = look_back(e, site, start_dbv, &upto->sver);
	}
	if (rc != SQLITE_OK || sver <= upto->sver)
		return rc;
	rc = steps_between(e, out, site, upto->sver, sver, step, nstep);
	upto->sver = sver;
	return rc;
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
	return engine_run(e, stmt);
}

/* -- crsql_saw() ------------------------------------------------------------ */

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

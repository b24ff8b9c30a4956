// SPDX-License-Identifier: MPL-2.0
#include "store/claims.h"

#include <string.h>

#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"

enum {
	NEAR = 1000,            /* log rows searched for an own transaction */
	ANYWHERE = -1
};

int
claims_first_own(sqlite3 *db, int64_t *out, struct err *err)
{
	bool any;
	int rc;

	*out = 1;
	rc = sql_has_table(db, "crsql_me", &any, err);
	if (rc == 0 && any)
		rc = sql_int(db, out, err, "SELECT max(1, "
		    "coalesce(max(first_dbv), 1)) FROM crsql_me", "");
	return rc;
}

/* The newest own transaction at or before dbv, if one is so near. */
static int
own_before(sqlite3 *db, int64_t dbv, int64_t first, int64_t near,
    struct store_entry *e, bool *found, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	*found = false;
	rc = sql_open(db, &stmt, err, "SELECT dbv, substr(hdr, 7, 8) FROM "
	    "(SELECT dbv, pos, site, hdr FROM crsql_log WHERE dbv <= ?1 AND "
	    "dbv >= ?2 ORDER BY dbv DESC, pos DESC LIMIT ?3) "
	    "WHERE pos = 0 AND site IS NULL AND hdr IS NOT NULL LIMIT 1",
	    "iii", dbv, first, near);
	if (rc == 0)
		rc = sql_next(stmt, found, err);
	if (rc == 0 && *found) {
		e->version = (uint64_t)sqlite3_column_int64(stmt, 0);
		*found = sql_column(stmt, 1, e->token, STORE_TOKEN_LEN);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
claims_newest_own(sqlite3 *db, int64_t first, uint64_t before,
    struct store_entry *out, bool *found, struct err *err)
{
	int rc = store_own_entry(db, out, err);

	*found = rc == 0 && out->version >= (uint64_t)first &&
	    out->version < before;
	if (rc != 0 || *found || out->version < before || before == 0)
		return rc;
	return own_before(db, (int64_t)before - 1, first, ANYWHERE, out, found,
	    err);
}

int
claims_own_tokens(sqlite3 *db, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err)
{
	int64_t newest, first, back;
	bool exists, found;
	int rc;

	*n = 0;
	rc = sql_has_table(db, "crsql_log", &exists, err);
	if (rc == 0 && exists)
		rc = claims_first_own(db, &first, err);
	if (rc != 0 || !exists || after >= INT64_MAX)
		return rc;
	if (first <= (int64_t)after)
		first = (int64_t)after + 1;
	rc = claims_newest_own(db, first, before, &out[0], &found, err);
	if (rc != 0 || !found)
		return rc;
	newest = (int64_t)out[0].version;
	*n = 1;
	for (back = 1; rc == 0 && *n < max && newest - back >= first;
	    back *= 2) {
		struct store_entry *e = &out[*n];

		memcpy(e->site, out[0].site, STORE_SITE_LEN);
		/* one that is far costs a step, no more: who asks for those
		 * between two gets the newest of them, wherever it is */
		rc = own_before(db, newest - back, first, NEAR, e, &found, err);
		if (rc == 0 && found && e->version < out[*n - 1].version)
			(*n)++;
	}
	return rc;
}

int
store_own_tokens(struct store *s, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err)
{
	*n = 0;
	return max == 0 ? 0 :
	    claims_own_tokens(s->db, after, before, out, max, n, err);
}

int
claims_is_here(sqlite3 *db, const struct store_entry *e, bool *here, struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	struct store_entry own;
	bool found;
	int rc;

	*here = false;
	rc = store_own_entry(db, &own, err);
	if (rc != 0 || e->version == 0 || e->version > INT64_MAX)
		return rc;
	if (memcmp(own.site, e->site, STORE_SITE_LEN) == 0 &&
	    own.version == e->version) {
		*here = memcmp(own.token, e->token, STORE_TOKEN_LEN) == 0;
		return 0;
	}
	rc = sql_bytes(db, token, sizeof token, &found, err,
	    "SELECT crsql_token(?1, ?2)", "bi", e->site,
	    (size_t)STORE_SITE_LEN, (int64_t)e->version);
	*here = found && memcmp(token, e->token, STORE_TOKEN_LEN) == 0;
	return rc;
}

int
store_common(struct store *s, const struct store_entry *in, size_t n,
    uint64_t *version, struct err *err)
{
	bool here;
	size_t i;
	int rc = 0;

	*version = 0;
	for (i = 0; i < n && rc == 0; i++) {
		if (in[i].version <= *version)
			continue;
		rc = claims_is_here(s->db, &in[i], &here, err);
		if (rc == 0 && here)
			*version = in[i].version;
	}
	return rc;
}

/* What a peer says of an own incarnation that is over.  It has two pasts if that
 * does not go with what is here (R16); *found then. */
static int
check_past(struct store *s, const struct store_entry *claim, bool *found,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool past = false, lost = false, here = true;
	int64_t version = 0;
	int rc;

	*found = false;
	rc = sql_open(s->db, &stmt, err, "SELECT version, lost FROM ddcp_own "
	    "WHERE site = ?1", "b", claim->site, (size_t)STORE_SITE_LEN);
	if (rc == 0)
		rc = sql_next(stmt, &past, err);
	if (rc == 0 && past) {
		version = sqlite3_column_int64(stmt, 0);
		lost = sqlite3_column_int(stmt, 1) != 0;
	}
	sqlite3_finalize(stmt);
	if (rc != 0 || !past)
		return rc;
	if (split_told(claim))
		here = false;
	else if (claim->version > (uint64_t)version)
		here = lost;
	else
		rc = claims_is_here(s->db, claim, &here, err);
	*found = rc == 0 && !here;
	return rc;
}

/* One claim: either it is about the current incarnation, or about one that is
 * over, whose split is added to those that are known. */
static int
check_claim(struct store *s, const struct store_entry *claim, bool *fork,
    struct split *splits, struct err *err)
{
	bool found;
	int rc;

	if (claim->version == 0 || split_has(splits, claim->site))
		return 0;
	if (memcmp(claim->site, s->site, STORE_SITE_LEN) == 0) {
		rc = claims_is_here(s->db, claim, &found, err);
		*fork = *fork || (rc == 0 && !found);
		return rc;
	}
	rc = check_past(s, claim, &found, err);
	return rc == 0 && found ? split_add(splits, claim->site, err) : rc;
}

int
store_check_claims(struct store *s, const struct store_entry *claim, size_t n,
    bool *fork, struct err *err)
{
	struct split splits;
	size_t i, known;
	int rc;

	*fork = false;
	store_only_look(s, true);
	rc = split_load(s->db, &splits, err);
	known = splits.n;
	for (i = 0; i < n && rc == 0; i++)
		rc = check_claim(s, &claim[i], fork, &splits, err);
	store_only_look(s, false);
	if (rc == 0)
		split_keep(s, &splits, known);
	split_clear(&splits);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
#include "store/arrival.h"

#include <string.h>

#include "store/claims.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* Flags of crsql_page_flags: doc/EXTENSION.md. */
enum { LAST = 1, LOST = 2, ENDS_INSIDE = 8 };

/* What the engine refuses to read is the sender's fault. */
static int
broken_page(struct store *s, int rc, struct err *err)
{
	if (rc != E_FATAL || (sqlite3_errcode(s->db) & 0xFF) != SQLITE_ERROR)
		return rc;
	return err_set(err, E_INTEGRITY, "nothing was applied; is the other "
	    "side a newer ddcp?", "a page can't be read: %s",
	    sqlite3_errmsg(s->db));
}

static int
read_head(struct store *s, const uint8_t *page, size_t len, struct arrival *a,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc, flags = 0;

	rc = sql_open(s->db, &stmt, err, "SELECT crsql_page_flags(?1), "
	    "crsql_page_end(?1)", "b", page, len);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		flags = sqlite3_column_int(stmt, 0);
		sql_column(stmt, 1, a->end, sizeof a->end);
	}
	rc = broken_page(s, rc, err);
	sqlite3_finalize(stmt);
	a->last = (flags & LAST) != 0;
	a->lost = (flags & LOST) != 0;
	a->ends_inside = (flags & ENDS_INSIDE) != 0;
	return rc;
}

static int
check_site(sqlite3_stmt *stmt, struct err *err)
{
	uint8_t site[STORE_SITE_LEN], key[KEY_LEN], real[STORE_SITE_LEN];
	uint8_t incarnation[INCARNATION_LEN];

	if (sqlite3_column_type(stmt, 1) == SQLITE_NULL)
		return 0;       /* foreign: nobody's key is claimed */
	if (sql_column(stmt, 0, site, sizeof site) &&
	    sql_column(stmt, 1, key, sizeof key) &&
	    sql_column(stmt, 2, incarnation, sizeof incarnation)) {
		identity_site(key, incarnation, real);
		if (memcmp(real, site, sizeof real) == 0)
			return 0;
	}
	return err_set(err, E_INTEGRITY, "nothing was applied; who sent it is "
	    "broken or lies", "a page names a site whose id does not belong to "
	    "its key");
}

static int
check_sites(struct store *s, const uint8_t *page, size_t len,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT site_id, key, incarnation "
	    "FROM crsql_page_sites(?1)", "b", page, len);
	while (rc == 0 && row) {
		rc = broken_page(s, sql_next(stmt, &row, err), err);
		if (rc == 0 && row)
			rc = check_site(stmt, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* One of our own that is not here: the file is an old copy, and the peer has
 * learned so only after HELLO.  Taken as ours it would hide what was written
 * since; the next HELLO makes a new incarnation (R16). */
static int
check_own(struct store *s, const struct store_entry *e, struct err *err)
{
	bool here;
	int rc;

	if (memcmp(e->site, s->site, sizeof e->site) != 0)
		return 0;
	store_only_look(s, true);
	rc = claims_is_here(s->db, e, &here, err);
	store_only_look(s, false);
	if (rc != 0 || here)
		return rc;
	s->behind = true;
	return err_set(err, E_UNREACHABLE, "pull again: it begins with that",
	    "that peer has changes of this database that are not here");
}

static int
read_transactions(struct store *s, const uint8_t *page, size_t len,
    struct arrival *a, struct err *err)
{
	struct store_entry e;
	sqlite3_stmt *stmt;
	int64_t version;
	bool row = true;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT site_id, version, token, rows, "
	    "begins FROM crsql_page_transactions(?1)", "b", page, len);
	while (rc == 0 && row) {
		rc = broken_page(s, sql_next(stmt, &row, err), err);
		if (rc != 0 || !row)
			break;
		a->rows += (uint64_t)sqlite3_column_int64(stmt, 3);
		a->transactions += sqlite3_column_int(stmt, 4) != 0;
		version = sqlite3_column_int64(stmt, 1);
		if (version <= 0)
			continue;       /* not known (R1) */
		sql_column(stmt, 0, e.site, sizeof e.site);
		sql_column(stmt, 2, e.token, sizeof e.token);
		e.version = (uint64_t)version;
		rc = check_own(s, &e, err);
		if (rc == 0)
			rc = vector_raise(&a->newest, &e, NULL, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

bool
store_is_behind(const struct store *s)
{
	return s->behind;
}

int
arrival_read(struct store *s, const uint8_t *page, size_t len,
    struct arrival *a, struct err *err)
{
	int rc;

	memset(a, 0, sizeof *a);
	rc = read_head(s, page, len, a, err);
	if (rc == 0)
		rc = check_sites(s, page, len, err);
	if (rc == 0)
		rc = read_transactions(s, page, len, a, err);
	return rc;
}

void
arrival_clear(struct arrival *a)
{
	store_vector_clear(&a->newest);
}

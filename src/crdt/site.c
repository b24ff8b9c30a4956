// SPDX-License-Identifier: MPL-2.0
/* site.c - site ids and their ordinals. */
#include "crdt/horizon.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

int
site_ordinal(struct engine *e, const uint8_t *id, int len, bool create,
    int64_t *out)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 rowid;
	int rc;

	*out = e->me;
	if (id == NULL || len == 0 ||
	    (len == SITE_ID_LEN && memcmp(id, e->site_id, SITE_ID_LEN) == 0))
		return SQLITE_OK;
	*out = -1;
	rc = engine_cached(e, SLOT_SITE_BY_ID,
	    "SELECT ordinal FROM crsql_site_id WHERE site_id = ?1", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(stmt, 1, id, len, SQLITE_TRANSIENT);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	rc = sqlite3_reset(stmt);
	if (rc != SQLITE_OK || *out >= 0 || !create)
		return rc;
	rc = engine_cached(e, SLOT_SITE_INSERT,
	    "INSERT INTO crsql_site_id(site_id) VALUES(?1)", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	/* RETURNING would need a journal of its own: see keep_own_entry in tx.c */
	rowid = sqlite3_last_insert_rowid(e->db);
	sqlite3_bind_blob(stmt, 1, id, len, SQLITE_TRANSIENT);
	rc = engine_run(e, stmt);
	if (rc == SQLITE_OK)
		*out = sqlite3_last_insert_rowid(e->db);
	sqlite3_set_last_insert_rowid(e->db, rowid);
	return rc;
}

/* Copies a blob of that length; zeroes and false if it is another thing. */
static bool
copy_blob(sqlite3_stmt *stmt, int column, uint8_t *out, int len)
{
	bool fits = sqlite3_column_bytes(stmt, column) == len &&
	    sqlite3_column_type(stmt, column) == SQLITE_BLOB;

	if (out != NULL && fits)
		memcpy(out, sqlite3_column_blob(stmt, column), (size_t)len);
	else if (out != NULL)
		memset(out, 0, (size_t)len);
	return fits;
}

int
site_by_ordinal(struct engine *e, int64_t ordinal, uint8_t id[SITE_ID_LEN],
    uint8_t *key, uint8_t *incarnation, bool *has_key)
{
	sqlite3_stmt *stmt;
	bool found, keyed;
	int rc = engine_cached(e, SLOT_SITE_BY_ORDINAL, "SELECT site_id, "
	    "public_key, incarnation FROM crsql_site_id WHERE ordinal = ?1",
	    &stmt);

	memset(id, 0, SITE_ID_LEN);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, ordinal);
	found = sqlite3_step(stmt) == SQLITE_ROW;
	if (found) {
		copy_blob(stmt, 0, id, SITE_ID_LEN);
		keyed = copy_blob(stmt, 1, key, SITE_KEY_LEN);
		if (!copy_blob(stmt, 2, incarnation, INCARNATION_LEN))
			keyed = false;
		if (has_key != NULL)
			*has_key = keyed;
	}
	rc = sqlite3_reset(stmt);
	if (rc == SQLITE_OK && !found)
		rc = engine_fail(e, SQLITE_CORRUPT, "crsql_site_id has no site %lld",
		    ordinal);
	return rc;
}

int
site_learn_key(struct engine *e, int64_t ordinal,
    const uint8_t key[SITE_KEY_LEN],
    const uint8_t incarnation[INCARNATION_LEN])
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "UPDATE crsql_site_id SET "
	    "public_key = ?1, incarnation = ?2 "
	    "WHERE ordinal = ?3 AND public_key IS NULL");

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(stmt, 1, key, SITE_KEY_LEN, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 2, incarnation, INCARNATION_LEN,
	    SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, ordinal);
	rc = engine_run(e, stmt);
	if (e->horizon != NULL)
		e->horizon->asked = 0;  /* it may be another life's key */
	sqlite3_finalize(stmt);
	return rc;
}

int
site_of_local(struct engine *e, int64_t dbv, int64_t *ordinal)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_ME, "SELECT ordinal FROM crsql_me WHERE "
	    "first_dbv <= ?1 ORDER BY first_dbv DESC LIMIT 1", &stmt);

	*ordinal = e->me;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, dbv);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*ordinal = sqlite3_column_int64(stmt, 0);
	return sqlite3_reset(stmt);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * storage.c - the crsql_* tables: their DDL, the format number, log id, the
 * own site.
 */
#include "crdt/storage.h"

#include <string.h>

#include "crdt/copied.h"

SQLITE_EXTENSION_INIT3

static const char small_tables[] =
    "CREATE TABLE IF NOT EXISTS crsql_tracked_peers("
    "site_id BLOB NOT NULL, version INTEGER NOT NULL, seq INTEGER DEFAULT 0, "
    "tag INTEGER, event INTEGER, PRIMARY KEY(site_id, tag, event)) STRICT;"
    "CREATE TABLE IF NOT EXISTS crsql_master(key TEXT PRIMARY KEY, value ANY);"
    "CREATE TABLE IF NOT EXISTS crsql_site_id(site_id BLOB NOT NULL, "
    "ordinal INTEGER PRIMARY KEY, public_key BLOB, incarnation BLOB);"
    "CREATE UNIQUE INDEX IF NOT EXISTS crsql_site_id_site_id "
    "ON crsql_site_id(site_id);";

static const char large_tables[] =
    "CREATE TABLE IF NOT EXISTS crsql_log(dbv INTEGER NOT NULL, "
    "pos INTEGER NOT NULL, tbl INTEGER, key, n INTEGER, seq_stride INTEGER, "
    "site INTEGER, sver INTEGER, mask, hdr BLOB, PRIMARY KEY(dbv, pos)) "
    "WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS crsql_log_parked ON crsql_log(tbl, key) "
    "WHERE n = -4;"
    "CREATE TABLE IF NOT EXISTS crsql_tbl(id INTEGER PRIMARY KEY, "
    "name TEXT UNIQUE NOT NULL, hw INTEGER);"
    "CREATE TABLE IF NOT EXISTS crsql_col(tbl INTEGER NOT NULL, "
    "cid INTEGER NOT NULL, name TEXT NOT NULL, born INTEGER NOT NULL, "
    "PRIMARY KEY(tbl, cid)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS crsql_was(tbl INTEGER NOT NULL, "
    "name TEXT NOT NULL, cid INTEGER NOT NULL, "
    "PRIMARY KEY(tbl, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS crsql_me(first_dbv INTEGER PRIMARY KEY, "
    "ordinal INTEGER NOT NULL, sver INTEGER, token BLOB);"
    "INSERT OR IGNORE INTO crsql_me(first_dbv, ordinal) VALUES(0, 0);"
    "CREATE TABLE IF NOT EXISTS crsql_seen(site INTEGER NOT NULL, "
    "sver INTEGER NOT NULL, other INTEGER NOT NULL, upto INTEGER NOT NULL, "
    "PRIMARY KEY(site, sver, other)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS crsql_seen_other ON crsql_seen(site, other, "
    "sver);"
    "CREATE TABLE IF NOT EXISTS crsql_ledger(id INTEGER PRIMARY KEY, "
    "tbl INTEGER NOT NULL, pk BLOB NOT NULL, cid INTEGER NOT NULL, "
    "rule INTEGER NOT NULL, wsite INTEGER NOT NULL, wsver INTEGER NOT NULL, "
    "lsite INTEGER NOT NULL, lsver INTEGER NOT NULL, lver INTEGER NOT NULL, "
    "time INTEGER NOT NULL, reviewed INTEGER);"
    "CREATE UNIQUE INDEX IF NOT EXISTS crsql_ledger_once ON crsql_ledger(tbl, "
    "pk, cid, wsite, wsver, lsite, lsver, lver);"
    "CREATE INDEX IF NOT EXISTS crsql_ledger_reviewed ON "
    "crsql_ledger(reviewed);"
    "CREATE TABLE IF NOT EXISTS crsql_ledger_cell(id INTEGER NOT NULL, "
    "cid INTEGER NOT NULL, winner, loser, PRIMARY KEY(id, cid)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS crsql_horizon(site INTEGER NOT NULL, "
    "tbl INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY(site, tbl)) "
    "WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS crsql_j(id INTEGER PRIMARY KEY, w INTEGER, "
    "key INTEGER, mask INTEGER, pk);";

int
storage_has_table(struct engine *e, const char *name, bool *has)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT count(*) FROM main.sqlite_schema "
	    "WHERE type = 'table' AND name = %Q", name);

	if (rc == SQLITE_OK)
		*has = n > 0;
	return rc;
}

int
storage_optional(struct engine *e)
{
	int64_t now = 0;
	int rc = engine_cached_int(e, SLOT_SCHEMA, "PRAGMA main.schema_version",
	    &now);

	if (rc != SQLITE_OK || (now != 0 && now == e->optional.schema))
		return rc;
	e->optional.schema = 0;
	rc = storage_has_table(e, "crsql_ledger", &e->optional.ledger);
	if (rc == SQLITE_OK)
		rc = storage_has_table(e, "crsql_old", &e->optional.old);
	if (rc == SQLITE_OK)
		e->optional.schema = now;
	return rc;
}

int
storage_read_encoding(struct engine *e)
{
	sqlite3_stmt *stmt;
	int rc;

	if (e->encoding != ENCODING_UNKNOWN)
		return SQLITE_OK;
	rc = engine_prepare(e, &stmt, "PRAGMA main.encoding");
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		e->encoding = strcmp(engine_column(stmt, 0, &rc), "UTF-8") == 0 ?
		    ENCODING_UTF8 : ENCODING_UTF16;
	rc = engine_finalize(stmt, rc);
	if (rc != SQLITE_OK)
		e->encoding = ENCODING_UNKNOWN;
	return rc;
}

/* A blob of len bytes from a query, made by mprintf; *found if it is one. */
static int
read_blob(struct engine *e, uint8_t *out, int len, bool *found,
    const char *sql)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "%s", sql);

	*found = false;
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_type(stmt, 0) == SQLITE_BLOB &&
	    sqlite3_column_bytes(stmt, 0) == len) {
		memcpy(out, sqlite3_column_blob(stmt, 0), (size_t)len);
		*found = true;
	}
	return engine_finalize(stmt, rc);
}

static int
check_format(struct engine *e)
{
	int64_t number = -1;
	int rc = engine_int(e, &number, "SELECT value FROM crsql_master "
	    "WHERE key = 'crsqlite_version'");

	if (rc != SQLITE_OK)
		return rc;
	if (number <= FORMAT_NUMBER)
		return SQLITE_OK;
	/* the connection goes on without the engine: it shall do no harm */
	sqlite3_exec(e->db, "PRAGMA query_only = 1", NULL, NULL, NULL);
	return engine_fail(e, SQLITE_ERROR, "this database has format %lld, this "
	    "program knows up to %d: it can only be read here, a newer program is "
	    "needed to write it", number, FORMAT_NUMBER);
}

static int
insert_blob(struct engine *e, const char *sql, const uint8_t *data, int len)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "%s", sql);

	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, data, len, SQLITE_STATIC);
		rc = engine_run(e, stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
new_log_id(struct engine *e)
{
	sqlite3_randomness(LOG_ID_LEN, e->log_id);
	return insert_blob(e, "INSERT OR REPLACE INTO crsql_master "
	    "VALUES('log_id', ?1)", e->log_id, LOG_ID_LEN);
}

static void
random_site(uint8_t id[SITE_ID_LEN])
{
	sqlite3_randomness(SITE_ID_LEN, id);
	id[6] = (uint8_t)((id[6] & 0x0F) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3F) | 0x80);
}

/* Writes what a new database lacks. */
static int
fill(struct engine *e)
{
	uint8_t id[SITE_ID_LEN];
	bool found;
	int rc = read_blob(e, id, SITE_ID_LEN, &found,
	    "SELECT site_id FROM crsql_site_id WHERE ordinal = 0");

	if (rc == SQLITE_OK && !found) {
		random_site(id);
		rc = insert_blob(e, "INSERT INTO crsql_site_id(site_id, ordinal) "
		    "VALUES(?1, 0)", id, SITE_ID_LEN);
	}
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT OR IGNORE INTO crsql_master "
		    "VALUES('crsqlite_version', %d); " COPIED_MARK, FORMAT_NUMBER);
	if (rc == SQLITE_OK)
		rc = read_blob(e, e->log_id, LOG_ID_LEN, &found,
		    "SELECT value FROM crsql_master WHERE key = 'log_id'");
	if (rc == SQLITE_OK && !found)
		rc = new_log_id(e);
	return rc;
}

int
storage_read_identity(struct engine *e)
{
	bool found = false;
	int rc = storage_has_table(e, "crsql_site_id", &found);

	e->me = 0;
	if (rc != SQLITE_OK || !found)
		return rc;              /* read-only, and nothing here */
	rc = storage_has_table(e, "crsql_log", &e->has_storage);
	if (rc == SQLITE_OK && e->has_storage)
		rc = engine_int(e, &e->me, "SELECT ordinal FROM crsql_me "
		    "ORDER BY first_dbv DESC LIMIT 1");
	if (rc == SQLITE_OK)
		rc = read_blob(e, e->log_id, LOG_ID_LEN, &found,
		    "SELECT value FROM crsql_master WHERE key = 'log_id'");
	if (rc == SQLITE_OK)
		rc = site_by_ordinal(e, e->me, e->site_id, NULL, NULL, NULL);
	return rc;
}

int
storage_setting(struct engine *e, const char *name, int64_t *value)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_SETTING, "SELECT value FROM crsql_master "
	    "WHERE key = 'config.' || ?1", &stmt);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, name, -1, SQLITE_TRANSIENT);
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*value = sqlite3_column_int64(stmt, 0);
	return engine_reset(stmt, rc);
}

static int
read_settings(struct engine *e)
{
	int64_t value = 0;
	int rc = storage_setting(e, "merge-equal-values", &value);

	e->merge_equal_values = value == 1;
	return rc;
}

static int
make_small_tables(struct engine *e, const void *unused)
{
	int rc = engine_exec(e, "%s", small_tables);

	(void)unused;
	return rc == SQLITE_OK ? fill(e) : rc;
}

/* A file of cr-sqlite becomes ours.  Where it is damaged the connection goes on
 * without the engine, as plain SQLite that may only read. */
static int
take_over_if_foreign(struct engine *e)
{
	bool foreign;
	int tables, rc = adopt_look(e, &foreign);

	if (rc != SQLITE_OK || !foreign)
		return rc;
	rc = adopt_file(e, &tables);
	if (rc == SQLITE_ERROR || rc == SQLITE_READONLY)
		sqlite3_exec(e->db, "PRAGMA query_only = 1", NULL, NULL, NULL);
	return rc;
}

int
storage_load(struct engine *e)
{
	bool has = false;
	int rc;

	e->readonly = sqlite3_db_readonly(e->db, "main") != 0;
	rc = take_over_if_foreign(e);
	if (rc == SQLITE_OK)
		rc = storage_has_table(e, "crsql_site_id", &has);
	if (rc == SQLITE_OK && has)
		rc = check_format(e);
	if (rc == SQLITE_OK && !has && e->readonly)
		return SQLITE_OK;       /* nothing here, and nothing to write */
	if (rc == SQLITE_OK && !has)
		rc = engine_atomically(e, make_small_tables, NULL);
	if (rc == SQLITE_OK)
		rc = storage_read_identity(e);
	if (rc == SQLITE_OK)
		rc = read_settings(e);
	return rc;
}

int
storage_ensure(struct engine *e)
{
	int rc;

	if (e->has_storage)
		return SQLITE_OK;
	rc = engine_exec(e, "%s", large_tables);
	if (rc == SQLITE_OK)
		e->has_storage = true;
	return rc;
}

/* Columns that cr-sqlite's table has not. */
static int
add_key_columns(struct engine *e)
{
	int64_t has = 0;
	int rc = engine_int(e, &has, "SELECT count(*) FROM "
	    "pragma_table_info('crsql_site_id', 'main') WHERE name IN "
	    "('public_key', 'incarnation')");

	return rc != SQLITE_OK || has ? rc : engine_exec(e,
	    "ALTER TABLE main.crsql_site_id ADD COLUMN public_key BLOB;"
	    "ALTER TABLE main.crsql_site_id ADD COLUMN incarnation BLOB");
}

int
storage_take_over(struct engine *e)
{
	int rc = add_key_columns(e);

	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DELETE FROM crsql_master WHERE key IN "
		    "('crsqlite_version', 'pre_compact_dbversion', 'log_id')");
	if (rc == SQLITE_OK)
		rc = make_small_tables(e, NULL);
	if (rc == SQLITE_OK)
		rc = storage_ensure(e);
	return rc == SQLITE_OK ? storage_read_identity(e) : rc;
}

/* -- crsql_identity -------------------------------------------------------- */

struct identity {
	const uint8_t *site, *key, *incarnation;
	int64_t after;          /* own changes after it are the new one's */
};

/* True if something of the own log carries the present identity. */
static int
has_history(struct engine *e, bool *has)
{
	int64_t n = 0;
	int rc = engine_int(e, &n, "SELECT EXISTS(SELECT 1 FROM crsql_log WHERE "
	    "site IS NULL AND dbv >= (SELECT max(first_dbv) FROM crsql_me)) OR "
	    "EXISTS(SELECT 1 FROM crsql_me WHERE sver IS NOT NULL AND "
	    "first_dbv = (SELECT max(first_dbv) FROM crsql_me))");

	*has = n != 0;
	return rc;
}

static int
write_site(struct engine *e, const struct identity *id, const char *sql)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "%s", sql);

	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, id->site, SITE_ID_LEN, SQLITE_STATIC);
		sqlite3_bind_blob(stmt, 2, id->key, SITE_KEY_LEN, SQLITE_STATIC);
		sqlite3_bind_blob(stmt, 3, id->incarnation, INCARNATION_LEN,
		    SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 4, e->me);
		rc = engine_run(e, stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
set_identity(struct engine *e, const void *arg)
{
	const struct identity *id = arg;
	int64_t head, ordinal;
	bool history;
	int rc = storage_ensure(e);

	/* a rollback, by whomever, is heard of */
	if (rc == SQLITE_OK)
		rc = tx_begin(e);
	if (rc == SQLITE_OK && memcmp(id->site, e->site_id, SITE_ID_LEN) == 0)
		return write_site(e, id, "UPDATE crsql_site_id SET public_key = ?2, "
		    "incarnation = ?3 WHERE site_id = ?1 AND ordinal = ?4");
	if (rc == SQLITE_OK)
		rc = has_history(e, &history);
	if (rc != SQLITE_OK)
		return rc;
	if (!history && id->after < 0) {
		rc = write_site(e, id, "UPDATE crsql_site_id SET site_id = ?1, "
		    "public_key = ?2, incarnation = ?3 WHERE ordinal = ?4");
	} else {
		rc = tx_head(e, &head);
		if (rc == SQLITE_OK)
			rc = write_site(e, id, "INSERT INTO crsql_site_id(site_id, "
			    "public_key, incarnation) VALUES(?1, ?2, ?3) "
			    "ON CONFLICT(site_id) DO UPDATE SET public_key = ?2");
		if (rc == SQLITE_OK)
			rc = site_ordinal(e, id->site, SITE_ID_LEN, false, &ordinal);
		if (rc == SQLITE_OK)
			rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_me(first_dbv, "
			    "ordinal) VALUES(%lld, %lld)",
			    (id->after >= 0 ? id->after : head) + 1, ordinal);
		/* what was noted of the old one may be the new one's now */
		if (rc == SQLITE_OK && id->after >= 0)
			rc = engine_exec(e, "UPDATE crsql_me SET sver = NULL, "
			    "token = NULL WHERE sver > %lld", id->after);
		/* its newest transaction, if some are its already (R15) */
		if (rc == SQLITE_OK && id->after >= 0)
			rc = engine_exec(e, "UPDATE crsql_me SET (sver, token) = (SELECT "
			    "dbv, substr(hdr, 7, 8) FROM crsql_log WHERE site IS NULL AND "
			    "pos = 0 AND dbv > %lld ORDER BY dbv DESC LIMIT 1) WHERE "
			    "first_dbv = %lld", id->after, id->after + 1);
	}
	if (rc == SQLITE_OK)
		rc = new_log_id(e);
	if (rc == SQLITE_OK)
		rc = storage_read_identity(e);
	return rc;
}

int
storage_begin_site(struct engine *e, int64_t first_dbv)
{
	uint8_t id[SITE_ID_LEN];
	int64_t ordinal;
	int rc = storage_ensure(e);

	random_site(id);
	if (rc == SQLITE_OK)
		rc = site_ordinal(e, id, SITE_ID_LEN, true, &ordinal);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_me(first_dbv, "
		    "ordinal) VALUES(%lld, %lld)", first_dbv, ordinal);
	if (rc == SQLITE_OK)
		rc = new_log_id(e);
	return rc == SQLITE_OK ? storage_read_identity(e) : rc;
}

static const uint8_t *
blob_of(sqlite3_value *v, int len)
{
	return sqlite3_value_type(v) == SQLITE_BLOB &&
	    sqlite3_value_bytes(v) == len ? sqlite3_value_blob(v) : NULL;
}

static void
identity_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	struct identity id = { NULL, NULL, NULL, -1 };
	int rc;

	if (argc == 3 || argc == 4) {
		id.site = blob_of(argv[0], SITE_ID_LEN);
		id.key = blob_of(argv[1], SITE_KEY_LEN);
		id.incarnation = blob_of(argv[2], INCARNATION_LEN);
	}
	if (argc == 4 && sqlite3_value_type(argv[3]) == SQLITE_INTEGER)
		id.after = sqlite3_value_int64(argv[3]);
	if (id.site == NULL || id.key == NULL || id.incarnation == NULL) {
		sqlite3_result_error(ctx, "crsql_identity wants a site id of 16 "
		    "bytes, a key of 32, an incarnation of 8", -1);
		return;
	}
	rc = engine_atomically(e, set_identity, &id);
	if (rc != SQLITE_OK)
		engine_result_error(e, ctx, rc);
}

int
storage_register(struct engine *e)
{
	return sqlite3_create_function(e->db, "crsql_identity", -1,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, identity_function, NULL, NULL);
}

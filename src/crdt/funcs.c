// SPDX-License-Identifier: MPL-2.0
/*
 * funcs.c - the small SQL functions: who this database is, and where it stands.
 */
#include <string.h>

#include "base/be64.h"
#include "crdt/apply.h"
#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/journal.h"
#include "crdt/log.h"
#include "crdt/lost.h"
#include "crdt/page.h"
#include "crdt/storage.h"

enum { OWN_LEN = SITE_ID_LEN + 8 + TOKEN_LEN };

static struct engine *
engine_of(sqlite3_context *ctx)
{
	return sqlite3_user_data(ctx);
}

/* The result of a function: NULL for a blob of no length. */
static void
give_blob(sqlite3_context *ctx, int rc, const uint8_t *data, int len)
{
	if (rc != SQLITE_OK)
		engine_result_error(engine_of(ctx), ctx, rc);
	else if (len > 0)
		sqlite3_result_blob(ctx, data, len, SQLITE_TRANSIENT);
}

static void
give_int(sqlite3_context *ctx, int rc, int64_t value)
{
	if (rc != SQLITE_OK)
		engine_result_error(engine_of(ctx), ctx, rc);
	else
		sqlite3_result_int64(ctx, value);
}

/* -- cr-sqlite's ---------------------------------------------------------------- */

static void
site_id_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_result_blob(ctx, engine_of(ctx)->site_id, SITE_ID_LEN,
	    SQLITE_TRANSIENT);
}

/* cr-sqlite's sentence, with the code of what went wrong. */
static void
fail_as(sqlite3_context *ctx, int rc, const char *text)
{
	sqlite3_result_error(ctx, text, -1);
	sqlite3_result_error_code(ctx, rc);
}

static int
head_of(struct engine *e, int64_t *head)
{
	return e->finalized ? SQLITE_ERROR : tx_head(e, head);
}

static void
db_version_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	int64_t head;
	int rc = head_of(engine_of(ctx), &head);

	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, head);
	else
		fail_as(ctx, rc, "failed to fill db version");
}

static void
next_db_version_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	int64_t next, head, wanted = 0;
	int rc = head_of(e, &head);

	if (rc != SQLITE_OK) {
		fail_as(ctx, rc, "Unable to determine the next db version");
		return;
	}
	if (argc == 1)
		wanted = sqlite3_value_int64(argv[0]);
	next = head + 1;
	if (e->tx.open && e->tx.current != 0)
		next = e->tx.current + !e->tx.current_own;
	if (e->tx.wanted > next)
		next = e->tx.wanted;
	if (wanted > next && wanted <= VERSION_MAX)
		next = wanted;
	e->tx.wanted = next;
	sqlite3_result_int64(ctx, next);
}

static void
get_seq_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_result_int64(ctx, engine_of(ctx)->tx.seq);
}

static void
increment_seq_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_result_int64(ctx, engine_of(ctx)->tx.seq++);
}

static void
sync_bit_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);

	if (argc == 1)
		e->sync_bit = sqlite3_value_int(argv[0]);
	sqlite3_result_int(ctx, e->merging > 0 ? 1 : e->sync_bit);
}

static void
rows_impacted_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_result_int64(ctx, engine_of(ctx)->tx.rows_impacted);
}

static void
sha_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_result_text(ctx, "ddcp " DDCP_VERSION, -1, SQLITE_STATIC);
}

static void
finalize_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);

	bulk_stop(e);
	engine_drop_statements(e);
	e->finalized = true;
	sqlite3_result_text(ctx, "finalized", -1, SQLITE_STATIC);
}

/* -- where this database stands ---------------------------------------------------- */

/* The newest own transaction: at the head, or the one that crsql_me notes. */
static int
newest_own(struct engine *e, int64_t *sver, uint8_t token[TOKEN_LEN])
{
	uint8_t header[HEADER_LEN];
	sqlite3_stmt *stmt;
	int64_t head, site, version;
	bool found;
	int rc;

	*sver = 0;
	memset(token, 0, TOKEN_LEN);
	rc = tx_head(e, &head);
	if (rc == SQLITE_OK && head > 0) {
		rc = log_origin(e, head, 0, &site, &version);
		if (rc == SQLITE_OK && site == e->me && version == head)
			rc = log_header(e, head, &found, header);
		if (rc == SQLITE_OK && site == e->me && version == head) {
			*sver = head;
			memcpy(token, header + HEADER_LEN - TOKEN_LEN,
			    TOKEN_LEN);
			return SQLITE_OK;
		}
	}
	if (rc != SQLITE_OK)
		return rc;
	rc = engine_prepare(e, &stmt, "SELECT sver, token FROM crsql_me "
	    "ORDER BY first_dbv DESC LIMIT 1");
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_bytes(stmt, 1) == TOKEN_LEN) {
		*sver = sqlite3_column_int64(stmt, 0);
		memcpy(token, sqlite3_column_blob(stmt, 1), TOKEN_LEN);
	}
	return engine_finalize(stmt, rc);
}

static void
own_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	uint8_t out[OWN_LEN] = { 0 };
	int64_t sver = 0;
	int rc = tx_begin_read(e);

	if (rc == SQLITE_OK && e->has_storage)
		rc = newest_own(e, &sver, out + SITE_ID_LEN + 8);
	memcpy(out, e->site_id, SITE_ID_LEN);
	be64_put(out + SITE_ID_LEN, (uint64_t)sver);
	give_blob(ctx, rc, out, OWN_LEN);
}

static void
head_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	uint8_t out[CURSOR_LEN];
	struct cursor c = { .dbv = 0 };
	int rc = tx_begin_read(e);

	if (rc == SQLITE_OK)
		rc = cursor_head(e, &c);
	cursor_write(&c, out);
	give_blob(ctx, rc, out, CURSOR_LEN);
}

/* The dbv at which a transaction stands here, 0 if it is not here: that of an
 * own one is its version, others are searched. */
static int
find_transaction(struct engine *e, int64_t site, int64_t version, int64_t *dbv)
{
	int64_t at = 0, own = -1;
	int rc;

	*dbv = 0;
	rc = engine_int(e, &at, "SELECT dbv FROM crsql_log WHERE dbv = %lld "
	    "AND pos = 0 AND site IS NULL", (long long)version);
	if (rc == SQLITE_OK && at > 0)
		rc = site_of_local(e, at, &own);
	if (rc == SQLITE_OK && at > 0 && own == site)
		*dbv = at;
	else if (rc == SQLITE_OK)
		rc = engine_int(e, dbv, "SELECT dbv FROM crsql_log WHERE "
		    "site = %lld AND sver = %lld AND pos = 0 LIMIT 1",
		    (long long)site, (long long)version);
	return rc;
}

static int
find_token(struct engine *e, sqlite3_value *id, int64_t version, bool *found,
    uint8_t token[TOKEN_LEN])
{
	uint8_t header[HEADER_LEN];
	sqlite3_stmt *stmt;
	int64_t site = -1, dbv = 0;
	int rc;

	*found = false;
	rc = site_ordinal(e, sqlite3_value_blob(id), SITE_ID_LEN, false, &site);
	if (rc != SQLITE_OK || site < 0 || version <= 0)
		return rc;
	rc = find_transaction(e, site, version, &dbv);
	if (rc == SQLITE_OK && dbv > 0) {
		rc = log_header(e, dbv, found, header);
		memcpy(token, header + HEADER_LEN - TOKEN_LEN, TOKEN_LEN);
		return rc;
	}
	if (rc != SQLITE_OK)
		return rc;
	rc = engine_prepare(e, &stmt, "SELECT token FROM crsql_me WHERE "
	    "ordinal = %lld AND sver = %lld AND length(token) = %d",
	    (long long)site, (long long)version, TOKEN_LEN);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		memcpy(token, sqlite3_column_blob(stmt, 0), TOKEN_LEN);
		*found = true;
	}
	return engine_finalize(stmt, rc);
}

static void
token_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	uint8_t token[TOKEN_LEN];
	bool found = false;
	int rc = tx_begin_read(e);

	if (sqlite3_value_bytes(argv[0]) != SITE_ID_LEN) {
		sqlite3_result_error(ctx,
		    "crsql_token takes a site id of 16 bytes and a version",
		    -1);
		return;
	}
	if (rc == SQLITE_OK && e->has_storage)
		rc = find_token(e, argv[0], sqlite3_value_int64(argv[1]),
		    &found, token);
	give_blob(ctx, rc, token, found ? TOKEN_LEN : 0);
}

static int
count_pending(struct engine *e, int64_t *n)
{
	*n = 0;
	return e->has_storage ?
	    engine_int(e, n, "SELECT count(*) FROM crsql_j") : SQLITE_OK;
}

static void
pending_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	int64_t n;
	int rc = count_pending(e, &n);

	give_int(ctx, rc, n);
}

static void
schema_pending_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	int64_t n;
	int rc = lost_pending(e, &n);

	give_int(ctx, rc, n);
}

static void
fold_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = engine_of(ctx);
	struct apply_scope scope;
	int64_t n = 0, tables = 0;
	bool as_is = true;
	int rc = count_pending(e, &n);

	if (rc == SQLITE_OK)
		rc = lost_pending(e, &tables);
	/* triggers that another build has made are made anew, too */
	if (rc == SQLITE_OK && n + tables == 0 && e->has_storage)
		rc = lost_nothing(e, &as_is);
	if (rc == SQLITE_OK && (n + tables > 0 || !as_is || columns_unsaved(e)))
		rc = apply_end(e, &scope, apply_begin(e, false, &scope));
	give_int(ctx, rc, n);
}

/* -- registration ------------------------------------------------------------------- */

static const struct function {
	const char *name;
	int argc;
	int flags;
	void (*call)(sqlite3_context *, int, sqlite3_value **);
} functions[] = {
	{ "crsql_site_id", 0, SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
	    site_id_function },
	{ "crsql_db_version", 0, SQLITE_INNOCUOUS, db_version_function },
	{ "crsql_next_db_version", -1, SQLITE_INNOCUOUS,
	    next_db_version_function },
	{ "crsql_get_seq", 0, SQLITE_INNOCUOUS, get_seq_function },
	{ "crsql_increment_and_get_seq", 0, SQLITE_INNOCUOUS,
	    increment_seq_function },
	{ "crsql_internal_sync_bit", -1, SQLITE_INNOCUOUS, sync_bit_function },
	{ "crsql_rows_impacted", 0, SQLITE_INNOCUOUS, rows_impacted_function },
	{ "crsql_sha", 0, SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
	    sha_function },
	{ "crsql_finalize", -1, SQLITE_DIRECTONLY, finalize_function },
	{ "crsql_own", 0, SQLITE_DIRECTONLY, own_function },
	{ "crsql_head", 0, SQLITE_DIRECTONLY, head_function },
	{ "crsql_token", 2, SQLITE_DIRECTONLY, token_function },
	{ "crsql_pending", 0, 0, pending_function },
	{ "crsql_schema_pending", 0, 0, schema_pending_function },
	/* the last: by it ext.c knows that all is there */
	{ "crsql_fold", 0, SQLITE_DIRECTONLY, fold_function },
};

int
funcs_register(struct engine *e)
{
	size_t i;
	int rc = SQLITE_OK;

	for (i = 0; i < sizeof functions / sizeof *functions; i++) {
		const struct function *f = &functions[i];

		if (rc == SQLITE_OK)
			rc = sqlite3_create_function(e->db, f->name, f->argc,
			    SQLITE_UTF8 | f->flags, e, f->call, NULL, NULL);
	}
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
#include "crdt/log.h"

#include <string.h>

#include "base/be64.h"
#include "base/clock.h"
#include "crdt/ledger.h"

SQLITE_EXTENSION_INIT3

/* A header of now. */
static void
make_header(uint8_t header[HEADER_LEN])
{
	int64_t ms = clock_ms();
	int i;

	for (i = 0; i < 6; i++)
		header[i] = (uint8_t)(ms >> 8 * (5 - i));
	sqlite3_randomness(TOKEN_LEN, header + 6);
}

/* Mixes all bits into all others. */
static uint64_t
mix(uint64_t v)
{
	v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9u;
	v = (v ^ v >> 27) * 0x94D049BB133111EBu;
	return v ^ v >> 31;
}

/* The chain before dbv; zeroes in an empty log. */
static int
chain_before(struct engine *e, int64_t dbv, uint8_t chain[CHAIN_LEN])
{
	sqlite3_stmt *stmt;
	int n, rc;

	if (e->newest.dbv != 0 && e->newest.dbv < dbv) {
		memcpy(chain, e->newest.chain, CHAIN_LEN);
		return SQLITE_OK;
	}
	rc = engine_cached(e, SLOT_LOG_BEFORE, "SELECT hdr FROM crsql_log "
	    "WHERE dbv = (SELECT max(dbv) FROM crsql_log WHERE dbv < ?1) AND "
	    "pos = 0", &stmt);

	memset(chain, 0, CHAIN_LEN);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, dbv);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		n = sqlite3_column_bytes(stmt, 0);
		if (n >= HEADER_LEN)
			memcpy(chain, (const uint8_t *)sqlite3_column_blob(stmt, 0) +
			    n - CHAIN_LEN, CHAIN_LEN);
	}
	return sqlite3_reset(stmt);
}

void
log_link(const uint8_t before[CHAIN_LEN], int64_t dbv,
    const uint8_t token[TOKEN_LEN], uint8_t out[CHAIN_LEN])
{
	uint64_t v = mix(be64_get(before) + (uint64_t)dbv * 0x9E3779B97F4A7C15u);

	be64_put(out, mix(v ^ be64_get(token)));
}

/* Puts the chain behind the header of dbv. */
static int
add_chain(struct engine *e, int64_t dbv, uint8_t header[HEADER_LEN + CHAIN_LEN])
{
	uint8_t before[CHAIN_LEN];
	int rc = chain_before(e, dbv, before);

	log_link(before, dbv, header + HEADER_LEN - TOKEN_LEN,
	    header + HEADER_LEN);
	return rc;
}

static int
default_stride(struct engine *e, int table)
{
	struct table *t = table_by_id(e, table);

	return t != NULL && t->ncol > 0 ? t->ncol : 1;
}

/* Of a run: whether seq_stride is not what NULL stands for. */
static bool
has_stride(struct engine *e, const struct log_row *row)
{
	return row->seq != 0 || row->mask != 0 || row->bytes != NULL ||
	    row->stride != default_stride(e, row->table);
}

/* Where it stands, and what it is of. */
static void
bind_place(sqlite3_stmt *stmt, const struct log_row *row)
{
	sqlite3_bind_int64(stmt, 1, row->dbv);
	sqlite3_bind_int64(stmt, 2, row->pos);
	sqlite3_bind_int(stmt, 3, row->table);
	if (row->pk != NULL)
		sqlite3_bind_blob(stmt, 4, row->pk, row->npk, SQLITE_STATIC);
	else
		sqlite3_bind_int64(stmt, 4, row->key);
}

static void
bind_row(struct engine *e, sqlite3_stmt *stmt, const struct log_row *row,
    const uint8_t *header)
{
	bind_place(stmt, row);
	if (row->n == LOG_ROW)
		sqlite3_bind_null(stmt, 5);
	else
		sqlite3_bind_int64(stmt, 5, row->n);
	if (row->n > 0 && has_stride(e, row))
		sqlite3_bind_int64(stmt, 6, row->seq * LOG_STRIDE_BASE + row->stride);
	else
		sqlite3_bind_null(stmt, 6);
	if (row->own) {
		sqlite3_bind_null(stmt, 7);
		sqlite3_bind_null(stmt, 8);
	} else {
		sqlite3_bind_int64(stmt, 7, row->site);
		sqlite3_bind_int64(stmt, 8, row->sver);
	}
	if (row->bytes != NULL)
		sqlite3_bind_blob(stmt, 9, row->bytes, row->nbytes, SQLITE_STATIC);
	else if (row->mask != 0)
		sqlite3_bind_int64(stmt, 9, (int64_t)row->mask);
	else
		sqlite3_bind_null(stmt, 9);
	if (header != NULL)
		sqlite3_bind_blob(stmt, 10, header, HEADER_LEN + CHAIN_LEN,
		    SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, 10);
}

/* An own row that has no more than most have: by a statement that binds nothing
 * but that.  header: of a transaction's first; else it is a row or a tombstone. */
static int
append_short(struct engine *e, const struct log_row *row, const uint8_t *header)
{
	sqlite3_stmt *stmt;
	int rc = header != NULL ? engine_cached(e, SLOT_LOG_FIRST, "INSERT INTO "
	    "crsql_log(dbv, pos, tbl, key, hdr, n) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	    &stmt) : row->n == LOG_DEAD ? engine_cached(e, SLOT_LOG_DEAD, "INSERT "
	    "INTO crsql_log(dbv, pos, tbl, key, n) VALUES(?1, ?2, ?3, ?4, -2)",
	    &stmt) : engine_cached(e, SLOT_LOG_ROW, "INSERT INTO crsql_log(dbv, "
	    "pos, tbl, key) VALUES(?1, ?2, ?3, ?4)", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	bind_place(stmt, row);
	if (header != NULL)
		sqlite3_bind_blob(stmt, 5, header, HEADER_LEN + CHAIN_LEN,
		    SQLITE_STATIC);
	if (header != NULL && row->n == LOG_ROW)
		sqlite3_bind_null(stmt, 6);
	else if (header != NULL)
		sqlite3_bind_int64(stmt, 6, row->n);
	rc = engine_run(e, stmt);
	if (row->pk != NULL)
		sqlite3_bind_null(stmt, 4);
	if (header != NULL)
		sqlite3_bind_null(stmt, 5);
	return rc;
}

static int
append_long(struct engine *e, const struct log_row *row, const uint8_t *header)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_LOG_INSERT, "INSERT INTO crsql_log "
	    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	bind_row(e, stmt, row, header);
	rc = engine_run(e, stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

/* True if append_short has all that row needs. */
static bool
is_short(struct engine *e, const struct log_row *row)
{
	if (!row->own || row->n == LOG_ROW || row->n == LOG_DEAD)
		return row->own;
	return row->pos == 0 && row->n > 0 && !has_stride(e, row);
}

int64_t
log_take_pos(struct engine *e)
{
	e->tx.wrote = true;
	return e->tx.next_pos++;
}

int
log_append(struct engine *e, struct log_row *row)
{
	uint8_t bytes[HEADER_LEN + CHAIN_LEN], *header = NULL;
	int rc = SQLITE_OK;

	row->pos = log_take_pos(e);
	if (row->pos == 0) {
		header = bytes;
		if (row->header != NULL)
			memcpy(header, row->header, HEADER_LEN);
		else
			make_header(header);
		rc = add_chain(e, row->dbv, header);
	}
	if (rc == SQLITE_OK)
		rc = is_short(e, row) ? append_short(e, row, header) :
		    append_long(e, row, header);
	if (rc == SQLITE_OK && header != NULL) {
		e->newest.dbv = row->dbv;
		memcpy(e->newest.chain, header + HEADER_LEN, CHAIN_LEN);
	}
	return rc;
}

int
log_sweep(struct engine *e, int64_t dbv, int64_t pos)
{
	sqlite3_stmt *stmt;
	int rc;

	if (pos == 0)
		rc = engine_cached(e, SLOT_LOG_STRIP, "UPDATE crsql_log SET tbl = NULL, "
		    "key = NULL, n = 0, seq_stride = NULL, mask = NULL WHERE dbv = ?1 "
		    "AND pos = ?2 AND (n IS NULL OR n < 0)", &stmt);
	else
		rc = engine_cached(e, SLOT_LOG_DELETE, "DELETE FROM crsql_log WHERE "
		    "dbv = ?1 AND pos = ?2 AND (n IS NULL OR n < 0)", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, dbv);
	sqlite3_bind_int64(stmt, 2, pos);
	return engine_run(e, stmt);
}

int
log_next_pos(struct engine *e, int64_t dbv, int64_t *pos)
{
	if (dbv == e->tx.current) {
		*pos = e->tx.next_pos++;
		return SQLITE_OK;
	}
	return engine_int(e, pos, "SELECT max(pos) + 1 FROM crsql_log WHERE "
	    "dbv = %lld", (long long)dbv);
}

int
log_drop_run(struct engine *e, int64_t dbv, int64_t pos)
{
	ledger_forget_runs(e);
	return engine_exec(e, pos > 0 ?
	    "DELETE FROM crsql_log WHERE dbv = %lld AND pos = %lld" :
	    "UPDATE crsql_log SET tbl = NULL, key = NULL, n = 0, seq_stride = "
	    "NULL, mask = NULL WHERE dbv = %lld AND pos = %lld",
	    (long long)dbv, (long long)pos);
}

int
log_origin(struct engine *e, int64_t dbv, int64_t pos, int64_t *site,
    int64_t *sver)
{
	sqlite3_stmt *stmt;
	bool own = true;
	int rc = engine_cached(e, SLOT_LOG_GET, "SELECT site, sver FROM crsql_log "
	    "WHERE dbv = ?1 AND pos = ?2", &stmt);

	*site = e->me;
	*sver = dbv;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, dbv);
	sqlite3_bind_int64(stmt, 2, pos);
	if (sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
		*site = sqlite3_column_int64(stmt, 0);
		*sver = sqlite3_column_int64(stmt, 1);
		own = false;
	}
	rc = sqlite3_reset(stmt);
	return rc == SQLITE_OK && own ? site_of_local(e, dbv, site) : rc;
}

/* The last bytes of the header at dbv, or the first. */
static int
read_header(struct engine *e, int64_t dbv, bool *found, uint8_t *out, int n,
    bool last)
{
	sqlite3_stmt *stmt;
	int len, rc = engine_cached(e, SLOT_LOG_HEADER, "SELECT hdr FROM crsql_log "
	    "WHERE dbv = ?1 AND pos = 0", &stmt);

	*found = false;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, dbv);
	if (sqlite3_step(stmt) == SQLITE_ROW &&
	    (len = sqlite3_column_bytes(stmt, 0)) >= HEADER_LEN) {
		memcpy(out, (const uint8_t *)sqlite3_column_blob(stmt, 0) +
		    (last ? len - n : 0), (size_t)n);
		*found = true;
	}
	return sqlite3_reset(stmt);
}

int
log_chain(struct engine *e, int64_t dbv, bool *found,
    uint8_t chain[CHAIN_LEN])
{
	return read_header(e, dbv, found, chain, CHAIN_LEN, true);
}

int
log_header(struct engine *e, int64_t dbv, bool *found,
    uint8_t header[HEADER_LEN])
{
	return read_header(e, dbv, found, header, HEADER_LEN, false);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * gc_runs.c - runs of which rows in the midst are forgotten.  Without its tombstone
 * nothing says of such a row that it was deleted: where keys are names of rows, a
 * table that a tool makes anew would lack rows that its log knows, as another table
 * does.  So a run ends before each of them, and goes on behind it as another one, at
 * the end of its transaction, so that no reader's place moves.
 */
#include "crdt/gc.h"

#include "crdt/ledger.h"
#include "crdt/log.h"
#include "crdt/lookaside.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

int
gc_runs_begin(struct engine *e, sqlite3_stmt **note)
{
	int rc = engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_forgot("
	    "tbl INTEGER, key INTEGER, PRIMARY KEY(tbl, key)) WITHOUT ROWID; "
	    "DELETE FROM temp.crsql_forgot");

	return rc == SQLITE_OK ? engine_prepare(e, note, "INSERT OR IGNORE INTO "
	    "temp.crsql_forgot VALUES(?1, ?2)") : rc;
}

int
gc_runs_note(struct engine *e, struct table *t, const uint8_t *pk, int npk,
    sqlite3_stmt *note)
{
	struct val v[PACK_MAX_COLUMNS];
	int64_t key = 0;
	int rc = SQLITE_OK;

	if (t->aside)
		rc = lookaside_number(e, t, pk, npk, false, &key);
	else if (pack_read(pk, npk, t->npk, v, PACK_MAX_COLUMNS) > 0)
		key = v[0].i;
	sqlite3_bind_int(note, 1, t->id);
	sqlite3_bind_int64(note, 2, key);
	return rc == SQLITE_OK ? engine_run(e, note) : rc;
}

/* A run, of which rows are forgotten: those from one key to another first. */
struct run {
	int table;
	int64_t dbv, pos, key, n, seq, stride, gone, gone_to;
};

static int
find(struct engine *e, sqlite3_stmt *stmt, struct run *r, bool *found)
{
	struct table *t;
	int64_t packed;
	int rc;

	sqlite3_bind_int64(stmt, 1, r->dbv);
	sqlite3_bind_int64(stmt, 2, r->pos);
	rc = sqlite3_step(stmt);
	*found = rc == SQLITE_ROW;
	if (*found) {
		r->dbv = sqlite3_column_int64(stmt, 0);
		r->pos = sqlite3_column_int64(stmt, 1);
		r->table = sqlite3_column_int(stmt, 2);
		r->key = sqlite3_column_int64(stmt, 3);
		r->n = sqlite3_column_int64(stmt, 4);
		r->gone = r->gone_to = sqlite3_column_int64(stmt, 6);
		packed = sqlite3_column_int64(stmt, 5);
		r->seq = packed / LOG_STRIDE_BASE;
		r->stride = packed % LOG_STRIDE_BASE;
		t = table_by_id(e, r->table);
		if (t != NULL && sqlite3_column_type(stmt, 5) == SQLITE_NULL)
			r->stride = table_stride(t, r->key);
	}
	return sqlite3_reset(stmt);
}

/* How far the keys go on that are forgotten. */
static int
find_end(sqlite3_stmt *keys, struct run *r)
{
	int64_t last = r->key + (r->n - 1);

	sqlite3_bind_int(keys, 1, r->table);
	sqlite3_bind_int64(keys, 2, r->gone);
	while (r->gone_to < last && sqlite3_step(keys) == SQLITE_ROW &&
	    sqlite3_column_int64(keys, 0) == r->gone_to + 1)
		r->gone_to++;
	return sqlite3_reset(keys);
}

/* What is behind them: n rows, as a run of their own. */
static int
go_on(struct engine *e, const struct run *r, int64_t n, int64_t packed)
{
	int64_t pos;
	int rc = log_next_pos(e, r->dbv, &pos);

	return rc == SQLITE_OK ? engine_exec(e, "INSERT INTO crsql_log(dbv, pos, tbl, "
	    "key, n, seq_stride, site, sver) SELECT dbv, %lld, tbl, %lld, %lld, %lld, "
	    "site, sver FROM crsql_log WHERE dbv = %lld AND pos = %lld",
	    (long long)pos, (long long)(r->gone_to + 1), (long long)n,
	    (long long)packed, (long long)r->dbv, (long long)r->pos) : rc;
}

static int
part(struct engine *e, struct run *r)
{
	int64_t before = r->gone - r->key, with = r->gone_to - r->key + 1;
	int64_t after = r->n - with;
	int64_t packed = (r->seq + with * r->stride) * LOG_STRIDE_BASE + r->stride;
	int rc = SQLITE_OK;

	ledger_forget_runs(e);
	if (before > 0 && after > 0)
		rc = go_on(e, r, after, packed);
	if (rc == SQLITE_OK && before > 0)
		rc = engine_exec(e, "UPDATE crsql_log SET n = %lld WHERE dbv = %lld AND "
		    "pos = %lld", (long long)before, (long long)r->dbv,
		    (long long)r->pos);
	else if (rc == SQLITE_OK && after > 0)
		rc = engine_exec(e, "UPDATE crsql_log SET key = %lld, n = %lld, "
		    "seq_stride = %lld WHERE dbv = %lld AND pos = %lld",
		    (long long)(r->gone_to + 1), (long long)after, (long long)packed,
		    (long long)r->dbv, (long long)r->pos);
	else if (rc == SQLITE_OK)
		rc = log_drop_run(e, r->dbv, r->pos);
	r->pos--;               /* there may be another one in what is left */
	return rc;
}

int
gc_runs_part(struct engine *e)
{
	struct run r = { .pos = -1 };
	sqlite3_stmt *stmt, *keys = NULL;
	bool found = true;
	int rc = engine_prepare(e, &stmt, "SELECT l.dbv, l.pos, l.tbl, l.key, l.n, "
	    "l.seq_stride, (SELECT f.key FROM temp.crsql_forgot f WHERE f.tbl = l.tbl "
	    "AND f.key BETWEEN l.key AND l.key + (l.n - 1) ORDER BY f.key LIMIT 1) AS "
	    "gone FROM crsql_log l WHERE (l.dbv, l.pos) > (?1, ?2) AND l.n > 0 AND l.mask IS "
	    "NULL AND gone IS NOT NULL ORDER BY l.dbv, l.pos LIMIT 1");

	if (rc == SQLITE_OK)
		rc = engine_prepare(e, &keys, "SELECT key FROM temp.crsql_forgot WHERE "
		    "tbl = ?1 AND key > ?2 ORDER BY key");
	while (rc == SQLITE_OK && found) {
		rc = find(e, stmt, &r, &found);
		if (rc == SQLITE_OK && found)
			rc = find_end(keys, &r);
		if (rc == SQLITE_OK && found)
			rc = part(e, &r);
	}
	rc = engine_finalize(stmt, rc);
	rc = engine_finalize(keys, rc);
	return rc == SQLITE_OK ? engine_exec(e, "DELETE FROM temp.crsql_forgot") : rc;
}

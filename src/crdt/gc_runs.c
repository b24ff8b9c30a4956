// SPDX-License-Identifier: MPL-2.0
/*
 * gc_runs.c - runs of which rows in the midst are forgotten.  Without its tombstone
 * nothing says of such a row that it was deleted: where keys are names of rows, a
 * table that a tool makes anew would lack rows that its log knows, as another table
 * does.  So a run ends before each of them, and goes on behind it as another one, at
 * the end of its transaction, so that no reader's place moves.
 */
#include "crdt/gc.h"

#include "crdt/log.h"
#include "crdt/lookaside.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

int
gc_runs_begin(struct engine *e)
{
	return engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_forgot(tbl, key, "
	    "PRIMARY KEY(tbl, key)) WITHOUT ROWID; DELETE FROM temp.crsql_forgot");
}

int
gc_runs_note(struct engine *e, struct table *t, const uint8_t *pk, int npk)
{
	struct val v[PACK_MAX_COLUMNS];
	int64_t key = 0;
	int rc = SQLITE_OK;

	if (t->aside)
		rc = lookaside_number(e, t, pk, npk, false, &key);
	else if (pack_read(pk, npk, t->npk, v, PACK_MAX_COLUMNS) > 0)
		key = v[0].i;
	return rc == SQLITE_OK ? engine_exec(e, "INSERT OR IGNORE INTO "
	    "temp.crsql_forgot VALUES(%d, %lld)", t->id, (long long)key) : rc;
}

/* A run, of which a row is forgotten. */
struct run {
	int64_t dbv, pos, key, n, seq, stride, gone;
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
		r->key = sqlite3_column_int64(stmt, 3);
		r->n = sqlite3_column_int64(stmt, 4);
		r->gone = sqlite3_column_int64(stmt, 6);
		packed = sqlite3_column_int64(stmt, 5);
		r->seq = packed / LOG_STRIDE_BASE;
		r->stride = packed % LOG_STRIDE_BASE;
		t = table_by_id(e, sqlite3_column_int(stmt, 2));
		if (t != NULL && sqlite3_column_type(stmt, 5) == SQLITE_NULL)
			r->stride = table_stride(t, r->key);
	}
	return sqlite3_reset(stmt);
}

/* What is behind the row: n rows, as a run of their own. */
static int
go_on(struct engine *e, const struct run *r, int64_t n, int64_t packed)
{
	int64_t pos;
	int rc = log_last_pos(e, r->dbv, &pos);

	return rc == SQLITE_OK ? engine_exec(e, "INSERT INTO crsql_log(dbv, pos, tbl, "
	    "key, n, seq_stride, site, sver) SELECT dbv, %lld, tbl, %lld, %lld, %lld, "
	    "site, sver FROM crsql_log WHERE dbv = %lld AND pos = %lld",
	    (long long)pos, (long long)(r->gone + 1), (long long)n,
	    (long long)packed, (long long)r->dbv, (long long)r->pos) : rc;
}

static int
part(struct engine *e, struct run *r)
{
	int64_t before = r->gone - r->key, after = r->n - before - 1;
	int64_t packed = (r->seq + (before + 1) * r->stride) * LOG_STRIDE_BASE +
	    r->stride;
	int rc = SQLITE_OK;

	if (before > 0 && after > 0)
		rc = go_on(e, r, after, packed);
	if (rc == SQLITE_OK && before > 0)
		rc = engine_exec(e, "UPDATE crsql_log SET n = %lld WHERE dbv = %lld AND "
		    "pos = %lld", (long long)before, (long long)r->dbv,
		    (long long)r->pos);
	else if (rc == SQLITE_OK && after > 0)
		rc = engine_exec(e, "UPDATE crsql_log SET key = %lld, n = %lld, "
		    "seq_stride = %lld WHERE dbv = %lld AND pos = %lld",
		    (long long)(r->gone + 1), (long long)after, (long long)packed,
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
	sqlite3_stmt *stmt;
	bool found = true;
	int rc = engine_prepare(e, &stmt, "SELECT l.dbv, l.pos, l.tbl, l.key, l.n, "
	    "l.seq_stride, (SELECT min(f.key) FROM temp.crsql_forgot f WHERE f.tbl = "
	    "l.tbl AND f.key BETWEEN l.key AND l.key + (l.n - 1)) AS gone FROM "
	    "crsql_log l WHERE (l.dbv, l.pos) > (?1, ?2) AND l.n > 0 AND l.mask IS "
	    "NULL AND gone IS NOT NULL ORDER BY l.dbv, l.pos LIMIT 1");

	while (rc == SQLITE_OK && found) {
		rc = find(e, stmt, &r, &found);
		if (rc == SQLITE_OK && found)
			rc = part(e, &r);
	}
	rc = engine_finalize(stmt, rc);
	return rc == SQLITE_OK ? engine_exec(e, "DELETE FROM temp.crsql_forgot") : rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * move.c - see move.h.  Where a row stands in a run, which goes by keys, it
 * gets a log row of its own in the same transaction: at the transaction's end,
 * so that no reader's place moves.
 */
#include "crdt/move.h"

#include "crdt/log.h"

SQLITE_EXTENSION_INIT3

/* A log row for the key beside the run at (dbv, *pos); *pos becomes its. */
static int
leave_run(struct engine *e, int64_t dbv, int64_t *pos, int64_t key)
{
	int64_t to = 0;
	int rc = log_next_pos(e, dbv, &to);

	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT INTO crsql_log(dbv, pos, tbl, key, site, "
		    "sver) SELECT dbv, %lld, tbl, %lld, site, sver FROM crsql_log "
		    "WHERE dbv = %lld AND pos = %lld", to, key, dbv, *pos);
	*pos = to;
	return rc;
}

/* The log row at (dbv, *pos) names the row at `to` from now on. */
static int
move_place(struct engine *e, int64_t dbv, int64_t *pos, int64_t to)
{
	int64_t n = LOG_ROW;
	int rc = engine_int(e, &n, "SELECT coalesce(n, %d) FROM crsql_log WHERE "
	    "dbv = %lld AND pos = %lld", LOG_ROW, dbv, *pos);

	if (rc == SQLITE_OK && n > 0)
		return leave_run(e, dbv, pos, to);
	if (rc == SQLITE_OK && n == LOG_ROW)
		rc = engine_exec(e, "UPDATE crsql_log SET key = %lld WHERE dbv = %lld "
		    "AND pos = %lld", to, dbv, *pos);
	return rc;
}

/* The run over a key: what a fresh row is known by.  The log has no index for
 * it; rowids change seldom. */
static int
find_run(struct engine *e, const struct table *t, int64_t key, bool *found,
    struct stamp *at)
{
	sqlite3_stmt *stmt;
	int64_t packed, first, stride;
	int rc = engine_prepare(e, &stmt, "SELECT dbv, pos, key, seq_stride FROM "
	    "crsql_log WHERE tbl = %d AND n > 0 AND mask IS NULL AND key <= %lld "
	    "AND key + n > %lld", t->id, key, key);

	*found = false;
	*at = (struct stamp){ .version = 1 };
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		*found = true;
		at->dbv = sqlite3_column_int64(stmt, 0);
		at->pos = sqlite3_column_int64(stmt, 1);
		first = sqlite3_column_int64(stmt, 2);
		packed = sqlite3_column_int64(stmt, 3);
		stride = table_stride(t, first);
		if (sqlite3_column_type(stmt, 3) != SQLITE_NULL) {
			at->seq = packed / LOG_STRIDE_BASE;
			stride = packed % LOG_STRIDE_BASE;
		}
		at->seq += (key - first) * stride;
	}
	return engine_finalize(stmt, rc);
}

/* A row known by a run gets its clocks written down. */
static int
settle(struct engine *e, const struct table *t, struct meta *m, int64_t key)
{
	struct stamp at;
	bool found;
	int i, rc = find_run(e, t, key, &found, &at);

	for (i = 0; i < m->ncol && found; i++) {
		if (m->col[i].dbv != 0 || meta_version(t, m, key, i) == 0)
			continue;
		m->col[i] = at;
		m->col[i].seq += i;
	}
	if (found && !m->has_sentinel && !table_born_with_any(t, key)) {
		m->has_sentinel = true;
		m->sentinel = at;
		m->sentinel.version = m->cl;
	}
	m->base = BASE_NONE;
	return rc;
}

/* Moves the place of one stamp, and of those that share it. */
static int
move_stamp(struct engine *e, struct meta *m, struct stamp *first, int64_t to)
{
	struct stamp *s, was = *first;
	int i, rc = move_place(e, was.dbv, &first->pos, to);

	for (i = -1; i < m->ncol; i++) {
		s = i < 0 ? &m->sentinel : &m->col[i];
		if (s->dbv == was.dbv && s->pos == was.pos)
			s->pos = first->pos;
	}
	return rc;
}

int
move_row(struct engine *e, struct table *t, struct meta *m, int64_t from,
    int64_t to)
{
	struct stamp *s, *before;
	bool stored = m->stored, done;
	int i, j, rc = SQLITE_OK;

	/* columns take their places one by one: births go by key too (R3) */
	if (m->base == BASE_AT)
		for (i = 0; i < m->ncol; i++) {
			if (m->col[i].dbv != 0 || meta_version(t, m, from, i) == 0)
				continue;
			m->col[i] = m->base_at;
			m->col[i].seq += i;
		}
	if (m->base == BASE_RUN)
		rc = settle(e, t, m, from);
	m->base = BASE_NONE;
	meta_leave(m, from);
	for (i = -1; i < m->ncol && rc == SQLITE_OK; i++) {
		s = i < 0 ? &m->sentinel : &m->col[i];
		done = s->dbv == 0;
		for (j = -1; j < i && !done; j++) {
			before = j < 0 ? &m->sentinel : &m->col[j];
			done = before->dbv == s->dbv && before->pos == s->pos;
		}
		if (!done)
			rc = move_stamp(e, m, s, to);
	}
	if (rc == SQLITE_OK && stored)
		rc = meta_del(e, t, from);
	return rc == SQLITE_OK ? meta_put(e, t, to, m) : rc;
}

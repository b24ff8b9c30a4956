// SPDX-License-Identifier: MPL-2.0
/* repair.c - see repair.h. */
#include "crdt/repair.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/columns.h"
#include "crdt/ledger.h"
#include "crdt/log.h"
#include "crdt/lost.h"
#include "crdt/meta.h"

SQLITE_EXTENSION_INIT3

enum { NO_CLOCK = -1 };         /* instead of a version */

struct repair {
	struct engine *e;
	struct table *t;
	const struct remap *remap;
	uint64_t changed;
	int64_t dbv;
	sqlite3_stmt *put, *is_own;
	struct meta old, new;
	int part;               /* that the highest are of; -1: none */
	int64_t highest_cl;     /* own causal lengths of that part */
	int64_t *highest;       /* ... and versions, by column */
	int *at;                /* where the query says that it was written */
};

/* -- rows, one after the other --------------------------------------------------- */

/* All rows are in runs: what a clock row says goes before. */
static int
write_runs(struct repair *r)
{
	int64_t stride = r->t->ncol > 0 ? r->t->ncol : 1, key;
	struct log_row row = { .table = r->t->id, .own = true, .stride = stride };
	sqlite3_stmt *stmt;
	int rc = engine_prepare(r->e, &stmt, "SELECT key FROM temp.crsql_row ORDER "
	    "BY key");

	row.seq = r->e->tx.seq;
	row.dbv = r->dbv;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (row.n > 0 && !log_goes_on(row.key, row.n, key)) {
			rc = log_append(r->e, &row);
			row.seq += row.n * stride;
			row.n = 0;
		}
		if (row.n == 0)
			row.key = key;
		row.n++;
	}
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK && row.n > 0)
		rc = log_append(r->e, &row);
	r->e->tx.seq = row.seq + row.n * stride;
	return rc;
}

/* True if the version was given here. */
static int
is_own(struct repair *r, const struct stamp *s, bool *own)
{
	int rc = SQLITE_OK;

	*own = false;
	if (r->is_own == NULL)
		rc = engine_prepare(r->e, &r->is_own, "SELECT 1 FROM crsql_log WHERE "
		    "dbv = ?1 AND pos = ?2 AND site IS NULL");
	if (rc != SQLITE_OK || s->dbv == 0)
		return rc;
	sqlite3_bind_int64(r->is_own, 1, s->dbv);
	sqlite3_bind_int64(r->is_own, 2, s->pos);
	*own = sqlite3_step(r->is_own) == SQLITE_ROW;
	return sqlite3_reset(r->is_own);
}

/* Those of the old row, if they are ours and higher. */
static int
raise_highest(struct repair *r)
{
	bool own;
	int i, rc = SQLITE_OK;

	if (r->old.has_sentinel && r->old.cl > r->highest_cl) {
		rc = is_own(r, &r->old.sentinel, &own);
		if (own)
			r->highest_cl = r->old.cl;
	}
	for (i = 0; i < r->t->ncol && rc == SQLITE_OK; i++) {
		if (r->old.col[i].version <= r->highest[i])
			continue;
		rc = is_own(r, &r->old.col[i], &own);
		if (own)
			r->highest[i] = r->old.col[i].version;
	}
	return rc;
}

/* The highest of our own of the rows that one in doubt may be. */
static int
use_part(struct repair *r, int part)
{
	const struct remap_part *p = &r->remap->part[part];
	sqlite3_stmt *stmt;
	int rc = SQLITE_OK;

	if (part == r->part)
		return rc;
	r->highest_cl = 1;
	memset(r->highest, 0, sizeof *r->highest * (size_t)(r->t->ncol + 1));
	rc = engine_prepare(r->e, &stmt, "SELECT m FROM main.\"%w__crsql_meta\" "
	    "WHERE key BETWEEN %lld AND %lld", r->t->noted, p->old_from, p->old_to);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		rc = meta_decode(r->t, sqlite3_column_blob(stmt, 0),
		    sqlite3_column_bytes(stmt, 0), &r->old);
		if (rc == SQLITE_OK)
			rc = raise_highest(r);
	}
	rc = engine_finalize(stmt, rc);
	r->part = part;
	return rc;
}

/* A row that nobody knows by its rowid: one that was deleted is there again. */
static int
revive(struct repair *r, int64_t key)
{
	struct dead d;
	bool found = false;
	uint8_t *pk;
	int npk, rc = table_pk_of_key(r->e, r->t, key, &pk, &npk);

	if (rc == SQLITE_OK && pk != NULL)
		rc = dead_get(r->e, r->t, pk, npk, &found, &d);
	if (rc == SQLITE_OK && found)
		rc = dead_del(r->e, r->t, pk, npk);
	if (rc == SQLITE_OK && found && d.cl + 1 > r->new.cl) {
		r->new.cl = d.cl + 1;
		r->new.has_sentinel = true;
	}
	sqlite3_free(pk);
	return rc;
}

/* Of column i by its clock row.  Version 0 is one too: a column that is known to
 * be older than any that is told. */
static int64_t
version_of(const struct repair *r, int64_t old, int i)
{
	const struct meta *m = &r->old;
	int64_t version = m->col[i].version;

	if (m->col[i].dbv == 0 && r->at[i] < 0)
		version = meta_version(r->t, m, old, i);
	return m->col[i].dbv == 0 && (r->at[i] >= 0 || version == 0) ? NO_CLOCK :
	    version;
}

/* The versions of a row: those at its old rowid, or what is safe. */
static int
find_versions(struct repair *r, int64_t key, bool known, int64_t old, int part,
    int64_t *version)
{
	struct table *t = r->t;
	int i, rc = SQLITE_OK;

	meta_fresh(&r->new);
	if (known) {
		rc = meta_get(r->e, t, old, &r->old);
		r->new.cl = r->old.cl;
		r->new.has_sentinel = r->old.has_sentinel;
		for (i = 0; i < t->ncol; i++)
			version[i] = version_of(r, old, i);
		return rc;
	}
	if (part >= 0) {
		rc = use_part(r, part);
		r->new.cl = r->highest_cl;
		r->new.has_sentinel = r->highest_cl > 1;
	}
	for (i = 0; i < t->ncol; i++) {
		version[i] = part >= 0 ? r->highest[i] : 1;
		/* younger columns: they may have no clock (R3) */
		if (version[i] == 0)
			version[i] = t->col[i].born == INT64_MIN ? 1 : NO_CLOCK;
	}
	return rc == SQLITE_OK ? revive(r, key) : rc;
}

static bool
has_any(const struct repair *r, const int64_t *version)
{
	int i;

	for (i = 0; i < r->t->ncol && version[i] == NO_CLOCK; i++)
		;
	return i < r->t->ncol;
}

/* A row that is not as a fresh one gets a clock row.  One that lost the columns it
 * was born with is told by its sentinel. */
static int
write_row(struct repair *r, int64_t key, const int64_t *version)
{
	struct meta *m = &r->new;
	struct table *t = r->t;
	struct log_row row = { .table = t->id, .key = key, .n = LOG_ROW,
		.own = true, .dbv = r->dbv };
	uint8_t *bytes;
	int i, len, rc;

	for (i = 0; i < t->ncol && version[i] == 1; i++)
		;
	if (i == t->ncol && !m->has_sentinel)
		return SQLITE_OK;
	rc = log_append(r->e, &row);
	m->base = BASE_NONE;
	m->has_sentinel = m->has_sentinel || !has_any(r, version);
	m->sentinel = (struct stamp){ m->cl, row.dbv, row.pos, r->e->tx.seq };
	r->e->tx.seq += m->has_sentinel;
	for (i = 0; i < t->ncol; i++)
		if (version[i] != NO_CLOCK)
			m->col[i] = (struct stamp){ version[i], row.dbv, row.pos,
			    r->e->tx.seq++ };
	if (rc == SQLITE_OK)
		rc = meta_encode(t, m, &bytes, &len);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(r->put, 1, key);
	sqlite3_bind_blob(r->put, 2, bytes, len, SQLITE_STATIC);
	rc = engine_run(r->e, r->put);
	sqlite3_free(bytes);
	return rc;
}

/* Rows, and of each new column whether its value is not the default. */
static int
prepare_rows(struct repair *r, sqlite3_stmt **out)
{
	sqlite3_str *s = sqlite3_str_new(r->e->db);
	char *sql, *preset;
	int i, at = 4, rc = SQLITE_OK;

	sqlite3_str_appendall(s, "SELECT x.key, x.old IS NOT NULL, x.old, "
	    "coalesce(x.part, -1)");
	for (i = 0; i < r->t->ncol && rc == SQLITE_OK; i++) {
		r->at[i] = -1;
		if (!alter_is_new(r->e, r->t, i))
			continue;
		rc = columns_preset(r->e, r->t, i, &preset);
		sqlite3_str_appendf(s, ", d.\"%w\" COLLATE BINARY IS NOT (%s)",
		    r->t->col[i].name, preset ? preset : "");
		sqlite3_free(preset);
		r->at[i] = at++;
	}
	sqlite3_str_appendf(s, " FROM temp.crsql_row x LEFT JOIN main.\"%w\" d ON "
	    "d.%s = x.key ORDER BY x.key", r->t->name, r->t->rowid);
	rc = engine_text(s, rc, &sql);
	if (rc == SQLITE_OK)
		rc = engine_prepare(r->e, out, "%s", sql);
	sqlite3_free(sql);
	return rc;
}

/* What the making anew changed. */
static void
add_changes(const struct repair *r, sqlite3_stmt *row, bool came,
    int64_t *version)
{
	int i;

	for (i = 0; i < r->t->ncol; i++) {
		if (version[i] != NO_CLOCK && !came && (r->changed &
		    sample_bit(r->t->col[i].cid)) != 0)
			version[i]++;
		if (version[i] == NO_CLOCK && r->at[i] >= 0 &&
		    sqlite3_column_int(row, r->at[i]))
			version[i] = 1;
	}
}

static int
write_clocks(struct repair *r)
{
	int64_t *version = sqlite3_malloc64(sizeof *version *
	    (uint64_t)(r->t->ncol + 1));
	sqlite3_stmt *stmt = NULL;
	int64_t key;
	bool known;
	int rc = version ? prepare_rows(r, &stmt) : SQLITE_NOMEM;

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		known = sqlite3_column_int(stmt, 1) != 0;
		rc = find_versions(r, key, known, sqlite3_column_int64(stmt, 2),
		    sqlite3_column_int(stmt, 3), version);
		add_changes(r, stmt, !known && sqlite3_column_int(stmt, 3) < 0,
		    version);
		if (rc == SQLITE_OK)
			rc = write_row(r, key, version);
	}
	rc = engine_finalize(stmt, rc);
	sqlite3_free(version);
	return rc;
}

/* -- what is gone ------------------------------------------------------------------ */

static int
bury(struct repair *r, int64_t key, const uint8_t *pk, int npk)
{
	struct log_row row = { .table = r->t->id, .pk = pk, .npk = npk,
		.n = LOG_DEAD, .own = true, .dbv = r->dbv };
	struct dead d;
	bool dead;
	int rc = dead_get(r->e, r->t, pk, npk, &dead, &d);

	if (rc != SQLITE_OK || dead)
		return rc;
	rc = meta_get(r->e, r->t, key, &r->old);
	if (rc == SQLITE_OK)
		rc = log_append(r->e, &row);
	d = (struct dead){ .cl = r->old.cl + 1, .dbv = row.dbv, .pos = row.pos,
		.seq = r->e->tx.seq++ };
	return rc == SQLITE_OK ? dead_put(r->e, r->t, pk, npk, &d) : rc;
}

static int
bury_lost(struct repair *r)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(r->e, &stmt, "SELECT key, pk FROM temp.crsql_lost "
	    "ORDER BY key");

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = bury(r, sqlite3_column_int64(stmt, 0),
		    sqlite3_column_blob(stmt, 1), sqlite3_column_bytes(stmt, 1));
	return engine_finalize(stmt, rc);
}

/* Tombstones go by keys: what they say of old rowids holds no more. */
static int
forget_left(struct repair *r)
{
	sqlite3_stmt *stmt = NULL;
	struct dead d;
	bool found;
	int rc = engine_exec(r->e, "DELETE FROM temp.crsql_lost; INSERT INTO "
	    "temp.crsql_lost(pk) SELECT pk FROM main.\"%w__crsql_dead\"",
	    r->t->noted);

	if (rc == SQLITE_OK)
		rc = engine_prepare(r->e, &stmt, "SELECT pk FROM temp.crsql_lost");
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		const uint8_t *pk = sqlite3_column_blob(stmt, 0);
		int npk = sqlite3_column_bytes(stmt, 0);

		rc = dead_get(r->e, r->t, pk, npk, &found, &d);
		if (rc == SQLITE_OK && found && d.has_left)
			rc = dead_forget_left(r->e, r->t, pk, npk, &d);
	}
	return engine_finalize(stmt, rc);
}

/* The old log rows, those before (dbv, pos), and clock rows. */
static int
replace_old(struct repair *r, int64_t pos)
{
	struct table *t = r->t;
	int i, rc = engine_exec(r->e, "UPDATE crsql_log SET tbl = NULL, key = NULL, "
	    "n = 0, seq_stride = NULL, mask = NULL WHERE tbl = %d AND pos = 0 AND "
	    "(n IS NULL OR n > 0) AND (dbv, pos) < (%lld, %lld);"
	    "DELETE FROM crsql_log WHERE tbl = %d AND (n IS NULL OR n > 0) AND "
	    "(dbv, pos) < (%lld, %lld);"
	    "UPDATE crsql_col SET born = -9223372036854775807 - 1 WHERE tbl = %d;"
	    "DELETE FROM crsql_master WHERE key = 'left.%d'",
	    t->id, r->dbv, pos, t->id, r->dbv, pos, t->id, t->id);

	ledger_forget_runs(r->e);
	if (rc == SQLITE_OK)
		rc = engine_exec(r->e, "DELETE FROM main.\"%w__crsql_meta\";"
		    "INSERT INTO main.\"%w__crsql_meta\" SELECT key, m FROM "
		    "temp.crsql_clock; DELETE FROM temp.crsql_clock", t->noted,
		    t->noted);
	for (i = 0; i < t->ncol; i++)
		t->col[i].born = INT64_MIN;
	t->youngest = INT64_MIN;
	t->has_meta = t->has_dead = -1;
	return rc;
}

static int
write_all(struct repair *r)
{
	int64_t pos;
	int rc = engine_exec(r->e, "CREATE TEMP TABLE IF NOT EXISTS crsql_clock("
	    "key INTEGER PRIMARY KEY, m BLOB); DELETE FROM temp.crsql_clock");

	if (rc == SQLITE_OK)
		rc = engine_prepare(r->e, &r->put, "INSERT INTO temp.crsql_clock "
		    "VALUES(?1, ?2)");
	if (rc == SQLITE_OK)
		rc = tx_own_dbv(r->e, &r->dbv);
	pos = r->e->tx.next_pos;
	if (rc == SQLITE_OK)
		rc = write_runs(r);
	if (rc == SQLITE_OK)
		rc = write_clocks(r);
	if (rc == SQLITE_OK)
		rc = bury_lost(r);
	if (rc == SQLITE_OK)
		rc = forget_left(r);
	sqlite3_finalize(r->is_own);
	sqlite3_finalize(r->put);
	return rc == SQLITE_OK ? replace_old(r, pos) : rc;
}

int
repair_write(struct engine *e, struct table *t, const struct remap *remap,
    uint64_t changed)
{
	struct repair r = { .e = e, .t = t, .remap = remap, .changed = changed,
		.part = -1 };
	int rc = table_load_hw(e, t);

	r.highest = sqlite3_malloc64(sizeof *r.highest * (uint64_t)(t->ncol + 1));
	r.at = sqlite3_malloc64(sizeof *r.at * (uint64_t)(t->ncol + 1));
	if (rc == SQLITE_OK && (r.highest == NULL || r.at == NULL))
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = table_load_flags(e, t);
	if (rc == SQLITE_OK)
		rc = meta_init(&r.old, t);
	if (rc == SQLITE_OK)
		rc = meta_init(&r.new, t);
	if (rc == SQLITE_OK)
		rc = write_all(&r);
	if (rc == SQLITE_OK)
		rc = table_load_flags(e, t);
	if (rc == SQLITE_OK)
		rc = table_save_hw(e, t);
	if (rc == SQLITE_OK && remap->doubt)
		rc = lost_doubt(e, t->id);
	if (rc == SQLITE_OK)
		rc = sample_take(e, t, true);
	if (rc == SQLITE_OK)
		e->repaired++;
	meta_free(&r.old);
	meta_free(&r.new);
	sqlite3_free(r.highest);
	sqlite3_free(r.at);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * gc.c - crsql_gc(horizon): metadata that can shrink.
 *
 *     SELECT crsql_gc(x'01...');       -- the number of rows that were dropped
 *
 * The log is read once, row by row; what is current is never touched.  All of
 * it happens in one savepoint, or nothing.
 */
#include "crdt/gc.h"

#include <string.h>

#include "crdt/apply.h"
#include "crdt/log.h"
#include "crdt/meta.h"
#include "crdt/page.h"
#include "crdt/source.h"

/* Of a log row l: its site, and whether the horizon covers it. */
#define SITE "coalesce(l.site, (SELECT m.ordinal FROM crsql_me m WHERE " \
	"m.first_dbv <= l.dbv ORDER BY m.first_dbv DESC LIMIT 1))"
#define COVERED "coalesce(l.sver, l.dbv) BETWEEN 1 AND (SELECT h.version " \
	"FROM crsql_horizon h WHERE h.site = " SITE ")"

struct gc {
	struct engine *e;
	sqlite3_stmt *next;     /* the next log row that may go */
	struct source *sources;
	bool has_parked;
	int64_t dead_dbv, dead_pos, swept;      /* as in struct horizon */
	bool forgot;            /* a tombstone was dropped */
	int64_t dropped;
	/* the log row at hand */
	int64_t dbv, pos, key, n;
	struct table *table;    /* NULL: not there any more */
	bool updates;           /* a run of updates */
	struct buf pk;
};

/* -- tombstones ------------------------------------------------------------ */

/* The causal length of a parked change. */
static int64_t
parked_cl(sqlite3_stmt *stmt, int column)
{
	const char *reason;
	struct rd r;
	int len;

	rd_init(&r, sqlite3_column_blob(stmt, column),
	    (size_t)sqlite3_column_bytes(stmt, column));
	page_text(&r, INT32_MAX, &reason, &len);
	return (int64_t)rd_varint(&r, INT64_MAX);
}

/* What is parked of a life that the tombstone ended goes with it: tried again
 * without it, it would bring the row back.  True if there was one. */
static int
drop_parked(struct gc *g, int64_t cl, bool *found)
{
	sqlite3_stmt *stmt;
	int64_t dbv = 0, pos = 0;
	int rc = engine_prepare(g->e, &stmt, "SELECT dbv, pos, mask FROM crsql_log "
	    "WHERE n = -4 AND tbl = ?1 AND key = ?2");

	*found = false;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, g->table->id);
	sqlite3_bind_blob(stmt, 2, g->pk.data, (int)g->pk.len, SQLITE_STATIC);
	while (!*found && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		dbv = sqlite3_column_int64(stmt, 0);
		pos = sqlite3_column_int64(stmt, 1);
		*found = parked_cl(stmt, 2) < cl;
	}
	rc = engine_finalize(stmt, rc == SQLITE_ROW || rc == SQLITE_DONE ?
	    SQLITE_OK : rc);
	if (rc == SQLITE_OK && *found)
		rc = log_sweep(g->e, dbv, pos);
	g->dropped += *found;
	return rc;
}

static int
drop_tombstone(struct gc *g)
{
	struct dead tomb;
	bool found, parked = g->has_parked;
	int rc = dead_get(g->e, g->table, g->pk.data, (int)g->pk.len, &found,
	    &tomb);

	if (rc == SQLITE_OK && (!found || tomb.dbv != g->dbv ||
	    tomb.pos != g->pos))
		return log_sweep(g->e, g->dbv, g->pos);
	while (rc == SQLITE_OK && parked)
		rc = drop_parked(g, tomb.cl, &parked);
	if (rc == SQLITE_OK)
		rc = dead_del(g->e, g->table, g->pk.data, (int)g->pk.len);
	if (g->dbv > g->dead_dbv || (g->dbv == g->dead_dbv &&
	    g->pos > g->dead_pos)) {
		g->dead_dbv = g->dbv;
		g->dead_pos = g->pos;
	}
	g->forgot = true;
	g->dropped++;
	return rc;
}

/* -- runs ------------------------------------------------------------------ */

static int
source_of(struct gc *g, struct source **out)
{
	struct source *s = g->sources;
	int rc = SQLITE_OK;

	while (s != NULL && s->table != g->table)
		s = s->next;
	*out = s;
	if (s != NULL)
		return rc;
	rc = source_new(g->e, g->table, out);
	if (rc == SQLITE_OK) {
		(*out)->next = g->sources;
		g->sources = *out;
	}
	return rc;
}

/* Whether something of the run is current still. */
static int
run_is_current(struct gc *g, bool *current)
{
	struct source *s;
	int64_t key;
	int rc = source_of(g, &s);

	*current = false;
	if (rc == SQLITE_OK)
		rc = source_range(s, g->key, g->key + (g->n - 1));
	while (rc == SQLITE_OK && !*current &&
	    (rc = source_next(s, &key)) == SQLITE_ROW) {
		rc = source_clock(g->e, s, key);
		*current = g->updates ? meta_stands_at(&s->meta, g->dbv, g->pos)
		    : meta_needs_run(g->table, &s->meta, key);
	}
	if (s != NULL) {
		sqlite3_reset(s->rows);
		sqlite3_reset(s->keys);
		sqlite3_reset(s->clocks);
	}
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
drop_run(struct gc *g)
{
	bool current;
	int rc = run_is_current(g, &current);

	if (rc != SQLITE_OK || current)
		return rc;
	g->dropped++;
	return engine_exec(g->e, g->pos > 0 ?
	    "DELETE FROM crsql_log WHERE dbv = %lld AND pos = %lld" :
	    "UPDATE crsql_log SET tbl = NULL, key = NULL, n = 0, seq_stride = "
	    "NULL, mask = NULL WHERE dbv = %lld AND pos = %lld",
	    (long long)g->dbv, (long long)g->pos);
}

/* -- the walk -------------------------------------------------------------- */

/* The log row behind the one at hand; each is found anew, as the log is written
 * to. */
static int
find_next(struct gc *g, bool *found)
{
	const void *pk;
	int rc, len;

	sqlite3_bind_int64(g->next, 1, g->dbv);
	sqlite3_bind_int64(g->next, 2, g->pos);
	rc = sqlite3_step(g->next);
	*found = rc == SQLITE_ROW;
	if (*found) {
		g->dbv = sqlite3_column_int64(g->next, 0);
		g->pos = sqlite3_column_int64(g->next, 1);
		g->table = table_by_id(g->e, sqlite3_column_int(g->next, 2));
		g->n = sqlite3_column_int64(g->next, 4);
		g->key = sqlite3_column_int64(g->next, 3);
		g->updates = sqlite3_column_type(g->next, 5) != SQLITE_NULL;
		g->pk.len = 0;
		if (g->n == LOG_DEAD) {
			pk = sqlite3_column_blob(g->next, 3);
			len = sqlite3_column_bytes(g->next, 3);
			buf_add(&g->pk, pk, (size_t)len);
		}
	}
	rc = sqlite3_reset(g->next);
	return rc == SQLITE_OK && g->pk.failed ? SQLITE_NOMEM : rc;
}

static int
sweep_log(struct gc *g)
{
	bool found = true;
	int rc = engine_prepare(g->e, &g->next, "SELECT l.dbv, l.pos, l.tbl, "
	    "l.key, l.n, l.mask FROM crsql_log l WHERE (l.dbv, l.pos) > (?1, ?2) "
	    "AND (l.n = -2 OR l.n > 0) AND " COVERED " ORDER BY l.dbv, l.pos");

	g->dbv = 0;
	g->pos = -1;
	while (rc == SQLITE_OK && found) {
		rc = find_next(g, &found);
		if (rc == SQLITE_OK && found && g->table != NULL)
			rc = g->n == LOG_DEAD ? drop_tombstone(g) : drop_run(g);
	}
	return rc;
}

/* Headers of which no row is left: not the newest of a site, by which its
 * vectors' tokens are known (R15), nor the head's, which cursors stand at. */
static int
sweep_headers(struct gc *g)
{
	sqlite3_stmt *stmt;
	int64_t dbv;
	int rc = engine_prepare(g->e, &stmt, "DELETE FROM crsql_log AS l WHERE "
	    "l.pos = 0 AND l.n = 0 AND " COVERED " AND l.dbv < (SELECT max(dbv) "
	    "FROM crsql_log) AND NOT EXISTS(SELECT 1 FROM crsql_log o WHERE "
	    "o.dbv = l.dbv AND o.pos > 0) AND l.dbv NOT IN (SELECT dbv FROM "
	    "(SELECT l.dbv AS dbv, max(coalesce(l.sver, l.dbv)) FROM crsql_log l "
	    "WHERE l.pos = 0 GROUP BY " SITE ")) RETURNING dbv");

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		dbv = sqlite3_column_int64(stmt, 0);
		if (dbv > g->swept)
			g->swept = dbv;
		g->dropped++;
	}
	return engine_finalize(stmt, rc == SQLITE_DONE ? SQLITE_OK : rc);
}

/* Of the steps of a site that all lie below, the newest one says most. */
static int
sweep_steps(struct gc *g)
{
	int rc = engine_exec(g->e, "DELETE FROM crsql_seen WHERE (site, sver, "
	    "other) IN (SELECT s.site, s.sver, s.other FROM crsql_seen s JOIN "
	    "(SELECT n.site, n.other, max(n.sver) AS sver FROM crsql_seen n JOIN "
	    "crsql_horizon h ON h.site = n.site WHERE n.sver <= h.version GROUP "
	    "BY n.site, n.other) t ON t.site = s.site AND t.other = s.other "
	    "WHERE s.sver < t.sver)");

	if (rc == SQLITE_OK)
		g->dropped += sqlite3_changes(g->e->db);
	return rc;
}

/* -- what is remembered ---------------------------------------------------- */

static int
raise_entry(struct engine *e, const uint8_t *site, int64_t version,
    int64_t head)
{
	int64_t ordinal;
	int rc = site_ordinal(e, site, SITE_ID_LEN, true, &ordinal);

	if (rc != SQLITE_OK || version == 0)
		return rc;
	if (ordinal == e->me && version > head)
		return engine_fail(e, CRDT_HORIZON, "the horizon names version "
		    "%lld of this database, which has none above %lld",
		    (long long)version, (long long)head);
	return engine_exec(e, "INSERT INTO crsql_horizon(site, version) VALUES("
	    "%lld, %lld) ON CONFLICT(site) DO UPDATE SET version = "
	    "excluded.version WHERE excluded.version > version",
	    (long long)ordinal, (long long)version);
}

static int
raise(struct engine *e, const struct horizon_given *given)
{
	struct rd r = given->entries;
	const uint8_t *site;
	int64_t version, head;
	int i, rc = tx_head(e, &head);

	if (e->tx.current > head)
		head = e->tx.current;
	/* a database of an earlier build lacks it */
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "CREATE TABLE IF NOT EXISTS crsql_horizon("
		    "site INTEGER PRIMARY KEY, version INTEGER NOT NULL)");
	for (i = 0; i < given->n && rc == SQLITE_OK; i++) {
		horizon_next(&r, &site, &version);
		rc = raise_entry(e, site, version, head);
	}
	return rc;
}

/* A newcomer's rows are all of sites that nothing was forgotten of, and he was none
 * of those himself before he got another name. */
static int
check_newcomer(struct engine *e)
{
	int64_t holds = 0;
	int rc = engine_int(e, &holds, "SELECT EXISTS(SELECT 1 FROM crsql_log l "
	    "JOIN crsql_horizon h ON h.site = " SITE ") OR (EXISTS(SELECT 1 FROM "
	    "crsql_log) AND EXISTS(SELECT 1 FROM crsql_me m JOIN crsql_horizon h "
	    "ON h.site = m.ordinal))");

	return rc == SQLITE_OK && holds ? horizon_refuse_reader(e) : rc;
}

static void
put64(uint8_t *p, int64_t v)
{
	int i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)((uint64_t)v >> 8 * (7 - i));
}

/* The salt is another one whenever a tombstone went. */
static int
write_note(struct gc *g)
{
	uint8_t note[24 + HORIZON_SALT_LEN];
	const struct horizon *h;
	sqlite3_stmt *stmt;
	int rc = horizon_get(g->e, &h);

	if (rc != SQLITE_OK)
		return rc;
	put64(note, g->dead_dbv);
	put64(note + 8, g->dead_pos);
	put64(note + 16, g->swept);
	memcpy(note + 24, h->salt, HORIZON_SALT_LEN);
	if (g->forgot)
		sqlite3_randomness(HORIZON_SALT_LEN, note + 24);
	rc = engine_prepare(g->e, &stmt,
	    "INSERT OR REPLACE INTO crsql_master VALUES('gc', ?1)");
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, note, sizeof note, SQLITE_STATIC);
		rc = engine_run(g->e, stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* -- all of it ------------------------------------------------------------- */

static int
begin(struct gc *g, struct engine *e)
{
	const struct horizon *h;
	int64_t any = 0;
	int rc = horizon_get(e, &h);

	memset(g, 0, sizeof *g);
	g->e = e;
	buf_init(&g->pk, INT32_MAX);
	if (rc != SQLITE_OK)
		return rc;
	g->dead_dbv = h->dbv;
	g->dead_pos = h->pos;
	g->swept = h->swept;
	rc = engine_int(e, &any,
	    "SELECT EXISTS(SELECT 1 FROM crsql_log WHERE n = -4)");
	g->has_parked = any != 0;
	return rc;
}

static void
end(struct gc *g)
{
	struct source *s;
	int i;

	while ((s = g->sources) != NULL) {
		g->sources = s->next;
		source_free(s);
	}
	sqlite3_finalize(g->next);
	buf_clear(&g->pk);
	/* there may be no tombstones any more */
	for (i = 0; i < g->e->tables.n; i++)
		g->e->tables.table[i].has_dead = -1;
	horizon_forget(g->e);
}

int
gc_join(struct engine *e, const struct horizon_given *given, bool newcomer,
    int64_t *dropped)
{
	struct gc g;
	int rc = begin(&g, e);

	if (rc == SQLITE_OK)
		rc = raise(e, given);
	if (rc == SQLITE_OK && newcomer)
		rc = check_newcomer(e);
	if (rc == SQLITE_OK)
		rc = sweep_log(&g);
	if (rc == SQLITE_OK)
		rc = sweep_headers(&g);
	if (rc == SQLITE_OK)
		rc = sweep_steps(&g);
	if (rc == SQLITE_OK)
		rc = write_note(&g);
	if (dropped != NULL)
		*dropped = g.dropped;
	end(&g);
	return rc;
}

/* -- the functions --------------------------------------------------------- */

/* A horizon is news: others must take it over before they can be heard again.  It
 * gets a db_version that holds nothing. */
static int
tell(struct engine *e)
{
	struct log_row row = { .n = LOG_HEADER, .own = true };
	int rc = tx_own_dbv(e, &row.dbv);

	return rc == SQLITE_OK && e->tx.next_pos == 0 ? log_append(e, &row) : rc;
}

static int
collect(struct engine *e, const struct horizon_given *given, int64_t *dropped)
{
	const struct horizon *h;
	struct apply_scope scope;
	bool rises = false;
	int rc = apply_begin(e, false, &scope);

	e->merging++;           /* nothing of it is for the hook */
	if (rc == SQLITE_OK)
		rc = horizon_rises(e, given, &rises);
	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK && (rises || h->n > 0))
		rc = gc_join(e, given, false, dropped);
	if (rc == SQLITE_OK && rises)
		rc = tell(e);
	e->merging--;
	return apply_end(e, &scope, rc);
}

static void
crsql_gc(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	bool null = sqlite3_value_type(argv[0]) == SQLITE_NULL;
	struct horizon_given given = { .n = 0 };
	int64_t dropped = 0;
	struct rd r;
	int rc = SQLITE_OK;

	rd_init(&r, sqlite3_value_blob(argv[0]),
	    (size_t)sqlite3_value_bytes(argv[0]));
	if (!null && (sqlite3_value_type(argv[0]) != SQLITE_BLOB ||
	    !horizon_take(&r, &given) || !rd_done(&r))) {
		sqlite3_result_error(ctx, "the horizon is malformed", -1);
		return;
	}
	if (e->has_storage)
		rc = collect(e, &given, &dropped);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, dropped);
	else
		engine_result_error(e, ctx, rc);
}

static void
crsql_horizon(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const struct horizon *h;
	struct buf b;
	int rc = tx_begin_read(e);

	buf_init(&b, INT32_MAX);
	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK)
		horizon_encode(h, &b);
	if (rc == SQLITE_OK && b.failed)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		sqlite3_result_blob(ctx, b.data, (int)b.len, SQLITE_TRANSIENT);
	else
		engine_result_error(e, ctx, rc);
	buf_clear(&b);
}

int
gc_register(struct engine *e)
{
	int rc = sqlite3_create_function(e->db, "crsql_gc", 1,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_gc, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_horizon", 0,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_horizon, NULL,
		    NULL);
	return rc;
}

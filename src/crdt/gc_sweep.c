// SPDX-License-Identifier: MPL-2.0
/*
 * gc_sweep.c - what crsql_gc drops.  The log is read once, row by row, in bounded
 * memory; what is current is never touched.
 */
#include "crdt/gc.h"

#include <string.h>

#include "crdt/log.h"
#include "crdt/lookaside.h"
#include "crdt/lost.h"
#include "crdt/meta.h"
#include "crdt/page.h"
#include "crdt/sample.h"
#include "crdt/source.h"

/* Of a log row l: its site, and whether the horizon of its table covers it. */
#define SITE GC_SITE_OF("l")
#define VERSION "coalesce(l.sver, l.dbv)"
#define COVERED VERSION " BETWEEN 1 AND (SELECT h.version FROM crsql_horizon h " \
	"WHERE h.site = " SITE " AND h.tbl = l.tbl)"
/* A header that no row belongs to is of no table. */
#define COVERED_HEADER VERSION " BETWEEN 1 AND (SELECT max(h.version) FROM " \
	"crsql_horizon h WHERE h.site = " SITE ")"

struct gc {
	struct engine *e;
	struct gc_sweep *out;
	sqlite3_stmt *next;     /* the next log row that may go */
	struct source *sources;
	bool has_parked;
	sqlite3_stmt *keys;     /* gc_runs.c notes them; NULL: none yet */
	/* the log row at hand */
	int64_t dbv, pos, key, n;
	struct table *table;    /* NULL: not there any more */
	struct table *left;     /* noted last by note_left */
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
	g->out->dropped += *found;
	return rc;
}

/* The rowid that a forgotten row left is in the runs still, and looks as if a row
 * were there: who looks for rows whose rowids were given out anew is told. */
static int
note_left(struct gc *g)
{
	if (g->left == g->table)
		return SQLITE_OK;
	g->left = g->table;
	return engine_exec(g->e, "INSERT OR IGNORE INTO crsql_master VALUES("
	    "'left.%d', 1)", g->table->id);
}

/* The same where the key names the row. */
static int
note_key(struct gc *g)
{
	int rc = SQLITE_OK;

	if (!lookaside_names_pk(g->table))
		return rc;
	if (g->keys == NULL)
		rc = gc_runs_begin(g->e, &g->keys);
	return rc == SQLITE_OK ? gc_runs_note(g->e, g->table, g->pk.data,
	    (int)g->pk.len, g->keys) : rc;
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
	if (rc == SQLITE_OK && tomb.has_left)
		rc = note_left(g);
	if (rc == SQLITE_OK)
		rc = note_key(g);
	if (rc == SQLITE_OK)
		rc = dead_del(g->e, g->table, g->pk.data, (int)g->pk.len);
	if (g->dbv > g->out->dead_dbv || (g->dbv == g->out->dead_dbv &&
	    g->pos > g->out->dead_pos)) {
		g->out->dead_dbv = g->dbv;
		g->out->dead_pos = g->pos;
	}
	g->out->forgot = g->table->forgot = true;
	g->out->dropped++;
	return rc;
}

/* A row that is made again after it was forgotten looks like one that moved: who
 * remembers its rowid does so no more. */
static int
sample_anew(struct engine *e)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->forgot)
			continue;
		rc = table_load_hw(e, t);
		if (rc == SQLITE_OK)
			rc = sample_take(e, t, false);
		t->forgot = false;
	}
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
	g->out->dropped++;
	return log_drop_run(g->e, g->dbv, g->pos);
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
	    "l.pos = 0 AND l.n = 0 AND " COVERED_HEADER " AND l.dbv < (SELECT max(dbv) "
	    "FROM crsql_log) AND NOT EXISTS(SELECT 1 FROM crsql_log o WHERE "
	    "o.dbv = l.dbv AND o.pos > 0) AND l.dbv NOT IN (SELECT dbv FROM "
	    "(SELECT l.dbv AS dbv, max(coalesce(l.sver, l.dbv)) FROM crsql_log l "
	    "WHERE l.pos = 0 GROUP BY " SITE ")) RETURNING dbv");

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		dbv = sqlite3_column_int64(stmt, 0);
		if (dbv > g->out->swept)
			g->out->swept = dbv;
		g->out->dropped++;
	}
	return engine_finalize(stmt, rc == SQLITE_DONE ? SQLITE_OK : rc);
}

/* Of the steps of a site that all lie below, the newest one says most. */
static int
sweep_steps(struct gc *g)
{
	int rc = engine_exec(g->e, "DELETE FROM crsql_seen WHERE (site, sver, "
	    "other) IN (SELECT s.site, s.sver, s.other FROM crsql_seen s JOIN "
	    "(SELECT n.site, n.other, max(n.sver) AS sver FROM crsql_seen n WHERE "
	    "n.sver <= (SELECT max(h.version) FROM crsql_horizon h WHERE h.site = "
	    "n.site) GROUP BY n.site, n.other) t ON t.site = s.site AND t.other = s.other "
	    "WHERE s.sver < t.sver)");

	if (rc == SQLITE_OK)
		g->out->dropped += sqlite3_changes(g->e->db);
	return rc;
}

/* -- all of it ------------------------------------------------------------- */

static int
begin(struct gc *g, struct engine *e, struct gc_sweep *out)
{
	int64_t any = 0;
	int rc;

	memset(g, 0, sizeof *g);
	g->e = e;
	g->out = out;
	buf_init(&g->pk, INT32_MAX);
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
	sqlite3_finalize(g->keys);
	buf_clear(&g->pk);
	/* there may be no tombstones any more */
	for (i = 0; i < g->e->tables.n; i++)
		g->e->tables.table[i].has_dead = -1;
}

int
gc_sweep(struct engine *e, struct gc_sweep *out)
{
	struct gc g;
	int rc = begin(&g, e, out);

	if (rc == SQLITE_OK)
		rc = sweep_log(&g);
	if (rc == SQLITE_OK && g.keys != NULL)
		rc = gc_runs_part(e);
	if (rc == SQLITE_OK)
		rc = sweep_headers(&g);
	if (rc == SQLITE_OK)
		rc = sweep_steps(&g);
	if (rc == SQLITE_OK)
		rc = sample_anew(e);
	end(&g);
	return rc;
}

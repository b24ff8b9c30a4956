// SPDX-License-Identifier: MPL-2.0
/*
 * gc.c - crsql_gc(horizon): metadata that can shrink.
 *
 *     SELECT crsql_gc(x'01...');       -- the number of rows that were dropped
 *     SELECT crsql_gc(least, most);    -- gc_settle.c
 *
 * All of it happens in one savepoint, or nothing.
 */
#include "crdt/gc.h"

#include <string.h>

#include "base/be64.h"
#include "crdt/apply.h"
#include "crdt/log.h"

/* -- the horizons ---------------------------------------------------------- */

/* R22: one who is new has nothing by which it could be told what is near. */
static int
check_version(struct engine *e, const struct gc_raise *raise, int64_t ordinal,
    int64_t version, int64_t head)
{
	int64_t known = head;
	int rc = SQLITE_OK;

	if (ordinal == e->me && version > head)
		return engine_fail(e, CRDT_HORIZON, "the horizon names version "
		    "%lld of this database, which has none above %lld",
		    (long long)version, (long long)head);
	if (raise->newcomer || version - head <= VERSION_LEAP_MAX)
		return rc;
	rc = engine_int(e, &known, "SELECT coalesce(max(sver), 0) FROM crsql_log "
	    "WHERE site = %lld", (long long)ordinal);
	return rc == SQLITE_OK ? merge_check_number(e, "the horizon's version",
	    version, known > head ? known : head) : rc;
}

static int
raise_entry(struct engine *e, const struct gc_raise *raise, const uint8_t *site,
    int64_t version, int64_t head)
{
	int64_t ordinal;
	int rc = site_ordinal(e, site, SITE_ID_LEN, true, &ordinal);

	if (rc == SQLITE_OK)
		rc = check_version(e, raise, ordinal, version, head);
	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT INTO "
	    "crsql_horizon(site, tbl, version) VALUES(%lld, %d, %lld) ON "
	    "CONFLICT(site, tbl) DO UPDATE SET version = excluded.version WHERE "
	    "excluded.version > version", (long long)ordinal, raise->table->id,
	    (long long)version);
}

/* The table has nothing of others, and none of its own versions lies below. */
static int
check_newcomer(struct engine *e, const struct table *t)
{
	int64_t since = -1, below = 1;
	int rc = engine_int(e, &since, "SELECT value FROM crsql_master WHERE key = "
	    "'alone.%d'", t->id);

	if (rc == SQLITE_OK && since >= 0)
		rc = engine_int(e, &below, "SELECT EXISTS(SELECT 1 FROM crsql_me m "
		    "JOIN crsql_horizon h ON h.site = m.ordinal WHERE h.tbl = %d AND "
		    "h.version > %lld)", t->id, (long long)since);
	return rc == SQLITE_OK && below ? horizon_refuse_reader(e) : rc;
}

static int
raise_table(struct engine *e, const struct gc_raise *raise, int64_t head)
{
	struct rd r = raise->given->entries;
	const uint8_t *site;
	int64_t version;
	int i, rc = SQLITE_OK;

	for (i = 0; i < raise->given->n && rc == SQLITE_OK; i++) {
		horizon_next(&r, &site, &version);
		if (version > 0)
			rc = raise_entry(e, raise, site, version, head);
	}
	return rc == SQLITE_OK && raise->newcomer ?
	    check_newcomer(e, raise->table) : rc;
}

/* What a newcomer reads from now on lacks what was forgotten elsewhere: all places
 * up to here count as before it, so that nobody goes on from one as if he had got
 * that. */
static void
close_places(struct engine *e, struct gc_sweep *s, int64_t head)
{
	if (head + 1 > s->dead_dbv) {
		s->dead_dbv = head + 1;
		s->dead_pos = 0;
	}
	s->forgot = true;
}

static int
raise_all(struct engine *e, const struct gc_raise *raise, int n,
    struct gc_sweep *s)
{
	int64_t head, rows = 0;
	int i, rc = tx_head(e, &head);

	if (e->tx.current > head)
		head = e->tx.current;
	for (i = 0; i < n && rc == SQLITE_OK; i++) {
		rc = raise_table(e, &raise[i], head);
		if (raise[i].newcomer)
			close_places(e, s, head);
	}
	if (rc == SQLITE_OK && n > 0)
		rc = engine_int(e, &rows, "SELECT count(*) FROM crsql_horizon");
	return rc == SQLITE_OK && rows > HORIZON_ROWS_MAX ? engine_fail(e,
	    SQLITE_TOOBIG, "a horizon of so many sites and tables is refused") : rc;
}

/* The salt is another one whenever a tombstone went. */
static int
write_note(struct engine *e, const struct gc_sweep *s, const struct horizon *h)
{
	uint8_t note[24 + HORIZON_SALT_LEN];
	sqlite3_stmt *stmt;
	int rc;

	be64_put(note, s->dead_dbv);
	be64_put(note + 8, s->dead_pos);
	be64_put(note + 16, s->swept);
	memcpy(note + 24, h->salt, HORIZON_SALT_LEN);
	if (s->forgot)
		sqlite3_randomness(HORIZON_SALT_LEN, note + 24);
	rc = engine_prepare(e, &stmt,
	    "INSERT OR REPLACE INTO crsql_master VALUES('gc', ?1)");
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, note, sizeof note, SQLITE_STATIC);
		rc = engine_run(e, stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
gc_join(struct engine *e, const struct gc_raise *raise, int n, int64_t *dropped)
{
	struct gc_sweep s = { .dropped = 0 };
	const struct horizon *h;
	int rc = horizon_get(e, &h);

	if (rc == SQLITE_OK) {
		s.dead_dbv = h->dbv;
		s.dead_pos = h->pos;
		s.swept = h->swept;
		rc = raise_all(e, raise, n, &s);
	}
	if (rc == SQLITE_OK)
		rc = gc_sweep(e, &s);
	if (rc == SQLITE_OK)
		rc = write_note(e, &s, h);
	if (dropped != NULL)
		*dropped = s.dropped;
	horizon_forget(e);
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

/* Of all tables the same. */
static int
list_tables(struct engine *e, const struct horizon_given *given,
    struct gc_raise **out, int *n, bool *rises)
{
	const struct horizon *h;
	int rc = horizon_get(e, &h);

	*n = 0;
	*rises = false;
	*out = sqlite3_malloc64(sizeof **out * ((size_t)e->tables.n + 1));
	if (*out == NULL)
		return SQLITE_NOMEM;
	for (; rc == SQLITE_OK && *n < e->tables.n; ++*n) {
		(*out)[*n] = (struct gc_raise){ .table = &e->tables.table[*n],
		    .given = given };
		*rises = *rises || horizon_rises(h, e->tables.table[*n].id, given);
	}
	return rc;
}

static int
forget(struct engine *e, const struct horizon_given *given, int64_t *dropped)
{
	struct gc_raise *raise = NULL;
	const struct horizon *h;
	bool rises = false;
	int n = 0, rc = list_tables(e, given, &raise, &n, &rises);

	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK && (rises || h->n > 0))
		rc = gc_join(e, raise, rises ? n : 0, dropped);
	if (rc == SQLITE_OK && rises)
		rc = tell(e);
	sqlite3_free(raise);
	return rc;
}

/* most is NULL if what is given is settled. */
static int
collect(struct engine *e, const struct horizon_given *given,
    const struct horizon_given *most, int64_t *dropped)
{
	struct horizon_given settled = *given;
	struct apply_scope scope;
	struct buf note;
	int rc = apply_begin(e, false, &scope);

	buf_init(&note, INT32_MAX);
	e->merging++;           /* nothing of it is for the hook */
	if (rc == SQLITE_OK && most != NULL)
		rc = gc_settle(e, given, most, &note, &settled);
	if (rc == SQLITE_OK)
		rc = forget(e, &settled, dropped);
	e->merging--;
	buf_clear(&note);
	return apply_end(e, &scope, rc);
}

/* NULL is a horizon without entries. */
static bool
read_argument(sqlite3_value *value, struct horizon_given *out)
{
	struct rd r;

	memset(out, 0, sizeof *out);
	if (sqlite3_value_type(value) == SQLITE_NULL)
		return true;
	rd_init(&r, sqlite3_value_blob(value),
	    (size_t)sqlite3_value_bytes(value));
	return sqlite3_value_type(value) == SQLITE_BLOB &&
	    horizon_take(&r, false, out) && rd_done(&r);
}

/* crsql_gc(horizon), crsql_gc(least, most) */
static void
crsql_gc(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	struct horizon_given given, most;
	int64_t dropped = 0;
	int rc = SQLITE_OK;

	if (!read_argument(argv[0], &given) ||
	    (argc > 1 && !read_argument(argv[1], &most)))
		rc = engine_fail(e, SQLITE_ERROR, "the horizon is malformed");
	if (rc == SQLITE_OK && e->has_storage)
		rc = collect(e, &given, argc > 1 ? &most : NULL, &dropped);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, dropped);
	else
		engine_result_error(e, ctx, rc);
}

/* crsql_horizon(table): as bytes. */
static void
crsql_horizon(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *name = (const char *)sqlite3_value_text(argv[0]);
	const struct horizon_entry *entry = NULL;
	const struct horizon *h;
	struct table *t = NULL;
	struct buf b;
	int n = 0, rc = tx_begin_read(e);

	buf_init(&b, INT32_MAX);
	if (rc == SQLITE_OK && name != NULL)
		t = table_find(e, name);
	if (rc == SQLITE_OK && t == NULL)
		rc = engine_fail(e, SQLITE_ERROR, "table %s is not replicated",
		    name ? name : "NULL");
	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK) {
		n = horizon_of(h, t->id, &entry);
		horizon_encode(entry, n, &b);
		rc = b.failed ? SQLITE_NOMEM : SQLITE_OK;
	}
	if (rc == SQLITE_OK)
		sqlite3_result_blob(ctx, b.data, (int)b.len, SQLITE_TRANSIENT);
	else
		engine_result_error(e, ctx, rc);
	buf_clear(&b);
}

int
gc_register(struct engine *e)
{
	int n, rc = SQLITE_OK;

	for (n = 1; n <= 2 && rc == SQLITE_OK; n++)
		rc = sqlite3_create_function(e->db, "crsql_gc", n,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_gc, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_horizon", 1,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_horizon, NULL,
		    NULL);
	return rc;
}

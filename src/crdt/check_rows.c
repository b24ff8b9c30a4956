// SPDX-License-Identifier: MPL-2.0
/*
 * check_rows.c - the parts of crsql_check that read a table's rows, clocks,
 * tombstones, columns and triggers, and hold them against the log.
 */
#include "crdt/check.h"

#include "base/rd.h"
#include "crdt/horizon.h"
#include "crdt/lookaside.h"
#include "crdt/mask.h"
#include "crdt/triggers.h"
#include "crdt/val.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

/* The log row at a place. */
enum { AT_TBL, AT_KEY, AT_N, AT_MASK };

static int
place_at(struct check *c, int64_t dbv, int64_t pos, bool *found)
{
	int rc = SQLITE_OK;

	if (c->places == NULL)
		rc = engine_prepare(c->e, &c->places, "SELECT tbl, key, n, mask "
		    "FROM crsql_log WHERE dbv = ?1 AND pos = ?2");
	*found = false;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_reset(c->places);
	sqlite3_bind_int64(c->places, 1, dbv);
	sqlite3_bind_int64(c->places, 2, pos);
	rc = sqlite3_step(c->places);
	*found = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void
end_part(struct check *c)
{
	sqlite3_finalize(c->places);
	sqlite3_finalize(c->runs);
	meta_free(&c->meta);
	c->places = c->runs = NULL;
}

/* -- rows and their clocks ------------------------------------------------- */

enum { ROW_KEY, ROW_HAS_CLOCK, ROW_CLOCK };

/* The next of the table's runs by key. */
static int
next_run(struct check *c, struct table *t)
{
	int64_t before = c->last;
	bool any = c->run;
	int rc = sqlite3_step(c->runs);

	c->run = rc == SQLITE_ROW;
	if (!c->run)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	c->first = sqlite3_column_int64(c->runs, 0);
	c->last = c->first + (sqlite3_column_int64(c->runs, 1) - 1);
	c->last = any && before > c->last ? before : c->last;
	return any && c->first <= before ? check_say(c, t->name, c->runs, 0,
	    "two runs of the log have this row") : SQLITE_OK;
}

static int
begin_rows(struct check *c, struct table *t)
{
	int rc;

	memset(&c->meta, 0, sizeof c->meta);
	c->run = false;
	if (c->journal || c->schema)
		return SQLITE_OK;
	rc = meta_init(&c->meta, t);
	if (rc == SQLITE_OK)
		rc = engine_prepare(c->e, &c->runs, "SELECT key, n FROM crsql_log "
		    "WHERE tbl = %d AND n > 0 AND mask IS NULL AND typeof(key) = "
		    "'integer' AND n - 1 <= 9223372036854775807 - max(key, 0) ORDER BY "
		    "key", t->id);
	if (rc == SQLITE_OK)
		rc = next_run(c, t);
	if (rc == SQLITE_OK)
		rc = engine_prepare(c->e, &c->stmt, "SELECT t.%s, m.key IS NOT "
		    "NULL, m.m FROM %s t LEFT JOIN main.\"%w__crsql_meta\" "
		    "m ON m.key = t.%s ORDER BY t.%s", t->rowid, t->from, t->noted,
		    t->rowid, t->rowid);
	return rc;
}

/* True if the run of updates that was read has that column. */
static bool
is_told(const struct check *c, int cid)
{
	uint64_t bits = (uint64_t)sqlite3_column_int64(c->places, AT_MASK);
	struct rd r;

	rd_init(&r, NULL, 0);
	if (sqlite3_column_type(c->places, AT_MASK) == SQLITE_BLOB) {
		rd_init(&r, sqlite3_column_blob(c->places, AT_MASK),
		    (size_t)sqlite3_column_bytes(c->places, AT_MASK));
		bits = rd_varint(&r, INT64_MAX);
	}
	return mask_has(bits, r.p, rd_left(&r), cid);
}

/* What stands at a place must be told of by the log row there: one of this
 * row, or of a run of updates with this column (col -1: the sentinel). */
static int
check_place(struct check *c, struct table *t, const struct stamp *at, int col)
{
	int64_t key = sqlite3_column_int64(c->stmt, ROW_KEY), first, n;
	bool found, good;
	int rc = place_at(c, at->dbv, at->pos, &found);

	if (rc != SQLITE_OK)
		return rc;
	first = found ? sqlite3_column_int64(c->places, AT_KEY) : 0;
	n = found ? sqlite3_column_int64(c->places, AT_N) : 0;
	good = found && sqlite3_column_int(c->places, AT_TBL) == t->id;
	if (good && sqlite3_column_type(c->places, AT_N) == SQLITE_NULL)
		good = first == key;
	else if (good)
		good = n > 0 && key >= first && key - first < n &&
		    sqlite3_column_type(c->places, AT_MASK) != SQLITE_NULL;
	if (good && n > 0 && col >= 0)
		good = is_told(c, t->col[col].cid);
	return good ? SQLITE_OK : check_say(c, t->name, c->stmt, ROW_KEY,
	    "the clock of %s stands at %lld/%lld, where the log has no such row",
	    col < 0 ? "the row" : t->col[col].name, at->dbv, at->pos);
}

static int
check_clock(struct check *c, struct table *t)
{
	const struct meta *m = &c->meta;
	int64_t key = sqlite3_column_int64(c->stmt, ROW_KEY);
	int i, rc = SQLITE_OK;

	if (m->cl < 1 || m->cl % 2 == 0)
		return check_say(c, t->name, c->stmt, ROW_KEY,
		    "the row is there, and its clock says it is deleted");
	if (m->has_sentinel)
		rc = check_place(c, t, &m->sentinel, -1);
	for (i = 0; i < m->ncol && rc == SQLITE_OK && c->what == NULL; i++) {
		if (m->col[i].dbv != 0)
			rc = check_place(c, t, &m->col[i], i);
		else if (m->base == BASE_AT && key > t->col[i].born)
			rc = check_place(c, t, &m->base_at, -1);
	}
	return rc;
}

static int
look_row(struct check *c, struct table *t)
{
	int64_t key = sqlite3_column_int64(c->stmt, ROW_KEY);
	int rc = SQLITE_OK;

	meta_fresh(&c->meta);
	if (sqlite3_column_int(c->stmt, ROW_HAS_CLOCK))
		rc = meta_decode(t, sqlite3_column_blob(c->stmt, ROW_CLOCK),
		    sqlite3_column_bytes(c->stmt, ROW_CLOCK), &c->meta);
	if (rc == SQLITE_CORRUPT)
		return check_say(c, t->name, c->stmt, ROW_KEY,
		    "the row's clock is damaged");
	if (rc == SQLITE_OK)
		rc = check_clock(c, t);
	while (rc == SQLITE_OK && c->run && c->last < key)
		rc = next_run(c, t);
	if (rc == SQLITE_OK && meta_needs_run(t, &c->meta, key) &&
	    !(c->run && c->first <= key))
		rc = check_say(c, t->name, c->stmt, ROW_KEY,
		    "the log does not know the row");
	return rc;
}

const struct check_part check_rows = { .by_table = true, .begin = begin_rows,
	.look = look_row, .end = end_part };

/* -- clocks whose rows are gone -------------------------------------------- */

static int
begin_clocks(struct check *c, struct table *t)
{
	if (c->journal || c->schema)
		return SQLITE_OK;
	return engine_prepare(c->e, &c->stmt, "SELECT m.key FROM "
	    "main.\"%w__crsql_meta\" m WHERE NOT EXISTS(SELECT 1 FROM %s "
	    "t WHERE t.%s = m.key)", t->noted, t->from, t->rowid);
}

static int
look_clock(struct check *c, struct table *t)
{
	return check_say(c, t->name, c->stmt, 0, "a clock of a row that is not there");
}

const struct check_part check_clocks = { .by_table = true,
	.begin = begin_clocks, .look = look_clock };

/* -- rows that are gone ---------------------------------------------------- */

#define RUNS "FROM crsql_log r %s WHERE r.tbl = %d AND r.n > 0 AND r.mask IS NULL " \
	"AND typeof(r.key) = 'integer' AND r.n - 1 <= 9223372036854775807 - max(r.key, 0)"

/* How many of a table's rows, t.key, lie in a run of inserts. */
static char *
count_inside(const struct table *t, const char *from, const char *key)
{
	char *join = sqlite3_mprintf("CROSS JOIN %s t ON t.%s BETWEEN r.key AND "
	    "r.key + (r.n - 1)", from, key);
	char *sql = join != NULL ? sqlite3_mprintf("SELECT count(*) " RUNS, join,
	    t->id) : NULL;

	sqlite3_free(join);
	return sql;
}

/* Rows that have no number, of a table whose rows have: another part's finding. */
static char *
count_unnumbered(const struct table *t)
{
	return t->aside ? sqlite3_mprintf("(SELECT count(*) FROM main.\"%w\" NOT "
	    "INDEXED) - (SELECT count(*) FROM %s t)", t->name, t->from) :
	    sqlite3_mprintf("0");
}

/* A row of a run of inserts is there, or was deleted and has a tombstone, or, where
 * rowids are no keys, lives elsewhere by a clock of its own.  Of more nobody knows how
 * they went.  Behind a horizon tombstones may be gone, too. */
static int
begin_missing(struct check *c, struct table *t)
{
	char *meta, *rows = NULL, *clocks = NULL, *others = NULL;
	const struct horizon_entry *entry;
	const struct horizon *h;
	int rc = horizon_get(c->e, &h);

	if (rc != SQLITE_OK || c->journal || c->schema ||
	    horizon_of(h, t->id, &entry) > 0)
		return rc;
	meta = sqlite3_mprintf("main.\"%w__crsql_meta\"", t->noted);
	if (meta != NULL) {
		rows = count_inside(t, t->from, t->rowid);
		clocks = count_inside(t, meta, "key");
		others = count_unnumbered(t);
	}
	rc = rows == NULL || clocks == NULL || others == NULL ? SQLITE_NOMEM : engine_prepare(c->e,
	    &c->stmt, "SELECT n FROM (SELECT (SELECT coalesce(sum(r.n), 0) " RUNS
	    ") - (%s) - (SELECT count(*) FROM main.\"%w__crsql_dead\") - ((SELECT "
	    "count(*) FROM %s) - (%s)) - (%s) AS n) WHERE n > 0", "", t->id, rows,
	    t->noted, meta, clocks, others);
	sqlite3_free(meta);
	sqlite3_free(rows);
	sqlite3_free(clocks);
	sqlite3_free(others);
	return rc;
}

static int
look_missing(struct check *c, struct table *t)
{
	return check_say(c, t->name, NULL, 0, "at least %lld rows that the log has are gone",
	    sqlite3_column_int64(c->stmt, 0));
}

const struct check_part check_missing = { .by_table = true,
	.begin = begin_missing, .look = look_missing };

/* -- rows without a number ------------------------------------------------- */

static int
begin_numbers(struct check *c, struct table *t)
{
	sqlite3_str *s;
	int i;

	if (!t->aside || c->journal || c->schema)
		return SQLITE_OK;
	s = sqlite3_str_new(c->e->db);
	sqlite3_str_appendall(s, "SELECT crsql_pack_columns(");
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i ? ", " : "", t->pk[i].name);
	sqlite3_str_appendf(s, ") FROM main.\"%w\" t WHERE NOT EXISTS", t->name);
	lookaside_add_key_of_row(s, t);
	return engine_prepare_built(c->e, s, &c->stmt);
}

static int
look_number(struct check *c, struct table *t)
{
	return check_say(c, t->name, c->stmt, 0, "the log does not know the row");
}

const struct check_part check_numbers = { .by_table = true,
	.begin = begin_numbers, .look = look_number };

/* -- tombstones ------------------------------------------------------------ */

static int
begin_dead(struct check *c, struct table *t)
{
	memset(&c->meta, 0, sizeof c->meta);
	return c->journal || c->schema ? SQLITE_OK : engine_prepare(c->e,
	    &c->stmt, "SELECT pk FROM main.\"%w__crsql_dead\"", t->noted);
}

/* The log row of a tombstone. */
static int
check_dead_place(struct check *c, struct table *t, const struct dead *d,
    const uint8_t *pk, int npk)
{
	bool found;
	int rc = place_at(c, d->dbv, d->pos, &found);

	if (rc != SQLITE_OK)
		return rc;
	if (found && sqlite3_column_int(c->places, AT_TBL) == t->id &&
	    sqlite3_column_int64(c->places, AT_N) == LOG_DEAD &&
	    sqlite3_column_bytes(c->places, AT_KEY) == npk &&
	    memcmp(sqlite3_column_blob(c->places, AT_KEY), pk, (size_t)npk) == 0)
		return SQLITE_OK;
	return check_say(c, t->name, c->stmt, 0,
	    "a tombstone stands at %lld/%lld, where the log has no such row",
	    d->dbv, d->pos);
}

static int
look_dead(struct check *c, struct table *t)
{
	const uint8_t *pk = sqlite3_column_blob(c->stmt, 0);
	int npk = sqlite3_column_bytes(c->stmt, 0), rc;
	struct val v[PACK_MAX_COLUMNS];
	struct dead d;
	int64_t key;
	bool found;

	if (sqlite3_column_type(c->stmt, 0) != SQLITE_BLOB ||
	    pack_read(pk, npk, t->npk, v, PACK_MAX_COLUMNS) < 0)
		return check_say(c, t->name, c->stmt, 0,
		    "a tombstone's key is malformed");
	rc = dead_get(c->e, t, pk, npk, &found, &d);
	if (rc == SQLITE_CORRUPT)
		return check_say(c, t->name, c->stmt, 0, "a tombstone is damaged");
	if (rc == SQLITE_OK && (d.cl < 2 || d.cl % 2 != 0))
		return check_say(c, t->name, c->stmt, 0,
		    "a tombstone says that its row is there");
	if (rc == SQLITE_OK)
		rc = check_dead_place(c, t, &d, pk, npk);
	if (rc == SQLITE_OK)
		rc = table_find_key(c->e, t, pk, npk, &found, &key);
	return rc == SQLITE_OK && found ? check_say(c, t->name, c->stmt, 0,
	    "a tombstone of a row that is there") : rc;
}

const struct check_part check_dead = { .by_table = true, .begin = begin_dead,
	.look = look_dead, .end = end_part };

/* -- columns --------------------------------------------------------------- */

static int
begin_births(struct check *c, struct table *t)
{
	int rc = table_load_hw(c->e, t);

	return rc != SQLITE_OK ? rc : engine_prepare(c->e, &c->stmt,
	    "SELECT cid FROM crsql_col WHERE tbl = %d AND (typeof(cid) <> 'integer' "
	    "OR typeof(born) <> 'integer' OR born > %lld)", t->id, t->hw);
}

static int
look_birth(struct check *c, struct table *t)
{
	return check_say(c, t->name, c->stmt, 0,
	    "a column's number or birthday can't be");
}

const struct check_part check_births = { .by_table = true,
	.begin = begin_births, .look = look_birth };

/* -- triggers -------------------------------------------------------------- */

/* Once for all tables. */
static int
read_schema(struct check *c)
{
	int rc = c->read ? SQLITE_OK : schema_read(c->e, NULL, SCHEMA_TEXTS, &c->now);

	c->read = c->read || rc == SQLITE_OK;
	if (!c->read)
		schema_clear(&c->now);
	return rc;
}

/* Those of a table that got a column are made with the next fold, and so are those
 * that another build has made, which do what they should meanwhile. */
static int
begin_triggers(struct check *c, struct table *t)
{
	const char *suffix = NULL;
	bool waiting = c->schema, gone = false;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->ncol; i++)
		waiting |= t->col[i].unsaved;
	if (!waiting)
		rc = read_schema(c);
	if (!waiting && rc == SQLITE_OK)
		rc = triggers_differ(c->e, t, &c->now, &suffix, &gone);
	c->mended = suffix != NULL && !gone;
	if (rc == SQLITE_OK && suffix != NULL)
		rc = check_say(c, t->name, NULL, 0, gone ? "the trigger "
		    "%s__crsql_%s is not there" : "the trigger %s__crsql_%s has "
		    "another build's text", t->name, suffix);
	return rc;
}

const struct check_part check_triggers = { .by_table = true,
	.begin = begin_triggers };

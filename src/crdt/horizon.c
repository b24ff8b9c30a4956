// SPDX-License-Identifier: MPL-2.0
/* horizon.c - what is remembered of what was forgotten; see horizon.h. */
#include "crdt/horizon.h"

#include <string.h>

#include "base/be64.h"
#include "base/buf.h"
#include "crdt/log.h"

enum { ENTRY_BYTES = SITE_ID_LEN + 1, NOTE_LEN = 24 + HORIZON_SALT_LEN };

/* -- reading what is stored ------------------------------------------------ */

static int
read_note(struct engine *e, struct horizon *h, bool *found)
{
	sqlite3_stmt *stmt;
	const uint8_t *note;
	int rc = engine_prepare(e, &stmt,
	    "SELECT value FROM crsql_master WHERE key = 'gc'");

	*found = rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW;
	if (*found && sqlite3_column_type(stmt, 0) == SQLITE_BLOB &&
	    sqlite3_column_bytes(stmt, 0) == NOTE_LEN) {
		note = sqlite3_column_blob(stmt, 0);
		h->dbv = be64_get(note);
		h->pos = be64_get(note + 8);
		h->swept = be64_get(note + 16);
		memcpy(h->salt, note + 24, HORIZON_SALT_LEN);
	} else if (*found) {
		rc = engine_fail(e, SQLITE_CORRUPT,
		    "the note of what was forgotten is damaged");
	}
	return engine_finalize(stmt, rc);
}

static int
add_entry(struct horizon *h, sqlite3_stmt *stmt)
{
	struct horizon_entry *list;

	if (h->n % 64 == 0) {
		list = sqlite3_realloc64(h->entry, ((size_t)h->n + 64) *
		    sizeof *list);
		if (list == NULL)
			return SQLITE_NOMEM;
		h->entry = list;
	}
	list = &h->entry[h->n++];
	memset(list, 0, sizeof *list);
	list->table = sqlite3_column_int(stmt, 0);
	list->version = sqlite3_column_int64(stmt, 1);
	memcpy(list->id, sqlite3_column_blob(stmt, 2), SITE_ID_LEN);
	return SQLITE_OK;
}

static int
read_entries(struct engine *e, struct horizon *h)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT h.tbl, h.version, s.site_id "
	    "FROM crsql_horizon h JOIN crsql_site_id s ON s.ordinal = h.site "
	    "WHERE h.version > 0 AND typeof(s.site_id) = 'blob' AND "
	    "length(s.site_id) = %d ORDER BY h.tbl, s.site_id", SITE_ID_LEN);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		rc = add_entry(h, stmt);
	return engine_finalize(stmt, rc == SQLITE_DONE ? SQLITE_OK : rc);
}

static int
load(struct engine *e, struct horizon *h)
{
	bool found = false;
	int rc = e->has_storage ? read_note(e, h, &found) : SQLITE_OK;

	return rc == SQLITE_OK && found ? read_entries(e, h) : rc;
}

int
horizon_get(struct engine *e, const struct horizon **out)
{
	int rc;

	*out = e->horizon;
	if (e->horizon != NULL)
		return SQLITE_OK;
	e->horizon = sqlite3_malloc64(sizeof *e->horizon);
	if (e->horizon == NULL)
		return SQLITE_NOMEM;
	memset(e->horizon, 0, sizeof *e->horizon);
	rc = load(e, e->horizon);
	if (rc != SQLITE_OK)
		horizon_forget(e);
	*out = e->horizon;
	return rc;
}

void
horizon_forget(struct engine *e)
{
	if (e->horizon != NULL)
		sqlite3_free(e->horizon->entry);
	sqlite3_free(e->horizon);
	e->horizon = NULL;
}

/* -- looking up ------------------------------------------------------------ */

static int
compare(const struct horizon_entry *x, int table, const uint8_t *id)
{
	if (x->table != table)
		return x->table < table ? -1 : 1;
	return id != NULL ? memcmp(x->id, id, SITE_ID_LEN) : 0;
}

/* The first entry that is not before (table, id); without id the table's first. */
static int
lower_bound(const struct horizon *h, int table, const uint8_t *id)
{
	int lo = 0, hi = h->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare(&h->entry[mid], table, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int
horizon_of(const struct horizon *h, int table, const struct horizon_entry **out)
{
	int from = lower_bound(h, table, NULL);

	*out = h->n > 0 ? &h->entry[from] : NULL;
	return lower_bound(h, table + 1, NULL) - from;
}

int64_t
horizon_version(const struct horizon *h, int table,
    const uint8_t id[SITE_ID_LEN])
{
	int i = lower_bound(h, table, id);

	return i < h->n && compare(&h->entry[i], table, id) == 0 ?
	    h->entry[i].version : 0;
}

/* -- as bytes -------------------------------------------------------------- */

void
horizon_next(struct rd *r, const uint8_t **site, int64_t *version)
{
	*site = rd_bytes(r, SITE_ID_LEN);
	*version = (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
}

bool
horizon_take(struct rd *r, bool ordered, struct horizon_given *out)
{
	const uint8_t *site, *before = NULL;
	int64_t version;
	int i;

	out->n = (int)rd_count(r, HORIZON_MAX, ENTRY_BYTES);
	out->entries = *r;
	for (i = 0; i < out->n && !rd_failed(r); i++) {
		horizon_next(r, &site, &version);
		if (ordered && !rd_failed(r) && (version == 0 || (before != NULL &&
		    memcmp(before, site, SITE_ID_LEN) >= 0)))
			rd_fail(r);
		before = site;
	}
	return !rd_failed(r);
}

void
horizon_encode(const struct horizon_entry *entry, int n, struct buf *out)
{
	int i;

	buf_add_varint(out, (uint64_t)n);
	for (i = 0; i < n; i++) {
		buf_add(out, entry[i].id, SITE_ID_LEN);
		buf_add_varint(out, (uint64_t)entry[i].version);
	}
}

/* -- two of them ----------------------------------------------------------- */

bool
horizon_rises(const struct horizon *h, int table,
    const struct horizon_given *given)
{
	struct rd r = given->entries;
	const uint8_t *site;
	int64_t version;
	bool rises = false;
	int i;

	for (i = 0; i < given->n && !rises; i++) {
		horizon_next(&r, &site, &version);
		rises = version > horizon_version(h, table, site);
	}
	return rises;
}

bool
horizon_within(const struct horizon *h, int table,
    const struct horizon_given *given)
{
	const struct horizon_entry *entry;
	struct rd r = given->entries;
	const uint8_t *site;
	int64_t version;
	int i, found = 0, n = horizon_of(h, table, &entry);

	for (i = 0; i < given->n && found < n; i++) {
		horizon_next(&r, &site, &version);
		if (memcmp(site, entry[found].id, SITE_ID_LEN) == 0 &&
		    version >= entry[found].version)
			found++;
	}
	return found == n;
}

void
horizon_sign(const struct horizon *h, int64_t dbv, int64_t pos,
    uint8_t token[CHAIN_LEN])
{
	if (dbv < h->dbv || (dbv == h->dbv && pos < h->pos))
		log_link(token, h->dbv, h->salt, token);
}

/* -- tables that are alone -------------------------------------------------- */

int
horizon_begin_alone(struct engine *e, int table)
{
	int64_t head;
	int rc = tx_head(e, &head);

	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_master VALUES('alone.%d', %lld)", table, (long long)head);
}

int
horizon_end_alone(struct engine *e, struct table *t)
{
	int rc = SQLITE_OK;

	if (t->alone != 0)
		rc = engine_exec(e, "DELETE FROM crsql_master WHERE key = "
		    "'alone.%d'", t->id);
	if (rc == SQLITE_OK)
		t->alone = 0;
	return rc;
}

/* -- refusals -------------------------------------------------------------- */

int
horizon_refuse_change(struct engine *e, const char *table, bool sender)
{
	if (sender)
		return engine_fail(e, CRDT_HORIZON, "a change of table %s comes "
		    "from one who may be behind the horizon of this database: he "
		    "must read from here first", table);
	return engine_fail(e, CRDT_HORIZON, "a change of table %s from behind the "
	    "horizon: it may be of a row that was deleted and forgotten here",
	    table);
}

int
horizon_refuse_reader(struct engine *e)
{
	return engine_fail(e, CRDT_HORIZON, "behind the horizon: what was deleted "
	    "meanwhile is forgotten, and only a fresh copy can leave it out");
}

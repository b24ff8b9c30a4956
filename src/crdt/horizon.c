// SPDX-License-Identifier: MPL-2.0
/* horizon.c - what is remembered of what was forgotten; see horizon.h. */
#include "crdt/horizon.h"

#include <string.h>

#include "base/buf.h"
#include "crdt/log.h"

enum { ENTRY_BYTES = SITE_ID_LEN + 1, NOTE_LEN = 24 + HORIZON_SALT_LEN };

/* -- reading what is stored ------------------------------------------------ */

static int64_t
number(const uint8_t *p)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

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
		h->dbv = number(note);
		h->pos = number(note + 8);
		h->swept = number(note + 16);
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
	list->site = sqlite3_column_int64(stmt, 0);
	list->version = sqlite3_column_int64(stmt, 1);
	if (sqlite3_column_bytes(stmt, 2) == SITE_ID_LEN)
		memcpy(list->id, sqlite3_column_blob(stmt, 2), SITE_ID_LEN);
	return SQLITE_OK;
}

static int
read_entries(struct engine *e, struct horizon *h)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT h.site, h.version, s.site_id "
	    "FROM crsql_horizon h JOIN crsql_site_id s ON s.ordinal = h.site "
	    "WHERE h.version > 0 ORDER BY h.site");

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

int64_t
horizon_version(const struct horizon *h, int64_t site)
{
	int lo = 0, hi = h->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (h->entry[mid].site == site)
			return h->entry[mid].version;
		if (h->entry[mid].site < site)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* -- as bytes -------------------------------------------------------------- */

void
horizon_next(struct rd *r, const uint8_t **site, int64_t *version)
{
	*site = rd_bytes(r, SITE_ID_LEN);
	*version = (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
}

bool
horizon_take(struct rd *r, struct horizon_given *out)
{
	uint64_t n = rd_varint(r, HORIZON_MAX);
	const uint8_t *site;
	int64_t version;
	int i;

	if (n > rd_left(r) / ENTRY_BYTES)
		rd_fail(r);
	out->n = rd_failed(r) ? 0 : (int)n;
	out->entries = *r;
	for (i = 0; i < out->n; i++)
		horizon_next(r, &site, &version);
	return !rd_failed(r);
}

void
horizon_encode(const struct horizon *h, struct buf *out)
{
	int i;

	buf_add_varint(out, (uint64_t)h->n);
	for (i = 0; i < h->n; i++) {
		buf_add(out, h->entry[i].id, SITE_ID_LEN);
		buf_add_varint(out, (uint64_t)h->entry[i].version);
	}
}

/* -- two of them ----------------------------------------------------------- */

int
horizon_rises(struct engine *e, const struct horizon_given *given, bool *rises)
{
	const struct horizon *h;
	struct rd r = given->entries;
	const uint8_t *site;
	int64_t version, ordinal;
	int i, rc = horizon_get(e, &h);

	*rises = false;
	for (i = 0; i < given->n && rc == SQLITE_OK && !*rises; i++) {
		horizon_next(&r, &site, &version);
		rc = site_ordinal(e, site, SITE_ID_LEN, false, &ordinal);
		*rises = rc == SQLITE_OK && version > 0 && (ordinal < 0 ||
		    version > horizon_version(h, ordinal));
	}
	return rc;
}

/* Each entry of h is looked for among those given, which may be many: they are
 * put to those of h by ordinal. */
int
horizon_within(struct engine *e, const struct horizon_given *given,
    bool *within)
{
	const struct horizon *h;
	struct rd r = given->entries;
	const uint8_t *site;
	int64_t version, ordinal, here;
	int i, n = 0, rc = horizon_get(e, &h);

	for (i = 0; i < given->n && rc == SQLITE_OK; i++) {
		horizon_next(&r, &site, &version);
		rc = site_ordinal(e, site, SITE_ID_LEN, false, &ordinal);
		if (rc != SQLITE_OK || ordinal < 0)
			continue;
		here = horizon_version(h, ordinal);
		n += here > 0 && version >= here;
	}
	*within = rc == SQLITE_OK && n >= h->n;
	return rc;
}

void
horizon_sign(const struct horizon *h, int64_t dbv, int64_t pos,
    uint8_t token[CHAIN_LEN])
{
	if (dbv < h->dbv || (dbv == h->dbv && pos < h->pos))
		log_link(token, h->dbv, h->salt, token);
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

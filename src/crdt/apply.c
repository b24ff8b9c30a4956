// SPDX-License-Identifier: MPL-2.0
/* apply.c - applying changes that may not fit this database; see apply.h. */
#include "crdt/apply.h"

#include <string.h>

#include "crdt/columns.h"
#include "crdt/ledger.h"
#include "crdt/page.h"

int
apply_init(struct engine *e, struct apply *a)
{
	int64_t any = 0;
	int rc;

	memset(a, 0, sizeof *a);
	a->e = e;
	merge_row_init(&a->row);
	buf_init(&a->parked, INT32_MAX);
	if (incoming_of(e) == NULL)
		return SQLITE_NOMEM;
	rc = engine_int(e, &any,
	    "SELECT EXISTS(SELECT 1 FROM crsql_log WHERE n = -4)");
	a->has_parked = any != 0;
	return rc;
}

void
apply_clear(struct apply *a)
{
	merge_row_free(&a->row);
	sqlite3_free(a->given);
	sqlite3_free(a->known);
	buf_clear(&a->parked);
	memset(a, 0, sizeof *a);
}

int
apply_room(struct apply *a, int n)
{
	void *given, *known;

	if (n <= a->room)
		return SQLITE_OK;
	given = sqlite3_realloc64(a->given, (size_t)n * sizeof *a->given);
	if (given != NULL)
		a->given = given;
	known = sqlite3_realloc64(a->known, (size_t)n * sizeof *a->known);
	if (known != NULL)
		a->known = known;
	if (given == NULL || known == NULL)
		return SQLITE_NOMEM;
	a->room = n;
	return SQLITE_OK;
}

/* -- parking -------------------------------------------------------------- */

static void
put_text(struct buf *b, const char *text, size_t len)
{
	buf_add_varint(b, len);
	buf_add(b, text, len);
}

/* Encodes the cells given, or only those that have no column here. */
static int
encode(struct apply *a, int64_t cl, int n, bool unknown_only,
    const char *reason)
{
	static const struct val null = { .type = SQLITE_NULL };
	struct buf *b = &a->parked;
	int i, count = 0;

	for (i = 0; i < n; i++)
		count += !unknown_only ||
		    a->given[i].cell.col == COLUMN_UNKNOWN;
	b->len = 0;
	put_text(b, reason, strlen(reason));
	buf_add_varint(b, (uint64_t)cl);
	buf_add_varint(b, (uint64_t)count);
	for (i = 0; i < n; i++) {
		const struct apply_cell *c = &a->given[i];

		if (unknown_only && c->cell.col != COLUMN_UNKNOWN)
			continue;
		put_text(b, c->name, (size_t)c->nname);
		buf_add_varint(b, (uint64_t)c->cell.version);
		buf_add_varint(b, (uint64_t)c->cell.seq);
		val_encode(b, c->nname > 0 ? &c->cell.value : &null);
	}
	return b->failed ? SQLITE_NOMEM : SQLITE_OK;
}

/* True if exactly these bytes of this origin are parked there already. */
static int
is_parked(struct apply *a, struct merge_origin *o, const struct table *t,
    const uint8_t *pk, int npk, bool *found)
{
	sqlite3_stmt *stmt;
	int rc;

	*found = false;
	if (!a->has_parked || o->site < 0)
		return SQLITE_OK;
	rc = engine_cached(a->e, SLOT_PARK_ANY, "SELECT 1 FROM crsql_log "
	    "WHERE n = -4 AND tbl = ?1 AND key = ?2 AND site = ?3 AND "
	    "sver = ?4 AND mask = ?5", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(stmt, 1, t->id);
	sqlite3_bind_blob(stmt, 2, pk, npk, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, o->site);
	sqlite3_bind_int64(stmt, 4, o->sver);
	sqlite3_bind_blob(stmt, 5, a->parked.data, (int)a->parked.len,
	    SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	*found = rc == SQLITE_ROW;
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
park(struct apply *a, struct merge_origin *o, struct table *t,
    const uint8_t *pk, int npk)
{
	struct log_row row = { .table = t->id, .pk = pk, .npk = npk,
	    .n = LOG_PARKED, .bytes = a->parked.data,
	    .nbytes = (int)a->parked.len };
	bool found;
	int rc;

	rc = site_ordinal(a->e, o->id, o->nid, false, &o->site);
	if (rc == SQLITE_OK)
		rc = is_parked(a, o, t, pk, npk, &found);
	if (rc != SQLITE_OK || found)
		return rc;
	rc = merge_check_behind(a->e, o, t, true);
	if (rc != SQLITE_OK)
		return rc;
	a->has_parked = true;
	rc = place_append(a->e, o, &row);
	return rc == SQLITE_OK ? horizon_end_alone(a->e, t) : rc;
}

int
apply_park(struct apply *a, struct merge_origin *o, struct table *t,
    const uint8_t *pk, int npk, int64_t cl, int n, const char *reason)
{
	int rc = encode(a, cl, n, false, reason);

	return rc == SQLITE_OK ? park(a, o, t, pk, npk) : rc;
}

static int
park_rest(struct apply *a, struct merge_origin *o, struct table *t, int64_t cl,
    int n)
{
	const struct buf *pk = &a->e->incoming->pk;
	char *reason;
	int i, rc;

	for (i = 0; i < n && a->given[i].cell.col != COLUMN_UNKNOWN; i++)
		;
	reason = sqlite3_mprintf("table %s has no column %.*s here", t->name,
	    a->given[i].nname, a->given[i].name);
	if (reason == NULL)
		return SQLITE_NOMEM;
	rc = encode(a, cl, n, true, reason);
	sqlite3_free(reason);
	return rc == SQLITE_OK ? park(a, o, t, pk->data, (int)pk->len) : rc;
}

/* -- applying ------------------------------------------------------------------- */

enum outcome { APPLIED, PARTLY, REFUSED };

/* A trigger's RAISE(ROLLBACK) ends the transaction under us. */
static int
check_alive(struct engine *e, int rc)
{
	if (merge_refused(rc) && sqlite3_get_autocommit(e->db))
		return engine_fail(e, SQLITE_ABORT,
		    "a trigger rolled the transaction back");
	return rc;
}

static int
merge_given(struct apply *a, struct merge_row *row, int64_t cl, int n,
    bool *rest)
{
	int i, nknown = 0;

	*rest = false;
	if (cl % 2 == 0)
		return merge_delete(a->e, row, cl, n > 0 ?
		    a->given[0].cell.seq : 0);
	for (i = 0; i < n; i++) {
		if (a->given[i].cell.col == COLUMN_UNKNOWN)
			*rest = true;
		else
			a->known[nknown++] = a->given[i].cell;
	}
	return nknown > 0 ? merge_cells(a->e, row, cl, a->known, nknown) :
	    SQLITE_OK;
}

/* With the row open. */
static int
try_open(struct apply *a, int64_t cl, int n, enum outcome *outcome)
{
	struct merge_row *row = &a->row;
	bool rest;
	int rc = SQLITE_OK;

	*outcome = APPLIED;
	if (cl < row->cl)
		rc = ledger_over(a->e, row, cl, a->given, n);
	if (rc != SQLITE_OK || cl < row->cl)
		return rc;
	rc = check_alive(a->e, merge_given(a, row, cl, n, &rest));
	/* a number that leaps here need not where it came from (R22): it is no
	 * reason to take nothing from there any more */
	if (merge_refused(rc) || rc == SQLITE_TOOBIG) {
		*outcome = REFUSED;
		return ledger_take_back(a->e);
	}
	if (rc == SQLITE_OK)
		rc = merge_close(a->e, row);
	a->changes += row->changes;
	if (rest)
		*outcome = PARTLY;
	return rc;
}

/* What is read of the row that is here: what comes may win over that, a delete over
 * all. */
static int64_t
columns_wanted(const struct apply *a, int64_t cl, int n)
{
	int64_t wanted = 0;
	int i, col;

	if (cl % 2 == 0)
		return TABLE_WANT_ALL;
	for (i = 0; i < n; i++) {
		col = a->given[i].cell.col;
		if (col >= 0 && col < TABLE_WANT_BITS)
			wanted |= (int64_t)1 << col;
	}
	return wanted;
}

static int
try_change(struct apply *a, struct merge_origin *o, struct table *t,
    int64_t cl, int n, enum outcome *outcome)
{
	struct buf *pk = &a->e->incoming->pk;
	int rc, rc2;

	a->row.wanted = columns_wanted(a, cl, n);
	rc = merge_open(a->e, o, t, pk->data, (int)pk->len, &a->row);
	/* another life is one of all columns */
	if (rc == SQLITE_OK && cl % 2 != 0 && cl != a->row.cl)
		rc = merge_let_go(&a->row);
	if (rc == SQLITE_OK)
		rc = try_open(a, cl, n, outcome);
	rc2 = merge_let_go(&a->row);
	return rc == SQLITE_OK ? rc2 : rc;
}

int
apply_change(struct apply *a, struct merge_origin *o, struct table *t,
    int64_t cl, int n)
{
	const struct buf *pk = &a->e->incoming->pk;
	enum outcome outcome;
	char *reason;
	int rc;

	rc = try_change(a, o, t, cl, n, &outcome);
	if (rc != SQLITE_OK)
		return rc;
	if (outcome == REFUSED) {
		reason = sqlite3_mprintf("%s", engine_error(a->e));
		if (reason == NULL)
			return SQLITE_NOMEM;
		rc = apply_park(a, o, t, pk->data, (int)pk->len, cl, n,
		    reason);
		sqlite3_free(reason);
	} else if (outcome == PARTLY) {
		rc = park_rest(a, o, t, cl, n);
	}
	return rc;
}

bool
apply_reason(const uint8_t *bytes, int nbytes, const char **text, int *len)
{
	struct rd r;

	rd_init(&r, bytes, nbytes > 0 ? (size_t)nbytes : 0);
	return page_text(&r, INT32_MAX, text, len);
}

/* The column that cell i names; of two names of one column the present one
 * counts. */
static int
column_of(struct apply *a, const struct table *t, int i)
{
	const struct apply_cell *c = &a->given[i];
	int j, col = c->nname == 0 ? -1 : columns_find(t, c->name, c->nname);

	if (c->nname > 0 && col < 0)
		return COLUMN_UNKNOWN;
	for (j = 0; j < i; j++) {
		if (col < 0 || a->given[j].cell.col != col)
			continue;
		if (table_column(t, c->name, c->nname) != col)
			return COLUMN_UNKNOWN;
		a->given[j].cell.col = COLUMN_UNKNOWN;
	}
	return col;
}

/* No two cells in a->given have one name. */
static int
check_names(struct apply *a, int n)
{
	struct column_name *name = sqlite3_malloc64((size_t)n * sizeof *name);
	bool differ;
	int i;

	if (name == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < n; i++)
		name[i] = (struct column_name){ a->given[i].name,
			a->given[i].nname };
	differ = columns_differ(name, n);
	sqlite3_free(name);
	return differ ? SQLITE_OK : page_malformed(a->e);
}

/* Reads parked bytes into a->given. */
static int
decode(struct apply *a, const struct table *t, const uint8_t *bytes,
    int nbytes, int64_t *cl, int *n)
{
	const char *reason;
	struct rd r;
	int i, len, rc;

	rd_init(&r, bytes, nbytes > 0 ? (size_t)nbytes : 0);
	page_text(&r, INT32_MAX, &reason, &len);
	*cl = (int64_t)rd_varint(&r, (uint64_t)VERSION_MAX);
	*n = (int)rd_varint(&r, PAGE_MAX_COLUMNS + 1);
	if (rd_failed(&r) || *cl == 0 || *n == 0 ||
	    (size_t)*n > rd_left(&r) / 4)
		return page_malformed(a->e);
	rc = apply_room(a, *n);
	for (i = 0; i < *n && rc == SQLITE_OK; i++) {
		struct apply_cell *c = &a->given[i];

		page_text(&r, NAME_MAX_BYTES, &c->name, &c->nname);
		c->cell.version = (int64_t)rd_varint(&r,
		    (uint64_t)VERSION_MAX);
		c->cell.seq = (int64_t)rd_varint(&r, (uint64_t)SEQ_MAX);
		val_decode(&r, &c->cell.value);
		if (rd_failed(&r))
			return page_malformed(a->e);
		c->cell.col = column_of(a, t, i);
	}
	if (rc == SQLITE_OK && !rd_done(&r))
		rc = page_malformed(a->e);
	return rc == SQLITE_OK ? check_names(a, *n) : rc;
}

int
apply_parked(struct apply *a, struct merge_origin *o, struct table *t,
    const uint8_t *bytes, int nbytes)
{
	int64_t cl;
	int n, rc;

	rc = decode(a, t, bytes, nbytes, &cl, &n);
	return rc == SQLITE_OK ? apply_change(a, o, t, cl, n) : rc;
}

/* -- trying again ----------------------------------------------------------------- */

struct place {
	int64_t dbv, pos;
};

struct places {
	struct place *at;
	int n;
};

/* Where changes are parked: for one row of t, or (t NULL) all. */
static int
find_parked(struct apply *a, const struct table *t, struct places *out)
{
	const struct buf *pk = &a->e->incoming->pk;
	sqlite3_stmt *stmt;
	void *p;
	int rc;

	rc = engine_prepare(a->e, &stmt, t != NULL ?
	    "SELECT dbv, pos FROM crsql_log WHERE n = -4 AND tbl = ?1 AND "
	    "key = ?2 ORDER BY dbv, pos" :
	    "SELECT dbv, pos FROM crsql_log WHERE n = -4 ORDER BY dbv, pos");
	if (rc == SQLITE_OK && t != NULL) {
		sqlite3_bind_int(stmt, 1, t->id);
		sqlite3_bind_blob(stmt, 2, pk->data, (int)pk->len,
		    SQLITE_STATIC);
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		if (out->n % 64 == 0) {
			p = sqlite3_realloc64(out->at, ((size_t)out->n + 64) *
			    sizeof *out->at);
			if (p == NULL)
				rc = SQLITE_NOMEM;
			else
				out->at = p;
		}
		if (rc == SQLITE_OK)
			out->at[out->n++] = (struct place){
			    sqlite3_column_int64(stmt, 0),
			    sqlite3_column_int64(stmt, 1) };
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Tries the change of one parked row, whose columns stmt has. */
static int
retry_row(struct apply *a, struct merge_origin *o, sqlite3_stmt *stmt,
    bool *gone)
{
	struct table *t = table_by_id(a->e, sqlite3_column_int(stmt, 0));
	enum outcome outcome;
	int64_t cl;
	int n, rc;

	*gone = false;
	if (t == NULL)
		return SQLITE_OK;
	rc = merge_key(a->e, t, sqlite3_column_blob(stmt, 1),
	    sqlite3_column_bytes(stmt, 1), true);
	if (merge_refused(rc) || rc == SQLITE_RANGE)
		return SQLITE_OK;       /* another shape of key: still parked */
	if (rc == SQLITE_OK)
		rc = decode(a, t, sqlite3_column_blob(stmt, 2),
		    sqlite3_column_bytes(stmt, 2), &cl, &n);
	if (rc == SQLITE_OK)
		rc = try_change(a, o, t, cl, n, &outcome);
	if (rc != SQLITE_OK || outcome == REFUSED)
		return rc;
	*gone = true;
	if (outcome == PARTLY) {
		/* All of it is unknown still: leave it where it is. */
		*gone = a->row.changes > 0;
		if (*gone)
			rc = park_rest(a, o, t, cl, n);
	}
	return rc;
}

/* A parked transaction is applied under one new dbv, with its header. */
static int
retry_place(struct apply *a, struct merge_origin *o,
    uint8_t header[static HEADER_LEN], int64_t *dbv, const struct place *at)
{
	sqlite3_stmt *stmt;
	int64_t site, sver;
	bool found = false, gone = false, has_key;
	int rc;

	rc = log_origin(a->e, at->dbv, at->pos, &site, &sver);
	if (rc == SQLITE_OK && (at->dbv != *dbv || site != o->site ||
	    sver != o->sver)) {
		*o = (struct merge_origin){ .via = MERGE_IMPORT,
		    .nid = SITE_ID_LEN, .site = site, .sver = sver };
		rc = site_by_ordinal(a->e, site, o->id, NULL, NULL, &has_key);
		if (rc == SQLITE_OK)
			rc = log_header(a->e, at->dbv, &found, header);
		o->header = found ? header : NULL;
		*dbv = at->dbv;
	}
	if (rc != SQLITE_OK)
		return rc;
	rc = engine_prepare(a->e, &stmt, "SELECT tbl, key, mask FROM "
	    "crsql_log WHERE dbv = %lld AND pos = %lld", (long long)at->dbv,
	    (long long)at->pos);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		rc = retry_row(a, o, stmt, &gone);
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK && gone)
		rc = log_sweep(a->e, at->dbv, at->pos);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
apply_retry(struct apply *a, struct table *t)
{
	struct merge_origin origin = { .site = -1 };
	uint8_t header[HEADER_LEN];
	struct places places = { .n = 0 };
	int64_t dbv = 0;
	int i, rc;

	if (!a->has_parked)
		return SQLITE_OK;
	rc = find_parked(a, t, &places);
	for (i = 0; i < places.n && rc == SQLITE_OK; i++)
		rc = retry_place(a, &origin, header, &dbv, &places.at[i]);
	sqlite3_free(places.at);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * check_log.c - the part of crsql_check that reads the log: each row's form, its
 * header and chain, the site it is of, and what stands at its place.
 */
#include "crdt/apply.h"
#include "crdt/check.h"
#include "crdt/horizon.h"
#include "crdt/val.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

enum { COL_DBV, COL_POS, COL_TBL, COL_KEY, COL_N, COL_SEQ_STRIDE, COL_SITE,
	COL_SVER, COL_MASK, COL_HDR, COL_NAME, COL_SITE_KNOWN };

static int
begin_log(struct check *c, struct table *t)
{
	const struct horizon *h;
	int rc = horizon_get(c->e, &h);

	if (rc != SQLITE_OK)
		return rc;
	c->swept = h->swept;
	return engine_prepare(c->e, &c->stmt, "SELECT l.dbv, l.pos, l.tbl, l.key, "
	    "l.n, l.seq_stride, l.site, l.sver, l.mask, l.hdr, t.name, s.ordinal "
	    "FROM crsql_log l LEFT JOIN crsql_tbl t ON t.id = l.tbl LEFT JOIN "
	    "crsql_site_id s ON s.ordinal = l.site ORDER BY l.dbv, l.pos");
}

static int
type(const struct check *c, int column)
{
	return sqlite3_column_type(c->stmt, column);
}

static bool
is_null(const struct check *c, int column)
{
	return type(c, column) == SQLITE_NULL;
}

static bool
is_integer(const struct check *c, int column)
{
	return type(c, column) == SQLITE_INTEGER;
}

static int64_t
number(const struct check *c, int column)
{
	return sqlite3_column_int64(c->stmt, column);
}

/* Says what is wrong with the log row at hand. */
static int
say(struct check *c, const char *what)
{
	return check_say(c, (const char *)sqlite3_column_text(c->stmt, COL_NAME),
	    c->stmt, COL_KEY, "log row %lld/%lld %s", number(c, COL_DBV),
	    number(c, COL_POS), what);
}

/* -- what each transaction begins with -------------------------------------------- */

static int
check_chain(struct check *c, int64_t before, const uint8_t *header, int len)
{
	uint8_t chain[CHAIN_LEN];
	bool broken = false;

	/* links that were dropped are not missed */
	if (c->chained && before > c->swept && len == HEADER_LEN + CHAIN_LEN) {
		log_link(c->chain, number(c, COL_DBV),
		    header + HEADER_LEN - TOKEN_LEN, chain);
		broken = memcmp(chain, header + HEADER_LEN, CHAIN_LEN) != 0;
	}
	/* one that was written before there were chains has its token for one */
	memcpy(c->chain, header + len - CHAIN_LEN, CHAIN_LEN);
	c->chained = true;
	return broken ? say(c, "has another chain than those before it make")
	    : SQLITE_OK;
}

static int
check_header(struct check *c)
{
	int64_t dbv = number(c, COL_DBV), before = c->dbv;
	const uint8_t *header = sqlite3_column_blob(c->stmt, COL_HDR);
	int len = sqlite3_column_bytes(c->stmt, COL_HDR);

	c->dbv = dbv;
	if (number(c, COL_POS) != 0) {
		if (dbv == before)
			return is_null(c, COL_HDR) ? SQLITE_OK : say(c,
			    "has a header and is not its transaction's first");
		c->chained = false;
		return say(c, "is its transaction's first, and not at place 0");
	}
	if (type(c, COL_HDR) == SQLITE_BLOB && (len == HEADER_LEN ||
	    len == HEADER_LEN + CHAIN_LEN))
		return check_chain(c, before, header, len);
	c->chained = false;
	return say(c, "has no header");
}

static int
check_origin(struct check *c)
{
	if (is_null(c, COL_SITE) && is_null(c, COL_SVER))
		return SQLITE_OK;
	if (!is_integer(c, COL_SITE) || !is_integer(c, COL_SVER) ||
	    number(c, COL_SVER) < 0)
		return say(c, "is of no site or no version");
	return is_null(c, COL_SITE_KNOWN)
	    ? say(c, "is of a site that is not there") : SQLITE_OK;
}

/* -- kinds of rows ---------------------------------------------------------------- */

/* Had the table columns that are gone?  What stood at a log row went with
 * them. */
static int
had_more(struct check *c, const struct table *t, bool *had)
{
	int64_t n = 0;
	int rc = SQLITE_OK;

	if (c->id != t->id)
		rc = engine_int(c->e, &n, "SELECT EXISTS(SELECT 1 FROM crsql_col "
		    "WHERE tbl = %d AND name = '')", t->id);
	if (rc == SQLITE_OK && c->id != t->id) {
		c->dropped = n != 0;
		c->id = t->id;
	}
	*had = c->dropped;
	return rc;
}

/* A row by itself: its clock row says what stands here. */
static int
check_row(struct check *c, struct table *t)
{
	struct meta m;
	bool dropped;
	int rc;

	if (!is_integer(c, COL_KEY) || !is_null(c, COL_MASK) ||
	    !is_null(c, COL_SEQ_STRIDE))
		return say(c, "of one row is malformed");
	if (t == NULL || c->journal || c->schema)
		return SQLITE_OK;
	rc = had_more(c, t, &dropped);
	if (rc != SQLITE_OK || dropped)
		return rc;
	rc = meta_init(&m, t);
	if (rc != SQLITE_OK)
		return rc;
	rc = meta_get(c->e, t, number(c, COL_KEY), &m);
	if (rc == SQLITE_OK && !m.stored)
		rc = say(c, "is of a row that has no clock");
	else if (rc == SQLITE_OK && !meta_stands_at(&m, number(c, COL_DBV),
	    number(c, COL_POS)))
		rc = say(c, "is a place where nothing of its row stands");
	else if (check_is_damage(rc))
		rc = SQLITE_OK;         /* told with the clocks */
	meta_free(&m);
	return rc;
}

/* Rows with consecutive keys. */
static int
check_run(struct check *c, struct table *t)
{
	int64_t key = number(c, COL_KEY), n = number(c, COL_N);
	int rc = SQLITE_OK;

	if (!is_integer(c, COL_KEY) || n > INT64_MAX - (key > 0 ? key - 1 : 0) ||
	    !(is_null(c, COL_MASK) || is_integer(c, COL_MASK) ||
	    type(c, COL_MASK) == SQLITE_BLOB) ||
	    !(is_null(c, COL_SEQ_STRIDE) || is_integer(c, COL_SEQ_STRIDE)) ||
	    number(c, COL_SEQ_STRIDE) < 0)
		return say(c, "of a run is malformed");
	if (t == NULL || c->journal || c->schema)
		return SQLITE_OK;
	rc = table_load_hw(c->e, t);
	/* 2^63 - 1 itself is not counted */
	if (rc == SQLITE_OK && key + (n - 1) > t->hw &&
	    key + (n - 1) < INT64_MAX)
		rc = say(c, "is a run that ends above the table's highest key");
	return rc;
}

static int
check_tombstone(struct check *c, struct table *t)
{
	const uint8_t *pk = sqlite3_column_blob(c->stmt, COL_KEY);
	int npk = sqlite3_column_bytes(c->stmt, COL_KEY), rc;
	struct val v[PACK_MAX_COLUMNS];
	struct dead tomb;
	bool found;

	if (type(c, COL_KEY) != SQLITE_BLOB || !is_null(c, COL_MASK) ||
	    pack_read(pk, npk, t != NULL ? t->npk : -1, v, PACK_MAX_COLUMNS) < 0)
		return say(c, "of a deleted row is malformed");
	if (t == NULL || c->journal || c->schema)
		return SQLITE_OK;
	rc = dead_get(c->e, t, pk, npk, &found, &tomb);
	if (check_is_damage(rc))
		return SQLITE_OK;       /* told with the tombstones */
	if (rc == SQLITE_OK && (!found || tomb.dbv != number(c, COL_DBV) ||
	    tomb.pos != number(c, COL_POS)))
		rc = say(c, "is of a deleted row that has no tombstone there");
	return rc;
}

static int
check_parked(struct check *c)
{
	const char *text;
	struct val v[PACK_MAX_COLUMNS];
	int len;

	if (type(c, COL_KEY) != SQLITE_BLOB || type(c, COL_MASK) != SQLITE_BLOB ||
	    pack_read(sqlite3_column_blob(c->stmt, COL_KEY),
	    sqlite3_column_bytes(c->stmt, COL_KEY), -1, v, PACK_MAX_COLUMNS) < 0 ||
	    !apply_reason(sqlite3_column_blob(c->stmt, COL_MASK),
	    sqlite3_column_bytes(c->stmt, COL_MASK), &text, &len))
		return say(c, "of a parked change is malformed");
	return SQLITE_OK;
}

static int
check_kind(struct check *c)
{
	int64_t n = is_null(c, COL_N) ? LOG_ROW : number(c, COL_N);
	struct table *t;

	if (!is_null(c, COL_N) && (!is_integer(c, COL_N) || n == LOG_ROW))
		return say(c, "is of no kind");
	if (n == LOG_HEADER)
		return number(c, COL_POS) == 0 && is_null(c, COL_MASK) ? SQLITE_OK
		    : say(c, "of a header alone is malformed");
	if (is_null(c, COL_NAME))
		return say(c, "is of a table that is not there");
	t = table_by_id(c->e, sqlite3_column_int(c->stmt, COL_TBL));
	if (n > 0)
		return check_run(c, t);
	switch (n) {
	case LOG_ROW: return check_row(c, t);
	case LOG_DEAD: return check_tombstone(c, t);
	case LOG_PARKED: return check_parked(c);
	default: return say(c, "is of no kind");
	}
}

static int
look_log(struct check *c, struct table *t)
{
	int rc;

	if (!is_integer(c, COL_DBV) || !is_integer(c, COL_POS) ||
	    number(c, COL_DBV) <= 0 || number(c, COL_POS) < 0)
		return say(c, "is at no place");
	rc = check_header(c);
	if (rc == SQLITE_OK)
		rc = check_origin(c);
	return rc == SQLITE_OK ? check_kind(c) : rc;
}

const struct check_part check_log = { .begin = begin_log, .look = look_log };

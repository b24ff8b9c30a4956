// SPDX-License-Identifier: MPL-2.0
/*
 * transactions.c - the table crsql_transactions: the headers of the log, the
 * newest first.
 *
 *     SELECT db_version, site_version, time FROM crsql_transactions LIMIT 10;
 *
 * From one header to the next it is two seeks, however many rows of the log lie
 * between; a range of db_version is begun at its end.  What they changed is told
 * by tally.c and history.c.
 */
#include <string.h>

#include "crdt/log.h"
#include "crdt/views.h"

enum { COL_DBV, COL_SITE, COL_SVER, COL_TIME, COL_TOKEN };

enum {                          /* idxNum, above the constraints on db_version */
	DBV_MASK = 0xFF, BY_VERSION = 0x100, RISING = 0x200
};

struct header {
	int64_t dbv, sver;
	uint8_t site[SITE_ID_LEN];
	bool has_bytes;         /* of the header: a damaged log may lack them */
	uint8_t bytes[HEADER_LEN];
};

struct transactions_cursor {
	sqlite3_vtab_cursor base;
	sqlite3_stmt *stmt;
	struct view_range left; /* of db_versions */
	bool rising;
	bool stepping;          /* stmt is run once for each */
	bool eof;
	struct header now;
};

static int
transactions_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(db_version INTEGER NOT NULL, "
	    "site_id BLOB NOT NULL, site_version INTEGER NOT NULL, "
	    "time INTEGER NOT NULL, token BLOB)", sizeof(struct vtab), out);
}

/* SQLite checks every constraint again: what is used here only narrows. */
static int
transactions_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	const struct sqlite3_index_constraint *c;
	int n = 0, i, used = view_use(info, COL_DBV, &n);

	for (i = 0; i < info->nConstraint && !(used & BY_VERSION); i++) {
		c = &info->aConstraint[i];
		if (!c->usable || c->iColumn != COL_SVER ||
		    c->op != SQLITE_INDEX_CONSTRAINT_EQ)
			continue;
		info->aConstraintUsage[i].argvIndex = ++n;
		used |= BY_VERSION;
	}
	if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COL_DBV) {
		info->orderByConsumed = 1;
		used |= info->aOrderBy[0].desc ? 0 : RISING;
	}
	info->idxNum = used;
	info->estimatedRows = used & BY_VERSION ? 1 : used & DBV_MASK ? 100 : 100000;
	info->estimatedCost = used & BY_VERSION ? 100000 :
	    3 * (double)info->estimatedRows;
	return SQLITE_OK;
}

static int
transactions_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct transactions_cursor), out);
}

static int
transactions_close(sqlite3_vtab_cursor *cursor)
{
	sqlite3_finalize(((struct transactions_cursor *)cursor)->stmt);
	sqlite3_free(cursor);
	return SQLITE_OK;
}

/* Takes the header that stmt stands at. */
static int
take(struct engine *e, struct transactions_cursor *c)
{
	struct header *h = &c->now;
	int64_t ordinal;
	bool has_key, own = sqlite3_column_type(c->stmt, 1) == SQLITE_NULL;
	int rc = SQLITE_OK;

	h->dbv = sqlite3_column_int64(c->stmt, 0);
	h->sver = own ? h->dbv : sqlite3_column_int64(c->stmt, 2);
	h->has_bytes = sqlite3_column_bytes(c->stmt, 3) >= HEADER_LEN;
	if (h->has_bytes)
		memcpy(h->bytes, sqlite3_column_blob(c->stmt, 3), HEADER_LEN);
	else
		memset(h->bytes, 0, HEADER_LEN);
	if (own)
		rc = site_of_local(e, h->dbv, &ordinal);
	else
		ordinal = sqlite3_column_int64(c->stmt, 1);
	return rc == SQLITE_OK ? site_by_ordinal(e, ordinal, h->site, NULL, NULL,
	    &has_key) : rc;
}

/* Begins the search for the next one. */
static void
seek(struct transactions_cursor *c)
{
	sqlite3_reset(c->stmt);
	sqlite3_bind_int64(c->stmt, 1, c->left.lo);
	sqlite3_bind_int64(c->stmt, 2, c->left.hi);
}

static int
advance(struct engine *e, struct transactions_cursor *c)
{
	int rc;

	if (c->stepping && c->left.lo > c->left.hi) {
		c->eof = true;
		return SQLITE_OK;
	}
	if (c->stepping)
		seek(c);
	rc = sqlite3_step(c->stmt);
	c->eof = rc != SQLITE_ROW ||
	    sqlite3_column_type(c->stmt, 0) == SQLITE_NULL;
	if (c->eof)
		return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = take(e, c);
	if (c->rising)
		c->left.lo = c->now.dbv + 1;
	else
		c->left.hi = c->now.dbv - 1;
	return rc;
}

/* By version each header is looked at: sites give their own numbers. */
static int
prepare(struct engine *e, struct transactions_cursor *c)
{
	if (!c->stepping)
		return engine_prepare(e, &c->stmt, "SELECT dbv, site, sver, hdr FROM "
		    "crsql_log WHERE pos = 0 AND dbv BETWEEN ?1 AND ?2 AND "
		    "(sver = ?3 OR (site IS NULL AND dbv = ?3)) ORDER BY dbv %s",
		    c->rising ? "" : "DESC");
	return engine_prepare(e, &c->stmt, "SELECT m.dbv, site, sver, hdr FROM "
	    "(SELECT %s(dbv) AS dbv FROM crsql_log WHERE dbv BETWEEN ?1 AND ?2) "
	    "AS m LEFT JOIN crsql_log AS l ON l.dbv = m.dbv AND l.pos = 0",
	    c->rising ? "min" : "max");
}

static int
transactions_filter(sqlite3_vtab_cursor *cursor, int used, const char *str,
    int argc, sqlite3_value **argv)
{
	struct transactions_cursor *c = (struct transactions_cursor *)cursor;
	struct engine *e = ((struct vtab *)cursor->pVtab)->e;
	int rc = tx_begin_read(e);

	sqlite3_finalize(c->stmt);
	c->stmt = NULL;
	c->eof = true;
	if (rc != SQLITE_OK)
		return vtab_fail(cursor->pVtab, rc);
	if (!e->has_storage)
		return SQLITE_OK;
	c->left = (struct view_range){ 1, INT64_MAX };
	argv = view_narrow(&c->left, used & DBV_MASK, argv);
	c->rising = (used & RISING) != 0;
	c->stepping = !(used & BY_VERSION) ||
	    sqlite3_value_type(argv[0]) != SQLITE_INTEGER;
	rc = prepare(e, c);
	if (rc == SQLITE_OK && !c->stepping) {
		seek(c);
		sqlite3_bind_int64(c->stmt, 3, sqlite3_value_int64(argv[0]));
	}
	if (rc == SQLITE_OK)
		rc = advance(e, c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
transactions_next(sqlite3_vtab_cursor *cursor)
{
	int rc = advance(((struct vtab *)cursor->pVtab)->e,
	    (struct transactions_cursor *)cursor);

	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
transactions_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct transactions_cursor *)cursor)->eof;
}

static int
transactions_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	const struct header *h = &((struct transactions_cursor *)cursor)->now;

	switch (i) {
	case COL_DBV:
		sqlite3_result_int64(ctx, h->dbv);
		break;
	case COL_SITE:
		sqlite3_result_blob(ctx, h->site, SITE_ID_LEN, SQLITE_TRANSIENT);
		break;
	case COL_SVER:
		sqlite3_result_int64(ctx, h->sver);
		break;
	case COL_TIME:
		sqlite3_result_int64(ctx, log_time(h->bytes));
		break;
	case COL_TOKEN:
		if (h->has_bytes)
			sqlite3_result_blob(ctx, h->bytes + HEADER_LEN - TOKEN_LEN,
			    TOKEN_LEN, SQLITE_TRANSIENT);
		break;
	}
	return SQLITE_OK;
}

static int
transactions_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct transactions_cursor *)cursor)->now.dbv;
	return SQLITE_OK;
}

static const sqlite3_module transactions_module = {
	.xConnect = transactions_connect,
	.xBestIndex = transactions_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = transactions_open,
	.xClose = transactions_close,
	.xFilter = transactions_filter,
	.xNext = transactions_next,
	.xEof = transactions_eof,
	.xColumn = transactions_column,
	.xRowid = transactions_rowid,
};

int
transactions_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_transactions",
	    &transactions_module, e);
}

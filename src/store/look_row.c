// SPDX-License-Identifier: MPL-2.0
/* look_row.c - what is known of a range of db_versions, put together by row; look.h. */
#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "store/look.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { OFTEN = 256 };           /* rows between two looks at the clock */

/* -- into the spool ------------------------------------------------------------ */

static const char spool_tables[] =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
    "CREATE TABLE col(tbl TEXT, name TEXT, pk INTEGER, at INTEGER, fallback, "
    "PRIMARY KEY(tbl, name)) WITHOUT ROWID;"
    "CREATE TABLE fact(tbl TEXT, pk BLOB, src INTEGER, dbv INTEGER, "
    "place INTEGER, kind TEXT, existed INTEGER, cid TEXT, val, site BLOB, "
    "sver INTEGER, time INTEGER);"
    "BEGIN;";

static int
open_spool(struct look *l, struct err *err)
{
	int rc = sqlite3_open("", &l->spool);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(l->spool, spool_tables, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sql_fail(l->spool, rc, err);
}

/* Each row of a statement becomes one of the spool's. */
static int
pour(struct look *l, sqlite3_stmt *from, const char *sql, struct err *err)
{
	sqlite3_stmt *into = NULL;
	bool row = true;
	int i, n = 0, rc = sql_open(l->spool, &into, err, sql, "");

	while (rc == 0 && row && !l->late) {
		rc = sql_next(from, &row, err);
		if (rc != 0 || !row)
			break;
		for (i = 0; i < sqlite3_column_count(from); i++)
			sqlite3_bind_value(into, i + 1,
			    sqlite3_column_value(from, i));
		if (sqlite3_step(into) != SQLITE_DONE)
			rc = sql_fail(l->spool, sqlite3_errcode(l->spool), err);
		sqlite3_reset(into);
		l->late = ++n % OFTEN == 0 && l->until_ms != 0 &&
		    ticks_ms() > l->until_ms;
	}
	sqlite3_finalize(into);
	return rc;
}

static int
pour_range(struct look *l, const char *query, const char *sql, int64_t low,
    int64_t high, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = l->late ? 0 : sql_open(l->db, &stmt, err, query, "ii", low, high);

	if (rc == 0 && !l->late)
		rc = pour(l, stmt, sql, err);
	sqlite3_finalize(stmt);
	return rc;
}

#define FACT "INSERT INTO fact VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " \
	"?11, ?12)"

/* Notes come before what stands: src tells them apart. */
int
look_notes(struct look *l, int64_t low, int64_t high, struct err *err)
{
	return pour_range(l, "SELECT \"table\", pk, 0, db_version, place, kind, "
	    "existed, cid, val, NULL, NULL, NULL FROM crsql_before WHERE "
	    "db_version BETWEEN ?1 AND ?2", FACT, low, high, err);
}

int
look_facts(struct look *l, int64_t low, int64_t high, struct err *err)
{
	return pour_range(l, "SELECT \"table\", canonical, 1, db_version, "
	    "seq, kind, NULL, cid, val, site_id, site_version, time FROM "
	    "crsql_history WHERE db_version BETWEEN ?1 AND ?2", FACT, low, high,
	    err);
}

/* A column that a new life did not set has its default (R19): it is worked out
 * where it can be. */
static int
evaluate_defaults(struct look *l, struct err *err)
{
	sqlite3_stmt *stmt, *value;
	char *sql;
	bool row = true;
	int rc = sql_open(l->spool, &stmt, err, "SELECT tbl, name, fallback FROM "
	    "col WHERE fallback IS NOT NULL", "");

	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		sql = sqlite3_mprintf("UPDATE col SET fallback = (%s) WHERE tbl = %Q "
		    "AND name = %Q", sqlite3_column_text(stmt, 2),
		    sqlite3_column_text(stmt, 0), sqlite3_column_text(stmt, 1));
		if (sql == NULL)
			rc = err_nomem(err);
		else if (sqlite3_prepare_v2(l->spool, sql, -1, &value, NULL) ==
		    SQLITE_OK) {
			sqlite3_step(value);
			sqlite3_finalize(value);
		}
		sqlite3_free(sql);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
pour_columns(struct look *l, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = l->late ? 0 : sql_open(l->db, &stmt, err, "SELECT t.name, i.name, "
	    "i.pk, i.cid, i.dflt_value FROM crsql_tbl t JOIN "
	    "pragma_table_xinfo(t.name, 'main') i", "");

	if (rc == 0 && !l->late)
		rc = pour(l, stmt, "INSERT OR IGNORE INTO col VALUES(?1, ?2, ?3, ?4, "
		    "?5)", err);
	sqlite3_finalize(stmt);
	return rc == 0 && !l->late ? evaluate_defaults(l, err) : rc;
}

int
look_begin(struct look *l, struct store *s, sqlite3 *db, int64_t until_ms,
    struct err *err)
{
	int rc;

	memset(l, 0, sizeof *l);
	l->s = s;
	l->db = db;
	l->until_ms = until_ms;
	rc = open_spool(l, err);
	return rc == 0 ? pour_columns(l, err) : rc;
}

int
look_open(struct look *l, struct store *s, sqlite3 *db, int64_t low,
    int64_t high, int64_t until_ms, struct err *err)
{
	int rc = look_begin(l, s, db, until_ms, err);

	if (rc == 0)
		rc = look_notes(l, low, high, err);
	return rc == 0 ? look_facts(l, low, high, err) : rc;
}

void
look_rewind(struct look *l)
{
	sqlite3_finalize(l->row);
	l->row = NULL;
	l->at_row = false;
}

void
look_clear(struct look *l)
{
	sqlite3_finalize(l->row);
	sqlite3_finalize(l->names);
	sqlite3_finalize(l->keys);
	sqlite3_close(l->spool);
	rows_clear(&l->rows);
	authors_clear(&l->authors);
	memset(l, 0, sizeof *l);
}

/* -- rows of it ----------------------------------------------------------------- */

enum { COL_TABLE, COL_PK, COL_SRC, COL_KIND, COL_EXISTED, COL_CID, COL_VAL,
	COL_SITE, COL_SVER, COL_TIME, COL_FALLBACK };

/* Of a note the first counts, of what stands there is one of each; the newest
 * transaction of a row comes last. */
#define ROWS "SELECT f.tbl, f.pk, f.src, f.kind, f.existed, f.cid, f.val, f.site, " \
	"f.sver, f.time, c.fallback FROM fact f LEFT JOIN col c ON c.tbl = f.tbl " \
	"AND c.name = f.cid ORDER BY f.tbl, f.pk, f.src, f.dbv, f.place, c.at"

static int
begin(struct look *l, struct err *err)
{
	int rc = sql_open(l->spool, &l->row, err, ROWS, "");

	return rc == 0 ? sql_next(l->row, &l->at_row, err) : rc;
}

static bool
is_of(const struct look *l, const struct look_row *row)
{
	return l->at_row && strcmp((const char *)sqlite3_column_text(l->row,
	    COL_TABLE), row->table) == 0 &&
	    (size_t)sqlite3_column_bytes(l->row, COL_PK) == row->npk &&
	    memcmp(sqlite3_column_blob(l->row, COL_PK), row->pk, row->npk) == 0;
}

/* The cell of that column, a new one if there is none yet; NULL without memory. */
static struct look_cell *
cell_of(struct look *l, struct look_row *row, const char *column)
{
	struct look_cell *grown;
	size_t i;

	for (i = 0; i < row->ncell; i++)
		if (strcmp(row->cell[i].column, column) == 0)
			return &row->cell[i];
	if ((row->ncell & (row->ncell - 1)) == 0) {
		grown = rows_take(&l->rows, (row->ncell > 0 ? 2 * row->ncell : 1) *
		    sizeof *grown);
		if (grown == NULL)
			return NULL;
		if (row->ncell > 0)
			memcpy(grown, row->cell, row->ncell * sizeof *grown);
		row->cell = grown;
	}
	grown = &row->cell[row->ncell];
	memset(grown, 0, sizeof *grown);
	grown->column = rows_text(&l->rows, column);
	if (grown->column == NULL)
		return NULL;
	row->ncell++;
	return grown;
}

static bool
take_note(struct look *l, struct look_row *row, const char *kind,
    struct look_cell *cell)
{
	if (!row->noted)
		row->existed = sqlite3_column_int(l->row, COL_EXISTED) != 0;
	row->noted = true;
	row->large = row->large || kind[0] == 'l';
	if (cell == NULL || cell->was)
		return true;
	cell->was = true;
	/* until something of the range is found to stand */
	return rows_value(&l->rows, l->row, COL_VAL, &cell->before) &&
	    rows_value(&l->rows, l->row, COL_FALLBACK, &cell->after);
}

static bool
take_fact(struct look *l, struct look_row *row, const char *kind,
    struct look_cell *cell)
{
	row->stands = true;
	row->nfacts++;
	row->dead = kind[0] == 'd';
	sql_column(l->row, COL_SITE, row->site, STORE_SITE_LEN);
	row->version = sqlite3_column_int64(l->row, COL_SVER);
	row->time_ms = sqlite3_column_int64(l->row, COL_TIME);
	if (cell == NULL)
		return true;
	cell->stands = true;
	return rows_value(&l->rows, l->row, COL_VAL, &cell->after);
}

static int
take_row(struct look *l, struct look_row *row, struct err *err)
{
	const char *cid = (const char *)sqlite3_column_text(l->row, COL_CID);
	const char *kind = (const char *)sqlite3_column_text(l->row, COL_KIND);
	struct look_cell *cell = NULL;
	bool taken;

	if (cid != NULL) {
		cell = cell_of(l, row, cid);
		if (cell == NULL)
			return err_nomem(err);
	}
	taken = kind != NULL && (sqlite3_column_int(l->row, COL_SRC) == 0 ?
	    take_note(l, row, kind, cell) : take_fact(l, row, kind, cell));
	return taken ? 0 : err_nomem(err);
}

int
look_next(struct look *l, struct look_row *out, bool *found, struct err *err)
{
	struct store_value pk;
	int rc = 0;

	memset(out, 0, sizeof *out);
	if (l->row == NULL)
		rc = begin(l, err);
	*found = rc == 0 && l->at_row;
	if (!*found)
		return rc;
	rows_again(&l->rows);
	out->table = rows_text(&l->rows,
	    (const char *)sqlite3_column_text(l->row, COL_TABLE));
	if (out->table == NULL || !rows_value(&l->rows, l->row, COL_PK, &pk))
		return err_nomem(err);
	out->pk = pk.data;
	out->npk = pk.size;
	while (rc == 0 && is_of(l, out)) {
		rc = take_row(l, out, err);
		if (rc == 0)
			rc = sql_next(l->row, &l->at_row, err);
	}
	return rc;
}

/* Both statements are kept: they are asked for each row. */
static int
begin_key(struct look *l, const struct look_row *row, struct err *err)
{
	int rc = 0;

	if (l->names == NULL)
		rc = sql_open(l->spool, &l->names, err, "SELECT name FROM col WHERE "
		    "tbl = ?1 AND pk > 0 ORDER BY pk", "");
	if (rc == 0 && l->keys == NULL)
		rc = sql_open(l->s->db, &l->keys, err, "SELECT cell FROM "
		    "crsql_unpack_columns WHERE package = ?1", "");
	if (rc != 0)
		return rc;
	sqlite3_bind_text(l->names, 1, row->table, -1, SQLITE_STATIC);
	sqlite3_bind_blob(l->keys, 1, row->pk, (int)row->npk, SQLITE_STATIC);
	return 0;
}

int
look_key(struct look *l, const struct look_row *row, struct store_cell **key,
    size_t *nkey, struct err *err)
{
	int rc = begin_key(l, row, err);

	*key = NULL;
	*nkey = 0;
	return rc == 0 ? rows_key(&l->rows, l->names, l->keys, row->pk, row->npk,
	    key, nkey, err) : rc;
}

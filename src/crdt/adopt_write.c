// SPDX-License-Identifier: MPL-2.0
/*
 * adopt_write.c - the scratch table of adopt.h becomes ours: first the log with
 * its tombstones, in the order of db_versions, then the clock rows, in the
 * order of the data.
 *
 * Transactions of cr-sqlite have no token.  Each gets one that is made of the
 * site and the db_version, so that two who take over copies of one file agree,
 * and a time of 0: it is not known.
 */
#include "crdt/adopt.h"

#include <string.h>

#include "base/be64.h"
#include "base/buf.h"
#include "base/rd.h"
#include "base/sha256.h"
#include "crdt/log.h"
#include "crdt/meta.h"

SQLITE_EXTENSION_INIT3

enum { ROW, TBL, OLD_KEY, ROW_KEY, DBV, FOREIGN, SITE, ROW_SEQ, BASE, CL, FACTS,
	PK, POS };
static const char columns[] = "rowid, tbl, old_key, key, dbv, \"foreign\", site, "
    "seq, base, cl, facts, pk, pos";

struct writer {
	struct adopt *a;
	struct engine *e;
	sqlite3_stmt *rows;     /* of the scratch table: columns, as above */
	sqlite3_stmt *set_pos;
	struct table *table;    /* of the row at hand */
	int tbl;                /* its number in a */
	int64_t dbv, own_dbv;   /* the newest written, the newest own one */
	uint8_t header[HEADER_LEN];
	struct log_row run;     /* waits to be written; n 0: none */
	/* clock rows */
	int64_t key, old_key;   /* of the row at hand */
	bool at_row;            /* there is one */
	struct meta meta;
	sqlite3_stmt *keys;     /* of the data */
};

static int
use_table(struct writer *w, int tbl)
{
	const char *name = w->a->table[tbl].shape.name;

	if (w->table != NULL && w->tbl == tbl)
		return SQLITE_OK;
	w->table = table_find(w->e, name);
	w->tbl = tbl;
	return w->table ? SQLITE_OK : engine_fail(w->e, SQLITE_ERROR,
	    "table %s is gone", name);
}

/* -- the log ----------------------------------------------------------------------- */

/* The first 8 bytes of SHA-256(site, db_version). */
static void
make_header(struct writer *w, const uint8_t site[SITE_ID_LEN])
{
	uint8_t text[SITE_ID_LEN + 8], hash[SHA256_BYTES];

	memcpy(text, site, SITE_ID_LEN);
	be64_put(text + SITE_ID_LEN, (uint64_t)w->dbv);
	sha256_short(text, sizeof text, hash);
	memset(w->header, 0, HEADER_LEN);
	memcpy(w->header + HEADER_LEN - TOKEN_LEN, hash, TOKEN_LEN);
}

static int
append(struct writer *w, struct log_row *row)
{
	row->dbv = w->dbv;
	row->header = w->header;
	if (row->own)
		w->own_dbv = w->dbv;
	return log_append(w->e, row);
}

static int
flush_run(struct writer *w)
{
	int rc = w->run.n > 0 ? append(w, &w->run) : SQLITE_OK;

	w->run.n = 0;
	return rc;
}

/* A db_version begins. */
static int
begin(struct writer *w, int64_t dbv, int64_t site)
{
	uint8_t id[SITE_ID_LEN];
	int rc = flush_run(w);

	if (rc == SQLITE_OK)
		rc = site_by_ordinal(w->e, site, id, NULL, NULL, NULL);
	w->dbv = dbv;
	w->e->tx.current = dbv;
	w->e->tx.next_pos = 0;
	make_header(w, id);
	return rc;
}

/* Seqs of a run rise by one stride, which its first two rows have. */
static bool
goes_on(const struct writer *w, const struct log_row *row)
{
	const struct log_row *run = &w->run;
	int ncol = w->table->ncol > 0 ? w->table->ncol : 1;
	int64_t ahead = row->seq - run->seq;

	if (run->n == 0 || run->table != row->table || run->own != row->own ||
	    run->site != row->site || !log_goes_on(run->key, run->n, row->key))
		return false;
	return run->n == 1 ? ahead >= ncol && ahead < LOG_STRIDE_BASE :
	    ahead == run->n * run->stride;
}

static int
write_base(struct writer *w, struct log_row *row)
{
	int rc = SQLITE_OK;

	row->n = 1;
	row->stride = w->table->ncol > 0 ? w->table->ncol : 1;
	if (goes_on(w, row)) {
		if (w->run.n == 1)
			w->run.stride = row->seq - w->run.seq;
		w->run.n++;
		return rc;
	}
	rc = flush_run(w);
	w->run = *row;
	return rc;
}

static int
write_dead(struct writer *w, struct log_row *row)
{
	struct dead d = { .cl = sqlite3_column_int64(w->rows, CL),
		.seq = row->seq };
	bool found = false;
	int rc;

	row->n = LOG_DEAD;
	row->pk = sqlite3_column_blob(w->rows, PK);
	row->npk = sqlite3_column_bytes(w->rows, PK);
	rc = append(w, row);
	d.dbv = row->dbv;
	d.pos = row->pos;
	if (rc == SQLITE_OK)
		rc = dead_get(w->e, w->table, row->pk, row->npk, &found,
		    &(struct dead){ 0 });
	if (rc == SQLITE_OK && found)
		rc = engine_fail(w->e, SQLITE_ERROR, ADOPT_REFUSED "table %s, row "
		    "%lld of its metadata: another has the same key", w->table->name,
		    (long long)sqlite3_column_int64(w->rows, OLD_KEY));
	return rc == SQLITE_OK ? dead_put(w->e, w->table, row->pk, row->npk, &d)
	    : rc;
}

/* A row's facts at one place: the clock row has to know it. */
static int
write_row(struct writer *w, struct log_row *row)
{
	int rc;

	row->n = LOG_ROW;
	rc = append(w, row);
	sqlite3_bind_int64(w->set_pos, 1, row->pos);
	sqlite3_bind_int64(w->set_pos, 2, sqlite3_column_int64(w->rows, ROW));
	return rc == SQLITE_OK ? engine_run(w->e, w->set_pos) : rc;
}

static int
write_log_row(struct writer *w)
{
	int64_t dbv = sqlite3_column_int64(w->rows, DBV);
	struct log_row row = { .site = sqlite3_column_int64(w->rows, SITE),
		.own = !sqlite3_column_int(w->rows, FOREIGN),
		.key = sqlite3_column_int64(w->rows, ROW_KEY),
		.seq = sqlite3_column_int64(w->rows, ROW_SEQ) };
	int rc = use_table(w, sqlite3_column_int(w->rows, TBL));

	if (rc == SQLITE_OK && dbv != w->dbv)
		rc = begin(w, dbv, row.site);
	if (rc != SQLITE_OK)
		return rc;
	row.table = w->table->id;
	if (sqlite3_column_int(w->rows, BASE))
		return write_base(w, &row);
	rc = flush_run(w);
	if (rc != SQLITE_OK)
		return rc;
	return sqlite3_column_type(w->rows, PK) != SQLITE_NULL ?
	    write_dead(w, &row) : write_row(w, &row);
}

/* db_versions that hold nothing any more count. */
static int
write_head(struct writer *w)
{
	struct log_row row = { .n = LOG_HEADER, .own = true };
	int rc = flush_run(w);

	if (rc != SQLITE_OK || w->dbv >= w->a->head)
		return rc;
	rc = begin(w, w->a->head, 0);
	return rc == SQLITE_OK ? append(w, &row) : rc;
}

/* R15: the newest own transaction, where it is not the newest of all. */
static int
write_own(struct writer *w)
{
	return w->own_dbv == 0 || w->own_dbv == w->dbv ? SQLITE_OK :
	    engine_exec(w->e, "UPDATE crsql_me SET (sver, token) = (SELECT dbv, "
	    "substr(hdr, 7, 8) FROM crsql_log WHERE dbv = %lld AND pos = 0) WHERE "
	    "first_dbv = 0", (long long)w->own_dbv);
}

/* Own changes of a db_version first: by its first row it is known as own. */
static int
write_log(struct writer *w)
{
	int rc = engine_prepare(w->e, &w->rows, "SELECT %s FROM "
	    "temp.crsql_adopting ORDER BY dbv, \"foreign\", site, seq, tbl, key",
	    columns);

	if (rc == SQLITE_OK)
		rc = engine_prepare(w->e, &w->set_pos, "UPDATE temp.crsql_adopting "
		    "SET pos = ?1 WHERE rowid = ?2");
	while (rc == SQLITE_OK && sqlite3_step(w->rows) == SQLITE_ROW)
		rc = write_log_row(w);
	rc = engine_finalize(w->rows, rc);
	w->rows = NULL;
	sqlite3_finalize(w->set_pos);
	if (rc == SQLITE_OK)
		rc = write_head(w);
	return rc == SQLITE_OK ? write_own(w) : rc;
}

/* -- clock rows -------------------------------------------------------------------- */

static int
next_row(struct writer *w)
{
	int rc = sqlite3_step(w->rows);

	w->at_row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The stamps that a row of the scratch table has. */
static int
read_stamps(struct writer *w)
{
	struct meta *m = &w->meta;
	struct stamp s = { .dbv = sqlite3_column_int64(w->rows, DBV),
		.pos = sqlite3_column_int64(w->rows, POS) };
	struct rd r;
	int64_t i;

	rd_init(&r, sqlite3_column_blob(w->rows, FACTS),
	    (size_t)sqlite3_column_bytes(w->rows, FACTS));
	while (!rd_failed(&r) && rd_left(&r) > 0) {
		i = (int64_t)rd_varint(&r, INT32_MAX);
		s.version = (int64_t)rd_varint(&r, INT64_MAX);
		s.seq = (int64_t)rd_varint(&r, INT64_MAX);
		if (rd_failed(&r) || i > m->ncol)
			return SQLITE_CORRUPT;
		if (i > 0)
			m->col[i - 1] = s;
		else
			m->sentinel = s;
		m->has_sentinel |= i == 0;
	}
	return SQLITE_OK;
}

/* The rows of the scratch table for one of the data, if they come next. */
static int
read_clock(struct writer *w, int tbl, bool *known)
{
	struct meta *m = &w->meta;
	bool base = false;
	int rc = SQLITE_OK;

	meta_fresh(m);
	*known = false;
	while (rc == SQLITE_OK && w->at_row &&
	    sqlite3_column_int(w->rows, TBL) == tbl &&
	    sqlite3_column_int64(w->rows, ROW_KEY) == w->key) {
		if (*known && sqlite3_column_int64(w->rows, OLD_KEY) != w->old_key)
			return engine_fail(w->e, SQLITE_ERROR, ADOPT_REFUSED "table "
			    "%s, rows %lld and %lld of its metadata are one row of "
			    "the table", w->table->name, (long long)w->old_key,
			    (long long)sqlite3_column_int64(w->rows, OLD_KEY));
		w->old_key = sqlite3_column_int64(w->rows, OLD_KEY);
		m->cl = sqlite3_column_int64(w->rows, CL);
		*known = true;
		if (sqlite3_column_int(w->rows, BASE))
			base = true;
		else
			m->stored = true;
		rc = read_stamps(w);
		if (rc == SQLITE_OK)
			rc = next_row(w);
	}
	m->base = base ? BASE_RUN : BASE_NONE;
	return rc;
}

/* Every row of the data that is not fresh gets a clock row; one that cr-sqlite
 * did not know has no clock at all. */
static int
write_clocks_of(struct writer *w, int tbl)
{
	bool known;
	int rc = use_table(w, tbl);

	if (rc == SQLITE_OK)
		rc = meta_init(&w->meta, w->table);
	if (rc == SQLITE_OK)
		rc = engine_prepare(w->e, &w->keys, "SELECT %s FROM %s "
		    "ORDER BY %s", w->table->rowid, w->table->from,
		    w->table->rowid);
	while (rc == SQLITE_OK && sqlite3_step(w->keys) == SQLITE_ROW) {
		w->key = sqlite3_column_int64(w->keys, 0);
		rc = read_clock(w, tbl, &known);
		if (rc == SQLITE_OK && (w->meta.stored || !known))
			rc = meta_put(w->e, w->table, w->key, &w->meta);
	}
	if (w->keys != NULL)
		rc = engine_finalize(w->keys, rc);
	w->keys = NULL;
	meta_free(&w->meta);
	return rc;
}

static int
write_clocks(struct writer *w)
{
	int i, rc = engine_prepare(w->e, &w->rows, "SELECT %s FROM "
	    "temp.crsql_adopting WHERE key IS NOT NULL ORDER BY tbl, key, old_key",
	    columns);

	if (rc == SQLITE_OK)
		rc = next_row(w);
	for (i = 0; i < w->a->n && rc == SQLITE_OK; i++)
		rc = write_clocks_of(w, i);
	if (rc == SQLITE_OK && w->at_row)
		rc = engine_fail(w->e, SQLITE_ERROR, ADOPT_REFUSED
		    "a row of the table was not found again");
	rc = engine_finalize(w->rows, rc);
	w->rows = NULL;
	return rc;
}

int
adopt_write(struct adopt *a)
{
	struct writer w = { .a = a, .e = a->e };
	int rc = write_log(&w);

	w.table = NULL;
	return rc == SQLITE_OK ? write_clocks(&w) : rc;
}

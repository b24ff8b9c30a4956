// SPDX-License-Identifier: MPL-2.0
/*
 * adopt_read.c - the clock tables of cr-sqlite, read row by row of the data and
 * checked; what they say goes to the scratch table of adopt.h.
 */
#include "crdt/adopt.h"

#include <string.h>

#include "base/buf.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

enum { KEY, COL_NAME, COL_VERSION, DB_VERSION, SITE_ID, SEQ };  /* of clocks */

struct fact {
	bool there, taken;
	int64_t version, dbv, site, seq;
};

struct reader {
	struct adopt *a;
	struct adopt_table *t;
	int tbl;
	sqlite3_stmt *rows;     /* number of the row, rowid, key columns */
	sqlite3_stmt *clocks;   /* as above */
	sqlite3_stmt *insert;   /* into the scratch table */
	bool at_clock;          /* clocks has a row */
	int64_t old_key;        /* the row at hand, in cr-sqlite's numbers */
	struct fact *fact;      /* its facts: 0 is the sentinel, then columns */
	int nfact;
	int64_t forgotten;      /* rows that are not there */
	struct buf facts, pk;
};

/* -- statements ---------------------------------------------------------------- */

/* The key columns, each behind `before`, with commas. */
static void
add_pks(sqlite3_str *s, const struct table *t, const char *before)
{
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s%s\"%w\"", i > 0 ? ", " : "", before,
		    t->pk[i].name);
}

static void
add_equal(sqlite3_str *s, const struct table *t, const char *left,
    const char *right)
{
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s%s\"%w\" = %s\"%w\"", i > 0 ? " AND " : "",
		    left, t->pk[i].name, right, t->pk[i].name);
}

/* The table as b, with a column for the engine's keys: where they are numbers,
 * those that lookaside_fill is going to give. */
static void
add_table(sqlite3_str *s, const struct table *t)
{
	if (!t->aside) {
		sqlite3_str_appendf(s, "%s b", t->from);
		return;
	}
	sqlite3_str_appendall(s, "(SELECT row_number() OVER (ORDER BY ");
	add_pks(s, t, "");
	sqlite3_str_appendf(s, ") AS %s, ", t->rowid);
	add_pks(s, t, "");
	sqlite3_str_appendf(s, " FROM main.\"%w\") b", t->name);
}

/* Rows that the metadata know, with their keys and rowids.  Those of 0.15 have
 * no numbers of their own: their keys are counted.  A key is there as a peer sent
 * it, 1 for a TEXT '1': it is of the row that it became (+ has its type settle),
 * unless that has an entry of its own. */
static int
prepare_rows(struct reader *r)
{
	const struct table *t = &r->t->shape;
	sqlite3_str *s = sqlite3_str_new(r->a->e->db);

	if (r->t->by_pk) {
		sqlite3_str_appendall(s, "WITH p AS (SELECT row_number() OVER ("
		    "ORDER BY ");
		add_pks(s, t, "");
		sqlite3_str_appendall(s, ") AS __crsql_key, ");
		add_pks(s, t, "");
		sqlite3_str_appendall(s, " FROM (SELECT DISTINCT ");
		add_pks(s, t, "");
		sqlite3_str_appendf(s, " FROM main.\"%w__crsql_clock\")) ", t->name);
	}
	sqlite3_str_appendf(s, "SELECT p.__crsql_key, b.%s, ", t->rowid);
	add_pks(s, t, "p.");
	if (r->t->by_pk)
		sqlite3_str_appendall(s, " FROM p");
	else
		sqlite3_str_appendf(s, " FROM main.\"%w__crsql_pks\" p", t->name);
	sqlite3_str_appendall(s, " LEFT JOIN ");
	add_table(s, t);
	sqlite3_str_appendall(s, " ON ");
	add_equal(s, t, "b.", "+p.");
	sqlite3_str_appendall(s, " AND (");
	add_equal(s, t, "b.", "p.");
	sqlite3_str_appendf(s, " OR NOT EXISTS(SELECT 1 FROM main.\"%w__crsql_%s\" q "
	    "WHERE ", t->name, r->t->by_pk ? "clock" : "pks");
	add_equal(s, t, "q.", "b.");
	sqlite3_str_appendall(s, ")) ORDER BY 1");
	return engine_prepare_built(r->a->e, s, &r->rows);
}

static int
prepare_clocks(struct reader *r)
{
	const struct table *t = &r->t->shape;
	sqlite3_str *s = sqlite3_str_new(r->a->e->db);

	if (r->t->by_pk) {
		sqlite3_str_appendall(s, "SELECT dense_rank() OVER (ORDER BY ");
		add_pks(s, t, "");
		sqlite3_str_appendall(s, "), __crsql_col_name, "
		    "__crsql_col_version, __crsql_db_version, "
		    "coalesce(__crsql_site_id, 0), __crsql_seq");
	} else {
		sqlite3_str_appendall(s, "SELECT key, col_name, col_version, "
		    "db_version, site_id, seq");
	}
	sqlite3_str_appendf(s, " FROM main.\"%w__crsql_clock\" ORDER BY 1", t->name);
	return engine_prepare_built(r->a->e, s, &r->clocks);
}

static int
prepare(struct reader *r)
{
	int rc = prepare_rows(r);

	if (rc == SQLITE_OK)
		rc = prepare_clocks(r);
	if (rc == SQLITE_OK)
		rc = engine_prepare(r->a->e, &r->insert, "INSERT INTO "
		    "temp.crsql_adopting VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
		    "?9, ?10, ?11, NULL)");
	r->fact = sqlite3_malloc64(sizeof *r->fact *
	    (uint64_t)(r->t->shape.ncol + 1));
	return rc == SQLITE_OK && r->fact == NULL ? SQLITE_NOMEM : rc;
}

/* -- checks --------------------------------------------------------------------- */

/* Fails with a sentence on the row at hand. */
static int
refuse(struct reader *r, const char *what)
{
	return engine_fail(r->a->e, SQLITE_ERROR, ADOPT_REFUSED "table %s, row %lld "
	    "of its metadata: %s", r->t->shape.name, (long long)r->old_key, what);
}

static bool
in_range(sqlite3_stmt *stmt, int column, int64_t least, int64_t most)
{
	int64_t v = sqlite3_column_int64(stmt, column);

	return sqlite3_column_type(stmt, column) == SQLITE_INTEGER &&
	    v >= least && v <= most;
}

/* The index of the fact that the clock row is: 0 the sentinel; -1. */
static int
which_fact(const struct reader *r)
{
	const char *name;
	int len;

	/* before it is read: that may change the type */
	if (sqlite3_column_type(r->clocks, COL_NAME) != SQLITE_TEXT)
		return -1;
	name = (const char *)sqlite3_column_text(r->clocks, COL_NAME);
	if (name == NULL)
		return -1;
	len = sqlite3_column_bytes(r->clocks, COL_NAME);
	if (len == 2 && memcmp(name, "-1", 2) == 0)
		return 0;
	len = table_column(&r->t->shape, name, len);
	return len < 0 ? -1 : len + 1;
}

static int
read_fact(struct reader *r)
{
	int i = which_fact(r);
	struct fact *f = &r->fact[i < 0 ? 0 : i];

	if (i < 0)
		return refuse(r, "it has the clock of a column that is not there");
	if (f->there)
		return refuse(r, "a column has two clocks");
	if (!in_range(r->clocks, COL_VERSION, i == 0, VERSION_MAX))
		return refuse(r, "a col_version is out of range");
	if (!in_range(r->clocks, DB_VERSION, 1, VERSION_MAX))
		return refuse(r, "a db_version is out of range");
	if (!in_range(r->clocks, SEQ, 0, SEQ_MAX))
		return refuse(r, "a seq is out of range");
	if (!in_range(r->clocks, SITE_ID, 0, INT64_MAX))
		return refuse(r, "a site_id is no number of a site");
	*f = (struct fact){ .there = true,
	    .version = sqlite3_column_int64(r->clocks, COL_VERSION),
	    .dbv = sqlite3_column_int64(r->clocks, DB_VERSION),
	    .site = sqlite3_column_int64(r->clocks, SITE_ID),
	    .seq = sqlite3_column_int64(r->clocks, SEQ) };
	r->nfact++;
	if (f->dbv > r->a->head)
		r->a->head = f->dbv;
	return SQLITE_OK;
}

/* -- facts become rows of the scratch table ---------------------------------------- */

/* Values at version 0 are what a row kept from the life before: nobody's
 * change, as the merge writes them down. */
static bool
is_foreign(const struct fact *f)
{
	return f->site != 0 || f->version == 0;
}

static int64_t
cl_of(const struct reader *r)
{
	return r->fact[0].there ? r->fact[0].version : 1;
}

/* A row of the scratch table: facts and pk are bound if they hold something. */
static int
put(struct reader *r, int64_t rowid, const struct fact *f, int64_t seq, bool base)
{
	sqlite3_stmt *s = r->insert;
	int rc;

	if (r->facts.failed || r->pk.failed)
		return SQLITE_NOMEM;
	sqlite3_bind_int(s, 1, r->tbl);
	sqlite3_bind_int64(s, 2, r->old_key);
	if (r->pk.len == 0)
		sqlite3_bind_int64(s, 3, rowid);
	sqlite3_bind_int64(s, 4, f->dbv);
	sqlite3_bind_int(s, 5, is_foreign(f));
	sqlite3_bind_int64(s, 6, f->site);
	sqlite3_bind_int64(s, 7, seq);
	sqlite3_bind_int(s, 8, base);
	sqlite3_bind_int64(s, 9, cl_of(r));
	if (r->facts.len > 0)
		sqlite3_bind_blob(s, 10, r->facts.data, (int)r->facts.len,
		    SQLITE_STATIC);
	if (r->pk.len > 0)
		sqlite3_bind_blob(s, 11, r->pk.data, (int)r->pk.len, SQLITE_STATIC);
	rc = engine_run(r->a->e, s);
	sqlite3_clear_bindings(s);
	return rc;
}

/* Finds the base: what a row would be after one INSERT, but for columns that
 * were written again.  NULL: it is none. */
static const struct fact *
find_base(struct reader *r, int64_t *seq)
{
	int i, ncol = r->t->shape.ncol;
	struct fact *base = NULL, *f = r->fact;

	*seq = 0;
	if (ncol == 0 && f[0].there && f[0].version == 1) {
		*seq = f[0].seq;
		f[0].taken = true;
		return f;
	}
	if (f[0].there || r->nfact < ncol)
		return NULL;
	for (i = 0; i < ncol; i++) {
		f = &r->fact[i + 1];
		if (f->version != 1 || (base == NULL && f->seq < i))
			continue;
		if (base == NULL) {
			base = f;
			*seq = f->seq - i;
		}
		f->taken = f->dbv == base->dbv && f->site == base->site &&
		    f->seq == *seq + i;
	}
	return base;
}

/* All facts not yet taken that stand at one place with the i-th. */
static int
put_group(struct reader *r, int64_t rowid, int i)
{
	struct fact *first = &r->fact[i], *f;
	int64_t seq = first->seq;

	r->facts.len = 0;
	for (; i <= r->t->shape.ncol; i++) {
		f = &r->fact[i];
		if (!f->there || f->taken || f->dbv != first->dbv ||
		    f->site != first->site || is_foreign(f) != is_foreign(first))
			continue;
		f->taken = true;
		seq = f->seq < seq ? f->seq : seq;
		buf_add_varint(&r->facts, (uint64_t)i);
		buf_add_varint(&r->facts, (uint64_t)f->version);
		buf_add_varint(&r->facts, (uint64_t)f->seq);
	}
	return put(r, rowid, first, seq, false);
}

static int
take_live(struct reader *r, int64_t rowid)
{
	const struct fact *base;
	int64_t seq;
	int i, rc = SQLITE_OK;

	r->facts.len = r->pk.len = 0;
	base = find_base(r, &seq);
	if (base != NULL)
		rc = put(r, rowid, base, seq, true);
	for (i = 0; i <= r->t->shape.ncol && rc == SQLITE_OK; i++)
		if (r->fact[i].there && !r->fact[i].taken)
			rc = put_group(r, rowid, i);
	return rc;
}

/* The key as its columns would store it, canonical (R5). */
static int
pack_pk(struct reader *r)
{
	const struct table *t = &r->t->shape;
	char scratch[VAL_SCRATCH];
	struct val v;
	int i, rc = SQLITE_OK;

	r->pk.len = 0;
	buf_add_u8(&r->pk, (uint8_t)t->npk);
	for (i = 0; i < t->npk && rc == SQLITE_OK; i++) {
		v = val_of_column(r->rows, 2 + i);
		rc = val_settle(r->a->e->db, &v, t->pk[i].affinity, scratch);
		if (rc == SQLITE_OK && v.type == SQLITE_NULL)
			rc = refuse(r, "its key is NULL");
		val_canonical(&v);
		val_encode(&r->pk, &v);
	}
	return rc;
}

static int
take_dead(struct reader *r)
{
	int rc;

	if (r->nfact > 1)
		return refuse(r, "it is deleted, and has clocks of columns");
	r->facts.len = 0;
	rc = pack_pk(r);
	return rc == SQLITE_OK ? put(r, 0, &r->fact[0], r->fact[0].seq, false) : rc;
}

/* What the facts of the row at hand say. */
static int
take_row(struct reader *r)
{
	bool live = sqlite3_column_type(r->rows, 1) != SQLITE_NULL;

	if (r->nfact == 0)
		return SQLITE_OK;       /* a change that lost left its key */
	if (cl_of(r) % 2 == 0)
		return live ? refuse(r, "it is deleted, and is in the table") :
		    take_dead(r);
	if (live)
		return take_live(r, sqlite3_column_int64(r->rows, 1));
	r->forgotten++;
	return SQLITE_OK;
}

/* -- the walk ---------------------------------------------------------------------- */

static int
next_clock(struct reader *r)
{
	int rc = sqlite3_step(r->clocks);

	r->at_clock = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW &&
	    sqlite3_column_type(r->clocks, KEY) != SQLITE_INTEGER)
		return refuse(r, "a clock has no key");
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* A clock before the row at hand is nobody's. */
static int
refuse_strays(struct reader *r, bool end)
{
	int64_t key = r->at_clock ? sqlite3_column_int64(r->clocks, KEY) : 0;

	if (!r->at_clock || (!end && key >= r->old_key))
		return SQLITE_OK;
	r->old_key = key;
	return refuse(r, "it has a clock, and its key is not known");
}

static int
read_row(struct reader *r)
{
	int rc;

	r->old_key = sqlite3_column_int64(r->rows, 0);
	memset(r->fact, 0, sizeof *r->fact * (size_t)(r->t->shape.ncol + 1));
	r->nfact = 0;
	rc = refuse_strays(r, false);
	while (rc == SQLITE_OK && r->at_clock &&
	    sqlite3_column_int64(r->clocks, KEY) == r->old_key) {
		rc = read_fact(r);
		if (rc == SQLITE_OK)
			rc = next_clock(r);
	}
	return rc == SQLITE_OK ? take_row(r) : rc;
}

static int
read_table(struct adopt *a, int i)
{
	struct reader r = { .a = a, .t = &a->table[i], .tbl = i };
	int rc;

	buf_init(&r.facts, INT32_MAX);
	buf_init(&r.pk, INT32_MAX);
	rc = prepare(&r);
	if (rc == SQLITE_OK)
		rc = next_clock(&r);
	while (rc == SQLITE_OK && sqlite3_step(r.rows) == SQLITE_ROW)
		rc = read_row(&r);
	rc = engine_finalize(r.rows, rc);
	if (rc == SQLITE_OK)
		rc = refuse_strays(&r, true);
	rc = engine_finalize(r.clocks, rc);
	sqlite3_finalize(r.insert);
	sqlite3_free(r.fact);
	buf_clear(&r.facts);
	buf_clear(&r.pk);
	if (rc == SQLITE_OK && r.forgotten > 0)
		sqlite3_log(SQLITE_WARNING, "table %s lacks %lld rows that "
		    "cr-sqlite's metadata know as alive: they are forgotten",
		    r.t->shape.name, (long long)r.forgotten);
	return rc;
}

static int
check_sites(struct engine *e)
{
	int64_t site = -1;
	int rc = engine_int(e, &site, "SELECT site FROM temp.crsql_adopting WHERE "
	    "site NOT IN (SELECT ordinal FROM main.crsql_site_id) LIMIT 1");

	return rc != SQLITE_OK || site < 0 ? rc : engine_fail(e, SQLITE_ERROR,
	    ADOPT_REFUSED "changes are of site %lld, which crsql_site_id does not "
	    "have", (long long)site);
}

int
adopt_read(struct adopt *a)
{
	int i, rc = engine_exec(a->e, "CREATE TEMP TABLE crsql_adopting(tbl, "
	    "old_key, key, dbv, \"foreign\", site, seq, base, cl, facts, pk, pos)");

	for (i = 0; i < a->n && rc == SQLITE_OK; i++)
		rc = read_table(a, i);
	return rc == SQLITE_OK ? check_sites(a->e) : rc;
}

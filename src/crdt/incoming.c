// SPDX-License-Identifier: MPL-2.0
/*
 * incoming.c - INSERT INTO crsql_changes: one cell at a time.  Cells of one
 * row that follow each other share a row in hand, so that its clocks are read
 * and written once.  What is seen by others (the user's table, errors,
 * crsql_rows_impacted) never waits.
 */
#include "crdt/merge.h"

#include <string.h>

#include "crdt/columns.h"
#include "crdt/horizon.h"
#include "crdt/quiet.h"

struct incoming *
incoming_of(struct engine *e)
{
	struct incoming *in = e->incoming;

	if (in != NULL)
		return in;
	in = sqlite3_malloc(sizeof *in);
	if (in == NULL)
		return NULL;
	memset(in, 0, sizeof *in);
	merge_row_init(&in->row);
	buf_init(&in->raw, INT32_MAX);
	buf_init(&in->pk, INT32_MAX);
	buf_init(&in->due, INT32_MAX);
	buf_init(&in->before.bytes, INT32_MAX);
	in->parked_schema = -1;
	in->pk_value = sqlite3_malloc(PACK_MAX_COLUMNS *
	    sizeof *in->pk_value);
	if (in->pk_value == NULL) {
		sqlite3_free(in);
		return NULL;
	}
	e->incoming = in;
	return in;
}

int
incoming_flush(struct engine *e)
{
	struct incoming *in = e->incoming;
	int rc = SQLITE_OK;

	/* Statements of a merge may have savepoints of their own. */
	if (in == NULL || e->merging > 0)
		return SQLITE_OK;
	if (in->broken)
		return engine_fail(e, SQLITE_ABORT, "an import failed: the "
		    "transaction can only be rolled back");
	e->merging++;           /* what is written is not for the hook */
	if (in->has_row) {
		in->has_row = false;
		rc = merge_close(e, &in->row);
	}
	if (rc == SQLITE_OK)
		rc = place_flush(e);
	if (rc == SQLITE_OK)
		rc = before_flush(e);
	e->merging--;
	/* SQLite may have rolled all back meanwhile */
	if (!e->tx.open)
		incoming_drop(e);
	return rc;
}

void
incoming_drop(struct engine *e)
{
	struct incoming *in = e->incoming;

	if (in == NULL || e->merging > 0)
		return;
	if (!e->tx.open)
		in->broken = false;
	in->has_row = false;
	in->run.table = NULL;
	before_drop(e);
	in->import_dbv = 0;
	in->ndue = 0;
	in->due.len = 0;
	in->origin.site = -1;   /* its row may be gone */
	merge_row_free(&in->row);
}

void
incoming_free(struct engine *e)
{
	struct incoming *in = e->incoming;

	if (in == NULL)
		return;
	merge_row_free(&in->row);
	buf_clear(&in->raw);
	buf_clear(&in->pk);
	buf_clear(&in->due);
	buf_clear(&in->before.bytes);
	sqlite3_free(in->pk_value);
	sqlite3_free(in);
	e->incoming = NULL;
}

/* -- one change ---------------------------------------------------------------- */

enum { ARG_TABLE, ARG_PK, ARG_CID, ARG_VAL, ARG_VERSION, ARG_DBV, ARG_SITE,
	ARG_CL, ARG_SEQ, ARG_SVER };

/* A change as it was given. */
struct change {
	struct table *table;
	const uint8_t *pk;
	int npk;
	const char *cid;
	int ncid;
	struct merge_cell cell;
	int64_t cl;
	int64_t dbv;
	uint8_t site[SITE_ID_LEN];
	int nsite;              /* 0: this database's */
	int64_t sver;
};

/* cr-sqlite takes shorter ids, and texts: everywhere they are 16 bytes, as pages
 * and peers have them, with zeroes behind. */
static int
read_site(struct engine *e, sqlite3_value *v, struct change *c)
{
	const void *id = sqlite3_value_blob(v);
	int len = sqlite3_value_bytes(v);

	memset(c->site, 0, SITE_ID_LEN);
	c->nsite = 0;
	if (len > SITE_ID_LEN)
		return engine_fail(e, SQLITE_ERROR,
		    "crsql - site id exceeded max length");
	if (len > 0 && id == NULL)
		return SQLITE_NOMEM;
	if (len > 0) {
		memcpy(c->site, id, (size_t)len);
		c->nsite = SITE_ID_LEN;
	}
	return SQLITE_OK;
}

static int
read_names(struct engine *e, sqlite3_value **argv, struct change *c)
{
	const char *name = (const char *)sqlite3_value_text(argv[ARG_TABLE]);
	int rc;

	if (sqlite3_value_bytes(argv[ARG_TABLE]) > NAME_MAX_BYTES)
		return engine_fail(e, SQLITE_ERROR,
		    "crsql - table name exceeded max length");
	c->cid = (const char *)sqlite3_value_text(argv[ARG_CID]);
	c->ncid = sqlite3_value_bytes(argv[ARG_CID]);
	if (c->ncid > NAME_MAX_BYTES)
		return engine_fail(e, SQLITE_ERROR,
		    "crsql - column name exceeded max length");
	rc = read_site(e, argv[ARG_SITE], c);
	if (rc != SQLITE_OK)
		return rc;
	c->table = name != NULL ? table_find(e, name) : NULL;
	if (c->table == NULL)
		return engine_fail(e, SQLITE_ERROR, "crsql - could not find "
		    "the schema information for table %s", name ? name : "");
	return SQLITE_OK;
}

static int
check_numbers(struct engine *e, const struct change *c)
{
	int64_t head;
	int rc;

	if (c->cell.version < 0 || c->cell.seq < 0 || c->dbv < 0 ||
	    c->sver < 0 || c->cell.seq > SEQ_MAX)
		return engine_fail(e, SQLITE_ERROR,
		    "a negative version or seq is out of range: refused");
	rc = tx_head(e, &head);
	if (rc == SQLITE_OK && e->tx.current > head)
		head = e->tx.current;
	if (rc == SQLITE_OK)
		rc = merge_check_number(e, "the db_version", c->dbv, head);
	if (rc == SQLITE_OK)
		rc = merge_check_number(e, "the site version", c->sver,
		    head);
	return rc;
}

static int
read_change(struct engine *e, int argc, sqlite3_value **argv, struct change *c)
{
	int rc = read_names(e, argv, c);

	if (rc != SQLITE_OK)
		return rc;
	c->pk = sqlite3_value_blob(argv[ARG_PK]);
	c->npk = sqlite3_value_bytes(argv[ARG_PK]);
	c->cell.value = val_of(argv[ARG_VAL]);
	c->cell.version = sqlite3_value_int64(argv[ARG_VERSION]);
	c->cell.seq = sqlite3_value_int64(argv[ARG_SEQ]);
	c->cl = sqlite3_value_int64(argv[ARG_CL]);
	c->dbv = sqlite3_value_int64(argv[ARG_DBV]);
	c->sver = argc > ARG_SVER ? sqlite3_value_int64(argv[ARG_SVER]) : 0;
	return check_numbers(e, c);
}

static bool
same_row(const struct incoming *in, const struct change *c)
{
	const struct merge_origin *o = &in->origin;

	return in->has_row && in->row.table == c->table &&
	    o->sender_dbv == c->dbv && o->sver == c->sver &&
	    o->nid == c->nsite &&
	    (c->nsite == 0 || memcmp(o->id, c->site, (size_t)c->nsite) == 0) &&
	    in->raw.len == (size_t)c->npk && c->npk > 0 &&
	    memcmp(in->raw.data, c->pk, (size_t)c->npk) == 0;
}

/* Ends the row in hand and takes up the one of the change.  The origin's
 * ordinal is kept while the site stays the same. */
static int
take_row(struct engine *e, struct incoming *in, const struct change *c)
{
	struct merge_origin *o = &in->origin;
	bool same_site;
	int rc = SQLITE_OK;

	if (in->has_row) {
		in->has_row = false;
		rc = merge_close(e, &in->row);
	}
	if (rc == SQLITE_OK)
		rc = merge_key(e, c->table, c->pk, c->npk, false);
	if (rc != SQLITE_OK)
		return rc;
	same_site = o->nid == c->nsite && o->site >= 0 && o->nid > 0 &&
	    memcmp(o->id, c->site, (size_t)c->nsite) == 0;
	*o = (struct merge_origin){ .via = MERGE_CHANGES, .nid = c->nsite,
	    .site = same_site ? o->site : -1, .sver = c->sver,
	    .sender_dbv = c->dbv };
	if (c->nsite > 0)
		memcpy(o->id, c->site, (size_t)c->nsite);
	in->raw.len = 0;
	buf_add(&in->raw, c->pk, (size_t)c->npk);
	if (in->raw.failed)
		return SQLITE_NOMEM;
	rc = merge_behind(e, o, c->table, &o->behind);
	if (rc == SQLITE_OK)
		rc = merge_open(e, o, c->table, in->pk.data, (int)in->pk.len,
		    &in->row);
	in->has_row = rc == SQLITE_OK;
	return rc;
}

/* The column named; the one after the last is the likely one. */
static int
find_column(struct engine *e, struct incoming *in, struct change *c)
{
	const struct table *t = c->table;
	int next = in->column + 1;
	int quotes = c->cid != NULL ? columns_quotes(c->cid, c->ncid) : -1;

	if (quotes == 0) {
		c->cell.col = in->column = -1;
		return SQLITE_OK;
	}
	if (quotes > 0)
		next = columns_find(t, c->cid + 1, c->ncid - 2);
	else if (next >= t->ncol || strcmp(t->col[next].name, c->cid ? c->cid :
	    "") != 0)
		next = c->cid != NULL ? columns_find(t, c->cid, c->ncid) : -1;
	if (next < 0)
		return engine_fail(e, SQLITE_ERROR,
		    "table %s has no replicated column %s", t->name,
		    c->cid ? c->cid : "NULL");
	c->cell.col = in->column = next;
	return SQLITE_OK;
}

static int
add_change(struct engine *e, struct incoming *in, struct change *c)
{
	int rc = SQLITE_OK;

	if (!same_row(in, c)) {
		rc = take_row(e, in, c);
		in->column = -1;
	}
	if (rc != SQLITE_OK || c->cl < in->row.cl || c->cl < 1)
		return rc;
	if (c->cl % 2 == 0)
		return merge_delete(e, &in->row, c->cl, c->cell.seq);
	rc = find_column(e, in, c);
	if (rc == SQLITE_OK && c->cell.col < 0)
		rc = merge_check_number(e, "the column version",
		    c->cell.version, in->row.cl);
	if (rc == SQLITE_OK)
		rc = merge_cells(e, &in->row, c->cl, &c->cell, 1);
	return rc;
}

int
incoming_add(struct engine *e, int argc, sqlite3_value **argv)
{
	struct incoming *in = incoming_of(e);
	struct change c = { .table = NULL };
	int rc;

	if (in == NULL)
		return SQLITE_NOMEM;
	rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = read_change(e, argc, argv, &c);
	if (rc != SQLITE_OK)
		return rc;
	e->tx.wrote_changes = true;
	bulk_change_merged(e);
	e->merging++;
	rc = add_change(e, in, &c);
	e->merging--;
	/* All is taken back with the statement, or a trigger did it. */
	if (rc != SQLITE_OK && sqlite3_get_autocommit(e->db))
		incoming_drop(e);
	return rc;
}

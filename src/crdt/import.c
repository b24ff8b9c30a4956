// SPDX-License-Identifier: MPL-2.0
/*
 * import.c - crsql_import(page[, batch]): merges the transactions of a page,
 * each under a db_version of its own (R1), all or nothing.
 */
#include <string.h>

#include "crdt/apply.h"
#include "crdt/gc.h"
#include "crdt/match.h"
#include "crdt/page.h"
#include "crdt/quiet.h"
#include "crdt/seen.h"

enum { QUIET_FROM = 16384 };    /* bytes of a page worth quiet.c's switch */

struct import_table {           /* a table of the page, and here */
	struct table *here;     /* NULL: not replicated here, rows skipped */
	struct match columns;
	bool known;             /* the row before was here already: look first,
	                           as a failing INSERT costs more */
	bool shown;             /* the sender has forgotten all that is forgotten of
	                           it here: nothing of him comes from behind */
};

struct import {
	struct engine *e;
	struct page page;
	struct apply apply;
	struct import_table *table;
	int64_t *site;          /* ordinals by index of the page; -1 */
	struct seen_room room;  /* for its steps */
};

/* -- tables ---------------------------------------------------------------- */

/* Finds a table of the page.  One that is named twice would be looked at twice, with
 * all of its horizon, and so on. */
static int
find_here(struct import *im, int i, bool *taken)
{
	const struct page_table *t = &im->page.table[i];
	char name[NAME_MAX_BYTES + 1];
	struct table *here;

	memcpy(name, t->name, (size_t)t->nname);
	name[t->nname] = '\0';
	here = strlen(name) == (size_t)t->nname ? table_find(im->e, name) : NULL;
	im->table[i].here = here;
	if (here == NULL)
		return SQLITE_OK;
	if (taken[here - im->e->tables.table])
		return page_malformed(im->e);
	taken[here - im->e->tables.table] = true;
	return match_table(im->e, here, t, &im->table[i].columns);
}

static int
find_tables(struct import *im)
{
	size_t n = (size_t)im->e->tables.n + 1;
	bool *taken = sqlite3_malloc64(n * sizeof *taken);
	int i, rc = SQLITE_OK;

	if (taken == NULL)
		return SQLITE_NOMEM;
	memset(taken, 0, n * sizeof *taken);
	for (i = 0; i < im->page.ntable && rc == SQLITE_OK; i++)
		rc = find_here(im, i, taken);
	sqlite3_free(taken);
	return rc;
}

static int
map_tables(struct import *im)
{
	bool learned = false;
	int i, rc;

	im->table = sqlite3_malloc64(((size_t)im->page.ntable + 1) *
	    sizeof *im->table);
	im->site = sqlite3_malloc64(((size_t)im->page.nsite + 1) *
	    sizeof *im->site);
	if (im->table == NULL || im->site == NULL)
		return SQLITE_NOMEM;
	memset(im->table, 0, (size_t)im->page.ntable * sizeof *im->table);
	for (i = 0; i < im->page.nsite; i++)
		im->site[i] = -1;
	rc = find_tables(im);
	for (i = 0; i < im->page.ntable; i++)
		learned = learned || im->table[i].columns.learned;
	/* what is parked waits for that */
	if (learned)
		im->e->incoming->parked_schema = -1;
	return rc;
}

static void
import_clear(struct import *im)
{
	int i;

	for (i = 0; im->table != NULL && i < im->page.ntable; i++)
		match_clear(&im->table[i].columns);
	sqlite3_free(im->table);
	sqlite3_free(im->site);
	apply_clear(&im->apply);
	page_close(&im->page);
}

/* -- rows --------------------------------------------------------------------- */

/* Puts a row's cells into apply's array; -1 is no memory. */
static int
give_cells(struct import *im, const struct page_row *row)
{
	const struct match_column *columns =
	    im->table[row->table].columns.column;
	int ncol = im->page.table[row->table].ncol;
	int i, n = row->kind == PAGE_FRESH ? ncol : row->ncell;
	struct apply_cell *c;

	if (apply_room(&im->apply, ncol + 1) != SQLITE_OK)
		return -1;
	c = im->apply.given;
	memset(c, 0, sizeof *c);
	c->name = "";
	c->cell.col = -1;
	c->cell.value.type = SQLITE_NULL;
	if (row->kind == PAGE_DEAD || n == 0) {
		/* A delete, or a row that is nothing but its key. */
		c->cell.version = row->cl;
		c->cell.seq = row->seq;
		return 1;
	}
	for (i = 0; i < n; i++, c++) {
		int col = row->kind == PAGE_FRESH ? i : row->cell[i].col;

		if (row->kind == PAGE_FRESH) {
			c->cell.version = 1;
			c->cell.seq = row->seq + i;
			c->cell.value = row->value[i];
		} else {
			c->cell.version = row->cell[i].version;
			c->cell.seq = row->cell[i].seq;
			c->cell.value = row->cell[i].value;
		}
		c->name = col < 0 ? "" : columns[col].name;
		c->nname = col < 0 ? 0 : columns[col].nname;
		c->cell.col = col < 0 ? -1 : columns[col].col;
	}
	return n;
}

/* A key that can't be one here: the change waits under the key it came
 * with. */
static int
park_key(struct import *im, struct merge_origin *o, const struct page_row *row)
{
	struct table *t = im->table[row->table].here;
	char *reason;
	int n, rc;

	if (row->kind == PAGE_PARKED)
		return SQLITE_OK;       /* it is parked where it came from */
	n = give_cells(im, row);
	reason = sqlite3_mprintf("%s", engine_error(im->e));
	rc = n < 0 || reason == NULL ? SQLITE_NOMEM :
	    apply_park(&im->apply, o, t, row->pk, row->npk, row->cl, n,
	    reason);
	sqlite3_free(reason);
	return rc;
}

static int
import_fresh(struct import *im, struct merge_origin *o,
    const struct page_row *row, bool *done)
{
	struct import_table *m = &im->table[row->table];
	const struct buf *pk = &im->e->incoming->pk;
	int64_t key;
	int rc = SQLITE_OK;

	*done = false;
	if (row->kind != PAGE_FRESH || !m->columns.same ||
	    o->behind != BEHIND_NOT)
		return SQLITE_OK;
	if (m->known)
		rc = table_find_key(im->e, m->here, pk->data, (int)pk->len,
		    &m->known, &key);
	if (rc != SQLITE_OK || m->known)
		return rc;
	rc = merge_fresh(im->e, o, m->here, row->seq, row->value, done);
	m->known = !*done;
	if (*done)
		im->apply.changes += m->here->ncol > 0 ? m->here->ncol : 1;
	/* A refusal is met again, and parked, on the other way. */
	return merge_refused(rc) ? SQLITE_OK : rc;
}

/* Who does not show our horizon may be behind it, and what he made on top of that
 * is no better for being new (R20): nothing of his may change anything. */
static int
find_behind(struct import *im, struct merge_origin *o, int table)
{
	const struct import_table *m = &im->table[table];
	const struct horizon *h;
	int rc = SQLITE_OK;

	o->behind = BEHIND_NOT;
	if (m->shown)
		return rc;
	rc = horizon_get(im->e, &h);
	if (rc == SQLITE_OK)
		o->behind = o->sver > 0 && o->sver <= horizon_version(h,
		    m->here->id, o->id) ? BEHIND_YES : BEHIND_SENDER;
	return rc;
}

static int
import_row(struct import *im, struct merge_origin *o,
    const struct page_row *row)
{
	struct table *t = im->table[row->table].here;
	int64_t before = im->apply.changes;
	bool done;
	int n, rc;

	if (t == NULL)
		return SQLITE_OK;       /* R12 */
	rc = find_behind(im, o, row->table);
	if (rc == SQLITE_OK)
		rc = merge_key(im->e, t, row->pk, row->npk, true);
	if (merge_refused(rc) || rc == SQLITE_RANGE)
		return park_key(im, o, row);
	if (rc == SQLITE_OK)
		rc = import_fresh(im, o, row, &done);
	if (rc == SQLITE_OK && !done && row->kind == PAGE_PARKED)
		rc = apply_parked(&im->apply, o, t, row->bytes, row->nbytes);
	else if (rc == SQLITE_OK && !done) {
		n = give_cells(im, row);
		rc = n < 0 ? SQLITE_NOMEM :
		    apply_change(&im->apply, o, t, row->cl, n);
	}
	if (rc == SQLITE_OK && im->apply.changes > before)
		rc = retry_note(&im->apply, t);
	return rc;
}

/* -- transactions -------------------------------------------------------------- */

/* Also one that is named by a step only is known by its key from now on, and by an
 * ordinal while few enough are: else -1. */
static int
ordinal_of(struct import *im, int i, int64_t *out)
{
	const struct page_site *s = &im->page.site[i];
	int64_t *ordinal = &im->site[i];
	int rc = SQLITE_OK;

	if (*ordinal < 0) {
		rc = site_ordinal(im->e, s->id, SITE_ID_LEN, false, ordinal);
		if (rc == SQLITE_OK && *ordinal < 0 && im->room.sites > 0) {
			im->room.sites--;
			rc = site_ordinal(im->e, s->id, SITE_ID_LEN, true,
			    ordinal);
		}
		if (rc == SQLITE_OK && *ordinal >= 0 && s->key != NULL)
			rc = site_learn_key(im->e, *ordinal, s->key,
			    s->incarnation);
	}
	*out = *ordinal;
	return rc;
}

static int
import_step(struct import *im, const struct page_tx *tx,
    const struct page_step *step)
{
	int64_t site, other = -1;
	int rc;

	if (!seen_takes(im->e, &im->room, tx, step))
		return SQLITE_OK;
	rc = ordinal_of(im, tx->site, &site);
	if (rc == SQLITE_OK && site >= 0 && site != im->e->me)
		rc = ordinal_of(im, step->other, &other);
	if (rc != SQLITE_OK || other < 0)
		return rc;
	im->e->incoming->step_room--;
	return seen_store(im->e, site, step->version, other, step->upto);
}

static int
import_steps(struct import *im, struct page_tx *tx)
{
	struct page_step step;
	int more, rc = SQLITE_OK;

	if (tx->nstep > 0)
		rc = seen_open(im->e, &im->room);
	while (rc == SQLITE_OK &&
	    (more = page_read_step(&im->page, tx, &step)) != 0)
		rc = more > 0 ? import_step(im, tx, &step) :
		    page_malformed(im->e);
	return rc;
}

/* A transaction that began in an earlier page, or in this one given before,
 * goes on under its dbv; so do changes of no known version that shared a dbv
 * at the sender. */
static bool
goes_on(const struct import *im, const struct page_tx *tx)
{
	const struct incoming *in = im->e->incoming;

	return in->import_dbv != 0 && in->import_dbv == im->e->tx.current &&
	    !im->e->tx.current_own && in->import_sver == tx->sver &&
	    memcmp(in->import_token, tx->header + HEADER_LEN - TOKEN_LEN,
	    TOKEN_LEN) == 0 && (tx->sver == 0 || memcmp(in->import_site,
	    im->page.site[tx->site].id, SITE_ID_LEN) == 0);
}

static int
import_rows(struct import *im, struct page_tx *tx, struct merge_origin *o)
{
	struct page_row row;
	uint32_t n = 0;
	int more, rc;

	while ((more = page_read_row(&im->page, tx, &row)) > 0) {
		rc = import_row(im, o, &row);
		if (rc != SQLITE_OK)
			return rc;
		n++;
	}
	return more < 0 || n != tx->nrow ? page_malformed(im->e) : SQLITE_OK;
}

static int
import_tx(struct import *im, struct page_tx *tx)
{
	const struct page_site *site = &im->page.site[tx->site];
	struct incoming *in = im->e->incoming;
	struct merge_origin o = { .via = MERGE_IMPORT, .nid = SITE_ID_LEN,
	    .key = site->key, .incarnation = site->incarnation,
	    .site = im->site[tx->site], .sver = tx->sver,
	    .header = tx->header };
	int rc;

	memcpy(o.id, site->id, SITE_ID_LEN);
	o.dbv = goes_on(im, tx) ? in->import_dbv : 0;
	rc = import_steps(im, tx);
	if (rc == SQLITE_OK)
		rc = import_rows(im, tx, &o);
	if (rc == SQLITE_OK)
		rc = place_flush(im->e);
	im->site[tx->site] = o.site;
	if (o.dbv == 0)
		return rc;      /* nothing won, nothing was begun */
	in->import_dbv = o.dbv;
	in->import_sver = o.sver;
	memcpy(in->import_site, site->id, SITE_ID_LEN);
	memcpy(in->import_token, tx->header + HEADER_LEN - TOKEN_LEN,
	    TOKEN_LEN);
	return rc;
}

/* -- the functions ---------------------------------------------------------------- */

/* What is parked is tried when the schema is another than it was, and when a
 * name was learned. */
static int
retry_on_schema_change(struct apply *a)
{
	struct incoming *in = a->e->incoming;
	int rc = SQLITE_OK;

	if (in->parked_schema != a->e->tables.schema_version)
		rc = apply_retry(a, NULL);
	in->parked_schema = a->e->tables.schema_version;
	return rc;
}

/* Of each table that the page has one of: the sender's horizon is ours from now
 * on, before anything else of the page. */
static int
list_rising(struct import *im, struct gc_raise *raise, int *n)
{
	const struct horizon *h;
	int i, rc = horizon_get(im->e, &h);

	*n = 0;
	for (i = 0; i < im->page.ntable && rc == SQLITE_OK; i++) {
		const struct page_table *t = &im->page.table[i];

		if (t->horizon >= 0 && im->table[i].here != NULL &&
		    horizon_rises(h, im->table[i].here->id,
		    &im->page.horizon[t->horizon]))
			raise[(*n)++] = (struct gc_raise){
			    .table = im->table[i].here, .newcomer = t->unproven,
			    .given = &im->page.horizon[t->horizon] };
	}
	return rc;
}

static int
find_shown(struct import *im)
{
	static const struct horizon_given none;
	const struct horizon *h;
	int i, rc = horizon_get(im->e, &h);

	for (i = 0; i < im->page.ntable && rc == SQLITE_OK; i++) {
		const struct page_table *t = &im->page.table[i];

		if (im->table[i].here != NULL)
			im->table[i].shown = horizon_within(h,
			    im->table[i].here->id, t->horizon >= 0 ?
			    &im->page.horizon[t->horizon] : &none);
	}
	return rc;
}

static int
take_horizon(struct import *im)
{
	struct gc_raise *raise;
	int n = 0, rc;

	raise = sqlite3_malloc64(((size_t)im->page.ntable + 1) * sizeof *raise);
	rc = raise != NULL ? list_rising(im, raise, &n) : SQLITE_NOMEM;
	if (rc == SQLITE_OK && n > 0)
		rc = gc_join(im->e, raise, n, NULL);
	sqlite3_free(raise);
	return rc == SQLITE_OK ? find_shown(im) : rc;
}

static int
import_page(struct import *im)
{
	struct page_tx tx;
	bool whole = true;
	int more, rc;

	rc = apply_init(im->e, &im->apply);
	if (rc == SQLITE_OK)
		rc = map_tables(im);
	if (rc == SQLITE_OK)
		rc = take_horizon(im);
	if (rc == SQLITE_OK)
		rc = retry_on_schema_change(&im->apply);
	while (rc == SQLITE_OK && (more = page_read_tx(&im->page, &tx)) != 0) {
		rc = more > 0 ? import_tx(im, &tx) : page_malformed(im->e);
		if (tx.nrow > 0)        /* else it is there for its steps */
			whole = (tx.flags & PAGE_TX_ENDS) != 0;
	}
	return rc == SQLITE_OK && whole ? retry_due(&im->apply) : rc;
}

static int
import_quietly(struct import *im, int len)
{
	bool quiet = false;
	int rc = SQLITE_OK;

	if (len >= QUIET_FROM)
		rc = quiet_begin(im->e, &quiet);
	im->e->merging++;
	if (rc == SQLITE_OK)
		rc = import_page(im);
	im->e->merging--;
	quiet_end(im->e, quiet);
	return rc;
}

static void
crsql_import(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int len = sqlite3_value_bytes(argv[0]);
	bool batch = argc > 1 && sqlite3_value_int(argv[1]) != 0;
	struct import im = { .e = e };
	struct apply_scope scope;
	sqlite3_int64 changes;
	int rc;

	rc = page_open(e, sqlite3_value_blob(argv[0]), (size_t)len, &im.page);
	if (rc == SQLITE_OK) {
		rc = apply_begin(e, batch, &scope);
		if (rc == SQLITE_OK)
			rc = import_quietly(&im, len);
		rc = apply_end(e, &scope, rc);
	}
	changes = im.apply.changes;
	import_clear(&im);
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, changes);
	else
		engine_result_error(e, ctx, rc);
}

int
import_register(struct engine *e)
{
	int n, rc = SQLITE_OK;

	for (n = 1; n <= 2 && rc == SQLITE_OK; n++)
		rc = sqlite3_create_function(e->db, "crsql_import", n,
		    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, crsql_import, NULL,
		    NULL);
	return rc;
}

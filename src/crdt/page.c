// SPDX-License-Identifier: MPL-2.0
/* page.c - reading a page (writing: page_write.c); the format is in page.h. */
#include "crdt/page.h"

#include <string.h>

#include "crdt/columns.h"

enum { MIN_TABLE_BYTES = 4, MIN_SITE_BYTES = 17 };

/* -- the head ---------------------------------------------------------------- */

int
page_malformed(struct engine *e)
{
	return engine_fail(e, SQLITE_ERROR, "the page is malformed");
}

bool
page_text(struct rd *r, size_t max, const char **text, int *len)
{
	uint64_t n = rd_varint(r, max);

	*text = (const char *)rd_bytes(r, (size_t)n);
	*len = *text != NULL ? (int)n : 0;
	return *text != NULL;
}

static int
read_index(struct rd *r, int n)
{
	if (n == 0) {
		rd_fail(r);
		return 0;
	}
	return (int)rd_varint(r, (uint64_t)n - 1);
}

void
page_read_old(struct rd *r, const struct page_table *t, int *column,
    const char **name, int *len)
{
	*column = read_index(r, t->ncol);
	page_text(r, NAME_MAX_BYTES, name, len);
}

static void
read_table(const struct page *p, struct rd *r, struct page_table *t)
{
	const char *name;
	int i, column, len, forgotten = 0;

	page_text(r, NAME_MAX_BYTES, &t->name, &t->nname);
	t->npk = (int)rd_varint(r, PACK_MAX_COLUMNS);
	if (t->npk == 0)
		rd_fail(r);
	t->ncol = (int)rd_count(r, PAGE_MAX_COLUMNS, 1);
	t->columns = *r;
	for (i = 0; i < t->ncol && !rd_failed(r); i++)
		page_text(r, NAME_MAX_BYTES, &name, &len);
	t->nold = (int)rd_count(r, OLD_NAMES_MAX, 2);
	t->old = *r;
	for (i = 0; i < t->nold && !rd_failed(r); i++)
		page_read_old(r, t, &column, &name, &len);
	if (p->flags & PAGE_HORIZON)
		forgotten = (int)rd_varint(r, 2 * (uint64_t)p->nhorizon);
	t->horizon = (forgotten - 1) >> 1;
	t->unproven = forgotten > 0 && forgotten % 2 == 0;
}

static void
read_site(struct rd *r, struct page_site *s)
{
	uint8_t known;

	s->id = rd_bytes(r, SITE_ID_LEN);
	known = rd_u8(r);
	if (known > 1)
		rd_fail(r);
	if (known == 1) {
		s->key = rd_bytes(r, SITE_KEY_LEN);
		s->incarnation = rd_bytes(r, INCARNATION_LEN);
	}
}

/* An array of n elements, zeroed; at least one, so that NULL is failure. */
static void *
new_array(int n, size_t size)
{
	size_t bytes = (size_t)(n > 0 ? n : 1) * size;
	void *p = sqlite3_malloc64(bytes);

	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

static int
read_horizons(struct page *p, struct rd *r)
{
	int i;

	p->nhorizon = p->flags & PAGE_HORIZON ?
	    (int)rd_count(r, PAGE_MAX_TABLES, 1) : 0;
	p->horizon = new_array(p->nhorizon, sizeof *p->horizon);
	if (p->horizon == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < p->nhorizon && !rd_failed(r); i++)
		horizon_take(r, true, &p->horizon[i]);
	return SQLITE_OK;
}

static int
read_tables(struct page *p, struct rd *r)
{
	int i;

	p->ntable = (int)rd_count(r, PAGE_MAX_TABLES, MIN_TABLE_BYTES);
	p->table = new_array(p->ntable, sizeof *p->table);
	if (p->table == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < p->ntable && !rd_failed(r); i++) {
		read_table(p, r, &p->table[i]);
		if (p->table[i].ncol >= p->max_cell)
			p->max_cell = p->table[i].ncol + 1;
	}
	return SQLITE_OK;
}

static int
read_sites(struct page *p, struct rd *r)
{
	int i;

	p->nsite = (int)rd_count(r, PAGE_MAX_SITES, MIN_SITE_BYTES);
	p->site = new_array(p->nsite, sizeof *p->site);
	if (p->site == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < p->nsite && !rd_failed(r); i++)
		read_site(r, &p->site[i]);
	return SQLITE_OK;
}

int
page_open(struct engine *e, const uint8_t *data, size_t len, struct page *p)
{
	struct rd r;
	const uint8_t *magic, *cursor;
	int rc;

	memset(p, 0, sizeof *p);
	rd_init(&r, data, len);
	magic = rd_bytes(&r, 3);
	if (magic == NULL || magic[0] != 'D' || magic[1] != 'P')
		return engine_fail(e, SQLITE_ERROR, "this is not a page");
	if (magic[2] != PAGE_VERSION)
		return engine_fail(e, SQLITE_ERROR,
		    "a page of version %d can't be read here", magic[2]);
	p->flags = rd_u8(&r);
	cursor = rd_bytes(&r, CURSOR_LEN);
	if (cursor != NULL)
		cursor_read(cursor, &p->end);
	rc = read_horizons(p, &r);
	if (rc == SQLITE_OK)
		rc = read_tables(p, &r);
	if (rc == SQLITE_OK)
		rc = read_sites(p, &r);
	if (rc != SQLITE_OK)
		return rc;
	if (rd_varint(&r, UINT64_MAX) != rd_left(&r) || rd_failed(&r))
		return page_malformed(e);
	p->cell = new_array(p->max_cell, sizeof *p->cell);
	p->value = new_array(p->max_cell, sizeof *p->value);
	p->mark = new_array(p->max_cell, sizeof *p->mark);
	p->rest = r;
	return p->cell != NULL && p->value != NULL && p->mark != NULL ?
	    SQLITE_OK : SQLITE_NOMEM;
}

void
page_close(struct page *p)
{
	sqlite3_free(p->horizon);
	sqlite3_free(p->table);
	sqlite3_free(p->site);
	sqlite3_free(p->cell);
	sqlite3_free(p->value);
	sqlite3_free(p->mark);
	memset(p, 0, sizeof *p);
}

/* -- transactions ---------------------------------------------------------------- */

static void
read_one_step(const struct page *p, struct rd *r, struct page_step *step)
{
	step->other = read_index(r, p->nsite);
	step->upto = (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
	step->version = (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
}

int
page_read_tx(struct page *p, struct page_tx *tx)
{
	struct rd *r = &p->rest;
	struct page_step step;
	int i;

	if (rd_done(r))
		return 0;
	memset(tx, 0, sizeof *tx);
	tx->table = -1;
	tx->site = read_index(r, p->nsite);
	tx->sver = (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
	tx->flags = rd_u8(r);
	if (tx->flags > (PAGE_TX_BEGINS | PAGE_TX_ENDS))
		rd_fail(r);
	tx->header = rd_bytes(r, HEADER_LEN);
	tx->nstep = (int)rd_count(r, PAGE_MAX_STEPS, 3);
	tx->steps = *r;
	for (i = 0; i < tx->nstep && !rd_failed(r); i++)
		read_one_step(p, r, &step);
	tx->nrow = rd_u32(r);
	tx->length = rd_u32(r);
	tx->rows = rd_slice(r, tx->length);
	return rd_failed(r) ? -1 : 1;
}

int
page_read_step(const struct page *p, struct page_tx *tx,
    struct page_step *step)
{
	if (tx->nstep == 0)
		return 0;
	tx->nstep--;
	read_one_step(p, &tx->steps, step);
	return rd_failed(&tx->steps) ? -1 : 1;
}

/* -- rows -------------------------------------------------------------------------- */

static int64_t
read_number(struct rd *r)
{
	return (int64_t)rd_varint(r, (uint64_t)VERSION_MAX);
}

/* Anything between 0 and SEQ_MAX, told by its distance to what is
 * expected. */
static int64_t
read_seq(struct page_tx *tx)
{
	int64_t d = rd_zigzag(&tx->rows), seq;

	if (__builtin_add_overflow(tx->seq, d, &seq) || seq < 0 ||
	    seq > SEQ_MAX) {
		rd_fail(&tx->rows);
		return 0;
	}
	tx->seq = seq + 1;
	return seq;
}

static void
read_fresh(struct page *p, struct page_tx *tx, struct page_row *row)
{
	const struct page_table *t = &p->table[row->table];
	struct rd *r = &tx->rows;
	int i;

	row->cl = 1;
	row->seq = read_seq(tx);
	pack_skip(r, t->npk, &row->pk, &row->npk);
	row->value = p->value;
	for (i = 0; i < t->ncol && !rd_failed(r); i++)
		val_decode(r, &p->value[i]);
	tx->seq = row->seq + (t->ncol > 0 ? t->ncol : 1);
}

static void
read_cell(struct page *p, struct page_tx *tx, int ncol, struct page_cell *c)
{
	struct rd *r = &tx->rows;
	int col = (int)rd_varint(r, (uint64_t)ncol);

	c->col = col - 1;
	c->version = read_number(r);
	c->seq = read_seq(tx);
	if (p->mark[col] == p->row_number)
		rd_fail(r);     /* a column twice */
	p->mark[col] = p->row_number;
	if (col > 0)
		val_decode(r, &c->value);
	else
		memset(&c->value, 0, sizeof c->value);
}

static void
read_cells(struct page *p, struct page_tx *tx, struct page_row *row)
{
	const struct page_table *t = &p->table[row->table];
	struct rd *r = &tx->rows;
	int i;

	if (++p->row_number == 0)
		rd_fail(r);
	row->cl = read_number(r);
	pack_skip(r, t->npk, &row->pk, &row->npk);
	row->ncell = (int)rd_varint(r, (uint64_t)t->ncol + 1);
	if (row->ncell == 0 || row->cl % 2 == 0)
		rd_fail(r);
	row->cell = p->cell;
	for (i = 0; i < row->ncell && !rd_failed(r); i++)
		read_cell(p, tx, t->ncol, &p->cell[i]);
}

static void
read_parked(struct page *p, struct page_tx *tx, struct page_row *row)
{
	struct rd *r = &tx->rows;

	pack_skip(r, p->table[row->table].npk, &row->pk, &row->npk);
	row->nbytes = (int)rd_varint(r, INT32_MAX);
	row->bytes = rd_bytes(r, (size_t)row->nbytes);
}

int
page_read_row(struct page *p, struct page_tx *tx, struct page_row *row)
{
	struct rd *r = &tx->rows;

	if (rd_done(r))
		return 0;
	row->kind = (enum page_kind)rd_u8(r);
	if (row->kind == PAGE_TABLE) {
		tx->table = read_index(r, p->ntable);
		row->kind = (enum page_kind)rd_u8(r);
	}
	row->table = tx->table;
	row->ncell = 0;
	if (tx->table < 0)
		rd_fail(r);
	else if (row->kind == PAGE_FRESH)
		read_fresh(p, tx, row);
	else if (row->kind == PAGE_CELLS)
		read_cells(p, tx, row);
	else if (row->kind == PAGE_DEAD) {
		row->cl = read_number(r);
		row->seq = read_seq(tx);
		pack_skip(r, p->table[row->table].npk, &row->pk, &row->npk);
		if (row->cl == 0 || row->cl % 2 != 0)
			rd_fail(r);
	} else if (row->kind == PAGE_PARKED)
		read_parked(p, tx, row);
	else
		rd_fail(r);
	return rd_failed(r) ? -1 : 1;
}

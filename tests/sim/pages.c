// SPDX-License-Identifier: MPL-2.0
#include "pages.h"

#include <string.h>

#include "base/rd.h"

enum { TABLES_MAX = 16, SITES_MAX = 64, COLUMNS_MAX = 8, FLAG_HORIZON = 16,
	KIND_TABLE = 1, KIND_FRESH, KIND_CELLS, KIND_DEAD, SANE = 1 << 20 };

struct page {
	struct rd r;
	int ntable, nsite;
	struct page_table {
		int number;             /* of history_tables */
		int ncol;
		int column[COLUMNS_MAX];        /* of history_tables */
	} table[TABLES_MAX];
	const uint8_t *site[SITES_MAX];
};

/* -- values ------------------------------------------------------------------------ */

int
value_of(struct value *out, sqlite3_stmt *stmt, int i)
{
	const void *data;

	memset(out, 0, sizeof *out);
	out->type = sqlite3_column_type(stmt, i);
	if (out->type == SQLITE_INTEGER)
		out->i = sqlite3_column_int64(stmt, i);
	else if (out->type == SQLITE_FLOAT)
		out->r = sqlite3_column_double(stmt, i);
	if (out->type != SQLITE_TEXT && out->type != SQLITE_BLOB)
		return 1;
	data = sqlite3_column_blob(stmt, i);
	out->len = sqlite3_column_bytes(stmt, i);
	if (out->len > VALUE_BYTES_MAX)
		return 0;
	if (out->len > 0)
		memcpy(out->data, data, (size_t)out->len);
	return 1;
}

void
value_bind(sqlite3_stmt *stmt, int i, const struct value *v)
{
	switch (v->type) {
	case SQLITE_INTEGER: sqlite3_bind_int64(stmt, i, v->i); break;
	case SQLITE_FLOAT: sqlite3_bind_double(stmt, i, v->r); break;
	case SQLITE_TEXT:
		sqlite3_bind_text(stmt, i, (const char *)v->data, v->len,
		    SQLITE_TRANSIENT);
		break;
	case SQLITE_BLOB:
		sqlite3_bind_blob(stmt, i, v->data, v->len, SQLITE_TRANSIENT);
		break;
	default: sqlite3_bind_null(stmt, i); break;
	}
}

/* SQLite counts types from integer to NULL, as they win. */
int
value_compare(const struct value *a, const struct value *b)
{
	static const int order[6] = { 0, 5, 4, 3, 2, 1 };
	int n, c;

	if (a->type != b->type)
		return order[a->type] - order[b->type];
	if (a->type == SQLITE_INTEGER)
		return (a->i > b->i) - (a->i < b->i);
	if (a->type == SQLITE_FLOAT)
		return (a->r > b->r) - (a->r < b->r);
	n = a->len < b->len ? a->len : b->len;
	c = memcmp(a->data, b->data, (size_t)n);
	return c != 0 ? c : a->len - b->len;
}

static uint64_t
number(struct rd *r, int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | rd_u8(r);
	return v;
}

static int64_t
signed_number(struct rd *r, int n)
{
	return (int64_t)number(r, n);
}

static void
read_value(struct rd *r, struct value *v)
{
	uint8_t tag = rd_u8(r);
	uint64_t bits;

	memset(v, 0, sizeof *v);
	v->type = tag & 7;
	if (v->type == SQLITE_INTEGER) {
		v->i = signed_number(r, tag >> 3);
	} else if (v->type == SQLITE_FLOAT) {
		bits = number(r, 8);
		memcpy(&v->r, &bits, sizeof v->r);
	} else if (v->type == SQLITE_TEXT || v->type == SQLITE_BLOB) {
		bits = number(r, tag >> 3);
		v->len = bits <= VALUE_BYTES_MAX ? (int)bits : 0;
		rd_copy(r, (size_t)bits, bits <= VALUE_BYTES_MAX ?
		    v->data : (uint8_t[1]){ 0 });
		if (bits > VALUE_BYTES_MAX)
			rd_fail(r);
	} else if (v->type != SQLITE_NULL) {
		rd_fail(r);
	}
}

static void
read_pk(struct rd *r, struct row_change *row)
{
	size_t left = rd_left(r), n;
	struct rd start = *r;
	struct value v;
	int cells;

	for (cells = rd_u8(r); cells > 0 && !rd_failed(r); cells--)
		read_value(r, &v);
	n = left - rd_left(r);
	row->npk = n <= PK_MAX ? (int)n : 0;
	if (n > PK_MAX)
		rd_fail(r);
	else
		rd_copy(&start, n, row->pk);
}

/* -- the head ---------------------------------------------------------------------- */

static const uint8_t *
read_text(struct rd *r, size_t *len)
{
	*len = (size_t)rd_varint(r, SANE);
	return rd_bytes(r, *len);
}

static int
table_number(const uint8_t *name, size_t len)
{
	int i;

	for (i = 0; i < HISTORY_NTABLES && name != NULL; i++)
		if (strlen(history_tables[i].name) == len &&
		    memcmp(history_tables[i].name, name, len) == 0)
			return i;
	return -1;
}

static int
column_number(int table, const uint8_t *name, size_t len)
{
	const char *const *is = history_tables[table < 0 ? 0 : table].column;
	int i;

	for (i = 0; table >= 0 && i < HISTORY_NCOLUMNS && is[i] != NULL; i++)
		if (strlen(is[i]) == len && memcmp(is[i], name, len) == 0)
			return i;
	return -1;
}

static void
read_table(struct page *p, int flags)
{
	struct page_table *t = &p->table[p->ntable++];
	const uint8_t *name;
	uint64_t n;
	size_t len;
	int i;

	name = read_text(&p->r, &len);
	t->number = table_number(name, len);
	rd_varint(&p->r, SANE);
	t->ncol = (int)rd_varint(&p->r, COLUMNS_MAX);
	for (i = 0; i < t->ncol; i++) {
		name = read_text(&p->r, &len);
		t->column[i] = name != NULL ? column_number(t->number, name, len)
		    : -1;
	}
	for (n = rd_varint(&p->r, SANE); n > 0 && !rd_failed(&p->r); n--) {
		rd_varint(&p->r, SANE);
		read_text(&p->r, &len);
	}
	if (flags & FLAG_HORIZON)
		rd_varint(&p->r, SANE);
	if (t->number < 0)
		rd_fail(&p->r);
}

static void
read_horizons(struct rd *r)
{
	uint64_t n, entries;

	for (n = rd_varint(r, SANE); n > 0 && !rd_failed(r); n--)
		for (entries = rd_varint(r, SANE); entries > 0 &&
		    !rd_failed(r); entries--) {
			rd_bytes(r, SITE_LEN);
			rd_varint(r, INT64_MAX);
		}
}

static void
read_head(struct page *p)
{
	uint64_t n;
	int flags;

	rd_bytes(&p->r, 3);
	flags = rd_u8(&p->r);
	rd_bytes(&p->r, 40);
	if (flags & FLAG_HORIZON)
		read_horizons(&p->r);
	for (n = rd_varint(&p->r, TABLES_MAX); n > 0 && !rd_failed(&p->r); n--)
		read_table(p, flags);
	for (n = rd_varint(&p->r, SITES_MAX); n > 0 && !rd_failed(&p->r); n--) {
		p->site[p->nsite++] = rd_bytes(&p->r, SITE_LEN);
		if (rd_u8(&p->r) == 1)
			rd_bytes(&p->r, 40);
	}
	rd_varint(&p->r, UINT64_MAX);
}

/* -- transactions -------------------------------------------------------------------- */

static void
read_cells(struct rd *r, const struct page_table *t, struct row_change *row)
{
	uint64_t n, column;
	struct cell_change *c;

	row->cl = (int64_t)rd_varint(r, INT64_MAX);
	read_pk(r, row);
	for (n = rd_varint(r, CELLS_MAX); n > 0 && !rd_failed(r); n--) {
		c = &row->cell[row->ncell++];
		column = rd_varint(r, COLUMNS_MAX);
		c->column = column > 0 ? t->column[column - 1] : COLUMN_ROW;
		c->version = (int64_t)rd_varint(r, INT64_MAX);
		rd_zigzag(r);
		if (column > 0)
			read_value(r, &c->value);
	}
}

static void
read_row(struct rd *r, const struct page_table *t, int kind,
    struct row_change *row)
{
	int i;

	row->table = t->number;
	row->ncell = 0;
	if (kind == KIND_FRESH) {
		rd_zigzag(r);
		read_pk(r, row);
		row->cl = 1;
		for (i = 0; i < t->ncol && !rd_failed(r); i++) {
			row->cell[i].column = t->column[i];
			row->cell[i].version = 1;
			read_value(r, &row->cell[i].value);
		}
		row->ncell = t->ncol;
	} else if (kind == KIND_CELLS) {
		read_cells(r, t, row);
	} else if (kind == KIND_DEAD) {
		row->cl = (int64_t)rd_varint(r, INT64_MAX);
		rd_zigzag(r);
		read_pk(r, row);
	} else {
		rd_fail(r);
	}
}

static void
read_transaction(struct page *p, void (*each)(void *self,
    const struct row_change *row), void *self)
{
	struct row_change row = { .version = 0 };
	uint64_t site = rd_varint(&p->r, SITES_MAX), n, table = TABLES_MAX;
	int kind;

	row.version = (int64_t)rd_varint(&p->r, INT64_MAX);
	if (site < (uint64_t)p->nsite && p->site[site] != NULL)
		memcpy(row.site, p->site[site], SITE_LEN);
	rd_bytes(&p->r, 1 + 14);
	for (n = 3 * rd_varint(&p->r, SANE); n > 0 && !rd_failed(&p->r); n--)
		rd_varint(&p->r, UINT64_MAX);
	n = rd_u32(&p->r);
	rd_u32(&p->r);
	while (n > 0 && !rd_failed(&p->r)) {
		kind = rd_u8(&p->r);
		if (kind == KIND_TABLE) {
			table = rd_varint(&p->r, TABLES_MAX);
			continue;
		}
		if (table >= (uint64_t)p->ntable)
			rd_fail(&p->r);
		else
			read_row(&p->r, &p->table[table], kind, &row);
		if (!rd_failed(&p->r))
			each(self, &row);
		n--;
	}
}

int
pages_read(const uint8_t *page, size_t len,
    void (*each)(void *self, const struct row_change *row), void *self)
{
	struct page p = { .ntable = 0 };

	rd_init(&p.r, page, len);
	read_head(&p);
	while (!rd_failed(&p.r) && rd_left(&p.r) > 0)
		read_transaction(&p, each, self);
	return rd_failed(&p.r) ? -1 : 0;
}

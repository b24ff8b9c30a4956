// SPDX-License-Identifier: MPL-2.0
/* rows.c - see rows.h. */
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/sql.h"
#include "store/store_private.h"

/* -- memory: blocks that stay where they are -------------------------------------- */

enum { BLOCK_BYTES = 65536 };

struct rows_block {
	struct rows_block *next;
	size_t used, size;
	_Alignas(16) uint8_t data[];
};

void *
rows_take(struct rows *r, size_t n)
{
	struct rows_block *b = r->blocks;
	size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;

	n = (n + 15) & ~(size_t)15;
	if (b == NULL || b->size - b->used < n) {
		b = malloc(sizeof *b + size + 16);
		if (b == NULL)
			return NULL;
		*b = (struct rows_block){ .next = r->blocks, .size = size + 16 };
		r->blocks = b;
	}
	b->used += n;
	return b->data + b->used - n;
}

char *
rows_text(struct rows *r, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;
	char *out = text != NULL ? rows_take(r, len + 1) : NULL;

	return out != NULL ? memcpy(out, text, len + 1) : NULL;
}

size_t
rows_bytes(const struct rows *r)
{
	const struct rows_block *b;
	size_t bytes = 0;

	for (b = r->blocks; b != NULL; b = b->next)
		bytes += b->size;
	return bytes;
}

void
rows_clear(struct rows *r)
{
	struct rows_block *b;

	while ((b = r->blocks) != NULL) {
		r->blocks = b->next;
		free(b);
	}
	free(r->change);
	memset(r, 0, sizeof *r);
}

void
rows_again(struct rows *r)
{
	struct rows_block *b = r->blocks, *next;

	if (b == NULL)
		return;
	for (next = b->next; next != NULL; next = b->next) {
		b->next = next->next;
		free(next);
	}
	b->used = 0;
	r->n = 0;
}

/* -- values -------------------------------------------------------------------------- */

bool
rows_value(struct rows *r, sqlite3_stmt *stmt, int i, struct store_value *v)
{
	void *copy;

	*v = history_value(stmt, i);
	if (v->type != STORE_TEXT && v->type != STORE_BLOB)
		return true;
	copy = rows_take(r, v->size + 1);
	if (copy == NULL)
		return false;
	v->data = memcpy(copy, v->data, v->size);
	return true;
}

/* A value that found no memory is told of here. */
static int
reset(sqlite3_stmt *stmt, int rc, struct err *err)
{
	int last = sqlite3_reset(stmt);

	return rc == 0 && last != SQLITE_OK ?
	    sql_fail(sqlite3_db_handle(stmt), last, err) : rc;
}

/* Room for 1, 2, 4, 8 ... */
void *
rows_grow(struct rows *r, void *list, size_t n, size_t size)
{
	void *grown;

	if ((n & (n - 1)) != 0)
		return list;
	grown = rows_take(r, (n > 0 ? 2 * n : 1) * size);
	if (grown != NULL && n > 0)
		memcpy(grown, list, n * size);
	return grown;
}

/* Adds a cell of that name, which stays where it is, to a list that may have to
 * move; NULL without memory, or without a name. */
static struct store_cell *
add_cell(struct rows *r, struct store_cell **list, size_t *n, const char *name)
{
	struct store_cell *grown = name != NULL ? rows_grow(r, *list, *n,
	    sizeof *grown) : NULL;

	if (grown == NULL)
		return NULL;
	*list = grown;
	grown += (*n)++;
	memset(grown, 0, sizeof *grown);
	grown->column = name;
	return grown;
}

int
rows_key(struct rows *r, sqlite3_stmt *names, sqlite3_stmt *values,
    const void *pk, size_t npk, struct store_cell **key, size_t *nkey,
    struct err *err)
{
	size_t n = npk > 0 ? *(const uint8_t *)pk : 0;
	bool name = true, value = true;
	struct store_cell *c;
	int rc = 0;

	*nkey = 0;
	*key = rows_take(r, n * sizeof *c + 1);
	if (*key == NULL)
		rc = err_nomem(err);
	while (rc == 0 && *nkey < n) {
		rc = sql_next(names, &name, err);
		if (rc == 0)
			rc = sql_next(values, &value, err);
		if (rc != 0 || !name || !value)
			break;
		c = &(*key)[(*nkey)++];
		c->column = rows_text(r,
		    (const char *)sqlite3_column_text(names, 0));
		if (c->column == NULL || !rows_value(r, values, 0, &c->value))
			rc = err_nomem(err);
	}
	return reset(values, reset(names, rc, err), err);
}

/* -- reading ------------------------------------------------------------------------- */

enum { COL_TABLE, COL_PK, COL_KIND, COL_CID, COL_VAL, COL_DBV, COL_SITE,
	COL_SVER, COL_TIME, COL_SEQ, COL_CURSOR };

#define SELECT "SELECT \"table\", pk, kind, cid, val, db_version, site_id, " \
	"site_version, time, seq, cursor FROM crsql_history WHERE after = ?1"

struct reader {
	struct store *s;
	struct authors *authors;
	struct rows *out;
	sqlite3_stmt *stmt;
	sqlite3_stmt *keys;     /* unpacks keys */
	const char *key_of;     /* this table has ... */
	struct store_cell *name;        /* ... columns of these names in its key */
	size_t nname;
	size_t bytes;
	size_t room;
	struct err *err;
};

/* The key's columns of that table, where it is not the one of the row before. */
static int
name_key(struct reader *x, const char *table)
{
	sqlite3_stmt *stmt;
	struct store_cell *cell;
	bool row = true;
	int rc;

	if (x->key_of != NULL && strcmp(x->key_of, table) == 0)
		return 0;
	x->key_of = table;
	x->nname = 0;
	rc = sql_open(x->s->db, &stmt, x->err, "SELECT name FROM "
	    "pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", "t", table);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, x->err);
		if (rc != 0 || !row)
			break;
		cell = add_cell(x->out, &x->name, &x->nname,
		    rows_text(x->out, (const char *)sqlite3_column_text(stmt, 0)));
		if (cell == NULL)
			rc = err_nomem(x->err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
read_key(struct reader *x, struct store_change *c)
{
	struct store_cell *cell;
	bool row = true;
	int rc = name_key(x, c->table);

	if (rc == 0 && x->keys == NULL)
		rc = sql_open(x->s->db, &x->keys, x->err, "SELECT cell FROM "
		    "crsql_unpack_columns WHERE package = ?1", "");
	if (rc != 0)
		return rc;
	sqlite3_bind_value(x->keys, 1, sqlite3_column_value(x->stmt, COL_PK));
	while (rc == 0 && row && c->nkey < x->nname) {
		rc = sql_next(x->keys, &row, x->err);
		if (rc != 0 || !row)
			break;
		cell = add_cell(x->out, &c->key, &c->nkey,
		    x->name[c->nkey].column);
		if (cell == NULL || !rows_value(x->out, x->keys, 0, &cell->value))
			rc = err_nomem(x->err);
	}
	return reset(x->keys, rc, x->err);
}

static enum store_change_kind
kind_of(const char *text)
{
	return text != NULL && text[0] == 'i' ? STORE_INSERTED :
	    text != NULL && text[0] == 'd' ? STORE_DELETED : STORE_CHANGED;
}

static int
begin_row(struct reader *x)
{
	const char *table = (const char *)sqlite3_column_text(x->stmt, COL_TABLE);
	struct rows *r = x->out;
	uint8_t site[STORE_SITE_LEN];
	struct store_change *c;
	int rc;

	if (r->n == x->room) {
		c = realloc(r->change, (x->room + 64) * sizeof *c);
		if (c == NULL)
			return err_nomem(x->err);
		r->change = c;
		x->room += 64;
	}
	c = &r->change[r->n++];
	memset(c, 0, sizeof *c);
	c->kind = kind_of((const char *)sqlite3_column_text(x->stmt, COL_KIND));
	c->table = rows_text(r, table);
	if (c->table == NULL)
		return err_nomem(x->err);
	c->db_version = (uint64_t)sqlite3_column_int64(x->stmt, COL_DBV);
	c->version = (uint64_t)sqlite3_column_int64(x->stmt, COL_SVER);
	c->time_ms = sqlite3_column_int64(x->stmt, COL_TIME);
	sql_column(x->stmt, COL_CURSOR, c->cursor, STORE_CURSOR_LEN);
	sql_column(x->stmt, COL_SITE, site, STORE_SITE_LEN);
	rc = authors_get(x->s, x->authors, site, &c->author, x->err);
	x->bytes += sizeof *c + (size_t)sqlite3_column_bytes(x->stmt, COL_PK);
	return rc == 0 ? read_key(x, c) : rc;
}

/* One value: of the row at hand, or of the next one, *full if that is too many. */
static int
take_row(struct reader *x, bool *full)
{
	struct rows *r = x->out;
	struct store_change *c = r->n > 0 ? &r->change[r->n - 1] : NULL;
	uint8_t cursor[STORE_CURSOR_LEN];
	struct store_cell *cell;
	const char *name;
	int64_t seq;
	int rc = 0;

	sql_column(x->stmt, COL_CURSOR, cursor, sizeof cursor);
	if (c == NULL || memcmp(cursor, c->cursor, sizeof cursor) != 0) {
		*full = r->n >= ROWS_MAX || x->bytes >= ROWS_BYTES_MAX;
		if (*full)
			return 0;
		rc = begin_row(x);
		c = &r->change[r->n - 1];
	}
	if (rc != 0)
		return rc;
	r->values++;
	seq = sqlite3_column_int64(x->stmt, COL_SEQ);
	r->last_seq = seq > r->last_seq ? seq : r->last_seq;
	name = (const char *)sqlite3_column_text(x->stmt, COL_CID);
	if (name == NULL)
		return 0;       /* the row itself */
	cell = add_cell(r, &c->cell, &c->ncell, rows_text(r, name));
	if (cell == NULL || !rows_value(r, x->stmt, COL_VAL, &cell->value))
		return err_nomem(x->err);
	x->bytes += sizeof *cell + cell->value.size;
	return 0;
}

static int
read_rows(struct reader *x, const struct rows_wanted *w)
{
	sqlite3 *db = x->s->db;
	bool row = true;
	int rc;

	if (w->db_version > 0)
		rc = sql_open(db, &x->stmt, x->err, SELECT " AND db_version = ?2",
		    "bi", w->after, (size_t)STORE_CURSOR_LEN,
		    (int64_t)w->db_version);
	else if (w->table != NULL)
		rc = sql_open(db, &x->stmt, x->err, SELECT " AND \"table\" = ?2",
		    "bt", w->after, (size_t)STORE_CURSOR_LEN, w->table);
	else
		rc = sql_open(db, &x->stmt, x->err, SELECT, "b", w->after,
		    (size_t)STORE_CURSOR_LEN);
	while (rc == 0 && row && !x->out->more) {
		rc = sql_next(x->stmt, &row, x->err);
		if (rc == 0 && row)
			rc = take_row(x, &x->out->more);
	}
	if (rc != 0 && sqlite3_errcode(db) == SQLITE_NOTFOUND)
		rc = err_set(x->err, E_NOTFOUND, "begin without a cursor",
		    "the cursor is of no place in this database: the file was "
		    "replaced or repaired, or what it stands on was forgotten");
	return rc;
}

int
rows_read(struct store *s, struct authors *a, struct rows_wanted *wanted,
    struct rows *out, struct err *err)
{
	struct reader x = { .s = s, .authors = a, .out = out, .err = err };
	bool found;
	int rc;

	memset(out, 0, sizeof *out);
	out->last_seq = -1;
	store_only_look(s, true);
	rc = sql_begin_reading(s->db, err);
	if (rc == 0)
		rc = read_rows(&x, wanted);
	sqlite3_finalize(x.stmt);
	sqlite3_finalize(x.keys);
	if (rc == 0 && out->more)
		memcpy(wanted->after, out->change[out->n - 1].cursor,
		    STORE_CURSOR_LEN);
	else if (rc == 0)
		rc = sql_bytes(s->db, wanted->after, STORE_CURSOR_LEN, &found, err,
		    "SELECT crsql_head()", "");
	rc = sql_end(s->db, rc, err);
	store_only_look(s, false);
	return rc;
}

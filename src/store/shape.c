// SPDX-License-Identifier: MPL-2.0
/*
 * shape.c - shapes as bytes (doc/PROTOCOL.md 3.6):
 *
 *     shape  = 1 ntables:vint table* nleft:vint left* more:u8
 *     table  = name flags:u8 ncolumns:vint column* nkey:vint column:vint*
 *              nindexes:vint index*
 *     column = name type flags:u8 collation:u8 value
 *     value  = 0 | 1 zigzag | 2 u64 | 3 text | 4 text | 5 | 6 | 7 | 8
 *     index  = name nparts:vint (column:vint flags:u8 collation:u8)*
 *     left   = kind:u8 table:text name:text
 */
#include "store/shape.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf8.h"

enum { TABLE_STRICT = 1, TABLE_WITHOUT_ROWID = 2, TABLE_NO_ALIAS = 4 };
enum { COLUMN_NOT_NULL = 1, PART_DESCENDS = 1 };
enum { ENCODED_MAX = (4 << 20) - 64 };    /* with what stands before it in a message */

static const char *const collations[] = { "BINARY", "NOCASE", "RTRIM" };

enum shape_collation
shape_collation_of(const char *name)
{
	int i;

	for (i = 0; i < SHAPE_COLLATIONS; i++)
		if (name != NULL && sqlite3_stricmp(name, collations[i]) == 0)
			break;
	return (enum shape_collation)i;
}

const char *
shape_collation_name(enum shape_collation c)
{
	return collations[c];
}

static void
clear_table(struct shape_table *t)
{
	size_t i;

	for (i = 0; i < t->ncolumns; i++) {
		free(t->column[i].name);
		free(t->column[i].type);
		free(t->column[i].value.data);
	}
	for (i = 0; i < t->nindexes; i++) {
		free(t->index[i].name);
		free(t->index[i].part);
	}
	free(t->name);
	free(t->column);
	free(t->key);
	free(t->index);
}

void
shape_clear(struct shape *s)
{
	size_t i;

	for (i = 0; i < s->ntables; i++)
		clear_table(&s->table[i]);
	for (i = 0; i < s->nleft; i++) {
		free(s->left[i].table);
		free(s->left[i].name);
	}
	free(s->table);
	free(s->left);
	memset(s, 0, sizeof *s);
}

/* -- writing ------------------------------------------------------------------- */

static void
put_bytes(struct buf *b, const char *data, size_t len, size_t max)
{
	b->failed |= len > max;
	buf_add_varint(b, len);
	buf_add(b, data, len);
}

static void
put_text(struct buf *b, const char *text, size_t max)
{
	put_bytes(b, text, strlen(text), max);
}

static void
put_value(struct buf *b, const struct shape_value *v)
{
	uint64_t bits;

	buf_add_u8(b, (uint8_t)v->kind);
	switch (v->kind) {
	case SHAPE_INTEGER:
		buf_add_zigzag(b, v->integer);
		break;
	case SHAPE_REAL:
		memcpy(&bits, &v->real, sizeof bits);
		buf_add_u64(b, bits);
		break;
	case SHAPE_TEXT:
	case SHAPE_BLOB:
		put_bytes(b, v->data, v->len, SHAPE_VALUE_MAX);
		break;
	default:
		break;
	}
}

static void
put_columns(struct buf *b, const struct shape_table *t)
{
	size_t i;

	b->failed |= t->ncolumns > SHAPE_COLUMNS_MAX;
	buf_add_varint(b, t->ncolumns);
	for (i = 0; i < t->ncolumns; i++) {
		const struct shape_column *c = &t->column[i];

		put_text(b, c->name, SHAPE_NAME_MAX);
		put_text(b, c->type, SHAPE_TYPE_MAX);
		buf_add_u8(b, c->not_null ? COLUMN_NOT_NULL : 0);
		buf_add_u8(b, (uint8_t)c->collation);
		put_value(b, &c->value);
	}
	buf_add_varint(b, t->nkey);
	for (i = 0; i < t->nkey; i++)
		buf_add_varint(b, t->key[i]);
}

static void
put_indexes(struct buf *b, const struct shape_table *t)
{
	const struct shape_part *p;
	size_t i, k;

	b->failed |= t->nindexes > SHAPE_INDEXES_MAX;
	buf_add_varint(b, t->nindexes);
	for (i = 0; i < t->nindexes; i++) {
		put_text(b, t->index[i].name, SHAPE_NAME_MAX);
		buf_add_varint(b, t->index[i].nparts);
		for (k = 0; k < t->index[i].nparts; k++) {
			p = &t->index[i].part[k];
			buf_add_varint(b, p->column);
			buf_add_u8(b, p->descends ? PART_DESCENDS : 0);
			buf_add_u8(b, (uint8_t)p->collation);
		}
	}
}

int
shape_encode(const struct shape *s, struct buf *out, struct err *err)
{
	size_t i;

	buf_init(out, ENCODED_MAX);
	buf_add_u8(out, SHAPE_FORMAT);
	out->failed |= s->ntables > SHAPE_TABLES_MAX;
	buf_add_varint(out, s->ntables);
	for (i = 0; i < s->ntables; i++) {
		const struct shape_table *t = &s->table[i];

		put_text(out, t->name, SHAPE_NAME_MAX);
		buf_add_u8(out, (uint8_t)((t->strict ? TABLE_STRICT : 0) |
		    (t->without_rowid ? TABLE_WITHOUT_ROWID : 0) |
		    (t->no_alias ? TABLE_NO_ALIAS : 0)));
		put_columns(out, t);
		put_indexes(out, t);
	}
	buf_add_varint(out, s->nleft);
	for (i = 0; i < s->nleft; i++) {
		buf_add_u8(out, (uint8_t)s->left[i].kind);
		put_text(out, s->left[i].table, SHAPE_NAME_MAX);
		put_text(out, s->left[i].name, SHAPE_NAME_MAX);
	}
	buf_add_u8(out, s->more_left);
	return out->failed ? err_set(err, E_FATAL, NULL, "the tables are too many, "
	    "or too large, to be described in one message") : 0;
}

/* -- reading ------------------------------------------------------------------- */

struct reading {
	struct rd rd;
	size_t columns;         /* of all tables and indexes so far */
	bool nomem;
};

static void *
room(struct reading *r, size_t n, size_t size)
{
	void *p;

	if (n == 0 || rd_failed(&r->rd))
		return NULL;
	p = calloc(n, size);
	if (p == NULL) {
		r->nomem = true;
		rd_fail(&r->rd);
	}
	return p;
}

/* A copy with a NUL behind it; NULL after a failure. */
static char *
get_bytes(struct reading *r, size_t max, size_t *len)
{
	size_t n = rd_count(&r->rd, max, 1);
	const uint8_t *p = rd_bytes(&r->rd, n);
	char *copy = p != NULL ? room(r, n + 1, 1) : NULL;

	if (copy != NULL)
		memcpy(copy, p, n);
	*len = n;
	return copy;
}

/* UTF-8 without a NUL. */
static char *
get_text(struct reading *r, size_t max, size_t *len)
{
	char *text = get_bytes(r, max, len);
	size_t i, n;

	for (i = 0; text != NULL && i < *len; i += n) {
		n = utf8_len((const uint8_t *)text + i, *len - i);
		if (n == 0 || text[i] == '\0') {
			rd_fail(&r->rd);
			break;
		}
	}
	return text;
}

static char *
get_name(struct reading *r)
{
	size_t len;
	char *name = get_text(r, SHAPE_NAME_MAX, &len);

	if (len == 0)
		rd_fail(&r->rd);
	return name;
}

static void
get_value(struct reading *r, struct shape_value *v)
{
	uint8_t kind = rd_u8(&r->rd);
	uint64_t bits;

	if (kind >= SHAPE_KINDS) {
		rd_fail(&r->rd);
		return;
	}
	v->kind = (enum shape_kind)kind;
	if (v->kind == SHAPE_INTEGER) {
		v->integer = rd_zigzag(&r->rd);
	} else if (v->kind == SHAPE_REAL) {
		bits = rd_u64(&r->rd);
		memcpy(&v->real, &bits, sizeof bits);
		if (!isfinite(v->real))
			rd_fail(&r->rd);
	} else if (v->kind == SHAPE_TEXT) {
		v->data = get_text(r, SHAPE_VALUE_MAX, &v->len);
	} else if (v->kind == SHAPE_BLOB) {
		v->data = get_bytes(r, SHAPE_VALUE_MAX, &v->len);
	}
}

static enum shape_collation
get_collation(struct reading *r)
{
	uint8_t c = rd_u8(&r->rd);

	if (c < SHAPE_COLLATIONS)
		return (enum shape_collation)c;
	rd_fail(&r->rd);
	return SHAPE_BINARY;
}

/* A set of known bits. */
static uint8_t
get_flags(struct reading *r, uint8_t known)
{
	uint8_t flags = rd_u8(&r->rd);

	if (flags & ~known)
		rd_fail(&r->rd);
	return flags;
}

static void
count_columns(struct reading *r, size_t n)
{
	r->columns += n;
	if (r->columns > SHAPE_ALL_COLUMNS_MAX)
		rd_fail(&r->rd);
}

static void
get_columns(struct reading *r, struct shape_table *t)
{
	struct shape_column *c;
	size_t n = rd_count(&r->rd, SHAPE_COLUMNS_MAX, 6), len;

	count_columns(r, n);
	t->column = room(r, n, sizeof *t->column);
	for (; t->column != NULL && t->ncolumns < n && !rd_failed(&r->rd); ) {
		c = &t->column[t->ncolumns++];
		c->name = get_name(r);
		c->type = get_text(r, SHAPE_TYPE_MAX, &len);
		c->not_null = get_flags(r, COLUMN_NOT_NULL) != 0;
		c->collation = get_collation(r);
		get_value(r, &c->value);
	}
}

static void
get_key(struct reading *r, struct shape_table *t)
{
	size_t n = rd_count(&r->rd, t->ncolumns, 1), i;

	t->key = room(r, n, sizeof *t->key);
	if (t->key == NULL || t->ncolumns == 0) {
		rd_fail(&r->rd);
		return;
	}
	for (; t->nkey < n && !rd_failed(&r->rd); t->nkey++) {
		t->key[t->nkey] = (size_t)rd_varint(&r->rd, t->ncolumns - 1);
		for (i = 0; i < t->nkey; i++)
			if (t->key[i] == t->key[t->nkey])
				rd_fail(&r->rd);
	}
}

static void
get_index(struct reading *r, const struct shape_table *t,
    struct shape_index *x)
{
	struct shape_part *p;
	size_t n;

	x->name = get_name(r);
	n = rd_count(&r->rd, SHAPE_PARTS_MAX, 3);
	count_columns(r, n);
	x->part = room(r, n, sizeof *x->part);
	if (x->part == NULL) {
		rd_fail(&r->rd);
		return;
	}
	while (x->nparts < n && !rd_failed(&r->rd)) {
		p = &x->part[x->nparts++];
		p->column = (size_t)rd_varint(&r->rd, t->ncolumns - 1);
		p->descends = get_flags(r, PART_DESCENDS) != 0;
		p->collation = get_collation(r);
	}
}

static void
get_table(struct reading *r, struct shape_table *t)
{
	uint8_t flags;
	size_t n;

	t->name = get_name(r);
	flags = get_flags(r, TABLE_STRICT | TABLE_WITHOUT_ROWID |
	    TABLE_NO_ALIAS);
	t->strict = flags & TABLE_STRICT;
	t->without_rowid = flags & TABLE_WITHOUT_ROWID;
	t->no_alias = flags & TABLE_NO_ALIAS;
	get_columns(r, t);
	get_key(r, t);
	n = rd_count(&r->rd, SHAPE_INDEXES_MAX, 3);
	t->index = room(r, n, sizeof *t->index);
	while (t->index != NULL && t->nindexes < n && !rd_failed(&r->rd))
		get_index(r, t, &t->index[t->nindexes++]);
}

static void
get_left(struct reading *r, struct shape_left *l)
{
	uint8_t kind = rd_u8(&r->rd);
	size_t len;

	if (kind >= SHAPE_LEFT_KINDS)
		rd_fail(&r->rd);
	else
		l->kind = (enum shape_left_kind)kind;
	l->table = get_name(r);
	l->name = get_text(r, SHAPE_NAME_MAX, &len);
}

int
shape_decode(const uint8_t *data, size_t len, struct shape *out,
    struct err *err)
{
	struct reading r = { .columns = 0 };
	size_t n;

	memset(out, 0, sizeof *out);
	rd_init(&r.rd, data, len);
	if (rd_u8(&r.rd) != SHAPE_FORMAT)
		rd_fail(&r.rd);
	n = rd_count(&r.rd, SHAPE_TABLES_MAX, 12);
	out->table = room(&r, n, sizeof *out->table);
	while (out->table != NULL && out->ntables < n && !rd_failed(&r.rd))
		get_table(&r, &out->table[out->ntables++]);
	n = rd_count(&r.rd, SHAPE_LEFT_MAX, 4);
	out->left = room(&r, n, sizeof *out->left);
	while (out->left != NULL && out->nleft < n && !rd_failed(&r.rd))
		get_left(&r, &out->left[out->nleft++]);
	out->more_left = get_flags(&r, 1) != 0;
	if (r.nomem)
		return err_nomem(err);
	return rd_done(&r.rd) ? 0 : err_set(err, E_INTEGRITY, NULL,
	    "the other side described its tables in a way that makes no sense");
}

/* -- comparing ------------------------------------------------------------------- */

static bool
same_value(const struct shape_value *a, const struct shape_value *b)
{
	return a->kind == b->kind && a->integer == b->integer &&
	    memcmp(&a->real, &b->real, sizeof a->real) == 0 &&
	    a->len == b->len &&
	    (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

bool
shape_same_table(const struct shape_table *a, const struct shape_table *b)
{
	const struct shape_column *c, *d;
	size_t i;

	if (strcmp(a->name, b->name) != 0 || a->strict != b->strict ||
	    a->without_rowid != b->without_rowid ||
	    a->no_alias != b->no_alias || a->ncolumns != b->ncolumns ||
	    a->nkey != b->nkey)
		return false;
	for (i = 0; i < a->nkey; i++)
		if (a->key[i] != b->key[i])
			return false;
	for (i = 0; i < a->ncolumns; i++) {
		c = &a->column[i];
		d = &b->column[i];
		if (strcmp(c->name, d->name) != 0 ||
		    strcmp(c->type, d->type) != 0 ||
		    c->not_null != d->not_null ||
		    c->collation != d->collation ||
		    !same_value(&c->value, &d->value))
			return false;
	}
	return true;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * digest_found.c - what differs, counted, and the first of it by name: a row
 * by its key as SQL literals.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf8.h"
#include "store/digest.h"

/* -- names -------------------------------------------------------------------- */

static void
put_text(struct buf *b, const uint8_t *text, size_t len)
{
	size_t i;

	buf_add_u8(b, '\'');
	for (i = 0; i < len; i++) {
		if (text[i] == '\'')
			buf_add_u8(b, '\'');
		buf_add_u8(b, text[i]);
	}
	buf_add_u8(b, '\'');
}

static void
put_hex(struct buf *b, const char *before, const uint8_t *data, size_t len,
    const char *after)
{
	char two[3];
	size_t i;

	buf_add(b, before, strlen(before));
	for (i = 0; i < len; i++) {
		snprintf(two, sizeof two, "%02X", data[i]);
		buf_add(b, two, 2);
	}
	buf_add(b, after, strlen(after));
}

static bool
is_plain(const uint8_t *text, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n)
		if ((n = utf8_len(text + i, len - i)) == 0 || text[i] == 0)
			return false;
	return true;
}

static void
put_literal(struct buf *b, struct rd *r)
{
	uint8_t type = rd_u8(r);
	const uint8_t *data;
	char number[40] = "NULL";
	uint64_t bits;
	double real;
	size_t len;

	if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
		len = (size_t)rd_varint(r, rd_left(r));
		data = rd_bytes(r, len);
		if (data == NULL)
			return;
		if (type == SQLITE_BLOB)
			put_hex(b, "X'", data, len, "'");
		else if (is_plain(data, len))
			put_text(b, data, len);
		else
			put_hex(b, "CAST(X'", data, len, "' AS TEXT)");
		return;
	}
	if (type == SQLITE_INTEGER) {
		snprintf(number, sizeof number, "%lld", (long long)rd_u64(r));
	} else if (type == SQLITE_FLOAT) {
		bits = rd_u64(r);
		memcpy(&real, &bits, sizeof real);
		sqlite3_snprintf(sizeof number, number, "%!.17g", real);
	} else if (type != SQLITE_NULL) {
		rd_fail(r);
	}
	buf_add(b, number, strlen(number));
}

static const char long_key[] = "(a key too long to be named)";

/* Of the bytes of a key; NULL without memory. */
static char *
name_of(const struct digest_row *row)
{
	struct buf b;
	struct rd r;

	buf_init(&b, 1 << 16);
	rd_init(&r, row->pk, row->pk != NULL ? row->npk : 0);
	while (rd_left(&r) > 0) {
		if (b.len > 0)
			buf_add(&b, ", ", 2);
		put_literal(&b, &r);
	}
	if (row->pk == NULL || rd_failed(&r)) {
		b.len = 0;
		buf_add(&b, long_key, strlen(long_key));
	}
	buf_add_u8(&b, 0);
	if (b.failed)
		buf_clear(&b);
	return (char *)b.data;
}

/* -- the list ------------------------------------------------------------------ */

static void
count(struct digest_found *f, enum store_difference_kind kind)
{
	switch (kind) {
	case STORE_ROW_DIFFERS:
		f->differ++;
		break;
	case STORE_ROW_HERE:
		f->here++;
		break;
	case STORE_ROW_THERE:
		f->there++;
		break;
	case STORE_COLUMN_HERE:
	case STORE_COLUMN_THERE:
	case STORE_KEY_DIFFERS:
		f->others++;
		break;
	case STORE_TABLE_HERE:
	case STORE_TABLE_THERE:
		break;
	}
}

int
digest_found_add(struct digest_found *f, enum store_difference_kind kind,
    const char *table, const char *name, struct err *err)
{
	struct store_difference *more;

	count(f, kind);
	if (f->n == DIGEST_NAMED_MAX)
		return 0;
	if (f->n % 64 == 0) {
		more = realloc(f->item, (f->n + 64) * sizeof *more);
		if (more == NULL)
			return err_nomem(err);
		f->item = more;
	}
	more = &f->item[f->n];
	more->kind = kind;
	more->table = strdup(table);
	more->name = strdup(name);
	if (more->table == NULL || more->name == NULL) {
		free(more->table);
		free(more->name);
		return err_nomem(err);
	}
	f->n++;
	return 0;
}

void
digest_found_clear(struct digest_found *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		free(f->item[i].table);
		free(f->item[i].name);
	}
	free(f->item);
	memset(f, 0, sizeof *f);
}

/* -- rows ------------------------------------------------------------------------ */

static int
by_key(const void *a, const void *b)
{
	const struct digest_row *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int
add_row(struct digest_found *f, const struct digest_table *table,
    const struct digest_row *row, enum store_difference_kind kind,
    struct err *err)
{
	char *name;
	int rc;

	if (f->n == DIGEST_NAMED_MAX) {
		count(f, kind);
		return 0;
	}
	name = name_of(row);
	rc = name == NULL ? err_nomem(err) : digest_found_add(f, kind,
	    table[row->table].here.name, name, err);
	free(name);
	return rc;
}

int
digest_found_rows(struct digest_found *f, const struct digest_table *table,
    struct digest_msg *ours, struct digest_msg *theirs, struct err *err)
{
	struct digest_row *a = ours->row, *b = theirs->row;
	size_t i = 0, k = 0;
	int order, rc = 0;

	if (ours->nrows > 0)
		qsort(a, ours->nrows, sizeof *a, by_key);
	if (theirs->nrows > 0)
		qsort(b, theirs->nrows, sizeof *b, by_key);
	while (rc == 0 && (i < ours->nrows || k < theirs->nrows)) {
		order = i == ours->nrows ? 1 : k == theirs->nrows ? -1 :
		    by_key(&a[i], &b[k]);
		if (order < 0)
			rc = add_row(f, table, &a[i], STORE_ROW_HERE, err);
		else if (order > 0)
			rc = add_row(f, table, &b[k], STORE_ROW_THERE, err);
		else if (a[i].row != b[k].row)
			rc = add_row(f, table, &a[i], STORE_ROW_DIFFERS, err);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}

/* -- tables ------------------------------------------------------------------------ */

/* Names of one side that are not among those of both, all sorted. */
static int
add_columns(struct digest_found *f, const struct digest_table *t,
    const struct digest_names *side, enum store_difference_kind kind,
    struct err *err)
{
	size_t i, k = 0;
	int rc = 0;

	for (i = 0; i < side->n && rc == 0; i++) {
		if (k < t->common.n && sqlite3_stricmp(t->common.name[k],
		    side->name[i]) == 0)
			k++;
		else
			rc = digest_found_add(f, kind, t->here.name,
			    side->name[i], err);
	}
	return rc;
}

int
digest_found_shape(struct digest_found *f, const struct digest_table *t,
    struct err *err)
{
	int rc;

	if (t->there.name == NULL)
		return digest_found_add(f, STORE_TABLE_HERE, t->here.name, "",
		    err);
	if (!t->compared)
		return digest_found_add(f, STORE_KEY_DIFFERS, t->here.name, "",
		    err);
	rc = add_columns(f, t, &t->here.columns, STORE_COLUMN_HERE, err);
	return rc != 0 ? rc : add_columns(f, t, &t->there.columns,
	    STORE_COLUMN_THERE, err);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * pack.c - packed columns: a count and values, and what SQL sees of them,
 * crsql_pack_columns() and crsql_unpack_columns.
 *
 *     SELECT hex(crsql_pack_columns(1, 'a'));               02 0901 0B0161
 *     SELECT cell FROM crsql_unpack_columns(x'0209010B0161');    1, a
 */
#include <stdlib.h>
#include <string.h>

#include "crdt/engine.h"
#include "crdt/val.h"
#include "crdt/vtab.h"

int
pack_values(const struct val *v, int n, struct buf *out)
{
	int i;

	if (n > PACK_MAX_COLUMNS)
		return SQLITE_TOOBIG;
	buf_add_u8(out, (uint8_t)n);
	for (i = 0; i < n; i++)
		val_encode(out, &v[i]);
	return out->failed ? SQLITE_NOMEM : SQLITE_OK;
}

int
pack_key(const struct val *v, int n, struct buf *out)
{
	struct val canonical;
	int i;

	if (n > PACK_MAX_COLUMNS)
		return SQLITE_TOOBIG;
	buf_add_u8(out, (uint8_t)n);
	for (i = 0; i < n; i++) {
		canonical = v[i];
		val_canonical(&canonical);
		val_encode(out, &canonical);
	}
	return out->failed ? SQLITE_NOMEM : SQLITE_OK;
}

uint64_t
pack_hash(const uint8_t *pk, int npk)
{
	uint64_t h = 0xCBF29CE484222325u;
	int i;

	for (i = 0; i < npk; i++)
		h = (h ^ pk[i]) * 0x100000001B3u;
	return h;
}

int
pack_read(const uint8_t *data, int len, int n, struct val *out, int max)
{
	struct rd r;
	int i, count;

	rd_init(&r, data, len > 0 ? (size_t)len : 0);
	count = rd_u8(&r);
	if (rd_failed(&r) || (n >= 0 && count != n) || count > max)
		return -1;
	for (i = 0; i < count; i++)
		val_decode(&r, &out[i]);
	if (rd_failed(&r) || (n >= 0 && !rd_done(&r)))
		return -1;
	return count;
}

void
pack_skip(struct rd *r, int n, const uint8_t **pk, int *npk)
{
	const uint8_t *start = r->p;
	struct val v;
	int i;

	if (rd_u8(r) != n)
		rd_fail(r);
	for (i = 0; i < n && !rd_failed(r); i++)
		val_decode(r, &v);
	if (r->p - start > INT32_MAX)
		rd_fail(r);
	*pk = start;
	*npk = rd_failed(r) ? 0 : (int)(r->p - start);
}

int
pack_bind(sqlite3_stmt *stmt, int first, const uint8_t *pk, int npk, int n)
{
	struct rd r;
	struct val v;
	int i, rc;

	rd_init(&r, pk, npk > 0 ? (size_t)npk : 0);
	if (rd_u8(&r) != n || rd_failed(&r))
		return SQLITE_MISMATCH;
	for (i = 0; i < n; i++) {
		val_decode(&r, &v);
		if (rd_failed(&r))
			return SQLITE_MISMATCH;
		rc = val_bind(stmt, first + i, &v);
		if (rc != SQLITE_OK)
			return rc;
	}
	return rd_done(&r) ? SQLITE_OK : SQLITE_MISMATCH;
}

/* -- crsql_pack_columns() --------------------------------------------------- */

static void
pack_columns(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct buf b;
	struct val v;
	uint8_t *data;
	size_t len;
	int i;

	if (argc > PACK_MAX_COLUMNS) {
		sqlite3_result_error(ctx, "Failed to pack columns", -1);
		sqlite3_result_error_code(ctx, SQLITE_ABORT);
		return;
	}
	buf_init(&b, (size_t)sqlite3_limit(sqlite3_context_db_handle(ctx),
	    SQLITE_LIMIT_LENGTH, -1));
	buf_add_u8(&b, (uint8_t)argc);
	for (i = 0; i < argc; i++) {
		v = val_of(argv[i]);
		val_encode(&b, &v);
	}
	if (b.failed) {
		sqlite3_result_error_toobig(ctx);
		buf_clear(&b);
		return;
	}
	data = buf_take(&b, &len);
	sqlite3_result_blob64(ctx, data, len, free);
}

/* -- crsql_unpack_columns ---------------------------------------------------- */

struct unpack_cursor {
	sqlite3_vtab_cursor base;
	uint8_t *data;          /* a copy of the package */
	struct rd rest;
	int row;
	int count;
	struct val cell;
};

static int
unpack_fail(sqlite3_vtab *vtab, int rc, const char *text)
{
	sqlite3_free(vtab->zErrMsg);
	vtab->zErrMsg = sqlite3_mprintf("%s", text);
	return rc;
}

static int
unpack_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	int rc = vtab_connect(db, aux, "CREATE TABLE x(cell, "
	    "package BLOB hidden)", sizeof(struct vtab), out);

	if (rc == SQLITE_OK)
		sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	return rc;
}

static int
unpack_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	bool hopeless = false;
	int i;

	for (i = 0; i < info->nConstraint; i++) {
		if (info->aConstraint[i].iColumn != 1 ||
		    info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
			continue;
		if (!info->aConstraint[i].usable) {
			hopeless = true;
			continue;
		}
		info->aConstraintUsage[i].argvIndex = 1;
		info->aConstraintUsage[i].omit = 1;
		info->idxNum = 1;
		info->estimatedCost = 1;
		info->estimatedRows = 10;
		return SQLITE_OK;
	}
	if (hopeless)
		return SQLITE_CONSTRAINT;
	if (info->nConstraint > 0)
		return unpack_fail(vtab, SQLITE_MISUSE,
		    "no package column specified. Got PACKAGE instead");
	info->estimatedCost = 1e12;
	return SQLITE_OK;
}

static int
unpack_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct unpack_cursor), out);
}

static int
unpack_close(sqlite3_vtab_cursor *cursor)
{
	struct unpack_cursor *c = (struct unpack_cursor *)cursor;

	sqlite3_free(c->data);
	sqlite3_free(c);
	return SQLITE_OK;
}

/* Reads the cell of the present row; bad bytes are an error when met. */
static int
unpack_read(struct unpack_cursor *c)
{
	if (c->row >= c->count)
		return SQLITE_OK;
	val_decode(&c->rest, &c->cell);
	return rd_failed(&c->rest) ? SQLITE_ERROR : SQLITE_OK;
}

static int
unpack_filter(sqlite3_vtab_cursor *cursor, int num, const char *str, int argc,
    sqlite3_value **argv)
{
	struct unpack_cursor *c = (struct unpack_cursor *)cursor;
	int len;

	if (num == 0 || argc == 0)
		return unpack_fail(cursor->pVtab, SQLITE_MISUSE,
		    "Zero args passed to filter");
	sqlite3_free(c->data);
	c->data = NULL;
	c->row = c->count = 0;
	len = sqlite3_value_bytes(argv[0]);
	if (sqlite3_value_type(argv[0]) == SQLITE_NULL || len == 0)
		return unpack_fail(cursor->pVtab, SQLITE_ERROR,
		    "the package is empty");
	c->data = sqlite3_malloc(len);
	if (c->data == NULL)
		return SQLITE_NOMEM;
	memcpy(c->data, sqlite3_value_blob(argv[0]), (size_t)len);
	rd_init(&c->rest, c->data, (size_t)len);
	c->count = rd_u8(&c->rest);
	return unpack_read(c);
}

static int
unpack_next(sqlite3_vtab_cursor *cursor)
{
	struct unpack_cursor *c = (struct unpack_cursor *)cursor;

	c->row++;
	return unpack_read(c);
}

static int
unpack_eof(sqlite3_vtab_cursor *cursor)
{
	struct unpack_cursor *c = (struct unpack_cursor *)cursor;

	return c->row >= c->count;
}

static int
unpack_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct unpack_cursor *c = (struct unpack_cursor *)cursor;

	if (i != 0)
		return unpack_fail(cursor->pVtab, SQLITE_MISUSE,
		    "Selected a column besides cell! 1");
	switch (c->cell.type) {
	case SQLITE_INTEGER:
		sqlite3_result_int64(ctx, c->cell.i);
		break;
	case SQLITE_FLOAT:
		sqlite3_result_double(ctx, c->cell.r);
		break;
	case SQLITE_TEXT:
		sqlite3_result_text(ctx, (const char *)c->cell.data,
		    c->cell.len, SQLITE_TRANSIENT);
		break;
	case SQLITE_BLOB:
		sqlite3_result_blob(ctx, c->cell.data, c->cell.len,
		    SQLITE_TRANSIENT);
		break;
	default:
		sqlite3_result_null(ctx);
	}
	return SQLITE_OK;
}

static int
unpack_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct unpack_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module unpack_module = {
	.xConnect = unpack_connect,
	.xBestIndex = unpack_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = unpack_open,
	.xClose = unpack_close,
	.xFilter = unpack_filter,
	.xNext = unpack_next,
	.xEof = unpack_eof,
	.xColumn = unpack_column,
	.xRowid = unpack_rowid,
};

int
pack_register(struct engine *e)
{
	int rc;

	rc = sqlite3_create_function(e->db, "crsql_pack_columns", -1,
	    SQLITE_UTF8, NULL, pack_columns, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_module(e->db, "crsql_unpack_columns",
		    &unpack_module, e);
	return rc;
}

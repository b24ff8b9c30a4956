// SPDX-License-Identifier: MPL-2.0
/* val.c - views of values, their order, how they settle, their encoding. */
#include "crdt/val.h"

#include <endian.h>
#include <string.h>

#include "base/put.h"

/* Text as UTF-8, or as it is stored.  In place, as each value that is written is looked
 * at. */
static inline struct val
view(sqlite3_value *v, bool stored)
{
	struct val out = { .type = sqlite3_value_type(v) };

	switch (out.type) {
	case SQLITE_INTEGER:
		out.i = sqlite3_value_int64(v);
		break;
	case SQLITE_FLOAT:
		out.r = sqlite3_value_double(v);
		break;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		out.data = out.type == SQLITE_TEXT && !stored ?
		    (const void *)sqlite3_value_text(v) : sqlite3_value_blob(v);
		out.len = sqlite3_value_bytes(v);
		break;
	}
	return out;
}

struct val
val_of(sqlite3_value *v)
{
	return view(v, false);
}

struct val
val_of_stored(sqlite3_value *v)
{
	return view(v, true);
}

struct val
val_of_column(sqlite3_stmt *stmt, int i)
{
	struct val out = { .type = sqlite3_column_type(stmt, i) };

	switch (out.type) {
	case SQLITE_INTEGER:
		out.i = sqlite3_column_int64(stmt, i);
		break;
	case SQLITE_FLOAT:
		out.r = sqlite3_column_double(stmt, i);
		break;
	case SQLITE_TEXT:
		out.data = sqlite3_column_text(stmt, i);
		out.len = sqlite3_column_bytes(stmt, i);
		break;
	case SQLITE_BLOB:
		out.data = sqlite3_column_blob(stmt, i);
		out.len = sqlite3_column_bytes(stmt, i);
		break;
	}
	/* no memory: the statement's next step fails with that */
	if (out.data == NULL)
		out.len = 0;
	return out;
}

/* sqlite3_value_* take no mutex, which is held here anyway: a third of the
 * time where many columns are read. */
struct val
val_of_raw(sqlite3_stmt *stmt, int i)
{
	sqlite3_value *v = sqlite3_column_value(stmt, i);
	struct val out = { .type = sqlite3_value_type(v) };

	switch (out.type) {
	case SQLITE_INTEGER:
		out.i = sqlite3_value_int64(v);
		break;
	case SQLITE_FLOAT:
		out.r = sqlite3_value_double(v);
		break;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		out.len = sqlite3_value_bytes(v);
		out.data = sqlite3_value_blob(v);
		break;
	}
	return out;
}

int
val_bind(sqlite3_stmt *stmt, int i, const struct val *v)
{
	/* A NULL pointer would bind NULL instead of an empty value. */
	const void *data = v->data != NULL ? (const void *)v->data : "";

	switch (v->type) {
	case SQLITE_INTEGER:
		return sqlite3_bind_int64(stmt, i, v->i);
	case SQLITE_FLOAT:
		return sqlite3_bind_double(stmt, i, v->r);
	case SQLITE_TEXT:
		return sqlite3_bind_text(stmt, i, data, v->len, SQLITE_STATIC);
	case SQLITE_BLOB:
		return sqlite3_bind_blob(stmt, i, data, v->len, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(stmt, i);
	}
}

static int
compare_bytes(const struct val *a, const struct val *b)
{
	int min = a->len < b->len ? a->len : b->len;
	int c = min > 0 ? memcmp(a->data, b->data, (size_t)min) : 0;

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

void
val_give(sqlite3_context *ctx, const struct val *v)
{
	switch (v->type) {
	case SQLITE_INTEGER:
		sqlite3_result_int64(ctx, v->i);
		break;
	case SQLITE_FLOAT:
		sqlite3_result_double(ctx, v->r);
		break;
	case SQLITE_TEXT:
		sqlite3_result_text(ctx, (const char *)v->data, v->len,
		    SQLITE_TRANSIENT);
		break;
	case SQLITE_BLOB:
		sqlite3_result_blob(ctx, v->len > 0 ? (const void *)v->data : "",
		    v->len, SQLITE_TRANSIENT);
		break;
	}
}

int
val_compare(const struct val *a, const struct val *b)
{
	/* SQLite's type numbers count down what we count up. */
	if (a->type != b->type)
		return a->type < b->type ? 1 : -1;
	switch (a->type) {
	case SQLITE_INTEGER:
		return (a->i > b->i) - (a->i < b->i);
	case SQLITE_FLOAT:
		return (a->r > b->r) - (a->r < b->r);
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		return compare_bytes(a, b);
	default:
		return 0;
	}
}

/* -- settling -------------------------------------------------------------- */

static const uint8_t *
skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
		p++;
	return p;
}

static const uint8_t *
skip_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* True if the text is a number and nothing else, by SQLite's grammar for
 * column affinity: space sign digits . digits e sign digits space. */
static bool
is_number(const uint8_t *p, int len)
{
	const uint8_t *end = p + len, *start;
	int digits;

	p = skip_space(p, end);
	if (p < end && (*p == '+' || *p == '-'))
		p++;
	start = p;
	p = skip_digits(p, end);
	digits = (int)(p - start);
	if (p < end && *p == '.') {
		start = ++p;
		p = skip_digits(p, end);
		digits += (int)(p - start);
	}
	if (digits == 0)
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		start = p;
		p = skip_digits(p, end);
		if (p == start)
			return false;
	}
	return skip_space(p, end) == end;
}

/* SQLite's own conversion: strtod can differ from it in the last bit. */
static int
text_to_number(sqlite3 *db, struct val *v)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db, "SELECT CAST(?1 AS NUMERIC)", -1, &stmt,
	    NULL);
	if (rc == SQLITE_OK)
		rc = val_bind(stmt, 1, v);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*v = val_of_column(stmt, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* r as an integer, if it is one that 64 bits hold. */
static bool
integral(double r, int64_t *out)
{
	if (!(r > -9223372036854775808.0 && r < 9223372036854775808.0))
		return false;
	*out = (int64_t)r;
	return (double)*out == r;
}

static void
number_to_text(struct val *v, char scratch[static VAL_SCRATCH])
{
	if (v->type == SQLITE_INTEGER)
		sqlite3_snprintf(VAL_SCRATCH, scratch, "%lld",
		    (long long)v->i);
	else
		sqlite3_snprintf(VAL_SCRATCH, scratch, "%!.15g", v->r);
	v->type = SQLITE_TEXT;
	v->data = (const uint8_t *)scratch;
	v->len = (int)strlen(scratch);
}

int
val_settle(sqlite3 *db, struct val *v, char affinity,
    char scratch[static VAL_SCRATCH])
{
	int rc = SQLITE_OK;

	if (affinity == 'A' || v->type == SQLITE_NULL ||
	    v->type == SQLITE_BLOB)
		return SQLITE_OK;
	if (affinity == 'B') {
		if (v->type != SQLITE_TEXT)
			number_to_text(v, scratch);
		return SQLITE_OK;
	}
	if (v->type == SQLITE_TEXT && is_number(v->data, v->len))
		rc = text_to_number(db, v);
	if (v->type == SQLITE_FLOAT && affinity != 'E' &&
	    v->r > -9223372036854775808.0 && integral(v->r, &v->i))
		v->type = SQLITE_INTEGER;
	if (v->type == SQLITE_INTEGER && affinity == 'E') {
		v->type = SQLITE_FLOAT;
		v->r = (double)v->i;
	}
	return rc;
}

void
val_canonical(struct val *v)
{
	if (v->type == SQLITE_FLOAT && integral(v->r, &v->i))
		v->type = SQLITE_INTEGER;
}

/* -- encoding --------------------------------------------------------------
 *
 * tag, then n bytes of a number, then the bytes of TEXT and BLOB; the tag is
 * n << 3 | type, and the types are SQLite's numbers.
 */

static int
number_bytes(uint64_t v)
{
	return v == 0 ? 0 : (64 - __builtin_clzll(v) + 7) / 8;
}

/* The low n bytes of v, the highest first; there is room for 8. */
static inline uint8_t *
put_number(uint8_t *p, uint64_t v, int n)
{
	v = n > 0 ? htobe64(v << 8 * (8 - n)) : 0;
	memcpy(p, &v, sizeof v);
	return p + n;
}

/* Bytes that a value takes at most, and that put_number writes to. */
static inline size_t
room_for(const struct val *v)
{
	bool bytes = v->type == SQLITE_TEXT || v->type == SQLITE_BLOB;

	return 9 + (bytes ? (size_t)v->len : 0);
}

static inline uint8_t *
put_value(uint8_t *p, const struct val *v)
{
	bool bytes = v->type == SQLITE_TEXT || v->type == SQLITE_BLOB;
	uint64_t number = 0;
	int n = 0;

	if (bytes) {
		number = (uint64_t)v->len;
		n = number_bytes(number);
	} else if (v->type == SQLITE_INTEGER) {
		number = (uint64_t)v->i;
		n = number_bytes(number);
	} else if (v->type == SQLITE_FLOAT) {
		memcpy(&number, &v->r, sizeof number);
		n = 8;
	}
	*p++ = (uint8_t)(v->type | (v->type == SQLITE_FLOAT ? 0 : n << 3));
	p = put_number(p, number, n);
	if (bytes && v->len > 0) {
		memcpy(p, v->data, (size_t)v->len);
		p += v->len;
	}
	return p;
}

void
val_encode(struct buf *b, const struct val *v)
{
	uint8_t *p = buf_room(b, room_for(v));

	if (p != NULL)
		b->len += (size_t)(put_value(p, v) - p);
}

static inline void
encode_at(struct buf *b, int number, const struct val *v)
{
	uint8_t *p = buf_room(b, VARINT_MAX + room_for(v));

	if (p != NULL)
		b->len += (size_t)(put_value(varint_put(p, (unsigned)number), v) -
		    p);
}

void
val_encode_at(struct buf *b, int number, const struct val *v)
{
	encode_at(b, number, v);
}

bool
val_encode_stored_at(struct buf *b, int number, sqlite3_value *v, size_t max)
{
	struct val given = view(v, true);

	if (given.data == NULL && given.len > 0)
		b->failed = true;
	else if (b->len + (size_t)given.len > max)
		return false;
	else
		encode_at(b, number, &given);
	return true;
}

static uint64_t
get_number(struct rd *r, int n)
{
	const uint8_t *p = n <= 8 ? rd_bytes(r, (size_t)n) : NULL;
	uint64_t v = 0;

	if (p == NULL) {
		rd_fail(r);
		return 0;
	}
	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

void
val_decode(struct rd *r, struct val *v)
{
	uint8_t tag = rd_u8(r);
	uint64_t number;

	v->type = tag & 7;
	v->data = NULL;
	v->len = 0;
	switch (v->type) {
	case SQLITE_INTEGER:
		v->i = (int64_t)get_number(r, tag >> 3);
		break;
	case SQLITE_FLOAT:
		number = get_number(r, 8);
		memcpy(&v->r, &number, sizeof number);
		if (v->r != v->r)
			v->type = SQLITE_NULL;  /* as SQLite takes NaN */
		break;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		number = get_number(r, tag >> 3);
		if (number > INT32_MAX)
			rd_fail(r);
		else
			v->data = rd_bytes(r, (size_t)number);
		v->len = v->data != NULL ? (int)number : 0;
		break;
	case SQLITE_NULL:
		break;
	default:
		rd_fail(r);
	}
	if (rd_failed(r))
		v->type = SQLITE_NULL;
}

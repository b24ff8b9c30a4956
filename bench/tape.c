// SPDX-License-Identifier: MPL-2.0
/* tape.c - values kept in memory, so that binding them costs next to nothing. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct tape *t, const void *data, size_t len)
{
	if (t->len + len > t->room) {
		t->room = (t->len + len) * 2;
		t->data = realloc(t->data, t->room);
		if (t->data == NULL) {
			fprintf(stderr, "error: no memory\n");
			exit(1);
		}
	}
	if (len > 0)
		memcpy(t->data + t->len, data, len);
	t->len += len;
}

static void
add_bytes(struct tape *t, uint8_t type, const void *data, int len)
{
	add(t, &type, 1);
	add(t, &len, sizeof len);
	add(t, data, (size_t)len);
}

static void
add_column(struct tape *t, sqlite3_stmt *stmt, int i)
{
	uint8_t type = (uint8_t)sqlite3_column_type(stmt, i);
	int64_t integer;
	double real;

	switch (type) {
	case SQLITE_INTEGER:
		integer = sqlite3_column_int64(stmt, i);
		add(t, &type, 1);
		add(t, &integer, sizeof integer);
		break;
	case SQLITE_FLOAT:
		real = sqlite3_column_double(stmt, i);
		add(t, &type, 1);
		add(t, &real, sizeof real);
		break;
	case SQLITE_NULL:
		add(t, &type, 1);
		break;
	default:
		add_bytes(t, type, sqlite3_column_blob(stmt, i),
		    sqlite3_column_bytes(stmt, i));
	}
}

struct tape *
tape_read(sqlite3 *db, const char *sql)
{
	struct tape *t = calloc(1, sizeof *t);
	sqlite3_stmt *stmt = prepare(db, sql);
	int i, rc = SQLITE_OK;

	if (t == NULL)
		exit(1);
	t->ncol = sqlite3_column_count(stmt);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (i = 0; i < t->ncol; i++)
			add_column(t, stmt, i);
		t->rows++;
	}
	check(db, rc, sql);
	sqlite3_finalize(stmt);
	return t;
}

void
tape_add_blob(struct tape *t, const void *data, int len)
{
	t->ncol = 1;
	t->rows++;
	add_bytes(t, SQLITE_BLOB, data, len);
}

static const uint8_t *
bind(sqlite3_stmt *stmt, int at, const uint8_t *p)
{
	uint8_t type = *p++;
	int64_t integer;
	double real;
	int len;

	switch (type) {
	case SQLITE_INTEGER:
		memcpy(&integer, p, sizeof integer);
		sqlite3_bind_int64(stmt, at, integer);
		return p + sizeof integer;
	case SQLITE_FLOAT:
		memcpy(&real, p, sizeof real);
		sqlite3_bind_double(stmt, at, real);
		return p + sizeof real;
	case SQLITE_NULL:
		sqlite3_bind_null(stmt, at);
		return p;
	}
	memcpy(&len, p, sizeof len);
	p += sizeof len;
	if (type == SQLITE_TEXT)
		sqlite3_bind_text(stmt, at, (const char *)p, len, SQLITE_STATIC);
	else
		sqlite3_bind_blob(stmt, at, p, len, SQLITE_STATIC);
	return p + len;
}

void
tape_play(const struct tape *t, sqlite3 *db, sqlite3_stmt *stmt)
{
	tape_play_after(t, db, "", stmt);
}

/* Its next row, at p. */
static const uint8_t *
play_row(const struct tape *t, const uint8_t *p, sqlite3 *db,
    sqlite3_stmt *stmt)
{
	int i;

	for (i = 0; i < t->ncol; i++)
		p = bind(stmt, i + 1, p);
	step(db, stmt);
	return p;
}

void
tape_play_after(const struct tape *t, sqlite3 *db, const char *first,
    sqlite3_stmt *stmt)
{
	const uint8_t *p = t->data;
	int64_t row;

	run_sql(db, "BEGIN");
	run_sql(db, first);
	for (row = 0; row < t->rows; row++)
		p = play_row(t, p, db, stmt);
	sqlite3_finalize(stmt);
	run_sql(db, "COMMIT");
}

void
tape_play_each(const struct tape *t, sqlite3 *db, const char *first,
    sqlite3_stmt *stmt)
{
	const uint8_t *p = t->data;
	int64_t row;

	for (row = 0; row < t->rows; row++) {
		run_sql(db, "BEGIN");
		run_sql(db, first);
		p = play_row(t, p, db, stmt);
		run_sql(db, "COMMIT");
	}
	sqlite3_finalize(stmt);
}

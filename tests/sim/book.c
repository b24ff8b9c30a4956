// SPDX-License-Identifier: MPL-2.0
#include "book.h"

#include <stdlib.h>
#include <string.h>

#include "cells.h"

enum { RULE_VERSION = 1, RULE_VALUE, RULE_DELETE, RULE_LIFE };

static void *
must_have(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* -- who knew what ----------------------------------------------------------------- */

int
books_site(const struct books *c, const uint8_t id[SITE_LEN])
{
	int i;

	for (i = 0; i < c->n; i++)
		if (memcmp(c->of[i].id, id, SITE_LEN) == 0)
			return i;
	return -1;
}

static bool
knew(const struct books *c, struct book_origin a, struct book_origin b)
{
	const struct book *book = &c->of[a.site];

	return a.site == b.site || ((size_t)a.version < book->nknew &&
	    book->knew[a.version][b.site] >= b.version);
}

static bool
concurrent(const struct books *c, struct book_origin a, struct book_origin b)
{
	return !knew(c, a, b) && !knew(c, b, a);
}

/* -- what is noted ------------------------------------------------------------------- */

static const char schema[] =
    "CREATE TABLE note(at, tbl, pk, cid, rule, winner, wver, loser, lver, kept, lost);"
    "CREATE TABLE known(at, tbl, pk, col, winner, wver, loser, lver, length, "
    "UNIQUE(at, tbl, pk, col, winner, wver, loser, lver, length));";

struct conflict {
	const struct book_row *row;
	int column;             /* COLUMN_ROW */
	int rule;
	struct book_origin winner, loser;
	int64_t length;         /* of what lost: its version, or causal length */
};

/* False if it was met before. */
static bool
is_new(struct books *c, const struct conflict *is)
{
	sqlite3_stmt *stmt;

	cells_must(c->db, sqlite3_prepare_v2(c->db, "INSERT OR IGNORE INTO known "
	    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", -1, &stmt, NULL));
	sqlite3_bind_int(stmt, 1, c->at);
	sqlite3_bind_int(stmt, 2, is->row->table);
	sqlite3_bind_blob(stmt, 3, is->row->pk, is->row->npk, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 4, is->column);
	sqlite3_bind_int(stmt, 5, is->winner.site);
	sqlite3_bind_int64(stmt, 6, is->winner.version);
	sqlite3_bind_int(stmt, 7, is->loser.site);
	sqlite3_bind_int64(stmt, 8, is->loser.version);
	sqlite3_bind_int64(stmt, 9, is->length);
	cells_must(c->db, sqlite3_step(stmt));
	sqlite3_finalize(stmt);
	return sqlite3_changes(c->db) > 0;
}

/* One value that lost, or (column COLUMN_ROW) a row that lost none. */
static void
note_value(struct books *c, const struct conflict *is, int column,
    const struct value *kept, const struct value *lost)
{
	static const char *const rules[] = { "", "version", "value", "delete",
		"life" };
	const struct history_table *t = &history_tables[is->row->table];

	sqlite3_clear_bindings(c->note);
	sqlite3_bind_int(c->note, 1, c->at);
	sqlite3_bind_text(c->note, 2, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(c->note, 3, is->row->pk, is->row->npk, SQLITE_STATIC);
	if (column >= 0)
		sqlite3_bind_text(c->note, 4, t->column[column], -1,
		    SQLITE_STATIC);
	sqlite3_bind_text(c->note, 5, rules[is->rule], -1, SQLITE_STATIC);
	sqlite3_bind_blob(c->note, 6, c->of[is->winner.site].id, SITE_LEN,
	    SQLITE_STATIC);
	sqlite3_bind_int64(c->note, 7, is->winner.version);
	sqlite3_bind_blob(c->note, 8, c->of[is->loser.site].id, SITE_LEN,
	    SQLITE_STATIC);
	sqlite3_bind_int64(c->note, 9, is->loser.version);
	if (kept != NULL)
		value_bind(c->note, 10, kept);
	if (lost != NULL)
		value_bind(c->note, 11, lost);
	cells_must(c->db, sqlite3_step(c->note));
	sqlite3_reset(c->note);
}

/* -- a row as it is here --------------------------------------------------------------- */

static int
columns_of(const struct book_row *r)
{
	const char *const *is = history_tables[r->table].column;
	int n = 0;

	while (n < HISTORY_NCOLUMNS && is[n] != NULL)
		n++;
	return n;
}

static struct book_row *
find_row(struct book *b, const struct row_change *is)
{
	struct book_row *r;
	size_t i;

	for (i = 0; i < b->n; i++) {
		r = &b->row[i];
		if (r->table == is->table && r->npk == is->npk &&
		    memcmp(r->pk, is->pk, (size_t)is->npk) == 0)
			return r;
	}
	if (b->n == b->room) {
		b->room = 2 * b->room + 64;
		b->row = must_have(realloc(b->row, b->room * sizeof *b->row));
	}
	r = &b->row[b->n++];
	memset(r, 0, sizeof *r);
	r->table = is->table;
	r->npk = is->npk;
	memcpy(r->pk, is->pk, (size_t)is->npk);
	return r;
}

/* A column that nobody set in this life has its default. */
static void
forget_cells(struct book_row *r)
{
	int i;

	memset(r->cell, 0, sizeof r->cell);
	for (i = 0; i < HISTORY_NCOLUMNS; i++)
		r->cell[i].value.type = SQLITE_NULL;
	if (r->table == 0)
		r->cell[1].value = (struct value){ .type = SQLITE_INTEGER,
			.i = 7 };
}

/* Whether the row as such has an author: it came back, or has nothing else. */
static bool
has_life(const struct book_row *r, const struct row_change *is)
{
	int i;

	for (i = 0; i < is->ncell; i++)
		if (is->cell[i].column == COLUMN_ROW)
			return true;
	return r->cl != 0 || is->cl > 1 || columns_of(r) == 0;
}

/* Another life begins, or ends. */
static void
begin_life(struct book_row *r, const struct row_change *is, struct book_fact by)
{
	by.there = has_life(r, is);
	r->life = by;
	r->cl = is->cl;
	forget_cells(r);
}

/* -- merging -------------------------------------------------------------------------- */

/* What comes ends what is here: the newest of what its author did not know. */
static const struct book_fact *
newest_unknown(struct books *c, const struct book_row *r, struct book_origin by)
{
	const struct book_fact *f, *newest = NULL;
	int i;

	for (i = -1; i < (r->cl % 2 != 0 ? columns_of(r) : 0); i++) {
		f = i < 0 ? &r->life : &r->cell[i].fact;
		if (f->there && concurrent(c, by, f->by) &&
		    (newest == NULL || f->when > newest->when))
			newest = f;
	}
	return newest;
}

static const struct value *
value_given(const struct row_change *is, int column)
{
	int i;

	for (i = 0; i < is->ncell; i++)
		if (is->cell[i].column == column)
			return &is->cell[i].value;
	return NULL;
}

static void
ended(struct books *c, const struct book_row *r, const struct row_change *is,
    struct book_origin by)
{
	const struct book_fact *f = newest_unknown(c, r, by);
	struct conflict it = { r, COLUMN_ROW, is->cl % 2 == 0 ? RULE_DELETE :
		RULE_LIFE, by, { 0, 0 }, r->cl };
	int i, n = r->cl % 2 != 0 ? columns_of(r) : 0;

	if (f == NULL)
		return;
	it.loser = f->by;
	if (!is_new(c, &it))
		return;
	for (i = 0; i < n; i++)
		note_value(c, &it, i, value_given(is, i), &r->cell[i].value);
	if (n == 0)
		note_value(c, &it, COLUMN_ROW, NULL, NULL);
}

/* What comes is of a life that is over here. */
static void
over(struct books *c, const struct book_row *r, const struct row_change *is,
    struct book_origin by)
{
	struct conflict it = { r, COLUMN_ROW, r->cl % 2 != 0 ? RULE_LIFE :
		RULE_DELETE, r->life.by, by, is->cl };
	bool any = false;
	int i;

	if ((r->cl % 2 == 0 && is->cl % 2 == 0) || !r->life.there ||
	    !concurrent(c, by, r->life.by) || !is_new(c, &it))
		return;
	for (i = 0; i < is->ncell; i++) {
		if (is->cell[i].column == COLUMN_ROW)
			continue;
		note_value(c, &it, is->cell[i].column, NULL, &is->cell[i].value);
		any = true;
	}
	if (!any)
		note_value(c, &it, COLUMN_ROW, NULL, NULL);
}

static void
merge_cell(struct books *c, struct book_row *r, const struct cell_change *is,
    struct book_fact by)
{
	struct book_cell *here = &r->cell[is->column];
	int order = value_compare(&is->value, &here->value);
	bool wins = !here->fact.there || is->version > here->version ||
	    (is->version == here->version && order > 0);
	struct conflict it = { r, is->column, is->version == here->version ?
		RULE_VALUE : RULE_VERSION, wins ? by.by : here->fact.by, wins ?
		here->fact.by : by.by, wins ? here->version : is->version };

	if (here->fact.there && order != 0 && concurrent(c, by.by, here->fact.by)
	    && is_new(c, &it))
		note_value(c, &it, is->column, wins ? &is->value : &here->value,
		    wins ? &here->value : &is->value);
	if (wins)
		*here = (struct book_cell){ by, is->version, is->value };
}

/* The greater site is the author where two deleted the same life. */
static void
merge_death(struct books *c, struct book_row *r, const struct row_change *is,
    struct book_fact by)
{
	if (is->cl > r->cl)
		begin_life(r, is, by);
	else if (memcmp(is->site, c->of[r->life.by.site].id, SITE_LEN) > 0)
		r->life = by;
}

void
books_merge(struct books *c, int at, const struct row_change *is)
{
	struct book *b = &c->of[at];
	struct book_row *r = find_row(b, is);
	struct book_fact by = { true, { books_site(c, is->site), is->version },
		++b->count };
	int i;

	c->at = at;
	if (by.by.site < 0)
		abort();
	if (is->cl < r->cl) {
		over(c, r, is, by.by);
		return;
	}
	if (is->cl > r->cl && r->cl > 0 && (is->cl % 2 != 0 || r->cl % 2 != 0))
		ended(c, r, is, by.by);
	if (is->cl % 2 == 0) {
		merge_death(c, r, is, by);
		return;
	}
	if (is->cl > r->cl)
		begin_life(r, is, by);
	for (i = 0; i < is->ncell; i++)
		if (is->cell[i].column != COLUMN_ROW)
			merge_cell(c, r, &is->cell[i], by);
}

/* -- what programs do ------------------------------------------------------------------ */

void
books_begin(struct books *c, int at, int64_t version)
{
	struct book *b = &c->of[at];
	size_t n = (size_t)version + 1;

	if (n > b->nknew) {
		b->knew = must_have(realloc(b->knew, 2 * n * sizeof *b->knew));
		memset(b->knew + b->nknew, 0, (2 * n - b->nknew) *
		    sizeof *b->knew);
		b->nknew = 2 * n;
	}
	memcpy(b->knew[version], b->has, sizeof b->has);
	b->has[at] = version;
	b->count++;
}

void
books_write(struct books *c, int at, const struct row_change *is)
{
	struct book *b = &c->of[at];
	struct book_row *r = find_row(b, is);
	struct book_fact by = { true, { at, is->version }, b->count };
	int i;

	if (is->cl != r->cl)
		begin_life(r, is, by);
	for (i = 0; i < is->ncell; i++)
		if (is->cell[i].column != COLUMN_ROW)
			r->cell[is->cell[i].column] = (struct book_cell){ by,
				is->cell[i].version, is->cell[i].value };
}

void
books_hold(struct books *c, int at, int site, int64_t version)
{
	int64_t *has = &c->of[at].has[site];

	if (version > *has)
		*has = version;
}

void
books_open(struct books *c, int n)
{
	memset(c, 0, sizeof *c);
	c->n = n;
	cells_must(NULL, sqlite3_open(":memory:", &c->db));
	cells_exec(c->db, "%s", schema);
	cells_must(c->db, sqlite3_prepare_v2(c->db, "INSERT INTO note VALUES(?1, ?2, ?3, "
	    "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)", -1, &c->note, NULL));
}

void
books_close(struct books *c)
{
	int i;

	for (i = 0; i < c->n; i++) {
		free(c->of[i].row);
		free(c->of[i].knew);
	}
	sqlite3_finalize(c->note);
	sqlite3_close(c->db);
}

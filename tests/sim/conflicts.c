// SPDX-License-Identifier: MPL-2.0
#include "conflicts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "book.h"
#include "pages.h"
#include "cells.h"
#include "store/store.h"

/* What the store's open transaction did so far. */
struct step {
	uint8_t *page;          /* NULL: it says that it holds ... */
	size_t len;
	struct book_origin has;
	struct step *next;
};

struct conflicts {
	struct world *w;
	struct books books;
	struct step *first[WORLD_SITES_MAX], **last[WORLD_SITES_MAX];
	struct watched {
		struct conflicts *c;
		int at;
	} watched[WORLD_SITES_MAX];
};

static void *
must_have(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* -- what a store does ------------------------------------------------------------- */

static void
drop_steps(struct conflicts *c, int at)
{
	struct step *step;

	while ((step = c->first[at]) != NULL) {
		c->first[at] = step->next;
		free(step->page);
		free(step);
	}
	c->last[at] = &c->first[at];
}

static void
on_row(void *self, const struct row_change *is)
{
	struct watched *x = self;

	books_merge(&x->c->books, x->at, is);
}

static void
take_steps(struct conflicts *c, int at)
{
	const struct step *step;

	for (step = c->first[at]; step != NULL; step = step->next) {
		if (step->page == NULL) {
			books_hold(&c->books, at, step->has.site,
			    step->has.version);
		} else if (pages_read(step->page, step->len, on_row,
		    &c->watched[at]) != 0) {
			fprintf(stderr, "a page is malformed\n");
			abort();
		}
	}
	drop_steps(c, at);
}

static int
digit(char c)
{
	return c <= '9' ? c - '0' : (c & 0xDF) - 'A' + 10;
}

/* The bytes of a blob as SQL has it; where it ends. */
static const char *
read_blob(const char *hex, uint8_t **out, size_t *len)
{
	size_t i;

	*len = strcspn(hex, "'") / 2;
	*out = must_have(malloc(*len + 1));
	for (i = 0; i < *len; i++)
		(*out)[i] = (uint8_t)(digit(hex[2 * i]) << 4 |
		    digit(hex[2 * i + 1]));
	return hex + 2 * *len;
}

static void
add_step(struct conflicts *c, int at, const char *sql)
{
	static const char page[] = "SELECT crsql_import(x'",
	    saw[] = "SELECT crsql_saw(x'";
	struct step *step = must_have(calloc(1, sizeof *step));
	const char *end;
	uint8_t *id;

	if (strncmp(sql, page, strlen(page)) == 0) {
		read_blob(sql + strlen(page), &step->page, &step->len);
	} else {
		end = read_blob(sql + strlen(saw), &id, &step->len);
		step->has.site = books_site(&c->books, id);
		step->has.version = strtoll(end + 2, NULL, 10);
		free(id);
	}
	if (step->page == NULL && step->has.site < 0) {
		free(step);
		return;
	}
	*c->last[at] = step;
	c->last[at] = &step->next;
}

static int
on_statement(unsigned what, void *self, void *stmt, void *text)
{
	struct watched *x = self;
	const char *sql = text;
	char *expanded;

	if (strcmp(sql, "COMMIT") == 0)
		take_steps(x->c, x->at);
	else if (strncmp(sql, "ROLLBACK", 8) == 0)
		drop_steps(x->c, x->at);
	else if (strncmp(sql, "SELECT crsql_import(", 20) == 0 ||
	    strncmp(sql, "SELECT crsql_saw(", 17) == 0) {
		expanded = must_have(sqlite3_expanded_sql(stmt));
		add_step(x->c, x->at, expanded);
		sqlite3_free(expanded);
	}
	return 0;
}

static void
on_open(void *self, struct site *s)
{
	struct conflicts *c = self;

	c->watched[s->number] = (struct watched){ self, s->number };
	sqlite3_trace_v2(store_handle(s->store), SQLITE_TRACE_STMT, on_statement,
	    &c->watched[s->number]);
}

/* -- what programs do ---------------------------------------------------------------- */

static int
number_of(const char *const *names, const char *name)
{
	int i;

	for (i = 0; i < HISTORY_NCOLUMNS && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return COLUMN_ROW;
}

/* A cell of it: one more row_change for each. */
static void
read_own(sqlite3_stmt *stmt, struct row_change *is)
{
	const char *table = (const char *)sqlite3_column_text(stmt, 0);

	memset(is, 0, sizeof *is);
	while (strcmp(history_tables[is->table].name, table) != 0)
		is->table++;
	is->npk = sqlite3_column_bytes(stmt, 1);
	if (is->npk > PK_MAX)
		abort();
	memcpy(is->pk, sqlite3_column_blob(stmt, 1), (size_t)is->npk);
	is->ncell = 1;
	is->cell[0].column = number_of(history_tables[is->table].column,
	    (const char *)sqlite3_column_text(stmt, 2));
	if (!value_of(&is->cell[0].value, stmt, 3))
		abort();
	is->cell[0].version = sqlite3_column_int64(stmt, 4);
	is->cl = sqlite3_column_int64(stmt, 5);
	is->version = sqlite3_column_int64(stmt, 6);
}

void
conflicts_wrote(struct conflicts *c, struct site *s)
{
	struct row_change is;
	sqlite3_stmt *stmt;
	int64_t last = 0;

	cells_must(s->app, sqlite3_prepare_v2(s->app, "SELECT \"table\", pk, cid, "
	    "val, col_version, cl, sver FROM crsql_changes WHERE db_version > ?1 "
	    "AND site_id = crsql_site_id() ORDER BY db_version, \"table\", pk, "
	    "cid <> '-1'", -1, &stmt, NULL));
	sqlite3_bind_int64(stmt, 1, s->taken);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		read_own(stmt, &is);
		if (is.version != last)
			books_begin(&c->books, s->number, is.version);
		last = is.version;
		books_write(&c->books, s->number, &is);
	}
	sqlite3_finalize(stmt);
}

/* -- comparing ---------------------------------------------------------------------- */

int
conflicts_compare(struct conflicts *c, struct site *s, bool print,
    uint64_t *compared)
{
	char *want = sqlite3_mprintf("SELECT tbl, hex(pk), cid, rule, hex(winner), "
	    "wver, hex(loser), lver, quote(kept), quote(lost), count(*) FROM note "
	    "WHERE at = %d GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10", s->number);
	int n;

	cells_exec(c->books.db, "DELETE FROM ledger");
	if (cells_copy(c->books.db, s->app, "SELECT \"table\", pk, cid, rule, winner_site, "
	    "winner_version, loser_site, loser_version, winner, loser FROM "
	    "crsql_conflicts WHERE ?1 = 0", 0, "INSERT INTO ledger VALUES(?1, ?2, "
	    "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)") != SQLITE_OK)
		return 1;
	n = cells_differ(c->books.db, print ? s->name : NULL, want, "SELECT tbl, hex(pk), "
	    "cid, rule, hex(winner), wver, hex(loser), lver, quote(kept), "
	    "quote(lost), count(*) FROM ledger GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, "
	    "10");
	*compared += (uint64_t)cells_int(c->books.db, "SELECT count(*) FROM ledger");
	sqlite3_free(want);
	return n;
}

struct conflicts *
conflicts_new(struct world *w)
{
	struct conflicts *c = must_have(calloc(1, sizeof *c));
	sqlite3_stmt *stmt;
	int i;

	c->w = w;
	books_open(&c->books, w->nsites);
	cells_exec(c->books.db, "CREATE TABLE ledger(tbl, pk, cid, rule, winner, wver, "
	    "loser, lver, kept, lost)");
	for (i = 0; i < w->nsites; i++) {
		cells_must(w->site[i].app, sqlite3_prepare_v2(w->site[i].app,
		    "SELECT crsql_site_id()", -1, &stmt, NULL));
		cells_must(w->site[i].app, sqlite3_step(stmt));
		memcpy(c->books.of[i].id, sqlite3_column_blob(stmt, 0), SITE_LEN);
		sqlite3_finalize(stmt);
		c->last[i] = &c->first[i];
		on_open(c, &w->site[i]);
	}
	w->watch = (struct world_watch){ on_open, c };
	return c;
}

void
conflicts_free(struct conflicts *c)
{
	int i;

	if (c == NULL)
		return;
	c->w->watch.opened = NULL;
	for (i = 0; i < c->w->nsites; i++)
		drop_steps(c, i);
	books_close(&c->books);
	free(c);
}

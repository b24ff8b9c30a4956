// SPDX-License-Identifier: MPL-2.0
/*
 * book.h - what each database holds, who set it, and what he knew when he did (R18),
 * as a naive model keeps it; and what lost, in one of them, to a change whose author
 * did not know of it.
 */
#ifndef SIM_BOOK_H
#define SIM_BOOK_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pages.h"
#include "world.h"

struct book_origin {
	int site;               /* of the world */
	int64_t version;
};

struct book_fact {
	bool there;
	struct book_origin by;
	int64_t when;           /* a count of this database's */
};

struct book_row {
	int table, npk;
	uint8_t pk[PK_MAX];
	int64_t cl;
	struct book_fact life;       /* its death, or that it came back */
	struct book_cell {
		struct book_fact fact;
		int64_t version;
		struct value value;
	} cell[HISTORY_NCOLUMNS];
};

/* What a database holds, and knows. */
struct book {
	struct book_row *row;
	size_t n, room;
	int64_t count;
	int64_t has[WORLD_SITES_MAX];   /* by site: everything up to there */
	int64_t (*knew)[WORLD_SITES_MAX];       /* by own version: has, then */
	size_t nknew;
	uint8_t id[SITE_LEN];
};

struct books {
	int n;
	struct book of[WORLD_SITES_MAX];
	/* note(at, tbl, pk, cid, rule, winner, wver, loser, lver, kept, lost): a row for
	 * each value that lost at database `at` */
	sqlite3 *db;
	sqlite3_stmt *note;
	int at;                 /* who merges */
};

void books_open(struct books *b, int n);
void books_close(struct books *b);

/* The database of that site id; -1: none. */
int books_site(const struct books *b, const uint8_t id[SITE_LEN]);

/* The database `at` merges a row of a page. */
void books_merge(struct books *b, int at, const struct row_change *is);

/* It says that it holds everything of a site up to there. */
void books_hold(struct books *b, int at, int site, int64_t version);

/* One of its programs wrote a transaction; each of its rows (begin: before the
 * first). */
void books_begin(struct books *b, int at, int64_t version);
void books_write(struct books *b, int at, const struct row_change *is);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * match.h - which columns here the columns of a page's table are: those of the
 * same name; else two that have a name in common, present or past.  What names
 * a column has elsewhere is learned by it.
 */
#ifndef CRDT_MATCH_H
#define CRDT_MATCH_H

#include "crdt/page.h"

struct match_column {
	const char *name;       /* a view of the page */
	int nname;
	int col;                /* index here, or COLUMN_UNKNOWN */
};

struct match {
	struct match_column *column;    /* by index of the page */
	bool same;              /* the same columns in the same order */
	bool learned;           /* a name was learned: what is parked under it
	                           can be taken now */
};

/* SQLITE_ERROR if the page names two columns alike, or one not at all.
 * match_clear in any case. */
int match_table(struct engine *e, struct table *here,
    const struct page_table *t, struct match *m);
void match_clear(struct match *m);

#endif

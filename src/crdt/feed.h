// SPDX-License-Identifier: MPL-2.0
/*
 * feed.h - many rows written by one statement, INSERT ... SELECT a, b FROM
 * crsql_feed: that costs a third of a statement for each.
 */
#ifndef CRDT_FEED_H
#define CRDT_FEED_H

#include "crdt/engine.h"

struct feed_value {
	const uint8_t *data;    /* a blob; NULL: i itself */
	int64_t i;              /* its length */
};

struct feed_row {
	struct feed_value a, b;
};

/* Runs stmt with those rows in the table, which is empty for all others. */
int feed_run(struct engine *e, sqlite3_stmt *stmt, const struct feed_row *row,
    int n);

#endif

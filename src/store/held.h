// SPDX-License-Identifier: MPL-2.0
/*
 * held.h - what this database holds: for each replicated table its vector
 * (R12), as kept in ddcp_table and ddcp_vector.  Tables whose vectors are
 * equal share one.  A table that was made or tracked since has none.
 *
 * The own current site is not in these vectors: its entry is the newest own
 * transaction (store_own_entry).  Older own incarnations are.
 */
#ifndef STORE_HELD_H
#define STORE_HELD_H

#include <sqlite3.h>

#include "store/peer.h"

struct held {
	struct held_table {
		char *name;
		int64_t tbl;    /* the engine's number */
		size_t vector;  /* index below */
	} *table;               /* by name */
	size_t ntables;
	struct held_vector {
		int64_t id;     /* 0: the empty one, not stored */
		struct store_vector v;
	} *vector;              /* the first is the empty one */
	size_t nvectors;
	uint8_t log_id[8];      /* the engine's, now */
	bool stale;             /* what is stored belongs to another log */
};

/* Reads, as db sees it.  held_clear also after failure. */
int held_load(sqlite3 *db, struct held *h, struct err *err);
void held_clear(struct held *h);

/* The table of that name, as SQLite compares names, or NULL. */
const struct held_table *held_find(const struct held *h, const char *name);

/* Before anything is written, in the writer's transaction: removes what is
 * stored of tables that are gone, or of another log. */
int held_settle(const struct held *h, sqlite3 *db, struct err *err);

/* Joins v into the vectors of the tables that take (by index) names, here and
 * in the database.  Tables that then have equal vectors share one. */
int held_join(struct held *h, sqlite3 *db, const bool *take,
    const struct store_vector *v, struct err *err);

/* What is held of every table: the meet of all vectors. */
int held_by_all(const struct held *h, struct store_vector *out,
    struct err *err);

/* The newest of each site that is held of any table. */
int held_by_any(const struct held *h, struct store_vector *out,
    struct err *err);

#endif

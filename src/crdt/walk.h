// SPDX-License-Identifier: MPL-2.0
/*
 * walk.h - reads the log in order and gives what is still current of it, one
 * row of a table at a time.  The one reader behind crsql_changes and
 * crsql_export.
 */
#ifndef CRDT_WALK_H
#define CRDT_WALK_H

#include "crdt/engine.h"

struct walk;

struct walk_from {          /* where to begin: after this place */
	int64_t dbv;
	int64_t pos;            /* -1: at the beginning of dbv */
	bool in_run;            /* go on inside the run at (dbv, pos) ... */
	int64_t key;            /* ... after this key */
	int64_t last_dbv;       /* end after this one; INT64_MAX for all */
	int table;              /* crsql_tbl.id of the only one; 0: all */
	int64_t lo, hi;         /* of that one: these keys, and all tombstones */
	/* Asked once per log row before its data is read: true leaves it out.
	 * NULL: none. */
	bool (*skip)(void *arg, int table, int64_t dbv, int64_t pos,
	    int64_t site, int64_t sver);
	void *arg;
};

struct walk_cell {
	int col;                /* column index, -1 for the sentinel */
	int64_t version;
	int64_t seq;
};

enum walk_kind { WALK_FRESH, WALK_CELLS, WALK_DEAD, WALK_PARKED, WALK_HEADER };

struct walk_row {
	enum walk_kind kind;    /* FRESH: all columns, version 1, cl 1, seqs
	                           consecutive; HEADER: nothing but the header is
	                           given (when headers were asked for) */
	struct table *table;
	int64_t dbv, pos;
	bool in_run;            /* of a run or update run: cursor goes by key */
	int64_t key;
	int64_t site;           /* ordinal; own ordinal of that time for own */
	int64_t sver;           /* dbv for own */
	const uint8_t *pk;      /* canonical (R5) ... */
	int npk;
	const uint8_t *stored_pk;       /* ... and as it is stored: it differs
	                           where an integral REAL is a key */
	int nstored_pk;
	int64_t cl;
	int ncell;
	const struct walk_cell *cell;   /* in seq order */
	sqlite3_stmt *values;   /* column i of the table is result column
	                           first_value + i; NULL for DEAD, PARKED */
	int first_value;
	const uint8_t *bytes;   /* PARKED */
	int nbytes;
};

/* Opens at from; want_headers: rows whose facts are gone are given as
 * WALK_HEADER where they are a header. */
int walk_open(struct engine *e, const struct walk_from *from,
    bool want_headers, struct walk **out);

/* SQLITE_ROW with row filled (valid until the next call), SQLITE_DONE, or an
 * error. */
int walk_next(struct walk *w, struct walk_row *row);

void walk_close(struct walk *w);

#endif

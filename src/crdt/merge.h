// SPDX-License-Identifier: MPL-2.0
/*
 * merge.h - the merge rule, applied to one row of a table at a time.
 *
 * In plain words: more lives win; within one life
 * the higher column version wins, equal versions are decided by the value.
 * Resurrection by import forgets columns it does not carry (R19).
 *
 * A row is opened, given changes, and closed.  Changes are written to the
 * user's table at once, and first: what the table refuses (constraint, type,
 * trigger) leaves nothing behind.  Clocks and the log row follow at the close
 * (place.c).  Fresh rows with consecutive keys become one run of the log,
 * which waits in struct incoming until something else is logged.
 */
#ifndef CRDT_MERGE_H
#define CRDT_MERGE_H

#include "crdt/before.h"
#include "crdt/engine.h"
#include "crdt/log.h"
#include "crdt/meta.h"
#include "crdt/val.h"

enum merge_via { MERGE_IMPORT, MERGE_CHANGES };

/* How an origin stands to what was forgotten here (horizon.h). */
enum merge_behind {
	BEHIND_NOT,
	BEHIND_UNTOLD,          /* no version tells: may bring no row to life */
	BEHIND_SENDER,          /* the sender may be: may change nothing */
	BEHIND_YES              /* neither; and its deletes are over */
};

/* Where changes come from: one transaction of one site. */
struct merge_origin {
	enum merge_via via;
	uint8_t id[SITE_ID_LEN];
	int nid;                /* 0: this database */
	const uint8_t *key;     /* of the site, NULL if not known (R17) */
	const uint8_t *incarnation;
	int64_t site;           /* ordinal; -1 until something won */
	int64_t sver;           /* 0: unknown (R1) */
	const uint8_t *header;  /* of the transaction; NULL: a new one */
	int64_t sender_dbv;     /* MERGE_CHANGES: the changes' db_version */
	int64_t dbv;            /* MERGE_IMPORT: 0 until something won */
	enum merge_behind behind;
};

struct merge_cell {
	int col;                /* index, -1 for the sentinel */
	int64_t version;
	int64_t seq;
	struct val value;
};

/* A row in hand. */
struct merge_row {
	struct merge_origin *origin;
	struct table *table;
	const uint8_t *pk;      /* canonical; of the caller */
	int npk;
	int64_t cl;             /* as it is here now; 0: unknown row */
	bool live;
	bool was_dead;          /* a tombstone is to be removed */
	int64_t key;            /* if live */
	sqlite3_stmt *here;     /* an import stands at its old values until it
	                           writes, if they are needed: column 0 is ... */
	int first;              /* ... that of the row.  Else NULL */
	bool compared;          /* with a value that was read alone */
	int64_t wanted;         /* the columns that come to an import, as bits */
	bool inserted;          /* by this merge, and unknown before ... */
	bool above;             /* ... with a key that was never used */
	struct meta meta;       /* if live */
	int room;               /* columns that meta, win, pick hold; -1: none */
	bool pending;           /* something waits for the close */
	bool kept;              /* columns of the life before, at version 0 */
	bool sentinel;          /* the sentinel does */
	int64_t sentinel_seq;
	struct merge_win {      /* by column: what does */
		bool won;
		int64_t version;
		int64_t seq;
	} *win;
	int nwon;
	int *pick;              /* winners among the cells given, and their */
	int *cols;              /* columns */
	int64_t changes;        /* facts that changed: wins, sentinels, deletes */
	struct before before;   /* what was here, if that is to be noted */
};

/* Rows of the log's next run. */
struct merge_run {
	struct table *table;    /* NULL: none */
	int64_t site, sver, dbv;
	const uint8_t *header;
	int64_t key;
	int64_t n;
	int64_t seq;
	int64_t stride;         /* of the first two rows; 0 while there is one */
};

/* What waits on a connection: see the head comment, and incoming.c. */
struct incoming {
	struct merge_run run;
	uint8_t run_header[HEADER_LEN];
	struct before_wait before;
	struct before_watch watch;
	int64_t before_dbv;     /* of the last note, and the place behind it: */
	int64_t before_pos;     /* before_write.c */
	bool broken;            /* a batch failed: the transaction is not to be
	                           committed */
	bool has_row;
	struct merge_row row;
	struct merge_origin origin;
	int column;             /* of the cell that came last */
	struct buf raw;         /* the row's pk as it came */
	struct buf pk;          /* its canonical form */
	struct val *pk_value;   /* PACK_MAX_COLUMNS of them */
	int64_t import_dbv;     /* the transaction imported last, for one that */
	int64_t import_sver;    /* goes on in the next page */
	uint8_t import_site[SITE_ID_LEN];
	uint8_t import_token[TOKEN_LEN];
	struct buf due;         /* rows to try again what is parked of: retry.c */
	int ndue;
	int64_t parked_schema;  /* schema when parked changes were tried last */
	int unasked;            /* rows opened of tables of which it is not known
	                           whether they have clocks and tombstones */
	int64_t step_room;      /* how many steps (seen.h) may come before they are
	                           counted again */
};

/* The state of e, made if need be; NULL is SQLITE_NOMEM. */
struct incoming *incoming_of(struct engine *e);

/* Makes the canonical packed key of t from a packed one (R5) in in->pk and
 * its values in in->pk_value.  With same it may not change by the affinity of
 * the columns here.  SQLITE_MISMATCH for another number of columns or a type
 * that can't be a key here, SQLITE_CONSTRAINT for NULL,
 * SQLITE_ABORT for malformed bytes, SQLITE_MISUSE for an unknown type. */
int merge_key(struct engine *e, const struct table *t, const uint8_t *pk,
    int npk, bool same);

/* Opens the row of that canonical key; merge_row_init makes a row that can be
 * used again for any table, merge_row_free frees what it holds. */
void merge_row_init(struct merge_row *row);
int merge_open(struct engine *e, struct merge_origin *origin,
    struct table *t, const uint8_t *pk, int npk, struct merge_row *row);
void merge_row_free(struct merge_row *row);

/* The live row as it stands in its table: value of column c is column *first + c of
 * *out, until merge_read_end.  NULL: it is not there. */
int merge_read(struct engine *e, struct merge_row *row, sqlite3_stmt **out,
    int *first);
int merge_read_end(struct merge_row *row, sqlite3_stmt *stmt, int rc);

/* Ends what merge_open began to read: before a row is written, and for good before
 * who opened it returns.  Fails if a value of it could not be had. */
int merge_let_go(struct merge_row *row);

/* Cells of one causal length (odd), a column at most once.
 * SQLITE_CONSTRAINT or SQLITE_MISMATCH: refused, with the reason in
 * engine_error(), and the row is as it was before; other codes are failures
 * that end the merge. */
int merge_cells(struct engine *e, struct merge_row *row, int64_t cl,
    const struct merge_cell *cell, int ncell);

/* A delete: an even causal length. */
int merge_delete(struct engine *e, struct merge_row *row, int64_t cl,
    int64_t seq);

/* Writes the clocks and the log row of what was won. */
int merge_close(struct engine *e, struct merge_row *row);

/* A whole row that may be new: every column in the table's order, version 1,
 * causal length 1, seqs from seq on; the key is the one of merge_key.  *done
 * false: it was not new, nothing happened, take the other way. */
int merge_fresh(struct engine *e, struct merge_origin *origin,
    struct table *t, int64_t seq, const struct val *value, bool *done);

/* How an origin's changes of a table stand to its horizon, if it is not known where
 * they came from. */
int merge_behind(struct engine *e, const struct merge_origin *o,
    const struct table *t, enum merge_behind *out);

/* The refusal of what would change something and may not; else SQLITE_OK. */
int merge_check_behind(struct engine *e, const struct merge_origin *o,
    const struct table *t, bool life);

/* True for the codes by which a table refuses a row. */
bool merge_refused(int rc);

/* R22: v may not be above VERSION_MAX nor leap above what is here; else
 * SQLITE_TOOBIG. */
int merge_check_number(struct engine *e, const char *what, int64_t v,
    int64_t here);

/* -- rows.c -------------------------------------------------------------------
 * Each is one statement of the user's table; refusals as for merge_cells.
 * The columns written are row->cols[0..n), their values those of the cells
 * row->pick[0..n). */

int rows_insert(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n);
int rows_update(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n);

/* As rows_update, and every other column gets its DEFAULT. */
int rows_reset(struct engine *e, struct merge_row *row,
    const struct merge_cell *cell, int n);
int rows_delete(struct engine *e, struct merge_row *row);

/* The row as it is here, columns as TS_ROW has them, to be reset; *out NULL if it
 * is not here. */
int rows_get(struct engine *e, const struct merge_row *row, sqlite3_stmt **out);

/* INSERT of a whole row under a key never used; *done false if there is no
 * such key for it. */
int rows_insert_all(struct engine *e, struct table *t,
    const struct val *value, int64_t *key, bool *done);

/* -- place.c ---------------------------------------------------------------- */

/* Gives origin's site its ordinal here. */
int place_site(struct engine *e, struct merge_origin *origin);

/* The db_version for what origin's changes write now, and its site. */
int place_origin(struct engine *e, struct merge_origin *origin, int64_t *dbv);

/* Appends a log row of origin (site, sver, header are filled in). */
int place_append(struct engine *e, struct merge_origin *origin,
    struct log_row *row);

/* Adds a fresh row to the waiting run; writes the run. */
int place_fresh(struct engine *e, struct merge_origin *origin,
    struct table *t, int64_t key, int64_t seq);
int place_flush(struct engine *e);

/* A tombstone for the row. */
int place_dead(struct engine *e, struct merge_row *row, int64_t cl,
    int64_t seq);

/* Sets the row's clocks to none. */
void place_blank(struct merge_row *row);

/* Whether the incoming site id is greater than that of the column's clock;
 * than that of the tombstone. */
int place_greater_site(struct engine *e, struct merge_row *row, int i,
    bool *greater);
int place_greater_death(struct engine *e, struct merge_row *row,
    bool *greater);

/* -- incoming.c ---------------------------------------------------------------- */

/* INSERT INTO crsql_changes: argv as xUpdate gets it after the two rowids,
 * the nine columns and the hidden site version. */
int incoming_add(struct engine *e, int argc, sqlite3_value **argv);

/* Writes what waits; called before anything that folds, reads the log,
 * commits, opens a savepoint, or forgets tables. */
int incoming_flush(struct engine *e);

/* Forgets what waits: after a rollback. */
void incoming_drop(struct engine *e);
void incoming_free(struct engine *e);

#endif

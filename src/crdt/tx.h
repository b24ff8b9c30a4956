// SPDX-License-Identifier: MPL-2.0
/*
 * tx.h - one transaction of a connection.
 *
 * A transaction is noticed at its first captured or merged write: tx_begin
 * enlists an eponymous virtual table, whose xSync is where captured records
 * are folded, whose xCommit and xRollback end it here too, and whose
 * xSavepoint, xRelease and xRollbackTo keep capture in step.
 *
 * db_versions (R1): `head` is the last committed
 * one; `current` the newest one given out in this transaction, 0 if none.  A
 * db_version is own if the row at its pos 0 is own.  Own changes share the
 * current one if it is own, else take a new one; each imported origin
 * transaction takes a new one; INSERT INTO crsql_changes shares the current
 * one unless the sender's is higher.
 */
#ifndef CRDT_TX_H
#define CRDT_TX_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct sqlite3_stmt;

enum tx_ledger {        /* of conflicts: ledger.h */
	LEDGER_UNKNOWN, LEDGER_THERE, LEDGER_ROOM, LEDGER_NONE
};

struct tx {
	bool open;              /* tx_begin was called, not yet ended */
	bool ending;            /* it is being committed: nothing is written later */
	int64_t head;           /* last committed db_version; -1: not loaded */
	int64_t wanted;         /* asked for by crsql_next_db_version */
	int64_t current;        /* newest given out here; 0: none */
	bool current_own;
	bool current_plain;     /* it holds nothing but folded journal: what
	                           plain programs committed before this began */
	int64_t next_pos;       /* in current */
	int64_t seq;            /* next seq of own changes */
	bool plain_pending;     /* plain programs wrote what is not folded */
	bool folding;           /* a fold is under way */
	bool wrote;             /* a log row was written */
	int64_t rows_impacted;  /* by merges, until the next transaction */
	bool wrote_changes;     /* crsql_changes was written: that counts */
	int64_t mended;         /* e->tables.mended at its beginning */
	bool names_changed;     /* e->tables.names_changed then */
	int64_t schema;         /* e->tables.schema_version then */
	int alters;             /* begun in it: alter.c */
	bool keep_before;       /* its merges note what they write over: before.h */
	int64_t before_bytes;   /* ... how much, so far */
	enum tx_ledger ledger;  /* had room at the first conflict */
	uint32_t data_version;  /* FCNTL_DATA_VERSION at head */
};

/* Reads tables anew if someone else committed: where there was none, no trigger
 * may tell that there is one. */
int tx_look(struct engine *e);

/* Starts (or goes on with) a transaction: reloads head and tables if someone
 * else committed, enlists.  Called from the hook too: only reads and the
 * enlisting INSERT. */
int tx_begin(struct engine *e);

/* What a merge calls first (R7): tx_begin, takes the write lock, folds the
 * journal, then the own captures. */
int tx_begin_merge(struct engine *e);

/* What a reader of the log calls first: tables as they are now, what waits on
 * this connection written, the journal folded where that may be done here
 * (CAPTURE section 7); else the log is read as it is. */
int tx_begin_read(struct engine *e);

/* The same, and until *hold is finalized, by the caller and on failure too, one
 * snapshot is read, whether or not a transaction of the caller's is open. */
int tx_begin_snapshot(struct engine *e, struct sqlite3_stmt **hold);

/* Back to the numbers of then: what was written since is undone. */
void tx_restore(struct engine *e, const struct tx *then);

/* What SQLite says of its end (enlist.c). */
void tx_committed(struct engine *e);
void tx_rolled_back(struct engine *e);

/* Folds what was captured so far: at a merge, a read, the commit. */
int tx_fold(struct engine *e);

/* The same in the midst of a statement, unless something follows from a change
 * of the schema, which can be done between statements only. */
int tx_fold_within(struct engine *e);

/* The same while a statement that drops a replicated table begins, if no table is bare:
 * names and triggers are seen to later. */
int tx_fold_before_drop(struct engine *e);

/* The last committed db_version, loading it if needed. */
int tx_head(struct engine *e, int64_t *out);

/* The db_version of own changes, current if it is own, else a new one. */
int tx_own_dbv(struct engine *e, int64_t *out);

/* A new db_version for an imported transaction. */
int tx_import_dbv(struct engine *e, int64_t *out);

/* The next one, or what the sender names if that is more. */
int tx_changes_dbv(struct engine *e, int64_t sender, int64_t *out);

#endif

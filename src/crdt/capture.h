// SPDX-License-Identifier: MPL-2.0
/*
 * capture.h - writes of this connection, noted by the preupdate hook as
 * records in memory; fold.c turns them into clocks.  The hook writes nothing
 * and, once tables are known, allocates only when a list grows.
 */
#ifndef CRDT_CAPTURE_H
#define CRDT_CAPTURE_H

#include "crdt/engine.h"
#include "crdt/hook.h"
#include "crdt/quiet.h"
#include "crdt/val.h"

enum record_op {
	RECORD_RUN,         /* n fresh rows from key on, above all before */
	RECORD_INSERT,      /* a row at key */
	RECORD_UPDATE,      /* columns of mask, and of the bytes at pk (mask.h), in
	                       n rows from key on; neither: all columns */
	RECORD_DELETE,      /* the row at key, which had pk */
	RECORD_REPLACE,     /* the row at old, now at key, same pk: every column */
	RECORD_MOVE         /* the row at old, now at key, same pk */
};

struct record {
	enum record_op op;
	int table;          /* id */
	int64_t key;
	int64_t n;          /* RUN, UPDATE; old key of REPLACE and MOVE */
	uint64_t mask;
	uint32_t pk;        /* DELETE, REPLACE, UPDATE: where in the list's bytes;
	                       INSERT, RUN of one row and MOVE too, where
	                       table_is_named: with a look-aside table the key is
	                       found by it (record_name) */
	uint32_t npk;
	int changes;        /* total_changes() then: tells one statement */
	uint32_t nname;     /* UPDATE with a look-aside table: bytes of the pk,
	                       which stand before those of the mask */
};

struct record_list {
	struct record *record;
	int n, room;
	struct buf bytes;   /* packed keys */
};

struct mark {           /* a savepoint */
	int id;
	int n;              /* records then */
	int64_t last_n;     /* n of the last of them */
	size_t bytes;
	int folded;         /* of them */
	size_t folded_bytes;
	int ndeletes;
	int rc;
	struct tx tx;       /* numbers given out then */
};

struct capture {
	struct record_list list;
	int folded;         /* records that are folded already */
	size_t folded_bytes;    /* of their keys */
	int64_t fold_at;    /* setting: so many records wait for a fold */
	int before_change;  /* those captured before a table was made anew;
	                       may be more than there are */
	struct mark *mark;
	int nmark, mark_room;
	int rc;             /* what went wrong inside the hook, or half way in a
	                       fold: the transaction can't be committed */
	bool installed;     /* the hook is ours now ... */
	int paused;         /* ... unless it was taken away, so many times */
	bool by_journal;    /* config capture=journal, no hook here, or another's */
	bool leave_hook;    /* one that is there is not replaced: triggers do its work */
	struct hook hook;
	int ndeletes;       /* deletes among the records not folded */
	bool look_at_schema;    /* a statement may have changed it */
	bool refuse;        /* a row of an attached database is being written */
	bool others;        /* rows of tables that are not replicated were written in
	                       this transaction */
	bool deleted;       /* a top row may have gone: hw is to be saved */
	struct bulk bulk;
};

enum {
	CAPTURE_FOLD_AT = 1 << 16,      /* records, unless a setting says else */
	CAPTURE_FOLD_BYTES = 1 << 22    /* of keys that wait for a fold */
};

void capture_free(struct engine *e);

/* The highest key of that table in the records of this transaction: its row
 * may be gone or moved by now. */
int64_t capture_top_key(const struct capture *c, int table);

/* True if the hook's functions count columns as they are stored, virtual ones
 * left out, as SQLite did at first; later it counts them as declared.  Found by
 * trying, in a database of its own in memory. */
int capture_counts_stored(struct engine *e, bool *stored);

/* In the hook: what column i of the row has that is being written over, where the
 * hook's own functions do not say it right.  *row is NULL at first, and is to be
 * reset; pk is for tables with a look-aside table only. */
int capture_old_value(struct engine *e, struct table *t, int64_t key,
    const struct val *pk, int i, sqlite3_stmt **row, struct val *out);

/* Writes of this connection go through the journal, or the hook again unless it is
 * another's. */
int capture_choose(struct engine *e, bool by_journal);

/* Whether writes of this connection are noted by anything, with these values of the
 * settings plain-writers and capture: without a hook, by triggers only. */
int capture_check(struct engine *e, int64_t plain_writers, int64_t journal);

/* So many records may wait for a fold; at least 1. */
void capture_set_fold_at(struct engine *e, int64_t records);

/* What was done in this transaction can't be undone now: it is not to be
 * committed. */
void capture_refuse_commit(struct engine *e);

/* Takes the hook away and puts it back. */
void capture_pause(struct engine *e);
void capture_resume(struct engine *e);

/* Savepoint id begins, is released, is rolled back to; the end of all. */
int capture_savepoint(struct engine *e, int id);
void capture_release(struct engine *e, int id);
void capture_rollback_to(struct engine *e, int id);
void capture_clear(struct engine *e);
/* So much waits that it is to be folded, so that memory is bounded. */
bool capture_is_full(const struct capture *c);
/* All records are folded: forgets those that no rollback can bring back. */
void capture_folded(struct capture *c);

/* The last record that waits, or NULL. */
static inline struct record *
capture_last(struct capture *c)
{
	return c->list.n > c->folded ? &c->list.record[c->list.n - 1] : NULL;
}

/* In the hook: notes that op (SQLITE_INSERT, ...) is done to a row of t, whose hw
 * and flags are loaded. */
int note_row(struct engine *e, struct capture *c, struct table *t, int op,
    int64_t old_key, int64_t key);

/* Appends a record, zeroed but for op, table and key; NULL without memory. */
struct record *record_add(struct record_list *l, enum record_op op, int table,
    int64_t key);
/* One that updates a column in a row. */
int record_add_column(struct record_list *l, int table, int64_t key, int cid);
/* Gives it a pk. */
int record_set_pk(struct record_list *l, struct record *r, const void *pk,
    size_t npk);
const uint8_t *record_pk(const struct record_list *l,
    const struct record *r);
/* The pk by which a record's key is found; none: *len is 0. */
const uint8_t *record_name(const struct record_list *l, const struct record *r,
    int *len);

#endif

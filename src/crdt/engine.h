// SPDX-License-Identifier: MPL-2.0
/*
 * engine.h - the state of one connection, and the map of the engine.
 *
 *   ext.c       entry point: registers everything, load-time checks
 *   storage.c   the crsql_* tables: DDL, format number, log id, identity
 *   table.c     what is known of a replicated table; table_shape.c its columns
 *   table_list.c  which there are; table_mend.c  what follows from changes of
 *               the schema
 *   schema.c    sqlite_schema, read in one go; shelf.c  put aside meanwhile
 *   lookaside.c keys for rows without a rowid
 *   columns.c   numbers and birthdays of its columns; column_names.c  old names
 *   crr.c       crsql_as_crr, crsql_as_table; crr_check.c  their checks;
 *   crr_many.c  many at once
 *   alter.c     crsql_begin_alter, crsql_commit_alter
 *   automigrate.c  crsql_automigrate
 *   migrate.c   brings tables to the shape of another database's
 *   clset.c     the module by which tables are made replicated ones
 *   marker.c    the trigger that names columns meanwhile
 *   triggers.c  the triggers that stand on them
 *   unique.c    unique indexes that they got later
 *   lost.c      tables dropped, renamed, or without their log
 *   tx.c        one transaction: db_versions, enlisting, savepoints, commit
 *   enlist.c    how SQLite tells of commits and savepoints
 *   capture.c   the preupdate hook: writes become records; preupdate.c  finds it
 *   hook.c      whether it is ours
 *   note.c      what is noted of a row
 *   quiet.c     triggers off for a while          bulk.c  in long transactions
 *   record.c    the records that wait for a fold; savepoints
 *   journal.c   writes of plain programs, read; journal_sql.c  their triggers
 *   fold.c      records become clocks, tombstones and log rows
 *   mask.c      the columns of an update, in all of these
 *   fold_list.c the records of a fold         fold_hw.c  highest keys before
 *   fold_update.c  those that change columns     fold_replace.c  replaced rows
 *   fold_early.c  those that stand before the one they follow
 *   keymap.c    a map by table and key       namemap.c  by name
 *   move.c      rows that get another rowid
 *   meta.c      clock rows: codec, get, put       dead.c  tombstones
 *   log.c       the log: append, sweep, headers   site.c  site ordinals
 *   batch.c     rows of these written many at a time; feed.c  by one statement
 *   walk.c      reads the log in order, row by row; source.c one table
 *   changes.c   crsql_changes, reading            pack.c  packed columns
 *   transactions.c  crsql_transactions: the headers; tally.c  and their tables
 *   history.c   crsql_history: who set what when; history_row.c  of one row
 *   merge.c     the merge rule, one row at a time
 *   incoming.c  crsql_changes, writing: collects cells into rows
 *   before.c    notes of what a merge writes over; before_table.c  reads them
 *   before_hook.c  ... as the hook has it
 *   match.c     columns of a page and of this database
 *   page.c      the bytes of a page               export.c, import.c
 *   park.c      changes that can't be applied here yet
 *   resync.c    tables made anew behind the engine's back
 *   compare.c   their rows, against what the log knows
 *   sample.c    rows that are remembered, to tell when rowids changed
 *   copied.c    copies of the database as text
 *   remap.c     which clock is which row's then; remap_list.c  the list by
 *               which that is known of an altered table
 *   repair.c    clocks and log written anew       rebuilt.c  where; crsql_repair
 *   seen.c      which versions of others a site had seen when
 *   horizon.c   what was forgotten, and who may not be talked to since
 *   ledger.c    conflicts that a merge meets     ledger_origin.c  by whom, who knew
 *   ledger_runs.c  of whom fresh rows are
 *   conflicts.c  crsql_conflicts, crsql_reviewed
 *   gc.c        crsql_gc: forgetting             gc_sweep.c  what goes
 *   adopt.c     files of cr-sqlite are taken over
 *   adopt_read.c   its clocks        adopt_write.c  as ours
 *   funcs.c     the small SQL functions      settings.c  those for settings
 *   engine.c    statements, errors           engine_undo.c  steps done or not
 *   views.c     <t>__crsql_clock and <t>__crsql_pks: which there are;
 *   clock_view.c, pks_view.c  what they say
 *   check.c     crsql_check: what is wrong; check_log.c, check_rows.c its parts
 *   fract.c     keys between keys            fract_sql.c  the same in SQL
 *   fract_order.c  tables ordered by them     fract_func.c  their functions
 *   sqltext.c   the text of a CREATE
 *   vtab.c      what virtual tables have in common
 *
 * Everything is reached by SQL only; this header is for files of this
 * directory.  Functions return SQLite's result codes and leave the sentence
 * in engine_error().  Memory is sqlite3_malloc's.  Argument order: engine,
 * then table, inputs, outputs.
 */
#ifndef CRDT_ENGINE_H
#define CRDT_ENGINE_H

#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdint.h>

SQLITE_EXTENSION_INIT3

#include "base/buf.h"
#include "crdt/table.h"
#include "crdt/tx.h"

enum {
	SITE_ID_LEN = 16,
	SITE_KEY_LEN = 32,
	INCARNATION_LEN = 8,
	LOG_ID_LEN = 8,
	TOKEN_LEN = 8,
	HEADER_LEN = 14,        /* 6 bytes ms since 1970, big-endian; token */
	CHAIN_LEN = 8,          /* behind it in the log: log.h */
	CURSOR_LEN = 40,        /* R2 */
	FORMAT_NUMBER = 1,      /* crsql_master.crsqlite_version, R25 */
	NAME_MAX_BYTES = 2048,  /* table and column names from outside */
};

/* Numbers from outside above this are refused (R22). */
#define VERSION_MAX ((int64_t)1 << 53)
/* ... and those above the local value by more than this. */
#define VERSION_LEAP_MAX ((int64_t)1 << 32)
/* Seqs above this, as the log keeps them times 4096 (log.h). */
#define SEQ_MAX ((int64_t)1 << 50)

/* The code of what is refused because of the horizon (R20): 18433. */
#define CRDT_HORIZON (SQLITE_ERROR | 72 << 8)

struct view;            /* views.c: the modules of one table */
struct preupdate;       /* preupdate.h: the hook's functions, if there */
struct capture;         /* capture.c: records of this transaction */
struct incoming;        /* incoming.c: cells collected for one row */
struct alter;           /* alter.c: a table that is being altered */
struct feed_row;        /* feed.c: a row for INSERT ... SELECT */
struct horizon;         /* horizon.c: what was forgotten */
struct ledger;          /* ledger.c: conflicts */

/* Statements kept for a connection: engine_cached(). */
enum engine_slot {
	SLOT_HEAD, SLOT_LOG_INSERT, SLOT_LOG_DELETE, SLOT_LOG_STRIP,
	SLOT_LOG_GET, SLOT_SITE_BY_ID, SLOT_SITE_BY_ORDINAL, SLOT_SITE_INSERT,
	SLOT_JOURNAL_ANY, SLOT_JOURNAL_READ, SLOT_JOURNAL_CLEAR, SLOT_ENLIST,
	SLOT_ME, SLOT_ME_UPDATE, SLOT_SEEN_READ, SLOT_SEEN_WRITE, SLOT_PARK_ANY,
	SLOT_PARK_ROW, SLOT_LOG_HEADER, SLOT_LOG_BEFORE, SLOT_SCHEMA,
	SLOT_TEMP_TRIGGERS, SLOT_TEMP_SCHEMA, SLOT_SHAPE, SLOT_KEY_INDEX,
	SLOT_KEY_FORM, SLOT_COLUMNS, SLOT_OLD_NAMES, SLOT_SETTING, SLOT_KEY_NOTE,
	SLOT_LOG_ROW, SLOT_LOG_DEAD, SLOT_LOG_FIRST, SLOT_LOG_FEED, SLOT_PROBE,
	SLOT_WALK, SLOT_LAST_POS, SLOT_OLD_INSERT, SLOT_OLD_PLACE, SLOT_OWN_ENTRY,
	SLOT_OWN_KEEP, SLOT_LOCK,
	SLOT_SEEN_REACH, SLOT_LEDGER, SLOT_LEDGER_CELL, SLOT_RUN_HEAD,
	SLOT_RUN_PROBE, SLOT_RUN_FIND, SLOT_RUN_ALL, SLOT_MARK,
	SLOT_COUNT
};

struct engine {
	sqlite3 *db;
	bool readonly;          /* file or connection can't be written */
	bool has_storage;       /* crsql_log and its companions exist */
	enum encoding { ENCODING_UNKNOWN, ENCODING_UTF8, ENCODING_UTF16 } encoding;
	bool finalized;         /* crsql_finalize() was called */
	bool watched;           /* ext.c hears of the connection's end */
	bool repairing;         /* crsql_repair() is under way */
	int repaired;           /* tables of which it has written the clocks anew */
	int merging;            /* > 0 while base tables are written by a merge:
	                           capture is off, crsql_internal_sync_bit() is 1 */
	int sync_bit;           /* what the user set by that function */
	int walks;              /* readers of the log that are open */
	uint8_t site_id[SITE_ID_LEN];   /* the current own one */
	int64_t me;             /* its ordinal */
	uint8_t log_id[LOG_ID_LEN];
	bool merge_equal_values;
	struct table_list tables;
	struct view **views;    /* views.c: in order of table number */
	int nviews, view_room;
	bool has_views;         /* views_load was called */
	bool temp_may_fail;     /* triggers.h */
	int last_table;         /* index of the one written last */
	struct tx tx;
	struct {                /* the last header of the log: log.c */
		int64_t dbv;    /* 0: not known */
		uint8_t chain[CHAIN_LEN];
	} newest;
	const struct preupdate *preupdate;  /* NULL: no hook in this SQLite */
	struct capture *capture;
	struct incoming *incoming;
	struct alter *alter;    /* tx.alters of them, and room for more */
	sqlite3 *lists;         /* rows of tables that this transaction drops (dropping.h) */
	int nlists;
	bool drop_is_old;       /* a statement older than SLOT_MARK is a DROP */
	int alter_room;
	struct {                /* what crsql_feed shows: feed.c */
		const struct feed_row *row;
		int n;
	} feed;
	struct {                /* tables that may be missing: storage_optional */
		int64_t schema; /* its version when they were looked for; 0: never */
		bool ledger, old;
	} optional;
	struct ledger *ledger;          /* NULL: nothing was asked yet */
	struct horizon *horizon;        /* NULL: not read since a change */
	struct stmt_cache {
		sqlite3_stmt *stmt[SLOT_COUNT];
		sqlite3_stmt *by_text[64];      /* of engine_int, by hash */
	} cache;
	struct undo *undo;      /* the innermost of those that are begun */
	bool half_done;         /* what failed could not be undone yet ... */
	bool half_of_more;      /* ... and is part of the caller's transaction */
	struct buf scratch;     /* for one encoding at a time */
	char *error;            /* last sentence, or NULL */
};

/* Notes a sentence (printf-like, %q %Q %w as sqlite3_mprintf) and returns rc,
 * so that it can end a function.  Replaces an older one. */
int engine_fail(struct engine *e, int rc, const char *fmt, ...);

/* The sentence of the last failure, else SQLite's own; never NULL. */
const char *engine_error(struct engine *e);

/* Reports the failure rc as the result of an SQL function. */
void engine_result_error(struct engine *e, sqlite3_context *ctx, int rc);

/* Prepares a statement made by sqlite3_mprintf; *out is NULL on failure. */
int engine_prepare(struct engine *e, sqlite3_stmt **out, const char *fmt, ...);
/* The text as it is; NULL is SQLITE_NOMEM. */
int engine_prepare_text(struct engine *e, sqlite3_stmt **out, const char *sql);

/* Runs statements made by sqlite3_mprintf. */
int engine_exec(struct engine *e, const char *fmt, ...);

/* Drops, by DROP type, all whose names a query made by sqlite3_mprintf answers:
 * one at a time, as nothing can be dropped while it is read. */
int engine_drop_each(struct engine *e, const char *type, const char *fmt, ...);

/* Steps a statement that answers nothing, and resets it. */
int engine_run(struct engine *e, sqlite3_stmt *stmt);

/* One integer from a query made by sqlite3_mprintf; *out stays as it is if
 * there is no row.  The statement is kept, and found again by its text. */
int engine_int(struct engine *e, int64_t *out, const char *fmt, ...);

/* Ends s: if rc is SQLITE_OK, and s did not run out of memory, *out is its text,
 * "" if it is empty, to be freed with sqlite3_free; else *out is NULL. */
int engine_text(sqlite3_str *s, int rc, char **out);

/* Ends s, and prepares it as a statement; *out is NULL on failure. */
int engine_prepare_built(struct engine *e, sqlite3_str *s, sqlite3_stmt **out);

/* A column that holds a text; "" and *rc SQLITE_NOMEM without memory. */
const char *engine_column(sqlite3_stmt *stmt, int i, int *rc);

/* A copy of it. */
int engine_copy(sqlite3_stmt *stmt, int i, char **out);

/* A savepoint of ours, while its function runs. */
struct undo {
	const char *name;
	bool alone;             /* it is the whole transaction */
	sqlite3_stmt *all[2];   /* what rolls that back */
	struct undo *outer;
};

/* Begins a savepoint and, unless it fails, u, which one of the next three ends. */
int engine_savepoint(struct engine *e, const char *name, struct undo *u);

/* Releases it; if that fails it is still to be undone. */
int engine_release(struct engine *e, struct undo *u);

/* Leaves it as it is. */
void engine_end_undo(struct engine *e, struct undo *u);

/* Undoes what was done after it.  Where that is not possible, as after
 * sqlite3_interrupt() or where memory was missing, which both last as long as any
 * statement runs, the whole transaction is rolled back, as SQLite does when that
 * befalls a statement that writes: nothing half done can be committed.  (Memory that
 * was missing just when engine_renew_undo was due: then its COMMIT fails.) */
int engine_undo(struct engine *e, struct undo *u);

/* To be called after sqlite3_db_config, which ends what was prepared for it, as some
 * changes of a schema do (engine_exec knows). */
int engine_renew_undo(struct engine *e);

/* Runs f in a savepoint: on failure nothing is left, and the caller's
 * transaction goes on, but where engine_undo had to end it, too: then the result is
 * SQLITE_ABORT or one by which SQLite itself may have ended it.  Where there is no
 * transaction, the savepoint is one. */
int engine_atomically(struct engine *e, int (*f)(struct engine *,
    const void *arg), const void *arg);

/* Finalises a statement that was stepped to its end: rc, or if that is
 * SQLITE_OK what the last step failed with. */
int engine_finalize(sqlite3_stmt *stmt, int rc);

/* The same, and it is kept: reset. */
int engine_reset(sqlite3_stmt *stmt, int rc);

/* A cached statement of the connection: slot is one of the enum above, sql
 * its constant text.  Reset and without bindings left from before.  *out is
 * NULL on failure. */
int engine_cached(struct engine *e, enum engine_slot slot, const char *sql,
    sqlite3_stmt **out);

/* The same for readers, of which several may be at work at once: it is the
 * caller's until engine_give_back, which keeps one for the next. */
int engine_borrow(struct engine *e, enum engine_slot slot, const char *sql,
    sqlite3_stmt **out);
void engine_give_back(struct engine *e, enum engine_slot slot,
    sqlite3_stmt *stmt);

/* Puts a statement, or NULL, where it is kept: if there is one already it is
 * finalised. */
void engine_keep(sqlite3_stmt **place, sqlite3_stmt *stmt);

/* One integer from a cached statement; *out stays as it is if there is no
 * row. */
int engine_cached_int(struct engine *e, enum engine_slot slot, const char *sql,
    int64_t *out);

/* Finalises every cached statement; and those of the tables, which are
 * forgotten. */
void engine_drop_cached(struct engine *e);
void engine_drop_statements(struct engine *e);

/* Whether writing is possible here and now (R8): file and connection
 * writable, query_only off. */
int engine_writable(struct engine *e, bool *writable);

/* -- ext.c --------------------------------------------------------------- */

/* Makes sure that the end of the connection is heard of: statements that are
 * kept would hinder it. */
int ext_watch(struct engine *e);

/* -- storage.c ---------------------------------------------------------- */

/* At load: cr-sqlite's three small tables if the file is writable, format
 * check, identity, log id, settings.  Works on a read-only file that has
 * none of it. */
int storage_load(struct engine *e);

/* Creates the tables that only a replicated database needs. */
int storage_ensure(struct engine *e);

/* Registers the functions that belong to storage: crsql_identity. */
int storage_register(struct engine *e);

/* -- adopt.c ------------------------------------------------------------- */

/* Whether the file has metadata of cr-sqlite's. */
int adopt_look(struct engine *e, bool *foreign);

/* Takes them over, all or nothing; the number of tables.  SQLITE_READONLY where
 * that can't be written; SQLITE_ERROR, with a sentence, if they are damaged or a
 * transaction is open. */
int adopt_file(struct engine *e, int *tables);

/* -- site.c -------------------------------------------------------------- */

/* The ordinal of a site id, made if create; *out = -1 if unknown and not
 * created.  A NULL or empty id is this database. */
int site_ordinal(struct engine *e, const uint8_t *id, int len, bool create,
    int64_t *out);

/* A site that comes with its key is known by it from now on (R17). */
int site_learn_key(struct engine *e, int64_t ordinal,
    const uint8_t key[SITE_KEY_LEN],
    const uint8_t incarnation[INCARNATION_LEN]);

/* The site id of an ordinal; key and incarnation may be NULL; has_key tells
 * whether the site's public key is known (R17). */
int site_by_ordinal(struct engine *e, int64_t ordinal,
    uint8_t id[SITE_ID_LEN], uint8_t *key, uint8_t *incarnation,
    bool *has_key);

/* The own ordinal that made the local transaction dbv (crsql_me, R16). */
int site_of_local(struct engine *e, int64_t dbv, int64_t *ordinal);

/* -- registration, one per file that adds to the SQL surface -------------- */
int enlist_register(struct engine *e);
int feed_register(struct engine *e);
int capture_register(struct engine *e);
int crr_register(struct engine *e);
int alter_register(struct engine *e);
int clset_register(struct engine *e);
int automigrate_register(struct engine *e);
int changes_register(struct engine *e);
int transactions_register(struct engine *e);
int tally_register(struct engine *e);
int history_register(struct engine *e);
int before_register(struct engine *e);
int before_table_register(struct engine *e);
int pack_register(struct engine *e);
int export_register(struct engine *e);
int import_register(struct engine *e);
int park_register(struct engine *e);
int seen_register(struct engine *e);
int check_register(struct engine *e);
int gc_register(struct engine *e);
int conflicts_register(struct engine *e);
int repair_register(struct engine *e);
int views_load(struct engine *e);
int funcs_register(struct engine *e);
int settings_register(struct engine *e);
int adopt_register(struct engine *e);
int pageinfo_register(struct engine *e);
int fract_register(struct engine *e);

#endif

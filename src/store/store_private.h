// SPDX-License-Identifier: MPL-2.0
/*
 * store_private.h - the state of one open store, and the map of this layer.
 *
 *   open.c       connections, opening, closing     init.c   init and deinit
 *   statedir.c   the state directory               lock.c   lock of `serve`
 *   identity.c   key and site ids                  keyfile.c  key export
 *   note.c       what was sent, to notice copies   fork.c   and what follows
 *   claims.c     own transactions, and what peers claim of them
 *   again.c      tables that lost their log and are replicated again
 *   schema.c     the ddcp_* tables                 config.c settings
 *   remote.c     remotes                           knock.c  strangers' calls
 *   vector.c     vectors in memory                 held.c   vectors per table
 *   hello.c      what two databases tell of each other first
 *   split.c      sites of others with two pasts
 *   durable.c    durable before sent               known.c  readers' vectors
 *   serve.c      pages out: serve.h
 *   asked.c      what a pull asked for             arrival.c  a page's claims
 *   pull.c       pages in; pull_take.c  as they come  pieces.c  large pages
 *   merge.c      pages into the database           merge_complete.c  END
 *   inbox.c      pages that wait                   inbox_open.c  their files
 *   keep.c       what is kept of a merge, and is it too much
 *   fetched.c    what of them may still be merged  inbox_end.c  END as bytes
 *   spool.c      their bytes
 *   retry.c      parked changes, when the schema changed
 *   watch.c      who committed                     moved.c  is it still there
 *   other.c      tables that only a peer has
 *   heard.c      what peers say they hold of ours  acked.c  and have merged
 *   want.c       and whether it is all that was here
 *   history.c    log and show                      blame.c  one row
 *   rows.c       rows of the log in memory         author.c who made them
 *   follow.c     the log as it grows
 *   undo.c       merges, taken back
 *   ledger.c     conflicts                         resolve.c  settled
 *   write.c      rows of users' tables, written by those two
 *   look.c       what merging would do             look_row.c  row by row
 *   digest.c     is it the same as another's: digest.h
 *   fsck.c       does it agree with itself
 *   describe.c, leave.c   what tables look like: shape.h   make.c  and are made
 *   clone.c      a database that is being made from another's
 *   status.c, size.c, track.c, lint.c                     sql.c    SQLite made short
 */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

#include <sqlite3.h>

#include "store/identity.h"
#include "store/known.h"
#include "store/lock.h"
#include "store/store.h"

enum {
	OWN_LEN = STORE_SITE_LEN + 8 + STORE_TOKEN_LEN,
	HOLDS_LEN = STORE_SITE_LEN + 8
};

struct config;
struct inbox;

struct log_end {
	uint8_t id[8];          /* zeroes: there is no log */
	uint64_t dbv;
};

struct store {
	sqlite3 *db;
	char *db_file;          /* real path */
	char *state_dir;        /* real path */
	char *wal_file;
	int dir;                /* descriptor of state_dir */
	int busy_ms;
	bool readonly;          /* asked for, or the file is */
	bool forked;
	bool behind;            /* own changes came that are not here: only a
	                           HELLO makes that good */
	bool moved;             /* the file is not the one of that name */
	bool unsafe;            /* a copy that can't be told from another: it
	                           is read-only, hence has no new incarnation */
	struct identity id;
	uint8_t site[STORE_SITE_LEN];   /* of the current incarnation */
	struct lock lock;
	struct config *config;  /* of the user's file, or NULL */
	struct inbox *inbox;    /* opened at first use */
	sqlite3 *spare;         /* a connection for the next reading */
	bool directory_synced;
	uint8_t noted[STORE_CURSOR_LEN];        /* head in the note */
	struct known known;
	struct {                /* what store_changed said last */
		int64_t data_version;
		uint64_t merges;
		bool more;      /* than fitted */
		struct store_vector any, sum;   /* newest; watch.c */
		struct log_end log;
	} told;
	uint64_t merges;        /* committed by this handle */
	int64_t pull;           /* number of the merge that goes on: keep.h */
	bool allow_delete;      /* whatever merge.max-delete says */
	int64_t tried_schema;   /* for which parked changes were tried */
	struct {                /* acknowledgement not yet written */
		int64_t remote;
		uint8_t cursor[STORE_CURSOR_LEN];
	} ack;
	struct {                /* what a peer holds of ours, not yet written */
		int64_t remote;
		uint8_t holds[HOLDS_LEN];
	} heard;
};

/* -- open.c ------------------------------------------------------------------ */

/* A connection on that file with our settings, and the engine if asked. */
int store_connect(const char *db_file, int flags, int busy_ms, sqlite3 **out,
    struct err *err);
int store_load_engine(sqlite3 *db, struct err *err);

/* The error for a database whose key is not in its state directory. */
int store_key_is_gone(sqlite3 *db, const char *db_file, struct err *err);

/* E_FATAL if s can't be written. */
int store_writable(const struct store *s, struct err *err);

/* The own vector entry, as db sees it (R15). */
int store_own_entry(sqlite3 *db, struct store_entry *out, struct err *err);

/* While it is on, the engine reads things as they are: it neither folds, nor
 * waits for somebody who writes. */
void store_only_look(struct store *s, bool on);

/* Takes what plain programs wrote into the log; does nothing, and no error,
 * where that is not possible now. */
void store_fold(struct store *s);

/* -- other.c ----------------------------------------------------------------- */

/* Which tables of h are not among those asked for, into end. */
struct held;
int other_find(const struct held *h, bool (*asked)(void *self,
    const char *name), void *self, struct store_end *end, struct err *err);

/* Writes down what the remote named, if that can be done now. */
void other_note(struct store *s, int64_t remote, const struct store_end *end);

/* -- heard.c ----------------------------------------------------------------- */

/* Tries to write down what was heard last. */
void heard_write(struct store *s);

/* -- acked.c ----------------------------------------------------------------- */

/* Where a reader says it has merged us; the other tries to write it down. */
void acked_note(struct store *s, int64_t remote,
    const uint8_t cursor[static STORE_CURSOR_LEN]);
void acked_write(struct store *s);

/* -- moved.c ----------------------------------------------------------------- */

/* Before the last connection of a database that has moved is closed. */
void moved_leave(struct store *s);

/* -- watch.c ----------------------------------------------------------------- */

/* From now on store_changed tells what is new. */
int store_watch_begin(struct store *s, struct err *err);

/* -- fork.c -------------------------------------------------------------------- */

/* Compares the note with the database, and continues as a new incarnation if
 * they don't fit (R16). */
int fork_check_note(struct store *s, struct err *err);

/* Before anything is told or asked: takes note of what happened to tables and
 * of another process's new incarnation, and begins one where a table that lost
 * its log is replicated again (R16). */
int fork_look(struct store *s, struct err *err);

/* Writes down in the state directory what a reader of db is going to send. */
int fork_write_note(struct store *s, sqlite3 *db, struct err *err);

/* -- retry.c ------------------------------------------------------------------- */

/* Tries parked changes again if the schema is another than the last time. */
int retry_look(struct store *s, struct err *err);

#endif

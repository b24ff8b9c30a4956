// SPDX-License-Identifier: MPL-2.0
/*
 * store.h - one ddcp database and its state directory, for synchronisation:
 * identity, remotes, cursors, vectors, the inbox, pages out and pages in.
 *
 * It is the only layer that knows SQLite's API besides the engine, which it
 * reaches by SQL alone.  It blocks (on the disk), has no socket, no clock of
 * its own (times are passed in, ms since 1970) and no event loop.
 *
 * Tables ddcp_* in the database: see schema.c.  State directory: identity.c
 * and statedir.c.  Argument order: store, inputs, outputs, err last.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	STORE_CURSOR_LEN = 40,
	STORE_SITE_LEN = 16,
	STORE_TOKEN_LEN = 8,
	STORE_HASH_LEN = 16,
	STORE_NAME_MAX = 64,    /* a remote's name, with the NUL */
	STORE_OTHERS_MAX = 64
};

struct store;
struct sqlite3;

/* -- opening ------------------------------------------------------------- */

struct store_open {
	const char *db_file;
	const char *state_dir;  /* NULL: .ddcp/<file name>/ beside the file */
	const char *config_file;        /* the user's settings, or NULL */
	bool readonly;
	bool half_clone;        /* also one that is being cloned: else E_FATAL */
	int busy_ms;            /* how long to wait for locks */
};

/* Opens an initialised database: E_NOTFOUND if it is not initialised or the
 * file does not exist, E_FATAL if it is no database or newer than we know;
 * E_UNREACHABLE locked.  Checks R16 (noted token) and makes a new incarnation
 * where needed; store_was_forked tells. */
int store_open(const struct store_open *how, struct store **out,
    struct err *err);
void store_close(struct store *s);

struct store_init {
	const char *db_file;
	const char *state_dir;
	bool keep_journal_mode;
	bool new_identity;      /* although the database had one */
	const uint8_t *clone_of;        /* KEY_LEN bytes: begin a clone of that
				 * address, or go on with one (*already); or
				 * NULL */
	int busy_ms;
};

/* ddcp init: makes key, state directory and tables; *already is true if all
 * was there.  E_NOTFOUND with a hint if the database was initialised and its
 * key is gone; E_EXISTS if it is to be a clone and is something else. */
int store_init(const struct store_init *how, bool *already, struct err *err);

/* ddcp deinit: folds, removes triggers and bookkeeping of ddcp and engine;
 * purge removes the state directory with the key too. */
int store_deinit(const struct store_open *how, bool purge, struct err *err);

/* Own public key; secret seed for the channel (wipe after use). */
void store_public_key(const struct store *s, uint8_t key[static KEY_LEN]);
void store_secret_seed(const struct store *s, uint8_t seed[static 32]);
bool store_was_forked(const struct store *s);
const char *store_db_file(const struct store *s);       /* real path */
const char *store_state_dir(const struct store *s);

/* key export | import: passphrase-encrypted file (libsodium: Argon2id,
 * secretstream). */
int store_key_export(struct store *s, const char *file, const char *pass,
    struct err *err);
int store_key_import(const struct store_init *how, const char *file,
    const char *pass, struct err *err);

/* From now on that long is waited for locks (store_open.busy_ms); returns what
 * was before.  A loop that others depend on must not wait long. */
int store_patience(struct store *s, int busy_ms);

/* False while another program holds the lock that writing needs.  Looks without
 * waiting; an operation that fails with err.locked found one. */
bool store_lock_is_free(struct store *s);

/* The lock of `serve`, by (device, inode): E_FATAL if another has it. */
int store_serve_lock(struct store *s, struct err *err);

/* The same lock for one exchange: E_UNREACHABLE and err->locked if another has
 * it; for one that writes, E_FATAL if nothing can be written here. */
int store_exchange_lock(struct store *s, bool writes, struct err *err);
void store_serve_unlock(struct store *s);

/* E_FATAL if the database file or the state directory is not any more what was
 * opened by its name: then s must only be closed. */
int store_still_there(struct store *s, struct err *err);

/* -- remotes ------------------------------------------------------------- */

struct store_remote {
	int64_t id;
	char name[STORE_NAME_MAX];
	uint8_t key[KEY_LEN];
	char place[PLACE_MAX];      /* HOST:PORT hint or "" */
	bool automerge;             /* default true */
	int64_t last_contact_ms;    /* 0: never */
	char last_path[PLACE_MAX];
	char last_error[ERR_TEXT_MAX];
	int64_t last_error_ms;
};

int store_remote_add(struct store *s, const char *name,
    const uint8_t key[static KEY_LEN], const char *place, bool *already,
    struct err *err);                   /* E_EXISTS, E_USAGE */
int store_remote_remove(struct store *s, const char *name, struct err *err);
int store_remote_rename(struct store *s, const char *name, const char *to,
    struct err *err);
int store_remote_set(struct store *s, const char *name, const char *setting,
    const char *value, struct err *err);        /* automerge, place */
int store_remote_by_name(struct store *s, const char *name,
    struct store_remote *out, struct err *err);     /* E_NOTFOUND */
int store_remote_by_key(struct store *s, const uint8_t key[static KEY_LEN],
    struct store_remote *out, struct err *err);
int store_remote_each(struct store *s,
    int (*each)(void *self, const struct store_remote *r), void *self,
    struct err *err);
int store_remote_note(struct store *s, int64_t id, int64_t now_ms,
    const char *path, const char *error, struct err *err);

struct store_knock {
	uint8_t key[KEY_LEN];
	int64_t first_ms, last_ms;
	int64_t count;
	char place[PLACE_MAX];
};

/* Strangers' calls: the 64 newest are kept. */
int store_knock(struct store *s, const uint8_t key[static KEY_LEN],
    const char *place, int64_t now_ms, bool *first, struct err *err);
int store_knock_each(struct store *s,
    int (*each)(void *self, const struct store_knock *k), void *self,
    struct err *err);
/* Removes it when accepted; silent if it was none. */
int store_knock_forget(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err);

/* -- configuration: ddcp_config, else the user's file, else a default ------ */

enum store_origin { STORE_DEFAULT, STORE_USER, STORE_DATABASE };

/* An unknown key is E_USAGE, in each of these. */

int store_config_get(struct store *s, const char *key, char *out, size_t max,
    struct err *err);
int store_config_set(struct store *s, const char *key, const char *value,
    struct err *err);       /* value NULL: unset */
int store_config_each(struct store *s, int (*each)(void *self,
    const char *key, const char *value, const char *about,
    enum store_origin origin), void *self, struct err *err);

/* -- vectors, hello -------------------------------------------------------- */

struct store_entry {
	uint8_t site[STORE_SITE_LEN];
	uint64_t version;
	uint8_t token[STORE_TOKEN_LEN];
};

struct store_vector {
	struct store_entry *entry;  /* sorted by site, malloc'ed */
	size_t n;
	size_t cap;                 /* room in entry; may be left 0 */
	uint8_t hash[STORE_HASH_LEN];
};
void store_vector_clear(struct store_vector *v);

struct store_own_site {
	uint8_t incarnation[8];
	uint64_t version;
	uint8_t token[STORE_TOKEN_LEN];
};

struct store_hello {
	uint8_t head[STORE_CURSOR_LEN];
	uint8_t schema[16];
	struct store_own_site own[64];  /* newest last */
	size_t nown;
	struct store_entry yours[64];   /* what I hold of the peer's sites */
	size_t nyours;
};

/* What goes into HELLO for that peer. */
int store_hello(struct store *s, const uint8_t peer[static KEY_LEN],
    struct store_hello *out, struct err *err);

/* Checks a peer's claims about own sites (R16): *fork is true if one about the
 * current incarnation is not known here.  Takes note of one that is over and
 * has two pasts. */
int store_check_claims(struct store *s, const struct store_entry *claim,
    size_t n, bool *fork, struct err *err);

/* Own headers for TOKENS, of the current incarnation, with after < version <
 * before: the newest, then at distances 1, 2, 4 ... */
int store_own_tokens(struct store *s, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err);

/* The highest of the given versions of that site which is here with that
 * token; 0 for none. */
int store_common(struct store *s, const struct store_entry *in, size_t n,
    uint64_t *version, struct err *err);

/* True once a pull brought own changes that are not here, until a new
 * incarnation: sessions begin again, because HELLO finds the common past. */
bool store_is_behind(const struct store *s);

/* Continues as a new incarnation: own changes after `common` are its.  At most
 * once a day because of one remote: E_INTEGRITY (R16). */
int store_fork(struct store *s, int64_t remote, int64_t now_ms,
    uint64_t common, struct err *err);

/* A peer says by HELLO or NOTIFY what it holds: of what is ours among it status
 * takes note. */
void store_heard(struct store *s, int64_t remote,
    const struct store_entry *entry, size_t n);

/* True if every entry is covered by the vectors of all tables: nothing to
 * pull. */
int store_covers(struct store *s, const struct store_entry *entry, size_t n,
    bool *covered, struct err *err);

/* -- serving a pull ---------------------------------------------------------- */

struct store_group {
	char **table;               /* names, owned */
	size_t ntables;
	uint8_t cursor[STORE_CURSOR_LEN];
	bool vector_known;          /* false: only the hash is given */
	struct store_vector vector;
};

struct store_plan {
	struct store_group *group;
	size_t ngroups;
	uint8_t merged[STORE_CURSOR_LEN];
};
void store_plan_clear(struct store_plan *p);

struct store_reading;       /* a pull being served: a snapshot */

/* Opens a snapshot for a peer's plan on a connection of its own, makes it
 * durable and notes it (R14).  Vectors given by hash are looked up:
 * *need_whole true if one is not known.  The merged cursor is kept as the
 * remote's acknowledgement. */
int store_serve(struct store *s, int64_t remote, const struct store_plan *p,
    bool *need_whole, struct store_reading **out, struct err *err);

/* The next page of about max bytes: bytes owned by the reading, valid until
 * its next call.  *last: nothing further. */
int store_serve_page(struct store_reading *r, size_t max,
    const uint8_t **page, size_t *len, bool *last, struct err *err);

struct store_end_group {
	bool complete;
	size_t *absent;             /* indexes of tables not here, owned */
	size_t nabsent;
	struct store_vector vector;
};
struct store_end {
	uint8_t cursor[STORE_CURSOR_LEN];
	struct store_end_group *group;
	size_t ngroups;
	char **other;               /* tables here that were not asked for, owned;
				     * the first STORE_OTHERS_MAX */
	size_t nothers;
};
void store_end_clear(struct store_end *e);

/* After the last page, in the same snapshot (R10). */
int store_serve_end(struct store_reading *r, struct store_end *out,
    struct err *err);

/* How much the pages so far hold. */
void store_serve_counts(const struct store_reading *r,
    uint64_t *transactions, uint64_t *rows);

/* Gives up the snapshot for a while; the next page opens a new one. */
void store_serve_pause(struct store_reading *r);
void store_serve_close(struct store_reading *r);

/* -- pulling ------------------------------------------------------------------ */

struct store_pull;          /* a pull from one remote */

struct store_result {
	uint64_t transactions, rows, bytes;
	uint64_t parked;            /* changes that can't be applied here yet */
	uint64_t held;              /* fetched and not merged */
	char why[ERR_TEXT_MAX];     /* ... because it would delete too much, or no
	                             * more conflicts can be noted; else "" */
	char hint[ERR_HINT_MAX];    /* what to do about that */
};

/* What to ask of that remote: groups of tables with equal cursor and vector.
 * fetch_only uses and moves the inbox's cursor instead of the database's. */
int store_pull_begin(struct store *s, int64_t remote, bool fetch_only,
    struct store_pull **out, struct store_plan *plan, struct err *err);

/* A whole page, as transferred inside PAGE and expanded.  Checked (site keys
 * against site ids, R17), then kept in memory, merged at a transaction end
 * past the batch limits, or put into the inbox (fetch_only; a transaction too
 * large for memory).  page is copied or consumed before return. */
int store_pull_page(struct store_pull *p, const uint8_t *page, size_t len,
    struct err *err);

/* A piece of a page that is larger than a frame: kept in the inbox, so that
 * it survives a cut.  *have: bytes of that page that are safe now. */
int store_pull_piece(struct store_pull *p, const uint8_t hash[static 16],
    uint64_t total, uint64_t raw, bool zipped, uint64_t offset,
    const uint8_t *data, size_t len, uint64_t *have, struct err *err);
/* The page in pieces is complete: check its hash, expand, take it. */
int store_pull_pieced(struct store_pull *p, struct err *err);
/* What to ask to resume: a page got in part; zero length if there is none. */
int store_pull_partial(struct store_pull *p, uint8_t hash[static 16],
    uint64_t *have, struct err *err);

/* END: merges what is waiting, moves cursors and joins vectors in the same
 * transaction as the last rows, notes what was seen, retries parked changes,
 * makes it durable. */
int store_pull_end(struct store_pull *p, const struct store_end *end,
    struct store_result *out, struct err *err);

/* How much has come so far, merged or not. */
void store_pull_progress(const struct store_pull *p,
    struct store_result *out);

/* Cut or cancelled: what was merged or put into the inbox stays. */
void store_pull_close(struct store_pull *p, struct store_result *out);

/* ddcp merge: applies what the inbox holds of a remote (R23). */
int store_merge_inbox(struct store *s, int64_t remote,
    struct store_result *out, struct err *err);
/* From now on merges may delete however much, or not. */
void store_allow_delete(struct store *s, bool allow);

/* ddcp cleanup: removes inbox leftovers; tells what. */
int store_cleanup(struct store *s, uint64_t *pages, uint64_t *bytes,
    struct err *err);

/* -- cloning ---------------------------------------------------------------------- */

/* How the replicated tables are declared here, for who clones: free *out. */
int store_describe(struct store *s, uint8_t **out, size_t *len,
    struct err *err);

struct store_clone_calls {
	/* Something of a table (name: of what, or "") that is not made. */
	int (*left)(void *self, const char *table, const char *name,
	    const char *reason);
	void *self;
};
/* Makes the tables that were described elsewhere and are not here yet, and
 * replicates them: all or none.  E_INTEGRITY: bytes that make no sense; E_USAGE: a
 * table that can't be made; E_NOTFOUND: there are none. */
int store_clone_make(struct store *s, const uint8_t *data, size_t len,
    const struct store_clone_calls *calls, struct err *err);
/* All rows are here: makes the indexes; from now on it is no half-made clone. */
int store_clone_finish(struct store *s, const uint8_t *data, size_t len,
    struct err *err);

/* -- waiting --------------------------------------------------------------------- */

struct store_want;          /* what is here at one moment, for a remote to have */

/* Of now, with what plain programs wrote, unless somebody else writes. */
int store_want_new(struct store *s, int64_t remote, struct store_want **out,
    struct err *err);
/* The remote says, since, that it holds these. */
void store_want_told(struct store_want *w, const struct store_entry *entry,
    size_t n);
/* Whether it has said, ever, that it has merged all of it. */
int store_want_met(struct store_want *w, bool *met, struct err *err);
void store_want_free(struct store_want *w);

/* -- watching, status ----------------------------------------------------------- */

/* True if someone committed since the last call (data_version); folds plain
 * writers' journal when writing is possible; fills what is new since then
 * (newest entry per site that moved) up to max entries. */
int store_changed(struct store *s, bool *changed, struct store_entry *out,
    size_t max, size_t *n, struct err *err);

/* The file to watch for commits: the WAL, or the database itself. */
const char *store_watch_file(const struct store *s);

struct store_status {
	uint64_t version;           /* own db_version */
	uint64_t pending;           /* journalled, not folded */
	uint64_t parked;
	uint64_t conflicts;         /* not reviewed */
	uint64_t tables;
	uint64_t file_bytes;
};
int store_status(struct store *s, struct store_status *out, struct err *err);

struct store_size {             /* of log, clocks, tombstones, ddcp_* */
	uint64_t bytes;
	uint64_t tombstones;
	bool exact;                 /* false: about so much */
	bool known;                 /* false: very many tables, or an SQLite that
				     * can't tell */
};
/* Reads some pages of each table, however large they are. */
int store_size(struct store *s, struct store_size *out, struct err *err);

/* What can't be applied here yet: per table and reason, how many changes. */
int store_parked_each(struct store *s, int (*each)(void *self,
    const char *table, const char *reason, uint64_t n), void *self,
    struct err *err);

struct store_remote_status {
	struct store_remote remote;
	uint64_t held_transactions, held_rows;
	uint64_t ahead, ahead_rows; /* own transactions that it did not say it
				     * has, and rows that they changed */
	bool ahead_more;            /* than that, at least: it was not counted
				     * further */
	uint64_t behind, behind_rows;   /* fetched and not merged */
	bool behind_known;
	bool ever_pulled;
};
int store_remote_status(struct store *s, int64_t remote,
    struct store_remote_status *out, struct err *err);

/* Tables that the remote had at the last pull and that are not replicated
 * here. */
int store_other_each(struct store *s, int64_t remote, int (*each)(void *self,
    const char *table), void *self, struct err *err);

/* -- rows and their past ---------------------------------------------------------- */

enum store_type {
	STORE_NULL, STORE_INTEGER, STORE_REAL, STORE_TEXT, STORE_BLOB
};

struct store_value {
	enum store_type type;
	int64_t integer;
	double real;
	const void *data;           /* TEXT in UTF-8, BLOB; never NULL for these */
	size_t size;
};

struct store_cell {
	const char *column;
	struct store_value value;
};

struct store_author {
	char name[STORE_NAME_MAX];  /* me, a remote, VLD0:8chars, site:8digits */
	char address[ADDR_TEXT_LEN + 1];        /* or "" */
	uint8_t site[STORE_SITE_LEN];
};

struct store_tally {            /* what a transaction did to a table, as far as
				     * the log tells */
	char *table;
	uint64_t inserted, changed, deleted, parked;
};

struct store_transaction {
	struct store_author author;
	uint64_t version;           /* the author's own number; 0: not known */
	uint64_t db_version;        /* ours */
	int64_t time_ms;            /* 0: not known */
	uint8_t token[STORE_TOKEN_LEN];
	struct store_tally *tally;
	size_t ntally;
};

struct store_log {
	const char *table;          /* those that touch it; NULL: all */
	const char *author;         /* those by him; NULL: all */
	uint64_t limit;             /* at most so many; 0: all */
};

/* Transactions, the newest first.  No transaction of ours is open while `each`
 * runs.  E_NOTFOUND: no such table or author. */
int store_log_each(struct store *s, const struct store_log *which,
    int (*each)(void *self, const struct store_transaction *t), void *self,
    struct err *err);

enum store_change_kind { STORE_INSERTED, STORE_CHANGED, STORE_DELETED };

struct store_change {           /* of one row, by one transaction */
	enum store_change_kind kind;
	const char *table;
	struct store_cell *key;     /* columns of the primary key */
	size_t nkey;
	struct store_cell *cell;    /* what is still current of what it set */
	size_t ncell;
	struct store_author author;
	uint64_t version, db_version;
	int64_t time_ms;
	uint8_t cursor[STORE_CURSOR_LEN];       /* the place behind it */
};

struct store_show {
	int (*transaction)(void *self, const struct store_transaction *t);
	int (*change)(void *self, const struct store_change *c);
	/* kept: values of it that are current; lost: at least so many more were
	 * overwritten since, or are of tables that are not here. */
	int (*end)(void *self, uint64_t kept, uint64_t lost);
	void *self;
};

/* What AUTHOR@VERSION did, or, by "@N", our own db_version N: each transaction of
 * that name, for one that came in parts is several.  E_NOTFOUND. */
int store_show(struct store *s, const char *name,
    const struct store_show *calls, struct err *err);

struct store_blamed {
	enum store_change_kind kind;
	const char *column;         /* "": the row itself was deleted, or came back */
	struct store_value value;
	bool known;                 /* false: nobody wrote it since the column was
				     * added, it shows its default */
	struct store_author author;
	uint64_t version, db_version;
	int64_t time_ms;
};

/* Who set each column of a row, in the table's order.  E_NOTFOUND: no such table,
 * or no such row ever; E_USAGE: another number of key columns. */
int store_blame(struct store *s, const char *table,
    const struct store_value *key, size_t nkey,
    int (*each)(void *self, const struct store_blamed *b), void *self,
    struct err *err);

/* -- conflicts: what lost to a change whose author did not know of it ------------- */

struct store_lost {
	const char *column;
	struct store_value winner, loser;
};

struct store_conflict {
	uint64_t id;
	const char *table, *rule;   /* version, value, delete, life */
	bool row;                   /* it lost as a whole: by the last two */
	struct store_cell *key;
	size_t nkey;
	struct store_author winner, loser;
	uint64_t winner_version, loser_version;
	int64_t time_ms, reviewed_ms;   /* 0: not reviewed */
	const struct store_lost *lost;  /* one; of a row all; none of a delete */
	size_t nlost;
};

struct store_conflicts {
	const char *const *table;   /* of these; all if there are none */
	size_t ntables;
	bool all;                   /* reviewed ones too */
};

/* In the order in which they were met; no statement is open meanwhile.
 * E_NOTFOUND: no such table. */
int store_conflict_each(struct store *s, const struct store_conflicts *which,
    int (*each)(void *self, const struct store_conflict *c), void *self,
    struct err *err);

/* Those that nobody reviewed. */
int store_conflict_count(struct store *s, uint64_t *out, struct err *err);

/* How many were noted since the one of number *newest, which becomes the newest. */
int store_conflict_news(struct store *s, uint64_t *newest, uint64_t *n,
    struct err *err);

/* Whether there is room for more. */
int store_conflict_room(struct store *s, bool *room, struct err *err);

enum store_choice { STORE_OURS, STORE_THEIRS, STORE_WINNER, STORE_LOSER,
	STORE_GIVEN };

/* Settles one: what lost, or the value that is given (else NULL), is written; what
 * won is left as it is by now.  E_NOTFOUND: no such conflict, or its row is gone;
 * E_USAGE: it is not told which side is ours; E_REFUSED: the table does not take
 * it. */
int store_resolve(struct store *s, uint64_t id, enum store_choice choice,
    const struct store_value *value, struct err *err);

/* All that there are count as reviewed, as they are; *n were not. */
int store_review_all(struct store *s, uint64_t *n, struct err *err);

/* Forgets those that were reviewed longer ago than the setting says. */
int store_forget_reviewed(struct store *s, struct err *err);

struct store_follow;        /* reads the log as it grows */

/* From a place on, a cursor that was given for a change (NULL: from its end as it
 * is now), of a table or (NULL) of all.  E_NOTFOUND: no such table. */
int store_follow_begin(struct store *s, const uint8_t *from,
    const char *table, struct store_follow **out, struct err *err);
/* The next changes, valid until the next call; *n 0: none now.  *again: somebody
 * writes, so that what plain programs wrote could not be taken in.  E_NOTFOUND if
 * the place is none in this log. */
int store_follow_next(struct store_follow *f, const struct store_change **out,
    size_t *n, bool *again, struct err *err);
/* The place behind what was given. */
void store_follow_place(const struct store_follow *f,
    uint8_t place[static STORE_CURSOR_LEN]);
void store_follow_end(struct store_follow *f);

/* -- looking before merging ----------------------------------------------------- */

struct store_diff_cell {
	const char *column;
	bool was_known;             /* before is what it has here now */
	struct store_value before, after;
};

struct store_diff_row {         /* what a merge would change */
	enum store_change_kind kind;
	const char *table;
	struct store_cell *key;
	size_t nkey;
	struct store_diff_cell *cell;   /* inserted: after counts; deleted: before */
	size_t ncell;
	struct store_author author; /* of the last that changed it, ... */
	uint64_t version;           /* and his number; 0: not known */
	int64_t time_ms;            /* 0: not known */
};

struct store_diff {
	const char *remote;         /* NULL: all, in the order of their names */
	const char *const *table;   /* these only; none: all */
	size_t ntables;
	bool (*stop)(void *arg);    /* true: enough; or NULL */
	void *arg;
};

struct store_diff_sum {
	uint64_t transactions, rows;    /* that were fetched and not merged */
	uint64_t parked;            /* of them: they can't be applied here */
};

/* What merging what was fetched would change, row by row, as the database is now,
 * which is the same afterwards (R9).  Nobody waits while `each` runs.  E_NOTFOUND:
 * no such remote or table; E_INTERRUPTED. */
int store_diff(struct store *s, const struct store_diff *what,
    int (*each)(void *self, const struct store_diff_row *row), void *self,
    struct store_diff_sum *out, struct err *err);

/* Forgets a part of what is kept to take merges back, where it is too old or too
 * much; *more: there is more of it. */
int store_forget(struct store *s, bool *more, struct err *err);

struct store_undo {
	const char *name;           /* AUTHOR@VERSION, @N; NULL: the last merge */
	bool dry_run;               /* only find out */
};

struct store_undone {           /* what was done to a row */
	struct store_diff_row row;  /* inserted: it is back; deleted: it had come
				     * with the merge.  Who and when: of the change
				     * that is taken back */
	size_t nleft;               /* columns that somebody set since, left */
	const char *why;            /* nothing was done: why; else NULL */
};

struct store_undo_sum {
	uint64_t done, partly, left;    /* rows; partly: with nleft */
};

/* Takes back what a transaction of somebody else's, or all of the last merge, wrote:
 * what there was before is written as changes of our own.  What was changed since is
 * left as it is.  All of it or nothing; `each` runs afterwards.  E_NOTFOUND: there
 * is no such one, or what it wrote over is not kept. */
int store_undo(struct store *s, const struct store_undo *what,
    int (*each)(void *self, const struct store_undone *row), void *self,
    struct store_undo_sum *out, struct err *err);

/* -- tables --------------------------------------------------------------------- */

int store_track(struct store *s, const char *table, bool *already,
    struct err *err);
int store_untrack(struct store *s, const char *table, struct err *err);
/* Every table of the user's, by name. */
int store_table_each(struct store *s, int (*each)(void *self,
    const char *table, bool tracked), void *self, struct err *err);
/* How many tables are replicated, and a number that is another one when others
 * are: also when one was replaced by another of its name, or when all has to be
 * asked for again. */
int store_tables(struct store *s, size_t *n, uint64_t *which,
    struct err *err);
/* Lint of one table (or all tracked): each finding with a rule name, how grave
 * and the sentence. */
enum store_lint_grade { LINT_NOTE, LINT_WARNING, LINT_REFUSAL };
int store_check(struct store *s, const char *table, int (*each)(void *self,
    const char *table, enum store_lint_grade grade, const char *rule,
    const char *text), void *self, struct err *err);

/* -- fsck ------------------------------------------------------------------------ */

struct store_fault {
	bool wrong;                 /* false: only worth knowing */
	const char *part;           /* a table, or what else it is about */
	const char *rule;           /* short name */
	const char *text;           /* sentence */
	const char *hint;           /* or "" */
};
struct store_health {
	uint64_t tables, rows, transactions;
	uint64_t pending;           /* journalled, not folded */
	uint64_t waiting;           /* pages in the inbox */
	uint64_t faults;            /* how many were wrong */
};
/* Whether the database agrees with itself, each fault told; writes nothing.
 * 0 whatever was found. */
int store_fsck(struct store *s, int (*each)(void *self,
    const struct store_fault *f), void *self, struct store_health *out,
    struct err *err);

/* -- verify ---------------------------------------------------------------------- */

/* One side of a comparison with a remote: a snapshot, and the other side's
 * words.  Each side has one; what one says goes to the other, until the one who
 * asked is done.  It writes nothing. */
struct store_digest;

/* For the one who asks, and for the one who is asked.  E_UNREACHABLE while a
 * table is to be taken note of. */
int store_digest_ask(struct store *s, int64_t remote,
    struct store_digest **out, struct err *err);
int store_digest_answer(struct store *s, int64_t remote,
    struct store_digest **out, struct err *err);

/* What the other side said.  E_INTEGRITY: malformed, or not its turn. */
int store_digest_take(struct store_digest *d, const uint8_t *data, size_t len,
    struct err *err);

enum store_digest_state {
	STORE_DIGEST_WORKS,         /* another step is wanted */
	STORE_DIGEST_SAYS,          /* data is for the other side */
	STORE_DIGEST_WAITS,         /* for the other side's words */
	STORE_DIGEST_DONE           /* the one who asked knows */
};
/* Works on for about so many rows.  *data is valid until the next call. */
int store_digest_step(struct store_digest *d, size_t rows,
    enum store_digest_state *state, const uint8_t **data, size_t *len,
    struct err *err);

enum store_difference_kind {
	STORE_ROW_DIFFERS, STORE_ROW_HERE, STORE_ROW_THERE,
	STORE_COLUMN_HERE, STORE_COLUMN_THERE,
	STORE_KEY_DIFFERS,          /* the tables' primary keys don't fit */
	STORE_TABLE_HERE, STORE_TABLE_THERE     /* of one side only: no fault */
};
struct store_difference {
	enum store_difference_kind kind;
	char *table;
	char *name;                 /* the row's key as SQL literals, the
				     * column, or "" */
};
struct store_compared {
	uint64_t tables, rows;      /* compared */
	uint64_t in_flight;         /* rows left out: only one side has all of
				     * their changes yet */
	uint64_t read;              /* rows read here so far */
	uint64_t differ, here, there, others;
	const struct store_difference *found;   /* the first 1,000 of them */
	size_t nfound;
};
/* How far it is; complete when it is DONE.  Valid as long as d. */
void store_digest_result(const struct store_digest *d,
    struct store_compared *out);
void store_digest_close(struct store_digest *d);

/* The open handle, for programs of the library that want SQL on the same
 * database (ddcp_sqlite). */
struct sqlite3 *store_handle(struct store *s);

#endif

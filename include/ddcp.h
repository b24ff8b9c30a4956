/* SPDX-License-Identifier: MPL-2.0 */
/*
 * ddcp.h - database-to-database copy: replicate SQLite databases between
 * people, directly.  The whole public interface of libddcp.
 *
 * A `ddcp` handle is one initialised database.  The library has no global
 * state, starts no threads, prints nothing and never exits; a handle is used
 * by one thread at a time.
 *
 * Functions return 0 or a negative DDCP_E*; each kind is the negated exit code
 * of the command line.  What went wrong stands in the ddcp_error that the
 * caller gave (NULL if he does not want to know).  Argument order: handle,
 * inputs, outputs, error.  Strings are UTF-8.  Strings inside structures that
 * are given to callbacks are valid until the callback returns.  A callback
 * that returns nonzero ends the iteration, which then returns that value.
 * Option structures: zero is the default of every field.
 */
#ifndef DDCP_H
#define DDCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DDCP_API __attribute__((visibility("default")))

#define DDCP_VERSION "0.3.0"

enum {
	DDCP_OK = 0,
	DDCP_EDIFFERENT = -1,     /* the answer is "different" */
	DDCP_ENOTFOUND = -2,      /* no such remote, table, key, database */
	DDCP_EEXISTS = -3,        /* name or thing is there already */
	DDCP_EUNREACHABLE = -4,   /* nobody there, locked, timed out: try again */
	DDCP_EREFUSED = -5,       /* the other side said no */
	DDCP_EHELD = -6,          /* done, but something was held or parked */
	DDCP_EINTEGRITY = -7,     /* wrong key, broken data; nothing applied */
	DDCP_EHORIZON = -8,       /* too far behind: clone again */
	DDCP_EFATAL = -128,       /* read-only, disk full, not a database ... */
	DDCP_EUSAGE = -129,       /* bad key, bad argument */
	DDCP_EINTERRUPTED = -130
};

typedef struct ddcp ddcp;

typedef struct ddcp_error {
	int code;
	char text[512];           /* a plain sentence */
	char hint[256];           /* what to do about it, or "" */
} ddcp_error;

enum { DDCP_KEY_LEN = 32, DDCP_ADDRESS_MAX = 320 };

/* -- version --------------------------------------------------------------- */

typedef struct ddcp_versions {
	const char *library;      /* "0.3.0" */
	int abi;                  /* of this header */
	int wire_min, wire_max;   /* protocol versions spoken */
	int format;               /* storage format in the database file */
	const char *sqlite;       /* version of the SQLite in use */
} ddcp_versions;

DDCP_API void ddcp_get_versions(ddcp_versions *out);

/* Path of crsqlite.so as installed with this library, or beside the running
 * program; NULL if it is in neither place.  Valid for ever. */
DDCP_API const char *ddcp_extension_path(void);

/* -- opening ------------------------------------------------------------- */

typedef struct ddcp_options {
	const char *db_file;
	const char *state_dir;    /* NULL: .ddcp/<file name>/ beside the file */
	const char *config_file;  /* settings for all of a user's databases:
	                             lines KEY = VALUE; NULL: none */
	bool readonly;
	int timeout_ms;           /* for locks and peers; 0: 10,000 */
} ddcp_options;

typedef struct ddcp_init_options {
	ddcp_options open;
	bool keep_journal_mode;   /* else WAL is turned on */
	bool new_identity;        /* give up the key this database had */
} ddcp_init_options;

/* Makes key, state directory and bookkeeping for a database, which is created
 * if it does not exist.  *already is true if all of it was there. */
DDCP_API int ddcp_init(const ddcp_init_options *options, bool *already,
    ddcp_error *error);

/* Leaves an ordinary SQLite file; purge removes the key as well. */
DDCP_API int ddcp_deinit(const ddcp_options *options, bool purge,
    ddcp_error *error);

DDCP_API int ddcp_open(const ddcp_options *options, ddcp **out,
    ddcp_error *error);
DDCP_API void ddcp_close(ddcp *d);

/* Real path of the database; of the state directory. */
DDCP_API const char *ddcp_db_file(const ddcp *d);
DDCP_API const char *ddcp_state_dir(const ddcp *d);

/* True if opening, or an exchange since, found that the file is a copy or an
 * old backup, and made a new incarnation for what is written from now on. */
DDCP_API bool ddcp_was_forked(const ddcp *d);

/* "VLD0:" and 43 characters. */
DDCP_API void ddcp_address(const ddcp *d, char out[DDCP_ADDRESS_MAX]);

/* ADDRESS@HOST:PORT for each place at which a running `serve` of this
 * database listens; DDCP_EUNREACHABLE if none runs. */
DDCP_API int ddcp_full_addresses(ddcp *d,
    int (*each)(void *self, const char *address), void *self,
    ddcp_error *error);

/* Checks an address (prefix and @HOST:PORT optional); DDCP_EUSAGE. */
DDCP_API int ddcp_parse_address(const char *text,
    uint8_t key[DDCP_KEY_LEN], ddcp_error *error);

/* -- key ------------------------------------------------------------------- */

/* The key in a file encrypted with a passphrase. */
DDCP_API int ddcp_key_export(ddcp *d, const char *file,
    const char *passphrase, ddcp_error *error);
/* Gives an initialised or new database that key. */
DDCP_API int ddcp_key_import(const ddcp_init_options *options,
    const char *file, const char *passphrase, ddcp_error *error);

/* -- remotes ---------------------------------------------------------------- */

enum ddcp_plan {          /* what comes next with a remote */
	DDCP_PLAN_UNKNOWN,        /* the running `serve` is too busy to tell */
	DDCP_PLAN_NONE,           /* no `serve` runs: what the user does */
	DDCP_PLAN_CONNECTED,
	DDCP_PLAN_CALLING,        /* it is being called right now */
	DDCP_PLAN_AGAIN,          /* it will be, in next_ms */
	DDCP_PLAN_HEARS           /* when it calls, or announces itself */
};

typedef struct ddcp_remote {
	const char *name;
	const char *address;      /* VLD0:... */
	const char *place;        /* HOST:PORT hint or "" */
	const char *network;      /* to call it over: auto, direct or veilid */
	bool automerge;
	int64_t last_contact_ms;  /* since 1970; 0: never */
	const char *last_path;    /* HOST:PORT, or "veilid", of the last contact; or "" */
	const char *last_error;   /* or "" */
	int64_t last_error_ms;
	bool pulled;              /* ever completely */
	uint64_t ahead;           /* own transactions it did not say it has */
	uint64_t behind;          /* its transactions known of and not here */
	bool behind_known;
	uint64_t held_transactions, held_rows;   /* fetched, not merged */
	uint64_t ahead_rows;      /* rows that these changed, as often as they did */
	bool ahead_more;          /* so much at least: more was not counted */
	uint64_t behind_rows;
	enum ddcp_plan plan;
	int64_t next_ms;          /* from now, DDCP_PLAN_AGAIN */
} ddcp_remote;

/* address: key, optionally with VLD0: and @HOST:PORT.  *already: it was there
 * with the same key.  DDCP_EEXISTS: the name, or the key under another name,
 * is taken. */
DDCP_API int ddcp_remote_add(ddcp *d, const char *name, const char *address,
    bool *already, ddcp_error *error);
/* Same, for a key that knocked; knocks are forgotten by it. */
DDCP_API int ddcp_remote_accept(ddcp *d, const char *name,
    const char *address, bool *already, ddcp_error *error);
DDCP_API int ddcp_remote_remove(ddcp *d, const char *name,
    ddcp_error *error);
DDCP_API int ddcp_remote_rename(ddcp *d, const char *name, const char *to,
    ddcp_error *error);
/* Settings: automerge = yes|no, place = HOST:PORT or "", network =
 * auto|direct|veilid. */
DDCP_API int ddcp_remote_set(ddcp *d, const char *name, const char *setting,
    const char *value, ddcp_error *error);
/* name NULL: all, by name. */
DDCP_API int ddcp_remote_each(ddcp *d, const char *name,
    int (*each)(void *self, const ddcp_remote *remote), void *self,
    ddcp_error *error);

/* Tables that the remote replicated when it was pulled last and that are not
 * replicated here, so that their rows don't come. */
DDCP_API int ddcp_other_tables(ddcp *d, const char *remote,
    int (*each)(void *self, const char *table), void *self,
    ddcp_error *error);

typedef struct ddcp_knock {
	const char *address;
	const char *place;
	int64_t first_ms, last_ms;
	uint64_t count;
} ddcp_knock;

/* Strangers who called and were refused. */
DDCP_API int ddcp_knock_each(ddcp *d,
    int (*each)(void *self, const ddcp_knock *knock), void *self,
    ddcp_error *error);

/* -- exchange ------------------------------------------------------------------ */

enum ddcp_difference_kind {
	DDCP_ROW_DIFFERS, DDCP_ROW_HERE, DDCP_ROW_THERE,
	DDCP_COLUMN_HERE, DDCP_COLUMN_THERE,
	DDCP_KEY_DIFFERS,         /* primary keys that can't be compared */
	DDCP_TABLE_HERE, DDCP_TABLE_THERE       /* replicated on one side only: worth
	                             knowing, no difference */
};

typedef struct ddcp_difference {
	const char *remote;
	enum ddcp_difference_kind kind;
	const char *table;
	const char *name;         /* the row's key as SQL literals, or the column */
} ddcp_difference;

typedef struct ddcp_compared {
	uint64_t tables, rows;    /* compared */
	uint64_t in_flight;       /* rows left out: a pull would bring them one way
	                             or the other, or they are not folded */
	uint64_t differ, here, there;   /* rows, named or not */
	uint64_t others;          /* columns and keys */
} ddcp_compared;

typedef struct ddcp_result {      /* of one remote */
	const char *remote;
	int code;                 /* 0 or DDCP_E* */
	const char *error;        /* sentence, or "" */
	const char *hint;
	const char *path;         /* HOST:PORT used, or "" */
	uint64_t transactions, rows, bytes;
	uint64_t parked;          /* changes that can't be applied here yet */
	uint64_t held;            /* transactions fetched and not merged */
	bool peer_merges;         /* push: the peer merged, not only fetched */
	const ddcp_compared *compared;   /* verify; NULL if it failed */
} ddcp_result;

typedef struct ddcp_progress {
	const char *remote;
	const char *stage;        /* "Finding", "Receiving changes", "Merging" */
	uint64_t rows, transactions, bytes;
	uint64_t total;           /* rows expected; 0: not known */
	int64_t elapsed_ms;
} ddcp_progress;

typedef struct ddcp_exchange {
	const char *remote;       /* NULL: all */
	int timeout_ms;           /* without any progress; 0: the handle's */
	int (*progress)(void *self, const ddcp_progress *progress);
	int (*result)(void *self, const ddcp_result *result);
	void *self;
	/* verify: what differs, before the result of its remote */
	int (*difference)(void *self, const ddcp_difference *difference);
	bool allow_delete;        /* merge: also what merge.max-delete holds */
} ddcp_exchange;

/* fetch fills the inbox; merge applies it; pull is both; push makes the peer
 * fetch now and waits for its answer.  Through a running `serve` of this
 * database if there is one, else by connections of their own.  Returns the
 * gravest code of all remotes, with that one's sentence; `result` is called once
 * for each.
 * DDCP_ENOTFOUND: no such remote, or none at all. */
DDCP_API int ddcp_fetch(ddcp *d, const ddcp_exchange *x, ddcp_error *error);
DDCP_API int ddcp_merge(ddcp *d, const ddcp_exchange *x, ddcp_error *error);
DDCP_API int ddcp_pull(ddcp *d, const ddcp_exchange *x, ddcp_error *error);
DDCP_API int ddcp_push(ddcp *d, const ddcp_exchange *x, ddcp_error *error);

/* Waits until the peer has merged what is here now, as far as it says; what it
 * can't apply yet and keeps counts as merged.  Whoever is not there is waited for,
 * through a running `serve` or by calling again.  timeout_ms is for all of it; 0:
 * however long.  DDCP_EUNREACHABLE when that time is up. */
DDCP_API int ddcp_wait(ddcp *d, const ddcp_exchange *x, ddcp_error *error);

typedef struct ddcp_clone_options {
	int timeout_ms;           /* to be let in, and without any progress; 0: the
	                             handle's */
	int (*progress)(void *self, const ddcp_progress *progress);
	/* Something of a table that is declared there in a way that does not
	 * travel, and why; name: of a column, an index ... or "" */
	int (*left)(void *self, const char *table, const char *name,
	    const char *reason);
	int (*result)(void *self, const ddcp_result *result);
	void *self;
} ddcp_clone_options;

/* Makes a database, with a key of its own, that is to become a clone of the one
 * with that address (KEY[@HOST:PORT]), which it names "origin"; or goes on with
 * one.  ddcp_open, and each verb, refuses it until ddcp_clone is done.
 * DDCP_EEXISTS: the file is something else. */
DDCP_API int ddcp_clone_begin(const ddcp_init_options *options,
    const char *address, ddcp **out, ddcp_error *error);

/* Makes the tables as they are declared there, gets all rows, then makes the
 * indexes.  Cut at any point, the next one goes on from there.  DDCP_EREFUSED, with
 * what is to be done there: it does not know this database yet.  DDCP_EHELD: done,
 * but some changes can't be applied here yet. */
DDCP_API int ddcp_clone(ddcp *d, const ddcp_clone_options *options,
    ddcp_error *error);

/* Ends a running exchange of d, or ddcp_watch, with DDCP_EINTERRUPTED; may be
 * called in a signal handler. */
DDCP_API void ddcp_interrupt(ddcp *d);

/* -- serve ------------------------------------------------------------------------ */

enum ddcp_event_kind {
	DDCP_EVENT_LISTENING,     /* place: HOST:PORT, or "veilid" */
	DDCP_EVENT_CONNECTED,     /* remote, place */
	DDCP_EVENT_DISCONNECTED,  /* remote, text */
	DDCP_EVENT_CHANGED,       /* transactions: committed here */
	DDCP_EVENT_PULLED,        /* remote: merged from it: transactions, rows */
	DDCP_EVENT_FETCHED,       /* remote: fetched, not merged (automerge=no) */
	DDCP_EVENT_SENT,          /* remote: rows sent to it */
	DDCP_EVENT_KNOCK,         /* address, place */
	DDCP_EVENT_TABLES,        /* text: a table is replicated now, or no more */
	DDCP_EVENT_TROUBLE,       /* remote or "", text, hint; place "veilid" where it
	                             is about that network */
	DDCP_EVENT_LOCKED,        /* another program holds the lock of the
	                             database: pulls wait for it */
	DDCP_EVENT_UNLOCKED,      /* no more; elapsed_ms */
	DDCP_EVENT_CONFLICTS,     /* remote; rows: so many conflicts came with it */
	DDCP_EVENT_PUBLISHED      /* place "veilid": who knows the address finds this
	                             database there; text: version of the node */
};

typedef struct ddcp_event {
	enum ddcp_event_kind kind;
	const char *remote;
	const char *address;
	const char *place;
	const char *text;
	const char *hint;
	uint64_t transactions, rows, bytes;
	int64_t elapsed_ms;
} ddcp_event;

typedef struct ddcp_serve_options {
	const char *listen;       /* HOST:PORT; NULL: config, else all:4433 or
	                             the next free port */
	bool no_discovery;
	void (*event)(void *self, const ddcp_event *event);
	void *self;
} ddcp_serve_options;

typedef struct ddcp_server ddcp_server;

/* Starts serving; DDCP_EFATAL if another process serves this database.  Until
 * ddcp_serve_close, which comes before ddcp_close, d refuses with DDCP_EUSAGE
 * what a running serve is asked to do: the exchanges, ddcp_doctor,
 * ddcp_cleanup and ddcp_full_addresses.  Another handle may ask for them, in
 * another thread.  The same holds in callbacks of an exchange, and while a
 * transaction is open on ddcp_sqlite(). */
DDCP_API int ddcp_serve_start(ddcp *d, const ddcp_serve_options *options,
    ddcp_server **out, ddcp_error *error);
/* A descriptor that is readable when ddcp_serve_step has something to do, and
 * the time in ms after which it wants to be called anyway (-1: never). */
DDCP_API int ddcp_serve_fd(ddcp_server *server);
DDCP_API int ddcp_serve_timeout(ddcp_server *server);
/* Does what is due without waiting. */
DDCP_API int ddcp_serve_step(ddcp_server *server, ddcp_error *error);
/* Runs until ddcp_serve_stop, which may be called in a signal handler. */
DDCP_API int ddcp_serve_run(ddcp_server *server, ddcp_error *error);
DDCP_API void ddcp_serve_stop(ddcp_server *server);
DDCP_API void ddcp_serve_close(ddcp_server *server);

/* -- looking ----------------------------------------------------------------------- */

typedef struct ddcp_state {
	uint64_t version;         /* own db_version */
	uint64_t tables;          /* replicated */
	uint64_t pending;         /* writes of plain programs, not folded yet */
	uint64_t parked;
	uint64_t conflicts;       /* that nobody reviewed */
	uint64_t knocks;
	uint64_t file_bytes;
	bool serving;             /* a `serve` of this database runs */
	uint64_t metadata_bytes;  /* log, clocks, tombstones, what is known of
	                             remotes: in the file, with free room in pages */
	uint64_t tombstones;      /* deleted rows that are remembered */
	bool metadata_exact;      /* false: about so much */
	bool metadata_known;      /* false: neither is known */
} ddcp_state;

DDCP_API int ddcp_status(ddcp *d, ddcp_state *out, ddcp_error *error);

typedef struct ddcp_parked {
	const char *table;
	const char *reason;       /* sentence */
	uint64_t changes;
} ddcp_parked;

/* What of others' changes can't be applied here yet, by table and reason. */
DDCP_API int ddcp_parked_each(ddcp *d,
    int (*each)(void *self, const ddcp_parked *parked), void *self,
    ddcp_error *error);

enum ddcp_finding_grade {
	DDCP_FINE, DDCP_NOTE, DDCP_WARNING, DDCP_REFUSAL
};

typedef struct ddcp_finding {
	enum ddcp_finding_grade grade;
	const char *subject;      /* table, or remote, or part */
	const char *rule;         /* short name */
	const char *text;         /* sentence */
	const char *hint;         /* or "" */
} ddcp_finding;

/* What will not merge well in a table (NULL: all replicated ones) and why.
 * DDCP_EDIFFERENT if anything was found that is a warning or worse. */
DDCP_API int ddcp_check(ddcp *d, const char *table,
    int (*each)(void *self, const ddcp_finding *finding), void *self,
    ddcp_error *error);

/* Listening where, discovery heard, remotes (or one) reachable or not and why.
 * DDCP_EUNREACHABLE if a remote can't be reached. */
DDCP_API int ddcp_doctor(ddcp *d, const char *remote, int timeout_ms,
    int (*each)(void *self, const ddcp_finding *finding), void *self,
    ddcp_error *error);

/* -- rows and their past ------------------------------------------------------- */

enum ddcp_type { DDCP_NULL, DDCP_INTEGER, DDCP_REAL, DDCP_TEXT, DDCP_BLOB };

typedef struct ddcp_value {
	enum ddcp_type type;
	int64_t integer;
	double real;
	const void *data;         /* TEXT, not ended by a NUL; BLOB */
	size_t size;              /* of data in bytes */
} ddcp_value;

typedef struct ddcp_cell {
	const char *column;
	ddcp_value value;
} ddcp_cell;

enum { DDCP_SITE_LEN = 16 };

typedef struct ddcp_author {      /* who made a change */
	const char *name;         /* "me", a remote's name, else the beginning of
	                             the address ("VLD0:" and 8 characters), or
	                             of the site id ("site:" and 8 digits) where
	                             no key is known */
	const char *address;      /* VLD0:... or "" */
	const uint8_t *site;      /* DDCP_SITE_LEN bytes: which incarnation */
} ddcp_author;

typedef struct ddcp_tally {       /* rows of one table, as far as the log tells:
                                     what was overwritten since may be missing */
	const char *table;
	uint64_t inserted, changed, deleted;
	uint64_t parked;          /* that can't be applied here yet */
} ddcp_tally;

enum { DDCP_TOKEN_LEN = 8 };

typedef struct ddcp_transaction {
	ddcp_author author;
	uint64_t version;         /* the author's own number of it: bob@92; 0: not
	                             known */
	uint64_t db_version;      /* the number it got here */
	int64_t time_ms;          /* when it was made, by the author's clock; 0:
	                             not known */
	const uint8_t *token;     /* DDCP_TOKEN_LEN random bytes */
	const ddcp_tally *tally;
	size_t ntally;
} ddcp_transaction;

typedef struct ddcp_log_options {
	const char *table;        /* those that touch it, and its rows; NULL: all */
	const char *author;       /* "me", a remote, an address or its beginning;
	                             NULL: all */
	uint64_t limit;           /* at most so many; 0: all */
} ddcp_log_options;

/* Transactions, the newest first.  The first ones come at once, however long the
 * log is, and nobody waits for `each`: no transaction is open while it runs.
 * DDCP_ENOTFOUND: no such table or author. */
DDCP_API int ddcp_log_each(ddcp *d, const ddcp_log_options *options,
    int (*each)(void *self, const ddcp_transaction *transaction), void *self,
    ddcp_error *error);

enum ddcp_change_kind { DDCP_INSERTED, DDCP_CHANGED, DDCP_DELETED };

typedef struct ddcp_change {      /* of one row, by one transaction */
	enum ddcp_change_kind kind;
	const char *table;
	const ddcp_cell *key;     /* the columns of its primary key */
	size_t nkey;
	const ddcp_cell *cell;    /* what it set, as far as nobody set it since;
	                             none for a delete */
	size_t ncell;
	ddcp_author author;
	uint64_t version, db_version;
	int64_t time_ms;
	const char *cursor;       /* the place behind it, for ddcp_watch: text */
} ddcp_change;

typedef struct ddcp_show_calls {
	int (*transaction)(void *self, const ddcp_transaction *transaction);
	int (*change)(void *self, const ddcp_change *change);
	/* After its last row.  kept: how many of the values that it set are
	 * current.  lost: so many more, at least, were overwritten since or are of
	 * tables that are not replicated here; they are not kept. */
	int (*end)(void *self, uint64_t kept, uint64_t lost);
	void *self;
} ddcp_show_calls;

/* What a transaction did: AUTHOR@VERSION as the log names it, or @N for the
 * version N of this database.  One that came in parts is several.
 * DDCP_ENOTFOUND: not here; DDCP_EUSAGE: no such form. */
DDCP_API int ddcp_show(ddcp *d, const char *name,
    const ddcp_show_calls *calls, ddcp_error *error);

typedef struct ddcp_blamed {
	enum ddcp_change_kind kind;
	const char *column;       /* "": the row itself, which was deleted or came
	                             back to life */
	ddcp_value value;
	bool known;               /* false: nobody wrote it since the column was
	                             added, and what follows is empty */
	ddcp_author author;
	uint64_t version, db_version;
	int64_t time_ms;
} ddcp_blamed;

/* Who set each column of a row, and when, in the table's order; of a deleted row,
 * who deleted it.  Key: a value for each column of the primary key, in its order,
 * taken as the columns' types take it.  DDCP_ENOTFOUND: no such table, or no such
 * row ever; DDCP_EUSAGE: the key has other columns. */
DDCP_API int ddcp_blame(ddcp *d, const char *table, const ddcp_value *key,
    size_t nkey, int (*each)(void *self, const ddcp_blamed *blamed),
    void *self, ddcp_error *error);

/* -- looking before merging -- */

typedef struct ddcp_diff_cell {
	const char *column;
	bool was_known;           /* before is what it has here now */
	ddcp_value before, after;
} ddcp_diff_cell;

typedef struct ddcp_diff_row {    /* what a merge would change */
	enum ddcp_change_kind kind;
	const char *table;
	const ddcp_cell *key;
	size_t nkey;
	const ddcp_diff_cell *cell;     /* inserted: after counts; deleted:
	                                   before */
	size_t ncell;
	ddcp_author author;       /* of the last who changed it, ... */
	uint64_t version;         /* and his number; 0: not known */
	int64_t time_ms;          /* 0: not known */
} ddcp_diff_row;

typedef struct ddcp_diff_options {
	const char *remote;       /* NULL: all */
	const char *const *table; /* these only; ntables 0: all */
	size_t ntables;
} ddcp_diff_options;

typedef struct ddcp_diff_sum {
	uint64_t transactions, rows;    /* fetched and not merged */
	uint64_t parked;          /* of it: what can't be applied here */
} ddcp_diff_sum;

/* What merging what was fetched would change, row by row, by table and key, with
 * what is there now.  Database and log are the same afterwards; nobody waits while
 * `each` runs.  `sum` may be NULL.  DDCP_ENOTFOUND: no such remote or table. */
DDCP_API int ddcp_diff(ddcp *d, const ddcp_diff_options *options,
    int (*each)(void *self, const ddcp_diff_row *row), void *self,
    ddcp_diff_sum *sum, ddcp_error *error);

typedef struct ddcp_undo_options {
	const char *name;         /* AUTHOR@VERSION, @N; NULL: the last merge */
	bool dry_run;             /* only find out what it would do */
} ddcp_undo_options;

typedef struct ddcp_undone {      /* what was done to a row */
	ddcp_diff_row row;        /* inserted: it is back; deleted: it had come
	                             with the merge; who and when: of the change
	                             that is taken back */
	size_t nleft;             /* columns that somebody set since: left */
	const char *why;          /* nothing was done: why; else NULL */
} ddcp_undone;

typedef struct ddcp_undo_sum {    /* rows */
	uint64_t done, partly, left;
} ddcp_undo_sum;

/* Takes back what a transaction of somebody else's, or all of the last merge, wrote:
 * what there was before is written as changes of this database's own, and travels
 * as such.  What was changed since is left as it is.  All of it or nothing; `each`
 * runs afterwards, `sum` may be NULL.  DDCP_ENOTFOUND: there is no such one, or what
 * it wrote over is not kept (settings undo.keep, undo.max-bytes). */
DDCP_API int ddcp_undo(ddcp *d, const ddcp_undo_options *options,
    int (*each)(void *self, const ddcp_undone *row), void *self,
    ddcp_undo_sum *sum, ddcp_error *error);

/* -- conflicts --------------------------------------------------------------------- */

typedef struct ddcp_lost {
	const char *column;
	ddcp_value winner, loser; /* winner is NULL where a delete won, and of a
	                             longer text or blob the first 256 bytes */
} ddcp_lost;

typedef struct ddcp_conflict {    /* two changed the same, and neither knew of the
                                     other's change */
	uint64_t id;
	const char *table;
	const ddcp_cell *key;     /* the columns of its primary key */
	size_t nkey;
	const char *rule;         /* why it was decided so: "version", the value that
	                             was set more often; "value", the greater one;
	                             "delete", of a row that another changed;
	                             "life", the row was deleted and begun anew */
	bool row;                 /* it lost as a whole: by the last two */
	const ddcp_lost *lost;    /* one value; of a row those that are lost; none if
	                             what lost is a delete */
	size_t nlost;
	ddcp_author winner, loser;
	uint64_t winner_version, loser_version;
	int64_t time_ms;          /* when it was met here */
	int64_t reviewed_ms;      /* 0: not reviewed */
} ddcp_conflict;

typedef struct ddcp_conflict_options {
	const char *const *table; /* of these; all if there are none */
	size_t ntables;
	bool all;                 /* those that were reviewed, too */
} ddcp_conflict_options;

/* What lost, in the order in which it was met.  No transaction is open while `each`
 * runs.  DDCP_ENOTFOUND: no such table. */
DDCP_API int ddcp_conflict_each(ddcp *d, const ddcp_conflict_options *options,
    int (*each)(void *self, const ddcp_conflict *conflict), void *self,
    ddcp_error *error);

enum ddcp_choice {
	DDCP_OURS, DDCP_THEIRS,   /* where one of both is this database's */
	DDCP_WINNER, DDCP_LOSER,
	DDCP_GIVEN                /* another value */
};

/* Settles a conflict, which counts as reviewed then.  What won is left as it is by
 * now; what lost, or the value (else NULL), is written as any other change.
 * DDCP_ENOTFOUND: no such conflict, or its row was deleted meanwhile; DDCP_EUSAGE:
 * none or both are ours, or a value for a whole row; DDCP_EREFUSED: the table does
 * not take it. */
DDCP_API int ddcp_resolve(ddcp *d, uint64_t id, enum ddcp_choice choice,
    const ddcp_value *value, ddcp_error *error);

/* All count as reviewed, and stay as they are; *n (or NULL): how many were not. */
DDCP_API int ddcp_resolve_all(ddcp *d, uint64_t *n, ddcp_error *error);

typedef struct ddcp_watch_options {
	const char *from;         /* a cursor; "start"; NULL: what is committed from
	                             now on */
	const char *table;        /* NULL: all */
	bool once;                /* end where nothing more is there */
	/* Changes in the order of the log, and the place behind them; the first
	 * time none, and the place where it begins.  Take your time: nobody waits
	 * for it, and no transaction is open.  Nonzero ends it with that value. */
	int (*batch)(void *self, const ddcp_change *change, size_t n,
	    const char *cursor);
	void *self;
} ddcp_watch_options;

/* Gives each change of rows here, whoever made it, as soon as it is committed;
 * runs until ddcp_interrupt (DDCP_EINTERRUPTED), a callback ends it, or `once`
 * does.  What was overwritten before it is read is not told.  Who kept the cursor
 * of the last change goes on behind it.  DDCP_ENOTFOUND: no such table, or the
 * cursor is of no place here; DDCP_EUSAGE: it is none; DDCP_EFATAL if the file is
 * replaced. */
DDCP_API int ddcp_watch(ddcp *d, const ddcp_watch_options *options,
    ddcp_error *error);
/* -- verifying --------------------------------------------------------------------- */

typedef struct ddcp_health {
	uint64_t tables, rows, transactions;
	uint64_t pending;         /* writes of plain programs, not folded yet */
	uint64_t waiting;         /* pages fetched and not merged */
	uint64_t wrong;           /* findings that are warnings */
} ddcp_health;

/* Whether this database, alone, agrees with itself: the file, log, clocks,
 * journal and rows, the state directory and the inbox.  Each finding is told; a
 * warning is something that is wrong: then DDCP_EDIFFERENT.  Reads all of it and
 * writes nothing.  out may be NULL. */
DDCP_API int ddcp_fsck(ddcp *d,
    int (*each)(void *self, const ddcp_finding *finding), void *self,
    ddcp_health *out, ddcp_error *error);

/* Compares the tables with a remote's: rows of which both sides have the same
 * changes must be equal.  The first 1,000 differences are told, all are counted.
 * Nothing is written.  DDCP_EDIFFERENT if anything differs; else as
 * ddcp_pull. */
DDCP_API int ddcp_verify(ddcp *d, const ddcp_exchange *x, ddcp_error *error);

/* -- tables, configuration -------------------------------------------------------- */

DDCP_API int ddcp_track(ddcp *d, const char *table, bool *already,
    ddcp_error *error);
DDCP_API int ddcp_untrack(ddcp *d, const char *table, ddcp_error *error);
DDCP_API int ddcp_table_each(ddcp *d,
    int (*each)(void *self, const char *table, bool tracked), void *self,
    ddcp_error *error);

typedef struct ddcp_setting {
	const char *key;
	const char *value;
	const char *about;        /* one line */
	bool is_default;
	const char *origin;       /* "database", "user" (config_file), "default" */
} ddcp_setting;

DDCP_API int ddcp_config_each(ddcp *d, const char *key,
    int (*each)(void *self, const ddcp_setting *setting), void *self,
    ddcp_error *error);
/* value NULL: back to the default. */
DDCP_API int ddcp_config_set(ddcp *d, const char *key, const char *value,
    ddcp_error *error);

enum ddcp_withdrawn {
	DDCP_WITHDRAWN_NONE,      /* network.veilid is off */
	DDCP_WITHDRAWN_KEPT,      /* it is served: what is published is in use */
	DDCP_WITHDRAWN_DONE,
	DDCP_WITHDRAWN_LATER      /* it ends by itself, after 2 hours at most */
};

typedef struct ddcp_cleaned {
	uint64_t pages, bytes;    /* inbox leftovers removed */
	enum ddcp_withdrawn withdrawn;
	char why[512];            /* DDCP_WITHDRAWN_LATER: what was in the way */
} ddcp_cleaned;
/* What others find of this database over Veilid is taken back, unless it is being
 * served; that it could not be is no error. */
DDCP_API int ddcp_cleanup(ddcp *d, ddcp_cleaned *out, ddcp_error *error);

/* The library's own SQLite handle on the database, with the extension on it.
 * It belongs to the library; use it in the same thread.  In callbacks of an
 * exchange or a server it does not wait long for locks. */
struct sqlite3;
DDCP_API struct sqlite3 *ddcp_sqlite(ddcp *d);

#ifdef __cplusplus
}
#endif
#endif

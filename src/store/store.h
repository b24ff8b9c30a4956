// SPDX-License-Identifier: MPL-2.0
/*
 * store.h - one ddcp database and its state directory, for synchronisation:
 * who it is, its remotes, its settings, how it is with it.  What it tells others and
 * takes from them is in peer.h, what happened to its rows in past.h.
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
struct store_entry;
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

enum { STORE_NETWORK_MAX = 8 };

struct store_remote {
	int64_t id;
	char name[STORE_NAME_MAX];
	uint8_t key[KEY_LEN];
	char place[PLACE_MAX];      /* HOST:PORT hint or "" */
	bool automerge;             /* default true */
	char network[STORE_NETWORK_MAX];    /* to call it over: auto, direct
				     * or veilid */
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
    const char *value, struct err *err);        /* automerge, place, network */
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

/* The open handle, for programs of the library that want SQL on the same
 * database (ddcp_sqlite). */
struct sqlite3 *store_handle(struct store *s);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * peer.h - what two databases tell and give each other: what each holds, a pull from
 * either side, how tables are declared, and whether both have the same.
 */
#ifndef STORE_PEER_H
#define STORE_PEER_H

#include "store/store.h"

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

#endif

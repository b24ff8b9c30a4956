// SPDX-License-Identifier: MPL-2.0
/*
 * digest.h - one side of a verification, for the files that do its work; how
 * the two sides talk is doc/PROTOCOL.md, section 3.5.
 *
 *   digest.c         what is said and done when      digest_msg.c  as bytes
 *   digest_hear.c    what is done at each message
 *   digest_read.c    reading tables, in steps        digest_compare.c  the sums
 *   digest_plan.c    tables and columns of both sides
 *   digest_flight.c  keys of rows that are in flight
 *   digest_rows.c    rows as hashes, and their sums
 *   digest_found.c   what differs, by name
 *
 * Nothing is written, and nothing is kept of a row but hashes; a step of work
 * is bounded, so that a loop may do other things between two.
 */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include <sqlite3.h>

#include "base/buf.h"
#include "store/peer.h"

enum {
	DIGEST_KEY_LEN = 16,
	DIGEST_HASH_LEN = 16,
	DIGEST_FLIGHT_MAX = 65536,      /* keys in flight, of both sides */
	DIGEST_BUCKETS_MAX = 65536,     /* of all tables */
	DIGEST_BITS_MAX = 16,           /* log2 of that */
	DIGEST_PER_BUCKET = 16,         /* rows, or up to twice as many; of many
	                                 * rows in all more */
	DIGEST_TABLES_MAX = 10000,
	DIGEST_GROUPS_MAX = 1024,
	DIGEST_COLUMNS_MAX = 32767,     /* of a table */
	DIGEST_NAMES_MAX = 262144,      /* of tables and columns in a message */
	DIGEST_NAME_MAX = 2048,         /* bytes */
	DIGEST_KEYS_MAX = 32767,        /* columns of a primary key */
	DIGEST_MESSAGE_MAX = (4 << 20) - 64,
	DIGEST_ROWS_WANTED = 150000,    /* of either side, compared at a time */
	DIGEST_ROWS_MAX = 160000,       /* in one answer */
	DIGEST_WANTS_MAX = 4096,        /* that many answers */
	DIGEST_PK_MAX = 256,            /* a longer key is not named */
	DIGEST_PKS_MAX = 1 << 20,       /* bytes of keys in one answer */
	DIGEST_NAMED_MAX = 1000,        /* differences that are named */
};

/* What a message is: its first byte. */
enum digest_said {
	DIGEST_ASK = 1, DIGEST_HAVE, DIGEST_FLIGHT, DIGEST_SUMS, DIGEST_WANT,
	DIGEST_ROWS
};

struct digest_hash {
	uint8_t byte[DIGEST_HASH_LEN];
};

struct digest_bucket {          /* of rows whose keys' hashes begin alike */
	uint64_t hi, lo;        /* sum of the rows' hashes */
	uint64_t n;
};

struct digest_sums {
	unsigned bits;          /* 2^bits buckets */
	struct digest_bucket *bucket;
};

struct digest_names {
	char **name;            /* owned */
	size_t n;
};

struct digest_shape {           /* a table as one side has it */
	char *name;             /* owned; NULL: it has none */
	size_t nkey;
	struct digest_names columns;    /* replicated and no key, by name */
	bool taken;             /* by a digest_table */
};

struct digest_table {           /* numbered as they were asked for */
	struct digest_shape here, there;        /* views */
	struct digest_names common;     /* columns of both; owned */
	bool compared;
	struct digest_sums ours, theirs;
	uint64_t rows;          /* in the sums of ours */
	uint8_t *wanted;        /* a bit a bucket, NULL: no rows are wanted */
	uint8_t *given;         /* the same of all that ever were */
	unsigned wanted_bits;
};

struct digest_row {
	uint64_t key, row;      /* the first halves of their hashes */
	uint64_t table;
	const uint8_t *pk;      /* NULL: too long */
	size_t npk;
};

/* What a message says; which fields count depends on `said`. */
struct digest_msg {
	enum digest_said said;
	uint8_t key[DIGEST_KEY_LEN];            /* ASK */
	struct store_plan plan;                 /* ASK, HAVE */
	struct digest_shape *shape;             /* of the plan's tables, in order */
	size_t nshapes;
	struct digest_hash *flight;             /* HAVE, FLIGHT */
	size_t nflight;
	struct digest_sums *sums;               /* SUMS: a table each */
	size_t nsums;
	struct digest_want {                    /* WANT, ascending */
		uint64_t table;
		unsigned bits;
		uint64_t bucket;
	} *want;
	size_t nwant;
	struct digest_row *row;                 /* ROWS: views of the bytes */
	size_t nrows;
};

/* -- digest_msg.c: bounded, and everything is checked but what it means ------ */

int digest_encode(const struct digest_msg *m, struct buf *out,
    struct err *err);
/* E_INTEGRITY: malformed.  digest_msg_clear in any case. */
int digest_decode(const uint8_t *data, size_t len, struct digest_msg *m,
    struct err *err);
void digest_msg_clear(struct digest_msg *m);
void digest_shape_clear(struct digest_shape *s);
void digest_names_clear(struct digest_names *n);

/* -- digest_plan.c ------------------------------------------------------------- */

/* What this side holds, as db sees it, for a remote: plan and shapes into m. */
int digest_plan(sqlite3 *db, int64_t remote, struct digest_msg *m,
    struct err *err);

/* Columns that both have; compared is set where rows can be. */
int digest_match(struct digest_table *t, struct err *err);

/* -- digest_rows.c ------------------------------------------------------------- */

/* The names of a table's key columns, quoted, in the key's order. */
int digest_key_names(sqlite3_str *s, sqlite3 *db, const char *table,
    struct err *err);

/* A value into b; how many bytes it has.  Keys are canonical, and whole. */
size_t digest_put_value(struct buf *b, sqlite3_stmt *stmt, int i, bool of_key,
    const uint8_t secret[static DIGEST_KEY_LEN]);

void digest_hash(const struct buf *b, const uint8_t secret[static
    DIGEST_KEY_LEN], struct digest_hash *out);

/* Its first or second half as a number. */
uint64_t digest_half(const struct digest_hash *h, int which);

/* Where a key belongs, by its hash or the first half of that. */
uint64_t digest_bucket_of(const struct digest_hash *h, unsigned bits);
uint64_t digest_bucket_of_half(uint64_t half, unsigned bits);

/* Makes coarser sums of it. */
void digest_fold(struct digest_sums *s, unsigned bits);

struct digest_scan {            /* zeroes: none goes on */
	sqlite3_stmt *stmt;
	size_t table;           /* number of the table being read */
	size_t nkey, ncolumns;
	struct buf bytes;       /* the row at hand: key, then values */
	size_t key_at, key_end; /* where the key's bytes are */
	struct digest_hash key, row;
	size_t read;            /* bytes of its values */
};
int digest_scan_open(struct digest_scan *c, sqlite3 *db,
    const struct digest_table *t, size_t table, struct err *err);
int digest_scan_next(struct digest_scan *c, const uint8_t secret[static
    DIGEST_KEY_LEN], bool *row, struct err *err);
void digest_scan_close(struct digest_scan *c);

/* -- digest_flight.c ----------------------------------------------------------- */

struct digest_flight {
	struct digest_hash *hash;
	size_t n, cap;
	bool sorted;
};
int digest_flight_add(struct digest_flight *f, const struct digest_hash *h,
    struct err *err);
void digest_flight_sort(struct digest_flight *f);
bool digest_flight_has(const struct digest_flight *f,
    const struct digest_hash *h);
void digest_flight_clear(struct digest_flight *f);

/* The keys of a page; parked; journalled and not folded. */
int digest_flight_page(struct digest_flight *f, sqlite3 *db,
    const struct digest_table *table, size_t n, const uint8_t secret[static
    DIGEST_KEY_LEN], const uint8_t *page, size_t len, struct err *err);
int digest_flight_here(struct digest_flight *f, sqlite3 *db,
    const struct digest_table *table, size_t n, const uint8_t secret[static
    DIGEST_KEY_LEN], struct err *err);

/* -- digest_found.c -------------------------------------------------------------- */

struct digest_found {
	struct store_difference *item;  /* texts are owned */
	size_t n;               /* at most DIGEST_NAMED_MAX */
	uint64_t differ, here, there;   /* rows, named or not */
	uint64_t others;                /* columns, and keys that don't fit */
};
/* Counts it, and names it if there is room. */
int digest_found_add(struct digest_found *f, enum store_difference_kind kind,
    const char *table, const char *name, struct err *err);
/* Compares rows of the same buckets, which it sorts. */
int digest_found_rows(struct digest_found *f, const struct digest_table *table,
    struct digest_msg *ours, struct digest_msg *theirs, struct err *err);
/* What of the shape of a compared table is not on both sides. */
int digest_found_shape(struct digest_found *f, const struct digest_table *t,
    struct err *err);
void digest_found_clear(struct digest_found *f);

/* -- one side ------------------------------------------------------------------------ */

enum digest_work {
	DIGEST_WORK_SAY,               /* ASK */
	DIGEST_WORK_HEAR,              /* what `expected` says */
	DIGEST_WORK_FLIGHT,            /* keys in flight to the other side */
	DIGEST_WORK_SUM,
	DIGEST_WORK_ROWS,
	DIGEST_WORK_OVER
};

/* Buckets that differ. */
struct digest_suspect {
	size_t table;
	unsigned bits;
	uint64_t bucket, n;     /* rows in it, of the side that has more */
};

struct store_digest {
	struct store *s;
	int64_t remote;
	bool asks;
	enum digest_work work;
	enum digest_said expected;
	uint8_t secret[DIGEST_KEY_LEN];
	struct store_reading *reading;
	struct digest_msg own, theirs;  /* plans and shapes */
	struct digest_table *table;
	size_t n;
	struct digest_flight flight;
	struct digest_scan scan;
	size_t at;                      /* table being read */
	struct digest_sums fine;        /* of that table */
	uint64_t per_bucket;            /* rows, or up to twice as many */
	struct digest_msg rows;         /* being collected */
	size_t rows_cap;
	uint8_t *pks;                   /* bytes of their keys */
	size_t pks_len;
	struct digest_suspect *suspect;
	size_t nsuspects, asked;        /* asked for so far, and */
	size_t answered;                /* of these, all before the last WANT */
	size_t nwants;                  /* WANTs heard */
	uint8_t *came;                  /* words that wait for their time */
	size_t came_len;
	struct buf out;
	struct store_compared result;
	struct digest_found found;
};

sqlite3 *digest_db(const struct store_digest *d);

/* The error for what comes when it should not. */
int digest_out_of_turn(struct err *err);

/* Room for the tables, which are numbered as the asker names them. */
int digest_make_tables(struct store_digest *d, size_t n, struct err *err);

/* m is what is sent next. */
int digest_say(struct store_digest *d, const struct digest_msg *m,
    enum store_digest_state *state, struct err *err);

/* -- digest_hear.c ------------------------------------------------------------------- */

/* Does what a message asks for, whose things it may take; what is not expected now
 * is refused. */
int digest_hear(struct store_digest *d, struct digest_msg *m,
    enum store_digest_state *state, struct err *err);

/* -- digest_read.c ------------------------------------------------------------------- */

int digest_begin_reading(struct store_digest *d, enum digest_work work,
    struct err *err);
/* About max rows; *done after the last table. */
int digest_read_some(struct store_digest *d, size_t max, bool *done,
    struct err *err);

/* -- digest_compare.c ---------------------------------------------------------------- */

/* As many buckets as so many rows are worth.  With per_bucket rising, of the tables
 * before `end` and the rest together no more than there may be, of each one at
 * least: fewer by the same measure for all of them, whichever came first. */
unsigned digest_bits_for(uint64_t rows, uint64_t per_bucket);
void digest_spread(struct store_digest *d, size_t end);

/* The buckets of a table that differ become suspects; one that has more rows than
 * an answer can hold is only counted. */
int digest_compare(struct store_digest *d, size_t t, struct err *err);
/* The rows of that bucket are wanted.  E_INTEGRITY: there is none, or it was wanted
 * before. */
int digest_want_bucket(struct store_digest *d, const struct digest_want *w,
    struct err *err);
/* E_INTEGRITY: they are others than were wanted, or not as many as the sums said. */
int digest_check_rows(struct store_digest *d, const struct digest_msg *m,
    struct err *err);
/* None is wanted, and none collected. */
void digest_forget_rows(struct store_digest *d);

#endif

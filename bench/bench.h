// SPDX-License-Identifier: MPL-2.0
/*
 * bench.h - what the engine costs, figure by figure: the same work on a plain
 * table and on a replicated one, in one run, alternating.
 *
 *   main.c    which works, how often, and how their figures are printed
 *   table.c   the tables, their rows, databases filled with them
 *   figures.c processes that measure, medians
 *   tape.c    values kept in memory, to be bound again
 *   page.c    pages of what was changed, on a tape
 *   write.c, read.c, merge.c, store.c   the works
 *   notes.c   a program of its own: what notes and ledger cost a merge
 *
 * A measurement runs in a process of its own, on a database file of its own, so
 * that no cache is warm from the one before and its peak memory is its own.
 * What goes wrong ends the process, with a sentence.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_COLUMNS_MAX = 20, BENCH_WAYS_MAX = 8, BENCH_PATH_MAX = 512 };

/* -- figures (figures.c) --------------------------------------------------------- */

/* Seconds of a clock that only goes on. */
double now(void);

/* Lets f fill out, of len bytes, in a process of its own; false if that failed. */
bool apart(void (*f)(void *arg, void *out), void *arg, void *out, size_t len);

/* Of n values, which are sorted. */
double median(double *v, int n);

/* -- tables (table.c) ------------------------------------------------------------ */

enum shape_id { UUID, INT, WIDE, NSHAPES };

struct shape {
	const char *name;
	const char *create;     /* table t; its key is id */
	bool integer_key;
	int ncol;               /* beside the key */
	const char *types;      /* one letter each: i small integer, I large one,
	                           r real, s text */
	int len[BENCH_COLUMNS_MAX];     /* of texts */
	const char *updated;    /* the column that updates of one column set */
	int part;               /* rows = N / part */
};

extern const struct shape shapes[NSHAPES];

/* How the table is had. */
enum mode {
	PLAIN,
	OFF,            /* replicated, plain-writers 0 */
	PRESET,         /* replicated, as the extension makes it */
	JOURNAL,        /* replicated, written without the extension */
	OTHER           /* by another .so: what its SQL offers */
};

struct way {
	enum mode mode;
	const char *name;
	const char *so;         /* OTHER */
};

struct job {
	const struct shape *shape;
	const struct way *way;
	const char *dir;
	int64_t rows;
	sqlite3 *db;
	sqlite3 *to;            /* what is merged into */
	struct tape *tape;
	int64_t *order;         /* the rows' numbers, shuffled */
	int64_t units;          /* what the time is divided by; rows, at first */
	double value;           /* of works that measure no time */
};

void check(sqlite3 *db, int rc, const char *what);
void run_sql(sqlite3 *db, const char *sql);
int64_t ask(sqlite3 *db, const char *sql);
sqlite3_stmt *prepare(sqlite3 *db, const char *sql);
void step(sqlite3 *db, sqlite3_stmt *stmt);

/* A file of that name, opened as job->way has it; `empty` table t or none. */
sqlite3 *open_file(const struct job *job, const char *name);
sqlite3 *open_empty(const struct job *job, const char *name);

/* A copy of a file that holds `rows` rows, written in one transaction; made the
 * first time. */
sqlite3 *open_filled(const struct job *job, int64_t rows);

/* On that database: loads what the way loads. */
void load_engine(const struct job *job, sqlite3 *db);
void close_db(const struct job *job, sqlite3 *db);
/* The same for a file that a copy may be taken of. */
void close_whole(const struct job *job, sqlite3 *db);

/* Numbers begin at 0. */
void bind_key(const struct job *job, sqlite3_stmt *stmt, int at, int64_t number);
void bind_columns(const struct job *job, sqlite3_stmt *stmt, int at,
    int64_t seed);

/* "INSERT INTO t VALUES(?, ...", with `verb` in place of INSERT, `more` behind. */
sqlite3_stmt *prepare_insert(const struct job *job, sqlite3 *db, const char *verb,
    const char *more);
/* "a = X, b = X": each column set to printf(form, name). */
char *all_columns(const struct shape *shape, const char *form);

void insert_rows(const struct job *job, sqlite3 *db, int64_t from, int64_t n);
/* job->order: 0 ... rows - 1 shuffled, the same for each way. */
void shuffle(struct job *job);

/* -- values (tape.c) -------------------------------------------------------------- */

struct tape {
	uint8_t *data;
	size_t len, room;
	int64_t rows;
	int ncol;
};

/* All that a query answers. */
struct tape *tape_read(sqlite3 *db, const char *sql);
void tape_add_blob(struct tape *t, const void *data, int len);
/* Runs stmt for each row, in one transaction. */
void tape_play(const struct tape *t, sqlite3 *db, sqlite3_stmt *stmt);

/* The same, after other SQL in that transaction; each row in one of its own. */
void tape_play_after(const struct tape *t, sqlite3 *db, const char *first,
    sqlite3_stmt *stmt);
void tape_play_each(const struct tape *t, sqlite3 *db, const char *first,
    sqlite3_stmt *stmt);

/* -- pages (page.c) ---------------------------------------------------------------- */

/* The cursor of one who has nothing. */
#define NOTHING "0000000000000000000000000000000000000000" \
	"0000000000000000000000000000000000000000"

/* What is behind a cursor, 40 bytes in hex, into job->tape. */
void export_behind(struct job *job, const char *cursor);

/* -- works ---------------------------------------------------------------------- */

enum unit {
	RATIO,          /* time, as a multiple of plain's */
	MICROSECONDS,   /* a unit */
	MILLISECONDS, SECONDS,
	BYTES,          /* of the file, more than plain's, a unit */
	MEBIBYTES       /* of memory, at the peak */
};

#define BIT(x) (1u << (x))

enum {
	OUR_WAYS = BIT(OFF) | BIT(PRESET),
	WRITE_WAYS = OUR_WAYS | BIT(JOURNAL) | BIT(OTHER),
	READ_WAYS = OUR_WAYS | BIT(OTHER),
	ALL_SHAPES = BIT(UUID) | BIT(INT) | BIT(WIDE)
};

struct work {
	int row;                /* in the table of targets */
	const char *name;
	const char *id;         /* for --once */
	unsigned shapes, ways;  /* bits */
	enum unit unit;
	double off[NSHAPES], preset[NSHAPES];   /* targets, 0: none */
	bool same;              /* another figure of the measurement before */
	int runs;               /* 0: as many as are asked for */
	int times;              /* rows, as a multiple of N; 0: 1 */
	int less;               /* rows, as a part of N; 0: 1 */
	void (*prepare)(struct job *);
	void (*run)(struct job *);      /* what is measured */
	void (*end)(struct job *);      /* may be NULL */
};

extern const struct work write_works[], read_works[], merge_works[],
    store_works[];              /* each ends with one without a name */

#endif

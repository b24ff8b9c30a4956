// SPDX-License-Identifier: MPL-2.0
/*
 * page.h - the bytes of a page, and of a cursor: reading and writing them.
 * What goes into a page is export.c's business, what comes of it import.c's.
 *
 * PAGE FORMAT.  Numbers are varints; u32 is big-endian; [n] is n bytes; text
 * is length and bytes; a value is encoded as in packed columns (val.h), and
 * pk is a packed key with its count.
 *
 *   page   = 'D' 'P' version[1]=1 flags[1] cursor[40]
 *            (nhorizons horizon*)?  ntables table*  nsites site*
 *            length transaction*
 *            length: the bytes of all transactions, to the end of the page
 *   horizon = nentries (site_id[16] version)*          horizon.h; if flag 16
 *   table  = text npk ncols text* nold (column text)* forgotten?
 *            forgotten, if flag 16: 0, or 1 + 2 * the index of its horizon, and 1
 *            more if nothing told the sender that the reader has what it names
 *            its replicated columns by name; names they had: column is an index;
 *            there may be tables of which no row follows
 *   site   = site_id[16] known[1] (key[32] incarnation[8])?    if known = 1
 *   transaction = site sver flags[1] header[14] nsteps step*
 *                 nrows:u32 length:u32 row*              length bytes of rows
 *            site: index of the list above; sver 0: unknown (R1)
 *            flags 1: begins here, 2: ends here; neither, version 0 and no rows:
 *            nothing but steps
 *            header: ms since 1970 [6], token [8]
 *   step   = other upto version       the site had seen everything of site
 *                                     `other` up to `upto` at its `version`
 *   row    = kind[1] and
 *     1 TABLE   table                        the rows that follow are of it
 *     2 FRESH   dseq pk value*ncols          every column, version 1, cl 1,
 *                                            seqs from the first one's on
 *     3 CELLS   cl pk ncells (column version dseq value)*
 *                                            column: 0 sentinel (and no
 *                                            value), else index + 1
 *     4 DEAD    cl dseq pk
 *     5 PARKED  pk length bytes[length]      park.h
 *   dseq is zigzag, the distance to the seq expected next: 0 at the start
 *   of a transaction, then one more than the last seq given.
 */
#ifndef CRDT_PAGE_H
#define CRDT_PAGE_H

#include "crdt/engine.h"
#include "crdt/horizon.h"
#include "crdt/val.h"

enum {
	PAGE_VERSION = 1,
	PAGE_MAX_TABLES = 10000,
	PAGE_MAX_COLUMNS = 32767,
	PAGE_MAX_SITES = 65536,
	PAGE_MAX_STEPS = 65536, /* of a transaction; who writes it: of the page */
};

enum page_flags {
	PAGE_DONE = 1,          /* nothing further in this snapshot */
	PAGE_LOST = 2,          /* a cursor was not known: began at nothing */
	PAGE_BEGINS_INSIDE = 4, /* begins inside a transaction */
	PAGE_ENDS_INSIDE = 8,
	PAGE_HORIZON = 16       /* the sender has forgotten things: horizons stand
	                           behind the cursor */
};

enum page_tx_flags { PAGE_TX_BEGINS = 1, PAGE_TX_ENDS = 2 };

enum page_kind {
	PAGE_TABLE = 1, PAGE_FRESH, PAGE_CELLS, PAGE_DEAD, PAGE_PARKED
};

/* -- cursors (R2) ------------------------------------------------------------ */

/* A place in a log: behind (dbv, pos), or inside the run there behind key.
 * All zero: nothing yet. */
struct cursor {
	uint8_t log_id[LOG_ID_LEN];
	int64_t dbv;
	int64_t pos;
	int64_t key;            /* CURSOR_WHOLE: the whole position */
	uint8_t token[TOKEN_LEN];
};

#define CURSOR_WHOLE INT64_MAX

void cursor_write(const struct cursor *c, uint8_t out[static CURSOR_LEN]);
void cursor_read(const uint8_t in[static CURSOR_LEN], struct cursor *c);

/* Order within one log: negative, zero, positive. */
int cursor_compare(const struct cursor *a, const struct cursor *b);

/* Fills in the log id and the token of the header at c's dbv. */
int cursor_sign(struct engine *e, struct cursor *c);

/* The cursor of the newest log entry, signed. */
int cursor_head(struct engine *e, struct cursor *c);

/* -- reading ------------------------------------------------------------------ */

struct page_table {
	const char *name;       /* not terminated */
	int nname;
	int npk;
	int ncol;
	struct rd columns;      /* their names: page_text() each */
	int nold;
	struct rd old;          /* names they had: page_read_old() each */
	int horizon;            /* index; -1: nothing of it was forgotten */
	bool unproven;          /* only who is new may take it */
};

struct page_site {
	const uint8_t *id;
	const uint8_t *key;     /* NULL if not known, as incarnation */
	const uint8_t *incarnation;
};

struct page {
	uint8_t flags;
	struct cursor end;
	int nhorizon;
	struct horizon_given *horizon;
	int ntable;
	struct page_table *table;
	int nsite;
	struct page_site *site;
	struct rd rest;         /* the transactions not yet read */
	int max_cell;           /* room in cell and value below */
	struct page_cell *cell;
	struct val *value;
	uint32_t *mark;         /* by column: row_number that named it */
	uint32_t row_number;
};

struct page_step {
	int other;              /* index of site */
	int64_t upto;
	int64_t version;
};

struct page_tx {
	int site;               /* index */
	int64_t sver;
	uint8_t flags;
	const uint8_t *header;  /* HEADER_LEN bytes */
	int nstep;
	struct rd steps;        /* page_read_step() each */
	uint32_t nrow;
	uint32_t length;
	struct rd rows;         /* page_read_row() each */
	int table;              /* of the rows now read; -1 at the start */
	int64_t seq;            /* expected next */
};

struct page_cell {
	int col;                /* index of the page's table, -1 sentinel */
	int64_t version;
	int64_t seq;
	struct val value;       /* a view of the page's bytes */
};

struct page_row {
	enum page_kind kind;    /* never PAGE_TABLE */
	int table;              /* index */
	const uint8_t *pk;
	int npk;
	int64_t cl;
	int64_t seq;            /* FRESH: of the first column; DEAD */
	int ncell;              /* CELLS */
	const struct page_cell *cell;
	const struct val *value;        /* FRESH: one for each column */
	const uint8_t *bytes;   /* PARKED */
	int nbytes;
};

/* Reads the head.  The bytes must stay.  SQLITE_ERROR with a sentence if they
 * are not those of a page, SQLITE_NOMEM; page_close in any case. */
int page_open(struct engine *e, const uint8_t *data, size_t len,
    struct page *p);
void page_close(struct page *p);

/* A text of the page; false if it is malformed or longer than max. */
bool page_text(struct rd *r, size_t max, const char **text, int *len);

/* The next old name of a table and the column that had it. */
void page_read_old(struct rd *r, const struct page_table *t, int *column,
    const char **name, int *len);

/* The next transaction, or step, or row: 1, or 0 at the end, or -1 if the
 * bytes are malformed. */
int page_read_tx(struct page *p, struct page_tx *tx);
int page_read_step(const struct page *p, struct page_tx *tx,
    struct page_step *step);
int page_read_row(struct page *p, struct page_tx *tx, struct page_row *row);

/* The sentence for -1. */
int page_malformed(struct engine *e);

/* -- writing ------------------------------------------------------------------- */

struct page_writer {
	struct buf body;        /* the transactions */
	struct buf tables;      /* what is known of each, encoded */
	struct buf sites;
	int nstep;              /* in the whole page */
	int ntable;
	int *table_id;          /* crsql_tbl.id by index */
	int nsite;
	int64_t *ordinal;       /* by index */
	size_t tx_start;        /* where the open one begins */
	size_t tx_rows;         /* where its nrows stands */
	uint32_t tx_nrow;
	int tx_table;
	int64_t tx_seq;
	uint64_t nrow;          /* in the whole page */
	const struct horizon *horizon;  /* NULL: none */
	const bool *unproven;   /* by table id */
	struct buf horizons;    /* encoded */
	int nhorizon;
	int *horizon_of;        /* a table of each, by index */
	int rc;
};

void page_writer_init(struct page_writer *w, size_t max);
void page_writer_clear(struct page_writer *w);

/* Bytes the page would have now. */
size_t page_size(const struct page_writer *w);

/* The index of a table in this page, put into its list with the names of its
 * columns if it is new. */
int page_put_table(struct page_writer *w, const struct table *t);

/* The index of a site in this page, put into its list if it is new.  SQLITE_TOOBIG
 * where that is full: a page is to end before. */
int page_put_site(struct engine *e, struct page_writer *w, int64_t ordinal,
    int *out);

/* One transaction: begin, rows, end. */
void page_begin_tx(struct page_writer *w, int site, int64_t sver, int flags,
    const uint8_t header[static HEADER_LEN], const struct page_step *step,
    int nstep);
void page_end_tx(struct page_writer *w, int add_flags);

void page_put_fresh(struct page_writer *w, const struct table *t,
    const uint8_t *pk, int npk, int64_t seq, const struct val *value);
/* The sentinel's value is not looked at. */
void page_put_cells(struct page_writer *w, const struct table *t,
    const uint8_t *pk, int npk, int64_t cl, int ncell,
    const struct page_cell *cell);
void page_put_dead(struct page_writer *w, const struct table *t,
    const uint8_t *pk, int npk, int64_t cl, int64_t seq);
void page_put_parked(struct page_writer *w, const struct table *t,
    const uint8_t *pk, int npk, const uint8_t *bytes, int nbytes);

/* Puts the head before the transactions and hands the bytes over (free()).
 * SQLITE_NOMEM, SQLITE_TOOBIG. */
int page_finish(struct page_writer *w, int flags, const struct cursor *end,
    uint8_t **out, size_t *len);

#endif

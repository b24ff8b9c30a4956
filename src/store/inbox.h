// SPDX-License-Identifier: MPL-2.0
/*
 * inbox.h - pages that wait: fetched and not merged, or parts of a
 * transaction that is too large for memory; and pieces of large pages.  They
 * lie in the state directory, in inbox.db and (bytes of pages, see spool.h)
 * inbox.pages, which may be lost at any time (R23).
 *
 * A *run* is what one pull asked for and the pages it got, in order.  Whether
 * it still fits the database is fetched.c's business.
 */
#ifndef STORE_INBOX_H
#define STORE_INBOX_H

#include "store/arrival.h"
#include "store/asked.h"
#include "store/store.h"

struct inbox;

struct run {
	int64_t id;             /* 0: none */
	struct asked asked;     /* its cursors: behind the pages it has */
	uint8_t database[16];
	struct store_entry own; /* own entry when it began */
	int64_t last;           /* number of its last page; 0: none */
	int64_t whole;          /* of the last that ends a transaction */
	bool lost;              /* pages of it are gone from the disk */
	bool dropped;           /* see fetched_merge */
	bool ended;             /* END came */
	struct store_end end;
};
void run_clear(struct run *r);

/* Opens or makes it (inbox_open.c).  One that is damaged is replaced by an empty
 * one. */
int inbox_open(struct store *s, struct err *err);
void inbox_close(struct inbox *i);

/* Opens it if the file is there: reading makes none. */
int inbox_open_if_there(struct store *s, bool *there, struct err *err);

/* Its connection, once it is open. */
sqlite3 *inbox_handle(struct store *s);

/* Begins a run for what was asked of the peer with that key. */
int inbox_begin(struct store *s, const uint8_t key[static KEY_LEN],
    const struct asked *asked, int64_t *run, struct err *err);

/* Adds a page; asked has the cursors behind it. */
int inbox_add(struct store *s, int64_t run, const uint8_t *page, size_t len,
    const struct arrival *a, const struct asked *asked, struct err *err);

/* Puts what END said to the run. */
int inbox_end(struct store *s, int64_t run, const struct asked *asked,
    const struct store_end *end, struct err *err);

/* The peer's first run after that id (0: the first): out->id = 0 if there is
 * none.  run_clear in any case. */
int inbox_run(struct store *s, const uint8_t key[static KEY_LEN],
    int64_t after, struct run *out, struct err *err);

/* The first page after number `after` (0: the first); *seq = 0 if there is
 * none.  *page is valid until the next call.  E_INTEGRITY: it is damaged. */
int inbox_page(struct store *s, int64_t run, int64_t after, int64_t *seq,
    const uint8_t **page, size_t *len, struct err *err);

/* Removes pages up to that number. */
int inbox_remove_pages(struct store *s, int64_t run, int64_t seq,
    struct err *err);
int inbox_remove_run(struct store *s, int64_t run, struct err *err);

/* Removes all that waits from a peer; does not make an inbox. */
int inbox_forget(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err);

/* Transactions and rows that were fetched from a peer and not merged. */
int inbox_held(struct store *s, const uint8_t key[static KEY_LEN],
    uint64_t *transactions, uint64_t *rows, struct err *err);

/* What END said, as bytes, and back (inbox_end.c).  The caller clears both
 * out, also after failure. */
int inbox_encode_end(const struct store_end *e, struct buf *out,
    struct err *err);
int inbox_decode_end(const uint8_t *data, size_t len, struct store_end *out,
    struct err *err);

/* -- pieces (pieces.c) ----------------------------------------------------- */

/* A page that came in part: *have = 0 if there is none. */
struct part {
	uint8_t hash[16];
	uint64_t total, raw, have;
	bool zipped;
};
int inbox_part(struct store *s, const uint8_t key[static KEY_LEN],
    struct part *out, struct err *err);
int inbox_part_begin(struct store *s, const uint8_t key[static KEY_LEN],
    const struct part *p, struct err *err);
int inbox_part_add(struct store *s, const uint8_t key[static KEY_LEN],
    uint64_t offset, const uint8_t *data, size_t len, struct err *err);
int inbox_part_remove(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err);
/* Gives all bytes to `each`, in order. */
int inbox_part_each(struct store *s, const uint8_t key[static KEY_LEN],
    int (*each)(void *self, const uint8_t *data, size_t len, struct err *err),
    void *self, struct err *err);

/* Number and bytes of all pages and parts; with remove they go. */
int inbox_count(struct store *s, bool remove, uint64_t *pages,
    uint64_t *bytes, struct err *err);

#endif

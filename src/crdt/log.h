// SPDX-License-Identifier: MPL-2.0
/*
 * log.h - appending to the log and sweeping it.
 *
 * crsql_log(dbv, pos, tbl, key, n, seq_stride, site, sver, mask, hdr),
 * PRIMARY KEY(dbv, pos), WITHOUT ROWID: one row per (origin, row), runs
 * excepted; doc/EXTENSION.md.
 *   n > 0, mask NULL  run: rows key..key+n-1 fresh, seq = seq + i*stride
 *   n > 0, mask       update run: columns of mask changed in rows key..key+n-1
 *                     by one statement: an integer, or a blob, the same as a
 *                     varint and the bytes behind it (mask.h)
 *   n NULL (-1)       one row, facts in its clock row
 *   n = -2            tombstone, key is the packed pk
 *   n = -4            parked change, mask is its bytes (park.c)
 *   n = 0             only the header is left
 *   seq_stride        NULL: seq 0, stride = number of columns (at least 1);
 *                     else seq * 4096 + stride (runs), only for runs and
 *                     update runs: other rows have theirs in clock rows
 *   site, sver        NULL: own change of this dbv; else the origin
 *   hdr               at pos 0: time and token of the transaction, and the
 *                     chain: 8 bytes made of its token, its dbv and the chain
 *                     before.  Others' transactions bring their tokens along;
 *                     two pasts of one log have the same chain only if they
 *                     are one up to there
 */
#ifndef CRDT_LOG_H
#define CRDT_LOG_H

#include "crdt/engine.h"

enum { LOG_STRIDE_BASE = 4096 };

enum log_kind { LOG_ROW = -1, LOG_DEAD = -2, LOG_PARKED = -4, LOG_HEADER = 0 };

struct log_row {
	int64_t dbv;
	int64_t pos;            /* given by log_append */
	int table;
	int64_t key;            /* unless pk */
	const uint8_t *pk;      /* LOG_DEAD, LOG_PARKED: packed pk */
	int npk;
	int64_t n;              /* > 0, or enum log_kind */
	int64_t seq;
	int64_t stride;
	bool own;               /* site and sver NULL */
	int64_t site;
	int64_t sver;
	uint64_t mask;          /* update runs */
	const uint8_t *bytes;   /* LOG_PARKED; update runs with high columns */
	int nbytes;
	const uint8_t *header;  /* HEADER_LEN bytes for pos 0; NULL: a new one
	                           of now with a random token */
};

/* Appends to row->dbv, which must be e->tx.current; gives row->pos. */
int log_append(struct engine *e, struct log_row *row);

/* The place of a row that is written later (batch.h). */
int64_t log_take_pos(struct engine *e);

/* A place behind all of a transaction that is in the log. */
int log_next_pos(struct engine *e, int64_t dbv, int64_t *pos);

/* Removes the run at (dbv, pos); the one at pos 0 stays as LOG_HEADER. */
int log_drop_run(struct engine *e, int64_t dbv, int64_t pos);

/* Removes the row at (dbv, pos); the one at pos 0 stays as LOG_HEADER.
 * Runs are left alone.  Silent if it is not there. */
int log_sweep(struct engine *e, int64_t dbv, int64_t pos);

/* Reads site and sver of the row at (dbv, pos): origin of a stamp.  site is
 * the own ordinal for own rows. */
int log_origin(struct engine *e, int64_t dbv, int64_t pos, int64_t *site,
    int64_t *sver);

/* The chain at dbv: *found false if there is no header.  A header without one,
 * of a log begun before there were any, gives its token. */
int log_chain(struct engine *e, int64_t dbv, bool *found,
    uint8_t chain[CHAIN_LEN]);

/* The chain at dbv, made of the one before and the transaction's token. */
void log_link(const uint8_t before[CHAIN_LEN], int64_t dbv,
    const uint8_t token[TOKEN_LEN], uint8_t out[CHAIN_LEN]);

/* The header at dbv: *found false if there is none. */
int log_header(struct engine *e, int64_t dbv, bool *found,
    uint8_t header[HEADER_LEN]);

/* The time of a header: ms since 1970, 0 if it is not known. */
static inline int64_t
log_time(const uint8_t header[HEADER_LEN])
{
	int64_t ms = 0;
	int i;

	for (i = 0; i < HEADER_LEN - TOKEN_LEN; i++)
		ms = ms << 8 | header[i];
	return ms;
}

/* True if next is the key after the n keys from key on.  Keys go up to 2^63 - 1:
 * what comes after that is no number. */
static inline bool
log_goes_on(int64_t key, int64_t n, int64_t next)
{
	return (uint64_t)next - (uint64_t)key == (uint64_t)n;
}

#endif

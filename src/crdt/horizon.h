// SPDX-License-Identifier: MPL-2.0
/*
 * horizon.h - what was forgotten here (R20): for each table and site the version
 * up to which everybody who will ever be talked to has everything, and up to which
 * nothing is kept of the table but what is current.  Tables crsql_horizon(site,
 * tbl, version) and the row `gc` of crsql_master; dropping is gc.c's.
 *
 * WHY NOTHING COMES BACK.  A table that has a horizon holds no row whose life a
 * delete at or below it ended: that is so when the horizon is given (gc.h), and
 * goes on being so, because
 *  - a table gets a horizon from another database only if it has all that lies
 *    below (its vector said so, or its cursor, of a place behind all that was
 *    dropped there), or has nothing of anybody else yet and of its own nothing
 *    that lies below; with the other tables of that database nothing happens;
 *  - what comes from one whose table does not have the horizon of ours, and would
 *    change something, is refused: whether it is old, or made on top of a row that
 *    was deleted, can't be told.
 *
 * WHY NOBODY IS REFUSED FOR EVER who has everything.  His vector covers our
 * horizon, so he may read from here, and the horizon comes to him before any row
 * (export.c), in a page that nothing can be refused of.  From then on he is heard.
 * One whose vector lost an entry, as of a site with two pasts, is known by the
 * horizon he has.  Who really is behind begins his table anew.
 *
 * AS BYTES: a vector as in a plan: nentries (site_id[16] version)*; in a page in
 * the order of ids, each once, no version 0.
 * THE ROW gc: dbv[8] pos[8] swept[8] salt[8], the first three big-endian: a cursor
 * before that place (of the newest tombstone that was dropped) shows the salt;
 * the newest header that was dropped.
 * THE ROW alone.ID of crsql_master: table ID holds nothing of anybody else, and of
 * its own nothing up to that version.
 */
#ifndef CRDT_HORIZON_H
#define CRDT_HORIZON_H

#include "base/rd.h"
#include "crdt/engine.h"

enum {
	HORIZON_MAX = 65536,            /* entries of one */
	HORIZON_ROWS_MAX = 1 << 20,     /* of all tables together */
	HORIZON_SALT_LEN = 8
};

struct horizon_entry {
	int table;              /* crsql_tbl.id */
	int64_t version;
	uint8_t id[SITE_ID_LEN];
};

struct horizon {
	int n;                  /* 0: nothing was forgotten */
	struct horizon_entry *entry;    /* by table and site id */
	int64_t dbv, pos;       /* cursors before that place show the salt */
	int64_t swept;          /* db_version of the newest header dropped */
	uint8_t salt[HORIZON_SALT_LEN];
	int64_t asked;          /* merge.c: 1 + the ordinal of a site, and whether */
	bool another_life;      /* one with its key has a horizon */
};

/* One that came from outside: n entries, to be read one by one. */
struct horizon_given {
	int n;
	struct rd entries;
};

/* The horizon as it is now: good until something is written or rolled back. */
int horizon_get(struct engine *e, const struct horizon **out);

/* Reads it anew when it is asked for next. */
void horizon_forget(struct engine *e);

/* The entries of a table; their number. */
int horizon_of(const struct horizon *h, int table,
    const struct horizon_entry **out);

/* The version of a site in a table's, 0 if it has none. */
int64_t horizon_version(const struct horizon *h, int table,
    const uint8_t id[SITE_ID_LEN]);

/* Checks the bytes that follow in r, and takes them; false if malformed.
 * ordered: as in a page. */
bool horizon_take(struct rd *r, bool ordered, struct horizon_given *out);

/* The next entry of given; the caller counts. */
void horizon_next(struct rd *r, const uint8_t **site, int64_t *version);

void horizon_encode(const struct horizon_entry *entry, int n, struct buf *out);

/* True if something of given is above the table's; if all of the table's is in
 * given, which is ordered. */
bool horizon_rises(const struct horizon *h, int table,
    const struct horizon_given *given);
bool horizon_within(const struct horizon *h, int table,
    const struct horizon_given *given);

/* A cursor before that place shows another token after each gc: so one that is
 * known is of a reader who read on since. */
void horizon_sign(const struct horizon *h, int64_t dbv, int64_t pos,
    uint8_t token[CHAIN_LEN]);

/* The table is a new one: alone.ID.  Something of another site is written to it:
 * not alone any more. */
int horizon_begin_alone(struct engine *e, int table);
int horizon_end_alone(struct engine *e, struct table *t);

/* The refusals: engine_fail's code CRDT_HORIZON. */
int horizon_refuse_change(struct engine *e, const char *table, bool sender);
int horizon_refuse_reader(struct engine *e);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * horizon.h - what was forgotten here (R20): for each site the version up to
 * which everybody who will ever be talked to has everything, and up to which
 * nothing is kept but what is current.  Tables crsql_horizon(site, version) and
 * the row `gc` of crsql_master; dropping is gc.c's.
 *
 * Who has a horizon has no older life of a row whose delete lies below it.  So
 * data may come from who has the same horizon or a higher one, and to who does
 * not hold, or need not learn, what was deleted.  From anybody else a change at
 * or below the horizon that is not held is refused: whether it is old, or of a
 * row that was deleted, can't be told any more.
 *
 * AS BYTES: a vector as in a plan: nentries (site_id[16] version)*.
 * THE ROW gc: dbv[8] pos[8] swept[8] salt[8], the first three big-endian: where
 * the newest tombstone stood that was dropped, and the newest header.
 */
#ifndef CRDT_HORIZON_H
#define CRDT_HORIZON_H

#include "base/rd.h"
#include "crdt/engine.h"

enum { HORIZON_MAX = 65536, HORIZON_SALT_LEN = 8 };

struct horizon_entry {
	int64_t site;           /* ordinal */
	int64_t version;
	uint8_t id[SITE_ID_LEN];
};

struct horizon {
	int n;                  /* 0: nothing was forgotten */
	struct horizon_entry *entry;    /* by ordinal */
	int64_t dbv, pos;       /* of the newest tombstone that was dropped */
	int64_t swept;          /* db_version of the newest header */
	uint8_t salt[HORIZON_SALT_LEN];
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

/* The version of a site, 0 if it has none. */
int64_t horizon_version(const struct horizon *h, int64_t site);

/* Checks the bytes that follow in r, and takes them; false if malformed. */
bool horizon_take(struct rd *r, struct horizon_given *out);

/* The next entry of given; the caller counts. */
void horizon_next(struct rd *r, const uint8_t **site, int64_t *version);

void horizon_encode(const struct horizon *h, struct buf *out);

/* True if something of given is above h; if all of h is in given. */
int horizon_rises(struct engine *e, const struct horizon_given *given,
    bool *rises);
int horizon_within(struct engine *e, const struct horizon_given *given,
    bool *within);

/* A cursor before that place shows another token after each gc: so one that is
 * known is of a reader who read on since. */
void horizon_sign(const struct horizon *h, int64_t dbv, int64_t pos,
    uint8_t token[CHAIN_LEN]);

/* The refusals: engine_fail's code CRDT_HORIZON. */
int horizon_refuse_change(struct engine *e, const char *table, bool sender);
int horizon_refuse_reader(struct engine *e);

#endif

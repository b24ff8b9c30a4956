// SPDX-License-Identifier: MPL-2.0
/*
 * seen.h - which versions of others a site had seen when (R18): the table
 * crsql_seen(site, sver, other, upto), ordinals; crsql_saw().  Steps travel
 * with the headers of their site; whose rows a reader did not ask for, at the end
 * of the pull.  So who holds a site up to a version has its steps up to there.
 */
#ifndef CRDT_SEEN_H
#define CRDT_SEEN_H

#include "crdt/page.h"
#include "crdt/plan.h"

enum {
	SEEN_MAX_SITES = 8192,  /* that steps may name: in a page, and here */
	SEEN_MAX_STEPS = 1 << 22        /* from others, stored */
};

/* Up to which version the reader has the steps of each site: by what it holds, and
 * by what was sent in one export. */
struct seen_sent {
	int n;
	struct seen_upto {
		int64_t site;
		int64_t sver;
	} *site;
	int known;              /* 0: not asked yet, 1: no steps at all here */
};
void seen_sent_clear(struct seen_sent *sent);

struct seen_steps {
	struct page_step *step; /* sqlite3_malloc'ed, on failure too */
	int n;
};

/* The steps of a site up to sver that the reader lacks.  What would make the page
 * name more than it may is left out: who knows less of what others had seen takes
 * more for concurrent, and nothing for less. */
int seen_steps(struct engine *e, struct seen_sent *sent, struct plan *plan,
    struct page_writer *out, int64_t site, int64_t sver, struct seen_steps *l);

/* At the end of a pull: those of transactions in which nothing was for the reader,
 * who holds them from then on as much as others. */
int seen_rest(struct engine *e, struct seen_sent *sent, struct plan *plan,
    struct page_writer *out);

/* What steps of a page may be taken here, by what is here already. */
struct seen_room {
	bool known;
	int64_t head;           /* numbers are judged by it (R22) */
	int64_t sites;          /* not known here that may become so */
};
int seen_open(struct engine *e, struct seen_room *room);

/* Whether a step that came with a transaction can be right, and there is room.  One
 * that is not taken is passed over: it holds back nothing. */
bool seen_takes(const struct engine *e, const struct seen_room *room,
    const struct page_tx *tx, const struct page_step *step);

/* Notes a step that came with a page. */
int seen_store(struct engine *e, int64_t site, int64_t sver, int64_t other,
    int64_t upto);

#endif

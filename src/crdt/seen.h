// SPDX-License-Identifier: MPL-2.0
/*
 * seen.h - which versions of others a site had seen when (R18): the table
 * crsql_seen(site, sver, other, upto), ordinals; crsql_saw().  Steps travel
 * with the headers of their site.
 */
#ifndef CRDT_SEEN_H
#define CRDT_SEEN_H

#include "crdt/page.h"

/* Up to which version steps of each site were sent in one export. */
struct seen_sent {
	int n;
	struct seen_upto {
		int64_t site;
		int64_t sver;
	} *site;
	int known;              /* 0: not asked yet, 1: no steps at all here */
};
void seen_sent_clear(struct seen_sent *sent);

/* The steps to send with the transaction (site, sver): those above what was
 * sent in this export, above `held` (the reader's vector), and above the
 * site's last transaction at or before start_dbv.  *step is
 * sqlite3_malloc'ed. */
int seen_steps(struct engine *e, struct seen_sent *sent,
    struct page_writer *out, int64_t site, int64_t sver, int64_t held,
    int64_t start_dbv, struct page_step **step, int *nstep);

/* Notes a step that came with a page. */
int seen_store(struct engine *e, int64_t site, int64_t sver, int64_t other,
    int64_t upto);

#endif

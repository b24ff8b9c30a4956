// SPDX-License-Identifier: MPL-2.0
/*
 * arrival.h - what a page that arrived says of itself, checked before
 * anything is done with it.
 */
#ifndef STORE_ARRIVAL_H
#define STORE_ARRIVAL_H

#include "store/peer.h"

struct arrival {
	uint8_t end[STORE_CURSOR_LEN];
	bool last;              /* nothing further in that snapshot */
	bool lost;              /* a cursor was not known: read from nothing */
	bool ends_inside;       /* inside a transaction */
	uint64_t transactions;  /* that begin in it */
	uint64_t rows;
	struct store_vector newest;     /* transaction of each site */
};

/* E_INTEGRITY if it is no page, or a site's key does not belong to its id
 * (R17).  arrival_clear in any case. */
int arrival_read(struct store *s, const uint8_t *page, size_t len,
    struct arrival *a, struct err *err);
void arrival_clear(struct arrival *a);

#endif

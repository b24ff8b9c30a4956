// SPDX-License-Identifier: MPL-2.0
/*
 * vpublish_state.h - our record in Veilid's DHT: what the files of it share.
 * vpublish.c decides when something is asked of the node, vpublish_ask.c asks.
 */
#ifndef NET_VPUBLISH_STATE_H
#define NET_VPUBLISH_STATE_H

#include <uv.h>

#include "net/vdht.h"
#include "net/vpublish.h"

#define VPUBLISH_NEVER UINT64_MAX

/* VALUE: it is written, or read if there is nothing to write. */
enum step { PLACE, MAKE, CLOSE, OPEN, VALUE };

struct vpublish {
	struct vnode *node;
	struct net_env env;
	uv_timer_t timer;
	uint8_t seed[VRECORD_SEED_LEN];
	char owner[ADDR_TEXT_LEN + 1];

	uint8_t route[VRECORD_ROUTE_MAX];
	size_t route_len;
	uint8_t token[VRECORD_TOKEN_LEN];
	bool ready;
	bool dirty;                     /* there is something to write */
	bool writing;                   /* and that is on its way */

	enum step step;                 /* the next one */
	struct vapi_call *call;
	char place[VDHT_PLACE_MAX];     /* of the record, "" if not known */
	bool made;                      /* it was open once */
	unsigned newer;
	uint64_t due, look;             /* to write; at the clock */
	uint64_t read;                  /* what stands there; not before it was
					 * written */
	uint32_t wait, read_wait;
	uint64_t expires;               /* of the last one, seconds since 1970 */
	struct buf wrote;               /* the last one */

	uint64_t when;
	struct err why;
	bool withdrawn;                 /* to be, or it is */
	vpublish_done_fn *done;
	void *done_owner;
};

/* ---- vpublish.c: no request is on its way, what next ---- */

void vpublish_arm(struct vpublish *p);

/* The request failed: again from that step on, after a while. */
void vpublish_failed(struct vpublish *p, enum step next,
    const struct err *why);

/* The value was written; or the one that stands there is ours. */
void vpublish_written(struct vpublish *p);
void vpublish_read_later(struct vpublish *p);

/* ---- vpublish_ask.c ---- */

/* Makes the request that is next. */
void vpublish_next(struct vpublish *p);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * vpublish.h - keeps our record in Veilid's DHT: where we are reached, and a
 * token that moves with each change.  What stands in it is vrecord's business.
 *
 * The record's owner is the database's key, so that its place follows from the
 * address.  It is written when the route or the token changes, when half of its
 * time is over, and again after whatever failed; and when something else is
 * found there: it is read soon after it was written, and then each five
 * minutes.
 */
#ifndef NET_VPUBLISH_H
#define NET_VPUBLISH_H

#include "net/vnode.h"
#include "net/vrecord.h"

enum {
	VPUBLISH_LIFE_MS = 2 * 3600 * 1000,     /* until the record expires */
	VPUBLISH_REST_MS = 1000,        /* between two: changes in a row are one */
	VPUBLISH_AGAIN_MIN_MS = 500,
	VPUBLISH_AGAIN_MAX_MS = 60000
};

struct vpublish;

/* Begins; the key is that of seed, which is copied and wiped at the end.
 * Nothing happens until vpublish_route().  env is copied.  E_FATAL. */
int vpublish_open(struct vnode *n, const struct net_env *env,
    const uint8_t seed[static VRECORD_SEED_LEN], struct vpublish **out,
    struct err *err);

/* At once, without a word, and before vnode_close(); the record stays until it
 * expires. */
void vpublish_close(struct vpublish *p);

/* The owner of the node tells: our route (len 0: none; the record stays, and is
 * written when there is one), and whether the node is ready. */
void vpublish_route(struct vpublish *p, const uint8_t *blob, size_t len);
void vpublish_ready(struct vpublish *p, bool ready);

/* Something has changed here: the token moves. */
void vpublish_changed(struct vpublish *p);

/* Writes a record without a route, then calls done: why is NULL if that is
 * there.  Nothing is published after. */
typedef void vpublish_done_fn(void *owner, const struct err *why);
void vpublish_withdraw(struct vpublish *p, vpublish_done_fn *done,
    void *owner);

/* When it was last written (milliseconds since 1970), 0: not yet; why the last
 * attempt failed, code 0 if it did not. */
uint64_t vpublish_when(const struct vpublish *p, struct err *why);

#endif

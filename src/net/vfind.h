// SPDX-License-Identifier: MPL-2.0
/*
 * vfind.h - the record of somebody in Veilid's DHT: read now, and again
 * whenever it changes.
 *
 * The record is watched; where that fails, or is over, it is asked for again
 * every VFIND_POLL_MS.  What is no record, not signed by its key, or older than
 * one that was seen (its expiry is earlier), is passed over.
 */
#ifndef NET_VFIND_H
#define NET_VFIND_H

#include "net/vnode.h"
#include "net/vrecord.h"

enum {
	VFIND_POLL_MS = 300000,
	VFIND_AGAIN_MIN_MS = 1000,      /* while there is none, doubled ... */
	VFIND_AGAIN_MAX_MS = 60000,     /* ... up to this */
	VFIND_REST_MS = 1000            /* between two readings */
};

struct vfind;

/* A record was read that is another one than before: it is alive, or
 * withdrawn, or expired (vrecord_alive()).  Valid during the call. */
typedef void vfind_fn(void *owner, const struct vrecord *record);

/* Begins; env is copied.  E_FATAL. */
int vfind_open(struct vnode *n, const struct net_env *env,
    const uint8_t key[static KEY_LEN], vfind_fn *found, void *owner,
    struct vfind **out, struct err *err);

/* At once, without a word, and before vnode_close(). */
void vfind_close(struct vfind *f);

/* The last record, or NULL; valid until the next turn of the loop. */
const struct vrecord *vfind_record(const struct vfind *f);

/* Why there is none yet, for people; code 0 if one was read. */
void vfind_why(const struct vfind *f, struct err *out);

/* What stands in it does not work: reads it again soon, from the network. */
void vfind_again(struct vfind *f);

/* The owner of the node tells: whether it is ready, and each on_value. */
void vfind_ready(struct vfind *f, bool ready);
void vfind_value(struct vfind *f, const struct vupdate *update);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * vdht.h - the requests about records of Veilid's DHT, as vnode_request() takes
 * them.  When to ask for what is vpublish's and vfind's business.
 *
 * A record is of one schema, with one value, and its owner's key decides its
 * place.  owner is an address, place the node's name for a record, pair a key
 * pair as the node wants it.  Each returns NULL without memory.
 */
#ifndef NET_VDHT_H
#define NET_VDHT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

enum {
	VDHT_LOCAL_MS = 15000,          /* for what needs no network: place, make,
					 * close, watch */
	VDHT_MS = 60000,                /* for what does: open, get, set */
	VDHT_PLACE_MAX = 128            /* of a place, with the NUL */
};

/* Answers the place, which vdht_place_read() takes out of it: E_INTEGRITY if there
 * is none, or one that is too long. */
json_t *vdht_place(const char *owner);
int vdht_place_read(const json_t *answer, char out[static VDHT_PLACE_MAX],
    struct err *err);

/* Refused if the node has it already. */
json_t *vdht_make(json_t *pair);
json_t *vdht_close(const char *place);

/* pair is NULL: to read only.  Known to the node, it is open at once. */
json_t *vdht_open(const char *place, json_t *pair);

/* Changes are told until then (microseconds since 1970). */
json_t *vdht_watch(const char *place, uint64_t until);

/* fresh: from the network; else what the node holds, where it holds any.
 * Answers {"data": base64url}, or null. */
json_t *vdht_get(const char *place, bool fresh);

/* Takes the reference to data, base64url.  Answers null, or what stands there
 * instead. */
json_t *vdht_set(const char *place, json_t *data, json_t *pair);

/* Overwrites the text, a secret, and takes a reference; NULL is allowed. */
void vdht_wipe(json_t *text);

#endif

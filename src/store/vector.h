// SPDX-License-Identifier: MPL-2.0
/*
 * vector.h - vectors in memory: who has what, site by site, sorted by site.
 * A site that is not named is held up to 0.  Where they are kept is the
 * business of tables.h.
 */
#ifndef STORE_VECTOR_H
#define STORE_VECTOR_H

#include "base/rd.h"
#include "store/peer.h"

enum { VECTOR_MAX = 65536 };    /* entries, doc/PROTOCOL.md section 6 */

/* The entry of a site, or NULL. */
struct store_entry *vector_find(const struct store_vector *v,
    const uint8_t site[static STORE_SITE_LEN]);

/* Sets an entry, whatever was there; version 0 removes it. */
int vector_set(struct store_vector *v, const struct store_entry *entry,
    struct err *err);

/* Sets it if it is newer than what is there; *rose tells (may be NULL). */
int vector_raise(struct store_vector *v, const struct store_entry *entry,
    bool *rose, struct err *err);

/* Raises v to each entry of other. */
int vector_join(struct store_vector *v, const struct store_vector *other,
    struct err *err);

/* Lowers v to what other holds as well. */
void vector_meet(struct store_vector *v, const struct store_vector *other);

/* True if each entry of other is held by v. */
bool vector_covers(const struct store_vector *v,
    const struct store_vector *other);

/* Same entries. */
bool vector_equal(const struct store_vector *a, const struct store_vector *b);

/* Makes out, which is cleared first, the same as v. */
int vector_copy(const struct store_vector *v, struct store_vector *out,
    struct err *err);

/* Computes v->hash: what names it on the wire. */
void vector_rehash(struct store_vector *v);

/* As bytes of our own files, and back: entries are added to v. */
void vector_encode(const struct store_vector *v, struct buf *out);
int vector_decode(struct rd *r, struct store_vector *v, struct err *err);

/* Sorts what came from outside; E_INTEGRITY if a site is named twice. */
int vector_sort(struct store_vector *v, struct err *err);

#endif

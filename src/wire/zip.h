// SPDX-License-Identifier: MPL-2.0
/*
 * zip.h - pages as they are transferred: compressed where that helps, named
 * by a hash.
 */
#ifndef WIRE_ZIP_H
#define WIRE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/msg.h"

/* What is kept from one page to the next; zero is ready for use. */
struct zip {
	void *compress, *expand;
};

void zip_clear(struct zip *z);

/* Compresses to out, which is emptied first.  *helped is false, and out
 * empty, if that does not make it smaller by a sixteenth. */
int zip_pack(struct zip *z, const uint8_t *data, size_t len, struct buf *out,
    bool *helped, struct err *err);

/* Whether len bytes may be said to expand to raw: checked before anything is
 * allocated for it. */
bool zip_may_expand(uint64_t len, uint64_t raw);

/* Expands to out, which is emptied first and must allow raw bytes.
 * E_INTEGRITY if it is not exactly raw bytes, or not zstd at all. */
int zip_unpack(struct zip *z, const uint8_t *data, size_t len, uint64_t raw,
    struct buf *out, struct err *err);

/* The name of a page: the first half of SHA-256 over the transferred bytes. */
int zip_hash(const uint8_t *data, size_t len,
    uint8_t hash[static WIRE_HASH_LEN], struct err *err);

#endif

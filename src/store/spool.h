// SPDX-License-Identifier: MPL-2.0
/*
 * spool.h - the bytes of pages that wait, one behind the other in a file of
 * the state directory.  Where each lies, how long it is and its hash stand in
 * inbox.db (inbox.h): pages are written once and in large pieces, and removing
 * them costs nothing.  The file is never synced; what a power cut took does
 * not fit its hash.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SPOOL_HASH_LEN = 16 };

struct spool {
	int dir;                /* of the caller's */
	int fd;                 /* -1: not open */
	uint8_t *page;          /* read last */
	size_t room;
};

void spool_init(struct spool *sp, int dir);
void spool_clear(struct spool *sp);

/* Bytes in the file; 0 if it is not there. */
int spool_size(struct spool *sp, int64_t *size, struct err *err);

int spool_write(struct spool *sp, int64_t at, const uint8_t *data, size_t len,
    uint8_t hash[static SPOOL_HASH_LEN], struct err *err);

/* *data is valid until the next call.  E_INTEGRITY: not what was written. */
int spool_read(struct spool *sp, int64_t at, size_t len,
    const uint8_t hash[static SPOOL_HASH_LEN], const uint8_t **data,
    struct err *err);

/* Nothing at or behind that place is needed. */
void spool_cut(struct spool *sp, int64_t at);

/* Removes the file, open or not. */
void spool_remove(int dir);

#endif

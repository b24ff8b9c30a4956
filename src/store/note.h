// SPDX-License-Identifier: MPL-2.0
/*
 * note.h - what the state directory remembers of the newest that was ever
 * sent, so that a file copied back from a backup is noticed (R14, R16).
 *
 * FILE note, 512 bytes, written in place by one pwrite, not synced: it may
 * lag behind what was sent, never lead.
 *   "ddcpnot1"  log id[8]  site id[16]  head dbv u64, its token[8]
 *   n u64  (version u64, token[8])*n    own transactions, newest first, then
 *                                       at distances 1, 2, 4 ...
 *   zeroes, and at 504 the first 8 bytes of SHA-256 over all before
 */
#ifndef STORE_NOTE_H
#define STORE_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum { NOTE_OWN_MAX = 24 };

struct note {
	uint8_t log_id[8];
	uint8_t site[STORE_SITE_LEN];
	uint64_t head;
	uint8_t head_token[STORE_TOKEN_LEN];
	unsigned nown;
	struct {
		uint64_t version;
		uint8_t token[STORE_TOKEN_LEN];
	} own[NOTE_OWN_MAX];
};

/* *found false if there is none, or a torn one. */
int note_read(int state_dir, struct note *out, bool *found, struct err *err);

/* E_FATAL if it can't be written. */
int note_write(int state_dir, const struct note *n, struct err *err);

#endif

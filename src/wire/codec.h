// SPDX-License-Identifier: MPL-2.0
/*
 * codec.h - what the readers and writers of messages share.  Private to wire:
 * others use msg.h.
 *
 * Writers go on after a failure and the end is looked at (buf.h); so do
 * readers (rd.h).  A reader bounds a count by what is left to read before it
 * allocates for it.
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "base/rd.h"
#include "wire/limits.h"
#include "wire/msg.h"

struct decoder {
	struct rd rd;
	struct wire_msg *m;
	bool nomem;
	size_t tables, entries;         /* in all groups so far */
};

/* ---- writing ---- */

void wire_put_count(struct buf *b, size_t n, size_t max);
void wire_put_text(struct buf *b, const struct wire_view *v, size_t max);
void wire_put_entries(struct buf *b, const struct wire_entry *e, size_t n,
    size_t max);

/* ---- reading ---- */

/* n zeroed things that live as long as the message; NULL, with the reader
 * failed, without memory. Also NULL for n == 0. */
void *wire_get_room(struct decoder *d, size_t n, size_t size);

struct wire_view wire_get_bytes(struct decoder *d, size_t n);
struct wire_entry *wire_get_entries(struct decoder *d, size_t max, size_t *n);

/* ---- the long messages, msg_pull.c ---- */

void wire_write_pull(struct buf *b, const struct wire_msg *m);
void wire_read_pull(struct decoder *d);
void wire_write_page(struct buf *b, const struct wire_msg *m);
void wire_read_page(struct decoder *d);
void wire_write_end(struct buf *b, const struct wire_msg *m);
void wire_read_end(struct decoder *d);

#endif

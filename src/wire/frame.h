// SPDX-License-Identifier: MPL-2.0
/*
 * frame.h - a stream of bytes as frames, and frames as messages
 * (doc/PROTOCOL.md, section 2).  A message that lies whole in the bytes given
 * is not copied.  What is in a message is msg.h's business.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	WIRE_PART = 16,         /* the frame that a message goes on after */
	WIRE_FRAME_HEAD = 5,    /* length and type */
};

struct frames {
	struct buf part;        /* a frame of which not all is here */
	struct buf joined;      /* a message of which not all is here */
	size_t frame_max;
	bool parts;             /* whether PARTs are taken */
	bool part_used, joined_used;    /* given out by the last call */
};

struct frame {
	uint8_t type;
	const uint8_t *body;
	size_t len;
};

void frames_init(struct frames *f, size_t frame_max);
void frames_clear(struct frames *f);

/* From the next frame on: larger ones, and PARTs too. */
void frames_allow(struct frames *f, size_t frame_max, bool parts);

/* Takes bytes from *data, which moves on with *len, up to the end of one
 * message.  1: *out is it, a view of the bytes or of f, valid until the next
 * call and while the bytes are.  0: more bytes are needed (*len is 0).
 * E_INTEGRITY: too long, or a PART where none may be.  E_FATAL: no memory. */
int frames_next(struct frames *f, const uint8_t **data, size_t *len,
    struct frame *out, struct err *err);

/* The type of what is not here to its end, WIRE_PART between two of them; 0 if
 * nothing is, or no type yet. */
uint8_t frames_begun(const struct frames *f);

/* Bytes held. */
size_t frames_held(const struct frames *f);

#endif

// SPDX-License-Identifier: MPL-2.0
#include "wire/frame.h"

#include <string.h>

#include "wire/limits.h"

void
frames_init(struct frames *f, size_t frame_max)
{
	memset(f, 0, sizeof *f);
	buf_init(&f->part, 4 + frame_max);
	buf_init(&f->joined, WIRE_MESSAGE_MAX);
	f->frame_max = frame_max;
}

void
frames_clear(struct frames *f)
{
	buf_clear(&f->part);
	buf_clear(&f->joined);
	f->part_used = f->joined_used = false;
}

void
frames_allow(struct frames *f, size_t frame_max, bool parts)
{
	f->frame_max = frame_max;
	f->part.max = 4 + frame_max;
	f->parts = parts;
}

size_t
frames_held(const struct frames *f)
{
	return (f->part_used ? 0 : f->part.len)
	    + (f->joined_used ? 0 : f->joined.len);
}

uint8_t
frames_begun(const struct frames *f)
{
	if (!f->part_used && f->part.len > 4)
		return f->part.data[4];
	return !f->joined_used && f->joined.len > 0 ? WIRE_PART : 0;
}

/* What the last call gave out is not needed any more.  Idle connections keep
 * no buffers. */
static void
drop_used(struct frames *f)
{
	if (f->part_used)
		buf_clear(&f->part);
	if (f->joined_used)
		buf_clear(&f->joined);
	f->part_used = f->joined_used = false;
}

static size_t
frame_length(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8
	    | p[3];
}

/* Moves bytes to part until it holds want of them. */
static bool
gather(struct frames *f, size_t want, const uint8_t **data, size_t *len)
{
	size_t n;

	if (f->part.len >= want)
		return true;
	n = want - f->part.len;
	if (n > *len)
		n = *len;
	buf_add(&f->part, *data, n);
	*data += n;
	*len -= n;
	return f->part.len == want;
}

static int
check_length(const struct frames *f, size_t length, struct err *err)
{
	if (length < 1 || length > f->frame_max)
		return err_set(err, E_INTEGRITY, NULL,
		    "a frame of %zu bytes, where 1 to %zu are allowed", length,
		    f->frame_max);
	return 0;
}

/* One frame, whatever its type: 1, 0 or an error. */
static int
next_frame(struct frames *f, const uint8_t **data, size_t *len,
    struct frame *out, struct err *err)
{
	const uint8_t *p = *data;
	size_t length;
	int rc;

	if (f->part.len == 0 && *len >= 4) {
		length = frame_length(p);
		if ((rc = check_length(f, length, err)) != 0)
			return rc;
		if (*len - 4 >= length) {
			*data += 4 + length;
			*len -= 4 + length;
			*out = (struct frame){ p[4], p + 5, length - 1 };
			return 1;
		}
	}
	if (!gather(f, 4, data, len))
		return f->part.failed ? err_nomem(err) : 0;
	length = frame_length(f->part.data);
	if ((rc = check_length(f, length, err)) != 0)
		return rc;
	if (!gather(f, 4 + length, data, len))
		return f->part.failed ? err_nomem(err) : 0;
	f->part_used = true;
	*out = (struct frame){ f->part.data[4], f->part.data + 5, length - 1 };
	return 1;
}

/* Adds a frame to the message that is being put together. */
static int
join(struct frames *f, const struct frame *frame, struct err *err)
{
	if (frame->len > WIRE_MESSAGE_MAX - f->joined.len)
		return err_set(err, E_INTEGRITY, NULL,
		    "a message of more than %d bytes", WIRE_MESSAGE_MAX);
	buf_add(&f->joined, frame->body, frame->len);
	return f->joined.failed ? err_nomem(err) : 0;
}

int
frames_next(struct frames *f, const uint8_t **data, size_t *len,
    struct frame *out, struct err *err)
{
	int rc;

	for (;;) {
		drop_used(f);
		if ((rc = next_frame(f, data, len, out, err)) <= 0)
			return rc;
		if (out->type != WIRE_PART && f->joined.len == 0)
			return 1;
		if (!f->parts || (out->type == WIRE_PART && out->len == 0))
			return err_set(err, E_INTEGRITY, NULL,
			    "part of a message where none may be");
		if ((rc = join(f, out, err)) != 0)
			return rc;
		if (out->type != WIRE_PART)
			break;
	}
	f->joined_used = true;
	out->body = f->joined.data;
	out->len = f->joined.len;
	return 1;
}

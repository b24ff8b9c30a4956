// SPDX-License-Identifier: MPL-2.0
/* queue.c - moves what waits to the front only when that pays for itself, or
 * when there is no other room. */
#include "chan/queue.h"

#include <string.h>

void
queue_init(struct queue *q, size_t max)
{
	buf_init(&q->bytes, max);
	q->taken = 0;
}

void
queue_clear(struct queue *q)
{
	buf_wipe(&q->bytes);
	q->taken = 0;
}

const uint8_t *
queue_data(const struct queue *q, size_t *len)
{
	*len = q->bytes.len - q->taken;
	return *len > 0 ? q->bytes.data + q->taken : NULL;
}

static void
to_the_front(struct queue *q)
{
	buf_consume(&q->bytes, q->taken);
	q->taken = 0;
}

uint8_t *
queue_reserve(struct queue *q, size_t n)
{
	if (q->taken > 0 && n > q->bytes.max - q->bytes.len)
		to_the_front(q);
	return buf_reserve(&q->bytes, n);
}

void
queue_grow(struct queue *q, size_t n)
{
	q->bytes.len += n;
}

void
queue_add(struct queue *q, const void *data, size_t len)
{
	uint8_t *to = queue_reserve(q, len);

	if (to == NULL || len == 0)
		return;
	memcpy(to, data, len);
	queue_grow(q, len);
}

bool
queue_failed(const struct queue *q)
{
	return q->bytes.failed;
}

void
queue_take(struct queue *q, size_t n)
{
	q->taken += n;
	if (q->taken >= q->bytes.len && !q->bytes.failed)
		queue_clear(q);
	else if (q->taken > q->bytes.len / 2)
		to_the_front(q);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * queue.h - bytes that are added at one end and taken at the other.  A bounded
 * buffer with a place in it, so that taking a little of much moves nothing;
 * empty, it holds no memory.  Private to this layer.
 */
#ifndef CHAN_QUEUE_H
#define CHAN_QUEUE_H

#include "base/buf.h"

struct queue {
	struct buf bytes;
	size_t taken;           /* of them, already */
};

/* An empty queue of at most max bytes. */
void queue_init(struct queue *q, size_t max);

/* Wipes and frees what is in it. */
void queue_clear(struct queue *q);

/* What waits; valid until the next call that is not this one. */
const uint8_t *queue_data(const struct queue *q, size_t *len);

/* Room for n more bytes, which queue_grow() says were written; NULL if there is
 * no memory or it would be more than the maximum: the queue has failed. */
uint8_t *queue_reserve(struct queue *q, size_t n);
void queue_grow(struct queue *q, size_t n);

void queue_add(struct queue *q, const void *data, size_t len);
bool queue_failed(const struct queue *q);

/* Drops the first n bytes (n <= what waits). */
void queue_take(struct queue *q, size_t n);

#endif

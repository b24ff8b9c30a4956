// SPDX-License-Identifier: MPL-2.0
/*
 * hub_lock.c - another program holds the lock of the database.  Then nobody
 * pulls, since what comes could not be merged and would have to come again;
 * the hub looks now and then whether the lock is free, and its loop goes on.
 */
#include "node/session_state.h"

enum {
	LOOK_MS = 100,
	/* The lock was free, and a merge failed for all that: a reader keeps a
	 * database without WAL from being written. */
	AGAIN_MS = 1000
};

void
hub_lock_found(struct hub *h, const struct err *why)
{
	struct node_event event = { .kind = NODE_LOCKED };
	uint64_t now = hub_now(h);

	h->lock.look_ms = now + (h->lock.on ? AGAIN_MS : LOOK_MS);
	hub_wake(h, h->lock.look_ms);
	if (h->lock.on)
		return;
	h->lock.on = true;
	h->lock.since_ms = now;
	h->lock.why = *why;
	hub_emit(h, &event);
}

bool
hub_lock_allows(struct hub *h)
{
	uint64_t now;

	if (!h->lock.on)
		return true;
	now = hub_now(h);
	if (now < h->lock.look_ms)
		return false;
	if (store_lock_is_free(h->store))
		return true;
	h->lock.look_ms = now + LOOK_MS;
	return false;
}

void
hub_lock_over(struct hub *h)
{
	struct node_event event = { .kind = NODE_UNLOCKED };

	if (!h->lock.on)
		return;
	h->lock.on = false;
	event.elapsed_ms = (int64_t)(hub_now(h) - h->lock.since_ms);
	hub_emit(h, &event);
}

const struct err *
hub_locked(const struct hub *h, uint64_t *since_ms)
{
	*since_ms = h->lock.since_ms;
	return h->lock.on ? &h->lock.why : NULL;
}

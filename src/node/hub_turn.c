// SPDX-License-Identifier: MPL-2.0
/*
 * hub_turn.c - whose turn it is to pull.  One at a time (R13), in the order in
 * which they had their last turn, so that what several peers have comes once.
 * A pull that is slow has no turn any more: the next one begins beside it, up to
 * a number that bounds the memory they take.  Where all of those are slow and
 * others wait, the one that is longest at it gives way, and goes on later.
 *
 * What slow means, and when a pull is given up, is session_pull.c's business.
 */
#include "node/session_state.h"

enum {
	PULLS_MAX = 4,          /* each may hold merge.max-bytes */
	SHARE_MS = 600000       /* of a slow one, if others wait */
};

struct pulls {
	size_t n;
	bool turn;              /* one of them has the turn */
	struct session *oldest;
};

static void
count(const struct hub *h, struct pulls *out)
{
	struct session *s;

	*out = (struct pulls){ .n = 0 };
	for (s = h->sessions; s != NULL; s = s->next) {
		if (s->dead || !s->pulling.on)
			continue;
		out->n++;
		out->turn |= !s->pulling.beside;
		if (out->oldest == NULL
		    || s->pulling.started_ms < out->oldest->pulling.started_ms)
			out->oldest = s;
	}
}

/* The session that wants to pull and has waited for its turn for longest. */
static struct session *
next(struct hub *h)
{
	struct session *s, *best = NULL;

	for (s = hub_next(h, NULL); s != NULL; s = hub_next(h, s))
		if (session_wants_turn(s)
		    && (best == NULL || s->turn < best->turn))
			best = s;
	return best;
}

static bool
has_place(const struct pulls *p)
{
	return !p->turn && p->n < PULLS_MAX;
}

bool
hub_may_pull(struct hub *h)
{
	struct pulls p;

	count(h, &p);
	return has_place(&p) && hub_lock_allows(h);
}

void
hub_take_turn(struct hub *h, struct session *s)
{
	s->turn = ++h->last_turn;
	session_take_turn(s);
}

void
hub_give_turns(struct hub *h)
{
	struct session *s;
	struct pulls p;

	while (hub_may_pull(h)) {
		s = next(h);
		if (s == NULL)
			break;
		hub_take_turn(h, s);
	}
	count(h, &p);
	if (p.n == 0 && next(h) == NULL && hub_lock_allows(h))
		hub_lock_over(h);
	if (!p.turn && p.n == PULLS_MAX && next(h) != NULL
	    && hub_now(h) >= p.oldest->pulling.started_ms + SHARE_MS)
		pull_put_back(p.oldest);
}

uint64_t
hub_turns_due(struct hub *h)
{
	struct pulls p;

	count(h, &p);
	if (has_place(&p) && h->lock.on)
		return h->lock.look_ms;
	if (p.turn || next(h) == NULL)
		return HUB_NEVER;
	return has_place(&p) ? hub_now(h)
	    : p.oldest->pulling.started_ms + SHARE_MS;
}

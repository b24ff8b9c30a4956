// SPDX-License-Identifier: MPL-2.0
#include "node/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/session_state.h"
#include "store/past.h"

enum {
	NEWS_MAX = 64,          /* entries told of at a time */
	SAME_TIME_MS = 5000,    /* two calls that may have crossed */
	LOCKED_AGAIN_MS = 50
};

int
hub_new(struct store *store, const struct hub_env *env,
    const struct hub_options *options, struct hub **out, struct err *err)
{
	struct hub *h = calloc(1, sizeof *h);
	uint8_t seed[CHAN_SEED_LEN];
	int rc;

	if (h == NULL)
		return err_nomem(err);
	h->store = store;
	h->env = *env;
	h->options = *options;
	h->wake_ms = HUB_NEVER;
	store_secret_seed(store, seed);
	rc = chan_identity_new(seed, &h->identity, err);
	explicit_bzero(seed, sizeof seed);
	if (rc != 0) {
		free(h);
		return rc;
	}
	*out = h;
	return 0;
}

void
hub_free(struct hub *h)
{
	struct session *s;

	if (h == NULL)
		return;
	while ((s = h->sessions) != NULL) {
		h->sessions = s->next;
		session_free(s);
	}
	chan_identity_free(h->identity);
	free(h);
}

struct store *
hub_store(struct hub *h)
{
	return h->store;
}

void
hub_wake(struct hub *h, uint64_t at_ms)
{
	if (at_ms >= h->wake_ms)
		return;
	h->wake_ms = at_ms;
	h->env.wake(h->env.self, at_ms);
}

void
hub_emit(struct hub *h, const struct node_event *event)
{
	struct node_event whole = *event;

	if (h->options.event == NULL)
		return;
	if (whole.remote == NULL)
		whole.remote = "";
	if (whole.address == NULL)
		whole.address = "";
	if (whole.place == NULL)
		whole.place = "";
	if (whole.text == NULL)
		whole.text = "";
	if (whole.hint == NULL)
		whole.hint = "";
	h->options.event(h->options.self, &whole);
}

struct session *
hub_next(struct hub *h, const struct session *after)
{
	struct session *s = after == NULL ? h->sessions : after->next;

	while (s != NULL && (!s->open || s->dead))
		s = s->next;
	return s;
}

struct session *
hub_find(struct hub *h, const uint8_t *key)
{
	struct session *s;

	for (s = hub_next(h, NULL); s != NULL; s = hub_next(h, s))
		if (memcmp(s->key, key, KEY_LEN) == 0)
			return s;
	return NULL;
}

/* ---- time ---- */

/* Telling may end others, or begin new ones: so one by one. */
static void
bury_the_dead(struct hub *h)
{
	struct session *s, **at;

	for (;;) {
		at = &h->sessions;
		while ((s = *at) != NULL && !s->dead)
			at = &s->next;
		if (s == NULL)
			return;
		*at = s->next;
		h->nsessions--;
		session_report(s);
		session_free(s);
	}
}

void
hub_tick(struct hub *h)
{
	uint64_t now = hub_now(h), due = HUB_NEVER, turns;
	struct session *s;
	bool again = false;

	/* Until the end of this tick, whoever asks for one gets it then. */
	h->wake_ms = 0;
	if (h->look)
		hub_look(h, true, &again);
	h->look = again;
	for (s = h->sessions; s != NULL; s = s->next)
		if (!s->dead && s->timer_ms <= now)
			session_tick(s, now);
	hub_give_turns(h);
	bury_the_dead(h);
	if (again)
		due = now + LOCKED_AGAIN_MS;
	for (s = h->sessions; s != NULL; s = s->next)
		if (s->dead)
			due = now;
		else if (s->timer_ms < due)
			due = s->timer_ms;
	if (h->look && !again)
		due = now;
	turns = hub_turns_due(h);
	if (turns < due)
		due = turns;
	h->wake_ms = due;
	h->env.wake(h->env.self, due);
}

/* ---- commits ---- */

/* How many transactions of that site are new, by the last one told of; one, where
 * no version tells. */
static uint64_t
count_news(struct hub *h, const struct store_entry *e)
{
	static const uint8_t none[STORE_TOKEN_LEN];
	struct hub_seen *seen = h->seen;
	uint64_t before;
	size_t i;

	if (memcmp(e->token, none, sizeof none) == 0)
		return 1;
	for (i = 0; i < h->nseen; i++)
		if (memcmp(seen[i].site, e->site, STORE_SITE_LEN) == 0)
			break;
	if (i == HUB_SEEN_MAX)
		return 1;
	if (i == h->nseen) {
		memcpy(seen[h->nseen++].site, e->site, STORE_SITE_LEN);
		seen[i].version = e->version;
		return 1;
	}
	before = seen[i].version;
	seen[i].version = e->version;
	return e->version > before ? e->version - before : 0;
}

void
hub_probe(struct hub *h)
{
	struct session *s;

	for (s = hub_next(h, NULL); s != NULL; s = hub_next(h, s)) {
		s->probe = true;
		session_wake(s, hub_now(h));
	}
}

void
hub_look(struct hub *h, bool ours, bool *again)
{
	struct store_entry entry[NEWS_MAX];
	struct node_event event = { .kind = NODE_CHANGED };
	struct session *s;
	struct err err = { .code = 0 };
	bool changed = false;
	size_t n = 0, i;
	int rc;

	rc = store_changed(h->store, &changed, entry, NEWS_MAX, &n, &err);
	*again = rc == E_UNREACHABLE;
	if (rc != 0 || n == 0)
		return;
	if (h->options.news != NULL)
		h->options.news(h->options.self);
	for (i = 0; i < n; i++)
		event.transactions += count_news(h, &entry[i]);
	for (s = hub_next(h, NULL); s != NULL; s = hub_next(h, s))
		session_notify(s, entry, n);
	if (!ours && event.transactions > 0)
		hub_emit(h, &event);
}

/* A table that is replicated from now on begins empty, so all peers are asked
 * again (R12). */
static void
look_at_tables(struct hub *h)
{
	uint64_t which;
	size_t n;
	char text[64];
	struct node_event event = { .kind = NODE_TABLES, .text = text };
	struct session *s;

	if (store_tables(h->store, &n, &which, NULL) != 0
	    || (h->tables_known && which == h->tables))
		return;
	if (h->tables_known) {
		snprintf(text, sizeof text, "%zu %s replicated now", n,
		    n == 1 ? "table is" : "tables are");
		hub_emit(h, &event);
	}
	/* Also those that are just being opened: their first PULL has gone. */
	for (s = h->sessions; s != NULL && h->options.follow; s = s->next)
		if (!s->dead && s->remote.id != 0)
			session_follow(s);
	h->tables = which;
	h->tables_known = true;
	hub_wake(h, hub_now(h));
}

/* Who was held because there was no room for conflicts goes on when there is. */
static void
look_at_conflicts(struct hub *h)
{
	struct session *s;
	bool room = false;

	for (s = hub_next(h, NULL); s != NULL && !s->held; s = hub_next(h, s))
		;
	if (s == NULL || !h->options.follow ||
	    store_conflict_room(h->store, &room, NULL) != 0 || !room)
		return;
	for (; s != NULL; s = hub_next(h, s))
		if (s->held)
			session_follow(s);
}

void
hub_changed(struct hub *h, bool *again)
{
	/* What is heard first may well be our own merge. */
	hub_look(h, h->look, again);
	h->look &= *again;
	look_at_tables(h);
	look_at_conflicts(h);
}

void
hub_remotes_changed(struct hub *h)
{
	struct store_remote r;
	struct session *s;
	int rc;

	for (s = hub_next(h, NULL); s != NULL; s = hub_next(h, s)) {
		rc = store_remote_by_key(h->store, s->key, &r, NULL);
		if (rc == 0)
			s->remote = r;
		else if (rc == E_NOTFOUND)
			session_end(s, E_REFUSED, "you are no remote any more");
	}
}

/* ---- who comes in ---- */

void
hub_knock(struct hub *h, const uint8_t key[static KEY_LEN],
    const char *place)
{
	char address[ADDR_TEXT_LEN + 1];
	struct node_event event = { .kind = NODE_KNOCK, .address = address,
		.place = place };
	uint64_t minute = hub_now(h) / 60000;
	bool first = false;

	if (minute != h->knock_minute) {
		h->knock_minute = minute;
		h->knocks = 0;
	}
	if (++h->knocks > HUB_KNOCKS_PER_MIN)
		return;
	if (store_knock(h->store, key, place, hub_date(h), &first, NULL) != 0)
		return;
	addr_format(key, address);
	hub_emit(h, &event);
}

/* Both ends decide alike.  A near one replaces a far one, and stays if the far one
 * comes at the same time; later, its caller has lost the near one, as it makes no far
 * call while it has that (peers.c).  Two calls of
 * the same side: the later one, since its maker has given the earlier one up.  Calls that crossed: that of the
 * smaller key.  An older session in the other direction is one that the caller
 * does not know of any more. */
static bool
is_better(const struct hub *h, const struct session *newer,
    const struct session *older)
{
	uint8_t own[KEY_LEN];
	bool own_is_smaller;

	if (newer->far != older->far)
		return older->far
		    || newer->open_ms - older->open_ms > SAME_TIME_MS;
	if (newer->caller == older->caller
	    || newer->open_ms - older->open_ms > SAME_TIME_MS)
		return true;
	chan_identity_key(h->identity, own);
	own_is_smaller = memcmp(own, newer->key, KEY_LEN) < 0;
	return newer->caller == own_is_smaller;
}

bool
hub_admit(struct hub *h, struct session *s)
{
	struct session *other = hub_find(h, s->key);

	if (other == NULL || other == s)
		return true;
	if (!is_better(h, s, other))
		return false;
	session_end(other, E_EXISTS, "there is another connection");
	return true;
}

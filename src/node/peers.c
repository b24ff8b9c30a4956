// SPDX-License-Identifier: MPL-2.0
#include "node/peers.h"

#include <stdlib.h>
#include <string.h>

#include "net/several.h"
#include "node/call.h"
#include "node/session.h"
#include "store/store.h"

#define NEVER UINT64_MAX

struct peer {
	struct peers *peers;
	struct store_remote remote;
	struct call *call;              /* an attempt goes on */
	struct net_resolve *listening;  /* for announcements, between them */
	struct net *listens_on;
	bool nearer;                    /* the last call was of one that is
					 * connected over a far network */
	uint64_t due;                   /* of the next attempt */
	uint64_t not_before;            /* whoever announces himself */
	uint32_t wait_ms;               /* after the last failure */
	int last_code;                  /* of the last failure */
	bool seen;                      /* of peers_reload() */
	struct peer *next;
};

struct peers {
	struct node *node;
	uv_timer_t timer;
	const struct peers_events *events;
	void *owner;
	struct peer *first;
};

static void on_timer(uv_timer_t *timer);

static uint64_t
now(const struct peers *p)
{
	return uv_now(&p->node->loop);
}

static bool
is_connected(const struct peer *q)
{
	return hub_find(q->peers->node->hub, q->remote.key) != NULL;
}

/* Connected, but a near network may do better. */
static bool
is_far(const struct peer *q)
{
	const struct session *s = hub_find(q->peers->node->hub, q->remote.key);

	return s != NULL && session_is_far(s)
	    && strcmp(q->remote.network, "auto") == 0
	    && several_part(q->peers->node->net, false) != NULL;
}

static void
arm(struct peers *p)
{
	const struct peer *q;
	uint64_t due = NEVER;

	for (q = p->first; q != NULL; q = q->next)
		if (q->call == NULL && q->due < due)
			due = q->due;
	if (due == NEVER)
		uv_timer_stop(&p->timer);
	else
		uv_timer_start(&p->timer, on_timer,
		    due > now(p) ? due - now(p) : 0, 0);
}

static void
stop_listening(struct peer *q)
{
	if (q->listening != NULL)
		q->listens_on->backend->resolve_stop(q->listening);
	q->listening = NULL;
}

static void
on_found(void *owner, const char *place)
{
	struct peer *q = owner;

	if (q->call != NULL || (is_connected(q) && !is_far(q)))
		return;
	if (q->due > q->not_before)
		q->due = q->not_before;
	arm(q->peers);
}

/* Between two attempts, whoever appears is heard; while connected over a far
 * network, on a near one. */
static void
start_listening(struct peer *q)
{
	struct node *n = q->peers->node;
	struct net *net = is_far(q) ? several_part(n->net, false)
	    : node_part(n, q->remote.network, NULL);

	if (q->listening != NULL && q->listens_on != net)
		stop_listening(q);
	if (q->listening != NULL || net == NULL)
		return;
	q->listens_on = net;
	if (net->backend->resolve(net, q->remote.key, on_found, q,
	    &q->listening, NULL) != 0)
		q->listening = NULL;
}

/* There is a session: nothing is to be done, unless there may be a better one. */
static void
settle(struct peer *q)
{
	q->due = NEVER;
	q->wait_ms = 0;
	q->last_code = 0;
	if (is_far(q)) {
		q->not_before = now(q->peers) + (q->nearer ? PEERS_NEARER_MS
		    : PEERS_AGAIN_MIN_MS);
		start_listening(q);
	} else {
		stop_listening(q);
	}
}

/* Half of the waiting time is by chance: peers that lost each other at the
 * same moment should not meet again and again. */
static void
wait_longer(struct peer *q)
{
	struct node *n = q->peers->node;
	uint32_t chance = 0;

	n->net_env.random(n->net_env.self, &chance, sizeof chance);
	q->wait_ms = q->wait_ms == 0 ? PEERS_AGAIN_MIN_MS : q->wait_ms * 2;
	if (q->wait_ms > PEERS_AGAIN_MAX_MS)
		q->wait_ms = PEERS_AGAIN_MAX_MS;
	q->due = now(q->peers) + q->wait_ms / 2 + chance % (q->wait_ms / 2 + 1);
	q->not_before = now(q->peers) + q->wait_ms / 2;
}

static void
failed(struct peer *q, const struct err *why)
{
	bool again = q->last_code == why->code;

	q->last_code = why->code;
	q->peers->events->failed(q->peers->owner, &q->remote, again, why);
}

static void
on_called(void *owner, struct session *s, const struct err *why)
{
	struct peer *q = owner;
	struct peers *p = q->peers;

	q->call = NULL;
	if (s != NULL || is_connected(q)) {
		s = hub_find(p->node->hub, q->remote.key);
		settle(q);
		arm(p);
		p->events->reached(p->owner, s);
		return;
	}
	wait_longer(q);
	start_listening(q);
	/* Nobody was found, and no place is known: only an announcement, which
	 * is listened for, can change that.  One that was made over a far network
	 * stays, though it can't be called for a time. */
	if (q->remote.place[0] == '\0' && q->listening != NULL
	    && several_part(q->listens_on, true) == NULL
	    && why->code == E_UNREACHABLE)
		q->due = NEVER;
	arm(p);
	failed(q, why);
}

static void
call(struct peer *q)
{
	struct err err = { .code = 0 };

	struct store_remote remote = q->remote;

	q->due = NEVER;
	if (q->call != NULL)
		return;
	q->nearer = is_far(q);
	if (q->nearer)
		strcpy(remote.network, "direct");
	if (call_start(q->peers->node, &remote, PEERS_CALL_MS, on_called, q,
	    &q->call, &err) != 0) {
		q->call = NULL;
		if (q->nearer)
			return;
		/* No discovery, and no place to call: he may call us. */
		if (err.code != E_NOTFOUND)
			wait_longer(q);
		failed(q, &err);
	}
}

static void
on_timer(uv_timer_t *timer)
{
	struct peers *p = timer->data;
	struct peer *q, *next;

	for (q = p->first; q != NULL; q = next) {
		next = q->next;
		if (q->call == NULL && q->due <= now(p)) {
			q->due = NEVER;
			if (is_connected(q))
				p->events->reached(p->owner, hub_find(
				    p->node->hub, q->remote.key));
			if (!is_connected(q) || is_far(q))
				call(q);
		}
	}
	arm(p);
}

static struct peer *
find(struct peers *p, int64_t remote)
{
	struct peer *q = p->first;

	while (q != NULL && q->remote.id != remote)
		q = q->next;
	return q;
}

static int
reload_one(void *self, const struct store_remote *r)
{
	struct peers *p = self;
	struct peer *q = find(p, r->id);
	bool moved;

	if (q == NULL) {
		q = calloc(1, sizeof *q);
		if (q == NULL)
			return E_FATAL;
		q->peers = p;
		q->due = 0;
		q->next = p->first;
		p->first = q;
		q->remote = *r;
	}
	moved = strcmp(q->remote.place, r->place) != 0
	    || strcmp(q->remote.network, r->network) != 0;
	q->remote = *r;
	q->seen = true;
	if (moved && q->call == NULL)
		stop_listening(q);
	if (moved && (!is_connected(q) || is_far(q))) {
		q->wait_ms = 0;
		q->due = 0;
	}
	return 0;
}

static void
drop(struct peer *q)
{
	stop_listening(q);
	if (q->call != NULL)
		call_stop(q->call);
	free(q);
}

void
peers_reload(struct peers *p)
{
	struct peer *q, **at;

	for (q = p->first; q != NULL; q = q->next)
		q->seen = false;
	if (store_remote_each(p->node->store, reload_one, p, NULL) == 0)
		for (at = &p->first; (q = *at) != NULL; ) {
			if (q->seen) {
				at = &q->next;
				continue;
			}
			*at = q->next;
			drop(q);
		}
	arm(p);
}

void
peers_closed(struct peers *p, struct session *s, const struct err *why)
{
	struct peer *q = find(p, session_remote(s));

	if (q == NULL || q->call != NULL || is_connected(q))
		return;
	wait_longer(q);
	start_listening(q);
	arm(p);
}

void
peers_opened(struct peers *p, struct session *s)
{
	struct peer *q = find(p, session_remote(s));

	if (q == NULL)
		return;
	/* A far one that opened later would say that this one is lost. */
	if (q->call != NULL && !session_is_far(s) && call_yield(q->call))
		q->call = NULL;
	settle(q);
	arm(p);
	p->events->reached(p->owner, s);
}

void
peers_call(struct peers *p, int64_t remote)
{
	struct peer *q = find(p, remote);

	if (q == NULL) {
		peers_reload(p);
		q = find(p, remote);
	}
	if (q == NULL || q->call != NULL)
		return;
	q->due = 0;
	arm(p);
}

int
peers_each(struct peers *p, int (*each)(void *self,
    const struct store_remote *remote, enum peers_plan plan, uint64_t in_ms),
    void *self)
{
	const struct peer *q;
	enum peers_plan plan;
	int rc = 0;

	for (q = p->first; q != NULL && rc == 0; q = q->next) {
		plan = is_connected(q) ? PEERS_CONNECTED :
		    q->call != NULL ? PEERS_CALLING :
		    q->due != NEVER ? PEERS_AGAIN : PEERS_HEARS;
		rc = each(self, &q->remote, plan, plan == PEERS_AGAIN
		    && q->due > now(p) ? q->due - now(p) : 0);
	}
	return rc;
}

void
peers_call_all(struct peers *p)
{
	struct peer *q;

	for (q = p->first; q != NULL; q = q->next)
		if (!is_connected(q) || is_far(q)) {
			q->wait_ms = 0;
			q->due = 0;
		}
	arm(p);
}

int
peers_open(struct node *n, const struct peers_events *events, void *owner,
    struct peers **out, struct err *err)
{
	struct peers *p = calloc(1, sizeof *p);

	if (p == NULL)
		return err_nomem(err);
	p->node = n;
	p->events = events;
	p->owner = owner;
	uv_timer_init(&n->loop, &p->timer);
	p->timer.data = p;
	uv_update_time(&n->loop);
	peers_reload(p);
	*out = p;
	return 0;
}

static void
timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
peers_close(struct peers *p)
{
	struct peer *q;

	if (p == NULL)
		return;
	while ((q = p->first) != NULL) {
		p->first = q->next;
		drop(q);
	}
	uv_close((uv_handle_t *)&p->timer, timer_closed);
}

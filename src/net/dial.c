// SPDX-License-Identifier: MPL-2.0
/*
 * dial.c - finds and connects to a key over any network that has a loop.
 *
 * Places that were named and places that are found go into one list and are
 * tried a moment apart, those of a far network beside them.  The first connection
 * is handed over; the next waits until the owner says that the first was not the
 * right one, because only the owner can tell, by the key that the other end
 * proves.  A far one waits for near ones that may come soon.
 */
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "net/several.h"

enum candidate_state { WAITING, CONNECTING, CONNECTED, DONE };

struct candidate {
	struct net_dial *dial;
	char place[PLACE_MAX];
	bool named;
	bool far;
	enum candidate_state state;
	struct net_connect *connect;    /* while CONNECTING */
	struct net_conn *conn;          /* while CONNECTED */
};

struct net_dial {
	struct net *net;
	struct uv_loop_s *loop;
	uv_timer_t timer;
	uint32_t timeout_ms;
	uint64_t began, deadline, start_due;
	bool near;                      /* a near network looks, too */
	struct net_resolve *resolve;    /* NULL if nothing is looked for */
	struct candidate places[NET_PLACES_MAX];
	size_t n;
	bool paused;                    /* a connection is handed over */
	bool ended;
	struct err first;               /* what went wrong first */
	const struct net_dial_events *events;
	void *owner;
};

static void timer_fired(uv_timer_t *timer);

/* Whether there is anything left to wait for. */
static bool
has_hope(const struct net_dial *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->places[i].state != DONE)
			return true;
	return d->resolve != NULL;
}

/* When a connection that is there may be handed over: in time for its owner to
 * talk to the other end. */
static uint64_t
hand_due(const struct net_dial *d, const struct candidate *c)
{
	uint64_t wait_ms = NET_NEAR_MS;
	size_t i;

	if (!c->far || !d->near)
		return 0;
	for (i = 0; i < d->n; i++)
		if (!d->places[i].far && d->places[i].state != DONE)
			wait_ms = NET_FAR_MS;
	return d->began + (wait_ms < d->timeout_ms / 2 ? wait_ms
	    : d->timeout_ms / 2);
}

static void
arm(struct net_dial *d)
{
	uint64_t now = uv_now(d->loop), due = d->deadline, at;
	size_t i;

	if (d->ended)
		return;
	for (i = 0; i < d->n && !d->paused; i++) {
		at = d->deadline;
		if (d->places[i].state == CONNECTED)
			at = hand_due(d, &d->places[i]);
		else if (d->places[i].state == WAITING)
			at = d->places[i].far ? 0 : d->start_due;
		due = at < due ? at : due;
	}
	if (!d->paused && !has_hope(d))
		due = 0;
	uv_timer_start(&d->timer, timer_fired, due > now ? due - now : 0, 0);
}

static void
timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
net_dial_stop(struct net_dial *d)
{
	struct candidate *c;

	if (d->ended)
		return;
	d->ended = true;
	if (d->resolve != NULL)
		d->net->backend->resolve_stop(d->resolve);
	for (c = d->places; c < d->places + d->n; c++) {
		if (c->state == CONNECTING)
			d->net->backend->connect_stop(c->connect);
		else if (c->state == CONNECTED)
			net_conn_abort(c->conn);
		c->state = DONE;
	}
	uv_close((uv_handle_t *)&d->timer, timer_closed);
}

static void
fail(struct net_dial *d)
{
	const struct net_dial_events *events = d->events;
	void *owner = d->owner;
	struct err why = d->first;

	if (why.code == 0)
		err_set(&why, E_UNREACHABLE,
		    "is `ddcp serve` running there? else name the place: "
		    "KEY@HOST:PORT",
		    "nobody with this address answered%s within %.3g s",
		    several_part(d->net, true) != NULL ? "" :
		    " on the local network", d->timeout_ms / 1000.0);
	net_dial_stop(d);
	events->on_fail(owner, &why);
}

static void
have_connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct candidate *c = owner;
	struct net_dial *d = c->dial;

	c->connect = NULL;
	c->conn = conn;
	c->state = conn != NULL ? CONNECTED : DONE;
	if (conn == NULL) {
		if (d->first.code == 0 && c->named)
			d->first = *why;
		/* No use in waiting for the others to get their turn. */
		if (!c->far)
			d->start_due = 0;
	}
	arm(d);
}

static void
start(struct net_dial *d, struct candidate *c)
{
	uint64_t now = uv_now(d->loop);
	struct err err = { .code = 0 };

	c->state = CONNECTING;
	if (d->net->backend->connect(d->net, c->place, d->deadline > now
	    ? (uint32_t)(d->deadline - now) : 1, have_connected, c,
	    &c->connect, &err) < 0) {
		c->state = DONE;
		if (d->first.code == 0)
			d->first = err;
	}
	if (!c->far)
		d->start_due = now + NET_PLACE_STAGGER_MS;
}

/* The one to hand over now: a near one if there is any. */
static struct candidate *
find_connected(struct net_dial *d)
{
	struct candidate *c, *best = NULL;

	for (c = d->places; c < d->places + d->n && !d->paused; c++)
		if (c->state == CONNECTED && (best == NULL || best->far)
		    && uv_now(d->loop) >= hand_due(d, c))
			best = c;
	return best;
}

static void
start_waiting(struct net_dial *d)
{
	struct candidate *c;
	bool started = false;

	for (c = d->places; c < d->places + d->n && !d->paused; c++) {
		if (c->state != WAITING)
			continue;
		if (c->far) {
			start(d, c);
		} else if (!started && uv_now(d->loop) >= d->start_due) {
			start(d, c);
			started = true;
		}
	}
}

static void
timer_fired(uv_timer_t *timer)
{
	struct net_dial *d = timer->data;
	struct candidate *c = find_connected(d);

	if (c != NULL) {
		c->state = DONE;
		d->paused = true;
		arm(d);
		d->events->on_conn(d->owner, c->conn, c->place, c->named);
		return;
	}
	if (uv_now(d->loop) >= d->deadline || (!d->paused && !has_hope(d))) {
		fail(d);
		return;
	}
	start_waiting(d);
	arm(d);
}

static void
add_place(struct net_dial *d, const char *place, bool named)
{
	struct candidate *c;

	for (c = d->places; c < d->places + d->n; c++)
		if (strcmp(c->place, place) == 0)
			return;
	if (d->n == NET_PLACES_MAX)
		return;
	d->n++;
	c->dial = d;
	c->named = named;
	c->far = several_for(d->net, place) == several_part(d->net, true);
	snprintf(c->place, sizeof c->place, "%s", place);
}

static void
have_found(void *owner, const char *place)
{
	struct net_dial *d = owner;

	add_place(d, place, false);
	arm(d);
}

int
net_dial(struct net *net, const struct net_env *env,
    const uint8_t key[static KEY_LEN], const char *const *places, size_t n,
    uint32_t timeout_ms, const struct net_dial_events *events, void *owner,
    struct net_dial **out, struct err *err)
{
	struct net_dial *d;
	char host[256];
	uint16_t port;
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		if ((rc = addr_split_place(places[i], host, &port, err)) < 0)
			return rc;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return err_nomem(err);
	d->net = net;
	d->loop = env->loop;
	d->events = events;
	d->owner = owner;
	d->timeout_ms = timeout_ms;
	uv_update_time(d->loop);
	d->began = uv_now(d->loop);
	d->deadline = d->began + timeout_ms;
	d->near = several_part(net, false) != NULL;
	for (i = 0; i < n; i++)
		add_place(d, places[i], true);
	rc = net->backend->resolve(net, key, have_found, d, &d->resolve, err);
	if (rc < 0 && (rc != E_NOTFOUND || n == 0)) {
		free(d);
		return rc;
	}
	uv_timer_init(d->loop, &d->timer);
	d->timer.data = d;
	arm(d);
	*out = d;
	return 0;
}

void
net_dial_next(struct net_dial *d)
{
	d->paused = false;
	arm(d);
}

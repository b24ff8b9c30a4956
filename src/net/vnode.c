// SPDX-License-Identifier: MPL-2.0
/*
 * vnode.c - the node's readiness, our routing context, our private route.
 *
 * After each connection the node's state and a routing context are asked for;
 * with both it is ready, and a route is made.  A new route is imported here
 * before it is told: by that import we call ourselves, and there are nodes that
 * name a route in its calls as who imported it does.
 *
 * One timer serves what is due: asking for what could not be had, and testing
 * the route.
 */
#include "net/vnode_state.h"

#include <stdio.h>
#include <stdlib.h>

static void timer_fired(uv_timer_t *timer);
static void end_now(struct vnode *n);

/* ---- time ---- */

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
vnode_arm(struct vnode *n)
{
	uint64_t now = uv_now(n->loop);
	uint64_t due = sooner(n->ask_due, sooner(n->route_due, n->test_due));

	if (n->closing)
		return;
	if (due == VNODE_NEVER)
		uv_timer_stop(&n->timer);
	else
		uv_timer_start(&n->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

/* When to try again, and longer the next time. */
uint64_t
vnode_later(struct vnode *n, uint32_t *wait)
{
	uint64_t due = uv_now(n->loop) + *wait;

	*wait = *wait < VNODE_AGAIN_MAX_MS / 2 ? *wait * 2
	    : VNODE_AGAIN_MAX_MS;
	return due;
}

/* ---- readiness ---- */

static void
note_state(struct vnode *n, const char *state, bool attached)
{
	n->attached = attached;
	snprintf(n->status.state, sizeof n->status.state, "%s",
	    state != NULL ? state : "");
}

/* Tells the owner if the node has become ready, or is so no more. */
static void
look(struct vnode *n)
{
	bool ready = vapi_up(n->api) && n->attached && n->context != 0;

	if (!ready && vapi_up(n->api))
		err_set(&n->why, E_UNREACHABLE, NULL,
		    "the Veilid node is not in reach of others yet%s%s",
		    n->status.state[0] != '\0' ? ": " : "", n->status.state);
	else if (ready)
		err_clear(&n->why);
	if (ready == n->ready)
		return;
	n->ready = ready;
	vnode_route_ready(n);
	n->events->on_ready(n->owner, ready ? NULL : &n->why);
}

static void ask_state(struct vnode *n);

static void
have_state(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;
	const json_t *a = json_object_get(value, "attachment");

	n->asked = false;
	if (why != NULL || !json_is_object(a)) {
		n->ask_due = vnode_later(n, &n->ask_wait);
		vnode_arm(n);
		return;
	}
	if (n->heard) {         /* which of both is newer can't be told */
		ask_state(n);
		return;
	}
	note_state(n, json_string_value(json_object_get(a, "state")),
	    json_is_true(json_object_get(a, "public_internet_ready")));
	look(n);
}

static void
ask_state(struct vnode *n)
{
	n->heard = false;
	n->asked = vnode_ask(n, json_pack("{s:s}", "op", "GetState"),
	    VNODE_CALL_MS, have_state, NULL) == 0;
	if (!n->asked)
		n->ask_due = vnode_later(n, &n->ask_wait);
	vnode_arm(n);
}

static void
have_context(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;
	double id = json_number_value(value);

	n->asked_context = false;
	if (why == NULL && id >= 1 && id <= UINT32_MAX) {
		n->context = (long)id;
		look(n);
	} else {
		n->ask_due = vnode_later(n, &n->ask_wait);
		vnode_arm(n);
	}
}

/* Asks for what is not known of this connection. */
static void
ask_all(struct vnode *n)
{
	n->ask_due = VNODE_NEVER;
	if (!vapi_up(n->api))
		return;
	if (n->status.state[0] == '\0' && !n->asked)
		ask_state(n);
	if (n->context == 0 && !n->asked_context) {
		n->asked_context = vnode_ask(n, json_pack("{s:s}", "op",
		    "NewRoutingContext"), VNODE_CALL_MS, have_context, NULL)
		    == 0;
		if (!n->asked_context)
			n->ask_due = vnode_later(n, &n->ask_wait);
	}
}

/* ---- the connection ---- */

static void
on_up(void *owner, const struct vapi_version *version)
{
	struct vnode *n = owner;

	snprintf(n->status.version, sizeof n->status.version, "%u.%u.%u",
	    version->major, version->minor, version->patch);
	n->ask_wait = VNODE_AGAIN_MIN_MS;
	vnode_route_up(n);
	ask_all(n);
	look(n);
}

static void
on_down(void *owner, const struct err *why)
{
	struct vnode *n = owner;
	bool routed = vnode_route_lost(n), was = n->ready;

	if (n->closing) {
		end_now(n);
		return;
	}
	n->why = *why;
	n->status = (struct vnode_status){ .connected = false };
	n->attached = n->ready = n->asked = n->asked_context = false;
	n->context = 0;
	n->ask_due = VNODE_NEVER;
	vnode_arm(n);
	if (routed)
		n->events->on_route(n->owner, NULL, 0);
	if (was && !n->closing)
		n->events->on_ready(n->owner, &n->why);
}

static void
tell_dead(struct vnode *n, const json_t *dead)
{
	const char *route;
	size_t i;

	for (i = 0; i < json_array_size(dead) && !n->closing; i++) {
		route = json_string_value(json_array_get(dead, i));
		if (route != NULL)
			n->events->on_dead(n->owner, route);
	}
}

static void
on_update(void *owner, const struct vupdate *u)
{
	struct vnode *n = owner;

	if (n->closing)
		return;
	switch (u->kind) {
	case VUPDATE_ATTACHMENT:
		n->heard = true;
		note_state(n, u->state, u->ready);
		look(n);
		break;
	case VUPDATE_CALL:
		vnode_route_called(n, u);
		break;
	case VUPDATE_ROUTES:
		vnode_route_dead(n, u->dead);
		tell_dead(n, u->dead_remote);
		break;
	case VUPDATE_VALUE:
		n->events->on_value(n->owner, u);
		break;
	default:
		break;
	}
}

static const struct vapi_events api_events = {
	.on_up = on_up,
	.on_down = on_down,
	.on_update = on_update,
};

static void
timer_fired(uv_timer_t *timer)
{
	struct vnode *n = timer->data;

	if (n->closing) {
		end_now(n);
		return;
	}
	if (n->ask_due <= uv_now(n->loop))
		ask_all(n);
	vnode_route_run(n);
	look(n);
	vnode_arm(n);
}

/* ---- open and close ---- */

int
vnode_open(const struct net_env *env, const char *where, bool trusted,
    const struct vnode_events *events, void *owner, struct vnode **out,
    struct err *err)
{
	struct vnode *n = calloc(1, sizeof *n);
	int rc;

	if (n == NULL)
		return err_nomem(err);
	n->loop = env->loop;
	n->events = events;
	n->owner = owner;
	n->ask_due = n->route_due = n->test_due = VNODE_NEVER;
	err_set(&n->why, E_UNREACHABLE, NULL,
	    "the Veilid node has not answered yet");
	rc = vapi_open(n->loop, where, trusted, &api_events, n, &n->api, err);
	if (rc < 0) {
		free(n);
		return rc;
	}
	uv_timer_init(n->loop, &n->timer);
	n->timer.data = n;
	n->handles = 2;
	*out = n;
	return 0;
}

static void
one_gone(struct vnode *n)
{
	vapi_closed_fn *closed = n->closed;
	void *owner = n->closed_owner;

	n->handles--;
	if (n->handles > 0)
		return;
	free(n);
	if (closed != NULL)
		closed(owner);
}

static void
timer_gone(uv_handle_t *timer)
{
	one_gone(timer->data);
}

static void
api_gone(void *owner)
{
	one_gone(owner);
}

static void
end_now(struct vnode *n)
{
	if (n->ended)
		return;
	n->ended = true;
	vapi_close(n->api, api_gone, n);
	uv_close((uv_handle_t *)&n->timer, timer_gone);
}

static void
end_answer(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	if (n->ending > 0)
		n->ending--;
	if (n->ending == 0)
		end_now(n);
}

void
vnode_close(struct vnode *n, vapi_closed_fn *closed, void *owner)
{
	n->closing = true;
	n->ready = false;
	n->closed = closed;
	n->closed_owner = owner;
	n->end_answer = end_answer;
	if (vapi_up(n->api))
		vnode_route_end(n, end_answer);
	if (n->ending == 0)
		end_now(n);
	else
		uv_timer_start(&n->timer, timer_fired, VNODE_END_MS, 0);
}

bool
vnode_ready(const struct vnode *n)
{
	return n->ready && n->context != 0 && vapi_up(n->api);
}

const uint8_t *
vnode_route(const struct vnode *n, size_t *len)
{
	*len = n->own.len;
	return n->own.len > 0 ? n->own.blob : NULL;
}

void
vnode_hurry(struct vnode *n)
{
	vapi_hurry(n->api);
}

void
vnode_why(const struct vnode *n, struct err *out)
{
	*out = n->why;
}

void
vnode_status(const struct vnode *n, struct vnode_status *out)
{
	*out = n->status;
	out->connected = vapi_up(n->api);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * vapi.c - requests and their answers; the connection's life.
 *
 * One timer serves all that is due: the next attempt while there is no link,
 * the greeting's end while there is one that is not up, the first request whose
 * time is over.
 */
#include "net/vapi.h"

#include <stdlib.h>

#include <uv.h>

#include "base/buf.h"
#include "net/vlink.h"

struct vapi_call {
	struct vapi *api;
	struct vapi_call *prev, *next;
	uint32_t id;
	uint64_t due;
	vapi_shape_fn *shape;
	vapi_any_fn *done;
	void *owner;
};

struct vapi {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct vwhere where;
	const struct vapi_events *events;
	void *owner;

	struct vlink *link;             /* NULL: waits for the next attempt */
	bool up;
	uint64_t since;                 /* up since */
	uint64_t due;                   /* the next attempt, the greeting's end */
	uint32_t wait;                  /* before the next attempt, in ms */

	struct vapi_call *first, *last; /* as they were made */
	size_t ncalls;
	uint32_t next_id;

	size_t handles;                 /* on the loop */
	bool closing;
	vapi_closed_fn *closed;
	void *closed_owner;
};

static void timer_fired(uv_timer_t *timer);

/* ---- time ---- */

static void
arm(struct vapi *api)
{
	uint64_t now = uv_now(api->loop), due = api->up ? UINT64_MAX : api->due;
	const struct vapi_call *c;

	if (api->closing)
		return;
	for (c = api->first; c != NULL; c = c->next)
		if (c->due < due)
			due = c->due;
	if (due == UINT64_MAX)
		uv_timer_stop(&api->timer);
	else
		uv_timer_start(&api->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

/* ---- requests ---- */

/* Takes a call off the list and frees it, and says what it was. */
static struct vapi_call
take(struct vapi_call *c)
{
	struct vapi *api = c->api;
	struct vapi_call copy = *c;

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		api->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		api->last = c->prev;
	api->ncalls--;
	free(c);
	return copy;
}

static struct vapi_call *
find(struct vapi *api, uint32_t id)
{
	struct vapi_call *c = api->first;

	while (c != NULL && c->id != id)
		c = c->next;
	return c;
}

static int
add_text(const char *bytes, size_t len, void *to)
{
	buf_add(to, bytes, len);
	return ((struct buf *)to)->failed ? -1 : 0;
}

static int
send_request(struct vapi *api, json_t *request, uint32_t id, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, VAPI_REQUEST_MAX);
	/* room for what holds a key, be it behind the longest record: growing
	 * would leave parts of it behind */
	buf_reserve(&text, 8192);
	if (json_object_set_new(request, "id", json_integer(id)) < 0)
		rc = err_set(err, E_USAGE, NULL,
		    "a request to the Veilid node is no object");
	else if (json_dump_callback(request, add_text, &text,
	    JSON_COMPACT) < 0)
		rc = err_set(err, E_USAGE, NULL,
		    "a request to the Veilid node is longer than %d bytes",
		    VAPI_REQUEST_MAX);
	else
		rc = vlink_send(api->link, (char *)text.data, text.len, err);
	buf_wipe(&text);        /* there may be a key in it */
	return rc;
}

static int
call(struct vapi *api, json_t *request, uint32_t timeout_ms,
    vapi_shape_fn *shape, vapi_any_fn *done, void *owner,
    struct vapi_call **out, struct err *err)
{
	struct vapi_call *c = NULL;
	int rc;

	if (api->ncalls >= VAPI_CALLS_MAX) {
		rc = err_set(err, E_HELD, NULL,
		    "%d requests wait for the Veilid node", VAPI_CALLS_MAX);
		goto done;
	}
	c = calloc(1, sizeof *c);
	if (c == NULL) {
		rc = err_nomem(err);
		goto done;
	}
	do
		c->id = api->next_id++;
	while (find(api, c->id) != NULL);
	rc = send_request(api, request, c->id, err);
	if (rc < 0)
		goto done;
	c->api = api;
	c->due = uv_now(api->loop) + timeout_ms;
	c->shape = shape;
	c->done = done;
	c->owner = owner;
	c->prev = api->last;
	if (api->last != NULL)
		api->last->next = c;
	else
		api->first = c;
	api->last = c;
	api->ncalls++;
	arm(api);
	if (out != NULL)
		*out = c;
	c = NULL;
done:
	free(c);
	json_decref(request);
	return rc;
}

int
vapi_call_as(struct vapi *api, json_t *request, uint32_t timeout_ms,
    vapi_shape_fn *shape, vapi_any_fn *done, void *owner,
    struct vapi_call **out, struct err *err)
{
	if (api->up)
		return call(api, request, timeout_ms, shape, done, owner, out,
		    err);
	json_decref(request);
	return err_set(err, E_UNREACHABLE, NULL,
	    "the Veilid node is not connected");
}

/* An answer as it is. */
static void
plain(void *api_owner, vapi_any_fn *done, void *owner, const json_t *value,
    enum vfault fault, const struct err *why)
{
	((vapi_done_fn *)done)(owner, value, fault, why);
}

int
vapi_call(struct vapi *api, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, void *owner, struct vapi_call **out, struct err *err)
{
	return vapi_call_as(api, request, timeout_ms, plain,
	    (vapi_any_fn *)done, owner, out, err);
}

void
vapi_forget(struct vapi_call *c)
{
	take(c);
}

static void
end_call(struct vapi_call *c, enum vfault fault, const struct err *why)
{
	void *api_owner = c->api->owner;
	struct vapi_call it = take(c);

	it.shape(api_owner, it.done, it.owner, NULL, fault, why);
}

/* ---- the connection ---- */

/* Ends the link, if there is one, tells everybody, and sets the next attempt. */
static void
go_down(struct vapi *api, const struct err *why)
{
	struct err lost = { .code = 0 };
	uint64_t now = uv_now(api->loop);

	if (api->link != NULL)
		vlink_close(api->link);
	api->link = NULL;
	if (api->up && now - api->since >= VAPI_STEADY_MS)
		api->wait = VAPI_RETRY_MIN_MS;
	api->up = false;
	api->due = now + api->wait;
	api->wait = api->wait < VAPI_RETRY_MAX_MS / 2 ? api->wait * 2
	    : VAPI_RETRY_MAX_MS;
	err_set(&lost, E_UNREACHABLE, why->hint, "%s", why->text);
	/* those told can't make new ones now, so this ends */
	while (!api->closing && api->first != NULL)
		end_call(api->first, VFAULT_CLOSED, &lost);
	if (!api->closing)
		api->events->on_down(api->owner, why);
	arm(api);
}

static void
greeted(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	/* the version stands beside where values do: see on_answer() */
}

static void
on_open(void *owner)
{
	struct vapi *api = owner;
	struct err why = { .code = 0 };

	if (call(api, json_pack("{s:s}", "op", "VeilidVersion"), VAPI_GREET_MS,
	    plain, (vapi_any_fn *)greeted, api, NULL, &why) < 0)
		go_down(api, &why);
}

static bool
part(const struct vmsg *m, const char *name, uint32_t *out)
{
	double d = json_number_value(json_object_get(m->root, name));

	*out = d >= 0 && d <= UINT32_MAX ? (uint32_t)d : UINT32_MAX;
	return json_is_number(json_object_get(m->root, name))
	    && (double)*out == d;
}

/* What the node says of its version decides whether it is talked to. */
static void
greet(struct vapi *api, const struct vmsg *m)
{
	struct err why = { .code = 0 };
	struct vapi_version v;
	bool told = part(m, "major", &v.major) && part(m, "minor", &v.minor)
	    && part(m, "patch", &v.patch);

	if (!told)
		err_set(&why, E_REFUSED, NULL,
		    "the Veilid node does not tell its version");
	else if (v.major != VAPI_MAJOR || v.minor != VAPI_MINOR)
		err_set(&why, E_REFUSED, NULL,
		    "the Veilid node is of version %u.%u.%u, this program "
		    "talks with %d.%d only", v.major, v.minor, v.patch,
		    VAPI_MAJOR, VAPI_MINOR);
	if (why.code != 0) {
		go_down(api, &why);
		return;
	}
	api->up = true;
	api->since = uv_now(api->loop);
	arm(api);
	api->events->on_up(api->owner, &v);
}

static void
on_answer(struct vapi *api, const struct vmsg *m)
{
	struct vapi_call *c = find(api, m->id), it;
	struct err why = { .code = 0 };
	enum vfault fault;
	const json_t *value;
	int rc;

	if (c == NULL)
		return;         /* given up, or its time was over */
	it = take(c);
	arm(api);
	if (!api->up) {
		greet(api, m);
		return;
	}
	rc = vmsg_value(m, &value, &fault, &why);
	it.shape(api->owner, it.done, it.owner, value, fault,
	    rc < 0 ? &why : NULL);
}

static void
on_line(void *owner, const char *line, size_t len)
{
	struct vapi *api = owner;
	struct err why = { .code = 0 };
	struct vupdate update;
	struct vmsg m;

	if (vmsg_parse(line, len, &m, &why) < 0) {
		go_down(api, &why);
		return;
	}
	if (m.type == VMSG_ANSWER) {
		on_answer(api, &m);
	} else if (m.type == VMSG_UPDATE && api->up) {
		vmsg_update(&m, &update);
		if (update.kind != VUPDATE_OTHER)
			api->events->on_update(api->owner, &update);
	}
	vmsg_clear(&m);
}

static void
on_broken(void *owner, const struct err *why)
{
	go_down(owner, why);
}

/* One handle less on the loop. */
static void
release(struct vapi *api)
{
	vapi_closed_fn *closed = api->closed;
	void *owner = api->closed_owner;

	api->handles--;
	if (api->handles > 0 || !api->closing)
		return;
	free(api);
	if (closed != NULL)
		closed(owner);
}

static void
on_gone(void *owner)
{
	release(owner);
}

static const struct vlink_events link_events = {
	.on_open = on_open,
	.on_line = on_line,
	.on_broken = on_broken,
	.on_gone = on_gone,
};

static void
attempt(struct vapi *api)
{
	struct err why = { .code = 0 };
	int rc = vlink_open(api->loop, &api->where, &link_events, api,
	    &api->link, &why);

	api->handles += api->link != NULL;
	api->due = uv_now(api->loop) + VAPI_GREET_MS;
	if (rc < 0)
		go_down(api, &why);
}

static void
timer_fired(uv_timer_t *timer)
{
	struct vapi *api = timer->data;
	struct vapi_call *c;
	struct err why = { .code = 0 };
	uint64_t now = uv_now(api->loop);

	if (!api->up && api->due <= now) {
		if (api->link == NULL) {
			attempt(api);
		} else {
			err_set(&why, E_UNREACHABLE, NULL,
			    "the Veilid node does not answer");
			go_down(api, &why);
		}
	}
	err_set(&why, E_UNREACHABLE, NULL,
	    "the Veilid node did not answer in time");
	/* each is told from the start: any may be forgotten meanwhile */
	for (c = api->first; c != NULL && !api->closing;) {
		if (c->due <= now) {
			end_call(c, VFAULT_TIMEOUT, &why);
			c = api->first;
		} else {
			c = c->next;
		}
	}
	arm(api);
}

/* ---- open and close ---- */

static void
timer_closed(uv_handle_t *handle)
{
	release(handle->data);
}

int
vapi_open(struct uv_loop_s *loop, const char *where, bool trusted,
    const struct vapi_events *events, void *owner, struct vapi **out,
    struct err *err)
{
	struct vapi *api = calloc(1, sizeof *api);
	int rc;

	if (api == NULL)
		return err_nomem(err);
	rc = vwhere_parse(where, trusted, &api->where, err);
	if (rc < 0) {
		free(api);
		return rc;
	}
	api->loop = loop;
	api->events = events;
	api->owner = owner;
	api->wait = VAPI_RETRY_MIN_MS;
	api->next_id = 1;
	uv_timer_init(loop, &api->timer);
	api->timer.data = api;
	api->handles = 1;
	api->due = uv_now(loop);
	arm(api);
	*out = api;
	return 0;
}

void
vapi_close(struct vapi *api, vapi_closed_fn *closed, void *owner)
{
	api->closing = true;
	api->up = false;
	api->closed = closed;
	api->closed_owner = owner;
	while (api->first != NULL)
		take(api->first);
	if (api->link != NULL)
		vlink_close(api->link);
	api->link = NULL;
	uv_close((uv_handle_t *)&api->timer, timer_closed);
}

bool
vapi_up(const struct vapi *api)
{
	return api->up;
}

void
vapi_hurry(struct vapi *api)
{
	api->wait = VAPI_RETRY_MIN_MS;
	if (api->link == NULL)
		api->due = uv_now(api->loop);
	arm(api);
}

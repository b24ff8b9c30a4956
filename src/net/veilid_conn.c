// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_conn.c - one stream over Veilid as a struct net_conn.  Who may have one
 * is decided in veilid_accept.c, how one is made in veilid_find.c.
 *
 * One that was given up stays until its stream is over: what is queued goes yet,
 * or the other end is told that nothing will.
 */
#include "net/veilid_state.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

void
vlist_move(struct vconn *c, enum vlist_kind kind, struct vlist *list)
{
	struct vlist *old = c->links[kind].list;
	struct vconn *prev = c->links[kind].prev, *next = c->links[kind].next;

	if (old != NULL) {
		if (prev != NULL)
			prev->links[kind].next = next;
		else
			old->first = next;
		if (next != NULL)
			next->links[kind].prev = prev;
		else
			old->last = prev;
		old->n--;
	}
	c->links[kind].list = list;
	c->links[kind].prev = c->links[kind].next = NULL;
	if (list == NULL)
		return;
	c->links[kind].prev = list->last;
	if (list->last != NULL)
		list->last->links[kind].next = c;
	else
		list->first = c;
	list->last = c;
	list->n++;
}

void
vconn_stage(struct vconn *c, struct vlist *stage)
{
	vlist_move(c, VLIST_STAGE, stage);
	c->since = veilid_now(c->veilid);
}

/* ---- time ---- */

/* Its stream is over, and nobody has it; its last calls are on their way, one of
 * which may tell the other end. */
static bool
is_left(const struct vconn *c)
{
	return c->over && !c->owned;
}

static bool
has_calls(const struct vconn *c)
{
	unsigned i;

	for (i = 0; i < VSTREAM_CALLS; i++)
		if (c->calls[i].call != NULL)
			return true;
	return false;
}

void
vconn_touch(struct vconn *c)
{
	struct veilid *v = c->veilid;

	if (c->dead)
		return;
	c->due = c->stream != NULL ? vstream_due(c->stream) : VSTREAM_NEVER;
	if (c->path.again < c->due)
		c->due = c->path.again;
	if ((c->leaving || is_left(c)) && c->since + NET_LINGER_MS < c->due)
		c->due = c->since + NET_LINGER_MS;
	if (c->due <= veilid_now(v))
		vlist_move(c, VLIST_DUE, &v->due);
	else if (c->due < v->stream_due)
		v->stream_due = c->due;
	veilid_arm(v);
}

/* ---- calls ---- */

void
veilid_wake(struct veilid *v)
{
	struct vconn *c = v->held.first;

	if (c == NULL)
		return;
	vlist_move(c, VLIST_HELD, NULL);
	if (c->stream != NULL)
		vstream_resume(c->stream, veilid_now(v));
	vconn_touch(c);
}

static void
have_called(void *owner, const uint8_t *bytes, size_t len,
    enum vfault fault, const struct err *why)
{
	struct vslot_call *call = owner;
	struct vconn *c = call->conn;
	struct veilid *v = c->veilid;
	struct vsegment_answer answer;

	call->call = NULL;
	v->ncalls--;
	if (why == NULL && vsegment_answer_decode(bytes, len, &answer,
	    NULL) == 0) {
		vstream_answered(c->stream, call->slot, &answer,
		    veilid_now(v));
	} else {
		if (c->connect != NULL && why != NULL)
			c->connect->why = *why;
		vstream_failed(c->stream, call->slot, why != NULL ? fault
		    : VFAULT_REFUSED, veilid_now(v));
	}
	if (is_left(c) && !has_calls(c))
		vconn_bury(c);
	vconn_touch(c);
	veilid_wake(v);
}

static bool
on_call(void *owner, unsigned slot, const uint8_t *bytes, size_t len)
{
	struct vconn *c = owner;
	struct veilid *v = c->veilid;
	struct vslot_call *call = &c->calls[slot];
	int rc;

	if (c->path.name[0] == '\0' || !vnode_ready(v->node))
		return false;
	if (v->ncalls >= VEILID_CALLS) {
		vlist_move(c, VLIST_HELD, &v->held);
		return false;
	}
	rc = vnode_call(v->node, c->path.name, bytes, len, have_called, call,
	    &call->call, NULL);
	if (rc == 0) {
		v->ncalls++;
		return true;
	}
	call->call = NULL;
	if (rc != E_UNREACHABLE)
		c->path.again = veilid_now(v) + VEILID_HELD_MS;
	return false;
}

/* ---- what streams tell ---- */

static void
on_answer(void *owner, const uint8_t *bytes, size_t len)
{
	struct vconn *c = owner;

	vnode_reply(c->veilid->node, c->answers, bytes, len);
}

static void
on_stale(void *owner)
{
	vpath_stale(owner);
}

static void
on_route(void *owner, const uint8_t *blob, size_t len)
{
	vpath_set(owner, blob, len, true);
}

/* Hands it to whoever listens. */
static void
accepted(struct vconn *c)
{
	struct veilid *v = c->veilid;

	if (v->accepted == NULL) {
		vconn_leave(c, false);
		return;
	}
	c->owned = true;
	v->accepted(v->accept_owner, &c->conn);
	if (c->owned && c->conn.events == NULL)
		vconn_leave(c, false);
}

static void
on_open(void *owner)
{
	struct vconn *c = owner;

	if (c->connect != NULL)
		veilid_connected(c);
	else if (!c->opener && !c->dropped && c->links[VLIST_STAGE].list
	    == &c->veilid->unknown)
		accepted(c);
}

static void
on_data(void *owner, const uint8_t *bytes, size_t len)
{
	struct vconn *c = owner;

	if (c->owned)
		c->conn.events->on_data(&c->conn, bytes, len);
}

static void
on_drain(void *owner)
{
	struct vconn *c = owner;

	if (c->owned)
		c->conn.events->on_drain(&c->conn);
}

/* One that is kept for later has nobody yet who hears it: then when it is read. */
static void
tell_end(struct vconn *c)
{
	if (!c->untold || !c->owned || c->conn.events == NULL)
		return;
	c->untold = false;
	c->conn.events->on_close(&c->conn, &c->why);
}

static void
on_over(void *owner, const struct err *why)
{
	struct vconn *c = owner;
	struct err dropped;

	c->over = true;
	veilid_remember(c->veilid, c);
	vconn_stage(c, NULL);
	if (c->dropped != NULL) {
		err_set(&dropped, E_REFUSED, NULL,
		    "the connection over Veilid was dropped: %s", c->dropped);
		why = &dropped;
	}
	if (c->connect != NULL)
		veilid_not_connected(c, why);
	if (!c->owned) {
		if (has_calls(c)
		    && c->veilid->lingering.n < NET_LINGERING_MAX)
			vconn_stage(c, &c->veilid->lingering);
		else
			vconn_bury(c);
		return;
	}
	vpath_clear(&c->path);
	c->untold = true;
	c->why = *why;
	tell_end(c);
}

static const struct vstream_events stream_events = {
	.call = on_call,
	.answer = on_answer,
	.stale = on_stale,
	.route = on_route,
	.open = on_open,
	.data = on_data,
	.drain = on_drain,
	.over = on_over,
};

/* ---- its turn ---- */

void
vconn_run(struct vconn *c, uint64_t now)
{
	if (c->leaving && now - c->since >= NET_LINGER_MS)
		vconn_break(c);
	if (is_left(c) && now - c->since >= NET_LINGER_MS)
		vconn_bury(c);
	tell_end(c);
	vpath_run(c, now);
	if (c->stream != NULL && !c->dead)
		vstream_run(c->stream, now);
	vconn_touch(c);
}

/* ---- what owners ask ---- */

static struct vconn *
of_conn(const struct net_conn *conn)
{
	return (struct vconn *)(uintptr_t)conn;
}

static int
conn_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err)
{
	struct vconn *c = of_conn(conn);
	int rc;

	if (c->over)
		return err_set(err, E_UNREACHABLE, NULL,
		    "the connection with %s is over", c->place);
	rc = vstream_write(c->stream, bytes, len, veilid_now(c->veilid), err);
	vconn_touch(c);
	return rc;
}

static size_t
conn_queued(const struct net_conn *conn)
{
	const struct vconn *c = of_conn(conn);

	return c->over ? 0 : vstream_queued(c->stream);
}

static void
conn_read(struct net_conn *conn, bool on)
{
	struct vconn *c = of_conn(conn);

	if (c->over) {
		if (on && c->untold)
			vlist_move(c, VLIST_DUE, &c->veilid->due);
		veilid_arm(c->veilid);
		return;
	}
	vstream_read(c->stream, on, veilid_now(c->veilid));
	vconn_touch(c);
}

static void
conn_mark(struct net_conn *conn)
{
	struct vconn *c = of_conn(conn);

	/* One that was dropped is told so yet. */
	if (c->over || c->dropped != NULL)
		return;
	vconn_stage(c, &c->veilid->known);
	vstream_mark(c->stream, veilid_now(c->veilid));
	vconn_touch(c);
}

static void
conn_place(const struct net_conn *conn, char out[static PLACE_MAX])
{
	strcpy(out, of_conn(conn)->place);
}

static void
conn_close(struct net_conn *conn, bool flush)
{
	vconn_leave(of_conn(conn), flush);
}

static const struct net_conn_ops conn_ops = {
	.send = conn_send,
	.queued = conn_queued,
	.read = conn_read,
	.mark = conn_mark,
	.place = conn_place,
	.close = conn_close,
};

/* ---- life ---- */

struct vconn *
vconn_new(struct veilid *v, bool opener,
    const uint8_t id[static VSEGMENT_STREAM_LEN], const char *place,
    struct err *err)
{
	struct vconn *c = calloc(1, sizeof *c);
	unsigned i;

	if (c == NULL) {
		err_nomem(err);
		return NULL;
	}
	c->conn.ops = &conn_ops;
	c->conn.far = true;
	c->veilid = v;
	c->opener = opener;
	c->due = c->path.again = VSTREAM_NEVER;
	memcpy(c->id, id, sizeof c->id);
	strcpy(c->place, place);
	for (i = 0; i < VSTREAM_CALLS; i++)
		c->calls[i] = (struct vslot_call){ .conn = c, .slot = i };
	vlist_move(c, VLIST_ALL, &v->all);
	vlist_move(c, VLIST_ID, &v->ids[id[0] % VEILID_IDS]);
	return c;
}

int
vconn_begin(struct vconn *c, struct err *err)
{
	struct veilid *v = c->veilid;
	const uint8_t *route;
	size_t len;

	c->stream = vstream_new(c->id, c->opener, veilid_now(v),
	    &stream_events, c);
	if (c->stream == NULL)
		return err_nomem(err);
	/* Who calls by our route has it. */
	route = c->opener ? vnode_route(v->node, &len) : NULL;
	if (route != NULL && vstream_set_route(c->stream, route, len,
	    veilid_now(v), err) < 0) {
		vstream_free(c->stream);
		c->stream = NULL;
		return E_FATAL;
	}
	return 0;
}

void
vconn_break(struct vconn *c)
{
	c->leaving = false;
	vstream_end(c->stream, false, veilid_now(c->veilid));
	vconn_touch(c);
}

void
vconn_leave(struct vconn *c, bool flush)
{
	struct veilid *v = c->veilid;

	c->owned = false;
	if (c->over || c->stream == NULL) {
		vconn_bury(c);
		return;
	}
	if (v->lingering.n >= NET_LINGERING_MAX)
		vconn_bury(v->lingering.first);
	vconn_stage(c, &v->lingering);
	/* One that was refused at once has no way yet by which to say so. */
	c->leaving = !flush && !c->opener && c->path.name[0] == '\0';
	if (!c->leaving)
		vstream_end(c->stream, flush && c->dropped == NULL,
		    veilid_now(v));
	vconn_touch(c);
}

void
vconn_bury(struct vconn *c)
{
	struct veilid *v = c->veilid;
	int kind;

	if (c->dead)
		return;
	if (!c->over && c->stream != NULL)
		veilid_remember(v, c);
	c->dead = true;
	for (kind = 0; kind < VLIST_KINDS; kind++)
		vlist_move(c, kind, NULL);
	c->links[VLIST_ALL].next = v->graves;
	v->graves = c;
	veilid_soon(v);
}

static void
free_conn(struct vconn *c)
{
	unsigned i;

	for (i = 0; i < VSTREAM_CALLS; i++)
		if (c->calls[i].call != NULL) {
			vapi_forget(c->calls[i].call);
			c->veilid->ncalls--;
		}
	vpath_clear(&c->path);
	vstream_free(c->stream);
	if (c->finder != NULL)
		vfinder_put(c->finder);
	free(c);
}

void
vconn_free_buried(struct veilid *v)
{
	struct vconn *c;

	while ((c = v->graves) != NULL) {
		v->graves = c->links[VLIST_ALL].next;
		free_conn(c);
	}
	while (v->held.first != NULL && v->ncalls < VEILID_CALLS / 2)
		veilid_wake(v);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * veilid.c - the network "veilid": the backend, and its clock.  This file opens
 * and closes it and joins its parts.
 *
 * In the end streams that were given up may flush and a record may be withdrawn,
 * then the node is let go, then the timer.
 */
#include "net/veilid_state.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* ---- the clock ---- */

static void timer_fired(uv_timer_t *timer);

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
veilid_arm(struct veilid *v)
{
	uint64_t now = veilid_now(v), due = v->stream_due;
	const struct net_connect *n;

	if (v->ending)
		return;
	if (v->soon || v->due.n > 0)
		due = 0;
	for (n = v->connects; n != NULL; n = n->next)
		due = sooner(due, n->deadline);
	if (v->unknown.first != NULL)
		due = sooner(due, v->unknown.first->since + NET_UNKNOWN_MS);
	if (v->closing)
		due = sooner(due, v->close_due);
	if (due == VSTREAM_NEVER)
		uv_timer_stop(&v->timer);
	else
		uv_timer_start(&v->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

void
veilid_soon(struct veilid *v)
{
	v->soon = true;
	veilid_arm(v);
}

/* Those whose time has come are due; and when the next one is. */
static void
look_for_due(struct veilid *v, uint64_t now)
{
	struct vconn *c;

	if (v->stream_due > now)
		return;
	v->stream_due = VSTREAM_NEVER;
	for (c = v->all.first; c != NULL; c = c->links[VLIST_ALL].next)
		if (c->due <= now)
			vlist_move(c, VLIST_DUE, &v->due);
		else
			v->stream_due = sooner(v->stream_due, c->due);
}

/* Each once: what is due again then has its turn after the loop's. */
static void
run_streams(struct veilid *v, uint64_t now)
{
	struct vconn *c;
	size_t n = v->due.n;

	while (n-- > 0 && (c = v->due.first) != NULL) {
		vlist_move(c, VLIST_DUE, NULL);
		vconn_run(c, now);
	}
}

static void end_if_done(struct veilid *v);

static void
timer_fired(uv_timer_t *timer)
{
	struct veilid *v = timer->data;
	uint64_t now = veilid_now(v);

	v->soon = false;
	look_for_due(v, now);
	veilid_tell_found(v);
	run_streams(v, now);
	veilid_end_connects(v, now);
	veilid_drop_late(v, now);
	vconn_free_buried(v);
	end_if_done(v);
	veilid_arm(v);
}

/* ---- what the node tells ---- */

static void
on_ready(void *owner, const struct err *why)
{
	struct veilid *v = owner;
	struct vfinder *f;
	struct vconn *c;

	if (v->publish != NULL)
		vpublish_ready(v->publish, why == NULL);
	for (f = v->finders; f != NULL; f = f->next)
		vfind_ready(f->find, why == NULL);
	/* It may be another node than before, which has none of them. */
	for (c = v->all.first; c != NULL && why == NULL;
	    c = c->links[VLIST_ALL].next) {
		c->path.name[0] = '\0';
		vpath_import(c);
	}
}

static void
on_route(void *owner, const uint8_t *blob, size_t len)
{
	struct veilid *v = owner;
	struct vconn *c;

	if (v->publish != NULL && !v->withdrawing)
		vpublish_route(v->publish, blob, len);
	for (c = v->all.first; c != NULL && len > 0;
	    c = c->links[VLIST_ALL].next)
		if (c->stream != NULL && !c->over) {
			vstream_set_route(c->stream, blob, len, veilid_now(v),
			    NULL);
			vconn_touch(c);
		}
}

static void
on_call(void *owner, const char *call, const uint8_t *bytes, size_t len)
{
	veilid_called(owner, call, bytes, len);
}

static void
on_dead(void *owner, const char *route)
{
	struct veilid *v = owner;
	struct vconn *c;

	for (c = v->all.first; c != NULL; c = c->links[VLIST_ALL].next)
		if (strcmp(c->path.name, route) == 0)
			vpath_stale(c);
}

static void
on_value(void *owner, const struct vupdate *update)
{
	struct veilid *v = owner;
	struct vfinder *f;

	for (f = v->finders; f != NULL; f = f->next)
		vfind_value(f->find, update);
}

static const struct vnode_events node_events = {
	.on_ready = on_ready,
	.on_route = on_route,
	.on_call = on_call,
	.on_dead = on_dead,
	.on_value = on_value,
};

/* ---- open ---- */

static bool
veilid_knows(const char *place)
{
	uint8_t key[KEY_LEN];

	return veilid_place_read(place, key);
}

static void
free_net(struct veilid *v)
{
	OPENSSL_cleanse(v->seed, sizeof v->seed);
	free(v);
}

static int
take_seed(struct veilid *v, const uint8_t *seed, struct err *err)
{
	size_t len = KEY_LEN;
	EVP_PKEY *pair;
	int rc = 0;

	strcpy(v->place, "veilid");
	if (seed == NULL)
		return 0;
	pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    VRECORD_SEED_LEN);
	if (pair == NULL
	    || EVP_PKEY_get_raw_public_key(pair, v->key, &len) != 1)
		rc = err_set(err, E_FATAL, NULL,
		    "the key for Veilid could not be made");
	EVP_PKEY_free(pair);
	v->has_seed = true;
	memcpy(v->seed, seed, sizeof v->seed);
	veilid_place_write(v->key, v->place);
	return rc;
}

static int
veilid_open(const struct net_env *env, const struct net_options *opt,
    struct net **out, struct err *err)
{
	struct veilid *v;
	int rc;

	if (opt == NULL || opt->veilid == NULL)
		return err_set(err, E_USAGE, NULL,
		    "it is not said where the Veilid node listens");
	v = calloc(1, sizeof *v);
	if (v == NULL)
		return err_nomem(err);
	v->net.backend = &net_veilid;
	v->env = *env;
	v->loop = env->loop;
	v->stream_due = VSTREAM_NEVER;
	rc = take_seed(v, opt->seed, err);
	if (rc == 0)
		rc = vnode_open(env, opt->veilid, opt->veilid_trusted,
		    &node_events, v, &v->node, err);
	if (rc < 0) {
		free_net(v);
		return rc;
	}
	uv_timer_init(v->loop, &v->timer);
	v->timer.data = v;
	*out = &v->net;
	return 0;
}

/* ---- close ---- */

static void
timer_closed(uv_handle_t *handle)
{
	struct veilid *v = handle->data;
	net_closed_fn *closed = v->closed;
	void *owner = v->closed_owner;

	free_net(v);
	if (closed != NULL)
		closed(owner);
}

static void
node_closed(void *owner)
{
	struct veilid *v = owner;

	uv_close((uv_handle_t *)&v->timer, timer_closed);
}

static void
end_if_done(struct veilid *v)
{
	bool late = veilid_now(v) >= v->close_due;

	if (!v->closing || v->ending
	    || (!late && (v->all.n > 0 || v->withdrawing)))
		return;
	while (v->all.first != NULL)
		vconn_bury(v->all.first);
	vconn_free_buried(v);
	if (v->publish != NULL)
		vpublish_close(v->publish);
	v->ending = true;
	uv_timer_stop(&v->timer);
	vnode_close(v->node, node_closed, v);
}

static void
veilid_close(struct net *net, net_closed_fn *closed, void *owner)
{
	struct veilid *v = (struct veilid *)net;
	struct vconn *c, *next;

	v->closing = true;
	v->closed = closed;
	v->closed_owner = owner;
	v->close_due = veilid_now(v) + VEILID_CLOSE_MS;
	v->accepted = NULL;
	while (v->resolves != NULL)
		veilid_resolve_stop(v->resolves);
	while (v->connects != NULL)
		veilid_connect_stop(v->connects);
	for (c = v->all.first; c != NULL; c = next) {
		next = c->links[VLIST_ALL].next;
		if (c->links[VLIST_STAGE].list != &v->lingering)
			vconn_leave(c, false);
	}
	/* Without a node nothing can be withdrawn in time. */
	v->withdrawing &= vnode_ready(v->node);
	veilid_soon(v);
}

/* ---- listening, announcing ---- */

static int
veilid_listen(struct net *net, const char *place,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err)
{
	struct veilid *v = (struct veilid *)net;

	if (place != NULL && strcmp(place, v->place) != 0)
		return err_set(err, E_USAGE, NULL,
		    "in Veilid's network this is not reached at %s", place);
	if (v->accepted != NULL)
		return err_set(err, E_EXISTS, NULL,
		    "calls over Veilid are taken already");
	v->accepted = accepted;
	v->accept_owner = owner;
	strcpy(actual, v->place);
	return 0;
}

static bool
is_ours(const struct veilid *v, const uint8_t *key)
{
	return v->has_seed && memcmp(key, v->key, KEY_LEN) == 0;
}

static int
begin_to_publish(struct veilid *v, struct err *err)
{
	return vpublish_open(v->node, &v->env, v->seed, &v->publish, err);
}

static void
end_publishing(struct veilid *v)
{
	if (v->publish != NULL)
		vpublish_close(v->publish);
	v->publish = NULL;
	v->announced = v->withdrawing = false;
}

static int
veilid_announce(struct net *net, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct veilid *v = (struct veilid *)net;
	const uint8_t *route;
	size_t len;
	int rc;

	if (!is_ours(v, key))
		return err_set(err, E_USAGE, NULL, "over Veilid only the "
		    "database's own key can be announced");
	if (v->accepted == NULL)
		return err_set(err, E_USAGE, NULL,
		    "who is announced has to take calls");
	if (v->announced)
		return 0;       /* the record stands there for all */
	end_publishing(v);
	rc = begin_to_publish(v, err);
	if (rc < 0)
		return rc;
	v->announced = true;
	v->withdrawn = false;
	route = vnode_route(v->node, &len);
	if (route != NULL)
		vpublish_route(v->publish, route, len);
	vpublish_ready(v->publish, vnode_ready(v->node));
	return 0;
}

static void
have_withdrawn(void *owner, const struct err *why)
{
	struct veilid *v = owner;

	v->withdrawing = false;
	v->withdrawn = why == NULL;
	veilid_soon(v);
}

static void
veilid_withdraw(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct veilid *v = (struct veilid *)net;

	if (!is_ours(v, key) || v->withdrawing)
		return;
	if (v->publish == NULL) {
		/* What an earlier run has left there. */
		if (begin_to_publish(v, NULL) < 0)
			return;
		vpublish_ready(v->publish, vnode_ready(v->node));
	}
	v->announced = v->withdrawn = false;
	v->withdrawing = true;
	vpublish_withdraw(v->publish, have_withdrawn, v);
}

static void
veilid_changed(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct veilid *v = (struct veilid *)net;

	if (v->announced && is_ours(v, key))
		vpublish_changed(v->publish);
}

/* ---- status ---- */

static void
veilid_status(const struct net *net, struct net_status *out)
{
	const struct veilid *v = (const struct veilid *)net;
	const struct vconn *c;
	struct vnode_status node;
	size_t len;

	memset(out, 0, sizeof *out);
	if (v->accepted != NULL)
		strcpy(out->listening[out->nlistening++], v->place);
	out->accepted = veilid_naccepted(v);
	out->unknown = v->unknown.n;
	out->dropped = v->dropped;
	vnode_status(v->node, &node);
	out->veilid.on = true;
	out->veilid.connected = node.connected;
	out->veilid.ready = vnode_ready(v->node);
	out->veilid.routed = vnode_route(v->node, &len) != NULL;
	strcpy(out->veilid.version, node.version);
	strcpy(out->veilid.state, node.state);
	vnode_why(v->node, &out->veilid.why);
	out->veilid.announced = v->announced;
	out->veilid.withdrawn = v->withdrawn;
	if (v->publish != NULL) {
		struct err why = { .code = 0 };

		out->veilid.published_ms = vpublish_when(v->publish, &why);
		if (out->veilid.why.code == 0)
			out->veilid.why = why;
	}
	for (c = v->all.first; c != NULL; c = c->links[VLIST_ALL].next)
		out->veilid.streams += c->owned && !c->over;
}

const struct net_backend net_veilid = {
	.name = "veilid",
	.far = true,
	.knows = veilid_knows,
	.open = veilid_open,
	.close = veilid_close,
	.listen = veilid_listen,
	.resolve = veilid_resolve,
	.resolve_stop = veilid_resolve_stop,
	.connect = veilid_connect,
	.connect_stop = veilid_connect_stop,
	.announce = veilid_announce,
	.withdraw = veilid_withdraw,
	.changed = veilid_changed,
	.status = veilid_status,
};

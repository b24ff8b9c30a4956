// SPDX-License-Identifier: MPL-2.0
#include "net/several.h"

#include <stdlib.h>
#include <string.h>

struct several {
	struct net net;
	size_t n;
	struct net *child[SEVERAL_MAX];
	bool far_listens, far_failed;
	struct err why;                 /* why a far one does not listen */
	size_t open;                    /* children that are closing */
	net_closed_fn *closed;
	void *owner;
};

struct several_resolve {
	size_t n;
	struct {
		const struct net_backend *backend;
		struct net_resolve *resolve;
	} part[SEVERAL_MAX];
};

struct several_connect {
	const struct net_backend *backend;
	struct net_connect *connect;
	net_connected_fn *connected;
	void *owner;
};

static const struct net_backend net_several;

static struct several *
several_of(const struct net *net)
{
	return (struct several *)(uintptr_t)net;
}

struct net *
several_for(struct net *net, const char *place)
{
	const struct several *s = several_of(net);
	struct net *any = NULL;
	size_t i;

	if (net->backend != &net_several)
		return net;
	for (i = 0; i < s->n; i++) {
		if (s->child[i]->backend->knows == NULL)
			any = any == NULL ? s->child[i] : any;
		else if (s->child[i]->backend->knows(place))
			return s->child[i];
	}
	return any;
}

struct net *
several_part(struct net *net, bool far)
{
	const struct several *s = several_of(net);
	size_t i;

	if (net->backend != &net_several)
		return net->backend->far == far ? net : NULL;
	for (i = 0; i < s->n; i++)
		if (s->child[i]->backend->far == far)
			return s->child[i];
	return NULL;
}

/* ---- the end ---- */

static void
child_closed(void *owner)
{
	struct several *s = owner;

	if (--s->open > 0)
		return;
	if (s->closed != NULL)
		s->closed(s->owner);
	free(s);
}

static void
close_all(struct net *net, net_closed_fn *closed, void *owner)
{
	struct several *s = several_of(net);
	struct net *child[SEVERAL_MAX];
	size_t i, n = s->n;

	s->closed = closed;
	s->owner = owner;
	s->open = n;
	memcpy(child, s->child, sizeof child);
	for (i = 0; i < n; i++)
		child[i]->backend->close(child[i], child_closed, s);
}

/* ---- being called ---- */

/* A far one has one place, which is none to choose: where there are near ones, it
 * listens from the first time on, and its failing is no failure of theirs. */
static int
listen_far(struct several *s, struct net *c, bool near,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err)
{
	char elsewhere[PLACE_MAX];
	int rc;

	if (near && s->far_listens)
		return 0;
	rc = c->backend->listen(c, NULL, near ? elsewhere : actual, accepted,
	    owner, near ? &s->why : err);
	s->far_listens = rc == 0;
	s->far_failed = rc != 0 && near;
	return near ? 0 : rc;
}

static int
listen_all(struct net *net, const char *place,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err)
{
	struct several *s = several_of(net);
	bool near = several_part(net, false) != NULL;
	struct net *c;
	size_t i;
	int rc = 0;

	for (i = 0; i < s->n && rc == 0; i++) {
		c = s->child[i];
		if (!c->backend->far)
			rc = c->backend->listen(c, place, actual, accepted,
			    owner, err);
	}
	for (i = 0; i < s->n && rc == 0; i++) {
		c = s->child[i];
		if (c->backend->far)
			rc = listen_far(s, c, near, actual, accepted, owner,
			    err);
	}
	return rc;
}

static int
announce_all(struct net *net, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct several *s = several_of(net);
	bool any = false;
	struct net *c;
	size_t i;
	int rc = 0;

	for (i = 0; i < s->n; i++) {
		c = s->child[i];
		if (c->backend->far && s->far_failed)
			continue;
		rc = c->backend->announce(c, key, err);
		if (rc != 0 && rc != E_NOTFOUND)
			return rc;
		any |= rc == 0;
	}
	return any ? 0 : rc;
}

static void
withdraw_all(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct several *s = several_of(net);
	size_t i;

	for (i = 0; i < s->n; i++)
		s->child[i]->backend->withdraw(s->child[i], key);
}

static void
changed_all(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct several *s = several_of(net);
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->child[i]->backend->changed != NULL)
			s->child[i]->backend->changed(s->child[i], key);
}

/* ---- calling ---- */

static void
resolve_stop_all(struct net_resolve *resolve)
{
	struct several_resolve *r = (struct several_resolve *)(void *)resolve;
	size_t i;

	for (i = 0; i < r->n; i++)
		r->part[i].backend->resolve_stop(r->part[i].resolve);
	free(r);
}

static int
resolve_all(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct several *s = several_of(net);
	struct several_resolve *r = calloc(1, sizeof *r);
	struct net *c;
	size_t i;
	int rc = 0;

	if (r == NULL)
		return err_nomem(err);
	for (i = 0; i < s->n; i++) {
		c = s->child[i];
		rc = c->backend->resolve(c, key, found, owner,
		    &r->part[r->n].resolve, err);
		if (rc == 0)
			r->part[r->n++].backend = c->backend;
		else if (rc != E_NOTFOUND)
			break;
	}
	if (r->n > 0 && (rc == 0 || rc == E_NOTFOUND)) {
		if (err != NULL)
			err_clear(err);
		*out = (struct net_resolve *)(void *)r;
		return 0;
	}
	resolve_stop_all((struct net_resolve *)(void *)r);
	return rc;
}

static void
have_connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct several_connect *c = owner;
	net_connected_fn *connected = c->connected;

	owner = c->owner;
	free(c);
	connected(owner, conn, why);
}

static int
connect_one(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	struct net *child = several_for(net, place);
	struct several_connect *c;
	int rc;

	if (child == NULL)
		return err_set(err, E_USAGE, "ddcp config network.direct on",
		    "no network that is on can call %.80s", place);
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return err_nomem(err);
	c->backend = child->backend;
	c->connected = connected;
	c->owner = owner;
	rc = child->backend->connect(child, place, timeout_ms, have_connected,
	    c, &c->connect, err);
	if (rc != 0)
		free(c);
	else
		*out = (struct net_connect *)(void *)c;
	return rc;
}

static void
connect_stop_one(struct net_connect *connect)
{
	struct several_connect *c = (struct several_connect *)(void *)connect;

	c->backend->connect_stop(c->connect);
	free(c);
}

/* ---- for people ---- */

static void
take_direct(const struct net_status *from, struct net_status *to)
{
	size_t i;

	/* what a far one calls its place is no address of a machine */
	for (i = 0; !from->veilid.on && i < from->nlistening
	    && to->nlistening < NET_LISTEN_MAX; i++)
		memcpy(to->listening[to->nlistening++], from->listening[i],
		    PLACE_MAX);
	to->accepted += from->accepted;
	to->unknown += from->unknown;
	to->dropped += from->dropped;
	if (!from->lan)
		return;
	to->lan = true;
	memcpy(to->ifs, from->ifs, sizeof to->ifs);
	to->nifs = from->nifs;
	to->heard = from->heard;
	to->recognised = from->recognised;
	to->limited = from->limited;
	to->skewed = from->skewed;
	to->skew_min = from->skew_min;
}

static void
status_all(const struct net *net, struct net_status *out)
{
	const struct several *s = several_of(net);
	struct net_status *one = calloc(1, sizeof *one);
	size_t i;

	memset(out, 0, sizeof *out);
	for (i = 0; i < s->n && one != NULL; i++) {
		s->child[i]->backend->status(s->child[i], one);
		take_direct(one, out);
		if (one->veilid.on)
			out->veilid = one->veilid;
	}
	free(one);
	if (s->far_failed && out->veilid.why.code == 0)
		out->veilid.why = s->why;
}

static const struct net_backend net_several = {
	.name = "several",
	.close = close_all,
	.listen = listen_all,
	.resolve = resolve_all,
	.resolve_stop = resolve_stop_all,
	.connect = connect_one,
	.connect_stop = connect_stop_one,
	.announce = announce_all,
	.withdraw = withdraw_all,
	.changed = changed_all,
	.status = status_all,
};

int
several_new(struct net *const *children, size_t n, struct net **out,
    struct err *err)
{
	struct several *s = calloc(1, sizeof *s);

	if (s == NULL)
		return err_nomem(err);
	s->net.backend = &net_several;
	s->n = n;
	memcpy(s->child, children, n * sizeof *children);
	*out = &s->net;
	return 0;
}

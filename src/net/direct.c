// SPDX-License-Identifier: MPL-2.0
/*
 * direct.c - the network "direct": TCP between hosts, LAN discovery to find
 * them.  This file opens and closes it and joins its parts.
 */
#include "net/direct.h"

#include <stdlib.h>
#include <string.h>

static void
reaper_closed(uv_handle_t *handle)
{
	direct_release(handle->data);
}

static void
close_reaper(struct direct *d)
{
	if (!uv_is_closing((uv_handle_t *)&d->reaper))
		uv_close((uv_handle_t *)&d->reaper, reaper_closed);
}

void
direct_release(struct direct *d)
{
	net_closed_fn *closed = d->closed;
	void *owner = d->closed_owner;

	d->handles--;
	if (d->closing && d->lingering.n == 0)
		close_reaper(d);
	if (d->handles > 0)
		return;
	free(d);
	if (closed != NULL)
		closed(owner);
}

static int
direct_open(const struct net_env *env, const struct net_options *opt,
    struct net **out, struct err *err)
{
	static const struct net_options defaults;
	struct direct *d;
	int rc;

	if (opt == NULL)
		opt = &defaults;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return err_nomem(err);
	d->net.backend = &net_direct;
	d->env = *env;
	d->port = opt->port != 0 ? opt->port : NET_PORT;
	if (opt->lan != NET_LAN_OFF) {
		rc = lan_open(&d->env, opt, &d->lan, err);
		if (rc < 0) {
			free(d);
			return rc;
		}
		d->handles++;
	}
	uv_timer_init(env->loop, &d->reaper);
	d->reaper.data = d;
	d->handles++;
	*out = &d->net;
	return 0;
}

static void
destroy_all(struct tcp_list *list)
{
	while (list->first != NULL)
		tcp_destroy(list->first);
}

static void
lan_closed(void *owner)
{
	direct_release(owner);
}

static void
direct_close(struct net *net, net_closed_fn *closed, void *owner)
{
	struct direct *d = (struct direct *)net;
	struct tcp *t, *next;

	d->closing = true;
	d->closed = closed;
	d->closed_owner = owner;
	direct_unlisten(d);
	while (d->connects != NULL)
		direct_connect_stop(d->connects);
	destroy_all(&d->unknown);
	destroy_all(&d->known);
	destroy_all(&d->failed);
	for (t = d->lingering.first; t != NULL; t = next) {
		next = t->next;
		if (uv_stream_get_write_queue_size(
		    (uv_stream_t *)&t->handle) == 0)
			tcp_destroy(t);
	}
	if (d->lingering.n == 0)
		close_reaper(d);
	if (d->lan != NULL)
		lan_close(d->lan, lan_closed, d);
}

static int
no_discovery(struct err *err)
{
	return err_set(err, E_NOTFOUND, "name the place: KEY@HOST:PORT",
	    "discovery on the local network is off");
}

static int
direct_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct direct *d = (struct direct *)net;

	if (d->lan == NULL)
		return no_discovery(err);
	return lan_search(d->lan, key, found, owner, out, err);
}

static int
direct_announce(struct net *net, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct direct *d = (struct direct *)net;
	struct lan_endpoint ends[NET_LISTEN_MAX];
	size_t i;

	if (d->lan == NULL)
		return no_discovery(err);
	for (i = 0; i < d->nlisteners; i++) {
		ends[i].addr = d->listeners[i]->addr;
		ends[i].dual = d->listeners[i]->dual;
	}
	return lan_announce(d->lan, key, ends, d->nlisteners, err);
}

static void
direct_withdraw(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct direct *d = (struct direct *)net;

	if (d->lan != NULL)
		lan_withdraw(d->lan, key);
}

static void
direct_status(const struct net *net, struct net_status *out)
{
	const struct direct *d = (const struct direct *)net;
	const struct tcp *t;
	size_t i;

	memset(out, 0, sizeof *out);
	for (i = 0; i < d->nlisteners; i++)
		strcpy(out->listening[i], d->listeners[i]->place);
	out->nlistening = d->nlisteners;
	out->unknown = d->unknown.n;
	out->accepted = d->unknown.n;
	for (t = d->known.first; t != NULL; t = t->next)
		out->accepted += t->accepted;
	out->dropped = d->dropped;
	if (d->lan != NULL)
		lan_status(d->lan, out);
}

const struct net_backend net_direct = {
	.name = "direct",
	.open = direct_open,
	.close = direct_close,
	.listen = direct_listen,
	.resolve = direct_resolve,
	.resolve_stop = lan_search_stop,
	.connect = direct_connect,
	.connect_stop = direct_connect_stop,
	.announce = direct_announce,
	.withdraw = direct_withdraw,
	.status = direct_status,
};

// SPDX-License-Identifier: MPL-2.0
/*
 * listen.c - accepts connections, and keeps the limits on those whose other
 * end is not known yet (R29).
 *
 * A new connection is always let in, at the cost of the oldest unknown one:
 * first of the same IPv4 address or IPv6 /64, if that one has its share, then
 * of all.  An honest caller needs a few milliseconds to become known, so
 * idle connections, however many, don't keep it out.
 */
#include "net/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/place.h"

enum { AGAIN_MS = 1000 };

/* What counts as one address: an IPv4 address, or the first half of IPv6. */
static void
count_as(const struct sockaddr_storage *addr, uint8_t ip[static 8])
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	memset(ip, 0, 8);
	if (addr->ss_family == AF_INET)
		memcpy(ip + 4, &in->sin_addr, 4);
	else if (addr->ss_family != AF_INET6)
		return;
	else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		memcpy(ip + 4, in6->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(ip, in6->sin6_addr.s6_addr, 8);
}

static struct tcp *
oldest_of(const struct tcp_list *list, const uint8_t ip[static 8], size_t *n)
{
	struct tcp *t, *oldest = NULL;

	*n = 0;
	for (t = list->first; t != NULL; t = t->next) {
		if (memcmp(t->ip, ip, 8) != 0)
			continue;
		if (oldest == NULL)
			oldest = t;
		++*n;
	}
	return oldest;
}

static void
drop(struct tcp *t, const char *reason)
{
	struct err why;

	err_set(&why, E_REFUSED, NULL, "the connection from %s was dropped: %s",
	    t->place, reason);
	t->direct->dropped++;
	tcp_fail(t, &why);
}

static size_t
accepted_now(const struct direct *d)
{
	const struct tcp *t;
	size_t n = d->unknown.n;

	for (t = d->known.first; t != NULL; t = t->next)
		n += t->accepted;
	return n;
}

/* Makes room for one more from ip; false if there is none. */
static bool
make_room(struct direct *d, const uint8_t ip[static 8])
{
	struct tcp *t;
	size_t n;

	t = oldest_of(&d->unknown, ip, &n);
	if (n >= NET_UNKNOWN_PER_IP)
		drop(t, "too many from there did not say who they are");
	else if (d->unknown.n >= NET_UNKNOWN_MAX)
		drop(d->unknown.first, "too many did not say who they are");
	if (accepted_now(d) < NET_ACCEPTED_MAX)
		return true;
	if (d->unknown.first == NULL)
		return false;
	drop(d->unknown.first, "too many connections");
	return true;
}

/* libuv says nothing more of a connection, or of any behind it, until it is
 * accepted. */
static void
accept_again(struct listener *l)
{
	struct direct *d = l->direct;

	l->again = uv_now(d->env.loop) + AGAIN_MS;
	direct_arm_reaper(d);
}

static void
have_connection(uv_stream_t *server, int status)
{
	struct listener *l = server->data;
	struct direct *d = l->direct;
	struct sockaddr_storage addr = { 0 };
	int len = sizeof addr;
	struct tcp *t;

	if (status < 0 || d->closing)
		return;
	t = tcp_new(d, NULL);
	if (t == NULL) {
		accept_again(l);
		return;
	}
	t->accepted = true;
	if (uv_accept(server, (uv_stream_t *)&t->handle) < 0
	    || uv_tcp_getpeername(&t->handle, (struct sockaddr *)&addr,
	    &len) < 0)
		goto refuse;
	tcp_ready(t);
	count_as(&addr, t->ip);
	if (!make_room(d, t->ip)) {
		d->dropped++;
		goto refuse;
	}
	if (d->closing)
		goto refuse;
	tcp_move(t, &d->unknown);
	direct_arm_reaper(d);
	l->accepted(l->owner, &t->conn);
	if (!d->closing && t->list == &d->unknown && t->conn.events == NULL)
		goto refuse;
	return;
refuse:
	tcp_destroy(t);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
direct_arm_reaper(struct direct *d)
{
	uint64_t now = uv_now(d->env.loop), due = UINT64_MAX;
	size_t i;

	for (i = 0; i < d->nlisteners; i++)
		if (d->listeners[i]->again != 0)
			due = earlier(due, d->listeners[i]->again);
	if (d->unknown.first != NULL)
		due = earlier(due, d->unknown.first->since + NET_UNKNOWN_MS);
	if (d->lingering.first != NULL)
		due = earlier(due, d->lingering.first->since + NET_LINGER_MS);
	if (due == UINT64_MAX)
		uv_timer_stop(&d->reaper);
	else
		uv_timer_start(&d->reaper, direct_reap,
		    due > now ? due - now : 0, 0);
}

static void
accept_what_waits(struct direct *d, uint64_t now)
{
	struct listener *l;
	size_t i;

	for (i = 0; i < d->nlisteners && !d->closing; i++) {
		l = d->listeners[i];
		if (l->again == 0 || l->again > now)
			continue;
		l->again = 0;
		have_connection((uv_stream_t *)&l->handle, 0);
	}
}

void
direct_reap(uv_timer_t *timer)
{
	struct direct *d = timer->data;
	uint64_t now = uv_now(d->env.loop);

	accept_what_waits(d, now);
	while (d->lingering.first != NULL
	    && now - d->lingering.first->since >= NET_LINGER_MS)
		tcp_destroy(d->lingering.first);
	while (d->unknown.first != NULL
	    && now - d->unknown.first->since >= NET_UNKNOWN_MS)
		drop(d->unknown.first, "it did not say in time who it is");
	direct_arm_reaper(d);
}

/* ---- listening ---- */

static void
listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct direct *d = l->direct;

	free(l);
	direct_release(d);
}

/* Listens on addr; 0 or a libuv error.  dual: IPv4 too on an IPv6 socket. */
static int
listen_at(struct direct *d, const struct sockaddr *addr, bool dual,
    net_accept_fn *accepted, void *owner)
{
	struct listener *l;
	int rc, len = sizeof l->addr;

	if (d->nlisteners == NET_LISTEN_MAX)
		return UV_EMFILE;
	l = calloc(1, sizeof *l);
	if (l == NULL)
		return UV_ENOMEM;
	l->direct = d;
	l->accepted = accepted;
	l->owner = owner;
	uv_tcp_init(d->env.loop, &l->handle);
	l->handle.data = l;
	d->handles++;
	rc = uv_tcp_bind(&l->handle, addr,
	    addr->sa_family == AF_INET6 && !dual ? UV_TCP_IPV6ONLY : 0);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&l->handle, 128,
		    have_connection);
	if (rc == 0)
		rc = uv_tcp_getsockname(&l->handle,
		    (struct sockaddr *)&l->addr, &len);
	if (rc < 0) {
		uv_close((uv_handle_t *)&l->handle, listener_closed);
		return rc;
	}
	place_format((struct sockaddr *)&l->addr, l->place);
	l->dual = dual;
	d->listeners[d->nlisteners++] = l;
	return 0;
}

static int
cannot_listen(const char *place, int rc, struct err *err)
{
	if (rc == UV_EADDRINUSE)
		return err_set(err, E_EXISTS,
		    "name another port, or none to get the next free one",
		    "%s is taken by another program", place);
	if (rc == UV_EACCES)
		return err_set(err, E_REFUSED,
		    "ports below 1024 are for the system administrator",
		    "no permission to listen on %s", place);
	if (rc == UV_EADDRNOTAVAIL)
		return err_set(err, E_NOTFOUND,
		    "name an address of this machine, or [::] for all",
		    "cannot listen on %s: this machine has no such address",
		    place);
	return err_set(err, E_FATAL, NULL, "cannot listen on %s: %s", place,
	    uv_strerror(rc));
}

/* All addresses, IPv4 and IPv6 on one socket where there is IPv6. */
static int
listen_everywhere(struct direct *d, net_accept_fn *accepted, void *owner,
    struct err *err)
{
	struct sockaddr_in6 any6;
	struct sockaddr_in any4;
	char place[PLACE_MAX];
	unsigned port = d->port;
	int rc, i;

	for (i = 0; i < NET_PORT_TRIES && port <= 65535; i++, port++) {
		uv_ip6_addr("::", (int)port, &any6);
		rc = listen_at(d, (struct sockaddr *)&any6, true, accepted,
		    owner);
		if (rc < 0 && rc != UV_EADDRINUSE) {
			uv_ip4_addr("0.0.0.0", (int)port, &any4);
			rc = listen_at(d, (struct sockaddr *)&any4, false,
			    accepted, owner);
		}
		if (rc == 0)
			return 0;
		if (rc != UV_EADDRINUSE)
			break;
	}
	if (rc == UV_EADDRINUSE)
		return err_set(err, E_EXISTS, "name one with --listen HOST:PORT",
		    "ports %u to %u are all taken", d->port, port - 1);
	snprintf(place, sizeof place, "port %u", port);
	return cannot_listen(place, rc, err);
}

/* Every address of a name, passing over those that this machine lacks. */
static int
listen_by_name(struct direct *d, const char *place, const char *host,
    uint16_t port, net_accept_fn *accepted, void *owner, struct err *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const struct addrinfo *ai;
	uv_getaddrinfo_t req;
	char service[8];
	size_t n = 0;
	int rc;

	snprintf(service, sizeof service, "%u", port);
	rc = uv_getaddrinfo(d->env.loop, &req, NULL, host, service, &hints);
	if (rc < 0)
		return err_set(err, E_NOTFOUND,
		    "name an address of this machine, or [::] for all",
		    "cannot listen on %s: no host of that name (%s)", place,
		    uv_strerror(rc));
	for (ai = req.addrinfo; ai != NULL; ai = ai->ai_next) {
		rc = listen_at(d, ai->ai_addr, false, accepted, owner);
		if (rc == 0)
			n++;
		else if (rc != UV_EADDRNOTAVAIL && rc != UV_EAFNOSUPPORT)
			break;
	}
	uv_freeaddrinfo(req.addrinfo);
	if (n > 0 && (rc == 0 || ai == NULL))
		return 0;
	while (n-- > 0)
		uv_close((uv_handle_t *)
		    &d->listeners[--d->nlisteners]->handle, listener_closed);
	return cannot_listen(place, rc, err);
}

int
direct_listen(struct net *net, const char *place,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err)
{
	struct direct *d = (struct direct *)net;
	struct sockaddr_storage addr;
	size_t before = d->nlisteners;
	char host[256];
	uint16_t port;
	int rc;

	if (place == NULL) {
		rc = listen_everywhere(d, accepted, owner, err);
	} else {
		rc = addr_split_place(place, host, &port, err);
		if (rc < 0)
			return rc;
		if (place_numeric(host, port, &addr) < 0) {
			rc = listen_by_name(d, place, host, port, accepted,
			    owner, err);
		} else {
			rc = listen_at(d, (struct sockaddr *)&addr, false,
			    accepted, owner);
			if (rc < 0)
				rc = cannot_listen(place, rc, err);
		}
	}
	if (rc == 0)
		strcpy(actual, d->listeners[before]->place);
	return rc;
}

void
direct_unlisten(struct direct *d)
{
	while (d->nlisteners > 0)
		uv_close((uv_handle_t *)
		    &d->listeners[--d->nlisteners]->handle, listener_closed);
}

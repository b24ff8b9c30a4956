// SPDX-License-Identifier: MPL-2.0
/*
 * connect.c - connects to one HOST:PORT.  Which places to try for a key is
 * dial.c's business.
 *
 * A name may have several addresses, some of which do not work from here.
 * They are tried IPv6 and IPv4 in turn, the next one when the last has failed
 * or has been silent for a moment; the first that answers is taken.
 */
#include "net/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/place.h"

struct net_connect {
	struct direct *direct;
	struct net_connect *prev, *next;
	char place[PLACE_MAX];
	uint32_t timeout_ms;
	uint64_t deadline;
	uv_getaddrinfo_t lookup;
	uv_timer_t timer;               /* next address, or the deadline */
	struct sockaddr_storage addrs[NET_ADDRS_MAX];
	size_t naddrs, tried;
	struct tcp *tries[NET_ADDRS_MAX]; /* NULL after it failed */
	size_t trying;
	int status;                     /* of the last that failed */
	bool stopped;
	size_t handles;                 /* lookup and timer */
	net_connected_fn *connected;
	void *owner;
};

static void
release(struct net_connect *c)
{
	struct direct *d = c->direct;

	if (--c->handles == 0)
		free(c);
	direct_release(d);
}

static void
timer_closed(uv_handle_t *handle)
{
	release(handle->data);
}

/* Ends all that goes on; c itself goes with its last handle. */
static void
end(struct net_connect *c)
{
	size_t i;

	c->stopped = true;
	for (i = 0; i < c->tried; i++)
		if (c->tries[i] != NULL)
			tcp_destroy(c->tries[i]);
	c->trying = c->tried = 0;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->direct->connects = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	uv_cancel((uv_req_t *)&c->lookup);
	uv_close((uv_handle_t *)&c->timer, timer_closed);
}

void
direct_connect_stop(struct net_connect *c)
{
	end(c);
}

static void
finish(struct net_connect *c, struct tcp *t, const struct err *why)
{
	net_connected_fn *connected = c->connected;
	void *owner = c->owner;

	end(c);
	connected(owner, t != NULL ? &t->conn : NULL, why);
}

static void
give_up(struct net_connect *c)
{
	struct err why;

	err_set(&why, E_UNREACHABLE, NULL, "cannot connect to %s: %s",
	    c->place, uv_strerror(c->status));
	finish(c, NULL, &why);
}

static void
time_out(struct net_connect *c)
{
	struct err why;

	err_set(&why, E_UNREACHABLE, NULL, "no answer from %s within %.3g s",
	    c->place, c->timeout_ms / 1000.0);
	finish(c, NULL, &why);
}

static void go_on(struct net_connect *c);

static void
have_connected(uv_connect_t *req, int status)
{
	struct tcp *t = req->handle->data;
	struct net_connect *c = req->data;
	struct err none = { .code = 0 };
	size_t i;

	/* Given up meanwhile: c may be gone, and is not to be looked at. */
	if (t->closing)
		return;
	for (i = 0; c->tries[i] != t; i++)
		;
	c->tries[i] = NULL;
	c->trying--;
	if (status < 0) {
		c->status = status;
		tcp_destroy(t);
		go_on(c);
		return;
	}
	tcp_ready(t);
	t->marked = true;
	tcp_move(t, &t->direct->known);
	finish(c, t, &none);
}

/* Starts with one address; 0 or a libuv error. */
static int
try_address(struct net_connect *c, const struct sockaddr *addr)
{
	struct tcp *t = tcp_new(c->direct, NULL);
	int rc;

	if (t == NULL)
		return UV_ENOMEM;
	t->connecting.data = c;
	rc = uv_tcp_connect(&t->connecting, &t->handle, addr, have_connected);
	if (rc < 0) {
		tcp_destroy(t);
		return rc;
	}
	c->tries[c->tried++] = t;
	c->trying++;
	return 0;
}

static void
timer_fired(uv_timer_t *timer)
{
	struct net_connect *c = timer->data;

	if (uv_now(c->direct->env.loop) >= c->deadline)
		time_out(c);
	else
		go_on(c);
}

/* Takes address i out of the list. */
static void
forget_address(struct net_connect *c, size_t i)
{
	c->naddrs--;
	memmove(&c->addrs[i], &c->addrs[i + 1],
	    (c->naddrs - i) * sizeof *c->addrs);
}

/* Tries the next address, and sets the timer to what comes then. */
static void
go_on(struct net_connect *c)
{
	uint64_t now = uv_now(c->direct->env.loop), wait;
	int rc;

	while (c->tried < c->naddrs) {
		rc = try_address(c, (struct sockaddr *)&c->addrs[c->tried]);
		if (rc == 0)
			break;
		c->status = rc;
		forget_address(c, c->tried);
	}
	if (c->trying == 0) {
		give_up(c);
		return;
	}
	wait = c->deadline > now ? c->deadline - now : 0;
	if (c->tried < c->naddrs && wait > NET_ADDR_STAGGER_MS)
		wait = NET_ADDR_STAGGER_MS;
	uv_timer_start(&c->timer, timer_fired, wait, 0);
}

/* Takes the addresses found, the two families in turn. */
static void
take_addresses(struct net_connect *c, const struct addrinfo *found)
{
	const struct addrinfo *a = found, *b = found;
	int family = found != NULL ? found->ai_family : AF_INET6;

	while (c->naddrs < NET_ADDRS_MAX && (a != NULL || b != NULL)) {
		while (a != NULL && a->ai_family != family)
			a = a->ai_next;
		while (b != NULL && b->ai_family == family)
			b = b->ai_next;
		if (a != NULL) {
			memcpy(&c->addrs[c->naddrs++], a->ai_addr,
			    a->ai_addrlen);
			a = a->ai_next;
		}
		if (b != NULL && c->naddrs < NET_ADDRS_MAX) {
			memcpy(&c->addrs[c->naddrs++], b->ai_addr,
			    b->ai_addrlen);
			b = b->ai_next;
		}
	}
}

static void
have_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct net_connect *c = req->data;

	if (!c->stopped) {
		c->status = status < 0 ? status : UV_EAI_NODATA;
		if (status == 0)
			take_addresses(c, found);
		go_on(c);
	}
	uv_freeaddrinfo(found);
	release(c);
}

static int
look_up(struct net_connect *c, const char *host, uint16_t port,
    struct err *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	char service[8];
	int rc;

	snprintf(service, sizeof service, "%u", port);
	c->lookup.data = c;
	rc = uv_getaddrinfo(c->direct->env.loop, &c->lookup, have_looked_up,
	    host, service, &hints);
	if (rc < 0)
		return err_set(err, E_UNREACHABLE, NULL,
		    "cannot look up %s: %s", c->place, uv_strerror(rc));
	c->handles++;
	c->direct->handles++;
	return 0;
}

int
direct_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	struct direct *d = (struct direct *)net;
	struct net_connect *c;
	char host[256];
	uint16_t port;
	uint64_t wait = timeout_ms;
	int rc;

	rc = addr_split_place(place, host, &port, err);
	if (rc < 0)
		return rc;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return err_nomem(err);
	c->direct = d;
	snprintf(c->place, sizeof c->place, "%s", place);
	c->timeout_ms = timeout_ms;
	/* The loop's idea of time is old after a long callback. */
	uv_update_time(d->env.loop);
	c->deadline = uv_now(d->env.loop) + timeout_ms;
	c->connected = connected;
	c->owner = owner;
	c->next = d->connects;
	if (c->next != NULL)
		c->next->prev = c;
	d->connects = c;
	uv_timer_init(d->env.loop, &c->timer);
	c->timer.data = c;
	c->handles++;
	d->handles++;
	if (place_numeric(host, port, &c->addrs[0]) == 0) {
		/* The first address is tried from the loop, as all others
		 * are: no callback may come from in here. */
		c->naddrs = 1;
		wait = 0;
	} else {
		rc = look_up(c, host, port, err);
		if (rc < 0) {
			end(c);
			return rc;
		}
	}
	uv_timer_start(&c->timer, timer_fired, wait, 0);
	*out = c;
	return 0;
}

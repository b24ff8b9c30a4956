// SPDX-License-Identifier: MPL-2.0
#include "net/lan_links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "net/lan_sock.h"

enum {
	PACKET_MAX = 512,       /* all that is longer is nothing of ours */
	BATCH = 64              /* packets read before others get a turn */
};

/* A socket on the loop. */
struct ear {
	uv_poll_t poll;
	struct lan_links *links;
	int fd;
	size_t link;
	bool receiver;
};

struct link {
	struct lan_if at;
	struct ear *ear;        /* NULL if the link is not used */
	bool joined;
	char why[80];
};

struct lan_links {
	uv_loop_t *loop;
	enum net_lan mode;
	const char *only;
	uint16_t port;
	const struct lan_links_events *events;
	void *owner;
	struct link links[NET_LAN_IFS_MAX];
	size_t n;
	struct ear *receivers[2], *watch;
	size_t handles;
	bool closing;
	net_closed_fn *closed;
	void *closed_owner;
};

static void
free_if_done(struct lan_links *l)
{
	if (!l->closing || l->handles > 0)
		return;
	if (l->closed != NULL)
		l->closed(l->closed_owner);
	free(l);
}

static void
ear_closed(uv_handle_t *handle)
{
	struct ear *e = handle->data;
	struct lan_links *l = e->links;

	close(e->fd);
	free(e);
	l->handles--;
	free_if_done(l);
}

static void
drop_ear(struct ear **e)
{
	if (*e != NULL)
		uv_close((uv_handle_t *)&(*e)->poll, ear_closed);
	*e = NULL;
}

/* Puts fd, which is taken also on failure, on the loop. */
static struct ear *
add_ear(struct lan_links *l, int fd, uv_poll_cb ready)
{
	struct ear *e = calloc(1, sizeof *e);

	if (e == NULL || uv_poll_init(l->loop, &e->poll, fd) < 0) {
		free(e);
		close(fd);
		return NULL;
	}
	e->links = l;
	e->fd = fd;
	e->poll.data = e;
	l->handles++;
	uv_poll_start(&e->poll, UV_READABLE, ready);
	return e;
}

/* The link a packet belongs to: of the interface it came in by, best the one
 * whose network its sender is on. */
static bool
find_link(const struct lan_links *l, unsigned index,
    const struct sockaddr *from, size_t *out)
{
	const struct link *at;
	bool found = false;
	size_t i;

	for (i = 0; i < l->n; i++) {
		at = &l->links[i];
		if (at->ear == NULL || at->at.index != index
		    || at->at.addr.ss_family != from->sa_family)
			continue;
		if (lan_if_covers(&at->at, from)) {
			*out = i;
			return true;
		}
		if (!found)
			*out = i;
		found = true;
	}
	return found;
}

static void
ear_ready(uv_poll_t *poll, int status, int events)
{
	struct ear *e = poll->data;
	struct lan_links *l = e->links;
	struct sockaddr_storage from;
	uint8_t bytes[PACKET_MAX];
	unsigned index;
	size_t link;
	ssize_t n;
	int i;

	for (i = 0; i < BATCH && !uv_is_closing((uv_handle_t *)poll); i++) {
		n = lan_sock_receive(e->fd, bytes, sizeof bytes, &from,
		    &index);
		if (n == -EAGAIN || n == -EINTR)
			return;
		/* Others are late news of what was sent before. */
		if (n < 0)
			continue;
		link = e->link;
		if (e->receiver && !find_link(l, index,
		    (struct sockaddr *)&from, &link))
			continue;
		l->events->on_packet(l->owner, link, bytes, (size_t)n,
		    (struct sockaddr *)&from);
	}
}

static void
watch_ready(uv_poll_t *poll, int status, int events)
{
	struct ear *e = poll->data;

	if (lan_if_watch_read(e->fd))
		e->links->events->on_change(e->links->owner);
}

static void
fail_link(struct link *at, const char *what, int rc)
{
	snprintf(at->why, sizeof at->why, "%s: %s", what, strerror(-rc));
}

/* Opens one link: a sender of its own, and its place in the receiver. */
static void
open_link(struct lan_links *l, size_t i)
{
	struct link *at = &l->links[i];
	struct ear *receiver =
	    l->receivers[at->at.addr.ss_family == AF_INET6];
	int rc, fd;

	if (at->at.why_not != NULL) {
		snprintf(at->why, sizeof at->why, "%s", at->at.why_not);
		return;
	}
	rc = lan_sock_sender(&at->at, &fd);
	if (rc < 0) {
		fail_link(at, "cannot send", rc);
		return;
	}
	at->ear = add_ear(l, fd, ear_ready);
	if (at->ear == NULL) {
		fail_link(at, "cannot send", -ENOMEM);
		return;
	}
	at->ear->link = i;
	if (receiver == NULL) {
		snprintf(at->why, sizeof at->why,
		    "cannot listen on UDP port %u", l->port);
		return;
	}
	rc = lan_sock_join(receiver->fd, &at->at);
	at->joined = rc == 0;
	if (rc < 0)
		fail_link(at, "cannot join the group", rc);
}

static void
close_all(struct lan_links *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		drop_ear(&l->links[i].ear);
	drop_ear(&l->receivers[0]);
	drop_ear(&l->receivers[1]);
	l->n = 0;
}

static void
open_all(struct lan_links *l, const struct lan_if *ifs, size_t n)
{
	static const int families[2] = { AF_INET, AF_INET6 };
	size_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		if (lan_sock_receiver(families[i], l->port, &fd) < 0)
			continue;
		l->receivers[i] = add_ear(l, fd, ear_ready);
		if (l->receivers[i] != NULL)
			l->receivers[i]->receiver = true;
	}
	memset(l->links, 0, sizeof l->links);
	for (i = 0; i < n; i++)
		l->links[i].at = ifs[i];
	l->n = n;
	for (i = 0; i < n; i++)
		open_link(l, i);
}

/* A link that did not work may work now: an IPv6 address cannot be used in
 * its first second.  True if one does. */
static bool
retry_links(struct lan_links *l)
{
	bool one = false;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->links[i].ear != NULL || l->links[i].at.why_not != NULL)
			continue;
		l->links[i].why[0] = '\0';
		open_link(l, i);
		one |= l->links[i].ear != NULL;
	}
	return one;
}

bool
lan_links_refresh(struct lan_links *l)
{
	struct lan_if now[NET_LAN_IFS_MAX];
	bool same;
	size_t n, i;

	if (lan_if_list(l->mode, l->only, now, &n) < 0)
		return false;
	same = n == l->n && (l->receivers[0] != NULL
	    || l->receivers[1] != NULL);
	for (i = 0; same && i < n; i++)
		same = lan_if_equal(&now[i], &l->links[i].at);
	if (same)
		return retry_links(l);
	close_all(l);
	open_all(l, now, n);
	return true;
}

int
lan_links_open(struct uv_loop_s *loop, enum net_lan mode,
    const char *only, uint16_t port, const struct lan_links_events *events,
    void *owner, struct lan_links **out, struct err *err)
{
	struct lan_links *l = calloc(1, sizeof *l);
	int fd;

	if (l == NULL)
		return err_nomem(err);
	l->loop = loop;
	l->mode = mode;
	l->only = only;
	l->port = port;
	l->events = events;
	l->owner = owner;
	fd = lan_if_watch();
	if (fd >= 0)
		l->watch = add_ear(l, fd, watch_ready);
	lan_links_refresh(l);
	*out = l;
	return 0;
}

void
lan_links_close(struct lan_links *l, net_closed_fn *closed, void *owner)
{
	l->closing = true;
	l->closed = closed;
	l->closed_owner = owner;
	close_all(l);
	drop_ear(&l->watch);
	free_if_done(l);
}

size_t
lan_links_count(const struct lan_links *l)
{
	return l->n;
}

const struct sockaddr *
lan_links_address(const struct lan_links *l, size_t link)
{
	if (link >= l->n || l->links[link].ear == NULL)
		return NULL;
	return (const struct sockaddr *)&l->links[link].at.addr;
}

void
lan_links_shout(struct lan_links *l, size_t link, bool broadcast,
    const uint8_t *bytes, size_t len)
{
	struct link *at = &l->links[link];
	int rc;

	if (link >= l->n || at->ear == NULL)
		return;
	rc = lan_sock_multicast(at->ear->fd, &at->at, l->port, bytes, len);
	if (rc < 0)
		fail_link(at, at->at.addr.ss_family == AF_INET6
		    ? "cannot send to the group" : "broadcast only", rc);
	else if (at->joined)
		at->why[0] = '\0';
	if (broadcast || rc < 0 || !at->joined)
		lan_sock_broadcast(at->ear->fd, &at->at, l->port, bytes, len);
}

void
lan_links_answer(struct lan_links *l, size_t link,
    const struct sockaddr *to, const uint8_t *bytes, size_t len)
{
	if (link < l->n && l->links[link].ear != NULL)
		lan_sock_send(l->links[link].ear->fd, to, bytes, len);
}

void
lan_links_status(const struct lan_links *l, struct net_status *out)
{
	struct net_status_if *to;
	size_t i;

	for (i = 0; i < l->n; i++) {
		to = &out->ifs[i];
		snprintf(to->name, sizeof to->name, "%s",
		    l->links[i].at.name);
		uv_ip_name((const struct sockaddr *)&l->links[i].at.addr,
		    to->address, sizeof to->address);
		to->joined = l->links[i].joined && l->links[i].why[0] == '\0';
		snprintf(to->why, sizeof to->why, "%s", l->links[i].why);
	}
	out->nifs = l->n;
}

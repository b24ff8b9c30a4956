// SPDX-License-Identifier: MPL-2.0
/*
 * lan.c - who is announced, who is searched, and when what is said.  What is
 * done with packets that come in is in lan_hear.c, their bytes are in
 * lan_packet.c, interfaces and sockets in lan_links.c.
 *
 * An announcer speaks when it starts, when addresses change, and once in a
 * minute; a searcher asks at once, a few times more in the next seconds, and
 * then once in a minute.  All else is answers, so an idle node sleeps.
 */
#include "net/lan_state.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

enum {
	SETTLE_MS = 200,        /* address changes come in groups */
	NEVER_ASKED = 0
};

/* After its first query, a search asks again so much later each time. */
static const uint32_t again_ms[] = { 250, 750, 2000, NET_LAN_TICK_MS };

static uint64_t
now(const struct lan *lan)
{
	return uv_now(lan->env.loop);
}

uint64_t
lan_minute(const struct lan *lan)
{
	return lan->env.now_ms(lan->env.self) / 60000;
}

/* ---- saying ---- */

uint16_t
lan_port_by_link(const struct announced *a, const struct sockaddr *link)
{
	const struct sockaddr_in6 *link6 = (const void *)link, *end6;
	const struct sockaddr_in *link4 = (const void *)link, *end4;
	size_t i;

	for (i = 0; i < a->nends; i++) {
		end4 = (const void *)&a->ends[i].addr;
		end6 = (const void *)&a->ends[i].addr;
		if (end6->sin6_family == AF_INET6
		    && IN6_IS_ADDR_UNSPECIFIED(&end6->sin6_addr)
		    && (link->sa_family == AF_INET6 || a->ends[i].dual))
			return ntohs(end6->sin6_port);
		if (end4->sin_family != link->sa_family)
			continue;
		if (link->sa_family == AF_INET
		    && (end4->sin_addr.s_addr == INADDR_ANY
		    || end4->sin_addr.s_addr == link4->sin_addr.s_addr))
			return ntohs(end4->sin_port);
		if (link->sa_family == AF_INET6
		    && IN6_ARE_ADDR_EQUAL(&end6->sin6_addr,
		    &link6->sin6_addr))
			return ntohs(end6->sin6_port);
	}
	return 0;
}

bool
lan_make(struct lan *lan, enum lan_kind kind, const struct lan_secret *secret,
    uint16_t port, uint8_t out[static LAN_PACKET_LEN])
{
	uint8_t nonce[LAN_NONCE_LEN];

	return lan->env.random(lan->env.self, nonce, sizeof nonce) == 0
	    && lan_packet_encode(kind, secret, lan_minute(lan), nonce, port, out,
	    NULL) == 0;
}

static void
say(struct lan *lan, const struct announced *a)
{
	uint8_t packet[LAN_PACKET_LEN];
	const struct sockaddr *addr;
	uint16_t port;
	size_t i;

	for (i = 0; i < lan_links_count(lan->links); i++) {
		addr = lan_links_address(lan->links, i);
		port = addr != NULL ? lan_port_by_link(a, addr) : 0;
		if (port != 0
		    && lan_make(lan, LAN_ANNOUNCE, &a->secret, port, packet))
			lan_links_shout(lan->links, i, false, packet,
			    sizeof packet);
	}
}

static void
ask(struct lan *lan, struct net_resolve *s)
{
	size_t last = sizeof again_ms / sizeof *again_ms - 1;
	uint8_t packet[LAN_PACKET_LEN];
	size_t i;

	for (i = 0; i < lan_links_count(lan->links); i++)
		if (lan_links_address(lan->links, i) != NULL
		    && lan_make(lan, LAN_QUERY, &s->secret, 0, packet))
			/* The group is tried first: fewer machines wake. */
			lan_links_shout(lan->links, i,
			    s->asked != NEVER_ASKED, packet, sizeof packet);
	s->due = now(lan) + again_ms[s->asked < last ? s->asked : last];
	s->asked++;
}

static void
say_all(struct lan *lan)
{
	size_t i;

	for (i = 0; i < NET_LAN_KEYS_MAX; i++)
		if (lan->keys[i] != NULL)
			say(lan, lan->keys[i]);
}

/* Looks for new addresses, and begins anew if there are any. */
static void
refresh(struct lan *lan)
{
	size_t i;

	if (!lan_links_refresh(lan->links))
		return;
	say_all(lan);
	for (i = 0; i < NET_LAN_SEARCHES_MAX; i++)
		if (lan->searches[i] != NULL) {
			lan->searches[i]->asked = NEVER_ASKED;
			lan->searches[i]->due = now(lan);
		}
}

/* ---- timing ---- */

static void timer_fired(uv_timer_t *timer);

static void
arm(struct lan *lan)
{
	uint64_t due = lan->tick_due, t = now(lan);
	bool busy = false;
	size_t i;

	for (i = 0; i < NET_LAN_KEYS_MAX; i++)
		busy |= lan->keys[i] != NULL;
	for (i = 0; i < NET_LAN_SEARCHES_MAX; i++) {
		if (lan->searches[i] == NULL)
			continue;
		busy = true;
		if (lan->searches[i]->due < due)
			due = lan->searches[i]->due;
	}
	if (lan->change_due != 0 && lan->change_due < due)
		due = lan->change_due;
	if (busy)
		uv_timer_start(&lan->timer, timer_fired,
		    due > t ? due - t : 0, 0);
	else
		uv_timer_stop(&lan->timer);
}

static void
timer_fired(uv_timer_t *timer)
{
	struct lan *lan = timer->data;
	uint64_t t = now(lan);
	size_t i;

	if (lan->change_due != 0 && lan->change_due <= t) {
		lan->change_due = 0;
		refresh(lan);
	}
	if (lan->tick_due <= t) {
		lan->tick_due = t + NET_LAN_TICK_MS;
		refresh(lan);
		say_all(lan);
	}
	for (i = 0; i < NET_LAN_SEARCHES_MAX; i++)
		if (lan->searches[i] != NULL && lan->searches[i]->due <= t)
			ask(lan, lan->searches[i]);
	arm(lan);
}

static void
on_change(void *owner)
{
	struct lan *lan = owner;

	if (lan->change_due == 0)
		lan->change_due = now(lan) + SETTLE_MS;
	arm(lan);
}

/* ---- the interface ---- */

int
lan_open(const struct net_env *env, const struct net_options *opt,
    struct lan **out, struct err *err)
{
	struct lan *lan;

	if (opt->lan_only != NULL && strlen(opt->lan_only) >= sizeof lan->only)
		return err_set(err, E_USAGE, NULL,
		    "no interface has a name as long as '%.40s'",
		    opt->lan_only);
	lan = calloc(1, sizeof *lan);
	if (lan == NULL)
		return err_nomem(err);
	lan->env = *env;
	lan->mode = opt->lan;
	lan->port = opt->lan_port != 0 ? opt->lan_port : NET_LAN_PORT;
	if (opt->lan_only != NULL)
		strcpy(lan->only, opt->lan_only);
	if (env->random(env->self, lan->seed, sizeof lan->seed) != 0) {
		free(lan);
		return err_set(err, E_FATAL, NULL, "no randomness");
	}
	uv_timer_init(env->loop, &lan->timer);
	lan->timer.data = lan;
	*out = lan;
	return 0;
}

static int
open_links(struct lan *lan, struct err *err)
{
	static const struct lan_links_events events = {
		.on_packet = lan_hear,
		.on_change = on_change,
	};

	uv_update_time(lan->env.loop);
	if (lan->links != NULL) {
		refresh(lan);
		return 0;
	}
	lan->tick_due = now(lan) + NET_LAN_TICK_MS;
	return lan_links_open(lan->env.loop, lan->mode,
	    lan->only[0] != '\0' ? lan->only : NULL, lan->port, &events, lan,
	    &lan->links, err);
}

static struct announced **
find_key(struct lan *lan, const uint8_t key[static KEY_LEN])
{
	size_t i;

	for (i = 0; i < NET_LAN_KEYS_MAX; i++)
		if (lan->keys[i] != NULL
		    && memcmp(lan->keys[i]->key, key, KEY_LEN) == 0)
			return &lan->keys[i];
	return NULL;
}

/* A place for one more key. */
static int
add_key(struct lan *lan, const uint8_t key[static KEY_LEN],
    struct announced **out, struct err *err)
{
	struct announced *a;
	size_t i;
	int rc;

	for (i = 0; lan->keys[i] != NULL; )
		if (++i == NET_LAN_KEYS_MAX)
			return err_set(err, E_FATAL, NULL,
			    "more than %d keys at one place",
			    NET_LAN_KEYS_MAX);
	a = calloc(1, sizeof *a);
	if (a == NULL)
		return err_nomem(err);
	memcpy(a->key, key, KEY_LEN);
	rc = lan_secret(key, &a->secret, err);
	if (rc < 0) {
		free(a);
		return rc;
	}
	lan->keys[i] = *out = a;
	return 0;
}

int
lan_announce(struct lan *lan, const uint8_t key[static KEY_LEN],
    const struct lan_endpoint *ends, size_t n, struct err *err)
{
	struct announced **at = find_key(lan, key), *a = NULL;
	int rc;

	if (n > NET_LISTEN_MAX)
		n = NET_LISTEN_MAX;
	rc = open_links(lan, err);
	if (rc < 0)
		return rc;
	if (at != NULL) {
		a = *at;
	} else {
		rc = add_key(lan, key, &a, err);
		if (rc < 0)
			return rc;
	}
	memcpy(a->ends, ends, n * sizeof *ends);
	a->nends = n;
	say(lan, a);
	arm(lan);
	return 0;
}

static void
free_key(struct announced **at)
{
	if (*at != NULL)
		OPENSSL_cleanse(*at, sizeof **at);
	free(*at);
	*at = NULL;
}

void
lan_withdraw(struct lan *lan, const uint8_t key[static KEY_LEN])
{
	struct announced **at = find_key(lan, key);

	if (at == NULL)
		return;
	free_key(at);
	arm(lan);
}

int
lan_search(struct lan *lan, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct net_resolve *s;
	size_t i;
	int rc;

	rc = open_links(lan, err);
	if (rc < 0)
		return rc;
	for (i = 0; lan->searches[i] != NULL; )
		if (++i == NET_LAN_SEARCHES_MAX)
			return err_set(err, E_FATAL, NULL,
			    "more than %d searches at a time",
			    NET_LAN_SEARCHES_MAX);
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return err_nomem(err);
	s->lan = lan;
	s->found = found;
	s->owner = owner;
	rc = lan_secret(key, &s->secret, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	lan->searches[i] = s;
	ask(lan, s);
	arm(lan);
	*out = s;
	return 0;
}

static void
free_search(struct net_resolve **at)
{
	if (*at != NULL)
		OPENSSL_cleanse(*at, sizeof **at);
	free(*at);
	*at = NULL;
}

void
lan_search_stop(struct net_resolve *s)
{
	struct lan *lan = s->lan;
	size_t i;

	for (i = 0; i < NET_LAN_SEARCHES_MAX; i++)
		if (lan->searches[i] == s)
			free_search(&lan->searches[i]);
	arm(lan);
}

static void
timer_closed(uv_handle_t *handle)
{
	struct lan *lan = handle->data;
	net_closed_fn *closed = lan->closed;
	void *owner = lan->closed_owner;

	free(lan);
	if (closed != NULL)
		closed(owner);
}

static void
links_closed(void *owner)
{
	struct lan *lan = owner;

	uv_close((uv_handle_t *)&lan->timer, timer_closed);
}

void
lan_close(struct lan *lan, net_closed_fn *closed, void *owner)
{
	size_t i;

	lan->closing = true;
	lan->closed = closed;
	lan->closed_owner = owner;
	uv_timer_stop(&lan->timer);
	for (i = 0; i < NET_LAN_KEYS_MAX; i++)
		free_key(&lan->keys[i]);
	for (i = 0; i < NET_LAN_SEARCHES_MAX; i++)
		free_search(&lan->searches[i]);
	if (lan->links != NULL)
		lan_links_close(lan->links, links_closed, lan);
	else
		links_closed(lan);
}

void
lan_status(const struct lan *lan, struct net_status *out)
{
	out->lan = true;
	out->heard = lan->heard;
	out->recognised = lan->recognised;
	out->limited = lan->limited;
	out->skewed = lan->skewed;
	out->skew_min = lan->skew_min;
	if (lan->links != NULL)
		lan_links_status(lan->links, out);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * lan_hear.c - packets of LAN discovery that come in: most are not for us,
 * and some are not meant well, so each costs little and says little.
 */
#include "net/lan_state.h"

#include <netinet/in.h>
#include <string.h>

#include "net/place.h"

static bool
within(const struct lan *lan, struct rate *r, uint32_t max)
{
	uint64_t second = uv_now(lan->env.loop) / 1000;

	if (r->second != second) {
		r->second = second;
		r->n = 0;
	}
	if (r->n >= max)
		return false;
	r->n++;
	return true;
}

/* Whether a packet may cost us a look at it. */
static bool
admit(struct lan *lan, const struct sockaddr *from)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	const uint8_t *ip;
	uint32_t hash = 2166136261u;
	size_t n, i;

	ip = from->sa_family == AF_INET ? (const uint8_t *)&in->sin_addr
	    : in6->sin6_addr.s6_addr;
	n = from->sa_family == AF_INET ? 4 : 16;
	for (i = 0; i < sizeof lan->seed; i++)
		hash = (hash ^ lan->seed[i]) * 16777619u;
	for (i = 0; i < n; i++)
		hash = (hash ^ ip[i]) * 16777619u;
	return within(lan, &lan->sources[(hash >> 16) % LAN_SOURCES],
	    NET_LAN_RATE_SOURCE) && within(lan, &lan->all, NET_LAN_RATE);
}

/* Counts a packet that was recognised; false if its clock is too far off. */
static bool
in_time(struct lan *lan, const struct lan_packet *p)
{
	int64_t skew = (int64_t)(p->minute - lan_minute(lan));

	lan->recognised++;
	if (skew >= -NET_LAN_SKEW_MIN && skew <= NET_LAN_SKEW_MIN)
		return true;
	lan->skewed++;
	lan->skew_min = skew;
	return false;
}

static void
hear_announcement(struct lan *lan, const struct lan_packet *p,
    const struct sockaddr *from)
{
	struct sockaddr_storage place;
	char text[PLACE_MAX];
	struct net_resolve *s;
	size_t i;

	if (from->sa_family == AF_INET) {
		memcpy(&place, from, sizeof(struct sockaddr_in));
		((struct sockaddr_in *)&place)->sin_port = htons(p->port);
	} else {
		memcpy(&place, from, sizeof(struct sockaddr_in6));
		((struct sockaddr_in6 *)&place)->sin6_port = htons(p->port);
	}
	place_format((struct sockaddr *)&place, text);
	for (i = 0; i < NET_LAN_SEARCHES_MAX && !lan->closing; i++) {
		s = lan->searches[i];
		if (s != NULL && lan_packet_proven(p, &s->secret)
		    && in_time(lan, p))
			s->found(s->owner, text);
	}
}

/* A query that was answered before and comes again came by broadcast as well,
 * or is somebody's recording. */
static bool
is_replay(struct lan *lan, const uint8_t *nonce)
{
	size_t n = lan->nreplays < LAN_REPLAYS ? lan->nreplays : LAN_REPLAYS, i;

	for (i = 0; i < n; i++)
		if (memcmp(lan->replays[i], nonce, LAN_NONCE_LEN) == 0)
			return true;
	memcpy(lan->replays[lan->nreplays++ % LAN_REPLAYS], nonce, LAN_NONCE_LEN);
	return false;
}

static void
hear_query(struct lan *lan, const struct lan_packet *p, size_t link,
    const struct sockaddr *from)
{
	const struct sockaddr *addr = lan_links_address(lan->links, link);
	uint8_t packet[LAN_PACKET_LEN];
	const struct announced *a;
	uint16_t port;
	size_t i;

	for (i = 0; i < NET_LAN_KEYS_MAX; i++) {
		a = lan->keys[i];
		if (a == NULL || !lan_packet_proven(p, &a->secret))
			continue;
		if (!in_time(lan, p) || is_replay(lan, p->nonce))
			return;
		if (!within(lan, &lan->answers, NET_LAN_ANSWERS)) {
			lan->limited++;
			return;
		}
		port = addr != NULL ? lan_port_by_link(a, addr) : 0;
		if (port != 0
		    && lan_make(lan, LAN_ANNOUNCE, &a->secret, port, packet))
			lan_links_answer(lan->links, link, from, packet,
			    sizeof packet);
		return;
	}
}

void
lan_hear(void *owner, size_t link, const uint8_t *bytes, size_t len,
    const struct sockaddr *from)
{
	struct lan *lan = owner;
	struct lan_packet p;

	lan->heard++;
	if (!lan_packet_decode(bytes, len, &p))
		return;
	if (!admit(lan, from)) {
		lan->limited++;
		return;
	}
	if (p.kind == LAN_ANNOUNCE)
		hear_announcement(lan, &p, from);
	else
		hear_query(lan, &p, link, from);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * lan_state.h - the state of LAN discovery, shared by lan.c and lan_hear.c
 * and by nobody else.
 */
#ifndef NET_LAN_STATE_H
#define NET_LAN_STATE_H

#include <uv.h>

#include "net/lan.h"
#include "net/lan_links.h"
#include "net/lan_packet.h"

enum {
	LAN_SOURCES = 64,       /* rows of the table of senders */
	LAN_REPLAYS = 256       /* queries remembered */
};

struct announced {
	uint8_t key[KEY_LEN];
	struct lan_secret secret;
	struct lan_endpoint ends[NET_LISTEN_MAX];
	size_t nends;
};

struct net_resolve {
	struct lan *lan;
	struct lan_secret secret;
	size_t asked;           /* queries sent so far */
	uint64_t due;           /* of the next */
	net_place_fn *found;
	void *owner;
};

/* At most so many events in a second. */
struct rate {
	uint64_t second;
	uint32_t n;
};

struct lan {
	struct net_env env;
	enum net_lan mode;
	uint16_t port;
	char only[32];
	struct lan_links *links;        /* NULL until first needed */
	uv_timer_t timer;
	uint64_t tick_due, change_due;  /* 0: not due */
	struct announced *keys[NET_LAN_KEYS_MAX];
	struct net_resolve *searches[NET_LAN_SEARCHES_MAX]; /* with holes */
	struct rate all, answers, sources[LAN_SOURCES];
	uint8_t seed[8];                /* of the table of senders */
	uint8_t replays[LAN_REPLAYS][LAN_NONCE_LEN];
	size_t nreplays;
	uint64_t heard, recognised, limited, skewed;
	int64_t skew_min;
	bool closing;
	net_closed_fn *closed;
	void *closed_owner;
};

/* ---- lan.c ---- */

/* The minute that it is, by our clock. */
uint64_t lan_minute(const struct lan *lan);

/* The port at which a key listens for those who come by the link, or 0. */
uint16_t lan_port_by_link(const struct announced *a,
    const struct sockaddr *link);

/* Makes a packet with a fresh nonce; false without randomness. */
bool lan_make(struct lan *lan, enum lan_kind kind,
    const struct lan_secret *secret, uint16_t port,
    uint8_t out[static LAN_PACKET_LEN]);

/* ---- lan_hear.c ---- */

/* A packet came in: on_packet of struct lan_links_events. */
void lan_hear(void *owner, size_t link, const uint8_t *bytes, size_t len,
    const struct sockaddr *from);

#endif

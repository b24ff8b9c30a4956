// SPDX-License-Identifier: MPL-2.0
/*
 * lan_links.h - the links that LAN discovery speaks on: one for each
 * interface address, kept in step with the addresses of the machine.
 *
 * It carries packets and knows nothing of what is in them.
 */
#ifndef NET_LAN_LINKS_H
#define NET_LAN_LINKS_H

#include "net/lan_if.h"

struct lan_links;

struct lan_links_events {
	/* A packet came in on a link, to which an answer may go. */
	void (*on_packet)(void *owner, size_t link, const uint8_t *bytes,
	    size_t len, const struct sockaddr *from);
	/* Addresses may have changed: call lan_links_refresh(). */
	void (*on_change)(void *owner);
};

/* only is not copied. */
int lan_links_open(struct uv_loop_s *loop, enum net_lan mode,
    const char *only, uint16_t port, const struct lan_links_events *events,
    void *owner, struct lan_links **out, struct err *err);

/* closed is called once nothing of links is left on the loop, maybe from
 * inside. */
void lan_links_close(struct lan_links *links, net_closed_fn *closed,
    void *owner);

/* Looks at the addresses of the machine; true if some links are new; the
 * numbers of old ones mean nothing any more then. */
bool lan_links_refresh(struct lan_links *links);

size_t lan_links_count(const struct lan_links *links);

/* The address of a link, or NULL if it is one that is not used. */
const struct sockaddr *lan_links_address(const struct lan_links *links,
    size_t link);

/* Sends to all on the link: to the group, and by broadcast too if wanted, or
 * if the group does not work here. */
void lan_links_shout(struct lan_links *links, size_t link, bool broadcast,
    const uint8_t *bytes, size_t len);

/* Sends to one. */
void lan_links_answer(struct lan_links *links, size_t link,
    const struct sockaddr *to, const uint8_t *bytes, size_t len);

void lan_links_status(const struct lan_links *links, struct net_status *out);

#endif

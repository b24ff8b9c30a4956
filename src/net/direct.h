// SPDX-License-Identifier: MPL-2.0
/*
 * direct.h - the network "direct", TCP with LAN discovery: what its files
 * share.  Nobody outside of src/net needs more than net_direct.
 *
 * direct.c is the backend, listen.c accepts and keeps the limits, connect.c
 * connects, tcp.c is the connection itself.
 */
#ifndef NET_DIRECT_H
#define NET_DIRECT_H

#include <uv.h>

#include "net/lan.h"
#include "net/net.h"

extern const struct net_backend net_direct;

/* Connections in the order in which they joined. */
struct tcp_list {
	struct tcp *first, *last;
	size_t n;
};

struct tcp {
	struct net_conn conn;           /* first: a tcp is a net_conn */
	struct direct *direct;
	struct tcp_list *list;          /* the one it is on, or NULL */
	struct tcp *prev, *next;
	uint64_t since;                 /* joined list at, loop time */
	uint8_t ip[8];                  /* what limits count, see listen.c */
	bool accepted, marked, reading;
	bool above;                     /* the queue passed the low water */
	bool owned;                     /* the owner has not given it up */
	bool over;                      /* on_close was called, or would be */
	bool closing;                   /* uv_close was called on handle */
	bool closed;                    /* and is done */
	char place[PLACE_MAX];
	uv_tcp_t handle;
	uv_connect_t connecting;
	uv_shutdown_t shutdown;
};

struct listener {
	uv_tcp_t handle;
	struct direct *direct;
	net_accept_fn *accepted;
	void *owner;
	char place[PLACE_MAX];
	struct sockaddr_storage addr;
	bool dual;                      /* IPv4 on an IPv6 socket too */
	uint64_t again;                 /* when to accept what could not be: 0 */
};

struct direct {
	struct net net;                 /* first */
	struct net_env env;
	uint16_t port;
	struct lan *lan;                /* NULL: discovery is off */
	struct listener *listeners[NET_LISTEN_MAX];
	size_t nlisteners;
	struct net_connect *connects;   /* all that go on */
	struct tcp_list unknown;        /* accepted, not marked */
	struct tcp_list known;          /* all others that are in use */
	struct tcp_list lingering;      /* closed by their owner, flushing */
	struct tcp_list failed;         /* over, not closed by their owner */
	uint64_t dropped;
	uv_timer_t reaper;              /* ends unknown and lingering ones */
	size_t handles;                 /* on the loop, with struct lan */
	bool closing;
	net_closed_fn *closed;
	void *closed_owner;
	char read_buf[NET_READ_MAX];    /* shared: a read ends in on_data */
};

/* One handle less on the loop; frees direct after the last when closing. */
void direct_release(struct direct *d);

/* ---- tcp.c ---- */

/* A connection with an open handle, on no list; NULL without memory. */
struct tcp *tcp_new(struct direct *d, struct err *err);

/* Puts t at the end of list (NULL for none), after taking it off its own. */
void tcp_move(struct tcp *t, struct tcp_list *list);

/* The handle is connected: sets options and place. */
void tcp_ready(struct tcp *t);

/* Ends t and tells the owner, unless it is over already. */
void tcp_fail(struct tcp *t, const struct err *why);

/* Closes the handle; frees t when the owner has given it up too. */
void tcp_destroy(struct tcp *t);

/* ---- listen.c ---- */

int direct_listen(struct net *net, const char *place,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err);

void direct_unlisten(struct direct *d);

/* Sets the reaper to when the next connection is due. */
void direct_arm_reaper(struct direct *d);

void direct_reap(uv_timer_t *timer);

/* ---- connect.c ---- */

int direct_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err);

void direct_connect_stop(struct net_connect *c);

#endif

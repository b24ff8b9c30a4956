// SPDX-License-Identifier: MPL-2.0
/*
 * vlink.h - one connection with the socket of a Veilid node: lines out, lines
 * in.  What they mean, and making the next connection when one is over, is
 * vapi's business.
 *
 * No callback is called from inside a call into this header; any function may
 * be called from inside any callback.
 */
#ifndef NET_VLINK_H
#define NET_VLINK_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

struct uv_loop_s;

/* Where the node's socket is. */
struct vwhere {
	bool local;                     /* a unix socket, at path */
	char path[sizeof ((struct sockaddr_un *)0)->sun_path];
	struct sockaddr_storage addr;   /* else TCP, on this machine */
	bool trusted;                   /* whoever listens there may have the
					 * keys of databases */
};

enum { VLINK_QUEUE_MAX = 4 << 20 };     /* bytes that the kernel has not taken */

/* Reads "unix:PATH" or "HOST:PORT", where HOST is an address of this machine
 * or localhost.  trusted: the user agreed that whoever listens there learns
 * the keys.  Without it HOST:PORT is E_REFUSED, as nobody can tell whose
 * program that is, and so is, later, a unix socket of another user.  E_USAGE
 * for anything else. */
int vwhere_parse(const char *text, bool trusted, struct vwhere *out,
    struct err *err);

struct vlink;

struct vlink_events {
	void (*on_open)(void *owner);
	/* one line, valid during the call */
	void (*on_line)(void *owner, const char *line, size_t len);
	/* It is over, or was never made; at most once, and nothing but
	 * on_gone after it.  The owner still has to call vlink_close(). */
	void (*on_broken)(void *owner, const struct err *why);
	/* the last there is: after vlink_close() nothing is left on the
	 * loop */
	void (*on_gone)(void *owner);
};

/* Begins to connect.  After an error *out is NULL, or over and to be closed. */
int vlink_open(struct uv_loop_s *loop, const struct vwhere *where,
    const struct vlink_events *events, void *owner, struct vlink **out,
    struct err *err);

/* Sends a line; text is without its end.  E_HELD: the queue would pass its
 * maximum, nothing was taken. */
int vlink_send(struct vlink *l, const char *text, size_t len,
    struct err *err);

/* Ends it at once; l is gone. */
void vlink_close(struct vlink *l);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * control.h - the control socket of a running `serve`, in the state
 * directory: how verbs of the same database ask it instead of connecting by
 * themselves.  This is the transport: one JSON object a line, a request by
 * the client, then answers, the last of which has "done".  What verbs there
 * are stands in control_verbs.c; the client's end in control_call.h.
 *
 * Only processes of the same user, or of root, are answered.
 */
#ifndef NODE_CONTROL_H
#define NODE_CONTROL_H

#include <jansson.h>

#include "base/err.h"

enum {
	CONTROL_CLIENTS_MAX = 16,
	CONTROL_LINE_MAX = 16 << 10,    /* a request */
	CONTROL_ANSWER_MAX = 64 << 10,  /* a line of an answer */
	CONTROL_QUEUE_MAX = 1 << 20     /* answers that are not read */
};

struct uv_loop_s;
struct control;
struct control_client;

struct control_events {
	/* A request, valid during the call.  Answers may be sent at once or
	 * later, until on_gone or control_end(). */
	void (*on_request)(void *owner, struct control_client *client,
	    const json_t *request);
	/* The client went away, or did not read: whatever it asked for is not
	 * wanted any more, and client is invalid after the call. */
	void (*on_gone)(void *owner, struct control_client *client);
};

/* Listens in the directory, where no other serve may run (the caller has its
 * lock): what is left of an earlier one is replaced. */
int control_open(struct uv_loop_s *loop, const char *state_dir,
    const struct control_events *events, void *owner, struct control **out,
    struct err *err);

/* Ends it and removes the socket; no callback any more.  c may be NULL. */
void control_close(struct control *c);

/* Sends one line and drops the reference to answer (which may be NULL, when
 * there was no memory: then nothing is sent). */
void control_send(struct control_client *client, json_t *answer);

/* Sends the last line, {"done": code, "error": ..., "hint": ...}, and gives
 * the client up.  why may be NULL for 0. */
void control_end(struct control_client *client, const struct err *why);

/* Room for the owner's own state of a client. */
void control_set_data(struct control_client *client, void *data);
void *control_data(const struct control_client *client);

/* ---- for both ends ---- */

struct sockaddr_un;

/* The address of the socket in the directory dir, which is open as dir_fd
 * (for paths too long for an address). */
int control_address(const char *state_dir, int dir_fd,
    struct sockaddr_un *out, struct err *err);

#endif

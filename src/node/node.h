// SPDX-License-Identifier: MPL-2.0
/*
 * node.h - a loop, a network on it, and the hub of a database: what serving
 * and single exchanges have in common.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <stdbool.h>

#include <uv.h>

#include "base/err.h"
#include "net/net.h"
#include "node/hub.h"

struct store;
struct veilid_node;

struct node {
	uv_loop_t loop;
	uv_timer_t timer;               /* hub_tick() */
	struct net_env net_env;
	struct net *net;
	struct veilid_node *veilid_node;        /* NULL: not our business */
	struct err no_veilid;           /* why that network is not there, although
					 * it should be */
	struct store *store;
	struct hub *hub;
	bool loop_open, timer_open;
	struct err gone;                /* what node_still_there() found */
};

struct node_options {
	bool no_discovery;
	bool announces;         /* others are to find this database: a network
				 * may need its secret key for that */
	unsigned node_after_ms; /* a Veilid node is started only then: whatever is
				 * quick is done without */
	struct hub_options hub;
};

/* Fills n.  On failure nothing is left open. */
int node_open(struct node *n, struct store *store,
    const struct node_options *options, struct err *err);

/* Ends all and runs the loop until nothing is left on it.  What others put on
 * the loop must be closing. */
void node_close(struct node *n);

/* The part of n's network by which a remote is called that has this setting: all
 * of it for "auto"; NULL, and why, if the one named is off. */
struct net *node_part(struct node *n, const char *network, struct err *err);

/* As the network's status(), and what else is known of why Veilid is not there:
 * veilid.on, and why, also where it could not be opened. */
void node_status(const struct node *n, struct net_status *out);

/* False, and the loop ends its turn, if the database or its state directory is
 * not any more what was opened: n->gone says it, and all that is left to do is
 * to end. */
bool node_still_there(struct node *n);

/* uv_run(), while writing to a stream whose other end is gone raises no
 * SIGPIPE: libuv leaves that to its program, and a library must not decide it
 * for its own.  Locks of the database are not waited for for long meanwhile. */
int node_turn(struct node *n, uv_run_mode mode);

/* Runs the loop until *done, whose setter must call uv_stop() (a timer may set
 * it just before the loop waits), or stop is asked (then E_INTERRUPTED). */
struct stop;
int node_run_until(struct node *n, const bool *done, struct stop *stop,
    struct err *err);

#endif

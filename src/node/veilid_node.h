// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_node.h - the user's own Veilid node: where it listens, and the program
 * that is started where none runs.  What is said to it is the network's business.
 *
 * One node serves all databases of a user.  Who finds nobody at its socket
 * starts it, and it ends with who started it; whoever else uses it looks every
 * few seconds, and starts it again then.  Two that start one at the same time:
 * the lock in the node's state directory lets one of them live.
 */
#ifndef NODE_VEILID_NODE_H
#define NODE_VEILID_NODE_H

#include <uv.h>

#include "base/err.h"

enum {
	VEILID_NODE_PATH_MAX = 108,     /* of a socket, with the NUL */
	VEILID_NODE_LOOK_MS = 1000,     /* while nobody listens */
	VEILID_NODE_REST_MS = 5000,     /* while somebody does */
	VEILID_NODE_AGAIN_MIN_MS = 500, /* after one that ended, doubled ... */
	VEILID_NODE_AGAIN_MAX_MS = 30000,       /* ... up to this */
	VEILID_NODE_STEADY_MS = 10000,  /* one that lived so long was a good one */
	VEILID_NODE_END_MS = 3000,      /* for one to end by itself */
	VEILID_NODE_LOG_MAX = 1 << 20   /* bytes of what it says */
};

/* Where the node of this user listens; the directory is made.  E_FATAL: there is
 * no such place, or it is open to others. */
int veilid_node_socket(char out[static VEILID_NODE_PATH_MAX],
    struct err *err);

struct veilid_node;

/* Sees to it that somebody listens there, from after_ms from now on.  program is
 * its full path, or "": beside this program, where it is installed, or in the PATH.
 * E_FATAL. */
int veilid_node_open(uv_loop_t *loop, const char *socket, const char *program,
    unsigned after_ms, struct veilid_node **out, struct err *err);

/* Why nobody listens, as far as we could do something about it; code 0: somebody
 * does, or may soon. */
void veilid_node_why(const struct veilid_node *n, struct err *out);

/* Ends it, and what was started here: until that is gone, or was given up after
 * VEILID_NODE_END_MS, something is left on the loop.  n may be NULL. */
void veilid_node_close(struct veilid_node *n);

#endif

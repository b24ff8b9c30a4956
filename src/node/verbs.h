// SPDX-License-Identifier: MPL-2.0
/*
 * verbs.h - what a running `serve` does for other processes of the same
 * database: fetch, merge, pull, push, verify, cleanup, places, doctor.
 *
 * Requests: {"verb": "pull", "remote": NAME or absent, "timeout_ms": N,
 * "progress": bool}.  Answers: {"progress": {...}}, {"result": {...}},
 * {"difference": {...}} before the result it belongs to,
 * {"finding": {...}}, {"place": ADDRESS@HOST:PORT}, {"cleaned": {...}}, then
 * {"done": code}.  Program and serve are of one version: this is no contract.
 */
#ifndef NODE_VERBS_H
#define NODE_VERBS_H

#include "node/node.h"
#include "node/peers.h"

struct verbs;

/* Listens for requests. */
int verbs_open(struct node *n, struct peers *p, struct verbs **out,
    struct err *err);

/* Ends it and all that goes on.  v may be NULL. */
void verbs_close(struct verbs *v);

/* A remote was reached, or was not: for the exchanges that wait. */
void verbs_opened(struct verbs *v, struct session *s);
void verbs_failed(struct verbs *v, int64_t remote, const struct err *why);

/* The name of a verb in requests. */
const char *verbs_name(int exchange_verb);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_party.h - one program at a Veilid node, in a test: its vnode, its
 * record, the records that it looks for, and what was told of them.
 */
#ifndef TESTS_VEILID_PARTY_H
#define TESTS_VEILID_PARTY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "net/vfind.h"
#include "net/vpublish.h"
#include "net/vsegment.h"

enum { PARTY_FINDS = 3 };

struct party {
	uv_loop_t *loop;
	struct net_env env;
	int64_t ahead_ms;               /* its clock is ahead by so much */
	struct vnode *node;
	struct vpublish *publish;       /* NULL: none */
	uint8_t seed[VRECORD_SEED_LEN], key[KEY_LEN];
	struct party_find {
		struct party *party;
		struct vfind *find;     /* NULL: none */
		size_t found;           /* times */
		bool alive;
		uint8_t token[VRECORD_TOKEN_LEN], route[VRECORD_ROUTE_MAX];
		size_t route_len;
	} finds[PARTY_FINDS];

	/* told by the node */
	bool ready, routed;
	size_t readies, unreadies, routes, unroutes, calls, deads, values;
	struct err why;
	uint8_t call[VSEGMENT_MAX];
	size_t call_len;
	bool mute;                      /* calls are not answered */
	char import[128];               /* of the last import */
	/* of the last import or call */
	bool ended;
	enum vfault fault;
	uint8_t answer[VSEGMENT_MAX];
	size_t answer_len;
	bool withdrawn, closed;
};

/* At the node where; not connected yet.  seed makes its key. */
void party_open(struct party *p, uv_loop_t *loop, const char *where,
    uint8_t seed);

/* Ends what there is; the loop has to run until p->closed. */
void party_close(struct party *p);

/* Begins to keep its record; to look for the key of another (once for each
 * number below PARTY_FINDS). */
void party_publish(struct party *p);
void party_find(struct party *p, size_t i, const uint8_t key[static KEY_LEN]);

/* Begin; p->ended is set, and p->fault. */
void party_import(struct party *p, const uint8_t *blob, size_t len);
void party_call(struct party *p, const void *bytes, size_t len);

void party_withdraw(struct party *p);

#endif

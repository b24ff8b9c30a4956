// SPDX-License-Identifier: MPL-2.0
/*
 * sync_peers.h - two sync machines, A and B, with a store of a few lines in
 * memory behind each and a pipe of bytes between them, for the tests of sync.
 * What happens is written down as text, a line each:
 *
 *   A event PULL             given to A by the test or by its store
 *   A send PULL 1            a message of A
 *   A do TAKE_PAGE 40        an action of A; its store has done it
 *
 * ROOM, TIMER and the answers of the store are not written down.
 */
#ifndef SYNC_PEERS_H
#define SYNC_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/sync.h"
#include "wire/frame.h"

enum { SITES = 2, VERSIONS_MAX = 4096, ANSWERS_MAX = 16 };

/* What the log holds: a version of a site with that many bytes. */
struct item {
	uint8_t site;
	uint32_t version, len;
};

struct peer {
	char name;
	int site;               /* own: 0 or 1 */
	struct pair *pair;
	struct peer *other;
	struct sync *sync;
	struct sync_actions out;
	struct frames sent;     /* to write down what is sent */
	struct buf in;          /* bytes on their way to this one */
	bool closed;
	bool wants_room;
	bool no_room;           /* the transport is full until told else */
	struct err closed_why;
	uint64_t timer_ms;
	size_t sent_bytes;

	/* answers of the store that were not given yet */
	struct answer {
		struct sync_event event;
		enum { FOR_PULL, FOR_SERVE, FOR_REST } whose;
	} answers[ANSWERS_MAX];
	size_t nanswers;

	/* the database */
	struct item *log;
	size_t nlog, log_cap;
	bool have[SITES][VERSIONS_MAX];
	uint32_t upto[SITES];   /* the vector */
	uint32_t cursor;        /* in the other's log */
	size_t page_max;        /* bytes of a page */
	uint32_t common;        /* own versions that the other has, of a fork */
	bool is_copy;           /* claims about us are not known here */
	bool fail_take;         /* the disk is full */
	bool hash_only;         /* clear: the other's vector is not known */
	uint8_t known_hash[WIRE_HASH_LEN];      /* of the reader's vector */
	uint32_t known_upto[SITES];
	size_t pieces_taken;
	int pulls_ended, pulls_failed;
	struct wire_entry told; /* the first of the last NOTIFY */
	struct err pull_why;

	/* a page in pieces; survives the connection */
	struct buf partial;
	uint8_t partial_hash[WIRE_HASH_LEN];

	/* serving */
	uint8_t *page;
	size_t page_len;
	uint32_t serve_pos, serve_end, serve_upto[SITES], served_upto[SITES];

	/* what answers point to */
	struct wire_entry vector[SITES], served_vector[SITES], own[300];
	struct wire_view table;
	struct wire_group group;
	struct wire_pull plan;
	struct wire_end_group end_group;
	struct wire_end end;
};

struct pair {
	struct peer a, b;
	uint64_t now_ms;
	size_t frame_max;
	bool quiet;             /* nothing is written down */
	struct buf trace;
};

void pair_open(struct pair *p, size_t frame_max);
void pair_close(struct pair *p);

/* Both connect, or connect again after a cut; databases stay. */
void pair_connect(struct pair *p);

/* START at both. */
void pair_start(struct pair *p);

/* Opens them, and has them connect and meet. */
void pair_meet(struct pair *p, size_t frame_max);

/* The connection breaks: what is on its way is lost, both see it. */
void pair_cut(struct pair *p);

/* Delivers and answers until nothing is left to do. */
void pair_run(struct pair *p);

/* The trace since the last call is exactly that. */
void expect_trace(struct pair *p, const char *expected);

/* ---- one peer ---- */

/* Adds an own version of so many bytes. */
void peer_write(struct peer *p, uint32_t len);

/* Gives an event; those of some kinds need no more than the kind. */
int peer_event(struct peer *p, enum sync_event_kind kind);
int peer_step(struct peer *p, struct sync_event *event);

/* PULL, START, STOP, CHANGED with what they need. */
int peer_pull(struct peer *p, bool fetch_only);
int peer_start(struct peer *p);
int peer_stop(struct peer *p, int code, const char *text);
int peer_changed(struct peer *p);

/* Offers it up to max of the bytes on their way to it; how many it used. */
size_t peer_receive(struct peer *p, size_t max);

/* Gives the oldest answer of its store. */
bool peer_answer(struct peer *p);

/* Gives ROOM if that is wanted, and there is some. */
bool peer_room(struct peer *p);

/* Bytes from nowhere: a message, as a hostile peer would send it. */
void peer_hear(struct peer *p, const struct wire_msg *m);
void peer_hear_bytes(struct peer *p, const void *bytes, size_t len);

/* Both hold the same versions. */
bool peers_equal(const struct pair *p);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * vstream_pair.h - two ends of a stream and the calls between them, for tests.
 *
 * A call is made, arrives (perhaps more than once) and ends; each of it when
 * the test says so.  Where answers wait, one is there when its end runs.  Time is a number.  What the ends write is known by its
 * offset, so that each byte that is handed out is looked at.
 */
#ifndef TESTS_VSTREAM_PAIR_H
#define TESTS_VSTREAM_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"
#include "net/vstream.h"

enum { PAIR_CALLS_MAX = 1 << 16 };

enum { A, B };                  /* A opens */

/* Of 1000 pieces of memory that streams ask for, so many are not to be had. */
extern unsigned pair_nomem;

struct vpair;

struct vside {
	struct vpair *pair;
	struct vstream *v;      /* NULL: not made yet, or freed */
	int me;
	bool node;              /* calls can be made */
	bool busy[VSTREAM_CALLS];
	long waits;             /* the call whose answer waits here, or -1 */
	uint64_t written, got;
	unsigned opens, drains, stales, routes, overs;
	uint64_t stale_at;
	char route[64];         /* the last that it was told */
	struct err why;         /* of over */
	size_t largest;         /* handed out at once */
	void (*on_data)(struct vside *s);
};

struct pcall {
	int from;
	unsigned slot;
	uint8_t *bytes;
	size_t len;
	struct vsegment s;      /* in bytes */
	bool live;              /* the caller waits for its end */
	unsigned arrived;       /* times */
	struct vsegment_answer answer; /* of the last arrival */
	uint8_t *payload;       /* of an answer that waited */
	uint64_t made;          /* at this time */
};

struct vpair {
	uint64_t now;
	struct vside sides[2];
	struct pcall *calls;    /* all that were ever made */
	size_t ncalls;
	bool made_b;            /* B exists, or has */
	bool may_wait;          /* answers */
	void (*on_call)(struct vpair *p, size_t call); /* may be NULL */
	void (*on_answer)(struct vpair *p, size_t call); /* too: one that waited */
	void *owner;
};

uint8_t pair_byte(int side, uint64_t at);

/* Time is 1000000.  A is there and has told by which route it is reached; B is
 * made by what arrives there first. */
void pair_init(struct vpair *p);
void pair_clear(struct vpair *p);

/* Frees an end that is over, or breaks down: calls are unknown there. */
void pair_free(struct vpair *p, int side);

/* Writes that many of the side's bytes, returns what vstream_write() does. */
int pair_write(struct vpair *p, int side, size_t len);

void pair_run_one(struct vpair *p, int side);

/* Runs both ends as often as they are due now. */
void pair_run(struct vpair *p);

/* Time passes, and the ends run whenever they are due. */
void pair_wait(struct vpair *p, uint64_t ms);

/* A call arrives (once more); its answer, which no longer waits, comes; or it
 * fails. */
void pair_arrive(struct vpair *p, size_t call);
void pair_answer(struct vpair *p, size_t call);
void pair_fail(struct vpair *p, size_t call, enum vfault fault);

/* All live calls arrive if they have not yet, and are answered as soon as they
 * can be, until none is made any more. */
void pair_pass(struct vpair *p);

/* The last call of that side which is live, or -1; and how many are. */
long pair_last(const struct vpair *p, int side);
size_t pair_live(const struct vpair *p, int side);

/* Both know each other, nothing is under way. */
void pair_open(struct vpair *p);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * memory_world.h - what the files of the network "memory" share: memory.h is
 * for all others.
 *
 * memory_world.c has time, chance and faults; memory_conn.c the streams;
 * memory.c the backend.
 */
#ifndef NET_MEMORY_WORLD_H
#define NET_MEMORY_WORLD_H

#include "net/memory.h"

enum {
	MEM_WINDOW = 64 << 10,  /* on the way without counting as queued */
	MEM_KEYS_MAX = 4,       /* announced by one endpoint */
	MEM_PARTS_MAX = 64
};

/* Bytes on the way, or the end of the stream. */
struct mem_seg {
	struct mem_seg *next;
	uint64_t at;            /* arrives */
	uint64_t sent;          /* counted over all that was sent */
	size_t off, len;
	bool fin;
	uint8_t bytes[];
};

struct mem_end {
	struct net_conn conn;           /* first */
	struct mem_link *link;
	struct mem_endpoint *at;        /* NULL after it is gone */
	struct mem_seg *first, *last;   /* on the way to this end */
	size_t incoming;                /* their bytes */
	bool owned, over, reading, marked, above;
	bool scheduled;                 /* a delivery is */
};

struct mem_link {
	struct memnet *world;
	struct mem_link *prev, *next;
	uint8_t keys[2][KEY_LEN];       /* of the caller and of the called */
	struct mem_end ends[2];
	size_t events;                  /* that hold a pointer to it */
	bool cut;
};

struct mem_endpoint {
	struct net net;                 /* first */
	struct memnet *world;
	struct mem_endpoint *next;
	uint8_t key[KEY_LEN];
	net_accept_fn *accepted;        /* NULL: not listening */
	void *owner;
	uint8_t keys[MEM_KEYS_MAX][KEY_LEN]; /* announced */
	size_t nkeys;
};

struct mem_event {
	uint64_t at, seq;
	void (*f)(void *owner);
	void *owner;
};

struct memnet {
	uint64_t now, seq, sent, newest;
	uint64_t random[4];
	struct memnet_faults faults;
	struct memnet_counts counts;
	struct mem_event *heap;
	size_t nheap, maxheap;
	struct mem_endpoint *endpoints;
	struct mem_link *links;
	struct net_connect *connects;
	struct net_resolve *resolves;
	uint8_t parts[MEM_PARTS_MAX][2][KEY_LEN];
	size_t nparts;
};

/* ---- memory_world.c ---- */

bool mem_chance(struct memnet *m, uint32_t millionths);

uint64_t mem_latency(struct memnet *m);

bool mem_parted(const struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN]);

/* ---- memory_conn.c ---- */

/* A connection between two endpoints; neither end is owned yet. */
struct mem_link *mem_link_new(struct mem_endpoint *from,
    struct mem_endpoint *to);

/* All that is on the way is lost, and the ends will hear of it. */
void mem_link_cut(struct mem_link *link);

/* Frees link when no event and no owner has it any more. */
void mem_link_settle(struct mem_link *link);

void mem_link_free(struct mem_link *link);

/* The end's owner is gone, without a word to it. */
void mem_end_abandon(struct mem_end *end);

/* ---- memory.c ---- */

/* Frees all connects and resolves of an endpoint (NULL: of all). */
void mem_forget(struct memnet *m, const struct mem_endpoint *of);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * memory.h - the network "memory": nodes inside one process, in virtual
 * time, with faults drawn from a seed.  For the simulator and tests.
 *
 * The same seed and the same calls give the same events at the same times.
 * A place is the address of a key (addr.h).  Streams keep the order of their
 * bytes, as TCP does: a lost packet shows as delay, a dead link as a cut, at
 * which what is on the way is lost and the two ends hear of it at different
 * times.
 */
#ifndef NET_MEMORY_H
#define NET_MEMORY_H

#include "net/net.h"

extern const struct net_backend net_memory;

/* What goes wrong; chances are in millionths.  All zero is a perfect network
 * without delay. */
struct memnet_faults {
	uint32_t latency_min_ms, latency_max_ms;
	uint32_t loss;          /* of a delivery: delayed by a retransmission */
	uint32_t split;         /* of a delivery: only some first bytes */
	uint32_t cut;           /* of a connection, at each delivery */
	uint32_t refuse;        /* of a connect */
};

/* What did go wrong so far. */
struct memnet_counts {
	uint64_t events, connects, refused, deliveries, bytes;
	uint64_t lost, split, cuts, restarts, reordered;
};

/* A world without endpoints, or NULL without memory. */
struct memnet *memnet_new(uint64_t seed, const struct memnet_faults *faults);

/* Frees it with all endpoints and connections; no callback. */
void memnet_free(struct memnet *m);

/* An environment in m's time and with m's randomness. */
struct net_env memnet_env(struct memnet *m);

/* Lets the next event happen; false if there is none. */
bool memnet_step(struct memnet *m);

/* Virtual milliseconds since the world began; the time of day of memnet_env()
 * is this plus a fixed start. */
uint64_t memnet_now(const struct memnet *m);

/* A number from 0 to below n (n > 0) from m's seed. */
uint64_t memnet_below(struct memnet *m, uint64_t n);

/* Calls f(owner) after ms; cannot be taken back.  0, or E_FATAL. */
int memnet_after(struct memnet *m, uint64_t ms, void (*f)(void *owner),
    void *owner);

/* From now on these faults, for connections begun and going on. */
void memnet_set_faults(struct memnet *m, const struct memnet_faults *faults);

/* Nothing passes between the two keys until it is joined again; connections
 * are cut. */
int memnet_part(struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN]);
void memnet_join(struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN]);

/* Cuts every connection that there is. */
void memnet_cut_all(struct memnet *m);

/* The endpoint crashes: as its close(), but what is on the way is lost, and
 * it counts as a restart.  The caller opens the new one. */
void memnet_crash(struct net *net);

const struct memnet_counts *memnet_counts(const struct memnet *m);

#endif

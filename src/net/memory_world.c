// SPDX-License-Identifier: MPL-2.0
/*
 * memory_world.c - virtual time, chance, and the faults of the network
 * "memory".
 */
#include "net/memory_world.h"

#include <stdlib.h>
#include <string.h>

enum { MILLION = 1000000 };

static const uint64_t epoch_ms = UINT64_C(1700000000000);

/* splitmix64, to fill the state of the generator from one number. */
static uint64_t
mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static uint64_t
rotate(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

/* xoshiro256**. */
static uint64_t
draw(struct memnet *m)
{
	uint64_t *s = m->random;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t
memnet_below(struct memnet *m, uint64_t n)
{
	return draw(m) % n;
}

bool
mem_chance(struct memnet *m, uint32_t millionths)
{
	return millionths > 0 && memnet_below(m, MILLION) < millionths;
}

uint64_t
mem_latency(struct memnet *m)
{
	const struct memnet_faults *f = &m->faults;
	uint64_t ms = f->latency_min_ms;

	if (f->latency_max_ms > f->latency_min_ms)
		ms += memnet_below(m, (uint64_t)f->latency_max_ms
		    - f->latency_min_ms + 1);
	return ms;
}

static bool
before(const struct mem_event *a, const struct mem_event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void
swap(struct mem_event *a, struct mem_event *b)
{
	struct mem_event t = *a;

	*a = *b;
	*b = t;
}

int
memnet_after(struct memnet *m, uint64_t ms, void (*f)(void *owner),
    void *owner)
{
	struct mem_event *heap = m->heap;
	size_t i, max;

	if (m->nheap == m->maxheap) {
		max = m->maxheap > 0 ? 2 * m->maxheap : 256;
		heap = realloc(heap, max * sizeof *heap);
		if (heap == NULL)
			return E_FATAL;
		m->heap = heap;
		m->maxheap = max;
	}
	i = m->nheap++;
	heap[i] = (struct mem_event){ .at = m->now + ms, .seq = m->seq++,
		.f = f, .owner = owner };
	for (; i > 0 && before(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&heap[i], &heap[(i - 1) / 2]);
	return 0;
}

static struct mem_event
take_first(struct memnet *m)
{
	struct mem_event *heap = m->heap, first = heap[0];
	size_t i = 0, child;

	heap[0] = heap[--m->nheap];
	for (;;) {
		child = 2 * i + 1;
		if (child + 1 < m->nheap
		    && before(&heap[child + 1], &heap[child]))
			child++;
		if (child >= m->nheap || !before(&heap[child], &heap[i]))
			return first;
		swap(&heap[i], &heap[child]);
		i = child;
	}
}

bool
memnet_step(struct memnet *m)
{
	struct mem_event e;

	if (m->nheap == 0)
		return false;
	e = take_first(m);
	m->now = e.at;
	m->counts.events++;
	e.f(e.owner);
	return true;
}

struct memnet *
memnet_new(uint64_t seed, const struct memnet_faults *faults)
{
	struct memnet *m = calloc(1, sizeof *m);
	size_t i;

	if (m == NULL)
		return NULL;
	for (i = 0; i < 4; i++)
		m->random[i] = mix(&seed);
	if (faults != NULL)
		m->faults = *faults;
	return m;
}

void
memnet_free(struct memnet *m)
{
	struct mem_endpoint *at;

	if (m == NULL)
		return;
	while (m->links != NULL)
		mem_link_free(m->links);
	mem_forget(m, NULL);
	while ((at = m->endpoints) != NULL) {
		m->endpoints = at->next;
		free(at);
	}
	free(m->heap);
	free(m);
}

static uint64_t
env_now_ms(void *self)
{
	return epoch_ms + memnet_now(self);
}

static int
env_random(void *self, void *out, size_t len)
{
	uint8_t *p = out;

	while (len-- > 0)
		*p++ = (uint8_t)(draw(self) >> 56);
	return 0;
}

struct net_env
memnet_env(struct memnet *m)
{
	return (struct net_env){ .now_ms = env_now_ms, .random = env_random,
		.self = m };
}

uint64_t
memnet_now(const struct memnet *m)
{
	return m->now;
}

void
memnet_set_faults(struct memnet *m, const struct memnet_faults *faults)
{
	m->faults = *faults;
}

const struct memnet_counts *
memnet_counts(const struct memnet *m)
{
	return &m->counts;
}

/* ---- parted keys ---- */

static bool
is_pair(const uint8_t pair[2][KEY_LEN], const uint8_t *a, const uint8_t *b)
{
	return (memcmp(pair[0], a, KEY_LEN) == 0
	    && memcmp(pair[1], b, KEY_LEN) == 0)
	    || (memcmp(pair[0], b, KEY_LEN) == 0
	    && memcmp(pair[1], a, KEY_LEN) == 0);
}

bool
mem_parted(const struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN])
{
	size_t i;

	for (i = 0; i < m->nparts; i++)
		if (is_pair(m->parts[i], a, b))
			return true;
	return false;
}

int
memnet_part(struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN])
{
	struct mem_link *link, *next;

	if (!mem_parted(m, a, b)) {
		if (m->nparts == MEM_PARTS_MAX)
			return E_FATAL;
		memcpy(m->parts[m->nparts][0], a, KEY_LEN);
		memcpy(m->parts[m->nparts][1], b, KEY_LEN);
		m->nparts++;
	}
	for (link = m->links; link != NULL; link = next) {
		next = link->next;
		if (is_pair(link->keys, a, b))
			mem_link_cut(link);
	}
	return 0;
}

void
memnet_join(struct memnet *m, const uint8_t a[static KEY_LEN],
    const uint8_t b[static KEY_LEN])
{
	size_t i;

	for (i = 0; i < m->nparts; i++)
		if (is_pair(m->parts[i], a, b)) {
			m->nparts--;
			memmove(m->parts[i], m->parts[m->nparts],
			    sizeof m->parts[i]);
			return;
		}
}

void
memnet_cut_all(struct memnet *m)
{
	struct mem_link *link, *next;

	for (link = m->links; link != NULL; link = next) {
		next = link->next;
		mem_link_cut(link);
	}
}

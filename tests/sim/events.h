// SPDX-License-Identifier: MPL-2.0
/*
 * events.h - what befalls databases besides writes and bad networks: schema
 * changes, tables that lose their log, old copies, power cuts.  Each is one row
 * of the table in events.c.
 */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stdint.h>

#include "rng.h"

enum { EVENTS_MAX = 8 };

struct model;
struct world;

/* The events that a history draws from. */
struct events {
	unsigned kinds;         /* bits by number */
	uint64_t count[EVENTS_MAX];
};

/* Name of an event, or NULL past the last one. */
const char *events_name(int number);

/* The bits of a list of names ("untrack,power"). */
unsigned events_parse(const char *list);

/* Draws some of all kinds for one history, often none. */
void events_draw(struct events *e, struct rng *rng);

/* One of them happens somewhere. */
void events_happen(struct events *e, struct world *w, struct rng *rng,
    struct model *m);

/* The schemas become alike again, every table is replicated. */
void events_heal(struct world *w, struct model *m);

#endif

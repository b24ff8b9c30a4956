// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_world.h - a few Veilid nodes and the network between them, on the test's
 * own loop: they speak the JSON API on unix sockets to any number of programs,
 * keep records, and pass calls on by private routes.  What a real network does to
 * them, they do when told: delay, lose, repeat, fail, forget, die.
 */
#ifndef TESTS_VEILID_WORLD_H
#define TESTS_VEILID_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <uv.h>

#include "temp.h"

enum {
	WORLD_NODES = 3, WORLD_CLIENTS = 64, WORLD_RECORDS = 32,
	WORLD_ROUTES = 4096, WORLD_CALLS = 1024, WORLD_TEXT = 128
};

struct world_client {
	struct world *world;
	int node;
	uint64_t id;
	uv_pipe_t *pipe;        /* NULL: gone */
	char *in;
	size_t nin, cap;
	int contexts;
};

struct world_route {
	char id[WORLD_TEXT];
	char blob[WORLD_TEXT];
	int node;
	bool alive;
	bool imported[WORLD_NODES];
};

struct world_record {
	char key[WORLD_TEXT];   /* the first 48 characters */
	char *data;             /* NULL: never set */
	int seq;
	bool watched[WORLD_NODES];
};

struct world_call {
	uint64_t id;            /* 0: free */
	uint64_t client;
	json_t *request;
};

struct world {
	uv_loop_t *loop;
	char dir[TEMP_MAX];
	struct {
		char where[TEMP_MAX + 20];
		uv_pipe_t *server;
		bool detached;          /* in reach of nobody */
		bool routeless;         /* makes no routes */
	} nodes[WORLD_NODES];
	struct world_client clients[WORLD_CLIENTS];
	struct world_record records[WORLD_RECORDS];
	size_t nrecords;
	struct world_route routes[WORLD_ROUTES];
	size_t nroutes;
	struct world_call calls[WORLD_CALLS];
	uint64_t last_id;
	size_t later;           /* events that wait */
	bool ending;

	/* what goes wrong, in percent of calls; and times in milliseconds */
	unsigned lost, answers_lost, repeated;
	unsigned delay;         /* up to so long, for calls and answers */
	unsigned pace;          /* one call after the other, of so long each */
	uint64_t busy_until;
	unsigned timeout;       /* a call without an answer */
	unsigned not_found;     /* until a record is not found */
	uint64_t seed;
	size_t requests;        /* so far */
	size_t cut_at;          /* the connection of that one ends, ... */
	bool cut_after;         /* ... after it was done, or before; 0: none */
	size_t cut_ended;       /* so many did */
	size_t calls_made, sets;
	/* sees each request first; true: it is answered */
	bool (*watch)(struct world *w, struct world_client *c,
	    const json_t *request);
};

void world_init(struct world *w, uv_loop_t *loop);

/* Ends all; the loop has to run until world_gone(). */
void world_clear(struct world *w);
bool world_gone(const struct world *w);

/* A node is killed, and its socket is gone; is there again. */
void world_kill(struct world *w, int node);
void world_start(struct world *w, int node);

/* Ends all connections of a node, which lives on. */
void world_hang_up(struct world *w, int node);

/* The node is in reach of others, or not. */
void world_attach(struct world *w, int node, bool attached);

/* Routes that were made and not released. */
size_t world_routes(const struct world *w);

/* All routes of a node end; it is told, or not. */
void world_end_routes(struct world *w, int node, bool told);

/* A node forgets what was imported. */
void world_forget(struct world *w, int node);

/* A call by a route that is alive, with these bytes, from nobody. */
void world_call(struct world *w, const struct world_route *route,
    const void *bytes, size_t len);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * world.h - databases and the network between them, in one process and in
 * virtual time.  Each site is a real database file with a real store and the
 * very node code that serve runs (hub.h, session.h); only the network is one
 * of memory.  What happens to them is decided elsewhere (sim.c).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "history.h"
#include "net/memory.h"

enum { WORLD_SITES_MAX = 8 };

struct link;
struct model;
struct world;

/* What a site's programs have made of its tables. */
struct site_schema {
	struct history_shape shape;
	bool untracked[HISTORY_NTABLES];
};

struct site {
	struct world *world;
	int number;
	char name[16];
	char file[256];
	uint8_t key[KEY_LEN];
	sqlite3 *app;           /* a program with the extension loaded */
	sqlite3 *plain;         /* one that loads nothing */
	int64_t taken;          /* db_version up to which the model knows */
	int64_t clock_offset_ms;
	struct site_schema schema;
	bool has_copy;          /* FILE.old, and its state directory beside it */
	int epoch;              /* counted up at each restart */
	uint64_t wake_at;
	struct store *store;
	struct hub *hub;
	struct net *net;
	bool linked[WORLD_SITES_MAX];   /* are remotes of each other */
	bool dialling[WORLD_SITES_MAX];
};

/* Somebody is told of each store that is opened. */
struct world_watch {
	void (*opened)(void *self, struct site *s);     /* or NULL */
	void *self;
};

struct world {
	char dir[128];
	uint64_t seed;
	int nsites;
	struct site site[WORLD_SITES_MAX];
	struct memnet *memnet;
	struct link *links;     /* world.c */
	struct world_watch watch;
	bool verbose;
};

/* Once before the first and after the last world. */
void world_begin(void);
void world_end(void);

/* Makes the databases in a directory of their own, with the tables of
 * history.h replicated, and a connected graph of remotes drawn from seed.
 * Aborts with a sentence on any error: it is a test. */
void world_open(struct world *w, uint64_t seed, int nsites, bool verbose);
void world_close(struct world *w);

/* A site wrote, or may have: its node looks. */
void world_wrote(struct site *s);

/* The site's process dies and comes back at once. */
void world_restart(struct site *s);

/* The process dies; what stands in the files may be changed until it comes
 * back with what is found there. */
void world_stop(struct site *s);
void world_start(struct site *s);

/* No node runs meanwhile; the store stays open. */
void world_offline(struct site *s);
void world_online(struct site *s);

/* Keeps a copy of a site, and puts it back (between stop and start): of the
 * database only, or with its state directory. */
void world_copy(struct site *s);
void world_put_back(struct site *s, bool with_state);

/* SQL by one of the site's programs, which must work. */
void world_sql(struct site *s, sqlite3 *db, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The first integer of a query. */
int64_t world_int(struct site *s, const char *query);

/* Replicates a table, or no longer, as the verbs do. */
void world_track(struct site *s, int table, bool on);

/* The db_versions so far are not news: the model knows them or must not. */
void world_taken(struct site *s);

/* Runs the network for so many virtual milliseconds. */
void world_run(struct world *w, uint64_t ms);

/* Every own change not taken yet goes to the model. */
void world_take(struct site *s, struct model *m);

#endif

// SPDX-License-Identifier: MPL-2.0
/*
 * crdt_nodes.h - databases for the engine's tests: opened through crdt_load,
 * synchronised by pages and by crsql_changes as a store would.  What a store
 * keeps per peer (cursor, vector) is kept here in memory.
 */
#ifndef TESTS_CRDT_NODES_H
#define TESTS_CRDT_NODES_H

#define SQLITE_CORE 1
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "temp.h"

enum { NODES_MAX = 6, NODE_CURSOR = 40, NODE_SITE = 16, NODE_SITES = 64,
       NODE_FILE = TEMP_MAX };

struct vector {
	int n;
	struct vector_entry {
		uint8_t site[NODE_SITE];
		int64_t version;
	} entry[NODE_SITES];
};

struct node {
	sqlite3 *db;
	int index;
	uint8_t site[NODE_SITE];
	struct vector has;              /* held without gap */
	uint8_t cursor[NODES_MAX][NODE_CURSOR]; /* by peer: merged */
	int64_t version[NODES_MAX];     /* by peer: db_version, for changes */
};

/* Makes an empty file of its own, for the caller to remove. */
void node_file(char path[static NODE_FILE]);

/* Runs statements on it as a program that loads nothing. */
void node_plainly(const char *path, const char *sql);

/* Runs statements; what a query answers, row by row. */
void node_run(sqlite3 *db, const char *sql);
void node_run_each(sqlite3 *db, const char *query);

/* As `.dump | sqlite3` does: tables, their rows in order, and then the rest. */
void node_copy_as_text(const char *from, const char *to);

/* Opens a database in memory (path NULL) or a file. */
void node_open(struct node *n, int index, const char *path);
void node_close(struct node *n);

/* Opens count of them in memory and runs the same statements on each. */
void nodes_open(struct node *n, int count, const char *sql);
void nodes_close(struct node *n, int count);

/* Runs statements; they must succeed. */
void node_exec(struct node *n, const char *fmt, ...);

/* Runs the same statements on each of count. */
void nodes_exec(struct node *n, int count, const char *sql);

/* Runs statements; the code they end with. */
int node_try(struct node *n, const char *fmt, ...);

/* The rows of a query as text: values quoted, "|" between them, a line feed
 * behind each row.  To be freed with sqlite3_free. */
char *node_rows(struct node *n, const char *fmt, ...);

/* node_rows must be want. */
void node_expect(struct node *n, const char *want, const char *fmt, ...);

/* Both answer a query alike. */
void nodes_agree(struct node *a, struct node *b, const char *query);

/* Nothing is wrong with it: crsql_check is empty. */
void node_well(struct node *n);

/* A plan of one group: all replicated tables, cursor, vector. */
void node_plan(struct node *reader, const uint8_t cursor[NODE_CURSOR],
    const struct vector *v, struct buf *out);

/* One page; its bytes (sqlite3_malloc'ed). position NULL: the first. */
int node_export(struct node *n, const struct buf *plan,
    const uint8_t *position, int max_bytes, uint8_t **page, int *len);

/* Imports a page; SQLite's code, and the number of changes. */
int node_import(struct node *n, const void *page, int len, int64_t *changes);

int page_flags_of(const uint8_t *page);

/* How a pull goes wrong. */
struct mishap {
	int max_bytes;          /* of a page */
	int cut_after;          /* pages; 0: never */
	bool twice;             /* each page is imported twice */
	bool may_lose;          /* the cursor may be unknown there */
	bool may_refuse;        /* what comes may not be taken */
	bool noted;             /* what is overwritten is noted: before.h */
};

/* Pulls all that `from` has: pages of one transaction in one SQLite
 * transaction, cursor and vector kept.  True if it came to the end. */
bool node_pull(struct node *to, struct node *from, const struct mishap *m);

/* Notes its own newest version in what it has. */
void node_raise_own(struct node *n);

/* A pull by SELECT and INSERT of crsql_changes. */
void node_pull_changes(struct node *to, struct node *from, bool full);

/* One INSERT INTO crsql_changes; pk (a list of the key's values), val and site
 * are SQL.  SQLite's code. */
int node_change(struct node *n, const char *table, const char *pk,
    const char *cid, const char *val, int version, int dbv, const char *site,
    int cl, int seq);

/* Two sites that no database has, in SQL. */
#define S1 "x'11111111111111111111111111111111'"
#define S2 "x'22222222222222222222222222222222'"

int64_t vector_get(const struct vector *v, const uint8_t site[NODE_SITE]);
void vector_raise(struct vector *v, const uint8_t site[NODE_SITE],
    int64_t version);

#endif

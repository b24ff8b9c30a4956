// SPDX-License-Identifier: MPL-2.0
/*
 * acts.h - what people do with a database besides writing to it: they look at what
 * a merge would do, merge, take it back, settle conflicts, repair, forget.  Each is
 * one row of the table in acts.c, with how often it is done; it is checked on the
 * spot, and whatever it writes goes to the model.  They are drawn from a generator
 * of their own, so that the same seed has the same history whatever there is of
 * them.
 */
#ifndef SIM_ACTS_H
#define SIM_ACTS_H

#include <sqlite3.h>
#include <stdint.h>

#include "conflicts.h"
#include "rng.h"
#include "world.h"

enum { ACTS_MAX = 12 };

/* Those that are counted, by number. */
enum { ACT_LOOK, ACT_UNDO, ACT_UNDO_LATER, ACT_RESOLVE, ACT_REPAIR, ACT_GC,
	ACT_EQUAL, ACT_AWAY };

struct acts {
	struct world *w;
	struct model *m;
	struct conflicts *conflicts;    /* NULL: they are not predicted here */
	struct rng rng;
	bool exact;             /* nothing is lost in this history */
	bool forgets;           /* crsql_gc is called now and then */
	sqlite3 *db;            /* where things are compared */
	uint64_t wrong;         /* what was not as it must be, each printed */
	uint64_t count[ACTS_MAX];
};

/* What is counted, by number; NULL past the last. */
const char *acts_name(int number);

void acts_begin(struct acts *a, struct world *w, struct model *m, uint64_t seed);
void acts_end(struct acts *a);

/* Perhaps one of them somewhere. */
void acts_happen(struct acts *a);

/* -- for those who do it -------------------------------------------------------- */

/* A program of the site has written a transaction. */
void acts_wrote(struct acts *a, struct site *s);

/* Counts what is wrong, with a sentence. */
void acts_wrong(struct acts *a, const struct site *s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* look.c, resolve.c, forget.c: false if there was nothing to do. */
bool look_act(struct acts *a, struct site *s);
bool resolve_act(struct acts *a, struct site *s);
bool repair_act(struct acts *a, struct site *s);
bool gc_act(struct acts *a, struct site *s);

/* undo.c: perhaps takes back the merge of which `before`, `after` and `came` of a->db
 * tell. */
void undo_merge(struct acts *a, struct site *s);

/* SQL text of a value that the store gave, to be freed by sqlite3_free(). */
struct store_value;
char *acts_quote(const struct store_value *v);

/* The packed key that cells make, as SQL text. */
struct store_cell;
char *acts_key(struct site *s, const struct store_cell *key, size_t n);

#endif

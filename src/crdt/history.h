// SPDX-License-Identifier: MPL-2.0
/*
 * history.h - who set what, when: crsql_history, and what it shares with
 * crsql_transaction_tables.
 */
#ifndef CRDT_HISTORY_H
#define CRDT_HISTORY_H

#include "crdt/engine.h"
#include "crdt/meta.h"

/* Whether the row of that key came to life at (dbv, pos), by its clock row: its
 * sentinel stands there, or a column that it was born with and that has its first
 * version. */
bool history_came(const struct table *t, const struct meta *m, int64_t key,
    int64_t dbv, int64_t pos);

struct history_place {
	int64_t dbv, pos;
};

/* The places in the log where facts of one row stand, in order, each once; none
 * where there is no such row, nor a tombstone.  pk, which is settled as the
 * table's columns do it, may come from a user: one that can't be a key here has
 * none.  Freed with sqlite3_free. */
int history_places(struct engine *e, struct table *t, const uint8_t *pk,
    int npk, struct history_place **out, int *n, int64_t *key);

struct history_run {
	int64_t dbv, pos;
	int64_t key, n;         /* its rows; n is 0 if there is none */
};

/* Whether key is one of n from another one on, however far it may be from there. */
static inline bool
history_covers(int64_t from, int64_t n, int64_t key)
{
	return key >= from && (uint64_t)key - (uint64_t)from < (uint64_t)n;
}

/* The newest run over a key, of the db_versions below one: what a row has that its
 * clock row does not name. */
int history_find_run(struct engine *e, const struct table *t, int64_t key,
    int64_t below, struct history_run *out);

/* The same of the db_versions after another one, all of which are looked at. */
int history_find_after(struct engine *e, const struct table *t, int64_t key,
    int64_t after, int64_t below, struct history_run *out);

/* The same where it is soon found by halving; else n is 0, which says nothing. */
int history_find_near(struct engine *e, const struct table *t, int64_t key,
    int64_t after, int64_t below, struct history_run *out);

#endif

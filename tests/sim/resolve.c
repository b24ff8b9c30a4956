// SPDX-License-Identifier: MPL-2.0
/*
 * resolve.c - a conflict is settled: what is left where the winner stays, and what
 * is written where the loser does, or a value that is given; it counts as reviewed.
 */
#include "acts.h"

#include <string.h>

#include "cells.h"
#include "store/past.h"

struct chosen {
	struct acts *a;
	struct site *s;
	uint64_t id;
	bool row;
	char *table, *pk, *column, *loser;      /* SQL texts; a row: NULL */
	uint64_t seen;
};

static int
on_conflict(void *self, const struct store_conflict *c)
{
	struct chosen *x = self;

	if (x->seen++ > 0 && rng_chance(&x->a->rng, 60))
		return 0;
	sqlite3_free(x->pk);
	sqlite3_free(x->table);
	sqlite3_free(x->column);
	sqlite3_free(x->loser);
	x->id = c->id;
	x->row = c->row;
	x->pk = acts_key(x->s, c->key, c->nkey);
	x->table = sqlite3_mprintf("%s", c->table);
	x->column = !c->row && c->nlost > 0 ? sqlite3_mprintf("%s",
	    c->lost[0].column) : NULL;
	x->loser = !c->row && c->nlost > 0 ? acts_quote(&c->lost[0].loser) : NULL;
	return 0;
}

/* The number 3 as its column has it. */
static const char *
three(const struct chosen *x)
{
	if (strcmp(x->table, "words") == 0 && strcspn(x->column, "cd") == 0)
		return "'3'";
	return strcmp(x->table, "numbers") == 0 && x->column[0] == 'y' ? "3.0" :
	    "3";
}

/* Everything but that cell is as it was. */
static void
compare(struct acts *a, struct site *s, const struct chosen *x,
    const char *value)
{
	char *want = value == NULL ? sqlite3_mprintf("SELECT tbl, pk, cid, quote(val) "
	    "FROM before") : sqlite3_mprintf("SELECT tbl, pk, cid, iif(tbl = %Q AND "
	    "pk = %s AND cid = iif(%Q = 'd', 'c', %Q), quote(%s), quote(val)) FROM "
	    "before", x->table, x->pk, x->column, x->column, value);

	if (cells_differ(a->db, s->name, want, "SELECT tbl, pk, cid, quote(val) FROM "
	    "now") > 0)
		acts_wrong(a, s, "conflict %llu of %s %s was settled otherwise",
		    (unsigned long long)x->id, x->table, x->pk);
	sqlite3_free(want);
}

static void
settle(struct acts *a, struct site *s, const struct chosen *x)
{
	static const struct store_value given = { .type = STORE_INTEGER,
		.integer = 3 };
	enum store_choice choice = rng_chance(&a->rng, 40) ? STORE_WINNER :
	    !x->row && rng_chance(&a->rng, 30) ? STORE_GIVEN : STORE_LOSER;
	struct err err = { .code = 0 };
	uint64_t before, after;
	int rc;

	store_conflict_count(s->store, &before, &err);
	cells_read(a->db, "before", s->app, s->schema.shape);
	rc = store_resolve(s->store, x->id, choice, choice == STORE_GIVEN ? &given :
	    NULL, &err);
	if (rc != 0 && (choice == STORE_WINNER || rc != E_NOTFOUND))
		acts_wrong(a, s, "conflict %llu can't be settled: %d %s",
		    (unsigned long long)x->id, rc, err.text);
	acts_wrote(a, s);
	cells_read(a->db, "now", s->app, s->schema.shape);
	if (choice == STORE_WINNER || rc != 0)
		compare(a, s, x, NULL);
	else if (x->column != NULL)
		compare(a, s, x, choice == STORE_LOSER ? x->loser : three(x));
	store_conflict_count(s->store, &after, &err);
	if (rc == 0 && after + 1 != before)
		acts_wrong(a, s, "conflict %llu does not count as reviewed",
		    (unsigned long long)x->id);
}

bool
resolve_act(struct acts *a, struct site *s)
{
	struct chosen x = { .a = a, .s = s };
	struct store_conflicts which = { .all = false };
	struct err err = { .code = 0 };

	if (store_conflict_each(s->store, &which, on_conflict, &x, &err) != 0)
		acts_wrong(a, s, "can't list conflicts: %s", err.text);
	if (x.id != 0)
		settle(a, s, &x);
	sqlite3_free(x.pk);
	sqlite3_free(x.table);
	sqlite3_free(x.column);
	sqlite3_free(x.loser);
	return x.id != 0;
}

// SPDX-License-Identifier: MPL-2.0
/* conflicts.c - conflicts, and settling them, in the public form. */
#include <stdlib.h>

#include "lib/history.h"

_Static_assert((int)DDCP_OURS == (int)STORE_OURS
    && (int)DDCP_THEIRS == (int)STORE_THEIRS
    && (int)DDCP_WINNER == (int)STORE_WINNER
    && (int)DDCP_LOSER == (int)STORE_LOSER
    && (int)DDCP_GIVEN == (int)STORE_GIVEN, "one list of choices");

struct walk {
	int (*each)(void *self, const ddcp_conflict *conflict);
	void *self;
	struct err *err;
};

static int
give(void *self, const struct store_conflict *c)
{
	const struct walk *w = self;
	ddcp_cell *key = calloc(c->nkey + 1, sizeof *key);
	ddcp_lost *lost = calloc(c->nlost + 1, sizeof *lost);
	ddcp_conflict out = { .id = c->id, .table = c->table, .key = key,
		.nkey = c->nkey, .rule = c->rule, .row = c->row, .lost = lost,
		.nlost = c->nlost, .winner = lib_author(&c->winner),
		.loser = lib_author(&c->loser),
		.winner_version = c->winner_version,
		.loser_version = c->loser_version, .time_ms = c->time_ms,
		.reviewed_ms = c->reviewed_ms };
	size_t i;
	int rc = key != NULL && lost != NULL ? 0 : err_nomem(w->err);

	for (i = 0; i < c->nkey && rc == 0; i++)
		key[i] = (ddcp_cell){ c->key[i].column,
			lib_value(&c->key[i].value) };
	for (i = 0; i < c->nlost && rc == 0; i++)
		lost[i] = (ddcp_lost){ c->lost[i].column,
			lib_value(&c->lost[i].winner),
			lib_value(&c->lost[i].loser) };
	if (rc == 0)
		rc = w->each(w->self, &out);
	free(key);
	free(lost);
	return rc;
}

int
ddcp_conflict_each(ddcp *d, const ddcp_conflict_options *options,
    int (*each)(void *self, const ddcp_conflict *conflict), void *self,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct walk w = { each, self, &err };
	struct store_conflicts which = { .all = false };

	if (options != NULL)
		which = (struct store_conflicts){ options->table,
			options->ntables, options->all };
	return lib_error(store_conflict_each(d->store, &which, give, &w, &err),
	    &err, error);
}

int
ddcp_resolve(ddcp *d, uint64_t id, enum ddcp_choice choice,
    const ddcp_value *value, ddcp_error *error)
{
	struct store_value given = { .type = STORE_NULL };
	struct err err = { .code = 0 };

	if (value != NULL)
		given = lib_store_value(value);
	return lib_error(store_resolve(d->store, id, (enum store_choice)choice,
	    &given, &err), &err, error);
}

int
ddcp_resolve_all(ddcp *d, uint64_t *n, ddcp_error *error)
{
	struct err err = { .code = 0 };
	uint64_t count;

	return lib_error(store_review_all(d->store, n != NULL ? n : &count, &err),
	    &err, error);
}

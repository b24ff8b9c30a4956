// SPDX-License-Identifier: MPL-2.0
/* diff.c - what merging would change: what the store finds, in the public form. */
#include "lib/history.h"

#include <stdlib.h>

struct diff_walk {
	int (*each)(void *self, const ddcp_diff_row *row);
	void *self;
	struct err *err;
};

static int
give_row(void *self, const struct store_diff_row *r)
{
	const struct diff_walk *w = self;
	ddcp_cell *key = calloc(r->nkey + 1, sizeof *key);
	ddcp_diff_cell *cell = calloc(r->ncell + 1, sizeof *cell);
	ddcp_diff_row out = { .kind = (enum ddcp_change_kind)r->kind,
		.table = r->table, .key = key, .nkey = r->nkey, .cell = cell,
		.ncell = r->ncell, .author = lib_author(&r->author),
		.version = r->version, .time_ms = r->time_ms };
	size_t i;
	int rc = key == NULL || cell == NULL ? err_nomem(w->err) : 0;

	for (i = 0; i < r->nkey && rc == 0; i++)
		key[i] = (ddcp_cell){ r->key[i].column,
			lib_value(&r->key[i].value) };
	for (i = 0; i < r->ncell && rc == 0; i++)
		cell[i] = (ddcp_diff_cell){ r->cell[i].column,
			r->cell[i].was_known, lib_value(&r->cell[i].before),
			lib_value(&r->cell[i].after) };
	if (rc == 0)
		rc = w->each(w->self, &out);
	free(key);
	free(cell);
	return rc;
}

static bool
is_asked(void *stop)
{
	return ((const struct stop *)stop)->asked != 0;
}

int
ddcp_diff(ddcp *d, const ddcp_diff_options *options,
    int (*each)(void *self, const ddcp_diff_row *row), void *self,
    ddcp_diff_sum *sum, ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct diff_walk w = { each, self, &err };
	struct store_diff what = { .stop = is_asked, .arg = &d->stop };
	struct store_diff_sum found = { .rows = 0 };
	int rc = lib_idle(d, &err);

	if (options != NULL) {
		what.remote = options->remote;
		what.table = options->table;
		what.ntables = options->ntables;
	}
	if (rc == 0)
		rc = lib_remote_known(d, what.remote, &err);
	if (rc == 0)
		rc = store_diff(d->store, &what, give_row, &w, &found, &err);
	if (sum != NULL)
		*sum = (ddcp_diff_sum){ found.transactions, found.rows,
			found.parked };
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}

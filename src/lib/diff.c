// SPDX-License-Identifier: MPL-2.0
/* diff.c - what merging would change, and taking it back, in the public form. */
#include "lib/history.h"

#include <stdlib.h>

struct lib_row {
	ddcp_diff_row row;
	ddcp_cell *key;
	ddcp_diff_cell *cell;
};

static void
row_clear(struct lib_row *r)
{
	free(r->key);
	free(r->cell);
}

/* A view of r, but for the lists, which row_clear frees, also after failure. */
static int
row_init(struct lib_row *out, const struct store_diff_row *r, struct err *err)
{
	ddcp_cell *key = out->key = calloc(r->nkey + 1, sizeof *key);
	ddcp_diff_cell *cell = out->cell = calloc(r->ncell + 1, sizeof *cell);
	size_t i;

	if (key == NULL || cell == NULL)
		return err_nomem(err);
	for (i = 0; i < r->nkey; i++)
		key[i] = (ddcp_cell){ r->key[i].column,
			lib_value(&r->key[i].value) };
	for (i = 0; i < r->ncell; i++)
		cell[i] = (ddcp_diff_cell){ r->cell[i].column,
			r->cell[i].was_known, lib_value(&r->cell[i].before),
			lib_value(&r->cell[i].after) };
	out->row = (ddcp_diff_row){ .kind = (enum ddcp_change_kind)r->kind,
		.table = r->table, .key = key, .nkey = r->nkey, .cell = cell,
		.ncell = r->ncell, .author = lib_author(&r->author),
		.version = r->version, .time_ms = r->time_ms };
	return 0;
}

/* -- diff ------------------------------------------------------------------------ */

struct diff_walk {
	int (*each)(void *self, const ddcp_diff_row *row);
	void *self;
	struct err *err;
};

static int
give_row(void *self, const struct store_diff_row *r)
{
	const struct diff_walk *w = self;
	struct lib_row out;
	int rc = row_init(&out, r, w->err);

	if (rc == 0)
		rc = w->each(w->self, &out.row);
	row_clear(&out);
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

/* -- undo ------------------------------------------------------------------------ */

struct undo_walk {
	int (*each)(void *self, const ddcp_undone *row);
	void *self;
	struct err *err;
};

static int
give_undone(void *self, const struct store_undone *u)
{
	const struct undo_walk *w = self;
	struct lib_row r;
	int rc = row_init(&r, &u->row, w->err);
	ddcp_undone out = { .row = r.row, .nleft = u->nleft, .why = u->why };

	if (rc == 0)
		rc = w->each(w->self, &out);
	row_clear(&r);
	return rc;
}

int
ddcp_undo(ddcp *d, const ddcp_undo_options *options,
    int (*each)(void *self, const ddcp_undone *row), void *self,
    ddcp_undo_sum *sum, ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct undo_walk w = { each, self, &err };
	struct store_undo what = { .name = NULL };
	struct store_undo_sum found = { .done = 0 };
	int rc = lib_idle(d, &err);

	if (options != NULL)
		what = (struct store_undo){ options->name, options->dry_run };
	if (rc == 0)
		rc = store_undo(d->store, &what, give_undone, &w, &found, &err);
	if (sum != NULL)
		*sum = (ddcp_undo_sum){ found.done, found.partly, found.left };
	return lib_error(rc, &err, error);
}

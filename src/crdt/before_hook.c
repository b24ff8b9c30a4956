// SPDX-License-Identifier: MPL-2.0
/*
 * before_hook.c - old values as the preupdate hook has them: SQLite has the row in
 * hand as it writes it, so that it need not be read before.  Another hook may have
 * taken the place of ours, and then nobody tells: of the first row that an import
 * writes the values are read, and that the hook told of it says that it will tell of
 * the others.
 */
#include "crdt/before.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/merge.h"
#include "crdt/preupdate.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

bool
before_comes(const struct engine *e, const struct table *t)
{
	return e->incoming->watch.proven && !t->aside && !t->mistyped &&
	    t->ncol > 0;
}

bool
before_watch(struct engine *e, struct merge_row *row, const int *cols, int n)
{
	struct before_watch *w = &e->incoming->watch;

	w->row = row;
	w->cols = cols;
	w->n = cols != NULL ? n : row->table->ncol;
	/* between two statements of crsql_changes a hook may change hands */
	w->take = row->here == NULL && row->origin->via == MERGE_IMPORT &&
	    before_comes(e, row->table);
	w->told = false;
	w->rc = SQLITE_OK;
	return w->take;
}

int
before_written(struct engine *e, int rc)
{
	struct before_watch *w = &e->incoming->watch;

	if (w->row == NULL)
		return rc;
	w->row = NULL;
	w->proven |= w->told;
	if (rc != SQLITE_OK || !w->take)
		return rc;
	return w->told ? w->rc : engine_fail(e, SQLITE_ERROR, "another hook took the "
	    "place of the one that notes writes, in the midst of a merge");
}

/* One old value.  What SQLite does not say of a column that is younger than the row,
 * which may be older than its table is replicated, capture_old_value says. */
static int
old_value(struct engine *e, struct table *t, int64_t key, int i,
    sqlite3_stmt **row, struct val *out)
{
	const struct column *c = &t->col[i];
	sqlite3_value *v;
	int rc = e->preupdate->old_value(e->db, c->position, &v);

	if (rc != SQLITE_OK)
		return rc;
	*out = e->encoding == ENCODING_UTF8 ? val_of_stored(v) : val_of(v);
	if (out->data == NULL && out->len > 0)
		return SQLITE_NOMEM;
	return out->type == SQLITE_NULL && c->has_default ?
	    capture_old_value(e, t, key, NULL, i, row, out) : rc;
}

static int
take(struct engine *e, struct before_watch *w)
{
	struct merge_row *row = w->row;
	sqlite3_stmt *read = NULL;
	struct val v;
	int i, c, rc = storage_read_encoding(e);

	for (i = 0; i < w->n && rc == SQLITE_OK; i++) {
		c = w->cols != NULL ? w->cols[i] : i;
		if (row->win[c].won)
			continue;       /* the old one was noted */
		rc = old_value(e, row->table, row->key, c, &read, &v);
		if (rc == SQLITE_OK && !before_add(&row->before,
		    row->table->col[c].cid, &v))
			break;
	}
	rc = read != NULL ? engine_reset(read, rc) : rc;
	return rc == SQLITE_OK && row->before.cells.failed ? SQLITE_NOMEM : rc;
}

/* A trigger may write the row before we do: what it was then was there. */
void
before_told(struct engine *e, int op, const char *schema, const char *name,
    int64_t key)
{
	struct before_watch *w = &e->incoming->watch;

	if (w->told || op == SQLITE_INSERT || key != w->row->key ||
	    strcmp(name, w->row->table->name) != 0 || strcmp(schema, "main") != 0)
		return;
	w->told = true;
	if (w->take)
		w->rc = take(e, w);
}

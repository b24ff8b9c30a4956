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
add_old(struct engine *e, struct merge_row *row, int i, sqlite3_stmt **read)
{
	const struct column *c = &row->table->col[i];
	struct before *b = &row->before;
	sqlite3_value *given;
	struct val v;
	int rc = e->preupdate->old_value(e->db, c->position, &given);

	if (rc != SQLITE_OK)
		return rc;
	if (c->has_default && sqlite3_value_type(given) == SQLITE_NULL) {
		rc = capture_old_value(e, row->table, row->key, NULL, i, read, &v);
	} else if (e->encoding == ENCODING_UTF8) {
		/* most are this: no more is done than must be */
		if (!val_encode_stored_at(&b->cells, c->cid, given, BEFORE_MAX_BYTES))
			b->kind = BEFORE_LARGE;
		return rc;
	} else {
		v = val_of(given);
		if (v.data == NULL && v.len > 0)
			rc = SQLITE_NOMEM;
	}
	if (rc == SQLITE_OK)
		before_add(b, c->cid, &v);
	return rc;
}

static int
take(struct engine *e, struct before_watch *w)
{
	struct merge_row *row = w->row;
	struct before *b = &row->before;
	sqlite3_stmt *read = NULL;
	int i, c, rc = storage_read_encoding(e);

	for (i = 0; i < w->n && rc == SQLITE_OK && b->kind != BEFORE_LARGE; i++) {
		c = w->cols != NULL ? w->cols[i] : i;
		if (!row->win[c].won)   /* else the old one was noted */
			rc = add_old(e, row, c, &read);
	}
	rc = read != NULL ? engine_reset(read, rc) : rc;
	return rc == SQLITE_OK && b->cells.failed ? SQLITE_NOMEM : rc;
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

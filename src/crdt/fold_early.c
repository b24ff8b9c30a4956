// SPDX-License-Identifier: MPL-2.0
/* fold_early.c - see fold_early.h. */
#include "crdt/fold_early.h"

#include <string.h>

#include "crdt/keymap.h"

SQLITE_EXTENSION_INIT3

struct early {
	struct engine *e;
	struct record_list *l;
	int journalled;
	struct keymap next;     /* by table and key: the next record of it ... */
	bool *gone;             /* by record: an INSERT whose row is not there, and
	                           that no record takes away */
};

/* Notes that record i is the next one of its keys. */
static void
note(struct early *w, int i)
{
	const struct record *r = &w->l->record[i];

	keymap_set(&w->next, r->table, r->key, i);
	if (r->op == RECORD_MOVE)
		keymap_set(&w->next, r->table, r->n, i);
}

/* Whether the row that INSERT i puts there is gone without a record behind it. */
static int
look(struct early *w, int i)
{
	const struct record *r = &w->l->record[i];
	struct table *t = table_by_id(w->e, r->table);
	int j = keymap_get(&w->next, r->table, r->key), npk, rc;
	uint8_t *pk;

	if (j >= 0)     /* another one came, with none that left */
		w->gone[i] = w->l->record[j].op == RECORD_INSERT;
	if (j >= 0 || i >= w->journalled || t->bare)
		return SQLITE_OK;
	rc = table_pk_of_key(w->e, t, r->key, &pk, &npk);
	w->gone[i] = pk == NULL;
	sqlite3_free(pk);
	return rc;
}

/* The INSERT at j comes before the records from i on. */
static void
pull_up(struct early *w, int i, int j)
{
	struct record r = w->l->record[j];
	int k;

	for (k = j; k > i; k--) {
		w->l->record[k] = w->l->record[k - 1];
		w->gone[k] = w->gone[k - 1];
		note(w, k);
	}
	w->l->record[i] = r;
	w->gone[i] = false;     /* by the one behind it */
	note(w, i);
}

/* The key that a row leaves by record i, which may be told early. */
static bool
leaves(const struct record *r, int64_t *key)
{
	*key = r->op == RECORD_MOVE ? r->n : r->key;
	return r->op == RECORD_MOVE ||
	    (r->op == RECORD_DELETE && r->mask == FOLD_REKEYED);
}

static int
work(struct early *w)
{
	int64_t key;
	int i, j, rc = SQLITE_OK;

	for (i = w->l->n - 1; i >= 0 && rc == SQLITE_OK; i--) {
		const struct record *r = &w->l->record[i];

		if (table_by_id(w->e, r->table) == NULL)
			continue;
		j = i < w->journalled && leaves(r, &key) ? keymap_get(&w->next, r->table, key) : -1;
		if (r->op == RECORD_INSERT)
			rc = look(w, i);
		if (j >= 0 && w->l->record[j].op == RECORD_INSERT && w->gone[j])
			pull_up(w, i, j);
		else
			note(w, i);
	}
	return rc;
}

int
fold_early(struct engine *e, struct record_list *l, int journalled)
{
	struct early w = { .e = e, .l = l, .journalled = journalled };
	int rc = keymap_init(&w.next, l->n * 2);

	w.gone = sqlite3_malloc64((uint64_t)l->n + 1);
	if (w.gone == NULL)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK) {
		memset(w.gone, 0, (size_t)l->n + 1);
		rc = work(&w);
	}
	keymap_free(&w.next);
	sqlite3_free(w.gone);
	return rc;
}

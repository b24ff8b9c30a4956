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
	enum gone {
		IS_THERE, MAY_BE_GONE, IS_GONE
	} *gone;                /* by record: an INSERT or UPDATE whose row is not
	                           there, and that no record takes away */
};

/* Notes that record i is the next one of its keys. */
static void
note(struct early *w, int i)
{
	const struct record *r = &w->l->record[i];

	keymap_set(&w->next, r->table, r->key, i);
	if (r->op == RECORD_MOVE || r->op == RECORD_REPLACE)
		keymap_set(&w->next, r->table, r->n, i);
}

static bool
is_row(const struct record *r)
{
	return r->op == RECORD_INSERT || r->op == RECORD_UPDATE;
}

/* Whether the row that record i tells of is gone without a record behind it, if that
 * is to be known by the records. */
static enum gone
look(const struct early *w, int i)
{
	const struct record *r = &w->l->record[i];
	int j = keymap_get(&w->next, r->table, r->key);

	if (j >= 0)     /* another one came, with none that left */
		return w->l->record[j].op == RECORD_INSERT ? IS_GONE : IS_THERE;
	return i < w->journalled && !table_by_id(w->e, r->table)->bare ? MAY_BE_GONE :
	    IS_THERE;
}

/* The table is asked only for what may have left early. */
static int
look_at_table(struct early *w, int i)
{
	const struct record *r = &w->l->record[i];
	uint8_t *pk = NULL;
	int npk, rc = SQLITE_OK;

	if (!is_row(r) || w->gone[i] != MAY_BE_GONE)
		return SQLITE_OK;
	rc = table_pk_of_key(w->e, table_by_id(w->e, r->table), r->key, &pk, &npk);
	w->gone[i] = pk == NULL ? IS_GONE : IS_THERE;
	sqlite3_free(pk);
	return rc;
}

/* Record j comes before the records from i on. */
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
	w->gone[i] = IS_THERE;  /* by the one behind it */
	note(w, i);
}

/* The key that a row leaves by record i, which may be told early. */
static bool
leaves(const struct record *r, int64_t *key)
{
	*key = r->op == RECORD_MOVE ? r->n : r->key;
	return r->op == RECORD_MOVE || r->op == RECORD_DELETE;
}

/* The first record from which on something may be told early: there a row leaves, and
 * one comes or changes behind that.  l->n if there is none. */
static int
first_of(const struct record_list *l, int journalled)
{
	int64_t key;
	int i, last = l->n - 1;

	while (last >= 0 && !is_row(&l->record[last]))
		last--;
	for (i = 0; i < journalled && i < last; i++)
		if (leaves(&l->record[i], &key))
			return i;
	return l->n;
}

static int
work(struct early *w, int first)
{
	int64_t key;
	int i, j, rc = SQLITE_OK;

	for (i = w->l->n - 1; i >= first && rc == SQLITE_OK; i--) {
		const struct record *r = &w->l->record[i];

		if (table_by_id(w->e, r->table) == NULL)
			continue;
		j = i < w->journalled && leaves(r, &key) ? keymap_get(&w->next, r->table, key) : -1;
		w->gone[i] = is_row(r) ? look(w, i) : IS_THERE;
		if (j >= 0)
			rc = look_at_table(w, j);
		if (j >= 0 && is_row(&w->l->record[j]) && w->gone[j] == IS_GONE)
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
	int first = first_of(l, journalled), rc;

	if (first == l->n)
		return SQLITE_OK;
	rc = keymap_init(&w.next, (l->n - first) * 2);
	w.gone = sqlite3_malloc64(sizeof *w.gone * ((uint64_t)l->n + 1));
	if (w.gone == NULL)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = work(&w, first);
	keymap_free(&w.next);
	sqlite3_free(w.gone);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * fold_hw.c - see fold_hw.h.  A row that the list did not put there was there
 * before; so was the row of a record whose key no earlier record filled.
 */
#include "crdt/fold_hw.h"

#include <string.h>

#include "crdt/keymap.h"

SQLITE_EXTENSION_INIT3

struct inserts {            /* of one table */
	bool any;
	bool simple;            /* nothing else, and key after key */
	int64_t first, last;
};

static bool
is_insert(const struct record *r)
{
	return r->op == RECORD_INSERT || r->op == RECORD_RUN;
}

static struct inserts
look(const struct fold_list *l, int table)
{
	struct inserts s = { false, true, 0, 0 };
	const struct record *r;
	int i;

	for (i = l->from; i < l->to; i++) {
		r = &l->list->record[i];
		if (r->table != table)
			continue;
		if (!is_insert(r) || (s.any && r->key != s.last + 1))
			s.simple = false;
		if (!is_insert(r))
			continue;
		if (!s.any)
			s.first = r->key;
		s.any = true;
		s.last = r->key + (r->op == RECORD_RUN ? r->n - 1 : 0);
	}
	return s;
}

static void
raise_to(int64_t *top, int64_t key)
{
	if (key > *top)
		*top = key;
}

/* Notes the keys that the list fills; *top is the highest key that was in use
 * before by the list itself. */
static void
fill(const struct fold_list *l, int table, struct keymap *filled,
    int64_t *top)
{
	const struct record *r;
	int64_t k;
	int i;

	for (i = l->from; i < l->to; i++) {
		r = &l->list->record[i];
		if (r->table != table)
			continue;
		if (r->op == RECORD_INSERT)
			keymap_set(filled, table, r->key, 1);
		else if (r->op == RECORD_RUN || r->op == RECORD_UPDATE)
			for (k = 0; k < r->n; k++) {
				if (r->op == RECORD_RUN)
					keymap_set(filled, table, r->key + k, 1);
				else if (keymap_get(filled, table,
				    r->key + k) < 0)
					raise_to(top, r->key + k);
			}
		else if (r->op == RECORD_DELETE) {
			if (keymap_get(filled, table, r->key) < 0)
				raise_to(top, r->key);
		} else {
			if (keymap_get(filled, table, r->n) < 0)
				raise_to(top, r->n);
			keymap_set(filled, table, r->key, 1);
		}
	}
}

static int
count_filled(const struct fold_list *l, int table)
{
	const struct record *r;
	int i, n = 0;

	for (i = l->from; i < l->to; i++) {
		r = &l->list->record[i];
		if (r->table == table)
			n += r->op == RECORD_RUN ? (int)r->n : 1;
	}
	return n;
}

/* The highest key in the table that the list did not fill. */
static int
highest_unfilled(struct engine *e, const struct table *t,
    const struct keymap *filled, int64_t *top)
{
	sqlite3_stmt *stmt;
	int64_t key;
	int rc = engine_prepare(e, &stmt, "SELECT %s FROM %s ORDER BY %s "
	    "DESC", t->rowid, t->from, t->rowid);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		key = sqlite3_column_int64(stmt, 0);
		if (keymap_get(filled, t->id, key) >= 0)
			continue;
		raise_to(top, key);
		break;
	}
	return engine_finalize(stmt, rc);
}

static int
lower(struct engine *e, struct table *t, const struct fold_list *l)
{
	struct inserts s = look(l, t->id);
	struct keymap filled;
	int64_t top = 0, stored = 0, now = 0;
	int rc;

	/* numbers are given by the list, and before that it was read */
	if (!s.any || t->aside)
		return SQLITE_OK;
	rc = engine_int(e, &stored, "SELECT coalesce(hw, 0) FROM crsql_tbl WHERE "
	    "id = %d", t->id);
	if (rc == SQLITE_OK)
		rc = table_max_key(e, t, INT64_MAX, &now);
	if (rc != SQLITE_OK)
		return rc;
	if (s.simple && now == s.last) {
		rc = table_max_key(e, t, s.first, &top);
	} else {
		rc = keymap_init(&filled, count_filled(l, t->id));
		if (rc != SQLITE_OK)
			return rc;
		fill(l, t->id, &filled, &top);
		rc = highest_unfilled(e, t, &filled, &top);
		keymap_free(&filled);
	}
	t->hw = top > stored ? top : stored;
	return rc;
}

int
fold_lower_hw(struct engine *e, const struct fold_list *l)
{
	bool *written = sqlite3_malloc64((uint64_t)e->tables.n + 1);
	const struct table *t = NULL;
	int i, rc = SQLITE_OK;

	if (written == NULL)
		return SQLITE_NOMEM;
	memset(written, 0, (size_t)e->tables.n + 1);
	for (i = l->from; i < l->to; i++) {
		if (t == NULL || t->id != l->list->record[i].table)
			t = table_by_id(e, l->list->record[i].table);
		if (t != NULL)
			written[t - e->tables.table] = true;
	}
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++)
		if (written[i])
			rc = lower(e, &e->tables.table[i], l);
	sqlite3_free(written);
	return rc;
}

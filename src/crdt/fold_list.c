// SPDX-License-Identifier: MPL-2.0
#include "crdt/fold_list.h"

#include <string.h>

#include "crdt/fold_early.h"
#include "crdt/journal.h"
#include "crdt/keymap.h"
#include "crdt/lookaside.h"
#include "crdt/mask.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* A hint of the journal, until it is resolved: key, pk as of DELETE. */
enum { RECORD_HINT = RECORD_MOVE + 1, RECORD_NOTHING };

/* -- reading the journal ------------------------------------------------------------ */

struct reading {
	struct engine *e;
	struct record_list *list;
	bool hints;
	bool leave;             /* rows left their keys, be it early */
};

static int
add_named(struct record_list *l, enum record_op op, int table, int64_t key,
    const struct journal_record *j)
{
	struct record *r = record_add(l, op, table, key);

	if (r == NULL)
		return SQLITE_NOMEM;
	return j->npk > 0 ? record_set_pk(l, r, j->pk, (size_t)j->npk)
	    : SQLITE_OK;
}

/* Columns that the trigger which noted an update did not know may have changed. */
static void
add_untold(const struct table *t, struct mask *m, struct buf *high)
{
	int i;

	for (i = 0; i < t->ncol && t->old_triggers; i++)
		if (t->col[i].untold)
			mask_add(m, high, t->col[i].cid);
	mask_end(m, high);
}

/* A journalled update names columns; NULL means all, and so does what can't be
 * read. */
static int
add_update(struct reading *rd, const struct journal_record *j)
{
	struct table *t = table_by_id(rd->e, j->table);
	struct mask mask = mask_empty();
	struct buf *high = &rd->list->bytes;
	size_t from, pk = high->len;
	bool all = j->all;
	struct record *r;

	buf_add(high, j->pk, (size_t)j->npk);
	from = high->len;
	if (!all && j->text == NULL)
		mask.bits = (uint64_t)j->mask;
	else if (!all)
		all = !mask_read_text(&mask, high, j->text);
	if (!all)
		add_untold(t, &mask, high);
	if (high->failed)
		return SQLITE_NOMEM;
	if (all)
		high->len = from;
	if (!all && mask.bits == 0 && high->len == from)
		return SQLITE_OK;
	r = record_add(rd->list, RECORD_UPDATE, j->table, j->key);
	if (r == NULL)
		return SQLITE_NOMEM;
	r->n = 1;
	r->mask = all ? 0 : mask.bits;
	r->pk = (uint32_t)from;
	r->npk = (uint32_t)(high->len - from);
	r->nname = (uint32_t)(from - pk);
	return SQLITE_OK;
}

static int
on_journal(void *self, const struct journal_record *j)
{
	struct reading *rd = self;
	struct record_list *l = rd->list;
	int rc;

	switch (j->op) {
	case JOURNAL_INSERT:
		return add_named(l, RECORD_INSERT, j->table, j->key, j);
	case JOURNAL_UPDATE:
		return add_update(rd, j);
	case JOURNAL_DELETE:
		rd->leave = true;
		return add_named(l, RECORD_DELETE, j->table, j->key, j);
	case JOURNAL_HINT:
		rd->hints = true;
		return add_named(l, (enum record_op)RECORD_HINT, j->table, j->key, j);
	case JOURNAL_REKEY:
		rc = add_named(l, RECORD_DELETE, j->table, j->mask, j);
		rd->leave = true;
		if (rc == SQLITE_OK && record_add(l, RECORD_INSERT, j->table,
		    j->key) == NULL)
			rc = SQLITE_NOMEM;
		return rc;
	case JOURNAL_MOVE:
		rc = add_named(l, RECORD_MOVE, j->table, j->key, j);
		if (rc == SQLITE_OK)
			l->record[l->n - 1].n = j->mask;
		rd->leave = true;
		return rc;
	}
	return SQLITE_OK;
}

/* Copies what was captured behind the journal; with hints every row by
 * itself, so that each can be found by its key. */
static int
copy_captured(struct record_list *l, const struct capture *c, bool singly)
{
	const struct record *from;
	struct record *to;
	int64_t k, n;
	int i, rc = SQLITE_OK;

	for (i = c->folded; i < c->list.n && rc == SQLITE_OK; i++) {
		from = &c->list.record[i];
		n = singly && (from->op == RECORD_RUN || from->op == RECORD_UPDATE)
		    ? from->n : 1;
		for (k = 0; k < n && rc == SQLITE_OK; k++) {
			to = record_add(l, from->op, from->table, from->key + k);
			if (to == NULL)
				return SQLITE_NOMEM;
			to->n = n > 1 ? 1 : from->n;
			to->mask = from->mask;
			to->changes = from->changes;
			if (from->npk + from->nname == 0)
				continue;
			to->nname = from->nname;
			buf_add(&l->bytes, record_pk(&c->list, from) - from->nname,
			    from->nname);
			rc = record_set_pk(l, to, record_pk(&c->list, from),
			    from->npk);
		}
	}
	return rc;
}

/* -- keys ------------------------------------------------------------------------------ */

/* Records of tables whose rows have numbers by their pk get them; again, if they
 * had them in a savepoint that is gone. */
static int
find_keys(struct engine *e, struct record_list *l, int from)
{
	struct table *t = NULL;
	struct record *r;
	const uint8_t *pk;
	int i, npk, rc = SQLITE_OK;

	for (i = from; i < l->n && rc == SQLITE_OK && e->tables.any_aside; i++) {
		r = &l->record[i];
		if (t == NULL || t->id != r->table)
			t = table_by_id(e, r->table);
		pk = record_name(l, r, &npk);
		if (t == NULL || !t->aside || !t->numbered || npk == 0)
			continue;
		/* who only looks gives none */
		rc = lookaside_number(e, t, pk, npk, e->merging > 0, &r->key);
		if (r->op == RECORD_REPLACE)
			r->n = r->key;
	}
	return rc;
}

/* -- hints ----------------------------------------------------------------------------- */

static bool
same_pk(const struct record_list *l, const struct record *a,
    const struct record *b)
{
	return a->npk == b->npk && memcmp(record_pk(l, a), record_pk(l, b),
	    a->npk) == 0;
}

/* The same of a table that was made anew since, where rows have other rowids: the
 * pk is there, and came there by no record (table_is_named). */
static int
kept_pk(struct engine *e, struct table *t, const struct record_list *l,
    const struct record *r, bool *there)
{
	const struct record *next;
	int64_t key;
	int rc = table_find_key(e, t, record_pk(l, r), (int)r->npk, there, &key);

	for (next = r + 1; next < l->record + l->n && *there; next++)
		*there = next->op != RECORD_INSERT || next->table != r->table ||
		    !same_pk(l, next, r);
	return rc;
}

/* True if the row with that key and pk is there now. */
static int
still_there(struct engine *e, const struct record_list *l,
    const struct record *r, bool *there)
{
	struct table *t = table_by_id(e, r->table);
	uint8_t *pk;
	int npk, rc;

	if (t->bare)
		return kept_pk(e, t, l, r, there);
	rc = table_pk_of_key(e, t, r->key, &pk, &npk);
	*there = pk != NULL && npk == (int)r->npk &&
	    memcmp(pk, record_pk(l, r), r->npk) == 0;
	sqlite3_free(pk);
	return rc;
}

/* True if r puts another row at the key. */
static bool
puts_row(const struct record *r, int64_t key)
{
	return r->op == RECORD_INSERT || r->op == RECORD_RUN ||
	    ((r->op == RECORD_MOVE || r->op == RECORD_REPLACE) &&
	    r->key == key && r->n != key);
}

/* True if nothing but hints and deletes stands between two records: they are
 * of one statement. */
static bool
together(const struct record_list *l, int from, int to)
{
	int i;

	for (i = from + 1; i < to; i++)
		if ((int)l->record[i].op < RECORD_HINT && l->record[i].op != RECORD_DELETE)
			return false;
	return true;
}

/* True if record i changes the row that the next record of its key, j, puts
 * there: a younger trigger than ours, of the user's, changed the new row before
 * ours told of it.  A row that was there before would have left by now. */
static bool
is_early(const struct record_list *l, int i, int j)
{
	return l->record[i].op == RECORD_UPDATE && j >= 0 &&
	    l->record[j].op == RECORD_INSERT;
}

/* A hinted row died iff the next record of its key puts a row there, or there
 * is none and the table has no such row now.  What died becomes a DELETE where
 * the hint stood, what lived on nothing. */
static int
resolve_hints(struct engine *e, struct record_list *l)
{
	struct record *r;
	struct keymap next;
	bool there;
	int i, j, rc = keymap_init(&next, l->n);

	for (i = l->n - 1; i >= 0 && rc == SQLITE_OK; i--) {
		r = &l->record[i];
		if ((int)r->op == RECORD_HINT) {
			j = keymap_get(&next, r->table, r->key);
			if (j >= 0) {
				there = !puts_row(&l->record[j], r->key);
			} else {
				rc = still_there(e, l, r, &there);
			}
			/* with recursive_triggers its delete is recorded too */
			if (j >= 0 && l->record[j].op == RECORD_DELETE &&
			    together(l, i, j))
				l->record[j].changes = 1;
			keymap_set(&next, r->table, r->key, i);
			r->op = there ? (enum record_op)RECORD_NOTHING : RECORD_DELETE;
			r->changes = there ? 0 : 1;     /* by REPLACE */
			continue;
		}
		if (is_early(l, i, keymap_get(&next, r->table, r->key))) {
			r->op = (enum record_op)RECORD_NOTHING;
			continue;       /* the INSERT has all columns */
		}
		keymap_set(&next, r->table, r->key, i);
		if (r->op == RECORD_REPLACE || r->op == RECORD_MOVE)
			keymap_set(&next, r->table, r->n, i);
	}
	keymap_free(&next);
	return rc;
}

static void
drop_nothings(struct record_list *l)
{
	int i, n = 0;

	for (i = 0; i < l->n; i++)
		if ((int)l->record[i].op != RECORD_NOTHING)
			l->record[n++] = l->record[i];
	l->n = n;
}

/* -- keys that rows leave ------------------------------------------------------------------ */

static bool
leaves(const struct record *r, int64_t *key)
{
	*key = r->op == RECORD_DELETE ? r->key : r->n;
	return r->op == RECORD_DELETE || r->op == RECORD_REPLACE ||
	    r->op == RECORD_MOVE;
}

/* Needed only where a row that was inserted may be gone again. */
static int
find_leaves(struct fold_list *f)
{
	const struct record *r;
	bool any = false;
	struct keymap map;
	int64_t key;
	int i, n = f->to - f->from, rc;

	for (i = f->from; i < f->to && !any; i++)
		any = leaves(&f->list->record[i], &key);
	if (!any)
		return SQLITE_OK;
	f->leave = sqlite3_malloc64(sizeof *f->leave * (uint64_t)(n + 1));
	rc = f->leave ? keymap_init(&map, n) : SQLITE_NOMEM;
	if (rc != SQLITE_OK)
		return rc;
	for (i = f->to - 1; i >= f->from; i--) {
		r = &f->list->record[i];
		f->leave[i - f->from] = keymap_get(&map, r->table, r->key);
		if (leaves(r, &key))
			keymap_set(&map, r->table, key, i);
	}
	keymap_free(&map);
	return SQLITE_OK;
}

int
fold_list_pk(struct engine *e, const struct fold_list *l, int i,
    struct buf *b, bool *found)
{
	const struct record *r = &l->list->record[i];
	struct table *t = table_by_id(e, r->table);
	const uint8_t *name;
	uint8_t *pk;
	int next, npk, rc;

	b->len = 0;
	*found = true;
	if (r->npk > 0 && !t->aside) {
		buf_add(b, record_pk(l->list, r), r->npk);
		return b->failed ? SQLITE_NOMEM : SQLITE_OK;
	}
	while (l->leave != NULL && (next = l->leave[i - l->from]) >= 0) {
		r = &l->list->record[next];
		if (r->op != RECORD_MOVE) {
			buf_add(b, record_pk(l->list, r), r->npk);
			return b->failed ? SQLITE_NOMEM : SQLITE_OK;
		}
		i = next;
	}
	rc = table_pk_of_key(e, t, r->key, &pk, &npk);
	name = pk;
	/* in the midst of a statement the index by which it is sought may lack it */
	if (rc == SQLITE_OK && pk == NULL && e->capture->paused > 0)
		name = record_name(l->list, r, &npk);
	*found = name != NULL && npk > 0;
	if (*found)
		buf_add(b, name, (size_t)npk);
	sqlite3_free(pk);
	return rc == SQLITE_OK && b->failed ? SQLITE_NOMEM : rc;
}

/* A DELETE by REPLACE that is followed by the INSERT of the same pk is a
 * REPLACE of that row (R6). */
static int
find_replaces(struct engine *e, struct fold_list *f)
{
	struct record *list = f->own.record, *d, *r;
	struct buf b;
	bool found;
	int i, j, rc = SQLITE_OK;

	buf_init(&b, INT32_MAX);
	for (i = 0; i < f->own.n && rc == SQLITE_OK; i++) {
		d = &list[i];
		if (d->op != RECORD_DELETE || d->changes != 1)
			continue;
		for (j = i + 1; j < f->own.n && list[j].op == RECORD_DELETE &&
		    list[j].changes == 1; j++)
			;
		if (j == f->own.n || list[j].op != RECORD_INSERT ||
		    list[j].table != d->table)
			continue;
		r = &list[j];
		rc = fold_list_pk(e, f, j, &b, &found);
		if (rc != SQLITE_OK || !found || b.len != d->npk ||
		    memcmp(b.data, record_pk(&f->own, d), b.len) != 0)
			continue;
		r->op = RECORD_REPLACE;
		r->n = d->key;
		r->pk = d->pk;
		r->npk = d->npk;
		d->op = (enum record_op)RECORD_NOTHING;
	}
	buf_clear(&b);
	return rc;
}

int
fold_list_make(struct engine *e, bool with_journal, struct fold_list *f)
{
	struct reading rd = { e, &f->own, false, false };
	struct capture *c = e->capture;
	int i, journalled, rc = SQLITE_OK;

	memset(f, 0, sizeof *f);
	buf_init(&f->own.bytes, 1 << 30);
	f->list = &c->list;
	f->from = c->folded;
	f->to = c->list.n;
	if (!with_journal) {
		rc = find_keys(e, &c->list, f->from);
		return rc == SQLITE_OK ? find_leaves(f) : rc;
	}
	rc = journal_read(e, on_journal, &rd);
	journalled = f->own.n;
	if (rc == SQLITE_OK)
		rc = copy_captured(&f->own, c, rd.hints);
	if (rc == SQLITE_OK)
		rc = find_keys(e, &f->own, 0);
	if (rc == SQLITE_OK && rd.leave)
		rc = fold_early(e, &f->own, journalled);
	for (i = 0; i < f->own.n; i++)
		if (!rd.hints || f->own.record[i].op == RECORD_DELETE)
			f->own.record[i].changes = 0;
	if (rc == SQLITE_OK && rd.hints) {
		rc = resolve_hints(e, &f->own);
		drop_nothings(&f->own);
	}
	f->list = &f->own;
	f->from = 0;
	f->to = f->own.n;
	if (rc == SQLITE_OK)
		rc = find_leaves(f);
	if (rc == SQLITE_OK && rd.hints) {
		rc = find_replaces(e, f);
		drop_nothings(&f->own);
		f->to = f->own.n;
		sqlite3_free(f->leave);
		f->leave = NULL;
		if (rc == SQLITE_OK)
			rc = find_leaves(f);
	}
	return rc;
}

void
fold_list_clear(struct fold_list *f)
{
	sqlite3_free(f->own.record);
	buf_clear(&f->own.bytes);
	sqlite3_free(f->leave);
}

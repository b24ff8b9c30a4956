// SPDX-License-Identifier: MPL-2.0
/* note.c - what the preupdate hook notes of a row that is being written. */
#include "crdt/capture.h"

#include <string.h>

#include "crdt/log.h"
#include "crdt/mask.h"
#include "crdt/preupdate.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

static int
add_with_pk(struct capture *c, enum record_op op, struct table *t,
    int64_t key, const struct val *pk, struct record **out)
{
	struct record *r = record_add(&c->list, op, t->id, key);
	int rc;

	*out = r;
	if (r == NULL)
		return SQLITE_NOMEM;
	r->pk = (uint32_t)c->list.bytes.len;
	rc = pack_key(pk, t->npk, &c->list.bytes);
	r->npk = (uint32_t)(c->list.bytes.len - r->pk);
	return rc;
}

/* One whose key, where it is not the pk, is found by it later. */
static int
add_named(struct capture *c, enum record_op op, struct table *t, int64_t key,
    const struct val *pk, struct record **out)
{
	if (table_is_named(t))
		return add_with_pk(c, op, t, key, pk, out);
	*out = record_add(&c->list, op, t->id, key);
	return *out ? SQLITE_OK : SQLITE_NOMEM;
}

/* Of a WITHOUT ROWID table some SQLites give an old value as a REAL by the type
 * of another column: of the one that stands where the value does in the key's
 * index.  An integer too large for that is not the key any more. */
static bool
is_rounded(const struct table *t, int i, const struct val *v)
{
	const struct column *at = NULL;
	int j;

	if (v->type != SQLITE_FLOAT || t->pk[i].affinity == 'E' ||
	    (v->r < 9007199254740992.0 && v->r > -9007199254740992.0))
		return false;
	for (j = 0; j < t->npk; j++)
		at = t->pk[j].position == i ? &t->pk[j] : at;
	for (j = 0; j < t->ncol; j++)
		at = t->col[j].position == i ? &t->col[j] : at;
	return at == NULL || at->affinity == 'E';
}

enum which { OLD, NEW, UPDATED };

static int
read_pk(struct engine *e, const struct table *t, enum which which,
    struct val (*view)(sqlite3_value *), struct val *pk)
{
	int (*get)(sqlite3 *, int, sqlite3_value **) =
	    which == OLD ? e->preupdate->old_value : e->preupdate->new_value;
	sqlite3_value *v;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->npk && rc == SQLITE_OK; i++) {
		rc = get(e->db, which == UPDATED ? t->pk[i].updated :
		    t->pk[i].position, &v);
		if (rc != SQLITE_OK)
			break;
		pk[i] = view(v);
		if (pk[i].type == SQLITE_NULL && !(t->integer_key && which != OLD))
			return engine_fail(e, SQLITE_CONSTRAINT, "the key of %s may not "
			    "be NULL: a row without a key can't be replicated",
			    t->name);
		if (t->norowid && which == OLD && is_rounded(t, i, &pk[i]))
			return engine_fail(e, SQLITE_ERROR, "a key of %s is too large "
			    "for this SQLite to tell: declare the key's columns "
			    "before the others", t->name);
	}
	return rc;
}

/* A REPLACE deletes the row with the key, and one more for each unique index. */
enum { REPLACES_MAX = 64 };

/* The record of the row with this key, if the same statement has just deleted it, as
 * the last one or before others that it deleted: that was a REPLACE (the statement's
 * changes are counted at its end).  It becomes the last one; else NULL. */
static struct record *
replaced(struct engine *e, struct capture *c, const struct table *t,
    const struct val *pk)
{
	struct record *last = capture_last(c), *r = last, found;
	int changes = sqlite3_total_changes(e->db), i, n = c->list.n - c->folded;
	size_t keep = c->list.bytes.len, len;
	bool same = false;

	if (last->changes != changes ||
	    pack_key(pk, t->npk, &c->list.bytes) != SQLITE_OK)
		n = 0;
	len = c->list.bytes.len - keep;
	for (i = 0; i < n && i < REPLACES_MAX && !same; i++) {
		r = last - i;
		if (r->op != RECORD_DELETE || r->table != t->id ||
		    r->changes != changes)
			break;
		same = len == r->npk && memcmp(record_pk(&c->list, r),
		    c->list.bytes.data + keep, len) == 0;
	}
	c->list.bytes.len = keep;
	if (!same)
		return NULL;
	found = *r;
	for (; r < last; r++)
		r[0] = r[1];
	*last = found;
	return last;
}

static int
note_insert(struct engine *e, struct capture *c, struct table *t,
    int64_t key)
{
	struct record *r = capture_last(c), *deleted = NULL;
	struct val pk[PACK_MAX_COLUMNS];
	int rc = SQLITE_OK;

	if (t->nullable_key || table_is_named(t) ||
	    (r != NULL && r->op == RECORD_DELETE)) {
		rc = read_pk(e, t, NEW, val_of, pk);
		if (t->integer_key)
			pk[0] = (struct val){ .type = SQLITE_INTEGER, .i = key };
		if (rc != SQLITE_OK)
			return rc;
		if (r != NULL && r->op == RECORD_DELETE)
			deleted = replaced(e, c, t, pk);
		if (deleted != NULL) {
			deleted->op = RECORD_REPLACE;
			deleted->n = deleted->key;
			deleted->key = key;
			c->ndeletes--;
			if (key > t->hw)
				t->hw = key;
			return SQLITE_OK;
		}
	}
	if (t->aside)
		return add_with_pk(c, RECORD_INSERT, t, key, pk, &r);
	/* what plain programs deleted is known at the fold only */
	if (key <= t->hw || t->has_dead != 0 || c->ndeletes > 0 ||
	    e->tx.plain_pending) {
		if (key > t->hw)
			t->hw = key;
		return add_named(c, RECORD_INSERT, t, key, pk, &r);
	}
	t->hw = key;
	if (r != NULL && r->op == RECORD_RUN && r->table == t->id && !t->lean &&
	    log_goes_on(r->key, r->n, key)) {
		r->n++;
		return SQLITE_OK;
	}
	rc = add_named(c, RECORD_RUN, t, key, pk, &r);
	if (r != NULL)
		r->n = 1;
	return rc;
}

static int
note_delete(struct engine *e, struct capture *c, struct table *t,
    int64_t key)
{
	struct val pk[PACK_MAX_COLUMNS];
	struct record *r;
	int rc = read_pk(e, t, OLD, val_of, pk);

	if (key > t->hw)
		t->hw = key;
	if (rc == SQLITE_OK)
		rc = add_with_pk(c, RECORD_DELETE, t, key, pk, &r);
	if (rc == SQLITE_OK)
		r->changes = sqlite3_total_changes(e->db);
	c->ndeletes++;
	c->deleted = true;
	return rc;
}

/* The bytes of the mask are those behind the first `high` of the list; of a
 * table with a look-aside table the pk stands before them. */
static int
note_columns(struct capture *c, struct table *t, int64_t key, uint64_t mask,
    size_t pk, size_t high)
{
	struct record *r = capture_last(c);
	size_t len = c->list.bytes.len - high;

	if (c->list.bytes.failed)
		return SQLITE_NOMEM;
	if (r != NULL && r->op == RECORD_UPDATE && r->table == t->id &&
	    r->mask == mask && r->npk == len && !t->aside &&
	    log_goes_on(r->key, r->n, key) && (len == 0 || memcmp(record_pk(&c->list, r),
	    c->list.bytes.data + high, len) == 0)) {
		r->n++;
		c->list.bytes.len = high;
		return SQLITE_OK;
	}
	r = record_add(&c->list, RECORD_UPDATE, t->id, key);
	if (r == NULL)
		return SQLITE_NOMEM;
	r->n = 1;
	r->mask = mask;
	r->nname = (uint32_t)(high - pk);
	r->pk = (uint32_t)high;
	r->npk = (uint32_t)len;
	return SQLITE_OK;
}

static int
step_row(sqlite3_stmt *row, const struct table *t, int64_t key,
    const struct val *pk)
{
	int i;

	if (!t->aside)
		sqlite3_bind_int64(row, 1, key);
	for (i = 0; i < t->npk && t->aside; i++)
		val_bind(row, i + 1, &pk[i]);
	return sqlite3_step(row);
}

/* Of a row that was there before ALTER TABLE ADD COLUMN the hook is given NULL
 * for that column, not its default, by most SQLites: the row itself, still as it
 * was, is asked.  The key's index may lack it by now, if the key is set, too. */
int
capture_old_value(struct engine *e, struct table *t, int64_t key,
    const struct val *pk, int i, sqlite3_stmt **row, struct val *out)
{
	int rc;

	if (*row == NULL) {
		rc = table_stmt(e, t, t->aside ? TS_ROW_OF_PK : TS_ROW, row);
		if (rc == SQLITE_OK)
			rc = step_row(*row, t, key, pk);
		if (rc == SQLITE_DONE && t->aside && !t->norowid) {
			sqlite3_reset(*row);
			rc = table_stmt(e, t, TS_ROW_OF_PK_SCAN, row);
			if (rc == SQLITE_OK)
				rc = step_row(*row, t, key, pk);
		}
		if (rc != SQLITE_ROW)
			return rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
	}
	*out = val_of_column(*row, t->npk + i);
	return SQLITE_OK;
}

/* Columns that changed; bytes of their mask go to the list. */
static int
changed_columns(struct engine *e, struct table *t, int64_t old_key,
    const struct val *old_pk, struct mask *mask, bool *any)
{
	struct buf *high = &e->capture->list.bytes;
	sqlite3_value *old, *new;
	sqlite3_stmt *row = NULL;
	struct val a, b;
	int i, rc = SQLITE_OK;

	*mask = mask_empty();
	*any = false;
	for (i = 0; i < t->ncol && rc == SQLITE_OK; i++) {
		rc = e->preupdate->old_value(e->db, t->col[i].position, &old);
		if (rc == SQLITE_OK)
			rc = e->preupdate->new_value(e->db, t->col[i].updated, &new);
		if (rc != SQLITE_OK)
			break;
		a = val_of_stored(old);
		b = val_of_stored(new);
		/* is_rounded says why */
		if ((a.type == SQLITE_NULL && t->col[i].has_default) ||
		    (t->mistyped &&
		    a.type + b.type == SQLITE_INTEGER + SQLITE_FLOAT)) {
			rc = capture_old_value(e, t, old_key, old_pk, i, &row,
			    &a);
			b = val_of(new);
		}
		if (val_compare(&a, &b) == 0)
			continue;
		*any = true;
		mask_add(mask, high, t->col[i].cid);
	}
	if (row != NULL)
		sqlite3_reset(row);
	mask_end(mask, high);
	return rc;
}

static bool
same_key(const struct table *t, struct val *a, struct val *b)
{
	int i;

	for (i = 0; i < t->npk; i++) {
		if (t->norowid) {       /* is_rounded says why */
			val_canonical(&a[i]);
			val_canonical(&b[i]);
		}
		if (val_compare(&a[i], &b[i]) != 0)
			return false;
	}
	return true;
}

static int
note_update(struct engine *e, struct capture *c, struct table *t,
    int64_t old_key, int64_t key)
{
	struct val a[PACK_MAX_COLUMNS], b[PACK_MAX_COLUMNS];
	struct record *r;
	struct mask mask;
	size_t pk, high;
	bool any;
	int rc = read_pk(e, t, OLD, val_of_stored, a);

	if (rc == SQLITE_OK)
		rc = read_pk(e, t, UPDATED, val_of_stored, b);
	if (rc != SQLITE_OK)
		return rc;
	if (t->integer_key ? old_key != key : !same_key(t, a, b)) {
		rc = note_delete(e, c, t, old_key);
		if (rc == SQLITE_OK)
			rc = add_named(c, RECORD_INSERT, t, key, b, &r);
		if (key > t->hw)
			t->hw = key;
		return rc;
	}
	if (old_key != key) {
		rc = add_named(c, RECORD_MOVE, t, key, a, &r);
		if (rc != SQLITE_OK)
			return rc;
		r->n = old_key;
		if (key > t->hw)
			t->hw = key;
		c->deleted = true;
	}
	pk = c->list.bytes.len;
	if (t->aside)
		rc = pack_key(a, t->npk, &c->list.bytes);
	high = c->list.bytes.len;
	if (rc == SQLITE_OK)
		rc = changed_columns(e, t, old_key, a, &mask, &any);
	if (rc == SQLITE_OK && any)
		return note_columns(c, t, key, mask.bits, pk, high);
	c->list.bytes.len = pk;
	return rc;
}

static int
note_blob_write(struct engine *e, struct capture *c, struct table *t,
    int64_t key, int stored)
{
	struct mask mask = mask_empty();
	struct val v[PACK_MAX_COLUMNS];
	size_t pk = c->list.bytes.len, high;
	int i, rc = t->aside ? read_pk(e, t, OLD, val_of, v) : SQLITE_OK;

	if (rc == SQLITE_OK && t->aside)
		rc = pack_key(v, t->npk, &c->list.bytes);
	high = c->list.bytes.len;
	for (i = 0; i < t->ncol && t->col[i].stored != stored; i++)
		;
	if (i == t->ncol || rc != SQLITE_OK) {
		c->list.bytes.len = pk;
		return rc;
	}
	mask_add(&mask, &c->list.bytes, t->col[i].cid);
	mask_end(&mask, &c->list.bytes);
	return note_columns(c, t, key, mask.bits, pk, high);
}

int
note_row(struct engine *e, struct capture *c, struct table *t, int op,
    int64_t old_key, int64_t key)
{
	int stored;

	if (op == SQLITE_INSERT)
		return note_insert(e, c, t, key);
	if (op == SQLITE_UPDATE)
		return note_update(e, c, t, old_key, key);
	stored = e->preupdate->blobwrite ? e->preupdate->blobwrite(e->db) : -1;
	if (stored >= 0)
		return note_blob_write(e, c, t, old_key, stored);
	return note_delete(e, c, t, old_key);
}

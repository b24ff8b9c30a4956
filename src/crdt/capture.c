// SPDX-License-Identifier: MPL-2.0
#include "crdt/capture.h"

#include <dlfcn.h>
#include <string.h>

#include "crdt/attached.h"
#include "crdt/log.h"
#include "crdt/mask.h"
#include "crdt/storage.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

enum { LIST_BYTES_MAX = 1 << 30 };

/* The hook's functions are not in the table that extensions are given, and
 * not in every SQLite: they are looked for in the library in use. */
struct preupdate {
	void *(*hook)(sqlite3 *, void (*)(void *, sqlite3 *, int, char const *,
	    char const *, sqlite3_int64, sqlite3_int64), void *);
	int (*old_value)(sqlite3 *, int, sqlite3_value **);
	int (*new_value)(sqlite3 *, int, sqlite3_value **);
	int (*blobwrite)(sqlite3 *);
};

static void *
find_symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name), *lib;
	Dl_info info;

	if (p != NULL)
		return p;
	/* loaded RTLD_LOCAL, as Python does */
	if (!dladdr((void *)(uintptr_t)sqlite3_libversion, &info) ||
	    info.dli_fname == NULL)
		return NULL;
	lib = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (lib == NULL)
		return NULL;
	p = dlsym(lib, name);
	dlclose(lib);
	return p;
}

static const struct preupdate *
find_preupdate(void)
{
	static struct preupdate p;

	*(void **)&p.hook = find_symbol("sqlite3_preupdate_hook");
	*(void **)&p.old_value = find_symbol("sqlite3_preupdate_old");
	*(void **)&p.new_value = find_symbol("sqlite3_preupdate_new");
	*(void **)&p.blobwrite = find_symbol("sqlite3_preupdate_blobwrite");
	return p.hook && p.old_value && p.new_value ? &p : NULL;
}

/* -- the hook ------------------------------------------------------------------- */

static struct table *
find_table(struct engine *e, const char *name)
{
	struct table *list = e->tables.table, *t;

	if (e->last_table < e->tables.n &&
	    strcmp(list[e->last_table].name, name) == 0)
		return &list[e->last_table];
	t = table_find(e, name);
	if (t != NULL)
		e->last_table = (int)(t - list);
	return t;
}

static struct record *
last_record(struct capture *c)
{
	return c->list.n > c->folded ? &c->list.record[c->list.n - 1] : NULL;
}

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
	if (t->aside)
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

/* True if the row that was just deleted by the same statement had this key:
 * that was a REPLACE (the statement's changes are counted at its end). */
static bool
replaces(struct engine *e, struct capture *c, const struct table *t,
    const struct val *pk, struct record **deleted)
{
	struct record *r = last_record(c);
	int changes = sqlite3_total_changes(e->db);
	size_t keep = c->list.bytes.len;
	bool same = false;

	if (r == NULL || r->op != RECORD_DELETE || r->table != t->id ||
	    r->changes != changes)
		return false;
	if (pack_key(pk, t->npk, &c->list.bytes) == SQLITE_OK)
		same = c->list.bytes.len - keep == r->npk &&
		    memcmp(record_pk(&c->list, r), c->list.bytes.data + keep,
		    r->npk) == 0;
	c->list.bytes.len = keep;
	*deleted = r;
	return same;
}

static int
note_insert(struct engine *e, struct capture *c, struct table *t,
    int64_t key)
{
	struct record *r = last_record(c), *deleted;
	struct val pk[PACK_MAX_COLUMNS];
	int rc = SQLITE_OK;

	if (t->nullable_key || t->aside ||
	    (r != NULL && r->op == RECORD_DELETE)) {
		rc = read_pk(e, t, NEW, val_of, pk);
		if (t->integer_key)
			pk[0] = (struct val){ .type = SQLITE_INTEGER, .i = key };
		if (rc != SQLITE_OK)
			return rc;
		if (r != NULL && replaces(e, c, t, pk, &deleted)) {
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
		return record_add(&c->list, RECORD_INSERT, t->id, key)
		    ? SQLITE_OK : SQLITE_NOMEM;
	}
	t->hw = key;
	if (r != NULL && r->op == RECORD_RUN && r->table == t->id &&
	    log_goes_on(r->key, r->n, key)) {
		r->n++;
		return SQLITE_OK;
	}
	r = record_add(&c->list, RECORD_RUN, t->id, key);
	if (r != NULL)
		r->n = 1;
	return r ? SQLITE_OK : SQLITE_NOMEM;
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
	struct record *r = last_record(c);
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
static int
true_old_value(struct engine *e, struct table *t, int64_t key,
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
		if ((a.type == SQLITE_NULL && t->col[i].has_default &&
		    old_key <= t->col[i].born) || (t->norowid &&
		    a.type + b.type == SQLITE_INTEGER + SQLITE_FLOAT)) {
			rc = true_old_value(e, t, old_key, old_pk, i, &row, &a);
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
		r = record_add(&c->list, RECORD_MOVE, t->id, key);
		if (r == NULL)
			return SQLITE_NOMEM;
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

/* Folds what waits while a statement still runs: what SQLite undoes when that is
 * aborted is all that was written meanwhile, by us too, and the list is cut as
 * the savepoint says.  Not with a delete at the end that may turn out to be half
 * of a REPLACE, nor where a reader of the log would see it grow, nor for a value
 * written in place, which is no statement.  Our own statements may not call the
 * hook within itself. */
static int
fold_within(struct engine *e, struct capture *c, int op)
{
	const struct record *r = last_record(c);
	int rc;

	if ((op == SQLITE_INSERT && r != NULL && r->op == RECORD_DELETE) ||
	    e->walks > 0 || (op == SQLITE_DELETE && e->preupdate->blobwrite &&
	    e->preupdate->blobwrite(e->db) >= 0))
		return SQLITE_OK;
	capture_pause(e);
	rc = tx_fold_within(e);
	capture_resume(e);
	return rc;
}

static int
note(struct engine *e, struct capture *c, int op, const char *name,
    int64_t old_key, int64_t key)
{
	struct table *t;
	int stored, rc = SQLITE_OK;

	if (!e->tx.open)
		rc = tx_begin(e);
	else if (c->look_at_schema)
		rc = table_refresh(e);
	c->look_at_schema = false;
	if (rc == SQLITE_OK && capture_is_full(c))
		rc = fold_within(e, c, op);
	t = rc == SQLITE_OK ? find_table(e, name) : NULL;
	if (t == NULL)
		return rc;
	if (t->aside)
		old_key = key = -1;     /* none, and above no hw, be it known */
	else if (t->hw < 0)
		rc = table_load_hw(e, t);
	if (rc == SQLITE_OK && (t->has_dead < 0 || t->has_meta < 0))
		rc = table_load_flags(e, t);
	if (rc != SQLITE_OK)
		return rc;
	if (op == SQLITE_INSERT)
		return note_insert(e, c, t, key);
	if (op == SQLITE_UPDATE)
		return note_update(e, c, t, old_key, key);
	stored = e->preupdate->blobwrite ? e->preupdate->blobwrite(e->db) : -1;
	if (stored >= 0)
		return note_blob_write(e, c, t, old_key, stored);
	return note_delete(e, c, t, old_key);
}

/* A write was not noted because no transaction of ours could begin, so that no
 * xSync fails its commit and no xRollback says that nothing is left of it: hooks
 * do, until one of both happens. */
static int refuse_commit(void *self);
static void forget_failure(void *self);

static void
watch_end(struct engine *e, bool on)
{
	sqlite3_commit_hook(e->db, on ? refuse_commit : NULL, e);
	sqlite3_rollback_hook(e->db, on ? forget_failure : NULL, e);
}

static int
refuse_commit(void *self)
{
	struct engine *e = self;
	bool refused = e->capture->rc != SQLITE_OK && !e->tx.open;

	watch_end(e, false);
	if (refused)
		e->capture->rc = SQLITE_OK;
	return refused;
}

static void
forget_failure(void *self)
{
	struct engine *e = self;

	watch_end(e, false);
	if (!e->tx.open)
		e->capture->rc = SQLITE_OK;
}

static void
on_preupdate(void *self, sqlite3 *db, int op, char const *schema,
    char const *name, sqlite3_int64 old_key, sqlite3_int64 key)
{
	struct engine *e = self;
	struct capture *c = e->capture;
	int rc;

	if (c->bulk.on)
		bulk_wrote(e, name);
	/* triggers are off still for a reader's sake: this one's commit is looked
	 * at too, and switches them on, whatever table it is */
	if (c->bulk.on && !e->tx.open && !e->finalized && tx_begin(e) != SQLITE_OK &&
	    sqlite3_txn_state(db, "main") == SQLITE_TXN_WRITE) {
		c->rc = SQLITE_ERROR;
		watch_end(e, true);
	}
	if (e->merging > 0 || e->sync_bit != 0)
		return;
	if (strcmp(schema, "main") != 0) {
		c->refuse = attached_refuses(e, schema, name);
		return;
	}
	/* the journal has it, see char_function */
	if (e->finalized && !e->tx.open)
		return;
	if (strncmp(name, "crsql_", 6) == 0 || strncmp(name, "sqlite_", 7) == 0)
		return;
	rc = e->has_storage ? SQLITE_OK : tx_look(e);
	if (rc == SQLITE_OK && !e->has_storage)
		return;
	if (rc == SQLITE_OK)
		rc = note(e, c, op, name, old_key, key);
	/* some failures have rolled all back already */
	if (rc == SQLITE_OK || sqlite3_txn_state(db, "main") != SQLITE_TXN_WRITE)
		return;
	/* The hook can't fail the statement: the commit does. */
	if (c->rc == SQLITE_OK)
		c->rc = rc;
	if (!e->tx.open)
		watch_end(e, true);
}

/* -- how it counts ----------------------------------------------------------------- */

struct trial {
	const struct preupdate *preupdate;
	bool stored;
};

static void
try_count(void *self, sqlite3 *db, int op, char const *schema,
    char const *name, sqlite3_int64 old_key, sqlite3_int64 key)
{
	struct trial *t = self;
	sqlite3_value *v;

	(void)op, (void)schema, (void)name, (void)old_key, (void)key;
	t->stored = t->preupdate->new_value(db, 1, &v) == SQLITE_OK &&
	    sqlite3_value_type(v) == SQLITE_TEXT;
}

int
capture_counts_stored(struct engine *e, bool *stored)
{
	struct trial t = { e->preupdate, false };
	sqlite3 *db;
	int rc = SQLITE_OK;

	if (e->preupdate == NULL)
		return rc;
	rc = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		e->preupdate->hook(db, try_count, &t);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "CREATE TABLE t(a, g AS (1) VIRTUAL, b); "
		    "INSERT INTO t(a, b) VALUES(0, 'b')", NULL, NULL, NULL);
	sqlite3_close(db);
	*stored = t.stored;
	return rc;
}

/* -- on and off -------------------------------------------------------------------- */

void
capture_pause(struct engine *e)
{
	if (e->capture->paused++ == 0 && e->capture->installed)
		e->preupdate->hook(e->db, NULL, NULL);
}

void
capture_resume(struct engine *e)
{
	if (--e->capture->paused == 0 && e->capture->installed)
		e->preupdate->hook(e->db, on_preupdate, e);
}

int
capture_choose(struct engine *e, bool by_journal)
{
	struct capture *c = e->capture;
	int rc = e->tx.open ? tx_fold(e) : SQLITE_OK;

	if (rc != SQLITE_OK || e->readonly)
		return rc;
	capture_pause(e);
	bulk_stop(e);
	c->by_journal = by_journal || e->preupdate == NULL;
	c->installed = !c->by_journal;
	capture_resume(e);
	return SQLITE_OK;
}

void
capture_set_fold_at(struct engine *e, int64_t records)
{
	e->capture->fold_at = records > 0 ? records : 1;
}

/* char() without arguments is '' in plain SQLite, where the journal's triggers
 * work by it; here it is not, as long as the hook does their work, and 'merge' while
 * none is to do anything, those of ordered tables neither (fract_sql.c).  Where they
 * work here, the transaction is noticed by them.  After crsql_finalize() this
 * connection is like a plain one. */
static void
char_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc;

	(void)argc;
	(void)argv;
	if (e->capture->refuse) {
		e->capture->refuse = false;
		sqlite3_result_error(ctx, "a replicated table of an attached "
		    "database can't be written by a connection with the "
		    "extension: open that database itself", -1);
		return;
	}
	/* no transaction of ours is open, so that its COMMIT would not fail */
	if (e->capture->rc != SQLITE_OK && !e->tx.open) {
		engine_result_error(e, ctx, e->capture->rc);
		e->capture->rc = SQLITE_OK;
		return;
	}
	if (e->merging > 0 || e->sync_bit != 0) {
		sqlite3_result_text(ctx, "merge", 5, SQLITE_STATIC);
		return;
	}
	if (!e->capture->by_journal && !(e->finalized && !e->tx.open)) {
		sqlite3_result_text(ctx, "x", 1, SQLITE_STATIC);
		return;
	}
	rc = e->finalized ? SQLITE_OK : tx_begin(e);
	if (rc == SQLITE_OK)
		sqlite3_result_text(ctx, "", 0, SQLITE_STATIC);
	else
		engine_result_error(e, ctx, rc);
}

int
capture_register(struct engine *e)
{
	int64_t journal = 0, bulk = 1, fold_at = CAPTURE_FOLD_AT;
	bool has = false;
	int rc;

	e->capture = sqlite3_malloc(sizeof *e->capture);
	if (e->capture == NULL)
		return SQLITE_NOMEM;
	memset(e->capture, 0, sizeof *e->capture);
	buf_init(&e->capture->list.bytes, LIST_BYTES_MAX);
	e->preupdate = find_preupdate();
	rc = storage_has_table(e, "crsql_master", &has);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "capture", &journal);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "bulk", &bulk);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "fold-at", &fold_at);
	bulk_init(e, bulk != 0);
	capture_set_fold_at(e, fold_at);
	if (rc == SQLITE_OK)
		rc = capture_choose(e, journal != 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "char", 0, SQLITE_UTF8 |
		    SQLITE_INNOCUOUS, e, char_function, NULL, NULL);
	return rc;
}

void
capture_free(struct engine *e)
{
	if (e->capture == NULL)
		return;
	bulk_free(e);
	buf_clear(&e->capture->list.bytes);
	sqlite3_free(e->capture->list.record);
	sqlite3_free(e->capture->mark);
	sqlite3_free(e->capture);
	e->capture = NULL;
}

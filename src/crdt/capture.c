// SPDX-License-Identifier: MPL-2.0
#include "crdt/capture.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/attached.h"
#include "crdt/merge.h"
#include "crdt/preupdate.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

enum { LIST_BYTES_MAX = 1 << 30 };

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

static bool
writes_blob(struct engine *e, int op)
{
	return op == SQLITE_DELETE && e->preupdate->blobwrite != NULL &&
	    e->preupdate->blobwrite(e->db) >= 0;
}

/* Folds what waits while a statement still runs: what SQLite undoes when that is
 * aborted is all that was written meanwhile, by us too, and the list is cut as
 * the savepoint says.  Not where a reader of the log would see it grow, nor for a
 * value written in place, which is no statement.  Our own statements may not call
 * the hook within itself. */
static int
fold_within(struct engine *e, int op)
{
	int rc;

	if (e->walks > 0 || writes_blob(e, op))
		return SQLITE_OK;
	capture_pause(e);
	rc = tx_fold_within(e);
	capture_resume(e);
	return rc;
}

/* True if the last that waits is a delete which may turn out to be half of a
 * REPLACE. */
static bool
may_replace(struct capture *c, int op)
{
	const struct record *r = capture_last(c);

	return op == SQLITE_INSERT && r != NULL && r->op == RECORD_DELETE;
}

/* A row of a table that is not replicated.  Where the schema was changed it may be a
 * copy, by which a replicated table is about to be made anew: what waits goes by the
 * rowids of its rows, and is folded while they are there. */
static int
note_other(struct engine *e, struct capture *c, int op)
{
	c->others = true;
	return e->tables.schema_version != e->tx.schema &&
	    c->list.n > c->folded ? fold_within(e, op) : SQLITE_OK;
}

/* With foreign_keys a DROP TABLE first deletes the rows of one that others refer to, and
 * sets those to NULL that refer to them.  Where it is made anew neither was done. */
static bool
is_being_dropped(const struct engine *e, const struct table *t)
{
	return e->tx.alters > 0 && !t->bare && alter_is_listed(e, t->id);
}

static int
note(struct engine *e, struct capture *c, int op, const char *name,
    int64_t old_key, int64_t key)
{
	struct table *t;
	int rc = SQLITE_OK;

	if (!e->tx.open)
		rc = tx_begin(e);
	else if (c->look_at_schema)
		rc = table_refresh(e);
	if (rc == SQLITE_OK)
		c->look_at_schema = false;
	if (rc == SQLITE_OK && capture_is_full(c) && !may_replace(c, op))
		rc = fold_within(e, op);
	if (rc != SQLITE_OK)
		return rc;
	t = find_table(e, name);
	if (t == NULL)
		return note_other(e, c, op);
	if (is_being_dropped(e, t))
		return SQLITE_OK;
	if (t->aside)
		old_key = key = -1;     /* none, and above no hw, be it known */
	else if (t->hw < 0)
		rc = table_load_hw(e, t);
	if (rc == SQLITE_OK && (t->has_dead < 0 || t->has_meta < 0))
		rc = table_load_flags(e, t);
	if (rc != SQLITE_OK)
		return rc;
	return note_row(e, c, t, op, old_key, key);
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
	bool refused = e->half_done || (e->capture->rc != SQLITE_OK &&
	    !e->tx.open);

	watch_end(e, false);
	e->half_done = false;
	if (refused)
		e->capture->rc = SQLITE_OK;
	return refused;
}

static void
forget_failure(void *self)
{
	struct engine *e = self;

	watch_end(e, false);
	e->half_done = false;
	if (!e->tx.open)
		e->capture->rc = SQLITE_OK;
}

void
capture_refuse_commit(struct engine *e)
{
	e->half_done = true;
	watch_end(e, true);
}

static void
note_any(struct engine *e, sqlite3 *db, int op, char const *schema,
    char const *name, sqlite3_int64 old_key, sqlite3_int64 key)
{
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
	if (e->merging > 0 || e->sync_bit != 0) {
		if (e->incoming != NULL && e->incoming->watch.row != NULL)
			before_told(e, op, schema, name, old_key);
		return;
	}
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
	/* SQLITE_ERROR: it is cr-sqlite's, and waits for crsql_adopt() */
	if ((rc == SQLITE_OK || rc == SQLITE_ERROR) && !e->has_storage)
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

static void
on_preupdate(void *self, sqlite3 *db, int op, char const *schema,
    char const *name, sqlite3_int64 old_key, sqlite3_int64 key)
{
	struct hook *h = self;

	h->calls++;
	note_any(h->e, db, op, schema, name, old_key, key);
	/* at the end of a transaction it is forgotten, and no statement writes a blob */
	h->called = h->e->tx.open && !writes_blob(h->e, op);
	h->changes = sqlite3_total_changes(db);
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
		e->preupdate->hook(e->db, on_preupdate, &e->capture->hook);
}

int
capture_choose(struct engine *e, bool by_journal)
{
	struct capture *c = e->capture;
	bool ours = true;
	int rc = e->tx.open ? tx_fold(e) : SQLITE_OK;

	if (rc != SQLITE_OK || e->readonly)
		return rc;
	if (c->installed)
		rc = hook_is_ours(e, &ours);
	if (rc != SQLITE_OK)
		return rc;
	c->installed = c->installed && ours;
	capture_pause(e);
	bulk_stop(e);
	c->by_journal = by_journal || e->preupdate == NULL ||
	    (c->leave_hook && hook_is_taken(e));
	c->installed = !c->by_journal;
	capture_resume(e);
	return SQLITE_OK;
}

int
capture_check(struct engine *e, int64_t plain_writers, int64_t journal)
{
	if (e->preupdate != NULL || plain_writers != 0 || journal != 0 || e->readonly)
		return SQLITE_OK;
	return engine_fail(e, SQLITE_ERROR, "this SQLite has no preupdate hook, by which "
	    "writes are noted where plain-writers is 0: let another one say SELECT "
	    "crsql_config_set('capture', 'journal')");
}

void
capture_set_fold_at(struct engine *e, int64_t records)
{
	e->capture->fold_at = records > 0 ? records : 1;
}

/* Two functions that are called without arguments by nobody else tell the journal's
 * triggers whether to work.  In plain SQLite char() is '' and printf() NULL, by which
 * they do; here they are not, as long as the hook does their work, and 'merge' while
 * none is to do anything, those of ordered tables neither (fract_sql.c).  Where they
 * work here, the transaction is noticed by them.  After crsql_finalize() this
 * connection is like a plain one. */

/* What they are, '' where triggers work; NULL after an error, which was told. */
static const char *
word_for_triggers(struct engine *e, sqlite3_context *ctx)
{
	struct capture *c = e->capture;
	int rc;

	/* no transaction of ours is open, so that its COMMIT would not fail */
	if (c->rc != SQLITE_OK && !e->tx.open) {
		engine_result_error(e, ctx, c->rc);
		c->rc = SQLITE_OK;
		return NULL;
	}
	if (e->merging > 0 || e->sync_bit != 0)
		return "merge";
	if (!c->by_journal && !(e->finalized && !e->tx.open))
		return "x";
	rc = e->finalized ? SQLITE_OK : tx_begin(e);
	if (rc != SQLITE_OK)
		engine_result_error(e, ctx, rc);
	return rc == SQLITE_OK ? "" : NULL;
}

static bool
refuse_attached(struct capture *c, sqlite3_context *ctx)
{
	bool refuse = c->refuse;

	c->refuse = false;
	if (refuse)
		sqlite3_result_error(ctx, "a replicated table of an attached "
		    "database can't be written by a connection with the "
		    "extension: open that database itself", -1);
	return refuse;
}

static void
char_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *word;

	(void)argc;
	(void)argv;
	if (refuse_attached(e->capture, ctx))
		return;
	word = word_for_triggers(e, ctx);
	if (word != NULL)
		sqlite3_result_text(ctx, word, -1, SQLITE_STATIC);
}

/* Of triggers behind a row. */
static void
printf_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const char *word;
	int rc;

	(void)argc;
	(void)argv;
	if (refuse_attached(e->capture, ctx))
		return;
	rc = hook_ask(e);
	if (rc != SQLITE_OK) {
		engine_result_error(e, ctx, rc);
		return;
	}
	word = word_for_triggers(e, ctx);
	if (word != NULL && *word != '\0')
		sqlite3_result_text(ctx, word, -1, SQLITE_STATIC);
}

int
capture_register(struct engine *e)
{
	int64_t plain = 1, journal = 0, bulk = 1, fold_at = CAPTURE_FOLD_AT;
	bool has = false;
	int rc;

	e->capture = sqlite3_malloc(sizeof *e->capture);
	if (e->capture == NULL)
		return SQLITE_NOMEM;
	memset(e->capture, 0, sizeof *e->capture);
	e->capture->hook.e = e;
	buf_init(&e->capture->list.bytes, LIST_BYTES_MAX);
	e->preupdate = preupdate_find();
	rc = storage_has_table(e, "crsql_master", &has);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "plain-writers", &plain);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "capture", &journal);
	if (rc == SQLITE_OK)
		rc = capture_check(e, plain, journal);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "bulk", &bulk);
	if (rc == SQLITE_OK && has)
		rc = storage_setting(e, "fold-at", &fold_at);
	/* without triggers nobody else would note anything */
	e->capture->leave_hook = has && plain != 0;
	bulk_init(e, bulk != 0);
	capture_set_fold_at(e, fold_at);
	if (rc == SQLITE_OK)
		rc = capture_choose(e, journal != 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "char", 0, SQLITE_UTF8 |
		    SQLITE_INNOCUOUS, e, char_function, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "printf", 0, SQLITE_UTF8 |
		    SQLITE_INNOCUOUS, e, printf_function, NULL, NULL);
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

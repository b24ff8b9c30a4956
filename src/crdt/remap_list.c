// SPDX-License-Identifier: MPL-2.0
/*
 * remap_list.c - the list of the rows of a table that is being altered: made at the
 * beginning, and kept in step with what is folded.  See remap.h.
 */
#include "crdt/remap.h"

#include "crdt/alter.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

static int
prepare_keys(struct engine *e, const struct table *t, sqlite3_stmt **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int i;

	sqlite3_str_appendf(s, "SELECT %s", t->rowid);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->pk[i].name);
	sqlite3_str_appendf(s, " FROM main.\"%w\" ORDER BY %s", t->name, t->rowid);
	return engine_prepare_built(e, s, out);
}

/* What keeps a list of rows in step with records. */
struct follower {
	struct engine *e;
	int table;              /* id, 0: none yet */
	sqlite3_stmt *put, *move, *del;
};

static void
follower_clear(struct follower *f)
{
	sqlite3_finalize(f->put);
	sqlite3_finalize(f->move);
	sqlite3_finalize(f->del);
	f->put = f->move = f->del = NULL;
}

static int
follower_use(struct follower *f, int table)
{
	int rc = SQLITE_OK;

	if (f->table == table)
		return rc;
	follower_clear(f);
	f->table = table;
	rc = engine_prepare(f->e, &f->put, "INSERT OR REPLACE INTO "
	    "temp.crsql_alter_%d VALUES(?1, ?2)", table);
	if (rc == SQLITE_OK)
		rc = engine_prepare(f->e, &f->move, "UPDATE OR REPLACE "
		    "temp.crsql_alter_%d SET key = ?1 WHERE key = ?2", table);
	if (rc == SQLITE_OK)
		rc = engine_prepare(f->e, &f->del, "DELETE FROM "
		    "temp.crsql_alter_%d WHERE key = ?1", table);
	return rc;
}

static int
put_row(struct follower *f, int64_t key, const void *pk, size_t npk)
{
	sqlite3_bind_int64(f->put, 1, key);
	sqlite3_bind_blob(f->put, 2, pk, (int)npk, SQLITE_STATIC);
	return engine_run(f->e, f->put);
}

static int
move_key(struct follower *f, int64_t from, int64_t to)
{
	if (from == to)
		return SQLITE_OK;
	sqlite3_bind_int64(f->move, 1, to);
	sqlite3_bind_int64(f->move, 2, from);
	return engine_run(f->e, f->move);
}

static int
drop_key(struct follower *f, int64_t key)
{
	sqlite3_bind_int64(f->del, 1, key);
	return engine_run(f->e, f->del);
}

/* Does to the list what a record says, or takes it back. */
static int
follow(struct follower *f, const struct record_list *l, const struct record *r,
    bool back)
{
	int64_t k, n = r->op == RECORD_RUN ? r->n : 1;
	int rc = SQLITE_OK;

	switch (r->op) {
	case RECORD_RUN:
	case RECORD_INSERT:
		if (!back && r->npk > 0)
			return put_row(f, r->key, record_pk(l, r), r->npk);
		for (k = 0; back && k < n && rc == SQLITE_OK; k++)
			rc = drop_key(f, r->key + k);
		return rc;
	case RECORD_DELETE:
		return back ? put_row(f, r->key, record_pk(l, r), r->npk) :
		    drop_key(f, r->key);
	case RECORD_REPLACE:
	case RECORD_MOVE:
		return back ? move_key(f, r->key, r->n) :
		    move_key(f, r->n, r->key);
	case RECORD_UPDATE:
		break;
	}
	return SQLITE_OK;
}

int
remap_follow(struct engine *e, const struct fold_list *l)
{
	struct follower f = { .e = e };
	const struct record *r;
	const struct table *t = NULL;
	int i, rc = SQLITE_OK;

	for (i = l->from; i < l->to && rc == SQLITE_OK; i++) {
		r = &l->list->record[i];
		if (t == NULL || t->id != r->table)
			t = table_by_id(e, r->table);
		if (t == NULL || !alter_lists_rows(e, t))
			continue;
		rc = follower_use(&f, t->id);
		if (rc == SQLITE_OK)
			rc = follow(&f, l->list, r, false);
	}
	follower_clear(&f);
	return rc;
}

int
remap_each_row(struct engine *e, struct table *t, sqlite3_stmt *put)
{
	struct val v[PACK_MAX_COLUMNS];
	sqlite3_stmt *rows = NULL;
	struct buf pk;
	int i, rc = prepare_keys(e, t, &rows);

	buf_init(&pk, INT32_MAX);
	while (rc == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW) {
		for (i = 0; i < t->npk; i++)
			v[i] = val_of_column(rows, 1 + i);
		pk.len = 0;
		rc = pack_key(v, t->npk, &pk);
		if (rc == SQLITE_OK) {
			sqlite3_bind_int64(put, 2, sqlite3_column_int64(rows, 0));
			sqlite3_bind_blob(put, 3, pk.data, (int)pk.len, SQLITE_STATIC);
			rc = engine_run(e, put);
		}
	}
	rc = engine_finalize(rows, rc);
	buf_clear(&pk);
	return rc;
}

/* Its rows now. */
static int
list_all(struct engine *e, struct table *t)
{
	sqlite3_stmt *put;
	int rc = engine_prepare(e, &put, "INSERT OR REPLACE INTO temp.crsql_alter_%d "
	    "SELECT ?2, ?3", t->id);

	if (rc == SQLITE_OK)
		rc = remap_each_row(e, t, put);
	return engine_finalize(put, rc);
}

int
remap_make_list(struct engine *e, struct table *t)
{
	const struct capture *c = e->capture;
	struct follower f = { .e = e };
	int i, rc = engine_exec(e, "CREATE TEMP TABLE IF NOT EXISTS crsql_alter_%d("
	    "key INTEGER PRIMARY KEY, pk BLOB); DELETE FROM temp.crsql_alter_%d",
	    t->id, t->id);

	if (rc == SQLITE_OK)
		rc = list_all(e, t);
	for (i = c->list.n - 1; i >= c->folded && rc == SQLITE_OK; i--) {
		if (c->list.record[i].table != t->id)
			continue;
		rc = follower_use(&f, t->id);
		if (rc == SQLITE_OK)
			rc = follow(&f, &c->list, &c->list.record[i], true);
	}
	follower_clear(&f);
	return rc;
}

/* Nothing can be dropped while a statement reads: then it stays, empty. */
int
remap_drop_list(struct engine *e, int id)
{
	int rc = engine_exec(e, "DROP TABLE IF EXISTS temp.crsql_alter_%d", id);

	return rc == SQLITE_LOCKED ? engine_exec(e, "DELETE FROM "
	    "temp.crsql_alter_%d", id) : rc;
}

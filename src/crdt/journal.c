// SPDX-License-Identifier: MPL-2.0
/* journal.c - see journal.h: the table crsql_j, read and emptied; what writes to it is
 * in journal_sql.c. */
#include "crdt/journal.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/lookaside.h"
#include "crdt/mask.h"
#include "crdt/unique.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

int
journal_ensure_columns(struct engine *e, int npk)
{
	int64_t has = 0;
	int i, rc = SQLITE_OK;

	for (i = 2; i <= npk && rc == SQLITE_OK; i++) {
		rc = engine_int(e, &has, "SELECT count(*) FROM "
		    "pragma_table_info('crsql_j', 'main') WHERE name = 'pk%d'", i);
		if (rc == SQLITE_OK && has == 0)
			rc = engine_exec(e, "ALTER TABLE main.crsql_j ADD COLUMN pk%d", i);
	}
	return rc;
}

int
journal_any(struct engine *e, bool *any)
{
	sqlite3_stmt *stmt;
	int rc;

	*any = false;
	if (!e->has_storage)
		return SQLITE_OK;
	rc = engine_cached(e, SLOT_JOURNAL_ANY,
	    "SELECT 1 FROM main.crsql_j LIMIT 1", &stmt);
	if (rc != SQLITE_OK)
		return rc;
	*any = sqlite3_step(stmt) == SQLITE_ROW;
	return sqlite3_reset(stmt);
}

/* Packs the pk columns of a record into b. */
static int
read_pk(const struct table *t, sqlite3_stmt *stmt, int64_t key,
    struct buf *b)
{
	struct val v[PACK_MAX_COLUMNS];
	int i;

	b->len = 0;
	if (t->integer_key) {
		v[0] = (struct val){ .type = SQLITE_INTEGER, .i = key };
		return pack_key(v, 1, b);
	}
	for (i = 0; i < t->npk; i++)
		v[i] = val_of_column(stmt, 4 + i);
	return pack_key(v, t->npk, b);
}

/* ", pk2, pk3": of the widest key known. */
static int
pk_columns(struct engine *e, char **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int i, most = 1;

	for (i = 0; i < e->tables.n; i++)
		if (e->tables.table[i].npk > most)
			most = e->tables.table[i].npk;
	for (i = 2; i <= most; i++)
		sqlite3_str_appendf(s, ", pk%d", i);
	return engine_text(s, SQLITE_OK, out);
}

static int
prepare_read(struct engine *e, sqlite3_stmt **out)
{
	char *columns;
	int rc = pk_columns(e, &columns);

	*out = NULL;
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, out, "SELECT w, key, mask, id, pk%s FROM "
		    "main.crsql_j ORDER BY id", columns);
	sqlite3_free(columns);
	return rc;
}

int
journal_read(struct engine *e, int (*f)(void *self,
    const struct journal_record *r), void *self)
{
	struct journal_record r;
	struct table *t = NULL;
	sqlite3_stmt *stmt;
	struct buf b;
	int64_t w;
	int rc = prepare_read(e, &stmt);

	buf_init(&b, INT32_MAX);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		w = sqlite3_column_int64(stmt, 0);
		memset(&r, 0, sizeof r);
		r.op = (enum journal_op)(w & 7);
		r.table = (int)(w >> 3);
		r.key = sqlite3_column_int64(stmt, 1);
		r.mask = sqlite3_column_int64(stmt, 2);
		if (sqlite3_column_type(stmt, 2) == SQLITE_TEXT)
			r.text = engine_column(stmt, 2, &rc);
		r.all = r.text == NULL &&
		    sqlite3_column_type(stmt, 2) != SQLITE_INTEGER;
		if (t == NULL || t->id != r.table)
			t = table_by_id(e, r.table);
		if (t == NULL)
			continue;       /* dropped since */
		if (r.op == JOURNAL_DELETE || r.op == JOURNAL_HINT || t->aside ||
		    (r.op == JOURNAL_INSERT && sqlite3_column_type(stmt, 4) !=
		    SQLITE_NULL))
			rc = read_pk(t, stmt, r.key, &b);
		else if (r.op == JOURNAL_REKEY || r.op == JOURNAL_MOVE)
			rc = read_pk(t, stmt, r.mask, &b);
		else
			b.len = 0;
		r.pk = b.data;
		r.npk = (int)b.len;
		if (rc == SQLITE_OK)
			rc = f(self, &r);
	}
	rc = engine_finalize(stmt, rc);
	buf_clear(&b);
	return rc;
}

int
journal_clear(struct engine *e)
{
	sqlite3_stmt *stmt;
	bool ours = true;
	int rc;

	/* Prepared without the hook, it is a truncate instead of row by row; another's
	 * can't be put back. */
	rc = e->capture->installed ? hook_is_ours(e, &ours) : SQLITE_OK;
	if (rc != SQLITE_OK)
		return rc;
	if (ours)
		capture_pause(e);
	rc = engine_prepare(e, &stmt, "DELETE FROM main.crsql_j");
	if (rc == SQLITE_OK)
		rc = engine_run(e, stmt);
	sqlite3_finalize(stmt);
	if (ours)
		capture_resume(e);
	return rc;
}

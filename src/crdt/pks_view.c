// SPDX-License-Identifier: MPL-2.0
/*
 * pks_view.c - <t>__crsql_pks: the keys of a table's rows, first of those that
 * are there, then of those that were deleted.
 *
 *     SELECT c.*, p.id FROM t__crsql_clock c JOIN t__crsql_pks p
 *     ON p.__crsql_key = c.key;
 *
 * A deleted row is looked for in the log, from the one found last on: a join
 * asks for them in the log's order.
 */
#include "crdt/views.h"

#include <string.h>

#include "crdt/meta.h"
#include "crdt/val.h"
#include "crdt/walk.h"

SQLITE_EXTENSION_INIT3

enum { COL_KEY, COL_PK };       /* and the others of the primary key */

enum { BY_PK = 0x100, KEY_MASK = 0xFF };        /* idxNum */

/* What is still to be read: rows that are there; deleted ones from a place in
 * the log on; those before it. */
enum phase { LIVE, DEAD, DEAD_BEFORE, END };

struct place {
	int64_t dbv, pos;
};

struct pks_cursor {
	sqlite3_vtab_cursor base;
	struct engine *e;
	uint32_t generation;    /* of the tables */
	struct table *table;
	enum phase phase;
	struct view_range key;
	bool one;               /* one row is asked for */
	bool at_row;
	sqlite3_stmt *rows;     /* rowid, pk columns */
	struct walk *dead;
	struct place from;      /* where `dead` began */
	struct place last;      /* of the deleted row that was found by its key */
	int64_t now;            /* key */
	struct walk_row row;
	struct val pk[PACK_MAX_COLUMNS];        /* of a deleted row */
};

char *
pks_view_declare(const char *const *pk, int npk)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	sqlite3_str_appendall(s, "CREATE TABLE x(__crsql_key INTEGER PRIMARY KEY");
	/* a column of that name itself steps aside */
	for (i = 0; i < npk; i++)
		sqlite3_str_appendf(s, ", \"%w%s\"", pk[i], sqlite3_stricmp(pk[i],
		    "__crsql_key") == 0 ? ":1" : "");
	sqlite3_str_appendall(s, ")");
	return sqlite3_str_finish(s);
}

/* -- connecting ----------------------------------------------------------------- */

/* The list of tables may be older than the schema, and can't be read now. */
static int
read_names(struct engine *e, const char *table, char ***out, int *n)
{
	sqlite3_stmt *stmt;
	char **list;
	int rc = engine_prepare(e, &stmt, "SELECT name FROM "
	    "pragma_table_info(%Q, 'main') WHERE pk > 0 ORDER BY pk", table);

	*out = NULL;
	*n = 0;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		list = sqlite3_realloc64(*out, sizeof *list * (uint64_t)(*n + 1));
		if (list != NULL)
			*out = list;
		rc = list != NULL ? engine_copy(stmt, 0, &list[*n])
		    : SQLITE_NOMEM;
		*n += rc == SQLITE_OK;
	}
	return engine_finalize(stmt, rc);
}

static int
declare(struct view *v, int *npk, char **error)
{
	char **names;
	int i, n, rc = read_names(v->e, v->name, &names, &n);

	*npk = n;
	if (rc == SQLITE_OK && n == 0) {
		*error = sqlite3_mprintf("no such table: %s", v->name);
		rc = SQLITE_ERROR;
	}
	if (rc == SQLITE_OK) {
		sqlite3_free(v->declared);
		v->declared = pks_view_declare((const char *const *)names, n);
		rc = v->declared != NULL ? SQLITE_OK : SQLITE_NOMEM;
	}
	for (i = 0; i < n; i++)
		sqlite3_free(names[i]);
	sqlite3_free(names);
	return rc;
}

static int
pks_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	struct view *v = aux;
	int npk, rc = declare(v, &npk, error);

	*out = NULL;
	/* views over it may be read as those over a table */
	sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	if (rc == SQLITE_OK)
		rc = vtab_connect(db, v->e, v->declared, sizeof(struct view_vtab),
		    out);
	if (rc == SQLITE_OK) {
		((struct view_vtab *)*out)->id = v->id;
		((struct view_vtab *)*out)->npk = npk;
	}
	return rc;
}

/* -- planning --------------------------------------------------------------------- */

/* The constraint that says what column i is, byte for byte; -1: none. */
static int
find_equal(sqlite3_index_info *info, int column)
{
	int i;

	for (i = 0; i < info->nConstraint; i++)
		if (info->aConstraint[i].usable &&
		    info->aConstraint[i].iColumn == column &&
		    info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ &&
		    strcmp(sqlite3_vtab_collation(info, i), "BINARY") == 0)
			return i;
	return -1;
}

static bool
use_pk(sqlite3_index_info *info, int npk)
{
	int i;

	for (i = 0; i < npk; i++)
		if (find_equal(info, COL_PK + i) < 0)
			return false;
	for (i = 0; i < npk; i++)
		info->aConstraintUsage[find_equal(info, COL_PK + i)].argvIndex =
		    i + 1;
	return true;
}

static int
pks_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	struct view_vtab *v = (struct view_vtab *)vtab;
	int n = 0;
	int used = use_pk(info, v->npk) ? BY_PK : view_use(info, COL_KEY, &n);

	info->idxNum = used;
	info->estimatedCost = used == BY_PK ? 20 : used != 0 ? 40 : 1000000;
	info->estimatedRows = used != 0 ? 1 : 1000000;
	return SQLITE_OK;
}

/* -- reading ----------------------------------------------------------------------- */

static int
pks_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	int rc = vtab_open(sizeof(struct pks_cursor), out);

	if (rc == SQLITE_OK)
		((struct pks_cursor *)*out)->e = ((struct vtab *)vtab)->e;
	return rc;
}

static int
pks_close(sqlite3_vtab_cursor *cursor)
{
	struct pks_cursor *c = (struct pks_cursor *)cursor;

	sqlite3_finalize(c->rows);
	walk_close(c->dead);
	sqlite3_free(c);
	return SQLITE_OK;
}

static int
prepare_rows(struct pks_cursor *c)
{
	const struct table *t = c->table;
	sqlite3_str *s = sqlite3_str_new(c->e->db);
	int i;

	sqlite3_str_appendf(s, "SELECT %s", t->rowid);
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, ", \"%w\"", t->pk[i].name);
	sqlite3_str_appendf(s, " FROM %s WHERE %s BETWEEN ?1 AND ?2 "
	    "ORDER BY %s", t->from, t->rowid, t->rowid);
	return engine_prepare_built(c->e, s, &c->rows);
}

/* Reads deleted rows behind a place, up to last_dbv. */
static int
open_dead(struct pks_cursor *c, struct place from, int64_t last_dbv)
{
	/* tombstones alone: no row has such a key */
	struct walk_from w = { .dbv = from.dbv, .pos = from.pos,
		.last_dbv = last_dbv, .table = c->table->id, .lo = INT64_MAX,
		.hi = INT64_MIN };

	walk_close(c->dead);
	c->dead = NULL;
	c->from = from;
	return walk_open(c->e, &w, false, &c->dead);
}

static int
next_live(struct pks_cursor *c)
{
	int rc = sqlite3_step(c->rows);

	c->at_row = rc == SQLITE_ROW;
	if (c->at_row)
		c->now = sqlite3_column_int64(c->rows, 0);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
next_dead(struct pks_cursor *c)
{
	int rc;

	while ((rc = walk_next(c->dead, &c->row)) == SQLITE_ROW) {
		c->now = view_dead_key(c->table, c->row.pk, c->row.npk);
		if (c->now < c->key.lo || c->now > c->key.hi)
			continue;
		c->at_row = true;
		c->last = (struct place){ c->row.dbv, c->row.pos };
		return pack_read(c->row.pk, c->row.npk, c->table->npk, c->pk,
		    PACK_MAX_COLUMNS) >= 0 ? SQLITE_OK : engine_fail(c->e,
		    SQLITE_CORRUPT, "a tombstone of %s is damaged",
		    c->table->name);
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* After the rows that are there.  Deleted ones have negative keys, or those
 * that they had. */
static int
begin_dead(struct pks_cursor *c)
{
	c->phase = c->key.lo >= 0 && !c->table->integer_key ? END : DEAD;
	return c->phase == END ? SQLITE_OK : open_dead(c, c->one ? c->last :
	    (struct place){ 0 }, INT64_MAX);
}

/* What is to be read now, after a phase that has no more. */
static int
next_phase(struct pks_cursor *c)
{
	if (c->phase == LIVE)
		return begin_dead(c);
	if (c->phase == DEAD && c->from.dbv > 0) {
		c->phase = DEAD_BEFORE;
		return open_dead(c, (struct place){ 0 }, c->from.dbv);
	}
	c->phase = END;
	return SQLITE_OK;
}

static int
advance(struct pks_cursor *c)
{
	int rc = SQLITE_OK;

	if (c->e->tables.generation != c->generation)
		return engine_fail(c->e, SQLITE_ABORT,
		    "the schema changed while keys were read");
	if (c->one && c->at_row)
		c->phase = END;         /* there is no other */
	c->at_row = false;
	while (rc == SQLITE_OK && !c->at_row && c->phase != END) {
		rc = c->phase == LIVE ? next_live(c) : next_dead(c);
		if (rc == SQLITE_OK && !c->at_row)
			rc = next_phase(c);
	}
	return rc;
}

/* The row with a primary key: where it is, here or in the log. */
static int
find_pk(struct pks_cursor *c, sqlite3_value **argv)
{
	struct engine *e = c->e;
	struct table *t = c->table;
	struct dead tomb;
	struct buf pk;
	int64_t key = 0;
	bool live = false, dead = false;
	int i, rc;

	for (i = 0; i < t->npk; i++)
		c->pk[i] = val_of(argv[i]);
	buf_init(&pk, INT32_MAX);
	rc = pack_key(c->pk, t->npk, &pk);
	if (rc == SQLITE_OK)
		rc = table_find_key(e, t, pk.data, (int)pk.len, &live, &key);
	if (rc == SQLITE_OK && !live)
		rc = dead_get(e, t, pk.data, (int)pk.len, &dead, &tomb);
	buf_clear(&pk);
	c->one = true;
	c->phase = live ? LIVE : dead ? DEAD : END;
	if (live)
		c->key = (struct view_range){ key, key };
	if (rc == SQLITE_OK && dead)
		rc = open_dead(c, (struct place){ tomb.dbv, tomb.pos - 1 },
		    tomb.dbv);
	return rc;
}

static int
begin(struct pks_cursor *c, int used, sqlite3_value **argv)
{
	int rc = SQLITE_OK;

	if (c->generation != c->e->tables.generation) {
		sqlite3_finalize(c->rows);
		c->rows = NULL;
		c->generation = c->e->tables.generation;
	}
	c->key = (struct view_range){ INT64_MIN, INT64_MAX };
	c->phase = LIVE;
	if (used == BY_PK) {
		rc = find_pk(c, argv);
	} else {
		view_narrow(&c->key, used, argv);
		c->one = c->key.lo == c->key.hi;
	}
	if (rc == SQLITE_OK && c->rows == NULL)
		rc = prepare_rows(c);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_reset(c->rows);
	sqlite3_bind_int64(c->rows, 1, c->key.lo);
	sqlite3_bind_int64(c->rows, 2, c->key.hi);
	return advance(c);
}

static int
pks_filter(sqlite3_vtab_cursor *cursor, int used, const char *str, int argc,
    sqlite3_value **argv)
{
	struct pks_cursor *c = (struct pks_cursor *)cursor;
	int rc = tx_begin_read(c->e);

	c->at_row = false;
	c->table = view_table(cursor->pVtab);
	/* with another key it is another table by now */
	if (rc == SQLITE_OK && c->table != NULL && c->table->npk ==
	    ((struct view_vtab *)cursor->pVtab)->npk)
		rc = begin(c, used, argv);
	if (rc != SQLITE_OK)
		c->at_row = false;
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
pks_next(sqlite3_vtab_cursor *cursor)
{
	int rc = advance((struct pks_cursor *)cursor);

	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
pks_eof(sqlite3_vtab_cursor *cursor)
{
	return !((struct pks_cursor *)cursor)->at_row;
}

static int
pks_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct pks_cursor *c = (struct pks_cursor *)cursor;

	if (i == COL_KEY)
		sqlite3_result_int64(ctx, c->now);
	else if (c->phase == LIVE)
		sqlite3_result_value(ctx, sqlite3_column_value(c->rows, i));
	else
		val_give(ctx, &c->pk[i - COL_PK]);
	return SQLITE_OK;
}

static int
pks_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct pks_cursor *)cursor)->now;
	return SQLITE_OK;
}

const sqlite3_module pks_view_module = {
	.xConnect = pks_connect,
	.xBestIndex = pks_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = pks_open,
	.xClose = pks_close,
	.xFilter = pks_filter,
	.xNext = pks_next,
	.xEof = pks_eof,
	.xColumn = pks_column,
	.xRowid = pks_rowid,
};

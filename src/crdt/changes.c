// SPDX-License-Identifier: MPL-2.0
/*
 * changes.c - the table crsql_changes: one row for each fact of the log that
 * is current.  Writing it merges: incoming.c.
 *
 * The log is walked in its own order, (dbv, pos).  Rows are given by
 * db_version, then seq: where one transaction has more than one log row its
 * changes are put in order of seq first, unless they are very many; a query
 * that says ORDER BY db_version, seq is sorted by SQLite in any case.
 */
#include <stdlib.h>
#include <string.h>

#include "crdt/columns.h"
#include "crdt/merge.h"
#include "crdt/val.h"
#include "crdt/vtab.h"
#include "crdt/walk.h"

enum { SORT_MAX = 4096 };       /* changes of one transaction put in order */

enum { COL_TABLE, COL_PK, COL_CID, COL_VAL, COL_VERSION, COL_DBV, COL_SITE,
	COL_CL, COL_SEQ, COL_SVER };

enum {                          /* constraints used, in order of arguments */
	BY_TABLE = 1, BY_EQ = 2, BY_GT = 4, BY_GE = 8, BY_LT = 16, BY_LE = 32
};

/* One change; pointers are the walk's, or copies where it was kept. */
struct change {
	const struct table *table;
	const uint8_t *pk;
	int npk;
	int col;
	int rank;               /* among those kept */
	int64_t key, version, dbv, site, sver, cl, seq;
	sqlite3_value *value;   /* kept ones */
	uint8_t *pk_copy;
};

struct changes_cursor {
	sqlite3_vtab_cursor base;
	struct engine *e;
	struct walk *walk;
	int only_table;         /* crsql_tbl.id; -1: all */
	struct walk_row row;    /* the walk's */
	bool at_row;
	int cell;               /* of row */
	struct change now;
	bool streamed;          /* now comes from row, not from kept */
	bool eof;
	int64_t ordered_dbv;    /* decided for this one already */
	sqlite3_stmt *last_pos; /* of a db_version */
	uint32_t generation;    /* of the tables */
	struct change *kept;    /* changes of one transaction, by seq */
	int nkept, room, next;
	int64_t id_of;          /* the site whose id is in id; -1 */
	uint8_t id[SITE_ID_LEN];
};

static int
changes_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	return vtab_connect(db, aux, "CREATE TABLE x(\"table\" TEXT NOT NULL, "
	    "pk BLOB NOT NULL, cid TEXT NOT NULL, val ANY, col_version INTEGER "
	    "NOT NULL, db_version INTEGER NOT NULL, site_id BLOB NOT NULL, "
	    "cl INTEGER NOT NULL, seq INTEGER NOT NULL, "
	    "sver INTEGER HIDDEN)", sizeof(struct vtab), out);
}

/* -- planning ---------------------------------------------------------------- */

static int
constraint_bit(int column, int op)
{
	if (column == COL_TABLE && op == SQLITE_INDEX_CONSTRAINT_EQ)
		return BY_TABLE;
	if (column != COL_DBV)
		return 0;
	switch (op) {
	case SQLITE_INDEX_CONSTRAINT_EQ: return BY_EQ;
	case SQLITE_INDEX_CONSTRAINT_GT: return BY_GT;
	case SQLITE_INDEX_CONSTRAINT_GE: return BY_GE;
	case SQLITE_INDEX_CONSTRAINT_LT: return BY_LT;
	case SQLITE_INDEX_CONSTRAINT_LE: return BY_LE;
	default: return 0;
	}
}

/* Names of tables are looked up as NOCASE does: what compares otherwise, and
 * might be true of another, is left to SQLite. */
static bool
compares_as_we_do(sqlite3_index_info *info, int i)
{
	const char *collation;

	if (info->aConstraint[i].iColumn != COL_TABLE)
		return true;
	collation = sqlite3_vtab_collation(info, i);
	return sqlite3_stricmp(collation, "BINARY") == 0 ||
	    sqlite3_stricmp(collation, "NOCASE") == 0;
}

/* SQLite checks every constraint again: what is used here only narrows. */
static int
changes_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	int used = 0, bit, which, i, n = 0;

	for (bit = BY_TABLE; bit <= BY_LE; bit <<= 1) {
		for (i = 0; i < info->nConstraint && !(used & bit); i++) {
			if (!info->aConstraint[i].usable)
				continue;
			which = constraint_bit(info->aConstraint[i].iColumn,
			    info->aConstraint[i].op);
			if (which != bit || !compares_as_we_do(info, i))
				continue;
			info->aConstraintUsage[i].argvIndex = ++n;
			used |= bit;
		}
	}
	info->idxNum = used;
	info->estimatedCost = used & BY_EQ ? 10 : used & ~BY_TABLE ? 1000 :
	    used & BY_TABLE ? 100000 : 1000000;
	info->estimatedRows = (sqlite3_int64)info->estimatedCost;
	if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn == COL_DBV &&
	    !info->aOrderBy[0].desc)
		info->orderByConsumed = 1;
	return SQLITE_OK;
}

/* -- reading -------------------------------------------------------------------- */

static int
changes_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	int rc = vtab_open(sizeof(struct changes_cursor), out);

	if (rc == SQLITE_OK)
		((struct changes_cursor *)*out)->e = ((struct vtab *)vtab)->e;
	return rc;
}

static void
forget_kept(struct changes_cursor *c)
{
	int i;

	for (i = 0; i < c->nkept; i++) {
		sqlite3_value_free(c->kept[i].value);
		sqlite3_free(c->kept[i].pk_copy);
	}
	c->nkept = c->next = 0;
}

static int
changes_close(sqlite3_vtab_cursor *cursor)
{
	struct changes_cursor *c = (struct changes_cursor *)cursor;

	forget_kept(c);
	sqlite3_free(c->kept);
	engine_give_back(c->e, SLOT_LAST_POS, c->last_pos);
	walk_close(c->walk);
	sqlite3_free(c);
	return SQLITE_OK;
}

static int
next_row(struct changes_cursor *c)
{
	int rc;

	do {
		rc = walk_next(c->walk, &c->row);
		if (rc != SQLITE_ROW) {
			c->at_row = false;
			return rc == SQLITE_DONE ? SQLITE_OK : rc;
		}
	} while (c->row.kind == WALK_PARKED || c->row.ncell == 0);
	c->at_row = true;
	c->cell = 0;
	return SQLITE_OK;
}

static void
fill_change(const struct walk_row *row, int i, struct change *out)
{
	*out = (struct change){ .table = row->table, .pk = row->stored_pk,
	    .npk = row->nstored_pk, .col = row->cell[i].col,
	    .key = row->kind == WALK_DEAD ? 0 : row->key,
	    .version = row->cell[i].version, .dbv = row->dbv,
	    .site = row->site, .sver = row->sver, .cl = row->cl,
	    .seq = row->cell[i].seq };
}

/* Copies all changes of the row at hand to c->kept. */
static int
keep_row(struct changes_cursor *c)
{
	struct change *p;
	int i;

	if (c->nkept + c->row.ncell > c->room) {
		c->room = (c->nkept + c->row.ncell) * 2;
		p = sqlite3_realloc64(c->kept, (size_t)c->room * sizeof *p);
		if (p == NULL)
			return SQLITE_NOMEM;
		c->kept = p;
	}
	for (i = 0; i < c->row.ncell; i++) {
		p = &c->kept[c->nkept];
		fill_change(&c->row, i, p);
		p->pk_copy = sqlite3_malloc(p->npk + 1);
		if (p->pk_copy == NULL)
			return SQLITE_NOMEM;
		memcpy(p->pk_copy, p->pk, (size_t)p->npk);
		p->pk = p->pk_copy;
		p->rank = c->nkept++;
		if (p->col < 0 || c->row.values == NULL)
			continue;
		p->value = sqlite3_value_dup(sqlite3_column_value(
		    c->row.values, c->row.first_value + p->col));
		if (p->value == NULL)
			return SQLITE_NOMEM;
	}
	return SQLITE_OK;
}

static int
by_seq(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->rank - y->rank;       /* else as they stand in the log */
}

static bool
in_order(const struct changes_cursor *c)
{
	int i;

	for (i = 1; i < c->nkept; i++) {
		if (c->kept[i - 1].seq > c->kept[i].seq)
			return false;
	}
	return true;
}

static int
read_last_pos(struct changes_cursor *c, int64_t dbv, int64_t *pos)
{
	int rc = SQLITE_OK;

	if (c->last_pos == NULL)
		rc = engine_borrow(c->e, SLOT_LAST_POS, "SELECT pos FROM "
		    "crsql_log WHERE dbv = ?1 ORDER BY pos DESC LIMIT 1",
		    &c->last_pos);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(c->last_pos, 1, dbv);
	if (sqlite3_step(c->last_pos) == SQLITE_ROW)
		*pos = sqlite3_column_int64(c->last_pos, 0);
	return sqlite3_reset(c->last_pos);
}

/* At the first row of a transaction that has more log rows: keeps them in
 * order of seq.  Of very many the first part is kept. */
static int
keep_transaction(struct changes_cursor *c)
{
	int64_t dbv = c->row.dbv, last = c->row.pos;
	int rc;

	c->ordered_dbv = dbv;
	rc = read_last_pos(c, dbv, &last);
	if (rc != SQLITE_OK || last == c->row.pos)
		return rc;
	forget_kept(c);
	while (rc == SQLITE_OK && c->at_row && c->row.dbv == dbv &&
	    c->nkept < SORT_MAX) {
		rc = keep_row(c);
		if (rc == SQLITE_OK)
			rc = next_row(c);
	}
	if (rc == SQLITE_OK && !in_order(c))
		qsort(c->kept, (size_t)c->nkept, sizeof *c->kept, by_seq);
	return rc;
}

/* Moves to the next change. */
static int
advance(struct changes_cursor *c)
{
	int rc = SQLITE_OK;

	if (c->e->tables.generation != c->generation)
		return engine_fail(c->e, SQLITE_ABORT,
		    "the schema changed while crsql_changes was read");
	if (c->next < c->nkept) {
		c->now = c->kept[c->next++];
		c->streamed = c->eof = false;
		return SQLITE_OK;
	}
	if (c->at_row && c->cell >= c->row.ncell)
		rc = next_row(c);
	if (rc == SQLITE_OK && c->at_row && c->cell == 0 &&
	    c->row.dbv != c->ordered_dbv) {
		rc = keep_transaction(c);
		if (rc == SQLITE_OK && c->next < c->nkept)
			return advance(c);
	}
	c->eof = rc != SQLITE_OK || !c->at_row;
	if (c->eof)
		return rc;
	fill_change(&c->row, c->cell++, &c->now);
	c->streamed = true;
	return SQLITE_OK;
}

static bool
skip_table(void *arg, int table, int64_t dbv, int64_t pos, int64_t site,
    int64_t sver)
{
	const struct changes_cursor *c = arg;

	return table != c->only_table;
}

/* Narrows the walk by one constraint; values of another type, which SQLite may
 * convert before it compares, are left to it. */
static void
narrow(struct changes_cursor *c, struct walk_from *from, int bit,
    sqlite3_value *v)
{
	struct table *t;
	int64_t i;

	if (bit == BY_TABLE) {
		if (sqlite3_value_type(v) != SQLITE_TEXT)
			return;
		t = table_find(c->e, (const char *)sqlite3_value_text(v));
		c->only_table = t != NULL ? t->id : -2;
		from->skip = skip_table;
		from->arg = c;
		return;
	}
	if (sqlite3_value_type(v) != SQLITE_INTEGER)
		return;
	i = sqlite3_value_int64(v);
	if ((bit == BY_EQ || bit == BY_GE) && i > INT64_MIN)
		i--;
	if ((bit == BY_EQ || bit == BY_GE || bit == BY_GT) && i >= from->dbv) {
		from->dbv = i;
		from->pos = INT64_MAX;
	}
	i = sqlite3_value_int64(v);
	if (bit == BY_LT && i > INT64_MIN)
		i--;
	if ((bit == BY_EQ || bit == BY_LE || bit == BY_LT) &&
	    i < from->last_dbv)
		from->last_dbv = i;
}

static int
changes_filter(sqlite3_vtab_cursor *cursor, int used, const char *str,
    int argc, sqlite3_value **argv)
{
	struct changes_cursor *c = (struct changes_cursor *)cursor;
	struct walk_from from = { .pos = -1, .last_dbv = INT64_MAX };
	int bit, n = 0, rc;

	forget_kept(c);
	walk_close(c->walk);
	c->walk = NULL;
	c->at_row = false;
	c->eof = true;
	c->ordered_dbv = -1;
	c->id_of = -1;
	rc = tx_begin_read(c->e);
	if (rc != SQLITE_OK)
		return vtab_fail(cursor->pVtab, rc);
	if (!c->e->has_storage)
		return SQLITE_OK;
	for (bit = BY_TABLE; bit <= BY_LE; bit <<= 1) {
		if (used & bit)
			narrow(c, &from, bit, argv[n++]);
	}
	rc = walk_open(c->e, &from, false, &c->walk);
	c->generation = c->e->tables.generation;
	if (rc == SQLITE_OK)
		rc = next_row(c);
	if (rc == SQLITE_OK)
		rc = advance(c);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
changes_next(sqlite3_vtab_cursor *cursor)
{
	int rc = advance((struct changes_cursor *)cursor);

	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
changes_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct changes_cursor *)cursor)->eof;
}

static void
give_value(struct changes_cursor *c, sqlite3_context *ctx)
{
	const struct change *now = &c->now;

	if (now->col < 0)
		return;
	if (!c->streamed && now->value != NULL)
		sqlite3_result_value(ctx, now->value);
	else if (c->streamed && c->row.values != NULL)
		sqlite3_result_value(ctx, sqlite3_column_value(c->row.values,
		    c->row.first_value + now->col));
}

static void
give_cid(const struct change *now, sqlite3_context *ctx)
{
	const char *name = now->col < 0 ? "-1" : now->table->col[now->col].name;
	int len = (int)strlen(name);
	char *quoted;

	if (now->col < 0 || columns_quotes(name, len) < 0) {
		sqlite3_result_text(ctx, name, len, SQLITE_TRANSIENT);
		return;
	}
	quoted = sqlite3_mprintf("\"%s\"", name);
	if (quoted != NULL)
		sqlite3_result_text(ctx, quoted, len + 2, sqlite3_free);
	else
		sqlite3_result_error_nomem(ctx);
}

static int
give_site(struct changes_cursor *c, sqlite3_context *ctx)
{
	bool has_key;
	int rc = SQLITE_OK;

	if (c->id_of != c->now.site) {
		c->id_of = -1;
		rc = site_by_ordinal(c->e, c->now.site, c->id, NULL, NULL,
		    &has_key);
	}
	if (rc != SQLITE_OK)
		return rc;
	c->id_of = c->now.site;
	sqlite3_result_blob(ctx, c->id, SITE_ID_LEN, SQLITE_TRANSIENT);
	return SQLITE_OK;
}

static int
changes_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	struct changes_cursor *c = (struct changes_cursor *)cursor;
	const struct change *now = &c->now;

	/* a function beside it may have changed the schema */
	if (c->e->tables.generation != c->generation)
		return vtab_fail(cursor->pVtab, engine_fail(c->e, SQLITE_ABORT,
		    "the schema changed while crsql_changes was read"));
	switch (i) {
	case COL_TABLE:
		sqlite3_result_text(ctx, now->table->name, -1,
		    SQLITE_TRANSIENT);
		break;
	case COL_PK:
		sqlite3_result_blob(ctx, now->pk, now->npk, SQLITE_TRANSIENT);
		break;
	case COL_CID:
		give_cid(now, ctx);
		break;
	case COL_VAL:
		give_value(c, ctx);
		break;
	case COL_VERSION:
		sqlite3_result_int64(ctx, now->version);
		break;
	case COL_DBV:
		sqlite3_result_int64(ctx, now->dbv);
		break;
	case COL_SITE:
		return give_site(c, ctx);
	case COL_CL:
		sqlite3_result_int64(ctx, now->cl);
		break;
	case COL_SEQ:
		sqlite3_result_int64(ctx, now->seq);
		break;
	case COL_SVER:
		sqlite3_result_int64(ctx, now->sver);
		break;
	}
	return SQLITE_OK;
}

/* SQLite joins the parts of an OR by it: one number for each
 * (table, pk, cid). */
static int
changes_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	const struct change *now = &((struct changes_cursor *)cursor)->now;
	uint64_t h = pack_hash(now->pk, now->npk);

	h = (h ^ (uint64_t)now->table->id) * 0x100000001B3u;
	h = (h ^ (uint64_t)(now->col + 1)) * 0x9E3779B97F4A7C15u;
	*out = (int64_t)((h ^ h >> 29) & INT64_MAX);
	return SQLITE_OK;
}

/* -- writing ----------------------------------------------------------------------- */

static int
changes_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv,
    sqlite3_int64 *rowid)
{
	struct engine *e = ((struct vtab *)vtab)->e;
	int rc;

	if (argc == 1 || sqlite3_value_type(argv[0]) != SQLITE_NULL) {
		engine_fail(e, SQLITE_MISUSE, "Only INSERT and SELECT statements "
		    "are allowed against the crsql changes table");
		return vtab_fail(vtab, SQLITE_MISUSE);
	}
	*rowid = -1;
	rc = incoming_add(e, argc - 2, argv + 2);
	return rc == SQLITE_OK ? rc : vtab_fail(vtab, rc);
}

static const sqlite3_module changes_module = {
	.xConnect = changes_connect,
	.xBestIndex = changes_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = changes_open,
	.xClose = changes_close,
	.xFilter = changes_filter,
	.xNext = changes_next,
	.xEof = changes_eof,
	.xColumn = changes_column,
	.xRowid = changes_rowid,
	.xUpdate = changes_update,
};

int
changes_register(struct engine *e)
{
	return sqlite3_create_module(e->db, "crsql_changes", &changes_module,
	    e);
}

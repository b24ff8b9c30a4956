// SPDX-License-Identifier: MPL-2.0
/* ledger.c - conflicts, as crsql_conflicts has them; settling them is resolve.c's. */
#include "store/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "store/config.h"
#include "store/history.h"
#include "store/sql.h"
#include "store/store_private.h"

void
conflict_clear(struct conflict *c)
{
	rows_clear(&c->rows);
	memset(c, 0, sizeof *c);
}

/* -- reading ----------------------------------------------------------------------- */

#define CONFLICTS "SELECT id, \"table\", pk, cid, winner_site, winner_version, " \
	"winner, loser_site, loser_version, loser, rule, time, reviewed FROM " \
	"crsql_conflicts WHERE "

int
ledger_open(struct ledger *l, struct store *s, struct err *err)
{
	int rc;

	memset(l, 0, sizeof *l);
	l->s = s;
	rc = authors_load(s, &l->authors, err);
	if (rc == 0)
		rc = sql_open(s->db, &l->one, err, CONFLICTS "id = ?1", "");
	if (rc == 0)
		rc = sql_open(s->db, &l->names, err, "SELECT name FROM "
		    "pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", "");
	if (rc == 0)
		rc = sql_open(s->db, &l->values, err, "SELECT cell FROM "
		    "crsql_unpack_columns WHERE package = ?1", "");
	return rc;
}

void
ledger_close(struct ledger *l)
{
	authors_clear(&l->authors);
	sqlite3_finalize(l->one);
	sqlite3_finalize(l->names);
	sqlite3_finalize(l->values);
	memset(l, 0, sizeof *l);
}

/* The key at that column of the row of l->one. */
static int
read_key(struct ledger *l, struct conflict *c, int column, struct err *err)
{
	struct store_cell *key = NULL;
	int rc;

	sqlite3_bind_text(l->names, 1, c->is.table, -1, SQLITE_STATIC);
	sqlite3_bind_value(l->values, 1, sqlite3_column_value(l->one, column));
	rc = rows_key(&c->rows, l->names, l->values,
	    sqlite3_column_blob(l->one, column),
	    (size_t)sqlite3_column_bytes(l->one, column), &key, &c->is.nkey,
	    err);
	sqlite3_clear_bindings(l->names);
	sqlite3_clear_bindings(l->values);
	c->is.key = key;
	return rc;
}

/* *out "" for NULL. */
static int
read_text(struct conflict *c, sqlite3_stmt *stmt, int i, const char **out,
    struct err *err)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	*out = rows_text(&c->rows, text != NULL ? text : "");
	return *out != NULL ? 0 : err_nomem(err);
}

static int
add_lost(struct conflict *c, sqlite3_stmt *stmt, struct err *err)
{
	struct store_lost *lost = rows_grow(&c->rows, c->lost, c->is.nlost,
	    sizeof *lost);
	int rc;

	if (lost == NULL)
		return err_nomem(err);
	c->is.lost = c->lost = lost;
	lost += c->is.nlost;
	memset(lost, 0, sizeof *lost);
	rc = read_text(c, stmt, 3, &lost->column, err);
	if (rc == 0 && (!rows_value(&c->rows, stmt, 6, &lost->winner) ||
	    !rows_value(&c->rows, stmt, 9, &lost->loser)))
		rc = err_nomem(err);
	c->is.nlost += rc == 0;
	return rc;
}

/* Its first row. */
static int
take_head(struct ledger *l, struct conflict *c, struct err *err)
{
	uint8_t site[STORE_SITE_LEN];
	int rc;

	c->is.id = (uint64_t)sqlite3_column_int64(l->one, 0);
	c->is.winner_version = (uint64_t)sqlite3_column_int64(l->one, 5);
	c->is.loser_version = (uint64_t)sqlite3_column_int64(l->one, 8);
	c->is.time_ms = sqlite3_column_int64(l->one, 11);
	c->is.reviewed_ms = sqlite3_column_int64(l->one, 12);
	rc = read_text(c, l->one, 1, &c->is.table, err);
	if (rc == 0)
		rc = read_text(c, l->one, 10, &c->is.rule, err);
	if (rc == 0)
		rc = read_key(l, c, 2, err);
	sql_column(l->one, 4, site, sizeof site);
	if (rc == 0)
		rc = authors_get(l->s, &l->authors, site, &c->is.winner, err);
	sql_column(l->one, 7, site, sizeof site);
	if (rc == 0)
		rc = authors_get(l->s, &l->authors, site, &c->is.loser, err);
	c->is.row = rc == 0 && (strcmp(c->is.rule, "delete") == 0 ||
	    strcmp(c->is.rule, "life") == 0);
	return rc;
}

int
conflict_read(struct ledger *l, uint64_t id, struct conflict *out,
    struct err *err)
{
	bool row = true;
	int rc = 0;

	memset(out, 0, sizeof *out);
	sqlite3_bind_int64(l->one, 1, (int64_t)id);
	while (rc == 0 && row) {
		rc = sql_next(l->one, &row, err);
		if (rc == 0 && row && out->is.id == 0)
			rc = take_head(l, out, err);
		if (rc == 0 && row &&
		    sqlite3_column_type(l->one, 3) != SQLITE_NULL)
			rc = add_lost(out, l->one, err);
	}
	sqlite3_reset(l->one);
	return rc == 0 && out->is.id == 0 ? err_set(err, E_NOTFOUND,
	    "\"ddcp conflicts --all\" lists those there are", "there is no conflict "
	    "%llu", (unsigned long long)id) : rc;
}

/* -- the list ---------------------------------------------------------------------- */

static bool
is_wanted(const char *table, const char *const *tables, size_t ntables)
{
	size_t i;

	for (i = 0; i < ntables; i++)
		if (sqlite3_stricmp(table, tables[i]) == 0)
			return true;
	return ntables == 0;
}

static int
open_next(struct store *s, bool all, sqlite3_stmt **out, struct err *err)
{
	return sql_open(s->db, out, err, all ? "SELECT l.id, t.name FROM "
	    "crsql_ledger AS l JOIN crsql_tbl AS t ON t.id = l.tbl WHERE l.id > ?1 "
	    "ORDER BY l.id" : "SELECT l.id, t.name FROM crsql_ledger AS l JOIN "
	    "crsql_tbl AS t ON t.id = l.tbl WHERE l.id > ?1 AND l.reviewed IS NULL "
	    "ORDER BY l.id", "");
}

/* The next one that is wanted, above *id; *id 0: there is none. */
static int
find_next(sqlite3_stmt *next, const struct store_conflicts *which, int64_t *id,
    struct err *err)
{
	const char *table;
	bool row = true, found = false;
	int rc = 0;

	sqlite3_bind_int64(next, 1, *id);
	*id = 0;
	while (rc == 0 && row && !found) {
		rc = sql_next(next, &row, err);
		table = row ? (const char *)sqlite3_column_text(next, 1) : NULL;
		found = table != NULL && is_wanted(table, which->table,
		    which->ntables);
		if (rc == 0 && found)
			*id = sqlite3_column_int64(next, 0);
	}
	sqlite3_reset(next);
	return rc;
}

static int
check_tables(struct store *s, const struct store_conflicts *which,
    struct err *err)
{
	char *name;
	size_t i;
	int rc = 0;

	for (i = 0; i < which->ntables && rc == 0; i++) {
		rc = history_table(s, which->table[i], &name, err);
		free(name);
	}
	return rc;
}

/* Conflicts that are read at a time: changing between looking and not, and with
 * it each statement's being prepared anew, costs as much as ten of them. */
enum { BATCH = 64, BATCH_BYTES = 4 << 20 };

struct batch {
	struct conflict c[BATCH];
	size_t n;
	bool more;
};

static int
read_batch(struct ledger *l, sqlite3_stmt *next,
    const struct store_conflicts *which, int64_t *id, struct batch *b,
    struct err *err)
{
	size_t bytes = 0;
	int rc = 0;

	b->n = 0;
	b->more = true;
	while (rc == 0 && b->more && b->n < BATCH && bytes < BATCH_BYTES) {
		rc = find_next(next, which, id, err);
		b->more = rc == 0 && *id != 0;
		if (!b->more)
			break;
		rc = conflict_read(l, (uint64_t)*id, &b->c[b->n], err);
		bytes += rows_bytes(&b->c[b->n++].rows);
		/* its table is gone, or it is since somebody forgot it */
		if (rc == E_NOTFOUND) {
			conflict_clear(&b->c[--b->n]);
			err_clear(err);
			rc = 0;
		}
	}
	return rc;
}

int
store_conflict_each(struct store *s, const struct store_conflicts *which,
    int (*each)(void *self, const struct store_conflict *c), void *self,
    struct err *err)
{
	struct ledger ledger = { .s = s };
	struct batch b = { .more = true };
	sqlite3_stmt *next = NULL;
	int64_t id = 0;
	size_t i;
	bool has;
	int rc;

	store_fold(s);
	rc = check_tables(s, which, err);
	if (rc == 0)
		rc = sql_has_table(s->db, "crsql_ledger", &has, err);
	if (rc == 0 && has)
		rc = ledger_open(&ledger, s, err);
	if (rc == 0 && has)
		rc = open_next(s, which->all, &next, err);
	while (rc == 0 && has && b.more) {
		store_only_look(s, true);
		rc = read_batch(&ledger, next, which, &id, &b, err);
		store_only_look(s, false);
		for (i = 0; i < b.n; i++) {
			if (rc == 0)
				rc = each(self, &b.c[i].is);
			conflict_clear(&b.c[i]);
		}
	}
	sqlite3_finalize(next);
	ledger_close(&ledger);
	return rc;
}

int
store_conflict_count(struct store *s, uint64_t *out, struct err *err)
{
	int64_t n = 0;
	bool has;
	int rc = sql_has_table(s->db, "crsql_ledger", &has, err);

	if (rc == 0 && has)
		rc = sql_int(s->db, &n, err, "SELECT count(*) FROM crsql_ledger WHERE "
		    "reviewed IS NULL", "");
	*out = (uint64_t)n;
	return rc;
}

int
store_conflict_room(struct store *s, bool *room, struct err *err)
{
	uint64_t max, n;
	int rc = config_number(s, "conflicts.max", &max, err);

	if (rc == 0)
		rc = store_conflict_count(s, &n, err);
	*room = rc == 0 && n < max;
	return rc;
}

int
store_conflict_news(struct store *s, uint64_t *newest, uint64_t *n,
    struct err *err)
{
	int64_t count = 0, id = (int64_t)*newest;
	bool has;
	int rc = sql_has_table(s->db, "crsql_ledger", &has, err);

	if (rc == 0 && has)
		rc = sql_int(s->db, &id, err, "SELECT max(id) FROM crsql_ledger", "");
	if (rc == 0 && id > (int64_t)*newest)
		rc = sql_int(s->db, &count, err, "SELECT count(*) FROM crsql_ledger "
		    "WHERE id > ?1", "i", (int64_t)*newest);
	*n = (uint64_t)count;
	*newest = (uint64_t)id;
	return rc;
}

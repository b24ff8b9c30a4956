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

static int
read_key(struct store *s, struct conflict *c, sqlite3_stmt *from, int pk,
    struct err *err)
{
	sqlite3_stmt *names = NULL, *values = NULL;
	struct store_cell *key = NULL;
	int rc;

	rc = sql_open(s->db, &names, err, "SELECT name FROM pragma_table_info(?1) "
	    "WHERE pk > 0 ORDER BY pk", "t", c->is.table);
	if (rc == 0)
		rc = sql_open(s->db, &values, err, "SELECT cell FROM "
		    "crsql_unpack_columns WHERE package = ?1", "");
	if (rc == 0) {
		sqlite3_bind_value(values, 1, sqlite3_column_value(from, pk));
		rc = rows_key(&c->rows, names, values,
		    sqlite3_column_blob(from, pk),
		    (size_t)sqlite3_column_bytes(from, pk), &key, &c->is.nkey, err);
	}
	c->is.key = key;
	sqlite3_finalize(names);
	sqlite3_finalize(values);
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

#define CONFLICTS "SELECT id, \"table\", pk, cid, winner_site, winner_version, " \
	"winner, loser_site, loser_version, loser, rule, time, reviewed FROM " \
	"crsql_conflicts WHERE "

/* Its first row. */
static int
take_head(struct store *s, struct authors *a, struct conflict *c,
    sqlite3_stmt *stmt, struct err *err)
{
	uint8_t site[STORE_SITE_LEN];
	int rc;

	c->is.id = (uint64_t)sqlite3_column_int64(stmt, 0);
	c->is.winner_version = (uint64_t)sqlite3_column_int64(stmt, 5);
	c->is.loser_version = (uint64_t)sqlite3_column_int64(stmt, 8);
	c->is.time_ms = sqlite3_column_int64(stmt, 11);
	c->is.reviewed_ms = sqlite3_column_int64(stmt, 12);
	rc = read_text(c, stmt, 1, &c->is.table, err);
	if (rc == 0)
		rc = read_text(c, stmt, 10, &c->is.rule, err);
	if (rc == 0)
		rc = read_key(s, c, stmt, 2, err);
	sql_column(stmt, 4, site, sizeof site);
	if (rc == 0)
		rc = authors_get(s, a, site, &c->is.winner, err);
	sql_column(stmt, 7, site, sizeof site);
	if (rc == 0)
		rc = authors_get(s, a, site, &c->is.loser, err);
	c->is.row = rc == 0 && (strcmp(c->is.rule, "delete") == 0 ||
	    strcmp(c->is.rule, "life") == 0);
	return rc;
}

int
conflict_read(struct store *s, struct authors *a, uint64_t id,
    struct conflict *out, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	memset(out, 0, sizeof *out);
	rc = sql_open(s->db, &stmt, err, CONFLICTS "id = ?1", "i", (int64_t)id);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row && out->is.id == 0)
			rc = take_head(s, a, out, stmt, err);
		if (rc == 0 && row &&
		    sqlite3_column_type(stmt, 3) != SQLITE_NULL)
			rc = add_lost(out, stmt, err);
	}
	sqlite3_finalize(stmt);
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

/* The next one that is wanted, above *id; *id 0: there is none. */
static int
find_next(struct store *s, const struct store_conflicts *which, int64_t *id,
    struct err *err)
{
	sqlite3_stmt *stmt;
	const char *table;
	bool row = true, found = false;
	int rc;

	rc = sql_open(s->db, &stmt, err, which->all ? "SELECT l.id, t.name FROM "
	    "crsql_ledger AS l JOIN crsql_tbl AS t ON t.id = l.tbl WHERE l.id > ?1 "
	    "ORDER BY l.id" : "SELECT l.id, t.name FROM crsql_ledger AS l JOIN "
	    "crsql_tbl AS t ON t.id = l.tbl WHERE l.id > ?1 AND l.reviewed IS NULL "
	    "ORDER BY l.id", "i", *id);
	*id = 0;
	while (rc == 0 && row && !found) {
		rc = sql_next(stmt, &row, err);
		table = row ? (const char *)sqlite3_column_text(stmt, 1) : NULL;
		found = table != NULL && is_wanted(table, which->table,
		    which->ntables);
		if (rc == 0 && found)
			*id = sqlite3_column_int64(stmt, 0);
	}
	sqlite3_finalize(stmt);
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

int
store_conflict_each(struct store *s, const struct store_conflicts *which,
    int (*each)(void *self, const struct store_conflict *c), void *self,
    struct err *err)
{
	struct authors authors = { 0 };
	struct conflict c;
	int64_t id = 0;
	bool has;
	int rc;

	store_fold(s);
	rc = check_tables(s, which, err);
	if (rc == 0)
		rc = authors_load(s, &authors, err);
	if (rc == 0)
		rc = sql_has_table(s->db, "crsql_ledger", &has, err);
	while (rc == 0 && has) {
		store_only_look(s, true);
		rc = find_next(s, which, &id, err);
		memset(&c, 0, sizeof c);
		if (rc == 0 && id != 0)
			rc = conflict_read(s, &authors, (uint64_t)id, &c, err);
		store_only_look(s, false);
		/* its table is gone, or it is since somebody forgot it */
		if (rc == E_NOTFOUND) {
			err_clear(err);
			rc = 0;
		} else if (rc == 0 && id != 0) {
			rc = each(self, &c.is);
		}
		conflict_clear(&c);
		if (id == 0)
			break;
	}
	authors_clear(&authors);
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

// SPDX-License-Identifier: MPL-2.0
/* blame.c - who set each column of one row: crsql_history, by its key. */
#include <stdlib.h>
#include <string.h>

#include "store/author.h"
#include "store/history.h"
#include "store/sql.h"
#include "store/store_private.h"

struct blame {
	struct store *s;
	struct authors authors;
	char *table;
	sqlite3_stmt *stmt;     /* columns of the table, and what is known of each */
	struct err *err;
};

/* -- the question ------------------------------------------------------------------- */

static int
key_is_wrong(struct blame *b, int64_t columns)
{
	sqlite3_stmt *stmt;
	char names[256];
	bool row = false;
	int rc;

	rc = sql_open(b->s->db, &stmt, b->err, "SELECT group_concat(name, ', ') FROM "
	    "(SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk)",
	    "t", b->table);
	if (rc == 0)
		rc = sql_next(stmt, &row, b->err);
	sql_column_text(stmt, 0, names, sizeof names);
	sqlite3_finalize(stmt);
	return rc != 0 ? rc : err_set(b->err, E_USAGE, "give a value for each: a "
	    "number, 'text' in quotes (twice for the shell: \"'text'\"), or x'00'",
	    "the key of %s has %lld column%s: %s", b->table, (long long)columns,
	    columns == 1 ? "" : "s", names);
}

static int
check_key(struct blame *b, size_t nkey)
{
	int64_t columns;
	int rc = sql_int(b->s->db, &columns, b->err, "SELECT count(*) FROM "
	    "pragma_table_info(?1) WHERE pk > 0", "t", b->table);

	return rc == 0 && columns != (int64_t)nkey ?
	    key_is_wrong(b, columns) : rc;
}

/* What is known of the row, the columns in the table's order, those of which
 * nothing is known too; what is of the row itself first. */
static const char question[] =
    "WITH h AS MATERIALIZED (SELECT * FROM crsql_history WHERE \"table\" = ?1 "
    "AND pk = crsql_pack_columns(%s)) "
    "SELECT coalesce(cid, ''), val, kind, site_id, site_version, db_version, "
    "time, -1 AS n FROM h WHERE cid IS NULL UNION ALL "
    "SELECT c.name, h.val, h.kind, h.site_id, h.site_version, h.db_version, "
    "h.time, c.cid FROM pragma_table_xinfo(?1) AS c LEFT JOIN h ON h.cid = c.name "
    "WHERE c.pk = 0 AND c.hidden = 0 AND EXISTS (SELECT 1 FROM h WHERE "
    "kind <> 'delete') ORDER BY n";

static int
ask(struct blame *b, const struct store_value *key, size_t nkey)
{
	sqlite3_str *list = sqlite3_str_new(NULL);
	char *names, *sql;
	size_t i;
	int rc;

	for (i = 0; i < nkey; i++)
		sqlite3_str_appendf(list, "%s?%d", i > 0 ? ", " : "", (int)i + 2);
	names = sqlite3_str_finish(list);
	sql = names != NULL ? sqlite3_mprintf(question, names) : NULL;
	rc = sql == NULL ? err_nomem(b->err) : sql_open(b->s->db, &b->stmt, b->err,
	    sql, "t", b->table);
	for (i = 0; i < nkey && rc == 0; i++)
		if (history_bind(b->stmt, (int)i + 2, &key[i]) != SQLITE_OK)
			rc = sql_fail(b->s->db, sqlite3_errcode(b->s->db), b->err);
	sqlite3_free(names);
	sqlite3_free(sql);
	return rc;
}

/* -- the answer --------------------------------------------------------------------- */

static int
give(struct blame *b, int (*each)(void *self, const struct store_blamed *b),
    void *self)
{
	struct store_blamed out = { .known = false };
	uint8_t site[STORE_SITE_LEN];
	const char *kind = (const char *)sqlite3_column_text(b->stmt, 2);
	int rc = 0;

	out.column = (const char *)sqlite3_column_text(b->stmt, 0);
	out.known = kind != NULL;
	if (out.column == NULL)
		return err_nomem(b->err);
	if (out.known) {
		out.kind = kind[0] == 'd' ? STORE_DELETED : kind[0] == 'i' ?
		    STORE_INSERTED : STORE_CHANGED;
		sql_column(b->stmt, 3, site, sizeof site);
		out.version = (uint64_t)sqlite3_column_int64(b->stmt, 4);
		out.db_version = (uint64_t)sqlite3_column_int64(b->stmt, 5);
		out.time_ms = sqlite3_column_int64(b->stmt, 6);
		rc = authors_get(b->s, &b->authors, site, &out.author, b->err);
	}
	out.value = history_value(b->stmt, 1);
	return rc == 0 ? each(self, &out) : rc;
}

static int
give_all(struct blame *b, int (*each)(void *self, const struct store_blamed *b),
    void *self)
{
	bool row = true, any = false;
	int rc = 0;

	while (rc == 0 && row) {
		rc = sql_next(b->stmt, &row, b->err);
		if (rc != 0 || !row)
			break;
		any = true;
		rc = give(b, each, self);
	}
	return rc == 0 && !any ? err_set(b->err, E_NOTFOUND, "a delete is "
	    "remembered until everybody has it", "no such row of %s is known, nor "
	    "that it was deleted", b->table) : rc;
}

int
store_blame(struct store *s, const char *table, const struct store_value *key,
    size_t nkey, int (*each)(void *self, const struct store_blamed *b),
    void *self, struct err *err)
{
	struct blame b = { .s = s, .err = err };
	int rc;

	store_fold(s);
	store_only_look(s, true);
	rc = history_table(s, table, &b.table, err);
	if (rc == 0)
		rc = check_key(&b, nkey);
	if (rc == 0)
		rc = authors_load(s, &b.authors, err);
	if (rc == 0)
		rc = ask(&b, key, nkey);
	if (rc == 0)
		rc = give_all(&b, each, self);
	sqlite3_finalize(b.stmt);
	store_only_look(s, false);
	authors_clear(&b.authors);
	free(b.table);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * lint.c - ddcp check: what of a table will not merge well, and why.  One
 * table says what is looked for; a query that gives a row is a finding, and
 * its text, if it has one, names the culprit.
 */
#include <stdlib.h>
#include <string.h>

#include "store/held.h"
#include "store/sql.h"
#include "store/store_private.h"

/* An SQL expression: the words of a piece of SQL, a blank on each side. */
#define WORDS(sql) "lower(replace(replace(replace(replace(replace(replace(" \
	sql ", '(', ' '), '\"', ' '), ';', ' '), '[', ' '), ']', ' '), " \
	"char(10), ' ')) || ' '"

static const struct rule {
	const char *name;
	enum store_lint_grade grade;
	const char *query;      /* ?1 is the table */
	const char *text;       /* %s is what the query names */
} rules[] = {
	{ "reserved-name", LINT_REFUSAL,
	    "SELECT ?1 WHERE ?1 LIKE 'ddcp\\_%' ESCAPE '\\' OR ?1 LIKE "
	    "'crsql\\_%' ESCAPE '\\' OR ?1 LIKE 'sqlite\\_%' ESCAPE '\\'",
	    "tables named like %s are never replicated" },
	{ "long-name", LINT_REFUSAL,
	    "SELECT '' FROM pragma_table_info(?1) WHERE max(length(CAST(name AS "
	    "BLOB)), length(CAST(?1 AS BLOB))) > 2048 OR name = '' LIMIT 1",
	    "its name, or that of a column, is empty or has more than 2048 "
	    "bytes%s" },
	{ "not-a-table", LINT_REFUSAL,
	    "SELECT type FROM pragma_table_list(?1) WHERE schema = 'main' AND "
	    "type <> 'table'",
	    "it is a %s, and only ordinary tables can be replicated" },
	{ "no-primary-key", LINT_REFUSAL,
	    "SELECT '' WHERE NOT EXISTS(SELECT 1 FROM pragma_table_info(?1) "
	    "WHERE pk)",
	    "it has no primary key, so rows can't be told apart elsewhere%s" },
	{ "key-collation", LINT_REFUSAL,
	    "SELECT x.name FROM pragma_index_list(?1) AS l, "
	    "pragma_index_xinfo(l.name) AS x WHERE l.origin = 'pk' AND x.key AND "
	    "x.coll <> 'BINARY'",
	    "key column %s compares other than by its bytes: two databases could "
	    "not agree which row is meant" },
	{ "autoincrement", LINT_REFUSAL,
	    "SELECT '' FROM sqlite_schema WHERE type = 'table' AND name = ?1 "
	    "COLLATE NOCASE "
	    "AND sql LIKE '%autoincrement%'",
	    "AUTOINCREMENT gives the same number to different rows in two "
	    "databases%s; use a UUID, for example" },
	{ "unique", LINT_REFUSAL,
	    "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND "
	    "origin <> 'pk'",
	    "unique index %s can't be kept: two databases may write the same "
	    "value at the same time" },
	{ "foreign-key", LINT_REFUSAL,
	    "SELECT \"table\" FROM pragma_foreign_key_list(?1)",
	    "the foreign key to %s can't be kept: its row may be deleted in one "
	    "database while the other refers to it" },
	{ "not-null-without-default", LINT_REFUSAL,
	    "SELECT name FROM pragma_table_info(?1) WHERE NOT pk AND "
	    "\"notnull\" AND dflt_value IS NULL",
	    "column %s is NOT NULL without a default, so that a row from a "
	    "database that lacks the column could not be taken" },
	{ "integer-key", LINT_WARNING,
	    "SELECT name FROM pragma_table_info(?1) WHERE pk AND "
	    "upper(type) = 'INTEGER' AND (SELECT count(*) FROM "
	    "pragma_table_info(?1) WHERE pk) = 1",
	    "key column %s takes the next number by itself: two databases give "
	    "the same number to different rows, which become one" },
	{ "check", LINT_WARNING,
	    "SELECT '' FROM sqlite_schema WHERE type = 'table' AND name = ?1 "
	    "COLLATE NOCASE "
	    "AND sql LIKE '%check%(%'",
	    "a CHECK may refuse what two changes give together%s; such a change "
	    "is parked until it fits" },
	{ "trigger-writes", LINT_WARNING,
	    "SELECT g.name FROM sqlite_schema AS g WHERE g.type = 'trigger' AND "
	    "g.tbl_name = ?1 COLLATE NOCASE AND "
	    "g.name NOT LIKE '%\\_\\_crsql\\_%' ESCAPE '\\' "
	    "AND g.sql NOT LIKE '%crsql\\_internal\\_sync\\_bit%' ESCAPE '\\' "
	    "AND EXISTS(SELECT 1 FROM sqlite_schema AS m WHERE m.type = "
	    "'trigger' AND m.name = m.tbl_name || '__crsql_itrig' AND "
	    "instr(" WORDS("substr(g.sql, instr(lower(g.sql), 'begin'))") ", "
	    "' ' || lower(m.tbl_name) || ' ') > 0)",
	    "trigger %s names a replicated table: what it writes in a merge is "
	    "not passed on, so that databases may differ; let it do nothing when "
	    "crsql_internal_sync_bit() is 1" },
	{ "nullable-key", LINT_NOTE,
	    "SELECT name FROM pragma_table_info(?1) WHERE pk AND NOT \"notnull\" "
	    "AND upper(type) <> 'INTEGER'",
	    "key column %s may be NULL by its declaration; such a row is refused "
	    "when it is written" },
	{ "generated-column", LINT_NOTE,
	    "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)",
	    "column %s is computed, and not sent: each database computes its "
	    "own" },
};

struct lint {
	struct store *s;
	int (*each)(void *self, const char *table,
	    enum store_lint_grade grade, const char *rule, const char *text);
	void *self;
};

static int
check_rule(struct lint *l, const struct rule *r, const char *table,
    struct err *err)
{
	sqlite3_stmt *stmt;
	char *text;
	bool row = true;
	int rc;

	rc = sql_open(l->s->db, &stmt, err, r->query, "t", table);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		text = sqlite3_mprintf(r->text, sqlite3_column_text(stmt, 0));
		rc = text == NULL ? err_nomem(err) :
		    l->each(l->self, table, r->grade, r->name, text);
		sqlite3_free(text);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
check_table(struct lint *l, const char *table, struct err *err)
{
	int64_t n;
	size_t i;
	int rc;

	rc = sql_int(l->s->db, &n, err, "SELECT count(*) FROM sqlite_schema "
	    "WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE", "t",
	    table);
	if (rc == 0 && n == 0)
		rc = err_set(err, E_NOTFOUND, "\"ddcp track\" lists those there "
		    "are", "there is no table %s", table);
	for (i = 0; i < sizeof rules / sizeof *rules && rc == 0; i++)
		rc = check_rule(l, &rules[i], table, err);
	return rc;
}

int
store_check(struct store *s, const char *table, int (*each)(void *self,
    const char *table, enum store_lint_grade grade, const char *rule,
    const char *text), void *self, struct err *err)
{
	struct lint l = { s, each, self };
	struct held h;
	size_t i;
	int rc;

	if (table != NULL)
		return check_table(&l, table, err);
	rc = held_load(s->db, &h, err);
	for (i = 0; i < h.ntables && rc == 0; i++)
		rc = check_table(&l, h.table[i].name, err);
	held_clear(&h);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/* crr_check.c - what a table must be, so that it can be replicated; see crr.h. */
#include "crdt/crr.h"

#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

static int
count(struct engine *e, int64_t *n, const char *what, const char *name)
{
	char *sql = sqlite3_mprintf(what, name);
	int rc;

	*n = 0;
	rc = sql ? engine_int(e, n, "%s", sql) : SQLITE_NOMEM;
	sqlite3_free(sql);
	return rc;
}

struct check {
	const char *query;      /* %Q is the table; the number of offences */
	const char *text;       /* %s is the table */
};

_Static_assert(NAME_MAX_BYTES == 2048, "the last check says so");
_Static_assert(PACK_MAX_COLUMNS == 255, "the one before says so");
static const struct check checks[] = {
	{ "SELECT count(*) FROM pragma_index_list(%Q, 'main') "
	    "WHERE \"unique\" AND origin <> 'pk'",
	    "Table %s has unique indices besides"
	    "the primary key. This is not allowed for CRRs" },
	{ "SELECT count(*) = 0 FROM pragma_table_info(%Q, 'main') WHERE pk",
	    "Table %s has no primary key or primary key is nullable. CRRs must "
	    "have a non nullable primary key" },
	/* not all rows: there may be very many tables */
	{ "SELECT instr(lower(sql), 'autoincrement') > 0 FROM main.sqlite_schema "
	    "WHERE type = 'table' AND name = %Q LIMIT 1",
	    "%s has auto-increment primary keys. This is likely a mistake as two "
	    "concurrent nodes will assign unrelated rows the same primary key. "
	    "Either use a primary key that represents the identity of your row or "
	    "use a database friendly UUID such as UUIDv7" },
	{ "SELECT count(*) FROM pragma_foreign_key_list(%Q, 'main')",
	    "Table %s has checked foreign key constraints. CRRs may have foreign "
	    "keys but must not have checked foreign key constraints as they can be "
	    "violated by row level security or replication." },
	{ "SELECT count(*) FROM pragma_table_info(%Q, 'main') WHERE NOT pk AND "
	    "\"notnull\" AND dflt_value IS NULL",
	    "Table %s has a NOT NULL column without a DEFAULT VALUE. This is not "
	    "allowed as it prevents forwards and backwards compatibility between "
	    "schema versions. Make the column nullable or assign a default value "
	    "to it." },
	{ "SELECT count(*) FROM pragma_index_list(%Q, 'main') l, "
	    "pragma_index_xinfo(l.name, 'main') x WHERE l.origin = 'pk' AND x.key "
	    "AND x.coll <> 'BINARY'",
	    "Table %s has a key column whose collation is not BINARY: rows could "
	    "not be told apart by their bytes" },
	{ "SELECT count(*) FROM pragma_table_info(%Q, 'main') WHERE pk > 255",
	    "Table %s has a key of more than 255 columns: it can't be packed" },
	/* NAME_MAX_BYTES; arg is the table */
	{ "SELECT count(*) FROM pragma_table_info(%Q, 'main') WHERE "
	    "max(length(CAST(name AS BLOB)), length(CAST(arg AS BLOB))) > 2048 OR "
	    "name = ''",
	    "Table %.80s can't be replicated: its name, or that of a column, is "
	    "empty or has more than 2048 bytes" },
};

enum { OUR_CHECKS = 5 };        /* those before are cr-sqlite's, too */

static int
check_from(struct engine *e, const char *name, size_t i)
{
	char *text;
	int64_t n;
	int rc = SQLITE_OK;

	if (sqlite3_strnicmp(name, "crsql_", 6) == 0 ||
	    sqlite3_strnicmp(name, "ddcp_", 5) == 0 ||
	    sqlite3_strnicmp(name, "sqlite_", 7) == 0)
		return engine_fail(e, SQLITE_ERROR, "Table %s is not replicated: names "
		    "that begin with crsql_, ddcp_ or sqlite_ are kept for bookkeeping",
		    name);

	for (; i < sizeof checks / sizeof *checks; i++) {
		rc = count(e, &n, checks[i].query, name);
		if (rc != SQLITE_OK)
			return rc;
		if (n == 0)
			continue;
		text = sqlite3_mprintf(checks[i].text, name);
		rc = engine_fail(e, SQLITE_ERROR, "%s", text ? text : "");
		sqlite3_free(text);
		return rc;
	}
	return SQLITE_OK;
}

int
crr_check_name(struct engine *e, const char *name)
{
	return check_from(e, name, 0);
}

int
crr_check_form(struct engine *e, const char *name)
{
	return check_from(e, name, OUR_CHECKS);
}

int
crr_check_keys(struct engine *e, struct table *t)
{
	int64_t nulls = 0;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->npk && rc == SQLITE_OK && !t->integer_key; i++) {
		rc = engine_int(e, &nulls, "SELECT EXISTS(SELECT 1 FROM main.\"%w\" "
		    "WHERE \"%w\" IS NULL)", t->name, t->pk[i].name);
		if (rc == SQLITE_OK && nulls)
			rc = engine_fail(e, SQLITE_ERROR, "Table %s has a row whose key is "
			    "NULL: give it one first", t->name);
	}
	return rc;
}

int
crr_check(struct engine *e, struct table *t)
{
	int rc = crr_check_name(e, t->name);

	return rc == SQLITE_OK ? crr_check_keys(e, t) : rc;
}

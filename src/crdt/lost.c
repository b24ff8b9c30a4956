// SPDX-License-Identifier: MPL-2.0
/* lost.c - see lost.h. */
#include "crdt/lost.h"

#include "crdt/columns.h"
#include "crdt/unique.h"
#include "crdt/val.h"

SQLITE_EXTENSION_INIT3

/* Log rows of a table that is none any more; headers stay. */
static int
forget_log(struct engine *e, int id, const char *name)
{
	int rc = engine_exec(e, "UPDATE crsql_log SET tbl = NULL, key = NULL, "
	    "n = 0, seq_stride = NULL, mask = NULL WHERE tbl = %d AND pos = 0;"
	    "DELETE FROM crsql_log WHERE tbl = %d;"
	    "DELETE FROM crsql_j WHERE w >> 3 = %d;"
	    "DELETE FROM crsql_col WHERE tbl = %d;"
	    "DELETE FROM crsql_was WHERE tbl = %d;"
	    "DELETE FROM crsql_tbl WHERE id = %d", id, id, id, id, id, id);

	return rc != SQLITE_OK ? rc : engine_exec(e, "DELETE FROM crsql_master "
	    "WHERE key IN ('again.%d', 'key.%d', 'unique.%d', 'check.%d');"
	    "INSERT OR IGNORE INTO crsql_master VALUES('gone.%q', 1)", id, id,
	    id, id, name);
}

int
lost_drop_metadata(struct engine *e, const char *name)
{
	return engine_exec(e, "DROP TABLE IF EXISTS main.\"%w__crsql_meta\";"
	    "DROP TABLE IF EXISTS main.\"%w__crsql_dead\"", name, name);
}

int
lost_empty(struct engine *e, int id, const char *name)
{
	int rc = engine_exec(e, "DELETE FROM main.\"%w__crsql_meta\";"
	    "DELETE FROM main.\"%w__crsql_dead\"", name, name);

	return rc == SQLITE_OK ? forget_log(e, id, name) : rc;
}

int
lost_forget(struct engine *e, int id, const char *name)
{
	int rc = lost_drop_metadata(e, name);

	/* SQLite drops nothing while a statement runs, and COMMIT is one: they
	 * stay, empty, until a table of that name is replicated again */
	if (rc == SQLITE_LOCKED)
		return lost_empty(e, id, name);
	return rc == SQLITE_OK ? forget_log(e, id, name) : rc;
}

int
lost_again(struct engine *e, int64_t id, const char *name)
{
	int64_t head;
	int rc = tx_head(e, &head);

	/* what this transaction has logged so far nobody has seen */
	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_master SELECT 'again.%lld', %lld FROM crsql_master WHERE "
	    "key = 'gone.%q' COLLATE NOCASE;"
	    "DELETE FROM crsql_master WHERE key = 'gone.%q' COLLATE NOCASE", id,
	    head, name, name);
}

int
lost_doubt(struct engine *e, int id)
{
	int64_t head;
	int rc = tx_head(e, &head);

	return rc != SQLITE_OK ? rc : engine_exec(e, "INSERT OR REPLACE INTO "
	    "crsql_master VALUES('again.%d', %lld)", id, head);
}

int
lost_pending(struct engine *e, int64_t *n)
{
	int64_t lost = 0;
	int rc = table_refresh(e);

	*n = 0;
	if (rc == SQLITE_OK)
		rc = unique_pending(e, n);
	if (rc == SQLITE_OK && e->has_storage)
		rc = engine_int(e, &lost, "SELECT count(*) FROM crsql_tbl "
		    "WHERE name NOT IN (SELECT tbl_name FROM main.sqlite_schema "
		    "WHERE type = 'trigger' AND name = tbl_name || "
		    "'__crsql_itrig')");
	*n += lost + columns_pending(e);
	return rc;
}

/* -- dropped and renamed ------------------------------------------------------- */

static int
rename_metadata(struct engine *e, int id, const char *from, const char *to)
{
	int rc = SQLITE_OK;

	/* In another case it is the same name, which SQLite would not give. */
	if (sqlite3_stricmp(from, to) != 0)
		rc = engine_exec(e, "ALTER TABLE main.\"%w__crsql_meta\" RENAME TO "
		    "\"%w__crsql_meta\"; ALTER TABLE main.\"%w__crsql_dead\" "
		    "RENAME TO \"%w__crsql_dead\";", from, to, from, to);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "UPDATE crsql_tbl SET name = %Q WHERE id = %d",
		    to, id);
	return rc == SQLITE_OK ? lost_again(e, id, to) : rc;
}

/* SQLite takes triggers along when a table is renamed, under their old
 * names: by that the new name is known, also where another table has the old
 * one by now. */
int
lost_follow(struct engine *e)
{
	sqlite3_stmt *stmt;
	char *name, *to;
	bool renamed;
	int id = 0, rc;

	/* one whose new name is free first: another may be about to get its */
	do {
		name = to = NULL;
		rc = engine_prepare(e, &stmt, "SELECT t.id, t.name, (SELECT g.tbl_name "
		    "FROM main.sqlite_schema g WHERE g.type = 'trigger' AND g.name = "
		    "t.name || '__crsql_itrig') FROM crsql_tbl t WHERE NOT EXISTS("
		    "SELECT 1 FROM main.sqlite_schema s WHERE s.type = 'table' AND "
		    "s.name = t.name AND (SELECT max(pk) FROM "
		    "pragma_table_info(s.name, 'main')) BETWEEN 1 AND %d) OR "
		    "EXISTS(SELECT 1 "
		    "FROM main.sqlite_schema g WHERE g.type = 'trigger' AND g.name = "
		    "t.name || '__crsql_itrig' AND g.tbl_name <> t.name COLLATE "
		    "NOCASE AND g.tbl_name NOT IN (SELECT name FROM crsql_tbl)) "
		    "ORDER BY (SELECT g.tbl_name FROM main.sqlite_schema g WHERE "
		    "g.type = 'trigger' AND g.name = t.name || '__crsql_itrig') IN "
		    "(SELECT name FROM crsql_tbl) LIMIT 1", PACK_MAX_COLUMNS);
		if (rc != SQLITE_OK)
			return rc;
		if (sqlite3_step(stmt) == SQLITE_ROW) {
			id = sqlite3_column_int(stmt, 0);
			renamed = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
			rc = engine_copy(stmt, 1, &name);
			if (rc == SQLITE_OK && renamed)
				rc = engine_copy(stmt, 2, &to);
		}
		rc = engine_finalize(stmt, rc);
		if (rc == SQLITE_OK && name != NULL)
			rc = to ? rename_metadata(e, id, name, to)
			    : lost_forget(e, id, name);
		sqlite3_free(to);
		sqlite3_free(name);
	} while (name != NULL && rc == SQLITE_OK);
	return rc;
}

// SPDX-License-Identifier: MPL-2.0
/*
 * crdt_scripts.c - all that the engine does, as scripts for crdt_faults.h: each
 * function, each way in which rows are written, merged and told, and what follows
 * a change of the schema.
 */
#include "crdt_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TABLES "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE " \
	"i(id INTEGER PRIMARY KEY, x, y); CREATE TABLE c(a, b INTEGER, v, " \
	"PRIMARY KEY(a, b)); "
#define LOOK "SELECT * FROM t; SELECT * FROM i; SELECT * FROM c"

/* Rows of all kinds: fresh ones, written again, deleted. */
#define FILLED TABLES "SELECT crsql_as_crr('t'), crsql_as_crr('i'), " \
	"crsql_as_crr('c'); INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2), " \
	"('c', 3, 3); INSERT INTO i VALUES(1, 1, 1), (2, 2, 2), (5, 5, 5); " \
	"INSERT INTO c VALUES('k', 1, 'v'), (x'00', 2, 'w'); DELETE FROM t " \
	"WHERE id = 'b'; UPDATE i SET x = 8 WHERE id = 2; "

/* One without rowids, and one with no name for them. */
#define NAMELESS "CREATE TABLE w(k1 TEXT, k2 INTEGER, x, y, PRIMARY KEY(k1, k2)) " \
	"WITHOUT ROWID; CREATE TABLE r(id TEXT PRIMARY KEY, rowid, oid, _rowid_); " \
	"SELECT crsql_as_crr('w'), crsql_as_crr('r'); INSERT INTO w VALUES('a', 1, " \
	"1, 1), ('a', 2, 2, 2), ('b', 1, 3, 3); INSERT INTO r VALUES('a', 1, 1, 1), " \
	"('b', 2, 2, 2); DELETE FROM w WHERE k2 = 2; "
#define LOOK_NAMELESS "SELECT * FROM w; SELECT * FROM r"

/* By a program without the extension. */
#define PLAINLY "INSERT INTO t VALUES('b', 4, 4), ('d', 5, 5); UPDATE t SET x = " \
	"9; REPLACE INTO t VALUES('a', 7, 7); DELETE FROM t WHERE id = 'c'; " \
	"INSERT INTO i VALUES(9, 1, 1), (10, 1, 1); UPDATE i SET y = 8; UPDATE " \
	"i SET id = 3 WHERE id = 2; UPDATE c SET v = 0, a = 'm' WHERE b = 2; "

#define INTO "INSERT INTO crsql_changes(\"table\", pk, cid, val, col_version, " \
	"db_version, site_id, cl, seq) VALUES"

/* A file as cr-sqlite makes it: fresh rows, one written again, one of another
 * site, one deleted. */
#define CRSQLITE TABLES "CREATE TABLE crsql_master(key TEXT PRIMARY KEY, value " \
	"ANY); INSERT INTO crsql_master VALUES('crsqlite_version', 160300); CREATE " \
	"TABLE crsql_site_id(site_id BLOB NOT NULL, ordinal INTEGER PRIMARY KEY); " \
	"INSERT INTO crsql_site_id VALUES(" S1 ", 0), (" S2 ", 1); INSERT INTO t " \
	"VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3); CREATE TABLE t__crsql_clock(" \
	"key, col_name, col_version, db_version, site_id, seq); CREATE TABLE " \
	"t__crsql_pks(__crsql_key INTEGER PRIMARY KEY, id); INSERT INTO " \
	"t__crsql_pks VALUES(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); INSERT INTO " \
	"t__crsql_clock VALUES(1, 'x', 1, 1, 0, 0), (1, 'y', 1, 1, 0, 1), (2, 'x', " \
	"1, 1, 0, 2), (2, 'y', 2, 3, 0, 0), (3, 'x', 4, 2, 1, 0), (4, '-1', 2, 2, " \
	"0, 0); CREATE TRIGGER t__crsql_itrig AFTER INSERT ON t BEGIN SELECT 1; END"

#define LISTS "CREATE TABLE todo(id INTEGER PRIMARY KEY NOT NULL, list, pos TEXT, " \
	"what); SELECT crsql_as_crr('todo'); "
#define ORDERED LISTS "SELECT crsql_fract_as_ordered('todo', 'pos', 'list'); INSERT " \
	"INTO todo VALUES(1, 'home', 1, 'cook'), (2, 'home', 1, 'eat'), (3, 'work', " \
	"1, 'rest'); "

/* Many rows, so that remembered ones stand between others. */
#define ROWS "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); SELECT crsql_as_crr('t'); " \
	"INSERT INTO t WITH RECURSIVE i(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM i " \
	"WHERE v < 40) SELECT printf('k%02d', v * 17 % 41), v, v FROM i; UPDATE t SET " \
	"x = 0 WHERE y % 5 = 0; DELETE FROM t WHERE y IN (7, 21)"
#define MADE_ANEW(columns) "CREATE TABLE n(id TEXT PRIMARY KEY, x, y); INSERT INTO n " \
	"SELECT " columns " FROM t ORDER BY id; DROP TABLE t; ALTER TABLE n RENAME " \
	"TO t; "

/* Everything of this database, as a horizon. */
#define ALL_OWN "CAST(x'01' || substr(crsql_own(), 1, 16) || " \
	"substr(crsql_own(), 24, 1) AS BLOB)"

/* -- pages ------------------------------------------------------------------------ */

static char *
hex(const void *bytes, size_t n)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	const uint8_t *p = bytes;
	size_t i;

	for (i = 0; i < n; i++)
		sqlite3_str_appendf(out, "%02x", p[i]);
	return sqlite3_str_finish(out);
}

/* A plan for all of n's tables from the beginning. */
static void
plan_for(struct node *n, struct buf *plan)
{
	static const uint8_t start[NODE_CURSOR];

	node_plan(n, start, NULL, plan);
}

static char *
export_of_all(const char *base)
{
	struct buf plan;
	struct node n;
	char *bytes, *sql;

	node_open(&n, 0, NULL);
	node_exec(&n, TABLES "SELECT crsql_as_crr('t'), crsql_as_crr('i'), "
	    "crsql_as_crr('c')");
	plan_for(&n, &plan);
	bytes = hex(plan.data, plan.len);
	sql = sqlite3_mprintf("SELECT crsql_export(x'%s', NULL, 100000)", bytes);
	sqlite3_free(bytes);
	buf_clear(&plan);
	node_close(&n);
	return sql;
}

/* The first page of a database for one who knows what he knows after `reader`. */
static char *
page_of(const char *from_sql, const char *reader_sql)
{
	struct node from, reader;
	struct buf plan;
	uint8_t *page;
	char *bytes;
	int len;

	node_open(&from, 0, NULL);
	node_exec(&from, "%s", from_sql);
	node_open(&reader, 1, NULL);
	node_exec(&reader, "%s", reader_sql);
	plan_for(&reader, &plan);
	if (node_export(&from, &plan, NULL, 100000, &page, &len) != SQLITE_OK)
		fail_msg("export: %s", sqlite3_errmsg(from.db));
	bytes = hex(page, (size_t)len);
	sqlite3_free(page);
	buf_clear(&plan);
	node_close(&from);
	node_close(&reader);
	return bytes;
}

/* Of one that knows another column and another table's key, has renamed one, and
 * deleted rows. */
static char *
page_of_another(void)
{
	return page_of(TABLES "ALTER TABLE t ADD COLUMN z; SELECT "
	    "crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('c'); INSERT INTO "
	    "t VALUES('a', 5, 5, 5), ('q', 1, 1, 1); INSERT INTO i VALUES(1, 7, "
	    "7), (2, 7, 7), (3, 7, 7), (4, 7, 7); DELETE FROM i WHERE id = 2; "
	    "UPDATE t SET x = 6; ALTER TABLE c RENAME COLUMN v TO w; INSERT INTO "
	    "c VALUES('k', 1, 'other')", TABLES "SELECT crsql_as_crr('t'), "
	    "crsql_as_crr('i'), crsql_as_crr('c')");
}

static char *
import_of_another(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("BEGIN; SELECT crsql_import(x'%s'); SELECT "
	    "crsql_saw(" S1 ", 1); ALTER TABLE t ADD COLUMN z; SELECT "
	    "crsql_unpark(); COMMIT", page);

	sqlite3_free(page);
	return sql;
}

/* What waits for a column and what a constraint refuses, until both are mended. */
static char *
park_and_unpark(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("CREATE UNIQUE INDEX ux ON i(x); SELECT "
	    "crsql_import(x'%s'); SELECT \"table\", pk, version, reason FROM "
	    "crsql_parked; SELECT crsql_unpark(); DROP INDEX ux; ALTER TABLE t ADD "
	    "COLUMN z; SELECT crsql_unpark(); SELECT count(*) FROM crsql_parked",
	    page);

	sqlite3_free(page);
	return sql;
}

/* What was written on both sides, and deleted on one. */
static char *
conflicts(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("SELECT crsql_import(x'%s'); SELECT id, "
	    "\"table\", cid, winner, loser, rule FROM crsql_conflicts; SELECT "
	    "crsql_reviewed(1); SELECT crsql_forget_reviewed(9000000000000000); "
	    "SELECT crsql_reviewed(); SELECT id FROM crsql_conflicts WHERE id = 2", page);

	sqlite3_free(page);
	return sql;
}

static char *
import_noted(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("BEGIN; SELECT crsql_keep_before(1); SELECT "
	    "crsql_import(x'%s'); SELECT \"table\", pk, kind, existed, cid, val FROM "
	    "crsql_before; COMMIT; SELECT kind, val FROM crsql_before", page);

	sqlite3_free(page);
	return sql;
}

static char *
conflicts_of_what_goes(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("BEGIN; SELECT crsql_import(x'%s'); SELECT "
	    "crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN y; SELECT "
	    "crsql_commit_alter('t'); DROP TABLE c; COMMIT", page);

	sqlite3_free(page);
	return sql;
}

static char *
look_at_a_page(const char *base)
{
	char *page = page_of_another();
	char *sql = sqlite3_mprintf("WITH p(p) AS (SELECT x'%s') SELECT "
	    "crsql_page_flags(p), length(crsql_page_end(p)), (SELECT count(*) FROM "
	    "crsql_page_sites(p)), (SELECT count(*) FROM crsql_page_keys(p)), "
	    "(SELECT group_concat(version || ' ' || rows || ' ' || bytes) FROM "
	    "crsql_page_transactions(p)) FROM p", page);

	sqlite3_free(page);
	return sql;
}

/* Of one that forgot what is deleted: who takes it forgets the same. */
static char *
import_of_one_who_forgot(const char *base)
{
	char *page = page_of(FILLED "DELETE FROM i WHERE id = 5; SELECT crsql_gc("
	    ALL_OWN ")", TABLES "SELECT crsql_as_crr('t'), crsql_as_crr('i'), "
	    "crsql_as_crr('c')");
	char *sql = sqlite3_mprintf("BEGIN; SELECT crsql_import(x'%s', 1); "
	    "COMMIT; SELECT length(crsql_horizon('t'))", page);

	sqlite3_free(page);
	return sql;
}

static char *
import_without_rowids(const char *base)
{
	char *page = page_of(NAMELESS "UPDATE w SET x = 9; INSERT INTO w VALUES("
	    "'n', 1, 1, 1); UPDATE r SET oid = 7; DELETE FROM r WHERE id = 'a'",
	    NAMELESS);
	char *sql = sqlite3_mprintf("SELECT crsql_import(x'%s')", page);

	sqlite3_free(page);
	return sql;
}

/* So many statements that triggers are off for the last of them. */
static char *
many_statements(const char *base)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);
	int i;

	sqlite3_str_appendall(sql, "BEGIN; ");
	for (i = 0; i < 70; i++)
		sqlite3_str_appendf(sql, "INSERT INTO i VALUES(%d, 1, 1); ", 100 + i);
	sqlite3_str_appendall(sql, "SAVEPOINT s; UPDATE t SET x = 4; DELETE FROM c; "
	    "ROLLBACK TO s; UPDATE t SET y = 5; COMMIT");
	return sqlite3_str_finish(sql);
}

/* -- the scripts ------------------------------------------------------------------- */

const struct script scripts[] = {
	{ .name = "replicating_tables", .plainly = TABLES "INSERT INTO t "
		"VALUES('a', 1, 1), ('b', 2, 2); INSERT INTO c VALUES('k', 1, 'v')",
	    .sql = "BEGIN; SELECT crsql_as_crr('t'), crsql_as_crr('i'), "
		"crsql_as_crr('c'); COMMIT", .look = LOOK, .loading = true },
	{ .name = "writes", .tables = FILLED, .sql = "BEGIN; INSERT INTO t "
		"VALUES('n', 1, 1), ('o', 2, zeroblob(3000)); UPDATE t SET x = 7; "
		"REPLACE INTO t VALUES('a', 9, 9); SAVEPOINT s; DELETE FROM i; "
		"ROLLBACK TO s; UPDATE i SET id = id + 10 WHERE id < 3; UPDATE c SET "
		"b = 9; DELETE FROM t WHERE id = 'c'; INSERT INTO t VALUES('c', 4, "
		"4) ON CONFLICT DO UPDATE SET x = 0; COMMIT", .look = LOOK },
	{ .name = "single_writes", .tables = FILLED, .sql = "INSERT INTO t "
		"VALUES('n', 1, 1); UPDATE t SET x = 7, y = 8; REPLACE INTO t "
		"VALUES('a', 9, 9); DELETE FROM i; UPDATE c SET a = 'z' WHERE b = 1; "
		"INSERT INTO t VALUES('b', 3, 3)", .look = LOOK },
	{ .name = "folds_within_statements", .tables = FILLED "SELECT "
		"crsql_config_set('fold-at', 3)", .sql = "BEGIN; INSERT INTO t WITH "
		"n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9) SELECT "
		"'n' || n, n, n FROM n; UPDATE t SET x = x + 1; SAVEPOINT s; DELETE "
		"FROM t WHERE y > 4; ROLLBACK TO s; REPLACE INTO t SELECT id, y, x "
		"FROM t; UPDATE i SET id = id + 10; DELETE FROM t WHERE x < 5; UPDATE "
		"t SET rowid = rowid + 100; COMMIT", .look = LOOK },
	{ .name = "a_long_transaction", .tables = FILLED, .make = many_statements,
	    .look = LOOK },
	{ .name = "writes_without_rowids", .tables = NAMELESS, .sql = "BEGIN; INSERT "
		"INTO w VALUES('c', 1, 1, 1), ('a', 2, 5, 5); UPDATE w SET x = 7; "
		"UPDATE w SET k2 = 9 WHERE k1 = 'b'; REPLACE INTO w VALUES('a', 1, 8, "
		"8); DELETE FROM r WHERE id = 'a'; UPDATE r SET oid = 4; COMMIT",
	    .look = LOOK_NAMELESS },
	{ .name = "replicating_without_rowids", .plainly = "CREATE TABLE w(k1 TEXT, "
		"k2 INTEGER, x, y, PRIMARY KEY(k1, k2)) WITHOUT ROWID; INSERT INTO w "
		"VALUES('a', 1, 1, 1), ('b', 1, 3, 3)", .sql = "SELECT "
		"crsql_as_crr('w'); SELECT crsql_as_table('w'); SELECT "
		"crsql_as_crr('w')", .look = "SELECT * FROM w" },
	{ .name = "folding_plain_writes", .tables = FILLED, .plainly = PLAINLY,
	    .sql = "SELECT crsql_fold()", .look = LOOK },
	{ .name = "loading_and_folding", .tables = FILLED, .plainly = PLAINLY,
	    .sql = "SELECT count(*) FROM crsql_changes", .look = LOOK,
	    .loading = true, .folding = true },
	{ .name = "folding_without_rowids", .tables = NAMELESS, .plainly = "INSERT "
		"INTO w VALUES('c', 1, 1, 1), ('a', 2, 5, 5); UPDATE w SET x = 7; "
		"UPDATE w SET k2 = 9 WHERE k1 = 'b'; REPLACE INTO w VALUES('a', 1, 8, "
		"8); DELETE FROM r WHERE id = 'a'; UPDATE r SET oid = 4",
	    .sql = "SELECT crsql_pending(), crsql_fold()", .look = LOOK_NAMELESS },
	{ .name = "noting_in_the_journal", .tables = FILLED "SELECT "
		"crsql_config_set('capture', 'journal')", .sql = "BEGIN; " PLAINLY
		"SELECT count(*) FROM crsql_changes; " "UPDATE t SET y = 0; COMMIT",
	    .look = LOOK },
	{ .name = "following_a_schema", .tables = FILLED, .plainly = "ALTER TABLE t "
		"ADD COLUMN z DEFAULT 3; ALTER TABLE t RENAME COLUMN y TO w; ALTER "
		"TABLE i RENAME TO u; UPDATE t SET w = 4; CREATE UNIQUE INDEX uy ON "
		"u(y); REPLACE INTO u VALUES(4, 4, 2); DROP TABLE c; CREATE TABLE c(a "
		"PRIMARY KEY, v)", .sql = "SELECT crsql_fold() >= 0",
	    .look = "SELECT * FROM t; SELECT * FROM u; SELECT * FROM c",
	    .loading = true },
	{ .name = "ending_replication", .tables = FILLED,
	    .sql = "SELECT crsql_as_table('t')", .look = LOOK },
	{ .name = "dropping_a_table", .tables = FILLED, .sql = "BEGIN; DROP TABLE t; "
		"UPDATE i SET x = 3; CREATE TABLE t(id PRIMARY KEY, z); SELECT "
		"crsql_as_crr('t'); INSERT INTO t VALUES(1, 2); COMMIT",
	    .look = LOOK },
	{ .name = "reading_changes", .tables = FILLED, .sql = "SELECT * FROM "
		"crsql_changes; SELECT * FROM crsql_changes WHERE db_version > 1 AND "
		"\"table\" = 't' ORDER BY seq DESC; SELECT c.cid, u.cell FROM "
		"crsql_changes c, crsql_unpack_columns u WHERE u.package = c.pk; "
		"SELECT * FROM t__crsql_clock JOIN t__crsql_pks ON __crsql_key = key; "
		"SELECT * FROM i__crsql_pks WHERE id = 2; SELECT * FROM crsql_check",
	    .look = LOOK, .reading = true },
	{ .name = "telling_of_history", .tables = FILLED, .sql = "SELECT * FROM "
		"crsql_transactions CROSS JOIN crsql_transaction_tables USING "
		"(db_version); SELECT * FROM crsql_transactions WHERE site_version = "
		"1; SELECT * FROM crsql_history WHERE after = zeroblob(40); SELECT * "
		"FROM crsql_history WHERE \"table\" = 't' AND pk = "
		"crsql_pack_columns('a')", .look = LOOK, .reading = true },
	{ .name = "where_it_stands", .tables = FILLED, .sql = "SELECT "
		"crsql_db_version(), crsql_own(), crsql_head(), crsql_horizon('t'), "
		"crsql_token(crsql_site_id(), 2), crsql_pack_columns(1, 'a', NULL, "
		"x'01'), crsql_config_get('merge-equal-values'), crsql_pending(), "
		"crsql_schema_pending(), crsql_sha(), crsql_rows_impacted(), "
		"crsql_internal_sync_bit(), crsql_fold(), crsql_get_seq(), "
		"crsql_adopt(), crsql_next_db_version(), crsql_repair(), "
		"crsql_unpark()", .look = LOOK, .reading = true },
	{ .name = "asking_for_versions", .tables = FILLED, .sql = "BEGIN; SELECT "
		"crsql_internal_sync_bit(0), crsql_next_db_version(90); UPDATE t SET x = 5; SELECT "
		"crsql_increment_and_get_seq(); SELECT crsql_internal_sync_bit(1); "
		"UPDATE i SET x = 0; SELECT crsql_internal_sync_bit(0); UPDATE t SET "
		"y = 4; COMMIT",
	    .look = LOOK },
	{ .name = "merging_changes", .tables = FILLED, .sql = "BEGIN; " INTO "('t', "
		"crsql_pack_columns('a'), 'x', 'new', 5, 1, " S1 ", 1, 0), ('t', "
		"crsql_pack_columns('q'), 'y', 3, 1, 1, " S1 ", 1, 1), ('i', "
		"crsql_pack_columns(2), '-1', NULL, 2, 2, " S2 ", 2, 0), ('c', "
		"crsql_pack_columns('k', 1), 'v', 8, 9, 1, " S2 ", 1, 0); SELECT "
		"crsql_rows_impacted(); COMMIT", .look = LOOK },
	{ .name = "noting_what_was_there", .tables = FILLED, .sql = "BEGIN; UPDATE t SET "
		"x = 6; SELECT crsql_keep_before(1); " INTO "('t', "
		"crsql_pack_columns('a'), 'x', 'new', 5, 1, " S1 ", 1, 0), ('t', "
		"crsql_pack_columns('q'), 'y', 3, 1, 1, " S1 ", 1, 1), ('i', "
		"crsql_pack_columns(2), '-1', NULL, 2, 2, " S2 ", 2, 0), ('t', "
		"crsql_pack_columns('b'), 'x', 8, 1, 1, " S2 ", 3, 0); SELECT \"table\", pk, "
		"kind, existed, cid, val FROM crsql_before; COMMIT; SELECT kind, val "
		"FROM crsql_before; SELECT "
		"crsql_forget_before(99, 2)",
	    .look = LOOK },
	{ .name = "merging_changes_without_rowids", .tables = NAMELESS, .sql = "BEGIN; "
		INTO "('w', crsql_pack_columns('a', 1), 'x', 'new', 5, 1, " S1 ", 1, "
		"0), ('w', crsql_pack_columns('q', 1), 'y', 3, 1, 1, " S1 ", 1, 1), "
		"('r', crsql_pack_columns('a'), '-1', NULL, 2, 2, " S2 ", 2, 0), "
		"('w', crsql_pack_columns('a', 2), '-1', NULL, 3, 9, " S2 ", 3, 0); "
		"COMMIT", .look = LOOK_NAMELESS },
	{ .name = "exporting_a_page", .tables = FILLED PLAINLY,
	    .make = export_of_all, .look = LOOK, .reading = true },
	{ .name = "importing_a_page", .tables = FILLED, .make = import_of_another,
	    .look = LOOK "; SELECT count(*) FROM crsql_log WHERE n = -4" },
	{ .name = "importing_without_rowids", .tables = NAMELESS,
	    .make = import_without_rowids, .look = LOOK_NAMELESS },
	{ .name = "looking_at_a_page", .tables = FILLED, .make = look_at_a_page,
	    .look = LOOK, .reading = true },
	{ .name = "parking", .tables = FILLED, .make = park_and_unpark,
	    .look = LOOK },
	{ .name = "conflicts", .tables = FILLED, .make = conflicts,
	    .look = LOOK "; SELECT id, tbl, pk, cid, rule, wsver, lsver, lver, "
		"reviewed IS NULL FROM crsql_ledger; SELECT * FROM crsql_ledger_cell" },
	{ .name = "noting_what_a_page_writes_over", .tables = FILLED,
	    .make = import_noted, .look = LOOK },
	{ .name = "conflicts_of_what_goes", .tables = FILLED,
	    .make = conflicts_of_what_goes, .look = "SELECT * FROM t; SELECT id, tbl, "
		"pk, cid, rule FROM crsql_ledger; SELECT * FROM crsql_ledger_cell",
	    .altering = true },
	{ .name = "taking_over_a_file_of_cr_sqlite", .plainly = CRSQLITE,
	    .sql = "SELECT count(*), crsql_db_version() FROM crsql_changes",
	    .look = LOOK "; SELECT name FROM sqlite_schema WHERE name LIKE "
		"'t\\_\\_%' ESCAPE '\\' ORDER BY 1", .loading = true },
	{ .name = "taking_it_over_when_told", .plainly = "CREATE TABLE unused(a)",
	    .first = "DROP TABLE crsql_master; DROP TABLE crsql_site_id; " CRSQLITE, .sql = "SELECT crsql_adopt(); UPDATE t SET x = 5",
	    .look = LOOK },
	{ .name = "settings", .tables = FILLED, .sql = "SELECT "
		"crsql_config_set('plain-writers', 0); UPDATE t SET x = 4; SELECT "
		"crsql_config_set('capture', 1); UPDATE i SET x = 4; SELECT "
		"crsql_config_set('bulk', 0); SELECT crsql_config_set('fold-at', 9); "
		"SELECT crsql_config_set('merge-equal-values', 1); SELECT "
		"crsql_config_set('plain-writers', 1); SELECT crsql_config_get("
		"'capture'); DELETE FROM c", .look = LOOK },
	{ .name = "altering", .tables = FILLED, .sql = "BEGIN; SELECT "
		"crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN x; ALTER TABLE t ADD "
		"COLUMN z DEFAULT 4; UPDATE t SET z = 5 WHERE id = 'a'; SELECT "
		"crsql_commit_alter('t'); SELECT crsql_begin_alter('c'); DELETE FROM c "
		"WHERE b = 2; SELECT crsql_commit_alter('c'); COMMIT", .look = LOOK,
	    .altering = true },
	{ .name = "making_anew_unannounced", .tables = ROWS "; CREATE TABLE n(id TEXT PRIMARY "
		"KEY, x, y)", .sql = "BEGIN; UPDATE t SET x = 3 WHERE y = 8; INSERT INTO n "
		"SELECT * FROM t ORDER BY y; DROP TABLE t; ALTER TABLE n RENAME TO t; UPDATE t "
		"SET y = 6 WHERE y = 9; COMMIT", .look = "SELECT * FROM t",
	    .altering = true },
	{ .name = "making_anew_in_an_alter", .tables = FILLED, .sql = "BEGIN; SELECT "
		"crsql_begin_alter('t'); " MADE_ANEW("id, x + 1, y") "SELECT "
		"crsql_commit_alter('t'); UPDATE t SET y = 6; COMMIT", .look = LOOK,
	    .altering = true },
	{ .name = "migrating", .tables = FILLED, .sql = "SELECT crsql_automigrate('"
		"CREATE TABLE IF NOT EXISTS t(id TEXT PRIMARY KEY, x, z DEFAULT 1); "
		"CREATE INDEX IF NOT EXISTS tx ON t(x); CREATE TABLE IF NOT EXISTS "
		"c(a, b INTEGER, v, PRIMARY KEY(a, b)); CREATE TABLE IF NOT EXISTS "
		"i(id INTEGER PRIMARY KEY, y); SELECT crsql_as_crr(''t'');'); UPDATE "
		"t SET z = 2", .look = LOOK },
	{ .name = "tables_of_clset", .tables = FILLED, .sql = "BEGIN; CREATE VIRTUAL "
		"TABLE x_schema USING clset(id PRIMARY KEY NOT NULL, a); INSERT INTO x "
		"VALUES(1, 2); DROP TABLE x_schema; CREATE VIRTUAL TABLE y_schema USING "
		"clset(id PRIMARY KEY NOT NULL, a); INSERT INTO y VALUES(3, 4); COMMIT",
	    .look = LOOK "; SELECT * FROM y", .altering = true },
	{ .name = "ordering_a_list", .tables = LISTS "INSERT INTO todo VALUES(1, "
		"'home', 'a ', 'cook')", .sql = "BEGIN; SELECT "
		"crsql_fract_as_ordered('todo', 'pos', 'list'); INSERT INTO todo VALUES("
		"2, 'home', 1, 'eat'), (3, 'home', -1, 'shop'); SELECT "
		"crsql_fract_as_ordered('todo', 'pos'); COMMIT", .look = "SELECT * FROM "
		"todo" },
	{ .name = "moving_in_a_list", .tables = ORDERED, .sql = "BEGIN; INSERT INTO "
		"todo_fractindex(id, list, what, after_id) VALUES(5, 'home', 'lay', 1); "
		"UPDATE todo SET pos = 1 WHERE id = 1; UPDATE todo_fractindex SET "
		"after_id = NULL WHERE id = 5; SELECT crsql_fract_key_between('a ', "
		"'a!'), crsql_fract_fix_conflict_return_old_key('todo', 'pos', 'list', "
		"-1, 'id', 2); COMMIT", .look = "SELECT * FROM todo" },
	{ .name = "following_a_list", .tables = ORDERED, .plainly = "ALTER TABLE todo "
		"RENAME COLUMN what TO name; ALTER TABLE todo ADD COLUMN done",
	    .sql = "SELECT crsql_fold(); INSERT INTO todo_fractindex(id, list, name, "
		"done, after_id) VALUES(5, 'home', 'lay', 1, 1)",
	    .look = "SELECT * FROM todo" },
	{ .name = "forgetting", .tables = FILLED "DELETE FROM i WHERE id = 5; INSERT "
		"INTO t VALUES('b', 5, 5); UPDATE c SET v = 9; DELETE FROM t WHERE id = "
		"'c'; " INTO "('t', crsql_pack_columns('q'), '-1', NULL, 2, 1, " S1
		", 2, 0)", .plainly = "UPDATE t SET x = 11",
	    .sql = "SELECT crsql_gc(" ALL_OWN "); SELECT length(crsql_horizon('t')); "
		"DELETE FROM c; SELECT crsql_gc(" ALL_OWN "); SELECT crsql_gc(NULL)",
	    .look = LOOK, .folding = true },
	{ .name = "forgetting_in_a_transaction", .tables = FILLED,
	    .sql = "BEGIN; DELETE FROM i WHERE id = 5; SELECT crsql_gc(" ALL_OWN
		"); UPDATE t SET x = 4; COMMIT", .look = LOOK },
	{ .name = "taking_over_a_horizon", .plainly = TABLES, .first = "SELECT "
		"crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('c')",
	    .make = import_of_one_who_forgot, .look = LOOK },
	{ .name = "many_at_once", .tables = TABLES "INSERT INTO t VALUES('a', 1, 1); "
		"INSERT INTO c VALUES('k', 1, 'v');", .sql = "SELECT crsql_as_crrs("
		"'[\"t\", \"c\"]'); UPDATE t SET x = 3", .look = LOOK, .altering = true },
	{ .name = "a_table_made_anew", .tables = ROWS, .plainly = MADE_ANEW("*"),
	    .sql = "SELECT crsql_schema_pending(), crsql_fold(); UPDATE t SET y = 0 "
		"WHERE id < 'k09'", .look = "SELECT * FROM t" },
	{ .name = "making_anew_what_was_written", .tables = ROWS, .sql = "BEGIN; DELETE "
		"FROM t WHERE id = 'k03'; INSERT INTO t(id, x) VALUES('k03', 1), ('new', 2); "
		MADE_ANEW("*") "UPDATE t SET x = 3 WHERE id = 'new'; COMMIT", .look = "SELECT * FROM t",
	    .altering = true },
	{ .name = "making_anew_what_was_journalled", .tables = FILLED "SELECT "
		"crsql_config_set('capture', 1);", .sql = "BEGIN; DELETE FROM i WHERE id = 2; "
		"CREATE TABLE n(id INTEGER PRIMARY KEY, x, y); INSERT INTO n SELECT * FROM i; "
		"DROP TABLE i; ALTER TABLE n RENAME TO i; INSERT INTO i(id) VALUES(2); "
		"COMMIT", .look = LOOK, .altering = true },
	{ .name = "beside_others_triggers", .tables = FILLED "CREATE TABLE audit(a); CREATE "
		"TRIGGER younger AFTER INSERT ON t BEGIN INSERT INTO audit VALUES(new.id); END;",
	    .sql = "BEGIN; INSERT INTO t(id) VALUES('n1'), ('n2'); INSERT INTO t(id) "
		"VALUES('n3'); DELETE FROM t WHERE id = 'n1'; COMMIT", .look = LOOK },
	{ .name = "what_younger_triggers_left", .tables = FILLED, .plainly = "CREATE TRIGGER "
		"young AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END; CREATE TRIGGER hides "
		"AFTER DELETE ON t BEGIN SELECT RAISE(IGNORE); END; CREATE TRIGGER young_i AFTER "
		"INSERT ON i BEGIN SELECT RAISE(IGNORE); END; CREATE TRIGGER hides_i AFTER DELETE "
		"ON i BEGIN SELECT RAISE(IGNORE); END; INSERT INTO t VALUES('b', 1, 1), ('n', 1, 1); "
		"INSERT INTO i VALUES(20, 1, 1); DELETE FROM t WHERE id = 'a'; DELETE FROM i WHERE "
		"id = 1", .sql = "SELECT crsql_fold(); REPLACE INTO t VALUES('n', 2, 2); DELETE FROM "
		"t WHERE id = 'b'", .look = LOOK },
	{ .name = "a_table_made_anew_with_other_values", .tables = ROWS,
	    .plainly = MADE_ANEW("id, x + 1, y") "INSERT INTO t VALUES('new', 1, 1)",
	    .sql = "UPDATE t SET y = 0 WHERE id < 'k09'", .look = "SELECT * FROM t" },
	{ .name = "repairing_a_copy", .tables = ROWS, .copied = true,
	    .sql = "SELECT crsql_repair(); UPDATE t SET y = 0 WHERE id < 'k09'",
	    .look = "SELECT * FROM t" },
	{ .name = "repairing_in_a_transaction", .tables = ROWS, .copied = true,
	    .sql = "BEGIN; SELECT crsql_repair('t'); UPDATE t SET y = 0 WHERE id < "
		"'k09'; COMMIT", .look = "SELECT * FROM t", .loading = true },
	{ .name = "another_identity", .tables = FILLED, .sql = "BEGIN; UPDATE t SET x "
		"= 3; SELECT crsql_identity(" S1 ", zeroblob(32), zeroblob(8), 2); "
		"UPDATE t SET y = 3; COMMIT; SELECT crsql_identity(" S2 ", "
		"zeroblob(32), zeroblob(8)), crsql_saw(" S1 ", 7)", .look = LOOK "; SELECT site_id FROM "
		"crsql_site_id" },
	{ .name = "a_temporary_table_in_the_way", .tables = FILLED, .first = "CREATE "
		"TEMP TABLE t(id, x)", .sql = "INSERT INTO main.t VALUES('n', 1, 1); "
		"DROP TABLE temp.t; UPDATE t SET x = 7", .look = LOOK },
	{ .name = "finalizing", .tables = FILLED, .sql = "UPDATE t SET x = 4; SELECT "
		"crsql_finalize(); UPDATE t SET x = 5", .look = LOOK "; SELECT count(*) "
		"FROM crsql_j", .finalizing = true },
};

const int nscripts = sizeof scripts / sizeof *scripts;

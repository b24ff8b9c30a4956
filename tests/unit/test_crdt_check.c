// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_check.c - crsql_check: nothing is wrong with what the engine wrote,
 * and each thing that is damaged by hand is named.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct group group = { .count = 2, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y); "
	"CREATE TABLE i(id INTEGER PRIMARY KEY, v); CREATE TABLE k(a, b, "
	"PRIMARY KEY(b, a)); SELECT crsql_as_crr('r'), crsql_as_crr('i'), "
	"crsql_as_crr('k')" };

/* A row for each kind that the log has: runs, an update run, rows by
 * themselves, tombstones, what another site wrote, a header alone. */
static int
open_all(void **state)
{
	group_open(*state);
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3), "
	    "('d', 4, 4); INSERT INTO i VALUES(1, 1), (2, 2), (3, 3), (4, 4), (5, "
	    "5); INSERT INTO k VALUES(1, 2), (3, 4); UPDATE r SET x = 0 WHERE id = "
	    "'a'; UPDATE r SET x = 1 WHERE id = 'a'; UPDATE i SET v = 9; DELETE "
	    "FROM r WHERE id = 'd'; DELETE FROM i WHERE id = 5; DELETE FROM k "
	    "WHERE a = 1; INSERT INTO k VALUES(1, 2); INSERT INTO i VALUES(5, 5)");
	assert_int_equal(node_change(&n[A], "r", "'b'", "y", "9", 4, 20, S1, 1, 6),
	    SQLITE_OK);
	node_exec(&n[A], "UPDATE r SET x = 5 WHERE id = 'c'");
	return 0;
}

static void
nothing_is_wrong(void **state)
{
	node_well(&n[A]);
	node_well(&n[B]);
	node_pull_changes(&n[B], &n[A], false);
	node_well(&n[B]);
	node_exec(&n[B], "DELETE FROM r WHERE x = 5; ALTER TABLE r ADD COLUMN z; "
	    "UPDATE r SET z = 1; INSERT INTO r VALUES('d', 1, 1, 1); ALTER TABLE i "
	    "RENAME TO j; UPDATE j SET id = id + 10");
	node_well(&n[B]);
	node_exec(&n[B], "BEGIN; UPDATE r SET x = id; DELETE FROM j WHERE id < 13");
	node_well(&n[B]);
	node_exec(&n[B], "ROLLBACK; SELECT crsql_as_table('k'); DROP TABLE j; SELECT "
	    "crsql_fold()");
	node_well(&n[B]);
}

static void
a_database_without_tables_is_well(void **state)
{
	struct node m;

	node_open(&m, 0, NULL);
	node_well(&m);
	node_exec(&m, "DELETE FROM crsql_master WHERE key = 'log_id'");
	node_expect(&m, "NULL|NULL|'crsql_master has no log_id of 8 bytes'\n",
	    "SELECT * FROM crsql_check");
	node_close(&m);
}

/* What plain programs do is nobody's fault, before it is folded and after. */
static void
plain_programs_do_no_wrong(void **state)
{
	char path[NODE_FILE];
	struct node m;

	node_file(path);
	node_open(&m, 0, path);
	node_exec(&m, "CREATE TABLE r(id TEXT PRIMARY KEY, x); SELECT "
	    "crsql_as_crr('r'); INSERT INTO r VALUES('a', 1), ('b', 2)");
	node_plainly(path, "INSERT INTO r VALUES('c', 3); DELETE FROM r WHERE id = "
	    "'a'; UPDATE r SET x = 4");
	node_exec(&m, "PRAGMA query_only = 1");
	node_well(&m);
	node_exec(&m, "PRAGMA query_only = 0");
	node_well(&m);
	node_plainly(path, "ALTER TABLE r ADD COLUMN y; INSERT INTO r VALUES('d', 1, "
	    "1); ALTER TABLE r RENAME COLUMN x TO z");
	node_well(&m);
	node_plainly(path, "ALTER TABLE r RENAME TO s");
	node_well(&m);
	node_exec(&m, "SELECT crsql_fold()");
	node_well(&m);
	node_close(&m);
	unlink(path);
}

/* A database damaged by hand, and what is said of it. */
struct damage {
	const char *sql;
	const char *table;      /* NULL: none */
	const char *what;       /* begins with it */
	bool loaded;            /* done while the engine is there: without this
	                           it does not load */
};

static const struct damage damages[] = {
	{ "UPDATE crsql_site_id SET site_id = x'00' WHERE ordinal = 1", NULL,
	    "a site's id, key" },
	{ "UPDATE crsql_site_id SET public_key = x'00'", NULL, "a site's id, key" },
	{ "UPDATE crsql_site_id SET ordinal = 9 WHERE ordinal = 0", NULL,
	    "crsql_site_id has no site 0", true },
	{ "UPDATE crsql_master SET value = 'x' WHERE key = 'log_id'", NULL,
	    "crsql_master has no log_id" },
	{ "UPDATE crsql_me SET ordinal = 7", NULL, "crsql_me names a site",
	    true },
	{ "UPDATE crsql_me SET token = NULL", NULL, "crsql_me has a version" },
	{ "UPDATE crsql_me SET token = zeroblob(8)", NULL, "crsql_me has another" },
	{ "UPDATE crsql_me SET first_dbv = 9", NULL, "crsql_me has no site" },
	{ "UPDATE crsql_log SET site = 1, sver = 1 WHERE dbv = 21; UPDATE crsql_me "
	    "SET sver = NULL, token = NULL", NULL,
	    "crsql_me does not have the newest" },
	{ "INSERT INTO crsql_seen VALUES(1, 1, 8, 1)", NULL,
	    "crsql_seen names a site" },
	{ "INSERT INTO crsql_seen VALUES(1, -1, 0, 1)", NULL,
	    "crsql_seen has a version" },
	{ "DELETE FROM crsql_master WHERE key = 'last_table'", "r",
	    "the table's number" },
	{ "UPDATE crsql_tbl SET hw = 'x' WHERE name = 'r'", "r",
	    "the table's highest key is" },
	{ "INSERT INTO crsql_col VALUES(77, 0, 'c', 0)", NULL, "a column of a" },
	{ "INSERT INTO crsql_was VALUES(77, 'c', 0)", NULL, "a column's old name" },
	{ "INSERT INTO crsql_log(dbv, pos) VALUES(0, 0)", NULL,
	    "log row 0/0 is at no place" },
	{ "UPDATE crsql_log SET hdr = zeroblob(22) WHERE dbv = 3", "k",
	    "log row 3/0 has another chain" },
	{ "UPDATE crsql_log SET hdr = NULL WHERE dbv = 3", "k",
	    "log row 3/0 has no header" },
	{ "UPDATE crsql_log SET hdr = zeroblob(9) WHERE dbv = 3", "k",
	    "log row 3/0 has no header" },
	{ "DELETE FROM crsql_log WHERE dbv = 2", "k",
	    "log row 3/0 has another chain" },
	{ "UPDATE crsql_log SET pos = 4 WHERE dbv = 3", "k",
	    "log row 3/4 is its transaction's first" },
	{ "INSERT INTO crsql_log SELECT dbv, 1, tbl, 70, 1, seq_stride, site, sver, "
	    "mask, hdr FROM crsql_log WHERE dbv = 3", "k", "log row 3/1 has a header" },
	{ "UPDATE crsql_log SET sver = NULL WHERE dbv = 20", "r",
	    "log row 20/0 is of no site" },
	{ "UPDATE crsql_log SET site = 70 WHERE dbv = 20", "r",
	    "log row 20/0 is of a site" },
	{ "UPDATE crsql_log SET n = -7 WHERE dbv = 20", "r",
	    "log row 20/0 is of no kind" },
	{ "UPDATE crsql_log SET n = 'x' WHERE dbv = 20", "r",
	    "log row 20/0 is of no kind" },
	{ "UPDATE crsql_log SET tbl = 70 WHERE dbv = 20", NULL,
	    "log row 20/0 is of a table" },
	{ "INSERT INTO crsql_log(dbv, pos, n) VALUES(20, 1, 0)", NULL,
	    "log row 20/1 of a header" },
	{ "UPDATE crsql_log SET key = 'x' WHERE dbv = 20", "r",
	    "log row 20/0 of one row" },
	{ "UPDATE crsql_log SET key = 3 WHERE dbv = 20", "r",
	    "log row 20/0 is a place where" },
	{ "DELETE FROM r__crsql_meta WHERE key = 2", "r",
	    "log row 20/0 is of a row that has no clock" },
	{ "UPDATE crsql_log SET key = 'x' WHERE dbv = 3", "k",
	    "log row 3/0 of a run is malformed" },
	{ "UPDATE crsql_log SET key = 2, n = 9223372036854775807 WHERE dbv = 3", "k",
	    "log row 3/0 of a run is malformed" },
	{ "UPDATE crsql_log SET n = 99 WHERE dbv = 3", "k",
	    "log row 3/0 is a run that ends above" },
	{ "UPDATE crsql_log SET key = x'09' WHERE n = -2 AND tbl = 1", "r",
	    "log row 7/0 of a deleted row is malformed" },
	{ "DELETE FROM r__crsql_dead", "r",
	    "log row 7/0 is of a deleted row that has no" },
	{ "UPDATE crsql_log SET n = -4, key = x'0101' WHERE dbv = 20", "r",
	    "log row 20/0 of a parked change is malformed" },
	{ "UPDATE crsql_log SET n = 2 WHERE dbv = 1", "r",
	    "the log does not know the row" },
	{ "INSERT INTO crsql_log SELECT dbv, 1, tbl, key, n, seq_stride, site, sver, "
	    "mask, NULL FROM crsql_log WHERE dbv = 3", "k",
	    "two runs of the log have" },
	{ "UPDATE r__crsql_meta SET m = x'07' WHERE key = 2", "r",
	    "the row's clock is damaged" },
	{ "UPDATE r__crsql_meta SET m = x'0202' WHERE key = 1", "r",
	    "the row is there, and its clock" },
	{ "DELETE FROM crsql_log WHERE dbv = 20", "r",
	    "the clock of y stands at 20/0" },
	{ "UPDATE i__crsql_meta SET key = 12 WHERE key = 5", "i",
	    "a clock of a row" },
	{ "UPDATE r__crsql_dead SET pk = x'09'", "r", "a tombstone's key" },
	{ "UPDATE r__crsql_dead SET m = x'02'", "r", "a tombstone is damaged" },
	{ "UPDATE r__crsql_dead SET m = x'03070000'", "r",
	    "a tombstone says that" },
	{ "UPDATE r__crsql_dead SET m = x'02080000'", "r",
	    "a tombstone stands at 8/0" },
	{ "UPDATE crsql_col SET born = 1000 WHERE tbl = 1 AND cid = 1", "r",
	    "a column's number or birthday" },
	{ "DROP TRIGGER r__crsql_utrig", "r", "the trigger r__crsql_utrig is" },
	{ "DROP TABLE r__crsql_dead", "r", "can't be read: no such table" },
	{ "DROP TABLE crsql_seen", NULL, "can't be read: no such table" },
	{ "DROP TABLE i__crsql_meta", "i", "can't be read: no such table" },
};

/* Two of four rows of each table. */
static void
rows_that_are_gone_are_counted(void **state)
{
	char path[NODE_FILE];
	struct node m;

	node_file(path);
	node_open(&m, 0, path);
	node_exec(&m, "CREATE TABLE k(id INTEGER PRIMARY KEY NOT NULL, x); CREATE "
	    "TABLE w(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID; CREATE TABLE v(id TEXT "
	    "PRIMARY KEY, x); SELECT crsql_as_crr(name) FROM sqlite_schema WHERE "
	    "name IN ('k', 'v', 'w')");
	node_exec(&m, "INSERT INTO k VALUES(1, 1), (2, 1), (3, 1), (4, 1), (5, 1); "
	    "INSERT INTO v SELECT * FROM k; INSERT INTO w SELECT * FROM k; DELETE "
	    "FROM k WHERE id = 3; DELETE FROM v WHERE id = 4; UPDATE v SET x = 2 "
	    "WHERE id = 5; DELETE FROM w WHERE a = 5; UPDATE k SET id = 9 WHERE id "
	    "= 4; INSERT INTO k VALUES(3, 3)");
	node_well(&m);
	node_plainly(path, "DROP TRIGGER k__crsql_dtrig; DROP TRIGGER "
	    "v__crsql_dtrig; DROP TRIGGER w__crsql_dtrig; DELETE FROM k WHERE id < "
	    "3; DELETE FROM v WHERE id < 4; DELETE FROM w WHERE a < 3");
	node_exec(&m, "PRAGMA query_only = 1");
	node_expect(&m, "'k'|'at least 1 rows that the log has are gone'\n"
	    "'v'|'at least 3 rows that the log has are gone'\n"
	    "'w'|'at least 2 rows that the log has are gone'\n", "SELECT \"table\", what "
	    "FROM crsql_check WHERE what NOT LIKE '%%trigger%%' ORDER BY 1");
	node_close(&m);
	unlink(path);
}

/* They do what they should: only a fold is due. */
static void
triggers_of_another_build_are_no_damage(void **state)
{
	static const char other[] = "SELECT what, mended FROM crsql_check";
	char path[NODE_FILE], *sql;
	struct node m;

	node_file(path);
	node_open(&m, 0, path);
	node_exec(&m, "CREATE TABLE r(id TEXT PRIMARY KEY, x); SELECT "
	    "crsql_as_crr('r')");
	sql = node_rows(&m, "SELECT replace(sql, ' BEGIN ', ' BEGIN  ') FROM "
	    "sqlite_schema WHERE name = 'r__crsql_utrig'");
	node_close(&m);
	/* unquote */
	sql[strlen(sql) - 2] = '\0';
	node_plainly(path, "DROP TRIGGER r__crsql_utrig");
	node_plainly(path, sql + 1);
	sqlite3_free(sql);
	node_open(&m, 0, path);
	node_expect(&m, "'the trigger r__crsql_utrig has another build''s text'|1\n",
	    other);
	node_expect(&m, "0\n", "SELECT crsql_fold()");
	node_expect(&m, "", other);
	node_plainly(path, "DROP TRIGGER r__crsql_utrig");
	node_expect(&m, "'the trigger r__crsql_utrig is not there'|0\n", other);
	node_close(&m);
	unlink(path);
}

/* The file as a program finds it that has only the extension. */
static void
damage_is_named(void **state)
{
	char path[NODE_FILE], *copy, *want, *got;
	struct node m;
	size_t k;

	for (k = 0; k < sizeof damages / sizeof *damages; k++) {
		const struct damage *d = &damages[k];

		node_file(path);
		unlink(path);
		copy = sqlite3_mprintf("VACUUM INTO '%q'", path);
		node_exec(&n[A], "%s", copy);
		sqlite3_free(copy);
		if (!d->loaded)
			node_plainly(path, d->sql);
		node_open(&m, 2, path);
		if (d->loaded)
			node_exec(&m, "%s", d->sql);
		want = d->table != NULL ? sqlite3_mprintf("%Q IS \"table\" AND "
		    "instr(what, %Q) = 1", d->table, d->what) :
		    sqlite3_mprintf("\"table\" IS NULL AND instr(what, %Q) = 1",
		    d->what);
		got = node_rows(&m, "SELECT max(%s) FROM crsql_check", want);
		if (strcmp(got, "1\n") != 0) {
			char *all = node_rows(&m, "SELECT * FROM crsql_check");

			fail_msg("%s: wanted \"%s\", got\n%s", d->sql, d->what, all);
		}
		sqlite3_free(want);
		sqlite3_free(got);
		node_close(&m);
		unlink(path);
	}
}

static void
the_journal_is_read(void **state)
{
	char path[NODE_FILE];
	struct node m;

	node_file(path);
	node_open(&m, 0, path);
	node_exec(&m, "CREATE TABLE r(id TEXT PRIMARY KEY, x); SELECT "
	    "crsql_as_crr('r')");
	node_plainly(path, "INSERT INTO r VALUES('a', 1); INSERT INTO crsql_j(w, "
	    "key) VALUES(8 * 55 + 1, 1), (8 + 7, 1), (8 + 1, 'x'), (8 + 5, 1)");
	node_exec(&m, "PRAGMA query_only = 1");
	node_expect(&m, "4\n", "SELECT count(*) FROM crsql_check WHERE what = "
	    "'the journal has a write that can''t be read'");
	node_close(&m);
	unlink(path);
}

#define TEST(f) cmocka_unit_test_prestate_setup_teardown(f, open_all, \
	group_tear_down, &group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_wrong),
		TEST(a_database_without_tables_is_well),
		TEST(plain_programs_do_no_wrong),
		TEST(rows_that_are_gone_are_counted),
		TEST(triggers_of_another_build_are_no_damage),
		TEST(damage_is_named),
		TEST(the_journal_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

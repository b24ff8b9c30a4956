// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_again.c - tables that lose their log, and tables replaced by
 * another of their name while nobody was looking: what the engine notices.
 * What two databases make of it is in test_store_again.c.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_KEY "CREATE TABLE r(id TEXT PRIMARY KEY, x, y)"
#define INTEGER_KEY "CREATE TABLE r(id INTEGER PRIMARY KEY, x, y)"

enum { COUNT = 2 };
static struct group group = { .count = COUNT, .file = true };

static void
both(const char *sql)
{
	nodes_exec(n, COUNT, sql);
}

/* What is noted for whoever synchronises: tables made again. */
#define MARKS "SELECT key, value FROM crsql_master WHERE key >= 'again.' " \
	"AND key < 'again/' ORDER BY key"
#define TRACKED "SELECT id, name FROM crsql_tbl"
#define CELLS "SELECT pk, cid, val, col_version, cl FROM crsql_changes " \
	"ORDER BY pk, cid"

/* -- the log is lost, and a table of that name is replicated again ------------- */

/* A reader stopped at the end of a run, which goes with its table: the rows of
 * the next one are not taken for those that he has. */
static void
r02_the_run_of_a_cursor_is_gone(void **state)
{
	const struct mishap cut = { .max_bytes = 1, .cut_after = 101 };

	both(TEXT_KEY "; CREATE TABLE s(id INTEGER PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('r'), crsql_as_crr('s')");
	node_exec(&n[A], "BEGIN; INSERT INTO s VALUES(1, 1); WITH RECURSIVE "
	    "i(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM i WHERE v < 100) "
	    "INSERT INTO r SELECT 'k' || v, v, v FROM i; COMMIT; "
	    "INSERT INTO s SELECT rowid + 1, x FROM r");
	assert_false(node_pull(&n[B], &n[A], &cut));
	node_expect(&n[B], "100\n", "SELECT count(*) FROM r");
	node_exec(&n[A], "SELECT crsql_as_table('r')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM s");
}

static void
r16_made_plain_and_again(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_expect(&n[A], "", MARKS);
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	node_exec(&n[A], "SELECT crsql_as_table('r')");
	node_expect(&n[A], "", MARKS);
	node_exec(&n[A], "DELETE FROM r WHERE id = 'a'");
	node_exec(&n[A], "SELECT crsql_as_crr('r')");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
	node_expect(&n[A], "2\n", "SELECT crsql_db_version()");
	/* Twice: the later one counts. */
	node_exec(&n[A], "SELECT crsql_as_table('r'); SELECT crsql_as_crr('r')");
	node_expect(&n[A], "'again.3'|2\n", MARKS);
	node_expect(&n[A], "3|'r'\n", TRACKED);
}

static void
r16_all_in_one_transaction(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	node_exec(&n[A], "BEGIN; INSERT INTO r VALUES('c', 1, 1); "
	    "SELECT crsql_as_table('r'); DELETE FROM r WHERE id = 'a'; "
	    "SELECT crsql_as_crr('r'); COMMIT");
	/* 2 was begun by c, and is not of before. */
	node_expect(&n[A], "'again.2'|1\n", MARKS);
	node_expect(&n[A], "'b'|2\n'c'|2\n", "SELECT "
	    "(SELECT cell FROM crsql_unpack_columns(pk)), db_version FROM "
	    "crsql_changes WHERE cid = 'x' ORDER BY 1");
}

static void
r16_dropped_and_made_again(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1)");
	node_exec(&n[A], "DROP TABLE r");
	node_exec(&n[A], TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
	/* And by another's name. */
	node_exec(&n[A], "DROP TABLE r; CREATE TABLE s(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('s')");
	node_expect(&n[A], "", MARKS);
	node_exec(&n[A], "ALTER TABLE s RENAME TO r; INSERT INTO r VALUES('a', 1)");
	node_expect(&n[A], "'again.3'|1\n", MARKS);
}

/* A cursor from before stays good: only rows of that table left the log, and
 * what it makes anew comes behind (R2). */
static void
r02_cursors_outlive_as_table(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r'); "
	    "CREATE TABLE s(id TEXT PRIMARY KEY, x); SELECT crsql_as_crr('s')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1)");
	node_exec(&n[A], "INSERT INTO s VALUES('a', 1)");
	pull(B, A);
	node_exec(&n[A], "INSERT INTO s VALUES('b', 1)");
	node_exec(&n[A], "SELECT crsql_as_table('r')");
	node_exec(&n[A], "UPDATE r SET x = 2");
	node_exec(&n[A], "SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO s VALUES('c', 1)");
	node_exec(&n[A], "INSERT INTO r VALUES('b', 1, 1)");
	pull(B, A);
	node_expect(&n[B], "'a'|2\n'b'|1\n", "SELECT id, x FROM r ORDER BY 1");
	node_expect(&n[B], "'a'\n'b'\n'c'\n", "SELECT id FROM s ORDER BY 1");
}

/* -- another table of the same name --------------------------------------------- */

static void
replaced(const char *ddl, const char *then, const char *tracked,
    const char *rows)
{
	char *sql = sqlite3_mprintf("DROP TABLE r; %s; %s", ddl, then);

	plainly(sql);
	sqlite3_free(sql);
	node_expect(&n[A], "1\n", "SELECT crsql_schema_pending()");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
	node_expect(&n[A], tracked, TRACKED);
	node_expect(&n[A], rows, "SELECT id, x FROM r ORDER BY 1");
	node_exec(&n[A], "INSERT INTO r(id, x, y) VALUES(77, 77, 77)");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = 'y' AND val = 77");
}

static void
r12_replaced_by_an_empty_table(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	replaced(TEXT_KEY, "", "2|'r'\n", "");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
	node_expect(&n[A], "1\n", "SELECT count(DISTINCT pk) FROM crsql_changes");
}

static void
r12_replaced_with_fewer_rows(void **state)
{
	both(INTEGER_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES(1, 1, 1), (2, 1, 1), (3, 1, 1)");
	replaced(INTEGER_KEY, "INSERT INTO r VALUES(1, 5, 1), (3, 1, 1)",
	    "2|'r'\n", "1|5\n3|1\n");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
}

/* The one row with a clock row of its own is the one that is gone. */
static void
r12_replaced_without_an_edited_row(void **state)
{
	both(INTEGER_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES(5, 1, 1)");
	node_exec(&n[A], "INSERT INTO r VALUES(2, 1, 1)");
	replaced(INTEGER_KEY, "INSERT INTO r VALUES(5, 1, 1)", "2|'r'\n",
	    "5|1\n");
}

static void
r12_replaced_with_another_key(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1)");
	plainly("INSERT INTO r VALUES('b', 1, 1); DELETE FROM r WHERE id = 'a'");
	replaced("CREATE TABLE r(id TEXT, x, y, PRIMARY KEY(id, x))",
	    "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)", "2|'r'\n",
	    "'a'|1\n'b'|1\n");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
}

/* What can't be replicated isn't any more. */
static void
r12_replaced_by_what_does_not_merge(void **state)
{
	static const char *const bad[] = {
		"CREATE TABLE r(id TEXT PRIMARY KEY, x UNIQUE, y)",
		"CREATE TABLE r(id, x, y)",
		"CREATE TABLE r(id PRIMARY KEY, x, y); INSERT INTO r(x) VALUES(1)",
		"CREATE VIEW r AS SELECT 1 AS id, 2 AS x, 3 AS y",
	};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		node_exec(&n[A], TEXT_KEY "; SELECT crsql_as_crr('r'); "
		    "INSERT INTO r VALUES('a', 1, 1), ('b', 2, 2)");
		plainly("DROP TABLE r");
		plainly(bad[i]);
		node_exec(&n[A], "SELECT crsql_fold()");
		node_expect(&n[A], "", TRACKED);
		node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
		plainly(i == 3 ? "DROP VIEW r" : "DROP TABLE r");
	}
	node_exec(&n[A], TEXT_KEY "; SELECT crsql_as_crr('r'); "
	    "INSERT INTO r VALUES('c', 1, 1)");
	node_expect(&n[A], "1\n", "SELECT count(DISTINCT pk) FROM crsql_changes");
}

/* By a program that has the extension, with its explicit word for it. */
static void
r12_replaced_and_said_so(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	node_exec(&n[A], "BEGIN; DROP TABLE r; " TEXT_KEY "; "
	    "INSERT INTO r VALUES('b', 2, 2); SELECT crsql_as_crr('r'); "
	    "INSERT INTO r VALUES('c', 3, 3); COMMIT");
	node_expect(&n[A], "2|'r'\n", TRACKED);
	node_expect(&n[A], "'again.2'|1\n", MARKS);
	node_expect(&n[A], "'b'|'x'|2|1|1\n'b'|'y'|2|1|1\n'c'|'x'|3|1|1\n"
	    "'c'|'y'|3|1|1\n", "SELECT (SELECT cell FROM "
	    "crsql_unpack_columns(pk)), cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY 1, 2");
	/* Once more, told by nothing but the commit. */
	node_exec(&n[A], "BEGIN; DROP TABLE r; " TEXT_KEY "; "
	    "INSERT INTO r VALUES('b', 5, 5); COMMIT");
	node_expect(&n[A], "3|'r'\n", TRACKED);
	node_expect(&n[A], "'again.3'|2\n", MARKS);
}

/* A name in another case is the same name. */
static void
r12_made_plain_and_again_in_another_case(void **state)
{
	node_exec(&n[A], "CREATE TABLE Q(id TEXT PRIMARY KEY, x); SELECT "
	    "crsql_as_crr('Q'); INSERT INTO Q VALUES('a', 1); SELECT "
	    "crsql_as_table('q'); DROP TABLE Q; CREATE TABLE q(id TEXT PRIMARY "
	    "KEY, x); SELECT crsql_as_crr('q')");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM (" MARKS ")");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key "
	    "GLOB 'gone.*'");
}

/* The same keys filled anew in one transaction: no row is missing, but each is
 * another one. */
static void
r12_replaced_row_for_row(void **state)
{
	both(INTEGER_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES(1, 1, 1), (2, 1, 1)");
	node_exec(&n[A], "UPDATE r SET x = 3 WHERE id = 2");
	node_exec(&n[A], "BEGIN; DROP TABLE r; " INTEGER_KEY "; "
	    "INSERT INTO r VALUES(1, 7, 1), (2, 7, 1); COMMIT");
	node_expect(&n[A], "2|'r'\n", TRACKED);
}

/* Other rows at the rowids that the old ones had: none is missing, but none is
 * what the log knows of it. */
static void
r12_replaced_with_the_rowids_of_others(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	pull(B, A);
	replaced(TEXT_KEY, "INSERT INTO r VALUES('b', 2, 2), ('c', 2, 2)",
	    "2|'r'\n", "'b'|2\n'c'|2\n");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
}

/* The same keys with other values, by a plain program. */
static void
r12_replaced_with_other_values(void **state)
{
	both(INTEGER_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES(1, 1, 1), (2, 1, 1)");
	replaced(INTEGER_KEY, "INSERT INTO r VALUES(1, 2, 2), (2, 2, 2)",
	    "2|'r'\n", "1|2\n2|2\n");
	node_expect(&n[A], "'again.2'|1\n", MARKS);
}

/* While plain programs may not write, a marker tells. */
static void
r12_replaced_without_journal(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r'); "
	    "SELECT crsql_config_set('plain-writers', 0)");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	node_exec(&n[A], "UPDATE r SET id = 'c' WHERE id = 'b'");
	node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
	node_exec(&n[A], "ALTER TABLE r RENAME TO s; "
	    "INSERT INTO s VALUES('d', 1, 1)");
	node_expect(&n[A], "1|'s'\n", TRACKED);
	node_exec(&n[A], "ALTER TABLE s RENAME TO r; "
	    "INSERT INTO r VALUES('e', 1, 1)");
	node_expect(&n[A], "1|'r'\n", TRACKED);
	node_exec(&n[A], "ALTER TABLE r DROP COLUMN y");
	replaced(TEXT_KEY, "INSERT INTO r VALUES('a', 1, 1)", "2|'r'\n",
	    "'a'|1\n");
	node_exec(&n[A], "SELECT crsql_config_set('plain-writers', 1)");
	node_expect(&n[A], "6\n", "SELECT count(*) FROM sqlite_schema WHERE "
	    "type = 'trigger' AND name NOT LIKE '%%ntrig' AND "
	    "name NOT LIKE '%%mtrig'");
	node_expect(&n[A], "2|'r'\n", TRACKED);
}

/* -- the same table, rebuilt ------------------------------------------------------ */

#define REBUILD "CREATE TABLE new_r(id INTEGER PRIMARY KEY, x, y, z); " \
	"INSERT INTO new_r(id, x, y) SELECT * FROM r; DROP TABLE r; " \
	"ALTER TABLE new_r RENAME TO r;"

/* What was journalled before, deletes too, is told; nothing is forgotten. */
static void
r12_rebuilt_is_the_same_table(void **state)
{
	both(INTEGER_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES(1, 1, 1), (2, 1, 1), (3, 1, 1), "
	    "(4, 1, 1), (5, 1, 1)");
	node_exec(&n[A], "UPDATE r SET x = 2; UPDATE r SET x = 3 WHERE id = 4");
	node_exec(&n[A], "DELETE FROM r WHERE id = 2");
	node_exec(&n[A], "DELETE FROM r WHERE id = 5");
	pull(B, A);
	plainly("DELETE FROM r WHERE id = 3; INSERT INTO r VALUES(6, 1, 1); "
	    "UPDATE r SET y = 9 WHERE id = 4;"
	    REBUILD "INSERT INTO r VALUES(7, 1, 1, 1), (5, 5, 5, 5)");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1|'r'\n", TRACKED);
	node_expect(&n[A], "", MARKS);
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN z");
	pull(B, A);
	node_expect(&n[B], "1|2|1|NULL\n4|3|9|NULL\n5|5|5|5\n6|1|1|NULL\n"
	    "7|1|1|1\n", "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[B], CELLS);
}

/* Only the triggers went. */
static void
r12_triggers_dropped(void **state)
{
	both(TEXT_KEY "; SELECT crsql_as_crr('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 1, 1)");
	plainly("DROP TRIGGER r__crsql_itrig; INSERT INTO r VALUES('c', 1, 1)");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1|'r'\n", TRACKED);
	node_expect(&n[A], "'a'\n'b'\n'c'\n", "SELECT (SELECT cell FROM "
	    "crsql_unpack_columns(pk)) FROM crsql_changes WHERE cid = 'x'");
}

static void
r12_renamed_and_its_name_given_to_another(void **state)
{
	int i;

	for (i = 0; i < 2; i++) {
		node_exec(&n[A], "DROP TABLE IF EXISTS o2; CREATE TABLE o(id TEXT "
		    "PRIMARY KEY, x); SELECT crsql_as_crr('o'); INSERT INTO o "
		    "VALUES('a', 1); UPDATE o SET x = 2; BEGIN; ALTER TABLE o "
		    "RENAME TO o2; CREATE TABLE o(id TEXT PRIMARY KEY, x); "
		    "INSERT INTO o VALUES('b', 5); COMMIT");
		if (i == 0)
			node_exec(&n[A], "SELECT crsql_as_crr('o')");
		node_exec(&n[A], "INSERT INTO o2 VALUES('c', 3)");
		node_expect(&n[A], i == 0 ? "'o'|5|1\n'o2'|2|2\n'o2'|3|1\n"
		    : "'o2'|2|2\n'o2'|3|1\n", "SELECT \"table\", val, "
		    "col_version FROM crsql_changes WHERE \"table\" LIKE 'o%%' "
		    "ORDER BY 1, 2");
		node_exec(&n[A], "DROP TABLE o");
	}
}

static void
r12_a_name_goes_from_one_to_the_next(void **state)
{
	node_exec(&n[A], "CREATE TABLE o(id TEXT PRIMARY KEY, x); CREATE TABLE "
	    "o2(id TEXT PRIMARY KEY, x); SELECT crsql_as_crr('o'); SELECT "
	    "crsql_as_crr('o2'); INSERT INTO o VALUES('a', 1); INSERT INTO o2 "
	    "VALUES('b', 2); UPDATE o2 SET x = 3; BEGIN; ALTER TABLE o2 RENAME "
	    "TO o3; ALTER TABLE o RENAME TO o2; COMMIT; INSERT INTO o2 "
	    "VALUES('c', 4)");
	node_expect(&n[A], "'o2'|1|1\n'o2'|4|1\n'o3'|3|2\n", "SELECT \"table\", "
	    "val, col_version FROM crsql_changes WHERE \"table\" LIKE 'o%%' "
	    "ORDER BY 1, 2");
}

static void
a_users_table_is_not_taken_for_bookkeeping(void **state)
{
	node_exec(&n[A], "CREATE TABLE p__crsql_meta(i, b); INSERT INTO "
	    "p__crsql_meta VALUES('precious', 1); CREATE TABLE P(id TEXT "
	    "PRIMARY KEY); CREATE TABLE q(id TEXT PRIMARY KEY); CREATE VIEW "
	    "q__crsql_dead AS SELECT 1");
	assert_int_not_equal(node_try(&n[A], "SELECT crsql_as_crr('P')"), 0);
	assert_int_not_equal(node_try(&n[A], "SELECT crsql_as_crr('q')"), 0);
	node_expect(&n[A], "'precious'|1\n", "SELECT * FROM p__crsql_meta");
	node_exec(&n[A], "DROP TABLE p__crsql_meta; SELECT crsql_as_crr('P'); "
	    "SELECT crsql_as_table('P'); SELECT crsql_as_crr('P')");
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r02_the_run_of_a_cursor_is_gone),
		TEST(r16_made_plain_and_again),
		TEST(r16_all_in_one_transaction),
		TEST(r16_dropped_and_made_again),
		TEST(r02_cursors_outlive_as_table),
		TEST(r12_replaced_by_an_empty_table),
		TEST(r12_replaced_with_fewer_rows),
		TEST(r12_replaced_without_an_edited_row),
		TEST(r12_replaced_with_another_key),
		TEST(r12_replaced_by_what_does_not_merge),
		TEST(r12_replaced_and_said_so),
		TEST(r12_made_plain_and_again_in_another_case),
		TEST(r12_replaced_row_for_row),
		TEST(r12_replaced_with_the_rowids_of_others),
		TEST(r12_replaced_with_other_values),
		TEST(r12_replaced_without_journal),
		TEST(r12_rebuilt_is_the_same_table),
		TEST(r12_triggers_dropped),
		TEST(r12_renamed_and_its_name_given_to_another),
		TEST(r12_a_name_goes_from_one_to_the_next),
		TEST(a_users_table_is_not_taken_for_bookkeeping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

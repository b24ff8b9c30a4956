// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_schema.c - databases whose schemas differ for a while: columns that
 * come, go and get other names, keys of other types, tables that are not here.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t nothing[NODE_CURSOR];

static struct group group = { .count = 3, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

static void
r11_an_unknown_column_is_parked_and_comes_later(void **state)
{
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN due");
	node_exec(&n[A], "INSERT INTO r(id, x, due) VALUES('a', 1, 'mon')");
	node_exec(&n[A], "INSERT INTO r(id, x, due) VALUES('b', 2, 'tue')");
	pull(B, A);
	node_expect(&n[B], "'a'|1\n'b'|2\n", "SELECT id, x FROM r ORDER BY 1");
	node_expect(&n[B], "'r'|1|'table r has no column due here'\n"
	    "'r'|2|'table r has no column due here'\n",
	    "SELECT \"table\", version, reason FROM crsql_parked");
	/* a duplicate is parked once */
	memset(n[B].cursor[A], 0, NODE_CURSOR);
	n[B].has.n = 0;
	pull(B, A);
	node_expect(&n[B], "2\n", "SELECT count(*) FROM crsql_parked");
	/* it goes on to others, who may have the column */
	node_exec(&n[C], "ALTER TABLE r ADD COLUMN due");
	pull(C, B);
	nodes_agree(&n[A], &n[C], "SELECT * FROM r ORDER BY id");
	node_exec(&n[A], "DELETE FROM r WHERE id = 'b'");
	pull(B, A);
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN due");
	node_expect(&n[B], "1\n", "SELECT crsql_unpark()");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_parked");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, "
	    "col_version, cl FROM crsql_changes ORDER BY 1, 2, 3");
}

static void
r11_a_key_of_another_type_is_parked(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES('one', 5), "
	    "(2, 6)");
	node_exec(&n[B], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c')");
	pull(B, A);
	node_expect(&n[B], "2|6\n", "SELECT * FROM c");
	node_expect(&n[B], "'datatype mismatch'\n",
	    "SELECT reason FROM crsql_parked");
}

/* '1', '01' and 1.0 are three rows there: here they would be one, and what
 * became of it would go back to one of them. */
static void
r11_keys_that_would_become_one_are_parked(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id TEXT PRIMARY KEY, v); SELECT "
	    "crsql_as_crr('c'); INSERT INTO c VALUES('1', 5), ('01', 6)");
	node_exec(&n[B], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES(1, 7)");
	pull(B, A);
	pull(A, B);
	node_expect(&n[B], "1|7\n", "SELECT * FROM c");
	node_expect(&n[B], "'the key of table c is of another type here'|2\n",
	    "SELECT reason, count(*) FROM crsql_parked GROUP BY 1");
	node_expect(&n[A], "'01'|6\n'1'|5\n", "SELECT * FROM c ORDER BY id");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_parked");
}

static void
r12_a_table_not_replicated_here_is_passed_over(void **state)
{
	struct buf plan;
	uint8_t *page;
	int64_t changes;
	int len;

	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES(1, 5); "
	    "INSERT INTO r(id, x) VALUES('a', 1)");
	/* not asked for, not sent */
	pull(B, A);
	node_expect(&n[B], "'a'\n", "SELECT id FROM r");
	/* sent all the same, not taken */
	node_plan(&n[A], nothing, NULL, &plan);
	node_export(&n[A], &plan, NULL, 100000, &page, &len);
	assert_int_equal(node_import(&n[C], page, len, &changes), SQLITE_OK);
	assert_int_equal(changes, 3);
	node_expect(&n[C], "'a'\n", "SELECT id FROM r");
	sqlite3_free(page);
	buf_clear(&plan);
}

/* -- a column gets another name -------------------------------------------------------- */

#define FACTS "SELECT \"table\", pk, cid, val, col_version, cl FROM " \
	"crsql_changes ORDER BY 1, 2, 3"
#define PARKED "SELECT count(*) FROM crsql_parked"

static void
agree(int a, int b)
{
	nodes_agree(&n[a], &n[b], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[a], &n[b], FACTS);
	node_expect(&n[a], "0\n", PARKED);
	node_expect(&n[b], "0\n", PARKED);
}

static void
rename_column(int i, const char *from, const char *to)
{
	node_exec(&n[i], "ALTER TABLE r RENAME COLUMN %s TO %s", from, to);
}

static void
drop_column(int i, const char *table, const char *column)
{
	node_exec(&n[i], "SELECT crsql_config_set('plain-writers', 0); "
	    "ALTER TABLE %s DROP COLUMN %s; "
	    "SELECT crsql_config_set('plain-writers', 1)", table, column);
}

/* Two rows that A and B have. */
static void
begin_equal(void)
{
	node_exec(&n[A], "INSERT INTO r(id, x, y) VALUES('a', 1, 2), "
	    "('b', 3, 4)");
	node_exec(&n[A], "UPDATE r SET x = 5 WHERE id = 'b'");
	pull(B, A);
}

/* Who is behind in a renaming, and who is ahead. */
static void
r11_a_renamed_column_is_known_by_the_names_it_had(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[B], "UPDATE r SET x = 'of b' WHERE id = 'a'");
	pull(A, B);
	node_exec(&n[A], "UPDATE r SET w = 'of a' WHERE id = 'b'");
	pull(B, A);
	node_expect(&n[A], "'a'|'of b'\n'b'|'of a'\n",
	    "SELECT id, w FROM r ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	node_expect(&n[A], "0\n", PARKED);
	node_expect(&n[B], "0\n", PARKED);
	node_exec(&n[B], "UPDATE r SET x = 'again' WHERE id = 'b'");
	rename_column(B, "x", "w");
	pull(A, B);
	agree(A, B);
	node_expect(&n[A], "'again'\n", "SELECT w FROM r WHERE id = 'b'");
}

/* A name that only one has had, for a while. */
static void
r11_a_column_gets_its_name_back(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[A], "UPDATE r SET w = 'of a' WHERE id = 'b'");
	pull(B, A);
	rename_column(A, "w", "x");
	node_exec(&n[A], "UPDATE r SET x = 'again' WHERE id = 'a'");
	pull(C, B);
	pull(B, A);
	agree(A, B);
	pull(C, B);
	agree(A, C);
}

/* C does not know the column, and hands on what it parks: B learns the name
 * later, from A. */
static void
r11_what_is_parked_is_taken_when_its_name_is_learned(void **state)
{
	begin_equal();
	drop_column(C, "r", "x");
	rename_column(A, "x", "w");
	node_exec(&n[A], "UPDATE r SET w = 'of a' WHERE id = 'b'");
	pull(C, A);
	pull(B, C);
	node_expect(&n[B], "1\n", PARKED);
	node_exec(&n[A], "UPDATE r SET y = 'of a' WHERE id = 'a'");
	pull(B, A);
	node_expect(&n[B], "'a'|1\n'b'|'of a'\n",
	    "SELECT id, x FROM r ORDER BY id");
	node_expect(&n[B], "0\n", PARKED);
	rename_column(B, "x", "w");
	agree(A, B);
}

/* A renaming is news though no row changed, and is handed on: C waits for the
 * name, hears of it from B, and B from A. */
static void
r11_a_name_travels_without_rows(void **state)
{
	begin_equal();
	pull(C, B);
	drop_column(C, "r", "x");
	node_exec(&n[C], "ALTER TABLE r ADD COLUMN w");
	node_exec(&n[B], "UPDATE r SET x = 'of b' WHERE id = 'a'");
	pull(A, B);
	pull(C, B);
	node_expect(&n[C], "1\n", PARKED);
	rename_column(A, "x", "w");
	node_expect(&n[A], "1\n", "SELECT crsql_schema_pending()");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "0\n", "SELECT crsql_schema_pending()");
	pull(B, A);
	pull(C, B);
	node_expect(&n[C], "0\n", PARKED);
	node_expect(&n[C], "'of b'\n", "SELECT w FROM r WHERE id = 'a'");
	/* then there is nothing to tell any more */
	node_exec(&n[C], "CREATE TEMP TABLE then_ AS SELECT crsql_db_version() "
	    "AS v");
	pull(A, C);
	pull(B, A);
	pull(C, B);
	pull(C, A);
	node_expect(&n[C], "1\n", "SELECT v = crsql_db_version() FROM then_");
}

static void
r11_a_change_parked_under_an_old_name_is_taken(void **state)
{
	begin_equal();
	/* A does not know x any more, then again, by another name */
	drop_column(A, "r", "x");
	node_exec(&n[B], "UPDATE r SET x = 'of b'");
	pull(A, B);
	node_expect(&n[A], "2\n", PARKED);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN x; "
	    "ALTER TABLE r RENAME COLUMN x TO v");
	/* nobody has seen the column by its first name: it is unknown */
	node_expect(&n[A], "0\n", "SELECT crsql_unpark()");
	rename_column(A, "v", "x");
	node_exec(&n[A], "INSERT INTO r(id) VALUES('c')");
	rename_column(A, "x", "w");
	node_expect(&n[A], "2\n", "SELECT crsql_unpark()");
	node_expect(&n[A], "'of b'|2\n", "SELECT w, count(*) FROM r WHERE "
	    "id < 'c' GROUP BY w");
}

/* All of a renamed column is told, to a newcomer too. */
static void
r03_a_renamed_column_keeps_its_clocks(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	rename_column(C, "x", "w");
	node_exec(&n[A], "UPDATE r SET y = 6 WHERE id = 'b'");
	pull(C, A);
	agree(A, C);
	node_expect(&n[C], "'a'|1\n'b'|5\n", "SELECT id, w FROM r ORDER BY id");
	node_expect(&n[C], "2\n", "SELECT col_version FROM crsql_changes "
	    "WHERE cid = 'w' AND val = 5");
	node_expect(&n[A], "0|'w'\n1|'y'\n2|'z'\n",
	    "SELECT cid, name FROM crsql_col");
}

static void
r11_both_give_a_column_the_same_name(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[A], "UPDATE r SET w = 'of a' WHERE id = 'a'");
	node_exec(&n[B], "UPDATE r SET x = 'of b'");
	rename_column(B, "x", "w");
	node_exec(&n[B], "INSERT INTO r(id, w) VALUES('c', 'of b')");
	pull(A, B);
	pull(B, A);
	agree(A, B);
	node_expect(&n[A], "'of b'|3\n", "SELECT w, count(*) FROM r "
	    "GROUP BY w");
}

static void
r11_both_give_a_column_different_names(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	rename_column(B, "x", "v");
	node_exec(&n[A], "UPDATE r SET w = 'of a' WHERE id = 'a'");
	node_exec(&n[B], "UPDATE r SET v = 'of b' WHERE id = 'b'");
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	rename_column(A, "w", "v");
	pull(A, B);
	agree(A, B);
	node_expect(&n[A], "'a'|'of a'\n'b'|'of b'\n",
	    "SELECT id, v FROM r ORDER BY id");
}

static void
r11_a_new_column_owns_the_name_of_an_old_one(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN x");
	node_exec(&n[B], "UPDATE r SET x = 'of b' WHERE id = 'a'");
	pull(A, B);
	node_expect(&n[A], "1|'of b'\n", "SELECT w, x FROM r WHERE id = 'a'");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_was");
	/* gone again, the name is nobody's */
	drop_column(A, "r", "x");
	node_exec(&n[B], "UPDATE r SET x = 'again' WHERE id = 'b'");
	pull(A, B);
	node_expect(&n[A], "1\n", PARKED);
	node_expect(&n[A], "5\n", "SELECT w FROM r WHERE id = 'b'");
}

/* A sends x and w: x is not what w was before; C, who does not know it, must not
 * make B think so again. */
static void
r11_a_sender_who_has_both_names_means_two_columns(void **state)
{
	int i;

	begin_equal();
	pull(C, A);
	for (i = A; i <= C; i++)
		rename_column(i, "x", "w");
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN x");
	node_exec(&n[A], "UPDATE r SET x = 'new', w = 'old' WHERE id = 'a'");
	pull(B, A);
	node_expect(&n[B], "'old'\n", "SELECT w FROM r WHERE id = 'a'");
	node_expect(&n[B], "1\n", PARKED);
	node_expect(&n[B], "0\n", "SELECT crsql_unpark()");
	node_exec(&n[C], "UPDATE r SET y = 1");
	pull(B, C);
	node_expect(&n[B], "1\n", PARKED);
	pull(A, C);
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN x");
	node_expect(&n[B], "1\n", "SELECT crsql_unpark()");
	pull(A, B);
	agree(A, B);
}

static void
an_old_name_is_taken_by_crsql_changes(void **state)
{
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[B], "UPDATE r SET x = 'of b'");
	node_pull_changes(&n[A], &n[B], true);
	node_expect(&n[A], "'of b'|2\n", "SELECT w, count(*) FROM r GROUP BY w");
	assert_int_equal(node_change(&n[A], "r", "'a'", "nope", "1", 9, 9, S1,
	    1, 0), SQLITE_ERROR);
}

/* Names change places: the numbers of the columns go with the columns. */
static void
two_columns_exchange_their_names(void **state)
{
	begin_equal();
	node_exec(&n[A], "UPDATE r SET y = 'y' WHERE id = 'b'");
	rename_column(A, "x", "t");
	rename_column(A, "y", "x");
	rename_column(A, "t", "y");
	node_exec(&n[A], "UPDATE r SET y = 'last' WHERE id = 'b'");
	node_expect(&n[A], "0|'y'\n1|'x'\n2|'z'\n",
	    "SELECT cid, name FROM crsql_col");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_was");
	node_expect(&n[A], "'x'|'y'|2\n'y'|'last'|3\n'z'|'dz'|1\n", "SELECT cid, "
	    "val, col_version FROM crsql_changes WHERE pk = x'010B0162' "
	    "ORDER BY cid");
}

/* Without triggers a renaming is known by the column's place. */
static void
a_column_is_renamed_where_no_triggers_tell(void **state)
{
	node_exec(&n[A], "SELECT crsql_config_set('plain-writers', 0)");
	begin_equal();
	rename_column(A, "x", "w");
	node_exec(&n[A], "UPDATE r SET y = 1");
	node_expect(&n[A], "0|'w'\n1|'y'\n2|'z'\n",
	    "SELECT cid, name FROM crsql_col");
	/* one that goes and one that comes are not a renaming */
	node_exec(&n[A], "ALTER TABLE r DROP COLUMN w; "
	    "ALTER TABLE r ADD COLUMN v; UPDATE r SET y = 2");
	node_expect(&n[A], "0|''\n1|'y'\n2|'z'\n3|'v'\n",
	    "SELECT cid, name FROM crsql_col");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = 'v'");
}

static void
a_renaming_in_a_transaction_goes_with_it(void **state)
{
	begin_equal();
	node_exec(&n[A], "BEGIN; UPDATE r SET x = 7 WHERE id = 'a'; ALTER TABLE r "
	    "RENAME COLUMN x TO w; UPDATE r SET w = 8 WHERE id = 'b'; SAVEPOINT s; "
	    "ALTER TABLE r RENAME COLUMN w TO v; UPDATE r SET v = 9; ROLLBACK TO s; "
	    "ALTER TABLE r ADD COLUMN d; INSERT INTO r(id, w, d) VALUES('c', 1, 2); "
	    "ALTER TABLE r RENAME COLUMN d TO e; UPDATE r SET e = 3 WHERE id = 'a'; "
	    "COMMIT");
	node_exec(&n[A], "BEGIN; ALTER TABLE r RENAME COLUMN w TO u; UPDATE r "
	    "SET u = 0; ROLLBACK");
	rename_column(B, "x", "w");
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN e");
	pull(B, A);
	agree(A, B);
	node_expect(&n[B], "'a'|7|3\n'b'|8|NULL\n'c'|1|2\n",
	    "SELECT id, w, e FROM r ORDER BY id");
	node_expect(&n[A], "'x'|0\n", "SELECT name, cid FROM crsql_was");
}

/* What is merged in a transaction that renamed goes by the new names. */
static void
a_merge_sees_a_renaming_of_its_transaction(void **state)
{
	begin_equal();
	node_exec(&n[A], "BEGIN");
	assert_int_equal(node_change(&n[A], "r", "'a'", "y", "9", 9, 9, S1, 1,
	    0), SQLITE_OK);
	rename_column(A, "x", "w");
	assert_int_equal(node_change(&n[A], "r", "'a'", "x", "7", 9, 9, S1, 1,
	    1), SQLITE_OK);
	assert_int_equal(node_change(&n[A], "r", "'b'", "w", "8", 9, 9, S1, 1,
	    2), SQLITE_OK);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "'a'|7|9\n'b'|8|4\n",
	    "SELECT id, w, y FROM r ORDER BY id");
}

/* -- a column comes ------------------------------------------------------------------- */

/* The default of a row that was there is no edit: it must not win from one. */
static void
r03_old_rows_have_no_version_of_a_new_column(void **state)
{
	int i;

	node_exec(&n[A], "INSERT INTO r(id) VALUES('a'), ('b')");
	pull(B, A);
	for (i = A; i <= B; i++)
		node_exec(&n[i], "ALTER TABLE r ADD COLUMN d DEFAULT 10");
	node_exec(&n[B], "UPDATE r SET d = 5 WHERE id = 'a'");
	node_exec(&n[A], "UPDATE r SET x = 1");
	node_expect(&n[A], "0\n",
	    "SELECT count(*) FROM crsql_changes WHERE cid = 'd'");
	pull(B, A);
	pull(A, B);
	agree(A, B);
	node_expect(&n[A], "'a'|5\n'b'|10\n", "SELECT id, d FROM r ORDER BY id");
	node_expect(&n[A], "1\n",
	    "SELECT col_version FROM crsql_changes WHERE cid = 'd'");
}

/* Where one that was deleted comes back, and where a lower key is taken later,
 * all columns are told. */
static void
r03_a_row_inserted_later_below_the_birthday_tells_the_column(void **state)
{
	static const char *const table = "CREATE TABLE k(k INTEGER PRIMARY KEY "
	    "NOT NULL, v); SELECT crsql_as_crr('k')";
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "%s", table);
	node_exec(&n[A], "INSERT INTO k VALUES(10, 1), (11, 1), (20, 1)");
	pull(B, A);
	for (i = A; i <= B; i++)
		node_exec(&n[i], "ALTER TABLE k ADD COLUMN d DEFAULT 'dd'");
	node_exec(&n[A], "DELETE FROM k WHERE k = 20");
	node_exec(&n[A], "INSERT INTO k VALUES(5, 1, 'low'), (20, 1, 'again'), "
	    "(15, 1, NULL), (30, 1, 'high')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM k ORDER BY k");
	nodes_agree(&n[A], &n[B], FACTS);
	node_expect(&n[B], "5|'low'\n10|'dd'\n11|'dd'\n15|NULL\n20|'again'\n"
	    "30|'high'\n", "SELECT k, d FROM k ORDER BY k");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = 'd' AND pk IN (crsql_pack_columns(10), "
	    "crsql_pack_columns(11))");
}

/* What doc/EXTENSION.md says of different defaults. */
static void
r03_each_database_shows_its_own_default_in_old_rows(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id) VALUES('a'), ('b')");
	pull(B, A);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN d DEFAULT 10");
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN d DEFAULT 20");
	node_exec(&n[A], "INSERT INTO r(id) VALUES('new')");
	node_exec(&n[B], "UPDATE r SET d = d WHERE id = 'a'");
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], FACTS);
	node_expect(&n[A], "'a'|10\n'b'|10\n'new'|10\n",
	    "SELECT id, d FROM r ORDER BY id");
	node_expect(&n[B], "'a'|20\n'b'|20\n'new'|10\n",
	    "SELECT id, d FROM r ORDER BY id");
	/* one who writes it makes them equal */
	node_exec(&n[A], "UPDATE r SET d = 11");
	pull(B, A);
	agree(A, B);
}

/* Pages of one pull are read from three schemas. */
static void
r03_a_column_comes_goes_and_comes_between_pages(void **state)
{
	const struct mishap cut = { .max_bytes = 400, .cut_after = 8 };
	int i;

	for (i = A; i <= C; i++)
		node_exec(&n[i], "CREATE TABLE k(k INTEGER PRIMARY KEY NOT NULL, "
		    "v); SELECT crsql_as_crr('k')");
	for (i = 0; i < 300; i += 30)
		node_exec(&n[A], "INSERT INTO k SELECT value, 'v' || value FROM "
		    "(WITH RECURSIVE s(value) AS (SELECT %d UNION ALL SELECT "
		    "value + 1 FROM s LIMIT 30) SELECT * FROM s)", i + 1);
	assert_false(node_pull(&n[B], &n[A], &cut));
	for (i = A; i <= B; i++)
		node_exec(&n[i], "ALTER TABLE k ADD COLUMN d DEFAULT 10");
	node_exec(&n[A], "UPDATE k SET d = 11 WHERE k IN (100, 290)");
	assert_false(node_pull(&n[B], &n[A], &cut));
	for (i = A; i <= B; i++)
		drop_column(i, "k", "d");
	assert_false(node_pull(&n[B], &n[A], &cut));
	for (i = A; i <= C; i++)
		node_exec(&n[i], "ALTER TABLE k ADD COLUMN d DEFAULT 20");
	node_expect(&n[B], "1\n", "SELECT count(*) BETWEEN 100 AND 280 FROM k");
	node_exec(&n[A], "INSERT INTO k VALUES(400, 'v400', 21)");
	node_exec(&n[B], "UPDATE k SET d = 5 WHERE k IN (1, 2)");
	pull(B, A);
	pull(A, B);
	pull(C, B);
	for (i = B; i <= C; i++) {
		nodes_agree(&n[A], &n[i], "SELECT * FROM k ORDER BY k");
		nodes_agree(&n[A], &n[i], FACTS);
		node_expect(&n[i], "0\n", PARKED);
	}
	node_expect(&n[C], "301|5|20\n", "SELECT count(*), min(d), "
	    "(SELECT d FROM k WHERE k = 100) FROM k");
}

/* A renaming between pages: later ones have the new name. */
static void
r03_a_column_is_renamed_between_pages(void **state)
{
	const struct mishap cut = { .max_bytes = 300, .cut_after = 2 };

	node_exec(&n[A], "INSERT INTO r(id, x) SELECT 'k' || value, value FROM "
	    "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 "
	    "FROM s LIMIT 100) SELECT * FROM s)");
	assert_false(node_pull(&n[B], &n[A], &cut));
	rename_column(A, "x", "w");
	assert_false(node_pull(&n[B], &n[A], &cut));
	node_exec(&n[A], "UPDATE r SET w = 'new' WHERE id = 'k1'");
	rename_column(B, "x", "w");
	pull(B, A);
	agree(A, B);
}

/* -- alters ------------------------------------------------------------------------------ */

/* A peer that has all must be told of what an alter logs, and need not come for
 * one that logs nothing. */
static void
r04_an_alter_that_logs_takes_a_new_version(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2)");
	pull(B, A);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN d DEFAULT 7");
	node_exec(&n[A], "ALTER TABLE r RENAME COLUMN y TO yy");
	node_expect(&n[A], "1|1\n", "SELECT crsql_db_version(), "
	    "max(db_version) FROM crsql_changes");
	node_exec(&n[A], "ALTER TABLE r RENAME COLUMN yy TO y; "
	    "SELECT crsql_config_set('plain-writers', 0); "
	    "ALTER TABLE r DROP COLUMN d; "
	    "SELECT crsql_config_set('plain-writers', 1)");
	node_expect(&n[A], "1\n", "SELECT crsql_db_version()");
	/* made anew, as tools do, with a row that was not there */
	node_exec(&n[A], "BEGIN; CREATE TABLE other(id TEXT PRIMARY KEY, x, y, "
	    "z DEFAULT 'dz'); INSERT INTO other(rowid, id, x, y, z) SELECT "
	    "rowid, id, x, y, z FROM r; INSERT INTO other(id, x) "
	    "VALUES('c', 3); DROP TABLE r; ALTER TABLE other RENAME TO r; "
	    "COMMIT");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_exec(&n[A], "UPDATE r SET y = 1 WHERE id = 'a'");
	node_expect(&n[A], "1\n", "SELECT min(db_version) > 1 FROM "
	    "crsql_changes WHERE pk = crsql_pack_columns('c')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[B], FACTS);
}

/* The hook's functions leave virtual columns out, or do not. */
static void
virtual_columns_stand_before_others(void **state)
{
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "CREATE TABLE v(g AS (a || '!') VIRTUAL, id TEXT "
		    "PRIMARY KEY, a, h AS (a) STORED, w AS (1), b BLOB); "
		    "SELECT crsql_as_crr('v')");
	node_exec(&n[A], "INSERT INTO v(id, a, b) VALUES('k', 1, 2), ('l', 1, 2)");
	pull(B, A);
	node_exec(&n[A], "UPDATE v SET b = 3 WHERE id = 'k'");
	node_exec(&n[A], "UPDATE v SET a = 4 WHERE id = 'k'");
	node_expect(&n[A], "'a'|2\n'b'|2\n", "SELECT cid, col_version FROM "
	    "crsql_changes WHERE col_version > 1 ORDER BY 1");
	node_exec(&n[A], "DELETE FROM v WHERE id = 'l'");
	node_exec(&n[A], "UPDATE v SET id = 'm' WHERE id = 'k'");
	pull(B, A);
	node_expect(&n[B], "'4!'|'m'|4|4|1|3\n", "SELECT * FROM v");
	nodes_agree(&n[A], &n[B], FACTS);
}

#define T(name) GROUP_TEST(name, group)

/* A page that names them would be refused. */
static void
names_that_are_too_long(void **state)
{
	struct node m;

	node_open(&m, 0, NULL);
	node_exec(&m, "CREATE TABLE a(id TEXT PRIMARY KEY, \"%.2049c\"); CREATE "
	    "TABLE b(id TEXT PRIMARY KEY, \"%.2048c\"); CREATE TABLE "
	    "\"%.2049c\"(id TEXT PRIMARY KEY, x)", 'c', 'c', 'd');
	assert_int_equal(node_try(&m, "SELECT crsql_as_crr('a')"), SQLITE_ERROR);
	assert_non_null(strstr(sqlite3_errmsg(m.db), "more than 2048 bytes"));
	assert_int_equal(node_try(&m, "SELECT crsql_as_crr('%.2049c')", 'd'),
	    SQLITE_ERROR);
	node_exec(&m, "SELECT crsql_as_crr('b'); CREATE TABLE none(id TEXT "
	    "PRIMARY KEY, \"\")");
	assert_int_equal(node_try(&m, "SELECT crsql_as_crr('none')"),
	    SQLITE_ERROR);
	node_close(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(r11_an_unknown_column_is_parked_and_comes_later),
		cmocka_unit_test(names_that_are_too_long),
		T(r11_a_key_of_another_type_is_parked),
		T(r11_keys_that_would_become_one_are_parked),
		T(r12_a_table_not_replicated_here_is_passed_over),
		T(r11_a_renamed_column_is_known_by_the_names_it_had),
		T(r11_a_name_travels_without_rows),
		T(r11_a_column_gets_its_name_back),
		T(r11_what_is_parked_is_taken_when_its_name_is_learned),
		T(r11_a_change_parked_under_an_old_name_is_taken),
		T(r03_a_renamed_column_keeps_its_clocks),
		T(r11_both_give_a_column_the_same_name),
		T(r11_both_give_a_column_different_names),
		T(r11_a_new_column_owns_the_name_of_an_old_one),
		T(r11_a_sender_who_has_both_names_means_two_columns),
		T(an_old_name_is_taken_by_crsql_changes),
		T(two_columns_exchange_their_names),
		T(a_column_is_renamed_where_no_triggers_tell),
		T(a_renaming_in_a_transaction_goes_with_it),
		T(a_merge_sees_a_renaming_of_its_transaction),
		T(r03_old_rows_have_no_version_of_a_new_column),
		T(r03_a_row_inserted_later_below_the_birthday_tells_the_column),
		T(r03_each_database_shows_its_own_default_in_old_rows),
		T(r03_a_column_comes_goes_and_comes_between_pages),
		T(r03_a_column_is_renamed_between_pages),
		T(virtual_columns_stand_before_others),
		T(r04_an_alter_that_logs_takes_a_new_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

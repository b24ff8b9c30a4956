// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_ledger.c - what is a conflict and what is none, what is kept of it, and
 * when it goes.  Random histories are test_crdt_ledger_random's.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FULL = 18689 };

static struct group three = { .count = 3, .sql = "CREATE TABLE t(id TEXT "
	"PRIMARY KEY, x, y); SELECT crsql_as_crr('t')" };

static struct group filed = { .count = 3, .file = true, .sql = "CREATE TABLE t(id "
	"TEXT PRIMARY KEY, x, y); SELECT crsql_as_crr('t')" };

#define KEY "(SELECT cell FROM crsql_unpack_columns WHERE package = pk)"

/* Site ids that tell who is greater: A < B < C. */
static void
names(void)
{
	int i;

	for (i = 0; i < 3; i++)
		node_exec(&n[i], "SELECT crsql_identity(x'%032d', x'%064d', "
		    "x'%016d')", i + 1, i + 1, 0);
}

/* Pulls, and notes that all of it was seen. */
static void
sync_from(int to, int from)
{
	sqlite3_stmt *stmt;
	int i;

	pull(to, from);
	assert_int_equal(sqlite3_prepare_v2(n[to].db, "SELECT crsql_saw(?, ?)", -1,
	    &stmt, NULL), SQLITE_OK);
	for (i = 0; i < n[from].has.n; i++) {
		sqlite3_bind_blob(stmt, 1, n[from].has.entry[i].site, NODE_SITE,
		    SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, n[from].has.entry[i].version);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
}

static void
lists(int who, const char *want)
{
	node_expect(&n[who], want, "SELECT " KEY ", cid, winner, loser, rule FROM "
	    "crsql_conflicts");
}

/* All have a row r. */
static void
begin(void)
{
	names();
	node_exec(&n[A], "INSERT INTO t VALUES('r', 0, 0)");
	sync_from(B, A);
	sync_from(C, A);
}

/* -- cells ------------------------------------------------------------------------- */

static void
both_values_and_both_authors_are_kept(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(A, B);
	sync_from(B, A);
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
	/* to whom nothing came that lost there */
	lists(B, "");
	node_expect(&n[A], "1|'t'|'2'|2|'1'|2|NULL\n", "SELECT id, \"table\", "
	    "substr(hex(winner_site), 32), winner_version, substr(hex(loser_site), "
	    "32), loser_version, reviewed FROM crsql_conflicts");
	node_expect(&n[A], "1\n", "SELECT abs(time / 1000 - strftime('%%s')) < 60 "
	    "FROM crsql_conflicts");
}

/* A peer could have a large value kept again and again. */
static void
of_a_long_winner_the_beginning_is_kept(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = printf('%%.*c', 255, 'x') || 'ß' || "
	    "printf('%%.*c', 1000, 'y'), y = CAST(printf('%%.*c', 1000, 'y') AS "
	    "BLOB)");
	node_exec(&n[B], "UPDATE t SET x = 'b' || printf('%%.*c', 1000, 'b'), "
	    "y = x'00'");
	sync_from(A, B);
	node_expect(&n[A], "'x'|255|1001\n'y'|256|1\n", "SELECT cid, "
	    "length(CAST(winner AS BLOB)), length(loser) FROM crsql_conflicts "
	    "ORDER BY cid");
}

static void
the_higher_version_is_another_rule(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'z'");
	node_exec(&n[B], "UPDATE t SET x = 'b'; UPDATE t SET x = 'c'");
	sync_from(A, B);
	lists(A, "'r'|'x'|'c'|'z'|'version'\n");
}

static void
other_columns_are_no_conflict(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 1");
	node_exec(&n[B], "UPDATE t SET y = 1");
	sync_from(A, B);
	sync_from(B, A);
	lists(A, "");
	lists(B, "");
}

static void
equal_values_are_no_conflict(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'same'");
	node_exec(&n[B], "UPDATE t SET x = 'other'; UPDATE t SET x = 'same'");
	sync_from(A, B);
	sync_from(B, A);
	lists(A, "");
	lists(B, "");
}

static void
who_had_seen_the_first_edits_later(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	sync_from(B, A);
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(A, B);
	lists(A, "");
	/* and what is older comes behind it */
	sync_from(C, B);
	sync_from(C, A);
	lists(C, "");
}

static void
a_relayed_edit_was_seen(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	sync_from(B, A);
	sync_from(C, B);
	node_exec(&n[C], "UPDATE t SET x = 'c'");
	sync_from(A, C);
	lists(A, "");
	node_exec(&n[A], "UPDATE t SET x = 'd'");
	node_exec(&n[C], "UPDATE t SET x = 'e'");
	sync_from(B, C);
	sync_from(B, A);
	lists(B, "'r'|'x'|'e'|'d'|'value'\n");
}

static void
both_insert_a_row(void **state)
{
	names();
	node_exec(&n[A], "INSERT INTO t VALUES('q', 1, 5), ('r', 1, 5)");
	node_exec(&n[B], "INSERT INTO t VALUES('r', 2, 5)");
	sync_from(A, B);
	lists(A, "'r'|'x'|2|1|'value'\n");
}

static void
the_same_page_twice_is_one_conflict(void **state)
{
	static const struct mishap twice = { .max_bytes = 1000, .twice = true };

	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(C, B);
	assert_true(node_pull(&n[A], &n[B], &twice));
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
	node_exec(&n[C], "UPDATE t SET y = 'c'");
	assert_true(node_pull(&n[A], &n[C], &twice));
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
}

static void
two_in_one_transaction(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a', y = 'a'");
	node_exec(&n[B], "BEGIN; UPDATE t SET x = 'b'; UPDATE t SET y = x'00'; COMMIT");
	sync_from(A, B);
	lists(A, "'r'|'x'|'b'|'a'|'value'\n'r'|'y'|'a'|00|'value'\n");
}

static void
crsql_changes_tell_no_conflicts(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	assert_int_equal(node_change(&n[A], "t", "'r'", "x", "'z'", 9, 9, S1, 1, 0),
	    SQLITE_OK);
	lists(A, "");
}

/* -- rows -------------------------------------------------------------------------- */

static void
a_delete_ends_a_row_that_was_changed(void **state)
{
	begin();
	node_exec(&n[A], "DELETE FROM t");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(B, A);
	lists(B, "'r'|'x'|NULL|'b'|'delete'\n'r'|'y'|NULL|0|'delete'\n");
	node_expect(&n[B], "1\n", "SELECT count(DISTINCT id) FROM crsql_conflicts");
	sync_from(A, B);
	lists(A, "");
	node_expect(&n[B], "", "SELECT * FROM t");
}

static void
a_change_comes_to_a_row_that_was_deleted(void **state)
{
	begin();
	node_exec(&n[A], "DELETE FROM t");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(A, B);
	lists(A, "'r'|'x'|NULL|'b'|'delete'\n");
	node_expect(&n[A], "'1'|2|'2'|2\n", "SELECT substr(hex(winner_site), 32), "
	    "winner_version, substr(hex(loser_site), 32), loser_version FROM "
	    "crsql_conflicts");
}

static void
who_deletes_had_seen_the_row(void **state)
{
	begin();
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(A, B);
	node_exec(&n[A], "DELETE FROM t");
	sync_from(B, A);
	lists(B, "");
	sync_from(C, A);
	sync_from(C, B);
	lists(C, "");
}

static void
a_new_life_ends_what_was_written_in_the_old(void **state)
{
	begin();
	node_exec(&n[A], "DELETE FROM t; INSERT INTO t VALUES('r', 'new', 0)");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(B, A);
	lists(B, "'r'|'x'|'new'|'b'|'life'\n'r'|'y'|0|0|'life'\n");
	node_exec(&n[C], "UPDATE t SET y = 'c'");
	sync_from(A, C);
	lists(A, "'r'|'y'|NULL|'c'|'life'\n");
}

static void
two_delete_and_one_begins_anew(void **state)
{
	begin();
	node_exec(&n[A], "DELETE FROM t; INSERT INTO t VALUES('r', 'new', 0)");
	node_exec(&n[B], "DELETE FROM t");
	sync_from(B, A);
	sync_from(A, B);
	lists(A, "");
	lists(B, "'r'|NULL|NULL|NULL|'life'\n");
	node_expect(&n[B], "'new'\n", "SELECT x FROM t");
}

static void
two_delete_and_agree(void **state)
{
	begin();
	node_exec(&n[A], "DELETE FROM t");
	node_exec(&n[B], "DELETE FROM t");
	sync_from(B, A);
	sync_from(A, B);
	lists(A, "");
	lists(B, "");
}

static void
a_row_that_is_nothing_but_its_key(void **state)
{
	names();
	nodes_exec(n, 3, "CREATE TABLE k(id INTEGER PRIMARY KEY); SELECT "
	    "crsql_as_crr('k')");
	node_exec(&n[A], "INSERT INTO k VALUES(7)");
	sync_from(B, A);
	node_exec(&n[A], "DELETE FROM k");
	node_exec(&n[B], "DELETE FROM k; INSERT INTO k VALUES(7)");
	sync_from(A, B);
	node_expect(&n[A], "7|NULL|'life'\n", "SELECT " KEY ", cid, rule FROM "
	    "crsql_conflicts");
}

/* -- what is refused ----------------------------------------------------------------- */

static void
what_is_refused_is_noted_when_it_is_applied(void **state)
{
	begin();
	node_exec(&n[A], "CREATE TRIGGER no BEFORE UPDATE ON t BEGIN SELECT "
	    "RAISE(ABORT, 'no'); END");
	node_exec(&n[A], "DROP TRIGGER no; UPDATE t SET x = 'a'; CREATE TRIGGER no "
	    "BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'no'); END");
	node_exec(&n[B], "UPDATE t SET x = 'b', y = 'b'");
	sync_from(A, B);
	lists(A, "");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_parked");
	node_exec(&n[A], "DROP TRIGGER no; SELECT crsql_unpark()");
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
	node_well(&n[A]);
}

/* A run of them is asked for first, and remembered. */
static void
keys_that_are_very_far_apart(void **state)
{
	names();
	nodes_exec(n, 3, "CREATE TABLE i(id INTEGER PRIMARY KEY NOT NULL, x)");
	node_exec(&n[A], "INSERT INTO i VALUES(-9223372036854775807, 0)");
	nodes_exec(n, 3, "SELECT crsql_as_crr('i')");
	sync_from(C, A);
	node_exec(&n[B], "INSERT INTO i VALUES(5, 'b')");
	sync_from(A, B);
	node_exec(&n[C], "BEGIN; UPDATE i SET x = 1; INSERT INTO i VALUES(5, 'c'); COMMIT");
	sync_from(A, C);
	node_expect(&n[A], "'c'|'b'\n", "SELECT winner, loser FROM crsql_conflicts");
}

/* -- changes of the schema ----------------------------------------------------------- */

static void
conflict_in_x(void)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	sync_from(A, B);
}

static void
a_renamed_column_is_followed(void **state)
{
	conflict_in_x();
	node_exec(&n[A], "ALTER TABLE t RENAME COLUMN x TO z");
	lists(A, "'r'|'z'|'b'|'a'|'value'\n");
	node_exec(&n[A], "ALTER TABLE t RENAME TO u");
	node_expect(&n[A], "'u'\n", "SELECT \"table\" FROM crsql_conflicts");
	node_well(&n[A]);
}

static void
a_dropped_column_takes_its_conflicts_along(void **state)
{
	conflict_in_x();
	node_exec(&n[A], "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN "
	    "x; SELECT crsql_commit_alter('t')");
	lists(A, "");
	node_well(&n[A]);
	node_expect(&n[A], "0|0\n", "SELECT (SELECT count(*) FROM crsql_ledger), "
	    "(SELECT count(*) FROM crsql_ledger_cell)");
}

static void
a_dropped_table_takes_its_conflicts_along(void **state)
{
	conflict_in_x();
	node_exec(&n[A], "DROP TABLE t");
	node_expect(&n[A], "", "SELECT id FROM crsql_conflicts");
	node_well(&n[A]);
	node_expect(&n[A], "0|0\n", "SELECT (SELECT count(*) FROM crsql_ledger), "
	    "(SELECT count(*) FROM crsql_ledger_cell)");
}

/* -- reviewing ----------------------------------------------------------------------- */

static void
only_reviewed_ones_are_forgotten(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a', y = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'b', y = 'b'");
	sync_from(A, B);
	node_expect(&n[A], "0\n", "SELECT crsql_forget_reviewed(9e15)");
	node_expect(&n[A], "0|0|0|1|0\n", "SELECT crsql_reviewed(NULL), "
	    "crsql_reviewed('no'), crsql_reviewed(7), crsql_reviewed(1), "
	    "crsql_reviewed(1)");
	node_expect(&n[A], "2\n", "SELECT id FROM crsql_conflicts WHERE reviewed IS "
	    "NULL");
	node_expect(&n[A], "1\n", "SELECT abs(reviewed / 1000 - strftime('%%s')) < 60 "
	    "FROM crsql_conflicts WHERE id = 1");
	node_expect(&n[A], "0\n", "SELECT crsql_forget_reviewed(1000)");
	node_expect(&n[A], "1\n", "SELECT crsql_forget_reviewed("
	    "9000000000000000)");
	lists(A, "'r'|'y'|'b'|'a'|'value'\n");
	node_expect(&n[A], "1\n", "SELECT crsql_reviewed()");
	node_expect(&n[A], "1\n", "SELECT crsql_forget_reviewed("
	    "9000000000000000)");
	lists(A, "");
	node_well(&n[A]);
}

static void
a_full_list_holds_and_drops_nothing(void **state)
{
	static const struct mishap held = { .max_bytes = 100000,
		.may_refuse = true };

	begin();
	node_exec(&n[A], "SELECT crsql_config_set('conflicts-max', 1); UPDATE t SET "
	    "x = 'a', y = 'a'; INSERT INTO t VALUES('s', 1, 1)");
	node_exec(&n[B], "UPDATE t SET x = 'b', y = 'b'");
	node_exec(&n[C], "INSERT INTO t VALUES('s', 2, 1), ('n', 1, 1)");
	/* what began while there was room ends */
	sync_from(A, B);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_conflicts");
	assert_false(node_pull(&n[A], &n[C], &held));
	assert_int_equal(sqlite3_extended_errcode(n[A].db), SQLITE_OK);
	node_expect(&n[A], "'r'\n's'\n", "SELECT id FROM t ORDER BY id");
	node_expect(&n[A], "1\n", "SELECT x FROM t WHERE id = 's'");
	node_exec(&n[A], "SELECT crsql_reviewed(1)");
	assert_false(node_pull(&n[A], &n[C], &held));
	node_exec(&n[A], "SELECT crsql_reviewed(2)");
	sync_from(A, C);
	node_expect(&n[A], "3|2\n", "SELECT id, winner FROM crsql_conflicts WHERE "
	    "reviewed IS NULL");
	node_expect(&n[A], "'n'\n'r'\n's'\n", "SELECT id FROM t ORDER BY id");
	node_well(&n[A]);
}

static void
fullness_has_a_code_and_a_sentence(void **state)
{
	struct buf plan;
	uint8_t *page;
	int64_t changes;
	int len;

	begin();
	node_exec(&n[A], "SELECT crsql_config_set('conflicts-max', 0); UPDATE t SET "
	    "x = 'a'");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	node_plan(&n[A], n[A].cursor[B], &n[A].has, &plan);
	assert_int_equal(node_export(&n[B], &plan, NULL, 100000, &page, &len), 0);
	sqlite3_extended_result_codes(n[A].db, 1);
	assert_int_equal(node_import(&n[A], page, len, &changes), FULL);
	assert_string_equal(sqlite3_errmsg(n[A].db), "conflicts not reviewed: "
	    "0, and no room for more");
	node_exec(&n[A], "SELECT crsql_config_set('conflicts-max', 1)");
	assert_int_equal(node_import(&n[A], page, len, &changes), SQLITE_OK);
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
	sqlite3_free(page);
	buf_clear(&plan);
}

/* -- whose fresh rows are --------------------------------------------------------------- */

/* A has three rows of B's in one run, and has asked whose one of them is, and so of
 * MANY others that it read all runs: what the log has few of is searched for. */
static void
asked_whose_they_are(void)
{
	enum { MANY = 40 };
	int i;

	names();
	node_exec(&n[B], "INSERT INTO t VALUES('p', 1, 1), ('q', 1, 1), ('r', 1, 1)");
	for (i = 0; i < MANY; i++)
		node_exec(&n[B], "INSERT INTO t VALUES(%d, 1, 1)", i);
	sync_from(A, B);
	node_exec(&n[C], "INSERT INTO t VALUES('p', 2, 2); WITH s(v) AS (VALUES(0) UNION "
	    "ALL SELECT v + 1 FROM s WHERE v < %d) INSERT INTO t SELECT v, 2, 2 FROM s",
	    MANY - 1);
	sync_from(A, C);
	node_expect(&n[A], "41\n", "SELECT count(DISTINCT lsver) FROM crsql_ledger");
}

/* Whose those in the run were. */
#define WHOSE "SELECT DISTINCT lsver FROM crsql_ledger WHERE pk BETWEEN " \
	"crsql_pack_columns('p') AND crsql_pack_columns('r') ORDER BY 1"

/* In a transaction that the engine notices: of others it forgets all. */
static void
change_log(const char *sql)
{
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES(hex(randomblob(8)), 0, 0); %s; COMMIT",
	    sql);
}

static void
told_anew(const char *key, const char *want)
{
	node_exec(&n[C], "INSERT INTO t VALUES('%s', 2, 2)", key);
	sync_from(A, C);
	node_expect(&n[A], want, WHOSE);
}

static void
a_run_is_looked_up_where_it_stands(void **state)
{
	asked_whose_they_are();
	change_log("UPDATE crsql_log SET sver = 77 WHERE n = 3");
	told_anew("q", "1\n77\n");
	node_exec(&n[A], "BEGIN; UPDATE crsql_log SET sver = 88 WHERE n = 3; ROLLBACK");
	told_anew("r", "1\n77\n");
}

static void
a_run_that_was_parted_is_found(void **state)
{
	asked_whose_they_are();
	change_log("UPDATE crsql_log SET n = 1 WHERE n = 3; INSERT INTO "
	    "crsql_log(dbv, pos, tbl, key, n, site, sver) SELECT dbv, 9, tbl, key + 1, "
	    "2, site, 78 FROM crsql_log WHERE n = 1 AND site IS NOT NULL ORDER BY dbv "
	    "LIMIT 1");
	told_anew("r", "1\n78\n");
}

static void
what_others_write_meanwhile_is_known(void **state)
{
	asked_whose_they_are();
	plainly("UPDATE crsql_log SET sver = 77 WHERE n = 3");
	told_anew("q", "1\n77\n");
	plainly("INSERT INTO t VALUES('s', 1, 1)");
	node_exec(&n[C], "INSERT INTO t VALUES('s', 2, 2)");
	sync_from(A, C);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_conflicts WHERE pk = "
	    "crsql_pack_columns('s')");
}

static void
own_rows_since_are_known(void **state)
{
	asked_whose_they_are();
	node_exec(&n[A], "INSERT INTO t VALUES('s', 1, 1); INSERT INTO t VALUES('u', 1, "
	    "1)");
	node_exec(&n[C], "INSERT INTO t VALUES('s', 2, 2)");
	sync_from(A, C);
	node_exec(&n[A], "INSERT INTO t VALUES('v', 1, 1)");
	node_exec(&n[C], "INSERT INTO t VALUES('u', 2, 2), ('v', 2, 2)");
	sync_from(A, C);
	node_expect(&n[A], "'s'|2\n'u'|2\n'v'|2\n", "SELECT " KEY " k, count(*) FROM "
	    "crsql_conflicts WHERE k > 'r' GROUP BY k");
	node_well(&n[A]);
}

/* One page, in a transaction that is open; who pulls later gets it again. */
static void
import_within(int to, int from)
{
	struct buf plan;
	uint8_t *page;
	int64_t changes;
	int len;

	node_plan(&n[to], n[to].cursor[from], &n[to].has, &plan);
	assert_int_equal(node_export(&n[from], &plan, NULL, 100000, &page, &len), 0);
	assert_int_equal(node_import(&n[to], page, len, &changes), SQLITE_OK);
	sqlite3_free(page);
	buf_clear(&plan);
}

/* Other rows get the db_versions, and one of them a key that nobody had. */
static void
versions_that_a_savepoint_gave_back_are_read_anew(void **state)
{
	int i;

	asked_whose_they_are();
	for (i = 0; i < 5; i++)
		node_exec(&n[B], "INSERT INTO t VALUES('s%d', 1, 1)", i);
	node_exec(&n[C], "INSERT INTO t VALUES('q', 2, 2)");
	node_exec(&n[A], "BEGIN; SAVEPOINT s");
	import_within(A, B);
	import_within(A, C);
	node_exec(&n[A], "ROLLBACK TO s; INSERT INTO t VALUES('v0', 1, 1), ('v1', 1, 1), "
	    "('v2', 1, 1), ('v3', 1, 1), ('w', 1, 1)");
	node_exec(&n[C], "INSERT INTO t VALUES('w', 2, 2)");
	import_within(A, C);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "'q'|2\n'w'|2\n", "SELECT " KEY " k, count(*) FROM "
	    "crsql_conflicts WHERE k > 'p' GROUP BY k");
	node_well(&n[A]);
}

/* What is noted goes with what it is of, and with nothing else. */
static void
rolled_back_with_the_merge(void **state)
{
	begin();
	node_exec(&n[A], "UPDATE t SET x = 'a'; BEGIN");
	node_exec(&n[B], "UPDATE t SET x = 'b'");
	node_exec(&n[A], "COMMIT");
	sync_from(A, B);
	node_exec(&n[A], "SELECT crsql_gc(NULL); SELECT crsql_repair()");
	lists(A, "'r'|'x'|'b'|'a'|'value'\n");
	node_well(&n[A]);
}

static void
check_sees_what_is_wrong(void **state)
{
	conflict_in_x();
	node_exec(&n[A], "UPDATE crsql_ledger SET tbl = 99");
	node_expect(&n[A], "'crsql_ledger names a table that is not there'\n",
	    "SELECT what FROM crsql_check");
	node_exec(&n[A], "UPDATE crsql_ledger SET tbl = 1, wsite = 99");
	node_expect(&n[A], "'crsql_ledger names a site that is not there'\n",
	    "SELECT what FROM crsql_check");
	node_exec(&n[A], "UPDATE crsql_ledger SET wsite = lsite, rule = 9");
	node_expect(&n[A], "'crsql_ledger has an entry that can''t be read'\n",
	    "SELECT what FROM crsql_check");
	node_exec(&n[A], "UPDATE crsql_ledger SET rule = 1; DELETE FROM "
	    "crsql_ledger_cell");
	node_expect(&n[A], "'crsql_ledger lacks the values of a column'\n",
	    "SELECT what FROM crsql_check");
	node_exec(&n[A], "DELETE FROM crsql_ledger; INSERT INTO crsql_ledger_cell "
	    "VALUES(5, 0, 1, 2)");
	node_expect(&n[A], "'crsql_ledger_cell has values of no entry'\n",
	    "SELECT what FROM crsql_check");
}

#define T(f) GROUP_TEST(f, three)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(both_values_and_both_authors_are_kept),
		T(of_a_long_winner_the_beginning_is_kept),
		T(the_higher_version_is_another_rule),
		T(other_columns_are_no_conflict),
		T(equal_values_are_no_conflict),
		T(who_had_seen_the_first_edits_later),
		T(a_relayed_edit_was_seen),
		T(both_insert_a_row),
		T(the_same_page_twice_is_one_conflict),
		T(two_in_one_transaction),
		T(crsql_changes_tell_no_conflicts),
		T(a_delete_ends_a_row_that_was_changed),
		T(a_change_comes_to_a_row_that_was_deleted),
		T(who_deletes_had_seen_the_row),
		T(a_new_life_ends_what_was_written_in_the_old),
		T(two_delete_and_one_begins_anew),
		T(two_delete_and_agree),
		T(a_row_that_is_nothing_but_its_key),
		T(what_is_refused_is_noted_when_it_is_applied),
		T(keys_that_are_very_far_apart),
		T(a_renamed_column_is_followed),
		T(a_dropped_column_takes_its_conflicts_along),
		T(a_dropped_table_takes_its_conflicts_along),
		T(only_reviewed_ones_are_forgotten),
		T(a_full_list_holds_and_drops_nothing),
		T(fullness_has_a_code_and_a_sentence),
		GROUP_TEST(a_run_is_looked_up_where_it_stands, filed),
		GROUP_TEST(a_run_that_was_parted_is_found, filed),
		GROUP_TEST(what_others_write_meanwhile_is_known, filed),
		GROUP_TEST(own_rows_since_are_known, filed),
		T(versions_that_a_savepoint_gave_back_are_read_anew),
		T(rolled_back_with_the_merge),
		T(check_sees_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_rules.c - the rules of replication that the engine keeps, each by
 * the history that goes wrong without it.  What a change of the schema does:
 * test_crdt_schema.c; what happens in files, beside programs that load nothing:
 * test_crdt_files.c; cr-sqlite's own rules: test_crdt_changes.c.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

enum { DONE = 1, LOST = 2, BEGINS_INSIDE = 4, ENDS_INSIDE = 8 };

static const uint8_t nothing[NODE_CURSOR];

enum { COUNT = 3 };
static struct group group = { .count = COUNT, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

/* INSERT INTO crsql_changes of table r. */
static int
change(int to, const char *pk, const char *cid, const char *val, int version,
    int dbv, const char *site, int cl, int seq)
{
	return node_change(&n[to], "r", pk, cid, val, version, dbv, site, cl,
	    seq);
}

/* -- the log and its readers ----------------------------------------------------- */

/* A@1 sets x, A@2 sets y; B merges both at once; C, who has A:1, must get y
 * from B. */
static void
r01_each_origin_transaction_has_its_own_dbv(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id, x, y) VALUES('r', 0, 0)");
	pull(C, A);
	node_exec(&n[A], "UPDATE r SET x = 1");
	node_exec(&n[A], "UPDATE r SET y = 2");
	pull(B, A);
	node_expect(&n[B], "3\n", "SELECT crsql_db_version()");
	node_expect(&n[B], "'x'|1\n'y'|1\n", "SELECT cid, count(DISTINCT "
	    "db_version) FROM crsql_changes WHERE col_version > 1 "
	    "GROUP BY cid");
	/* C knows x of A:2 from elsewhere, and says so. */
	vector_raise(&n[C].has, n[A].site, 2);
	pull(C, B);
	node_expect(&n[C], "0|2\n", "SELECT x, y FROM r");
}

/* Changes that came without an origin version are never passed over. */
static void
r01_changes_without_a_site_version_are_always_sent(void **state)
{
	assert_int_equal(change(B, "'r'", "x", "7", 1, 5, S1, 1, 0), 0);
	vector_raise(&n[C].has, (const uint8_t *)"\x11\x11\x11\x11\x11\x11\x11"
	    "\x11\x11\x11\x11\x11\x11\x11\x11\x11", 1000);
	pull(C, B);
	node_expect(&n[C], "'r'|7\n", "SELECT id, x FROM r");
	node_expect(&n[C], "0\n", "SELECT sver FROM crsql_log");
}

static void
r02_an_unknown_cursor_means_from_nothing(void **state)
{
	uint8_t cursor[NODE_CURSOR], *page;
	struct buf plan;
	int64_t changes;
	int i, len;

	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1)");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('b', 1)");
	pull(B, A);
	for (i = -1; i < NODE_CURSOR; i++) {
		/* Another log id or token, or a dbv beyond the head. */
		if (i >= 8 && i < 15)
			continue;
		if (i > 15 && i < 32)
			continue;
		memcpy(cursor, n[B].cursor[A], sizeof cursor);
		if (i >= 0)
			cursor[i] ^= 0x55;
		node_plan(&n[B], cursor, &n[B].has, &plan);
		node_export(&n[A], &plan, NULL, 100000, &page, &len);
		assert_int_equal(page_flags_of(page), i < 0 ? DONE :
		    DONE | LOST);
		/* and the vector keeps it from being sent again */
		node_import(&n[C], page, len, &changes);
		assert_int_equal(changes, 0);
		sqlite3_free(page);
		buf_clear(&plan);
	}
}

static void
r02_cursors_inside_a_run_go_by_key(void **state)
{
	const struct mishap cut = { .max_bytes = 300, .cut_after = 5 };

	node_exec(&n[A], "CREATE TABLE k(k INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('k'); INSERT INTO k SELECT value, value FROM "
	    "(WITH RECURSIVE s(value) AS (SELECT 10 UNION ALL SELECT value + 1 "
	    "FROM s LIMIT 200) SELECT * FROM s)");
	node_exec(&n[B], "CREATE TABLE k(k INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('k')");
	assert_false(node_pull(&n[B], &n[A], &cut));
	node_exec(&n[A], "UPDATE k SET v = 'x' WHERE k BETWEEN 50 AND 60; "
	    "DELETE FROM k WHERE k = 61");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM k ORDER BY k");
}

/* Two groups: one begins at nothing, the other goes on inside a run. */
static void
r12_each_group_has_its_own_cursor(void **state)
{
	uint8_t *page, cursor[NODE_CURSOR];
	struct buf plan, one;
	int64_t changes;
	int i, len;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "CREATE TABLE k(k INTEGER PRIMARY KEY NOT "
		    "NULL, v); SELECT crsql_as_crr('k')");
	node_exec(&n[A], "INSERT INTO r(id) VALUES('a'); INSERT INTO k "
	    "SELECT value, 'v' FROM (WITH RECURSIVE s(value) AS (SELECT 1 UNION "
	    "ALL SELECT value + 1 FROM s LIMIT 50) SELECT * FROM s)");
	node_plan(&n[B], nothing, NULL, &one);
	node_export(&n[A], &one, NULL, 400, &page, &len);
	assert_int_equal(page_flags_of(page), ENDS_INSIDE);
	memcpy(cursor, page + 4, sizeof cursor);
	node_import(&n[C], page, len, &changes);
	sqlite3_free(page);
	buf_init(&plan, 1000);
	buf_add(&plan, "\2\1\1r", 4);
	buf_add(&plan, nothing, NODE_CURSOR);
	buf_add(&plan, "\0\1\1k", 4);
	buf_add(&plan, cursor, NODE_CURSOR);
	buf_add(&plan, "\0", 1);
	node_export(&n[A], &plan, NULL, 100000, &page, &len);
	node_import(&n[B], page, len, &changes);
	node_expect(&n[B], "'a'\n", "SELECT id FROM r");
	/* the rows of the run up to the cursor are not sent again */
	node_expect(&n[B], "1\n", "SELECT min(k) > 1 AND max(k) = 50 AND "
	    "count(*) = 51 - min(k) FROM k");
	sqlite3_free(page);
	buf_clear(&plan);
	buf_clear(&one);
}

/* -- keys --------------------------------------------------------------------------- */

static void
r05_one_row_has_one_key(void **state)
{
	node_exec(&n[A], "CREATE TABLE k(k PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('k')");
	/* integer 1 for a TEXT key is '1' */
	assert_int_equal(change(A, "'1'", "x", "1", 1, 1, S1, 1, 0), 0);
	assert_int_equal(change(A, "1", "x", "2", 2, 2, S1, 1, 0), 0);
	node_expect(&n[A], "'1'|2\n", "SELECT id, x FROM r");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_changes");
	/* 2.0 in a key without type is 2 */
	node_exec(&n[A], "INSERT INTO k VALUES(2.0, 'a')");
	node_exec(&n[A], "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq) VALUES('k', "
	    "crsql_pack_columns(2), '-1', NULL, 2, 9, " S1 ", 2, 0)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM k");
	node_exec(&n[A], "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq) VALUES('k', "
	    "crsql_pack_columns(2.0), 'v', 'old', 9, 9, " S1 ", 1, 0)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM k");
}

/* One row in both, though each shows its key as it was written there. */
static void
r05_an_untyped_key_is_shown_as_written(void **state)
{
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "CREATE TABLE k(k PRIMARY KEY NOT NULL, v); "
		    "SELECT crsql_as_crr('k')");
	node_exec(&n[A], "INSERT INTO k VALUES(5.0, 'a'), (6.0, 'a')");
	node_exec(&n[B], "INSERT INTO k VALUES(5, 'b')");
	pull(B, A);
	pull(A, B);
	node_exec(&n[A], "UPDATE k SET v = 'c' WHERE k = 5");
	pull(B, A);
	node_expect(&n[A], "5.0|'c'\n6.0|'a'\n", "SELECT * FROM k ORDER BY 1");
	node_expect(&n[B], "5|'c'\n6|'a'\n", "SELECT * FROM k ORDER BY 1");
}

/* -- local writes that are not folded yet ------------------------------------------- */

/* An own write of the same transaction is compared, not overwritten. */
static void
r07_a_merge_sees_local_writes_first(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('r', 0)");
	pull(B, A);
	node_exec(&n[B], "UPDATE r SET x = 'b'");
	node_exec(&n[A], "BEGIN; UPDATE r SET x = 'p'; UPDATE r SET x = 'q'");
	pull(C, B);
	{
		struct buf plan;
		uint8_t *page;
		int64_t changes;
		int len;

		node_plan(&n[A], nothing, NULL, &plan);
		node_export(&n[B], &plan, NULL, 100000, &page, &len);
		assert_int_equal(node_import(&n[A], page, len, &changes), 0);
		assert_int_equal(changes, 0);
		sqlite3_free(page);
		buf_clear(&plan);
	}
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "'q'\n", "SELECT x FROM r");
	node_expect(&n[A], "'x'|3\n", "SELECT cid, col_version FROM "
	    "crsql_changes WHERE col_version > 1");
}

/* -- parking -------------------------------------------------------------------------- */

static void
r11_a_refused_row_is_parked_and_the_rest_goes_on(void **state)
{
	node_exec(&n[A], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v); "
	    "SELECT crsql_as_crr('c'); INSERT INTO c VALUES(1, 5), (2, -5), "
	    "(3, 6)");
	node_exec(&n[B], "CREATE TABLE c(id INTEGER PRIMARY KEY NOT NULL, v "
	    "CHECK(v > 0)); SELECT crsql_as_crr('c')");
	pull(B, A);
	node_expect(&n[B], "1|5\n3|6\n", "SELECT * FROM c");
	node_expect(&n[B], "'CHECK constraint failed: v > 0'\n",
	    "SELECT reason FROM crsql_parked");
	node_expect(&n[B], "0\n", "SELECT crsql_internal_sync_bit()");
	node_expect(&n[B], "0\n", "SELECT crsql_unpark()");
	/* a later change of the row makes the first one possible or void */
	node_exec(&n[A], "UPDATE c SET v = 7 WHERE id = 2");
	pull(B, A);
	node_expect(&n[B], "1|5\n2|7\n3|6\n", "SELECT * FROM c");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_parked");
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, "
	    "col_version, cl FROM crsql_changes ORDER BY 1, 2, 3");
}

/* -- who had seen what ---------------------------------------------------------------- */

#define STEPS "SELECT hex(s.site_id), c.sver, hex(o.site_id), c.upto FROM " \
	"crsql_seen AS c JOIN crsql_site_id AS s ON s.ordinal = c.site JOIN " \
	"crsql_site_id AS o ON o.ordinal = c.other ORDER BY 1, 2, 3"

/* Also one that a page names only in a step of another's. */
static void
r17_a_site_of_a_step_is_known_by_its_key(void **state)
{
	node_exec(&n[A], "SELECT crsql_identity(" S1 ", zeroblob(32), "
	    "zeroblob(8)); INSERT INTO r(id, x) VALUES('a', 1)");
	pull(B, A);
	node_exec(&n[B], "SELECT crsql_saw(" S1 ", 1)");
	node_exec(&n[B], "INSERT INTO r(id, x) VALUES('b', 1)");
	/* by a vector that some other has told */
	memset(n[A].site, 0x11, NODE_SITE);
	vector_raise(&n[C].has, n[A].site, 1);
	pull(C, B);
	node_expect(&n[C], "32\n", "SELECT length(public_key) FROM "
	    "crsql_site_id WHERE site_id = " S1);
}

static void
r18_steps_travel_with_the_headers(void **state)
{
	sqlite3_stmt *stmt;

	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1)");
	pull(B, A);
	sqlite3_prepare_v2(n[B].db, "SELECT crsql_saw(?, 1)", -1, &stmt, NULL);
	sqlite3_bind_blob(stmt, 1, n[A].site, NODE_SITE, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_finalize(stmt);
	pull(C, B);
	node_expect(&n[C], "0\n", "SELECT count(*) FROM crsql_seen");
	node_exec(&n[B], "UPDATE r SET x = 2");
	pull(C, B);
	nodes_agree(&n[B], &n[C], STEPS);
	node_expect(&n[C], "2|1\n", "SELECT sver, upto FROM crsql_seen");
	/* a relay hands them on */
	pull(A, C);
	nodes_agree(&n[B], &n[A], STEPS);
}

/* Holds everything of A's first transaction. */
static void
saw_a(int who)
{
	sqlite3_stmt *stmt;

	sqlite3_prepare_v2(n[who].db, "SELECT crsql_saw(?, 1)", -1, &stmt, NULL);
	sqlite3_bind_blob(stmt, 1, n[A].site, NODE_SITE, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_finalize(stmt);
}

/* B's step goes with a transaction of which C has no table: it is told at the end,
 * as C holds that transaction from then on. */
static void
r18_steps_pass_tables_that_were_not_asked_for(void **state)
{
	nodes_exec(n, 2, "CREATE TABLE u(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('u')");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1)");
	pull(B, A);
	saw_a(B);
	node_exec(&n[B], "INSERT INTO u VALUES('u', 1)");
	pull(C, B);
	node_expect(&n[C], "2|1\n", "SELECT sver, upto FROM crsql_seen");
	nodes_agree(&n[B], &n[C], STEPS);
	/* which begins nothing */
	node_expect(&n[C], "1\n", "SELECT crsql_db_version()");
	node_exec(&n[B], "UPDATE r SET x = 2");
	pull(C, B);
	nodes_agree(&n[B], &n[C], STEPS);
}

/* The same where a pull is cut off behind it: the next row of B's comes with it. */
static void
r18_steps_are_told_with_the_first_row(void **state)
{
	struct mishap cut = { .max_bytes = 60, .cut_after = 3 };

	nodes_exec(n, 2, "CREATE TABLE u(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('u')");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1)");
	pull(B, A);
	saw_a(B);
	node_exec(&n[B], "INSERT INTO u VALUES('u', 1)");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('b', 1)");
	pull(B, A);
	node_exec(&n[B], "UPDATE r SET x = 2 WHERE id = 'b'");
	node_exec(&n[B], "UPDATE r SET y = 2 WHERE id = 'a'");
	assert_false(node_pull(&n[C], &n[B], &cut));
	node_expect(&n[C], "2\n", "SELECT x FROM r WHERE id = 'b'");
	node_expect(&n[C], "2|1\n", "SELECT sver, upto FROM crsql_seen");
}

/* A step no own transaction has used is replaced; used ones stay. */
static void
r18_steps_are_replaced_until_used(void **state)
{
	node_exec(&n[A], "SELECT crsql_saw(" S1 ", 5)");
	node_exec(&n[A], "SELECT crsql_saw(" S1 ", 7)");
	node_exec(&n[A], "SELECT crsql_saw(" S1 ", 6)");
	node_expect(&n[A], "1|7\n", "SELECT sver, upto FROM crsql_seen");
	node_exec(&n[A], "INSERT INTO r(id) VALUES('a')");
	node_exec(&n[A], "SELECT crsql_saw(" S1 ", 9)");
	node_expect(&n[A], "1|7\n2|9\n", "SELECT sver, upto FROM crsql_seen");
}

/* -- deletes --------------------------------------------------------------------------- */

static void
r19_resurrection_by_import_forgets(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id, x, y, z) VALUES('a', 1, 2, 3)");
	pull(B, A);
	node_exec(&n[B], "UPDATE r SET y = 'old', z = 'old'");
	node_exec(&n[A], "DELETE FROM r");
	/* The new life is known by one column only. */
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 'new')");
	node_exec(&n[A], "UPDATE r SET y = 'y2', z = 'z2'");
	{
		struct mishap first = { .max_bytes = 1, .cut_after = 1 };

		node_pull(&n[B], &n[A], &first);
	}
	node_expect(&n[B], "'a'|'new'|NULL|'dz'\n", "SELECT * FROM r");
	node_expect(&n[B], "'-1'|3\n'x'|1\n", "SELECT cid, col_version FROM "
	    "crsql_changes ORDER BY cid");
	pull(B, A);
	pull(A, B);
	node_expect(&n[B], "'a'|'new'|'y2'|'z2'\n", "SELECT * FROM r");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r");
}

/* By crsql_changes the old values stay, at version 0. */
static void
r19_resurrection_by_changes_keeps_at_version_0(void **state)
{
	node_exec(&n[A], "INSERT INTO r(id, x, y) VALUES('a', 1, 2)");
	assert_int_equal(change(A, "'a'", "-1", "NULL", 3, 8, S1, 3, 0), 0);
	node_expect(&n[A], "'a'|1|2|'dz'\n", "SELECT * FROM r");
	node_expect(&n[A], "'-1'|3|8|3\n'x'|0|8|3\n'y'|0|8|3\n'z'|0|8|3\n",
	    "SELECT cid, col_version, db_version, cl FROM crsql_changes "
	    "ORDER BY cid");
	assert_int_equal(change(A, "'a'", "y", "'n'", 1, 8, S1, 3, 1), 0);
	node_expect(&n[A], "'a'|1|'n'|'dz'\n", "SELECT * FROM r");
}

static void
equal_deletes_keep_the_greater_site(void **state)
{
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "INSERT INTO r(id, x) VALUES('a', 1)");
	pull(A, B);
	pull(B, A);
	for (i = A; i <= B; i++)
		node_exec(&n[i], "DELETE FROM r");
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT cid, cl, site_id, site_id = "
	    "max(site_id, (SELECT max(site_id) FROM crsql_site_id)) FROM "
	    "crsql_changes");
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT cid, cl, site_id FROM "
	    "crsql_changes");
}

/* In the midst of one: what was parked takes a db_version of its own, and the
 * rest of the transaction does not come to stand in it. */
static void
try_behind(int max_bytes)
{
	const struct mishap cut = { .max_bytes = max_bytes };
	int i;

	for (i = A; i < COUNT; i++)
		node_exec(&n[i], "CREATE TABLE q(id INTEGER PRIMARY KEY, x, y%s); "
		    "SELECT crsql_as_crr('q')", i == A ? ", CHECK(x <= y)" : "");
	node_exec(&n[B], "INSERT INTO q VALUES(1, 1, 1), (3, 1, 1), (5, 1, 1), "
	    "(7, 1, 1), (9, 1, 1)");
	pull(A, B);
	pull(C, B);
	node_exec(&n[B], "UPDATE q SET x = 5 WHERE id = 5");
	pull(A, B);
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_parked");
	node_exec(&n[C], "UPDATE q SET y = 10 + id");
	assert_true(node_pull(&n[A], &n[C], &cut));
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_parked");
	node_expect(&n[A], "5\n1\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 'q' AND col_version > 1 GROUP BY db_version");
	pull(B, A);
	pull(C, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM q");
	nodes_agree(&n[A], &n[C], "SELECT * FROM q");
}

static void
r11_what_waited_is_tried_behind_the_transaction(void **state)
{
	try_behind(100000);
}

/* Its rows come in pages of their own. */
static void
r11_what_waited_is_tried_behind_the_last_page(void **state)
{
	try_behind(1);
}

#define SEQ "INSERT INTO crsql_changes(\"table\", pk, cid, val, col_version, " \
	"db_version, site_id, cl, seq) VALUES('one', crsql_pack_columns(%d), " \
	"'x', 1, 1, 5, " S1 ", 1, %s)"

static void
r22_numbers_out_of_range_are_refused(void **state)
{
	static const struct { const char *numbers; int rc; } row[] = {
		{ "9007199254740993, 1, " S1 ", 1, 0", SQLITE_TOOBIG },
		{ "4294967297, 1, " S1 ", 1, 0", SQLITE_TOOBIG },
		{ "4294967296, 1, " S1 ", 1, 0", SQLITE_OK },
		{ "1, 9223372036854775806, " S1 ", 1, 0", SQLITE_TOOBIG },
		{ "1, 5, " S1 ", 4294967299, 0", SQLITE_TOOBIG },
		{ "-1, 5, " S1 ", 1, 0", SQLITE_ERROR },
		{ "1, 5, " S1 ", -1, 0", SQLITE_OK } };
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		assert_int_equal(node_try(&n[A], "INSERT INTO crsql_changes("
		    "\"table\", pk, cid, val, col_version, db_version, "
		    "site_id, cl, seq) VALUES('r', x'010B0161', 'x', 1, %s)",
		    row[i].numbers), row[i].rc);
	node_expect(&n[A], "4294967296\n", "SELECT col_version FROM "
	    "crsql_changes");
	/* what the log keeps times 4096 */
	node_exec(&n[A], "CREATE TABLE one(id INTEGER PRIMARY KEY, x); SELECT "
	    "crsql_as_crr('one')");
	assert_int_equal(node_try(&n[A], SEQ, 1, "1125899906842624"), SQLITE_OK);
	assert_int_equal(node_try(&n[A], SEQ, 2, "1125899906842625"),
	    SQLITE_ERROR);
	node_expect(&n[A], "1125899906842624\n", "SELECT seq FROM crsql_changes "
	    "WHERE \"table\" = 'one'");
}

static void
r24_user_triggers_fire_and_are_not_captured(void **state)
{
	node_exec(&n[B], "CREATE TABLE seen(what); CREATE TABLE copy(id TEXT "
	    "PRIMARY KEY, x); SELECT crsql_as_crr('copy'); CREATE TRIGGER w "
	    "AFTER INSERT ON r BEGIN INSERT INTO seen VALUES(new.id || ' ' || "
	    "crsql_internal_sync_bit()); INSERT INTO copy VALUES(new.id, "
	    "new.x); END; CREATE TRIGGER u AFTER UPDATE ON r BEGIN INSERT "
	    "INTO seen VALUES('u ' || new.x); END; CREATE TRIGGER d AFTER "
	    "DELETE ON r BEGIN INSERT INTO seen VALUES('d ' || old.id); END");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2)");
	pull(B, A);
	node_exec(&n[A], "UPDATE r SET x = 5 WHERE id = 'a'; DELETE FROM r "
	    "WHERE id = 'b'");
	pull(B, A);
	node_expect(&n[B], "'a 1'\n'b 1'\n'u 5'\n'd b'\n",
	    "SELECT what FROM seen");
	node_expect(&n[B], "'a'|1\n'b'|2\n", "SELECT * FROM copy");
	node_expect(&n[B], "'r'\n", "SELECT DISTINCT \"table\" FROM "
	    "crsql_changes");
	node_exec(&n[B], "UPDATE copy SET x = 9 WHERE id = 'a'");
	node_expect(&n[B], "1\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 'copy' AND cid = 'x' AND val = 9");
}

/* What the trigger writes takes rowids that nobody counted. */
static void
r24_rows_of_triggers_are_in_nobodys_way(void **state)
{
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "CREATE TABLE audit(id TEXT PRIMARY KEY, x); "
		    "SELECT crsql_as_crr('audit')");
	node_exec(&n[B], "CREATE TRIGGER w AFTER INSERT ON r BEGIN INSERT INTO "
	    "audit VALUES('seen ' || new.id, new.x); END");
	for (i = 0; i < 4; i++)
		node_exec(&n[A], "INSERT INTO r(id, x) VALUES(%d, 1); INSERT INTO "
		    "audit VALUES(%d, 1)", i, i);
	node_exec(&n[A], "INSERT INTO audit(id) VALUES('seen 0')");
	pull(B, A);
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_parked");
	node_expect(&n[B], "8\n", "SELECT count(*) FROM audit");
	nodes_agree(&n[A], &n[B], "SELECT * FROM audit WHERE id < 'a' ORDER BY id");
}

static void
conflict_clauses_of_the_table_decide_nothing(void **state)
{
	static const char *const clause[] = { "REPLACE", "IGNORE", "FAIL",
		"ROLLBACK" };
	int c, i;

	for (c = 0; c < (int)(sizeof clause / sizeof *clause); c++) {
		for (i = A; i <= B; i++)
			node_exec(&n[i], "CREATE TABLE c%d(id TEXT PRIMARY KEY ON "
			    "CONFLICT %s, x, y); SELECT crsql_as_crr('c%d')", c,
			    clause[c], c);
		node_exec(&n[A], "INSERT INTO c%d VALUES('k', 'old', 'old')", c);
		node_exec(&n[B], "INSERT INTO c%d VALUES('k', 'b', 'b'); "
		    "UPDATE c%d SET x = 'new'", c, c);
		pull(B, A);
		pull(A, B);
		node_expect(&n[B], "'k'|'new'|'old'\n", "SELECT * FROM c%d", c);
		node_expect(&n[A], "'k'|'new'|'old'\n", "SELECT * FROM c%d", c);
	}
}

static void
a_trigger_that_ignores_a_row_parks_it(void **state)
{
	node_exec(&n[B], "CREATE TRIGGER w BEFORE INSERT ON r WHEN new.id = 'b' "
	    "BEGIN SELECT RAISE(IGNORE); END");
	node_exec(&n[A], "INSERT INTO r(id, x) VALUES('a', 1), ('b', 2), "
	    "('c', 3)");
	pull(B, A);
	node_expect(&n[B], "'a'\n'c'\n", "SELECT id FROM r ORDER BY id");
	node_expect(&n[B], "1\n", "SELECT count(*) FROM crsql_parked");
	node_exec(&n[B], "DROP TRIGGER w");
	node_expect(&n[B], "3\n", "SELECT crsql_unpark()");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
}

static void
r07_writes_after_finalize_go_through_the_journal(void **state)
{
	char file[NODE_FILE];
	struct node m, again;

	node_file(file);
	node_open(&m, 0, file);
	node_exec(&m, "CREATE TABLE f(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('f'); BEGIN; INSERT INTO f VALUES('a', 1); "
	    "SELECT crsql_finalize(); INSERT INTO f VALUES('b', 1); COMMIT; "
	    "INSERT INTO f VALUES('c', 1); UPDATE f SET x = 2 WHERE id = 'a'");
	node_close(&m);
	node_open(&again, 0, file);
	node_expect(&again, "'a'|2\n'b'|1\n'c'|1\n", "SELECT "
	    "(SELECT cell FROM crsql_unpack_columns(pk)), col_version FROM "
	    "crsql_changes ORDER BY 1");
	node_close(&again);
	unlink(file);
}

/* Keys end at 2^63 - 1: nothing comes after it. */
static void
the_last_rowids_are_rows_like_others(void **state)
{
	const struct mishap cut = { .max_bytes = 1, .cut_after = 1 };
	int i;

	for (i = A; i <= B; i++)
		node_exec(&n[i], "CREATE TABLE k(id INTEGER PRIMARY KEY NOT NULL, x);"
		    " SELECT crsql_as_crr('k')");
	node_exec(&n[A], "INSERT INTO k VALUES(9223372036854775805, 0), "
	    "(9223372036854775806, 1), (9223372036854775807, 2)");
	for (i = 0; i < 6; i++)
		node_pull(&n[B], &n[A], &cut);
	node_exec(&n[A], "UPDATE k SET x = 5 WHERE id > 9223372036854775805");
	node_exec(&n[A], "DELETE FROM k WHERE id = 9223372036854775805");
	pull(B, A);
	node_expect(&n[B], "5\n5\n", "SELECT x FROM k ORDER BY id");
	node_expect(&n[B], "2\n2\n", "SELECT col_version FROM crsql_changes "
	    "WHERE \"table\" = 'k' AND cid = 'x'");
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, col_version, "
	    "cl FROM crsql_changes ORDER BY pk, cid");
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(r01_each_origin_transaction_has_its_own_dbv),
		T(r01_changes_without_a_site_version_are_always_sent),
		T(r02_an_unknown_cursor_means_from_nothing),
		T(r02_cursors_inside_a_run_go_by_key),
		T(r12_each_group_has_its_own_cursor),
		T(r05_one_row_has_one_key),
		T(r05_an_untyped_key_is_shown_as_written),
		T(r07_a_merge_sees_local_writes_first),
		T(r07_writes_after_finalize_go_through_the_journal),
		T(r11_a_refused_row_is_parked_and_the_rest_goes_on),
		T(r17_a_site_of_a_step_is_known_by_its_key),
		T(r18_steps_travel_with_the_headers),
		T(r18_steps_pass_tables_that_were_not_asked_for),
		T(r18_steps_are_told_with_the_first_row),
		T(r18_steps_are_replaced_until_used),
		T(r19_resurrection_by_import_forgets),
		T(r19_resurrection_by_changes_keeps_at_version_0),
		T(equal_deletes_keep_the_greater_site),
		T(r11_what_waited_is_tried_behind_the_transaction),
		T(r11_what_waited_is_tried_behind_the_last_page),
		T(r22_numbers_out_of_range_are_refused),
		T(r24_user_triggers_fire_and_are_not_captured),
		T(r24_rows_of_triggers_are_in_nobodys_way),
		T(conflict_clauses_of_the_table_decide_nothing),
		T(the_last_rowids_are_rows_like_others),
		T(a_trigger_that_ignores_a_row_parks_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

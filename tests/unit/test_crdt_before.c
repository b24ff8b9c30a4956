// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_before.c - notes of what a merge wrote over: with the log they tell what
 * there was before, whatever came in between.
 */
#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include "crdt_nodes.h"
#include "how_many.h"
#include "temp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A, B, C, COUNT, SEEDS = 40, ROUNDS = 12 };

static struct node n[COUNT];

static int
open_all(void **state)
{
	nodes_open(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY, x, y); "
	    "CREATE TABLE i(id INTEGER PRIMARY KEY, x, y); "
	    "CREATE TABLE k(a INT, b TEXT, x, y, PRIMARY KEY(a, b)) WITHOUT ROWID; "
	    "SELECT crsql_as_crr('r'), crsql_as_crr('i'), crsql_as_crr('k')");
	return 0;
}

static int
close_all(void **state)
{
	nodes_close(n, COUNT);
	return 0;
}

/* Pulls by small pages, in transactions that keep notes. */
static void
pull(int to, int from)
{
	static const struct mishap small = { .max_bytes = 200, .noted = true };

	assert_true(node_pull(&n[to], &n[from], &small));
}

/* The same by crsql_changes, from the beginning: it is all one transaction. */
static void
pull_changes(int to, int from)
{
	sqlite3_stmt *out, *in;
	int i;

	assert_int_equal(sqlite3_prepare_v2(n[from].db, "SELECT \"table\", pk, cid, "
	    "val, col_version, db_version, site_id, cl, seq FROM crsql_changes", -1,
	    &out, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(n[to].db, "INSERT INTO crsql_changes("
	    "\"table\", pk, cid, val, col_version, db_version, site_id, cl, seq) "
	    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &in, NULL), SQLITE_OK);
	node_exec(&n[to], "BEGIN; SELECT crsql_keep_before(1)");
	while (sqlite3_step(out) == SQLITE_ROW) {
		for (i = 0; i < 9; i++)
			sqlite3_bind_value(in, i + 1, sqlite3_column_value(out, i));
		sqlite3_step(in);
		assert_int_equal(sqlite3_reset(in), SQLITE_OK);
	}
	node_exec(&n[to], "COMMIT");
	sqlite3_finalize(in);
	sqlite3_finalize(out);
}

#define NOTES "SELECT \"table\", kind, existed, cid, val FROM crsql_before "

static void
what_was_overwritten_is_noted(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 'one'), ('b', 2, x'00')");
	pull(B, A);
	node_expect(&n[B], "", NOTES);
	node_exec(&n[A], "UPDATE r SET x = 5 WHERE id = 'a'");
	pull(B, A);
	node_expect(&n[B], "'r'|'update'|1|'x'|1\n", NOTES "WHERE db_version = 2");
	node_exec(&n[A], "DELETE FROM r");
	pull(B, A);
	node_expect(&n[B], "'r'|'delete'|1|'x'|5\n'r'|'delete'|1|'y'|'one'\n"
	    "'r'|'delete'|1|'x'|2\n'r'|'delete'|1|'y'|00\n", NOTES
	    "WHERE db_version = 3");
	node_exec(&n[A], "INSERT INTO r VALUES('b', 7, 7)");
	pull(B, A);
	node_expect(&n[B], "'r'|'insert'|0|NULL|NULL\n", NOTES
	    "WHERE db_version = 4");
	node_expect(&n[B], "1\n", "SELECT count(DISTINCT pk) FROM crsql_before "
	    "WHERE pk = crsql_pack_columns('a')");
	node_well(&n[B]);
}

static void
nobody_who_does_not_ask_has_notes(void **state)
{
	static const struct mishap fine = { .max_bytes = 9999 };

	assert_int_equal(node_try(&n[B], "SELECT crsql_keep_before(1)"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n[B].db), "crsql_keep_before() is for "
	    "the rest of a transaction: begin one");
	node_expect(&n[B], "", "SELECT * FROM crsql_before");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1)");
	assert_true(node_pull(&n[B], &n[A], &fine));
	node_exec(&n[A], "UPDATE r SET x = 2");
	assert_true(node_pull(&n[B], &n[A], &fine));
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1); COMMIT");
	node_exec(&n[A], "UPDATE r SET x = 3");
	assert_true(node_pull(&n[B], &n[A], &fine));
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1); ROLLBACK");
	node_exec(&n[A], "UPDATE r SET x = 4");
	assert_true(node_pull(&n[B], &n[A], &fine));
	/* its own writes are not a merge */
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1); UPDATE r SET x = 5; "
	    "DELETE FROM r; COMMIT");
	node_expect(&n[B], "", "SELECT * FROM crsql_before");
}

/* Nor does one whose asking was undone, with the table for them. */
static void
asking_is_undone_by_a_savepoint(void **state)
{
	static const struct mishap fine = { .max_bytes = 9999 };
	struct buf plan;
	uint8_t *page;
	int64_t changes;
	int len;

	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1)");
	assert_true(node_pull(&n[B], &n[A], &fine));
	node_exec(&n[A], "UPDATE r SET x = 2");
	buf_init(&plan, 9999);
	node_plan(&n[B], n[B].cursor[n[A].index], &n[B].has, &plan);
	assert_int_equal(node_export(&n[A], &plan, NULL, 9999, &page, &len), SQLITE_OK);
	node_exec(&n[B], "BEGIN; SAVEPOINT s; SELECT crsql_keep_before(1); ROLLBACK TO s");
	assert_int_equal(node_import(&n[B], page, len, &changes), SQLITE_OK);
	node_exec(&n[B], "COMMIT");
	node_expect(&n[B], "2\n", "SELECT x FROM r");
	node_expect(&n[B], "", "SELECT * FROM crsql_before");
	sqlite3_free(page);
	buf_clear(&plan);
}

static void
a_row_that_came_within_was_not_there(void **state)
{
	node_exec(&n[A], "INSERT INTO i VALUES(1, 1, 1), (2, 2, 2)");
	pull(C, A);
	node_exec(&n[C], "UPDATE i SET x = 3, y = 3 WHERE id = 2; INSERT INTO r "
	    "VALUES('c', 1, 1)");
	pull(B, A);
	pull(B, C);             /* overwrites what came by A, whose run is a fresh row's */
	node_expect(&n[B], "'i'|'update'|1|'x'|2\n'i'|'update'|1|'y'|2\n", NOTES
	    "WHERE db_version > 1");
	node_expect(&n[B], "'i'|'update'|0|'x'|2\n'i'|'update'|0|'y'|2\n", NOTES);
	node_exec(&n[A], "UPDATE i SET x = 9 WHERE id = 2");
	pull(C, A);
	node_exec(&n[C], "UPDATE i SET x = 10 WHERE id = 2");
	pull(B, C);
	node_expect(&n[B], "1\n", "SELECT min(existed) FROM crsql_before WHERE "
	    "db_version > 3");
	node_expect(&n[B], "0\n", "SELECT max(existed) FROM crsql_before");
}

static void
cells_that_come_one_by_one_are_one_note(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 1), ('b', 2, 2); INSERT INTO k "
	    "VALUES(1, 'x', 5, 5)");
	pull_changes(B, A);
	node_expect(&n[B], "", NOTES);
	node_exec(&n[A], "UPDATE r SET x = 3, y = 4 WHERE id = 'a'; DELETE FROM r "
	    "WHERE id = 'b'; UPDATE k SET y = 6");
	pull_changes(B, A);
	node_expect(&n[B], "3\n", "SELECT count(*) FROM crsql_old");
	node_expect(&n[B], "'k'|'update'|'y'|5\n'r'|'delete'|'x'|2\n"
	    "'r'|'delete'|'y'|2\n'r'|'update'|'x'|1\n'r'|'update'|'y'|1\n",
	    "SELECT \"table\", kind, cid, val FROM crsql_before WHERE db_version > 1 "
	    "ORDER BY 1, 2, 3");
}

/* A new life that keeps the old values, and then overwrites them. */
static void
a_new_life_by_changes_notes_all(void **state)
{
	node_exec(&n[B], "INSERT INTO r VALUES('a', 1, 2)");
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1)");
	assert_int_equal(node_change(&n[B], "r", "'a'", "-1", "NULL", 3, 1, S1, 3, 0),
	    SQLITE_OK);
	assert_int_equal(node_change(&n[B], "r", "'a'", "x", "7", 1, 1, S1, 3, 1),
	    SQLITE_OK);
	node_exec(&n[B], "COMMIT");
	node_expect(&n[B], "'r'|'update'|1|'x'|1\n'r'|'update'|1|'y'|2\n", NOTES);
}

static void
what_is_refused_has_no_note(void **state)
{
	nodes_exec(n, COUNT, "CREATE TABLE c(id INTEGER PRIMARY KEY, x)");
	node_exec(&n[B], "DROP TABLE c; CREATE TABLE c(id INTEGER PRIMARY KEY, "
	    "x CHECK(x < 5))");
	nodes_exec(n, COUNT, "SELECT crsql_as_crr('c')");
	node_exec(&n[A], "INSERT INTO c VALUES(1, 1)");
	pull(B, A);
	node_exec(&n[A], "UPDATE c SET x = 7");
	pull(B, A);
	node_expect(&n[B], "1|1\n", "SELECT x, (SELECT count(*) FROM crsql_parked) "
	    "FROM c");
	node_expect(&n[B], "", NOTES);
}

static void
what_is_too_large_is_said_to_be(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', zeroblob(17000000), 1)");
	pull(B, A);
	node_exec(&n[A], "UPDATE r SET x = 1, y = 2");
	pull(B, A);
	node_expect(&n[B], "'r'|'large'|1|NULL|NULL\n", NOTES "WHERE db_version = 2");
	node_expect(&n[B], "'r'|'large'|0|NULL|NULL\n", NOTES
	    "WHERE db_version BETWEEN 1 AND 2");
}

static void
columns_and_tables_may_go(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2); INSERT INTO i VALUES(1, 2, "
	    "3)");
	pull(B, A);
	node_exec(&n[A], "UPDATE r SET x = 3, y = 4; DELETE FROM i");
	pull(B, A);
	node_exec(&n[B], "ALTER TABLE r RENAME COLUMN x TO z");
	node_expect(&n[B], "'r'|'z'|1\n'r'|'y'|2\n", "SELECT \"table\", cid, val FROM "
	    "crsql_before WHERE \"table\" = 'r'");
	node_exec(&n[B], "SELECT crsql_begin_alter('r'); ALTER TABLE r DROP COLUMN z; "
	    "SELECT crsql_commit_alter('r'); SELECT crsql_as_table('i')");
	node_expect(&n[B], "'r'|'y'|2\n", "SELECT \"table\", cid, val FROM "
	    "crsql_before");
}

static void
notes_are_forgotten_the_oldest_first(void **state)
{
	int i;

	node_expect(&n[B], "0\n", "SELECT crsql_forget_before(99)");
	node_exec(&n[A], "INSERT INTO i VALUES(1, 0, 0)");
	pull(B, A);
	for (i = 1; i <= 5; i++) {
		node_exec(&n[A], "UPDATE i SET x = %d", i);
		pull(B, A);
	}
	node_expect(&n[B], "0\n1\n2\n3\n4\n", "SELECT val FROM crsql_before");
	node_expect(&n[B], "2\n", "SELECT crsql_forget_before(3)");
	node_expect(&n[B], "2\n3\n4\n", "SELECT val FROM crsql_before");
	node_expect(&n[B], "1\n", "SELECT crsql_forget_before(99, 1)");
	node_expect(&n[B], "3\n4\n", "SELECT val FROM crsql_before");
	node_expect(&n[B], "0\n", "SELECT crsql_forget_before(NULL)");
}

static void
a_savepoint_takes_notes_back(void **state)
{
	node_exec(&n[B], "INSERT INTO r VALUES('a', 1, 2), ('b', 1, 2)");
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1)");
	assert_int_equal(node_change(&n[B], "r", "'a'", "x", "7", 2, 2, S1, 1, 0), 0);
	node_exec(&n[B], "SAVEPOINT s");
	assert_int_equal(node_change(&n[B], "r", "'a'", "y", "7", 2, 9, S1, 1, 0), 0);
	node_exec(&n[B], "ROLLBACK TO s");
	assert_int_equal(node_change(&n[B], "r", "'b'", "y", "8", 2, 2, S1, 1, 0), 0);
	node_expect(&n[B], "1\n", "SELECT crsql_keep_before(1) > 0");
	node_exec(&n[B], "COMMIT");
	node_expect(&n[B], "2|0|'x'|1\n2|1|'y'|2\n", "SELECT db_version, place, cid, "
	    "val FROM crsql_before");
}

/* -- notes that stand together -------------------------------------------------------- */

enum { MANY = 1000 };

static int64_t
ask(struct node *w, const char *sql)
{
	char *rows = node_rows(w, "%s", sql);
	int64_t v = strtoll(rows, NULL, 10);

	sqlite3_free(rows);
	return v;
}

static void
pull_many(int to, int from)
{
	static const struct mishap large = { .max_bytes = 1 << 20, .noted = true };

	assert_true(node_pull(&n[to], &n[from], &large));
}

/* A row of each table for every number up to MANY; all but a few are small. */
static void
update_many(void)
{
	node_exec(&n[A], "WITH RECURSIVE c(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM "
	    "c WHERE v < %d) INSERT INTO i SELECT v, v, iif(v %% 300 = 0, "
	    "zeroblob(9000), 0) FROM c; INSERT INTO r SELECT id, x, y FROM i; "
	    "INSERT INTO k SELECT id, 'b', x, y FROM i", MANY);
	pull_many(B, A);
	node_exec(&n[A], "BEGIN; UPDATE i SET x = -1, y = -1; UPDATE r SET x = -1, "
	    "y = -1; DELETE FROM k; COMMIT");
	pull_many(B, A);
}

static void
many_notes_stand_together(void **state)
{
	update_many();
	node_expect(&n[B], "1\n", "SELECT count(*) < 60 FROM crsql_old");
	/* the large ones alone, as all were once */
	node_expect(&n[B], "9\n", "SELECT count(*) FROM crsql_old WHERE tbl > 0");
	node_expect(&n[B], "3000|0|2999\n", "SELECT count(DISTINCT place), "
	    "min(place), max(place) FROM crsql_before");
	node_expect(&n[B], "3000\n", "SELECT count(*) FROM crsql_before WHERE cid = "
	    "'x' AND pk = CASE \"table\" WHEN 'i' THEN crsql_pack_columns(val) "
	    "WHEN 'r' THEN crsql_pack_columns(CAST(val AS TEXT)) ELSE "
	    "crsql_pack_columns(val, 'b') END");
	node_expect(&n[B], "2991|81000\n", "SELECT sum(val IS 0), sum(length(val)) - "
	    "2991 FROM crsql_before WHERE cid = 'y'");
	/* a table that is gone takes its own along only */
	node_exec(&n[B], "SELECT crsql_as_table('r')");
	node_expect(&n[B], "2000\n", "SELECT count(DISTINCT place) FROM crsql_before");
	node_well(&n[B]);
}

/* As a whole where they stand in one row. */
static void
those_that_stand_together_go_together(void **state)
{
	int64_t gone;

	update_many();
	node_expect(&n[B], "0\n", "SELECT crsql_forget_before(99, 0)");
	gone = ask(&n[B], "SELECT crsql_forget_before(99, 10)");
	assert_in_range(gone, 10, 300);
	node_expect(&n[B], "1\n", "SELECT count(DISTINCT place) + %d = 3000 AND "
	    "min(place) = %d FROM crsql_before", (int)gone, (int)gone);
	node_expect(&n[B], "1\n", "SELECT crsql_forget_before(99) + %d = 3000",
	    (int)gone);
	node_expect(&n[B], "", NOTES);
}

/* Only notes of one that is rolled back go, whatever waited of others. */
static void
a_savepoint_takes_back_what_waits(void **state)
{
	int i;

	node_exec(&n[B], "INSERT INTO i VALUES(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, "
	    "0)");
	node_exec(&n[B], "BEGIN; SELECT crsql_keep_before(1)");
	for (i = 1; i <= 4; i++) {
		if (i == 3)
			node_exec(&n[B], "SAVEPOINT s");
		assert_int_equal(node_change(&n[B], "i", i == 1 ? "1" : i == 2 ? "2" :
		    i == 3 ? "3" : "4", "x", "7", 2, 2, S1, 1, i), SQLITE_OK);
	}
	node_exec(&n[B], "ROLLBACK TO s; COMMIT");
	node_expect(&n[B], "'update'|'x'|0\n'update'|'x'|0\n", "SELECT kind, cid, val "
	    "FROM crsql_before ORDER BY place");
	node_expect(&n[B], "7\n7\n0\n0\n", "SELECT x FROM i");
}

/* A file may be damaged: no byte of a note may lead a reader astray. */
static void
damaged_notes_are_told(void **state)
{
	static const char *const ways[] = { "m = substr(m, 1, length(m) - 1)", "m = x''",
		"m = m || x'00'", "tbl = tbl - 1", "tbl = tbl + 1", "tbl = -9e15",
		"tbl = -9223372036854775807 - 1", "m = x'0105'" };
	int64_t len;
	size_t i;

	update_many();
	node_exec(&n[B], "CREATE TABLE copy AS SELECT * FROM crsql_old WHERE tbl = -256 "
	    "LIMIT 1; DELETE FROM crsql_old; INSERT INTO crsql_old SELECT * FROM copy");
	for (i = 0; i < sizeof ways / sizeof *ways; i++) {
		node_exec(&n[B], "UPDATE crsql_old SET %s", ways[i]);
		assert_int_equal(node_try(&n[B], "SELECT count(val) FROM crsql_before"),
		    SQLITE_CORRUPT);
		node_exec(&n[B], "DELETE FROM crsql_old; INSERT INTO crsql_old SELECT * "
		    "FROM copy");
	}
	len = ask(&n[B], "SELECT length(m) FROM crsql_old");
	for (i = 0; i < (size_t)len; i++) {
		if (is_left_out())
			continue;
		node_exec(&n[B], "UPDATE crsql_old SET m = substr(m, 1, %d) || x'%02x' "
		    "|| substr(m, %d)", (int)i, i % 2 ? 0xFF : 0x80, (int)i + 2);
		node_try(&n[B], "SELECT sum(length(val)), sum(length(pk)) FROM "
		    "crsql_before");
		node_exec(&n[B], "DELETE FROM crsql_old; INSERT INTO crsql_old SELECT * "
		    "FROM copy");
	}
}

/* -- against what there really was ---------------------------------------------------- */

static int
chance(int of)
{
	return rand() % of;
}

static void
write_something(struct node *w)
{
	static const char *const table[] = { "r", "i", "k" };
	int key = chance(8) + 1, t = chance(3);
	const char *is = t == 2 ? "a" : "id";

	switch (chance(6)) {
	case 0:
	case 1:
		node_try(w, t == 2 ? "INSERT INTO k VALUES(%d, 'x', %d, 1)" :
		    t == 1 ? "INSERT INTO i VALUES(%d, %d, 1)" :
		    "INSERT INTO r VALUES(%d, %d, 1)", key, chance(99));
		break;
	case 2:
		node_exec(w, "DELETE FROM %s WHERE %s = %d", table[t], is, key);
		break;
	case 3:
		node_exec(w, "UPDATE %s SET x = %d, y = %d WHERE %s = %d", table[t],
		    chance(99), chance(99), is, key);
		break;
	default:
		node_exec(w, "UPDATE %s SET %s = %d WHERE %s < %d", table[t],
		    chance(2) ? "x" : "y", chance(99), is, key);
	}
}

/* All rows, as key, column, value. */
#define ALL "SELECT 'r' AS t, crsql_pack_columns(id) AS pk, 'x' AS c, x AS v FROM r " \
	"UNION ALL SELECT 'r', crsql_pack_columns(id), 'y', y FROM r UNION ALL " \
	"SELECT 'i', crsql_pack_columns(id), 'x', x FROM i UNION ALL SELECT 'i', " \
	"crsql_pack_columns(id), 'y', y FROM i UNION ALL SELECT 'k', " \
	"crsql_pack_columns(a, b), 'x', x FROM k UNION ALL SELECT 'k', " \
	"crsql_pack_columns(a, b), 'y', y FROM k"

/* What notes and log say was there, of all that is here or noted: values noted
 * first, and for what has no note those of now, unless they came since. */
#define BEFORE(since) "WITH now AS (" ALL "), note AS (SELECT * FROM crsql_before " \
	"WHERE db_version > " since "), fresh(t, pk) AS (SELECT \"table\", pk FROM " \
	"note WHERE existed = 0 AND NOT EXISTS(SELECT 1 FROM note e WHERE e.pk = " \
	"note.pk AND e.\"table\" = note.\"table\" AND (e.db_version, e.place) < " \
	"(note.db_version, note.place) AND e.existed) UNION SELECT \"table\", " \
	"canonical FROM crsql_history h WHERE db_version > " since " AND NOT EXISTS(" \
	"SELECT 1 FROM note WHERE pk = h.canonical AND \"table\" = h.\"table\")), " \
	"old(t, pk, c, v, n) AS (SELECT \"table\", pk, cid, val, row_number() " \
	"OVER (PARTITION BY \"table\", pk, cid ORDER BY db_version, place) FROM note " \
	"WHERE cid IS NOT NULL) SELECT t, pk, c, v FROM old WHERE n = 1 AND (t, pk) " \
	"NOT IN fresh UNION SELECT t, pk, c, v FROM now WHERE (t, pk) NOT IN fresh " \
	"AND (t, pk, c) NOT IN (SELECT t, pk, c FROM old)"

static void
check_before(struct node *w, const char *was, const char *since, int seed)
{
	char *got = node_rows(w, "SELECT * FROM (" BEFORE("%s") ") ORDER BY 1, 2, 3",
	    since, since);

	if (strcmp(got, was) != 0)
		fail_msg("seed %d: there was\n%s, not\n%s", seed, was, got);
	sqlite3_free(got);
}

static void
notes_and_log_tell_what_there_was(void **state)
{
	int seed, i, who, to, from, all = how_many("SEEDS", SEEDS);
	char *was, *since;

	for (seed = 1; seed <= all; seed++) {
		srand((unsigned)seed);
		close_all(NULL);
		open_all(NULL);
		for (i = 0; i < ROUNDS; i++) {
			for (who = 0; who < COUNT; who++)
				while (chance(3) > 0)
					write_something(&n[who]);
			to = chance(COUNT);
			from = (to + 1 + chance(COUNT - 1)) % COUNT;
			node_exec(&n[to], "SELECT crsql_fold()");
			was = node_rows(&n[to], "SELECT * FROM (" ALL ") ORDER BY 1, 2, "
			    "3");
			since = node_rows(&n[to], "SELECT crsql_db_version()");
			if (chance(3) == 0)
				pull_changes(to, from);
			else
				pull(to, from);
			check_before(&n[to], was, since, seed);
			node_well(&n[to]);
			sqlite3_free(was);
			sqlite3_free(since);
		}
	}
}

/* -- how old values come ------------------------------------------------------------ */

static void
other_hook(void *self, sqlite3 *db, int op, const char *schema, const char *name,
    sqlite3_int64 old_key, sqlite3_int64 key)
{
}

#define MANY "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE " \
	"v < 40) "

/* All in one page. */
static void
pull_large(int to, int from)
{
	static const struct mishap large = { .max_bytes = 100000, .noted = true };

	assert_true(node_pull(&n[to], &n[from], &large));
}

static void
change_many(void)
{
	int i;

	node_exec(&n[A], "INSERT INTO r " MANY "SELECT 'k' || v, v, 'text' || v FROM s; "
	    "INSERT INTO i " MANY "SELECT v, v / 2.0, zeroblob(v) FROM s");
	for (i = 0; i < COUNT; i++) {
		if (i != A)
			pull_large(i, A);
		node_exec(&n[i], "SELECT crsql_begin_alter('r'); ALTER TABLE r ADD COLUMN z "
		    "DEFAULT 'preset'; SELECT crsql_commit_alter('r')");
	}
	node_exec(&n[A], "UPDATE r SET z = NULL WHERE x %% 5 = 0; UPDATE r SET x = -x, "
	    "z = 1 WHERE x %% 3 = 0; UPDATE i SET y = NULL WHERE id %% 4 = 0; DELETE FROM r "
	    "WHERE x %% 2 = 0; DELETE FROM i WHERE id %% 3 = 1; INSERT INTO k VALUES(1, 'k', "
	    "2, 3); UPDATE i SET x = 'new' WHERE id > 30; DELETE FROM r WHERE x < 0");
}

#define ALL_NOTES "SELECT \"table\", hex(pk), kind, existed, cid, quote(val) FROM " \
	"crsql_before ORDER BY 1, 2, 3, 5"

/* B has its values from the hook, and C reads them. */
static void
so_where_another_hook_is_in_the_way(void **state)
{
	change_many();
	sqlite3_preupdate_hook(n[C].db, other_hook, NULL);
	pull_large(B, A);
	pull_large(C, A);
	nodes_agree(&n[B], &n[C], ALL_NOTES);
	node_expect(&n[B], "'preset'\n", "SELECT DISTINCT val FROM crsql_before "
	    "WHERE \"table\" = 'r' AND cid = 'z' AND kind = 'delete'");
	node_well(&n[B]);
}

/* SQLite may take the type of an old value from a column that stands elsewhere. */
static void
columns_behind_a_generated_one(void **state)
{
	int i;

	for (i = 0; i < COUNT; i++)
		node_exec(&n[i], "CREATE TABLE g(id INTEGER PRIMARY KEY, v AS (a) "
		    "VIRTUAL, a REAL, b INTEGER, w AS (b) VIRTUAL, c REAL, d); "
		    "SELECT crsql_as_crr('g')");
	node_exec(&n[A], "INSERT INTO g(id, a, b, c, d) " MANY "SELECT v, v, v + "
	    "9007199254740992, v, v + 9007199254740992 FROM s");
	for (i = B; i < COUNT; i++)
		pull_large(i, A);
	node_exec(&n[A], "UPDATE g SET a = a + 1, b = b + 1, c = c + 1, d = d + 1");
	sqlite3_preupdate_hook(n[C].db, other_hook, NULL);
	pull_large(B, A);
	pull_large(C, A);
	nodes_agree(&n[B], &n[C], ALL_NOTES);
	node_expect(&n[B], "160\n", "SELECT count(*) FROM crsql_before");
}

/* The rows are shorter than the table, and none is older than its column. */
static void
columns_added_before_it_was_replicated(void **state)
{
	int i;

	for (i = 0; i < COUNT; i++)
		node_exec(&n[i], "CREATE TABLE g(id INTEGER PRIMARY KEY, x); "
		    "INSERT INTO g " MANY "SELECT v, v FROM s; ALTER TABLE g ADD "
		    "COLUMN y DEFAULT 'preset'; SELECT crsql_as_crr('g')");
	for (i = B; i < COUNT; i++)
		pull_large(i, A);
	node_exec(&n[A], "UPDATE g SET y = NULL WHERE id %% 2; UPDATE g SET y = 'new' "
	    "WHERE id %% 2 = 0; DELETE FROM g WHERE id > 30");
	sqlite3_preupdate_hook(n[C].db, other_hook, NULL);
	pull_large(B, A);
	pull_large(C, A);
	nodes_agree(&n[B], &n[C], ALL_NOTES);
	nodes_agree(&n[A], &n[B], "SELECT id, x, y FROM g");
	node_expect(&n[B], "'preset'|40\n", "SELECT val, count(*) FROM crsql_before "
	    "WHERE cid = 'y'");
}

static void
open_encoded(struct node *node, int index, const char *encoding, const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	*node = (struct node){ .db = db };
	node_exec(node, "PRAGMA encoding = '%s'; CREATE TABLE v(id INTEGER PRIMARY KEY, "
	    "x, y REAL)", encoding);
	sqlite3_close(db);
	node_open(node, index, path);
	node_exec(node, "PRAGMA journal_mode = memory; SELECT crsql_as_crr('v')");
}

/* Numbers of every length, what is no text, what is empty: the first row that comes is
 * read, of all others the hook tells. */
static void
overwrite_edges(const char *encoding)
{
	char path[COUNT][TEMP_MAX];
	int i, file;

	nodes_close(n, COUNT);
	for (i = 0; i < COUNT; i++) {
		temp_name(path[i], "before");
		file = mkstemp(path[i]);
		assert_true(file >= 0);
		close(file);
		open_encoded(&n[i], i, encoding, path[i]);
	}
	node_exec(&n[A], "INSERT INTO v(x, y) VALUES(1, 1)");
	for (i = 0; i < 64; i += 7)
		node_exec(&n[A], "INSERT INTO v(x, y) VALUES(1 << %d, 1 << %d), "
		    "((1 << %d) - 1, -(1 << %d)), (-(1 << %d), 1e%d)", i, i, i, i, i, i);
	node_exec(&n[A], "INSERT INTO v(x, y) VALUES(9223372036854775807, "
	    "9223372036854775807), (-9223372036854775807 - 1, -0.0), (-0.0, 9e999), "
	    "(-9e999, 4.9e-324), (0.1, NULL), (NULL, 'text'), ('', x''), (x'', ''), "
	    "('a' || char(0) || 'b', 1), (char(0), 1), (zeroblob(300), 1), (x'00', 1), "
	    "('\xc3\x9f\xf0\x9f\x98\x80', 1), (CAST(zeroblob(255) AS TEXT), 1), "
	    "(printf('%%.*c', 256, 'x'), 1), (randomblob(70000), 1)");
	pull_large(B, A);
	node_expect(&n[B], "1\n", "SELECT encoding = '%s' FROM pragma_encoding", encoding);
	node_exec(&n[B], "CREATE TABLE was AS SELECT * FROM v");
	node_exec(&n[A], "UPDATE v SET x = 'new', y = id + 0.25");
	pull_large(B, A);
	node_expect(&n[B], "47\n47\n", "SELECT count(*) FROM was UNION ALL SELECT "
	    "count(DISTINCT pk) FROM crsql_before");
	node_expect(&n[B], "", "SELECT id, quote(x), quote(y) FROM was WHERE NOT EXISTS("
	    "SELECT 1 FROM crsql_before WHERE pk = crsql_pack_columns(id) AND cid = 'x' "
	    "AND val IS x AND quote(val) = quote(x) AND typeof(val) = typeof(x) AND "
	    "CAST(val AS BLOB) IS CAST(x AS BLOB)) OR NOT EXISTS(SELECT 1 FROM "
	    "crsql_before WHERE pk = crsql_pack_columns(id) AND cid = 'y' AND val IS y "
	    "AND quote(val) = quote(y) AND typeof(val) = typeof(y))");
	for (i = 0; i < COUNT; i++)
		unlink(path[i]);
}

static void
values_of_every_kind_are_noted_as_they_were(void **state)
{
	overwrite_edges("UTF-8");
	overwrite_edges("UTF-16le");
	overwrite_edges("UTF-16be");
}

static void
take_hook(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	sqlite3_preupdate_hook(sqlite3_context_db_handle(ctx), other_hook, NULL);
}

/* Nothing is merged without its note. */
static void
a_hook_that_is_taken_in_the_midst(void **state)
{
	static const struct mishap large = { .max_bytes = 100000, .noted = true,
	    .may_refuse = true };

	change_many();
	assert_int_equal(sqlite3_create_function(n[B].db, "take_hook", 0, SQLITE_UTF8,
	    NULL, take_hook, NULL, NULL), SQLITE_OK);
	node_exec(&n[B], "CREATE TRIGGER taking AFTER UPDATE ON r BEGIN SELECT "
	    "take_hook(); END");
	assert_false(node_pull(&n[B], &n[A], &large));
	node_expect(&n[B], "", "SELECT * FROM crsql_before");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM r WHERE x < 0");
	node_exec(&n[B], "DROP TRIGGER taking");
	sqlite3_preupdate_hook(n[C].db, other_hook, NULL);
	pull_large(B, A);
	pull_large(C, A);
	nodes_agree(&n[B], &n[C], ALL_NOTES);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(what_was_overwritten_is_noted),
		EACH(nobody_who_does_not_ask_has_notes),
		EACH(asking_is_undone_by_a_savepoint),
		EACH(a_row_that_came_within_was_not_there),
		EACH(cells_that_come_one_by_one_are_one_note),
		EACH(a_new_life_by_changes_notes_all),
		EACH(so_where_another_hook_is_in_the_way),
		EACH(columns_behind_a_generated_one),
		EACH(columns_added_before_it_was_replicated),
		EACH(values_of_every_kind_are_noted_as_they_were),
		EACH(a_hook_that_is_taken_in_the_midst),
		EACH(what_is_refused_has_no_note),
		EACH(what_is_too_large_is_said_to_be),
		EACH(columns_and_tables_may_go),
		EACH(notes_are_forgotten_the_oldest_first),
		EACH(a_savepoint_takes_notes_back),
		EACH(many_notes_stand_together),
		EACH(those_that_stand_together_go_together),
		EACH(a_savepoint_takes_back_what_waits),
		EACH(damaged_notes_are_told),
		EACH(notes_and_log_tell_what_there_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

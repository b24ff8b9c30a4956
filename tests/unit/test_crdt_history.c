// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_history.c - what crsql_transactions, crsql_transaction_tables and
 * crsql_history tell of the log, beside what is known otherwise.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { A, B, COUNT, ROUNDS = 24, SEED = 7 };

static struct node n[COUNT];
static const struct mishap fine = { .max_bytes = 200 };

static int
open_all(void **state)
{
	nodes_open(n, COUNT, "CREATE TABLE r(id TEXT PRIMARY KEY, x, y); "
	    "CREATE TABLE i(id INTEGER PRIMARY KEY, v); "
	    "CREATE TABLE k(a INT, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID; "
	    "SELECT crsql_as_crr('r'), crsql_as_crr('i'), crsql_as_crr('k')");
	return 0;
}

static int
close_all(void **state)
{
	nodes_close(n, COUNT);
	return 0;
}

static void
pull(int to, int from)
{
	assert_true(node_pull(&n[to], &n[from], &fine));
}

/* -- headers ------------------------------------------------------------------------ */

static void
transactions_come_newest_first(void **state)
{
	node_expect(&n[A], "", "SELECT * FROM crsql_transactions");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2); INSERT INTO i "
	    "VALUES(1, 2); DELETE FROM i");
	node_expect(&n[A], "3\n2\n1\n", "SELECT db_version FROM "
	    "crsql_transactions");
	node_expect(&n[A], "1\n2\n3\n", "SELECT db_version FROM crsql_transactions "
	    "ORDER BY db_version");
	node_expect(&n[A], "2\n", "SELECT db_version FROM crsql_transactions WHERE "
	    "db_version < 3 LIMIT 1");
	node_expect(&n[A], "2\n3\n", "SELECT db_version FROM crsql_transactions "
	    "WHERE db_version BETWEEN 2 AND 7 ORDER BY db_version");
	node_expect(&n[A], "", "SELECT db_version FROM crsql_transactions WHERE "
	    "db_version > 3");
	node_expect(&n[A], "1|1|1|1\n", "SELECT count(DISTINCT site_id), "
	    "max(site_id) = crsql_site_id(), sum(site_version = db_version) = 3, "
	    "sum(abs(time - 1000 * strftime('%%s')) < 60000) = 3 FROM "
	    "crsql_transactions");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_transactions WHERE "
	    "token IS NOT crsql_token(site_id, site_version)");
}

static void
a_transaction_keeps_its_author_and_number(void **state)
{
	char *want, *site;

	node_exec(&n[B], "INSERT INTO i VALUES(9, 9)");
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2); UPDATE r SET x = 3");
	pull(B, A);
	node_expect(&n[B], "3|2\n2|1\n1|1\n", "SELECT db_version, site_version "
	    "FROM crsql_transactions");
	node_expect(&n[B], "2|1\n", "SELECT db_version, site_version = 1 FROM "
	    "crsql_transactions WHERE site_version = 1 AND site_id <> "
	    "crsql_site_id()");
	node_expect(&n[B], "1\n2\n", "SELECT db_version FROM crsql_transactions "
	    "WHERE site_version = 1 ORDER BY db_version");
	want = node_rows(&n[A], "SELECT time, token, site_id FROM "
	    "crsql_transactions");
	site = node_rows(&n[B], "SELECT time, token, site_id FROM "
	    "crsql_transactions WHERE db_version > 1");
	assert_string_equal(site, want);
	sqlite3_free(want);
	sqlite3_free(site);
}

/* -- counts ------------------------------------------------------------------------ */

#define TALLY "SELECT \"table\", inserted, changed, deleted FROM " \
	"crsql_transaction_tables WHERE db_version = "

static void
rows_are_counted_by_what_happened(void **state)
{
	node_exec(&n[A], "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 "
	    "FROM c WHERE x < 50) INSERT INTO i SELECT x, x FROM c");
	node_exec(&n[A], "BEGIN; INSERT INTO r VALUES('a', 1, 2); INSERT INTO r "
	    "VALUES('b', 1, 2); UPDATE i SET v = 0 WHERE id > 45; DELETE FROM i "
	    "WHERE id < 3; INSERT INTO k VALUES(1, 'x'); COMMIT");
	node_exec(&n[A], "DELETE FROM r WHERE id = 'a'; INSERT INTO r "
	    "VALUES('a', 5, 6)");
	node_expect(&n[A], "'i'|50|0|0\n", TALLY "1");
	node_expect(&n[A], "'i'|0|5|2\n'k'|1|0|0\n'r'|2|0|0\n", TALLY "2 ORDER BY 1");
	node_expect(&n[A], "'i'|0|5|2\n", TALLY "2 AND \"table\" = 'i'");
	node_expect(&n[A], "", TALLY "2 AND \"table\" = 'no'");
	node_expect(&n[A], "'r'|1|0|0\n", TALLY "4");
	node_expect(&n[A], "", TALLY "77");
	/* of what comes, only what is current there is known */
	node_exec(&n[A], "UPDATE r SET x = 9 WHERE id = 'b'");
	pull(B, A);
	node_expect(&n[B], "1|'i'|43|0|0\n2|'i'|0|5|2\n2|'k'|1|0|0\n2|'r'|1|0|0\n"
	    "3|'r'|1|0|0\n4|'r'|0|1|0\n", "SELECT t.db_version, \"table\", "
	    "inserted, changed, deleted FROM crsql_transactions AS t JOIN "
	    "crsql_transaction_tables AS c ON c.db_version = t.db_version "
	    "ORDER BY 1, 2");
}

static void
one_transaction_has_to_be_named(void **state)
{
	assert_int_equal(node_try(&n[A], "SELECT * FROM crsql_transaction_tables"),
	    SQLITE_ERROR);
}

/* -- values ------------------------------------------------------------------------ */

#define VALUES "SELECT kind, cid, val, col_version FROM crsql_history "

static void
a_row_is_told_by_its_key(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', '0012', 2.0), ('b', 3, 4); "
	    "UPDATE r SET y = x'00ff' WHERE id = 'a'; DELETE FROM r WHERE id = 'b'; "
	    "INSERT INTO i VALUES(5, NULL); INSERT INTO k VALUES(1, 'x')");
	node_expect(&n[A], "'insert'|'x'|'0012'|1|1\n'update'|'y'|00ff|2|2\n",
	    "SELECT kind, cid, val, col_version, db_version FROM crsql_history "
	    "WHERE \"table\" = 'r' AND pk = crsql_pack_columns('a')");
	node_expect(&n[A], "'delete'|NULL|NULL|2\n", VALUES
	    "WHERE \"table\" = 'r' AND pk = crsql_pack_columns('b')");
	/* as the table's columns take it */
	node_expect(&n[A], "'insert'|'v'|NULL|1\n", VALUES
	    "WHERE \"table\" = 'i' AND pk = crsql_pack_columns('5')");
	node_expect(&n[A], "'insert'|NULL|NULL|1\n", VALUES
	    "WHERE \"table\" = 'k' AND pk = crsql_pack_columns(1.0, 'x')");
	node_expect(&n[A], "", VALUES
	    "WHERE \"table\" = 'r' AND pk = crsql_pack_columns('c')");
	node_expect(&n[A], "", VALUES "WHERE \"table\" = 'r' AND pk = x'0107'");
	node_expect(&n[A], "", VALUES "WHERE \"table\" = 'r' AND pk IS NULL");
	node_expect(&n[A], "", VALUES
	    "WHERE \"table\" = 'k' AND pk = crsql_pack_columns(1)");
	node_expect(&n[A], "", VALUES
	    "WHERE \"table\" = 'no' AND pk = crsql_pack_columns(1)");
	/* SQLite may keep rows in between: values stay what they are */
	node_expect(&n[A], "'text'\n", "WITH h AS MATERIALIZED (SELECT * FROM "
	    "crsql_history) SELECT typeof(val) FROM h WHERE val = '0012'");
}

static void
a_column_that_came_later_is_set_by_who_writes_it(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2); ALTER TABLE r ADD COLUMN "
	    "z DEFAULT 7; INSERT INTO r VALUES('b', 1, 2, 3)");
	node_expect(&n[A], "'x'|1\n'y'|1\n", "SELECT cid, db_version FROM "
	    "crsql_history WHERE \"table\" = 'r' AND pk = crsql_pack_columns('a')");
	node_exec(&n[A], "UPDATE r SET z = 8");
	node_expect(&n[A], "'x'|'insert'\n'y'|'insert'\n'z'|'update'\n",
	    "SELECT cid, kind FROM crsql_history WHERE \"table\" = 'r' AND pk = "
	    "crsql_pack_columns('a')");
}

static void
a_cursor_of_no_place_is_refused(void **state)
{
	node_exec(&n[A], "INSERT INTO r VALUES('a', 1, 2)");
	node_exec(&n[B], "INSERT INTO r VALUES('b', 1, 2)");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_history WHERE "
	    "after = NULL");
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_history WHERE "
	    "after = zeroblob(40)");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_history WHERE "
	    "after = crsql_head()");
	assert_int_equal(node_try(&n[A], "SELECT * FROM crsql_history WHERE after = "
	    "x'00'"), SQLITE_NOTFOUND);
	assert_int_equal(node_try(&n[A], "SELECT * FROM crsql_history WHERE after = "
	    "randomblob(40)"), SQLITE_NOTFOUND);
	assert_int_equal(node_try(&n[A], "SELECT * FROM crsql_history WHERE after = "
	    "'text'"), SQLITE_NOTFOUND);
}

/* -- random histories --------------------------------------------------------------- */

static unsigned
chance(unsigned limit)
{
	return (unsigned)rand() % limit;
}

static void
write_something(struct node *w)
{
	switch (chance(8)) {
	case 0:
	case 1:
		node_exec(w, "INSERT OR REPLACE INTO r VALUES('%u', %u, 'x')", chance(9),
		    chance(99));
		break;
	case 2:
		node_exec(w, "INSERT OR IGNORE INTO i SELECT value, 1 FROM "
		    "json_each('[%u,%u,%u]')", chance(20), chance(20), chance(20));
		break;
	case 3:
		node_exec(w, "UPDATE r SET y = %u WHERE id > '%u'", chance(99),
		    chance(9));
		break;
	case 4:
		node_exec(w, "UPDATE i SET v = v + 1 WHERE id < %u", chance(20));
		break;
	case 5:
		node_exec(w, "DELETE FROM r WHERE id = '%u'; DELETE FROM i WHERE "
		    "id = %u", chance(9), chance(20));
		break;
	case 6:
		node_exec(w, "INSERT OR IGNORE INTO k VALUES(%u, 'b'), (%u, 'c'); "
		    "DELETE FROM k WHERE a = %u", chance(9), chance(9), chance(9));
		break;
	default:
		node_exec(w, "UPDATE OR IGNORE r SET id = id || 'n' WHERE id = '%u'",
		    chance(9));
		break;
	}
}

#define HISTORY "SELECT \"table\", pk, coalesce(cid, '-1'), val, col_version, " \
	"db_version, site_id, cl, seq, site_version FROM crsql_history"
#define CHANGES "SELECT \"table\", pk, cid, val, col_version, " \
	"db_version, site_id, cl, seq, sver FROM crsql_changes"

static void
check_history(struct node *h)
{
	node_expect(h, "", CHANGES " EXCEPT " HISTORY);
	node_expect(h, "", HISTORY " EXCEPT " CHANGES);
	node_expect(h, "1\n", "SELECT (SELECT count(*) FROM crsql_history) = "
	    "(SELECT count(*) FROM crsql_changes)");
	/* each row by its key */
	node_expect(h, "", "SELECT \"table\", pk, db_version FROM (SELECT DISTINCT "
	    "\"table\", pk, db_version FROM crsql_changes) AS r WHERE (SELECT "
	    "count(*) FROM crsql_changes AS c WHERE c.\"table\" = r.\"table\" AND "
	    "c.pk = r.pk AND c.db_version = r.db_version) <> (SELECT count(*) FROM "
	    "crsql_history AS h WHERE h.\"table\" = r.\"table\" AND h.pk = r.pk AND "
	    "h.db_version = r.db_version)");
	/* going on behind each row */
	node_expect(h, "", "WITH h AS MATERIALIZED (SELECT cursor, row_number() "
	    "OVER () AS n FROM crsql_history), e AS (SELECT cursor, max(n) AS n, "
	    "count(*) AS k FROM h GROUP BY cursor) SELECT e.n FROM e WHERE (SELECT "
	    "count(*) FROM crsql_history WHERE after = e.cursor) <> (SELECT max(n) "
	    "FROM h) - e.n");
	/* one cursor is of one row */
	node_expect(h, "", "SELECT cursor FROM crsql_history GROUP BY cursor HAVING "
	    "count(DISTINCT \"table\" || hex(pk) || kind || db_version) > 1");
	/* transaction by transaction, each with its time */
	node_expect(h, "", "SELECT t.db_version FROM crsql_transactions AS t JOIN "
	    "crsql_history AS h ON h.db_version = t.db_version WHERE h.time <> "
	    "t.time OR h.site_id <> t.site_id OR h.site_version <> t.site_version");
	node_expect(h, "1\n", "SELECT count(*) = (SELECT count(*) FROM "
	    "crsql_changes) FROM crsql_transactions AS t CROSS JOIN crsql_history AS "
	    "h ON h.db_version = t.db_version");
	/* what is current was counted, deletes exactly */
	node_expect(h, "", "SELECT t.db_version, c.\"table\" FROM "
	    "crsql_transactions AS t CROSS JOIN crsql_transaction_tables AS c ON "
	    "c.db_version = t.db_version WHERE deleted <> (SELECT count(*) FROM "
	    "crsql_history AS h WHERE h.db_version = t.db_version AND h.\"table\" = "
	    "c.\"table\" AND kind = 'delete') OR inserted + changed < (SELECT "
	    "count(DISTINCT pk) FROM crsql_history AS h WHERE h.db_version = "
	    "t.db_version AND h.\"table\" = c.\"table\" AND kind <> 'delete')");
}

static void
history_is_what_the_changes_are(void **state)
{
	int i, who;

	srand(SEED);
	for (i = 0; i < ROUNDS; i++) {
		for (who = 0; who < COUNT; who++) {
			node_exec(&n[who], "BEGIN");
			do
				write_something(&n[who]);
			while (chance(3) > 0);
			node_exec(&n[who], "COMMIT");
		}
		if (chance(2) == 0)
			pull(A, B);
		if (chance(2) == 0)
			pull(B, A);
		check_history(&n[A]);
		check_history(&n[B]);
	}
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(transactions_come_newest_first),
		EACH(a_transaction_keeps_its_author_and_number),
		EACH(rows_are_counted_by_what_happened),
		EACH(one_transaction_has_to_be_named),
		EACH(a_row_is_told_by_its_key),
		EACH(a_column_that_came_later_is_set_by_who_writes_it),
		EACH(a_cursor_of_no_place_is_refused),
		EACH(history_is_what_the_changes_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

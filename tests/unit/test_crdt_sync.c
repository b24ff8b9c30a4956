// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_sync.c - several databases exchange pages and changes: random
 * histories must converge, pages may be cut, repeated, damaged.  The rules of
 * replication one by one: test_crdt_rules.c.
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"

static const char *const schema =
    "CREATE TABLE t(id TEXT PRIMARY KEY, a, b INTEGER, c TEXT DEFAULT 'd');"
    "CREATE TABLE n(k INTEGER PRIMARY KEY NOT NULL, v REAL);"
    "CREATE TABLE p(x NOT NULL, y NOT NULL, z, PRIMARY KEY(x, y));"
    "CREATE TABLE o(id BLOB PRIMARY KEY NOT NULL);"
    "SELECT crsql_as_crr('t'); SELECT crsql_as_crr('n');"
    "SELECT crsql_as_crr('p'); SELECT crsql_as_crr('o');";

static const char *const data_queries[] = {
	"SELECT * FROM t ORDER BY id", "SELECT * FROM n ORDER BY k",
	"SELECT * FROM p ORDER BY x, y", "SELECT * FROM o ORDER BY id",
	"SELECT \"table\", pk, cid, val, col_version, cl FROM crsql_changes "
	"ORDER BY \"table\", pk, cid", NULL
};

static const struct mishap plain = { .max_bytes = 100000 };

static void
agree(struct node *a, struct node *b)
{
	int i;

	for (i = 0; data_queries[i] != NULL; i++)
		nodes_agree(a, b, data_queries[i]);
}

/* -- random histories ---------------------------------------------------------- */

static void
value(struct rng *r, char out[64])
{
	static const char *const odd[] = { "NULL", "1.5", "-7", "''", "x'00ff'",
		"2.0", "'7'", "-1", "9007199254740993", "0" };

	if (below(r, 3) == 0)
		strcpy(out, odd[below(r, sizeof odd / sizeof *odd)]);
	else
		snprintf(out, 64, "'v%u'", below(r, 20));
}

static void
change_t(struct node *n, struct rng *r)
{
	char v[64], w[64];
	unsigned id = below(r, 6);

	value(r, v);
	value(r, w);
	switch (below(r, 9)) {
	case 0:
	case 1:
		node_try(n, "INSERT INTO t(id, a, b) VALUES('r%u', %s, %u)",
		    id, v, below(r, 5));
		break;
	case 2:
	case 3:
		node_exec(n, "UPDATE t SET a = %s WHERE id = 'r%u'", v, id);
		break;
	case 4:
		node_exec(n, "UPDATE t SET b = %u, c = %s WHERE id = 'r%u'",
		    below(r, 5), w, id);
		break;
	case 5:
	case 6:
		node_exec(n, "DELETE FROM t WHERE id = 'r%u'", id);
		break;
	case 7:
		node_exec(n, "INSERT OR REPLACE INTO t(id, a) "
		    "VALUES('r%u', %s)", id, v);
		break;
	case 8:
		node_try(n, "UPDATE t SET id = 'r%u' WHERE id = 'r%u'",
		    below(r, 6), id);
		break;
	}
}

static void
change_others(struct node *n, struct rng *r)
{
	unsigned k = below(r, 5);
	char v[64];

	value(r, v);
	switch (below(r, 9)) {
	case 0:
	case 1:
		node_try(n, "INSERT INTO n VALUES(%u, %u)", k, below(r, 9));
		break;
	case 2:
		node_exec(n, "UPDATE n SET v = %s WHERE k = %u", v, k);
		break;
	case 3:
		node_exec(n, "DELETE FROM n WHERE k = %u", k);
		break;
	case 4:
		node_exec(n, "INSERT INTO p VALUES(%u, 'y%u', %s) ON CONFLICT "
		    "DO UPDATE SET z = excluded.z", k, below(r, 2), v);
		break;
	case 5:
		node_exec(n, "DELETE FROM p WHERE x = %u", k);
		break;
	case 6:
		node_try(n, "INSERT INTO o VALUES(x'0%u')", k);
		break;
	case 7:
		node_exec(n, "DELETE FROM o WHERE id = x'0%u'", k);
		break;
	case 8:
		node_exec(n, "INSERT INTO n(v) VALUES(%u)", k);
		break;
	}
}

static void
transaction(struct node *n, struct rng *r)
{
	int i, count = 1 + (int)below(r, 5);

	if (count > 1)
		node_exec(n, "BEGIN");
	for (i = 0; i < count; i++) {
		if (below(r, 2))
			change_t(n, r);
		else
			change_others(n, r);
	}
	if (count > 1)
		node_exec(n, below(r, 8) ? "COMMIT" : "ROLLBACK");
}

enum way { BY_PAGES, BY_CHANGES, BY_BOTH };

static void
exchange(struct node *to, struct node *from, struct rng *r, enum way way)
{
	struct mishap m = { .max_bytes = 1 + (int)below(r, 900),
		.twice = below(r, 4) == 0 };

	if (way == BY_BOTH)
		way = below(r, 2) ? BY_PAGES : BY_CHANGES;
	if (below(r, 3) == 0)
		m.cut_after = 1 + (int)below(r, 4);
	if (way == BY_PAGES)
		node_pull(to, from, &m);
	else
		node_pull_changes(to, from, below(r, 2));
}

static void
history(uint64_t seed, enum way way)
{
	struct rng r = { seed * 0x9E3779B97F4A7C15u + 1 };
	int count = 2 + (int)below(&r, 3), steps = 10 + (int)below(&r, 30);
	struct node n[4];
	int i, j, round;

	print_message("# seed %llu, %d databases\n", (unsigned long long)seed,
	    count);
	for (i = 0; i < count; i++) {
		node_open(&n[i], i, NULL);
		node_exec(&n[i], "%s", schema);
	}
	while (steps-- > 0) {
		i = (int)below(&r, (uint32_t)count);
		j = (int)below(&r, (uint32_t)count);
		if (below(&r, 3) > 0)
			transaction(&n[i], &r);
		else if (i != j)
			exchange(&n[i], &n[j], &r, way);
	}
	/* A ring: everything is relayed. */
	for (round = 0; round < count + 1; round++) {
		for (i = 0; i < count; i++) {
			j = (i + 1) % count;
			if (way != BY_CHANGES)
				assert_true(node_pull(&n[i], &n[j], &plain));
			else
				node_pull_changes(&n[i], &n[j], true);
		}
	}
	for (i = 1; i < count; i++)
		agree(&n[0], &n[i]);
	for (i = 0; i < count; i++)
		node_close(&n[i]);
}

static int
seeds(void)
{
	return how_many("SEEDS", 60);
}

static void
histories_converge_by_pages(void **state)
{
	int i;

	for (i = 1; i <= seeds(); i++)
		history((uint64_t)i, BY_PAGES);
}

static void
histories_converge_by_changes(void **state)
{
	int i;

	for (i = 1; i <= seeds(); i++)
		history((uint64_t)i + 100000, BY_CHANGES);
}

static void
histories_converge_by_both(void **state)
{
	int i;

	for (i = 1; i <= seeds(); i++)
		history((uint64_t)i + 200000, BY_BOTH);
}

/* -- pages ------------------------------------------------------------------------ */

static const uint8_t nothing[NODE_CURSOR];

static void
open_two(struct node n[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		node_open(&n[i], i, NULL);
		node_exec(&n[i], "%s", schema);
	}
}

static void
close_two(struct node n[2])
{
	node_close(&n[0]);
	node_close(&n[1]);
}

static void
fill(struct node *n)
{
	node_exec(n, "INSERT INTO t SELECT 'k' || value, value, value * 2, "
	    "'text ' || value FROM (WITH RECURSIVE s(value) AS (SELECT 1 "
	    "UNION ALL SELECT value + 1 FROM s LIMIT 40) SELECT * FROM s)");
	node_exec(n, "BEGIN; INSERT INTO n VALUES(5, 1.5); UPDATE t SET a = "
	    "'new' WHERE id = 'k7'; DELETE FROM t WHERE id = 'k9'; "
	    "INSERT INTO p VALUES(1, 'y', x'00'); INSERT INTO o "
	    "VALUES(x'01'); COMMIT");
	node_exec(n, "UPDATE t SET b = 1, c = NULL WHERE id = 'k3'");
}

/* The one page that a filled database gives. */
static uint8_t *
whole_page(struct node *from, struct node *to, int *len)
{
	struct buf plan;
	uint8_t *page;

	node_plan(to, nothing, NULL, &plan);
	assert_int_equal(node_export(from, &plan, NULL, 1 << 20, &page, len),
	    SQLITE_OK);
	buf_clear(&plan);
	assert_int_equal(page_flags_of(page), 1);
	return page;
}

static void
a_page_carries_everything_once(void **state)
{
	struct node n[2];
	uint8_t *page;
	int64_t changes;
	int len;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	assert_int_equal(node_import(&n[1], page, len, &changes), SQLITE_OK);
	assert_true(changes > 120);
	agree(&n[0], &n[1]);
	node_expect(&n[1], "3\n",
	    "SELECT count(DISTINCT db_version) FROM crsql_changes");
	assert_int_equal(node_import(&n[1], page, len, &changes), SQLITE_OK);
	assert_int_equal(changes, 0);
	agree(&n[0], &n[1]);
	sqlite3_free(page);
	close_two(n);
}

static void
pages_of_any_size_carry_the_same(void **state)
{
	struct mishap m = { .max_bytes = 1 };
	struct node n[2];

	for (; m.max_bytes < 4000; m.max_bytes = m.max_bytes * 3 / 2 + 7) {
		open_two(n);
		fill(&n[0]);
		assert_true(node_pull(&n[1], &n[0], &m));
		agree(&n[0], &n[1]);
		node_expect(&n[1], "3\n",
		    "SELECT count(DISTINCT db_version) FROM crsql_changes");
		close_two(n);
	}
}

static void
runs_stay_runs(void **state)
{
	struct mishap m = { .max_bytes = 2000 };
	struct node n[2];
	char *rows;

	open_two(n);
	node_exec(&n[0], "INSERT INTO t SELECT 'k' || value, value, 0, 'x' "
	    "FROM (WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT "
	    "value + 1 FROM s LIMIT 2000) SELECT * FROM s)");
	assert_true(node_pull(&n[1], &n[0], &plain));
	agree(&n[0], &n[1]);
	node_expect(&n[1], "1|2000\n", "SELECT count(*), sum(n) FROM "
	    "crsql_log WHERE n > 0");
	node_expect(&n[1], "0\n", "SELECT count(*) FROM t__crsql_meta");
	close_two(n);
	/* cut inside the run: a row of the log for each page */
	open_two(n);
	node_exec(&n[0], "INSERT INTO n SELECT value, value FROM (WITH "
	    "RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM "
	    "s LIMIT 2000) SELECT * FROM s)");
	assert_true(node_pull(&n[1], &n[0], &m));
	agree(&n[0], &n[1]);
	rows = node_rows(&n[1], "SELECT count(*) < 100, sum(n), "
	    "count(DISTINCT dbv) FROM crsql_log WHERE n > 0");
	assert_string_equal(rows, "1|2000|1\n");
	sqlite3_free(rows);
	close_two(n);
}

static void
seqs_stay_what_they_were(void **state)
{
	struct node n[2];

	open_two(n);
	/* a gap between rows that would else make one run */
	node_exec(&n[0], "INSERT INTO n VALUES(9, 9); BEGIN; INSERT INTO t(id) "
	    "VALUES('f'); UPDATE n SET v = 8; INSERT INTO t(id) VALUES('g'), "
	    "('h'); COMMIT; UPDATE n SET v = 7");
	node_exec(&n[0], "BEGIN; INSERT INTO t(id) VALUES('a'); INSERT INTO n "
	    "VALUES(1, 1); INSERT INTO t(id) VALUES('b'); INSERT INTO t(id) "
	    "VALUES('c'), ('d'); INSERT INTO o VALUES(x'01'), (x'02'); "
	    "INSERT INTO t(id) VALUES('e'); COMMIT");
	assert_true(node_pull(&n[1], &n[0], &plain));
	nodes_agree(&n[0], &n[1], "SELECT \"table\", pk, cid, sver, seq, "
	    "site_id FROM crsql_changes ORDER BY 4, 5");
	close_two(n);
}

static void
a_truncated_page_is_refused(void **state)
{
	struct node n[2];
	uint8_t *page;
	int64_t changes;
	int i, len;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	for (i = 0; i < len; i++) {
		uint8_t *part = malloc((size_t)i + 1);

		memcpy(part, page, (size_t)i);
		assert_int_not_equal(node_import(&n[1], part, i, &changes),
		    SQLITE_OK);
		free(part);
		node_expect(&n[1], "0\n", "SELECT count(*) FROM t");
		node_expect(&n[1], "0\n", "SELECT count(*) FROM crsql_log");
		node_expect(&n[1], "0\n", "SELECT crsql_db_version()");
	}
	assert_int_equal(node_import(&n[1], page, len, &changes), SQLITE_OK);
	agree(&n[0], &n[1]);
	sqlite3_free(page);
	close_two(n);
}

static void
a_page_that_names_two_columns_alike_is_refused(void **state)
{
	struct node n[2];
	uint8_t *page, *at;
	int64_t changes;
	int len;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	at = memmem(page, (size_t)len, "\1a\1b\1c", 6);
	assert_non_null(at);
	at[3] = 'a';
	assert_int_equal(node_import(&n[1], page, len, &changes),
	    SQLITE_ERROR);
	node_expect(&n[1], "0\n", "SELECT count(*) FROM t");
	sqlite3_free(page);
	close_two(n);
}

static void
a_failing_import_leaves_nothing(void **state)
{
	struct node n[2];
	uint8_t *page;
	int64_t changes;
	int len;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	node_exec(&n[1], "BEGIN; INSERT INTO t(id, a) VALUES('mine', 1)");
	page[len - 1] ^= 0x7f;  /* a length or type in the last transaction */
	page = sqlite3_realloc(page, len + 1);
	page[len] = 0;
	assert_int_not_equal(node_import(&n[1], page, len + 1, &changes),
	    SQLITE_OK);
	assert_int_equal(sqlite3_get_autocommit(n[1].db), 0);
	node_expect(&n[1], "'mine'\n", "SELECT id FROM t");
	node_exec(&n[1], "COMMIT");
	node_expect(&n[1], "'t'|3\n", "SELECT DISTINCT \"table\", count(*) "
	    "FROM crsql_changes");
	node_expect(&n[1], "1\n", "SELECT crsql_db_version()");
	node_expect(&n[1], "1\n", "SELECT count(*) FROM crsql_site_id");
	sqlite3_free(page);
	close_two(n);
}

static void
a_failed_batch_can_only_be_rolled_back(void **state)
{
	struct node n[2];
	uint8_t *page;
	int len;
	sqlite3_stmt *stmt;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	page[len - 1] ^= 0x7f;
	node_exec(&n[1], "BEGIN; INSERT INTO t(id, a) VALUES('mine', 1)");
	assert_int_equal(sqlite3_prepare_v2(n[1].db,
	    "SELECT crsql_import(?, 1)", -1, &stmt, NULL), SQLITE_OK);
	sqlite3_bind_blob(stmt, 1, page, len, SQLITE_STATIC);
	assert_int_not_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_reset(stmt);
	assert_int_not_equal(node_try(&n[1], "COMMIT"), SQLITE_OK);
	node_try(&n[1], "ROLLBACK");
	node_expect(&n[1], "0|0|0\n", "SELECT (SELECT count(*) FROM t), "
	    "(SELECT count(*) FROM crsql_log), crsql_db_version()");
	/* and the next transaction is like any other */
	page[len - 1] ^= 0x7f;
	node_exec(&n[1], "BEGIN");
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_finalize(stmt);
	node_exec(&n[1], "COMMIT");
	agree(&n[0], &n[1]);
	sqlite3_free(page);
	close_two(n);
}

/* DAMAGES in the environment, 3000 unless it says otherwise. */
static int
damages(void)
{
	return how_many("DAMAGES", 3000);
}

static void
random_damage_does_no_harm(void **state)
{
	struct rng r = { 77 };
	struct node n[2];
	uint8_t *page, *bad;
	int64_t changes;
	int i, k, len;

	open_two(n);
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	bad = malloc((size_t)len);
	for (i = 0; i < damages(); i++) {
		memcpy(bad, page, (size_t)len);
		for (k = 1 + (int)below(&r, 3); k > 0; k--)
			bad[below(&r, (uint32_t)len)] ^=
			    (uint8_t)(1 + below(&r, 255));
		node_exec(&n[1], "BEGIN");
		node_import(&n[1], bad, len, &changes);
		node_exec(&n[1], i % 50 ? "ROLLBACK" : "COMMIT");
	}
	node_expect(&n[1], "'ok'\n", "PRAGMA integrity_check");
	free(bad);
	sqlite3_free(page);
	close_two(n);
}

static void
page_functions_tell_what_is_inside(void **state)
{
	struct node n[2];
	struct buf plan;
	uint8_t *page;
	int len;
	sqlite3_stmt *stmt;

	open_two(n);
	node_exec(&n[0], "SELECT crsql_identity(x'000102030405060708090a0b0c0d"
	    "0e0f', zeroblob(32), zeroblob(8))");
	fill(&n[0]);
	page = whole_page(&n[0], &n[1], &len);
	node_exec(&n[1], "CREATE TEMP TABLE page(p BLOB)");
	sqlite3_prepare_v2(n[1].db, "INSERT INTO temp.page VALUES(?)", -1,
	    &stmt, NULL);
	sqlite3_bind_blob(stmt, 1, page, len, SQLITE_STATIC);
	sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	node_expect(&n[1], "000102030405060708090a0b0c0d0e0f|32|8\n",
	    "SELECT s.site_id, length(s.key), length(s.incarnation) FROM "
	    "page, crsql_page_sites(p) AS s");
	node_expect(&n[1], "1|39|1|1|1\n2|5|1|1|1\n3|1|1|1|1\n",
	    "SELECT version, rows, begins, ends, time > 1600000000000 "
	    "FROM page, crsql_page_transactions(p)");
	node_expect(&n[1], "1|40|1\n", "SELECT crsql_page_flags(p), "
	    "length(crsql_page_end(p)), crsql_page_end(p) IS NOT NULL "
	    "FROM page");
	sqlite3_free(page);
	/* nothing further: the end is the head */
	node_plan(&n[1], nothing, NULL, &plan);
	assert_int_equal(node_export(&n[0], &plan, NULL, 1 << 20, &page, &len),
	    SQLITE_OK);
	sqlite3_prepare_v2(n[0].db, "SELECT crsql_head()", -1, &stmt, NULL);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(stmt, 0), NODE_CURSOR);
	assert_memory_equal(sqlite3_column_blob(stmt, 0), page + 4,
	    NODE_CURSOR);
	sqlite3_finalize(stmt);
	sqlite3_free(page);
	buf_clear(&plan);
	close_two(n);
}

static void
a_large_value_is_a_page_of_its_own(void **state)
{
	struct mishap m = { .max_bytes = 1000 };
	struct node n[2];

	open_two(n);
	node_exec(&n[0], "BEGIN; INSERT INTO t(id, a) VALUES('a', 1), "
	    "('b', zeroblob(3000000)), ('c', 2); COMMIT");
	assert_true(node_pull(&n[1], &n[0], &m));
	agree(&n[0], &n[1]);
	close_two(n);
}

static void
bad_arguments_are_refused(void **state)
{
	struct node n[2];

	open_two(n);
	node_expect(&n[0], "error: this is not a page\n",
	    "SELECT crsql_import(NULL)");
	node_expect(&n[0], "error: this is not a page\n",
	    "SELECT crsql_import('DX')");
	node_expect(&n[0], "error: the plan is malformed\n",
	    "SELECT crsql_export(NULL, NULL, 0)");
	node_expect(&n[0], "error: the plan is malformed\n",
	    "SELECT crsql_export(x'ffffffff7f', NULL, 0)");
	node_expect(&n[0], "error: this is not a page\n",
	    "SELECT crsql_page_end(x'00')");
	close_two(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_carries_everything_once),
		cmocka_unit_test(pages_of_any_size_carry_the_same),
		cmocka_unit_test(runs_stay_runs),
		cmocka_unit_test(seqs_stay_what_they_were),
		cmocka_unit_test(a_truncated_page_is_refused),
		cmocka_unit_test(a_page_that_names_two_columns_alike_is_refused),
		cmocka_unit_test(a_failing_import_leaves_nothing),
		cmocka_unit_test(a_failed_batch_can_only_be_rolled_back),
		cmocka_unit_test(random_damage_does_no_harm),
		cmocka_unit_test(page_functions_tell_what_is_inside),
		cmocka_unit_test(a_large_value_is_a_page_of_its_own),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(histories_converge_by_pages),
		cmocka_unit_test(histories_converge_by_changes),
		cmocka_unit_test(histories_converge_by_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

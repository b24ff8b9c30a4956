// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_wide.c - tables of more columns than an integer has bits: of an
 * update, each of its columns is told and no other.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crdt/mask.h"

enum { COUNT = 2, COLUMNS = 200 };
static struct group group = { .count = COUNT, .file = true };

/* Both exchange what they have, by pages and by changes, and are alike. */
static void
agree(void)
{
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM w ORDER BY id");
	nodes_agree(&n[A], &n[B], "SELECT pk, cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY pk, cid");
	node_pull_changes(&n[A], &n[B], true);
	node_pull_changes(&n[B], &n[A], true);
	nodes_agree(&n[A], &n[B], "SELECT * FROM w ORDER BY id");
	node_well(&n[A]);
	node_well(&n[B]);
}

/* CREATE TABLE w(id TYPE PRIMARY KEY NOT NULL, c1, c2 ...) with four rows. */
static void
make_wide(const char *type, int columns)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	char *sql;
	int i;

	sqlite3_str_appendf(s, "CREATE TABLE w(id %s PRIMARY KEY NOT NULL", type);
	for (i = 1; i < columns; i++)
		sqlite3_str_appendf(s, ", c%d", i);
	sqlite3_str_appendall(s, "); SELECT crsql_as_crr('w')");
	sql = sqlite3_str_finish(s);
	nodes_exec(n, COUNT, sql);
	sqlite3_free(sql);
	node_exec(&n[A], "INSERT INTO w(id) VALUES(1), (2), (3), (4)");
	agree();
}

/* Two databases write two columns of one row at the same time. */
static void
edits_of_two_columns_are_kept(const char *type)
{
	make_wide(type, COLUMNS);
	node_exec(&n[A], "UPDATE w SET c100 = 'a' WHERE id = 1");
	node_exec(&n[B], "UPDATE w SET c150 = 'b' WHERE id = 1; UPDATE w SET c3 = "
	    "'b' WHERE id = 1");
	agree();
	node_expect(&n[A], "'a'|'b'|'b'\n", "SELECT c100, c150, c3 FROM w WHERE "
	    "id = 1");
	node_expect(&n[A], "'c100'|'a'\n'c150'|'b'\n'c3'|'b'\n", "SELECT cid, val "
	    "FROM crsql_changes WHERE col_version > 1 ORDER BY cid");
	/* by a program that loads nothing */
	plainly("UPDATE w SET c101 = 'p', c64 = 'p', c62 = 'p' WHERE "
	    "id = 2; UPDATE w SET c63 = 'p', c199 = 'p' WHERE id = 2");
	node_exec(&n[B], "UPDATE w SET c102 = 'q', c65 = 'q', c61 = 'q' WHERE "
	    "id = 2");
	agree();
	node_expect(&n[B], "'q'|'p'|'p'|'p'|'q'|'p'|'q'|'p'\n", "SELECT c61, c62, "
	    "c63, c64, c65, c101, c102, c199 FROM w WHERE id = 2");
	node_expect(&n[B], "11\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "col_version > 1");
	/* nothing is changed by what changes nothing */
	plainly("UPDATE w SET c101 = 'p'");
	node_expect(&n[A], "3\n", "SELECT count(*) FROM crsql_changes WHERE cid = "
	    "'c101' AND col_version = 2 AND val = 'p' AND pk <> (SELECT pk FROM "
	    "crsql_changes WHERE cid = 'c102' AND val = 'q')");
}

static void
edits_of_two_columns_with_an_integer_key(void **state)
{
	edits_of_two_columns_are_kept("INTEGER");
}

static void
edits_of_two_columns_with_another_key(void **state)
{
	edits_of_two_columns_are_kept("TEXT");
}

/* One log row, however many rows and columns. */
static void
a_run_of_updates_names_its_columns(void **state)
{
	make_wide("INTEGER", COLUMNS);
	node_exec(&n[A], "UPDATE w SET c1 = 1, c62 = 2, c63 = 3, c64 = 4, c65 = 5, "
	    "c199 = 6");
	node_exec(&n[A], "UPDATE w SET c198 = id; UPDATE w SET c197 = id; "
	    "UPDATE w SET c199 = 7 WHERE id < 3; "
	    "UPDATE w SET c198 = 8 WHERE id = 3");
	node_expect(&n[A], "4|'blob'\n4|'blob'\n4|'blob'\n2|'blob'\n",
	    "SELECT n, typeof(mask) FROM crsql_log WHERE mask IS NOT NULL");
	node_exec(&n[B], "UPDATE w SET c66 = 'b'");
	agree();
	node_expect(&n[B], "1|2|3|4|5|'b'|1|1|7\n", "SELECT c1, c62, c63, c64, c65, "
	    "c66, c197, c198, c199 FROM w WHERE id = 1");
	node_expect(&n[B], "'c1'|1\n'c197'|1\n'c198'|1\n'c199'|2\n'c62'|1\n"
	    "'c63'|1\n'c64'|1\n'c65'|1\n'c66'|1\n", "SELECT cid, col_version - 1 "
	    "FROM crsql_changes WHERE col_version > 1 AND pk = x'010901' "
	    "ORDER BY cid");
}

static void
a_blob_written_in_place_is_its_column(void **state)
{
	sqlite3_blob *blob;

	make_wide("INTEGER", COLUMNS);
	node_exec(&n[A], "UPDATE w SET c180 = x'00' WHERE id = 2");
	agree();
	assert_int_equal(sqlite3_blob_open(n[A].db, "main", "w", "c180", 2, 1,
	    &blob), SQLITE_OK);
	assert_int_equal(sqlite3_blob_write(blob, "x", 1, 0), SQLITE_OK);
	assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
	node_exec(&n[B], "UPDATE w SET c181 = 1 WHERE id = 2");
	agree();
	node_expect(&n[B], "'78'|1\n", "SELECT hex(c180), c181 FROM w WHERE "
	    "id = 2");
}

/* Numbers of columns are never used twice, and may stand in any order. */
static void
columns_come_go_and_get_names(void **state)
{
	int i;

	make_wide("INTEGER", 60);
	for (i = 0; i < 6; i++)
		nodes_exec(n, COUNT, "SELECT crsql_begin_alter('w'); ALTER TABLE w DROP "
		    "COLUMN c5; ALTER TABLE w ADD COLUMN c5; ALTER TABLE w ADD "
		    "COLUMN d; ALTER TABLE w RENAME COLUMN d TO e; SELECT "
		    "crsql_commit_alter('w'); SELECT crsql_begin_alter('w'); ALTER "
		    "TABLE w DROP COLUMN e; SELECT crsql_commit_alter('w')");
	nodes_exec(n, COUNT, "ALTER TABLE w ADD COLUMN x DEFAULT 1; ALTER TABLE w ADD "
	    "COLUMN y");
	plainly("UPDATE w SET y = 'y' WHERE id = 1");
	node_exec(&n[A], "SELECT crsql_fold()");
	plainly("ALTER TABLE w RENAME COLUMN x TO z; UPDATE w SET z = 2 "
	    "WHERE id = 1; UPDATE w SET c1 = 3, y = 4 WHERE id = 1");
	node_exec(&n[B], "UPDATE w SET c2 = 5 WHERE id = 1; UPDATE w SET x = 6 WHERE "
	    "id = 2");
	pull(A, B);
	pull(B, A);
	node_exec(&n[B], "ALTER TABLE w RENAME COLUMN x TO z");
	agree();
	node_expect(&n[B], "1|2|3|5|4\n2|6|NULL|NULL|NULL\n", "SELECT id, z, c1, "
	    "c2, y FROM w WHERE id < 3");
	/* inside an alter, too */
	nodes_exec(n, COUNT, "ALTER TABLE w ADD COLUMN v DEFAULT 0");
	node_exec(&n[A], "SELECT crsql_begin_alter('w'); UPDATE w SET v = 9 WHERE "
	    "id = 4; SELECT crsql_commit_alter('w')");
	node_exec(&n[B], "UPDATE w SET z = 10 WHERE id = 4");
	agree();
	node_expect(&n[A], "10|9\n", "SELECT z, v FROM w WHERE id = 4");
}

/* The journal may hold anything: what can't be read counts for all columns. */
static void
a_journal_that_cannot_be_read_tells_all(void **state)
{
	static const char *const texts[] = { "''", "'63:'", "':1'", "'a:1'",
		"'63:1,'", "'63:1;0:1'", "'-1:1'", "'99999999999:1'",
		"'2147483647:1'", "'63:9223372036854775808'",
		"'63:99999999999999999999999'", "'63:1 '", "x'00'" };
	size_t i;

	make_wide("INTEGER", 70);
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *sql = sqlite3_mprintf("INSERT INTO crsql_j(w, key, mask) "
		    "SELECT 8 * id + 2, 1, %s FROM crsql_tbl", texts[i]);

		plainly(sql);
		sqlite3_free(sql);
		node_exec(&n[A], "SELECT crsql_fold()");
	}
	agree();
	node_expect(&n[B], "69|14\n", "SELECT count(*), min(col_version) FROM "
	    "crsql_changes WHERE col_version > 1");
	/* columns that are not there */
	plainly("INSERT INTO crsql_j(w, key, mask) SELECT 8 * id + 2, 1, "
	    "'2147483500:9223372036854775807,0:2,1000:5' FROM crsql_tbl");
	agree();
	node_expect(&n[B], "'c2'\n", "SELECT cid FROM crsql_changes WHERE "
	    "col_version > 14");
}

static void
a_mask_is_read_as_it_was_written(void **state)
{
	static const int cids[] = { 5, 63, 64, 65, 62, 200, 2000, 70, 71, 1 << 30,
		66, 0 };
	struct mask m = mask_empty();
	struct buf b;
	size_t i, len;
	int at, want;

	buf_init(&b, 1000);
	for (i = 0; i < sizeof cids / sizeof *cids; i++)
		mask_add(&m, &b, cids[i]);
	mask_end(&m, &b);
	for (at = 0; at < 3000; at++) {
		want = 0;
		for (i = 0; i < sizeof cids / sizeof *cids; i++)
			want |= cids[i] == at;
		assert_int_equal(mask_has(m.bits, b.data, b.len, at), want);
	}
	assert_true(mask_has(m.bits, b.data, b.len, 1 << 30));
	/* cut off anywhere, it is read no further than it goes */
	for (len = 0; len < b.len; len++)
		mask_has(m.bits, b.data, len, 2001);
	buf_clear(&b);
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(edits_of_two_columns_with_an_integer_key),
		T(edits_of_two_columns_with_another_key),
		T(a_run_of_updates_names_its_columns),
		T(a_blob_written_in_place_is_its_column),
		T(columns_come_go_and_get_names),
		T(a_journal_that_cannot_be_read_tells_all),
		cmocka_unit_test(a_mask_is_read_as_it_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

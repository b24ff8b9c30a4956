// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_files.c - databases in files, beside programs that load nothing:
 * what reads and loading write there, REPLACE by either kind of program, and
 * what another format number means.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

static struct group group = { .count = 3, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

static char dir[TEMP_MAX];
static char path[TEMP_MAX + 16];

static void
open_file(struct node *f, const char *sql)
{
	temp_name(dir, "ddcp-rules");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/file.db", dir);
	node_open(f, 0, path);
	if (sql != NULL)
		node_exec(f, "%s", sql);
}

static void
remove_file(void)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* A program with nothing loaded. */
static void
plain_exec(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The bytes of the file, summed up (FNV-1a). */
static uint64_t
file_sum(void)
{
	uint64_t h = 0xCBF29CE484222325u;
	FILE *f = fopen(path, "rb");
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		h = (h ^ (uint64_t)c) * 0x100000001B3u;
	fclose(f);
	return h;
}

/* -- REPLACE ------------------------------------------------------------------------------ */

/* One history with all kinds of REPLACE, by the hook and by the journal. */
static void
r06_replace_is_the_same_by_hook_and_by_journal(void **state)
{
	static const char *const start = "CREATE TABLE r(id TEXT PRIMARY KEY, "
	    "x, y, z DEFAULT 'dz'); CREATE TABLE k(k INTEGER PRIMARY KEY NOT "
	    "NULL, v, w DEFAULT 'dw'); CREATE TABLE p(a NOT NULL, b NOT NULL, c, "
	    "PRIMARY KEY(a, b)); SELECT crsql_as_crr('r'), crsql_as_crr('k'), "
	    "crsql_as_crr('p'); INSERT INTO r(id, x) VALUES('a', 1), ('b', 2), "
	    "('c', 3), ('d', 4), ('e', 5); INSERT INTO k(k, v) VALUES(1, 1), "
	    "(2, 2), (3, 3), (4, 4); INSERT INTO p VALUES(1, 1, 1), (1, 2, 2), "
	    "(2, 1, 3)";
	static const char *const history[] = {
		/* of the same key: an update of all columns, the life goes on */
		"REPLACE INTO r(id, x) VALUES('a', 9)",
		"REPLACE INTO k VALUES(1, 9, 9)",
		"REPLACE INTO p VALUES(1, 1, 9)",
		/* by rowid, and by both: what else is killed is deleted */
		"REPLACE INTO r(rowid, id, x) VALUES(2, 'new', 9)",
		"REPLACE INTO r(rowid, id, x) VALUES(3, 'd', 9)",
		/* by an UPDATE of the key */
		"UPDATE OR REPLACE k SET k = 3 WHERE k = 2",
		"UPDATE OR REPLACE p SET b = 2 WHERE a = 1 AND b = 1",
		"UPDATE OR REPLACE r SET id = 'e' WHERE id = 'a'",
		/* what was deleted comes back */
		"REPLACE INTO r(id) VALUES('b')",
		"REPLACE INTO k(k) VALUES(2)",
		("BEGIN; REPLACE INTO k VALUES(4, 1, 1); DELETE FROM k WHERE "
		    "k = 4; REPLACE INTO k VALUES(4, 2, 2); COMMIT") };
	static const char *const clocks = "SELECT \"table\", pk, cid, val, "
	    "col_version, db_version, cl FROM crsql_changes ORDER BY 1, 2, 3";
	struct node by_hook, by_journal;
	size_t i;

	node_open(&by_hook, 0, NULL);
	node_exec(&by_hook, "%s", start);
	open_file(&by_journal, start);
	for (i = 0; i < sizeof history / sizeof *history; i++) {
		print_message("# %s\n", history[i]);
		node_exec(&by_hook, "%s", history[i]);
		plain_exec(history[i]);
		nodes_agree(&by_hook, &by_journal, clocks);
		nodes_agree(&by_hook, &by_journal, "SELECT rowid, * FROM r");
	}
	node_expect(&by_hook, "'x'|2|1\n'y'|2|1\n'z'|2|1\n", "SELECT cid, "
	    "col_version, cl FROM crsql_changes WHERE \"table\" = 'r' AND "
	    "pk = crsql_pack_columns('d') ORDER BY cid");
	node_expect(&by_hook, "'-1'|2\n", "SELECT cid, cl FROM crsql_changes "
	    "WHERE \"table\" = 'r' AND pk = crsql_pack_columns('c')");
	node_close(&by_hook);
	node_close(&by_journal);
	remove_file();
}

/* Of two triggers SQLite fires the younger one first: what a user's does with a
 * new row stands in the journal before the row itself. */
static void
r06_a_younger_trigger_hides_no_replace(void **state)
{
	static const char *const history[] = {
		"INSERT INTO k VALUES(1, 'z', 9); INSERT INTO r(id, x) VALUES('a', "
		    "'z'), ('gone', 'z')",
		"DELETE FROM r WHERE id = 'gone'; UPDATE k SET v = 'zz'",
		"INSERT INTO r(id, x) VALUES('gone', 'back'), ('last', 1)",
		"REPLACE INTO k VALUES(1, 'a', 2); REPLACE INTO r(id, x) "
		    "VALUES('a', 'b')",
		"REPLACE INTO r(id, x) VALUES('gone', 'kill')" };
	struct node f;
	size_t i;

	node_exec(&n[B], "CREATE TABLE k(k INTEGER PRIMARY KEY NOT NULL, v, w); "
	    "SELECT crsql_as_crr('k')");
	open_file(&f, "CREATE TABLE r(id TEXT PRIMARY KEY, x, y, z DEFAULT 'dz'); "
	    "CREATE TABLE k(k INTEGER PRIMARY KEY NOT NULL, v, w); "
	    "SELECT crsql_as_crr('r'), crsql_as_crr('k'); "
	    "CREATE TRIGGER r1 AFTER INSERT ON r BEGIN UPDATE r SET y = 'seen' "
	    "WHERE id = new.id; DELETE FROM r WHERE id = new.id AND x = 'kill'; "
	    "END; CREATE TRIGGER k1 AFTER INSERT ON k BEGIN UPDATE k SET "
	    "v = v || '!' WHERE k = new.k; END");
	for (i = 0; i < sizeof history / sizeof *history; i++) {
		print_message("# %s\n", history[i]);
		plain_exec(history[i]);
		node_exec(&f, "SELECT crsql_fold()");
		assert_true(node_pull(&n[B], &f, &plain));
		nodes_agree(&f, &n[B], "SELECT * FROM r ORDER BY id");
		nodes_agree(&f, &n[B], "SELECT * FROM k");
	}
	node_expect(&n[B], "'a!'|2\n", "SELECT v, w FROM k");
	node_expect(&n[B], "'a'\n'last'\n", "SELECT id FROM r ORDER BY id");
	node_close(&f);
	remove_file();
}

/* A connection that may not write, with the engine. */
static void
open_looker(struct node *f, int flags)
{
	char *why = NULL;

	memset(f, 0, sizeof *f);
	assert_int_equal(sqlite3_open_v2(path, &f->db, flags, NULL), SQLITE_OK);
	if (crdt_load(f->db, &why) != SQLITE_OK)
		fail_msg("crdt_load: %s", why ? why : "?");
}

/* Every way of reading that the engine has. */
static void
read_all(struct node *f)
{
	static const char *const reads[] = { "SELECT * FROM crsql_changes",
		"SELECT * FROM r", "SELECT crsql_db_version()",
		"SELECT crsql_own()", "SELECT crsql_head()",
		"SELECT crsql_token(crsql_site_id(), 1)",
		"SELECT crsql_pending()", "SELECT * FROM crsql_parked",
		"SELECT crsql_export(x'010101720000000000000000000000000000000000"
		    "0000000000000000000000000000000000000000000000' || x'00', "
		    "NULL, 1000)" };
	size_t i;
	char *rows;

	for (i = 0; i < sizeof reads / sizeof *reads; i++) {
		rows = node_rows(f, "%s", reads[i]);
		if (strncmp(rows, "error", 5) == 0)
			fail_msg("%s: %s", reads[i], rows);
		sqlite3_free(rows);
	}
}

/* Who may not write, or sets query_only, reads what is folded. */
static void
r08_a_read_that_may_not_write_does_not_fold(void **state)
{
	struct node f, g;
	uint64_t sum;
	int way;

	open_file(&f, "CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('r'); INSERT INTO r VALUES('a', 1)");
	plain_exec("INSERT INTO r VALUES('b', 2); ALTER TABLE r ADD COLUMN y "
	    "DEFAULT 3; UPDATE r SET y = 4 WHERE id = 'a'");
	sum = file_sum();
	for (way = 0; way < 2; way++) {
		open_looker(&g, way ? SQLITE_OPEN_READWRITE :
		    SQLITE_OPEN_READONLY);
		if (way)
			node_exec(&g, "PRAGMA query_only = 1");
		read_all(&g);
		node_expect(&g, "2\n", "SELECT crsql_pending()");
		node_expect(&g, "'a'|'x'|1\n", "SELECT id, cid, val FROM "
		    "crsql_changes AS c JOIN r ON c.pk = crsql_pack_columns(id)");
		node_close(&g);
		assert_true(file_sum() == sum);
	}
	node_close(&f);
	remove_file();
}

/* Where it may, it writes that and nothing else: not the second time, nor where
 * nothing waits. */
static void
r08_a_fold_is_the_only_write_of_a_read(void **state)
{
	struct node f, g;
	uint64_t sum;

	open_file(&f, "CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('r'); INSERT INTO r VALUES('a', 1)");
	sum = file_sum();
	open_looker(&g, SQLITE_OPEN_READWRITE);
	read_all(&g);
	read_all(&f);
	assert_true(file_sum() == sum);
	plain_exec("INSERT INTO r VALUES('b', 2)");
	sum = file_sum();
	node_expect(&g, "1|1\n", "SELECT crsql_pending(), crsql_db_version()");
	node_expect(&g, "2\n", "SELECT count(*) FROM r");
	assert_true(file_sum() == sum);
	read_all(&g);
	assert_true(file_sum() != sum);
	node_expect(&g, "0|2\n", "SELECT crsql_pending(), crsql_db_version()");
	sum = file_sum();
	read_all(&g);
	read_all(&f);
	assert_true(file_sum() == sum);
	node_close(&g);
	node_close(&f);
	remove_file();
}

/* Loading makes three tables where it can, and does without where not. */
static void
r08_loading_writes_only_where_that_is_possible(void **state)
{
	struct node f, g;
	uint64_t sum;

	open_file(&f, NULL);
	node_close(&f);
	assert_int_equal(unlink(path), 0);
	plain_exec("CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	    "INSERT INTO r VALUES('a', 1)");
	sum = file_sum();
	open_looker(&g, SQLITE_OPEN_READONLY);
	node_expect(&g, "0\n", "SELECT count(*) FROM crsql_changes");
	node_expect(&g, "'r'\n", "SELECT name FROM sqlite_schema WHERE "
	    "type = 'table'");
	node_expect(&g, "1\n", "SELECT x FROM r");
	assert_int_equal(node_try(&g, "SELECT crsql_as_crr('r')"),
	    SQLITE_READONLY);
	node_close(&g);
	assert_true(file_sum() == sum);
	open_looker(&g, SQLITE_OPEN_READWRITE);
	node_expect(&g, "'crsql_master'\n'crsql_site_id'\n"
	    "'crsql_tracked_peers'\n'r'\n", "SELECT name FROM sqlite_schema "
	    "WHERE type = 'table' ORDER BY name");
	node_close(&g);
	sum = file_sum();
	open_looker(&g, SQLITE_OPEN_READWRITE);
	node_close(&g);
	assert_true(file_sum() == sum);
	remove_file();
}

/* -- the format ------------------------------------------------------------------------------ */

/* cr-sqlite refuses to load on a file with a number below 150000. */
static void
r25_the_format_number_keeps_cr_sqlite_away(void **state)
{
	node_expect(&n[A], "'integer'|1\n", "SELECT typeof(value), value "
	    "BETWEEN 1 AND 149999 FROM crsql_master WHERE key = "
	    "'crsqlite_version'");
}

static void
r25_a_newer_format_is_only_read(void **state)
{
	static const int numbers[] = { 2, 149999 };
	struct node f, g;
	uint64_t sum;
	char *why;
	size_t i;

	open_file(&f, "CREATE TABLE r(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('r'); INSERT INTO r VALUES('a', 1)");
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		node_exec(&f, "UPDATE crsql_master SET value = %d WHERE key = "
		    "'crsqlite_version'", numbers[i]);
		sum = file_sum();
		memset(&g, 0, sizeof g);
		assert_int_equal(sqlite3_open(path, &g.db), SQLITE_OK);
		why = NULL;
		assert_int_equal(crdt_load(g.db, &why), SQLITE_ERROR);
		print_message("# %s\n", why);
		assert_non_null(strstr(why, "can only be read"));
		sqlite3_free(why);
		node_expect(&g, "'a'|1\n", "SELECT * FROM r");
		assert_int_equal(node_try(&g, "INSERT INTO r VALUES('b', 2)"),
		    SQLITE_READONLY);
		assert_int_equal(sqlite3_close(g.db), SQLITE_OK);
		assert_true(file_sum() == sum);
	}
	node_exec(&f, "UPDATE crsql_master SET value = 1 WHERE key = "
	    "'crsqlite_version'");
	node_close(&f);
	remove_file();
}

#define T(name) GROUP_TEST(name, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(r06_replace_is_the_same_by_hook_and_by_journal),
		T(r06_a_younger_trigger_hides_no_replace),
		T(r08_a_read_that_may_not_write_does_not_fold),
		T(r08_a_fold_is_the_only_write_of_a_read),
		T(r08_loading_writes_only_where_that_is_possible),
		T(r25_the_format_number_keeps_cr_sqlite_away),
		T(r25_a_newer_format_is_only_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

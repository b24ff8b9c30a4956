// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_repair.c - tables whose rowids were given out anew: made anew by a
 * tool, or copied as text.  Each row keeps its own clock, and databases that had
 * all of it or nothing become alike.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { A, B, C, COUNT };

static struct node n[COUNT];
static char path[NODE_FILE], other[NODE_FILE];
static const struct mishap plain = { .max_bytes = 100000 };

#define TABLE "CREATE TABLE r(id TEXT PRIMARY KEY, x, y); " \
	"SELECT crsql_as_crr('r');"
#define ROWS "INSERT INTO r WITH RECURSIVE i(v) AS (SELECT 1 UNION ALL " \
	"SELECT v + 1 FROM i WHERE v < 40) SELECT printf('k%%02d', " \
	"v * 17 %% 41), v, v FROM i;"
#define REBUILD(columns, order) "CREATE TABLE new_r(id TEXT PRIMARY KEY, x, y); " \
	"INSERT INTO new_r SELECT " columns " FROM r ORDER BY " order "; " \
	"DROP TABLE r; ALTER TABLE new_r RENAME TO r;"
#define CELLS "SELECT pk, cid, val, col_version, cl FROM crsql_changes " \
	"ORDER BY pk, cid"
#define RUINED "SELECT * FROM crsql_check"
#define MARKS "SELECT count(*) FROM crsql_master WHERE key GLOB 'again.*'"

/* A is a file, so that programs without the extension may write it. */
static int
open_all(void **state)
{
	(void)state;
	node_file(path);
	node_file(other);
	node_open(&n[A], A, path);
	node_open(&n[B], B, NULL);
	node_open(&n[C], C, NULL);
	nodes_exec(n, COUNT, TABLE);
	return 0;
}

static int
close_all(void **state)
{
	(void)state;
	nodes_close(n, COUNT);
	unlink(path);
	unlink(other);
	return 0;
}

static void
pull(int to, int from)
{
	assert_true(node_pull(&n[to], &n[from], &plain));
}

/* What a store does for a table that is to be asked for again: A goes on as
 * another site, with nothing. */
static void
ask_again(void)
{
	node_expect(&n[A], "1\n", MARKS);
	node_exec(&n[A], "SELECT crsql_identity(randomblob(16), randomblob(32), "
	    "randomblob(8), (SELECT value FROM crsql_master WHERE key GLOB "
	    "'again.*')); DELETE FROM crsql_master WHERE key GLOB 'again.*'");
	memset(&n[A].has, 0, sizeof n[A].has);
	memset(n[A].cursor, 0, sizeof n[A].cursor);
	memset(n[B].cursor[A], 0, NODE_CURSOR);
	memset(n[C].cursor[A], 0, NODE_CURSOR);
	pull(A, B);
}

static void
all_agree(void)
{
	pull(B, A);
	pull(C, A);
	nodes_agree(&n[A], &n[B], CELLS);
	nodes_agree(&n[A], &n[C], CELLS);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[C], "SELECT * FROM r ORDER BY id");
	node_expect(&n[A], "", RUINED);
	node_expect(&n[B], "", RUINED);
}

/* Rows with all kinds of clocks, and gaps in their rowids; B has them, and A an
 * edit and a delete that nobody has. */
static void
fill(void)
{
	node_exec(&n[A], ROWS);
	node_exec(&n[A], "UPDATE r SET x = 'once' WHERE y %% 5 = 0");
	node_exec(&n[A], "UPDATE r SET y = 'twice' WHERE id = 'k20'");
	node_exec(&n[A], "DELETE FROM r WHERE id IN ('k17', 'k10', 'k21', 'k36')");
	node_exec(&n[A], "INSERT INTO r VALUES('k10', 'again', 1)");
	pull(B, A);
	node_exec(&n[A], "UPDATE r SET x = 'mine' WHERE id IN ('k09', 'k30')");
	node_exec(&n[A], "DELETE FROM r WHERE id = 'k26'");
}

/* What A says of its rows, before something befalls them. */
static char *
cells(int node)
{
	char *text = node_rows(&n[node], CELLS);

	assert_non_null(text);
	return text;
}

static void
refused(const char *sql)
{
	assert_int_not_equal(node_try(&n[A], "%s", sql), SQLITE_OK);
	assert_non_null(strstr(sqlite3_errmsg(n[A].db), "crsql_repair()"));
}

/* Those that table `kept` has. */
static void
make_triggers(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	node_run_each(db, "SELECT sql FROM kept");
	node_run(db, "DROP TABLE kept");
	sqlite3_close(db);
}

/* -- made anew by a tool ------------------------------------------------------- */

/* In the order of the old table: each row keeps its versions. */
static void
r12_rebuilt_without_gaps(void **state)
{
	char *before;

	(void)state;
	fill();
	before = cells(A);
	node_plainly(path, REBUILD("*", "rowid"));
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], before, CELLS);
	node_expect(&n[A], "0\n", MARKS);
	sqlite3_free(before);
	all_agree();
	node_expect(&n[B], "0\n", "SELECT count(*) FROM r WHERE id IN ('k17', "
	    "'k26')");
}

/* A reader is the first to look. */
static void
r12_rebuilt_and_read(void **state)
{
	char *before;

	(void)state;
	fill();
	before = cells(A);
	node_plainly(path, REBUILD("*", "rowid"));
	node_expect(&n[A], before, CELLS);
	sqlite3_free(before);
	all_agree();
}

/* What a plain program wrote before, and what is written after. */
static void
r12_rebuilt_between_writes(void **state)
{
	(void)state;
	fill();
	node_plainly(path, "UPDATE r SET y = 'plain' WHERE id = 'k40'; "
	    "DELETE FROM r WHERE id = 'k05'; "
	    "INSERT INTO r VALUES('plain', 1, 1); "
	    REBUILD("*", "rowid"));
	node_exec(&n[A], "BEGIN; UPDATE r SET x = 'after' WHERE id = 'k39'; "
	    "INSERT INTO r VALUES('after', 2, 2); DELETE FROM r WHERE id = 'k38'; "
	    "COMMIT");
	all_agree();
	node_expect(&n[B], "'after'|2|1\n'k09'|'mine'|3\n'k39'|'after'|2\n"
	    "'plain'|1|1\n", "SELECT r.id, val, col_version FROM crsql_changes c "
	    "JOIN r ON c.pk = crsql_pack_columns(r.id) WHERE cid = 'x' AND r.id IN "
	    "('plain', 'after', 'k39', 'k09') ORDER BY 1");
	node_expect(&n[B], "'plain'|2\n", "SELECT val, col_version FROM "
	    "crsql_changes WHERE cid = 'y' AND pk = crsql_pack_columns('k40')");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM r WHERE id IN ('k05', "
	    "'k38', 'k26')");
}

/* In another order: which clock is whose is not known.  Own edits win, deleted
 * rows stay deleted, and what came from others comes again. */
static void
r12_rebuilt_in_another_order(void **state)
{
	(void)state;
	fill();
	pull(C, B);
	node_exec(&n[B], "UPDATE r SET y = 'theirs' WHERE id IN ('k01', 'k02')");
	node_exec(&n[B], "UPDATE r SET y = 'theirs, again' WHERE id = 'k01'");
	pull(A, B);
	/* NULL is less than what B has: by its version alone it wins */
	node_exec(&n[A], "UPDATE r SET x = NULL WHERE y BETWEEN 7 AND 14");
	node_plainly(path, REBUILD("*", "id DESC"));
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "", RUINED);
	ask_again();
	all_agree();
	node_expect(&n[C], "'k01'|'theirs, again'\n'k02'|'theirs'\n", "SELECT id, y "
	    "FROM r WHERE y LIKE 'theirs%%' ORDER BY id");
	node_expect(&n[B], "'mine'\n8\n", "SELECT x FROM r WHERE id = 'k09' UNION "
	    "ALL SELECT count(*) FROM r WHERE x IS NULL");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM r WHERE id IN ('k17', "
	    "'k26')");
}

/* A table of which nobody edited a row: nothing is in doubt. */
static void
r12_rebuilt_in_another_order_and_fresh(void **state)
{
	char *before;

	(void)state;
	node_exec(&n[A], ROWS);
	before = cells(A);
	node_plainly(path, REBUILD("*", "id"));
	node_expect(&n[A], before, CELLS);
	node_expect(&n[A], "0\n", MARKS);
	sqlite3_free(before);
	all_agree();
}

/* Rowids are the same, values are not. */
static void
r12_rebuilt_with_other_values(void **state)
{
	int i;

	(void)state;
	node_exec(&n[A], ROWS);
	pull(B, A);
	for (i = 0; i < 2; i++) {
		node_plainly(path, REBUILD("id, x, 'new ' || y", "rowid"));
		node_exec(&n[A], "SELECT crsql_fold()");
		all_agree();
		node_expect(&n[B], i == 0 ? "40|2\n" : "39|3\n", "SELECT count(*), "
		    "max(col_version) FROM crsql_changes WHERE cid = 'y' AND "
		    "val LIKE 'new %%'");
		node_expect(&n[B], "1\n", "SELECT max(col_version) FROM "
		    "crsql_changes WHERE cid = 'x'");
		node_exec(&n[A], "DELETE FROM r WHERE id = 'k05'");
	}
}

/* The values of a new column, and of rows that have their DEFAULT. */
static void
r12_rebuilt_with_a_new_column(void **state)
{
	(void)state;
	fill();
	node_plainly(path, "CREATE TABLE new_r(id TEXT PRIMARY KEY, x, y, z DEFAULT "
	    "7); INSERT INTO new_r SELECT *, iif(id < 'k05', 'z', 7) FROM r ORDER "
	    "BY rowid; DROP TABLE r; ALTER TABLE new_r RENAME TO r");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "4\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "cid = 'z'");
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN z DEFAULT 7");
	node_exec(&n[C], "ALTER TABLE r ADD COLUMN z DEFAULT 7");
	all_agree();
}

/* What waits for a column stays parked, and is applied when there is one. */
static void
r11_parked_rows_outlive_a_rebuild(void **state)
{
	(void)state;
	fill();
	node_exec(&n[B], "ALTER TABLE r ADD COLUMN z; "
	    "UPDATE r SET z = 'late' WHERE id = 'k40'");
	pull(A, B);
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_parked");
	node_plainly(path, REBUILD("*", "rowid"));
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM crsql_parked");
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN z; SELECT crsql_unpark()");
	node_expect(&n[A], "'late'\n", "SELECT z FROM r WHERE id = 'k40'");
	node_exec(&n[C], "ALTER TABLE r ADD COLUMN z");
	all_agree();
}

/* Rows replaced by REPLACE have other rowids without a rebuild. */
static void
replaced_rows_are_no_rebuild(void **state)
{
	int i;

	(void)state;
	fill();
	node_plainly(path, "INSERT OR REPLACE INTO r VALUES('k02', 5, 5); "
	    "CREATE INDEX r_x ON r(x)");
	node_exec(&n[A], "INSERT OR REPLACE INTO r VALUES('k01', 5, 5)");
	for (i = 0; i < 30; i++)
		node_exec(&n[A], "INSERT OR REPLACE INTO r VALUES('k%02d', 5, 5); "
		    "UPDATE r SET rowid = rowid + %d WHERE id = 'k%02d'; "
		    "CREATE INDEX r_%d ON r(y)", i % 7, 1000 * (i + 1), i + 5, i);
	/* folded by a look before the schema changes, or before a rollback */
	node_exec(&n[A], "BEGIN; INSERT OR REPLACE INTO r VALUES('k01', 6, 6); "
	    "SELECT count(*) FROM crsql_changes; CREATE INDEX r_a ON r(x, y); COMMIT; "
	    "BEGIN; INSERT OR REPLACE INTO r VALUES('k01', 7, 7); SELECT count(*) "
	    "FROM crsql_changes; SAVEPOINT s; UPDATE r SET x = 1; ROLLBACK TO s; "
	    "COMMIT; CREATE INDEX r_b ON r(y, x)");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "0\n", "SELECT crsql_repair()");
	all_agree();
}

/* A tool that makes the triggers again, too: no one knows when. */
static void
r12_rebuilt_with_its_triggers(void **state)
{
	(void)state;
	fill();
	node_plainly(path, "CREATE TABLE kept(sql); INSERT INTO kept SELECT sql FROM "
	    "sqlite_schema WHERE type = 'trigger'; " REBUILD("*", "id"));
	make_triggers();
	refused("INSERT INTO r VALUES('new', 1, 1)");
	refused("SELECT count(*) FROM crsql_changes");
	node_expect(&n[A], "1\n", "SELECT crsql_repair('r')");
	node_expect(&n[A], "0\n", "SELECT crsql_repair()");
	node_exec(&n[A], "INSERT INTO r VALUES('new', 1, 1)");
	ask_again();
	all_agree();
	node_expect(&n[B], "'mine'\n", "SELECT x FROM r WHERE id = 'k09'");
}

/* The same where it stands in the same place, and has the same text: a connection
 * that looked before is told as well. */
static void
r12_made_anew_with_the_same_text(void **state)
{
	char *place;

	(void)state;
	fill();
	place = node_rows(&n[A], "SELECT group_concat(rootpage), group_concat(sql) "
	    "FROM sqlite_schema WHERE tbl_name = 'r' AND type <> 'trigger'");
	node_plainly(path, "CREATE TABLE kept(sql); INSERT INTO kept SELECT sql FROM "
	    "sqlite_schema WHERE type = 'trigger'; CREATE TEMP TABLE old AS SELECT * "
	    "FROM r; DROP TABLE r; CREATE TABLE r(id TEXT PRIMARY KEY, x, y); "
	    "INSERT INTO r SELECT * FROM old ORDER BY id");
	make_triggers();
	node_expect(&n[A], place, "SELECT group_concat(rootpage), group_concat(sql) "
	    "FROM sqlite_schema WHERE tbl_name = 'r' AND type <> 'trigger'");
	sqlite3_free(place);
	refused("INSERT INTO r VALUES('new', 1, 1)");
	node_expect(&n[A], "1\n", "SELECT crsql_repair('r')");
	node_exec(&n[A], "INSERT INTO r VALUES('new', 1, 1)");
	ask_again();
	all_agree();
}

/* Who repairs one table is told of the next. */
static void
r12_two_rebuilt_with_their_triggers(void **state)
{
	int i;

	(void)state;
	node_exec(&n[A], "CREATE TABLE s(id TEXT PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('s'); INSERT INTO s VALUES('c', 1), ('b', 2), "
	    "('a', 3); UPDATE s SET x = 4 WHERE id = 'b'");
	fill();
	node_plainly(path, "CREATE TABLE kept(sql); INSERT INTO kept SELECT sql FROM "
	    "sqlite_schema WHERE type = 'trigger'; " REBUILD("*", "id")
	    "CREATE TABLE new_s(id TEXT PRIMARY KEY, x); INSERT INTO new_s SELECT * "
	    "FROM s ORDER BY id; DROP TABLE s; ALTER TABLE new_s RENAME TO s;");
	make_triggers();
	refused("INSERT INTO r VALUES('new', 1, 1)");
	node_expect(&n[A], "1\n", "SELECT crsql_repair('r')");
	for (i = 0; i < 2; i++) {
		refused("INSERT INTO s VALUES('new', 1)");
		refused("INSERT INTO r VALUES('new', 1, 1)");
		refused("SELECT count(*) FROM crsql_changes");
	}
	node_expect(&n[A], "1\n", "SELECT crsql_repair('s')");
	node_exec(&n[A], "INSERT INTO s VALUES('new', 1)");
	node_expect(&n[A], "", RUINED);
}

/* Tombstones that were forgotten name no rowids: of rows near them it is not known
 * which is which, and own edits win nevertheless. */
static void
r20_rebuilt_after_forgetting(void **state)
{
	(void)state;
	fill();
	pull(B, A);
	node_exec(&n[A], "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || "
	    "char(crsql_db_version()) AS BLOB))");
	node_expect(&n[A], "0\n", "SELECT count(*) FROM r__crsql_dead");
	node_exec(&n[A], "UPDATE r SET x = NULL WHERE id = 'k30'");
	node_plainly(path, REBUILD("*", "rowid"));
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1\n", MARKS);
	node_expect(&n[A], "", RUINED);
	node_exec(&n[A], "UPDATE r SET y = 'after' WHERE id = 'k31'");
	pull(B, A);
	pull(C, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[C], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[A], &n[C], CELLS);
	node_expect(&n[B], "36|1|1\n", "SELECT count(*), sum(x IS NULL), "
	    "sum(y = 'after') FROM r");
	node_expect(&n[B], "", RUINED);
}

/* The rowid that a forgotten row left makes up in number for a row that came: those
 * behind it must not get each other's clocks. */
static void
r20_forgotten_rowids_are_no_rows(void **state)
{
	(void)state;
	node_exec(&n[A], ROWS);
	/* behind the last row that is remembered */
	node_exec(&n[A], "INSERT INTO r SELECT 't' || y, 0, y FROM r WHERE y BETWEEN "
	    "1 AND 9 ORDER BY y");
	node_exec(&n[A], "UPDATE r SET x = 'mine' WHERE id = 't6'");
	node_exec(&n[A], "DELETE FROM r WHERE id IN ('t3', 'k17')");
	pull(B, A);
	node_exec(&n[A], "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || "
	    "char(crsql_db_version()) AS BLOB))");
	node_exec(&n[A], "UPDATE r SET x = 'more' WHERE id = 't6'");
	node_plainly(path, REBUILD("*", "rowid") "INSERT INTO r VALUES('new', 0, 0)");
	node_exec(&n[A], "SELECT crsql_fold()");
	node_expect(&n[A], "1\n", MARKS);
	node_expect(&n[A], "", RUINED);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM crsql_master WHERE key "
	    "GLOB 'left.*'");
	pull(B, A);
	node_expect(&n[B], "'more'\n", "SELECT x FROM r WHERE id = 't6'");
	nodes_agree(&n[A], &n[B], "SELECT * FROM r ORDER BY id");
}

/* Columns have no birthday any more, which other connections took note of. */
static void
r03_others_hear_of_a_repair(void **state)
{
	struct node beside;

	(void)state;
	node_exec(&n[A], ROWS);
	node_exec(&n[A], "ALTER TABLE r ADD COLUMN z");
	node_exec(&n[A], "INSERT INTO r VALUES('new', 0, 99, 'z')");
	node_exec(&n[A], "DELETE FROM r WHERE y < 9");
	node_plainly(path, "CREATE TABLE kept(sql); INSERT INTO kept SELECT sql FROM "
	    "sqlite_schema WHERE type = 'trigger'; CREATE TABLE new_r(id TEXT PRIMARY "
	    "KEY, x, y, z); INSERT INTO new_r SELECT * FROM r ORDER BY rowid; DROP "
	    "TABLE r; ALTER TABLE new_r RENAME TO r;");
	make_triggers();
	node_open(&beside, A, path);
	assert_int_not_equal(node_try(&beside, "%s", CELLS), SQLITE_OK);
	node_expect(&n[A], "1\n", "SELECT crsql_repair('r')");
	node_expect(&beside, "'z'\n", "SELECT val FROM crsql_changes WHERE cid = 'z'");
	nodes_agree(&n[A], &beside, CELLS);
	node_close(&beside);
}

/* -- copied as text -------------------------------------------------------------- */

/* A goes on with the copy of its file. */
static void
become_copy(void)
{
	struct node was;

	node_exec(&n[A], "SELECT crsql_fold()");
	node_copy_as_text(path, other);
	was = n[A];
	node_close(&n[A]);
	node_open(&n[A], A, other);
	memcpy(n[A].cursor, was.cursor, sizeof was.cursor);
	n[A].has = was.has;
	/* its log is another one */
	memset(n[B].cursor[A], 0, NODE_CURSOR);
	memset(n[C].cursor[A], 0, NODE_CURSOR);
}

static void
r16_a_copy_as_text_is_refused(void **state)
{
	struct buf plan;
	uint8_t *page = NULL;
	int len;

	(void)state;
	fill();
	node_plan(&n[B], n[B].cursor[A], &n[B].has, &plan);
	become_copy();
	refused("INSERT INTO r VALUES('new', 1, 1)");
	refused("UPDATE r SET x = 1");
	refused("SELECT count(*) FROM crsql_changes");
	assert_int_not_equal(node_export(&n[A], &plan, NULL, 1000, &page, &len), 0);
	assert_int_not_equal(node_change(&n[A], "r", "'k01'", "x", "5", 9, 9, S1, 1,
	    0), 0);
	node_expect(&n[A], "36\n", "SELECT count(*) FROM r");
	buf_clear(&plan);
}

static void
r16_a_copy_as_text_is_repaired(void **state)
{
	char *before, *site;

	(void)state;
	fill();
	before = cells(A);
	site = node_rows(&n[A], "SELECT crsql_site_id()");
	become_copy();
	node_expect(&n[A], "1\n", "SELECT crsql_repair()");
	node_expect(&n[A], before, CELLS);
	node_expect(&n[A], "0\n", "SELECT crsql_repair()");
	node_expect(&n[A], "1\n", "SELECT quote(crsql_site_id()) <> trim(%Q, "
	    "char(10))", site);
	node_expect(&n[A], "0\n", MARKS);
	sqlite3_free(before);
	sqlite3_free(site);
	node_exec(&n[A], "UPDATE r SET y = 'copy' WHERE id = 'k03'; "
	    "INSERT INTO r VALUES('copy', 1, 1)");
	all_agree();
}

/* Both go on: what each writes is its own. */
static void
r16_a_copy_as_text_is_a_second_life(void **state)
{
	(void)state;
	fill();
	pull(B, A);
	node_copy_as_text(path, other);
	node_exec(&n[A], "UPDATE r SET x = 'first life' WHERE id = 'k11'");
	pull(B, A);
	node_close(&n[C]);
	node_open(&n[C], C, other);
	node_expect(&n[C], "1\n", "SELECT crsql_repair('r')");
	node_exec(&n[C], "UPDATE r SET x = 'second life' WHERE id = 'k12'");
	pull(B, C);
	pull(C, B);
	pull(A, B);
	node_expect(&n[B], "'first life'\n'second life'\n", "SELECT x FROM r WHERE "
	    "id IN ('k11', 'k12') ORDER BY 1");
	nodes_agree(&n[A], &n[B], CELLS);
	nodes_agree(&n[C], &n[B], CELLS);
	node_expect(&n[C], "", RUINED);
}

/* Rowids that are keys are not given out anew. */
static void
r16_a_copy_of_integer_keys(void **state)
{
	(void)state;
	node_exec(&n[A], "CREATE TABLE i(id INTEGER PRIMARY KEY, x); "
	    "SELECT crsql_as_crr('i'); INSERT INTO i VALUES(3, 3), (7, 7), (9, 9); "
	    "UPDATE i SET x = 8 WHERE id = 7; DELETE FROM i WHERE id = 3");
	become_copy();
	refused("INSERT INTO i VALUES(4, 4)");
	node_expect(&n[A], "0\n", "SELECT crsql_repair()");
	node_exec(&n[A], "INSERT INTO i VALUES(4, 4)");
	node_expect(&n[A], "1\n2\n1\n", "SELECT col_version FROM crsql_changes WHERE "
	    "cid = 'x' ORDER BY pk");
	node_expect(&n[A], "", RUINED);
}

/* All or nothing, inside the caller's transaction too. */
static void
repair_is_undone_by_a_rollback(void **state)
{
	char *before;

	(void)state;
	fill();
	before = cells(A);
	become_copy();
	node_exec(&n[A], "BEGIN; SELECT crsql_repair(); ROLLBACK");
	refused("INSERT INTO r VALUES('new', 1, 1)");
	assert_int_not_equal(node_try(&n[A], "SELECT crsql_repair('nothing')"), 0);
	refused("INSERT INTO r VALUES('new', 1, 1)");
	node_expect(&n[A], "1\n", "SELECT crsql_repair()");
	node_expect(&n[A], before, CELLS);
	sqlite3_free(before);
	all_agree();
}

/* -- inside an alter --------------------------------------------------------------- */

static void
r12_rebuilt_inside_an_alter(void **state)
{
	(void)state;
	fill();
	node_exec(&n[A], "SELECT crsql_begin_alter('r'); "
	    "UPDATE r SET x = 'before' WHERE id = 'k33';"
	    REBUILD("*", "id DESC")
	    "UPDATE r SET y = 'after' WHERE id = 'k34'; "
	    "DELETE FROM r WHERE id = 'k35'; "
	    "SELECT crsql_commit_alter('r')");
	node_expect(&n[A], "0\n", MARKS);
	all_agree();
	node_expect(&n[B], "'k09'|'mine'|3\n'k33'|'before'|2\n", "SELECT r.id, val, "
	    "col_version FROM crsql_changes c JOIN r ON c.pk = "
	    "crsql_pack_columns(r.id) WHERE cid = 'x' AND r.id IN ('k33', 'k09') "
	    "ORDER BY 1");
	node_expect(&n[B], "'after'|2\n", "SELECT val, col_version FROM "
	    "crsql_changes WHERE cid = 'y' AND pk = crsql_pack_columns('k34')");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM r WHERE id = 'k35'");
}

/* Rows that the copying left out are deleted. */
static void
r12_rebuilt_inside_an_alter_with_fewer_rows(void **state)
{
	(void)state;
	fill();
	node_exec(&n[A], "SELECT crsql_begin_alter('r'); "
	    "CREATE TABLE new_r(id TEXT PRIMARY KEY, x, y); INSERT INTO new_r "
	    "SELECT * FROM r WHERE id > 'k10' ORDER BY id DESC; INSERT INTO new_r "
	    "VALUES('came', 1, 1), ('k17', 2, 2); DROP TABLE r; "
	    "ALTER TABLE new_r RENAME TO r; SELECT crsql_commit_alter('r')");
	all_agree();
	node_expect(&n[B], "'came'\n'k11'\n", "SELECT id FROM r WHERE id < 'k12' "
	    "ORDER BY id");
	node_expect(&n[B], "2|3\n", "SELECT val, cl FROM crsql_changes WHERE "
	    "cid = 'x' AND pk = crsql_pack_columns('k17')");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r12_rebuilt_without_gaps),
		TEST(r12_rebuilt_and_read),
		TEST(r12_rebuilt_between_writes),
		TEST(r12_rebuilt_in_another_order),
		TEST(r12_rebuilt_in_another_order_and_fresh),
		TEST(r12_rebuilt_with_other_values),
		TEST(r12_rebuilt_with_a_new_column),
		TEST(r11_parked_rows_outlive_a_rebuild),
		TEST(replaced_rows_are_no_rebuild),
		TEST(r12_rebuilt_with_its_triggers),
		TEST(r12_made_anew_with_the_same_text),
		TEST(r12_two_rebuilt_with_their_triggers),
		TEST(r20_rebuilt_after_forgetting),
		TEST(r20_forgotten_rowids_are_no_rows),
		TEST(r03_others_hear_of_a_repair),
		TEST(r16_a_copy_as_text_is_refused),
		TEST(r16_a_copy_as_text_is_repaired),
		TEST(r16_a_copy_as_text_is_a_second_life),
		TEST(r16_a_copy_of_integer_keys),
		TEST(repair_is_undone_by_a_rollback),
		TEST(r12_rebuilt_inside_an_alter),
		TEST(r12_rebuilt_inside_an_alter_with_fewer_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_anew.c - a table that is written and made anew in one transaction, as tools
 * do that know nothing of crsql_begin_alter: what waits to be told speaks of rows as
 * they were before, and others are told of the right ones.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS "SELECT k, a, b FROM t ORDER BY k"

static const struct shape {
	const char *columns, *tail;
} shapes[] = {
	{ "k TEXT PRIMARY KEY NOT NULL, a, b", "" },
	{ "k NOT NULL, a, b, PRIMARY KEY(k)", "" },
	{ "k TEXT PRIMARY KEY NOT NULL, a, b", "WITHOUT ROWID" },
	{ "k INTEGER PRIMARY KEY NOT NULL, a, b", "" },
};

static const char *const ways[] = {
	"SELECT 1",
	"SELECT crsql_config_set('capture', 'journal')",
	"SELECT crsql_config_set('plain-writers', 0)",
	"SELECT crsql_config_set('fold-at', 2)",
};

enum { SHAPES = sizeof shapes / sizeof *shapes, WAYS = sizeof ways / sizeof *ways,
	JOURNAL = 1 };

/* Keys are 1 to 6; some rows have left the rowids they began with. */
static void
open_both(const struct shape *s, const char *way)
{
	nodes_open(n, 2, "SELECT 1");
	node_exec(&n[A], "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns,
	    s->tail);
	node_exec(&n[B], "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns,
	    s->tail);
	node_exec(&n[A], "%s", way);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), "
	    "(5, 5, 5); DELETE FROM t WHERE k = 1; INSERT INTO t VALUES(1, 10, 10), "
	    "(6, 6, 6); UPDATE t SET a = 33 WHERE k = 3; DELETE FROM t WHERE k = 5");
	meet(ROWS);
}

/* Others learn the same by pages and by crsql_changes. */
static void
compare_all(const struct shape *s)
{
	struct node *c = &n[C];

	meet(ROWS);
	node_open(c, C, NULL);
	node_exec(c, "CREATE TABLE t(%s) %s; SELECT crsql_as_crr('t')", s->columns, s->tail);
	node_pull_changes(c, &n[A], true);
	nodes_agree(&n[A], c, ROWS);
	node_close(c);
	/* rows go on being the ones they are */
	node_exec(&n[A], "UPDATE t SET b = 'on' WHERE k <> 4; DELETE FROM t WHERE k = 3");
	node_exec(&n[B], "UPDATE t SET a = 'B' WHERE k IN (2, 4, 6)");
	meet(ROWS);
}

static void
each_way(void (*play)(const struct shape *s, const char *way))
{
	int i;

	for (i = 0; i < SHAPES * WAYS; i++)
		if (!is_left_out())
			play(&shapes[i % SHAPES], ways[i / SHAPES]);
}

/* Rows get other rowids; by the first one they keep their order. */
static const char *const orders[] = { "(SELECT 1)", "k DESC", "b, k", "k % 3, k" };
enum { ORDERS = sizeof orders / sizeof *orders };

/* Makes t anew: the new table is made first, or beforehand. */
static void
make_anew(const struct shape *s, const char *order, bool there)
{
	if (!there)
		node_exec(&n[A], "CREATE TABLE n(%s) %s", s->columns, s->tail);
	node_exec(&n[A], "INSERT INTO n SELECT k, a, b FROM t ORDER BY %s; DROP TABLE t; ALTER "
	    "TABLE n RENAME TO t", order);
}

static void
one_way(const struct shape *s, const char *way, const char *order, bool there,
    const char *before, const char *behind)
{
	print_message("# t(%s) %s: %s, ORDER BY %s%s\n", s->columns, s->tail, way, order,
	    there ? ", made before" : "");
	open_both(s, way);
	node_exec(&n[A], "BEGIN");
	if (there)
		node_exec(&n[A], "CREATE TABLE n(%s) %s", s->columns, s->tail);
	node_exec(&n[A], "%s", before);
	make_anew(s, order, there);
	node_exec(&n[A], "%s; COMMIT", behind);
	compare_all(s);
	nodes_close(n, 2);
}

static void
try_orders(int norders, const char *before, const char *behind)
{
	int i;

	for (i = 0; i < SHAPES * WAYS * norders; i++)
		if (!is_left_out())
			one_way(&shapes[i % SHAPES], ways[i / SHAPES % WAYS],
			    orders[i / SHAPES / WAYS], (i / SHAPES + i / SHAPES / WAYS) % 2,
			    before, behind);
}

static void
try_with(const char *before, const char *behind)
{
	try_orders(ORDERS, before, behind);
}

static void
deleted_and_inserted_before(void **state)
{
	(void)state;
	try_with("DELETE FROM t WHERE k = 2; INSERT INTO t VALUES(2, 'again', 22)", "");
	try_with("DELETE FROM t WHERE k = 6; INSERT INTO t VALUES(5, 'again', 22), (9, 9, 9), "
	    "(0, 0, 0); DELETE FROM t WHERE k = 4", "");
}

static void
inserted_before(void **state)
{
	(void)state;
	try_with("INSERT INTO t VALUES(8, 8, 8), (7, 7, 7), (-1, 0, 0); UPDATE t SET a = "
	    "'x' WHERE k = 7", "");
	try_with("INSERT INTO t VALUES(5, 'again', 8), (7, 7, 7); DELETE FROM t WHERE k = 7", "");
}

static void
updated_before(void **state)
{
	(void)state;
	try_with("UPDATE t SET a = 'x' WHERE k IN (1, 3)", "");
	try_with("UPDATE t SET k = 8 WHERE k = 2; UPDATE t SET k = 5 WHERE k = 6", "");
	try_with("REPLACE INTO t VALUES(2, 'r', 'r'), (7, 'r', 'r')", "");
}

static void
deleted_before_and_inserted_behind(void **state)
{
	(void)state;
	try_with("DELETE FROM t WHERE k = 2", "INSERT INTO t VALUES(2, 'again', 22)");
	/* else few samples can't tell that the order is another one (remap.h) */
	try_orders(1, "INSERT INTO t VALUES(7, 7, 7)", "DELETE FROM t WHERE k = 7");
	try_with("DELETE FROM t WHERE k = 2; INSERT INTO t VALUES(2, 'again', 22)",
	    "DELETE FROM t WHERE k = 2");
}

/* What a transaction is made of, where %s are the table's columns and tail. */
struct tale {
	const char *earlier, *sql;
	const char *peer;       /* what the other one does beside it, or NULL */
};

static void
tell(const struct shape *s, const char *way, const struct tale *tale)
{
	char *columns = sqlite3_mprintf("n(%s) %s", s->columns, s->tail);
	char *earlier = sqlite3_mprintf(tale->earlier, columns);
	char *sql = sqlite3_mprintf(tale->sql, columns, columns);

	print_message("# t(%s) %s: %s: %s; %s\n", s->columns, s->tail, way, earlier, sql);
	open_both(s, way);
	node_exec(&n[A], "%s", earlier);
	node_exec(&n[A], "BEGIN; %s; COMMIT", sql);
	if (tale->peer != NULL)
		node_exec(&n[B], "%s", tale->peer);
	compare_all(s);
	nodes_close(n, 2);
	sqlite3_free(columns);
	sqlite3_free(earlier);
	sqlite3_free(sql);
}

static void
tell_all(const struct tale *tale, int n_tales)
{
	int i;

	for (i = 0; i < n_tales * SHAPES * WAYS; i++)
		if (!is_left_out())
			tell(&shapes[i % SHAPES], ways[i / SHAPES % WAYS],
			    &tale[i / SHAPES / WAYS]);
}

#define WRITE "DELETE FROM t WHERE k = 2; INSERT INTO t VALUES(2, 'again', 22), (7, 7, 7); " \
	"UPDATE t SET a = 'u' WHERE k = 3; "
#define COPY(order) "INSERT INTO n SELECT k, a, b FROM t ORDER BY " order "; DROP TABLE t; " \
	"ALTER TABLE n RENAME TO t"

static void
the_new_one_is_older(void **state)
{
	static const struct tale tale[] = {
		{ "CREATE TABLE %s", WRITE COPY("k DESC") },
		{ "CREATE TABLE %s", WRITE COPY("(SELECT 1)") },
		{ "CREATE TABLE %s", WRITE COPY("b, k") "; UPDATE t SET b = 'behind' WHERE "
		    "k = 2" },
	};

	(void)state;
	tell_all(tale, 3);
}

static void
altered_before_the_copy(void **state)
{
	static const struct tale tale[] = {
		{ "SELECT 1", WRITE "ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t RENAME "
		    "COLUMN c TO b; CREATE TABLE %s; " COPY("k DESC") },
		{ "SELECT 1", "CREATE TABLE %s; " WRITE "ALTER TABLE t RENAME COLUMN b TO c; "
		    "ALTER TABLE t RENAME COLUMN c TO b; UPDATE t SET b = 'x' WHERE k = 7; "
		    COPY("k %% 3, k") },
	};

	(void)state;
	tell_all(tale, 2);
}

static void
replaced_and_not_copied(void **state)
{
	static const struct tale tale[] = {
		{ "SELECT 1", "REPLACE INTO t VALUES(2, 'r', 'r'), (7, 7, 7); CREATE TABLE %s; "
		    "INSERT INTO n SELECT k, a, b FROM t WHERE k <> 2 ORDER BY k; DROP TABLE t; "
		    "ALTER TABLE n RENAME TO t" },
		{ "SELECT 1", "REPLACE INTO t VALUES(2, 'r', 'r'), (7, 7, 7); CREATE TABLE %s; "
		    "INSERT INTO n SELECT k, a, b FROM t WHERE k <> 7 ORDER BY k DESC; DROP TABLE t; "
		    "ALTER TABLE n RENAME TO t" },
	};

	(void)state;
	tell_all(tale, 2);
}

static void
made_anew_twice(void **state)
{
	static const struct tale tale[] = {
		{ "SELECT 1", "SELECT crsql_begin_alter('t'); " WRITE "CREATE TABLE %s; " COPY("k DESC")
		    "; UPDATE t SET b = 'between' WHERE k = 1; INSERT INTO t VALUES(8, 8, 8); "
		    "DELETE FROM t WHERE k = 4; CREATE TABLE %s; " COPY("k %% 3, k")
		    "; UPDATE t SET a = 'behind' WHERE k = 2; SELECT crsql_commit_alter('t')" },
		{ "SELECT 1", WRITE "CREATE TABLE %s; " COPY("k DESC")
		    "; UPDATE t SET b = 'between' WHERE k = 1; CREATE TABLE %s; "
		    COPY("k %% 3, k") },
	};

	(void)state;
	tell_all(tale, 2);
}

/* The statement that drops is undone, and with it what was folded for it. */
static void
the_drop_fails_or_is_taken_back(void **state)
{
	static const struct tale tale[] = {
		{ "CREATE TABLE %s", WRITE "INSERT INTO n SELECT k, a, b FROM t ORDER BY k DESC; "
		    "SAVEPOINT s; DROP TABLE t; ALTER TABLE n RENAME TO t; UPDATE t SET a = 'no'; "
		    "ROLLBACK TO s; UPDATE t SET b = 'yes' WHERE k = 7; DROP TABLE n" },
		{ "CREATE TABLE %s", WRITE "SAVEPOINT s; " COPY("k DESC") "; UPDATE t SET a = 'no'; "
		    "ROLLBACK TO s; UPDATE t SET b = 'yes' WHERE k = 7; " COPY("k %% 3, k") },
	};

	(void)state;
	tell_all(tale, 2);
}

static void
drop_while_reading(const struct shape *s, const char *way)
{
	sqlite3_stmt *reader;

	open_both(s, way);
	node_exec(&n[A], "CREATE TABLE n(%s) %s; BEGIN; " WRITE "INSERT INTO n SELECT k, a, b "
	    "FROM t ORDER BY k DESC", s->columns, s->tail);
	assert_int_equal(SQLITE_OK, sqlite3_prepare_v2(n[A].db, "SELECT * FROM n", -1, &reader,
	    NULL));
	assert_int_equal(SQLITE_ROW, sqlite3_step(reader));
	assert_int_equal(SQLITE_LOCKED, node_try(&n[A], "DROP TABLE t"));
	sqlite3_finalize(reader);
	node_exec(&n[A], "UPDATE t SET b = 'on' WHERE k = 7; DELETE FROM t WHERE k = 1; COMMIT");
	compare_all(s);
	nodes_close(n, 2);
}

static void
the_drop_is_refused(void **state)
{
	(void)state;
	each_way(drop_while_reading);
}

/* However the name is written. */
static void
names_of_the_dropped(void **state)
{
	static const char *const how[] = {
		"DROP TABLE t", "drop/**/table -- x\n IF  EXISTS \"T\"", "DROP TABLE main.[t]",
		" DROP TABLE `main` . 't'",
	};
	const struct shape *s = &shapes[0];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof how / sizeof *how; i++) {
		open_both(s, ways[0]);
		node_exec(&n[A], "CREATE TABLE n(%s); BEGIN; " WRITE "INSERT INTO n SELECT k, a, b "
		    "FROM t ORDER BY k DESC; %s; ALTER TABLE n RENAME TO t; COMMIT", s->columns,
		    how[i]);
		compare_all(s);
		nodes_close(n, 2);
	}
}

/* Of two tables of one name it is the TEMP one, unless the statement says main. */
static void
another_of_that_name(const struct shape *s, const char *way)
{
	print_message("# t(%s) %s: %s\n", s->columns, s->tail, way);
	open_both(s, way);
	node_exec(&n[A], "CREATE TABLE other(x); BEGIN; UPDATE t SET a = 'x' WHERE k = 6; INSERT "
	    "INTO other VALUES(1); CREATE TEMP TABLE t(x); DROP TABLE t; DELETE FROM t WHERE k = 2; "
	    "COMMIT");
	compare_all(s);
	node_exec(&n[A], "CREATE TEMP TABLE t(x); CREATE TABLE n(%s) %s; BEGIN; UPDATE main.t SET "
	    "b = 'y' WHERE k = 6; INSERT INTO n SELECT k, a, b FROM main.t WHERE k <> 1 ORDER BY k "
	    "DESC; DROP TABLE main.t; DROP TABLE t; ALTER TABLE n RENAME TO t; DELETE FROM t WHERE "
	    "k = 4; COMMIT", s->columns, s->tail);
	compare_all(s);
	nodes_close(n, 2);
}

static void
a_temp_table_has_that_name(void **state)
{
	(void)state;
	each_way(another_of_that_name);
}

#define TWO "SELECT 't', * FROM t UNION ALL SELECT 'u', * FROM u ORDER BY 1, 2"

/* Tools make several tables anew in one transaction; the second is written behind the
 * first. */
static void
two_in_one(const struct shape *s, const struct shape *other, const char *way)
{
	print_message("# t(%s) %s, u(%s) %s: %s\n", s->columns, s->tail, other->columns,
	    other->tail, way);
	open_both(s, way);
	nodes_exec(n, 2, "SELECT 1");
	node_exec(&n[A], "CREATE TABLE u(%s) %s; SELECT crsql_as_crr('u')", other->columns,
	    other->tail);
	node_exec(&n[B], "CREATE TABLE u(%s) %s; SELECT crsql_as_crr('u')", other->columns,
	    other->tail);
	node_exec(&n[A], "INSERT INTO u VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3)");
	meet(TWO);
	node_exec(&n[A], "CREATE TABLE n(%s) %s; CREATE TABLE m(%s) %s", s->columns, s->tail,
	    other->columns, other->tail);
	node_exec(&n[A], "BEGIN; " WRITE "INSERT INTO n SELECT k, a, b FROM t ORDER BY k DESC; "
	    "DROP TABLE t; ALTER TABLE n RENAME TO t; UPDATE t SET a = 'n' WHERE k = 4; "
	    "DELETE FROM u WHERE k = 2; INSERT INTO u VALUES(2, 'again', 0), (9, 9, 9); INSERT "
	    "INTO m SELECT k, a, b FROM u WHERE k <> 3 ORDER BY k DESC; DROP TABLE u; ALTER "
	    "TABLE m RENAME TO u; UPDATE u SET b = 'm' WHERE k = 9; COMMIT");
	meet(TWO);
	nodes_close(n, 2);
}

static void
two_tables_in_one_transaction(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < SHAPES * SHAPES * WAYS; i++)
		if (!is_left_out())
			two_in_one(&shapes[i % SHAPES], &shapes[i / SHAPES % SHAPES],
			    ways[i / SHAPES / SHAPES]);
}

/* Two are gone before one comes back. */
static void
both_gone(const struct shape *s, const char *way, const char *between)
{
	print_message("# t, u(%s) %s: %s; %s\n", s->columns, s->tail, way, between);
	open_both(s, way);
	node_exec(&n[A], "CREATE TABLE u(%s) %s; SELECT crsql_as_crr('u'); INSERT INTO u "
	    "VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3)", s->columns, s->tail);
	node_exec(&n[B], "CREATE TABLE u(%s) %s; SELECT crsql_as_crr('u')", s->columns, s->tail);
	meet(TWO);
	node_exec(&n[A], "BEGIN; " WRITE "DELETE FROM u WHERE k = 2; INSERT INTO u VALUES(2, "
	    "'again', 0), (9, 9, 9); CREATE TABLE n(%s) %s; CREATE TABLE m(%s) %s; INSERT INTO "
	    "n SELECT k, a, b FROM t ORDER BY k DESC; INSERT INTO m SELECT k, a, b FROM u "
	    "ORDER BY k DESC; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS none; DROP TABLE "
	    "IF EXISTS u; ALTER TABLE m RENAME TO u; %s; ALTER TABLE n RENAME TO t; UPDATE t "
	    "SET b = 'x' WHERE k = 7; DELETE FROM u WHERE k = 3; COMMIT", s->columns, s->tail,
	    s->columns, s->tail, between);
	meet(TWO);
	node_exec(&n[A], "UPDATE t SET b = 'on' WHERE k <> 4; DELETE FROM u WHERE k = 9");
	meet(TWO);
	nodes_close(n, 2);
}

static void
both_gone_and_written(const struct shape *s, const char *way)
{
	both_gone(s, way, "SELECT 1");
	both_gone(s, way, "UPDATE u SET b = 'between' WHERE k = 9; DELETE FROM u WHERE k = 1; "
	    "INSERT INTO u VALUES(8, 8, 8)");
}

static void
two_dropped_before_one_is_back(void **state)
{
	(void)state;
	each_way(both_gone_and_written);
}

/* SQLite deletes the rows of a table that others refer to, then drops it; or refuses
 * to, and takes that back. */
static void
others_refer_to_it(const struct shape *s, const char *way, bool refused)
{
	print_message("# t(%s) %s: %s%s\n", s->columns, s->tail, way, refused ? ", refused" : "");
	open_both(s, way);
	node_exec(&n[A], "PRAGMA foreign_keys = on; CREATE TABLE child(x, r REFERENCES t(k) ON "
	    "DELETE %s); INSERT INTO child SELECT 1, k FROM t WHERE k IN (3, 4); CREATE TABLE n(%s) %s",
	    refused ? "RESTRICT" : "CASCADE", s->columns, s->tail);
	node_exec(&n[A], "BEGIN; " WRITE "INSERT INTO n SELECT k, a, b FROM t ORDER BY k DESC");
	if (refused)
		assert_int_equal(SQLITE_CONSTRAINT, node_try(&n[A], "DROP TABLE t") & 0xFF);
	else
		node_exec(&n[A], "DROP TABLE t; ALTER TABLE n RENAME TO t");
	node_exec(&n[A], "UPDATE t SET b = 'behind' WHERE k = 4; DELETE FROM t WHERE k = 1; "
	    "COMMIT; PRAGMA foreign_keys = off");
	compare_all(s);
	nodes_close(n, 2);
}

static void
others_refer(const struct shape *s, const char *way)
{
	others_refer_to_it(s, way, false);
	others_refer_to_it(s, way, true);
}

static void
rows_are_deleted_by_the_drop(void **state)
{
	(void)state;
	each_way(others_refer);
}

static void
refer_to_its_rows(const struct shape *s, const char *way, const char *what)
{
	static const char look[] = "SELECT pk, cid, val, col_version, cl FROM crsql_changes "
	    "WHERE cid IN ('r', '-1') ORDER BY 1, 2";
	char *before;

	print_message("# t(%s) %s: %s, ON DELETE %s\n", s->columns, s->tail, way, what);
	open_both(s, way);
	node_exec(&n[A], "ALTER TABLE t ADD COLUMN r REFERENCES t(k) ON DELETE %s", what);
	node_exec(&n[B], "ALTER TABLE t ADD COLUMN r REFERENCES t(k) ON DELETE %s", what);
	node_exec(&n[A], "UPDATE t SET r = k - 1 WHERE k IN (2, 3, 4)");
	before = node_rows(&n[A], "%s", look);
	node_exec(&n[A], "PRAGMA foreign_keys = on; BEGIN; UPDATE t SET b = 'x' WHERE k < 4; "
	    "CREATE TABLE n(%s) %s; ALTER TABLE n ADD COLUMN r REFERENCES n(k) ON DELETE %s; "
	    "INSERT INTO n SELECT * FROM t ORDER BY k; DROP TABLE t; ALTER TABLE n RENAME TO t; "
	    "COMMIT; PRAGMA foreign_keys = off", s->columns, s->tail, what);
	node_expect(&n[A], before, "%s", look);
	sqlite3_free(before);
	meet("SELECT k, a, b, r FROM t ORDER BY k");
	nodes_close(n, 2);
}

static void
all_refer_to_its_rows(const struct shape *s, const char *way)
{
	refer_to_its_rows(s, way, "SET NULL");
	refer_to_its_rows(s, way, "CASCADE");
}

/* As SQLite deletes rows it does what follows to those of the same table that refer to
 * them; not so to those of the copy. */
static void
its_rows_refer_to_its_rows(void **state)
{
	(void)state;
	each_way(all_refer_to_its_rows);
}

/* It is the same table by then. */
static void
its_key_is_renamed_behind(void **state)
{
	static const char look[] = "SELECT pk, cid, col_version, db_version FROM "
	    "crsql_changes ORDER BY 1, 2";
	const struct shape *s = &shapes[3];
	char *before;
	int i;

	(void)state;
	for (i = 0; i < WAYS; i++) {
		if (i == JOURNAL)
			continue;       /* the copy alone is nothing that is noticed */
		open_both(s, ways[i]);
		before = node_rows(&n[A], "%s", look);
		node_exec(&n[A], "BEGIN; CREATE TABLE n(%s); " COPY("k DESC") "; ALTER TABLE t RENAME "
		    "COLUMN k TO id; COMMIT", s->columns);
		node_expect(&n[A], before, "%s", look);
		sqlite3_free(before);
		nodes_close(n, 2);
	}
}

/* A program goes on to change the table that it made anew: triggers that name its
 * columns would hinder it. */
static void
its_columns_are_changed_behind(void **state)
{
	static const struct tale tale[] = {
		{ "SELECT 1", WRITE "CREATE TABLE %s; " COPY("k DESC") "; UPDATE t SET b = 'gone' WHERE "
		    "k = 3; ALTER TABLE t DROP COLUMN b; UPDATE t SET a = 'behind' WHERE k = 7; "
		    "DELETE FROM t WHERE k = 1; ALTER TABLE t ADD COLUMN b; UPDATE t SET b = 'new' "
		    "WHERE k = 2; REPLACE INTO t VALUES(8, 8, 8)",
		    "SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD "
		    "COLUMN b; SELECT crsql_commit_alter('t')" },
		{ "SELECT 1", WRITE "CREATE TABLE %s; " COPY("k DESC") "; ALTER TABLE t RENAME COLUMN "
		    "b TO c; UPDATE t SET c = 'behind' WHERE k = 7; ALTER TABLE t RENAME COLUMN c "
		    "TO b; CREATE TABLE %s; " COPY("k %% 3, k") "; ALTER TABLE t ADD COLUMN d; "
		    "INSERT INTO t VALUES(8, 8, 8, 8); ALTER TABLE t DROP COLUMN d; UPDATE t SET "
		    "a = 'last' WHERE k = 3", NULL },
	};

	(void)state;
	tell_all(tale, 2);
}

static int
deny_triggers(void *unused, int action, const char *a, const char *b, const char *c,
    const char *d)
{
	return action == SQLITE_CREATE_TRIGGER ? SQLITE_DENY : SQLITE_OK;
}

/* SQLite would roll all back if RENAME failed: the commit does. */
static void
fold_fails(const struct shape *s, const char *way, const char *end)
{
	int rc;

	print_message("# t(%s) %s: %s; %s\n", s->columns, s->tail, way, end);
	open_both(s, way);
	node_exec(&n[A], "BEGIN; " WRITE "CREATE TABLE n(%s) %s; INSERT INTO n SELECT k, a, b FROM "
	    "t ORDER BY k DESC; DROP TABLE t", s->columns, s->tail);
	sqlite3_set_authorizer(n[A].db, deny_triggers, NULL);
	node_exec(&n[A], "ALTER TABLE n RENAME TO t");
	sqlite3_set_authorizer(n[A].db, NULL, NULL);
	node_exec(&n[A], "UPDATE t SET a = 'no' WHERE k = 3");
	assert_int_not_equal(SQLITE_OK, node_try(&n[A], "SELECT count(*) FROM crsql_changes"));
	rc = node_try(&n[A], "%s", end);
	if (strcmp(end, "COMMIT") == 0) {
		assert_int_equal(SQLITE_ERROR, rc);
		assert_non_null(strstr(sqlite3_errmsg(n[A].db), "not authorized"));
	} else
		assert_int_equal(SQLITE_OK, rc);
	assert_true(sqlite3_get_autocommit(n[A].db));
	/* nothing is left of it */
	meet(ROWS);
	node_exec(&n[A], "BEGIN; " WRITE "CREATE TABLE n(%s) %s; " COPY("k DESC") "; COMMIT",
	    s->columns, s->tail);
	compare_all(s);
	nodes_close(n, 2);
}

static void
fold_fails_at_each_end(const struct shape *s, const char *way)
{
	fold_fails(s, way, "COMMIT");
	fold_fails(s, way, "ROLLBACK");
}

static void
the_fold_behind_it_fails(void **state)
{
	(void)state;
	each_way(fold_fails_at_each_end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_new_one_is_older),
		cmocka_unit_test(altered_before_the_copy),
		cmocka_unit_test(replaced_and_not_copied),
		cmocka_unit_test(made_anew_twice),
		cmocka_unit_test(the_drop_fails_or_is_taken_back),
		cmocka_unit_test(the_drop_is_refused),
		cmocka_unit_test(names_of_the_dropped),
		cmocka_unit_test(a_temp_table_has_that_name),
		cmocka_unit_test(two_tables_in_one_transaction),
		cmocka_unit_test(two_dropped_before_one_is_back),
		cmocka_unit_test(rows_are_deleted_by_the_drop),
		cmocka_unit_test(its_rows_refer_to_its_rows),
		cmocka_unit_test(its_key_is_renamed_behind),
		cmocka_unit_test(its_columns_are_changed_behind),
		cmocka_unit_test(the_fold_behind_it_fails),
		cmocka_unit_test(deleted_and_inserted_before),
		cmocka_unit_test(inserted_before),
		cmocka_unit_test(updated_before),
		cmocka_unit_test(deleted_before_and_inserted_behind),
	};

	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

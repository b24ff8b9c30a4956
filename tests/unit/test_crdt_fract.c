// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_fract.c - ordered lists: keys between keys, in C and in the triggers'
 * SQL, and what stands in the schema for them.  FRACT_PAIRS: how many random
 * pairs are tried.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TODO "CREATE TABLE todo(id INTEGER PRIMARY KEY NOT NULL, list, " \
	"pos TEXT, what TEXT, done INTEGER NOT NULL DEFAULT 0); "
#define ORDERED "SELECT crsql_fract_as_ordered('todo', 'pos', 'list'); "
#define LIST "SELECT list, group_concat(id, ' ') FROM (SELECT * FROM todo " \
	"ORDER BY list, pos, id) GROUP BY list"
#define OBJECTS "SELECT name, tbl_name FROM sqlite_schema WHERE name LIKE " \
	"'%%fractindex%%' ORDER BY replace(tbl_name, '_fractindex', ''), name"

static struct group group = { .count = 2, .sql =
	TODO "SELECT crsql_as_crr('todo'); " ORDERED };

static void
refused(const char *text, const char *sql)
{
	int rc = node_try(&n[A], "%s", sql);

	if (rc == SQLITE_OK || strcmp(sqlite3_errmsg(n[A].db), text) != 0)
		fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(n[A].db));
}

/* -- keys ------------------------------------------------------------------------ */

static void
keys_are_those_of_cr_sqlite(void **state)
{
	static const char *const example[][3] = {
		{ "NULL", "NULL", "'a '\n" }, { "NULL", "'a '", "'Z~'\n" },
		{ "'a '", "NULL", "'a!'\n" }, { "'a0'", "'a1'", "'a0P'\n" },
		{ "'a0V'", "'a1'", "'a0k'\n" }, { "'Z~'", "'a!'", "'a '\n" },
		{ "NULL", "'b999'", "'b99'\n" }, { "'a0'", "'a0V'", "'a0;'\n" },
		{ "'Z~'", "NULL", "'a '\n" }, { "'b~~'", "NULL", "'c   '\n" },
		{ "NULL", "'Y  '", "'X~~~'\n" }, { "'a0~'", "'a1'", "'a0~P'\n" },
		{ "'a0'", "'a0!'", "'a0 P'\n" }, { "'a0'", "'a0!!'", "'a0!'\n" },
		{ "'a0 !'", "'a0!'", "'a0 P'\n" },
		{ "'z~~~~~~~~~~~~~~~~~~~~~~~~~~'", "NULL",
		    "'z~~~~~~~~~~~~~~~~~~~~~~~~~~P'\n" },
		{ "NULL", "'A                          !'",
		    "'A                           P'\n" },
		/* no key is 'A' and zeros alone: room is left before it */
		{ "NULL", "'A                         !'",
		    "'A                          P'\n" },
	};
	size_t i;

	for (i = 0; i < sizeof example / sizeof *example; i++)
		node_expect(&n[A], example[i][2],
		    "SELECT crsql_fract_key_between(%s, %s)", example[i][0],
		    example[i][1]);
}

static void
what_is_no_key_is_refused(void **state)
{
	static const char *const wrong[][3] = {
		{ "'a0'", "'a0'", "key_between - a must be before b" },
		{ "'a1'", "'a0'", "key_between - a must be before b" },
		{ "''", "NULL", "an empty text is no fractional key" },
		{ "NULL", "x''", "an empty text is no fractional key" },
		{ "NULL", "'1'", "head is out of range" },
		{ "5", "NULL", "head is out of range" },
		{ "'b0'", "NULL", "integer part of key is too long" },
		{ "'A                          '", "NULL", "Key is too small" },
		{ "'a00 '", "NULL",
		    "Fractional part should not end with ' ' (space)" },
		{ "'a0' || char(233)", "NULL", "invalid digit" },
		{ "'a0' || char(0)", "NULL", "invalid digit" },
		{ "'a' || char(31)", "NULL", "invalid digit" },
		{ "'a0' || hex(zeroblob(32768))", "NULL",
		    "a fractional key may have at most 65536 bytes" },
		{ "'a0' || replace(hex(zeroblob(32767)), '0', '~')", "'a1'",
		    "a fractional key may have at most 65536 bytes" },
	};
	char *sql;
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		sql = sqlite3_mprintf("SELECT crsql_fract_key_between(%s, %s)",
		    wrong[i][0], wrong[i][1]);
		refused(wrong[i][2], sql);
		sqlite3_free(sql);
	}
}

/* -- random keys ------------------------------------------------------------------ */

enum { KEY_ROOM = 64 };

static uint32_t seed = 1;

static int
below(int limit)
{
	seed = seed * 1664525 + 1013904223;
	return (int)((seed >> 8) % (uint32_t)limit);
}

static char
any_digit(void)
{
	static const char edges[] = "  !}~~P";

	return below(2) ? edges[below((int)sizeof edges - 1)] :
	    (char)(' ' + below(95));
}

/* Digits from place i on, and a fraction that does not end in a zero. */
static void
end_key(char *key, int i, int to)
{
	while (i < to)
		key[i++] = any_digit();
	for (to = i + below(5); i < to; i++)
		key[i] = i + 1 < to ? any_digit() : (char)('!' + below(94));
	key[i] = '\0';
}

/* A key; or one that begins like that one. */
static void
random_key(char key[static KEY_ROOM], const char *like)
{
	static const char heads[] = "aaabZZYAAzzmM";
	int integer, keep;

	key[0] = like && below(4) ? like[0] : heads[below(13)];
	integer = key[0] >= 'a' ? key[0] - 'a' + 2 : 'Z' - key[0] + 2;
	keep = 1;
	if (like != NULL && key[0] == like[0])
		keep = below(3) ? (int)strlen(like) - below(2) : integer - below(2);
	if (keep < 1 || keep > (int)(like ? strlen(like) : 1))
		keep = 1;
	if (like != NULL)
		memcpy(key + 1, like + 1, (size_t)keep - 1);
	end_key(key, keep, integer);
	keep = (int)strlen(key);
	if (keep > integer && key[keep - 1] == ' ')
		key[keep - 1] = '!';
	if (key[0] == 'A' && strspn(key + 1, " ") == strlen(key + 1))
		strcat(key, "~");
}

static void
random_pair(char a[static KEY_ROOM], char b[static KEY_ROOM])
{
	char swap[KEY_ROOM];
	int order;

	do {
		random_key(a, NULL);
		random_key(b, a);
		order = strcmp(a, b);
	} while (order == 0);
	if (order > 0) {
		memcpy(swap, a, KEY_ROOM);
		memcpy(a, b, KEY_ROOM);
		memcpy(b, swap, KEY_ROOM);
	}
}

static int
pairs(void)
{
	const char *text = getenv("FRACT_PAIRS");

	return text ? atoi(text) : 100;
}

static const char *
ask(sqlite3_stmt *stmt, const char *a, const char *b)
{
	sqlite3_reset(stmt);
	sqlite3_bind_text(stmt, 1, a, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(stmt, 2, b, -1, SQLITE_TRANSIENT);
	if (sqlite3_step(stmt) != SQLITE_ROW)
		fail_msg("(%s, %s): %s", a ? a : "NULL", b ? b : "NULL",
		    sqlite3_errmsg(n[A].db));
	return (const char *)sqlite3_column_text(stmt, 0);
}

static void
prepare(sqlite3 *db, sqlite3_stmt **out, const char *sql)
{
	if (sqlite3_prepare_v2(db, sql, -1, out, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void
there_is_always_room(void **state)
{
	char a[KEY_ROOM], b[KEY_ROOM], k[2 * KEY_ROOM];
	sqlite3_stmt *stmt;
	int i, j;

	prepare(n[A].db, &stmt, "SELECT crsql_fract_key_between(?1, ?2)");
	for (i = 0; i < pairs(); i++) {
		random_pair(a, b);
		for (j = 0; j < 12; j++) {
			strcpy(k, ask(stmt, a, b));
			if (strcmp(a, k) >= 0 || strcmp(k, b) >= 0)
				fail_msg("(%s, %s): %s", a, b, k);
			if (strlen(k) < KEY_ROOM)
				strcpy(below(2) ? a : b, k);
		}
		assert_true(strcmp(ask(stmt, a, NULL), a) > 0);
		assert_true(strcmp(ask(stmt, NULL, b), b) < 0);
	}
	sqlite3_finalize(stmt);
}

/* The statements of a plain program, and the function. */
struct both {
	sqlite3_stmt *function, *row, *view, *key;
	sqlite3 *db;
	int list;
};

/* The key of a row that is put between a and b, NULL for one of the ends; how
 * says by which of the triggers. */
static void
compare(struct both *s, const char *a, const char *b)
{
	const char *want = ask(s->function, a, b), *got;

	s->list++;
	sqlite3_bind_int(s->row, 2, s->list);
	if (a != NULL) {
		sqlite3_bind_int(s->row, 1, s->list * 4);
		sqlite3_bind_text(s->row, 3, a, -1, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(s->row), SQLITE_DONE);
		sqlite3_reset(s->row);
	}
	if (b != NULL) {
		sqlite3_bind_int(s->row, 1, s->list * 4 + 1);
		sqlite3_bind_text(s->row, 3, b, -1, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(s->row), SQLITE_DONE);
		sqlite3_reset(s->row);
	}
	if (a != NULL && b != NULL) {
		sqlite3_bind_int(s->view, 1, s->list * 4 + 2);
		sqlite3_bind_int(s->view, 2, s->list);
		sqlite3_bind_int(s->view, 3, s->list * 4);
		assert_int_equal(sqlite3_step(s->view), SQLITE_DONE);
		sqlite3_reset(s->view);
	} else {
		sqlite3_bind_int(s->row, 1, s->list * 4 + 2);
		sqlite3_bind_int(s->row, 3, a != NULL ? 1 : -1);
		assert_int_equal(sqlite3_step(s->row), SQLITE_DONE);
		sqlite3_reset(s->row);
	}
	sqlite3_bind_int(s->key, 1, s->list * 4 + 2);
	assert_int_equal(sqlite3_step(s->key), SQLITE_ROW);
	got = (const char *)sqlite3_column_text(s->key, 0);
	if (strcmp(got, want) != 0)
		fail_msg("(%s, %s): C %s, SQL %s", a ? a : "NULL", b ? b : "NULL",
		    want, got);
	sqlite3_reset(s->key);
}

/* What stands in the schema, on a connection that has nothing. */
static sqlite3 *
copy_schema(void)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	prepare(n[A].db, &stmt, "SELECT sql FROM sqlite_schema WHERE name = 'todo' "
	    "OR name LIKE '%fractindex%' ORDER BY rowid");
	while (sqlite3_step(stmt) == SQLITE_ROW)
		if (sqlite3_exec(db, (const char *)sqlite3_column_text(stmt, 0),
		    NULL, NULL, NULL) != SQLITE_OK)
			fail_msg("%s", sqlite3_errmsg(db));
	sqlite3_finalize(stmt);
	sqlite3_exec(db, "CREATE INDEX i ON todo(list, pos); BEGIN", NULL, NULL,
	    NULL);
	return db;
}

static void
sql_and_c_give_the_same_keys(void **state)
{
	struct both s = { .db = copy_schema() };
	char a[KEY_ROOM], b[KEY_ROOM];
	int i;

	prepare(n[A].db, &s.function, "SELECT crsql_fract_key_between(?1, ?2)");
	prepare(s.db, &s.row, "INSERT INTO todo(id, list, pos) VALUES(?, ?, ?)");
	prepare(s.db, &s.view, "INSERT INTO todo_fractindex(id, list, after_id) "
	    "VALUES(?, ?, ?)");
	prepare(s.db, &s.key, "SELECT pos FROM todo WHERE id = ?");
	compare(&s, "z~~~~~~~~~~~~~~~~~~~~~~~~~~", NULL);
	compare(&s, "z~~~~~~~~~~~~~~~~~~~~~~~~~~~~!", NULL);
	compare(&s, NULL, "A                          !");
	compare(&s, NULL, "A                           !!");
	compare(&s, NULL, "A                            0");
	compare(&s, NULL, "A                         !");
	for (i = 0; i < pairs(); i++) {
		random_pair(a, b);
		compare(&s, a, b);
		compare(&s, below(2) ? a : b, NULL);
		compare(&s, NULL, below(2) ? a : b);
	}
	sqlite3_finalize(s.function);
	sqlite3_finalize(s.row);
	sqlite3_finalize(s.view);
	sqlite3_finalize(s.key);
	sqlite3_close(s.db);
}

/* -- lists ------------------------------------------------------------------------- */

static void
one_is_the_end_and_minus_one_the_front(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), "
	    "(2, 'a', 1), (3, 'a', -1), (4, NULL, 1), (5, NULL, '-1'), (6, 7, 1)");
	node_expect(&n[A], "NULL|'5 4'\n7|'6'\n'a'|'3 1 2'\n", LIST);
	node_expect(&n[A], "'a '\n", "SELECT pos FROM todo WHERE id = 6");
	/* an UPDATE moves, to another list too */
	node_exec(&n[A], "UPDATE todo SET pos = -1 WHERE id = 2; "
	    "UPDATE todo SET pos = 1, list = 'a' WHERE id = 4");
	node_expect(&n[A], "NULL|'5'\n7|'6'\n'a'|'2 3 1 4'\n", LIST);
	node_exec(&n[A], "UPDATE todo SET pos = CASE WHEN id < 3 THEN 1 ELSE -1 "
	    "END WHERE list = 'a'");
	node_expect(&n[A], "NULL|'5'\n7|'6'\n'a'|'4 3 1 2'\n", LIST);
	/* what is a key already stays */
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(9, 'a', 'b00')");
	node_expect(&n[A], "'b00'\n", "SELECT pos FROM todo WHERE id = 9");
	node_well(&n[A]);
}

static void
a_row_is_put_behind_another(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), "
	    "(2, 'a', 1), (3, 'b', 1)");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, what, after_id) "
	    "VALUES(4, 'a', 'x', 1), (5, 'a', 'y', NULL), (6, 'a', 'z', 99), "
	    "(7, 'a', 'other list', 3), (8, 'a', 'last', 2)");
	node_expect(&n[A], "'a'|'7 6 5 1 4 2 8'\n'b'|'3'\n", LIST);
	node_expect(&n[A], "0|'x'\n", "SELECT done, what FROM todo WHERE id = 4");
	node_exec(&n[A], "UPDATE todo_fractindex SET after_id = 8 WHERE id = 7; "
	    "UPDATE todo_fractindex SET after_id = NULL WHERE id = 2; "
	    "UPDATE todo_fractindex SET after_id = 3, list = 'b', id = 50 WHERE "
	    "id = 5; UPDATE todo_fractindex SET pos = 1 WHERE id = 6");
	node_expect(&n[A], "'a'|'2 1 4 8 7 6'\n'b'|'3 50'\n", LIST);
	/* what says nothing of the place changes nothing of it */
	node_exec(&n[A], "UPDATE todo_fractindex SET what = 'w', done = 1 WHERE "
	    "list = 'a'");
	node_expect(&n[A], "'a'|'2 1 4 8 7 6'\n'b'|'3 50'\n", LIST);
	node_expect(&n[A], "6\n", "SELECT count(*) FROM todo_fractindex WHERE "
	    "what = 'w' AND done AND after_id IS NULL");
	node_well(&n[A]);
}

/* Two databases put rows at the same place at the same time. */
static void
rows_of_one_key_are_parted(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 'a0'), "
	    "(2, 'a', 'a1'), (3, 'a', 'a1'), (4, 'a', 'a1'), (5, 'a', 'a2')");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, after_id) "
	    "VALUES(6, 'a', 3)");
	node_expect(&n[A], "'a'|'1 3 6 2 4 5'\n", LIST);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM todo WHERE pos = 'a1'");
	node_exec(&n[A], "UPDATE todo_fractindex SET after_id = 4 WHERE id = 1");
	node_expect(&n[A], "'a'|'3 6 4 1 2 5'\n", LIST);
	node_exec(&n[A], "UPDATE todo SET pos = 'a ' WHERE id IN (3, 6); "
	    "INSERT INTO todo_fractindex(id, list, after_id) VALUES(7, 'a', 6)");
	node_expect(&n[A], "'a'|'6 7 3 4 1 2 5'\n", LIST);
	node_well(&n[A]);
}

static void
composite_keys_and_odd_names(void **state)
{
	node_exec(&n[A], "CREATE TABLE \"o \"\"x\"(rowid TEXT, k INTEGER, "
	    "\"group\", \"after\", s AS (k + 1), d TEXT NOT NULL DEFAULT bare, "
	    "PRIMARY KEY(rowid, k)); "
	    "SELECT crsql_fract_as_ordered('O \"X', 'AFTER', 'group'); "
	    "INSERT INTO \"o \"\"x\"(rowid, k, \"after\") VALUES('a', 1, 1), "
	    "('b', 1, 1), ('c', 1, -1), ('c', 2, 1); "
	    "INSERT INTO \"o \"\"x_fractindex\"(rowid, k, after_rowid, after_k) "
	    "VALUES('d', 1, 'a', 1), ('e', 1, 'a', 2); "
	    "UPDATE \"o \"\"x_fractindex\" SET after_rowid = 'b', after_k = 1 "
	    "WHERE rowid = 'c'");
	node_expect(&n[A], "'e1 a1 d1 b1 c2 c1'\n", "SELECT group_concat(rowid || k, "
	    "' ') FROM (SELECT * FROM \"o \"\"x\" ORDER BY \"after\")");
	node_expect(&n[A], "'bare'\n", "SELECT DISTINCT d FROM \"o \"\"x_fractindex\" "
	    "WHERE rowid IN ('d', 'e')");
	node_exec(&n[A], "CREATE TABLE w(a, b, o, PRIMARY KEY(a, b)) WITHOUT ROWID; "
	    "SELECT crsql_fract_as_ordered('w', 'o'); "
	    "INSERT INTO w VALUES(1, 1, 1), (1, 2, -1), (0, 0, 1); "
	    "INSERT INTO w_fractindex VALUES(5, 5, NULL, 1, 2)");
	node_expect(&n[A], "1|2\n5|5\n1|1\n0|0\n", "SELECT a, b FROM w ORDER BY o");
}

static void
cr_sqlites_triggers_find_their_function(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 'a0'), "
	    "(2, 'a', 'a1'), (3, 'a', 'a1'), (4, 'b', 'a0V')");
	node_expect(&n[A], "'a1'\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', 'list', -1, "
	    "'id', 3)");
	node_expect(&n[A], "'a0P'\n", "SELECT pos FROM todo WHERE id = 3");
	node_expect(&n[A], "'a0P'\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 'what', "
	    "3, NULL)");
	node_expect(&n[A], "'a08'\n", "SELECT pos FROM todo WHERE id = 3");
	node_expect(&n[A], "NULL\n", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 33)");
	refused("Too few arguments to fix_conflict_return_old_key", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id')");
	refused("Incorrect number of primary keys and values provided. Must have at "
	    "least 1 primary key.", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 1, 2)");
	refused("Failed fixing up ordering conflicts on insert", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('none', 'pos', -1, 'id', 1)");
	node_exec(&n[A], "UPDATE todo SET pos = 'x' WHERE id = 3");
	refused("Failed fixing up ordering conflicts on insert", "SELECT "
	    "crsql_fract_fix_conflict_return_old_key('todo', 'pos', -1, 'id', 3)");
	node_expect(&n[A], "'x'\n", "SELECT pos FROM todo WHERE id = 3");
}

/* -- capture and merge ------------------------------------------------------------------ */

#define WRITES "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), (2, 'a', 1); " \
	"INSERT INTO todo_fractindex(id, list, after_id) VALUES(3, 'a', 1); " \
	"UPDATE todo SET pos = -1 WHERE id = 2; " \
	"INSERT OR REPLACE INTO todo(id, list, pos) VALUES(1, 'a', 1); " \
	"REPLACE INTO todo_fractindex(id, list, after_id) VALUES(2, 'a', 3); "

static void
goes_over(struct node *from)
{
	from->index = A;
	n[A].index = B;
	assert_true(node_pull(&n[A], from, &plain));
	nodes_agree(&n[A], from, "SELECT * FROM todo ORDER BY id");
	node_expect(&n[A], "'a'|'3 2 1'\n", LIST);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM todo WHERE pos < 'A'");
	node_well(from);
	node_well(&n[A]);
}

static void
hook_and_journal_tell_the_keys(void **state)
{
	static const char *const how[] = { "SELECT 1",
		"SELECT crsql_config_set('capture', 'journal')",
		"SELECT crsql_config_set('plain-writers', 0)", NULL };
	char path[NODE_FILE];
	struct node c;
	int i;

	for (i = 0; i < 4; i++) {
		group_close();
		group_open(&group);
		node_file(path);
		node_open(&c, B, path);
		node_exec(&c, TODO "SELECT crsql_as_crr('todo'); " ORDERED);
		if (how[i] != NULL)
			node_exec(&c, "%s; " WRITES, how[i]);
		else
			node_plainly(path, WRITES);
		goes_over(&c);
		/* changes say the same, cell by cell */
		node_pull_changes(&n[B], &c, true);
		nodes_agree(&n[B], &c, "SELECT * FROM todo ORDER BY id");
		node_close(&c);
		unlink(path);
	}
}

/* What a merge brings is not put anywhere, however it comes. */
static void
a_merge_brings_keys_along(void **state)
{
	node_exec(&n[A], "DROP TRIGGER __crsql_todo_fractindex_ezmove; "
	    "DROP TRIGGER __crsql_todo_fractindex_pend_trig; "
	    "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1), (2, 'a', -1), "
	    "(3, 'a', 'a0')");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	node_exec(&n[A], "UPDATE todo SET pos = 1 WHERE id = 3");
	node_pull_changes(&n[B], &n[A], true);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	/* what waits so is no neighbour */
	node_exec(&n[B], "INSERT INTO todo(id, list, pos) VALUES(5, 'a', 1), "
	    "(6, 'a', -1)");
	node_expect(&n[B], "5|'a '\n6|'Z~'\n", "SELECT id, pos FROM todo WHERE "
	    "id > 4");
	/* where a program says that it merges, too */
	node_exec(&n[B], "SELECT crsql_internal_sync_bit(1); INSERT INTO todo(id, "
	    "pos) VALUES(7, 1); SELECT crsql_internal_sync_bit(0)");
	node_expect(&n[B], "'1'\n", "SELECT pos FROM todo WHERE id = 7");
}

static void
many_rows_in_one_transaction(void **state)
{
	int i;

	node_exec(&n[A], "BEGIN");
	for (i = 1; i <= 200; i++)
		node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(%d, 'a', 1)",
		    i);
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "200|199\n", "SELECT count(DISTINCT pos), (SELECT count(*) "
	    "FROM todo x JOIN todo y ON y.id = x.id + 1 AND y.pos > x.pos) FROM todo");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT * FROM todo ORDER BY id");
	/* made in the midst of such a transaction, where triggers are off */
	node_exec(&n[B], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); DROP VIEW todo_fractindex; "
	    "DROP TRIGGER __crsql_todo_fractindex_pend_trig; "
	    "DROP TRIGGER __crsql_todo_fractindex_ezmove; BEGIN");
	for (i = 1; i <= 100; i++)
		node_exec(&n[B], "INSERT INTO u VALUES(%d, 'a0')", i);
	node_exec(&n[B], "SELECT crsql_fract_as_ordered('u', 'o')");
	node_exec(&n[B], "INSERT INTO u VALUES(101, 1); COMMIT");
	node_expect(&n[B], "'a1'\n", "SELECT o FROM u WHERE id = 101");
	node_well(&n[B]);
}

#define NO_KEY "a row of the list, beside which one is put, has no fractional " \
	"key: give it one first"

/* Whatever a peer writes there. */
static void
any_bytes_are_tolerated(void **state)
{
	static const char *const bad[] = { "'zzz'", "'b0'", "x'6130'", "x''",
		"'a0 '", "char(233)", "'a0' || char(0, 200)", "CAST(x'61FF' AS TEXT)",
		"CAST(x'FF' AS TEXT)", "'A                          '", "char(10)",
		"'a0' || hex(zeroblob(40000))", "CAST(x'00' AS TEXT)" };
	size_t i;
	int rc;

	node_exec(&n[B], "CREATE TABLE l(id INTEGER PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('l')");
	node_exec(&n[A], "CREATE TABLE l(id INTEGER PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('l'); SELECT crsql_fract_as_ordered('l', 'o')");
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		node_exec(&n[B], "INSERT OR REPLACE INTO l VALUES(1, %s)", bad[i]);
		pull(A, B);
		nodes_agree(&n[A], &n[B], "SELECT * FROM l");
		rc = node_try(&n[A], "INSERT INTO l VALUES(2, 1)");
		if (rc == SQLITE_OK || strcmp(sqlite3_errmsg(n[A].db), NO_KEY) != 0)
			fail_msg("%s: %s", bad[i], sqlite3_errmsg(n[A].db));
		refused(NO_KEY, "INSERT INTO l VALUES(2, -1)");
		refused(NO_KEY, "INSERT INTO l_fractindex(id, after_id) "
		    "VALUES(2, 1)");
		node_expect(&n[A], "1\n", "SELECT count(*) FROM l");
	}
	/* numbers stand before all texts, and NULL nowhere */
	node_exec(&n[B], "INSERT INTO l VALUES(3, 5), (4, 1e99), (5, NULL); "
	    "DELETE FROM l WHERE id = 1");
	pull(A, B);
	node_exec(&n[A], "INSERT INTO l VALUES(6, 1); "
	    "INSERT INTO l_fractindex(id, after_id) VALUES(7, 3)");
	node_expect(&n[A], "3\n4\n7\n6\n", "SELECT id FROM l WHERE o IS NOT NULL "
	    "ORDER BY o");
	/* full to the brim */
	node_exec(&n[B], "DELETE FROM l; INSERT INTO l VALUES(1, 'a0' || replace(hex("
	    "zeroblob(32767)), '0', '~')), (2, 'a1')");
	pull(A, B);
	node_exec(&n[A], "DELETE FROM l WHERE id > 2");
	refused("a fractional key may have at most 65536 bytes",
	    "INSERT INTO l_fractindex(id, after_id) VALUES(3, 1)");
	node_well(&n[A]);
}

/* -- the schema --------------------------------------------------------------------------- */

#define STANDING(t) "'__crsql_" t "_fractindex_ezmove'|'" t "'\n" \
	"'__crsql_" t "_fractindex_pend_trig'|'" t "'\n" \
	"'" t "_fractindex'|'" t "_fractindex'\n" \
	"'" t "_fractindex_insert_trig'|'" t "_fractindex'\n" \
	"'" t "_fractindex_set_trig'|'" t "_fractindex'\n" \
	"'" t "_fractindex_update_trig'|'" t "_fractindex'\n"

static void
it_follows_what_is_renamed(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1); "
	    "ALTER TABLE todo RENAME COLUMN pos TO \"the \"\"pos\"; "
	    "ALTER TABLE todo RENAME COLUMN list TO 'l i'; "
	    "ALTER TABLE todo RENAME COLUMN id TO key; "
	    "ALTER TABLE todo RENAME TO t; ALTER TABLE t ADD COLUMN more");
	/* before it is taken note of, it works under the old names */
	node_exec(&n[A], "INSERT INTO t(key, \"l i\", \"the \"\"pos\") "
	    "VALUES(2, 'a', -1); SELECT crsql_fold()");
	node_expect(&n[A], STANDING("t"), OBJECTS);
	node_exec(&n[A], "INSERT INTO t_fractindex(key, \"l i\", more, after_key) "
	    "VALUES(3, 'a', 'm', 2)");
	node_expect(&n[A], "2|NULL\n3|'m'\n1|NULL\n", "SELECT key, more FROM t "
	    "ORDER BY \"the \"\"pos\"");
	/* two tables that change names */
	node_exec(&n[A], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); SELECT crsql_fract_as_ordered('u', 'o'); "
	    "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; "
	    "ALTER TABLE x RENAME TO u; SELECT crsql_fold(); "
	    "INSERT INTO t VALUES(1, 1); INSERT INTO u_fractindex(key, \"l i\", "
	    "after_key) VALUES(4, 'a', 3)");
	node_expect(&n[A], STANDING("t") STANDING("u"), OBJECTS);
	node_expect(&n[A], "2\n3\n4\n1\n", "SELECT key FROM u ORDER BY "
	    "\"the \"\"pos\"");
	node_well(&n[A]);
}

/* Without DDL that SQLite keeps right. */
static void
legacy_renaming_is_mended(void **state)
{
	sqlite3_db_config(n[A].db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
	node_exec(&n[A], "ALTER TABLE todo RENAME TO t; SELECT crsql_fold(); "
	    "INSERT INTO t(id, pos) VALUES(1, 1); "
	    "INSERT INTO t_fractindex(id, after_id) VALUES(2, 1)");
	node_expect(&n[A], STANDING("t"), OBJECTS);
	node_well(&n[A]);
}

static void
it_goes_with_its_table(void **state)
{
	node_exec(&n[A], "DROP TABLE todo; SELECT crsql_fold()");
	node_expect(&n[A], "", OBJECTS);
	/* at a commit too, and without anybody's asking */
	node_exec(&n[B], "CREATE TABLE u(id PRIMARY KEY NOT NULL, o); "
	    "SELECT crsql_as_crr('u'); BEGIN; DROP TABLE todo; "
	    "INSERT INTO u VALUES(1, 1); COMMIT");
	node_expect(&n[B], "", OBJECTS);
	node_exec(&n[B], "CREATE VIEW my_fractindex AS SELECT 1; "
	    "ALTER TABLE u RENAME TO v; SELECT crsql_fold()");
	node_expect(&n[B], "'my_fractindex'|'my_fractindex'\n", OBJECTS);
}

static void
columns_come_and_go_inside_an_alter(void **state)
{
	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1); "
	    "SELECT crsql_begin_alter('todo'); ALTER TABLE todo DROP COLUMN what; "
	    "ALTER TABLE todo RENAME COLUMN list TO l; "
	    "ALTER TABLE todo ADD COLUMN n DEFAULT 3; "
	    "SELECT crsql_commit_alter('todo')");
	node_expect(&n[A], STANDING("todo"), OBJECTS);
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, l, n, after_id) "
	    "VALUES(2, 'a', 4, 1); INSERT INTO todo(id, l, pos) VALUES(3, 'a', 1)");
	node_expect(&n[A], "1|3\n2|4\n3|3\n", "SELECT id, n FROM todo ORDER BY pos");
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "ROLLBACK TO alter_crr; RELEASE alter_crr");
	node_expect(&n[A], STANDING("todo"), OBJECTS);
	/* a column that it needs */
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "ALTER TABLE todo DROP COLUMN l; SELECT crsql_commit_alter('todo'); "
	    "INSERT INTO todo(id, pos) VALUES(4, 1)");
	node_expect(&n[A], "", OBJECTS);
	node_expect(&n[A], "'1'\n", "SELECT pos FROM todo WHERE id = 4");
	node_well(&n[A]);
}

static void
a_table_made_anew_leaves_nothing(void **state)
{
	node_exec(&n[A], "SELECT crsql_begin_alter('todo'); "
	    "CREATE TABLE new(id INTEGER PRIMARY KEY NOT NULL, pos TEXT, list); "
	    "INSERT INTO new SELECT id, pos, list FROM todo; DROP TABLE todo; "
	    "ALTER TABLE new RENAME TO todo; SELECT crsql_commit_alter('todo')");
	node_expect(&n[A], "", OBJECTS);
	node_exec(&n[A], ORDERED "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1)");
	node_expect(&n[A], "'a '\n", "SELECT pos FROM todo");
	node_well(&n[A]);
	/* a plain table keeps its order, and a replicated one gets it */
	node_exec(&n[A], "SELECT crsql_as_table('todo'); INSERT INTO todo(id, list, "
	    "pos) VALUES(2, 'a', -1); SELECT crsql_as_crr('todo'); "
	    "INSERT INTO todo(id, list, pos) VALUES(3, 'a', -1)");
	node_expect(&n[A], "'a'|'3 2 1'\n", LIST);
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT id, list, pos FROM todo ORDER BY id");
	node_well(&n[A]);
}

static void
ordered_again_by_other_columns(void **state)
{
	char *before, *after;

	node_exec(&n[A], "INSERT INTO todo(id, list, pos) VALUES(1, 'a', 1)");
	before = node_rows(&n[A], "SELECT name, rowid FROM sqlite_schema");
	node_exec(&n[A], "SELECT crsql_fract_as_ordered('TODO', 'POS', 'LIST')");
	after = node_rows(&n[A], "SELECT name, rowid FROM sqlite_schema");
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
	node_exec(&n[A], "SELECT crsql_fract_as_ordered('todo', 'what', 'pos'); "
	    "INSERT INTO todo(id, pos, what) VALUES(2, 1, 1); "
	    "UPDATE todo SET pos = 1 WHERE id = 1");
	node_expect(&n[A], "1|'1'|NULL\n2|'1'|'a '\n", "SELECT id, pos, what FROM "
	    "todo ORDER BY id");
}

static void
a_migration_keeps_the_order(void **state)
{
	static const char schema[] = "SELECT crsql_automigrate('"
	    "CREATE TABLE IF NOT EXISTS todo(id INTEGER PRIMARY KEY NOT NULL, list, "
	    "pos TEXT, extra); SELECT crsql_as_crr(''todo''); "
	    "CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY, o%s); "
	    "SELECT crsql_fract_as_ordered(''todo'', ''pos'', ''list''); "
	    "SELECT crsql_fract_as_ordered(''p'', ''o'')')";

	node_exec(&n[A], schema, ", gone");
	node_expect(&n[A], STANDING("p") STANDING("todo"), OBJECTS);
	node_exec(&n[A], schema, ", came");
	node_exec(&n[A], "INSERT INTO todo_fractindex(id, list, extra, after_id) "
	    "VALUES(1, 'a', 2, NULL); INSERT INTO p_fractindex(id, came, after_id) "
	    "VALUES(1, 2, NULL), (2, 3, 1)");
	node_expect(&n[A], "1|3\n", "SELECT a.extra - 1, b.came FROM todo a, p b "
	    "WHERE b.id = 2");
	node_well(&n[A]);
}

static void
what_cannot_be_ordered(void **state)
{
	node_exec(&n[A], "CREATE TABLE k(o); CREATE TABLE c(id INTEGER PRIMARY KEY, "
	    "o COLLATE NOCASE, g AS (1)); CREATE TABLE a(id INTEGER PRIMARY KEY, o, "
	    "after_id); CREATE TABLE v(id INTEGER PRIMARY KEY, o); "
	    "CREATE VIEW v_fractindex AS SELECT 1; BEGIN; INSERT INTO v VALUES(1, 2)");
	refused("Must provide at least 2 arguments -- the table name and the column "
	    "to order by", "SELECT crsql_fract_as_ordered('todo')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('todo', 'no')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('todo', 'pos', NULL)");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('none', 'pos')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered(NULL, 'pos')");
	refused("all columns are not present in the base table",
	    "SELECT crsql_fract_as_ordered('v_fractindex', '1')");
	refused("Table todo can't be ordered by column id, which is part of its "
	    "primary key", "SELECT crsql_fract_as_ordered('todo', 'id')");
	refused("Table todo can't be ordered by column pos, which is also one that "
	    "tells lists apart", "SELECT crsql_fract_as_ordered('todo', 'pos', 'pos')");
	refused("Table c can't be ordered by column g, which is computed",
	    "SELECT crsql_fract_as_ordered('c', 'g')");
	refused("Table c can't be ordered by column g, which is computed",
	    "SELECT crsql_fract_as_ordered('c', 'o', 'g')");
	refused("Column o of table c has the collation NOCASE: fractional keys are "
	    "ordered by their bytes", "SELECT crsql_fract_as_ordered('c', 'o')");
	refused("Table k has no primary key: a row could not be named, behind which "
	    "another one is put", "SELECT crsql_fract_as_ordered('k', 'o')");
	refused("Table a has a column after_id, which a_fractindex needs the name of",
	    "SELECT crsql_fract_as_ordered('a', 'o')");
	refused("Table v can't be ordered: v_fractindex is there already",
	    "SELECT crsql_fract_as_ordered('v', 'o')");
	/* the caller's transaction goes on, and nothing is left */
	node_exec(&n[A], "COMMIT");
	node_expect(&n[A], "1\n", "SELECT count(*) FROM v");
	node_expect(&n[A], STANDING("todo") "'v_fractindex'|'v_fractindex'\n", OBJECTS);
	/* nor does anybody's view keep others from committing */
	node_exec(&n[A], "CREATE VIEW w_fractindex AS SELECT 2; "
	    "ALTER TABLE todo RENAME TO w; SELECT crsql_fold(); "
	    "INSERT INTO w(id, pos) VALUES(1, 1)");
	node_expect(&n[A], "'v_fractindex'|'v_fractindex'\n"
	    "'w_fractindex'|'w_fractindex'\n", OBJECTS);
}

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_are_those_of_cr_sqlite), TEST(what_is_no_key_is_refused),
		TEST(there_is_always_room), TEST(sql_and_c_give_the_same_keys),
		TEST(one_is_the_end_and_minus_one_the_front),
		TEST(a_row_is_put_behind_another), TEST(rows_of_one_key_are_parted),
		TEST(composite_keys_and_odd_names),
		TEST(cr_sqlites_triggers_find_their_function),
		TEST(hook_and_journal_tell_the_keys), TEST(a_merge_brings_keys_along),
		TEST(many_rows_in_one_transaction), TEST(any_bytes_are_tolerated),
		TEST(it_follows_what_is_renamed), TEST(legacy_renaming_is_mended),
		TEST(it_goes_with_its_table), TEST(columns_come_and_go_inside_an_alter),
		TEST(a_table_made_anew_leaves_nothing),
		TEST(ordered_again_by_other_columns), TEST(a_migration_keeps_the_order),
		TEST(what_cannot_be_ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

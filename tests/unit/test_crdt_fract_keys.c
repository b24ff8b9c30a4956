// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_fract_keys.c - keys between keys, in C and in the triggers' SQL.
 * FRACT_PAIRS: how many random pairs are tried.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct group group = { .count = 2, .sql =
	"CREATE TABLE todo(id INTEGER PRIMARY KEY NOT NULL, list, "
	"pos TEXT, what TEXT, done INTEGER NOT NULL DEFAULT 0); "
	"SELECT crsql_as_crr('todo'); "
	"SELECT crsql_fract_as_ordered('todo', 'pos', 'list')" };

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
		assert_int_equal(node_try(&n[A], "%s", sql), SQLITE_ERROR);
		assert_string_equal(sqlite3_errmsg(n[A].db), wrong[i][2]);
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
	return how_many("FRACT_PAIRS", 100);
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

#define TEST(f) GROUP_TEST(f, group)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_are_those_of_cr_sqlite),
		TEST(what_is_no_key_is_refused),
		TEST(there_is_always_room),
		TEST(sql_and_c_give_the_same_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

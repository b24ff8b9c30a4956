// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_digest.c - verify: two databases are said to be identical if and
 * only if their tables are, leaving out what is in flight (R27).
 */
#include "store/digest.h"
#include "test_store_site.h"
#include "how_many.h"

/* -- both sides in one place ------------------------------------------------------ */

struct verdict {
	struct store_compared c;
	struct store_difference *found; /* copies */
	int words;                      /* messages both ways */
	int rc;
	struct err err;
};

static void
verdict_clear(struct verdict *v)
{
	size_t i;

	for (i = 0; i < v->c.nfound && v->found != NULL; i++) {
		free(v->found[i].table);
		free(v->found[i].name);
	}
	free(v->found);
	v->found = NULL;
}

static void
keep_found(struct verdict *v, const struct store_digest *d)
{
	size_t i;

	store_digest_result(d, &v->c);
	v->found = calloc(v->c.nfound + 1, sizeof *v->found);
	for (i = 0; i < v->c.nfound; i++) {
		v->found[i].kind = v->c.found[i].kind;
		v->found[i].table = strdup(v->c.found[i].table);
		v->found[i].name = strdup(v->c.found[i].name);
	}
}

/* Damages what is said, where a test wants that: word counts from 0.  It may grow
 * by so much. */
enum { ROOM = 256 };
static void (*meddle)(uint8_t *data, size_t *len, int word);

/* d[0] asks; step by step in turn, a few rows at a time. */
static int
talk(struct store_digest *d[2], size_t rows, struct verdict *v)
{
	enum store_digest_state state[2] = { STORE_DIGEST_WORKS,
		STORE_DIGEST_WORKS };
	const uint8_t *data;
	uint8_t *copy;
	size_t len;
	int i, rc = 0;

	while (rc == 0 && state[0] != STORE_DIGEST_DONE) {
		assert_false(state[0] == STORE_DIGEST_WAITS &&
		    state[1] == STORE_DIGEST_WAITS);
		for (i = 0; i < 2 && rc == 0; i++) {
			rc = store_digest_step(d[i], rows, &state[i], &data,
			    &len, &v->err);
			if (rc != 0 || state[i] != STORE_DIGEST_SAYS)
				continue;
			copy = malloc(len + ROOM);
			memcpy(copy, data, len);
			if (meddle != NULL)
				meddle(copy, &len, v->words);
			v->words++;
			rc = store_digest_take(d[!i], copy, len, &v->err);
			free(copy);
			state[0] = state[1] = STORE_DIGEST_WORKS;
		}
	}
	return rc;
}

static struct verdict
compare_in(struct site *a, struct site *b, size_t rows)
{
	struct store_digest *d[2] = { NULL, NULL };
	struct verdict v = { .words = 0 };

	v.rc = store_digest_ask(a->store, remote_id(a, b), &d[0], &v.err);
	if (v.rc == 0)
		v.rc = store_digest_answer(b->store, remote_id(b, a), &d[1],
		    &v.err);
	if (v.rc == 0)
		v.rc = talk(d, rows, &v);
	if (v.rc == 0)
		keep_found(&v, d[0]);
	store_digest_close(d[0]);
	store_digest_close(d[1]);
	return v;
}

static struct verdict
compare(struct site *a, struct site *b)
{
	struct verdict v = compare_in(a, b, 100);

	if (v.rc != 0)
		fail_msg("%s verifies %s: %d %s", a->name, b->name, v.rc,
		    v.err.text);
	return v;
}

static void
assert_identical(struct site *a, struct site *b, uint64_t rows,
    uint64_t in_flight)
{
	struct verdict v = compare(a, b);

	if (v.c.nfound > 0)
		fail_msg("%s: found %s %s, kind %d", a->name, v.found[0].table,
		    v.found[0].name, (int)v.found[0].kind);
	assert_int_equal(v.c.differ + v.c.here + v.c.there + v.c.others, 0);
	assert_int_equal(v.c.rows, rows);
	assert_int_equal(v.c.in_flight, in_flight);
	verdict_clear(&v);
}

/* One difference, and it is this. */
static void
assert_finds(struct site *a, struct site *b, enum store_difference_kind kind,
    const char *table, const char *name)
{
	struct verdict v = compare(a, b);

	if (v.c.nfound != 1)
		fail_msg("%d found, not %s %s", (int)v.c.nfound, table, name);
	if (v.found[0].kind != kind || strcmp(v.found[0].table, table) != 0 ||
	    strcmp(v.found[0].name, name) != 0)
		fail_msg("found %d %s %s, not %d %s %s", (int)v.found[0].kind,
		    v.found[0].table, v.found[0].name, (int)kind, table, name);
	verdict_clear(&v);
}

/* Writes that nothing notices. */
static void
secretly(const struct site *s, const char *fmt, ...)
{
	sqlite3 *db = open_handle(s->file, false);
	va_list ap;
	char *text;

	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	va_start(ap, fmt);
	text = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	exec(db, text);
	sqlite3_free(text);
	sqlite3_close(db);
}

static struct site A, B;

static void
open_sites(const char *ddl)
{
	site_init(&A, "a");
	site_init(&B, "b");
	introduce(&A, &B);
	sql(&A, "%s", ddl);
	sql(&B, "%s", ddl);
}

static void
close_sites(void)
{
	site_close(&A);
	site_close(&B);
}

/* -- the same, and not ---------------------------------------------------------------- */

static const char kinds[] =
    "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w);"
    "CREATE TABLE n(k INTEGER PRIMARY KEY NOT NULL, r REAL, s TEXT);"
    "CREATE TABLE c(x, y TEXT, v, PRIMARY KEY(y, x));"
    "CREATE TABLE o(a TEXT NOT NULL, b INTEGER NOT NULL, v, "
    " PRIMARY KEY(a, b)) WITHOUT ROWID;"
    "CREATE TABLE \"gr\xc3\xb6\xc3\x9f\"\"e\"(\"rowid\" TEXT PRIMARY KEY NOT "
    "NULL, \"w'x\" BLOB);"
    "CREATE TABLE only_key(id PRIMARY KEY NOT NULL);"
    "SELECT crsql_as_crr(name) FROM sqlite_schema WHERE type = 'table' AND "
    "name IN ('t', 'n', 'c', 'o', 'only_key', 'gr\xc3\xb6\xc3\x9f\"e');";

static const char values[] =
    "INSERT INTO t VALUES('a', 1, 'x'), ('b', 1.5, NULL), ('', x'', ''),"
    " ('it''s', x'00ff', 9223372036854775807), ('\xc3\xa9', '', -1);"
    "INSERT INTO t VALUES('big', hex(zeroblob(3000)), zeroblob(5000));"
    "INSERT INTO n VALUES(1, 1, 'q'), (-7, 2.25, NULL), (9, NULL, 'z');"
    "INSERT INTO c VALUES(1, 'p', 3), (2.5, 'p', NULL), (x'01', 'q', 't'),"
    " (2.0, 'q', 1);"
    "INSERT INTO o VALUES('a', 1, 1), ('a', 2, 'two'), ('b', 1, x'03');"
    "INSERT INTO \"gr\xc3\xb6\xc3\x9f\"\"e\" VALUES('r1', x'aa'), ('r2', NULL);"
    "INSERT INTO only_key VALUES('k'), (3);";
enum { VALUES = 6 + 3 + 4 + 3 + 2 + 2 };

static void
tables_that_are_equal_are_identical(void **state)
{
	open_sites(kinds);
	assert_identical(&A, &B, 0, 0);
	sql(&A, "%s", values);
	pull(&B, &A);
	assert_identical(&A, &B, VALUES, 0);
	assert_identical(&B, &A, VALUES, 0);
	/* other rowids, order and clocks */
	sql(&B, "DELETE FROM t; DELETE FROM c; DELETE FROM o");
	sql(&B, "INSERT INTO t VALUES('zz', 0, 0)");
	sql(&B, "INSERT INTO c VALUES(2, 'q', 1)");
	sql(&A, "INSERT INTO o VALUES('late', 1, 1)");
	meet(&A, &B);
	assert_identical(&A, &B, VALUES - 6 - 4 - 3 + 3, 0);
	sql(&A, "UPDATE t SET v = 5; UPDATE t SET v = 6");
	sql(&B, "UPDATE t SET v = 6");
	meet(&A, &B);
	assert_identical(&A, &B, VALUES - 10, 0);
	close_sites();
}

/* Every cell of every table: changed, made another type, made NULL. */
static void
change_each(const char *table, const char *key, const char *column)
{
	static const char *const values_too[] = { "NULL", "x'0102'", "'other'",
		"77", "0.1", "CAST(%s AS TEXT) || 'x'", "CAST(%s AS BLOB)",
		"-%s" };
	char change[64];
	sqlite3 *db = open_handle(B.file, false);
	char *keys, *key_of, *next, *text, *was;
	size_t i;

	text = sqlite3_mprintf("SELECT %s FROM \"%w\"", key, table);
	keys = text_of(db, text);
	sqlite3_free(text);
	for (key_of = keys; *key_of != '\0'; key_of = next) {
		next = strchr(key_of, '\n');
		*next++ = '\0';
		text = sqlite3_mprintf("SELECT quote(%s) FROM \"%w\" WHERE %s = %Q",
		    column, table, key, key_of);
		was = text_of(db, text);
		was[strlen(was) - 1] = '\0';
		sqlite3_free(text);
		for (i = 0; i < sizeof values_too / sizeof *values_too; i++) {
			if (is_left_out())
				continue;
			snprintf(change, sizeof change, values_too[i], column);
			secretly(&B, "UPDATE \"%w\" SET %s = %s WHERE %s = %Q",
			    table, column, change, key, key_of);
			text = sqlite3_mprintf("SELECT quote(%s) = %Q FROM "
			    "\"%w\" WHERE %s = %Q", column, was, table, key,
			    key_of);
			if (number(&B, text) == 0)
				assert_finds(&A, &B, STORE_ROW_DIFFERS, table,
				    key_of);
			else
				assert_identical(&A, &B, VALUES, 0);
			sqlite3_free(text);
		}
		secretly(&B, "UPDATE \"%w\" SET %s = %s WHERE %s = %Q", table,
		    column, was, key, key_of);
		assert_identical(&A, &B, VALUES, 0);
		sqlite3_free(was);
	}
	sqlite3_free(keys);
	sqlite3_close(db);
}

static void
any_cell_that_differs_is_named(void **state)
{
	open_sites(kinds);
	sql(&A, "%s", values);
	pull(&B, &A);
	change_each("t", "quote(id)", "v");
	change_each("t", "quote(id)", "w");
	change_each("n", "quote(k)", "r");
	change_each("n", "quote(k)", "s");
	change_each("c", "quote(y) || ', ' || quote(CASE WHEN x = 2 THEN 2 "
	    "ELSE x END)", "v");
	change_each("o", "quote(a) || ', ' || quote(b)", "v");
	change_each("gr\xc3\xb6\xc3\x9f\"e", "quote(\"rowid\")", "\"w'x\"");
	close_sites();
}

static void
a_row_of_one_side_is_named(void **state)
{
	open_sites(kinds);
	sql(&A, "%s", values);
	pull(&B, &A);
	secretly(&B, "DELETE FROM t WHERE id = 'it''s'");
	assert_finds(&A, &B, STORE_ROW_HERE, "t", "'it''s'");
	assert_finds(&B, &A, STORE_ROW_THERE, "t", "'it''s'");
	secretly(&A, "DELETE FROM t WHERE id = 'it''s'");
	assert_identical(&A, &B, VALUES - 1, 0);
	secretly(&B, "INSERT INTO o VALUES('new', -3, 1)");
	assert_finds(&A, &B, STORE_ROW_THERE, "o", "'new', -3");
	secretly(&B, "DELETE FROM o WHERE a = 'new'; INSERT INTO only_key VALUES("
	    "x'0aff')");
	assert_finds(&B, &A, STORE_ROW_HERE, "only_key", "X'0AFF'");
	close_sites();
}

/* -- in flight -------------------------------------------------------------------------- */

static void
r27_what_only_one_side_has_is_in_flight(void **state)
{
	open_sites(kinds);
	sql(&A, "%s", values);
	pull(&B, &A);
	/* both can be told apart only by who has seen what */
	sql(&A, "UPDATE t SET v = 'mine' WHERE id = 'a'; DELETE FROM n WHERE k = "
	    "9");
	assert_identical(&A, &B, VALUES - 2, 2);
	sql(&B, "INSERT INTO t VALUES('theirs', 1, 1); UPDATE t SET w = 5 WHERE "
	    "id = 'a'; UPDATE o SET v = 9");
	assert_identical(&A, &B, VALUES - 5, 2 + 1 + 3);
	assert_identical(&B, &A, VALUES - 4 - 1, 2 + 1 + 3);
	/* and a difference beside them is found */
	secretly(&B, "UPDATE t SET v = 0 WHERE id = 'b'");
	assert_finds(&A, &B, STORE_ROW_DIFFERS, "t", "'b'");
	secretly(&B, "UPDATE t SET v = 1.5 WHERE id = 'b'");
	meet(&A, &B);
	assert_identical(&A, &B, VALUES, 0);
	close_sites();
}

static void
r8_what_is_not_folded_is_in_flight_and_stays(void **state)
{
	static const char writes[] = "UPDATE t SET v = 'p' WHERE id = 'a'; "
	    "DELETE FROM t WHERE id = 'b'; INSERT INTO n VALUES(77, 1, 1); DELETE "
	    "FROM n WHERE k = 1; UPDATE c SET v = 8 WHERE x = 1; DELETE FROM c "
	    "WHERE x = x'01'; UPDATE o SET v = 8 WHERE b = 2; DELETE FROM o "
	    "WHERE a = 'b'; UPDATE \"gr\xc3\xb6\xc3\x9f\"\"e\" SET \"w'x\" = 1 "
	    "WHERE \"rowid\" = 'r1'; UPDATE t SET id = 'moved' WHERE id = ''; "
	    "UPDATE n SET k = 8 WHERE k = 9";
	sqlite3 *db;
	char *left;

	open_sites(kinds);
	sql(&A, "%s", values);
	pull(&B, &A);
	plain_sql(&A, "%s", writes);
	assert_identical(&A, &B, VALUES - 10, 9 + 4);
	assert_identical(&B, &A, VALUES - 10, 9 + 4);
	plain_sql(&B, "%s", "INSERT INTO t VALUES('there', 1, 1)");
	assert_identical(&A, &B, VALUES - 10, 9 + 4 + 1);
	db = open_handle(A.file, false);
	left = text_of(db, "SELECT count(*) > 10 FROM crsql_j");
	assert_string_equal(left, "1\n");
	sqlite3_free(left);
	sqlite3_close(db);
	meet(&A, &B);
	assert_identical(&A, &B, VALUES - 2, 0);
	close_sites();
}

static void
what_is_parked_is_in_flight(void **state)
{
	open_sites("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w);"
	    "SELECT crsql_as_crr('t');");
	sql(&A, "INSERT INTO t VALUES('a', 1, 1), ('b', 1, 1)");
	pull(&B, &A);
	sql(&A, "SELECT crsql_begin_alter('t'); ALTER TABLE t ADD COLUMN z; "
	    "SELECT crsql_commit_alter('t'); UPDATE t SET z = 1 WHERE id = 'a'");
	pull(&B, &A);
	assert_int_equal(number(&B, "SELECT count(*) FROM crsql_parked"), 1);
	assert_finds(&A, &B, STORE_COLUMN_HERE, "t", "z");
	assert_finds(&B, &A, STORE_COLUMN_THERE, "t", "z");
	secretly(&B, "UPDATE t SET v = 2 WHERE id = 'b'");
	struct verdict v = compare(&A, &B);
	assert_int_equal(v.c.differ, 1);
	assert_int_equal(v.c.in_flight, 1);
	verdict_clear(&v);
	close_sites();
}

static void
too_much_in_flight_is_said(void **state)
{
	struct verdict v;

	open_sites("CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('t');");
	sql(&A, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
	    "65537) INSERT INTO t SELECT i, i FROM n");
	v = compare_in(&A, &B, 1000);
	assert_int_equal(v.rc, E_UNREACHABLE);
	assert_non_null(strstr(v.err.text, "in flight"));
	v = compare_in(&B, &A, 1000);
	assert_int_equal(v.rc, E_UNREACHABLE);
	sql(&A, "DELETE FROM t WHERE id = 65537");
	sql(&A, "DELETE FROM t WHERE id = 65536");
	pull(&B, &A);
	assert_identical(&A, &B, 65535, 0);
	close_sites();
}

/* -- many, and shapes ---------------------------------------------------------------------- */

static void
many_differences_are_counted(void **state)
{
	struct verdict v;

	open_sites("CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, v, w);"
	    "CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('t'), crsql_as_crr('u');");
	sql(&A, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
	    "40000) INSERT INTO t SELECT i, i * 7, 'text ' || i FROM n");
	sql(&A, "INSERT INTO u SELECT 'key ' || id, v FROM t WHERE id <= 300");
	pull(&B, &A);
	assert_identical(&A, &B, 40300, 0);
	secretly(&B, "UPDATE t SET v = v + 1 WHERE id %% 2; DELETE FROM t WHERE id "
	    "%% 10 = 0; UPDATE u SET v = 0 WHERE v = 7");
	secretly(&A, "DELETE FROM t WHERE id %% 100 = 2");
	v = compare(&A, &B);
	assert_int_equal(v.c.differ, 20000 + 1);
	assert_int_equal(v.c.here, 4000);
	assert_int_equal(v.c.there, 400);
	assert_int_equal(v.c.nfound, 1000);
	verdict_clear(&v);
	v = compare_in(&B, &A, SIZE_MAX);
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.c.differ, 20000 + 1);
	assert_int_equal(v.c.there, 4000);
	verdict_clear(&v);
	close_sites();
}

static void
tables_of_one_side_are_named_and_no_fault(void **state)
{
	struct verdict v;

	open_sites("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('t');");
	sql(&A, "CREATE TABLE mine(id TEXT PRIMARY KEY NOT NULL, v); SELECT "
	    "crsql_as_crr('mine'); INSERT INTO mine VALUES(1, 1)");
	assert_finds(&A, &B, STORE_TABLE_HERE, "mine", "");
	assert_finds(&B, &A, STORE_TABLE_THERE, "mine", "");
	v = compare(&A, &B);
	assert_int_equal(v.c.others, 0);
	verdict_clear(&v);
	sql(&B, "CREATE TABLE MINE(id TEXT NOT NULL, v, PRIMARY KEY(id, v)); "
	    "SELECT crsql_as_crr('MINE')");
	assert_finds(&A, &B, STORE_KEY_DIFFERS, "mine", "");
	close_sites();
}

static void
names_that_differ_in_case_are_the_same(void **state)
{
	site_init(&A, "a");
	site_init(&B, "b");
	introduce(&A, &B);
	sql(&A, "CREATE TABLE Notes(Id TEXT PRIMARY KEY NOT NULL, z, Alpha, b); "
	    "SELECT crsql_as_crr('Notes'); INSERT INTO notes VALUES('k', 1, 2, 3)");
	sql(&B, "CREATE TABLE nOTES(iD TEXT PRIMARY KEY NOT NULL, B, ALPHA, Z); "
	    "SELECT crsql_as_crr('nOTES')");
	pull(&B, &A);
	assert_identical(&A, &B, 1, 0);
	secretly(&B, "UPDATE notes SET z = 3, b = 1");
	assert_finds(&A, &B, STORE_ROW_DIFFERS, "Notes", "'k'");
	close_sites();
}

static void
an_encoding_is_no_difference(void **state)
{
	struct store_init how = { .busy_ms = 2000 };
	struct err err;
	bool already;

	site_init(&A, "a");
	memset(&B, 0, sizeof B);
	B.name = "b";
	snprintf(B.file, sizeof B.file, "%s/b.db", scratch);
	how.db_file = B.file;
	plain_sql(&B, "PRAGMA encoding = 'UTF-16be'; CREATE TABLE t(id TEXT PRIMARY "
	    "KEY NOT NULL, v, w)");
	must(store_init(&how, &already, &err));
	site_open(&B);
	introduce(&A, &B);
	sql(&A, "%s", schema);
	sql(&B, "SELECT crsql_as_crr('t')");
	sql(&A, "INSERT INTO t VALUES('gr\xc3\xb6\xc3\x9f" "e', '\xe2\x82\xac', "
	    "x'ff00')");
	pull(&B, &A);
	assert_identical(&A, &B, 1, 0);
	assert_identical(&B, &A, 1, 0);
	close_sites();
}

/* -- a hostile side ------------------------------------------------------------------------- */

static int target, seed;

static void
change_a_byte(uint8_t *data, size_t *len, int word)
{
	if (word != target)
		return;
	srand((unsigned)seed);
	if (seed % 3 == 0)
		*len = (size_t)rand() % *len;
	else
		data[(size_t)rand() % *len] ^= (uint8_t)(1 + rand() % 255);
}

/* DAMAGES in the environment, 300 of each message unless it says otherwise. */
static int
damages(void)
{
	return how_many("DAMAGES", 300);
}

static void
whatever_is_said_does_no_harm(void **state)
{
	struct verdict v;

	open_sites(kinds);
	sql(&A, "%s", values);
	pull(&B, &A);
	sql(&A, "UPDATE t SET v = 'mine' WHERE id = 'a'");
	secretly(&B, "UPDATE t SET v = 0 WHERE id = 'b'; UPDATE o SET v = 'x'");
	meddle = change_a_byte;
	for (target = 0; target < 6; target++)
		for (seed = 0; seed < damages(); seed++) {
			v = compare_in(&A, &B, 100);
			assert_true(v.rc == 0 || v.rc == E_INTEGRITY ||
			    v.rc == E_FATAL || v.rc == E_UNREACHABLE);
			if (v.rc == 0)
				verdict_clear(&v);
		}
	meddle = NULL;
	assert_int_equal(number(&A, "SELECT count(*) FROM t"), 6);
	close_sites();
}

static void
who_is_not_asked_is_not_heard(void **state)
{
	struct store_digest *d;
	enum store_digest_state state_now;
	const uint8_t *data;
	uint8_t first;
	struct err err;
	size_t len;

	open_sites(kinds);
	for (first = 0; first < 8; first++) {
		must(store_digest_answer(B.store, remote_id(&B, &A), &d, &err));
		must(store_digest_step(d, 1, &state_now, &data, &len, &err));
		assert_int_equal(state_now, STORE_DIGEST_WAITS);
		if (first != 1)
			assert_int_equal(store_digest_take(d, &first, 1, &err),
			    E_INTEGRITY);
		assert_int_equal(store_digest_take(d, &first, 0, &err),
		    E_INTEGRITY);
		store_digest_close(d);
	}
	close_sites();
}

/* What a step makes of it. */
static int
say(struct store_digest *d, const void *words, size_t n)
{
	enum store_digest_state now = STORE_DIGEST_WORKS;
	const uint8_t *data;
	struct err err;
	size_t len;
	int rc = store_digest_take(d, words, n, &err);

	while (rc == 0 && now == STORE_DIGEST_WORKS)
		rc = store_digest_step(d, 100, &now, &data, &len, &err);
	return rc;
}

static uint8_t wanted[256];
static size_t nwanted;

static void
note_the_want(uint8_t *data, size_t *len, int word)
{
	if (data[0] != DIGEST_WANT)
		return;
	assert_true(*len <= sizeof wanted);
	memcpy(wanted, data, *len);
	nwanted = *len;
}

/* Talks to the end, and then goes on with what is `said`, or else with what was wanted,
 * its bucket changed by `other`. */
static int
after_all(const void *said, size_t n, uint8_t other)
{
	struct store_digest *d[2];
	struct verdict v = { .words = 0 };
	struct err err;
	int rc;

	must(store_digest_ask(A.store, remote_id(&A, &B), &d[0], &err));
	must(store_digest_answer(B.store, remote_id(&B, &A), &d[1], &err));
	meddle = note_the_want;
	assert_int_equal(talk(d, 100, &v), 0);
	meddle = NULL;
	assert_int_equal(wanted[1], 1);
	assert_int_equal(wanted[3], 2); /* bits */
	wanted[4] ^= other;
	rc = say(d[1], said != NULL ? said : wanted, said != NULL ? n : nwanted);
	store_digest_close(d[0]);
	store_digest_close(d[1]);
	return rc;
}

static void
open_two_that_differ(void)
{
	open_sites("CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, v);"
	    "SELECT crsql_as_crr('t');");
	sql(&A, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
	    "100) INSERT INTO t SELECT i, i FROM n");
	pull(&B, &A);
	secretly(&B, "UPDATE t SET v = 0 WHERE id = 7");
}

/* Else a snapshot could be held for ever. */
static void
a_bucket_is_wanted_once(void **state)
{
	open_two_that_differ();
	assert_int_equal(after_all("\5\0", 2, 0), E_INTEGRITY);
	assert_int_equal(after_all(NULL, 0, 0), E_INTEGRITY);
	/* finer than they are */
	assert_int_equal(after_all("\5\1\0\3\0", 5, 0), E_INTEGRITY);
	/* another one goes */
	assert_int_equal(after_all(NULL, 0, 1), 0);
	close_sites();
}

static uint64_t claim;

/* Every bucket that has rows has so many. */
static void
claim_rows(uint8_t *data, size_t *len, int word)
{
	struct digest_msg m;
	struct buf out;
	struct err err;
	size_t i;

	if (data[0] != DIGEST_SUMS)
		return;
	must(digest_decode(data, *len, &m, &err));
	for (i = 0; i < (size_t)1 << m.sums[0].bits; i++)
		m.sums[0].bucket[i].n = claim;
	must(digest_encode(&m, &out, &err));
	assert_true(out.len <= *len + ROOM);
	memcpy(data, out.data, out.len);
	*len = out.len;
	buf_clear(&out);
	digest_msg_clear(&m);
}

static void
rows_are_as_many_as_were_claimed(void **state)
{
	static const uint64_t claims[] = { 1, 120, DIGEST_ROWS_WANTED };
	struct verdict v;
	size_t i;

	open_two_that_differ();
	meddle = claim_rows;
	for (i = 0; i < sizeof claims / sizeof *claims; i++) {
		claim = claims[i];
		v = compare_in(&A, &B, 100);
		assert_int_equal(v.rc, E_INTEGRITY);
	}
	/* more than can be asked for: only counted */
	claim = (uint64_t)1 << 40;
	v = compare_in(&A, &B, 100);
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.words, 4);
	assert_int_equal(v.c.there, 4 * claim - 100);
	assert_int_equal(v.c.nfound, 0);
	verdict_clear(&v);
	meddle = NULL;
	close_sites();
}

/* A table that comes late has as fine sums as one that came before. */
static void
buckets_go_by_rows(void **state)
{
	enum { TABLES = 300 };
	struct digest_table *table = calloc(TABLES, sizeof *table);
	struct store_digest d = { .table = table, .n = TABLES,
		.per_bucket = DIGEST_PER_BUCKET };
	size_t t, i, buckets = 0;
	uint64_t rows;

	for (t = 0; t < TABLES; t++) {
		table[t].rows = t % 100 == 0 ? 1000000 : 3000;
		table[t].ours.bits = digest_bits_for(table[t].rows,
		    d.per_bucket);
		table[t].ours.bucket = calloc((size_t)1 << table[t].ours.bits,
		    sizeof *table[t].ours.bucket);
		table[t].ours.bucket[0].n = table[t].rows;
		digest_spread(&d, t + 1);
	}
	for (t = 0; t < TABLES; t++) {
		assert_int_equal(table[t].ours.bits, table[t % 100].ours.bits);
		for (rows = i = 0; i < (size_t)1 << table[t].ours.bits; i++)
			rows += table[t].ours.bucket[i].n;
		assert_int_equal(rows, table[t].rows);
		buckets += i;
		free(table[t].ours.bucket);
	}
	assert_true(buckets <= DIGEST_BUCKETS_MAX);
	assert_true(buckets > DIGEST_BUCKETS_MAX / 2);
	assert_true(table[0].ours.bits > table[1].ours.bits);
	free(table);
}

static void
a_name_is_utf8(void **state)
{
	struct digest_msg m, again;
	char right[] = "t\xc3\xa9", wrong[] = "t\xc3(";
	struct digest_shape shape = { .name = right, .nkey = 1 };
	struct store_group group = { .ntables = 1 };
	struct buf out;
	struct err err;

	m = (struct digest_msg){ .said = DIGEST_ASK, .plan = { .ngroups = 1,
		.group = &group }, .shape = &shape, .nshapes = 1 };
	must(digest_encode(&m, &out, &err));
	must(digest_decode(out.data, out.len, &again, &err));
	digest_msg_clear(&again);
	buf_clear(&out);
	shape.name = wrong;
	must(digest_encode(&m, &out, &err));
	assert_int_equal(digest_decode(out.data, out.len, &again, &err),
	    E_INTEGRITY);
	digest_msg_clear(&again);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tables_that_are_equal_are_identical),
		TEST(any_cell_that_differs_is_named),
		TEST(a_row_of_one_side_is_named),
		TEST(r27_what_only_one_side_has_is_in_flight),
		TEST(r8_what_is_not_folded_is_in_flight_and_stays),
		TEST(what_is_parked_is_in_flight),
		TEST(too_much_in_flight_is_said),
		TEST(many_differences_are_counted),
		TEST(tables_of_one_side_are_named_and_no_fault),
		TEST(names_that_differ_in_case_are_the_same),
		TEST(an_encoding_is_no_difference),
		TEST(whatever_is_said_does_no_harm),
		TEST(who_is_not_asked_is_not_heard),
		TEST(a_bucket_is_wanted_once),
		TEST(rows_are_as_many_as_were_claimed),
		cmocka_unit_test(buckets_go_by_rows),
		cmocka_unit_test(a_name_is_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

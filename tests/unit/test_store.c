// SPDX-License-Identifier: MPL-2.0
/*
 * test_store.c - one database: opening, initialising, the key, tables, what is
 * new.  Remotes and settings: test_store_settings.c.
 */
#include "store/sql.h"
#include "test_store_site.h"

static void
path_of(char out[SITE_PATH_MAX], const char *name)
{
	snprintf(out, SITE_PATH_MAX, "%s/%s", scratch, name);
}

/* -- opening ------------------------------------------------------------------ */

static int
try_open(const char *file, struct err *err)
{
	struct store_open how = { .db_file = file, .busy_ms = 50 };
	struct store *s;
	int rc = store_open(&how, &s, err);

	store_close(s);
	return rc;
}

static void
opening_what_is_none_of_ours(void **state)
{
	char file[SITE_PATH_MAX], copy[SITE_PATH_MAX];
	struct store_init how = { .db_file = file, .busy_ms = 50 };
	struct err err;
	bool already;
	sqlite3 *db;
	FILE *f;

	path_of(file, "none.db");
	assert_int_equal(try_open(file, &err), E_NOTFOUND);
	assert_int_equal(access(file, F_OK), -1);
	path_of(file, "nodir/none.db");
	assert_int_equal(try_open(file, &err), E_NOTFOUND);
	assert_int_equal(store_init(&how, &already, &err), E_NOTFOUND);
	path_of(file, "plain.db");
	db = open_handle(file, false);
	exec(db, "CREATE TABLE t(x)");
	sqlite3_close(db);
	path_of(copy, "copy.db");
	copy_file(file, copy);
	assert_int_equal(try_open(file, &err), E_NOTFOUND);
	assert_true(err.hint[0] != '\0');
	path_of(file, "text.db");
	f = fopen(file, "w");
	fputs("this is no database, though it is a file of some length\n", f);
	fclose(f);
	assert_int_equal(try_open(file, &err), E_FATAL);
	assert_int_equal(store_init(&how, &already, &err), E_FATAL);
	assert_true(err.hint[0] != '\0');
}

static void
opening_a_newer_format(void **state)
{
	struct site a;
	struct err err;

	site_make(&a, "alice");
	plain_sql(&a, "UPDATE ddcp_meta SET value = 99 WHERE key = 'schema'");
	site_close(&a);
	assert_int_equal(try_open(a.file, &err), E_FATAL);
	assert_non_null(strstr(err.text, "newer"));
}

static void
locked_by_another_program(void **state)
{
	struct store_open how = { .busy_ms = 20 };
	struct store *s;
	struct site a, b;
	sqlite3 *other;
	struct err err;
	bool already;

	site_make(&a, "alice");
	site_make(&b, "bob");
	other = open_handle(a.file, false);
	exec(other, "BEGIN IMMEDIATE");
	how.db_file = a.file;
	must(store_open(&how, &s, &err));
	assert_int_equal(store_remote_add(s, "bob", b.key, "", &already,
	    &err), E_UNREACHABLE);
	assert_true(err.hint[0] != '\0');
	exec(other, "ROLLBACK");
	must(store_remote_add(s, "bob", b.key, "", &already, &err));
	sqlite3_close(other);
	store_close(s);
	site_close(&a);
	site_close(&b);
}

static void
a_read_only_database_serves(void **state)
{
	struct store_open how = { .busy_ms = 100, .readonly = true };
	struct store_pull *p;
	struct store_plan plan;
	struct store_status status;
	struct site a, b;
	struct err err;
	bool already;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	site_close(&a);
	how.db_file = a.file;
	must(store_open(&how, &a.store, &err));
	assert_int_equal(store_remote_add(a.store, "c", (const uint8_t *)
	    "a key of thirty-two bytes.......", "", &already, &err), E_FATAL);
	assert_int_equal(store_pull_begin(a.store, remote_id(&a, &b), false,
	    &p, &plan, &err), E_FATAL);
	must(store_status(a.store, &status, &err));
	assert_int_equal(status.version, 1);
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

/* Looking at the status folds nothing and writes nothing. */
static void
status_only_looks(void **state)
{
	struct store_status status;
	struct site a;
	struct err err;

	site_make(&a, "alice");
	plain_sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	must(store_status(a.store, &status, &err));
	assert_int_equal(status.pending, 1);
	assert_int_equal(status.version, 0);
	assert_int_equal(status.tables, 1);
	must(store_status(a.store, &status, &err));
	assert_int_equal(status.pending, 1);
	site_close(&a);
}

/* -- init and deinit ------------------------------------------------------------- */

static void
init_again_changes_nothing(void **state)
{
	struct store_init how = { .busy_ms = 100 };
	struct site a;
	uint8_t key[KEY_LEN];
	struct err err;
	bool already;

	site_make(&a, "alice");
	memcpy(key, a.key, sizeof key);
	expect(&a, "PRAGMA journal_mode", "wal\n");
	site_close(&a);
	how.db_file = a.file;
	must(store_init(&how, &already, &err));
	assert_true(already);
	site_open(&a);
	assert_memory_equal(key, a.key, sizeof key);
	assert_false(store_was_forked(a.store));
	site_close(&a);
	how.new_identity = true;
	must(store_init(&how, &already, &err));
	assert_false(already);
	site_open(&a);
	assert_memory_not_equal(key, a.key, sizeof key);
	site_close(&a);
}

static void
deinit_leaves_an_ordinary_file(void **state)
{
	struct store_open how = { .busy_ms = 100 };
	struct store_init init = { .busy_ms = 100 };
	struct site a, b;
	struct err err;
	bool already;
	sqlite3 *db;
	char *text;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "SELECT crsql_fract_as_ordered('t', 'w')");
	plain_sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	sql(&a, "UPDATE t SET v = 2");
	site_close(&a);
	how.db_file = init.db_file = a.file;
	must(store_deinit(&how, false, &err));
	db = open_handle(a.file, false);
	text = text_of(db, "SELECT name FROM sqlite_schema ORDER BY 1");
	assert_string_equal(text, "sqlite_autoindex_t_1\nt\n");
	sqlite3_free(text);
	text = text_of(db, "SELECT * FROM t");
	assert_string_equal(text, "x|2|a \n");
	sqlite3_free(text);
	sqlite3_close(db);
	assert_int_equal(try_open(a.file, &err), E_NOTFOUND);
	/* The key was kept, and is used again, as another site. */
	must(store_init(&init, &already, &err));
	assert_false(already);
	uint8_t key[KEY_LEN];
	memcpy(key, a.key, sizeof key);
	site_open(&a);
	assert_memory_equal(key, a.key, sizeof key);
	expect(&a, "SELECT hex(value) = '0000000000000000' FROM ddcp_meta "
	    "WHERE key = 'incarnation'", "0\n");
	site_close(&a);
	/* also what of a key was half written */
	char key_file[SITE_PATH_MAX], half[SITE_PATH_MAX];
	path_of(key_file, ".ddcp/alice.db/key");
	path_of(half, ".ddcp/alice.db/key.next.new");
	copy_file(key_file, half);
	must(store_deinit(&how, true, &err));
	char dir[SITE_PATH_MAX];
	path_of(dir, ".ddcp/alice.db");
	assert_int_equal(access(dir, F_OK), -1);
	site_close(&b);
}

/* An init that fails leaves the key that was there. */
static void
a_failed_new_identity_keeps_the_old_key(void **state)
{
	struct store_init how = { .new_identity = true };
	struct site a;
	uint8_t key[KEY_LEN];
	struct err err;
	sqlite3 *db;
	bool already;

	site_make(&a, "alice");
	memcpy(key, a.key, sizeof key);
	site_close(&a);
	how.db_file = a.file;
	db = open_handle(a.file, false);
	exec(db, "BEGIN IMMEDIATE");
	assert_int_equal(store_init(&how, &already, &err), E_UNREACHABLE);
	exec(db, "ROLLBACK");
	sqlite3_close(db);
	site_open(&a);
	assert_memory_equal(a.key, key, sizeof key);
	site_close(&a);
}

/* -- the key ------------------------------------------------------------------------ */

static void
state_path(char out[SITE_PATH_MAX], const char *name)
{
	snprintf(out, SITE_PATH_MAX, "%s/.ddcp/alice.db/%s", scratch, name);
}

/* Who makes a new key dies after the database named it, or before. */
static void
a_new_key_that_was_not_put_in_place(void **state)
{
	struct store_open reading = { .readonly = true };
	struct store_init anew = { .new_identity = true };
	char key[SITE_PATH_MAX], next[SITE_PATH_MAX], old[SITE_PATH_MAX];
	uint8_t was[KEY_LEN];
	struct site a;
	struct err err;
	bool already;

	site_make(&a, "alice");
	memcpy(was, a.key, sizeof was);
	site_close(&a);
	state_path(key, "key");
	state_path(next, "key.next");
	path_of(old, "old-key");
	copy_file(key, old);
	anew.db_file = reading.db_file = a.file;
	must(store_init(&anew, &already, &err));
	assert_int_equal(rename(key, next), 0);
	copy_file(old, key);
	must(store_open(&reading, &a.store, &err));
	site_close(&a);
	assert_int_equal(access(next, F_OK), 0);
	site_open(&a);
	assert_memory_not_equal(a.key, was, sizeof was);
	assert_int_equal(access(next, F_OK), -1);
	memcpy(was, a.key, sizeof was);
	site_close(&a);
	/* one that no database names is none */
	copy_file(old, next);
	site_open(&a);
	assert_memory_equal(a.key, was, sizeof was);
	site_close(&a);
	assert_int_equal(remove(key), 0);
	assert_int_equal(try_open(a.file, &err), E_NOTFOUND);
}

static void
an_exported_key_mends_a_damaged_one(void **state)
{
	struct store_init how = { .busy_ms = 100 };
	char file[SITE_PATH_MAX], key[SITE_PATH_MAX];
	uint8_t was[KEY_LEN];
	struct site a;
	struct err err;

	site_make(&a, "alice");
	memcpy(was, a.key, sizeof was);
	path_of(file, "alice.key");
	must(store_key_export(a.store, file, "secret", &err));
	site_close(&a);
	state_path(key, "key");
	assert_int_equal(truncate(key, 40), 0);
	assert_int_equal(try_open(a.file, &err), E_INTEGRITY);
	how.db_file = a.file;
	must(store_key_import(&how, file, "secret", &err));
	site_open(&a);
	assert_memory_equal(a.key, was, sizeof was);
	site_close(&a);
}

static void
key_export_and_import(void **state)
{
	struct store_init how = { .busy_ms = 100 };
	char file[SITE_PATH_MAX], damaged[SITE_PATH_MAX];
	char dir[SITE_PATH_MAX], gone[SITE_PATH_MAX];
	struct site a, b, c;
	struct stat st;
	struct err err;
	FILE *f;
	int byte;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	pull(&b, &a);
	path_of(file, "alice.key");
	must(store_key_export(a.store, file, "secret", &err));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(store_key_export(a.store, file, "secret", &err),
	    E_EXISTS);
	snprintf(dir, sizeof dir, "%s", store_state_dir(a.store));
	path_of(gone, "gone");
	site_close(&a);
	rename(dir, gone);
	how.db_file = a.file;
	assert_int_equal(store_key_import(&how, file, "wrong", &err),
	    E_INTEGRITY);
	path_of(damaged, "damaged.key");
	copy_file(file, damaged);
	f = fopen(damaged, "r+b");
	fseek(f, 70, SEEK_SET);
	byte = fgetc(f);
	fseek(f, 70, SEEK_SET);
	fputc(byte ^ 1, f);   /* whatever stood there */
	fclose(f);
	assert_int_equal(store_key_import(&how, damaged, "secret", &err),
	    E_INTEGRITY);
	assert_int_equal(truncate(damaged, 60), 0);
	assert_int_equal(store_key_import(&how, damaged, "secret", &err),
	    E_INTEGRITY);
	must(store_key_import(&how, file, "secret", &err));
	site_open(&a);
	/* Alice again, and as a new incarnation, since the old one may be
	 * elsewhere. */
	sql(&a, "INSERT INTO t VALUES('y', 1, 1)");
	pull(&b, &a);
	assert_alike(&a, &b);
	/* Another database has another key. */
	site_make(&c, "carol");
	site_close(&c);
	how.db_file = c.file;
	assert_int_equal(store_key_import(&how, file, "secret", &err),
	    E_EXISTS);
	how.new_identity = true;
	must(store_key_import(&how, file, "secret", &err));
	site_open(&c);
	assert_memory_equal(c.key, a.key, KEY_LEN);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

/* -- R26 ------------------------------------------------------------------------------------- */

static void
r26_connections_are_defended(void **state)
{
	struct site a;
	sqlite3 *db;
	int on = 0;

	site_make(&a, "alice");
	db = store_handle(a.store);
	/* Not even who has our handle can write where SQLite trusts. */
	assert_int_equal(sqlite3_exec(db, "PRAGMA writable_schema = 1; "
	    "UPDATE sqlite_schema SET sql = 'x' WHERE name = 't'", NULL, NULL,
	    NULL), SQLITE_ERROR);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, -1,
	    &on), SQLITE_OK);
	assert_true(on);
	assert_int_equal(sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, -1),
	    16 << 20);
	site_close(&a);
	expect(&a, "SELECT sql FROM sqlite_schema WHERE name = 't' AND "
	    "sql = 'x'", "");
}

/* -- tables ------------------------------------------------------------------------------- */

static int
collect_tables(void *self, const char *table, bool tracked)
{
	char *out = self;

	strcat(out, table);
	strcat(out, tracked ? "+ " : "- ");
	return 0;
}

static void
tracking(void **state)
{
	char names[200] = "";
	struct site a;
	struct err err;
	bool already;

	site_make(&a, "alice");
	plain_sql(&a, "CREATE TABLE \"odd \"\" name\"(id TEXT PRIMARY KEY, v);"
	    "CREATE TABLE nokey(x); CREATE VIEW w AS SELECT 1");
	must(store_track(a.store, "odd \" name", &already, &err));
	assert_false(already);
	must(store_track(a.store, "odd \" name", &already, &err));
	assert_true(already);
	assert_int_equal(store_track(a.store, "nokey", &already, &err),
	    E_USAGE);
	assert_string_equal(err.text, "nokey can't be replicated: it has no "
	    "primary key, so rows can't be told apart elsewhere");
	assert_int_equal(store_track(a.store, "nothing", &already, &err),
	    E_NOTFOUND);
	assert_int_equal(store_track(a.store, "ddcp_meta", &already, &err),
	    E_USAGE);
	must(store_table_each(a.store, collect_tables, names, &err));
	assert_string_equal(names, "nokey- odd \" name+ t+ ");
	must(store_untrack(a.store, "odd \" name", &err));
	assert_int_equal(store_untrack(a.store, "odd \" name", &err),
	    E_NOTFOUND);
	site_close(&a);
}

static int
collect_rules(void *self, const char *table, enum store_lint_grade grade,
    const char *rule, const char *text)
{
	char *out = self;

	assert_true(strlen(text) > 20);
	strcat(out, rule);
	strcat(out, grade == LINT_REFUSAL ? "! " : grade == LINT_WARNING ?
	    "? " : " ");
	return 0;
}

static void
expect_rules(struct site *s, const char *table, const char *expected)
{
	char rules[500] = "";
	struct err err;

	must(store_check(s->store, table, collect_rules, rules, &err));
	if (strcmp(rules, expected) != 0)
		fail_msg("%s: %s, not %s", table, rules, expected);
}

static void
lint(void **state)
{
	struct site a;
	struct err err;

	site_make(&a, "alice");
	plain_sql(&a, "CREATE TABLE nokey(x);"
	    "CREATE TABLE many(id INTEGER PRIMARY KEY AUTOINCREMENT, "
	    "u UNIQUE, n NOT NULL, f REFERENCES nokey(x), c CHECK(c > 0));"
	    "CREATE TABLE rowless(id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID;"
	    "CREATE TABLE folded(id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL);"
	    "CREATE TABLE loose(id TEXT PRIMARY KEY, g AS (id || '!'));"
	    "CREATE VIEW v AS SELECT 1;"
	    "CREATE TRIGGER writes AFTER INSERT ON loose BEGIN "
	    "UPDATE t SET v = 1; END;"
	    "CREATE TRIGGER fine AFTER UPDATE ON loose WHEN "
	    "0 BEGIN UPDATE nokey SET x = 1; END");
	expect_rules(&a, "t", "");
	expect_rules(&a, NULL, "");
	expect_rules(&a, "nokey", "no-primary-key! ");
	expect_rules(&a, "many", "autoincrement! unique! foreign-key! "
	    "not-null-without-default! integer-key? check? ");
	expect_rules(&a, "rowless", "");
	expect_rules(&a, "folded", "key-collation! ");
	expect_rules(&a, "loose", "trigger-writes? nullable-key "
	    "generated-column ");
	expect_rules(&a, "v", "not-a-table! no-primary-key! ");
	assert_int_equal(store_check(a.store, "nothing", collect_rules, NULL,
	    &err), E_NOTFOUND);
	site_close(&a);
}

/* -- what is new --------------------------------------------------------------------------- */

static size_t
news(struct site *s, struct store_entry *out, bool *changed)
{
	struct err err;
	size_t n;

	must(store_changed(s->store, changed, out, 8, &n, &err));
	return n;
}

static void
changes_are_noticed(void **state)
{
	struct store_entry e[8];
	struct site a, b, c;
	struct err err;
	bool changed, covered;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	introduce(&b, &c);
	news(&a, e, &changed);
	assert_int_equal(news(&a, e, &changed), 0);
	assert_false(changed);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	assert_int_equal(news(&a, e, &changed), 1);
	assert_true(changed);
	assert_int_equal(e[0].version, 1);
	must(store_covers(b.store, e, 1, &covered, &err));
	assert_false(covered);
	must(store_covers(a.store, e, 1, &covered, &err));
	assert_true(covered);
	/* A plain program's write is folded, and is news too. */
	plain_sql(&a, "INSERT INTO t VALUES('y', 1, 1)");
	assert_int_equal(news(&a, e, &changed), 1);
	assert_int_equal(e[0].version, 2);
	assert_int_equal(news(&a, e, &changed), 0);
	/* What is merged is news for the next in the chain. */
	news(&b, e, &changed);
	pull(&b, &a);
	assert_int_equal(news(&b, e, &changed), 1);
	assert_int_equal(e[0].version, 2);
	must(store_covers(b.store, e, 1, &covered, &err));
	assert_true(covered);
	must(store_covers(c.store, e, 1, &covered, &err));
	assert_false(covered);
	/* Nothing is, when nothing came. */
	pull(&b, &a);
	assert_int_equal(news(&b, e, &changed), 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

static void
no_waiting_while_somebody_writes(void **state)
{
	struct store_entry e[8];
	struct site a;
	sqlite3 *other;
	struct err err;
	bool changed;
	size_t n;

	site_make(&a, "alice");
	plain_sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	other = open_handle(a.file, false);
	exec(other, "BEGIN IMMEDIATE");
	assert_int_equal(store_changed(a.store, &changed, e, 8, &n, &err),
	    E_UNREACHABLE);
	exec(other, "ROLLBACK");
	must(store_changed(a.store, &changed, e, 8, &n, &err));
	assert_int_equal(n, 1);
	sqlite3_close(other);
	site_close(&a);
}

/* A user's trigger may write to an R-Tree, or search in FTS5, which keep one open. */
static void
a_transaction_ends_while_a_blob_is_open(void **state)
{
	sqlite3_blob *blob;
	sqlite3 *db;
	int64_t n;
	struct err err;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	exec(db, "CREATE TABLE t(v); INSERT INTO t VALUES(x'01')");
	must(sql_begin(db, &err));
	exec(db, "INSERT INTO t VALUES(x'02')");
	assert_int_equal(sqlite3_blob_open(db, "main", "t", "v", 1, 1, &blob),
	    SQLITE_OK);
	sql_rollback(db);
	assert_int_not_equal(sqlite3_get_autocommit(db), 0);
	must(sql_int(db, &n, &err, "SELECT count(*) FROM t", ""));
	assert_int_equal(n, 1);
	sqlite3_blob_close(blob);
	/* nothing is kept on */
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_transaction_ends_while_a_blob_is_open),
		TEST(opening_what_is_none_of_ours),
		TEST(opening_a_newer_format),
		TEST(locked_by_another_program),
		TEST(a_read_only_database_serves),
		TEST(status_only_looks),
		TEST(init_again_changes_nothing),
		TEST(a_failed_new_identity_keeps_the_old_key),
		TEST(deinit_leaves_an_ordinary_file),
		TEST(key_export_and_import),
		TEST(a_new_key_that_was_not_put_in_place),
		TEST(an_exported_key_mends_a_damaged_one),
		TEST(r26_connections_are_defended),
		TEST(tracking),
		TEST(lint),
		TEST(changes_are_noticed),
		TEST(no_waiting_while_somebody_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

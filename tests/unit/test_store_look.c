// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_look.c - what a merge would do is told beforehand, exactly, and can be
 * taken back.
 */
#include "test_store_site.h"
#include "store/past.h"
#include "how_many.h"

enum { SEEDS = 25, ROUNDS = 8 };

#define ROWS "SELECT * FROM t ORDER BY id"

static int
chance(int of)
{
	return rand() % of;
}

static void
two(struct site *a, struct site *b)
{
	site_make(a, "alice");
	site_make(b, "bob");
	introduce(a, b);
}

static void
fetch(struct site *to, struct site *from)
{
	struct pull p = { .fetch_only = true, .page = 300 };

	assert_int_equal(pull_with(to, from, &p), 0);
}

/* What a row does to the model, a table beside the database. */
static char *
literal(const struct store_value *v)
{
	switch (v->type) {
	case STORE_INTEGER:
		return sqlite3_mprintf("%lld", (long long)v->integer);
	case STORE_REAL:
		return sqlite3_mprintf("%!.17g", v->real);
	case STORE_TEXT:
		return sqlite3_mprintf("'%.*q'", (int)v->size,
		    (const char *)v->data);
	default:
		return sqlite3_mprintf("NULL");
	}
}

static void
model_do(sqlite3 *model, char *sql)
{
	exec(model, sql);
	if (sqlite3_changes(model) != 1)
		fail_msg("of another row: %s", sql);
	sqlite3_free(sql);
}

static int
apply(void *self, const struct store_diff_row *r)
{
	sqlite3 *model = self;
	char *key = literal(&r->key[0].value), *was, *is;
	size_t i;

	assert_string_equal(r->table, "t");
	assert_int_equal(r->nkey, 1);
	if (r->kind == STORE_INSERTED)
		model_do(model, sqlite3_mprintf("INSERT INTO t(id) VALUES(%s)", key));
	for (i = 0; i < r->ncell; i++) {
		was = literal(&r->cell[i].before);
		is = r->kind == STORE_DELETED ? sqlite3_mprintf("NULL") :
		    literal(&r->cell[i].after);
		assert_int_equal(r->cell[i].was_known, r->kind != STORE_INSERTED);
		model_do(model, r->kind == STORE_INSERTED ?
		    sqlite3_mprintf("UPDATE t SET \"%w\" = %s WHERE id = %s",
		    r->cell[i].column, is, key) : sqlite3_mprintf("UPDATE t SET "
		    "\"%w\" = %s WHERE id = %s AND \"%w\" IS %s", r->cell[i].column,
		    is, key, r->cell[i].column, was));
		sqlite3_free(was);
		sqlite3_free(is);
	}
	if (r->kind == STORE_DELETED)
		model_do(model, sqlite3_mprintf("DELETE FROM t WHERE id = %s", key));
	sqlite3_free(key);
	return 0;
}

static sqlite3 *
model_of(const struct site *s)
{
	sqlite3 *model;

	assert_int_equal(sqlite3_open(":memory:", &model), SQLITE_OK);
	exec(model, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w)");
	model_do(model, sqlite3_mprintf("ATTACH %Q AS f; INSERT INTO t SELECT * FROM "
	    "f.t; DETACH f; CREATE TABLE one(x); INSERT INTO one VALUES(1)",
	    s->file));
	return model;
}

static char *
rows_of(const struct site *s)
{
	sqlite3 *db = open_handle(s->file, false);
	char *rows = text_of(db, ROWS);

	sqlite3_close(db);
	return rows;
}

static void
write_something(const struct site *s)
{
	int key = chance(9);

	switch (chance(6)) {
	case 0:
	case 1:
		sql(s, "INSERT OR IGNORE INTO t VALUES('k%d', %d, 'w')", key,
		    chance(99));
		break;
	case 2:
		sql(s, "DELETE FROM t WHERE id = 'k%d'", key);
		break;
	case 3:
		plain_sql(s, "UPDATE t SET v = %d, w = NULL WHERE id = 'k%d'",
		    chance(99), key);
		break;
	default:
		sql(s, "UPDATE t SET %s = %d WHERE id < 'k%d'", chance(2) ? "v" :
		    "w", chance(99), key);
	}
}

static void
write_some(struct site *a, struct site *b)
{
	while (chance(4) > 0)
		write_something(a);
	while (chance(3) > 0)
		write_something(b);
}

static int
count_row(void *self, const struct store_diff_row *r)
{
	++*(int *)self;
	return 0;
}

static int
count_undone(void *self, const struct store_undone *r)
{
	++*(int *)self;
	return 0;
}

/* -- tests ----------------------------------------------------------------------- */

#define STATE "SELECT group_concat(x, char(10)) FROM (SELECT \"table\" || hex(pk) || " \
	"cid || quote(val) || col_version || db_version || cl || seq AS x FROM " \
	"crsql_changes) UNION ALL SELECT crsql_db_version() UNION ALL SELECT " \
	"group_concat(dbv || ' ' || pos || ' ' || quote(key) || quote(hdr), char(10)) " \
	"FROM crsql_log UNION ALL SELECT group_concat(name) FROM sqlite_schema"

static void
r09_looking_changes_nothing(void **state)
{
	struct store_diff all = { .remote = NULL };
	struct store_diff_sum sum;
	struct site a, b;
	struct err err;
	sqlite3 *db;
	char *before, *after;
	int n = 0;

	two(&a, &b);
	sql(&a, "INSERT INTO t VALUES('a', 1, 2), ('b', 3, 4)");
	pull(&b, &a);
	sql(&a, "UPDATE t SET v = 5 WHERE id = 'a'; DELETE FROM t WHERE id = 'b'; "
	    "INSERT INTO t VALUES('c', 1, 1)");
	fetch(&b, &a);
	db = open_handle(b.file, true);
	before = text_of(db, STATE);
	must(store_diff(b.store, &all, count_row, &n, &sum, &err));
	assert_int_equal(n, 3);
	after = text_of(db, STATE);
	assert_string_equal(before, after);
	close_handle(db);
	sqlite3_free(before);
	sqlite3_free(after);
	/* twice the same, and a step of no time at all is done on a copy */
	must(store_config_set(b.store, "merge.max-ms", "1", &err));
	must(store_diff(b.store, &all, count_row, &n, &sum, &err));
	assert_int_equal(n, 6);
	site_close(&a);
	site_close(&b);
}

static void
a_diff_is_what_the_merge_does(void **state)
{
	int seed, i, seeds = how_many("SEEDS", SEEDS);
	struct store_diff all = { .remote = NULL };
	struct store_diff_sum sum;
	struct store_result result;
	struct site a, b, *to, *from;
	struct err err;
	sqlite3 *model;
	char *told, *is;

	for (seed = 1; seed <= seeds; seed++) {
		srand((unsigned)seed);
		two(&a, &b);
		for (i = 0; i < ROUNDS; i++) {
			write_some(&a, &b);
			to = chance(2) ? &a : &b;
			from = to == &a ? &b : &a;
			fetch(to, from);
			model = model_of(to);
			must(store_diff(to->store, &all, apply, model, &sum, &err));
			must(store_merge_inbox(to->store, remote_id(to, from),
			    &result, &err));
			told = text_of(model, ROWS);
			is = rows_of(to);
			if (strcmp(told, is) != 0)
				fail_msg("seed %d: told\n%s\nis\n%s", seed, told, is);
			sqlite3_free(told);
			sqlite3_free(is);
			sqlite3_close(model);
		}
		site_close(&a);
		site_close(&b);
		scratch_remove(NULL);
		assert_int_equal(mkdir(scratch, 0700), 0);
	}
}

/* The newest merge that changed something. */
static int64_t
newest_merge(const struct site *s)
{
	return number(s, "SELECT count(*) FROM sqlite_schema WHERE name = "
	    "'ddcp_merge'") == 0 ? 0 :
	    number(s, "SELECT coalesce(max(pull), 0) FROM ddcp_merge");
}

/* Where nobody wrote since, all is as it was; and who takes that merges it. */
static void
a_merge_is_taken_back(void **state)
{
	int seed, i, n, seeds = how_many("SEEDS", SEEDS);
	struct store_undo last = { .name = NULL };
	struct store_undo_sum sum;
	struct site a, b;
	struct err err;
	char *was, *is;
	int64_t merge;

	for (seed = 1; seed <= seeds; seed++) {
		srand((unsigned)seed);
		two(&a, &b);
		for (i = 0; i < ROUNDS; i++) {
			write_some(&a, &b);
			was = rows_of(&b);
			merge = newest_merge(&b);
			pull(&b, &a);
			n = 0;
			memset(&sum, 0, sizeof sum);
			if (newest_merge(&b) != merge)
				must(store_undo(b.store, &last, count_undone, &n,
				    &sum, &err));
			is = rows_of(&b);
			if (strcmp(was, is) != 0)
				fail_msg("seed %d: there was\n%s\nnow\n%s", seed, was,
				    is);
			assert_int_equal(sum.done, n);
			sqlite3_free(was);
			sqlite3_free(is);
			if (chance(2)) {
				pull(&a, &b);
				pull(&b, &a);
				assert_alike(&a, &b);
			}
		}
		site_close(&a);
		site_close(&b);
		scratch_remove(NULL);
		assert_int_equal(mkdir(scratch, 0700), 0);
	}
}

/* Deleted and made again elsewhere, a row without columns is as it was: nothing of it
 * can be taken back, and nobody has changed it since. */
static void
a_new_life_of_the_same_is_nothing(void **state)
{
	static const char *const marks = "CREATE TABLE m(id INTEGER PRIMARY KEY NOT "
	    "NULL); SELECT crsql_as_crr('m')";
	struct store_undo last = { .name = NULL };
	struct store_undo_sum sum;
	struct site a, b;
	struct err err;
	int n = 0;

	two(&a, &b);
	sql(&a, "%s; INSERT INTO m VALUES(1)", marks);
	sql(&b, "%s", marks);
	pull(&b, &a);
	sql(&a, "DELETE FROM m");
	sql(&a, "INSERT INTO m VALUES(1), (2)");
	pull(&b, &a);
	must(store_undo(b.store, &last, count_undone, &n, &sum, &err));
	assert_int_equal(n, 1);
	assert_int_equal(sum.done, 1);
	assert_int_equal(sum.left, 0);
	expect(&b, "SELECT id FROM m", "1\n");
	site_close(&a);
	site_close(&b);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		EACH(r09_looking_changes_nothing),
		EACH(a_diff_is_what_the_merge_does),
		EACH(a_merge_is_taken_back),
		EACH(a_new_life_of_the_same_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

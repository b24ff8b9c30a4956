// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_history.c - the past as the store tells it: authors, transactions,
 * rows in batches, and the log as it grows.
 */
#include "test_store_site.h"
#include "store/past.h"

enum { MANY = 1000 };

static char told[4096];

static void
tell(const char *fmt, ...)
{
	size_t len = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(told + len, sizeof told - len, fmt, ap);
	va_end(ap);
}

static int
on_transaction(void *self, const struct store_transaction *t)
{
	size_t i;

	tell("%s@%d", t->author.name, (int)t->version);
	for (i = 0; i < t->ntally; i++)
		tell(" %s+%d~%d-%d", t->tally[i].table, (int)t->tally[i].inserted,
		    (int)t->tally[i].changed, (int)t->tally[i].deleted);
	tell("\n");
	return 0;
}

static int
on_change(void *self, const struct store_change *c)
{
	tell("%d %s %.*s %d\n", (int)c->kind, c->key[0].column,
	    (int)c->key[0].value.size, (const char *)c->key[0].value.data,
	    (int)c->ncell);
	return 0;
}

static int
on_end(void *self, uint64_t kept, uint64_t lost)
{
	tell("%d kept, %d lost\n", (int)kept, (int)lost);
	return 0;
}

static int
on_blamed(void *self, const struct store_blamed *b)
{
	tell("%s %s@%d\n", b->column, b->known ? b->author.name : "nobody",
	    (int)b->version);
	return 0;
}

static void
log_is(struct site *s, const struct store_log *which, const char *want)
{
	struct err err;

	told[0] = '\0';
	must(store_log_each(s->store, which, on_transaction, NULL, &err));
	assert_string_equal(told, want);
}

static void
show_is(struct site *s, const char *name, const char *want)
{
	struct store_show calls = { on_transaction, on_change, on_end, NULL };
	struct err err;

	told[0] = '\0';
	must(store_show(s->store, name, &calls, &err));
	assert_string_equal(told, want);
}

static void
authors_are_named_as_they_are_known_here(void **state)
{
	struct store_log all = { .limit = 0 }, bobs = { .author = "bob" };
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 2, 2)");
	sql(&b, "INSERT INTO t VALUES('3', 1, 1)");
	sql(&b, "UPDATE t SET v = 9; INSERT INTO t VALUES('4', 1, 1)");
	pull(&a, &b);
	log_is(&a, &all, "bob@3 t+1~0-0\nbob@2 t+0~1-0\nbob@1 t+1~0-0\n"
	    "me@1 t+2~0-0\n");
	bobs.limit = 1;
	log_is(&a, &bobs, "bob@3 t+1~0-0\n");
	must(store_remote_rename(a.store, "bob", "robert", &err));
	assert_int_equal(store_log_each(a.store, &bobs, on_transaction, NULL, &err),
	    E_NOTFOUND);
	bobs.author = "robert";
	log_is(&a, &bobs, "robert@3 t+1~0-0\n");
	must(store_remote_remove(a.store, "robert", &err));
	assert_int_equal(store_log_each(a.store, &bobs, on_transaction, NULL, &err),
	    E_NOTFOUND);
	show_is(&a, "me@1", "me@1 t+2~0-0\n0 id 1 2\n0 id 2 2\n4 kept, 0 lost\n");
	site_close(&a);
	site_close(&b);
}

static void
what_was_overwritten_is_counted(void **state)
{
	static const struct store_value key = { .type = STORE_TEXT, .data = "1",
		.size = 1 };
	struct site a;
	struct err err;

	site_make(&a, "alice");
	sql(&a, "INSERT INTO t VALUES('1', 1, 1), ('2', 2, 2)");
	sql(&a, "UPDATE t SET w = 5 WHERE id = '1'");
	sql(&a, "DELETE FROM t WHERE id = '2'");
	show_is(&a, "@1", "me@1 t+2~0-0\n0 id 1 1\n1 kept, 1 lost\n");
	show_is(&a, "@3", "me@3 t+0~0-1\n2 id 2 0\n1 kept, 0 lost\n");
	told[0] = '\0';
	must(store_blame(a.store, "t", &key, 1, on_blamed, NULL, &err));
	assert_string_equal(told, "v me@1\nw me@2\n");
	assert_int_equal(store_blame(a.store, "t", &key, 0, on_blamed, NULL, &err),
	    E_USAGE);
	assert_int_equal(store_blame(a.store, "u", &key, 1, on_blamed, NULL, &err),
	    E_NOTFOUND);
	site_close(&a);
}

/* The log is read in pieces, each row once, whoever writes in between. */
static void
a_follower_gets_each_row_once(void **state)
{
	static const uint8_t start[STORE_CURSOR_LEN];
	const struct store_change *c;
	struct store_follow *f;
	struct site a;
	struct err err;
	size_t n, rows = 0, pieces = 0;
	bool again;

	site_make(&a, "alice");
	sql(&a, "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c "
	    "WHERE x < %d) INSERT INTO t SELECT x, x, x FROM c", MANY);
	must(store_follow_begin(a.store, start, "T", &f, &err));
	do {
		must(store_follow_next(f, &c, &n, &again, &err));
		rows += n;
		pieces += n > 0;
		if (pieces == 1)
			plain_sql(&a, "INSERT INTO t VALUES('late', 1, 1)");
	} while (n > 0);
	assert_int_equal(rows, MANY + 1);
	assert_true(pieces > 2);
	sql(&a, "DELETE FROM t WHERE id = 'late'");
	must(store_follow_next(f, &c, &n, &again, &err));
	assert_int_equal(n, 1);
	assert_int_equal(c->kind, STORE_DELETED);
	must(store_follow_next(f, &c, &n, &again, &err));
	assert_int_equal(n, 0);
	store_follow_end(f);
	assert_int_equal(store_follow_begin(a.store, start, "u", &f, &err),
	    E_NOTFOUND);
	site_close(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(authors_are_named_as_they_are_known_here),
		TEST(what_was_overwritten_is_counted),
		TEST(a_follower_gets_each_row_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_site.h - databases in a scratch directory that pull from each
 * other by direct calls, without a network: for the tests of the store.
 */
#ifndef TEST_STORE_SITE_H
#define TEST_STORE_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "crdt/crdt.h"
#include "store/peer.h"
#include "temp.h"

#define UNUSED __attribute__((unused))

enum { SITE_PATH_MAX = 256 };

static char scratch[TEMP_MAX];

struct site {
	const char *name;
	char file[SITE_PATH_MAX];
	char state[SITE_PATH_MAX];
	struct store *store;
	uint8_t key[KEY_LEN];
};

static const char schema[] =
    "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, w);"
    "SELECT crsql_as_crr('t');";

/* -- scratch directory ---------------------------------------------------- */

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	return remove(path);
}

static UNUSED int
scratch_make(void **state)
{
	temp_name(scratch, "ddcp-store");
	return mkdtemp(scratch) != NULL ? 0 : -1;
}

static UNUSED int
scratch_remove(void **state)
{
	return nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A test in a directory of its own. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

/* How often sites meet again to show that nothing more happens: MEETINGS. */
static UNUSED int
meetings(void)
{
	const char *n = getenv("MEETINGS");

	return n != NULL ? atoi(n) : 10;
}

/* -- errors --------------------------------------------------------------------- */

#define must(call) must_at((call), &err, #call, __LINE__)

static void
must_at(int rc, const struct err *err, const char *call, int line)
{
	if (rc != 0)
		fail_msg("line %d: %s: %d %s", line, call, rc, err->text);
}

/* -- SQL --------------------------------------------------------------------------- */

static sqlite3 *
open_handle(const char *file, bool with_engine)
{
	char *why = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 2000);
	sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
	if (with_engine && crdt_load(db, &why) != SQLITE_OK)
		fail_msg("engine: %s", why != NULL ? why : "");
	return db;
}

static UNUSED void
close_handle(sqlite3 *db)
{
	sqlite3_exec(db, "SELECT crsql_finalize()", NULL, NULL, NULL);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static UNUSED void
exec(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static UNUSED void
run_sql(const struct site *s, bool with_engine, const char *fmt, va_list ap)
{
	sqlite3 *db = open_handle(s->file, with_engine);
	char *sql = sqlite3_vmprintf(fmt, ap);

	exec(db, sql);
	sqlite3_free(sql);
	if (with_engine)
		close_handle(db);
	else
		sqlite3_close(db);
}

/* As a program with the extension, once for each number below n, which is what
 * fmt gets; each time is a transaction. */
static UNUSED void
sql_times(const struct site *s, int n, const char *fmt)
{
	sqlite3 *db = open_handle(s->file, true);
	char *sql;
	int i;

	for (i = 0; i < n; i++) {
		sql = sqlite3_mprintf(fmt, i, i);
		exec(db, sql);
		sqlite3_free(sql);
	}
	close_handle(db);
}

/* As a program with the extension, and as one without. */
static UNUSED void
sql(const struct site *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	run_sql(s, true, fmt, ap);
	va_end(ap);
}

static UNUSED void
plain_sql(const struct site *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	run_sql(s, false, fmt, ap);
	va_end(ap);
}

/* All of a result as text, to be freed. */
static UNUSED char *
text_of(sqlite3 *db, const char *query)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt;
	int i;

	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", query, sqlite3_errmsg(db));
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(stmt); i++)
			sqlite3_str_appendf(out, "%s%s", i > 0 ? "|" : "",
			    sqlite3_column_type(stmt, i) == SQLITE_NULL ?
			    "NULL" : (const char *)sqlite3_column_text(stmt,
			    i));
		sqlite3_str_appendchar(out, 1, '\n');
	}
	sqlite3_finalize(stmt);
	if (sqlite3_str_length(out) == 0)
		sqlite3_str_appendall(out, "");
	char *text = sqlite3_str_finish(out);
	return text != NULL ? text : sqlite3_mprintf("");
}

static UNUSED void
expect(const struct site *s, const char *query, const char *expected)
{
	sqlite3 *db = open_handle(s->file, true);
	char *text = text_of(db, query);

	if (strcmp(text, expected) != 0)
		fail_msg("%s: %s\ngives\n%sexpected\n%s", s->name, query,
		    text, expected);
	sqlite3_free(text);
	close_handle(db);
}

static UNUSED int64_t
number(const struct site *s, const char *query)
{
	sqlite3 *db = open_handle(s->file, true);
	char *text = text_of(db, query);
	int64_t n = strtoll(text, NULL, 10);

	sqlite3_free(text);
	close_handle(db);
	return n;
}

/* -- sites ------------------------------------------------------------------------- */

static UNUSED void
site_open(struct site *s)
{
	struct store_open how = { .db_file = s->file, .busy_ms = 2000,
		.state_dir = s->state[0] != '\0' ? s->state : NULL };
	struct err err;

	must(store_open(&how, &s->store, &err));
	store_public_key(s->store, s->key);
}

static UNUSED void
site_close(struct site *s)
{
	store_close(s->store);
	s->store = NULL;
}

static UNUSED void
site_init(struct site *s, const char *name)
{
	struct store_init how = { .db_file = s->file, .busy_ms = 2000 };
	struct err err;
	bool already;

	memset(s, 0, sizeof *s);
	s->name = name;
	snprintf(s->file, sizeof s->file, "%s/%s.db", scratch, name);
	must(store_init(&how, &already, &err));
	assert_false(already);
	site_open(s);
}

static UNUSED void
site_make(struct site *s, const char *name)
{
	site_init(s, name);
	sql(s, "%s", schema);
}

static UNUSED void
introduce(struct site *a, struct site *b)
{
	struct err err;
	bool already;

	must(store_remote_add(a->store, b->name, b->key, "", &already, &err));
	must(store_remote_add(b->store, a->name, a->key, "", &already, &err));
}

static UNUSED int64_t
remote_id(struct site *s, const struct site *of)
{
	struct store_remote r;
	struct err err;

	must(store_remote_by_key(s->store, of->key, &r, &err));
	return r.id;
}

/* -- pulling ------------------------------------------------------------------------- */

struct pull {
	bool fetch_only;
	size_t page;            /* bytes; 0: 256 KiB */
	int cut_after;          /* pages; 0: not at all */
	int (*between)(void *self, int page);   /* after each page */
	void *self;
	bool pause;             /* the server lets go of its snapshot */
	bool by_hash;           /* name vectors by hash only */
	/* out */
	struct store_result result;
	int pages;
	size_t bytes;
	bool asked_whole;
	int rc;
	struct err err;
};

static UNUSED void
drop_entries(struct store_plan *plan)
{
	uint8_t hash[STORE_HASH_LEN];
	size_t i;

	for (i = 0; i < plan->ngroups; i++) {
		memcpy(hash, plan->group[i].vector.hash, sizeof hash);
		store_vector_clear(&plan->group[i].vector);
		memcpy(plan->group[i].vector.hash, hash, sizeof hash);
		plan->group[i].vector_known = false;
	}
}

static UNUSED int
pull_pages(struct pull *p, struct store_pull *to, struct store_reading *from)
{
	const uint8_t *page;
	bool last = false;
	size_t len;
	int rc = 0;

	while (rc == 0 && !last) {
		rc = store_serve_page(from, p->page != 0 ? p->page : 262144,
		    &page, &len, &last, &p->err);
		if (rc == 0)
			rc = store_pull_page(to, page, len, &p->err);
		if (rc != 0)
			break;
		p->pages++;
		p->bytes += len;
		if (p->pause)
			store_serve_pause(from);
		if (p->between != NULL)
			rc = p->between(p->self, p->pages);
		if (p->cut_after != 0 && p->pages >= p->cut_after)
			rc = E_INTERRUPTED;
	}
	return rc;
}

/* Lets `to` pull from `from`; what came of it stands in p. */
static UNUSED int
pull_with(struct site *to, struct site *from, struct pull *p)
{
	struct store_reading *reading = NULL;
	struct store_pull *pull = NULL;
	struct store_plan plan;
	struct store_end end = { .ngroups = 0 };
	bool whole = false;

	p->pages = 0;
	p->bytes = 0;
	p->rc = store_pull_begin(to->store, remote_id(to, from),
	    p->fetch_only, &pull, &plan, &p->err);
	if (p->rc != 0)
		return p->rc;
	if (p->by_hash) {
		drop_entries(&plan);
		p->rc = store_serve(from->store, remote_id(from, to), &plan,
		    &whole, &reading, &p->err);
		p->asked_whole = whole;
	} else {
		p->rc = store_serve(from->store, remote_id(from, to), &plan,
		    &whole, &reading, &p->err);
		assert_false(whole);
	}
	if (p->rc == 0 && !whole)
		p->rc = pull_pages(p, pull, reading);
	if (p->rc == 0 && !whole)
		p->rc = store_serve_end(reading, &end, &p->err);
	if (p->rc == 0 && !whole)
		p->rc = store_pull_end(pull, &end, &p->result, &p->err);
	store_pull_close(pull, p->rc == 0 && !whole ? NULL : &p->result);
	store_serve_close(reading);
	store_plan_clear(&plan);
	store_end_clear(&end);
	return p->rc;
}

static UNUSED struct store_result
pull(struct site *to, struct site *from)
{
	struct pull p = { .page = 0 };

	if (pull_with(to, from, &p) != 0)
		fail_msg("%s pulls from %s: %d %s", to->name, from->name,
		    p.rc, p.err.text);
	return p.result;
}

/* Both databases, opened to be compared. */
struct both {
	const struct site *a, *b;
	sqlite3 *x, *y;
};

static struct both
open_both(const struct site *a, const struct site *b)
{
	return (struct both){ a, b, open_handle(a->file, true),
		open_handle(b->file, true) };
}

static void
close_both(struct both *both)
{
	close_handle(both->x);
	close_handle(both->y);
}

static void
both_answer(const struct both *both, const char *query)
{
	char *p = text_of(both->x, query), *q = text_of(both->y, query);
	size_t i, line = 0;

	for (i = 0; p[i] != '\0' && p[i] == q[i]; i++)
		if (p[i] == '\n')
			line = i + 1;
	if (p[i] != q[i])
		fail_msg("%s\n%s: %.200s\n%s: %.200s", query, both->a->name,
		    p + line, both->b->name, q + line);
	sqlite3_free(p);
	sqlite3_free(q);
}

static UNUSED void
assert_same_answer(const struct site *a, const struct site *b,
    const char *query)
{
	struct both both = open_both(a, b);

	both_answer(&both, query);
	close_both(&both);
}

/* Same rows, same clocks.  Where two lives of a database made the same
 * changes, either may stand as their author. */
static UNUSED void
assert_alike(const struct site *a, const struct site *b)
{
	struct both both = open_both(a, b);

	both_answer(&both, "SELECT * FROM t ORDER BY id");
	both_answer(&both, "SELECT \"table\", hex(pk), cid, val, "
	    "col_version, cl FROM crsql_changes ORDER BY 1, 2, 3");
	close_both(&both);
}

static UNUSED void
assert_same(const struct site *a, const struct site *b)
{
	assert_alike(a, b);
	assert_same_answer(a, b, "SELECT hex(pk), cid, hex(site_id) "
	    "FROM crsql_changes ORDER BY 1, 2");
}

/* -- what two databases do when they meet ------------------------------------- */

/* `to` hears what `from` says it holds of it, and continues as a new
 * incarnation where that is not known to it (R16). */
static UNUSED bool
hear_claims(struct site *to, struct site *from, int64_t now_ms)
{
	struct store_hello hello;
	struct store_entry token[64];
	uint64_t common;
	struct err err;
	bool fork;
	size_t n;

	must(store_hello(from->store, to->key, &hello, &err));
	must(store_check_claims(to->store, hello.yours, hello.nyours, &fork,
	    &err));
	if (!fork)
		return false;
	must(store_own_tokens(to->store, 0, UINT64_MAX, token, 64, &n, &err));
	must(store_common(from->store, token, n, &common, &err));
	must(store_fork(to->store, remote_id(to, from), now_ms, common,
	    &err));
	return true;
}

static UNUSED int64_t meeting_ms = 1000;

/* HELLO both ways, then a pull each; the number of new incarnations. */
static UNUSED int
meet(struct site *a, struct site *b)
{
	int forks;

	meeting_ms += 90000000;     /* another day */
	forks = hear_claims(a, b, meeting_ms);
	forks += hear_claims(b, a, meeting_ms);
	pull(a, b);
	pull(b, a);
	pull(a, b);
	return forks;
}

/* -- files ------------------------------------------------------------------------------ */

static UNUSED void
copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out;
	char data[65536];
	size_t n;

	if (in == NULL) {       /* a WAL that is not there */
		remove(to);
		return;
	}
	out = fopen(to, "wb");
	assert_non_null(out);
	while ((n = fread(data, 1, sizeof data, in)) > 0)
		assert_int_equal(fwrite(data, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
	chmod(to, 0600);
}

/* The database file with its WAL, as a killed process leaves them. */
static UNUSED void
copy_database(const char *from, const char *to)
{
	char a[SITE_PATH_MAX + 8], b[SITE_PATH_MAX + 8];

	copy_file(from, to);
	snprintf(a, sizeof a, "%s-wal", from);
	snprintf(b, sizeof b, "%s-wal", to);
	copy_file(a, b);
	snprintf(b, sizeof b, "%s-shm", to);
	remove(b);
}

static UNUSED void
copy_state(const char *from, const char *to)
{
	static const char *const names[] = { "key", "note", "inbox.db",
		"inbox.db-wal", "inbox.pages" };
	char a[SITE_PATH_MAX + 32], b[SITE_PATH_MAX + 32];
	size_t i;

	mkdir(to, 0700);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(a, sizeof a, "%s/%s", from, names[i]);
		snprintf(b, sizeof b, "%s/%s", to, names[i]);
		copy_file(a, b);
	}
}

static UNUSED void
keep(const struct site *s, char copy[SITE_PATH_MAX])
{
	snprintf(copy, SITE_PATH_MAX, "%s/%s-backup", scratch, s->name);
	copy_database(s->file, copy);
}

static UNUSED void
keep_state(const struct site *s, char copy[SITE_PATH_MAX])
{
	snprintf(copy, SITE_PATH_MAX, "%s/%s-backup-state", scratch, s->name);
	copy_state(store_state_dir(s->store), copy);
}

/* Puts an old copy in place; state NULL: of the database only. */
static UNUSED void
restore(struct site *s, const char *copy, const char *state)
{
	char dir[SITE_PATH_MAX];

	snprintf(dir, sizeof dir, "%s", store_state_dir(s->store));
	site_close(s);
	copy_database(copy, s->file);
	if (state != NULL)
		copy_state(state, dir);
}

#endif

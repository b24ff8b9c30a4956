// SPDX-License-Identifier: MPL-2.0
/* crdt_faults.c - see crdt_faults.h. */
#include "crdt_faults.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

static const struct fault *fault;

static long
places(void)
{
	return how_many("PLACES", 12);
}

/* -- a database to begin with --------------------------------------------------------- */

static char base[NODE_FILE];
static unsigned char *image;            /* of base */
static size_t nimage;
static char *made;                      /* the script's SQL, if it was made */

static int
make_base(void **state)
{
	(void)state;
	node_file(base);
	return 0;
}

static int
remove_base(void **state)
{
	(void)state;
	unlink(base);
	free(image);
	image = NULL;
	sqlite3_free(made);
	made = NULL;
	return 0;
}

static void
copy_base_as_text(void)
{
	char copy[NODE_FILE];

	node_file(copy);
	node_copy_as_text(base, copy);
	assert_int_equal(rename(copy, base), 0);
}

/* The file as it stands is what each try begins with. */
static void
take_image(void)
{
	FILE *f;

	node_plainly(base, fault->begin);
	f = fopen(base, "rb");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	nimage = (size_t)ftell(f);
	rewind(f);
	image = malloc(nimage + 1);
	assert_non_null(image);
	assert_int_equal(fread(image, 1, nimage, f), nimage);
	fclose(f);
}

static void
take_base(const struct script *s)
{
	struct node n;

	if (s->tables != NULL) {
		node_open(&n, 0, base);
		node_exec(&n, "%s", s->tables);
		node_close(&n);
	}
	if (s->plainly != NULL)
		node_plainly(base, s->plainly);
	if (s->copied)
		copy_base_as_text();
	take_image();
	if (s->make != NULL)
		made = s->make(base);
}

/* -- running statements ------------------------------------------------------------------ */

static void
add_text(struct buf *out, const char *fmt, ...)
{
	char text[40];
	va_list ap;

	va_start(ap, fmt);
	buf_add(out, text, (size_t)vsnprintf(text, sizeof text, fmt, ap));
	va_end(ap);
}

/* Asks for each value as what it is: SQLite needs no memory for it. */
static void
add_row(struct buf *out, sqlite3_stmt *stmt)
{
	const uint8_t *p;
	int i, k;

	for (i = 0; i < sqlite3_column_count(stmt); i++) {
		switch (sqlite3_column_type(stmt, i)) {
		case SQLITE_INTEGER:
			add_text(out, "%lld", sqlite3_column_int64(stmt, i));
			break;
		case SQLITE_FLOAT:
			add_text(out, "%.17g", sqlite3_column_double(stmt, i));
			break;
		case SQLITE_TEXT:
			buf_add(out, sqlite3_column_text(stmt, i),
			    (size_t)sqlite3_column_bytes(stmt, i));
			break;
		case SQLITE_BLOB:
			p = sqlite3_column_blob(stmt, i);
			for (k = 0; k < sqlite3_column_bytes(stmt, i); k++)
				add_text(out, "%02x", p[k]);
		}
		buf_add(out, "|", 1);
	}
	buf_add(out, "\n", 1);
}

/* Runs statements up to the first that fails, where *sql is left; the rows of
 * those before it as text.  Nothing of its own can be made to fail. */
static int
run(sqlite3 *db, const char **sql, struct buf *rows)
{
	sqlite3_stmt *stmt;
	const char *next;
	size_t len;
	int rc = SQLITE_OK;

	while (**sql != '\0' && rc == SQLITE_OK) {
		len = rows->len;
		rc = sqlite3_prepare_v2(db, *sql, -1, &stmt, &next);
		if (rc != SQLITE_OK || stmt == NULL)
			break;
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			add_row(rows, stmt);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		/* what step says is repeated */
		if (sqlite3_finalize(stmt) != rc && rc == SQLITE_OK)
			rc = SQLITE_INTERNAL;
		if (rc == SQLITE_OK)
			*sql = next;
		else
			rows->len = len;
	}
	assert_false(rows->failed);
	return rc;
}

/* The same from the first one on, which must not fail. */
static void
run_all(struct node *n, const char *sql, struct buf *rows)
{
	if (run(n->db, &sql, rows) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(n->db));
}

#define CHANGES "SELECT \"table\", pk, cid, val, col_version, cl, db_version, " \
	"seq FROM crsql_changes ORDER BY db_version, seq"

/* What is there at the end, and that a write is still captured. */
static void
look_at_outcome(struct node *n, const struct script *s, struct buf *out)
{
	if (!s->finalizing)
		node_expect(n, "", "SELECT * FROM crsql_check");
	run_all(n, s->look, out);
	run_all(n, "PRAGMA integrity_check", out);
	if (s->finalizing)
		return;
	run_all(n, "CREATE TABLE IF NOT EXISTS after(id INTEGER PRIMARY KEY, v); "
	    "SELECT crsql_as_crr('after'); INSERT INTO after VALUES(1, 1); UPDATE "
	    "after SET v = 2; " CHANGES, out);
	node_expect(n, "", "SELECT * FROM crsql_check");
}

struct result {
	struct buf rows;        /* of the statements */
	struct buf outcome;
	bool done;              /* nothing was left to fail */
};

static void
free_result(struct result *r)
{
	buf_clear(&r->rows);
	buf_clear(&r->outcome);
}

static int
load(struct node *n)
{
	char *why = NULL;
	int rc = crdt_load(n->db, &why);

	sqlite3_free(why);
	return rc;
}

/* A connection on which the engine was half loaded is of no use; it says so. */
static void
open_again(struct node *n)
{
	char *why = NULL;
	int rc = crdt_load(n->db, &why);

	if (rc != SQLITE_OK && (rc != SQLITE_ERROR || why == NULL ||
	    strstr(why, "open another one") == NULL))
		fail_msg("loading again: code %d, %s", rc, why ? why : "?");
	sqlite3_free(why);
	fault->close(n);
	fault->open(n, image, nimage);
}

static void
do_again(struct node *n, const struct script *s, struct result *r)
{
	r->rows.len = 0;
	if (!sqlite3_get_autocommit(n->db))
		node_exec(n, "ROLLBACK");
	if (s->loading) {
		open_again(n);
		assert_int_equal(load(n), SQLITE_OK);
	}
	run_all(n, s->sql, &r->rows);
}

/* From the statement on that failed, as if it had not been said.  A transaction
 * in which a write could not be noted can only be rolled back: its commit goes on
 * to fail.  Of a change of the schema SQLite may say that memory was missing when it
 * was so in what we do at its end. */
static void
go_on(struct node *n, const struct script *s, const char *at, struct result *r)
{
	bool all = strncmp(s->sql, "BEGIN", 5) == 0;
	int rc = run(n->db, &at, &r->rows);

	if (rc != SQLITE_OK && !(all && (fault->excuses(rc) || s->altering)))
		fail_msg("again: code %d, %s, of %s", rc, sqlite3_errmsg(n->db), at);
	if (rc != SQLITE_OK)
		do_again(n, s, r);
}

/* Of a virtual table that could not be connected SQLite does not say why. */
static bool
no_constructor(sqlite3 *db, int rc)
{
	return rc == SQLITE_ERROR && strncmp(sqlite3_errmsg(db),
	    "vtable constructor failed", 25) == 0;
}

/* SQLite itself rolls back all of a transaction for these. */
static bool
may_roll_back(int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_NOMEM:
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_ABORT:
	case SQLITE_CORRUPT:
		return true;
	default:
		return false;
	}
}

/* A statement of ours that would run on would hinder others for ever. */
static void
nothing_runs(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;

	while ((stmt = sqlite3_next_stmt(db, stmt)) != NULL)
		if (sqlite3_stmt_busy(stmt))
			fail_msg("still running: %s", sqlite3_sql(stmt));
}

/* What follows a failure: the transaction is there still, and goes on at the
 * statement that failed or, for every other place, is rolled back and begun
 * once more. */
static void
recover(struct node *n, const struct script *s, const char *at, int rc,
    bool begin_again, struct result *r)
{
	bool within = at > s->sql && strncmp(s->sql, "BEGIN", 5) == 0 &&
	    strstr(at, "COMMIT") != NULL;

	nothing_runs(n->db);
	if (within && sqlite3_get_autocommit(n->db) && !may_roll_back(rc) &&
	    (rc == SQLITE_BUSY || strncmp(at, " COMMIT", 7) != 0))
		fail_msg("code %d of %s: the caller's transaction is gone", rc, at);
	if (!within && !sqlite3_get_autocommit(n->db) &&
	    node_try(n, "COMMIT") == SQLITE_OK)
		fail_msg("code %d of %s: half of it could be committed", rc, at);
	if (s->loading || (within && (begin_again ||
	    sqlite3_get_autocommit(n->db))))
		do_again(n, s, r);
	else
		go_on(n, s, at, r);
}

/* The script with what is at a place failing, and, if that made it fail, again. */
static void
run_failing(const struct script *s, long at, bool all, struct result *r)
{
	const char *sql = s->sql;
	struct node n;
	bool failed;
	int rc = SQLITE_OK;

	buf_init(&r->rows, 1 << 24);
	buf_init(&r->outcome, 1 << 24);
	fault->open(&n, image, nimage);
	if (!s->loading)
		assert_int_equal(load(&n), SQLITE_OK);
	if (s->first != NULL)
		node_exec(&n, "%s", s->first);
	fault->arm(at, all);
	if (s->loading)
		rc = load(&n);
	if (rc == SQLITE_OK)
		rc = run(n.db, &sql, &r->rows);
	failed = fault->disarm();
	r->done = !failed;
	if (rc != SQLITE_OK && !(failed && (fault->excuses(rc) ||
	    no_constructor(n.db, rc))))
		fail_msg("at %ld: code %d, %s, of %s", at, rc,
		    sqlite3_errmsg(n.db), sql);
	/* with no memory at all from there on not even ROLLBACK can be parsed, and an
	 * extension that is not loaded refuses no COMMIT (doc/EXTENSION.md) */
	if (rc == SQLITE_NOMEM && s->loading && all && !sqlite3_get_autocommit(n.db))
		node_exec(&n, "ROLLBACK");
	if (rc != SQLITE_OK)
		recover(&n, s, sql, rc, at % 2 == 0, r);
	look_at_outcome(&n, s, &r->outcome);
	fault->close(&n);
}

static void
same(const struct buf *got, const struct buf *want, long at, bool all)
{
	if (got->len != want->len || (got->len > 0 &&
	    memcmp(got->data, want->data, got->len) != 0))
		fail_msg("failed at %ld%s:\n%.*s\ninstead of\n%.*s", at,
		    all ? " and from there on" : "", (int)got->len,
		    (const char *)got->data, (int)want->len,
		    (const char *)want->data);
}

static struct buf said;                 /* all scripts that ran */

static void
fail_everywhere(void **state)
{
	struct script s = *(const struct script *)*state;
	struct result want, got;
	int all, times = 0;
	long at;

	take_base(&s);
	if (made != NULL)
		s.sql = made;
	buf_add(&said, s.sql, strlen(s.sql));
	run_failing(&s, -1, false, &want);
	for (all = 0; all <= 1; all++) {
		at = 0;
		do {
			run_failing(&s, at, all, &got);
			same(&got.outcome, &want.outcome, at, all);
			if (!(s.folding && fault->locks_out))
				same(&got.rows, &want.rows, at, all);
			free_result(&got);
			at += 1 + at / places();
			times++;
		} while (!got.done);
	}
	free_result(&want);
	print_message("%ld places, failed %d times\n", at, times - 2);
	if (!s.reading)
		assert_true(times - 2 >= fault->least);
}

/* Whatever loading the engine adds must be in a script, but for what only the
 * engine itself names. */
static void
every_function_was_called(void **state)
{
	static const char query[] = "SELECT name FROM pragma_function_list UNION "
	    "SELECT name FROM pragma_module_list";
	struct node n;
	sqlite3 *plain;
	sqlite3_stmt *stmt, *known;

	(void)state;
	if (getenv("ONLY") != NULL)
		skip();
	buf_add(&said, "", 1);
	assert_int_equal(sqlite3_open(":memory:", &plain), SQLITE_OK);
	/* those that are known once they are named */
	assert_int_equal(sqlite3_prepare_v2(plain, "SELECT ?1 IN (SELECT name FROM "
	    "pragma_function_list UNION SELECT name FROM pragma_module_list) OR ?1 "
	    "IN ('crsql_tx', 'crsql_watch', 'crsql_feed') OR ?1 GLOB 'pragma_*'", -1, &known, NULL),
	    SQLITE_OK);
	node_open(&n, 0, NULL);
	assert_int_equal(sqlite3_prepare_v2(n.db, query, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		sqlite3_bind_text(known, 1, name, -1, SQLITE_TRANSIENT);
		assert_int_equal(sqlite3_step(known), SQLITE_ROW);
		if (!sqlite3_column_int(known, 0) &&
		    strstr((const char *)said.data, name) == NULL)
			fail_msg("no script has %s", name);
		sqlite3_reset(known);
	}
	sqlite3_finalize(stmt);
	sqlite3_finalize(known);
	sqlite3_close(plain);
	node_close(&n);
}

int
faults_run(const char *name, const struct fault *what)
{
	struct CMUnitTest *tests = calloc((size_t)nscripts + 1, sizeof *tests);
	union {
		const struct script *in;
		void *out;
	} state;
	int i, bad;

	assert_non_null(tests);
	buf_init(&said, 1 << 24);
	for (i = 0; i < nscripts; i++) {
		state.in = &scripts[i];
		tests[i] = (struct CMUnitTest){ scripts[i].name, fail_everywhere,
			make_base, remove_base, state.out };
	}
	tests[nscripts] = (struct CMUnitTest)
	    cmocka_unit_test(every_function_was_called);
	fault = what;
	cmocka_set_test_filter(getenv("ONLY"));
	bad = _cmocka_run_group_tests(name, tests, (size_t)nscripts + 1, NULL, NULL);
	free(tests);
	buf_clear(&said);
	return bad;
}

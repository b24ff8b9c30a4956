// SPDX-License-Identifier: MPL-2.0
/* crdt_faults.c - see crdt_faults.h. */
#include "crdt_faults.h"

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

/* Each of so many at the beginning is tried, and one in so many behind: PLACES
 * in the environment, 12 unless it says otherwise. */
static long
places(void)
{
	const char *text = getenv("PLACES");
	long n = text != NULL ? atol(text) : 0;

	return n > 0 ? n : 12;
}

/* -- a database to begin with --------------------------------------------------------- */

static char base[NODE_FILE];
static unsigned char *image;            /* of base */
static size_t nimage;

static int
make_base(void **state)
{
	node_file(base);
	return 0;
}

static int
remove_base(void **state)
{
	unlink(base);
	free(image);
	image = NULL;
	return 0;
}

/* The file as it stands is what each try begins with. */
static void
take_base(void)
{
	FILE *f;

	node_plainly(base, fault->begin);
	f = fopen(base, "rb");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	nimage = (size_t)ftell(f);
	rewind(f);
	image = realloc(image, nimage);
	assert_non_null(image);
	assert_int_equal(fread(image, 1, nimage, f), nimage);
	fclose(f);
}

/* -- running statements ------------------------------------------------------------------ */

static void
print_row(FILE *out, sqlite3_stmt *stmt)
{
	int i, k;

	for (i = 0; i < sqlite3_column_count(stmt); i++) {
		const uint8_t *p = sqlite3_column_blob(stmt, i);

		for (k = 0; k < sqlite3_column_bytes(stmt, i); k++)
			fprintf(out, "%02x", p[k]);
		fputc('|', out);
	}
	fputc('\n', out);
}

/* Runs statements up to the first that fails; their rows as text, to be freed.
 * Nothing of its own can be made to fail. */
static int
run(sqlite3 *db, const char *sql, char **rows)
{
	sqlite3_stmt *stmt;
	size_t len;
	FILE *out = open_memstream(rows, &len);
	int rc = SQLITE_OK;

	assert_non_null(out);
	while (*sql != '\0' && rc == SQLITE_OK) {
		rc = sqlite3_prepare_v2(db, sql, -1, &stmt, &sql);
		if (rc != SQLITE_OK || stmt == NULL)
			break;
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			print_row(out, stmt);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		/* what step says is repeated */
		if (sqlite3_finalize(stmt) != rc && rc == SQLITE_OK)
			rc = SQLITE_INTERNAL;
	}
	fclose(out);
	return rc;
}

/* What is done: in a transaction of its own if there are several statements. */
struct script {
	const char *sql;
	const char *look;       /* what it is judged by, beside the changes */
	bool loading;           /* putting the engine there is part of it */
	bool reading;           /* nothing is written */
};

static int
attempt(struct node *n, const struct script *s, char **rows)
{
	char *why = NULL;
	int rc;

	*rows = NULL;
	if (s->loading) {
		rc = crdt_load(n->db, &why);
		sqlite3_free(why);
		if (rc != SQLITE_OK)
			return rc;
	}
	return run(n->db, s->sql, rows);
}

#define CHANGES "SELECT \"table\", pk, cid, val, col_version, cl, db_version, " \
	"seq FROM crsql_changes ORDER BY db_version, seq; PRAGMA " \
	"integrity_check; "

/* What is there at the end, and that a write is still captured. */
static char *
outcome(struct node *n, const struct script *s)
{
	char *rows, *changes;
	size_t len;

	node_expect(n, "", "SELECT * FROM crsql_check");
	assert_int_equal(run(n->db, s->look, &rows), SQLITE_OK);
	if (run(n->db, "CREATE TABLE IF NOT EXISTS after(id INTEGER PRIMARY KEY, "
	    "v); SELECT crsql_as_crr('after'); INSERT INTO after VALUES(1, 1); "
	    "UPDATE after SET v = 2; " CHANGES, &changes) != SQLITE_OK)
		fail_msg("after it: %s", sqlite3_errmsg(n->db));
	node_expect(n, "", "SELECT * FROM crsql_check");
	len = strlen(rows);
	rows = realloc(rows, len + strlen(changes) + 1);
	assert_non_null(rows);
	strcpy(rows + len, changes);
	free(changes);
	return rows;
}

struct result {
	char *rows;             /* of the statements */
	char *outcome;
	bool done;              /* nothing was left to fail */
};

static void
free_result(struct result *r)
{
	free(r->rows);
	free(r->outcome);
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
	int rc;

	free(r->rows);
	if (!sqlite3_get_autocommit(n->db))
		node_exec(n, "ROLLBACK");
	if (s->loading)
		open_again(n);
	rc = attempt(n, s, &r->rows);
	if (rc != SQLITE_OK)
		fail_msg("again: code %d, %s", rc, sqlite3_errmsg(n->db));
}

/* Of a virtual table that could not be connected SQLite does not say why. */
static bool
no_constructor(sqlite3 *db, int rc)
{
	return rc == SQLITE_ERROR && strncmp(sqlite3_errmsg(db),
	    "vtable constructor failed", 25) == 0;
}

/* The script with what is at a place failing, and, if that made it fail, again. */
static void
run_failing(const struct script *s, long at, bool all, struct result *r)
{
	struct node n;
	bool failed;
	int rc;

	fault->open(&n, image, nimage);
	if (!s->loading)
		assert_int_equal(crdt_load(n.db, NULL), SQLITE_OK);
	fault->arm(at, all);
	rc = attempt(&n, s, &r->rows);
	failed = fault->disarm();
	r->done = !failed;
	if (rc != SQLITE_OK && !(failed && (fault->excuses(rc) ||
	    no_constructor(n.db, rc))))
		fail_msg("at %ld: code %d, %s", at, rc, sqlite3_errmsg(n.db));
	if (rc != SQLITE_OK)
		do_again(&n, s, r);
	r->outcome = outcome(&n, s);
	fault->close(&n);
}

static void
same(const char *got, const char *want, long at, bool all)
{
	if (strcmp(got, want) != 0)
		fail_msg("failed at %ld%s:\n%s\ninstead of\n%s", at,
		    all ? " and from there on" : "", got, want);
}

static void
fail_everywhere(const struct script *s)
{
	struct result want, got;
	int all, times = 0;
	long at;

	run_failing(s, -1, false, &want);
	for (all = 0; all <= 1; all++) {
		at = 0;
		do {
			run_failing(s, at, all, &got);
			same(got.rows, want.rows, at, all);
			same(got.outcome, want.outcome, at, all);
			free_result(&got);
			at += 1 + at / places();
			times++;
		} while (!got.done);
	}
	free_result(&want);
	print_message("%ld places, failed %d times\n", at, times);
	if (s->reading && fault->spares_readers)
		assert_int_equal(times, 2);
	else
		assert_true(times > 10);
}

/* -- what is tried ------------------------------------------------------------------------ */

#define TABLES "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE " \
	"i(id INTEGER PRIMARY KEY, x, y); CREATE TABLE c(a, b INTEGER, v, " \
	"PRIMARY KEY(a, b)); "
#define LOOK "SELECT * FROM t; SELECT * FROM i; SELECT * FROM c"

static void
with_tables(const char *sql)
{
	struct node n;

	node_open(&n, 0, base);
	node_exec(&n, TABLES "SELECT crsql_as_crr('t'), crsql_as_crr('i'), "
	    "crsql_as_crr('c'); INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2), "
	    "('c', 3, 3); INSERT INTO i VALUES(1, 1, 1), (2, 2, 2), (5, 5, 5); "
	    "INSERT INTO c VALUES('k', 1, 'v'), (x'00', 2, 'w'); DELETE FROM t "
	    "WHERE id = 'b'; UPDATE i SET x = 8 WHERE id = 2; %s", sql);
	node_close(&n);
}

static void
replicating_tables(void **state)
{
	static const struct script s = { "BEGIN; SELECT crsql_as_crr('t'), "
		"crsql_as_crr('i'), crsql_as_crr('c'); COMMIT", LOOK, true };

	node_plainly(base, TABLES "INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2); "
	    "INSERT INTO c VALUES('k', 1, 'v')");
	take_base();
	fail_everywhere(&s);
}

static void
writes(void **state)
{
	static const struct script s = { "BEGIN; INSERT INTO t VALUES('n', 1, 1), "
		"('o', 2, zeroblob(3000)); UPDATE t SET x = 7; REPLACE INTO t "
		"VALUES('a', 9, 9); SAVEPOINT s; DELETE FROM i; ROLLBACK TO s; "
		"UPDATE i SET id = id + 10 WHERE id < 3; UPDATE c SET b = 9; "
		"DELETE FROM t WHERE id = 'c'; INSERT INTO t VALUES('c', 4, 4) ON "
		"CONFLICT DO UPDATE SET x = 0; COMMIT", LOOK, false };

	with_tables("");
	take_base();
	fail_everywhere(&s);
}

/* Each is a transaction of its own. */
static void
single_writes(void **state)
{
	static const char *const sql[] = { "INSERT INTO t VALUES('n', 1, 1)",
		"UPDATE t SET x = 7, y = 8", "REPLACE INTO t VALUES('a', 9, 9)",
		"DELETE FROM i", "UPDATE c SET a = 'z' WHERE b = 1",
		"INSERT INTO t VALUES('b', 3, 3)" };
	struct script s = { .look = LOOK };
	size_t k;

	with_tables("");
	take_base();
	for (k = 0; k < sizeof sql / sizeof *sql; k++) {
		s.sql = sql[k];
		fail_everywhere(&s);
	}
}

#define PLAINLY "INSERT INTO t VALUES('b', 4, 4), ('d', 5, 5); UPDATE t SET x = " \
	"9; REPLACE INTO t VALUES('a', 7, 7); DELETE FROM t WHERE id = 'c'; " \
	"INSERT INTO i VALUES(9, 1, 1), (10, 1, 1); UPDATE i SET y = 8; UPDATE " \
	"i SET id = 3 WHERE id = 2; UPDATE c SET v = 0, a = 'm' WHERE b = 2; "

static void
folding_plain_writes(void **state)
{
	static const struct script fold = { "SELECT crsql_fold()", LOOK, false };
	static const struct script load = { "SELECT count(*) FROM crsql_changes",
		LOOK, true };

	with_tables("");
	node_plainly(base, PLAINLY);
	take_base();
	fail_everywhere(&fold);
	fail_everywhere(&load);
}

static void
following_a_schema(void **state)
{
	static const struct script s = { "SELECT crsql_fold()",
		"SELECT * FROM t; SELECT * FROM u; SELECT * FROM c", false };

	with_tables("");
	node_plainly(base, "ALTER TABLE t ADD COLUMN z DEFAULT 3; ALTER TABLE t "
	    "RENAME COLUMN y TO w; ALTER TABLE i RENAME TO u; UPDATE t SET w = 4; "
	    "CREATE UNIQUE INDEX uy ON u(y); REPLACE INTO u VALUES(4, 4, 2); "
	    "DROP TABLE c; CREATE TABLE c(a PRIMARY KEY, v)");
	take_base();
	fail_everywhere(&s);
}

static void
ending_replication(void **state)
{
	static const struct script s = { "SELECT crsql_as_table('t')", LOOK,
		false };

	with_tables("");
	take_base();
	fail_everywhere(&s);
}

static void
reading_changes(void **state)
{
	static const struct script s = { "SELECT * FROM crsql_changes; SELECT * "
		"FROM crsql_changes WHERE db_version > 1 AND \"table\" = 't' ORDER "
		"BY seq DESC; SELECT c.cid, u.cell FROM crsql_changes c, "
		"crsql_unpack_columns u WHERE u.package = c.pk; SELECT "
		"crsql_db_version(), crsql_own(), crsql_head(), "
		"crsql_token(crsql_site_id(), 2), crsql_pack_columns(1, 'a', NULL, "
		"x'01'), crsql_config_get('merge-equal-values'); SELECT * FROM t__crsql_clock JOIN "
		"t__crsql_pks ON __crsql_key = key; SELECT * FROM i__crsql_pks "
		"WHERE id = 2; SELECT * FROM crsql_check; SELECT * FROM "
		"crsql_transactions CROSS JOIN crsql_transaction_tables USING "
		"(db_version); SELECT * FROM crsql_transactions WHERE site_version = "
		"1; SELECT * FROM crsql_history WHERE after = zeroblob(40); SELECT * "
		"FROM crsql_history WHERE \"table\" = 't' AND pk = "
		"crsql_pack_columns('a')", LOOK, false, true };

	with_tables("");
	take_base();
	fail_everywhere(&s);
}

#define INTO "INSERT INTO crsql_changes(\"table\", pk, cid, val, col_version, " \
	"db_version, site_id, cl, seq) VALUES"

static void
merging_changes(void **state)
{
	static const struct script s = { "BEGIN; " INTO "('t', "
		"crsql_pack_columns('a'), 'x', 'new', 5, 1, " S1 ", 1, 0), ('t', "
		"crsql_pack_columns('q'), 'y', 3, 1, 1, " S1 ", 1, 1), ('i', "
		"crsql_pack_columns(2), '-1', NULL, 2, 2, " S2 ", 2, 0), ('c', "
		"crsql_pack_columns('k', 1), 'v', 8, 9, 1, " S2 ", 1, 0); SELECT "
		"crsql_rows_impacted(); COMMIT", LOOK, false };

	with_tables("");
	take_base();
	fail_everywhere(&s);
}

/* -- pages ------------------------------------------------------------------------------ */

static char *
hex(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	char *out = malloc(2 * n + 1);
	size_t i;

	assert_non_null(out);
	for (i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
	out[2 * n] = '\0';
	return out;
}

/* A plan for all of n's tables from the beginning, in hex. */
static char *
plan_for(struct node *n, struct buf *plan)
{
	static const uint8_t start[NODE_CURSOR];

	node_plan(n, start, NULL, plan);
	return hex(plan->data, plan->len);
}

static void
exporting_a_page(void **state)
{
	struct script s = { .look = LOOK, .reading = true };
	struct buf plan;
	struct node n;
	char *bytes, *sql;

	with_tables(PLAINLY);
	take_base();
	fault->open(&n, image, nimage);
	assert_int_equal(crdt_load(n.db, NULL), SQLITE_OK);
	bytes = plan_for(&n, &plan);
	fault->close(&n);
	sql = sqlite3_mprintf("SELECT crsql_export(x'%s', NULL, 100000)", bytes);
	s.sql = sql;
	fail_everywhere(&s);
	sqlite3_free(sql);
	free(bytes);
	buf_clear(&plan);
}

/* The first page of a database that knows another column and another table's
 * key, has renamed one, and deleted rows. */
static char *
page_of_another(void)
{
	struct node from, reader;
	struct buf plan;
	uint8_t *page;
	char *bytes;
	int len;

	node_open(&from, 0, NULL);
	node_exec(&from, TABLES "ALTER TABLE t ADD COLUMN z; SELECT "
	    "crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('c'); INSERT INTO "
	    "t VALUES('a', 5, 5, 5), ('q', 1, 1, 1); INSERT INTO i VALUES(1, 7, "
	    "7), (2, 7, 7), (3, 7, 7), (4, 7, 7); DELETE FROM i WHERE id = 2; "
	    "UPDATE t SET x = 6; ALTER TABLE c RENAME COLUMN v TO w; INSERT INTO "
	    "c VALUES('k', 1, 'other')");
	node_open(&reader, 1, NULL);
	node_exec(&reader, TABLES "SELECT crsql_as_crr('t'), crsql_as_crr('i'), "
	    "crsql_as_crr('c')");
	free(plan_for(&reader, &plan));
	assert_int_equal(node_export(&from, &plan, NULL, 100000, &page, &len),
	    SQLITE_OK);
	bytes = hex(page, (size_t)len);
	sqlite3_free(page);
	buf_clear(&plan);
	node_close(&from);
	node_close(&reader);
	return bytes;
}

static void
importing_a_page(void **state)
{
	struct script s = { .look = LOOK "; SELECT count(*) FROM crsql_log WHERE "
		"n = -4" };
	char *bytes, *sql;

	with_tables("");
	take_base();
	bytes = page_of_another();
	sql = sqlite3_mprintf("BEGIN; SELECT crsql_import(x'%s'); SELECT "
	    "crsql_saw(" S1 ", 1); ALTER TABLE t ADD COLUMN z; SELECT "
	    "crsql_unpark(); COMMIT", bytes);
	s.sql = sql;
	fail_everywhere(&s);
	sqlite3_free(sql);
	free(bytes);
}

/* A file as cr-sqlite makes it: fresh rows, one written again, one of another
 * site, one deleted. */
#define CRSQLITE TABLES "CREATE TABLE crsql_master(key TEXT PRIMARY KEY, value " \
	"ANY); INSERT INTO crsql_master VALUES('crsqlite_version', 160300); CREATE " \
	"TABLE crsql_site_id(site_id BLOB NOT NULL, ordinal INTEGER PRIMARY KEY); " \
	"INSERT INTO crsql_site_id VALUES(" S1 ", 0), (" S2 ", 1); INSERT INTO t " \
	"VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3); CREATE TABLE t__crsql_clock(" \
	"key, col_name, col_version, db_version, site_id, seq); CREATE TABLE " \
	"t__crsql_pks(__crsql_key INTEGER PRIMARY KEY, id); INSERT INTO " \
	"t__crsql_pks VALUES(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); INSERT INTO " \
	"t__crsql_clock VALUES(1, 'x', 1, 1, 0, 0), (1, 'y', 1, 1, 0, 1), (2, 'x', " \
	"1, 1, 0, 2), (2, 'y', 2, 3, 0, 0), (3, 'x', 4, 2, 1, 0), (4, '-1', 2, 2, " \
	"0, 0); CREATE TRIGGER t__crsql_itrig AFTER INSERT ON t BEGIN SELECT 1; END"

static void
taking_over_a_file_of_cr_sqlite(void **state)
{
	static const struct script s = { "SELECT count(*), crsql_db_version() FROM "
		"crsql_changes", LOOK "; SELECT name FROM sqlite_schema WHERE name "
		"LIKE 't\\_\\_%' ESCAPE '\\' ORDER BY 1", true };

	node_plainly(base, CRSQLITE);
	take_base();
	fail_everywhere(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_base, remove_base)

int
faults_run(const char *name, const struct fault *what)
{
	const struct CMUnitTest tests[] = {
		TEST(replicating_tables),
		TEST(writes),
		TEST(single_writes),
		TEST(folding_plain_writes),
		TEST(following_a_schema),
		TEST(ending_replication),
		TEST(reading_changes),
		TEST(merging_changes),
		TEST(exporting_a_page),
		TEST(importing_a_page),
		TEST(taking_over_a_file_of_cr_sqlite),
	};

	fault = what;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

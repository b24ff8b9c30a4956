// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_adopt.c - files of cr-sqlite, made by hand as it makes them, become
 * ours: nothing it showed is shown otherwise, and all goes on from there.
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "crdt/crdt.h"
#include "crsqlite_file.h"

static const struct mishap plain = { .max_bytes = 100000 };

#define CHANGES "SELECT \"table\", pk, cid, val, col_version, db_version, " \
	"site_id, cl, seq FROM crsql_changes ORDER BY 1, 2, 3"

/* Of two databases: versions of their own aside. */
#define SHARED "SELECT \"table\", pk, cid, val, col_version, site_id, cl, seq " \
	"FROM crsql_changes ORDER BY 1, 2, 3"

/* What cr-sqlite shows of a file, by SHOW_ALL. */
static char *
shown(const char *path)
{
	struct node n;
	char *rows;

	node_open(&n, 0, NULL);
	node_exec(&n, "ATTACH %Q AS f", path);
	rows = node_rows(&n, "%s", SHOW_ALL);
	node_close(&n);
	return rows;
}

static void
make(char path[static NODE_FILE], const char *sql)
{
	node_file(path);
	node_plainly(path, sql);
}

/* Files that are open until a test ends. */
static char adopted[4][NODE_FILE];
static int nadopted;

static int
remove_adopted(void **state)
{
	while (nadopted > 0)
		unlink(adopted[--nadopted]);
	return 0;
}

/* A file is taken over: the node, and what was shown before, if it is of 0.16. */
static void
adopt(struct node *n, const char *sql, char **before)
{
	char *path = adopted[nadopted++];

	assert_true(nadopted <= (int)(sizeof adopted / sizeof *adopted));
	make(path, sql);
	if (before != NULL)
		*before = shown(path);
	node_open(n, 0, path);
}

/* -- what it looks like afterwards ---------------------------------------------- */

static void
all_that_was_shown_is_shown(void **state)
{
	struct node n;
	char *before;

	adopt(&n, FILE_16, &before);
	node_expect(&n, before, CHANGES);
	node_expect(&n, "20\n", "SELECT crsql_db_version()");
	node_expect(&n, "1\n", "SELECT crsql_site_id() = " OWN);
	node_expect(&n, "1|'integer'\n", "SELECT value, typeof(value) FROM "
	    "crsql_master WHERE key = 'crsqlite_version'");
	node_expect(&n, "1\n", "SELECT crsql_config_get('merge-equal-values')");
	node_expect(&n, "7|1|0|0\n", "SELECT version, seq, tag, event FROM "
	    "crsql_tracked_peers WHERE site_id = " S1);
	node_expect(&n, "0\n2\n5\n", "SELECT ordinal FROM crsql_site_id ORDER BY 1");
	node_expect(&n, "0\n", "SELECT count(*) FROM sqlite_schema WHERE type = "
	    "'table' AND (name LIKE '%%crsql_clock' OR name LIKE '%%crsql_pks')");
	node_expect(&n, "0\n", "SELECT count(*) FROM sqlite_schema WHERE "
	    "sql LIKE '%%crsql_after%%'");
	node_expect(&n, "0\n", "SELECT count(*) FROM temp.sqlite_schema");
	node_expect(&n, "'ok'\n", "PRAGMA integrity_check");
	node_expect(&n, "0\n", "SELECT crsql_adopt()");
	sqlite3_free(before);
	node_close(&n);
}

static void
the_layout_of_0_15_is_known_by_its_columns(void **state)
{
	struct node n;
	char path[NODE_FILE], *before;

	make(path, FILE_16);
	before = shown(path);
	unlink(path);
	adopt(&n, FILE_15, NULL);
	node_expect(&n, before, CHANGES);
	node_expect(&n, "20\n", "SELECT crsql_db_version()");
	node_close(&n);
	/* its number may be one of 0.16 */
	adopt(&n, FILE_15 "UPDATE crsql_master SET value = 160300 WHERE "
	    "key = 'crsqlite_version'", NULL);
	node_expect(&n, before, CHANGES);
	node_close(&n);
	sqlite3_free(before);
}

static void
rows_written_together_are_runs(void **state)
{
	struct node n;

	adopt(&n, FILE_16, NULL);
	node_expect(&n, "1|50\n", "SELECT key, n FROM crsql_log WHERE dbv = 4");
	node_expect(&n, "1\n", "SELECT count(*) FROM i__crsql_meta");
	node_expect(&n, "1|2\n", "SELECT count(*), max(n) FROM crsql_log WHERE "
	    "dbv = 2 AND tbl = (SELECT id FROM crsql_tbl WHERE name = 'p')");
	/* each db_version has its header */
	node_expect(&n, "0\n", "SELECT count(DISTINCT dbv) - "
	    "sum(pos = 0 AND length(hdr) = 22) FROM crsql_log");
	node_close(&n);
}

/* Where it is closed and opened, and by a program that loads nothing. */
static void
writes_go_on(void **state)
{
	char path[NODE_FILE];
	struct node n;

	make(path, FILE_16);
	node_open(&n, 0, path);
	node_exec(&n, "UPDATE r SET x = 'new' WHERE id = 'a'");
	node_expect(&n, "'x'|'new'|2|21|1|0\n", "SELECT cid, val, col_version, "
	    "db_version, cl, seq FROM crsql_changes WHERE db_version > 20");
	/* a row that was not known, a value without a clock, one of version 0 */
	node_exec(&n, "UPDATE r SET x = 'n' WHERE id IN ('h'); UPDATE r SET y = 'n' "
	    "WHERE id IN ('d', 'g')");
	node_expect(&n, "'x'|1|22|1\n'y'|1|23|3\n'y'|1|23|1\n", "SELECT cid, "
	    "col_version, db_version, cl FROM crsql_changes WHERE db_version > 21 "
	    "ORDER BY db_version, seq");
	/* the dead come back, the living die */
	node_exec(&n, "INSERT INTO r VALUES('c', 1, 2, 3), ('j', 4, 5, 6)");
	node_expect(&n, "3\n5\n", "SELECT col_version FROM crsql_changes WHERE "
	    "db_version = 24 AND cid = '-1' ORDER BY seq");
	node_exec(&n, "DELETE FROM r WHERE id = 'd'; DELETE FROM r WHERE id = 'a'; "
	    "DELETE FROM p; DELETE FROM i WHERE id IN (10, 51)");
	node_expect(&n, "'i'|2\n'i'|2\n'p'|2\n'p'|2\n'p'|4\n'r'|2\n'r'|4\n", "SELECT "
	    "\"table\", cl FROM crsql_changes WHERE db_version > 24 ORDER BY 1, 2");
	node_close(&n);
	node_plainly(path, "UPDATE i SET v = 'plain' WHERE id = 1");
	node_open(&n, 0, path);
	node_expect(&n, "'i'|'v'|'plain'|2\n", "SELECT \"table\", cid, val, "
	    "col_version FROM crsql_changes WHERE db_version > 28");
	node_expect(&n, "'ok'\n", "PRAGMA integrity_check");
	node_close(&n);
	unlink(path);
}

/* -- any history ---------------------------------------------------------------- */

static uint32_t seed;

/* A number below n. */
static int
any(int n)
{
	seed = seed * 1664525 + 1013904223;
	return (int)((seed >> 8) % (uint32_t)n);
}

static const char *const names[] = { "x", "y", "z" };

/* Forms that r may have. */
static const char *const forms[] = { "",
	"DROP TABLE r; CREATE TABLE r(id TEXT PRIMARY KEY NOT NULL, x, y, "
	    "z DEFAULT 'dz') WITHOUT ROWID;",
	"DROP TABLE r; CREATE TABLE r(id TEXT PRIMARY KEY NOT NULL, x, y, "
	    "z DEFAULT 'dz', rowid, oid, _rowid_);" };

/* The clocks of one row of r, alive or not. */
static void
any_row(sqlite3_str *s, int key)
{
	int i, dbv = 1 + any(6), site = any(3), seq = any(20);
	bool dead = any(5) == 0, sentinel = dead || any(4) == 0;

	sqlite3_str_appendf(s, "INSERT INTO r__crsql_pks VALUES(%d, 'k%d');", key,
	    any(2) ? key : key + 1000);
	if (!dead)
		sqlite3_str_appendf(s, "INSERT INTO r(id, x, y, z) SELECT id, %d, 'y', x'00' FROM "
		    "r__crsql_pks WHERE __crsql_key = %d;", any(9), key);
	if (sentinel)
		sqlite3_str_appendf(s, "INSERT INTO r__crsql_clock VALUES(%d, '-1', "
		    "%d, %d, %d, %d);", key, 2 * any(3) + 1 + dead, dbv, any(3) % 2,
		    any(9));
	for (i = 0; i < 3 && !dead; i++) {
		if (any(4) == 0) {
			dbv = 1 + any(9);
			site = any(3);
			seq = any(9);
		}
		if (any(8) > 0)
			sqlite3_str_appendf(s, "INSERT INTO r__crsql_clock VALUES(%d, "
			    "'%s', %d, %d, %d, %d);", key, names[i], any(5) ? 1 :
			    any(4), dbv, site == 2 ? 5 : site * 2, seq++);
	}
}

/* Rows with consecutive keys, mostly fresh ones: runs begin, end and have holes. */
static void
any_history(sqlite3_str *s)
{
	int key, i, n = 5 + any(40), seq = 0, dbv = 1;

	for (key = 1; key <= n; key++) {
		if (any(4) == 0) {
			any_row(s, key);
			continue;
		}
		if (any(6) == 0) {
			dbv = 1 + any(4);
			seq = any(50);
		}
		sqlite3_str_appendf(s, "INSERT INTO r(id, x, y, z) VALUES('k%d', 1, 2, %d);"
		    "INSERT INTO r__crsql_pks VALUES(%d, 'k%d');", key, key, key, key);
		for (i = 0; i < 3; i++)
			sqlite3_str_appendf(s, "INSERT INTO r__crsql_clock VALUES(%d, "
			    "'%s', %d, %d, 0, %d);", key, names[i], any(9) ? 1 : 2,
			    any(12) ? dbv : dbv + 1, seq++);
		seq += any(9) == 0;
	}
}

static void
any_history_is_shown_as_it_was(void **state)
{
	int i, times = how_many("SEEDS", 60);
	struct node n[2];
	sqlite3_str *s;
	char *sql, *before;

	for (i = 1; i <= times; i++) {
		seed = (uint32_t)i;
		s = sqlite3_str_new(NULL);
		sqlite3_str_appendall(s, "PRAGMA synchronous = 0; BEGIN; " BASICS(OWN,
		    S1, S2) SCHEMA);
		sqlite3_str_appendall(s, forms[i % 3]);
		sqlite3_str_appendall(s, "CREATE TABLE r__crsql_clock(key, col_name, "
		    "col_version, db_version, site_id, seq, PRIMARY KEY(key, "
		    "col_name)); CREATE TABLE r__crsql_pks(__crsql_key INTEGER "
		    "PRIMARY KEY, id UNIQUE);");
		any_history(s);
		sqlite3_str_appendall(s, TRIGGERS("r") CRR("p", "b, a") CRR("i", "id")
		    "INSERT OR IGNORE INTO crsql_site_id VALUES(zeroblob(16), 1); "
		    "COMMIT");
		sql = sqlite3_str_finish(s);
		print_message("seed %d\n", i);
		adopt(&n[0], sql, &before);
		node_expect(&n[0], before, CHANGES);
		node_expect(&n[0], "", "SELECT * FROM crsql_check");
		node_open(&n[1], 1, NULL);
		node_exec(&n[1], "%s", SCHEMA "SELECT crsql_as_crr('r')");
		assert_true(node_pull(&n[1], &n[0], &plain));
		/* Who brought a row back is told by the first cell that comes with
		 * its causal length, which may be an older one of another site.  A
		 * sentinel that says 1 says nothing to who has the row. */
		nodes_agree(&n[0], &n[1], "SELECT \"table\", pk, cid, val, "
		    "col_version, iif(cid = '-1', NULL, site_id), cl FROM "
		    "crsql_changes WHERE col_version > 0 AND NOT (cid = '-1' AND "
		    "col_version = 1) ORDER BY 1, 2, 3");
		nodes_close(n, 2);
		remove_adopted(NULL);
		sqlite3_free(before);
		sqlite3_free(sql);
	}
}

/* -- it goes on syncing --------------------------------------------------------- */

static void
r01_history_goes_out_by_pages(void **state)
{
	struct node n[2];

	adopt(&n[0], FILE_16, NULL);
	node_open(&n[1], 1, NULL);
	node_exec(&n[1], "%s", SCHEMA "SELECT crsql_as_crr('r'), "
	    "crsql_as_crr('p'), crsql_as_crr('i')");
	assert_true(node_pull(&n[1], &n[0], &plain));
	/* the row that was not known, and a value without a clock, are nobody's */
	node_exec(&n[0], "DELETE FROM r WHERE id IN ('h', 'g')");
	node_exec(&n[1], "DELETE FROM r WHERE id = 'g'");
	nodes_agree(&n[0], &n[1], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[0], &n[1], "SELECT * FROM p ORDER BY a");
	nodes_agree(&n[0], &n[1], "SELECT * FROM i ORDER BY id");
	assert_true(node_pull(&n[0], &n[1], &plain));
	assert_true(node_pull(&n[1], &n[0], &plain));
	nodes_agree(&n[0], &n[1], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[0], &n[1], "SELECT \"table\", pk, cid, val, col_version, "
	    "cl FROM crsql_changes ORDER BY 1, 2, 3");
	nodes_close(n, 2);
}

/* Rows without rowids have numbers from then on, which they keep. */
static void
rows_without_rowids_are_taken_over(void **state)
{
	struct node n[2];
	char *path;

	adopt(&n[0], BASICS(OWN, S1, S2) "CREATE TABLE w(a TEXT, b INTEGER, v, "
	    "PRIMARY KEY(a, b)) WITHOUT ROWID; INSERT INTO w VALUES('z', 1, 'v1'), "
	    "('a', 9, 'v2'), ('a', 2, 'v3'), ('u', 0, 'unknown');"
	    CRR("w", "a, b") "INSERT INTO w__crsql_pks VALUES(1, 'z', 1), "
	    "(2, 'a', 9), (3, 'a', 2), (4, 'dead', 4); INSERT INTO w__crsql_clock "
	    "VALUES(1, 'v', 1, 1, 0, 0), (2, 'v', 1, 1, 0, 1), (3, 'v', 4, 2, 2, 0), "
	    "(4, '-1', 2, 3, 0, 0);", NULL);
	path = adopted[nadopted - 1];
	node_expect(&n[0], "'v3'|4|2|2|1|0\n'v2'|1|1|0|1|1\n'v1'|1|1|0|1|0\n"
	    "NULL|2|3|0|2|0\n", "SELECT val, col_version, c.db_version, "
	    "s.ordinal, cl, seq FROM crsql_changes c JOIN crsql_site_id s USING "
	    "(site_id) ORDER BY pk");
	node_expect(&n[0], "", "SELECT * FROM crsql_check");
	node_close(&n[0]);
	node_plainly(path, "UPDATE w SET v = 'new' WHERE a = 'z'; DELETE FROM w "
	    "WHERE b = 9; INSERT INTO w VALUES('dead', 4, 'back')");
	node_open(&n[0], 0, path);
	node_open(&n[1], 1, NULL);
	node_exec(&n[1], "CREATE TABLE w(a TEXT, b INTEGER, v, PRIMARY KEY(a, b)) "
	    "WITHOUT ROWID; SELECT crsql_as_crr('w')");
	assert_true(node_pull(&n[1], &n[0], &plain));
	node_expect(&n[1], "'a'|2|'v3'\n'dead'|4|'back'\n'z'|1|'new'\n",
	    "SELECT * FROM w");
	node_expect(&n[1], "'z'|1|2|1\n'a'|2|4|1\n'dead'|4|1|3\n", "SELECT p.a, "
	    "p.b, h.col_version, h.cl FROM crsql_changes h JOIN w__crsql_pks p ON "
	    "h.pk = crsql_pack_columns(p.a, p.b) WHERE h.cid = 'v' ORDER BY "
	    "h.cl, h.pk DESC");
	node_expect(&n[0], "", "SELECT * FROM crsql_check");
	nodes_close(n, 2);
}

/* Both had it all from each other, and take it over each for itself. */
static void
two_with_one_history_have_nothing_new(void **state)
{
	struct node n[2];
	int64_t head;

	adopt(&n[0], FILE_16, NULL);
	adopt(&n[1], FILE_S1, NULL);
	n[1].index = 1;
	nodes_agree(&n[0], &n[1], SHARED);
	assert_true(node_pull(&n[1], &n[0], &plain));
	assert_true(node_pull(&n[0], &n[1], &plain));
	node_expect(&n[1], "20\n", "SELECT crsql_db_version()");
	node_expect(&n[0], "20\n", "SELECT crsql_db_version()");
	nodes_agree(&n[0], &n[1], SHARED);
	node_pull_changes(&n[1], &n[0], true);
	node_expect(&n[1], "20\n", "SELECT crsql_db_version()");
	/* and what is new goes both ways */
	node_exec(&n[0], "UPDATE r SET y = 'of 0' WHERE id = 'e'; "
	    "DELETE FROM i WHERE id = 3");
	node_exec(&n[1], "UPDATE r SET z = 'of 1' WHERE id = 'e'; "
	    "INSERT INTO p VALUES(9, x'09'); UPDATE i SET v = 'of 1' WHERE id = 4");
	for (head = 0; head < 2; head++) {
		assert_true(node_pull(&n[1], &n[0], &plain));
		assert_true(node_pull(&n[0], &n[1], &plain));
	}
	node_expect(&n[0], "'of 0'|'of 1'\n", "SELECT y, z FROM r WHERE id = 'e'");
	nodes_agree(&n[0], &n[1], SHARED);
	nodes_agree(&n[0], &n[1], "SELECT * FROM i ORDER BY id");
	nodes_close(n, 2);
}

/* R1: own history has one token, which copies agree on. */
static void
r01_copies_name_their_history_alike(void **state)
{
	static const uint8_t own[24] = { 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0x4a,
		0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, [23] = 20 };
	uint8_t hash[SHA256_BYTES];
	struct node n[2];
	char *want;

	sha256_short(own, sizeof own, hash);
	adopt(&n[0], FILE_16, NULL);
	adopt(&n[1], FILE_16, NULL);
	nodes_agree(&n[0], &n[1], "SELECT crsql_own()");
	want = sqlite3_mprintf("'%02X%02X%02X%02X'\n", hash[0], hash[1], hash[6],
	    hash[7]);
	node_expect(&n[0], want, "SELECT hex(substr(crsql_own(), 25, 2)) || "
	    "hex(substr(crsql_own(), 31))");
	sqlite3_free(want);
	nodes_close(n, 2);
	/* where the newest change is another's it is noted */
	adopt(&n[0], FILE_16 "DELETE FROM crsql_master WHERE key = "
	    "'pre_compact_dbversion'; INSERT INTO r__crsql_pks VALUES(12, 'l'); "
	    "INSERT INTO r__crsql_clock VALUES(12, '-1', 2, 14, 5, 0)", NULL);
	node_expect(&n[0], "14|13\n", "SELECT crsql_db_version(), sver FROM crsql_me "
	    "WHERE length(token) = 8");
	node_expect(&n[0], "'000000000000000D'\n",
	    "SELECT hex(substr(crsql_own(), 17, 8))");
	nodes_close(n, 1);
}

/* -- what is no file of cr-sqlite's any more --------------------------------------- */

struct damage {
	const char *sql, *why;
};

static const struct damage damages[] = {
	{ "DROP TABLE r__crsql_pks", "r__crsql_pks is missing" },
	{ "DROP TABLE r__crsql_clock", "r__crsql_pks is there" },
	{ "DROP TABLE r__crsql_clock; DROP TABLE r__crsql_pks",
	    "has the trigger r__crsql_itrig" },
	{ "DROP TRIGGER r__crsql_itrig", "no triggers" },
	{ "DROP TABLE crsql_site_id", "crsql_site_id is missing" },
	{ "DROP TABLE crsql_master", "crsql_master is missing" },
	{ "DELETE FROM crsql_master", "no version" },
	{ "DELETE FROM crsql_site_id WHERE ordinal = 0", "this database" },
	{ "UPDATE crsql_site_id SET site_id = x'01' WHERE ordinal = 5",
	    "site 5 has an id" },
	{ "DELETE FROM crsql_site_id WHERE ordinal = 2", "of site 2" },
	{ "DELETE FROM r__crsql_pks WHERE __crsql_key = 1", "row 1 " },
	{ "DELETE FROM r__crsql_pks WHERE __crsql_key = 11", "row 11 " },
	{ "UPDATE r__crsql_clock SET col_name = 'nope' WHERE key = 2 AND "
	    "col_name = 'x'", "column that is not there" },
	{ "UPDATE r__crsql_clock SET db_version = 0 WHERE key = 2",
	    "db_version is out of range" },
	{ "UPDATE r__crsql_clock SET db_version = 9007199254740993 WHERE key = 2",
	    "db_version is out of range" },
	{ "UPDATE r__crsql_clock SET col_version = 9007199254740993 WHERE key = 2",
	    "col_version is out of range" },
	{ "UPDATE r__crsql_clock SET col_version = -1 WHERE key = 2",
	    "col_version is out of range" },
	{ "UPDATE r__crsql_clock SET seq = -1 WHERE key = 2", "seq is out" },
	{ "UPDATE r__crsql_clock SET col_version = 2 WHERE key = 4 AND "
	    "col_name = '-1'; DROP TRIGGER r__crsql_dtrig; DELETE FROM r WHERE "
	    "id = 'd'", "clocks of columns" },
	{ "DROP TRIGGER r__crsql_itrig; INSERT INTO r VALUES('c', 1, 2, 3); "
	    "CREATE TRIGGER r__crsql_itrig AFTER INSERT ON r BEGIN SELECT 1; END",
	    "is in the table" },
	{ "UPDATE crsql_master SET value = 'much' WHERE key = "
	    "'pre_compact_dbversion'", "pre_compact_dbversion" },
	{ "PRAGMA legacy_alter_table = 1; ALTER TABLE r RENAME TO s", "rename it back" },
	{ "DROP TABLE r__crsql_clock; CREATE TABLE r__crsql_clock(key, col_name, "
	    "col_version, db_version, site_id, other)",
	    "does not have the columns" },
	{ "INSERT INTO i__crsql_pks VALUES(999, '7'); INSERT INTO i__crsql_clock "
	    "VALUES(999, 'v', 1, 4, 0, 999)", "are one row" },
	{ "CREATE TABLE i2(id INTEGER PRIMARY KEY NOT NULL, v); " CRR("i2", "id")
	    "INSERT INTO i2__crsql_pks VALUES(1, '7'), (2, 7); INSERT INTO "
	    "i2__crsql_clock VALUES(1, '-1', 2, 1, 0, 0), (2, '-1', 2, 1, 0, 1)",
	    "another has the same key" },
};

/* Its clocks may hold anything. */
static const struct damage damages_15[] = {
	{ "UPDATE r__crsql_clock SET __crsql_col_version = 'x' WHERE id = 'a'",
	    "col_version is out of range" },
	{ "UPDATE r__crsql_clock SET __crsql_site_id = x'aa' WHERE id = 'a'",
	    "no number of a site" },
	{ "UPDATE r__crsql_clock SET __crsql_col_name = x'78' WHERE id = 'a' AND "
	    "__crsql_col_name = 'x'", "column that is not there" },
	{ "UPDATE r__crsql_clock SET id = NULL WHERE id = 'c'", "its key is NULL" },
	{ "ALTER TABLE r__crsql_clock RENAME COLUMN id TO other",
	    "does not have the key" },
	{ "DROP TABLE i__crsql_clock", "has the trigger i__crsql_itrig" },
};

static char *
bytes_of(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(1 << 20);

	assert_non_null(f);
	*len = fread(data, 1, 1 << 20, f);
	assert_true(*len > 0 && *len < 1 << 20);
	fclose(f);
	return data;
}

/* Loading must fail, say why, and change nothing. */
static void
refused(const char *path, int flags, const char *why)
{
	size_t before, after;
	char *old = bytes_of(path, &before), *new, *said = NULL;
	struct node n = { .db = NULL };
	int rc;

	assert_int_equal(sqlite3_open_v2(path, &n.db, flags, NULL), SQLITE_OK);
	rc = crdt_load(n.db, &said);
	if (rc == SQLITE_OK || said == NULL || strstr(said, why) == NULL)
		fail_msg("%s: %s", why, said ? said : "no sentence");
	node_expect(&n, "'v2'\n", "SELECT v FROM i WHERE id = 2");
	assert_int_not_equal(node_try(&n, "UPDATE i SET v = 1"), SQLITE_OK);
	assert_int_equal(sqlite3_close(n.db), SQLITE_OK);
	new = bytes_of(path, &after);
	assert_int_equal(before, after);
	assert_memory_equal(old, new, before);
	sqlite3_free(said);
	free(old);
	free(new);
}

static void
refuse_each(const char *sql, const struct damage *damage, size_t n)
{
	char path[NODE_FILE];

	for (; n > 0; n--, damage++) {
		make(path, sql);
		node_plainly(path, damage->sql);
		refused(path, SQLITE_OPEN_READWRITE, damage->why);
		unlink(path);
	}
}

static void
a_damaged_one_is_refused_and_left_as_it_was(void **state)
{
	refuse_each(FILE_16, damages, sizeof damages / sizeof *damages);
	refuse_each(FILE_15 "; DROP TRIGGER r__crsql_itrig; CREATE TRIGGER "
	    "r__crsql_itrig AFTER INSERT ON r BEGIN SELECT 1; END; PRAGMA "
	    "user_version = 1", damages_15,
	    sizeof damages_15 / sizeof *damages_15);
}

static void
one_that_cannot_be_written_says_what_it_is(void **state)
{
	char path[NODE_FILE];
	struct node n;

	make(path, FILE_16);
	refused(path, SQLITE_OPEN_READONLY, "made by cr-sqlite and can't be written");
	/* opened for writing it is taken over */
	node_open(&n, 0, path);
	node_expect(&n, "20\n", "SELECT crsql_db_version()");
	node_close(&n);
	unlink(path);
}

/* -- the rest ----------------------------------------------------------------------- */

/* Inside a transaction it could be undone behind the engine's back. */
static void
not_inside_a_transaction(void **state)
{
	char path[NODE_FILE], *why = NULL;
	struct node n = { .db = NULL };

	make(path, FILE_16);
	assert_int_equal(sqlite3_open(path, &n.db), SQLITE_OK);
	node_exec(&n, "BEGIN; CREATE TABLE mine(x)");
	assert_int_not_equal(crdt_load(n.db, &why), SQLITE_OK);
	assert_non_null(strstr(why, "inside a transaction"));
	sqlite3_free(why);
	/* which goes on */
	node_exec(&n, "COMMIT");
	node_expect(&n, "0\n", "SELECT count(*) FROM mine");
	assert_int_equal(sqlite3_close(n.db), SQLITE_OK);
	unlink(path);
}

static void
copy_into(sqlite3 *db, const char *path)
{
	sqlite3_backup *b;
	sqlite3 *from;

	assert_int_equal(sqlite3_open(path, &from), SQLITE_OK);
	b = sqlite3_backup_init(db, "main", from, "main");
	assert_non_null(b);
	assert_int_equal(sqlite3_backup_step(b, -1), SQLITE_DONE);
	sqlite3_backup_finish(b);
	sqlite3_close(from);
}

/* The file under a connection may become one. */
static void
by_function(void **state)
{
	char path[NODE_FILE], *before;
	struct node n;

	make(path, FILE_16);
	before = shown(path);
	node_open(&n, 0, NULL);
	copy_into(n.db, path);
	assert_int_not_equal(node_try(&n, "BEGIN; SELECT crsql_adopt()"), SQLITE_OK);
	node_exec(&n, "COMMIT");
	node_expect(&n, "3\n", "SELECT crsql_adopt()");
	node_expect(&n, before, CHANGES);
	node_expect(&n, "20\n", "SELECT crsql_db_version()");
	node_exec(&n, "UPDATE r SET x = 'new' WHERE id = 'a'");
	node_expect(&n, "21\n", "SELECT crsql_db_version()");
	assert_int_not_equal(node_try(&n, "SELECT crsql_adopt(1)"), SQLITE_OK);
	node_close(&n);
	sqlite3_free(before);
	unlink(path);
}

/* A row that is gone unseen is no reason to refuse; nor a dropped table. */
static void
what_is_gone_is_forgotten(void **state)
{
	struct node n;

	adopt(&n, FILE_16 "DROP TRIGGER r__crsql_dtrig; DELETE FROM r WHERE id IN "
	    "('a', 'k'); DROP TABLE i; DELETE FROM crsql_master WHERE key = "
	    "'pre_compact_dbversion'", NULL);
	node_expect(&n, "'r'|7\n", "SELECT \"table\", count(DISTINCT pk) FROM "
	    "crsql_changes WHERE \"table\" = 'r'");
	node_expect(&n, "0\n", "SELECT count(*) FROM crsql_changes WHERE "
	    "\"table\" = 'i'");
	/* their versions count */
	node_expect(&n, "13\n", "SELECT crsql_db_version()");
	assert_int_equal(node_change(&n, "r", "'a'", "x", "'back'", 1, 1, S1, 1, 0),
	    SQLITE_OK);
	node_expect(&n, "'back'\n", "SELECT x FROM r WHERE id = 'a'");
	node_close(&n);
}

/* A key is as a peer once sent it: of whatever type, it is the row's. */
static void
keys_of_another_type_are_their_rows(void **state)
{
	struct node n;

	adopt(&n, FILE_16 "DROP TRIGGER r__crsql_itrig; INSERT INTO r VALUES('5', "
	    "'x5', 'y5', 'z5'), ('6', 'x6', 'y6', 'z6'); CREATE TRIGGER "
	    "r__crsql_itrig AFTER INSERT ON r BEGIN SELECT 1; END; INSERT INTO r__crsql_pks VALUES(21, 5), "
	    "(22, 6), (23, '6'); INSERT INTO r__crsql_clock VALUES"
	    "(21, 'x', 3, 14, 2, 0), (21, 'y', 1, 14, 2, 1), (22, 'x', 9, 15, 2, 0), "
	    "(23, 'x', 2, 16, 0, 0)", NULL);
	node_expect(&n, "'x'|'x5'|3\n'y'|'y5'|1\n", "SELECT cid, val, col_version "
	    "FROM crsql_changes WHERE pk = crsql_pack_columns('5') ORDER BY cid");
	/* one that has an entry by its own key is that */
	node_expect(&n, "'x'|'x6'|2\n", "SELECT cid, val, col_version FROM "
	    "crsql_changes WHERE pk = crsql_pack_columns('6')");
	node_expect(&n, "", "SELECT * FROM crsql_check");
	node_close(&n);
}

static void
names_are_any(void **state)
{
	struct node n;

	adopt(&n, BASICS(OWN, S1, S2) "CREATE TABLE \"a \"\"b'%\"(\"k '\" TEXT NOT "
	    "NULL, \"order\" NOT NULL, \"x\"\"\", PRIMARY KEY(\"order\", \"k '\"));"
	    "CREATE TABLE \"a \"\"b'%__crsql_clock\"(key, col_name, col_version, "
	    "db_version, site_id, seq);"
	    "CREATE TABLE \"a \"\"b'%__crsql_pks\"(__crsql_key INTEGER PRIMARY KEY, "
	    "\"order\", \"k '\");"
	    "CREATE TRIGGER \"a \"\"b'%__crsql_itrig\" AFTER INSERT ON \"a \"\"b'%\" "
	    "BEGIN SELECT 1; END;"
	    "INSERT INTO \"a \"\"b'%__crsql_pks\" VALUES(1, 2.0, 'k'), (2, 3.0, 'd');"
	    "DROP TRIGGER \"a \"\"b'%__crsql_itrig\";"
	    "INSERT INTO \"a \"\"b'%\" VALUES('k', 2, 'v');"
	    "CREATE TRIGGER \"a \"\"b'%__crsql_itrig\" AFTER INSERT ON \"a \"\"b'%\" "
	    "BEGIN SELECT 1; END;"
	    "INSERT INTO \"a \"\"b'%__crsql_clock\" VALUES(1, 'x\"', 4, 5, 2, 6), "
	    "(2, '-1', 2, 7, 0, 0)", NULL);
	node_expect(&n, "'a \"b''%'|'0209020B016B'|'x\"'|'v'|4|1\n"
	    "'a \"b''%'|'0209030B0164'|'-1'|NULL|2|2\n", "SELECT \"table\", hex(pk), "
	    "cid, val, col_version, cl FROM crsql_changes ORDER BY 2");
	node_close(&n);
}

/* A file of cr-sqlite with no table at all. */
static void
an_empty_one_becomes_ours(void **state)
{
	struct node n;

	adopt(&n, BASICS(OWN, S1, S2), NULL);
	node_expect(&n, "0|1\n", "SELECT crsql_db_version(), crsql_site_id() = "
	    OWN);
	node_exec(&n, "%s", SCHEMA "SELECT crsql_as_crr('r'); "
	    "INSERT INTO r(id) VALUES('a')");
	node_expect(&n, "1\n", "SELECT crsql_db_version()");
	node_close(&n);
}

#define TEST(f) cmocka_unit_test_teardown(f, remove_adopted)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_that_was_shown_is_shown),
		TEST(the_layout_of_0_15_is_known_by_its_columns),
		TEST(rows_written_together_are_runs),
		TEST(writes_go_on),
		TEST(any_history_is_shown_as_it_was),
		TEST(r01_history_goes_out_by_pages),
		TEST(rows_without_rowids_are_taken_over),
		TEST(two_with_one_history_have_nothing_new),
		TEST(r01_copies_name_their_history_alike),
		TEST(a_damaged_one_is_refused_and_left_as_it_was),
		TEST(one_that_cannot_be_written_says_what_it_is),
		TEST(not_inside_a_transaction),
		TEST(by_function),
		TEST(what_is_gone_is_forgotten),
		TEST(keys_of_another_type_are_their_rows),
		TEST(names_are_any),
		TEST(an_empty_one_becomes_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

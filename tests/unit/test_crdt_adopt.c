// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_adopt.c - files of cr-sqlite, made by hand as it makes them, become
 * ours: nothing it showed is shown otherwise, and all goes on from there.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "crdt/crdt.h"

static const struct mishap plain = { .max_bytes = 100000 };

/* -- what cr-sqlite makes ------------------------------------------------------ */

#define OWN "x'aaaaaaaaaaaa4aaaaaaaaaaaaaaaaaaa'"

/* own, s1, s2: ordinals 0, 2, 5 */
#define BASICS(own, s1, s2) \
	"CREATE TABLE crsql_tracked_peers(site_id BLOB NOT NULL, version INTEGER " \
	"NOT NULL, seq INTEGER DEFAULT 0, tag INTEGER, event INTEGER, " \
	"PRIMARY KEY(site_id, tag, event)) STRICT;" \
	"INSERT INTO crsql_tracked_peers VALUES(" s1 ", 7, 1, 0, 0);" \
	"CREATE TABLE crsql_master(key TEXT PRIMARY KEY, value ANY);" \
	"INSERT INTO crsql_master VALUES('crsqlite_version', 160300), " \
	"('config.merge-equal-values', 1);" \
	"CREATE TABLE crsql_site_id(site_id BLOB NOT NULL, ordinal INTEGER " \
	"PRIMARY KEY);" \
	"CREATE UNIQUE INDEX crsql_site_id_site_id ON crsql_site_id(site_id);" \
	"INSERT INTO crsql_site_id VALUES(" own ", 0), (" s1 ", 2), (" s2 ", 5);"

#define TRIGGERS(t) \
	"CREATE TRIGGER " t "__crsql_itrig AFTER INSERT ON " t " WHEN " \
	"crsql_internal_sync_bit() = 0 BEGIN SELECT crsql_after_insert('" t "', " \
	"new.rowid); END;" \
	"CREATE TRIGGER " t "__crsql_utrig AFTER UPDATE ON " t " WHEN " \
	"crsql_internal_sync_bit() = 0 BEGIN SELECT crsql_after_update('" t "', " \
	"new.rowid, old.rowid); END;" \
	"CREATE TRIGGER " t "__crsql_dtrig AFTER DELETE ON " t " WHEN " \
	"crsql_internal_sync_bit() = 0 BEGIN SELECT crsql_after_delete('" t "', " \
	"old.rowid); END;"

#define CRR(t, pks) \
	"CREATE TABLE " t "__crsql_clock(key INTEGER NOT NULL, col_name TEXT " \
	"NOT NULL, col_version INTEGER NOT NULL, db_version INTEGER NOT NULL, " \
	"site_id INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL, " \
	"PRIMARY KEY(key, col_name)) WITHOUT ROWID, STRICT;" \
	"CREATE INDEX " t "__crsql_clock_dbv_idx ON " t "__crsql_clock(db_version);" \
	"CREATE TABLE " t "__crsql_pks(__crsql_key INTEGER PRIMARY KEY, " pks ");" \
	"CREATE UNIQUE INDEX " t "__crsql_pks_pks ON " t "__crsql_pks(" pks ");" \
	TRIGGERS(t)

#define SCHEMA \
	"CREATE TABLE r(id TEXT PRIMARY KEY NOT NULL, x, y, z DEFAULT 'dz');" \
	"CREATE TABLE p(a INTEGER NOT NULL, b BLOB NOT NULL, PRIMARY KEY(b, a));" \
	"CREATE TABLE i(id INTEGER PRIMARY KEY NOT NULL, v, g AS (v || '!'), w);"

#define DATA \
	"INSERT INTO r VALUES('e', 'e1', 'e2', 'e3'), ('a', 'a1', 'a2', 'a3'), " \
	"('b', 'b1', 2, x'03'), ('d', 'd1', 'd2', 'd3'), ('f', 'f1', 'f2', 'f3'), " \
	"('g', 'g1', 'g2', 'g3'), ('h', 'h1', 'h2', 'h3'), ('k', 1, 2, 3);" \
	"INSERT INTO p VALUES(1, x'00'), (2, x'01'), (4, x'');" \
	"WITH n(k) AS (VALUES(1) UNION ALL SELECT k + 1 FROM n WHERE k < 51) " \
	"INSERT INTO i(id, v, w) SELECT k, 'v' || k, k * 1.5 FROM n;"

/* a, b fresh; c, j deleted; d in its second life; e another site's; f with a
 * column written again; g without the clock of a column; h unknown, with a key
 * that a losing change left; k by two sites in one db_version. */
#define CLOCKS_R(s1, s2, me) \
	"INSERT INTO r__crsql_pks VALUES(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), " \
	"(5, 'e'), (6, 'f'), (7, 'g'), (8, 'h'), (9, 'j'), (11, 'k');" \
	"INSERT INTO r__crsql_clock VALUES" \
	"(1, 'x', 1, 1, " me ", 0), (1, 'y', 1, 1, " me ", 1), " \
	"(1, 'z', 1, 1, " me ", 2), (2, 'x', 1, 1, " me ", 3), " \
	"(2, 'y', 1, 1, " me ", 4), (2, 'z', 1, 1, " me ", 5), " \
	"(3, '-1', 2, 3, " me ", 0), (4, '-1', 3, 9, " s1 ", 0), " \
	"(4, 'x', 1, 9, " s1 ", 1), (4, 'y', 0, 9, " me ", 2), " \
	"(4, 'z', 0, 9, " me ", 3), (5, 'x', 1, 7, " s1 ", 0), " \
	"(5, 'y', 1, 7, " s1 ", 1), (5, 'z', 1, 7, " s1 ", 2), " \
	"(6, 'x', 2, 9, " me ", 4), (6, 'y', 1, 1, " me ", 7), " \
	"(6, 'z', 1, 1, " me ", 8), (7, 'x', 1, 2, " me ", 9), " \
	"(7, 'z', 3, 10, " me ", 0), (9, '-1', 4, 11, " s2 ", 3), " \
	"(11, 'x', 5, 13, " s1 ", 0), (11, 'y', 5, 13, " me ", 1), " \
	"(11, 'z', 5, 13, " s2 ", 0);"

#define CLOCKS_PI(s1, me) \
	"INSERT INTO p__crsql_pks VALUES(1, x'00', 1), (2, x'01', 2), " \
	"(3, x'03', 3), (4, x'', 4);" \
	"INSERT INTO p__crsql_clock VALUES(1, '-1', 1, 2, " me ", 0), " \
	"(2, '-1', 1, 2, " me ", 1), (3, '-1', 2, 5, " me ", 0), " \
	"(4, '-1', 3, 6, " s1 ", 0);" \
	"INSERT INTO i__crsql_pks SELECT 100 + id, id FROM i;" \
	"INSERT INTO i__crsql_clock SELECT 100 + id, 'v', 1, 4, " me ", " \
	"2 * id - 2 FROM i WHERE id < 51;" \
	"INSERT INTO i__crsql_clock SELECT 100 + id, 'w', 1, 4, " me ", " \
	"2 * id - 1 FROM i WHERE id < 51 AND id <> 10;" \
	"INSERT INTO i__crsql_clock VALUES(110, 'w', 2, 8, " me ", 0), " \
	"(151, 'v', 1, 12, " me ", 0), (151, 'w', 1, 12, " me ", 1);"

#define COMPACTED \
	"INSERT INTO crsql_master VALUES('pre_compact_dbversion', 20);"

#define FILE_16 BASICS(OWN, S1, S2) SCHEMA DATA CRR("r", "id") CRR("p", "b, a") \
	CRR("i", "id") CLOCKS_R("2", "5", "0") CLOCKS_PI("2", "0") COMPACTED

/* The same history where S1 is at home. */
#define FILE_S1 BASICS(S1, OWN, S2) SCHEMA DATA CRR("r", "id") \
	CRR("p", "b, a") CRR("i", "id") CLOCKS_R("0", "5", "2") \
	CLOCKS_PI("0", "2") COMPACTED

/* As 0.15 made it: keys in the clocks, own sites NULL. */
#define CRR_15(t, pks, clock) \
	"CREATE TABLE " t "_16 AS " clock ";" \
	"DROP TABLE " t "__crsql_clock; DROP TABLE " t "__crsql_pks;" \
	"CREATE TABLE " t "__crsql_clock(" pks ", __crsql_col_name TEXT NOT NULL, " \
	"__crsql_col_version INT NOT NULL, __crsql_db_version INT NOT NULL, " \
	"__crsql_site_id INT, __crsql_seq INT NOT NULL, PRIMARY KEY(" pks ", " \
	"__crsql_col_name));" \
	"INSERT INTO " t "__crsql_clock SELECT * FROM " t "_16; DROP TABLE " t "_16;"

#define REST_16 "col_name, col_version, db_version, nullif(site_id, 0), seq"
#define FILE_15 FILE_16 \
	"UPDATE crsql_master SET value = 150000 WHERE key = 'crsqlite_version';" \
	CRR_15("r", "id", "SELECT id, " REST_16 " FROM r__crsql_clock JOIN " \
	    "r__crsql_pks ON __crsql_key = key") \
	CRR_15("p", "b, a", "SELECT b, a, " REST_16 " FROM p__crsql_clock JOIN " \
	    "p__crsql_pks ON __crsql_key = key") \
	CRR_15("i", "id", "SELECT id, " REST_16 " FROM i__crsql_clock JOIN " \
	    "i__crsql_pks ON __crsql_key = key")

/* What cr-sqlite shows, without it: 0.16's tables of the attached file. */
#define SHOW(t, pks, on, values) \
	"SELECT '" t "', crsql_pack_columns(" pks "), c.col_name, CASE c.col_name " \
	values " END, c.col_version, c.db_version, s.site_id, coalesce((SELECT " \
	"col_version FROM f." t "__crsql_clock l WHERE l.key = c.key AND " \
	"l.col_name = '-1'), 1), c.seq FROM f." t "__crsql_clock c JOIN " \
	"f." t "__crsql_pks p ON __crsql_key = c.key JOIN f.crsql_site_id s ON " \
	"s.ordinal = c.site_id LEFT JOIN f." t " b ON " on

#define SHOW_ALL \
	SHOW("r", "p.id", "b.id = p.id", "WHEN 'x' THEN x WHEN 'y' THEN y WHEN " \
	    "'z' THEN z") " UNION ALL " \
	SHOW("p", "p.b, p.a", "b.a = p.a AND b.b = p.b", "WHEN '' THEN ''") \
	" UNION ALL " \
	SHOW("i", "p.id", "b.id = p.id", "WHEN 'v' THEN v WHEN 'w' THEN w") \
	" ORDER BY 1, 2, 3"

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

static const struct damage {
	const char *sql, *why;
} damages[] = {
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
	{ "CREATE TABLE wr(id PRIMARY KEY NOT NULL, v) WITHOUT ROWID; "
	    "CREATE TABLE wr__crsql_clock(key, col_name, col_version, db_version, "
	    "site_id, seq); CREATE TABLE wr__crsql_pks(__crsql_key INTEGER PRIMARY "
	    "KEY, id); CREATE TRIGGER wr__crsql_itrig AFTER INSERT ON wr BEGIN "
	    "SELECT 1; END", "WITHOUT ROWID" },
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
a_damaged_one_is_refused_and_left_as_it_was(void **state)
{
	char path[NODE_FILE];
	size_t i;

	for (i = 0; i < sizeof damages / sizeof *damages; i++) {
		make(path, FILE_16);
		node_plainly(path, damages[i].sql);
		refused(path, SQLITE_OPEN_READWRITE, damages[i].why);
		unlink(path);
	}
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
		TEST(r01_history_goes_out_by_pages),
		TEST(two_with_one_history_have_nothing_new),
		TEST(r01_copies_name_their_history_alike),
		TEST(a_damaged_one_is_refused_and_left_as_it_was),
		TEST(one_that_cannot_be_written_says_what_it_is),
		TEST(not_inside_a_transaction),
		TEST(by_function),
		TEST(what_is_gone_is_forgotten),
		TEST(names_are_any),
		TEST(an_empty_one_becomes_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MPL-2.0
/*
 * crsqlite_file.h - files with the metadata of cr-sqlite 0.16 and 0.15, as SQL
 * for a program that has neither it nor us; and what cr-sqlite shows of them.
 */
#ifndef TESTS_CRSQLITE_FILE_H
#define TESTS_CRSQLITE_FILE_H

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

#endif

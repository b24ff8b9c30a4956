-- Names that need quoting, in any script; shadowed rowids; many columns.
CREATE TABLE "group by ""x"" ' ü 表"("select" , "k e'y""" TEXT NOT NULL PRIMARY KEY, rowid TEXT, "-1");
SELECT crsql_as_crr('group by "x" '' ü 表');
INSERT INTO "group by ""x"" ' ü 表" VALUES(1, 'ключ', 2, 3);
UPDATE "group by ""x"" ' ü 表" SET rowid = 4, "-1" = 5;
--plain UPDATE "group by ""x"" ' ü 表" SET "select" = 6;
SELECT "table", hex(pk), cid, val, col_version, db_version FROM crsql_changes;
CREATE TABLE x__crsql_clock(id INTEGER PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('X__CRSQL_CLOCK');
INSERT INTO x__crsql_clock VALUES(1, 1);
SELECT "table", cid FROM crsql_changes WHERE db_version > 3;
.print -- a table of 70 columns
CREATE TABLE w(id INTEGER PRIMARY KEY NOT NULL,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15,c16,c17,c18,c19,c20,c21,c22,c23,c24,c25,c26,c27,c28,c29,c30,c31,c32,c33,c34,c35,c36,c37,c38,c39,c40,c41,c42,c43,c44,c45,c46,c47,c48,c49,c50,c51,c52,c53,c54,c55,c56,c57,c58,c59,c60,c61,c62,c63,c64,c65,c66,c67,c68,c69,c70);
SELECT crsql_as_crr('w');
INSERT INTO w(id, c1, c70) VALUES(1, 'a', 'z');
UPDATE w SET c1 = 'b';
UPDATE w SET c70 = 'y';
--plain UPDATE w SET c65 = 'j';
SELECT db_version, count(*), min(seq), max(seq) FROM crsql_changes WHERE "table" = 'w' GROUP BY 1;

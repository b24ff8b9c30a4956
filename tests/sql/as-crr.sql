-- The checks of crsql_as_crr, and what it leaves when it refuses.
SELECT crsql_as_crr();
SELECT crsql_as_crr(NULL);
SELECT crsql_as_crr('nothing');
CREATE VIEW v AS SELECT 1 AS a;
SELECT crsql_as_crr('v');
CREATE TABLE t1(id TEXT PRIMARY KEY NOT NULL, a UNIQUE);
SELECT crsql_as_crr('t1');
CREATE TABLE t2(id, a);
SELECT crsql_as_crr('t2');
CREATE TABLE t3(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, a);
SELECT crsql_as_crr('t3');
CREATE TABLE t4(id TEXT PRIMARY KEY NOT NULL, a REFERENCES t2(id));
SELECT crsql_as_crr('t4');
CREATE TABLE t5(id TEXT PRIMARY KEY NOT NULL, a NOT NULL);
SELECT crsql_as_crr('t5');
CREATE TABLE t7(id TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, a);
SELECT crsql_as_crr('t7');
CREATE TABLE t8(id PRIMARY KEY, a);
INSERT INTO t8 VALUES(NULL, 1);
SELECT crsql_as_crr('t8');
SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\_\_crsql\_%' ESCAPE '\';
-- a refusal does not end the caller's transaction
BEGIN;
INSERT INTO t2 VALUES(1, 2);
SELECT crsql_as_crr('t1');
COMMIT;
SELECT * FROM t2;
-- accepted: schema argument, again, other case, nullable keys, checks, generated columns
CREATE TABLE a1(id TEXT PRIMARY KEY, a CHECK(a > 0), b TEXT COLLATE NOCASE, g AS (a + 1));
CREATE INDEX a1_a ON a1(a);
SELECT crsql_as_crr('main', 'a1');
SELECT crsql_as_crr('a1');
CREATE TABLE a2(x INT, y TEXT, PRIMARY KEY(y, x)) STRICT;
SELECT crsql_as_crr('a2');
CREATE TABLE a3(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 7);
SELECT crsql_as_crr('a3');
SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'a3' ORDER BY name;
CREATE TABLE a4(id TEXT PRIMARY KEY NOT NULL, a) WITHOUT ROWID;
SELECT crsql_as_crr('a4');
CREATE TABLE a5(id TEXT PRIMARY KEY NOT NULL, rowid, oid, _rowid_);
SELECT crsql_as_crr('a5');
INSERT INTO a1(id, a, b) VALUES('k', 1, 'B');
INSERT INTO a2 VALUES(1, 'one');
INSERT INTO a3(id) VALUES(5);
SELECT "table", hex(pk), cid, val, col_version, db_version, cl, seq FROM crsql_changes;
-- rows that are there are changes of one transaction, defaults too
CREATE TABLE b(id TEXT PRIMARY KEY NOT NULL, x, y DEFAULT 3);
INSERT INTO b(rowid, id, x) VALUES(-3, 'm', 0), (1, 'a', 1), (2, 'b', 2), (9, 'c', NULL);
SELECT crsql_as_crr('b');
SELECT "table", hex(pk), cid, val, col_version, db_version, cl, seq FROM crsql_changes WHERE db_version = 4;
SELECT crsql_db_version();
-- undone with the transaction around it
BEGIN;
CREATE TABLE c(id TEXT PRIMARY KEY NOT NULL, x);
INSERT INTO c VALUES('before', 1);
SELECT crsql_as_crr('c');
INSERT INTO c VALUES('after', 2);
SELECT cid, val, db_version, seq FROM crsql_changes WHERE "table" = 'c';
ROLLBACK;
SELECT count(*), max(db_version) FROM crsql_changes;
SELECT crsql_db_version();
-- back to a plain table, and forward again: no version is used twice
SELECT crsql_as_table('b');
SELECT crsql_as_table('b');
SELECT count(*) FROM crsql_changes WHERE "table" = 'b';
SELECT count(*) FROM sqlite_schema WHERE name LIKE 'b\_\_crsql%' ESCAPE '\';
SELECT crsql_as_crr('b');
SELECT count(*), min(db_version), max(db_version) FROM crsql_changes WHERE "table" = 'b';

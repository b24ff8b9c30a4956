-- Changes of the schema without ceremony.
CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('t');
CREATE TEMP VIEW c AS SELECT "table" AS t, hex(pk) AS pk, cid, quote(val) AS val, col_version AS v, db_version AS dbv, cl, seq FROM crsql_changes;
INSERT INTO t VALUES('old', 1), ('older', 2);
.print -- r03: rows from before have no clock for a new column
ALTER TABLE t ADD COLUMN b DEFAULT 10;
INSERT INTO t VALUES('new', 3, 4);
SELECT * FROM c;
UPDATE t SET b = 11 WHERE id = 'old';
SELECT * FROM c WHERE dbv = 3;
.print -- in the midst of a transaction
BEGIN;
INSERT INTO t VALUES('p', 1, 1);
ALTER TABLE t ADD COLUMN d;
UPDATE t SET d = 5 WHERE id = 'p';
INSERT INTO t VALUES('q', 1, 1, 6);
COMMIT;
SELECT * FROM c WHERE dbv = 4;
.print -- by a program without the extension
--plain ALTER TABLE t ADD COLUMN e; UPDATE t SET e = 7 WHERE id = 'old'; INSERT INTO t VALUES('plain', 1, 1, 1, 8);
SELECT * FROM c WHERE dbv = 5;
SELECT count(*) FROM c WHERE cid = 'e';
--plain UPDATE t SET e = 9 WHERE id = 'older';
SELECT * FROM c WHERE dbv = 6;
.print -- gone again; the number of a column is not used twice
ALTER TABLE t DROP COLUMN d;
SELECT crsql_config_set('plain-writers', 0);
ALTER TABLE t DROP COLUMN d;
SELECT crsql_config_set('plain-writers', 1);
SELECT count(*) FROM c WHERE cid = 'd';
ALTER TABLE t ADD COLUMN d2;
UPDATE t SET d2 = 1 WHERE id = 'q';
SELECT cid, name FROM crsql_col ORDER BY cid;
SELECT * FROM c WHERE pk = '010B0171';
.print -- another name
ALTER TABLE t RENAME TO u;
INSERT INTO u(id) VALUES('renamed');
SELECT DISTINCT t FROM c;
--plain ALTER TABLE u RENAME COLUMN a TO aa; UPDATE u SET aa = 99 WHERE id = 'old';
SELECT * FROM c WHERE dbv = 9;
.print -- made anew behind our back: rows are found by key
--plain CREATE TABLE x(id TEXT PRIMARY KEY NOT NULL, aa, b, e, d2); INSERT INTO x(rowid, id, aa, b, e, d2) SELECT rowid, id, aa, b, e, d2 FROM u; DROP TABLE u; ALTER TABLE x RENAME TO u; INSERT INTO u(id) VALUES('unseen');
SELECT count(*) FROM sqlite_schema WHERE type = 'trigger';
INSERT INTO u(id) VALUES('seen');
SELECT count(*) FROM sqlite_schema WHERE type = 'trigger';
SELECT pk, count(*) FROM c WHERE dbv = 10 GROUP BY pk;
.print -- dropped: nothing breaks
CREATE TABLE w(id INTEGER PRIMARY KEY NOT NULL, v);
SELECT crsql_as_crr('w');
INSERT INTO w VALUES(1, 1);
DROP TABLE u;
SELECT * FROM c;
INSERT INTO w VALUES(2, 2);
SELECT * FROM c;
SELECT count(*) FROM crsql_col WHERE tbl = 1;
CREATE TABLE u(id TEXT PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('u');
INSERT INTO u VALUES('first', 1);
SELECT * FROM c WHERE t = 'u';
-- a table made, dropped and made in one transaction
BEGIN;
CREATE TABLE m(id TEXT PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('m');
INSERT INTO m VALUES('x', 1);
DROP TABLE m;
CREATE TABLE m(id INTEGER PRIMARY KEY NOT NULL, b);
SELECT crsql_as_crr('m');
INSERT INTO m VALUES(1, 2);
COMMIT;
SELECT * FROM c WHERE t = 'm';
PRAGMA integrity_check;

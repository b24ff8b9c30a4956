-- Local writes by the hook.
CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);
CREATE TABLE n(id INTEGER PRIMARY KEY NOT NULL, v);
CREATE TABLE o(id TEXT PRIMARY KEY NOT NULL);
CREATE TABLE p(x, y, PRIMARY KEY(y, x));
SELECT crsql_as_crr('t'), crsql_as_crr('n'), crsql_as_crr('o'), crsql_as_crr('p');
CREATE TEMP VIEW c AS SELECT "table" AS t, hex(pk) AS pk, cid, quote(val) AS val, col_version AS v, db_version AS dbv, cl, seq FROM crsql_changes;
INSERT INTO t VALUES('x', 1, 2);
BEGIN;
INSERT INTO t VALUES('y', 1, 2), ('z', 3, 4);
INSERT INTO n(v) VALUES('one'), ('two');
INSERT INTO o VALUES('only');
INSERT INTO p VALUES(1, 'k');
SELECT crsql_db_version(), crsql_next_db_version();
COMMIT;
SELECT crsql_db_version(), crsql_get_seq();
SELECT * FROM c;
.print -- update: what changed only, by type and value
UPDATE t SET a = 1, b = 9 WHERE id = 'x';
UPDATE t SET a = 1.0 WHERE id = 'x';
UPDATE t SET a = a;
SELECT crsql_db_version();
SELECT * FROM c WHERE t = 't' AND pk = '010B0178';
.print -- delete, and insert again
DELETE FROM t WHERE id = 'x';
SELECT * FROM c WHERE t = 't' AND pk = '010B0178';
INSERT INTO t VALUES('x', 5, 6);
SELECT * FROM c WHERE t = 't' AND pk = '010B0178';
DELETE FROM o;
INSERT INTO o VALUES('only');
SELECT * FROM c WHERE t = 'o';
.print -- the key changes: a delete, and a whole row
UPDATE t SET id = 'w', a = 0 WHERE id = 'y';
UPDATE n SET id = 7 WHERE id = 1;
UPDATE p SET x = 2;
SELECT * FROM c WHERE dbv >= 9;
.print -- replace, upsert, ignore
INSERT OR REPLACE INTO t VALUES('x', 7, 8);
INSERT INTO t VALUES('x', 0, 1) ON CONFLICT(id) DO UPDATE SET a = excluded.a;
INSERT OR IGNORE INTO t VALUES('x', 1, 1), ('new', 1, 1);
REPLACE INTO n VALUES(2, 'deux');
REPLACE INTO o VALUES('only');
SELECT * FROM c WHERE dbv >= 12;
.print -- replace by rowid kills another row
INSERT OR REPLACE INTO t(rowid, id, a, b) SELECT rowid, 'q', 1, 1 FROM t WHERE id = 'w';
SELECT * FROM c WHERE dbv = 17;
.print -- a failing statement leaves nothing of itself
BEGIN;
INSERT INTO t VALUES('f1', 1, 1);
INSERT INTO t VALUES('f2', 1, 1), ('f1', 2, 2);
INSERT OR FAIL INTO t VALUES('f3', 1, 1), ('f1', 2, 2);
COMMIT;
SELECT * FROM c WHERE dbv = 18;
.print -- wanted version
SELECT crsql_next_db_version(40);
INSERT INTO t VALUES('v', 1, 1);
SELECT crsql_db_version(), (SELECT max(db_version) FROM crsql_changes);
.print -- a NULL key is refused
INSERT INTO p VALUES(NULL, 1);
UPDATE p SET y = NULL;
SELECT count(*) FROM p;
.print -- triggers of the user are captured, foreign key actions too
CREATE TABLE log(id INTEGER PRIMARY KEY NOT NULL, what);
SELECT crsql_as_crr('log');
CREATE TRIGGER tell AFTER INSERT ON o BEGIN INSERT INTO log(what) VALUES(new.id); END;
INSERT INTO o VALUES('told');
SELECT * FROM c WHERE dbv = 41;
.print -- blobs written in place and DELETE without WHERE
DELETE FROM t;
SELECT count(*), count(DISTINCT db_version), max(cl) FROM crsql_changes WHERE "table" = 't';
SELECT count(*) FROM t__crsql_meta;

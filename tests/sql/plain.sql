-- Programs that load nothing, and the journal (CAPTURE).
CREATE TABLE t(id TEXT PRIMARY KEY, a, b TEXT COLLATE NOCASE);
CREATE TABLE n(id INTEGER PRIMARY KEY, v);
CREATE TABLE p(x, y, z, PRIMARY KEY(y, x));
SELECT crsql_as_crr('t'), crsql_as_crr('n'), crsql_as_crr('p');
CREATE TEMP VIEW c AS SELECT "table" AS t, hex(pk) AS pk, cid, quote(val) AS val, col_version AS v, db_version AS dbv, cl, seq FROM crsql_changes;
--plain INSERT INTO t VALUES('a', 1, 'x'), ('b', 2, 'y'), ('c', 3, 'z'); INSERT INTO n(v) VALUES(1), (2), (3); INSERT INTO p VALUES(1, 2, 3);
SELECT crsql_pending(), crsql_db_version();
SELECT * FROM c;
SELECT crsql_pending(), crsql_db_version();
SELECT tbl, key, n FROM crsql_log;
.print -- updates: COLLATE NOCASE and type only; a set update is a run
--plain UPDATE t SET b = 'X' WHERE id = 'a'; UPDATE t SET a = 2.0 WHERE id = 'b'; UPDATE n SET v = v + 1; UPDATE t SET a = a;
SELECT * FROM c WHERE dbv = 2;
.print -- deletes, replace, changed keys
--plain DELETE FROM t WHERE id = 'a'; INSERT OR REPLACE INTO t VALUES('b', 5, 'five'); UPDATE t SET id = 'd' WHERE id = 'c'; UPDATE n SET id = 9 WHERE id = 1; UPDATE p SET x = 8, z = 4; REPLACE INTO n VALUES(2, 'two');
SELECT * FROM c WHERE dbv = 3;
.print -- with recursive_triggers REPLACE is told twice
--plain PRAGMA recursive_triggers = 1; INSERT OR REPLACE INTO t VALUES('b', 6, 'six'); REPLACE INTO n VALUES(2, 'deux');
SELECT * FROM c WHERE dbv = 4;
.print -- hints that were only guesses
--plain INSERT OR IGNORE INTO t VALUES('b', 0, 0); INSERT INTO t VALUES('b', 0, 0) ON CONFLICT(id) DO UPDATE SET a = 7; INSERT INTO n VALUES(2, 0) ON CONFLICT DO NOTHING;
SELECT * FROM c WHERE dbv = 5;
.print -- another rowid: nothing to tell but what changed
--plain UPDATE t SET rowid = 100, a = 8 WHERE id = 'b';
SELECT * FROM c WHERE dbv = 6;
SELECT * FROM c WHERE t = 't' AND pk = '010B0162';
.print -- replaced by another pk and another rowid
--plain INSERT INTO t VALUES('e', 1, 1), ('f', 2, 2); UPDATE OR REPLACE t SET id = 'f' WHERE id = 'e'; INSERT OR REPLACE INTO t(rowid, id) SELECT rowid, 'g' FROM t WHERE id = 'f';
SELECT * FROM c WHERE dbv = 7;
.print -- keys may not be NULL
--plain INSERT INTO t VALUES(NULL, 1, 1);
--plain UPDATE p SET y = NULL;
.print -- rolled back, nothing pends
--plain BEGIN; DELETE FROM t; ROLLBACK;
SELECT crsql_pending();
.print -- before own writes, in one change set
--plain DELETE FROM n WHERE id = 9; INSERT INTO t VALUES('h', 1, 1);
INSERT INTO n VALUES(9, 'again');
SELECT * FROM c WHERE dbv = 8;
.print -- the top row goes, its rowid comes back
--plain DELETE FROM t; INSERT INTO t VALUES('i', 1, 1);
SELECT * FROM c WHERE dbv = 9;
INSERT INTO t VALUES('j', 1, 1);
SELECT * FROM c WHERE dbv = 10;
.print -- below existing rows
--plain INSERT INTO n VALUES(5, 'five'), (4, 'four'), (-1, 'minus'), (20, 'twenty');
SELECT * FROM c WHERE dbv = 11;
SELECT tbl, key, n FROM crsql_log WHERE dbv = 11;
.print -- a query_only connection reads what is known, and writes nothing
--plain INSERT INTO n VALUES(30, 'thirty');
PRAGMA query_only = 1;
SELECT max(dbv) FROM c;
PRAGMA query_only = 0;
SELECT crsql_pending(), crsql_fold(), crsql_pending(), crsql_db_version();
.print -- inside a statement that writes
--plain INSERT INTO n VALUES(31, 'more');
CREATE TABLE copy AS SELECT * FROM crsql_changes WHERE db_version > 12;
SELECT cid, val, db_version FROM copy;
SELECT crsql_pending();
.print -- plain writers may be turned off
SELECT crsql_config_set('plain-writers', 0);
SELECT count(*) FROM sqlite_schema WHERE type = 'trigger';
INSERT INTO n VALUES(40, 'own');
SELECT * FROM c WHERE dbv = 14;
SELECT crsql_config_set('plain-writers', 1);
SELECT count(*) FROM sqlite_schema WHERE type = 'trigger';
.print -- and the hook
SELECT crsql_config_set('capture', 'journal');
INSERT INTO n VALUES(41, 'by triggers');
SELECT crsql_pending(), crsql_db_version();
SELECT * FROM c WHERE dbv = 15;
SELECT crsql_config_set('capture', 0), crsql_config_get('capture');
SELECT crsql_config_get('nothing');
PRAGMA integrity_check;

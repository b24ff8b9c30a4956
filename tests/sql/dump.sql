-- A copy made as text: rowids are other ones.
CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);
CREATE TABLE i(id INTEGER PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('t'), crsql_as_crr('i');
INSERT INTO t VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3), ('d', 4, 4), ('e', 5, 5);
INSERT INTO i VALUES(5, 5), (9, 9);
UPDATE t SET b = 'edited' WHERE id IN ('d', 'e');
DELETE FROM t WHERE id = 'b';
DELETE FROM i WHERE id = 5;
CREATE TABLE before AS SELECT "table", pk, cid, val, col_version, cl FROM crsql_changes;
CREATE TABLE site AS SELECT crsql_site_id() AS id;
SELECT rowid, id FROM t;
.shell sqlite3 -init /dev/null -batch test.db .dump | sqlite3 -init /dev/null -batch copy.db && mv copy.db test.db
.print -- the copy
--plain SELECT rowid, id FROM t; PRAGMA integrity_check;
.print -- refused
--with INSERT INTO t VALUES('f', 6, 6);
--with SELECT count(*) FROM crsql_changes;
--with SELECT what FROM crsql_check;
.print -- repaired
--with SELECT crsql_repair(); SELECT crsql_repair();
--with SELECT (SELECT count(*) FROM before), count(*) FROM (SELECT * FROM before INTERSECT SELECT "table", pk, cid, val, col_version, cl FROM crsql_changes);
--with SELECT crsql_site_id() = id FROM site;
--with INSERT INTO t VALUES('f', 6, 6); SELECT cid, val, col_version, site_id = crsql_site_id() FROM crsql_changes WHERE pk = crsql_pack_columns('f'); SELECT what FROM crsql_check;
.print -- VACUUM INTO keeps them
.shell rm -f copy.db; sqlite3 -init /dev/null -batch test.db "DELETE FROM t WHERE id = 'c'; VACUUM INTO 'copy.db'" && mv copy.db test.db
--with INSERT INTO t VALUES('g', 6, 6); SELECT what FROM crsql_check;

-- Reading crsql_changes.
CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a, b);
CREATE TABLE u(id INTEGER PRIMARY KEY NOT NULL, v);
SELECT crsql_as_crr('t'), crsql_as_crr('u');
INSERT INTO t VALUES('x', 1, 2), ('y', 3, 4);
INSERT INTO u VALUES(1, 'one'), (2, 'two');
UPDATE t SET a = 9 WHERE id = 'y';
DELETE FROM t WHERE id = 'x';
SELECT name, type, "notnull", hidden FROM pragma_table_xinfo('crsql_changes');
SELECT count(*) FROM crsql_changes;
SELECT cid, seq FROM crsql_changes WHERE db_version > 2;
SELECT cid, seq FROM crsql_changes WHERE db_version >= 2 AND db_version < 4;
SELECT cid FROM crsql_changes WHERE db_version = 3;
SELECT cid FROM crsql_changes WHERE db_version IS 2 AND val = 'two';
SELECT cid, hex(pk) FROM crsql_changes WHERE "table" = 'u' AND pk = crsql_pack_columns(2);
SELECT cid, val FROM crsql_changes WHERE "table" = 't' AND cid = 'a';
SELECT count(*) FROM crsql_changes WHERE site_id = crsql_site_id();
SELECT count(*) FROM crsql_changes WHERE site_id IS NOT crsql_site_id();
SELECT count(*) FROM crsql_changes WHERE site_id IS NULL;
SELECT cid FROM crsql_changes WHERE cid LIKE 'v%' OR cl = 2;
.print -- any order is the one asked for
SELECT db_version, seq FROM crsql_changes ORDER BY db_version DESC, seq;
SELECT db_version, seq FROM crsql_changes ORDER BY db_version, seq DESC;
SELECT cid, val FROM crsql_changes ORDER BY val, cid;
SELECT count(*) FROM crsql_changes ORDER BY rowid;
.print -- it can't be written but by INSERT
UPDATE crsql_changes SET val = 1;
DELETE FROM crsql_changes;
.print -- joined with the table it tells of, and while that is written
SELECT c.cid, t.a FROM crsql_changes c JOIN t ON c.pk = crsql_pack_columns(t.id);
CREATE TABLE copy AS SELECT * FROM crsql_changes;
SELECT count(*) FROM copy;
INSERT INTO u SELECT 100 + row_number() OVER (), cid FROM crsql_changes;
SELECT count(*) FROM u;
PRAGMA trusted_schema = off;
CREATE VIEW c AS SELECT * FROM crsql_changes;
SELECT * FROM c;

-- What loading does.
SELECT name, type FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name;
SELECT key, typeof(value) FROM crsql_master ORDER BY key;
SELECT value FROM crsql_master WHERE key = 'crsqlite_version';
SELECT typeof(crsql_site_id()), length(crsql_site_id()), substr(hex(crsql_site_id()), 13, 1), substr(hex(crsql_site_id()), 17, 1) IN ('8', '9', 'A', 'B');
SELECT site_id = crsql_site_id(), ordinal FROM crsql_site_id;
SELECT crsql_db_version(), crsql_get_seq(), crsql_increment_and_get_seq(), crsql_get_seq(), crsql_rows_impacted(), crsql_internal_sync_bit();
SELECT count(*) FROM crsql_changes;
-- no argument is the only arity that is taken from SQLite's char()
SELECT char(65, 66), char() = '';
--plain SELECT char() = '';
-- another connection has the same identity
CREATE TABLE mine AS SELECT crsql_site_id() AS id;
--with SELECT crsql_site_id() = (SELECT id FROM mine);
-- a read-only connection works on a database that has it, and on one that has not
--readonly test.db SELECT crsql_db_version(), length(crsql_site_id());
.shell sqlite3 other.db 'CREATE TABLE t(x)'
--readonly other.db SELECT count(*) FROM crsql_changes; SELECT group_concat(name) FROM sqlite_schema;
-- a file of cr-sqlite becomes ours, newer ones than this program are refused
DELETE FROM crsql_master WHERE key = 'log_id';
UPDATE crsql_master SET value = 160300 WHERE key = 'crsqlite_version';
--with SELECT value FROM crsql_master WHERE key = 'crsqlite_version';
UPDATE crsql_master SET value = 2 WHERE key = 'crsqlite_version';
--with SELECT 1;
UPDATE crsql_master SET value = 1 WHERE key = 'crsqlite_version';
--with SELECT crsql_finalize();

-- Who this database is, and where it stands.
CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, a);
SELECT crsql_as_crr('t');
SELECT length(crsql_own()), substr(crsql_own(), 17) = zeroblob(16), length(crsql_head());
SELECT crsql_identity(x'00', x'00', x'00');
SELECT crsql_identity(x'11111111111111111111111111111111', zeroblob(32), zeroblob(8));
SELECT hex(crsql_site_id()), (SELECT count(*) FROM crsql_site_id), (SELECT count(*) FROM crsql_me);
SELECT crsql_identity(x'11111111111111111111111111111111', zeroblob(32), zeroblob(8));
INSERT INTO t VALUES(1, 1);
INSERT INTO t VALUES(2, 2);
SELECT hex(substr(crsql_own(), 1, 24)), substr(crsql_own(), 25) = crsql_token(crsql_site_id(), 2);
SELECT hex(substr(crsql_head(), 9, 16)), crsql_token(crsql_site_id(), 3);
.print -- a new incarnation: what was there keeps its site
SELECT crsql_identity(x'22222222222222222222222222222222', zeroblob(32), x'0000000000000001');
INSERT INTO t VALUES(3, 3);
SELECT db_version, hex(site_id) FROM crsql_changes;
SELECT first_dbv, ordinal FROM crsql_me;
.print -- or a part of it does not
SELECT crsql_identity(x'33333333333333333333333333333333', zeroblob(32), x'0000000000000002', 2);
SELECT db_version, hex(site_id) FROM crsql_changes;
SELECT hex(substr(crsql_own(), 1, 24));
--with SELECT hex(crsql_site_id());
.print -- undone with its transaction
BEGIN;
SELECT crsql_identity(x'44444444444444444444444444444444', zeroblob(32), x'0000000000000003');
INSERT INTO t VALUES(4, 4);
ROLLBACK;
INSERT INTO t VALUES(5, 5);
SELECT db_version, hex(site_id) FROM crsql_changes WHERE db_version > 3;

# SPDX-License-Identifier: MPL-2.0
"""Loads the extension where SQLite itself was loaded privately (Python opens
it RTLD_LOCAL): the hook must be found, and a connection must close without
crsql_finalize.  Needs EXTENSION, the path of crsqlite.so."""
import os
import sqlite3
import tempfile

EXTENSION = os.path.abspath(os.environ["EXTENSION"])
ENTRY = EXTENSION.removesuffix(".so")


def connect(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(ENTRY)
    return db


def captured_by_hook(path):
    db = connect(path)
    db.load_extension(ENTRY)        # twice is harmless
    db.execute("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a)")
    db.execute("SELECT crsql_as_crr('t')")
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES('x', 1)")
    pending = db.execute("SELECT crsql_pending()").fetchone()[0]
    db.execute("COMMIT")
    return pending == 0 and db.execute(
        "SELECT count(*) FROM crsql_changes").fetchone()[0] == 1


def closes(path):
    """Statements kept by the engine would keep the file open: its WAL goes
    only when the last connection has closed."""
    db = connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("INSERT INTO t VALUES('y', 1)")
    cursor = db.execute("SELECT * FROM crsql_changes")
    cursor.fetchone()
    cursor.close()
    db.close()
    return not os.path.exists(path + "-wal")


def two_connections(path):
    a, b = connect(path), connect(path)
    for i in range(5):
        a.execute("INSERT INTO t VALUES(?, 1)", ("a%d" % i,))
        b.execute("INSERT INTO t VALUES(?, 1)", ("b%d" % i,))
    seen = [r[0] for r in b.execute(
        "SELECT db_version FROM crsql_changes ORDER BY 1")]
    return seen == list(range(1, 13)) and [
        c.execute("SELECT crsql_db_version()").fetchone()[0] for c in (a, b)
    ] == [12, 12]


def old_snapshot(path):
    """A reader of an old snapshot can't fold, and reads what is known."""
    a, plain = connect(path), sqlite3.connect(path, isolation_level=None)
    a.execute("BEGIN")
    before = a.execute("SELECT count(*) FROM t").fetchone()[0]
    plain.execute("INSERT INTO t VALUES('p', 1)")
    seen = a.execute("SELECT count(*) FROM crsql_changes").fetchone()[0]
    a.execute("COMMIT")
    after = a.execute("SELECT count(*) FROM crsql_changes").fetchone()[0]
    return before == seen and after == before + 1


def writer_active(path):
    a, plain = connect(path), sqlite3.connect(path, isolation_level=None)
    plain.execute("INSERT INTO t VALUES('q', 1)")
    plain.execute("BEGIN IMMEDIATE")
    a.execute("PRAGMA busy_timeout = 0")
    before = a.execute("SELECT count(*) FROM crsql_changes").fetchone()[0]
    plain.execute("COMMIT")
    return a.execute("SELECT count(*) FROM crsql_changes"
                     ).fetchone()[0] == before + 1


TESTS = [captured_by_hook, closes, two_connections, old_snapshot,
         writer_active]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        print("1..%d" % len(TESTS))
        for i, test in enumerate(TESTS, 1):
            ok = test(os.path.join(directory, "test.db"))
            print("%s %d - %s" % ("ok" if ok else "not ok", i, test.__name__))

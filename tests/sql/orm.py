#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""orm - programs that know nothing of ddcp write to replicated tables: SQLAlchemy's
sessions, Alembic's and Django's migrations, which make a table anew (create, copy,
drop, rename).  Nothing is loaded while they write; then a connection with the
extension looks, and a second database pulls.

    EXTENSION=crsqlite.so ./orm.py        TAP
"""
import os
import shutil
import sqlite3
import sys
import tempfile

try:
    import alembic.migration
    import alembic.operations
    import django
    import django.conf
    import sqlalchemy as sa
    import sqlalchemy.orm
except ImportError as missing:
    print("1..0 # SKIP %s" % missing)
    sys.exit(0)

SCHEMA = """CREATE TABLE note (
    id VARCHAR(40) NOT NULL, body TEXT, stars INTEGER, PRIMARY KEY (id))"""

scratch = tempfile.mkdtemp(prefix="ddcp-orm.")
here = os.path.join(scratch, "here.db")
there = os.path.join(scratch, "there.db")


def opened(path):
    """A connection with the extension, closed by its user."""
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(os.environ["EXTENSION"])
    return db


def with_extension(path, *statements):
    """The rows of the last of the statements."""
    db = opened(path)
    for sql in statements:
        rows = db.execute(sql).fetchall()
    db.execute("SELECT crsql_finalize()")
    db.close()
    return rows


def pull():
    """Everything from here to there, in one transaction."""
    plan = b"\x01\x01\x04note" + bytes(40) + b"\0"
    source, target = opened(here), opened(there)
    source.execute("BEGIN")
    target.execute("BEGIN")
    position, last = None, False
    while not last:
        page, = source.execute("SELECT crsql_export(?, ?, 100000)", (plan, position)).fetchone()
        target.execute("SELECT crsql_import(?)", (page,))
        position, flags = target.execute(
            "SELECT crsql_page_end(?1), crsql_page_flags(?1)", (page,)).fetchone()
        last = flags & 1
    target.execute("COMMIT")
    source.execute("COMMIT")
    for db in (source, target):
        db.execute("SELECT crsql_finalize()")
        db.close()


def start():
    for path in (here, there):
        for suffix in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        with_extension(path, "PRAGMA journal_mode = wal", SCHEMA,
                       "SELECT crsql_as_crr('note')")
    with_extension(here, "INSERT INTO note VALUES('a', 'milk', 1), ('b', 'tea', 2), "
                   "('c', 'rice', 3), ('d', 'salt', 4)",
                   "UPDATE note SET body = 'oat milk' WHERE id = 'a'",
                   "DELETE FROM note WHERE id = 'd'")
    pull()


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError("%s: %r, not %r" % (what, got, wanted))


def expect_well(path):
    expect("crsql_check", with_extension(path, 'SELECT "table", key, what FROM crsql_check'), [])
    expect("integrity_check", with_extension(path, "PRAGMA integrity_check"), [("ok",)])


def expect_rows(columns, rows):
    """Both have these rows, and know the same of them."""
    changes = ("SELECT pk, cid, val, col_version, cl FROM crsql_changes ORDER BY pk, cid")
    for path in (here, there):
        expect(path, with_extension(path, "SELECT %s FROM note ORDER BY id" % columns), rows)
        expect_well(path)
    expect("changes", with_extension(there, changes), with_extension(here, changes))


# -- SQLAlchemy ------------------------------------------------------------------

class Note:
    """A row of note."""

    def __init__(self, id, body, stars):
        self.id, self.body, self.stars = id, body, stars


metadata = sa.MetaData()
note = sa.Table("note", metadata, sa.Column("id", sa.String(40), primary_key=True),
                sa.Column("body", sa.Text), sa.Column("stars", sa.Integer))
sa.orm.registry().map_imperatively(Note, note)


def sqlalchemy_session():
    start()
    engine = sa.create_engine("sqlite:///" + here)
    with sa.orm.Session(engine) as session:
        session.add_all([Note("n%03d" % i, "new", i) for i in range(300)])
        session.get(Note, "b").body = "green tea"
        session.delete(session.get(Note, "c"))
        session.merge(Note("a", "soy milk", 5))
        session.commit()
        session.add(Note("d", "back", 6))
        session.flush()
        session.rollback()
        session.execute(sa.dialects.sqlite.insert(note).values(id="d", body="pepper").
                        on_conflict_do_update(["id"], set_={"body": "never"}))
        session.execute(sa.update(note).where(note.c.id >= "n250").values(stars=0))
        session.execute(sa.delete(note).where(note.c.id.between("n001", "n248")))
        session.commit()
    engine.dispose()
    pull()
    expect_rows("id, body, stars", [
        ("a", "soy milk", 5), ("b", "green tea", 2), ("d", "pepper", None),
        ("n000", "new", 0), ("n249", "new", 249)] +
        [("n%03d" % i, "new", 0) for i in range(250, 300)])
    expect("versions", with_extension(here, "SELECT cid, col_version, cl FROM crsql_changes "
                                      "WHERE pk = crsql_pack_columns('a') ORDER BY cid"),
           [("body", 3, 1), ("stars", 2, 1)])


# -- migrations: the table is made anew ---------------------------------------------

def after_migration(columns, rows):
    """What was known of the rows still is, and a column more is no change."""
    expect("versions", with_extension(here, "SELECT pk, cid, col_version, cl FROM crsql_changes "
                                      "WHERE cid IN ('body', '-1') ORDER BY pk, cid"),
           [(b"\x01\x0b\x01a", "body", 2, 1), (b"\x01\x0b\x01b", "body", 1, 1),
            (b"\x01\x0b\x01c", "body", 1, 1), (b"\x01\x0b\x01d", "-1", 2, 2)])
    expect_well(here)
    # programs that load nothing go on
    db = sqlite3.connect(here)
    db.execute("UPDATE note SET due = 'today' WHERE id = 'b'")
    db.execute("DELETE FROM note WHERE id = 'c'")
    db.commit()
    db.close()
    with_extension(there, "ALTER TABLE note ADD COLUMN due VARCHAR(20) DEFAULT 'some day'")
    pull()
    expect_rows(columns, rows)


ROWS = [("a", "oat milk", 1, "some day"), ("b", "tea", 2, "today")]


def alembic_batch():
    start()
    engine = sa.create_engine("sqlite:///" + here)
    with engine.begin() as connection:
        operations = alembic.operations.Operations(
            alembic.migration.MigrationContext.configure(connection))
        with operations.batch_alter_table("note", recreate="always") as batch:
            batch.add_column(sa.Column("due", sa.String(20), server_default="some day"))
            batch.alter_column("stars", type_=sa.BigInteger())
    engine.dispose()
    after_migration("id, body, stars, due", ROWS)


def django_schema_editor():
    start()
    from django.db import connection, migrations, models
    from django.db.migrations.state import ProjectState

    state = ProjectState()
    fields = [("id", models.CharField(max_length=40, primary_key=True)),
              ("body", models.TextField(null=True)), ("stars", models.IntegerField(null=True))]
    migrations.CreateModel("Note", fields, {"db_table": "note"}).state_forwards("x", state)
    steps = [migrations.AddField("note", "due", models.CharField(
                 max_length=20, null=True, default="some day")),
             migrations.AlterField("note", "stars", models.BigIntegerField(null=True))]
    for step in steps:
        before = state.clone()
        step.state_forwards("x", state)
        with connection.schema_editor() as editor:
            step.database_forwards("x", editor, before, state)
    connection.close()
    after_migration("id, body, stars, due", ROWS)


# -- all of them -----------------------------------------------------------------------

def main():
    failed = 0
    django.conf.settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": here}})
    django.setup()
    tests = [sqlalchemy_session, alembic_batch, django_schema_editor]
    print("1..%d" % len(tests))
    for number, test in enumerate(tests, 1):
        try:
            test()
            print("ok %d - %s" % (number, test.__name__))
        except Exception as error:      # each failure is told, the next test runs
            failed = 1
            print("not ok %d - %s" % (number, test.__name__))
            print("# %s: %s" % (type(error).__name__, str(error).replace("\n", "\n# ")))
    shutil.rmtree(scratch)
    return failed


sys.exit(main())

# SPDX-License-Identifier: MPL-2.0
"""Tables that histories are played on, and values as the engine packs and
compares them.  Nothing here knows of clocks (model.py) or of SQLite handles
(database.py)."""

import copy
import re
import struct


ROWIDS = ["rowid", "_rowid_", "oid"]


class Column:
    def __init__(self, name, default=None):
        self.name = name
        self.default = default


class Table:
    """pk and cols in the order that the engine counts them by: primary key
    order, declaration order.  keys and values are SQL literals to draw from,
    one list a column.  rowid is the name by which it can be had, None: it
    can't.  A table is never changed: ALTER gives another one."""

    def __init__(self, name, ddl, pk, cols, keys, values, rowid="rowid",
                 integer_key=False):
        self.name = name
        self.ddl = ddl
        self.pk = pk
        self.cols = cols
        self.keys = keys
        self.values = values
        self.rowid = rowid
        self.integer_key = integer_key
        self.key_renamed = False
        self.settle()

    def settle(self):
        self.quoted = quote(self.name)
        self.names = ([quote(n) for n in self.pk]
                      + [quote(c.name) for c in self.cols])

    def has(self, cid):
        return cid == "-1" or cid in [c.name for c in self.cols]

    def column(self, name):
        return [c.name for c in self.cols].index(name)

    def altered(self, change):
        """The table after a change (generate.alter)."""
        t = copy.copy(self)
        t.cols, t.values = list(self.cols), list(self.values)
        kind, *args = change
        if kind == "add":
            t.cols.append(Column(args[0], args[2]))
            t.values.append(ANY)
        elif kind == "drop":
            i = t.column(args[0])
            del t.cols[i], t.values[i]
        elif kind == "rename" and args[0] in t.pk:
            t.pk = [args[1] if n == args[0] else n for n in t.pk]
            t.key_renamed = True
            t.rowid = quote(args[1]) if t.integer_key else t.rowid
        elif kind == "rename":
            i = t.column(args[0])
            t.cols[i] = Column(args[1], t.cols[i].default)
        elif kind == "table":
            t.name = args[0]
        elif kind == "again" and not t.rowid and "WITHOUT ROWID" not in t.ddl:
            free = [n for n in ROWIDS if not t.has(n) and n not in t.pk]
            t.rowid = free[0] if free else None
        t.settle()
        return t

    def statements(self, change, ddl):
        """The SQL of a change; ddl is the CREATE as it stands now."""
        kind, *args = change
        alter = "ALTER TABLE %s " % self.quoted
        if kind == "add":
            return [alter + "ADD COLUMN %s %s" % (quote(args[0]), args[1])]
        if kind == "drop":
            return [alter + "DROP COLUMN " + quote(args[0])]
        if kind == "rename":
            return [alter + "RENAME COLUMN %s TO %s" % tuple(map(quote, args))]
        if kind == "table":
            return [alter + "RENAME TO " + quote(args[0])]
        if kind == "again":
            # in double quotes it would pass for one that a tool renamed
            return ["DROP TABLE " + self.quoted,
                    with_name(ddl, "[%s]" % self.name)]
        names = ", ".join(self.names)
        return [with_name(ddl, '"new of it"'),
                'INSERT INTO "new of it"(%s) SELECT %s FROM %s%s' % (
                    names, names, self.quoted, args[0]),
                "DROP TABLE " + self.quoted,
                'ALTER TABLE "new of it" RENAME TO ' + self.quoted]


def with_name(ddl, name):
    """The CREATE TABLE with another name."""
    return re.sub(r'^CREATE TABLE ("([^"]|"")*"|\[[^]]*\]|\w+)',
                  lambda m: "CREATE TABLE " + name, ddl)


def quote(name):
    return '"' + name.replace('"', '""') + '"'


TEXT_KEYS = ["'a'", "'b'", "'c'", "'d'", "'e'", "''", "1"]
INT_KEYS = ["-1", "0", "1", "2", "3", "4", "'5'"]
BLOB_KEYS = ["x''", "x'00'", "x'61'", "'a'", "x'6162'"]
ANY = ["NULL", "1", "2", "1.0", "1.5", "-1", "'a'", "'b'", "''", "x'01'",
       "0.0", "'1'"]
CHECKED = ["1", "2", "3", "13", "NULL"]
NOT_NULL = ["1", "2.5", "'3'", "NULL", "'x'"]

TABLES = [
    Table("txt", "CREATE TABLE txt(id TEXT PRIMARY KEY, a, "
          "b INTEGER DEFAULT 7 CHECK(b <> 13), c TEXT)",
          ["id"], [Column("a"), Column("b", 7), Column("c")],
          [TEXT_KEYS], [ANY, CHECKED, ANY]),
    Table("num", "CREATE TABLE num(id INTEGER PRIMARY KEY, a, "
          "b REAL NOT NULL DEFAULT 1.5)",
          ["id"], [Column("a"), Column("b", 1.5)],
          [INT_KEYS], [ANY, NOT_NULL], rowid="id", integer_key=True),
    Table("comp", "CREATE TABLE comp(x TEXT NOT NULL, y INTEGER NOT NULL, v, "
          "w NUMERIC CHECK(w IS NOT 13), PRIMARY KEY(y, x))",
          ["y", "x"], [Column("v"), Column("w")],
          [["1", "2"], ["'a'", "'b'", "3"]], [ANY, CHECKED]),
    Table("only", "CREATE TABLE only(id TEXT PRIMARY KEY NOT NULL)",
          ["id"], [], [TEXT_KEYS], []),
    Table("onlyint", "CREATE TABLE onlyint(id INTEGER PRIMARY KEY NOT NULL)",
          ["id"], [], [INT_KEYS], [], rowid="id", integer_key=True),
    Table("blb", "CREATE TABLE blb(id BLOB PRIMARY KEY NOT NULL, v)",
          ["id"], [Column("v")], [BLOB_KEYS], [ANY]),
    Table('we ird"x', 'CREATE TABLE "we ird""x"("select" , '
          '"k e""y" TEXT NOT NULL PRIMARY KEY, rowid TEXT)',
          ['k e"y'], [Column("select"), Column("rowid")],
          [TEXT_KEYS], [ANY, ANY], rowid="_rowid_"),
    Table("onlypair", "CREATE TABLE onlypair(x INT NOT NULL, y NOT NULL, "
          "PRIMARY KEY(x, y))",
          ["x", "y"], [], [["1", "2"], ["'a'", "x'61'"]], []),
    Table("wtxt", "CREATE TABLE wtxt(a, g AS (b || 'g'), id TEXT PRIMARY KEY, "
          "b INTEGER DEFAULT 7 CHECK(b <> 13), c TEXT) WITHOUT ROWID",
          ["id"], [Column("a"), Column("b", 7), Column("c")],
          [TEXT_KEYS], [ANY, CHECKED, ANY], rowid=None),
    Table("wint", "CREATE TABLE wint(b REAL NOT NULL DEFAULT 1.5, a, "
          "id INTEGER PRIMARY KEY) WITHOUT ROWID",
          ["id"], [Column("b", 1.5), Column("a")],
          [INT_KEYS], [NOT_NULL, ANY], rowid=None),
    Table("wpair", "CREATE TABLE wpair(p1 TEXT, k NUMERIC, v, s AS (v || p1) "
          "STORED, w NUMERIC CHECK(w IS NOT 13), PRIMARY KEY(k, p1)) "
          "WITHOUT ROWID", ["k", "p1"], [Column("v"), Column("w")],
          [["1", "2.5"], ["'a'", "'b'", "3"]], [ANY, CHECKED], rowid=None),
    Table("wonly", "CREATE TABLE wonly(x INT, y BLOB, PRIMARY KEY(x, y)) "
          "WITHOUT ROWID", ["x", "y"], [], [["1", "2"], BLOB_KEYS], [],
          rowid=None),
    Table("allthree", "CREATE TABLE allthree(oid, rowid TEXT PRIMARY KEY NOT "
          "NULL, _rowid_ INTEGER)", ["rowid"],
          [Column("oid"), Column("_rowid_")], [TEXT_KEYS], [ANY, CHECKED],
          rowid=None),
    Table("gen", "CREATE TABLE gen(v TEXT AS (a || 'v'), a ANY, s ANY AS (b) "
          "STORED, id TEXT PRIMARY KEY NOT NULL, b ANY) STRICT",
          ["id"], [Column("a"), Column("b")], [TEXT_KEYS], [ANY, ANY]),
]
WIDE = Table("wide", "CREATE TABLE wide(id TEXT PRIMARY KEY, %s)" % ", ".join(
    "c%d" % i for i in range(70)), ["id"], [Column("c%d" % i)
                                            for i in range(70)],
    [TEXT_KEYS], [["NULL", "1", "'a'"]] * 70)
BY_NAME = {t.name: t for t in TABLES + [WIDE]}


def _length(n):
    """The least bytes that hold n."""
    return n.to_bytes((n.bit_length() + 7) // 8, "big")


def pack(values):
    """A key as one blob, as crsql_pack_columns makes it."""
    out = bytes([len(values)])
    for v in values:
        if v is None:
            out += b"\x05"
        elif isinstance(v, int):
            b = _length(v & 0xFFFFFFFFFFFFFFFF)
            out += bytes([len(b) << 3 | 1]) + b
        elif isinstance(v, float):
            out += b"\x02" + struct.pack(">d", v)
        else:
            data = v.encode() if isinstance(v, str) else bytes(v)
            b = _length(len(data))
            kind = 3 if isinstance(v, str) else 4
            out += bytes([len(b) << 3 | kind]) + b + data
    return out


def _rank(v):
    if v is None:
        return 0
    return {bytes: 1, str: 2, float: 3, int: 4}[type(v)]


def compare(a, b):
    """Which value wins a tie: negative if a < b."""
    if _rank(a) != _rank(b):
        return _rank(a) - _rank(b)
    if a is None:
        return 0
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    return (a > b) - (a < b)


def differs(a, b):
    """Whether an update from a to b is a change."""
    return compare(a, b) != 0


def same(a, b):
    """Equal in type and value, as two ends must hold it."""
    return type(a) is type(b) and a == b

# SPDX-License-Identifier: MPL-2.0
"""One database under test: the real one with its connections (two with the
extension, one without), a shadow on plain SQLite which runs the same
statements and logs by triggers what each did to which row, and the model,
which is told so."""

import os
import sqlite3

import tables
from model import Model, Op, SENTINEL, Entry

# An imported transaction's placeholder is minus its db_version at the sender
# times this, minus a number.
PLACES = 1000
CHANGES = ('SELECT "table", pk, cid, val, col_version, db_version, site_id, '
           'cl, seq, sver FROM crsql_changes')


class Mismatch(Exception):
    """The engine and the model differ."""


class Site:
    def __init__(self, index, directory, history, extension):
        self.index = index
        self.path = os.path.join(directory, "site%d.db" % index)
        self.extension = extension
        self.names = history["tables"]
        self.tables = [tables.BY_NAME[n] for n in self.names]
        self.recursive = history.get("recursive_triggers", 0)
        self.handles = {}
        self.open_handle = None     # the handle that is in a transaction
        self.marks = []             # savepoints: name, snapshot
        self.sound = None           # crsql_changes at the last self-check
        self.seen = {}              # peer -> its db_version merged so far
        self.cursor = {}            # peer -> cursor of the last page merged
        self.vector = {}            # other site -> version held without gap
        first = self.handle("e0")
        for t in self.tables:
            first.execute(t.ddl)
            first.execute("SELECT crsql_as_crr(?)", (t.name,))
        if history.get("merge_equal_values"):
            first.execute("SELECT crsql_config_set('merge-equal-values', 1)")
        self.id = first.execute("SELECT crsql_site_id()").fetchone()[0]
        self.model = Model(self.id, self.names)
        self.model.merge_equal_values = history.get("merge_equal_values", 0)
        self.shadow = make_shadow(self.tables)

    def handle(self, which):
        """The connection e0, e1 (with the extension) or p (without)."""
        if which not in self.handles:
            db = sqlite3.connect(self.path, isolation_level=None)
            if which != "p":
                db.enable_load_extension(True)
                db.load_extension(self.extension)
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            db.execute("PRAGMA synchronous=OFF")
            db.execute("PRAGMA recursive_triggers=%d" % self.recursive)
            self.handles[which] = db
        return self.handles[which]

    def close(self, which):
        db = self.handles.pop(which, None)
        if db is None:
            return
        if which != "p":
            db.execute("SELECT crsql_finalize()").fetchall()
        db.close()

    # -- statements ---------------------------------------------------------

    def busy_with_other(self, which):
        return self.open_handle not in (None, which)

    def sql(self, which, sql):
        """Runs one statement everywhere; False if it could not be (another
        connection of this site is inside a transaction)."""
        if self.busy_with_other(which):
            return False
        verb = sql.split()[0].upper()
        before = self.model.snapshot()
        expected = run(self.shadow, sql)
        actual = run(self.handle(which), sql)
        if (expected is None) != (actual is None):
            raise Mismatch("%s: plain SQLite says %s, with the extension %s"
                           % (sql, expected or "ok", actual or "ok"))
        if verb in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"):
            if expected is None:
                self.control(which, sql.split(), before)
        else:
            self.told(which)
        self.compare_tables()
        if self.model.pending and which != "p" and not self.open_handle:
            # The journal is folded now if the extension noticed a write,
            # though it may have come to nothing: a read makes sure.
            self.check(which)
        return True

    def told(self, which):
        """Gives the model what the shadow's triggers saw."""
        ops = read_oplog(self.shadow, self.tables)
        if which == "p":
            self.model.plain(ops)
        else:
            self.model.own(ops)
        if self.open_handle and not self.shadow.in_transaction:
            self.model.restore(self.marks[0][1])    # OR ROLLBACK
            self.finish()
        elif not self.open_handle:
            self.model.commit()

    def control(self, which, words, before):
        verb = words[0].upper()
        if verb == "BEGIN" or verb == "SAVEPOINT":
            name = words[1] if verb == "SAVEPOINT" else None
            self.marks.append((name, before))
            self.open_handle = which
        elif verb == "RELEASE":
            while self.marks.pop()[0] != words[1]:
                pass
        elif len(words) > 1 and verb == "ROLLBACK":     # ROLLBACK TO name
            while self.marks[-1][0] != words[2]:
                self.marks.pop()
            self.model.restore(self.marks[-1][1])
        elif verb == "ROLLBACK":
            self.model.restore(self.marks[0][1])
        if not self.shadow.in_transaction:
            if verb != "ROLLBACK":
                self.model.commit()
            self.finish()

    def finish(self):
        self.model.end()
        self.marks = []
        self.open_handle = None

    # -- comparing ----------------------------------------------------------

    def compare_tables(self):
        """The tables, rowids included, against the shadow's."""
        db = self.handle(self.open_handle or "e0")
        for t in self.tables:
            sql = "SELECT %s, * FROM %s" % (t.rowid or t.names[0], t.quoted)
            expected = sorted(self.shadow.execute(sql).fetchall(), key=repr)
            actual = sorted(db.execute(sql).fetchall(), key=repr)
            if repr(expected) != repr(actual):
                raise Mismatch("table %s: expected\n  %s\nfound\n  %s"
                               % (t.name, expected, actual))

    def check(self, which, imported=None, query=None):
        """All of crsql_changes against the model's.  Reading folds.  False
        if it can't be compared now: a plain writer is in a transaction."""
        if self.busy_with_other(which) or which == "p":
            return False
        db = self.handle(which)
        rows = db.execute(CHANGES).fetchall()
        self.model.fold()
        if self.open_handle:
            self.model.folded = True
        else:
            self.model.commit()
        found = {}
        for row in rows:
            if row[:3] in found:
                raise Mismatch("crsql_changes gives %r twice" % (row[:3],))
            found[row[:3]] = (row[3], row[7],
                              Entry(row[4], row[5], row[8], row[6], row[9]))
        self.check_order(rows)
        if rows != self.sound:
            self.self_check(db)
            self.sound = rows
        if imported is not None:
            self.adopt(found, imported)
        self.settle_seqs(found)
        self.settle_rows(found)
        self.compare_changes(found)
        self.compare_data(db)
        head = db.execute("SELECT crsql_db_version()").fetchone()[0]
        if head != self.model.head:
            raise Mismatch("crsql_db_version() is %d, expected %d"
                           % (head, self.model.head))
        if query:
            ask(db, rows, query)
        return True

    def self_check(self, db):
        wrong = db.execute("SELECT * FROM crsql_check").fetchall()
        if wrong:
            raise Mismatch("crsql_check of site %d says %s"
                           % (self.index, wrong))

    def check_order(self, rows):
        places = [(r[5], r[8]) for r in rows]
        if places != sorted(places):
            raise Mismatch("crsql_changes is not in order of db_version, seq:"
                           " %s" % places)

    def adopt(self, found, imported):
        """An import chooses its own db_versions: one for each origin
        transaction, in order, above all before.  `imported` are the model's
        placeholders, negative numbers; here they get the engine's."""
        chosen = {}
        for table, pk, cid in self.model.changes():
            entry = self.model.clock[table][pk][cid]
            if entry.dbv < 0 and (table, pk, cid) in found:
                dbv = found[table, pk, cid][2].dbv
                if chosen.setdefault(entry.dbv, dbv) != dbv:
                    raise Mismatch("one origin transaction has db_versions "
                                   "%d and %d" % (chosen[entry.dbv], dbv))
                self.model.clock[table][pk][cid] = entry._replace(dbv=dbv)
        # Placeholders tell the sender's db_version too; in what order the
        # transactions of one stand, the model can't know.
        numbers = [chosen[k] for k in sorted(
            chosen, key=lambda k: (-k // PLACES, chosen[k]))]
        if numbers != sorted(set(numbers)):
            raise Mismatch("db_versions of imported transactions are out of "
                           "order: %s" % numbers)
        if numbers and numbers[0] <= imported:
            raise Mismatch("imported transactions share db_version %d"
                           % numbers[0])
        if numbers and self.open_handle:
            self.model.current = max(numbers)
        elif numbers:
            self.model.head = max(numbers)

    def settle_seqs(self, found):
        """Where a fold was rolled back in mid-transaction, seqs may have
        gaps: their order is compared, then the engine's are taken."""
        for dbv in self.model.loose:
            mine = {k: e for k, (_, _, e) in self.model.changes().items()
                    if e.site == self.id and e.sver == dbv and k in found
                    and not (k[2] == SENTINEL and k[:2] in self.model.unsure)}
            order = sorted(mine, key=lambda k: mine[k].seq)
            seqs = [found[k][2].seq for k in order]
            if seqs != sorted(seqs):
                raise Mismatch("order of seqs in version %d: %s" % (dbv, seqs))
            for k, seq in zip(order, seqs):
                table, pk, cid = k
                self.model.clock[table][pk][cid] = mine[k]._replace(seq=seq)
            if self.model.current == dbv and seqs:
                self.model.seq = max(self.model.seq, max(seqs) + 1)
            else:
                self.model.loose = self.model.loose - {dbv}

    def settle_rows(self, found):
        """Rows of which the model can't know whether they were replaced or
        deleted and inserted: what others have must give way to what is here;
        the engine's clocks are taken."""
        for (table, pk), before in self.model.unsure.items():
            row = {k[2]: v for k, v in found.items() if k[:2] == (table, pk)}
            mine = self.model.clock[table][pk]
            if not row or row.keys() - {SENTINEL} != mine.keys() - {SENTINEL}:
                continue                        # compare_changes reports it
            cl = max(c for _, c, _ in row.values())
            old = before[SENTINEL].version if SENTINEL in before else 1
            for cid, (_, _, e) in row.items():
                newer = cid not in before or (cl, e.version) > (
                    old, before[cid].version)
                if newer and (cid not in mine or e.dbv == mine[cid].dbv):
                    mine[cid] = e
            if SENTINEL not in row and cl == 1:
                mine.pop(SENTINEL, None)
        self.model.unsure = {}

    def compare_changes(self, found):
        expected = self.model.changes()
        wrong = [k for k in expected.keys() | found.keys()
                 if repr(expected.get(k)) != repr(found.get(k))]
        if wrong:
            lines = ["crsql_changes of site %d: (value, cl, %s)"
                     % (self.index, Entry._fields)]
            for k in sorted(wrong)[:8]:
                lines.append("  %r\n    expected %s\n    found    %s" % (
                    k, show(expected.get(k)), show(found.get(k))))
            raise Mismatch("\n".join(lines))

    def compare_data(self, db):
        """The tables against the model's rows."""
        found = read_data(db, self.tables)
        if not equal_data(found, self.model.data):
            raise Mismatch("tables of site %d: expected\n  %s\nfound\n  %s"
                           % (self.index, self.model.data, found))

    def reload_shadow(self, db):
        """After a merge, which the shadow can't run: the rows as they are
        now, rowids included."""
        for t in self.tables:
            names = t.names if t.integer_key or not t.rowid else (
                [t.rowid] + t.names)
            names = ", ".join(names)
            rows = db.execute("SELECT %s FROM %s" % (names, t.quoted)
                              ).fetchall()
            self.shadow.execute("DELETE FROM %s" % t.quoted)
            self.shadow.executemany("INSERT INTO %s(%s) VALUES(%s)" % (
                t.quoted, names, ", ".join("?" * (names.count(", ") + 1))),
                rows)
        self.shadow.execute("DELETE FROM oplog")


def show(change):
    if change is None:
        return "nothing"
    value, cl, e = change
    return "%r cl %d version %d dbv %d seq %d site %s sver %s" % (
        value, cl, e.version, e.dbv, e.seq, e.site[:4].hex(), e.sver)


def ask(db, rows, query):
    """A question to crsql_changes and to an ordinary table of its rows must
    have the same answer, in the order asked for."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    me = db.execute("SELECT crsql_site_id()").fetchone()[0]
    copy.create_function("crsql_site_id", 0, lambda: me)
    copy.execute('CREATE TABLE crsql_changes("table" TEXT, pk BLOB, cid TEXT, '
                 'val, col_version INTEGER, db_version INTEGER, site_id BLOB, '
                 'cl INTEGER, seq INTEGER, sver INTEGER)')
    copy.executemany("INSERT INTO crsql_changes VALUES(?,?,?,?,?,?,?,?,?,?)",
                     rows)
    expected = copy.execute(CHANGES + query).fetchall()
    found = db.execute(CHANGES + query).fetchall()
    if sorted(map(repr, expected)) != sorted(map(repr, found)):
        raise Mismatch("%s%s: expected\n  %s\nfound\n  %s"
                       % (CHANGES, query, expected, found))
    order = query.partition(" ORDER BY ")[2]
    if order:
        what = 'SELECT %s FROM crsql_changes' % order.replace(" DESC", "")
        if copy.execute(what + query).fetchall() != \
                db.execute(what + query).fetchall():
            raise Mismatch("wrong order: %s%s" % (what, query))
    copy.close()


def settle(table, key, name, value):
    """The key and a column's value as the table would hold them, all given
    as literals; None if it would refuse them."""
    db = sqlite3.connect(":memory:")
    db.execute(table.ddl)
    names = [tables.quote(n) for n in table.pk]
    literals = list(key)
    if name != SENTINEL:
        names.append(tables.quote(name))
        literals.append(value)
    try:
        db.execute("INSERT INTO %s(%s) VALUES(%s)" % (
            table.quoted, ", ".join(names), ", ".join(literals)))
    except sqlite3.IntegrityError:
        return None
    row = db.execute("SELECT %s FROM %s" % (", ".join(names), table.quoted)
                     ).fetchone()
    db.close()
    return row[:len(key)], row[len(key)] if name != SENTINEL else None


def run(db, sql):
    """None if it worked, else the error."""
    try:
        db.execute(sql).fetchall()
        return None
    except sqlite3.Error as error:
        return "%s: %s" % (type(error).__name__, error)


def read_data(db, which):
    out = {}
    for t in which:
        rows = db.execute("SELECT %s FROM %s" % (", ".join(t.names), t.quoted))
        n = len(t.pk)
        out[t.name] = {tables.pack(r[:n]): {c.name: v for c, v
                                            in zip(t.cols, r[n:])}
                       for r in rows}
    return out


def equal_data(a, b):
    return a == b and repr_data(a) == repr_data(b)


def repr_data(data):
    return sorted((t, pk, sorted((c, repr(v)) for c, v in row.items()))
                  for t, rows in data.items() for pk, row in rows.items())


# -- the shadow -------------------------------------------------------------

def make_shadow(which):
    """The same tables on plain SQLite, with triggers that write every change
    of a row to `oplog`; recursive_triggers makes REPLACE's deletes fire."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("PRAGMA recursive_triggers=1")
    width = max(len(t.names) for t in which)
    db.execute("CREATE TABLE oplog(n INTEGER PRIMARY KEY, tbl, op, %s, %s)" % (
        ", ".join("o%d" % i for i in range(width)),
        ", ".join("n%d" % i for i in range(width))))
    for i, t in enumerate(which):
        db.execute(t.ddl)
        for op in ("INSERT", "UPDATE", "DELETE"):
            old = [] if op == "INSERT" else list(enumerate(t.names))
            new = [] if op == "DELETE" else list(enumerate(t.names))
            into = ["o%d" % j for j, _ in old] + ["n%d" % j for j, _ in new]
            what = ["old." + n for _, n in old] + ["new." + n for _, n in new]
            db.execute("CREATE TRIGGER log%d%s AFTER %s ON %s BEGIN INSERT "
                       "INTO oplog(tbl, op, %s) VALUES(%d, '%s', %s); END" % (
                           i, op, op, t.quoted, ", ".join(into), i, op[0],
                           ", ".join(what)))
    return db


def read_oplog(db, which):
    """The rows of oplog as Ops; empties it."""
    rows = db.execute("SELECT * FROM oplog ORDER BY n").fetchall()
    db.execute("DELETE FROM oplog")
    width = (len(rows[0]) - 3) // 2 if rows else 0
    ops = []
    for row in rows:
        t = which[row[1]]
        n = len(t.pk)
        old = row[3:3 + len(t.names)]
        new = row[3 + width:3 + width + len(t.names)]
        names = [c.name for c in t.cols]
        before, after = tables.pack(old[:n]), tables.pack(new[:n])
        fields = dict(zip(names, new[n:]))
        if row[2] == "D":
            ops.append(Op("delete", t.name, before, None, []))
        elif row[2] == "I":
            ops.append(insert_op(ops, t.name, after, fields, names))
        elif before != after:
            ops.append(Op("delete", t.name, before, None, []))
            ops.append(Op("insert", t.name, after, fields, names))
        else:
            changed = [c for c, a, b in zip(names, old[n:], new[n:])
                       if tables.differs(a, b)]
            ops.append(Op("update", t.name, after, fields, changed))
    return ops


def insert_op(ops, table, pk, fields, names):
    """An insert; where it killed a row of its own key just before, the two
    are one replacement (R6)."""
    for i in range(len(ops) - 1, -1, -1):
        if ops[i].kind != "delete":
            break
        if (ops[i].table, ops[i].pk) == (table, pk):
            del ops[i]
            return Op("replace", table, pk, fields, names)
    return Op("insert", table, pk, fields, names)

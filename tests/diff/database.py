# SPDX-License-Identifier: MPL-2.0
"""One database under test: the real one with its connections (two with the
extension, one without), a shadow on plain SQLite which runs the same
statements and logs by triggers what each did to which row, and the model,
which is told so."""

import os
import pickle
import re
import sqlite3

import tables
from model import Model, Op, SENTINEL, Entry

# An imported transaction's placeholder is minus its db_version at the sender
# times this, minus a number.
PLACES = 1000
CHANGES = ('SELECT "table", pk, cid, val, col_version, db_version, site_id, '
           'cl, seq, sver FROM crsql_changes')


REFERENCES = (r"REFERENCES parent\(id\)( ON (DELETE|UPDATE) "
              "(CASCADE|SET NULL|SET DEFAULT|NO ACTION))*")


# Errors by which SQLite may leave what a statement had done so far (torn).
TEARING = ("too many levels of trigger recursion", "cannot store",
           "datatype mismatch")


class Mismatch(Exception):
    """The engine and the model differ."""


class Site:
    def __init__(self, index, directory, history, extension, like=None):
        """With the tables of the history, or with those of another site as
        they are now."""
        self.index = index
        self.path = os.path.join(directory, "site%d.db" % index)
        self.extension = extension
        self.recursive = history.get("recursive_triggers", 0)
        self.attach = history.get("attach", 0)
        self.foreign_keys = "parent" in str(history.get("extra"))
        self.handles = {}
        self.open_handle = None     # the handle that is in a transaction
        self.marks = []             # savepoints: name, what a rollback restores
        self.wrote = False          # the transaction that is open changed rows
        self.altered = False        # ... since the engine took note
        self.must_note = False      # a table lost its triggers
        self.bare = set()           # ... these, and the engine has not looked
        self.checked = 0            # db_version at the last check
        self.sound = None           # crsql_changes at the last self-check
        self.seen = {}              # peer -> its db_version merged so far
        self.cursor = {}            # peer -> cursor of the last page merged
        self.vector = {}            # other site -> version held without gap
        first = self.handle("e0")
        names = history["tables"]
        which = [(tables.BY_NAME[n], tables.BY_NAME[n].ddl) for n in names]
        if like:
            # foreign keys, added later, would be refused
            which = [(t, re.sub(REFERENCES, "", like.ddl(t.name)))
                     for t in like.tables]
        for t, ddl in which:
            first.execute(ddl)
            first.execute("SELECT crsql_as_crr(?)", (t.name,))
        for name, value in history.get("settings", {}).items():
            first.execute("SELECT crsql_config_set(?, ?)", (name, value))
        self.id = first.execute("SELECT crsql_site_id()").fetchone()[0]
        self.model = Model(self.id, [t for t, _ in which])
        settings = history.get("settings", {})
        self.model.merge_equal_values = settings.get("merge-equal-values", 0)
        self.model.by_journal = settings.get("capture") == "journal"
        self.model.folds_early = "fold-at" in settings
        self.model.unordered = settings.get("plain-writers") == 0
        extra = self.extra = [] if like else history.get("extra", [])
        for sql in extra:
            first.execute(sql)
        first.execute("SELECT crsql_fold()").fetchall()
        self.shadow = make_shadow(which, extra, self.foreign_keys)
        for t in self.tables:       # one may have a column more
            names = [r[1] for r in self.shadow.execute(
                "PRAGMA table_info(%s)" % t.quoted)]
            if "ref" in names:
                self.model.tables[t.name] = t.altered(["add", "ref", "", None])
        for t in self.tables:
            log_changes(self.shadow, t)

    @property
    def tables(self):
        return list(self.model.tables.values())

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
            db.execute("PRAGMA foreign_keys=%d" % self.foreign_keys)
            if self.attach:
                db.execute("ATTACH ? AS other", (self.path + "-other",))
                db.execute("CREATE TABLE IF NOT EXISTS other.x(a)")
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

    def sql(self, which, sql, quick=False):
        """Runs one statement everywhere; False if it could not be (another
        connection of this site is inside a transaction)."""
        if self.busy_with_other(which):
            return False
        verb = sql.split()[0].upper()
        before = self.model.snapshot(), self.checked
        expected = run(self.shadow, sql)
        if self.fails_by_log(sql, expected):
            return False
        actual = run(self.handle(which), sql)
        if expected is None and "ON CONFLICT clause does" in (actual or ""):
            # SQLite says so of columns that others have renamed since
            run(self.handle(which), "SELECT 1 FROM sqlite_schema")
            actual = run(self.handle(which), sql)
        if (expected is None) != (actual is None):
            raise Mismatch("%s: plain SQLite says %s, with the extension %s"
                           % (sql, expected or "ok", actual or "ok"))
        if verb in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"):
            if expected is None:
                self.control(which, sql.split(), before)
        else:
            ops = read_oplog(self.shadow, self.model.tables,
                             any("REPLACE" in s for s in [sql, *self.extra]))
            if self.open_handle and any(t in (expected or "") for t in TEARING):
                ops += self.torn(which, sql)
            self.told(which, ops)
        if quick:       # triggers may go off, and rows come in another order
            self.model.unordered = True
        else:
            self.compare_tables()
        if self.model.pending and which != "p" and not self.open_handle:
            # The journal is folded now if the extension noticed a write,
            # though it may have come to nothing: a read makes sure.
            self.check(which)
        return True

    def fails_by_log(self, sql, error):
        """A REPLACE that pushed out rows of a table with triggers looks at its
        unique indexes once more, and takes what the row itself had for another's
        (seen in 3.40.1).  True if it works without the shadow's triggers: then it
        depends on the engine's whether it does there."""
        if " OR REPLACE" not in sql or "UNIQUE" not in (error or ""):
            return False
        self.shadow.execute("SAVEPOINT without")
        for t in self.tables:
            log_changes_no_more(self.shadow, t)
        works = run(self.shadow, sql) is None
        self.shadow.execute("ROLLBACK TO without")
        self.shadow.execute("RELEASE without")
        return works

    def vacuum(self, which):
        if not self.open_handle:
            self.handle(which).execute("VACUUM")
            self.compare_tables()

    def write_in_place(self, which, step):
        """sqlite3_blob_write, of which no trigger tells."""
        t = self.model.tables.get(step["table"])
        if self.busy_with_other(which) or self.model.by_journal or t is None \
                or not t.has(step["column"]) or t.rowid is None \
                or " AS (" in self.ddl(t.name):
            return                  # SQLite's index is wrong beside those
        rows = self.shadow.execute(
            "SELECT %s, %s FROM %s WHERE typeof(%s) IN ('text', 'blob') AND "
            "%s > '' ORDER BY 1" % (
                t.rowid, ", ".join(t.names), t.quoted,
                *[tables.quote(step["column"])] * 2)).fetchall()
        if not rows:
            return
        row = rows[step["row"] % len(rows)]
        run(self.handle(which), "SELECT 1 FROM " + t.quoted)
        try:
            with self.handle(which).blobopen(
                    t.name, step["column"], row[0]) as b:
                b.write(step["text"].encode())
        except sqlite3.OperationalError as error:
            if "cannot open" in str(error):
                return      # of a row older than the column, or indexed
            raise
        with self.shadow.blobopen(t.name, step["column"], row[0]) as b:
            b.write(step["text"].encode())
        n = 1 + len(t.pk)
        names = [c.name for c in t.cols]
        fields = dict(zip(names, row[n:]))
        fields[step["column"]] = self.shadow.execute(
            "SELECT %s FROM %s WHERE %s = ?" % (
                tables.quote(step["column"]), t.quoted, t.rowid), row[:1]
            ).fetchone()[0]
        self.model.own([Op("update", t.name, tables.pack(row[1:n]), fields,
                           [step["column"]])])
        if not self.open_handle:
            self.end_of_transaction()
        self.compare_tables()

    def torn(self, which, sql):
        """SQLite undoes a statement that ends by too many levels of triggers,
        or by a value that a STRICT table does not take, only if that has a
        journal of its own, as have all that are logged by triggers, and none
        where the engine needs no triggers.  What it left, as Ops: how often
        its rows were changed is not known, nor what got back its value."""
        if self.same_tables(self.handle(which)):
            return []
        before = read_data(self.shadow, self.tables)
        for t in self.tables:
            log_changes_no_more(self.shadow, t)
        run(self.shadow, sql)
        for t in self.tables:
            log_changes(self.shadow, t)
        ops = list(differences(before, read_data(self.shadow, self.tables)))
        self.model.unsure.update({(op.table, op.pk): None for op in ops})
        return [op._replace(perhaps=list(op.row)) if op.kind == "update" else op
                for op in ops]

    def same_tables(self, db):
        return all(self.rows(db, t) == self.rows(self.shadow, t)
                   for t in self.tables)

    def rows(self, db, t):
        """Its rows, rowids included, each as text."""
        return sorted(map(repr, db.execute("SELECT %s, * FROM %s" % (
            t.rowid or t.names[0], t.quoted))))

    def told(self, which, ops):
        """Gives the model what the shadow's triggers saw."""
        self.wrote |= which != "p" and bool(ops)
        if which == "p" or self.model.by_journal:
            self.model.plain(ops)
        else:
            self.model.own(ops)
        if self.open_handle and not self.shadow.in_transaction:
            self.restore(self.marks[0][1])          # OR ROLLBACK
            self.finish()
        elif not self.open_handle:
            self.end_of_transaction()

    def end_of_transaction(self):
        if self.wrote and self.model.by_journal:
            self.model.fold()
            self.model.fresh = {}
        self.wrote = False
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
            self.restore(self.marks[-1][1])
        elif verb == "ROLLBACK":
            self.restore(self.marks[0][1])
        if not self.shadow.in_transaction:
            if verb != "ROLLBACK":
                self.end_of_transaction()
            self.finish()

    def restore(self, mark):
        snapshot, self.checked = mark
        self.model.restore(snapshot)

    def finish(self):
        self.wrote = False
        self.model.end()
        self.marks = []
        self.open_handle = None
        if self.must_note:
            self.take_note()

    def gc(self, horizon):
        """Everybody has everything up to the horizon; forgets."""
        self.handle("e0").execute("SELECT crsql_gc(?)", (
            encode_vector(horizon),)).fetchall()
        self.model.gc(horizon)
        self.check("e0")

    # -- the schema ---------------------------------------------------------

    def ddl(self, name):
        """The table's CREATE as it stands now."""
        return self.shadow.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?",
            (name,)).fetchone()[0]

    def alter(self, which, step):
        """Changes a table; what plain SQLite refuses is not tried."""
        table = self.model.tables.get(step["table"])
        if table is None or self.busy_with_other(which):
            return
        change = step["change"]
        if change[0] == "remake" and not step["within"]:
            if self.open_handle and (self.altered or which == "p"
                                     or self.model.by_journal):
                return              # else it may be taken for another table
            self.take_note()
        if change[0] == "table" and table.name in self.bare \
                and not step["within"]:
            return      # nothing would say which it was
        self.altered = True
        sql = table.statements(change, self.ddl(table.name))
        if not self.alter_shadow(table, change, sql):
            return
        db = self.handle(which)
        if step["within"]:
            sql = (["SELECT crsql_begin_alter(%s)" % literal(table.name)] + sql
                   + ["SELECT crsql_commit_alter(%s)" % literal(table.name)])
        elif not self.open_handle:
            sql = ["BEGIN"] + sql + ["COMMIT"]
        if change[0] == "again":
            sql.insert(-1 if sql[-1] == "COMMIT" else len(sql),
                       "SELECT crsql_as_crr(%s)" % literal(table.name))
        # ALTER itself does not look whether others changed the schema
        run(db, "SELECT 1 FROM " + table.quoted)
        for text in sql:
            error = run(db, text)
            if error:
                raise Mismatch("%s: plain SQLite says ok, with the extension "
                               "%s" % (text, error))
        if step["within"]:          # begin_alter folds
            self.model.fold()
        self.model.alter(table, change)
        if change[0] == "again":    # crsql_as_crr folds
            self.model.fold()
        if not self.open_handle:
            self.model.commit()
        self.compare_tables()
        self.must_note |= change[0] == "remake"
        if step["within"]:
            self.model.fresh = {}
            self.bare.clear()
        elif change[0] == "remake":
            self.bare.add(table.name)
        if step["note"] or self.must_note:
            self.take_note()

    def take_note(self):
        """Has the engine look what became of the tables."""
        if not self.open_handle:
            self.must_note = self.altered = False
            self.handle("e0").execute("SELECT crsql_fold()").fetchall()
            self.model.fresh = {}
            self.check("e0")

    def alter_shadow(self, table, change, sql):
        self.shadow.execute("SAVEPOINT altering")
        try:
            log_changes_no_more(self.shadow, table)
            for text in sql:
                self.shadow.execute(text)
            log_changes(self.shadow, table.altered(change))
            return True
        except sqlite3.Error:
            self.shadow.execute("ROLLBACK TO altering")
            return False
        finally:
            self.shadow.execute("RELEASE altering")

    # -- comparing ----------------------------------------------------------

    def compare_tables(self):
        """The tables, rowids included, against the shadow's."""
        db = self.handle(self.open_handle or "e0")
        for t in self.tables:
            expected, actual = self.rows(self.shadow, t), self.rows(db, t)
            if expected != actual:
                raise Mismatch("table %s: expected\n  %s\nfound\n  %s" % (
                    t.name, ", ".join(expected), ", ".join(actual)))

    def check(self, which, imported=None, query=None):
        """All of crsql_changes against the model's.  Reading folds.  False
        if it can't be compared now: a plain writer is in a transaction."""
        if self.busy_with_other(which) or which == "p":
            return False
        db = self.handle(which)
        rows = db.execute(CHANGES).fetchall()
        self.bare.clear()
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
        self.renumber(found)
        if imported is not None:
            self.adopt(found, imported)
        if self.model.told:
            self.settle_told(found)
        if self.model.loose:
            self.settle_seqs(found)
        if self.model.dropped:
            self.settle_dropped(found)
        self.settle_maybe(found)
        self.settle_rows(found)
        if not self.open_handle:
            self.model.told = set()
        self.compare_changes(found)
        self.compare_data(db)
        if not (self.model.told and self.open_handle):
            self.compare_head(db)
        if query:
            ask(db, rows, query)
        return True

    def settle(self, which):
        """Before a merge: what is in doubt decides what wins."""
        if self.model.unsure or self.model.in_doubt():
            self.check(which)

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

    def renumber(self, found):
        """A renaming takes a db_version of its own, or shares the next one:
        own transactions since then may have higher ones than in the model.
        Not so those of a table that is told once more (settle_told)."""
        m = self.model
        mine = {}
        for k, e in m.entries():
            if e.dbv == e.sver > self.checked and e.site == self.id and \
                    k in found and k[0] not in m.told:
                mine.setdefault(e.dbv, []).append((k, e))
        moved = 0
        for dbv in sorted(mine):
            to = found[mine[dbv][0][0]][2].dbv
            if not moved <= to - dbv <= m.news:
                return                          # compare_changes reports it
            more, moved = to - dbv - moved, to - dbv
            for (table, pk, cid), e in mine[dbv]:
                m.clock[table][pk][cid] = e._replace(dbv=to, sver=to)
            if dbv in m.loose:
                m.loose = m.loose - {dbv} | {to}
            if dbv == m.current:
                m.current = to
                m.head += more                  # they were committed before
            elif dbv == m.head:
                m.head = to
        m.news -= moved

    def compare_head(self, db):
        head = db.execute("SELECT crsql_db_version()").fetchone()[0]
        m = self.model
        if m.head < head <= m.head + m.news:    # renamings took them
            m.news -= head - m.head
            m.head = head
        if head < m.head and m.emptied and not any(
                e.dbv > head for _, _, e in m.changes().values()):
            m.head = head           # of that transaction nothing is left
        if head != m.head:
            raise Mismatch("crsql_db_version() is %d, expected %d"
                           % (head, m.head))
        self.checked = head

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
                    and k[0] not in self.model.told
                    and not (k[2] == SENTINEL and k[:2] in self.model.unsure)}
            order = sorted(mine, key=lambda k: mine[k].seq)
            seqs = [found[k][2].seq for k in order]
            if seqs != sorted(seqs) and not (self.model.maybe
                                             or self.model.unordered):
                raise Mismatch("order of seqs in version %d: %s" % (dbv, seqs))
            for k, seq in zip(order, seqs):
                table, pk, cid = k
                self.model.clock[table][pk][cid] = mine[k]._replace(seq=seq)
            if self.model.current == dbv and seqs:
                self.model.seq = max(self.model.seq, max(seqs) + 1)
            else:
                self.model.loose = self.model.loose - {dbv}

    def settle_dropped(self, found):
        """Where a column was dropped, seqs move up.  A row that has none left
        of the columns that were told of it is told by its sentinel; by the last
        of them, where it may have been replaced without a sentinel."""
        for (table, pk, cid), (_, cl, e) in found.items():
            row = self.model.clock[table].get(pk)
            if table in self.model.dropped and cid == SENTINEL and row \
                    and cl == 1 and row.get(SENTINEL, e).version == 1:
                row[SENTINEL] = e
            first = self.model.first_life.get((table, pk))
            if cid == SENTINEL and first and e.version == first.version \
                    and e.dbv == first.dbv:
                row[SENTINEL] = e
        self.model.first_life = {}
        for (table, pk, cid), (_, _, e) in self.model.changes().items():
            if table in self.model.dropped and (table, pk, cid) in found:
                self.model.clock[table][pk][cid] = e._replace(
                    seq=found[table, pk, cid][2].seq)

    def settle_maybe(self, found):
        """What the model can't know to be told, or how many times."""
        for (table, pk, cid), n in self.model.maybe.items():
            row = self.model.clock.get(table, {}).get(pk, {})
            e = found.get((table, pk, cid), (0, 0, None))[2]
            if cid not in row:
                continue
            if e is None and row[cid].version <= n:
                del row[cid]
                self.model.emptied = True
            elif e and row[cid].version - n <= e.version <= row[cid].version:
                self.model.emptied |= e != row[cid]
                row[cid] = e
        self.model.maybe = {}
        for table, pk in self.model.bare:
            row = self.model.clock.get(table, {}).get(pk, {})
            value, cl, e = found.get((table, pk, SENTINEL), (0, 0, None))
            if e and cl == 1 and SENTINEL not in row:
                self.model.clock[table].setdefault(pk, {})[SENTINEL] = e
        self.model.bare = {}

    def settle_told(self, found):
        """A table made anew, whose rowids are others now, is told once more,
        with the versions it had."""
        for table, pk, cid in self.model.changes():
            row = self.model.clock[table][pk]
            e = row[cid]
            if table in self.model.told and cid == SENTINEL and e.version == 1 \
                    and (table, pk, cid) not in found and len(row) > 1:
                del row[cid]            # its columns say that it lives
            if table in self.model.told and (table, pk, cid) in found:
                f = found[table, pk, cid][2]
                self.model.clock[table][pk][cid] = e._replace(
                    dbv=f.dbv, seq=f.seq, site=f.site, sver=f.sver)
                if not self.open_handle:
                    self.model.head = max(self.model.head, f.dbv)
                elif self.model.current == f.dbv + 1 and f.dbv != e.dbv:
                    self.model.current = f.dbv

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
                newer |= cid == SENTINEL and e.version == 1
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


def encode_vector(vector):
    return varint(len(vector)) + b"".join(
        site + varint(vector[site]) for site in sorted(vector))


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


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


def settle(table, ddl, key, name, value):
    """The key and a column's value as the table would hold them, all given
    as literals; None if it would refuse them."""
    db = sqlite3.connect(":memory:")
    db.execute(ddl)
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


def differences(before, after):
    """What made the one of the other, as Ops."""
    for table, rows in after.items():
        old = before[table]
        for pk in old.keys() - rows.keys():
            yield Op("delete", table, pk, None, [])
        for pk, row in rows.items():
            changed = [c for c in row if pk not in old
                       or tables.differs(old[pk][c], row[c])]
            if pk not in old:
                yield Op("insert", table, pk, row, list(row))
            elif changed:
                yield Op("update", table, pk, row, changed)


def equal_data(a, b):
    return a == b and repr_data(a) == repr_data(b)


def repr_data(data):
    return sorted((t, pk, sorted((c, repr(v)) for c, v in row.items()))
                  for t, rows in data.items() for pk, row in rows.items())


# -- the shadow -------------------------------------------------------------

def make_shadow(which, extra, foreign_keys):
    """The same tables on plain SQLite.  Triggers will write every change of a
    row to `oplog` (log_changes), before what the user's triggers do, which are
    older; recursive_triggers makes REPLACE's deletes fire."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("PRAGMA recursive_triggers=1")
    db.execute("CREATE TABLE oplog(n INTEGER PRIMARY KEY, tbl, op, old, new)")
    db.create_function("row", -1, lambda *row: pickle.dumps(row))
    db.execute("PRAGMA foreign_keys=%d" % foreign_keys)
    db.execute("ATTACH ':memory:' AS other")
    db.execute("CREATE TABLE other.x(a)")
    for t, ddl in which:
        db.execute(ddl)
    for sql in extra:
        db.execute(sql)
    return db


def log_changes(db, t):
    for op in ("INSERT", "UPDATE", "DELETE"):
        db.execute("CREATE TRIGGER %s AFTER %s ON %s BEGIN INSERT INTO oplog"
                   "(tbl, op, old, new) VALUES(%s, '%s', %s, %s); END" % (
                       tables.quote(t.name + op), op, t.quoted,
                       literal(t.name), op[0],
                       row_of("old", t) if op != "INSERT" else "NULL",
                       row_of("new", t) if op != "DELETE" else "NULL"))


def log_changes_no_more(db, t):
    for op in ("INSERT", "UPDATE", "DELETE"):
        db.execute("DROP TRIGGER " + tables.quote(t.name + op))


def row_of(which, t):
    return "row(%s)" % ", ".join("%s.%s" % (which, n) for n in t.names)


def literal(text):
    return "'%s'" % text.replace("'", "''")


def read_oplog(db, which, replaces):
    """The rows of oplog as Ops; empties it.  replaces: some may have been
    replaced."""
    rows = db.execute("SELECT tbl, op, old, new FROM oplog ORDER BY n"
                      ).fetchall()
    db.execute("DELETE FROM oplog")
    ops = []
    for table, op, old, new in rows:
        t = which[table]
        n = len(t.pk)
        names = [c.name for c in t.cols]
        if old is not None:
            old = pickle.loads(old)
            before = tables.pack(old[:n])
        if new is not None:
            new = pickle.loads(new)
            after, fields = tables.pack(new[:n]), dict(zip(names, new[n:]))
        if op == "D":
            ops.append(Op("delete", t.name, before, None, []))
        elif op == "I":
            ops.append(insert_op(ops if replaces else [], t.name, after, fields,
                                 names))
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
    are one replacement (R6).  Other rows of the table are killed with it; what
    else was written between was written by a trigger that the delete fired, and
    then delete and insert are two, as they are for cr-sqlite."""
    for i in range(len(ops) - 1, -1, -1):
        if (ops[i].kind, ops[i].table) != ("delete", table):
            break
        if (ops[i].table, ops[i].pk) == (table, pk):
            del ops[i]
            return Op("replace", table, pk, fields, names)
    return Op("insert", table, pk, fields, names)

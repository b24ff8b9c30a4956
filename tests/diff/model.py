# SPDX-License-Identifier: MPL-2.0
"""The reference model: what one database must hold, kept as plain maps and
worked out cell by cell, without any of the engine's ways to save space or
time.

    data[table][pk]  = {column: value}             the live rows
    clock[table][pk] = {column or '-1': Entry}     cr-sqlite's clock rows

Local writes and merges follow doc/EXTENSION.md, with R1, R6
and R19 above it, equal deletes keep the greater site.  A changed primary key
is a delete and an insert.  What plain writers did waits in `pending` and is
applied, in order and under one db_version, when the engine would fold it."""

from collections import namedtuple

import tables

Entry = namedtuple("Entry", "version dbv seq site sver")
# A local write of one row: kind is insert, update, delete or replace; of an
# update, `perhaps` are columns that may be told, too.
Op = namedtuple("Op", "kind table pk row columns perhaps", defaults=[()])
# A change as it travels.
Cell = namedtuple("Cell", "table pk cid value version cl seq site sver")

SENTINEL = "-1"


class Model:
    def __init__(self, site, which):
        self.site = site            # own site id
        self.tables = {t.name: t for t in which}
        self.data = {t.name: {} for t in which}
        self.clock = {t.name: {} for t in which}
        self.head = 0
        self.current = 0            # db_version being given out; 0: none
        self.current_own = False
        self.seq = 0
        self.folded = False         # clocks were written in this transaction
        self.gaps = False           # ... and some of them rolled back: seqs
        self.loose = set()          # of these own versions may have gaps
        self.pending = []           # journalled, not yet folded
        self.captured = []          # of this transaction, the same
        self.unsure = {}            # rows of a fold, and their clock before
        self.fresh = {}             # columns that a table's triggers lack
        self.maybe = {}             # what may be told or not, how many times
        self.bare = {}              # rows that had no columns when inserted
        self.loosen = False         # ... in the fold that goes on
        self.dropped = set()        # tables that lost a column
        self.first_life = {}        # unsure rows that lost all, if not replaced
        self.emptied = False        # of some transaction nothing may be left
        self.told = set()           # tables that are told once more
        self.news = 0               # renamings not known to be numbered yet
        self.renamed = False
        self.horizon = {}
        self.by_journal = False     # settings
        self.folds_early = False
        self.unordered = False      # rows may be visited in another order
        self.merge_equal_values = False

    def snapshot(self):
        """All that a rollback brings back."""
        deep = {name: {t: {pk: dict(row) for pk, row in rows.items()}
                       for t, rows in getattr(self, name).items()}
                for name in ("data", "clock")}
        flat = {name: getattr(self, name)
                for name in ("head", "current", "current_own", "seq", "news")}
        return {**deep, **flat, "pending": list(self.pending),
                "maybe": dict(self.maybe), "fresh": dict(self.fresh),
                "bare": dict(self.bare), "first_life": dict(self.first_life),
                "captured": list(self.captured), "loose": set(self.loose),
                "unsure": dict(self.unsure), "tables": dict(self.tables)}

    def restore(self, snapshot):
        self.__dict__.update(snapshot)
        self.__dict__.update(self.snapshot())   # it may be used again
        if self.folded:
            self.gaps = True

    # -- db_versions: R1 --------------------------------

    def own_dbv(self):
        if not (self.current and self.current_own):
            self.current = max(self.head, self.current) + 1
            self.current_own = True
        return self.current

    def changes_dbv(self, sender):
        if not self.current or sender > self.current:
            self.current = max(self.head + 1, self.current, sender)
            self.current_own = False
        return self.current

    def commit(self):
        if self.captured:
            self.fold()
            self.fresh = {}
        if self.current:
            self.head = self.current
        self.end()

    def end(self):
        self.current, self.current_own, self.seq = 0, False, 0
        self.folded = self.gaps = False

    # -- local writes ----------------------------------------------------

    def apply_data(self, op):
        if op.kind == "delete":
            del self.data[op.table][op.pk]
        else:
            self.data[op.table][op.pk] = dict(op.row)

    def own(self, ops):
        """Writes of a connection with the extension: they wait, too, until
        the transaction is folded, at its end or before a merge or read."""
        for op in ops:
            self.apply_data(op)
            self.captured.append(op)

    def plain(self, ops):
        """Writes of a connection without it."""
        for op in ops:
            self.apply_data(op)
            self.pending.append(op)
            if op.kind == "update" and op.table in self.fresh:
                self.pending[-1] = op._replace(perhaps=self.fresh[op.table])

    def fold(self):
        """A row that a plain writer deleted and inserted may also have been
        replaced: its journal can't always tell, and either is right."""
        for row in self.in_doubt():
            self.unsure.setdefault(row, None)
        ops, self.pending = self.pending, []
        captured, self.captured = self.captured, []
        for row in self.unsure:
            if self.unsure[row] is None:
                self.unsure[row] = dict(self.clock[row[0]].get(row[1], {}))
        for op in ops + captured:
            if op.kind in ("insert", "replace") or op.perhaps:
                op = self.with_columns(op)
            self.apply_clock(op)
        if self.unsure and ops or self.loosen:
            self.loose.add(self.current)
        self.loosen = False

    def in_doubt(self):
        """The rows of which that is so, in what waits."""
        gone, rows = set(), []
        for op in self.pending:
            row = op.table, op.pk
            if op.kind == "delete":
                gone.add(row)
            elif op.kind != "update" and (row in gone or op.kind == "replace"):
                rows.append(row)
        return rows + [(op.table, op.pk) for op in self.captured
                       if op.kind == "insert" and (op.table, op.pk) in gone]

    def with_columns(self, op):
        """A row inserted before its table got a column may be told with it
        or without; an update as long as the triggers don't know it, too."""
        columns = [c.name for c in self.tables[op.table].cols
                   if op.kind != "update" or c.name in op.columns
                   or c.name in op.perhaps]
        for c in columns:
            if c not in op.columns:
                key = op.table, op.pk, c
                self.maybe[key] = self.maybe.get(key, 0) + 1
                self.loosen = True
        if columns and not op.columns and op.kind != "update":
            self.bare[op.table, op.pk] = True
        return op._replace(columns=columns)

    def apply_clock(self, op):
        clock = self.clock[op.table]
        if op.kind == "delete":
            old = clock.get(op.pk, {}).get(SENTINEL)
            clock[op.pk] = {SENTINEL: self.next_entry(
                old.version + 1 if old else 2)}
            return
        row = clock.get(op.pk)
        if op.kind in ("insert", "replace"):
            row = self.revive(op, row)
        for c in op.columns:
            old = row.get(c)
            row[c] = self.next_entry(old.version + 1 if old else 1)

    def revive(self, op, row):
        """The sentinel's part of an insert."""
        if row is None:
            row = self.clock[op.table][op.pk] = {}
            if not op.columns:
                row[SENTINEL] = self.next_entry(1)
            return row
        old = row.get(SENTINEL)
        if old and old.version == 1 and op.columns:
            # it had no columns once: the engine may say no more that it lives
            self.unsure.setdefault((op.table, op.pk), dict(row))
        if old is None:
            self.next_entry(0)      # its seq is taken all the same
        else:
            row[SENTINEL] = self.next_entry(
                old.version + (2 if old.version % 2 else 1))
        return row

    def next_entry(self, version):
        dbv = self.own_dbv()
        if self.gaps or self.folds_early or self.unordered:
            self.loose.add(dbv)
        seq, self.seq = self.seq, self.seq + 1
        return Entry(version, dbv, seq, self.site, dbv)

    # -- the schema --------------------------------------------------------

    def alter(self, table, change):
        """No change by itself; a table made again begins anew."""
        kind, *args = change
        name, new = table.name, table.altered(change)
        del self.tables[name]
        self.tables[new.name] = new
        data, clock = self.data.pop(name), self.clock.pop(name)
        if kind == "remake" and not table.integer_key \
                and "WITHOUT ROWID" not in table.ddl:
            self.told |= {name}
            self.gaps = True
        if kind == "again":
            self.emptied = True
            folded = self.captured if self.folds_early else []
            if self.by_journal:     # it is folded when the table is dropped
                folded = folded + self.pending
            if any(op.table == name for op in folded):
                self.news += 1  # they may have a db_version, not used again
            data, clock = {}, {}
            self.pending = [op for op in self.pending if op.table != name]
            self.captured = [op for op in self.captured if op.table != name]
        if kind == "drop" or name in self.dropped:
            self.dropped |= {name, new.name}
        if kind == "add":
            self.fresh[name] = [*self.fresh.get(name, []), args[0]]
            self.pending = [op._replace(perhaps=[*op.perhaps, args[0]])
                            if op.table == name and op.kind == "update" else op
                            for op in self.pending]
        if name in self.fresh:
            self.fresh[new.name] = new_columns(self.fresh.pop(name), change)
        if name in self.told:
            self.told |= {new.name}
        for marks in (self.unsure, self.maybe, self.bare, self.first_life):
            for key in [k for k in marks if k[0] == name]:
                mark = marks.pop(key)
                if kind != "again" and not (
                        kind == "drop" and key[2:] == (args[0],)):
                    key = new.name, key[1], *[renamed(c, change)
                                              for c in key[2:]]
                    marks[key] = mark
        if kind == "rename":
            self.news += 1
            self.renamed = True
        for rows in (data, clock):
            for pk, row in rows.items():
                if kind == "drop" and args[0] in row:
                    last = row.pop(args[0])
                    if rows is clock and not row:
                        row[SENTINEL] = last._replace(version=1)
                    elif rows is clock and list(row) == [SENTINEL] \
                            and self.began_life(new.name, pk):
                        self.first_life[new.name, pk] = last._replace(version=1)
                elif kind == "rename" and args[0] in row:
                    row[args[1]] = row.pop(args[0])
        if kind == "add":
            for row in data.values():
                row[args[0]] = args[2]
        self.data[new.name], self.clock[new.name] = data, clock
        for ops in (self.pending, self.captured):
            ops[:] = [op._replace(table=new.name,
                                  columns=new_columns(op.columns, change),
                                  perhaps=new_columns(op.perhaps, change))
                      if op.table == name else op for op in ops]

    def began_life(self, table, pk):
        """True if the row may be in its first life, whatever its clock says."""
        before = self.unsure.get((table, pk)) or {}
        return SENTINEL in before and before[SENTINEL].version == 1

    def gc(self, horizon):
        """Forgets the tombstones of rows whose deletion everybody has."""
        for rows in self.clock.values():
            for pk, row in list(rows.items()):
                e = row.get(SENTINEL)
                if e and e.version % 2 == 0 and e.sver \
                        and horizon.get(e.site, 0) >= e.sver:
                    del rows[pk]
        if any(v > self.horizon.get(s, 0) for s, v in horizon.items()):
            self.head += 1          # a horizon that rises is news
        for site, version in horizon.items():
            self.horizon[site] = max(version, self.horizon.get(site, 0))

    # -- merges: R19 ------------------------------------------------------

    def cl(self, table, pk):
        row = self.clock[table].get(pk)
        if not row:
            return 0
        return row[SENTINEL].version if SENTINEL in row else 1

    def merge(self, cell, by_import, take_dbv):
        """Merges one change; how many writes it made."""
        mine = self.cl(cell.table, cell.pk)
        if cell.cl < mine:
            return 0
        if cell.cl % 2 == 0:
            return self.merge_delete(cell, mine, take_dbv)
        impacted = 0
        if cell.cl > mine and (mine != 0 or cell.cl > 1
                               or cell.cid == SENTINEL):
            self.resurrect(cell, by_import, take_dbv())
            impacted = 1
        if cell.cid == SENTINEL:
            return impacted
        if cell.cl == mine and not self.wins(cell):
            return 0
        self.make_row(cell)
        self.data[cell.table][cell.pk][cell.cid] = cell.value
        self.clock[cell.table].setdefault(cell.pk, {})[cell.cid] = Entry(
            cell.version, take_dbv(), cell.seq, cell.site, cell.sver)
        return impacted + 1

    def merge_delete(self, cell, mine, take_dbv):
        if cell.cl == mine:
            if cell.cl == 0:
                return 0
            old = self.clock[cell.table][cell.pk][SENTINEL]
            if cell.site <= old.site:
                return 0
        self.data[cell.table].pop(cell.pk, None)
        self.clock[cell.table][cell.pk] = {SENTINEL: Entry(
            cell.version, take_dbv(), cell.seq, cell.site, cell.sver)}
        return 1

    def resurrect(self, cell, by_import, dbv):
        row = self.clock[cell.table].setdefault(cell.pk, {})
        if by_import:
            row.clear()
            self.data[cell.table].pop(cell.pk, None)
        for cid in row:
            row[cid] = Entry(0, dbv, cell.seq, cell.site, 0)
        row[SENTINEL] = Entry(cell.cl, dbv, cell.seq, cell.site, cell.sver)
        self.make_row(cell)

    def make_row(self, cell):
        table = self.tables[cell.table]
        self.data[cell.table].setdefault(
            cell.pk, {c.name: c.default for c in table.cols})

    def wins(self, cell):
        old = self.clock[cell.table].get(cell.pk, {}).get(cell.cid)
        if old is None:
            return True
        if cell.version != old.version:
            return cell.version > old.version
        order = tables.compare(cell.value,
                               self.data[cell.table][cell.pk][cell.cid])
        if order == 0 and self.merge_equal_values:
            return cell.site > old.site
        return order > 0

    # -- what is seen ------------------------------------------------------

    def changes(self):
        """The rows of crsql_changes: {(table, pk, cid): (value, cl, Entry)}."""
        out = {}
        for table, rows in self.clock.items():
            for pk, row in rows.items():
                cl = self.cl(table, pk)
                values = self.data[table].get(pk)
                for cid, entry in row.items():
                    out[table, pk, cid] = (
                        None if cid == SENTINEL else values[cid], cl, entry)
        return out

    def entries(self):
        """The keys of changes() with their Entry, nothing else."""
        for table, rows in self.clock.items():
            for pk, row in rows.items():
                for cid, entry in row.items():
                    yield (table, pk, cid), entry


def new_columns(columns, change):
    kind, *args = change
    if kind == "drop":
        return [c for c in columns if c != args[0]]
    if kind == "rename":
        return [renamed(c, change) for c in columns]
    return columns


def renamed(column, change):
    return change[2] if change[:2] == ["rename", column] else column

# SPDX-License-Identifier: MPL-2.0
"""Ways for changes to go from one site to another: row by row through
crsql_changes, and by pages of crsql_export and crsql_import; each is told to
the receiver's model cell by cell."""

import tables
from database import (CHANGES, PLACES, Mismatch, encode_vector, settle,
                      varint)
from model import Cell, SENTINEL

MORE_IN_TRANSACTION = 8
LAST_PAGE = 1
CURSOR_DBV = slice(8, 16)


WRITE = ('INSERT INTO crsql_changes("table", pk, cid, val, col_version, '
         'db_version, site_id, cl, seq) VALUES(?,?,?,?,?,?,?,?,?)')


def by_changes(sender, receiver, step):
    """INSERT INTO crsql_changes, all or what is new, in one transaction or
    each by itself."""
    if sender.open_handle or receiver.busy_with_other(step["to"]):
        return False
    sender.check(step["from"])
    rows = sender.handle(step["from"]).execute(CHANGES).fetchall()
    newest = max([r[5] for r in rows], default=0)
    if step["delta"]:
        rows = [r for r in rows if r[5] > receiver.seen.get(sender.index, 0)]
    if step["not_yours"]:
        rows = [r for r in rows if r[6] != receiver.id]
    receiver.settle(step["to"])
    db = receiver.handle(step["to"])
    model = receiver.model
    alone = not receiver.open_handle
    together = alone and step["together"]
    if together:
        db.execute("BEGIN")
    if rows:
        model.fold()
        model.folded = True
    for row in rows:
        db.execute(WRITE, row[:9])
        cell = Cell(*row[:4], row[4], row[7], row[8], row[6], 0)
        if alone and not together:
            model.commit()
        model.merge(cell, False, lambda: model.changes_dbv(row[5]))
    if together:
        db.execute("COMMIT")
    if alone:
        model.commit()
        receiver.seen[sender.index] = max(
            newest, receiver.seen.get(sender.index, 0))
    receiver.reload_shadow(db)
    return receiver.check(step["to"])


def from_stranger(receiver, step):
    """Changes that no site of ours has made."""
    if receiver.busy_with_other(step["handle"]):
        return False
    if receiver.model.news:
        receiver.take_note()
    receiver.settle(step["handle"])
    db = receiver.handle(step["handle"])
    model = receiver.model
    model.fold()
    model.folded = True
    alone = not receiver.open_handle
    for c in step["changes"]:
        table = model.tables.get(c["table"])
        if table is None or not table.has(c["cid"]) \
                or len(table.pk) != len(c["key"]):
            continue            # another one has that name by now
        settled = settle(table, receiver.ddl(table.name), c["key"], c["cid"],
                         c["value"])
        if settled is None:
            continue
        if alone:
            model.commit()
        raw = db.execute("SELECT " + ", ".join(c["key"] + [c["value"]])
                         ).fetchone()
        site = bytes.fromhex(c["by"] * 16)
        db.execute(WRITE, (c["table"], tables.pack(raw[:-1]), c["cid"],
                           raw[-1], c["version"], c["db_version"], site,
                           c["cl"], c["seq"]))
        model.merge(Cell(c["table"], tables.pack(settled[0]), c["cid"],
                         settled[1], c["version"], c["cl"], c["seq"], site, 0),
                    False, lambda: model.changes_dbv(c["db_version"]))
    if alone:
        model.commit()
    receiver.reload_shadow(db)
    return receiver.check(step["handle"])


def by_pages(sender, receiver, step):
    """crsql_export here, crsql_import there; cut after some pages if the
    step says so."""
    if sender.open_handle or receiver.open_handle:
        return False
    sender.check(step["from"])
    source = sender.handle(step["from"])
    source.execute("BEGIN")
    pages = export(source, plan(sender, receiver, step), step)
    sent = cut(sender, pages, step["cut"])
    theirs = dict(sender.vector)
    theirs[sender.id] = source.execute(
        "SELECT max(?, crsql_db_version())",
        (theirs.get(sender.id, 0),)).fetchone()[0]
    source.execute("COMMIT")
    complete = len(sent) == len(pages)
    receiver.settle(step["to"])
    db = receiver.handle(step["to"])
    db.execute("BEGIN IMMEDIATE")
    for page, _, _ in sent:
        for _ in range(step["twice"] + 1):
            db.execute("SELECT crsql_import(?)", (page,)).fetchall()
    db.execute("COMMIT")
    receiver.model.fold()
    receiver.model.commit()
    if sender.model.renamed:        # the names that it learns are news, too
        receiver.model.news += 1
        receiver.model.renamed = True
    head = receiver.model.head
    cursor = sent[-1][1]
    merge_model(sender, receiver, step, None if complete else dbv_of(cursor))
    receiver.cursor[sender.index] = cursor
    if complete:
        for site, version in theirs.items():
            if version > receiver.vector.get(site, 0) and site != receiver.id:
                receiver.vector[site] = version
    receiver.reload_shadow(db)
    return receiver.check(step["to"], imported=head)


def merge_model(sender, receiver, step, limit):
    """What those pages held, worked out from the sender's model: all that
    stands after the cursor and is not covered by the vector."""
    first = dbv_of(cursor_of(sender, receiver, step))
    vector = held(receiver, step)
    rows = {}
    for (table, pk, cid), (value, cl, e) in sender.model.changes().items():
        if e.dbv <= first or (limit is not None and e.dbv > limit):
            continue
        if e.sver and vector.get(e.site, 0) >= e.sver:
            continue
        rows.setdefault((e.dbv, e.site, e.sver, table, pk), []).append(
            Cell(table, pk, cid, value, e.version, cl, e.seq, e.site, e.sver))
    placeholders = {}
    for row in sorted(rows, key=lambda r: (r[0], min(map(sooner, rows[r])))):
        dbv, site, sver = row[:3]   # strangers of one dbv stay together: R1
        number = placeholders.setdefault((dbv, site if sver else None, sver),
                                         -dbv * PLACES - len(placeholders))
        for cell in sorted(rows[row], key=sooner):
            receiver.model.merge(cell, True, lambda: number)


def sooner(cell):
    """Order within a db_version: a life's sentinel was there before cells."""
    return cell.cid != SENTINEL, cell.seq


def dbv_of(cursor):
    return int.from_bytes(cursor[CURSOR_DBV], "big")


def cursor_of(sender, receiver, step):
    if not step["delta"]:
        return bytes(40)
    return receiver.cursor.get(sender.index, bytes(40))


def plan(sender, receiver, step):
    """What the receiver has: one group of all tables."""
    vector = held(receiver, step)
    names = list(receiver.model.tables)
    out = varint(1) + varint(len(names))
    for name in names:
        out += varint(len(name.encode())) + name.encode()
    return (out + cursor_of(sender, receiver, step)
            + encode_vector(vector))


def held(receiver, step):
    if not step["vector"]:
        return {}
    return {**receiver.vector, receiver.id: receiver.model.head}


def export(db, wanted, step):
    """Pages, each with its end cursor and flags."""
    pages, position = [], None
    sizes = step["sizes"]
    for i in range(100000):
        page = db.execute("SELECT crsql_export(?, ?, ?)", (
            wanted, position, sizes[i % len(sizes)])).fetchone()[0]
        position, flags = db.execute(
            "SELECT crsql_page_end(?), crsql_page_flags(?)",
            (page, page)).fetchone()
        pages.append((page, position, flags))
        if flags & LAST_PAGE:
            return pages
    raise Mismatch("export never ends")


def cut(sender, pages, wanted):
    """The pages that arrive before the line is cut: `wanted` (0: all), or
    more until a transaction ends and with it a db_version, so that the model
    knows what has gone over."""
    origins = {}
    for _, _, e in sender.model.changes().values():
        origins.setdefault(e.dbv, set()).add((e.site, e.sver))
    for n in range(max(wanted, 1), len(pages)):
        _, cursor, flags = pages[n - 1]
        if wanted and not flags & MORE_IN_TRANSACTION \
                and len(origins.get(dbv_of(cursor), ())) <= 1:
            return pages[:n]
    return pages

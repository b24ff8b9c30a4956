# SPDX-License-Identifier: MPL-2.0
"""Random histories: a seed becomes a list of steps, plain data that can be
played, cut down and printed."""

import random

import tables

SAVEPOINTS = ["s1", "s2"]


ADDED = [("n1", "", None), ("n2", "INTEGER DEFAULT 7", 7),
         ("n 3", "TEXT NOT NULL DEFAULT 'd'", "d"), ("N4", "BLOB", None)]
NAMES = ["r1", "r 2", "select"]
TABLE_NAMES = ["t1", "t 2", "T3", "__x"]


def history(seed):
    r = random.Random(seed)
    names = r.sample([t.name for t in tables.TABLES], r.choice([1, 1, 2, 3]))
    sites = r.choice([1, 1, 2, 2, 3, 4])
    h = {"seed": seed, "tables": names, "sites": sites, "extra": [],
         "attach": int(r.random() < 0.1),
         "recursive_triggers": int(r.random() < 0.2),
         "settings": settings(r), "steps": []}
    if r.random() < 0.02:
        names[0] = tables.WIDE.name
    here = {n: tables.BY_NAME[n] for n in names}
    if sites == 1:
        closed(r, h, here)
    plain = r.choice([0, 0, 0.2, 0.5])
    if h["settings"].get("plain-writers") == 0:
        plain = 0
    alters = r.choice([0, 0, 0.1, 0.2])
    if h["extra"] and h["recursive_triggers"]:
        plain = 0       # the order of triggers is not known
    if "parent" in str(h["extra"]):
        alters = 0      # as_crr refuses foreign keys
    gc = r.choice([0, 0, 0.04]) if sites > 1 else 0
    h["gc"] = gc > 0
    for _ in range(r.choice([5, 15, 40])):
        if sites > 1 and r.random() < 0.25:
            h["steps"].append(exchange(r, sites, gc))
        elif r.random() < gc:
            h["steps"].append({"do": "gc"})
        elif r.random() < 0.05 and not h["extra"] and not gc:
            h["steps"].append(foreign(r, here, r.randrange(sites),
                                      1 if alters else 4))
        elif r.random() < alters:
            handle = "p" if r.random() < plain else r.choice(["e0", "e1"])
            h["steps"] += alter(r, here, 0 if sites == 1 else None, handle)
        else:
            h["steps"] += transaction(r, h, here, r.randrange(sites), plain,
                                      alters if sites == 1 else 0)
    if h["settings"].get("plain-writers") == 0:
        in_no_order(h)
    return h


def in_no_order(h):
    """Without triggers SQLite may take the rows of an UPDATE or DELETE in
    another order than the shadow, which has some: then what is done when one
    fails is not the same."""
    h["extra"] = [sql.replace("FAIL, 'no'", "ABORT, 'no'")
                  for sql in h["extra"]]
    for step in h["steps"]:
        if "sql" in step:
            step["sql"] = step["sql"].replace("UPDATE OR FAIL",
                                              "UPDATE OR ABORT")


def closed(r, h, here):
    """What only a database that merges nothing can have: triggers of a user's
    that write replicated tables, unique indexes, foreign keys."""
    t = here[r.choice(list(here))]
    if r.random() < 0.2 and t.cols:
        h["extra"] = [user_trigger(r, t, here)
                      for _ in range(r.choice([1, 2]))]
        h["recursive_triggers"] = 1     # as in the shadow
        h["settings"].pop("capture", None)
    elif r.random() < 0.15 and t.cols:
        names = r.sample(t.names, min(len(t.names), r.choice([1, 1, 2])))
        h["extra"] = ['CREATE UNIQUE INDEX "one of it" ON %s(%s)' % (
            t.quoted, ", ".join(names))]
    elif r.random() < 0.15 and "STRICT" not in t.ddl:
        h["extra"] = parent(r, t)
        here[t.name] = t.altered(["add", "ref", "", None])
        here[t.name].values[-1] = PARENTS + ["NULL"] * 3


PARENTS = ["'a'", "'b'", "1", "2"]


def parent(r, t):
    return ["CREATE TABLE parent(id PRIMARY KEY)",
            "INSERT INTO parent VALUES" + ", ".join("(%s)" % p
                                                    for p in PARENTS),
            "ALTER TABLE %s ADD COLUMN ref REFERENCES parent(id) ON DELETE %s "
            "ON UPDATE %s" % (t.quoted, r.choice(ACTIONS), r.choice(ACTIONS))]


ACTIONS = ["CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"]


def parents(r):
    """A statement on the parent's rows."""
    a, b = r.sample(PARENTS, 2)
    return r.choice([
        "DELETE FROM parent WHERE id = " + a,
        "INSERT OR REPLACE INTO parent VALUES(%s)" % a,
        "INSERT OR IGNORE INTO parent VALUES(%s)" % a,
        "UPDATE OR REPLACE parent SET id = %s WHERE id = %s" % (a, b),
        "UPDATE parent SET id = %s WHERE id = %s" % (a, b)])


def user_trigger(r, t, here):
    c = tables.quote(r.choice(t.cols).name)
    when = r.choice(["INSERT", "UPDATE", "UPDATE OF " + c, "DELETE"])
    row = "old" if when == "DELETE" else "new"
    other = here[r.choice(list(here))]
    kinds = [insert, upsert, delete] + ([update] if other.cols else [])
    x = r.random()
    if x < 0.3:
        time, body = "BEFORE", "SELECT RAISE(%s)" % r.choice(
            ["IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'"])
    elif x < 0.6:
        # what changes a row before it is updated is undefined in SQLite, and
        # a delete in the midst of a REPLACE may or may not make it one
        if other is t and when == "DELETE":
            when, row = "INSERT", "new"
        time = "AFTER" if other is t else r.choice(["BEFORE", "AFTER"])
        body = r.choice(kinds)(r, other)
    else:
        time = "AFTER"
        body = "UPDATE %s SET %s = 2 WHERE %s" % (
            t.quoted, c, " AND ".join("%s = %s.%s" % (tables.quote(n), row,
                                                      tables.quote(n))
                                      for n in t.pk))
    return "CREATE TRIGGER u%d %s %s ON %s WHEN %s.%s IS %s BEGIN %s; END" % (
        r.randrange(1 << 30), time, when, t.quoted, row, c,
        r.choice(["1", "'a'", "NULL", "2 AND 0", "NULL OR 1"]), body)


def settings(r):
    some = {"merge-equal-values": 1, "plain-writers": 0, "capture": "journal",
            "bulk": 0, "fold-at": r.choice([1, 2, 3, 5])}
    rare = {"merge-equal-values": 0.1, "plain-writers": 0.1, "capture": 0.1,
            "bulk": 0.1, "fold-at": 0.2}
    return {name: value for name, value in some.items()
            if r.random() < rare[name]}


def alter(r, here, site, handle):
    """A change of one of the tables `here`, which become those after it."""
    t = here[r.choice(list(here))]
    ours = handle != "p"
    within = ours and r.random() < 0.5
    kinds = ["add", "rename", "table", "remake"]
    if within:
        kinds += ["drop", "drop"]
    elif ours:
        kinds += ["again"]
    change = {"add": add_column, "rename": rename_column, "table": rename,
              "drop": drop_column, "remake": remake,
              "again": lambda r, t, here: ["again"]}[r.choice(kinds)](
                  r, t, here)
    if change is None or change[0] == "remake" and not (
            within or t.integer_key or not t.rowid):
        return []
    new = t.altered(change)
    del here[t.name]
    here[new.name] = new
    return [{"do": "alter", "site": site, "handle": handle, "table": t.name,
             "change": change, "within": within,
             "note": site is None or r.random() < 0.3}]


def add_column(r, t, here):
    free = [c for c in ADDED if not t.has(c[0])]
    return ["add", *r.choice(free)] if free else None


def drop_column(r, t, here):
    return ["drop", r.choice(t.cols).name] if t.cols else None


def rename_column(r, t, here):
    free = [n for n in NAMES if not t.has(n) and n not in t.pk]
    names = [c.name for c in t.cols] * 3 + t.pk
    return ["rename", r.choice(names), r.choice(free)] if free else None


def rename(r, t, here):
    return ["table", r.choice([n for n in TABLE_NAMES if n not in here])]


def remake(r, t, here):
    return ["remake", r.choice(["", " ORDER BY %s DESC" % t.names[-1]])]


def transaction(r, h, here, site, plain, alters):
    """Some statements of one connection of one site."""
    handle = "p" if r.random() < plain else r.choice(["e0", "e0", "e1"])
    out = []

    def sql(text):
        out.append({"do": "sql", "site": site, "handle": handle, "sql": text})

    def some():
        t = here[r.choice(list(here))]
        if h["attach"] and r.random() < 0.1:
            sql(elsewhere(r, t))
        elif "parent" in str(h["extra"]) and r.random() < 0.2:
            sql(parents(r))
        elif handle != "p" and t.cols and t.rowid and r.random() < 0.05:
            out.append(blob(r, t, site, handle))
        else:
            sql(statement(r, t))

    def check():
        which = handle if handle != "p" else r.choice(["e0", "e1"])
        out.append({"do": "check", "site": site, "handle": which,
                    "query": query(r, here)})

    if r.random() < 0.05:
        out.append({"do": "reopen", "site": site, "handle": handle})
    if r.random() < 0.03:
        out.append({"do": "vacuum", "site": site, "handle": handle})
    if r.random() < 0.5:
        some()
        if r.random() < 0.6:
            check()
        return out
    sql(r.choice(["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s0"]))
    if r.random() < 0.03:       # so many that triggers may go off
        for _ in range(r.choice([70, 90])):
            some()
            out[-1]["quick"] = 1
    for _ in range(r.choice([1, 2, 4, 8])):
        x = r.random()
        if x < 0.12:
            sql("SAVEPOINT " + r.choice(SAVEPOINTS))
        elif x < 0.2:
            sql("ROLLBACK TO " + r.choice(SAVEPOINTS))
        elif x < 0.24:
            sql("RELEASE " + r.choice(SAVEPOINTS))
        elif x < 0.29:
            check()
        elif r.random() < alters:
            out.extend(alter(r, here, site, handle))
        else:
            some()
    sql("ROLLBACK" if r.random() < 0.15 else "COMMIT")
    if r.random() < 0.6:
        check()
    return out


def elsewhere(r, t):
    """A statement on the table of an attached database."""
    return r.choice([
        "INSERT INTO other.x VALUES(1)", "DELETE FROM other.x",
        "INSERT INTO other.x SELECT %s FROM %s" % (t.names[0], t.quoted),
        "INSERT OR IGNORE INTO %s(%s) SELECT a FROM other.x" % (
            t.quoted, t.names[0])])


def blob(r, t, site, handle):
    """Bytes of a value written in place."""
    return {"do": "blob", "site": site, "handle": handle, "table": t.name,
            "column": r.choice(t.cols).name, "row": r.randrange(4),
            "text": r.choice("abc")}


def exchange(r, sites, gc):
    sender, receiver = r.sample(range(sites), 2)
    step = {"sender": sender, "receiver": receiver,
            "from": r.choice(["e0", "e1"]), "to": r.choice(["e0", "e1"]),
            "delta": r.random() < 0.6}
    # crsql_changes tells no horizon
    if r.random() < 0.5 and not gc:
        return {**step, "do": "changes", "together": r.random() < 0.7,
                "not_yours": r.random() < 0.5}
    return {**step, "do": "pages", "vector": r.random() < 0.6,
            "sizes": [r.choice([1, 60, 200, 1000, 100000])
                      for _ in range(3)],
            "cut": r.choice([0, 0, 1, 2, 4]), "twice": int(r.random() < 0.1)}


def foreign(r, here, site, lives):
    """Changes of a site that is not among us, as somebody's program may
    write them into crsql_changes: in any order, incomplete, values and keys
    not yet of their columns' types."""
    changes = []
    for _ in range(r.choice([1, 2, 5, 10])):
        t = here[r.choice(list(here))]
        cl = min(r.choice([1, 1, 1, 1, 2, 3, 3, 4]), lives)
        column = r.randrange(len(t.cols)) if t.cols else None
        if cl % 2 == 0 or column is None or r.random() < 0.1:
            column = None
            if cl == 1 and t.cols and lives == 1:
                continue
            if cl == 1 and t.cols:
                cl = 3          # our own kind never says that a row was born
        changes.append({
            "table": t.name, "key": [r.choice(k) for k in t.keys],
            "cid": "-1" if column is None else t.cols[column].name,
            "value": "NULL" if column is None else r.choice(t.values[column]),
            "version": cl if column is None else r.choice([1, 1, 2, 3]),
            "cl": cl, "db_version": r.choice([1, 2, 5, 20]),
            "seq": r.randrange(4), "by": r.choice(["07", "88", "f1"])})
    return {"do": "foreign", "site": site, "handle": r.choice(["e0", "e1"]),
            "changes": changes}


def query(r, here):
    """A question to crsql_changes, or none."""
    if r.random() < 0.6:
        return None
    terms = []
    for _ in range(r.choice([0, 1, 1, 2])):
        terms.append(r.choice([
            "db_version %s %d" % (r.choice([">", ">=", "=", "<", "<=", "<>"]),
                                  r.randrange(8)),
            '"table" = %s' % "'%s'" % r.choice(list(here)),
            "cid = '-1'", "cid IS NOT '-1'", "cl > 1", "seq < 2",
            "col_version = 1", "site_id = crsql_site_id()", "val IS NULL",
            "site_id IS NOT crsql_site_id()", "site_id IS NULL",
            "pk = x'010B0161'", "pk IN (x'010901', x'010B0161')",
            "db_version BETWEEN 2 AND 4"]))
    order = r.choice(["", "", "db_version DESC, seq", "db_version, seq DESC",
                      "cl DESC, col_version, db_version", "val, seq",
                      "db_version DESC, seq DESC", '"table", pk, cid'])
    return ((" WHERE " + r.choice([" AND ", " OR "]).join(terms)
             if terms else "") + (" ORDER BY " + order if order else ""))


# -- statements -------------------------------------------------------------

def statement(r, t):
    kinds = [insert, insert, insert, upsert, delete, delete, rekey, copy, bulk]
    if t.cols:
        kinds += [update, update, update]
    if not t.integer_key and t.rowid:
        kinds += [insert_rowid, move_rowid]
    return r.choice(kinds)(r, t)


def conflict(r):
    return r.choice(["", "", "", " OR REPLACE", " OR REPLACE", " OR IGNORE",
                     " OR FAIL", " OR ABORT", " OR ROLLBACK"])


def some_key(r, t):
    """A condition that fits one row, several or all."""
    x = r.random()
    if x < 0.15:
        return ""
    i = r.randrange(len(t.pk))
    if x < 0.3:
        return " WHERE %s %s %s" % (tables.quote(t.pk[i]),
                                    r.choice([">", "<", "<>"]),
                                    r.choice(t.keys[i]))
    return " WHERE " + " AND ".join(
        "%s = %s" % (tables.quote(n), r.choice(k))
        for n, k in zip(t.pk, t.keys))


def values(r, t):
    """A row; for an INTEGER PRIMARY KEY sometimes a key of SQLite's choice."""
    row = [r.choice(k) for k in t.keys] + [r.choice(v) for v in t.values]
    if t.integer_key and r.random() < 0.2:
        row[0] = "NULL"
    return row


def insert(r, t):
    n = r.choice([1, 1, 1, 2, 4])
    names, rows = t.names, [values(r, t) for _ in range(n)]
    if t.cols and r.random() < 0.3:     # some columns take their defaults
        keep = len(t.pk) + r.randrange(len(t.cols))
        names, rows = names[:keep], [row[:keep] for row in rows]
    return "INSERT%s INTO %s(%s) VALUES%s" % (
        conflict(r), t.quoted, ", ".join(names),
        ", ".join("(%s)" % ", ".join(row) for row in rows))


def insert_rowid(r, t):
    return "INSERT%s INTO %s(%s, %s) VALUES(%s, %s)" % (
        conflict(r), t.quoted, t.rowid, ", ".join(t.names),
        r.choice(["1", "2", "3", "7", "100", "-4"]),
        ", ".join(values(r, t)))


def copy(r, t):
    """INSERT ... SELECT of the table's own rows under other keys."""
    i = r.randrange(len(t.pk))
    key = tables.quote(t.pk[i])
    what = list(t.names)
    what[i] = r.choice([key + " || 'z'", key + " + 20", r.choice(t.keys[i])])
    return "INSERT%s INTO %s(%s) SELECT %s FROM %s%s" % (
        conflict(r), t.quoted, ", ".join(t.names), ", ".join(what), t.quoted,
        some_key(r, t))


def bulk(r, t):
    """Consecutive keys: what the engine keeps as a run."""
    first = r.choice([10, 12, 30])
    n = r.choice([2, 5, 12])
    key = "n" if t.integer_key else r.choice(["n", "n", "999 - n"])
    row = [r.choice(k) for k in t.keys[:-1]] + [key] + [
        r.choice(v) for v in t.values]
    return ("WITH c(n) AS (SELECT %d UNION ALL SELECT n + 1 FROM c WHERE "
            "n < %d) INSERT%s INTO %s(%s) SELECT %s FROM c" % (
                first, first + n - 1, conflict(r), t.quoted,
                ", ".join(t.names), ", ".join(row)))


def upsert(r, t):
    then = "NOTHING"
    if t.cols and r.random() < 0.8:
        c = tables.quote(r.choice(t.cols).name)
        then = "UPDATE SET %s = %s" % (c, r.choice(
            ["excluded." + c, "1", c + " + 1"]))
    elif r.random() < 0.3:
        i = r.randrange(len(t.pk))
        then = "UPDATE SET %s = %s" % (tables.quote(t.pk[i]),
                                       r.choice(t.keys[i]))
    rows = ["(%s)" % ", ".join(values(r, t)) for _ in range(r.choice([1, 3]))]
    return "INSERT INTO %s(%s) VALUES%s ON CONFLICT(%s) DO %s" % (
        t.quoted, ", ".join(t.names), ", ".join(rows),
        ", ".join(tables.quote(n) for n in t.pk), then)


def update(r, t):
    some = r.sample(range(len(t.cols)), r.randrange(1, len(t.cols) + 1))
    sets = ["%s = %s" % (tables.quote(t.cols[i].name), r.choice(t.values[i]))
            for i in some]
    return "UPDATE%s %s SET %s%s" % (conflict(r), t.quoted, ", ".join(sets),
                                     some_key(r, t))


def rekey(r, t):
    i = r.randrange(len(t.pk))
    key = tables.quote(t.pk[i])
    to = r.choice(t.keys[i])
    if t.integer_key and r.random() < 0.4:
        to = key + r.choice([" + 1", " - 1", " + 10"])
    sets = ["%s = %s" % (key, to)]
    if t.cols and r.random() < 0.4:
        j = r.randrange(len(t.cols))
        sets.append("%s = %s" % (tables.quote(t.cols[j].name),
                                 r.choice(t.values[j])))
    return "UPDATE%s %s SET %s%s" % (conflict(r), t.quoted, ", ".join(sets),
                                     some_key(r, t))


def move_rowid(r, t):
    sets = ["%s = %s" % (t.rowid, r.choice(
        ["1", "2", "3", "9", "50", t.rowid + " + 1", t.rowid + " - 1"]))]
    if t.cols and r.random() < 0.3:
        j = r.randrange(len(t.cols))
        sets.append("%s = %s" % (tables.quote(t.cols[j].name),
                                 r.choice(t.values[j])))
    return "UPDATE%s %s SET %s%s" % (conflict(r), t.quoted, ", ".join(sets),
                                     some_key(r, t))


def delete(r, t):
    return "DELETE FROM %s%s" % (t.quoted, some_key(r, t))

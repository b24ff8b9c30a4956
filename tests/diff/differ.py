#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Plays random histories on the engine and on the reference model.  See
README.md."""

import argparse
import ctypes
import functools
import gc
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback

import exchange
import generate
from model import SENTINEL
from database import Mismatch, Site, read_data, equal_data, CHANGES

SECONDS_A_HISTORY = 60

# Counted by all workers.
played = multiprocessing.Value("i", 0)
failed = multiprocessing.Value("i", 0)


def play(h, extension, directory, trace=None):
    """Raises Mismatch where the engine differs from the model."""
    sites = [Site(i, directory, h, extension) for i in range(h["sites"])]
    for step in h["steps"]:
        if trace is not None:
            trace.append(step)
        perform(sites, step)
    for site in sites:
        if site.open_handle:
            site.sql(site.open_handle, "COMMIT")
        site.check("e0")
    converge(sites, trace, h["gc"])
    newcomer(sites, h, extension, directory)
    for site in sites:
        finish(site)


def perform(sites, step):
    if step["do"] == "sql":
        sites[step["site"]].sql(step["handle"], step["sql"],
                                step.get("quick"))
    elif step["do"] == "check":
        sites[step["site"]].check(step["handle"], query=step.get("query"))
    elif step["do"] == "reopen":
        site = sites[step["site"]]
        if not site.open_handle:
            site.close(step["handle"])
            site.check("e0")
    elif step["do"] == "gc":
        forget(sites)
    elif step["do"] == "vacuum":
        sites[step["site"]].vacuum(step["handle"])
    elif step["do"] == "blob":
        sites[step["site"]].write_in_place(step["handle"], step)
    elif step["do"] == "alter":
        alter(sites, step)
    elif step["do"] == "foreign":
        exchange.from_stranger(sites[step["site"]], step)
    elif step["do"] == "pages":
        # who tells no vector counts as a newcomer, or as one left behind
        vector = step["vector"] or bool(sites[0].model.horizon)
        exchange.by_pages(sites[step["sender"]], sites[step["receiver"]],
                          {**step, "vector": vector})
    else:
        exchange.by_changes(sites[step["sender"]], sites[step["receiver"]],
                            step)


def forget(sites):
    """Everybody gets everything, and forgets what was deleted."""
    if any(site.open_handle for site in sites):
        return
    converge(sites, None, True)
    for receiver in sites:
        for sender in sites:
            if sender is not receiver:
                exchange.by_pages(sender, receiver, {
                    "from": "e0", "to": "e0", "delta": False, "cut": 0,
                    "vector": False, "sizes": [100000], "twice": 0})
    horizon = {}
    for s in {s for site in sites for s in site.vector} | {
            site.id for site in sites}:
        horizon[s] = min(exchange.held(site, {"vector": True}).get(s, 0)
                         for site in sites)
    for site in sites:
        site.gc({s: v for s, v in horizon.items() if v})


def alter(sites, step):
    """Changes a table at one site, or everywhere at the same time."""
    if step["site"] is not None:
        sites[step["site"]].alter(step["handle"], step)
    elif not any(site.open_handle for site in sites):
        for site in sites:
            site.alter(step["handle"], step)


def facts(site):
    """What must be equal everywhere at the end.  That a row was born is said
    once more by any of its columns, where it got some."""
    rows = site.handle("e0").execute(CHANGES).fetchall()
    told = {r[:2] for r in rows if r[2] != SENTINEL}
    return sorted((r[0], r[1], r[2], repr(r[3]), r[4], r[7]) for r in rows
                  if r[2] != SENTINEL or r[4] > 1 or r[:2] not in told)


def converge(sites, trace, pages):
    """Exchanges everything in turn until nothing moves; then all are equal."""
    if len(sites) == 1:
        return
    for turn in range(8):
        before = [facts(s) for s in sites]
        for i, receiver in enumerate(sites):
            for j, sender in enumerate(sites):
                if i == j:
                    continue
                way = (i + j + turn) % 2 and not pages
                step = {"do": "changes" if way else "pages", "sender": j,
                        "receiver": i, "from": "e0", "to": "e1",
                        "delta": turn < 2, "vector": turn < 2, "cut": 0,
                        "sizes": [300], "twice": 0, "together": True,
                        "not_yours": False}
                if trace is not None:
                    trace.append(step)
                perform(sites, step)
        if [facts(s) for s in sites] == before:
            break
    else:
        raise Mismatch("the sites never come to rest")
    for site in sites[1:]:
        if facts(site) != facts(sites[0]):
            raise Mismatch("clocks of sites 0 and %d differ in the end:\n"
                           "  %s\n  %s" % (site.index, facts(sites[0]),
                                           facts(site)))
        if not equal_data(data(site), data(sites[0])):
            raise Mismatch("tables of sites 0 and %d differ in the end"
                           % site.index)


def newcomer(sites, h, extension, directory):
    """A new database that pulls from the last site gets all of it."""
    new = Site(len(sites), directory, h, extension, like=sites[-1])
    step = {"from": "e0", "to": "e0", "delta": True, "vector": True, "cut": 0,
            "sizes": [150], "twice": 0}
    exchange.by_pages(sites[-1], new, step)
    if facts(new) != facts(sites[-1]) or not equal_data(
            data(new), data(sites[-1])):
        raise Mismatch("a new database that pulls from site %d differs"
                       % sites[-1].index)
    finish(new)


def data(site):
    return read_data(site.handle("e0"), site.tables)


def finish(site):
    db = site.handle("e0")
    left = db.execute("SELECT crsql_pending()").fetchone()[0]
    if left:
        raise Mismatch("%d journalled writes are left" % left)
    site.self_check(db)
    sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    if sound != "ok":
        raise Mismatch("integrity_check: %s" % sound)
    for which in list(site.handles):
        site.close(which)


# -- running apart ----------------------------------------------------------

def attempt(h, extension):
    """Plays a history in a process of its own, so that a crash is only a
    failure; None, or what went wrong."""
    directory = tempfile.mkdtemp(prefix="diff-", dir=scratch())
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        signal.alarm(SECONDS_A_HISTORY)
        gc.disable()        # a short life
        text = ""
        try:
            play(h, extension, directory)
        except Mismatch as error:
            text = str(error)
        except BaseException:
            text = traceback.format_exc()
        os.write(write, text.encode()[:60000])
        os.close(write)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    shutil.rmtree(directory, ignore_errors=True)
    if os.WIFSIGNALED(status):
        return "killed by signal %d" % os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        return "exit status %d\n%s" % (os.WEXITSTATUS(status), text)
    return text or None


def scratch():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def kind(why):
    """What makes two failures alike: their sentence without its data."""
    if why is None:
        return None
    lines = [l for l in why.splitlines() if l.strip()]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return "".join(c for c in line if c.isalpha() or c == " ")[:40]


def shrink(h, extension, why, seconds=60):
    """Drops steps as long as it still fails alike; the shortest found."""
    until = time.monotonic() + seconds

    def fails(fewer):
        return (time.monotonic() < until
                and kind(attempt(fewer, extension)) == kind(why))

    h = shorter(h, "steps", fails)
    for i, step in enumerate(h["steps"]):
        def with_step(fewer):
            return {**h, "steps": h["steps"][:i] + [fewer]
                    + h["steps"][i + 1:]}
        if step["do"] == "foreign":
            h = with_step(shorter(step, "changes",
                                  lambda fewer: fails(with_step(fewer))))
    for name in h["tables"]:
        fewer = {**h, "tables": [t for t in h["tables"] if t != name]}
        if fewer["tables"] and json.dumps(name)[1:-1] not in json.dumps(
                h["steps"]) and fails(fewer):
            h = fewer
    return h


def shorter(thing, name, fails):
    """thing with as short a list under that name as still fails."""
    size = max(len(thing[name]) // 2, 1)
    while size:
        i = 0
        while i < len(thing[name]):
            fewer = {**thing, name: thing[name][:i] + thing[name][i + size:]}
            if fails(fewer):
                thing = fewer
            else:
                i += size
        size //= 2
    return thing


def script(h):
    """The history as SQL, with who runs it as comments."""
    import tables
    out = ["-- sites: %d, recursive_triggers %d, %s" % (
        h["sites"], h["recursive_triggers"], h["settings"])]
    for name in h["tables"]:
        out.append(tables.BY_NAME[name].ddl + ";")
        out.append("SELECT crsql_as_crr('%s');" % name)
    out += [sql + ";" for sql in h["extra"]]
    at = None
    for s in h["steps"]:
        if s["do"] in ("changes", "pages", "foreign") or s.get(
                "site") is None:
            out.append("-- %s" % json.dumps(s))
            at = None
            continue
        here = (s["site"], s["handle"])
        if here != at:
            out.append("-- site %d, %s" % here)
            at = here
        out.append({"sql": s.get("sql", "") + ";",
                    "alter": "-- %s" % json.dumps(s),
                    "blob": "-- %s" % json.dumps(s),
                    "vacuum": "VACUUM;",
                    "check": "SELECT * FROM crsql_changes%s;" % (
                        s.get("query") or ""),
                    "reopen": "-- close and open again"}[s["do"]])
    return "\n".join(out)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--extension", required=True, help="path of crsqlite.so")
    p.add_argument("--seeds", type=int, default=200)
    p.add_argument("--from", type=int, default=1, dest="first")
    p.add_argument("--jobs", type=int, default=os.cpu_count(),
                   help="histories played at the same time")
    p.add_argument("--known", help="file of seeds that are known to fail, one a line: "
                   "one that does not is a failure, too")
    p.add_argument("--no-shrink", action="store_true")
    p.add_argument("--stop-after", type=int, default=5,
                   help="failures after which to give up")
    args = p.parse_args()
    args.extension = os.path.abspath(args.extension)
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        print("this Python's sqlite3 can't load extensions")
        return 77
    ctypes.CDLL(args.extension)     # loaded once, not for each connection
    args.known = set(read_known(args.known)) if args.known else set()
    seeds = range(args.first, args.first + args.seeds)
    with multiprocessing.Pool(args.jobs) as pool:
        for report in pool.imap_unordered(
                functools.partial(try_seed, args), seeds):
            if report:
                print(report, flush=True)
        pool.close()
        pool.join()
    print("%d histories from seed %d, %d failed, %d more are known to" % (
        played.value, args.first, failed.value, len(args.known.intersection(seeds))))
    return 1 if failed.value else 0


def read_known(path):
    """The seeds of a file: what follows # is a remark."""
    with open(path) as lines:
        for line in lines:
            seed = line.partition("#")[0].strip()
            if seed:
                yield int(seed)


def try_seed(args, seed):
    """Plays one history; None, or what is to be said of its failure."""
    if failed.value >= args.stop_after:
        return None
    h = generate.history(seed)
    why = attempt(h, args.extension)
    add_one(played)
    if seed in args.known:
        if why:
            return None
        add_one(failed)
        return "seed %d: it is known to fail, and does not any more" % seed
    if not why:
        return None
    add_one(failed)
    report = "seed %d: %s" % (seed, why)
    if not args.no_shrink:
        h = shrink(h, args.extension, why)
        report += "\n-- shortest history:\n%s\n-- %s\n" % (
            script(h), attempt(h, args.extension))
    return report


def add_one(counter):
    with counter.get_lock():
        counter.value += 1


if __name__ == "__main__":
    sys.exit(main())

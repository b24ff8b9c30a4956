# SPDX-License-Identifier: MPL-2.0
"""What calls between two nodes take by the bare API (tests/veilid/vapi.py):

    veilid.py SOCKET SOCKET ROUNDS
    veilid.py SOCKET SOCKET ROUNDS KEY     and what the serve of that database makes of
                                           a call, which is at the first node

Each round has private routes of its own, as one may be better than another. The
client's share of a processor is told, so that one can see whether it was in the way.
"""
import asyncio
import os
import resource
import statistics
import sys
import time

from vapi import PAYLOAD_MAX, Api, answer_calls, call, data, new_route, patiently, text

IN_FLIGHT = 8
CALLS = 96          # of a round


def processor():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


async def round_trip(context, route):
    """Milliseconds of a short call: the median of a round."""
    took = []
    for _ in range(CALLS):
        began = time.monotonic()
        await call(context, route, 10, 10)
        took.append(1000 * (time.monotonic() - began))
    return statistics.median(took)


async def throughput(context, route, out, back):
    """MB/s of the longer of the two."""
    left = iter(range(CALLS))

    async def one_after_the_other():
        for _ in left:
            await call(context, route, out, back)
    began = time.monotonic()
    await asyncio.gather(*(one_after_the_other() for _ in range(IN_FLIGHT)))
    return CALLS * PAYLOAD_MAX / 1e6 / (time.monotonic() - began)


async def route_of(by, context, key):
    """The route in the record of a database, which others find it by."""
    schema = {"kind": "DFLT", "o_cnt": 1}
    record = await by.ask("GetDhtRecordKey", schema=schema, owner=key, encryption_key=None)
    await patiently(lambda: context("OpenDhtRecord", key=record, writer=None))
    got = data((await patiently(lambda: context(
        "GetDhtValue", key=record, subkey=0, force_refresh=True)))["data"])
    size = int.from_bytes(got[25:27], "big")
    return await by.ask("ImportRemotePrivateRoute", blob=text(got[27:27 + size]))


async def serve_trip(context, route):
    """Milliseconds of a call that a serve answers, of a stream that is not known."""
    took = []
    for _ in range(CALLS):
        message = text(b"\1\0" + os.urandom(16) + b"\0" * 20)
        began = time.monotonic()
        answer = data(await patiently(
            lambda: context("AppCall", target={"RouteId": route}, message=message)))
        took.append(1000 * (time.monotonic() - began))
        assert answer[:2] == b"\1\1", answer
    return statistics.median(took)


async def main(to, by, rounds, key=None):
    to, by = await Api.open(to), await Api.open(by)
    answer_calls(to)
    trips, answers, requests, serves = [], [], [], []
    began, used = time.monotonic(), processor()
    for _ in range(int(rounds)):
        context = await by.context()
        ours, route = await new_route(to, by)
        trips.append(await round_trip(context, route))
        answers.append(await throughput(context, route, 10, PAYLOAD_MAX))
        requests.append(await throughput(context, route, PAYLOAD_MAX, 10))
        if key:
            serves.append(await serve_trip(context, await route_of(by, context, key)))
        await by.ask("ReleasePrivateRoute", route_id=route)
        await to.ask("ReleasePrivateRoute", route_id=ours)
    share = (processor() - used) / (time.monotonic() - began)
    for what, all_of, unit in (
            ("round trip of 10 bytes", trips, "ms"),
            ("the same, answered by a serve", serves, "ms"),
            ("answers of 32,768 bytes, %d in flight" % IN_FLIGHT, answers, "MB/s"),
            ("requests of 32,768 bytes, %d in flight" % IN_FLIGHT, requests, "MB/s")):
        if all_of:
            print("%-42s %8.2f %s, %.2f to %.2f" % (what, statistics.median(all_of), unit,
                                                   min(all_of), max(all_of)))
    print("(the client took %.0f %% of a processor; calls that were lost, and made again: %d)"
          % (100 * share, patiently.count))
    await to.close()
    await by.close()


asyncio.run(main(*sys.argv[1:]))

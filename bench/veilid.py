# SPDX-License-Identifier: MPL-2.0
"""What calls between two nodes take by the bare API (tests/veilid/vapi.py):

    veilid.py SOCKET SOCKET ROUNDS

Each round has private routes of its own, as one may be better than another. The
client's share of a processor is told, so that one can see whether it was in the way.
"""
import asyncio
import resource
import statistics
import sys
import time

from vapi import PAYLOAD_MAX, Api, answer_calls, call, new_route, patiently

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


async def main(to, by, rounds):
    to, by = await Api.open(to), await Api.open(by)
    answer_calls(to)
    trips, answers, requests = [], [], []
    began, used = time.monotonic(), processor()
    for _ in range(int(rounds)):
        context = await by.context()
        ours, route = await new_route(to, by)
        trips.append(await round_trip(context, route))
        answers.append(await throughput(context, route, 10, PAYLOAD_MAX))
        requests.append(await throughput(context, route, PAYLOAD_MAX, 10))
        await by.ask("ReleasePrivateRoute", route_id=route)
        await to.ask("ReleasePrivateRoute", route_id=ours)
    share = (processor() - used) / (time.monotonic() - began)
    for what, all_of, unit in (
            ("round trip of 10 bytes", trips, "ms"),
            ("answers of 32,768 bytes, %d in flight" % IN_FLIGHT, answers, "MB/s"),
            ("requests of 32,768 bytes, %d in flight" % IN_FLIGHT, requests, "MB/s")):
        print("%-42s %8.2f %s, %.2f to %.2f" % (what, statistics.median(all_of), unit,
                                               min(all_of), max(all_of)))
    print("(the client took %.0f %% of a processor; calls that were lost, and made again: %d)"
          % (100 * share, patiently.count))
    await to.close()
    await by.close()


asyncio.run(main(*sys.argv[1:]))

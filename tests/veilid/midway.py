# SPDX-License-Identifier: MPL-2.0
"""Waits until something is on its way over a node, by the calls that come to it.

    midway.py SOCKET BYTES             until calls have brought so many bytes in
    midway.py SOCKET BYTES release     then ends the route that the last one came by

Every program on a node's socket is told of all calls, so nobody is asked.
"""
import asyncio
import sys

from vapi import PATIENCE, Api, data


async def main(path, size, what=None):
    api = await Api.open(path)
    print("watches", flush=True)
    came, route = 0, None
    while came < int(size):
        update = await asyncio.wait_for(api.updates["AppCall"].get(), PATIENCE)
        came += len(data(update["message"]))
        route = update["route_id"]
    print("midway: %d bytes" % came, flush=True)
    if what == "release":
        # the first time ends only what the node has imported of its own
        for _ in range(2):
            answer = await api.send(op="ReleasePrivateRoute", route_id=route)
        print("released:", answer.get("error", "done"), flush=True)
    await api.close()


asyncio.run(main(*sys.argv[1:]))

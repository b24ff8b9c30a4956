# SPDX-License-Identifier: MPL-2.0
"""How many calls come to some nodes, of whomever: veilid-count.py SECONDS SOCKET...

Prints their number and bytes. Every program on a node's socket is told of all calls.
"""
import asyncio
import sys

from vapi import Api, data


async def main(seconds, *paths):
    apis = [await Api.open(path) for path in paths]
    await asyncio.sleep(float(seconds))
    sizes = []
    for api in apis:
        queue = api.updates["AppCall"]
        while not queue.empty():
            sizes.append(len(data(queue.get_nowait()["message"])))
        await api.close()
    print(len(sizes), sum(sizes))


asyncio.run(main(*sys.argv[1:]))

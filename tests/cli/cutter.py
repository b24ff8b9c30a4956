#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""cutter.py PORT TO BYTES - passes connections on to 127.0.0.1:TO, and cuts each
one when so many bytes came down. Prints "ready", and "cut" for each."""
import asyncio
import sys

port, to, most = map(int, sys.argv[1:])


async def pump(reader, writer, left):
    try:
        while data := await reader.read(1 << 14 if left is None else min(1 << 14, left)):
            if left is not None:
                left -= len(data)
            writer.write(data)
            await writer.drain()
            if left == 0:
                print("cut", flush=True)
                break
    except ConnectionError:
        pass


async def on_connection(reader, writer):
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", to)
    ways = [asyncio.create_task(pump(reader, to_writer, None)), asyncio.create_task(pump(to_reader, writer, most))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    # no reset: what was sent is to arrive
    for w in (writer, to_writer):
        w.close()


async def main():
    server = await asyncio.start_server(on_connection, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())

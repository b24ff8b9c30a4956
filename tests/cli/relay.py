#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""relay.py PORT TO DELAY - passes connections on to 127.0.0.1:TO, DELAY
milliseconds late each way, and counts bytes.

Prints "ready", then, for each line on stdin, "UP DOWN": the bytes that went up
(to TO) and down since the last line."""
import asyncio
import sys

count = {"up": 0, "down": 0}
delay = int(sys.argv[3]) / 1000


async def pump(reader, writer, way):
    later = asyncio.get_running_loop().call_later
    try:
        while data := await reader.read(1 << 16):
            count[way] += len(data)
            later(delay, writer.write, data)
    except ConnectionError:
        pass
    later(delay, writer.close)


async def on_connection(reader, writer):
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, to_writer, "up"), pump(to_reader, writer, "down"))


async def main():
    server = await asyncio.start_server(on_connection, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(count["up"], count["down"], flush=True)
        for key in count:
            count[key] = 0
    server.close()


asyncio.run(main())

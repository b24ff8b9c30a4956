#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""stall.py PORT TO BYTES SECONDS - passes one connection on to 127.0.0.1:TO; when
BYTES came down from there it reads nothing for so many SECONDS, once.

Prints "ready", and "goes on" after that time."""
import socket
import sys
import threading
import time

port, to, limit, seconds = map(int, sys.argv[1:])


def up(reader, server):
    try:
        while data := reader.recv(1 << 16):
            server.sendall(data)
    except OSError:
        pass


def down(server, reader):
    passed, stalled = 0, False
    while data := server.recv(1 << 16):
        reader.sendall(data)
        passed += len(data)
        if passed > limit and not stalled:
            stalled = True
            time.sleep(seconds)
            print("goes on", flush=True)


listener = socket.create_server(("127.0.0.1", port))
print("ready", flush=True)
connection, _ = listener.accept()
upstream = socket.socket()
# little is under way, so that the sender feels it at once
upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
upstream.connect(("127.0.0.1", to))
threading.Thread(target=up, args=(connection, upstream), daemon=True).start()
try:
    down(upstream, connection)
except OSError:
    pass
connection.close()

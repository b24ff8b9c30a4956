# SPDX-License-Identifier: MPL-2.0
"""Holds the exchange lock of a state directory until others have looked at it.

    holder.py STATE_DIR LOOKS

Takes the lock, says "held", and lets it go (and says "free") when somebody has
opened the lock file that often.
"""
import ctypes
import fcntl
import os
import sys

IN_OPEN = 0x20

path, looks = os.path.join(sys.argv[1], "lock"), int(sys.argv[2])
lock = open(path, "a")
fcntl.flock(lock, fcntl.LOCK_EX)
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
libc.inotify_add_watch(watch, path.encode(), IN_OPEN)
print("held", flush=True)
while looks > 0:
    # An event without a name is 16 bytes.
    looks -= len(os.read(watch, 4096)) // 16
print("free", flush=True)

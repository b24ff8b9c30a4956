# SPDX-License-Identifier: MPL-2.0
"""How long a commit and the line of watch that tells of it take, in ms: p50, worst.

    lag.py DDCP DB COUNT
"""
import math
import sqlite3
import subprocess
import sys
import time

ddcp, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
watch = subprocess.Popen([ddcp, "-f", path, "watch"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
watch.stderr.readline()
db = sqlite3.connect(path, isolation_level=None, timeout=10)
lags = []
for i in range(count):
    began = time.monotonic()
    db.execute("insert into t values(?, ?)", ("lag%d" % i, "x"))
    line = watch.stdout.readline()
    assert b'"lag%d"' % i in line, line
    lags.append(1000 * (time.monotonic() - began))
watch.terminate()
watch.wait()
lags.sort()
print("p50 %d" % math.ceil(lags[len(lags) // 2]))
print("worst %d" % math.ceil(lags[-1]))

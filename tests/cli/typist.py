# SPDX-License-Identifier: MPL-2.0
"""typist.py DDCP ARGUMENTS - types at a terminal of its own: `ddcp key export`
is asked for its passphrase twice, and interrupted at the question."""
import os
import pty
import signal
import sys
import termios


def begin(words):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    return pid, terminal


def read_until(terminal, end):
    text = b''
    while not text.endswith(end):
        text += os.read(terminal, 1)
    return text


def shows(terminal):
    return termios.tcgetattr(terminal)[3] & termios.ECHO != 0


def interrupted(words):
    pid, terminal = begin(words)
    read_until(terminal, b'Passphrase: ')
    assert not shows(terminal)
    os.write(terminal, b'secr\x03')
    read_until(terminal, b'\n')
    assert shows(terminal)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT


def typed(words):
    pid, terminal = begin(words)
    read_until(terminal, b'Passphrase: ')
    os.write(terminal, b'secret\n')
    text = read_until(terminal, b'The same again: ')
    assert b'secret' not in text
    os.write(terminal, b'secret\n')
    read_until(terminal, b'is you')
    assert os.waitpid(pid, 0)[1] == 0


signal.alarm(60)        # one that is never answered fails
for _ in range(10):     # also where the signal comes before it is waited for
    interrupted(sys.argv[1:])
typed(sys.argv[1:])
